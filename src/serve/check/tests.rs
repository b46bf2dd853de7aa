//! The state machine of one check, with a clock of its own.

use super::*;
use crate::serve::moment::tests::at;

const INTERVAL: Duration = Duration::from_mins(5);
const MAX_AGE: Duration = Duration::from_mins(10);

fn weights(stable: f64, canary: f64) -> Step {
    Step {
        split: Split::new([("stable", stable), ("canary", canary)]).unwrap(),
        backends: Vec::new(),
    }
}

fn split(stable: u32) -> Step {
    weights(f64::from(stable), f64::from(100 - stable))
}

/// A check of 70/30 that runs when it is asked alone.
fn on_demand() -> Check<&'static str> {
    Check::new(split(70), None, MAX_AGE)
}

#[test]
fn what_is_not_known_runs_and_is_given_from_then_on() {
    let mut check = on_demand();
    assert_eq!(check.start_asked(at(0)), None);
    assert_eq!(check.ask(&split(70), None, at(0)), Ok(Reply::Running));
    assert_eq!(check.start_asked(at(1)), Some(split(70)));
    assert_eq!(check.ask(&split(70), None, at(2)), Ok(Reply::Running));
    check.finish("pass", true, at(3));
    assert_eq!(
        check.ask(&split(70), None, at(4)),
        Ok(Reply::Known(&"pass", false))
    );
    assert_eq!(check.start_asked(at(5)), None);
}

#[test]
fn a_thousand_callers_share_one_run() {
    let mut check = on_demand();
    for _ in 0..1000 {
        assert_eq!(check.ask(&split(90), None, at(0)), Ok(Reply::Running));
    }
    assert_eq!(check.queued(), 1);
    assert_eq!(check.start_asked(at(1)), Some(split(90)));
    assert_eq!(check.start_asked(at(1)), None);
    for _ in 0..1000 {
        assert_eq!(check.ask(&split(90), None, at(2)), Ok(Reply::Running));
    }
    assert_eq!(check.queued(), 0);
}

#[test]
fn a_run_that_started_before_the_step_never_counts_for_it() {
    let mut check = on_demand();
    let _ = check.ask(&split(70), None, at(0));
    check.start_asked(at(10)).unwrap();
    // The step comes while the run is under way: another one will be needed.
    assert_eq!(
        check.ask(&split(70), Some(at(11).wall), at(12)),
        Ok(Reply::Running)
    );
    check.finish("before the step", true, at(20));
    assert_eq!(
        check.ask(&split(70), Some(at(11).wall), at(21)),
        Ok(Reply::Running)
    );
    assert_eq!(
        check.ask(&split(70), Some(at(10).wall), at(21)),
        Ok(Reply::Known(&"before the step", false))
    );
    assert_eq!(check.start_asked(at(22)), Some(split(70)));
    check.finish("after the step", true, at(30));
    assert_eq!(
        check.ask(&split(70), Some(at(11).wall), at(31)),
        Ok(Reply::Known(&"after the step", false))
    );
}

#[test]
fn a_start_that_lies_ahead_is_waited_for_and_the_earliest_decides() {
    let mut check = on_demand();
    let _ = check.ask(&split(70), Some(at(60).wall), at(0));
    let _ = check.ask(&split(70), Some(at(50).wall), at(0));
    let _ = check.ask(&split(70), Some(at(90).wall), at(0));
    assert_eq!(check.idle_for(at(0)), Some(Duration::from_secs(50)));
    assert_eq!(check.start_asked(at(49)), None);
    // What waits for its time holds nobody up.
    let _ = check.ask(&split(50), None, at(49));
    assert_eq!(check.start_asked(at(49)), Some(split(50)));
    check.finish("fifty", true, at(50));
    assert_eq!(check.start_asked(at(50)), Some(split(70)));
}

#[test]
fn a_rollout_gets_the_verdict_of_its_step_alone() {
    let mut check = on_demand();
    for (step, stable) in [(0, 90), (1000, 70), (2000, 50)] {
        let begun = Some(at(step).wall);
        assert_eq!(
            check.ask(&split(stable), begun, at(step)),
            Ok(Reply::Running)
        );
        assert_eq!(check.start_asked(at(step + 1)), Some(split(stable)));
        check.finish("pass", true, at(step + 5));
        let known = check.ask(&split(stable), begun, at(step + 6));
        assert_eq!(known, Ok(Reply::Known(&"pass", false)));
    }
    // A later rollout of the same weights begins anew.
    assert_eq!(
        check.ask(&split(50), Some(at(2100).wall), at(2100)),
        Ok(Reply::Running)
    );
}

#[test]
fn a_stale_verdict_is_not_given_and_the_check_runs_again() {
    let mut check = on_demand();
    let _ = check.ask(&split(70), None, at(0));
    check.start_asked(at(0)).unwrap();
    check.finish("pass", true, at(100));
    assert_eq!(
        check.ask(&split(70), None, at(699)),
        Ok(Reply::Known(&"pass", false))
    );
    assert_eq!(
        check.latest(at(699)),
        Some((&"pass", Duration::from_secs(1)))
    );
    assert_eq!(check.latest(at(700)), None);
    assert_eq!(check.ask(&split(70), None, at(700)), Ok(Reply::Running));
    assert_eq!(check.start_asked(at(700)), Some(split(70)));
}

#[test]
fn the_same_shares_in_other_numbers_are_the_same_split() {
    let mut check = on_demand();
    let sevenths = weights(7.0, 3.0);
    let _ = check.ask(&sevenths, None, at(0));
    check.start_asked(at(0)).unwrap();
    check.finish("pass", true, at(1));
    assert_eq!(
        check.ask(&split(70), None, at(2)),
        Ok(Reply::Known(&"pass", false))
    );
    assert_eq!(check.ask(&split(69), None, at(2)), Ok(Reply::Running));
}

#[test]
fn the_same_weights_for_other_pods_are_another_step() {
    let mut check = on_demand();
    let of = |hash: &str| Step {
        backends: vec![format!("canary=*-{hash}-*")],
        ..split(70)
    };
    let _ = check.ask(&of("6b84"), None, at(0));
    check.start_asked(at(0)).unwrap();
    check.finish("pass", true, at(1));
    let known = check.ask(&of("6b84"), None, at(2));
    assert_eq!(known, Ok(Reply::Known(&"pass", false)));
    // The next rollout of the same weights has pods of its own.
    assert_eq!(check.ask(&of("5d9f"), None, at(2)), Ok(Reply::Running));
    assert_eq!(check.ask(&split(70), None, at(2)), Ok(Reply::Running));
}

#[test]
fn what_is_remembered_and_what_waits_is_bounded() {
    let mut check = on_demand();
    for stable in 0..100 {
        let _ = check.ask(&split(stable), None, at(0));
    }
    assert_eq!(check.queued(), MOST_STEPS);
    assert_eq!(check.ask(&split(99), None, at(0)), Err(QueueFull));
    assert_eq!(check.ask(&split(0), None, at(0)), Ok(Reply::Running));
    let mut check = on_demand();
    for stable in [70].into_iter().chain(0..50) {
        let _ = check.ask(&split(stable), None, at(0));
        check.start_asked(at(0)).unwrap();
        check.finish("pass", true, at(1));
    }
    assert_eq!(check.outcomes.len(), MOST_STEPS);
    // The configured split's outlives the others.
    assert_eq!(
        check.ask(&split(70), None, at(2)),
        Ok(Reply::Known(&"pass", false))
    );
    assert_eq!(check.ask(&split(0), None, at(2)), Ok(Reply::Running));
}

#[test]
fn what_is_not_due_yet_keeps_nothing_out_that_is() {
    let mut check = on_demand();
    for stable in 0..8 {
        let _ = check.ask(&split(stable), Some(at(300).wall), at(0));
    }
    assert_eq!(check.queued(), MOST_STEPS);
    assert_eq!(check.ask(&split(70), None, at(0)), Ok(Reply::Running));
    assert_eq!(check.queued(), MOST_STEPS);
    assert_eq!(check.start_asked(at(0)), Some(split(70)));
    // Full again with what may wait, it takes nothing more of that kind.
    let _ = check.ask(&split(8), Some(at(300).wall), at(0));
    assert_eq!(
        check.ask(&split(9), Some(at(300).wall), at(0)),
        Err(QueueFull)
    );
}

#[test]
fn what_could_not_measure_is_told_and_measured_again() {
    let mut check = on_demand();
    let _ = check.ask(&split(70), None, at(0));
    check.start_asked(at(0)).unwrap();
    check.finish("error", false, at(1));
    assert_eq!(
        check.ask(&split(70), None, at(2)),
        Ok(Reply::Known(&"error", false))
    );
    assert_eq!(
        check.ask(&split(70), None, at(11)),
        Ok(Reply::Known(&"error", true))
    );
    assert_eq!(check.start_asked(at(11)), Some(split(70)));
    assert_eq!(
        check.ask(&split(70), None, at(12)),
        Ok(Reply::Known(&"error", true))
    );
    check.finish("pass", true, at(13));
    assert_eq!(
        check.ask(&split(70), None, at(14)),
        Ok(Reply::Known(&"pass", false))
    );
}

#[test]
fn the_background_runs_the_configured_split_from_start_to_start() {
    let mut check = Check::new(split(70), Some(INTERVAL), MAX_AGE);
    assert_eq!(check.idle_for(at(0)), Some(Duration::ZERO));
    assert_eq!(check.start_in_background(at(0)), Some(split(70)));
    assert_eq!((check.idle_for(at(1)), check.is_running()), (None, true));
    check.finish("pass", true, at(20));
    assert_eq!(check.start_in_background(at(299)), None);
    assert_eq!(check.idle_for(at(20)), Some(Duration::from_secs(280)));
    // A run of another split does not stand for it; one that was asked for does.
    let _ = check.ask(&split(50), None, at(250));
    check.start_asked(at(250)).unwrap();
    check.finish("fifty", true, at(260));
    let _ = check.ask(&split(70), Some(at(260).wall), at(260));
    check.start_asked(at(260)).unwrap();
    check.finish("pass", true, at(270));
    assert_eq!(check.start_in_background(at(400)), None);
    assert_eq!(check.start_in_background(at(560)), Some(split(70)));
}

#[test]
fn while_a_background_run_is_under_way_the_last_verdict_is_given() {
    let mut check = Check::new(split(70), Some(INTERVAL), MAX_AGE);
    check.start_in_background(at(0)).unwrap();
    check.finish("pass", true, at(20));
    check.start_in_background(at(300)).unwrap();
    assert_eq!(
        check.ask(&split(70), None, at(301)),
        Ok(Reply::Known(&"pass", true))
    );
    assert_eq!(
        check.ask(&split(70), Some(at(290).wall), at(301)),
        Ok(Reply::Running)
    );
    assert_eq!(check.queued(), 0);
}
