use super::*;

fn answers(log: impl AsRef<[u8]>, identify: &[&str]) -> Result<Answers, Misread> {
    // A small buffer, so that lines straddle it.
    let reader = io::BufReader::with_capacity(7, log.as_ref());
    let identify: Vec<String> = identify.iter().map(ToString::to_string).collect();
    let rules = Rules::parse(&identify).unwrap();
    let labels = ["v1", "v2", "blue", "yellow"].map(str::to_owned);
    super::read(reader, &rules, &labels)
}

/// The counts by name, and the answers that name nobody.
fn read(log: impl AsRef<[u8]>) -> (Vec<(String, u64)>, u64) {
    let answers = answers(log, &[]).unwrap();
    (answers.named.into_iter().collect(), answers.unnamed)
}

fn counts(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    of.iter()
        .map(|&(name, count)| (name.to_owned(), count))
        .collect()
}

fn refused(log: &str) -> String {
    answers(log, &[]).expect_err(log).to_string()
}

const A: &str = "shop-7c5ddbdf54-x7kfd";
const B: &str = "shop-v2-6b8464cddd-nnjmj";

/// `text` with A and B for the two pods.
fn pods(text: &str) -> String {
    text.replace("{A}", A).replace("{B}", B)
}

/// One line of `line` for each of ten answers, six of them of A.
fn ten(line: &str) -> String {
    "AABABAABAB"
        .chars()
        .map(|pod| line.replace("POD", if pod == 'A' { A } else { B }))
        .collect()
}

#[test]
fn the_published_run_has_69_and_30_of_99() {
    let log = include_bytes!("../../../tests/data/paso05-output.txt");
    let expected = [
        ("challenge-app-6f79ff6b8d-fmzvc", 69),
        ("challenge-app-v2-6b8464cddd-nnjmj", 30),
    ];
    assert_eq!(read(log), (counts(&expected), 0));
}

#[test]
fn a_request_without_a_pod_is_without_identity() {
    let log = "Resquest # 1\nPod Name: web-0</p>\nResquest # 2\nResquest # 3\n503\nResquest # 4\r\n  Pod Name: web-1</p>\r\nRequest #5";
    assert_eq!(read(log), (counts(&[("web-0", 1), ("web-1", 1)]), 3));
    assert_eq!(read("Resquest # 1"), (Vec::new(), 1));
}

#[test]
fn answers_are_counted_in_every_form_that_they_are_pasted_in() {
    let expected = (counts(&[(A, 6), (B, 4)]), 0);
    for line in [
        "Pod Name: POD</p>\n",
        "POD\n",
        "\nHostname: POD\nIP: 10.0.0.1\nGET / HTTP/1.1\nHost: shop\n",
        "2024-11-23T10:00:00.5Z Hostname: POD\n",
        "[10:00:00] Running on: POD | v=1\n",
        "\n\nHostname: POD\n\nPod Information:\n\tnode name:\tn1\n\tpod name:\tPOD\n",
        "{\"hostname\":\"POD\"}\n",
        "{\"hostname\":\"POD\"}",
        "{\n \"id\": 1,\n \"podname\": \"POD\"\n}\n",
        "<!doctype html>\n<html><p>Pod: POD</p>\n<p>again POD</p></html>\n",
        "data: {\"pod\":\"POD\"}\n\n",
        "[pod/POD/web] 10.42.0.1 \"GET / HTTP/1.1\" 200\n",
        "INFO[0001] POD source=console\n",
        "\u{1b}[32mPOD\u{1b}[0m \u{1b}[92mweb\u{1b}[0m GET / 200\n",
        "HTTP/2 200 \r\ncontent-type: text/html\r\nx-pod: POD\r\n\r\n<html>shop</html>\n",
        "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n{\"hostname\":\"POD\"}",
        "* Trying 10.0.0.7:80...\n> GET / HTTP/1.1\n> Host: shop\n> \n< HTTP/1.1 200 OK\n< \n{ [33 bytes data]\nHostname: POD\n* left intact\n",
        "Hostname: POD\nGET / HTTP/1.1\nX-Forwarded-Server: traefik-57b79cf995-mx6zv\n\n",
        "Hostname: POD\nX-Envoy-Peer-Metadata-Id: router~10.0.0.1~gw-7f57ddc455-bbcdf.istio~istio.svc.cluster.local\n",
        "200 Hostname: POD\n",
        "Hello from POD!",
        "POD,",
    ] {
        assert_eq!(read(ten(line)), expected, "{line}");
    }
    let array = format!("[{}]", ten("{\"pod\":\"POD\"},\n").trim_end_matches(",\n"));
    assert_eq!(read(array), expected);
    let names = format!("[{}]", ten("\"POD\", ").trim_end_matches(", "));
    assert_eq!(read(names), expected);
    let lines = ten("Pod Name: POD\n");
    let numbered = lines.lines().zip(1..);
    let numbered: Vec<String> = numbered
        .map(|(line, number)| format!("{number:6}\t{line}\n"))
        .collect();
    assert_eq!(read(numbered.concat()), expected);
}

#[test]
fn a_table_of_counts_is_counted_as_one() {
    let expected = (counts(&[(A, 69), (B, 30)]), 0);
    for table in [
        "     69 {A}\n     30 {B}\n",
        "     69 Pod Name: {A}</p>\n     30 Pod Name: {B}</p>\n",
        "69 {A}\n30 {B}",
        "{A} 69\n{B} 30\n",
        "{A}: 69\n{B}: 30\n",
        "{A}=69\n{B}=30\n",
        "{A}\t69\n{B}\t30\n",
        "69,{A}\n30,{B}\n",
        "{A};69\n{B};30\n",
        "| {A} | 69 |\n| {B} | 30 |\n",
        "pod requests\n{A} 69\n{B} 30\ntotal 99\n",
        "{A} -> 69\n{B} -> 30\n",
        "69 x {A}\n30 x {B}\n",
        "{A} (69)\n{B} (30)\n",
        "      1 {A}\n     30 {B}\n     68 {A}\n",
    ] {
        assert_eq!(read(pods(table)), expected, "{table}");
    }
    assert_eq!(
        read("  69 v1\n  30 v2\n"),
        (counts(&[("v1", 69), ("v2", 30)]), 0)
    );
    let labelled = answers("  69 v1\n  30 v2\n", &[]).unwrap();
    assert_eq!(labelled.first_unnamed, None);
    let words = answers("  1000 app-a\n   990 app-b\n", &[]).unwrap();
    let expected = counts(&[("app-a", 1000), ("app-b", 990)]);
    assert_eq!(words.named.into_iter().collect::<Vec<_>>(), expected);
    assert!(answers("  1000 200\n   990 503\n", &[]).is_err());
    let with_errors =
        pods("     69 {A}\n     30 {B}\n      7 curl: (7) Failed to connect to shop port 80\n");
    assert_eq!(read(with_errors), (counts(&[(A, 69), (B, 30)]), 7));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for log in [
        "70% {A}\n30% {B}\n",
        "NAME READY STATUS RESTARTS AGE\n{A} 1/1 Running 0 5d\n{B} 1/1 Running 0 5d\n",
        "{A} 1/1 Running 0 5d\n{B} 1/1 Running 0 5d\n",
        "{\"{A}\":69,\"{B}\":30}",
        "[{\"pod\":\"{A}\",\"count\":69},{\"pod\":\"{B}\",\"count\":30}]",
        "200 {A}\n200 {B}\n",
        "3 {A}\n5 {B}\n4 {A}\n",
        "gateway {A} asked {B}\n",
        "{A} {A}\n{B} {B}\n{A} {A}\n",
        "Hostname: {A}\npod: {A}\nHostname: {B}\nHostname: {A}\npod: {A}\n",
        "Summary:\n  Total: 1 s\n  Requests/sec: 50\nStatus code distribution:\n [200] 99 {A}\n",
        "     http_reqs......................: 99 1/s\n",
        "{\"type\":\"Point\",\"metric\":\"http_reqs\",\"data\":{\"value\":1}}\n",
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"{A}\"}}",
        "     69 Hostname: {A}\n     69 pod: {A}\n     30 pod: {B}\n",
        &*"Hostname: edge-6d4b75cb6d-hp8mk\nBackend: {A}\nHostname: edge-6d4b75cb6d-hp8mk\nBackend: {B}\n".repeat(10),
    ] {
        assert!(!refused(&pods(log)).is_empty(), "{log}");
    }
    let doubled = ten("Pod Name: POD\nPod Name: POD\n");
    assert!(refused(&doubled).contains("several times"));
}

#[test]
fn answers_that_name_nobody_count_as_such() {
    let page = "<html>\n<title>503 Service Unavailable</title>\n</html>\n";
    let expected = |unnamed| (counts(&[(A, 6), (B, 4)]), unnamed);
    let log = ten("Hostname: POD\n");
    assert_eq!(read(format!("{page}{log}{page}")), expected(2));
    assert_eq!(
        read(format!("{log}curl: (7) Failed to connect\nok\n")),
        expected(2)
    );
    let pages = ten("Hostname: POD\nIP: 10.0.0.1\n\n");
    assert_eq!(
        read(format!("{pages}curl: (28) Operation timed out\n")),
        expected(1)
    );
    let answers = answers(format!("{pages}{page}"), &[]).unwrap();
    assert_eq!((answers.unnamed, answers.passed_over), (1, 10));
    assert_eq!(answers.first_unnamed.as_deref(), Some("IP: 10.0.0.1"));
}

#[test]
fn errors_glued_to_bodies_of_any_form_are_never_lost() {
    let errors = [
        "no healthy upstream",
        "upstream connect error or disconnect/reset before headers. reset reason: connection failure, transport failure reason: delayed connect error: 111",
        "upstream connect error or disconnect/reset before headers. reset reason: one that is new",
        "error code: 502",
        "Service Unavailable",
        "Jwt is missing",
        "an error that nobody knows",
        "<html><h1>503 Service Unavailable</h1></html>",
        "{\"message\":\"no Route matched with those values\"}",
    ];
    let bodies = [
        "POD",
        "POD\n",
        "Hostname: POD\n",
        "Hostname: POD",
        "{\"pod\":\"POD\"}",
        "\"POD\"",
        "<html>Pod Name: POD</html>",
        "Hello from POD!",
        "Hostname: POD\nIP: 10.0.0.1\n\n",
    ];
    for (error, body) in errors
        .iter()
        .flat_map(|error| bodies.map(|body| (error, body)))
    {
        for many in [1, 3] {
            let log = ten(body).repeat(4);
            let glued: String = (0..20).map(|_| error.repeat(many) + &log).collect();
            let Ok(read) = answers(&glued, &[]) else {
                continue;
            };
            let named = [A, B]
                .iter()
                .filter_map(|pod| read.named.get(*pod))
                .sum::<u64>();
            let unnamed = read.unnamed + read.named_in_all() - named;
            // More than 1 % without a name, or too few for a PASS.
            assert!(
                unnamed >= 20 || named < 100,
                "{named} and {unnamed}: {error} {body}"
            );
        }
    }
}

#[test]
fn a_rule_of_the_users_finds_several_answers_in_a_line() {
    let answers = answers("\"blue\"\"blue\"\"yellow\"\"blue\"", &["\"(\\w+)\""]).unwrap();
    assert_eq!(
        answers.named.into_iter().collect::<Vec<_>>(),
        counts(&[("blue", 3), ("yellow", 1)])
    );
}

#[test]
fn a_pods_own_log_counts_its_requests_and_no_probes() {
    let log = pods(
        "[pod/{A}/web] starting\n[pod/{A}/web] \"GET /healthz HTTP/1.1\" 200 \"kube-probe/1.30\"\n[pod/{A}/web] \"GET / HTTP/1.1\" 200\n[pod/{B}/web] \"GET / HTTP/1.1\" 200\n[pod/{A}/web] \"GET / HTTP/1.1\" 200\n",
    );
    let answers = answers(log, &[]).unwrap();
    assert_eq!(
        answers.named.into_iter().collect::<Vec<_>>(),
        counts(&[(A, 2), (B, 1)])
    );
    assert_eq!((answers.unnamed, answers.passed_over), (0, 2));
    let json = ten(
        "[pod/POD/web] {\"method\":\"GET\",\"path\":\"/\",\"status\":200}\n[pod/POD/web] {\"method\":\"GET\",\"path\":\"/healthz\",\"status\":200}\n",
    );
    assert_eq!(read(json), (counts(&[(A, 6), (B, 4)]), 0));
    let stern = format!(
        "+ {A} › web\n{A} web \"GET / HTTP/1.1\" 200 \"kube-probe/1.30\"\n{}- {B} › web\n",
        ten("POD web \"GET / HTTP/1.1\" 200\n")
    );
    assert_eq!(read(stern), (counts(&[(A, 6), (B, 4)]), 0));
}

#[test]
fn records_of_pods_in_json_are_answers_where_they_tell_of_a_request() {
    let fastify = |pod: &str| {
        format!(
            "{{\"level\":30,\"hostname\":\"{pod}\",\"req\":{{\"method\":\"GET\",\"url\":\"/\"}},\"msg\":\"incoming request\"}}\n{{\"level\":30,\"hostname\":\"{pod}\",\"res\":{{\"statusCode\":200}},\"msg\":\"request completed\"}}\n"
        )
    };
    let started = "{\"level\":30,\"hostname\":\"{A}\",\"msg\":\"listening\"}\n";
    let log = pods(&format!("{started}{}", ten(&fastify("POD"))));
    let read = answers(log, &[]).unwrap();
    let counted: Vec<_> = read.named.into_iter().collect();
    assert_eq!((counted, read.passed_over), (counts(&[(A, 6), (B, 4)]), 11));
    // Where none tells of one, each is an answer, unless they come in pairs.
    let console = "{\"level\":\"info\",\"msg\":\"POD\",\"source\":\"console\"}\n";
    assert_eq!(self::read(ten(console)), (counts(&[(A, 6), (B, 4)]), 0));
    let doubled = ten(&console.repeat(2)).repeat(2);
    assert!(refused(&doubled).contains("several times"));
}

#[test]
fn every_head_of_a_response_begins_an_answer() {
    let log = format!(
        "{}HTTP/1.1 503 Service Unavailable\r\n\r\nno healthy upstream\nHTTP/1.1 302 Found\r\nlocation: /login\r\n\r\n",
        ten("HTTP/1.1 200 OK\r\nx-served-by: POD\r\n\r\n")
    );
    assert_eq!(read(log), (counts(&[(A, 6), (B, 4)]), 2));
    assert!(refused("HTTP/1.1 200 OK\n\nhello\n").contains("first: \"HTTP/1.1 200 OK\""));
}

#[test]
fn a_log_that_names_nobody_is_refused_with_its_first_line() {
    assert!(refused("\n\nhello\nworld\n").contains("first: \"hello\""));
    assert!(answers("", &[]).unwrap().named.is_empty());
}

#[test]
fn hostile_logs_are_read_in_bounded_memory() {
    let mut log = vec![0xff; 3 * MAX_RESPONSE_LENGTH];
    log.extend_from_slice(b"\nRequest # 1\n");
    log.extend(std::iter::repeat_n(b'\n', 2 * MAX_RESPONSE_LENGTH));
    log.extend_from_slice(b"Request # 2\nPod Name: \xff\xfe</p>\nPod Name: web-0</p>\n");
    let rules = Rules::builtin();
    let answers = super::read(&log[..], &rules, &[]).unwrap();
    assert_eq!((answers.named_in_all(), answers.unnamed), (1, 1));
    for unit in [
        "{",
        "[",
        "\"",
        "<html>",
        "{\"a\":",
        "[{",
        "\\",
        "Pod Name: web-0</p>",
        "a-bcdfg ",
    ] {
        let log = unit.repeat((1 << 20) / unit.len());
        let _ = super::read(log.as_bytes(), &rules, &[]);
    }
}
