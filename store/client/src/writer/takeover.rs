//! Taking over: look at all copies, choose an epoch above all they have seen, and fence all of them under it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use logstore_api::NamespaceName;
use logstore_api::fence::{FenceAnswer, FenceRequest, Reign};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::compare::{Answered, check_same_namespace, next_epoch};
use super::error::WriterError;
use super::options::{WriterOptions, fitting_label};
use crate::Error;
use crate::error::chain;
use crate::patience::{Patience, Retries, jittered};
use crate::store::Store;

/// How often a rival may be faster before this writer leaves it the reign.
const ATTEMPTS_MAX: u32 = 5;
/// How long to let a rival finish, at most, before the next attempt.
const RIVAL_WAIT_MAX: Duration = Duration::from_millis(500);

/// All copies, fenced under one reign.
#[derive(Debug)]
pub(super) struct Fenced {
    pub(super) reign: Reign,
    pub(super) copies: Vec<Answered>,
}

/// What all copies are asked at once.
#[derive(Debug)]
enum Question {
    Look(NamespaceName),
    Fence(FenceRequest),
}

impl Question {
    async fn ask(&self, store: &Store) -> Result<FenceAnswer, Error> {
        match self {
            Self::Look(name) => store.look(name).await,
            Self::Fence(request) => store.fence(request).await,
        }
    }
}

/// Fences all copies. Nothing is promised by any of them before all have answered a look, so that a writer that cannot
/// begin does not end the reign of one that works.
pub(super) async fn take_over(
    copies: &[Store],
    name: &NamespaceName,
    options: &WriterOptions,
) -> Result<Fenced, WriterError> {
    let writer = Uuid::new_v4();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let looks = ask_all(copies, Question::Look(name.clone()), options.retries).await?;
        check_same_namespace(&looks)?;
        looks.iter().try_for_each(|copy| copy.tail(options.partition).map(|_| ()))?;
        let label = fitting_label(&options.label).to_owned();
        let reign = Reign { epoch: next_epoch(&looks)?, writer, label };
        match ask_all(copies, Question::Fence(fence_request(name, &reign)), options.retries).await {
            Ok(copies) => {
                check_same_namespace(&copies)?;
                return Ok(Fenced { reign, copies });
            }
            Err(WriterError::Fenced { copy, winner }) if attempts < ATTEMPTS_MAX => {
                tracing::info!(namespace = %name, copy, ?winner, "another writer was faster, trying again");
                tokio::time::sleep(jittered(RIVAL_WAIT_MAX)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The body that fences a copy under this reign.
pub(super) fn fence_request(name: &NamespaceName, reign: &Reign) -> FenceRequest {
    FenceRequest { namespace: name.clone(), reign: reign.clone(), revision: 0 }
}

/// Asks all copies at once, each until it answers or patience ends. The first failure ends all.
async fn ask_all(copies: &[Store], question: Question, retries: Retries) -> Result<Vec<Answered>, WriterError> {
    let question = Arc::new(question);
    let mut tasks = JoinSet::new();
    for (index, store) in copies.iter().cloned().enumerate() {
        let question = Arc::clone(&question);
        tasks.spawn(async move { (index, ask_one(&store, &question, retries).await) });
    }
    let mut answers = Vec::with_capacity(copies.len());
    while let Some(joined) = tasks.join_next().await {
        let (index, answer) = joined.map_err(|_| WriterError::Closed)?;
        answers.push((index, answer?));
    }
    answers.sort_unstable_by_key(|(index, _)| *index);
    Ok(answers.into_iter().map(|(_, answered)| answered).collect())
}

async fn ask_one(store: &Store, question: &Question, retries: Retries) -> Result<Answered, WriterError> {
    let copy = store.url().to_owned();
    let mut patience = Patience::new(retries);
    loop {
        let begun = Instant::now();
        let error = match question.ask(store).await {
            Ok(answer) => return Ok(Answered { copy, answer }),
            Err(error) => error,
        };
        if !error.is_transient() {
            return Err(WriterError::of_call(&copy, error));
        }
        if !patience.is_troubled() {
            tracing::warn!(copy, error = chain(&error), "waiting for a copy");
        }
        match patience.next_wait(begun, error.retry_after()) {
            Ok(wait) => tokio::time::sleep(wait).await,
            Err(after) => return Err(WriterError::Away { copy, after, source: Arc::new(error) }),
        }
    }
}
