//! GetOrganisation, ListOrganisations, ListDirectoryChanges.

use egov_auth::Caller;
use egov_clock::vietnam;
use egov_database::{Page, page_of};
use egov_proto::egov::integration::v1::{
    GetOrganisationRequest, GetOrganisationResponse, ListDirectoryChangesRequest, ListDirectoryChangesResponse,
    ListOrganisationsRequest, ListOrganisationsResponse,
};
use uuid::Uuid;

use super::Integration;
use super::permission::READ_DIRECTORY;
use crate::error::Error;
use crate::store::organisations::Filter;
use crate::{store, wire};

impl Integration {
    /// One organisation.
    pub(crate) async fn get_organisation(
        &self,
        caller: &Caller,
        body: &GetOrganisationRequest,
    ) -> Result<GetOrganisationResponse, Error> {
        let id = wire::id(&body.organisation_id, "organisation_id")?;
        let found = self
            .database
            .read(&caller.scope(READ_DIRECTORY), async |conn| {
                store::organisations::get(conn, id).await.map_err(Error::from)
            })
            .await?;
        let one = found.ok_or(Error::OrganisationNotFound)?;
        Ok(GetOrganisationResponse {
            organisation: Some(wire::organisation(&one)),
        })
    }

    /// Organisations by id.
    pub(crate) async fn list_organisations(
        &self,
        caller: &Caller,
        body: &ListOrganisationsRequest,
    ) -> Result<ListOrganisationsResponse, Error> {
        let method = "/egov.integration.v1.OrganisationService/ListOrganisations";
        let page: Page<Uuid> = page_of!(self.database.page_tokens(), caller, method, body)?;
        let today = self.database.clock().now().to_zoned(vietnam()).date();
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let filter = Filter {
            code: given(&body.agency_code).map(|code| (code, today)),
            member_code: given(&body.member_code),
        };
        let rows = self
            .database
            .read(&caller.scope(READ_DIRECTORY), async |conn| {
                store::organisations::list(conn, &filter, page.after().copied(), page.fetch())
                    .await
                    .map_err(Error::from)
            })
            .await?;
        let (rows, next_page_token) = page.finish(rows, |one| one.organisation_id)?;
        Ok(ListOrganisationsResponse {
            organisations: rows.iter().map(wire::organisation).collect(),
            next_page_token,
        })
    }

    /// The history of an entry, the newest first.
    pub(crate) async fn list_directory_changes(
        &self,
        caller: &Caller,
        body: &ListDirectoryChangesRequest,
    ) -> Result<ListDirectoryChangesResponse, Error> {
        let method = "/egov.integration.v1.OrganisationService/ListDirectoryChanges";
        let id = wire::id(&body.resource_id, "resource_id")?;
        let page: Page<i64> = page_of!(self.database.page_tokens(), caller, method, body)?;
        let rows = self
            .database
            .read(&caller.scope(READ_DIRECTORY), async |conn| {
                store::history::list(conn, id, page.after().copied(), page.fetch())
                    .await
                    .map_err(Error::from)
            })
            .await?;
        let (rows, next_page_token) = page.finish(rows, |one| one.version)?;
        Ok(ListDirectoryChangesResponse {
            changes: rows.iter().map(wire::directory_change).collect(),
            next_page_token,
        })
    }
}
