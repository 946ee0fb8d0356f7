//! Names and the namespaces behind them: creating, configuring, listing, removing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use logstore_api::fence::Reign;
use logstore_api::frame::Salt;
use logstore_api::namespace::{Internal, NamespaceList, PutNamespace};
use logstore_api::{Code, NamespaceName, Problem};
use uuid::Uuid;

use super::fences::Fences;
use super::namespace::{Document, Home, Namespace};
use super::root::{CleanMarks, NamespaceMarks, RootError};
use crate::disk::{self, Disk};

/// Directories that are being made or removed; a start clears them away. No namespace's directory begins with a dot.
pub const NEW_PREFIX: &str = ".new-";
const DELETED_PREFIX: &str = ".deleted-";

/// All namespaces.
#[derive(Debug)]
pub struct Registry {
    home: Home,
    namespaces: RwLock<BTreeMap<NamespaceName, Arc<Namespace>>>,
    /// Directories whose configuration cannot be read: their names are taken.
    broken: BTreeSet<PathBuf>,
    /// One creation, configuration or removal at a time.
    changing: Mutex<()>,
}

impl Registry {
    /// Reads what is in the root. A directory whose configuration cannot be read is left alone and said, and never keeps
    /// the others from being served.
    pub fn load(home: Home, clean: &CleanMarks, fences: &Fences) -> Result<Self, RootError> {
        let dir = home.namespaces_dir();
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |why| RootError::Namespaces { path, why }
        };
        let (mut namespaces, mut broken) = (BTreeMap::new(), BTreeSet::new());
        let none = NamespaceMarks::default();
        // What a killed process has made or removed is seen here: a power loss must not take it back after it was used.
        // On a disk that is read-only nothing is used for more than reads.
        if !home.space.only_reads() {
            home.disk.sync_dir(&dir).map_err(failed(&dir))?;
        }
        for entry in home.disk.list(&dir).map_err(failed(&dir))? {
            let path = dir.join(&entry);
            if entry.starts_with(NEW_PREFIX) || entry.starts_with(DELETED_PREFIX) {
                match remove(&*home.disk, &path) {
                    Err(error) if !disk::is_full(&error) => return Err(failed(&path)(error)),
                    // On a disk that is read-only it stays, and nothing is looked for in it.
                    _ => continue,
                }
            }
            match Document::read(&*home.disk, &path) {
                Ok(document) if home.dir(&document.name) == path => {
                    let name = document.name.clone();
                    let marks = clean.get(&name).unwrap_or(&none);
                    let namespace = Namespace::new(home.clone(), document, fences.reign(&name), marks);
                    namespaces.insert(name, Arc::new(namespace));
                }
                Ok(document) => {
                    tracing::error!(dir = %path.display(), name = document.name.as_str(), "a directory belongs to a namespace of another name; it is left alone");
                }
                Err(error) => {
                    tracing::error!(dir = %path.display(), %error, "the configuration of a namespace cannot be read; the namespace is not served");
                    broken.insert(path);
                }
            }
        }
        Ok(Self { home, namespaces: RwLock::new(namespaces), broken, changing: Mutex::new(()) })
    }

    fn map(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<NamespaceName, Arc<Namespace>>> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, namespace: Arc<Namespace>) {
        let mut namespaces = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        namespaces.insert(namespace.name().clone(), namespace);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.map().len()
    }

    /// The namespace with this name.
    #[must_use]
    pub fn get(&self, name: &NamespaceName) -> Option<Arc<Namespace>> {
        self.map().get(name).cloned()
    }

    /// Whether a namespace of this name is there whose configuration cannot be read.
    #[must_use]
    pub fn is_broken(&self, name: &NamespaceName) -> bool {
        !self.broken.is_empty() && self.broken.contains(&self.home.dir(name))
    }

    /// All of them, in byte order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Namespace>> {
        self.map().values().cloned().collect()
    }

    /// A page of them, in byte order.
    #[must_use]
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> NamespaceList {
        let map = self.map();
        let begin = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut matching = map
            .range::<str, _>((begin, Bound::Unbounded))
            .take_while(|(name, _)| name.as_str().starts_with(prefix))
            .map(|(_, namespace)| namespace.entry());
        let namespaces: Vec<_> = matching.by_ref().take(limit).collect();
        let more = matching.next().is_some();
        let next = namespaces.last().filter(|_| more).map(|entry| entry.name.clone());
        NamespaceList { namespaces, next }
    }

    /// Creates or configures; whether it was created.
    pub fn put(
        &self,
        name: &NamespaceName,
        put: PutNamespace,
        only_create: bool,
        reign: Option<Reign>,
    ) -> Result<(bool, Arc<Namespace>), Problem> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(namespace) = self.get(name) else {
            return Ok((true, self.create(name, put, reign)?));
        };
        if only_create {
            let detail = format!("namespace {:?} exists", name.as_str());
            return Err(Problem::new(Code::NamespaceExists, detail).field("namespace").got(name.as_str()));
        }
        if let Some(internal) = &put.internal
            && internal.incarnation != namespace.incarnation()
        {
            return self.replace_empty(&namespace, put, reign);
        }
        self.configure(&namespace, put)?;
        Ok((false, namespace))
    }

    fn configure(&self, namespace: &Namespace, put: PutNamespace) -> Result<(), Problem> {
        let current = namespace.document().owner;
        let owner = match put.internal {
            Some(Internal { ownership, .. }) => {
                if let Some(current) = &current
                    && current.owner == ownership.owner
                    && current.revision > ownership.revision
                {
                    let detail = format!(
                        "revision {} of {} is older than revision {}, which is in force",
                        ownership.revision, ownership.owner, current.revision
                    );
                    let problem = Problem::new(Code::ConfigConflict, detail).field("internal.revision");
                    return Err(problem.expected(current.revision).got(ownership.revision));
                }
                Some(ownership)
            }
            None => current,
        };
        namespace.configure(put.config, owner)
    }

    /// Another incarnation takes the name, where nothing was ever appended to the one that has it: a creation that did
    /// not reach all copies is made again in this way.
    fn replace_empty(
        &self,
        namespace: &Arc<Namespace>,
        put: PutNamespace,
        reign: Option<Reign>,
    ) -> Result<(bool, Arc<Namespace>), Problem> {
        let (name, incarnation) = (namespace.name().clone(), namespace.incarnation());
        let partitions = namespace.all_partitions()?;
        // Nothing is appended between the look and the removal.
        partitions.iter().for_each(|partition| partition.stop());
        if !partitions.iter().all(|partition| partition.is_empty()) {
            partitions.iter().for_each(|partition| partition.go_on());
            let detail = format!("namespace {:?} exists in incarnation {incarnation} and holds records", name.as_str());
            let problem = Problem::new(Code::NamespaceExists, detail).field("internal.incarnation");
            return Err(problem.with("incarnation", incarnation.to_string()));
        }
        self.delete_now(namespace)?;
        Ok((true, self.create(&name, put, reign)?))
    }

    fn create(&self, name: &NamespaceName, put: PutNamespace, reign: Option<Reign>) -> Result<Arc<Namespace>, Problem> {
        let PutNamespace { config, internal } = put;
        let (incarnation, salt, owner) = match internal {
            Some(Internal { ownership, incarnation, salt: Some(salt) }) if salt != Salt::WIRE.0 => {
                (incarnation, Salt(salt), Some(ownership))
            }
            Some(_) => {
                let detail = "internal.salt is needed to create a namespace, and is not 0";
                return Err(Problem::new(Code::InvalidArgument, detail).field("internal.salt"));
            }
            None => (Uuid::new_v4(), random_salt(), None),
        };
        let document = Document::new(name.clone(), incarnation, salt, config, owner);
        self.make_dir(&document).map_err(|error| self.problem("create the namespace", name, &error))?;
        tracing::info!(namespace = name.as_str(), %incarnation, "created a namespace");
        let namespace = Arc::new(Namespace::new(self.home.clone(), document, reign, &NamespaceMarks::default()));
        self.insert(Arc::clone(&namespace));
        Ok(namespace)
    }

    /// All of it under another name first, so that a crash leaves all or nothing.
    fn make_dir(&self, document: &Document) -> io::Result<()> {
        let disk = &*self.home.disk;
        let dir = self.home.namespaces_dir();
        let beside = dir.join(format!("{NEW_PREFIX}{}", document.incarnation));
        let named = self.home.dir(&document.name);
        let made = (|| {
            disk.create_dir(&beside)?;
            for number in 0..document.config.partitions {
                disk.create_dir(&beside.join(number.to_string()))?;
            }
            document.write(disk, &beside)?;
            disk.rename(&beside, &named)?;
            // Left under its name, it would be in the way of the next attempt.
            disk.sync_dir(&dir).inspect_err(|_| {
                let _ = disk.rename(&named, &beside);
            })
        })();
        if made.is_err() {
            // Left over, it is cleared away by the next start.
            let _ = disk.remove_dir_all(&beside);
        }
        made
    }

    /// Removes a namespace with its data.
    pub fn delete(&self, namespace: &Arc<Namespace>) -> Result<(), Problem> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.delete_now(namespace)
    }

    fn delete_now(&self, namespace: &Arc<Namespace>) -> Result<(), Problem> {
        let (name, disk) = (namespace.name(), &*self.home.disk);
        {
            let mut namespaces = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
            match namespaces.get(name) {
                Some(current) if Arc::ptr_eq(current, namespace) => namespaces.remove(name),
                // Somebody else was faster.
                _ => return Ok(()),
            };
        }
        let dir = self.home.namespaces_dir();
        let away = dir.join(format!("{DELETED_PREFIX}{}", Uuid::new_v4()));
        namespace.retire();
        let removed = disk.rename(namespace.dir(), &away).and_then(|()| {
            // A removal that a power loss could undo is none.
            disk.sync_dir(&dir).inspect_err(|_| {
                let _ = disk.rename(&away, namespace.dir());
            })
        });
        if let Err(error) = removed {
            self.insert(Arc::new(namespace.born_again()));
            return Err(self.problem("delete the namespace", name, &error));
        }
        tracing::info!(namespace = name.as_str(), incarnation = %namespace.incarnation(), "deleted a namespace");
        if let Err(error) = disk.remove_dir_all(&away) {
            tracing::warn!(dir = %away.display(), %error, "failed to remove a deleted namespace's files; the next start tries again");
        }
        Ok(())
    }

    fn problem(&self, what: &str, name: &NamespaceName, error: &io::Error) -> Problem {
        if let Some(problem) = self.home.space.refusal(what, error) {
            return problem;
        }
        tracing::error!(namespace = name.as_str(), %error, "failed to {what}");
        Problem::new(Code::Internal, format!("failed to {what}; the store's log says why"))
    }
}

/// Removes what has a reserved name: a directory with all in it, or a file that somebody has left there.
fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => disk.remove_file(path),
        result => result,
    }
}

/// A seed that nobody can guess and that is not the one of the wire.
fn random_salt() -> Salt {
    loop {
        // A version-4 UUID has six fixed bits; the hash of two of them has none.
        let bytes = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
        let salt = xxhash_rust::xxh3::xxh3_64(&bytes);
        if salt != Salt::WIRE.0 {
            return Salt(salt);
        }
    }
}
