//! The API server's audit log: what the operator has asked of it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;

/// The audit log, from where it stood when it was opened.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
    begin: u64,
}

/// One request, once, however many stages of it were logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// get, list, watch, create, update, patch, delete, …
    pub verb: String,
    /// With its query.
    pub uri: String,
    /// The resource it was about; empty fields where it was about none.
    pub object: Object,
    /// HTTP status; none while it is under way.
    pub code: Option<u16>,
    /// Whether the caller had no right to it.
    pub is_forbidden: bool,
    /// When it came.
    pub received: Timestamp,
}

/// What a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Object {
    /// Empty for the core group.
    pub api_group: String,
    /// Plural.
    pub resource: String,
    /// status, scale, eviction, …
    pub subresource: String,
    /// Empty for all namespaces, and for what has none.
    pub namespace: String,
    /// Empty where it is about many.
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "auditID")]
    audit_id: String,
    verb: String,
    user: User,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    object_ref: Object,
    response_status: Option<ResponseStatus>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: Option<u16>,
}

impl AuditLog {
    /// From here on.
    ///
    /// # Errors
    /// Where it cannot be looked at.
    pub fn open(path: PathBuf) -> Result<Self> {
        let about = std::fs::metadata(&path).with_context(|| format!("failed to look at {}", path.display()))?;
        Ok(Self { path, begin: about.len() })
    }

    /// All requests of a user since the log was opened, in the order in which they came.
    ///
    /// # Errors
    /// Where the log cannot be read, or a line of the user's is not understood.
    pub fn requests(&self, user: &str) -> Result<Vec<Request>> {
        let mut file =
            std::fs::File::open(&self.path).with_context(|| format!("failed to open {}", self.path.display()))?;
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(self.begin))
            .and_then(|_| file.read_to_end(&mut text))
            .with_context(|| format!("failed to read {}", self.path.display()))?;
        parse(&String::from_utf8_lossy(&text), user)
    }
}

/// The requests of a user. The last line may still be being written.
fn parse(text: &str, user: &str) -> Result<Vec<Request>> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut requests: BTreeMap<String, Request> = BTreeMap::new();
    for line in whole.lines().filter(|line| line.contains(user)) {
        let line: Line = serde_json::from_str(line).with_context(|| format!("the audit log has the line {line}"))?;
        if line.user.username == user {
            let code = line.response_status.as_ref().and_then(|status| status.code);
            let is_forbidden =
                line.annotations.get("authorization.k8s.io/decision").is_some_and(|said| said == "forbid");
            let request = requests.entry(line.audit_id).or_insert_with(|| Request {
                verb: line.verb,
                uri: line.request_uri,
                object: line.object_ref,
                code: None,
                is_forbidden: false,
                received: line.request_received_timestamp,
            });
            request.code = code.or(request.code);
            request.is_forbidden |= is_forbidden;
        }
    }
    let mut requests: Vec<Request> = requests.into_values().collect();
    requests.sort_by_key(|request| request.received);
    Ok(requests)
}

impl Request {
    /// Whether it needs the right to this verb. An apply that makes an object needs the right to create it, and is
    /// logged as a patch.
    fn uses(&self, verb: &str) -> bool {
        self.verb == verb || (verb == "create" && self.verb == "patch" && self.code == Some(201))
    }

    /// Whether it changes something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    /// Whether it goes on with a watch where the last one ended: the API server ends each after some minutes, and
    /// nothing is read anew.
    #[must_use]
    pub fn continues_a_watch(&self) -> bool {
        let query = self.uri.split_once('?').map_or("", |(_, query)| query);
        let version = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        self.verb == "watch" && version.is_some_and(|version| !version.is_empty() && version != "0")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or_else(|| "under way".to_owned(), |code| code.to_string());
        write!(f, "{} {} {} ({code})", self.received, self.verb, self.uri)
    }
}

/// What a role may do: a rule as Kubernetes has it, as far as this project's roles use it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
    verbs: Vec<String>,
}

impl Rule {
    /// Each single right that the rule gives: verb, group, resource.
    fn rights(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.verbs.iter().flat_map(move |verb| {
            self.api_groups.iter().flat_map(move |group| {
                self.resources.iter().map(move |resource| (verb.as_str(), group.as_str(), resource.as_str()))
            })
        })
    }

    /// Whether it stands for what the API server asks about by itself, so that no request can show it: who may write an
    /// owner reference that holds up a deletion must have the right to the owner's finalizers.
    #[must_use]
    pub fn is_asked_about_only(&self) -> bool {
        self.resources.iter().all(|resource| resource.ends_with("/finalizers"))
    }

    /// The rights that none of these requests used, as a person would name them.
    #[must_use]
    pub fn unused_rights(&self, requests: &[Request]) -> Vec<String> {
        let is_used = |(verb, group, resource): &(&str, &str, &str)| {
            requests.iter().any(|request| {
                let Object { api_group, resource: about, subresource, name, .. } = &request.object;
                let about = if subresource.is_empty() { about.clone() } else { format!("{about}/{subresource}") };
                let names = &self.resource_names;
                request.uses(verb)
                    && api_group == group
                    && about == *resource
                    && (names.is_empty() || names.contains(name))
            })
        };
        let unused = self.rights().filter(|right| !is_used(right));
        unused
            .map(|(verb, group, resource)| match group {
                "" => format!("{verb} {resource}"),
                group => format!("{verb} {resource}.{group}"),
            })
            .collect()
    }

    /// Whether any of its rights was used.
    #[must_use]
    pub fn is_used(&self, requests: &[Request]) -> bool {
        self.unused_rights(requests).len() < self.rights().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "system:serviceaccount:logstore-system:logstore-operator";

    fn line(id: &str, user: &str, stage: &str, verb: &str, uri: &str, object: &str, rest: &str) -> String {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{id}","stage":"{stage}","requestURI":"{uri}","verb":"{verb}","user":{{"username":"{user}","groups":["a"]}},"objectRef":{object},"requestReceivedTimestamp":"2026-11-21T10:00:0{id}.000000Z"{rest}}}"#
        ) + "\n"
    }

    #[test]
    fn each_request_of_the_user_counts_once() {
        let pods = r#"{"resource":"pods","namespace":"a","apiVersion":"v1"}"#;
        let log = line("2", USER, "ResponseStarted", "watch", "/api/v1/pods?watch=1&resourceVersion=7", pods, "")
            + &line(
                "2",
                USER,
                "ResponseComplete",
                "watch",
                "/api/v1/pods?watch=1&resourceVersion=7",
                pods,
                r#","responseStatus":{"code":200}"#,
            )
            + &line(
                "1",
                USER,
                "ResponseComplete",
                "list",
                "/api/v1/pods",
                pods,
                r#","responseStatus":{"code":403},"annotations":{"authorization.k8s.io/decision":"forbid"}"#,
            )
            + &line("3", "somebody", "ResponseComplete", "list", &format!("/x/{USER}"), pods, "")
            + r#"{"half a line with system:serviceaccount:logstore-system:logstore-operator"#;
        let requests = parse(&log, USER).unwrap();
        let seen: Vec<_> =
            requests.iter().map(|request| (request.verb.as_str(), request.code, request.is_forbidden)).collect();
        assert_eq!(seen, [("list", Some(403), true), ("watch", Some(200), false)]);
        assert!(requests[1].continues_a_watch() && !requests[0].continues_a_watch());
    }

    #[test]
    fn a_watch_from_nothing_reads_everything() {
        let request =
            |uri: &str| parse(&line("1", USER, "ResponseStarted", "watch", uri, "{}", ""), USER).unwrap().remove(0);
        assert!(!request("/api/v1/pods?watch=1&resourceVersion=0").continues_a_watch());
        assert!(!request("/api/v1/pods?watch=1").continues_a_watch());
    }

    #[test]
    fn an_apply_that_makes_an_object_uses_the_right_to_create() {
        let line = line(
            "1",
            USER,
            "ResponseComplete",
            "patch",
            "/x",
            r#"{"resource":"services"}"#,
            r#","responseStatus":{"code":201}"#,
        );
        let rule =
            serde_saphyr::from_str::<Rule>("{apiGroups: [''], resources: [services], verbs: [create, patch, delete]}")
                .unwrap();
        assert_eq!(rule.unused_rights(&parse(&line, USER).unwrap()), ["delete services"]);
    }

    #[test]
    fn a_right_is_used_by_its_own_verb_group_resource_and_subresource() {
        let status = r#"{"apiGroup":"logstore.dev","resource":"logstores","subresource":"status","name":"events"}"#;
        let requests = parse(&line("1", USER, "ResponseComplete", "patch", "/x", status, ""), USER).unwrap();
        let rule = |text: &str| serde_saphyr::from_str::<Rule>(text).unwrap();
        let used = rule("{apiGroups: [logstore.dev], resources: [logstores/status], verbs: [patch, update]}");
        assert!(used.is_used(&requests));
        assert_eq!(used.unused_rights(&requests), ["update logstores/status.logstore.dev"]);
        assert!(
            rule("{apiGroups: [logstore.dev], resources: [logstores/finalizers], verbs: [update]}")
                .is_asked_about_only()
        );
        for text in [
            "{apiGroups: [logstore.dev], resources: [logstores/status], verbs: [create]}",
            "{apiGroups: [logstore.dev], resources: [logstores], verbs: [patch]}",
            "{apiGroups: [''], resources: [logstores/status], verbs: [patch]}",
            "{apiGroups: [logstore.dev], resources: [logstores/status], resourceNames: [other], verbs: [patch]}",
        ] {
            assert!(!rule(text).is_used(&requests), "{text}");
        }
    }
}
