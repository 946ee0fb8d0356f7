//! Store processes come and go.

use rustix::process::Signal;

use crate::run::{Place, find, gone, message, send};

const TWO: &str = "copies: 2\nnamespaces: [{name: orders}]";

#[tokio::test]
async fn a_killed_store_is_started_again() {
    let place = Place::new(TWO);
    let mut run = place.start();
    run.until_ready(1).await;
    let [a, b] = run.pids()[..] else { panic!("not two copies") };
    send(b, Signal::KILL);
    let status = run.until("Ready", "PodsNotReady").await;
    assert_eq!(message(&status, "Ready"), "copy b is not ready: it was ended by signal 9");
    assert_eq!(find(&status, "Reconciling")["reason"], "Retrying");
    run.until_ready(1).await;
    let [still_a, new_b] = run.pids()[..] else { panic!("not two copies") };
    assert_eq!(still_a, a);
    assert_ne!(new_b, b);
    assert_eq!(run.listed().await, [["orders"], ["orders"]]);
}

#[tokio::test]
async fn ctrl_c_ends_all_stores_and_a_second_start_goes_on() {
    let place = Place::new(TWO);
    let mut run = place.start();
    run.until_ready(1).await;
    let (pids, life) = (run.pids(), run.described("orders").await[0].incarnation);
    assert_eq!(run.interrupt().await.code(), Some(0));
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "process {pid} was left behind");
    }
    assert!(!place.state().join("endpoints.json").exists());

    let mut run = place.start();
    run.until_ready(1).await;
    for described in run.described("orders").await {
        assert_eq!(described.incarnation, life);
    }
}

#[tokio::test]
async fn stores_do_not_outlive_a_killed_run() {
    let place = Place::new(TWO);
    let mut run = place.start();
    run.until_ready(1).await;
    let pids = run.pids();
    run.kill().await;
    for pid in pids {
        gone(pid).await;
    }
    place.start().until_ready(1).await;
}

#[tokio::test]
async fn a_new_port_is_taken_copy_by_copy() {
    let place = Place::new(&format!("{TWO}\nlistener: {{port: 9000}}"));
    let port = place.port_base;
    let spec = |port: u16| format!("{TWO}\nlistener: {{port: {port}}}");
    place.write(&spec(port));
    let mut run = place.start_on_its_port();
    run.until_ready(1).await;
    let before = run.endpoints();

    place.write(&spec(port + 2));
    let status = run.until("Stalled", "InvalidSpec").await;
    let said = message(&status, "Stalled");
    assert!(said.starts_with(&format!("spec.listener.port: was {port}, is {}; ", port + 2)), "{said}");

    place.write(&spec(port + 4));
    run.until_status("rolling", |status| find(status, "Reconciling")["reason"] == "RollingUpdate").await;
    run.until_ready(2).await;
    let after = run.endpoints();
    assert_eq!(after.copies[0].url, format!("http://127.0.0.1:{}", port + 4));
    for (before, after) in before.copies.iter().zip(&after.copies) {
        assert_ne!(before.pid, after.pid);
    }
    let log = place.log();
    let replaced = |copy: &str| log.find(&format!("copy {copy}: replacing it")).unwrap();
    let ready_again = log.rfind("copy a: ready").unwrap();
    assert!(replaced("a") < ready_again && ready_again < replaced("b"), "{log}");
}

#[tokio::test]
async fn a_store_that_cannot_start_is_named_and_tried_again() {
    let place = Place::new(TWO);
    let taken = std::net::TcpListener::bind(("127.0.0.1", place.port_base + 2)).unwrap();
    let mut run = place.start();
    let status = run
        .until_status("in trouble", |status| {
            message(status, "Ready").contains("copy b is not ready: it ended with exit status")
                && find(status, "NamespacesSynced")["reason"] == "StoresUnreachable"
        })
        .await;
    assert_eq!(find(&status, "Reconciling")["reason"], "Retrying");
    assert_eq!(status["readyPods"], 1, "copy a goes on");
    drop(taken);
    run.until_ready(1).await;
    // The log says why, in the store's own words.
    assert!(place.log().lines().any(|line| line.starts_with("[b] ") && line.contains("ddress")), "{}", place.log());
}
