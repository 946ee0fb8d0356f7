//! Records that are found by a tag, in a sealed segment: most of a log is sealed.

use logstore_store::engine::batch::Attributes;

use super::Operation;
use super::read::repeated;
use crate::connection::Connection;

/// Records that are found.
pub(super) const FOUND: u64 = 100;
/// One record in so many is, and so many are in a batch.
const RARITY: u64 = 100;

/// Finds them.
pub(super) fn tag() -> Operation {
    let connection = Connection::open();
    connection.store.fill(FOUND * RARITY, RARITY, |number| {
        let rare = (number % RARITY == 0).then(|| "rare".to_owned());
        Attributes { tags: rare.into_iter().chain(["common".to_owned()]).collect(), ..Attributes::default() }
    });
    connection.store.seal();
    repeated(connection, "GET", "?tags=rare", "", b"")
}
