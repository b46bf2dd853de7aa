//! Why a run could not measure, or measured less than was planned.

use super::Reason;
use super::unidentified::{self, unidentified};
use crate::format::{self, time};
use crate::measured::{Ending, Measured, Trial};
use crate::observation::{Failure, status};
use crate::plan::target::Protocol;
use crate::split::Split;
use crate::stats::sequential::Look;

/// What the message of an answer begins with that is none of gRPC; it says what to do by itself.
const PLAIN_ANSWER: &str = "the answer is plain HTTP";

/// Why nothing was attributed although requests were sent.
pub fn not_measured(split: &Split, measured: &Measured) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let responses = measured.counted.responses();
    if let Some(sample) = &measured.sample {
        let answer = (Some(responses), sample);
        reasons.push(unidentified(
            split,
            &measured.trial,
            answer,
            &measured.naming,
        ));
    }
    let remedy = other_protocol(&measured.trial).filter(|_| responses == 0);
    reasons.extend(failures(measured, remedy));
    if reasons.is_empty() {
        reasons.push(Reason::new("nothing_attributed", "no request was answered"));
    }
    reasons
}

/// What a port may speak instead that answers none of the plan's requests. Over TLS the two sides agree on it.
fn other_protocol(trial: &Trial) -> Option<&'static str> {
    match (&trial.tls_server_name, trial.protocol) {
        (Some(_), _) => None,
        (None, Protocol::Http1) => Some(
            "; if the port speaks TLS, write the URL as https://; if it speaks HTTP/2 alone, add --http2, \
             or for gRPC --grpc SERVICE/METHOD",
        ),
        (None, Protocol::Http2) => Some(
            "; if the port speaks HTTP/1.1 alone, drop --http2; if it speaks gRPC, add --grpc \
             SERVICE/METHOD; if it speaks TLS, write the URL as https://",
        ),
        (None, Protocol::Grpc) => Some(
            "; gRPC needs HTTP/2: the port may speak HTTP/1.1 alone; if it speaks TLS, write the URL as https://",
        ),
        (None, Protocol::Tcp) => Some(
            "; if the service waits to be spoken to, say what goes first with --send TEXT; if it speaks TLS, write \
             the URL as tls://",
        ),
    }
}

/// `remedy` is what to do where the two sides seem not to understand each other; it is said once.
fn failures(measured: &Measured, mut remedy: Option<&'static str>) -> Vec<Reason> {
    let protocol = measured.trial.protocol;
    let mut reasons = Vec::new();
    for (&failure, count) in &measured.counted.by_failure {
        let message = measured.failure_messages.get(&failure);
        let message = message.map_or("", |message| message);
        let is_plain = message.contains(PLAIN_ANSWER);
        let did = match failure {
            Failure::Resolve => "could not resolve the name",
            Failure::Connect => "could not connect",
            Failure::Tls => "failed in the TLS handshake",
            Failure::Timeout => "got no answer in time",
            Failure::Reset => "lost the connection without an answer",
            Failure::Protocol if is_plain => "got something that is not gRPC",
            Failure::Protocol if protocol.alpn() == Some("h2") => {
                "got something that is not HTTP/2"
            }
            Failure::Protocol => "got something that is not HTTP",
            Failure::Body => "got a body that broke off",
            Failure::Local => "failed for lack of something on this machine",
            Failure::Abandoned => "had no answer yet when the user quit",
        };
        let misunderstands = match failure {
            Failure::Reset | Failure::Protocol => !is_plain,
            Failure::Timeout => protocol == Protocol::Tcp,
            _ => false,
        };
        let remedy = remedy.take_if(|_| misunderstands).unwrap_or_default();
        let requests = format::count(*count, "request");
        let message = format!("{requests} {did}: {message}{remedy}");
        reasons.push(Reason::new("requests_failed", message));
    }
    reasons
}

/// What is worth knowing of the requests that were not attributed, in a run that has a verdict.
pub fn missing_answers(measured: &Measured) -> Vec<Reason> {
    let responses = measured.counted.responses();
    let unidentified = measured.counted.unidentified();
    let mut reasons = Vec::new();
    if unidentified > 0 {
        let statuses: Vec<String> = measured
            .counted
            .unidentified_by_status
            .iter()
            .map(|(&status, count)| format!("{} × {count}", status::name(status)))
            .collect();
        reasons.push(Reason::new(
            "responses_without_identity",
            format!(
                "{unidentified} of {responses} responses ({:.1} %) name no pod: status {}",
                100.0 * unidentified as f64 / responses as f64,
                statuses.join(", ")
            ),
        ));
    }
    reasons.extend(unidentified::in_doubt(&measured.naming));
    reasons.extend(failures(measured, None));
    reasons
}

/// Why fewer requests were attributed than planned, as the end of a sentence; `None` when enough were.
pub fn cut_short(measured: &Measured) -> Option<String> {
    let attributed = measured.counted.attributed();
    let decided = measured.standing.as_ref().is_some_and(|standing| {
        matches!(standing.look, Look::Pass | Look::Fail | Look::Inconclusive)
    });
    let planned = measured
        .trial
        .budget
        .requests
        .map_or(String::new(), |requests| format!(" of {requests}"));
    match measured.ending.as_ref().ok()? {
        Ending::Complete => None,
        _ if decided => None,
        Ending::MaxDuration => {
            let slow = match (measured.limiter, measured.trial.budget.requests) {
                (Some(found), Some(requests)) => format!(
                    "; at the {:.0} a minute that the rate limiter lets through they take {}",
                    60.0 * found.pace_per_second,
                    time(requests.get() as f64 / found.pace_per_second)
                ),
                _ => String::new(),
            };
            Some(format!(
                "--max-duration {:?} passed with {attributed}{planned} requests attributed{slow}",
                measured.trial.budget.max_duration
            ))
        }
        Ending::Interrupted => Some(format!(
            "it was interrupted with {attributed}{planned} requests attributed"
        )),
        Ending::ReplacementsSpent => Some(format!(
            "{} requests without an identity were sent again, and no more are, with \
             {attributed}{planned} requests attributed",
            measured.trial.budget.replacements()
        )),
        Ending::NothingIdentified => Some("no response named a pod".to_owned()),
    }
}
