//! The table `[serve]`: where the gate for rollout controllers listens, and its limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::Deserializer;

use crate::plan::quantity;
use crate::plan::settings::read::{Quantity, quantity};

/// How `lbtest serve` serves the checks of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Serve {
    /// Address and port, or a port of the loopback (default: 127.0.0.1:8090); 0 takes a free one. Anything
    /// but the loopback needs a token.
    #[serde(deserialize_with = "listen")]
    #[schemars(with = "Quantity")]
    pub listen: SocketAddr,
    /// Time between two runs of a check in the background, from start to start (default: 5m); "off" runs
    /// checks only when they are asked for.
    #[serde(deserialize_with = "interval")]
    #[schemars(with = "Quantity")]
    pub interval: Option<Duration>,
    /// A verdict that is older than this is never given (default: 10m).
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "Quantity")]
    pub max_age: Duration,
    /// A file with the bearer token that callers must present; the variable `LBTEST_TOKEN` may hold it instead.
    pub token_file: Option<PathBuf>,
    /// A file that keeps the last runs that the page shows over restarts; without it they are forgotten then.
    pub state: Option<PathBuf>,
    /// Connections that are served at a time (default: 4096).
    #[serde(deserialize_with = "small_count")]
    #[schemars(with = "Quantity")]
    pub max_connections: NonZeroUsize,
    /// Checks that run at a time (default: 2).
    #[serde(deserialize_with = "small_count")]
    #[schemars(with = "Quantity")]
    pub max_runs: NonZeroUsize,
}

impl Default for Serve {
    fn default() -> Self {
        let count = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)),
            interval: Some(Duration::from_mins(5)),
            max_age: Duration::from_mins(10),
            token_file: None,
            state: None,
            max_connections: count(4096),
            max_runs: count(2),
        }
    }
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    quantity(deserializer, quantity::listen)
}

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    quantity(deserializer, |text| match text {
        "off" => Ok(None),
        text => quantity::duration(text).map(Some),
    })
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    quantity(deserializer, quantity::duration)
}

fn small_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NonZeroUsize, D::Error> {
    quantity(deserializer, quantity::small_count)
}
