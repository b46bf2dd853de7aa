//! Sessions: a request, and follow-ups that send back what the responses gave, as a browser does.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::claim::stickiness::{FOLLOW_UPS, SessionBy, Stickiness};
use crate::headers::Headers;
use crate::observation::PodId;
use crate::plan::Plan;
use crate::tally::sessions::{Move, OneSession, Sessions};

/// A client keeps at least so many cookies of a domain (RFC 6265 §6.1), and this one no more.
const MOST_COOKIES: usize = 50;
/// And cookies of at least so many bytes.
const MOST_COOKIE_BYTES: usize = 4096;
/// As much of what was carried is shown.
const SHOWN_BYTES: usize = 120;

/// Hands out the sessions of a run, and says what they look like.
#[derive(Debug)]
pub(super) struct SessionSource {
    by: SessionBy,
    remaining: AtomicU64,
    begun: AtomicU64,
    /// What every request sends of cookies anyway.
    own_cookies: Vec<(String, String)>,
    scope: Scope,
}

/// Where requests go, which decides about cookies.
#[derive(Debug)]
struct Scope {
    host: String,
    path: String,
    is_secure: bool,
}

impl SessionSource {
    pub(super) fn new(plan: &Plan, stickiness: &Stickiness) -> Self {
        let headers = &plan.request.headers;
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default();
        let bare = match host.rsplit_once(':') {
            Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
            _ => host,
        };
        let own_cookies = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|cookies| cookies.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(pair)
            .collect();
        Self {
            by: stickiness.by.clone(),
            remaining: AtomicU64::new(stickiness.sessions.map_or(u64::MAX, NonZeroU64::get)),
            begun: AtomicU64::new(0),
            own_cookies,
            scope: Scope {
                host: bare.to_ascii_lowercase(),
                path: plan.request.uri.path().to_owned(),
                is_secure: plan.target.tls.is_some(),
            },
        }
    }

    /// A session that has not begun, if one is left.
    fn take(&self) -> Option<Session> {
        let one_less = |remaining: u64| remaining.checked_sub(1);
        self.remaining
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .ok()?;
        Some(Session {
            number: self.begun.fetch_add(1, Ordering::Relaxed) + 1,
            began: None,
            jar: Jar::default(),
            course: OneSession {
                is_carried: true,
                ..OneSession::default()
            },
        })
    }
}

/// One session after the other; belongs to one request loop.
#[derive(Debug)]
pub(super) struct SessionLoop {
    source: Arc<SessionSource>,
    current: Option<Session>,
}

#[derive(Debug)]
struct Session {
    number: u64,
    /// Who answered the first request.
    began: Option<PodId>,
    jar: Jar,
    course: OneSession,
}

impl SessionLoop {
    pub(super) fn new(source: Arc<SessionSource>) -> Self {
        let current = None;
        Self { source, current }
    }

    /// Whether there is a request left for this loop to send.
    pub(super) fn goes_on(&mut self) -> bool {
        if self.current.is_none() {
            self.current = self.source.take();
        }
        self.current.is_some()
    }

    /// Adds what the session carries to a request.
    pub(super) fn send(&self, headers: &mut HeaderMap) {
        let Some(session) = &self.current else { return };
        match (&self.source.by, &session.jar.header) {
            (SessionBy::Header(name), Some(value)) => {
                headers.insert(name, value.clone());
            }
            _ if !session.jar.cookies.is_empty() => {
                let jar = &session.jar.cookies;
                let is_kept = |name: &str| jar.iter().any(|(kept, _)| kept == name);
                let own = self.source.own_cookies.iter();
                let cookies: Vec<String> = own
                    .filter(|(name, _)| !is_kept(name))
                    .chain(jar)
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                // Each came in a header of a response or of the plan, and is one for that.
                if let Ok(value) = HeaderValue::from_str(&cookies.join("; ")) {
                    headers.insert(COOKIE, value);
                }
            }
            _ => {}
        }
    }

    /// Takes up what a response gives to be sent back.
    pub(super) fn receive(&mut self, headers: Headers<'_>, sessions: &mut Sessions) {
        let Some(session) = &mut self.current else {
            return;
        };
        match &self.source.by {
            SessionBy::Header(name) => {
                let value = headers.get(name).map(HeaderValue::from_bytes);
                if let Some(Ok(value)) = value {
                    sessions.carry(name.as_str());
                    session.jar.header = Some(value);
                }
            }
            by => {
                for text in headers.texts(&SET_COOKIE) {
                    session.jar.set(text, by, &self.source.scope, sessions);
                }
            }
        }
    }

    /// Takes down who answered; `None` for a request without an identity.
    pub(super) fn record(&mut self, answered: Option<(PodId, usize)>, sessions: &mut Sessions) {
        let Some(mut session) = self.current.take() else {
            return;
        };
        let Some(began) = session.began else {
            // Without a first response there is nothing to stay on: another session takes its place.
            let Some((pod, group)) = answered else {
                self.source.remaining.fetch_add(1, Ordering::Relaxed);
                return;
            };
            session.began = Some(pod);
            session.course.began = group;
            session.course.is_carried &= !session.jar.is_empty();
            self.current = Some(session);
            return;
        };
        let follow_ups = &mut session.course.follow_ups;
        follow_ups.push(answered.map(|(_, group)| group));
        let follow_up = follow_ups.len() as u64;
        if let Some((pod, group)) = answered
            && group != session.course.began
        {
            sessions.show((session.course.began, group), || Move {
                session: session.number,
                follow_up,
                from: began,
                to: pod,
                carried: session.jar.shown(&self.source.by),
            });
        }
        if follow_up < FOLLOW_UPS {
            self.current = Some(session);
        } else {
            sessions.close(&session.course);
        }
    }

    /// Folds in the session that was under way when the run ended.
    pub(super) fn end(&mut self, sessions: &mut Sessions) {
        if let Some(session) = self.current.take() {
            sessions.close(&session.course);
        }
    }
}

/// What a session sends back.
#[derive(Debug, Default)]
struct Jar {
    cookies: Vec<(String, String)>,
    header: Option<HeaderValue>,
}

impl Jar {
    fn is_empty(&self) -> bool {
        self.cookies.is_empty() && self.header.is_none()
    }

    /// Keeps the cookie of a `Set-Cookie` header as a browser would at this place (RFC 6265 §5.2–5.4), whose
    /// dates of expiry are not looked at: a session takes no time.
    fn set(&mut self, text: &str, by: &SessionBy, scope: &Scope, sessions: &mut Sessions) {
        let mut parts = text.split(';');
        let Some((name, value)) = parts.next().and_then(pair) else {
            return;
        };
        if matches!(by, SessionBy::Cookie(only) if *only != name) {
            return;
        }
        let mut is_deleted = false;
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match &*key.trim().to_ascii_lowercase() {
                "max-age" => is_deleted = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                "secure" if !scope.is_secure => {
                    return sessions.refuse(&name, "it is for https alone (Secure)");
                }
                "path" if !covers(value, &scope.path) => {
                    return sessions.refuse(&name, "its Path is another than that of the requests");
                }
                "domain" if !is_within(&scope.host, value) => {
                    return sessions.refuse(&name, "its Domain is another than the Host");
                }
                _ => {}
            }
        }
        self.cookies.retain(|(kept, _)| *kept != name);
        if is_deleted || name.len() + value.len() > MOST_COOKIE_BYTES {
            return;
        }
        if self.cookies.len() < MOST_COOKIES {
            sessions.carry(&name);
            self.cookies.push((name, value));
        }
    }

    /// What it sends, for a person.
    fn shown(&self, by: &SessionBy) -> String {
        let cookies = self.cookies.iter();
        let mut parts: Vec<String> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if let (SessionBy::Header(name), Some(value)) = (by, &self.header) {
            parts.push(format!(
                "{name}={}",
                String::from_utf8_lossy(value.as_bytes())
            ));
        }
        parts.join("; ").chars().take(SHOWN_BYTES).collect()
    }
}

/// `NAME=VALUE`, without the space around them.
fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

/// Whether a cookie's path covers that of a request (RFC 6265 §5.1.4); one that is no path stands for that of
/// the request itself.
fn covers(path: &str, request: &str) -> bool {
    if !path.starts_with('/') {
        return true;
    }
    let rest = request.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
}

/// Whether a host is the domain or lies below it (RFC 6265 §5.1.3).
fn is_within(host: &str, domain: &str) -> bool {
    let domain = domain
        .strip_prefix('.')
        .unwrap_or(domain)
        .to_ascii_lowercase();
    domain.is_empty()
        || host
            .strip_suffix(&*domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::settings::Settings;

    fn sessions_of(table: &serde_json::Value) -> (SessionLoop, Sessions) {
        let settings = Settings::read(|| table).unwrap();
        let plan = settings.plan().unwrap();
        let source = SessionSource::new(&plan, plan.claim.sessions.as_ref().unwrap());
        (SessionLoop::new(Arc::new(source)), Sessions::default())
    }

    fn responded(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    /// What the next request carries of cookies after one response with these `Set-Cookie` headers.
    fn carried(table: &serde_json::Value, set: &[&'static str]) -> String {
        let (mut session, mut sessions) = sessions_of(table);
        assert!(session.goes_on());
        for text in set {
            let headers = responded(&[("set-cookie", text)]);
            session.receive(Headers::from(&headers), &mut sessions);
        }
        let mut headers = HeaderMap::new();
        session.send(&mut headers);
        let cookie = headers.get(COOKIE).map(|value| value.to_str().unwrap());
        cookie.unwrap_or_default().to_owned()
    }

    #[test]
    fn cookies_are_sent_back_as_a_browser_would() {
        let at = |path: &str| json!({"expect": "a=1,b=1", "expect_sticky": true, "host": "www.shop.example:8080", "path": path});
        for (path, set, expected) in [
            ("/", &["a=1"][..], "a=1"),
            (
                "/",
                &["a=1; Path=/; HttpOnly", "b = 2 ;SameSite=Lax"],
                "a=1; b=2",
            ),
            ("/", &["a=1", "a=2"], "a=2"),
            ("/", &["a=1", "a=2; Max-Age=0"], ""),
            ("/", &["a=1; Secure"], ""),
            ("/", &["a=1; Domain=shop.example"], "a=1"),
            ("/", &["a=1; domain=.SHOP.example"], "a=1"),
            ("/", &["a=1; Domain=hop.example"], ""),
            ("/", &["a=1; Path=/beta"], ""),
            ("/beta/x", &["a=1; Path=/beta"], "a=1"),
            ("/betamax", &["a=1; Path=/beta"], ""),
            ("/", &["nonsense", "=x", ""], ""),
        ] {
            assert_eq!(carried(&at(path), set), expected, "{path} {set:?}");
        }
    }

    #[test]
    fn own_cookies_stay_and_one_of_the_same_name_is_replaced() {
        let table = json!({"expect": "a=1,b=1", "expect_sticky": "cookie:route",
            "cookie": ["canary=never", "route=old"]});
        assert_eq!(
            carried(&table, &["route=new", "other=1"]),
            "canary=never; route=new"
        );
    }

    #[test]
    fn a_header_is_sent_back_with_its_value() {
        let table = json!({"expect": "a=1,b=1", "expect_sticky": "header:x-session"});
        let (mut session, mut sessions) = sessions_of(&table);
        assert!(session.goes_on());
        let headers = responded(&[("x-session", "7"), ("set-cookie", "a=1")]);
        session.receive(Headers::from(&headers), &mut sessions);
        let mut headers = HeaderMap::new();
        session.send(&mut headers);
        assert_eq!(headers, responded(&[("x-session", "7")]));
        assert_eq!(sessions.carried().collect::<Vec<_>>(), ["x-session"]);
    }

    #[test]
    fn sessions_end_after_their_follow_ups_and_one_without_a_beginning_is_replaced() {
        let table = json!({"expect": "a=1,b=1", "expect_sticky": true, "requests": 6});
        let (mut session, mut sessions) = sessions_of(&table);
        let pod = |group: u16| Some((PodId(group), usize::from(group)));
        for answered in [None, pod(0), pod(0), pod(1), pod(1), pod(1), None] {
            assert!(session.goes_on());
            session.record(answered, &mut sessions);
        }
        assert!(!session.goes_on());
        let parts: Vec<_> = sessions
            .courses()
            .map(|(course, count)| {
                (
                    course.began,
                    course.moved,
                    course.is_in_doubt,
                    course.is_carried,
                    count,
                )
            })
            .collect();
        assert_eq!(
            parts,
            [(0, Some(1), false, false, 1), (1, None, true, false, 1)]
        );
        let (groups, example) = sessions.moves().next().unwrap();
        assert_eq!((groups, example.session, example.follow_up), ((0, 1), 2, 2));
    }
}
