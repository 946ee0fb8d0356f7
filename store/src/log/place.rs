//! What a store does with frames that a writer places: append, know already, or refuse. Pure.

use logstore_api::fence::Reign;
use logstore_api::frame::{Draft, Fault, FrameView, Header, Salt};
use logstore_api::{Code, Durability, Problem};
use uuid::Uuid;

use super::state::Tail;

/// A place request whose frames have verified and carry this namespace's checksums.
#[derive(Debug)]
pub struct Place {
    /// The writer's epoch.
    pub epoch: u32,
    /// The writer.
    pub writer: Uuid,
    /// Number of the first frame.
    pub frame: u64,
    /// Wire checksum of the frame before it.
    pub previous: u32,
    /// Frames before this number are on all copies.
    pub confirmed: u64,
    /// The level to reach.
    pub durability: Durability,
    /// The frames, in order.
    pub frames: Vec<PlacedFrame>,
}

/// A frame of a place.
#[derive(Debug)]
pub struct PlacedFrame {
    /// With this namespace's checksums; its header's checksum waits for the position.
    pub draft: Draft,
    /// Its checksum on the wire.
    pub wire_checksum: u32,
}

/// Cuts a place's body into frames and gives them this namespace's checksums.
pub fn parse_frames(mut body: &[u8], salt: Salt) -> Result<Vec<PlacedFrame>, Problem> {
    let whole = body.len();
    let mut frames = Vec::new();
    while !body.is_empty() {
        let at = whole - body.len();
        let view = FrameView::verify(body, Salt::WIRE, 0).map_err(|fault| malformed(at, fault))?;
        let (header, wire_checksum, frame_len) = (view.header(), view.checksum(), view.bytes().len());
        if !header.kind.is_ordered() {
            let detail = format!("the frame at byte {at} is of kind {:?}, which stays on one store", header.kind);
            return Err(Problem::new(Code::MalformedBody, detail).with("byte", at));
        }
        let mut bytes = body[..frame_len].to_vec();
        logstore_api::frame::reseal(&mut bytes, (Salt::WIRE, 0), (salt, 0)).map_err(|fault| malformed(at, fault))?;
        let draft = Draft::from_sealed(&bytes, salt, 0).map_err(|fault| malformed(at, fault))?;
        frames.push(PlacedFrame { draft, wire_checksum });
        body = &body[frame_len..];
    }
    Ok(frames)
}

fn malformed(at: usize, fault: Fault) -> Problem {
    Problem::new(Code::MalformedBody, format!("no sound frame at byte {at} of the body: {fault}")).with("byte", at)
}

/// Whether this writer may place anything here.
pub fn check_reign(reign: Option<&Reign>, epoch: u32, writer: Uuid) -> Result<(), Problem> {
    match reign {
        Some(reign) if (reign.epoch, reign.writer) == (epoch, writer) => Ok(()),
        Some(reign) => Err(fenced(reign, epoch)),
        None => {
            let detail = "no writer has fenced this namespace yet; fence it before placing frames";
            Err(Problem::new(Code::Fenced, detail).field("epoch").got(epoch))
        }
    }
}

/// The refusal that names the writer in force.
#[must_use]
pub fn fenced(reign: &Reign, epoch: u32) -> Problem {
    let Reign { epoch: newer, writer, label } = reign;
    let detail = format!("epoch {newer} of writer {writer} ({label}) is in force; epoch {epoch} may write no more");
    let problem = Problem::new(Code::Fenced, detail).field("epoch").expected(*newer).got(epoch);
    problem.with("writer", serde_json::json!({"epoch": newer, "writer": writer, "label": label}))
}

/// How many of the frames stand here already; the rest comes next, in order.
///
/// `stored` gives the wire checksum of a frame that stands here; `None` where it is gone.
pub fn known_frames(
    place: &Place,
    tail: &Tail,
    stored: impl Fn(u64) -> std::io::Result<Option<u32>>,
) -> Result<usize, Problem> {
    if place.frame > tail.next_frame {
        return Err(mismatch(place.frame, tail.next_frame));
    }
    let known = usize::try_from(tail.next_frame - place.frame).unwrap_or(usize::MAX).min(place.frames.len());
    let read = |number| {
        stored(number)
            .map_err(|error| Problem::new(Code::Internal, format!("failed to read frame {number}: {:?}", error.kind())))
    };
    if place.frame == tail.next_frame {
        if place.previous != tail.last_wire_checksum {
            return Err(diverged(place.frame.saturating_sub(1), place.previous, tail.last_wire_checksum));
        }
    } else if let Some(number) = place.frame.checked_sub(1)
        && let Some(checksum) = read(number)?
        && checksum != place.previous
    {
        return Err(diverged(number, place.previous, checksum));
    }
    for (number, frame) in (place.frame..).zip(&place.frames[..known]) {
        if let Some(checksum) = read(number)?
            && checksum != frame.wire_checksum
        {
            return Err(diverged(number, frame.wire_checksum, checksum));
        }
    }
    check_order(place, known, tail)?;
    Ok(known)
}

fn check_order(place: &Place, known: usize, tail: &Tail) -> Result<(), Problem> {
    let mut expected = *tail;
    for frame in &place.frames[known..] {
        let header: Header = frame.draft.view().header();
        let numbers = header.numbers;
        let wrong = |what: &str, expected: u64, got: u64| {
            let detail = format!("frame {} has {what} {got}; {expected} comes next", numbers.number);
            Err(Problem::new(Code::InvalidArgument, detail).field(what).expected(expected).got(got))
        };
        if numbers.number != expected.next_frame {
            return wrong("frame number", expected.next_frame, numbers.number);
        }
        if numbers.base_offset != expected.next_offset {
            return wrong("offset", expected.next_offset, numbers.base_offset);
        }
        if !(expected.last_epoch..=place.epoch).contains(&numbers.epoch) {
            return wrong("epoch", u64::from(place.epoch), u64::from(numbers.epoch));
        }
        expected = expected.after(&header, (0, 0), frame.wire_checksum);
    }
    Ok(())
}

fn mismatch(got: u64, next: u64) -> Problem {
    let detail = format!("frame {got} leaves a gap; {next} comes next");
    Problem::new(Code::FrameMismatch, detail).field("frame").expected(next).got(got)
}

fn diverged(number: u64, theirs: u32, ours: u32) -> Problem {
    let detail = format!("frame {number} has checksum {ours:08x} here and {theirs:08x} at the writer");
    Problem::new(Code::Diverged, detail).field("frame").got(number)
}

#[cfg(test)]
mod tests {
    use logstore_api::frame::control::{self, Trim};
    use logstore_api::frame::{Kind, Numbers};

    use super::*;

    const SALT: Salt = Salt(77);

    /// Control frames with these numbers and epochs, as a writer sends them.
    fn body(frames: &[(u64, u32)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (number, epoch) in frames {
            let mut draft = control::draft(Kind::Trim, &Trim { before: 0 }.encode(), Salt::WIRE);
            draft.seal(Numbers { number: *number, base_offset: 5, time_us: 1, epoch: *epoch }, Salt::WIRE, 0);
            body.extend_from_slice(draft.bytes());
        }
        body
    }

    fn place(frames: &[(u64, u32)], previous: u32) -> Place {
        Place {
            epoch: 4,
            writer: Uuid::nil(),
            frame: frames[0].0,
            previous,
            confirmed: 0,
            durability: Durability::Synced,
            frames: parse_frames(&body(frames), SALT).unwrap(),
        }
    }

    fn tail(next_frame: u64, last_wire_checksum: u32) -> Tail {
        Tail { next_frame, next_offset: 5, last_epoch: 3, last_wire_checksum, ..Tail::default() }
    }

    fn code(result: Result<usize, Problem>) -> String {
        result.unwrap_err().code
    }

    #[test]
    fn the_next_frames_are_appended() {
        assert_eq!(known_frames(&place(&[(8, 3), (9, 4)], 55), &tail(8, 55), |_| Ok(None)), Ok(0));
    }

    #[test]
    fn frames_that_stand_here_are_known_when_they_are_the_same() {
        let place = place(&[(8, 4), (9, 4), (10, 4)], 55);
        let checksums: Vec<u32> = place.frames.iter().map(|frame| frame.wire_checksum).collect();
        let stored = |number: u64| {
            let at = usize::try_from(number).unwrap();
            Ok(Some(if number == 7 { 55 } else { checksums[at - 8] }))
        };
        assert_eq!(known_frames(&place, &tail(10, checksums[1]), stored), Ok(2));
        let other = |number: u64| Ok(Some(if number == 9 { 1 } else { stored(number)?.unwrap() }));
        assert_eq!(code(known_frames(&place, &tail(10, checksums[1]), other)), "diverged");
        assert_eq!(code(known_frames(&place, &tail(10, checksums[1]), |_| Ok(Some(1)))), "diverged");
        assert_eq!(known_frames(&place, &tail(10, checksums[1]), |_| Ok(None)), Ok(2), "gone by retention");
    }

    #[test]
    fn gaps_and_other_histories_are_refused() {
        let gap = known_frames(&place(&[(9, 4)], 55), &tail(8, 55), |_| Ok(None)).unwrap_err();
        assert_eq!((gap.code.as_str(), gap.expected), ("frame_mismatch", Some(8.into())));
        assert_eq!(code(known_frames(&place(&[(8, 4)], 54), &tail(8, 55), |_| Ok(None))), "diverged");
        assert_eq!(code(known_frames(&place(&[(8, 4), (10, 4)], 55), &tail(8, 55), |_| Ok(None))), "invalid_argument");
        assert_eq!(code(known_frames(&place(&[(8, 5)], 55), &tail(8, 55), |_| Ok(None))), "invalid_argument");
        assert_eq!(code(known_frames(&place(&[(8, 2)], 55), &tail(8, 55), |_| Ok(None))), "invalid_argument");
    }

    #[test]
    fn only_the_writer_in_force_may_place() {
        let writer = Uuid::from_u128(1);
        let reign = Reign { epoch: 4, writer, label: "append".into() };
        assert_eq!(check_reign(Some(&reign), 4, writer), Ok(()));
        for (epoch, writer) in [(3, writer), (5, writer), (4, Uuid::from_u128(2))] {
            let problem = check_reign(Some(&reign), epoch, writer).unwrap_err();
            assert!(problem.is(Code::Fenced));
            assert_eq!(serde_json::from_value::<Reign>(problem.more["writer"].clone()).unwrap(), reign);
        }
        assert!(check_reign(None, 1, writer).is_err());
    }

    #[test]
    fn a_body_that_is_no_frames_is_refused_with_its_byte() {
        let mut bytes = body(&[(1, 1), (2, 1)]);
        let second = bytes.len() / 2;
        bytes[second + 70] ^= 1;
        assert_eq!(parse_frames(&bytes, SALT).unwrap_err().more["byte"], second);
        assert!(parse_frames(&bytes[..second - 1], SALT).is_err());
        assert_eq!(parse_frames(b"", SALT).unwrap().len(), 0);
        let mut local = control::draft(Kind::Padding, b"", Salt::WIRE);
        local.seal(Numbers { number: 0, base_offset: 0, time_us: 0, epoch: 0 }, Salt::WIRE, 0);
        assert!(parse_frames(local.bytes(), SALT).is_err());
    }
}
