//! What the pods of a `LogStore` tell: which of them run what they should, which serve, and what is wrong with the rest.
//! Pure. Texts carry neither times nor counts, because each change of them would be a write.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod, PodStatus};

use super::observe::Observation;
use crate::build::CopyName;
use crate::build::stateful_set::{self, CONTAINER};
use crate::conditions::Stalled;
use crate::plan::ObservedPod;
use crate::status::{CopyFacts, Lasting, Trouble};
use crate::validate::ValidatedStore;

/// The pods as the plan sees them. Until a StatefulSet's controller has taken up its last template, its pods count as
/// current: which of them are not cannot be told yet.
#[must_use]
pub fn observed(observation: &Observation) -> BTreeMap<CopyName, ObservedPod> {
    let observed = |(copy, pod): (&CopyName, &std::sync::Arc<Pod>)| {
        let revision = observation.stateful_sets.get(copy).and_then(|found| revision(found));
        let is_leaving = is_leaving(pod);
        let current = is_leaving || revision.is_none_or(|revision| runs(pod, revision));
        (*copy, ObservedPod { current, ready: is_ready(pod) && !is_leaving })
    };
    observation.pods.iter().map(observed).collect()
}

/// What the status says of each copy. Of those whose StatefulSet was `changed` since it was observed, it is not known yet
/// whether their pods run what they should.
#[must_use]
pub fn facts(store: &ValidatedStore, observation: &Observation, changed: &BTreeSet<CopyName>) -> Vec<CopyFacts> {
    let facts = |copy| {
        let pod = observation.pods.get(&copy).map(std::convert::AsRef::as_ref);
        let revision = observation.stateful_sets.get(&copy).and_then(|found| revision(found));
        let revision = revision.filter(|_| !changed.contains(&copy));
        CopyFacts {
            copy,
            url: stateful_set::url(store, copy),
            is_running: pod.is_some(),
            is_ready: pod.is_some_and(|pod| is_ready(pod) && !is_leaving(pod)),
            is_current: revision.is_some_and(|revision| pod.is_some_and(|pod| runs(pod, revision))),
            trouble: pod.and_then(trouble),
        }
    };
    CopyName::first(store.copies()).map(facts).collect()
}

/// Where a ready pod is reached, and by what it is told from the next one with its name.
#[must_use]
pub fn serving(store: &ValidatedStore, observation: &Observation) -> BTreeMap<CopyName, Server> {
    let server = |(copy, pod): (&CopyName, &std::sync::Arc<Pod>)| {
        let ip = pod.status.as_ref()?.pod_ip.clone()?;
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip };
        let server = Server { url: format!("http://{host}:{}", store.port()), life: life(pod) };
        (is_ready(pod) && !is_leaving(pod)).then_some((*copy, server))
    };
    observation.pods.iter().filter_map(server).collect()
}

/// A pod that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its HTTP API, by address: its name is known to the cluster's DNS only a while later.
    pub url: String,
    /// The container that runs in it.
    pub life: String,
}

fn life(pod: &Pod) -> String {
    let container = container(pod).and_then(|status| status.container_id.clone()).unwrap_or_default();
    format!("{}/{container}", pod.metadata.uid.as_deref().unwrap_or_default())
}

/// The revision of the template that was applied last; none while the controller has not taken it up.
fn revision(stateful_set: &StatefulSet) -> Option<&str> {
    let status = stateful_set.status.as_ref()?;
    let is_taken_up = status.observed_generation >= stateful_set.metadata.generation;
    status.update_revision.as_deref().filter(|_| is_taken_up)
}

fn runs(pod: &Pod, revision: &str) -> bool {
    let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get("controller-revision-hash"));
    label.map(String::as_str) == Some(revision)
}

/// Whether it is on its way out.
#[must_use]
pub fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether it serves.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|(status, _)| status == "True")
}

fn condition<'a>(pod: &'a Pod, name: &str) -> Option<(&'a str, Option<&'a str>)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|condition| condition.type_ == name)?;
    Some((found.status.as_str(), found.message.as_deref()))
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == CONTAINER)
}

/// What is wrong with a pod; none while it is starting as it should.
fn trouble(pod: &Pod) -> Option<Trouble> {
    if is_leaving(pod) {
        return Some(Trouble::passing("its pod is being ended".to_owned()));
    }
    if is_ready(pod) {
        return None;
    }
    let status = pod.status.as_ref()?;
    if let Some(("False", message)) = condition(pod, "PodScheduled") {
        let why = message.unwrap_or("no node takes it");
        return Some(Trouble::passing(format!("its pod has no node: {why}")));
    }
    let containers = status.container_statuses.iter().flatten();
    let all = status.init_container_statuses.iter().flatten().filter(|status| !status.ready).chain(containers);
    all.filter_map(|container| container_trouble(pod, container)).next().or_else(|| evicted(status))
}

fn container_trouble(pod: &Pod, status: &ContainerStatus) -> Option<Trouble> {
    let state = status.state.as_ref()?;
    if let Some(ContainerStateWaiting { reason: Some(reason), message }) = &state.waiting
        && reason != "CrashLoopBackOff"
    {
        return waiting(status, reason, message.as_deref());
    }
    // Whether it has just ended, waits to be started or was started again: as long as it is not ready, the last end is
    // what there is to know. A text for each of these would be a write at each of them.
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = state.terminated.as_ref().or(last).filter(|_| !status.ready)?;
    Some(Trouble::passing(ended_so(pod, status, ended)))
}

fn waiting(status: &ContainerStatus, reason: &str, message: Option<&str>) -> Option<Trouble> {
    let said = || message.unwrap_or(reason).to_owned();
    let pull = |lasts| Some(Trouble { lasts, why: pull_failed(status, &said()) });
    match reason {
        "ContainerCreating" | "PodInitializing" => None,
        // The first failure may pass; the kubelet backs off after the second.
        "ErrImagePull" => pull(Lasting::IfSaidBefore(Stalled::ImagePullFailed)),
        "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError" => {
            pull(Lasting::Yes(Stalled::ImagePullFailed))
        }
        _ => Some(Trouble::passing(format!("container {}: {reason}: {}", status.name, said()))),
    }
}

/// While it backs off, the kubelet puts words before what it said first. Without them both texts are the same, and a retry
/// is no write.
fn pull_failed(status: &ContainerStatus, said: &str) -> String {
    let first = said.split_once("ErrImagePull: ").map_or(said, |(_, first)| first);
    format!(
        "image {} cannot be pulled: {first}; give spec.image one that can be had, or the cluster what it needs to pull it",
        status.image
    )
}

fn ended_so(pod: &Pod, status: &ContainerStatus, ended: &ContainerStateTerminated) -> String {
    let ContainerStateTerminated { exit_code, reason, .. } = ended;
    let (reason, pod) = (reason.as_deref().unwrap_or("Error"), pod.metadata.name.as_deref().unwrap_or_default());
    format!(
        "container {0} has ended with code {exit_code} ({reason}) and is started again; kubectl logs --previous {pod} \
         --container {0} tells why",
        status.name
    )
}

fn evicted(status: &PodStatus) -> Option<Trouble> {
    let is_evicted = status.reason.as_deref() == Some("Evicted");
    let why = || format!("its pod was evicted: {}", status.message.as_deref().unwrap_or_default());
    is_evicted.then(|| Trouble::passing(why()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &str) -> Pod {
        serde_saphyr::from_str(&format!("{{metadata: {{name: events-a-0}}, status: {status}}}")).unwrap()
    }

    fn why(status: &str) -> Option<(Lasting, String)> {
        trouble(&pod(status)).map(|Trouble { lasts, why }| (lasts, why))
    }

    fn waiting_for(reason: &str, message: &str) -> String {
        format!(
            "{{containerStatuses: [{{name: store, image: 'a:b', imageID: '', ready: false, restartCount: 0, \
             state: {{waiting: {{reason: {reason}, message: {message:?}}}}}}}]}}"
        )
    }

    #[test]
    fn a_starting_pod_is_no_trouble() {
        assert_eq!(why("{}"), None);
        assert_eq!(why(&waiting_for("ContainerCreating", "")), None);
    }

    /// One failed pull may be the network's; the kubelet's backing off says that it was more than one.
    #[test]
    fn an_image_that_cannot_be_pulled_waits_for_a_person_from_the_second_time_on() {
        let (first, said_first) = why(&waiting_for("ErrImagePull", "a:b: not found")).unwrap();
        assert_eq!(first, Lasting::IfSaidBefore(Stalled::ImagePullFailed));
        assert!(said_first.starts_with("image a:b cannot be pulled: a:b: not found; give spec.image"), "{said_first}");
        let message = "Back-off pulling image a:b: ErrImagePull: a:b: not found";
        let (again, said_again) = why(&waiting_for("ImagePullBackOff", message)).unwrap();
        assert_eq!((again, said_again), (Lasting::Yes(Stalled::ImagePullFailed), said_first));
    }

    #[test]
    fn a_pod_without_a_node_says_why() {
        let status =
            "{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/3 nodes'}]}";
        assert_eq!(why(status).unwrap().1, "its pod has no node: 0/3 nodes");
    }

    /// Each text of its own was a write: two for each crash, for as long as it crashes.
    #[test]
    fn a_loop_of_crashes_has_one_text() {
        let status = |state: &str, last: &str| {
            format!(
                "{{containerStatuses: [{{name: store, image: a, imageID: '', ready: false, restartCount: 4, \
                 state: {state}, lastState: {last}}}]}}"
            )
        };
        let ended = "{terminated: {exitCode: 1, reason: Error}}";
        let waits = why(&status("{waiting: {reason: CrashLoopBackOff, message: back-off 40s}}", ended)).unwrap().1;
        let runs = why(&status("{running: {}}", ended)).unwrap().1;
        let ends = why(&status(ended, "{}")).unwrap().1;
        assert_eq!((&waits, &waits), (&runs, &ends));
        let expected = "container store has ended with code 1 (Error) and is started again; kubectl logs --previous \
                        events-a-0 --container store tells why";
        assert_eq!(waits, expected);
    }
}
