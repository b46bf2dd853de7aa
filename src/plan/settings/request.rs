//! What the requests say.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use schemars::JsonSchema;
use serde::Deserialize;

use super::read::{self, Texts};
use super::tcp::TcpError;
use super::{Settings, SettingsError, file, grpc, tcp};
use crate::plan::quantity;
use crate::plan::target::{Destination, Protocol, RequestTemplate, Target};

/// Where requests go, and what each of them says.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[command(next_help_heading = "Target")]
#[serde(default)]
pub struct RequestOptions {
    /// Where the ingress listens.
    // Each command that takes it describes its positional argument itself.
    #[arg(skip)]
    pub url: Option<String>,
    /// Host header (default: the URL's authority).
    #[arg(long, value_name = "NAME", env = "LBTEST_HOST")]
    pub host: Option<String>,
    /// Path and query of the requests (default: the URL's).
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// Method (default: GET).
    #[arg(
        short = 'm',
        long,
        value_name = "METHOD",
        visible_short_alias = 'X',
        visible_alias = "request"
    )]
    pub method: Option<String>,
    /// A further header; repeatable.
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    #[serde(deserialize_with = "read::headers")]
    #[schemars(with = "Texts")]
    #[schemars(
        description = "Further headers: \"X-Canary: always\", a list of such, or {X-Canary = \"always\"}."
    )]
    pub header: Vec<String>,
    /// Name and password for HTTP's basic authentication.
    #[arg(short = 'u', long, value_name = "NAME:PASSWORD")]
    #[schemars(
        description = "Name and password for HTTP's basic authentication, \"NAME:PASSWORD\"."
    )]
    pub user: Option<String>,
    /// What the User-Agent header says (default: lbtest/VERSION).
    #[arg(short = 'A', long, value_name = "NAME")]
    pub user_agent: Option<String>,
    /// A cookie; repeatable.
    #[arg(short = 'b', long, value_name = "NAME=VALUE")]
    #[serde(deserialize_with = "read::pairs")]
    #[schemars(with = "Texts")]
    #[schemars(
        description = "Cookies: \"canary=always\", a list of such, or {canary = \"always\"}."
    )]
    pub cookie: Vec<String>,
    /// Body; @FILE sends what a file holds, byte for byte.
    #[arg(short = 'd', long, value_name = "TEXT|@FILE", value_parser = quantity::body)]
    pub data: Option<String>,
    /// A file with the body, which is sent byte for byte.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub data_file: Option<PathBuf>,
    /// Send unary gRPC calls, by default grpc.health.v1.Health/Check; the message is the body.
    #[arg(
        long,
        value_name = "SERVICE/METHOD",
        num_args = 0..=1,
        default_missing_value = "grpc.health.v1.Health/Check"
    )]
    #[schemars(
        description = "The method of unary gRPC calls, such as \"grpc.health.v1.Health/Check\", in place of plain requests."
    )]
    pub grpc: Option<String>,
    /// What is sent first on a tcp:// or tls:// connection; escapes are \r, \n, \t, \0, \\ and \xHH.
    #[arg(long, value_name = "TEXT")]
    pub send: Option<String>,
}

impl RequestOptions {
    over!(
        url,
        host,
        path,
        method,
        header,
        user,
        user_agent,
        cookie,
        data | data_file,
        grpc,
        send
    );

    /// The further headers, all cookies in one of them (RFC 6265 §5.4).
    fn headers(&self) -> Result<Vec<String>, SettingsError> {
        let mut headers = self.header.clone();
        for cookie in &self.cookie {
            let name = cookie.split_once('=').map_or("", |(name, _)| name.trim());
            if name.is_empty() || cookie.contains([';', ',']) {
                return Err(SettingsError::Cookie(cookie.escape_debug().to_string()));
            }
        }
        if !self.cookie.is_empty() {
            headers.push(format!("Cookie: {}", self.cookie.join("; ")));
        }
        if let Some(user) = &self.user {
            if !user.contains(':') {
                return Err(SettingsError::User);
            }
            self.refuse_header("--user", "Authorization")?;
            headers.push(format!("Authorization: Basic {}", STANDARD.encode(user)));
        }
        if let Some(agent) = &self.user_agent {
            if HeaderValue::from_str(agent).is_err() {
                return Err(SettingsError::UserAgent(agent.escape_debug().to_string()));
            }
            self.refuse_header("--user-agent", "User-Agent")?;
            headers.push(format!("User-Agent: {agent}"));
        }
        Ok(headers)
    }

    /// A header that an option of its own sets is not given by `--header` too.
    fn refuse_header(&self, flag: &'static str, name: &'static str) -> Result<(), SettingsError> {
        let is_given = self.header.iter().any(|header| {
            let given = header.split_once(':').map_or("", |(given, _)| given.trim());
            given.eq_ignore_ascii_case(name)
        });
        if is_given {
            return Err(SettingsError::TwiceSet(flag, name));
        }
        Ok(())
    }

    /// The body: a text, or what a file holds, byte for byte.
    fn body(&self) -> Result<Bytes, SettingsError> {
        let (flag, path) = match (&self.data, &self.data_file) {
            (Some(_), Some(_)) => return Err(SettingsError::TwoBodies),
            (None, None) => {
                let send = self.send.as_deref().unwrap_or_default();
                return Ok(tcp::unescaped(send)?);
            }
            (None, Some(path)) => ("--data-file", path.as_path()),
            (Some(text), None) => match text.strip_prefix('@') {
                Some(path) => ("--data", Path::new(path)),
                None => return Ok(Bytes::from(text.clone())),
            },
        };
        Ok(Bytes::from(file::read(flag, path)?))
    }
}

impl Settings {
    /// Where the ingress listens, and what it is asked.
    pub(super) fn target(&self) -> Result<(Target, RequestTemplate), SettingsError> {
        let asked = &self.request;
        let url = asked.url.as_deref().unwrap_or("http://localhost/");
        let method = asked.method.as_deref().unwrap_or("GET");
        let headers = asked.headers()?;
        let body = asked.body()?;
        let dialling = self.dialling()?;
        let destination = Destination::parse(url, asked.host.as_deref())?;
        let target = destination.target(&dialling)?;
        let mut request = destination.request(target.protocol, method, &headers, body)?;
        match (target.protocol, &asked.send) {
            (Protocol::Tcp, _) => tcp::check(self)?,
            (Protocol::Http1 | Protocol::Http2 | Protocol::Grpc, None) => {}
            (_, Some(_)) => return Err(TcpError::NotTcp.into()),
        }
        if let Some(method) = &asked.grpc {
            request.uri = with_path(request.uri, &grpc::path(asked, method)?)?;
            grpc::call(&mut request, self.connection.timeout())?;
        } else if let Some(path) = &asked.path {
            request.uri = with_path(request.uri, path)?;
        }
        Ok((target, request))
    }
}

fn with_path(uri: Uri, path: &str) -> Result<Uri, SettingsError> {
    let refused = || SettingsError::Path(path.escape_debug().to_string());
    let read: Option<PathAndQuery> = path.parse().ok().filter(|_| path.starts_with('/'));
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(read.ok_or_else(refused)?);
    Uri::from_parts(parts).map_err(|_| refused())
}
