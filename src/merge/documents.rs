//! JSON objects among other text: files one after the other, lines, logs of many pods.
//!
//! Bounded in memory and linear in time whatever the input is: an object that is not closed within
//! [`MAX_DOCUMENT`], nests deeper than `MAX_DEPTH`, or holds what cannot stand in JSON is no object, and the
//! search goes on behind its first brace.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};

/// The longest object, in bytes.
pub const MAX_DOCUMENT: usize = 32 << 20;
/// What all streams may take together: one of them the longest object.
const MOST_OPEN: usize = MAX_DOCUMENT + 2 * MAX_PREFIX;
/// Deeper than a report nests.
const MAX_DEPTH: u32 = 32;
/// Longer lines are read in parts.
const MOST_OF_A_LINE: u64 = 64 << 10;
/// The longest prefix of a line that is looked for.
const MAX_PREFIX: usize = 1024;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A JSON object, as far as braces and strings tell.
    Object(&'a [u8]),
    /// What began as a report of this program, and broke off.
    CutOff,
}

/// Why reading ended early.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// The source cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// More is open than may be.
    #[error("more than 32 MiB of JSON without an end")]
    TooLarge,
}

/// Hands every object in `reader` to `take`, in the order in which they end.
///
/// Lines of `kubectl logs --prefix` are sorted by their prefix first, so that the pods may take turns.
///
/// # Errors
/// As `reader` and `take` say, or more open text than is kept.
pub fn each<E: From<DocumentsError>>(
    mut reader: impl BufRead,
    mut take: impl FnMut(Found<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut streams: HashMap<Vec<u8>, Scanner> = HashMap::new();
    let (mut key, mut part) = (Vec::new(), Vec::new());
    let mut begins_line = true;
    let mut open = 0;
    loop {
        part.clear();
        let read = reader
            .by_ref()
            .take(MOST_OF_A_LINE)
            .read_until(b'\n', &mut part);
        if read.map_err(DocumentsError::from)? == 0 {
            break;
        }
        let mut text = part.as_slice();
        if begins_line {
            let prefix = prefix(text);
            key.clear();
            key.extend_from_slice(&text[..prefix]);
            text = &text[prefix..];
        }
        begins_line = part.ends_with(b"\n");
        open -= streams.get(&key).map_or(0, |stream| stream.cost(&key));
        let stream = streams.entry(key.clone()).or_default();
        stream.feed(text, &mut take)?;
        if stream.buffer.is_empty() {
            streams.remove(&key);
        } else {
            open += stream.cost(&key);
        }
        if open > MOST_OPEN {
            return Err(DocumentsError::TooLarge.into());
        }
    }
    for stream in streams.values_mut() {
        stream.finish(&mut take)?;
    }
    Ok(())
}

/// The length of what `kubectl logs --prefix` puts before a line: `[pod/NAME/CONTAINER] `.
fn prefix(line: &[u8]) -> usize {
    if !line.starts_with(b"[pod/") {
        return 0;
    }
    let searched = &line[..line.len().min(MAX_PREFIX)];
    let end = searched.windows(2).position(|pair| pair == b"] ");
    end.map_or(0, |end| end + 2)
}

/// One stream of text, with the object that is open in it.
#[derive(Debug, Default)]
struct Scanner {
    /// Begins with the brace of the open object; empty when there is none.
    buffer: Vec<u8>,
    /// How much of it was looked at.
    seen: usize,
    /// One bit for each open bracket, the innermost lowest: 1 for an object, 0 for an array.
    open: u64,
    depth: u32,
    within: Within,
}

/// What the next byte stands in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Value,
    /// Behind an opening brace: a key, or the end.
    Object,
    Text,
    /// Behind a backslash.
    Escape,
}

/// How far an object was followed.
enum Step {
    /// It ends before this place in the buffer.
    Closed(usize),
    /// It is none.
    Broken,
    /// It goes on.
    Open,
}

impl Scanner {
    /// What it takes to keep it under this key, in bytes: a table is half empty at worst.
    fn cost(&self, key: &[u8]) -> usize {
        self.buffer.len() + key.len() + 2 * size_of::<(Vec<u8>, Self)>()
    }

    fn feed<E>(
        &mut self,
        text: &[u8],
        take: &mut impl FnMut(Found<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.buffer.is_empty() {
            let Some(brace) = memchr::memchr(b'{', text) else {
                return Ok(());
            };
            self.buffer.extend_from_slice(&text[brace..]);
        } else {
            self.buffer.extend_from_slice(text);
        }
        self.follow(false, take)
    }

    fn finish<E>(&mut self, take: &mut impl FnMut(Found<'_>) -> Result<(), E>) -> Result<(), E> {
        self.follow(true, take)
    }

    /// Follows the open object and those behind it; at the end of the stream one that is open is none.
    fn follow<E>(
        &mut self,
        is_end: bool,
        take: &mut impl FnMut(Found<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut start = 0;
        while start < self.buffer.len() {
            let behind = match self.step(start) {
                Step::Closed(end) => {
                    take(Found::Object(&self.buffer[start..end]))?;
                    end
                }
                Step::Open if !is_end && self.buffer.len() - start <= MAX_DOCUMENT => break,
                Step::Open | Step::Broken => {
                    if is_report(&self.buffer[start..]) {
                        take(Found::CutOff)?;
                    }
                    start + 1
                }
            };
            let next = memchr::memchr(b'{', &self.buffer[behind..]);
            start = next.map_or(self.buffer.len(), |next| behind + next);
            (self.seen, self.open, self.depth, self.within) = (start, 0, 0, Within::Value);
        }
        self.buffer.drain(..start);
        self.seen -= start;
        if self.buffer.is_empty() {
            *self = Self::default();
        }
        Ok(())
    }

    fn step(&mut self, start: usize) -> Step {
        debug_assert!(self.seen >= start);
        while let Some(&byte) = self.buffer.get(self.seen) {
            self.seen += 1;
            let is_space = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
            self.within = match (self.within, byte) {
                (Within::Text, b'\\') => Within::Escape,
                (Within::Text, b'"') => Within::Value,
                (Within::Text | Within::Escape, 0..0x20) => return Step::Broken,
                (Within::Text | Within::Escape, _) => Within::Text,
                (within, _) if is_space => within,
                (_, b'"') => Within::Text,
                (_, b'}') | (Within::Value, b']') => {
                    let closes_object = byte == b'}';
                    if (self.open & 1 == 1) != closes_object {
                        return Step::Broken;
                    }
                    self.open >>= 1;
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Step::Closed(self.seen);
                    }
                    Within::Value
                }
                (Within::Value, b'{' | b'[') => {
                    if self.depth == MAX_DEPTH {
                        return Step::Broken;
                    }
                    self.depth += 1;
                    self.open = (self.open << 1) | u64::from(byte == b'{');
                    if byte == b'{' {
                        Within::Object
                    } else {
                        Within::Value
                    }
                }
                // Commas, colons, numbers, true, false and null.
                (
                    Within::Value,
                    b','
                    | b':'
                    | b'-'
                    | b'+'
                    | b'.'
                    | b'0'..=b'9'
                    | b'E'
                    | b'a'
                    | b'e'
                    | b'f'
                    | b'l'
                    | b'n'
                    | b'r'
                    | b's'
                    | b't'
                    | b'u',
                ) => Within::Value,
                _ => return Step::Broken,
            };
        }
        Step::Open
    }
}

/// Whether text begins as a report of this program does.
fn is_report(text: &[u8]) -> bool {
    let inside = text[1..].trim_ascii_start();
    inside.starts_with(b"\"schema_version\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        each::<DocumentsError>(text, |one| {
            found.push(match one {
                Found::Object(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                Found::CutOff => "cut off".to_owned(),
            });
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn objects_are_found_between_files_lines_and_words() {
        let text = br#"3664 requests: {x} { } warming up {"a":1}{"b":[{"c":"}"}]}
time="12" msg={"d":"\"{"} {
  "e": null
}
\xff{"f":1"#;
        assert_eq!(
            found(text),
            [
                "{ }",
                r#"{"a":1}"#,
                r#"{"b":[{"c":"}"}]}"#,
                r#"{"d":"\"{"}"#,
                "{\n  \"e\": null\n}",
            ]
        );
    }

    #[test]
    fn pods_that_take_turns_are_told_apart_by_their_prefix() {
        let text = b"[pod/a/lbtest] {\n[pod/b/lbtest] {\n[pod/a/lbtest]   \"a\": 1\n\
                     [pod/b/lbtest]   \"b\": 2\n[pod/b/lbtest] }\n[pod/a/lbtest] }\n";
        assert_eq!(
            found(text),
            ["{\n  \"b\": 2\n}\n", "{\n  \"a\": 1\n}\n"].map(str::trim_end)
        );
    }

    #[test]
    fn a_report_that_breaks_off_is_told_and_the_next_one_found() {
        let text = b"{\"schema_version\":1,\"reasons\":[{\"code\":\"mea\n{\"schema_version\":1}\n";
        assert_eq!(found(text), ["cut off", "{\"schema_version\":1}"]);
        let text =
            b"{\"schema_version\":1,\"windows\":[{\"counts\":[1]},\n{\"schema_version\":1}\n";
        assert_eq!(
            found(text),
            ["cut off", "{\"counts\":[1]}", "{\"schema_version\":1}"]
        );
    }

    #[test]
    fn what_never_ends_costs_linear_time_and_bounded_memory() {
        let clock = std::time::Instant::now();
        for unit in ["{", "{\"\":", "{\"\":[", "{\"a\":1,", "[{", "{}", "\"{"] {
            let text = unit.repeat((4 << 20) / unit.len());
            found(text.as_bytes());
        }
        // Four MiB of each take well under a second; a quadratic search would take hours.
        assert!(
            clock.elapsed() < std::time::Duration::from_mins(15),
            "{:?}",
            clock.elapsed()
        );
        let mut endless = b"{\"a\":[".to_vec();
        endless.resize(MAX_DOCUMENT + (1 << 20), b'1');
        assert_eq!(found(&endless), [""; 0]);
        let mut many = b"[pod/a/x] {\"a\":[1\n[pod/b/x] {\"b\":[1\n".to_vec();
        for _ in 0..MAX_DOCUMENT / 40 {
            many.extend(
                b"[pod/a/x] 1111111111111111111111111\n[pod/b/x] 1111111111111111111111111\n",
            );
        }
        let ended = each::<DocumentsError>(many.as_slice(), |_| Ok(()));
        assert!(matches!(ended, Err(DocumentsError::TooLarge)), "{ended:?}");
    }

    #[test]
    fn what_is_kept_of_many_streams_is_bounded_with_their_names() {
        let lines = (0..300_000).fold(String::new(), |lines, pod| {
            lines + &format!("[pod/{pod}/lbtest] {{\n")
        });
        let read = each::<DocumentsError>(lines.as_bytes(), |_| Ok(()));
        assert!(matches!(read, Err(DocumentsError::TooLarge)));
    }
}
