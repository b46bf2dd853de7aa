//! Patterns over names: `*` is any run of characters, `?` is any one, everything else is itself.

use regex::Regex;

/// The longest pattern, in bytes: twice the longest name.
pub(super) const MAX_PATTERN_LENGTH: usize = 506;

/// A name or a pattern over names.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    text: String,
    /// `None` where the text has no wildcard.
    regex: Option<Regex>,
}

impl Glob {
    /// Compiles `text`; `None` if it is empty or longer than [`MAX_PATTERN_LENGTH`].
    pub(super) fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_PATTERN_LENGTH {
            return None;
        }
        let regex = text.contains(['*', '?']).then(|| {
            let mut pattern = String::from(r"(?s)\A");
            for part in text.split_inclusive(['*', '?']) {
                let literal = part.trim_end_matches(['*', '?']);
                pattern.push_str(&regex::escape(literal));
                pattern.push_str(match &part[literal.len()..] {
                    "*" => ".*",
                    "?" => ".",
                    _ => "",
                });
            }
            pattern.push_str(r"\z");
            Regex::new(&pattern).expect("an escaped pattern of bounded length compiles")
        });
        let text = text.to_owned();
        Some(Self { text, regex })
    }

    /// Whether the whole of `name` matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        match &self.regex {
            Some(regex) => regex.is_match(name),
            None => self.text == name,
        }
    }

    /// How narrow the pattern is: a plain name before any pattern, then by the number of characters that
    /// it fixes.
    pub(super) fn specificity(&self) -> (bool, usize) {
        let fixed = self.text.chars().filter(|c| !matches!(c, '*' | '?'));
        (self.regex.is_none(), fixed.count())
    }

    /// Whether it is a name, without a wildcard.
    pub(super) fn is_plain(&self) -> bool {
        self.regex.is_none()
    }

    /// The pattern as it was given.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_runs_and_single_characters() {
        for (pattern, name, matches) in [
            ("app", "app", true),
            ("app", "app-v2", false),
            ("app*", "app-v2", true),
            ("*-v2", "app-v2", true),
            ("*-v2", "app-v2x", false),
            ("app-v?", "app-v2", true),
            ("app-v?", "app-v12", false),
            ("**?", "a", true),
            ("*", "", true),
            ("a.c*", "abc", false),
            ("[ab]*", "a", false),
            ("[ab]*", "[ab]x", true),
            ("?", "é", true),
            ("a*b", "a\nb", true),
        ] {
            let glob = Glob::new(pattern).unwrap();
            assert_eq!(glob.matches(name), matches, "{pattern} on {name}");
        }
    }

    #[test]
    fn empty_and_overlong_patterns_are_refused_and_the_longest_compiles() {
        assert!(Glob::new("").is_none());
        assert!(Glob::new(&"*".repeat(MAX_PATTERN_LENGTH + 1)).is_none());
        let stars = Glob::new(&"*?".repeat(MAX_PATTERN_LENGTH / 2)).unwrap();
        assert!(stars.matches(&"x".repeat(300)));
        assert!(!stars.matches("x"));
    }

    #[test]
    fn plain_names_are_narrower_than_patterns() {
        let specificity = |text| Glob::new(text).unwrap().specificity();
        assert!(specificity("a") > specificity("app-v2*"));
        assert!(specificity("app-v2*") > specificity("app*"));
    }
}
