//! What pods answer, in the formats of the applications that canaries are tried with; and nginx's own pages.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::error::ConfigError;

/// The application whose answer a pod gives. Each names its pod in its own way; see [`Page::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Page {
    /// The challenge's Flask app: HTML with `Node Name: Y` and `Pod Name: X`.
    #[default]
    Flask,
    /// Gateway API's echo-basic: JSON with `pod`.
    Echo,
    /// traefik/whoami: text with `Hostname: X`.
    Whoami,
    /// podinfo: JSON with `hostname`.
    Podinfo,
    /// Kubernetes' echoserver: text with `Hostname: X` and `pod name:⇥X`.
    Echoserver,
    /// agnhost's netexec at `/hostname`: the bare name.
    Agnhost,
    /// Ealenn/Echo-Server: JSON with `environment.HOSTNAME`; its `host.hostname` is the request's Host.
    Ealenn,
    /// nginxdemos/hello in plain text: `Server name: X`.
    NginxHello,
    /// Istio's echo: text with `Hostname=X`.
    Istio,
    /// Kong's go-echo: text with `Running on Pod X.`
    Kong,
    /// gRPC calls over HTTP/2: a health check, and Gateway API's echo; see the module `grpc`.
    Grpc,
    /// A page that does not say who answered.
    None,
}

impl Page {
    /// Every page, in the order in which help lists them.
    pub const ALL: [Self; 12] = [
        Self::Flask,
        Self::Echo,
        Self::Whoami,
        Self::Podinfo,
        Self::Echoserver,
        Self::Agnhost,
        Self::Ealenn,
        Self::NginxHello,
        Self::Istio,
        Self::Kong,
        Self::Grpc,
        Self::None,
    ];

    /// The name that `--page` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flask => "flask",
            Self::Echo => "echo",
            Self::Whoami => "whoami",
            Self::Podinfo => "podinfo",
            Self::Echoserver => "echoserver",
            Self::Agnhost => "agnhost",
            Self::Ealenn => "ealenn",
            Self::NginxHello => "nginx-hello",
            Self::Istio => "istio",
            Self::Kong => "kong",
            Self::Grpc => "grpc",
            Self::None => "none",
        }
    }

    pub(super) const fn content_type(self) -> HeaderValue {
        match self {
            Self::Flask | Self::Grpc | Self::None => HTML,
            Self::Echo | Self::Podinfo | Self::Ealenn => {
                HeaderValue::from_static("application/json; charset=utf-8")
            }
            Self::Whoami
            | Self::Echoserver
            | Self::Agnhost
            | Self::NginxHello
            | Self::Istio
            | Self::Kong => HeaderValue::from_static("text/plain; charset=utf-8"),
        }
    }

    /// The body that `pod` answers with. What these applications echo of the request is that of a plain
    /// GET of `/`, so that the page can be made once.
    pub(super) fn body(self, pod: &Pod<'_>) -> Bytes {
        let Pod {
            name,
            node,
            workload,
            address,
            host,
        } = pod;
        let text = match self {
            Self::Flask => format!(
                "<!DOCTYPE html>\n<html>\n<head><title>Challenge</title></head>\n<body>\n\
                 <h1>Welcome to the challenge</h1>\n<p>Node Name: {node}</p>\n\
                 <p>Pod Name: {name}</p>\n</body>\n</html>\n"
            ),
            Self::Echo => indented(&json!({
                "path": "/",
                "host": host,
                "method": "GET",
                "proto": "HTTP/1.1",
                "headers": { "Accept": ["*/*"] },
                "httpPort": "3000",
                "namespace": "default",
                "ingress": "",
                "service": workload,
                "pod": name,
            })),
            Self::Whoami => format!(
                "Hostname: {name}\nIP: 127.0.0.1\nIP: {address}\nRemoteAddr: 10.42.0.1:40000\n\
                 GET / HTTP/1.1\nHost: {host}\nAccept: */*\n\n"
            ),
            Self::Podinfo => indented(&json!({
                "hostname": name,
                "version": "6.9.0",
                "revision": "unknown",
                "color": "#34577c",
                "message": format!("greetings from podinfo {workload}"),
                "goos": "linux",
                "goarch": "amd64",
                "num_cpu": "2",
            })),
            Self::Echoserver => format!(
                "\n\nHostname: {name}\n\nPod Information:\n\tnode name:\t{node}\n\tpod name:\t{name}\n\
                 \tpod namespace:\tdefault\n\tpod IP:\t{address}\n\n\
                 Server values:\n\tserver_version=nginx: 1.13.3 - lua: 10008\n\n\
                 Request Information:\n\tclient_address=10.42.0.1\n\tmethod=GET\n\treal path=/\n\
                 \tquery=\n\trequest_version=1.1\n\trequest_uri=http://{host}:8080/\n\n\
                 Request Headers:\n\taccept=*/*\n\thost={host}\n\n\
                 Request Body:\n\t-no body in request-\n\n"
            ),
            Self::Agnhost => (*name).to_owned(),
            Self::Ealenn => json!({
                "host": { "hostname": host, "ip": "::ffff:10.42.0.1", "ips": [] },
                "http": { "method": "GET", "baseUrl": "", "originalUrl": "/", "protocol": "http" },
                "request": { "params": { "0": "/" }, "query": {}, "cookies": {}, "body": {} },
                "environment": { "NODE_VERSION": "20.11.0", "HOSTNAME": name, "HOME": "/root" },
            })
            .to_string(),
            Self::NginxHello => format!(
                "Server address: {address}:80\nServer name: {name}\n\
                 Date: 01/Jan/2025:00:00:00 +0000\nURI: /\n\
                 Request ID: 54baa211f55997cc568679e65f41c8d3\n"
            ),
            Self::Istio => format!(
                "ServiceVersion={workload}\nServicePort=8080\nHost={host}\nURL=/\nMethod=GET\n\
                 Proto=HTTP/1.1\nIP=10.42.0.1\nRequestHeader=Accept:*/*\nHostname={name}\n"
            ),
            Self::Kong => format!(
                "Welcome, you are connected to node {node}.\nRunning on Pod {name}.\n\
                 In namespace default.\nWith IP address {address}.\n"
            ),
            Self::Grpc => String::new(),
            Self::None => "<!DOCTYPE html>\n<html>\n<head><title>Welcome</title></head>\n\
                           <body>\n<h1>It works</h1>\n</body>\n</html>\n"
                .to_owned(),
        };
        Bytes::from(text)
    }
}

impl FromStr for Page {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::ALL
            .into_iter()
            .find(|page| page.name() == text)
            .ok_or_else(|| {
                ConfigError::syntax(
                    "--page",
                    text,
                    "flask, echo, whoami, podinfo, echoserver, agnhost, ealenn, nginx-hello, istio, kong, grpc or none",
                )
            })
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a page can say of its pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pod<'a> {
    pub(super) name: &'a str,
    pub(super) node: &'a str,
    pub(super) workload: &'a str,
    pub(super) address: &'a str,
    /// The Host of the request, as far as it is known beforehand.
    pub(super) host: &'a str,
}

fn indented(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

pub(super) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The page that nginx answers an error with. It says nothing of a pod.
pub(super) fn nginx(status: StatusCode) -> Bytes {
    // nginx's words where they differ from the registered ones (ngx_http_special_response.c).
    let reason = match status.as_u16() {
        413 => "Request Entity Too Large",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        _ => status.canonical_reason().unwrap_or("Error"),
    };
    let title = format!("{} {reason}", status.as_u16());
    Bytes::from(format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: Page) -> String {
        let pod = Pod {
            name: "app-1-2",
            node: "node-1",
            workload: "app",
            address: "10.42.0.2",
            host: "a.\"b\"",
        };
        String::from_utf8(page.body(&pod).to_vec()).unwrap()
    }

    #[test]
    fn each_page_names_its_pod_in_its_own_way() {
        assert!(text(Page::Flask).contains("<p>Node Name: node-1</p>\n<p>Pod Name: app-1-2</p>"));
        assert!(text(Page::Whoami).starts_with("Hostname: app-1-2\n"));
        assert!(text(Page::Echoserver).contains("\tpod name:\tapp-1-2\n"));
        assert_eq!(text(Page::Agnhost), "app-1-2");
        assert!(text(Page::NginxHello).contains("\nServer name: app-1-2\n"));
        assert!(text(Page::Istio).contains("\nHostname=app-1-2\n"));
        assert!(text(Page::Kong).contains("\nRunning on Pod app-1-2.\n"));
        assert!(!text(Page::None).contains("app"));
        for (page, pointer) in [
            (Page::Echo, "/pod"),
            (Page::Podinfo, "/hostname"),
            (Page::Ealenn, "/environment/HOSTNAME"),
        ] {
            let value: serde_json::Value = serde_json::from_str(&text(page)).unwrap();
            assert_eq!(value.pointer(pointer).unwrap(), "app-1-2");
        }
    }

    #[test]
    fn names_are_read_back() {
        for page in Page::ALL {
            assert_eq!(page.to_string().parse(), Ok(page));
        }
        let error = "x".parse::<Page>().unwrap_err().to_string();
        for page in Page::ALL {
            assert!(error.contains(page.name()), "{error}");
        }
    }

    #[test]
    fn the_flask_page_has_about_two_hundred_bytes() {
        assert!((150..250).contains(&text(Page::Flask).len()));
    }

    #[test]
    fn errors_wear_the_words_of_nginx() {
        let page = nginx(StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            page.starts_with(b"<html>\r\n<head><title>503 Service Temporarily Unavailable</title>")
        );
    }
}
