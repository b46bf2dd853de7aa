//! The formats: a row each. A further one takes a row of [`FORMATS`], and of [`FIELDS`] for names that are new.

use super::entry::{Entry, MOST_IDENTITIES, Role, Slot};
use super::filter::Filter;
use super::json::Picker;
use super::template::Template;
use crate::identity::MAX_NAME_LENGTH;
use crate::identity::workload::is_deployment_pod;

/// A format that is known by name.
struct Known {
    name: &'static str,
    /// What its lines look like; `None` for a JSON object a line.
    template: Option<&'static str>,
    /// The fields of which the first that is filled in says who answered.
    identity: &'static [&'static str],
}

/// The formats. `…` at the end stands for whatever else a line has.
const FORMATS: &[Known] = &[
    Known {
        name: "nginx",
        template: Some(
            r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $upstream_addr…"#,
        ),
        identity: &["upstream_addr"],
    },
    Known {
        name: "ingress-nginx",
        template: Some(
            r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"#,
        ),
        identity: &["proxy_alternative_upstream_name", "proxy_upstream_name"],
    },
    Known {
        name: "envoy",
        template: Some(
            r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#,
        ),
        identity: &["UPSTREAM_HOST"],
    },
    Known {
        name: "envoy-json",
        template: None,
        identity: &["upstream_host"],
    },
    Known {
        name: "istio",
        template: Some(
            r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%"#,
        ),
        identity: &["UPSTREAM_CLUSTER"],
    },
    Known {
        name: "traefik",
        template: Some(
            r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $requests "$router" "$ServiceURL" ${duration}ms"#,
        ),
        identity: &["ServiceURL"],
    },
    Known {
        name: "traefik-json",
        template: None,
        identity: &["ServiceName"],
    },
    Known {
        name: "haproxy",
        template: Some(
            r#"$client_address [$time_local] $frontend $backend/$server $timers $status $bytes $cookies_of_request $cookies_of_response $end $actconn/$feconn/$beconn/$srv_conn/$haproxy_retries $queues $captured"$request""#,
        ),
        identity: &["server"],
    },
    Known {
        name: "caddy",
        template: None,
        identity: &["upstream"],
    },
    Known {
        name: "json",
        template: None,
        identity: &[],
    },
];

/// The names of the formats.
pub const NAMES: [&str; 10] = [
    "nginx",
    "ingress-nginx",
    "envoy",
    "envoy-json",
    "istio",
    "traefik",
    "traefik-json",
    "haproxy",
    "caddy",
    "json",
];

/// What fields are called that have a role, in any format.
const FIELDS: &[(&str, Role)] = &[
    ("upstream_addr", Role::Upstream),
    ("UPSTREAM_HOST", Role::Upstream),
    ("upstream_host", Role::Upstream),
    ("ServiceURL", Role::Upstream),
    ("ServiceAddr", Role::Upstream),
    ("remote_addr", Role::Client),
    ("client_address", Role::Client),
    ("DOWNSTREAM_REMOTE_ADDRESS", Role::Client),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Role::Client),
    ("downstream_remote_address", Role::Client),
    ("ClientHost", Role::Client),
    ("request.remote_ip", Role::Client),
    ("request.client_ip", Role::Forwarded),
    ("http_x_forwarded_for", Role::Forwarded),
    ("REQ(X-FORWARDED-FOR)", Role::Forwarded),
    ("x_forwarded_for", Role::Forwarded),
    ("host", Role::Host),
    ("http_host", Role::Host),
    ("REQ(:AUTHORITY)", Role::Host),
    ("authority", Role::Host),
    ("RequestHost", Role::Host),
    ("request.host", Role::Host),
    ("uri", Role::Path),
    ("request_uri", Role::Path),
    ("REQ(:PATH)", Role::Path),
    ("path", Role::Path),
    ("RequestPath", Role::Path),
    ("request.uri", Role::Path),
    ("request", Role::Request),
    ("status", Role::Status),
    ("RESPONSE_CODE", Role::Status),
    ("response_code", Role::Status),
    ("DownstreamStatus", Role::Status),
    ("time_local", Role::Time),
    ("time_iso8601", Role::Time),
    ("msec", Role::Time),
    ("START_TIME", Role::Time),
    ("start_time", Role::Time),
    ("StartUTC", Role::Time),
    ("ts", Role::Time),
    ("time", Role::Time),
    ("haproxy_retries", Role::Redispatched),
    ("RetryAttempts", Role::Retries),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Role::Attempts),
    ("upstream_request_attempt_count", Role::Attempts),
];

/// Prefixes of a line, one before another, and the line itself.
const MOST_PREFIXES: usize = 4;

/// How lines are written.
#[derive(Debug)]
pub struct Format {
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    Text(Template),
    Json(Picker),
}

/// Why a format cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It is no name, and has no fields.
    #[error(
        "--format '{0}' is not a format: write one of {names}, or what the server's own log format says, such as \
         '$remote_addr [$time_local] \"$request\" $status $upstream_addr'",
        names = NAMES.join(", ")
    )]
    Unknown(String),
    /// Two fields follow each other with nothing between.
    #[error(
        "--format: nothing separates '{0}' from the field behind it, so that neither can be told"
    )]
    NotSeparated(String),
    /// Nothing says who answered.
    #[error("--format {0} does not say which field names who answered: say so with --field NAME")]
    NoIdentity(String),
    /// The named field is not there.
    #[error("--field '{field}' is not in the format, which has {known}")]
    NoSuchField {
        /// What was asked for, escaped.
        field: String,
        /// What there is.
        known: String,
    },
    /// A filter asks for what the format does not log.
    #[error(
        "{option} asks for what the format does not log: give the server's own log format that does"
    )]
    NotLogged {
        /// The option.
        option: &'static str,
    },
}

impl Format {
    /// Reads a format's name, or a log format as nginx and Envoy write it; `field` names who answered in place
    /// of what the format would go by.
    ///
    /// # Errors
    /// No such format or field, or one that cannot be read.
    pub fn parse(text: &str, field: Option<&str>) -> Result<Self, FormatError> {
        let known = FORMATS.iter().find(|known| known.name == text);
        let template = match known {
            Some(known) => known.template,
            None if text.contains(['$', '%']) => Some(text),
            None => return Err(FormatError::Unknown(text.escape_debug().to_string())),
        };
        let own: &[&str] =
            known.map_or(&["upstream_addr", "UPSTREAM_HOST"], |known| known.identity);
        let identity: Vec<&str> = field.map_or_else(|| own.to_vec(), |field| vec![field]);
        debug_assert!(identity.len() <= MOST_IDENTITIES);
        let slot = |name: &str| Slot {
            role: role(name),
            identity: identity.iter().position(|known| *known == name),
        };
        let no_identity = || FormatError::NoIdentity(text.escape_debug().to_string());
        let Some(template) = template else {
            if identity.is_empty() {
                return Err(no_identity());
            }
            let roles = FIELDS.iter().map(|(name, _)| *name);
            let mut picker = Picker::default();
            for name in identity.iter().copied().chain(roles) {
                picker.add(name, slot(name));
            }
            return Ok(Self {
                layout: Layout::Json(picker),
            });
        };
        let template = Template::parse(template, slot)
            .map_err(|name| FormatError::NotSeparated(name.escape_debug().to_string()))?;
        if !template.slots().any(|slot| slot.identity.is_some()) {
            return Err(match field {
                Some(field) => FormatError::NoSuchField {
                    field: field.escape_debug().to_string(),
                    known: template.names().join(", "),
                },
                None => no_identity(),
            });
        }
        Ok(Self {
            layout: Layout::Text(template),
        })
    }

    /// Checks that what `filter` asks for is logged, as far as that is known beforehand.
    ///
    /// # Errors
    /// It is not.
    pub fn suits(&self, filter: &Filter) -> Result<(), FormatError> {
        let Layout::Text(template) = &self.layout else {
            return Ok(());
        };
        let logs = |roles: &[Role]| {
            let mut slots = template.slots();
            slots.any(|slot| slot.role.is_some_and(|role| roles.contains(&role)))
        };
        match filter.asks_for().find(|(_, roles)| !logs(roles)) {
            Some((option, _)) => Err(FormatError::NotLogged { option }),
            None => Ok(()),
        }
    }

    /// Reads a line; `false` where it does not fit, and then `entry` says nothing.
    pub(super) fn read(&self, line: &[u8], entry: &mut Entry) -> bool {
        let fits = match &self.layout {
            Layout::Text(template) => {
                let (mut lines, mut many) = ([line; MOST_PREFIXES], 1);
                while many < MOST_PREFIXES
                    && let Some(bare) = without_prefix(lines[many - 1])
                {
                    lines[many] = bare;
                    many += 1;
                }
                // What stands before an address would pass for a part of it, and every line for another client's.
                let first = template.slots().next().and_then(|slot| slot.role);
                let lines = &mut lines[..many];
                if first == Some(Role::Client) || line.starts_with(b"[pod/") {
                    lines.reverse();
                }
                lines.iter().any(|line| template.read(line, entry))
            }
            Layout::Json(picker) => {
                let start = memchr::memchr(b'{', line).unwrap_or(0);
                picker.read(&line[start..], entry)
            }
        };
        if !fits {
            entry.clear();
        }
        fits
    }
}

/// What a field is about; Envoy's operators have an older and a newer name, and one header may stand in for another.
fn role(name: &str) -> Option<Role> {
    let name = name.replace("REQUEST_HEADER(", "REQ(");
    let name = match name.strip_prefix("REQ(") {
        Some(header) if header.ends_with("?:PATH)") => "REQ(:PATH)",
        _ => &name,
    };
    let found = FIELDS.iter().find(|(known, _)| *known == name);
    found.map(|(_, role)| *role)
}

/// The line without `[pod/NAME/CONTAINER] ` or `TIME ` of kubectl, `POD CONTAINER ` of stern, `NAME | ` of docker compose,
/// `TIME stdout F ` of a container's runtime, or `TIME HOST PROGRAM[ID]: ` of syslog; `None` where it has none of them.
fn without_prefix(line: &[u8]) -> Option<&[u8]> {
    let after = |mark: &[u8]| {
        let head = &line[..line.len().min(256)];
        memchr::memmem::find(head, mark).map(|at| &line[at + mark.len()..])
    };
    if line.starts_with(b"[pod/") {
        return after(b"] ");
    }
    [&b" stdout F "[..], b" stderr F ", b"]: "]
        .into_iter()
        .find_map(after)
        .or_else(|| {
            let (word, rest) = word(line)?;
            if is_time(word) {
                return Some(rest);
            }
            let name = std::str::from_utf8(word).ok()?;
            let rest = rest.trim_ascii_start();
            match rest.strip_prefix(b"| ") {
                Some(rest) => is_name(word).then_some(rest),
                None if is_deployment_pod(name) => {
                    let (container, rest) = self::word(rest)?;
                    is_name(container).then_some(rest)
                }
                None => None,
            }
        })
}

/// The first word of a line, and what follows the blank behind it.
fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = &line[..line.len().min(MAX_NAME_LENGTH + 1)];
    let end = memchr::memchr(b' ', head)?;
    Some((&line[..end], &line[end + 1..]))
}

/// Whether a word is a time as kubectl and docker write it, `2026-11-29T02:34:00.123456789Z`.
fn is_time(word: &[u8]) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_digit() || b"-:.TZ+".contains(byte);
    word.len() >= "2026-11-29T02:34:00Z".len()
        && word[4] == b'-'
        && word[10] == b'T'
        && word.iter().all(is_inner)
}

fn is_name(word: &[u8]) -> bool {
    !word.is_empty()
        && word
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}
