//! What hostile peers do over TLS.

use std::sync::Arc;

use super::answers::{POD, body, flood, head, page, pause, send, status, under};
use super::behaviours::Ends::{Attributed, Failed, OneOf, Unidentified};
use super::behaviours::{Behaviour, Protocol, answer, row, then};
use super::peer::Step::{self, Cut, HalfClose, Raw, Read, Reset, Stall};
use super::security::Certificate::{Expired, Good, NotYetValid, SelfSigned, WrongName};
use super::{http2, security};

/// For peers that keep a handshake waiting.
const DIAL_SOON: &[&str] = &["--connect-timeout", "400ms"];

pub(crate) fn all() -> Vec<Behaviour> {
    [certificates(), handshakes(), streams()]
        .into_iter()
        .flatten()
        .chain(negotiated())
        .collect()
}

fn certificates() -> Vec<Behaviour> {
    [
        ("an expired certificate", Expired),
        ("a certificate of the future", NotYetValid),
        ("a self-signed certificate", SelfSigned),
        ("a certificate for another name", WrongName),
    ]
    .map(|(name, certificate)| {
        answer(name, Failed("tls"), page(POD)).secured(certificate, &["http/1.1"])
    })
    .into()
}

/// In the clear where TLS is spoken, and within the handshake.
fn handshakes() -> Vec<Behaviour> {
    let server = security::server(Good, &["http/1.1"]);
    // Of the answer to a client's first message, the message in the clear is longer than 100 bytes, and the
    // certificate is within the first 600.
    let hello = |bytes| Step::Handshake(Arc::clone(&server), bytes);
    let handshake = b"\x16\x03\x03\x40\x00";
    let alert = b"\x15\x03\x03\x00\x02\x02\x28";
    [
        row(
            "closes instead of a handshake",
            Failed("tls"),
            vec![HalfClose],
        ),
        row(
            "resets instead of a handshake",
            OneOf(&["tls", "connect"]),
            vec![Reset],
        ),
        row("stalls instead of a handshake", Failed("tls"), vec![Stall]).with(DIAL_SOON),
        row("refuses the handshake", Failed("tls"), vec![send(alert)]),
        row(
            "speaks HTTP instead of TLS",
            Failed("tls"),
            vec![send(page(POD))],
        ),
        row(
            "endless handshake",
            Failed("tls"),
            vec![flood([&handshake[..], &[0x0b; 0x4000]].concat())],
        )
        .with(DIAL_SOON),
        row(
            "closes inside a record of the handshake",
            Failed("tls"),
            vec![hello(60), HalfClose],
        ),
        row(
            "closes behind the certificate",
            Failed("tls"),
            vec![hello(600), HalfClose],
        ),
        row(
            "resets inside the handshake",
            Failed("tls"),
            vec![hello(600), pause(), Reset],
        ),
        row(
            "stalls inside a record of the handshake",
            Failed("tls"),
            vec![hello(60), Stall],
        )
        .with(DIAL_SOON),
        row(
            "stalls behind the certificate",
            Failed("tls"),
            vec![hello(600), Stall],
        )
        .with(DIAL_SOON),
        row(
            "speaks HTTP inside the handshake",
            Failed("tls"),
            vec![hello(127), send(page(POD))],
        ),
    ]
    .map(|behaviour| behaviour.over(Protocol::Tls))
    .into()
}

fn streams() -> Vec<Behaviour> {
    let record = b"\x17\x03\x03\x00\x20no record that any key has made.";
    let mut tickets = answer("10,000 session tickets", Failed("protocol"), page(POD));
    tickets.security = Some(security::server_of_tickets());
    [
        tickets.over(Protocol::Tls),
        row(
            "closes after the handshake",
            Failed("reset"),
            vec![HalfClose],
        ),
        row(
            "resets after the handshake",
            Failed("reset"),
            vec![Read, Reset],
        ),
        row(
            "a record that cannot be read",
            OneOf(&["protocol", "reset"]),
            vec![Read, Raw(record.as_slice().into())],
        ),
        row(
            "a record cut off",
            Failed("reset"),
            vec![Read, Raw(record[..20].into()), pause(), Cut],
        ),
        row(
            "speaks HTTP below TLS",
            Failed("protocol"),
            vec![Read, Raw(page(POD).into())],
        ),
        then(
            "the end of the body cut off",
            Failed("body"),
            under(""),
            [pause(), Cut],
        ),
        then(
            "the end of the stream cut off behind the body",
            Attributed,
            page(POD),
            [pause(), Cut],
        ),
        then(
            "stalls in the body, over TLS",
            Failed("timeout"),
            head("Content-Length: 500\r\n") + &body(POD),
            [Stall],
        )
        .in_time(),
        answer("agrees to no protocol", Attributed, page(POD)).secured(Good, &[]),
        answer(
            "304 with a body, over TLS",
            Unidentified("304"),
            status("304 Not Modified"),
        ),
    ]
    .map(|behaviour| match behaviour.security {
        Some(_) => behaviour,
        None => behaviour.secured(Good, &["http/1.1"]),
    })
    .into()
}

/// HTTP/2 was agreed to on the connection before, and is not on this one.
fn negotiated() -> Vec<Behaviour> {
    vec![
        answer(
            "agrees to HTTP/1.1 where it did to HTTP/2",
            Failed("tls"),
            page(POD),
        )
        .secured(Good, &["http/1.1"])
        .over(Protocol::TlsHttp2),
        answer(
            "agrees to nothing where it did to HTTP/2",
            Failed("tls"),
            page(POD),
        )
        .secured(Good, &[])
        .over(Protocol::TlsHttp2),
        row(
            "agrees to HTTP/2 and speaks HTTP/1.1",
            Failed("protocol"),
            vec![send(page(POD))],
        )
        .secured(Good, &["h2"])
        .over(Protocol::TlsHttp2),
        row(
            "HTTP/2 over TLS, then a reset",
            Failed("reset"),
            vec![http2::asked(), Reset],
        )
        .secured(Good, &["h2"])
        .over(Protocol::TlsHttp2),
    ]
}
