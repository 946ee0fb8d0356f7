//! Records survive what happens to the processes.

use logstore_client::{ReadFrom, ReadOptions, Record, Writer, WriterOptions};

use crate::run::{Place, Run, namespace};

async fn append(run: &Run<'_>, texts: &[&'static str]) {
    let writer = Writer::open(run.stores(), namespace("orders"), WriterOptions::default()).await.unwrap();
    for text in texts {
        writer.append(&[Record::new(*text)]).await.unwrap();
    }
    writer.close().await.unwrap();
}

/// The records on each copy.
async fn records(run: &Run<'_>) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for store in run.stores() {
        let answer = store.read(&namespace("orders"), ReadFrom::Offset(0), &ReadOptions::default()).await.unwrap();
        all.push(answer.records.into_iter().map(|record| record.data.unwrap()).collect());
    }
    all
}

#[tokio::test]
async fn a_second_start_finds_the_records_on_both_copies() {
    let place = Place::new("copies: 2\nnamespaces: [{name: orders}]");
    let mut run = place.start();
    run.until_ready(1).await;
    append(&run, &["one", "two"]).await;
    assert!(run.interrupt().await.success());

    let mut run = place.start();
    run.until_ready(1).await;
    append(&run, &["three"]).await;
    assert_eq!(records(&run).await, [["one", "two", "three"], ["one", "two", "three"]]);
}
