//! The rules that an API server keeps beside types and bounds, in
//! [CEL](https://kubernetes.io/docs/reference/using-api/cel/), over one field or several. The operator keeps the same
//! ones itself; `tests/rules.yaml` is run against both.
//!
//! Each stands at the narrowest field that it can: a rule that is added later to the whole spec would freeze objects that
//! break it.

use kube::core::Rule;

/// Of the whole object, which shows no more of the metadata than the name. Its length is that of the longest child's
/// name, with room for what Kubernetes adds.
pub(crate) fn name_fits_its_children() -> Rule {
    Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message(
        "metadata.name must start with a letter, hold only a-z, 0-9 and '-', not end with '-', and have at most 40 \
         characters: the names of the children are made of it",
    )
}

/// Of `spec.copies`.
pub(crate) fn copies_stay() -> Rule {
    Rule::new("self == oldSelf").message(
        "copies cannot be changed yet once the LogStore exists: make a new LogStore with the other number of copies, \
         or put the old number back",
    )
}

/// Of `spec.storage.size`.
pub(crate) fn size_is_a_size() -> Rule {
    Rule::new(
        "isQuantity(self) && quantity(self).compareTo(quantity('1Mi')) >= 0 && \
         quantity(self).compareTo(quantity('1Ei')) <= 0",
    )
    .message("storage.size must be a quantity from 1Mi to 1Ei, for example 10Gi: is the unit missing?")
}

/// Of `spec.storage.size`.
pub(crate) fn size_grows() -> Rule {
    Rule::new("!isQuantity(self) || !isQuantity(oldSelf) || quantity(self).compareTo(quantity(oldSelf)) >= 0")
        .message("storage.size cannot shrink: put the old size back, or a larger one")
}

/// Of `spec.storage`, so that it holds also where the class is left out.
pub(crate) fn storage_class_stays() -> Rule {
    Rule::new(
        "has(self.storageClassName) == has(oldSelf.storageClassName) && \
         (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
    )
    .message(
        "storage.storageClassName cannot be changed once the LogStore exists, because a volume cannot change its \
         class: put the old one back, or make a new LogStore",
    )
    .field_path(".storageClassName")
}

/// Of `spec.image.repository`.
pub(crate) fn repository_is_a_repository() -> Rule {
    Rule::new("self.matches('^[a-zA-Z0-9]([-a-zA-Z0-9._/]|:[0-9]+/)*[a-zA-Z0-9]$')").message(
        "image.repository must be a registry and a name without tag and digest, for example \
         registry.example/logstore: put those into image.tag and image.digest",
    )
}

/// Of `spec.image.tag`.
pub(crate) fn tag_is_a_tag() -> Rule {
    Rule::new("self.matches('^[a-zA-Z0-9_][-a-zA-Z0-9_.]*$')")
        .message("image.tag must hold only letters, digits, '_', '.' and '-', and not begin with '.' or '-'")
}

/// Of `spec.image.digest`.
pub(crate) fn digest_is_a_digest() -> Rule {
    Rule::new("self.matches('^[a-z0-9]+:[a-f0-9]{32,128}$')")
        .message("image.digest must be an algorithm and hexadecimal digits, for example sha256:9f86d0…")
}

/// Of the spec.
pub(crate) fn one_store_has_a_service() -> Rule {
    Rule::new("self.copies == 1 || !has(self.listener.service)")
        .message(
            "listener.service is for copies: 1; with more copies there is no Service for clients, because it would \
             pick one copy: leave it out, and use status.endpoints.copies",
        )
        .field_path(".listener.service")
}

/// Of `spec.listener.port`.
pub(crate) fn port_is_free() -> Rule {
    Rule::new("self != 8001").message(
        "listener.port must not be 8001, which serves health checks and metrics: choose another port, for example 8000",
    )
}

/// Of a namespace's name. `maxLength` counts characters.
pub(crate) fn namespace_name_is_short() -> Rule {
    Rule::new("size(bytes(self)) <= 249")
        .message("a namespace name has at most 249 bytes of UTF-8: choose a shorter one")
}

/// Of a namespace's name.
pub(crate) fn namespace_name_is_printable() -> Rule {
    Rule::new(r"!self.matches('\\p{Cc}')").message("a namespace name holds no control characters: leave them out")
}

/// Of a namespace's name.
pub(crate) fn namespace_name_has_no_dot_part() -> Rule {
    Rule::new("!self.matches('(^|/)[.][.]?(/|$)')").message(
        "a namespace name has no part '.' or '..' between slashes, which HTTP tools rewrite: choose another name",
    )
}

/// Of an entry's partitions.
pub(crate) fn partitions_stay() -> Rule {
    Rule::new("self == oldSelf").message(
        "partitions cannot be changed once the namespace exists, because each key has its partition: put the old \
         number back, or make a new namespace",
    )
}

/// Of an entry's indices.
pub(crate) fn indices_have_names() -> Rule {
    Rule::new("self.all(name, name.matches('^[a-z][-_a-z0-9]*$'))").message(
        "the name of an index must start with a letter and hold only a-z, 0-9, '-' and '_': choose another one",
    )
}

/// Of an entry's indices.
pub(crate) fn indices_are_named_once() -> Rule {
    Rule::new("self.all(name, self.indexOf(name) == self.lastIndexOf(name))")
        .message("each index must be named once: leave the second one out")
}

/// Of an entry's indices. Each has its place for life, by which records name it.
pub(crate) fn indices_are_only_added() -> Rule {
    Rule::new("oldSelf.all(name, self.indexOf(name) == oldSelf.indexOf(name))").message(
        "indices can only be added, behind those that are there, because records name them by their place: put the \
         old ones back in their order",
    )
}

/// Of `spec.namespaceDefaults`.
pub(crate) fn defaults_keep_a_segment() -> Rule {
    Rule::new("!has(self.retention.maxBytes) || self.retention.maxBytes >= self.rotation.maxSegmentBytes")
        .message(
            "namespaceDefaults.retention.maxBytes must not be less than namespaceDefaults.rotation.maxSegmentBytes: \
             whole segments go, so raise it, or make the segments smaller",
        )
        .field_path(".retention.maxBytes")
}

/// Of `spec.namespaceDefaults`.
pub(crate) fn defaults_keep_until_a_segment_ends() -> Rule {
    Rule::new(
        "!has(self.retention.maxAgeSeconds) || !has(self.rotation.maxSegmentAgeSeconds) || \
         self.retention.maxAgeSeconds >= self.rotation.maxSegmentAgeSeconds",
    )
    .message(
        "namespaceDefaults.retention.maxAgeSeconds must not be less than \
         namespaceDefaults.rotation.maxSegmentAgeSeconds: whole segments go, so raise it, or end segments sooner",
    )
    .field_path(".retention.maxAgeSeconds")
}

/// Of an entry that has both of its own.
pub(crate) fn entry_keeps_a_segment() -> Rule {
    Rule::new(
        "!has(self.retention) || !has(self.rotation) || !has(self.retention.maxBytes) || \
         self.retention.maxBytes >= self.rotation.maxSegmentBytes",
    )
    .message(
        "retention.maxBytes must not be less than rotation.maxSegmentBytes: whole segments go, so raise it, or make \
         the segments smaller",
    )
    .field_path(".retention.maxBytes")
}

/// Of an entry that has both of its own.
pub(crate) fn entry_keeps_until_a_segment_ends() -> Rule {
    Rule::new(
        "!has(self.retention) || !has(self.rotation) || !has(self.retention.maxAgeSeconds) || \
         !has(self.rotation.maxSegmentAgeSeconds) || \
         self.retention.maxAgeSeconds >= self.rotation.maxSegmentAgeSeconds",
    )
    .message(
        "retention.maxAgeSeconds must not be less than rotation.maxSegmentAgeSeconds: whole segments go, so raise it, \
         or end segments sooner",
    )
    .field_path(".retention.maxAgeSeconds")
}

/// Of the spec: entries with a retention of their own and the default rotation.
pub(crate) fn entries_keep_a_default_segment() -> Rule {
    Rule::new(
        "self.namespaces.all(n, has(n.rotation) || !has(n.retention) || !has(n.retention.maxBytes) || \
         n.retention.maxBytes >= self.namespaceDefaults.rotation.maxSegmentBytes)",
    )
    .message(
        "namespaces[].retention.maxBytes must not be less than namespaceDefaults.rotation.maxSegmentBytes: raise it, \
         or give the namespace smaller segments",
    )
    .field_path(".namespaces")
}

/// Of the spec: entries with a rotation of their own and the default retention.
pub(crate) fn default_retention_keeps_an_entrys_segment() -> Rule {
    Rule::new(
        "!has(self.namespaceDefaults.retention.maxBytes) || self.namespaces.all(n, has(n.retention) || \
         !has(n.rotation) || self.namespaceDefaults.retention.maxBytes >= n.rotation.maxSegmentBytes)",
    )
    .message(
        "namespaces[].rotation.maxSegmentBytes must not be more than namespaceDefaults.retention.maxBytes: make the \
         segments smaller, or give the namespace a retention of its own",
    )
    .field_path(".namespaces")
}

/// Of the spec: entries with a retention of their own and the default rotation.
pub(crate) fn entries_keep_until_a_default_segment_ends() -> Rule {
    Rule::new(
        "!has(self.namespaceDefaults.rotation.maxSegmentAgeSeconds) || self.namespaces.all(n, has(n.rotation) || \
         !has(n.retention) || !has(n.retention.maxAgeSeconds) || \
         n.retention.maxAgeSeconds >= self.namespaceDefaults.rotation.maxSegmentAgeSeconds)",
    )
    .message(
        "namespaces[].retention.maxAgeSeconds must not be less than \
         namespaceDefaults.rotation.maxSegmentAgeSeconds: raise it, or give the namespace a rotation of its own",
    )
    .field_path(".namespaces")
}

/// Of the spec: entries with a rotation of their own and the default retention.
pub(crate) fn default_retention_keeps_until_an_entrys_segment_ends() -> Rule {
    Rule::new(
        "!has(self.namespaceDefaults.retention.maxAgeSeconds) || self.namespaces.all(n, has(n.retention) || \
         !has(n.rotation) || !has(n.rotation.maxSegmentAgeSeconds) || \
         self.namespaceDefaults.retention.maxAgeSeconds >= n.rotation.maxSegmentAgeSeconds)",
    )
    .message(
        "namespaces[].rotation.maxSegmentAgeSeconds must not be more than \
         namespaceDefaults.retention.maxAgeSeconds: lower it, or give the namespace a retention of its own",
    )
    .field_path(".namespaces")
}
