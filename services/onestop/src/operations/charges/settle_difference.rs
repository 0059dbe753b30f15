//! SettleDifference and ListDifferences (chênh lệch): who settled what, and how.

use egov_auth::Caller;
use egov_database::{Event, Page, UnitOfWork, WriteRequest};
use egov_proto::egov::onestop::v1::{SettleDifferenceRequest, SettleDifferenceResponse};
use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::reconcile_day::{Said, hear};
use super::record;
use crate::domain::reconcile::DIFFERENCE;
use crate::error::Error;
use crate::fee_error::FeeError;
use crate::operations::OneStop;
use crate::operations::act::Actor;
use crate::store::charges::FeeAct;
use crate::store::reconciliations::{self, Difference, DifferenceFilter, DifferenceState};

impl OneStop {
    /// One page of the differences of the units that the caller may reconcile.
    pub(crate) async fn list_differences(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
        (from, to, open_only): (Option<Date>, Option<Date>, bool),
        page: Page<(i32, Date, Uuid)>,
    ) -> Result<(Vec<Difference>, String), Error> {
        let (scope, units) = self.reconciled_units(caller, unit_id)?;
        let filter = DifferenceFilter {
            units,
            from,
            to,
            open_only,
        };
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(reconciliations::list(connection, &filter, after.as_ref(), limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| (row.unit_id, row.day, row.id))?)
    }

    /// Says how a difference was settled.
    pub(crate) async fn settle_difference(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &SettleDifferenceRequest,
        difference_id: Uuid,
        answer: impl FnOnce(&Difference) -> SettleDifferenceResponse + Send,
    ) -> Result<SettleDifferenceResponse, Error> {
        let (scope, units) = self.reconciled_units(caller, None)?;
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.FeeService/SettleDifference",
            request_id,
            body,
        );
        let actor = Actor::from(caller.principal.as_ref());
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let unit_id = reconciliations::unit_of(unit.conn(), difference_id, &units)
                    .await?
                    .ok_or(FeeError::DifferenceNotFound)?;
                // Before any row is held, as whoever reconciles does: nobody takes a file back meanwhile.
                reconciliations::share_unit(unit.conn(), unit_id).await?;
                let before = reconciliations::get(unit.conn(), difference_id, &units)
                    .await?
                    .ok_or(FeeError::DifferenceNotFound)?;
                if before.etag() != body.etag {
                    return Err(FeeError::StaleDifference.into());
                }
                // What was found by a file that no longer counts may not hold, and nothing is đã đối soát by it.
                if reconciliations::is_to_do_again(unit.conn(), unit_id, before.day).await? {
                    return Err(FeeError::ReconcileAgain(before.day).into());
                }
                let now = unit.now();
                let after = Difference {
                    state: DifferenceState::Settled,
                    resolution: body.resolution.clone(),
                    settled_by: Some(actor.id),
                    settle_time: Some(now),
                    version: before.version + 1,
                    ..before
                };
                reconciliations::keep(unit.conn(), &after).await?;
                if let Some((case_id, payment_id)) = after.found.about() {
                    // Whatever is said of it: while another difference is open, or money went back by nobody's decision, it does not agree.
                    let mut said = Said::default();
                    said.agreed.insert(payment_id);
                    if after.found.kind.is_doubt() {
                        said.doubted.insert(payment_id);
                    }
                    let at = self.charged_at(after.unit_id, unit.today());
                    if at.len() > 1 {
                        unit.hand_over_to(&at).await?;
                    }
                    hear(unit, &actor, &at, case_id, &said).await?;
                }
                unit.publish(Event {
                    aggregate_kind: DIFFERENCE,
                    aggregate_id: difference_id,
                    version: after.version,
                    kind: "payment_difference_settled",
                    payload: json!({
                        "responsible_unit_id": after.unit_id,
                        "day": after.day,
                        "kind": after.found.kind.code(),
                    }),
                });
                let content = json!({
                    "difference_id": difference_id,
                    "unit_id": after.unit_id,
                    "day": after.day,
                    "found": after.found,
                    "resolution": after.resolution,
                    "settled_by": after.settled_by,
                    "settle_time": after.settle_time,
                });
                record(
                    unit,
                    &FeeAct {
                        unit_id: after.unit_id,
                        owner_id: None,
                        kind: DIFFERENCE,
                        resource_id: difference_id,
                        version: after.version,
                        act: "settle",
                        actor_id: actor.id,
                        actor_kind: actor.kind,
                        on_behalf_of: None,
                        reason: after.resolution.clone(),
                        record_time: now,
                        content: content.to_string(),
                    },
                )
                .await?;
                Ok::<_, Error>(answer(&after))
            })
            .await?;
        Ok(written.into_answer())
    }
}
