//! Who answered: response → pod name → workload → backend label.
//!
//! [`rule`] reads a pod's name from a response, [`workload`] strips what Kubernetes appended to the
//! workload's name, and [`assignment`] says which backend of the expected split a workload is, or
//! which ones it could be. [`finder`] looks for the [`place`] of a name where no known
//! form has one, and [`proposal`] for something else to go by. [`encoding`] undoes the compression of a body; [`log`] reads the answers from a saved text instead of from the network.
//!
//! A response is written by a peer that nobody vouches for. Names are bounded
//! ([`MAX_NAME_LENGTH`]) and free of control characters, every search is linear in the body, and
//! nothing here is escaped for print: that is the report's task.

pub mod assignment;
pub mod encoding;
pub mod finder;
pub mod log;
pub mod place;
pub mod proposal;
pub mod rule;
pub mod workload;

mod builtin;
mod certificate;
mod glob;
mod json;
mod mapping;
mod name;
mod pattern;
mod protobuf;
mod shape;

/// The longest pod name, in bytes: that of a DNS subdomain, which Kubernetes allows a pod. What claims to
/// be longer is no identity.
pub const MAX_NAME_LENGTH: usize = 253;
