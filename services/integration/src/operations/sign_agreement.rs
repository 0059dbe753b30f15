//! SignAgreement.

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_proto::egov::integration::v1::{SignAgreementRequest, SignAgreementResponse};

use super::amend_agreement::{load, save};
use super::permission::{READ_AGREEMENTS, SIGN_AGREEMENTS};
use super::{AgreementDone, Integration};
use crate::domain::agreement::Signature;
use crate::domain::signature::{Jws, SignatureRefusal};
use crate::error::Error;
use crate::{store, wire};

const METHOD: &str = "/egov.integration.v1.AgreementService/SignAgreement";

impl Integration {
    /// Signs the pending version for one side. With the second signature it comes into force on its day.
    pub(crate) async fn sign_agreement(
        &self,
        caller: &Caller,
        body: &SignAgreementRequest,
    ) -> Result<SignAgreementResponse, Error> {
        let request_id = wire::id(&body.request_id, "request_id")?;
        let side = wire::side(body.side)?;
        let scope = caller.scope(READ_AGREEMENTS);
        let request = WriteRequest::by(caller, READ_AGREEMENTS, METHOD, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, &scope, &body.agreement_id).await?;
                caller.require(SIGN_AGREEMENTS, &Resource::of_unit(one.unit_of(side)))?;
                let now = unit.now();
                let pending = one.may_sign(side, body.agreement_version, now)?;
                let jws = Jws::read(&body.jws, pending.canonical.as_bytes()).map_err(Error::SignatureRefused)?;
                let key = store::systems::key_of(unit.conn(), one.organisation_of(side), &jws.key_id)
                    .await?
                    .filter(|key| key.valid(now))
                    .ok_or(Error::SignatureRefused(SignatureRefusal::UnknownKey))?;
                jws.verify(&key.public_jwk).map_err(Error::SignatureRefused)?;
                let signature = Signature {
                    side,
                    key_id: key.key_id,
                    jws: jws.detached,
                    sign_time: now,
                };
                let actor = caller.key();
                let agreed = one.sign(signature.clone(), now)?;
                let done = AgreementDone {
                    event: if agreed { "agreement_agreed" } else { "agreement_signed" },
                    number: body.agreement_version,
                    reason: side.as_str(),
                    actor: &actor,
                };
                save(unit, &one, done).await?;
                store::agreements::insert_signature(unit.conn(), &one, body.agreement_version, &signature, &actor)
                    .await?;
                if agreed {
                    store::permits::touch(unit.conn(), &[one.agreement_id]).await?;
                }
                Ok::<_, Error>(SignAgreementResponse {
                    agreement: Some(wire::agreement(&one, now)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
