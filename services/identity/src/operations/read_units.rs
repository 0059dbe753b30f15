//! GetUnit, ListUnits, ResolveUnit, ListSuccessors, ListPredecessors, ListAncestors: public reads.

use egov_auth::RowScope;
use egov_database::PageBinding;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{
    ListAncestorsRequest, ListAncestorsResponse, ListPredecessorsResponse, ListSuccessorsRequest,
    ListSuccessorsResponse, ListUnitsRequest, ListUnitsResponse, ResolveUnitRequest,
};

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

/// What became of a unit, and where its work is on a day.
pub(crate) async fn list_successors(
    identity: &Identity,
    request: ListSuccessorsRequest,
) -> Result<ListSuccessorsResponse, Fault> {
    let today = identity.today();
    let on = wire::day("on", request.on)?.unwrap_or(today);
    identity
        .database
        .read(&RowScope::none(), async |conn| {
            let unit = store::units::by_id(conn, request.unit_id)
                .await?
                .ok_or(IdentityError::UnitNotFound)?;
            let closing = store::reorganisations::closing(conn, unit.unit_id).await?;
            let successors = match &closing {
                Some((_, closing)) => store::units::by_ids(conn, &closing.successors).await?,
                None => Vec::new(),
            };
            let ended = unit.effective_to.is_some_and(|end| end <= today);
            let no_recorded_successor = ended && successors.is_empty();
            let mut current = unit;
            // Successors open when others close, so that the way always leads on; the bound is for a damaged row.
            let mut steps = 0;
            while !current.in_force(on) {
                let next = store::reorganisations::closing(conn, current.unit_id)
                    .await?
                    .and_then(|(_, closing)| closing.successor.filter(|_| closing.effective_date <= on));
                steps += 1;
                let Some(next) = next.filter(|_| steps < 100) else {
                    return Ok(ListSuccessorsResponse {
                        succession: closing.as_ref().map(|(by, closing)| wire::succession(*by, closing)),
                        no_recorded_successor,
                        successors: successors.iter().map(wire::unit).collect(),
                        current: None,
                    });
                };
                current = store::units::by_id(conn, next)
                    .await?
                    .ok_or(IdentityError::UnitNotFound)?;
            }
            Ok::<_, Fault>(ListSuccessorsResponse {
                succession: closing.as_ref().map(|(by, closing)| wire::succession(*by, closing)),
                no_recorded_successor,
                successors: successors.iter().map(wire::unit).collect(),
                current: Some(wire::unit(&current)),
            })
        })
        .await
}

/// The closed units of which a unit took over a part.
pub(crate) async fn list_predecessors(identity: &Identity, unit_id: i32) -> Result<ListPredecessorsResponse, Fault> {
    identity
        .database
        .read(&RowScope::none(), async |conn| {
            store::units::by_id(conn, unit_id)
                .await?
                .ok_or(IdentityError::UnitNotFound)?;
            let closings = store::reorganisations::predecessors(conn, unit_id).await?;
            let ids: Vec<i32> = closings.iter().map(|(_, closing)| closing.unit_id).collect();
            let units = store::units::by_ids(conn, &ids).await?;
            Ok::<_, Fault>(ListPredecessorsResponse {
                successions: closings
                    .iter()
                    .map(|(by, closing)| wire::succession(*by, closing))
                    .collect(),
                predecessors: units.iter().map(wire::unit).collect(),
            })
        })
        .await
}

/// The units above a unit that exists on a day, the nearest first.
pub(crate) async fn list_ancestors(
    identity: &Identity,
    request: ListAncestorsRequest,
) -> Result<ListAncestorsResponse, Fault> {
    let on = wire::day("on", request.on)?.unwrap_or_else(|| identity.today());
    identity
        .database
        .read(&RowScope::none(), async |conn| {
            let unit = store::units::by_id(conn, request.unit_id)
                .await?
                .filter(|unit| unit.in_force(on))
                .ok_or(IdentityError::UnitNotFound)?;
            let mut ancestors = Vec::new();
            let mut above = unit.parent_id;
            while let Some(id) = above {
                let unit = store::units::by_id(conn, id)
                    .await?
                    .ok_or(IdentityError::UnitNotFound)?;
                above = unit.parent_id;
                ancestors.push(wire::unit(&unit));
            }
            Ok::<_, Fault>(ListAncestorsResponse { ancestors })
        })
        .await
}
