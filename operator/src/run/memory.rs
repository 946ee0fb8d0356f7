//! What is remembered of each `LogStore` from one pass to the next. All of it may be lost: the next pass then asks or writes
//! once more than it had to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use logstore_crds::LogStoreStatus;

use tokio::time::Instant;

use super::resource::StoredObject;
use crate::backoff::Backoff;
use crate::build::ChildId;

/// Versions of one object that a cache may be behind by.
const SUPERSEDED_MAX: usize = 16;

/// What is remembered of all.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<ObjectRef<StoredObject>, Remembered>>);

/// What is remembered of one.
#[derive(Debug)]
struct Remembered {
    backoff: Backoff,
    rest: Option<Rest>,
    written: Option<Written>,
    /// The version that each child had after it was applied.
    applied: BTreeMap<ChildId, String>,
}

/// After a failure.
#[derive(Clone, Copy, Debug)]
struct Rest {
    generation: Option<i64>,
    until: Instant,
}

/// The status that was written last.
#[derive(Clone, Debug, Default, PartialEq)]
struct Written {
    /// Versions of the object from before it. As long as the cache shows one of these, it is behind.
    superseded: VecDeque<String>,
    /// The version that came of it.
    version: Option<String>,
    status: LogStoreStatus,
}

impl Written {
    fn is_newer_than(&self, object: &StoredObject) -> bool {
        object.metadata.resource_version.as_ref().is_some_and(|version| self.superseded.contains(version))
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Self { backoff: Backoff::of_passes(), rest: None, written: None, applied: BTreeMap::new() }
    }
}

impl Memory {
    /// The status that the object has by now, which the cache may not show yet.
    #[must_use]
    pub fn status(&self, object: &StoredObject) -> Option<LogStoreStatus> {
        let written = self.all().get(&ObjectRef::from_obj(object)).and_then(|remembered| remembered.written.clone());
        match written {
            Some(written) if written.is_newer_than(object) => Some(written.status),
            _ => object.status(),
        }
    }

    /// A status was written, and the object has this version since.
    pub fn wrote(&self, object: &StoredObject, status: LogStoreStatus, version: Option<String>) {
        self.of(&ObjectRef::from_obj(object), |remembered| {
            let before = remembered.written.take().unwrap_or_default();
            let mut superseded = before.superseded;
            superseded.extend(object.metadata.resource_version.clone().into_iter().chain(before.version));
            while superseded.len() > SUPERSEDED_MAX {
                superseded.pop_front();
            }
            remembered.written = Some(Written { superseded, version, status });
        });
    }

    /// A child was applied, and has this version since.
    pub fn applied(&self, object: &ObjectRef<StoredObject>, child: ChildId, version: Option<String>) {
        self.of(object, |remembered| version.and_then(|version| remembered.applied.insert(child, version)));
    }

    /// Whether a child has the version that applying it came to: applying it once more would change nothing.
    #[must_use]
    pub fn is_applied(&self, object: &ObjectRef<StoredObject>, child: &ChildId, version: Option<&str>) -> bool {
        let all = self.all();
        let applied = all.get(object).and_then(|remembered| remembered.applied.get(child));
        version.is_some() && applied.map(String::as_str) == version
    }

    /// How long to wait before a failed pass over this generation is made again.
    #[must_use]
    pub fn failed(&self, object: &ObjectRef<StoredObject>, generation: Option<i64>) -> Duration {
        self.of(object, |remembered| {
            let wait = remembered.backoff.after(Duration::ZERO);
            remembered.rest = Some(Rest { generation, until: Instant::now() + wait });
            wait
        })
    }

    /// How long a pass must wait because one has failed a moment ago. The status that told of it touches its object, and so
    /// would be a reason to try again at once. A new generation does not wait.
    #[must_use]
    pub fn rests(&self, object: &ObjectRef<StoredObject>, generation: Option<i64>) -> Option<Duration> {
        let rest = self.all().get(object).and_then(|remembered| remembered.rest)?;
        let left = rest.until.saturating_duration_since(Instant::now());
        (rest.generation == generation && !left.is_zero()).then_some(left)
    }

    /// A pass has not failed.
    pub fn succeeded(&self, object: &ObjectRef<StoredObject>) {
        if let Some(remembered) = self.all().get_mut(object) {
            remembered.backoff.reset();
            remembered.rest = None;
        }
    }

    /// It is gone.
    pub fn forget(&self, object: &ObjectRef<StoredObject>) {
        self.all().remove(object);
    }

    fn of<T>(&self, object: &ObjectRef<StoredObject>, change: impl FnOnce(&mut Remembered) -> T) -> T {
        change(self.all().entry(object.clone()).or_default())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ObjectRef<StoredObject>, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str) -> StoredObject {
        let text = format!(
            "{{metadata: {{name: events, namespace: a, resourceVersion: '{version}'}}, status: {{copies: 1}}}}"
        );
        serde_saphyr::from_str(&text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_failed_rests_but_not_over_a_new_generation() {
        let (memory, object) = (Memory::default(), ObjectRef::from_obj(&object("7")));
        assert_eq!(memory.rests(&object, Some(1)), None);
        let wait = memory.failed(&object, Some(1));
        assert_eq!(memory.rests(&object, Some(1)), Some(wait));
        assert_eq!(memory.rests(&object, Some(2)), None);
        tokio::time::sleep(wait).await;
        assert_eq!(memory.rests(&object, Some(1)), None);
    }

    /// A cache that is behind showed the status from before; writing over it once more gave the times of transition anew.
    #[test]
    fn a_cache_that_is_behind_does_not_hide_what_was_written() {
        let memory = Memory::default();
        let copies = |object: &StoredObject| memory.status(object).map(|status| status.copies);
        assert_eq!(copies(&object("7")), Some(1));
        let written = |copies| LogStoreStatus { copies, ..LogStoreStatus::default() };
        memory.wrote(&object("7"), written(2), Some("8".to_owned()));
        assert_eq!(copies(&object("7")), Some(2));
        memory.wrote(&object("7"), written(3), Some("9".to_owned()));
        assert_eq!(
            (copies(&object("7")), copies(&object("8"))),
            (Some(3), Some(3)),
            "the cache comes through each version"
        );
        assert_eq!(copies(&object("9")), Some(1), "the cache has caught up");
        assert_eq!(copies(&object("10")), Some(1), "somebody else has written");
    }
}
