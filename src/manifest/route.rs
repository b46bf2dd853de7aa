//! What every kind comes down to: a rule that takes requests, and the backends that share them.

use std::collections::BTreeMap;

use super::ManifestError;
use super::condition::Condition;
use super::field::Field;
use super::object::Object;

/// A rule of an object, with the backends that it splits its requests over.
#[derive(Debug, Clone)]
pub(super) struct Route<'a> {
    /// The object that holds the rule.
    pub(super) object: &'a Object,
    /// Further objects that the split comes from, such as a canary ingress.
    pub(super) related: Vec<&'a Object>,
    /// The number of the rule in its object, from 1.
    pub(super) rule: usize,
    pub(super) rule_name: Option<&'a str>,
    /// Where its requests come in, such as `Gateway infra/public`; none means anywhere.
    pub(super) doors: Vec<String>,
    /// The host names that it answers to; none means any.
    pub(super) hosts: Vec<String>,
    /// The path that its requests have.
    pub(super) path: PathRule,
    /// What else a request must have.
    pub(super) conditions: Vec<Condition>,
    /// Further paths and conditions of which one is enough as well.
    pub(super) alternatives: Vec<(PathRule, Vec<Condition>)>,
    /// Requests that one of the backends takes whatever the weights say; the first that fits counts.
    pub(super) pins: Vec<(Condition, usize)>,
    /// In the order of the manifest; at least one.
    pub(super) backends: Vec<Backend<'a>>,
    /// Whether requests come here by themselves.
    pub(super) place: Place,
    /// Whether it takes gRPC calls alone.
    pub(super) is_grpc: bool,
    /// Why nothing can be expected of it as it stands.
    pub(super) unready: Option<ManifestError>,
    /// The number of the rule that takes all its requests before it.
    pub(super) hidden_by: Option<usize>,
    /// Which goes first of all rules that take a request, where its program counts by that: the highest.
    pub(super) priority: Option<i64>,
    /// What was noticed about it while it was read.
    pub(super) remarks: Vec<Remark<'a>>,
}

/// Something about a route that lint tells.
#[derive(Debug, Clone)]
pub(super) struct Remark<'a> {
    pub(super) is_error: bool,
    pub(super) code: &'static str,
    /// The object and the path of the field.
    pub(super) field: (&'a Object, String),
    pub(super) message: String,
}

impl<'a> Remark<'a> {
    /// That `field` of `object` names an object that is not among the manifests.
    pub(super) fn absent(object: &'a Object, field: &Field<'a>, kind: &str, name: &str) -> Self {
        Self {
            is_error: false,
            code: "include_not_found",
            field: (object, field.path().to_owned()),
            message: format!(
                "names the {kind} {name}, which is not among the manifests: give it as well"
            ),
        }
    }

    /// That clients inside a mesh alone are split.
    pub(super) fn inside(field: (&'a Object, String)) -> Self {
        Self {
            is_error: false,
            code: "in_mesh_route",
            field,
            message:
                "splits what clients inside the mesh send, so that lbtest must run in a pod of it"
                    .to_owned(),
        }
    }

    /// What a weight of 0 at `field` does, where it does not keep requests away.
    pub(super) fn zero(field: (&'a Object, String), message: &str) -> Self {
        Self {
            is_error: false,
            code: "zero_weight",
            field,
            message: message.to_owned(),
        }
    }
}

/// An object that a controller writes weights into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Driven {
    pub(super) kind: &'static str,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    /// The path of the field that names it.
    pub(super) path: String,
}

/// Whether a rule takes requests from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It does.
    Entry,
    /// It splits what other rules send to a service of this name.
    Behind(String),
    /// It drives other rules, which hold the same weights.
    Controller {
        /// The service that all requests go to where no rule names the backends.
        apex: String,
        /// The objects that hold the rules.
        drives: Vec<Driven>,
        /// Whether weights come true by numbers of pods, since nothing routes requests.
        is_unrouted: bool,
    },
}

/// Which paths a rule answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathRule {
    /// Those that begin with this.
    Prefix(String),
    /// This one.
    Exact(String),
    /// Those that match a pattern, from which no path can be made.
    Pattern(String),
}

impl PathRule {
    /// Every path.
    pub(super) fn any() -> Self {
        Self::Prefix("/".to_owned())
    }

    /// A path that the rule answers to, if one can be named.
    pub(super) fn example(&self) -> Option<&str> {
        match self {
            Self::Prefix(path) | Self::Exact(path) if path.starts_with('/') => Some(path),
            _ => None,
        }
    }

    /// Whether every path of `other` is one of these.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix(own), _) if own == "/" || own.is_empty() => true,
            (Self::Prefix(own), Self::Prefix(path) | Self::Exact(path)) => {
                let rest = path.strip_prefix(own.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            _ => self == other,
        }
    }

    /// As it is told to a person.
    pub(super) fn shown(&self) -> &str {
        match self {
            Self::Prefix(path) | Self::Exact(path) | Self::Pattern(path) => path,
        }
    }

    /// As it is told to a person, with its type where that is not the usual one.
    pub(super) fn description(&self) -> String {
        match self {
            Self::Prefix(path) => path.clone(),
            Self::Exact(path) => format!("{path} (exact)"),
            Self::Pattern(path) => format!("{path} (pattern)"),
        }
    }

    /// How well the rule fits a request's path: the length of what it fixes; `None` if it doesn't.
    pub(super) fn fit(&self, path: &str) -> Option<usize> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match self {
            Self::Exact(exact) => (exact == path).then_some(usize::MAX),
            Self::Prefix(prefix) => {
                let prefix = prefix.trim_end_matches('/');
                let rest = path.strip_prefix(prefix)?;
                (rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())
            }
            Self::Pattern(_) => None,
        }
    }
}

/// One of the backends of a rule.
#[derive(Debug, Clone)]
pub(super) struct Backend<'a> {
    /// What the rule calls it: the name of a Service, mostly.
    pub(super) name: String,
    /// The namespace of that Service.
    pub(super) namespace: Option<String>,
    /// What tells it from a backend of the same name: a subset, or a port.
    pub(super) variant: Option<String>,
    /// The part that it plays in a rollout: `stable`, `canary`, `primary`.
    pub(super) role: Option<&'static str>,
    /// Its relative weight.
    pub(super) weight: f64,
    /// The object and the path of its weight (or of the backend where it has none of its own).
    pub(super) field: (&'a Object, String),
    /// How its pods are found.
    pub(super) pods: PodsOf,
}

/// How the pods of a backend are found among the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PodsOf {
    /// By the selector of the Service that the backend is called after.
    Service,
    /// As `Service`, and by these labels as well.
    Subset(BTreeMap<String, String>),
    /// Those of a workload's `ReplicaSet` with this template hash.
    Template {
        workload: String,
        hash: String,
    },
    Workload(String),
    /// Not at all.
    Unknown,
}

impl<'a> Backend<'a> {
    /// The Service `name` beside `object`, with the weight that stands at `field`.
    pub(super) fn service(object: &'a Object, name: &str, weight: f64, field: &Field<'a>) -> Self {
        Self {
            name: name.to_owned(),
            namespace: object.namespace.clone(),
            variant: None,
            role: None,
            weight,
            field: (object, field.path().to_owned()),
            pods: PodsOf::Service,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.namespace == other.namespace
            && self.variant == other.variant
            && self.pods == other.pods
    }
}

/// Adds the weights of entries that name the same backend.
pub(super) fn merged(backends: Vec<Backend<'_>>) -> Vec<Backend<'_>> {
    let mut merged: Vec<Backend<'_>> = Vec::with_capacity(backends.len());
    for backend in backends {
        match merged.iter_mut().find(|known| known.is_same(&backend)) {
            Some(known) => known.weight += backend.weight,
            None => merged.push(backend),
        }
    }
    merged
}

impl<'a> Route<'a> {
    /// Rule number `rule` of `object`, for every host, path and request.
    pub(super) fn new(object: &'a Object, rule: usize, backends: Vec<Backend<'a>>) -> Self {
        Self {
            object,
            related: Vec::new(),
            rule,
            rule_name: None,
            doors: Vec::new(),
            hosts: Vec::new(),
            path: PathRule::any(),
            conditions: Vec::new(),
            alternatives: Vec::new(),
            pins: Vec::new(),
            backends: merged(backends),
            place: Place::Entry,
            is_grpc: false,
            unready: None,
            hidden_by: None,
            priority: None,
            remarks: Vec::new(),
        }
    }

    /// Rule number `rule`, which says nothing itself: `field` names the `kind` that does, and that is not among the
    /// manifests.
    pub(super) fn elsewhere(
        object: &'a Object,
        rule: usize,
        field: &Field<'a>,
        kind: &str,
        name: &str,
    ) -> Self {
        let mut backend = Backend::service(object, name, 1.0, field);
        backend.pods = PodsOf::Unknown;
        let mut route = Self::new(object, rule, vec![backend]);
        route
            .remarks
            .push(Remark::absent(object, field, kind, name));
        let problem = &route.remarks[0].message;
        route.unready = Some(field.error(problem));
        route
    }

    /// That `field` divides its requests in a way that is not read, as `problem` says.
    pub(super) fn not_read(&mut self, field: &Field<'a>, problem: &str) {
        self.remarks.push(Remark {
            is_error: false,
            code: "kind_not_read",
            field: (self.object, field.path().to_owned()),
            message: problem.to_owned(),
        });
        self.unready = Some(field.error(problem));
    }

    /// Of several `matches` one is enough; the one that asks for least is told first. Without any it takes all requests.
    pub(super) fn match_any(&mut self, mut matches: Vec<(PathRule, Vec<Condition>)>) {
        let least = (0..matches.len()).min_by_key(|&index| matches[index].1.len());
        if let Some(least) = least {
            (self.path, self.conditions) = matches.remove(least);
            self.alternatives = matches;
        }
    }

    /// The sum of the weights.
    pub(super) fn total(&self) -> f64 {
        self.backends.iter().map(|backend| backend.weight).sum()
    }

    /// A host name that it answers to; a wildcard is none.
    pub(super) fn host(&self) -> Option<&str> {
        let named = |host: &&String| !host.contains('*');
        self.hosts.iter().find(named).map(String::as_str)
    }

    /// Whether it takes connections, of which no request is seen.
    pub(super) fn takes_connections(&self) -> bool {
        let kind = &*self.object.kind;
        matches!(
            kind,
            "TCPRoute" | "TLSRoute" | "IngressRouteTCP" | "MeshTCPRoute"
        )
    }

    /// Whether the first rule that fits counts.
    pub(super) fn is_ordered(&self) -> bool {
        self.object.is("VirtualService", &["networking.istio.io"])
    }

    /// Whether it answers to requests for `host`, whose port does not matter.
    pub(super) fn answers(&self, host: &str) -> bool {
        let bare = bare(host);
        let fits = |pattern: &String| {
            let pattern = pattern.to_ascii_lowercase();
            match pattern.strip_prefix('*') {
                Some(end) => bare.ends_with(end) && bare.len() > end.len(),
                None => pattern == bare,
            }
        };
        self.hosts.is_empty() || self.hosts.iter().any(fits)
    }

    /// `app-service=70,app-service-v2=30`, with the names of the manifest.
    pub(super) fn split(&self) -> String {
        let item = |backend: &Backend<'_>| {
            let namesakes = self
                .backends
                .iter()
                .filter(|other| other.name == backend.name);
            let variant = backend.variant.as_ref().filter(|_| namesakes.count() > 1);
            let variant = variant.map_or(String::new(), |variant| format!("/{variant}"));
            format!("{}{variant}={}", backend.name, backend.weight)
        };
        self.backends.iter().map(item).collect::<Vec<_>>().join(",")
    }

    /// Which rule of its object it is, where that has several.
    pub(super) fn describe(&self) -> String {
        let host = self.hosts.first().map_or("any host", String::as_str);
        let mut message = format!(
            "{} rule {} (host {host}, path {}",
            self.object.title(),
            self.rule_name.map_or(self.rule.to_string(), str::to_owned),
            self.path.shown()
        );
        for condition in &self.conditions {
            message.push_str(", ");
            message.push_str(&condition.to_string());
        }
        message.push_str("): ");
        match &self.unready {
            None => message.push_str(&self.split()),
            Some(_) => message.push_str("its weights are not in the manifest"),
        }
        message
    }
}

/// `host` without its port, in lower case.
pub(super) fn bare(host: &str) -> String {
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    bare.to_ascii_lowercase()
}

/// The distinct hosts of a list of names.
pub(super) fn hosts(field: &Field<'_>) -> Result<Vec<String>, ManifestError> {
    let mut hosts = Vec::new();
    for item in field.items()? {
        let host = item.required()?;
        if host == "*" {
            return Ok(Vec::new());
        }
        hosts.push(host.to_owned());
    }
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_segment_and_an_exact_path_fits_best() {
        let prefix = |path: &str| PathRule::Prefix(path.to_owned());
        assert_eq!(prefix("/").fit("/a"), Some(0));
        assert_eq!(prefix("/api/").fit("/api"), Some(4));
        assert_eq!(prefix("/api").fit("/api/x?y=/z"), Some(4));
        assert_eq!(prefix("/api").fit("/apis"), None);
        assert_eq!(
            PathRule::Exact("/api".to_owned()).fit("/api#x"),
            Some(usize::MAX)
        );
        assert_eq!(PathRule::Exact("/api".to_owned()).fit("/api/"), None);
        assert_eq!(PathRule::Pattern("/a.*".to_owned()).example(), None);
    }
}
