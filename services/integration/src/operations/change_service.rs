//! UpdateService.

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::integration::v1::{UpdateServiceRequest, UpdateServiceResponse};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::permission::MANAGE_DIRECTORY;
use super::{Done, Integration, check_etag, record};
use crate::domain::canonical::NotCanonical;
use crate::domain::commitment::of_interface;
use crate::domain::endpoint::Endpoint;
use crate::domain::service::{Interface, Service};
use crate::error::Error;
use crate::{store, wire};

/// What a leaf and the history of a service commit to: the service with its endpoints and every version of its interface.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    pub(super) service: &'a Service,
    pub(super) endpoints: &'a [Endpoint],
    /// By [`published`].
    pub(super) interfaces: Vec<Value>,
}

/// Every version of a service's interface, the newest first, as the leaf of a change commits to it.
pub(super) fn published(interfaces: &[Interface]) -> Result<Vec<Value>, NotCanonical> {
    interfaces.iter().map(of_interface).collect()
}

/// The service that the caller is about to change; its version already raised.
pub(super) async fn load(unit: &mut UnitOfWork<'_>, caller: &Caller, service_id: Uuid) -> Result<Service, Error> {
    let mut one = store::services::get(unit.conn(), service_id)
        .await?
        .ok_or(Error::ServiceNotFound)?;
    caller.require(MANAGE_DIRECTORY, &Resource::of_unit(one.responsible_unit_id))?;
    one.version += 1;
    one.update_time = unit.now();
    Ok(one)
}

/// Refuses if what the caller read is not what was there before [`load`] raised the version.
pub(super) fn check(etag: &str, one: &Service) -> Result<(), Error> {
    check_etag(etag, one.version - 1)
}

/// Stores a changed service with its history; its endpoints are the answer.
pub(super) async fn save(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    one: &Service,
    event: &'static str,
    reason: &str,
) -> Result<Vec<Endpoint>, Error> {
    store::services::update(unit.conn(), one).await?;
    let endpoints = store::endpoints::of_services(unit.conn(), Some(&[one.service_id])).await?;
    let done = Done {
        kind: "service",
        id: one.service_id,
        unit_id: one.responsible_unit_id,
        version: one.version,
        event,
        reason,
        actor: caller.key(),
    };
    let interfaces = store::services::interfaces(unit.conn(), one.service_id, None, i64::MAX).await?;
    let entry = Entry {
        service: one,
        endpoints: &endpoints,
        interfaces: published(&interfaces).map_err(Fault::internal)?,
    };
    record(unit, done, &entry).await?;
    Ok(endpoints)
}

impl Integration {
    /// Changes title and state; when a service is closed its agreements follow.
    pub(crate) async fn update_service(
        &self,
        caller: &Caller,
        body: &UpdateServiceRequest,
    ) -> Result<UpdateServiceResponse, Error> {
        let method = "/egov.integration.v1.InterfaceService/UpdateService";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let service_id = wire::id(&body.service_id, "service_id")?;
        let state = wire::service_state(body.state)?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, caller, service_id).await?;
                check(&body.etag, &one)?;
                if !one.state.may_become(state) {
                    return Err(Error::StateNotAllowed);
                }
                let changed = one.state != state;
                one.state = state;
                body.title.trim().clone_into(&mut one.title);
                let endpoints = save(unit, caller, &one, "service_updated", &body.reason).await?;
                if changed {
                    let agreements = store::agreements::of_service(unit.conn(), service_id).await?;
                    store::permits::touch(unit.conn(), &agreements).await?;
                }
                Ok::<_, Error>(UpdateServiceResponse {
                    service: Some(wire::service(&one, &endpoints)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
