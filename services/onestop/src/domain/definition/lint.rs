//! Kiểm tra định nghĩa: whether a version can work. Every fault is named with the place where it is.
//!
//! An error keeps a version from being published or imported; a warning is for who reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::graph::Branch;
use super::{lint_parts, lint_roles, lint_times};
use crate::domain::pack::{PackError, Procedure, Profile, Step};
use crate::domain::transitions::{State, Transitions};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The version cannot work so: it is not published.
    Error,
    /// It can, but somebody should look.
    Warning,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The text is not a definition.
    Malformed,
    /// It contradicts itself, or something is lacking.
    Contradiction,
    /// The set of transitions that it names is not known.
    TransitionsUnknown,
    /// `next` names a step that there is not.
    StepUnknown,
    /// No way leads from the beginning to the step.
    StepUnreachable,
    /// From the step no way leads to an end of the case.
    StepDead,
    /// A branch is never taken, since one before it always is.
    BranchUnreachable,
    /// Where no condition of the branches holds, nothing follows.
    BranchLacking,
    /// Two ways on stand under the same outcome, or under two that nobody can tell apart.
    OutcomesOverlap,
    /// Whoever does a step has but one outcome to choose, or none.
    OutcomeLacking,
    /// Outcomes of one step stand under more conditions than are looked at in every combination.
    ConditionsTooMany,
    /// No act leads from the state of a step to that of the next.
    StateNotReached,
    /// No way leads to the return of a result.
    NoReturn,
    /// The steps together take longer than the law gives.
    StepsTooLong,
    /// A time has no unit, or one that nobody knows.
    TimeUnitUnknown,
    /// Times of steps and the legal time are in units that cannot be compared to the day.
    TimesNotComparable,
    /// No policy declares the role of a step.
    RoleUnknown,
    /// The role of a step may not do what the step needs.
    RoleMayNot,
    /// At some competent unit nobody holds the role.
    RoleNotHeld,
    /// Who holds the role could not be learned.
    HoldersUnknown,
    /// Which units are competent does not follow from the definition.
    CompetentUnitsUnknown,
    /// A condition is named that there is not.
    ConditionUnknown,
    /// A row of a decision table names no article.
    ArticleLacking,
    /// The article of a row is of no document among the legal bases.
    ArticleElsewhere,
    /// The days of a row are reversed, or outside those of the version.
    RowDates,
    /// A row can never apply.
    RowNever,
    /// A row is never reached, since one before it applies wherever it does.
    RowShadowed,
    /// A row is about a fee that no channel has.
    FeeUnknown,
    /// An e-form is no valid form, or a field of it has no label.
    FormInvalid,
    /// An e-form is named that there is not, or accepted where none is named.
    FormUnknown,
    /// No component uses the e-form.
    FormUnused,
    /// On some offered channel a component can be filed in no shape.
    ShapeLacking,
    /// A fact is neither confirmed nor decided.
    FactOpen,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [Self; 33] = [
        Self::Malformed,
        Self::Contradiction,
        Self::TransitionsUnknown,
        Self::StepUnknown,
        Self::StepUnreachable,
        Self::StepDead,
        Self::BranchUnreachable,
        Self::BranchLacking,
        Self::OutcomesOverlap,
        Self::OutcomeLacking,
        Self::ConditionsTooMany,
        Self::StateNotReached,
        Self::NoReturn,
        Self::StepsTooLong,
        Self::TimeUnitUnknown,
        Self::TimesNotComparable,
        Self::RoleUnknown,
        Self::RoleMayNot,
        Self::RoleNotHeld,
        Self::HoldersUnknown,
        Self::CompetentUnitsUnknown,
        Self::ConditionUnknown,
        Self::ArticleLacking,
        Self::ArticleElsewhere,
        Self::RowDates,
        Self::RowNever,
        Self::RowShadowed,
        Self::FeeUnknown,
        Self::FormInvalid,
        Self::FormUnknown,
        Self::FormUnused,
        Self::ShapeLacking,
        Self::FactOpen,
    ];

    /// How much it weighs.
    pub const fn severity(self) -> Severity {
        match self {
            Self::TimesNotComparable | Self::ArticleElsewhere | Self::FormUnused => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// Whether it says that nobody knows where a role is held, rather than that something is wrong. Whoever publishes may say expressly
    /// that this is accepted; that a role is held by nobody is never accepted.
    pub const fn is_of_unknown_holders(self) -> bool {
        matches!(self, Self::HoldersUnknown | Self::CompetentUnitsUnknown)
    }

    /// The name in contracts and reports.
    pub fn as_str(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

/// Something that the linter found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where: a path in the definition, e.g. `steps.tham_tra.next[0]`.
    pub path: String,
    /// What kind of thing.
    pub kind: FindingKind,
    /// In Vietnamese.
    pub vi: String,
    /// In English.
    pub en: String,
}

impl Finding {
    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.en)
    }
}

/// A competent unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompetentUnit {
    /// Id.
    pub unit_id: i32,
    /// Mã đơn vị.
    pub code: String,
    /// Tên.
    pub name: String,
}

/// Where the roles of the steps are held, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Staffing {
    /// The competent units; none if they do not follow from the definition.
    pub units: Vec<CompetentUnit>,
    /// By role: the units over which somebody holds it; none where that could not be learned.
    pub held: BTreeMap<String, Option<BTreeSet<i32>>>,
}

/// What each role may do, by the policies.
pub type Roles = BTreeMap<String, BTreeSet<String>>;

/// By what a definition is judged.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The set of transitions that it names, if there is one.
    pub transitions: Option<&'a Transitions>,
    /// Office minutes of an ordinary working day.
    pub office_minutes: u32,
    /// Which facts must be settled; none: they are looked at elsewhere.
    pub profile: Option<Profile>,
    /// The policies; none: not looked at (an import does not know them).
    pub roles: Option<&'a Roles>,
    /// Who holds what where; none: not looked at.
    pub staffing: Option<&'a Staffing>,
}

/// Office minutes of an ordinary day (8 hours), where the calendar says nothing else.
pub const OFFICE_MINUTES: u32 = 8 * 60;

/// Collects findings.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
}

impl Found {
    pub(super) fn say(
        &mut self,
        kind: FindingKind,
        path: impl Into<String>,
        vi: impl Into<String>,
        en: impl Into<String>,
    ) {
        self.findings.push(Finding {
            path: path.into(),
            kind,
            vi: vi.into(),
            en: en.into(),
        });
    }
}

/// Everything that is wrong with a definition, errors first, then by place.
pub fn lint(procedure: &Procedure, context: &Context<'_>) -> Vec<Finding> {
    let mut found = Found::default();
    contradictions(procedure, &mut found);
    steps(procedure, context, &mut found);
    lint_times::times(procedure, context, &mut found);
    lint_roles::roles(procedure, context, &mut found);
    lint_parts::tables(procedure, &mut found);
    lint_parts::components(procedure, &mut found);
    lint_parts::forms(procedure, &mut found);
    if let Some(profile) = context.profile {
        for open in procedure.publishable(profile).err().unwrap_or_default() {
            found.say(
                FindingKind::FactOpen,
                &open.path,
                "chưa được xác nhận hoặc quyết định",
                "neither confirmed nor decided",
            );
        }
    }
    in_order(found.findings)
}

/// Errors first, then by place, each once.
pub(crate) fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (a.severity(), a).cmp(&(b.severity(), b)));
    findings.dedup();
    findings
}

/// True if nothing of it keeps a version from being published.
pub fn is_publishable(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity() == Severity::Warning)
}

/// True if nothing keeps a version from being published but that it is unknown where roles are held, which whoever publishes accepted.
pub fn is_publishable_without_holders(findings: &[Finding]) -> bool {
    findings
        .iter()
        .all(|finding| finding.severity() == Severity::Warning || finding.kind.is_of_unknown_holders())
}

fn contradictions(procedure: &Procedure, found: &mut Found) {
    if let Err(PackError::Flawed { flaws, .. }) = procedure.check() {
        for flaw in flaws {
            let vi = crate::domain::pack::flaw_in_vietnamese(&flaw.text);
            found.say(FindingKind::Contradiction, flaw.path, vi, flaw.text);
        }
    }
}

/// The path of a step.
pub(super) fn step_path(code: &str) -> String {
    format!("steps.{code}")
}

fn steps(procedure: &Procedure, context: &Context<'_>, found: &mut Found) {
    branches(procedure, found);
    let Some(transitions) = context.transitions else {
        found.say(
            FindingKind::TransitionsUnknown,
            "transitions",
            format!("không có bộ chuyển trạng thái {}", procedure.transitions),
            format!("there is no set of transitions {}", procedure.transitions),
        );
        return;
    };
    states(procedure, transitions, found);
    let reached = procedure.reached_from(0);
    // An end is a final state of the case: elsewhere nothing would bring it further.
    let ends: BTreeSet<usize> = (0..procedure.steps.len())
        .filter(|place| {
            let ends = procedure.successors(*place).is_empty();
            ends && procedure
                .steps
                .get(*place)
                .is_some_and(|step| transitions.info(step.state).is_final)
        })
        .collect();
    for (place, step) in procedure.steps.iter().enumerate() {
        let path = step_path(&step.code);
        if !reached.contains(&place) {
            found.say(
                FindingKind::StepUnreachable,
                &path,
                "không có đường nào từ bước đầu dẫn đến bước này",
                "no way leads from the first step to this one",
            );
        }
        if procedure.reached_from(place).is_disjoint(&ends) {
            found.say(
                FindingKind::StepDead,
                &path,
                "từ bước này không có đường nào dẫn đến kết thúc hồ sơ",
                format!(
                    "no way leads from this step (state {}) to an end of the case",
                    step.state.code()
                ),
            );
        }
    }
    let returns = reached
        .iter()
        .filter_map(|place| procedure.steps.get(*place))
        .any(|step| step.state == State::Returned);
    if !returns {
        found.say(
            FindingKind::NoReturn,
            "steps",
            "không có bước nào trả kết quả (trạng thái 10)",
            "no step that can be reached returns a result (state 10)",
        );
    }
}

fn branches(procedure: &Procedure, found: &mut Found) {
    let choices = procedure.choices();
    for step in &procedure.steps {
        let Some(next) = &step.next else { continue };
        let mut taken = false;
        for (index, branch) in next.iter().enumerate() {
            let path = format!("{}.next[{index}]", step_path(&step.code));
            if procedure.step(&branch.to).is_none() {
                found.say(
                    FindingKind::StepUnknown,
                    &path,
                    format!("không có bước {}", branch.to),
                    format!("there is no step {}", branch.to),
                );
            }
            if let Some(when) = &branch.when {
                lint_parts::condition(procedure, when, &path, found);
            }
            let twin = next
                .iter()
                .take(index)
                .any(|earlier| earlier.when == branch.when && earlier.outcome == branch.outcome);
            if taken || twin {
                found.say(
                    FindingKind::BranchUnreachable,
                    &path,
                    "nhánh này không bao giờ được chọn vì nhánh trước đã luôn đúng",
                    "this branch is never taken, since one before it always is",
                );
            }
            taken |= branch.is_default();
        }
        if next.iter().any(|branch| branch.outcome.is_some()) {
            outcomes(step, next, &choices, found);
            continue;
        }
        let conditions: BTreeSet<&str> = next.iter().filter_map(|branch| branch.when.as_deref()).collect();
        // Of a choice exactly one condition holds: all of them together leave nothing out.
        let complete = choices
            .values()
            .any(|one_of| one_of.iter().all(|code| conditions.contains(code.as_str())));
        if !next.is_empty() && !taken && !complete {
            found.say(
                FindingKind::BranchLacking,
                format!("{}.next", step_path(&step.code)),
                "khi không điều kiện nào đúng thì không có bước tiếp theo",
                "where none of the conditions holds, nothing follows",
            );
        }
    }
}

/// How many conditions of one step are looked at in every combination. Of a step with more it is not known whether its outcomes leave
/// something out, so that it is not published.
const COMBINED: usize = 10;

/// How long an outcome may be: whoever does the step says it word for word.
const OUTCOME_LENGTH: usize = 500;

/// Ways on by outcomes, in whatever case the step is done: under each combination of the conditions that they ask for, whoever does it has
/// a way on that needs no outcome or at least two outcomes to choose from, and no outcome leads two ways.
fn outcomes(step: &Step, next: &[Branch], choices: &BTreeMap<&str, Vec<String>>, found: &mut Found) {
    let asked: BTreeSet<&str> = next.iter().filter_map(|branch| branch.when.as_deref()).collect();
    let asked: Vec<&str> = asked.into_iter().collect();
    let path = format!("{}.next", step_path(&step.code));
    for (index, branch) in next.iter().enumerate() {
        let outcome = branch.outcome.as_deref();
        let sayable = |said: &str| !said.is_empty() && said.trim() == said && said.chars().count() <= OUTCOME_LENGTH;
        if !outcome.is_none_or(sayable) {
            found.say(
                FindingKind::OutcomeLacking,
                format!("{path}[{index}]"),
                format!("kết luận để trống, có dấu cách thừa ở đầu hoặc cuối, hoặc dài hơn {OUTCOME_LENGTH} ký tự"),
                format!(
                    "the outcome is empty, begins or ends with a space, or is longer than {OUTCOME_LENGTH} characters"
                ),
            );
        }
    }
    if asked.len() > COMBINED {
        let many = asked.len();
        found.say(
            FindingKind::ConditionsTooMany,
            path,
            format!("các nhánh có kết luận của bước này dùng {many} điều kiện, nhiều nhất là {COMBINED}: hãy tách bước"),
            format!(
                "the outcomes of this step stand under {many} conditions, of which {COMBINED} can be checked: split the step"
            ),
        );
        return;
    }
    let mut overlapping: BTreeSet<usize> = BTreeSet::new();
    let (mut none, mut single) = (false, false);
    for combination in 0..(1_usize << asked.len()) {
        let holds = |code: &str| {
            let place = asked.iter().position(|one| *one == code);
            place.is_some_and(|place| (combination >> place) & 1 == 1)
        };
        // Of a choice exactly one condition holds; one that is not asked for may be it.
        let possible = choices.values().all(|one_of| {
            let held = one_of.iter().filter(|code| holds(code)).count();
            held == 1 || (held == 0 && one_of.iter().any(|code| !asked.contains(&code.as_str())))
        });
        if !possible {
            continue;
        }
        let mut said: BTreeSet<String> = BTreeSet::new();
        let mut by_itself = false;
        for (index, branch) in next.iter().enumerate() {
            if branch.when.as_deref().is_some_and(|when| !holds(when)) {
                continue;
            }
            let Some(outcome) = &branch.outcome else {
                by_itself = true;
                break;
            };
            // Word for word the same branch was named as one that is never taken.
            let same = |earlier: &Branch| earlier.when == branch.when && earlier.outcome == branch.outcome;
            let twin = next.iter().take(index).any(same);
            if !said.insert(as_said(outcome)) && !twin {
                overlapping.insert(index);
            }
        }
        none |= !by_itself && said.is_empty();
        single |= !by_itself && said.len() == 1;
    }
    for index in overlapping {
        found.say(
            FindingKind::OutcomesOverlap,
            format!("{path}[{index}]"),
            "kết luận này trùng với kết luận của một nhánh trước, nên không biết đi theo nhánh nào",
            "this outcome is that of a branch before it, so that it does not say which one is taken",
        );
    }
    if none {
        found.say(
            FindingKind::BranchLacking,
            path.as_str(),
            "có trường hợp không có bước tiếp theo nào, dù kết luận thế nào",
            "there is a case in which nothing follows, whatever the outcome",
        );
    }
    if single {
        found.say(
            FindingKind::OutcomeLacking,
            path,
            "có trường hợp chỉ có một kết luận để chọn: thiếu bước tiếp theo khi kết luận khác đi",
            "there is a case with one outcome to choose only: what follows otherwise is lacking",
        );
    }
}

/// An outcome as an official reads it: two that differ in capitals or spaces alone are one.
fn as_said(outcome: &str) -> String {
    let words: Vec<String> = outcome.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

fn states(procedure: &Procedure, transitions: &Transitions, found: &mut Found) {
    let mut demand = |from: State, to: State, path: String| {
        if !transitions.leads(from, to) {
            found.say(
                FindingKind::StateNotReached,
                path,
                format!(
                    "không có thao tác nào chuyển từ trạng thái {} sang {}",
                    from.code(),
                    to.code()
                ),
                format!("no act leads from state {} to {}", from.code(), to.code()),
            );
        }
    };
    if let Some(first) = procedure.first_step().filter(|first| first.state != State::Registered) {
        demand(State::Registered, first.state, step_path(&first.code));
    }
    for (place, step) in procedure.steps.iter().enumerate() {
        for after in procedure.successors(place) {
            if let Some(next) = procedure.steps.get(after) {
                demand(
                    step.state,
                    next.state,
                    format!("{} → {}", step_path(&step.code), next.code),
                );
            }
        }
    }
}
