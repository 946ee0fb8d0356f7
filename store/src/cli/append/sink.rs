//! Where batches go: one store that orders by itself, or all copies of a namespace through a writer.

use logstore_api::{Durability, NamespaceName};
use logstore_client::error::chain;
use logstore_client::{
    Pending, ProduceError, Producer, ProducerOptions, Retries, Store, WriteError, Writer, WriterError, WriterOptions,
};

use super::super::failure::{Exit, Failure, exit_of_append};
use super::input::Batch;

/// Where batches go.
#[derive(Debug)]
pub(super) enum Sink {
    Store(Box<Producer>),
    Copies { writer: Writer, count: usize },
}

/// A batch that was sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) count: u64,
    /// What it took in the input.
    pub(super) bytes: u64,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    /// Acknowledged; the first offset, where the store still knows it.
    Acknowledged(Option<u64>),
    Pending(Pending),
}

/// Why a batch was not sent, or came to nothing.
#[derive(Debug)]
pub(super) enum SendError {
    /// Nothing of it is stored.
    NotSent(Failure),
    /// It may be stored or not.
    InDoubt(Failure),
}

impl Sink {
    /// One store is appended to as it is; two or more are the copies of a namespace and taken over.
    pub(super) async fn open(
        mut stores: Vec<Store>,
        name: NamespaceName,
        partition: Option<u32>,
        durability: Option<Durability>,
        retries: Retries,
    ) -> Result<Self, Failure> {
        if stores.len() == 1 {
            let options = ProducerOptions { partition, durability, retries };
            return Ok(Self::Store(Box::new(Producer::new(stores.remove(0), name, options))));
        }
        let count = stores.len();
        let label = format!("logstore append, process {}", std::process::id());
        let options = WriterOptions { label, partition, durability, retries, ..WriterOptions::default() };
        let writer = Writer::open(stores, name, options).await.map_err(|error| failure_of_writer(&error))?;
        Ok(Self::Copies { writer, count })
    }

    /// How many stores there are, in words.
    pub(super) fn stores(&self) -> String {
        match self {
            Self::Store(_) => "1 store".to_owned(),
            Self::Copies { count, .. } => format!("{count} copies"),
        }
    }

    /// Sends a batch. To a writer's copies many may be on their way at once.
    pub(super) async fn send(&mut self, batch: &Batch) -> Result<Sent, SendError> {
        let Batch { first_line: _, records, bytes } = batch;
        let fate = match self {
            Self::Store(producer) => {
                let answer = producer.append(records).await.map_err(not_produced)?;
                Fate::Acknowledged(answer.offset)
            }
            Self::Copies { writer, .. } => Fate::Pending(writer.submit(records).await.map_err(not_written)?),
        };
        Ok(Sent { count: records.len() as u64, bytes: *bytes, fate })
    }

    /// Waits until all is acknowledged and every copy knows it.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Store(_) => Ok(()),
            Self::Copies { writer, .. } => writer.close().await.map_err(|error| {
                failure_of_writer(&error).and("a copy may not show the last records before somebody writes again")
            }),
        }
    }
}

impl Sent {
    /// Waits for what becomes of it: the first offset, where the store still knows it.
    pub(super) async fn acknowledged(self) -> Result<Option<u64>, Failure> {
        match self.fate {
            Fate::Acknowledged(offset) => Ok(offset),
            Fate::Pending(pending) => match pending.await {
                Ok(acked) => Ok(Some(acked.offset)),
                Err(error) => Err(failure_of_write(&error)),
            },
        }
    }
}

fn not_produced(error: ProduceError) -> SendError {
    match &error {
        ProduceError::Invalid(_) => SendError::NotSent(Failure::new(Exit::Refused, error.to_string())),
        ProduceError::Refused(cause) => SendError::NotSent(Failure::new(exit_of_append(cause), chain(cause))),
        ProduceError::Unknown(cause) => SendError::InDoubt(Failure::new(Exit::Unknown, chain(cause))),
    }
}

fn not_written(error: WriteError) -> SendError {
    let failure = failure_of_write(&error);
    match error {
        WriteError::Unknown(_) => SendError::InDoubt(failure),
        WriteError::Invalid(_) | WriteError::BeyondEnd { .. } | WriteError::Stopped(_) => SendError::NotSent(failure),
    }
}

fn failure_of_write(error: &WriteError) -> Failure {
    match error.writer_error() {
        Some(error) => failure_of_writer(error),
        None => Failure::new(Exit::Refused, error.to_string()),
    }
}

fn failure_of_writer(error: &WriterError) -> Failure {
    let exit = match error {
        WriterError::Away { .. } => Exit::Unreachable,
        _ => Exit::Refused,
    };
    Failure::new(exit, chain(error))
}
