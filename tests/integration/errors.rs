//! Bad input gets one clear sentence that names the flag or value, and exit status 2.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::process::Command;

use crate::program::{Ran, command, lbtest, lbtest_reading};

/// One `error:` line (warnings may stand before it) that holds `named`.
fn refused(arguments: &[&str], named: &str) {
    let ran = lbtest(arguments);
    assert_eq!(ran.status, 2, "{arguments:?}: {ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    let errors: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| !line.starts_with("warning: "))
        .collect();
    assert_eq!(errors.len(), 1, "{arguments:?}: {ran:?}");
    assert!(errors[0].starts_with("error: "), "{ran:?}");
    assert!(errors[0].contains(named), "{arguments:?}: {}", errors[0]);
}

#[test]
fn what_would_change_nothing_is_refused_with_its_remedy() {
    let split = ["--expect", "v1=70,v2=30"];
    let tcp = ["tcp://127.0.0.1:9", "--expect", "v1=70,v2=30"];
    let analyze = [
        "analyze",
        "--expect",
        "v1=1,v2=1",
        "--observed",
        "v1=9,v2=9",
    ];
    let stable = "scripts/challenge/stable";
    let from = ["--expect-from", stable];
    for (command, idle, remedy) in [
        (
            &["--expect-even=5"][..],
            &["--tolerance", "2"][..],
            "write --even-tolerance",
        ),
        (
            &["demo", "--expect-even=5"],
            &["--tolerance", "2"],
            "write --even-tolerance",
        ),
        (
            &["plan", "--expect-even=5"],
            &["--tolerance", "2"],
            "write --even-tolerance",
        ),
        (
            &["analyze", "--expect-even=5"],
            &["--tolerance", "2"],
            "write --even-tolerance",
        ),
        (&split, &["--even-tolerance", "10"], "add --expect-even"),
        (&["demo"], &["--even-tolerance", "10"], "add --expect-even"),
        (
            &["plan", split[0], split[1]],
            &["--even-tolerance", "10"],
            "add --expect-even",
        ),
        (&analyze, &["--even-tolerance", "10"], "add --expect-even"),
        (
            &[split[0], split[1], "--expect-sticky"],
            &["--judge", "tolerance"],
            "drop --judge",
        ),
        (
            &[split[0], split[1], "--expect-sticky"],
            &["--max-unattributed", "3"],
            "drop --max-unattributed",
        ),
        (&tcp, &["--max-error", "v2=1%"], "drop --max-error"),
        (
            &[split[0], split[1], "--unix-socket", "/run/x"],
            &["--resolve", "a:80:127.0.0.1"],
            "drop one of them",
        ),
        (
            &[split[0], split[1], "--unix-socket", "/run/x"],
            &["--connect-to", "::b:80"],
            "drop one of them",
        ),
        (
            &["http://a/", split[0], split[1]],
            &["--host", "shop", "--resolve", "shop:80:127.0.0.1"],
            "write a:80:ADDRESS",
        ),
        (&tcp, &["--header", "a: b"], "drop it"),
        (&split, &["--route", "shop/web"], "--expect-from"),
        (&split, &["--step", "2"], "--expect-from"),
        (&split, &["--check", "canary"], "--expect"),
        (&from, &["--check", "canary"], "--all"),
        (
            &["http://a/", split[0], split[1]],
            &["--sni", "a"],
            "https://",
        ),
        (&analyze, &["--identify", "x(.)"], "--observed"),
        (&analyze, &["--backend", "v1=x"], "--observed"),
        (
            &["plan", split[0], split[1]],
            &["--max-duration", "5m"],
            "--rate",
        ),
        (
            &["lint", stable, "-n", "500"],
            &["--alpha", "0.01"],
            "--requests",
        ),
        (
            &["lint", stable, "-n", "500"],
            &["--tolerance", "2"],
            "--requests",
        ),
        (&["follow", "--until", "50"], &["--until-live"], "--until"),
        (&["compare", stable, stable], &["--alpha", "0.01"], "--from"),
        (&["demo"], &["--limit-status", "429"], "--limit-rpm"),
        (&["demo"], &["--limit-backend", "v2"], "--limit-rpm"),
        (&["demo"], &["--burst-multiplier", "2"], "--limit-rpm"),
        (&["demo", "--grpc"], &["--page", "echo"], "drop --page"),
    ] {
        refused(&[command, idle].concat(), remedy);
    }
}

#[test]
fn a_limit_of_pods_is_told_as_it_is_kept() {
    for even in [
        "--expect-even=0",
        "--expect-even=1001",
        "--expect-even=v1=0",
    ] {
        refused(&[even], "from 1 to 1000");
    }
}

#[test]
fn each_bad_argument_is_named_in_one_sentence() {
    let expect = ["--expect", "v1=70,v2=30"];
    for (expect, named) in [
        ("v1=70,v2", "'v2' has no weight"),
        ("70,30", "such as v1=70,v2=30"),
        ("v1=-1,v2=2", "'-1'"),
        ("v1=0", "sum to 0"),
        ("v1=1,v1=2", "twice"),
        ("v1=NaN,v2=1", "NaN"),
        ("v1=inf,v2=1", "inf"),
        ("", "no backends"),
        ("=1", "''"),
    ] {
        refused(&["--expect", expect], named);
    }
    for (more, named) in [
        (&["--identify", "("][..], "--identify"),
        (&["--identify", "header:"], "--identify"),
        (&["--identify", "json:x"], "--identify"),
        (&["--json", "/no/such/folder/report.json"], "--json"),
        (&["--json", "/"], "--json"),
        (&["-n", "0"], "--requests"),
        (&["-n", "ten"], "--requests"),
        (&["-n", "-5"], "--requests"),
        (&["--tolerance", "-1"], "--tolerance"),
        (&["-c", "0"], "--concurrency"),
        (&["-z", "0"], "--duration"),
        (&["-t", "-1s"], "-1"),
        (&["--alpha", "2"], "--alpha"),
        (&["--tolerance", "0.05"], "did you mean 5?"),
        (&["--alpha", "0"], "--alpha"),
        (&["--alpha", "nan"], "--alpha"),
        (&["--tolerance", "0"], "--tolerance"),
        (&["--tolerance", "100"], "--tolerance"),
        (&["--max-unattributed", "101"], "--max-unattributed"),
        (&["--judge", "guess"], "--judge"),
        (&["-q", "0/s"], "--rate"),
        (&["-q", "5/fortnight"], "--rate"),
        (&["-H", "Host: x"], "--host"),
        (&["-H", "no colon"], "--header"),
        (&["-u", "nobody"], "--user needs a name and a password"),
        (&["-A", "a", "-H", "user-agent: b"], "--user-agent and"),
        (&["--http1.1", "--http2"], "--http2"),
        (&["-o", "report.txt"], "write -o json=report.txt"),
        (&["-m", "G T"], "-m"),
        (&["-m", "10"], "a time limit is -t"),
        (&["--host", "a b"], "--host"),
        (&["--backend", "v9=x"], "--backend"),
        (&["--backend", "v2"], "--backend"),
        (&["--max-p99", "v2"], "--max-p99"),
        (&["--max-error", "v9=1%"], "--max-error"),
        (&["--max-error", "v2=200%"], "from 0 to 100"),
        (&["--sequential", "--keep-alive"], "--sequential"),
        (&["--tolerence", "5"], "--tolerance"),
        (&["-z", "20m"], "raise --max-duration"),
        (&["v3=5"], "are these weights?"),
        (&["-expect", "v1=1"], "write --expect"),
        (&["--seed", "x"], "write a whole number"),
        (&["a", "b"], "'b' is one word too many"),
        (&["ftp://localhost/"], "'ftp'"),
        (&["http://localhost:99999/"], "URL"),
        (&["http://user:secret@localhost/"], "credentials"),
    ] {
        refused(&[&expect[..], more].concat(), named);
    }
    refused(&["--expect", "a=1,b=1,c=1", "--alpha", "1e-7"], "--alpha");
    refused(&["ingress"], "--split");
    refused(
        &["demo", "--expect", "v1=1,v2=1", "--fault", "v9=503"],
        "v9",
    );
    refused(
        &["plan", "--expect", "v1=1,v2=1", "--shift", "5"],
        "--power",
    );
    refused(
        &[
            "plan",
            "--expect",
            "v1=1,v2=1",
            "--shift",
            "5",
            "--power",
            "1",
        ],
        "--power",
    );
    refused(
        &["plan", "--expect", "v1=1,v2=1", "--tolerance", "1e-9"],
        "raise --tolerance",
    );
    refused(
        &["analyze", "--expect", "v1=1,v2=1", "--observed", "v3=1"],
        "--observed",
    );
    refused(
        &["analyze", "--expect", "v1=1,v2=1", "--observed", "v1=-1"],
        "--observed",
    );
    refused(
        &[
            "analyze",
            "--expect",
            "v1=1,v2=1",
            "--observed",
            "v1=1,v1=2",
        ],
        "--observed",
    );
}

#[test]
fn a_report_that_cannot_be_written_is_found_before_load_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    refused(
        &[&url, "--expect", "v1=1,v2=1", "--json", "/no/such/folder/x"],
        "--json",
    );
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn relative_weights_are_echoed_as_shares() {
    let ran = lbtest(&["analyze", "--expect", "a=3,b=1", "--observed", "a=3,b=1"]);
    assert!(
        ran.stderr.contains("warning:") && ran.stderr.contains("75 %"),
        "{ran:?}"
    );
}

#[test]
fn a_log_of_junk_is_read_without_harm() {
    let mut junk: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    junk.extend(b"\nResquest # 1\nPod Name: \x1b[2Jevil</p>\nResquest # 2\n");
    let ran = lbtest_reading(&["analyze", "--expect", "v1=1,v2=1"], &junk);
    assert_eq!(ran.status, 4, "{ran:?}");
    assert!(!ran.stdout.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn what_a_full_disk_cannot_take_is_not_passed_over() {
    let ran = |arguments: &[&str]| -> Ran {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        command(arguments).stdout(full).output().unwrap().into()
    };
    // Half a script or manifest is none.
    for arguments in [&["completions", "bash"][..], &["man"]] {
        let ran = ran(arguments);
        assert_eq!(ran.status, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.starts_with("error: stdout: No space"), "{ran:?}");
    }
    let plan = ran(&["plan", "--expect", "v1=70,v2=30"]);
    assert!(plan.stderr.contains("could not be printed"), "{plan:?}");
}

#[test]
fn a_pipe_that_nobody_reads_is_told_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let pipe = pipe.to_str().unwrap();
    let demo = ["demo", "--expect", "v1=70,v2=30", "-n", "100"];
    refused(
        &[&demo[..], &["--json", pipe]].concat(),
        "start its reader first",
    );
}

#[test]
fn a_report_keeps_the_mode_of_the_file_that_it_replaces() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    for mode in [0o600, 0o664] {
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let path = file.to_str().unwrap();
        let ran = lbtest(&[
            "demo",
            "--expect",
            "v1=70,v2=30",
            "-n",
            "100",
            "--json",
            path,
        ]);
        assert_ne!(ran.status, 2, "{ran:?}");
        let now = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(now & 0o7777, mode);
    }
}

#[test]
fn a_reader_of_the_json_report_that_goes_away_changes_no_status() {
    let mut run = command(&[
        "demo",
        "--expect",
        "v1=70,v2=30",
        "-n",
        "5000",
        "--json",
        "-",
    ])
    .spawn()
    .unwrap();
    drop(run.stdout.take());
    let ran: Ran = run.wait_with_output().unwrap().into();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(!ran.stderr.contains("error: "), "{ran:?}");
}

#[test]
fn a_token_file_without_an_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lbtest.toml");
    let check = "[[check]]\nname = \"a\"\nurl = \"http://127.0.0.1:1/\"\nexpect = \"v1=1,v2=1\"\n";
    fs::write(&config, check).unwrap();
    let config = config.to_str().unwrap();
    let arguments = ["serve", "--config", config, "--token-file", "/dev/zero"];
    refused(&arguments, "--token-file /dev/zero is larger than 64 KiB");
}

#[test]
fn a_traefik_service_without_services_is_refused() {
    let manifest = "\
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: r}
spec: {entryPoints: [web], routes: [{kind: Rule, match: PathPrefix(`/`), services: [{kind: TraefikService, name: w}]}]}
---
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: w}
spec: {weighted: {services: []}}
";
    let ran = lbtest_reading(&["plan", "--expect-from", "-"], manifest.as_bytes());
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("services is empty"), "{ran:?}");
    let ran = lbtest_reading(&["lint", "-"], manifest.as_bytes());
    assert!([1, 2].contains(&ran.status), "{ran:?}");
}

const STABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/challenge/stable");

/// What a command needs besides the option that is tried, so that nothing but its value can be wrong. The servers find
/// their address taken, and end.
fn beside(command: &str, option: &str, taken: &str) -> Vec<String> {
    let pairs: &[[&str; 2]] = match command {
        "" | "demo" => &[["--expect", "v1=70,v2=30"], ["--requests", "9"]],
        "ingress" => &[["--split", "v1=70,v2=30"], ["--listen", taken]],
        "serve" => &[["--listen", taken]],
        "plan" if option == "shift" => &[["--expect", "v1=70,v2=30"], ["--power", "0.9"]],
        "plan" if option == "power" => &[["--expect", "v1=70,v2=30"], ["--shift", "5"]],
        "plan" => &[["--expect", "v1=70,v2=30"]],
        "analyze" if ["observed", "identify"].contains(&option) => &[["--expect", "v1=70,v2=30"]],
        "analyze" if option == "metrics" => &[["--expect", "v1=70,v2=30"]],
        "analyze" if ["prometheus", "query", "by", "header"].contains(&option) => &[
            ["--expect", "v1=70,v2=30"],
            ["--prometheus", "http://127.0.0.1:1/"],
            ["--query", "requests_total[5m]"],
        ],
        "analyze" => &[["--expect", "v1=70,v2=30"], ["--format", "nginx"]],
        "compare" => &[
            ["--from", STABLE],
            ["--before", "http://127.0.0.1:1/"],
            ["--after", "http://127.0.0.1:1/"],
        ],
        "canary" => &[
            ["--suffix", "v2"],
            ["--image", "app:v2"],
            ["--weight", "30"],
        ],
        _ => &[],
    };
    let pairs = pairs.iter().filter(|[flag, _]| flag[2..] != *option);
    // A split is expected of one side alone.
    let pairs = pairs.filter(|[flag, _]| option != "expect-even" || *flag != "--expect");
    let given = match command {
        "" => Some("http://127.0.0.1:1/"),
        "canary" | "checks" | "lint" => Some(STABLE),
        "merge" => Some("shard.json"),
        _ => None,
    };
    let words = pairs.flatten().copied().chain(given);
    words.map(str::to_owned).collect()
}

/// Options that take any text, or a file's name, so that each of [`ODD`] is a value.
const ANY_TEXT: [&str; 7] = [
    " --data",
    "demo --data",
    "analyze --path",
    "analyze --query",
    "analyze --by",
    "canary --command",
    "canary --args",
];

/// What is no value of most options.
const ODD: [&str; 4] = ["~bogus~", "", "-1", "\u{7f}"];

#[test]
fn a_value_that_is_refused_is_refused_under_the_flag_that_was_typed() {
    let folder = tempfile::tempdir().unwrap();
    let check = "[[check]]\nname = \"a\"\nurl = \"http://127.0.0.1:1/\"\nexpect = \"v1=1,v2=1\"\n";
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let run = |arguments: &[&str]| -> Ran {
        let output = command(arguments).current_dir(folder.path()).output();
        output.unwrap().into()
    };
    let shard = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "-n",
        "9",
        "--shard",
        "0/1",
        "--json",
        "shard.json",
    ];
    assert_eq!(run(&shard).status, 0);
    let root = lbtest::parts::command();
    let (mut unnamed, mut never_refused) = (Vec::new(), Vec::new());
    for command_of in std::iter::once(&root).chain(root.get_subcommands()) {
        let is_root = command_of.get_name() == root.get_name();
        let name = if is_root { "" } else { command_of.get_name() };
        for argument in command_of.get_arguments() {
            let Some(option) = argument
                .get_long()
                .filter(|_| argument.get_action().takes_values())
            else {
                continue;
            };
            let mut refusals = 0;
            for value in ODD {
                let config = folder.path().join("lbtest.toml");
                let _ = if name == "serve" {
                    fs::write(config, check)
                } else {
                    fs::remove_file(config)
                };
                // What one option takes for a file's name another would read.
                let _ = fs::remove_file(folder.path().join(value));
                let typed = format!("--{option}={value}");
                let mut arguments = beside(name, option, &taken);
                arguments.insert(0, name.to_owned());
                arguments.push(typed.clone());
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let arguments = &arguments[usize::from(is_root)..];
                let ran = run(arguments);
                let is_taken = ran.stderr.contains("cannot listen on") && option != "listen";
                if ran.status == 2 && !is_taken {
                    if !ran.stderr.contains(&format!("--{option}")) {
                        unnamed.push(format!("{name} {typed}: {}", ran.stderr));
                    }
                    refusals += 1;
                }
            }
            // Where no step of a rollout comes, what the gate refuses is not looked at.
            if refusals == 0 && name != "follow" {
                never_refused.push(format!("{name} --{option}"));
            }
        }
    }
    assert!(unnamed.is_empty(), "{unnamed:#?}");
    assert_eq!(never_refused, ANY_TEXT);
    for (flag, named) in [
        ("-z", "--duration"),
        ("-t", "--timeout"),
        ("-n", "--requests"),
    ] {
        let ran = lbtest(&["--expect", "v1=1,v2=1", flag, "-5s"]);
        assert!(ran.status == 2 && ran.stderr.contains(named), "{ran:?}");
    }
}
