//! Which `LogStore`s have something to look at. Each stands in here once, however often it is touched, so this is never
//! larger than there are `LogStore`s and names of such that are gone.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, stream};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use super::resource::StoredObject;

/// Touched `LogStore`s, until somebody takes them.
#[derive(Clone, Debug, Default)]
pub struct Triggers {
    state: Arc<Mutex<State>>,
    notify: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    touched: HashSet<ObjectRef<StoredObject>>,
    /// All that were ever touched and are not known to be gone.
    known: HashSet<ObjectRef<StoredObject>>,
}

impl Triggers {
    /// Something about it has changed.
    pub fn touch(&self, object: ObjectRef<StoredObject>) {
        let mut state = self.state();
        state.known.insert(object.clone());
        state.touched.insert(object);
        self.notify.notify_one();
    }

    /// Anything may have changed.
    pub fn touch_all(&self) {
        let mut state = self.state();
        let known = state.known.clone();
        state.touched.extend(known);
        self.notify.notify_one();
    }

    /// It is gone.
    pub fn forget(&self, object: &ObjectRef<StoredObject>) {
        self.state().known.remove(object);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes them one by one. Before the first taker begins, they gather: a replica that becomes the leader looks at all.
    pub fn stream(self) -> impl Stream<Item = ObjectRef<StoredObject>> + Send + 'static {
        stream::unfold((self, Vec::new()), |(triggers, mut taken)| async move {
            loop {
                if let Some(object) = taken.pop() {
                    return Some((object, (triggers, taken)));
                }
                taken = triggers.take();
                if taken.is_empty() {
                    triggers.notify.notified().await;
                }
            }
        })
    }

    fn take(&self) -> Vec<ObjectRef<StoredObject>> {
        self.state().touched.drain().collect()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn what_was_touched_twice_comes_once() {
        let triggers = Triggers::default();
        let object = |name: &str| ObjectRef::new(name).within("default");
        triggers.touch(object("a"));
        triggers.touch(object("a"));
        let mut stream = std::pin::pin!(triggers.clone().stream());
        assert_eq!(stream.next().await, Some(object("a")));
        triggers.touch(object("b"));
        assert_eq!(stream.next().await, Some(object("b")));
    }

    #[tokio::test]
    async fn what_was_forgotten_is_not_touched_with_all() {
        let triggers = Triggers::default();
        let object = |name: &str| ObjectRef::new(name).within("default");
        triggers.touch(object("a"));
        triggers.touch(object("b"));
        assert_eq!(triggers.take().len(), 2);
        triggers.forget(&object("a"));
        triggers.touch_all();
        assert_eq!(triggers.take(), [object("b")]);
    }
}
