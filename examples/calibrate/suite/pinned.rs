//! The verdict when connections carry several requests, of any lengths, and their responses may be alike.

use lbtest::parts::{
    Clusters, ConnectionSums, Counts, Likeness, MOST_CORRELATION, Shared, Verdict, judge_clustered,
    judge_counts as judge,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

use super::dependent::MISSED;
use super::outcomes::in_parallel;
use super::row::{Row, standard_error};
use super::{ALPHA, Expectation, drawn, seed_of, written};

/// What is promised with several requests to a connection: the variance between them is an estimate, so that
/// the rate is near α, and at most twice it.
const PROMISE: f64 = 2.0 * ALPHA;

/// Requests in a block of the dispatch order.
const WINDOW: usize = 16;

/// How the responses of a connection are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Alike {
    /// Each is the connection's own draw with this chance, else one of its own.
    Stick(f64),
    /// Two backends; each connection draws its share from a beta distribution of this correlation.
    Beta(f64),
    /// Each repeats the one before with this chance.
    Markov(f64),
}

/// Connections of these lengths, whose requests are sent in turn.
#[derive(Debug, Clone)]
pub(crate) struct Pinning {
    pub(crate) name: &'static str,
    pub(crate) lengths: Vec<usize>,
    pub(crate) alike: Alike,
}

impl Pinning {
    pub(crate) fn new(name: &'static str, lengths: &[(usize, usize)], alike: Alike) -> Self {
        let lengths = lengths.iter();
        Self {
            name,
            lengths: lengths
                .flat_map(|&(connections, each)| vec![each; connections])
                .collect(),
            alike,
        }
    }

    fn setting(&self) -> String {
        match self.alike {
            Alike::Stick(chance) => format!("{} stick {chance}", self.name),
            Alike::Beta(correlation) => format!("{} beta {correlation}", self.name),
            Alike::Markov(chance) => format!("{} markov {chance}", self.name),
        }
    }

    fn is_independent(&self) -> bool {
        matches!(self.alike, Alike::Stick(chance) if chance <= 0.0)
    }

    fn connection(&self, length: usize, truth: &[f64], random: &mut ChaCha8Rng) -> Vec<usize> {
        match self.alike {
            Alike::Stick(chance) => {
                let home = drawn(truth, random.random());
                let mut answer = || {
                    if random.random::<f64>() < chance {
                        home
                    } else {
                        drawn(truth, random.random())
                    }
                };
                (0..length).map(|_| answer()).collect()
            }
            Alike::Beta(correlation) => {
                let total = (1.0 - correlation) / correlation;
                let share = Beta::new(truth[0] * total, truth[1] * total)
                    .expect("shares are positive")
                    .sample(random);
                let mut answer = || usize::from(random.random::<f64>() >= share);
                (0..length).map(|_| answer()).collect()
            }
            Alike::Markov(chance) => {
                let mut last = drawn(truth, random.random());
                let mut answer = || {
                    if random.random::<f64>() >= chance {
                        last = drawn(truth, random.random());
                    }
                    last
                };
                (0..length).map(|_| answer()).collect()
            }
        }
    }
}

/// The verdict of a run, by each rule, and whether its responses were called alike.
#[derive(Debug, Clone, Copy)]
struct Ended {
    independent: Verdict,
    first: Verdict,
    lbtest: Verdict,
    called_alike: bool,
    /// Whether the 95 % interval of the first backend's share misses the true one.
    missed: bool,
}

/// How often a correct split fails, or one that is off passes, by the rule for connections, by the test of
/// the first responses alone, and by the test that takes all responses for independent.
#[expect(clippy::too_many_lines, reason = "a table of cells")]
pub(crate) fn errors(
    expectation: &Expectation,
    truth: &[f64],
    pinning: &Pinning,
    runs: u64,
) -> Vec<Row> {
    let shares = expectation.shares();
    let is_right = truth == shares;
    let (part, outcome, wrong) = if is_right {
        ("pinned_size", "fail", Verdict::Fail)
    } else {
        ("pinned_wrong_pass", "pass", Verdict::Pass)
    };
    let setting = pinning.setting();
    let cell = format!("pinned {} {} {setting}", written(shares), written(truth));
    let seed = seed_of(&cell);
    let streams: Vec<u64> = (0..runs).collect();
    let ended = in_parallel(&streams, |&stream| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        run(expectation, truth, pinning, &mut random)
    });
    let row = |part, method: &'static str, outcome, of: &dyn Fn(&Ended) -> bool, bound| {
        let count = ended.iter().filter(|run| of(run)).count();
        let value = count as f64 / runs as f64;
        Row {
            part,
            split: written(shares),
            requests: pinning.lengths.iter().sum::<usize>() as u64,
            setting: setting.clone(),
            truth: written(truth),
            method,
            outcome,
            value,
            standard_error: Some(standard_error(value, runs)),
            runs: Some(runs),
            bound,
        }
    };
    let alpha = Some(ALPHA);
    let mut rows = vec![
        row(
            part,
            "lbtest",
            outcome,
            &|run| run.lbtest == wrong,
            Some(PROMISE),
        ),
        row(
            part,
            "first_responses",
            outcome,
            &|run| run.first == wrong,
            alpha,
        ),
        row(
            part,
            "independent",
            outcome,
            &|run| run.independent == wrong,
            alpha,
        ),
    ];
    let missed = |run: &Ended| run.missed;
    rows.push(row(
        "pinned_coverage",
        "lbtest",
        "missed",
        &missed,
        Some(MISSED),
    ));
    if is_right {
        rows.push(row(
            "pinned_pass",
            "lbtest",
            "pass",
            &|run| run.lbtest == Verdict::Pass,
            None,
        ));
    }
    if is_right && pinning.is_independent() {
        let called = |run: &Ended| run.called_alike;
        rows.push(row("pinned_called_alike", "lbtest", "fail", &called, alpha));
    }
    rows
}

fn counts(observed: Vec<u64>) -> Counts {
    Counts {
        observed,
        foreign: 0,
        unattributed: 0,
    }
}

fn run(
    expectation: &Expectation,
    truth: &[f64],
    pinning: &Pinning,
    random: &mut ChaCha8Rng,
) -> Ended {
    let claim = &expectation.claim;
    let backends = claim.split.len();
    let answers: Vec<Vec<usize>> = pinning
        .lengths
        .iter()
        .map(|&length| pinning.connection(length, truth, random))
        .collect();
    let mut sums = ConnectionSums::default();
    // One cell more, for workloads that are no backend of the split.
    let mut sample = vec![0_u32; answers.len() * (backends + 1)];
    let mut first = vec![0; backends];
    for (row, connection) in sample.chunks_exact_mut(backends + 1).zip(&answers) {
        for &backend in connection {
            row[backend] += 1;
        }
        first[connection[0]] += 1;
        sums.record(row, Some(connection[0]));
    }
    let rounds = pinning.lengths.iter().max().copied().unwrap_or(0);
    let order: Vec<usize> = (0..rounds)
        .flat_map(|round| answers.iter().filter_map(move |answers| answers.get(round)))
        .copied()
        .collect();
    let windows = order.chunks(WINDOW).map(|block| {
        let mut counts = vec![0; backends];
        for &backend in block {
            counts[backend] += 1;
        }
        counts
    });
    let clusters = |sample: Vec<u32>| Clusters {
        sums: sums.clone(),
        sample,
        windows: windows.clone().collect(),
        shared_by: Shared::Connection,
    };
    let all = counts(sums.observed()[..backends].to_vec());
    let first = judge(claim, counts(first)).verdict;
    // Without a sample nothing is called alike. The permutation test costs much, and decides only where much
    // is correlated, where connections balance, and where it is asked how often it errs.
    let unlike = judge_clustered(claim, all.clone(), &clusters(Vec::new()));
    let decides = sums.clustering().intraclass_correlation > MOST_CORRELATION
        && unlike.verdict != first
        || sums.balance_p_value(&clusters(Vec::new()).windows) <= ALPHA;
    let (judged, called_alike) = if !decides && !pinning.is_independent() {
        (unlike, false)
    } else {
        let judged = judge_clustered(claim, all.clone(), &clusters(sample));
        let called_alike = judged.likeness != Likeness::NotSeen;
        (judged, called_alike)
    };
    let (hits, n) = (all.observed[0], all.attributed());
    let interval = judged.interval_basis().interval(hits, n, MISSED);
    Ended {
        independent: judge(claim, all).verdict,
        first,
        lbtest: judged.verdict,
        called_alike,
        missed: truth[0] < interval.low || interval.high < truth[0],
    }
}

/// Lengths and likenesses of two backends' connections.
pub(crate) fn patterns() -> Vec<Pinning> {
    use Alike::{Beta, Markov, Stick};
    let mut patterns = Vec::new();
    for chance in [1.0, 0.5, 0.1, 0.0] {
        patterns.push(Pinning::new("50x20", &[(50, 20)], Stick(chance)));
        patterns.push(Pinning::new("400x10", &[(400, 10)], Stick(chance)));
    }
    patterns.push(Pinning::new("50x74", &[(50, 74)], Stick(0.0)));
    for (name, lengths) in [
        ("2x2000", &[(2, 2000)][..]),
        ("5x800", &[(5, 800)]),
        ("10x370", &[(10, 370)]),
        ("50x74", &[(50, 74)]),
    ] {
        patterns.push(Pinning::new(name, lengths, Beta(0.01)));
    }
    let dominant = &[(1, 2600), (1000, 1)];
    for correlation in [0.03, 0.1] {
        patterns.push(Pinning::new("2600+1000x1", dominant, Beta(correlation)));
    }
    patterns.push(Pinning::new(
        "50x36+1800",
        &[(50, 36), (1, 1800)],
        Beta(0.003),
    ));
    patterns.push(Pinning::new("10x1+40x90", &[(10, 1), (40, 90)], Beta(0.02)));
    patterns.push(Pinning::new("2x2000", &[(2, 2000)], Markov(0.5)));
    patterns.push(Pinning::new("50x74", &[(50, 74)], Markov(0.5)));
    patterns
}
