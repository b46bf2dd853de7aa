//! A peer that follows a script on each connection, whatever HTTP thinks of it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};
use tokio_rustls::server::TlsStream;

use crate::program::PATIENCE;

/// One thing that the peer does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Reads the head of a request; the script ends where the client has gone instead.
    Read,
    /// Sends this, and reads frames of HTTP/2 up to the head of a request.
    ReadStream(Bytes),
    /// Sends these bytes.
    Send(Bytes),
    /// Sends these bytes below TLS.
    Raw(Bytes),
    /// Takes what begins a TLS handshake, and sends so many bytes of the answer.
    Handshake(Arc<ServerConfig>, usize),
    /// Sends these bytes, the run of `#` in them replaced by the number of the response.
    SendNumbered(Bytes),
    /// Sends these bytes so many times, or until the client goes.
    Repeat(Bytes, u64),
    /// Sends these bytes one at a time, with a pause before each.
    Drip(Bytes, Duration),
    /// Waits until what was sent has been read, as far as a pause can tell.
    Pause(Duration),
    /// Sends nothing more, and waits for the client to go.
    Stall,
    /// Ends its own side, and reads on.
    HalfClose,
    /// Ends its own side below TLS, which does not say so.
    Cut,
    /// Resets the connection.
    Reset,
    /// Begins again.
    Again,
}

/// What the peer does on a connection; at its end it closes.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) steps: Arc<[Step]>,
    /// What secures the connection, if anything does.
    pub(crate) security: Option<Arc<ServerConfig>>,
}

impl From<Vec<Step>> for Script {
    fn from(steps: Vec<Step>) -> Self {
        Self {
            steps: steps.into(),
            security: None,
        }
    }
}

/// What one of a server's scripts has met.
#[derive(Debug, Default)]
pub(crate) struct Met {
    /// Connections on which it was played.
    pub(crate) connections: AtomicU64,
    /// Requests whose head was read.
    pub(crate) requests: AtomicU64,
}

impl Met {
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Chooses the script of a connection by its number, with the index of the [`Met`] that counts it.
pub(crate) type Choose = Box<dyn Fn(u64) -> (usize, Script) + Send>;

/// What a connection runs over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// What it runs over.
    fn socket(&mut self) -> &mut TcpStream;
}

impl Transport for TcpStream {
    fn socket(&mut self) -> &mut TcpStream {
        self
    }
}

impl Transport for TlsStream<TcpStream> {
    fn socket(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}

/// A listening peer on a free port of loopback, in a thread of its own.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    met: Arc<[Met]>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Listens, and plays what `choose` says, with `scripts` indices to count by. After `accepted`
    /// connections it listens no longer.
    pub(crate) fn start(scripts: usize, accepted: u64, choose: Choose) -> Self {
        let met: Arc<[Met]> = std::iter::repeat_with(Met::default).take(scripts).collect();
        let (stop, stopped) = oneshot::channel();
        let (tell, heard) = mpsc::channel();
        let counted = Arc::clone(&met);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                tell.send(listener.local_addr().expect("it is bound"))
                    .expect("the test waits for the address");
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, accepted, choose, counted) => {}
                }
            });
            // Scripts that still stall end with their runtime.
            runtime.shutdown_background();
        });
        Self {
            address: heard.recv().expect("the peer listens"),
            met,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn secure_url(&self) -> String {
        format!("https://{}/", self.address)
    }

    /// What each script has met; to be read when the client has ended.
    pub(crate) fn met(&self) -> &[Met] {
        &self.met
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the peer did not panic");
            }
        }
    }
}

async fn serve(listener: TcpListener, accepted: u64, choose: Choose, met: Arc<[Met]>) {
    for number in 0..accepted {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (script, Script { steps, security }) = choose(number);
        let met = Arc::clone(&met);
        tokio::spawn(async move {
            let met = &met[script];
            met.connections.fetch_add(1, Ordering::SeqCst);
            // The client may go at any time.
            let _ = match security {
                Some(config) => match TlsAcceptor::from(config).accept(stream).await {
                    Ok(stream) => play(stream, &steps, met).await,
                    Err(error) => Err(error),
                },
                None => play(stream, &steps, met).await,
            };
        });
    }
    drop(listener);
    std::future::pending::<()>().await;
}

/// Plays a script to its end, or until the client goes.
pub(crate) async fn play(mut stream: impl Transport, steps: &[Step], met: &Met) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut place = 0;
    while let Some(step) = steps.get(place) {
        place += 1;
        match step {
            Step::Read => {
                if !read_head(&mut stream, &mut buffer).await? {
                    break;
                }
                met.requests.fetch_add(1, Ordering::SeqCst);
            }
            Step::ReadStream(settings) => {
                stream.write_all(settings).await?;
                if !read_stream(&mut stream, &mut buffer).await? {
                    break;
                }
                met.requests.fetch_add(1, Ordering::SeqCst);
            }
            Step::Send(bytes) => stream.write_all(bytes).await?,
            Step::Raw(bytes) => stream.socket().write_all(bytes).await?,
            Step::Handshake(config, bytes) => {
                let answer = handshake(&mut stream, config).await?;
                stream.write_all(&answer[..*bytes]).await?;
            }
            Step::SendNumbered(bytes) => {
                let number = met.requests();
                stream.write_all(&numbered(bytes, number)).await?;
            }
            Step::Repeat(bytes, times) => {
                for _ in 0..*times {
                    stream.write_all(bytes).await?;
                }
            }
            Step::Drip(bytes, pause) => {
                for byte in bytes.chunks(1) {
                    tokio::time::sleep(*pause).await;
                    stream.write_all(byte).await?;
                }
            }
            Step::Pause(pause) => tokio::time::sleep(*pause).await,
            Step::Stall => {
                gone(&mut stream).await;
                return Ok(());
            }
            Step::HalfClose => stream.shutdown().await?,
            Step::Cut => {
                stream.socket().shutdown().await?;
                gone(&mut stream).await;
                return Ok(());
            }
            Step::Reset => return stream.socket().set_zero_linger(),
            Step::Again => place = 0,
        }
    }
    // Closing with bytes unread would reset the connection, and what was sent might be lost with it.
    stream.shutdown().await?;
    gone(&mut stream).await;
    Ok(())
}

/// Reads until a blank line, keeping what follows it; `false` where the client has gone.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<bool> {
    const END: &[u8] = b"\r\n\r\n";
    loop {
        if let Some(end) = memchr::memmem::find(buffer, END) {
            buffer.drain(..end + END.len());
            return Ok(true);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(false);
        }
    }
}

/// Reads the preface of HTTP/2 if it is still to come, and frames until the head of a request; `false`
/// where the client has gone.
async fn read_stream(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const FRAME_HEAD: usize = 9;
    const HEADERS: u8 = 1;
    loop {
        if buffer.starts_with(PREFACE) {
            buffer.drain(..PREFACE.len());
        }
        // No frame begins as the preface does, whose first three bytes would be a length of 5 MB.
        if let &[a, b, c, kind, ..] = &buffer[..]
            && !PREFACE.starts_with(&[a, b, c])
        {
            let end = FRAME_HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
            if buffer.len() >= end {
                buffer.drain(..end);
                if kind == HEADERS {
                    return Ok(true);
                }
                continue;
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(false);
        }
    }
}

/// Reads what begins a TLS handshake; what the server says to it.
async fn handshake(
    stream: &mut (impl AsyncRead + Unpin),
    config: &Arc<ServerConfig>,
) -> io::Result<Vec<u8>> {
    let mut server = ServerConnection::new(Arc::clone(config)).expect("the configuration is good");
    let mut answer = Vec::new();
    while !server.wants_write() {
        let mut bytes = Vec::new();
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        server.read_tls(&mut bytes.as_slice())?;
        server.process_new_packets().map_err(io::Error::other)?;
    }
    while server.wants_write() {
        server.write_tls(&mut answer)?;
    }
    Ok(answer)
}

/// Waits for the client to go, and at most for as long as a test has.
async fn gone(stream: &mut (impl AsyncRead + Unpin)) {
    let mut unread = [0; 4096];
    let all = async { while stream.read(&mut unread).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(PATIENCE, all).await;
}

/// `bytes` with the first run of `#` replaced by `number`, in as many digits.
fn numbered(bytes: &[u8], number: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let start = bytes.iter().position(|&byte| byte == b'#');
    let start = start.expect("a place for the number");
    let width = bytes[start..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    let digits = format!("{number:0width$}");
    bytes[start..start + width].copy_from_slice(&digits.as_bytes()[digits.len() - width..]);
    bytes
}
