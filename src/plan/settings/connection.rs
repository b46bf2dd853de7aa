//! How connections are made, and what they carry.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::file::{self, unusable};
use super::read::{self, Quantity, Texts};
use super::{Settings, SettingsError};
use crate::plan::endpoint::Detours;
use crate::plan::target::{Dialling, Protocol};
use crate::plan::tls::{ClientIdentity, TlsError, Trust};
use crate::plan::{ConnectionUse, quantity};

/// How many requests share a connection.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[command(next_help_heading = "Connection")]
#[serde(default)]
pub struct SharingOptions {
    /// Requests a connection carries; 1 gives independent draws behind any balancer (default: 1).
    #[arg(long, value_name = "K", value_parser = quantity::count, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::count")]
    #[schemars(with = "Quantity")]
    pub requests_per_connection: Option<NonZeroU64>,
    /// No limit on the requests of a connection.
    #[arg(long, conflicts_with = "requests_per_connection")]
    pub keep_alive: bool,
    /// Requests in flight at once on each connection, with --http2 and --keep-alive (default: 1).
    #[arg(long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::small_count")]
    #[schemars(with = "Quantity")]
    #[schemars(
        description = "Requests in flight at once on each connection (default: 1); more need `http2` and `keep_alive`."
    )]
    pub streams: Option<NonZeroUsize>,
}

impl SharingOptions {
    over!(requests_per_connection | keep_alive, streams);

    /// Whether a connection is to carry so many requests, and more than one.
    pub(super) fn carries_several(&self) -> bool {
        self.requests_per_connection.is_some_and(|n| n.get() > 1)
    }

    /// Requests in flight at once on a connection, which has to carry several.
    pub(super) fn streams_over(
        &self,
        protocol: Protocol,
        connection_use: ConnectionUse,
    ) -> Result<NonZeroUsize, SettingsError> {
        let streams = self.streams.unwrap_or(NonZeroUsize::MIN);
        let carries_several =
            protocol.alpn() == Some("h2") && connection_use == ConnectionUse::KeepAlive;
        if streams > NonZeroUsize::MIN && !carries_several {
            return Err(SettingsError::Streams);
        }
        Ok(streams)
    }
}

/// How connections are made.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[command(next_help_heading = "Connection")]
#[serde(default)]
pub struct ConnectionOptions {
    /// HTTP/1.1, the default, whatever lbtest.toml says.
    #[arg(long = "http1.1", conflicts_with_all = ["http2", "grpc"])]
    #[serde(skip)]
    pub http1: bool,
    /// HTTP/2: by ALPN over TLS, else by prior knowledge.
    #[arg(long)]
    pub http2: bool,
    /// Time allowed for one exchange (default: 10s).
    #[arg(short = 't', long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::duration")]
    #[schemars(with = "Quantity")]
    pub timeout: Option<Duration>,
    /// Time allowed for one dial (default: 3s).
    #[arg(long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::duration")]
    #[schemars(with = "Quantity")]
    pub connect_timeout: Option<Duration>,
    /// Dial HOST2:PORT2 in place of HOST1:PORT1, as curl does; repeatable.
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2")]
    #[serde(deserialize_with = "read::texts")]
    #[schemars(with = "Texts")]
    #[schemars(
        description = "Dials in place of others, \"HOST1:PORT1:HOST2:PORT2\" as curl takes them; one or a list."
    )]
    pub connect_to: Vec<String>,
    /// The addresses of a name, as curl takes them; repeatable.
    #[arg(long, value_name = "HOST:PORT:ADDRESS,...")]
    #[serde(deserialize_with = "read::texts")]
    #[schemars(with = "Texts")]
    #[schemars(
        description = "The addresses of names, \"HOST:PORT:ADDRESS,...\" as curl takes them; one or a list."
    )]
    pub resolve: Vec<String>,
    /// Dial a Unix domain socket.
    #[arg(long, value_name = "PATH")]
    pub unix_socket: Option<PathBuf>,
    /// The name that TLS asks for (default: that of --host, else the URL's).
    #[arg(long, value_name = "NAME")]
    #[schemars(
        description = "The name that TLS asks for (default: that of `host`, else the URL's)."
    )]
    pub sni: Option<String>,
    /// Accept any certificate.
    #[arg(short = 'k', long, conflicts_with = "cacert")]
    pub insecure: bool,
    /// Trust the authorities, and the self-signed certificates, in this PEM file alone.
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// The client's certificate in PEM form, for an ingress that asks for one (mutual TLS).
    #[arg(long, value_name = "FILE")]
    #[schemars(
        description = "A PEM file with the client's certificate, for an ingress that asks for one."
    )]
    pub cert: Option<PathBuf>,
    /// Its private key in PEM form (default: in the file of --cert).
    #[arg(long, value_name = "FILE")]
    #[schemars(description = "A PEM file with its private key (default: that of `cert`).")]
    pub key: Option<PathBuf>,
}

impl ConnectionOptions {
    over!(
        http1 | http2,
        timeout,
        connect_timeout,
        connect_to,
        resolve,
        unix_socket,
        sni,
        insecure | cacert,
        cert,
        key
    );

    /// Time allowed for one exchange.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(10))
    }

    /// Time allowed for one dial.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(Duration::from_secs(3))
    }

    /// What is said about where connections go.
    pub(super) fn detours(&self) -> Detours {
        Detours {
            connect_to: self.connect_to.clone(),
            resolve: self.resolve.clone(),
            unix_socket: self.unix_socket.clone(),
        }
    }

    fn trust(&self) -> Result<Option<Trust>, SettingsError> {
        let path = match (self.insecure, &self.cacert) {
            (true, Some(_)) => return Err(SettingsError::Trust),
            (true, None) => return Ok(Some(Trust::Anyone)),
            (false, None) => return Ok(None),
            (false, Some(path)) => path,
        };
        let pem = file::read("--cacert", path)?;
        let trust = Trust::authorities(&pem);
        Ok(Some(trust.map_err(|why| unusable("--cacert", path, why))?))
    }

    /// What the client shows of itself; the key stands in the certificate's file where no other is named.
    fn identity(&self) -> Result<Option<Arc<ClientIdentity>>, SettingsError> {
        let Some(path) = &self.cert else {
            return match self.key {
                Some(_) => Err(SettingsError::KeyWithoutCertificate),
                None => Ok(None),
            };
        };
        let certificate = file::read("--cert", path)?;
        let named = self.key.as_ref();
        let (flag, key_path) = named.map_or(("--cert", path), |key| ("--key", key));
        let key = file::read(flag, key_path)?;
        let identity = ClientIdentity::read(&certificate, &key).map_err(|why| match why {
            TlsError::NoKey | TlsError::EncryptedKey => unusable(flag, key_path, why),
            why => unusable("--cert", path, why),
        })?;
        Ok(Some(Arc::new(identity)))
    }
}

impl Settings {
    /// How connections are made.
    pub(super) fn dialling(&self) -> Result<Dialling, SettingsError> {
        let connection = &self.connection;
        Ok(Dialling {
            protocol: match (&self.request.grpc, connection.http2) {
                (Some(_), _) => Protocol::Grpc,
                (None, true) => Protocol::Http2,
                (None, false) => Protocol::Http1,
            },
            sni: connection.sni.clone(),
            trust: connection.trust()?,
            identity: connection.identity()?,
            detours: connection.detours(),
        })
    }

    /// How many requests a connection carries.
    pub(super) fn connection_use(&self) -> Result<ConnectionUse, SettingsError> {
        let sharing = &self.sharing;
        let connection_use = match (sharing.keep_alive, sharing.requests_per_connection) {
            (true, Some(_)) => return Err(SettingsError::ConnectionUse),
            (true, None) => ConnectionUse::KeepAlive,
            (false, Some(requests)) => ConnectionUse::Requests(requests),
            (false, None) => ConnectionUse::Requests(NonZeroU64::MIN),
        };
        if self.budget.sequential && !connection_use.is_fresh() {
            return Err(SettingsError::SequentialOnSharedConnections);
        }
        Ok(connection_use)
    }
}
