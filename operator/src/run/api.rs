//! Every write to the API server, and the few reads that caches cannot answer. What is refused becomes an obstacle of the
//! pass, with what to do about it.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{
    DeleteParams, DynamicObject, EvictParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use kube::core::ApiResource;
use kube::{Api, Client, Resource};
use logstore_client::error::chain;
use logstore_crds::{LogStore, LogStoreStatus};
use serde_json::{Value, json};
use std::sync::Arc;

use super::claims::{ClaimAct, ClaimStep};
use super::metrics::{CallLabels, Metrics};
use super::resource::StoredObject;
use crate::build::{Child, Fingerprint};
use crate::conditions::Stalled;
use crate::status::Obstacle;

/// The name under which fields are owned.
pub const FIELD_MANAGER: &str = "logstore-operator";
/// On a child: stands for what was applied.
pub const APPLIED_ANNOTATION: &str = "logstore.dev/applied";

/// Calls to the API server.
#[derive(Clone)]
pub struct ApiServer {
    client: Client,
    metrics: Arc<Metrics>,
}

/// What became of a pod that was to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// It goes.
    Granted,
    /// A budget stands against it.
    Refused,
}

impl ApiServer {
    /// For this client.
    #[must_use]
    pub fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Self { client, metrics }
    }

    /// The metadata of the object that has a child's name; none where there is none.
    ///
    /// # Errors
    /// What stands against it.
    pub async fn existing(&self, namespace: &str, child: Child<'_>) -> Result<Option<ObjectMeta>, Obstacle> {
        let id = child.id();
        let found = self.api(namespace, &resource(child)).get_metadata_opt(&id.name).await;
        let found = self.counted("get", &resource(child).plural, found);
        found.map(|found| found.map(|found| found.metadata)).map_err(|error| refused(&format!("read {id}"), &error))
    }

    /// Makes a child as it should be, and tells the version that it has then. Without `force`, a field that somebody else
    /// owns stands against it.
    ///
    /// # Errors
    /// What stands against it.
    pub async fn apply(&self, namespace: &str, child: Child<'_>, force: bool) -> Result<Option<String>, Obstacle> {
        let id = child.id();
        let params = PatchParams { force, ..PatchParams::apply(FIELD_MANAGER) };
        let applied =
            self.api(namespace, &resource(child)).patch(&id.name, &params, &Patch::Apply(marked(child))).await;
        let applied = self.counted("apply", &resource(child).plural, applied);
        applied.map(|object| object.metadata.resource_version).map_err(|error| match (&error, child) {
            // Of these nothing comes out of the spec as it was written, so somebody has changed them by hand.
            (
                kube::Error::Api(status),
                Child::ServiceAccount(_) | Child::ConfigMap(_) | Child::PodDisruptionBudget(_),
            ) if status.code == 422 => {
                let why = format!("failed to apply {id}: {}; delete it, and it is made anew", status.message);
                Obstacle::lasting(Stalled::ForeignObject, why)
            }
            _ => refused(&format!("apply {id}"), &error),
        })
    }

    /// Does a step with a claim, or only tries whether it may be done.
    ///
    /// # Errors
    /// What stands against it.
    pub async fn claim(&self, namespace: &str, step: &ClaimStep, dry_run: bool) -> Result<(), Obstacle> {
        let ClaimStep { metadata: ObjectMeta { name, uid, resource_version, owner_references, .. }, act } = step;
        let is_owned = owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
        let name = name.as_deref().unwrap_or_default();
        let patch = match act {
            ClaimAct::Grow(size) => {
                json!({"metadata": {"uid": uid}, "spec": {"resources": {"requests": {"storage": size.to_string()}}}})
            }
            ClaimAct::Own(owners) => {
                json!({"metadata": {"uid": uid, "resourceVersion": resource_version, "ownerReferences": owners}})
            }
        };
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched =
            self.counted("patch", "persistentvolumeclaims", api.patch(name, &params, &Patch::Merge(patch)).await);
        patched.map(|_| ()).map_err(|error| match act {
            ClaimAct::Grow(size) if cannot_expand(&error) => Obstacle::lasting(
                Stalled::StorageClassNotExpandable,
                format!(
                    "claim {name} cannot grow to {size}: {}; let the storage class expand volumes \
                     (allowVolumeExpansion), or delete the LogStore and apply it with the old size: {}",
                    said(&error),
                    if is_owned {
                        "set storage.whenDeleted to Retain first, or the data goes with it"
                    } else {
                        "its claims stay"
                    }
                ),
            ),
            _ => refused(&format!("change PersistentVolumeClaim {name}"), &error),
        })
    }

    /// Whether there is a pod of this name, and whose it is.
    ///
    /// # Errors
    /// What stands against it.
    pub async fn existing_pod(&self, namespace: &str, name: &str) -> Result<Option<ObjectMeta>, Obstacle> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let found = self.counted("get", "pods", api.get_metadata_opt(name).await);
        found
            .map(|found| found.map(|found| found.metadata))
            .map_err(|error| refused(&format!("read Pod {name}"), &error))
    }

    /// Whether there is a claim of this name, and whose it is.
    ///
    /// # Errors
    /// What stands against it.
    pub async fn existing_claim(&self, namespace: &str, name: &str) -> Result<Option<ObjectMeta>, Obstacle> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let found = self.counted("get", "persistentvolumeclaims", api.get_metadata_opt(name).await);
        found
            .map(|found| found.map(|found| found.metadata))
            .map_err(|error| refused(&format!("read PersistentVolumeClaim {name}"), &error))
    }

    /// Deletes a StatefulSet and lets its pods run on, for the next one to take up.
    ///
    /// # Errors
    /// What stands against it.
    pub async fn let_go(&self, namespace: &str, metadata: &ObjectMeta) -> Result<(), Obstacle> {
        let name = metadata.name.as_deref().unwrap_or_default();
        let api: Api<StatefulSet> = Api::namespaced(self.client.clone(), namespace);
        let params = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..this_very(metadata) };
        let deleted = self.counted("delete", "statefulsets", api.delete(name, &params).await);
        deleted.map(|_| ()).map_err(|error| refused(&format!("make StatefulSet {name} anew"), &error))
    }

    /// Deletes a pod that serves nobody.
    ///
    /// # Errors
    /// What stands against it.
    pub async fn delete_pod(&self, namespace: &str, metadata: &ObjectMeta) -> Result<(), Obstacle> {
        let name = metadata.name.as_deref().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let deleted = self.counted("delete", "pods", api.delete(name, &this_very(metadata)).await);
        gone(deleted.map(|_| ())).map_err(|error| refused(&format!("delete pod {name}"), &error))
    }

    /// Evicts a pod that serves, so that disruption budgets are kept.
    ///
    /// # Errors
    /// What stands against it.
    pub async fn evict_pod(&self, namespace: &str, metadata: &ObjectMeta) -> Result<Eviction, Obstacle> {
        let name = metadata.name.as_deref().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = EvictParams {
            delete_options: Some(this_very(metadata)),
            post_options: PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() },
        };
        let evicted = self.counted("evict", "pods", api.evict(name, &params).await);
        match evicted.map(|_| ()) {
            Err(kube::Error::Api(status)) if status.code == 429 => Ok(Eviction::Refused),
            outcome => {
                gone(outcome).map(|()| Eviction::Granted).map_err(|error| refused(&format!("evict pod {name}"), &error))
            }
        }
    }

    /// Writes a status, and tells the version that the object has then; none where it is gone.
    ///
    /// # Errors
    /// Why it could not be written.
    pub async fn write_status(
        &self,
        object: &StoredObject,
        status: &LogStoreStatus,
    ) -> Result<Option<String>, Obstacle> {
        let ObjectMeta { name, namespace, .. } = &object.metadata;
        let name = name.as_deref().unwrap_or_default();
        let api: Api<StoredObject> = Api::namespaced(self.client.clone(), namespace.as_deref().unwrap_or_default());
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let document = json!({
            "apiVersion": LogStore::api_version(&()),
            "kind": LogStore::kind(&()),
            "metadata": {"name": name, "uid": object.metadata.uid},
            "status": status,
        });
        let written =
            self.counted("apply", "logstores/status", api.patch_status(name, &params, &Patch::Apply(document)).await);
        match written {
            Ok(written) => Ok(written.metadata.resource_version),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(None),
            // An API server that knows an older definition answers so to a field that it does not know.
            Err(kube::Error::Api(status)) if status.code == 500 => Err(Obstacle::passing(format!(
                "failed to write the status: {}; if the definition is of an older release, run logstore-operator crd apply",
                status.message
            ))),
            Err(error) => Err(refused("write the status", &error)),
        }
    }

    fn api(&self, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }

    fn counted<T>(&self, verb: &'static str, resource: &str, answer: Result<T, kube::Error>) -> Result<T, kube::Error> {
        let labels = CallLabels { resource: resource.to_owned(), verb, outcome: outcome(&answer) };
        self.metrics.calls.get_or_create(&labels).inc();
        answer
    }
}

fn resource(child: Child<'_>) -> ApiResource {
    match child {
        Child::ServiceAccount(_) => ApiResource::erase::<ServiceAccount>(&()),
        Child::ConfigMap(_) => ApiResource::erase::<ConfigMap>(&()),
        Child::Service(_) => ApiResource::erase::<Service>(&()),
        Child::PodDisruptionBudget(_) => ApiResource::erase::<PodDisruptionBudget>(&()),
        Child::StatefulSet(..) => ApiResource::erase::<StatefulSet>(&()),
    }
}

/// A child with the mark by which it is known later that it was applied so.
fn marked(child: Child<'_>) -> Value {
    // Kubernetes objects have text keys and finite numbers: they always have a JSON form.
    let mut object = serde_json::to_value(child).unwrap_or_default();
    object["metadata"]["annotations"][APPLIED_ANNOTATION] = Fingerprint::of(&child).to_string().into();
    object
}

/// Only this object, not another one that has its name by now.
fn this_very(metadata: &ObjectMeta) -> DeleteParams {
    let preconditions = Preconditions { uid: metadata.uid.clone(), resource_version: None };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
}

/// What is gone, or another one by now, need not go.
fn gone(outcome: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match outcome {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        outcome => outcome,
    }
}

fn outcome<T>(answer: &Result<T, kube::Error>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(kube::Error::Api(status)) => match status.code {
            403 => "forbidden",
            404 => "not_found",
            409 => "conflict",
            422 => "invalid",
            429 => "too_many_requests",
            _ => "error",
        },
        Err(_) => "error",
    }
}

fn cannot_expand(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if matches!(status.code, 403 | 422) && !is_rbac(&status.message) && !is_quota(&status.message))
}

/// What an API server says where a role lacks a rule.
fn is_rbac(message: &str) -> bool {
    message.contains("cannot ") && message.contains(" in API group ")
}

fn is_quota(message: &str) -> bool {
    message.contains("exceeded quota")
}

/// What the API server said, or why it said nothing. The error's own text has the answer's whole structure in it.
#[must_use]
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => chain(error),
    }
}

/// An answer of the API server that a pass could not go on with.
fn refused(what: &str, error: &kube::Error) -> Obstacle {
    let kube::Error::Api(status) = error else {
        return Obstacle::passing(format!("failed to {what}: {}", said(error)));
    };
    let why = format!("failed to {what}: {}", status.message);
    match status.code {
        403 if is_quota(&status.message) => {
            Obstacle::lasting(Stalled::QuotaExceeded, format!("{why}; raise the quota, or ask for less"))
        }
        403 => Obstacle::lasting(Stalled::Forbidden, format!("{why}; give the operator's role what the chart's has")),
        422 => Obstacle::lasting(Stalled::InvalidSpec, format!("{why}; mend the field of the spec that it comes from")),
        _ => Obstacle::passing(why),
    }
}
