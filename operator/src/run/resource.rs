//! A `LogStore` as it is watched: any object of its kind, whatever is in it. One that cannot be read must become a
//! condition of its own, not the end of the watch over all others.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::ObjectRef;
use logstore_crds::{LogStore, LogStoreStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An object of the kind `LogStore`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredObject {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl StoredObject {
    /// The whole object, as [`crate::validate::object`] reads it.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut document = self.rest.clone();
        // Items of a list carry neither.
        document.insert("apiVersion".to_owned(), Self::api_version(&()).into());
        document.insert("kind".to_owned(), Self::kind(&()).into());
        document.insert("metadata".to_owned(), serde_json::to_value(&self.metadata).unwrap_or_default());
        Value::Object(document)
    }

    /// The status that was written last; none where it cannot be read, so that it is written anew.
    #[must_use]
    pub fn status(&self) -> Option<LogStoreStatus> {
        serde_json::from_value(self.rest.get("status")?.clone()).ok()
    }

    /// Whether its spec asks for a pause, whatever else is in it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.rest.get("spec").and_then(|spec| spec.get("paused")) == Some(&Value::Bool(true))
    }

    /// Its generation.
    #[must_use]
    pub fn generation(&self) -> Option<i64> {
        self.metadata.generation
    }
}

/// A `LogStore` as the log names it.
#[must_use]
pub fn shown(reference: &ObjectRef<StoredObject>) -> String {
    let ObjectRef { name, namespace, .. } = reference;
    format!("LogStore {}/{name}", namespace.as_deref().unwrap_or_default())
}

impl Resource for StoredObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        LogStore::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        LogStore::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        LogStore::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        LogStore::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
