//! What is claimed beside the split: limits on the health of backends, sessions.

use super::{Settings, SettingsError};
use crate::claim::stickiness::Stickiness;
use crate::claim::{Claim, Limit};
use crate::plan::quantity::{self, QuantityError};
use crate::split::Split;

impl Settings {
    /// The claim with all that is claimed beside its split.
    pub(super) fn with_limits_and_sessions(
        &self,
        mut claim: Claim,
    ) -> Result<Claim, SettingsError> {
        self.refuse_beside_evenness()?;
        claim.limits = self.limits(&claim.split)?;
        claim.sessions = self.stickiness(&claim)?;
        Ok(claim)
    }

    /// What speaks of backends, or of another number of requests, says nothing of pods.
    fn refuse_beside_evenness(&self) -> Result<(), SettingsError> {
        if self.expect_even.is_none() {
            return Ok(());
        }
        let (is_alone, several) = (self.expect.is_none(), self.requests_per_connection);
        let others = [
            ("--sequential", self.sequential == Some(true)),
            ("--expect-sticky", self.expect_sticky.is_some()),
            ("--max-p99", is_alone && !self.max_p99.is_empty()),
            ("--max-error", is_alone && !self.max_error.is_empty()),
            // What a backend's pods bring on a shared connection depends on what the other backends do there.
            ("--keep-alive", !is_alone && self.keep_alive == Some(true)),
            (
                "--requests-per-connection",
                !is_alone && several.is_some_and(|n| n.get() > 1),
            ),
        ];
        match others.into_iter().find(|&(_, is_given)| is_given) {
            Some((flag, _)) => Err(SettingsError::EvenWith(flag)),
            None => Ok(()),
        }
    }

    /// The limits on the health of the backends of `split`.
    fn limits(&self, split: &Split) -> Result<Vec<(usize, Limit)>, SettingsError> {
        let mut limits = limits("--max-p99", &self.max_p99, split, |text| {
            quantity::duration(text).map(Limit::P99)
        })?;
        limits.extend(self::limits(
            "--max-error",
            &self.max_error,
            split,
            |text| quantity::part(text).map(Limit::Errors),
        )?);
        Ok(limits)
    }

    /// The sessions, where they are to stay on their backends.
    fn stickiness(&self, claim: &Claim) -> Result<Option<Stickiness>, SettingsError> {
        let Some(by) = &self.expect_sticky else {
            return Ok(None);
        };
        let positive = claim.split.shares().iter().filter(|&&share| share > 0.0);
        if positive.count() < 2 {
            return Err(SettingsError::StickyToOne);
        }
        let excluded = [
            ("--sequential", self.sequential == Some(true)),
            ("--keep-alive", self.keep_alive == Some(true)),
            (
                "--requests-per-connection",
                self.requests_per_connection.is_some_and(|n| n.get() > 1),
            ),
        ];
        if let Some((flag, _)) = excluded.into_iter().find(|&(_, is_given)| is_given) {
            return Err(SettingsError::StickyWith(flag));
        }
        let planned = Stickiness::new(by.clone(), claim);
        Ok(Some(match (self.requests, self.duration) {
            (Some(requests), _) => planned.with_requests(requests),
            (None, Some(_)) => Stickiness {
                sessions: None,
                ..planned
            },
            (None, None) => planned,
        }))
    }
}

/// Reads `LABEL=VALUE` limits.
fn limits(
    flag: &'static str,
    texts: &[String],
    split: &Split,
    value: impl Fn(&str) -> Result<Limit, QuantityError>,
) -> Result<Vec<(usize, Limit)>, SettingsError> {
    let read = |text: &String| {
        let refused = |why: String| SettingsError::Limit {
            flag,
            text: text.escape_debug().to_string(),
            why,
        };
        let (label, limit) = text
            .split_once('=')
            .ok_or_else(|| refused("write it as LABEL=VALUE".to_owned()))?;
        let backend = split.position(label.trim()).ok_or_else(|| {
            let known = split.labels().join(", ");
            refused(format!("--expect has no such backend, it has {known}"))
        })?;
        let limit = value(limit).map_err(|error| refused(error.to_string()))?;
        Ok((backend, limit))
    };
    texts.iter().map(read).collect()
}
