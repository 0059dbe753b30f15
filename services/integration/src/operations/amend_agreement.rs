//! AmendAgreement, OfferAgreement.

use egov_auth::{Caller, RowScope};
use egov_database::{UnitOfWork, WriteRequest};
use egov_proto::egov::integration::v1::{
    AmendAgreementRequest, AmendAgreementResponse, OfferAgreementRequest, OfferAgreementResponse,
};

use super::create_agreement::settle;
use super::permission::{MANAGE_AGREEMENTS, READ_AGREEMENTS};
use super::{AgreementDone, Integration, acting_as, check_etag, record_agreement};
use crate::domain::agreement::Agreement;
use crate::error::Error;
use crate::{store, wire};

/// The agreement that the caller is about to change; its version already raised.
pub(super) async fn load(unit: &mut UnitOfWork<'_>, scope: &RowScope, id: &str) -> Result<Agreement, Error> {
    let agreement_id = wire::id(id, "agreement_id")?;
    let mut one = store::agreements::get(unit.conn(), agreement_id, scope)
        .await?
        .ok_or(Error::AgreementNotFound)?;
    one.version += 1;
    one.update_time = unit.now();
    Ok(one)
}

/// Refuses if what the caller read is not what was there before [`load`] raised the version.
pub(super) fn check(etag: &str, one: &Agreement) -> Result<(), Error> {
    check_etag(etag, one.version - 1)
}

/// Stores a changed agreement with its history.
pub(super) async fn save(unit: &mut UnitOfWork<'_>, one: &Agreement, done: AgreementDone<'_>) -> Result<(), Error> {
    store::agreements::update(unit.conn(), one).await?;
    record_agreement(unit, one, done).await
}

impl Integration {
    /// Writes the next version; what is in force stays so till both have signed it.
    pub(crate) async fn amend_agreement(
        &self,
        caller: &Caller,
        body: &AmendAgreementRequest,
    ) -> Result<AmendAgreementResponse, Error> {
        let method = "/egov.integration.v1.AgreementService/AmendAgreement";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let terms = wire::terms(&body.terms.clone().unwrap_or_default())?;
        let scope = caller.scope(READ_AGREEMENTS);
        let request = WriteRequest::by(caller, READ_AGREEMENTS, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, &scope, &body.agreement_id).await?;
                acting_as(caller, MANAGE_AGREEMENTS, &one)?;
                check(&body.etag, &one)?;
                let now = unit.now();
                let id = (one.agreement_id, one.next_version());
                let (terms, canonical) = settle(unit.conn(), id, &one.parties, terms, now).await?;
                let number = one.amend(terms, canonical, now)?;
                let done = AgreementDone {
                    event: "agreement_amended",
                    number,
                    reason: "",
                    actor: &caller.key(),
                };
                save(unit, &one, done).await?;
                Ok::<_, Error>(AmendAgreementResponse {
                    agreement: Some(wire::agreement(&one, now)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Lays the pending version before both sides.
    pub(crate) async fn offer_agreement(
        &self,
        caller: &Caller,
        body: &OfferAgreementRequest,
    ) -> Result<OfferAgreementResponse, Error> {
        let method = "/egov.integration.v1.AgreementService/OfferAgreement";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let scope = caller.scope(READ_AGREEMENTS);
        let request = WriteRequest::by(caller, READ_AGREEMENTS, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, &scope, &body.agreement_id).await?;
                acting_as(caller, MANAGE_AGREEMENTS, &one)?;
                check(&body.etag, &one)?;
                let now = unit.now();
                let number = one.offer(now)?;
                let done = AgreementDone {
                    event: "agreement_offered",
                    number,
                    reason: "",
                    actor: &caller.key(),
                };
                save(unit, &one, done).await?;
                Ok::<_, Error>(OfferAgreementResponse {
                    agreement: Some(wire::agreement(&one, now)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
