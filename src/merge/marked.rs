//! The report of a marked run: what was asserted and sent, for the pods' logs to tell who answered.

use std::io::BufRead;

use super::decode::decode;
use super::documents::{self, Found};
use super::{Body, Ended, MergeError, usable};
use crate::claim::Claim;
use crate::measured::Measured;
use crate::report::measurement::MarksReport;

#[derive(Debug)]
pub struct MarkedRun {
    /// What was asserted.
    pub claim: Claim,
    /// What was sent; nobody is known yet who answered.
    pub measured: Measured,
    /// How requests were marked.
    pub marks: MarksReport,
    /// What the run is called.
    pub run_id: String,
}

impl MarkedRun {
    /// Reads the first report of a marked run in `reader`; `name` is what messages call it.
    ///
    /// # Errors
    /// There is none, or one that cannot be used.
    pub fn read(name: &str, reader: impl BufRead) -> Result<Self, MergeError> {
        let mut body = None;
        documents::each::<Ended>(reader, |found| {
            if let (Found::Object(text), None) = (found, &body) {
                body = Body::read(name, text)?;
            }
            Ok(())
        })
        .map_err(|ended| ended.named(name))?;
        let not_marked = || MergeError::NotMarked(name.to_owned());
        let body = body.ok_or_else(not_marked)?;
        let (Some(measurement), Some(marks)) = (body.measurement, body.marks) else {
            return Err(not_marked());
        };
        let plan = &measurement.plan;
        let (claim, trial) = usable(name, plan)?;
        let shard = measurement.shards.first().ok_or_else(not_marked)?;
        let measured = decode(&claim, &trial, plan.shards, shard).map_err(|error| {
            let (name, index) = (name.to_owned(), shard.index);
            MergeError::Shard { name, index, error }
        })?;
        Ok(Self {
            claim,
            measured,
            marks,
            run_id: plan.run_id.clone(),
        })
    }
}
