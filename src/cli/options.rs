//! The options of the gate, and those of whatever judges without it: what was typed becomes settings.

use std::path::PathBuf;

use clap::Args;

use super::output::OutputArgs;
use super::shard::ShardArgs;
use crate::plan::settings::{ExpectationOptions, PromiseOptions, Settings};

/// What the expected split is and what the verdict promises, of the commands that send nothing.
#[derive(Debug, Clone, Args)]
pub(super) struct CriterionArgs {
    #[command(flatten)]
    expectation: ExpectationOptions,
    #[command(flatten)]
    promise: PromiseOptions,
}

impl CriterionArgs {
    /// These settings.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            expectation: self.expectation.clone(),
            promise: self.promise.clone(),
            ..Settings::default()
        }
    }
}

/// The arguments of the gate.
#[derive(Debug, Clone, Args)]
pub(super) struct GateArgs {
    #[arg(
        env = "LBTEST_URL",
        help = "Where the ingress listens: http[s]://HOST, tcp://HOST:PORT or tls://HOST:PORT (default: http://localhost/)"
    )]
    pub url: Option<String>,
    /// A file with defaults and with checks to run when there is no --expect (default: lbtest.toml, if it is there)
    #[arg(long, value_name = "FILE", env = "LBTEST_CONFIG")]
    pub config: Option<PathBuf>,
    /// Run only the check of this name; repeatable
    #[arg(long, value_name = "NAME", conflicts_with_all = ["expect", "expect_even"])]
    pub check: Vec<String>,
    /// Check every rule of --expect-from, judged together; an lbtest.toml is not read
    #[arg(long, requires = "expect_from", conflicts_with_all = ["config", "expect", "route", "path"])]
    pub all: bool,
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub shard: ShardArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl GateArgs {
    /// The settings that were typed, over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        let mut typed = self.settings.clone();
        typed.request.url.clone_from(&self.url);
        typed.over(lower)
    }
}
