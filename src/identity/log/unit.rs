//! Cuts a text into units: a page of HTML, a value of JSON, what stands between two markers or heads of HTTP, or a line.

use std::io::{self, BufRead};
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::MAX_RESPONSE_LENGTH;
use super::error::end_of_error;
use super::repeat::Repeats;

/// Within so many lines the output of another program is recognised.
pub(super) const HEAD: u64 = 60;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit<'a> {
    /// One answer, whatever it says.
    Whole(&'a [u8]),
    /// A line: as it is, and without the time in front.
    Line { raw: &'a [u8], text: &'a [u8] },
}

/// What is no text, by how it begins, and what makes text of it.
const NO_TEXT: [(&[u8], &str); 7] = [
    (b"\x1f\x8b\x08", "is compressed: read it through zcat -f"),
    (
        b"\x28\xb5\x2f\xfd",
        "is compressed: read it through zstdcat",
    ),
    (b"\xfd7zXZ\0", "is compressed: read it through xzcat"),
    (b"BZh91AY&SY", "is compressed: read it through bzcat"),
    (b"PK\x03\x04", "is a zip archive: read it through unzip -p"),
    (b"\xff\xfe", "is UTF-16: read it through iconv -f UTF-16"),
    (b"\xfe\xff", "is UTF-16: read it through iconv -f UTF-16"),
];

/// Reads lines as far as the bound.
#[derive(Debug)]
pub(crate) struct LineReader<R> {
    reader: R,
    line: Vec<u8>,
    repeats: Repeats,
}

impl<R: BufRead> LineReader<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            line: Vec::new(),
            repeats: Repeats::default(),
        }
    }

    /// The next line without its end; `None` at the end of the text. What is no text is an error, wherever it begins:
    /// a few lines that can't be read would hide how much is missing.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let mut any = false;
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() && !any {
                return Ok(None);
            }
            let is_last = buffer.is_empty();
            any = true;
            let end = memchr::memchr(b'\n', buffer);
            append(&mut self.line, &buffer[..end.unwrap_or(buffer.len())]);
            let read = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(read);
            if end.is_some() || is_last {
                without_colours(&mut self.line);
                self.refuse_twice()?;
                return self.text().map(Some);
            }
        }
    }

    /// A log that comes again within itself would count twice.
    fn refuse_twice(&mut self) -> io::Result<()> {
        match self.repeats.push(&self.line) {
            Some(line) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "it begins again at line {line}, as happens when a log is given twice: give each log once"
                ),
            )),
            None => Ok(()),
        }
    }

    /// The line, without the mark that says in which order its bytes stand.
    fn text(&self) -> io::Result<&[u8]> {
        let line = &self.line[..];
        match NO_TEXT.iter().find(|(start, _)| line.starts_with(start)) {
            Some((_, what)) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it {what}"),
            )),
            None if is_half_empty(line) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is UTF-16 without a mark: read it through iconv -f UTF-16LE",
            )),
            None => Ok(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)),
        }
    }
}

/// Whether every second byte of a line's beginning is zero, as happens when letters have two bytes, the low one first.
fn is_half_empty(line: &[u8]) -> bool {
    let pairs = line[..line.len().min(64)].chunks_exact(2);
    pairs.len() >= 4 && pairs.into_iter().all(|pair| pair[0] != 0 && pair[1] == 0)
}

/// Takes out what colours a text on a terminal.
fn without_colours(line: &mut Vec<u8>) {
    static COLOUR: LazyLock<Regex> = LazyLock::new(|| {
        let expression = r"(?-u)\x1b(?:\[[0-9;?]*[mK]|\([A-Z0-9])";
        Regex::new(expression).expect("the expression is one")
    });
    if memchr::memchr(0x1b, line).is_some() {
        *line = COLOUR.replace_all(line, &b""[..]).into_owned();
    }
}

/// Appends as much of `piece` as the bound leaves room for.
fn append(text: &mut Vec<u8>, piece: &[u8]) {
    let room = MAX_RESPONSE_LENGTH - text.len();
    text.extend_from_slice(&piece[..piece.len().min(room)]);
}

/// What is being gathered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Nothing,
    /// The lines since a marker.
    Request,
    /// The lines since the head of a response, with its status.
    Response(u16),
    Html,
    Json(Json),
}

/// Where in a value of JSON a text is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Json {
    depth: u32,
    in_string: bool,
    is_escaped: bool,
}

/// Cuts lines into units.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    within: Within,
    gathered: Vec<u8>,
    /// Whether an array's elements are being told, each a unit.
    in_array: bool,
    pub(super) has_markers: bool,
    /// Whether answers begin with their heads, as `curl -i` and `curl -v` show them.
    pub(super) has_heads: bool,
}

impl Cutter {
    /// Takes a line and hands over the units that it completes.
    pub(super) fn push(&mut self, line: &[u8], take: &mut dyn FnMut(Unit<'_>)) {
        if is_marker(line) {
            if self.within != Within::Nothing {
                self.hand_over(take);
            }
            self.within = Within::Request;
            self.has_markers = true;
            return;
        }
        let mut line = line;
        let is_within = matches!(self.within, Within::Response(_));
        if let Some((start, status)) = head(line)
            && !self.has_markers
            && (start == 0 || is_within)
        {
            append(&mut self.gathered, &line[..start]);
            line = &line[start..];
            if self.within != Within::Nothing {
                self.hand_over(take);
            }
            self.within = Within::Response(status);
            self.has_heads = true;
        }
        if matches!(self.within, Within::Request | Within::Response(_)) {
            append(&mut self.gathered, line);
            append(&mut self.gathered, b"\n");
            return;
        }
        let mut rest = line;
        while !rest.trim_ascii().is_empty() {
            rest = self.piece(rest, take);
        }
        if self.within != Within::Nothing {
            append(&mut self.gathered, b"\n");
        }
    }

    /// Hands over what is unfinished.
    pub(super) fn finish(&mut self, take: &mut dyn FnMut(Unit<'_>)) {
        if self.within != Within::Nothing {
            self.hand_over(take);
        }
    }

    fn hand_over(&mut self, take: &mut dyn FnMut(Unit<'_>)) {
        // An interim response is no answer.
        if !matches!(self.within, Within::Response(100..200)) {
            take(Unit::Whole(&self.gathered));
        }
        self.gathered.clear();
        self.within = Within::Nothing;
    }

    /// Takes one piece of a line; what is left of it.
    fn piece<'l>(&mut self, rest: &'l [u8], take: &mut dyn FnMut(Unit<'_>)) -> &'l [u8] {
        match self.within {
            Within::Nothing | Within::Request | Within::Response(_) => self.begin(rest, take),
            Within::Html => {
                let end =
                    find_ignoring_case(rest, b"</html>").map(|start| start + b"</html>".len());
                append(&mut self.gathered, &rest[..end.unwrap_or(rest.len())]);
                if end.is_some() {
                    self.hand_over(take);
                }
                &rest[end.unwrap_or(rest.len())..]
            }
            Within::Json(mut json) => {
                let end = json.end(rest);
                append(&mut self.gathered, &rest[..end.unwrap_or(rest.len())]);
                self.within = Within::Json(json);
                if end.is_some() {
                    self.hand_over(take);
                }
                &rest[end.unwrap_or(rest.len())..]
            }
        }
    }

    /// Begins a unit at what is left of a line.
    fn begin<'l>(&mut self, rest: &'l [u8], take: &mut dyn FnMut(Unit<'_>)) -> &'l [u8] {
        let text = without_front(rest).trim_ascii_start();
        let begins_page = |tag: &[u8]| {
            text.get(..tag.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(tag))
        };
        if begins_page(b"<!doctype") || begins_page(b"<html") {
            self.within = Within::Html;
            return text;
        }
        match text {
            [b'{', ..] => self.within = Within::Json(Json::default()),
            [b'[', after @ ..] if begins_array(after) && !self.in_array => {
                self.in_array = true;
                return after;
            }
            [b']' | b',', after @ ..] if self.in_array => {
                self.in_array = text[0] == b',';
                return after;
            }
            [b'"', ..] if self.in_array => {
                let end = string_end(text).unwrap_or(text.len());
                take(Unit::Whole(text[..end].trim_ascii()));
                return &text[end..];
            }
            _ => {
                let (error, after) = text.split_at(end_of_error(text).unwrap_or(text.len()));
                let raw = if after.is_empty() { rest } else { error };
                take(Unit::Line {
                    raw,
                    text: error.trim_ascii_end(),
                });
                return after;
            }
        }
        text
    }
}

impl Json {
    /// Where the value ends in `text`, if it does.
    fn end(&mut self, text: &[u8]) -> Option<usize> {
        for (place, &byte) in text.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(place + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Where the string ends with which `text` begins.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    for (place, &byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(place + 1),
            _ => {}
        }
    }
    None
}

/// Whether `[` begins an array of objects or strings, and not a time or a prefix in brackets.
fn begins_array(after: &[u8]) -> bool {
    let text = after.trim_ascii_start();
    matches!(text, [] | [b'{' | b'"' | b']', ..])
}

fn find_ignoring_case(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window.eq_ignore_ascii_case(wanted))
}

/// What stands before the answer itself: the time, and the field's name in a stream of events.
pub(super) fn without_front(line: &[u8]) -> &[u8] {
    static FRONT: LazyLock<Regex> = LazyLock::new(|| {
        let date = r"\d{4}[-/]\d\d[-/]\d\d";
        let clock = r"\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?Z|\s?[+-]\d\d:?\d\d)?(?: ?[AP]M)?";
        let stamps = [
            format!(r"{date}[T ]+{clock}(?: UTC)?"),
            clock.to_owned(),
            r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? .{6,12} \d\d:\d\d:\d\d(?: [A-Z]{3,4})?(?: \d{4})?"
                .to_owned(),
            format!(r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d {clock}"),
            format!(r"\d\d?/[A-Z][a-z]{{2}}/\d{{4}}:{clock}"),
            r"1\d{9}(?:\.\d+|\d{3}|\d{6}|\d{9})?".to_owned(),
        ];
        let expression = format!(
            r"(?-u)^\s*(?:data:\s*|[\[(]?(?:{})[\])]?(?:\s*[:|,-])?(?:\s+|$))",
            stamps.join("|")
        );
        Regex::new(&expression).expect("the expression is one")
    });
    let mut rest = line;
    while let Some(found) = FRONT.find(rest) {
        rest = &rest[found.end()..];
    }
    rest
}

/// Where a response begins in `line`, and its status, as `curl -i` shows it, or `curl -v` with a mark before it. A body
/// without an end of line may stand before it.
fn head(line: &[u8]) -> Option<(usize, u16)> {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| {
        let expression =
            r"(?-u)(^< |^|[^ ])HTTP/[123](?:\.[01])? ([1-5]\d\d)(?: [A-Za-z' -]*)?\s*$";
        Regex::new(expression).expect("the expression is one")
    });
    let found = HEAD.captures(line)?;
    let status = std::str::from_utf8(&found[2]).ok()?.parse().ok()?;
    let before = found.get(1)?;
    let is_of_a_body = !matches!(before.as_bytes(), b"" | b"< ");
    Some((if is_of_a_body { before.end() } else { 0 }, status))
}

/// Whether the line begins a request: `Request # N`.
pub(super) fn is_marker(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let number = line
        .strip_prefix(b"Resquest")
        .or_else(|| line.strip_prefix(b"Request"))
        .map(<[u8]>::trim_ascii_start)
        .and_then(|rest| rest.strip_prefix(b"#"))
        .map(<[u8]>::trim_ascii_start);
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let mut units = Vec::new();
        let mut cutter = Cutter::default();
        let mut take = |unit: Unit<'_>| {
            let (kind, text) = match unit {
                Unit::Whole(text) => ("whole", text),
                Unit::Line { text, .. } => ("line", text),
            };
            units.push(format!(
                "{kind} {}",
                String::from_utf8_lossy(text.trim_ascii())
            ));
        };
        for line in text.split('\n') {
            cutter.push(line.as_bytes(), &mut take);
        }
        cutter.finish(&mut take);
        units
    }

    #[test]
    fn what_is_no_text_is_told_wherever_it_begins() {
        let read = |text: &[u8]| {
            let mut lines = LineReader::new(text);
            let mut read = Vec::new();
            loop {
                match lines.next() {
                    Ok(Some(line)) => read.push(String::from_utf8_lossy(line).into_owned()),
                    Ok(None) => return Ok(read),
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        let marked = "\u{feff}a\r\n\u{feff}b".as_bytes();
        assert_eq!(read(marked), Ok(vec!["a\r".to_owned(), "b".to_owned()]));
        assert_eq!(
            read(b"\n\x1f"),
            Ok(vec![String::new(), "\u{1f}".to_owned()])
        );
        let unmarked: Vec<u8> = "Hostname: a\n".bytes().flat_map(|byte| [byte, 0]).collect();
        assert!(read(&unmarked).unwrap_err().contains("UTF-16LE"));
        for (start, what) in NO_TEXT {
            for before in [&b""[..], b"a line\n"] {
                let text = [before, start, b" and more\n"].concat();
                assert_eq!(read(&text), Err(format!("it {what}")));
            }
        }
    }

    #[test]
    fn an_error_without_an_end_of_line_ends_where_the_next_answer_begins() {
        for (text, units) in [
            (
                "no healthy upstream{\"a\":1}\ndefault backend - 404default backend - 404Hostname: a",
                &[
                    "line no healthy upstream",
                    "whole {\"a\":1}",
                    "line default backend - 404",
                    "line default backend - 404",
                    "line Hostname: a",
                ][..],
            ),
            (
                "upstream connect error or disconnect/reset before headers. reset reason: overflowv1\nNot Found: /\n",
                &[
                    "line upstream connect error or disconnect/reset before headers. reset reason: overflow",
                    "line v1",
                    "line Not Found: /",
                ],
            ),
        ] {
            assert_eq!(cut(text), units, "{text}");
        }
    }

    #[test]
    fn pages_values_and_lines_are_told_apart() {
        for (text, units) in [
            ("a\n\n b \n", &["line a", "line b"][..]),
            (
                "<html>\n<p>x</p></html>y",
                &["whole <html>\n<p>x</p></html>", "line y"],
            ),
            (
                "{\n \"a\": \"}\\\"{\"\n}\n{}",
                &["whole {\n \"a\": \"}\\\"{\"\n}", "whole {}"],
            ),
            (
                "{\"a\":1}{\"a\":2}",
                &["whole {\"a\":1}", "whole {\"a\":2}"],
            ),
            (
                "[\n {\"a\":1},\n {\"a\":[2]}\n]\nx",
                &["whole {\"a\":1}", "whole {\"a\":[2]}", "line x"],
            ),
            ("[\"a\", \"b\"]", &["whole \"a\"", "whole \"b\""]),
            ("[pod/web-0/app] GET /", &["line [pod/web-0/app] GET /"]),
            (
                "Request # 1\na\n<html>\nRequest # 2\n",
                &["whole a\n<html>", "whole "],
            ),
            ("data: {\"a\":1}\n\ndata: x", &["whole {\"a\":1}", "line x"]),
            ("{\"a\":", &["whole {\"a\":"]),
            (
                "HTTP/1.1 200 OK\r\na: b\r\n\r\n<html>\nHTTP/2 503 \n",
                &[
                    "whole HTTP/1.1 200 OK\r\na: b\r\n\r\n<html>",
                    "whole HTTP/2 503",
                ],
            ),
            (
                "HTTP/1.1 200 OK\n\n{}HTTP/1.1 200 OK\n\n\"GET / HTTP/1.1\" 200 OK",
                &[
                    "whole HTTP/1.1 200 OK\n\n{}",
                    "whole HTTP/1.1 200 OK\n\n\"GET / HTTP/1.1\" 200 OK",
                ],
            ),
            (
                "* to a\n< HTTP/1.1 100 Continue\n< \n< HTTP/1.1 200 OK\n{ [3 bytes data]\nx",
                &[
                    "line * to a",
                    "whole < HTTP/1.1 200 OK\n{ [3 bytes data]\nx",
                ],
            ),
        ] {
            assert_eq!(cut(text), units, "{text}");
        }
    }

    #[test]
    fn the_time_in_front_is_no_part_of_an_answer() {
        for front in [
            "2024-11-23T10:00:00Z ",
            "2024-11-23T10:00:00.123456789Z ",
            "2024-11-23 10:00:00,123 ",
            "2024/11/23 10:00:00 ",
            "[2024-11-23T10:00:00+01:00] ",
            "10:00:00 ",
            "[10:00:00.5] ",
            "Sat Nov 23 10:00:00 UTC 2024 ",
            "Nov 23 10:00:00 ",
            "1732356000 ",
            "1732356000.123 ",
            "1732356000123: ",
            "data: ",
            "",
        ] {
            let line = format!("{front}Hostname: web-0");
            let rest = without_front(line.as_bytes());
            assert_eq!(std::str::from_utf8(rest), Ok("Hostname: web-0"), "{front}");
        }
        assert_eq!(without_front(b"  331 web-0"), b"  331 web-0");
    }

    #[test]
    fn words_that_only_look_like_a_marker_are_text() {
        for line in [
            "Request",
            "Request # ",
            "Request 1",
            "Request # 1a",
            "GET Request # 1",
        ] {
            assert!(!is_marker(line.as_bytes()), "{line}");
        }
        assert!(is_marker(b" Request # 12 \r"));
    }
}
