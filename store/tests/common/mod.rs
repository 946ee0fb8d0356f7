//! A real `logstore serve` per test, and HTTP as a stranger would speak it: over a socket, byte for byte.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A store's process; ended when it goes out of scope.
pub struct Store {
    child: Child,
    pub address: SocketAddr,
    pub root: PathBuf,
    dir: Option<tempfile::TempDir>,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How a store is started.
#[derive(Default)]
pub struct Start {
    pub config: Option<Value>,
    pub arguments: Vec<String>,
    /// Command and arguments in front of the store's.
    pub wrapper: Vec<String>,
    /// Another binary than the one that was built for the tests.
    pub binary: Option<PathBuf>,
}

pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_logstore")
}

impl Store {
    pub fn new() -> Self {
        Self::with(&Start::default())
    }

    pub fn ordered() -> Self {
        Self::with(&Start { config: Some(serde_json::json!({"ordered": true})), ..Start::default() })
    }

    pub fn with(start: &Start) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Self::on(&dir.path().join("root"), start);
        store.dir = Some(dir);
        store
    }

    pub fn on(root: &Path, start: &Start) -> Self {
        let mut child = Self::command(root, start).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("logstore serve: listening on http://") else {
            panic!("the store did not start: {line:?} {:?}", child.wait());
        };
        Self { child, address: address.parse().unwrap(), root: root.to_owned(), dir: None }
    }

    pub fn command(root: &Path, start: &Start) -> Command {
        let mut words = start.wrapper.clone();
        let binary = start.binary.as_deref().unwrap_or(Path::new(binary()));
        words.extend([binary.to_str().unwrap(), "serve", "--listen", "127.0.0.1:0", "--root"].map(str::to_owned));
        words.push(root.display().to_string());
        if let Some(config) = &start.config {
            let path = root.with_extension("config.json");
            std::fs::write(&path, config.to_string()).unwrap();
            words.extend(["--config".to_owned(), path.display().to_string()]);
        }
        words.extend(start.arguments.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("LOGSTORE_LOG", "warn");
        command
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: &str) {
        self::signal(self.pid(), signal);
    }

    /// Ends it with SIGKILL, at once.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it with SIGKILL and starts it again.
    pub fn crash(mut self, start: &Start) -> Self {
        self.signal("-KILL");
        self.child.wait().unwrap();
        let dir = self.dir.take();
        let mut store = Self::on(&self.root.clone(), start);
        store.dir = dir;
        store
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends it with SIGTERM; how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.wait().unwrap()
    }

    pub fn restart(mut self, start: &Start) -> Self {
        assert!(self.stop().success());
        self.start_again(start)
    }

    /// Starts one that was stopped.
    pub fn start_again(mut self, start: &Start) -> Self {
        let dir = self.dir.take();
        let mut store = Self::on(&self.root.clone(), start);
        store.dir = dir;
        store
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        Connection::open(self.address).send(method, path, headers, body).expect("an answer")
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[], body.to_string().as_bytes())
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[], body)
    }

    /// Appends one record to `orders`; its offset.
    pub fn append(&self, body: &[u8]) -> u64 {
        let answer = self.post("/v1/namespaces/orders/records", body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["offset"].as_u64().unwrap()
    }

    /// The payloads of `orders` from an offset on.
    pub fn texts(&self, from: &str) -> Vec<String> {
        let answer = self.get(&format!("/v1/namespaces/orders/records?limit=100000&from={from}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.lines().into_iter().map(|envelope| envelope["data"].as_str().unwrap().to_owned()).collect()
    }

    /// Files below the root, without the directories.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut dirs = vec![self.root.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { dirs.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }

    /// The log files of a namespace's directory, oldest first.
    pub fn logs(&self, directory: &str) -> Vec<PathBuf> {
        let dir = self.root.join("ns").join(directory).join("0");
        self.files()
            .into_iter()
            .filter(|path| path.starts_with(&dir) && path.extension().is_some_and(|e| e == "log"))
            .collect()
    }
}

/// Sends a signal to a process of ours.
pub fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A kept connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap()
    }

    /// An error where nobody listens.
    pub fn try_open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.write(head.as_bytes())?;
        // A server that refuses early may close before all is sent; its answer is there all the same.
        let _ = self.write(body);
        self.answer()
    }

    /// Says that nothing more comes from this side.
    pub fn shut_down(&self) {
        self.stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Reads an answer up to its body, which goes on for ever.
    pub fn head(&mut self) -> std::io::Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        Ok(Answer { status, headers, body: Vec::new() })
    }

    /// Reads one answer.
    pub fn answer(&mut self) -> std::io::Result<Answer> {
        let mut answer = self.head()?;
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks()?;
        } else if let Some(len) = answer.header("content-length") {
            answer.body = vec![0; len.parse().unwrap()];
            self.stream.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }

    fn chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk()? {
            body.extend(chunk);
        }
        Ok(body)
    }

    /// Reads a piece of a body; `None` at its end.
    pub fn chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let len = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        let mut chunk = vec![0; len + 2];
        self.stream.read_exact(&mut chunk)?;
        chunk.truncate(len);
        Ok((len > 0).then_some(chunk))
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Status and code of an error.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

/// Flips a bit of the first place in a file where each text stands; the rest of the file is there all the time.
pub fn damage(path: &Path, texts: &[&[u8]]) {
    let bytes = std::fs::read(path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    for text in texts {
        let at = bytes.windows(text.len()).position(|window| window == *text).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[bytes[at] ^ 1], at as u64).unwrap();
    }
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "{what} did not come true in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command that ends by itself: its code, standard output and standard error.
pub fn run(arguments: &[&str], stdin: &[u8]) -> (i32, Vec<u8>, String) {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    // One that refuses its arguments reads nothing.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (output.status.code().unwrap(), output.stdout, String::from_utf8(output.stderr).unwrap())
}

/// The same, for a command on the root of a stopped store.
pub fn run_on(root: &Path, arguments: &[&str]) -> (i32, String, String) {
    let root = root.display().to_string();
    let (code, stdout, stderr) = run(&[&[arguments[0], "--root", &root], &arguments[1..]].concat(), b"");
    (code, String::from_utf8(stdout).unwrap(), stderr)
}

/// Every file below a root, with its bytes.
pub fn contents(store: &Store) -> Vec<(PathBuf, Vec<u8>)> {
    store.files().into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}
