//! What stands above the weights, as in ingress-nginx: a path with weights of its own, a header, a cookie.
//!
//! The order is ingress-nginx's: the path chooses the rule; then an affinity cookie, the canary's header,
//! its cookie, and last the weights
//! (<https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#canary>). A path
//! is a rule of its own, to which header, cookie and affinity of the others do not apply.

use std::str::FromStr;

use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use super::error::ConfigError;
use crate::split::Split;

/// The split's first backend is the primary; of the others the first alone is the canary that headers and
/// cookies lead to, since ingress-nginx takes one canary for a rule.
const PRIMARY: usize = 0;
const CANARY: usize = 1;

/// `--route-header X-Canary`: `always` leads to the canary and `never` to the primary, any other value is
/// ignored. `--route-header X-Canary=beta`: this value leads to the canary, any other is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    name: HeaderName,
    value: Option<String>,
}

/// `--route-cookie canary`: its value `always` leads to the canary and `never` to the primary, any other is
/// ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieRule {
    name: String,
}

/// `--route-path /beta:v1=0,v2=100`: the weights of `/beta` and what lies below it.
#[derive(Debug, Clone, PartialEq)]
pub struct PathRule {
    path: String,
    /// Its weights; a backend that they do not name gets nothing.
    pub(super) split: Split,
}

impl FromStr for HeaderRule {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.trim())),
            None => (text, None),
        };
        let refused = || {
            ConfigError::syntax(
                "--route-header",
                text,
                "NAME or NAME=VALUE such as X-Canary",
            )
        };
        let is_text =
            |value: &str| !value.is_empty() && value.bytes().all(|b| (b' '..=b'~').contains(&b));
        if value.is_some_and(|value| !is_text(value)) {
            return Err(refused());
        }
        Ok(Self {
            name: name.trim().parse().map_err(|_| refused())?,
            value: value.map(str::to_owned),
        })
    }
}

impl FromStr for CookieRule {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        // The name of a cookie is a token (RFC 6265 §4.1.1), as that of a header is.
        if HeaderName::from_bytes(text.as_bytes()).is_err() {
            let syntax = "the name of a cookie such as canary";
            return Err(ConfigError::syntax("--route-cookie", text, syntax));
        }
        Ok(Self {
            name: text.to_owned(),
        })
    }
}

impl FromStr for PathRule {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refused =
            || ConfigError::syntax("--route-path", text, "PATH:SPLIT such as /beta:v1=0,v2=100");
        let (path, split) = text.split_once(':').ok_or_else(refused)?;
        let path = path.trim();
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
        if !(path.starts_with('/') && path.bytes().all(is_plain)) {
            return Err(refused());
        }
        Ok(Self {
            path: path.trim_end_matches('/').to_owned(),
            split: split.parse().map_err(|reason| ConfigError::BadSplit {
                flag: "--route-path",
                reason,
            })?,
        })
    }
}

impl PathRule {
    /// The path, without a slash at its end; empty for the root.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether the rule is for `path`: by whole elements, as Kubernetes' `pathType: Prefix` is.
    fn covers(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&*self.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// What decides about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Weights,
    /// A header or cookie, which leads to this backend.
    Backend(usize),
    /// The weights of the path rule with this index.
    Path(usize),
}

/// All rules of an ingress.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) header: Option<HeaderRule>,
    pub(super) cookie: Option<CookieRule>,
    pub(super) paths: Vec<PathRule>,
}

impl Rules {
    /// What decides about a request with this head, affinity aside.
    pub(super) fn route(&self, head: &Parts) -> Route {
        let covering = self
            .paths
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.covers(head.uri.path()));
        // The longest path wins.
        if let Some((index, _)) = covering.max_by_key(|(_, rule)| rule.path.len()) {
            return Route::Path(index);
        }
        self.by_header(&head.headers)
            .or_else(|| self.by_cookie(&head.headers))
            .map_or(Route::Weights, Route::Backend)
    }

    fn by_header(&self, headers: &HeaderMap) -> Option<usize> {
        let rule = self.header.as_ref()?;
        let found = headers.get(&rule.name)?;
        match &rule.value {
            Some(value) => (found == value.as_str()).then_some(CANARY),
            None => by_word(found.to_str().ok()?),
        }
    }

    fn by_cookie(&self, headers: &HeaderMap) -> Option<usize> {
        let rule = self.cookie.as_ref()?;
        by_word(cookie(headers, &rule.name)?)
    }
}

fn by_word(value: &str) -> Option<usize> {
    match value {
        "always" => Some(CANARY),
        "never" => Some(PRIMARY),
        _ => None,
    }
}

/// The value of the first cookie of this name.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn route(rules: &Rules, path: &str, headers: &[(&str, &str)]) -> Route {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        rules.route(&request.body(()).unwrap().into_parts().0)
    }

    fn rules(header: &str) -> Rules {
        Rules {
            header: Some(header.parse().unwrap()),
            cookie: Some("canary".parse().unwrap()),
            paths: ["/beta:v1=0,v2=100", "/beta/old/:v1=1"]
                .map(|rule| rule.parse().unwrap())
                .to_vec(),
        }
    }

    #[test]
    fn the_header_stands_above_the_cookie_and_both_above_the_weights() {
        let rules = rules("X-Canary");
        for (headers, expected) in [
            (&[("x-canary", "always")][..], Route::Backend(CANARY)),
            (&[("x-canary", "never")], Route::Backend(PRIMARY)),
            (&[("x-canary", "Always")], Route::Weights),
            (&[("x-canary", "")], Route::Weights),
            (
                &[("x-canary", "never"), ("cookie", "canary=always")],
                Route::Backend(PRIMARY),
            ),
            (
                &[("x-canary", "other"), ("cookie", "a=b; canary=always")],
                Route::Backend(CANARY),
            ),
            (&[("cookie", "canary=never")], Route::Backend(PRIMARY)),
            (&[("cookie", "canary=1")], Route::Weights),
            (&[("cookie", "canaryx=always")], Route::Weights),
            (&[], Route::Weights),
        ] {
            assert_eq!(route(&rules, "/", headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_header_with_a_value_of_its_own_ignores_every_other() {
        let rules = rules("X-Canary=beta");
        let by = |value: &str| route(&rules, "/", &[("x-canary", value)]);
        assert_eq!(by("beta"), Route::Backend(CANARY));
        assert_eq!(by("always"), Route::Weights);
        assert_eq!(by("never"), Route::Weights);
    }

    #[test]
    fn the_longest_path_wins_by_whole_elements_and_above_the_header() {
        let rules = rules("X-Canary");
        let canary = [("x-canary", "always")];
        for (path, expected) in [
            ("/beta", Route::Path(0)),
            ("/beta/", Route::Path(0)),
            ("/beta/new?x=1", Route::Path(0)),
            ("/beta/old", Route::Path(1)),
            ("/betamax", Route::Backend(CANARY)),
        ] {
            assert_eq!(route(&rules, path, &canary), expected, "{path}");
        }
    }

    #[test]
    fn rules_that_are_none_are_refused_naming_the_flag() {
        for text in [
            "",
            "X Canary",
            "X-Canary=",
            "=beta",
            "X: always",
            "X=\u{1b}",
        ] {
            let error = text.parse::<HeaderRule>().unwrap_err().to_string();
            assert!(error.starts_with("--route-header"), "{error}");
        }
        for text in ["", "a=b", "a b", "a;"] {
            let error = text.parse::<CookieRule>().unwrap_err().to_string();
            assert!(error.starts_with("--route-cookie"), "{error}");
        }
        for text in [
            "",
            "/beta",
            "beta:v1=1",
            "/a b:v1=1",
            "/a?b:v1=1",
            "/beta:v1",
        ] {
            let error = text.parse::<PathRule>().unwrap_err().to_string();
            assert!(error.starts_with("--route-path"), "{error}");
        }
    }
}
