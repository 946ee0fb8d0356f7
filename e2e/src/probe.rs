//! A pod to append, to read and to speak HTTP from. It runs the image under test, with a plain HTTP client beside it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Child;

use crate::command::Ran;
use crate::kubectl::Kubectl;
use crate::records::{Acknowledged, Record};
use crate::scene::Place;
use crate::wait;

/// Where the HTTP client is, in the probe.
const HTTP_PROBE: &str = "/tools/http-probe";
/// How long a copy may take to show what another one has confirmed, and a Service to lead to a store that is ready.
const SHOWN: Duration = Duration::from_secs(30);

/// The pod.
#[derive(Clone, Debug)]
pub struct Probe {
    kubectl: Kubectl,
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, with names in lower case.
    headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

/// A request that is being put together.
#[derive(Clone, Debug)]
pub struct HttpCall<'a> {
    probe: &'a Probe,
    method: &'a str,
    url: String,
    flags: Vec<String>,
    input: Vec<u8>,
}

impl Probe {
    pub(crate) async fn start(place: &Place, node: Option<&str>) -> Result<Self> {
        place.kubectl.apply(&manifest(&place.cluster.contract.image, node)).await?;
        let ready = ["wait", "--for=condition=Ready", "pod/probe", "--timeout=90s"];
        place.kubectl.run(&ready).await.context("the probe does not start")?;
        Ok(Self { kubectl: place.kubectl.clone() })
    }

    /// Runs `logstore` in the pod, however it may end.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub async fn logstore(&self, arguments: &[&str], input: &[u8]) -> Result<Ran> {
        self.kubectl.try_run(&exec("logstore", arguments), input).await
    }

    /// Starts `logstore` in the pod and lets it run.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn start_logstore(&self, arguments: &[&str]) -> Result<Child> {
        self.kubectl.spawn(&exec("logstore", arguments))
    }

    /// Appends lines with `logstore append` to the store, or to all copies; what was acknowledged.
    ///
    /// # Errors
    /// Where it does not end well, or not all is acknowledged.
    pub async fn append(&self, servers: &[String], namespace: &str, lines: &[String]) -> Result<Vec<Acknowledged>> {
        let arguments = append_arguments(servers, namespace);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let told = self.logstore(&arguments, (lines.join("\n") + "\n").as_bytes()).await?.ok()?;
        let acknowledged = Acknowledged::parse(&told)?;
        let count: usize = acknowledged.iter().map(|batch| batch.count).sum();
        ensure!(count == lines.len(), "{count} of {} records are acknowledged: {told}", lines.len());
        Ok(acknowledged)
    }

    /// Reads all records of a namespace from a store with `logstore read`.
    ///
    /// # Errors
    /// Where it does not end well.
    pub async fn read(&self, server: &str, namespace: &str) -> Result<Vec<Record>> {
        Record::parse(&self.logstore(&["read", namespace, "--server", server], b"").await?.ok()?)
    }

    /// Reads until so many records are shown: a copy learns what is confirmed a moment after the writer.
    ///
    /// # Errors
    /// Where they are not shown within half a minute.
    pub async fn read_at_least(&self, server: &str, namespace: &str, count: usize) -> Result<Vec<Record>> {
        wait::until(&format!("{server} shows {count} records of {namespace}"), SHOWN, async || {
            let records = self.read(server, namespace).await?;
            ensure!(records.len() >= count, "it shows {}", records.len());
            Ok(records)
        })
        .await
    }

    /// A request of the plain HTTP client.
    #[must_use]
    pub fn http<'a>(&'a self, method: &'a str, url: &str) -> HttpCall<'a> {
        HttpCall { probe: self, method, url: url.to_owned(), flags: Vec::new(), input: Vec::new() }
    }

    /// Waits until a Service leads from here to a store: each node learns a moment later than the API server that a store
    /// is ready.
    ///
    /// # Errors
    /// Where nobody answers within half a minute.
    pub async fn reach(&self, server: &str) -> Result<()> {
        wait::until(&format!("{server} answers"), SHOWN, async || {
            self.http("GET", &format!("{server}/v1/namespaces")).within_seconds(3).send().await?.json().map(drop)
        })
        .await
    }

    /// A store's description of a namespace; none where it has none.
    ///
    /// # Errors
    /// Where the store does not answer, or answers something else.
    pub async fn namespace(&self, server: &str, namespace: &str) -> Result<Option<Value>> {
        let answer = self.http("GET", &format!("{server}/v1/namespaces/{namespace}")).send().await?;
        match answer.status {
            404 => Ok(None),
            _ => answer.json().map(Some),
        }
    }
}

/// Arguments of an append that tells of each batch.
#[must_use]
pub fn append_arguments(servers: &[String], namespace: &str) -> Vec<String> {
    let servers = servers.iter().flat_map(|server| ["--server".to_owned(), server.clone()]);
    ["append", namespace, "--offsets"].into_iter().map(str::to_owned).chain(servers).collect()
}

fn exec<'a>(program: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    ["exec", "--stdin", "probe", "--container=probe", "--", program]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect()
}

impl HttpCall<'_> {
    /// With a header.
    #[must_use]
    pub fn header(mut self, line: &str) -> Self {
        self.flags.push(format!("-header={line}"));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.flags.push("-stdin".to_owned());
        self.input = body.as_bytes().to_vec();
        self
    }

    /// With a body of so many bytes, which the client makes up.
    #[must_use]
    pub fn body_of(mut self, bytes: usize) -> Self {
        self.flags.push(format!("-bytes={bytes}"));
        self
    }

    /// Giving up after so many seconds.
    #[must_use]
    pub fn within_seconds(mut self, seconds: u32) -> Self {
        self.flags.push(format!("-seconds={seconds}"));
        self
    }

    /// Sends it.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn send(self) -> Result<Answer> {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let arguments: Vec<&str> = ["request"].into_iter().chain(flags).chain([self.method, &self.url]).collect();
        let ran = self.probe.kubectl.try_run(&exec(HTTP_PROBE, &arguments), &self.input).await?;
        Answer::parse(&ran.ok()?)
    }
}

impl Answer {
    fn parse(text: &str) -> Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").context("an answer without an end of its headers")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("an answer without a status")?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Ok(Self { status: status.parse().with_context(|| format!("status {status}"))?, headers, body: body.to_owned() })
    }

    /// A header; empty where it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body of an answer that is not an error.
    ///
    /// # Errors
    /// Where it is one, or no JSON.
    pub fn json(&self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "HTTP {}: {}", self.status, self.body);
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }
}

fn manifest(image: &str, node: Option<&str>) -> String {
    let node = node.map_or_else(String::new, |node| format!("  nodeName: {node}\n"));
    format!(
        "\
apiVersion: v1
kind: Pod
metadata:
  name: probe
spec:
{node}  terminationGracePeriodSeconds: 1
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  initContainers:
  - name: install
    image: localhost/logstore-probe:e2e
    command: [http-probe, install, /tools]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: tools, mountPath: /tools}}]
  containers:
  - name: probe
    image: {image}
    command: [{HTTP_PROBE}, idle]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: tools, mountPath: /tools}}]
  volumes:
  - name: tools
    emptyDir: {{}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = Answer::parse(
            "HTTP/1.1 507 Insufficient Storage\r\nContent-Type: application/problem+json\r\n\r\n{}\r\n\r\n",
        )
        .unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (507, "{}\r\n\r\n"));
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.json().unwrap_err().to_string().contains("HTTP 507"));
    }
}
