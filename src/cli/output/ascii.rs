//! Words for terminals that show ASCII alone.

use std::borrow::Cow;
use std::env;
use std::fmt::Write;

/// Whether the locale asks for something other than UTF-8, by the first of the variables that is set (POSIX.1-2024,
/// Environment Variables, 8.2). Where none is, as in most containers and CI systems, UTF-8 is what is shown.
fn is_asked_for(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        !locale.ends_with("utf-8") && !locale.ends_with("utf8")
    })
}

/// `text` in what the terminal shows.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !is_asked_for(|name| env::var(name).ok()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(spelt(text))
}

/// The signs that lbtest writes spelt in ASCII; what names hold besides as `\u{…}`.
fn spelt(text: &str) -> String {
    let mut spelt = String::with_capacity(text.len());
    for c in text.chars() {
        let sign = match c {
            '≤' => "<=",
            '≥' => ">=",
            '–' | '−' => "-",
            '—' => "--",
            '→' => "->",
            '…' => "...",
            '×' => "x",
            '·' => "*",
            '²' => "^2",
            'χ' => "chi",
            'α' => "alpha",
            'τ' => "tau",
            'µ' => "u",
            '∞' => "inf",
            _ if c.is_ascii() => {
                spelt.push(c);
                continue;
            }
            _ => {
                let _ = write!(spelt, "{}", c.escape_unicode());
                continue;
            }
        };
        spelt.push_str(sign);
    }
    spelt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let asked = |set: &[(&str, &str)]| {
            is_asked_for(|name| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(asked(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]));
        assert!(asked(&[("LC_ALL", ""), ("LANG", "de_DE.ISO-8859-1")]));
        assert!(asked(&[("LC_CTYPE", "POSIX")]));
        assert!(!asked(&[("LC_ALL", "C.UTF-8"), ("LANG", "C")]));
        assert!(!asked(&[("LANG", "en_US.utf8")]));
        assert!(!asked(&[]));
    }

    #[test]
    fn signs_are_spelt_and_foreign_letters_escaped() {
        assert_eq!(
            spelt("p 8.99e-9 ≤ 0.001, 67.9 – 70.9 %: größer"),
            r"p 8.99e-9 <= 0.001, 67.9 - 70.9 %: gr\u{f6}\u{df}er"
        );
    }
}
