//! The client of logstore: one store, or all copies of a namespace at once.
//!
//! ```text
//! Store      one store by its address: namespaces, append, read, and the calls between writers and stores
//! Producer   appends to one store; a retry stores nothing twice
//! Follow     reads a log as it grows, across restarts of its store
//! Writer     appends to a namespace with several copies: the same records at the same offsets on all of them
//! Admin      is the store ready?
//! ```
//!
//! What became of an append is in the type of its error: refused, so that it is nowhere and never will be; or unknown.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use logstore_client::{Follow, FollowOptions, NamespaceName, ReadFrom, Record, Store, Writer, WriterOptions};
//!
//! let orders = NamespaceName::parse("orders")?;
//! let copies = vec![Store::new("http://events-a:8000")?, Store::new("http://events-b:8000")?];
//!
//! let writer = Writer::open(copies.clone(), orders.clone(), WriterOptions::default()).await?;
//! let acked = writer.append(&[Record::new("one"), Record::new("two")]).await?;
//! writer.close().await?;
//!
//! let from = ReadFrom::Offset(acked.offset);
//! let mut records = Follow::new(copies[0].clone(), orders, from, FollowOptions::default());
//! assert_eq!(records.next().await?.data.as_deref(), Some("one"));
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

pub mod error;

mod base_url;
mod http;
mod patience;
mod query;

mod records;

pub mod admin;
pub mod store;

pub mod follow;
pub mod producer;

pub mod writer;

pub use admin::{Admin, Readiness};
pub use error::{Error, Outcome};
pub use follow::{Follow, FollowOptions};
pub use http::Timeouts;
pub use logstore_api::NamespaceName;
pub use logstore_api::read::{Level, Order};
pub use patience::Retries;
pub use producer::{ProduceError, Producer, ProducerOptions};
pub use records::{InvalidRecords, Record};
pub use store::{
    AppendError, AppendOptions, Got, IndexRange, InvalidReadFrom, ListOptions, Payload, ProducerSequence, ReadAnswer,
    ReadFrom, ReadOptions, ReadUntil, Store,
};
pub use writer::{Acked, CopyStatus, Pending, WriteError, Writer, WriterError, WriterOptions, WriterStatus};
