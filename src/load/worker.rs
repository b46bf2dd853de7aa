//! One client thread: its share of the connections, each a loop of dial, exchange, identify, record.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::header::{CONNECTION, HOST, HeaderValue};
use http::{HeaderMap, Request};
use http_body_util::Full;
use tokio::sync::{Mutex as Turns, watch};
use tokio::task::LocalSet;

use super::connection::{BodyEnd, Connection, ExchangeError, Outgoing};
use super::dial::{Address, DialError, Dialler};
use super::dispenser::Dispenser;
use super::session::{SessionLoop, SessionSource};
use super::signs::Signs;
use super::{Connections, Phase, UnidentifiedSample};
use crate::identity::encoding;
use crate::identity::rule::before_the_cut;
use crate::observation::{Failure, Observation, Outcome, PodId};
use crate::plan::Plan;
use crate::plan::target::Protocol;
use crate::stats::sequential::Look;
use crate::tally::Tally;
use crate::tally::addresses::Addresses;
use crate::tally::connections::OneConnection;
use crate::tally::monitor::{Monitor, Seen};
use crate::tally::pods::PodRegistry;
use crate::tally::sequence::Sequence;
use crate::tally::sessions::Sessions;

/// How many bytes of an unidentified body are kept to show a person.
const SAMPLE_BYTES: usize = 200;
/// A run gives up when so many requests have brought no identity and none has: a backend that gets 1 %
/// of the requests would have been seen with a chance of all but 4 in 100,000.
const HOPELESS: u64 = 1000;
/// How many connections one request may find closed before it counts as failed. Over HTTP/1.1 the second one
/// is fresh and can't be found so; over HTTP/2 others may have used it meanwhile.
const MOST_CONNECTIONS_PER_REQUEST: usize = 3;
/// A connection's body buffer gives memory beyond this back after use.
const BUFFER_KEPT: usize = 64 * 1024;

/// What the threads of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub plan: Plan,
    pub dialler: Dialler,
    pub addresses: Vec<Address>,
    pub dispenser: Dispenser,
    pub registry: Arc<PodRegistry>,
    pub sequence: Arc<Sequence>,
    /// Looks at the results as they come, in a run that stops when the evidence is enough.
    pub monitor: Option<Mutex<Monitor>>,
    /// The sessions, in a run that consists of some.
    pub sessions: Option<Arc<SessionSource>>,
    pub started: Instant,
    /// Whether any response was identified yet.
    pub identified: AtomicBool,
    /// Set when [`HOPELESS`] requests brought no identity.
    pub hopeless: AtomicBool,
}

/// What one thread, or the whole run once merged, has to tell.
#[derive(Debug)]
pub(super) struct Harvest {
    pub tally: Tally,
    pub connections: Connections,
    pub addresses: Addresses,
    /// The first message of each kind of failure.
    pub failure_messages: BTreeMap<Failure, String>,
    pub sample: Option<UnidentifiedSample>,
    pub signs: Signs,
    pub sessions: Sessions,
    /// Requests begun and not yet recorded.
    in_flight: u64,
    /// Connections that are open.
    open: u64,
}

impl Harvest {
    pub(super) fn new(registry: Arc<PodRegistry>, sequence: Arc<Sequence>) -> Self {
        Self {
            tally: Tally::new(registry, sequence),
            connections: Connections::default(),
            addresses: Addresses::default(),
            failure_messages: BTreeMap::new(),
            sample: None,
            signs: Signs::default(),
            sessions: Sessions::default(),
            in_flight: 0,
            open: 0,
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.tally.merge(&other.tally);
        self.signs.merge(other.signs);
        self.sessions.merge(other.sessions);
        self.addresses.merge(&other.addresses);
        self.connections.opened += other.connections.opened;
        self.connections.reopened += other.connections.reopened;
        self.connections.most_open += other.connections.most_open;
        for (failure, message) in other.failure_messages {
            self.failure_messages.entry(failure).or_insert(message);
        }
        self.sample = match (self.sample.take(), other.sample) {
            (Some(mine), Some(theirs)) if theirs.ticket < mine.ticket => Some(theirs),
            (None, theirs) => theirs,
            (mine, _) => mine,
        };
    }

    fn opened(&mut self, address: usize) {
        self.open += 1;
        self.connections.opened += 1;
        self.connections.most_open = self.connections.most_open.max(self.open);
        self.addresses.connected(address);
    }

    fn fail(&mut self, observation: &Observation, message: impl Into<String>) {
        if let Outcome::Failed(failure) = observation.outcome {
            self.failure_messages
                .entry(failure)
                .or_insert_with(|| message.into());
        }
        self.tally.record(observation);
    }
}

/// Runs `connections` request loops on this thread until no request is left, or the user quits.
pub(super) fn run(
    shared: &Arc<Shared>,
    connections: usize,
    thread: usize,
    mut phase: watch::Receiver<Phase>,
) -> std::io::Result<Harvest> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let harvest = Rc::new(RefCell::new(Harvest::new(
        Arc::clone(&shared.registry),
        Arc::clone(&shared.sequence),
    )));
    let tasks = LocalSet::new();
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
                buffer: Vec::new(),
            };
            tasks.spawn_local(request_loop.run());
        }
    }
    runtime.block_on(async {
        tokio::select! {
            biased;
            _ = phase.wait_for(|&phase| phase == Phase::Quit) => {}
            () = tasks => {}
        }
    });
    let mut harvest = Rc::into_inner(harvest)
        .expect("the request loops ended with their task set")
        .into_inner();
    for _ in 0..harvest.in_flight {
        let abandoned = Observation {
            ticket: u64::MAX,
            outcome: Outcome::Failed(Failure::Abandoned),
            dispatched: shared.started.elapsed(),
            latency: shared.started.elapsed(),
        };
        harvest.fail(&abandoned, "the run was stopped before the answer came");
    }
    Ok(harvest)
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
    buffer: Vec<u8>,
}

/// An open connection and what it has brought.
struct Open {
    connection: Connection,
    /// The connection's place among the run's addresses.
    address: usize,
    responses: Rc<Responses>,
}

impl Open {
    /// The same connection for a further request at the same time.
    fn share(&self) -> Option<Self> {
        Some(Self {
            connection: self.connection.share()?,
            address: self.address,
            responses: Rc::clone(&self.responses),
        })
    }
}

/// What a connection has brought; folded into the tally when its last user has gone.
struct Responses {
    harvest: Rc<RefCell<Harvest>>,
    of_connection: RefCell<OneConnection>,
}

impl Drop for Responses {
    fn drop(&mut self) {
        let mut harvest = self.harvest.borrow_mut();
        harvest.open -= 1;
        harvest.tally.close(self.of_connection.take());
    }
}

/// Why a request brought no whole response.
type Failed = (Failure, String);

/// A whole response: its status, and the pod that it names.
struct Responded {
    status: u16,
    pod: Option<PodId>,
    reusable: bool,
}

impl RequestLoop {
    async fn run(mut self) {
        let mut open = None;
        while self.goes_on()
            && let Some(ticket) = self.shared.dispenser.take()
        {
            let Some(started) = self.wait_until_due(ticket).await else {
                break;
            };
            self.harvest.borrow_mut().in_flight += 1;
            let ended = self.request(&mut open, ticket).await;
            self.record(ticket, started, ended);
        }
        if let Some(session) = &mut self.session {
            session.end(&mut self.harvest.borrow_mut().sessions);
        }
    }

    fn goes_on(&mut self) -> bool {
        self.session.as_mut().is_none_or(SessionLoop::goes_on)
    }

    /// Waits for the request's scheduled start, which is returned; `None` when the run stops meanwhile.
    async fn wait_until_due(&mut self, ticket: u64) -> Option<Instant> {
        let Some(rate) = self.shared.plan.load.rate else {
            return Some(Instant::now());
        };
        let due = self.shared.started.checked_add(rate.due(ticket))?;
        tokio::select! {
            biased;
            _ = self.phase.wait_for(|&phase| phase != Phase::Run) => None,
            () = tokio::time::sleep_until(due.into()) => Some(due),
        }
    }

    /// One request, on the open connection if it may carry another, until its response is identified.
    async fn request(&mut self, slot: &mut Option<Open>, ticket: u64) -> Result<Responded, Failed> {
        let limit = self.shared.plan.load.timeout;
        let connection_use = self.shared.plan.load.connection_use;
        for _ in 0..MOST_CONNECTIONS_PER_REQUEST {
            let mut open = self
                .connection(slot)
                .await
                .map_err(|error| (error.failure, error.message))?;
            let last = !connection_use.allows_another(open.connection.served() + 1);
            let outgoing = self.outgoing(last);
            let exchange = async {
                let connection = &mut open.connection;
                if connection.served() > 0 && !connection.is_reusable().await {
                    return Err(ExchangeError::Unsent);
                }
                self.exchange(connection, outgoing, ticket).await
            };
            let ended = match tokio::time::timeout(limit, exchange).await {
                Ok(Ok(responded)) => Ok(responded),
                Ok(Err(ExchangeError::Unsent)) => {
                    self.harvest.borrow_mut().connections.reopened += 1;
                    self.discard(&open).await;
                    continue;
                }
                Ok(Err(ExchangeError::Failed(failure, message))) => Err((failure, message)),
                Err(_) => {
                    self.discard(&open).await;
                    Err((Failure::Timeout, format!("no answer within {limit:?}")))
                }
            };
            self.count(&open, &ended);
            if !last && ended.as_ref().is_ok_and(|responded| responded.reusable) {
                *slot = Some(open).filter(|_| self.multiplexed.is_none());
            }
            return ended;
        }
        let message = "connections closed before the request was written, one after the other";
        Err((Failure::Reset, message.to_owned()))
    }

    /// The connection that the next request goes over.
    async fn connection(&mut self, slot: &mut Option<Open>) -> Result<Open, DialError> {
        let Some(multiplexed) = self.multiplexed.clone() else {
            return match slot.take() {
                Some(open) => Ok(open),
                None => self.dial().await,
            };
        };
        let mut current = multiplexed.lock().await;
        if let Some(open) = &mut *current
            && open.connection.is_reusable().await
            && let Some(shared) = open.share()
        {
            return Ok(shared);
        }
        let open = self.dial().await?;
        let shared = open.share();
        Ok(match shared {
            Some(shared) => {
                *current = Some(open);
                shared
            }
            None => open,
        })
    }

    /// Lets no further request use a connection that others share.
    async fn discard(&self, failed: &Open) {
        if let Some(multiplexed) = &self.multiplexed {
            let mut current = multiplexed.lock().await;
            let is_it = |open: &mut Open| Rc::ptr_eq(&open.responses, &failed.responses);
            drop(current.take_if(is_it));
        }
    }

    /// Counts how a request ended for its connection and its address.
    fn count(&self, open: &Open, ended: &Result<Responded, Failed>) {
        let mut harvest = self.harvest.borrow_mut();
        let pod = ended.as_ref().ok().and_then(|responded| responded.pod);
        let group = pod.map(|pod| harvest.tally.group(pod));
        match ended {
            Ok(_) => harvest.addresses.responded(open.address, group),
            Err(_) => harvest.addresses.failed(open.address),
        }
        if !self.shared.plan.load.connection_use.is_fresh() {
            open.responses.of_connection.borrow_mut().record(group);
        }
    }

    async fn dial(&mut self) -> Result<Open, DialError> {
        let addresses = &self.shared.addresses;
        let address = self.dials % addresses.len();
        self.dials = self.dials.wrapping_add(1);
        let opened = Connection::open(&self.shared.dialler, &addresses[address]).await;
        let mut harvest = self.harvest.borrow_mut();
        match &opened {
            Ok(_) => harvest.opened(address),
            Err(_) => harvest.addresses.refused(address),
        }
        Ok(Open {
            connection: opened?,
            address,
            responses: Rc::new(Responses {
                harvest: Rc::clone(&self.harvest),
                of_connection: RefCell::default(),
            }),
        })
    }

    fn outgoing(&self, last_on_its_connection: bool) -> Outgoing {
        let template = &self.shared.plan.request;
        let mut request = Request::new(Full::new(template.body.clone()));
        *request.method_mut() = template.method.clone();
        *request.uri_mut() = template.uri.clone();
        *request.headers_mut() = template.headers.clone();
        if let Some(session) = &self.session {
            session.send(request.headers_mut());
        }
        match self.shared.plan.target.protocol {
            Protocol::Http1 if last_on_its_connection => {
                let close = HeaderValue::from_static("close");
                request.headers_mut().insert(CONNECTION, close);
            }
            Protocol::Http1 => {}
            // The URI's authority says it (RFC 9113 §8.3.1).
            Protocol::Http2 => {
                request.headers_mut().remove(HOST);
            }
        }
        request
    }

    async fn exchange(
        &mut self,
        connection: &mut Connection,
        outgoing: Outgoing,
        ticket: u64,
    ) -> Result<Responded, ExchangeError> {
        let (head, body) = connection.send(outgoing).await?.into_parts();
        let status = head.status.as_u16();
        let Self {
            shared,
            harvest,
            buffer,
            session,
            ..
        } = self;
        if let Some(session) = session {
            session.receive(&head.headers, &mut harvest.borrow_mut().sessions);
        }
        let identify = |body: &[u8], end| {
            harvest
                .borrow_mut()
                .identify(shared, ticket, status, &head.headers, body, end)
        };
        let limit = shared.plan.load.max_body;
        let (pod, end) = connection
            .read_body(body, buffer, limit, identify)
            .await
            .map_err(|message| ExchangeError::Failed(Failure::Body, message))?;
        buffer.clear();
        buffer.shrink_to(BUFFER_KEPT);
        Ok(Responded {
            status,
            pod,
            reusable: end == BodyEnd::Whole,
        })
    }

    fn record(&mut self, ticket: u64, started: Instant, ended: Result<Responded, Failed>) {
        let shared = &self.shared;
        let mut harvest = self.harvest.borrow_mut();
        harvest.in_flight -= 1;
        let mut observation = Observation {
            ticket: shared.plan.place(ticket),
            outcome: Outcome::Failed(Failure::Protocol),
            dispatched: started - shared.started,
            latency: started.elapsed(),
        };
        let pod = match ended {
            Ok(Responded { status, pod, .. }) => {
                observation.outcome = Outcome::Responded { status, pod };
                harvest.tally.record(&observation);
                pod
            }
            Err((failure, message)) => {
                observation.outcome = Outcome::Failed(failure);
                harvest.fail(&observation, message);
                None
            }
        };
        if let Some(session) = &mut self.session {
            let answered = pod.map(|pod| (pod, harvest.tally.group(pod)));
            session.record(answered, &mut harvest.sessions);
        }
        if let Some(monitor) = &shared.monitor {
            let seen = match (pod, observation.outcome) {
                (Some(pod), _) => Seen::Group(harvest.tally.group(pod)),
                (None, Outcome::Failed(failure)) if !failure.was_sent() => Seen::NeverSent,
                (None, _) => Seen::Unattributed,
            };
            let mut monitor = monitor.lock().unwrap_or_else(PoisonError::into_inner);
            if monitor.place(ticket, seen) != Look::Continue {
                shared.dispenser.stop();
            }
        }
        if pod.is_some() {
            return;
        }
        shared.dispenser.replace();
        if ticket >= HOPELESS && !shared.identified.load(Ordering::Relaxed) {
            shared.hopeless.store(true, Ordering::Relaxed);
            shared.dispenser.stop();
        }
    }
}

impl Harvest {
    fn identify(
        &mut self,
        shared: &Shared,
        ticket: u64,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        end: BodyEnd,
    ) -> Option<PodId> {
        self.signs.record(headers);
        let body = &*encoding::decoded(headers, body, shared.plan.load.max_body);
        let unharmed = match end {
            BodyEnd::Whole => body,
            BodyEnd::Truncated => before_the_cut(body),
        };
        if let Some(name) = shared.plan.rules.identify(headers, unharmed) {
            if self.tally.attributed() == 0 {
                shared.identified.store(true, Ordering::Relaxed);
            }
            return Some(self.tally.intern(&name));
        }
        if self
            .sample
            .as_ref()
            .is_none_or(|sample| ticket < sample.ticket)
        {
            self.sample = Some(UnidentifiedSample {
                ticket,
                status,
                headers: headers.clone(),
                body: body[..body.len().min(SAMPLE_BYTES)].to_vec(),
            });
        }
        None
    }
}
