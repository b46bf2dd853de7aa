//! The options of `analyze` that read an access log.

use std::fmt::Write;
use std::io::{self, BufReader, IsTerminal};
use std::net::IpAddr;
use std::time::SystemTime;

use clap::Args;

use super::{CommandError, output};
use crate::format::count;
use crate::identity::assignment::Mappings;
use crate::logs::{Filter, Format, Log, Read, Statuses, Summary, parse_time};
use crate::report::escape::terminal;

/// What is read at once.
const BUFFER: usize = 1 << 18;

/// Which access log is read, and what of it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access logs")]
pub(super) struct LogArgs {
    /// Read an access log from stdin: nginx (combined, then $`upstream_addr`), ingress-nginx, envoy, envoy-json, istio,
    /// traefik, traefik-json, haproxy, caddy, json, or the server's own log format
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["observed", "identify"])]
    format: Option<String>,
    /// The field of the log that names who answered (default: the format's upstream or service)
    #[arg(long, value_name = "NAME", requires = "format")]
    field: Option<String>,
    /// Only requests of this host
    #[arg(long, value_name = "NAME", requires = "format")]
    host: Option<String>,
    /// Only requests whose path begins with this
    #[arg(long, value_name = "PREFIX", requires = "format")]
    path: Option<String>,
    /// Only requests with this status: 200, 2xx, 200-399, or several with commas between
    #[arg(long, value_name = "STATUS", requires = "format")]
    status: Option<Statuses>,
    /// Only requests from this time on, such as 2026-11-29T02:34:00Z
    #[arg(long, value_name = "TIME", requires = "format", value_parser = time)]
    since: Option<SystemTime>,
    /// Only requests before this time
    #[arg(long, value_name = "TIME", requires = "format", value_parser = time)]
    until: Option<SystemTime>,
    /// Treat each line as an independent draw, as in a load test, whichever client it came from
    #[arg(long, requires = "format")]
    independent: bool,
}

fn time(text: &str) -> Result<SystemTime, String> {
    parse_time(text).ok_or_else(|| {
        "it is not a time: write 2026-11-29T02:34:00Z, or as the log does".to_owned()
    })
}

impl LogArgs {
    /// The log that is asked for, if one is.
    pub(super) fn log(&self) -> Result<Option<Log>, CommandError> {
        let Some(format) = &self.format else {
            return Ok(None);
        };
        let format = Format::parse(format, self.field.as_deref()).map_err(CommandError::usage)?;
        let filter = Filter {
            host: self.host.clone(),
            path: self.path.clone(),
            statuses: self.status.clone(),
            since: self.since,
            until: self.until,
        };
        format.suits(&filter).map_err(CommandError::usage)?;
        Ok(Some(Log {
            format,
            filter,
            is_independent: self.independent,
        }))
    }
}

/// What is written of upstreams, as they are known by: a bare address means all its ports, which logs write behind it, and a
/// URL its host and port.
pub(super) fn as_known(backends: &[String]) -> Vec<String> {
    let of_ports = backends.iter().filter_map(|text| {
        let (label, pattern) = text.split_once('=')?;
        if let Some((_, authority)) = pattern.split_once("://") {
            return Some(format!("{label}={}", authority.trim_end_matches('/')));
        }
        let address: IpAddr = pattern.trim().parse().ok()?;
        Some(match address {
            IpAddr::V4(address) => format!("{label}={address}:*"),
            IpAddr::V6(address) => format!("{label}=[{address}]:*"),
        })
    });
    let of_ports: Vec<String> = of_ports.collect();
    [backends, &of_ports].concat()
}

/// Reads the log on stdin, and says how it was read.
pub(super) fn read(log: &Log, mappings: Mappings) -> Result<Read, CommandError> {
    if io::stdin().is_terminal() {
        output::warn("reading an access log from stdin");
    }
    let reader = BufReader::with_capacity(BUFFER, io::stdin().lock());
    let read = log
        .read(reader, mappings)
        .map_err(|error| CommandError::usage(format!("stdin: {error}")))?;
    let summary = &read.summary;
    output::note(&said(summary));
    if summary.answers() == 0 {
        return Err(CommandError::not_measured(why_nothing(summary)));
    }
    Ok(read)
}

/// How a log was read.
fn said(summary: &Summary) -> String {
    let mut said = format!(
        "read {}: {} naming who answered",
        count(summary.lines, "line"),
        summary.answers()
    );
    let counts = [
        (summary.left_out, "not of the requests asked for"),
        (summary.unrouted, "naming nobody"),
        (summary.moved, "naming the last of several alone"),
        (summary.unfit, "not of the format"),
    ];
    for (lines, what) in counts {
        if lines > 0 {
            let _ = write!(said, ", {lines} {what}");
        }
    }
    if summary.clients > 0 {
        let _ = write!(said, "; {}", count(summary.clients, "client"));
    }
    let named = summary.upstreams.iter();
    let named: Vec<String> = named
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if !named.is_empty() {
        let _ = write!(said, "; {}", named.join(", "));
    }
    terminal(&said).into_owned()
}

/// What makes lines of a log that stands within something else, by its first line.
fn to_unwrap(line: &str) -> Option<&'static str> {
    if line.starts_with("{\\\"log\\\":") {
        return Some("it stands within a log of docker: read it through jq -r .log");
    }
    match line.trim_end() {
        "{" => Some("JSON is read an object a line: read it through jq -c ."),
        text if text.starts_with("[{") || text == "[" => {
            Some("JSON is read an object a line: read it through jq -c '.[]'")
        }
        _ => None,
    }
}

/// Why no line says who answered, and what to do.
fn why_nothing(summary: &Summary) -> String {
    let line = |line: &Option<String>| line.clone().unwrap_or_default();
    let first = summary
        .first_unfit
        .as_ref()
        .or(summary.first_unrouted.as_ref());
    let within = first.and_then(|line| to_unwrap(line));
    if summary.lines == 0 {
        return "the log is empty".to_owned();
    }
    if summary.unfit > 0 {
        return format!(
            "the log is not judged: no line fits the format; the first: \"{}\"; {}",
            line(&summary.first_unfit),
            within.unwrap_or("give --format the server's own log format")
        );
    }
    if summary.unrouted + summary.moved > 0 {
        return format!(
            "the log is not judged: no line names who answered; the first: \"{}\"; {}",
            line(&summary.first_unrouted),
            within.unwrap_or(
                "say which field does with --field, or give --format the server's own log format"
            )
        );
    }
    format!(
        "the log is not judged: none of its {} lines is of the requests asked for",
        summary.lines
    )
}
