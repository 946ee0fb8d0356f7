//! Carries out what was decided: the copies at the same time, the calls to one copy one after the other.

use logstore_api::namespace::{NamespaceInfo, PutNamespace};
use logstore_api::{Code, NamespaceName};
use logstore_client::{Error, Store, error};
use tokio::task::JoinSet;

use super::Stores;
use super::decide::{Act, Call};
use crate::build::CopyName;

/// A call that has not done what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) copy: CopyName,
    pub(super) name: NamespaceName,
    pub(super) why: String,
    /// Whether the same call may succeed later.
    pub(super) is_transient: bool,
}

/// Makes all calls. What is not in the answer has succeeded.
pub(super) async fn carry_out(calls: &[Call], stores: &Stores) -> Vec<Failure> {
    let mut copies = JoinSet::new();
    for (copy, store) in stores {
        // Nothing is decided for a copy that was not asked.
        let Ok(store) = store.clone() else { continue };
        let calls: Vec<Call> = calls.iter().filter(|call| call.copy == *copy).cloned().collect();
        copies.spawn(async move { one_after_the_other(calls, &store).await });
    }
    copies.join_all().await.into_iter().flatten().collect()
}

async fn one_after_the_other(calls: Vec<Call>, store: &Store) -> Vec<Failure> {
    let mut failures = Vec::new();
    // A store that is away would let each call wait as long as the first.
    let mut away: Option<String> = None;
    for call in calls {
        let outcome = match &away {
            Some(why) => Err(CallError::Away(why.clone())),
            None => make(&call, store).await,
        };
        if let Err(error) = outcome {
            if let CallError::Failed(Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Interrupted { .. }) =
                &error
            {
                away = Some(error.text());
            }
            let Call { copy, name, act: _ } = call;
            failures.push(Failure { copy, name, why: error.text(), is_transient: error.is_transient() });
        }
    }
    failures
}

/// Why a call has not done what was asked.
enum CallError {
    Failed(Error),
    Away(String),
    Differs(String),
}

impl CallError {
    fn text(&self) -> String {
        match self {
            Self::Failed(error) => error::chain(error),
            Self::Away(why) | Self::Differs(why) => why.clone(),
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_transient(),
            Self::Away(_) => true,
            Self::Differs(_) => false,
        }
    }
}

async fn make(call: &Call, store: &Store) -> Result<(), CallError> {
    let Call { copy: _, name, act } = call;
    match act {
        Act::Put(put) => {
            let (_, info) = store.put_namespace(name, put, false).await.map_err(CallError::Failed)?;
            confirm(put, &info)
        }
        Act::Delete(incarnation) => match store.delete_namespace(name, Some(*incarnation)).await {
            Err(error) if error.is(Code::NamespaceNotFound) => Ok(()),
            outcome => outcome.map_err(CallError::Failed),
        },
    }
}

/// A store of another release might take a call and not do all of it.
fn confirm(put: &PutNamespace, info: &NamespaceInfo) -> Result<(), CallError> {
    let PutNamespace { config, internal } = put;
    let is_config = info.config == *config;
    let is_marked = internal.as_ref().is_none_or(|internal| {
        info.owner.as_ref() == Some(&internal.ownership) && info.incarnation == internal.incarnation
    });
    if is_config && is_marked {
        return Ok(());
    }
    let what = if is_config { "mark" } else { "configuration" };
    Err(CallError::Differs(format!(
        "the store has confirmed another {what} than it was given; is it of another release?"
    )))
}
