//! `fio`, the measure of disks: the one that is installed, or one that is fetched into the cache folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Random reads of 4 KiB per second that the disk gives of a file, 32 at a time, past the page cache.
pub(crate) fn random_reads_per_second(path: &Path) -> f64 {
    let (program, libraries) = find();
    let options = "--name=reads --readonly --rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth=32 --runtime=1 \
        --time_based --output-format=json";
    let mut command = Command::new(program);
    command.args(options.split_whitespace()).arg(format!("--filename={}", path.display()));
    if let Some(libraries) = libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "fio: {}", output.status);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    report["jobs"][0]["read"]["iops"].as_f64().unwrap()
}

/// The program, and where its libraries are unless the system has them.
fn find() -> (PathBuf, Option<PathBuf>) {
    if Command::new("fio").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return ("fio".into(), None);
    }
    let cached = cache_folder().join("fio");
    let program = cached.join("usr/bin/fio");
    if !program.exists() {
        fetch(&cached);
    }
    let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    (program, Some(cached.join(libraries)))
}

/// Unpacks Debian's package and those of its libraries that are not installed.
fn fetch(to: &Path) {
    const SCRIPT: &str = "set -e; mkdir -p \"$1.new\"; cd \"$1.new\"; \
        apt-get download $(apt-get --simulate --no-install-recommends install fio | awk '/^Inst/ {print $2}'); \
        for package in *.deb; do dpkg -x \"$package\" .; rm \"$package\"; done; rm -rf \"$1\"; mv \"$1.new\" \"$1\"";
    eprintln!("fio is not installed; it is unpacked into {}", to.display());
    let status = Command::new("sh").args(["-c", SCRIPT, "fetch"]).arg(to).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "failed to fetch fio: {status}; install it and try again");
}

/// Where builds and tests of this repository keep what they have fetched.
fn cache_folder() -> PathBuf {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || of("HOME").expect("HOME or LOGSTORE_CACHE is set").join(".cache");
    of("LOGSTORE_CACHE").unwrap_or_else(|| of("XDG_CACHE_HOME").unwrap_or_else(home).join("logstore"))
}
