//! Each rule of the definition, against the real API server: what it lets pass and what it refuses, on creation and on
//! update. The cases are those that are run in process too.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, PostParams};
use kube::{Resource as _, ResourceExt};
use logstore_crds::LogStore;
use logstore_e2e::Scene;
use logstore_e2e::harness::Case;
use serde::Deserialize;
use serde_json::{Value, json};

const RULES: &str = include_str!("../../../crds/tests/rules.yaml");
/// Of an object whose case says no other.
const NAME: &str = "events";
/// The operator writes the status of a new object a few times, and then no more.
const TRIES_MAX: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    rule: String,
    accept: Vec<Try>,
    refuse: Vec<Try>,
}

/// A creation; and an update, of the spec `before` or of an empty one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Try {
    name: Option<String>,
    before: Option<Value>,
    #[serde(default)]
    spec: Value,
}

/// A case for each rule.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let rules: Vec<Rule> = serde_saphyr::from_str(RULES).context("crds/tests/rules.yaml is not understood")?;
    let case = |rule: Rule| {
        let name = format!("definition::{}", rule.rule);
        let rule = Arc::new(rule);
        Case::new("", move |scene| {
            let rule = Arc::clone(&rule);
            Box::pin(async move { hold(scene, &rule).await })
        })
        .named(name)
    };
    Ok(rules.into_iter().map(case).collect())
}

async fn hold(scene: &Scene, rule: &Rule) -> Result<()> {
    let kind = ApiResource::erase::<LogStore>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(scene.cluster.client.clone(), &scene.namespace, &kind);
    for (tries, is_accepted) in [(&rule.accept, true), (&rule.refuse, false)] {
        for attempt in tries {
            for (what, answer) in attempt.outcomes(&api).await? {
                let told = || format!("{what} of {attempt:?}");
                match (answer, is_accepted) {
                    (None, true) => {}
                    (None, false) => bail!("{} was accepted", told()),
                    (Some(said), true) => bail!("{} was refused: {said}", told()),
                    (Some(said), false) => ensure!(rule.is_told_in(&said), "{} was refused otherwise: {said}", told()),
                }
            }
        }
    }
    Ok(())
}

impl Rule {
    /// A name that no object may have is refused before any rule is asked.
    fn is_told_in(&self, said: &str) -> bool {
        said.contains(&self.rule) || (self.rule.starts_with("metadata.name") && said.contains("metadata.name"))
    }
}

impl Try {
    /// What the API server says to each: nothing where it accepts.
    async fn outcomes(&self, api: &Api<DynamicObject>) -> Result<Vec<(&'static str, Option<String>)>> {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let name = self.name.as_deref().unwrap_or(NAME);
        let mut outcomes = Vec::new();
        if self.before.is_none() {
            outcomes.push(("the creation", refusal(api.create(&dry, &object(name, &self.spec)?).await)?));
        }
        // A name that is refused cannot be there to be updated.
        if self.name.is_none() {
            let nothing = json!({});
            let before = object(name, self.before.as_ref().unwrap_or(&nothing))?;
            api.create(&PostParams::default(), &before).await.with_context(|| format!("before {self:?}"))?;
            outcomes.push(("the update", refusal(update(api, &dry, object(name, &self.spec)?).await)?));
            api.delete(name, &DeleteParams::default()).await?;
        }
        Ok(outcomes)
    }
}

/// Updates what is there. The operator may write its status in between, so that what was read is old.
async fn update(api: &Api<DynamicObject>, dry: &PostParams, mut after: DynamicObject) -> kube::Result<DynamicObject> {
    let name = after.name_any();
    let mut tries = 0;
    loop {
        after.metadata.resource_version = api.get(&name).await?.resource_version();
        tries += 1;
        match api.replace(&name, dry, &after).await {
            Err(kube::Error::Api(status)) if status.code == 409 && tries < TRIES_MAX => {}
            answer => return answer,
        }
    }
}

/// Paused, so that the operator makes nothing of it while it is there.
fn object(name: &str, spec: &Value) -> Result<DynamicObject> {
    let mut object = json!({
        "apiVersion": LogStore::api_version(&()),
        "kind": LogStore::kind(&()),
        "metadata": {"name": name},
        "spec": {"storage": {"size": "1Gi"}, "paused": true},
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    Ok(serde_json::from_value(object)?)
}

fn refusal(answer: kube::Result<DynamicObject>) -> Result<Option<String>> {
    match answer {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(Some(status.message)),
        Err(error) => Err(error).context("the API server neither accepted nor refused"),
    }
}
