//! Points in time, as the wire shows them: RFC 3339, microseconds, UTC.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of the text of a time.
const TEXT_LEN: usize = 27;
/// The first microsecond that takes more digits.
const YEAR_10000_MICROS: u64 = 253_402_300_800_000_000;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// What the clock of this machine says.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// Whole seconds from `earlier` to this; 0 if `earlier` is later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0) / 1_000_000).unwrap_or(0)
    }
}

impl Timestamp {
    /// Its text, of a time from 1970 to 9999. Each record of an answer has one, so that it is written without a calendar
    /// of all times and zones.
    fn text(self) -> Option<[u8; TEXT_LEN]> {
        let micros = u64::try_from(self.0).ok().filter(|micros| *micros < YEAR_10000_MICROS)?;
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let fields = [(0, 4, year), (5, 2, month), (8, 2, day), (11, 2, second / 3600)];
        let rest = [(14, 2, second / 60 % 60), (17, 2, second % 60), (20, 6, micros)];
        for (at, len, number) in fields.into_iter().chain(rest) {
            put_digits(&mut text[at..at + len], number);
        }
        Some(text)
    }
}

/// Year, month and day, so many days behind 1970-01-01. Years begin in March here, so that the leap day is the last of one.
fn date(days: u64) -> (u64, u64, u64) {
    let since_march_0000 = days + 719_468;
    let (era, day) = (since_march_0000 / 146_097, since_march_0000 % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    let month = if is_next_year { month - 9 } else { month + 3 };
    (era * 400 + year + u64::from(is_next_year), month, day)
}

fn put_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.text()
            && let Ok(text) = std::str::from_utf8(&text)
        {
            return f.write_str(text);
        }
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(f, "{time:.6}"),
            // Only a clock far outside the calendar comes here.
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl std::str::FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        Ok(Self(text.parse::<jiff::Timestamp>()?.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_written_as_the_calendar_has_it(micros in -1_000_000_000i64..253_402_300_900_000_000) {
            let expected = jiff::Timestamp::from_microsecond(micros).map(|time| format!("{time:.6}"));
            prop_assert_eq!(Timestamp(micros).to_string(), expected.unwrap_or_else(|_| format!("{micros}us")));
        }
    }

    #[test]
    fn each_day_of_eight_centuries_is_written_as_the_calendar_has_it() {
        for day in 0..300_000 {
            let micros = day * 86_400_000_000 + 86_399_999_999;
            let expected = jiff::Timestamp::from_microsecond(micros).unwrap();
            assert_eq!(Timestamp(micros).to_string(), format!("{expected:.6}"));
        }
    }

    #[test]
    fn times_are_rfc_3339_with_microseconds() {
        let time = Timestamp(1_700_000_000_000_042);
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.000042Z");
        assert_eq!(time.to_string().parse::<Timestamp>().ok(), Some(time));
    }
}
