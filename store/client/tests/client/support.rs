//! Stand-ins for stores: [`server`] speaks HTTP, [`script`] answers what it is told, [`copy`] keeps a log.

pub(crate) mod copy;
pub(crate) mod script;
pub(crate) mod server;

use std::time::{Duration, Instant};

use logstore_api::NamespaceName;
use logstore_client::{Retries, WriterOptions};

pub(crate) fn orders() -> NamespaceName {
    NamespaceName::parse("orders").unwrap()
}

/// Short waits, so that a test of a store that is away is quick.
pub(crate) const RETRIES: Retries = Retries {
    wait_min: Duration::from_millis(2),
    wait_max: Duration::from_millis(20),
    give_up_after: Duration::from_secs(10),
};

/// For tests in which patience is to end.
pub(crate) const HASTY: Retries = Retries { give_up_after: Duration::from_millis(150), ..RETRIES };

pub(crate) fn writer_options() -> WriterOptions {
    WriterOptions { label: "test".to_owned(), retries: RETRIES, ..WriterOptions::default() }
}

/// Waits until something is so; a test that waits in vain fails.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
