//! `lbtest demo`: the gate against an ingress embedded in this process.

use std::fmt::Write;
use std::num::{NonZeroU32, NonZeroUsize};

use clap::Args;

use super::ingress::BehaviourArgs;
use super::measure;
use super::output::OutputArgs;
use super::shard::ShardArgs;
use super::{CommandError, manifests, output};
use crate::exit::ExitStatus;
use crate::format;
use crate::ingress::{Config, Ingress, Page, PodCounts};
use crate::plan::settings::{ExpectEven, Settings};
use crate::report::escape::terminal;
use crate::split::Split;

/// The arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    shard: ShardArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    behaviour: BehaviourArgs,
}

/// What is expected where nothing is said of a split: a demo needs no set-up.
const SPLIT: &str = "v1=70,v2=30";

/// What names a pod in the line with which it greets a TCP connection.
const GREETING: &str = r"^(\S+)";

/// As many pods share the requests where nobody says how many.
const PODS: NonZeroUsize = NonZeroUsize::new(5).expect("five");

/// What names a pod in the metadata of its answer to a call.
const METADATA: &str = "header:x-pod-name";

/// Starts the ingress on a free port and runs the gate against it.
pub(super) fn run(args: &DemoArgs) -> Result<ExitStatus, CommandError> {
    output::color(args.output.color);
    let mut settings = args.settings.clone();
    settings.refuse_idle(&settings)?;
    let expected = &mut settings.expectation;
    let is_even = expected.is_even_alone();
    if expected.expect_from.is_empty() && args.behaviour.split.is_none() && !is_even {
        expected.expect.get_or_insert_with(|| SPLIT.to_owned());
    }
    let (mut settings, manifests) = manifests::resolve(settings)?;
    // The pods of the manifests are not those of the demo.
    settings
        .promise
        .backend
        .clone_from(&args.settings.promise.backend);
    let split = measure::expected(&settings)?;
    // What is wrong with it is told before the pods are made that it asks for.
    settings.claim(split.clone())?;
    let mut config = config(args, &settings, &split, is_even)?;
    let identify = &mut settings.identification.identify;
    if settings.request.grpc.is_some() {
        if !matches!(config.page, Page::Flask | Page::Grpc) {
            return Err(CommandError::usage(
                "--page says what requests are answered, and --grpc sends calls: drop --page",
            ));
        }
        config.page = Page::Grpc;
        if identify.is_empty() {
            identify.push(METADATA.to_owned());
        }
    }
    // The demo knows its own pods; what the user says of them counts all the same.
    if settings.promise.backend.is_empty() && !is_even {
        settings.promise.backend = config
            .assignment()
            .iter()
            .filter(|(label, _)| split.position(label).is_some())
            .map(|(label, workload)| format!("{label}={workload}"))
            .collect();
    }
    let ingress = Ingress::start(&config)?;
    settings.request.url = Some(match ingress.tcp_addr() {
        Some(address) => {
            if identify.is_empty() {
                identify.push(GREETING.to_owned());
            }
            format!("tcp://{address}")
        }
        None => format!("http://{}/", ingress.addr()),
    });
    let plan = args.shard.plan(&settings)?;
    let findings = manifests::findings(manifests, &plan)?;
    let status = measure::measure(&plan, findings, &args.output)?;
    drop(ingress);
    if !args.output.no_progress && !args.output.quiet {
        output::note(&lesson_of(args, &settings, &split, status));
    }
    Ok(status)
}

/// The ingress that is to be measured.
fn config(
    args: &DemoArgs,
    settings: &Settings,
    split: &Split,
    is_even: bool,
) -> Result<Config, CommandError> {
    let (host, seed) = (settings.request.host.clone(), settings.promise.seed());
    let config = match &settings.expectation.expect_even {
        Some(_) if is_even => {
            let pods = counted(settings, split).unwrap_or(PODS);
            args.behaviour.config_of_pods(pods, host, seed)?
        }
        Some(ExpectEven::Backends(pods)) if args.behaviour.pods.is_none() => Config {
            pods: pod_counts(pods),
            ..args.behaviour.config(Some(split), host, seed)?
        },
        _ => args.behaviour.config(Some(split), host, seed)?,
    };
    Ok(config)
}

/// How many pods are to share equally, where that is said.
fn counted(settings: &Settings, split: &Split) -> Option<NonZeroUsize> {
    let is_said = settings.expectation.expect_even != Some(ExpectEven::WhoAnswers);
    NonZeroUsize::new(split.len()).filter(|_| is_said)
}

/// The lesson that fits what was asked for.
fn lesson_of(args: &DemoArgs, settings: &Settings, split: &Split, status: ExitStatus) -> String {
    if split.is_of_pods() {
        return lesson_of_pods(counted(settings, split).unwrap_or(PODS), status);
    }
    if settings.gates.expect_sticky.is_some() {
        return lesson_of_sessions(status);
    }
    // Manifests can have said what is expected.
    let asked = settings.expectation.expect.clone();
    let asked = asked.unwrap_or_else(|| split.to_string());
    lesson(&asked, split, args.behaviour.split.as_deref(), status)
}

/// The pods that are expected of each backend.
fn pod_counts(pods: &[(String, NonZeroUsize)]) -> PodCounts {
    let count = |pods: NonZeroUsize| u32::try_from(pods.get()).ok().and_then(NonZeroU32::new);
    let known = pods.iter();
    let counts = known.filter_map(|(label, pods)| Some((label.clone(), count(*pods)?)));
    PodCounts(counts.collect())
}

/// The same where pods are to share equally.
fn lesson_of_pods(pods: NonZeroUsize, status: ExitStatus) -> String {
    format!(
        "\nWhat happened: an ingress in this process sent requests to its pods; lbtest\n\
         read from every response which pod answered, and tested the counts against\n\
         equal shares of {pods} pods. The exit status is {}.\n\
         Try next:\n  \
         lbtest demo --expect-even={pods} --split app=9,slow=1 --pods app={}\n      \
         one pod gets too little: FAIL, exit status 1\n  \
         lbtest plan --expect-even={pods}\n      \
         what the promise costs, and how likely each verdict is\n  \
         lbtest http://ADDRESS/ --host NAME --expect-even={pods}\n      \
         your own ingress",
        status.code(),
        pods.get() - 1
    )
}

/// The same where sessions are to stay on their backends.
fn lesson_of_sessions(status: ExitStatus) -> String {
    format!(
        "\nWhat happened: an ingress in this process answered sessions of several requests;\n\
         lbtest sent back what the first response of each had set, and looked whether the\n\
         same backend answers the others. The exit status is {}.\n\
         Try next:\n  \
         lbtest demo --expect v1=70,v2=30 --expect-sticky --discipline sticky\n      \
         an ingress that keeps its sessions by a cookie: PASS, exit status 0\n  \
         lbtest http://ADDRESS/ --host NAME --expect v1=70,v2=30 --expect-sticky\n      \
         your own ingress",
        status.code()
    )
}

/// What happened, and what to try next; every command in it can be pasted.
fn lesson(asked: &str, expected: &Split, applied: Option<&str>, status: ExitStatus) -> String {
    let message = applied.map_or_else(
        || format::shares(expected),
        |message| terminal(message).into_owned(),
    );
    // Labels and weights hold nothing that a shell would read otherwise.
    let expect: String = asked.split_whitespace().collect();
    let own = match (applied, shifted(expected)) {
        (None, Some(shifted)) => Some((
            format!("lbtest demo --expect {expect} --split {shifted}"),
            "an ingress that is off: FAIL, exit status 1",
        )),
        (None, None) => None,
        (Some(_), _) => Some((
            format!("lbtest demo --expect {expect}"),
            "an ingress that does as it is told: PASS, exit status 0",
        )),
    };
    let next = own.into_iter().chain([
        (
            format!("lbtest plan --expect {expect}"),
            "what the promise costs, and how likely each verdict is",
        ),
        (
            format!("lbtest http://ADDRESS/ --host NAME --expect {expect}"),
            "your own ingress",
        ),
    ]);
    let mut lesson = format!(
        "\nWhat happened: an ingress in this process split the requests {message};\n\
         lbtest read from every response which pod answered, and tested the counts\n\
         against {}. The exit status is {}.\nTry next:",
        format::shares(expected),
        status.code()
    );
    for (command, meaning) in next {
        let _ = write!(lesson, "\n  {command}\n      {meaning}");
    }
    lesson
}

/// The split with ten percentage points, or half of what there is, moved from its largest share to another backend;
/// `None` where there is no other.
fn shifted(split: &Split) -> Option<String> {
    let mut percent: Vec<f64> = split.shares().iter().map(|share| 100.0 * share).collect();
    let (largest, _) = percent
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))?;
    let other = (0..percent.len()).rfind(|&index| index != largest)?;
    let moved = (percent[largest] / 2.0).min(10.0);
    percent[largest] -= moved;
    percent[other] += moved;
    let backends = split.labels().iter().zip(percent);
    let items: Vec<String> = backends
        .map(|(label, percent)| format!("{label}={}", (1e4 * percent).round() / 1e4))
        .collect();
    Some(items.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lesson_proposes_commands_that_fit_what_was_run() {
        let describe = |expect: &str, applied| {
            lesson(expect, &expect.parse().unwrap(), applied, ExitStatus::Pass)
        };
        let right = describe("v1=70,v2=30", None);
        assert!(right.contains("--split v1=60,v2=40\n"), "{right}");
        let wrong = describe("v1=70,v2=30", Some("v1=1,v2=1"));
        assert!(
            wrong.contains("split the requests v1=1,v2=1;") && !wrong.contains("--split"),
            "{wrong}"
        );
        let alone = describe("v1=1", None);
        assert!(!alone.contains("--split"), "{alone}");
        let spaced = describe(" v1=70, v2=30 ", None);
        assert!(spaced.contains("plan --expect v1=70,v2=30\n"), "{spaced}");
    }
}
