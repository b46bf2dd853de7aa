//! A listening socket, its connections, and an end that cuts nothing off, whatever is answered.
//!
//! What the two servers share: the embedded ingress and the gate for rollout controllers.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The listener's queue; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// How long requests in flight may take once a server stops.
const GRACE: Duration = Duration::from_secs(2);

/// How far a server is in its life, as its connections are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Requests are answered.
    Serving,
    /// What is in flight is answered; then the connection ends.
    Draining,
    /// The connection ends now.
    Over,
}

/// Listens on `address`; the address that comes back has the real port where 0 was asked for.
///
/// # Errors
/// As the system says.
///
/// # Panics
/// Outside of a tokio runtime with I/O and time enabled.
pub fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
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

/// Serves at most `connections` at a time until `shutdown` completes; then takes none any more, and lets
/// what is in flight end within 2 s. While all places are taken further connections wait in the
/// listener's queue, and `make_room` is called before each.
///
/// Dropping the future tells the connections that it is over.
pub async fn serve_until<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    connections: u32,
    serve: impl Fn(TcpStream, IpAddr, watch::Receiver<Stage>) -> F,
    make_room: impl Fn(),
    shutdown: impl Future<Output = ()>,
) {
    let (stage, _) = watch::channel(Stage::Serving);
    let places = Arc::new(Semaphore::new(connections as usize));
    let mut shutdown = pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &places, &make_room) => accepted,
        };
        let (stream, client, place) = accepted;
        // Without it an answer in two segments waits for the client's delayed acknowledgement. A socket
        // that refuses it is one that is closed already.
        let _ = stream.set_nodelay(true);
        let served = serve(stream, client.ip(), stage.subscribe());
        tokio::spawn(async move {
            served.await;
            drop(place);
        });
    }
    drop(listener);
    stage.send_replace(Stage::Draining);
    // Every place is free again when the last connection has ended.
    let every = places.acquire_many(connections);
    if tokio::time::timeout(GRACE, every).await.is_err() {
        stage.send_replace(Stage::Over);
    }
}

/// The next connection, with its place among those that are served at a time.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    make_room: &impl Fn(),
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    if places.available_permits() == 0 {
        make_room();
    }
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

/// Carries one connection of HTTP/1.1 to its end: the client's, or, once the server is draining, that of
/// the request in flight. Errors are the client's.
///
/// Dropping the future leaves the connection as it is.
pub async fn exchange<I, S>(
    connection: &mut http1::Connection<I, S>,
    stage: &mut watch::Receiver<Stage>,
) where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: hyper::body::Body + 'static,
    <S::ResBody as hyper::body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        tokio::select! {
            biased;
            _ended = &mut *connection => return,
            changed = stage.changed() => {
                if changed.is_err() || *stage.borrow_and_update() == Stage::Over {
                    return;
                }
                pin::Pin::new(&mut *connection).graceful_shutdown();
            }
        }
    }
}
