//! The command of a store process: that of the container, with the paths and addresses of this machine in its place.

use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::StatefulSet;

use super::ports::Addresses;
use crate::build::stateful_set::{ADMIN_ARGUMENT, CONFIG_ARGUMENT, CONTAINER, LISTEN_ARGUMENT, ROOT_ARGUMENT};

/// What a process is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreCommand {
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What stands in the place of the container's own.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The binary.
    pub program: &'a Path,
    /// The data directory.
    pub root: &'a Path,
    /// The configuration file.
    pub config: &'a Path,
    /// Where it listens.
    pub addresses: Addresses,
}

/// The command for the container of a StatefulSet. An argument that is not known here stays as it is.
#[must_use]
pub fn store_command(stateful_set: &StatefulSet, place: Place<'_>) -> StoreCommand {
    let container = stateful_set
        .spec
        .template
        .spec
        .iter()
        .flat_map(|pod| &pod.containers)
        .find(|container| container.name == CONTAINER);
    // The first word is the program, which is elsewhere on this machine.
    let command = container.and_then(|container| container.command.as_deref()).unwrap_or_default().iter().skip(1);
    let arguments = container.and_then(|container| container.args.as_deref()).unwrap_or_default();
    let mut words: Vec<String> = command.chain(arguments).cloned().collect();
    for (argument, value) in replacements(place) {
        if let Some(at) = words.iter().position(|word| word == argument)
            && let Some(word) = words.get_mut(at + 1)
        {
            *word = value;
        }
    }
    StoreCommand { program: place.program.to_owned(), arguments: words }
}

fn replacements(place: Place<'_>) -> [(&'static str, String); 4] {
    let Place { program: _, root, config, addresses: Addresses { listen, admin } } = place;
    [
        (ROOT_ARGUMENT, root.display().to_string()),
        (LISTEN_ARGUMENT, listen.to_string()),
        (ADMIN_ARGUMENT, admin.to_string()),
        (CONFIG_ARGUMENT, config.display().to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::ports::Ports;
    use super::*;
    use crate::build::CopyName;
    use crate::test_support;

    #[test]
    fn a_process_gets_the_arguments_of_the_container_with_places_of_its_own() {
        let children = test_support::children(&test_support::store("copies: 2"));
        let (copy, stateful_set) = children.stateful_sets.iter().next_back().unwrap();
        assert_eq!(*copy, CopyName::first(2).last().unwrap());
        let place = Place {
            program: Path::new("/bin/logstore"),
            root: Path::new("/state/b/data"),
            config: Path::new("/state/store.json"),
            addresses: Ports::from(9000, 2).unwrap().of(*copy),
        };
        let command = store_command(stateful_set, place);
        assert_eq!(command.program, Path::new("/bin/logstore"));
        assert_eq!(
            command.arguments.join(" "),
            "serve --root /state/b/data --listen 127.0.0.1:9002 --admin 127.0.0.1:9003 --config /state/store.json"
        );
    }
}
