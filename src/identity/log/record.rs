//! Records of programs' own logs in JSON, of which only those are answers that tell of a request.

use std::collections::BTreeMap;

use super::answer::is_request_of_pod;
use super::count::Stretches;
use super::{Misread, add};

/// Records that name a pod and tell of no request: none of them is an answer where others do, else each is.
#[derive(Debug, Default)]
pub(super) struct Records {
    named: BTreeMap<String, u64>,
    stretches: Stretches,
    are_requests_told: bool,
}

impl Records {
    /// Whether a value of JSON that names `name` is such a record, and kept here.
    pub(super) fn takes(&mut self, text: &[u8], name: &str) -> Result<bool, Misread> {
        if !is_record(text) {
            return Ok(false);
        }
        if is_request_of_pod(text) {
            self.are_requests_told = true;
            return Ok(false);
        }
        self.stretches.push(name);
        add(&mut self.named, name, 1)?;
        Ok(true)
    }

    /// Adds the records that are answers to `answers`; how many are none.
    pub(super) fn finish(&mut self, answers: &mut BTreeMap<String, u64>) -> Result<u64, Misread> {
        let named = std::mem::take(&mut self.named);
        if self.are_requests_told {
            return Ok(named.values().sum());
        }
        if self.stretches.times() > 1 {
            return Err(Misread::Doubt(
                "every pod's records come several times in a row, as happens when a request has more than one".to_owned(),
            ));
        }
        for (name, count) in named {
            add(answers, &name, count)?;
        }
        Ok(0)
    }
}

/// Whether a value is a record of a log: one with a level and a message, or one of a pod as Fluent Bit and stern write it.
fn is_record(text: &[u8]) -> bool {
    let has = |key: &str| memchr::memmem::find(text, key.as_bytes()).is_some();
    (has("\"level\"") || has("\"severity\"")) && (has("\"msg\"") || has("\"message\""))
        || has("\"kubernetes\"") && has("\"pod_name\"")
        || has("\"podName\"") && has("\"containerName\"")
}
