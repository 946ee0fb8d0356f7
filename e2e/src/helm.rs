//! helm, as a user would call it.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::command::{self, Ran};
use crate::contract::repository;

/// How long helm waits for what it has made.
const TIMEOUT: &str = "120s";

/// helm, which finds the cluster through `KUBECONFIG`.
#[derive(Clone, Debug)]
pub struct Helm {
    program: String,
    namespace: String,
    release: String,
}

impl Helm {
    /// For one release in one namespace.
    #[must_use]
    pub fn new(program: &str, namespace: &str, release: &str) -> Self {
        Self { program: program.to_owned(), namespace: namespace.to_owned(), release: release.to_owned() }
    }

    /// Whether the release is there.
    ///
    /// # Errors
    /// Where helm fails.
    pub async fn is_installed(&self) -> Result<bool> {
        let ran = self.try_run(&["status", &self.release]).await?;
        match ran.code {
            Some(0) => Ok(true),
            _ if ran.stderr.contains("not found") => Ok(false),
            _ => bail!("{}", ran.account()),
        }
    }

    /// `helm install`, and waits until what it made is ready.
    ///
    /// # Errors
    /// Where helm fails.
    pub async fn install(&self, values: &[String]) -> Result<String> {
        self.release_with("install", values).await
    }

    /// `helm upgrade` with all values anew, and waits.
    ///
    /// # Errors
    /// Where helm fails.
    pub async fn upgrade(&self, values: &[String]) -> Result<String> {
        self.release_with("upgrade", values).await
    }

    /// `helm test`.
    ///
    /// # Errors
    /// Where helm fails, or the test does.
    pub async fn test(&self) -> Result<String> {
        self.run(&["test", &self.release, "--logs", "--timeout", TIMEOUT]).await
    }

    /// `helm uninstall`, and waits until everything is gone.
    ///
    /// # Errors
    /// Where helm fails.
    pub async fn uninstall(&self) -> Result<String> {
        self.run(&["uninstall", &self.release, "--wait", "--timeout", TIMEOUT]).await
    }

    async fn release_with(&self, verb: &str, values: &[String]) -> Result<String> {
        let chart = chart().display().to_string();
        let mut arguments = vec![verb, &self.release, &chart, "--wait", "--timeout", TIMEOUT];
        for value in values {
            arguments.extend(["--set", value]);
        }
        self.run(&arguments).await
    }

    async fn run(&self, arguments: &[&str]) -> Result<String> {
        self.try_run(arguments).await?.ok()
    }

    async fn try_run(&self, arguments: &[&str]) -> Result<Ran> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--namespace", &self.namespace]).collect();
        command::run(&self.program, &arguments, b"").await
    }
}

/// The chart under test.
#[must_use]
pub fn chart() -> PathBuf {
    repository().join("charts/logstore-operator")
}
