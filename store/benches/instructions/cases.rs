//! What is counted: the table of cases, each a thing that users do, on inputs that never change.

mod append;
mod find;
mod read;
mod recovery;

/// What a case repeats.
type Operation = Box<dyn FnMut()>;

/// Something to count.
pub(crate) struct Case {
    /// Its name in the budget.
    pub(crate) name: &'static str,
    /// What one count is of.
    pub(crate) what: &'static str,
    /// Operations that are counted.
    pub(crate) times: u64,
    /// Records in each, where the count is per record.
    pub(crate) records: u64,
    prepare: fn() -> Operation,
}

impl Case {
    /// Prepares everything, and does the operation so often, after a few times that let everything be used once.
    pub(crate) fn run(&self, times: u64) {
        let mut operation = (self.prepare)();
        let warm_up = 1 + self.times / 10;
        (0..warm_up + times).for_each(|_| operation());
    }
}

/// All of them.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "append-http-written",
        what: "append of one record over HTTP, `written`",
        times: 1000,
        records: 1,
        prepare: append::http_written,
    },
    Case {
        name: "append-http-synced",
        what: "append of one record over HTTP, `synced`",
        times: 500,
        records: 1,
        prepare: append::http_synced,
    },
    Case {
        name: "append-engine-written",
        what: "append of one record without HTTP, `written`",
        times: 5000,
        records: 1,
        prepare: append::engine_written,
    },
    Case {
        name: "append-engine-synced",
        what: "append of one record without HTTP, `synced`",
        times: 500,
        records: 1,
        prepare: append::engine_synced,
    },
    Case {
        name: "batch-lines",
        what: "record of a batch of 1,000 lines over HTTP",
        times: 50,
        records: append::BATCH_RECORDS,
        prepare: append::lines,
    },
    Case {
        name: "batch-envelopes",
        what: "record of a batch of 1,000 envelopes with a tag over HTTP",
        times: 20,
        records: append::BATCH_RECORDS,
        prepare: append::envelopes,
    },
    Case {
        name: "get-one",
        what: "read of one record by its offset over HTTP",
        times: 1000,
        records: 1,
        prepare: read::one,
    },
    Case {
        name: "get-many",
        what: "record of 1,000 read by their offsets over HTTP",
        times: 10,
        records: read::MANY,
        prepare: read::many,
    },
    Case {
        name: "scan-envelopes",
        what: "record of a page of 10,000 over HTTP, as envelopes",
        times: 5,
        records: read::PAGE_RECORDS,
        prepare: read::envelopes,
    },
    Case {
        name: "scan-text",
        what: "record of a page of 10,000 over HTTP, as text",
        times: 5,
        records: read::PAGE_RECORDS,
        prepare: read::text,
    },
    Case {
        name: "scan-engine",
        what: "record of 10,000 read without HTTP",
        times: 10,
        records: read::PAGE_RECORDS,
        prepare: read::engine,
    },
    Case {
        name: "find-tag",
        what: "record of 100 found by a tag among 10,000 over HTTP",
        times: 20,
        records: find::FOUND,
        prepare: find::tag,
    },
    Case {
        name: "recovery",
        what: "record of 5,000, each appended alone, that a start after a crash verifies",
        times: 5,
        records: recovery::RECORDS,
        prepare: recovery::start,
    },
];
