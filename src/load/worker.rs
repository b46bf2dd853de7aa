//! One client thread: its share of the connections, each a loop of dial, exchange, identify, record.

mod open;
mod record;
mod start;

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::LocalOptions;
use tokio::sync::{Mutex as Turns, watch};
use tokio::task::JoinSet;

use super::Phase;
use super::buffer::{BodyEnd, Lender};
use super::connection::{Connection, ExchangeError};
use super::deadline::{Deadline, Elapsed};
use super::harvest::{Harvest, Received};
use super::limiter::Answer;
use super::session::SessionLoop;
use super::shared::{NO_TICKET, Shared};
use super::snapshots::Snapshots;
use crate::identity::rule;
use crate::observation::{Failure, Observation, Outcome, PodId, status};
use open::{Open, Responses};

/// How many connections that others use too may turn a request away unseen before it gets one of its own.
const MOST_SHARED_CONNECTIONS: u32 = 2;
/// The pause where nobody answers, and how often it doubles: up to 320 ms.
const FIRST_BACK_OFF: Duration = Duration::from_millis(5);
const MOST_DOUBLINGS: u32 = 6;

/// Runs `connections` request loops on this thread until no request is left, or the user quits.
pub(super) fn run(
    shared: &Arc<Shared>,
    connections: usize,
    thread: usize,
    snapshots: &Snapshots,
    mut phase: watch::Receiver<Phase>,
) -> std::io::Result<Harvest> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let harvest = Rc::new(RefCell::new(Harvest::new(
        Arc::clone(&shared.registry),
        shared.turnstile.epochs.present(),
    )));
    let lender = Lender::default();
    let kept = Rc::new(RefCell::new(Vec::new()));
    let mut loops = JoinSet::new();
    let answered = Cell::new(0);
    runtime.block_on(async {
        let streams = shared.plan.load.streams.get();
        for slot in 0..connections {
            let multiplexed = (streams > 1).then(|| Rc::new(Turns::new(None)));
            for _ in 0..streams {
                let request_loop = RequestLoop {
                    shared: Arc::clone(shared),
                    harvest: Rc::clone(&harvest),
                    phase: phase.clone(),
                    // Addresses are used in turn; the loops of all threads start at different ones.
                    dials: thread + slot * shared.plan.load.threads.get(),
                    multiplexed: multiplexed.clone(),
                    session: shared.sessions.clone().map(SessionLoop::new),
                    lender: lender.clone(),
                    kept: Rc::clone(&kept),
                    held: None,
                    unanswered: 0,
                };
                loops.spawn_local(request_loop.run());
            }
        }
        tokio::select! {
            biased;
            _ = phase.wait_for(|&phase| phase == Phase::Quit) => {}
            () = ended(&mut loops) => {}
            () = shared.board.keep(thread, |place| {
                harvest.borrow().put_up(place);
                let copied = || copied(shared, &harvest.borrow(), &kept.borrow());
                answered.set(snapshots.give(answered.get(), copied));
            }) => {}
        }
    });
    // What is still under way goes with the runtime that it runs on.
    drop((loops, runtime));
    let mut harvest = Rc::into_inner(harvest)
        .expect("the request loops ended with their runtime")
        .into_inner();
    harvest.keep_up(shared);
    abandon(shared, &mut harvest);
    Ok(harvest)
}

/// Writes down what was in flight when the user quit.
fn abandon(shared: &Shared, harvest: &mut Harvest) {
    for _ in 0..harvest.in_flight {
        let abandoned = Observation {
            ticket: NO_TICKET,
            outcome: Outcome::Failed(Failure::Abandoned),
            dispatched: shared.started.elapsed(),
            latency: shared.started.elapsed(),
        };
        harvest.tell(&abandoned, "the run was stopped before the answer came");
        harvest.tally.record(&abandoned);
    }
}

/// What this thread has to tell so far, with what connections have brought that are still open.
fn copied(shared: &Shared, harvest: &Harvest, kept: &[Weak<Responses>]) -> Harvest {
    let mut copy = harvest.copied(shared);
    for responses in kept.iter().filter_map(Weak::upgrade) {
        if responses.epoch.get() == copy.epoch_number {
            copy.tally.close(responses.of_connection.borrow().clone());
        }
    }
    copy
}

/// Waits for all request loops; a panic in one goes on here.
async fn ended(loops: &mut JoinSet<()>) {
    while let Some(ended) = loops.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// One request at a time.
struct RequestLoop {
    shared: Arc<Shared>,
    harvest: Rc<RefCell<Harvest>>,
    phase: watch::Receiver<Phase>,
    dials: usize,
    /// The connection that this loop shares with others, where requests are multiplexed.
    multiplexed: Option<Rc<Turns<Option<Open>>>>,
    /// The session that the next request belongs to, in a run that consists of sessions.
    session: Option<SessionLoop>,
    lender: Lender,
    /// What the thread's open connections have brought, where they carry several requests.
    kept: Rc<RefCell<Vec<Weak<Responses>>>>,
    /// A place in the dispatch order that was taken before the turnstile closed.
    held: Option<u64>,
    /// Requests one after the other for which no connection came about, or no answer.
    unanswered: u32,
}

/// The timers of a request loop: one would move between the two limits with every request.
#[derive(Default)]
struct Timers {
    dial: Deadline,
    exchange: Deadline,
}

/// Why a request brought no whole response.
type Failed = (Failure, String);

/// A whole response: its status, and the pod that it names.
struct Responded {
    status: u16,
    pod: Option<PodId>,
    reusable: bool,
    answer: Answer,
}

impl RequestLoop {
    async fn run(mut self) {
        let mut open = None;
        let mut timers = Timers::default();
        while self.goes_on()
            && let Some(start) = self.next_start().await
        {
            self.begin();
            let ended = if start.ticket == NO_TICKET {
                // On a connection of its own, where there is none for several at once: what a probe leaves
                // behind must not depend on the limiter.
                self.request(&mut None, &mut timers, NO_TICKET).await
            } else {
                self.request(&mut open, &mut timers, start.ticket).await
            };
            let is_unanswered = matches!(
                ended,
                Err((
                    Failure::Connect | Failure::Tls | Failure::Timeout | Failure::Local,
                    _
                ))
            );
            self.record(start, ended);
            self.back_off(is_unanswered).await;
        }
        if let Some(session) = &mut self.session {
            session.end(&mut self.harvest.borrow_mut().sessions);
        }
    }

    /// Pauses where nobody answers, twice as long each time: a request in its place would fail at once, too, and
    /// while an ingress reloads, or this machine is short of something, they would all be spent.
    async fn back_off(&mut self, is_unanswered: bool) {
        if !is_unanswered {
            self.unanswered = 0;
            return;
        }
        let pause = FIRST_BACK_OFF * 2_u32.pow(self.unanswered);
        self.unanswered = (self.unanswered + 1).min(MOST_DOUBLINGS);
        self.sleep_until(Instant::now() + pause).await;
    }

    fn begin(&self) {
        let mut harvest = self.harvest.borrow_mut();
        harvest.keep_up(&self.shared);
        harvest.in_flight += 1;
    }

    fn goes_on(&mut self) -> bool {
        self.session.as_mut().is_none_or(SessionLoop::goes_on)
    }

    /// One request, on the open connection if it may carry another, until its response is identified.
    async fn request(
        &mut self,
        slot: &mut Option<Open>,
        timers: &mut Timers,
        ticket: u64,
    ) -> Result<Responded, Failed> {
        let limit = self.shared.plan.load.timeout;
        let connection_use = self.shared.plan.load.connection_use;
        let mut turned_away = 0;
        loop {
            // The first request of a connection is never handed back unsent, so that this comes to an end.
            let opened = if turned_away < MOST_SHARED_CONNECTIONS {
                self.connection(slot, &mut timers.dial).await
            } else {
                self.dial(&mut timers.dial).await
            };
            let mut open = opened.map_err(|error| (error.failure, error.message))?;
            let last = !connection_use.allows_another(open.connection.begun() + 1);
            let ended = {
                // Pinned here and lent, since a future is moved with all the room that it will need.
                let exchange = pin!(self.exchange(&mut open.connection, last, ticket));
                timers.exchange.within(limit, exchange).await
            };
            let ended = match ended {
                Ok(Ok(responded)) => Ok(responded),
                Ok(Err(ExchangeError::Unsent)) => {
                    self.harvest.borrow_mut().connections.reopened += 1;
                    self.discard(&open).await;
                    turned_away += 1;
                    continue;
                }
                Ok(Err(ExchangeError::Failed(failure, message))) => Err((failure, message)),
                Err(Elapsed) if open.connection.has_heard() => {
                    let received = Received {
                        status: status::ANSWERED,
                        end: BodyEnd::Whole,
                    };
                    Ok(self.responded(&open.connection, ticket, received))
                }
                Err(Elapsed) => {
                    self.discard(&open).await;
                    Err((Failure::Timeout, format!("no answer within {limit:?}")))
                }
            };
            self.count(&open, &ended, ticket);
            if !last && ended.as_ref().is_ok_and(|responded| responded.reusable) {
                *slot = Some(open).filter(|_| self.multiplexed.is_none());
            }
            return ended;
        }
    }

    async fn exchange(
        &mut self,
        connection: &mut Connection,
        is_last: bool,
        ticket: u64,
    ) -> Result<Responded, ExchangeError> {
        let Self {
            shared,
            harvest,
            session,
            ..
        } = self;
        if connection.begun() > 0 && !connection.is_reusable().await {
            return Err(ExchangeError::Unsent);
        }
        let status = match session {
            None => {
                let marked = shared.marked(ticket);
                let outgoing = marked.as_ref().unwrap_or(&shared.outgoing);
                connection.send(outgoing, is_last).await?
            }
            Some(session) => {
                let outgoing = shared.outgoing.with(|headers| session.send(headers));
                let status = connection.send(&outgoing, is_last).await?;
                session.receive(connection.headers(), &mut harvest.borrow_mut().sessions);
                status
            }
        };
        let rules = &shared.plan.rules;
        let names = |answer: rule::Answer<'_>| rules.identify_in(answer).is_some();
        let limit = shared.plan.load.max_body;
        let (end, of_call) = connection.read_body(limit, names).await?;
        let status = of_call.unwrap_or(status);
        let responded = self.responded(connection, ticket, Received { status, end });
        connection.finish();
        Ok(responded)
    }
}
