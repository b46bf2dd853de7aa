//! TCP: a connection is answered with the name of its pod, as a line, and closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::exchange::Connection;
use crate::serving::Stage;

/// How long a client may take to read its line and close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves one connection to its end. A backend that fails closes or resets it without a line.
///
/// Dropping the future closes the connection.
pub(super) async fn serve(
    mut stream: TcpStream,
    connection: Arc<Connection>,
    mut stage: watch::Receiver<Stage>,
) {
    let answered = async {
        let Some(pod) = connection.greet().await else {
            return;
        };
        // What a client did not get is for it to count.
        if stream.write_all(&pod).await.is_err() || stream.shutdown().await.is_err() {
            return;
        }
        // Closing with unread bytes would reset the connection, and the line might be lost.
        let mut unread = [0; 1024];
        while matches!(stream.read(&mut unread).await, Ok(1..)) {}
    };
    tokio::select! {
        biased;
        _ = stage.wait_for(|&stage| stage == Stage::Over) => {}
        _ = tokio::time::timeout(CLOSE_TIMEOUT, answered) => {}
    }
    if connection.is_reset() {
        // Closing with a zero linger time sends RST in place of FIN.
        let _ = stream.set_zero_linger();
    }
}
