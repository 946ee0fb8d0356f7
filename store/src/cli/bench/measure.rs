//! One work: its connections are opened, it runs to its end or is stopped, and what was counted becomes a report.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;

use super::super::failure::Failure;
use super::super::stopped::progress_bar;
use super::assembly::Assembly;
use super::course::{Course, Reason};
use super::crew::{self, Member};
use super::options::{Kind, Options};
use super::report::{Outcome, Part, Report, Shape, WarmUp, grouped, seconds};
use super::schedule::Bounds;
use super::signals::Signals;
use super::tally::{Measures, Tally};
use super::target::Server;

/// How long a work goes on where nothing is said.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);
/// How a work goes by.
const BAR: &str = "{prefix} {bar:40} {msg}";

/// One work: its results, and why it ended before its time, where it did.
pub(super) async fn measure(
    assembly: &Assembly<'_>,
    server: &Server,
    signals: &Signals,
) -> Result<(Report, Option<Reason>), Failure> {
    let Assembly { options, kind, .. } = assembly;
    let shape = options.shape(*kind);
    let bounds = bounds(options, *kind);
    let course = Course::new(server.address, bounds, shape.pipeline, nanos(options.timeout));
    let course = Arc::new(course);
    let streams = signals.or_interrupted(server.connect(shape.connections)).await?;
    let roles = assembly.roles(&shape);
    let members = streams.into_iter().zip(roles).map(|(stream, role)| Member { stream, role }).collect();
    let bar = progress_bar(BAR).with_prefix(kind.word());
    let until = bar_length(assembly, &shape, &course);
    bar.set_length(until.unwrap_or(0));
    let tick = || show(&bar, &course);
    let crew = crew::run(&course, members, shape.threads, tick);
    tokio::pin!(crew);
    let tally = tokio::select! {
        tally = &mut crew => tally,
        () = signals.interrupted() => {
            course.stop(Reason::interrupted());
            crew.await
        }
    };
    let took = course.now().saturating_sub(course.bounds.warm_up);
    bar.finish_and_clear();
    let tally = tally.map_err(|Reason { exit, message, .. }| Failure::new(exit, message))?;
    let reason = course.reason();
    let report = report(assembly, server, shape, &course, tally, took);
    Ok((report, reason))
}

fn bounds(options: &Options, kind: Kind) -> Bounds {
    let warm_up = options.warm_up.filter(|_| kind != Kind::Scan).map_or(0, nanos);
    let duration = match (options.duration, options.operations) {
        (None, None) if kind != Kind::Scan => Some(DURATION_DEFAULT),
        (duration, _) => duration,
    };
    Bounds::new(warm_up, duration.map(nanos), options.operations)
}

fn report(assembly: &Assembly<'_>, server: &Server, shape: Shape, course: &Course, tally: Tally, took: u64) -> Report {
    let Assembly { kind, seed, renderer, .. } = *assembly;
    let (unanswered, is_open) = (tally.unanswered(), shape.rate.is_some());
    let parts = matches!(kind, Kind::Mixed | Kind::Follow);
    let [appends, reads] = [&tally.appends, &tally.reads].map(|part| parts.then(|| Part::of(part)));
    let mut all = Measures::default();
    if kind != Kind::Follow {
        all.merge(&tally.appends);
    }
    all.merge(&tally.reads);
    let Part { operations, records, payload_bytes, latency_us } = Part::of(&all);
    let undelivered = shape.followers.map(|followers| undelivered(&tally, followers));
    let warm_up = warm_up(&tally, course);
    let reason = course.reason();
    let mut report = Report {
        work: kind,
        outcome: outcome(reason.as_ref()),
        reason: reason.map(|reason| reason.message),
        server: server.store.url().to_owned(),
        server_version: server.version.clone(),
        tool_version: env!("CARGO_PKG_VERSION"),
        namespace: renderer.namespaces.first().map(ToString::to_string).unwrap_or_default(),
        namespaces: if kind == Kind::Follow { 1 } else { renderer.namespaces.len() },
        seed,
        shape,
        seconds: seconds(Duration::from_nanos(took)),
        operations,
        records,
        payload_bytes,
        operations_per_second: 0.0,
        records_per_second: 0.0,
        payload_bytes_per_second: 0.0,
        latency_us,
        appends,
        reads,
        late: is_open.then_some(tally.late),
        not_sent: is_open.then_some(tally.not_sent),
        undelivered,
        warm_up,
        refused: tally.refused,
        errors: tally.errors,
        unanswered,
        foreign: tally.seen.foreign,
        wrong: tally.seen.wrong,
    };
    report.rates();
    report
}

fn outcome(reason: Option<&Reason>) -> Outcome {
    match reason {
        None => Outcome::Complete,
        Some(Reason { is_interrupt: true, .. }) => Outcome::Interrupted,
        Some(_) => Outcome::Stopped,
    }
}

/// Records that were appended and have not come to a follower, summed over the followers.
fn undelivered(tally: &Tally, followers: u64) -> u64 {
    let appended = tally.appends.records + tally.warm_up_appended;
    (appended * followers).saturating_sub(tally.reads.records + tally.warm_up_read)
}

fn warm_up(tally: &Tally, course: &Course) -> WarmUp {
    WarmUp {
        seconds: course.bounds.warm_up as f64 / 1e9,
        operations: tally.warm_up_operations,
        appended: tally.warm_up_appended,
        read: tally.warm_up_read,
    }
}

/// What a full bar stands for: milliseconds, or records.
fn bar_length(assembly: &Assembly<'_>, shape: &Shape, course: &Course) -> Option<u64> {
    let records = || assembly.spans.iter().map(|span| span.end - span.start).sum();
    let operations =
        || course.bounds.operations.map(|count| count.saturating_mul(shape.records_per_request.unwrap_or(1)));
    match (course.bounds.end, assembly.kind) {
        (Some(end), _) => Some(end / 1_000_000),
        (None, Kind::Scan) => Some(records()),
        (None, _) => operations(),
    }
}

fn show(bar: &ProgressBar, course: &Course) {
    let (done, now) = (course.progress(), course.now());
    bar.set_position(if course.bounds.end.is_some() { now / 1_000_000 } else { done });
    let rate = done as f64 / (now.max(1) as f64 / 1e9);
    bar.set_message(format!("{} records, {}/s", grouped(done as f64), grouped(rate)));
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
