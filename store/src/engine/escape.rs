//! Names of directories. A namespace's true name stands in its configuration; the directory's name only has to be safe
//! on every file system and different from all others.

use logstore_api::NamespaceName;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The longest directory name, in bytes.
const MAX_BYTES: usize = 200;
/// Bytes of a name that is too long that are kept in front of its hash.
const PREFIX_BYTES: usize = 150;

/// The directory name of a namespace.
///
/// Lower-case letters, digits, `-`, `_` and a dot that is not the first stay; upper-case and non-ASCII letters and digits
/// stay too, but then `~` and a hash of the name follow, because file systems may fold or normalise them; every other byte
/// becomes `%xx`. `~` itself is such a byte, so a name with a hash meets none without.
#[must_use]
pub fn directory_name(name: &NamespaceName) -> String {
    let mut escaped = String::with_capacity(name.as_str().len());
    let mut folds = false;
    for (at, letter) in name.as_str().char_indices() {
        match letter {
            'a'..='z' | '0'..='9' | '-' | '_' => escaped.push(letter),
            '.' if at > 0 => escaped.push('.'),
            letter if letter.is_alphanumeric() => {
                folds = true;
                escaped.push(letter);
            }
            letter => {
                let mut utf8 = [0; 4];
                for byte in letter.encode_utf8(&mut utf8).bytes() {
                    escaped.push_str(&format!("%{byte:02x}"));
                }
            }
        }
    }
    if escaped.len() > MAX_BYTES - 17 {
        let end = (0..=PREFIX_BYTES).rev().find(|end| escaped.is_char_boundary(*end)).unwrap_or(0);
        return format!("{}~{:032x}", &escaped[..end], xxh3_128(name.as_str().as_bytes()));
    }
    if folds {
        return format!("{escaped}~{:016x}", xxh3_64(name.as_str().as_bytes()));
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    fn directory(name: &str) -> String {
        directory_name(&NamespaceName::parse(name).unwrap())
    }

    #[test]
    fn plain_names_stay_and_others_are_escaped() {
        assert_eq!(directory("orders-2026_v1.0"), "orders-2026_v1.0");
        assert_eq!(directory("a/b"), "a%2fb");
        assert_eq!(directory(".hidden"), "%2ehidden");
        assert_eq!(directory("a b\"~%"), "a%20b%22%7e%25");
        assert!(directory("Orders").starts_with("Orders~"));
        assert!(directory("größe").starts_with("größe~"));
    }

    #[test]
    fn names_that_differ_in_case_alone_have_other_directories() {
        let folded: HashSet<_> = ["orders", "Orders", "ORDERS"].map(|name| directory(name).to_lowercase()).into();
        assert_eq!(folded.len(), 3);
    }

    #[test]
    fn long_names_keep_a_prefix_and_a_hash() {
        let (one, other) = (directory(&"/".repeat(249)), directory(&format!("{}x", "/".repeat(248))));
        assert!(one.len() <= MAX_BYTES && other.len() <= MAX_BYTES);
        assert_ne!(one, other);
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_place(name in "\\PC{1,80}") {
            let Ok(name) = NamespaceName::parse(&name) else { return Ok(()) };
            let directory = directory_name(&name);
            prop_assert!(directory.len() <= MAX_BYTES);
            prop_assert!(!directory.starts_with('.'));
            let components: Vec<_> = Path::new(&directory).components().collect();
            prop_assert!(matches!(components[..], [Component::Normal(_)]));
        }
    }
}
