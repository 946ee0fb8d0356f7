//! `logstore serve`: from flags to a running store, and from SIGTERM to a clean stop.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use logstore_api::config::StoreConfig;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::disk::pool::open_files_max;
use crate::disk::{PooledDisk, RealDisk};
use crate::engine::{Engine, housekeeping};
use crate::http::server::Server;
use crate::http::{App, routes};

/// How often the configuration file is looked at.
const CONFIG_EVERY: Duration = Duration::from_secs(1);
/// Connections that wait to be accepted; the kernel's own limit may be lower.
const BACKLOG: u32 = 4096;
/// A configuration is small.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Run a store on one root directory
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Directory that holds the data; made where there is none
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Address of the HTTP API. A store has no authentication: beyond loopback, keep it inside a network you trust
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Address of /livez, /readyz and /metrics; not served where left out
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Configuration, YAML or JSON; looked at once a second and followed where that is possible
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args { root, listen, admin, config } = args;
    let store_config = match &config {
        Some(path) => read_config(path).await?,
        None => StoreConfig::default(),
    };
    tracing::info!(config = %serde_json::to_string(&store_config)?, root = %root.display(), "starting");
    let disk = Arc::new(PooledDisk::new(Arc::new(RealDisk), open_files_max(raise_open_files_limit())));
    let listener = or_ipv4(listen, bind).with_context(|| format!("failed to listen on {listen}"))?;
    let engine = {
        let disk = Arc::clone(&disk);
        tokio::task::spawn_blocking(move || Engine::start(disk, root, store_config)).await??
    };
    disk.show(engine.metrics.open_files.clone());
    housekeeping::start(&engine).context("failed to start a thread")?;
    let (drain, draining) = watch::channel(false);
    if let Some(admin) = admin {
        start_admin(admin, &engine, draining.clone())?;
    }
    if let Some(path) = config {
        tokio::spawn(follow_config(path, Arc::clone(&engine)));
    }
    let address = listener.local_addr()?;
    let app =
        App { engine: Arc::clone(&engine), budgets: Arc::default(), pages: Arc::default(), draining: draining.clone() };
    let server = Server::new(listener, routes(app), engine.node, Arc::clone(&engine.metrics));
    announce(address);
    let serving = tokio::spawn(server.run(draining));
    stop_signal().await?;
    tracing::info!("stopping: no new connections; what is under way is finished");
    let _ = drain.send(true);
    serving.await?;
    tokio::task::spawn_blocking(move || engine.stop()).await?;
    tracing::info!("stopped; everything is on the disk");
    Ok(())
}

/// Listens on an address. All addresses of a machine are `[::]`; where it has no IPv6, those of IPv4 are all of them.
fn or_ipv4<T>(address: SocketAddr, listen: impl Fn(SocketAddr) -> std::io::Result<T>) -> std::io::Result<T> {
    listen(address).or_else(|error| match (address.ip(), error.kind()) {
        (_, ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => Err(error),
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), _) => listen((Ipv4Addr::UNSPECIFIED, address.port()).into()),
        _ => Err(error),
    })
}

/// Listens with room for many who come at the same time.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted store takes its port again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// One line on standard output for whoever started us: with port 0 nobody else knows where we listen.
///
/// A store serves also where that takes nothing: a file on a full disk, a pipe whose reader has gone. Then the log says it.
fn announce(address: SocketAddr) {
    let mut output = std::io::stdout().lock();
    let told = writeln!(output, "logstore serve: listening on http://{address}").and_then(|()| output.flush());
    if let Err(error) = told {
        tracing::warn!(%error, %address, "failed to write to standard output where the store listens");
    }
}

fn start_admin(address: SocketAddr, engine: &Arc<Engine>, draining: watch::Receiver<bool>) -> anyhow::Result<()> {
    let listener =
        or_ipv4(address, std::net::TcpListener::bind).with_context(|| format!("failed to listen on {address}"))?;
    listener.set_nonblocking(true)?;
    tracing::info!(address = %listener.local_addr()?, "the admin port listens");
    crate::admin::start(listener, engine, draining).context("failed to start a thread")
}

async fn stop_signal() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn read_config(path: &Path) -> anyhow::Result<StoreConfig> {
    let shown = path.display();
    let len = tokio::fs::metadata(path).await.with_context(|| format!("failed to read {shown}"))?.len();
    anyhow::ensure!(len <= CONFIG_BYTES_MAX, "{shown} has {len} bytes; a configuration has at most {CONFIG_BYTES_MAX}");
    let text = tokio::fs::read_to_string(path).await.with_context(|| format!("failed to read {shown}"))?;
    parse_config(&text).with_context(|| format!("{shown} is no configuration of a store"))
}

fn parse_config(text: &str) -> anyhow::Result<StoreConfig> {
    let config: StoreConfig =
        if text.trim().is_empty() { StoreConfig::default() } else { serde_saphyr::from_str(text)? };
    config.check()?;
    Ok(config)
}

/// Puts changes of the file in force. One that cannot be had is said once, and the last good one stays.
async fn follow_config(path: PathBuf, engine: Arc<Engine>) {
    let mut last = Some(engine.config());
    loop {
        tokio::time::sleep(CONFIG_EVERY).await;
        let now = match read_config(&path).await {
            Ok(config) => Some(config),
            Err(error) => {
                if last.is_some() {
                    tracing::error!(error = format!("{error:#}"), "the configuration stays as it was");
                }
                None
            }
        };
        if now != last {
            if let Some(config) = now.clone() {
                match engine.reconfigure(config) {
                    Ok(()) => tracing::info!("the configuration has changed and is in force"),
                    Err(error) => tracing::error!(%error, "the configuration stays as it was"),
                }
            }
            last = now;
        }
    }
}

/// The usual soft limit of 1,024 open files is low for logs and connections; the limit that is in force then.
fn raise_open_files_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "failed to raise the limit of open files");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_yaml_or_json() {
        let ordered = StoreConfig { ordered: true, ..StoreConfig::default() };
        assert_eq!(parse_config("ordered: true\n").unwrap(), ordered);
        assert_eq!(parse_config(r#"{"version": 1, "ordered": true}"#).unwrap(), ordered);
        assert_eq!(parse_config("").unwrap(), StoreConfig::default());
        assert!(parse_config("version: 2").is_err());
        assert!(parse_config("ordered: maybe").is_err());
    }
}
