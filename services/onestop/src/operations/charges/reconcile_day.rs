//! ReconcileDay (đối soát ba bên): our payments of a day, the platform's list, the treasury's files.

use std::collections::{BTreeMap, BTreeSet};

use egov_auth::Caller;
use egov_database::{Event, UnitOfWork, WriteRequest};
use egov_directory::UnitKind;
use egov_proto::egov::onestop::v1::{ReconcileDayRequest, ReconcileDayResponse};
use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::{changed, keep, of_units, record};
use crate::domain::reconcile::{DifferenceKind, Found, KIND, Outcome, Theirs, reconcile};
use crate::error::Error;
use crate::fee_error::FeeError;
use crate::operations::OneStop;
use crate::operations::act::Actor;
use crate::payments::Settled;
use crate::store::charges::{self, FeeAct};
use crate::store::reconciliations::{self, Difference, DifferenceState};

/// What came of a day.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reconciled {
    /// Payments about which all sides agree.
    pub(crate) matched: usize,
    /// Differences that are open.
    pub(crate) open: usize,
    /// Differences of before that were not found again.
    pub(crate) gone: usize,
}

impl OneStop {
    /// Compares the three sides of a unit's day.
    pub(crate) async fn reconcile_day(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &ReconcileDayRequest,
        day: Date,
        answer: impl FnOnce(&Reconciled) -> ReconcileDayResponse + Send,
    ) -> Result<ReconcileDayResponse, Error> {
        let unit_id = body.unit_id;
        let scope = self.require_reconciler(caller, unit_id)?;
        // Asked before anything is held; without a platform nothing was paid there.
        let settled = if self.payments.is_connected() {
            self.payments.settled(day).await?
        } else {
            Settled::default()
        };
        // What nobody knows is the province's to look into.
        let province = self
            .directory
            .unit(unit_id)
            .is_some_and(|unit| unit.kind == UnitKind::Province);
        let platform = at_platform(settled, unit_id, province, day);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.FeeService/ReconcileDay",
            request_id,
            body,
        );
        let actor = Actor::from(caller.principal.as_ref());
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                reconciliations::hold_day(unit.conn(), unit_id, day).await?;
                if reconciliations::files_of(unit.conn(), unit_id, day).await? == 0 {
                    return Err(FeeError::FileMissing(day).into());
                }
                // What a unit that has closed took is asked for where its cases are now.
                let at = self.charged_at(unit_id, unit.today());
                if at.len() > 1 {
                    unit.hand_over_to(&at).await?;
                }
                let mut outcome = compare(unit, unit_id, day, &platform).await?;
                // Differences before charges, and charges by their cases: as whoever settles one or reconciles another day holds them.
                let (open, gone) = keep_differences(unit, unit_id, day, &outcome.differences).await?;
                outcome.matched.sort_unstable();
                let matched: Vec<Uuid> = outcome.matched.iter().map(|(_, payment)| *payment).collect();
                for (case_id, payment_id) in &outcome.matched {
                    agree(unit, &actor, &at, *case_id, *payment_id).await?;
                }
                let (reconciliation_id, now) = (unit.new_id(), unit.now());
                unit.publish(Event {
                    aggregate_kind: KIND,
                    aggregate_id: reconciliation_id,
                    version: 1,
                    kind: "day_reconciled",
                    payload: json!({
                        "responsible_unit_id": unit_id,
                        "day": day,
                        "matched": matched.len(),
                        "open": open,
                    }),
                });
                let content = json!({
                    "unit_id": unit_id,
                    "day": day,
                    "matched": matched,
                    "differences": outcome.differences,
                });
                record(
                    unit,
                    &FeeAct {
                        unit_id,
                        owner_id: None,
                        kind: KIND,
                        resource_id: reconciliation_id,
                        version: 1,
                        act: "reconcile",
                        actor_id: actor.id,
                        actor_kind: actor.kind,
                        on_behalf_of: None,
                        reason: String::new(),
                        record_time: now,
                        content: content.to_string(),
                    },
                )
                .await?;
                Ok::<_, Error>(answer(&Reconciled {
                    matched: matched.len(),
                    open,
                    gone,
                }))
            })
            .await?;
        Ok(written.into_answer())
    }
}

/// What the platform lists for a unit.
fn at_platform(settled: Settled, unit_id: i32, province: bool, day: Date) -> Vec<Theirs> {
    let own = settled.orders.into_iter().filter(|order| order.unit_id == unit_id);
    let unknown = settled.unknown.into_iter().filter(|_| province);
    own.chain(unknown)
        .map(|order| Theirs {
            reference: order.order_code,
            case_code: order.case_code,
            amount_vnd: order.amount_vnd,
            day,
        })
        .collect()
}

async fn compare(unit: &mut UnitOfWork<'_>, unit_id: i32, day: Date, platform: &[Theirs]) -> Result<Outcome, Error> {
    let of_day = reconciliations::booked(unit.conn(), unit_id, day, &[]).await?;
    let named: BTreeSet<&str> = of_day
        .iter()
        .chain(platform)
        .map(|said| said.reference.as_str())
        .collect();
    let named: Vec<String> = named.into_iter().map(str::to_owned).collect();
    let ours = charges::paid_on(unit.conn(), unit_id, day, &named).await?;
    let of_ours: Vec<String> = ours
        .iter()
        .filter(|one| one.day == day)
        .map(|one| one.reference.clone())
        .collect();
    let treasury = reconciliations::booked(unit.conn(), unit_id, day, &of_ours).await?;
    Ok(reconcile(day, &ours, platform, &treasury))
}

/// All sides agree about a payment, whose charge is at one of these units: đã đối soát.
pub(super) async fn agree(
    unit: &mut UnitOfWork<'_>,
    actor: &Actor,
    at: &[i32],
    case_id: Uuid,
    payment_id: Uuid,
) -> Result<(), Error> {
    let Some(before) = charges::get(unit.conn(), case_id, &of_units(at), true).await? else {
        return Ok(());
    };
    let mut after = before.clone();
    if after.reconcile(payment_id).map_err(FeeError::from)? {
        let now = unit.now();
        charges::save(unit.conn(), &before, &after, now).await?;
        keep(
            unit,
            (actor, None),
            &after,
            ("reconcile", "payment_reconciled"),
            changed(&before, &after),
            "",
        )
        .await?;
    }
    Ok(())
}

/// Keeps what was found: new differences are open, those that are not found again are gone, what somebody settled stays settled. How many
/// are open, and how many are gone by this.
async fn keep_differences(
    unit: &mut UnitOfWork<'_>,
    unit_id: i32,
    day: Date,
    found: &[Found],
) -> Result<(usize, usize), Error> {
    let (mut open, mut gone) = (0, 0);
    let known = reconciliations::of_day(unit.conn(), unit_id, day).await?;
    let mut known: BTreeMap<(DifferenceKind, String), Difference> = known
        .into_iter()
        .map(|one| ((one.found.kind, one.found.reference.clone()), one))
        .collect();
    for one in found {
        let Some(mut before) = known.remove(&(one.kind, one.reference.clone())) else {
            let new = Difference {
                id: unit.new_id(),
                unit_id,
                day,
                found: one.clone(),
                state: DifferenceState::Open,
                resolution: String::new(),
                settled_by: None,
                settle_time: None,
                version: 1,
                find_time: unit.now(),
            };
            reconciliations::keep(unit.conn(), &new).await?;
            open += 1;
            continue;
        };
        let same = before.found.sides == one.sides;
        match before.state {
            DifferenceState::Settled if same => continue,
            DifferenceState::Open if same => {
                open += 1;
                continue;
            }
            _ => {}
        }
        // It came back, or the sides say something else than what was settled.
        before.found = one.clone();
        before.state = DifferenceState::Open;
        before.resolution.clear();
        before.settled_by = None;
        before.settle_time = None;
        before.version += 1;
        reconciliations::keep(unit.conn(), &before).await?;
        open += 1;
    }
    for mut lost in known.into_values().filter(|one| one.state == DifferenceState::Open) {
        lost.state = DifferenceState::Gone;
        lost.version += 1;
        reconciliations::keep(unit.conn(), &lost).await?;
        gone += 1;
    }
    Ok((open, gone))
}
