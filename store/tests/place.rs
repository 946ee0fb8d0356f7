//! Between writers and copies: fences, places at exact numbers, frames.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Start, Store};
use logstore_api::fence::FenceAnswer;
use logstore_api::frame::control::{self, EpochStart, Erase, Patch, PatchHead};
use logstore_api::frame::{FrameBuilder, Kind, NewRecord, Numbers, Salt};
use serde_json::json;
use uuid::Uuid;

const INCARNATION: Uuid = Uuid::from_u128(77);
/// In no answer, ever.
const SECRET: u64 = 1_234_567_890_123_456_789;

fn ordered() -> Start {
    Start { config: Some(json!({"ordered": true})), ..Start::default() }
}

fn create(store: &Store) -> Answer {
    let internal =
        json!({"owner": "local/events", "revision": 1, "incarnation": INCARNATION, "salt": SECRET.to_string()});
    store.put("/v1/namespaces/orders", &json!({"internal": internal}))
}

/// A writer that keeps the order by hand.
struct Writer {
    epoch: u32,
    id: Uuid,
    frame: u64,
    offset: u64,
    previous: u32,
    confirmed: u64,
}

impl Writer {
    fn fence(store: &Store, epoch: u32) -> (Self, Answer) {
        let id = Uuid::new_v4();
        let answer = fence(store, epoch, id);
        let mut writer = Self { epoch, id, frame: 0, offset: 0, previous: 0, confirmed: 0 };
        if answer.status == 200 {
            let tail = serde_json::from_value::<FenceAnswer>(answer.json()).unwrap().partitions[0];
            writer.frame = tail.next_frame;
            writer.offset = tail.next_offset;
            writer.previous = tail.last_checksum;
            writer.confirmed = tail.confirmed;
        }
        (writer, answer)
    }

    fn seal(&mut self, mut draft: logstore_api::frame::Draft) -> Vec<u8> {
        let numbers =
            Numbers { number: self.frame, base_offset: self.offset, time_us: 1_700_000_000_000_000, epoch: self.epoch };
        self.previous = draft.seal(numbers, Salt::WIRE, 0);
        self.frame += 1;
        self.offset += draft.view().header().offset_count();
        draft.into_bytes()
    }

    fn data(&mut self, records: &[&str]) -> Vec<u8> {
        let mut builder = FrameBuilder::new(Kind::Data, None, Salt::WIRE);
        records.iter().for_each(|record| builder.push(&NewRecord { data: record.as_bytes(), ..NewRecord::default() }));
        self.seal(builder.finish())
    }

    fn place(&self, store: &Store, frame: u64, previous: u32, body: &[u8]) -> Answer {
        let Self { epoch, id, confirmed, .. } = self;
        store.post(
            &format!("/v1/place?namespace=orders&incarnation={INCARNATION}&epoch={epoch}&writer={id}&frame={frame}&previous={previous}&confirmed={confirmed}&durability=synced"),
            body,
        )
    }
}

fn fence(store: &Store, epoch: u32, writer: Uuid) -> Answer {
    let reign = json!({"epoch": epoch, "writer": writer, "label": format!("test {epoch}")});
    store.post("/v1/fence", json!({"namespace": "orders", "reign": reign}).to_string().as_bytes())
}

#[test]
fn what_is_not_confirmed_is_shown_to_who_asks_for_it() {
    let store = Store::ordered();
    assert_eq!(create(&store).status, 201);
    let (mut writer, _) = Writer::fence(&store, 1);
    let begin = EpochStart { writer: writer.id, label: "test".into() };
    let begin = writer.seal(control::draft(Kind::EpochStart, &begin.encode(), Salt::WIRE));
    let frames = [begin, writer.data(&["a", "b"]), writer.data(&["c"])].concat();
    writer.confirmed = 2;
    assert_eq!(writer.place(&store, 0, 0, &frames).status, 200);
    let offsets = |query: &str| {
        let answer = store.get(&format!("/v1/namespaces/orders/records?{query}"));
        let offsets: Vec<_> = answer.lines().iter().map(|record| record["offset"].as_u64().unwrap()).collect();
        (offsets, answer.header("logstore-end").unwrap().to_owned())
    };
    assert_eq!(offsets(""), (vec![0, 1], "2".into()));
    assert_eq!(offsets("level=durable"), (vec![0, 1], "2".into()), "synced, but not confirmed");
    assert_eq!(offsets("level=unconfirmed&wait=60s&from=2"), (vec![2], "3".into()));
    assert_eq!(offsets("level=unconfirmed&order=desc"), (vec![2, 1, 0], "3".into()));
}

#[test]
fn a_copy_takes_frames_in_one_order_and_shows_what_is_confirmed() {
    let store = Store::ordered();
    assert_eq!(create(&store).status, 201);
    let (mut writer, _) = Writer::fence(&store, 1);
    let begin = EpochStart { writer: writer.id, label: "test".into() };
    let begin = writer.seal(control::draft(Kind::EpochStart, &begin.encode(), Salt::WIRE));
    let first = [begin, writer.data(&["a", "b"]), writer.data(&["c"])].concat();
    let placed = writer.place(&store, 0, 0, &first);
    assert_eq!((placed.status, placed.json()["next_frame"].as_u64()), (200, Some(3)), "{placed:?}");
    assert_eq!(store.texts("start"), Vec::<String>::new(), "held, not confirmed");
    let again = writer.place(&store, 0, 0, &first);
    assert_eq!((again.status, again.json()["next_frame"].as_u64()), (200, Some(3)), "the same frames again");
    writer.confirmed = 2;
    assert_eq!(writer.place(&store, 3, writer.previous, b"").json()["confirmed"], 2);
    assert_eq!(store.texts("start"), ["a", "b"]);
    let (previous, body) = (writer.previous, writer.data(&["d"]));
    assert_eq!(writer.place(&store, 3, previous ^ 1, &body).problem(), (409, "diverged".into()));
    let gap = writer.place(&store, 4, previous, &body);
    assert_eq!((gap.problem(), &gap.json()["expected"]), ((409, "frame_mismatch".into()), &json!(3)));
    writer.confirmed = 4;
    assert_eq!(writer.place(&store, 3, previous, &body).status, 200);
    assert_eq!(store.texts("start"), ["a", "b", "c", "d"]);
    let store = store.crash(&ordered());
    let looked = store.get("/v1/fence?namespace=orders").json();
    assert_eq!((&looked["reign"]["epoch"], &looked["partitions"][0]["next_frame"]), (&json!(1), &json!(4)));
    writer.confirmed = 4;
    writer.place(&store, 4, writer.previous, b"");
    assert_eq!(store.texts("start"), ["a", "b", "c", "d"]);
}

#[test]
fn a_frame_of_another_content_at_the_same_number_is_diverged() {
    let store = Store::ordered();
    create(&store);
    let (mut writer, _) = Writer::fence(&store, 1);
    let body = writer.data(&["a"]);
    assert_eq!(writer.place(&store, 0, 0, &body).status, 200);
    let mut liar = Writer { frame: 0, offset: 0, previous: 0, confirmed: 0, ..writer };
    let other = liar.data(&["A"]);
    assert_eq!(liar.place(&store, 0, 0, &other).problem(), (409, "diverged".into()));
}

#[test]
fn a_newer_epoch_fences_the_older_for_ever() {
    let store = Store::ordered();
    create(&store);
    let (mut loser, _) = Writer::fence(&store, 1);
    let body = loser.data(&["a"]);
    assert_eq!(Writer::fence(&store, 1).1.problem(), (403, "fenced".into()), "the same number, another writer");
    assert_eq!(fence(&store, 1, loser.id).status, 200, "its own again");
    let (winner, _) = Writer::fence(&store, 2);
    let store = store.crash(&ordered());
    let refused = loser.place(&store, 0, 0, &body);
    assert_eq!(refused.problem(), (403, "fenced".into()));
    assert_eq!(refused.json()["writer"], json!({"epoch": 2, "writer": winner.id, "label": "test 2"}));
    assert_eq!(fence(&store, 1, loser.id).problem(), (403, "fenced".into()));
    assert_eq!(store.get("/v1/fence?namespace=orders").json()["partitions"][0]["next_frame"], 0);
}

#[test]
fn frames_leave_as_they_came_and_no_answer_shows_the_salt() {
    let store = Store::ordered();
    let mut answers = vec![create(&store)];
    let (mut writer, fenced) = Writer::fence(&store, 1);
    answers.push(fenced);
    let sent: Vec<Vec<u8>> = (0..5).map(|number| writer.data(&[&format!("record {number}")])).collect();
    answers.push(writer.place(&store, 0, 0, &sent.concat()));
    let frames = |query: &str| store.get(&format!("/v1/frames?namespace=orders&{query}"));
    assert_eq!(frames("from=0").body, sent.concat());
    assert_eq!(frames("from=2&until=4").body, sent[2..4].concat());
    assert_eq!(frames("from=5").body, b"");
    assert_eq!(frames("from=6").problem(), (416, "beyond_end".into()));
    answers.extend([
        frames("from=0"),
        store.get("/v1/namespaces/orders"),
        store.get("/v1/namespaces"),
        store.get("/v1/fence?namespace=orders"),
    ]);
    for answer in answers {
        for secret in [SECRET.to_string().into_bytes(), SECRET.to_le_bytes().to_vec(), SECRET.to_be_bytes().to_vec()] {
            assert!(!answer.body.windows(secret.len()).any(|window| window == secret), "{answer:?}");
        }
    }
}

/// What is left of an erased record goes to other copies with the checksums it always had.
#[test]
fn patches_and_erasures_are_placed_and_a_copy_without_the_bytes_can_be_copied() {
    let soon = Start { config: Some(json!({"ordered": true, "erase_within_seconds": 0})), ..Start::default() };
    let (store, other) = (Store::with(&soon), Store::ordered());
    create(&store);
    create(&other);
    let (mut writer, _) = Writer::fence(&store, 1);
    let head = PatchHead { offset: 0, position: 1, data_len: 3 };
    let frames = [
        writer.data(&["abc", "SECRET", "last"]),
        writer.seal(Patch { head, bytes: b"X" }.draft(Salt::WIRE)),
        writer.seal(Patch { head: PatchHead { offset: 1, data_len: 6, ..head }, bytes: b"HIDDE" }.draft(Salt::WIRE)),
        writer.seal(control::draft(Kind::Erase, &Erase { offset: 1 }.encode(), Salt::WIRE)),
    ];
    assert_eq!(writer.place(&store, 0, 0, &frames.concat()).status, 200);
    writer.confirmed = 1;
    assert_eq!(writer.place(&store, 4, writer.previous, b"").status, 200);
    assert_eq!(store.texts("start"), ["abc", "SECRET", "last"], "what is not confirmed is not seen");
    writer.confirmed = 4;
    assert_eq!(writer.place(&store, 4, writer.previous, b"").status, 200);
    assert_eq!(store.texts("start"), ["aXc", "last"]);
    let exported = || store.get("/v1/frames?namespace=orders&from=0").body;
    let holds = |bytes: &[u8], secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    common::eventually("the frames are without the record", || {
        let bytes = exported();
        !holds(&bytes, b"SECRET") && !holds(&bytes, b"HIDDE")
    });
    // The other copy takes the stubs, as whoever has seen the bytes, and goes on behind them.
    let copied = exported();
    assert_eq!(fence(&other, 1, writer.id).status, 200);
    assert_eq!(writer.place(&other, 0, 0, &copied).status, 200);
    assert_eq!(other.texts("start"), ["aXc", "last"]);
    assert_eq!(other.get("/v1/frames?namespace=orders&from=0").body, copied);
    let previous = writer.previous;
    let next = writer.data(&["next"]);
    writer.confirmed = 5;
    for copy in [&store, &other] {
        assert_eq!(writer.place(copy, 4, previous, &next).status, 200);
        // Frames that stand there are known, with or without the bytes.
        assert_eq!(writer.place(copy, 0, 0, &frames.concat()).status, 200);
        assert_eq!(writer.place(copy, 0, 0, &copied).status, 200);
        assert_eq!(copy.texts("start"), ["aXc", "last", "next"]);
    }
    assert_eq!(
        store.get("/v1/fence?namespace=orders").json()["partitions"][0],
        other.get("/v1/fence?namespace=orders").json()["partitions"][0]
    );
}

#[test]
fn one_copy_takes_no_plain_appends_and_no_namespaces_of_its_own() {
    let store = Store::ordered();
    create(&store);
    assert_eq!(store.post("/v1/namespaces/orders/records", b"x").problem(), (421, "not_the_writer".into()));
    assert_eq!(store.post("/v1/namespaces/orders/trim", br#"{"before":0}"#).problem(), (421, "not_the_writer".into()));
    for method in ["PATCH", "DELETE"] {
        let path = format!("/v1/namespaces/orders/records/0{}", if method == "PATCH" { "?at=0" } else { "" });
        assert_eq!(store.send(method, &path, &[], b"").problem(), (421, "not_the_writer".into()));
    }
    assert_eq!(store.post("/append?namespace=orders", b"x").status, 421);
    assert_eq!(store.post("/v1/namespaces/new/records", b"x").problem(), (404, "namespace_not_found".into()));
    assert_eq!(store.put("/v1/namespaces/new", &json!({})).problem(), (421, "not_the_writer".into()));
    assert_eq!(store.send("DELETE", "/v1/namespaces/orders", &[], b"").problem(), (421, "not_the_writer".into()));
    let path = format!("/v1/namespaces/orders?incarnation={INCARNATION}");
    assert_eq!(store.send("DELETE", &path, &[], b"").status, 204);
}

#[test]
fn a_store_that_orders_by_itself_cannot_be_fenced() {
    let store = Store::new();
    store.append(b"x");
    assert_eq!(fence(&store, 1, Uuid::nil()).problem(), (400, "invalid_argument".into()));
    assert_eq!(store.get("/v1/fence?namespace=orders").problem(), (400, "invalid_argument".into()));
    assert_eq!(store.get("/v1/fence?namespace=nope").problem(), (404, "namespace_not_found".into()));
}

#[test]
fn a_place_that_is_not_one_stores_nothing() {
    let store = Store::ordered();
    create(&store);
    let (mut writer, _) = Writer::fence(&store, 1);
    let body = writer.data(&["a"]);
    for cut in [1, 47, body.len() - 1] {
        assert_eq!(writer.place(&store, 0, 0, &body[..cut]).problem(), (400, "malformed_body".into()));
    }
    let path = format!(
        "/v1/place?namespace=orders&incarnation={}&epoch=1&writer={}&frame=0&previous=0&confirmed=0&durability=synced",
        Uuid::nil(),
        writer.id
    );
    assert_eq!(store.post(&path, &body).problem(), (412, "precondition_failed".into()));
    assert_eq!(store.post("/v1/place?namespace=orders", &body).problem(), (400, "invalid_argument".into()));
    assert_eq!(writer.place(&store, 0, 0, &body).status, 200);
}
