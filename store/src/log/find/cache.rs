//! What was read from side files, or made in their place, in memory: bounded in bytes, and what is not asked for goes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is counted for an entry beside its content.
const ENTRY_BYTES: usize = 96;

/// Names an entry: whose it is, and which of them.
pub type Key = (u64, u32);

/// Values by key. An entry that was asked for since it was last looked at gets a second chance before it goes, so a walk
/// over everything does not push out what is asked for again and again.
#[derive(Debug)]
pub struct Cache<V> {
    inner: Mutex<Inner<V>>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Inner<V> {
    slots: HashMap<Key, Slot<V>>,
    order: VecDeque<Key>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    bytes: usize,
    asked: bool,
}

impl<V: Clone> Cache<V> {
    /// An empty one.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let inner = Inner { slots: HashMap::new(), order: VecDeque::new(), bytes: 0 };
        Self { inner: Mutex::new(inner), bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<V> {
        let mut inner = self.lock();
        let slot = inner.slots.get_mut(&key)?;
        slot.asked = true;
        Some(slot.value.clone())
    }

    /// Keeps a value that takes about so many bytes. One that is larger than the whole bound is kept alone.
    pub fn put(&self, key: Key, value: V, bytes: usize) {
        let bytes = bytes + ENTRY_BYTES;
        let mut inner = self.lock();
        inner.remove(key);
        while inner.bytes + bytes > self.bytes_max && inner.let_go() {}
        inner.bytes += bytes;
        inner.order.push_back(key);
        inner.slots.insert(key, Slot { value, bytes, asked: false });
    }

    /// Forgets a key.
    pub fn remove(&self, key: Key) {
        self.lock().remove(key);
    }

    /// Bytes in use.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl<V> Inner<V> {
    fn remove(&mut self, key: Key) {
        if let Some(slot) = self.slots.remove(&key) {
            self.bytes -= slot.bytes;
            self.order.retain(|other| *other != key);
        }
    }

    /// Lets the next entry go that was not asked for; whether there was any.
    fn let_go(&mut self) -> bool {
        while let Some(key) = self.order.pop_front() {
            match self.slots.get_mut(&key) {
                Some(slot) if slot.asked => {
                    slot.asked = false;
                    self.order.push_back(key);
                }
                Some(_) => {
                    let slot = self.slots.remove(&key);
                    self.bytes -= slot.map_or(0, |slot| slot.bytes);
                    return true;
                }
                None => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_below_the_bound_and_what_is_asked_for_stays() {
        let cache = Cache::new(10 * (100 + ENTRY_BYTES));
        cache.put((0, 0), 0, 100);
        for number in 1..1000 {
            assert_eq!(cache.get((0, 0)), Some(0), "asked for before each");
            cache.put((0, number), number, 100);
            assert!(cache.bytes() <= 10 * (100 + ENTRY_BYTES));
        }
        assert_eq!(cache.get((0, 999)), Some(999));
        assert_eq!(cache.get((0, 500)), None);
        cache.put((0, 999), 7, 100);
        assert_eq!(cache.get((0, 999)), Some(7), "replaced");
        cache.put((1, 0), 1, usize::MAX / 2);
        assert_eq!((cache.get((1, 0)), cache.get((0, 999))), (Some(1), None), "larger than the bound: alone");
        cache.remove((1, 0));
        assert_eq!(cache.bytes(), 0);
    }
}
