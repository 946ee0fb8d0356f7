//! Records that can be recognised: what each holds follows from a seed and a number, and says so itself.
//!
//! ```text
//! "lsbench " | checksum of what follows | " " | number | " " | seed | " " | filler        hexadecimal: 8, 16, 16 digits
//! ```
//! It is text, so that a person who reads the log sees what it is. A record that is shorter than its header is the
//! beginning of one, and can only be told by that.

/// How each record begins.
const MAGIC: &[u8] = b"lsbench ";
const CHECKSUM_LEN: usize = 8;
const NUMBER_LEN: usize = 16;
const CHECKED_AT: usize = MAGIC.len() + CHECKSUM_LEN;
const NUMBER_AT: usize = CHECKED_AT + 1;
const SEED_AT: usize = NUMBER_AT + NUMBER_LEN + 1;
const HEADER_LEN: usize = SEED_AT + NUMBER_LEN + 1;
/// Fillers begin at so many different places of one long text.
const PLACES: usize = 4096;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Makes records of one length.
#[derive(Debug)]
pub(super) struct Filler {
    seed: u64,
    record_bytes: usize,
    text: Vec<u8>,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// One of this tool's, as it was written.
    Ours,
    /// Begins as one of this tool's, and is not what was written.
    Wrong,
    /// Somebody else's.
    Foreign,
}

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) seed: u64,
    pub(super) number: u64,
}

impl Filler {
    pub(super) fn new(seed: u64, record_bytes: usize) -> Self {
        let mut random = Random::new(seed);
        let len = record_bytes.saturating_sub(HEADER_LEN) + PLACES;
        let text = (0..len).map(|_| LETTERS[low_bits(random.next(), 63)]).collect();
        Self { seed, record_bytes, text }
    }

    pub(super) fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// Puts the record with this number behind what is there.
    pub(super) fn push(&self, number: u64, out: &mut Vec<u8>) {
        let mut header = [b' '; HEADER_LEN];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        put_hex(&mut header[NUMBER_AT..][..NUMBER_LEN], number);
        put_hex(&mut header[SEED_AT..][..NUMBER_LEN], self.seed);
        let filler = self.record_bytes.saturating_sub(HEADER_LEN);
        let place = low_bits(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52, PLACES - 1);
        let filler = &self.text[place..][..filler];
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&header[CHECKED_AT..]), filler);
        put_hex(&mut header[MAGIC.len()..][..CHECKSUM_LEN], u64::from(checksum));
        out.extend_from_slice(&header[..HEADER_LEN.min(self.record_bytes)]);
        out.extend_from_slice(filler);
    }
}

/// Looks whether a record is what this tool has written.
pub(super) fn check(record: &[u8]) -> Found {
    let begins = MAGIC.len().min(record.len());
    if record[..begins] != MAGIC[..begins] {
        return Found::Foreign;
    }
    if record.len() < HEADER_LEN {
        return Found::Ours;
    }
    match hex(&record[MAGIC.len()..CHECKED_AT]) {
        Some(checksum) if checksum == u64::from(crc32c::crc32c(&record[CHECKED_AT..])) => Found::Ours,
        _ => Found::Wrong,
    }
}

/// Which record this is, where it is one of this tool's with a whole header.
pub(super) fn origin(record: &[u8]) -> Option<Origin> {
    let header = record.get(..HEADER_LEN).filter(|header| header.starts_with(MAGIC))?;
    let number = hex(&header[NUMBER_AT..][..NUMBER_LEN])?;
    Some(Origin { seed: hex(&header[SEED_AT..][..NUMBER_LEN])?, number })
}

/// The shortest record that says where it comes from.
pub(super) const ORIGIN_BYTES_MIN: usize = HEADER_LEN;

fn put_hex(place: &mut [u8], number: u64) {
    let mut left = number;
    for digit in place.iter_mut().rev() {
        *digit = DIGITS[low_bits(left, 15)];
        left >>= 4;
    }
}

/// The bits of a number that a mask leaves.
#[allow(clippy::cast_possible_truncation, reason = "the mask leaves few bits")]
fn low_bits(number: u64, mask: usize) -> usize {
    number as usize & mask
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number: u64, digit| {
        let value = (*digit as char).to_digit(16)?;
        Some(number << 4 | u64::from(value))
    })
}

/// Numbers that look like chance and follow from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        (wide >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_any_length_is_recognised() {
        for len in [1, 7, 8, 9, 50, 51, 52, 100, 5000] {
            let filler = Filler::new(7, len);
            let mut record = Vec::new();
            filler.push(u64::MAX - 3, &mut record);
            assert_eq!((record.len(), check(&record)), (len, Found::Ours), "{len}");
            let whole = len >= ORIGIN_BYTES_MIN;
            assert_eq!(origin(&record), whole.then_some(Origin { seed: 7, number: u64::MAX - 3 }), "{len}");
        }
    }

    #[test]
    fn a_changed_record_is_noticed_wherever_it_was_changed() {
        let mut record = Vec::new();
        Filler::new(1, 120).push(5, &mut record);
        for at in 0..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 1;
            let expected = if at < MAGIC.len() { Found::Foreign } else { Found::Wrong };
            assert_eq!(check(&changed), expected, "{at}");
        }
        record.pop();
        assert_eq!(check(&record), Found::Wrong);
        assert_eq!(check(b"hello"), Found::Foreign);
    }

    #[test]
    fn the_same_seed_and_number_give_the_same_record() {
        let record = |seed, number| {
            let mut out = Vec::new();
            Filler::new(seed, 90).push(number, &mut out);
            out
        };
        assert_eq!(record(1, 2), record(1, 2));
        assert_ne!(record(1, 2), record(1, 3));
        assert_ne!(record(1, 2), record(2, 2));
        let mut random = Random::new(3);
        assert!((0..1000).all(|_| random.below(3) < 3));
    }
}
