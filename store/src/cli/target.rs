//! Which stores a command speaks to: named by address, or found by the file of a `LogStore` that runs here.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use logstore_api::local::{self, ENDPOINTS_FILE, Endpoints};
use logstore_client::{Store, Timeouts};
use serde_json::Value;

use super::failure::{Exit, Failure};

/// Addresses for commands that name none.
const SERVER_VARIABLE: &str = "LOGSTORE_SERVER";
/// Where `logstore serve` listens unless told otherwise.
const SERVER_DEFAULT: &str = "http://127.0.0.1:8000";

/// Which stores a command speaks to.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Target {
    /// Address of a store; for a namespace with several copies, once for each copy [env: LOGSTORE_SERVER] [default:
    /// http://127.0.0.1:8000]
    #[arg(long = "server", value_name = "URL", value_delimiter = ',')]
    servers: Vec<String>,
    /// Find the stores that `logstore-operator local -f` runs for this file
    #[arg(long, value_name = "LOGSTORE.yaml", conflicts_with = "servers")]
    file: Option<PathBuf>,
    /// State folder of `logstore-operator local`, where it was told one
    #[arg(long, value_name = "DIR", requires = "file")]
    state: Option<PathBuf>,
}

/// One store of a target.
#[derive(Clone, Debug)]
struct Found {
    /// The copy's name, where it is known by one.
    copy: Option<String>,
    url: String,
}

impl Target {
    /// All stores.
    pub(super) async fn stores(&self, request: Duration) -> Result<Vec<Store>, Failure> {
        self.find().await?.into_iter().map(|found| open(&found.url, request)).collect()
    }

    /// One store: that of the copy with this name, or the first.
    pub(super) async fn store(&self, copy: Option<&str>, request: Duration) -> Result<Store, Failure> {
        let found = self.find().await?;
        let wanted = |found: &&Found| copy.is_none() || found.copy.as_deref() == copy;
        match found.iter().find(wanted) {
            Some(found) => open(&found.url, request),
            None => {
                let names: Vec<_> = found.iter().filter_map(|found| found.copy.as_deref()).collect();
                let (copy, names) = (copy.unwrap_or_default(), names.join(", "));
                Err(Failure::new(Exit::Usage, format!("there is no copy {copy:?}; there are {names}")))
            }
        }
    }

    async fn find(&self) -> Result<Vec<Found>, Failure> {
        if let Some(file) = &self.file {
            return found_by_file(file, self.state.as_deref()).await;
        }
        let servers = match (self.servers.as_slice(), std::env::var(SERVER_VARIABLE)) {
            ([], Ok(servers)) if !servers.is_empty() => servers.split(',').map(str::to_owned).collect(),
            ([], _) => vec![SERVER_DEFAULT.to_owned()],
            (servers, _) => servers.to_vec(),
        };
        Ok(servers.into_iter().map(|url| Found { copy: None, url }).collect())
    }
}

fn open(url: &str, request: Duration) -> Result<Store, Failure> {
    let timeouts = Timeouts { request, ..Timeouts::default() };
    Store::with_timeouts(url, timeouts).map_err(|error| Failure::of_question(&error))
}

async fn found_by_file(file: &Path, state: Option<&Path>) -> Result<Vec<Found>, Failure> {
    let unreadable = |error| Failure::new(Exit::Usage, format!("failed to read {}: {error}", file.display()));
    let text = tokio::fs::read_to_string(file).await.map_err(unreadable)?;
    let name = resource_name(&text).map_err(|what| Failure::new(Exit::Usage, format!("{}: {what}", file.display())))?;
    let state = state.map_or_else(|| local::state_dir(file, &name), Path::to_owned);
    let path = state.join(ENDPOINTS_FILE);
    let bytes = tokio::fs::read(&path).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new(
            Exit::Unreachable,
            format!(
                "{name} does not run here: there is no {}; start it with `logstore-operator local -f {}`",
                path.display(),
                file.display()
            ),
        ),
        _ => Failure::new(Exit::Usage, format!("failed to read {}: {error}", path.display())),
    })?;
    let endpoints: Endpoints = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Exit::Usage, format!("failed to read {}: {error}", path.display())))?;
    Ok(endpoints.copies.into_iter().map(|copy| Found { copy: Some(copy.name), url: copy.url }).collect())
}

/// `metadata.name` of the one resource in a file.
fn resource_name(text: &str) -> Result<String, String> {
    // Without a drawing of the place, so that the reason is one line; it has the line's number.
    let options = serde_saphyr::options! { with_snippet: false };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| format!("this is no YAML: {error}"))?;
    let present: Vec<_> = documents.iter().filter(|document| !document.is_null()).collect();
    let [resource] = present.as_slice() else {
        return Err(format!("there are {} documents; expected one LogStore", present.len()));
    };
    let name = resource.pointer("/metadata/name").and_then(Value::as_str).filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| "metadata.name is missing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "apiVersion: logstore.dev/v1alpha1\nkind: LogStore\nmetadata: {name: events}\n";

    fn target(file: PathBuf, state: Option<PathBuf>) -> Target {
        Target { servers: Vec::new(), file: Some(file), state }
    }

    async fn fails(target: Target) -> (Exit, String) {
        let failure = target.stores(Duration::ZERO).await.unwrap_err();
        (failure.exit(), failure.to_string())
    }

    #[test]
    fn a_file_names_one_resource() {
        assert_eq!(resource_name(&format!("---\n{FILE}---\n")), Ok("events".to_owned()));
        for (text, what) in [
            ("kind: LogStore", "metadata.name is missing"),
            ("metadata: {name: 5}", "metadata.name is missing"),
            ("a: 1\n---\nb: 2", "there are 2 documents"),
            ("# nothing", "there are 0 documents"),
            ("a: [", "this is no YAML"),
        ] {
            let error = resource_name(text).unwrap_err();
            assert!(error.starts_with(what), "{error}");
        }
    }

    #[tokio::test]
    async fn copies_are_found_beside_the_file_or_in_the_folder_that_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("logstore.yaml");
        tokio::fs::write(&file, FILE).await.unwrap();
        let (exit, message) = fails(target(file.clone(), None)).await;
        assert_eq!(exit, Exit::Unreachable);
        assert!(message.contains("logstore-operator local -f"), "{message}");

        let endpoints = serde_json::json!({"name": "events", "status": "127.0.0.1:1", "copies": [
            {"name": "a", "url": "http://127.0.0.1:9001", "admin": "x", "pid": 1},
            {"name": "b", "url": "http://127.0.0.1:9002", "admin": "x", "pid": 2},
        ]});
        let state = local::state_dir(&file, "events");
        tokio::fs::create_dir_all(&state).await.unwrap();
        tokio::fs::write(state.join(ENDPOINTS_FILE), endpoints.to_string()).await.unwrap();
        for target in [target(file.clone(), None), target(file.clone(), Some(state.clone()))] {
            let urls: Vec<_> =
                target.stores(Duration::ZERO).await.unwrap().iter().map(|store| store.url().to_owned()).collect();
            assert_eq!(urls, ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]);
        }
        let target = target(file, None);
        assert_eq!(target.store(Some("b"), Duration::ZERO).await.unwrap().url(), "http://127.0.0.1:9002");
        assert_eq!(target.store(None, Duration::ZERO).await.unwrap().url(), "http://127.0.0.1:9001");
        let failure = target.store(Some("c"), Duration::ZERO).await.unwrap_err();
        assert_eq!(failure.to_string(), "there is no copy \"c\"; there are a, b");
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_a_wrong_argument() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(fails(target(dir.path().join("none.yaml"), None)).await.0, Exit::Usage);
    }
}
