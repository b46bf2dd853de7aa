//! The names in a server's certificate.

use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// Which name of a certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CertificateName {
    /// The subject's common name.
    Common,
    /// The first DNS name or URI among the subject's alternative names (RFC 5280 §4.2.1.6).
    Alternative,
}

impl CertificateName {
    /// The name in a certificate (DER); `None` where it has none, or is no certificate.
    pub(super) fn find(self, certificate: &[u8]) -> Option<String> {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        match self {
            Self::Common => {
                let name = certificate.subject().iter_common_name().next()?;
                name.as_str().ok().map(str::to_owned)
            }
            Self::Alternative => {
                let names = certificate.subject_alternative_name().ok()??;
                names
                    .value
                    .general_names
                    .iter()
                    .find_map(|name| match name {
                        GeneralName::DNSName(name) | GeneralName::URI(name) => {
                            Some((*name).to_owned())
                        }
                        _ => None,
                    })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn names_stand_in_the_subject_and_beside_it() {
        let mut params = CertificateParams::new(vec!["v1.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "app-v1");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der();
        assert_eq!(CertificateName::Common.find(der).as_deref(), Some("app-v1"));
        assert_eq!(
            CertificateName::Alternative.find(der).as_deref(),
            Some("v1.example")
        );
        assert_eq!(CertificateName::Common.find(&der[1..]), None);
    }
}
