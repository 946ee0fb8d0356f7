//! Going through a segment frame by frame, every byte verified: recovery, `verify`, and frames for other copies.

use std::io;

use logstore_api::frame::{ALIGN, Fault, FrameView, HEADER_LEN, Header, MAGIC, PRODUCER_LEN, Salt};
use logstore_api::limits::FRAME_BYTES_MAX;

use super::cursor::Window;

/// Frames begin at multiples of this.
pub const STEP: u64 = ALIGN as u64;

/// What stands at a place.
#[derive(Debug)]
pub enum Found<'a> {
    /// A sound frame.
    Frame {
        /// Where it begins in the file.
        position: u64,
        /// The frame.
        frame: FrameView<'a>,
    },
    /// Bytes that do not verify, with sound frames behind them.
    Damage {
        /// Where they begin in the file.
        from: u64,
        /// Where the next sound frame begins.
        until: u64,
    },
    /// Bytes that do not verify, up to the end of the file.
    Tail {
        /// Where they begin in the file.
        from: u64,
        /// The sound header of a frame that was all there once: its offsets were given.
        whole: Option<Header>,
    },
    /// The end of the file.
    End,
}

/// A walk over a segment's frames.
#[derive(Debug)]
pub struct Scan {
    window: Window,
    salt: Salt,
    position: u64,
    limit: u64,
}

enum Next {
    Frame(usize),
    Damage(u64),
    Tail(Option<Header>),
    End,
}

impl Scan {
    /// A walk from `position` to `limit`, of the file in `window`.
    #[must_use]
    pub fn new(window: Window, salt: Salt, position: u64, limit: u64) -> Self {
        Self { window, salt, position, limit }
    }

    /// What stands at the current place; the walk goes on behind it, but never behind a [`Found::Tail`] without a
    /// whole frame.
    pub fn step(&mut self) -> io::Result<Found<'_>> {
        let from = self.position;
        match self.look()? {
            Next::End => Ok(Found::End),
            Next::Damage(until) => {
                self.position = until;
                Ok(Found::Damage { from, until })
            }
            Next::Tail(whole) => {
                self.position = whole.map_or(self.limit, |header| from + header.frame_len as u64);
                Ok(Found::Tail { from, whole })
            }
            Next::Frame(frame_len) => {
                self.position = from + frame_len as u64;
                let frame = FrameView::trusted(self.window.get(from, frame_len)?);
                Ok(Found::Frame { position: from, frame })
            }
        }
    }

    fn look(&mut self) -> io::Result<Next> {
        if self.position >= self.limit {
            return Ok(Next::End);
        }
        let fault = match verify_at(&mut self.window, self.salt, self.position)? {
            Ok(header) => return Ok(Next::Frame(header.frame_len)),
            Err(fault) => fault,
        };
        if let Some((until, _)) = find_frame(&mut self.window, self.salt, self.position + STEP)? {
            return Ok(Next::Damage(until));
        }
        let whole = match fault {
            Fault::Damaged { .. } => {
                let bytes = self.window.get(self.position, HEADER_LEN + PRODUCER_LEN)?;
                Header::verify(bytes, self.salt, self.position).ok()
            }
            Fault::NoHeader | Fault::Cut { .. } => None,
        };
        Ok(Next::Tail(whole))
    }
}

fn verify_at(window: &mut Window, salt: Salt, position: u64) -> io::Result<Result<Header, Fault>> {
    let header = match Header::verify(window.get(position, HEADER_LEN + PRODUCER_LEN)?, salt, position) {
        Ok(header) => header,
        Err(fault) => return Ok(Err(fault)),
    };
    let bytes = window.get(position, header.frame_len)?;
    Ok(FrameView::verify(bytes, salt, position).map(|_| header))
}

/// The frame that begins at a position; `None` where none does that verifies.
pub fn frame_at(window: &mut Window, salt: Salt, position: u64) -> io::Result<Option<FrameView<'_>>> {
    match verify_at(window, salt, position)? {
        Ok(header) => Ok(Some(FrameView::trusted(window.get(position, header.frame_len)?))),
        Err(_) => Ok(None),
    }
}

/// The first sound frame at or behind a position. The salt in its header's checksum keeps payloads that look like frames
/// from being taken for one.
pub fn find_frame(window: &mut Window, salt: Salt, from: u64) -> io::Result<Option<(u64, Header)>> {
    /// Bytes looked through at once; larger than any frame, so that a candidate is seldom read twice.
    const CHUNK: usize = 1024 * 1024;
    const _: () = assert!(CHUNK < FRAME_BYTES_MAX, "a candidate may need more than a chunk, and gets it");
    let mut chunk_at = from.next_multiple_of(STEP);
    loop {
        let chunk = window.get(chunk_at, CHUNK)?;
        if chunk.len() < HEADER_LEN {
            return Ok(None);
        }
        let candidates: Vec<u64> = chunk
            .chunks_exact(ALIGN)
            .enumerate()
            .filter(|(_, word)| word[..4] == MAGIC.to_le_bytes())
            .map(|(number, _)| chunk_at + number as u64 * STEP)
            .collect();
        let looked_at = (chunk.len() / ALIGN * ALIGN) as u64;
        for position in candidates {
            if let Ok(header) = verify_at(window, salt, position)? {
                return Ok(Some((position, header)));
            }
        }
        chunk_at += looked_at;
    }
}
