//! Does this ingress split traffic the way it was told to?
//!
//! Data moves one way, and the modules stand in that order:
//!
//! plan → load → observation → tally → statistics → verdict → report
//!
//! A module imports only modules listed above it here. Async stops at `load`,
//! `serving`, `ingress` and `serve`; printing happens in `report` and `cli` alone; `stats` never sees a plan.
//!
//! Units: shares and probabilities lie in `0..=1`, percentage points appear on the command line
//! alone, times are [`std::time::Duration`] inside and seconds in reports.

pub mod split;

pub mod format;

pub mod observation;

pub mod headers;

pub mod stats;

pub mod identity;

pub mod claim;

pub mod plan;

pub mod tally;

pub mod measured;

pub mod load;

pub mod exit;

pub mod verdict;

pub mod report;

pub mod merge;

pub mod manifest;

pub mod serving;

pub mod ingress;

pub mod serve;

pub mod cli;
