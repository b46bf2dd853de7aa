//! One request, and the whole of its answer: what is asked of a server that is no target.

use std::io;
use std::pin::pin;

use super::buffer::{BodyEnd, Lender};
use super::connection::{Connection, ExchangeError};
use super::deadline::Deadline;
use super::dial::{self, DialError, Dialler};
use super::outgoing::Outgoing;
use crate::plan::Plan;

/// An answer.
#[derive(Debug)]
pub struct Fetched {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The client could not set itself up.
    #[error("the client could not start: {0}")]
    Setup(#[from] io::Error),
    /// The server cannot be reached, or no whole answer came.
    #[error("no answer: {0}")]
    Failed(String),
    /// The answer is larger than what is read.
    #[error("the answer is larger than {} MiB: ask for less", .0 >> 20)]
    Large(usize),
}

impl From<DialError> for FetchError {
    fn from(error: DialError) -> Self {
        Self::Failed(error.message)
    }
}

impl From<ExchangeError> for FetchError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Failed(_, message) => Self::Failed(message),
            ExchangeError::Unsent => Self::Failed("the connection closed".to_owned()),
        }
    }
}

/// Sends the plan's request once and reads the answer, within the plan's time for an exchange and its bound on a body.
///
/// # Errors
/// The server cannot be reached, or no whole answer comes.
pub fn fetch(plan: &Plan) -> Result<Fetched, FetchError> {
    super::block_on(async {
        let mut connection = open(plan).await?;
        let limit = plan.load.timeout;
        let exchange = pin!(exchange(plan, &mut connection));
        let ended = Deadline::default().within(limit, exchange).await;
        ended.unwrap_or_else(|_| Err(FetchError::Failed(format!("none within {limit:?}"))))
    })
}

/// A connection to the first address that takes one.
async fn open(plan: &Plan) -> Result<Connection, FetchError> {
    let dialler = Dialler::new(plan)?;
    let (lender, mut deadline) = (Lender::default(), Deadline::default());
    let mut failed = FetchError::Failed("the name has no address".to_owned());
    for address in dial::resolve(plan).await? {
        match Connection::open(&dialler, &address, &mut deadline, &lender).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failed = error.into(),
        }
    }
    Err(failed)
}

async fn exchange(plan: &Plan, connection: &mut Connection) -> Result<Fetched, FetchError> {
    let most = plan.load.max_body;
    let request = Outgoing::new(plan.request.clone());
    let status = connection.send(&request, true).await?;
    match connection.read_body(most, |_| false).await? {
        (BodyEnd::Truncated, _) => Err(FetchError::Large(most)),
        (BodyEnd::Whole, _) => Ok(Fetched {
            status,
            body: connection.answer().body.to_vec(),
        }),
    }
}
