//! AddEndpoint, ChangeEndpoint.

use egov_auth::Caller;
use egov_database::WriteRequest;
use egov_proto::egov::integration::v1::{
    AddEndpointRequest, AddEndpointResponse, ChangeEndpointRequest, ChangeEndpointResponse,
};

use super::Integration;
use super::change_service::{load, save};
use super::permission::MANAGE_DIRECTORY;
use crate::domain::endpoint::{Endpoint, EndpointState, check_url, place_of};
use crate::domain::service::ServiceState;
use crate::error::Error;
use crate::{store, wire};

impl Integration {
    /// Adds an address of a service.
    pub(crate) async fn add_endpoint(
        &self,
        caller: &Caller,
        body: &AddEndpointRequest,
    ) -> Result<AddEndpointResponse, Error> {
        let method = "/egov.integration.v1.InterfaceService/AddEndpoint";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let service_id = wire::id(&body.service_id, "service_id")?;
        if !(body.health_path.is_empty() || body.health_path.starts_with('/')) {
            return Err(Error::EndpointRefused("its health path must begin with /"));
        }
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let service = load(unit, caller, service_id).await?;
                if service.state == ServiceState::Closed {
                    return Err(Error::StateNotAllowed);
                }
                check_url(&body.url, service.kind).map_err(Error::EndpointRefused)?;
                let (host, port) = place_of(&body.url).ok_or(Error::EndpointRefused("it names no host"))?;
                self.endpoints
                    .judge(&host, port)
                    .map_err(|why| Error::EndpointRefused(why.words()))?;
                let one = Endpoint {
                    endpoint_id: unit.new_id(),
                    service_id,
                    responsible_unit_id: service.responsible_unit_id,
                    url: body.url.trim_end_matches('/').to_owned(),
                    health_path: body.health_path.clone(),
                    weight: body.weight,
                    state: EndpointState::Active,
                    health: None,
                };
                let now = unit.now();
                store::endpoints::insert(unit.conn(), &one, now).await?;
                save(unit, caller, &service, "endpoint_added", "").await?;
                Ok::<_, Error>(AddEndpointResponse {
                    endpoint: Some(wire::endpoint(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Changes weight and state of an address.
    pub(crate) async fn change_endpoint(
        &self,
        caller: &Caller,
        body: &ChangeEndpointRequest,
    ) -> Result<ChangeEndpointResponse, Error> {
        let method = "/egov.integration.v1.InterfaceService/ChangeEndpoint";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let service_id = wire::id(&body.service_id, "service_id")?;
        let endpoint_id = wire::id(&body.endpoint_id, "endpoint_id")?;
        let state = wire::endpoint_state(body.state)?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let service = load(unit, caller, service_id).await?;
                let held = store::endpoints::of_services(unit.conn(), Some(&[service_id])).await?;
                let mut one = held
                    .into_iter()
                    .find(|held| held.endpoint_id == endpoint_id)
                    .ok_or(Error::EndpointNotFound)?;
                one.weight = body.weight;
                one.state = state;
                let now = unit.now();
                store::endpoints::update(unit.conn(), &one, now).await?;
                save(unit, caller, &service, "endpoint_changed", &body.reason).await?;
                Ok::<_, Error>(ChangeEndpointResponse {
                    endpoint: Some(wire::endpoint(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
