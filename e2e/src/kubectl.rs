//! kubectl, as a user would call it.

use anyhow::{Context, Result};
use tokio::process::Child;

use crate::command::{self, Ran};

/// kubectl, which finds the cluster through `KUBECONFIG`.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: String,
    /// What every call begins with.
    scope: Vec<String>,
}

impl Kubectl {
    /// For the cluster as a whole.
    #[must_use]
    pub fn new(program: &str) -> Self {
        Self { program: program.to_owned(), scope: Vec::new() }
    }

    /// For a namespace.
    #[must_use]
    pub fn within(&self, namespace: &str) -> Self {
        Self { program: self.program.clone(), scope: vec!["--namespace".to_owned(), namespace.to_owned()] }
    }

    /// Runs it; its output.
    ///
    /// # Errors
    /// Where it does not end well.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        self.try_run(arguments, b"").await?.ok()
    }

    /// Runs it with this standard input, however it may end.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub async fn try_run(&self, arguments: &[&str], input: &[u8]) -> Result<Ran> {
        command::run(&self.program, &self.with_scope(arguments), input).await
    }

    /// Starts it and lets it run.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Child> {
        command::spawn(&self.program, &self.with_scope(arguments))
    }

    /// `kubectl apply -f -`, however it may end.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub async fn try_apply(&self, manifest: &str) -> Result<Ran> {
        self.try_run(&["apply", "-f", "-"], manifest.as_bytes()).await
    }

    /// `kubectl apply -f -`.
    ///
    /// # Errors
    /// Where it does not end well; with the manifest.
    pub async fn apply(&self, manifest: &str) -> Result<String> {
        self.try_apply(manifest).await?.ok().with_context(|| format!("failed to apply:\n{manifest}"))
    }

    fn with_scope<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        self.scope.iter().map(String::as_str).chain(arguments.iter().copied()).collect()
    }
}
