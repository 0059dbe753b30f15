//! Việc: one step of a case that somebody is to do, or one opinion that somebody is to give.
//!
//! A task is open until it ends. While it is open it lies in the inbox of its unit for everybody who holds its role, or in that of one
//! person: who took it, to whom it was given, or to whom a holder passed it on. Nobody but the holder ends it through the inbox.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::transitions::State;

/// The kind of aggregate of events about tasks, and of resource of their leaves.
pub const KIND: &str = "case_task";

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// A step of the procedure.
    Step,
    /// Cho ý kiến: an opinion on somebody else's step.
    Opinion,
}

impl TaskKind {
    /// Its number in the store and in the contract.
    pub const fn number(self) -> i16 {
        match self {
            Self::Step => 1,
            Self::Opinion => 2,
        }
    }

    /// The kind of a number.
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Step, Self::Opinion]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// To be done.
    Open,
    /// Done.
    Done,
    /// Trả lại: an earlier step is done again first.
    SentBack,
    /// The case went on without it, or ended.
    PassedOver,
}

impl TaskState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Open, Self::Done, Self::SentBack, Self::PassedOver];

    /// Its number in the store and in the contract.
    pub const fn number(self) -> i16 {
        match self {
            Self::Open => 1,
            Self::Done => 2,
            Self::SentBack => 3,
            Self::PassedOver => 4,
        }
    }

    /// The state of a number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

/// What a unit was asked, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Consultation {
    /// The task whose holder asks.
    pub asked_by_task: Option<Uuid>,
    /// The unit of that task.
    pub asking_unit_id: Option<i32>,
    /// Nội dung xin ý kiến.
    pub question: String,
    /// Ý kiến.
    pub opinion: String,
    /// Thống nhất, or not.
    pub agrees: Option<bool>,
}

/// Việc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Id.
    pub task_id: Uuid,
    /// The case.
    pub case_id: Uuid,
    /// From 1 within the case.
    pub number: i32,
    /// What is to be done.
    pub kind: TaskKind,
    /// The step of the procedure; of an opinion, the step on which it is given.
    pub step: String,
    /// The role that does it, as the step names it.
    pub role: String,
    /// Where the work lies.
    pub responsible_unit_id: i32,
    /// Nơi tiếp nhận that does it as well, if the case was received for another unit and the step is one of reception. It follows from
    /// case and step: no leaf commits to it.
    #[serde(skip)]
    pub reception_unit_id: Option<i32>,
    /// How far it is.
    pub state: TaskState,
    /// Who has it.
    pub assignee_id: Option<Uuid>,
    /// Who passed it on and has it again when it is given back.
    pub delegator_id: Option<Uuid>,
    /// For opinions.
    pub consultation: Consultation,
    /// When it came up.
    pub create_time: Timestamp,
    /// Since when the assignee has it.
    pub assign_time: Option<Timestamp>,
    /// When it ended.
    pub finish_time: Option<Timestamp>,
    /// Who ended it.
    pub finished_by: Option<Uuid>,
    /// Kết luận to which whoever did the step came. A task without one is written as it was before there were any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// From 1; grows with every change.
    pub version: i64,
}

/// Why an act on a task is refused. Each variant is something that a caller can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkRefused {
    /// There is no such task, or the caller may not know of it.
    #[error("task not found")]
    TaskNotFound,
    /// It has ended.
    #[error("the task has ended")]
    Closed,
    /// Somebody else has it.
    #[error("the task is {0}'s")]
    Taken(Uuid),
    /// The caller does not have it.
    #[error("the task is not the caller's")]
    NotHeld,
    /// Nobody has it.
    #[error("nobody has the task")]
    NotAssigned,
    /// It would go to who has it.
    #[error("the task is this person's already")]
    SamePerson,
    /// A step was expected and it is an opinion, or the other way round.
    #[error("the task is of the other kind")]
    OtherKind,
    /// The step ends by an act on the case that says more than that it is done.
    #[error("the step ends by {0}")]
    NeedsAct(&'static str),
    /// The caller does not hold the role that the step names.
    #[error("step {step} needs the role {role}")]
    RoleMissing {
        /// The role.
        role: String,
        /// The step.
        step: String,
    },
    /// There is no such earlier step.
    #[error("the task cannot be sent back there")]
    SendBackNowhere(Vec<String>),
    /// Marks have not been dealt with.
    #[error("{} marks are open", .0.len())]
    MarksOpen(Vec<Uuid>),
    /// No such open marks.
    #[error("{} marks are not open marks of the case", .0.len())]
    MarksUnknown(Vec<Uuid>),
    /// No such fields of a case.
    #[error("unknown fields: {}", .0.join(", "))]
    FieldsUnknown(Vec<String>),
    /// An opinion has not come.
    #[error("{0} opinions are awaited")]
    OpinionAwaited(usize),
    /// The step does not end with this outcome, or not without one.
    #[error("step {step} does not end with the outcome {outcome:?}")]
    OutcomeUnknown {
        /// The step.
        step: String,
        /// What was said; empty if nothing was.
        outcome: String,
        /// The outcomes that there are; none if the step has none.
        outcomes: Vec<String>,
    },
    /// No way leads from where the case stands to the step.
    #[error("no way leads to step {step}")]
    StepNotReached {
        /// The step.
        step: String,
        /// The steps to which the case may come.
        reached: Vec<String>,
    },
    /// The internal step does not happen in this state.
    #[error("{step} does not happen in state {}", state.code())]
    StepOutOfState {
        /// The internal step.
        step: String,
        /// The state of the case.
        state: State,
    },
}

impl Task {
    /// The etag of this version. It names the task too, so that an etag of another one never fits.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.version, &self.task_id.simple().to_string()[20..])
    }

    /// True while it is to be done.
    pub fn is_open(&self) -> bool {
        self.state == TaskState::Open
    }

    /// The bytes to which the ledger commits.
    pub fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Nhận việc: of two who take it at once, one has it.
    pub fn claim(&mut self, who: Uuid, now: Timestamp) -> Result<(), WorkRefused> {
        self.demand_open()?;
        match self.assignee_id {
            Some(holder) if holder == who => Err(WorkRefused::SamePerson),
            Some(holder) => Err(WorkRefused::Taken(holder)),
            None => {
                self.give(Some(who), None, now);
                Ok(())
            }
        }
    }

    /// Trả việc: back to who passed it on, or to the unit. Who passed it on may take it back as well.
    pub fn release(&mut self, who: Uuid, now: Timestamp) -> Result<(), WorkRefused> {
        self.demand_open()?;
        match (self.assignee_id, self.delegator_id) {
            (None, _) => Err(WorkRefused::NotAssigned),
            (Some(holder), Some(delegator)) if holder == who || delegator == who => {
                self.give(Some(delegator), None, now);
                Ok(())
            }
            (Some(holder), None) if holder == who => {
                self.give(None, None, now);
                Ok(())
            }
            (Some(_), _) => Err(WorkRefused::NotHeld),
        }
    }

    /// Giao việc that nobody has.
    pub fn assign(&mut self, to: Uuid, now: Timestamp) -> Result<(), WorkRefused> {
        self.demand_open()?;
        match self.assignee_id {
            Some(holder) if holder == to => Err(WorkRefused::SamePerson),
            Some(holder) => Err(WorkRefused::Taken(holder)),
            None => {
                self.give(Some(to), None, now);
                Ok(())
            }
        }
    }

    /// Giao lại: from who has it to somebody else.
    pub fn reassign(&mut self, to: Uuid, now: Timestamp) -> Result<(), WorkRefused> {
        self.demand_open()?;
        match self.assignee_id {
            None => Err(WorkRefused::NotAssigned),
            Some(holder) if holder == to => Err(WorkRefused::SamePerson),
            Some(_) => {
                self.give(Some(to), None, now);
                Ok(())
            }
        }
    }

    /// Uỷ quyền xử lý: the holder passes it on and has it again when it is given back. What is passed on twice goes back to the first.
    pub fn delegate(&mut self, who: Uuid, to: Uuid, now: Timestamp) -> Result<(), WorkRefused> {
        self.demand_held(who)?;
        if to == who || self.delegator_id == Some(to) {
            return Err(WorkRefused::SamePerson);
        }
        let delegator = self.delegator_id.unwrap_or(who);
        self.give(Some(to), Some(delegator), now);
        Ok(())
    }

    /// Bàn giao on absence: to somebody else, or back to the unit.
    pub fn hand_over(&mut self, to: Option<Uuid>, now: Timestamp) -> Result<(), WorkRefused> {
        self.demand_open()?;
        if self.assignee_id.is_none() {
            return Err(WorkRefused::NotAssigned);
        }
        self.give(to, None, now);
        Ok(())
    }

    /// Cho ý kiến. Ends the task.
    pub fn give_opinion(
        &mut self,
        who: Uuid,
        opinion: String,
        agrees: bool,
        now: Timestamp,
    ) -> Result<(), WorkRefused> {
        self.demand_kind(TaskKind::Opinion)?;
        self.demand_held(who)?;
        self.consultation.opinion = opinion;
        self.consultation.agrees = Some(agrees);
        self.end(TaskState::Done, who, now);
        Ok(())
    }

    /// Demands that it is open and the caller's.
    pub fn demand_held(&self, who: Uuid) -> Result<(), WorkRefused> {
        self.demand_open()?;
        if self.assignee_id == Some(who) {
            Ok(())
        } else {
            Err(WorkRefused::NotHeld)
        }
    }

    /// Demands that it is of a kind.
    pub fn demand_kind(&self, kind: TaskKind) -> Result<(), WorkRefused> {
        if self.kind == kind {
            Ok(())
        } else {
            Err(WorkRefused::OtherKind)
        }
    }

    fn demand_open(&self) -> Result<(), WorkRefused> {
        if self.is_open() {
            Ok(())
        } else {
            Err(WorkRefused::Closed)
        }
    }

    /// Puts it into somebody's hands, or nobody's.
    pub(super) fn give(&mut self, to: Option<Uuid>, delegator: Option<Uuid>, now: Timestamp) {
        self.assignee_id = to;
        self.delegator_id = delegator;
        self.assign_time = to.map(|_| now);
        self.version = self.version.saturating_add(1);
    }

    /// Ends it.
    pub(super) fn end(&mut self, state: TaskState, who: Uuid, now: Timestamp) {
        self.state = state;
        self.finish_time = Some(now);
        self.finished_by = Some(who);
        self.version = self.version.saturating_add(1);
    }
}

/// One entry of what was done with a task itself; never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEntry {
    /// The task.
    pub task_id: Uuid,
    /// Version of the task that it made.
    pub version: i64,
    /// claim, release, assign …
    pub operation: String,
    /// Who did it.
    pub actor_id: Uuid,
    /// The account in whose name it was done by delegation.
    pub on_behalf_of: Option<Uuid>,
    /// Who had it afterwards.
    pub assignee_id: Option<Uuid>,
    /// Why, as given.
    pub reason: String,
    /// When.
    pub record_time: Timestamp,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Uuid = Uuid::from_u128(0xA);
    const B: Uuid = Uuid::from_u128(0xB);
    const C: Uuid = Uuid::from_u128(0xC);
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    pub(in crate::domain::work) fn task(kind: TaskKind) -> Task {
        Task {
            task_id: Uuid::from_u128(1),
            case_id: Uuid::from_u128(2),
            number: 1,
            kind,
            step: "tham_tra".to_owned(),
            role: "officer".to_owned(),
            responsible_unit_id: 7,
            reception_unit_id: None,
            state: TaskState::Open,
            assignee_id: None,
            delegator_id: None,
            consultation: Consultation::default(),
            create_time: NOW,
            assign_time: None,
            finish_time: None,
            finished_by: None,
            outcome: String::new(),
            version: 1,
        }
    }

    #[test]
    fn who_takes_a_task_second_is_told_who_has_it() {
        let mut task = task(TaskKind::Step);
        task.claim(A, NOW).unwrap();
        assert_eq!(task.claim(B, NOW), Err(WorkRefused::Taken(A)));
        assert_eq!(task.claim(A, NOW), Err(WorkRefused::SamePerson));
        assert_eq!((task.assignee_id, task.version), (Some(A), 2));
    }

    #[test]
    fn what_was_passed_on_goes_back_to_who_passed_it_on_and_then_to_the_unit() {
        let mut task = task(TaskKind::Step);
        task.claim(A, NOW).unwrap();
        task.delegate(A, B, NOW).unwrap();
        task.delegate(B, C, NOW).unwrap();
        assert_eq!((task.assignee_id, task.delegator_id), (Some(C), Some(A)));
        assert_eq!(task.release(B, NOW), Err(WorkRefused::NotHeld));
        task.release(A, NOW).unwrap();
        assert_eq!((task.assignee_id, task.delegator_id), (Some(A), None));
        task.release(A, NOW).unwrap();
        assert_eq!(task.assignee_id, None);
        assert_eq!(task.release(A, NOW), Err(WorkRefused::NotAssigned));
    }

    #[test]
    fn a_task_is_assigned_once_and_reassigned_afterwards() {
        let mut task = task(TaskKind::Step);
        assert_eq!(task.reassign(A, NOW), Err(WorkRefused::NotAssigned));
        task.assign(A, NOW).unwrap();
        assert_eq!(task.assign(B, NOW), Err(WorkRefused::Taken(A)));
        assert_eq!(task.reassign(A, NOW), Err(WorkRefused::SamePerson));
        task.reassign(B, NOW).unwrap();
        assert_eq!(task.assignee_id, Some(B));
    }

    #[test]
    fn an_opinion_is_given_by_who_has_it_and_once() {
        let mut task = task(TaskKind::Opinion);
        assert_eq!(
            task.give_opinion(A, "x".to_owned(), true, NOW),
            Err(WorkRefused::NotHeld)
        );
        task.claim(A, NOW).unwrap();
        task.give_opinion(A, "đồng ý".to_owned(), true, NOW).unwrap();
        assert_eq!(
            task.give_opinion(A, "x".to_owned(), false, NOW),
            Err(WorkRefused::Closed)
        );
        assert_eq!(
            super::tests::task(TaskKind::Step).give_opinion(A, "x".to_owned(), true, NOW),
            Err(WorkRefused::OtherKind)
        );
    }

    proptest! {
        /// Whatever is tried in whatever order: a refusal changes nothing, an act makes exactly the next version, and what
        /// has ended stays as it is.
        #[test]
        fn a_refused_act_changes_nothing_and_every_other_makes_the_next_version(
            acts in proptest::collection::vec((0..7_u8, 0..3_u128, 0..3_u128), 0..40)
        ) {
            let person = |number: u128| Uuid::from_u128(number + 1);
            let mut task = task(TaskKind::Opinion);
            for (act, who, to) in acts {
                let (who, to) = (person(who), person(to));
                let before = task.clone();
                let done = match act {
                    0 => task.claim(who, NOW),
                    1 => task.release(who, NOW),
                    2 => task.assign(to, NOW),
                    3 => task.reassign(to, NOW),
                    4 => task.delegate(who, to, NOW),
                    5 => task.hand_over(Some(to), NOW),
                    _ => task.give_opinion(who, "x".to_owned(), true, NOW),
                };
                if done.is_err() {
                    prop_assert_eq!(&task, &before);
                } else {
                    prop_assert!(before.is_open());
                    prop_assert_eq!(task.version, before.version + 1);
                    prop_assert_eq!(task.assign_time.is_some(), task.assignee_id.is_some());
                }
                prop_assert!(task.delegator_id.is_none() || task.assignee_id.is_some());
            }
        }
    }
}
