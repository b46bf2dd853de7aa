//! Why reports cannot be merged.

use super::decode::DecodeError;
use super::documents::DocumentsError;
use super::fold::SharedPlanError;

/// Why what was read cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A source cannot be read.
    #[error("{name}: {error}")]
    Read {
        /// The source.
        name: String,
        /// Why.
        error: DocumentsError,
    },
    /// A source has no report.
    #[error("{0} holds no report of a shard: write them with --shard I/N --json FILE")]
    NoReport(String),
    /// A source has a part of a report.
    #[error("{0} holds only a report that is cut off: was the shard stopped while it wrote it?")]
    CutOff(String),
    /// A source has a report of a whole run.
    #[error("{0} holds a report that is not of a shard: only runs with --shard I/N can be merged")]
    NotAShard(String),
    /// A source has a report of a marked run.
    #[error("{0} holds a marked run: judge it by the pods' logs with lbtest analyze --run {0}")]
    Marked(String),
    /// A source has a report of a run that is not marked.
    #[error("{0} holds no report of a marked run: write one with --identify logs --json {0}")]
    NotMarked(String),
    /// A report follows a later contract.
    #[error(
        "{name} holds a report of version {version}, which this program does not know: use a newer one"
    )]
    Version {
        /// The source.
        name: String,
        /// The version of the contract.
        version: u64,
    },
    /// A report does not follow the contract.
    #[error("{name}: the report's {path} is not what a report has there: {what}")]
    Field {
        /// The source.
        name: String,
        /// The field.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// What the shards share is no plan.
    #[error("{name}: the report's measurement.plan cannot be used: {error}")]
    Plan {
        /// The source.
        name: String,
        /// Why.
        error: SharedPlanError,
    },
    /// A shard's measurement contradicts itself.
    #[error("{name}: the measurement of shard {index} cannot be used: {error}")]
    Shard {
        /// The source.
        name: String,
        /// The shard.
        index: u32,
        /// Why.
        error: DecodeError,
    },
    /// There is more than is kept.
    #[error("the reports take more than 64 MiB: merge fewer shards, with fewer pods each")]
    TooMuch,
}
