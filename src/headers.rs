//! The headers of a response, looked up where they lie: hardly any of them is ever asked for.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The headers of a response.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a>(Kind<'a>);

#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    /// The lines behind the first one of a head in HTTP/1.1.
    Lines(&'a [u8]),
    Map(&'a HeaderMap),
}

impl<'a> From<&'a HeaderMap> for Headers<'a> {
    fn from(map: &'a HeaderMap) -> Self {
        Self(Kind::Map(map))
    }
}

impl<'a> Headers<'a> {
    /// None at all.
    pub const NONE: Self = Self(Kind::Lines(&[]));

    /// Those of a head in HTTP/1.1 that was parsed without an error.
    pub fn of_head(head: &'a [u8]) -> Self {
        let begun = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        let (_, lines) = line(&head[begun.unwrap_or(head.len())..]);
        Self(Kind::Lines(lines))
    }

    /// The values of a header, in the order in which they came.
    pub fn get_all(self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> + 'a {
        let (lines, map) = match self.0 {
            Kind::Lines(lines) => (lines, None),
            Kind::Map(map) => (&[][..], Some(map)),
        };
        let of_lines = fields(lines).filter_map(move |field| value(field, name));
        let of_map = map.into_iter().flat_map(move |map| map.get_all(name));
        of_lines.chain(of_map.map(HeaderValue::as_bytes))
    }

    /// The first value of a header.
    pub fn get(self, name: &HeaderName) -> Option<&'a [u8]> {
        match self.0 {
            Kind::Lines(lines) => fields(lines).find_map(|field| value(field, name)),
            Kind::Map(map) => map.get(name).map(HeaderValue::as_bytes),
        }
    }

    /// Those values of a header that are in plain ASCII.
    pub fn texts(self, name: &'a HeaderName) -> impl Iterator<Item = &'a str> + 'a {
        self.get_all(name).filter_map(text)
    }

    /// The first value of a header, if it is in plain ASCII.
    pub fn text(self, name: &HeaderName) -> Option<&'a str> {
        self.get(name).and_then(text)
    }

    /// Whether there is such a header.
    pub fn contains(self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// All of them, to be kept.
    pub fn to_map(self) -> HeaderMap {
        match self.0 {
            Kind::Map(map) => map.clone(),
            Kind::Lines(lines) => {
                let mut map = HeaderMap::new();
                for field in fields(lines) {
                    let colon = memchr::memchr(b':', field).unwrap_or(field.len());
                    let (name, value) = (&field[..colon], field.get(colon + 1..));
                    if let Ok(name) = HeaderName::from_bytes(name)
                        && let Ok(value) =
                            HeaderValue::from_bytes(value.unwrap_or_default().trim_ascii())
                    {
                        map.append(name, value);
                    }
                }
                map
            }
        }
    }
}

/// The first line, and what comes behind it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

/// The lines of a head up to the blank one.
fn fields(mut lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (field, rest) = line(lines);
        lines = rest;
        (!field.trim_ascii().is_empty()).then_some(field)
    })
}

/// What a line says of a header, if it is that header's. The name ends in the first colon, and has none itself.
fn value<'a>(field: &'a [u8], name: &HeaderName) -> Option<&'a [u8]> {
    let name = name.as_str().as_bytes();
    let is_it =
        field.get(name.len()) == Some(&b':') && field[..name.len()].eq_ignore_ascii_case(name);
    is_it.then(|| field[name.len() + 1..].trim_ascii())
}

/// A value of visible ASCII, spaces and tabs.
fn text(value: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    let value = value.iter().all(is_plain).then_some(value)?;
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use http::header::{AGE, SET_COOKIE};

    use super::*;

    #[test]
    fn headers_are_found_in_a_head_as_in_a_map() {
        let head = b"\r\n\nHTTP/1.1 200 OK: fine\r\nSet-Cookie: a=1\r\nAGE:\t 0 \nempty:\r\n\
            set-cookie:  b: 2\r\nX-Latin: \xe9\r\n\r\n";
        let headers = Headers::of_head(head);
        let map = headers.to_map();
        assert_eq!(map.len(), 5);
        let latin = HeaderName::from_static("x-latin");
        let empty = HeaderName::from_static("empty");
        let reason = HeaderName::from_static("http");
        for headers in [headers, Headers::from(&map)] {
            assert_eq!(
                headers.get_all(&SET_COOKIE).collect::<Vec<_>>(),
                [&b"a=1"[..], b"b: 2"]
            );
            assert_eq!(headers.get(&AGE), Some(&b"0"[..]));
            assert_eq!(headers.get(&empty), Some(&b""[..]));
            assert_eq!(
                (headers.get(&latin), headers.text(&latin)),
                (Some(&b"\xe9"[..]), None)
            );
            assert!(!headers.contains(&reason));
        }
    }
}
