//! DelegateAgreement, EndDelegation.

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_proto::egov::integration::v1::{
    DelegateAgreementRequest, DelegateAgreementResponse, EndDelegationRequest, EndDelegationResponse,
};

use super::amend_agreement::{check, load, save};
use super::create_agreement::active_system;
use super::permission::{READ_AGREEMENTS, REVOKE_AGREEMENTS, SIGN_AGREEMENTS};
use super::{AgreementDone, Integration, acting_as};
use crate::domain::agreement::{Delegation, Side};
use crate::error::Error;
use crate::{store, wire};

impl Integration {
    /// Lets another system call under the agreement; the consumer decides.
    pub(crate) async fn delegate_agreement(
        &self,
        caller: &Caller,
        body: &DelegateAgreementRequest,
    ) -> Result<DelegateAgreementResponse, Error> {
        let method = "/egov.integration.v1.AgreementService/DelegateAgreement";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let system_id = wire::id(&body.system_id, "system_id")?;
        let valid_from = wire::at(body.valid_from.as_ref(), "valid_from")?;
        let valid_to = wire::at(body.valid_to.as_ref(), "valid_to")?;
        let scope = caller.scope(READ_AGREEMENTS);
        let request = WriteRequest::by(caller, READ_AGREEMENTS, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, &scope, &body.agreement_id).await?;
                caller.require(SIGN_AGREEMENTS, &Resource::of_unit(one.unit_of(Side::Consumer)))?;
                check(&body.etag, &one)?;
                let now = unit.now();
                let system = active_system(unit.conn(), system_id)
                    .await
                    .map_err(|error| match error {
                        Error::PartyNotActive => Error::DelegationRefused,
                        other => other,
                    })?;
                let delegation = Delegation {
                    delegation_id: unit.new_id(),
                    system_id,
                    unit_id: system.responsible_unit_id,
                    methods: body.methods.clone(),
                    valid_from,
                    valid_to,
                    end_time: None,
                };
                one.delegate(delegation, now)?;
                let done = AgreementDone {
                    event: "agreement_delegated",
                    number: one.current(now).map_or(0, |version| version.number),
                    reason: &system.client_id,
                    actor: &caller.key(),
                };
                save(unit, &one, done).await?;
                store::permits::touch(unit.conn(), &[one.agreement_id]).await?;
                Ok::<_, Error>(DelegateAgreementResponse {
                    agreement: Some(wire::agreement(&one, now)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Ends a delegation at once; either side may.
    pub(crate) async fn end_delegation(
        &self,
        caller: &Caller,
        body: &EndDelegationRequest,
    ) -> Result<EndDelegationResponse, Error> {
        let method = "/egov.integration.v1.AgreementService/EndDelegation";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let delegation_id = wire::id(&body.delegation_id, "delegation_id")?;
        let scope = caller.scope(READ_AGREEMENTS);
        let request = WriteRequest::by(caller, READ_AGREEMENTS, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, &scope, &body.agreement_id).await?;
                acting_as(caller, REVOKE_AGREEMENTS, &one)?;
                let now = unit.now();
                one.end_delegation(delegation_id, now)?;
                let done = AgreementDone {
                    event: "delegation_ended",
                    number: one.current(now).map_or(0, |version| version.number),
                    reason: &body.reason,
                    actor: &caller.key(),
                };
                save(unit, &one, done).await?;
                store::permits::touch(unit.conn(), &[one.agreement_id]).await?;
                Ok::<_, Error>(EndDelegationResponse {
                    agreement: Some(wire::agreement(&one, now)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
