//! The names in a server's certificate.

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;
use yasna::models::ObjectIdentifier;

/// The attribute type of a common name (RFC 5280, appendix A.1).
const COMMON_NAME: [u64; 4] = [2, 5, 4, 3];

/// Which name of a certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CertificateName {
    /// The subject's common name.
    Common,
    /// The first DNS name among the subject's alternative names, else the first URI (RFC 5280 §4.2.1.6).
    Alternative,
}

impl CertificateName {
    /// The name in a certificate (DER); `None` where it has none, or is no certificate.
    pub(super) fn find(self, certificate: &[u8]) -> Option<String> {
        let certificate = CertificateDer::from(certificate);
        let certificate = EndEntityCert::try_from(&certificate).ok()?;
        match self {
            Self::Common => common_name(certificate.subject()),
            Self::Alternative => certificate
                .valid_dns_names()
                .next()
                .or_else(|| certificate.valid_uri_names().next())
                .map(str::to_owned),
        }
    }
}

/// The first common name of a subject, given as its relative names one after the other (DER).
fn common_name(subject: &[u8]) -> Option<String> {
    let name = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| writer.next().write_der(subject));
    });
    let attributes = yasna::parse_der(&name, |name| {
        name.collect_sequence_of(|relative| {
            relative.collect_set_of(|attribute| {
                attribute.read_sequence(|parts| {
                    Ok((parts.next().read_oid()?, parts.next().read_tagged_der()?))
                })
            })
        })
    })
    .ok()?;
    let common = ObjectIdentifier::from_slice(&COMMON_NAME);
    let (_, value) = attributes
        .iter()
        .flatten()
        .find(|(kind, _)| *kind == common)?;
    str::from_utf8(value.value()).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

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

        let mut params = CertificateParams::default();
        let workload = "spiffe://cluster.local/ns/shop/sa/app-v2"
            .try_into()
            .unwrap();
        params.subject_alt_names = vec![SanType::URI(workload)];
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "shop");
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der();
        assert_eq!(CertificateName::Common.find(der), None);
        assert_eq!(
            CertificateName::Alternative.find(der).as_deref(),
            Some("spiffe://cluster.local/ns/shop/sa/app-v2")
        );
    }
}
