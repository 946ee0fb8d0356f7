//! What the surroundings tell, as environment variables: all that the tests know of the cluster.

use std::env;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The variables, read once.
#[derive(Clone, Debug)]
pub struct Contract {
    /// `E2E_LOAD`: loads an image archive into all nodes; the archive's path is appended.
    pub load: String,
    /// `E2E_NODE_DOWN`: ends a node with all its processes at once; the node's name is appended.
    node_down: Option<String>,
    /// `E2E_NODE_UP`: brings it back.
    node_up: Option<String>,
    /// `E2E_AUDIT_LOG`: the API server's audit log, JSON lines.
    audit_log: Option<String>,
    /// `E2E_LIMITED_STORAGE_CLASS`: a storage class whose volumes really end at their size.
    limited_storage_class: Option<String>,
    /// `E2E_KUBECTL`.
    pub kubectl: String,
    /// `E2E_HELM`.
    pub helm: String,
    /// `E2E_IMAGE`: the image under test.
    pub image: String,
    /// `E2E_IMAGE_ARCHIVE`: the file that holds it.
    pub image_archive: PathBuf,
    /// `E2E_KEEP`: leave the scenes and the operator as they are.
    pub keep: bool,
}

/// A case that these surroundings do not allow, and why. Not a failure, but counted and told.
#[derive(Debug)]
pub struct Skipped(pub String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skipped {}

impl Contract {
    /// Reads the variables.
    ///
    /// # Errors
    /// Names the variable that is missing. `KUBECONFIG` must be told: whatever cluster happens to be the current one is
    /// not a place to break things in.
    pub fn read() -> Result<Self> {
        required("KUBECONFIG", "path of the kubeconfig of a cluster for tests")?;
        Ok(Self {
            load: required("E2E_LOAD", "command that loads an image archive, for example `kind load image-archive`")?,
            node_down: optional("E2E_NODE_DOWN"),
            node_up: optional("E2E_NODE_UP"),
            audit_log: optional("E2E_AUDIT_LOG"),
            limited_storage_class: optional("E2E_LIMITED_STORAGE_CLASS"),
            kubectl: optional("E2E_KUBECTL").unwrap_or_else(|| "kubectl".to_owned()),
            helm: optional("E2E_HELM").unwrap_or_else(|| "helm".to_owned()),
            image: optional("E2E_IMAGE")
                .unwrap_or_else(|| concat!("localhost/logstore:", env!("CARGO_PKG_VERSION")).to_owned()),
            image_archive: optional("E2E_IMAGE_ARCHIVE")
                .map_or_else(|| repository().join("target/image/logstore.tar"), PathBuf::from),
            keep: optional("E2E_KEEP").is_some(),
        })
    }

    /// The commands that take a node down and bring it back.
    ///
    /// # Errors
    /// [`Skipped`].
    pub fn node_commands(&self) -> Result<(&str, &str)> {
        let down = self.node_down.as_deref().ok_or_else(|| skipped("E2E_NODE_DOWN", "no node can be taken down"))?;
        let up = self.node_up.as_deref().ok_or_else(|| skipped("E2E_NODE_UP", "no node can be brought back"))?;
        Ok((down, up))
    }

    /// The audit log.
    ///
    /// # Errors
    /// [`Skipped`].
    pub fn audit_log(&self) -> Result<PathBuf> {
        let path = self.audit_log.as_deref().ok_or_else(|| skipped("E2E_AUDIT_LOG", "requests cannot be counted"))?;
        Ok(PathBuf::from(path))
    }

    /// A storage class whose volumes really end at their size.
    ///
    /// # Errors
    /// [`Skipped`].
    pub fn limited_storage_class(&self) -> Result<&str> {
        let class = self.limited_storage_class.as_deref();
        Ok(class.ok_or_else(|| skipped("E2E_LIMITED_STORAGE_CLASS", "volumes do not end at their size"))?)
    }
}

/// The root of the checkout.
#[must_use]
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where the tests leave what they have to tell.
///
/// # Errors
/// Where the folder cannot be made.
pub fn report_folder() -> Result<PathBuf> {
    let folder = repository().join("target/e2e");
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    Ok(folder)
}

fn required(name: &str, meaning: &str) -> Result<String> {
    optional(name).with_context(|| format!("{name} is not set: give the {meaning} (e2e/README.md lists all variables)"))
}

fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn skipped(variable: &str, why: &str) -> Skipped {
    Skipped(format!("{why}: {variable} is not set"))
}
