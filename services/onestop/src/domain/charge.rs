//! Khoản thu: what a case owes in phí and lệ phí, what was paid and what is given back.
//!
//! The state of the money is a dimension of its own beside the state of the case (facts 1.6): chưa thu, chờ thanh toán, đã thanh
//! toán, đã đối soát, hoàn. One charge a case; whoever changes it holds its row, so that two who act at once come one after the other.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::case::{Basis, Case};
use super::pack::Fee;
use super::transitions::State;

/// The kind of aggregate of its events, and of resource of its leaves.
pub const KIND: &str = "case_charge";

/// Phí or lệ phí of a case, as it was assessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargedFee {
    /// From 1, in the order of the version.
    pub number: i32,
    /// Name.
    pub name: String,
    /// phi or le_phi.
    pub kind: String,
    /// VND for one; absent if the amount is not established.
    pub amount_vnd: Option<i64>,
    /// For what the amount is due (bản, trang); none if it is due once.
    pub per: Option<String>,
    /// How many.
    pub quantity: i32,
    /// How the amount is established.
    pub basis: Basis,
    /// Miễn, giảm.
    pub exemption: Option<Exemption>,
}

/// Miễn, giảm, as an officer decided it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// What is left to pay; 0 if it is waived.
    pub reduced_to_vnd: i64,
    /// Why (đối tượng).
    pub reason: String,
    /// Căn cứ pháp lý.
    pub legal_basis: String,
    /// The file of the case that proves it.
    pub evidence_file_id: Option<Uuid>,
    /// Who decided.
    pub officer_id: Uuid,
    /// When.
    pub time: Timestamp,
}

impl ChargedFee {
    /// What is due by number, before an exemption; none if the amount is not established.
    pub fn full_vnd(&self) -> Option<i64> {
        self.amount_vnd?.checked_mul(i64::from(self.quantity))
    }

    /// What is to be paid; none if the amount is not established.
    pub fn due_vnd(&self) -> Option<i64> {
        match &self.exemption {
            Some(exemption) => Some(exemption.reduced_to_vnd),
            None => self.full_vnd(),
        }
    }
}

/// How it is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Trực tuyến, at the payment platform.
    Online = 1,
    /// Tiền mặt, at the counter.
    Cash = 2,
}

impl Way {
    /// In the database and the contract.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The way with this code.
    pub fn of_code(code: i16) -> Option<Self> {
        [Self::Online, Self::Cash].into_iter().find(|way| way.code() == code)
    }
}

/// Where a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// Asked for; the order is on its way to the platform.
    Requested = 1,
    /// Chờ thanh toán: the platform has the order.
    Pending = 2,
    /// Đã thanh toán.
    Paid = 3,
    /// Đã đối soát.
    Reconciled = 4,
    /// A refund was decided; the money is on its way back.
    RefundOrdered = 5,
    /// Hoàn.
    Refunded = 6,
    /// The order ended unpaid.
    Expired = 7,
}

impl PaymentState {
    /// All, by code.
    pub const ALL: [Self; 7] = [
        Self::Requested,
        Self::Pending,
        Self::Paid,
        Self::Reconciled,
        Self::RefundOrdered,
        Self::Refunded,
        Self::Expired,
    ];

    /// In the database and the contract.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The state with this code.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// True while an order is open: the citizen may pay.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Requested | Self::Pending)
    }

    /// True while we hold the money.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Paid | Self::Reconciled)
    }

    /// True while something is to come of it at the platform.
    pub const fn is_awaited(self) -> bool {
        self.is_open() || matches!(self, Self::RefundOrdered)
    }
}

/// Hoàn phí, lệ phí, as it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// By which integration knows the request again.
    pub request_id: Uuid,
    /// Why.
    pub reason: String,
    /// Số quyết định.
    pub decision_number: String,
    /// Who decided.
    pub decided_by: Uuid,
    /// When.
    pub decide_time: Timestamp,
    /// When the money was back.
    pub done_time: Option<Timestamp>,
}

/// Khoản thanh toán.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Its id, by which integration knows the request for an order again.
    pub payment_id: Uuid,
    /// The unit whose receipt it is.
    pub collecting_unit_id: i32,
    /// How.
    pub way: Way,
    /// VND.
    pub amount_vnd: i64,
    /// Where it is.
    pub state: PaymentState,
    /// Integration's order.
    pub order_id: Option<Uuid>,
    /// Our code of the order at the platform, or the number of the receipt.
    pub reference: String,
    /// Where the citizen pays.
    pub pay_url: String,
    /// The platform's number of the transaction.
    pub transaction: String,
    /// When it was asked for, or taken.
    pub request_time: Timestamp,
    /// When it was paid.
    pub paid_time: Option<Timestamp>,
    /// On which day, in Việt Nam.
    pub paid_day: Option<Date>,
    /// Hoàn.
    pub refund: Option<Refund>,
    /// Why integration could not be asked last, a word. It changes nothing, so the ledger does not commit to it.
    #[serde(skip)]
    pub problem: String,
    /// Integration names another amount than was asked for. Nor does this change anything.
    #[serde(skip)]
    pub amount_differs: bool,
    /// The platform's list of a day lacks it, has it twice or with another amount, or says that it was given back without a decision here, or the
    /// treasury booked so, and nobody has settled that yet. Nor does this.
    #[serde(skip)]
    pub listed_otherwise: bool,
}

impl Payment {
    /// True if the platform contradicts what we have of it. What is back is in no doubt.
    pub const fn is_doubted(&self) -> bool {
        match self.state {
            PaymentState::Refunded => false,
            PaymentState::Paid | PaymentState::Reconciled | PaymentState::RefundOrdered => {
                self.amount_differs || self.listed_otherwise
            }
            PaymentState::Requested | PaymentState::Pending | PaymentState::Expired => self.amount_differs,
        }
    }
}

/// What integration says of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Integration's id.
    pub order_id: Uuid,
    /// Our code of it at the platform.
    pub order_code: String,
    /// VND.
    pub amount_vnd: i64,
    /// Where it is.
    pub state: OrderState,
    /// Where the citizen pays; empty until the platform has it.
    pub pay_url: String,
    /// The platform's number of the transaction.
    pub transaction: String,
    /// When the platform says that it was paid; none if it does not say.
    pub settle_time: Option<Timestamp>,
    /// When the platform says that the money went back; none if it does not say.
    pub refund_time: Option<Timestamp>,
    /// When it changed last.
    pub update_time: Timestamp,
}

/// Where an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// The platform does not have it yet.
    Ordered,
    /// It can be paid.
    Pending,
    /// Paid.
    Paid,
    /// The money went back.
    Refunded,
    /// It ended unpaid.
    Expired,
}

/// What a report about an order changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// Nothing: it was known, or came late.
    Nothing,
    /// The order is there.
    Ordered,
    /// The money is there.
    Received,
    /// The order ended unpaid.
    Expired,
    /// The money went back.
    Refunded,
    /// Something about it became known that changes no state.
    Detail,
}

/// Where the money of a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeState {
    /// Nothing is owed.
    Free = 1,
    /// Chưa thu.
    Unpaid = 2,
    /// Chờ thanh toán.
    Awaiting = 3,
    /// Đã thanh toán.
    Paid = 4,
    /// Đã đối soát.
    Reconciled = 5,
    /// More was paid than is owed, or the case ended without a result: a refund is to be decided.
    RefundDue = 6,
    /// A refund is on its way.
    Refunding = 7,
    /// Hoàn.
    Refunded = 8,
}

/// Why a charge is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsettledState {
    /// Something is left to pay, or an amount is not established.
    Owed = 1,
    /// The platform contradicts us about a payment.
    InDoubt = 2,
    /// A refund is due and not made.
    RefundsDue = 3,
}

impl UnsettledState {
    /// In the contract.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The state with this code.
    pub fn of_code(code: i32) -> Option<Self> {
        [Self::Owed, Self::InDoubt, Self::RefundsDue]
            .into_iter()
            .find(|state| state.code() == code)
    }
}

/// What of a charge is not settled. Of all that could be, at least one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsettled {
    /// Something is left to pay, or an amount is not established.
    pub owed: bool,
    /// The platform contradicts us about a payment.
    pub in_doubt: bool,
    /// A refund is to be decided, or on its way.
    pub refund_due: bool,
    /// An order at the platform is open.
    pub order_open: bool,
    /// What is left to pay, VND; none if nothing is, or if an amount is not established.
    pub left_vnd: Option<i64>,
    /// What is held.
    pub held_vnd: i64,
    /// What is to go back, or on its way.
    pub refund_vnd: i64,
}

impl Unsettled {
    /// Why it is not settled.
    pub fn states(&self) -> Vec<UnsettledState> {
        [
            (self.owed, UnsettledState::Owed),
            (self.in_doubt, UnsettledState::InDoubt),
            (self.refund_due, UnsettledState::RefundsDue),
        ]
        .into_iter()
        .filter_map(|(holds, state)| holds.then_some(state))
        .collect()
    }
}

/// Khoản thu of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Charge {
    /// The case.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Cơ quan có thẩm quyền.
    pub responsible_unit_id: i32,
    /// The citizen's account, if the case came with an eID.
    pub owner_id: Option<Uuid>,
    /// What is owed.
    pub fees: Vec<ChargedFee>,
    /// What was paid, oldest first.
    pub payments: Vec<Payment>,
    /// 0 while nothing was done with it: what the version says.
    pub version: i64,
}

/// What is wrong with the number of a fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantityFlaw {
    /// The fee is due once.
    DueOnce,
    /// The fee was named before.
    Twice,
}

/// Why something about fees is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeeRefused {
    /// The case has no such fees.
    #[error("no fees {0:?}")]
    FeeUnknown(Vec<i32>),
    /// Amounts that nobody established; the names.
    #[error("not established: {}", .0.join(", "))]
    NotEstablished(Vec<String>),
    /// Numbers that cannot be, each with its place in what was said.
    #[error("{} quantities are wrong", .0.len())]
    Quantities(Vec<(usize, QuantityFlaw)>),
    /// An exemption leaves more than the fee, or less than nothing.
    #[error("an exemption leaves between 0 and {0}")]
    NotLess(i64),
    /// Nothing is left to pay.
    #[error("nothing to pay")]
    NothingToPay,
    /// Another amount than what is left to pay.
    #[error("{0} is left to pay")]
    OtherAmount(i64),
    /// An order is open.
    #[error("an order is open")]
    Pending(Uuid),
    /// What was paid for is not counted down.
    #[error("paid")]
    AlreadyPaid,
    /// Before acceptance, or after an end without a result, nothing is collected.
    #[error("nothing is collected in state {}", .0.code())]
    NotOpen(State),
    /// There is no such payment.
    #[error("no such payment")]
    PaymentNotFound,
    /// The payment is not held.
    #[error("the payment is in state {0:?}")]
    PaymentState(PaymentState),
    /// The money is owed.
    #[error("no refund is due")]
    RefundNotDue,
}

/// True while a case owes what its version says: it was accepted, and did not end without a result.
pub fn is_obliged(case: &Case) -> bool {
    case.accept_time.is_some() && !matches!(case.state, State::Rejected | State::Withdrawn | State::Stopped)
}

/// For what the fee at a place of a case is due, by those of its version. Both are in one order, and a name may be there twice; a case that
/// went over to another version keeps its fees, of which the name is left.
fn per_of(fees: &[&Fee], place: usize, name: &str) -> Option<String> {
    let here = fees.get(place).filter(|fee| fee.name == name);
    here.or_else(|| fees.iter().find(|fee| fee.name == name))
        .and_then(|fee| fee.per.clone())
}

impl Charge {
    /// What a case owes by its version, before anything was done. `fees` are those of the definition, for what is due by number.
    pub fn assess(case: &Case, fees: &[&Fee]) -> Self {
        let charged = case
            .fees
            .iter()
            .zip(1..)
            .enumerate()
            .map(|(place, (fee, number))| ChargedFee {
                number,
                name: fee.name.clone(),
                kind: fee.kind.clone(),
                amount_vnd: fee.amount_vnd,
                per: per_of(fees, place, &fee.name),
                quantity: 1,
                basis: fee.basis.clone(),
                exemption: None,
            });
        Self {
            case_id: case.case_id,
            case_code: case.case_code.clone(),
            responsible_unit_id: case.responsible_unit_id,
            owner_id: case.owner_id,
            fees: charged.collect(),
            payments: Vec::new(),
            version: 0,
        }
    }

    /// The etag of this version; it names the case, so that an etag of another charge never fits.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.version, &self.case_id.simple().to_string()[20..])
    }

    /// The bytes to which the ledger commits.
    pub fn canonical(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// What is owed; none if an amount is not established.
    pub fn owed_vnd(&self) -> Option<i64> {
        self.fees
            .iter()
            .try_fold(0_i64, |sum, fee| sum.checked_add(fee.due_vnd()?))
    }

    /// What we hold.
    pub fn held_vnd(&self) -> i64 {
        self.sum(PaymentState::is_held)
    }

    fn sum(&self, of: impl Fn(PaymentState) -> bool) -> i64 {
        let payments = self.payments.iter().filter(|payment| of(payment.state));
        payments.fold(0, |sum: i64, payment| sum.saturating_add(payment.amount_vnd))
    }

    /// True if everything that is owed was paid.
    pub fn is_covered(&self) -> bool {
        self.owed_vnd().is_some_and(|owed| self.held_vnd() >= owed)
    }

    /// Where the money stands; `obliged` by [`is_obliged`].
    pub fn state(&self, obliged: bool) -> ChargeState {
        let any = |state: PaymentState| self.payments.iter().any(|payment| payment.state == state);
        // What is not established is not paid.
        let owed = if obliged {
            self.owed_vnd().unwrap_or(i64::MAX)
        } else {
            0
        };
        let held = self.held_vnd();
        if any(PaymentState::RefundOrdered) {
            ChargeState::Refunding
        } else if held > owed {
            ChargeState::RefundDue
        } else if held > 0 && held == owed {
            if any(PaymentState::Paid) {
                ChargeState::Paid
            } else {
                ChargeState::Reconciled
            }
        } else if self.payments.iter().any(|payment| payment.state.is_open()) {
            ChargeState::Awaiting
        } else if owed == 0 || !obliged {
            if any(PaymentState::Refunded) {
                ChargeState::Refunded
            } else {
                ChargeState::Free
            }
        } else {
            ChargeState::Unpaid
        }
    }

    /// What of it is not settled, if anything is; `obliged` by [`is_obliged`]. An order that is open although nothing is owed is no reason:
    /// what is paid by it all the same is.
    pub fn unsettled(&self, obliged: bool) -> Option<Unsettled> {
        let owed = if obliged { self.owed_vnd() } else { Some(0) };
        let held = self.held_vnd();
        let left = owed.map_or(0, |owed| owed.saturating_sub(held)).max(0);
        // What is not established is not paid.
        let too_much = owed.map_or(0, |owed| held.saturating_sub(owed)).max(0);
        let on_its_way = self.sum(|state| state == PaymentState::RefundOrdered);
        let unsettled = Unsettled {
            owed: owed.is_none() || left > 0,
            in_doubt: self.payments.iter().any(Payment::is_doubted),
            refund_due: too_much > 0 || on_its_way > 0,
            order_open: self.payments.iter().any(|payment| payment.state.is_open()),
            left_vnd: (left > 0).then_some(left),
            held_vnd: held,
            refund_vnd: too_much.saturating_add(on_its_way),
        };
        (unsettled.owed || unsettled.in_doubt || unsettled.refund_due).then_some(unsettled)
    }

    fn grow(&mut self) {
        self.version = self.version.saturating_add(1);
    }

    /// Nothing of what is owed changes while an order is open: it is for what was owed when it was made.
    fn demand_no_order(&self) -> Result<(), FeeRefused> {
        match self.payments.iter().find(|payment| payment.state.is_open()) {
            Some(open) => Err(FeeRefused::Pending(open.payment_id)),
            None => Ok(()),
        }
    }

    /// True if something was paid and is not back.
    fn is_paid(&self) -> bool {
        let held = |payment: &Payment| payment.state.is_held() || payment.state == PaymentState::RefundOrdered;
        self.payments.iter().any(held)
    }

    fn fee(&self, number: i32) -> Option<&ChargedFee> {
        self.fees.iter().find(|fee| fee.number == number)
    }

    /// Says how many of each (số bản, số trang). An exemption of a fee whose number changes is taken back: it was decided of another sum.
    /// What was paid for is not counted down: that it was not owed is decided by an exemption.
    pub fn set_quantities(&mut self, quantities: &[(i32, i32)]) -> Result<(), FeeRefused> {
        self.demand_no_order()?;
        let numbers = quantities.iter().map(|(number, _)| *number);
        let unknown: Vec<i32> = numbers.filter(|number| self.fee(*number).is_none()).collect();
        if !unknown.is_empty() {
            return Err(FeeRefused::FeeUnknown(unknown));
        }
        let mut flaws = Vec::new();
        for (place, (number, quantity)) in quantities.iter().enumerate() {
            if quantities.iter().take(place).any(|(before, _)| before == number) {
                flaws.push((place, QuantityFlaw::Twice));
            }
            if *quantity != 1 && self.fee(*number).is_some_and(|fee| fee.per.is_none()) {
                flaws.push((place, QuantityFlaw::DueOnce));
            }
        }
        if !flaws.is_empty() {
            return Err(FeeRefused::Quantities(flaws));
        }
        let is_less = |(number, quantity): &(i32, i32)| self.fee(*number).is_some_and(|fee| *quantity < fee.quantity);
        if self.is_paid() && quantities.iter().any(is_less) {
            return Err(FeeRefused::AlreadyPaid);
        }
        for (number, quantity) in quantities {
            let known = self.fees.iter_mut().find(|fee| fee.number == *number);
            if let Some(fee) = known.filter(|fee| fee.quantity != *quantity) {
                fee.quantity = *quantity;
                fee.exemption = None;
            }
        }
        self.grow();
        Ok(())
    }

    /// Miễn, giảm; also of what was paid: then a refund is due.
    pub fn exempt(&mut self, number: i32, exemption: Exemption) -> Result<(), FeeRefused> {
        self.demand_no_order()?;
        let known = self.fees.iter_mut().find(|fee| fee.number == number);
        let fee = known.ok_or_else(|| FeeRefused::FeeUnknown(vec![number]))?;
        let full = fee
            .full_vnd()
            .ok_or_else(|| FeeRefused::NotEstablished(vec![fee.name.clone()]))?;
        if !(0..=full).contains(&exemption.reduced_to_vnd) {
            return Err(FeeRefused::NotLess(full));
        }
        fee.exemption = Some(exemption);
        self.grow();
        Ok(())
    }

    /// True if the applicant is to pay something at all; `obliged` by [`is_obliged`].
    pub fn is_payable(&self, obliged: bool) -> bool {
        obliged && self.outstanding().is_ok()
    }

    /// What is left to pay.
    fn outstanding(&self) -> Result<i64, FeeRefused> {
        let owed = self.owed_vnd().ok_or_else(|| {
            let open = self.fees.iter().filter(|fee| fee.due_vnd().is_none());
            FeeRefused::NotEstablished(open.map(|fee| fee.name.clone()).collect())
        })?;
        let left = owed.saturating_sub(self.held_vnd());
        if left > 0 {
            Ok(left)
        } else {
            Err(FeeRefused::NothingToPay)
        }
    }

    /// Asks for what is left to pay, by an order at the payment platform. At most one is open.
    pub fn request(&mut self, payment_id: Uuid, now: Timestamp) -> Result<(), FeeRefused> {
        let amount_vnd = self.outstanding()?;
        if let Some(open) = self.payments.iter().find(|payment| payment.state.is_open()) {
            return Err(FeeRefused::Pending(open.payment_id));
        }
        self.payments.push(Payment {
            payment_id,
            collecting_unit_id: self.responsible_unit_id,
            way: Way::Online,
            amount_vnd,
            state: PaymentState::Requested,
            order_id: None,
            reference: String::new(),
            pay_url: String::new(),
            transaction: String::new(),
            request_time: now,
            paid_time: None,
            paid_day: None,
            refund: None,
            problem: String::new(),
            amount_differs: false,
            listed_otherwise: false,
        });
        self.grow();
        Ok(())
    }

    /// Cash at the counter, against a receipt, for all that is left to pay. An order that is open stays open: whether it is paid all the
    /// same is not in our hands.
    pub fn take_cash(
        &mut self,
        payment_id: Uuid,
        receipt_number: &str,
        amount_vnd: i64,
        (now, today): (Timestamp, Date),
    ) -> Result<(), FeeRefused> {
        let left = self.outstanding()?;
        if amount_vnd != left {
            return Err(FeeRefused::OtherAmount(left));
        }
        self.payments.push(Payment {
            payment_id,
            collecting_unit_id: self.responsible_unit_id,
            way: Way::Cash,
            amount_vnd,
            state: PaymentState::Paid,
            order_id: None,
            reference: receipt_number.to_owned(),
            pay_url: String::new(),
            transaction: String::new(),
            request_time: now,
            paid_time: Some(now),
            paid_day: Some(today),
            refund: None,
            problem: String::new(),
            amount_differs: false,
            listed_otherwise: false,
        });
        self.grow();
        Ok(())
    }

    fn payment_mut(&mut self, payment_id: Uuid) -> Result<&mut Payment, FeeRefused> {
        self.payments
            .iter_mut()
            .find(|payment| payment.payment_id == payment_id)
            .ok_or(FeeRefused::PaymentNotFound)
    }

    /// The payment with an id.
    pub fn payment(&self, payment_id: Uuid) -> Result<&Payment, FeeRefused> {
        self.payments
            .iter()
            .find(|payment| payment.payment_id == payment_id)
            .ok_or(FeeRefused::PaymentNotFound)
    }

    /// What integration says of the order of a payment. Reports may come late, twice and in any order: a payment goes forward only. One
    /// about another amount or another order changes nothing.
    pub fn report(&mut self, payment_id: Uuid, order: &Order, day_of: impl Fn(Timestamp) -> Date) -> Reported {
        let Ok(payment) = self.payment_mut(payment_id) else {
            return Reported::Nothing;
        };
        let other = payment.order_id.is_some_and(|known| known != order.order_id);
        if payment.way != Way::Online || other || order.amount_vnd != payment.amount_vnd {
            return Reported::Nothing;
        }
        let before = payment.clone();
        payment.order_id = Some(order.order_id);
        payment.reference.clone_from(&order.order_code);
        if payment.pay_url.is_empty() {
            payment.pay_url.clone_from(&order.pay_url);
        }
        if payment.transaction.is_empty() {
            payment.transaction.clone_from(&order.transaction);
        }
        let open = payment.state.is_open();
        let reported = match order.state {
            OrderState::Pending if payment.state == PaymentState::Requested => {
                payment.state = PaymentState::Pending;
                Reported::Ordered
            }
            // Paid although it was thought to have ended: the money is there.
            OrderState::Paid if open || payment.state == PaymentState::Expired => {
                payment.state = PaymentState::Paid;
                Reported::Received
            }
            OrderState::Refunded if payment.state != PaymentState::Refunded => {
                payment.state = PaymentState::Refunded;
                if let Some(refund) = &mut payment.refund {
                    refund.done_time = Some(order.refund_time.unwrap_or(order.update_time));
                }
                Reported::Refunded
            }
            OrderState::Expired if open => {
                payment.state = PaymentState::Expired;
                Reported::Expired
            }
            _ => Reported::Nothing,
        };
        if matches!(reported, Reported::Received | Reported::Refunded) && payment.paid_time.is_none() {
            // On the platform's day it stands in the platform's list, whenever integration heard of it.
            let paid_time = order.settle_time.unwrap_or(order.update_time);
            payment.paid_time = Some(paid_time);
            payment.paid_day = Some(day_of(paid_time));
        }
        let known = *payment == before;
        if known {
            return Reported::Nothing;
        }
        self.grow();
        if reported == Reported::Nothing {
            Reported::Detail
        } else {
            reported
        }
    }

    /// Keeps whether integration names another amount of a payment than was asked for. True if that is new.
    pub fn note_amount(&mut self, payment_id: Uuid, order: &Order) -> bool {
        self.payment_mut(payment_id).is_ok_and(|payment| {
            let differs = payment.amount_vnd != order.amount_vnd;
            std::mem::replace(&mut payment.amount_differs, differs) != differs
        })
    }

    /// Hoàn: what is held without being owed goes back, a payment as a whole. If more is held than is owed and no payment is as small as
    /// what is too much (a fee was reduced after it was paid), one goes back all the same: what is owed of it is then left to pay. Cash is
    /// given back at the counter at once; of an order integration lets the platform give it back.
    pub fn decide_refund(&mut self, payment_id: Uuid, refund: Refund, obliged: bool) -> Result<(), FeeRefused> {
        let owed = if obliged {
            self.owed_vnd().unwrap_or(i64::MAX)
        } else {
            0
        };
        let too_much = self.held_vnd().saturating_sub(owed);
        let fits = |payment: &Payment| payment.state.is_held() && payment.amount_vnd <= too_much;
        let chosen = self.payment(payment_id)?;
        if !chosen.state.is_held() {
            return Err(FeeRefused::PaymentState(chosen.state));
        }
        if too_much <= 0 || (!fits(chosen) && self.payments.iter().any(fits)) {
            return Err(FeeRefused::RefundNotDue);
        }
        let payment = self.payment_mut(payment_id)?;
        match payment.way {
            Way::Online => {
                payment.state = PaymentState::RefundOrdered;
                payment.refund = Some(refund);
            }
            Way::Cash => {
                payment.state = PaymentState::Refunded;
                payment.refund = Some(Refund {
                    done_time: Some(refund.decide_time),
                    ..refund
                });
            }
        }
        self.grow();
        Ok(())
    }

    /// Đã đối soát: the sides agree about a payment. False if there is nothing to change.
    pub fn reconcile(&mut self, payment_id: Uuid) -> Result<bool, FeeRefused> {
        let payment = self.payment_mut(payment_id)?;
        if payment.state != PaymentState::Paid {
            return Ok(false);
        }
        payment.state = PaymentState::Reconciled;
        self.grow();
        Ok(true)
    }

    /// What made the sides agree about a payment no longer counts: it is đã thanh toán until its day is reconciled again. False if there is
    /// nothing to change.
    pub fn reopen(&mut self, payment_id: Uuid) -> Result<bool, FeeRefused> {
        let payment = self.payment_mut(payment_id)?;
        if payment.state != PaymentState::Reconciled {
            return Ok(false);
        }
        payment.state = PaymentState::Paid;
        self.grow();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pack::{Fact, FactStatus};
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T01:00:00Z".parse().unwrap()
    }

    fn day(_: Timestamp) -> Date {
        jiff::civil::date(2026, 11, 23)
    }

    fn charge(amounts: &[Option<i64>]) -> Charge {
        let fees = amounts.iter().zip(1..).map(|(amount, number)| ChargedFee {
            number,
            name: format!("Lệ phí {number}"),
            kind: "le_phi".to_owned(),
            amount_vnd: *amount,
            per: (number == 2).then(|| "bản".to_owned()),
            quantity: 1,
            basis: Basis::default(),
            exemption: None,
        });
        Charge {
            case_id: Uuid::from_u128(7),
            case_code: "H41.201-261123-0001".to_owned(),
            responsible_unit_id: 2,
            owner_id: None,
            fees: fees.collect(),
            payments: Vec::new(),
            version: 0,
        }
    }

    fn exemption(reduced_to_vnd: i64) -> Exemption {
        Exemption {
            reduced_to_vnd,
            reason: "hộ nghèo".to_owned(),
            legal_basis: "nghị quyết của HĐND".to_owned(),
            evidence_file_id: None,
            officer_id: Uuid::from_u128(1),
            time: now(),
        }
    }

    fn refund() -> Refund {
        Refund {
            request_id: Uuid::from_u128(9),
            reason: "rút hồ sơ".to_owned(),
            decision_number: "01/QĐ".to_owned(),
            decided_by: Uuid::from_u128(1),
            decide_time: now(),
            done_time: None,
        }
    }

    fn order(state: OrderState, amount_vnd: i64) -> Order {
        Order {
            order_id: Uuid::from_u128(5),
            order_code: "o-5".to_owned(),
            amount_vnd,
            state,
            pay_url: "https://pay".to_owned(),
            transaction: if state == OrderState::Paid { "T5" } else { "" }.to_owned(),
            settle_time: None,
            refund_time: None,
            update_time: now(),
        }
    }

    const PAYMENT: Uuid = Uuid::from_u128(3);
    const OTHER: Uuid = Uuid::from_u128(4);

    #[test]
    fn what_is_due_by_number_is_multiplied_and_what_is_due_once_is_not() {
        let mut charge = charge(&[Some(50_000), Some(8_000)]);
        charge.set_quantities(&[(2, 3)]).unwrap();
        assert_eq!(charge.owed_vnd(), Some(74_000));
        let before = charge.clone();
        assert_eq!(
            charge.set_quantities(&[(1, 2), (2, 5), (2, 6)]),
            Err(FeeRefused::Quantities(vec![
                (0, QuantityFlaw::DueOnce),
                (2, QuantityFlaw::Twice)
            ]))
        );
        assert_eq!(
            charge.set_quantities(&[(9, 2), (2, 5), (8, 1)]),
            Err(FeeRefused::FeeUnknown(vec![9, 8]))
        );
        assert_eq!(charge, before, "all of it or nothing");
    }

    #[test]
    fn what_a_fee_is_due_for_is_read_by_its_place_where_a_name_is_there_twice() {
        let fee = |code: &str, per: Option<&str>| Fee {
            code: code.to_owned(),
            name: "Lệ phí".to_owned(),
            kind: None,
            amount_vnd: Some(1_000),
            per: per.map(str::to_owned),
            when: None,
            exemptions: Vec::new(),
            fact: Fact {
                status: FactStatus::Confirmed,
                source: "một nguồn".to_owned(),
                by: None,
                when: None,
                basis: None,
                demonstration: false,
            },
        };
        let (once, each) = (fee("a", None), fee("b", Some("bản")));
        let per = |fees: &[&Fee]| {
            let places = fees.iter().enumerate();
            places
                .map(|(place, fee)| per_of(fees, place, &fee.name))
                .collect::<Vec<_>>()
        };
        assert_eq!(per(&[&once, &each]), [None, Some("bản".to_owned())]);
        assert_eq!(per(&[&each, &once]), [Some("bản".to_owned()), None]);
        assert_eq!(per_of(&[&each], 3, "Lệ phí"), Some("bản".to_owned()));
        assert_eq!(per_of(&[&each], 0, "Phí"), None);
    }

    #[test]
    fn what_was_paid_for_is_counted_up_and_left_to_pay_and_never_down() {
        let mut charge = charge(&[Some(50_000), Some(8_000)]);
        charge.set_quantities(&[(2, 2)]).unwrap();
        charge.take_cash(PAYMENT, "BL1", 66_000, (now(), day(now()))).unwrap();
        assert_eq!(charge.set_quantities(&[(2, 1)]), Err(FeeRefused::AlreadyPaid));
        charge.set_quantities(&[(2, 3)]).unwrap();
        assert_eq!(
            (charge.state(true), charge.outstanding()),
            (ChargeState::Unpaid, Ok(8_000))
        );
        charge.take_cash(OTHER, "BL2", 8_000, (now(), day(now()))).unwrap();
        assert_eq!(charge.state(true), ChargeState::Paid);
    }

    #[test]
    fn what_is_waived_after_it_was_paid_goes_back() {
        let mut charge = charge(&[Some(8_000)]);
        charge.take_cash(PAYMENT, "BL1", 8_000, (now(), day(now()))).unwrap();
        charge.exempt(1, exemption(0)).unwrap();
        assert_eq!(charge.state(true), ChargeState::RefundDue);
        charge.decide_refund(PAYMENT, refund(), true).unwrap();
        assert_eq!(charge.state(true), ChargeState::Refunded);
    }

    #[test]
    fn what_is_reduced_after_it_was_paid_goes_back_whole_and_the_rest_is_left_to_pay() {
        let mut charge = charge(&[Some(8_000)]);
        charge.take_cash(PAYMENT, "BL1", 8_000, (now(), day(now()))).unwrap();
        charge.exempt(1, exemption(3_000)).unwrap();
        assert_eq!(charge.state(true), ChargeState::RefundDue);
        charge.decide_refund(PAYMENT, refund(), true).unwrap();
        assert_eq!(
            (charge.state(true), charge.outstanding()),
            (ChargeState::Unpaid, Ok(3_000))
        );
        assert!(charge.is_payable(true) && !charge.is_payable(false));
    }

    #[test]
    fn of_two_payments_the_one_that_is_too_much_goes_back_and_no_other() {
        let mut charge = charge(&[Some(8_000), Some(8_000)]);
        charge.take_cash(PAYMENT, "BL1", 16_000, (now(), day(now()))).unwrap();
        charge.set_quantities(&[(2, 2)]).unwrap();
        charge.take_cash(OTHER, "BL2", 8_000, (now(), day(now()))).unwrap();
        charge.exempt(1, exemption(0)).unwrap();
        assert_eq!(
            charge.decide_refund(PAYMENT, refund(), true),
            Err(FeeRefused::RefundNotDue),
            "16,000 are more than what is too much, and a payment of 8,000 is there"
        );
        charge.decide_refund(OTHER, refund(), true).unwrap();
        assert_eq!(charge.state(true), ChargeState::Paid);
    }

    #[test]
    fn an_exemption_leaves_nothing_or_less_and_another_number_takes_it_back() {
        let mut charge = charge(&[Some(50_000), Some(8_000)]);
        assert_eq!(charge.exempt(1, exemption(50_001)), Err(FeeRefused::NotLess(50_000)));
        charge.exempt(1, exemption(25_000)).unwrap();
        charge.exempt(2, exemption(0)).unwrap();
        assert_eq!(charge.owed_vnd(), Some(25_000));
        charge.set_quantities(&[(2, 2)]).unwrap();
        assert_eq!(charge.owed_vnd(), Some(41_000));
        charge.exempt(1, exemption(0)).unwrap();
        charge.exempt(2, exemption(0)).unwrap();
        assert_eq!(charge.state(true), ChargeState::Free);
        assert_eq!(charge.request(PAYMENT, now()), Err(FeeRefused::NothingToPay));
    }

    #[test]
    fn an_amount_that_nobody_established_is_not_asked_for() {
        let mut charge = charge(&[Some(1), None]);
        assert_eq!(
            charge.request(PAYMENT, now()),
            Err(FeeRefused::NotEstablished(vec!["Lệ phí 2".to_owned()]))
        );
        assert_eq!(charge.state(true), ChargeState::Unpaid);
    }

    #[test]
    fn one_order_is_open_at_a_time_and_nothing_is_assessed_while_it_is() {
        let mut charge = charge(&[Some(8_000)]);
        charge.request(PAYMENT, now()).unwrap();
        assert_eq!(charge.request(OTHER, now()), Err(FeeRefused::Pending(PAYMENT)));
        assert_eq!(charge.exempt(1, exemption(0)), Err(FeeRefused::Pending(PAYMENT)));
        assert_eq!(charge.state(true), ChargeState::Awaiting);
        assert_eq!(
            charge.report(PAYMENT, &order(OrderState::Expired, 8_000), day),
            Reported::Expired
        );
        assert_eq!(charge.state(true), ChargeState::Unpaid);
        charge.request(OTHER, now()).unwrap();
        assert_eq!(charge.payments.len(), 2);
    }

    #[test]
    fn cash_beside_an_order_that_is_paid_after_all_is_a_refund_that_is_due() {
        let mut charge = charge(&[Some(8_000)]);
        charge.request(PAYMENT, now()).unwrap();
        assert_eq!(
            charge.take_cash(OTHER, "BL1", 1, (now(), day(now()))),
            Err(FeeRefused::OtherAmount(8_000))
        );
        charge.take_cash(OTHER, "BL1", 8_000, (now(), day(now()))).unwrap();
        assert_eq!(charge.state(true), ChargeState::Paid);
        assert_eq!(
            charge.decide_refund(OTHER, refund(), true),
            Err(FeeRefused::RefundNotDue)
        );
        assert_eq!(
            charge.report(PAYMENT, &order(OrderState::Paid, 8_000), day),
            Reported::Received
        );
        assert_eq!(charge.state(true), ChargeState::RefundDue);
        charge.decide_refund(PAYMENT, refund(), true).unwrap();
        assert_eq!(charge.state(true), ChargeState::Refunding);
        assert_eq!(
            charge.report(PAYMENT, &order(OrderState::Refunded, 8_000), day),
            Reported::Refunded
        );
        assert_eq!(charge.state(true), ChargeState::Paid);
        assert_eq!(charge.payments[0].refund.as_ref().unwrap().done_time, Some(now()));
    }

    #[test]
    fn what_was_paid_for_a_case_that_ended_without_a_result_may_go_back_and_cash_goes_back_at_once() {
        let mut charge = charge(&[Some(8_000)]);
        charge.take_cash(PAYMENT, "BL1", 8_000, (now(), day(now()))).unwrap();
        assert_eq!(charge.state(false), ChargeState::RefundDue);
        charge.decide_refund(PAYMENT, refund(), false).unwrap();
        assert_eq!((charge.state(false), charge.held_vnd()), (ChargeState::Refunded, 0));
        assert_eq!(
            charge.decide_refund(PAYMENT, refund(), false),
            Err(FeeRefused::PaymentState(PaymentState::Refunded))
        );
    }

    #[test]
    fn a_report_of_another_amount_or_order_changes_nothing() {
        let mut charge = charge(&[Some(8_000)]);
        charge.request(PAYMENT, now()).unwrap();
        let before = charge.clone();
        assert_eq!(
            charge.report(PAYMENT, &order(OrderState::Paid, 1), day),
            Reported::Nothing
        );
        assert_eq!(charge, before);
        charge.report(PAYMENT, &order(OrderState::Pending, 8_000), day);
        let other = Order {
            order_id: Uuid::from_u128(6),
            ..order(OrderState::Paid, 8_000)
        };
        assert_eq!(charge.report(PAYMENT, &other, day), Reported::Nothing);
    }

    #[test]
    fn the_day_of_a_payment_and_of_a_refund_is_the_platforms() {
        let (at, heard) = ("2026-11-22T16:59:58Z", "2026-11-22T17:00:03Z");
        let [at, heard] = [at, heard].map(|text| text.parse::<Timestamp>().unwrap());
        let in_vietnam = |at: Timestamp| egov_calendar::vietnam_time(at).date();
        let mut charge = charge(&[Some(8_000)]);
        charge.request(PAYMENT, now()).unwrap();
        let paid = Order {
            settle_time: Some(at),
            update_time: heard,
            ..order(OrderState::Paid, 8_000)
        };
        assert_eq!(charge.report(PAYMENT, &paid, in_vietnam), Reported::Received);
        let payment = charge.payment(PAYMENT).unwrap();
        assert_eq!(
            (payment.paid_time, payment.paid_day),
            (Some(at), Some(jiff::civil::date(2026, 11, 22)))
        );
        charge.decide_refund(PAYMENT, refund(), false).unwrap();
        let back = Order {
            refund_time: Some(heard),
            update_time: now(),
            ..order(OrderState::Refunded, 8_000)
        };
        assert_eq!(charge.report(PAYMENT, &back, in_vietnam), Reported::Refunded);
        let refund = charge.payment(PAYMENT).unwrap().refund.as_ref().unwrap();
        assert_eq!(refund.done_time, Some(heard));
    }

    #[test]
    fn what_is_reconciled_by_what_no_longer_counts_is_paid_until_it_agrees_again() {
        let mut charge = charge(&[Some(8_000)]);
        charge.take_cash(PAYMENT, "BL1", 8_000, (now(), day(now()))).unwrap();
        assert_eq!(charge.reopen(PAYMENT), Ok(false), "it did not agree yet");
        let paid = charge.clone();
        assert_eq!(charge.reconcile(PAYMENT), Ok(true));
        assert_eq!(charge.reopen(PAYMENT), Ok(true));
        assert_eq!(
            (charge.state(true), charge.version),
            (ChargeState::Paid, paid.version + 2)
        );
        assert_eq!(charge.payments, paid.payments);
        assert_eq!(charge.reconcile(PAYMENT), Ok(true));
        assert_eq!(charge.reopen(OTHER), Err(FeeRefused::PaymentNotFound));
    }

    #[test]
    fn what_the_platform_contradicts_is_in_doubt_until_it_agrees_or_the_money_is_back() {
        let mut charge = charge(&[Some(8_000)]);
        charge.request(PAYMENT, now()).unwrap();
        let other = order(OrderState::Paid, 9_000);
        assert!(charge.note_amount(PAYMENT, &other) && !charge.note_amount(PAYMENT, &other));
        let states = |charge: &Charge| charge.unsettled(true).map(|unsettled| unsettled.states());
        assert_eq!(
            states(&charge),
            Some(vec![UnsettledState::Owed, UnsettledState::InDoubt])
        );
        let paid = order(OrderState::Paid, 8_000);
        assert!(charge.note_amount(PAYMENT, &paid));
        charge.report(PAYMENT, &paid, day);
        assert_eq!(states(&charge), None);
        charge.payments[0].listed_otherwise = true;
        assert_eq!(states(&charge), Some(vec![UnsettledState::InDoubt]));
        charge.payments[0].state = PaymentState::Refunded;
        assert_eq!(states(&charge), Some(vec![UnsettledState::Owed]), "and owed anew");
        assert!(!charge.note_amount(OTHER, &other), "there is no such payment");
    }

    #[test]
    fn what_nobody_established_is_owed_without_an_amount_and_never_given_back() {
        let mut charge = charge(&[Some(8_000)]);
        charge.take_cash(PAYMENT, "BL1", 8_000, (now(), day(now()))).unwrap();
        assert_eq!(charge.unsettled(true), None);
        charge.fees[0].amount_vnd = None;
        let unsettled = charge.unsettled(true).unwrap();
        assert_eq!(unsettled.states(), [UnsettledState::Owed]);
        assert_eq!((unsettled.left_vnd, unsettled.refund_vnd), (None, 0));
        let ended = charge.unsettled(false).unwrap();
        assert_eq!(ended.states(), [UnsettledState::RefundsDue]);
        assert_eq!((ended.held_vnd, ended.refund_vnd), (8_000, 8_000));
    }

    proptest! {
        /// A second, plain reading after whatever acts: what is held, left, too much and on its way are sums by hand, and a charge is on
        /// the list exactly if its state says that something is to be done about the money, or the platform contradicts us.
        #[test]
        fn a_charge_is_unsettled_exactly_if_something_is_to_be_done_about_its_money(
            acts in proptest::collection::vec((0..9_u8, 0..4_usize), 0..20),
            obliged: bool,
        ) {
            let mut charge = charge(&[Some(50_000), Some(8_000)]);
            for (number, (act, which)) in acts.into_iter().enumerate() {
                let chosen = charge.payments.get(which).map(|payment| (payment.payment_id, payment.amount_vnd));
                let new = Uuid::from_u128(100 + number as u128);
                let left = charge.owed_vnd().unwrap() - charge.held_vnd();
                let about = |state: OrderState, amount_vnd: i64| Order {
                    order_id: Uuid::from_u128(7),
                    ..order(state, amount_vnd)
                };
                let before = charge.clone();
                let did = match (act, chosen) {
                    (0, _) => charge.request(new, now()).is_ok(),
                    (1, _) => charge.take_cash(new, &format!("BL{number}"), left, (now(), day(now()))).is_ok(),
                    (2, _) => charge.set_quantities(&[(2, which as i32 + 1)]).is_ok(),
                    (3, _) => charge.exempt(1, exemption(which as i64 * 10_000)).is_ok(),
                    (4, Some((id, amount))) => charge.report(id, &about(OrderState::Paid, amount), day) != Reported::Nothing,
                    (5, Some((id, amount))) => charge.report(id, &about(OrderState::Expired, amount), day) != Reported::Nothing,
                    (6, Some((id, _))) => charge.decide_refund(id, refund(), obliged).is_ok(),
                    (7, Some((id, amount))) => charge.report(id, &about(OrderState::Refunded, amount), day) != Reported::Nothing,
                    (8, Some((id, _))) => charge.reconcile(id) == Ok(true),
                    _ => false,
                };
                prop_assert_eq!(charge.version, before.version + i64::from(did));
                if !did {
                    prop_assert_eq!(&charge, &before, "what is refused changes nothing");
                }
                let sum = |states: &[PaymentState]| -> i64 {
                    let of = charge.payments.iter().filter(|payment| states.contains(&payment.state));
                    of.map(|payment| payment.amount_vnd).sum()
                };
                let held = sum(&[PaymentState::Paid, PaymentState::Reconciled]);
                let on_its_way = sum(&[PaymentState::RefundOrdered]);
                let owed = if obliged { charge.owed_vnd().unwrap() } else { 0 };
                let unsettled = charge.unsettled(obliged);
                prop_assert_eq!(unsettled.is_some(), held != owed || on_its_way > 0);
                let state = charge.state(obliged);
                let settled = matches!(state, ChargeState::Free | ChargeState::Paid | ChargeState::Reconciled | ChargeState::Refunded);
                let order_for_nothing = state == ChargeState::Awaiting && held == owed;
                prop_assert_eq!(unsettled.is_none(), settled || order_for_nothing, "{:?}", state);
                if let Some(unsettled) = unsettled {
                    prop_assert_eq!(unsettled.owed, held < owed);
                    prop_assert_eq!(unsettled.left_vnd.unwrap_or(0), (owed - held).max(0));
                    prop_assert_eq!(unsettled.refund_vnd, (held - owed).max(0) + on_its_way);
                    prop_assert_eq!(unsettled.refund_due, matches!(state, ChargeState::RefundDue | ChargeState::Refunding));
                    prop_assert_eq!((unsettled.held_vnd, unsettled.in_doubt), (held, false));
                }
            }
        }
    }

    proptest! {
        /// Whatever reports come, in whatever order and however often, the money is counted once and the same reports again change nothing.
        #[test]
        fn reports_in_any_order_count_the_money_once(reports in proptest::collection::vec(0..5_usize, 0..12)) {
            let all = [OrderState::Ordered, OrderState::Pending, OrderState::Paid, OrderState::Refunded, OrderState::Expired];
            let mut charge = charge(&[Some(8_000)]);
            charge.request(PAYMENT, now()).unwrap();
            let mut received = 0;
            for place in &reports {
                let reported = charge.report(PAYMENT, &order(all[*place], 8_000), day);
                received += u32::from(reported == Reported::Received);
                let again = charge.clone();
                prop_assert_eq!(charge.report(PAYMENT, &order(all[*place], 8_000), day), Reported::Nothing);
                prop_assert_eq!(&charge, &again);
            }
            prop_assert!(received <= 1);
            let paid = reports.contains(&2);
            let refunded = reports.contains(&3);
            let held = charge.held_vnd();
            prop_assert_eq!(held, if paid && !refunded { 8_000 } else { 0 });
            prop_assert_eq!(charge.payments.len(), 1);
        }
    }
}
