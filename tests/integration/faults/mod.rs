//! Hostile peers: whatever one does, there is no panic, no hang beyond the time allowed, no memory without
//! bound, and no request whose end is not counted.
//!
//! [`every_behaviour_ends_as_it_should`] prints the table: behaviour, outcome, time, memory.

mod answers;
mod behaviours;
mod client;
mod http2;
mod peer;
mod security;
mod table;
mod tls;
mod whole_runs;
