//! Looking through a root that no store is using: every byte of every log, changing nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logstore_api::NamespaceName;
use logstore_api::frame::{FrameView, Kind, control};

use super::namespace::Document;
use crate::disk::{Disk, DiskFile, Open};
use crate::log::cursor::{FRAMES_AT, Window};
use crate::log::find::side;
use crate::log::scan::{Found, Scan};
use crate::log::segment;
use crate::log::state::LogState;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Namespaces looked through.
    pub namespaces: u64,
    /// Segments looked through.
    pub segments: u64,
    /// Sound frames.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of log files.
    pub bytes: u64,
    /// What is wrong, or worth knowing.
    pub faults: Vec<Fault>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub position: u64,
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub what: String,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Records cannot be read.
    Damage,
    /// A store mends it at its next start, and nothing that was acknowledged is lost.
    Note,
}

/// A log file to look through.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    base_frame: u64,
    last: bool,
}

/// Looks through one namespace, or all of them; `progress` is told of bytes looked through and of all there are.
pub fn verify(
    disk: &Arc<dyn Disk>,
    root: &Path,
    only: Option<&NamespaceName>,
    mut progress: impl FnMut(u64, u64),
) -> io::Result<Findings> {
    let mut findings = Findings::default();
    let namespaces = list(disk, root, only, &mut findings)?;
    let total = namespaces.iter().flat_map(|(_, logs)| logs.iter().flatten()).map(|log| len_of(disk, &log.path)).sum();
    for (document, partitions) in namespaces {
        findings.namespaces += 1;
        for logs in partitions {
            // Where the log should go on: the number after the last frame of the segment before.
            let mut next: Option<(u64, u64)> = None;
            for log in logs {
                next = Look { disk, document: &document, log: &log, findings: &mut findings }.segment(next)?;
                progress(findings.bytes, total);
            }
        }
    }
    Ok(findings)
}

/// The namespaces, with the log files of each of their partitions.
fn list(
    disk: &Arc<dyn Disk>,
    root: &Path,
    only: Option<&NamespaceName>,
    findings: &mut Findings,
) -> io::Result<Vec<(Document, Vec<Vec<LogFile>>)>> {
    let mut namespaces = Vec::new();
    for entry in disk.list(&root.join("ns"))? {
        if entry.starts_with('.') {
            continue;
        }
        let dir = root.join("ns").join(&entry);
        match Document::read(&**disk, &dir) {
            Ok(document) if only.is_none_or(|only| *only == document.name) => {
                let partitions = (0..document.partition_count()).map(|number| dir.join(number.to_string()));
                let logs = partitions.map(|dir| list_partition(disk, dir, findings)).collect::<io::Result<_>>()?;
                namespaces.push((document, logs));
            }
            Ok(_) => {}
            Err(error) => findings.faults.push(Fault {
                path: dir.join("config"),
                position: 0,
                severity: Severity::Damage,
                what: format!("the namespace's configuration cannot be read: {error}"),
            }),
        }
    }
    namespaces.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    Ok(namespaces)
}

fn list_partition(disk: &Arc<dyn Disk>, dir: PathBuf, findings: &mut Findings) -> io::Result<Vec<LogFile>> {
    match list_logs(disk, &dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = "the partition's directory is missing".to_owned();
            findings.faults.push(Fault { path: dir, position: 0, severity: Severity::Damage, what });
            Ok(Vec::new())
        }
        logs => logs,
    }
}

fn list_logs(disk: &Arc<dyn Disk>, dir: &Path) -> io::Result<Vec<LogFile>> {
    let mut bases: Vec<u64> = disk.list(dir)?.iter().filter_map(|name| segment::parse_file_name(name)).collect();
    bases.sort_unstable();
    let last = bases.last().copied();
    let log = |base_frame| LogFile {
        path: dir.join(segment::file_name(base_frame)),
        base_frame,
        last: Some(base_frame) == last,
    };
    Ok(bases.into_iter().map(log).collect())
}

fn len_of(disk: &Arc<dyn Disk>, path: &Path) -> u64 {
    disk.open(path, Open::Read).and_then(|file| file.size()).unwrap_or(0)
}

/// A look at one segment.
struct Look<'a> {
    disk: &'a Arc<dyn Disk>,
    document: &'a Document,
    log: &'a LogFile,
    findings: &'a mut Findings,
}

impl Look<'_> {
    fn fault(&mut self, position: u64, severity: Severity, what: impl Into<String>) {
        let path = self.log.path.clone();
        self.findings.faults.push(Fault { path, position, severity, what: what.into() });
    }

    /// Looks through the segment; the frame number and offset that come after it.
    fn segment(&mut self, before: Option<(u64, u64)>) -> io::Result<Option<(u64, u64)>> {
        let file = self.disk.open(&self.log.path, Open::Read)?;
        let len = file.size()?;
        self.findings.segments += 1;
        self.findings.bytes += len;
        let header = segment::read_header(&*file)?
            .filter(|header| header.base_frame == self.log.base_frame && header.salt == self.document.salt());
        if header.is_none() {
            self.fault(0, Severity::Note, "the segment's header is damaged; its frames are read without it");
        }
        if let Some((frame, _)) = before
            && frame != self.log.base_frame
        {
            let base = self.log.base_frame;
            self.fault(0, Severity::Damage, format!("frames {frame} to {base} are missing before this segment"));
        }
        self.side_files();
        let mut next = header.map(|header| (header.base_frame, header.base_offset)).or(before);
        let frames = self.findings.frames;
        self.frames(&file, len, &mut next)?;
        if self.findings.frames == frames {
            // Each segment begins with a snapshot at least.
            self.fault(0, Severity::Damage, "the segment holds no sound frame");
        }
        Ok(next)
    }

    fn side_files(&mut self) {
        let (disk, path) = (&**self.disk, &self.log.path);
        let seal = segment::read_seal(disk, path);
        let seed = side::seed(self.document.salt(), self.log.base_frame);
        let mut damaged = side::damaged_files(disk, path, seed, seal.as_ref().map(|seal| &seal.files));
        if seal.is_none() && disk.open(&path.with_extension("seal"), Open::Read).is_ok() {
            damaged.push("seal");
        }
        for extension in damaged {
            let what = format!("the segment's .{extension} file is damaged; it is made again from the log");
            self.fault(0, Severity::Note, what);
        }
    }

    fn frames(&mut self, file: &Arc<dyn DiskFile>, len: u64, next: &mut Option<(u64, u64)>) -> io::Result<()> {
        let mut scan = Scan::new(Window::new(Arc::clone(file), len), self.document.salt(), FRAMES_AT, len);
        loop {
            match scan.step()? {
                Found::End => return Ok(()),
                Found::Frame { position, frame } => self.frame(position, &frame, next),
                Found::Damage { from, until } => {
                    self.fault(from, Severity::Damage, format!("{} bytes do not verify", until - from));
                }
                Found::Tail { from, whole: Some(header) } => {
                    let count = header.record_count;
                    self.fault(from, Severity::Damage, format!("a frame of {count} records does not verify"));
                    *next = Some((header.numbers.number + 1, header.numbers.base_offset + header.offset_count()));
                }
                Found::Tail { from, whole: None } if self.log.last => {
                    let what = format!(
                        "a torn tail of {} bytes; the next start keeps it in quarantine and cuts it off",
                        len - from
                    );
                    self.fault(from, Severity::Note, what);
                }
                Found::Tail { from, whole: None } => {
                    self.fault(from, Severity::Damage, format!("the last {} bytes do not verify", len - from));
                }
            }
        }
    }

    fn frame(&mut self, position: u64, frame: &FrameView<'_>, next: &mut Option<(u64, u64)>) {
        let header = frame.header();
        self.findings.frames += 1;
        if header.kind == Kind::Snapshot && control::body(frame).and_then(LogState::decode).is_none() {
            self.fault(
                position,
                Severity::Note,
                "a snapshot is not understood; it is made again from the segment before",
            );
        }
        if !header.kind.is_ordered() {
            return;
        }
        let (number, offset) = (header.numbers.number, header.numbers.base_offset);
        if let Some((next_number, next_offset)) = *next
            && (number, offset) != (next_number, next_offset)
        {
            let what = format!(
                "frame {number} at offset {offset} stands where frame {next_number} at offset {next_offset} comes next"
            );
            self.fault(position, Severity::Damage, what);
        }
        if header.kind == Kind::Data {
            self.findings.records += u64::from(header.record_count);
            if frame.records().any(|record| record.meta().is_err()) {
                self.fault(position, Severity::Note, "a record's metadata is not understood; it is of a newer release");
            }
        }
        *next = Some((number + 1, offset + header.offset_count()));
    }
}
