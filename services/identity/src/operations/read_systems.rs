//! ListSystems.

use egov_auth::Caller;
use egov_database::{Page, page_of};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{ListSystemsRequest, ListSystemsResponse};
use uuid::Uuid;

use super::permission::READ_SYSTEMS;
use crate::identity::Identity;
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.SystemService/ListSystems";

/// The systems, by id. They belong to no unit: whoever does not see the whole province sees none.
pub(crate) async fn list_systems(
    identity: &Identity,
    caller: &Caller,
    request: ListSystemsRequest,
) -> Result<ListSystemsResponse, Fault> {
    let page: Page<Uuid> = page_of!(identity.pages, caller, METHOD, request)?;
    let scope = caller.scope(READ_SYSTEMS);
    if !scope.all {
        return Ok(ListSystemsResponse::default());
    }
    let rows = identity
        .database
        .read(&scope, async |conn| {
            store::systems::list(conn, page.after().copied(), page.fetch()).await
        })
        .await?;
    let (systems, next_page_token) = page.finish(rows, |system| system.system_id)?;
    Ok(ListSystemsResponse {
        systems: systems.iter().map(wire::system).collect(),
        next_page_token,
    })
}
