//! `lbtest serve`: the checks of `lbtest.toml` behind HTTP, for rollout controllers and Prometheus.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{CommandError, checks, manifests, output};
use crate::exit::ExitStatus;
use crate::load::machine::check_open_files;
use crate::load::signals::Signals;
use crate::plan::config::{Check, Config, FILE_NAME};
use crate::plan::quantity;
use crate::report::Report;
use crate::report::escape::terminal;
use crate::report::text::word;
use crate::serve::{Gate, NamedCheck, News, Secret};

/// Where the token may stand, in place of a file.
const TOKEN: &str = "LBTEST_TOKEN";

/// The arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = ROUTES)]
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "[serve] is a table of the file"
)]
pub(super) struct ServeArgs {
    /// The file with the checks and with [serve] (default: lbtest.toml)
    #[arg(long, value_name = "FILE", env = "LBTEST_CONFIG")]
    config: Option<PathBuf>,
    /// Address and port, or a port of the loopback; 0 takes a free one (default: that of [serve], then 127.0.0.1:8090)
    #[arg(long, value_name = "ADDRESS", value_parser = quantity::listen)]
    listen: Option<SocketAddr>,
    /// A file with the bearer token that callers must present (default: that of [serve])
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

const ROUTES: &str = "\
Answers, always from what is known:
  GET /verdict/NAME      JSON whose \"verdict\" is pass, fail, inconclusive, error
                         or running: for Argo Rollouts' web metric
  POST /flagger/NAME     Flagger's webhook: 200 PASS, 409 FAIL, 425 none yet
  GET /                  a page with every check, its last runs and their reports,
                         and a button to run it; browsers ask for the token
  GET /metrics           the last report of every check, for Prometheus
  GET /healthz, /readyz  for probes

NAME is that of a [[check]]. The query of either and the metadata of Flagger
may say:
  expect=stable=70,canary=30       the split of a rollout's step
  not_before=2026-01-31T12:00:00Z  since when; an older verdict is not given
  backend=canary=*-6b8464cddd-*    whose pods are whose, as --backend does

Anything but the loopback needs a token, from LBTEST_TOKEN or a file. Callers
send it as a bearer token, Flagger as token in its metadata.";

/// Serves until Ctrl-C or SIGTERM.
pub(super) fn run(args: &ServeArgs) -> Result<ExitStatus, CommandError> {
    let config = checks::configuration(args.config.as_deref())?.ok_or_else(|| {
        CommandError::usage(format!(
            "there is no {FILE_NAME} here: name a file with checks with --config"
        ))
    })?;
    let mut serve = config.serve.clone();
    serve.listen = args.listen.unwrap_or(serve.listen);
    let file = match (&args.token_file, &serve.token_file) {
        (Some(path), _) => Some(("--token-file", path)),
        (None, Some(path)) => Some(("serve.token_file", path)),
        (None, None) => None,
    };
    let token = token(file)?;
    if let Some(interval) = serve.interval.filter(|interval| *interval > serve.max_age) {
        output::warn(&format!(
            "serve.max_age ({:?}) is below serve.interval ({interval:?}): between two runs there is no verdict for a \
             while; set interval to at most max_age",
            serve.max_age
        ));
    }
    let checks = named(&config)?;
    check_open_files().map_err(CommandError::not_measured)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::not_measured)?;
    runtime.block_on(async {
        let mut signals = Signals::new().map_err(CommandError::not_measured)?;
        let names: Vec<&str> = checks.iter().map(|check| &*check.name).collect();
        let message = format!("checks: {}\n", names.join(" "));
        let gate = Gate::bind(checks, &serve, token).map_err(CommandError::usage)?;
        output::print(&format!("{message}listening on http://{}/\n", gate.addr()));
        gate.serve_until(async move { signals.next().await }, tell)
            .await;
        Ok(ExitStatus::Pass)
    })
}

/// The checks of the file, their manifests read.
fn named(config: &Config) -> Result<Vec<NamedCheck>, CommandError> {
    let checks = config.named(&[]).map_err(CommandError::usage)?;
    let resolved = |check: &Check| {
        let (settings, manifests) = manifests::resolve(check.settings.clone())?;
        let plan = settings.plan()?;
        let findings = manifests::findings(manifests, &plan)?;
        Ok(NamedCheck {
            name: check.own.name.clone(),
            split: plan.claim.split,
            settings,
            findings,
        })
    };
    let describe = |check: &&Check| {
        resolved(check).map_err(|error: CommandError| error.of_check(&check.own.name))
    };
    checks.iter().map(describe).collect()
}

/// The token, from the environment or a file, which this option or key names.
fn token(file: Option<(&str, &PathBuf)>) -> Result<Option<Secret>, CommandError> {
    let (place, token) = match (std::env::var_os(TOKEN), file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(CommandError::usage(format!(
                "{TOKEN} and a token file are both given: drop one of them"
            )));
        }
        (Some(text), None) => (TOKEN.to_owned(), Secret::fixed(&text.into_encoded_bytes())),
        (None, Some((named, path))) => {
            let place = format!("{named} {}", path.display());
            (place, Secret::of_file(path.clone()))
        }
    };
    let refused = |error| CommandError::usage(terminal(&format!("{place} {error}")));
    token.map(Some).map_err(refused)
}

/// One line for what happened.
fn tell(news: &News<'_>) {
    let message = match news {
        News::Token(Ok(())) => {
            "the token file holds a new token, which counts from now on".to_owned()
        }
        News::Token(Err(error)) => {
            format!("warning: the token file {error}; the token that was read before still counts")
        }
        News::History(Ok(())) => "the history is written to serve.state again".to_owned(),
        News::History(Err(error)) => {
            format!(
                "warning: serve.state cannot be written: {error}; the history is kept in memory until it can"
            )
        }
        News::Ended {
            check,
            split,
            result,
        } => {
            let (verdict, why) = ended(result);
            format!("{check} ({split}): {verdict}  {why}")
        }
    };
    output::note(&terminal(&message));
}

/// What a run says first, and why.
fn ended<'a>(result: &Result<&'a Report, &'a str>) -> (&'static str, &'a str) {
    let report = match result {
        Ok(report) => report,
        Err(why) => return ("ERROR", why),
    };
    let why = report.reasons.first().map_or("", |reason| &reason.message);
    if report.interrupted {
        return ("INTERRUPTED", why);
    }
    (word(report.verdict), why)
}
