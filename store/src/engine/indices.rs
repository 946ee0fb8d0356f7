//! A namespace's indices: by name in requests, by number in records. Names are only ever added behind the others, so a
//! number means the same for ever.

use logstore_api::{Code, Problem};

/// The numbers of named values, in their order.
pub fn numbered<'a>(
    declared: &[String],
    values: impl IntoIterator<Item = (&'a str, i64)>,
) -> Result<Vec<(u8, i64)>, Problem> {
    let mut numbered = Vec::new();
    for (name, value) in values {
        numbered.push((number_of(declared, name)?, value));
    }
    numbered.sort_unstable();
    Ok(numbered)
}

/// The number of an index.
pub fn number_of(declared: &[String], name: &str) -> Result<u8, Problem> {
    let number = declared.iter().position(|declared| declared == name);
    number.and_then(|number| u8::try_from(number).ok()).ok_or_else(|| no_such_index(declared, name))
}

/// The refusal of an index that is not declared.
#[must_use]
pub fn no_such_index(declared: &[String], name: &str) -> Problem {
    let there_are = match declared {
        [] => "none; name it in the configuration's indices first".to_owned(),
        declared => format!("{}; add it behind them in the configuration's indices first", declared.join(", ")),
    };
    let detail = format!("the namespace declares no index {name:?}; it declares {there_are}");
    Problem::new(Code::NoSuchIndex, detail).field(format!("indices.{name}")).expected(declared.to_vec()).got(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_by_number_and_undeclared_names_are_refused() {
        let declared = ["price", "size"].map(str::to_owned);
        let stored = numbered(&declared, [("size", -7), ("price", i64::MIN)]).unwrap();
        assert_eq!(stored, [(0, i64::MIN), (1, -7)]);
        let refused = numbered(&declared, [("prize", 1)]).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.field.as_deref()), ("no_such_index", Some("indices.prize")));
    }
}
