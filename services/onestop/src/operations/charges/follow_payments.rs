//! Makes orders at integration, asks about them, and has them given back: one round of the job, under its lease.
//!
//! Nothing is remembered outside the database. An order is made under the payment's id, which integration knows again; what it says of an
//! order may come late, twice or out of order, and a payment goes forward only. Whatever dies in between, the next round asks again.
//!
//! One payment holds up no other: what fails is put off, told in the log and in the payment. The money is recorded whether or not its case
//! can go on with it; a case that cannot is tried again until it does.

use egov_auth::RowScope;
use egov_calendar::vietnam_time;
use egov_clock::Clock as _;
use egov_database::{Lease, UnitOfWork};
use egov_fault::{Code, Fault};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{changed, keep};
use crate::domain::charge::{Charge, Order, OrderState, Payment, PaymentState, Reported};
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::PLATFORM;
use crate::store::{Visible, cases, charges, unsettled};

/// Payments of one look.
const BATCH: i64 = 50;

/// The shortest wait until integration is asked about a payment again.
const SHORTEST: SignedDuration = SignedDuration::from_secs(3);

/// The shortest wait after something failed.
const AFTER_FAULT: SignedDuration = SignedDuration::from_secs(15);

/// What stands in a payment of which integration says another amount.
const OTHER_AMOUNT: &str = "AMOUNT_DIFFERS";

/// Whether integration is away, for whatever it is asked; any other fault concerns the one payment.
fn is_away(fault: &Fault) -> bool {
    matches!(
        fault.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unauthenticated
    )
}

/// How long to wait: the longer something is awaited, the rarer it is asked about. Of an order that is never paid the platform need not say
/// so, and there are ever more of them.
fn wait(payment: &Payment, now: Timestamp) -> SignedDuration {
    let since = payment
        .refund
        .as_ref()
        .map_or(payment.request_time, |refund| refund.decide_time);
    let age = now.duration_since(since);
    let longest = if age < SignedDuration::from_hours(7 * 24) {
        SignedDuration::from_mins(10)
    } else if age < SignedDuration::from_hours(60 * 24) {
        SignedDuration::from_hours(1)
    } else {
        SignedDuration::from_hours(24)
    };
    (age / 8).clamp(SHORTEST, longest)
}

impl OneStop {
    /// Whether integration is to be asked about any payment.
    pub(crate) async fn is_payment_due(&self) -> Result<bool, Error> {
        let now = self.clock.now();
        self.database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(charges::is_any_to_ask(connection, now).await?)
            })
            .await
    }

    /// One round: how many payments were asked about, and whether integration is away.
    pub(crate) async fn follow_payments(&self, lease: &mut Lease) -> Result<(usize, bool), Error> {
        let now = self.clock.now();
        let due = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(charges::to_ask(connection, now, BATCH).await?)
            })
            .await?;
        for (done, (case_id, payment_id)) in due.iter().enumerate() {
            if lease.is_due() {
                lease.renew().await?;
            }
            match self.follow_payment(lease, *case_id, *payment_id).await {
                Ok(false) => {}
                Ok(true) => return Ok((done, true)),
                Err(error) => self.put_off(lease, *payment_id, error.into()).await?,
            }
        }
        Ok((due.len(), false))
    }

    /// Turns later to a payment of which something of ours failed. If that cannot be written either, it is not the payment that is at fault.
    async fn put_off(&self, lease: &Lease, payment_id: Uuid, fault: Fault) -> Result<(), Error> {
        tracing::warn!(payment = %payment_id, reason = fault.reason(), error = ?fault, "a payment is put off");
        // Rows that somebody holds are free again soon.
        let pause = if fault.code() == Code::Aborted {
            SHORTEST
        } else {
            SignedDuration::from_mins(1)
        };
        self.database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                let at = later(unit.now(), pause);
                Ok::<_, Error>(charges::turn_to_at(unit.conn(), payment_id, Some(at), fault.reason()).await?)
            })
            .await
    }

    /// Asks about one payment and keeps what is said; true if integration is away.
    async fn follow_payment(&self, lease: &Lease, case_id: Uuid, payment_id: Uuid) -> Result<bool, Error> {
        let everything = Visible::everything();
        let charge = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(charges::get(connection, case_id, &everything, false).await?)
            })
            .await?;
        let Some(charge) = charge else {
            return Ok(false);
        };
        let Ok(payment) = charge.payment(payment_id) else {
            return Ok(false);
        };
        match self.ask(&charge, payment).await {
            Ok(order) => {
                let about = (case_id, payment_id);
                if let Err(error) = self.keep_report(lease, about, &order, None).await {
                    let fault = Fault::from(error);
                    // Somebody else has the lease or the rows, or the database is away: nothing is said of the case.
                    if is_away(&fault) || fault.code() == Code::Aborted {
                        return Err(fault.into());
                    }
                    tracing::warn!(payment = %payment_id, reason = fault.reason(), error = ?fault, "a case does not go on with its payment");
                    self.keep_report(lease, about, &order, Some(fault.reason())).await?;
                }
                Ok(false)
            }
            Err(fault) => {
                // Ids and codes only.
                tracing::warn!(payment = %payment_id, reason = fault.reason(), error = ?fault, "integration does not say where a payment is");
                let problem = fault.reason().to_owned();
                self.database
                    .work(lease, async |unit: &mut UnitOfWork<'_>| {
                        let at = later(unit.now(), wait(payment, unit.now()).max(AFTER_FAULT));
                        Ok::<_, Error>(charges::ask_at(unit.conn(), payment_id, at, &problem).await?)
                    })
                    .await?;
                Ok(is_away(&fault))
            }
        }
    }

    /// What integration says of a payment, after it was asked for what is to be done.
    async fn ask(&self, charge: &Charge, payment: &Payment) -> Result<Order, Fault> {
        let Some(order_id) = payment.order_id else {
            return self
                .payments
                .create(
                    payment.payment_id,
                    payment.collecting_unit_id,
                    &charge.case_code,
                    payment.amount_vnd,
                )
                .await;
        };
        if payment.state == PaymentState::RefundOrdered
            && let Some(refund) = &payment.refund
        {
            // The same request again does nothing. One that was ordered under an id which integration has forgotten is refused, and goes on.
            let refused = match self.payments.refund(refund.request_id, order_id).await {
                Ok(_) => None,
                Err(fault) if fault.reason() == "PAYMENT_REFUND_ORDERED" => None,
                Err(fault) if fault.reason() == "PAYMENT_NOT_REFUNDABLE" => Some(fault),
                Err(fault) => return Err(fault),
            };
            let order = self.payments.get(order_id).await?;
            return match refused {
                // What is back already, by whosever doing, need not be asked for.
                Some(fault) if order.state != OrderState::Refunded => Err(fault),
                _ => Ok(order),
            };
        }
        self.payments.get(order_id).await
    }

    /// Keeps what integration said of a payment; lets the case go on when the money is there, unless it could not a moment ago (`stuck`: why).
    async fn keep_report(
        &self,
        lease: &Lease,
        (case_id, payment_id): (Uuid, Uuid),
        order: &Order,
        stuck: Option<&str>,
    ) -> Result<(), Error> {
        let everything = Visible::everything();
        self.database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                let case = cases::get_for_update(unit.conn(), case_id, &everything)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                let Some(before) = charges::get(unit.conn(), case_id, &everything, true).await? else {
                    return Ok(());
                };
                let mut after = before.clone();
                let reported = after.report(payment_id, order, |at| vietnam_time(at).date());
                let act = match reported {
                    Reported::Nothing => None,
                    Reported::Ordered => Some(("order", "payment_ordered")),
                    Reported::Received => Some(("receive", "payment_received")),
                    Reported::Expired => Some(("expire", "payment_expired")),
                    Reported::Refunded => Some(("refund", "payment_refunded")),
                    Reported::Detail => Some(("note", "payment_noted")),
                };
                if let Some(act) = act {
                    charges::save(unit.conn(), &before, &after, now).await?;
                    keep(unit, (&PLATFORM, None), &after, act, changed(&before, &after), "").await?;
                }
                let contradicted = after.note_amount(payment_id, order);
                if contradicted {
                    let differs = after.payment(payment_id).is_ok_and(|payment| payment.amount_differs);
                    charges::note_amount(unit.conn(), payment_id, differs).await?;
                }
                if act.is_some() || contradicted {
                    unsettled::keep(unit.conn(), &case, &after, now).await?;
                }
                if stuck.is_none() {
                    self.go_on_if_paid(unit, case, &after).await?;
                }
                if let Ok(payment) = after.payment(payment_id) {
                    let other_amount = payment.amount_differs.then_some(OTHER_AMOUNT);
                    let problem = stuck.or(other_amount).unwrap_or_default();
                    let again = payment.state.is_awaited() || stuck.is_some();
                    let pause = wait(payment, now).max(if problem.is_empty() { SHORTEST } else { AFTER_FAULT });
                    let at = again.then(|| later(now, pause));
                    charges::turn_to_at(unit.conn(), payment_id, at, problem).await?;
                }
                Ok::<_, Error>(())
            })
            .await
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
