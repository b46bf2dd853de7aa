//! What is said before load is sent.

use std::fmt::Write;

use super::output::Detail;
use crate::claim::stickiness::{FOLLOW_UPS, Stickiness};
use crate::format::{count, frequency, time};
use crate::load::machine::PortShortage;
use crate::plan::Plan;
use crate::plan::preparation::Warmup;
use crate::verdict::promise::{
    grey_zone_in_words, promise, promise_in_short, remedy_for_time, sequential_saving,
    sessions_promise, sessions_promise_in_short,
};

/// What is said before load is sent: how much, how often the verdict is wrong, how long it takes, and whether there can be one
/// at all. In detail it is what the promise says of each error, and of small shifts.
pub(super) fn announcement(plan: &Plan, detail: Detail) -> String {
    let mut message = planned(plan, detail);
    if let (Detail::Verbose, Some(requests)) = (detail, plan.budget.requests) {
        let of_the_run = plan.shard.as_ref().and_then(|sharding| sharding.requests);
        let zone = grey_zone_in_words(&plan.claim, of_the_run.unwrap_or(requests));
        if !zone.is_empty() && plan.claim.sessions.is_none() {
            message.extend(["; ", &zone]);
        }
    }
    if let Some(limit) = plan.preparation.wait_ready {
        let _ = write!(
            message,
            "; before, the target is polled for at most {limit:?} until every backend has answered"
        );
    }
    match plan.preparation.warmup {
        Some(Warmup::Requests(requests)) => {
            let _ = write!(
                message,
                "; before, {} of warm-up, discarded",
                count(requests.get(), "request")
            );
        }
        Some(Warmup::Duration(duration)) => {
            let _ = write!(message, "; before, {duration:?} of warm-up, discarded");
        }
        None => {}
    }
    message
}

fn planned(plan: &Plan, detail: Detail) -> String {
    if let Some(stickiness) = &plan.claim.sessions {
        return sessions_announcement(plan, stickiness, detail);
    }
    let Some(requests) = plan.budget.requests else {
        let duration = plan.budget.duration.unwrap_or(plan.budget.max_duration);
        return format!(
            "sending requests to {} for {duration:?}; a correct split fails at most {}",
            plan.target,
            frequency(plan.claim.criterion.alpha)
        );
    };
    let mut message = match plan.shard.as_ref().filter(|_| plan.mark.is_none()) {
        Some(sharding) => format!(
            "shard {} sends {requests} of the run's requests to {}; merged: ",
            sharding.shard, plan.target
        ),
        None => format!("{} to {}: ", count(requests.get(), "request"), plan.target),
    };
    let of_the_run = plan.shard.as_ref().and_then(|sharding| sharding.requests);
    let judged = of_the_run.unwrap_or(requests);
    message.push_str(&match detail {
        Detail::Short => promise_in_short(&plan.claim, judged),
        Detail::Verbose => promise(&plan.claim, judged),
    });
    if let Some(rate) = plan.load.rate {
        let seconds = requests.get() as f64 / rate.per_second();
        let _ = write!(message, "; {} at {rate}", time(seconds));
        message.push_str(&remedy_for_time(
            &plan.claim,
            rate.per_second(),
            seconds,
            plan.budget.max_duration,
        ));
        if can_stop_early(plan) {
            message.push_str(&sequential_saving(&plan.claim, rate.per_second(), seconds));
        }
    }
    message
}

/// Whether the run could stop as soon as the evidence is enough, and is not told to.
pub(super) fn can_stop_early(plan: &Plan) -> bool {
    !plan.sequential && plan.shard.is_none() && plan.load.connection_use.is_fresh()
}

fn sessions_announcement(plan: &Plan, stickiness: &Stickiness, detail: Detail) -> String {
    let each = 1 + FOLLOW_UPS;
    let many = match stickiness.sessions {
        Some(sessions) => count(sessions.get(), "session"),
        None => "sessions".to_owned(),
    };
    let promised = match detail {
        Detail::Short => sessions_promise_in_short(stickiness, &plan.claim.criterion),
        Detail::Verbose => sessions_promise(stickiness, &plan.claim.criterion),
    };
    format!(
        "{many} of {each} requests to {}, carried by {}: {promised}",
        plan.target, stickiness.by
    )
}

/// What to do about a run that needs more local ports than there are.
pub(super) fn port_shortage(shortage: PortShortage) -> String {
    let PortShortage { connections, ports } = shortage;
    format!(
        "the run opens {connections} connections, and this machine has {ports} local ports for each address; one \
         stays taken for up to a minute after its connection, and when all are, dials wait: --keep-alive, --requests-per-connection K or a --rate below {:.0}/s avoid that",
        ports as f64 / 60.0
    )
}
