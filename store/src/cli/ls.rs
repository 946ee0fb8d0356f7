//! `logstore ls`: the namespaces of a store.

use std::time::Duration;

use logstore_api::Code;
use logstore_api::namespace::{NamespaceInfo, NamespaceState, PartitionInfo};
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
    let mut rows = vec![["NAME", "PARTITION", "STATE", "START", "END", "BYTES"].map(str::to_owned)];
    rows.extend(
        namespaces.iter().flat_map(|namespace| namespace.partitions.iter().map(|partition| row(namespace, partition))),
    );
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4, 5].map(width);
    let line = |[name, partition, state, start, end, bytes]: &[String; 6]| {
        let [name_width, partition_width, state_width, start_width, end_width, bytes_width] = widths;
        format!(
            "{name:name_width$}  {partition:>partition_width$}  {state:state_width$}  {start:>start_width$}  {end:>end_width$}  {bytes:>bytes_width$}\n"
        )
    };
    rows.iter().map(line).collect()
}

/// One line.
fn row(namespace: &NamespaceInfo, partition: &PartitionInfo) -> [String; 6] {
    let state = match namespace.state {
        NamespaceState::Active => "active",
        NamespaceState::ReadOnly => "read_only",
        NamespaceState::Closed => "closed",
    };
    let PartitionInfo { partition, start, end, bytes, .. } = partition;
    let [partition, start, end, bytes] = [u64::from(*partition), *start, *end, *bytes].map(|number| number.to_string());
    [namespace.name.to_string(), partition, state.to_owned(), start, end, bytes]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must() {
        let namespace = |name: &str, ends: &[u64]| -> NamespaceInfo {
            let partition = |(number, end): (usize, &u64)| {
                json!({
                    "partition": number, "start": 0, "end": end, "durable_end": end, "bytes": 10 * end, "segments": 1,
                })
            };
            let partitions: Vec<_> = ends.iter().enumerate().map(partition).collect();
            serde_json::from_value(json!({
                "name": name, "incarnation": uuid::Uuid::nil(), "state": "read_only", "config": {},
                "partitions": partitions,
            }))
            .unwrap()
        };
        let lines = table(&[namespace("a b", &[5]), namespace("örders", &[1_000, 7])]);
        assert_eq!(
            lines.lines().collect::<Vec<_>>(),
            [
                "NAME    PARTITION  STATE      START   END  BYTES",
                "a b             0  read_only      0     5     50",
                "örders          0  read_only      0  1000  10000",
                "örders          1  read_only      0     7     70",
            ]
        );
    }
}
