//! Waiting, always with a bound, and with what was seen last in the error.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::progress;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// After this time, and again and again, a person is told what is waited for.
const TELL_EVERY: Duration = Duration::from_secs(20);

/// Looks until the look is fine. A look that is not fine says in its error what it saw.
///
/// # Errors
/// After the bound, with the last look's error.
pub async fn until<T>(what: &str, bound: Duration, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let mut told = begun;
    let mut last = None;
    loop {
        let left = bound.saturating_sub(begun.elapsed());
        let seen = match tokio::time::timeout(left.max(PAUSE), look()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => seen,
            // What was seen before it says more.
            Err(_) => last.take().unwrap_or_else(|| anyhow!("a look that did not end")),
        };
        if begun.elapsed() >= bound {
            return Err(seen.context(format!("waited {} s until {what}; the last look", bound.as_secs())));
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            progress::say(&format!("{} s, waiting until {what}; now: {seen:#}", begun.elapsed().as_secs()));
        }
        last = Some(seen);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks all the time that it is still fine: for what must not happen, as far as a bounded time can show it.
///
/// # Errors
/// With the first look that is not fine.
pub async fn stays(what: &str, time: Duration, mut look: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        look().await.map_err(|seen| {
            seen.context(format!("{what} did not stay so; {} s after it was, the look", begun.elapsed().as_secs()))
        })?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn an_error_says_what_was_waited_for_and_what_was_seen() {
        let wait = until("the moon is full", Duration::from_millis(1), async || -> Result<()> {
            let moon = "half";
            ensure!(moon == "full", "the moon is {moon}");
            Ok(())
        });
        let error = format!("{:#}", block_on(wait).unwrap_err());
        assert_eq!(error, "waited 0 s until the moon is full; the last look: the moon is half");
    }

    #[test]
    fn a_look_that_hangs_is_bounded() {
        let error =
            block_on(until("it ends", Duration::from_millis(300), async || std::future::pending::<Result<()>>().await));
        assert!(format!("{:#}", error.unwrap_err()).contains("a look that did not end"));
    }

    #[test]
    fn what_stays_is_looked_at_more_than_once() {
        let mut looks = 0;
        let stays = stays("it", Duration::from_secs(1), async || {
            looks += 1;
            ensure!(looks < 3, "look {looks}");
            Ok(())
        });
        assert!(format!("{:#}", block_on(stays).unwrap_err()).ends_with("look 3"));
    }
}
