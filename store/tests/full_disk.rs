//! Real disks that are full, out of inodes or read-only: small file systems in a mount namespace of their own, which
//! goes with the test. What clients were told is held against what they read.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Answer, Connection, Start, Store, eventually};

const RECORDS: &str = "/v1/namespaces/orders/records";
/// Times that a disk in memory is filled and freed.
const CYCLES: usize = 20;
/// The same for one that has to sync.
const CYCLES_EXT4: usize = 10;

/// A small disk. It ends with this value, and with the process that holds its namespace.
struct Disk {
    holder: Child,
    dir: tempfile::TempDir,
    /// Words that make a command see it, but for whose disk it is.
    enter: &'static [&'static str],
}

impl Disk {
    /// A file system in memory; `None`, loudly, where that is not allowed here.
    fn tmpfs(options: &str) -> Option<Self> {
        Self::mount(
            &format!("mount -t tmpfs -o {options} none \"$0/mnt\""),
            "unshare --mount --map-root-user",
            &["--user", "--preserve-credentials"],
        )
    }

    /// A file system with a journal, in a file.
    fn ext4(mib: u32) -> Option<Self> {
        let make = format!("truncate -s {mib}M \"$0/image\" && mkfs.ext4 -q -m 0 -O ^resize_inode \"$0/image\"");
        Self::mount(
            &format!("{make} && mount -o loop,errors=remount-ro \"$0/image\" \"$0/mnt\""),
            "unshare --mount",
            &[],
        )
    }

    fn mount(mount: &str, unshare: &str, enter: &'static [&'static str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("mnt")).unwrap();
        let script = format!("{mount} && chmod 777 \"$0/mnt\" && echo mounted && exec sleep 100000");
        let words: Vec<&str> = unshare.split(' ').chain(["sh", "-c", &script]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.trim() == "mounted" {
            return Some(Self { holder, dir, enter });
        }
        let _ = holder.kill();
        let said = holder.wait_with_output().unwrap().stderr;
        eprintln!("SKIPPED: no such disk can be had here ({}): {mount}", String::from_utf8_lossy(&said).trim());
        None
    }

    /// Words in front of a command that make it see the disk.
    fn inside(&self) -> Vec<String> {
        let target = format!("--target={}", self.holder.id());
        ["nsenter", &target, "--mount"].iter().chain(self.enter).map(|word| (*word).to_owned()).collect()
    }

    fn start(&self) -> Start {
        Start { wrapper: self.inside(), ..Start::default() }
    }

    /// Where the store has its root, as seen from inside.
    fn root(&self) -> PathBuf {
        self.dir.path().join("mnt/root")
    }

    fn store(&self) -> Store {
        Store::on(&self.root(), &self.start())
    }

    /// The same place as this process sees it.
    fn seen(&self, name: &str) -> PathBuf {
        let inside = self.dir.path().join("mnt").join(name);
        Path::new(&format!("/proc/{}/root", self.holder.id())).join(inside.strip_prefix("/").unwrap())
    }

    fn run(&self, script: &str) -> bool {
        let words = self.inside();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["sh", "-c", script]).arg(self.dir.path());
        command.stderr(Stdio::null()).status().unwrap().success()
    }

    /// Takes all the room that is left, to the last byte.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.seen("filler")).unwrap();
        for len in [1 << 20, 1 << 12, 1] {
            while filler.write_all(&vec![1; len]).and_then(|()| filler.sync_data()).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.seen("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// What was acknowledged: by offset, the byte that the record repeats and its length.
#[derive(Default)]
struct Oracle {
    records: BTreeMap<u64, (u8, usize)>,
}

impl Oracle {
    fn append(&mut self, connection: &mut Connection, byte: u8, len: usize) -> Answer {
        let answer = connection.send("POST", RECORDS, &[], &vec![byte; len]).unwrap();
        if answer.status == 200 {
            let offset = answer.json()["offset"].as_u64().unwrap();
            assert!(self.records.insert(offset, (byte, len)).is_none(), "offset {offset} was given twice");
        }
        answer
    }

    /// Appends until the disk is full.
    fn fill(&mut self, store: &Store, byte: u8, len: usize) {
        let mut connection = Connection::open(store.address);
        loop {
            let answer = self.append(&mut connection, byte, len);
            if answer.status != 200 {
                assert_eq!(answer.problem(), (507, "disk_full".into()));
                return;
            }
        }
    }

    fn check(&self, store: &Store) {
        let mut connection = Connection::open(store.address);
        for (offset, (byte, len)) in &self.records {
            let answer = connection.send("GET", &format!("{RECORDS}/{offset}"), &[], b"").unwrap();
            assert_eq!(answer.status, 200, "offset {offset}: {answer:?}");
            assert!(answer.body.len() == *len && answer.body.iter().all(|one| one == byte), "offset {offset}");
        }
    }

    fn trim(&mut self, store: &Store, before: u64) {
        let answer = store.post("/v1/namespaces/orders/trim", format!("{{\"before\":{before}}}").as_bytes());
        assert_eq!(answer.json()["start"], before, "{answer:?}");
        self.records.retain(|offset, _| *offset >= before);
    }
}

fn small_segments(store: &Store, name: &str) {
    let config = serde_json::json!({"rotation": {"max_segment_bytes": 2 * 1024 * 1024}});
    let answer = store.put(&format!("/v1/namespaces/{name}"), &config);
    assert!(answer.status < 300, "{answer:?}");
}

/// Fills and frees it again and again; sometimes a stranger takes the last byte, sometimes the store is killed.
fn fill_and_free(disk: &Disk, cycles: usize) {
    let mut store = disk.store();
    let mut oracle = Oracle::default();
    small_segments(&store, "orders");
    for cycle in 0..cycles {
        let byte = u8::try_from(cycle).unwrap();
        oracle.fill(&store, byte, 700_000 + cycle);
        if cycle % 3 == 1 {
            disk.fill();
            // Also before the store has looked at the disk again: the write itself finds no room.
            let mut connection = Connection::open(store.address);
            (0..5).for_each(|_| assert_eq!(oracle.append(&mut connection, byte, 100_000).status, 507));
        }
        if cycle % 5 == 2 {
            store = store.crash(&disk.start());
        }
        if cycle % 5 == 4 {
            store = store.restart(&disk.start());
        }
        if cycle % 4 == 1 {
            oracle.check(&store);
        }
        if cycle % 3 == 1 {
            disk.free();
        }
        let offsets: Vec<u64> = oracle.records.keys().copied().collect();
        let half = offsets[offsets.len() / 2];
        eventually("a trim", || store.post("/v1/namespaces/orders/trim", b"{\"before\":0}").status == 200);
        oracle.trim(&store, half);
        let mut connection = Connection::open(store.address);
        eventually("room", || oracle.append(&mut connection, byte, 1_000).status == 200);
    }
    oracle.check(&store);
    oracle.check(&store.restart(&disk.start()));
}

#[test]
fn a_small_memory_disk_is_filled_and_freed() {
    let Some(disk) = Disk::tmpfs("size=28m") else { return };
    fill_and_free(&disk, CYCLES);
}

#[test]
fn a_small_ext4_is_filled_and_freed() {
    let Some(disk) = Disk::ext4(36) else { return };
    fill_and_free(&disk, CYCLES_EXT4);
}

/// A store that writes its log into a file and has an admin port.
struct Watched {
    store: Store,
    log: PathBuf,
}

impl Watched {
    fn start(disk: &Disk, number: usize) -> Self {
        let log = disk.dir.path().join(format!("log-{number}"));
        let mut start = disk.start();
        start.wrapper.extend(["env", "LOGSTORE_LOG=info", "sh", "-c", "exec \"$@\" 2>\"$0\""].map(String::from));
        start.wrapper.push(log.display().to_string());
        start.arguments = ["--admin", "127.0.0.1:0"].map(String::from).to_vec();
        Self { store: Store::on(&disk.root(), &start), log }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn admin(&self, method: &str, path: &str) -> Answer {
        let said = self.said();
        let line = said.lines().find(|line| line.contains("the admin port listens")).unwrap();
        let address = line.rsplit("address=").next().unwrap().trim().parse().unwrap();
        Connection::open(address).send(method, path, &[], b"").unwrap()
    }

    fn metric(&self, name: &str) -> u64 {
        let metrics = self.admin("GET", "/metrics");
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
        line.unwrap().parse().unwrap()
    }
}

/// Everything that needs no room goes on without any, and the rest comes back with it.
fn without_a_byte(disk: &Disk) {
    let store = disk.store();
    let mut oracle = Oracle::default();
    ["orders", "spare"].iter().for_each(|name| small_segments(&store, name));
    oracle.fill(&store, 1, 900_000);
    disk.fill();
    // With the mark of an orderly stop, which finds no room itself, and after a crash.
    drop(store.restart(&disk.start()));
    let watched = Watched::start(disk, 0);
    let store = &watched.store;
    oracle.check(store);
    for _ in 0..100 {
        assert_eq!(store.post(RECORDS, b"x").problem(), (507, "disk_full".into()));
        assert_eq!(store.post("/v1/namespaces/new/records", b"x").status, 507);
    }
    let info = store.get("/v1/namespaces/orders").json();
    assert_eq!(info["partitions"][0]["end"], *oracle.records.keys().last().unwrap() + 1);
    assert_eq!(store.send("DELETE", "/v1/namespaces/spare", &[], b"").status, 204);
    assert_eq!(store.get("/v1/namespaces").json()["namespaces"].as_array().unwrap().len(), 1);
    assert_eq!(watched.admin("GET", "/readyz").status, 200);
    assert_eq!(watched.metric("logstore_disk_low"), 1);
    let said = watched.said();
    assert_eq!(said.matches("the disk is full or read-only").count(), 1, "once, not per request: {said}");
    disk.free();
    let offsets: Vec<u64> = oracle.records.keys().copied().collect();
    oracle.trim(store, offsets[offsets.len() / 2]);
    let mut connection = Connection::open(store.address);
    eventually("room", || oracle.append(&mut connection, 2, 1_000).status == 200);
    oracle.check(store);
}

#[test]
fn without_a_byte_left_in_memory_a_store_starts_and_serves() {
    let Some(disk) = Disk::tmpfs("size=28m") else { return };
    without_a_byte(&disk);
}

#[test]
fn without_a_byte_left_on_ext4_a_store_starts_and_serves() {
    let Some(disk) = Disk::ext4(36) else { return };
    without_a_byte(&disk);
}

/// A repair told of each file that it had written it, and "done", though the disk had taken none of them.
#[test]
fn a_repair_tells_what_a_full_disk_did_not_take() {
    let Some(disk) = Disk::tmpfs("size=40m") else { return };
    let mut store = disk.store();
    small_segments(&store, "orders");
    let mut connection = Connection::open(store.address);
    let mut oracle = Oracle::default();
    (0..5).for_each(|_| assert_eq!(oracle.append(&mut connection, 5, 900_000).status, 200));
    assert!(store.stop().success());
    assert!(disk.run("rm -f \"$0\"/mnt/root/ns/orders/0/*.idx \"$0\"/mnt/root/ns/orders/0/*.seal"));
    let repair = || {
        let words =
            [disk.inside(), [common::binary(), "repair", "--yes", "--root"].map(String::from).to_vec()].concat();
        let output = Command::new(&words[0]).args(&words[1..]).arg(disk.root()).output().unwrap();
        let [said, why] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), said, why)
    };
    disk.fill();
    let (code, said, why) = repair();
    assert!(code == Some(1) && why.contains("could not be made") && why.contains("No space left"), "{said} {why}");
    assert!(said.contains("not done: write ns/orders/0/") && !said.contains("\nwrite "), "{said}");
    assert!(!said.starts_with("write ") && !said.contains("\ndone"), "{said}");
    disk.free();
    let (code, said, why) = repair();
    assert!(code == Some(0) && said.contains("write ns/orders/0/") && said.contains("\ndone; "), "{said} {why}");
    assert!(!said.contains("not done"), "{said}");
    assert_eq!(repair().1, "nothing to mend\n");
    oracle.check(&disk.store());
}

#[test]
fn a_root_cannot_be_made_on_a_full_disk() {
    let Some(disk) = Disk::tmpfs("size=1m,nr_inodes=3") else { return };
    disk.fill();
    let output = Store::command(&disk.root(), &disk.start()).stdout(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there is no room to make a root at"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn without_inodes_what_needs_none_goes_on() {
    let Some(disk) = Disk::tmpfs("size=40m,nr_inodes=40") else { return };
    let store = disk.store();
    let mut oracle = Oracle::default();
    small_segments(&store, "orders");
    let mut connection = Connection::open(store.address);
    assert_eq!(oracle.append(&mut connection, 1, 100).status, 200);
    let name = |number: usize| format!("/v1/namespaces/other-{number}/records");
    let full = (0..100).find(|number| store.post(&name(*number), b"x").status != 200).unwrap();
    assert_eq!(store.post(&name(full), b"x").problem(), (507, "disk_full".into()));
    (0..10).for_each(|_| assert_eq!(oracle.append(&mut connection, 2, 100).status, 200, "the segment is there"));
    // A new segment needs a file.
    let roll = (0..40).find(|_| oracle.append(&mut connection, 3, 900_000).status != 200);
    assert!(roll.is_some());
    oracle.check(&store);
    let store = store.crash(&disk.start());
    oracle.check(&store);
    assert_eq!(store.send("DELETE", "/v1/namespaces/other-0", &[], b"").status, 204);
    let mut connection = Connection::open(store.address);
    eventually("an inode", || oracle.append(&mut connection, 4, 900_000).status == 200);
    oracle.check(&store);
}

/// A root whose disk is read-only from the start is read; nothing is lost when it can be written again.
#[test]
fn a_read_only_root_is_read_and_taken_up_again() {
    let Some(disk) = Disk::tmpfs("size=60m") else { return };
    let mut oracle = Oracle::default();
    for orderly in [true, false] {
        let mut store = disk.store();
        small_segments(&store, "orders");
        let mut connection = Connection::open(store.address);
        (0..5).for_each(|_| assert_eq!(oracle.append(&mut connection, 5, 900_000).status, 200));
        if orderly {
            assert!(store.stop().success());
        } else {
            store.signal("-KILL");
            store.wait();
        }
        assert!(disk.run("mount -o remount,ro \"$0/mnt\""));
        let mut store = disk.store();
        oracle.check(&store);
        assert_eq!(store.post(RECORDS, b"x").problem(), (507, "disk_full".into()));
        assert_eq!(store.post("/v1/namespaces/orders/trim", b"{\"before\":1}").status, 507);
        assert_eq!(store.put("/v1/namespaces/new", &serde_json::json!({})).status, 507);
        assert_eq!(store.send("DELETE", "/v1/namespaces/orders", &[], b"").status, 507);
        oracle.check(&store);
        let second = Store::command(&disk.root(), &disk.start()).stdout(Stdio::null()).output().unwrap();
        assert!(String::from_utf8(second.stderr).unwrap().contains("is in use by another store"));
        assert!(store.stop().success());
        assert!(disk.run("mount -o remount,rw \"$0/mnt\""));
        oracle.check(&disk.store());
    }
}

/// ext4 makes itself read-only when it finds an error. What was acknowledged is there, before and after a repair.
#[test]
fn a_disk_that_turns_read_only_under_a_store_loses_nothing() {
    let Some(disk) = Disk::ext4(64) else { return };
    let store = disk.store();
    let mut oracle = Oracle::default();
    let mut connection = Connection::open(store.address);
    (0..5).for_each(|_| assert_eq!(oracle.append(&mut connection, 6, 100_000).status, 200));
    let fail = "echo 1 > /sys/fs/ext4/$(basename $(findmnt -no SOURCE \"$0/mnt\"))/trigger_fs_error";
    if !disk.run(fail) {
        eprintln!("SKIPPED: this kernel does not let an error of ext4 be provoked");
        return;
    }
    for _ in 0..20 {
        let answer = oracle.append(&mut connection, 7, 1_000);
        assert!(matches!(answer.status, 503 | 507), "{answer:?}");
    }
    oracle.check(&store);
    let store = store.crash(&disk.start());
    oracle.check(&store);
    assert_eq!(store.post(RECORDS, b"x").problem(), (507, "disk_full".into()));
    drop(store);
    assert!(disk.run(
        "umount \"$0/mnt\" && { fsck.ext4 -p \"$0/image\"; test $? -lt 4; } && mount -o loop \"$0/image\" \"$0/mnt\""
    ));
    let store = disk.store();
    oracle.check(&store);
    let mut connection = Connection::open(store.address);
    // What was refused may be there or not; its offsets are not given to others.
    assert_eq!(oracle.append(&mut connection, 8, 1_000).status, 200);
}

#[test]
fn the_reserve_is_released_on_request_and_made_again_when_there_is_plenty() {
    let Some(disk) = Disk::ext4(300) else { return };
    let watched = Watched::start(&disk, 0);
    let reserve = disk.seen("root/reserve");
    eventually("the reserve", || watched.metric("logstore_reserve_bytes") > 0);
    let file = std::fs::metadata(&reserve).unwrap();
    assert!(file.blocks() * 512 >= file.len() && file.len() > 2 << 20, "{file:?}");
    disk.fill();
    eventually("a full disk", || watched.store.post(RECORDS, b"x").status == 507);
    let answer = watched.admin("POST", "/v1/reserve/release");
    assert_eq!((answer.status, answer.json()), (200, serde_json::json!({"released_bytes": file.len()})));
    assert!(!reserve.exists());
    assert_eq!(watched.admin("POST", "/v1/reserve/release").json(), serde_json::json!({"released_bytes": 0}));
    assert_eq!(watched.store.post(RECORDS, b"x").status, 507, "it is for repair, not for records");
    disk.free();
    eventually("the reserve again", || reserve.exists());
    eventually("room", || watched.store.post(RECORDS, b"x").status == 200);
}

#[test]
fn a_disk_that_fills_ends_a_load_with_partial_results() {
    let Some(disk) = Disk::tmpfs("size=64M") else { return };
    let store = disk.store();
    let url = format!("http://{}", store.address);
    let line =
        ["bench", "batch", "scan", "--record-size", "4KiB", "--duration", "600s", "--output", "json", "--server", &url];
    let (code, stdout, stderr) = common::run(&line, b"");
    let report: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!((code, &report["outcome"]), (1, &serde_json::json!("stopped")), "{stderr}");
    assert!(stderr.contains("disk_full") && stderr.contains("1 works were left out"), "{stderr}");
    let there = store.get("/v1/namespaces/bench").json()["partitions"][0]["end"].as_u64().unwrap();
    let [records, unanswered] = ["records", "unanswered"].map(|name| report[name].as_u64().unwrap());
    assert!((records..=records + 100 * unanswered).contains(&there), "{there}: {report}");
}
