//! What else a run can fail by: limits on the health of backends, sessions.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::read::{self, Texts};
use super::{Settings, SettingsError};
use crate::claim::stickiness::{SessionBy, Stickiness};
use crate::claim::{Claim, Limit};
use crate::plan::quantity::{self, QuantityError};
use crate::split::Split;

/// What else a run can fail by.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[command(next_help_heading = "Gates")]
#[serde(default)]
pub struct GateOptions {
    /// A backend's 99th latency percentile beyond which the run fails; repeatable.
    #[arg(long, value_name = "v2=200ms")]
    #[serde(deserialize_with = "read::pairs")]
    #[schemars(with = "Texts")]
    #[schemars(
        description = "The 99th latency percentile of a backend above which the run fails: \"v2=200ms\", a list of such, or {v2 = \"200ms\"}."
    )]
    pub max_p99: Vec<String>,
    /// A backend's share of responses with a status of 500 or more (of gRPC: one that blames the server) beyond which the run fails; repeatable.
    #[arg(long, value_name = "v2=1%")]
    #[serde(deserialize_with = "read::pairs")]
    #[schemars(with = "Texts")]
    #[schemars(
        description = "The share of a backend's responses with a status of 500 or above (gRPC: one that blames the server) above which the run fails: \"v2=1%\", a list of such, or {v2 = \"1%\"}."
    )]
    pub max_error: Vec<String>,
    /// Check that sessions stay on their backends: by all cookies that are set, by cookie:NAME or by header:NAME.
    #[arg(
        long,
        value_name = "BY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "cookies"
    )]
    #[serde(deserialize_with = "read::session_by")]
    #[schemars(with = "read::Switch")]
    #[schemars(
        description = "Whether sessions are to stay on their backends: true for sessions by whatever cookies the responses set,\n\"cookie:NAME\" for one of them, \"header:NAME\" for a response header that is sent back."
    )]
    pub expect_sticky: Option<SessionBy>,
}

impl GateOptions {
    over!(max_p99, max_error, expect_sticky);

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
}

impl Settings {
    /// The claim with all that is claimed beside its split.
    pub(super) fn with_limits_and_sessions(
        &self,
        mut claim: Claim,
    ) -> Result<Claim, SettingsError> {
        self.refuse_beside_evenness()?;
        claim.limits = self.gates.limits(&claim.split)?;
        claim.sessions = self.stickiness(&claim)?;
        Ok(claim)
    }

    /// What speaks of backends, or of another number of requests, says nothing of pods.
    fn refuse_beside_evenness(&self) -> Result<(), SettingsError> {
        if self.expectation.expect_even.is_none() {
            return Ok(());
        }
        let is_alone = self.expectation.is_even_alone();
        let (gates, sharing) = (&self.gates, &self.sharing);
        let others = [
            ("--sequential", self.budget.sequential),
            ("--expect-sticky", gates.expect_sticky.is_some()),
            ("--max-p99", is_alone && !gates.max_p99.is_empty()),
            ("--max-error", is_alone && !gates.max_error.is_empty()),
            // What a backend's pods bring on a shared connection depends on what the other backends do there.
            ("--keep-alive", !is_alone && sharing.keep_alive),
            (
                "--requests-per-connection",
                !is_alone && sharing.carries_several(),
            ),
        ];
        match others.into_iter().find(|&(_, is_given)| is_given) {
            Some((flag, _)) => Err(SettingsError::EvenWith(flag)),
            None => Ok(()),
        }
    }

    /// The sessions, where they are to stay on their backends.
    fn stickiness(&self, claim: &Claim) -> Result<Option<Stickiness>, SettingsError> {
        let Some(by) = &self.gates.expect_sticky else {
            return Ok(None);
        };
        let positive = claim.split.shares().iter().filter(|&&share| share > 0.0);
        if positive.count() < 2 {
            return Err(SettingsError::StickyToOne);
        }
        let excluded = [
            ("--sequential", self.budget.sequential),
            ("--keep-alive", self.sharing.keep_alive),
            ("--requests-per-connection", self.sharing.carries_several()),
        ];
        if let Some((flag, _)) = excluded.into_iter().find(|&(_, is_given)| is_given) {
            return Err(SettingsError::StickyWith(flag));
        }
        let planned = Stickiness::new(by.clone(), claim);
        Ok(Some(match (self.budget.requests, self.budget.duration) {
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
