//! The rules that need no option: how the usual echo servers name their pod.
//!
//! | server | form |
//! |---|---|
//! | Flask page with the downward API | `Pod Name: X</p>` |
//! | Gateway API's echo-basic | JSON `pod` |
//! | Kubernetes' echoserver | `pod name:⇥X`, else `Hostname: X` |
//! | Kong's go-echo | `Running on Pod X.` |
//! | Ealenn's Echo-Server | JSON `environment.HOSTNAME` |
//! | mendhak's http-https-echo | JSON `os.hostname` |
//! | traefik's whoami, podinfo | `Hostname: X`, JSON `hostname` |
//! | Istio's echo | `Hostname=X` |
//! | nginx-hello | `Server name: X`, as text and as HTML |
//! | agnhost's netexec | the body is the name |
//!
//! The table is in order of preference: a field that says "pod" comes before a host name. `Host:`, JSON
//! `host` and `host.hostname` repeat the request's own Host header and are no identity, nor is a JSON
//! `hostname` that equals it (Express' `req.hostname`).

use std::borrow::Cow;

use memchr::memmem::Finder;

use super::MAX_NAME_LENGTH;
use super::json::Pointer;
use super::workload::is_generated_name;

/// What must stand before a form's literal.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// No letter or digit: the literal is a word of its own.
    Anything,
    /// The start of a line or the end of a tag, and blanks.
    Start,
}

/// A literal, and what must stand before it; the name follows after blanks.
#[derive(Debug, Clone)]
struct TextForm {
    before: Before,
    literal: Finder<'static>,
}

/// A pointer, and a literal without which the body can't have its value.
#[derive(Debug, Clone)]
struct JsonForm {
    key: Finder<'static>,
    pointer: Pointer,
}

/// The built-in rules, compiled.
#[derive(Debug, Clone)]
pub(super) struct BuiltIn {
    text: Vec<TextForm>,
    json: Vec<JsonForm>,
    /// The request's Host without its port, which an echoed request repeats.
    host: Option<String>,
}

/// What programs print where a name is missing, and what every machine calls itself.
const NO_NAMES: [&str; 6] = ["none", "null", "nil", "undefined", "unknown", "localhost"];

impl BuiltIn {
    pub(super) fn new() -> Self {
        let text = [
            (Before::Anything, "Pod Name:"),
            (Before::Start, "pod name:"),
            (Before::Start, "Running on Pod "),
            (Before::Start, "Hostname:"),
            (Before::Start, "Hostname="),
            (Before::Start, "Server name:"),
            (Before::Start, "Server&nbsp;name:</span> <span>"),
        ]
        .map(|(before, literal)| TextForm {
            before,
            literal: Finder::new(literal),
        });
        let json = [
            ("\"pod\"", "/pod"),
            ("\"HOSTNAME\"", "/environment/HOSTNAME"),
            ("\"os\"", "/os/hostname"),
            ("\"hostname\"", "/hostname"),
        ]
        .map(|(key, pointer)| JsonForm {
            key: Finder::new(key),
            pointer: Pointer::parse(pointer).expect("a pointer begins with a slash"),
        });
        Self {
            text: text.into(),
            json: json.into(),
            host: None,
        }
    }

    pub(super) fn ignore_host(&mut self, host: &str) {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        self.host = (!name.is_empty()).then(|| name.to_owned());
    }

    /// The pod that `body` names. A body that begins with `{` is JSON or nothing; any other is text.
    ///
    /// Time is linear in `body`: every search passes over it at most once.
    pub(super) fn identify<'a>(&self, body: &'a [u8]) -> Option<Cow<'a, str>> {
        let body = body.trim_ascii_start();
        if body.first() == Some(&b'{') {
            return self
                .json
                .iter()
                .filter(|form| form.key.find(body).is_some())
                .find_map(|form| {
                    let value = form.pointer.find(body)?;
                    self.is_name(value.as_bytes()).then_some(value)
                });
        }
        self.text
            .iter()
            .find_map(|form| self.text_name(form, body))
            .or_else(|| self.whole_body(body))
            .map(Cow::Borrowed)
    }

    fn text_name<'a>(&self, form: &TextForm, body: &'a [u8]) -> Option<&'a str> {
        let mut start = 0;
        while let Some(offset) = form.literal.find(&body[start..]) {
            let literal = start + offset;
            let after = literal + form.literal.needle().len();
            if form.before.allows(&body[start..literal], start == 0)
                && let Some(name) = name_at(&body[after..])
                && self.is_meant(name)
            {
                return std::str::from_utf8(name).ok();
            }
            start = after;
        }
        None
    }

    /// The body itself, where it is nothing but a generated name.
    fn whole_body<'a>(&self, body: &'a [u8]) -> Option<&'a str> {
        let text = body.trim_ascii_end();
        if text.len() > MAX_NAME_LENGTH {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        (is_generated_name(text) && self.is_name(text.as_bytes())).then_some(text)
    }

    /// Whether `name` is spelt as pods and hosts are, and is meant as one.
    fn is_name(&self, name: &[u8]) -> bool {
        name.iter().all(|&byte| is_name_byte(byte)) && self.is_meant(name)
    }

    /// Whether `name`, of the bytes that names have, is neither the request's own Host nor a placeholder.
    fn is_meant(&self, name: &[u8]) -> bool {
        let ends_are_alphanumeric = name.first().is_some_and(u8::is_ascii_alphanumeric)
            && name.last().is_some_and(u8::is_ascii_alphanumeric);
        let is_host = |host: &String| host.as_bytes().eq_ignore_ascii_case(name);
        ends_are_alphanumeric
            && name.len() <= MAX_NAME_LENGTH
            && !self.host.as_ref().is_some_and(is_host)
            && !NO_NAMES
                .iter()
                .any(|none| none.as_bytes().eq_ignore_ascii_case(name))
    }
}

impl Before {
    /// Whether the literal may follow `gap`, the bytes since the last place looked at (since the start
    /// of the body where `is_first`).
    fn allows(self, gap: &[u8], is_first: bool) -> bool {
        match self {
            Self::Anything => match gap.last() {
                Some(byte) => !byte.is_ascii_alphanumeric(),
                None => is_first,
            },
            Self::Start => {
                let last = gap.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t'));
                match last {
                    Some(byte) => matches!(byte, b'\n' | b'\r' | b'>'),
                    None => is_first,
                }
            }
        }
    }
}

/// The name that `text` begins with after blanks, if a line, a tag or a list ends it: bytes that names have.
fn name_at(text: &[u8]) -> Option<&[u8]> {
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    let text = &text[blanks..];
    let length = text
        .iter()
        .take(MAX_NAME_LENGTH + 2)
        .take_while(|byte| is_name_byte(**byte))
        .count();
    let (name, rest) = text.split_at(length);
    let end = rest.iter().find(|byte| !is_blank(**byte));
    // A sentence's full stop is not the name's.
    let name = name.strip_suffix(b".").unwrap_or(name);
    matches!(
        end,
        None | Some(b'\n' | b'\r' | b'<' | b',' | b';' | b'|' | b'"')
    )
    .then_some(name)
}

fn is_name_byte(byte: u8) -> bool {
    /// Every byte of every response's name is looked up; comparing it instead costs a third more a page.
    const IS_NAME_BYTE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0_u8;
        loop {
            table[byte as usize] =
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            if byte == u8::MAX {
                break table;
            }
            byte += 1;
        }
    };
    IS_NAME_BYTE[usize::from(byte)]
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identify(body: &str) -> Option<String> {
        BuiltIn::new()
            .identify(body.as_bytes())
            .map(Cow::into_owned)
    }

    const POD: &str = "echo-6f79ff6b8d-fmzvc";

    #[test]
    fn each_known_server_is_read() {
        let bodies = [
            "<!DOCTYPE html>\n<html><body>\n<p>Node Name: node-1</p>\n<p>Pod Name: POD</p>\n</body></html>",
            "Resquest\nPod Name: POD</p>",
            "{\n \"path\": \"/\",\n \"host\": \"a.example\",\n \"headers\": {\"Pod\": [\"x\"]},\n \"namespace\": \"default\",\n \"pod\": \"POD\"\n}",
            "Hostname: POD\nIP: 127.0.0.1\nRemoteAddr: 10.0.0.1:1\nGET / HTTP/1.1\nHost: a.example\n",
            "Name: blue\nHostname: POD\nIP: ::1\n",
            r#"{"hostname":"POD","ip":["127.0.0.1"],"headers":{"Accept":["*/*"]},"url":"/api","host":"a.example","method":"GET"}"#,
            r#"{"hostname": "POD","version": "6.0.0","message": "greetings from podinfo"}"#,
            "\n\nHostname: host-1\n\nPod Information:\n\tnode name:\tnode-1\n\tpod name:\tPOD\n\tpod namespace:\tdefault\n\nRequest Headers:\n\thost=a.example\n",
            "\n\nHostname: POD\n\nPod Information:\n\t-no pod information available-\n\nRequest Information:\n",
            "POD",
            "POD\r\n",
            r#"{"host":{"hostname":"a.example","ip":"::1"},"request":{"hostname":"x"},"environment":{"PATH":"/bin","HOSTNAME":"POD"}}"#,
            r#"{"path":"/","hostname":"a.example","os":{"hostname":"POD"}}"#,
            "Server address: 10.1.0.9:80\nServer name: POD\nDate: 23/Nov/2020\nURI: /\nRequest ID: 1\n",
            "<div class=\"info\">\n<p><span>Server&nbsp;address:</span> <span>172.17.0.2:80</span></p>\n<p><span>Server&nbsp;name:</span> <span>POD</span></p>\n</div>",
            "ServiceVersion=v1\nServicePort=8080\nHost=a.example\nURL=/\nHostname=POD\nIP=10.0.0.1\n",
            "Welcome, you are connected to node n1.\nRunning on Pod POD.\nIn namespace kong.\n",
        ];
        for body in bodies {
            let body = body.replace("POD", POD);
            assert_eq!(identify(&body).as_deref(), Some(POD), "{body}");
        }
    }

    #[test]
    fn the_requests_own_host_is_never_an_identity() {
        for body in [
            "Host: echo-6f79ff6b8d-fmzvc\n",
            "GET / HTTP/1.1\nHost: web-0\n",
            r#"{"host":"web-0"}"#,
            r#"{"host":{"hostname":"web-0"}}"#,
            r#"{"request":{"hostname":"web-0","pod":"web-0"}}"#,
            r#"{"headers":{"pod":"web-0","HOSTNAME":"web-0"}}"#,
            "X-Original-Hostname: web-0\n",
            "Virtual-Hostname=web-0\n",
            "My Hostname: web-0\n",
        ] {
            assert_eq!(identify(body), None, "{body}");
        }
        let mut rules = BuiltIn::new();
        rules.ignore_host("edu.Challenger-03:8080");
        let identify = |body: &'static str| rules.identify(body.as_bytes());
        assert_eq!(identify(r#"{"hostname":"edu.challenger-03"}"#), None);
        assert_eq!(identify("Hostname: edu.challenger-03\n"), None);
        assert_eq!(identify("Hostname: web-0\n").as_deref(), Some("web-0"));
    }

    #[test]
    fn error_pages_and_health_texts_name_nobody() {
        for body in [
            "",
            " \n",
            "ok",
            "OK\n",
            "healthy",
            "default backend - 404",
            "error-503",
            "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
            "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n",
            "no healthy upstream",
            "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
            "404 page not found\n",
            "{\"message\":\"no Route matched with those values\"}",
            "{}",
            "{",
            "[\"web-0\"]",
        ] {
            assert_eq!(identify(body), None, "{body}");
        }
    }

    #[test]
    fn placeholders_and_sentences_are_not_names() {
        for value in [
            "",
            "None",
            "null",
            "undefined",
            "N/A",
            "localhost",
            "not set",
            "a b",
            "-x",
            "x-",
            "a@b",
            "<b>",
            "web\u{1b}[2J",
            "web\0",
            "wéb",
        ] {
            assert_eq!(
                identify(&format!("<p>Pod Name: {value}</p>")),
                None,
                "{value}"
            );
            assert_eq!(identify(&format!("Hostname: {value}\n")), None, "{value}");
        }
        // An empty field does not take the next line's word.
        assert_eq!(identify("Pod Name:\nNode Name: n1\n"), None);
        assert_eq!(
            identify(r#"{"pod":"","hostname":"web-0"}"#).as_deref(),
            Some("web-0")
        );
    }

    #[test]
    fn a_pod_field_comes_before_a_host_name_wherever_they_stand() {
        let body = "Hostname: host-1\nServer name: host-2\nPod Name: web-0\n";
        assert_eq!(identify(body).as_deref(), Some("web-0"));
        let body = r#"{"hostname":"a","environment":{"HOSTNAME":"b"},"pod":"c"}"#;
        assert_eq!(identify(body).as_deref(), Some("c"));
        let body = r#"{"hostname":"a","environment":{"HOSTNAME":"b"}}"#;
        assert_eq!(identify(body).as_deref(), Some("b"));
    }

    #[test]
    fn a_useless_occurrence_does_not_hide_a_later_one() {
        assert_eq!(
            identify("Pod Name: None\nPod Name: web-1\n").as_deref(),
            Some("web-1")
        );
        assert_eq!(
            identify("see Hostname: x\nHostname: web-1\n").as_deref(),
            Some("web-1")
        );
    }

    #[test]
    fn names_are_capped_at_the_kubernetes_limit() {
        let longest = "x".repeat(MAX_NAME_LENGTH);
        assert_eq!(
            identify(&format!("Pod Name: {longest}</p>")),
            Some(longest.clone())
        );
        assert_eq!(identify(&format!("Pod Name: {longest}y</p>")), None);
        assert_eq!(identify(&format!("{{\"pod\":\"{longest}y\"}}")), None);
    }

    #[test]
    fn hostile_bodies_of_a_mebibyte_are_passed_over_quickly() {
        let start = std::time::Instant::now();
        for unit in [
            "Pod Name:",
            "Pod Name: ",
            "Pod Name: x !",
            "\nHostname:",
            "Hostname:\t\t\t\t\t\t\t\t",
            " ",
            "x",
            "{\"pod\":",
            "Server&nbsp;name:</span> ",
        ] {
            let body = unit.repeat((1 << 20) / unit.len());
            assert_eq!(identify(&body), None, "{unit}");
        }
        // Blanks between the literals are looked at from both sides, once each.
        let body = format!("Hostname:{}", " ".repeat(1 << 20)).repeat(2);
        assert_eq!(identify(&body), None);
        // Linear takes milliseconds; quadratic would take hours.
        assert!(start.elapsed() < std::time::Duration::from_mins(15));
    }
}
