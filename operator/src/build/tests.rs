//! Single facts on the children; the whole objects are compared in `tests/plan.rs`.

use k8s_openapi::api::core::v1::PodSpec;
use logstore_api::config::StoreConfig;

use super::*;
use crate::test_support::{self, store, store_with};

fn children(spec: &str) -> Children<Desired> {
    test_support::children(&store(spec))
}

fn pod(children: &Children<Desired>) -> &PodSpec {
    children.stateful_sets.values().next().unwrap().spec.template.spec.as_ref().unwrap()
}

fn config(children: &Children<Desired>) -> StoreConfig {
    serde_json::from_str(&children.config_map.data.as_ref().unwrap()[config_map::FILE]).unwrap()
}

#[test]
fn each_copy_has_a_stateful_set_and_only_a_single_copy_a_client_service() {
    let names = |children: &Children<Desired>| -> Vec<String> {
        children.in_apply_order().iter().map(|child| child.id().to_string()).collect()
    };
    assert_eq!(
        names(&children("")),
        [
            "ServiceAccount events",
            "ConfigMap events",
            "Service events-headless",
            "Service events",
            "StatefulSet events-a"
        ]
    );
    assert_eq!(
        names(&children("copies: 3"))[3..],
        ["PodDisruptionBudget events", "StatefulSet events-a", "StatefulSet events-b", "StatefulSet events-c"]
    );
}

#[test]
fn several_copies_are_ordered_by_a_writer_and_one_is_not() {
    assert_eq!(config(&children("")), default_config(false, true));
    assert_eq!(config(&children("copies: 2")), default_config(true, false));
}

/// The store's own defaults, with what the definition fills in.
fn default_config(ordered: bool, auto_create: bool) -> StoreConfig {
    let mut config = StoreConfig { ordered, auto_create, ..StoreConfig::default() };
    config.namespace_defaults.rotation.max_segment_bytes = Some(logstore_api::limits::SEGMENT_BYTES_DEFAULT);
    config
}

/// A change that a running store takes up must not cost a restart.
#[test]
fn defaults_of_namespaces_leave_the_pod_template_alone() {
    let (before, after) = (children(""), children("namespaceDefaults: {durability: Written}, namespaces: [{name: a}]"));
    assert_ne!(before.config_map, after.config_map);
    assert_eq!(before.stateful_sets, after.stateful_sets);
}

#[test]
fn names_stay_within_what_kubernetes_allows() {
    let longest = test_support::document("", "copies: 5").replace("name: events", &format!("name: {}", "n".repeat(40)));
    let children = test_support::children(&crate::validate::text(&longest).unwrap());
    for child in children.in_apply_order() {
        let ChildId { kind, name } = child.id();
        // A pod's name is its StatefulSet's with a number; a controller's revision adds eleven characters to that.
        assert!(name.len() + "-0".len() + 11 <= 63, "{kind} {name}");
    }
}

#[test]
fn an_object_of_a_cluster_owns_its_children() {
    let store = store_with("uid: 5d1f, namespace: prod", "");
    for child in test_support::children(&store).in_apply_order() {
        let metadata = serde_json::to_value(child).unwrap()["metadata"].take();
        assert_eq!(metadata["namespace"], "prod");
        assert_eq!(metadata["ownerReferences"][0]["uid"], "5d1f");
        assert_eq!(metadata["ownerReferences"][0]["controller"], true);
    }
    let unstored = children("");
    assert_eq!(unstored.config_map.metadata.owner_references, None, "nothing can own before it is stored");
}

/// What the claim holds must outlive the pod and the resource; whoever wants it gone says so elsewhere.
#[test]
fn claims_are_not_owned_by_the_resource() {
    let store = store_with("uid: 5d1f", "");
    let children = test_support::children(&store);
    let claims = children.stateful_sets.values().next().unwrap().spec.volume_claim_templates.clone().unwrap();
    assert!(claims.iter().all(|claim| claim.metadata.owner_references.is_none()));
}

#[test]
fn pods_meet_the_restricted_security_standard() {
    let children = children("copies: 2");
    let pod = pod(&children);
    let context = pod.security_context.as_ref().unwrap();
    assert_eq!((context.run_as_non_root, context.run_as_user), (Some(true), Some(65532)));
    assert_eq!(context.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    for container in &pod.containers {
        let context = container.security_context.as_ref().unwrap();
        assert_eq!((context.allow_privilege_escalation, context.read_only_root_filesystem), (Some(false), Some(true)));
        assert_eq!(context.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
    }
    assert_eq!(pod.automount_service_account_token, Some(false));
    assert_eq!(children.service_account.automount_service_account_token, Some(false));
}

#[test]
fn the_port_is_the_same_everywhere() {
    let children = children("listener: {port: 9000}");
    let container = &pod(&children).containers[0];
    assert!(container.args.as_ref().unwrap().windows(2).any(|pair| pair == ["--listen", "[::]:9000"]));
    assert_eq!(container.ports.as_ref().unwrap()[0].container_port, 9000);
    for service in [Some(&children.headless_service), children.client_service.as_ref()] {
        assert_eq!(service.unwrap().spec.as_ref().unwrap().ports.as_ref().unwrap()[0].port, 9000);
    }
    let store = store_with("namespace: prod", "listener: {port: 9000}");
    let copy = CopyName::first(1).next().unwrap();
    assert_eq!(stateful_set::url(&store, copy), "http://events-a-0.events-headless.prod.svc:9000");
}

/// A store that is not root could not listen there, and crashed again and again.
#[test]
fn the_first_ports_are_opened_to_who_is_not_root() {
    let sysctls = |spec: &str| pod(&children(spec)).security_context.clone().unwrap().sysctls;
    let opened = sysctls("listener: {port: 80}").unwrap();
    assert_eq!((opened[0].name.as_str(), opened[0].value.as_str()), ("net.ipv4.ip_unprivileged_port_start", "0"));
    assert_eq!(sysctls("listener: {port: 1024}"), None);
}

#[test]
fn selectors_find_the_pods_and_copies_do_not_find_each_other() {
    let children = children("copies: 2");
    let labels = |stateful_set: &StatefulSet| stateful_set.spec.template.metadata.clone().unwrap().labels.unwrap();
    let selects = |selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>| {
        selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    let [a, b] = children.stateful_sets.values().collect::<Vec<_>>()[..] else { panic!() };
    let own = a.spec.selector.match_labels.clone().unwrap();
    assert!(selects(&own, &labels(a)) && !selects(&own, &labels(b)));
    let all = children.headless_service.spec.clone().unwrap().selector.unwrap();
    assert!(selects(&all, &labels(a)) && selects(&all, &labels(b)));
    let budget = children.disruption_budget.unwrap().spec.unwrap().selector.unwrap().match_labels.unwrap();
    assert!(selects(&budget, &labels(a)) && selects(&budget, &labels(b)));
}

#[test]
fn namespaces_carry_the_mark_of_their_declaration() {
    let store = store("namespaces: [{name: orders, whenRemoved: Delete}]");
    let desired = namespaces::build(&store, "prod", 7);
    assert_eq!((desired.owner.as_str(), desired.revision), ("prod/events", 7));
    let mark = &desired.namespaces["orders"].ownership;
    assert_eq!((mark.owner.as_str(), mark.revision), ("prod/events", 7));
    assert_eq!(mark.when_removed, logstore_api::namespace::WhenRemoved::Delete);
}
