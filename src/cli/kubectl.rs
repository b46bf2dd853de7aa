//! `kubectl lbtest` and `--expect-from kubectl:NAMESPACE`: what a namespace of a cluster has, read by kubectl.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::CommandError;
use crate::manifest::KINDS;
use crate::report::escape::terminal;

/// The executable's name as a plug-in of kubectl.
const PLUGIN: &str = "kubectl-lbtest";

/// Kinds that say which pods stand behind a route, beside [`KINDS`].
const OF_PODS: [&str; 7] = [
    "Service",
    "EndpointSlice",
    "Pod",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
];

/// What begins the name of a namespace in `--expect-from`.
pub(super) const PREFIX: &str = "kubectl:";

/// The arguments of this process; `kubectl lbtest NAMESPACE/NAME …` means `lbtest … --expect-from kubectl:NAMESPACE
/// --route NAMESPACE/NAME`.
pub(super) fn arguments() -> Vec<OsString> {
    as_plugin(std::env::args_os().collect())
}

fn as_plugin(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let program = arguments.first().map(Path::new);
    let is_plugin = program
        .and_then(Path::file_stem)
        .is_some_and(|name| name == PLUGIN);
    let route = arguments
        .get(1)
        .map(|first| first.to_string_lossy().into_owned());
    let route = route.filter(|route| is_plugin && is_route(route));
    if let Some(route) = route {
        let namespace = route.split('/').next().unwrap_or_default();
        arguments.remove(1);
        arguments.push(format!("--expect-from={PREFIX}{namespace}").into());
        arguments.push(format!("--route={route}").into());
    }
    arguments
}

/// `NAMESPACE/NAME` or `NAMESPACE/NAME/RULE`, which no URL begins like.
fn is_route(text: &str) -> bool {
    let mut parts = text.split('/');
    let is_name = |part: Option<&str>| {
        part.is_some_and(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        })
    };
    is_name(parts.next()) && parts.next().is_some_and(|name| !name.is_empty())
}

/// kubectl, under way with what a namespace has.
pub(super) struct Fetch {
    child: Child,
}

impl Fetch {
    /// Asks kubectl for the objects of `namespace` that say how requests are split.
    ///
    /// Only what the cluster's API knows is asked for: kubectl refuses a request for any other.
    pub(super) fn begin(namespace: &str) -> Result<Self, CommandError> {
        let mut known = run(&[
            "api-resources",
            "--namespaced=true",
            "--verbs=list",
            "--no-headers",
        ])?;
        let mut listed = String::new();
        known
            .output()
            .take(1 << 20)
            .read_to_string(&mut listed)
            .map_err(|error| failed(&error))?;
        known.end()?;
        let resources: Vec<String> = listed.lines().filter_map(resource).collect();
        if resources.is_empty() {
            return Err(failed(&"its API has no kind that lbtest reads"));
        }
        let namespace = format!("--namespace={namespace}");
        run(&["get", &resources.join(","), &namespace, "--output=json"])
    }

    /// Where the objects come from.
    pub(super) fn output(&mut self) -> impl Read + '_ {
        self.child.stdout.as_mut().expect("it is piped")
    }

    /// Waits for its end, which tells whether all of it came; what nobody read ends it.
    pub(super) fn end(mut self) -> Result<(), CommandError> {
        drop(self.child.stdout.take());
        let status = self.child.wait().map_err(|error| failed(&error))?;
        if status.success() {
            return Ok(());
        }
        Err(failed(&format!(
            "it ended with {status}; its own message stands above"
        )))
    }
}

fn run(arguments: &[&str]) -> Result<Fetch, CommandError> {
    let spawned = Command::new("kubectl")
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn();
    let child = spawned.map_err(|error| failed(&error))?;
    Ok(Fetch { child })
}

fn failed(error: &dyn std::fmt::Display) -> CommandError {
    CommandError::usage(terminal(&format!(
        "--expect-from {PREFIX}: kubectl: {error}"
    )))
}

/// The full name of a resource in a row of `kubectl api-resources`, where lbtest reads its kind.
///
/// The columns are NAME, SHORTNAMES (which may be empty), APIVERSION, NAMESPACED and KIND.
fn resource(row: &str) -> Option<String> {
    let columns: Vec<&str> = row.split_whitespace().collect();
    let [name, .., version, _, kind] = &columns[..] else {
        return None;
    };
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let is_read = OF_PODS.contains(kind)
        || KINDS
            .iter()
            .any(|one| one.names.contains(kind) && one.groups.contains(&group));
    is_read.then(|| match group {
        "" => (*name).to_owned(),
        group => format!("{name}.{group}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugins_first_argument_is_a_route_and_anything_else_is_left_alone() {
        let describe = |arguments: &[&str]| {
            let arguments = arguments.iter().map(OsString::from).collect();
            let words = as_plugin(arguments).into_iter();
            let words: Vec<String> = words.map(|word| word.into_string().unwrap()).collect();
            words.join(" ")
        };
        assert_eq!(
            describe(&[
                "/usr/bin/kubectl-lbtest",
                "shop/web",
                "http://a/",
                "-n",
                "9"
            ]),
            "/usr/bin/kubectl-lbtest http://a/ -n 9 --expect-from=kubectl:shop --route=shop/web"
        );
        for arguments in [
            &["lbtest", "shop/web"][..],
            &["kubectl-lbtest"],
            &["kubectl-lbtest", "demo"],
            &["kubectl-lbtest", "http://a/"],
            &["kubectl-lbtest", "10.0.0.7/path"],
        ] {
            assert_eq!(describe(arguments), arguments.join(" "));
        }
    }

    #[test]
    fn only_kinds_that_are_read_are_asked_for() {
        for (row, expected) in [
            ("pods   po   v1   true   Pod", Some("pods")),
            ("secrets      v1   true   Secret", None),
            (
                "ingresses   ing   networking.k8s.io/v1   true   Ingress",
                Some("ingresses.networking.k8s.io"),
            ),
            (
                "httproutes      gateway.networking.k8s.io/v1   true   HTTPRoute",
                Some("httproutes.gateway.networking.k8s.io"),
            ),
            ("ingresses   other.example/v1   true   Ingress", None),
            ("", None),
        ] {
            assert_eq!(resource(row).as_deref(), expected, "{row}");
        }
    }
}
