//! What a read can be asked for.

use std::fmt;

/// Which records come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they were appended.
    #[default]
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

/// Which records are there for a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Those that were acknowledged.
    #[default]
    Confirmed,
    /// Of those the ones that survive a power loss of this store.
    Durable,
    /// Everything in the store's file: it may still be taken back, and its offsets given again.
    Unconfirmed,
}

impl Order {
    /// As query strings have them.
    pub const WORDS: [(&str, Self); 2] = [("asc", Self::OldestFirst), ("desc", Self::NewestFirst)];
}

impl Level {
    /// As query strings have them.
    pub const WORDS: [(&str, Self); 3] =
        [("confirmed", Self::Confirmed), ("durable", Self::Durable), ("unconfirmed", Self::Unconfirmed)];
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        word(f, &Self::WORDS, self)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        word(f, &Self::WORDS, self)
    }
}

fn word<T: PartialEq>(f: &mut fmt::Formatter<'_>, words: &[(&str, T)], value: &T) -> fmt::Result {
    words.iter().find(|(_, of)| of == value).map_or(Ok(()), |(word, _)| f.write_str(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_a_word_too() {
        assert_eq!((Order::default().to_string(), Level::default().to_string()), ("asc".into(), "confirmed".into()));
        assert_eq!(Level::Unconfirmed.to_string(), "unconfirmed");
    }
}
