//! Looking through a root that no store is using: every byte of every log and every document, changing nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logstore_api::NamespaceName;
use logstore_api::frame::{FrameView, Kind, control};
use serde::Serialize;

use super::root::{OfflineError, StoppedRoot, quietly};
use crate::disk::dry::Act;
use crate::disk::{Disk, DiskFile, Open};
use crate::engine::escape::directory_name;
use crate::engine::fences::Fences;
use crate::engine::namespace::Document;
use crate::engine::root::{CleanMarks, NamespaceMarks, read_clean_marks};
use crate::log::confirmed;
use crate::log::cursor::{FRAMES_AT, Window};
use crate::log::find::side;
use crate::log::recovery::CleanMark;
use crate::log::scan::{Found, Scan};
use crate::log::segment;
use crate::log::state::LogState;

/// Faults that are described; of more, only their number is told.
const FAULTS_MAX: usize = 10_000;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// All of it.
    pub total: Counts,
    /// Each namespace, by name.
    pub namespaces: Vec<NamespaceFindings>,
    /// What is wrong, or worth knowing.
    pub faults: Vec<Fault>,
    /// Faults that are not described.
    pub more_faults: u64,
    /// What the next start would do to the files.
    pub at_start: Vec<String>,
}

/// What was looked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Log files.
    pub segments: u64,
    /// Sound frames.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of log files.
    pub bytes: u64,
}

/// A namespace that was looked through.
#[derive(Clone, Debug, Serialize)]
pub struct NamespaceFindings {
    /// Its name.
    pub name: NamespaceName,
    /// Its logs that were ever used.
    pub partitions: Vec<PartitionFindings>,
}

/// A partition that was looked through.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionFindings {
    /// Its number.
    pub partition: u32,
    /// The offset at which its first segment begins.
    pub first_offset: u64,
    /// The offset after its last sound frame.
    pub end: u64,
    /// What is in it.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something cannot be read.
    Damage,
    /// Records are gone, the log knows it, and everything around them is in order.
    Hole,
    /// A store mends it at its next start, and nothing that was acknowledged is lost.
    Note,
}

impl Findings {
    /// How many faults of this severity are described.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.faults.iter().filter(|fault| fault.severity == severity).count()
    }

    fn note(&mut self, path: &Path, position: u64, severity: Severity, what: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { path: path.to_owned(), position, severity, what: what.into() });
        } else {
            self.more_faults += 1;
        }
    }
}

/// A namespace's files.
struct Files {
    dir: PathBuf,
    document: Document,
    partitions: Vec<(u32, Vec<LogFile>)>,
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
    root: &StoppedRoot,
    only: Option<&NamespaceName>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Findings, OfflineError> {
    let failed = || OfflineError::files(format!("read {}", root.path().display()));
    let mut findings = Findings::default();
    let disk = root.disk();
    let clean = root_documents(root, &mut findings);
    let namespaces = list(disk, root.path(), only, &mut findings).map_err(failed())?;
    missing_namespaces(root, only, &clean, &mut findings);
    if let Some(only) = only.filter(|_| namespaces.is_empty() && findings.faults.is_empty()) {
        let (name, root) = (only.as_str(), root.path().display());
        return Err(OfflineError::Refused(format!("there is no namespace {name:?} in {root}")));
    }
    let logs = namespaces.iter().flat_map(|files| &files.partitions).flat_map(|(_, logs)| logs);
    let total = logs.map(|log| len_of(disk, &log.path)).sum();
    let no_marks = NamespaceMarks::default();
    for files in namespaces {
        let marks = clean.get(&files.document.name).unwrap_or(&no_marks);
        namespace(disk, &files, marks, &mut findings, &mut |bytes| progress(bytes, total)).map_err(failed())?;
    }
    rehearse(root, only, &mut findings);
    Ok(findings)
}

/// Looks through the root's own documents; what the last orderly stop has told.
fn root_documents(root: &StoppedRoot, findings: &mut Findings) -> CleanMarks {
    let (disk, path) = (root.disk(), root.path());
    match root.node() {
        Ok(Some(_)) => {}
        Ok(None) => findings.note(&path.join("node"), 0, Severity::Note, "there is no node id; a start makes one"),
        Err(error) => findings.note(&path.join("node"), 0, Severity::Damage, error.to_string()),
    }
    let clean = path.join("CLEAN");
    let mut marks = CleanMarks::default();
    match read_clean_marks(&**disk, path) {
        Ok(Some(Ok(found))) => marks = found,
        Ok(Some(Err(error))) => {
            let what =
                format!("the mark of an orderly stop cannot be read: {error}; a start verifies all logs instead");
            findings.note(&clean, 0, Severity::Note, what);
        }
        Err(error) => findings.note(&clean, 0, Severity::Damage, format!("it cannot be read: {error}")),
        Ok(None) => {}
    }
    let fences = path.join("fences");
    if let Err(error) = quietly(|| Fences::load(Arc::clone(disk), fences.clone())) {
        let what = format!("the writers' reigns cannot be read: {error}; a store does not start without them");
        findings.note(&fences, 0, Severity::Damage, what);
    }
    marks
}

/// Namespaces of which the last orderly stop has told, and whose directories are gone.
fn missing_namespaces(root: &StoppedRoot, only: Option<&NamespaceName>, clean: &CleanMarks, findings: &mut Findings) {
    for (name, marks) in clean.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        let dir = root.path().join("ns").join(directory_name(name));
        match root.disk().list(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let what = format!("the directory of namespace {:?} is gone", name.as_str());
                findings.note(&dir, 0, Severity::Damage, what);
                marks.iter().for_each(|(number, mark)| missing_end(&dir, number, (0, 0), mark, findings));
            }
            _ => {}
        }
    }
}

/// Says what the last orderly stop has told of a partition, and is there no more: what came behind the frame number and
/// the offset that the files reach.
fn missing_end(dir: &Path, number: u32, reached: (u64, u64), mark: &CleanMark, findings: &mut Findings) {
    let (frame, offset) = reached;
    let CleanMark { next_frame, next_offset, .. } = mark;
    let what = if frame >= *next_frame {
        return;
    } else if offset < *next_offset {
        format!("records {offset} to {next_offset} are gone: they were there at the last orderly stop")
    } else {
        format!(
            "frames {frame} to {next_frame} are gone, which hold no records: they were there at the last orderly stop"
        )
    };
    findings.note(&dir.join(number.to_string()), 0, Severity::Damage, what);
}

fn list(
    disk: &Arc<dyn Disk>,
    root: &Path,
    only: Option<&NamespaceName>,
    findings: &mut Findings,
) -> io::Result<Vec<Files>> {
    let mut namespaces = Vec::new();
    for entry in disk.list(&root.join("ns"))? {
        if entry.starts_with('.') {
            continue;
        }
        let dir = root.join("ns").join(&entry);
        match Document::read(&**disk, &dir) {
            Ok(document) if directory_name(&document.name) != entry => {
                let what = format!(
                    "the directory of namespace {:?} has another name; it is not served",
                    document.name.as_str()
                );
                findings.note(&dir, 0, Severity::Damage, what);
            }
            Ok(document) if only.is_none_or(|only| *only == document.name) => {
                let partitions = list_partitions(disk, &dir, &document, findings)?;
                namespaces.push(Files { dir, document, partitions });
            }
            Ok(_) => {}
            Err(_) if only.is_some_and(|only| directory_name(only) != entry) => {}
            Err(error) => {
                let what = format!("the namespace's configuration cannot be read: {error}");
                findings.note(&dir.join("config"), 0, Severity::Damage, what);
            }
        }
    }
    namespaces.sort_by(|one, other| one.document.name.cmp(&other.document.name));
    Ok(namespaces)
}

fn list_partitions(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    document: &Document,
    findings: &mut Findings,
) -> io::Result<Vec<(u32, Vec<LogFile>)>> {
    let mut partitions = Vec::new();
    for number in 0..document.partition_count() {
        match list_logs(disk, &dir.join(number.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let dir = dir.join(number.to_string());
                findings.note(&dir, 0, Severity::Damage, "the partition's directory is missing");
            }
            logs => partitions.push((number, logs?)),
        }
    }
    Ok(partitions)
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

fn namespace(
    disk: &Arc<dyn Disk>,
    files: &Files,
    marks: &NamespaceMarks,
    findings: &mut Findings,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let Files { dir, document, partitions: logs_of } = files;
    let mut partitions = Vec::new();
    for (number, mark) in marks.iter().filter(|(number, _)| logs_of.iter().all(|(there, _)| there != number)) {
        missing_end(dir, number, (0, 0), mark, findings);
    }
    for (partition, logs) in logs_of {
        let before = findings.total;
        let mut reached = (0, 0);
        let mut next: Next = None;
        let mut first_offset = None;
        for log in logs {
            let mut look = Look { disk, document, log, findings, reached: &mut reached };
            let (begins, ends) = look.segment(next)?;
            first_offset = first_offset.or(begins);
            next = ends;
            progress(findings.total.bytes);
        }
        if let Some(mark) = marks.of(*partition) {
            missing_end(dir, *partition, reached, mark, findings);
        }
        if !confirmed::is_sound(&**disk, &dir.join(partition.to_string())) {
            let path = dir.join(partition.to_string()).join(confirmed::FILE_NAME);
            findings.note(
                &path,
                0,
                Severity::Note,
                "a part of what is confirmed cannot be read; the writer tells it again",
            );
        }
        let counts = findings.total.since(before);
        let (first_offset, end) = (first_offset.unwrap_or(0), next.map_or(0, |(_, offset)| offset));
        partitions.push(PartitionFindings { partition: *partition, first_offset, end, counts });
    }
    findings.namespaces.push(NamespaceFindings { name: document.name.clone(), partitions });
    Ok(())
}

impl Counts {
    fn since(self, before: Self) -> Self {
        Self {
            segments: self.segments - before.segments,
            frames: self.frames - before.frames,
            records: self.records - before.records,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// What a start would do, found by doing it on a disk that only notes.
fn rehearse(root: &StoppedRoot, only: Option<&NamespaceName>, findings: &mut Findings) {
    let rehearsal = match root.rehearse() {
        Ok(rehearsal) => rehearsal,
        Err(error) => return findings.at_start.push(format!("fail: {error}")),
    };
    let wanted = rehearsal.engine.namespaces().into_iter().filter(|one| only.is_none_or(|only| only == one.name()));
    for namespace in wanted {
        for number in 0..namespace.partition_count() {
            if let Err(problem) = quietly(|| namespace.partition(number).map(|_| ())) {
                let what = format!("a start cannot open the log: {}", problem.detail);
                findings.note(&namespace.dir().join(number.to_string()), 0, Severity::Damage, what);
            }
        }
    }
    findings.at_start.extend(rehearsal.acts().into_iter().filter_map(|act| describe(&act, root.path())));
}

/// What an act of a start means to a person; `None` for what every start does.
pub fn describe(act: &Act, root: &Path) -> Option<String> {
    let path = match act {
        Act::Write(path) | Act::Change(path) | Act::Cut { path, .. } | Act::Remove(path) => path,
    };
    let routine = [root.join("CLEAN"), root.join("node"), root.join("LOCK")].contains(path);
    let shown = path.strip_prefix(root).unwrap_or(path).display();
    (!routine).then(|| match act {
        Act::Write(_) if path.starts_with(root.join("quarantine")) => {
            // The name ends with the time at which it is done.
            let name = shown.to_string();
            let kept = name.rsplit_once('-').map_or(name.as_str(), |(kept, _)| kept);
            format!("keep what is cut off or written over as {kept}-…")
        }
        Act::Write(_) => format!("write {shown}"),
        Act::Change(_) => format!("change {shown}"),
        Act::Cut { from, to, .. } => format!("cut {shown} from {from} to {to} bytes"),
        Act::Remove(_) => format!("remove {shown}"),
    })
}

/// Where a log should go on: the frame number and the offset after its last frame.
type Next = Option<(u64, u64)>;

/// A look at one segment.
struct Look<'a> {
    disk: &'a Arc<dyn Disk>,
    document: &'a Document,
    log: &'a LogFile,
    findings: &'a mut Findings,
    /// The frame number and the offset up to which the files tell of the log, in this segment and those before.
    reached: &'a mut (u64, u64),
}

impl Look<'_> {
    fn fault(&mut self, position: u64, severity: Severity, what: impl Into<String>) {
        self.findings.note(&self.log.path, position, severity, what);
    }

    /// Looks through the segment: the offset at which it begins, and the frame number and offset that come after it.
    fn segment(&mut self, before: Next) -> io::Result<(Option<u64>, Next)> {
        let file = self.disk.open(&self.log.path, Open::Read)?;
        let len = file.size()?;
        self.findings.total.segments += 1;
        self.findings.total.bytes += len;
        let header = segment::read_header(&*file)?
            .filter(|header| header.base_frame == self.log.base_frame && header.salt == self.document.salt());
        if header.is_none() {
            self.fault(0, Severity::Note, "the segment's header is damaged; its frames are read without it");
        }
        self.joint(before, header.map(|header| header.base_offset));
        self.side_files();
        let mut next = header.map(|header| (header.base_frame, header.base_offset)).or(before);
        if let Some(header) = header {
            self.reach(header.base_frame, header.base_offset);
        }
        let (begins, frames) = (next.map(|(_, offset)| offset), self.findings.total.frames);
        self.frames(&file, len, &mut next)?;
        if self.findings.total.frames == frames {
            // Each segment begins with a snapshot at least.
            self.fault(0, Severity::Damage, "the segment holds no sound frame");
        }
        Ok((begins, next))
    }

    fn reach(&mut self, next_frame: u64, next_offset: u64) {
        *self.reached = (*self.reached).max((next_frame, next_offset));
    }

    /// Whether the segment goes on where the one before it ends.
    fn joint(&mut self, before: Next, base_offset: Option<u64>) {
        let Some((frame, offset)) = before else { return };
        let base = self.log.base_frame;
        if frame != base {
            self.fault(0, Severity::Damage, format!("frames {frame} to {base} are missing before this segment"));
        } else if let Some(base_offset) = base_offset.filter(|base_offset| *base_offset > offset) {
            let what = format!("records {offset} to {base_offset} are missing for good; the log goes on behind them");
            self.fault(0, Severity::Hole, what);
        }
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

    fn frames(&mut self, file: &Arc<dyn DiskFile>, len: u64, next: &mut Next) -> io::Result<()> {
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
                    let behind = (header.numbers.number + 1, header.numbers.base_offset + header.offset_count());
                    self.reach(behind.0, behind.1);
                    *next = Some(behind);
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

    fn frame(&mut self, position: u64, frame: &FrameView<'_>, next: &mut Next) {
        let header = frame.header();
        self.findings.total.frames += 1;
        if header.kind == Kind::Snapshot && control::body(frame).and_then(LogState::decode).is_none() {
            self.fault(
                position,
                Severity::Note,
                "a snapshot is not understood; it is made again from the segment before",
            );
        }
        let (number, offset) = (header.numbers.number, header.numbers.base_offset);
        self.reach(number, offset);
        if !header.kind.is_ordered() {
            return;
        }
        if let Some((next_number, next_offset)) = *next
            && (number, offset) != (next_number, next_offset)
        {
            let what = format!(
                "frame {number} at offset {offset} stands where frame {next_number} at offset {next_offset} comes next"
            );
            self.fault(position, Severity::Damage, what);
        }
        if header.kind == Kind::Data {
            self.findings.total.records += u64::from(header.record_count);
            if frame.records().any(|record| record.meta().is_err()) {
                self.fault(position, Severity::Note, "a record's metadata is not understood; it is of a newer release");
            }
        }
        self.reach(number + 1, offset + header.offset_count());
        *next = Some((number + 1, offset + header.offset_count()));
    }
}
