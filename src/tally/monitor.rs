//! Looks at the evidence while it comes in, for a run that stops as soon as it is enough.
//!
//! Results come in completion order from all threads and are looked at in dispatch order. What the
//! workloads stand for may be known only later: there is one test for every assignment that is still
//! possible, and they are replayed when a new group of pods appears.

use std::sync::Arc;

use super::pods::PodRegistry;
use super::sequence::{NOBODY, code_of, group_of};
use super::windows::MAX_BLOCKS;
use crate::claim::{Claim, Criterion};
use crate::identity::assignment::{Backend, assign};
use crate::stats::dispatch_order::DispatchOrder;
use crate::stats::goodness_of_fit::goodness_of_fit;
use crate::stats::order::Order;
use crate::stats::sequential::{Look, Sequential};

/// At most so many assignments are watched at once; with more, the run goes on to its cap.
const MAX_POSSIBILITIES: usize = 64;

/// The order of dispatch is asked first after this part of the planned number, and then half as much later
/// each time: at most so often up to the cap.
const LOOKS: u64 = 8;
/// It tells nothing of fewer responses than this.
const LEAST_RESPONSES: u64 = 64;

/// Stands for a request that was never written.
const NEVER_SENT: u16 = u16::MAX;

/// What became of a request, for the monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A pod of this group answered.
    Group(usize),
    /// It was written and got no identity.
    Unattributed,
    /// It was never written.
    NeverSent,
}

impl Seen {
    fn code(self) -> u16 {
        match self {
            Self::Group(group) => code_of(group).min(NEVER_SENT - 1),
            Self::Unattributed => NOBODY,
            Self::NeverSent => NEVER_SENT,
        }
    }
}

/// The looks at a run under way.
#[derive(Debug)]
pub struct Monitor {
    claim: Claim,
    registry: Arc<PodRegistry>,
    cap: u64,
    order: DispatchOrder<u16>,
    /// Codes in dispatch order, as far as there is no gap, without what was never sent.
    history: Vec<u16>,
    groups: usize,
    /// A test that has seen nothing yet.
    fresh: Sequential,
    watched: Vec<(Vec<Backend>, Sequential)>,
    /// The responses after which a decision of the tests is asked for in the order of dispatch.
    ask_at: u64,
    /// What it said.
    asked: Option<Order>,
    settled: Look,
}

/// Where a sequential run stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// What the looks say together.
    pub look: Look,
    /// Responses by group at the last look, in dispatch order.
    pub observed: Vec<u64>,
    /// Requests without an identity at the last look.
    pub unattributed: u64,
    /// The natural logarithm of the e-value, of the assignment that suits the split best.
    pub log_e_value: f64,
    /// The natural logarithm of what the e-value must reach for FAIL.
    pub log_bound: f64,
    /// The largest of the face log-likelihood ratios, which must fall to −`log_bound` for PASS.
    pub max_face: f64,
    /// The number of responses after which the run ends without a verdict.
    pub cap: u64,
    /// What the order of dispatch says of the independence of the responses, when it was last asked.
    pub order: Option<Order>,
}

/// Where a sequential run would stand that had looked once, at counts by backend.
pub fn standing_at(claim: &Claim, observed: &[u64], unattributed: u64) -> Standing {
    let Claim {
        split, criterion, ..
    } = claim;
    let Criterion {
        alpha,
        tolerance,
        judge,
        ..
    } = *criterion;
    let cap = claim.sequential_cap().get();
    let test = Sequential::new(split.shares(), tolerance, alpha, judge, cap)
        .at_counts(observed, unattributed);
    Standing {
        look: test.look(),
        observed: observed.to_vec(),
        unattributed,
        log_e_value: test.log_e_value(),
        log_bound: test.log_bound(),
        max_face: test.max_face(),
        cap,
        order: None,
    }
}

impl Monitor {
    /// Watches a run that hands out at most `tickets` and ends without a verdict after `cap` responses.
    pub fn new(claim: Claim, registry: Arc<PodRegistry>, cap: u64, tickets: usize) -> Self {
        let first_ask = (claim.planned_requests().get() / LOOKS).max(LEAST_RESPONSES);
        let mut monitor = Self {
            fresh: sequential(&claim, cap),
            claim,
            registry,
            cap,
            order: DispatchOrder::new(tickets),
            history: Vec::new(),
            groups: usize::MAX,
            watched: Vec::new(),
            ask_at: first_ask,
            asked: None,
            settled: Look::Continue,
        };
        monitor.assign();
        monitor
    }

    /// Takes what became of a request, and says what the looks say.
    ///
    /// # Panics
    /// When a ticket is placed twice, or lies beyond the number that was said.
    pub fn place(&mut self, ticket: u64, seen: Seen) -> Look {
        self.order
            .place(ticket, seen.code())
            .expect("every ticket is placed once, and there are no more than was said");
        while let Some(code) = self.order.pop() {
            if self.settled != Look::Continue {
                break;
            }
            if code == NEVER_SENT {
                continue;
            }
            self.history.push(code);
            if group_of(code).is_some_and(|group| group >= self.groups) {
                self.assign();
            } else {
                for (backends, test) in &mut self.watched {
                    observe(test, backends, code);
                }
            }
            self.settled = self.settle();
        }
        self.settled
    }

    /// The look that the run may stop at.
    pub fn look(&self) -> Look {
        self.settled
    }

    /// A decision of the tests stands once the order of dispatch leaves it; where it does not, the run goes
    /// on, and asks again when it is half as long again.
    fn settle(&mut self) -> Look {
        let look = self.look_of_tests();
        let is_certain = |(_, test): &(_, Sequential)| test.is_certain();
        if matches!(look, Look::Continue | Look::Inconclusive)
            || self.watched.iter().all(is_certain)
        {
            return look;
        }
        let responses = self.history.len() as u64;
        if responses < self.ask_at.min(self.cap) {
            return Look::Continue;
        }
        if self.stands() {
            return self.look_of_tests();
        }
        if responses >= self.cap {
            return Look::Inconclusive;
        }
        let planned = self.claim.planned_requests().get();
        let next = responses + responses.div_ceil(2);
        self.ask_at = if responses < planned {
            next.min(planned)
        } else {
            next
        };
        Look::Continue
    }

    /// Looks anew at the counts as they are now, and asks the order of dispatch.
    fn stands(&mut self) -> bool {
        let Self {
            claim,
            history,
            watched,
            fresh,
            ..
        } = self;
        let mut stand = true;
        for (backends, test) in watched.iter_mut() {
            let sent = Sent::new(history, backends, claim.split.len());
            *test = fresh.clone().at_counts(&sent.observed, sent.unattributed);
            self.asked = sent.order(claim);
            stand &= self.asked.is_some_and(|order| holds(claim, test, &order))
                && (test.look() != Look::Fail || sent.lasts(claim));
        }
        stand && matches!(self.look_of_tests(), Look::Pass | Look::Fail)
    }

    /// FAIL or PASS when every watched assignment says so.
    fn look_of_tests(&self) -> Look {
        let Some((_, first)) = self.watched.first() else {
            return Look::Continue;
        };
        let looks = || self.watched.iter().map(|(_, test)| test.look());
        if looks().all(|look| look == first.look()) {
            return first.look();
        }
        if looks().all(|look| look != Look::Continue) {
            return Look::Inconclusive;
        }
        Look::Continue
    }

    /// Where the run stands now.
    pub fn standing(&self) -> Standing {
        let mut observed = vec![0; self.registry.groups().len()];
        let mut unattributed = 0;
        let most_favourable = self
            .watched
            .iter()
            .map(|(_, test)| test)
            .min_by(|a, b| a.log_e_value().total_cmp(&b.log_e_value()));
        // Without a test that could decide, the run goes on to its end.
        let looked_at = most_favourable.map_or(u64::MAX, Sequential::responses);
        let looked_at = usize::try_from(looked_at).unwrap_or(usize::MAX);
        for &code in self.history.iter().take(looked_at) {
            match group_of(code) {
                Some(group) if group < observed.len() => observed[group] += 1,
                Some(_) => {}
                None => unattributed += 1,
            }
        }
        Standing {
            look: self.look(),
            observed,
            unattributed,
            log_e_value: most_favourable.map_or(0.0, Sequential::log_e_value),
            log_bound: -self.claim.criterion.alpha.ln(),
            max_face: most_favourable.map_or(0.0, Sequential::max_face),
            cap: self.cap,
            order: self.asked,
        }
    }

    /// Finds the assignments that are possible with the groups seen, and replays the history under each.
    fn assign(&mut self) {
        let groups = self.registry.groups();
        let assignment = assign(&self.claim.split, &groups);
        self.groups = groups.len();
        let start = |backends: Vec<Backend>| {
            let mut test = self.fresh.clone();
            for &code in &self.history {
                observe(&mut test, &backends, code);
            }
            (backends, test)
        };
        let foreign = self.claim.split.len();
        let cells = |backends: Vec<Backend>| -> Vec<Backend> {
            backends
                .into_iter()
                .map(|backend| Some(backend.unwrap_or(foreign)))
                .collect()
        };
        self.watched = match assignment.possibilities(MAX_POSSIBILITIES) {
            Some(possible) => possible.map(cells).map(start).collect(),
            None => Vec::new(),
        };
    }
}

/// A test of a claim; the last cell stands for workloads that are no backend: it must get nothing.
fn sequential(claim: &Claim, cap: u64) -> Sequential {
    let Criterion {
        alpha,
        tolerance,
        judge,
        ..
    } = claim.criterion;
    let mut shares = claim.split.shares().to_vec();
    shares.push(0.0);
    Sequential::new(&shares, tolerance, alpha, judge, cap)
}

/// The responses so far, under one assignment.
struct Sent {
    labels: Vec<u16>,
    observed: Vec<u64>,
    unattributed: u64,
}

impl Sent {
    fn new(history: &[u16], backends: &[Backend], cells: usize) -> Self {
        let cell = |code| backends.get(group_of(code)?).copied().flatten();
        let mut sent = Self {
            labels: Vec::with_capacity(history.len()),
            observed: vec![0; cells + 1],
            unattributed: 0,
        };
        for backend in history.iter().map(|&code| cell(code)) {
            let Some(backend) = backend else {
                sent.unattributed += 1;
                continue;
            };
            sent.observed[backend.min(cells)] += 1;
            if backend < cells {
                sent.labels.push(u16::try_from(backend).unwrap_or(u16::MAX));
            }
        }
        sent
    }

    /// Whether the later half of them refutes the split by itself: what came before weights were live, or while the
    /// workers of a round-robin had all just begun, is no split.
    fn lasts(&self, claim: &Claim) -> bool {
        let Criterion { alpha, .. } = claim.criterion;
        let mut later = vec![0; claim.split.len()];
        for &label in &self.labels[self.labels.len() / 2..] {
            if let Some(count) = later.get_mut(usize::from(label)) {
                *count += 1;
            }
        }
        let fit = goodness_of_fit(&later, claim.split.shares(), alpha, claim.seed);
        fit.is_ok_and(|fit| fit.is_none_or(|fit| fit.p_value <= alpha))
    }

    fn order(&self, claim: &Claim) -> Option<Order> {
        let size = self.labels.len().div_ceil(MAX_BLOCKS).max(1);
        let windows: Vec<Vec<u64>> = self
            .labels
            .chunks(size)
            .map(|block| {
                let mut counts = vec![0; claim.split.len()];
                for &label in block {
                    if let Some(count) = counts.get_mut(usize::from(label)) {
                        *count += 1;
                    }
                }
                counts
            })
            .collect();
        Order::new(&windows, &self.labels, self.unattributed, &claim.expected())
    }
}

/// Whether a decision stands by the order of dispatch too.
///
/// A FAIL waits until no stretch of one backend is more than an eighth of the run: until then a burst cannot
/// be told from a split. It takes what neighbouring answers repeat into account whether that is significant
/// or not. Where answers come in clumps, each time it is asked has its part of α (Bonferroni).
fn holds(claim: &Claim, test: &Sequential, order: &Order) -> bool {
    let alpha = claim.criterion.alpha;
    let each = alpha / LOOKS as f64;
    match test.look() {
        Look::Fail => {
            let responses = test.responses();
            let is_long = responses >= LOOKS.saturating_mul(order.longest_run)
                || responses >= claim.planned_requests().get();
            let stands = if order.is_clumped() {
                order.fit_p_value <= each
            } else {
                test.log_e_value() >= test.log_bound() * order.neighbour_effect
            };
            is_long && stands
        }
        Look::Pass => !order.is_clumped() || order.equivalence_p_value <= each,
        Look::Continue | Look::Inconclusive => false,
    }
}

fn observe(test: &mut Sequential, backends: &[Backend], code: u16) {
    test.observe(group_of(code).and_then(|group| backends.get(group).copied().flatten()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::tests::claim;
    use crate::identity::assignment::Mappings;
    use crate::tally::pods::Interner;

    fn monitor(expect: &str, pods: &[&str]) -> (Monitor, Interner, Vec<usize>) {
        let claim = claim(expect);
        let registry = PodRegistry::shared(Mappings::parse(claim.split.labels(), &[]).unwrap());
        let mut interner = Interner::new(Arc::clone(&registry));
        let groups = pods.iter().map(|pod| interner.group_of(pod)).collect();
        let monitor = Monitor::new(claim, registry, 5000, 10_000);
        (monitor, interner, groups)
    }

    #[test]
    fn everything_on_one_of_two_backends_fails_once_a_burst_is_ruled_out() {
        let (mut monitor, _, groups) = monitor("v1=70,v2=30", &["v1"]);
        let failed =
            (0..4000).find(|&ticket| monitor.place(ticket, Seen::Group(groups[0])) == Look::Fail);
        assert_eq!(failed, Some(3663));
        let standing = monitor.standing();
        assert_eq!(standing.observed, [3664]);
        assert!(standing.log_e_value >= standing.log_bound);
    }

    #[test]
    fn a_round_robin_in_long_stretches_never_fails_and_a_split_that_is_off_fails_soon() {
        let (mut monitor, _, groups) = monitor("v1=70,v2=30", &["v1", "v2"]);
        let in_turn = |ticket: u64| groups[usize::from(ticket % 100 >= 70)];
        let looks = (0..6000).map(|ticket| monitor.place(ticket, Seen::Group(in_turn(ticket))));
        assert_eq!(looks.last(), Some(Look::Pass));
        let (mut monitor, _, groups) = self::monitor("v1=70,v2=30", &["v1", "v2"]);
        let half = |ticket: u64| groups[usize::from(ticket.is_multiple_of(2))];
        let failed = (0..6000)
            .find(|&ticket| monitor.place(ticket, Seen::Group(half(ticket))) == Look::Fail);
        assert_eq!(failed, Some(457));
    }

    #[test]
    fn what_a_split_shows_at_first_alone_is_no_fail() {
        let (mut monitor, _, groups) = monitor("v1=50,v2=50", &["v1", "v2"]);
        // As of many workers of a round-robin, some of which begin later than others.
        let early = |ticket: u64| ticket < 256 && !ticket.is_multiple_of(8);
        let split = |ticket: u64| {
            let other = !early(ticket) && ticket % 16 < 8;
            groups[usize::from(other)]
        };
        let looks = (0..5000).map(|ticket| monitor.place(ticket, Seen::Group(split(ticket))));
        assert!(looks.into_iter().all(|look| look != Look::Fail));
    }

    #[test]
    fn a_backend_of_weight_zero_that_answers_fails_at_once() {
        let (mut monitor, _, groups) = monitor("v1=100,v2=0", &["v1", "v2"]);
        monitor.place(0, Seen::Group(groups[0]));
        assert_eq!(monitor.place(1, Seen::Group(groups[1])), Look::Fail);
    }

    #[test]
    fn results_are_looked_at_in_dispatch_order() {
        let (mut monitor, _, groups) = monitor("v1=70,v2=30", &["v1", "v2"]);
        // Twenty fast answers of v1 behind one slow answer that holds the looks up.
        for ticket in 1..=20 {
            assert_eq!(
                monitor.place(ticket, Seen::Group(groups[0])),
                Look::Continue
            );
        }
        assert_eq!(monitor.standing().observed, [0, 0]);
        assert_eq!(monitor.place(0, Seen::Group(groups[1])), Look::Continue);
        assert_eq!(monitor.standing().observed, [20, 1]);
    }

    #[test]
    fn a_workload_in_doubt_is_settled_by_one_that_comes_later() {
        let (mut monitor, mut interner, _) = monitor("v1=70,v2=30", &[]);
        let mut ticket = 0;
        let mut place = |pod: &str, interner: &mut Interner, monitor: &mut Monitor| {
            let group = interner.group_of(pod);
            ticket += 1;
            monitor.place(ticket - 1, Seen::Group(group))
        };
        let mut look = Look::Continue;
        for round in 0..4000 {
            let pod = if round % 10 < 7 {
                "challenge-app-6f79ff6b8d-fmzvc"
            } else {
                "challenge-app-v2-6b8464cddd-nnjmj"
            };
            look = place(pod, &mut interner, &mut monitor);
            if look != Look::Continue {
                break;
            }
        }
        assert_eq!(look, Look::Pass);
    }

    #[test]
    fn a_request_never_sent_holds_nothing_up_and_counts_for_nothing() {
        let (mut monitor, _, groups) = monitor("v1=70,v2=30", &["v1", "v2"]);
        monitor.place(0, Seen::NeverSent);
        monitor.place(1, Seen::Unattributed);
        monitor.place(2, Seen::Group(groups[1]));
        let standing = monitor.standing();
        assert_eq!((standing.observed, standing.unattributed), (vec![0, 1], 1));
    }
}
