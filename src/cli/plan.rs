//! x
use super::CommandError;
use crate::exit::ExitStatus;
use clap::Args;
#[derive(Debug, Args)]
pub(super) struct PlanArgs {}
pub(super) fn run(_a: &PlanArgs) -> Result<ExitStatus, CommandError> {
    Ok(ExitStatus::Pass)
}
