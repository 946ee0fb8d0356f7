//! `logstore ls`: the namespaces of a store.

use std::time::Duration;

use logstore_api::Code;
use logstore_api::namespace::{NamespaceInfo, NamespaceState};
use logstore_client::Store;

use super::duration;
use super::failure::{EXIT_CODES, Failure};
use super::output::Output;
use super::target::Target;

/// List the namespaces of a store, with what they hold
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// Only names that begin with this
    #[arg(default_value = "")]
    prefix: String,
    #[command(flatten)]
    target: Target,
    /// Ask this copy; the first where left out
    #[arg(long, value_name = "NAME", requires = "file")]
    copy: Option<String>,
    /// One JSON object per namespace and line
    #[arg(long)]
    json: bool,
    /// How long to wait for each answer
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,
}

/// Lists.
///
/// # Errors
/// Where the store does not answer.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { prefix, target, copy, json, timeout } = args;
    let store = target.store(copy.as_deref(), timeout).await?;
    let namespaces = describe_all(&store, &prefix).await?;
    let text = if json { json_lines(&namespaces) } else { table(&namespaces) };
    Output::new().write(text.as_bytes()).await?;
    Ok(())
}

async fn describe_all(store: &Store, prefix: &str) -> Result<Vec<NamespaceInfo>, Failure> {
    let mut namespaces = Vec::new();
    for entry in store.all_namespaces(prefix).await.map_err(|error| Failure::of_question(&error))? {
        match store.namespace(&entry.name).await {
            Ok(namespace) => namespaces.push(namespace),
            // Deleted since it was listed.
            Err(error) if error.is(Code::NamespaceNotFound) => {}
            Err(error) => return Err(Failure::of_question(&error)),
        }
    }
    Ok(namespaces)
}

fn json_lines(namespaces: &[NamespaceInfo]) -> String {
    let line = |namespace| serde_json::to_string(namespace).expect("a description is JSON") + "\n";
    namespaces.iter().map(line).collect()
}

fn table(namespaces: &[NamespaceInfo]) -> String {
    let mut rows = vec![["NAME", "STATE", "START", "END", "BYTES"].map(str::to_owned)];
    rows.extend(namespaces.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4].map(width);
    let line = |[name, state, start, end, bytes]: &[String; 5]| {
        let [name_width, state_width, start_width, end_width, bytes_width] = widths;
        format!(
            "{name:name_width$}  {state:state_width$}  {start:>start_width$}  {end:>end_width$}  {bytes:>bytes_width$}\n"
        )
    };
    rows.iter().map(line).collect()
}

/// One line. A namespace has one partition; were there more, what they hold is added up, and offsets are those of the
/// first.
fn row(namespace: &NamespaceInfo) -> [String; 5] {
    let NamespaceInfo { name, state, partitions, .. } = namespace;
    let state = match state {
        NamespaceState::Active => "active",
        NamespaceState::ReadOnly => "read_only",
        NamespaceState::Closed => "closed",
    };
    let offset = |of: fn(&logstore_api::namespace::PartitionInfo) -> u64| {
        partitions.first().map_or_else(|| "-".to_owned(), |partition| of(partition).to_string())
    };
    let bytes: u64 = partitions.iter().map(|partition| partition.bytes).sum();
    let (start, end) = (offset(|partition| partition.start), offset(|partition| partition.end));
    [name.to_string(), state.to_owned(), start, end, bytes.to_string()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must() {
        let namespace = |name: &str, end: u64| -> NamespaceInfo {
            serde_json::from_value(json!({
                "name": name, "incarnation": uuid::Uuid::nil(), "state": "read_only", "config": {},
                "partitions": [{
                    "partition": 0, "start": 0, "end": end, "durable_end": end, "bytes": 10 * end, "segments": 1,
                }],
            }))
            .unwrap()
        };
        let lines = table(&[namespace("a b", 5), namespace("örders", 1_000)]);
        assert_eq!(
            lines.lines().collect::<Vec<_>>(),
            [
                "NAME    STATE      START   END  BYTES",
                "a b     read_only      0     5     50",
                "örders  read_only      0  1000  10000",
            ]
        );
    }
}
