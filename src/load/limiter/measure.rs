//! Measures what a limiter lets through: pause, send until one request is rejected, pause again.
//!
//! A rejection says that nothing was left. So what was accepted between two rejections flowed in between
//! them, to within one request, whatever kind of bucket it is; a credit that is not used up stays for the
//! next round, so that the mean over many rounds is right.

use std::time::Duration;

use super::{Answer, Rejection};
use crate::measured::RateLimit;

/// The first pause; it doubles while nothing is let through after it.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// A 503 that no pause up to this makes vanish is no limiter's, or one of less than 20 a minute.
const LONGEST_SILENCE: Duration = Duration::from_secs(3);
/// The same where no pod has answered at all: such a target is most likely broken.
const LONGEST_SILENCE_UNKNOWN: Duration = Duration::from_secs(1);
/// The same for 429, which says that there is a limiter.
const LONGEST_SILENCE_EXPLICIT: Duration = Duration::from_mins(1);
/// Measurements of so many accepted requests over at least so many seconds are enough: n are off by at most
/// 1 in n, mostly by far less.
const ENOUGH: [(u64, f64); 4] = [(20, 0.0), (12, 5.0), (5, 30.0), (2, 60.0)];
/// So are so many where the rounds leave hardly any room for the rate.
const FEWEST: u64 = 5;
const NARROW: f64 = 1.1;
/// Rounds that a measurement takes at least and at most.
const ROUNDS: usize = 3;
const MOST_ROUNDS: usize = 500;
/// A measurement ends after this, whatever it has.
const LONGEST: Duration = Duration::from_mins(3);
/// Two rounds contradict each other if the rates that they allow are apart by this factor; latencies blur
/// the time between rejections by less.
const CONTRADICTION: f64 = 1.5;
/// So many accepted in a row say that rejections ended by themselves: this times the concurrency over the
/// share that was rejected, within bounds. A limiter not much slower than the client lets many through after
/// a pause, and one that says so may have opened a new window.
const ENDED: f64 = 20.0;
const ENDED_FEWEST: f64 = 100.0;
const ENDED_MOST: f64 = 5000.0;
/// Where less than this share is rejected it takes more rounds to know the share.
const FEW: f64 = 0.1;
const ROUNDS_OF_FEW: usize = 8;
/// Once a pause has let a request through, the same pause always does, and one twice as long after at most
/// one that came too early: more rounds without any contradict a limiter of one rate.
const EMPTY_ROUNDS: u32 = 2;
/// Rounds after a pause of at least this end with so many rejections: a limiter that is empty rejects them
/// all, and a backend that is broken in part does not.
const CONFIRMED: [(Duration, u32); 2] = [
    (Duration::from_millis(320), 12),
    (Duration::from_millis(80), 4),
];
/// While probes are in flight whose answers decide, the question is asked again after this.
const SOON: Duration = Duration::from_millis(1);

/// How a measurement ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Measured {
    /// So much flows in; with the share of the probes that were rejected, and whether it suits one rate.
    Refill(Refill, f64),
    /// Nothing is rejected any more.
    Ended,
    /// Nothing flows in.
    NotRefilled,
}

/// A measured rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Refill {
    pub(super) found: RateLimit,
    /// Whether all rounds allow one and the same rate.
    pub(super) is_steady: bool,
}

/// The rounds so far.
#[derive(Debug)]
pub(super) struct Measure {
    began: Duration,
    is_explicit: bool,
    longest_silence: Duration,
    /// Nothing is sent before.
    pause_until: Duration,
    pause: Duration,
    retry_after: Duration,
    in_flight: u32,
    /// So many may be in flight; grows with every accepted one, so that a fast limiter is caught up with.
    window: u32,
    /// When so many probes of this round were rejected that it ends.
    emptied: Option<Duration>,
    rejected_in_round: u32,
    accepted_in_round: u64,
    /// Rounds in which nothing was let through, since something first was.
    empty_rounds: u32,
    /// When each round ended, and what was accepted until then; the first is where counting begins.
    ends: Vec<(Duration, u64)>,
    rejected: u64,
    /// The share of rejections at full speed.
    share: f64,
    /// Accepted since the last rejection, and how many say that rejections have ended.
    run: u64,
    ended_after: u64,
    /// No rate below or above these explains every round.
    at_least: f64,
    at_most: f64,
}

impl Measure {
    pub(super) fn new(
        now: Duration,
        rejection: Rejection,
        share: f64,
        identified: bool,
        concurrency: u32,
    ) -> Self {
        let Rejection {
            is_explicit,
            retry_after,
        } = rejection;
        let fewest = if is_explicit {
            ENDED_MOST
        } else {
            ENDED_FEWEST
        };
        let wanted = ENDED * f64::from(concurrency) / share;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to a small positive range"
        )]
        let ended_after = wanted.clamp(fewest, ENDED_MOST) as u64;
        Self {
            began: now,
            is_explicit,
            longest_silence: match (is_explicit, identified) {
                (true, _) => LONGEST_SILENCE_EXPLICIT,
                (false, true) => LONGEST_SILENCE,
                (false, false) => LONGEST_SILENCE_UNKNOWN,
            },
            pause_until: now + FIRST_PAUSE.max(retry_after),
            pause: FIRST_PAUSE,
            retry_after,
            in_flight: 0,
            window: 1,
            emptied: None,
            rejected_in_round: 0,
            accepted_in_round: 0,
            empty_rounds: 0,
            ends: Vec::new(),
            rejected: 0,
            run: 0,
            share,
            ended_after,
            at_least: 0.0,
            at_most: f64::INFINITY,
        }
    }

    /// Until when no probe may be sent; `None` when one may be.
    pub(super) fn closed_until(&self, now: Duration, concurrency: u32) -> Option<Duration> {
        if now < self.pause_until {
            return Some(self.pause_until);
        }
        let is_full = self.in_flight >= self.window.min(concurrency);
        (is_full || self.emptied.is_some()).then_some(now + SOON)
    }

    pub(super) fn sent(&mut self) {
        self.in_flight += 1;
    }

    pub(super) fn answered(&mut self, now: Duration, answer: Answer) -> Option<Measured> {
        self.in_flight = self.in_flight.saturating_sub(1);
        match answer {
            Answer::Accepted => {
                self.accepted_in_round += 1;
                self.window = self.window.saturating_add(1);
                self.run += 1;
                if self.run >= self.ended_after {
                    return Some(Measured::Ended);
                }
            }
            Answer::Rejected(Rejection {
                is_explicit,
                retry_after,
            }) => {
                self.is_explicit |= is_explicit;
                self.retry_after = retry_after;
                self.rejected += 1;
                self.rejected_in_round += 1;
                if self.rejected_in_round >= self.confirmed() {
                    self.emptied = Some(now);
                }
                self.run = 0;
            }
            Answer::Failed => {}
        }
        if now.saturating_sub(self.began) > LONGEST {
            return Some(Measured::NotRefilled);
        }
        let emptied = self.emptied?;
        if self.in_flight > 0 {
            return None;
        }
        self.end_round(emptied);
        let measured = self.measured();
        self.pause_until = now + self.pause.max(self.retry_after);
        self.emptied = None;
        self.rejected_in_round = 0;
        self.accepted_in_round = 0;
        self.window = 1;
        measured
    }

    /// How many rejections end a round.
    fn confirmed(&self) -> u32 {
        let mut long = CONFIRMED.iter().filter(|&&(pause, _)| self.pause >= pause);
        match long.next() {
            Some(&(_, rejections)) if !self.is_explicit => rejections,
            _ => 1,
        }
    }

    fn end_round(&mut self, emptied: Duration) {
        if self.accepted_in_round == 0 {
            self.pause *= 2;
            let has_accepted = self.ends.last().is_some_and(|&(_, accepted)| accepted > 0);
            self.empty_rounds += u32::from(has_accepted);
        }
        let accepted = match self.ends.last() {
            // What was accepted before the first rejection may have been left from earlier.
            None => 0,
            Some(&(_, accepted)) => accepted + self.accepted_in_round,
        };
        for &(earlier, before) in &self.ends {
            let took = emptied.saturating_sub(earlier).as_secs_f64();
            let between = (accepted - before) as f64;
            self.at_least = self.at_least.max((between - 1.0) / took);
            self.at_most = self.at_most.min((between + 1.0) / took);
        }
        self.ends.push((emptied, accepted));
    }

    fn measured(&self) -> Option<Measured> {
        let (&(first, _), &(last, accepted)) = (self.ends.first()?, self.ends.last()?);
        let is_given_up = self.ends.len() == MOST_ROUNDS;
        if accepted == 0 {
            let is_silent = self.pause > self.longest_silence || is_given_up;
            return is_silent.then_some(Measured::NotRefilled);
        }
        let over = last.saturating_sub(first);
        let seconds = over.as_secs_f64();
        let is_steady =
            self.at_least <= CONTRADICTION * self.at_most && self.empty_rounds <= EMPTY_ROUNDS;
        let is_narrow = accepted >= FEWEST && self.at_most <= NARROW * self.at_least;
        let is_enough = is_narrow
            || is_given_up
            || ENOUGH
                .iter()
                .any(|&(number, least)| accepted >= number && seconds >= least);
        let must_settle = is_steady || self.is_explicit;
        let share = self.rejected as f64 / (self.rejected + accepted) as f64;
        let rounds = if share < FEW { ROUNDS_OF_FEW } else { ROUNDS };
        if self.ends.len() <= rounds || (must_settle && !is_enough) {
            return None;
        }
        let mean = accepted as f64 / seconds;
        let per_second = if self.at_least <= self.at_most {
            mean.clamp(self.at_least, self.at_most)
        } else {
            mean
        };
        let found = RateLimit {
            per_second,
            accepted,
            over,
            pace_per_second: RateLimit::KEPT * per_second,
            is_explicit: self.is_explicit,
            slowdowns: 0,
        };
        Some(Measured::Refill(
            Refill { found, is_steady },
            share.min(self.share),
        ))
    }
}
