//! Why counters say nothing.

use std::io;

/// Why counters say nothing; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// A reading cannot be read.
    #[error("{file}: {source}")]
    Unread {
        /// Which, escaped.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A reading shows no series.
    #[error("{0} shows no counters in Prometheus' text format: is it all that /metrics answered?")]
    Nothing(String),
    /// No counter is known by name.
    #[error("{0}")]
    Unknown(String),
    /// No series is meant.
    #[error("no series is selected: check --query")]
    NoSeries,
    /// Several counters are meant, none of them known.
    #[error("--query selects several counters ({0}): name one of them")]
    Several(String),
    /// It is not known which label names who answered.
    #[error("--by is missing: say which label of {metric} names who answered; it has {labels}")]
    ByWhat {
        /// The counter.
        metric: String,
        /// Its labels.
        labels: String,
    },
    /// No series has the label.
    #[error(
        "no series of {metric} that grew has the label {by}; it has {labels}: say with --by which names who answered"
    )]
    Nobody {
        /// The counter.
        metric: String,
        /// What was looked for.
        by: String,
        /// Its labels.
        labels: String,
    },
    /// Nothing was counted.
    #[error("{0} did not grow: read it before and after the requests")]
    Idle(String),
    /// What is meant goes up and down.
    #[error("{0} is a gauge, which counts nothing: name a counter with --query")]
    Gauge(String),
    /// What is meant counts no requests.
    #[error(
        "{metric} has the value {value:?}, which is no number of requests: give the counter itself, without rate() or increase()"
    )]
    Fraction {
        /// The series.
        metric: String,
        /// Its value.
        value: f64,
    },
    /// A series is gone.
    #[error(
        "{0} is in the first reading and not in the second, so that what it counted between is lost: take both anew"
    )]
    Vanished(String),
    /// The server's answer is none.
    #[error("what answers is no Prometheus server: {0}")]
    NoAnswer(String),
    /// The server refuses the query.
    #[error("Prometheus refuses the query: {0}")]
    Refused(String),
    /// The query asks for one moment.
    #[error("--query asks for no range: end it with how far back it goes, such as NAME[10m]")]
    NoRange,
    /// The query computes something.
    #[error(
        "--query computes something from counters: select them alone, such as NAME{{label=\"value\"}}[10m], without sum(), rate() or increase()"
    )]
    Computed,
}
