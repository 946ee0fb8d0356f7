//! What may happen now, in order: a pure function of what should be and what is.
//!
//! Two stages, never mixed. As long as children differ from what was applied, they are applied. Then pods that run an
//! old template are replaced: those that are not ready at once, since nobody loses anything; the others copy by copy,
//! each only while all its siblings are ready. Nothing waits here: what may not happen yet is held, with its reason,
//! and planned again when something has changed.

use std::collections::BTreeMap;
use std::fmt;

use crate::build::{Child, ChildId, Children, CopyName, Desired, Fingerprint};

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The children that were applied, and as what.
    pub children: BTreeMap<ChildId, Fingerprint>,
    /// The pods that there are.
    pub pods: BTreeMap<CopyName, ObservedPod>,
    /// What stands against taking away any pod that serves.
    pub hold: Option<Predicate>,
}

/// The pod of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedPod {
    /// Whether it was made from the template that is applied now.
    pub current: bool,
    /// Whether it serves.
    pub ready: bool,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'a> {
    /// Apply a child.
    Apply(Child<'a>),
    /// End a copy's pod, so that a new one is made from the template.
    ReplacePod(CopyName),
}

/// What may happen now, and what may not yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan<'a> {
    /// To be done in this order.
    pub steps: Vec<Step<'a>>,
    /// To be planned again later.
    pub held: Vec<Held>,
}

/// A pod with an old template that may not be replaced yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its copy.
    pub copy: CopyName,
    /// What it waits for.
    pub waits_for: Predicate,
}

/// What a replacement waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// This sibling serves.
    SiblingReady(CopyName),
    /// The cluster's disruption budgets let it go.
    Eviction,
    /// Every copy was asked and holds its namespaces: one that has lost its records must not cost the others theirs.
    Namespaces,
    /// Its claim is not being deleted: the data would go with the pod.
    Claim,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { copy, waits_for } = self;
        write!(f, "copy {copy} has an old template and is replaced when ")?;
        match waits_for {
            Predicate::SiblingReady(sibling) => write!(f, "copy {sibling} is ready"),
            Predicate::Eviction => f.write_str("a disruption budget lets its pod go"),
            Predicate::Namespaces => f.write_str("every copy holds its namespaces as declared"),
            Predicate::Claim => f.write_str("its claim is not being deleted any more"),
        }
    }
}

/// Decides what may happen now.
#[must_use]
pub fn plan<'a>(desired: &'a Children<Desired>, observed: &Observed) -> Plan<'a> {
    let apply = differing(desired, observed);
    if apply.is_empty() { rollout(desired, observed) } else { Plan { steps: apply, held: Vec::new() } }
}

fn differing<'a>(desired: &'a Children<Desired>, observed: &Observed) -> Vec<Step<'a>> {
    let differs = |child: &Child<'_>| observed.children.get(&child.id()) != Some(&child.fingerprint());
    desired.in_apply_order().into_iter().filter(differs).map(Step::Apply).collect()
}

fn rollout<'a>(desired: &Children<Desired>, observed: &Observed) -> Plan<'a> {
    let Observed { children: _, pods, hold } = observed;
    let is_old = |copy: &CopyName| pods.get(copy).is_some_and(|pod| !pod.current);
    let is_ready = |copy: &CopyName| pods.get(copy).is_some_and(|pod| pod.ready);
    let copies = || desired.stateful_sets.keys().copied();

    let stuck = copies().filter(|copy| is_old(copy) && !is_ready(copy));
    let mut plan = Plan { steps: stuck.map(Step::ReplacePod).collect(), held: Vec::new() };
    // Whoever is not ready, or is taken away by this very plan, holds the others.
    let mut away = copies().find(|copy| !is_ready(copy));
    for copy in copies().filter(|copy| is_old(copy) && is_ready(copy)) {
        match away.map(Predicate::SiblingReady).or(*hold) {
            Some(waits_for) => plan.held.push(Held { copy, waits_for }),
            None => {
                plan.steps.push(Step::ReplacePod(copy));
                away = Some(copy);
            }
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support;

    fn children(spec: &str) -> Children<Desired> {
        test_support::children(&test_support::store(spec))
    }

    fn observed(applied: &Children<Desired>, pods: &[(bool, bool)]) -> Observed {
        let pods = CopyName::first(5).zip(pods).map(|(copy, &(current, ready))| (copy, ObservedPod { current, ready }));
        let children = applied.in_apply_order().iter().map(|child| (child.id(), child.fingerprint())).collect();
        Observed { children, pods: pods.collect(), hold: None }
    }

    fn steps(plan: &Plan<'_>) -> Vec<String> {
        let step = |step: &Step<'_>| match step {
            Step::Apply(child) => child.id().to_string(),
            Step::ReplacePod(copy) => format!("replace {copy}"),
        };
        plan.steps.iter().map(step).collect()
    }

    fn rollout_of(pods: &[(bool, bool)]) -> (Vec<String>, Vec<String>) {
        let desired = children("copies: 3");
        let plan = plan(&desired, &observed(&desired, pods));
        (steps(&plan), plan.held.iter().map(|held| held.copy.to_string()).collect())
    }

    const CURRENT: (bool, bool) = (true, true);
    const STARTING: (bool, bool) = (true, false);
    const OLD: (bool, bool) = (false, true);
    const OLD_STUCK: (bool, bool) = (false, false);

    #[test]
    fn a_new_store_is_applied_in_order() {
        assert_eq!(
            steps(&plan(&children("copies: 2"), &Observed::default())),
            [
                "ServiceAccount events",
                "ConfigMap events",
                "Service events-headless",
                "PodDisruptionBudget events",
                "StatefulSet events-a",
                "StatefulSet events-b",
            ]
        );
        assert!(steps(&plan(&children("copies: 1"), &Observed::default())).contains(&"Service events".to_owned()));
    }

    #[test]
    fn a_settled_store_needs_nothing() {
        let desired = children("copies: 2");
        assert_eq!(plan(&desired, &observed(&desired, &[CURRENT, CURRENT])), Plan::default());
    }

    #[test]
    fn only_what_differs_is_applied_and_before_any_pod_goes() {
        let (before, after) = (children("copies: 2"), children("copies: 2, listener: {port: 9000}"));
        let plan = plan(&after, &observed(&before, &[OLD, OLD]));
        let expected = ["ConfigMap events", "Service events-headless", "StatefulSet events-a", "StatefulSet events-b"];
        assert_eq!(steps(&plan), expected);
    }

    #[test]
    fn defaults_of_namespaces_change_the_configuration_and_no_pod() {
        let (before, after) = (children("copies: 2"), children("copies: 2, namespaceDefaults: {durability: Written}"));
        assert_eq!(steps(&plan(&after, &observed(&before, &[CURRENT, CURRENT]))), ["ConfigMap events"]);
    }

    #[test]
    fn pods_are_replaced_copy_by_copy() {
        assert_eq!(rollout_of(&[OLD, OLD, OLD]), (vec!["replace a".into()], vec!["b".into(), "c".into()]));
        assert_eq!(rollout_of(&[STARTING, OLD, OLD]), (vec![], vec!["b".into(), "c".into()]));
        assert_eq!(rollout_of(&[CURRENT, OLD, OLD]), (vec!["replace b".into()], vec!["c".into()]));
        assert_eq!(rollout_of(&[CURRENT, CURRENT, OLD]), (vec!["replace c".into()], vec![]));
    }

    #[test]
    fn a_later_copy_that_is_down_holds_the_rollout() {
        assert_eq!(rollout_of(&[OLD, CURRENT, STARTING]), (vec![], vec!["a".into()]));
    }

    /// A template with a mistake must never stand in the way of the template that mends it.
    #[test]
    fn stuck_pods_are_replaced_first_and_all_at_once() {
        let (replaced, held) = rollout_of(&[OLD, OLD_STUCK, OLD_STUCK]);
        assert_eq!(replaced, ["replace b", "replace c"]);
        assert_eq!(held, ["a"]);
    }

    /// Copies whose claims had been deleted by mistake were replaced one by one, each when the empty one before it was ready.
    #[test]
    fn nothing_that_serves_goes_while_something_stands_against_it() {
        let desired = children("copies: 2");
        let observed = Observed { hold: Some(Predicate::Namespaces), ..observed(&desired, &[CURRENT, OLD]) };
        let plan = plan(&desired, &observed);
        assert!(plan.steps.is_empty());
        assert_eq!(plan.held.iter().map(|held| held.waits_for).collect::<Vec<_>>(), [Predicate::Namespaces]);
        let stuck = Observed {
            pods: [(CopyName::first(1).next().unwrap(), ObservedPod { current: false, ready: false })].into(),
            ..observed
        };
        assert_eq!(steps(&super::plan(&desired, &stuck)), ["replace a"], "what does not serve may go");
    }

    /// A pod that is not there is the StatefulSet's business.
    #[test]
    fn a_missing_pod_is_not_replaced_and_holds_the_others() {
        assert_eq!(rollout_of(&[]), (vec![], vec![]));
        assert_eq!(rollout_of(&[OLD, CURRENT]), (vec![], vec!["a".into()]));
    }
}
