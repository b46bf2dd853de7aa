//! Counts of answers out of a saved text, as `sort | uniq -c` writes them: a number and what was counted.

use std::io::{self, BufRead, Read};

use http::HeaderMap;

use super::rule::Rules;

/// The longest text of counts.
const MAX_LENGTH: u64 = 64 << 20;

/// A count beyond this is none of requests; sums stay exact in double precision.
pub const MAX_COUNT: u64 = 1_000_000_000_000_000;

/// Whether what comes next in `reader` is a count: right-aligned, or too long for a status.
///
/// # Errors
/// What reading brings.
pub fn is_next(reader: &mut impl BufRead) -> io::Result<bool> {
    let buffer = reader.fill_buf()?;
    let line = buffer.split(|&byte| byte == b'\n').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    let is_aligned = line.starts_with([' ', '\t']);
    let digits = line.split_whitespace().next().map_or(0, str::len);
    Ok(parse(&line).is_some() && (is_aligned || digits > 3))
}

/// Reads counts: of each line how many, and of which pod; `None` where `rules` find none.
///
/// A single word that no rule knows is a pod's name.
///
/// # Errors
/// What reading brings, and a line that is no count.
pub fn read(reader: impl Read, rules: &Rules) -> io::Result<Vec<(u64, Option<String>)>> {
    let refused = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut text = String::new();
    reader.take(MAX_LENGTH + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LENGTH {
        return Err(refused("the counts are longer than 64 MiB".to_owned()));
    }
    let headers = HeaderMap::new();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let (count, what) = parse(line).ok_or_else(|| {
                let line = line.escape_debug();
                refused(format!(
                    "'{line}' is no count and name, as uniq -c writes them"
                ))
            })?;
            let found = rules.identify(&headers, what.as_bytes());
            let is_word = !what.contains(char::is_whitespace);
            let name = found.map(std::borrow::Cow::into_owned);
            Ok((count, name.or_else(|| is_word.then(|| what.to_owned()))))
        })
        .collect()
}

/// `   123 what` in its two parts.
fn parse(line: &str) -> Option<(u64, &str)> {
    let (count, what) = line.trim().split_once(char::is_whitespace)?;
    let count = count.parse().ok().filter(|&count| count <= MAX_COUNT)?;
    Some((count, what.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_from_a_log_by_their_first_line() {
        for (text, expected) in [
            ("     12 app-a\n      9 app-b\n", true),
            ("12345 app-a\n", true),
            ("200 app-a\n", false),
            ("app-a\n", false),
            ("  app-a 12\n", false),
            ("", false),
        ] {
            assert_eq!(is_next(&mut text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_line_is_a_count_and_a_name() {
        let rules = Rules::parse(&[]).unwrap();
        let text = "     12 one\n\n      9 app-68df658b88-l2frw\n      3 no pod here\n";
        let read = |text: &str| read(text.as_bytes(), &rules);
        let counts = read(text).unwrap();
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(
            counts,
            [
                (12, name("one")),
                (9, name("app-68df658b88-l2frw")),
                (3, None)
            ]
        );
        let refused = read("  12 one\nend of the list\n").unwrap_err();
        assert!(refused.to_string().contains("'end of the list'"));
    }
}
