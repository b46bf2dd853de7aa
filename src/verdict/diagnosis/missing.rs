//! Requests without an identity: of which kind, and when in the run.

use super::{Finding, LOGS, Symptoms, change, percent};
use crate::observation::status;
use crate::stats::binomial::Binomial;
use crate::stats::change_point::{ChangePoint, change_point};

/// More blocks than a tally keeps are not worth their time.
const MAX_BLOCKS: u64 = 4096;
/// The share of what is missing that a cluster holds.
const CLUSTERED: f64 = 0.9;
/// The share of the run that a cluster spans at most.
const SHORT: f64 = 0.25;
/// Before an onset at most this share of the requests is missing,
const CLEAN: f64 = 0.1;
/// and after it at least this share.
const BROKEN: f64 = 0.2;
/// Less than this share of the requests is no finding, unless it has a pattern.
const WORTH_TELLING: f64 = 0.01;

/// What came back in place of identified responses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Missing {
    successes: u64,
    /// Those of them that lead elsewhere.
    redirects: u64,
    /// As limiters answer.
    rejections: u64,
    /// Those of them that say so.
    too_many: u64,
    server_errors: u64,
    /// Requests that were written and brought no whole response.
    failed: u64,
    never_sent: u64,
    other: u64,
    counts: Vec<String>,
    unsent_counts: Vec<String>,
}

impl Missing {
    pub(super) fn of(symptoms: &Symptoms<'_>) -> Self {
        let mut missing = Self::default();
        for &(status, count) in symptoms.unidentified_by_status {
            if (300..400).contains(&status) {
                missing.redirects += count;
            }
            match status {
                _ if !status::is_refusal(status) => missing.successes += count,
                _ if status::is_too_many(status) => missing.too_many += count,
                // Of a method that is not there, as of a page, nobody failed.
                _ if status::is_error(status) && status != status::UNIMPLEMENTED => {
                    missing.server_errors += count;
                }
                _ => missing.other += count,
            }
            if status::is_too_many(status) || status::is_unavailable(status) {
                missing.rejections += count;
            }
            let name = status::name(status);
            let kind = if status < 100 { "" } else { "status " };
            missing.counts.push(format!("{kind}{name} × {count}"));
        }
        for &(failure, count) in symptoms.failures {
            if failure.was_sent() {
                missing.failed += count;
                missing.counts.push(format!("{failure} × {count}"));
            } else {
                missing.never_sent += count;
                let message = format!("{failure} × {count}, never sent");
                missing.unsent_counts.push(message);
            }
        }
        missing
    }

    /// Requests that were written and brought no identity.
    pub(super) fn sent(&self) -> u64 {
        self.successes + self.too_many + self.server_errors + self.failed + self.other
    }

    /// Whether most are responses without an error: an identity is missing, not an answer.
    pub(super) fn is_mostly_success(&self) -> bool {
        2 * self.successes > self.sent()
    }

    /// Whether most lead elsewhere.
    pub(super) fn is_mostly_redirects(&self) -> bool {
        2 * self.redirects > self.sent()
    }

    /// Whether most are errors that the server blames on the client.
    pub(super) fn is_mostly_refusals(&self) -> bool {
        2 * self.other > self.sent()
    }

    /// Whether most are such as a limiter answers.
    pub(super) fn is_mostly_rejections(&self) -> bool {
        2 * self.rejections > self.sent()
    }

    /// `status 503 × 1100, reset × 3`: of what was sent.
    pub(super) fn summary(&self) -> String {
        listed(&self.counts)
    }

    /// The same, and what was never sent.
    fn summary_with_unsent(&self) -> String {
        listed(&[&self.counts[..], &self.unsent_counts].concat())
    }

    /// What a run without a single identified response looks like, where it was answered with errors.
    pub(super) fn nothing_identified(&self, symptoms: &Symptoms<'_>) -> Option<Finding> {
        let all = self.sent();
        (symptoms.counts.foreign == 0 && all > 0 && 10 * self.server_errors >= 9 * all).then(|| {
            let (code, meaning) = all_errors(symptoms);
            let message = format!(
                "all {all} requests failed from the first one on ({}): {meaning}",
                self.summary()
            );
            Finding::new(code, message)
                .then(LOGS)
                .with("requests", all as f64)
                .with("server_error_share", self.server_errors as f64 / all as f64)
        })
    }

    /// What the place of the missing responses in the run looks like.
    pub(super) fn over_time(&self, symptoms: &Symptoms<'_>) -> Option<Finding> {
        let blocks = self.blocks(symptoms)?;
        self.clustered(symptoms, &blocks)
            .or_else(|| self.onset(symptoms, &blocks))
    }

    /// What missing responses of no backend in particular look like.
    pub(super) fn untied(&self, symptoms: &Symptoms<'_>) -> Option<Finding> {
        let sent = self.sent();
        let share = sent as f64 / (sent + symptoms.attributed()) as f64;
        if share < WORTH_TELLING || self.is_mostly_success() {
            return None;
        }
        let failed = format!(
            "{} of the requests failed ({}), and not those of one backend",
            percent(share),
            self.summary()
        );
        let finding = if 2 * self.too_many > sent {
            Finding::new(
                "rate_limited",
                format!(
                    "{failed}: a rate limiter rejects them, or a limit of what is in flight at once: try a lower -c, \
                     then --rate"
                ),
            )
        } else {
            Finding::new(
                "errors_before_split",
                format!(
                    "{failed}: as happens when the ingress itself fails, at a limit of what is in flight at once (try a \
                     lower -c), or at a rate limiter whose burst was used up before the run"
                ),
            )
        };
        Some(finding.with("missing_share", share))
    }

    /// That rejections do not tell whose they are, where the counts that are left are off.
    pub(super) fn rejected(&self, symptoms: &Symptoms<'_>) -> Option<Finding> {
        let sent = self.sent();
        let share = sent as f64 / (sent + symptoms.attributed()).max(1) as f64;
        if share < WORTH_TELLING || !self.is_mostly_rejections() {
            return None;
        }
        let message = format!(
            "{} of the requests were rejected ({}) and name no backend, so that rejections by backend are not known: where \
             one alone is full (a limit of connections, a circuit breaker), the counts lack its share of them; try a lower -c",
            percent(share),
            self.summary()
        );
        let finding = Finding::new("rejected_without_backend", message);
        Some(
            finding
                .with("missing_share", share)
                .with("rejections", self.rejections as f64),
        )
    }

    /// Where a backend that explains all missing responses answered at first, and hardly later.
    pub(super) fn failing_later(&self, symptoms: &Symptoms<'_>, backend: usize) -> Option<Finding> {
        if !self.is_mostly_rejections() {
            return None;
        }
        let blocks = self.blocks(symptoms)?;
        let own: Vec<[u64; 2]> = blocks
            .iter()
            .enumerate()
            .map(|(block, &[_, missing])| {
                let window = symptoms.windows.get(block);
                [window.map_or(0, |window| window[backend]), missing]
            })
            .collect();
        let change = onset(symptoms, &own)?;
        let label = symptoms.label(backend);
        let message = format!(
            "{label} answered {} of its first {} requests, and {} of those after: as happens when a rate limiter \
             in {label} alone rejects the rest ({}), or where {label} broke during the run; a lower --rate \
             would tell",
            percent(change.before[0]),
            change.index,
            percent(change.after[0]),
            self.summary()
        );
        let finding = Finding::new("backend_limited", message)
            .with("requests_before", change.index as f64)
            .with("missing_share_before", change.before[1])
            .with("missing_share_after", change.after[1])
            .with("log_likelihood_gain", change.log_likelihood_gain);
        let failing = if backend == symptoms.primary() {
            "primary_failing"
        } else {
            "canary_failing"
        };
        Some(finding.tied(vec![failing]))
    }

    /// Identified and missing requests over blocks of the dispatch order; `None` where the blocks are not
    /// known.
    fn blocks(&self, symptoms: &Symptoms<'_>) -> Option<Vec<[u64; 2]>> {
        let length = symptoms.window_length;
        let missing = self.sent() + self.never_sent;
        if symptoms.counts.foreign > 0 || length == 0 || symptoms.windows.is_empty() || missing == 0
        {
            return None;
        }
        let identified: Vec<u64> = symptoms
            .windows
            .iter()
            .map(|window| window.iter().sum())
            .collect();
        let dispatched = identified.iter().sum::<u64>() + missing;
        let number = dispatched.div_ceil(length);
        if number > MAX_BLOCKS {
            return None;
        }
        let block = |index: u64| {
            let size = length.min(dispatched - index * length);
            let place = usize::try_from(index).expect("below MAX_BLOCKS");
            let identified = identified.get(place).copied().unwrap_or(0);
            [identified, size.saturating_sub(identified)]
        };
        Some((0..number).map(block).collect())
    }

    /// Failures that lie close together, as while a proxy reloads.
    fn clustered(&self, symptoms: &Symptoms<'_>, blocks: &[[u64; 2]]) -> Option<Finding> {
        let total: u64 = blocks.iter().map(|&[_, missing]| missing).sum();
        let (first, last, held) = shortest_span(blocks, CLUSTERED * total as f64)?;
        let size = |span: &[[u64; 2]]| span.iter().flatten().sum::<u64>() as f64;
        let span = size(&blocks[first..=last]);
        let part = span / size(blocks);
        // Every pair of blocks may begin and end a span.
        let spans = (blocks.len() as f64).powi(2) / 2.0;
        let p = (Binomial::new(total, part).ln_at_least(held).exp() * spans).min(1.0);
        if part > SHORT || p > symptoms.alpha {
            return None;
        }
        let from = first as u64 * symptoms.window_length;
        let message = format!(
            "{held} of {total} requests without an identity ({}) lie between about request {from} and {:.0}: \
             as happens when the ingress reloads, or a pod is replaced, in mid-run",
            self.summary_with_unsent(),
            from as f64 + span
        );
        let finding = Finding::new("errors_clustered", message)
            .with("request", from as f64)
            .with("span_share", part)
            .with("p_value", p);
        Some(finding)
    }

    /// Failures that begin at some request and last.
    fn onset(&self, symptoms: &Symptoms<'_>, blocks: &[[u64; 2]]) -> Option<Finding> {
        if self.is_mostly_success() {
            return None;
        }
        let change = onset(symptoms, blocks)?;
        let message = format!(
            "{} of the first {} requests were answered and {} of those after ({}), whatever the backend",
            percent(change.before[0]),
            change.index,
            percent(change.after[0]),
            self.summary_with_unsent()
        );
        let finding = if self.is_mostly_rejections() {
            Finding::new(
                "rate_limited",
                format!(
                    "{message}: as happens when the burst of a rate limiter is used up; a lower -c, and then a \
                     lower --rate, would tell it from an outage"
                ),
            )
        } else {
            Finding::new(
                "outage",
                format!(
                    "{message}: as happens when the ingress or all its backends broke down during the run"
                ),
            )
        };
        let finding = finding
            .with("requests_before", change.index as f64)
            .with("missing_share_before", change.before[1])
            .with("missing_share_after", change.after[1])
            .with("log_likelihood_gain", change.log_likelihood_gain);
        Some(finding)
    }
}

/// What it means that nothing but errors came, by the status of most.
fn all_errors(symptoms: &Symptoms<'_>) -> (&'static str, String) {
    let by_status = symptoms.unidentified_by_status.iter();
    let most = by_status.max_by_key(|&&(_, count)| count);
    let meaning = match most.map_or(0, |&(status, _)| status) {
        500 => "as happens when every version fails at this request, or the ingress itself does",
        502 => {
            "as happens when the pods refuse or break the connection: another port than the app's, TLS on one side \
             alone, or pods that restart"
        }
        504 => {
            "as happens when the pods do not answer in time, or cannot be reached: another port than the app's, or a \
             network policy"
        }
        520..=527 => {
            "as a CDN answers that does not reach the ingress; go around it with --resolve or --connect-to"
        }
        _ => {
            let shares = symptoms.split.shares();
            // A canary that is to get everything hangs on a primary that is to get nothing.
            let silent = (0..shares.len())
                .filter(|&backend| shares[backend] == 0.0)
                .take(4);
            let primaries = [symptoms.primary()].into_iter().chain(silent);
            let primaries: Vec<&str> = primaries.map(|backend| symptoms.label(backend)).collect();
            let meaning = format!(
                "as happens when the primary, {}, has no ready endpoints, without which an ingress serves nothing, not \
                 even a canary, or where no backend is up",
                primaries.join(" or ")
            );
            return ("primary_dead", meaning);
        }
    };
    ("all_failing", meaning.to_owned())
}

fn listed(parts: &[String]) -> String {
    const SHOWN: usize = 6;
    let mut list = parts[..parts.len().min(SHOWN)].join(", ");
    if parts.len() > SHOWN {
        list.push_str(", …");
    }
    list
}

/// Where hardly anything is missing before and much is after, beyond chance.
fn onset(symptoms: &Symptoms<'_>, blocks: &[[u64; 2]]) -> Option<ChangePoint> {
    let change = change_point(blocks, &[])?;
    let all = blocks.iter().flatten().sum();
    let sharp = change::p_value(&change, all) <= symptoms.alpha;
    (sharp && change.before[1] <= CLEAN && change.after[1] >= BROKEN).then_some(change)
}

/// The shortest run of blocks with at least `wanted` missing: its first and last block and what it holds.
fn shortest_span(blocks: &[[u64; 2]], wanted: f64) -> Option<(usize, usize, u64)> {
    let mut best: Option<(usize, usize, u64)> = None;
    let (mut first, mut held) = (0, 0);
    for (last, &[_, missing]) in blocks.iter().enumerate() {
        held += missing;
        while first < last && (held - blocks[first][1]) as f64 >= wanted {
            held -= blocks[first][1];
            first += 1;
        }
        let shorter = best.is_none_or(|(from, to, _)| last - first < to - from);
        if held > 0 && held as f64 >= wanted && shorter {
            best = Some((first, last, held));
        }
    }
    best
}
