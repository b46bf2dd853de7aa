//! Patterns of paths, headers and cookies: whether they match a text, and a text that they match.

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

/// A part of a request that no rule names.
pub(super) const NOBODY: &str = "lbtest";

/// An example is at most so long, and takes at most so many steps.
const MOST: usize = 256;

/// Whether `pattern` matches `text`; `None` if that depends on whether it must match the whole of it, on whether it
/// is a pattern for files (`/shop/*`), or can't be told.
pub(super) fn is_like(pattern: &str, text: &str) -> Option<bool> {
    let is_met = |pattern: &str| Some(Regex::new(pattern).ok()?.is_match(text));
    let (part, whole) = (is_met(pattern)?, is_met(&format!("^(?:{pattern})$"))?);
    (part == whole && !(part && pattern.contains("/*"))).then_some(part)
}

/// Whether `pattern` matches `text`, and none of `others`.
pub(super) fn is_just(pattern: &str, text: &str, others: &[&str]) -> bool {
    is_like(pattern, text) == Some(true)
        && others
            .iter()
            .all(|other| is_like(pattern, other) == Some(false))
}

/// A text that `pattern` matches as a whole, in visible ASCII: short, since what may be left out is.
pub(super) fn example(pattern: &str) -> Option<String> {
    let parsed = regex_syntax::parse(pattern).ok()?;
    let mut text = String::new();
    write(&parsed, &mut text, &mut 0)?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && is_like(pattern, &text) == Some(true)).then_some(text)
}

fn write(pattern: &Hir, text: &mut String, steps: &mut usize) -> Option<()> {
    *steps += 1;
    if *steps > MOST || text.len() > MOST {
        return None;
    }
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => text.push(one_of(class)?),
        HirKind::Repetition(repeated) => {
            for _ in 0..repeated.min {
                write(&repeated.sub, text, steps)?;
            }
        }
        HirKind::Capture(group) => write(&group.sub, text, steps)?,
        HirKind::Concat(parts) => {
            for part in parts {
                write(part, text, steps)?;
            }
        }
        HirKind::Alternation(parts) => write(parts.first()?, text, steps)?,
    }
    Some(())
}

/// A plain character of the class.
fn one_of(class: &Class) -> Option<char> {
    let has = |c: char| match class {
        Class::Unicode(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&c)),
        Class::Bytes(class) => class.iter().any(|range| {
            u8::try_from(c).is_ok_and(|byte| (range.start()..=range.end()).contains(&byte))
        }),
    };
    let plain = ('a'..='z')
        .chain('0'..='9')
        .chain('A'..='Z')
        .chain('!'..='~');
    plain.into_iter().find(|&c| has(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_matched_however_the_pattern_is_anchored() {
        for (pattern, expected) in [
            (r"^/api/v[0-9]+/items$", Some("/api/v0/items")),
            (r"/api(/|$)(.*)", Some("/api/")),
            (r"/(?:a|b)\.txt", Some("/a.txt")),
            (r"(^|.*; *)next=always(;.*|$)", Some("next=always;")),
            (r"/x{3}\d", Some("/xxx0")),
            ("/.*", Some("/")),
            (r"[^/]+", Some("a")),
            // What another program may take for a file pattern, what nothing matches, and what is none.
            ("/shop/*", None),
            (r"a\bb", None),
            (r"(?=x)", None),
            (r"((a{90}){90}){90}", None),
            ("é", None),
        ] {
            assert_eq!(example(pattern).as_deref(), expected, "{pattern}");
        }
    }

    #[test]
    fn what_depends_on_the_program_is_left_open() {
        assert_eq!(is_like("/a", "/ab"), None);
        assert_eq!(is_like("/a", "/b"), Some(false));
        assert_eq!(is_like("/a/*", "/a/x"), None);
        assert!(is_just("next=.*always", "next=always", &["next=lbtest"]));
        assert!(!is_just("next=.*", "next=always", &["next=lbtest"]));
    }
}
