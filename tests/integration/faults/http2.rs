//! What hostile peers do over HTTP/2, frame by frame (RFC 9113).

use super::answers::{POD, body, flood, page, pause, send};
use super::behaviours::Ends::{Attributed, Failed, OneOf, Unidentified};
use super::behaviours::{Behaviour, Protocol, row};
use super::peer::Step::{self, Reset, Stall};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACKNOWLEDGED: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `:status: 200`, 204 and 304 in HPACK's static table (RFC 7541, Appendix A).
const OK: &[u8] = &[0x88];
const NO_CONTENT: &[u8] = &[0x89];

fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len())
        .expect("a frame's length")
        .to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// A header field that is not indexed; both its parts are shorter than 127 bytes.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).expect("a short text");
    [
        &[0, length(name)],
        name.as_bytes(),
        &[length(value)],
        value.as_bytes(),
    ]
    .concat()
}

fn headers(fields: impl AsRef<[u8]>) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, fields)
}

fn last_data(data: &str) -> Vec<u8> {
    frame(DATA, END_STREAM, 1, data)
}

fn reset(code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, 1, code.to_be_bytes())
}

fn go_away(last_stream: u32, code: u32) -> Vec<u8> {
    let payload = [last_stream.to_be_bytes(), code.to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, payload)
}

/// Sends the settings that come first, takes the client's, and takes the request.
pub(crate) fn asked() -> Step {
    let settings = [
        frame(SETTINGS, 0, 0, []),
        frame(SETTINGS, ACKNOWLEDGED, 0, []),
    ];
    Step::ReadStream(settings.concat().into())
}

/// The response of a well-behaved pod to the first request of a connection.
pub(crate) fn well_behaved() -> Vec<Step> {
    vec![asked(), send([headers(OK), last_data(&body(POD))].concat())]
}

fn http2(name: &'static str, ends: super::behaviours::Ends, script: Vec<Step>) -> Behaviour {
    row(name, ends, script).over(Protocol::Http2)
}

/// Takes the request, and sends these frames.
fn frames(
    name: &'static str,
    ends: super::behaviours::Ends,
    frames: impl AsRef<[Vec<u8>]>,
) -> Behaviour {
    http2(name, ends, vec![asked(), send(frames.as_ref().concat())])
}

/// Takes the request, and sends these bytes for ever.
fn endless(name: &'static str, ends: super::behaviours::Ends, bytes: Vec<u8>) -> Behaviour {
    http2(name, ends, vec![asked(), flood(bytes)])
}

pub(crate) fn all() -> Vec<Behaviour> {
    [refusals(), heads(), bodies(), floods()]
        .into_iter()
        .flatten()
        .collect()
}

fn refusals() -> Vec<Behaviour> {
    vec![
        http2("HTTP/2: closes unasked", Failed("reset"), vec![]),
        http2(
            "HTTP/2: takes the request and closes",
            Failed("reset"),
            vec![asked()],
        ),
        http2(
            "HTTP/2: takes the request and resets",
            Failed("reset"),
            vec![asked(), Reset],
        ),
        http2(
            "HTTP/2: takes the request and stalls",
            Failed("timeout"),
            vec![asked(), Stall],
        )
        .in_time(),
        http2(
            "HTTP/2: never sends settings",
            Failed("timeout"),
            vec![Stall],
        )
        .in_time(),
        http2(
            "HTTP/2: speaks HTTP/1.1",
            OneOf(&["protocol", "reset"]),
            vec![send(page(POD))],
        ),
        frames(
            "GOAWAY, nothing was looked at",
            Failed("reset"),
            [go_away(0, NO_ERROR)],
        ),
        frames(
            "GOAWAY, enhance your calm",
            Failed("reset"),
            [go_away(1, ENHANCE_YOUR_CALM)],
        ),
        frames(
            "GOAWAY, then the answer",
            Attributed,
            [go_away(1, NO_ERROR), headers(OK), last_data(&body(POD))],
        ),
        frames(
            "GOAWAY instead of the rest of the body",
            Failed("body"),
            [
                headers(OK),
                frame(DATA, 0, 1, body(POD)),
                go_away(1, INTERNAL_ERROR),
            ],
        ),
        frames(
            "RST_STREAM, internal error",
            Failed("reset"),
            [reset(INTERNAL_ERROR)],
        ),
        frames(
            "RST_STREAM, refused",
            Failed("reset"),
            [reset(REFUSED_STREAM)],
        ),
        frames(
            "RST_STREAM inside the body",
            Failed("body"),
            [
                headers(OK),
                frame(DATA, 0, 1, body(POD)),
                reset(INTERNAL_ERROR),
            ],
        ),
        frames(
            "RST_STREAM behind the body",
            Attributed,
            [headers(OK), last_data(&body(POD)), reset(NO_ERROR)],
        ),
    ]
}

fn heads() -> Vec<Behaviour> {
    let large = field("x-large", &"x".repeat(120));
    // The field above, kept in the dynamic table, and then a byte each for 120 more (CVE-2016-6581).
    let bomb = [&[0x40], &large[1..], &[0xbe; 16_000]].concat();
    let informational = frame(HEADERS, END_HEADERS, 1, field(":status", "103"));
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
        frames(
            "HTTP/2: 204 without a body",
            Unidentified("204"),
            [frame(HEADERS, END_HEADERS | END_STREAM, 1, NO_CONTENT)],
        ),
        frames(
            "HTTP/2: informational responses, then one",
            Attributed,
            [informational.repeat(20), headers(OK), last_data(&body(POD))],
        ),
        endless(
            "HTTP/2: endless informational responses",
            Failed("protocol"),
            informational.repeat(100),
        ),
        http2(
            "endless CONTINUATION",
            Failed("protocol"),
            vec![
                asked(),
                send(frame(HEADERS, 0, 1, OK)),
                flood(frame(CONTINUATION, 0, 1, &large)),
            ],
        ),
    ]
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

fn floods() -> Vec<Behaviour> {
    let overflow = frame(WINDOW_UPDATE, 0, 0, 0x7fff_ffff_u32.to_be_bytes());
    vec![
        endless(
            "settings flood",
            Failed("protocol"),
            frame(SETTINGS, 0, 0, []).repeat(100),
        ),
        endless(
            "ping flood",
            Failed("protocol"),
            frame(PING, 0, 0, [0; 8]).repeat(100),
        ),
        endless(
            "empty DATA flood",
            Failed("protocol"),
            frame(DATA, 0, 1, []).repeat(100),
        ),
        endless(
            "RST_STREAM flood",
            OneOf(&["protocol", "reset"]),
            reset(INTERNAL_ERROR).repeat(100),
        ),
        frames(
            "window beyond the largest",
            Failed("protocol"),
            [overflow.repeat(2)],
        ),
    ]
}
