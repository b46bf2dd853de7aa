//! Answers out of a saved text: one name, or none, for every response that it records.
//!
//! Two formats are read, and told apart by the first line that says anything.
//!
//! - With markers, `Request # 1` (or `Resquest # 1`, as a well-known script spells it): what stands
//!   between two markers is one response, identified as a body would be; a request without a pod is a
//!   response without an identity.
//! - Without markers, as `grep` or a loop of `curl` leaves it: every line that identifies a pod is a
//!   response and all other lines are passed over. How many responses had no identity can't be known.

use std::io::{self, BufRead};

use http::HeaderMap;

use super::rule::Rules;

/// How much of one response is kept for identification, in bytes; the same bound holds for a line.
pub const MAX_RESPONSE_LENGTH: usize = 1 << 20;

/// The responses in a log, in its order: `Some(pod)`, or `None` for one without an identity.
///
/// Memory is bounded by [`MAX_RESPONSE_LENGTH`], whatever the log.
#[derive(Debug)]
pub struct Responses<'r, R> {
    reader: R,
    rules: &'r Rules,
    headers: HeaderMap,
    line: Vec<u8>,
    /// The lines since the last marker; `None` before any.
    request: Option<Vec<u8>>,
}

impl<'r, R: BufRead> Responses<'r, R> {
    /// Reads a log, identifying pods by `rules` (those on headers never match).
    pub fn new(reader: R, rules: &'r Rules) -> Self {
        Self {
            reader,
            rules,
            headers: HeaderMap::new(),
            line: Vec::new(),
            request: None,
        }
    }

    fn identify(&self, text: &[u8]) -> Option<String> {
        let name = self.rules.identify(&self.headers, text);
        name.map(std::borrow::Cow::into_owned)
    }

    /// Reads the next line without its end into `line`, as far as the bound; `false` at the end.
    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut any = false;
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(any);
            }
            any = true;
            let end = memchr::memchr(b'\n', buffer);
            let piece = &buffer[..end.unwrap_or(buffer.len())];
            append(&mut self.line, piece);
            let read = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(read);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

impl<R: BufRead> Iterator for Responses<'_, R> {
    type Item = io::Result<Option<String>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read_line() {
                Err(error) => return Some(Err(error)),
                Ok(false) => {
                    let request = self.request.take()?;
                    return Some(Ok(self.identify(&request)));
                }
                Ok(true) if is_marker(&self.line) => {
                    if let Some(request) = self.request.replace(Vec::new()) {
                        return Some(Ok(self.identify(&request)));
                    }
                }
                Ok(true) => {
                    if let Some(request) = &mut self.request {
                        append(request, &self.line);
                        append(request, b"\n");
                    } else if let Some(pod) = self.identify(&self.line) {
                        return Some(Ok(Some(pod)));
                    }
                }
            }
        }
    }
}

/// Appends as much of `piece` as the bound leaves room for.
fn append(text: &mut Vec<u8>, piece: &[u8]) {
    let room = MAX_RESPONSE_LENGTH - text.len();
    text.extend_from_slice(&piece[..piece.len().min(room)]);
}

/// Whether the line begins a request: `Request # N`.
fn is_marker(line: &[u8]) -> bool {
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

    fn read(log: impl AsRef<[u8]>) -> Vec<Option<String>> {
        // A small buffer, so that lines straddle it.
        let reader = io::BufReader::with_capacity(7, log.as_ref());
        let rules = Rules::builtin();
        let responses = Responses::new(reader, &rules);
        responses.map(Result::unwrap).collect()
    }

    fn pods(names: &[Option<&str>]) -> Vec<Option<String>> {
        names.iter().map(|name| name.map(str::to_owned)).collect()
    }

    #[test]
    fn the_published_run_has_69_and_30_of_99() {
        let log = include_bytes!("../../tests/data/paso05-output.txt");
        let responses = read(log);
        let count = |pod: &str| {
            let of_pod = |name: &&Option<String>| name.as_deref() == Some(pod);
            responses.iter().filter(of_pod).count()
        };
        assert_eq!(responses.len(), 99);
        assert_eq!(count("challenge-app-6f79ff6b8d-fmzvc"), 69);
        assert_eq!(count("challenge-app-v2-6b8464cddd-nnjmj"), 30);
    }

    #[test]
    fn a_request_without_a_pod_is_without_identity() {
        let log = "Resquest # 1\nPod Name: web-0</p>\nResquest # 2\nResquest # 3\n503\nResquest # 4\r\n  Pod Name: web-1</p>\r\nRequest #5";
        assert_eq!(
            read(log),
            pods(&[Some("web-0"), None, None, Some("web-1"), None])
        );
    }

    #[test]
    fn a_response_may_have_many_lines() {
        let log = "Request # 1\n{\n \"host\": \"x\",\n \"pod\": \"web-0\"\n}\nRequest # 2\nHostname: web-1\nIP: ::1\n";
        assert_eq!(read(log), pods(&[Some("web-0"), Some("web-1")]));
    }

    #[test]
    fn without_markers_each_line_that_names_a_pod_is_a_response() {
        let log = "run 1\nPod Name: web-0</p>\n\nPod Name: web-0</p>\nHostname: web-1\nweb-2\nok\n";
        let names = [Some("web-0"), Some("web-0"), Some("web-1"), Some("web-2")];
        assert_eq!(read(log), pods(&names));
    }

    #[test]
    fn an_empty_log_and_one_that_names_nobody_have_no_responses() {
        assert_eq!(read(""), []);
        assert_eq!(read("hello\nworld"), []);
        assert_eq!(read("Resquest # 1"), pods(&[None]));
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

    #[test]
    fn hostile_logs_are_read_in_bounded_memory() {
        let mut log = vec![0xff; 3 * MAX_RESPONSE_LENGTH];
        log.extend_from_slice(b"\nRequest # 1\n");
        log.extend(std::iter::repeat_n(b'\n', 2 * MAX_RESPONSE_LENGTH));
        log.extend_from_slice(b"Request # 2\nPod Name: \xff\xfe</p>\nPod Name: web-0</p>\n");
        let reader = io::BufReader::new(&log[..]);
        let rules = Rules::builtin();
        let mut responses = Responses::new(reader, &rules);
        let names: Vec<_> = responses.by_ref().map(Result::unwrap).collect();
        assert_eq!(names, pods(&[None, Some("web-0")]));
        assert!(responses.line.capacity() <= 2 * MAX_RESPONSE_LENGTH);
    }
}
