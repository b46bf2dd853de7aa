//! HTTP/1.1 as lbtest needs it: one request after the other, written as it was made once for the whole run, and
//! of a response the status, the few headers that somebody asks for, and the body.
//!
//! What peers send is parsed by `httparse`; where a body ends, what may follow and what is refused stands here.
//! The tests hold it against hyper's client, which does more, and takes its time.

pub mod body;
pub mod chunks;
pub mod exchange;
pub mod framing;
pub mod head;
pub mod request;
