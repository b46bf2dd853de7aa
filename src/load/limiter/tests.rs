//! The machine against limiters and broken backends that are played by the clock of the test.

use std::collections::VecDeque;

use http::HeaderMap;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// What answers.
enum Server {
    /// nginx's `limit_req … nodelay`: a bucket of so many, refilled at so many a second.
    Bucket {
        rate: f64,
        burst: f64,
        left: f64,
        last: f64,
    },
    /// A share of the requests fails, whatever the pace.
    Broken { share: f64, random: ChaCha8Rng },
    /// So many a window; the rest gets 429, with the time until the next where it `tells`.
    Window {
        tells: bool,
        limit: u64,
        seconds: f64,
        window: f64,
        used: u64,
    },
    /// The same, for a share of the requests alone.
    OneBackend {
        share: f64,
        random: ChaCha8Rng,
        inner: Box<Self>,
    },
    /// Everything is rejected until some time.
    Until(f64),
    /// Everything is rejected after so many.
    After(u64),
}

fn bucket(rate: f64, burst: f64) -> Server {
    Server::Bucket {
        rate,
        burst,
        left: burst + 1.0,
        last: 0.0,
    }
}

fn broken(share: f64, seed: u64) -> Server {
    Server::Broken {
        share,
        random: ChaCha8Rng::seed_from_u64(seed),
    }
}

fn rejected(is_explicit: bool, seconds: f64) -> Answer {
    Answer::Rejected(Rejection {
        is_explicit,
        retry_after: Duration::from_secs_f64(seconds.ceil()),
    })
}

impl Server {
    fn answer(&mut self, now: f64) -> Answer {
        match self {
            Self::Bucket {
                rate,
                burst,
                left,
                last,
            } => {
                *left = (*left + *rate * (now - *last)).min(*burst + 1.0);
                *last = now;
                if *left < 1.0 {
                    return rejected(false, 0.0);
                }
                *left -= 1.0;
                Answer::Accepted
            }
            Self::Broken { share, random } => {
                if random.random::<f64>() < *share {
                    rejected(false, 0.0)
                } else {
                    Answer::Accepted
                }
            }
            Self::Window {
                tells,
                limit,
                seconds,
                window,
                used,
            } => {
                let current = (now / *seconds).floor();
                if current > *window {
                    (*window, *used) = (current, 0);
                }
                if *used == *limit {
                    let left = (current + 1.0) * *seconds - now;
                    return rejected(true, if *tells { left } else { 0.0 });
                }
                *used += 1;
                Answer::Accepted
            }
            Self::OneBackend {
                share,
                random,
                inner,
            } => {
                if random.random::<f64>() < *share {
                    inner.answer(now)
                } else {
                    Answer::Accepted
                }
            }
            Self::Until(end) if now < *end => rejected(false, 0.0),
            Self::Until(_) => Answer::Accepted,
            Self::After(0) => rejected(false, 0.0),
            Self::After(left) => {
                *left -= 1;
                Answer::Accepted
            }
        }
    }
}

/// What a simulated run came to.
#[derive(Debug, Default)]
struct Played {
    found: Option<RateLimit>,
    found_at: f64,
    cleared_at: Option<f64>,
    probes: u64,
    probes_rejected: u64,
    /// Of the paced requests.
    accepted: u64,
    paced_rejected: u64,
    suspected: u32,
}

#[derive(Clone, Copy)]
enum Sent {
    Planned(u64),
    Permitted(u32, bool),
}

/// Sends until `seconds` have passed, with so many in flight and so long an answer.
fn play(
    server: &mut Server,
    limiter: &mut Limiter,
    in_flight: usize,
    latency: f64,
    seconds: f64,
) -> Played {
    let mut played = Played::default();
    let mut answers: VecDeque<(f64, Sent, Answer)> = VecDeque::new();
    let (mut now, mut ticket) = (0.0_f64, 0);
    let mut identified = false;
    let time = Duration::from_secs_f64;
    while now < seconds && !matches!(limiter.state, State::Cleared) {
        let mut ask_at = f64::INFINITY;
        while answers.len() < in_flight {
            let sent = match limiter.permit(time(now)) {
                Permit::Wait(until) => {
                    ask_at = until.as_secs_f64().max(now + 1e-9);
                    break;
                }
                Permit::Free => {
                    ticket += 1;
                    Sent::Planned(ticket)
                }
                Permit::Probe(number) => Sent::Permitted(number, true),
                Permit::Request(number) => Sent::Permitted(number, false),
            };
            answers.push_back((now + latency, sent, server.answer(now)));
        }
        now = ask_at.min(answers.front().map_or(f64::INFINITY, |&(at, ..)| at));
        while let Some(&(at, sent, answer)) = answers.front().filter(|&&(at, ..)| at <= now) {
            answers.pop_front();
            identified |= answer == Answer::Accepted;
            let is_rejected = answer != Answer::Accepted;
            let change = match (sent, answer) {
                (Sent::Planned(ticket), Answer::Rejected(rejection)) => {
                    limiter.rejected(ticket, time(at), rejection, identified)
                }
                (Sent::Planned(_), _) => None,
                (Sent::Permitted(number, is_probe), _) => {
                    if is_probe {
                        played.probes += 1;
                        played.probes_rejected += u64::from(is_rejected);
                    } else {
                        played.accepted += u64::from(!is_rejected);
                        played.paced_rejected += u64::from(is_rejected);
                    }
                    limiter.answered(number, time(at), answer)
                }
            };
            match change {
                Some(Change::Paced(found)) => {
                    played.found = Some(found);
                    played.found_at = at;
                    (played.accepted, played.paced_rejected) = (0, 0);
                }
                Some(Change::Cleared) => played.cleared_at = Some(at),
                Some(Change::Suspected) => played.suspected += 1,
                None => {}
            }
        }
    }
    played
}

fn within(value: f64, wanted: f64, part: f64) -> bool {
    (value / wanted - 1.0).abs() <= part
}

#[test]
fn the_rate_of_a_bucket_is_found_within_a_tenth_whatever_the_rate_and_the_latency() {
    for rate in [20.0, 60.0, 175.0, 600.0, 6000.0, 60_000.0] {
        for (latency, in_flight) in [(0.000_5, 50), (0.02, 50), (0.1, 300)] {
            let mut server = bucket(rate / 60.0, rate);
            let mut limiter = Limiter::new(None, in_flight);
            let played = play(&mut server, &mut limiter, in_flight, latency, 240.0);
            let message = format!("{rate}/m at {latency} s: {played:?}");
            let is_below = (in_flight as f64 / latency) < rate / 60.0;
            if is_below {
                assert_eq!(played.suspected, 0, "{message}");
                continue;
            }
            let found = played.found.expect(&message);
            assert!(within(60.0 * found.per_second, rate, 0.1), "{message}");
            assert!(played.probes_rejected < 1000, "{message}");
            assert!(played.paced_rejected * 100 <= played.accepted, "{message}");
        }
    }
}

#[test]
fn the_seeds_limiter_leaves_time_for_its_plan_within_seven_minutes() {
    let mut server = bucket(175.0 / 60.0, 175.0);
    let mut limiter = Limiter::new(None, 50);
    let played = play(&mut server, &mut limiter, 50, 0.002, 400.0);
    assert!(played.accepted >= 942, "{played:?}");
    assert!(played.found_at < 30.0, "{played:?}");
}

#[test]
fn a_broken_backend_is_no_limiter_and_that_is_told_soon() {
    let (mut mistaken, mut times) = (0, Vec::new());
    for seed in 0..100 {
        for share in [0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9] {
            for in_flight in [1, 8, 50] {
                let mut server = broken(share, seed);
                let mut limiter = Limiter::new(None, in_flight);
                let played = play(&mut server, &mut limiter, in_flight, 0.001, 120.0);
                let message = format!("share {share}, {in_flight}, seed {seed}: {played:?}");
                assert!(played.suspected > 0, "{message}");
                mistaken += u32::from(played.found.is_some());
                times.push(played.cleared_at.expect(&message));
            }
        }
    }
    times.sort_by(f64::total_cmp);
    let share = |part: usize| times[times.len() * part / 1000];
    assert!(mistaken <= 2, "{mistaken} of {} at first", times.len());
    assert!(share(500) < 1.5 && share(900) < 3.0 && share(990) < 10.0);
}

#[test]
fn a_target_that_rejects_everything_is_told_soon() {
    let mut limiter = Limiter::new(None, 50);
    let played = play(&mut Server::After(0), &mut limiter, 50, 0.001, 20.0);
    assert!(played.cleared_at.unwrap() < 1.5, "{played:?}");
    let mut limiter = Limiter::new(None, 50);
    let played = play(&mut Server::After(500), &mut limiter, 50, 0.001, 20.0);
    assert!(played.cleared_at.unwrap() < 6.0, "{played:?}");
}

#[test]
fn rejections_that_end_by_themselves_set_nothing_aside() {
    let mut limiter = Limiter::new(None, 50);
    let played = play(&mut Server::Until(0.3), &mut limiter, 50, 0.001, 5.0);
    assert!(
        played.found.is_none() && !limiter.is_undecided(),
        "{played:?}"
    );
}

#[test]
fn a_window_with_retry_after_is_kept_to() {
    let mut server = Server::Window {
        tells: true,
        limit: 100,
        seconds: 10.0,
        window: 0.0,
        used: 0,
    };
    let mut limiter = Limiter::new(None, 50);
    let played = play(&mut server, &mut limiter, 50, 0.001, 300.0);
    let found = played.found.expect("it is a limiter");
    assert!(found.is_explicit && found.per_second <= 11.0, "{played:?}");
    assert!(found.per_second >= 5.0, "{played:?}");
    assert!(played.accepted >= 1000, "{played:?}");
    assert!(played.paced_rejected * 100 <= played.accepted, "{played:?}");
    assert!(
        played.probes_rejected < 60,
        "Retry-After is respected: {played:?}"
    );
}

#[test]
fn a_limiter_in_one_backend_alone_is_paced_until_it_rejects_hardly_any() {
    let mut server = Server::OneBackend {
        share: 0.3,
        random: ChaCha8Rng::seed_from_u64(7),
        inner: Box::new(Server::Window {
            tells: true,
            limit: 20,
            seconds: 1.0,
            window: 0.0,
            used: 0,
        }),
    };
    let mut limiter = Limiter::new(None, 50);
    let played = play(&mut server, &mut limiter, 50, 0.001, 120.0);
    assert!(played.accepted > 1000, "{played:?}");
    assert!(played.paced_rejected * 100 <= played.accepted, "{played:?}");
}

#[test]
fn a_pace_below_the_limit_meets_no_limiter() {
    // While nothing is limited the caller keeps the pace: one in flight, answered after the spacing.
    let mut limiter = Limiter::new(Some(2.5), 1);
    let played = play(&mut bucket(3.0, 3.0), &mut limiter, 1, 0.4, 300.0);
    assert_eq!(played.suspected, 0);
}

#[test]
fn a_pace_above_the_limit_is_lowered_to_it_and_never_exceeded() {
    let mut limiter = Limiter::new(Some(5.0), 1);
    let played = play(&mut bucket(3.0, 3.0), &mut limiter, 1, 0.2, 300.0);
    let found = played.found.expect("5 a second against 3");
    assert!(within(found.per_second, 3.0, 0.1), "{played:?}");
    assert!(found.pace_per_second < 3.0, "{played:?}");
}

#[test]
fn a_few_rejections_far_apart_are_not_looked_into() {
    let mut limiter = Limiter::new(None, 50);
    let rejection = Rejection {
        is_explicit: false,
        retry_after: Duration::ZERO,
    };
    for ticket in (0..100_000).step_by(200) {
        let change = limiter.rejected(ticket, Duration::ZERO, rejection, true);
        assert_eq!(change, None);
    }
}

#[test]
fn an_absurd_retry_after_does_not_hold_the_run_for_ever() {
    let mut limiter = Limiter::new(None, 50);
    let forever = Rejection {
        is_explicit: true,
        retry_after: Duration::MAX,
    };
    let changes =
        (0..5).filter_map(|ticket| limiter.rejected(ticket, Duration::ZERO, forever, true));
    assert_eq!(changes.collect::<Vec<_>>(), [Change::Suspected]);
    assert_eq!(limiter.permit(Duration::ZERO), Permit::Wait(LONGEST_PAUSE));
    assert!(matches!(limiter.permit(LONGEST_PAUSE), Permit::Probe(_)));
}

#[test]
fn a_page_of_maintenance_is_no_limiters() {
    let rejected = |is_explicit, minutes| {
        Answer::rejected(Rejection {
            is_explicit,
            retry_after: Duration::from_mins(minutes),
        })
    };
    assert_eq!(rejected(false, 60), Answer::Accepted);
    assert!(matches!(rejected(false, 1), Answer::Rejected(_)));
    assert!(matches!(rejected(true, 60), Answer::Rejected(_)));
}

#[test]
fn retry_after_is_a_number_of_seconds_or_a_date() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
    for (text, seconds) in [
        ("7", 7),
        (" 120 ", 120),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 7),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0),
        ("soon", 0),
        ("-5", 0),
    ] {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        let wait = retry_after(Headers::from(&headers), now);
        assert_eq!(wait, Duration::from_secs(seconds), "{text}");
    }
    assert_eq!(
        retry_after(Headers::from(&HeaderMap::new()), now),
        Duration::ZERO
    );
}

/// Counters by the second or the minute: the first answers to a trial are those of a window that is used up.
#[test]
fn a_window_without_retry_after_is_waited_for() {
    for (limit, seconds) in [
        (150, 1.0),
        (10, 1.0),
        (100, 10.0),
        (1000, 10.0),
        (100, 60.0),
    ] {
        for (latency, in_flight) in [(0.001, 50), (0.02, 50), (0.001, 1)] {
            let mut server = Server::Window {
                tells: false,
                limit,
                seconds,
                window: -1.0,
                used: 0,
            };
            let mut limiter = Limiter::new(None, in_flight);
            let played = play(&mut server, &mut limiter, in_flight, latency, 600.0);
            let message = format!("{limit} in {seconds} s, {latency}, {in_flight}: {played:?}");
            let found = played.found.expect(&message);
            let part = found.per_second * seconds / limit as f64;
            assert!((0.6..1.05).contains(&part), "{message}");
            assert!(played.paced_rejected * 100 <= played.accepted, "{message}");
        }
    }
}
