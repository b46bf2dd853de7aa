//! Names come from responses, which are untrusted: what could act on a terminal is made visible, and
//! what a format gives a meaning of its own is escaped.

use std::borrow::Cow;

/// `text` with control characters and those that reorder text written as `\u{…}`.
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
/// (UAX #9), line separators and characters that show nothing or a blank (`Default_Ignorable_Code_Point` of Unicode's
/// DerivedCoreProperties.txt, fillers, and the empty Braille cell), which make a name look like another; and the
/// two noncharacters that XML 1.0 has no room for.
fn acts_on_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        // Blanks other than the space look like it, and no name holds them.
        || (c.is_whitespace() && c != ' ')
}

/// `text` for the log of a CI job. GitHub Actions takes `##[command]` for a command anywhere in a line, and `::command`
/// at its beginning.
pub fn workflow_log(text: &str) -> String {
    let mut shown = text.replace("##[", "#\\u{23}[");
    if shown
        .lines()
        .any(|line| line.trim_start().starts_with("::"))
    {
        let lines = shown.split_inclusive('\n').map(|line| {
            let (blank, rest) = line.split_at(line.len() - line.trim_start().len());
            match rest.strip_prefix("::") {
                Some(rest) => format!("{blank}:\\u{{3a}}{rest}"),
                None => line.to_owned(),
            }
        });
        shown = lines.collect();
    }
    shown
}

/// `text` as GitHub Flavored Markdown that shows it as it is, on one line and in a table's cell.
///
/// Any ASCII punctuation may be escaped by a backslash (`CommonMark` 0.31, 2.4); those are that begin
/// something within a line, autolinks included. HTML goes by references.
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
pub fn html(text: &str) -> String {
    minijinja::HtmlEscape(&terminal(text)).to_string()
}

/// The message of a GitHub workflow command (`::error::message`).
pub fn workflow_data(text: &str) -> String {
    text.replace("##[", "#\\u{23}[")
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property of a GitHub workflow command (`::error title=property::`).
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
    fn names_that_differ_by_what_nobody_sees_look_different() {
        for c in [
            '\u{61c}',
            '\u{ad}',
            '\u{180e}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{2800}',
            '\u{e0061}',
            '\u{e0101}',
            '\u{a0}',
            '\u{2003}',
            '\u{ffa0}',
        ] {
            let shown = terminal(&format!("v1{c}")).into_owned();
            assert_eq!(shown, format!("v1{}", c.escape_default()));
        }
        assert_eq!(terminal("größe 東京"), "größe 東京");
    }

    #[test]
    fn nothing_that_a_log_shows_is_a_workflow_command() {
        assert_eq!(
            workflow_log("page: ##[stop-commands]x\n  ::stop-commands::x\na::b\n"),
            "page: #\\u{23}[stop-commands]x\n  :\\u{3a}stop-commands::x\na::b\n"
        );
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
        assert_eq!(workflow_data("##[debug]"), "#\\u{23}[debug]");
        assert_eq!(workflow_property("a: b, c%"), "a%3A b%2C c%25");
    }
}
