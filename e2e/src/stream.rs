//! An append that goes on while something happens to the stores.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::oneshot;

use crate::probe::{Probe, append_arguments};
use crate::records::Acknowledged;

/// Lines that are given at once, and the pause after them: the append must still be going on when it is disturbed.
const CHUNK: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);
/// The whole append takes no longer, whatever happens to the stores.
const BOUND: Duration = Duration::from_secs(240);

/// How an append ended.
#[derive(Debug)]
pub struct Streamed {
    /// What it told as acknowledged, in the order of the lines.
    pub acknowledged: Vec<Acknowledged>,
    /// Its exit code.
    pub code: Option<i32>,
    /// What it complained of.
    pub stderr: String,
}

impl Streamed {
    /// Records that are acknowledged.
    #[must_use]
    pub fn count(&self) -> usize {
        self.acknowledged.iter().map(|batch| batch.count).sum()
    }
}

/// How far an append is, while it goes on.
#[derive(Debug, Default)]
pub struct Going(Cell<usize>);

impl Going {
    /// What has just been done to the stores was done while the append still had something to do.
    ///
    /// # Errors
    /// Where it had not.
    pub fn check(&self, lines: &[String]) -> Result<()> {
        ensure!(self.0.get() < lines.len(), "all {} records were acknowledged before it was disturbed", lines.len());
        Ok(())
    }
}

/// Appends lines with `logstore append`, in small batches and `synced`. When so many are acknowledged, `disturb` begins;
/// the append goes on beside it.
///
/// # Errors
/// Where the disturbance fails, or the append cannot be run or does not end; not where it ends badly.
pub async fn append_through(
    probe: &Probe,
    servers: &[String],
    namespace: &str,
    lines: &[String],
    after: usize,
    disturb: impl AsyncFnOnce(&Going) -> Result<()>,
) -> Result<Streamed> {
    let mut arguments = append_arguments(servers, namespace);
    arguments.extend(["--batch=20", "--durability=synced", "--timeout=120s"].map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut child = probe.start_logstore(&arguments)?;
    let mut stdin = child.stdin.take().context("a child without standard input")?;
    let mut told = BufReader::new(child.stdout.take().context("a child without standard output")?).lines();
    let mut complaints = child.stderr.take().context("a child without standard error")?;
    let (reached, begins) = oneshot::channel();
    let going = Going::default();

    let feed = async {
        for chunk in lines.chunks(CHUNK) {
            // An append that has given up reads no more; it says itself why.
            if stdin.write_all((chunk.join("\n") + "\n").as_bytes()).await.is_err() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        drop(stdin);
    };
    let listen = async {
        let (mut acknowledged, mut reached) = (Vec::new(), Some(reached));
        while let Some(line) = told.next_line().await? {
            let batch = Acknowledged::parse_line(&line)?;
            going.0.set(going.0.get() + batch.count);
            acknowledged.push(batch);
            if going.0.get() >= after
                && let Some(reached) = reached.take()
            {
                let _ = reached.send(());
            }
        }
        anyhow::Ok(acknowledged)
    };
    let disturbed = async {
        begins.await.context("the append ended before it could be disturbed")?;
        disturb(&going).await
    };
    let complain = async {
        let mut text = String::new();
        complaints.read_to_string(&mut text).await?;
        anyhow::Ok(text)
    };
    let all = async { tokio::join!(feed, listen, disturbed, complain, child.wait()) };
    let ended = tokio::time::timeout(BOUND, all).await;
    let ((), acknowledged, disturbed, stderr, status) = ended.context("the append did not end")?;
    let (stderr, acknowledged) = (stderr?, acknowledged?);
    disturbed.with_context(|| format!("logstore append said: {stderr}"))?;
    Ok(Streamed { acknowledged, code: status?.code(), stderr })
}
