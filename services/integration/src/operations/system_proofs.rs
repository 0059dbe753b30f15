//! AddCertificate, WithdrawCertificate, AddSigningKey, WithdrawSigningKey.

use egov_auth::Caller;
use egov_database::{WriteRequest, violates};
use egov_proto::egov::integration::v1::{
    AddCertificateRequest, AddCertificateResponse, AddSigningKeyRequest, AddSigningKeyResponse,
    WithdrawCertificateRequest, WithdrawCertificateResponse, WithdrawSigningKeyRequest, WithdrawSigningKeyResponse,
};

use super::change_system::{load, save};
use super::permission::MANAGE_DIRECTORY;
use super::{Integration, touch_systems};
use crate::domain::system::{Certificate, SigningKey, read_certificate, read_key};
use crate::error::Error;
use crate::store::StoreError;
use crate::{store, wire};

impl Integration {
    /// Registers a client certificate beside those there are.
    pub(crate) async fn add_certificate(
        &self,
        caller: &Caller,
        body: &AddCertificateRequest,
    ) -> Result<AddCertificateResponse, Error> {
        let method = "/egov.integration.v1.SystemService/AddCertificate";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, caller, &body.system_id, &body.etag).await?;
                let now = unit.now();
                let read = read_certificate(&body.certificate_pem, now).map_err(Error::CertificateRefused)?;
                let certificate_id = unit.new_id();
                store::systems::insert_certificate(unit.conn(), &one, certificate_id, &read, now)
                    .await
                    .map_err(|error| match &error {
                        StoreError::Sql(sql) if violates(sql, "system_certificates_thumbprint") => {
                            Error::CertificateTaken
                        }
                        _ => error.into(),
                    })?;
                one.certificates.push(Certificate {
                    certificate_id,
                    thumbprint: read.thumbprint,
                    subject: read.subject,
                    not_before: read.not_before,
                    not_after: read.not_after,
                    withdraw_time: None,
                });
                save(unit, caller, &one, "certificate_added", "").await?;
                touch_systems(unit.conn(), &[one.system_id]).await?;
                Ok::<_, Error>(AddCertificateResponse {
                    system: Some(wire::system(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Ends a certificate at once.
    pub(crate) async fn withdraw_certificate(
        &self,
        caller: &Caller,
        body: &WithdrawCertificateRequest,
    ) -> Result<WithdrawCertificateResponse, Error> {
        let method = "/egov.integration.v1.SystemService/WithdrawCertificate";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let certificate_id = wire::id(&body.certificate_id, "certificate_id")?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, caller, &body.system_id, &body.etag).await?;
                let now = unit.now();
                if !store::systems::withdraw_certificate(unit.conn(), one.system_id, certificate_id, now).await? {
                    return Err(Error::CertificateNotFound);
                }
                let held = one
                    .certificates
                    .iter_mut()
                    .find(|held| held.certificate_id == certificate_id);
                if let Some(held) = held {
                    held.withdraw_time = Some(now);
                }
                save(unit, caller, &one, "certificate_withdrawn", &body.reason).await?;
                touch_systems(unit.conn(), &[one.system_id]).await?;
                Ok::<_, Error>(WithdrawCertificateResponse {
                    system: Some(wire::system(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Registers a key for agreements.
    pub(crate) async fn add_signing_key(
        &self,
        caller: &Caller,
        body: &AddSigningKeyRequest,
    ) -> Result<AddSigningKeyResponse, Error> {
        let method = "/egov.integration.v1.SystemService/AddSigningKey";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let valid_to = wire::at(body.valid_to.as_ref(), "valid_to")?;
        let valid_from = body
            .valid_from
            .as_ref()
            .map(|from| wire::at(Some(from), "valid_from"))
            .transpose()?;
        let (key_id, public_jwk) = read_key(&body.public_jwk).map_err(Error::SigningKeyRefused)?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, caller, &body.system_id, &body.etag).await?;
                let now = unit.now();
                let key = SigningKey {
                    key_id,
                    public_jwk,
                    valid_from: valid_from.unwrap_or(now),
                    valid_to,
                    withdraw_time: None,
                };
                if key.valid_to <= key.valid_from || key.valid_to <= now {
                    return Err(Error::SigningKeyRefused("it ends before it begins, or is over already"));
                }
                store::systems::insert_key(unit.conn(), &one, &key, now)
                    .await
                    .map_err(|error| match &error {
                        StoreError::Sql(sql) if violates(sql, "signing_keys_id") => Error::SigningKeyTaken,
                        _ => error.into(),
                    })?;
                one.keys.push(key);
                save(unit, caller, &one, "signing_key_added", "").await?;
                Ok::<_, Error>(AddSigningKeyResponse {
                    system: Some(wire::system(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Ends a key at once; what it signed stays signed.
    pub(crate) async fn withdraw_signing_key(
        &self,
        caller: &Caller,
        body: &WithdrawSigningKeyRequest,
    ) -> Result<WithdrawSigningKeyResponse, Error> {
        let method = "/egov.integration.v1.SystemService/WithdrawSigningKey";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, caller, &body.system_id, &body.etag).await?;
                let now = unit.now();
                if !store::systems::withdraw_key(unit.conn(), one.system_id, &body.key_id, now).await? {
                    return Err(Error::SigningKeyNotFound);
                }
                if let Some(held) = one.keys.iter_mut().find(|held| held.key_id == body.key_id) {
                    held.withdraw_time = Some(now);
                }
                save(unit, caller, &one, "signing_key_withdrawn", &body.reason).await?;
                Ok::<_, Error>(WithdrawSigningKeyResponse {
                    system: Some(wire::system(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
