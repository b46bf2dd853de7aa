//! How many pods are to share the requests equally, and a plan for as many as were found.

use std::num::NonZeroUsize;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error};

use super::SettingsError;
use super::read::Quantity;
use crate::plan::quantity::{self, QuantityError};
use crate::plan::{Budget, Plan};

/// Fewer pods share nothing.
pub(super) const LEAST: NonZeroUsize = NonZeroUsize::new(2).expect("two");

/// The pods of `--expect-even`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectEven {
    /// As many as answer.
    WhoAnswers,
    /// So many.
    Pods(NonZeroUsize),
}

impl FromStr for ExpectEven {
    type Err = QuantityError;

    /// Nothing stands for those that answer.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Ok(Self::WhoAnswers);
        }
        quantity::small_count(text).map(Self::Pods)
    }
}

/// `true`, or a number.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Written {
    /// Whether those that answer are.
    Whether(bool),
    /// So many.
    Number(Quantity),
}

pub(super) fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ExpectEven>, D::Error> {
    let wrong = |_| D::Error::custom("write true or the number of pods");
    match Written::deserialize(deserializer).map_err(wrong)? {
        Written::Whether(true) => Ok(Some(ExpectEven::WhoAnswers)),
        Written::Whether(false) => Ok(None),
        Written::Number(number) => {
            let pods = quantity::small_count(number.text()).map_err(D::Error::custom)?;
            Ok(Some(ExpectEven::Pods(pods)))
        }
    }
}

impl Plan {
    /// The plan for so many pods, where it is to find out first how many there are.
    ///
    /// # Errors
    /// More pods than are judged, or so many that the requests take too long.
    pub fn of_pods(&self, pods: usize) -> Result<Self, SettingsError> {
        let pods = NonZeroUsize::new(pods).unwrap_or(LEAST).max(LEAST);
        let claim = self.claim.of_pods(pods).map_err(SettingsError::Pods)?;
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
