//! The account of the pods: it may do nothing, and has no token.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::metadata;
use crate::validate::ValidatedStore;

/// Name of the ServiceAccount.
#[must_use]
pub fn name(store: &ValidatedStore) -> String {
    store.name().to_owned()
}

/// An account of its own, so that nothing that is granted to a namespace's default account reaches the stores.
#[must_use]
pub fn build(store: &ValidatedStore) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(store, name(store)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
