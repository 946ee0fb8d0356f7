//! A root of its own inside another, in which a namespace is made before it gets its place.

use std::path::PathBuf;
use std::sync::Arc;

use logstore_api::NamespaceName;
use logstore_api::config::StoreConfig;
use uuid::Uuid;

use crate::engine::Engine;
use crate::engine::escape::directory_name;
use crate::engine::registry::NEW_PREFIX;
use crate::offline::root::{OfflineError, StoppedRoot};

/// The root. What is not kept goes with it.
#[derive(Debug)]
pub(super) struct Scratch<'a> {
    root: &'a StoppedRoot,
    path: PathBuf,
    directory: String,
}

impl<'a> Scratch<'a> {
    /// Makes it, for a namespace that is not there yet.
    pub(super) fn make(root: &'a StoppedRoot, name: &NamespaceName) -> Result<Self, OfflineError> {
        if root.node()?.is_some_and(|node| node.ordered) {
            let what =
                "this root holds copies that a writer fills; import into a root of its own, and append from there";
            return Err(OfflineError::Refused(what.to_owned()));
        }
        let path = root.path().join("ns").join(format!("{NEW_PREFIX}{}", Uuid::new_v4()));
        let scratch = Self { root, path, directory: directory_name(name) };
        let names = root.disk().list(&root.path().join("ns")).map_err(OfflineError::files("list the namespaces"))?;
        if names.contains(&scratch.directory) {
            let what = format!(
                "namespace {:?} exists; nothing was changed. Give another name, or delete it first",
                name.as_str()
            );
            return Err(OfflineError::Refused(what));
        }
        Ok(scratch)
    }

    /// An engine in it.
    pub(super) fn start(&self) -> Result<Arc<Engine>, OfflineError> {
        Ok(Engine::start(Arc::clone(self.root.disk()), self.path.clone(), StoreConfig::default())?)
    }

    /// Takes it, when the engine is gone.
    pub(super) fn take(&self) -> Result<StoppedRoot, OfflineError> {
        StoppedRoot::take(Arc::clone(self.root.disk()), &self.path)
    }

    /// Gives the namespace its place: all of it, or nothing after a crash.
    pub(super) fn keep(self) -> Result<(), OfflineError> {
        let (disk, namespaces) = (self.root.disk(), self.root.path().join("ns"));
        let (from, to) = (self.path.join("ns").join(&self.directory), namespaces.join(&self.directory));
        disk.rename(&from, &to)
            .and_then(|()| disk.sync_dir(&namespaces))
            .map_err(OfflineError::files("name the namespace"))
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // What is left over is cleared away by the next start.
        let _ = self.root.disk().remove_dir_all(&self.path);
    }
}
