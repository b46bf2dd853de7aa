//! What people open in a browser: every check, the report of a run, and the button that runs a check.
//!
//! Whoever asks is admitted before (`exchange`). Showing changes nothing; what runs a check is a POST of this page's own.

use std::io::{Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderName, LOCATION,
    REFERRER_POLICY, RETRY_AFTER,
};
use http::{HeaderMap, StatusCode};

use super::board::{Page, Past, State};
use super::moment::Moment;
use super::origin;
use super::response::{Answered, refused, text, with};
use super::{NamedCheck, Shared};
use crate::report::html;
use crate::report::html::status::{CheckStatus, PastRun, Status};

const HTML: &str = "text/html; charset=utf-8";

/// As many callers as there are see a page that was made once, unless something has ended or begun since.
const FRESH: Duration = Duration::from_secs(1);

/// A page of a run is smaller.
const MOST_UNPACKED: u64 = 16 << 20;

/// The page as it was made last.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    /// With when it has to be made anew.
    page: Option<(Instant, Bytes)>,
    /// Why the history cannot be written.
    trouble: Option<String>,
}

impl Shown {
    /// Something has changed.
    pub(super) fn forget(&self) {
        self.made().page = None;
    }

    /// The history cannot be written for this reason, or can again.
    pub(super) fn trouble(&self, trouble: Option<String>) {
        *self.made() = Made {
            page: None,
            trouble,
        };
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every check.
pub(super) fn status(shared: &Shared, now: Moment) -> Answered {
    let mut made = shared.page.made();
    let known = made.page.as_ref().filter(|(until, _)| *until > now.steady);
    let page = if let Some((_, page)) = known {
        page.clone()
    } else {
        let (page, fresh) = rendered(shared, made.trouble.as_deref(), now);
        made.page = Some((now.steady + fresh, page.clone()));
        page
    };
    browsable(text(StatusCode::OK, HTML, page), &html::status::POLICY)
}

/// The page, and how long it may be shown.
fn rendered(shared: &Shared, trouble: Option<&str>, now: Moment) -> (Bytes, Duration) {
    let board = shared.board();
    let states = || shared.checks.iter().zip(board.states());
    let page = html::status::render(&Status {
        at: now.wall,
        checks: states()
            .map(|(check, state)| shown(check, state, now))
            .collect(),
        trouble,
    });
    let left = states().filter_map(|(_, state)| Some(state.latest(now)?.1[1]));
    (page.into(), left.fold(FRESH, Duration::min))
}

fn shown<'a>(check: &'a NamedCheck, state: &'a State, now: Moment) -> CheckStatus<'a> {
    let latest = state.latest(now).map(|(answer, [age, _])| {
        let why = answer.reasons.first().map_or("", |reason| &*reason.message);
        (age, state.report(now).ok_or(why))
    });
    let run = |past: &'a Past| PastRun {
        verdict: past.ended.verdict,
        at: past.ended.finished_at,
        expect: &past.ended.expect,
        why: &past.ended.why,
        page: past.page.as_ref().map(|_| path(past)),
    };
    CheckStatus {
        name: &check.name,
        expect: check.split.to_string(),
        latest,
        is_running: state.is_running(),
        waiting: state.queued(),
        runs: state.history().rev().map(run).collect(),
    }
}

/// Where a run's report is, from the page of all checks; names of checks need no escape.
fn path(past: &Past) -> String {
    format!("report/{}/{}", past.ended.check, past.ended.stamp())
}

/// The report of the run that `NAME/TIME` names.
pub(super) fn report(shared: &Shared, named: &str, headers: &HeaderMap) -> Answered {
    let found = named.split_once('/').and_then(|(name, stamp)| {
        let (index, _) = shared.check(name)?;
        let board = shared.board();
        let mut runs = board.states()[index].history();
        runs.find(|past| past.ended.stamp() == stamp)?.page.clone()
    });
    let Some(Page(packed)) = found else {
        return refused(
            StatusCode::NOT_FOUND,
            "there is no report of such a run: those of the last runs since the start are kept",
        );
    };
    let takes_packed = headers.get_all(ACCEPT_ENCODING).iter().any(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').any(|coding| coding.trim() == "gzip")
    });
    let response = if takes_packed {
        with(text(StatusCode::OK, HTML, packed), CONTENT_ENCODING, "gzip")
    } else {
        let mut page = Vec::new();
        GzDecoder::new(&*packed)
            .take(MOST_UNPACKED)
            .read_to_end(&mut page)
            .expect("what was packed here is whole");
        text(StatusCode::OK, HTML, page)
    };
    browsable(response, &html::POLICY)
}

/// Has a check run as it is configured, from now on, and leads back to the page.
pub(super) fn run(shared: &Shared, name: &str, headers: &HeaderMap) -> Answered {
    // A browser sends the password that it knows along with another page's form.
    if origin::is_of_another_origin(headers) {
        return refused(
            StatusCode::FORBIDDEN,
            "this is for the page of this server alone",
        );
    }
    let Some((index, check)) = shared.check(name) else {
        return refused(StatusCode::NOT_FOUND, "there is no check of this name");
    };
    let now = Moment::now();
    let asked = shared
        .board()
        .ask((index, check), &check.step(), Some(now.wall), now);
    if let Err(full) = asked {
        let refusal = refused(StatusCode::TOO_MANY_REQUESTS, &full.to_string());
        return with(refusal, RETRY_AFTER, "10");
    }
    shared.wake.notify_one();
    shared.page.forget();
    with(
        text(
            StatusCode::SEE_OTHER,
            "text/plain; charset=utf-8",
            "it will run\n",
        ),
        LOCATION,
        "../",
    )
}

/// A page for browsers, which loads, runs and sends nothing but what its policy names, and is nobody else's.
fn browsable(response: Answered, policy: &'static str) -> Answered {
    let response = with(response, CONTENT_SECURITY_POLICY, policy);
    // A form says of what origin it is, which it would not without a referrer.
    let response = with(response, REFERRER_POLICY, "same-origin");
    let response = with(response, CONTENT_SECURITY_POLICY, "frame-ancestors 'none'");
    let resource = HeaderName::from_static("cross-origin-resource-policy");
    with(response, resource, "same-origin")
}

/// Packs a page, which shrinks to a fifth.
pub(super) fn packed(page: &str) -> Page {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer
        .write_all(page.as_bytes())
        .and_then(|()| packer.finish())
        .map(|packed| Page(packed.into()))
        .expect("memory can be written to")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_was_packed_is_the_same() {
        let page = "<p>".repeat(10_000);
        let Page(packed) = packed(&page);
        assert!(packed.len() < 1000);
        let mut again = String::new();
        GzDecoder::new(&*packed).read_to_string(&mut again).unwrap();
        assert_eq!(again, page);
    }
}
