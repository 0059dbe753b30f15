//! Thành phần hồ sơ: which components a case needs, what became of each, and what stands in its place.
//!
//! * [`ComponentCheck`]: what an officer said of a component. They are appended; the last one counts until something is filed anew.
//! * [`checklist`]: the state of each component of the version, by what was filed and what was said.
//! * [`paper`]: the store of papers, their validity, and for which components they stand.
//! * [`rules`]: which register could answer for which component, and which result stands for it: dated data.

pub mod paper;
pub mod rules;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::case::{Case, FiledComponent};
use super::pack::{Component, Procedure};
use super::transitions::{Refused, State, Transitions};

/// Đối chiếu, số hoá: the operation in the history. It is no transition.
pub const CONFIRM_COMPONENTS: &str = "confirm_components";

/// Trạng thái of a component: the operation in the history. It is no transition.
pub const SET_COMPONENT_STATE: &str = "set_component_state";

/// Tái sử dụng: the operation in the history. It is no transition; of the last that a supplement asked for reuse is the supply.
pub const REUSE_PAPER: &str = "reuse_paper";

/// Whether an operation of the history deals with components and leaves the state of the case.
pub fn is_of_components(operation: &str) -> bool {
    [CONFIRM_COMPONENTS, SET_COMPONENT_STATE, REUSE_PAPER].contains(&operation)
}

/// Trạng thái of a component in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentState {
    /// Cần nộp.
    Needed,
    /// Thay bằng dữ liệu.
    ReplacedByData,
    /// Chờ kiểm tra.
    ToBeChecked,
    /// Không áp dụng.
    NotApplicable,
    /// Đã đối chiếu.
    Confirmed,
}

impl ComponentState {
    /// All states, by number.
    pub const ALL: [Self; 5] = [
        Self::Needed,
        Self::ReplacedByData,
        Self::ToBeChecked,
        Self::NotApplicable,
        Self::Confirmed,
    ];

    /// The number in the contract.
    pub const fn number(self) -> i32 {
        match self {
            Self::Needed => 1,
            Self::ReplacedByData => 2,
            Self::ToBeChecked => 3,
            Self::NotApplicable => 4,
            Self::Confirmed => 5,
        }
    }

    /// The state of a number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The name under which it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::ReplacedByData => "replaced_by_data",
            Self::ToBeChecked => "to_be_checked",
            Self::NotApplicable => "not_applicable",
            Self::Confirmed => "confirmed",
        }
    }
}

/// With what a file was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparedWith {
    /// Bản chính.
    Original,
    /// Bản sao.
    Copy,
    /// Mẫu điện tử, bản điện tử.
    Electronic,
}

impl ComparedWith {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [Self::Original, Self::Copy, Self::Electronic];

    /// The number in the contract.
    pub const fn number(self) -> i32 {
        match self {
            Self::Original => 1,
            Self::Copy => 2,
            Self::Electronic => 3,
        }
    }

    /// The one of a number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|with| with.number() == number)
    }

    /// The name under which it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Copy => "copy",
            Self::Electronic => "electronic",
        }
    }

    /// The one of a stored name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|with| with.as_str() == name)
    }
}

/// What was said of a component, once. `Debug` leaves the words out: an official writes names into them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentCheck {
    /// Version of the case, by which act it was said.
    pub version: i64,
    /// How many components the case had then: what was filed later was not looked at.
    pub rows: i32,
    /// The component.
    pub component_code: String,
    /// What was said.
    pub state: ComponentState,
    /// With what it was compared, if it was confirmed.
    pub compared_with: Option<ComparedWith>,
    /// Scans that were added.
    pub file_ids: Vec<Uuid>,
    /// Which data stands in the place of the paper; empty otherwise.
    pub source: String,
    /// The stored paper that stands there.
    pub paper_id: Option<Uuid>,
    /// Lý do.
    pub reason: String,
    /// Until when the paper holds, if it says so.
    pub valid_until: Option<Date>,
    /// Who said it.
    pub officer_id: Uuid,
    /// When.
    #[serde(rename = "check_time")]
    pub time: Timestamp,
    /// Mã yêu cầu under which a register was asked by machine; none if none was. A check without one is written as it was before there
    /// were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_code: Option<String>,
    /// Whether that register confirmed the particulars of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<bool>,
}

impl std::fmt::Debug for ComponentCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComponentCheck")
            .field("version", &self.version)
            .field("component_code", &self.component_code)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl ComponentCheck {
    /// The place in the case's list of the component that it put in the place of the paper.
    pub fn put(&self) -> Option<usize> {
        let put = self.state == ComponentState::ReplacedByData;
        put.then(|| usize::try_from(self.rows).ok()?.checked_sub(1)).flatten()
    }

    /// Whether it looked at the component at this place of the case's list.
    pub fn looked_at(&self, place: usize) -> bool {
        usize::try_from(self.rows).is_ok_and(|rows| place < rows)
    }
}

/// Why something about components or stored papers is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentRefused {
    /// The case is decided or has ended.
    #[error("components are not dealt with in state {}", state.code())]
    CaseNotOpen {
        /// The state it is in.
        state: State,
    },
    /// Nothing is awaited of the applicant, who asks.
    #[error("nothing is awaited of the applicant in state {}", state.code())]
    NotAwaited {
        /// The state it is in.
        state: State,
    },
    /// The same data stands in the place of the component already.
    #[error("the same data stands for {0} already")]
    StandsAlready(String),
    /// Nothing of these components is there.
    #[error("nothing is filed of: {}", .0.join(", "))]
    NotFiled(Vec<String>),
    /// One component is named twice.
    #[error("named twice: {0}")]
    Twice(String),
    /// The definition does not let data stand in its place.
    #[error("the definition lets nothing stand in the place of {0}")]
    NotReusable(String),
    /// There is no such stored paper, or the caller may not know of it.
    #[error("stored paper not found")]
    PaperNotFound,
    /// The paper changed since the caller read it.
    #[error("stale etag of a stored paper")]
    StalePaper,
    /// It does not hold on the day.
    #[error("the stored paper does not hold: {}", .0.as_str())]
    PaperNotValid(paper::Validity),
    /// It is somebody else's.
    #[error("the stored paper is another person's")]
    OfAnotherPerson,
    /// It stands for something else.
    #[error("the stored paper does not stand for {0}")]
    ForOtherComponent(String),
    /// Nobody confirmed or decided that the result stands for the component.
    #[error("nobody decided that {result_code} stands for {component_code}")]
    NotDecided {
        /// The result.
        result_code: String,
        /// The component.
        component_code: String,
    },
    /// No register of this code answers for the component.
    #[error("no register {0} answers for the component")]
    RegisterUnknown(String),
}

/// A component that an officer confirms.
#[derive(Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The component.
    pub component_code: String,
    /// With what its file was compared.
    pub compared_with: ComparedWith,
    /// Scans made at the counter.
    pub file_ids: Vec<Uuid>,
    /// Until when the paper holds, if it says so.
    pub valid_until: Option<Date>,
    /// Ghi chú.
    pub note: String,
}

/// A line of the checklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChecklistItem<'a> {
    /// The component of the definition.
    pub component: &'a Component,
    /// Trạng thái.
    pub state: ComponentState,
    /// Whether this case must have it, or another of its group.
    pub required: bool,
    /// Số bản chính.
    pub originals: i32,
    /// Số bản sao.
    pub copies: i32,
    /// Whether an e-form was filled in.
    pub e_form: bool,
    /// All its files, scans included, each once.
    pub file_ids: Vec<Uuid>,
    /// Which data stands in its place; empty if none does.
    pub source: &'a str,
    /// What was said last.
    pub check: Option<&'a ComponentCheck>,
}

impl Component {
    /// Whether data or a stored paper may stand in its place, by the definition.
    pub fn is_reusable(&self) -> bool {
        self.data_allowed || self.reuse.is_some()
    }
}

impl Case {
    /// What was filed of a component, with its place in the case's list.
    fn filed_of<'a>(&'a self, code: &'a str) -> impl Iterator<Item = (usize, &'a FiledComponent)> {
        let of = move |(_, filed): &(usize, &FiledComponent)| filed.component_code == code && !filed.is_empty();
        self.components.iter().enumerate().filter(of)
    }

    /// What was said last of a component.
    pub fn last_check(&self, code: &str) -> Option<&ComponentCheck> {
        self.checks.iter().rfind(|check| check.component_code == code)
    }

    /// All files of a component, scans included, each once.
    pub fn files_of(&self, code: &str) -> Vec<Uuid> {
        let mut files: Vec<Uuid> = Vec::new();
        let filed = self.filed_of(code).flat_map(|(_, filed)| &filed.file_ids);
        let scans = self.checks.iter().filter(|check| check.component_code == code);
        for file in filed.chain(scans.flat_map(|check| &check.file_ids)) {
            if !files.contains(file) {
                files.push(*file);
            }
        }
        files
    }

    /// The files that somebody showed of a component: what was filed of it last, in one round, and scans of that. What data, the store or
    /// another case put in its place was shown to nobody here. Each once.
    pub fn shown_files_of(&self, code: &str) -> Vec<Uuid> {
        let shown = || {
            self.filed_of(code)
                .filter(|(_, filed)| filed.replaced_by_data.is_empty())
        };
        let Some((place, last)) = shown().last() else {
            return Vec::new();
        };
        let filed = shown()
            .filter(|(_, filed)| filed.round == last.round)
            .flat_map(|(_, filed)| &filed.file_ids);
        let scans = self
            .checks
            .iter()
            .filter(|check| check.component_code == code && check.looked_at(place))
            .flat_map(|check| &check.file_ids);
        let mut files: Vec<Uuid> = Vec::new();
        for file in filed.chain(scans) {
            if !files.contains(file) {
                files.push(*file);
            }
        }
        files
    }

    /// Whether what stands at a place of the case's list was put there, in the place of a paper, by an act after a version of the case.
    pub fn is_put_after(&self, place: usize, version: i64) -> bool {
        let put = self.checks.iter().find(|check| check.put() == Some(place));
        put.is_some_and(|check| check.version > version)
    }

    /// Whether something that is put in the place of this component is the supply (bổ sung): one is awaited, and nothing else that was asked
    /// for is missing. What concerns the request itself, and no component, is supplied by SupplyComponents alone.
    pub fn completes_supply(&self, code: &str) -> bool {
        let there = |wanted: &str| {
            let mut filed = self.filed_of(wanted);
            filed.any(|(_, filed)| filed.round == self.supplement_rounds)
        };
        self.state == State::SupplementRequested
            && self
                .supplement_items
                .iter()
                .all(|item| item.component_code == code || there(&item.component_code))
    }

    /// Số hoá: whether the component at a place of the case's list had a file at a version of the case, filed or scanned at the counter.
    pub fn is_digitised(&self, place: usize, version: i64) -> bool {
        let Some(filed) = self.components.get(place) else {
            return false;
        };
        let mut checks = self.checks.iter();
        !filed.file_ids.is_empty()
            || checks.any(|check| {
                check.version <= version
                    && !check.file_ids.is_empty()
                    && check.component_code == filed.component_code
                    && check.looked_at(place)
            })
    }

    fn demand_open(&self) -> Result<(), ComponentRefused> {
        match self.state {
            State::Registered
            | State::Accepted
            | State::Processing
            | State::SupplementRequested
            | State::PaymentRequested => Ok(()),
            State::Rejected | State::Withdrawn | State::Stopped | State::Completed | State::Returned => {
                Err(ComponentRefused::CaseNotOpen { state: self.state })
            }
        }
    }

    /// Demands that something is awaited of the applicant (người nộp), as it is of who supplies: until the case is taken in, and while a
    /// supplement is awaited. In between the office deals with components, and its word is not overruled.
    pub fn demand_awaited(&self) -> Result<(), ComponentRefused> {
        self.demand_open()?;
        if matches!(self.state, State::Registered | State::SupplementRequested) {
            Ok(())
        } else {
            Err(ComponentRefused::NotAwaited { state: self.state })
        }
    }

    /// Whether the same data was put in the place of the component last, and nothing was filed or said of it since.
    fn stands_already(&self, data: &Data) -> bool {
        let code = data.component_code.as_str();
        let last = self.filed_of(code).last();
        self.last_check(code).is_some_and(|check| {
            check.state == ComponentState::ReplacedByData
                && check.paper_id == data.paper_id
                && check.source == data.source
                && last.is_none_or(|(place, _)| check.looked_at(place))
        })
    }

    /// Says something of a component, as part of the act that makes the next version.
    fn check(&mut self, version: i64, code: &str, state: ComponentState, officer: Uuid, now: Timestamp) {
        self.checks.push(ComponentCheck {
            version,
            rows: i32::try_from(self.components.len()).unwrap_or(i32::MAX),
            component_code: code.to_owned(),
            state,
            compared_with: None,
            file_ids: Vec::new(),
            source: String::new(),
            paper_id: None,
            reason: String::new(),
            valid_until: None,
            officer_id: officer,
            time: now,
            request_code: None,
            confirmed: None,
        });
    }

    /// Đối chiếu, số hoá: all components that are named, or none. Behind each there is something that was filed, and a file or e-form that
    /// shows it.
    pub fn confirm_components(
        &mut self,
        confirmed: Vec<Confirmation>,
        officer: Uuid,
        now: Timestamp,
    ) -> Result<(), ComponentRefused> {
        self.demand_open()?;
        let mut codes: Vec<&str> = confirmed.iter().map(|one| one.component_code.as_str()).collect();
        codes.sort_unstable();
        if let Some([twice, _]) = codes.array_windows::<2>().find(|[one, next]| one == next) {
            return Err(ComponentRefused::Twice((*twice).to_owned()));
        }
        let nothing_there = |one: &&Confirmation| {
            let shown = self
                .filed_of(&one.component_code)
                .any(|(_, filed)| filed.form_data.is_some());
            let filed = self.filed_of(&one.component_code).next().is_some();
            !filed || (!shown && one.file_ids.is_empty() && self.files_of(&one.component_code).is_empty())
        };
        let missing: Vec<String> = confirmed
            .iter()
            .filter(nothing_there)
            .map(|one| one.component_code.clone())
            .collect();
        if !missing.is_empty() {
            return Err(ComponentRefused::NotFiled(missing));
        }
        let version = self.version.saturating_add(1);
        for one in confirmed {
            self.check(version, &one.component_code, ComponentState::Confirmed, officer, now);
            if let Some(check) = self.checks.last_mut() {
                check.compared_with = Some(one.compared_with);
                check.file_ids = one.file_ids;
                check.reason = one.note;
                check.valid_until = one.valid_until;
            }
        }
        self.version = version;
        Ok(())
    }

    /// Cần nộp, chờ kiểm tra, không áp dụng: what an officer found out of a component.
    pub fn set_component_state(
        &mut self,
        code: &str,
        state: ComponentState,
        reason: &str,
        officer: Uuid,
        now: Timestamp,
    ) -> Result<(), ComponentRefused> {
        self.demand_open()?;
        if state == ComponentState::ToBeChecked && self.filed_of(code).next().is_none() {
            return Err(ComponentRefused::NotFiled(vec![code.to_owned()]));
        }
        let version = self.version.saturating_add(1);
        self.check(version, code, state, officer, now);
        if let Some(check) = self.checks.last_mut() {
            reason.clone_into(&mut check.reason);
        }
        self.version = version;
        Ok(())
    }

    /// Thay bằng dữ liệu: data stands in the place of a paper. The last of what a supplement asked for is the supply; otherwise the state
    /// stays. The same data is put there once.
    pub fn put_data(
        &mut self,
        transitions: &Transitions,
        data: Data,
        officer: Uuid,
        now: Timestamp,
    ) -> Result<(), PutRefused> {
        self.demand_open()?;
        if self.stands_already(&data) {
            return Err(ComponentRefused::StandsAlready(data.component_code).into());
        }
        let filed = FiledComponent {
            round: self.supplement_rounds,
            component_code: data.component_code.clone(),
            originals: 0,
            copies: 0,
            replaced_by_data: data.source.clone(),
            file_ids: data.file_ids,
            form_data: None,
        };
        if self.completes_supply(&data.component_code) {
            self.supply(transitions, now, vec![filed])?;
        } else {
            self.components.push(filed);
            self.version = self.version.saturating_add(1);
        }
        let state = ComponentState::ReplacedByData;
        self.check(self.version, &data.component_code, state, officer, now);
        if let Some(check) = self.checks.last_mut() {
            check.source = data.source;
            check.paper_id = data.paper_id;
            check.reason = data.reason;
            check.valid_until = data.valid_until;
            if let Some(answer) = data.answer {
                check.request_code = Some(answer.request_code);
                check.confirmed = Some(answer.confirmed);
            }
        }
        Ok(())
    }
}

/// What a register that was asked by machine said: no more of the person than this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterAnswer {
    /// Mã yêu cầu: by it the register knows the question.
    pub request_code: String,
    /// Whether the particulars are those of one person.
    pub confirmed: bool,
}

/// What is put in the place of a paper.
pub struct Data {
    /// The component.
    pub component_code: String,
    /// Which data, in words.
    pub source: String,
    /// The stored paper, if it is one.
    pub paper_id: Option<Uuid>,
    /// Its files.
    pub file_ids: Vec<Uuid>,
    /// Until when it holds.
    pub valid_until: Option<Date>,
    /// Lý do.
    pub reason: String,
    /// What the register said, if it was asked by machine.
    pub answer: Option<RegisterAnswer>,
}

/// Why data was not put in the place of a paper.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutRefused {
    /// The rules of components.
    #[error(transparent)]
    Component(#[from] ComponentRefused),
    /// The rules of the case.
    #[error(transparent)]
    Act(#[from] super::case::ActRefused),
}

impl From<Box<Refused>> for PutRefused {
    fn from(refused: Box<Refused>) -> Self {
        Self::Act(refused.into())
    }
}

/// The checklist of a case by its version, in the order of the definition.
///
/// What an officer said last holds until something is filed anew, which is to be checked again. Without a word of an officer: data that
/// was named replaces the paper; what was filed is to be checked; what the case must have is needed, unless another of its group is there;
/// everything else does not apply.
pub fn checklist<'a>(procedure: &'a Procedure, case: &'a Case) -> Vec<ChecklistItem<'a>> {
    let requirements = procedure.required_components(&case.conditions);
    let is_there = |code: &str| {
        let said = case.last_check(code).map(|check| check.state);
        case.filed_of(code).next().is_some() && said != Some(ComponentState::Needed)
    };
    procedure
        .components
        .iter()
        .map(|component| {
            let code = component.code.as_str();
            let requirement = requirements
                .iter()
                .find(|requirement| requirement.any_of.iter().any(|one| one.code == code));
            let by_another = requirement.is_some_and(|requirement| {
                let mut others = requirement.any_of.iter().filter(|other| other.code != code);
                others.any(|other| is_there(&other.code))
            });
            let check = case.last_check(code);
            let filed: Vec<(usize, &FiledComponent)> = case.filed_of(code).collect();
            let looked_at = filed
                .last()
                .is_none_or(|(place, _)| check.is_some_and(|check| check.looked_at(*place)));
            let state = match (check, filed.last()) {
                (Some(check), _) if looked_at => check.state,
                (_, Some((_, last))) if !last.replaced_by_data.is_empty() => ComponentState::ReplacedByData,
                (_, Some(_)) => ComponentState::ToBeChecked,
                (_, None) if requirement.is_some() && !by_another => ComponentState::Needed,
                (_, None) => ComponentState::NotApplicable,
            };
            let data = filed.iter().rfind(|(_, one)| !one.replaced_by_data.is_empty());
            ChecklistItem {
                component,
                state,
                required: requirement.is_some(),
                originals: filed.iter().map(|(_, one)| one.originals).sum(),
                copies: filed.iter().map(|(_, one)| one.copies).sum(),
                e_form: filed.iter().any(|(_, one)| one.form_data.is_some()),
                file_ids: case.files_of(code),
                source: data.map_or("", |(_, one)| one.replaced_by_data.as_str()),
                check,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
