//! The listening side: sockets, connections, and an end that cuts nothing off.

use std::future::Future;
use std::net::SocketAddr;
use std::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use super::config::Config;
use super::counts::Counts;
use super::error::ConfigError;
use super::exchange::Connection;
use super::pods::Backend;
use super::shared::Shared;
use super::tcp;
use crate::load::machine::check_open_files;
use crate::serving::{self, Stage};

/// The connections that are served at a time; further ones wait in the listener's queue.
const MAX_CONNECTIONS: u32 = 20_000;

/// nginx's default `keepalive_timeout`, which covers the wait for a request's head here.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Why an ingress did not start.
#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    /// The options are impossible together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address can't be listened on.
    #[error("cannot listen on {address}: choose another address or port with {flag}")]
    Listen {
        /// The option that says where.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The thread or its runtime could not be had.
    #[error("cannot start the ingress: {0}")]
    Thread(std::io::Error),
}

/// An ingress that listens, and serves as soon as [`Ingress::serve_until`] runs.
#[derive(Debug)]
pub struct Ingress {
    listener: TcpListener,
    address: SocketAddr,
    tcp: Option<(TcpListener, SocketAddr)>,
    shared: Arc<Shared>,
    backends: Vec<Backend>,
}

impl Ingress {
    /// Checks `config` and listens. Connections queue until they are served.
    ///
    /// # Errors
    /// The options are impossible together, or the address can't be listened on.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub fn bind(config: &Config) -> Result<Self, IngressError> {
        config.validate()?;
        let listen = |flag, address| {
            serving::listen(address).map_err(|source| IngressError::Listen {
                flag,
                address,
                source,
            })
        };
        let (listener, address) = listen("--listen", config.listen)?;
        let tcp = config.listen_tcp;
        let tcp = tcp.map(|address| listen("--listen-tcp", address));
        Ok(Self {
            listener,
            address,
            tcp: tcp.transpose()?,
            shared: Arc::new(Shared::new(config)),
            backends: config.backends(),
        })
    }

    /// Serves `config` on a thread of its own, with a runtime of its own, until the handle is stopped
    /// or dropped.
    ///
    /// # Errors
    /// As [`Ingress::bind`]; or there is no thread to be had.
    pub fn start(config: &Config) -> Result<Handle, IngressError> {
        check_open_files().map_err(IngressError::Thread)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(IngressError::Thread)?;
        let ingress = {
            let _entered = runtime.enter();
            Self::bind(config)?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (address, shared) = (ingress.address, Arc::clone(&ingress.shared));
        let tcp_address = ingress.tcp_addr();
        let thread = thread::Builder::new()
            .name("ingress".to_owned())
            .spawn(move || {
                runtime.block_on(ingress.serve_until(async {
                    // A dropped handle stops the ingress as well.
                    let _ = stopped.await;
                }));
            })
            .map_err(IngressError::Thread)?;
        Ok(Handle {
            address,
            tcp_address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens; the port is the real one where 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for TCP connections, if it does.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().map(|&(_, address)| address)
    }

    /// The backends with their workloads and pods.
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// Serves until `shutdown` completes; then takes no further connection, finishes what is in flight
    /// within 2 s, and returns what was answered.
    ///
    /// Dropping the future cuts all connections off.
    pub async fn serve_until(self, shutdown: impl Future<Output = ()>) -> Counts {
        let connection = |client| Arc::new(Connection::new(Arc::clone(&self.shared), client));
        let (stop, stopped) = watch::channel(false);
        let wait_for_stop = || {
            let mut stopped = stopped.clone();
            async move {
                // The sender lives until the end.
                let _ = stopped.wait_for(|&is_over| is_over).await;
            }
        };
        // Connections beyond those wait.
        let wait = || {};
        let http = serving::serve_until(
            self.listener,
            MAX_CONNECTIONS,
            |stream, client, stage| serve(stream, connection(client), stage),
            wait,
            wait_for_stop(),
        );
        let tcp = async {
            if let Some((listener, _)) = self.tcp {
                let greet = |stream, client, stage| tcp::serve(stream, connection(client), stage);
                let stop = wait_for_stop();
                serving::serve_until(listener, MAX_CONNECTIONS, greet, wait, stop).await;
            }
        };
        let shutdown = async {
            shutdown.await;
            stop.send_replace(true);
        };
        tokio::join!(http, tcp, shutdown);
        self.shared.counts()
    }
}

/// An ingress on a thread of its own. Dropping it stops the ingress and waits for its end.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    tcp_address: Option<SocketAddr>,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Handle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for TCP connections, if it does.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.tcp_address
    }

    /// What it has answered so far.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Stops it, finishing what is in flight within 2 s, and returns what was answered.
    #[must_use = "dropping the handle stops the ingress as well"]
    pub fn stop(mut self) -> Counts {
        self.end();
        self.shared.counts()
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            // A thread that is gone already needs no telling.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by it; there is nothing to add while stopping.
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end();
    }
}

/// Serves one connection to its end, in the version of HTTP that the client begins with.
async fn serve(stream: TcpStream, connection: Arc<Connection>, mut stage: watch::Receiver<Stage>) {
    let begins_http2 = tokio::select! {
        biased;
        // A connection that has said nothing by the end is not waited for.
        _ = stage.wait_for(|&stage| stage != Stage::Serving) => return,
        begun = tokio::time::timeout(HEAD_TIMEOUT, begins_http2(&stream)) => match begun {
            Ok(Ok(begins)) => begins,
            _ => return,
        },
    };
    if begins_http2 {
        serve_http2(stream, connection, stage).await;
    } else {
        serve_http1(stream, connection, stage).await;
    }
}

/// Whether the client's first bytes are those of HTTP/2's preface (RFC 9113 §3.4), which are left unread.
async fn begins_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0; 4];
    let length = stream.peek(&mut first).await?;
    Ok(first[..length] == *b"PRI ")
}

async fn serve_http1(
    stream: TcpStream,
    connection: Arc<Connection>,
    mut stage: watch::Receiver<Stage>,
) {
    let served = Arc::clone(&connection);
    let mut exchanges = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(128 * 1024)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| Arc::clone(&served).answer(request)),
        );
    // What a client did not get is for it to count.
    serving::exchange(&mut exchanges, &mut stage).await;
    if connection.is_reset() {
        // Closing with a zero linger time sends RST in place of FIN.
        let _ = exchanges.into_parts().io.into_inner().set_zero_linger();
    }
}

/// As [`serve_http1`]; a fault ends the stream in place of the connection.
async fn serve_http2(
    stream: TcpStream,
    connection: Arc<Connection>,
    mut stage: watch::Receiver<Stage>,
) {
    let served = Arc::clone(&connection);
    let mut exchanges = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| Arc::clone(&served).answer(request)),
        );
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            _ended = &mut exchanges => return,
            () = connection.spent(), if !is_ending => {}
            changed = stage.changed() => {
                if changed.is_err() || *stage.borrow_and_update() == Stage::Over {
                    return;
                }
            }
        }
        is_ending = true;
        pin::Pin::new(&mut exchanges).graceful_shutdown();
    }
}
