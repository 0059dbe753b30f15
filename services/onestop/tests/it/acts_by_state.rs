//! Each act on a case in each national state: carried out or refused exactly as a table says that is written by hand, by the national pack
//! and the act's own rule. A refused act changes nothing.
//!
//! What the states are called is confirmed, which transitions follow is a design note on them (deploy/packs/transitions); where an article
//! stands behind a rule, it stands beside its row. An act that the contract has and the table has not is named by
//! [`no_act_on_a_case_is_missing_in_the_table`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use egov_fault::{Code as FaultCode, Fault};
use egov_onestop::domain::charge::Order;
use egov_onestop::domain::transitions::{Operation, State, Transitions};
use egov_onestop::payments::{PaymentOrders, Settled};
use egov_proto::egov::onestop::v1 as proto;
use futures::{StreamExt as _, stream};
use jiff::civil::{Date, date};
use sqlx::PgConnection;
use tonic::Status;
use uuid::Uuid;

use crate::components::{digitise_by, papers};
use crate::definitions::{CODE, SOUND, published};
use crate::fees::charge;
use crate::readers::NOBODYS;
use crate::support::*;
use crate::work::{claim, complete, details, with_roles};

/// Where a case stands: the ten states, and of 5 and 6 how they were entered, since what follows depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    /// 1.
    Registered,
    /// 2.
    Accepted,
    /// 3.
    Rejected,
    /// 4.
    Processing,
    /// 5 from 1: nothing was supplied yet.
    AskedBefore,
    /// 5 from 1: it was supplied.
    SuppliedBefore,
    /// 5 from 4.
    AskedWithin,
    /// 6 by RequestPayment: the case waits for its fees.
    FeesAsked,
    /// 6 by a step of the procedure: it waits for more than its fees.
    PaymentStep,
    /// 7.
    Withdrawn,
    /// 8.
    Stopped,
    /// 9.
    Completed,
    /// 10.
    Returned,
}

use At::{
    Accepted, AskedBefore, AskedWithin, Completed, FeesAsked, PaymentStep, Processing, Registered, Rejected, Returned,
    Stopped, SuppliedBefore, Withdrawn,
};

/// The columns of the table.
const COLUMNS: [At; 13] = [
    Registered,
    Accepted,
    Rejected,
    Processing,
    AskedBefore,
    SuppliedBefore,
    AskedWithin,
    FeesAsked,
    PaymentStep,
    Withdrawn,
    Stopped,
    Completed,
    Returned,
];

impl At {
    /// The state, and from which 5 was entered.
    fn state(self) -> (State, Option<State>) {
        match self {
            Registered => (State::Registered, None),
            Accepted => (State::Accepted, None),
            Rejected => (State::Rejected, None),
            Processing => (State::Processing, None),
            AskedBefore | SuppliedBefore => (State::SupplementRequested, Some(State::Registered)),
            AskedWithin => (State::SupplementRequested, Some(State::Processing)),
            FeesAsked | PaymentStep => (State::PaymentRequested, None),
            Withdrawn => (State::Withdrawn, None),
            Stopped => (State::Stopped, None),
            Completed => (State::Completed, None),
            Returned => (State::Returned, None),
        }
    }

    /// The acts that lead there from filing.
    fn way(self) -> &'static [Act] {
        match self {
            Registered => &[],
            Accepted => &[Act::Accept],
            Rejected => &[Act::Reject],
            Processing => &[Act::Accept, Act::Assign],
            AskedBefore => &[Act::RequestSupplement],
            SuppliedBefore => &[Act::RequestSupplement, Act::Supply],
            AskedWithin => &[Act::Accept, Act::Assign, Act::RequestSupplement],
            FeesAsked => &[Act::Accept, Act::Assign, Act::RequestPayment],
            PaymentStep => &[Act::Accept, Act::Assign, Act::RecordPaymentStep],
            Withdrawn => &[Act::Accept, Act::Assign, Act::Withdraw],
            Stopped => &[Act::Accept, Act::Assign, Act::Stop],
            Completed => &[Act::Accept, Act::Assign, Act::Approve],
            Returned => &[Act::Accept, Act::Assign, Act::Approve, Act::Return],
        }
    }

    /// Whether a case that stands so may have paid its fees: it was accepted, and does not wait for them.
    fn may_have_paid(self) -> bool {
        self.way().first() == Some(&Act::Accept) && self != FeesAsked
    }
}

/// What is done, by whoever may do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Accept,
    Reject,
    RequestSupplement,
    Supply,
    Assign,
    /// A step of state 4.
    RecordStep,
    /// The step of state 6.
    RecordPaymentStep,
    Approve,
    Stop,
    Withdraw,
    Return,
    Rate,
    RateTracked,
    Extend,
    Confirm,
    SetState,
    /// By an officer.
    Reuse,
    /// By the applicant.
    ReuseOwn,
    SetQuantities,
    Exempt,
    RequestPayment,
    Cash,
    Refund,
    Correct,
    Revoke,
}

impl Act {
    /// Whether it is an act on the charge, which has versions of its own: the case changes only where it moves.
    fn is_on_the_charge(self) -> bool {
        matches!(
            self,
            Self::SetQuantities | Self::Exempt | Self::RequestPayment | Self::Cash | Self::Refund
        )
    }

    /// The operation of the transitions pack that decides about it.
    fn operation(self) -> Option<Operation> {
        Some(match self {
            Self::Accept => Operation::Accept,
            Self::Reject => Operation::Reject,
            Self::RequestSupplement => Operation::RequestSupplement,
            Self::Supply => Operation::Supply,
            Self::Assign => Operation::Assign,
            Self::RecordStep | Self::RecordPaymentStep => Operation::RecordStep,
            Self::Approve => Operation::Approve,
            Self::Stop => Operation::Stop,
            Self::Withdraw => Operation::Withdraw,
            Self::Return => Operation::ReturnResult,
            Self::RequestPayment => Operation::RequestPayment,
            _ => return None,
        })
    }
}

/// Which case an act that is carried out is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// The one that stands so: the state stays, and no other row is disturbed.
    Shared,
    /// One of its own.
    Own,
    /// One of its own whose fees were paid, where that can be.
    Paid,
}

/// What a cell expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Carried out; the case is in this state afterwards.
    Moves(i32),
    /// Carried out; the state stays.
    Stays,
    /// Refused with this reason.
    Refused(&'static str),
}

/// The reasons, by the letters of the table.
const LEGEND: [(&str, &str); 18] = [
    ("T", "TRANSITION_NOT_ALLOWED"),
    ("S", "SUPPLEMENT_NOT_SUPPLIED"),
    ("C", "CASE_NOT_OPEN"),
    ("D", "DEADLINE_NOT_RUNNING"),
    ("F", "CHARGE_NOT_OPEN"),
    ("P", "PAYMENT_PENDING"),
    ("N", "NOT_RETURNED"),
    ("K", "RESULT_NOT_FOUND"),
    ("X", "PAYMENT_NOT_FOUND"),
    ("Y", "PAYMENT_STATE"),
    ("O", "REFUND_NOT_DUE"),
    ("E", "TASK_CLOSED"),
    ("H", "TASK_NOT_HELD"),
    ("A", "TASK_NEEDS_ACT"),
    ("B", "SEND_BACK_NOWHERE"),
    ("Q", "STEP_OUT_OF_STATE"),
    ("U", "TASK_NOT_ASSIGNED"),
    ("Z", "TASK_OTHER_KIND"),
];

fn expected(cell: &str) -> Expected {
    if cell == "=" {
        return Expected::Stays;
    }
    if let Ok(state) = cell.parse() {
        return Expected::Moves(state);
    }
    let reason = LEGEND.iter().find(|(letter, _)| *letter == cell);
    Expected::Refused(
        reason
            .unwrap_or_else(|| panic!("{cell:?} is in no row of the legend"))
            .1,
    )
}

/// A row: the act, its RPC, to which case it is done, and what becomes of it in each column. A number: carried out, and the case is in that
/// state; `=`: carried out, and the state stays; a letter: refused, by the legend.
struct Row(Act, &'static str, To, &'static str);

impl Row {
    fn cells(&self) -> Vec<(At, Expected)> {
        cells(self.3)
    }
}

fn cells(row: &str) -> Vec<(At, Expected)> {
    let cells: Vec<Expected> = row.split_whitespace().map(expected).collect();
    assert_eq!(cells.len(), COLUMNS.len(), "a cell a column: {row}");
    COLUMNS.into_iter().zip(cells).collect()
}

static TABLE: [Row; 25] = [
    //                                                       from 5:  1     4  by 6: fees step
    //                                           1  2  3  4  5  5s 5  6  6  7  8  9  10
    //
    // Tiếp nhận: only an acceptance starts the clock, so what was asked for before it must be there first.
    Row(
        Act::Accept,
        "CaseService.AcceptCase",
        To::Own,
        "2  T  T  T  S  2  T  T  T  T  T  T  T",
    ),
    // Từ chối tiếp nhận (TT 03/2025/TT-VPCP, form 03): at the counter, of what was filed.
    Row(
        Act::Reject,
        "CaseService.RejectCase",
        To::Own,
        "3  T  T  T  T  T  T  T  T  T  T  T  T",
    ),
    // Yêu cầu bổ sung (TT 03/2025/TT-VPCP, form 02): once and in full, so not while one is awaited.
    Row(
        Act::RequestSupplement,
        "CaseService.RequestSupplement",
        To::Own,
        "5  T  T  5  T  T  T  T  T  T  T  T  T",
    ),
    // Bổ sung: back to where it was asked for; before acceptance the counter looks at it again.
    Row(
        Act::Supply,
        "CaseService.SupplyComponents",
        To::Own,
        "T  T  T  T  5  5  4  T  T  T  T  T  T",
    ),
    Row(
        Act::Assign,
        "CaseService.AssignCase",
        To::Own,
        "T  4  T  4  T  T  T  T  T  T  T  T  T",
    ),
    Row(
        Act::RecordStep,
        "CaseService.RecordStep",
        To::Own,
        "T  4  T  4  T  T  T  4  4  T  T  T  T",
    ),
    Row(
        Act::RecordPaymentStep,
        "CaseService.RecordStep",
        To::Own,
        "T  T  T  6  T  T  T  T  T  T  T  T  T",
    ),
    Row(
        Act::Approve,
        "CaseService.ApproveCase",
        To::Own,
        "T  T  T  9  T  T  T  9  9  T  T  T  T",
    ),
    // Dừng giải quyết (TT 03/2025/TT-VPCP, form 05): also where nothing was supplied in time.
    Row(
        Act::Stop,
        "CaseService.StopCase",
        To::Own,
        "T  T  T  8  8  8  8  8  8  T  T  T  T",
    ),
    // Rút hồ sơ: until a decision, and not of what has ended.
    Row(
        Act::Withdraw,
        "CaseService.WithdrawCase",
        To::Own,
        "7  7  T  7  7  7  7  7  7  T  T  T  T",
    ),
    // Trả kết quả: what was decided. Being late never keeps it back.
    Row(
        Act::Return,
        "CaseService.ReturnResult",
        To::Own,
        "T  T  T  T  T  T  T  T  T  T  T  10 T",
    ),
    Row(
        Act::Rate,
        "CaseService.RateCase",
        To::Own,
        "N  N  N  N  N  N  N  N  N  N  N  N  =",
    ),
    Row(
        Act::RateTracked,
        "RatingService.RateTrackedCase",
        To::Own,
        "N  N  N  N  N  N  N  N  N  N  N  N  =",
    ),
    // Gia hạn (NĐ 61/2018/NĐ-CP Đ.19, unconfirmed): while the clock runs. It does not before acceptance, in 5 and 6, and after a decision.
    Row(
        Act::Extend,
        "DeadlineService.ExtendDeadline",
        To::Shared,
        "D  =  D  =  D  D  D  D  D  D  D  D  D",
    ),
    // Số hoá, đối chiếu (NĐ 45/2020/NĐ-CP Đ.25, unconfirmed): of what is being handled.
    Row(
        Act::Confirm,
        "ComponentService.ConfirmComponents",
        To::Shared,
        "=  =  C  =  =  =  =  =  =  C  C  C  C",
    ),
    Row(
        Act::SetState,
        "ComponentService.SetComponentState",
        To::Shared,
        "=  =  C  =  =  =  =  =  =  C  C  C  C",
    ),
    Row(
        Act::Reuse,
        "ComponentService.ReuseStoredPaper",
        To::Shared,
        "=  =  C  =  =  =  =  =  =  C  C  C  C",
    ),
    // An applicant's own: while something is awaited of them.
    Row(
        Act::ReuseOwn,
        "ComponentService.ReuseStoredPaper",
        To::Own,
        "=  C  C  C  =  =  =  C  C  C  C  C  C",
    ),
    // Phí, lệ phí: owed from acceptance on, and not by what ended without a result. Nothing of it changes while an order is open.
    Row(
        Act::SetQuantities,
        "FeeService.SetFeeQuantities",
        To::Shared,
        "F  =  F  =  F  F  =  P  =  F  F  =  =",
    ),
    Row(
        Act::Exempt,
        "FeeService.ExemptFee",
        To::Shared,
        "F  =  F  =  F  F  =  P  =  F  F  =  =",
    ),
    // In process the case waits for it; elsewhere it does not wait, and the fees are asked for all the same.
    Row(
        Act::RequestPayment,
        "FeeService.RequestPayment",
        To::Own,
        "F  =  F  6  F  F  =  P  =  F  F  =  =",
    ),
    // What waits for its fees goes on when they are paid; what waits by a step waits for more than that.
    Row(
        Act::Cash,
        "FeeService.RecordCashPayment",
        To::Own,
        "F  =  F  =  F  F  =  4  =  F  F  =  =",
    ),
    // Hoàn phí, lệ phí: of what is held and not owed. Where nothing can have been paid there is no such payment.
    Row(
        Act::Refund,
        "FeeService.DecideRefund",
        To::Paid,
        "X  O  X  O  X  X  O  Y  O  =  =  O  O",
    ),
    // Đính chính, thu hồi kết quả: of what was issued.
    Row(
        Act::Correct,
        "ResultService.CorrectResult",
        To::Shared,
        "K  K  K  K  K  K  K  K  K  K  K  =  =",
    ),
    Row(
        Act::Revoke,
        "ResultService.RevokeResult",
        To::Shared,
        "K  K  K  K  K  K  K  K  K  K  K  =  =",
    ),
];

/// What is done with the last step of a case by who has it, or beside the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OnStep {
    Complete,
    SendBack,
    Ask,
    Comment,
}

/// The same for work on steps. Where a case came to its inner steps the first of them was done, so that the next one, which leads to state 6,
/// could go back to it; in state 2 nobody has the step, since who takes it moves the case to 4.
static STEPS: [(OnStep, &str, &str); 4] = [
    //      from 5:  1     4  fees step
    //   1  2  3  4  5  5s 5  6  6  7  8  9  10
    //
    // A step of reception or return, or a decision, ends by the act on the case that says more.
    (
        OnStep::Complete,
        "WorkService.CompleteTask",
        "A  H  E  6  A  A  T  T  4  E  E  A  E",
    ),
    // Trả lại bước trước: while the case is processed, and there is a step before.
    (
        OnStep::SendBack,
        "WorkService.SendBackTask",
        "B  H  E  =  B  B  T  T  T  E  E  T  E",
    ),
    // Lấy ý kiến phối hợp: while the case is processed.
    (
        OnStep::Ask,
        "WorkService.AskOpinion",
        "Q  H  E  =  Q  Q  Q  Q  Q  E  E  Q  E",
    ),
    // A note changes nothing of the case, and may be made whenever.
    (
        OnStep::Comment,
        "WorkService.AddComment",
        "=  =  =  =  =  =  =  =  =  =  =  =  =",
    ),
];

/// What is done about who has a task; and the answer to a question that was asked of another unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OnTask {
    Release,
    Claim,
    Delegate,
    Reassign,
    Assign,
    GiveOpinion,
}

/// The same for who has a task, one after the other with the last step of one case: what is given back is taken, passed on to a colleague,
/// taken from them again, and given to them where nobody has it. The national state decides about none of it: an open task changes hands,
/// one that has ended does not. In state 2 nobody has the step, and who takes it moves the case to 4.
static TASKS: [(OnTask, &str, &str); 6] = [
    //      from 5:  1     4  fees step
    //   1  2  3  4  5  5s 5  6  6  7  8  9  10
    //
    // Trả việc.
    (
        OnTask::Release,
        "WorkService.ReleaseTask",
        "=  U  E  =  =  =  =  =  =  E  E  =  E",
    ),
    // Nhận việc.
    (
        OnTask::Claim,
        "WorkService.ClaimTask",
        "=  4  E  =  =  =  =  =  =  E  E  =  E",
    ),
    // Uỷ quyền xử lý.
    (
        OnTask::Delegate,
        "WorkService.DelegateTask",
        "=  H  E  =  =  =  =  =  =  E  E  =  E",
    ),
    // Giao lại.
    (
        OnTask::Reassign,
        "WorkService.ReassignTask",
        "=  U  E  =  =  =  =  =  =  E  E  =  E",
    ),
    // Giao việc.
    (
        OnTask::Assign,
        "WorkService.AssignTask",
        "=  4  E  =  =  =  =  =  =  E  E  =  E",
    ),
    // Cho ý kiến: to a question that was asked, and taken, in state 4. It ends with the step on which it was asked. Where none can have been
    // asked, the step itself is answered as if it were one.
    (
        OnTask::GiveOpinion,
        "WorkService.GiveOpinion",
        "Z  Z  Z  =  Z  Z  =  =  E  E  E  E  E",
    ),
];

/// Bàn giao khi vắng mặt: whatever the colleague has in the unit, at once. `=`: the step of that column as well; `-`: they have none there,
/// and nothing changes.
const HAND_OVER: (&str, &str) = ("WorkService.HandOverTasks", "=  -  -  =  =  =  =  =  =  -  -  =  -");

/// Writes about a case that are no act on one that stands: what each is instead, and where it is tried.
const APART: [(&str, &str); 2] = [
    ("CaseService.SubmitCase", "makes a case; lifecycle.rs"),
    (
        "CivilDecisionService.DecideCivilCase",
        "only of procedures that go into a book, where ApproveCase is refused; possible where that is; civil_decisions.rs",
    ),
];

/// Who is given every case and does its steps, and the colleague to whom tasks are passed on.
const WORKER: u128 = 0xA1;
const COLLEAGUE: u128 = 0xB1;

/// A platform that never answers: orders stay as they were asked for, and nothing moves by itself.
struct PlatformAway;

fn away() -> Fault {
    Fault::new(FaultCode::Unavailable, "PARTNER_UNAVAILABLE", "chưa gửi được", "away")
}

#[async_trait]
impl PaymentOrders for PlatformAway {
    fn is_connected(&self) -> bool {
        true
    }

    async fn create(&self, _: Uuid, _: i32, _: &str, _: i64) -> Result<Order, Fault> {
        Err(away())
    }

    async fn get(&self, _: Uuid) -> Result<Order, Fault> {
        Err(away())
    }

    async fn refund(&self, _: Uuid, _: Uuid) -> Result<Order, Fault> {
        Err(away())
    }

    async fn settled(&self, _: Date) -> Result<Settled, Fault> {
        Err(away())
    }
}

/// Asked for and supplied; its e-form shows it.
const FORM: &str = "to_khai";
/// What a stored paper may stand for.
const REUSABLE: &str = "giay_to_tuy_than";

/// The definition of the tests with a step of state 6.
fn definition() -> String {
    let inner = "code = \"xac_minh\"\nname = \"Xác minh\"\nrole = \"officer\"\nstate = 4";
    let waiting = inner.replace("state = 4", "state = 6");
    let text = SOUND.replacen(inner, &waiting, 1);
    assert_ne!(text, SOUND);
    text
}

fn form() -> proto::CaseComponent {
    proto::CaseComponent {
        component_code: FORM.to_owned(),
        form_data: r#"{"ho_ten": "Nguyễn Văn An", "ngay_sinh": "2026-11-01"}"#.to_owned(),
        ..Default::default()
    }
}

/// A case, and the secret by which it is looked up.
struct Held {
    case: proto::Case,
    secret: String,
}

/// How a case and what belongs to it stands: version, state, entries of its history, events and leaves.
type Marks = (i64, i32, i64, i64, i64);

/// One service with everybody who acts.
struct World {
    stack: Stack,
    clerk: Client,
    officer: Client,
    leader: Client,
    applicant: Client,
    public: Client,
    /// A paper of the applicant's store that holds.
    paper_id: String,
}

impl World {
    async fn start() -> Self {
        let stack = Stack::with_payments(Arc::new(PlatformAway)).await;
        published(&stack, CODE, &definition()).await;
        let mut world = Self {
            clerk: stack.staff("one_stop_clerk", TRUONG_VINH),
            officer: stack.staff("officer", TRUONG_VINH),
            leader: stack.staff("unit_leader", TRUONG_VINH),
            applicant: stack.portal(citizen()),
            public: stack.public(),
            paper_id: String::new(),
            stack,
        };
        let filed = world.file(vec![form(), component(REUSABLE)]).await;
        let case = digitise_by(&world.clerk, &filed.case, REUSABLE).await;
        world.paper_id = papers(&world.clerk, &case.case_id).await.unwrap().remove(0).paper_id;
        world
    }

    async fn file(&self, components: Vec<proto::CaseComponent>) -> Held {
        let request = proto::SubmitCaseRequest {
            procedure_code: CODE.to_owned(),
            components,
            conditions: ["phuc_tap", "da_cu_tru"].map(str::to_owned).to_vec(),
            ..birth_registration()
        };
        let answer = self.applicant.clone().cases.submit_case(request).await.unwrap();
        let answer = answer.into_inner();
        Held {
            case: answer.case.unwrap(),
            secret: answer.lookup_secret,
        }
    }

    /// A case that stands so; its fees paid as soon as it was accepted, if that is wanted.
    async fn make(&self, at: At, paid: bool) -> Held {
        let mut held = self.file(vec![form()]).await;
        for act in at.way() {
            let done = self.does(*act, &held).await;
            if let Some(case) = done.unwrap_or_else(|status| panic!("{act:?} on the way to {at:?}: {status:?}")) {
                held.case = case;
            } else {
                held.case = get(&self.clerk, &held.case.case_id).await.unwrap();
            }
            if paid && *act == Act::Accept {
                self.does(Act::Cash, &held).await.unwrap();
            }
        }
        assert_eq!(held.case.state, i32::from(at.state().0.code()), "{at:?}");
        held
    }

    /// A case that stands so, the first of its inner steps done as soon as it came to it. Its last step is the worker's where it is open and
    /// can be taken without moving the case. On its second inner step an opinion is asked for, and the question taken by who is `asked`.
    async fn at_work(&self, at: At, worker: &Client, asked: Option<&Client>) -> Held {
        let mut held = self.file(vec![form()]).await;
        for act in at.way() {
            let done = self.does(*act, &held).await;
            done.unwrap_or_else(|status| panic!("{act:?} on the way to {at:?}: {status:?}"));
            if *act == Act::Assign {
                let first = self.last_step(&held, worker).await;
                complete(worker, &first).await.unwrap();
                if let Some(asked) = asked {
                    let question = ask(worker, &self.last_step(&held, worker).await).await.unwrap();
                    claim(asked, &question).await.unwrap();
                }
            }
            held.case = get(&self.clerk, &held.case.case_id).await.unwrap();
        }
        let step = self.last_step(&held, worker).await;
        if at != Accepted && step.state() == proto::TaskState::Open && step.assignee_id.is_empty() {
            claim(worker, &step).await.unwrap();
        }
        let now = get(&self.clerk, &held.case.case_id).await.unwrap();
        assert_eq!(now.state, i32::from(at.state().0.code()), "{at:?}");
        held
    }

    /// The last step of a case.
    async fn last_step(&self, held: &Held, worker: &Client) -> proto::Task {
        self.last_task(proto::TaskKind::Step, held, worker).await
    }

    /// The last task of this kind of a case.
    async fn last_task(&self, kind: proto::TaskKind, held: &Held, worker: &Client) -> proto::Task {
        let mut sql = self.stack.database.connect_as_superuser().await.unwrap();
        let last: Uuid = sqlx::query_scalar(
            "SELECT task_id FROM case_tasks WHERE case_id = $1::uuid AND kind = $2 ORDER BY number DESC LIMIT 1",
        )
        .bind(&held.case.case_id)
        .bind(i32::from(kind))
        .fetch_one(&mut sql)
        .await
        .unwrap();
        details(worker, &last.to_string()).await.unwrap().task.unwrap()
    }

    async fn does(&self, act: Act, held: &Held) -> Result<Option<proto::Case>, Status> {
        let charge = self.charge_for(act, held).await;
        self.act(act, held, charge.as_ref()).await
    }

    /// The charge, where the act is on it: reading it is recorded, and so is no part of the act.
    async fn charge_for(&self, act: Act, held: &Held) -> Option<proto::CaseCharge> {
        if act.is_on_the_charge() {
            Some(charge(&self.leader, &held.case).await.unwrap())
        } else {
            None
        }
    }

    /// Does an act by whoever may do it: the case afterwards, where the answer has it.
    async fn act(
        &self,
        act: Act,
        held: &Held,
        charge: Option<&proto::CaseCharge>,
    ) -> Result<Option<proto::Case>, Status> {
        let case = &held.case;
        // On the case by its etag, on the charge by that of the charge.
        let etag = charge.map_or(&case.etag, |charge| &charge.etag);
        macro_rules! call {
            ($who:ident, $service:ident, $method:ident, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {{
                let request = proto::$request {
                    request_id: request_id(),
                    case_id: case.case_id.clone(),
                    etag: etag.clone(),
                    $($field: $value,)*
                    ..Default::default()
                };
                self.$who.clone().$service.$method(request).await?.into_inner()
            }};
        }
        let text = || "vì vậy".to_owned();
        let step = |code: &str| code.to_owned();
        let after = match act {
            Act::Accept => call!(clerk, cases, accept_case, AcceptCaseRequest {}).case,
            Act::Reject => {
                call!(
                    clerk,
                    cases,
                    reject_case,
                    RejectCaseRequest {
                        reason: text(),
                        legal_basis: text()
                    }
                )
                .case
            }
            Act::RequestSupplement => {
                let item = proto::SupplementItem {
                    component_code: FORM.to_owned(),
                    instruction: text(),
                };
                call!(
                    officer,
                    cases,
                    request_supplement,
                    RequestSupplementRequest {
                        items: vec![item],
                        reason: text()
                    }
                )
                .case
            }
            Act::Supply => {
                call!(
                    applicant,
                    cases,
                    supply_components,
                    SupplyComponentsRequest {
                        components: vec![form()]
                    }
                )
                .case
            }
            Act::Assign => {
                let officer = Uuid::from_u128(0xA1).to_string();
                call!(leader, cases, assign_case, AssignCaseRequest { assignee_id: officer }).case
            }
            Act::RecordStep => {
                call!(
                    officer,
                    cases,
                    record_step,
                    RecordStepRequest { step: step("trinh_ky") }
                )
                .case
            }
            Act::RecordPaymentStep => {
                call!(
                    officer,
                    cases,
                    record_step,
                    RecordStepRequest { step: step("xac_minh") }
                )
                .case
            }
            Act::Approve => {
                let result = proto::CaseResult {
                    result_code: "KQ.G15.000031".to_owned(),
                    number: "01/2026".to_owned(),
                    ..Default::default()
                };
                call!(
                    leader,
                    cases,
                    approve_case,
                    ApproveCaseRequest { results: vec![result] }
                )
                .case
            }
            Act::Stop => {
                call!(
                    leader,
                    cases,
                    stop_case,
                    StopCaseRequest {
                        reason: text(),
                        legal_basis: text()
                    }
                )
                .case
            }
            Act::Withdraw => call!(applicant, cases, withdraw_case, WithdrawCaseRequest {}).case,
            Act::Return => {
                let counter = i32::from(proto::Channel::Counter);
                call!(clerk, cases, return_result, ReturnResultRequest { channel: counter }).case
            }
            Act::Rate => {
                let request = proto::RateCaseRequest {
                    request_id: request_id(),
                    case_id: case.case_id.clone(),
                    score: proto::RatingScore::Satisfied.into(),
                    comment: String::new(),
                };
                let answer = self.applicant.clone().cases.rate_case(request).await?;
                answer.into_inner().case
            }
            Act::RateTracked => {
                let request = proto::RateTrackedCaseRequest {
                    request_id: request_id(),
                    case_code: case.case_code.clone(),
                    lookup_secret: held.secret.clone(),
                    score: proto::RatingScore::Satisfied.into(),
                    comment: String::new(),
                };
                self.public.clone().ratings.rate_tracked_case(request).await?;
                None
            }
            Act::Extend => {
                // A Friday, well after the six working days of the period.
                let to = date(2026, 12, 11);
                call!(
                    leader,
                    deadlines,
                    extend_deadline,
                    ExtendDeadlineRequest {
                        new_due_date: Some(to.into()),
                        reason: text(),
                        legal_basis: text(),
                        signer_name: "Trần Văn Minh".to_owned(),
                        signer_title: "Chủ tịch UBND phường".to_owned()
                    }
                )
                .case
            }
            Act::Confirm => {
                let confirmed = proto::ConfirmedComponent {
                    component_code: FORM.to_owned(),
                    compared_with: proto::ComparedWith::Electronic.into(),
                    ..Default::default()
                };
                call!(
                    officer,
                    components,
                    confirm_components,
                    ConfirmComponentsRequest {
                        components: vec![confirmed]
                    }
                )
                .case
            }
            Act::SetState => {
                call!(
                    officer,
                    components,
                    set_component_state,
                    SetComponentStateRequest {
                        component_code: REUSABLE.to_owned(),
                        state: proto::ComponentState::NotApplicable.into(),
                        reason: text()
                    }
                )
                .case
            }
            Act::Reuse => {
                call!(
                    officer,
                    components,
                    reuse_stored_paper,
                    ReuseStoredPaperRequest {
                        component_code: REUSABLE.to_owned(),
                        paper_id: self.paper_id.clone()
                    }
                )
                .case
            }
            Act::ReuseOwn => {
                call!(
                    applicant,
                    components,
                    reuse_stored_paper,
                    ReuseStoredPaperRequest {
                        component_code: REUSABLE.to_owned(),
                        paper_id: self.paper_id.clone()
                    }
                )
                .case
            }
            Act::SetQuantities => {
                let once = proto::FeeQuantity { number: 1, quantity: 1 };
                call!(
                    clerk,
                    fees,
                    set_fee_quantities,
                    SetFeeQuantitiesRequest { quantities: vec![once] }
                );
                None
            }
            Act::Exempt => {
                call!(
                    officer,
                    fees,
                    exempt_fee,
                    ExemptFeeRequest {
                        number: 1,
                        reduced_to_vnd: 3000,
                        reason: text(),
                        legal_basis: text()
                    }
                );
                None
            }
            Act::RequestPayment => {
                call!(clerk, fees, request_payment, RequestPaymentRequest {});
                None
            }
            Act::Cash => {
                // Online the definition asks for 4,000 đồng.
                call!(
                    clerk,
                    fees,
                    record_cash_payment,
                    RecordCashPaymentRequest {
                        receipt_number: format!("BL-{}", case.case_code),
                        amount_vnd: 4000
                    }
                );
                None
            }
            Act::Refund => {
                let payments = charge.map(|charge| charge.payments.as_slice()).unwrap_or_default();
                let first = payments.first();
                let id = first.map_or_else(|| NOBODYS.to_owned(), |payment| payment.payment_id.clone());
                call!(
                    leader,
                    fees,
                    decide_refund,
                    DecideRefundRequest {
                        payment_id: id,
                        reason: text(),
                        decision_number: "12/QĐ-UBND".to_owned()
                    }
                );
                None
            }
            Act::Correct => {
                let said = proto::ResultMetadata {
                    issue_date: Some(date(2026, 11, 23).into()),
                    signer_name: "Trần Văn Ký".to_owned(),
                    signer_title: "Chủ tịch UBND phường".to_owned(),
                    ..Default::default()
                };
                call!(
                    leader,
                    results,
                    correct_result,
                    CorrectResultRequest {
                        result_number: 1,
                        number: "02/2026".to_owned(),
                        metadata: Some(said),
                        reason: text(),
                        legal_basis: text()
                    }
                )
                .case
            }
            Act::Revoke => {
                call!(
                    leader,
                    results,
                    revoke_result,
                    RevokeResultRequest {
                        result_number: 1,
                        reason: text(),
                        legal_basis: text(),
                        decision_number: "12/QĐ-UBND".to_owned()
                    }
                )
                .case
            }
        };
        Ok(after)
    }
}

/// How much there is of everything: a refused act leaves it so.
async fn everything(sql: &mut PgConnection) -> Vec<i64> {
    sqlx::query_scalar(
        "SELECT ARRAY[
             (SELECT sum(version)::bigint FROM cases), (SELECT sum(state)::bigint FROM cases),
             (SELECT count(*) FROM case_history), (SELECT count(*) FROM case_components),
             (SELECT count(*) FROM component_checks), (SELECT count(*) FROM case_pauses),
             (SELECT count(*) FROM case_tasks), (SELECT sum(version)::bigint FROM case_tasks),
             (SELECT count(*) FROM task_history), (SELECT count(*) FROM fee_acts),
             (SELECT count(*) FROM paper_acts), (SELECT count(*) FROM result_versions),
             (SELECT count(*) FROM egov.outbox) + (SELECT count(*) FROM egov.event_log),
             (SELECT count(*) FROM egov.leaves), (SELECT count(*) FROM egov.request_ids)]",
    )
    .fetch_one(sql)
    .await
    .unwrap()
}

async fn marks(sql: &mut PgConnection, case_id: &str) -> Marks {
    sqlx::query_as(
        "SELECT version, state::int, (SELECT count(*) FROM case_history AS h WHERE h.case_id = c.case_id),
                (SELECT count(*) FROM egov.outbox WHERE aggregate_id = c.case_id)
                    + (SELECT count(*) FROM egov.event_log WHERE aggregate_id = c.case_id),
                (SELECT count(*) FROM egov.leaves WHERE resource_id = c.case_id)
         FROM cases AS c WHERE c.case_id = $1::uuid",
    )
    .bind(case_id)
    .fetch_one(sql)
    .await
    .unwrap()
}

/// Whether an act that was carried out left what it should: state, version, history, event and leaf.
fn left(act: Act, expected: Expected, before: Marks, after: Marks) -> bool {
    let (version, state, entries, events, leaves) = before;
    let grown = i64::from(expected != Expected::Stays || !act.is_on_the_charge());
    let wanted = match expected {
        Expected::Moves(to) => to,
        _ => state,
    };
    after.1 == wanted
        && (after.0, after.2) == (version + grown, entries + grown)
        && after.3 > events
        && after.4 > leaves
}

/// Cases that are made at once.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_act_in_each_state_is_carried_out_or_refused_as_the_table_says_and_a_refusal_changes_nothing() {
    let world = World::start().await;
    // For each column the case that stands so, and one for each act that must have its own.
    let mut wanted: Vec<(At, Option<Act>, bool)> = COLUMNS.iter().map(|at| (*at, None, false)).collect();
    for row in &TABLE {
        for (at, cell) in row.cells() {
            let carried_out = !matches!(cell, Expected::Refused(_));
            match row.2 {
                To::Own if carried_out => wanted.push((at, Some(row.0), false)),
                To::Paid if at.may_have_paid() => wanted.push((at, Some(row.0), true)),
                To::Own | To::Paid | To::Shared => {}
            }
        }
    }
    let mut made: BTreeMap<(At, Option<Act>), Held> = stream::iter(wanted)
        .map(|(at, act, paid)| {
            let world = &world;
            async move { ((at, act), world.make(at, paid).await) }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;

    let mut sql = world.stack.database.connect_as_superuser().await.unwrap();
    let mut wrong = Vec::new();
    for row in &TABLE {
        let act = row.0;
        for (at, cell) in row.cells() {
            let Expected::Refused(why) = cell else { continue };
            let own = made.get(&(at, Some(act)));
            let held = own.unwrap_or_else(|| &made[&(at, None)]);
            let charge = world.charge_for(act, held).await;
            let before = everything(&mut sql).await;
            let done = world.act(act, held, charge.as_ref()).await;
            let after = everything(&mut sql).await;
            let said = match done {
                Ok(_) => "carried out".to_owned(),
                Err(status) => reason(&status),
            };
            if said != why {
                wrong.push(format!("{act:?} at {at:?} is {said}, and not {why}"));
            }
            if after != before {
                wrong.push(format!("{act:?} at {at:?} changed something: {before:?} → {after:?}"));
            }
        }
    }
    for row in &TABLE {
        let act = row.0;
        for (at, cell) in row.cells() {
            if matches!(cell, Expected::Refused(_)) {
                continue;
            }
            let key = if row.2 == To::Shared {
                (at, None)
            } else {
                (at, Some(act))
            };
            let held = made.get_mut(&key).unwrap();
            let before = marks(&mut sql, &held.case.case_id).await;
            match world.does(act, held).await {
                Err(status) => wrong.push(format!("{act:?} at {at:?} is refused: {status:?}")),
                Ok(done) => {
                    let after = marks(&mut sql, &held.case.case_id).await;
                    if !left(act, cell, before, after) {
                        wrong.push(format!("{act:?} at {at:?} is not {cell:?}: {before:?} → {after:?}"));
                    }
                    if let Some(case) = done {
                        held.case = case;
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Asks the neighbour for an opinion on a step: the question.
async fn ask(worker: &Client, step: &proto::Task) -> Result<proto::Task, Status> {
    let request = proto::AskOpinionRequest {
        request_id: request_id(),
        task_id: step.task_id.clone(),
        etag: step.etag.clone(),
        unit_code: "16681".to_owned(),
        question: "vì sao?".to_owned(),
    };
    let answer = worker.clone().work.ask_opinion(request).await?;
    Ok(answer.into_inner().opinion.unwrap())
}

/// Does something with a step of a case, or beside the case.
async fn on_step(act: OnStep, worker: &Client, case: &proto::Case, step: &proto::Task) -> Result<(), Status> {
    let mut work = worker.clone().work;
    let why = || "vì vậy".to_owned();
    match act {
        OnStep::Complete => complete(worker, step).await.map(drop),
        OnStep::SendBack => {
            let request = proto::SendBackTaskRequest {
                request_id: request_id(),
                task_id: step.task_id.clone(),
                etag: step.etag.clone(),
                reason: why(),
                ..Default::default()
            };
            work.send_back_task(request).await.map(drop)
        }
        OnStep::Ask => ask(worker, step).await.map(drop),
        OnStep::Comment => {
            let request = proto::AddCommentRequest {
                request_id: request_id(),
                case_id: case.case_id.clone(),
                text: why(),
                ..Default::default()
            };
            work.add_comment(request).await.map(drop)
        }
    }
}

/// Changes who has a task, or answers a question.
async fn on_task(act: OnTask, who: &Client, task: &proto::Task) -> Result<(), Status> {
    let mut work = who.clone().work;
    let (why, account) = ("vì vậy".to_owned(), |account| Uuid::from_u128(account).to_string());
    macro_rules! call {
        ($method:ident, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {{
            let request = proto::$request {
                request_id: request_id(),
                task_id: task.task_id.clone(),
                etag: task.etag.clone(),
                $($field: $value,)*
                ..Default::default()
            };
            work.$method(request).await.map(drop)
        }};
    }
    match act {
        OnTask::Claim => claim(who, task).await.map(drop),
        OnTask::Release => call!(release_task, ReleaseTaskRequest { reason: why }),
        OnTask::Assign => {
            call!(
                assign_task,
                AssignTaskRequest {
                    assignee_id: account(COLLEAGUE),
                    reason: why
                }
            )
        }
        OnTask::Reassign => {
            call!(
                reassign_task,
                ReassignTaskRequest {
                    assignee_id: account(WORKER),
                    reason: why
                }
            )
        }
        OnTask::Delegate => {
            call!(
                delegate_task,
                DelegateTaskRequest {
                    delegate_id: account(COLLEAGUE),
                    reason: why
                }
            )
        }
        OnTask::GiveOpinion => call!(give_opinion, GiveOpinionRequest { opinion: why }),
    }
}

/// What an answer said: that the act was carried out, or why it was refused.
fn said(done: Result<(), Status>) -> String {
    done.map_or_else(|status| reason(&status), |()| "carried out".to_owned())
}

/// Whether an act on a task left what its cell says, with so many versions of the case.
fn is_left(cell: Expected, said: &str, changed: bool, grown: i64, before: Marks, after: Marks) -> bool {
    let (version, state, entries, events, leaves) = before;
    let as_left = |state: i32| {
        said == "carried out"
            && changed
            && (after.0, after.1, after.2) == (version + grown, state, entries + grown)
            && after.3 >= events + grown
            && after.4 >= leaves + grown
    };
    match cell {
        Expected::Refused(why) => said == why && !changed,
        Expected::Moves(to) => as_left(to),
        Expected::Stays => as_left(state),
    }
}

/// Tries [`TASKS`] and [`HAND_OVER`] on the cases of each column as they came to it: what is wrong.
async fn with_who_has_a_task(
    world: &World,
    worker: &Client,
    shared: &BTreeMap<(At, Option<OnStep>), Held>,
) -> Vec<String> {
    let neighbour = &with_roles(&world.stack, 0xC1, &[("officer", THANH_VINH)]);
    // One of its own where the act moves the case, and where an opinion can have been asked for one of which it was.
    let mut wanted = Vec::new();
    for (act, _, row) in &TASKS {
        for (at, cell) in cells(row) {
            let its_own = if *act == OnTask::GiveOpinion {
                at.way().contains(&Act::Assign)
            } else {
                matches!(cell, Expected::Moves(_))
            };
            if its_own {
                wanted.push((at, *act));
            }
        }
    }
    let own: BTreeMap<(At, OnTask), Held> = stream::iter(wanted)
        .map(|(at, act)| {
            let asked = (act == OnTask::GiveOpinion).then_some(neighbour);
            async move { ((at, act), world.at_work(at, worker, asked).await) }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;

    let mut sql = world.stack.database.connect_as_superuser().await.unwrap();
    let mut wrong = Vec::new();
    for (act, _, row) in &TASKS {
        for (at, cell) in cells(row) {
            let its_own = own.get(&(at, *act));
            let held = its_own.unwrap_or_else(|| &shared[&(at, None)]);
            let (who, kind) = match act {
                OnTask::GiveOpinion if its_own.is_some() => (neighbour, proto::TaskKind::Opinion),
                _ => (worker, proto::TaskKind::Step),
            };
            let mut task = world.last_task(kind, held, worker).await;
            let is_held = task.state() == proto::TaskState::Open && !task.assignee_id.is_empty();
            if *act == OnTask::Assign && is_held {
                on_task(OnTask::Release, worker, &task).await.unwrap();
                task = world.last_task(kind, held, worker).await;
            }
            // While it is processed the case follows who does its inner steps.
            let follows = matches!(act, OnTask::Delegate | OnTask::Reassign | OnTask::Assign) && at == Processing;
            let grown = i64::from(follows || matches!(cell, Expected::Moves(_)));
            let all = everything(&mut sql).await;
            let before = marks(&mut sql, &held.case.case_id).await;
            let said = said(on_task(*act, who, &task).await);
            let changed = everything(&mut sql).await != all;
            let after = marks(&mut sql, &held.case.case_id).await;
            if !is_left(cell, &said, changed, grown, before, after) {
                wrong.push(format!(
                    "{act:?} at {at:?} is {said}, and not {cell:?}: {before:?} → {after:?}"
                ));
            }
        }
    }

    let [colleague, back] = [COLLEAGUE, WORKER].map(Uuid::from_u128);
    let theirs: i64 = sqlx::query_scalar("SELECT count(*) FROM case_tasks WHERE assignee_id = $1 AND state = 1")
        .bind(colleague)
        .fetch_one(&mut sql)
        .await
        .unwrap();
    let mut stood = Vec::new();
    for at in COLUMNS {
        let held = &shared[&(at, None)];
        let step = world.last_step(held, worker).await;
        stood.push((step, marks(&mut sql, &held.case.case_id).await));
    }
    let request = proto::HandOverTasksRequest {
        request_id: request_id(),
        from_account_id: colleague.to_string(),
        to_account_id: back.to_string(),
        unit_id: TRUONG_VINH,
        reason: "nghỉ ốm".to_owned(),
        max_tasks: 200,
    };
    let answer = worker.clone().work.hand_over_tasks(request).await.unwrap().into_inner();
    assert_eq!((i64::from(answer.moved), answer.more), (theirs, false));
    let (rpc, row) = HAND_OVER;
    for ((at, cell), (step, before)) in COLUMNS.into_iter().zip(row.split_whitespace()).zip(stood) {
        let held = &shared[&(at, None)];
        let now = world.last_step(held, worker).await;
        let after = marks(&mut sql, &held.case.case_id).await;
        let is_right = if cell == "=" {
            let grown = i64::from(at == Processing);
            (&step.assignee_id, &now.assignee_id) == (&colleague.to_string(), &back.to_string())
                && (after.0, after.1, after.2) == (before.0 + grown, before.1, before.2 + grown)
        } else {
            (&now.etag, after) == (&step.etag, before)
        };
        if !is_right {
            wrong.push(format!("{rpc} at {at:?} is not {cell:?}: {before:?} → {after:?}"));
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_act_on_a_step_in_each_state_is_carried_out_or_refused_as_the_table_says_and_a_refusal_changes_nothing() {
    let world = World::start().await;
    // Who is given every case, and may do every step.
    let roles = ["officer", "one_stop_clerk", "unit_leader"].map(|role| (role, TRUONG_VINH));
    let worker = with_roles(&world.stack, WORKER, &roles);
    // For each column the case that stands so, and one for each act that leaves something behind.
    let mut wanted: Vec<(At, Option<OnStep>)> = COLUMNS.iter().map(|at| (*at, None)).collect();
    for (act, _, row) in STEPS.iter().filter(|(act, ..)| *act != OnStep::Comment) {
        let carried_out = cells(row)
            .into_iter()
            .filter(|(_, cell)| !matches!(cell, Expected::Refused(_)));
        wanted.extend(carried_out.map(|(at, _)| (at, Some(*act))));
    }
    let made: BTreeMap<(At, Option<OnStep>), Held> = stream::iter(wanted)
        .map(|(at, act)| {
            let (world, worker) = (&world, &worker);
            async move { ((at, act), world.at_work(at, worker, None).await) }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;

    let mut sql = world.stack.database.connect_as_superuser().await.unwrap();
    let mut wrong = Vec::new();
    for (act, _, row) in &STEPS {
        // What is said of a step in another's inbox, or beside the case, is no version of the case.
        let grown = i64::from(matches!(act, OnStep::Complete | OnStep::SendBack));
        for (at, cell) in cells(row) {
            let own = made.get(&(at, Some(*act)));
            let held = own.unwrap_or_else(|| &made[&(at, None)]);
            // Reading it is recorded, and so is no part of the act.
            let step = world.last_step(held, &worker).await;
            let all = everything(&mut sql).await;
            let before = marks(&mut sql, &held.case.case_id).await;
            let said = said(on_step(*act, &worker, &held.case, &step).await);
            let changed = everything(&mut sql).await != all;
            let after = marks(&mut sql, &held.case.case_id).await;
            if !is_left(cell, &said, changed, grown, before, after) {
                wrong.push(format!(
                    "{act:?} at {at:?} is {said}, and not {cell:?}: {before:?} → {after:?}"
                ));
            }
        }
    }
    // Refused acts and notes left the case of each column as it was.
    wrong.extend(with_who_has_a_task(&world, &worker, &made).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_allows_the_transitions_of_the_national_pack_and_no_others() {
    let path = deploy().join("packs/transitions/national-2026.toml");
    let national = Transitions::from_toml(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut states = BTreeSet::new();
    for row in &TABLE {
        let Some(operation) = row.0.operation() else { continue };
        for (at, cell) in row.cells() {
            let (state, entered_from) = at.state();
            states.insert(state.code());
            let by_pack = match row.0 {
                Act::RecordStep => national.next_step(state, entered_from, State::Processing),
                Act::RecordPaymentStep => national.next_step(state, entered_from, State::PaymentRequested),
                _ => national.next(state, entered_from, operation),
            };
            let by_pack = by_pack.ok().map(|to| i32::from(to.code()));
            match cell {
                Expected::Moves(to) => assert_eq!(by_pack, Some(to), "{:?} at {at:?}", row.0),
                // The act's own rule, which comes after the pack's.
                Expected::Refused("SUPPLEMENT_NOT_SUPPLIED") => assert!(by_pack.is_some(), "{:?} at {at:?}", row.0),
                Expected::Refused(_) | Expected::Stays => assert_eq!(by_pack, None, "{:?} at {at:?}", row.0),
            }
        }
    }
    assert_eq!(states.len(), State::ALL.len(), "every state has a column");
}

/// The writes of the service that name a case or a task, and all of the services of cases and of work.
fn writes_about_cases() -> BTreeSet<String> {
    let extension = egov_proto::POOL
        .get_extension_by_name("egov.options.v1.idempotency")
        .unwrap();
    let mut found = BTreeSet::new();
    for service in egov_proto::POOL
        .services()
        .filter(|service| service.package_name() == "egov.onestop.v1")
    {
        for method in service.methods() {
            let options = method.options();
            let rule = options.get_extension(&extension);
            let kind = rule.as_message().unwrap().get_field_by_name("kind").unwrap();
            let input = method.input();
            let named = ["case_id", "case_code", "task_id"]
                .iter()
                .any(|field| input.get_field_by_name(field).is_some());
            // KIND_READ of egov.options.v1.Idempotency is 1.
            if kind.as_enum_number() != Some(1) && (named || ["CaseService", "WorkService"].contains(&service.name())) {
                found.insert(format!("{}.{}", service.name(), method.name()));
            }
        }
    }
    found
}

#[test]
fn no_act_on_a_case_is_missing_in_the_table() {
    let on_steps = STEPS.iter().map(|row| row.1).chain(TASKS.iter().map(|row| row.1));
    let in_table = TABLE.iter().map(|row| row.1).chain(on_steps).chain([HAND_OVER.0]);
    let in_table = in_table.map(str::to_owned);
    let apart = APART.iter().map(|(rpc, why)| {
        assert!(!why.is_empty(), "{rpc}");
        (*rpc).to_owned()
    });
    let known: BTreeSet<String> = in_table.chain(apart).collect();
    let there_are = writes_about_cases();
    let missing: Vec<&String> = there_are.difference(&known).collect();
    assert!(
        missing.is_empty(),
        "acts without a row, and without a reason to stand apart: {missing:?}"
    );
    let gone: Vec<&String> = known.difference(&there_are).collect();
    assert!(gone.is_empty(), "the contract has no such acts: {gone:?}");
    for row in &TABLE {
        assert_eq!(row.cells().len(), COLUMNS.len(), "{}", row.1);
    }
    assert_eq!(HAND_OVER.1.split_whitespace().count(), COLUMNS.len());
    // Every act is a row, and no more than one.
    let acts: BTreeSet<Act> = TABLE.iter().map(|row| row.0).collect();
    assert_eq!(acts.len(), TABLE.len());
}
