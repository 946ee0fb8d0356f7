//! Tag expressions: `a AND b`, `a OR (b AND NOT c)`, `"odd name"`.
//!
//! ```text
//! or    = and ("OR" and)*
//! and   = not ("AND" not)*
//! not   = "NOT" not | "(" or ")" | tag
//! tag   = word | "\"" any, with \" and \\ "\""
//! ```
//!
//! A word ends at white space, a parenthesis or a quote. `AND`, `OR` and `NOT` are operators in upper case only; a tag of
//! such a name is written in quotes.

use logstore_api::limits::{
    TAG_BYTES_MAX, TAG_EXPRESSION_BYTES_MAX, TAG_EXPRESSION_DEPTH_MAX, TAG_EXPRESSION_TERMS_MAX,
};

/// What a record's tags have to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// It has this tag.
    Tag(Vec<u8>),
    /// The other does not hold.
    Not(Box<Expression>),
    /// All hold.
    And(Vec<Expression>),
    /// One holds.
    Or(Vec<Expression>),
}

/// Text that is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub struct Malformed {
    /// Where, in bytes from 0.
    pub at: usize,
    /// What is wrong there, and what would be right.
    pub what: String,
}

impl Expression {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.len() > TAG_EXPRESSION_BYTES_MAX {
            let what = format!("the expression has {} bytes; give at most {TAG_EXPRESSION_BYTES_MAX}", text.len());
            return Err(Malformed { at: TAG_EXPRESSION_BYTES_MAX, what });
        }
        let mut parser = Parser { text, at: 0, terms: 0 };
        let expression = parser.or(0)?;
        match parser.next()? {
            None => Ok(expression),
            Some((at, Token::Close)) => Err(malformed(at, "a parenthesis is closed that was not opened")),
            Some((at, _)) => Err(malformed(at, "AND or OR is missing before this; write odd names in double quotes")),
        }
    }

    /// Whether a record with these tags fits.
    #[must_use]
    pub fn fits(&self, tags: &[Vec<u8>]) -> bool {
        match self {
            Self::Tag(tag) => tags.contains(tag),
            Self::Not(inner) => !inner.fits(tags),
            Self::And(parts) => parts.iter().all(|part| part.fits(tags)),
            Self::Or(parts) => parts.iter().any(|part| part.fits(tags)),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Tag(Vec<u8>),
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    terms: usize,
}

fn malformed(at: usize, what: impl Into<String>) -> Malformed {
    Malformed { at, what: what.into() }
}

impl Parser<'_> {
    fn or(&mut self, depth: usize) -> Result<Expression, Malformed> {
        self.series(&Token::Or, Expression::Or, |parser| parser.and(depth))
    }

    fn and(&mut self, depth: usize) -> Result<Expression, Malformed> {
        self.series(&Token::And, Expression::And, |parser| parser.not(depth))
    }

    fn series(
        &mut self,
        operator: &Token,
        join: fn(Vec<Expression>) -> Expression,
        part: impl Fn(&mut Self) -> Result<Expression, Malformed>,
    ) -> Result<Expression, Malformed> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.take(operator)? {
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { join(parts) })
    }

    fn not(&mut self, depth: usize) -> Result<Expression, Malformed> {
        let missing = "a tag, NOT or a parenthesis is missing here";
        let Some((at, token)) = self.next()? else { return Err(malformed(self.text.len(), missing)) };
        // A tag stands as deep as what is around it, and goes no deeper.
        if depth == TAG_EXPRESSION_DEPTH_MAX && matches!(token, Token::Not | Token::Open) {
            let what = format!("parentheses and NOT stand in each other more than {TAG_EXPRESSION_DEPTH_MAX} deep");
            return Err(malformed(at, what));
        }
        match token {
            Token::Not => Ok(Expression::Not(Box::new(self.not(depth + 1)?))),
            Token::Open => {
                let inner = self.or(depth + 1)?;
                if self.take(&Token::Close)? {
                    return Ok(inner);
                }
                Err(malformed(at, "this parenthesis is not closed, or AND or OR is missing inside it"))
            }
            Token::Tag(tag) => self.tag(at, tag),
            Token::And | Token::Or | Token::Close => {
                Err(malformed(at, format!("{missing}; write a tag of this name in double quotes")))
            }
        }
    }

    fn tag(&mut self, at: usize, tag: Vec<u8>) -> Result<Expression, Malformed> {
        self.terms += 1;
        if self.terms > TAG_EXPRESSION_TERMS_MAX {
            return Err(malformed(at, format!("there are more than {TAG_EXPRESSION_TERMS_MAX} tags")));
        }
        if tag.len() > TAG_BYTES_MAX {
            let what = format!("a tag of {} bytes; no tag has more than {TAG_BYTES_MAX}", tag.len());
            return Err(malformed(at, what));
        }
        Ok(Expression::Tag(tag))
    }

    fn take(&mut self, token: &Token) -> Result<bool, Malformed> {
        let before = self.at;
        let found = self.next()?.is_some_and(|(_, next)| next == *token);
        if !found {
            self.at = before;
        }
        Ok(found)
    }

    /// The next token, and where it begins.
    fn next(&mut self) -> Result<Option<(usize, Token)>, Malformed> {
        let rest = &self.text[self.at..];
        let at = self.at + (rest.len() - rest.trim_start().len());
        let rest = &self.text[at..];
        let Some(first) = rest.chars().next() else {
            self.at = at;
            return Ok(None);
        };
        let (len, token) = match first {
            '(' => (1, Token::Open),
            ')' => (1, Token::Close),
            '"' => quoted(at, rest)?,
            _ => {
                let ends = |character: char| character.is_whitespace() || "()\"".contains(character);
                let word = rest.split(ends).next().unwrap_or(rest);
                (word.len(), word_token(word))
            }
        };
        self.at = at + len;
        Ok(Some((at, token)))
    }
}

fn word_token(word: &str) -> Token {
    match word {
        "AND" => Token::And,
        "OR" => Token::Or,
        "NOT" => Token::Not,
        word => Token::Tag(word.as_bytes().to_vec()),
    }
}

/// A name in quotes: the length with them, and the name.
fn quoted(at: usize, text: &str) -> Result<(usize, Token), Malformed> {
    let mut name = Vec::new();
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((position, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok((position + 1, Token::Tag(name))),
            b'\\' => match bytes.next() {
                Some((_, escaped @ (b'"' | b'\\'))) => name.push(escaped),
                _ => return Err(malformed(at + position, "a backslash escapes only a quote or a backslash")),
            },
            byte => name.push(byte),
        }
    }
    Err(malformed(at, "this quote is not closed"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Expression::{And, Not, Or};
    use super::*;

    fn tag(name: &str) -> Expression {
        Expression::Tag(name.as_bytes().to_vec())
    }

    #[test]
    fn not_binds_before_and_before_or() {
        let parsed = |text| Expression::parse(text).unwrap();
        assert_eq!(parsed("a"), tag("a"));
        assert_eq!(parsed(" a AND b AND c "), And(vec![tag("a"), tag("b"), tag("c")]));
        assert_eq!(parsed("a OR b AND NOT c"), Or(vec![tag("a"), And(vec![tag("b"), Not(Box::new(tag("c")))])]));
        assert_eq!(parsed("(a OR b)AND(c)"), And(vec![Or(vec![tag("a"), tag("b")]), tag("c")]));
        assert_eq!(parsed("NOT NOT a"), Not(Box::new(Not(Box::new(tag("a"))))));
        assert_eq!(parsed("and OR \"AND\""), Or(vec![tag("and"), tag("AND")]), "operators are in upper case");
        assert_eq!(parsed(r#""a b" OR "\"\\()" OR ü=é"#), Or(vec![tag("a b"), tag("\"\\()"), tag("ü=é")]));
    }

    #[test]
    fn what_is_malformed_is_named_by_its_byte() {
        for (text, at) in [
            ("", 0),
            ("  ", 2),
            ("a b", 2),
            ("a AND", 5),
            ("AND a", 0),
            ("a OR OR b", 5),
            ("(a", 0),
            ("a)", 1),
            ("ü ü", 3),
            ("a AND \"b", 6),
            (r#""a\n""#, 2),
            ("()", 1),
            ("a\"b\"", 1),
        ] {
            assert_eq!(Expression::parse(text).map_err(|error| error.at), Err(at), "{text:?}");
        }
    }

    #[test]
    fn length_depth_and_number_of_tags_are_bounded() {
        let error = |text: String| Expression::parse(&text).unwrap_err();
        assert_eq!(error("a".repeat(TAG_EXPRESSION_BYTES_MAX + 1)).at, TAG_EXPRESSION_BYTES_MAX);
        let deep = |depth: usize| "(".repeat(depth) + "a" + &")".repeat(depth);
        assert!(Expression::parse(&deep(TAG_EXPRESSION_DEPTH_MAX)).is_ok());
        assert_eq!(error(deep(TAG_EXPRESSION_DEPTH_MAX + 1)).at, TAG_EXPRESSION_DEPTH_MAX);
        let negated = |depth: usize| "NOT ".repeat(depth) + "a";
        assert!(Expression::parse(&negated(TAG_EXPRESSION_DEPTH_MAX)).is_ok());
        assert_eq!(error(negated(TAG_EXPRESSION_DEPTH_MAX + 1)).at, 4 * TAG_EXPRESSION_DEPTH_MAX);
        let many = |count: usize| vec!["a"; count].join(" OR ");
        assert!(Expression::parse(&many(TAG_EXPRESSION_TERMS_MAX)).is_ok());
        assert!(Expression::parse(&many(TAG_EXPRESSION_TERMS_MAX + 1)).is_err());
        assert!(Expression::parse(&"a".repeat(TAG_BYTES_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in r#"[ab ()"\\ANDORTü]{0,40}"#) {
            let _ = Expression::parse(&text);
        }

        #[test]
        fn any_name_can_be_written_in_quotes(name in ".{0,50}") {
            let quoted = format!("\"{}\"", name.replace('\\', r"\\").replace('"', "\\\""));
            prop_assert_eq!(Expression::parse(&quoted), Ok(tag(&name)));
        }
    }
}
