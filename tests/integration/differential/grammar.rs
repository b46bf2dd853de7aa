//! Cases from a seed: responses of a grammar that knows what is right and much of what is wrong, and mutations.

use std::fmt::Write;

use bytes::Bytes;
use http::Method;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::clients::Case;
use super::script::Piece;

/// One of several.
fn pick<'a, T: ?Sized>(rng: &mut ChaCha8Rng, from: &[&'a T]) -> &'a T {
    from[rng.random_range(0..from.len())]
}

/// Whether something of a chance of one in so many is so.
fn one_in(rng: &mut ChaCha8Rng, so_many: u32) -> bool {
    rng.random_range(0..so_many) == 0
}

/// A connection of the grammar, mutated every other time.
pub(super) fn case(rng: &mut ChaCha8Rng) -> Case {
    let method = match rng.random_range(0..20) {
        0 | 1 => Method::HEAD,
        2 => Method::CONNECT,
        _ => Method::GET,
    };
    let before = if one_in(rng, 60) {
        cut(rng, b"HTTP/1.1 200 OK\r\n\r\n")
    } else {
        vec![]
    };
    let mut turns = vec![before];
    for _ in 0..rng.random_range(1..=3) {
        let mut bytes = response(rng).into_bytes();
        if one_in(rng, 2) {
            mutate(rng, &mut bytes);
        }
        let mut pieces = cut(rng, &bytes);
        match rng.random_range(0..8) {
            0 => pieces.push(Piece::Close),
            1 => pieces.push(Piece::Reset),
            _ => {}
        }
        turns.push(pieces);
    }
    let limit = *pick(rng, &[&0, &5, &60, &1000, &(1 << 20)]);
    Case {
        turns,
        method,
        limit,
    }
}

fn response(rng: &mut ChaCha8Rng) -> String {
    let mut text = String::new();
    if one_in(rng, 12) {
        text += pick(rng, &["\r\n", "\n", "\r\n\r\n\n", "\r"]);
    }
    while one_in(rng, 6) {
        let line = pick(
            rng,
            &[
                "100 Continue",
                "103 Early Hints",
                "199 Odd",
                "101 Switching",
            ],
        );
        let header = pick(
            rng,
            &[
                "",
                "Link: <x>\r\n",
                "Content-Length: 5\r\n",
                "Connection: close\r\n",
            ],
        );
        let _ = write!(text, "HTTP/1.1 {line}\r\n{header}\r\n");
    }
    let end = if one_in(rng, 10) { "\n" } else { "\r\n" };
    let version = match rng.random_range(0..20) {
        0..=1 => "HTTP/1.0",
        2 => pick(
            rng,
            &["HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "", "ICY"],
        ),
        _ => "HTTP/1.1",
    };
    let status = match rng.random_range(0..12) {
        0 => pick(
            rng,
            &[
                "204 No Content",
                "304 Not Modified",
                "205 Reset",
                "206 Part",
            ],
        ),
        1 => pick(
            rng,
            &[
                "000",
                "99 x",
                "2000 OK",
                "20 OK",
                "200",
                "200 ",
                "999 \u{e9}",
                "200 a\tb",
                "-200 OK",
            ],
        ),
        2 => pick(
            rng,
            &[
                "404 Not Found",
                "503 Unavailable",
                "429 Too Many",
                "301 Moved",
            ],
        ),
        _ => "200 OK",
    };
    let _ = write!(text, "{version} {status}{end}");
    for _ in 0..rng.random_range(0..5) {
        let _ = write!(text, "{}{end}", field(rng));
    }
    if one_in(rng, 400) {
        text += &format!("X-More: and more{end}").repeat(rng.random_range(80..120));
    }
    if one_in(rng, 2000) {
        let _ = write!(
            text,
            "X-Long: {}{end}",
            "x".repeat(rng.random_range(10_000..140_000))
        );
    }
    body(rng, &mut text, end);
    if one_in(rng, 12) {
        text += pick(
            rng,
            &[
                "x",
                "\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 100 Continue\r\n\r\n",
            ],
        );
    }
    text
}

/// A header line that has nothing to do with the body that follows.
fn field(rng: &mut ChaCha8Rng) -> &'static str {
    match rng.random_range(0..10) {
        0 => pick(
            rng,
            &[
                "Connection: close",
                "Connection: keep-alive",
                "connection: Close, x",
                "Connection: x,close",
                "Connection: keep-alive\r\nConnection: close",
                "Connection: close\r\nConnection: keep-alive",
                "Connection: upgrade",
                "Connection: close, \u{e9}",
                "Connection:",
                "Connection: keep-alive , x",
            ],
        ),
        1 => pick(
            rng,
            &[
                "no colon",
                "X : a",
                " X: a",
                "X: a\r\n b",
                "X: a\0b",
                "X: a\rb",
                ": a",
                "X@: a",
                "X: \u{7f}",
                "\u{e9}: a",
            ],
        ),
        2 => pick(
            rng,
            &[
                "Content-Length: 5",
                "Content-Length: 0",
                "Transfer-Encoding: chunked",
                "Content-Length: -5",
                "Content-Length: 5, 5",
                "Content-Length: 99999999999999999999999",
                "Content-Length: 18446744073709551613",
                "Content-Length:",
                "Transfer-Encoding: gzip",
                "Transfer-Encoding: chunked, gzip",
                "Transfer-Encoding: identity",
                "Transfer-Encoding: \u{e9}, chunked",
                "Transfer-Encoding:",
            ],
        ),
        _ => pick(
            rng,
            &[
                "Server: nginx",
                "Date: Sun, 06 Nov 1994 08:49:37 GMT",
                "X:",
                "X:   a  \t",
                "Set-Cookie: a=b; Path=/",
                "X-Latin: \u{e9}",
                "Trailer: X",
                "Upgrade: h2c",
                "TE: trailers",
            ],
        ),
    }
}

/// What says where the body ends, the blank line, and a body, mostly of that length.
fn body(rng: &mut ChaCha8Rng, text: &mut String, end: &str) {
    let data = "<p>Pod Name: challenge-app-6f79ff6b8d-fmzvc</p>\n".repeat(rng.random_range(0..3));
    match rng.random_range(0..10) {
        0..=4 => {
            let space = pick(rng, &["", " ", "\t ", "  "]);
            let _ = write!(
                text,
                "Content-Length:{space}{}{space}{end}{end}{data}",
                data.len()
            );
        }
        5 => {
            let said = (data.len() + rng.random_range(0..3)).saturating_sub(1);
            let _ = write!(text, "Content-Length: {said}{end}{end}{data}");
        }
        6..=8 => {
            let coding = pick(rng, &["chunked", "Chunked", "gzip, chunked", " chunked "]);
            let _ = write!(text, "Transfer-Encoding: {coding}{end}{end}");
            chunks(rng, text, &data);
        }
        _ => {
            let _ = write!(text, "{end}{data}");
        }
    }
    if one_in(rng, 1000) {
        *text += &"x".repeat(rng.random_range(10_000..200_000));
    }
}

fn chunks(rng: &mut ChaCha8Rng, text: &mut String, data: &str) {
    let mut rest = data;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(rng.random_range(1..=rest.len()));
        rest = behind;
        let said = if one_in(rng, 30) {
            chunk.len() + 1
        } else {
            chunk.len()
        };
        let size = match rng.random_range(0..8) {
            0 => format!("{said:X}"),
            1 => format!("000{said:x}"),
            _ => format!("{said:x}"),
        };
        let behind = match rng.random_range(0..12) {
            0 => pick(
                rng,
                &[";a=b", " ;a", "\t", " ", ";\"\u{e9}\"", ";a=\"b;c\""],
            ),
            1 if one_in(rng, 4) => pick(
                rng,
                &["g", " 1", ";\n", "\n", "x", "fffffffffffffffff", "\r"],
            ),
            _ => "",
        };
        let end = if one_in(rng, 50) {
            pick(rng, &["\n", "", "\r", "\r\r\n"])
        } else {
            "\r\n"
        };
        let _ = write!(text, "{size}{behind}\r\n{chunk}{end}");
    }
    let last = if one_in(rng, 10) {
        pick(rng, &["00", "0;x", "0 ", "", "1"])
    } else {
        "0"
    };
    let trailers = match rng.random_range(0..6) {
        0 => pick(
            rng,
            &[
                "X: a\r\n",
                "X: a\r\nY: b\r\n",
                "X:\r\n",
                "\u{e9}\r\n",
                "no colon\r\n",
                "X: a\n\r\n",
                "X: a\nY: b\r\n",
                "X: a\n\nY\r\n",
                "X: a\r\n b\r\n",
            ],
        ),
        _ => "",
    };
    let end = if one_in(rng, 30) {
        pick(rng, &["\n", "", "\r", "\rx"])
    } else {
        "\r\n"
    };
    let _ = write!(text, "{last}\r\n{trailers}{end}");
    if one_in(rng, 1500) {
        *text += &"X-More: and more\r\n".repeat(rng.random_range(50..1500));
    }
}

/// The bytes in pieces, with waits between some of them.
pub(super) fn cut(rng: &mut ChaCha8Rng, bytes: &[u8]) -> Vec<Piece> {
    let most = *pick(rng, &[&usize::MAX, &usize::MAX, &100, &20, &1]);
    let most = if bytes.len() > 5000 {
        most.max(1000)
    } else {
        most
    };
    let mut pieces = vec![];
    let mut rest = Bytes::copy_from_slice(bytes);
    while !rest.is_empty() {
        let length = rng.random_range(1..=most.min(rest.len()));
        let length = if most == usize::MAX && !one_in(rng, 3) {
            rest.len()
        } else {
            length
        };
        if one_in(rng, 3) {
            pieces.push(Piece::Wait);
        }
        pieces.push(Piece::Bytes(rest.split_to(length)));
    }
    pieces
}

/// Changes one to four places.
pub(super) fn mutate(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        let end = rng.random_range(at..=bytes.len().min(at + 20));
        let part = bytes[at..end].to_vec();
        match rng.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] = rng.random(),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, part)),
            4 => bytes.truncate(at.max(bytes.len() / 2)),
            5 => {
                let odd = [
                    0, b'\t', b'\n', b'\r', b' ', b',', b':', b';', b'0', 0x7f, 0x80, 0xff,
                ];
                bytes.insert(at, odd[rng.random_range(0..odd.len())]);
            }
            _ => {
                let token = pick(
                    rng,
                    &[
                        "\r\n",
                        "\r\n\r\n",
                        "Content-Length: 5\r\n",
                        "Transfer-Encoding: chunked\r\n",
                        "0\r\n\r\n",
                        "HTTP/1.1 ",
                        "chunked",
                    ],
                );
                drop(bytes.splice(at..at, token.bytes()));
            }
        }
    }
}
