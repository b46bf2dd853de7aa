//! What `lbtest plan` reports: requests, promise, duration, and the chance of each verdict.

use schemars::JsonSchema;
use serde::Serialize;

use crate::verdict::forecast::Chances;

/// The version of this contract.
pub const SCHEMA_VERSION: u32 = 1;

/// A run that was planned and not sent, as `plan --json` writes it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ForecastReport {
    /// The version of this contract.
    pub schema_version: u32,
    /// The expected split.
    pub backends: Vec<ForecastBackend>,
    /// The promised error rate.
    pub alpha: f64,
    /// The smallest shift that a PASS rules out.
    pub tolerance_share: f64,
    /// What PASS claims.
    pub judge: &'static str,
    /// Requests to attribute. With `--shift` and `--power` this is the noncentral χ² formula's number,
    /// see `requests_exact`.
    pub requests: u64,
    /// With `--shift` and `--power` and two backends: the number by the exact power of the test that
    /// gates, which the formula underestimates for small weights; else null.
    pub requests_exact: Option<u64>,
    /// The shift asked about with `--shift`; else the tolerance.
    pub shift_share: f64,
    /// The power asked for with `--power`; else null.
    pub power_asked: Option<f64>,
    /// λ = n·w², with the least favourable effect w² = shift² / max p(1 − p); with `--power`, the λ at
    /// which the χ² test has exactly that power.
    pub noncentrality: f64,
    /// What a verdict on so many requests promises.
    pub promise: String,
    /// How long the run takes at `--rate`; null without one.
    pub duration_seconds: Option<f64>,
    /// The chance of each verdict for the correct split (`shift_share` 0) and for shifts of it.
    pub power: Vec<PowerRow>,
    /// What other tolerances would take.
    pub tolerances: Vec<ToleranceRow>,
}

/// A backend of the expected split.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ForecastBackend {
    /// Its label.
    pub label: String,
    /// The share that it should get.
    pub expected_share: f64,
    /// The shift that a PASS rules out for it.
    pub tolerance_share: f64,
}

/// The chance of each verdict at one true shift.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PowerRow {
    /// By how much some backend is off; 0 for the correct split.
    pub shift_share: f64,
    /// The chance of PASS.
    pub pass_probability: f64,
    /// The chance of FAIL: the power at this shift.
    pub fail_probability: f64,
    /// The chance of INCONCLUSIVE.
    pub inconclusive_probability: f64,
}

impl PowerRow {
    /// Writes down the chances at one shift.
    pub fn of(chances: Chances) -> Self {
        Self {
            shift_share: chances.shift,
            pass_probability: chances.verdicts.pass,
            fail_probability: chances.verdicts.fail,
            inconclusive_probability: chances.verdicts.inconclusive,
        }
    }
}

/// What a tolerance takes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ToleranceRow {
    /// The tolerance.
    pub tolerance_share: f64,
    /// Its planned requests.
    pub requests: u64,
    /// How long they take at `--rate`; null without one.
    pub duration_seconds: Option<f64>,
}
