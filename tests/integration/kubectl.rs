//! `kubectl lbtest`, with a stand-in for kubectl that answers recorded objects.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::{Ran, findings, lbtest_reading};
use lbtest::parts::{Config, Handle, Ingress};

/// A folder with the executable under the plug-in's name, and a kubectl that answers what was recorded, notes what it
/// was asked, and ends with `status`.
fn stand_in(status: u8) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kubectl");
    let (recorded, own) = (recorded.display(), folder.path().display());
    let script = format!(
        "#!/bin/sh\necho \"$*\" >>{own}/asked\n[ {status} = 0 ] || {{ echo 'no such cluster' >&2; exit {status}; }}\n\
         case $1 in\napi-resources) cat {recorded}/api-resources.txt ;;\nget) cat {recorded}/objects.json ;;\nesac\n"
    );
    let kubectl = folder.path().join("kubectl");
    fs::write(&kubectl, script).unwrap();
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(
        env!("CARGO_BIN_EXE_lbtest"),
        folder.path().join("kubectl-lbtest"),
    )
    .unwrap();
    folder
}

/// Runs the plug-in as kubectl does: by its own name, with what follows it.
fn plugin(folder: &Path, arguments: &[&str]) -> Ran {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "900", "kubectl-lbtest"])
        .args(arguments)
        .current_dir(folder)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8");
    for name in [
        "LBTEST_URL",
        "LBTEST_HOST",
        "LBTEST_CONFIG",
        "LBTEST_RUN_ID",
        "GITHUB_ACTIONS",
    ] {
        command.env_remove(name);
    }
    command.output().unwrap().into()
}

/// An ingress whose draws begin anew.
fn ingress() -> (Handle, String) {
    let ingress = Ingress::start(&Config::new("v1=70,v2=30".parse().unwrap())).unwrap();
    let url = format!("http://{}/", ingress.addr());
    (ingress, url)
}

/// What two reports of the same split have in common, wherever its manifests came from.
fn settled(report: &Value) -> Vec<String> {
    let fields = ["verdict", "reasons", "assignment", "plan"];
    let message = fields.iter().map(|field| report[field].to_string());
    let found = findings(report).into_iter().map(Value::to_string);
    message
        .chain(found)
        .map(|message| message.replace("kubectl:challenger-03", "standard input"))
        .collect()
}

#[test]
fn the_plug_in_does_what_a_pipe_from_kubectl_does() {
    let folder = stand_in(0);
    let (_ingress, url) = ingress();
    let route = "challenger-03/challenge-app-ingress";
    let ran = plugin(folder.path(), &[route, &url, "--json", "-"]);
    let objects = fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/kubectl/objects.json"
    ));
    let (_ingress, url) = self::ingress();
    let piped = lbtest_reading(
        &[&url, "--expect-from", "-", "--route", route, "--json", "-"],
        &objects.unwrap(),
    );
    assert_eq!(ran.status, piped.status, "{ran:?} {piped:?}");
    assert_eq!(settled(&ran.json()), settled(&piped.json()));
    let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
    let asked: Vec<&str> = asked.lines().collect();
    assert_eq!(
        asked,
        [
            "api-resources --namespaced=true --verbs=list --no-headers",
            "get pods,services,daemonsets.apps,deployments.apps,replicasets.apps,statefulsets.apps,\
             endpointslices.discovery.k8s.io,httproutes.gateway.networking.k8s.io,ingresses.networking.k8s.io \
             --namespace=challenger-03 --output=json",
        ]
    );
}

#[test]
fn what_kubectl_cannot_do_is_said_in_one_sentence() {
    let ran = plugin(stand_in(1).path(), &["shop/web", "http://127.0.0.1:9/"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(
        ran.stderr
            .contains("no such cluster\nerror: --expect-from kubectl:"),
        "{ran:?}"
    );
    let folder = stand_in(0);
    let ran = plugin(
        folder.path(),
        &["challenger-03/nothing", "http://127.0.0.1:9/"],
    );
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("challenger-03/nothing"), "{ran:?}");
}

#[test]
fn the_plug_in_has_every_command() {
    let ran = plugin(stand_in(0).path(), &["plan", "--expect", "v1=70,v2=30"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("3664 requests"), "{ran:?}");
}
