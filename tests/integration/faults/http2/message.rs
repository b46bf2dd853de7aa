//! What concerns a response: its head, its status, its body.

use super::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, NO_CONTENT, OK, PING, PUSH_PROMISE,
    asked, endless, field, frame, frames, headers, http2, last_data, page_on,
};
use crate::faults::answers::{POD, body, flood, pause, send};
use crate::faults::behaviours::Behaviour;
use crate::faults::behaviours::Ends::{Attributed, Failed, OneOf, Unidentified};
use crate::faults::peer::Step::{Reset, Stall};

pub(crate) fn all() -> Vec<Behaviour> {
    [
        heads(),
        statuses(),
        continuations(),
        pseudo_headers(),
        bodies(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn heads() -> Vec<Behaviour> {
    let large = field("x-large", &"x".repeat(120));
    // The field above, kept in the dynamic table, and then a byte each for 120 more (CVE-2016-6581).
    let bomb = [&[0x40], &large[1..], &[0xbe; 16_000]].concat();
    vec![
        frames(
            "a head without a status",
            Failed("protocol"),
            [frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                field("x-a", "b"),
            )],
        ),
        frames(
            "a path in the response",
            Unidentified("200"),
            [frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                [OK, &field(":path", "/")].concat(),
            )],
        ),
        frames(
            "a head that HPACK cannot read",
            Failed("protocol"),
            [headers([0xff; 32])],
        ),
        frames(
            "a head that HPACK blows up",
            Failed("protocol"),
            [headers([OK, &bomb].concat())],
        ),
        frames(
            "a body without a head",
            Failed("protocol"),
            [last_data(&body(POD))],
        ),
        frames(
            "an answer nobody asked for",
            Failed("protocol"),
            [frame(HEADERS, END_HEADERS | END_STREAM, 7, OK)],
        ),
        frames(
            "a push nobody wants",
            Failed("protocol"),
            [frame(
                PUSH_PROMISE,
                END_HEADERS,
                1,
                [&[0, 0, 0, 2], OK].concat(),
            )],
        ),
    ]
}

fn statuses() -> Vec<Behaviour> {
    let informational = frame(HEADERS, END_HEADERS, 1, field(":status", "103"));
    vec![
        frames(
            "HTTP/2: 204 without a body",
            Unidentified("204"),
            [frame(HEADERS, END_HEADERS | END_STREAM, 1, NO_CONTENT)],
        ),
        frames(
            "HTTP/2: informational responses, then one",
            Attributed,
            [informational.repeat(20), page_on(1)],
        ),
        endless(
            "HTTP/2: endless informational responses",
            Failed("protocol"),
            informational.repeat(100),
        ),
    ]
}

/// Heads that come in pieces (RFC 9113 §6.10).
fn continuations() -> Vec<Behaviour> {
    let large = field("x-large", &"x".repeat(120));
    vec![
        http2(
            "endless CONTINUATION",
            Failed("protocol"),
            vec![
                asked(),
                send(frame(HEADERS, 0, 1, OK)),
                flood(frame(CONTINUATION, 0, 1, &large)),
            ],
        ),
        http2(
            "endless CONTINUATION of nothing",
            Failed("protocol"),
            vec![
                asked(),
                send(frame(HEADERS, 0, 1, OK)),
                flood(frame(CONTINUATION, 0, 1, []).repeat(100)),
            ],
        ),
        http2(
            "another frame inside a head",
            Failed("protocol"),
            vec![
                asked(),
                send([frame(HEADERS, 0, 1, OK), frame(PING, 0, 0, [0; 8])].concat()),
            ],
        ),
        http2(
            "stalls inside a head",
            Failed("timeout"),
            vec![asked(), send(frame(HEADERS, 0, 1, OK)), Stall],
        )
        .in_time(),
        http2(
            "closes inside a frame",
            Failed("reset"),
            vec![asked(), send(&headers(OK)[..5])],
        ),
    ]
}

/// What no head of a response may say (RFC 9113 §8.2, §8.3.2).
fn pseudo_headers() -> Vec<Behaviour> {
    let status = |value| field(":status", value);
    let ending = |fields: &[Vec<u8>]| frame(HEADERS, END_HEADERS | END_STREAM, 1, fields.concat());
    [
        ("two statuses", vec![status("200"), status("404")]),
        ("a status that is no number", vec![status("fine")]),
        ("a status of nothing", vec![status("")]),
        ("a status of 7 digits", vec![status("2000000")]),
        (
            "a status behind a header",
            vec![field("x-a", "b"), status("200")],
        ),
        (
            "a pseudo-header of its own",
            vec![status("200"), field(":x", "y")],
        ),
        (
            "a header name in capitals",
            vec![status("200"), field("X-A", "b")],
        ),
        (
            "a header without a name",
            vec![status("200"), field("", "b")],
        ),
        (
            "line breaks in a header",
            vec![status("200"), field("x-a", "b\r\nc")],
        ),
        (
            "a header of HTTP/1.1's",
            vec![status("200"), field("connection", "close")],
        ),
    ]
    .map(|(name, fields)| frames(name, Failed("protocol"), [ending(&fields)]))
    .into()
}

fn bodies() -> Vec<Behaviour> {
    let data = frame(DATA, 0, 1, "x".repeat(16_384));
    vec![
        http2(
            "HTTP/2: a body beyond what is read",
            Attributed,
            vec![
                asked(),
                send([headers(OK), frame(DATA, 0, 1, body(POD)), data.repeat(8)].concat()),
                Stall,
            ],
        )
        .with(&["--max-body", "100000"]),
        http2(
            "HTTP/2: a body that heeds no window",
            Attributed,
            vec![
                asked(),
                send([headers(OK), frame(DATA, 0, 1, body(POD))].concat()),
                flood(&data),
            ],
        ),
        frames(
            "HTTP/2: Content-Length too great",
            Failed("body"),
            [
                headers([OK, &field("content-length", "5000")].concat()),
                last_data(&body(POD)),
            ],
        ),
        frames(
            "HTTP/2: Content-Length too small",
            Failed("body"),
            [
                headers([OK, &field("content-length", "5")].concat()),
                last_data(&body(POD)),
            ],
        ),
        http2(
            "HTTP/2: stalls inside the body",
            Failed("timeout"),
            vec![
                asked(),
                send([headers(OK), frame(DATA, 0, 1, body(POD))].concat()),
                Stall,
            ],
        )
        .in_time(),
        http2(
            "HTTP/2: resets inside the body",
            Failed("body"),
            vec![
                asked(),
                send([headers(OK), frame(DATA, 0, 1, body(POD))].concat()),
                pause(),
                Reset,
            ],
        ),
        frames(
            "a frame beyond the largest",
            OneOf(&["protocol", "body"]),
            [headers(OK), frame(DATA, 0, 1, "x".repeat(1 << 20))],
        ),
    ]
}
