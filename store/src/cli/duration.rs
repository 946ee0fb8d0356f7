//! Durations as people write them on a command line.

use std::time::Duration;

use jiff::SignedDuration;

/// Parses `60s`, `250ms`, `2m`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|_| "give a duration such as 60s, 250ms or 2m".to_owned())?;
    duration.try_into().map_err(|_| "a duration cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in [("60s", 60_000), ("250ms", 250), ("2m", 120_000), ("1h 30m", 5_400_000), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "5 parsecs", "-5s"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
