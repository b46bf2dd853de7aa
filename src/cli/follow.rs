//! `lbtest follow`: a stream of objects → a test of each split that they ask for, and when it was live.

mod step;
mod stream;

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::sync::Notify;

use super::output::Sink;
use super::{CommandError, manifests, measure, output};
use crate::exit::ExitStatus;
use crate::load;
use crate::load::signals::Pending;
use crate::plan::quantity;
use crate::plan::settings::{
    ConnectionOptions, IdentificationOptions, PaceOptions, PromiseOptions, RequestOptions, Settings,
};
use crate::report::escape::terminal;
use crate::report::html::rollout;
use crate::report::rollout::{RolloutReport, ShareReport, StepReport};
use crate::split::Split;
use crate::tally::pods::PodRegistry;
use crate::verdict::VerdictName;
use crate::verdict::checks::{self as together, JudgedCheck};
use step::{Desired, Step};
use stream::{Event, Objects, events};

/// The arguments of `follow`.
#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    /// Where the ingress listens
    #[arg(env = "LBTEST_URL")]
    url: Option<String>,
    /// What `kubectl get … -o json --watch` prints, in a file or, for '-', on stdin
    #[arg(value_name = "OBJECTS", default_value = "-")]
    objects: PathBuf,
    /// End once the last backend of the split is asked to get so many percent, and that is live
    #[arg(long, value_name = "weight=N", value_parser = weight)]
    until: Option<f64>,
    /// End once the first split is live
    #[arg(long, conflicts_with = "until")]
    until_live: bool,
    /// Write a line of JSON for each step, and one for the whole, to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page for browsers at the end, to a file, or to stdout for '-': what was asked for and what was measured, over time
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    promise: PromiseOptions,
    #[command(flatten)]
    request: RequestOptions,
    #[command(flatten)]
    identification: IdentificationOptions,
    #[command(flatten)]
    pace: PaceOptions,
    #[command(flatten)]
    connection: ConnectionOptions,
}

impl FollowArgs {
    fn writes_stdout(&self) -> bool {
        self.json
            .as_ref()
            .is_some_and(|path| path.as_os_str() == "-")
    }

    fn settings(&self) -> Settings {
        Settings {
            promise: self.promise.clone(),
            request: RequestOptions {
                url: self.url.clone(),
                ..self.request.clone()
            },
            identification: self.identification.clone(),
            pace: self.pace.clone(),
            connection: self.connection.clone(),
            ..Settings::default()
        }
    }
}

/// Between two tests of a split passes this part of the time since it was asked for, within these bounds.
const PAUSE: f64 = 0.05;
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// No test of three backends or more has a smaller error rate; it is reached after nine of one step.
const LEAST_ALPHA: f64 = 1e-5;
/// How often what has come meanwhile is looked at.
const TICK: Duration = Duration::from_millis(50);

fn weight(text: &str) -> Result<f64, String> {
    let percent = text.strip_prefix("weight=").unwrap_or(text);
    quantity::percentage(percent).map_err(|error| error.to_string())
}

struct Follower<'a> {
    args: &'a FollowArgs,
    base: Settings,
    since: Instant,
    events: Receiver<Event>,
    objects: Objects,
    next: Option<Desired>,
    is_over: bool,
    json: Option<Box<dyn Write>>,
    html: Option<Sink>,
    step: Option<Step>,
    steps: Vec<StepReport>,
    judged: Vec<JudgedCheck>,
}

/// Follows the stream to its end.
pub(super) fn run(args: &FollowArgs) -> Result<ExitStatus, CommandError> {
    let html = Sink::open_report("--html", args.html.as_deref())?;
    let is_shared = matches!(html, Some(Sink::Stdout)) && args.writes_stdout();
    if is_shared {
        let why = "--json and --html both write to stdout: give one of them a file";
        return Err(CommandError::usage(why));
    }
    let json: Option<Box<dyn Write>> = match &args.json {
        Some(_) if args.writes_stdout() => Some(Box::new(io::stdout())),
        Some(path) => Some(Box::new(File::create(path).map_err(|error| {
            let path = path.display().to_string();
            CommandError::usage(format!("--json {}: {error}", terminal(&path)))
        })?)),
        None => None,
    };
    let mut follower = Follower {
        args,
        base: args.settings(),
        since: Instant::now(),
        events: events(&args.objects)?,
        objects: Objects::default(),
        next: None,
        is_over: false,
        json,
        html,
        step: None,
        steps: Vec::new(),
        judged: Vec::new(),
    };
    match follower.follow() {
        Ok(interrupted) => follower.conclude(interrupted),
        // What was measured is told all the same.
        Err(error) => {
            if follower.has_begun() {
                follower.conclude(false)?;
            }
            Err(error)
        }
    }
}

impl Follower<'_> {
    /// Tests step after step; whether a signal ended it.
    fn follow(&mut self) -> Result<bool, CommandError> {
        let mut pending = Pending::new().map_err(CommandError::not_measured)?;
        let end = self
            .base
            .pace
            .max_duration
            .map(|limit| Instant::now() + limit);
        loop {
            if pending.came() {
                return Ok(true);
            }
            while let Ok(event) = self.events.try_recv() {
                self.take(event)?;
            }
            if let Some(desired) = self.next.take() {
                self.close()?;
                self.begin(desired);
            }
            let is_late = end.is_some_and(|end| Instant::now() >= end);
            let is_live = self.step.as_ref().is_some_and(|step| step.is_told);
            if is_late || self.has_reached() || self.is_over && (is_live || self.has_tested()) {
                return Ok(false);
            }
            if is_live || self.step.is_none() {
                if self.is_over && self.step.is_none() {
                    return Ok(false);
                }
                self.wait(TICK)?;
            } else if self.test(end)? {
                return Ok(true);
            }
        }
    }

    fn has_begun(&self) -> bool {
        self.step.is_some() || !self.judged.is_empty()
    }

    fn has_tested(&self) -> bool {
        self.step.as_ref().is_some_and(|step| step.report.tests > 0)
    }

    /// Whether what was to be reached is live.
    fn has_reached(&self) -> bool {
        let live = self.step.as_ref().filter(|step| step.is_told);
        live.is_some_and(|step| {
            let share = step.desired.last_share();
            // One backend alone is the end of a rollout, unless it is the beginning.
            let is_weight =
                |least: f64| share >= least - 1e-9 && (share < 1.0 || step.report.step > 1);
            self.args.until_live || self.args.until.is_some_and(is_weight)
        })
    }

    /// Takes what comes meanwhile.
    fn wait(&mut self, time: Duration) -> Result<(), CommandError> {
        match self.events.recv_timeout(time) {
            Ok(event) => self.take(event),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(time);
                Ok(())
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<(), CommandError> {
        let value = match event {
            Event::Value(value) => value,
            Event::Unread(why) => return Err(CommandError::usage(terminal(&why))),
            Event::End => {
                self.is_over = true;
                return Ok(());
            }
        };
        self.objects.take(value)?;
        match self.desired() {
            Ok(desired) => {
                let latest = self
                    .next
                    .as_ref()
                    .or(self.step.as_ref().map(|step| &step.desired));
                if latest.is_none_or(|latest| latest.expect() != desired.expect()) {
                    self.next = Some(desired);
                }
            }
            Err(error) => output::note(&format!("no split yet: {}", error.message)),
        }
        Ok(())
    }

    /// What the objects ask for now.
    fn desired(&self) -> Result<Desired, CommandError> {
        let given = self.objects.manifests()?;
        let expectation = given.expectation(manifests::choice(&self.base), None)?;
        let split = &expectation.split;
        let shares = split
            .labels()
            .iter()
            .cloned()
            .zip(split.shares().iter().copied());
        Ok(Desired {
            shares: shares.collect(),
            source: expectation.source.clone(),
            settings: expectation
                .settings(self.base_of(split))
                .map_err(CommandError::usage)?,
        })
    }

    /// The settings without the mappings of backends that an earlier step had, and this one has not.
    fn base_of(&self, split: &Split) -> Settings {
        let current = self.step.as_ref().map(|step| &step.report);
        let earlier = self.steps.iter().chain(current);
        let earlier: Vec<&ShareReport> = earlier.flat_map(|step| &step.expected).collect();
        let mut base = self.base.clone();
        base.promise.backend.retain(|mapping| {
            let label = mapping.split('=').next().unwrap_or_default().trim();
            let is_gone = split.position(label).is_none();
            !(is_gone && earlier.iter().any(|share| share.label == label))
        });
        base
    }

    fn begin(&mut self, desired: Desired) {
        let step = self.judged.len() as u64 + 1;
        let step = Step::new(step, desired, self.since);
        let StepReport {
            step: number,
            expect,
            ..
        } = &step.report;
        output::note(&terminal(&format!("step {number}: {expect} is asked for")));
        self.step = Some(step);
    }

    /// Tests the step once, until that is decided or another split is asked for; whether a signal ended it.
    ///
    /// Test `k` gets `α/k(k + 1)` of the error rate, which sums to α, or [`LEAST_ALPHA`] where that is more.
    fn test(&mut self, end: Option<Instant>) -> Result<bool, CommandError> {
        let Some(mut step) = self.step.take() else {
            return Ok(false);
        };
        step.report.tests += 1;
        let parts = (step.report.tests * (step.report.tests + 1)) as f64;
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let mut settings = step.desired.settings.clone();
        settings.promise.alpha = Some((self.base.promise.alpha() / parts).max(LEAST_ALPHA));
        settings.budget.sequential = true;
        settings.pace.max_duration = left.map(|left| left.max(TICK));
        let plan = settings.plan()?;
        let begun = step.asked_at.elapsed().as_secs_f64();
        let registry = PodRegistry::shared(plan.mappings.clone());
        let halt = Arc::new(Notify::new());
        let mut taken = Ok(());
        let mut is_stopped = false;
        let expect = step.desired.expect().map(str::to_owned);
        let measured = load::measure_until(&plan, &registry, &halt, &mut |_| {
            while let Ok(event) = self.events.try_recv() {
                let event = self.take(event);
                taken = std::mem::replace(&mut taken, Ok(())).and(event);
            }
            self.next.take_if(|next| next.expect() == expect.as_deref());
            if (self.next.is_some() || taken.is_err()) && !is_stopped {
                is_stopped = true;
                halt.notify_one();
            }
        });
        let (outcome, whole) = measure::concluded(&plan, &measured);
        step.report.requests += whole.requests.attributed;
        let is_decided = !outcome.interrupted;
        if is_decided {
            let p = outcome.fail_p_value(plan.claim.criterion.alpha);
            step.take(&outcome, &whole, p.unwrap_or(0.0) * parts, begun);
        }
        let is_live = step.report.live_within_seconds.is_some();
        step.is_told = is_live;
        if is_live {
            self.tell(&step.report, &step.report.text())?;
        }
        let since = step.asked_at.elapsed().mul_f64(PAUSE);
        self.step = Some(step);
        taken?;
        if is_decided && !is_live && !self.is_over {
            let until = Instant::now() + since.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            while self.next.is_none() && !self.is_over && Instant::now() < until {
                self.wait(TICK)?;
            }
        }
        Ok(!is_decided && !is_stopped)
    }

    /// Says what became of the step.
    fn close(&mut self) -> Result<(), CommandError> {
        let Some(mut step) = self.step.take() else {
            return Ok(());
        };
        if !step.is_told {
            if step.report.verdict == VerdictName::Fail {
                let seconds = crate::format::time(step.asked_at.elapsed().as_secs_f64());
                step.report.message =
                    format!("never came live in {seconds}: {}", step.report.message);
            }
            self.tell(&step.report, &step.report.text())?;
        }
        let StepReport {
            step: number,
            expect,
            verdict,
            ..
        } = &step.report;
        self.judged.push(JudgedCheck {
            name: format!("step {number} ({expect})"),
            alpha: self.base.promise.alpha(),
            verdict: *verdict,
            p_value: step.p_value,
        });
        self.steps.push(step.report);
        Ok(())
    }

    fn tell(&mut self, document: &impl Serialize, text: &str) -> Result<(), CommandError> {
        let text = terminal(text.trim_end());
        if self.args.writes_stdout() || matches!(self.html, Some(Sink::Stdout)) {
            output::note(&text);
        } else {
            output::print(&format!("{text}\n"));
        }
        if let Some(out) = &mut self.json {
            let line = serde_json::to_string(document).map_err(CommandError::usage)?;
            writeln!(out, "{line}")
                .and_then(|()| out.flush())
                .map_err(|error| CommandError::usage(format!("--json: {error}")))?;
        }
        Ok(())
    }

    fn conclude(mut self, interrupted: bool) -> Result<ExitStatus, CommandError> {
        self.close()?;
        if self.judged.is_empty() {
            return Err(CommandError::not_measured(
                "the stream held no object that splits traffic",
            ));
        }
        let together = together::judge(&self.judged);
        let steps = self.judged.len() as u64;
        let seconds = self.since.elapsed().as_secs_f64();
        let report = RolloutReport::new(
            together.verdict,
            &together.reasons,
            steps,
            seconds,
            interrupted,
        );
        self.tell(&report, &report.text())?;
        if let Some(sink) = self.html.take() {
            let page = rollout::render(&report, &self.steps);
            sink.write(|out| out.write_all(page.as_bytes()))
                .map_err(|error| CommandError::usage(format!("--html: {error}")))?;
        }
        Ok(together.verdict.status(interrupted))
    }
}
