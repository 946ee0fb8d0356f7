//! A Kubernetes quantity, as far as a volume's size needs it: exact, and comparable.

use std::fmt;

/// Smallest size of a volume: less is a unit that was forgotten.
const SIZE_MIN: u128 = (1 << 20) * NANO;
/// Largest size of a volume.
const SIZE_MAX: u128 = (1 << 60) * NANO;
/// Quantities go down to a billionth.
const NANO: u128 = 1_000_000_000;

/// The size of a volume: a quantity from 1Mi to 1Ei, as the user spelt it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSize {
    text: String,
    nano_bytes: u128,
}

impl VolumeSize {
    /// Parses a size; none where it is no quantity, or out of the range.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let nano_bytes = nano_units(text)?;
        (SIZE_MIN..=SIZE_MAX).contains(&nano_bytes).then(|| Self { text: text.to_owned(), nano_bytes })
    }

    /// A size that an API server has stored; none where it is no quantity.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Some(Self { text: text.to_owned(), nano_bytes: nano_units(text)? })
    }

    /// Whether this is less than another, however they are spelt.
    #[must_use]
    pub fn is_less_than(&self, other: &Self) -> bool {
        self.nano_bytes < other.nano_bytes
    }
}

impl fmt::Display for VolumeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether two texts are the same quantity: an API server stores `1024Mi` as `1Gi`.
#[must_use]
pub fn same_quantity(one: &str, other: &str) -> bool {
    one == other || nano_units(one).is_some_and(|nano| nano_units(other) == Some(nano))
}

/// A positive quantity in billionths; what is finer is rounded up, as Kubernetes does.
fn nano_units(text: &str) -> Option<u128> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let number_len = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_len);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mantissa: u128 = format!("{whole}{fraction}").parse().ok()?;
    let (numerator, denominator) = multiplier(suffix)?;
    let fine = mantissa.checked_mul(numerator)?.checked_mul(NANO)?;
    let divisor = denominator.checked_mul(10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
    Some(fine.div_ceil(divisor))
}

/// What a suffix multiplies by, as a fraction.
fn multiplier(suffix: &str) -> Option<(u128, u128)> {
    let thousand = |power| Some((1_000_u128.pow(power), 1));
    let binary = |power: u32| Some((1_u128 << (10 * power), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, NANO)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1_000)),
        "k" => thousand(1),
        "M" => thousand(2),
        "G" => thousand(3),
        "T" => thousand(4),
        "P" => thousand(5),
        "E" => thousand(6),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => power_of_ten(exponent.strip_prefix(['e', 'E'])?),
    }
}

fn power_of_ten(exponent: &str) -> Option<(u128, u128)> {
    let exponent: i32 = exponent.parse().ok()?;
    let power = 10_u128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_exactly() {
        let bytes = |text| nano_units(text).map(|nano| nano / NANO);
        assert_eq!(bytes("1Gi"), Some(1 << 30));
        assert_eq!(bytes("1.5Gi"), Some(3 << 29));
        assert_eq!(bytes("10G"), Some(10_000_000_000));
        assert_eq!(bytes("1E"), Some(1_000_000_000_000_000_000));
        assert_eq!(bytes("2e9"), Some(2_000_000_000));
        assert_eq!(bytes("25E-1"), Some(2));
        assert_eq!(bytes("100"), Some(100));
        assert_eq!(bytes(".5k"), Some(500));
        assert_eq!(nano_units("0.0000000001"), Some(1), "rounded up");
        for text in ["", "Gi", "-1Gi", "1 Gi", "10GB", "1.2.3", "1e", "plenty", "1g"] {
            assert_eq!(nano_units(text), None, "{text:?}");
        }
        assert_eq!(nano_units(&"9".repeat(32)), None, "an overflow is refused");
    }

    #[test]
    fn sizes_are_compared_by_value() {
        let size = |text| VolumeSize::parse(text).unwrap();
        assert!(size("1G").is_less_than(&size("1Gi")));
        assert!(!size("1Gi").is_less_than(&size("1024Mi")));
        assert_eq!(VolumeSize::parse("1023Ki"), None);
        assert_eq!(VolumeSize::parse("1.01Ei"), None);
        assert!(same_quantity("1024Mi", "1Gi") && same_quantity("0.5", "500m"));
        assert!(!same_quantity("1G", "1Gi") && same_quantity("no quantity", "no quantity"));
    }
}
