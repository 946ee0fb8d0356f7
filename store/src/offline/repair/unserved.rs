//! Namespaces that a store does not serve as they are on the disk, and what a person can do about it.

use std::io;
use std::path::Path;

use logstore_api::NamespaceName;

use crate::disk::Disk;
use crate::engine::escape::directory_name;
use crate::engine::namespace::{CONFIG_FILE, Document};
use crate::offline::root::OfflineError;

/// One sentence for each of them, or for this one alone.
pub(super) fn unserved(
    disk: &dyn Disk,
    root: &Path,
    only: Option<&NamespaceName>,
) -> Result<Vec<String>, OfflineError> {
    let namespaces = root.join("ns");
    let mut entries = disk.list(&namespaces).map_err(OfflineError::files(format!("list {}", namespaces.display())))?;
    entries.retain(|entry| !entry.starts_with('.') && only.is_none_or(|only| directory_name(only) == *entry));
    entries.sort_unstable();
    let read = |entry: &String| Document::read(disk, &namespaces.join(entry));
    Ok(entries.iter().filter_map(|entry| why_unserved(entry, read(entry))).collect())
}

fn why_unserved(entry: &str, read: io::Result<Document>) -> Option<String> {
    match read {
        Ok(document) => {
            let directory = directory_name(&document.name);
            (directory != entry).then(|| {
                let name = document.name.as_str();
                format!("ns/{entry} holds namespace {name:?}, whose directory is ns/{directory}; it is not served")
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Some(format!("ns/{entry} is no directory of a namespace"))
        }
        Err(error) => {
            let name = name_of(entry);
            let (shown, name) = match &name {
                Some(name) => (format!("namespace {:?}", name.as_str()), format!("{:?}", name.as_str())),
                None => ("a namespace".to_owned(), "NAME".to_owned()),
            };
            Some(format!(
                "the configuration of {shown}, ns/{entry}/{CONFIG_FILE}, cannot be read: {error}; --namespace {name} --config FILE writes it again"
            ))
        }
    }
}

/// The namespace that has this directory, where the directory's name tells it.
fn name_of(directory: &str) -> Option<NamespaceName> {
    let escaped = directory.split_once('~').map_or(directory, |(escaped, _)| escaped);
    let mut parts = escaped.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    let name = NamespaceName::parse(&String::from_utf8(bytes).ok()?).ok()?;
    (directory_name(&name) == directory).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_tells_its_name_unless_that_was_cut() {
        for name in ["orders", "a/b", ".hidden", "a b\"~%", "Orders", "größe/Ü", "☃"] {
            let directory = directory_name(&NamespaceName::parse(name).unwrap());
            assert_eq!(name_of(&directory).unwrap().as_str(), name, "{directory}");
        }
        let long = directory_name(&NamespaceName::parse(&"x".repeat(249)).unwrap());
        for directory in [long.as_str(), "a%", "a%2", "a%zz", "a%é0", "Orders", "a%ff"] {
            assert_eq!(name_of(directory), None, "{directory}");
        }
    }
}
