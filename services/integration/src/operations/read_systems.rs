//! GetSystem, ListSystems.

use egov_auth::Caller;
use egov_database::{Page, page_of};
use egov_proto::egov::integration::v1::{GetSystemRequest, GetSystemResponse, ListSystemsRequest, ListSystemsResponse};
use uuid::Uuid;

use super::Integration;
use super::permission::READ_DIRECTORY;
use crate::error::Error;
use crate::{store, wire};

impl Integration {
    /// One system.
    pub(crate) async fn get_system(
        &self,
        caller: &Caller,
        body: &GetSystemRequest,
    ) -> Result<GetSystemResponse, Error> {
        let id = wire::id(&body.system_id, "system_id")?;
        let found = self
            .database
            .read(&caller.scope(READ_DIRECTORY), async |conn| {
                store::systems::get(conn, id).await.map_err(Error::from)
            })
            .await?;
        let one = found.ok_or(Error::SystemNotFound)?;
        Ok(GetSystemResponse {
            system: Some(wire::system(&one)),
        })
    }

    /// Systems by id.
    pub(crate) async fn list_systems(
        &self,
        caller: &Caller,
        body: &ListSystemsRequest,
    ) -> Result<ListSystemsResponse, Error> {
        let method = "/egov.integration.v1.SystemService/ListSystems";
        let organisation_id = wire::optional_id(&body.organisation_id, "organisation_id")?;
        let page: Page<Uuid> = page_of!(self.database.page_tokens(), caller, method, body)?;
        let rows = self
            .database
            .read(&caller.scope(READ_DIRECTORY), async |conn| {
                store::systems::list(conn, organisation_id, page.after().copied(), page.fetch())
                    .await
                    .map_err(Error::from)
            })
            .await?;
        let (rows, next_page_token) = page.finish(rows, |one| one.system_id)?;
        Ok(ListSystemsResponse {
            systems: rows.iter().map(wire::system).collect(),
            next_page_token,
        })
    }
}
