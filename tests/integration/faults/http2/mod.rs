//! What hostile peers do over HTTP/2, frame by frame (RFC 9113).

mod connection;
pub(crate) mod grpc;
mod message;

use bytes::Bytes;

use super::answers::{POD, body, flood, send};

use super::behaviours::{Behaviour, Ends, Protocol, row};
use super::peer::Step;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// Of no frame that RFC 9113 knows; such are to be ignored (§5.5).
const UNKNOWN: u8 = 0x60;

const MAX_CONCURRENT_STREAMS: u16 = 3;

const ACKNOWLEDGED: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `:status: 200` and 204 in HPACK's static table (RFC 7541, Appendix A).
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

/// The whole response of a well-behaved pod.
fn page_on(stream: u32) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, OK);
    [head, frame(DATA, END_STREAM, stream, body(POD))].concat()
}

fn setting(identifier: u16, value: u32) -> Vec<u8> {
    let payload = [&identifier.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, payload)
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
    asked_under(&frame(SETTINGS, 0, 0, []))
}

fn asked_under(settings: &[u8]) -> Step {
    let acknowledged = frame(SETTINGS, ACKNOWLEDGED, 0, []);
    Step::ReadStream([settings, &acknowledged].concat().into())
}

/// Takes and answers so many requests.
fn answered(requests: u32) -> Vec<Step> {
    answered_under(&frame(SETTINGS, 0, 0, []), requests)
}

fn answered_under(settings: &[u8], requests: u32) -> Vec<Step> {
    let first = vec![asked_under(settings), send(page_on(1))];
    let others = (1..requests).flat_map(|number| {
        let asked = Step::ReadStream(Bytes::new());
        [asked, send(page_on(2 * number + 1))]
    });
    first.into_iter().chain(others).collect()
}

/// Answers one request, and says that no other was looked at.
pub(crate) fn going_away() -> Vec<Step> {
    [answered(1), vec![send(go_away(1, NO_ERROR))]].concat()
}

/// Says at length why no request is looked at.
pub(crate) fn going_away_at_length() -> Vec<Step> {
    let why = vec![b'y'; 15 << 10];
    let payload = [&[0; 4][..], &ENHANCE_YOUR_CALM.to_be_bytes(), &why].concat();
    vec![asked(), send(frame(GOAWAY, 0, 0, payload))]
}

/// The same in the other order.
pub(crate) fn going_away_first() -> Vec<Step> {
    vec![asked(), send(go_away(1, NO_ERROR)), send(page_on(1))]
}

/// Lets one request through at a time, and closes in order after eight.
pub(crate) fn going_away_with_others_held_back() -> Vec<Step> {
    let one_stream = setting(MAX_CONCURRENT_STREAMS, 1);
    let going = send(go_away(15, NO_ERROR));
    [answered_under(&one_stream, 8), vec![going]].concat()
}

/// The response of a well-behaved pod to the first request of a connection.
pub(crate) fn well_behaved() -> Vec<Step> {
    answered(1)
}

fn http2(name: &'static str, ends: Ends, script: Vec<Step>) -> Behaviour {
    row(name, ends, script).over(Protocol::Http2)
}

/// Takes the request, and sends these frames.
fn frames(name: &'static str, ends: Ends, frames: impl AsRef<[Vec<u8>]>) -> Behaviour {
    http2(name, ends, vec![asked(), send(frames.as_ref().concat())])
}

/// Takes the request, and sends these bytes for ever.
fn endless(name: &'static str, ends: Ends, bytes: Vec<u8>) -> Behaviour {
    http2(name, ends, vec![asked(), flood(bytes)])
}

pub(crate) fn all() -> Vec<Behaviour> {
    [connection::all(), grpc::all(), message::all()]
        .into_iter()
        .flatten()
        .collect()
}
