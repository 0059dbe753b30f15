//! ListReorganisations: plans and what packs told of, the latest first.

use egov_auth::{Caller, Resource};
use egov_database::{Page, page_of};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{ListReorganisationsRequest, ListReorganisationsResponse};
use jiff::civil::Date;
use uuid::Uuid;

use super::permission::REORGANISE;
use crate::identity::Identity;
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.UnitService/ListReorganisations";

/// One page, the latest day first.
pub(crate) async fn list_reorganisations(
    identity: &Identity,
    caller: &Caller,
    request: ListReorganisationsRequest,
) -> Result<ListReorganisationsResponse, Fault> {
    caller.require(REORGANISE, &Resource::default())?;
    let page: Page<(Date, Uuid)> = page_of!(identity.pages, caller, METHOD, request)?;
    let rows = identity
        .database
        .read(&caller.scope(REORGANISE), async |conn| {
            store::reorganisations::list(conn, page.after().copied(), page.fetch()).await
        })
        .await?;
    let (rows, next_page_token) = page.finish(rows, |row| (row.effective_date, row.reorganisation_id))?;
    Ok(ListReorganisationsResponse {
        reorganisations: rows.iter().map(wire::reorganisation).collect(),
        next_page_token,
    })
}
