//! Does this ingress split traffic the way it was told to?
//!
//! Data moves one way: claim → plan → load → measured → verdict → report.
//!
//! The modules stand in the order in which they may import each other, lowest first. Async stops at `load`,
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

pub mod logs;

pub mod counters;

pub mod manifest;

pub mod serving;

pub mod ingress;

pub mod serve;

pub mod cli;
