//! GetAgreement, ListAgreements, ListAgreementChanges.

use egov_auth::Caller;
use egov_database::{Page, page_of};
use egov_proto::egov::integration::v1::{
    GetAgreementRequest, GetAgreementResponse, ListAgreementChangesRequest, ListAgreementChangesResponse,
    ListAgreementsRequest, ListAgreementsResponse,
};
use uuid::Uuid;

use super::Integration;
use super::permission::READ_AGREEMENTS;
use crate::error::Error;
use crate::{store, wire};

impl Integration {
    /// One agreement; whoever is of neither side does not learn that it is there.
    pub(crate) async fn get_agreement(
        &self,
        caller: &Caller,
        body: &GetAgreementRequest,
    ) -> Result<GetAgreementResponse, Error> {
        let id = wire::id(&body.agreement_id, "agreement_id")?;
        let scope = caller.scope(READ_AGREEMENTS);
        let found = self
            .database
            .read(&scope, async |conn| {
                store::agreements::get(conn, id, &scope).await.map_err(Error::from)
            })
            .await?;
        let one = found.ok_or(Error::AgreementNotFound)?;
        Ok(GetAgreementResponse {
            agreement: Some(wire::agreement(&one, self.database.clock().now())),
        })
    }

    /// The agreements of the caller's sides, by id.
    pub(crate) async fn list_agreements(
        &self,
        caller: &Caller,
        body: &ListAgreementsRequest,
    ) -> Result<ListAgreementsResponse, Error> {
        let method = "/egov.integration.v1.AgreementService/ListAgreements";
        let about = (
            wire::optional_id(&body.service_id, "service_id")?,
            wire::optional_id(&body.system_id, "system_id")?,
        );
        let page: Page<Uuid> = page_of!(self.database.page_tokens(), caller, method, body)?;
        let scope = caller.scope(READ_AGREEMENTS);
        let rows = self
            .database
            .read(&scope, async |conn| {
                store::agreements::list(conn, about, &scope, page.after().copied(), page.fetch())
                    .await
                    .map_err(Error::from)
            })
            .await?;
        let (rows, next_page_token) = page.finish(rows, |one| one.agreement_id)?;
        let now = self.database.clock().now();
        Ok(ListAgreementsResponse {
            agreements: rows.iter().map(|one| wire::agreement(one, now)).collect(),
            next_page_token,
        })
    }

    /// The history of an agreement, the newest first.
    pub(crate) async fn list_agreement_changes(
        &self,
        caller: &Caller,
        body: &ListAgreementChangesRequest,
    ) -> Result<ListAgreementChangesResponse, Error> {
        let method = "/egov.integration.v1.AgreementService/ListAgreementChanges";
        let id = wire::id(&body.agreement_id, "agreement_id")?;
        let page: Page<i64> = page_of!(self.database.page_tokens(), caller, method, body)?;
        let scope = caller.scope(READ_AGREEMENTS);
        let rows = self
            .database
            .read(&scope, async |conn| {
                let seen = store::agreements::get(&mut *conn, id, &scope).await?;
                seen.ok_or(Error::AgreementNotFound)?;
                store::agreements::history(conn, id, &scope, page.after().copied(), page.fetch())
                    .await
                    .map_err(Error::from)
            })
            .await?;
        let (rows, next_page_token) = page.finish(rows, |one| one.version)?;
        Ok(ListAgreementChangesResponse {
            changes: rows.iter().map(wire::agreement_change).collect(),
            next_page_token,
        })
    }
}
