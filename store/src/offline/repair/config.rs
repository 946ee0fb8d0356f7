//! A namespace's configuration made again, where the file that held it is damaged or gone. Segments' headers still tell the
//! salt, without which no record verifies.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use logstore_api::frame::Salt;
use logstore_api::{NamespaceConfig, NamespaceName, Timestamp};
use uuid::Uuid;

use crate::disk::{Disk, Open};
use crate::engine::escape::directory_name;
use crate::engine::namespace::{CONFIG_FILE, DOCUMENT_MAX, Document};
use crate::log::segment;
use crate::offline::root::{OfflineError, StoppedRoot};

/// What a configuration is made from.
#[derive(Clone, Debug)]
pub struct NewConfig {
    /// The namespace.
    pub name: NamespaceName,
    /// Its configuration, as a user would give it.
    pub config: NamespaceConfig,
    /// The incarnation it had; another one where that is not known.
    pub incarnation: Option<Uuid>,
}

/// Makes the configuration of a namespace again. What can still be read is refused; what cannot is kept in quarantine.
pub fn restore(root: &StoppedRoot, new: NewConfig, really: bool) -> Result<String, OfflineError> {
    let NewConfig { name, config, incarnation } = new;
    let refused = |what: String| Err(OfflineError::Refused(format!("{what}; nothing was changed")));
    config.check().map_err(|invalid| OfflineError::Refused(format!("{invalid}; nothing was changed")))?;
    let (disk, dir) = (&**root.disk(), root.path().join("ns").join(directory_name(&name)));
    let listed = disk.list(&dir).map_err(OfflineError::files(format!("list {}", dir.display())))?;
    if Document::read(disk, &dir).is_ok() {
        return refused(format!("the configuration of {:?} can be read; change it when the store runs", name.as_str()));
    }
    let partitions = listed.iter().filter(|name| name.parse::<u32>().is_ok()).count();
    if partitions != config.partitions as usize {
        return refused(format!(
            "partitions is {}, but {} has directories of {partitions}",
            config.partitions,
            dir.display()
        ));
    }
    let ordered = root.node()?.is_some_and(|node| node.ordered);
    let Some(incarnation) = incarnation.or_else(|| (!ordered).then(Uuid::new_v4)) else {
        return refused("the copies of a namespace share one incarnation; give --incarnation".to_owned());
    };
    let salts = salts(disk, &dir, config.partitions).map_err(OfflineError::files(format!("read {}", dir.display())))?;
    let mut salts = salts.into_iter();
    let (Some(salt), None) = (salts.next(), salts.next()) else {
        return refused(format!("the headers of the segments in {} do not tell one salt", dir.display()));
    };
    let file = dir.join(CONFIG_FILE);
    if really {
        keep(root, &file).map_err(OfflineError::files(format!("keep {}", file.display())))?;
        let document = Document::new(name, incarnation, Salt(salt), config, None);
        document.write(disk, &dir).map_err(OfflineError::files(format!("write {}", file.display())))?;
    }
    Ok(format!("write {}", file.strip_prefix(root.path()).unwrap_or(&file).display()))
}

/// All salts that sound headers name.
fn salts(disk: &dyn Disk, dir: &Path, partitions: u32) -> io::Result<BTreeSet<u64>> {
    let mut salts = BTreeSet::new();
    for dir in (0..partitions).map(|number| dir.join(number.to_string())) {
        for name in disk.list(&dir)?.iter().filter(|name| segment::parse_file_name(name).is_some()) {
            let file = disk.open(&dir.join(name), Open::Read)?;
            salts.extend(segment::read_header(&*file)?.map(|header| header.salt.0));
        }
    }
    Ok(salts)
}

/// Copies a damaged configuration into quarantine.
fn keep(root: &StoppedRoot, file: &Path) -> io::Result<()> {
    let disk = &**root.disk();
    let bytes = match disk.read(file, DOCUMENT_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        bytes => bytes?,
    };
    let quarantine: PathBuf = root.path().join("quarantine");
    disk.create_dir(&quarantine)?;
    let dir = file.parent().and_then(Path::file_name).unwrap_or_default().display();
    disk.replace(&quarantine.join(format!("{dir}-{CONFIG_FILE}-{}", Timestamp::now().0)), &bytes)?;
    disk.sync_dir(root.path())
}
