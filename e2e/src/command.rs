//! Programs that are run: on failure the error shows the command with everything that it said.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// What a command may take where nothing else is said.
const BOUND: Duration = Duration::from_secs(180);

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    line: String,
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it complained of.
    pub stderr: String,
}

impl Ran {
    /// Its output.
    ///
    /// # Errors
    /// Where it did not end well; with its command line and all that it wrote.
    pub fn ok(self) -> Result<String> {
        match self.code {
            Some(0) => Ok(self.text()),
            _ => bail!("{}", self.account()),
        }
    }

    /// Its output as text, however it ended.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The command, how it ended, and what it wrote.
    #[must_use]
    pub fn account(&self) -> String {
        let mut account = format!("`{}` ended with {}", self.line, ending(self.code));
        for (name, text) in [("stdout", self.text()), ("stderr", self.stderr.clone())] {
            if !text.trim().is_empty() {
                let _ = write!(account, "\n{name}: {}", shortened(text.trim()));
            }
        }
        account
    }
}

fn ending(code: Option<i32>) -> String {
    code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"))
}

/// Ten thousand records help nobody who reads an error.
fn shortened(text: &str) -> String {
    const SHOWN_MAX: usize = 4_000;
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// Runs a program to its end.
///
/// # Errors
/// Where it cannot be run, or does not end in three minutes; not where it ends badly.
pub async fn run(program: &str, arguments: &[&str], input: &[u8]) -> Result<Ran> {
    let line = line(program, arguments);
    let mut child = spawn(program, arguments)?;
    let mut stdin = child.stdin.take().context("a child without standard input")?;
    let feed = async {
        // A program may end without having read everything.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let ended = tokio::time::timeout(BOUND, async { tokio::join!(feed, child.wait_with_output()).1 }).await;
    let output = ended
        .with_context(|| format!("`{line}` did not end within {} s", BOUND.as_secs()))?
        .with_context(|| format!("failed to run `{line}`"))?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Ran { line, code: output.status.code(), stdout: output.stdout, stderr })
}

/// Runs a command of the contract, which a shell takes apart, with one argument more.
///
/// # Errors
/// Where it does not end well.
pub async fn run_contract(command: &str, argument: &str) -> Result<String> {
    run("sh", &["-c", &format!("{command} \"$1\""), "sh", argument], b"").await?.ok()
}

/// Starts a program whose standard streams are piped. It ends when the child is dropped.
///
/// # Errors
/// Where it cannot be run.
pub fn spawn(program: &str, arguments: &[&str]) -> Result<Child> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("failed to run `{}`", line(program, arguments)))
}

/// A command as a person would type it, nearly.
#[must_use]
pub fn line(program: &str, arguments: &[&str]) -> String {
    let words: Vec<String> = arguments
        .iter()
        .map(|argument| match argument.contains([' ', '"', '$', '\n']) || argument.is_empty() {
            true => format!("'{argument}'"),
            false => (*argument).to_owned(),
        })
        .collect();
    format!("{program} {}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_failure_shows_the_command_and_what_it_said() {
        let ran = block_on(run("sh", &["-c", "cat; echo no >&2; exit 3"], b"yes")).unwrap();
        assert_eq!(ran.code, Some(3));
        let error = ran.ok().unwrap_err().to_string();
        assert_eq!(error, "`sh -c 'cat; echo no >&2; exit 3'` ended with exit code 3\nstdout: yes\nstderr: no");
    }

    #[test]
    fn a_contracts_command_may_have_arguments_of_its_own() {
        assert_eq!(block_on(run_contract("printf '%s-%s' one", "t w o")).unwrap(), "one-t w o");
    }

    #[test]
    fn a_program_need_not_read_its_input() {
        assert_eq!(block_on(run("true", &[], &vec![b'x'; 1 << 20])).unwrap().code, Some(0));
    }
}
