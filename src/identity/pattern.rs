//! A regular expression of the user's, compiled into what it needs.
//!
//! Most begin with a literal, as `Pod Name: ([^<]+)` does. Then the literal's first place in the body is found
//! with memmem, and the expression is matched there and nowhere else; only where that fails is the rest of the
//! body searched. The leftmost match is the same, since it can't begin anywhere before.

use memchr::memmem::Finder;
use regex_automata::{Anchored, Input, meta, util::syntax};
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::{ExtractKind, Extractor};

/// A compiled expression and the group that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: meta::Regex,
    /// 1 where the expression has a group; 0, the whole match, where it has none.
    group: usize,
    /// What every match begins with, if that is known.
    prefix: Option<Finder<'static>>,
}

impl Pattern {
    /// Compiles an expression, as `regex::bytes::Regex` does; that type can't report a group without
    /// allocating. The error says what is wrong in one line.
    pub(super) fn parse(expression: &str) -> Result<Self, String> {
        let syntax = syntax::Config::new().utf8(false);
        let regex = meta::Builder::new()
            .configure(meta::Config::new().utf8_empty(false))
            .syntax(syntax)
            .build(expression)
            .map_err(|error| explained(&error))?;
        let parsed = syntax::parse_with(expression, &syntax);
        Ok(Self {
            group: usize::from(regex.captures_len() > 1),
            prefix: parsed.ok().as_ref().and_then(prefix),
            regex,
        })
    }

    /// What the group matched in the leftmost match in `body`.
    pub(super) fn find<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        let Some(prefix) = &self.prefix else {
            return self.search(&Input::new(body));
        };
        let first = prefix.find(body)?;
        let here = Input::new(body).range(first..).anchored(Anchored::Yes);
        // One try, so that time stays linear however often the literal occurs.
        match self.slots(&here) {
            Some(slots) => self.captured(body, &slots),
            None => self.search(&Input::new(body).range(first + 1..)),
        }
    }

    /// What the group matched in every match in `body`, in its order.
    pub(super) fn find_all<'a>(&self, body: &'a [u8]) -> Vec<&'a [u8]> {
        let group =
            |captures: regex_automata::util::captures::Captures| captures.get_group(self.group);
        let spans = self.regex.captures_iter(body).filter_map(group);
        spans.map(|span| &body[span.range()]).collect()
    }

    fn search<'a>(&self, input: &Input<'a>) -> Option<&'a [u8]> {
        let slots = self.slots(input)?;
        self.captured(input.haystack(), &slots)
    }

    fn slots(&self, input: &Input<'_>) -> Option<Slots> {
        let mut slots = [None; 4];
        let wanted = 2 * (self.group + 1);
        self.regex.search_slots(input, &mut slots[..wanted])?;
        Some(slots)
    }

    fn captured<'a>(&self, body: &'a [u8], slots: &Slots) -> Option<&'a [u8]> {
        let start = slots[2 * self.group]?.get();
        let end = slots[2 * self.group + 1]?.get();
        body.get(start..end)
    }
}

/// The ends of the whole match and of the first group.
type Slots = [Option<regex_automata::util::primitives::NonMaxUsize>; 4];

/// The literal that every match begins with, if there is exactly one.
fn prefix(expression: &Hir) -> Option<Finder<'static>> {
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix);
    let literals = extractor.extract(expression);
    match literals.literals()? {
        [only] if !only.as_bytes().is_empty() => Some(Finder::new(only.as_bytes()).into_owned()),
        _ => None,
    }
}

/// What is wrong with a regular expression, in one line; the full message draws the place over several.
fn explained(error: &meta::BuildError) -> String {
    if let Some(limit) = error.size_limit() {
        return format!("it compiles to more than {limit} bytes");
    }
    let message = match error.syntax_error() {
        Some(syntax) => syntax.to_string(),
        None => error.to_string(),
    };
    let last = message.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ")
        .escape_debug()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(expression: &str, body: &'a str) -> Option<&'a str> {
        let found = Pattern::parse(expression).unwrap().find(body.as_bytes());
        found.map(|name| std::str::from_utf8(name).unwrap())
    }

    /// What the expression finds without the literal's help.
    fn plainly<'a>(expression: &str, body: &'a str) -> Option<&'a str> {
        let regex = regex::Regex::new(expression).unwrap();
        let captures = regex.captures(body)?;
        let group = usize::from(captures.len() > 1);
        captures.get(group).map(|found| found.as_str())
    }

    #[test]
    fn a_literal_is_known_where_every_match_begins_with_it() {
        for (expression, literal) in [
            ("Pod Name: ([^<]+)", Some("Pod Name: ")),
            (r"(?m)^Hostname: (\S+)$", Some("Hostname: ")),
            (r"\bpod=(\w+)", Some("pod=")),
            ("(abc|abd)x", None),
            ("(?i)pod: (.*)", None),
            ("x*", None),
            (".*pod", None),
        ] {
            let pattern = Pattern::parse(expression).unwrap();
            let prefix = pattern.prefix.as_ref().map(Finder::needle);
            assert_eq!(prefix, literal.map(str::as_bytes), "{expression}");
        }
    }

    #[test]
    fn the_leftmost_match_is_the_same_with_and_without_the_literal() {
        let bodies = [
            "",
            "pod",
            "pod=",
            "pod=a pod=b",
            "xpod=a pod=b",
            "pod=! pod=b pod=c",
            "pod=pod=pod=c",
            "POD=a\npod=b\n",
            "a\npod=\npod=b\nxpod=c",
            "pod=aab",
        ];
        for expression in [
            "pod=([a-z]+)",
            r"\bpod=([a-z]+)",
            r"(?m)^pod=(\w+)$",
            "pod=([a-z]+?)",
            "pod=(a|ab|aab)",
            "pod=(x)?",
            "pod=.*c",
            "pod=$",
            "pod=(?:pod=)*([a-z])",
            r"pod=([a-z])\b",
        ] {
            for body in bodies {
                assert_eq!(
                    found(expression, body),
                    plainly(expression, body),
                    "{expression} in {body:?}"
                );
            }
        }
    }

    #[test]
    fn a_literal_that_occurs_everywhere_takes_linear_time() {
        let body = "pod=".repeat(1 << 18);
        let start = std::time::Instant::now();
        assert_eq!(found("pod=.*(X)", &body), None);
        assert_eq!(found("pod=(?:pod=)*(X)", &body), None);
        // Linear takes milliseconds; quadratic would take hours.
        assert!(start.elapsed() < std::time::Duration::from_mins(15));
    }
}
