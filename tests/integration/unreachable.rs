//! Nothing measured: exit status 4, in one sentence, soon.

use lbtest::parts::{Config, Ingress};

use crate::program::{Ran, codes, in_turn, lbtest};

fn ran(config: &Config, more: &[&str]) -> Ran {
    let ingress = Ingress::start(config).unwrap();
    let url = format!("http://{}/", ingress.addr());
    lbtest(
        &[
            &[url.as_str(), "--expect", "v1=70,v2=30", "--json", "-"],
            more,
        ]
        .concat(),
    )
}

fn config() -> Config {
    in_turn("v1=70,v2=30")
}

#[test]
fn a_refused_connection_names_the_address_and_the_demo() {
    let ran = lbtest(&[
        "http://127.0.0.1:9/",
        "--expect",
        "v1=70,v2=30",
        "--json",
        "-",
    ]);
    assert_eq!(ran.status, 4);
    let once = "cannot reach 127.0.0.1:9: Connection refused";
    assert!(ran.stderr.contains(once), "{ran:?}");
    assert!(ran.stderr.contains("lbtest demo"), "{ran:?}");
    let report = ran.json();
    assert_eq!(report["verdict"], "error");
    assert_eq!(codes(&report), ["unreachable"]);
    // Neither is the rest of the plan tried, nor the timeout awaited.
    let sent = report["requests"]["sent"].as_u64().unwrap();
    assert!(sent <= 200, "{sent} requests");
}

#[test]
fn a_name_without_an_address_is_named() {
    let ran = lbtest(&["http://no-such-host.invalid/", "--expect", "v1=70,v2=30"]);
    assert_eq!(ran.status, 4, "{ran:?}");
    assert!(ran.stdout.contains("no-such-host.invalid"), "{ran:?}");
}

#[test]
fn a_default_backend_is_explained() {
    let config = Config {
        host: Some("edu.challenger-03".to_owned()),
        ..config()
    };
    let ran = ran(&config, &["--host", "wrong.example"]);
    assert_eq!(ran.status, 4);
    let report = ran.json();
    assert_eq!(codes(&report)[0], "default_backend");
    assert!(ran.stderr.contains("wrong.example"), "{ran:?}");
    let sent = report["requests"]["sent"].as_u64().unwrap();
    assert!(sent <= 1100, "{sent} requests into a hopeless target");
}

#[test]
fn a_redirect_is_explained() {
    let config = Config {
        ssl_redirect: true,
        ..config()
    };
    let ran = ran(&config, &[]);
    assert_eq!((ran.status, codes(&ran.json())[0]), (4, "redirected"));
    assert!(ran.stderr.contains("https://"), "{ran:?}");
}

#[test]
fn a_page_that_names_no_pod_is_shown_with_how_to_say_it() {
    let config = Config {
        page: "none".parse().unwrap(),
        ..config()
    };
    let ran = ran(&config, &[]);
    assert_eq!(
        (ran.status, codes(&ran.json())[0]),
        (4, "nothing_identified")
    );
    assert!(ran.stderr.contains("--identify"), "{ran:?}");
}
