//! Which partition an append goes to: the one it names, the one of its keys, or any.

use logstore_api::{Code, Problem};

/// The partition of a key. Clients may rely on it: the remainder of the key's XXH3 hash (64 bits, no seed).
#[must_use]
pub fn partition_of_key(key: &[u8], partitions: u32) -> u32 {
    let remainder = xxhash_rust::xxh3::xxh3_64(key) % u64::from(partitions.max(1));
    u32::try_from(remainder).unwrap_or(0)
}

/// The partition of a batch's keys, found while its records are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    partitions: u32,
    /// The request says which: keys choose nothing.
    named: Option<u32>,
    of_keys: Option<u32>,
}

impl Placement {
    /// A batch for a namespace with so many partitions; `named` is the one that the request names.
    #[must_use]
    pub fn new(partitions: u32, named: Option<u32>) -> Self {
        Self { partitions, named, of_keys: None }
    }

    /// Looks at the key of a record.
    pub fn see(&mut self, key: Option<&str>) -> Result<(), Problem> {
        let Some(key) = key.filter(|_| self.named.is_none() && self.partitions > 1) else { return Ok(()) };
        let partition = partition_of_key(key.as_bytes(), self.partitions);
        match self.of_keys.replace(partition) {
            Some(other) if other != partition => {
                let detail = format!(
                    "the batch is stored whole in one partition, but its keys belong to partitions {other} and {partition}; name one with partition=, or send a batch for each"
                );
                Err(Problem::new(Code::InvalidArgument, detail).field("key").expected(other).got(partition))
            }
            _ => Ok(()),
        }
    }

    /// Where the batch goes; `None` leaves it to the store, unless something counts within one partition.
    pub fn choose(self, counts_within_one: Option<&str>) -> Result<Option<u32>, Problem> {
        match (self.named.or(self.of_keys), counts_within_one) {
            (None, _) if self.partitions == 1 => Ok(Some(0)),
            (None, Some(what)) => {
                let detail = format!(
                    "{what} within one of the {} partitions; name one with partition=, or give a key",
                    self.partitions
                );
                Err(Problem::new(Code::InvalidArgument, detail).field("partition"))
            }
            (choice, _) => Ok(choice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down in the API's documentation, so that clients can compute it.
    #[test]
    fn the_partition_of_a_key_is_for_ever() {
        let of = |key: &str| partition_of_key(key.as_bytes(), 8);
        assert_eq!([of(""), of("a"), of("customer-17"), of("ü")], [2, 7, 4, 6]);
        assert_eq!(partition_of_key(b"anything", 1), 0);
    }

    #[test]
    fn keys_of_one_batch_belong_to_one_partition() {
        let (one, other) = (
            "a",
            (0..)
                .map(|n| n.to_string())
                .find(|key| partition_of_key(key.as_bytes(), 2) != partition_of_key(b"a", 2))
                .unwrap(),
        );
        let place = |named, keys: &[Option<&str>]| {
            let mut placement = Placement::new(2, named);
            keys.iter().try_for_each(|key| placement.see(*key))?;
            placement.choose(None)
        };
        assert_eq!(place(None, &[None, None]), Ok(None));
        assert_eq!(place(None, &[None, Some(one), Some(one)]), Ok(Some(partition_of_key(one.as_bytes(), 2))));
        assert_eq!(place(None, &[Some(one), None, Some(&other)]).unwrap_err().field.as_deref(), Some("key"));
        assert_eq!(place(Some(1), &[Some(one), Some(&other)]), Ok(Some(1)));
    }

    #[test]
    fn a_producer_says_where_its_sequence_counts() {
        assert_eq!(Placement::new(1, None).choose(Some("a sequence counts")), Ok(Some(0)));
        assert_eq!(
            Placement::new(3, None).choose(Some("a sequence counts")).unwrap_err().field.as_deref(),
            Some("partition")
        );
        assert_eq!(Placement::new(3, Some(2)).choose(Some("a sequence counts")), Ok(Some(2)));
    }
}
