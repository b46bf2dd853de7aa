//! Merging is associative and free of order, and what it gives is what one machine would have seen.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::*;
use crate::measured::Measured;
use crate::observation::{Failure, Observation, Outcome};
use crate::plan::Plan;
use crate::plan::settings::Settings;
use crate::plan::shard::Shard;
use crate::report::VerdictName;
use crate::tally::Tally;
use crate::tally::connections::OneConnection;
use crate::tally::latency::Latency;
use crate::tally::pods::PodRegistry;
use crate::tally::sequence::Sequence;
use crate::verdict::judge;

const PODS: [&str; 4] = [
    "challenge-app-6f79ff6b8d-fmzvc",
    "challenge-app-6f79ff6b8d-x7k2p",
    "challenge-app-v2-6b8464cddd-nnjmj",
    "challenge-app-v2-6b8464cddd-9psrh",
];

/// One request and its answer: who, when, and how long it took.
#[derive(Clone, Copy)]
enum Answer {
    Pod(usize, u16),
    Nobody(u16),
    Failed(Failure),
}

#[derive(Clone, Copy)]
struct Seen {
    ticket: u64,
    answer: Answer,
    latency: Duration,
}

fn seen(requests: u64, random: &mut ChaCha8Rng, v2: impl Fn(u64) -> f64) -> Vec<Seen> {
    let one = |ticket| {
        let draw: f64 = random.random();
        let replica = usize::from(random.random::<bool>());
        let answer = match draw {
            draw if draw < 0.002 => Answer::Failed(Failure::Timeout),
            draw if draw < 0.004 => Answer::Nobody(502),
            _ if random.random::<f64>() < v2(ticket) => Answer::Pod(2 + replica, 200),
            _ => Answer::Pod(replica, if draw > 0.99 { 500 } else { 200 }),
        };
        let latency = Duration::from_micros(random.random_range(200..90_000));
        Seen {
            ticket,
            answer,
            latency,
        }
    };
    (0..requests).map(one).collect()
}

fn settings(keep_alive: bool) -> Settings {
    let table = json!({"expect": "v1=70,v2=30", "keep_alive": keep_alive});
    Settings::read(|| &table).unwrap()
}

/// What a machine tells that met these answers; `size` of them on each connection.
fn run(plan: &Plan, answers: impl Iterator<Item = Seen>, size: usize) -> Measured {
    let mut run = Measured::nothing(Trial::of(plan));
    let registry = PodRegistry::shared(plan.mappings.clone());
    let mut tally = Tally::new(registry, Arc::new(Sequence::new(100_000)));
    let answers: Vec<Seen> = answers.collect();
    for connection in answers.chunks(size) {
        let mut open = OneConnection::default();
        for &Seen {
            ticket,
            answer,
            latency,
        } in connection
        {
            let (outcome, pod) = match answer {
                Answer::Pod(pod, status) => {
                    let pod = Some(tally.intern(PODS[pod]));
                    (Outcome::Responded { status, pod }, pod)
                }
                Answer::Nobody(status) => (Outcome::Responded { status, pod: None }, None),
                Answer::Failed(failure) => (Outcome::Failed(failure), None),
            };
            tally.record(&Observation {
                ticket,
                outcome,
                dispatched: Duration::from_micros(137 * ticket),
                latency,
            });
            open.record(pod.map(|pod| tally.group(pod)));
        }
        if size > 1 {
            tally.close(open);
        }
    }
    run.counted = tally.at_rest();
    run.started_at = Some(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    run.elapsed = Duration::from_secs(3);
    run
}

fn concluded(plan: &Plan, measured: &Measured) -> Report {
    Report::of(&plan.claim, measured, &judge(&plan.claim, measured))
}

/// The measurements of the shards, as they come out of their JSON.
fn shards(settings: &Settings, answers: &[Seen], count: u32, size: usize) -> Vec<Measurement> {
    let measurement = |index| {
        let plan = settings
            .plan_shard(Shard::new(index, count).unwrap())
            .unwrap();
        let own = (0..).map(|ticket| plan.place(ticket));
        let own = own.map_while(|place| answers.get(usize::try_from(place).unwrap()).copied());
        let report = concluded(&plan, &run(&plan, own, size));
        assert_eq!(report.verdict, VerdictName::Measured);
        read(&report)
    };
    (0..count).map(measurement).collect()
}

fn read(report: &Report) -> Measurement {
    let text = serde_json::to_string(&report.measurement).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn merged(measurements: impl IntoIterator<Item = Measurement>) -> Report {
    let mut collection = Collection::default();
    for measurement in measurements {
        let mut measurement = measurement;
        // The names of runs are those of their reports.
        measurement.plan.run_id = "run".to_owned();
        collection.add("test", measurement).unwrap();
    }
    collection.report().unwrap()
}

/// Writes the histograms anew: the room that one has made beyond its longest latency depends on its past.
fn canonical(report: &mut Report) {
    let anew = |text: &mut String| {
        let bytes = STANDARD.decode(&*text).unwrap();
        let latency = Latency::from_hdr_v2_deflate(&bytes).unwrap();
        *text = STANDARD.encode(latency.to_hdr_v2_deflate());
    };
    let backends = report.backends.iter_mut();
    backends
        .filter_map(|row| row.latency_histogram.as_mut())
        .for_each(anew);
    anew(&mut report.latency.as_mut().unwrap().histogram);
}

#[test]
fn shards_merge_to_what_one_machine_would_have_seen() {
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let splits: [&dyn Fn(u64) -> f64; 3] = [&|_| 0.3, &|_| 0.5, &|ticket| {
        if ticket < 1500 { 0.5 } else { 0.16 }
    }];
    for (v2, count) in splits.into_iter().zip([8, 7, 5]) {
        let answers = seen(3664, &mut random, v2);
        let settings = settings(false);
        let plan = settings.plan().unwrap();
        let mut whole = concluded(&plan, &run(&plan, answers.iter().copied(), 1));
        let mut merged = merged(shards(&settings, &answers, count, 1));
        assert!(merged.shard_agreement.take().unwrap().p_value > 0.001);
        assert!(merged.measurement.take().is_some());
        canonical(&mut merged);
        canonical(&mut whole);
        // These name the run and the machines.
        merged.run_id.clone_from(&whole.run_id);
        merged.plan.concurrency = whole.plan.concurrency;
        merged.plan.threads = whole.plan.threads;
        assert_eq!(merged, whole, "over {count}");
        assert_eq!(
            whole.requests.attributed + whole.requests.unattributed,
            3664
        );
    }
}

#[test]
fn merging_is_associative_and_free_of_order() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for round in 0..20 {
        let (keep_alive, size) = if round % 2 == 0 {
            (false, 1)
        } else {
            (true, 7)
        };
        let count = random.random_range(2..10_u32);
        let answers = seen(1500, &mut random, |_| 0.3);
        let settings = settings(keep_alive);
        let parts = shards(&settings, &answers, count, size);
        let at_once = merged(parts.clone());
        assert!(at_once.test.is_some());
        // Merged in groups at random, those merged again in random order.
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.shuffle(&mut random);
        let (mut groups, mut rest) = (Vec::new(), order.as_slice());
        while !rest.is_empty() {
            let (group, others) = rest.split_at(random.random_range(1..=rest.len()));
            let partial = merged(group.iter().map(|&part| parts[part].clone()));
            let is_whole = group.len() == parts.len();
            assert_eq!(partial.test.is_some(), is_whole, "a part is not judged");
            groups.push(read(&partial));
            rest = others;
        }
        groups.shuffle(&mut random);
        assert_eq!(merged(groups), at_once, "round {round}");
    }
}

#[test]
fn kept_connections_of_shards_add_up_to_rounding() {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let answers = seen(2800, &mut random, |_| 0.3);
    let settings = settings(true);
    let plan = settings.plan().unwrap();
    // One machine's connections in the order in which the shards had them.
    let dealt = (0..4).flat_map(|index| answers.iter().skip(index).step_by(4));
    let whole = concluded(&plan, &run(&plan, dealt.copied(), 7))
        .test
        .unwrap();
    let merged = merged(shards(&settings, &answers, 4, 7)).test.unwrap();
    assert_eq!(
        (merged.method, merged.chi_square),
        (whole.method, whole.chi_square)
    );
    let (ours, theirs) = (merged.design_effect.unwrap(), whole.design_effect.unwrap());
    assert!((ours - theirs).abs() < 1e-9, "{ours} and {theirs}");
}

#[test]
fn a_retry_counts_once_and_two_measurements_of_a_shard_do_not_count() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let answers = seen(1000, &mut random, |_| 0.3);
    let parts = shards(&settings(false), &answers, 2, 1);
    let with = |change: &dyn Fn(&mut ShardMeasurement)| {
        let mut again = parts[1].clone();
        change(&mut again.shards[0]);
        merged([parts[0].clone(), again, parts[1].clone()])
    };
    let codes = |report: &Report| -> Vec<String> {
        report
            .reasons
            .iter()
            .map(|reason| reason.code.clone())
            .collect()
    };
    let interrupted = with(&|shard| shard.ending = Some("interrupted".to_owned()));
    let unmeasured = with(&|shard| shard.unmeasured = Some("cannot reach it".to_owned()));
    for report in [interrupted, unmeasured] {
        assert!(report.test.is_some());
        assert!(
            codes(&report).contains(&"shards_retried".to_owned()),
            "{:?}",
            codes(&report)
        );
    }
    let twice = with(&|_| {});
    assert_eq!(codes(&twice), ["shards_repeated"]);
    assert!(twice.test.is_none() && twice.requests.sent == 0);
}

#[test]
fn an_interrupted_shard_makes_a_run_that_was_cut_short() {
    let mut random = ChaCha8Rng::seed_from_u64(10);
    let answers = seen(3664, &mut random, |_| 0.3);
    let mut parts = shards(&settings(false), &answers, 2, 1);
    parts[1].shards[0].ending = Some("interrupted".to_owned());
    let report = merged(parts);
    assert_eq!(
        (report.verdict, report.interrupted),
        (VerdictName::Inconclusive, false)
    );
    assert_eq!(report.exit_status, 3);
    assert_eq!(report.reasons[0].code, "cut_short");
}

#[test]
fn what_is_longer_than_a_run_writes_is_refused_in_few_words() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let answers = seen(100, &mut random, |_| 0.3);
    let settings = settings(true);
    let part = &shards(&settings, &answers, 1, 5)[0];
    let plan = settings.plan().unwrap();
    let report = Report::of(
        &plan.claim,
        &run(&plan, answers.into_iter(), 5),
        &judge(&plan.claim, &Measured::nothing(Trial::of(&plan))),
    );
    let whole = Report {
        measurement: Some(part.clone()),
        ..report
    };
    let whole = serde_json::to_value(whole).unwrap();
    let long = "a".repeat(2 << 20);
    for (place, value) in [
        ("/dependence/sample", serde_json::json!(vec![[0; 0]; 5000])),
        (
            "/windows",
            serde_json::json!(vec![serde_json::json!({"counts": []}); 300]),
        ),
        ("/windows/0/counts", serde_json::json!(vec![0; 3001])),
        ("/groups/0/workload", serde_json::json!(long)),
        ("/groups/0/pods", serde_json::json!({long.clone(): 1})),
        ("/by_failure", serde_json::json!({long.clone(): "x"})),
        ("/ending", serde_json::json!({long.clone(): 1})),
    ] {
        let mut changed = whole.clone();
        let path = format!("/measurement/shards/0{place}");
        *changed.pointer_mut(&path).unwrap() = value;
        let refused = Collection::default().read("shards.json", changed.to_string().as_bytes());
        let message = refused.unwrap_err().to_string();
        assert!(
            message.len() < 1500 && message.contains("measurement.shards"),
            "{place}: {}",
            &message[..message.len().min(300)]
        );
    }
}
