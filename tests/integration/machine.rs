//! What happens when this machine runs out of something.

use std::process::{Command, Stdio};

use lbtest::parts::Ingress;

use crate::program::{Ran, codes, in_turn};

#[test]
fn too_few_open_files_are_explained_and_no_request_is_lost() {
    let ingress = Ingress::start(&in_turn("v1=70,v2=30")).unwrap();
    let url = format!("http://{}/", ingress.addr());
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_lbtest"))
        .args([
            &url,
            "--expect",
            "v1=70,v2=30",
            "-c",
            "60",
            "-n",
            "2000",
            "--threads",
            "1",
            "--json",
            "-",
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let ran = Ran::from(output);
    let report = ran.json();
    let requests = &report["requests"];
    let number = |field: &str| requests[field].as_u64().unwrap();
    assert_eq!(
        number("sent"),
        number("attributed") + number("unattributed")
    );
    assert_eq!(
        number("never_sent"),
        requests["by_failure"]["local"].as_u64().unwrap()
    );
    assert!(number("never_sent") > 0, "{ran:?}");
    // Those that get no connection wait, so that the others have time for all that is asked for.
    assert_eq!(number("attributed"), 2000, "{ran:?}");
    let most_open = report["connections"]["most_open"].as_u64().unwrap();
    assert!((1..40).contains(&most_open), "{most_open}");
    assert!(ran.stdout.contains("ulimit -n"), "{ran:?}");
    let findings = report["findings"].as_array().unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding["code"] == "concurrency_not_reached"),
        "{ran:?}"
    );
    assert!(codes(&report).contains(&"requests_failed"), "{ran:?}");
    drop(ingress);
}

#[test]
fn threads_that_the_system_does_not_start_are_told_with_the_remedy() {
    // Each thread reserves 2 MiB of addresses for its stack.
    let ran: Ran = std::process::Command::new("bash")
        .args(["-c", "ulimit -v 600000; exec \"$0\" \"$@\""])
        .args([
            env!("CARGO_BIN_EXE_lbtest"),
            "demo",
            "--expect",
            "v1=70,v2=30",
        ])
        .args(["--threads", "1000", "-c", "1000"])
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.status, 4, "{ran:?}");
    assert!(ran.stdout.contains("--threads, or raise"), "{ran:?}");
}

#[test]
fn what_this_machine_lacks_is_one_sentence_with_the_remedy() {
    for (limit, arguments, remedy) in [
        (
            "ulimit -n 6",
            "demo --expect v1=70,v2=30 -n 500",
            "raise `ulimit -n`",
        ),
        (
            "ulimit -n 6",
            "serve --config tests/data/serve.toml --listen 0",
            "raise `ulimit -n`",
        ),
        (
            "ulimit -n 14",
            "demo --expect v1=70,v2=30 -n 500",
            "raise `ulimit -n`",
        ),
        (
            "ulimit -v 200000",
            "demo --expect v1=70,v2=30 -n 50k -c 10000 --threads 4",
            "raise ulimit -v",
        ),
    ] {
        let ran = limited(limit, arguments);
        assert_eq!(ran.status, 4, "{ran:?}");
        let message = [&*ran.stdout, &*ran.stderr].concat();
        assert!(message.contains(remedy), "{ran:?}");
    }
    let ran = limited(
        "true",
        "demo --expect v1=70,v2=30 --threads 40000 -c 40000 -n 50k",
    );
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("1 to 1024"), "{ran:?}");
}

fn limited(limit: &str, arguments: &str) -> Ran {
    let script = format!("{limit}; exec \"$0\" {arguments}");
    let output = Command::new("bash")
        .args(["-c", &script])
        .arg(env!("CARGO_BIN_EXE_lbtest"))
        .stdin(Stdio::null())
        .output();
    output.unwrap().into()
}
