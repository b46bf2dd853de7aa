//! The numbers of statuses: those of HTTP from 100 to 999 are their own, those of gRPC from 0 to 16 are, too, and
//! what came over TCP has one number.

use std::borrow::Cow;

/// Something came back over TCP, which has no statuses.
pub const ANSWERED: u16 = 99;
/// The name that reports give it.
const ANSWERED_NAME: &str = "answered";

/// gRPC's statuses, by number (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// What a number stands for that gRPC does not know.
pub const UNKNOWN: u16 = 2;
/// The server has no such service or method.
pub const UNIMPLEMENTED: u16 = 12;
/// Nobody answers for the service at the moment.
pub const UNAVAILABLE: u16 = 14;

/// As reports name it.
pub fn name(status: u16) -> Cow<'static, str> {
    match GRPC.get(usize::from(status)) {
        Some(name) => Cow::Borrowed(name),
        None if status == ANSWERED => Cow::Borrowed(ANSWERED_NAME),
        None => Cow::Owned(status.to_string()),
    }
}

/// The status of this name.
pub fn parse(name: &str) -> Option<u16> {
    if name == ANSWERED_NAME {
        return Some(ANSWERED);
    }
    if let Some(code) = GRPC.iter().position(|known| *known == name) {
        return u16::try_from(code).ok();
    }
    name.parse().ok().filter(|s| (100..1000).contains(s))
}

/// The status of gRPC that this text is the number of; what is none is [`UNKNOWN`].
pub fn of_grpc(code: &[u8]) -> u16 {
    let number = std::str::from_utf8(code)
        .ok()
        .and_then(|code| code.parse().ok());
    number
        .filter(|&number| usize::from(number) < GRPC.len())
        .unwrap_or(UNKNOWN)
}

/// Whether it says that the request was not served: 400 and more, and all of gRPC but OK.
pub const fn is_refusal(status: u16) -> bool {
    status >= 400 || matches!(status, 1..=16)
}

/// Whether it says that there were too many requests: 429, and gRPC's resource exhausted.
pub const fn is_too_many(status: u16) -> bool {
    matches!(status, 429 | 8)
}

/// Whether a rate limiter may say it, as may a service that is down: 503, and gRPC's unavailable.
pub const fn is_unavailable(status: u16) -> bool {
    matches!(status, 503 | UNAVAILABLE)
}

/// Whether it says that the server failed: 500 and more, and those of gRPC that stand for such
/// (unknown, deadline exceeded, unimplemented, internal, unavailable, data loss).
pub const fn is_error(status: u16) -> bool {
    status >= 500 || matches!(status, 2 | 4 | 12..=15)
}

/// What [`is_error`] says of a response, as the end of "responses with …".
pub const fn of_errors(is_grpc: bool) -> &'static str {
    if is_grpc {
        "a status that blames the server (UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE or DATA_LOSS)"
    } else {
        "a status of 500 or more"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_back_by_its_name() {
        for status in (0..1000).filter(|&status| !(17..99).contains(&status)) {
            assert_eq!(parse(&name(status)), Some(status));
        }
        for text in ["14", "99", "1000", "ok"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_code_that_grpc_does_not_know_is_unknown() {
        assert_eq!(of_grpc(b"14"), UNAVAILABLE);
        for code in [&b"17"[..], b"", b"-1", b"x", b"99"] {
            assert_eq!(of_grpc(code), UNKNOWN, "{code:?}");
        }
    }
}
