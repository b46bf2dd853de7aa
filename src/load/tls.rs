//! TLS by rustls: who is trusted, what ALPN offers, and what its errors mean to a person.

use std::io;
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use crate::format::{TOLD, cut};
use crate::plan::target::Protocol;
use crate::plan::tls::{Tls, Trust};

/// What every connection's handshake is done with.
///
/// No session is resumed, so that each connection is as fresh to the ingress as a new client's.
///
/// # Errors
/// An authority's certificate cannot be used, or the client's key is not its certificate's.
pub fn connector(tls: &Tls, protocol: Protocol) -> io::Result<TlsConnector> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let chains = match &tls.trust {
        Trust::Anyone => None,
        Trust::System => Some(Chains::new(system_roots(), &[], &provider)?),
        Trust::Authorities(certificates) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                roots.add(certificate.clone()).map_err(|error| {
                    io::Error::other(format!("--cacert: a certificate cannot be used: {error}"))
                })?;
            }
            Some(Chains::new(roots, certificates, &provider)?)
        }
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { chains, provider }));
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(|error| {
                io::Error::other(format!(
                    "--cert and --key do not belong together: {error}; give the key of the first certificate in --cert"
                ))
            })?,
    };
    config.resumption = Resumption::disabled();
    // Of what else a service speaks its client says no name here.
    let alpn = protocol.alpn().map(|name| name.as_bytes().to_vec());
    config.alpn_protocols = alpn.into_iter().collect();
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
pub fn explain(error: &io::Error) -> String {
    // A certificate may hold thousands of names.
    let message = cut(&error.to_string(), TOLD);
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    let remedy = match tls {
        Some(Error::InvalidCertificate(why)) => match why {
            CertificateError::UnknownIssuer => {
                "trust its authority with --cacert FILE (-k accepts any certificate)"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "ask for the name that the certificate is for with --sni NAME (-k accepts any certificate)"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew the certificate (-k accepts any)"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "check this machine's clock (-k accepts any certificate)"
            }
            why if is_authority_as_leaf(why) => {
                "it is self-signed: trust it with --cacert FILE (-k accepts any certificate)"
            }
            _ => "give a certificate that can be verified with --cacert FILE (-k accepts any)",
        },
        Some(Error::InvalidMessage(_)) => {
            "if the port does not speak TLS, write the URL as http:// or tcp://"
        }
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            "the ingress does not speak this version of HTTP here: add --http2, or drop it"
        }
        Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            "the ingress has no such name: check --host or --sni"
        }
        Some(Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            "the ingress demands a client's certificate: give one with --cert FILE and --key FILE"
        }
        Some(Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied,
        )) => "the ingress refuses the client's certificate: check --cert",
        _ => return format!("the TLS handshake failed: {message}"),
    };
    format!("the TLS handshake failed: {message}; {remedy}")
}

/// Whether a certificate that may sign others was shown as a server's own, as `openssl req -x509` makes it.
fn is_authority_as_leaf(why: &CertificateError) -> bool {
    let CertificateError::Other(other) = why else {
        return false;
    };
    matches!(
        other.0.downcast_ref(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
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
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.chains {
            // A stapled OCSP response is looked at by nobody: rustls checks revocation by lists alone.
            Some(chains) => chains.verify(end_entity, intermediates, server_name, now),
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
    /// Certificates that are trusted themselves, though they may be authorities.
    own: Vec<CertificateDer<'static>>,
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
    fn new(
        roots: RootCertStore,
        own: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> io::Result<Self> {
        let provider = Arc::clone(provider);
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self {
            web_pki: builder.build().map_err(io::Error::other)?,
            own: own.to_vec(),
            last: Mutex::default(),
        })
    }

    /// As [`ServerCertVerifier::verify_server_cert`].
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
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
        let verified = self
            .web_pki
            .verify_server_cert(end_entity, intermediates, name, &[], now);
        let verified = match verified {
            // Found last, after its dates: a certificate that --cacert holds is trusted, as curl trusts it,
            // for its own name.
            Err(Error::InvalidCertificate(why))
                if is_authority_as_leaf(&why) && self.own.iter().any(|own| own == end_entity) =>
            {
                let leaf = ParsedCertificate::try_from(end_entity)?;
                verify_server_name(&leaf, name)?;
                ServerCertVerified::assertion()
            }
            verified => verified?,
        };
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
    fn of_a_certificate_with_thousands_of_names_a_few_are_told_and_the_remedy() {
        let error = Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("app.example").unwrap(),
            presented: (0..5000)
                .map(|at| format!("DNS:\"{at}.example\""))
                .collect(),
        });
        let message = explain(&io::Error::new(io::ErrorKind::InvalidData, error));
        assert!(message.len() < 700, "{}", message.len());
        assert!(
            message.contains("app.example") && message.ends_with("(-k accepts any certificate)")
        );
    }

    #[test]
    fn what_was_verified_holds_for_its_name_and_a_minute_alone() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let chains = Some(Chains::new(roots, &[], &provider).unwrap());
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

    /// As `openssl req -x509` makes it: its own issuer, and an authority.
    #[test]
    fn a_self_signed_certificate_is_trusted_itself_for_its_name_and_its_dates() {
        let mut params = CertificateParams::new(vec!["app.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 1, 2);
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let other = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let trusted = [own.der().clone()];
        let end = u64::try_from(params.not_after.unix_timestamp()).unwrap();
        let verify = |certificate: &rcgen::Certificate, name: &'static str, seconds| {
            // A new one each time, since what was verified is remembered.
            let chains = Chains::new(roots.clone(), &trusted, &provider).unwrap();
            let name = ServerName::try_from(name).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            chains.verify(certificate.der(), &[], &name, now).is_ok()
        };
        assert!(verify(&own, "app.example", end - 30));
        assert!(!verify(&own, "other.example", end - 30));
        assert!(!verify(&own, "app.example", end + 30), "expired");
        assert!(!verify(&other, "app.example", end - 30), "not in the file");
    }
}
