//! Waiting for a time, to some microseconds: tokio's own timers know milliseconds, which would show in every latency.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer of the kernel's.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: AsyncFd<OwnedFd>,
    /// What it is set to; 0 where it is not.
    set: u64,
}

impl Pacer {
    pub(super) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[allow(
            deprecated,
            reason = "unsound for types that lend another's file; this one is owned. Its successor is unsafe"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer, set: 0 })
    }

    /// Waits until so many nanoseconds after `begun`. May be dropped and called again.
    pub(super) async fn until(&mut self, begun: Instant, time: u64) -> io::Result<()> {
        loop {
            let left = Duration::from_nanos(time).saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            if self.set != time {
                let it_value = Timespec::try_from(left).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
                let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
                timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
                self.set = time;
            }
            // Setting it anew takes back that it has fired; one that fired for a call that was dropped is looked through.
            self.timer.readable().await?.clear_ready();
            self.set = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::SECOND;
    use super::*;

    #[tokio::test]
    async fn nothing_comes_before_its_time() {
        let (mut pacer, begun) = (Pacer::new().unwrap(), Instant::now());
        for time in [1, 300_000, 5_000_000, 5_000_001] {
            pacer.until(begun, time).await.unwrap();
            assert!(begun.elapsed() >= Duration::from_nanos(time));
        }
        let now = || u64::try_from(begun.elapsed().as_nanos()).unwrap();
        let far = now() + 3_600 * SECOND;
        assert!(tokio::time::timeout(Duration::from_millis(1), pacer.until(begun, far)).await.is_err());
        let near = now() + 1_000_000;
        pacer.until(begun, near).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_nanos(near));
    }
}
