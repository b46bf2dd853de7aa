//! From a request's ordinal to a backend and a pod: pure, so that a seed fixes the counts.

use super::config::Config;
use super::discipline::{Discipline, RoundRobin, RouteBy, Shares};
use super::draw::{Draws, Stream};
use super::rule::Route;
use crate::split::Split;

/// Where a request goes: indices into the split's backends and into that backend's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) backend: usize,
    pub(super) pod: usize,
}

/// A split that holds from request `start` on.
#[derive(Debug)]
struct Phase {
    start: u64,
    division: Division,
}

#[derive(Debug)]
enum Division {
    Drawn(Shares),
    Turns(RoundRobin),
}

/// The routing rule of an ingress.
#[derive(Debug)]
pub(super) struct Router {
    /// Ascending by start; the first starts at 0. Empty where nothing can be routed at all.
    phases: Vec<Phase>,
    /// The divisions of the path rules, in their order.
    paths: Vec<Division>,
    pods: Vec<u32>,
    /// `stands_in[i]` serves what backend `i` is drawn for.
    stands_in: Vec<usize>,
    draws: Draws,
}

impl Division {
    fn of(weights: &[f64], discipline: Discipline) -> Self {
        match discipline {
            Discipline::RoundRobin => Self::Turns(RoundRobin::new(weights)),
            _ => Self::Drawn(Shares::new(weights)),
        }
    }
}

/// The weights of a split of an option's own, in the order of the ingress's backends.
fn weights(config: &Config, split: &Split) -> Vec<f64> {
    let mut weights = vec![0.0; config.split.len()];
    for (label, share) in split.labels().iter().zip(split.shares()) {
        let index = config.split.position(label);
        weights[index.expect("a valid split names known backends")] = *share;
    }
    weights
}

/// The splits that hold one after the other.
fn phases_of(config: &Config) -> Vec<Phase> {
    let mut phases = Vec::new();
    let mut phase = |start, weights: &[f64]| {
        let division = Division::of(weights, config.discipline);
        phases.push(Phase { start, division });
    };
    if config.shifts.iter().all(|shift| shift.from > 0) {
        phase(0, config.split.shares());
    }
    for shift in &config.shifts {
        phase(shift.from, &weights(config, &shift.split));
    }
    phases.sort_by_key(|phase| phase.start);
    phases
}

impl Router {
    /// The rule of a valid `config`.
    pub(super) fn new(config: &Config) -> Self {
        let labels = config.split.labels();
        let pods: Vec<u32> = labels
            .iter()
            .map(|label| config.pods.of(label).get())
            .collect();
        let absent: Vec<bool> = labels
            .iter()
            .map(|label| config.absent.contains(label))
            .collect();
        let mut phases = Vec::new();
        let mut paths = Vec::new();
        let mut stands_in: Vec<usize> = (0..labels.len()).collect();
        let division = |weights: &[f64]| Division::of(weights, config.discipline);
        match config.route_by {
            RouteBy::Pods => {
                let present: Vec<f64> = pods
                    .iter()
                    .zip(&absent)
                    .map(|(&pods, &absent)| if absent { 0.0 } else { f64::from(pods) })
                    .collect();
                if !absent.iter().all(|&absent| absent) {
                    phases.push(Phase {
                        start: 0,
                        division: division(&present),
                    });
                }
            }
            RouteBy::Weights if absent[0] => {}
            RouteBy::Weights => {
                for (index, &absent) in absent.iter().enumerate() {
                    if absent {
                        stands_in[index] = 0;
                    }
                }
                phases = phases_of(config);
                let rules = config.route_paths.iter();
                paths.extend(rules.map(|rule| division(&weights(config, &rule.split))));
            }
        }
        Self {
            phases,
            paths,
            pods,
            stands_in,
            draws: Draws::new(config.seed),
        }
    }

    /// Whether no backend that could serve has endpoints: everything is a 503 then.
    pub(super) fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }

    /// The choice for the request with this ordinal. `key` is what draws depend on: the ordinal again,
    /// or the connection's, or the client's, as the discipline has it. Only where the rule is not empty.
    pub(super) fn choose(&self, ordinal: u64, key: u64, route: Route) -> Choice {
        let divide = |division: &Division, start: u64| match division {
            Division::Drawn(shares) => shares.at(self.draws.unit(Stream::Backend, key)),
            Division::Turns(turns) => turns.at(ordinal.saturating_sub(start)),
        };
        let drawn = match route {
            Route::Backend(backend) => backend,
            Route::Path(rule) => divide(&self.paths[rule], 0),
            Route::Weights => {
                let phase = self
                    .phases
                    .partition_point(|phase| phase.start <= ordinal)
                    .saturating_sub(1);
                let phase = &self.phases[phase];
                divide(&phase.division, phase.start)
            }
        };
        let backend = self.stands_in[drawn];
        let pod = match self.pods[backend] {
            1 => 0,
            pods => self.draws.below(Stream::Pod, key, pods) as usize,
        };
        Choice { backend, pod }
    }

    /// The draw that decides on the faults of the request with this ordinal, in `[0, 1)`.
    pub(super) fn fault(&self, ordinal: u64) -> f64 {
        self.draws.unit(Stream::Fault, ordinal)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use rand::seq::IndexedRandom;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use statrs::distribution::{ChiSquared, ContinuousCDF};

    use super::super::rule::Rules;
    use super::*;

    fn config(split: &str) -> Config {
        Config::new(split.parse().unwrap())
    }

    fn counts(config: &Config, ordinals: std::ops::Range<u64>) -> Vec<u64> {
        let router = Router::new(config);
        let mut counts = vec![0; config.split.len()];
        for ordinal in ordinals {
            counts[router.choose(ordinal, ordinal, Route::Weights).backend] += 1;
        }
        counts
    }

    #[test]
    fn random_draws_follow_the_weights() {
        for (split, df) in [
            ("a=70,b=30", 1.0),
            ("a=50,b=30,c=20", 2.0),
            ("a=99,b=1", 1.0),
        ] {
            for seed in 0..20 {
                let mut config = config(split);
                config.seed = seed;
                let observed = counts(&config, 0..50_000);
                let statistic: f64 = observed
                    .iter()
                    .zip(config.split.shares())
                    .map(|(&x, share)| (x as f64 - 50_000.0 * share).powi(2) / (50_000.0 * share))
                    .sum();
                let p = ChiSquared::new(df).unwrap().sf(statistic);
                assert!(p > 1e-4, "{split} seed {seed} p {p}");
            }
        }
    }

    #[test]
    fn a_zero_weight_gets_nothing_under_any_discipline() {
        for discipline in [
            "random",
            "round-robin",
            "per-connection",
            "per-client",
            "sticky",
        ] {
            let mut config = config("z=0,a=70,y=0,b=30,x=0");
            config.discipline = discipline.parse().unwrap();
            let observed = counts(&config, 0..10_000);
            assert_eq!((observed[0], observed[2], observed[4]), (0, 0, 0));
        }
    }

    #[test]
    fn an_absent_canary_leaves_everything_to_the_primary() {
        let mut config = config("v1=70,v2=30");
        config.absent = vec!["v2".to_owned()];
        assert_eq!(counts(&config, 0..1000), [1000, 0]);
        config.absent = vec!["v1".to_owned()];
        assert!(Router::new(&config).is_empty());
    }

    #[test]
    fn routing_by_pods_ignores_the_weights() {
        let mut config = config("v1=0,v2=100");
        config.pods = "v1=3".parse().unwrap();
        config.route_by = RouteBy::Pods;
        config.discipline = Discipline::RoundRobin;
        assert_eq!(counts(&config, 0..1000), [750, 250]);
        config.absent = vec!["v1".to_owned()];
        assert_eq!(counts(&config, 0..1000), [0, 1000]);
        config.absent.push("v2".to_owned());
        assert!(Router::new(&config).is_empty());
    }

    #[test]
    fn pods_of_a_backend_are_drawn_alike() {
        let mut config = config("v1=1");
        config.pods = "v1=5".parse().unwrap();
        let router = Router::new(&config);
        let mut pods = [0_u64; 5];
        for ordinal in 0..50_000 {
            pods[router.choose(ordinal, ordinal, Route::Weights).pod] += 1;
        }
        let statistic: f64 = pods.iter().map(|&x| (x as f64 - 1e4).powi(2) / 1e4).sum();
        assert!(ChiSquared::new(4.0).unwrap().sf(statistic) > 1e-3);
    }

    #[test]
    fn shifts_hold_from_their_request_on_in_any_order() {
        let mut config = config("v1=1,v2=1,v3=1");
        config.shifts = ["20:v3=1", "10:v2=1", "0:v1=1"]
            .map(|shift| shift.parse().unwrap())
            .to_vec();
        assert_eq!(counts(&config, 0..10), [10, 0, 0]);
        assert_eq!(counts(&config, 10..20), [0, 10, 0]);
        assert_eq!(counts(&config, 20..100), [0, 0, 80]);
    }

    #[test]
    fn round_robin_begins_anew_at_a_shift() {
        let mut config = config("v1=70,v2=30");
        config.discipline = Discipline::RoundRobin;
        config.shifts = vec!["1003:v1=50,v2=50".parse().unwrap()];
        assert_eq!(counts(&config, 0..1000), [700, 300]);
        assert_eq!(counts(&config, 1003..2003), [500, 500]);
    }

    /// A configuration of options that may contradict each other.
    fn any_config(random: &mut ChaCha8Rng) -> Config {
        fn some<T: std::str::FromStr>(random: &mut ChaCha8Rng, texts: &[&str]) -> Vec<T> {
            let count = random.random_range(0..3);
            let texts = (0..count).filter_map(|_| texts.choose(random).copied());
            texts.filter_map(|text| text.parse().ok()).collect()
        }
        let mut config = config(
            ["v1=1", "v1=70,v2=30", "v1=0,v2=1", "z=0,v2=1,v1=9"]
                .choose(random)
                .unwrap(),
        );
        let splits = [
            "0:v1=1",
            "7:v2=1",
            "9:v1=1,v2=1",
            "18446744073709551615:v1=1",
        ];
        let paths = ["/:v2=1", "/a:v1=1", "/a/b/:v1=1,v2=2", "/a:v9=1"];
        let disciplines = [
            "random",
            "round-robin",
            "per-connection",
            "per-client",
            "sticky",
        ];
        config.absent = some(random, &["v1", "v2", "z"]);
        config.pods = some(random, &["v1=3", "v2=9000", "v1=2,v2=5"])
            .pop()
            .unwrap_or_default();
        config.shifts = some(random, &splits);
        config.route_paths = some(random, &paths);
        config.route_header = some(random, &["X-Canary", "X-Canary=beta"]).pop();
        config.route_cookie = some(random, &["canary"]).pop();
        config.route_by = some(random, &["weights", "pods"]).pop().unwrap_or_default();
        config.discipline = some(random, &disciplines).pop().unwrap_or_default();
        config
    }

    #[test]
    fn no_valid_configuration_leads_to_a_backend_or_pod_that_is_not_there() {
        let mut random = ChaCha8Rng::seed_from_u64(12);
        let mut valid = 0;
        for _ in 0..20_000 {
            let config = any_config(&mut random);
            if config.validate().is_err() {
                continue;
            }
            valid += 1;
            let router = Router::new(&config);
            let rules = Rules {
                header: config.route_header.clone(),
                cookie: config.route_cookie.clone(),
                paths: config.route_paths.clone(),
            };
            for ordinal in [0, 7, 8, 9, u64::MAX] {
                let path = ["/", "/a", "/a/b/c", "/ab"].choose(&mut random).unwrap();
                let word = ["always", "never", "beta", ""].choose(&mut random).unwrap();
                let request = Request::builder().uri(*path).header("X-Canary", *word);
                let request = request.header("Cookie", format!("canary={word}"));
                let (head, ()) = request.body(()).unwrap().into_parts();
                let route = rules.route(&head);
                if !router.is_empty() {
                    let choice = router.choose(ordinal, random.random(), route);
                    let label = &config.split.labels()[choice.backend];
                    let pods = config.pods.of(label).get() as usize;
                    assert!(choice.pod < pods, "{config:?}");
                }
            }
        }
        assert!(valid > 2_000, "{valid}");
    }
}
