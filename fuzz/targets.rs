//! What must hold of every parser of foreign input, whatever the input: one function each, which panics where it does not.
//!
//! `fuzz_targets` gives them to the fuzzer, `tests/integration/corpora.rs` the inputs of `corpus`, without it.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue};
use lbtest::parts::{
    Answer, Asked, BodyEnd, CanaryOptions, Choice, ChunksError, Collection, ConfigFile as Config,
    Filter, Format, Framing, Gathering, Head, Headers, Input, LOG_FORMATS as NAMES, Log,
    MAX_NAME_LENGTH, ManifestError, Manifests, Mappings, Rules, decoded, grpc_message, grpc_status,
    lint, not_undone, parse_time, read_log, to_yaml,
};

/// A target of the fuzzer.
type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
#[allow(dead_code, reason = "the fuzzer calls each by its name")]
pub(crate) const TARGETS: [(&str, Target); 12] = [
    ("access_log", access_log),
    ("body", body),
    ("certificate", certificate),
    ("config", config),
    ("encoding", encoding),
    ("grpc", grpc),
    ("head", head),
    ("identity", identity),
    ("log", log),
    ("manifests", manifests),
    ("merge", merge),
    ("routes", routes),
];

/// An access log in the format that the first byte chooses, or that the first line describes: every line is told of once.
pub(crate) fn access_log(data: &[u8]) {
    let Some((&first, mut lines)) = data.split_first() else {
        return;
    };
    let format = match NAMES.get(usize::from(first) % (NAMES.len() + 1)) {
        Some(&"json") => Format::parse("json", Some("pod")),
        Some(name) => Format::parse(name, None),
        None => {
            let end = lines.iter().position(|byte| *byte == b'\n');
            let (own, rest) = lines.split_at(end.unwrap_or(lines.len()));
            lines = rest;
            let Ok(own) = std::str::from_utf8(own) else {
                return;
            };
            Format::parse(own, None)
        }
    };
    let format = match format {
        Ok(format) => format,
        Err(error) => return is_a_sentence(&error),
    };
    let mut filter = Filter::default();
    if first >= 128 {
        filter.path = Some("/".to_owned());
        filter.statuses = Some("2xx,301-308".parse().expect("statuses"));
        filter.since = parse_time("2026-11-29T00:00:00Z");
    }
    let log = Log {
        format,
        filter,
        is_independent: first % 2 == 0,
    };
    let labels = ["v1".to_owned(), "v2".to_owned()];
    let mappings = Mappings::parse(&labels, &[]).expect("no mapping is given");
    let read = match log.read(lines, mappings) {
        Ok(read) => read,
        // What begins as a compressed file does.
        Err(error) => return is_a_sentence(&error),
    };
    let observed: u64 = read.evidence.observed.iter().sum();
    assert_eq!(observed, read.summary.answers());
    for finding in read.summary.findings(log.is_independent) {
        is_a_sentence(&finding.message);
    }
}

/// The body of a response over HTTP/1.1, framed as the first byte says: the same in pieces as at once.
pub(crate) fn body(data: &[u8]) {
    const LIMIT: usize = 1 << 12;
    let [first, length, bytes @ ..] = data else {
        return;
    };
    let framing = match first % 3 {
        0 => Framing::Length(u64::from(*length)),
        1 => Framing::Chunked,
        _ => Framing::Close,
    };
    let at_once = gathered(framing, LIMIT, bytes, bytes.len().max(1));
    let piece = usize::from(first / 3) + 1;
    assert_eq!(gathered(framing, LIMIT, bytes, piece), at_once);
    assert!(at_once.1.len() <= LIMIT, "{} bytes", at_once.1.len());
}

/// How a body that comes in pieces of so many bytes ends, and what was gathered of it.
fn gathered(
    framing: Framing,
    limit: usize,
    bytes: &[u8],
    piece: usize,
) -> (Result<Option<BodyEnd>, ChunksError>, Vec<u8>) {
    let (mut gathering, mut body) = (Gathering::new(framing, limit), Vec::new());
    for mut piece in bytes.chunks(piece) {
        match gathering.take(&mut piece, &mut body) {
            Ok(None) => {}
            ended => return (ended, body),
        }
    }
    (Ok(None), body)
}

/// The end of a gRPC call, compressed as the first byte says: a message within the limit, whose fields can be looked up.
pub(crate) fn grpc(data: &[u8]) {
    const CODINGS: [&str; 6] = ["identity", "gzip", "deflate", "br", "zstd", "snappy"];
    const LIMIT: usize = 1 << 16;
    let Some((&first, body)) = data.split_first() else {
        return;
    };
    let mut headers = HeaderMap::new();
    let coding = CODINGS[usize::from(first) % CODINGS.len()];
    headers.insert("grpc-encoding", HeaderValue::from_static(coding));
    if let Ok(status) = HeaderValue::from_bytes(&body[..body.len().min(4)]) {
        headers.insert("grpc-status", status);
        let known = grpc_status(&headers, &HeaderMap::new()).expect("a status is given");
        assert!(known <= 16, "{known}");
    }
    let message = match grpc_message(&headers, body, LIMIT) {
        Ok(message) => message,
        Err(error) => return is_a_sentence(&error),
    };
    assert!(
        message.len() <= LIMIT.max(body.len()),
        "{} bytes",
        message.len()
    );
    for rule in ["field:1", "field:3.1", "field:2.2.2.2"] {
        let rules = Rules::parse(&[rule.to_owned()]).expect("the rule is written here");
        if let Some(name) = rules.identify(&HeaderMap::new(), &message) {
            is_a_name(&name);
        }
    }
}

/// The head of a response over HTTP/1.1: it ends where it says, and its headers are those that the parser finds.
pub(crate) fn head(data: &[u8]) {
    for asked in [Asked::Whole, Asked::Head, Asked::Connect] {
        let parsed = Head::parse(data, asked);
        if let Err(error) = &parsed {
            is_a_sentence(error);
        }
        let Ok(Some(head)) = parsed else {
            continue;
        };
        let own = &data[..head.length];
        assert_eq!(Head::parse(own, asked), Ok(Some(head)));
        assert!(Head::may_end_in(own, 0) && (100..=999).contains(&head.status));
        assert!(!matches!(
            Head::parse(&own[..own.len() - 1], asked),
            Ok(Some(_))
        ));
        let mut lines = [httparse::EMPTY_HEADER; 100];
        let mut response = httparse::Response::new(&mut lines);
        assert!(response.parse(own).is_ok());
        let map: HeaderMap = response
            .headers
            .iter()
            .map(|line| {
                let name = HeaderName::from_bytes(line.name.as_bytes()).expect("a token");
                (
                    name,
                    HeaderValue::from_bytes(line.value).expect("no control character"),
                )
            })
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            });
        assert_eq!(Headers::of_head(own).to_map(), map);
    }
}

/// A server's certificate: names that can be shown, or none.
pub(crate) fn certificate(data: &[u8]) {
    for rule in ["cert:cn", "cert:san"] {
        let rules = Rules::parse(&[rule.to_owned()]).expect("the rule is written here");
        let answer = Answer {
            headers: Headers::NONE,
            trailers: Headers::NONE,
            body: &[],
            certificate: Some(data),
        };
        if let Some(name) = rules.identify_in(answer) {
            is_a_name(&name);
        }
    }
}

/// `lbtest.toml`: a configuration whose checks are plans, or one sentence.
pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse("lbtest.toml", text) {
        Ok(config) => {
            for check in &config.check {
                let _ = config.plan(check);
            }
        }
        Err(error) => is_a_sentence(&error),
    }
}

/// A body in the codings that the first byte chooses: no more than the limit comes out of it.
pub(crate) fn encoding(data: &[u8]) {
    const CODINGS: [&str; 8] = [
        "gzip",
        "deflate",
        "br",
        "zstd",
        "gzip, gzip",
        "br, gzip",
        "zstd, br",
        "compress",
    ];
    const LIMIT: usize = 1 << 16;
    let Some((&first, body)) = data.split_first() else {
        return;
    };
    let mut headers = HeaderMap::new();
    let coding = CODINGS[usize::from(first) % CODINGS.len()];
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    match decoded(&headers, body, LIMIT) {
        Some(plain) => assert!(plain.len() <= LIMIT, "{} bytes", plain.len()),
        None => assert!(not_undone(&headers).is_some()),
    }
}

/// A body: a name that is bounded and can be shown, or none.
pub(crate) fn identity(data: &[u8]) {
    let headers = HeaderMap::new();
    let given = ["json:/pod/name", "json:/0", r"pod[:=]\s*(\S+)"]
        .map(|rule| Rules::parse(&[rule.to_owned()]).expect("the rule is written here"));
    for rules in given.iter().chain([&Rules::builtin()]) {
        if let Some(name) = rules.identify(&headers, data) {
            is_a_name(&name);
        }
    }
}

/// A saved log: names and counts, or a word on why it is not judged.
pub(crate) fn log(data: &[u8]) {
    let rules = Rules::builtin();
    match read_log(data, &rules, &[]) {
        Ok(answers) => answers.named.keys().for_each(|name| is_a_name(name)),
        Err(misread) => assert!(!misread.to_string().is_empty()),
    }
}

/// Manifests: whatever is asked of them; the canary that comes out can be read again.
pub(crate) fn manifests(data: &[u8]) {
    let manifests = match read("given.yaml", data) {
        Ok(manifests) => manifests,
        Err(error) => return is_a_sentence(&error),
    };
    let _ = manifests.expectation(Choice::default(), None);
    let _ = lint(manifests.objects(), None);
    let options = CanaryOptions {
        suffix: "v2".to_owned(),
        image: "app:v2".to_owned(),
        weight: 30,
        ..CanaryOptions::default()
    };
    if let Ok(canary) = manifests.canary(&options) {
        let yaml = to_yaml(&canary.objects);
        read("derived.yaml", yaml.as_bytes()).expect("what is derived can be read");
    }
}

/// Reports of shards with anything between them: a report, or one sentence.
pub(crate) fn merge(data: &[u8]) {
    let mut shards = Collection::default();
    if let Err(error) = shards.read("given.json", data) {
        return is_a_sentence(&error);
    }
    if let Err(error) = shards.report() {
        is_a_sentence(&error);
    }
}

/// Two routing tables, with a line of `===` between them: what differs, and checks that `lbtest.toml` can hold. What
/// is read of one table is the same as itself.
pub(crate) fn routes(data: &[u8]) {
    const BETWEEN: &[u8] = b"\n===\n";
    let between = data
        .windows(BETWEEN.len())
        .position(|window| window == BETWEEN);
    let (old, new) = match between {
        Some(at) => (&data[..at], &data[at + BETWEEN.len()..]),
        None => (data, data),
    };
    let (Ok(old), Ok(new)) = (read("old.yaml", old), read("new.yaml", new)) else {
        return;
    };
    match old.compare(&new, None) {
        Ok(report) => {
            let text = report.text();
            let is_same = report.is_same() || text.contains("unclear");
            assert!(between.is_some() || is_same, "{text}");
            assert!(!report.markdown().is_empty());
        }
        Err(error) => is_a_sentence(&error),
    }
    if let Ok(derived) = new.checks(None, None)
        && let Ok(text) = derived.to_toml()
        && let Err(error) = Config::parse("derived.toml", &text)
    {
        is_a_sentence(&error);
    }
}

/// Manifests in one input.
fn read(name: &str, bytes: &[u8]) -> Result<Manifests, ManifestError> {
    let (name, bytes) = (name.to_owned(), bytes.to_vec());
    Manifests::read(&[Input {
        name,
        bytes,
        is_found: false,
    }])
}

fn is_a_name(name: &str) {
    assert!(name.len() <= MAX_NAME_LENGTH, "{name:?}");
    assert!(!name.chars().any(char::is_control), "{name:?}");
}

fn is_a_sentence(error: &impl ToString) {
    let message = error.to_string();
    assert!(!message.is_empty() && message.len() < 64 << 10, "{message}");
}
