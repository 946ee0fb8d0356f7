//! Records as they were given, acknowledged and read back.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// A record as `logstore read` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// Its place.
    pub offset: u64,
    /// Its text.
    pub data: String,
}

/// A batch as `logstore append --offsets` tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Where it begins.
    pub offset: u64,
    /// Records in it.
    pub count: usize,
}

impl Record {
    /// The lines of `logstore read`.
    ///
    /// # Errors
    /// Names the line that is not understood.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("not an envelope: {line}")))
            .collect()
    }
}

impl Acknowledged {
    /// The lines of `logstore append --offsets`.
    ///
    /// # Errors
    /// Names the line that is not understood.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        text.lines().map(Self::parse_line).collect()
    }

    /// One such line.
    ///
    /// # Errors
    /// Where it is not understood.
    pub fn parse_line(line: &str) -> Result<Self> {
        let parsed = line
            .split_once(' ')
            .and_then(|(offset, count)| Some(Self { offset: offset.parse().ok()?, count: count.parse().ok()? }));
        parsed.with_context(|| format!("not OFFSET COUNT: {line:?}"))
    }
}

/// Numbered lines, each different from all others.
#[must_use]
pub fn numbered(what: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{what} {number}")).collect()
}

/// Whether every acknowledged record is in a copy, at the offset that was told. Batches are acknowledged in the order of
/// the lines.
///
/// # Errors
/// Names the first record that is missing or has moved.
pub fn check_acknowledged(acknowledged: &[Acknowledged], lines: &[String], copy: &[Record]) -> Result<()> {
    let mut given = lines.iter();
    let mut place = 0;
    for batch in acknowledged {
        for index in 0..batch.count {
            let line = given.next().context("more was acknowledged than given")?;
            let offset = batch.offset + index as u64;
            place += copy[place..].iter().take_while(|record| record.offset < offset).count();
            let found = copy.get(place).filter(|record| record.offset == offset);
            let found =
                found.with_context(|| format!("{line:?} was acknowledged at offset {offset}, where nothing is"))?;
            ensure!(found.data == *line, "{line:?} was acknowledged at offset {offset}, where {:?} is", found.data);
        }
    }
    Ok(())
}

/// Whether two copies hold the same.
///
/// # Errors
/// Names the first difference.
pub fn check_equal(one: &[Record], other: &[Record]) -> Result<()> {
    if let Some((one, other)) = one.iter().zip(other).find(|(one, other)| one != other) {
        anyhow::bail!("the copies differ: {one:?} and {other:?}");
    }
    ensure!(one.len() == other.len(), "the copies differ: {} and {} records", one.len(), other.len());
    Ok(())
}

/// Whether a log holds these lines and nothing else, from offset 0 on.
///
/// # Errors
/// Names the first difference.
pub fn check_holds(copy: &[Record], lines: &[String]) -> Result<()> {
    let wanted: Vec<Record> =
        lines.iter().zip(0..).map(|(line, offset)| Record { offset, data: line.clone() }).collect();
    check_equal(copy, &wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(records: &[(u64, &str)]) -> Vec<Record> {
        records.iter().map(|(offset, data)| Record { offset: *offset, data: (*data).to_owned() }).collect()
    }

    #[test]
    fn acknowledged_records_are_looked_for_at_their_offsets() {
        let lines = numbered("n", 3);
        let acknowledged = Acknowledged::parse("0 2\n5 1\n").unwrap();
        let check = |records: &[(u64, &str)]| {
            check_acknowledged(&acknowledged, &lines, &copy(records)).map_err(|error| error.to_string())
        };
        assert_eq!(check(&[(0, "n 0"), (1, "n 1"), (2, "x"), (5, "n 2"), (6, "y")]), Ok(()));
        assert_eq!(
            check(&[(0, "n 0"), (1, "n 1")]),
            Err("\"n 2\" was acknowledged at offset 5, where nothing is".to_owned())
        );
        assert_eq!(
            check(&[(0, "n 0"), (1, "n 2")]),
            Err("\"n 1\" was acknowledged at offset 1, where \"n 2\" is".to_owned())
        );
    }

    #[test]
    fn nothing_more_than_was_given_can_be_acknowledged() {
        assert!(
            check_acknowledged(
                &Acknowledged::parse("0 2").unwrap(),
                &numbered("n", 1),
                &copy(&[(0, "n 0"), (1, "n 1")])
            )
            .is_err()
        );
    }

    #[test]
    fn copies_differ_by_content_and_by_length() {
        let records = copy(&[(0, "a"), (1, "b")]);
        assert!(check_equal(&records, &records).is_ok());
        assert!(check_equal(&records, &records[..1]).is_err());
        assert!(check_equal(&records, &copy(&[(0, "a"), (2, "b")])).is_err());
        assert!(check_holds(&records, &["a".to_owned(), "b".to_owned()]).is_ok());
    }
}
