//! Case by case: what is found on the copies, and what is asked of them.

use logstore_api::namespace::{Ownership, WhenRemoved};

use super::super::decide::{Act, Farewell, Verdict};
use super::*;

const X: Uuid = Uuid::from_u128(0xa);
const Y: Uuid = Uuid::from_u128(0xb);
const NEW: Birth = Birth { incarnation: Uuid::from_u128(0xc), salt: 5 };

/// One namespace `orders` on a copy.
#[derive(Clone)]
struct Orders(Seen);

fn orders(incarnation: Uuid) -> Orders {
    Orders(Seen {
        incarnation,
        state: NamespaceState::Active,
        owner: None,
        description: Description::Known {
            config: desired("[{name: orders}]", 0).namespaces["orders"].config.clone(),
            is_empty: true,
        },
    })
}

impl Orders {
    fn with_records(mut self) -> Self {
        if let Description::Known { is_empty, .. } = &mut self.0.description {
            *is_empty = false;
        }
        self
    }

    fn owned(mut self, owner: &str, revision: u64, when_removed: WhenRemoved) -> Self {
        self.0.owner = Some(Ownership { owner: owner.to_owned(), revision, when_removed });
        self
    }

    fn ours(self, revision: u64) -> Self {
        self.owned("local/events", revision, WhenRemoved::Retain)
    }

    fn described_as(mut self, description: Description) -> Self {
        self.0.description = description;
        self
    }

    fn closed(mut self) -> Self {
        self.0.state = NamespaceState::Closed;
        self
    }
}

fn views(copies: &[Option<Orders>]) -> BTreeMap<CopyName, View> {
    let view =
        |orders: &Option<Orders>| View::Seen(orders.iter().map(|orders| (name("orders"), orders.0.clone())).collect());
    copies.iter().enumerate().map(|(index, orders)| (copy(index), view(orders))).collect()
}

fn silent(mut views: BTreeMap<CopyName, View>, index: usize) -> BTreeMap<CopyName, View> {
    views.insert(copy(index), View::Silent("connection refused".to_owned()));
    views
}

fn decided(desired: &DesiredNamespaces, views: &BTreeMap<CopyName, View>) -> Decision {
    decide(desired, views, &mut || NEW)
}

/// What is asked, as `copy: act`.
fn asked(decision: &Decision) -> Vec<String> {
    let act = |act: &Act| match act {
        Act::Delete(incarnation) => format!("delete {}", incarnation.as_u128()),
        Act::Put(put) => {
            let internal = put.internal.as_ref().unwrap();
            let salt = if internal.salt.is_some() { " with salt" } else { "" };
            format!("put {} {:?}{salt}", internal.incarnation.as_u128(), put.config.state)
        }
    };
    decision.calls.iter().map(|call| format!("{}: {}", call.copy, act(&call.act))).collect()
}

fn declared_orders() -> DesiredNamespaces {
    desired("[{name: orders}]", 7)
}

#[test]
fn a_new_namespace_gets_one_life_on_all_copies() {
    let decision = decided(&declared_orders(), &views(&[None, None]));
    assert_eq!(asked(&decision), ["a: put 12 Active with salt", "b: put 12 Active with salt"]);
    assert_eq!(decision.declared[&name("orders")], Verdict::Follows);
    let Act::Put(put) = &decision.calls[0].act else { panic!("{decision:?}") };
    let internal = put.internal.clone().unwrap();
    assert_eq!(
        (internal.salt, internal.ownership.owner.as_str(), internal.ownership.revision),
        (Some(5), "local/events", 7)
    );
    assert!(decision.calls.iter().all(|call| call.act == decision.calls[0].act), "the same on every copy");
}

#[test]
fn nothing_is_created_while_a_copy_is_away() {
    let decision = decided(&declared_orders(), &silent(views(&[None, None]), 1));
    assert_eq!(asked(&decision), Vec::<String>::new());
    let Verdict::Waits(why) = &decision.declared[&name("orders")] else { panic!("{decision:?}") };
    assert_eq!(why, "copy b cannot be asked: connection refused");
}

#[test]
fn what_is_as_declared_is_left_alone() {
    let decision =
        decided(&declared_orders(), &views(&[Some(orders(X).ours(7)), Some(orders(X).ours(7).with_records())]));
    assert_eq!(asked(&decision), Vec::<String>::new());
    assert_eq!(decision.declared[&name("orders")], Verdict::Follows);
}

#[test]
fn another_configuration_or_mark_is_put_without_a_salt() {
    let declared = desired("[{name: orders, retention: {maxAgeSeconds: 60}}]", 7);
    let decision = decided(&declared, &views(&[Some(orders(X).ours(6)), Some(orders(X).ours(7))]));
    assert_eq!(asked(&decision), ["a: put 10 Active", "b: put 10 Active"]);
    let decision = decided(&declared_orders(), &views(&[Some(orders(X).ours(6)), Some(orders(X).ours(7))]));
    assert_eq!(asked(&decision), ["a: put 10 Active"], "only the mark of one is old");
}

#[test]
fn what_a_user_created_is_adopted_when_it_is_declared() {
    let decision =
        decided(&declared_orders(), &views(&[Some(orders(X).with_records()), Some(orders(X).with_records())]));
    assert_eq!(asked(&decision), ["a: put 10 Active", "b: put 10 Active"]);
}

#[test]
fn a_copy_that_is_away_does_not_hold_the_configuration_of_the_others() {
    let decision = decided(&declared_orders(), &silent(views(&[Some(orders(X).ours(6)), None]), 1));
    assert_eq!(asked(&decision), ["a: put 10 Active"]);
}

#[test]
fn a_half_done_creation_is_begun_anew() {
    for found in [[Some(orders(X).ours(7)), None], [Some(orders(X)), Some(orders(Y).ours(7))]] {
        let decision = decided(&declared_orders(), &views(&found));
        assert_eq!(asked(&decision), ["a: put 12 Active with salt", "b: put 12 Active with salt"]);
    }
}

#[test]
fn records_on_some_copies_only_are_never_put_at_risk() {
    let lost = [Some(orders(X).with_records()), None];
    let two_lives = [Some(orders(X).with_records()), Some(orders(Y))];
    for (found, says) in [
        (lost, "copy b does not have it"),
        (two_lives, "copy b holds incarnation 00000000-0000-0000-0000-00000000000b without records"),
    ] {
        let decision = decided(&declared_orders(), &views(&found));
        assert_eq!(asked(&decision), Vec::<String>::new());
        let Verdict::Conflicts(why) = &decision.declared[&name("orders")] else { panic!("{decision:?}") };
        assert!(why.contains("copy a holds incarnation 00000000-0000-0000-0000-00000000000a with records"), "{why}");
        assert!(why.contains(says) && why.contains("bring back"), "{why}");
    }
}

#[test]
fn nothing_is_decided_on_what_could_not_be_described() {
    let unknown = orders(X).described_as(Description::Unknown("recovering".to_owned()));
    for found in [[Some(unknown.clone()), None], [Some(unknown.clone()), Some(orders(X))]] {
        let decision = decided(&declared_orders(), &views(&found));
        assert_eq!(asked(&decision), Vec::<String>::new());
        let waits = Verdict::Waits("copy a cannot describe it: recovering".to_owned());
        assert_eq!(decision.declared[&name("orders")], waits);
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let theirs = orders(X).owned("prod/other", 3, WhenRemoved::Delete);
    let decision = decided(&desired("[]", 7), &views(&[Some(orders(X)), Some(theirs)]));
    assert_eq!(decision, Decision::default());
}

#[test]
fn an_entry_that_went_away_is_closed_and_kept() {
    let decision = decided(&desired("[]", 8), &views(&[Some(orders(X).ours(7)), Some(orders(X).ours(7).closed())]));
    assert_eq!(asked(&decision), ["a: put 10 Closed"]);
    assert_eq!(decision.removed[&name("orders")], Farewell::Retained);
}

#[test]
fn an_entry_that_said_delete_is_deleted_in_its_incarnation() {
    let delete = |incarnation| Some(orders(incarnation).owned("local/events", 7, WhenRemoved::Delete));
    let decision = decided(&desired("[]", 8), &views(&[delete(X), delete(Y)]));
    assert_eq!(asked(&decision), ["a: delete 10", "b: delete 11"]);
    assert_eq!(decision.removed[&name("orders")], Farewell::Deleted);
}

/// The entry said Delete at first and Retain at last; a copy that was away has missed the last word.
#[test]
fn the_newest_mark_says_what_becomes_of_the_data() {
    let old = Some(orders(X).owned("local/events", 5, WhenRemoved::Delete));
    let new = Some(orders(X).owned("local/events", 6, WhenRemoved::Retain));
    let decision = decided(&desired("[]", 8), &views(&[old, new]));
    assert_eq!(asked(&decision), ["a: put 10 Closed", "b: put 10 Closed"]);
}

/// The copy that is away might have the newer mark.
#[test]
fn nothing_is_removed_while_a_copy_is_away() {
    let delete = Some(orders(X).owned("local/events", 5, WhenRemoved::Delete));
    let decision = decided(&desired("[]", 8), &silent(views(&[delete, None]), 1));
    assert_eq!(asked(&decision), Vec::<String>::new());
    assert!(matches!(decision.removed[&name("orders")], Farewell::Waits(_)));
}

#[test]
fn salts_are_random_and_never_zero() {
    let (one, two) = (super::super::birth(), super::super::birth());
    assert!(one.salt != 0 && one.salt != two.salt && one.incarnation != two.incarnation);
}
