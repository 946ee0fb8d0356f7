//! A namespace with several partitions: where records go, and what is one partition's alone.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Start, Store};
use serde_json::{Value, json};

const RECORDS: &str = "/v1/namespaces/orders/records";
const ENVELOPES: (&str, &str) = ("Content-Type", "application/vnd.logstore.records+ndjson");

fn with_partitions(count: u32) -> Store {
    let store = Store::new();
    assert_eq!(store.put("/v1/namespaces/orders", &json!({"partitions": count})).status, 201);
    store
}

fn appended(answer: &Answer) -> (u64, u64) {
    assert_eq!(answer.status, 200, "{answer:?}");
    (answer.json()["partition"].as_u64().unwrap(), answer.json()["offset"].as_u64().unwrap())
}

fn texts(store: &Store, partition: u64) -> Vec<Value> {
    let lines = store.get(&format!("{RECORDS}?partition={partition}")).lines();
    lines.into_iter().map(|mut envelope| envelope["data"].take()).collect()
}

#[test]
fn each_partition_has_an_order_of_its_own_that_survives_crashes_and_orderly_stops() {
    let mut store = with_partitions(3);
    for (round, offset) in (0..3).zip(0..) {
        for partition in 0..3 {
            let answer = store.post(&format!("{RECORDS}?partition={partition}"), format!("{round}").as_bytes());
            assert_eq!(appended(&answer), (partition, offset));
            let query = if partition == 0 { String::new() } else { format!("?partition={partition}") };
            assert_eq!(answer.header("location"), Some(format!("{RECORDS}/{offset}{query}").as_str()));
        }
        store = if round == 0 { store.crash(&Start::default()) } else { store.restart(&Start::default()) };
        let described = store.get("/v1/namespaces/orders").json();
        let ends: Vec<_> =
            described["partitions"].as_array().unwrap().iter().map(|info| (&info["partition"], &info["end"])).collect();
        let end = json!(offset + 1);
        assert_eq!(ends, [(&json!(0), &end), (&json!(1), &end), (&json!(2), &end)]);
    }
    for partition in 0..3 {
        assert_eq!(texts(&store, partition), ["0", "1", "2"]);
        assert_eq!(store.get(&format!("{RECORDS}/2?partition={partition}")).text(), "2");
    }
    assert_eq!(store.get(&format!("{RECORDS}?partition=2&meta=all")).lines()[0]["partition"], 2);
}

#[test]
fn without_partition_and_key_appends_go_round_and_the_same_key_goes_to_the_same_place() {
    let store = with_partitions(4);
    let mut seen: Vec<u64> = (0..4).map(|_| appended(&store.post(RECORDS, b"x")).0).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3]);
    for key in ["", "a", "customer-17", "ü"] {
        let expected = xxhash_rust::xxh3::xxh3_64(key.as_bytes()) % 4;
        let key = key.replace('ü', "%C3%BC");
        assert_eq!(appended(&store.post(&format!("{RECORDS}?key={key}"), b"x")).0, expected, "{key}");
    }
    assert_eq!(appended(&store.post(&format!("{RECORDS}?key=a&partition=3"), b"x")).0, 3, "a partition is meant");
}

#[test]
fn a_batch_goes_to_one_partition() {
    let store = with_partitions(2);
    let of = |key: &String| xxhash_rust::xxh3::xxh3_64(key.as_bytes()) % 2;
    let keys = |partition| (0..).map(|number: u32| number.to_string()).filter(move |key| of(key) == partition);
    let batch = |keys: &[String]| {
        keys.iter().map(|key| json!({"data": "x", "key": key}).to_string() + "\n").collect::<String>()
    };
    let send = |path: &str, body: &str| store.send("POST", path, &[ENVELOPES], body.as_bytes());
    let together: Vec<_> = keys(1).take(3).collect();
    assert_eq!(appended(&send(RECORDS, &batch(&together))), (1, 0));
    let apart = [keys(0).next().unwrap(), keys(1).next().unwrap()];
    let refused = send(RECORDS, &batch(&apart));
    assert_eq!(refused.problem(), (400, "invalid_argument".into()));
    assert_eq!((&refused.json()["field"], &refused.json()["line"]), (&json!("key"), &json!(2)));
    assert_eq!(appended(&send(&format!("{RECORDS}?partition=0"), &batch(&apart))), (0, 0));
    assert_eq!((texts(&store, 0).len(), texts(&store, 1).len()), (2, 3), "nothing of what was refused was stored");
}

#[test]
fn who_reads_or_trims_says_which() {
    let store = with_partitions(2);
    for partition in [0, 1, 1] {
        store.post(&format!("{RECORDS}?partition={partition}"), b"x");
    }
    let unsaid = [
        store.get(RECORDS),
        store.get(&format!("{RECORDS}/0")),
        store.post("/v1/namespaces/orders/trim", br#"{"before":1}"#),
    ];
    for answer in unsaid {
        assert_eq!(answer.problem(), (400, "invalid_argument".into()));
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("2 partitions") && detail.contains("partition="), "{detail}");
    }
    let missing = [
        store.get(&format!("{RECORDS}?partition=2")),
        store.get(&format!("{RECORDS}/0?partition=2")),
        store.post(&format!("{RECORDS}?partition=2"), b"x"),
        store.post("/v1/namespaces/orders/trim", br#"{"partition":2,"before":1}"#),
        store.get("/v1/frames?namespace=orders&from=0&partition=2"),
    ];
    for answer in missing {
        assert_eq!(answer.problem(), (404, "partition_not_found".into()));
        assert!(answer.json()["detail"].to_string().contains("has 2, 0 to 1"), "{answer:?}");
    }
    let trimmed = store.post("/v1/namespaces/orders/trim", br#"{"partition":1,"before":1}"#).json();
    assert_eq!(trimmed, json!({"partition": 1, "start": 1, "end": 2}));
    assert_eq!((texts(&store, 0).len(), texts(&store, 1).len()), (1, 1));
}

#[test]
fn a_producers_sequence_counts_within_a_partition() {
    let store = with_partitions(2);
    let producer =
        [("Producer-Id", "00112233445566778899aabbccddeeff"), ("Producer-Epoch", "0"), ("Producer-Seq", "0")];
    let send = |query: &str| store.send("POST", &format!("{RECORDS}{query}"), &producer, b"x");
    assert_eq!(send("").problem(), (400, "invalid_argument".into()));
    assert_eq!(send("").json()["field"], "partition");
    assert_eq!(send("?partition=0").json()["duplicate"], false);
    assert_eq!(send("?partition=1").json()["duplicate"], false, "each partition counts by itself");
    assert_eq!(send("?partition=1").json()["duplicate"], true);
}

#[test]
fn the_number_of_partitions_stays() {
    let store = with_partitions(2);
    store.post(&format!("{RECORDS}?partition=1"), b"x");
    for count in [1, 3] {
        let answer = store.put("/v1/namespaces/orders", &json!({"partitions": count, "durability": "written"}));
        assert_eq!(answer.problem(), (409, "config_conflict".into()));
        assert_eq!(answer.json()["field"], "partitions");
    }
    let described = store.get("/v1/namespaces/orders").json();
    assert_eq!((&described["config"]["partitions"], &described["config"]["durability"]), (&json!(2), &json!("synced")));
    assert_eq!(store.put("/v1/namespaces/orders", &json!({"partitions": 2})).status, 200);
}

#[test]
fn damage_and_verification_know_the_partition() {
    let mut store = with_partitions(2);
    for partition in [0, 1] {
        for _ in 0..3 {
            store.post(&format!("{RECORDS}?partition={partition}"), b"some record");
        }
    }
    assert!(store.stop().success());
    let log = store.files().into_iter().find(|path| path.ends_with("1/00000000000000000000.log")).unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.windows(11).position(|window| window == b"some record").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let verified =
        std::process::Command::new(common::binary()).args(["verify", "--root"]).arg(&store.root).output().unwrap();
    let said = String::from_utf8([verified.stdout, verified.stderr].concat()).unwrap();
    assert!(!verified.status.success() && said.contains("orders/1/"), "{said}");
    let store = store.start_again(&Start::default());
    assert_eq!(store.get(&format!("{RECORDS}/0?partition=1")).problem(), (410, "damaged".into()));
    assert_eq!(texts(&store, 0).len(), 3);
    let holes = &store.get("/v1/namespaces/orders").json()["holes"];
    assert_eq!((&holes[0]["partition"], &holes[0]["from"]), (&json!(1), &json!(0)));
}

#[test]
fn one_fence_covers_all_partitions() {
    let store = Store::ordered();
    let incarnation = uuid::Uuid::from_u128(7);
    let internal = json!({"owner": "local/events", "revision": 1, "incarnation": incarnation, "salt": "42"});
    store.put("/v1/namespaces/orders", &json!({"partitions": 3, "internal": internal}));
    let fence = |epoch: u32, writer: u128| {
        let reign = json!({"epoch": epoch, "writer": uuid::Uuid::from_u128(writer), "label": "w"});
        store.post("/v1/fence", json!({"namespace": "orders", "reign": reign}).to_string().as_bytes())
    };
    let tails = fence(5, 1).json()["partitions"].clone();
    assert_eq!(tails.as_array().unwrap().iter().map(|tail| &tail["partition"]).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(fence(9, 2).status, 200);
    for partition in 0..3 {
        let query = format!(
            "namespace=orders&partition={partition}&incarnation={incarnation}&epoch=5&writer={}&frame=0&previous=0&confirmed=0&durability=synced",
            uuid::Uuid::from_u128(1)
        );
        assert_eq!(store.post(&format!("/v1/place?{query}"), b"").problem(), (403, "fenced".into()));
    }
}
