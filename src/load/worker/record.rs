//! What a request brought, written down.

use std::sync::PoisonError;
use std::time::{Instant, SystemTime};

use super::open::Open;
use super::start::Start;
use super::{Failed, NO_TICKET, RequestLoop, Responded};
use crate::load::buffer::BodyEnd;
use crate::load::connection::Connection;
use crate::load::harvest::{Harvest, Received};
use crate::load::limiter::{self, Answer, Rejection};
use crate::observation::{Failure, Observation, Outcome, PodId, status};
use crate::stats::sequential::Look;
use crate::tally::connections::OneConnection;
use crate::tally::monitor::Seen;
use crate::tally::set_aside::Reason;

impl RequestLoop {
    /// Counts how a request ended for its connection and its address, unless it is set aside.
    pub(super) fn count(&self, open: &Open, ended: &Result<Responded, Failed>, ticket: u64) {
        let mut harvest = self.harvest.borrow_mut();
        let epoch = harvest.keep_up(&self.shared);
        if ticket == NO_TICKET || ticket < harvest.epoch.first_ticket {
            return;
        }
        let pod = ended.as_ref().ok().and_then(|responded| responded.pod);
        let group = pod.map(|pod| harvest.tally.group(pod));
        match ended {
            Ok(_) => harvest.addresses.responded(open.address, group),
            Err(_) => harvest.addresses.failed(open.address),
        }
        if !self.shared.plan.load.connection_use.is_fresh() {
            let responses = &open.responses;
            let mut of_connection = responses.of_connection.borrow_mut();
            if responses.epoch.replace(epoch) != epoch {
                *of_connection = OneConnection::default();
            }
            of_connection.record(group);
        }
    }

    /// Reads from a whole response who answered.
    pub(super) fn responded(
        &self,
        connection: &Connection,
        ticket: u64,
        received: Received,
    ) -> Responded {
        let answer = connection.answer();
        let mut harvest = self.harvest.borrow_mut();
        let pod = harvest.identify(&self.shared, ticket, received, answer);
        let Received { status, end } = received;
        let answer = match (status, pod) {
            (status, pod)
                if status::is_too_many(status)
                    || (pod.is_none() && status::is_unavailable(status)) =>
            {
                Answer::rejected(Rejection {
                    is_explicit: status::is_too_many(status),
                    retry_after: limiter::retry_after(answer.headers, SystemTime::now()),
                })
            }
            _ => Answer::Accepted,
        };
        Responded {
            status,
            pod,
            reusable: end == BodyEnd::Whole,
            answer,
        }
    }

    pub(super) fn record(&mut self, start: Start, ended: Result<Responded, Failed>) {
        let shared = &*self.shared;
        let ended_at = Instant::now();
        let now = ended_at - shared.started;
        let answer = match &ended {
            Ok(responded) => responded.answer,
            Err(_) => Answer::Failed,
        };
        if let Some(permit) = start.permit {
            shared.answered(permit, now, answer);
        }
        let mut harvest = self.harvest.borrow_mut();
        harvest.keep_up(shared);
        harvest.in_flight -= 1;
        let mut observation = Observation {
            ticket: start.ticket,
            outcome: Outcome::Failed(Failure::Protocol),
            dispatched: start.due - shared.started,
            latency: ended_at - start.due,
        };
        let pod = match ended {
            Ok(Responded { status, pod, .. }) => {
                observation.outcome = Outcome::Responded { status, pod };
                pod
            }
            Err((failure, message)) => {
                observation.outcome = Outcome::Failed(failure);
                shared.failed(failure, &message);
                harvest.tell(&observation, message);
                None
            }
        };
        let first_ticket = harvest.epoch.first_ticket;
        let set_aside_as = match start.ticket {
            NO_TICKET => Some(Reason::LimiterProbe),
            ticket if ticket < first_ticket => Some(Reason::BeforePacing),
            _ => None,
        };
        if let Some(reason) = set_aside_as {
            let group = pod.map(|pod| harvest.tally.group(pod));
            harvest.set_aside.record(reason, &observation, group);
            return;
        }
        let place = start.ticket - first_ticket;
        observation.ticket = shared.plan.place(place);
        harvest.tally.record(&observation);
        if let Some(session) = &mut self.session {
            let answered = pod.map(|pod| (pod, harvest.tally.group(pod)));
            session.record(answered, &mut harvest.sessions);
        }
        self.show(&harvest, place, pod, observation.outcome);
        if start.permit.is_none() {
            shared.rejected(start.ticket, now, answer);
        }
        if pod.is_none() {
            shared.replace(start.ticket);
        }
    }

    /// Shows the monitor of a sequential run what came to this place, and stops when that is enough.
    fn show(&self, harvest: &Harvest, place: u64, pod: Option<PodId>, outcome: Outcome) {
        let Some(monitor) = &harvest.epoch.monitor else {
            return;
        };
        let seen = match (pod, outcome) {
            (Some(pod), _) => Seen::Group(harvest.tally.group(pod)),
            (None, Outcome::Failed(failure)) if !failure.was_sent() => Seen::NeverSent,
            (None, _) => Seen::Unattributed,
        };
        let mut monitor = monitor.lock().unwrap_or_else(PoisonError::into_inner);
        if monitor.place(place, seen) != Look::Continue {
            self.shared.turnstile.dispenser.stop();
        }
    }
}
