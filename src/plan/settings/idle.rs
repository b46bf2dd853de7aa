//! What is asked for and would change nothing.

use super::{Settings, SettingsError};
use crate::plan::target::Destination;

impl Settings {
    /// Refuses what `asked`, a part of these settings, says in vain. What a default says, such as `[target]` of
    /// `lbtest.toml`, may be for others.
    ///
    /// # Errors
    /// Names the first such setting.
    pub fn refuse_idle(&self, asked: &Self) -> Result<(), SettingsError> {
        let is_even = self.expectation.expect_even.is_some();
        let is_even_alone = self.expectation.is_even_alone();
        let is_sticky = self.gates.expect_sticky.is_some();
        let is_dialled = self.connection.unix_socket.is_none();
        let url = self.request.url.as_deref().unwrap_or_default();
        let is_tcp = ["tcp://", "tls://"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        let idle = [
            (
                asked.promise.tolerance.is_some() && is_even_alone,
                "--tolerance is about a split, and --expect-even alone expects none: write --even-tolerance PCT",
            ),
            (
                asked.expectation.even_tolerance.is_some() && !is_even,
                "--even-tolerance is about the pods of --expect-even, which is missing: add --expect-even, or write \
                 --tolerance PP for a split",
            ),
            (
                asked.promise.judge.is_some() && is_sticky,
                "--judge is about a split, and --expect-sticky judges sessions: drop --judge",
            ),
            (
                asked.promise.max_unattributed.is_some() && is_sticky,
                "--max-unattributed is about a split, and --expect-sticky judges sessions: drop --max-unattributed",
            ),
            (
                !asked.gates.max_error.is_empty() && is_tcp,
                "--max-error is about statuses, and a tcp:// or tls:// URL has none: drop --max-error",
            ),
            (
                !asked.connection.connect_to.is_empty() && !is_dialled,
                "--connect-to and --unix-socket exclude each other: drop one of them",
            ),
            (
                !asked.connection.resolve.is_empty() && !is_dialled,
                "--resolve and --unix-socket exclude each other: drop one of them",
            ),
        ];
        match idle.into_iter().find(|&(is_idle, _)| is_idle) {
            Some((_, why)) => Err(SettingsError::Idle(why)),
            None => self.refuse_idle_detours(asked),
        }
    }

    fn refuse_idle_detours(&self, asked: &Self) -> Result<(), SettingsError> {
        // A URL that cannot be used is told where it is.
        let url = self.request.url.as_deref().unwrap_or_default();
        let Ok(destination) = Destination::parse(url, None) else {
            return Ok(());
        };
        let (all, asked) = (self.connection.detours(), asked.connection.detours());
        Ok(destination.refuse_idle(&all, &asked)?)
    }
}
