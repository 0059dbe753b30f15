//! GetUnit, ListUnits, ResolveUnit: public reads.

use egov_auth::RowScope;
use egov_database::PageBinding;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{ListUnitsRequest, ListUnitsResponse, ResolveUnitRequest};

use crate::domain::unit::Unit;
use crate::error::IdentityError;
use crate::identity::Identity;
use crate::{store, wire};

const LIST_UNITS: &str = "/egov.identity.v1.UnitService/ListUnits";

/// Units are public: a page token is everybody's.
const ANYBODY: &str = "public";

/// The unit with an id.
pub(crate) async fn get_unit(identity: &Identity, unit_id: i32) -> Result<Unit, Fault> {
    identity
        .database
        .read(&RowScope::none(), async |conn| {
            store::units::by_id(conn, unit_id)
                .await?
                .ok_or_else(|| IdentityError::UnitNotFound.into())
        })
        .await
}

/// The unit that carries a code on a day.
pub(crate) async fn resolve_unit(identity: &Identity, request: ResolveUnitRequest) -> Result<Unit, Fault> {
    let on = wire::day("on", request.on)?.unwrap_or_else(|| identity.today());
    identity
        .database
        .read(&RowScope::none(), async |conn| {
            store::units::resolve(conn, &request.code, on)
                .await?
                .ok_or_else(|| IdentityError::UnitNotFound.into())
        })
        .await
}

/// The units of a day, by id.
pub(crate) async fn list_units(identity: &Identity, request: ListUnitsRequest) -> Result<ListUnitsResponse, Fault> {
    let filter = ListUnitsRequest {
        page_size: 0,
        page_token: String::new(),
        ..request
    };
    let on = wire::day("on", request.on)?.unwrap_or_else(|| identity.today());
    let binding = PageBinding::new(ANYBODY, LIST_UNITS, &filter);
    let page = identity
        .pages
        .page::<i32>(request.page_size, &request.page_token, binding)?;
    let below = (request.parent_id != 0).then_some(request.parent_id);
    let rows = identity
        .database
        .read(&RowScope::none(), async |conn| {
            let after = page.after().copied().unwrap_or(0);
            store::units::list(conn, below, on, after, page.fetch()).await
        })
        .await?;
    let (units, next_page_token) = page.finish(rows, |unit| unit.unit_id)?;
    Ok(ListUnitsResponse {
        units: units.iter().map(wire::unit).collect(),
        next_page_token,
    })
}
