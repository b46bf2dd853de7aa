//! What this machine allows a client: open files and local ports.

use std::fs;
use std::io;
use std::net::IpAddr;

use crate::plan::Plan;
use crate::plan::endpoint::Endpoint;
use crate::plan::target::Protocol;

/// Raises the soft limit of open files to the hard one, so that connections are limited by the machine and
/// not by a shell's default; returns what it is then.
///
/// # Errors
/// The system refuses.
pub fn raise_open_files() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

/// What a runtime opens before it runs, and some more.
const LEAST_FILES: usize = 8;

/// Whether a runtime can begin: tokio panics where it gets no files for its signals.
///
/// # Errors
/// The process may open no more files; the message says what to do.
pub fn check_open_files() -> io::Result<()> {
    let _ = raise_open_files();
    let opened = (0..LEAST_FILES).map(|_| fs::File::open("/"));
    let opened: io::Result<Vec<fs::File>> = opened.collect();
    opened.map(drop).map_err(|error| match remedy(&error) {
        Some(remedy) => io::Error::new(error.kind(), format!("{error}: {remedy}")),
        None => error,
    })
}

/// What to do about it, where this machine is what lacks something. The numbers are Linux's (asm-generic/errno-base.h,
/// errno.h).
pub(super) fn remedy(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        24 => Some("the process may open no more files: raise `ulimit -n`, or lower --concurrency"),
        23 => Some("the machine can open no more files: raise fs.file-max, or lower --concurrency"),
        105 | 12 => Some("the machine has no memory left for sockets: lower --concurrency"),
        97 => Some(
            "this machine has no such addresses (is IPv6 off?): give an IPv4 address, or a name that has one",
        ),
        _ => None,
    }
}

/// A thread's stack in Rust, and what glibc reserves for a thread's allocations on 64-bit machines (malloc/arena.c), in
/// bytes.
const STACK: u64 = 2 << 20;
const ARENA: u64 = 64 << 20;
/// What a connection takes, in bytes, and what TLS and HTTP/2 add to it: 4.5, 14 and 77 KiB were resident of each of
/// 1,500 to 4,000, rounded up.
const CONNECTION: u64 = 8 << 10;
const OF_TLS: u64 = 16 << 10;
const OF_HTTP2: u64 = 72 << 10;

/// What the connections of a plan take.
fn taken(plan: &Plan) -> u64 {
    let of_tls = if plan.target.tls.is_some() { OF_TLS } else { 0 };
    let of_protocol = match plan.target.protocol {
        Protocol::Http1 | Protocol::Tcp => 0,
        Protocol::Http2 | Protocol::Grpc => OF_HTTP2,
    };
    plan.load.concurrency.get() as u64 * (CONNECTION + of_tls + of_protocol)
}

/// The addresses that are left to the process, in bytes, where they are too few for so many threads and connections:
/// an allocation that fails would end the program without a report.
pub(super) fn address_shortage(plan: &Plan) -> Option<u64> {
    let (most, _) = rlimit::Resource::AS.get().ok()?;
    if most == rlimit::INFINITY {
        return None;
    }
    // `proc_pid_status(5)`: in kB.
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let size = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))?;
    let size: u64 = size.trim().trim_end_matches(" kB").parse().ok()?;
    let left = most.saturating_sub(size * 1024);
    let threads = plan.load.threads.get() as u64;
    (!are_enough(left, threads, taken(plan))).then_some(left)
}

/// Threads whose reserve does not fit share what is left.
fn are_enough(left: u64, threads: u64, wanted: u64) -> bool {
    let with_reserve = (left / (STACK + ARENA)).min(threads);
    let held = wanted.min(with_reserve * ARENA) * with_reserve / threads.max(1);
    with_reserve * ARENA + threads * STACK + (wanted - held) + ARENA / 16 <= left
}

/// A run that opens more connections to an address than there are local ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortShortage {
    /// Connections that the run opens.
    pub connections: u64,
    /// Local ports, each of which one address can have one connection from.
    pub ports: u64,
}

/// Ports stay taken for so long after a connection that this side closed first (Linux's `TCP_TIMEWAIT_LEN`).
const HELD_SECONDS: f64 = 60.0;

/// Whether the plan's connections could use up the local ports; `None` where they can't, where the
/// ports are free again within a second, or where the machine does not tell.
pub fn port_shortage(plan: &Plan) -> Option<PortShortage> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let reuse = fs::read_to_string("/proc/sys/net/ipv4/tcp_tw_reuse").unwrap_or_default();
    let ports = ports_in(&range)?;
    // 1: for all; 2, the default: for loopback (ip-sysctl.rst).
    let is_reused = match reuse.trim() {
        "1" => true,
        "2" => is_loopback(plan),
        _ => false,
    };
    if is_reused || matches!(plan.target.endpoint, Endpoint::UnixSocket(_)) {
        return None;
    }
    shortage(plan, ports)
}

/// The number of ports in `FIRST LAST`.
fn ports_in(range: &str) -> Option<u64> {
    let mut bounds = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    (first <= last).then(|| last - first + 1)
}

fn is_loopback(plan: &Plan) -> bool {
    match &plan.target.endpoint {
        Endpoint::Name { host, .. } => {
            host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        Endpoint::Addresses(addresses) => addresses.iter().all(|to| to.ip().is_loopback()),
        Endpoint::UnixSocket(_) => true,
    }
}

fn shortage(plan: &Plan, ports: u64) -> Option<PortShortage> {
    let requests = plan.budget.requests?.get();
    let connections = plan.load.connection_use.connections_for(requests)?;
    // What an even pace opens while a port is held.
    let at_once = plan.load.rate.map_or(f64::INFINITY, |rate| {
        let share = connections as f64 / requests as f64;
        rate.per_second() * HELD_SECONDS * share
    });
    let needed = at_once.min(connections as f64);
    (needed > ports as f64).then_some(PortShortage { connections, ports })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::settings::Settings;

    fn plan(table: &serde_json::Value) -> Plan {
        let settings = Settings::read(|| table).unwrap();
        settings.plan().unwrap()
    }

    #[test]
    fn a_run_that_fits_is_let_begin_and_one_that_would_abort_is_not() {
        let mib = |count: u64| count << 20;
        for (left, threads, connections, fits) in [
            (mib(76), 2, 50, true),
            (mib(76), 2, 10_000, false),
            (mib(178), 2, 50, true),
            (mib(178), 16, 50, true),
            (mib(178), 4, 40_000, false),
            (mib(178), 2, 10_000, true),
            (mib(1024), 4, 10_000, true),
            (mib(1024), 1000, 1000, false),
        ] {
            let found = are_enough(left, threads, connections * CONNECTION);
            assert_eq!(found, fits, "{left} {threads} {connections}");
        }
    }

    #[test]
    fn the_range_of_ports_includes_both_ends() {
        assert_eq!(ports_in("32768\t60999\n"), Some(28_232));
        assert_eq!(ports_in("5 4"), None);
        assert_eq!(ports_in(""), None);
    }

    #[test]
    fn more_fresh_connections_than_ports_are_a_shortage_unless_they_are_spread_over_time() {
        let fresh = json!({"expect": "a=1", "requests": 50_000});
        let found = shortage(&plan(&fresh), 28_232);
        assert_eq!(
            found,
            Some(PortShortage {
                connections: 50_000,
                ports: 28_232
            })
        );
        for enough in [
            json!({"expect": "a=1", "requests": 20_000}),
            json!({"expect": "a=1", "requests": 50_000, "keep_alive": true}),
            json!({"expect": "a=1", "requests": 50_000, "requests_per_connection": 10}),
            json!({"expect": "a=1", "requests": 50_000, "rate": "400/s"}),
        ] {
            assert_eq!(shortage(&plan(&enough), 28_232), None, "{enough}");
        }
        let fast = json!({"expect": "a=1", "requests": 50_000, "rate": "500/s"});
        assert!(shortage(&plan(&fast), 28_232).is_some());
    }

    #[test]
    fn loopback_is_known_by_name_and_by_address() {
        for url in ["http://localhost/", "http://127.3.2.1/", "http://[::1]/"] {
            assert!(
                is_loopback(&plan(&json!({"expect": "a=1", "url": url}))),
                "{url}"
            );
        }
        assert!(!is_loopback(&plan(
            &json!({"expect": "a=1", "url": "http://shop.example/"})
        )));
    }
}
