//! The reports of the shards of a run → one verdict, by the same code that judges a run of one machine.
//!
//! A [`Collection`] is a set of shards: reports are put into it in any order and any grouping, reports that
//! were merged before included, and only at the end are the shards added up, in the order of their numbers,
//! and judged once. Shards of other runs or plans, shards that came twice and shards that are missing are
//! named, and then nothing is judged.

pub mod decode;
pub mod documents;
pub mod fold;
pub mod marked;

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;

use crate::claim::Claim;
use crate::format::{TOLD, cut};
use crate::measured::{Ending, Trial};
use crate::plan::shard::MAX_SHARDS;
use crate::report::measurement::{MarksReport, Measurement, ShardMeasurement, SharedPlan};
use crate::report::{Report, SCHEMA_VERSION};
use crate::verdict::Reason;
use crate::verdict::shards::{Gathered, judge_shards};
use decode::{DecodeError, decode};
use documents::{DocumentsError, Found};
use fold::{Fold, SharedPlanError};

/// What is kept of all reports together, in bytes of JSON.
const MOST_KEPT: usize = 64 << 20;
/// At most so many of a kind are named.
const NAMED: usize = 8;

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

/// Shards of a run, and where each came from.
#[derive(Debug, Default)]
pub struct Collection {
    plan: Option<(String, SharedPlan)>,
    shards: BTreeMap<u32, Vec<Given>>,
    refusals: Vec<Reason>,
    kept: usize,
}

/// A shard's measurement, and where it came from.
#[derive(Debug)]
struct Given {
    name: String,
    shard: ShardMeasurement,
}

/// What tells this program's reports from other JSON.
#[derive(Deserialize)]
struct Head {
    schema_version: u64,
    tool: ToolHead,
}

#[derive(Deserialize)]
struct ToolHead {
    name: String,
}

/// The part of a report that merging needs.
#[derive(Deserialize)]
struct Body {
    measurement: Option<Measurement>,
    #[serde(default)]
    marks: Option<MarksReport>,
}

impl Body {
    /// Reads a JSON object, if it is a report.
    fn read(name: &str, text: &[u8]) -> Result<Option<Self>, MergeError> {
        let Ok(head) = serde_json::from_slice::<Head>(text) else {
            return Ok(None);
        };
        if head.tool.name != env!("CARGO_PKG_NAME") {
            return Ok(None);
        }
        if head.schema_version != u64::from(SCHEMA_VERSION) {
            let (name, version) = (name.to_owned(), head.schema_version);
            return Err(MergeError::Version { name, version });
        }
        let mut json = serde_json::Deserializer::from_slice(text);
        let body = serde_path_to_error::deserialize(&mut json);
        body.map(Some).map_err(|error| MergeError::Field {
            name: name.to_owned(),
            path: cut(&error.path().to_string(), TOLD),
            what: cut(&error.inner().to_string(), TOLD),
        })
    }
}

impl Collection {
    /// Reads the reports in `reader`, whatever else stands between them; `name` is what messages call it.
    ///
    /// # Errors
    /// There is no report of a shard, or one that cannot be used.
    pub fn read(&mut self, name: &str, reader: impl BufRead) -> Result<(), MergeError> {
        let (mut reports, mut cut_off) = (0, 0);
        documents::each::<Ended>(reader, |found| {
            match found {
                Found::Object(text) if self.take(name, text)? => reports += 1,
                Found::Object(_) => {}
                Found::CutOff => cut_off += 1,
            }
            Ok(())
        })
        .map_err(|ended| ended.named(name))?;
        match (reports, cut_off) {
            (0, 0) => Err(MergeError::NoReport(name.to_owned())),
            (0, _) => Err(MergeError::CutOff(name.to_owned())),
            _ => Ok(()),
        }
    }

    /// Takes a JSON object, if it is a report; whether it was one.
    fn take(&mut self, name: &str, text: &[u8]) -> Result<bool, MergeError> {
        let Some(body) = Body::read(name, text)? else {
            return Ok(false);
        };
        self.kept += text.len();
        if self.kept > MOST_KEPT {
            return Err(MergeError::TooMuch);
        }
        if body.marks.is_some() {
            return Err(MergeError::Marked(name.to_owned()));
        }
        match body.measurement {
            Some(measurement) => self.add(name, measurement)?,
            None => return Err(MergeError::NotAShard(name.to_owned())),
        }
        Ok(true)
    }

    /// Adds the shards of a report.
    ///
    /// # Errors
    /// A measurement that cannot be used.
    pub fn add(&mut self, name: &str, measurement: Measurement) -> Result<(), MergeError> {
        let Measurement { plan, shards } = measurement;
        match &self.plan {
            None => {
                usable(name, &plan)?;
                self.plan = Some((name.to_owned(), plan.clone()));
            }
            Some((first, known)) if *known != plan => {
                self.refusals
                    .push(other_plan(name, &shards, &plan, first, known));
                return Ok(());
            }
            Some(_) => {}
        }
        for shard in shards {
            let index = shard.index;
            if index >= plan.shards {
                return Err(MergeError::Field {
                    name: name.to_owned(),
                    path: "measurement.shards".to_owned(),
                    what: format!("shard {index} of {} is none", plan.shards),
                });
            }
            let name = name.to_owned();
            self.shards
                .entry(index)
                .or_default()
                .push(Given { name, shard });
        }
        Ok(())
    }

    /// Judges the run once, or says why it cannot be judged.
    ///
    /// # Errors
    /// A measurement that cannot be used, or no shard at all.
    pub fn report(mut self) -> Result<Report, MergeError> {
        let Some((name, shared)) = self.plan.take() else {
            return Err(MergeError::NoReport("the input".to_owned()));
        };
        let (claim, mut trial) = usable(&name, &shared)?;
        let chosen = Chosen::of(self.shards, shared.shards);
        self.refusals.extend(chosen.repeated);
        let measured: Vec<&ShardMeasurement> =
            chosen.measured.iter().map(|given| &given.shard).collect();
        fold::add_machines(&mut trial, &measured);
        let mut fold = Fold::new(trial.clone());
        if self.refusals.is_empty() {
            for Given { name, shard } in &chosen.measured {
                let index = shard.index;
                let measured = decode(&claim, &trial, shared.shards, shard);
                measured
                    .and_then(|measured| fold.add(index, measured))
                    .map_err(|error| {
                        let name = name.clone();
                        MergeError::Shard { name, index, error }
                    })?;
            }
        }
        let measured = fold.finish();
        let gathered = Gathered {
            none_measured: chosen.measured.is_empty() && chosen.is_complete,
            refusals: self.refusals,
            gaps: chosen.gaps,
            notes: chosen.notes,
        };
        let groups = measured.counted.groups.iter();
        let claim = claim.naming(groups.map(|counted| &counted.group));
        let outcome = judge_shards(&claim, &measured, &gathered);
        let mut report = Report::of(&claim, &measured, &outcome);
        if !gathered.refusals.is_empty() {
            return Ok(report);
        }
        let shards = chosen.measured.into_iter().chain(chosen.unmeasured);
        report.measurement = Some(Measurement {
            plan: shared,
            shards: shards.map(|given| given.shard).collect(),
        });
        Ok(report)
    }
}

/// What was asserted of the whole run, and how it was tried.
fn usable(name: &str, shared: &SharedPlan) -> Result<(Claim, Trial), MergeError> {
    let asked = if (1..=MAX_SHARDS).contains(&shared.shards) {
        fold::claim(shared).and_then(|claim| Ok((claim, fold::trial(shared)?)))
    } else {
        Err(SharedPlanError::Field("shards"))
    };
    asked.map_err(|error| MergeError::Plan {
        name: name.to_owned(),
        error,
    })
}

/// One measurement of each shard, and what keeps the run from being judged.
struct Chosen {
    measured: Vec<Given>,
    /// One report of each shard that could not measure.
    unmeasured: Vec<Given>,
    repeated: Vec<Reason>,
    gaps: Vec<Reason>,
    notes: Vec<Reason>,
    /// Whether there is some report of every shard.
    is_complete: bool,
}

impl Chosen {
    /// Of a shard that was started again, the complete measurement counts: what could not measure has
    /// counted nothing, and what was interrupted was so whatever it had counted.
    fn of(mut shards: BTreeMap<u32, Vec<Given>>, count: u32) -> Self {
        let mut chosen = Self {
            measured: Vec::new(),
            unmeasured: Vec::new(),
            repeated: Vec::new(),
            gaps: Vec::new(),
            notes: Vec::new(),
            is_complete: false,
        };
        let (mut missing, mut retried, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..count {
            let given = shards.remove(&index).unwrap_or_default();
            let reports = given.len();
            let (mut unmeasured, measured): (Vec<_>, Vec<_>) = given
                .into_iter()
                .partition(|given| given.shard.unmeasured.is_some());
            let (mut interrupted, mut complete): (Vec<_>, Vec<_>) =
                measured.into_iter().partition(|given| {
                    given.shard.ending.as_deref() == Some(Ending::Interrupted.code())
                });
            let best = if complete.is_empty() {
                &mut interrupted
            } else {
                &mut complete
            };
            if best.len() > 1 {
                let names: Vec<&str> = best.iter().map(|given| given.name.as_str()).collect();
                repeated.push(format!("shard {index} in {}", listed(&names)));
            } else if let Some(given) = best.pop() {
                if reports > 1 {
                    retried.push(index.to_string());
                }
                chosen.measured.push(given);
            } else if let Some(given) = unmeasured.pop() {
                chosen.unmeasured.push(given);
            } else {
                missing.push(index.to_string());
            }
        }
        chosen.is_complete = missing.is_empty();
        if !repeated.is_empty() {
            chosen.repeated.push(Reason::new(
                "shards_repeated",
                format!(
                    "measured more than once: {}; merge each shard once",
                    listed(&repeated)
                ),
            ));
        }
        if !missing.is_empty() {
            chosen.gaps.push(Reason::new(
                "shards_missing",
                format!(
                    "{} of {count} shards missing: {}; merge the reports of all of them",
                    missing.len(),
                    listed(&missing)
                ),
            ));
        }
        let failed = chosen.unmeasured.iter().map(|given| {
            let why = given.shard.unmeasured.as_deref().unwrap_or_default();
            format!("shard {} ({})", given.shard.index, cut(why, TOLD))
        });
        let failed: Vec<String> = failed.collect();
        if !failed.is_empty() {
            chosen.gaps.push(Reason::new(
                "shards_unmeasured",
                format!(
                    "{} of {count} shards could not measure: {}",
                    failed.len(),
                    listed(&failed)
                ),
            ));
        }
        if !retried.is_empty() {
            chosen.notes.push(Reason::new(
                "shards_retried",
                format!(
                    "started again, since it could not measure or was interrupted: shard {}",
                    listed(&retried)
                ),
            ));
        }
        chosen
    }
}

/// The first few of a list, and how many there are beyond.
fn listed<T: AsRef<str>>(all: &[T]) -> String {
    let shown: Vec<&str> = all.iter().take(NAMED).map(AsRef::as_ref).collect();
    match all.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Names the first field in which two plans differ.
fn other_plan(
    name: &str,
    shards: &[ShardMeasurement],
    plan: &SharedPlan,
    first: &str,
    known: &SharedPlan,
) -> Reason {
    let indices: Vec<String> = shards.iter().map(|shard| shard.index.to_string()).collect();
    let who = format!("shard {} in {name}", listed(&indices));
    if plan.run_id != known.run_id {
        return Reason::new(
            "shards_of_other_run",
            format!(
                "{who} belongs to run {}, and {first} to run {}: merge the shards of one run",
                plan.run_id, known.run_id
            ),
        );
    }
    let fields = |plan: &SharedPlan| match serde_json::to_value(plan) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (theirs, ours) = (fields(plan), fields(known));
    let differing = ours
        .iter()
        .find(|(field, value)| theirs.get(*field) != Some(*value));
    let difference = match differing {
        Some((field, _)) if field == "settings_digest" => {
            "its settings (headers, --identify, --backend, time limits or others)".to_owned()
        }
        Some((field, ours)) => format!("{field}: {} instead of {ours}", theirs[field]),
        None => "it".to_owned(),
    };
    Reason::new(
        "shards_of_other_plan",
        format!(
            "{who} was planned otherwise than {first}, in {difference}: merge shards of one plan"
        ),
    )
}

/// Why the search for reports ended: what reading says, and what taking one says.
enum Ended {
    Read(DocumentsError),
    Taken(MergeError),
}

impl Ended {
    fn named(self, name: &str) -> MergeError {
        match self {
            Self::Read(error) => MergeError::Read {
                name: name.to_owned(),
                error,
            },
            Self::Taken(error) => error,
        }
    }
}

impl From<DocumentsError> for Ended {
    fn from(error: DocumentsError) -> Self {
        Self::Read(error)
    }
}

impl From<MergeError> for Ended {
    fn from(error: MergeError) -> Self {
        Self::Taken(error)
    }
}

#[cfg(test)]
mod tests;
