//! The frames that not all copies are known to hold, in their one order.

use std::collections::VecDeque;

use bytes::Bytes;

/// Frames from number `base` on, without gaps. `T` stands for whoever waits for a frame.
#[derive(Debug)]
pub(super) struct Window<T> {
    base: u64,
    /// Wire checksum of the frame before `base`; 0 for the first of all.
    previous: u32,
    frames: VecDeque<Framed<T>>,
}

#[derive(Debug)]
struct Framed<T> {
    bytes: Bytes,
    checksum: u32,
    waiter: T,
}

/// Frames of one place, in order. Without frames, `first` is the number that comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) first: u64,
    /// Wire checksum of the frame before `first`.
    pub(super) previous: u32,
    pub(super) frames: Vec<Bytes>,
}

impl Batch {
    /// The number behind its last frame.
    pub(super) fn next(&self) -> u64 {
        self.first + self.frames.len() as u64
    }
}

impl<T> Window<T> {
    pub(super) fn new(base: u64, previous: u32) -> Self {
        Self { base, previous, frames: VecDeque::new() }
    }

    /// The first number in it; all copies hold what is below.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The number that the next frame gets.
    pub(super) fn end(&self) -> u64 {
        self.base + self.frames.len() as u64
    }

    pub(super) fn push(&mut self, bytes: Bytes, checksum: u32, waiter: T) {
        self.frames.push_back(Framed { bytes, checksum, waiter });
    }

    /// Wire checksum of the frame before this number, where the window knows it: from `base` to `end`.
    pub(super) fn checksum_before(&self, number: u64) -> Option<u32> {
        match self.index(number)? {
            0 => Some(self.previous),
            index => self.frames.get(index - 1).map(|frame| frame.checksum),
        }
    }

    /// The frames from `first` on that fit into `bytes_max`, and one at least where there is one. `None` outside the window.
    pub(super) fn batch(&self, first: u64, bytes_max: usize) -> Option<Batch> {
        let previous = self.checksum_before(first)?;
        let mut len = 0;
        let fitting = self.frames.iter().skip(self.index(first)?).take_while(|frame| {
            let is_first = len == 0;
            len += frame.bytes.len();
            is_first || len <= bytes_max
        });
        Some(Batch { first, previous, frames: fitting.map(|frame| frame.bytes.clone()).collect() })
    }

    /// Drops the frames below this number, and gives those who wait for them, in order.
    pub(super) fn drop_below(&mut self, number: u64) -> Vec<T> {
        let count = self.index(number).unwrap_or(0).min(self.frames.len());
        if let Some(previous) = self.checksum_before(self.base + count as u64) {
            self.previous = previous;
        }
        self.base += count as u64;
        self.frames.drain(..count).map(|frame| frame.waiter).collect()
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.base)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window<char> {
        let mut window = Window::new(7, 70);
        for (number, waiter) in [(8, 'a'), (9, 'b'), (10, 'c')] {
            window.push(Bytes::from(vec![0; 10]), number * 10, waiter);
        }
        window
    }

    #[test]
    fn checksums_are_known_inside_the_window_only() {
        let window = window();
        let known: Vec<_> = (6..=11).map(|number| window.checksum_before(number)).collect();
        assert_eq!(known, [None, Some(70), Some(80), Some(90), Some(100), None]);
    }

    #[test]
    fn a_batch_holds_what_fits_and_one_frame_at_least() {
        let window = window();
        let shape = |first, bytes_max| {
            let batch = window.batch(first, bytes_max)?;
            Some((batch.previous, batch.frames.len(), batch.next()))
        };
        assert_eq!(shape(7, 20), Some((70, 2, 9)));
        assert_eq!(shape(8, 1), Some((80, 1, 9)));
        assert_eq!(shape(9, 100), Some((90, 1, 10)));
        assert_eq!(shape(10, 100), Some((100, 0, 10)));
        assert_eq!((shape(6, 100), shape(11, 100)), (None, None));
    }

    #[test]
    fn what_all_hold_leaves_in_order() {
        let mut window = window();
        assert_eq!(window.drop_below(5), []);
        assert_eq!(window.drop_below(9), ['a', 'b']);
        assert_eq!((window.base(), window.end(), window.checksum_before(9)), (9, 10, Some(90)));
        assert_eq!(window.drop_below(99), ['c']);
        assert_eq!((window.base(), window.checksum_before(10)), (10, Some(100)));
    }
}
