//! What is asked for and would change nothing.

use super::{Settings, SettingsError};

impl Settings {
    /// Refuses what `asked`, a part of these settings, says in vain. What a default says, such as `[target]` of
    /// `lbtest.toml`, may be for others.
    ///
    /// # Errors
    /// Names the first such setting.
    pub fn refuse_idle(&self, asked: &Self) -> Result<(), SettingsError> {
        let is_even = self.expect_even.is_some();
        let is_even_alone = is_even && self.expect.is_none();
        let is_sticky = self.expect_sticky.is_some();
        let is_dialled = self.unix_socket.is_none();
        let url = self.url.as_deref().unwrap_or_default();
        let is_tcp = ["tcp://", "tls://"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        let idle = [
            (
                asked.tolerance.is_some() && is_even_alone,
                "--tolerance is about a split, and --expect-even alone expects none: write --even-tolerance PCT",
            ),
            (
                asked.even_tolerance.is_some() && !is_even,
                "--even-tolerance is about the pods of --expect-even, which is missing: add --expect-even, or write \
                 --tolerance PP for a split",
            ),
            (
                asked.judge.is_some() && is_sticky,
                "--judge is about a split, and --expect-sticky judges sessions: drop --judge",
            ),
            (
                asked.max_unattributed.is_some() && is_sticky,
                "--max-unattributed is about a split, and --expect-sticky judges sessions: drop --max-unattributed",
            ),
            (
                !asked.max_error.is_empty() && is_tcp,
                "--max-error is about statuses, and a tcp:// or tls:// URL has none: drop --max-error",
            ),
            (
                !asked.connect_to.is_empty() && !is_dialled,
                "--connect-to and --unix-socket exclude each other: drop one of them",
            ),
            (
                !asked.resolve.is_empty() && !is_dialled,
                "--resolve and --unix-socket exclude each other: drop one of them",
            ),
        ];
        match idle.into_iter().find(|&(is_idle, _)| is_idle) {
            Some((_, why)) => Err(SettingsError::Idle(why)),
            None => Ok(()),
        }
    }
}
