//! A pass over the namespaces against stores that answer in ways that ours do not: too late, wrongly, or not at all.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use logstore_api::namespace::{NamespaceList, PutNamespace};
use logstore_api::{Code, MEDIA_PROBLEM, NamespaceConfig, NamespaceName, Problem};
use logstore_operator::build::CopyName;
use logstore_operator::build::namespaces::{self, DesiredNamespaces};
use logstore_operator::settle::{Settled, Standing, Stores, settle, store};
use logstore_operator::validate;
use serde_json::json;

/// How a fake store answers a `PUT`.
#[derive(Clone, Copy)]
enum Answers {
    /// As a store does.
    Well,
    /// With another configuration than it was given.
    WithAnotherConfig,
    /// With this refusal.
    Refuses(Code),
    /// Much too late.
    Late,
}

async fn fake(answers: Answers) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let list = move || async move { serde_json::to_string(&list(answers).await).unwrap() };
    let put = move |Path(name): Path<String>, body: Bytes| async move { put(answers, &name, &body).await };
    let router =
        Router::new().route("/v1/namespaces", get(list)).route("/v1/namespaces/{name}", axum::routing::put(put));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn list(answers: Answers) -> NamespaceList {
    if let Answers::Late = answers {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    NamespaceList { namespaces: Vec::new(), next: None }
}

async fn put(answers: Answers, name: &str, body: &[u8]) -> Response {
    let PutNamespace { mut config, internal } = PutNamespace::parse(body, &NamespaceConfig::default()).unwrap();
    match answers {
        Answers::Refuses(code) => {
            let problem = serde_json::to_vec(&Problem::new(code, "because of a test")).unwrap();
            return (StatusCode::from_u16(code.status()).unwrap(), [(CONTENT_TYPE, MEDIA_PROBLEM)], problem)
                .into_response();
        }
        Answers::WithAnotherConfig => config.retention.max_age_seconds = Some(5),
        Answers::Well | Answers::Late => {}
    }
    let internal = internal.unwrap();
    let info = json!({
        "name": name, "incarnation": internal.incarnation, "state": config.state, "config": config,
        "owner": internal.ownership, "partitions": [],
    });
    (StatusCode::CREATED, info.to_string()).into_response()
}

fn desired() -> DesiredNamespaces {
    let text = "{apiVersion: logstore.dev/v1alpha1, kind: LogStore, metadata: {name: events}, spec: {storage: {size: 1Gi}, copies: 2, namespaces: [{name: orders}, {name: audit}]}}";
    namespaces::build(&validate::text(text).unwrap(), "local", 1)
}

async fn pass(a: Answers, b: Answers) -> Settled {
    let mut stores: Stores = BTreeMap::new();
    for (copy, answers) in CopyName::first(2).zip([a, b]) {
        stores.insert(copy, Ok(store(&fake(answers).await).unwrap()));
    }
    settle(&desired(), &stores).await
}

fn standing<'a>(settled: &'a Settled, name: &str) -> &'a Standing {
    &settled.declared[&NamespaceName::parse(name).unwrap()]
}

#[tokio::test]
async fn what_every_copy_confirms_is_synced() {
    let settled = pass(Answers::Well, Answers::Well).await;
    assert!(settled.is_complete(), "{settled:?}");
    assert_eq!(settled.declared.len(), 2);
}

#[tokio::test]
async fn a_store_that_hangs_costs_one_call_and_nothing_is_created_without_it() {
    let begun = Instant::now();
    let settled = pass(Answers::Well, Answers::Late).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(settled.silent.len(), 1);
    let Standing::Waiting(why) = standing(&settled, "orders") else { panic!("{settled:?}") };
    assert!(why.starts_with("copy b cannot be asked: no answer of http://"), "{why}");
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for() {
    let mut stores: Stores = BTreeMap::new();
    for (copy, url) in CopyName::first(2).zip([fake(Answers::Well).await, "http://127.0.0.1:1".to_owned()]) {
        stores.insert(copy, Ok(store(&url).unwrap()));
    }
    let settled = settle(&desired(), &stores).await;
    let Standing::Waiting(why) = standing(&settled, "orders") else { panic!("{settled:?}") };
    assert!(why.contains("failed to connect"), "{why}");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_store() {
    let settled = pass(Answers::Well, Answers::Refuses(Code::ConfigConflict)).await;
    let Standing::Failing(why) = standing(&settled, "orders") else { panic!("{settled:?}") };
    assert!(
        why.starts_with("copy b: ") && why.contains("because of a test") && why.contains("config_conflict"),
        "{why}"
    );
}

#[tokio::test]
async fn a_refusal_for_now_is_waited_out() {
    let settled = pass(Answers::Well, Answers::Refuses(Code::DiskFull)).await;
    assert!(matches!(standing(&settled, "orders"), Standing::Waiting(_)), "{settled:?}");
}

#[tokio::test]
async fn a_store_that_confirms_something_else_has_not_confirmed() {
    let settled = pass(Answers::WithAnotherConfig, Answers::Well).await;
    let Standing::Failing(why) = standing(&settled, "orders") else { panic!("{settled:?}") };
    assert!(why.starts_with("copy a: the store has confirmed another configuration"), "{why}");
}
