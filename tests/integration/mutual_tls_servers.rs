//! A real nginx that verifies its clients' certificates.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::program::{PATIENCE, Ran, codes, lbtest};

/// nginx in a folder of its own; it stops when dropped.
struct Nginx {
    process: Child,
    folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes `NAME.pem` and `NAME.key`, signed by `authority`.
fn certificate(folder: &Path, name: &str, authority: &CertifiedIssuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, authority).unwrap();
    fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

impl Nginx {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (authority("own"), authority("other"));
        fs::write(folder.path().join("authority.pem"), own.pem()).unwrap();
        certificate(folder.path(), "server", &own);
        certificate(folder.path(), "client", &own);
        certificate(folder.path(), "stranger", &other);
        let path = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {path}/{name};\n"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {path}/nginx.pid; error_log stderr warn; \n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; {temporary}\
             split_clients \"$request_id\" $pod {{ 30% app-v2-6b8464cddd-x7kfd; * app-v1-7c5ddbdf54-fmzvc; }}\n\
             server {{ listen unix:{path}/socket ssl;\n\
             ssl_certificate {path}/server.pem; ssl_certificate_key {path}/server.key;\n\
             ssl_client_certificate {path}/authority.pem; ssl_verify_client on;\n\
             location / {{ return 200 \"Hostname: $pod\\n\"; }} }} }}\n"
        );
        fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let process = Command::new("nginx")
            .env(
                "PATH",
                format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()),
            )
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx is missing: run scripts/test packages");
        let nginx = Self { process, folder };
        let until = Instant::now() + PATIENCE;
        let is_up = || UnixStream::connect(nginx.file("socket")).is_ok();
        while !is_up() {
            assert!(Instant::now() < until, "nginx does not listen");
            std::thread::yield_now();
        }
        nginx
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The gate with a client's certificate, or with none.
    fn gate(&self, client: Option<&str>) -> Ran {
        let own = |name: String| self.file(&name).display().to_string();
        let mut arguments: Vec<String> = ["https://shop.example/", "--expect", "v1=70,v2=30"]
            .map(str::to_owned)
            .into();
        arguments.extend(
            [
                "--alpha",
                "1e-8",
                "--tolerance",
                "15",
                "--json",
                "-",
                "-t",
                "60s",
            ]
            .map(str::to_owned),
        );
        arguments.extend(["--unix-socket".to_owned(), own("socket".to_owned())]);
        arguments.extend(["--cacert".to_owned(), own("authority.pem".to_owned())]);
        if let Some(client) = client {
            arguments.extend(["--cert".to_owned(), own(format!("{client}.pem"))]);
            arguments.extend(["--key".to_owned(), own(format!("{client}.key"))]);
        }
        lbtest(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

#[test]
fn an_ingress_that_demands_a_certificate_is_passed_with_the_right_one_alone() {
    let nginx = Nginx::start();
    let right = nginx.gate(Some("client"));
    assert_eq!(right.status, 0, "{right:?}");
    for (client, message) in [
        (None, "demands a client's certificate"),
        (Some("stranger"), "refuses the client's certificate"),
    ] {
        let ran = nginx.gate(client);
        assert_eq!(ran.status, 4, "{client:?}: {ran:?}");
        let report = ran.json();
        assert!(
            report["reasons"].to_string().contains(message),
            "{client:?}: {:?} {report:#}",
            codes(&report)
        );
    }
}
