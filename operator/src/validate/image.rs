//! Which image the stores run: what the spec says of it, over the operator's own.

use logstore_crds::{Image, PullPolicy};

use super::finding::Findings;

/// The image, as far as the spec says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageChoice {
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    /// When nodes pull it.
    pub pull_policy: Option<PullPolicy>,
    /// Secrets to pull with.
    pub pull_secrets: Vec<String>,
}

impl ImageChoice {
    /// The reference, over one that names the operator's own image. A tag or digest of another choice replaces both of
    /// the operator's; without one, the operator's stay.
    #[must_use]
    pub fn over(&self, own: &str) -> String {
        let (repository, own_version) = split(own);
        let repository = self.repository.as_deref().unwrap_or(repository);
        match (&self.tag, &self.digest) {
            (None, None) => format!("{repository}{own_version}"),
            (tag, digest) => {
                let tag = tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
                let digest = digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
                format!("{repository}{tag}{digest}")
            }
        }
    }
}

/// Repository, and tag and digest with their marks.
fn split(reference: &str) -> (&str, &str) {
    let name_end = reference.find('@').unwrap_or(reference.len());
    let last_part = reference[..name_end].rfind('/').map_or(0, |slash| slash + 1);
    let end = reference[last_part..name_end].find(':').map_or(name_end, |colon| last_part + colon);
    reference.split_at(end)
}

pub(super) fn choice(image: Option<&Image>, findings: &mut Findings) -> Option<ImageChoice> {
    let Image { repository, tag, digest, pull_policy, pull_secrets } = image.cloned().unwrap_or_default();
    let checks = [
        ("repository", &repository, is_repository as fn(&str) -> bool, "registry.example/logstore"),
        ("tag", &tag, is_tag, "0.1.0"),
        ("digest", &digest, is_digest, "sha256: and 64 hexadecimal digits"),
    ];
    let mut is_sound = true;
    for (field, value, is_right, example) in checks {
        if let Some(value) = value.as_deref().filter(|value| !is_right(value)) {
            findings
                .add(format!("spec.image.{field}"), format!("{value:?} cannot be used; give for example {example}"));
            is_sound = false;
        }
    }
    let pull_secrets = pull_secrets.into_iter().map(|secret| secret.name).collect();
    is_sound.then_some(ImageChoice { repository, tag, digest, pull_policy, pull_secrets })
}

fn is_repository(text: &str) -> bool {
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let mut parts = text.split('/');
    let registry = parts.next().unwrap_or_default();
    // Only what stands before a slash can have a port.
    let registry = match (registry.split_once(':'), text.contains('/')) {
        (Some((host, port)), true) if !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) => host,
        _ => registry,
    };
    let is_plain = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    ends_well(text.chars().next()) && ends_well(text.chars().last()) && is_plain(registry) && parts.all(is_plain)
}

fn is_tag(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    text.chars().all(inner) && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, digits)| {
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        !algorithm.is_empty()
            && algorithm.chars().all(is_name)
            && (32..=128).contains(&digits.len())
            && digits.chars().all(is_hex)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(own: &str, repository: Option<&str>, tag: Option<&str>, digest: Option<&str>) -> String {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let choice = ImageChoice {
            repository: owned(repository),
            tag: owned(tag),
            digest: owned(digest),
            ..ImageChoice::default()
        };
        choice.over(own)
    }

    #[test]
    fn what_the_spec_leaves_out_is_the_operators() {
        let own = "registry.example:5000/team/logstore:1.2@sha256:00";
        assert_eq!(over(own, None, None, None), own);
        assert_eq!(over(own, None, Some("1.3"), None), "registry.example:5000/team/logstore:1.3");
        assert_eq!(over(own, None, None, Some("sha256:11")), "registry.example:5000/team/logstore@sha256:11");
        assert_eq!(over(own, Some("mirror/logstore"), None, None), "mirror/logstore:1.2@sha256:00");
        assert_eq!(over("logstore", Some("a"), Some("b"), Some("sha256:11")), "a:b@sha256:11");
        assert_eq!(over("registry.example:5000/logstore", None, Some("2"), None), "registry.example:5000/logstore:2");
    }
}
