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

/// Số lượng: the act by which somebody says how many of each fee there are, in the history of a charge.
pub const SET_QUANTITIES: &str = "set_quantities";

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
mod tests;
