//! Why a run could not measure, or measured less than was planned.

use http::header::LOCATION;

use super::Reason;
use crate::format::{TOLD, cut, time};
use crate::identity::encoding;
use crate::measured::{Ending, Measured, Trial, UnidentifiedSample};
use crate::observation::{Failure, status};
use crate::plan::target::Protocol;
use crate::stats::sequential::Look;

/// Why nothing was attributed although requests were sent.
#[must_use]
pub fn not_measured(measured: &Measured) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let responses = measured.counted.responses();
    if let Some(sample) = &measured.sample {
        reasons.push(unidentified(&measured.trial.host, Some(responses), sample));
    }
    let remedy = other_protocol(&measured.trial).filter(|_| responses == 0);
    reasons.extend(failures(measured, remedy));
    if reasons.is_empty() {
        reasons.push(Reason::new("nothing_attributed", "no request was answered"));
    }
    reasons
}

/// What a response without an identity says; `responses` came in all, if that is known.
#[must_use]
pub fn unidentified(host: &str, responses: Option<u64>, sample: &UnidentifiedSample) -> Reason {
    let told = |of_which: &str| match responses {
        Some(responses) => format!("{responses} responses, {of_which}"),
        None => format!("responses came, {of_which}"),
    };
    let none_from_a_pod = told("none from a pod");
    let none_names_a_pod = told("none of which names a pod");
    let body = String::from_utf8_lossy(&sample.body);
    let shown = body.escape_debug();
    let status = sample.status;
    if status == 404 && body.contains("default backend") {
        return Reason::new(
            "default_backend",
            format!(
                "{none_from_a_pod}: the ingress answers 404 \"{shown}\", its default \
                 backend, since no rule matches Host {host}; check --host and the path"
            ),
        );
    }
    if (300..400).contains(&status) {
        let location = sample
            .headers
            .get(LOCATION)
            .map(|to| String::from_utf8_lossy(to.as_bytes()));
        return Reason::new(
            "redirected",
            format!(
                "{none_from_a_pod}: the ingress redirects ({status}) to {}; \
                 use that URL",
                cut(location.as_deref().unwrap_or("nowhere"), TOLD).escape_debug()
            ),
        );
    }
    if let Some(told) = certificate_page(status, &body) {
        return Reason::new("client_certificate", format!("{none_from_a_pod}: {told}"));
    }
    if let Some(remedy) = of_call(status) {
        return Reason::new(
            "calls_failed",
            format!(
                "{none_names_a_pod}: the first ended as {}: {remedy}",
                status::name(status)
            ),
        );
    }
    if status >= 400 {
        return Reason::new(
            "error_pages",
            format!("{none_from_a_pod}: the first is a {status} to Host {host}: \"{shown}\""),
        );
    }
    if let Some(coding) = encoding::not_undone(&sample.headers) {
        return Reason::new(
            "unreadable_body",
            format!(
                "{none_names_a_pod}: bodies come coded as {}, though none was asked for, and lbtest reads \
                 gzip, deflate, br and zstd alone; say who answers with --identify header:NAME",
                cut(&coding, TOLD).escape_debug()
            ),
        );
    }
    Reason::new(
        "nothing_identified",
        format!(
            "{none_names_a_pod}; the first ({}) begins \"{shown}\"; say \
             how yours does with --identify REGEX, header:NAME or json:/pointer",
            status::name(status)
        ),
    )
}

/// What a status of gRPC means that is no success.
fn of_call(status: u16) -> Option<&'static str> {
    match status {
        status::UNIMPLEMENTED => Some(
            "the server has no such service or method; say one that it has with --grpc SERVICE/METHOD",
        ),
        status::UNAVAILABLE => {
            Some("the ingress reaches no backend that answers; are the pods up?")
        }
        1..=16 => Some(
            "say a method that succeeds with --grpc SERVICE/METHOD, and its message with --data-file",
        ),
        _ => None,
    }
}

/// What nginx's pages about a client's certificate mean (`ngx_http_special_response.c`, 495 and 496, sent as 400).
fn certificate_page(status: u16, body: &str) -> Option<&'static str> {
    if status != 400 {
        None
    } else if body.contains("No required SSL certificate was sent") {
        Some("the ingress demands a client's certificate: give one with --cert FILE and --key FILE")
    } else if body.contains("The SSL certificate error") {
        Some("the ingress refuses the client's certificate: check --cert")
    } else {
        None
    }
}

/// What a port may speak instead that answers none of the plan's requests. Over TLS the two sides agree on it.
fn other_protocol(trial: &Trial) -> Option<&'static str> {
    match (&trial.tls_server_name, trial.protocol) {
        (Some(_), _) => None,
        (None, Protocol::Http1) => Some(
            "; if the port speaks TLS, write the URL as https://; if it speaks HTTP/2 alone, add --http2",
        ),
        (None, Protocol::Http2) => Some(
            "; if the port speaks HTTP/1.1 alone, leave --http2 away; if it speaks TLS, write the URL as https://",
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

/// `remedy` is what to do where the two sides seem not to understand each other.
fn failures(measured: &Measured, remedy: Option<&'static str>) -> impl Iterator<Item = Reason> {
    measured
        .counted
        .by_failure
        .iter()
        .map(move |(&failure, count)| {
            let message = measured
                .failure_messages
                .get(&failure)
                .map_or("", |message| message);
            let did = match failure {
                Failure::Resolve => "could not resolve the name",
                Failure::Connect => "could not connect",
                Failure::Tls => "failed in the TLS handshake",
                Failure::Timeout => "got no answer in time",
                Failure::Reset => "were closed without an answer",
                Failure::Protocol => "got something that is not HTTP",
                Failure::Body => "got a body that broke off",
                Failure::Local => "failed for lack of something on this machine",
                Failure::Abandoned => "were in flight when the user quit",
            };
            let remedy = remedy.filter(|_| match failure {
                Failure::Reset | Failure::Protocol => true,
                Failure::Timeout => measured.trial.protocol == Protocol::Tcp,
                _ => false,
            });
            let remedy = remedy.unwrap_or_default();
            Reason::new(
                "requests_failed",
                format!("{count} requests {did}: {message}{remedy}"),
            )
        })
}

/// What is worth knowing of the requests that were not attributed, in a run that has a verdict.
#[must_use]
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
    reasons.extend(failures(measured, None));
    reasons
}

/// Why fewer requests were attributed than planned, as the end of a sentence; `None` when enough were.
#[must_use]
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
