//! The reports of the shards of a run → one verdict, by the same code that judges a run of one machine.
//!
//! A [`Collection`] is a set of shards: reports are put into it in any order and any grouping, reports that
//! were merged before included, and only at the end are the shards added up, in the order of their numbers,
//! and judged once. Shards of other runs or plans, shards that came twice and shards that are missing are
//! named, and then nothing is judged.

mod chosen;
pub mod decode;
pub mod documents;
mod error;
pub mod fold;
pub mod marked;

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;

use crate::claim::Claim;
use crate::format::{TOLD, cut};
use crate::measured::Trial;
use crate::plan::shard::MAX_SHARDS;
use crate::report::measurement::{MarksReport, Measurement, ShardMeasurement, SharedPlan};
use crate::report::{Report, SCHEMA_VERSION};
use crate::verdict::Reason;
use crate::verdict::shards::{Gathered, judge_shards};
use chosen::{Chosen, listed};
use decode::decode;
use documents::{DocumentsError, Found};
pub use error::MergeError;
use fold::{Fold, SharedPlanError};

/// What is kept of all reports together, in bytes of JSON.
const MOST_KEPT: usize = 64 << 20;
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
                    what: format!("there is no shard {index} of {}", plan.shards),
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
