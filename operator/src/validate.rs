//! From what a user wrote to a [`ValidatedStore`], which everything after it accepts as sound.
//!
//! ```text
//! YAML ── yaml::document ──┐
//! API object ──────────────┴─▶ schema (defaults, types, bounds, fields) ─▶ namespaces + rules ─▶ ValidatedStore
//!                                                                          change: may it follow another one?
//! ```
//!
//! Everything that is wrong is found in one pass, as far as it can be read: rules that compare fields wait until each
//! field alone is sound. The rules are those of the definition (`crds`); one file of cases is run against both.

mod finding;
mod image;
mod namespaces;
mod pod_template;
mod quantity;
mod schema;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use logstore_api::namespace::WhenRemoved;
use logstore_api::{NamespaceConfig, NamespaceName};
use logstore_crds::log_store::ADMIN_PORT;
use logstore_crds::{ListenerService, LogStore, LogStoreSpec, Storage, WhenDeleted};
use serde_json::{Map, Value};

use self::finding::{Findings, shown};
use self::schema::Unknown;
use crate::yaml;

pub use self::finding::{Finding, InvalidSpec};
pub use self::image::ImageChoice;
pub use self::pod_template::PodTemplate;
pub use self::quantity::{VolumeSize, same_quantity};

/// Characters of `metadata.name`: the names of the children are made of it.
const NAME_MAX: usize = 40;
/// The Kubernetes namespace of an object that names none.
const NAMESPACE_DEFAULT: &str = "default";
/// How many generations one second of creation time leaves room for, in [`ValidatedStore::revision`].
const GENERATIONS_PER_SECOND: u64 = 1 << 22;

/// A `LogStore` that can be followed. Made only here, so whoever holds one need not check again.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedStore {
    metadata: Identity,
    mode: Mode,
    copies: u8,
    image: ImageChoice,
    volume: Volume,
    port: u16,
    service: ListenerService,
    pod_template: PodTemplate,
    defaults: NamespaceConfig,
    namespaces: BTreeMap<NamespaceName, DeclaredNamespace>,
}

/// Which object it is.
#[derive(Clone, Debug, PartialEq)]
struct Identity {
    name: String,
    namespace: String,
    uid: Option<String>,
    generation: u64,
    created_second: u64,
}

/// What the operator shall do with a `LogStore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Run it as the spec says.
    Running,
    /// Keep everything but the pods.
    Stopped,
    /// Change nothing.
    Paused,
}

/// The volume of each copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its size.
    pub size: VolumeSize,
    /// Its storage class; none is the cluster's default.
    pub class: Option<String>,
    /// What becomes of the claims when the `LogStore` is deleted.
    pub when_deleted: WhenDeleted,
}

/// A namespace as the spec declares it, with what it falls back to filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredNamespace {
    /// Its whole configuration.
    pub config: NamespaceConfig,
    /// What becomes of the data when the entry goes away.
    pub when_removed: WhenRemoved,
}

impl ValidatedStore {
    /// `metadata.name`: a DNS label of at most 40 characters.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// `metadata.namespace`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.metadata.namespace
    }

    /// `metadata.uid`; none before an API server has stored the object.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.metadata.uid.as_deref()
    }

    /// A number that grows with each change of the spec, and also when the object is deleted and made again, which
    /// starts its generation anew while the stores remember the old one. The creation time is in front for that.
    #[must_use]
    pub fn revision(&self) -> u64 {
        let Identity { generation, created_second, .. } = &self.metadata;
        created_second.saturating_mul(GENERATIONS_PER_SECOND).saturating_add(*generation)
    }

    /// Stores that hold every record, 1 to 5.
    #[must_use]
    pub fn copies(&self) -> u8 {
        self.copies
    }

    /// What shall be done with it.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The image of the stores, as far as the spec says it.
    #[must_use]
    pub fn image(&self) -> &ImageChoice {
        &self.image
    }

    /// The volume of each copy.
    #[must_use]
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// The Service for clients, where there is one.
    #[must_use]
    pub fn client_service(&self) -> &ListenerService {
        &self.service
    }

    /// What the pods shall have beside what the operator gives them.
    #[must_use]
    pub fn pod_template(&self) -> &PodTemplate {
        &self.pod_template
    }

    /// The port of the HTTP API.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What holds for namespaces that do not say it themselves.
    #[must_use]
    pub fn namespace_defaults(&self) -> &NamespaceConfig {
        &self.defaults
    }

    /// The declared namespaces.
    #[must_use]
    pub fn namespaces(&self) -> &BTreeMap<NamespaceName, DeclaredNamespace> {
        &self.namespaces
    }
}

/// A YAML text with one `LogStore`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn text(text: &str) -> Result<ValidatedStore, InvalidSpec> {
    match yaml::document(text) {
        Ok(value) => object(value),
        Err(error) => Err(InvalidSpec::of_document(error.to_string())),
    }
}

/// A `LogStore` as JSON, as a user wrote it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn object(value: Value) -> Result<ValidatedStore, InvalidSpec> {
    validated(value, Unknown::Refused)
}

/// A `LogStore` as an API server has stored it. Fields that are not known here are those of a newer definition, which an
/// operator that is older for a while must not stumble over: it leaves them alone.
///
/// # Errors
/// Everything that is wrong with it.
pub fn stored(value: Value) -> Result<ValidatedStore, InvalidSpec> {
    validated(value, Unknown::LeftAlone)
}

fn validated(value: Value, unknown: Unknown) -> Result<ValidatedStore, InvalidSpec> {
    let mut findings = Findings::default();
    let store = whole(value, unknown, &mut findings);
    match store {
        Some(store) if findings.is_empty() => Ok(store),
        _ => Err(findings.into_invalid()),
    }
}

/// Whether a spec may follow another one: the rules that need to see both.
///
/// # Errors
/// Everything that may not change.
pub fn change(before: &ValidatedStore, after: &ValidatedStore) -> Result<(), InvalidSpec> {
    let mut findings = Findings::default();
    if after.name() != before.name() {
        let message =
            format!("was {:?}, is {:?}; a name cannot change: put the old one back", before.name(), after.name());
        findings.add("metadata.name", message);
    }
    if after.copies != before.copies {
        let message = format!(
            "was {}, is {}; copies cannot be changed yet once the LogStore exists: put {0} back, \
             or make a new LogStore",
            before.copies, after.copies
        );
        findings.add("spec.copies", message);
    }
    let (old, new) = (&before.volume, &after.volume);
    if new.size.is_less_than(&old.size) {
        let message =
            format!("was {}, is {}; a volume cannot shrink: put {0} back, or give a larger size", old.size, new.size);
        findings.add("spec.storage.size", message);
    }
    if new.class != old.class {
        let spelt =
            |class: &Option<String>| class.as_ref().map_or("the default".to_owned(), |name| format!("{name:?}"));
        let message = format!(
            "was {}, is {}; a volume cannot change its class: put the old one back, or make a new LogStore",
            spelt(&old.class),
            spelt(&new.class)
        );
        findings.add("spec.storage.storageClassName", message);
    }
    for (name, new) in &after.namespaces {
        if let Some(old) = before.namespaces.get(name) {
            namespaces::change(name, old, new, &mut findings);
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(findings.into_invalid()) }
}

/// None where a finding says why.
fn whole(value: Value, unknown: Unknown, findings: &mut Findings) -> Option<ValidatedStore> {
    let Value::Object(mut fields) = value else {
        findings.add(
            "",
            format!("{} is not a LogStore; give an object with apiVersion, kind, metadata and spec", shown(&value)),
        );
        return None;
    };
    check_kind(&mut fields, findings);
    let metadata = fields.remove("metadata").unwrap_or_default();
    // What the operator answers; a file that came out of `kubectl get` has it.
    fields.remove("status");
    let mut rest = Value::Object(fields);
    schema::check(logstore_crds::schema(), unknown, "", &mut rest, findings);

    let metadata = identity(metadata, findings);
    let spec = serde_json::from_value(rest["spec"].take()).ok();
    // What does not decode has a finding by now: the schema is made of the same types.
    let (metadata, spec) = (metadata?, spec?);
    sound(metadata, &spec, findings)
}

fn check_kind(fields: &mut Map<String, Value>, findings: &mut Findings) {
    for (field, expected) in [("apiVersion", LogStore::api_version(&())), ("kind", LogStore::kind(&()))] {
        match fields.remove(field) {
            Some(Value::String(given)) if given == expected => {}
            Some(given) => findings.add(field, format!("{} is not known here; give {expected}", shown(&given))),
            None => findings.add(field, format!("is missing; give {expected}")),
        }
    }
}

fn identity(metadata: Value, findings: &mut Findings) -> Option<Identity> {
    let given = metadata.as_object().cloned().unwrap_or_default();
    let parsed: ObjectMeta =
        match serde_json::from_value(if metadata.is_null() { Value::Object(Map::new()) } else { metadata }) {
            Ok(parsed) => parsed,
            Err(error) => {
                findings.add("metadata", format!("cannot be read: {error}"));
                return None;
            }
        };
    let known = serde_json::to_value(&parsed).unwrap_or_default();
    for (field, _) in given.iter().filter(|(field, value)| !value.is_null() && known.get(field.as_str()).is_none()) {
        findings.add(format!("metadata.{field}"), "there is no such field; leave it out");
    }
    let name = parsed.name.unwrap_or_default();
    if !is_store_name(&name) {
        let message = format!(
            "{name:?} cannot be a name; give 1 to {NAME_MAX} characters a-z, 0-9 and '-', a letter first, and no '-' \
             at the end"
        );
        findings.add("metadata.name", message);
    }
    Some(Identity {
        name,
        namespace: parsed.namespace.unwrap_or_else(|| NAMESPACE_DEFAULT.to_owned()),
        uid: parsed.uid,
        generation: parsed.generation.and_then(|generation| u64::try_from(generation).ok()).unwrap_or(0),
        created_second: parsed.creation_timestamp.and_then(|time| u64::try_from(time.0.as_second()).ok()).unwrap_or(0),
    })
}

/// A DNS label of RFC 1035, short enough for the names that are made of it.
fn is_store_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(inner)
        && !name.ends_with('-')
}

/// The rules that the schema alone does not know.
fn sound(metadata: Identity, spec: &LogStoreSpec, findings: &mut Findings) -> Option<ValidatedStore> {
    let LogStoreSpec {
        copies,
        image,
        storage,
        namespace_defaults,
        namespaces,
        listener,
        pod_template,
        paused,
        stopped,
    } = spec;
    if listener.port == ADMIN_PORT {
        findings.add(
            "spec.listener.port",
            format!("{ADMIN_PORT} serves health checks and metrics; choose another port, for example 8000"),
        );
    }
    if *copies > 1 && listener.service.is_some() {
        let message = format!(
            "is for copies: 1, and copies is {copies}; a Service would pick one copy: leave it out, and use \
             status.endpoints.copies"
        );
        findings.add("spec.listener.service", message);
    }
    let image = image::choice(image.as_ref(), findings);
    let volume = volume(storage, findings);
    let pod_template = pod_template::parse(pod_template.as_ref(), listener.port, findings);
    let defaults = namespaces::defaults(namespace_defaults, findings);
    let namespaces = namespaces::declared(namespace_defaults, namespaces, findings);
    Some(ValidatedStore {
        metadata,
        mode: mode(*paused, *stopped),
        copies: *copies,
        image: image?,
        volume: volume?,
        port: listener.port,
        service: listener.service.clone().unwrap_or_default(),
        pod_template: pod_template?,
        defaults,
        namespaces,
    })
}

/// Who pauses wants nothing changed, and so not stopped either.
fn mode(paused: bool, stopped: bool) -> Mode {
    match (paused, stopped) {
        (true, _) => Mode::Paused,
        (false, true) => Mode::Stopped,
        (false, false) => Mode::Running,
    }
}

fn volume(storage: &Storage, findings: &mut Findings) -> Option<Volume> {
    let Storage { size: text, storage_class_name, when_deleted } = storage;
    let size = VolumeSize::parse(text);
    if size.is_none() {
        let message =
            format!("{text:?} is no size; give a quantity from 1Mi to 1Ei, for example 10Gi: is the unit missing?");
        findings.add("spec.storage.size", message);
    }
    Some(Volume { size: size?, class: storage_class_name.clone(), when_deleted: *when_deleted })
}

#[cfg(test)]
mod tests;
