//! What goes first on a TCP connection, and what cannot be asked for over it.

use bytes::Bytes;

use super::Settings;

/// Why settings do not fit a `tcp://` or `tls://` URL, or only such.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TcpError {
    /// An option of HTTP.
    #[error("{0} is about HTTP, and a tcp:// or tls:// URL is not: drop it")]
    Http(&'static str),
    /// Bytes to send first, in a request of HTTP.
    #[error(
        "--send is about TCP, and the URL is not: write it as tcp://HOST:PORT, or give a body with --data"
    )]
    NotTcp,
    /// A backslash with something behind it that means nothing.
    #[error("--send '{0}' has an unknown escape: write \\r, \\n, \\t, \\0, \\\\ or \\xHH")]
    Escape(String),
}

/// What goes first: `text` with its escapes read.
///
/// # Errors
/// An escape is none.
pub(super) fn unescaped(text: &str) -> Result<Bytes, TcpError> {
    let refused = || TcpError::Escape(text.escape_debug().to_string());
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let (byte, length) = match escape.as_bytes() {
            [b'r', ..] => (b'\r', 1),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'0', ..] => (0, 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', ..] => {
                let digits = escape.get(1..3).ok_or_else(refused)?;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex);
                (byte.ok_or_else(refused)?, 3)
            }
            _ => return Err(refused()),
        };
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes.into())
}

/// Looks for what has no meaning over TCP, where one connection is one trial.
///
/// # Errors
/// Names the first such option.
pub(super) fn check(settings: &Settings) -> Result<(), TcpError> {
    let (request, sharing) = (&settings.request, &settings.sharing);
    let options = [
        ("--header", !request.header.is_empty()),
        ("--cookie", !request.cookie.is_empty()),
        ("--user", request.user.is_some()),
        ("--user-agent", request.user_agent.is_some()),
        ("--path", request.path.is_some()),
        ("--method", request.method.is_some()),
        ("--data", request.data.is_some()),
        ("--data-file", request.data_file.is_some()),
        ("--grpc", request.grpc.is_some()),
        ("--http2", settings.connection.http2),
        ("--streams", sharing.streams.is_some_and(|n| n.get() > 1)),
        ("--keep-alive", sharing.keep_alive),
        ("--requests-per-connection", sharing.carries_several()),
        ("--expect-sticky", settings.gates.expect_sticky.is_some()),
    ];
    let given = options.into_iter().find(|&(_, is_given)| is_given);
    given.map_or(Ok(()), |(flag, _)| Err(TcpError::Http(flag)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn escapes_stand_for_bytes_that_a_shell_does_not_take() {
        assert_eq!(
            unescaped(r"PING\r\n\t\0\\\xfF.").unwrap(),
            &b"PING\r\n\t\0\\\xff."[..]
        );
        assert_eq!(unescaped("h\u{e9}").unwrap(), "h\u{e9}".as_bytes());
        for text in [r"\", r"\q", r"\x", r"\x1", r"\x+1", "\\x\u{e9}1"] {
            assert!(unescaped(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_about_http_alone_is_refused_over_tcp_and_the_other_way_round() {
        let refused = |more: Value| {
            let mut table = json!({"expect": "a=1,b=1", "url": "tcp://127.0.0.1:1"});
            let more = more.as_object().unwrap().clone();
            table.as_object_mut().unwrap().extend(more);
            let settings = Settings::read(|| &table).unwrap();
            settings.plan().map_err(|error| error.to_string()).err()
        };
        assert_eq!(refused(json!({"send": "PING\\r\\n"})), None);
        for (more, flag) in [
            (json!({"header": "a: b"}), "--header"),
            (json!({"keep_alive": true}), "--keep-alive"),
            (json!({"expect_sticky": true}), "--expect-sticky"),
            (json!({"data": "x"}), "--data"),
            (json!({"url": "http://127.0.0.1/", "send": "x"}), "--send"),
        ] {
            let message = refused(more).unwrap();
            assert!(message.starts_with(flag), "{message}");
        }
    }
}
