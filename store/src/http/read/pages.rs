//! Pages that are made once for all who want the same one. A thousand followers of a log are woken by the same record; and
//! who reads a log from end to end wants next what stands behind, so that it is made while the page before it leaves.
//!
//! A page is kept for a moment. What it is made of is part of its [`Key`]: a page from before a patch or an erasure was
//! shown is never found after it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use logstore_api::Problem;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::print::Printer;
use crate::limits::{PAGE_KEPT_BYTES_MAX, PAGES_KEPT_BYTES, PAGES_KEPT_MAX, PAGES_KEPT_TIME};
use crate::log::Partition;
use crate::log::read::Range;

/// Records in the form of an answer.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where to go on.
    pub next: u64,
    /// The records; they hold their share of the memory.
    pub body: Bytes,
}

/// Everything that a page follows from.
#[derive(Clone, Debug)]
pub struct Key {
    log: Weak<Partition>,
    /// How many changes of records readers were shown before it was begun.
    changes: u64,
    range: Range,
    /// Records at most, and bytes.
    bounds: (usize, usize),
    printer: Arc<Printer>,
}

impl Key {
    /// The key of the page that is made from now on.
    #[must_use]
    pub fn new(log: &Arc<Partition>, range: Range, bounds: (usize, usize), printer: Arc<Printer>) -> Self {
        Self { log: Arc::downgrade(log), changes: log.changes_shown(), range, bounds, printer }
    }

    /// Whether such a page is small enough to be kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.bounds.1 <= PAGE_KEPT_BYTES_MAX
    }

    fn is_alike(&self, other: &Self) -> bool {
        self.log.ptr_eq(&other.log) && self.bounds == other.bounds && self.printer == other.printer
    }

    fn is(&self, other: &Self) -> bool {
        self.range == other.range && self.changes == other.changes && self.is_alike(other)
    }
}

/// A page, or a place for one that is being made, or why it could not be made.
type Slot = Arc<OnceCell<Result<Page, Problem>>>;

#[derive(Debug)]
struct Kept {
    key: Key,
    since: Instant,
    slot: Slot,
}

/// The pages that are kept, the oldest first, and where the last readers have ended.
#[derive(Debug, Default)]
pub struct Pages {
    kept: Mutex<VecDeque<Kept>>,
    /// Somebody lets them go when their time is over.
    is_swept: AtomicBool,
    ends: Mutex<VecDeque<(Key, u64)>>,
}

impl Pages {
    /// The page with this key, made by the first who asks for it; the others wait. An error is for all who have waited.
    pub async fn get<Making>(self: &Arc<Self>, key: Key, make: impl FnOnce() -> Making) -> Result<Page, Problem>
    where
        Making: Future<Output = Result<Page, Problem>>,
    {
        self.made(self.slot(key), make).await
    }

    /// The same where it is there or being made already, else one that nobody else gets.
    pub async fn find<Making>(&self, key: &Key, make: impl FnOnce() -> Making) -> Result<Page, Problem>
    where
        Making: Future<Output = Result<Page, Problem>>,
    {
        let slot = find(&lock(&self.kept), key);
        match slot {
            Some(slot) => self.made(slot, make).await,
            None => make().await,
        }
    }

    async fn made<Making>(&self, slot: Slot, make: impl FnOnce() -> Making) -> Result<Page, Problem>
    where
        Making: Future<Output = Result<Page, Problem>>,
    {
        let made = slot.get_or_init(make).await.clone();
        // After an error, who comes now tries again; one large record is more than a page should be.
        if made.as_ref().map_or(true, |page| page.body.len() > PAGE_KEPT_BYTES_MAX) {
            lock(&self.kept).retain(|kept| !Arc::ptr_eq(&kept.slot, &slot));
        }
        made
    }

    /// Notes where a page has ended; whether its reader began where an earlier one like it did.
    pub fn reads_on(&self, key: &Key, next: u64) -> bool {
        let mut ends = lock(&self.ends);
        let before = ends.iter().position(|(other, end)| *end == key.range.from && other.is_alike(key));
        let was_there = before.is_some_and(|at| ends.remove(at).is_some());
        ends.push_back((key.clone(), next));
        while ends.len() > PAGES_KEPT_MAX {
            ends.pop_front();
        }
        was_there
    }

    fn slot(self: &Arc<Self>, key: Key) -> Slot {
        let mut kept = lock(&self.kept);
        if let Some(slot) = find(&kept, &key) {
            return slot;
        }
        let bytes = |kept: &VecDeque<Kept>| kept.iter().map(Kept::bytes).sum::<usize>();
        while kept.len() >= PAGES_KEPT_MAX || bytes(&kept) > PAGES_KEPT_BYTES {
            kept.pop_front();
        }
        if !self.is_swept.swap(true, Ordering::SeqCst) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        let slot = Slot::default();
        kept.push_back(Kept { key, since: Instant::now(), slot: Arc::clone(&slot) });
        slot
    }

    /// Lets pages go whose time is over; whether any are left.
    fn let_go(&self) -> bool {
        let mut kept = lock(&self.kept);
        while kept.pop_front_if(|oldest| oldest.since.elapsed() >= PAGES_KEPT_TIME).is_some() {}
        // Under the lock: whoever keeps the next one sees it.
        self.is_swept.store(!kept.is_empty(), Ordering::SeqCst);
        !kept.is_empty()
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.slot.get().and_then(|made| made.as_ref().ok()).map_or(0, |page| page.body.len())
    }
}

/// Lets pages go by themselves: they hold a share of the memory, for which somebody else may wait. It ends with the last.
async fn sweep(pages: Weak<Pages>) {
    loop {
        tokio::time::sleep(PAGES_KEPT_TIME).await;
        if !pages.upgrade().is_some_and(|pages| pages.let_go()) {
            return;
        }
    }
}

fn find(kept: &VecDeque<Kept>, key: &Key) -> Option<Slot> {
    kept.iter().rev().find(|kept| kept.key.is(key)).map(|kept| Arc::clone(&kept.slot))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::http::accept::Form;

    fn key(from: u64, changes: u64) -> Key {
        let printer = Printer { form: Form::Text, all_meta: false, partition: 0, indices: Vec::new() };
        let range = Range { from, until: from + 10 };
        Key { log: Weak::new(), changes, range, bounds: (10, 1000), printer: Arc::new(printer) }
    }

    fn page(len: usize) -> Page {
        Page { next: 10, body: vec![b'x'; len].into() }
    }

    async fn get(pages: &Arc<Pages>, key: Key, len: usize, made: &AtomicUsize) -> usize {
        let make = || async {
            made.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(page(len))
        };
        pages.get(key, make).await.unwrap().body.len()
    }

    #[tokio::test]
    async fn a_page_is_made_once_for_all_who_want_it() {
        let (pages, made) = (Arc::new(Pages::default()), Arc::new(AtomicUsize::new(0)));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (pages, made) = (Arc::clone(&pages), Arc::clone(&made));
            all.spawn(async move { get(&pages, key(5, 0), 7, &made).await });
        }
        assert_eq!(all.join_all().await, [7; 100]);
        assert_eq!(made.load(Ordering::SeqCst), 1);
        let refused = |_: &Page| panic!("it is there");
        let found = pages.find(&key(5, 0), || async { Ok(page(1)).inspect(refused) }).await.unwrap();
        assert_eq!(found.body.len(), 7);
    }

    #[tokio::test]
    async fn another_place_another_form_and_a_change_since_are_another_page() {
        let (pages, made) = (Arc::new(Pages::default()), AtomicUsize::new(0));
        let longer = Key { range: Range { from: 5, until: 16 }, ..key(5, 0) };
        let smaller = Key { bounds: (10, 999), ..key(5, 0) };
        let all_meta = Printer { all_meta: true, ..(*key(5, 0).printer).clone() };
        let fuller = Key { printer: Arc::new(all_meta), ..key(5, 0) };
        let all = [key(5, 0), key(6, 0), key(5, 1), longer, smaller, fuller];
        for (number, key) in all.iter().enumerate() {
            assert_eq!(get(&pages, key.clone(), number, &made).await, number);
        }
        assert_eq!(made.load(Ordering::SeqCst), all.len());
    }

    #[tokio::test]
    async fn an_error_is_for_all_who_have_waited_and_for_nobody_behind_them() {
        let (pages, made) = (Arc::new(Pages::default()), AtomicUsize::new(0));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let pages = Arc::clone(&pages);
            let fail = || async {
                tokio::task::yield_now().await;
                Err(super::super::trimmed(5, Default::default()))
            };
            all.spawn(async move { pages.get(key(5, 0), fail).await.unwrap_err().code });
        }
        assert_eq!(all.join_all().await, ["trimmed"; 100]);
        assert_eq!(get(&pages, key(5, 0), 3, &made).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn pages_go_by_themselves_after_a_moment_and_beyond_their_bounds() {
        let (pages, made) = (Arc::new(Pages::default()), AtomicUsize::new(0));
        let count = || pages.kept.lock().unwrap().len();
        for round in 0..2 {
            for from in 0..2 * PAGES_KEPT_MAX as u64 {
                get(&pages, key(from, round), 1, &made).await;
            }
            assert_eq!(count(), PAGES_KEPT_MAX);
            tokio::time::sleep(3 * PAGES_KEPT_TIME).await;
            assert_eq!(count(), 0);
        }
        for from in 0..8 {
            get(&pages, key(from, 0), PAGE_KEPT_BYTES_MAX, &made).await;
        }
        assert!(count() <= 1 + PAGES_KEPT_BYTES.div_ceil(PAGE_KEPT_BYTES_MAX), "{}", count());
        let large = Key { bounds: (1, PAGE_KEPT_BYTES_MAX + 1), ..key(0, 0) };
        assert!(key(0, 0).is_kept() && !large.is_kept());
    }

    #[tokio::test]
    async fn a_page_with_one_large_record_is_given_to_who_waits_and_not_kept() {
        let (pages, made) = (Arc::new(Pages::default()), AtomicUsize::new(0));
        for times in 1..3 {
            let len = PAGE_KEPT_BYTES_MAX + 1;
            assert_eq!(get(&pages, key(0, 0), len, &made).await, len);
            assert_eq!((made.load(Ordering::SeqCst), pages.kept.lock().unwrap().len()), (times, 0));
        }
    }

    #[test]
    fn who_reads_on_where_a_page_has_ended_is_known_once() {
        let pages = Pages::default();
        assert!(!pages.reads_on(&key(0, 0), 10), "the first");
        assert!(pages.reads_on(&key(10, 0), 20));
        assert!(!pages.reads_on(&key(10, 0), 20), "somebody else");
        assert!(!pages.reads_on(&Key { bounds: (1, 1), ..key(20, 0) }, 30), "of another size");
        for from in 0..200 {
            pages.reads_on(&key(1000 + 20 * from, 0), 5);
        }
        assert_eq!(pages.ends.lock().unwrap().len(), PAGES_KEPT_MAX);
    }
}
