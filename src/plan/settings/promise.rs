//! What a verdict promises, and of whom.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::read::{self, Quantity, Texts};
use super::{IDENTIFICATION, Settings, SettingsError};
use crate::claim::{Claim, Criterion};
use crate::identity::assignment::Mappings;
use crate::plan::quantity;
use crate::split::Split;
use crate::stats::judge::Judge;

/// What a verdict promises, and of whom.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[command(next_help_heading = "Expectation and promise")]
#[serde(default)]
pub struct PromiseOptions {
    /// Which route of the manifests is meant.
    #[arg(long, value_name = "NAMESPACE/NAME[/RULE]")]
    #[schemars(
        description = "Which route of the manifests is meant: \"NAMESPACE/NAME\" or \"NAMESPACE/NAME/RULE\"."
    )]
    pub route: Option<String>,
    /// Promised error rate: a correct split fails, and one off by the tolerance passes, at most this often (default: 0.001).
    #[arg(long, value_name = "RATE", value_parser = quantity::error_rate)]
    #[serde(deserialize_with = "read::error_rate")]
    #[schemars(with = "Quantity")]
    pub alpha: Option<f64>,
    /// The smallest shift, in percentage points, that a PASS rules out (default: 5).
    #[arg(long, value_name = "PP", value_parser = quantity::percentage_points)]
    #[serde(deserialize_with = "read::percentage_points")]
    #[schemars(with = "Quantity")]
    pub tolerance: Option<f64>,
    /// What PASS claims (default: equivalence).
    #[arg(long, value_enum)]
    pub judge: Option<Judge>,
    /// The percentage of responses without an identity above which a run cannot pass (default: 1%).
    #[arg(long, value_name = "PCT", value_parser = quantity::percentage, help_heading = IDENTIFICATION)]
    #[serde(deserialize_with = "read::percentage")]
    #[schemars(with = "Quantity")]
    pub max_unattributed: Option<f64>,
    /// Which workload (name or glob) is which backend; repeatable.
    #[arg(long, value_name = "LABEL=WORKLOAD", help_heading = IDENTIFICATION)]
    #[serde(deserialize_with = "read::pairs")]
    #[schemars(with = "Texts")]
    #[schemars(
        description = "Which workload (name or glob) is which backend: \"v2=challenge-app-v2\", a list of such, or {v2 = \"challenge-app-v2\"}."
    )]
    pub backend: Vec<String>,
    /// Seed of Monte Carlo and permutations, and, in demo, of the ingress (default: 1).
    #[arg(long, value_name = "N")]
    #[schemars(description = "Seed of Monte Carlo and permutations.")]
    pub seed: Option<u64>,
}

impl PromiseOptions {
    over!(
        route,
        alpha,
        tolerance,
        judge,
        max_unattributed,
        backend,
        seed
    );

    /// The error rate.
    pub fn alpha(&self) -> f64 {
        self.alpha.unwrap_or(0.001)
    }

    /// The seed of Monte Carlo and permutations.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }
}

impl Settings {
    /// That requests are split so, at the error rates that were asked for.
    ///
    /// # Errors
    /// As [`Criterion::new`].
    pub fn claim(&self, split: Split) -> Result<Claim, SettingsError> {
        let promise = &self.promise;
        let tolerance = if split.is_of_pods() {
            self.expectation.relative_tolerance()? / split.len() as f64
        } else {
            promise.tolerance.unwrap_or(0.05)
        };
        let criterion = Criterion::new(
            &split,
            promise.alpha(),
            tolerance,
            promise.judge.unwrap_or_default(),
            promise.max_unattributed.unwrap_or(0.01),
        )?;
        self.within(Claim::new(split, criterion, promise.seed()))
    }

    /// Which pods the user assigned to which backend of `split`.
    ///
    /// # Errors
    /// As [`Mappings::parse`].
    pub fn mappings(&self, split: &Split) -> Result<Mappings, SettingsError> {
        if split.is_of_pods() {
            return Ok(Mappings::of_each_pod());
        }
        let mappings = Mappings::parse(split.labels(), &self.promise.backend)?;
        Ok(if self.expectation.is_even_within() {
            mappings.of_single_pods()
        } else {
            mappings
        })
    }
}
