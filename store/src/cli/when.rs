//! Points in time as people write them on a command line.

use logstore_api::Timestamp;

use super::duration;

/// Parses `2026-01-31T12:00:00Z`, or `15m`, which is so long ago.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago =
        duration::parse(text).map_err(|_| "give a time such as 2026-01-31T12:00:00Z, or 15m for 15 minutes ago")?;
    let micros = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
    Ok(Timestamp(Timestamp::now().0.saturating_sub(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_points_or_so_long_ago() {
        assert_eq!(parse("2023-11-14T22:13:20.000042Z"), Ok(Timestamp(1_700_000_000_000_042)));
        assert_eq!(parse("2023-11-15T00:13:20+02:00"), Ok(Timestamp(1_700_000_000_000_000)));
        let now = Timestamp::now();
        let hour_ago = parse("1h").unwrap();
        assert!(now.seconds_since(hour_ago) <= 3600 && hour_ago < now);
        for text in ["", "noon", "2023-11-14", "-5m"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
