use std::sync::Arc;

use logstore_api::frame::control::{self, EpochStart};
use logstore_api::frame::{FrameBuilder, FrameView, Kind, NewRecord};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::*;

const BASE: u64 = 4;
const SEAM: u32 = 44;

fn tail(next_frame: u64, last_checksum: u32) -> PartitionTail {
    PartitionTail {
        partition: 0,
        first_frame: 0,
        next_frame,
        last_epoch: 1,
        last_checksum,
        next_offset: 30,
        last_time: 1_000,
        confirmed: 3,
    }
}

/// Two copies, the second of which misses a frame of the log that the reign begins with.
fn state() -> State {
    State::new(2, tail(BASE, SEAM), &[tail(BASE, SEAM), tail(3, 33)])
}

/// The same, with both copies in the window and the epoch-start placed on both.
fn reigning() -> State {
    let mut state = state();
    state.placed(1, BASE, 0);
    let _fate = push(&mut state, epoch_start());
    state.placed(0, BASE + 1, 0);
    state.placed(1, BASE + 1, 0);
    state
}

fn epoch_start() -> Draft {
    control::draft(Kind::EpochStart, &EpochStart { writer: Uuid::nil(), label: String::new() }.encode(), Salt::WIRE)
}

fn records(count: usize) -> Draft {
    let mut builder = FrameBuilder::new(Kind::Data, None, Salt::WIRE);
    (0..count).for_each(|_| builder.push(&NewRecord { data: b"x", ..NewRecord::default() }));
    builder.finish()
}

fn push(state: &mut State, draft: Draft) -> oneshot::Receiver<Fate> {
    push_at(state, draft, 2_000)
}

fn push_at(state: &mut State, draft: Draft, now: i64) -> oneshot::Receiver<Fate> {
    let room = Arc::new(Semaphore::new(1)).try_acquire_many_owned(1).unwrap();
    state.push(draft, Timestamp(now), room).unwrap()
}

fn placed_frames(step: &Step) -> Option<(u64, usize, u64)> {
    match step {
        Step::Place { batch, confirmed } => Some((batch.first, batch.frames.len(), *confirmed)),
        Step::Wait | Step::Done => None,
    }
}

#[test]
fn nothing_is_confirmed_before_all_hold_the_epoch_start() {
    let mut state = state();
    assert!(!state.is_level());
    state.placed(1, BASE, 0);
    assert!(state.is_level());
    assert_eq!(state.confirmed, 3, "all hold the log, but not under this reign yet");

    let mut fate = push(&mut state, epoch_start());
    assert_eq!(placed_frames(&state.step(0)), Some((BASE, 1, 3)));
    state.placed(0, BASE + 1, 3);
    assert!(fate.try_recv().is_err() && state.confirmed == 3);
    state.placed(1, BASE + 1, 3);
    assert_eq!(state.confirmed, BASE + 1);
    assert_eq!(fate.try_recv().unwrap().unwrap(), Acked { offset: 30, count: 0, time: Timestamp(2_000) });
}

#[test]
fn offsets_are_dense_and_times_never_go_back() {
    let mut state = reigning();
    let mut fates = [(2, 5_000), (3, 4_000)].map(|(count, now)| push_at(&mut state, records(count), now));
    state.placed(0, BASE + 3, 0);
    state.placed(1, BASE + 3, 0);
    let acked = fates.each_mut().map(|fate| fate.try_recv().unwrap().unwrap());
    assert_eq!(acked[0], Acked { offset: 30, count: 2, time: Timestamp(5_000) });
    assert_eq!(acked[1], Acked { offset: 32, count: 3, time: Timestamp(5_000) });
}

#[test]
fn frames_carry_their_place_and_chain_to_the_log_before() {
    let mut state = reigning();
    let _fate = push(&mut state, records(1));
    let Step::Place { batch, .. } = state.step(0) else { panic!("there is a frame to place") };
    let frame = FrameView::verify(&batch.frames[0], Salt::WIRE, 0).unwrap();
    let Numbers { number, base_offset, time_us, epoch } = frame.header().numbers;
    assert_eq!((number, base_offset, time_us, epoch), (BASE + 1, 30, 2_000, 2));
    state.placed(0, BASE + 2, 0);
    let Step::Place { batch, .. } = state.step(0) else { panic!("confirmed is to be told") };
    assert_eq!((batch.first, batch.previous, batch.frames.len()), (BASE + 2, frame.checksum(), 0));
}

#[test]
fn a_record_is_acknowledged_when_the_last_copy_holds_it() {
    let mut state = reigning();
    let mut first = push(&mut state, records(1));
    let mut second = push(&mut state, records(1));
    state.placed(0, BASE + 3, 0);
    assert!(first.try_recv().is_err());
    state.placed(1, BASE + 2, 0);
    assert!(first.try_recv().is_ok() && second.try_recv().is_err());
    state.placed(1, BASE + 3, 0);
    assert!(second.try_recv().is_ok());
}

#[test]
fn confirmed_rides_on_frames_and_goes_alone_when_there_are_none() {
    let mut state = reigning();
    assert_eq!(placed_frames(&state.step(0)), Some((BASE + 1, 0, BASE + 1)));
    state.placed(0, BASE + 1, BASE + 1);
    assert!(matches!(state.step(0), Step::Wait));
    let _fate = push(&mut state, records(1));
    assert_eq!(placed_frames(&state.step(0)), Some((BASE + 1, 1, BASE + 1)));
}

#[test]
fn a_copy_that_comes_back_with_less_takes_no_acknowledgement_back() {
    let mut state = reigning();
    let mut fate = push(&mut state, records(1));
    assert_eq!(state.join(1, &tail(2, 22)), Ok(Join::Behind { base: BASE + 1 }));
    assert_eq!(state.sibling_of(1), Some(0));
    assert_eq!(state.sibling_of(0), None, "copy 1 does not hold what copy 0 might miss");
    assert_eq!(state.confirmed, BASE + 1);
    state.placed(0, BASE + 2, 0);
    assert!(fate.try_recv().is_err());
    state.placed(1, BASE + 1, 0);
    assert_eq!(placed_frames(&state.step(1)), Some((BASE + 1, 1, BASE + 1)));
    state.placed(1, BASE + 2, 0);
    assert!(fate.try_recv().is_ok());
}

#[test]
fn a_copy_that_comes_back_is_told_again_what_is_confirmed() {
    let mut state = reigning();
    state.placed(0, BASE + 1, BASE + 1);
    assert!(matches!(state.step(0), Step::Wait));
    let at_window = tail(BASE + 1, state.window.checksum_before(BASE + 1).unwrap());
    assert_eq!(state.join(0, &at_window), Ok(Join::InWindow));
    assert_eq!(placed_frames(&state.step(0)), Some((BASE + 1, 0, BASE + 1)));
}

/// A lost answer, and then a fence that says that the frame is there: written, but for all that is known not synced.
#[test]
fn what_a_fence_says_is_there_is_not_acknowledged_before_a_place_says_so() {
    let mut state = reigning();
    let mut fate = push(&mut state, records(1));
    state.placed(0, BASE + 2, BASE + 1);
    let written = tail(BASE + 2, state.window.checksum_before(BASE + 2).unwrap());
    assert_eq!(state.join(1, &written), Ok(Join::InWindow));
    assert!(fate.try_recv().is_err());
    assert_eq!(placed_frames(&state.step(1)), Some((BASE + 2, 0, BASE + 1)), "asks by an empty place");
    state.placed(1, BASE + 2, BASE + 1);
    assert!(fate.try_recv().is_ok());
}

/// The same with the epoch-start, before there is anything to tell.
#[test]
fn an_epoch_start_whose_answer_was_lost_is_asked_for() {
    let mut state = state();
    state.placed(1, BASE, 0);
    let mut fate = push(&mut state, epoch_start());
    state.placed(0, BASE + 1, 3);
    let written = tail(BASE + 1, state.window.checksum_before(BASE + 1).unwrap());
    assert_eq!(state.join(1, &written), Ok(Join::InWindow));
    assert_eq!(placed_frames(&state.step(1)), Some((BASE + 1, 0, 3)));
    state.placed(1, BASE + 1, 3);
    assert!(fate.try_recv().is_ok());
}

#[test]
fn a_copy_that_parted_from_the_log_is_found_out() {
    let mut state = reigning();
    assert!(state.join(0, &tail(BASE + 2, 1)).unwrap_err().contains("has placed none"));
    assert!(state.join(0, &tail(BASE + 1, 1)).unwrap_err().contains("checksum 00000001"));
}

#[test]
fn closing_takes_nothing_more_and_ends_when_every_copy_knows() {
    let mut state = reigning();
    let _fate = push(&mut state, records(1));
    state.placed(0, BASE + 2, 0);
    state.placed(1, BASE + 2, BASE + 2);
    assert!(matches!(state.step(1), Step::Wait));
    state.close();
    let room = Arc::new(Semaphore::new(1)).try_acquire_many_owned(1).unwrap();
    assert!(matches!(state.push(records(1), Timestamp(0), room), Err(WriterError::Closed)));
    for copy in [0, 1] {
        assert_eq!(placed_frames(&state.step(copy)), Some((BASE + 2, 0, BASE + 2)), "told once more at the end");
        state.placed(copy, BASE + 2, BASE + 2);
        assert!(matches!(state.step(copy), Step::Done));
    }
}

#[test]
fn stopping_leaves_what_is_out_unknown_for_the_first_reason() {
    let mut state = reigning();
    let mut fate = push(&mut state, records(1));
    state.stop(WriterError::Fenced { copy: "a".to_owned(), winner: None });
    state.stop(WriterError::Closed);
    assert!(matches!(fate.try_recv().unwrap(), Err(WriterError::Fenced { .. })));
    assert!(matches!(state.stopped(), Some(WriterError::Fenced { .. })));
    assert!(matches!(state.step(0), Step::Done));
}
