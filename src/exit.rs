//! The documented exit statuses.

use std::process::ExitCode;

/// How the program ends; the numbers are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// PASS, or the work asked for was done.
    Pass = 0,
    /// FAIL: the split is not the expected one.
    Fail = 1,
    /// The command line or a configuration cannot be used.
    Usage = 2,
    /// INCONCLUSIVE: the evidence carries neither claim.
    Inconclusive = 3,
    /// Nothing could be measured.
    NotMeasured = 4,
    /// Ctrl-C or SIGTERM; a partial report was written.
    Interrupted = 130,
}

impl ExitStatus {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
