//! Names in the network: one for each pod, and one for clients where a single store is all there is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use logstore_crds::ListenerService;

use super::CopyName;
use super::metadata::{copy_selector, metadata, store_selector};
use super::stateful_set::HTTP_PORT_NAME;
use crate::validate::ValidatedStore;

/// Name of the headless Service, which is also the last part of each pod's name in the network.
#[must_use]
pub fn headless_name(store: &ValidatedStore) -> String {
    format!("{}-headless", store.name())
}

/// The Service that gives each pod a name.
#[must_use]
pub fn headless(store: &ValidatedStore) -> Service {
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        // A store that is not ready must be reached too: to give it its namespaces, and to see why it is not.
        publish_not_ready_addresses: Some(true),
        ..spec(store)
    };
    Service { metadata: metadata(store, headless_name(store)), spec: Some(spec), ..Service::default() }
}

/// The Service for clients. With several copies there is none: one that picks a copy would give appends to a store that
/// must refuse them, and reads of one moment from different copies.
#[must_use]
pub fn client(store: &ValidatedStore) -> Option<Service> {
    (store.copies() == 1).then(|| {
        let ListenerService { kind, annotations, labels, ip_family_policy } = store.client_service();
        let spec = ServiceSpec {
            type_: Some(format!("{kind:?}")),
            ip_family_policy: ip_family_policy.map(|policy| format!("{policy:?}")),
            // The one copy: of a LogStore that had more, pods may be left.
            selector: CopyName::first(1).next().map(|copy| copy_selector(store, copy)),
            ..spec(store)
        };
        let mut metadata = metadata(store, client_name(store));
        // The operator's own labels, by which it knows its objects, count before the user's.
        let own = metadata.labels.take().unwrap_or_default();
        metadata.labels = Some(labels.clone().into_iter().chain(own).collect());
        metadata.annotations = (!annotations.is_empty()).then(|| annotations.clone());
        Service { metadata, spec: Some(spec), ..Service::default() }
    })
}

/// Name of the Service for clients.
#[must_use]
pub fn client_name(store: &ValidatedStore) -> String {
    store.name().to_owned()
}

/// Where clients reach a LogStore with one copy, from inside the cluster.
#[must_use]
pub fn client_url(store: &ValidatedStore) -> Option<String> {
    let name = client_name(store);
    (store.copies() == 1).then(|| format!("http://{name}.{}.svc:{}", store.namespace(), store.port()))
}

fn spec(store: &ValidatedStore) -> ServiceSpec {
    let selector: BTreeMap<String, String> = store_selector(store);
    ServiceSpec {
        selector: Some(selector),
        ports: Some(vec![ServicePort {
            name: Some(HTTP_PORT_NAME.to_owned()),
            port: i32::from(store.port()),
            target_port: Some(IntOrString::String(HTTP_PORT_NAME.to_owned())),
            ..ServicePort::default()
        }]),
        ..ServiceSpec::default()
    }
}
