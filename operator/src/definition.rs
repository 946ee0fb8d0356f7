//! `crd apply`: gives a cluster the definition of `LogStore`s, and every newer one after it. Helm installs the definitions
//! of a chart once and never again.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{Condition, conditions};
use kube::{Api, Client, ResourceExt};
use tokio::time::{sleep, timeout};

use crate::run::api::{FIELD_MANAGER, said};

/// How long the API server may take to serve it.
const ESTABLISHED_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The definition could not be given.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The API server has not taken it.
    #[error("failed to apply the definition {name}: {why}")]
    Apply {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// It is there and not served.
    #[error(
        "the definition {name} was not served after {ESTABLISHED_TIMEOUT:?}; kubectl describe crd {name} tells why"
    )]
    NotEstablished {
        /// Its name.
        name: String,
    },
}

/// Applies the definition, waits until it is served, and tells its name.
///
/// # Errors
/// When it is not served in the end.
pub async fn apply(client: Client) -> Result<String, DefinitionError> {
    let definition = logstore_crds::definition();
    let name = definition.name_any();
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&definition))
        .await
        .map_err(|error| DefinitionError::Apply { name: name.clone(), why: said(&error) })?;
    match timeout(ESTABLISHED_TIMEOUT, established(&api, &name)).await {
        Ok(()) => Ok(name),
        Err(_) => Err(DefinitionError::NotEstablished { name }),
    }
}

async fn established(api: &Api<CustomResourceDefinition>, name: &str) {
    loop {
        let found = api.get_opt(name).await.ok().flatten();
        if conditions::is_crd_established().matches_object(found.as_ref()) {
            return;
        }
        sleep(LOOK_EVERY).await;
    }
}
