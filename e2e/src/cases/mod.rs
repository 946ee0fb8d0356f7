//! What is shown, one file per behaviour.

pub(crate) mod install;

pub(crate) mod copies;
pub(crate) mod records;

pub(crate) mod namespaces;

pub(crate) mod claims;
pub(crate) mod life;
pub(crate) mod paused;
pub(crate) mod stopped;

pub(crate) mod image;
pub(crate) mod rollout;

pub(crate) mod collisions;
pub(crate) mod definition;
pub(crate) mod invalid_spec;

pub(crate) mod full_disk;
pub(crate) mod growth;
pub(crate) mod node;

pub(crate) mod chart;

pub(crate) mod access;
pub(crate) mod rest;
