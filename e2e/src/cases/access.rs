//! What the operator may do is what it does: looked at when everything else has been shown.

use anyhow::{Context, Result, ensure};
use logstore_e2e::audit::{Request, Rule};
use logstore_e2e::helm::chart;
use logstore_e2e::{Scene, progress};

/// No request lacked a right, since the operator is installed.
pub(crate) async fn nothing_that_the_operator_asked_for_was_forbidden(scene: &Scene) -> Result<()> {
    let installed = scene.cluster.operator.installed(scene.cluster).await?;
    let mut requests = requests(scene, "").await?;
    requests.retain(|request| request.received >= installed);
    let forbidden: Vec<String> =
        requests.iter().filter(|request| request.is_forbidden).map(ToString::to_string).collect();
    ensure!(forbidden.is_empty(), "{} requests were forbidden:\n{}", forbidden.len(), forbidden.join("\n"));
    progress::say(&format!("{} requests, all of them allowed", requests.len()));
    Ok(())
}

/// No rule gives more than is needed. Single rights that nothing used are told, and whole rules are a failure.
pub(crate) async fn each_rule_of_its_roles_was_used(scene: &Scene) -> Result<()> {
    let mut unused = Vec::new();
    // The second account is that of the Job that applies the definition.
    for (file, account) in [("rules.yaml", ""), ("lease-rules.yaml", ""), ("crd-rules.yaml", "-crds")] {
        let requests = requests(scene, account).await?;
        let rules: Vec<Rule> = rules(file)?.into_iter().filter(|rule| !rule.is_asked_about_only()).collect();
        let single: Vec<String> = rules.iter().flat_map(|rule| rule.unused_rights(&requests)).collect();
        if !single.is_empty() {
            progress::say(&format!("{file}: rights that no case used: {}", single.join(", ")));
        }
        let rules = rules.into_iter().filter(|rule| !rule.is_used(&requests));
        unused.extend(rules.map(|rule| format!("{file}: {rule:?}")));
    }
    ensure!(unused.is_empty(), "no case used these rules:\n{}", unused.join("\n"));
    Ok(())
}

/// The rules that the chart gives.
fn rules(file: &str) -> Result<Vec<Rule>> {
    let file = chart().join("files").join(file);
    let text = std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not understood", file.display()))
}

/// What the operator has asked, or the account beside it whose name ends otherwise.
async fn requests(scene: &Scene, suffix: &str) -> Result<Vec<Request>> {
    let audit = scene.cluster.audit()?;
    let user = scene.cluster.operator.user(scene.cluster).await? + suffix;
    let requests = audit.requests(&user)?;
    ensure!(!requests.is_empty(), "the audit log has no request of {user}: is it the right one?");
    Ok(requests)
}
