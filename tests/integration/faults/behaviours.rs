//! What hostile peers do over HTTP/1.1 in the clear, and what becomes of a request that meets it.

use std::sync::Arc;
use std::time::Duration;

use super::answers::{
    POD, body, chunk, drip, flood, head, page, page_with, pause, response, send, status, under,
};
use super::peer::Step::{self, Again, HalfClose, Read, Reset, Stall};
use super::security::{self, Certificate};
use super::{compressed, http2, tcp, tls};
use tokio_rustls::rustls::ServerConfig;

/// How a request ends that meets a behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Identified, by a response that is as good as any.
    Attributed,
    /// A whole response of this status that names nobody.
    Unidentified(&'static str),
    /// As this kind of failure.
    Failed(&'static str),
    /// As one of these kinds: which one depends on what the system says first.
    OneOf(&'static [&'static str]),
}

use Ends::{Attributed, Failed, OneOf, Unidentified};

/// One row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    pub(crate) name: &'static str,
    pub(crate) script: Vec<Step>,
    pub(crate) ends: Ends,
    /// More options of the client.
    pub(crate) options: &'static [&'static str],
    /// What the client and the peer's other connections speak.
    pub(crate) protocol: Protocol,
    /// What secures the connection, if anything does.
    pub(crate) security: Option<Arc<ServerConfig>>,
}

/// What a well-behaved peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    Tls,
    TlsHttp2,
    Tcp,
    Grpc,
}

/// Takes the connection.
pub(crate) fn row(name: &'static str, ends: Ends, script: Vec<Step>) -> Behaviour {
    Behaviour {
        name,
        script,
        ends,
        options: &[],
        protocol: Protocol::Http1,
        security: None,
    }
}

/// Takes the request, and sends this.
pub(crate) fn answer(name: &'static str, ends: Ends, bytes: impl AsRef<[u8]>) -> Behaviour {
    row(name, ends, vec![Read, send(bytes)])
}

/// Takes the request, sends this, and goes on so.
pub(crate) fn then(
    name: &'static str,
    ends: Ends,
    bytes: impl AsRef<[u8]>,
    more: impl Into<Vec<Step>>,
) -> Behaviour {
    row(name, ends, [vec![Read, send(bytes)], more.into()].concat())
}

impl Behaviour {
    pub(crate) fn over(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    /// Over TLS, with this certificate and these protocols to agree to.
    pub(crate) fn secured(self, certificate: Certificate, protocols: &[&str]) -> Self {
        let security = Some(security::server(certificate, protocols));
        let protocol = Protocol::Tls;
        Self {
            protocol,
            security,
            ..self
        }
    }

    pub(crate) fn with(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    /// For peers that keep a request waiting.
    pub(crate) fn in_time(self) -> Self {
        self.with(&["--timeout", "400ms"])
    }

    /// Takes the name as far as the page's markup, whatever it is made of.
    fn reading_any_name(self) -> Self {
        self.with(&["--identify", "(?s-u)Pod Name: (.*?)</p>"])
    }

    /// On connections that are kept open.
    pub(crate) fn kept_open(self) -> Self {
        self.with(&["--keep-alive"])
    }

    /// The same for every request of a connection.
    fn again(mut self) -> Self {
        self.script.push(Again);
        self
    }

    pub(crate) fn is_kept_open(&self) -> bool {
        self.options.contains(&"--keep-alive")
    }
}

pub(crate) fn all() -> Vec<Behaviour> {
    let groups = [
        connections(),
        heads(),
        statuses(),
        lengths(),
        chunks(),
        bodies(),
        names(),
        kept_open(),
        compressed::all(),
        tls::all(),
        tcp::all(),
        http2::all(),
    ];
    groups.into_iter().flatten().collect()
}

fn connections() -> Vec<Behaviour> {
    vec![
        row("accepts and closes", Failed("reset"), vec![HalfClose]),
        row(
            "accepts and resets",
            OneOf(&["reset", "connect"]),
            vec![Reset],
        ),
        row("accepts and stalls", Failed("timeout"), vec![Stall]).in_time(),
        row(
            "speaks first, and SSH",
            Failed("protocol"),
            vec![send("SSH-2.0-OpenSSH_9.2p1\r\n"), Read],
        ),
        row("takes the request and closes", Failed("reset"), vec![Read]),
        row(
            "takes the request and half-closes",
            Failed("reset"),
            vec![Read, HalfClose, Stall],
        ),
        row(
            "takes the request and resets",
            Failed("reset"),
            vec![Read, Reset],
        ),
        row(
            "takes the request and stalls",
            Failed("timeout"),
            vec![Read, Stall],
        )
        .in_time(),
        then(
            "answers and half-closes",
            Attributed,
            page(POD),
            [HalfClose, Stall],
        ),
        then(
            "answers and resets",
            Attributed,
            page(POD),
            [pause(), Reset],
        ),
    ]
}

fn heads() -> Vec<Behaviour> {
    let part = "HTTP/1.1 200 OK\r\nContent-Le";
    let more = "X-More: and more of it\r\n".repeat(100);
    let latin = response("X-Latin: é\r\n", body(POD))
        .into_iter()
        .filter(|&byte| byte != 0xc3);
    vec![
        answer("closes inside the head", Failed("reset"), part),
        then(
            "resets inside the head",
            Failed("reset"),
            part,
            [pause(), Reset],
        ),
        then("stalls inside the head", Failed("timeout"), part, [Stall]).in_time(),
        row(
            "a head of one byte a second",
            Failed("timeout"),
            vec![Read, drip(page(POD))],
        )
        .in_time(),
        row(
            "one byte at a time, soon enough",
            Attributed,
            vec![Read, Step::Drip(page(POD).into(), Duration::from_millis(1))],
        ),
        then(
            "endless headers",
            Failed("protocol"),
            "HTTP/1.1 200 OK\r\n",
            [flood(more)],
        ),
        then(
            "endless header line",
            Failed("protocol"),
            "HTTP/1.1 200 OK\r\nX-Long: ",
            [flood("x".repeat(4096))],
        ),
        row(
            "endless blank lines",
            Failed("protocol"),
            vec![Read, flood("\r\n".repeat(2048))],
        ),
        answer(
            "a header of 64 KiB",
            Attributed,
            page_with(&format!("X-Long: {}\r\n", "x".repeat(65_536))),
        ),
        answer(
            "10,000 headers",
            Failed("protocol"),
            page_with(&"X-A: b\r\n".repeat(10_000)),
        ),
        answer(
            "bare line feeds",
            Attributed,
            under("").replace("\r\n", "\n"),
        ),
        answer(
            "header without a colon",
            Failed("protocol"),
            under("no colon\r\n"),
        ),
        answer(
            "folded header",
            Failed("protocol"),
            under("X-A: a\r\n b\r\n"),
        ),
        answer(
            "NUL in a header",
            Failed("protocol"),
            under("X-A: a\0b\r\n"),
        ),
        answer(
            "header that is not UTF-8",
            Attributed,
            latin.collect::<Vec<u8>>(),
        ),
    ]
}

fn statuses() -> Vec<Behaviour> {
    let informational =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
    let switching =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
    vec![
        answer(
            "informational responses, then one",
            Attributed,
            informational.repeat(20) + &page(POD),
        ),
        row(
            "endless informational responses",
            Failed("protocol"),
            vec![Read, flood(informational.repeat(50))],
        ),
        answer("switches protocols unasked", Unidentified("101"), switching),
        answer("speaks HTTP/0.9", Failed("protocol"), body(POD)),
        answer(
            "speaks HTTP/1.0",
            Attributed,
            under("").replace("/1.1", "/1.0"),
        ),
        answer("speaks HTTP/2 unasked", Failed("protocol"), settings),
        answer(
            "speaks HTTP/3.7",
            Failed("protocol"),
            under("").replace("/1.1", "/3.7"),
        ),
        answer("status 000", Failed("protocol"), status("000 None")),
        answer("status 999", Attributed, status("999 Odd")),
        answer(
            "status of four digits",
            Failed("protocol"),
            status("2000 OK"),
        ),
        answer("no reason phrase", Attributed, status("200")),
        answer(
            "204 with a body",
            Unidentified("204"),
            status("204 No Content"),
        ),
        answer(
            "304 with a body",
            Unidentified("304"),
            status("304 Not Modified"),
        ),
    ]
}

fn lengths() -> Vec<Behaviour> {
    let whole = body(POD).len();
    let length = |value: &str| under(&format!("Content-Length: {value}\r\n"));
    let second = |value: usize| {
        under(&format!(
            "Content-Length: {whole}\r\nContent-Length: {value}\r\n"
        ))
    };
    vec![
        answer(
            "Content-Length too great, then closes",
            Failed("body"),
            length("5000"),
        ),
        then(
            "Content-Length too great, then stalls",
            Failed("timeout"),
            length("5000"),
            [Stall],
        )
        .in_time(),
        answer(
            "Content-Length too small",
            Attributed,
            length(&whole.to_string()) + "and more than it said",
        ),
        answer(
            "Content-Length twice, the same",
            Failed("protocol"),
            second(whole),
        ),
        answer(
            "Content-Length twice, different",
            Failed("protocol"),
            second(5),
        ),
        answer(
            "Content-Length is negative",
            Failed("protocol"),
            length("-1"),
        ),
        answer(
            "Content-Length is no number",
            Failed("protocol"),
            length("many"),
        ),
        answer(
            "Content-Length beyond 64 bits",
            Failed("protocol"),
            length("99999999999999999999999"),
        ),
        answer(
            "Content-Length and chunks",
            Failed("protocol"),
            head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")
                + &chunk(&body(POD))
                + "0\r\n\r\n",
        ),
        answer(
            "what answers a HEAD",
            Failed("body"),
            head(&format!("Content-Length: {whole}\r\n")),
        ),
        answer(
            "a second response behind the first",
            Attributed,
            page(POD) + &page("intruder-0"),
        ),
    ]
}

fn chunks() -> Vec<Behaviour> {
    let chunked = |rest: &str| head("Transfer-Encoding: chunked\r\n") + rest;
    let one = chunk(&body(POD));
    let more = "X-More: and more of it\r\n".repeat(100);
    vec![
        answer("chunks", Attributed, chunked(&format!("{one}0\r\n\r\n"))),
        answer("chunk size is garbage", Failed("body"), chunked("zz\r\n")),
        answer(
            "chunk size beyond 64 bits",
            Failed("body"),
            chunked("fffffffffffffffff\r\n"),
        ),
        answer(
            "chunk longer than it said",
            Failed("body"),
            chunked(&format!("{}more\r\n0\r\n\r\n", one.trim_end())),
        ),
        answer("missing final chunk", Failed("body"), chunked(&one)),
        then(
            "endless chunk extension",
            Failed("body"),
            chunked("5;"),
            [flood("x".repeat(4096))],
        ),
        then(
            "endless trailers",
            Failed("body"),
            chunked(&format!("{one}0\r\n")),
            [flood(more)],
        ),
        then(
            "endless chunks",
            Attributed,
            chunked(&one),
            [flood(chunk(&"x".repeat(4096)))],
        ),
    ]
}

fn bodies() -> Vec<Behaviour> {
    let gibibyte = head(&format!("Content-Length: {}\r\n", 1_u64 << 30));
    let rest = Step::Repeat(vec![b'x'; 1 << 16].into(), 1 << 14);
    let promised = head("Content-Length: 5000\r\n");
    let brackets = "{\"pod\":".to_owned() + &"[".repeat(1_000_000);
    let letters = "a".repeat(1_000_000);
    vec![
        then(
            "stalls before the body",
            Failed("timeout"),
            &promised,
            [Stall],
        )
        .in_time(),
        then(
            "resets inside the body",
            Failed("body"),
            promised.clone() + &body(POD),
            [pause(), Reset],
        ),
        then(
            "a body of one byte a second",
            Failed("timeout"),
            &promised,
            [drip(body(POD))],
        )
        .in_time(),
        then(
            "endless body",
            Attributed,
            under(""),
            [flood("x".repeat(4096))],
        ),
        then(
            "endless body that names nobody",
            Unidentified("200"),
            head(""),
            [flood("x".repeat(4096))],
        ),
        then("a body of 1 GiB", Attributed, gibibyte + &body(POD), [rest]),
        answer(
            "a name at the limit of what is read",
            Unidentified("200"),
            response("", " ".repeat(30) + &body(POD)),
        )
        .with(&["--max-body", "60"]),
        answer(
            "a million brackets",
            Unidentified("200"),
            response("", brackets),
        ),
        answer(
            "a body that takes backtracking for ever",
            Unidentified("200"),
            response("", letters),
        )
        .with(&[
            "--identify",
            "(?:a*)*b|(?:a|aa)+(c)",
            "--identify",
            "Pod Name: ([^<]+)",
        ]),
    ]
}

fn names() -> Vec<Behaviour> {
    let named = |name: &[u8]| {
        let body = [b"<p>Pod Name: ", name, b"</p>\n"].concat();
        response("", body)
    };
    let long = "x".repeat(100_000);
    vec![
        answer(
            "NUL in the pod name",
            Unidentified("200"),
            named(b"web\0-0"),
        )
        .reading_any_name(),
        answer(
            "escape bytes in the pod name",
            Unidentified("200"),
            named(b"\x1b[2Jweb-0"),
        )
        .reading_any_name(),
        answer(
            "a pod name that is not UTF-8",
            Unidentified("200"),
            named(b"web-\xff\xfe"),
        )
        .reading_any_name(),
        answer(
            "line breaks in the pod name",
            Unidentified("200"),
            named(b"web\r\n::error::x"),
        )
        .reading_any_name(),
        answer(
            "a pod name of 100 kB",
            Unidentified("200"),
            named(long.as_bytes()),
        )
        .reading_any_name(),
    ]
}

fn kept_open() -> Vec<Behaviour> {
    let announced = page_with("Connection: close\r\n");
    let kept_by_1_0 = |lines: &str| page_with(lines).replace("/1.1", "/1.0");
    let thousand = vec![[Read, send(page(POD))]; 999].concat();
    let oversized = under("Content-Length: 3000000\r\n") + &"x".repeat(2_000_000);
    vec![
        answer("closes after each response, unsaid", Attributed, page(POD)),
        answer(
            "closes after each response, as said",
            Attributed,
            &announced,
        ),
        row(
            "closes after 1000 requests",
            Attributed,
            [thousand, vec![Read, send(&announced)]].concat(),
        ),
        answer(
            "HTTP/1.0, kept open",
            Attributed,
            kept_by_1_0("Connection: keep-alive\r\n"),
        )
        .again(),
        answer("HTTP/1.0, kept open unasked", Attributed, kept_by_1_0("")).again(),
        answer(
            "a second response behind each, kept open",
            Attributed,
            page(POD) + &page("intruder-0"),
        )
        .again(),
        answer(
            "Content-Length too small, kept open",
            Attributed,
            page(POD) + &body("intruder-0"),
        )
        .again(),
        answer(
            "204 with a body, kept open",
            Unidentified("204"),
            status("204 No"),
        )
        .again(),
        answer(
            "a body beyond what is read, kept open",
            Attributed,
            oversized,
        )
        .again(),
        answer(
            "informational responses behind each",
            Attributed,
            page(POD) + "HTTP/1.1 100 Continue\r\n\r\n",
        )
        .again(),
    ]
    .into_iter()
    .map(Behaviour::kept_open)
    .collect()
}
