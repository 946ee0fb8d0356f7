//! The writer: the one program that appends to a namespace with several copies, at the same offsets on all of them.
//!
//! ```text
//! open     take_over: look at all copies, fence all under a new epoch → compare: the longest log wins
//!          → each lane brings its copy to it → all level: epoch-start → acknowledged: the reign has begun
//! submit   check the bounds → wait for room → number, seal, into the window → every lane places it
//!          → all copies hold it and all before it → acknowledged
//! close    all lanes run empty → the last `confirmed` is told to all
//! ```
//!
//! This form insists on all copies: while one is away nothing is acknowledged, and after
//! [`WriterOptions::retries`] the writer stops. It knows no producers: an append that is unknown cannot be sent again
//! without the risk of being there twice.
//!
//! Reading order: `compare` decides who wins, `state` knows who holds what, `window` keeps what may have to be sent again,
//! `lane` sends it.

mod error;
mod options;

mod takeover;

mod compare;

mod shared;
mod state;
mod window;

mod lane;
mod stretch;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use logstore_api::NamespaceName;
use logstore_api::fence::Reign;
use logstore_api::frame::control::{self, EpochStart, Trim};
use logstore_api::frame::{Kind, Salt};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub use error::{WriteError, WriterError};
pub use options::WriterOptions;
pub use state::{Acked, CopyStatus, WriterStatus};

use crate::patience::Patience;
use crate::records::{self, Record};
use crate::store::Store;
use lane::{Copy, Lane, Terms};
use shared::Shared;
use state::{Fate, State};
use takeover::Fenced;

/// Writes a namespace on all its copies, in one order.
///
/// Dropped without [`Writer::close`], it leaves what is out to chance.
#[derive(Debug)]
pub struct Writer {
    reign: Reign,
    shared: Arc<Shared>,
    lanes: JoinSet<()>,
}

/// An append that is out: a future of what becomes of it. It goes on when this is dropped.
#[derive(Debug)]
pub struct Pending {
    fate: oneshot::Receiver<Fate>,
}

impl Writer {
    /// Takes the namespace over on all copies. A writer that was there before is fenced: it stops and names this one.
    ///
    /// # Errors
    /// Where a copy is away for too long or refuses, a rival is faster each time, or the copies are no copies of each
    /// other. Nothing was appended then.
    pub async fn open(
        copies: Vec<Store>,
        namespace: NamespaceName,
        options: WriterOptions,
    ) -> Result<Self, WriterError> {
        let fenced = takeover::take_over(&copies, &namespace, &options).await?;
        let writer = Self::start(copies, namespace, &fenced, &options)?;
        writer.shared.wait_until(State::is_level).await?;
        writer.begin_reign().await?;
        let Reign { epoch, label, .. } = &writer.reign;
        tracing::info!(epoch, label, status = ?writer.status(), "a reign begins");
        Ok(writer)
    }

    /// Appends a batch, whole or not at all, and waits until all copies hold it.
    ///
    /// # Errors
    /// [`WriteError`] says whether the records may be there all the same.
    pub async fn append(&self, records: &[Record]) -> Result<Acked, WriteError> {
        self.submit(records).await?.await
    }

    /// Sends a batch on its way, once there is room in the window: offsets follow the order of these calls. Dropped
    /// before it is done, it has sent nothing.
    ///
    /// # Errors
    /// Where the records are over a bound, or the writer has stopped: nothing was sent then.
    pub async fn submit(&self, records: &[Record]) -> Result<Pending, WriteError> {
        let fate = self.shared.submit(records::draft(records)?, |_| Ok(())).await?;
        Ok(Pending { fate })
    }

    /// Drops the records before an offset on all copies, at this place in the order.
    ///
    /// # Errors
    /// Where the log does not reach up to the offset; otherwise as an append.
    pub async fn trim(&self, before: u64) -> Result<(), WriteError> {
        let draft = control::draft(Kind::Trim, &Trim { before }.encode(), Salt::WIRE);
        let check = |state: &State| match state.next_offset() {
            end if before > end => Err(WriteError::BeyondEnd { before, end }),
            _ => Ok(()),
        };
        let fate = self.shared.submit(draft, check).await?;
        Pending { fate }.await.map(|_| ())
    }

    /// Waits until everything is acknowledged and all copies know it, and ends.
    ///
    /// # Errors
    /// Why the writer stopped before that. What each append came to, its own answer says.
    pub async fn close(mut self) -> Result<(), WriterError> {
        self.shared.update(State::close);
        while self.lanes.join_next().await.is_some() {
            if let Some(error) = self.stopped() {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Why the writer has stopped, where it has.
    #[must_use]
    pub fn stopped(&self) -> Option<WriterError> {
        self.shared.look(|state| state.stopped().cloned())
    }

    /// Where it stands, and what keeps a copy from taking part.
    #[must_use]
    pub fn status(&self) -> WriterStatus {
        self.shared.look(State::status)
    }

    /// Its reign.
    #[must_use]
    pub fn reign(&self) -> &Reign {
        &self.reign
    }

    /// Starts one lane for each copy; each begins by bringing its copy to the longest log.
    fn start(
        copies: Vec<Store>,
        namespace: NamespaceName,
        fenced: &Fenced,
        options: &WriterOptions,
    ) -> Result<Self, WriterError> {
        let Fenced { reign, copies: answered } = fenced;
        let longest = compare::longest(answered, options.partition)?;
        let tails = answered.iter().map(|copy| copy.tail(options.partition)).collect::<Result<Vec<_>, _>>()?;
        let state = State::new(reign.epoch, longest, &tails);
        let shared = Arc::new(Shared::new(state, options.window_bytes));
        let incarnation = answered.first().ok_or(WriterError::NoCopies)?.answer.incarnation;
        let terms = Arc::new(Terms {
            namespace,
            partition: longest.partition,
            incarnation,
            reign: reign.clone(),
            durability: options.durability.unwrap_or_else(|| compare::durability(answered)),
            copies: copies
                .into_iter()
                .zip(answered)
                .map(|(store, answered)| Copy { store, node: answered.answer.node })
                .collect(),
        });
        let mut lanes = JoinSet::new();
        for (index, tail) in tails.into_iter().enumerate() {
            let (terms, patience) = (Arc::clone(&terms), Patience::new(options.retries));
            lanes.spawn(Lane::new(index, terms, Arc::clone(&shared), patience).run(tail));
        }
        Ok(Self { reign: reign.clone(), shared, lanes })
    }

    /// Places the epoch-start. When all copies hold it, everything before it is confirmed.
    async fn begin_reign(&self) -> Result<(), WriterError> {
        let Reign { epoch: _, writer, label } = self.reign.clone();
        let draft = control::draft(Kind::EpochStart, &EpochStart { writer, label }.encode(), Salt::WIRE);
        let begun = match self.shared.submit(draft, |_| Ok(())).await {
            Ok(fate) => Pending { fate }.await.map(|_| ()),
            Err(error) => Err(error),
        };
        begun.map_err(|error| error.writer_error().cloned().unwrap_or(WriterError::Closed))
    }
}

impl Future for Pending {
    type Output = Result<Acked, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.fate).poll(context).map(|fate| match fate {
            Ok(Ok(acked)) => Ok(acked),
            Ok(Err(error)) => Err(WriteError::Unknown(error)),
            Err(_) => Err(WriteError::Unknown(WriterError::Closed)),
        })
    }
}
