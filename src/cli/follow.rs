//! `lbtest follow`: a stream of objects → a test of each split that they ask for, and when it was live.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::options::{CriterionArgs, LoadArgs};
use super::{CommandError, measure, output};
use crate::exit::ExitStatus;
use crate::load;
use crate::load::signals::Pending;
use crate::manifest::{Choice, Input, Manifests};
use crate::plan::quantity;
use crate::plan::settings::Settings;
use crate::report::escape::terminal;
use crate::report::rollout::{RolloutReport, StepReport};
use crate::tally::pods::PodRegistry;
use crate::verdict::checks::{self as together, JudgedCheck};
use crate::verdict::{Outcome, VerdictName};

/// The arguments of `follow`.
#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    /// Where the ingress listens
    #[arg(env = "LBTEST_URL")]
    url: Option<String>,
    /// What `kubectl get … -o json --watch` prints, in a file or, for '-', on stdin
    #[arg(value_name = "OBJECTS", default_value = "-")]
    objects: PathBuf,
    /// End once the last backend of the split gets so many percent, and that is judged
    #[arg(long, value_name = "weight=N", value_parser = weight)]
    until: Option<f64>,
    /// End once the first split is live
    #[arg(long)]
    until_live: bool,
    /// Write a line of JSON for each step, and one for the whole, to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    criterion: CriterionArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// Between two tests of a split passes this part of the time since it was asked for, within these bounds.
const PAUSE: f64 = 0.05;
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// No test of three backends or more has a smaller error rate; it is reached after nine of one step.
const LEAST_ALPHA: f64 = 1e-5;
/// So many objects wait until they are looked at; the stream waits then.
const MOST_WAITING: usize = 16;
/// A stream of more objects is none of a rollout: each that comes has all of them read again.
const MOST_OBJECTS: usize = 1000;
/// How often what has come meanwhile is looked at.
const TICK: Duration = Duration::from_millis(50);

fn weight(text: &str) -> Result<f64, String> {
    let percent = text.strip_prefix("weight=").unwrap_or(text);
    quantity::percentage(percent).map_err(|error| error.to_string())
}

/// What the stream brought.
enum Event {
    Object(Value),
    Unread(String),
    End,
}

/// A split that is asked for.
struct Desired {
    settings: Settings,
    source: String,
    /// The last backend's share.
    last_share: f64,
}

/// A step under test.
struct Step {
    desired: Desired,
    asked_at: Instant,
    report: StepReport,
    p_value: Option<f64>,
    is_told: bool,
}

impl Step {
    /// Takes what a test came to that began so long after the split was asked for.
    fn take(&mut self, outcome: &Outcome, p_value: f64, begun: Duration) {
        let first = outcome.reasons.first();
        self.report.message = first.map_or_else(String::new, |reason| reason.message.clone());
        match outcome.verdict {
            VerdictName::Pass => {
                self.report.verdict = VerdictName::Pass;
                self.report.live_within_seconds = Some(self.asked_at.elapsed().as_secs_f64());
                self.p_value = None;
            }
            VerdictName::Fail => {
                self.report.verdict = VerdictName::Fail;
                self.report.not_live_for_seconds = Some(begun.as_secs_f64());
                self.p_value = Some(p_value.min(1.0));
            }
            VerdictName::Error => self.report.verdict = VerdictName::Error,
            VerdictName::Inconclusive | VerdictName::Measured => {}
        }
    }
}

struct Follower<'a> {
    args: &'a FollowArgs,
    base: Settings,
    events: Receiver<Event>,
    objects: BTreeMap<String, Value>,
    next: Option<Desired>,
    is_over: bool,
    json: Option<Box<dyn Write>>,
    step: Option<Step>,
    judged: Vec<JudgedCheck>,
}

/// Follows the stream to its end.
pub(super) fn run(args: &FollowArgs) -> Result<ExitStatus, CommandError> {
    let base = Settings {
        url: args.url.clone(),
        ..Settings::default()
    };
    let base = args.load.over(args.criterion.over(base));
    let json: Option<Box<dyn Write>> = match &args.json {
        Some(path) if path.as_os_str() == "-" => Some(Box::new(io::stdout())),
        Some(path) => Some(Box::new(opened(path, |path| File::create(path))?)),
        None => None,
    };
    let mut follower = Follower {
        args,
        base,
        events: events(&args.objects)?,
        objects: BTreeMap::new(),
        next: None,
        is_over: false,
        json,
        step: None,
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

fn opened(path: &Path, open: impl Fn(&Path) -> io::Result<File>) -> Result<File, CommandError> {
    open(path).map_err(|error| {
        let path = path.display().to_string();
        CommandError::usage(format!("{}: {error}", terminal(&path)))
    })
}

/// Reads the objects on a thread of its own, which ends with the process.
fn events(objects: &Path) -> Result<Receiver<Event>, CommandError> {
    let source: Box<dyn Read + Send> = match objects.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(opened(objects, |path| File::open(path))?),
    };
    let (send, events) = sync_channel(MOST_WAITING);
    let begun = std::thread::Builder::new().spawn(move || {
        let values = serde_json::Deserializer::from_reader(BufReader::new(source));
        for value in values.into_iter::<Value>() {
            let event = match value {
                Ok(value) => Event::Object(value),
                Err(error) => Event::Unread(error.to_string()),
            };
            let is_unread = matches!(event, Event::Unread(_));
            if send.send(event).is_err() || is_unread {
                break;
            }
        }
        let _ = send.send(Event::End);
    });
    match begun {
        Ok(_) => Ok(events),
        Err(error) => Err(CommandError::not_measured(format!(
            "no thread that reads the objects could start: {error}"
        ))),
    }
}

impl Follower<'_> {
    /// Tests step after step; whether a signal ended it.
    fn follow(&mut self) -> Result<bool, CommandError> {
        let mut pending = Pending::new().map_err(CommandError::not_measured)?;
        let end = self.base.max_duration.map(|limit| Instant::now() + limit);
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
            let share = step.desired.last_share;
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
        let object = match event {
            Event::Object(object) => object,
            Event::Unread(error) => {
                return Err(CommandError::usage(terminal(&format!(
                    "the stream of objects is no JSON: {error}; give what kubectl get -o json --watch prints"
                ))));
            }
            Event::End => {
                self.is_over = true;
                return Ok(());
            }
        };
        let items = match object.get("items") {
            Some(Value::Array(items)) => items.clone(),
            _ => vec![object],
        };
        for item in items {
            let name = |field: &str| item.pointer(field).map(Value::to_string);
            let key = ["/kind", "/metadata/namespace", "/metadata/name"].map(name);
            self.objects.insert(format!("{key:?}"), item);
        }
        if self.objects.len() > MOST_OBJECTS {
            return Err(CommandError::usage(format!(
                "the stream has more than {MOST_OBJECTS} objects: watch those of one rollout"
            )));
        }
        match self.desired() {
            Ok(desired) => {
                let latest = self
                    .next
                    .as_ref()
                    .or(self.step.as_ref().map(|step| &step.desired));
                if latest.is_none_or(|latest| latest.settings.expect != desired.settings.expect) {
                    self.next = Some(desired);
                }
            }
            Err(error) => output::note(&format!("no split yet: {}", error.message)),
        }
        Ok(())
    }

    /// What the objects ask for now.
    fn desired(&self) -> Result<Desired, CommandError> {
        let items: Vec<&Value> = self.objects.values().collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        let manifests = Manifests::read(&[Input {
            name: "the stream".to_owned(),
            bytes: list.to_string().into_bytes(),
            is_found: false,
        }])?;
        let base = &self.base;
        let choice = Choice {
            route: base.route.as_deref(),
            host: base.host.as_deref(),
            path: base.url.as_deref().and_then(crate::manifest::path_of),
            step: None,
        };
        let expectation = manifests.expectation(choice, None)?;
        let shares = expectation.split.shares();
        Ok(Desired {
            last_share: shares.last().copied().unwrap_or(1.0),
            source: expectation.source.clone(),
            settings: expectation
                .settings(base.clone())
                .map_err(CommandError::usage)?,
        })
    }

    fn begin(&mut self, desired: Desired) {
        let step = self.judged.len() as u64 + 1;
        let expect = desired.settings.expect.clone().unwrap_or_default();
        output::note(&terminal(&format!("step {step}: {expect} is asked for")));
        self.step = Some(Step {
            report: StepReport {
                step,
                expect,
                source: desired.source.clone(),
                verdict: VerdictName::Inconclusive,
                live_within_seconds: None,
                not_live_for_seconds: None,
                tests: 0,
                requests: 0,
                message: "it ended before a test did".to_owned(),
            },
            desired,
            asked_at: Instant::now(),
            p_value: None,
            is_told: false,
        });
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
        let plan = Settings {
            alpha: Some((self.base.alpha.unwrap_or(0.001) / parts).max(LEAST_ALPHA)),
            sequential: Some(true),
            max_duration: left.map(|left| left.max(TICK)),
            ..step.desired.settings.clone()
        }
        .plan()?;
        let begun = step.asked_at.elapsed();
        let registry = PodRegistry::shared(plan.mappings.clone());
        let halt = Arc::new(Notify::new());
        let mut taken = Ok(());
        let mut is_stopped = false;
        let expect = step.desired.settings.expect.clone();
        let measured = load::measure_until(&plan, &registry, &halt, &mut |_| {
            while let Ok(event) = self.events.try_recv() {
                let event = self.take(event);
                taken = std::mem::replace(&mut taken, Ok(())).and(event);
            }
            self.next.take_if(|next| next.settings.expect == expect);
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
            step.take(&outcome, p.unwrap_or(0.0) * parts, begun);
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
        } = step.report;
        self.judged.push(JudgedCheck {
            name: format!("step {number} ({expect})"),
            alpha: self.base.alpha.unwrap_or(0.001),
            verdict,
            p_value: step.p_value,
        });
        Ok(())
    }

    fn tell(&mut self, document: &impl Serialize, text: &str) -> Result<(), CommandError> {
        let text = terminal(text.trim_end());
        match &self.args.json {
            Some(path) if path.as_os_str() == "-" => output::note(&text),
            _ => output::print(&format!("{text}\n")),
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
        let report = RolloutReport::new(together.verdict, &together.reasons, steps, interrupted);
        self.tell(&report, &report.text())?;
        Ok(together.verdict.status(interrupted))
    }
}
