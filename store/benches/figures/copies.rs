//! Two copies against one: the library's writer with 64 producers, over loopback.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logstore_api::namespace::{Internal, Ownership, PutNamespace, WhenRemoved};
use logstore_api::{Durability, NamespaceConfig, NamespaceName};
use logstore_client::{Record, Store, Writer, WriterOptions};
use uuid::Uuid;

use super::ROUNDS;
use super::report::{Bound, Section};
use super::samples::rounds;
use super::servers::{Server, scratch};

const PRODUCERS: usize = 64;
const RECORD_BYTES: usize = 100;
const ROUND: Duration = Duration::from_secs(2);
const ABOUT: &str = "Lone records of 100 B of 64 producers that share one writer of the client library, each waits for \
    its answer; to one copy, and to two at the same time.";

/// The writer with one and with two copies, at both levels.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Copies", ABOUT);
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let config = dir.path().join("store.json");
    std::fs::write(&config, r#"{"ordered": true}"#).unwrap();
    let servers: Vec<Server> = ["a", "b", "alone"].iter().map(|copy| start(dir.path(), copy, &config)).collect();
    let (both, alone) = servers.split_at(2);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for durability in [Durability::Written, Durability::Synced] {
        let level = if durability == Durability::Written { "written" } else { "synced" };
        let name = NamespaceName::parse(level).unwrap();
        runtime.block_on(async {
            create(both, &name, durability).await;
            create(alone, &name, durability).await;
        });
        let [one, two] = rounds(
            &format!("copies, {level}"),
            ROUNDS,
            [&mut || runtime.block_on(rate(alone, &name)), &mut || runtime.block_on(rate(both, &name))],
        );
        let one = section.rate(&format!("`{level}`, one copy"), &one);
        let two = section.rate(&format!("`{level}`, two copies"), &two);
        section.judge(&format!("`{level}`: two copies / one copy"), two / one, "", Bound::None);
    }
    section
}

fn start(dir: &Path, copy: &str, config: &Path) -> Server {
    Server::store_with(&dir.join(copy), Some(config))
}

fn stores(servers: &[Server]) -> Vec<Store> {
    servers.iter().map(|server| Store::new(&format!("http://{}", server.address)).unwrap()).collect()
}

async fn create(servers: &[Server], name: &NamespaceName, durability: Durability) {
    let ownership = Ownership { owner: "bench".to_owned(), revision: 1, when_removed: WhenRemoved::Retain };
    let internal = Internal { ownership, incarnation: Uuid::new_v4(), salt: Some(7) };
    let config = NamespaceConfig { durability, ..NamespaceConfig::default() };
    let put = PutNamespace { config, internal: Some(internal) };
    for store in stores(servers) {
        store.put_namespace(name, &put, true).await.unwrap();
    }
}

async fn rate(servers: &[Server], name: &NamespaceName) -> f64 {
    let writer = Arc::new(Writer::open(stores(servers), name.clone(), WriterOptions::default()).await.unwrap());
    let begun = Instant::now();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|_| {
            let writer = Arc::clone(&writer);
            tokio::spawn(async move {
                let record = [Record::new(vec![b'x'; RECORD_BYTES])];
                let mut count = 0;
                while begun.elapsed() < ROUND {
                    writer.append(&record).await.unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for producer in producers {
        count += producer.await.unwrap();
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    Arc::into_inner(writer).unwrap().close().await.unwrap();
    rate
}
