//! The threads that load: each has a runtime of its own and some of the connections, and counts for itself.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::connection::Connection;
use super::course::{Course, Reason};
use super::drive::{Driver, Resting};
use super::follow::{Follower, Trail};
use super::schedule::Schedule;
use super::tally::Tally;
use super::work::Work;

/// How long requests under way may still be answered after a work was told to end by itself.
const GRACE: Duration = Duration::from_secs(1);
/// How often whoever watches is told.
const TICK: Duration = Duration::from_millis(100);

/// What one connection does.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) stream: std::net::TcpStream,
    pub(super) role: Role,
}

/// What a connection is for.
#[derive(Debug)]
pub(super) enum Role {
    Load {
        work: Box<Work>,
        schedule: Schedule,
    },
    /// The one whose records are followed; it says where it has stopped.
    Lead {
        work: Box<Work>,
        schedule: Schedule,
        until: watch::Sender<Option<u64>>,
        from: u64,
    },
    Follow(Trail),
}

/// Runs all of them on so many threads; what they have counted. `tick` is called now and then.
pub(super) async fn run(
    course: &Arc<Course>,
    members: Vec<Member>,
    threads: usize,
    mut tick: impl FnMut(),
) -> Result<Tally, Reason> {
    let mut shares: Vec<Vec<Member>> = (0..threads).map(|_| Vec::new()).collect();
    members.into_iter().enumerate().for_each(|(number, member)| shares[number % threads].push(member));
    let (counted, mut counts) = mpsc::channel(threads);
    let cut = watch::Sender::new(false);
    course.begun();
    for share in shares {
        let (course, counted, cut) = (Arc::clone(course), counted.clone(), cut.subscribe());
        let thread = std::thread::Builder::new().name("bench".to_owned());
        let spawned = thread.spawn(move || {
            let tally = on_this_thread(&course, share, cut);
            // Whoever waits for it is there until all have come.
            let _ = counted.blocking_send(tally);
        });
        spawned.map_err(|error| Reason::refused(format!("failed to start a thread: {error}")))?;
    }
    drop(counted);
    let mut tally = Tally::default();
    let mut ticks = tokio::time::interval(TICK);
    let over = told_to_end(course);
    tokio::pin!(over);
    let mut is_over = false;
    loop {
        tokio::select! {
            counted = counts.recv() => match counted {
                Some(counted) => tally.merge(counted),
                None => return Ok(tally),
            },
            () = &mut over, if !is_over => {
                is_over = true;
                cut.send_replace(true);
            }
            _ = ticks.tick() => tick(),
        }
    }
}

/// Until nobody waits for answers any more: at once at an interrupt, after a while when something went wrong.
async fn told_to_end(course: &Course) {
    course.stopped().await;
    if course.reason().is_some_and(|reason| !reason.is_interrupt) {
        tokio::time::sleep(GRACE).await;
    }
}

fn on_this_thread(course: &Arc<Course>, members: Vec<Member>, cut: watch::Receiver<bool>) -> Tally {
    let tally = Rc::new(RefCell::new(Tally::default()));
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let all = LocalSet::new();
            let loaded = Rc::clone(&tally);
            // What still runs when it is cut goes with the set.
            all.block_on(&runtime, together(course, loaded, members, cut));
        }
        Err(error) => course.stop(Reason::refused(format!("failed to start a runtime: {error}"))),
    }
    tally.take()
}

async fn together(
    course: &Arc<Course>,
    tally: Rc<RefCell<Tally>>,
    members: Vec<Member>,
    mut cut: watch::Receiver<bool>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    for member in members {
        let (course, tally) = (Arc::clone(course), Rc::clone(&tally));
        tasks.spawn_local(async move {
            if let Err(reason) = play(&course, &tally, member).await {
                course.stop(reason);
            }
        });
    }
    let all = async {
        while let Some(joined) = tasks.join_next().await {
            if let Err(error) = joined {
                course.stop(Reason::refused(format!("a connection's task failed: {error}")));
            }
        }
    };
    tokio::select! {
        () = all => {}
        _ = cut.wait_for(|cut| *cut) => {}
    }
}

async fn play(course: &Course, tally: &RefCell<Tally>, Member { stream, role }: Member) -> Result<(), Reason> {
    let taken = |error: io::Error| Reason::refused(format!("failed to take over a connection: {error}"));
    let connection = Connection::new(tokio::net::TcpStream::from_std(stream).map_err(taken)?);
    let drive = |work: Box<Work>, schedule, connection| {
        let (in_flight, resting) = (VecDeque::new(), Resting::default());
        Driver { course, tally, connection, work: *work, schedule, in_flight, resting }.run()
    };
    match role {
        Role::Load { work, schedule } => drive(work, schedule, connection).await.map(drop),
        Role::Lead { work, schedule, until, from } => {
            let work = drive(work, schedule, connection).await?;
            let end = match &work {
                Work::Append(append) => append.acknowledged().map(|offset| offset + 1),
                _ => None,
            };
            until.send_replace(Some(end.unwrap_or(from)));
            Ok(())
        }
        Role::Follow(trail) => Follower { course, tally, connection, trail }.run().await,
    }
}
