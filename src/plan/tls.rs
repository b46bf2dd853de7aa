//! What TLS is to prove: the name that the peer must own, who vouches for it, and who this client is.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

/// How connections are secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Sent as SNI where it is a name, and what the peer's certificate must be for.
    pub server_name: ServerName<'static>,
    /// Who vouches for the certificate.
    pub trust: Trust,
    /// What this client shows of itself, where it is asked to (`--cert`).
    pub identity: Option<Arc<ClientIdentity>>,
}

/// A client's certificate and its key.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate, and those that lead from it to an authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

impl ClientIdentity {
    /// Reads a certificate chain and a key in PEM form.
    ///
    /// # Errors
    /// One of them is missing, broken or encrypted.
    pub fn read(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let encrypted = b"ENCRYPTED";
        if key.windows(encrypted.len()).any(|part| part == encrypted) {
            return Err(TlsError::EncryptedKey);
        }
        Ok(Self {
            chain: certificates(certificate)?,
            key: PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?,
        })
    }
}

/// Who vouches for a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that this machine trusts, or Mozilla's where it has none.
    #[default]
    System,
    /// These authorities alone (`--cacert`).
    Authorities(Vec<CertificateDer<'static>>),
    /// Nobody: any certificate will do (`-k`).
    Anyone,
}

/// Why TLS cannot be set up as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// Neither a DNS name nor an address.
    #[error("{flag} '{name}' is not a DNS name that TLS can ask for: give one with --sni NAME")]
    ServerName {
        /// Where the name comes from.
        flag: &'static str,
        /// The name.
        name: String,
    },
    /// No certificate in PEM form.
    #[error("it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// No private key in PEM form.
    #[error("it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// A key that only a passphrase opens.
    #[error("its private key is encrypted: give it decrypted (openssl pkey -in KEY -out PLAIN)")]
    EncryptedKey,
    /// A certificate in PEM form that is broken.
    #[error("a certificate in it cannot be read: {0}")]
    Certificate(String),
}

impl Tls {
    /// Secures connections to the peer that `name` names; `flag` says where the name comes from.
    ///
    /// # Errors
    /// `name` is neither a DNS name nor an address.
    pub fn new(flag: &'static str, name: &str, trust: Trust) -> Result<Self, TlsError> {
        let server_name = ServerName::try_from(name)
            .map_err(|_| TlsError::ServerName {
                flag,
                name: name.escape_debug().to_string(),
            })?
            .to_owned();
        Ok(Self {
            server_name,
            trust,
            identity: None,
        })
    }
}

impl Trust {
    /// Trusts the certificates of a PEM file alone.
    ///
    /// # Errors
    /// It holds none, or a broken one.
    pub fn authorities(pem: &[u8]) -> Result<Self, TlsError> {
        Ok(Self::Authorities(certificates(pem)?))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Certificate(error.to_string()))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_certificate_could_be_for_is_refused() {
        assert!(Tls::new("--sni", "shop.example", Trust::System).is_ok());
        assert!(Tls::new("the URL's host", "::1", Trust::System).is_ok());
        let error = Tls::new("--sni", "a b", Trust::System).unwrap_err();
        assert!(error.to_string().contains("--sni 'a b'"), "{error}");
    }

    #[test]
    fn a_file_without_certificates_is_no_authority() {
        assert_eq!(Trust::authorities(b"hello"), Err(TlsError::NoCertificate));
        let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            Trust::authorities(broken),
            Err(TlsError::Certificate(_))
        ));
    }

    #[test]
    fn a_client_needs_a_certificate_and_a_key_that_is_not_encrypted() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["me".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let both = format!("{certificate}{}", key.serialize_pem());
        let read = |certificate: &str, key: &str| {
            ClientIdentity::read(certificate.as_bytes(), key.as_bytes()).map(|own| own.chain.len())
        };
        assert_eq!(read(&both, &both), Ok(1));
        assert_eq!(read(&certificate, &certificate), Err(TlsError::NoKey));
        assert_eq!(
            read(&key.serialize_pem(), &both),
            Err(TlsError::NoCertificate)
        );
        let sealed =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(read(&certificate, sealed), Err(TlsError::EncryptedKey));
    }
}
