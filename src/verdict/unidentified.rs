//! What answers say that name no pod, and what to do about it.

use http::header::{ALLOW, CONTENT_TYPE, LOCATION, RETRY_AFTER, SERVER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, Uri};

use super::Reason;
use crate::format::{TOLD, cut};
use crate::identity::assignment::{Assignment, Basis, Group, Inference};
use crate::identity::encoding;
use crate::identity::finder::{Naming, Sample};
use crate::identity::place::Place;
use crate::identity::proposal::{self, NameRule, Proposal, quoted};
use crate::identity::workload::workload;
use crate::measured::{Trial, UnidentifiedSample};
use crate::observation::status;
use crate::split::Split;

/// Words of an address that say that a login follows, and beginnings of such words.
const LOGINS: [&str; 5] = ["auth", "authorize", "authenticate", "sso", "adfs"];
const LOGINS_BEGIN: [&str; 7] = [
    "login", "logon", "signin", "oauth", "oidc", "openid", "saml",
];

/// What the first response without an identity says, and how many came in all, if that is known.
pub fn unidentified(
    split: &Split,
    trial: &Trial,
    (responses, sample): (Option<u64>, &UnidentifiedSample),
    naming: &Naming,
) -> Reason {
    let host = &trial.host;
    let describe = |of_which: &str| match responses {
        Some(responses) => format!("{responses} responses, {of_which}"),
        None => format!("responses came, {of_which}"),
    };
    let none_from_a_pod = describe("none from a pod");
    let from_before = from_before_the_pods(host, sample);
    if let Some((code, what)) = from_before {
        return Reason::new(code, format!("{none_from_a_pod}: {what}"));
    }
    let none_names_a_pod = describe("none of which names a pod");
    if let Some(remedy) = of_call(sample.status) {
        let ended = status::name(sample.status);
        let message = format!("{none_names_a_pod}: the first ended as {ended}: {remedy}");
        return Reason::new("calls_failed", message);
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
    if let Some(doubt) = in_doubt(naming) {
        return doubt;
    }
    let shown = beginning(sample);
    let remedy = match Proposal::of(split.labels(), split.shares(), &naming.samples) {
        Some(proposal) => proposed(&proposal),
        None => rule_for(sample),
    };
    let what = match &*trial.identify {
        [] => none_names_a_pod,
        rules => {
            let matched = rules.iter().map(|rule| quoted(rule)).collect::<Vec<_>>();
            describe(&format!(
                "and --identify {} matched nothing in them",
                matched.join(" --identify ")
            ))
        }
    };
    Reason::new(
        "nothing_identified",
        format!(
            "{what}; the first ({}) begins \"{shown}\"; {remedy}",
            status::name(sample.status)
        ),
    )
}

/// As much of a body is told.
const MOST_SHOWN: usize = 200;

/// The beginning of its body, escaped.
fn beginning(sample: &UnidentifiedSample) -> String {
    let message = &sample.body[..sample.body.len().min(MOST_SHOWN)];
    let message = String::from_utf8_lossy(message);
    message.trim_end().escape_debug().to_string()
}

/// How to say where such a response names its pod.
fn rule_for(sample: &UnidentifiedSample) -> String {
    const MOST: usize = 3;
    if sample.status < status::ANSWERED {
        return "say how yours does with --identify header:NAME, trailer:NAME or field:3.1"
            .to_owned();
    }
    let values = proposal::json_values(&sample.body);
    let rules: Vec<String> = values
        .iter()
        .take(MOST)
        .map(|(rule, _)| format!("--identify {}", quoted(rule)))
        .collect();
    if rules.is_empty() {
        return "say how yours does with --identify REGEX, header:NAME or json:/pointer".to_owned();
    }
    format!(
        "say which of it names the pod or the version: {}",
        rules.join(" or ")
    )
}

/// How backends can be told apart without pods.
pub fn proposed(proposal: &Proposal) -> String {
    let check = if proposal.backends.is_empty() {
        ""
    } else {
        " (check which is which)"
    };
    format!(
        "to go by what differs between them, add: {}{check}",
        proposal.options()
    )
}

/// Why no place was taken for a pod's name although some hold one.
pub(super) fn in_doubt(naming: &Naming) -> Option<Reason> {
    let [_, ..] = &naming.rivals[..] else {
        return None;
    };
    let remedy = told_apart(&naming.several, None).unwrap_or_else(|| {
        let rules = naming.rivals.iter().take(4);
        let rules = rules.map(|place| format!("--identify {}", quoted(&place.rule())));
        format!("say so with {}", rules.collect::<Vec<_>>().join(" or "))
    });
    Some(Reason::new(
        "identity_in_doubt",
        format!(
            "responses hold names of pods in more than one way, and which is the one that answered is not clear; {remedy}"
        ),
    ))
}

/// How to tell which of several names in a response is that of the pod that answered, and is of another workload than `not`.
fn told_apart(several: &[Sample], not: Option<&str>) -> Option<String> {
    let rules = NameRule::of(several).into_iter();
    let rules: Vec<NameRule> = rules
        .filter(|rule| rule.differs || Some(workload(&rule.name)) != not)
        .take(4)
        .collect();
    if let [only] = &rules[..]
        && only.differs
    {
        let rule = quoted(&only.identify);
        return Some(format!(
            "to go by what differs between them, add: --identify {rule}"
        ));
    }
    let rules: Vec<String> = rules
        .iter()
        .map(|rule| {
            format!(
                "--identify {} (it reads {})",
                quoted(&rule.identify),
                rule.name
            )
        })
        .collect();
    (!rules.is_empty()).then(|| format!("say so with {}", rules.join(" or ")))
}

/// Why names are not judged that may be those of what stands before the pods: they are of one workload, which is no backend
/// by its name, and were read where none was asked for, or stand beside another workload's.
pub fn is_it_the_ingress<'a>(
    naming: &Naming,
    mut groups: impl Iterator<Item = &'a Group>,
    assignment: &Assignment,
) -> Option<Reason> {
    let first = &groups.next()?.workload;
    let is_besides = !naming.several.is_empty();
    // What leaves doubt in itself is told as such.
    let may_be = (is_besides || naming.place.is_some()) && naming.rivals.is_empty();
    if !may_be || groups.any(|other| other.workload != *first) {
        return None;
    }
    // The only one that answered is taken for the only backend, whatever it is called.
    let is_alone = |one: &Inference| one.basis == Basis::Alone;
    let remedy = told_apart(&naming.several, Some(first));
    let is_unsure = is_besides && remedy.is_some() && assignment.inferences.iter().any(is_alone);
    if assignment.fixed.iter().any(Option::is_some) && !is_unsure {
        return None;
    }
    let place = naming.place.as_ref();
    let read_from = place.map_or(String::new(), |place| format!(", read from {place}"));
    let besides = if is_besides {
        ", and some another pod besides"
    } else {
        ""
    };
    let remedy = remedy.unwrap_or_else(|| "say how pods are named with --identify".to_owned());
    let suggested = match &assignment.suggestions[..] {
        [] => format!("--backend LABEL={first}"),
        suggestions => suggestions.join(" "),
    };
    Some(Reason::new(
        "identity_in_doubt",
        format!(
            "all responses name {first}{read_from}{besides}: that may be the ingress rather than a backend; {remedy}, or say \
             which backend it is with {suggested}"
        ),
    ))
}

/// Where pods were found to be named, and how to say so.
pub fn naming(place: &Place) -> String {
    format!(
        "the pod was read from {place}, where the first responses name it; to pin that, add --identify {}",
        quoted(&place.rule())
    )
}

/// What answered in place of a pod, as far as a code and a sentence can say.
fn from_before_the_pods(host: &str, sample: &UnidentifiedSample) -> Option<(&'static str, String)> {
    let body = String::from_utf8_lossy(&sample.body);
    let shown = beginning(sample);
    let status = sample.status;
    if status >= 100 && is_of_grpc(sample) {
        return Some((
            "grpc_answered",
            format!(
                "a gRPC server answers ({status}), which takes calls alone: say one with --grpc SERVICE/METHOD, or --grpc for its \
                 health check"
            ),
        ));
    }
    match status {
        404 if body.contains("default backend") => Some((
            "default_backend",
            format!(
                "the ingress answers 404 \"{shown}\", its default backend, since no rule matches Host {host}; \
                 check --host and the path"
            ),
        )),
        404 => Some(("no_rule", no_rule(sample, host))),
        300..400 => Some(redirected(sample, host)),
        401 | 407 => Some((
            "login_required",
            format!(
                "they ask for credentials ({status}{}): send them with -H 'Authorization: …', or a session with -b",
                text(&sample.headers, &WWW_AUTHENTICATE)
                    .map(|scheme| format!(", {}", scheme.escape_debug()))
                    .unwrap_or_default()
            ),
        )),
        400 if certificate_page(&body).is_some() => {
            Some(("client_certificate", certificate_page(&body)?.to_owned()))
        }
        503 if body.contains("<h1>Application is not available</h1>") => Some((
            "no_rule",
            format!(
                "OpenShift's router has no route for Host {host} and the path, or none whose pods are ready; check --host"
            ),
        )),
        400.. => Some((
            "error_pages",
            format!(
                "the first is a {status} to Host {host}: \"{shown}\"{}",
                remedy(sample, &body)
            ),
        )),
        200 if is_unknown_site(sample) => Some((
            "no_rule",
            format!(
                "Caddy answers {status} with nothing, as happens when no site matches Host {host}; check --host and the path"
            ),
        )),
        _ => None,
    }
}

/// What to do about an error page that is the client's to mend.
fn remedy(sample: &UnidentifiedSample, body: &str) -> String {
    let to_tls = [
        "plain HTTP request was sent to HTTPS",
        "HTTP request to an HTTPS server",
    ];
    match sample.status {
        400 if to_tls.iter().any(|page| body.contains(page)) => {
            "; the port speaks TLS: use https://".to_owned()
        }
        403 => "; a firewall, an allow-list or a guard against robots refuses this client: go around it, or send what it \
                asks for with -H, -b or -A"
            .to_owned(),
        405 => match text(&sample.headers, &ALLOW) {
            Some(methods) => format!("; send a method that it takes with -X: {}", methods.escape_debug()),
            None => "; send a method that it takes with -X".to_owned(),
        },
        421 => "; it asks for one name in TLS and for another as its Host: see --host and --sni".to_owned(),
        429 => "; a rate limiter rejects everything: wait until it does no more, and go slower with --rate".to_owned(),
        503 => match text(&sample.headers, &RETRY_AFTER) {
            Some(when) => format!("; it asks to come back later (Retry-After: {}), as during maintenance", when.escape_debug()),
            None => String::new(),
        },
        _ => String::new(),
    }
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

/// Whether its content is what gRPC servers answer with.
fn is_of_grpc(sample: &UnidentifiedSample) -> bool {
    text(&sample.headers, &CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// Caddy's answer where no site or route matches.
fn is_unknown_site(sample: &UnidentifiedSample) -> bool {
    sample.body.is_empty() && text(&sample.headers, &SERVER).is_some_and(|server| server == "Caddy")
}

/// What a 404 says, which is a proxy's own as a rule.
fn no_rule(sample: &UnidentifiedSample, host: &str) -> String {
    let body = String::from_utf8_lossy(&sample.body);
    let server = text(&sample.headers, &SERVER)
        .unwrap_or_default()
        .to_ascii_lowercase();
    // The pages of nginx and OpenResty, Traefik and Go, Kong, APISIX, HAProxy, Google's and Amazon's balancers.
    let pages = [
        "<center>nginx",
        "<center>openresty",
        "404 page not found",
        "no Route matched",
        "404 Route Not Found",
        "<h1>404 Not Found</h1>",
        "backend NotFound",
        "<center>awselb",
        "no route matched",
    ];
    let is_proxys = pages.iter().any(|page| body.contains(page))
        || (body.is_empty()
            && ["envoy", "caddy", "kong", "traefik", "haproxy"]
                .iter()
                .any(|proxy| server.contains(proxy)));
    let shown = if body.is_empty() {
        "without a body".to_owned()
    } else {
        format!("\"{}\"", beginning(sample))
    };
    let otherwise = if is_proxys {
        ""
    } else {
        ", or where the app lacks the path"
    };
    format!(
        "the first is a 404 {shown}, as happens when no rule matches Host {host}{otherwise}; check --host and the path (--path)"
    )
}

/// Where a redirect leads.
fn redirected(sample: &UnidentifiedSample, host: &str) -> (&'static str, String) {
    let status = sample.status;
    let Some(to) = sample.headers.get(LOCATION) else {
        return (
            "redirected",
            format!("the ingress redirects ({status}) to nowhere; use that URL"),
        );
    };
    let to = String::from_utf8_lossy(to.as_bytes());
    let shown = cut(&to, TOLD);
    let shown = shown.escape_debug();
    if is_login(&to) {
        return (
            "login_required",
            format!(
                "they redirect ({status}) to a login at {shown}: send the session of one who is logged in, with \
                 -b NAME=VALUE or -H"
            ),
        );
    }
    let bare = |authority: &str| {
        authority
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    let elsewhere = to.parse::<Uri>().ok().and_then(|to| to.host().map(bare));
    if elsewhere.is_some_and(|other| other != bare(host)) {
        return (
            "redirected",
            format!(
                "the ingress redirects ({status}) to another host, {shown}; use that URL, or where it asks for a login, \
                 send a session with -b NAME=VALUE or -H"
            ),
        );
    }
    (
        "redirected",
        format!("the ingress redirects ({status}) to {shown}; use that URL"),
    )
}

/// Whether an address is where one logs in.
fn is_login(address: &str) -> bool {
    let path = address.split('?').next().unwrap_or_default();
    let path = path.to_ascii_lowercase().replace(['_', '-'], "");
    path.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| {
            LOGINS.contains(&word) || LOGINS_BEGIN.iter().any(|begin| word.starts_with(begin))
        })
}

/// What nginx's pages about a client's certificate mean (`ngx_http_special_response.c`, 495 and 496, sent as 400).
fn certificate_page(body: &str) -> Option<&'static str> {
    if body.contains("No required SSL certificate was sent") {
        Some("the ingress demands a client's certificate: give one with --cert FILE and --key FILE")
    } else if body.contains("The SSL certificate error") {
        Some("the ingress refuses the client's certificate: check --cert")
    } else {
        None
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
