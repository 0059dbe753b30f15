//! Kho dữ liệu của công dân, tổ chức: papers that this service issued or confirmed, and for what they stand.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::rules::PaperRules;
use super::{ComparedWith, ComponentCheck, ComponentRefused, ComponentState};
use crate::domain::case::{Case, CaseResult};
use crate::domain::pack::{Component, Procedure, Profile};
use crate::domain::party::Party;
use crate::domain::results::Standing;

/// What a stored paper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaperKind {
    /// Kết quả giải quyết.
    Result,
    /// Thành phần hồ sơ đã số hoá.
    Component,
}

impl PaperKind {
    /// The name under which it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Component => "component",
        }
    }

    /// The kind of a stored name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Result, Self::Component]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// Hiệu lực of a paper on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Còn hiệu lực.
    Valid,
    /// Hết hạn.
    Expired,
    /// Bị thay thế.
    Replaced,
    /// Chưa có hiệu lực.
    NotYet,
    /// Bị thu hồi.
    Revoked,
}

impl Validity {
    /// The name in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::NotYet => "not_yet",
            Self::Revoked => "revoked",
        }
    }
}

/// Giấy tờ in the store. `Debug` shows what it is and not whose.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPaper {
    /// Id.
    pub paper_id: Uuid,
    /// Who issued or confirmed it.
    pub unit_id: i32,
    /// The citizen's account, if the case came with an eID.
    pub owner_id: Option<Uuid>,
    /// Số định danh of the person or organisation whose paper it is.
    pub owner_number: String,
    /// Result or component.
    pub kind: PaperKind,
    /// Mã kết quả, or code of the component.
    pub type_code: String,
    /// Tên giấy tờ.
    pub title: String,
    /// Số, ký hiệu; empty if it has none.
    pub number: String,
    /// Mã thủ tục of the case that brought it.
    pub procedure_code: String,
    /// That case.
    pub case_id: Uuid,
    /// Mã hồ sơ of that case.
    pub case_code: String,
    /// With what it was compared, if it is a component.
    pub compared_with: Option<ComparedWith>,
    /// Its files.
    pub file_ids: Vec<Uuid>,
    /// From this day.
    pub valid_from: Date,
    /// The last day on which it holds, if there is one.
    pub valid_until: Option<Date>,
    /// Bị thay thế.
    pub replaced: bool,
    /// By which stored paper.
    pub replaced_by: Option<Uuid>,
    /// Bị thu hồi: the result that it is was revoked. A paper that was not is written as it was before any could be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// What was said of its validity last.
    pub validity_reason: String,
    /// When it was stored.
    pub store_time: Timestamp,
    /// From 1.
    pub version: i64,
}

impl std::fmt::Debug for StoredPaper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredPaper")
            .field("paper_id", &self.paper_id)
            .field("kind", &self.kind)
            .field("type_code", &self.type_code)
            .finish_non_exhaustive()
    }
}

/// What somebody says of the validity of a paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedValidity {
    /// The last day on which it holds.
    pub valid_until: Option<Date>,
    /// Bị thay thế.
    pub replaced: bool,
    /// By which stored paper.
    pub replaced_by: Option<Uuid>,
    /// Lý do.
    pub reason: String,
}

/// Whose papers the owner of a case has: the number, or none that would tell one person from another.
pub fn number_of(owner: &Party) -> Option<&str> {
    [&owner.personal_number, &owner.organisation_number]
        .into_iter()
        .map(String::as_str)
        .find(|number| !number.is_empty())
}

/// So many days after a day; none behind the end of the calendar.
fn days_after(day: Date, days: u32) -> Option<Date> {
    let days = jiff::Span::new().try_days(i64::from(days)).ok()?;
    day.checked_add(days).ok()
}

impl StoredPaper {
    /// The etag of this version.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.version, &self.paper_id.simple().to_string()[20..])
    }

    /// Hiệu lực on a day.
    pub fn validity(&self, today: Date) -> Validity {
        if self.revoked {
            Validity::Revoked
        } else if self.replaced {
            Validity::Replaced
        } else if self.valid_from > today {
            Validity::NotYet
        } else if self.valid_until.is_some_and(|last| last < today) {
            Validity::Expired
        } else {
            Validity::Valid
        }
    }

    /// Hiệu lực on a day in the place of a component: what the definition lets be used again for so many days is expired behind them.
    pub fn validity_for(&self, component: &Component, today: Date) -> Validity {
        let days = component.reuse.as_ref().and_then(|reuse| reuse.valid_days);
        let last = days.and_then(|days| days_after(self.valid_from, days));
        match self.validity(today) {
            Validity::Valid if last.is_some_and(|last| last < today) => Validity::Expired,
            validity => validity,
        }
    }

    /// Where it comes from, in words, for the component in whose place it stands.
    pub fn source(&self) -> String {
        let number = if self.number.is_empty() {
            String::new()
        } else {
            format!(" số {}", self.number)
        };
        format!("Kho dữ liệu: {}{number}, hồ sơ {}", self.title, self.case_code)
    }

    /// Whether it was stored as this result, as that stands.
    pub fn shows(&self, result: &CaseResult) -> bool {
        self.kind == PaperKind::Result
            && self.type_code == result.result_code
            && self.number == result.number_now()
            && result.file_now().is_some_and(|file| self.file_ids.contains(&file))
    }

    /// Of papers of which the latest comes first, the one that shows a result: one that nothing was put in the place of since, or else the
    /// latest.
    pub fn showing<'a>(papers: &'a [Self], result: &CaseResult) -> Option<&'a Self> {
        let showing = || papers.iter().filter(move |paper| paper.shows(result));
        showing()
            .find(|paper| !paper.replaced && !paper.revoked)
            .or_else(|| showing().next())
    }

    /// The next version of an earlier paper: what is said to have replaced that one replaces this one as well.
    #[must_use]
    pub fn following(self, earlier: &Self) -> Self {
        if !earlier.replaced {
            return self;
        }
        Self {
            replaced: true,
            replaced_by: earlier.replaced_by,
            validity_reason: earlier.validity_reason.clone(),
            ..self
        }
    }

    /// Thu hồi: the result that it is was revoked. It is used no more, also by who only asks whether it was replaced.
    #[must_use]
    pub fn revoke(&self, reason: &str) -> Self {
        Self {
            replaced: true,
            replaced_by: None,
            revoked: true,
            validity_reason: reason.to_owned(),
            version: self.version.saturating_add(1),
            ..self.clone()
        }
    }

    /// Another validity. What was replaced stays replaced, and what was revoked is changed no more; nothing replaces itself, and nothing ends
    /// before it begins.
    pub fn with_validity(&self, wanted: WantedValidity) -> Result<Self, ComponentRefused> {
        if self.revoked {
            return Err(ComponentRefused::PaperNotValid(Validity::Revoked));
        }
        if self.replaced && !wanted.replaced {
            return Err(ComponentRefused::PaperNotValid(Validity::Replaced));
        }
        if wanted.replaced_by == Some(self.paper_id) {
            return Err(ComponentRefused::PaperNotFound);
        }
        Ok(Self {
            valid_until: wanted.valid_until,
            replaced: wanted.replaced,
            replaced_by: wanted.replaced_by,
            validity_reason: wanted.reason,
            version: self.version.saturating_add(1),
            ..self.clone()
        })
    }

    /// Whether it stands for a component of a procedure: the same component of the same procedure that was confirmed before, or a result of
    /// which the pack says so. What it says must be settled for the profile.
    pub fn stands_for(
        &self,
        procedure_code: &str,
        component: &Component,
        rules: Option<&PaperRules>,
        profile: Profile,
    ) -> Result<(), ComponentRefused> {
        let other = || ComponentRefused::ForOtherComponent(component.code.clone());
        match self.kind {
            PaperKind::Component => {
                let same = self.procedure_code == procedure_code && self.type_code == component.code;
                if same { Ok(()) } else { Err(other()) }
            }
            PaperKind::Result => {
                let rule = rules
                    .and_then(|rules| rules.standing(&self.type_code, procedure_code, &component.code))
                    .ok_or_else(other)?;
                if rule.fact.is_settled(profile) {
                    Ok(())
                } else {
                    Err(ComponentRefused::NotDecided {
                        result_code: self.type_code.clone(),
                        component_code: component.code.clone(),
                    })
                }
            }
        }
    }

    /// Demands that it may stand today in the place of a component of this case.
    pub fn demand_usable(
        &self,
        case: &Case,
        component: &Component,
        (rules, profile): (Option<&PaperRules>, Profile),
        today: Date,
    ) -> Result<(), ComponentRefused> {
        if number_of(&case.owner) != Some(self.owner_number.as_str()) {
            return Err(ComponentRefused::OfAnotherPerson);
        }
        self.demand_standing(&case.procedure_code, component, (rules, profile), today)
    }

    /// Demands that it may stand today for a component of a procedure, in a case of its owner.
    fn demand_standing(
        &self,
        procedure_code: &str,
        component: &Component,
        (rules, profile): (Option<&PaperRules>, Profile),
        today: Date,
    ) -> Result<(), ComponentRefused> {
        if !component.is_reusable() {
            return Err(ComponentRefused::NotReusable(component.code.clone()));
        }
        self.stands_for(procedure_code, component, rules, profile)?;
        match self.validity_for(component, today) {
            Validity::Valid => Ok(()),
            validity => Err(ComponentRefused::PaperNotValid(validity)),
        }
    }

    /// For which components of a procedure it may stand today, in a case of its owner.
    pub fn components_of<'a>(
        &self,
        procedure: &'a Procedure,
        facts: (Option<&PaperRules>, Profile),
        today: Date,
    ) -> Vec<&'a str> {
        let code = procedure.code.to_string();
        procedure
            .components
            .iter()
            .filter(|component| self.demand_standing(&code, component, facts, today).is_ok())
            .map(|component| component.code.as_str())
            .collect()
    }
}

/// What a case brings to the store of its owner: of whom it is, and from which day.
pub struct Storing<'a> {
    /// The case afterwards.
    pub case: &'a Case,
    /// The version by which it is handled.
    pub procedure: &'a Procedure,
    /// Now, and the day of it.
    pub now: Timestamp,
    /// The day of it.
    pub today: Date,
}

impl Storing<'_> {
    fn paper(&self, paper_id: Uuid, kind: PaperKind, type_code: &str, file_ids: Vec<Uuid>) -> Option<StoredPaper> {
        let case = self.case;
        if file_ids.is_empty() {
            return None;
        }
        Some(StoredPaper {
            paper_id,
            unit_id: case.responsible_unit_id,
            owner_id: case.owner_id,
            owner_number: number_of(&case.owner)?.to_owned(),
            kind,
            type_code: type_code.to_owned(),
            title: String::new(),
            number: String::new(),
            procedure_code: case.procedure_code.clone(),
            case_id: case.case_id,
            case_code: case.case_code.clone(),
            compared_with: None,
            file_ids,
            valid_from: self.today,
            valid_until: None,
            replaced: false,
            replaced_by: None,
            revoked: false,
            validity_reason: String::new(),
            store_time: self.now,
            version: 1,
        })
    }

    /// The results of a case that is returned, those that have a file.
    pub fn results(&self, mut new_id: impl FnMut() -> Uuid) -> Vec<StoredPaper> {
        let results = self.case.results.iter();
        results.filter_map(|result| self.result(result, new_id())).collect()
    }

    /// A result as it stands now, if it has a file and was not revoked. It holds as long as it says of itself; where it says nothing, from the
    /// day on which it is stored.
    pub fn result(&self, result: &CaseResult, paper_id: Uuid) -> Option<StoredPaper> {
        if result.standing() == Standing::Revoked {
            return None;
        }
        let files = result.file_now().into_iter().collect();
        let paper = self.paper(paper_id, PaperKind::Result, &result.result_code, files)?;
        let known = self.procedure.result(&result.result_code);
        let said = result.metadata_now();
        Some(StoredPaper {
            title: known.map_or_else(|| result.result_code.clone(), |known| known.name.clone()),
            number: result.number_now().to_owned(),
            valid_from: said.map_or(paper.valid_from, |said| said.valid_from),
            valid_until: said.and_then(|said| said.valid_until),
            ..paper
        })
    }

    /// The components that these checks confirm, with the files that were shown. Only what the definition lets be used again is kept: nothing
    /// of a person is stored that could not serve again. What stands there by data or from a store is not stored once more.
    pub fn components(&self, checks: &[ComponentCheck], mut new_id: impl FnMut() -> Uuid) -> Vec<StoredPaper> {
        let confirmed = checks.iter().filter(|check| check.state == ComponentState::Confirmed);
        let papers = confirmed.filter_map(|check| {
            let component = self.procedure.component(&check.component_code)?;
            if !component.is_reusable() {
                return None;
            }
            let files = self.case.shown_files_of(&component.code);
            let paper = self.paper(new_id(), PaperKind::Component, &component.code, files)?;
            Some(StoredPaper {
                title: component.name.clone(),
                compared_with: check.compared_with,
                valid_until: self.last_day(component, check.valid_until),
                ..paper
            })
        });
        papers.collect()
    }

    /// The earlier of what the paper says and of what the definition gives from today on.
    fn last_day(&self, component: &Component, said: Option<Date>) -> Option<Date> {
        let days = component.reuse.as_ref().and_then(|reuse| reuse.valid_days);
        let given = days.and_then(|days| days_after(self.today, days));
        match (said, given) {
            (Some(said), Some(given)) => Some(said.min(given)),
            (said, given) => said.or(given),
        }
    }
}
