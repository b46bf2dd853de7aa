//! The options of `analyze` that read counters: two readings of a proxy's own, or a range of a Prometheus server's.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{CommandError, output};
use crate::counters::{Counters, CountersError, Read, Selector, Summary};
use crate::format;
use crate::identity::assignment::Mappings;
use crate::load::fetch::fetch;
use crate::plan::settings::Settings;
use crate::report::escape::terminal;

/// Which counters are read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Counters")]
pub(super) struct CounterArgs {
    /// Judge what a proxy counted between two readings of its metrics, in Prometheus' text format ('-' for stdin)
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], group = "counters",
        conflicts_with_all = ["observed", "identify", "format", "run"])]
    metrics: Vec<PathBuf>,
    /// Judge what a Prometheus server has counted over the range of --query
    #[arg(long, value_name = "URL", group = "counters", requires = "query",
        conflicts_with_all = ["observed", "identify", "format", "run"])]
    prometheus: Option<String>,
    #[arg(
        long,
        value_name = "SELECTOR",
        requires = "counters",
        help = "Which counters: NAME{label=\"value\"}, with --prometheus and a range: NAME[10m] (default: those known of \
                ingress-nginx, Envoy, Istio, Traefik, HAProxy and Linkerd)"
    )]
    query: Option<String>,
    /// The label that names who answered; of several, with commas between, the first that is filled in (default: the known
    /// counter's)
    #[arg(
        long,
        value_name = "LABEL",
        requires = "counters",
        value_delimiter = ','
    )]
    by: Vec<String>,
    /// A header for the Prometheus server, such as an Authorization; repeatable
    #[arg(
        short = 'H',
        long = "header",
        value_name = "NAME: VALUE",
        requires = "prometheus"
    )]
    header: Vec<String>,
}

/// What is read of a server's answer.
const MOST_ANSWER: usize = 64 << 20;
/// How long it may take.
const PATIENCE: Duration = Duration::from_mins(1);

impl CounterArgs {
    /// The option that asks for counters, if one does.
    pub(super) fn asked(&self) -> Option<&'static str> {
        match (&self.metrics[..], &self.prometheus) {
            (_, Some(_)) => Some("--prometheus"),
            ([], None) => None,
            (_, None) => Some("--metrics"),
        }
    }

    /// Reads the counters, and says how they were read.
    pub(super) fn read(&self, mappings: Mappings) -> Result<Read, CommandError> {
        let read = match (&self.prometheus, &self.metrics[..]) {
            (Some(server), _) => self.over_range(server, mappings),
            (None, [before, after]) => self.between([before, after], mappings),
            (None, _) => return Err(CommandError::usage("--metrics takes two files")),
        }?;
        for warning in &read.summary.warnings {
            output::warn(&terminal(&format!("Prometheus: {warning}")));
        }
        output::note(&said(&read.summary));
        Ok(read)
    }

    fn between(&self, files: [&Path; 2], mappings: Mappings) -> Result<Read, CommandError> {
        let query = self.query.as_deref();
        let counters = Counters {
            selector: query
                .map(Selector::parse)
                .transpose()
                .map_err(CommandError::usage)?,
            by: self.by.clone(),
        };
        if files.iter().all(|file| file.as_os_str() == "-") {
            return Err(CommandError::usage(
                "--metrics: only one of the two readings can come from stdin",
            ));
        }
        let [before, after] = files.map(|file| terminal(&file.display().to_string()).into_owned());
        let [mut first, mut second] = [open(files[0])?, open(files[1])?];
        let readings: [(&str, &mut dyn BufRead); 2] =
            [(&before, &mut first), (&after, &mut second)];
        counters
            .between(readings, mappings)
            .map_err(|error| refused(&error))
    }

    fn over_range(&self, server: &str, mappings: Mappings) -> Result<Read, CommandError> {
        let counters = Counters {
            selector: None,
            by: self.by.clone(),
        };
        let query = self.query.as_deref().unwrap_or_default();
        let encoded = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let base = server.trim_end_matches('/');
        // A plan has a split; nothing is drawn here.
        let mut asked = Settings::default();
        asked.expectation.expect = Some("prometheus=1".to_owned());
        asked.request.url = Some(format!("{base}/api/v1/query?query={encoded}"));
        asked.request.header.clone_from(&self.header);
        asked.identification.max_body = Some(MOST_ANSWER);
        asked.connection.timeout = Some(PATIENCE);
        let plan = asked
            .plan()
            .map_err(|error| CommandError::usage(format!("--prometheus: {error}")))?;
        let named = terminal(server).into_owned();
        let answer = fetch(&plan)
            .map_err(|error| CommandError::not_measured(terminal(&format!("{named}: {error}"))))?;
        let read = counters.over_range(&answer.body, mappings);
        read.map_err(|error| match error {
            CountersError::NoAnswer(_) => CommandError::not_measured(format!(
                "{named} answered {} and no query of Prometheus: is it the server's address, without /api/v1?",
                answer.status
            )),
            error => refused(&error),
        })
    }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, CommandError> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| {
        let path = path.display().to_string();
        CommandError::usage(format!("--metrics {}: {error}", terminal(&path)))
    })?;
    Ok(Box::new(BufReader::new(file)))
}

/// Why counters are not judged.
fn refused(error: &CountersError) -> CommandError {
    let message = terminal(&error.to_string()).into_owned();
    match error {
        CountersError::Unread { .. }
        | CountersError::Nothing(_)
        | CountersError::ByWhat { .. }
        | CountersError::Several(_)
        | CountersError::NoRange
        | CountersError::Computed
        | CountersError::Gauge(_)
        | CountersError::Fraction { .. } => CommandError::usage(message),
        _ => CommandError::not_measured(format!("the counters are not judged: {message}")),
    }
}

/// How the counters were read.
fn said(summary: &Summary) -> String {
    let mut said = format!(
        "read {} by {}: {}",
        summary.metric,
        summary.by.join(", "),
        format::count(summary.requests(), "request")
    );
    for (place, (name, count)) in summary.gained.iter().take(MOST_TOLD).enumerate() {
        let before = if place == 0 { "; " } else { ", " };
        let _ = write!(said, "{before}{name} {count}");
    }
    terminal(&said).into_owned()
}

/// So many are told by name.
const MOST_TOLD: usize = 16;
