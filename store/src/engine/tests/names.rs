//! Namespaces: made, made anew and deleted.

use logstore_api::Code;
use logstore_api::namespace::{Internal, Ownership, WhenRemoved};
use uuid::Uuid;

use super::*;

#[test]
fn names_live_and_die_and_nothing_comes_back() {
    let store = Store::new();
    for name in ["a/b", "..a", "A", "a", "\u{1f600}"] {
        append(&store.namespace(name), &[name.as_bytes()]).unwrap();
    }
    let store = store.restart();
    for name in ["a/b", "..a", "A", "a", "\u{1f600}"] {
        assert_eq!(read_all(&store.namespace(name)), [(0, name.as_bytes().to_vec())]);
    }
    let name = NamespaceName::parse("a/b").unwrap();
    let incarnation = store.engine.get(&name).unwrap().incarnation();
    assert_eq!(store.engine.delete(&name, Some(Uuid::nil())).unwrap_err().code, "precondition_failed");
    store.engine.delete(&name, Some(incarnation)).unwrap();
    assert!(store.engine.get(&name).unwrap_err().is(Code::NamespaceNotFound));
    let store = store.restart();
    assert!(store.engine.get(&name).is_err());
    assert_eq!(read_all(&store.namespace("a/b")), []);
    let names: Vec<String> =
        store.engine.list("", None, 9).namespaces.into_iter().map(|entry| entry.name.into()).collect();
    assert_eq!(names, ["..a", "A", "a", "a/b", "\u{1f600}"]);
    let page = store.engine.list("a", None, 1);
    assert_eq!((page.namespaces.len(), page.next.as_ref().map(NamespaceName::as_str)), (1, Some("a")));
    assert_eq!(store.engine.list("a", Some("a"), 9).namespaces[0].name.as_str(), "a/b");
}

fn internal(revision: u64, incarnation: u128, salt: Option<u64>) -> PutNamespace {
    let ownership = Ownership { owner: "default/events".into(), revision, when_removed: WhenRemoved::Retain };
    let internal = Internal { ownership, incarnation: Uuid::from_u128(incarnation), salt };
    PutNamespace { config: NamespaceConfig::default(), internal: Some(internal) }
}

#[test]
fn an_empty_incarnation_gives_way_and_one_with_records_does_not() {
    let store = Store::new();
    let name = NamespaceName::parse("orders").unwrap();
    let put = |put: PutNamespace| store.engine.put(&name, put, false).map(|(created, _)| created);
    assert_eq!(put(internal(1, 1, None)).unwrap_err().code, "invalid_argument", "no salt");
    assert_eq!(put(internal(1, 1, Some(5))), Ok(true));
    assert_eq!(put(internal(2, 1, None)), Ok(false));
    assert_eq!(put(internal(1, 1, None)).unwrap_err().code, "config_conflict", "an older revision");
    assert_eq!(put(internal(2, 2, Some(6))), Ok(true), "nothing was appended");
    append(&store.namespace("orders"), &[b"x"]).unwrap();
    let taken = put(internal(3, 3, Some(7))).unwrap_err();
    assert_eq!(
        (taken.code.as_str(), &taken.more["incarnation"]),
        ("namespace_exists", &Uuid::from_u128(2).to_string().into())
    );
}

/// A handle of a deleted namespace once opened, and cut, the log of the next one of the same name.
#[test]
fn a_handle_of_a_deleted_namespace_touches_nothing_of_the_next() {
    let store = Store::new();
    let (unopened, opened) = (store.namespace("orders"), store.namespace("other"));
    append_numbered(&opened, 0..3);
    for stale in ["orders", "other"] {
        store.engine.delete(&name(stale), None).unwrap();
        append_numbered(&store.namespace(stale), 0..5);
    }
    assert_eq!(unopened.partition(0).unwrap_err().code, "namespace_not_found");
    let old = opened.partition(0).unwrap();
    old.tend(logstore_api::Timestamp(i64::MAX));
    assert_eq!(append(&opened, &[b"x"]).unwrap_err().code, "namespace_not_found");
    let store = store.restart();
    for name in ["orders", "other"] {
        assert_eq!(read_all(&store.namespace(name)), numbered(0..5));
    }
}

#[test]
fn an_append_that_finds_its_namespace_being_created_leaves_the_configuration_alone() {
    let store = Store::new();
    for number in 0..40 {
        let name = name(&format!("n{number}"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let config = NamespaceConfig { durability: Durability::Written, ..NamespaceConfig::default() };
                store.engine.put(&name, PutNamespace { config, internal: None }, false).unwrap();
            });
            std::thread::sleep(std::time::Duration::from_micros(300));
            store.engine.get_or_create(&name).unwrap();
        });
        assert_eq!(store.engine.get(&name).unwrap().config().durability, Durability::Written);
    }
}
