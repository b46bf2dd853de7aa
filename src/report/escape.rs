//! Names come from responses, which are untrusted: what could act on a terminal is made visible, and
//! what a format gives a meaning of its own is escaped.

use std::borrow::Cow;

/// `text` with control characters and those that reorder text written as `\u{…}`.
#[must_use]
pub fn terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(acts_on_a_terminal) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if acts_on_a_terminal(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Control characters (C0, DEL, C1), and the format characters of Unicode's bidirectional algorithm
/// (UAX #9), line separators and zero-width characters, which make a name look like another; and the
/// two noncharacters that XML 1.0 has no room for.
fn acts_on_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fffe}' | '\u{ffff}')
}

/// `text` as GitHub Flavored Markdown that shows it as it is, on one line and in a table's cell.
///
/// Any ASCII punctuation may be escaped by a backslash (`CommonMark` 0.31, 2.4); those are that begin
/// something within a line, autolinks included. HTML goes by references.
#[must_use]
pub fn markdown(text: &str) -> String {
    let text = terminal(text);
    let mut escaped = String::with_capacity(text.len() + 16);
    for (index, c) in text.char_indices() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~'
            | '$' | '@' | ':' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // `www.` begins a link without more ado.
            '.' if ends_in_www(&text[..index]) => escaped.push_str("\\."),
            // At the beginning of a line these begin a list or a heading.
            '-' | '+' | '=' if index == 0 => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

fn ends_in_www(text: &str) -> bool {
    let last = text.len().checked_sub(3).and_then(|at| text.get(at..));
    last.is_some_and(|last| last.eq_ignore_ascii_case("www"))
}

/// `text` within an element or a quoted attribute of HTML.
#[must_use]
pub fn html(text: &str) -> String {
    minijinja::HtmlEscape(&terminal(text)).to_string()
}

/// The message of a GitHub workflow command (`::error::message`).
#[must_use]
pub fn workflow_data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property of a GitHub workflow command (`::error title=property::`).
#[must_use]
pub fn workflow_property(text: &str) -> String {
    workflow_data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_reordering_marks_become_visible() {
        assert_eq!(terminal("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(terminal("a\u{202e}b\r\n"), "a\\u{202e}b\\r\\n");
        assert_eq!(terminal("challenge-app-é"), "challenge-app-é");
        assert_eq!(terminal("\u{ffff}"), "\\u{ffff}");
    }

    #[test]
    fn markdown_shows_a_hostile_name_as_text() {
        use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
        for name in [
            "<img src=x onerror=alert(1)>",
            "[a](javascript:alert(1))",
            "a|b `c` *d* _e_ ~~f~~ # g",
            "![i](http://x/y.png) &lt; \\| <!-- -->",
            "https://x.example/ www.x.example a@b.example",
            "```\n---\n# h",
            "- [ ] a",
        ] {
            let source = format!("| a |\n|--|\n| {} |\n", markdown(name));
            let mut shown = String::new();
            // GitHub has no smart punctuation.
            let options = Options::all().difference(Options::ENABLE_SMART_PUNCTUATION);
            for event in Parser::new_ext(&source, options) {
                match event {
                    Event::Text(text) => shown.push_str(&text),
                    Event::Start(
                        Tag::Table(_) | Tag::TableHead | Tag::TableRow | Tag::TableCell,
                    )
                    | Event::End(
                        TagEnd::Table | TagEnd::TableHead | TagEnd::TableRow | TagEnd::TableCell,
                    ) => {}
                    other => panic!("{name} became {other:?}"),
                }
            }
            assert_eq!(shown, format!("a{}", terminal(name)));
        }
    }

    #[test]
    fn a_workflow_command_is_one_line_whatever_it_says() {
        assert_eq!(workflow_data("50 %\r\n::set-env"), "50 %25%0D%0A::set-env");
        assert_eq!(workflow_property("a: b, c%"), "a%3A b%2C c%25");
    }
}
