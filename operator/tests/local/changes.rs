//! The file changes while the stores run.

use logstore_api::namespace::{PutNamespace, Retention};
use logstore_api::{NamespaceConfig, NamespaceState};

use crate::run::{Place, find, message, namespace};

const TWO: &str = "copies: 2
namespaces:
- {name: orders, retention: {maxAgeSeconds: 604800}}
- {name: audit}";

#[tokio::test]
async fn both_copies_get_the_namespaces_with_one_life() {
    let place = Place::new(TWO);
    let mut run = place.start();
    let status = run.until_ready(1).await;
    assert_eq!(status["readyPods"], 2);
    assert_eq!(status["namespaces"]["synced"], 2);
    assert_eq!(run.listed().await, [["audit", "orders"], ["audit", "orders"]]);
    for name in ["audit", "orders"] {
        let [a, b] = &run.described(name).await[..] else { panic!("not two copies") };
        assert_eq!((a.incarnation, &a.config, &a.owner), (b.incarnation, &b.config, &b.owner));
        assert_eq!(a.owner.as_ref().unwrap().owner, "local/events");
    }
    assert_eq!(run.described("orders").await[0].config.retention.max_age_seconds, Some(604_800));

    let endpoints = run.endpoints();
    assert_eq!(endpoints.name, "events");
    let urls: Vec<&str> = endpoints.copies.iter().map(|copy| copy.url.as_str()).collect();
    let served: Vec<&str> =
        status["endpoints"]["copies"].as_array().unwrap().iter().map(|copy| copy["url"].as_str().unwrap()).collect();
    assert_eq!(urls, served);
    assert_eq!(endpoints.status, format!("http://127.0.0.1:{}", place.port_base + 100));
    // What is printed last is what is served.
    let printed = place.printed();
    let last = printed.rsplit("---\n").next().unwrap();
    assert_eq!(crate::run::get(place.port_base + 100, "/").await.unwrap(), last);
    assert!(run.interrupt().await.success());
}

/// A name is only a name, also where it stands in a path.
#[tokio::test]
async fn odd_names_are_followed_to_the_end() {
    let names = ["a/b", "%2e", "ünï cöde?#", ".hidden"];
    let entries: String = names.iter().map(|name| format!("- {{name: {name:?}, whenRemoved: Delete}}\n")).collect();
    let place = Place::new(&format!("copies: 2\nnamespaces:\n{entries}"));
    let mut run = place.start();
    run.until_ready(1).await;
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(run.listed().await, [sorted, sorted]);
    place.write("copies: 2");
    run.until_ready(2).await;
    assert_eq!(run.listed().await, [[""; 0], [""; 0]]);
}

#[tokio::test]
async fn a_change_of_the_file_is_followed() {
    let place = Place::new(
        "copies: 2
namespaces:
- {name: orders}
- {name: keep, whenRemoved: Retain}
- {name: drop, whenRemoved: Delete}",
    );
    let mut run = place.start();
    run.until_ready(1).await;
    let pids = run.pids();
    let life = run.described("keep").await[0].incarnation;

    place.write(
        "copies: 2
namespaces:
- {name: orders, retention: {maxAgeSeconds: 60}, durability: Written}
- {name: new}",
    );
    let status = run.until_ready(2).await;
    assert_eq!(status["namespaces"]["retained"], serde_json::json!(["keep"]));
    assert_eq!(status["namespaces"]["retainedCount"], 1);
    for described in run.described("orders").await {
        assert_eq!(described.config.retention, Retention { max_age_seconds: Some(60), max_bytes: None });
    }
    for described in run.described("keep").await {
        assert_eq!((described.state, described.incarnation), (NamespaceState::Closed, life));
    }
    assert_eq!(run.listed().await, [["keep", "new", "orders"], ["keep", "new", "orders"]]);
    assert_eq!(run.pids(), pids, "no store was restarted");

    place.write("copies: 2\nnamespaces: [{name: orders}, {name: new}, {name: keep}]");
    let status = run.until_ready(3).await;
    assert_eq!(status["namespaces"]["retained"], serde_json::json!([]));
    for described in run.described("keep").await {
        assert_eq!((described.state, described.incarnation), (NamespaceState::Active, life), "it is open again");
    }
}

#[tokio::test]
async fn what_a_user_created_is_left_alone_and_adopted_when_it_is_declared() {
    let place = Place::new("copies: 1\nnamespaces: [{name: orders}]");
    let mut run = place.start();
    run.until_ready(1).await;
    let [store] = &run.stores()[..] else { panic!("not one copy") };
    let put = PutNamespace { config: NamespaceConfig::default(), internal: None };
    let (_, created) = store.put_namespace(&namespace("mine"), &put, true).await.unwrap();

    place.write("copies: 1");
    run.until_ready(2).await;
    assert_eq!(run.described("mine").await[0].owner, None);
    assert_eq!(run.described("orders").await[0].state, NamespaceState::Closed);

    place.write("copies: 1\nnamespaces: [{name: mine, state: ReadOnly}]");
    run.until_ready(3).await;
    let adopted = &run.described("mine").await[0];
    assert_eq!((adopted.incarnation, adopted.state), (created.incarnation, NamespaceState::ReadOnly));
    assert_eq!(adopted.owner.as_ref().unwrap().revision, 3);
}

#[tokio::test]
async fn an_invalid_spec_is_refused_by_name_while_the_stores_go_on() {
    let place = Place::new(TWO);
    let mut run = place.start();
    run.until_ready(1).await;
    let pids = run.pids();

    place.write("copies: 3\nlistener: {port: 8001}\nnamespaces: [{name: orders, state: Paused}]");
    let status = run.until("Stalled", "InvalidSpec").await;
    assert_eq!(
        message(&status, "Stalled"),
        r#"spec.namespaces[0].state: "Paused" is not known; give one of Active, ReadOnly, Closed"#
    );
    assert_eq!(
        (&find(&status, "Ready")["status"], &find(&status, "Ready")["reason"]),
        (&"False".into(), &"InvalidSpec".into())
    );
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(status["readyPods"], 2);

    place.write(&TWO.replace("copies: 2", "copies: 3"));
    let status = run
        .until_status("refused for its copies", |status| {
            message(status, "Stalled").starts_with("spec.copies: was 2, is 3; ")
        })
        .await;
    assert_eq!(status["copies"], 2);

    std::fs::remove_file(place.file()).unwrap();
    run.until_status("refused for its file", |status| message(status, "Stalled").contains("put it back")).await;

    place.write(TWO);
    let status = run.until_ready(1).await;
    assert_eq!(find(&status, "Stalled")["reason"], "NotStalled");
    assert_eq!(run.pids(), pids, "no store was restarted");
    assert_eq!(run.listed().await, [["audit", "orders"], ["audit", "orders"]]);
}

#[tokio::test]
async fn defaults_are_followed_without_a_restart() {
    let place = Place::new("copies: 1");
    let mut run = place.start();
    run.until_ready(1).await;
    let pids = run.pids();
    place.write("copies: 1\nnamespaceDefaults: {durability: Written}");
    run.until_ready(2).await;
    let config = std::fs::read_to_string(place.state().join("store.json")).unwrap();
    assert!(config.contains("\"durability\": \"written\""), "{config}");
    assert_eq!(run.pids(), pids);
}
