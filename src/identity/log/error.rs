//! Errors that stand in a text in place of an answer: those of proxies, of curl and of wget.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// Where the words of an error stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// They are a body, with which a line begins, and behind which the next answer may stand.
    AsBody,
    /// The same, and a line that says them anywhere is an error as well.
    AsBodyOrWithin,
    /// They begin a line that ends where they do not.
    First,
    /// Anywhere in a line.
    Within,
}

/// The errors, as regular expressions.
const ERRORS: [(Stands, &str); 37] = [
    (Stands::AsBodyOrWithin, "default backend - 404"),
    (Stands::AsBodyOrWithin, "404 page not found"),
    (Stands::AsBodyOrWithin, "no healthy upstream"),
    (Stands::AsBodyOrWithin, "upstream request timeout"),
    (Stands::AsBody, "stream timeout"),
    (Stands::AsBody, "no available server"),
    (
        Stands::AsBody,
        r"upstream connect error or disconnect/reset before headers\. (?:retried and the latest )?reset reason: (?:(?:local |remote )?connection (?:failure|termination|timeout)|(?:local |remote )?(?:refused stream )?reset|overflow|(?:upstream )?protocol error)(?:, transport failure reason: (?:delayed connect error: )?(?:\d+|Connection refused|No route to host))?",
    ),
    (Stands::AsBody, "RBAC: access denied"),
    (Stands::AsBody, "Jwt is missing"),
    (Stands::AsBody, "Jwt is expired"),
    (Stands::AsBody, "Jwt verification fails"),
    (Stands::AsBody, "local_rate_limited"),
    (Stands::AsBody, "fault filter abort"),
    (Stands::AsBody, r"error code: \d+"),
    (Stands::AsBodyOrWithin, "Bad Gateway"),
    (Stands::AsBodyOrWithin, "Gateway Time-?out"),
    (Stands::AsBodyOrWithin, "Internal Server Error"),
    (
        Stands::AsBodyOrWithin,
        "Service (?:Temporarily )?Unavailable",
    ),
    (Stands::AsBodyOrWithin, "Too Many Requests"),
    (Stands::AsBody, "Not Found"),
    (Stands::AsBody, "Unauthorized"),
    (Stands::AsBody, "Forbidden"),
    (Stands::First, r"curl: \(\d+\)"),
    (Stands::First, "wget: "),
    (Stands::First, r"HTTP/\d(?:\.\d)? [45]\d\d"),
    (Stands::First, r"(?:error |status:? ?|code:? ?)?[45]\d\d\b"),
    (Stands::Within, r"<(?:title|h1)>\s*[45]\d\d\b"),
    (Stands::Within, "upstream connect error"),
    (Stands::Within, "upstream timed out"),
    (Stands::Within, "gateway time out"),
    (Stands::Within, "no server is available"),
    (Stands::Within, "connection refused"),
    (Stands::Within, "connection reset"),
    (Stands::Within, "connection timed out"),
    (Stands::Within, "empty reply from server"),
    (Stands::Within, "no route matched"),
    (Stands::Within, "no route to host"),
];

/// The errors that stand in one of these ways, as alternatives.
fn standing(ways: &[Stands]) -> String {
    let errors = ERRORS.iter().filter(|(stands, _)| ways.contains(stands));
    errors
        .map(|(_, words)| *words)
        .collect::<Vec<_>>()
        .join("|")
}

/// Where the error of a proxy ends with which `text` begins and directly behind which the next answer stands.
pub(super) fn end_of_error(text: &[u8]) -> Option<usize> {
    static BODY: LazyLock<Regex> = LazyLock::new(|| {
        let bodies = standing(&[Stands::AsBody, Stands::AsBodyOrWithin]);
        let next_answer = r#"(?:[^\s[:punct:]]|[{\[<"])"#;
        expression(&format!("^({bodies}){next_answer}"))
    });
    let end = BODY.captures(text)?.get(1)?.end();
    // A number goes on.
    let is_cut = text[end - 1..=end].iter().all(u8::is_ascii_digit);
    (!is_cut).then_some(end)
}

/// Whether a line that names nobody is an answer all the same: an error of a proxy or of curl.
pub(super) fn is_error(text: &[u8]) -> bool {
    static ERROR: LazyLock<Regex> = LazyLock::new(|| {
        let first = standing(&[Stands::AsBody, Stands::First]);
        let within = standing(&[Stands::AsBodyOrWithin, Stands::Within]);
        expression(&format!("(?i)^(?:{first})|{within}"))
    });
    ERROR.is_match(text)
}

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("the expression is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body for each error that is one.
    const BODIES: [&str; 12] = [
        "default backend - 404",
        "404 page not found",
        "no healthy upstream",
        "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote connection failure, transport failure reason: delayed connect error: 111",
        "RBAC: access denied",
        "Jwt verification fails",
        "local_rate_limited",
        "error code: 1016",
        "Service Temporarily Unavailable",
        "Gateway Timeout",
        "Not Found",
        "Forbidden",
    ];

    #[test]
    fn a_body_ends_where_the_next_answer_begins_and_is_an_error_by_itself() {
        for body in BODIES {
            assert!(is_error(body.as_bytes()), "{body}");
            assert_eq!(end_of_error(body.as_bytes()), None, "{body}");
            for next in ["web-0", "{\"a\":1}", "<html>", "\"web\"", body] {
                let glued = format!("{body}{next}");
                assert_eq!(end_of_error(glued.as_bytes()), Some(body.len()), "{glued}");
            }
            for more in [".", ": /x", " (again)", "\n"] {
                let longer = format!("{body}{more}");
                assert_eq!(end_of_error(longer.as_bytes()), None, "{longer}");
            }
        }
    }

    #[test]
    fn what_only_begins_a_line_is_no_error_elsewhere() {
        for line in [
            "curl: (7) Failed to connect",
            "HTTP/1.1 502 Bad",
            "status: 503",
            "<title>503 Over</title>",
            "dial tcp 10.0.0.1:80: connect: Connection refused",
            "Warning: SERVICE UNAVAILABLE, again",
        ] {
            assert!(is_error(line.as_bytes()), "{line}");
        }
        for line in [
            "page Not Found: /",
            "took 503 ms",
            "web-0 is fine",
            "see curl: (7)",
        ] {
            assert!(!is_error(line.as_bytes()), "{line}");
        }
    }
}
