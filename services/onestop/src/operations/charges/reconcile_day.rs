//! ReconcileDay (đối soát ba bên): our payments of a day, the platform's list, the treasury's files.

use std::collections::{BTreeMap, BTreeSet};

use egov_auth::Caller;
use egov_calendar::vietnam_time;
use egov_clock::Clock as _;
use egov_database::{Event, UnitOfWork, WriteRequest};
use egov_directory::UnitKind;
use egov_proto::egov::onestop::v1::{ReconcileDayRequest, ReconcileDayResponse};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::{changed, keep, of_units, record};
use crate::domain::charge::{Charge, OrderState};
use crate::domain::reconcile::{DifferenceKind, Found, KIND, Outcome, Returning, Theirs, merged, reconcile};
use crate::error::Error;
use crate::fee_error::FeeError;
use crate::operations::OneStop;
use crate::operations::act::Actor;
use crate::payments::Settled;
use crate::store::charges::{self, FeeAct};
use crate::store::reconciliations::{self, Difference, DifferenceState};
use crate::store::{cases, treasury_files, unsettled};

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
        let (settled, asked) = if self.payments.is_connected() {
            let asked = self.clock.now();
            (self.payments.settled(day).await?, Some(asked))
        } else {
            (Settled::default(), None)
        };
        let says_refunds = !settled.is_without_states;
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
                // Who reconciled meanwhile may have done so by a newer list of the platform.
                let last = reconciliations::last_time(unit.conn(), unit_id, day).await?;
                if last.zip(asked).is_some_and(|(last, asked)| last > asked) {
                    return Err(FeeError::ReconciledMeanwhile(day).into());
                }
                let of_day = treasury_files::of_day(unit.conn(), unit_id, day).await?;
                if of_day.is_empty() {
                    return Err(FeeError::FileMissing(day).into());
                }
                // What a unit that has closed took is asked for where its cases are now.
                let at = self.charged_at(unit_id, unit.today());
                if at.len() > 1 {
                    unit.hand_over_to(&at).await?;
                }
                let (mut outcome, mut used) = compare(unit, unit_id, day, (&platform, says_refunds)).await?;
                used.extend(of_day);
                let used: Vec<Uuid> = used.into_iter().collect();
                // Differences before charges, and charges by their cases: as whoever settles one or reconciles another day holds them.
                let kept = keep_differences(unit, unit_id, day, &outcome.differences).await?;
                outcome.matched.sort_unstable();
                let mut said: BTreeMap<Uuid, Said> = BTreeMap::new();
                // What somebody settled counts as agreed while the sides say the same.
                for (case_id, payment_id) in outcome.matched.iter().chain(&kept.settled) {
                    said.entry(*case_id).or_default().agreed.insert(*payment_id);
                }
                for (case_id, payment_id) in &kept.doubted {
                    said.entry(*case_id).or_default().doubted.insert(*payment_id);
                }
                for (case_id, payment_id) in &kept.contradicted {
                    said.entry(*case_id).or_default().contradicted.insert(*payment_id);
                }
                // Of a payment about which the sides agree today, a difference of another day may be open.
                let mut otherwise = BTreeSet::new();
                for (case_id, said) in &said {
                    otherwise.extend(hear(unit, &actor, &at, *case_id, said).await?);
                }
                let matched: Vec<Uuid> = outcome
                    .matched
                    .iter()
                    .map(|(_, payment_id)| *payment_id)
                    .filter(|payment_id| !otherwise.contains(payment_id))
                    .collect();
                let (reconciliation_id, now) = (unit.new_id(), unit.now());
                reconciliations::keep_day(unit.conn(), (unit_id, day), reconciliation_id, &used, now).await?;
                unit.publish(Event {
                    aggregate_kind: KIND,
                    aggregate_id: reconciliation_id,
                    version: 1,
                    kind: "day_reconciled",
                    payload: json!({
                        "responsible_unit_id": unit_id,
                        "day": day,
                        "matched": matched.len(),
                        "open": kept.open,
                    }),
                });
                let content = json!({
                    "unit_id": unit_id,
                    "day": day,
                    "files": used,
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
                    open: kept.open,
                    gone: kept.gone,
                }))
            })
            .await?;
        Ok(written.into_answer())
    }
}

/// What the platform lists for a unit: what came in, and what went back of it since. Where the platform does not say when, what was paid and
/// did not go back was paid on the day that was asked for; what went back stands in the list of the day of either.
fn at_platform(settled: Settled, unit_id: i32, province: bool, day: Date) -> Vec<Theirs> {
    let own = settled.orders.into_iter().filter(|order| order.unit_id == unit_id);
    let unknown = settled.unknown.into_iter().filter(|_| province);
    let on = |at: Option<Timestamp>| at.map(|at| vietnam_time(at).date());
    let mut listed = Vec::new();
    for order in own.chain(unknown) {
        let said = |amount_vnd: i64, on: Option<Date>| Theirs {
            reference: order.order_code.clone(),
            case_code: order.case_code.clone(),
            amount_vnd,
            day: on,
        };
        match order.state {
            OrderState::Paid => listed.push(said(order.amount_vnd, on(order.settle_time).or(Some(day)))),
            OrderState::Refunded => {
                listed.push(said(order.amount_vnd, on(order.settle_time)));
                listed.push(said(-order.amount_vnd, on(order.refund_time)));
            }
            OrderState::Ordered | OrderState::Pending | OrderState::Expired => {}
        }
    }
    listed
}

/// What comes of a day, and which files of the treasury said something of it.
async fn compare(
    unit: &mut UnitOfWork<'_>,
    unit_id: i32,
    day: Date,
    (platform, says_refunds): (&[Theirs], bool),
) -> Result<(Outcome, BTreeSet<Uuid>), Error> {
    let of_day = treasury_files::booked(unit.conn(), unit_id, day, &[]).await?;
    let named: BTreeSet<&str> = of_day
        .iter()
        .map(|(_, said)| said)
        .chain(platform)
        .map(|said| said.reference.as_str())
        .collect();
    let named: Vec<String> = named.into_iter().map(str::to_owned).collect();
    let ours = charges::paid_on(unit.conn(), unit_id, day, &named).await?;
    let of_ours: Vec<String> = ours
        .iter()
        .filter(|one| one.day == day || one.returning == Returning::Made(day))
        .map(|one| one.reference.clone())
        .collect();
    let booked = treasury_files::booked(unit.conn(), unit_id, day, &of_ours).await?;
    let used = booked.iter().map(|(file_id, _)| *file_id).collect();
    let outcome = reconcile(day, &ours, (platform, says_refunds), &merged(booked));
    Ok((outcome, used))
}

/// What is said of payments of a case.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// By this they agree, if nothing else contradicts it.
    pub(super) agreed: BTreeSet<Uuid>,
    /// Of these the sides may put the money in doubt, or do so no more.
    pub(super) doubted: BTreeSet<Uuid>,
    /// About these the sides have come to differ.
    pub(super) contradicted: BTreeSet<Uuid>,
}

/// Hears what is said of payments of a case, whose charge is at one of these units: those about which all sides agree are đã đối soát, those
/// about which they no longer do are not, and whether the money of one is in doubt is kept with it. Those that agree by this and are
/// contradicted by something else.
pub(super) async fn hear(
    unit: &mut UnitOfWork<'_>,
    actor: &Actor,
    at: &[i32],
    case_id: Uuid,
    said: &Said,
) -> Result<BTreeSet<Uuid>, Error> {
    let visible = of_units(at);
    let Some(mut charge) = charges::get(unit.conn(), case_id, &visible, true).await? else {
        return Ok(BTreeSet::new());
    };
    // Asked while the charge is held: who finds a difference of another day waits for it too.
    let agreed: Vec<Uuid> = said.agreed.iter().copied().collect();
    let otherwise = if agreed.is_empty() {
        BTreeSet::new()
    } else {
        reconciliations::contradicted(unit.conn(), &agreed).await?
    };
    for payment_id in said.contradicted.union(&otherwise) {
        (charge, _) = reopen(unit, actor, charge, *payment_id).await?;
    }
    for payment_id in said.agreed.difference(&otherwise) {
        charge = reconciled(unit, actor, charge, *payment_id).await?;
    }
    let doubted: Vec<Uuid> = said.doubted.iter().copied().collect();
    if doubted.is_empty() || charges::note_listed(unit.conn(), &doubted).await? == 0 {
        return Ok(otherwise);
    }
    let now = unit.now();
    let case = cases::get(unit.conn(), case_id, &visible).await?;
    let charge = charges::get(unit.conn(), case_id, &visible, false).await?;
    if let (Some(case), Some(charge)) = (case, charge) {
        unsettled::keep(unit.conn(), &case, &charge, now).await?;
    }
    Ok(otherwise)
}

/// The sides agree about a payment of a charge that is held. The charge as it is then.
async fn reconciled(
    unit: &mut UnitOfWork<'_>,
    actor: &Actor,
    before: Charge,
    payment_id: Uuid,
) -> Result<Charge, Error> {
    let mut after = before.clone();
    if !after.reconcile(payment_id).map_err(FeeError::from)? {
        return Ok(before);
    }
    let now = unit.now();
    charges::save(unit.conn(), &before, &after, now).await?;
    let named = ("reconcile", "payment_reconciled");
    keep(unit, (actor, None), &after, named, changed(&before, &after), "").await?;
    Ok(after)
}

/// What made the sides agree about a payment of a charge that is held does not hold any more. The charge as it is then, and whether that
/// changed anything.
pub(super) async fn reopen(
    unit: &mut UnitOfWork<'_>,
    actor: &Actor,
    before: Charge,
    payment_id: Uuid,
) -> Result<(Charge, bool), Error> {
    let mut after = before.clone();
    if !after.reopen(payment_id).map_err(FeeError::from)? {
        return Ok((before, false));
    }
    let now = unit.now();
    charges::save(unit.conn(), &before, &after, now).await?;
    let named = ("reopen", "payment_reopened");
    keep(unit, (actor, None), &after, named, changed(&before, &after), "").await?;
    Ok((after, true))
}

/// What became of differences.
#[derive(Debug, Default)]
struct Kept {
    /// How many are open.
    open: usize,
    /// How many are gone by this.
    gone: usize,
    /// Payments, with their cases, whose money is in doubt by what is said of them now, or was by what was said before.
    doubted: BTreeSet<(Uuid, Uuid)>,
    /// Payments, with their cases, about which the sides have come to differ.
    contradicted: BTreeSet<(Uuid, Uuid)>,
    /// Payments, with their cases, about which they differ as somebody settled it.
    settled: BTreeSet<(Uuid, Uuid)>,
}

impl Kept {
    /// A difference is open by this, or gone.
    fn note(&mut self, found: &Found) {
        if found.kind.is_doubt() {
            self.doubted.extend(found.about());
        }
    }
}

/// Keeps what was found: new differences are open, those that are not found again are gone, what somebody settled stays settled. That money
/// went back without a decision here stands in the way of its payment however it is settled, so it is gone as well once it is not found again.
async fn keep_differences(unit: &mut UnitOfWork<'_>, unit_id: i32, day: Date, found: &[Found]) -> Result<Kept, Error> {
    let mut kept = Kept::default();
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
            kept.note(one);
            kept.contradicted.extend(one.about());
            kept.open += 1;
            continue;
        };
        let same = before.found.sides == one.sides;
        match before.state {
            DifferenceState::Settled if same => {
                kept.settled.extend(one.about());
                continue;
            }
            DifferenceState::Open if same => {
                kept.open += 1;
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
        kept.note(one);
        kept.contradicted.extend(one.about());
        kept.open += 1;
    }
    for mut lost in known.into_values() {
        let stands_in_the_way = match lost.state {
            DifferenceState::Open => true,
            DifferenceState::Settled => lost.found.kind.is_return(),
            DifferenceState::Gone => false,
        };
        if !stands_in_the_way {
            continue;
        }
        lost.state = DifferenceState::Gone;
        // By whom and how it was settled stays in its history.
        lost.resolution.clear();
        lost.settled_by = None;
        lost.settle_time = None;
        lost.version += 1;
        reconciliations::keep(unit.conn(), &lost).await?;
        kept.note(&lost.found);
        kept.gone += 1;
    }
    Ok(kept)
}
