//! What is expected: the split, or how many pods are to share the requests equally, and a plan for as many as were found.

use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::read::{self, Quantity, Texts};
use super::{Settings, SettingsError};
use crate::claim::Claim;
use crate::claim::within::Within;
use crate::identity::assignment::Group;
use crate::plan::quantity::{self, QuantityError};
use crate::plan::{Budget, Plan};
use crate::split::Split;

/// What is expected.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[command(next_help_heading = "Expectation and promise")]
#[serde(default)]
pub struct ExpectationOptions {
    /// Expected weights of the backends; 0 means "must get nothing".
    #[arg(long, value_name = "v1=70,v2=30")]
    #[serde(deserialize_with = "read::weights")]
    #[schemars(with = "Texts")]
    #[schemars(
        description = "Expected weights of the backends, such as \"v1=70,v2=30\" or {v1 = 70, v2 = 30}; 0 means \"must get nothing\"."
    )]
    pub expect: Option<String>,
    /// Expect equal shares of N pods, of the pods of --expect-from, or of all that answer; with --expect, within each backend.
    #[arg(long, value_name = "N|v1=3,v2=1", require_equals = true, num_args = 0..=1, default_missing_value = "")]
    #[serde(deserialize_with = "pods")]
    #[schemars(with = "Written")]
    #[schemars(
        description = "How many pods are to share the requests equally, in place of a split or, by backend, beside it; `true` for those\nthat answer."
    )]
    pub expect_even: Option<ExpectEven>,
    /// The smallest deviation, in percent of a pod's equal share, that a PASS rules out (default: 20%).
    #[arg(long, value_name = "PCT", value_parser = quantity::percentage)]
    #[serde(deserialize_with = "read::percentage")]
    #[schemars(with = "Quantity")]
    pub even_tolerance: Option<f64>,
    /// Read the split, host, path and pods from manifests: a file, a folder, '-' for stdin, or kubectl:NAMESPACE for what
    /// kubectl shows; repeatable.
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "read::texts")]
    #[schemars(with = "Texts")]
    pub expect_from: Vec<String>,
    /// Which step of a Rollout or a Flagger Canary in --expect-from is meant, from 1 (default: what its status says).
    #[arg(long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::small_count")]
    #[schemars(with = "Quantity")]
    pub step: Option<NonZeroUsize>,
}

impl ExpectationOptions {
    over!(expect, expect_even, even_tolerance, expect_from, step);

    /// Whether weights or manifests are given.
    pub(super) fn says_split(&self) -> bool {
        self.expect.is_some() || !self.expect_from.is_empty()
    }

    /// Whether anything is expected.
    pub fn is_given(&self) -> bool {
        self.says_split() || self.expect_even.is_some()
    }

    /// Whether pods are to share equally, and no split is expected.
    pub fn is_even_alone(&self) -> bool {
        self.expect_even.is_some() && self.expect.is_none()
    }

    /// Whether evenness is expected within the backends of a split, beside it.
    pub(super) fn is_even_within(&self) -> bool {
        self.expect_even.is_some() && self.expect.is_some()
    }

    /// The smallest deviation from an equal share that a PASS rules out, as a part of it.
    pub(super) fn relative_tolerance(&self) -> Result<f64, SettingsError> {
        let relative = self.even_tolerance.unwrap_or(0.2);
        // Half its share is the most that is ruled out for any backend.
        if !(relative > 0.0 && relative <= 0.5) {
            return Err(SettingsError::EvenTolerance(100.0 * relative));
        }
        Ok(relative)
    }
}

/// Fewer pods share nothing.
const LEAST: NonZeroUsize = NonZeroUsize::new(2).expect("two");

/// The pods of `--expect-even`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectEven {
    /// As many as answer.
    WhoAnswers,
    /// So many.
    Pods(NonZeroUsize),
    /// So many of each of these backends.
    Backends(Vec<(String, NonZeroUsize)>),
}

impl FromStr for ExpectEven {
    type Err = QuantityError;

    /// Nothing stands for those that answer.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Ok(Self::WhoAnswers);
        }
        if !text.contains('=') {
            return quantity::pods(text).map(Self::Pods);
        }
        let backend = |item: &str| {
            let (label, pods) = item.split_once('=').unwrap_or((item, ""));
            Ok((label.trim().to_owned(), quantity::pods(pods.trim())?))
        };
        let backends: Result<_, QuantityError> = text.split(',').map(backend).collect();
        backends.map(Self::Backends)
    }
}

/// How many pods there are; beside a split, of each backend.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Pods")]
#[serde(untagged)]
enum Written {
    /// `true`: as many as answer. `false`: evenness is not checked.
    Whether(bool),
    /// This many.
    Number(Quantity),
    /// This many of each backend.
    Backends(Texts),
}

fn pods<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ExpectEven>, D::Error> {
    let wrong = |_| D::Error::custom("write true, the number of pods, or {v1 = 3, v2 = 1}");
    let text = match Written::deserialize(deserializer).map_err(wrong)? {
        Written::Whether(true) => return Ok(Some(ExpectEven::WhoAnswers)),
        Written::Whether(false) => return Ok(None),
        Written::Number(number) => number.text().to_owned(),
        Written::Backends(backends) => backends.joined("=").join(","),
    };
    text.parse().map(Some).map_err(D::Error::custom)
}

impl Settings {
    /// The expected split.
    ///
    /// # Errors
    /// There is none, or the text is none.
    pub fn split(&self) -> Result<Split, SettingsError> {
        let expected = &self.expectation;
        if let Some(text) = &expected.expect {
            return Ok(text.parse()?);
        }
        let pods = expected.expect_even.as_ref();
        let pods = pods.ok_or(SettingsError::NoSplit)?;
        let others = [
            ("--expect-from", !expected.expect_from.is_empty()),
            ("--backend", !self.promise.backend.is_empty()),
        ];
        if let Some((flag, _)) = others.into_iter().find(|&(_, is_given)| is_given) {
            return Err(SettingsError::EvenWith(flag));
        }
        let split = match pods {
            _ if !self.manifests.pods.is_empty() => Split::of_named_pods(&self.manifests.pods),
            ExpectEven::WhoAnswers => Split::of_pods(LEAST),
            ExpectEven::Pods(pods) => Split::of_pods(*pods),
            ExpectEven::Backends(_) => return Err(SettingsError::EvenWithoutSplit),
        };
        let split = split.map_err(SettingsError::Pods)?;
        if split.len() < LEAST.get() {
            return Err(SettingsError::EvenOfOne);
        }
        Ok(split)
    }

    /// The claim with what is expected of the pods within backends; where they are to be found out first, of none.
    pub(super) fn within(&self, claim: Claim) -> Result<Claim, SettingsError> {
        if !self.expectation.is_even_within() {
            return Ok(claim);
        }
        let tolerance = self.expectation.relative_tolerance()?;
        let pods = match &self.expectation.expect_even {
            Some(ExpectEven::Backends(given)) => backends(given, &claim.split)?,
            Some(ExpectEven::Pods(_)) => return Err(SettingsError::EvenOfWhich),
            Some(ExpectEven::WhoAnswers) | None => vec![None; claim.split.len()],
        };
        let names_of = |label: &String| {
            let mut known = self.manifests.pods_by_backend.iter();
            let names = known.find(|(own, _)| own == label);
            names.map_or_else(Vec::new, |(_, names)| names.clone())
        };
        let names = claim.split.labels().iter().map(names_of).collect();
        claim
            .with_pods(Within {
                pods,
                names,
                tolerance,
            })
            .map_err(SettingsError::Within)
    }
}

/// The pods of each backend of the split; a backend that gets nothing has none.
fn backends(
    given: &[(String, NonZeroUsize)],
    split: &Split,
) -> Result<Vec<Option<NonZeroUsize>>, SettingsError> {
    let mut pods = vec![None; split.len()];
    for (label, number) in given {
        let backend = split.position(label).filter(|&at| split.shares()[at] > 0.0);
        let place = backend.and_then(|backend| pods.get_mut(backend));
        let place = place.ok_or_else(|| SettingsError::EvenUnknown {
            label: label.escape_debug().to_string(),
            known: split.labels().join(", "),
        })?;
        if place.replace(*number).is_some() {
            return Err(SettingsError::EvenTwice(label.clone()));
        }
    }
    Ok(pods)
}

impl Plan {
    /// The plan for the pods that were found, where it is to find out first how many there are.
    ///
    /// # Errors
    /// More pods than are judged, or so many that the requests take too long.
    pub fn of_found(&self, groups: &[Group]) -> Result<Self, SettingsError> {
        let claim = self.claim.of_found(groups).map_err(SettingsError::Within)?;
        let mut preparation = self.preparation;
        preparation.discovers_pods = false;
        let requests = match self.budget.duration {
            None if self.budget.requests.is_none() => {
                Some(super::load::affordable(&claim, self.budget.max_duration)?)
            }
            _ => self.budget.requests,
        };
        Ok(Self {
            claim,
            preparation,
            budget: Budget {
                requests,
                ..self.budget
            },
            ..self.clone()
        })
    }
}
