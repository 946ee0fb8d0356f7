//! The namespaces of a load: made where they are not, described, and removed again where this command has made them.

use std::collections::BTreeMap;

use indicatif::ProgressBar;
use logstore_api::namespace::{NamespaceInfo, PutNamespace};
use logstore_api::{Code, NamespaceConfig, NamespaceName};
use logstore_client::{Error, Store};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::super::failure::{Exit, Failure};
use super::work::Span;

/// Calls at once.
const CALLS: usize = 16;

/// The namespaces of a load, and which of them this command has made.
#[derive(Debug)]
pub(super) struct Namespaces {
    pub(super) names: Vec<NamespaceName>,
    /// With the life of the name that is ours: another one is somebody else's.
    created: BTreeMap<NamespaceName, Uuid>,
}

impl Namespaces {
    /// `NAME`, or `NAME-0` and so on.
    pub(super) fn named(name: &NamespaceName, count: Option<u64>) -> Result<Self, Failure> {
        let names = match count {
            None => Ok(vec![name.clone()]),
            Some(count) => (0..count).map(|number| NamespaceName::parse(&format!("{name}-{number}"))).collect(),
        };
        let wrong =
            |error| Failure::new(Exit::Usage, format!("--namespace {name} cannot be the beginning of names: {error}"));
        Ok(Self { names: names.map_err(wrong)?, created: BTreeMap::new() })
    }

    pub(super) fn created(&self) -> usize {
        self.created.len()
    }

    /// One that this command has made, for people to see.
    pub(super) fn first_created(&self) -> &str {
        self.created.keys().next().map_or("", NamespaceName::as_str)
    }

    /// Makes those that are not there. Where it is interrupted, what is under way is still waited for, so that it is known
    /// which ones were made.
    pub(super) async fn make(
        &mut self,
        store: &Store,
        bar: &ProgressBar,
        is_interrupted: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        let names: Vec<_> = self.names.iter().filter(|name| !self.created.contains_key(*name)).cloned().collect();
        bar.set_length(names.len() as u64);
        let mut waiting = names.into_iter();
        let mut calls = JoinSet::new();
        loop {
            while calls.len() < CALLS
                && !is_interrupted()
                && let Some(name) = waiting.next()
            {
                let store = store.clone();
                calls.spawn(async move {
                    let put = PutNamespace { config: NamespaceConfig::default(), internal: None };
                    let made = store.put_namespace(&name, &put, true).await;
                    (name, made)
                });
            }
            let Some(joined) = calls.join_next().await else { return Ok(()) };
            let (name, made) = joined.map_err(|error| Failure::new(Exit::Refused, error.to_string()))?;
            bar.inc(1);
            match made {
                Ok((true, info)) => drop(self.created.insert(name, info.incarnation)),
                Ok((false, _)) => {}
                Err(error) if error.is(Code::NamespaceExists) => {}
                Err(error) => return Err(Failure::of_question(&error)),
            }
        }
    }

    /// Where each begins and ends.
    pub(super) async fn spans(&self, store: &Store, needs_records: bool) -> Result<Vec<Span>, Failure> {
        let mut spans = vec![Span { start: 0, end: 0 }; self.names.len()];
        let mut waiting = self.names.iter().cloned().enumerate();
        let mut calls = JoinSet::new();
        loop {
            while calls.len() < CALLS
                && let Some((number, name)) = waiting.next()
            {
                let store = store.clone();
                calls.spawn(async move {
                    let info = store.namespace(&name).await;
                    (number, name, info)
                });
            }
            let Some(joined) = calls.join_next().await else { return Ok(spans) };
            let (number, name, info) = joined.map_err(|error| Failure::new(Exit::Refused, error.to_string()))?;
            spans[number] = span(&name, info, needs_records)?;
        }
    }

    /// Removes those that this command has made; how many.
    pub(super) async fn remove(&mut self, store: &Store, bar: &ProgressBar) -> Result<usize, Failure> {
        bar.set_length(self.created.len() as u64);
        let mut removed = 0;
        while let Some((name, incarnation)) = self.created.pop_first() {
            match store.delete_namespace(&name, Some(incarnation)).await {
                Ok(()) => removed += 1,
                // Somebody was quicker, and may have made another one of this name.
                Err(error) if error.is(Code::NamespaceNotFound) || error.is(Code::PreconditionFailed) => {}
                Err(error) => {
                    self.created.insert(name, incarnation);
                    let left = format!("{} namespaces that this command has made are still there", self.created.len());
                    return Err(Failure::of_question(&error).and(left));
                }
            }
            bar.inc(1);
        }
        Ok(removed)
    }
}

fn span(name: &NamespaceName, info: Result<NamespaceInfo, Error>, needs_records: bool) -> Result<Span, Failure> {
    let refused = |message: String| Err(Failure::new(Exit::Refused, message));
    let empty =
        || refused(format!("{name} holds no records to read; name `append` or `batch` before the works that read"));
    let info = match info {
        Err(error) if error.is(Code::NamespaceNotFound) && needs_records => return empty(),
        info => info.map_err(|error| Failure::of_question(&error))?,
    };
    let [partition] = info.partitions.as_slice() else {
        let count = info.partitions.len();
        return refused(format!(
            "{name} has {count} partitions, and a load is for namespaces with one; give another --namespace"
        ));
    };
    if needs_records && partition.end <= partition.start {
        return empty();
    }
    Ok(Span { start: partition.start, end: partition.end })
}
