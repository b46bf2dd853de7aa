//! What hostile peers answer a gRPC call with.

use super::super::answers::{POD, pause, send};
use super::super::behaviours::{Behaviour, Ends, Protocol, row};
use super::super::compressed::gzip;
use super::super::peer::Step;
use super::{
    DATA, END_HEADERS, END_STREAM, HEADERS, INTERNAL_ERROR, OK, asked, field, frame, headers, reset,
};

use Ends::{Attributed, Failed, Unidentified};

/// `{3: {1: POD}}`.
fn message() -> Vec<u8> {
    let length = u8::try_from(POD.len()).expect("a short name");
    [&[0x1a, length + 2, 0x0a, length], POD.as_bytes()].concat()
}

fn framed(flag: u8, length: usize, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("four bytes").to_be_bytes();
    [&[flag], &length[..], message].concat()
}

fn head(more: &[u8]) -> Vec<u8> {
    headers([OK, &field("content-type", "application/grpc"), more].concat())
}

fn data(bytes: &[u8]) -> Vec<u8> {
    frame(DATA, 0, 1, bytes)
}

fn trailers(code: &str) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        field("grpc-status", code),
    )
}

fn whole(flag: u8, more: &[u8], message: &[u8]) -> Vec<u8> {
    let message = framed(flag, message.len(), message);
    [head(more), data(&message), trailers("0")].concat()
}

/// A call that names its pod at field 3.1.
pub(crate) fn well_behaved() -> Vec<Step> {
    vec![asked(), send(whole(0, &[], &message()))]
}

fn grpc(name: &'static str, ends: Ends, frames: &[Vec<u8>]) -> Behaviour {
    row(name, ends, vec![asked(), send(frames.concat())]).over(Protocol::Grpc)
}

pub(crate) fn all() -> Vec<Behaviour> {
    let message = message();
    let gzipped = gzip(&message);
    let frame_of = framed(0, message.len(), &message);
    let coding = field("grpc-encoding", "gzip");
    let (beginning, end) = frame_of.split_at(3);
    let trailers_only = |code| {
        let fields = [
            OK,
            &field("content-type", "application/grpc"),
            &field("grpc-status", code),
        ];
        frame(HEADERS, END_HEADERS | END_STREAM, 1, fields.concat())
    };
    let last = |bytes: &[u8]| frame(DATA, END_STREAM, 1, bytes);
    let pieces = vec![
        asked(),
        send([head(&[]), data(beginning)].concat()),
        pause(),
        send([data(end), trailers("0")].concat()),
    ];
    vec![
        grpc(
            "gRPC: trailers missing",
            Failed("body"),
            &[head(&[]), last(&frame_of)],
        ),
        grpc(
            "gRPC: a length beyond the message",
            Failed("body"),
            &[
                head(&[]),
                data(&framed(0, message.len() + 1, &message)),
                trailers("0"),
            ],
        ),
        grpc(
            "gRPC: a length of 2 GiB",
            Failed("body"),
            &[
                head(&[]),
                data(&framed(0, 1 << 31, &message)),
                trailers("0"),
            ],
        ),
        grpc(
            "gRPC: half a length",
            Failed("body"),
            &[head(&[]), data(beginning), trailers("0")],
        ),
        grpc(
            "gRPC: reset after the head",
            Failed("body"),
            &[head(&[]), reset(INTERNAL_ERROR)],
        ),
        row("gRPC: a message in pieces", Attributed, pieces).over(Protocol::Grpc),
        grpc(
            "gRPC: compressed, and not how",
            Failed("body"),
            &[whole(1, &[], &message)],
        ),
        grpc(
            "gRPC: compressed with gzip",
            Attributed,
            &[whole(1, &coding, &gzipped)],
        ),
        grpc(
            "gRPC: INTERNAL, trailers only",
            Unidentified("INTERNAL"),
            &[trailers_only("13")],
        ),
        grpc(
            "gRPC: a code that is none",
            Unidentified("UNKNOWN"),
            &[trailers_only("77")],
        ),
        grpc(
            "gRPC: an error with a message",
            Attributed,
            &[head(&[]), data(&frame_of), trailers("13")],
        ),
        grpc(
            "gRPC: plain HTTP",
            Failed("protocol"),
            &[headers(OK), last(b"<p>hello</p>")],
        ),
    ]
}
