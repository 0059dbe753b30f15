//! CreateAgreement.

use egov_auth::Caller;
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::integration::v1::{CreateAgreementRequest, CreateAgreementResponse};
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::permission::{MANAGE_AGREEMENTS, READ_AGREEMENTS};
use super::{AgreementDone, Integration, acting_as, record_agreement};
use crate::domain::agreement::{Agreement, Status};
use crate::domain::organisation::Standing;
use crate::domain::service::{Service, ServiceState};
use crate::domain::system::System;
use crate::domain::terms::{Parties, Terms, check, document};
use crate::error::Error;
use crate::{store, wire};

const METHOD: &str = "/egov.integration.v1.AgreementService/CreateAgreement";

/// A system that takes part now, as its organisation does.
pub(super) async fn active_system(conn: &mut PgConnection, system_id: Uuid) -> Result<System, Error> {
    let system = store::systems::get(&mut *conn, system_id)
        .await?
        .ok_or(Error::SystemNotFound)?;
    let organisation = store::organisations::get(conn, system.organisation_id)
        .await?
        .ok_or(Error::OrganisationNotFound)?;
    if system.state == Standing::Active && organisation.state == Standing::Active {
        Ok(system)
    } else {
        Err(Error::PartyNotActive)
    }
}

/// A service that is offered.
async fn offered_service(conn: &mut PgConnection, service_id: Uuid) -> Result<Service, Error> {
    let service = store::services::get(conn, service_id)
        .await?
        .ok_or(Error::ServiceNotFound)?;
    if service.state == ServiceState::Closed {
        return Err(Error::PartyNotActive);
    }
    Ok(service)
}

/// Checks terms by the interface that they are about, and writes what both sides will sign.
pub(super) async fn settle(
    conn: &mut PgConnection,
    (agreement_id, number): (Uuid, i64),
    parties: &Parties,
    mut terms: Terms,
    now: Timestamp,
) -> Result<(Terms, String), Error> {
    let service = offered_service(&mut *conn, parties.service_id).await?;
    if terms.interface_version == 0 {
        terms.interface_version = service.interface_version;
    }
    let (interface, bytes) = store::services::interface(conn, service.service_id, terms.interface_version)
        .await?
        .ok_or(Error::InterfaceNotFound)?;
    let shape = service.kind.shape(&bytes).map_err(Error::InterfaceRefused)?;
    let problems = check(&terms, &shape, now);
    if !problems.is_empty() {
        return Err(Error::TermsRefused(problems));
    }
    let canonical = document(agreement_id, number, parties, &interface.sha256, &terms).map_err(Fault::internal)?;
    Ok((terms, canonical))
}

impl Integration {
    /// Drafts an agreement for either side, at most once for a request id.
    pub(crate) async fn create_agreement(
        &self,
        caller: &Caller,
        body: &CreateAgreementRequest,
    ) -> Result<CreateAgreementResponse, Error> {
        let request_id = wire::id(&body.request_id, "request_id")?;
        let consumer_id = wire::id(&body.consumer_system_id, "consumer_system_id")?;
        let service_id = wire::id(&body.service_id, "service_id")?;
        let terms = wire::terms(&body.terms.clone().unwrap_or_default())?;
        let request = WriteRequest::by(caller, READ_AGREEMENTS, METHOD, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let now = unit.now();
                let service = offered_service(unit.conn(), service_id).await?;
                let provider = active_system(unit.conn(), service.system_id).await?;
                let consumer = active_system(unit.conn(), consumer_id).await?;
                if consumer.system_id == provider.system_id {
                    return Err(Error::PartyNotActive);
                }
                let mut one = Agreement {
                    agreement_id: unit.new_id(),
                    parties: Parties {
                        consumer_organisation_id: consumer.organisation_id,
                        consumer_system_id: consumer.system_id,
                        provider_organisation_id: provider.organisation_id,
                        provider_system_id: provider.system_id,
                        service_id,
                    },
                    consumer_unit_id: consumer.responsible_unit_id,
                    provider_unit_id: provider.responsible_unit_id,
                    status: Status::Open,
                    end_reason: String::new(),
                    versions: Vec::new(),
                    delegations: Vec::new(),
                    version: 1,
                    create_time: now,
                    update_time: now,
                };
                acting_as(caller, MANAGE_AGREEMENTS, &one)?;
                let id = (one.agreement_id, one.next_version());
                let (terms, canonical) = settle(unit.conn(), id, &one.parties, terms, now).await?;
                let number = one.amend(terms, canonical, now)?;
                store::agreements::insert(unit.conn(), &one).await?;
                let done = AgreementDone {
                    event: "agreement_drafted",
                    number,
                    reason: "",
                    actor: &caller.key(),
                };
                record_agreement(unit, &one, done).await?;
                Ok::<_, Error>(CreateAgreementResponse {
                    agreement: Some(wire::agreement(&one, now)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
