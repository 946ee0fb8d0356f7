//! Servers under load: processes of their own, ended when they go out of scope.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// Where data under measurement goes: beside the build, on a real disk.
pub(crate) fn scratch() -> PathBuf {
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&scratch).unwrap();
    scratch
}

impl Server {
    /// The HTTP stack doing nothing, whose namespaces are on this root.
    pub(crate) fn null(root: &Path) -> Self {
        Self::start(Command::new(std::env::current_exe().unwrap()).arg("null-server").arg(root))
    }

    /// A store on this root.
    pub(crate) fn store(root: &Path) -> Self {
        Self::store_with(root, None)
    }

    /// A store on this root with a configuration file.
    pub(crate) fn store_with(root: &Path, config: Option<&Path>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logstore"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--root"]).arg(root).env("LOGSTORE_LOG", "warn");
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        Self::start(&mut command)
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().parse().expect(&line);
        Self { child, address }
    }

    /// Creates a namespace.
    pub(crate) fn put_namespace(&self, name: &str, config: &str) {
        let answer = self.request("PUT", &format!("/v1/namespaces/{name}"), config.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&answer));
    }

    /// One request on a connection of its own; the whole answer.
    pub(crate) fn request(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        self.request_with(method, path, "", body)
    }

    /// The same with more header lines.
    pub(crate) fn request_with(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let len = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Length: {len}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// Resident memory, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
