//! RegisterSystem.

use egov_auth::{Caller, Resource};
use egov_database::{WriteRequest, violates};
use egov_proto::egov::integration::v1::{RegisterSystemRequest, RegisterSystemResponse};

use super::permission::MANAGE_DIRECTORY;
use super::{Done, Integration, record};
use crate::domain::organisation::Standing;
use crate::domain::system::System;
use crate::error::Error;
use crate::store::StoreError;
use crate::{store, wire};

const METHOD: &str = "/egov.integration.v1.SystemService/RegisterSystem";

impl Integration {
    /// Enters a system of an organisation, at most once for a request id.
    pub(crate) async fn register_system(
        &self,
        caller: &Caller,
        body: &RegisterSystemRequest,
    ) -> Result<RegisterSystemResponse, Error> {
        let request_id = wire::id(&body.request_id, "request_id")?;
        let organisation_id = wire::id(&body.organisation_id, "organisation_id")?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, METHOD, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let organisation = store::organisations::get(unit.conn(), organisation_id)
                    .await?
                    .ok_or(Error::OrganisationNotFound)?;
                caller.require(MANAGE_DIRECTORY, &Resource::of_unit(organisation.responsible_unit_id))?;
                if organisation.state == Standing::Closed {
                    return Err(Error::StateNotAllowed);
                }
                let now = unit.now();
                let one = System {
                    system_id: unit.new_id(),
                    organisation_id,
                    responsible_unit_id: organisation.responsible_unit_id,
                    name: body.name.trim().to_owned(),
                    client_id: body.client_id.clone(),
                    subsystem_code: body.subsystem_code.clone(),
                    state: Standing::Active,
                    certificates: Vec::new(),
                    keys: Vec::new(),
                    version: 1,
                    create_time: now,
                    update_time: now,
                };
                store::systems::insert(unit.conn(), &one)
                    .await
                    .map_err(|error| match &error {
                        StoreError::Sql(sql) if violates(sql, "systems_client") => Error::ClientTaken,
                        StoreError::Sql(sql) if violates(sql, "systems_subsystem") => Error::SubsystemTaken,
                        _ => error.into(),
                    })?;
                let done = Done {
                    kind: "system",
                    id: one.system_id,
                    unit_id: one.responsible_unit_id,
                    version: 1,
                    event: "system_registered",
                    reason: "",
                    actor: caller.key(),
                };
                record(unit, done, &one).await?;
                Ok::<_, Error>(RegisterSystemResponse {
                    system: Some(wire::system(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
