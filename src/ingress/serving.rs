//! Sockets, connections, and an end that cuts nothing off: what every server in this program does,
//! whatever it answers.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{self, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The listener's queue; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// What a server does on one connection.
pub(crate) trait Connected: fmt::Debug + Send + Sync + 'static {
    /// Why the connection ends without an answer.
    type Ended: Error + Send + Sync + 'static;

    /// Answers one request; dropping the future gives the request up.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Full<Bytes>>, Self::Ended>> + Send;

    /// Whether the connection is to end with a reset.
    fn is_reset(&self) -> bool;
}

/// What a server allows its clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections that are served at a time; further ones wait in the listener's queue.
    pub(crate) connections: u32,
    /// The wait for a request's head, on a fresh and on an idle connection.
    pub(crate) head: Duration,
    /// The bytes of a head.
    pub(crate) head_bytes: usize,
    /// How old a connection may grow; what is in flight then has `grace` to end.
    pub(crate) age: Duration,
    /// How long requests in flight may take once their connection, or the server, is to end.
    pub(crate) grace: Duration,
}

/// Listens on `address`; the address that comes back has the real port where 0 was asked for.
///
/// # Errors
/// As the system says.
///
/// # Panics
/// Outside of a tokio runtime with I/O and time enabled.
pub(crate) fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until `shutdown` completes; then takes no further connection and finishes what is in flight.
///
/// Dropping the future cuts all connections off.
pub(crate) async fn serve_until<C: Connected>(
    listener: TcpListener,
    bounds: Bounds,
    connect: impl Fn(IpAddr) -> C,
    shutdown: impl Future<Output = ()>,
) {
    let (stage, _) = watch::channel(Stage::Serving);
    let places = Arc::new(Semaphore::new(bounds.connections as usize));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, client, place) = accepted;
        let connection = Arc::new(connect(client.ip()));
        tokio::spawn(serve(stream, connection, bounds, stage.subscribe(), place));
    }
    drop(listener);
    stage.send_replace(Stage::Draining);
    // Every place is free again when the last connection has ended.
    let every = places.acquire_many(bounds.connections);
    if tokio::time::timeout(bounds.grace, every).await.is_err() {
        stage.send_replace(Stage::Over);
    }
}

/// How far the server is in its life, as its connections are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    Draining,
    Over,
}

/// The next connection, with its place among those that are served at a time.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, client)) => return (stream, client, place),
            // The client went away, or file descriptors ran out: a moment later there may be some.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Serves one connection to its end.
async fn serve<C: Connected>(
    stream: TcpStream,
    connection: Arc<C>,
    bounds: Bounds,
    mut stage: watch::Receiver<Stage>,
    place: OwnedSemaphorePermit,
) {
    // Without it an answer in two segments waits for the client's delayed acknowledgement. A socket
    // that refuses it is one that is closed already.
    let _ = stream.set_nodelay(true);
    let served = Arc::clone(&connection);
    let mut exchanges = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(bounds.head_bytes)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| Arc::clone(&served).answer(request)),
        );
    let mut end = pin!(tokio::time::sleep(bounds.age));
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            // Errors are the client's: what it did not get is for it to count.
            _ended = &mut exchanges => break,
            changed = stage.changed() => {
                let now = *stage.borrow_and_update();
                if changed.is_err() || now == Stage::Over {
                    return;
                }
                pin::Pin::new(&mut exchanges).graceful_shutdown();
            }
            () = &mut end => {
                if is_ending {
                    return;
                }
                is_ending = true;
                pin::Pin::new(&mut exchanges).graceful_shutdown();
                end.as_mut().reset(tokio::time::Instant::now() + bounds.grace);
            }
        }
    }
    if connection.is_reset() {
        // Closing with a zero linger time sends RST in place of FIN.
        let _ = exchanges.into_parts().io.into_inner().set_zero_linger();
    }
    drop(place);
}
