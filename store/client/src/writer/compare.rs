//! Comparing the copies before a takeover: pure decisions about what they answered.

use logstore_api::Durability;
use logstore_api::fence::{FenceAnswer, PartitionTail};

use super::error::WriterError;

/// What one copy answered.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    /// The copy's address.
    pub(super) copy: String,
    pub(super) answer: FenceAnswer,
}

impl Answered {
    /// Where a partition ends; which one may be left out where there is one.
    pub(super) fn tail(&self, partition: Option<u32>) -> Result<PartitionTail, WriterError> {
        let tails = &self.answer.partitions;
        match partition {
            None if tails.len() > 1 => Err(WriterError::WhichPartition { copy: self.copy.clone(), count: tails.len() }),
            partition => {
                let partition = partition.unwrap_or(0);
                let tail = tails.iter().find(|tail| tail.partition == partition).copied();
                let (copy, count) = (self.copy.clone(), tails.len());
                tail.ok_or(WriterError::NoSuchPartition { copy, partition, count })
            }
        }
    }
}

/// The copies are different stores with the same life of the namespace.
pub(super) fn check_same_namespace(copies: &[Answered]) -> Result<(), WriterError> {
    let Some(first) = copies.first() else { return Err(WriterError::NoCopies) };
    for (index, second) in copies.iter().enumerate().skip(1) {
        if let Some(twin) = copies[..index].iter().find(|twin| twin.answer.node == second.answer.node) {
            let (first, second, node) = (twin.copy.clone(), second.copy.clone(), second.answer.node);
            return Err(WriterError::SameStore { first, second, node });
        }
        if first.answer.incarnation != second.answer.incarnation {
            return Err(WriterError::OtherIncarnation {
                first: first.copy.clone(),
                first_is: first.answer.incarnation,
                second: second.copy.clone(),
                second_is: second.answer.incarnation,
            });
        }
    }
    Ok(())
}

/// An epoch above all that the copies have seen, in a fence or in a frame.
pub(super) fn next_epoch(copies: &[Answered]) -> Result<u32, WriterError> {
    let fences = copies.iter().filter_map(|copy| copy.answer.reign.as_ref()).map(|reign| reign.epoch);
    let frames = copies.iter().flat_map(|copy| &copy.answer.partitions).map(|tail| tail.last_epoch);
    let highest = fences.chain(frames).max().unwrap_or(0);
    highest.checked_add(1).ok_or(WriterError::EpochsExhausted(highest))
}

/// The level that all copies acknowledge at: the stricter one, should they differ while a change of it is on its way.
pub(super) fn durability(copies: &[Answered]) -> Durability {
    match copies.iter().any(|copy| copy.answer.durability == Durability::Synced) {
        true => Durability::Synced,
        false => Durability::Written,
    }
}

/// The most up-to-date log, by last epoch and then by length. All others are beginnings of it, as far as their ends tell.
///
/// Whatever was ever acknowledged is in it: every copy has it.
pub(super) fn longest(copies: &[Answered], partition: Option<u32>) -> Result<PartitionTail, WriterError> {
    let tails = copies.iter().map(|copy| Ok((copy, copy.tail(partition)?))).collect::<Result<Vec<_>, WriterError>>()?;
    let winner = tails.iter().max_by_key(|(_, tail)| (tail.last_epoch, tail.next_frame));
    let (winner, longest) = winner.ok_or(WriterError::NoCopies)?;
    let diverged = |copy: &Answered, what| Err(WriterError::Diverged { copy: copy.copy.clone(), what });
    for (copy, tail) in &tails {
        if tail.next_frame > longest.next_frame {
            return diverged(
                copy,
                format!(
                    "it has {} frames up to epoch {}, and {} has {} up to epoch {}",
                    tail.next_frame, tail.last_epoch, winner.copy, longest.next_frame, longest.last_epoch
                ),
            );
        }
        let same_end = (tail.last_epoch, tail.last_checksum) == (longest.last_epoch, longest.last_checksum);
        if tail.next_frame == longest.next_frame && !same_end {
            return diverged(
                copy,
                format!(
                    "before frame {} it holds checksum {:08x} of epoch {}, and {} holds {:08x} of epoch {}",
                    tail.next_frame,
                    tail.last_checksum,
                    tail.last_epoch,
                    winner.copy,
                    longest.last_checksum,
                    longest.last_epoch
                ),
            );
        }
    }
    Ok(*longest)
}

#[cfg(test)]
mod tests {
    use logstore_api::fence::Reign;
    use uuid::Uuid;

    use super::*;

    fn copy(name: &str, last_epoch: u32, next_frame: u64, last_checksum: u32) -> Answered {
        let tail = PartitionTail {
            partition: 0,
            first_frame: 0,
            next_frame,
            last_epoch,
            last_checksum,
            next_offset: next_frame,
            last_time: 0,
            confirmed: 0,
        };
        let answer = FenceAnswer {
            node: Uuid::new_v4(),
            incarnation: Uuid::nil(),
            reign: None,
            durability: Durability::Written,
            partitions: vec![tail],
        };
        Answered { copy: name.to_owned(), answer }
    }

    fn diverged(copies: &[Answered]) -> String {
        match longest(copies, None) {
            Err(WriterError::Diverged { copy, .. }) => copy,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_longest_log_of_the_last_epoch_wins() {
        let copies = [copy("a", 1, 5, 50), copy("b", 2, 7, 70), copy("c", 2, 6, 60)];
        assert_eq!(longest(&copies, None).unwrap().next_frame, 7);
        assert_eq!(longest(&[copy("a", 0, 0, 0), copy("b", 0, 0, 0)], None).unwrap().next_frame, 0);
    }

    #[test]
    fn logs_that_cannot_be_one_are_reported_by_name() {
        assert_eq!(diverged(&[copy("a", 1, 9, 90), copy("b", 2, 7, 70)]), "a");
        assert_eq!(diverged(&[copy("a", 2, 7, 71), copy("b", 2, 7, 70)]), "a");
        assert_eq!(diverged(&[copy("a", 1, 7, 70), copy("b", 2, 7, 70)]), "a");
    }

    #[test]
    fn a_partition_that_a_copy_has_not_is_named() {
        let copies = [copy("a", 1, 5, 50)];
        let missing = longest(&copies, Some(1)).unwrap_err();
        assert!(matches!(missing, WriterError::NoSuchPartition { partition: 1, count: 1, .. }), "{missing}");
        let mut several = copy("a", 1, 5, 50);
        several.answer.partitions.push(PartitionTail { partition: 1, next_frame: 9, ..several.answer.partitions[0] });
        assert!(matches!(several.tail(None), Err(WriterError::WhichPartition { count: 2, .. })));
        assert_eq!(longest(&[several], Some(1)).unwrap().next_frame, 9);
    }

    #[test]
    fn the_epoch_is_above_every_fence_and_every_frame() {
        let mut copies = [copy("a", 4, 1, 0), copy("b", 3, 1, 0)];
        assert_eq!(next_epoch(&copies).unwrap(), 5);
        copies[1].answer.reign = Some(Reign { epoch: 8, writer: Uuid::nil(), label: String::new() });
        assert_eq!(next_epoch(&copies).unwrap(), 9);
        copies[0].answer.partitions[0].last_epoch = u32::MAX;
        assert!(matches!(next_epoch(&copies), Err(WriterError::EpochsExhausted(u32::MAX))));
    }

    #[test]
    fn one_store_twice_is_not_two_copies() {
        let (a, mut b) = (copy("a", 0, 0, 0), copy("b", 0, 0, 0));
        assert!(check_same_namespace(&[a.clone(), b.clone()]).is_ok());
        b.answer.incarnation = Uuid::from_u128(1);
        assert!(matches!(check_same_namespace(&[a.clone(), b]), Err(WriterError::OtherIncarnation { .. })));
        assert!(matches!(check_same_namespace(&[a.clone(), a]), Err(WriterError::SameStore { .. })));
        assert!(matches!(check_same_namespace(&[]), Err(WriterError::NoCopies)));
    }

    #[test]
    fn the_stricter_level_holds_for_all() {
        let (a, mut b) = (copy("a", 0, 0, 0), copy("b", 0, 0, 0));
        assert_eq!(durability(&[a.clone(), b.clone()]), Durability::Written);
        b.answer.durability = Durability::Synced;
        assert_eq!(durability(&[a, b]), Durability::Synced);
    }
}
