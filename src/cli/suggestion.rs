//! What was probably meant by a misspelt word.

/// How alike two words must be, by Jaro and Winkler's measure, for one to be taken for the other.
const ALIKE: f64 = 0.85;

/// The known word that resembles `word` most, where one does.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|&known| (strsim::jaro_winkler(word, known), known))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// What to say when the first argument is a misspelt subcommand. clap takes it for a URL, and would say that nobody
/// of that name answers.
pub(super) fn misspelt_subcommand(argument: &str, known: &[&str]) -> Option<String> {
    let is_a_word = argument
        .bytes()
        .all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
        && !argument.starts_with('-')
        && argument != "localhost";
    if !is_a_word || known.contains(&argument) {
        return None;
    }
    let meant = nearest(argument, known)?;
    Some(format!(
        "there is no subcommand '{argument}'; did you mean '{meant}'? An ingress of that name is http://{argument}/"
    ))
}

/// Flags of curl, k6, oha, hey, wrk and kubectl that lbtest has not, and what it has in their place.
const OF_OTHERS: &[(&[&str], &str)] = &[
    (
        &["-L", "--location", "--redirect", "--max-redirects", "-r"],
        "redirects are never followed: who redirects has answered, and what it leads to would be another request; \
         give the URL that it leads to",
    ),
    (
        &["-disable-redirects"],
        "redirects are never followed; drop it",
    ),
    (&["-I", "--head"], "write -m HEAD"),
    (&["-host"], "write --host NAME"),
    (&["-expect"], "write --expect v1=70,v2=30"),
    (&["-h2", "--http2-prior-knowledge"], "write --http2"),
    (
        &["--http3", "--http1.0", "-0"],
        "HTTP/3 is not spoken, only HTTP/1.1 and --http2",
    ),
    (
        &[
            "-cpus",
            "-more",
            "-disable-compression",
            "--no-compression",
            "--compressed",
            "-S",
            "--show-error",
        ],
        "drop it",
    ),
    (
        &[
            "-disable-keepalive",
            "--disable-keepalive",
            "--no-connection-reuse",
            "--noConnectionReuse",
        ],
        "every request has a connection of its own unless --keep-alive is given; drop it",
    ),
    (
        &["--vus", "--connections"],
        "write -c N for the requests in flight at once",
    ),
    (
        &["-i", "--iterations"],
        "write -n N for the number of requests",
    ),
    (
        &["--rps", "--qps", "--query-per-second", "-R"],
        "write -q R, such as -q 500/s",
    ),
    (
        &["--stage", "--stages"],
        "the pace is the same all through the run: write -q R",
    ),
    (
        &["--max-time"],
        "write -t D for one exchange, --max-duration D for the run",
    ),
    (&["-s", "--silent"], "write --quiet"),
    (&["--no-tui"], "write --no-progress"),
    (
        &["--no-color", "--disable-color"],
        "write --color never, or set NO_COLOR",
    ),
    (
        &["-f", "--fail", "--fail-with-body"],
        "drop it: the exit status is the verdict, and --max-error v2=1% bounds errors",
    ),
    (
        &["--retry", "--retry-all-errors"],
        "nothing is sent again until it succeeds: that would hide what it failed for",
    ),
    (
        &["-x", "--proxy", "--socks5"],
        "lbtest dials the target itself: write --connect-to or --resolve to reach another address",
    ),
    (
        &["-4", "-6", "--ipv4", "--ipv6"],
        "give the address with --resolve HOST:PORT:ADDRESS",
    ),
    (
        &["--interface", "--local-port"],
        "the system chooses the local address; drop it",
    ),
    (
        &["-G", "--get"],
        "put the query into the URL, or write --path",
    ),
    (&["-a", "--basic-auth"], "write -u NAME:PASSWORD"),
    (&["-T", "--content-type"], "write -H 'Content-Type: …'"),
    (&["-e", "--referer"], "write -H 'Referer: …'"),
    (&["-D", "--upload-file"], "write --data-file FILE"),
    (
        &["--data-raw", "--data-binary", "--data-ascii", "--body"],
        "write -d TEXT, or -d @FILE",
    ),
    (
        &["-F", "--form", "--data-urlencode"],
        "write the body to a file and send it with --data-file FILE",
    ),
    (&["--insecure-skip-tls-verify"], "write -k"),
    (&["-E"], "write --cert FILE and --key FILE"),
    (&["-p"], "write --streams N, with --http2 and --keep-alive"),
    (
        &["--latency", "--latency-correction"],
        "drop it: latencies stand in every report",
    ),
    (
        &[
            "-w",
            "-j",
            "--write-out",
            "--summary-export",
            "--output-format",
            "--out",
        ],
        "write --json FILE, or -o json; --junit, --markdown, --openmetrics and --html write others",
    ),
    (
        &["--rand-regex-url", "--urls-from-file", "--script"],
        "every request is the same: give one URL",
    ),
    (&["--url"], "give the URL without an option"),
];

/// Those of hey, and slips, begin with one dash: clap reads them as several short options, of which some take a value.
const OF_ONE_DASH: &[&str] = &[
    "-host",
    "-expect",
    "-h2",
    "-cpus",
    "-more",
    "-disable-keepalive",
    "-disable-compression",
    "-disable-redirects",
];

/// What to write in place of a flag that other clients have.
pub(super) fn in_place_of(flag: &str) -> Option<&'static str> {
    let row = OF_OTHERS.iter().find(|(flags, _)| flags.contains(&flag));
    row.map(|&(_, remedy)| remedy)
}

/// The first of hey's flags among the arguments.
pub(super) fn of_one_dash(arguments: impl Iterator<Item = String>) -> Option<String> {
    arguments
        .take_while(|argument| argument != "--")
        .find(|argument| OF_ONE_DASH.contains(&argument.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_clients_call_it_stands_in_one_row_and_has_a_remedy() {
        let all: Vec<&str> = OF_OTHERS
            .iter()
            .flat_map(|(flags, _)| *flags)
            .copied()
            .collect();
        for (place, flag) in all.iter().enumerate() {
            assert!(!all[..place].contains(flag), "{flag} twice");
        }
        for flag in OF_ONE_DASH {
            assert!(in_place_of(flag).is_some(), "{flag}");
        }
    }

    #[test]
    fn a_misspelt_subcommand_is_told_from_the_name_of_an_ingress() {
        let suggested = |argument| misspelt_subcommand(argument, &["demo", "analyze", "plan"]);
        for (argument, meant) in [("dmeo", "demo"), ("analyse", "analyze"), ("plna", "plan")] {
            let sentence = suggested(argument).unwrap();
            assert!(sentence.contains(&format!("'{meant}'")), "{sentence}");
        }
        for argument in [
            "demo",
            "localhost",
            "http://demp/",
            "demo.example",
            "demo:80",
            "shop",
            "--dmeo",
            "",
        ] {
            assert_eq!(suggested(argument), None, "{argument}");
        }
    }
}
