//! Recognises a rate limiter by what it rejects, and keeps to what it lets through.
//!
//! A pure state machine: answers go in, permits to send come out, and time is an argument. What it knows
//! of limiters: they let so many requests through in a time, whichever backend those are for, and a client
//! that keeps below that is never rejected. A backend that is broken fails at any pace.
//!
//! 1. *Free*: requests are sent as planned. Only rejections (429, or 503 without an identity) are looked at;
//!    `SUSPECTS` of them close together begin a measurement.
//! 2. *Measuring* (`measure`): pause, send probes until one is rejected, pause again. What comes through
//!    between two rejections is what flowed in meanwhile.
//! 3. *Trial* (`trial`): probes at slightly less than that. If hardly any is rejected, the rejections came
//!    from a limiter; if as many are as before, they did not.
//! 4. *Paced*: the plan's requests at the pace of the trial. Rejections that set in again lower it.
//!
//! Where the rejections stay, whatever the pace, the machine ends (*cleared*), and they are failures.

mod measure;
#[cfg(test)]
mod tests;
mod trial;

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;

use crate::headers::Headers;
use crate::measured::RateLimit;
use measure::{Measure, Measured};
use trial::{Finding, Trial};

/// So many rejections begin a measurement, if they are close together.
const SUSPECTS: usize = 5;
/// Within so many requests, that is: with fewer than 1 % of the requests rejected a run can pass.
const SUSPECT_SPAN: u64 = 500;
/// Rejections that end by themselves (a reload) are measured at most so often.
const MEASUREMENTS: u32 = 3;
/// How a pace is lowered when rejections set in again, and how often.
const SLOWER: f64 = 0.75;
const SLOWDOWNS: u32 = 6;
/// So small a share of rejections is no reason to go slower; nor is one as large as the trial left, if that
/// was at least so large: then a backend fails besides.
const FEW_REJECTED: f64 = 0.002;
const MANY_REJECTED: f64 = 0.05;
/// Page's bound on the sum: ln 1000, so that a run of a thousand requests is slowed down by chance about once.
const SLOWER_BOUND: f64 = 6.907_755_278_982_137;
/// `Retry-After` is believed up to this.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// A pace below this is not kept: a request in ten minutes.
const SLOWEST: f64 = 1.0 / 600.0;

/// An answer, as far as it matters for a limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Anything but a rejection.
    Accepted,
    /// 429, or a 503 that names no pod.
    Rejected(Rejection),
    /// No whole response.
    Failed,
}

impl Answer {
    /// What a rejection is taken for: a limiter's. One that asks for a longer pause than a run can wait, and does not say
    /// that requests were too many, is for maintenance.
    pub fn rejected(rejection: Rejection) -> Self {
        if rejection.is_explicit || rejection.retry_after <= LONGEST_PAUSE {
            Self::Rejected(rejection)
        } else {
            Self::Accepted
        }
    }
}

/// What a rejection says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// 429, which no broken backend answers by itself.
    pub is_explicit: bool,
    /// `Retry-After`; zero without one.
    pub retry_after: Duration,
}

impl Rejection {
    /// The same, of which no more is believed than a run can wait.
    fn bounded(self) -> Self {
        Self {
            retry_after: self.retry_after.min(LONGEST_PAUSE),
            ..self
        }
    }
}

/// What may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Whatever the plan says: nothing is limited.
    Free,
    /// A probe, which is set aside; hand the number back with the answer.
    Probe(u32),
    /// A request of the plan; hand the number back with the answer.
    Request(u32),
    /// Nothing before this time.
    Wait(Duration),
}

/// What an answer changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Rejections are looked into: send probes from here on.
    Suspected,
    /// It is a limiter: what was sent until now is set aside, and requests are paced from here on.
    Paced(RateLimit),
    /// It is none, or its rejections ended: send as planned again.
    Cleared,
}

/// The state machine; all times count from the start of the run.
#[derive(Debug)]
pub struct Limiter {
    /// The pace that the user asked for at most, in requests a second.
    ceiling: f64,
    /// Requests in flight at once.
    concurrency: u32,
    state: State,
    measurements: u32,
    /// Changes with every state, so that late answers to earlier probes are known.
    generation: u32,
    next_slot: Duration,
}

#[derive(Debug)]
enum State {
    Free(VecDeque<u64>),
    Measuring(Measure),
    Trial(Trial),
    Paced(Paced),
    Cleared,
}

#[derive(Debug)]
struct Paced {
    found: RateLimit,
    /// The share of rejections that the trial left.
    usual: f64,
    /// Page's cumulative sum of the log-likelihood ratio of far more rejections than that.
    sum: f64,
}

impl Limiter {
    /// Nothing is suspected yet. `ceiling` is the open-loop pace that was asked for, in requests a second.
    pub fn new(ceiling: Option<f64>, concurrency: usize) -> Self {
        Self {
            ceiling: ceiling.unwrap_or(f64::INFINITY),
            concurrency: u32::try_from(concurrency).unwrap_or(u32::MAX),
            state: State::Free(VecDeque::with_capacity(SUSPECTS)),
            measurements: 0,
            generation: 0,
            next_slot: Duration::ZERO,
        }
    }

    /// Whether it is still open if the rejections vanish at a lower pace.
    pub fn is_undecided(&self) -> bool {
        match self.state {
            State::Measuring(_) | State::Trial(_) => true,
            State::Free(_) | State::Paced(_) | State::Cleared => false,
        }
    }

    /// Takes a rejection of a request that was sent without a permit. `identified` says whether any pod
    /// has answered so far.
    pub fn rejected(
        &mut self,
        ticket: u64,
        now: Duration,
        rejection: Rejection,
        identified: bool,
    ) -> Option<Change> {
        let State::Free(suspects) = &mut self.state else {
            return None;
        };
        if suspects.len() == SUSPECTS {
            suspects.pop_front();
        }
        suspects.push_back(ticket);
        let first = suspects.iter().min()?;
        let span = suspects.iter().max()? - first + 1;
        if suspects.len() < SUSPECTS || span > SUSPECT_SPAN {
            return None;
        }
        self.measurements += 1;
        let share = SUSPECTS as f64 / span as f64;
        let rejection = rejection.bounded();
        let measure = Measure::new(now, rejection, share, identified, self.concurrency);
        self.enter(State::Measuring(measure));
        Some(Change::Suspected)
    }

    /// Whether something may be sent at `now`.
    pub fn permit(&mut self, now: Duration) -> Permit {
        let generation = self.generation;
        let (pace, permit) = match &mut self.state {
            State::Free(_) | State::Cleared => return Permit::Free,
            State::Measuring(measure) => {
                if let Some(until) = measure.closed_until(now, self.concurrency) {
                    return Permit::Wait(until);
                }
                (self.ceiling, Permit::Probe(generation))
            }
            State::Trial(trial) => (trial.pace(), Permit::Probe(generation)),
            State::Paced(paced) => (paced.found.pace_per_second, Permit::Request(generation)),
        };
        if now < self.next_slot {
            return Permit::Wait(self.next_slot);
        }
        let spacing = Duration::try_from_secs_f64(1.0 / pace).unwrap_or(Duration::ZERO);
        // A late start is made up for by one spacing at most: more would be a burst.
        self.next_slot = (self.next_slot + spacing).max(now);
        if let State::Measuring(measure) = &mut self.state {
            measure.sent();
        }
        permit
    }

    /// Takes the answer to what a permit of this number let through.
    pub fn answered(&mut self, generation: u32, now: Duration, answer: Answer) -> Option<Change> {
        if generation != self.generation {
            return None;
        }
        let answer = match answer {
            Answer::Rejected(rejection) => Answer::Rejected(rejection.bounded()),
            other => other,
        };
        match &mut self.state {
            State::Free(_) | State::Cleared => None,
            State::Measuring(measure) => {
                let measured = measure.answered(now, answer)?;
                Some(self.measured(now, measured))
            }
            State::Trial(trial) => {
                if let Answer::Rejected(Rejection { retry_after, .. }) = answer {
                    self.next_slot = self.next_slot.max(now + retry_after);
                }
                let finding = trial.answered(answer)?;
                self.tried(now, finding)
            }
            State::Paced(paced) => {
                let change = paced.answered(answer);
                if let Answer::Rejected(Rejection { retry_after, .. }) = answer {
                    let pause = pause(&paced.found).max(retry_after);
                    self.next_slot = self.next_slot.max(now + pause);
                }
                match change {
                    Some(Change::Cleared) => self.enter(State::Cleared),
                    Some(Change::Paced(_) | Change::Suspected) => self.generation += 1,
                    None => {}
                }
                change
            }
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    fn measured(&mut self, now: Duration, measured: Measured) -> Change {
        match measured {
            Measured::Ended if self.measurements < MEASUREMENTS => {
                self.enter(State::Free(VecDeque::with_capacity(SUSPECTS)));
                Change::Cleared
            }
            Measured::Ended | Measured::NotRefilled => {
                self.enter(State::Cleared);
                Change::Cleared
            }
            Measured::Refill(found, share) => self.attempt(now, Trial::new(found, share)),
        }
    }

    fn tried(&mut self, now: Duration, finding: Finding) -> Option<Change> {
        let State::Trial(trial) = &self.state else {
            return None;
        };
        match finding {
            Finding::Vanished => {
                let found = trial.found();
                let paced = Paced {
                    found,
                    usual: trial.left_over(),
                    sum: 0.0,
                };
                self.enter(State::Paced(paced));
                Some(Change::Paced(found))
            }
            Finding::Stayed => {
                let change = match trial.slower() {
                    Some(slower) => self.attempt(now, slower),
                    None => self.clear(),
                };
                (change == Change::Cleared).then_some(change)
            }
        }
    }

    fn attempt(&mut self, now: Duration, trial: Trial) -> Change {
        if !trial.is_affordable() || trial.found().pace_per_second < SLOWEST {
            return self.clear();
        }
        let trial = trial.below(self.ceiling);
        // A limiter that is full has room again after this.
        self.next_slot = now + pause(&trial.found());
        self.enter(State::Trial(trial));
        Change::Suspected
    }

    fn clear(&mut self) -> Change {
        self.enter(State::Cleared);
        Change::Cleared
    }
}

impl Paced {
    fn answered(&mut self, answer: Answer) -> Option<Change> {
        let is_few = self.usual < MANY_REJECTED;
        let usual = if is_few { FEW_REJECTED } else { self.usual };
        let unusual = (10.0 * usual).min(f64::midpoint(usual, 1.0));
        self.sum += match answer {
            Answer::Failed => 0.0,
            Answer::Accepted => ((1.0 - unusual) / (1.0 - usual)).ln(),
            Answer::Rejected(_) => (unusual / usual).ln(),
        };
        self.sum = self.sum.max(0.0);
        if self.sum < SLOWER_BOUND {
            return None;
        }
        self.sum = 0.0;
        if self.found.slowdowns == SLOWDOWNS {
            // No pace makes 503s vanish: they were failures all along.
            return (!self.found.is_explicit).then_some(Change::Cleared);
        }
        self.found.slowdowns += 1;
        self.found.per_second *= SLOWER;
        self.found.pace_per_second *= SLOWER;
        Some(Change::Paced(self.found))
    }
}

/// In this time two requests are let through.
fn pause(limit: &RateLimit) -> Duration {
    Duration::try_from_secs_f64(2.0 / limit.per_second)
        .map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
}

/// How long `Retry-After` asks to wait, in seconds or until a date (RFC 9110 §10.2.3); zero without one.
pub fn retry_after(headers: Headers<'_>, now: SystemTime) -> Duration {
    let text = headers.text(&RETRY_AFTER).unwrap_or_default().trim();
    if let Ok(seconds) = text.parse() {
        return Duration::from_secs(seconds);
    }
    let until = httpdate::parse_http_date(text).ok();
    until
        .and_then(|until| until.duration_since(now).ok())
        .unwrap_or_default()
}
