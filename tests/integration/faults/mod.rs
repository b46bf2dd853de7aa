//! Hostile peers: whatever one does, there is no panic, no hang beyond the time allowed, no memory without
//! bound, and no request whose end is not counted.
//!
//! [`table::every_behaviour_ends_as_it_should`] prints the table, of behaviour, outcome, requests, seconds and
//! mebibytes: `cargo test --locked --test integration -- every_behaviour --nocapture`.

mod answers;
pub(crate) mod behaviours;
mod client;
mod compressed;
mod http2;
pub(crate) mod peer;
mod security;
mod soak;
mod table;
mod tcp;
mod tls;
mod whole_runs;
