//! Numbers in side files: varints, and numbers of a few bits packed.

/// Appends a varint: seven bits at a time, low ones first.
#[allow(clippy::cast_possible_truncation, reason = "seven bits at a time")]
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a varint; `None` where there is none that fits 64 bits.
pub fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes some bytes.
pub fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

/// Bits that a number needs.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "at most 64")]
pub fn bits_of(number: u64) -> u8 {
    (64 - number.leading_zeros()) as u8
}

/// Bytes of so many numbers of so many bits.
#[must_use]
pub fn packed_len(count: usize, bits: u8) -> usize {
    (count * usize::from(bits)).div_ceil(8)
}

/// Appends numbers of `bits` bits each, low bits first.
#[allow(clippy::cast_possible_truncation, reason = "a byte at a time")]
pub fn pack(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>, bits: u8) {
    let (mut held, mut held_bits) = (0_u128, 0_u8);
    for number in numbers {
        held |= u128::from(number) << held_bits;
        held_bits += bits;
        while held_bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            held_bits -= 8;
        }
    }
    if held_bits > 0 {
        out.push(held as u8);
    }
}

/// Reads packed numbers back: `count` of them, fewer where the bytes end.
#[allow(clippy::cast_possible_truncation, reason = "masked")]
pub fn unpack(bytes: &[u8], count: usize, bits: u8) -> impl Iterator<Item = u64> {
    let mask = if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
    let (mut held, mut held_bits) = (0_u128, 0_u8);
    let mut bytes = bytes.iter();
    (0..count).map_while(move |_| {
        while held_bits < bits {
            held |= u128::from(*bytes.next()?) << held_bits;
            held_bits += 8;
        }
        let number = held as u64 & mask;
        held >>= bits;
        held_bits -= bits;
        Some(number)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_read_back(number: u64, shift in 0u32..64) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            let mut rest = &bytes[..];
            prop_assert_eq!((take_varint(&mut rest), rest.len()), (Some(number), 0));
            prop_assert_eq!(take_varint(&mut &bytes[..bytes.len() - 1]), None);
        }

        #[test]
        fn packed_numbers_read_back(numbers in proptest::collection::vec(any::<u64>(), 0..200), shift in 0u32..=64) {
            let numbers: Vec<u64> = numbers.iter().map(|number| number.checked_shr(shift).unwrap_or(0)).collect();
            let bits = numbers.iter().copied().map(bits_of).max().unwrap_or(0);
            let mut bytes = Vec::new();
            pack(&mut bytes, numbers.iter().copied(), bits);
            prop_assert_eq!(bytes.len(), packed_len(numbers.len(), bits));
            prop_assert_eq!(unpack(&bytes, numbers.len(), bits).collect::<Vec<_>>(), numbers);
        }
    }

    #[test]
    fn a_varint_that_is_too_long_is_none() {
        assert_eq!(take_varint(&mut &[0xff; 10][..]), None);
        assert_eq!(take_varint(&mut &[0x80; 20][..]), None);
    }
}
