//! Which series are meant: `NAME{label="value",other=~"regex"}`, as `PromQL` selects them. The labels of an exposition are
//! written in the same form.

use std::collections::BTreeMap;

use regex::Regex;

/// The labels of a series, its name as `__name__` among them.
pub(super) type Labels = BTreeMap<String, String>;

/// The label that holds the name.
pub(super) const NAME: &str = "__name__";

/// Which series are meant.
#[derive(Debug, Clone)]
pub struct Selector(Vec<(String, Test)>);

#[derive(Debug, Clone)]
enum Test {
    Is(String),
    IsNot(String),
    Matches(Regex),
    MatchesNot(Regex),
}

/// Why a text selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// It is not written as a selector.
    #[error(
        "--query '{0}' selects no series of a file: write NAME{{label=\"value\"}}, with =, !=, =~ or !~"
    )]
    Form(String),
    /// A regular expression cannot be read.
    #[error("--query: {0}")]
    Pattern(String),
}

impl Selector {
    /// Reads a selector without a range.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let form = || SelectorError::Form(text.escape_debug().to_string());
        let text = text.trim();
        let end = text.find('{').unwrap_or(text.len());
        let (name, braces) = text.split_at(end);
        let name = name.trim_end();
        let mut tests = Vec::new();
        if !name.is_empty() {
            tests.push((NAME.to_owned(), Test::Is(name.to_owned())));
        }
        let mut pairs = Vec::new();
        let rest = match braces {
            "" => Some(""),
            braces => braced(braces, |label, operator, value| {
                pairs.push((label.to_owned(), operator.to_owned(), value));
            }),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if rest.is_none_or(|rest| !rest.is_empty()) || !name.chars().all(is_name) {
            return Err(form());
        }
        for (label, operator, value) in pairs {
            tests.push((label, Test::new(&operator, value)?));
        }
        if tests.is_empty() {
            return Err(form());
        }
        Ok(Self(tests))
    }

    /// Whether a series of this name may be meant.
    pub(super) fn may_take(&self, name: &str) -> bool {
        let mut of_name = self.0.iter().filter(|(label, _)| label == NAME);
        of_name.all(|(_, test)| test.takes(name))
    }

    /// Whether a series is meant; a label that it has not is empty.
    pub(super) fn takes(&self, labels: &Labels) -> bool {
        let value = |label: &String| labels.get(label).map_or("", String::as_str);
        self.0.iter().all(|(label, test)| test.takes(value(label)))
    }
}

impl Test {
    fn new(operator: &str, value: String) -> Result<Self, SelectorError> {
        // PromQL's are anchored at both ends.
        let pattern = |value: &str| {
            Regex::new(&format!("^(?s:{value})$")).map_err(|_| {
                SelectorError::Pattern(format!(
                    "'{}' is no regular expression",
                    value.escape_debug()
                ))
            })
        };
        Ok(match operator {
            "!=" => Self::IsNot(value),
            "=~" => Self::Matches(pattern(&value)?),
            "!~" => Self::MatchesNot(pattern(&value)?),
            _ => Self::Is(value),
        })
    }

    fn takes(&self, value: &str) -> bool {
        match self {
            Self::Is(wanted) => value == wanted,
            Self::IsNot(unwanted) => value != unwanted,
            Self::Matches(pattern) => pattern.is_match(value),
            Self::MatchesNot(pattern) => !pattern.is_match(value),
        }
    }
}

/// Tells the label, operator and value of each pair between braces; what stands behind those, `None` where they are none.
pub(super) fn braced(text: &str, mut take: impl FnMut(&str, &str, String)) -> Option<&str> {
    let mut rest = text.strip_prefix('{')?.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some(behind.trim_start());
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        let (label, behind) = rest.split_at(end);
        let behind = behind.trim_start();
        let operators = ["=~", "!=", "!~", "="];
        let operator = operators
            .into_iter()
            .find(|&operator| behind.starts_with(operator));
        let operator = operator.filter(|_| !label.is_empty())?;
        let (value, behind) = quoted(behind[operator.len()..].trim_start())?;
        take(label, operator, value);
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if behind.starts_with('}') => behind,
            None => return None,
        };
    }
}

/// A text in quotes, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next().filter(|&(_, c)| matches!(c, '"' | '\''))?;
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            c if c == quote => return Some((value, &text[at + 1..])),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let owned = pairs
            .iter()
            .map(|&(label, value)| (label.to_owned(), value.to_owned()));
        owned.collect()
    }

    #[test]
    fn a_selector_takes_what_promql_would() {
        let series = labels(&[(NAME, "requests"), ("code", "200"), ("path", "/a\"b,}")]);
        for (text, takes) in [
            ("requests", true),
            (" requests { code = \"200\" , } ", true),
            ("requests{code=~\"2..\",host=\"\"}", true),
            ("requests{code=~\"2\"}", false),
            ("requests{code!~'5..',path=\"/a\\\"b,}\"}", true),
            ("requests{code!=\"200\"}", false),
            ("{code=\"200\"}", true),
            ("others", false),
        ] {
            assert_eq!(
                Selector::parse(text).unwrap().takes(&series),
                takes,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in [
            "",
            "{}",
            "a{",
            "a{b}",
            "a{b=c}",
            "a{b=\"c\"",
            "a{b=\"c\" d=\"e\"}",
            "sum(a)",
            "a[5m]",
            "a{} b",
            "a{b=~\"(\"}",
        ] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
