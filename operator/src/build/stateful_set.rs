//! The store of one copy: a StatefulSet with one pod, which passes the restricted Pod Security Standard.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, HTTPGetAction, LocalObjectReference,
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    ResourceRequirements, SeccompProfile, SecurityContext, Sysctl, TopologySpreadConstraint, Volume, VolumeMount,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use logstore_crds::log_store::ADMIN_PORT;

use super::metadata::{copy_labels, copy_selector, label_selector, metadata, store_selector};
use super::{CopyName, Fingerprint, Surroundings, config_map, service, service_account};
use crate::validate::{Mode, ValidatedStore};

/// The container in which a store runs.
pub const CONTAINER: &str = "store";
/// Name of the port of the HTTP API.
pub const HTTP_PORT_NAME: &str = "http";
/// Argument that names the data directory.
pub const ROOT_ARGUMENT: &str = "--root";
/// Argument that gives the address of the HTTP API.
pub const LISTEN_ARGUMENT: &str = "--listen";
/// Argument that gives the address of health checks and metrics.
pub const ADMIN_ARGUMENT: &str = "--admin";
/// Argument that names the configuration file.
pub const CONFIG_ARGUMENT: &str = "--config";

/// Name of the port of health checks and metrics.
pub const ADMIN_PORT_NAME: &str = "admin";
/// The volume of the claim.
pub const DATA_VOLUME: &str = "data";
/// Where the data is in a pod.
pub const DATA_DIR: &str = "/data";
/// The volume of the configuration.
pub const CONFIG_VOLUME: &str = "config";
/// Where the configuration is in a pod.
pub const CONFIG_DIR: &str = "/etc/logstore";
/// The user of the image, and the group that the volume is given to.
const USER: i64 = 65532;
/// Below it, ports are for root on Linux.
const FIRST_FREE_PORT: u16 = 1024;
/// A store drains, syncs and ends well within this.
const GRACE_SECONDS: i64 = 30;
/// In the template: stands for the configuration that is read only at the start.
const CONFIG_ANNOTATION: &str = "logstore.dev/restart-config";

/// Name of a copy's StatefulSet.
#[must_use]
pub fn name(store: &ValidatedStore, copy: CopyName) -> String {
    format!("{}-{copy}", store.name())
}

/// Name of a copy's pod.
#[must_use]
pub fn pod_name(store: &ValidatedStore, copy: CopyName) -> String {
    format!("{}-0", name(store, copy))
}

/// Name of a copy's claim, as the StatefulSet controller makes it.
#[must_use]
pub fn claim_name(store: &ValidatedStore, copy: CopyName) -> String {
    format!("{DATA_VOLUME}-{}", pod_name(store, copy))
}

/// Where a copy's store is reached from inside the cluster.
#[must_use]
pub fn url(store: &ValidatedStore, copy: CopyName) -> String {
    let (pod, service) = (pod_name(store, copy), service::headless_name(store));
    format!("http://{pod}.{service}.{}.svc:{}", store.namespace(), store.port())
}

/// The StatefulSet of a copy.
#[must_use]
pub fn build(store: &ValidatedStore, copy: CopyName, surroundings: &Surroundings) -> StatefulSet {
    StatefulSet {
        metadata: ObjectMeta { labels: Some(copy_labels(store, copy)), ..metadata(store, name(store, copy)) },
        spec: StatefulSetSpec {
            replicas: Some(if store.mode() == Mode::Stopped { 0 } else { 1 }),
            service_name: Some(service::headless_name(store)),
            selector: label_selector(copy_selector(store, copy)),
            // Ordered pods would wait for ever behind one with a bad image.
            pod_management_policy: Some("Parallel".to_owned()),
            // The operator replaces pods itself: copy by copy, and those that are not ready first.
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some("Retain".to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }),
            template: template(store, copy, surroundings),
            volume_claim_templates: Some(vec![data_claim(store, copy)]),
            ..StatefulSetSpec::default()
        },
        ..StatefulSet::default()
    }
}

/// Stands for the pods' template, with everything of the `LogStore` and of its surroundings that is in it.
#[must_use]
pub fn template_fingerprint(store: &ValidatedStore, surroundings: &Surroundings) -> Fingerprint {
    let templates = CopyName::first(store.copies()).map(|copy| template(store, copy, surroundings));
    Fingerprint::of(&templates.collect::<Vec<_>>())
}

fn template(store: &ValidatedStore, copy: CopyName, surroundings: &Surroundings) -> PodTemplateSpec {
    let config = config_map::restart_fingerprint(&config_map::store_config(store)).to_string();
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(copy_labels(store, copy)),
            annotations: Some(BTreeMap::from([(CONFIG_ANNOTATION.to_owned(), config)])),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(store, surroundings)),
    };
    store.pod_template().merge_into(&mut template);
    template
}

fn pod(store: &ValidatedStore, surroundings: &Surroundings) -> PodSpec {
    PodSpec {
        containers: vec![container(store, surroundings)],
        service_account_name: Some(service_account::name(store)),
        automount_service_account_token: Some(false),
        // Variables for every Service of the namespace help nobody here, and are many in a large one.
        enable_service_links: Some(false),
        image_pull_secrets: pull_secrets(store),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            // A volume with many segments would take minutes to walk at each start.
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            sysctls: low_port(store),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        topology_spread_constraints: Some(vec![
            spread(store, "topology.kubernetes.io/zone"),
            spread(store, "kubernetes.io/hostname"),
        ]),
        volumes: Some(vec![Volume {
            name: CONFIG_VOLUME.to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: config_map::name(store),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        }]),
        ..PodSpec::default()
    }
}

/// Who is not root may not listen on the first ports, unless its network says that none of them is special.
fn low_port(store: &ValidatedStore) -> Option<Vec<Sysctl>> {
    let name = "net.ipv4.ip_unprivileged_port_start".to_owned();
    (store.port() < FIRST_FREE_PORT).then(|| vec![Sysctl { name, value: "0".to_owned() }])
}

fn pull_secrets(store: &ValidatedStore) -> Option<Vec<LocalObjectReference>> {
    let secrets = &store.image().pull_secrets;
    let reference = |name: &String| LocalObjectReference { name: name.clone() };
    (!secrets.is_empty()).then(|| secrets.iter().map(reference).collect())
}

/// Copies stay apart where there is room, and run side by side where there is not.
fn spread(store: &ValidatedStore, topology_key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(label_selector(store_selector(store))),
        ..TopologySpreadConstraint::default()
    }
}

fn container(store: &ValidatedStore, surroundings: &Surroundings) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(store.image().over(&surroundings.image)),
        image_pull_policy: store.image().pull_policy.map(|policy| format!("{policy:?}")),
        command: Some(vec!["logstore".to_owned(), "serve".to_owned()]),
        args: Some(arguments(store)),
        ports: Some(vec![port(HTTP_PORT_NAME, store.port()), port(ADMIN_PORT_NAME, ADMIN_PORT)]),
        liveness_probe: Some(Probe { period_seconds: Some(10), failure_threshold: Some(6), ..probe("/livez") }),
        readiness_probe: Some(Probe { period_seconds: Some(2), failure_threshold: Some(2), ..probe("/readyz") }),
        // Without a request, a node that is short of memory ends this pod first.
        resources: Some(ResourceRequirements {
            requests: Some(BTreeMap::from([
                ("cpu".to_owned(), Quantity("10m".to_owned())),
                ("memory".to_owned(), Quantity("64Mi".to_owned())),
            ])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![mount(DATA_VOLUME, DATA_DIR, None), mount(CONFIG_VOLUME, CONFIG_DIR, Some(true))]),
        ..Container::default()
    }
}

fn arguments(store: &ValidatedStore) -> Vec<String> {
    let listen = format!("[::]:{}", store.port());
    let admin = format!("[::]:{ADMIN_PORT}");
    let config = format!("{CONFIG_DIR}/{}", config_map::FILE);
    let pairs = [
        (ROOT_ARGUMENT, DATA_DIR.to_owned()),
        (LISTEN_ARGUMENT, listen),
        (ADMIN_ARGUMENT, admin),
        (CONFIG_ARGUMENT, config),
    ];
    pairs.into_iter().flat_map(|(argument, value)| [argument.to_owned(), value]).collect()
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort { name: Some(name.to_owned()), container_port: i32::from(number), ..ContainerPort::default() }
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ADMIN_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

fn mount(volume: &str, path: &str, read_only: Option<bool>) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), read_only, ..VolumeMount::default() }
}

fn data_claim(store: &ValidatedStore, copy: CopyName) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(DATA_VOLUME.to_owned()),
            labels: Some(copy_labels(store, copy)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            storage_class_name: store.volume().class.clone(),
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(store.volume().size.to_string()))])),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
