//! The store that is loaded: found, and asked who it is before anything is sent to it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use logstore_client::{Error, Store};
use rustix::process::{Resource, getrlimit};

use super::super::failure::{Exit, Failure};
use super::connection::connect;
use super::options::Options;

/// The port of `http`, where an address names none.
const HTTP_PORT: u16 = 80;
/// How long the store may take to say who it is.
const ASK_TIME_MAX: Duration = Duration::from_secs(10);
/// Files that this process has open beside connections.
const FILES_BESIDE: u64 = 64;

/// A store that has answered.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) store: Store,
    pub(super) version: String,
    /// As the `Host` of requests.
    pub(super) host: String,
    pub(super) address: SocketAddr,
}

impl Server {
    /// Finds the one store, and makes sure that it is one which can be loaded like this.
    pub(super) async fn find(options: &Options) -> Result<Self, Failure> {
        let stores = options.target.stores(ASK_TIME_MAX.min(options.timeout)).await.map_err(plain)?;
        let [store] = stores.as_slice() else {
            let count = stores.len();
            let message = format!("{count} stores are named, and a load is for one; give one --server");
            return Err(Failure::new(Exit::Usage, message));
        };
        let url = store.url();
        let status = store.status().await.map_err(|error| no_store(&error))?;
        if status.ordered && options.works.iter().any(|kind| kind.appends()) {
            let message = format!(
                "{url} is one of several copies, whose records come from their writer; load a store of its own"
            );
            return Err(Failure::new(Exit::Refused, message));
        }
        let host = url.strip_prefix("http://").unwrap_or(url).to_owned();
        check_files(options)?;
        let (host_name, port) = match host.rsplit_once(':').map(|(name, port)| (name, port.parse::<u16>())) {
            Some((name, Ok(port))) => (name, port),
            _ => (host.as_str(), HTTP_PORT),
        };
        let name = host_name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let address = reachable(&name, port).await?;
        Ok(Self { store: store.clone(), version: status.version, host, address })
    }

    /// So many connections.
    pub(super) async fn connect(&self, count: usize) -> Result<Vec<TcpStream>, Failure> {
        let mut streams = Vec::with_capacity(count);
        for number in 1..=count {
            let stream = connect(self.address).await.and_then(tokio::net::TcpStream::into_std);
            let failed = |error| {
                let message = format!("failed to open connection {number} of {count} to {}: {error}", self.address);
                Failure::new(Exit::Unreachable, message)
            };
            streams.push(stream.map_err(failed)?);
        }
        Ok(streams)
    }
}

/// The first address of a host that takes a connection.
async fn reachable(name: &str, port: u16) -> Result<SocketAddr, Failure> {
    let failed = |error| Failure::new(Exit::Unreachable, format!("failed to connect to {name}:{port}: {error}"));
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in tokio::net::lookup_host((name, port)).await.map_err(failed)? {
        match connect(address).await {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// Each connection is a file, and its timer is another.
fn check_files(options: &Options) -> Result<(), Failure> {
    let shapes = options.works.iter().map(|kind| options.shape(*kind).connections as u64);
    let connections = shapes.max().unwrap_or(0);
    let needed = 2 * connections + FILES_BESIDE;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => {
            let message = format!(
                "{connections} connections need {needed} open files, and this process may have {limit}; raise it with \
                 `ulimit -n {needed}`, or give fewer connections"
            );
            Err(Failure::new(Exit::Usage, message))
        }
        _ => Ok(()),
    }
}

fn plain(failure: Failure) -> Failure {
    match failure.exit() {
        Exit::Usage => failure.and("bench speaks plain HTTP/1.1: give --server http://HOST:PORT"),
        _ => failure,
    }
}

fn no_store(error: &Error) -> Failure {
    let failure = Failure::of_question(error);
    match error {
        Error::BadAnswer { .. } => failure.and("something else than a logstore answers there"),
        Error::Interrupted { .. } => failure.and("a logstore answers plain HTTP/1.1; what is there may want TLS"),
        _ => failure,
    }
}
