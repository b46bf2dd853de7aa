//! How a response tells which pod answered.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::read::{self, Quantity, Texts};
use super::{IDENTIFICATION, SettingsError};
use crate::identity::rule::Rules;
use crate::plan::quantity;

/// How a response tells which pod answered.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[command(next_help_heading = IDENTIFICATION)]
#[serde(default)]
pub struct IdentificationOptions {
    /// How a response names its pod: REGEX on the body (group 1), header:NAME, trailer:NAME, `json:/pointer`,
    /// field:3.1 (a protobuf message's), cert:cn or cert:san; repeatable. With logs, the pods' own logs tell: see analyze --run.
    #[arg(long, value_name = "RULE")]
    #[serde(deserialize_with = "read::texts")]
    #[schemars(with = "Texts")]
    pub identify: Vec<String>,
    /// How much of a response is read to identify the pod (default: 1MiB).
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    #[serde(deserialize_with = "read::bytes")]
    #[schemars(with = "Quantity")]
    pub max_body: Option<usize>,
}

impl IdentificationOptions {
    over!(identify, max_body);

    /// The rules by which a response is read; what is asked for at `host` says that name of itself.
    pub(super) fn rules(&self, host: &str) -> Result<Rules, SettingsError> {
        Ok(Rules::parse(&self.identify)?.ignoring_host(host))
    }

    /// How much of a response is read, in bytes.
    pub(super) fn max_body(&self) -> usize {
        self.max_body.unwrap_or(1 << 20)
    }
}
