//! SuspendAgreement, ResumeAgreement, RevokeAgreement: what changes at once what is in force.

use egov_auth::Caller;
use egov_database::{UnitOfWork, WriteRequest};
use egov_proto::egov::integration::v1::{
    Agreement as WireAgreement, ResumeAgreementRequest, ResumeAgreementResponse, RevokeAgreementRequest,
    RevokeAgreementResponse, SuspendAgreementRequest, SuspendAgreementResponse,
};
use jiff::Timestamp;

use super::amend_agreement::{check, load, save};
use super::permission::{READ_AGREEMENTS, REVOKE_AGREEMENTS};
use super::{AgreementDone, Integration, acting_as};
use crate::domain::agreement::{Actor, Agreement, Refusal};
use crate::error::Error;
use crate::{store, wire};

/// One such act: what it is called, why, and what the domain makes of it.
struct Act<'a> {
    event: &'static str,
    reason: &'a str,
    decide: fn(&mut Agreement, Actor, &str, Timestamp) -> Result<(), Refusal>,
}

async fn act(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    (id, etag): (&str, &str),
    act: Act<'_>,
) -> Result<Option<WireAgreement>, Error> {
    let mut one = load(unit, &caller.scope(READ_AGREEMENTS), id).await?;
    let by = acting_as(caller, REVOKE_AGREEMENTS, &one)?;
    check(etag, &one)?;
    let now = unit.now();
    (act.decide)(&mut one, by, act.reason, now)?;
    let number = one
        .current(now)
        .or_else(|| one.pending(now))
        .map_or(0, |version| version.number);
    let done = AgreementDone {
        event: act.event,
        number,
        reason: act.reason,
        actor: &caller.key(),
    };
    save(unit, &one, done).await?;
    store::permits::touch(unit.conn(), &[one.agreement_id]).await?;
    Ok(Some(wire::agreement(&one, now)))
}

impl Integration {
    /// Takes an agreement out of force for a while.
    pub(crate) async fn suspend_agreement(
        &self,
        caller: &Caller,
        body: &SuspendAgreementRequest,
    ) -> Result<SuspendAgreementResponse, Error> {
        let method = "/egov.integration.v1.AgreementService/SuspendAgreement";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let request = WriteRequest::by(caller, READ_AGREEMENTS, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let suspend = Act {
                    event: "agreement_suspended",
                    reason: &body.reason,
                    decide: |one, by, reason, now| one.suspend(by, reason, now),
                };
                let agreement = act(unit, caller, (&body.agreement_id, &body.etag), suspend).await?;
                Ok::<_, Error>(SuspendAgreementResponse { agreement })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Puts a suspended agreement back into force.
    pub(crate) async fn resume_agreement(
        &self,
        caller: &Caller,
        body: &ResumeAgreementRequest,
    ) -> Result<ResumeAgreementResponse, Error> {
        let method = "/egov.integration.v1.AgreementService/ResumeAgreement";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let request = WriteRequest::by(caller, READ_AGREEMENTS, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let resume = Act {
                    event: "agreement_resumed",
                    reason: &body.reason,
                    decide: |one, by, _, now| one.resume(by, now),
                };
                let agreement = act(unit, caller, (&body.agreement_id, &body.etag), resume).await?;
                Ok::<_, Error>(ResumeAgreementResponse { agreement })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Ends an agreement for good.
    pub(crate) async fn revoke_agreement(
        &self,
        caller: &Caller,
        body: &RevokeAgreementRequest,
    ) -> Result<RevokeAgreementResponse, Error> {
        let method = "/egov.integration.v1.AgreementService/RevokeAgreement";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let request = WriteRequest::by(caller, READ_AGREEMENTS, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let revoke = Act {
                    event: "agreement_revoked",
                    reason: &body.reason,
                    decide: |one, _, reason, now| one.revoke(reason, now),
                };
                let agreement = act(unit, caller, (&body.agreement_id, &body.etag), revoke).await?;
                Ok::<_, Error>(RevokeAgreementResponse { agreement })
            })
            .await?;
        Ok(written.into_answer())
    }
}
