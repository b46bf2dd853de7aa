//! Does this ingress split traffic the way it was told to?
//!
//! Data moves one way: claim → plan → load → measured → verdict → report.
//!
//! The modules stand in the order in which they may import each other, lowest first. Async stops at `load`,
//! `serving`, `ingress` and `serve`; printing happens in `report` and `cli` alone; `stats` never sees a plan.
//!
//! The library has one function for its executable, [`run`]. The modules are private, so that the compiler finds what
//! nobody calls; what tests, benches, examples and fuzz targets use besides is named in [`parts`].
//!
//! Units: shares and probabilities lie in `0..=1`, percentage points appear on the command line
//! alone, times are [`std::time::Duration`] inside and seconds in reports.

mod split;

mod format;

mod observation;

mod headers;

mod stats;

mod identity;

mod claim;

mod plan;

mod tally;

mod measured;

mod load;

mod exit;

mod verdict;

mod report;

mod merge;

mod logs;

mod counters;

mod manifest;

mod serving;

mod ingress;

mod serve;

mod cli;

pub use cli::run;

/// What tests, benches, examples and fuzz targets use, in the order of the modules; no interface for anyone else.
pub mod parts {
    pub use crate::split::Split;

    pub use crate::observation::{Failure, Observation, Outcome};

    pub use crate::headers::Headers;

    pub use crate::stats::binomial::Binomial;
    pub use crate::stats::chi_square::pearson;
    pub use crate::stats::dependence::ConnectionSums;
    pub use crate::stats::equivalence::{equivalence_p_value_with_unattributed, faces};
    pub use crate::stats::exact::binomial_p_value;
    pub use crate::stats::expected::Expected;
    pub use crate::stats::judge::Judge;
    pub use crate::stats::monte_carlo::{Sampler, StatisticsError, monte_carlo_p_value};
    pub use crate::stats::multinomial::{MOST_LINES, multinomial_p_value};
    pub use crate::stats::power::requests_for_exact_power;
    pub use crate::stats::prospects::Prospect;
    pub use crate::stats::sample_size::asymptotic_sample_size;
    pub use crate::stats::sequential::{Look, Sequential, cap};

    pub use crate::identity::MAX_NAME_LENGTH;
    pub use crate::identity::assignment::{Group, Mappings};
    pub use crate::identity::encoding::{decoded, not_undone};
    pub use crate::identity::finder::Finder;
    pub use crate::identity::log::read as read_log;
    pub use crate::identity::rule::{Answer, Rules};

    pub use crate::claim::within::Within;
    pub use crate::claim::{Claim, Criterion};

    pub use crate::plan::config::Config as ConfigFile;
    pub use crate::plan::settings::Settings;
    pub use crate::plan::{ConnectionUse, LoadShape, Plan};

    pub use crate::tally::Tally;
    pub use crate::tally::counted::{Counted, GroupCounted};
    pub use crate::tally::latency::Latency;
    pub use crate::tally::monitor::{Monitor, Seen};
    pub use crate::tally::pods::{GroupId, Interner, PodRegistry};
    pub use crate::tally::sequence::Sequence;
    pub use crate::tally::windows::MAX_BLOCKS;

    pub use crate::load::allowance::{Allowance, Metered};
    pub use crate::load::buffer::{BodyEnd, Lender, gather};
    pub use crate::load::grpc::{message as grpc_message, status as grpc_status};
    pub use crate::load::http1::body::Gathering;
    pub use crate::load::http1::chunks::ChunksError;
    pub use crate::load::http1::exchange::{Broken, Exchanges, SendError};
    pub use crate::load::http1::framing::Framing;
    pub use crate::load::http1::head::{Asked, Head, HeadError};
    pub use crate::load::{measure, run};

    pub use crate::exit::ExitStatus;

    pub use crate::verdict::clusters::{Clusters, MOST_CORRELATION, judge_clustered};
    pub use crate::verdict::decision::{Counts, Likeness, Shared, judge as judge_counts};
    pub use crate::verdict::pair::{PARTS as PAIR_PARTS, Side, judge as judge_pair, planned};
    pub use crate::verdict::{
        Evidence, Judgement, Verdict, VerdictName, decide, judge, judge_counts as judge_evidence,
    };

    pub use crate::report::Report;
    pub use crate::report::checks::ChecksReport;
    pub use crate::report::compare::CompareReport;
    pub use crate::report::forecast::ForecastReport;
    pub use crate::report::lint::LintReport;
    pub use crate::report::metrics::FAMILIES;
    pub use crate::report::pair::PairsReport;

    pub use crate::merge::Collection;

    pub use crate::logs::{Filter, Format, Log, NAMES as LOG_FORMATS, parse_time};

    pub use crate::manifest::{
        CODES, CanaryOptions, Choice, Input, KINDS, ManifestError, Manifests, lint, path_of,
        to_yaml,
    };

    pub use crate::ingress::{Config, Handle, Ingress, Page};

    pub use crate::serve::answer::Answer as GateAnswer;

    pub use crate::cli::command;
}
