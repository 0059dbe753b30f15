//! What must be true of every pack, checked whole at import: every flaw is named, not the first one.

use std::collections::BTreeSet;
use std::fmt;

use egov_codes::ProcedureCode;

use super::facts::{FactStatus, Profile};
use super::procedure::{Channel, Procedure, Time, TimeUnit};

/// One flaw of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where in the pack.
    pub path: String,
    /// What is wrong there.
    pub text: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// What is wrong with a pack or with decisions about it.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The text is not TOML of this shape.
    #[error("the pack cannot be read: {0}")]
    Malformed(#[from] toml::de::Error),
    /// The pack contradicts itself.
    #[error("procedure {procedure} is flawed: {}", join(flaws))]
    Flawed {
        /// The procedure.
        procedure: ProcedureCode,
        /// Everything that is wrong.
        flaws: Vec<Flaw>,
    },
    /// Decisions name nobody who decided, or give no basis.
    #[error("decisions say who decided and on which basis")]
    Unexplained,
    /// A decision addresses something that the procedure does not have.
    #[error("a decision on procedure {procedure} addresses {path}, which it does not have")]
    NoSuchFact {
        /// The procedure.
        procedure: ProcedureCode,
        /// What was addressed.
        path: String,
    },
    /// A decision addresses something that is confirmed, or decided already. Confirmed law changes by a new version
    /// of the procedure.
    #[error("a decision on procedure {procedure} addresses {path}, which is confirmed or decided already")]
    AlreadySettled {
        /// The procedure.
        procedure: ProcedureCode,
        /// What was addressed.
        path: String,
    },
}

/// What a flaw says, in Vietnamese.
pub(crate) fn flaw_in_vietnamese(text: &str) -> &'static str {
    match text {
        "empty" => "không được để trống",
        "at least one" => "phải có ít nhất một",
        "something is there twice" => "có giá trị lặp lại",
        "a code of small letters, digits and _" => "mã gồm chữ thường không dấu, chữ số và _",
        "a time of nothing" => "thời hạn phải lớn hơn 0",
        "a settled time has a value and a unit" => "thời hạn phải có số và đơn vị",
        "the same day has no value" => "“trong ngày” không có số",
        "a fact about a time that is not there" => "nói về thời gian nhưng bước không có thời gian",
        "a cut-off belongs to the same day only" => "giờ chốt chỉ dành cho “trong ngày”",
        "a settled fee has a kind and an amount" => "phí phải có loại (phí hoặc lệ phí) và mức thu",
        "a negative amount" => "mức thu không được âm",
        "neither an original nor a copy" => "không có bản chính lẫn bản sao",
        "a result code looks like KQ.G15.000031" => "mã kết quả có dạng KQ.G15.000031",
        "names a condition that the pack does not define" => "nêu một trường hợp chưa được định nghĩa",
        _ => "không hợp lệ",
    }
}

fn join(flaws: &[Flaw]) -> String {
    flaws.iter().map(Flaw::to_string).collect::<Vec<_>>().join("; ")
}

impl Procedure {
    /// Everything that the rest of the service relies on.
    pub(crate) fn check(&self) -> Result<(), PackError> {
        let mut flaws = Flaws::default();
        self.check_header(&mut flaws);
        self.check_conditions(&mut flaws);
        self.check_channels(&mut flaws);
        self.check_components(&mut flaws);
        self.check_steps_and_results(&mut flaws);
        self.check_rows_and_forms(&mut flaws);
        if flaws.found.is_empty() {
            Ok(())
        } else {
            Err(PackError::Flawed {
                procedure: self.code.clone(),
                flaws: flaws.found,
            })
        }
    }

    /// True if the version comes from the catalogue and nobody has settled this list yet: then it may be empty.
    pub(crate) fn leaves_open(&self, list: &str) -> bool {
        self.catalogue
            .as_ref()
            .and_then(|catalogue| catalogue.list(list))
            .is_some_and(|fact| fact.status == FactStatus::Unconfirmed)
    }

    fn check_header(&self, flaws: &mut Flaws) {
        flaws.unless(self.version >= 1, "version", "versions count from 1");
        flaws.text("name", &self.name);
        flaws.slug("sector.code", &self.sector.code);
        flaws.text("sector.name", &self.sector.name);
        flaws.text("decision", &self.decision);
        flaws.text("transitions", &self.transitions);
        flaws.unless(!self.levels.is_empty(), "levels", "at least one");
        flaws.unless(
            !self.applicants.is_empty() || self.leaves_open("applicants"),
            "applicants",
            "at least one",
        );
        flaws.each_once("levels", self.levels.iter());
        flaws.each_once("applicants", self.applicants.iter());
        let ends_later = self.effective_to.is_none_or(|end| end > self.effective_from);
        flaws.unless(ends_later, "effective_to", "not after effective_from");
        flaws.unless(
            !self.legal_basis.is_empty() || self.leaves_open("legal_basis"),
            "legal_basis",
            "at least one",
        );
        flaws.each_once("legal_basis", self.legal_basis.iter().map(|basis| &basis.number));
        for basis in &self.legal_basis {
            flaws.text("legal_basis", &basis.number);
        }
    }

    fn check_conditions(&self, flaws: &mut Flaws) {
        flaws.each_once("conditions", self.conditions.iter().map(|condition| &condition.code));
        for condition in &self.conditions {
            let path = format!("conditions.{}", condition.code);
            flaws.slug(&path, &condition.code);
            flaws.text(&path, &condition.text);
            let one_way = condition.channel.is_none() || condition.choice.is_none();
            flaws.unless(one_way, &path, "follows from the channel or is a choice, not both");
        }
        for (choice, one_of) in self.choices() {
            flaws.slug("conditions", choice);
            flaws.unless(
                one_of.len() > 1,
                &format!("conditions.{choice}"),
                "a choice has at least two conditions",
            );
        }
    }

    fn check_channels(&self, flaws: &mut Flaws) {
        flaws.unless(
            !self.channels.is_empty() || self.leaves_open("channels"),
            "channels",
            "at least one",
        );
        flaws.each_once("channels", self.channels.iter().map(|offer| offer.channel));
        for (path, time) in self.times() {
            flaws.time(&path, time);
        }
        for offer in &self.channels {
            let path = format!("channels.{}", offer.channel.as_str());
            flaws.each_once(&path, offer.special_times.iter().map(|special| &special.when));
            flaws.each_once(&path, offer.fees.iter().map(|fee| &fee.code));
            for special in &offer.special_times {
                self.check_condition(&path, Some(&special.when), flaws);
            }
            for fee in &offer.fees {
                let path = fee_path(offer.channel, &fee.code);
                flaws.slug(&path, &fee.code);
                flaws.text(&path, &fee.name);
                self.check_condition(&path, fee.when.as_ref(), flaws);
                let complete = fee.kind.is_some() && fee.amount_vnd.is_some();
                let settled = fee.fact.is_settled(Profile::Demo);
                flaws.unless(complete || !settled, &path, "a settled fee has a kind and an amount");
                flaws.unless(
                    fee.amount_vnd.is_none_or(|amount| amount >= 0),
                    &path,
                    "a negative amount",
                );
            }
        }
    }

    fn check_components(&self, flaws: &mut Flaws) {
        flaws.unless(
            !self.components.is_empty() || self.leaves_open("components"),
            "components",
            "at least one",
        );
        flaws.each_once("components", self.components.iter().map(|component| &component.code));
        for component in &self.components {
            let path = component_path(&component.code);
            flaws.slug(&path, &component.code);
            flaws.text(&path, &component.name);
            flaws.unless(
                component.originals + component.copies > 0,
                &path,
                "neither an original nor a copy",
            );
            flaws.unless(
                !component.required || component.when.is_none(),
                &path,
                "required always, or when: not both",
            );
            self.check_condition(&path, component.when.as_ref(), flaws);
            self.check_condition(&path, component.unless.as_ref(), flaws);
            if let Some(group) = &component.alternative_group {
                flaws.slug(&path, group);
                let members = self.group(group);
                flaws.unless(members.len() > 1, &path, "no alternative in its group");
                let alike = members.iter().all(|other| {
                    (other.required, &other.when, &other.unless)
                        == (component.required, &component.when, &component.unless)
                });
                flaws.unless(alike, &path, "the members of a group are required in the same cases");
            }
        }
    }

    fn check_steps_and_results(&self, flaws: &mut Flaws) {
        flaws.unless(!self.steps.is_empty(), "steps", "at least one");
        flaws.each_once("steps", self.steps.iter().map(|step| &step.code));
        for step in &self.steps {
            let path = format!("steps.{}", step.code);
            flaws.slug(&path, &step.code);
            flaws.text(&path, &step.name);
            flaws.slug(&path, &step.role);
            flaws.unless(
                step.time.is_some() || step.time_fact.is_none(),
                &path,
                "a fact about a time that is not there",
            );
        }
        flaws.unless(
            !self.results.is_empty() || self.leaves_open("results"),
            "results",
            "at least one",
        );
        flaws.each_once("results", self.results.iter().map(|result| &result.code));
        for result in &self.results {
            let path = result_path(&result.code);
            flaws.unless(
                is_result_code(&result.code),
                &path,
                "a result code looks like KQ.G15.000031",
            );
            flaws.text(&path, &result.name);
        }
    }

    fn check_rows_and_forms(&self, flaws: &mut Flaws) {
        for (list, codes) in [
            (
                "eligibility",
                self.eligibility.iter().map(|row| &row.code).collect::<Vec<_>>(),
            ),
            ("fee_rows", self.fee_rows.iter().map(|row| &row.code).collect()),
            ("forms", self.forms.iter().map(|form| &form.code).collect()),
        ] {
            for code in codes {
                flaws.slug(&format!("{list}.{code}"), code);
            }
        }
    }

    fn check_condition(&self, path: &str, code: Option<&String>, flaws: &mut Flaws) {
        let known = code.is_none_or(|code| self.conditions.iter().any(|condition| condition.code == *code));
        flaws.unless(known, path, "names a condition that the pack does not define");
    }
}

pub(super) const HEADER: &str = "header";
pub(super) const EFFECTIVE_FROM: &str = "effective_from";

pub(super) fn time_path(channel: Channel, when: Option<&str>) -> String {
    let suffix = when.map(|when| format!(".{when}")).unwrap_or_default();
    format!("channels.{}.time{suffix}", channel.as_str())
}

pub(super) fn fee_path(channel: Channel, code: &str) -> String {
    format!("channels.{}.fees.{code}", channel.as_str())
}

pub(super) fn component_path(code: &str) -> String {
    format!("components.{code}")
}

pub(super) fn result_path(code: &str) -> String {
    format!("results.{code}")
}

pub(super) fn step_time_path(code: &str) -> String {
    format!("steps.{code}.time")
}

/// `KQ.`, an agency code of level 1, six digits.
pub(super) fn is_result_code(code: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    match code.split('.').collect::<Vec<_>>().as_slice() {
        ["KQ", agency, number] => {
            agency.len() == 3
                && agency.starts_with(|letter: char| letter.is_ascii_uppercase())
                && agency.get(1..).is_some_and(digits)
                && number.len() == 6
                && digits(number)
        }
        _ => false,
    }
}

/// The longest code of our own that the contract carries.
const LONGEST_CODE: usize = 80;

/// Collects what is wrong, so that an author mends a pack once and not ten times.
#[derive(Default)]
struct Flaws {
    found: Vec<Flaw>,
}

impl Flaws {
    /// A time that can be counted, or one that is open.
    fn time(&mut self, path: &str, time: &Time) {
        let settled = time.fact.is_settled(Profile::Demo);
        self.unless(
            time.period().is_some() || !settled,
            path,
            "a settled time has a value and a unit",
        );
        self.unless(time.value != Some(0), path, "a time of nothing");
        let no_value = time.unit != Some(TimeUnit::SameDay) || time.value.is_none();
        self.unless(no_value, path, "the same day has no value");
        let same_day = matches!(time.unit, None | Some(TimeUnit::SameDay)) || time.cut_off.is_none();
        self.unless(same_day, path, "a cut-off belongs to the same day only");
    }

    fn unless(&mut self, fine: bool, path: &str, text: &str) {
        if !fine {
            self.found.push(Flaw {
                path: path.to_owned(),
                text: text.to_owned(),
            });
        }
    }

    fn text(&mut self, path: &str, text: &str) {
        self.unless(!text.trim().is_empty(), path, "empty");
    }

    fn slug(&mut self, path: &str, code: &str) {
        let fits = code.starts_with(|first: char| first.is_ascii_lowercase())
            && code
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
            && code.len() <= LONGEST_CODE;
        self.unless(fits, path, "a code of small letters, digits and _");
    }

    fn each_once<T: Ord>(&mut self, path: &str, items: impl Iterator<Item = T>) {
        let mut seen = BTreeSet::new();
        let mut repeated = false;
        for item in items {
            repeated |= !seen.insert(item);
        }
        self.unless(!repeated, path, "something is there twice");
    }
}
