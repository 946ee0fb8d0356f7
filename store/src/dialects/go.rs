//! What Go's standard library does with a request, as far as clients see it.

use percent_encoding::percent_decode;

use crate::http::query::is_well_escaped;

/// The first value of a query parameter, as Go's `net/url` reads it: pairs that cannot be decoded are left out.
#[must_use]
pub fn first_value(query: Option<&str>, name: &str) -> Vec<u8> {
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(key), Some(value)) = (unescape(key), unescape(value))
            && key == name.as_bytes()
        {
            return value;
        }
    }
    Vec::new()
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    is_well_escaped(text).then(|| percent_decode(text.replace('+', " ").as_bytes()).collect())
}

/// `strconv.ParseUint(text, 10, 64)`, with the text of its error.
pub fn parse_uint(text: &[u8]) -> Result<u64, String> {
    let fail = |reason: &str| Err(format!("strconv.ParseUint: parsing {}: {reason}", quote(text)));
    if text.is_empty() {
        return fail("invalid syntax");
    }
    let mut number: u64 = 0;
    // Digit by digit, as Go does it: a number that is too large is out of range, whatever follows.
    for byte in text {
        if !byte.is_ascii_digit() {
            return fail("invalid syntax");
        }
        match number.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(byte - b'0'))) {
            Some(more) => number = more,
            None => return fail("value out of range"),
        }
    }
    Ok(number)
}

/// `strconv.Quote`.
fn quote(text: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\u{7}' => quoted.push_str("\\a"),
                '\u{8}' => quoted.push_str("\\b"),
                '\u{c}' => quoted.push_str("\\f"),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '\u{b}' => quoted.push_str("\\v"),
                letter if u32::from(letter) < 0x20 || letter == '\u{7f}' => {
                    quoted.push_str(&format!("\\x{:02x}", u32::from(letter)));
                }
                letter if letter.is_control() || (letter.is_whitespace() && letter != ' ') => {
                    quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
                }
                letter => quoted.push(letter),
            }
        }
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_and_broken_pairs_do_not() {
        let value = |query| String::from_utf8(first_value(Some(query), "namespace")).unwrap();
        assert_eq!(value("namespace=a+b%2Fc&namespace=x"), "a b/c");
        assert_eq!(value("namespace=%zz&namespace=x"), "x");
        assert_eq!(value("namespace=%&namespace=y"), "y");
        assert_eq!(value("a=1;namespace=x"), "");
        assert_eq!(value("namespace"), "");
        assert_eq!(first_value(None, "namespace"), b"");
    }

    #[test]
    fn numbers_fail_with_the_words_of_go() {
        assert_eq!(parse_uint(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_uint(b"007"), Ok(7));
        let fail = |text: &[u8]| parse_uint(text).unwrap_err();
        assert_eq!(fail(b""), r#"strconv.ParseUint: parsing "": invalid syntax"#);
        assert_eq!(fail(b"-1"), r#"strconv.ParseUint: parsing "-1": invalid syntax"#);
        assert_eq!(fail(b"1_0"), r#"strconv.ParseUint: parsing "1_0": invalid syntax"#);
        assert_eq!(
            fail(b"18446744073709551616"),
            r#"strconv.ParseUint: parsing "18446744073709551616": value out of range"#
        );
        assert_eq!(
            fail(b"99999999999999999999x"),
            r#"strconv.ParseUint: parsing "99999999999999999999x": value out of range"#
        );
        assert_eq!(fail(b"a\"\n\xff"), r#"strconv.ParseUint: parsing "a\"\n\xff": invalid syntax"#);
    }
}
