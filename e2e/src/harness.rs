//! Runs phases of cases, one phase after the other. libtest-mimic takes the arguments, chooses cases, and runs them in
//! threads; what a person sees, with the time of each case, is written here.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use futures::FutureExt;
use libtest_mimic::{Arguments, Completion, Failed, FormatSetting, Trial};
use tokio::runtime::Handle;

use crate::cluster::Cluster;
use crate::contract::{Skipped, report_folder};
use crate::journal::{Journal, Outcome};
use crate::progress;
use crate::scene::Scene;

/// Cases that run at once, in a phase that allows it.
const AT_ONCE: usize = 4;

type Act = Box<dyn for<'a> FnOnce(&'a Scene) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>> + Send>;

/// A behaviour that is shown.
pub struct Case {
    name: String,
    act: Act,
}

impl Case {
    /// A case by its name and what it does.
    pub fn new<A>(name: &str, act: A) -> Self
    where
        A: for<'a> FnOnce(&'a Scene) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>> + Send + 'static,
    {
        Self { name: name.replace(' ', ""), act: Box::new(act) }
    }

    /// The same under a name that may have spaces.
    #[must_use]
    pub fn named(self, name: String) -> Self {
        Self { name, ..self }
    }
}

/// A case that is an async function of a scene; its path is its name.
#[macro_export]
macro_rules! case {
    ($($path:ident)::+) => {
        $crate::harness::Case::new(stringify!($($path)::+), |scene| Box::pin($($path)::+(scene)))
    };
}

/// Whether the cases of a phase may run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// They leave everything alone that is not theirs.
    Together,
    /// One after the other: they touch the operator, a node, or count what others do.
    Alone,
}

/// Cases that may begin when the phase before has ended.
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// How its cases run.
    pub company: Company,
    /// What it shows.
    pub cases: Vec<Case>,
}

/// Runs what the arguments choose of a phase.
///
/// # Errors
/// Where the report cannot be written; not where cases fail, which the journal knows.
pub fn run(
    phase: Phase,
    cluster: &'static Cluster,
    handle: &Handle,
    arguments: &Arguments,
    journal: &Arc<Journal>,
) -> Result<()> {
    let Phase { name, company, cases } = phase;
    let trials: Vec<Trial> =
        cases.into_iter().map(|case| trial(case, name, cluster, handle.clone(), Arc::clone(journal))).collect();
    let chosen = trials.iter().filter(|trial| !arguments.is_filtered_out(trial)).count();
    if chosen == 0 {
        return Ok(());
    }
    let at_once = match company {
        Company::Together => arguments.test_threads.unwrap_or(AT_ONCE),
        Company::Alone => 1,
    };
    progress::say(&format!("phase {name}: {chosen} cases, {at_once} at once"));
    let begun = Instant::now();
    let _ = libtest_mimic::run(&in_threads(arguments, name, at_once)?, trials);
    journal.phase(name, begun.elapsed());
    Ok(())
}

/// What libtest-mimic itself has to say is for machines, and goes to a file.
fn in_threads(arguments: &Arguments, phase: &str, at_once: usize) -> Result<Arguments> {
    let events = report_folder()?.join(format!("{}.json", phase.replace(' ', "-")));
    let events = events.to_str().context("the checkout's path is not UTF-8")?.to_owned();
    Ok(Arguments {
        test_threads: Some(at_once),
        logfile: Some(events),
        format: Some(FormatSetting::Json),
        quiet: false,
        ..arguments.clone()
    })
}

/// A phase's cases by name, for `--list`.
#[allow(clippy::print_stdout, reason = "it is what was asked for")]
pub fn list(phase: &Phase, arguments: &Arguments) {
    for case in &phase.cases {
        let trial = Trial::test(case.name.clone(), || Ok(()));
        if !arguments.is_filtered_out(&trial) {
            println!("{}", case.name);
        }
    }
}

fn trial(case: Case, phase: &'static str, cluster: &'static Cluster, handle: Handle, journal: Arc<Journal>) -> Trial {
    let Case { name, act } = case;
    Trial::ignorable_test(name.clone(), move || {
        progress::enter(&name);
        let begun = Instant::now();
        let result = handle.block_on(perform(&name, act, cluster));
        let time = begun.elapsed();
        let seconds = time.as_secs_f64();
        let (outcome, completion) = match result {
            Ok(()) => {
                progress::say(&format!("ok, {seconds:.1} s"));
                (Outcome::Passed, Ok(Completion::Completed))
            }
            Err(error) if error.is::<Skipped>() => {
                progress::say(&format!("skipped: {error}"));
                (Outcome::Skipped(error.to_string()), Ok(Completion::ignored_with(error)))
            }
            Err(error) => {
                progress::say(&format!("FAILED, {seconds:.1} s: {error:#}"));
                (Outcome::Failed, Err(Failed::from(format!("{error:#}"))))
            }
        };
        journal.case(phase, &name, outcome, time);
        progress::leave();
        completion
    })
}

/// The case in its scene. A panic is a failure like any other: the scene is written down and removed all the same.
async fn perform(name: &str, act: Act, cluster: &'static Cluster) -> Result<()> {
    progress::say("begins");
    let scene = Scene::set(cluster, name).await.context("failed to set the scene")?;
    let played = AssertUnwindSafe(act(&scene)).catch_unwind().await.unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&said| said.to_owned()));
        Err(anyhow!("the case panicked: {}", said.unwrap_or_default()))
    });
    if let Err(error) = &played
        && !error.is::<Skipped>()
    {
        match scene.write_down(&format!("{error:#}")).await {
            Ok((file, short)) => progress::say(&format!("everything of it is in {}; in short:{short}", file.display())),
            Err(error) => progress::say(&format!("failed to write down the scene: {error:#}")),
        }
    }
    match cluster.contract.keep {
        true => progress::say(&format!("kept: namespace {}", scene.namespace)),
        false => scene.strike().await?,
    }
    played
}
