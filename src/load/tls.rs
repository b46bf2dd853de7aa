//! TLS by rustls: who is trusted, what ALPN offers, and what its errors mean to a person.

use std::io;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use crate::plan::target::Protocol;
use crate::plan::tls::Trust;

/// What every connection's handshake is done with.
///
/// No session is resumed, so that each connection is as fresh to the ingress as a new client's.
///
/// # Errors
/// An authority's certificate cannot be used.
pub fn connector(trust: &Trust, protocol: Protocol) -> io::Result<TlsConnector> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = match trust {
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth(),
        Trust::System => builder
            .with_root_certificates(system_roots())
            .with_no_client_auth(),
        Trust::Authorities(certificates) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                roots.add(certificate.clone()).map_err(|error| {
                    io::Error::other(format!("--cacert: a certificate cannot be used: {error}"))
                })?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![protocol.name().as_bytes().to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The authorities of this machine; Mozilla's, as compiled in, where it has none.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// What went wrong in a handshake, with the remedy where there is one.
#[must_use]
pub fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    let remedy = match tls {
        Some(Error::InvalidCertificate(why)) => match why {
            CertificateError::UnknownIssuer => {
                "trust its authority with --cacert FILE, or any certificate with -k"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "ask for the name that the certificate is for with --sni NAME, or take any certificate with -k"
            }
            _ => "take any certificate with -k",
        },
        Some(Error::InvalidMessage(_)) => {
            "if the port does not speak TLS, write the URL as http://"
        }
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            "the ingress does not speak this version of HTTP here: add --http2 or leave it away"
        }
        Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            "the ingress has no such name: check --host or --sni"
        }
        _ => return format!("the TLS handshake failed: {error}"),
    };
    format!("the TLS handshake failed: {error}; {remedy}")
}

/// Takes any certificate, and checks that the peer holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
