//! What the requests say.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use super::file::read;
use super::tcp::TcpError;
use super::{Settings, SettingsError, grpc, tcp};
use crate::plan::target::{Destination, Protocol, RequestTemplate, Target};

impl Settings {
    /// Where the ingress listens, and what it is asked.
    pub(super) fn target(&self) -> Result<(Target, RequestTemplate), SettingsError> {
        let url = self.url.as_deref().unwrap_or("http://localhost/");
        let method = self.method.as_deref().unwrap_or("GET");
        let headers = self.headers()?;
        let body = self.body()?;
        let dialling = self.dialling()?;
        let destination = Destination::parse(url, self.host.as_deref())?;
        let target = destination.target(&dialling)?;
        let mut request = destination.request(target.protocol, method, &headers, body)?;
        match (target.protocol, &self.send) {
            (Protocol::Tcp, _) => tcp::check(self)?,
            (Protocol::Http1 | Protocol::Http2 | Protocol::Grpc, None) => {}
            (_, Some(_)) => return Err(TcpError::NotTcp.into()),
        }
        if let Some(method) = &self.grpc {
            request.uri = with_path(request.uri, &grpc::path(self, method)?)?;
            grpc::call(&mut request, self.exchange_timeout())?;
        } else if let Some(path) = &self.path {
            request.uri = with_path(request.uri, path)?;
        }
        Ok((target, request))
    }

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
        let (flag, file) = match (&self.data, &self.data_file) {
            (Some(_), Some(_)) => return Err(SettingsError::TwoBodies),
            (None, None) => {
                let send = self.send.as_deref().unwrap_or_default();
                return Ok(tcp::unescaped(send)?);
            }
            (None, Some(file)) => ("--data-file", file.as_path()),
            (Some(text), None) => match text.strip_prefix('@') {
                Some(file) => ("--data", Path::new(file)),
                None => return Ok(Bytes::from(text.clone())),
            },
        };
        Ok(Bytes::from(read(flag, file)?))
    }
}

fn with_path(uri: Uri, path: &str) -> Result<Uri, SettingsError> {
    let refused = || SettingsError::Path(path.escape_debug().to_string());
    let read: Option<PathAndQuery> = path.parse().ok().filter(|_| path.starts_with('/'));
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(read.ok_or_else(refused)?);
    Uri::from_parts(parts).map_err(|_| refused())
}
