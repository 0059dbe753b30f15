//! GetService, ListServices, GetInterface, ListInterfaces.

use egov_auth::Caller;
use egov_database::{Page, page_of};
use egov_proto::egov::integration::v1::{
    GetInterfaceRequest, GetInterfaceResponse, GetServiceRequest, GetServiceResponse, ListInterfacesRequest,
    ListInterfacesResponse, ListServicesRequest, ListServicesResponse,
};
use uuid::Uuid;

use super::Integration;
use super::permission::{READ_AGREEMENTS, READ_DIRECTORY};
use crate::domain::service::Service;
use crate::error::Error;
use crate::{store, wire};

/// Whether the caller may know who uses a service: it sees the agreements of its provider.
fn knows_consumers(caller: &Caller, service: &Service) -> bool {
    let scope = caller.scope(READ_AGREEMENTS);
    scope.all || scope.units.contains(&service.responsible_unit_id)
}

impl Integration {
    /// One service with its endpoints.
    pub(crate) async fn get_service(
        &self,
        caller: &Caller,
        body: &GetServiceRequest,
    ) -> Result<GetServiceResponse, Error> {
        let id = wire::id(&body.service_id, "service_id")?;
        let (one, endpoints) = self
            .database
            .read(&caller.scope(READ_DIRECTORY), async |conn| {
                let one = store::services::get(&mut *conn, id)
                    .await?
                    .ok_or(Error::ServiceNotFound)?;
                let endpoints = store::endpoints::of_services(conn, Some(&[id])).await?;
                Ok::<_, Error>((one, endpoints))
            })
            .await?;
        Ok(GetServiceResponse {
            service: Some(wire::service(&one, &endpoints)),
        })
    }

    /// Services by id.
    pub(crate) async fn list_services(
        &self,
        caller: &Caller,
        body: &ListServicesRequest,
    ) -> Result<ListServicesResponse, Error> {
        let method = "/egov.integration.v1.InterfaceService/ListServices";
        let system_id = wire::optional_id(&body.system_id, "system_id")?;
        let page: Page<Uuid> = page_of!(self.database.page_tokens(), caller, method, body)?;
        let (rows, endpoints) = self
            .database
            .read(&caller.scope(READ_DIRECTORY), async |conn| {
                let rows = store::services::list(&mut *conn, system_id, page.after().copied(), page.fetch()).await?;
                let ids: Vec<Uuid> = rows.iter().map(|one| one.service_id).collect();
                let endpoints = store::endpoints::of_services(conn, Some(&ids)).await?;
                Ok::<_, Error>((rows, endpoints))
            })
            .await?;
        let (rows, next_page_token) = page.finish(rows, |one| one.service_id)?;
        Ok(ListServicesResponse {
            services: rows.iter().map(|one| wire::service(one, &endpoints)).collect(),
            next_page_token,
        })
    }

    /// A version of an interface with its document.
    pub(crate) async fn get_interface(
        &self,
        caller: &Caller,
        body: &GetInterfaceRequest,
    ) -> Result<GetInterfaceResponse, Error> {
        let id = wire::id(&body.service_id, "service_id")?;
        let (service, (one, document)) = self
            .database
            .read(&caller.scope(READ_DIRECTORY), async |conn| {
                let service = store::services::get(&mut *conn, id)
                    .await?
                    .ok_or(Error::ServiceNotFound)?;
                let version = match body.interface_version {
                    0 => service.interface_version,
                    version => version,
                };
                let found = store::services::interface(conn, id, version).await?;
                Ok::<_, Error>((service, found.ok_or(Error::InterfaceNotFound)?))
            })
            .await?;
        Ok(GetInterfaceResponse {
            interface: Some(wire::interface(&one, knows_consumers(caller, &service))),
            document,
        })
    }

    /// The versions of an interface, the newest first.
    pub(crate) async fn list_interfaces(
        &self,
        caller: &Caller,
        body: &ListInterfacesRequest,
    ) -> Result<ListInterfacesResponse, Error> {
        let method = "/egov.integration.v1.InterfaceService/ListInterfaces";
        let id = wire::id(&body.service_id, "service_id")?;
        let page: Page<i64> = page_of!(self.database.page_tokens(), caller, method, body)?;
        let (service, rows) = self
            .database
            .read(&caller.scope(READ_DIRECTORY), async |conn| {
                let service = store::services::get(&mut *conn, id)
                    .await?
                    .ok_or(Error::ServiceNotFound)?;
                let rows = store::services::interfaces(conn, id, page.after().copied(), page.fetch()).await?;
                Ok::<_, Error>((service, rows))
            })
            .await?;
        let (rows, next_page_token) = page.finish(rows, |one| one.interface_version)?;
        let shown = knows_consumers(caller, &service);
        Ok(ListInterfacesResponse {
            interfaces: rows.iter().map(|one| wire::interface(one, shown)).collect(),
            next_page_token,
        })
    }
}
