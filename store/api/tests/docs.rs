//! The page of error codes is generated from the table of codes.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that reads and writes a page")]

use std::fmt::Write as _;

use logstore_api::Code;
use logstore_api::error::Retry;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/errors.md");

#[test]
fn the_page_of_error_codes_is_current() {
    let page = page();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        found == page,
        "docs/reference/errors.md is not current; run UPDATE_GENERATED=1 cargo test -p logstore-api"
    );
}

fn page() -> String {
    let mut page = String::from(
        "# Error codes\n\nGenerated from `logstore_api::error`; do not edit. `retry` says when the same request may be sent again: \
         never as it is, at once with the same identity because its outcome is not known (same), or after a while (later).\n\n\
         | code | status | retry | meaning |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let retry = match code.retry() {
            Retry::Never => "never",
            Retry::Same => "same",
            Retry::Later => "later",
        };
        let _ = writeln!(page, "| <a id=\"{code}\"></a>`{code}` | {} | {retry} | {} |", code.status(), code.title());
    }
    page
}
