//! Copies that fail at random under writers that come and go. Whatever happens: what was acknowledged is on every copy at
//! its offset, once; what was refused is nowhere; and in the end all copies are equal.

use std::collections::HashMap;
use std::time::Duration;

use logstore_api::{Code, Problem};
use logstore_client::{Pending, Record, WriteError, Writer, WriterError};

use crate::support::copy::{FakeCopy, Fault};
use crate::support::{orders, writer_options};

/// Runs of one `cargo test`. `LOGSTORE_SEED=N` runs that one alone.
const SEEDS: u64 = 25;
const WRITERS: usize = 4;
const BATCHES: usize = 25;

/// What the test, not the stores, knows of each payload.
#[derive(Default)]
struct Ledger {
    acked: HashMap<String, u64>,
    refused: Vec<String>,
}

struct Random(u64);

impl Random {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn fault(&mut self) -> Fault {
        match self.below(100) {
            0..4 => Fault::DropRequest,
            4..10 => Fault::DropAnswer,
            10..14 => Fault::Crash,
            14..18 => Fault::Refuse(Box::new(Problem::new(Code::Overloaded, "too much"))),
            _ => Fault::Serve,
        }
    }
}

#[allow(clippy::print_stdout, reason = "names the seed of a run that fails")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_moved_or_doubled() {
    let seeds = match std::env::var("LOGSTORE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..SEEDS).collect(),
    };
    for seed in seeds {
        println!("LOGSTORE_SEED={seed}");
        run(&mut Random(seed)).await;
    }
}

async fn run(random: &mut Random) {
    let mut copies = FakeCopy::pair().await.into_iter().collect::<Vec<_>>();
    if random.below(2) == 0 {
        copies.push(FakeCopy::start().await);
    }
    for copy in &copies {
        let mut chances = Random(random.below(u64::MAX));
        copy.leave_to_chance(move |_| chances.fault());
    }
    let mut ledger = Ledger::default();
    let mut rival = None;
    for number in 0..WRITERS {
        // The one before may still be at work: then it loses its reign in the middle.
        let writer = open(&copies).await;
        write(&writer, number, &copies, random, &mut ledger).await;
        match random.below(3) {
            0 => drop(writer),
            1 => writer.close().await.unwrap_or_else(|error| panic!("{error}")),
            _ => rival = Some(writer),
        }
    }
    for copy in &copies {
        copy.behave();
    }
    let last = open(&copies).await;
    if let Some(rival) = rival {
        let error = rival.append(&[Record::new("late")]).await.unwrap_err();
        assert!(matches!(error.writer_error(), Some(WriterError::Fenced { .. })), "{error}");
    }
    last.close().await.unwrap();
    check(&copies, &ledger);
}

async fn open(copies: &[FakeCopy]) -> Writer {
    loop {
        match Writer::open(copies.iter().map(FakeCopy::store).collect(), orders(), writer_options()).await {
            Ok(writer) => return writer,
            // A copy may lose, in the middle of a takeover, what no other had: the next one does not count on it.
            Err(WriterError::Away { .. } | WriterError::Lost { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn write(writer: &Writer, number: usize, copies: &[FakeCopy], random: &mut Random, ledger: &mut Ledger) {
    let mut out = Vec::new();
    for batch in 0..BATCHES {
        let payloads: Vec<_> = (0..=random.below(3)).map(|record| format!("{number}-{batch}-{record}")).collect();
        let records: Vec<_> = payloads.iter().map(|payload| Record::new(payload.clone())).collect();
        match writer.submit(&records).await {
            Ok(pending) => out.push((payloads, pending)),
            Err(_) => ledger.refused.extend(payloads),
        }
        if random.below(4) == 0 {
            settle(out.drain(..), ledger).await;
        }
        if random.below(12) == 0 {
            let index = usize::try_from(random.below(copies.len() as u64)).unwrap();
            copies[index].server.go_away();
            tokio::time::sleep(Duration::from_millis(random.below(10))).await;
            copies[index].server.come_back();
        }
    }
    if random.below(2) == 0 {
        settle(out.drain(..), ledger).await;
    }
}

async fn settle(out: impl Iterator<Item = (Vec<String>, Pending)>, ledger: &mut Ledger) {
    for (payloads, pending) in out {
        match pending.await {
            Ok(acked) => {
                assert_eq!(acked.count, payloads.len() as u64);
                ledger.acked.extend(payloads.into_iter().zip(acked.offset..));
            }
            Err(WriteError::Unknown(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn check(copies: &[FakeCopy], ledger: &Ledger) {
    let records: Vec<String> =
        copies[0].records().into_iter().map(|payload| String::from_utf8(payload).unwrap()).collect();
    for copy in copies {
        assert_eq!(copy.frames(), copies[0].frames(), "all copies are equal");
        assert_eq!(copy.confirmed(), copy.next_frame(), "all is confirmed everywhere");
    }
    let mut offsets: HashMap<&str, u64> = HashMap::new();
    for (offset, payload) in (0..).zip(&records) {
        assert_eq!(offsets.insert(payload, offset), None, "{payload} is there twice");
    }
    for (payload, offset) in &ledger.acked {
        assert_eq!(offsets.get(payload.as_str()), Some(offset), "{payload} was acknowledged at {offset}");
    }
    for payload in &ledger.refused {
        assert!(!offsets.contains_key(payload.as_str()), "{payload} was refused");
    }
    assert!(!ledger.acked.is_empty());
}
