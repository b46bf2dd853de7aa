//! TLS by rustls: who is trusted, what ALPN offers, and what its errors mean to a person.

use std::io;
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
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
    let chains = match trust {
        Trust::Anyone => None,
        Trust::System => Some(Chains::new(system_roots(), &provider)?),
        Trust::Authorities(certificates) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                roots.add(certificate.clone()).map_err(|error| {
                    io::Error::other(format!("--cacert: a certificate cannot be used: {error}"))
                })?;
            }
            Some(Chains::new(roots, &provider)?)
        }
    };
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { chains, provider }))
        .with_no_client_auth();
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

/// Checks that the peer holds its certificate's key, and whether the certificate is trusted.
#[derive(Debug)]
struct Verifier {
    /// `None`: any certificate is.
    chains: Option<Chains>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.chains {
            Some(chains) => {
                chains.verify(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Certificate chains by the Web PKI. The last one that was verified is not verified again for a minute: fresh
/// connections to one ingress bring the same chain over and over.
#[derive(Debug)]
struct Chains {
    web_pki: Arc<WebPkiServerVerifier>,
    last: Mutex<Option<Verified>>,
}

/// A chain, end entity first, that was found trustworthy for a name.
#[derive(Debug)]
struct Verified {
    chain: Vec<CertificateDer<'static>>,
    name: ServerName<'static>,
    at: UnixTime,
}

impl Chains {
    fn new(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> io::Result<Self> {
        let provider = Arc::clone(provider);
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self {
            web_pki: builder.build().map_err(io::Error::other)?,
            last: Mutex::default(),
        })
    }

    /// As [`ServerCertVerifier::verify_server_cert`].
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = || iter::once(end_entity).chain(intermediates);
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = last().as_ref().is_some_and(|last| {
            let age = now.as_secs().checked_sub(last.at.as_secs());
            age.is_some_and(|age| age < 60) && last.name == *name && last.chain.iter().eq(chain())
        });
        if is_known {
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            self.web_pki
                .verify_server_cert(end_entity, intermediates, name, ocsp_response, now)?;
        *last() = Some(Verified {
            chain: chain()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
            name: name.to_owned(),
            at: now,
        });
        Ok(verified)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn what_was_verified_holds_for_its_name_and_a_minute_alone() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let chains = Some(Chains::new(roots, &provider).unwrap());
        let verifier = Verifier { chains, provider };

        let mut params = CertificateParams::new(vec!["app.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 1, 2);
        let key = KeyPair::generate().unwrap();
        let trusted = params.signed_by(&key, &issuer).unwrap();
        let unknown = params.self_signed(&key).unwrap();
        let end = u64::try_from(params.not_after.unix_timestamp()).unwrap();
        let verify = |certificate: &rcgen::Certificate, name: &'static str, seconds| {
            let name = ServerName::try_from(name).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            verifier
                .verify_server_cert(certificate.der(), &[], &name, &[], now)
                .is_ok()
        };

        assert!(
            !verify(&unknown, "app.example", end - 30),
            "nothing is known yet"
        );
        assert!(verify(&trusted, "app.example", end - 30));
        assert!(
            verify(&trusted, "app.example", end + 29),
            "known, though just expired"
        );
        assert!(
            !verify(&unknown, "app.example", end - 30),
            "another certificate"
        );
        assert!(!verify(&trusted, "other.example", end - 30), "another name");
        assert!(!verify(&trusted, "app.example", end + 30), "a minute later");
        assert!(
            !verify(&trusted, "app.example", end - 31 + 120),
            "and later"
        );
    }
}
