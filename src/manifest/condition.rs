//! What a rule asks of a request beside host and path.

use std::fmt;

use super::pattern::{NOBODY, is_just};

/// One thing that a request must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// For a person: `header x-canary: always`.
    text: String,
    pub(super) asks: Asks,
}

/// What a condition asks for, as far as a request can be made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asks {
    /// A header of this name and value.
    Header(String, String),
    /// A query parameter of this name and value.
    Query(String, String),
    /// A cookie of this name and value.
    Cookie(String, String),
    Method(String),
    /// A header of this name that matches a pattern.
    HeaderLike(String, String),
    /// The same of a query parameter.
    QueryLike(String, String),
    /// Something that no request has by chance, such as a header that begins with a text.
    Special,
    /// Something that can't be told.
    Unknown,
}

impl Condition {
    /// A header of exactly this value, or of any that is not told.
    pub(super) fn header(name: &str, value: Option<&str>) -> Self {
        Self::named("header", name, value, Asks::Header)
    }

    /// The same of a query parameter.
    pub(super) fn query(name: &str, value: Option<&str>) -> Self {
        Self::named("query parameter", name, value, Asks::Query)
    }

    /// The same of a cookie.
    pub(super) fn cookie(name: &str, value: Option<&str>) -> Self {
        Self::named("cookie", name, value, Asks::Cookie)
    }

    /// A header that matches `pattern`, in the words of `told`.
    pub(super) fn header_like(name: &str, pattern: &str, text: String) -> Self {
        let asks = Asks::HeaderLike(name.to_owned(), pattern.to_owned());
        Self { text, asks }
    }

    /// A query parameter that matches `pattern`, in the words of `told`.
    pub(super) fn query_like(name: &str, pattern: &str, text: String) -> Self {
        let asks = Asks::QueryLike(name.to_owned(), pattern.to_owned());
        Self { text, asks }
    }

    /// Whether it asks for the same, however it is told.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (&self.asks, &other.asks) {
            (Asks::Header(one, held), Asks::Header(other, wanted))
            | (Asks::HeaderLike(one, held), Asks::HeaderLike(other, wanted)) => {
                one.eq_ignore_ascii_case(other) && held == wanted
            }
            (Asks::Header(name, held), Asks::HeaderLike(other, pattern))
            | (Asks::HeaderLike(other, pattern), Asks::Header(name, held)) => {
                name.eq_ignore_ascii_case(other) && is_just(pattern, held, &[NOBODY])
            }
            (Asks::Query(name, held), Asks::QueryLike(other, pattern))
            | (Asks::QueryLike(other, pattern), Asks::Query(name, held)) => {
                name == other && is_just(pattern, held, &[NOBODY])
            }
            (Asks::Cookie(name, value), Asks::HeaderLike(header, pattern))
            | (Asks::HeaderLike(header, pattern), Asks::Cookie(name, value)) => {
                let others = [
                    NOBODY,
                    &format!("{name}={NOBODY}"),
                    &format!("{NOBODY}={value}"),
                ];
                let is_cookie = header.eq_ignore_ascii_case("cookie");
                is_cookie && is_just(pattern, &format!("{name}={value}"), &others)
            }
            (Asks::Special | Asks::Unknown, _) => self == other,
            (one, other) => one == other,
        }
    }

    pub(super) fn method(name: &str) -> Self {
        Self {
            text: format!("method {name}"),
            asks: Asks::Method(name.to_owned()),
        }
    }

    /// What no request has by chance, in the words of `told`.
    pub(super) fn special(text: String) -> Self {
        Self {
            text,
            asks: Asks::Special,
        }
    }

    fn named(
        noun: &str,
        name: &str,
        value: Option<&str>,
        asks: fn(String, String) -> Asks,
    ) -> Self {
        match value {
            Some(value) => Self {
                text: format!("{noun} {name}: {value}"),
                asks: asks(name.to_owned(), value.to_owned()),
            },
            None => Self::special(format!("{noun} {name}")),
        }
    }
}

/// What can't be told to a request.
impl From<String> for Condition {
    fn from(text: String) -> Self {
        Self {
            text,
            asks: Asks::Unknown,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
