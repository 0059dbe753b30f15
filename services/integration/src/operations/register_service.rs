//! RegisterService.

use egov_auth::{Caller, Resource};
use egov_database::{WriteRequest, violates};
use egov_proto::egov::integration::v1::{RegisterServiceRequest, RegisterServiceResponse};

use super::permission::MANAGE_DIRECTORY;
use super::{Done, Integration, record};
use crate::domain::organisation::Standing;
use crate::domain::service::{Service, ServiceState};
use crate::error::Error;
use crate::store::StoreError;
use crate::{store, wire};

const METHOD: &str = "/egov.integration.v1.InterfaceService/RegisterService";

impl Integration {
    /// Enters a service of a system, at most once for a request id.
    pub(crate) async fn register_service(
        &self,
        caller: &Caller,
        body: &RegisterServiceRequest,
    ) -> Result<RegisterServiceResponse, Error> {
        let request_id = wire::id(&body.request_id, "request_id")?;
        let system_id = wire::id(&body.system_id, "system_id")?;
        let kind = wire::interface_kind(body.kind)?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, METHOD, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let system = store::systems::get(unit.conn(), system_id)
                    .await?
                    .ok_or(Error::SystemNotFound)?;
                caller.require(MANAGE_DIRECTORY, &Resource::of_unit(system.responsible_unit_id))?;
                if system.state == Standing::Closed {
                    return Err(Error::StateNotAllowed);
                }
                let now = unit.now();
                let one = Service {
                    service_id: unit.new_id(),
                    system_id,
                    organisation_id: system.organisation_id,
                    responsible_unit_id: system.responsible_unit_id,
                    code: body.code.clone(),
                    title: body.title.trim().to_owned(),
                    kind,
                    state: ServiceState::Active,
                    interface_version: 0,
                    version: 1,
                    create_time: now,
                    update_time: now,
                };
                store::services::insert(unit.conn(), &one)
                    .await
                    .map_err(|error| match &error {
                        StoreError::Sql(sql) if violates(sql, "services_code") => Error::ServiceCodeTaken,
                        _ => error.into(),
                    })?;
                let done = Done {
                    kind: "service",
                    id: one.service_id,
                    unit_id: one.responsible_unit_id,
                    version: 1,
                    event: "service_registered",
                    reason: "",
                    actor: caller.key(),
                };
                record(unit, done, &one).await?;
                Ok::<_, Error>(RegisterServiceResponse {
                    service: Some(wire::service(&one, &[])),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
