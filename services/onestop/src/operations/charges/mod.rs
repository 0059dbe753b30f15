//! Phí, lệ phí: what all acts on a charge share stands here.
//!
//! The case is held first, then its charge: acts on the one and the other wait for one another in one order. A charge exists from the
//! first thing that is done with it; before that it is what the version of the case says.

mod collect_payment;
mod decide_refund;
mod exempt_fee;
mod follow_payments;
mod get_charge;
mod import_treasury_file;
mod list_unsettled_charges;
mod payment_figures;
mod reconcile_day;
mod reconcilers;
mod settle_difference;
mod take_back_treasury_file;
mod treasury_files;

use egov_auth::{Caller, RowScope};
use egov_database::{Event, Leaf, UnitOfWork, WriteRequest};
use egov_fault::Fault;
use prost::Message;
use uuid::Uuid;

use super::OneStop;
use super::act::{Act, Actor, Doer, READ, Recorded, Target, Version, acts_on, attach, resource};
use crate::domain::case::Case;
use crate::domain::charge::{Charge, FeeRefused, KIND, Payment, is_obliged};
use crate::domain::transitions::{Operation, State};
use crate::error::Error;
use crate::fee_error::FeeError;
use crate::store::charges::{self, FeeAct};
use crate::store::{Visible, unsettled};

pub(crate) use self::exempt_fee::Exempted;
pub(crate) use self::import_treasury_file::{Imported, NewTreasuryFile};
pub(crate) use self::reconcile_day::Reconciled;
pub(crate) use self::take_back_treasury_file::TakenBackFile;
pub(crate) use crate::store::charges::Collected;
pub(crate) use crate::store::reconciliations::Difference;
pub(crate) use crate::store::treasury_files::KnownFile;

/// To see charges.
pub(super) const READ_FEES: &str = "onestop.fees.read";
/// To say how many, to ask for payment and to take cash.
const COLLECT: &str = "onestop.fees.collect";
/// To reconcile.
const RECONCILE: &str = "onestop.fees.reconcile";
/// To follow what is not settled.
const READ_UNSETTLED: &str = "onestop.fees.read_unsettled";

/// Yêu cầu thực hiện nghĩa vụ tài chính: the case waits for payment.
pub(crate) const REQUEST_PAYMENT: Act = Act {
    operation: Operation::RequestPayment.as_str(),
    event: "case_payment_requested",
    permission: COLLECT,
    method: "egov.onestop.v1.FeeService/RequestPayment",
    version: Version::OfTheCase,
};

/// The money is there: the case goes on. The platform's act.
pub(crate) const SETTLE_PAYMENT: Act = Act {
    operation: Operation::SettlePayment.as_str(),
    event: "case_payment_settled",
    permission: COLLECT,
    method: "",
    version: Version::OfTheCase,
};

/// What an act on a charge is called, and what it needs.
pub(crate) struct ChargeAct {
    /// Its name in the history of the charge.
    operation: &'static str,
    /// Its event, in the past tense.
    event: &'static str,
    /// What the caller needs.
    permission: &'static str,
    /// The full gRPC name.
    method: &'static str,
    /// Whether something is owed more or less by it: only while the case owes at all.
    only_while_obliged: bool,
    /// What the history says of why.
    reason: String,
    /// A file that the case takes.
    evidence: Option<Uuid>,
}

impl OneStop {
    /// Does an act on a charge at most once and gives its answer. `judge` changes the charge or refuses.
    async fn charge_act<M, R>(
        &self,
        caller: &Caller,
        act: ChargeAct,
        target: Target<'_, M>,
        judge: impl FnOnce(&mut Charge, &Case, &UnitOfWork<'_>) -> Result<(), FeeError> + Send,
        answer: impl FnOnce(&Charge, &Case) -> R + Send,
    ) -> Result<R, Error>
    where
        M: Message,
        R: Message + Default,
    {
        let on_case = Act {
            operation: act.operation,
            event: act.event,
            permission: act.permission,
            method: act.method,
            version: Version::OfTheCase,
        };
        let mut scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        // The transaction also sees the caller's own uploads, which the act may give to the case.
        scope.owner.get_or_insert_with(|| caller.principal.record_owner());
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            act.method,
            target.request_id,
            target.body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let case = self
                    .case_to_change(unit, caller, &on_case, target.case_id, &visible)
                    .await?;
                let before = self.charge_of(unit, &case, &Visible::everything()).await?;
                if target.etag.is_some_and(|etag| before.etag() != etag) {
                    return Err(FeeError::StaleCharge.into());
                }
                if act.only_while_obliged && !is_obliged(&case) {
                    return Err(FeeError::from(FeeRefused::NotOpen(case.state)).into());
                }
                let mut after = before.clone();
                judge(&mut after, &case, unit)?;
                let now = unit.now();
                charges::save(unit.conn(), &before, &after, now)
                    .await
                    .map_err(receipt_taken)?;
                unsettled::keep(unit.conn(), &case, &after, now).await?;
                attach(
                    unit,
                    &case,
                    caller.principal.record_owner(),
                    &act.evidence.into_iter().collect::<Vec<_>>(),
                )
                .await?;
                let actor = Actor::from(caller.principal.as_ref());
                let row = acts_on(caller, &on_case, &case).unwrap_or_else(|| resource(&case));
                let in_name_of = caller.acting_for(act.permission, &row);
                let named = (act.operation, act.event);
                keep(
                    unit,
                    (&actor, in_name_of),
                    &after,
                    named,
                    changed(&before, &after),
                    &act.reason,
                )
                .await?;
                let case = if act.operation == Operation::RequestPayment.as_str() && case.state == State::Processing {
                    self.apply(unit, caller, &REQUEST_PAYMENT, &case, |case, facts| {
                        case.request_payment(facts.transitions, facts.now)?;
                        Ok(Recorded::default())
                    })
                    .await?
                    .case
                } else {
                    self.go_on_if_paid(unit, case, &after).await?
                };
                Ok::<_, Error>(answer(&after, &case))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// The charge of a case that is held: its row, held too, or what its version says.
    async fn charge_of(&self, unit: &mut UnitOfWork<'_>, case: &Case, visible: &Visible) -> Result<Charge, Error> {
        if let Some(charge) = charges::get(unit.conn(), case.case_id, visible, true).await? {
            return Ok(charge);
        }
        let procedure = self
            .procedures
            .version(unit.conn(), &case.procedure_code, case.procedure_version)
            .await?;
        let fees = procedure.procedure.fees_for(case.channel, &case.conditions);
        Ok(Charge::assess(case, &fees))
    }

    /// Lets a case that waits for its fees go on when they are paid. One that came to 6 by a step of its procedure waits for more than
    /// its fees (taxes on land, for one): whoever did that step records the next.
    async fn go_on_if_paid(&self, unit: &mut UnitOfWork<'_>, before: Case, charge: &Charge) -> Result<Case, Error> {
        if before.state != State::PaymentRequested || !charge.is_covered() {
            return Ok(before);
        }
        let today = unit.today();
        let procedure = self.procedure_for(unit, &before, Version::OfTheCase, today).await?;
        let by_step = procedure
            .procedure
            .step(&before.step)
            .is_some_and(|step| step.state == State::PaymentRequested);
        if by_step {
            return Ok(before);
        }
        let settled = self
            .apply_as(unit, Doer::PLATFORM, &SETTLE_PAYMENT, &before, |case, facts| {
                case.settle_payment(facts.transitions, facts.now)?;
                Ok(Recorded::default())
            })
            .await?;
        Ok(settled.case)
    }
}

/// The receipt's number is unique at its unit, by an index, also among the codes of its orders.
fn receipt_taken(error: crate::store::StoreError) -> Error {
    let taken = |sql: &sqlx::Error| {
        ["charge_payments_receipt", "charge_payments_reference"]
            .iter()
            .any(|index| egov_database::violates(sql, index))
    };
    match error {
        crate::store::StoreError::Sql(sql) if taken(&sql) => FeeError::ReceiptTaken.into(),
        error => error.into(),
    }
}

/// The payment that an act changed, if it was one.
fn changed<'a>(before: &Charge, after: &'a Charge) -> Option<&'a Payment> {
    after
        .payments
        .iter()
        .find(|payment| before.payment(payment.payment_id).ok() != Some(payment))
}

/// Keeps what was done with a charge: history, event, leaf. The event has ids, codes and amounts only.
async fn keep(
    unit: &mut UnitOfWork<'_>,
    (actor, on_behalf_of): (&Actor, Option<Uuid>),
    charge: &Charge,
    (operation, event): (&'static str, &'static str),
    payment: Option<&Payment>,
    reason: &str,
) -> Result<(), Error> {
    let content = charge.canonical().map_err(Fault::internal)?;
    unit.publish(Event {
        aggregate_kind: KIND,
        aggregate_id: charge.case_id,
        version: charge.version,
        kind: event,
        payload: serde_json::json!({
            "case_code": charge.case_code,
            "responsible_unit_id": charge.responsible_unit_id,
            "owed_vnd": charge.owed_vnd(),
            "payment": payment.map(|payment| serde_json::json!({
                "payment_id": payment.payment_id,
                "way": payment.way.code(),
                "state": payment.state.code(),
                "amount_vnd": payment.amount_vnd,
            })),
        }),
    });
    let act = FeeAct {
        unit_id: charge.responsible_unit_id,
        owner_id: charge.owner_id,
        kind: KIND,
        resource_id: charge.case_id,
        version: charge.version,
        act: operation,
        actor_id: actor.id,
        actor_kind: actor.kind,
        on_behalf_of: actor.on_behalf_of.or(on_behalf_of),
        reason: reason.to_owned(),
        record_time: unit.now(),
        content,
    };
    record(unit, &act).await
}

/// Appends what was done and commits to it in the ledger.
async fn record(unit: &mut UnitOfWork<'_>, act: &FeeAct) -> Result<(), Error> {
    unit.leaf(Leaf {
        kind: act.kind,
        resource: act.resource_id,
        version: act.version,
        canonical: act.content.as_bytes(),
    });
    Ok(charges::append(unit.conn(), act).await?)
}

/// The rows of these units.
fn of_units(units: &[i32]) -> Visible {
    Visible::from(&RowScope {
        units: units.to_vec(),
        ..RowScope::default()
    })
}
