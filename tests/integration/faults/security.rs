//! Certificates, good and bad, under an authority of their own.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use tempfile::NamedTempFile;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What a peer shows for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    Good,
    Expired,
    NotYetValid,
    SelfSigned,
    WrongName,
}

/// The authority that clients are told to trust.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), issuer.pem()).expect("the file is ours");
    Authority { issuer, file }
});

/// The file for `--cacert`.
pub(crate) fn authority() -> &'static Path {
    AUTHORITY.file.path()
}

/// TLS with this certificate, which agrees to one of these protocols, or to none where there are none.
pub(crate) fn server(certificate: Certificate, protocols: &[&str]) -> Arc<ServerConfig> {
    Arc::new(config(certificate, protocols))
}

/// Sends 10,000 tickets for further sessions behind the handshake.
pub(crate) fn server_of_tickets() -> Arc<ServerConfig> {
    let mut config = config(Certificate::Good, &["http/1.1"]);
    config.send_tls13_tickets = 10_000;
    Arc::new(config)
}

fn config(certificate: Certificate, protocols: &[&str]) -> ServerConfig {
    let name = match certificate {
        Certificate::WrongName => "elsewhere.example",
        _ => "127.0.0.1",
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    match certificate {
        Certificate::Expired => {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        Certificate::NotYetValid => params.not_before = date_time_ymd(2999, 1, 1),
        Certificate::Good | Certificate::SelfSigned | Certificate::WrongName => {}
    }
    let key = KeyPair::generate().expect("a key");
    let signed = match certificate {
        Certificate::SelfSigned => params.self_signed(&key),
        _ => params.signed_by(&key, &AUTHORITY.issuer),
    };
    let chain = vec![signed.expect("a certificate").der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key just made");
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the versions of the provider")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key is the certificate's");
    let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
    config.alpn_protocols = protocols.collect();
    config
}
