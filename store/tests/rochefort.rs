//! rochefort's clients: their requests, byte for byte.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Start, Store};

fn append(store: &Store, query: &str, body: &[u8]) -> u64 {
    let answer = store.post(&format!("/append?{query}"), body);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{answer:?}");
    let offset = answer.text().strip_prefix("{\"offset\":").and_then(|rest| rest.strip_suffix('}')).unwrap();
    offset.parse().unwrap()
}

fn get(store: &Store, namespace: &str, offset: impl std::fmt::Display) -> (u16, Vec<u8>) {
    let answer = store.get(&format!("/get?namespace={namespace}&offset={offset}"));
    let content_type = if answer.status == 200 { "application/octet-stream" } else { "text/plain; charset=utf-8" };
    assert_eq!(answer.header("content-type"), Some(content_type));
    (answer.status, answer.body)
}

fn get_multi(store: &Store, namespace: &str, offsets: &[u64]) -> Vec<Vec<u8>> {
    let body: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    let answer = store.send("GET", &format!("/getMulti?namespace={namespace}"), &[], &body);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/octet-stream")));
    let (mut rest, mut blobs) = (&answer.body[..], Vec::new());
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (blob, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        blobs.push(blob.to_vec());
        rest = after;
    }
    assert!(rest.is_empty());
    blobs
}

#[test]
fn offsets_are_the_bytes_of_one_file() {
    let store = Store::new();
    assert_eq!(append(&store, "namespace=a&allocSize=1024&tags=", b"abc"), 0);
    assert_eq!(append(&store, "namespace=a&allocSize=", b"defgh"), 1044);
    assert_eq!(append(&store, "namespace=a", b""), 1069);
    assert_eq!(append(&store, "namespace=a&allocSize=2", b"xyz"), 1089, "the blob is longer than its reservation");
    assert_eq!(append(&store, "namespace=a&allocSize=4294967306", b"q"), 1112, "32 bits of a reservation count: 10");
    assert_eq!(append(&store, "namespace=a", b"last"), 1142);
    for store in [store.crash(&Start::default())] {
        for (offset, blob) in
            [(0, &b"abc"[..]), (1044, b"defgh"), (1069, b""), (1089, b"xyz"), (1112, b"q"), (1142, b"last")]
        {
            assert_eq!(get(&store, "a", offset), (200, blob.to_vec()), "{offset}");
        }
        assert_eq!(append(&store, "namespace=a", b"next"), 1166);
        let all = get_multi(&store, "a", &[1142, 0, 1069, 5, 1 << 62, u64::MAX, 0]);
        assert_eq!(all, [&b"last"[..], b"abc", b"", b"abc"].map(<[u8]>::to_vec), "what cannot be read is passed over");
    }
}

#[test]
fn any_method_will_do_and_the_default_namespace_is_default() {
    let store = Store::new();
    for (number, method) in ["GET", "POST", "PUT", "DELETE"].iter().enumerate() {
        let answer = store.send(method, "/append", &[], b"blob");
        assert_eq!(answer.text(), format!("{{\"offset\":{}}}", number * 24));
    }
    assert_eq!(store.send("POST", "/get?offset=0", &[], b"").body, b"blob");
    assert_eq!(store.get("/v1/namespaces/default/records/3").body, b"blob", "the same namespace, natively");
    assert_eq!(append(&store, "namespace=&tags=a,b", b"tagged"), 96);
    let record = store.get("/v1/namespaces/default/records/4");
    assert_eq!(record.header("logstore-tags"), Some(r#"["a","b"]"#));
}

#[test]
fn errors_have_the_words_of_the_original() {
    let store = Store::new();
    append(&store, "namespace=a&allocSize=8", b"abcd");
    append(&store, "namespace=a", b"efgh");
    let text = |offset: &str| {
        let (status, body) = get(&store, "a", offset);
        assert_eq!(status, 500);
        String::from_utf8(body).unwrap()
    };
    assert_eq!(text(""), r#"strconv.ParseUint: parsing "": invalid syntax"#);
    assert_eq!(text("x"), r#"strconv.ParseUint: parsing "x": invalid syntax"#);
    assert_eq!(
        text("18446744073709551616"),
        r#"strconv.ParseUint: parsing "18446744073709551616": value out of range"#
    );
    assert_eq!(text("52"), "EOF", "the end itself");
    assert_eq!(text("33"), "EOF", "20 bytes from here reach over the end of the file");
    assert_eq!(text("9223372036854775807"), "EOF");
    assert_eq!(text("9223372036854775808"), "readat a/append.raw: negative offset");
    // At 1: the header's bytes shifted by one, computed by hand from the file
    // 04000000 0000000000000000 08000000 CHECKSUM 61626364 00000000 …
    let shifted = text("1");
    assert!(shifted.starts_with("wrong checksum got: ") && shifted.contains(", expected: "), "{shifted}");
    let expected: u32 = shifted.rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(expected >> 24, u32::from(b'a'), "three bytes of the checksum, then the first of the data");
    let incomplete = store.post("/getMulti?namespace=a", b"1234567");
    assert_eq!((incomplete.status, incomplete.text()), (500, "incomplete read: 7 is not multiple of 8"));
    let alloc = store.post("/append?allocSize=-1", b"x");
    assert_eq!((alloc.status, alloc.text()), (500, r#"strconv.ParseUint: parsing "-1": invalid syntax"#));
}

#[test]
fn an_unknown_namespace_reads_as_an_empty_one_and_is_not_created() {
    let store = Store::new();
    assert_eq!(get(&store, "nope", 0), (500, b"EOF".to_vec()));
    assert_eq!(get_multi(&store, "nope", &[0, 1]), Vec::<Vec<u8>>::new());
    assert_eq!(store.get("/v1/namespaces").json(), serde_json::json!({"namespaces": []}));
    assert_eq!(store.get("/scan?namespace=nope").problem(), (404, "no_such_path".into()), "not in this release");
}

#[test]
fn what_the_original_died_of_is_refused() {
    let store = Store::new();
    let large = store.post("/append?allocSize=4294967295", b"x");
    assert_eq!(large.status, 413, "{large:?}");
    assert_eq!(large.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(store.post("/append", &vec![0; (16 << 20) + 1]).status, 413);
    let long = "n".repeat(250);
    assert_eq!(store.post(&format!("/append?namespace={long}"), b"x").status, 400);
    assert_eq!(append(&store, "namespace=a/b/c", b"x"), 0, "slashes are only letters of a name");
}

/// The scenario of the original's Go client: empty and growing blobs, everything read back after each append.
#[test]
fn blobs_of_every_size_read_back_one_by_one_and_together() {
    let store = Store::new();
    for namespace in ["", "atext", "exam,ple", "some/long/name"] {
        let (mut offsets, mut blobs) = (Vec::new(), Vec::new());
        for size in 0..60_u8 {
            for blob in [vec![], vec![size; usize::from(size) * 7]] {
                offsets.push(append(&store, &format!("namespace={namespace}&allocSize={}", blob.len() * 2), &blob));
                blobs.push(blob);
            }
        }
        assert_eq!(get_multi(&store, namespace, &offsets), blobs);
        for (offset, blob) in offsets.iter().zip(&blobs) {
            assert_eq!(get(&store, namespace, offset), (200, blob.clone()));
        }
    }
}
