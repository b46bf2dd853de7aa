//! How requests are divided over backends: the disciplines, and the weights as they need them.

use std::fmt;
use std::str::FromStr;

use super::draw;
use super::error::ConfigError;

/// The longest period of a round-robin cycle that is laid out in memory.
const MAX_PERIOD: u64 = 100_000;

/// What a request's backend depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discipline {
    /// An independent draw for each request, as ingress-nginx, Envoy and Istio make.
    #[default]
    Random,
    /// Smooth weighted round-robin, as nginx upstreams, `HAProxy` and Traefik: more regular than random.
    RoundRobin,
    /// One draw for each connection, made at its first request and kept through a shift, as kube-proxy
    /// and L4 balancers do.
    PerConnection,
    /// One draw for each client address, as nginx's `hash $remote_addr` makes: a client sees one backend.
    PerClient,
    /// A draw for each request without an affinity cookie; the cookie then keeps the client on its pod.
    Sticky,
}

impl FromStr for Discipline {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "random" => Ok(Self::Random),
            "round-robin" => Ok(Self::RoundRobin),
            "per-connection" => Ok(Self::PerConnection),
            "per-client" => Ok(Self::PerClient),
            "sticky" => Ok(Self::Sticky),
            _ => Err(ConfigError::syntax(
                "--discipline",
                text,
                "random, round-robin, per-connection, per-client or sticky",
            )),
        }
    }
}

impl fmt::Display for Discipline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
            Self::PerConnection => "per-connection",
            Self::PerClient => "per-client",
            Self::Sticky => "sticky",
        })
    }
}

/// What the draw is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RouteBy {
    /// The backends, by their weights.
    #[default]
    Weights,
    /// All pods alike, as when a Service selects every version and the weights are bypassed.
    Pods,
}

impl FromStr for RouteBy {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "weights" => Ok(Self::Weights),
            "pods" => Ok(Self::Pods),
            _ => Err(ConfigError::syntax("--route-by", text, "weights or pods")),
        }
    }
}

/// Shares, ready to be drawn from.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    /// `edges[i]` is the sum of the shares up to and including backend `i`.
    edges: Vec<f64>,
    /// The last backend with a positive share: where a draw beyond a sum rounded below 1 falls.
    last: usize,
}

impl Shares {
    /// From weights of which at least one is positive.
    pub(super) fn new(weights: &[f64]) -> Self {
        let sum: f64 = weights.iter().sum();
        let edges = weights
            .iter()
            .scan(0.0, |edge, weight| {
                *edge += weight / sum;
                Some(*edge)
            })
            .collect();
        let last = weights
            .iter()
            .rposition(|&weight| weight > 0.0)
            .expect("at least one weight is positive");
        Self { edges, last }
    }

    /// The backend that owns `unit`, a number in `[0, 1)`. A share of 0 owns nothing.
    pub(super) fn at(&self, unit: f64) -> usize {
        self.edges
            .partition_point(|&edge| edge <= unit)
            .min(self.last)
    }
}

/// The order in which round-robin serves the backends: a function of the position alone.
#[derive(Debug, Clone)]
pub(super) enum RoundRobin {
    /// One period of smooth weighted round-robin, repeated.
    Cycle(Vec<u8>),
    /// For weights without a short period: the golden-ratio Weyl sequence over the shares, which is as
    /// regular (its discrepancy falls as ln n / n; Niederreiter 1992, chapter 3) and needs no memory.
    Weyl(Shares),
}

impl RoundRobin {
    pub(super) fn new(weights: &[f64]) -> Self {
        integers(weights).map_or_else(
            || Self::Weyl(Shares::new(weights)),
            |weights| Self::Cycle(smooth(&weights)),
        )
    }

    /// The backend that serves the request at `position`, counted from 0.
    pub(super) fn at(&self, position: u64) -> usize {
        match self {
            Self::Cycle(cycle) => {
                let index = position % cycle.len() as u64;
                let index = usize::try_from(index).expect("an index into a cycle fits");
                usize::from(cycle[index])
            }
            Self::Weyl(shares) => shares.at(draw::unit(draw::weyl(position))),
        }
    }
}

/// The smallest whole numbers in the ratio of `weights`, where their sum stays within [`MAX_PERIOD`].
fn integers(weights: &[f64]) -> Option<Vec<u64>> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    (0..=6).find_map(|digits| {
        let scale = 10_f64.powi(digits);
        // Far beyond any period, and still exact as an integer.
        if largest * scale > 1e12 {
            return None;
        }
        let scaled: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
        let whole = |weight: &f64| (weight - weight.round()).abs() <= 1e-9 * scale.max(1.0);
        // A positive weight must not round to nothing.
        let kept = |weight: &f64| *weight <= 0.0 || weight.round() >= 1.0;
        if !scaled.iter().all(|weight| whole(weight) && kept(weight)) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "weights are at least 0 and bounded above"
        )]
        let mut numbers: Vec<u64> = scaled.iter().map(|weight| weight.round() as u64).collect();
        let divisor = numbers.iter().copied().fold(0, greatest_common_divisor);
        for number in &mut numbers {
            *number /= divisor;
        }
        (numbers.iter().sum::<u64>() <= MAX_PERIOD).then_some(numbers)
    })
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// One period of nginx's smooth weighted round-robin (`ngx_http_upstream_get_peer`, since 1.3.1):
/// every backend gains its weight, the richest serves and pays the sum; the earlier wins a tie.
fn smooth(weights: &[u64]) -> Vec<u8> {
    let weights: Vec<i64> = weights
        .iter()
        .map(|&weight| i64::try_from(weight).expect("a weight is at most the period"))
        .collect();
    let sum: i64 = weights.iter().sum();
    let mut current = vec![0_i64; weights.len()];
    (0..sum)
        .map(|_| {
            let mut best = 0;
            for (index, weight) in weights.iter().enumerate() {
                current[index] += weight;
                if current[index] > current[best] {
                    best = index;
                }
            }
            current[best] -= sum;
            u8::try_from(best).expect("a split has at most 255 backends")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(round_robin: &RoundRobin, backends: usize, n: u64) -> Vec<u64> {
        let mut counts = vec![0; backends];
        for position in 0..n {
            counts[round_robin.at(position)] += 1;
        }
        counts
    }

    #[test]
    fn smooth_weighted_round_robin_is_the_one_of_nginx() {
        // The example of nginx's commit message: a a b a c a a for weights 5, 1, 1.
        assert_eq!(smooth(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_cycle_is_exact_over_each_period_and_never_serves_a_zero_weight() {
        let round_robin = RoundRobin::new(&[70.0, 0.0, 30.0]);
        assert!(matches!(&round_robin, RoundRobin::Cycle(cycle) if cycle.len() == 10));
        assert_eq!(counts(&round_robin, 3, 1000), [700, 0, 300]);
        let leading = RoundRobin::new(&[0.0, 1.0]);
        assert_eq!(counts(&leading, 2, 10), [0, 10]);
    }

    #[test]
    fn fractional_weights_are_scaled_to_a_short_period() {
        assert_eq!(integers(&[0.7, 0.3]), Some(vec![7, 3]));
        assert_eq!(integers(&[99.5, 0.5]), Some(vec![199, 1]));
        assert_eq!(integers(&[1e9, 1e9]), Some(vec![1, 1]));
        assert_eq!(integers(&[1.0, 1e-9]), None);
        assert_eq!(integers(&[f64::MAX / 4.0, 1.0]), None);
    }

    #[test]
    fn weights_without_a_short_period_keep_their_shares_within_a_few_requests() {
        let third = 1.0 / 3.0;
        let round_robin = RoundRobin::new(&[third, 1.0 - third - 1e-3, 1e-3]);
        assert!(matches!(round_robin, RoundRobin::Weyl(_)));
        let observed = counts(&round_robin, 3, 100_000);
        for (observed, share) in observed.iter().zip([third, 1.0 - third - 1e-3, 1e-3]) {
            let off = *observed as f64 - share * 100_000.0;
            assert!(off.abs() < 10.0, "{off}");
        }
    }

    #[test]
    fn shares_never_give_a_zero_weight_anything() {
        let shares = Shares::new(&[0.0, 0.1, 0.0, 0.2, 0.0]);
        let largest = 1.0 - f64::EPSILON / 2.0;
        for unit in [0.0, 1.0 / 3.0, 0.333_333_333_333_333_37, 0.5, largest] {
            assert!(matches!(shares.at(unit), 1 | 3));
        }
        // Ten tenths sum to less than 1: the rest belongs to the last positive share.
        let tenths = Shares::new(&[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0]);
        assert_eq!(tenths.at(largest), 9);
    }
}
