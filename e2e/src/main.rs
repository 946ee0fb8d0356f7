//! The end-to-end tests: `logstore-e2e [FILTER]`, and `logstore-e2e figures`.
//!
//! This file says what is shown, in which order. How each thing is shown is in `cases`, one file per behaviour.

#![allow(clippy::disallowed_methods, reason = "no store's disk is touched here")]
#![allow(clippy::print_stderr, reason = "progress and results are for a person")]

mod cases;
mod figures;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use libtest_mimic::Arguments;
use logstore_e2e::contract::report_folder;
use logstore_e2e::harness::{self, Case, Company, Phase};
use logstore_e2e::journal::Journal;
use logstore_e2e::{Cluster, case, progress, scene};
use tokio::runtime::Runtime;

use cases::{
    access, chart, claims, collisions, copies, definition, full_disk, growth, image, install, invalid_spec, life,
    namespaces, node, paused, records, rest, rollout, stopped,
};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if std::env::args().nth(1).is_some_and(|first| first == "figures") {
        return runtime.block_on(figures::run()).map(|()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::from_args();
    if arguments.list {
        phases()?.iter().for_each(|phase| harness::list(phase, &arguments));
        return Ok(ExitCode::SUCCESS);
    }
    let cluster: &'static Cluster = Box::leak(Box::new(runtime.block_on(Cluster::connect())?));
    runtime.block_on(cluster.refuse_if_in_use())?;
    runtime.block_on(scene::remove_old(cluster))?;
    runtime.block_on(cluster.load_images())?;
    let journal = Arc::new(Journal::default());
    play(cluster, &runtime, &arguments, &journal)?;
    let summary = journal.summary();
    let file = report_folder()?.join("summary.txt");
    std::fs::write(&file, &summary).with_context(|| format!("failed to write {}", file.display()))?;
    eprintln!("\n{summary}");
    runtime.block_on(clear(cluster))?;
    Ok(if journal.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is shown: first that it installs, then what can be shown side by side, then what disturbs others, and last that it
/// goes.
fn phases() -> Result<Vec<Phase>> {
    let together = vec![
        case!(copies::a_log_store_becomes_ready_and_shows_its_columns),
        case!(records::one_copy_over_its_service_with_plain_http),
        case!(records::two_copies_hold_the_same_records_at_the_same_offsets),
        case!(full_disk::a_full_claim_refuses_appends_until_a_trim),
        case!(records::acknowledged_records_survive_a_force_deleted_pod),
        case!(image::an_image_that_cannot_be_pulled_stalls_until_it_is_fixed),
        case!(namespaces::one_is_added_and_its_retention_changed),
        case!(namespaces::partitions_stay_and_indices_and_quota_follow),
        case!(namespaces::removed_ones_are_kept_closed_or_deleted),
        case!(namespaces::what_a_user_created_is_left_alone),
        case!(life::a_deleted_log_store_comes_back_with_its_data),
        case!(claims::when_deleted_delete_takes_the_claims),
        case!(claims::when_deleted_can_be_changed_back_to_retain),
        case!(claims::deleted_claims_are_told_and_no_rollout_ends_their_pods),
        case!(growth::a_volume_grows_while_its_pod_runs),
        case!(growth::a_volume_that_cannot_grow_is_said),
        case!(stopped::a_stopped_log_store_runs_nothing_and_comes_back),
        case!(paused::a_pause_holds_a_change_back),
        case!(invalid_spec::a_field_of_the_operator_is_refused_and_stores_go_on),
        case!(invalid_spec::a_wrong_type_is_refused_with_field_and_value),
        case!(collisions::the_same_name_in_two_namespaces_is_two_log_stores),
        case!(collisions::a_foreign_stateful_set_is_not_adopted),
        case!(collisions::a_name_of_anothers_child_is_refused),
        case!(collisions::a_pod_without_its_labels_is_named),
        case!(chart::helm_test_appends_and_reads),
    ];
    let together: Vec<Case> = together.into_iter().chain(definition::cases()?).collect();
    let alone = vec![
        case!(rollout::an_operator_killed_in_the_middle_finishes_copy_by_copy),
        case!(chart::an_upgrade_restarts_no_store),
        case!(node::a_node_dies_and_comes_back_with_its_records),
        case!(rest::at_rest_the_operator_only_renews_its_lease),
        // What looks back on all of it; before the operator loses its rights while it is being removed.
        case!(access::nothing_that_the_operator_asked_for_was_forbidden),
        case!(access::each_rule_of_its_roles_was_used),
        case!(chart::uninstalling_keeps_data_and_definition),
    ];
    Ok(vec![
        Phase {
            name: "install",
            company: Company::Alone,
            cases: vec![case!(install::helm_install_makes_the_operator_ready)],
        },
        Phase { name: "side by side", company: Company::Together, cases: together },
        Phase { name: "one by one", company: Company::Alone, cases: alone },
    ])
}

/// Plays the phases. Where the operator cannot be installed there is nothing to show.
fn play(cluster: &'static Cluster, runtime: &Runtime, arguments: &Arguments, journal: &Arc<Journal>) -> Result<()> {
    let mut phases = phases()?.into_iter();
    let install = phases.next().context("there is no first phase")?;
    harness::run(install, cluster, runtime.handle(), arguments, journal)?;
    if journal.has_failed() {
        return Ok(());
    }
    // A filter may have left the first phase out.
    if !runtime.block_on(cluster.operator.helm.is_installed())? {
        runtime.block_on(cluster.operator.install(cluster))?;
    }
    for phase in phases {
        harness::run(phase, cluster, runtime.handle(), arguments, journal)?;
    }
    Ok(())
}

/// Leaves the cluster as it was.
async fn clear(cluster: &Cluster) -> Result<()> {
    if cluster.contract.keep {
        progress::say("E2E_KEEP is set: the operator and the scenes stay");
        return Ok(());
    }
    progress::say("removing the scenes and the operator");
    scene::all_gone(cluster).await?;
    cluster.operator.remove(cluster).await
}
