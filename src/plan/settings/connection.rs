//! How connections are made, and what they carry.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::file::{read, unusable};
use super::{Settings, SettingsError};
use crate::plan::ConnectionUse;
use crate::plan::endpoint::Detours;
use crate::plan::target::{Dialling, Protocol};
use crate::plan::tls::{ClientIdentity, TlsError, Trust};

impl Settings {
    /// How connections are made.
    pub(super) fn dialling(&self) -> Result<Dialling, SettingsError> {
        Ok(Dialling {
            protocol: match self.http2 {
                _ if self.grpc.is_some() => Protocol::Grpc,
                Some(true) => Protocol::Http2,
                Some(false) | None => Protocol::Http1,
            },
            sni: self.sni.clone(),
            trust: self.trust()?,
            identity: self.identity()?,
            detours: Detours {
                connect_to: self.connect_to.clone(),
                resolve: self.resolve.clone(),
                unix_socket: self.unix_socket.clone(),
            },
        })
    }

    fn trust(&self) -> Result<Option<Trust>, SettingsError> {
        let path = match (self.insecure, &self.cacert) {
            (Some(true), Some(_)) => return Err(SettingsError::Trust),
            (Some(true), None) => return Ok(Some(Trust::Anyone)),
            (_, None) => return Ok(None),
            (_, Some(path)) => path,
        };
        let pem = read("--cacert", path)?;
        let trust = Trust::authorities(&pem);
        Ok(Some(trust.map_err(|why| unusable("--cacert", path, why))?))
    }

    /// What the client shows of itself; the key stands in the certificate's file where no other is named.
    fn identity(&self) -> Result<Option<Arc<ClientIdentity>>, SettingsError> {
        let Some(path) = &self.cert else {
            return match self.key {
                Some(_) => Err(SettingsError::KeyWithoutCertificate),
                None => Ok(None),
            };
        };
        let certificate = read("--cert", path)?;
        let (flag, file) = self
            .key
            .as_ref()
            .map_or(("--cert", path), |key| ("--key", key));
        let key = read(flag, file)?;
        let identity = ClientIdentity::read(&certificate, &key).map_err(|why| match why {
            TlsError::NoKey | TlsError::EncryptedKey => unusable(flag, file, why),
            why => unusable("--cert", path, why),
        })?;
        Ok(Some(Arc::new(identity)))
    }

    pub(super) fn connection_use(&self) -> Result<ConnectionUse, SettingsError> {
        let connection_use = match (self.keep_alive, self.requests_per_connection) {
            (Some(true), Some(_)) => return Err(SettingsError::ConnectionUse),
            (Some(true), None) => ConnectionUse::KeepAlive,
            (_, Some(requests)) => ConnectionUse::Requests(requests),
            (_, None) => ConnectionUse::Requests(NonZeroU64::MIN),
        };
        if self.is_sequential() && !connection_use.is_fresh() {
            return Err(SettingsError::SequentialOnSharedConnections);
        }
        Ok(connection_use)
    }
}
