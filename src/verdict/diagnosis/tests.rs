use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::plan::target::Protocol;
use crate::stats::change_point::change_point;
use crate::stats::dependence::ConnectionSums;
use crate::stats::drift::drift;
use crate::stats::goodness_of_fit::goodness_of_fit;

/// A run's symptoms, owned.
#[derive(Debug, Clone)]
struct Case {
    split: Split,
    counts: Counts,
    errors: Vec<u64>,
    pods: Vec<Vec<u64>>,
    replicas: Option<Vec<u64>>,
    statuses: Vec<(u16, u64)>,
    failures: Vec<(Failure, u64)>,
    windows: Vec<Vec<u64>>,
    window_length: u64,
    clustering: Option<Clustering>,
    signs: Signs,
    sends_cookie: bool,
    is_ingress_nginx: bool,
}

/// `observed` responses, from one pod of each backend.
fn case(expect: &str, observed: &[u64]) -> Case {
    let split: Split = expect.parse().unwrap();
    let pods = observed
        .iter()
        .map(|&count| if count > 0 { vec![count] } else { Vec::new() });
    Case {
        pods: pods.collect(),
        errors: vec![0; observed.len()],
        counts: Counts {
            observed: observed.to_vec(),
            foreign: 0,
            unattributed: 0,
        },
        split,
        replicas: None,
        statuses: Vec::new(),
        failures: Vec::new(),
        windows: Vec::new(),
        window_length: 16,
        clustering: None,
        signs: Signs::default(),
        sends_cookie: false,
        is_ingress_nginx: false,
    }
}

impl Case {
    fn missing(mut self, status: u16, count: u64) -> Self {
        self.statuses.push((status, count));
        self.counts.unattributed += count;
        self
    }

    /// What the request with each ticket brought: a backend, or nothing.
    fn sequence(mut self, answered: impl IntoIterator<Item = Option<usize>>) -> Self {
        let k = self.split.len();
        self.counts.observed = vec![0; k];
        self.windows.clear();
        for (ticket, backend) in answered.into_iter().enumerate() {
            if ticket % 16 == 0 {
                self.windows.push(vec![0; k]);
            }
            if let Some(backend) = backend {
                self.windows.last_mut().unwrap()[backend] += 1;
                self.counts.observed[backend] += 1;
            }
        }
        self.pods = self.counts.observed.iter().map(|&n| vec![n]).collect();
        self
    }

    fn found(&self) -> Vec<Finding> {
        let fit = goodness_of_fit(&self.counts.observed, self.split.shares(), 0.001, 1).unwrap();
        diagnose(&Symptoms {
            split: &self.split,
            alpha: 0.001,
            seed: 1,
            p_value: fit.map(|fit| fit.p_value),
            counts: &self.counts,
            independent: &self.counts,
            errors: &self.errors,
            pods: &self.pods,
            replicas: self.replicas.as_deref(),
            unidentified_by_status: &self.statuses,
            failures: &self.failures,
            windows: &self.windows,
            window_length: self.window_length,
            drift: drift(&self.windows).as_ref(),
            change: change_point(&self.windows, &[]).as_ref(),
            clustering: self.clustering,
            repeats: self.clustering.is_some(),
            order: None,
            signs: self.signs,
            sends_cookie: self.sends_cookie,
            protocol: Protocol::Http1,
            is_ingress_nginx: self.is_ingress_nginx,
        })
    }

    fn codes(&self) -> Vec<&'static str> {
        self.found().iter().map(|finding| finding.code).collect()
    }

    /// The first finding's code and those tied with it.
    fn first(&self) -> Vec<&'static str> {
        let found = self.found();
        let [first, ..] = &found[..] else {
            return Vec::new();
        };
        std::iter::once(first.code)
            .chain(first.tied_with.iter().copied())
            .collect()
    }
}

fn draws(n: usize, share: f64, random: &mut ChaCha8Rng) -> Vec<Option<usize>> {
    (0..n)
        .map(|_| Some(usize::from(random.random::<f64>() >= share)))
        .collect()
}

#[test]
fn counts_that_fit_have_no_cause() {
    assert!(case("v1=70,v2=30", &[705, 295]).codes().is_empty());
    assert!(case("a=1", &[100]).codes().is_empty());
    assert!(case("v1=70,v2=30", &[0, 0]).codes().is_empty());
}

#[test]
fn each_constant_cause_is_named_with_its_shares() {
    let found = case("v1=70,v2=30", &[290, 710]).found();
    assert_eq!(found[0].code, "weights_swapped");
    assert_eq!(
        found[0].message,
        "the counts look like the weights in another order: v1 30 %, v2 70 %"
    );
    let figure = |name: &str| found[0].evidence.iter().find(|(known, _)| *known == name);
    assert!(figure("p_value").unwrap().1 > 0.4);
    assert!(figure("log_likelihood_gain_over_expected").unwrap().1 > 300.0);
    assert!(figure("log_likelihood_lead").unwrap().1 > 50.0);
    assert_eq!(
        case("a=50,b=30,c=20", &[200, 500, 300]).first(),
        ["weights_swapped"]
    );
    assert_eq!(
        case("a=50,b=30,c=20", &[330, 340, 330]).first(),
        ["equal_weights", "uniform_over_pods", "replica_ratio"]
    );
    assert_eq!(
        case("v1=80,v2=15,v3=5", &[970, 20, 10]).first(),
        ["unexplained"]
    );
}

#[test]
fn a_total_is_ignored_by_ingress_nginx_alone() {
    for expect in ["v1=7,v2=3", "v1=70,v2=30"] {
        let mut few = case(expect, &[970, 30]);
        let found = few.found();
        assert_eq!(found[0].code, "unexplained");
        assert!(
            found[0].message.contains("other weights do: 97/3"),
            "{found:?}"
        );
        few.is_ingress_nginx = true;
        assert_eq!(few.first(), ["canary_weight_total_ignored"]);
    }
    let found = case("stable=980,canary=20", &[7953, 2047]).found();
    assert_eq!(found[0].code, "canary_weight_total_ignored");
    assert!(
        found[0]
            .message
            .contains("weights out of 1000 read as out of 100"),
        "{found:?}"
    );
}

#[test]
fn plain_other_weights_are_named() {
    let message = |observed: &[u64]| case("v1=70,v2=30", observed).found()[0].message.clone();
    assert!(message(&[6010, 3990]).contains("other weights do: 60/40; "));
    // v2 fails half of its requests, and v1 answers them.
    let retried = message(&[8490, 1510]);
    assert!(
        retried.contains("other weights do: 85/15; retries would look so")
            && retried.ends_with("where v2 fails"),
        "{retried}"
    );
    let ring = message(&[67_300, 32_700]);
    assert!(ring.contains("; a ring of hashes is as far off"), "{ring}");
}

#[test]
fn a_cause_beside_a_foreign_workload_speaks_of_the_splits_own_backends() {
    let mut foreign = case("v1=70,v2=30", &[290, 710]);
    foreign.counts.foreign = 100;
    let message = &foreign.found()[0].message;
    assert!(
        message.starts_with("among the answers of the split's own backends: "),
        "{message}"
    );
}

#[test]
fn causes_that_few_counts_do_not_tell_apart_are_tied() {
    let mut few = case("v1=10,v2=90", &[22, 18]);
    few.pods = vec![vec![11, 11], vec![18]];
    let tied = few.first();
    assert!(
        tied.contains(&"equal_weights") && tied.contains(&"uniform_over_pods"),
        "{tied:?}"
    );
    assert!(few.found()[0].message.contains("looks the same as: "));
}

#[test]
fn pods_and_replicas_are_told_apart_where_the_data_can() {
    let mut pods = case("v1=50,v2=50", &[750, 250]);
    pods.pods = vec![vec![250, 255, 245], vec![250]];
    assert_eq!(pods.first(), ["uniform_over_pods", "replica_ratio"]);
    // Unequal pods of one backend are not served uniformly.
    pods.pods = vec![vec![500, 150, 100], vec![250]];
    assert_eq!(pods.first(), ["replica_ratio"]);
    // A backend with five replicas, of which three are ready.
    pods.pods = vec![vec![250, 255, 245], vec![250]];
    pods.replicas = Some(vec![5, 1]);
    assert_eq!(pods.first(), ["uniform_over_pods"]);
}

#[test]
fn a_silent_backend_is_absent_or_the_client_is_stuck() {
    let mut silent = case("v1=70,v2=30", &[900, 0]);
    silent.pods[0] = vec![300, 310, 290];
    assert_eq!(silent.first(), ["canary_absent", "stuck_client"]);
    silent.pods[0] = vec![900];
    assert_eq!(silent.first(), ["stuck_client", "canary_absent"]);
    assert_eq!(
        case("v1=70,v2=30", &[0, 900]).first(),
        ["stuck_client", "primary_bypassed"]
    );
    // The ready backends share what the third should get, or the primary takes it.
    assert_eq!(
        case("a=50,b=25,c=25", &[660, 340, 0]).first(),
        ["canary_absent"]
    );
    assert_eq!(
        case("a=50,b=25,c=25", &[750, 250, 0]).first(),
        ["canary_absent"]
    );
}

#[test]
fn errors_that_make_up_a_backends_share_are_its_own() {
    let dead = case("v1=70,v2=30", &[700, 0]).missing(503, 300);
    assert_eq!(dead.first(), ["canary_failing"]);
    let half = case("v1=70,v2=30", &[700, 150]).missing(502, 150);
    assert_eq!(half.first(), ["canary_failing"]);
    // Envoy's circuit breaker on the canary's cluster lets some through.
    let full = case("v1=70,v2=30", &[700, 75]).missing(503, 225);
    for (case, is_full) in [(dead, false), (half, false), (full, true)] {
        let message = &case.found()[0].message;
        assert_eq!(message.contains("a lower -c tells"), is_full, "{message}");
    }
    let primary = case("v1=70,v2=30", &[0, 300]).missing(503, 700);
    assert_eq!(primary.first(), ["primary_failing"]);
    let anonymous = case("v1=70,v2=30", &[700, 0]).missing(200, 300);
    assert_eq!(anonymous.first(), ["backend_not_identified"]);
    let mut reset = case("v1=70,v2=30", &[700, 0]);
    reset.failures = vec![(Failure::Reset, 300)];
    reset.counts.unattributed = 300;
    assert_eq!(reset.first(), ["canary_failing"]);
}

#[test]
fn few_errors_do_not_hide_the_cause_of_the_counts() {
    let swapped = case("v1=70,v2=30", &[290, 710]).missing(503, 3);
    assert_eq!(swapped.first(), ["weights_swapped"]);
    let absent = case("v1=70,v2=30", &[990, 0]).missing(503, 10);
    assert_eq!(absent.first(), ["stuck_client", "canary_absent"]);
}

#[test]
fn errors_of_no_backend_are_the_ingress_or_a_limiter() {
    let errors = case("v1=70,v2=30", &[700, 300]).missing(503, 4000);
    assert_eq!(errors.first(), ["errors_before_split"]);
    let limited = case("v1=70,v2=30", &[700, 300]).missing(429, 4000);
    assert_eq!(limited.first(), ["rate_limited"]);
    let dead = case("v1=70,v2=30", &[0, 0]).missing(503, 1000);
    assert_eq!(dead.first(), ["primary_dead"]);
    for (status, part) in [
        (500, "every version"),
        (502, "refuse or break"),
        (504, "in time"),
        (522, "CDN"),
    ] {
        let failing = case("v1=70,v2=30", &[0, 0]).missing(status, 1000);
        let found = failing.found();
        assert_eq!(found[0].code, "all_failing", "{status}");
        assert!(found[0].message.contains(part), "{found:?}");
    }
    for (status, part) in [
        (302, "v2 redirects, to a login"),
        (404, "v2 refuses what the others answer"),
        (500, "v2 fails and"),
        (200, "do not name their pod"),
    ] {
        let found = case("v1=70,v2=30", &[700, 0]).missing(status, 300).found();
        assert!(found[0].message.contains(part), "{status}: {found:?}");
    }
    let elsewhere = case("v1=70,v2=30", &[0, 0]).missing(404, 1000);
    assert!(elsewhere.codes().is_empty());
}

#[test]
fn what_stops_in_mid_run_is_a_limiter_or_an_outage() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut answered = draws(200, 0.7, &mut random);
    answered.extend((0..1500).map(|request| (request % 100 == 0).then_some(0)));
    let limited = case("v1=70,v2=30", &[0, 0])
        .missing(503, 1485)
        .sequence(answered.clone());
    assert_eq!(limited.first(), ["rate_limited"]);
    let outage = case("v1=70,v2=30", &[0, 0])
        .missing(502, 1485)
        .sequence(answered);
    assert_eq!(outage.first(), ["outage"]);
}

#[test]
fn errors_close_together_are_a_reload() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut answered = draws(2000, 0.7, &mut random);
    for place in [900, 903, 905, 908, 911, 914, 917, 920] {
        answered[place] = None;
    }
    let reload = case("v1=70,v2=30", &[0, 0])
        .missing(502, 8)
        .sequence(answered.clone());
    assert_eq!(reload.first(), ["errors_clustered"]);
    let mut refused = case("v1=70,v2=30", &[0, 0]).sequence(answered.clone());
    refused.failures.push((Failure::Connect, 8));
    let message = &refused.found()[0].message;
    assert!(message.contains("(connect × 8, never sent)"), "{message}");
    for (place, spread) in [900, 903, 905, 908, 911, 914, 917, 920]
        .into_iter()
        .zip(0..)
    {
        answered[place] = Some(0);
        answered[40 + 240 * spread] = None;
    }
    let spread = case("v1=70,v2=30", &[0, 0])
        .missing(502, 8)
        .sequence(answered);
    assert!(spread.codes().is_empty(), "{:?}", spread.found());
}

/// Varnish with `max_connections` of 7 and 3, at 8 requests in flight.
#[test]
fn rejections_that_name_no_backend_are_no_other_weights() {
    let found = case("v1=70,v2=30", &[2691, 973]).missing(503, 417).found();
    assert_eq!(found[0].code, "rejected_without_backend");
    assert!(found[0].message.contains("try a lower -c"), "{found:?}");
    // Without the rejections other weights fit.
    let found = case("v1=70,v2=30", &[2691, 973]).found();
    assert_eq!(found[0].code, "unexplained");
}

#[test]
fn a_backend_that_stops_answering_is_limited_or_broken() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let answered = draws(2000, 0.7, &mut random).into_iter().enumerate();
    let answered: Vec<Option<usize>> = answered
        .map(|(ticket, backend)| backend.filter(|&backend| backend == 0 || ticket < 500))
        .collect();
    let missing = answered.iter().filter(|backend| backend.is_none()).count();
    let limited = case("v1=70,v2=30", &[0, 0])
        .missing(503, missing as u64)
        .sequence(answered);
    assert_eq!(limited.first(), ["backend_limited", "canary_failing"]);
}

#[test]
fn a_change_is_placed_and_told() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut answered = draws(1500, 0.7, &mut random);
    answered.extend(draws(2000, 0.5, &mut random));
    let changed = case("v1=70,v2=30", &[0, 0]).sequence(answered);
    let found = changed.found();
    assert_eq!(found[0].code, "changed_mid_run");
    assert!(
        found[0]
            .change
            .starts_with("the split changed at about request 1"),
        "{}",
        found[0].change
    );
    assert!(
        !found[0].message.contains("not the only change"),
        "{}",
        found[0].message
    );

    let mut late = draws(200, 1.0, &mut random);
    late.extend(draws(3000, 0.7, &mut random));
    let late = case("v1=70,v2=30", &[0, 0]).sequence(late);
    assert_eq!(late.first(), ["weights_not_live_yet"]);

    let mut back = draws(1000, 0.7, &mut random);
    back.extend(draws(1000, 0.2, &mut random));
    back.extend(draws(1000, 0.7, &mut random));
    let back = case("v1=70,v2=30", &[0, 0]).sequence(back).found();
    assert_eq!(back[0].code, "changed_mid_run");
    assert!(back[0].message.contains("not the only change"));
}

/// Requests that fall to workers at random, each of which deals in turn from the beginning: the other backend gets every
/// `period`-th, half a period after the start.
fn workers_alike(workers: usize, period: u64, n: usize) -> Vec<Option<usize>> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut served = vec![0_u64; workers];
    let answer = |_| {
        let own = &mut served[random.random_range(0..workers)];
        *own += 1;
        Some(usize::from(*own % period == period / 2))
    };
    (0..n).map(answer).collect()
}

#[test]
fn workers_that_begin_alike_are_no_weights_that_came_late() {
    // Each of 128 workers is asked once, and four of them then.
    let turns = (0..128)
        .map(|_| 0)
        .chain((0..4000).map(|turn| usize::from(turn % 8 < 4)));
    let alike = case("v1=50,v2=50", &[0, 0]).sequence(turns.map(Some));
    assert_eq!(
        alike.first(),
        ["workers_start_alike", "weights_not_live_yet"]
    );
    assert!(
        alike.found()[0].message.contains("--warmup "),
        "{:?}",
        alike.found()
    );
    // What was lacking at first came later: then it was no weight.
    let made_up = (0..600)
        .map(|_| 0)
        .chain((0..600).map(|turn| usize::from(turn % 10 < 9)));
    let turns = made_up.chain((0..2400).map(|turn| turn % 2));
    let made_up = case("v1=50,v2=50", &[0, 0]).sequence(turns.map(Some));
    assert_ne!(made_up.first(), ["weights_not_live_yet"]);
    let waves = case("v1=99,v2=1", &[0, 0]).sequence(workers_alike(64, 100, 20_364));
    assert_eq!(waves.first(), ["workers_start_alike"]);
    let message = &waves.found()[0].message;
    assert!(
        message.starts_with("v2 comes in waves of about 6"),
        "{message}"
    );
}

#[test]
fn a_change_is_placed_among_all_requests() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut answered = draws(1000, 0.9, &mut random);
    answered.extend(draws(1000, 0.1, &mut random));
    // Every other request brings no identity.
    let answered = answered.into_iter().flat_map(|backend| [backend, None]);
    let changed = case("v1=50,v2=50", &[0, 0])
        .missing(503, 2000)
        .sequence(answered);
    let found = changed.found();
    let change = found
        .iter()
        .find(|finding| finding.code == "changed_mid_run");
    let (_, request) = change.unwrap().evidence[0];
    assert!((request - 2000.0).abs() <= 48.0, "{request}");
}

#[test]
fn a_correct_split_is_seldom_given_a_cause() {
    let runs = 300;
    let mut wrong = 0;
    for seed in 0..runs {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let answered: Vec<Option<usize>> = draws(1500, 0.7, &mut random)
            .into_iter()
            .map(|backend| backend.filter(|_| random.random::<f64>() > 0.005))
            .collect();
        let missing = answered.iter().filter(|backend| backend.is_none()).count();
        let correct = case("v1=70,v2=30", &[0, 0])
            .missing(503, missing as u64)
            .sequence(answered);
        wrong += usize::from(!correct.codes().is_empty());
    }
    // Goodness of fit, drift, change, clusters and regularity at .001 each.
    assert!(wrong <= 5, "{wrong}");
}

#[test]
fn the_sharpest_change_of_a_constant_split_is_seldom_significant() {
    let significant = (0..1000)
        .filter(|&seed| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let run = case("v1=95,v2=5", &[0, 0]).sequence(draws(800, 0.95, &mut random));
            let change = change_point(&run.windows, &[]).unwrap();
            change::p_value(&change, 800) <= 0.05
        })
        .count();
    assert!(significant <= 50, "{significant}");
}

#[test]
fn a_leak_is_told_with_its_interval_and_gives_way_to_a_cause() {
    let leak = case("v1=100,v2=0", &[990, 10]).found();
    assert_eq!(leak[0].code, "zero_weight_leak");
    assert_eq!(
        leak[0].message,
        "v2 has weight 0 and answered 10 of 1000 requests: 1 % (0.5 % to 1.8 %) of them leak to it"
    );
    assert_eq!(
        case("v1=100,v2=0", &[500, 500]).codes(),
        ["equal_weights", "zero_weight_leak"]
    );
    assert!(case("v1=100,v2=0", &[0, 500]).codes()[0] != "zero_weight_leak");
}

#[test]
fn signs_in_the_headers_come_first_where_they_explain() {
    let mut cached = case("v1=70,v2=30", &[900, 0]);
    cached.signs = Signs {
        inspected: 900,
        cached: 880,
        set_cookie: 0,
        ingress_nginx: 0,
    };
    assert_eq!(cached.codes(), ["cache_in_front", "stuck_client"]);
    let mut fits = case("v1=70,v2=30", &[700, 300]);
    fits.signs = Signs {
        inspected: 1000,
        cached: 20,
        set_cookie: 1000,
        ingress_nginx: 0,
    };
    assert_eq!(fits.codes(), ["cache_in_front", "cookie_affinity"]);
    let mut kept = case("v1=70,v2=30", &[900, 0]);
    kept.sends_cookie = true;
    assert_eq!(kept.codes(), ["cookie_affinity", "stuck_client"]);
}

#[test]
fn a_backend_with_more_errors_than_the_others_is_named() {
    let mut errors = case("v1=70,v2=30", &[700, 300]);
    errors.errors = vec![1, 60];
    let found = errors.found();
    assert_eq!(found[0].code, "backend_errors");
    assert!(found[0].message.starts_with("v2 answered 20 %"));
    errors.errors = vec![14, 6];
    assert!(errors.codes().is_empty());
    errors.errors = vec![2, 3];
    assert!(errors.codes().is_empty());
}

#[test]
fn round_robin_is_noted() {
    let turns = (0..2000).map(|request| Some(usize::from(request % 10 >= 7)));
    let regular = case("v1=70,v2=30", &[0, 0]).sequence(turns);
    assert_eq!(regular.codes(), ["weighted_round_robin"]);
}

#[test]
fn connections_that_keep_their_backend_are_told_in_words_and_no_drift_is_read_from_them() {
    let mut sums = ConnectionSums::default();
    for connection in 0..50 {
        let counts = if connection % 10 < 7 {
            [20, 0]
        } else {
            [0, 20]
        };
        sums.record(&counts, Some(usize::from(counts[0] == 0)));
    }
    let waves = (0..1000).map(|request| Some(usize::from(request >= 700)));
    let mut pinned = case("v1=70,v2=30", &[0, 0]).sequence(waves);
    pinned.clustering = Some(sums.clustering());
    let found = pinned.found();
    assert_eq!(pinned.codes(), ["per_connection_balancing"]);
    assert!(
        found[0].message.starts_with(
            "responses on one connection repeat the same backend (design effect 20.0): 1000 requests \
             carry the information of 50"
        ),
        "{}",
        found[0].message
    );
    pinned.clustering = Some(ConnectionSums::default().clustering());
    assert!(pinned.codes().is_empty());
}

#[test]
fn the_true_cause_is_not_outranked_untied() {
    let mut unexplained = 0;
    let truths: [(&str, [f64; 3]); 3] = [
        ("weights_swapped", [0.2, 0.3, 0.5]),
        ("equal_weights", [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]),
        ("uniform_over_pods", [0.25, 0.25, 0.5]),
    ];
    for (cause, shares) in truths {
        for seed in 0..100 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut observed = [0; 3];
            for _ in 0..400 {
                let unit = random.random::<f64>();
                let backend =
                    usize::from(unit >= shares[0]) + usize::from(unit >= shares[0] + shares[1]);
                observed[backend] += 1;
            }
            let mut run = case("a=50,b=30,c=20", &observed);
            let half = |count: u64| vec![count / 2, count - count / 2];
            run.pods = vec![vec![observed[0]], vec![observed[1]], half(observed[2])];
            let first = run.first();
            if first == ["unexplained"] {
                unexplained += 1;
                continue;
            }
            assert!(
                first.contains(&cause),
                "{cause}, seed {seed}: {first:?} {observed:?}"
            );
        }
    }
    // Each cause is rejected by its own test in 1 run of 1000.
    assert!(unexplained <= 3, "{unexplained}");
}

#[test]
fn degenerate_symptoms_are_survived_and_every_figure_is_finite() {
    let many: Vec<String> = (0..255)
        .map(|backend| format!("b{backend}={}", backend % 5))
        .collect();
    let crowd: Vec<u64> = (0..255).map(|backend| (backend * 7) % 13).collect();
    let mut cases = vec![
        case(&many.join(","), &crowd),
        case(&many.join(","), &[0; 255]).missing(200, 10),
        case("a=1,b=0", &[0, 1]),
        case("a=1,b=1", &[1, 0]).missing(999, 1),
        case("a=1e-9,b=1", &[5, 5]),
    ];
    let mut odd = case("a=1,b=1", &[100, 0]).missing(503, 1 << 40);
    odd.windows = vec![vec![100, 0]];
    cases.push(odd.clone());
    odd.window_length = 0;
    cases.push(odd.clone());
    odd.pods = Vec::new();
    odd.errors = vec![500, 500];
    cases.push(odd);
    for case in cases {
        for finding in case.found() {
            let is_finite = |&(_, figure): &(_, f64)| figure.is_finite();
            assert!(finding.evidence.iter().all(is_finite), "{finding:?}");
            assert!(!finding.message.is_empty());
        }
    }
}
