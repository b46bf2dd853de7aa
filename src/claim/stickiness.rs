//! A check that says that sessions stay on their backend: what carries a session, and how many there are.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use http::HeaderName;

use super::Claim;
use crate::stats::stickiness;

/// Follow-ups of a session: one right after its first response, and one that shows whether what a follow-up
/// brought still keeps it.
pub const FOLLOW_UPS: u64 = 2;

/// What a client sends back to stay on its backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionBy {
    /// Every cookie that responses set, as a browser would.
    Cookies,
    /// The cookie of this name alone.
    Cookie(String),
    /// The header of this name, with the value that it had in a response.
    Header(HeaderName),
}

/// A text that does not say what carries a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' does not say what carries a session: write cookies, cookie:NAME or header:NAME")]
pub struct SessionByError(String);

impl FromStr for SessionBy {
    type Err = SessionByError;

    fn from_str(text: &str) -> Result<Self, SessionByError> {
        let refused = || SessionByError(text.escape_debug().to_string());
        match text.split_once(':') {
            None if text == "cookies" => Ok(Self::Cookies),
            // The name of a cookie is a token (RFC 6265 §4.1.1), as that of a header is.
            Some(("cookie", name)) if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                Ok(Self::Cookie(name.to_owned()))
            }
            Some(("header", name)) => name.parse().map(Self::Header).map_err(|_| refused()),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for SessionBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookies => f.write_str("cookies"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

/// The sessions of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Stickiness {
    /// What carries them.
    pub by: SessionBy,
    /// How many there are; `None` for as many as time allows.
    pub sessions: Option<NonZeroU64>,
    /// The smallest chance that a session is moved which a PASS rules out.
    pub rate: f64,
    /// How many sessions a PASS needs, none of which moves.
    pub needed: u64,
}

impl Stickiness {
    /// As many sessions as a PASS needs for the promise of `criterion` on `split`, of which at least two
    /// shares are positive.
    pub fn new(by: SessionBy, claim: &Claim) -> Self {
        let Claim {
            split, criterion, ..
        } = claim;
        let shares = split.shares();
        let rate = stickiness::smallest_rate(shares, criterion.tolerance);
        let needed = stickiness::sessions(shares, rate, criterion.alpha);
        Self {
            by,
            sessions: NonZeroU64::new(needed),
            rate,
            needed,
        }
    }

    /// So many sessions as fit a number of requests, and at least one.
    pub fn with_requests(self, requests: NonZeroU64) -> Self {
        let fit = NonZeroU64::new(requests.get() / (1 + FOLLOW_UPS));
        Self {
            sessions: Some(fit.unwrap_or(NonZeroU64::MIN)),
            ..self
        }
    }

    /// The requests of all sessions; `None` for as many as time allows.
    pub fn requests(&self) -> Option<NonZeroU64> {
        let sessions = self.sessions?.get();
        NonZeroU64::new(sessions.saturating_mul(1 + FOLLOW_UPS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::tests::claim;

    #[test]
    fn what_carries_a_session_is_read_and_told_alike() {
        for text in ["cookies", "cookie:INGRESSCOOKIE", "header:x-session"] {
            assert_eq!(text.parse::<SessionBy>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "cookie",
            "cookie:",
            "cookie:a b",
            "header:",
            "header:a b",
            "sid",
            "cookie:a=b",
        ] {
            let error = text.parse::<SessionBy>().unwrap_err().to_string();
            assert!(error.contains("header:NAME"), "{error}");
        }
    }

    #[test]
    fn the_sessions_carry_the_promise_or_fit_the_requests() {
        let planned = Stickiness::new(SessionBy::Cookies, &claim("v1=70,v2=30"));
        assert_eq!(planned.requests().map(NonZeroU64::get), Some(405));
        let few = |n: u64| planned.clone().with_requests(NonZeroU64::new(n).unwrap());
        assert_eq!(few(100).requests().map(NonZeroU64::get), Some(99));
        assert_eq!(few(1).requests().map(NonZeroU64::get), Some(3));
    }
}
