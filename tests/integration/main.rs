//! The real executable, end to end: exit status, stdout, stderr, reports.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers included"
)]
#![expect(
    clippy::too_many_lines,
    reason = "a table of cases is as long as there are cases"
)]

mod allocation;
mod analyze;
mod balancer;
mod balancer_servers;
mod book;
mod browser;
mod calibration;
mod canary;
mod challenge_servers;
mod compare;
mod config;
mod corpora;
mod counter_servers;
mod dashboards;
mod demo;
mod diagnoses;
mod differential;
mod errors;
mod even_within;
mod evenness;
mod faults;
mod first_minutes;
mod follow;
mod formats;
mod golden;
mod grpc_servers;
mod http;
mod kubectl;
mod layers;
mod lint;
mod load;
mod localhost;
mod log_servers;
mod machine;
mod manifests;
mod merge;
mod metrics;
mod mutual_tls_servers;
mod naming;
mod plan;
mod preparation;
mod program;
mod report;
mod scenarios;
mod serve;
mod servers;
mod snapshot;
mod stickiness;
mod table;
mod terminal;
mod unreachable;
mod walkthrough_servers;
