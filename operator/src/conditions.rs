//! The conditions of a `LogStore` and every reason that they can give: this table is the only source of both.
//!
//! `Ready`, `Reconciling` and `Stalled` follow kstatus, so that `kubectl wait` and `helm --wait` understand them.

use std::fmt;

/// What a condition can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// It cannot be told.
    Unknown,
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why a condition is as it is.
pub trait Reason: Copy {
    /// The condition's type.
    const CONDITION: &'static str;

    /// The reason's stable name.
    fn name(self) -> &'static str;

    /// What it makes of the condition.
    fn truth(self) -> Truth;

    /// What it means, for the documentation.
    fn meaning(self) -> &'static str;
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The condition's type.
    pub condition: &'static str,
    /// The reason's name.
    pub reason: &'static str,
    /// What it makes of the condition.
    pub truth: Truth,
    /// What it means.
    pub meaning: &'static str,
}

macro_rules! conditions {
    ($($(#[$doc:meta])* $condition:ident { $($reason:ident $truth:ident $meaning:literal;)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $condition { $(#[doc = $meaning] $reason,)* }

            impl Reason for $condition {
                const CONDITION: &'static str = stringify!($condition);

                fn name(self) -> &'static str {
                    match self { $(Self::$reason => stringify!($reason),)* }
                }

                fn truth(self) -> Truth {
                    match self { $(Self::$reason => Truth::$truth,)* }
                }

                fn meaning(self) -> &'static str {
                    match self { $(Self::$reason => $meaning,)* }
                }
            }
        )*

        /// All conditions with all their reasons.
        pub const TABLE: &[Row] = &[$($(Row {
            condition: stringify!($condition),
            reason: stringify!($reason),
            truth: Truth::$truth,
            meaning: $meaning,
        },)*)*];
    };
}

conditions! {
    /// Whether everything that the spec asks for is there and serves.
    Ready {
        AllPodsReady True "Every store is ready and every namespace is as declared.";
        Stopped True "No store runs, as the spec asks for.";
        Initializing False "The stores are being started for the first time.";
        PodsNotReady False "A store is not ready, or does not run yet what the spec asks for; the message says why.";
        NamespacesNotSynced False "A namespace is not yet as declared; the message names it and says why.";
        InvalidSpec False "The spec cannot be followed; the stores go on with the one before it.";
        Paused Unknown "spec.paused holds everything, so nothing is said about this spec.";
        StoresUnreachable Unknown "The stores are ready, but the operator cannot reach one of them over HTTP.";
    }

    /// Whether something is on its way to what the spec asks for.
    Reconciling {
        NewGeneration True "The spec has changed, and nothing has been done about it yet.";
        Creating True "The stores are being started for the first time.";
        Scaling True "The stores are being stopped.";
        RollingUpdate True "The stores are being replaced, copy by copy.";
        Resizing True "The volumes are growing.";
        SyncingNamespaces True "The namespaces are being pushed to the stores.";
        Retrying True "Something has failed and is tried again; the message says what.";
        Settled False "There is nothing to do.";
        Blocked False "A person must act first, see Stalled; it is tried again all the same.";
        Paused False "spec.paused holds everything.";
    }

    /// Whether a person must act before it can go on.
    Stalled {
        InvalidSpec True "The spec cannot be followed; the message names every field, its value and what to do.";
        StorageClassNotExpandable True "The storage class does not let volumes grow.";
        QuotaExceeded True "A quota of the Kubernetes namespace stands against an object.";
        Forbidden True "The API server does not let the operator do what it must; the message names the call.";
        ForeignVolume True "A claim that a store would use is there and belongs to something else, or is of another class.";
        ClaimDeleted True "A claim that a store uses is being deleted: its data goes when its pod ends.";
        ForeignObject True "An object that must be made is there already and belongs to something else.";
        ImagePullFailed True "The image of the stores cannot be pulled; the message is the kubelet's own.";
        NotStalled False "Nothing waits for a person.";
    }

    /// Whether every copy has confirmed every declared namespace.
    NamespacesSynced {
        AllSynced True "Every copy has confirmed every declared namespace.";
        NotSynced False "A namespace is not yet, or cannot be, as declared; the message says why.";
        StoresUnreachable Unknown "A store does not answer, so what it holds is not known.";
        Stopped Unknown "No store runs, so none can be asked.";
    }

    /// Whether the operator changes nothing, because the spec says so.
    Paused {
        HeldBySpec True "spec.paused is true: nothing is changed until it is false.";
        NotPaused False "Changes of the spec are followed.";
    }
}
