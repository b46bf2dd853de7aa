//! How connections are made, and what they carry.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::list_over;
use crate::plan::quantity;
use crate::plan::settings::Settings;

/// How many requests share a connection.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct SharingArgs {
    /// Requests a connection carries; 1 gives independent draws behind any balancer (default: 1)
    #[arg(long, value_name = "K", value_parser = quantity::count, allow_hyphen_values = true)]
    requests_per_connection: Option<NonZeroU64>,
    /// No limit on the requests of a connection
    #[arg(long, conflicts_with = "requests_per_connection")]
    keep_alive: bool,
    /// Requests in flight at once on each connection, with --http2 and --keep-alive (default: 1)
    #[arg(long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    streams: Option<NonZeroUsize>,
}

impl SharingArgs {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        let says_how_they_are_used = self.keep_alive || self.requests_per_connection.is_some();
        let (keep_alive, requests_per_connection) = if says_how_they_are_used {
            (Some(self.keep_alive), self.requests_per_connection)
        } else {
            (lower.keep_alive, lower.requests_per_connection)
        };
        Settings {
            requests_per_connection,
            keep_alive,
            streams: self.streams.or(lower.streams),
            ..lower
        }
    }
}

/// How connections are made.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(in crate::cli) struct ConnectionArgs {
    /// HTTP/1.1, the default, whatever lbtest.toml says
    #[arg(long = "http1.1", conflicts_with_all = ["http2", "grpc"])]
    http1: bool,
    /// HTTP/2: by ALPN over TLS, else by prior knowledge
    #[arg(long)]
    http2: bool,
    /// Time allowed for one exchange (default: 10s)
    #[arg(short = 't', long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
    /// Time allowed for one dial (default: 3s)
    #[arg(long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    connect_timeout: Option<Duration>,
    /// Dial HOST2:PORT2 in place of HOST1:PORT1, as curl does; repeatable
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2")]
    connect_to: Vec<String>,
    /// The addresses of a name, as curl takes them; repeatable
    #[arg(long, value_name = "HOST:PORT:ADDRESS,...")]
    resolve: Vec<String>,
    /// Dial a Unix domain socket
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<PathBuf>,
    /// The name that TLS asks for (default: that of --host, else the URL's)
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// Accept any certificate
    #[arg(short = 'k', long, conflicts_with = "cacert")]
    insecure: bool,
    /// Trust the authorities, and the self-signed certificates, in this PEM file alone
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// The client's certificate in PEM form, for an ingress that asks for one (mutual TLS)
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Its private key in PEM form (default: in the file of --cert)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl ConnectionArgs {
    /// These settings over others.
    pub(in crate::cli) fn over(&self, lower: Settings) -> Settings {
        let http2 = match (self.http1, self.http2) {
            (true, _) => Some(false),
            (_, true) => Some(true),
            (false, false) => lower.http2,
        };
        let says_whom_to_trust = self.insecure || self.cacert.is_some();
        let (insecure, cacert) = if says_whom_to_trust {
            (Some(self.insecure), self.cacert.clone())
        } else {
            (lower.insecure, lower.cacert)
        };
        Settings {
            http2,
            timeout: self.timeout.or(lower.timeout),
            connect_timeout: self.connect_timeout.or(lower.connect_timeout),
            connect_to: list_over(&self.connect_to, lower.connect_to),
            resolve: list_over(&self.resolve, lower.resolve),
            unix_socket: self.unix_socket.clone().or(lower.unix_socket),
            sni: self.sni.clone().or(lower.sni),
            insecure,
            cacert,
            cert: self.cert.clone().or(lower.cert),
            key: self.key.clone().or(lower.key),
            ..lower
        }
    }
}
