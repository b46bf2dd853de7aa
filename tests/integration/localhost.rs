//! A name with several addresses: with a server on one of them alone no request fails, and where two split
//! differently that is said.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use lbtest::parts::{Config, Handle, Ingress};

use crate::program::{codes, in_turn, lbtest};

const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::LOCALHOST),
];

/// An ingress on a port that nobody else has, on this address alone.
fn ingress_on(address: IpAddr) -> Handle {
    let config = Config {
        listen: SocketAddr::new(address, 0),
        ..in_turn("v1=70,v2=30")
    };
    Ingress::start(&config).unwrap()
}

/// Runs the gate against `localhost` at the ingress's port, and checks that every request came there.
fn no_request_fails(ingress: &Handle, options: &[&str]) {
    let address = ingress.addr();
    let url = format!("http://localhost:{}/", address.port());
    let base = [url.as_str(), "--expect", "v1=70,v2=30", "--json", "-"];
    let ran = lbtest(&[&base, options].concat());
    // Which draws a kept connection gets is up to timing, and so is whether they seem to depend on it.
    let is_kept = options.contains(&"--requests-per-connection");
    let may_be = if is_kept { &[0, 3][..] } else { &[0] };
    assert!(
        may_be.contains(&ran.status),
        "{address} {options:?}: {ran:?}"
    );
    let report = ran.json();
    let requests = &report["requests"];
    assert_eq!(requests["unattributed"], 0, "{report:#}");
    assert_eq!(requests["never_sent"], 0, "{report:#}");
    let used = report["addresses"].as_array().unwrap();
    let used: Vec<&str> = used
        .iter()
        .map(|used| used["address"].as_str().unwrap())
        .collect();
    assert_eq!(used, [address.to_string()], "{report:#}");
}

#[test]
fn a_server_on_one_of_two_addresses_gets_every_request_in_whichever_order_they_come() {
    for address in ADDRESSES {
        let ingress = ingress_on(address);
        for order in ["[::1],127.0.0.1", "127.0.0.1,[::1]"] {
            let resolve = format!("*:{}:{order}", ingress.addr().port());
            for more in [&[][..], &["--requests-per-connection", "10"], &["--http2"]] {
                no_request_fails(&ingress, &[&["--resolve", &resolve], more].concat());
            }
        }
    }
}

/// The real name, with the addresses that this machine gives it.
#[test]
fn a_server_on_one_address_of_localhost_gets_every_request() {
    let found = ("localhost", 0).to_socket_addrs().unwrap();
    for address in ADDRESSES {
        if found.clone().any(|found| found.ip() == address) {
            no_request_fails(&ingress_on(address), &[]);
        }
    }
}

/// Two replicas of an ingress, of which the second has other weights.
#[test]
fn an_address_that_splits_otherwise_than_the_other_is_named() {
    let first = ingress_on(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = first.addr().port();
    let stale = Config {
        listen: SocketAddr::new(Ipv4Addr::new(127, 0, 0, 2).into(), port),
        ..Config::new("v1=50,v2=50".parse().unwrap())
    };
    let _second = Ingress::start(&stale).unwrap();
    let url = format!("http://app.example:{port}/");
    let resolve = format!("app.example:{port}:127.0.0.1,127.0.0.2");
    let gate = |expected| {
        let base = [url.as_str(), "--resolve", &resolve, "--json", "-"];
        lbtest(&[&base[..], &["--expect", expected]].concat())
    };
    let describe = |report: &serde_json::Value, place: usize| {
        let finding = &report["findings"][place];
        assert_eq!(finding["code"], "addresses_differ", "{report:#}");
        let message = finding["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("127.0.0.2:{port} saw v1 ")),
            "{message}"
        );
    };

    let ran = gate("v1=70,v2=30");
    assert_eq!(
        (ran.status, codes(&ran.json())),
        (1, vec!["split_off", "addresses_differ"]),
        "{ran:?}"
    );
    describe(&ran.json(), 0);

    // What both do together is 60/40.
    let ran = gate("v1=60,v2=40");
    assert_eq!(
        (ran.status, codes(&ran.json())[0]),
        (3, "addresses_differ"),
        "{ran:?}"
    );
    describe(&ran.json(), 0);
    let base = [&url, "--resolve", &resolve, "--expect", "v1=60,v2=40"];
    let text = lbtest(&base).stdout;
    assert_eq!(text.matches("saw different splits").count(), 1, "{text}");
}

/// Two replicas of an ingress, each of which leads to pods of its own.
#[test]
fn addresses_that_lead_to_pods_of_their_own_are_told_as_groups() {
    let pods = |address: [u8; 4], port, zone: &str| Config {
        listen: SocketAddr::new(Ipv4Addr::from(address).into(), port),
        pods: format!("{zone}=2").parse().unwrap(),
        ..Config::new(format!("{zone}=1").parse().unwrap())
    };
    let first = Ingress::start(&pods([127, 0, 0, 1], 0, "east")).unwrap();
    let port = first.addr().port();
    let _second = Ingress::start(&pods([127, 0, 0, 2], port, "west")).unwrap();
    let url = format!("http://app.example:{port}/");
    let resolve = format!("app.example:{port}:127.0.0.1,127.0.0.2");
    let base = [&*url, "--resolve", &resolve, "--json", "-"];
    let ran = lbtest(&[&base[..], &["--expect-even=4"]].concat());
    let report = ran.json();
    assert_eq!(
        (ran.status, codes(&report)[0]),
        (3, "addresses_differ"),
        "{report:#}"
    );
    let message = report["reasons"][0]["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("127.0.0.2:{port} saw challenge-app-"))
            && message.contains(", and nothing of 2 others")
            && message.contains("of its zone or node"),
        "{message}"
    );
}
