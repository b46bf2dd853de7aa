//! What concerns a connection, or ends a stream: settings, resets, floods.

use super::{
    DATA, ENHANCE_YOUR_CALM, GOAWAY, INTERNAL_ERROR, MAX_CONCURRENT_STREAMS, NO_ERROR, OK, PADDED,
    PING, PRIORITY, REFUSED_STREAM, RST_STREAM, SETTINGS, UNKNOWN, WINDOW_UPDATE, answered, asked,
    asked_under, endless, frame, frames, go_away, headers, http2, page_on, reset, setting,
};
use crate::faults::answers::{POD, body, flood, page, pause, send};
use crate::faults::behaviours::Behaviour;
use crate::faults::behaviours::Ends::{Attributed, Failed, OneOf};
use crate::faults::peer::Step::{Reset, Stall};

pub(crate) fn all() -> Vec<Behaviour> {
    [refusals(), resets(), settings(), floods(), kept_open()]
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
            [go_away(1, NO_ERROR), page_on(1)],
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
            [page_on(1), reset(NO_ERROR)],
        ),
    ]
}

fn resets() -> Vec<Behaviour> {
    [
        ("RST_STREAM, no error", NO_ERROR),
        ("RST_STREAM, protocol error", 1),
        ("RST_STREAM, internal error", INTERNAL_ERROR),
        ("RST_STREAM, flow control error", 3),
        ("RST_STREAM, stream closed", 5),
        ("RST_STREAM, frame size error", 6),
        ("RST_STREAM, refused", REFUSED_STREAM),
        ("RST_STREAM, cancel", 8),
        ("RST_STREAM, enhance your calm", ENHANCE_YOUR_CALM),
        ("RST_STREAM, inadequate security", 12),
        ("RST_STREAM, HTTP/1.1 required", 13),
        ("RST_STREAM, a code nobody knows", 0xdead_beef),
    ]
    .map(|(name, code)| frames(name, Failed("reset"), [reset(code)]))
    .into()
}

/// RFC 9113 §6.5.2.
fn settings() -> Vec<Behaviour> {
    const ENABLE_PUSH: u16 = 2;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    const MAX_FRAME_SIZE: u16 = 5;
    let refused =
        |name, settings: Vec<u8>| http2(name, Failed("protocol"), vec![asked(), send(settings)]);
    vec![
        http2(
            "a window of 0 for ever",
            Failed("timeout"),
            vec![asked_under(&setting(INITIAL_WINDOW_SIZE, 0)), Stall],
        )
        .with(&["--timeout", "400ms", "-m", "POST", "-d", "a body"]),
        http2(
            "no stream is allowed",
            Failed("timeout"),
            vec![send(setting(MAX_CONCURRENT_STREAMS, 0)), Stall],
        )
        .in_time(),
        http2(
            "settings that nobody knows",
            Attributed,
            vec![asked_under(&setting(0xabcd, 5)), send(page_on(1))],
        ),
        refused("a setting for push of 2", setting(ENABLE_PUSH, 2)),
        refused(
            "a setting for a window beyond the largest",
            setting(INITIAL_WINDOW_SIZE, 1 << 31),
        ),
        refused(
            "a setting for frames below the smallest",
            setting(MAX_FRAME_SIZE, 1),
        ),
        refused("settings of half a setting", frame(SETTINGS, 0, 0, [0; 3])),
        refused("settings of a stream", frame(SETTINGS, 0, 1, [])),
        refused("a ping of 7 bytes", frame(PING, 0, 0, [0; 7])),
        refused("a ping of a stream", frame(PING, 0, 1, [0; 8])),
        refused("a window of 0 more", frame(WINDOW_UPDATE, 0, 0, [0; 4])),
        refused("GOAWAY of 4 bytes", frame(GOAWAY, 0, 0, [0; 4])),
        refused("RST_STREAM of no stream", frame(RST_STREAM, 0, 0, [0; 4])),
        refused("DATA of no stream", frame(DATA, 0, 0, "x")),
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
        endless(
            "PRIORITY flood",
            Failed("protocol"),
            frame(PRIORITY, 0, 1, [0, 0, 0, 3, 0]).repeat(100),
        ),
        endless(
            "window flood",
            Failed("protocol"),
            frame(WINDOW_UPDATE, 0, 1, 1_u32.to_be_bytes()).repeat(100),
        ),
        endless(
            "a flood of frames that nobody knows",
            Failed("protocol"),
            frame(UNKNOWN, 0, 0, "x".repeat(100)).repeat(100),
        ),
        http2(
            "endless padding",
            Failed("body"),
            vec![
                asked(),
                send(headers(OK)),
                flood(frame(DATA, PADDED, 1, [&[254][..], &[0; 254]].concat())),
            ],
        ),
        frames(
            "padding beyond the frame",
            Failed("body"),
            [headers(OK), frame(DATA, PADDED, 1, [200, 0])],
        ),
        endless(
            "endless trailers, head by head",
            OneOf(&["body", "protocol"]),
            headers(OK),
        ),
        frames(
            "window beyond the largest",
            Failed("protocol"),
            [overflow.repeat(2)],
        ),
    ]
}

/// On connections that are kept open, whose streams are counted from 1 in steps of 2.
fn kept_open() -> Vec<Behaviour> {
    let ten = answered(10);
    let going = send(go_away(19, NO_ERROR));
    vec![
        http2("closes after every 10 streams", Attributed, ten.clone()),
        http2(
            "GOAWAY after every 10 streams",
            Attributed,
            [ten.clone(), vec![going.clone()]].concat(),
        ),
        http2(
            "resets after every 10 streams",
            Attributed,
            [ten, vec![pause(), Reset]].concat(),
        ),
    ]
    .into_iter()
    .map(Behaviour::kept_open)
    .collect()
}
