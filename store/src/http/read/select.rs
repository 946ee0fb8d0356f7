//! `tags=` and `index=&min=&max=`: reads that bring only the records that fit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use logstore_api::limits::SELECT_MILLIS_MAX;
use logstore_api::{Code, NamespaceConfig, Problem};

use super::request::Request;
use super::{Reading, records, trimmed, wait_for_more};
use crate::engine::indices::number_of;
use crate::engine::namespace::Namespace;
use crate::http::query::{self, Query};
use crate::http::{App, blocking};
use crate::log::Partition;
use crate::log::find::expression::Expression;
use crate::log::find::select::{IndexRange, Selection};
use crate::log::read::Range;

/// What the records have to be, as the query says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    tags: Option<Expression>,
    index: Option<Index>,
}

/// A range of a named index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Index {
    name: String,
    min: i64,
    max: Option<i64>,
}

impl Select {
    /// The parameters that say it.
    pub const PARAMETERS: [&'static str; 4] = ["tags", "index", "min", "max"];

    /// Takes it from a query; `None` where all records are wanted.
    pub fn parse(query: &Query<'_>) -> Result<Option<Self>, Problem> {
        let tags = query.one("tags")?.map(parse_tags).transpose()?;
        let integer = |name| query.one(name)?.map(|text| query::integer(text, name)).transpose();
        let (min, max) = (integer("min")?, integer("max")?);
        let Some(name) = query.one("index")? else {
            return match [("min", min), ("max", max)].into_iter().find(|(_, value)| value.is_some()) {
                Some((field, _)) => Err(without_index(field)),
                None => Ok(tags.map(|tags| Self { tags: Some(tags), index: None })),
            };
        };
        let min = min.unwrap_or(i64::MIN);
        if let Some(max) = max.filter(|max| *max < min) {
            let detail = format!("min is {min} and max is {max}; give a max that is no less than min");
            let problem = Problem::new(Code::InvalidArgument, detail).field("max");
            return Err(problem.expected(format!("at least {min}")).got(max));
        }
        Ok(Some(Self { tags, index: Some(Index { name: name.to_owned(), min, max }) }))
    }

    /// Whether a wait holds until the highest value has been passed.
    #[must_use]
    pub fn waits_for_max(&self) -> bool {
        self.index.as_ref().is_some_and(|index| index.max.is_some_and(|max| max < i64::MAX))
    }

    /// With the number of the index in the place of its name; and what it is that passes the highest value.
    pub(super) fn resolve(&self, config: &NamespaceConfig) -> Result<(Selection, Option<Selection>), Problem> {
        let Some(Index { name, min, max }) = &self.index else {
            return Ok((Selection { tags: self.tags.clone(), index: None }, None));
        };
        let number = number_of(&config.indices, name).map_err(|problem| problem.field("index"))?;
        let index = Some(IndexRange { number, min: *min, max: max.unwrap_or(i64::MAX) });
        let above = max
            .and_then(|max| max.checked_add(1))
            .map(|min| Selection { tags: None, index: Some(IndexRange { number, min, max: i64::MAX }) });
        Ok((Selection { tags: self.tags.clone(), index }, above))
    }
}

fn parse_tags(text: &str) -> Result<Expression, Problem> {
    Expression::parse(text).map_err(|malformed| {
        let detail = format!("tags is no expression {malformed}");
        Problem::new(Code::InvalidArgument, detail).field("tags").got(text).with("position", malformed.at)
    })
}

fn without_index(field: &str) -> Problem {
    let detail = format!("{field} is for a range of an index; name the index with index=");
    Problem::new(Code::InvalidArgument, detail).field(field)
}

/// Reads what fits, once there is something, or what is waited for has passed, or the time is over, or the store stops.
pub(super) async fn read(
    app: &App,
    namespace: &Arc<Namespace>,
    partition: &Arc<Partition>,
    request: &Request,
    select: &Select,
) -> Result<Reading, Problem> {
    let (selection, above) = select.resolve(&namespace.config())?;
    let selection = Arc::new(selection);
    let give_up_at = tokio::time::Instant::now() + request.wait;
    let mut updates = partition.published();
    let mut view = request.view(*updates.borrow_and_update());
    let mut first = request.first(view)?;
    if first < view.start {
        return Err(trimmed(first, view));
    }
    let holds = above.is_some() && !request.wait.is_zero();
    let mut looked = view.start;
    while let Some(above) = above.clone().filter(|_| holds) {
        let range = Range { from: looked, until: view.end };
        if any_fits(namespace, partition, above, range).await? {
            break;
        }
        looked = view.end;
        match wait_for_more(app, namespace, &mut updates, request, view.end, give_up_at).await? {
            Some(more) => view = more,
            None => break,
        }
    }
    loop {
        let range = request.whole_range(first, view);
        let share = app.budgets.read(request.max_bytes).await?;
        let (in_namespace, partition) = (Arc::clone(namespace), Arc::clone(partition));
        let (asked, selection) = (request.clone(), Arc::clone(&selection));
        let page = blocking(move || {
            let deadline = Instant::now() + Duration::from_millis(SELECT_MILLIS_MAX);
            records(&in_namespace, &partition, range, &asked, view, Some((&selection, deadline)))
        });
        let printed = page.await?;
        let (next, is_empty) = (printed.next, printed.count == 0);
        let reading = Reading { page: printed.held(share), view };
        if !is_empty || holds || next < view.end || view.end >= request.until() || request.limit == 0 {
            return Ok(reading);
        }
        // Everything up to the end was looked through, and nothing of it fits.
        match wait_for_more(app, namespace, &mut updates, request, view.end, give_up_at).await? {
            Some(more) => (view, first) = (more, next),
            None => return Ok(reading),
        }
    }
}

async fn any_fits(
    namespace: &Arc<Namespace>,
    partition: &Arc<Partition>,
    selection: Selection,
    range: Range,
) -> Result<bool, Problem> {
    let (namespace, partition) = (Arc::clone(namespace), Arc::clone(partition));
    blocking(move || {
        let found = partition.any_fits(&selection, range);
        found.map_err(|error| namespace.internal("look through the log", &error))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Option<Select>, Problem> {
        Select::parse(&Query::parse(Some(query), &Select::PARAMETERS)?)
    }

    #[test]
    fn a_range_has_an_index_and_is_not_upside_down() {
        let field = |query: &str| parse(query).unwrap_err().field.unwrap();
        assert_eq!(parse(""), Ok(None));
        assert_eq!(field("min=1"), "min");
        assert_eq!(field("max=1"), "max");
        assert_eq!(field("index=price&min=2&max=1"), "max");
        assert_eq!(field("index=price&min=1.5"), "min");
        assert_eq!(field("index=price&max=9223372036854775808"), "max");
        let index = parse("index=price&min=-5&max=-5").unwrap().unwrap().index.unwrap();
        assert_eq!(index, Index { name: "price".into(), min: -5, max: Some(-5) });
        assert!(parse("index=price").unwrap().is_some_and(|select| !select.waits_for_max()));
        assert!(parse("index=price&max=9223372036854775807").unwrap().is_some_and(|select| !select.waits_for_max()));
    }

    #[test]
    fn a_malformed_expression_is_named_with_its_byte() {
        let problem = parse("tags=a+AND").unwrap_err();
        assert_eq!((problem.code.as_str(), problem.field.as_deref()), ("invalid_argument", Some("tags")));
        assert_eq!(problem.more["position"], 5);
    }

    #[test]
    fn an_index_that_is_not_declared_is_refused_with_those_that_are() {
        let config = NamespaceConfig { indices: vec!["time".into(), "price".into()], ..NamespaceConfig::default() };
        let select = |query| parse(query).unwrap().unwrap();
        let (selection, above) = select("index=price&max=7").resolve(&config).unwrap();
        assert_eq!(selection.index, Some(IndexRange { number: 1, min: i64::MIN, max: 7 }));
        assert_eq!(above.unwrap().index, Some(IndexRange { number: 1, min: 8, max: i64::MAX }));
        let problem = select("index=prise").resolve(&config).unwrap_err();
        assert_eq!((problem.code.as_str(), problem.field.as_deref()), ("no_such_index", Some("index")));
    }
}
