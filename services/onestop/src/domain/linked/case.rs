//! Hồ sơ liên thông: the application and its members. Nothing here is personal: what was filed for a member that waits is kept apart,
//! and what was filed for one that runs is its case's.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::case::Case;
use super::super::pack::Channel;
use super::super::transitions::State;
use super::pack::{Ended, LinkedService, Owner};

/// Where the application stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkedState {
    /// Members wait or run.
    Running,
    /// Every member gave its result and it was returned.
    Finished,
    /// Some did.
    PartlyFinished,
    /// None did.
    Ended,
}

impl LinkedState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::PartlyFinished, Self::Ended];

    /// The number in the database and in contracts.
    pub const fn code(self) -> i16 {
        match self {
            Self::Running => 1,
            Self::Finished => 2,
            Self::PartlyFinished => 3,
            Self::Ended => 4,
        }
    }

    /// The state of a number.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

/// Where a member stands. Beyond `Running` it is what became of its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// It waits for the results of others.
    Waiting,
    /// Its case runs (1, 2, 4, 5, 6).
    Running,
    /// The result is issued (9).
    Issued,
    /// The result was returned (10).
    Returned,
    /// Its case ended without a result (3, 7, 8).
    Ended(Ended),
    /// It was never filed, because of another member or at the applicant's wish.
    Cancelled,
    /// It could not be filed when its turn came; an officer decides.
    Held,
}

impl MemberState {
    /// The number in the database and in contracts.
    pub const fn code(self) -> i16 {
        match self {
            Self::Waiting => 1,
            Self::Running => 2,
            Self::Issued => 3,
            Self::Returned => 4,
            Self::Ended(Ended::Rejected) => 5,
            Self::Ended(Ended::Stopped) => 6,
            Self::Ended(Ended::Withdrawn) => 7,
            Self::Cancelled => 8,
            Self::Held => 9,
        }
    }

    /// The state of a number.
    pub fn of_code(code: i16) -> Option<Self> {
        let ended = Ended::ALL.map(Self::Ended);
        let others = [
            Self::Waiting,
            Self::Running,
            Self::Issued,
            Self::Returned,
            Self::Cancelled,
            Self::Held,
        ];
        others.into_iter().chain(ended).find(|state| state.code() == code)
    }

    /// Where a member stands whose case is in this state.
    pub const fn of_case(state: State) -> Self {
        match Ended::of(state) {
            Some(ended) => Self::Ended(ended),
            None => match state {
                State::Completed => Self::Issued,
                State::Returned => Self::Returned,
                _ => Self::Running,
            },
        }
    }

    /// How it ended without a result; none if it did not. Never filed is as good as withdrawn.
    pub const fn ended(self) -> Option<Ended> {
        match self {
            Self::Ended(ended) => Some(ended),
            Self::Cancelled => Some(Ended::Withdrawn),
            _ => None,
        }
    }

    /// True if there is a result that others may take.
    pub const fn has_result(self) -> bool {
        matches!(self, Self::Issued | Self::Returned)
    }

    /// True if nothing more will happen to it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Returned | Self::Ended(_) | Self::Cancelled)
    }
}

/// A procedure of the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its code within the service.
    pub code: String,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// Cơ quan có thẩm quyền.
    pub unit_id: i32,
    /// Where it stands.
    pub state: MemberState,
    /// Its case, once it was filed here.
    pub case_id: Option<Uuid>,
    /// Mã hồ sơ; in national mode that of the system that coordinates.
    pub case_code: String,
    /// State of its case; absent before it is filed.
    pub case_state: Option<State>,
    /// Ngày hẹn trả.
    pub due_date: Option<Date>,
    /// SHA-256 of what was filed for it, as long as it waits: the ledger commits to it without repeating it.
    pub submission_sha256: String,
}

/// Where a case stands: all that an application takes over from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseStand {
    /// The case.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Cơ quan có thẩm quyền.
    pub unit_id: i32,
    /// Its state.
    pub state: State,
    /// Ngày hẹn trả.
    pub due_date: Option<Date>,
}

impl From<&Case> for CaseStand {
    fn from(case: &Case) -> Self {
        Self {
            case_id: case.case_id,
            case_code: case.case_code.clone(),
            unit_id: case.responsible_unit_id,
            state: case.state,
            due_date: case.deadline.as_ref().map(|deadline| deadline.due_date),
        }
    }
}

impl Member {
    /// Brings what is known of the member in line with its case; true if anything differed.
    pub fn stand_as(&mut self, stand: &CaseStand) -> bool {
        let fresh = Self {
            state: MemberState::of_case(stand.state),
            unit_id: stand.unit_id,
            case_id: Some(stand.case_id),
            case_code: stand.case_code.clone(),
            case_state: Some(stand.state),
            due_date: stand.due_date,
            ..self.clone()
        };
        let differs = fresh != *self;
        *self = fresh;
        differs
    }
}

/// What happened to a member because another one ended, or because it could not be filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Its case was taken back.
    Withdrawn,
    /// It is not filed any more.
    Cancelled,
    /// It goes its way.
    Continued,
    /// An officer is asked.
    Asked,
    /// It has its result, which nobody can take back here: an officer is told, and says what is done (không thể hoàn tác).
    UndoImpossible,
    /// It could not be filed when its turn came.
    NotFiled,
}

impl EffectKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Withdrawn,
        Self::Cancelled,
        Self::Continued,
        Self::Asked,
        Self::UndoImpossible,
        Self::NotFiled,
    ];

    /// The number in the database and in contracts.
    pub const fn code(self) -> i16 {
        match self {
            Self::Withdrawn => 1,
            Self::Cancelled => 2,
            Self::Continued => 3,
            Self::Asked => 4,
            Self::UndoImpossible => 5,
            Self::NotFiled => 6,
        }
    }

    /// The kind of a number.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// True if somebody must decide.
    pub const fn asks(self) -> bool {
        matches!(self, Self::Asked | Self::UndoImpossible | Self::NotFiled)
    }
}

/// A consequence for a member. Each is recorded once: what was done is not done again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// From 1, in the order of time.
    pub number: i32,
    /// Whose end it follows from; the member itself, if it could not be filed.
    pub cause: String,
    /// To whom.
    pub affected: String,
    /// What.
    pub kind: EffectKind,
    /// Why it could not be filed: a reason of the contract. Empty otherwise.
    pub refusal: String,
    /// What an officer decided: withdraw (true) or go on; absent while it is open, or where nobody is asked. A question that became moot
    /// has its answer too: withdraw.
    pub withdraw: Option<bool>,
    /// The officer's reason; empty of a question that became moot.
    pub reason: String,
    /// Who decided; nobody, if the question became moot.
    pub decided_by: Option<Uuid>,
}

impl Effect {
    /// True while somebody must decide.
    pub const fn is_open(&self) -> bool {
        self.kind.asks() && self.withdraw.is_none()
    }
}

/// Hồ sơ liên thông.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkedCase {
    /// Its id.
    pub linked_case_id: Uuid,
    /// Mã hồ sơ liên thông: our own; no source names a form of it.
    pub code: String,
    /// Code of the service.
    pub service_code: String,
    /// Its version.
    pub service_version: i32,
    /// The service as it was when this was filed, decisions included: a running application keeps it.
    #[serde(skip)]
    pub service: LinkedService,
    /// SHA-256 of it: the ledger commits to it without repeating it.
    pub service_sha256: String,
    /// Who coordinates it.
    pub owner: Owner,
    /// Where it stands.
    pub state: LinkedState,
    /// Kênh nộp.
    pub channel: Channel,
    /// Nơi tiếp nhận.
    pub receiving_unit_id: i32,
    /// The citizen's account, if it came with an eID.
    pub owner_id: Option<Uuid>,
    /// Thời điểm nộp.
    pub submit_time: Timestamp,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// In national mode: the last revision of the system that coordinates.
    pub revision: i64,
    /// Its members, in the order of the service.
    pub members: Vec<Member>,
    /// What followed from ends of members.
    pub effects: Vec<Effect>,
    /// From 1; grows with every change.
    pub version: i64,
}

impl LinkedCase {
    /// Puts one together from what is stored: the document that the ledger commits to, and the service beside it.
    ///
    /// # Errors
    /// A document of another shape.
    pub fn from_stored(document: serde_json::Value, service: LinkedService) -> Result<Self, serde_json::Error> {
        let stored: Stored = serde_json::from_value(document)?;
        Ok(stored.with(service))
    }

    /// The etag of this version; it names the application too.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.version, &self.linked_case_id.simple().to_string()[20..])
    }

    /// The bytes to which the ledger commits.
    ///
    /// # Errors
    /// None in practice: everything in it can be written.
    pub fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// A member by its code.
    pub fn member(&self, code: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.code == code)
    }

    /// A member by its code, to change it.
    pub fn member_mut(&mut self, code: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.code == code)
    }

    /// For which members a member waits still.
    pub fn waits_for(&self, code: &str) -> Vec<String> {
        let waiting = self
            .member(code)
            .is_some_and(|member| member.state == MemberState::Waiting);
        let Some(rule) = self.service.member(code).filter(|_| waiting) else {
            return Vec::new();
        };
        let without = |other: &&String| !self.member(other).is_some_and(|other| other.state.has_result());
        rule.after.iter().filter(without).cloned().collect()
    }

    /// Records a consequence.
    pub fn push_effect(&mut self, cause: &str, affected: &str, kind: EffectKind, refusal: &str) {
        self.effects.push(Effect {
            number: i32::try_from(self.effects.len()).unwrap_or(i32::MAX).saturating_add(1),
            cause: cause.to_owned(),
            affected: affected.to_owned(),
            kind,
            refusal: refusal.to_owned(),
            withdraw: None,
            reason: String::new(),
            decided_by: None,
        });
    }

    /// Answers the questions about members that can no longer happen: they ended without a result, or will not be filed. Nothing is left to
    /// decide about them, and nobody did. True if there was such a question. What has its result can still be decided about: somebody says
    /// what is done.
    pub fn answer_moot_questions(&mut self) -> bool {
        let Self { members, effects, .. } = self;
        let is_over = |code: &str| {
            let member = members.iter().find(|member| member.code == code);
            member.is_some_and(|member| member.state.ended().is_some())
        };
        let mut answered = false;
        for effect in effects {
            if effect.is_open() && is_over(&effect.affected) {
                effect.withdraw = Some(true);
                answered = true;
            }
        }
        answered
    }

    /// The units that see the application, and of which of them something is asked. A unit sees it through a case of its own, or because it
    /// is asked; where the national system coordinates, through its member; where it is coordinated here, the unit that received it as well.
    pub fn seen_by(&self) -> BTreeMap<i32, bool> {
        let open = self.effects.iter().filter(|effect| effect.is_open());
        let asked: BTreeSet<i32> = open
            .filter_map(|effect| self.member(&effect.affected))
            .map(|member| member.unit_id)
            .collect();
        let of_members = self
            .members
            .iter()
            .filter(|member| member.case_id.is_some() || self.owner == Owner::National);
        let received = (self.owner == Owner::Local).then_some(self.receiving_unit_id);
        of_members
            .map(|member| member.unit_id)
            .chain(received)
            .chain(asked.iter().copied())
            .map(|unit_id| (unit_id, asked.contains(&unit_id)))
            .collect()
    }

    /// What became of an application whose members are all at their end.
    pub fn outcome(&self) -> LinkedState {
        let returned = self
            .members
            .iter()
            .filter(|member| member.state == MemberState::Returned)
            .count();
        if returned == self.members.len() {
            LinkedState::Finished
        } else if returned > 0 {
            LinkedState::PartlyFinished
        } else {
            LinkedState::Ended
        }
    }
}

/// A document as it is read again.
#[derive(Deserialize)]
struct Stored {
    linked_case_id: Uuid,
    code: String,
    service_code: String,
    service_version: i32,
    service_sha256: String,
    owner: Owner,
    state: LinkedState,
    channel: Channel,
    receiving_unit_id: i32,
    owner_id: Option<Uuid>,
    submit_time: Timestamp,
    end_time: Option<Timestamp>,
    revision: i64,
    members: Vec<Member>,
    effects: Vec<Effect>,
    version: i64,
}

impl Stored {
    fn with(self, service: LinkedService) -> LinkedCase {
        LinkedCase {
            linked_case_id: self.linked_case_id,
            code: self.code,
            service_code: self.service_code,
            service_version: self.service_version,
            service,
            service_sha256: self.service_sha256,
            owner: self.owner,
            state: self.state,
            channel: self.channel,
            receiving_unit_id: self.receiving_unit_id,
            owner_id: self.owner_id,
            submit_time: self.submit_time,
            end_time: self.end_time,
            revision: self.revision,
            members: self.members,
            effects: self.effects,
            version: self.version,
        }
    }
}
