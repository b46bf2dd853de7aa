//! The request that is sent over and over, in the form that the connection takes.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Request};
use http_body_util::Full;

use super::http1::head::Asked;
use super::http1::request::encode;
use crate::plan::target::RequestTemplate;

/// A request, and its bytes over HTTP/1.1 once somebody asked for them.
#[derive(Debug)]
pub struct Outgoing {
    template: RequestTemplate,
    bytes: OnceLock<Vec<u8>>,
    /// Those of the last request on a connection.
    last_bytes: OnceLock<Vec<u8>>,
}

impl Outgoing {
    /// The request of a plan.
    pub fn new(template: RequestTemplate) -> Self {
        Self {
            template,
            bytes: OnceLock::new(),
            last_bytes: OnceLock::new(),
        }
    }

    /// The same with other headers.
    pub fn with(&self, change: impl FnOnce(&mut HeaderMap)) -> Self {
        let mut template = self.template.clone();
        change(&mut template.headers);
        Self::new(template)
    }

    /// What is written over HTTP/1.1; the last request on its connection says that it is.
    pub fn bytes(&self, is_last: bool) -> &[u8] {
        let bytes = if is_last {
            &self.last_bytes
        } else {
            &self.bytes
        };
        bytes.get_or_init(|| encode(&self.template, is_last))
    }

    pub fn asked(&self) -> Asked {
        match self.template.method {
            Method::HEAD => Asked::Head,
            Method::CONNECT => Asked::Connect,
            _ => Asked::Whole,
        }
    }

    /// What goes first over TCP.
    pub fn body(&self) -> &[u8] {
        &self.template.body
    }

    /// What hyper sends over HTTP/2, where the URI's authority says the host (RFC 9113 §8.3.1).
    pub fn request(&self) -> Request<Full<Bytes>> {
        let template = self.template.clone();
        let mut request = Request::new(Full::new(template.body));
        *request.method_mut() = template.method;
        *request.uri_mut() = template.uri;
        *request.headers_mut() = template.headers;
        request.headers_mut().remove(HOST);
        request
    }
}
