//! Connections that have served and whose peer was asked to close them.
//!
//! Who closes a TCP connection first keeps its local port for a minute (TIME-WAIT, RFC 9293 §3.6.1), and pays
//! for it: a client that opens a connection for every request would use its ports up. The peer closes as soon
//! as it has answered a request with `Connection: close`, which takes it microseconds. So these connections
//! are kept while a few others are served, and closed then.

use std::collections::VecDeque;

use super::transport::Transport;

/// How many connections of a thread wait for their peer, each with a file descriptor.
const MOST: usize = 8;

/// The connections of one thread that wait to be closed, the oldest in front.
#[derive(Debug, Default)]
pub(super) struct Closing(VecDeque<Transport>);

impl Closing {
    /// Keeps a connection for a while, in place of the one that was kept longest.
    pub(super) fn push(&mut self, transport: Transport) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(transport);
    }
}
