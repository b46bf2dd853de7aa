//! The page that says how answers are read, made by reading them.

use std::fmt::Write;

use http::{HeaderMap, HeaderName};
use lbtest::parts::{Finder, Headers, Rules, read_log};

use super::reference::{GENERATED, in_step};

const A: &str = "shop-7c5ddbdf54-x7kfd";
const B: &str = "shop-v2-6b8464cddd-nnjmj";

/// Answers: what they are, and a header or a body, `POD` standing for the pod.
const ANSWERS: [(&str, &str, &str); 40] = [
    ("Flask with the downward API", "", "<p>Pod Name: POD</p>"),
    (
        "Gateway API's echo-basic",
        "",
        "{\"path\":\"/\",\"pod\":\"POD\"}",
    ),
    (
        "Kubernetes' echoserver",
        "",
        "Hostname: h\n\nPod Information:\n\tpod name:\tPOD\n",
    ),
    (
        "echoserver without the downward API",
        "",
        "Hostname: POD\n\nPod Information:\n\t-no pod information available-\n",
    ),
    (
        "Kong's go-echo",
        "",
        "Running on Pod POD.\nIn namespace kong.\n",
    ),
    (
        "Ealenn's Echo-Server",
        "",
        "{\"host\":{\"hostname\":\"a.example\"},\"environment\":{\"HOSTNAME\":\"POD\"}}",
    ),
    (
        "mendhak's http-https-echo",
        "",
        "{\"hostname\":\"a.example\",\"os\":{\"hostname\":\"POD\"}}",
    ),
    (
        "traefik/whoami",
        "",
        "Hostname: POD\nIP: 127.0.0.1\nGET / HTTP/1.1\n",
    ),
    (
        "whoami's API",
        "",
        "{\"hostname\":\"POD\",\"ip\":[\"127.0.0.1\"]}",
    ),
    (
        "podinfo",
        "",
        "{\"hostname\": \"POD\",\"version\": \"6.0.0\"}",
    ),
    ("Istio's echo", "", "ServiceVersion=v1\nHostname=POD\n"),
    (
        "nginx-hello, text",
        "",
        "Server address: 10.1.0.9:80\nServer name: POD\n",
    ),
    (
        "nginx-hello, page",
        "",
        "<p><span>Server&nbsp;name:</span> <span>POD</span></p>",
    ),
    ("agnhost netexec", "", "POD"),
    (
        "Istio's helloworld",
        "",
        "Hello version: v1, instance: POD\n",
    ),
    ("hello-kubernetes", "", "<tr><th>pod:</th><td>POD</td></tr>"),
    (
        "kubernetes-bootcamp",
        "",
        "Hello Kubernetes bootcamp! | Running on: POD | v=1\n",
    ),
    (
        "echo-server of jmalloc",
        "",
        "Request served by POD\n\nGET / HTTP/1.1\n",
    ),
    (
        "hello-app of Google",
        "",
        "Hello, world!\nVersion: 1.0.0\nHostname: POD\n",
    ),
    ("a sentence", "", "Greetings from pod POD\n"),
    ("a sentence in any language", "", "Hallo aus POD!\n"),
    ("JSON, camel case", "", "{\"id\":7,\"podName\":\"POD\"}"),
    ("JSON, snake case", "", "{\"pod_name\": \"POD\"}"),
    (
        "JSON, nested",
        "",
        "{\"meta\":{\"k8s\":{\"pod\":\"POD\"}},\"ok\":true}",
    ),
    ("JSON, a message", "", "{\"message\":\"Hello from POD\"}"),
    ("JSON, an array", "", "[\"POD\"]"),
    (
        "JSON, an instance",
        "",
        "{\"instance\":\"POD\",\"uptime\":12}",
    ),
    ("key=value", "", "node=n1 pod=POD zone=a\n"),
    ("YAML", "", "kind: Echo\npodName: POD\n"),
    ("an attribute", "", "<div data-pod=\"POD\">hi</div>"),
    ("a comment in a page", "", "<html><!-- POD --></html>"),
    (
        "an environment dump",
        "",
        "HOME=/root\nHOSTNAME=POD\nPATH=/bin\n",
    ),
    ("a URL", "", "http://POD:8080/\n"),
    ("a name of the cluster", "", "POD.shop.svc.cluster.local\n"),
    ("X-Pod-Name", "x-pod-name", "ok"),
    ("X-Served-By", "x-served-by", "<html>shop</html>"),
    ("Server", "server", "ok"),
    ("X-Backend-Server", "x-backend-server", "ok"),
    ("X-Upstream", "x-upstream", "ok"),
    ("any other header", "x-anything", "ok"),
];

/// Who answered, and by which rule, as in the first response of a run.
fn read(header: &str, body: &str) -> (String, String) {
    let mut headers = HeaderMap::new();
    if !header.is_empty() {
        headers.insert(
            HeaderName::from_bytes(header.as_bytes()).unwrap(),
            A.parse().unwrap(),
        );
    }
    let headers = Headers::from(&headers);
    if let Some(name) = Rules::builtin().identify(headers, body.as_bytes()) {
        return (name.into_owned(), "known".to_owned());
    }
    let finder = Finder::new(Some(Vec::new()));
    let name = finder.identify(200, headers, body.as_bytes());
    let name = name.unwrap_or_else(|| panic!("{body}")).into_owned();
    (name, finder.naming().place.unwrap().to_string())
}

/// Logs: what they are, and what each answer leaves in them.
const LOGS: [(&str, &str); 15] = [
    ("the exercise's script", "Resquest # №\nPod Name: POD</p>\n"),
    ("a loop of curl", "Hostname: POD\n"),
    ("bodies without line breaks", "{\"pod\":\"POD\"}"),
    (
        "`kubectl logs --prefix`",
        "[pod/POD/web] 10.42.0.1 \"GET / HTTP/1.1\" 200\n",
    ),
    ("a time in front", "2024-11-23T10:00:00Z Running on: POD\n"),
    ("a status in front", "200 Hostname: POD\n"),
    (
        "pages of text",
        "Hostname: POD\nIP: 10.0.0.1\nGET / HTTP/1.1\n\n",
    ),
    (
        "pages that name their pod twice",
        "\nHostname: POD\n\nPod Information:\n\tpod name:\tPOD\n",
    ),
    ("pages of HTML", "<html>\n<p>POD</p>\n<p>POD</p>\n</html>\n"),
    ("NDJSON", "{\"hostname\":\"POD\"}\n"),
    ("pretty-printed JSON", "{\n  \"podname\": \"POD\"\n}\n"),
    ("events of a stream", "data: {\"pod\":\"POD\"}\n\n"),
    ("console lines of k6", "INFO[0001] POD source=console\n"),
    ("numbered lines", "     №\tPod Name: POD\n"),
    ("names alone", "POD\n"),
];

#[test]
fn the_page_of_answers_has_what_the_code_reads() {
    let mut page = format!(
        "{GENERATED}# Who answered\n\nWhat needs no option. *Known* forms are read wherever they come; elsewhere the first \
         responses show where they name their pod, and the report says where that was and which `--identify` pins it. A \
         response that holds two names, and a name that the request sent itself, count for nobody.\n\n## Answers\n\n\
         | answer | for example | the pod is read from |\n|---|---|---|\n"
    );
    let cell = |text: &str| {
        text.trim()
            .replace('\n', "⏎")
            .replace('\t', " ")
            .replace('|', "\\|")
    };
    for (what, header, body) in ANSWERS {
        let body = body.replace("POD", A);
        let (name, how) = read(header, &body);
        assert_eq!(name, A, "{what}");
        let example = if header.is_empty() {
            body
        } else {
            format!("{header}: {A}")
        };
        let how = if how == "known" { "a known form" } else { &how };
        let _ = writeln!(page, "| {what} | `{}` | {how} |", cell(&example));
    }
    page.push_str(
        "\n## Logs\n\n`lbtest analyze` reads these, here of five answers, two of them of the second version, and an error \
         of curl. It says how many answers named somebody and how many nobody, and refuses what could be read in two \
         ways.\n\n| log | one answer in it | first version | second | nobody |\n|---|---|---|---|---|\n",
    );
    for (what, line) in LOGS {
        let pods = [A, B, A, A, B].into_iter().zip(1..);
        let one =
            |(pod, number): (&str, u32)| line.replace("POD", pod).replace('№', &number.to_string());
        let mut log: String = pods.map(one).collect();
        let marker = if line.starts_with("Resquest") {
            "Resquest # 6\n"
        } else {
            "\n"
        };
        let _ = writeln!(log, "{marker}curl: (7) refused");
        let answers = read_log(log.as_bytes(), &Rules::builtin(), &[])
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((answers.named[A], answers.named[B]), (3, 2), "{what}");
        let _ = writeln!(
            page,
            "| {what} | `{}` | {} | {} | {} |",
            cell(&line.replace("POD", A).replace('№', "1")),
            answers.named[A],
            answers.named[B],
            answers.unnamed
        );
    }
    page.push_str(
        "\nA table of counts is read as one: `uniq -c`, or a name and its number on every line, with a space, a colon, a \
         comma, a tab or the like between them.\n",
    );
    in_step("identity.md", &page);
}
