//! Response → pod name: the user's rules (`--identify`), or the built-in ones.

use std::borrow::Cow;

use http::HeaderName;

use super::MAX_NAME_LENGTH;
use super::builtin::BuiltIn;
use super::certificate::CertificateName;
use super::json::Pointer;
use super::pattern::Pattern;
use super::place;
use super::protobuf::FieldPath;
use crate::headers::Headers;

/// What a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The headers of the response.
    pub headers: Headers<'a>,
    /// What follows the body, where something does.
    pub trailers: Headers<'a>,
    /// Its body, a call's message, or the bytes that came over TCP.
    pub body: &'a [u8],
    /// The server's own certificate (DER), where the connection is secured.
    pub certificate: Option<&'a [u8]>,
}

/// How a response tells which pod answered: rules that are tried in order, the first name counts.
///
/// Whatever the status of the response: an identified 5xx was routed all the same.
///
/// Clone it for every thread: a regular expression's working memory is then not shared.
///
/// ```
/// use lbtest::parts::Rules;
/// let headers = http::HeaderMap::new();
/// let page = b"<p>Pod Name: challenge-app-6f79ff6b8d-fmzvc</p>";
/// let name = Rules::builtin().identify(&headers, page);
/// assert_eq!(name.as_deref(), Some("challenge-app-6f79ff6b8d-fmzvc"));
/// ```
#[derive(Debug, Clone)]
pub struct Rules(Kind);

#[derive(Debug, Clone)]
enum Kind {
    BuiltIn(BuiltIn),
    User(Vec<Rule>, Vec<String>),
}

/// One of the user's rules.
#[derive(Debug, Clone)]
enum Rule {
    /// What a regular expression captures in the body.
    Body(Box<Pattern>),
    /// The first header of this name: its value, or the pod's name in it.
    Header(HeaderName),
    /// The string or number at this place in the body.
    Json(Pointer),
    /// The first trailer of this name.
    Trailer(HeaderName),
    /// The text or number of this field, where the body is a protobuf message.
    Field(FieldPath),
    /// A name in the server's certificate.
    Certificate(CertificateName),
}

/// Why a text is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The rule is empty.
    #[error(
        "--identify needs a rule: REGEX, header:NAME, trailer:NAME, json:/pointer, field:3.1, cert:cn or cert:san"
    )]
    Empty,
    /// What stands for a regular expression is none, or is too large a one.
    #[error("--identify '{rule}' is not a regular expression: {reason}")]
    BadRegex {
        /// The rule as given, escaped.
        rule: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Marks are of a whole run, which is judged later.
    #[error(
        "--identify logs marks a run of its own, which lbtest analyze --run judges by the pods' logs: give it to lbtest URL \
         --expect"
    )]
    Logs,
    /// `header:` is followed by something that can't be a header's name.
    #[error("--identify '{0}' does not name a header: write it as header:X-Pod-Name")]
    BadHeader(String),
    /// `field:` is followed by something that is no way to a field.
    #[error(
        "--identify '{0}' is not the way to a field of a protobuf message: write its numbers as field:3.1"
    )]
    BadField(String),
    /// `cert:` is followed by something that names no part of a certificate.
    #[error("--identify '{0}' names no part of a certificate: write cert:cn or cert:san")]
    BadCertificateName(String),
    /// `json:` is followed by something that is no JSON pointer.
    #[error(
        "--identify '{0}' is not a JSON pointer: write it as json:/environment/HOSTNAME, with ~1 for a '/' and ~0 for a '~' in a key"
    )]
    BadPointer(String),
}

impl Rules {
    /// The built-in rules, which know the usual echo servers.
    ///
    /// They accept letters, digits, `-`, `.` and `_` in a name, and no placeholder such as `None`.
    pub fn builtin() -> Self {
        Self(Kind::BuiltIn(BuiltIn::new()))
    }

    /// Reads the user's rules; none at all gives the built-in ones.
    ///
    /// A rule is `header:NAME` (case does not matter), `json:/pointer` (RFC 6901; a string or a number),
    /// `trailer:NAME`, `field:3.1` (field numbers of a protobuf message), `cert:cn` or `cert:san` (a name in the server's certificate), or else a regular expression on the body, where capture group 1 is the name, or the whole match if
    /// there is no group. A regular expression that begins with `header:` is written `header[:]`.
    ///
    /// # Errors
    /// The first text that is no rule.
    pub fn parse(rules: &[String]) -> Result<Self, RuleError> {
        if rules.is_empty() {
            return Ok(Self::builtin());
        }
        let read: Result<_, _> = rules.iter().map(|rule| Rule::parse(rule)).collect();
        Ok(Self(Kind::User(read?, rules.to_vec())))
    }

    /// Tells the built-in rules which Host the requests carry (with or without a port): a response that
    /// repeats it has echoed the request and named nobody. The user's rules are taken at their word.
    pub fn ignoring_host(mut self, host: &str) -> Self {
        if let Kind::BuiltIn(rules) = &mut self.0 {
            rules.ignore_host(host);
        }
        self
    }

    /// Every name in a text by the user's first rule that finds one, with its place; none by rules on headers and JSON.
    pub(super) fn identify_all<'a>(&self, text: &'a [u8]) -> Vec<(usize, &'a str)> {
        let Kind::User(rules, _) = &self.0 else {
            return Vec::new();
        };
        let by_rule = rules.iter().filter_map(|rule| match rule {
            Rule::Body(pattern) => Some(pattern.find_all(text)),
            _ => None,
        });
        let named = by_rule.map(|found| {
            let name = |found: &'a [u8]| {
                let name = clean(found)?;
                Some((name.as_ptr() as usize - text.as_ptr() as usize, name))
            };
            found.into_iter().filter_map(name).collect::<Vec<_>>()
        });
        named
            .into_iter()
            .find(|names| !names.is_empty())
            .unwrap_or_default()
    }

    /// Whether these are the built-in rules.
    pub fn are_builtin(&self) -> bool {
        matches!(self.0, Kind::BuiltIn(_))
    }

    /// The user's rules as they were written; none of the built-in ones.
    pub fn written(&self) -> &[String] {
        match &self.0 {
            Kind::BuiltIn(_) => &[],
            Kind::User(_, written) => written,
        }
    }

    /// The pod that answered, if the response names one.
    ///
    /// A name is trimmed of ASCII white space, has 1 to [`MAX_NAME_LENGTH`] bytes of valid UTF-8, and no
    /// control character; a value that is otherwise is no identity, and the next rule is tried. Time is
    /// linear in the body. Rules on text and headers allocate nothing once warm; rules on JSON may, for
    /// nested values, numbers and escapes.
    ///
    /// A text that was cut within the name gives the part that is left: hand over no more than
    /// [`before_the_cut`] of a body that was not read to its end.
    pub fn identify<'a>(
        &self,
        headers: impl Into<Headers<'a>>,
        body: &'a [u8],
    ) -> Option<Cow<'a, str>> {
        self.identify_in(Answer {
            headers: headers.into(),
            trailers: Headers::NONE,
            body,
            certificate: None,
        })
    }

    /// As [`Self::identify`], with all that there is to look at.
    pub fn identify_in<'a>(&self, answer: Answer<'a>) -> Option<Cow<'a, str>> {
        match &self.0 {
            Kind::BuiltIn(rules) => rules.identify(answer.body),
            Kind::User(rules, _) => rules.iter().find_map(|rule| rule.identify(answer)),
        }
    }
}

impl Rule {
    fn parse(rule: &str) -> Result<Self, RuleError> {
        let shown = || rule.escape_debug().to_string();
        if rule.is_empty() {
            return Err(RuleError::Empty);
        }
        if rule == "logs" {
            return Err(RuleError::Logs);
        }
        if let Some(name) = rule.strip_prefix("header:") {
            let name = name.trim().parse();
            return name
                .map(Self::Header)
                .map_err(|_| RuleError::BadHeader(shown()));
        }
        if let Some(pointer) = rule.strip_prefix("json:") {
            let pointer = Pointer::parse(pointer);
            return pointer
                .map(Self::Json)
                .ok_or_else(|| RuleError::BadPointer(shown()));
        }
        if let Some(name) = rule.strip_prefix("trailer:") {
            let name = name.trim().parse();
            return name
                .map(Self::Trailer)
                .map_err(|_| RuleError::BadHeader(shown()));
        }
        if let Some(path) = rule.strip_prefix("field:") {
            let path = FieldPath::parse(path).map(Self::Field);
            return path.ok_or_else(|| RuleError::BadField(shown()));
        }
        if let Some(name) = rule.strip_prefix("cert:") {
            return match name {
                "cn" => Ok(Self::Certificate(CertificateName::Common)),
                "san" => Ok(Self::Certificate(CertificateName::Alternative)),
                _ => Err(RuleError::BadCertificateName(shown())),
            };
        }
        let pattern = Pattern::parse(rule);
        pattern
            .map(|pattern| Self::Body(Box::new(pattern)))
            .map_err(|reason| RuleError::BadRegex {
                rule: shown(),
                reason,
            })
    }

    fn identify<'a>(&self, answer: Answer<'a>) -> Option<Cow<'a, str>> {
        let Answer { headers, body, .. } = answer;
        match self {
            Self::Trailer(name) => clean(answer.trailers.get(name)?).map(Cow::Borrowed),
            Self::Field(path) => match path.find(body)? {
                Cow::Borrowed(name) => clean(name).map(Cow::Borrowed),
                Cow::Owned(name) => clean(&name).map(|name| Cow::Owned(name.to_owned())),
            },
            Self::Certificate(name) => {
                let found = name.find(answer.certificate?)?;
                clean(found.as_bytes()).map(|name| Cow::Owned(name.to_owned()))
            }
            Self::Body(pattern) => clean(pattern.find(body)?).map(Cow::Borrowed),
            Self::Header(name) => {
                let value = headers.get(name)?;
                // Of a sentence, as Via may be, the pod's name.
                let name = place::in_value(value).or_else(|| clean(value));
                name.map(Cow::Borrowed)
            }
            Self::Json(pointer) => match pointer.find(body)? {
                Cow::Borrowed(name) => clean(name.as_bytes()).map(Cow::Borrowed),
                Cow::Owned(name) => clean(name.as_bytes()).map(|name| Cow::Owned(name.to_owned())),
            },
        }
    }
}

/// The beginning of a body that was not read to its end, as far as no name in it can have been cut: up to
/// the last line break, tag or quote, which no name goes beyond. Empty where there is none.
pub fn before_the_cut(body: &[u8]) -> &[u8] {
    let ends_a_name = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'<' | b'"');
    let end = body.iter().rposition(ends_a_name);
    &body[..end.map_or(0, |end| end + 1)]
}

/// `name` as an identity: trimmed, valid, of a sane length, without control characters.
fn clean(name: &[u8]) -> Option<&str> {
    let name = name.trim_ascii();
    if name.is_empty() || name.len() > MAX_NAME_LENGTH {
        return None;
    }
    let is_plain = name.iter().all(|byte| (b' '..=b'~').contains(byte));
    let name = std::str::from_utf8(name).ok()?;
    (is_plain || !name.chars().any(char::is_control)).then_some(name)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn rules(texts: &[&str]) -> Rules {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Rules::parse(&texts).unwrap()
    }

    fn identify(texts: &[&str], body: &[u8]) -> Option<String> {
        let headers = HeaderMap::new();
        let name = rules(texts).identify(&headers, body);
        name.map(Cow::into_owned)
    }

    fn refused(text: &str) -> String {
        Rules::parse(&[text.to_owned()]).unwrap_err().to_string()
    }

    #[test]
    fn group_one_is_the_name_and_without_a_group_the_whole_match() {
        let body = b"served by <b>web-0</b> in 3 ms";
        assert_eq!(
            identify(&["by <b>([^<]+)<"], body).as_deref(),
            Some("web-0")
        );
        assert_eq!(identify(&[r"web-\d+"], body).as_deref(), Some("web-0"));
        assert_eq!(
            identify(&["(?:served) by"], body).as_deref(),
            Some("served by")
        );
        assert_eq!(identify(&["(x)?served"], body), None);
        assert_eq!(identify(&["nothing"], body), None);
    }

    #[test]
    fn headers_are_found_whatever_their_case() {
        let mut headers = HeaderMap::new();
        headers.insert("x-pod-name", " web-0 ".parse().unwrap());
        headers.append("x-pod-name", "web-1".parse().unwrap());
        let rules = rules(&["header:X-Pod-Name"]);
        assert_eq!(rules.identify(&headers, b"").as_deref(), Some("web-0"));
        assert_eq!(rules.identify(&HeaderMap::new(), b"web-0"), None);
    }

    #[test]
    fn json_pointers_give_strings_and_numbers() {
        let body = br#"{"env":{"a/b":"web-0","id":17,"pad":"\u0020web-1"}}"#;
        assert_eq!(
            identify(&["json:/env/a~1b"], body).as_deref(),
            Some("web-0")
        );
        assert_eq!(identify(&["json:/env/id"], body).as_deref(), Some("17"));
        assert_eq!(identify(&["json:/env/pad"], body).as_deref(), Some("web-1"));
        assert_eq!(identify(&["json:/env"], body), None);
    }

    #[test]
    fn rules_are_tried_in_order_and_replace_the_built_in_ones() {
        let body = br#"{"pod":"web-0","id":" "}"#;
        let texts = ["json:/id", "json:/missing", "json:/pod"];
        assert_eq!(identify(&texts, body).as_deref(), Some("web-0"));
        assert_eq!(identify(&["json:/id"], body), None);
        assert_eq!(identify(&[], body).as_deref(), Some("web-0"));
    }

    #[test]
    fn hostile_names_are_no_identity() {
        let any = ["(?s-u)pod=(.*)"];
        for (name, expected) in [
            (&b"web-0\r\n"[..], Some("web-0")),
            ("wéb 0".as_bytes(), Some("wéb 0")),
            (b"", None),
            (b" \t", None),
            (b"web\x00", None),
            (b"\x1b[2Jweb", None),
            ("web\u{85}0".as_bytes(), None),
            (b"web\xff", None),
            (&[b'x'; MAX_NAME_LENGTH + 1], None),
        ] {
            let body = [b"pod=", name].concat();
            assert_eq!(identify(&any, &body).as_deref(), expected, "{name:?}");
        }
        let longest = [&b"pod="[..], &[b'x'; MAX_NAME_LENGTH]].concat();
        assert!(identify(&any, &longest).is_some());
    }

    #[test]
    fn a_name_that_was_cut_is_no_identity() {
        for whole in [
            "<p>Pod Name: web-1234</p>\n",
            "Hostname: web-1234\nIP: ::1\n",
            r#"{"pod":"web-1234","id":"x"}"#,
        ] {
            for length in 0..whole.len() {
                let body = before_the_cut(&whole.as_bytes()[..length]);
                let name = identify(&[], body);
                assert!(
                    name.is_none_or(|name| name == "web-1234"),
                    "{whole} {length}"
                );
            }
            assert!(identify(&[], before_the_cut(whole.as_bytes())).is_some());
        }
    }

    #[test]
    fn bad_rules_are_refused_in_one_line_that_names_the_option() {
        for (rule, part) in [
            ("", "needs a rule"),
            ("(", "unclosed group"),
            (r"\p{Nope}", "Unicode property not found"),
            ("(?P<a>x)(?P<a>y)", "duplicate capture group name"),
            ("(?:x{1000}){1000}", "bytes"),
            ("header:", "does not name a header"),
            ("header:a b", "does not name a header"),
            ("json:pod", "not a JSON pointer"),
            ("json:/a~2", "not a JSON pointer"),
            ("trailer:", "does not name a header"),
            ("field:a", "not the way to a field"),
            ("cert:issuer", "names no part of a certificate"),
            ("(\u{1b}[2J", r"\u{1b}"),
        ] {
            let message = refused(rule);
            assert!(message.contains("--identify"), "{message}");
            assert!(message.contains(part), "{rule}: {message}");
            assert_eq!(message.lines().count(), 1, "{message}");
            assert!(!message.chars().any(char::is_control), "{message}");
        }
    }

    #[test]
    fn a_mebibyte_that_nearly_matches_takes_linear_time() {
        let body = vec![b'a'; 1 << 20];
        let start = std::time::Instant::now();
        assert_eq!(identify(&["(a*)*b"], &body), None);
        assert_eq!(identify(&["(?:a|aa)+(c)"], &body), None);
        // Backtracking would not end.
        assert!(start.elapsed() < std::time::Duration::from_mins(15));
    }
}
