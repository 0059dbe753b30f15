//! Gói quy tắc đăng ký hộ tịch (`deploy/packs/civil-registry`): the numbers of the rules, dated.

use egov_calendar::{Name, Origin, Period, Status};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::families::FamilyRules;

/// Why a pack of rules is refused.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The text is not TOML of this shape.
    #[error("the rules of registering cannot be read: {0}")]
    Malformed(#[from] toml::de::Error),
    /// Everything that is wrong with it.
    #[error("{}", .0.join("; "))]
    Flawed(Vec<String>),
}

/// On which day of a common year who was born on 29 February is a year older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeapDayBirthday {
    /// On 28 February.
    #[serde(rename = "february_28")]
    February28,
    /// On 1 March.
    #[serde(rename = "march_1")]
    March1,
}

/// Tuổi kết hôn.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarriageAge {
    /// Of a man, in whole years.
    pub male: i16,
    /// Of a woman, in whole years.
    pub female: i16,
    /// The birthday of 29 February.
    pub leap_day_birthday: LeapDayBirthday,
    /// What it rests on.
    pub origin: Origin,
}

/// A rule without a number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    /// What it rests on.
    pub origin: Origin,
}

/// Phạm vi … đời.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generations {
    /// How many; the common ancestor is the first.
    pub generations: u32,
    /// What it rests on.
    pub origin: Origin,
}

/// Thời hạn.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// How long.
    pub period: Period,
    /// What it rests on.
    pub origin: Origin,
}

/// Niêm yết.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeRule {
    /// Consecutive days, the first counted.
    pub days: i32,
    /// What it rests on.
    pub origin: Origin,
}

/// Giá trị of a paper.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperValidity {
    /// How many months from the issue.
    pub months: i32,
    /// What it rests on.
    pub origin: Origin,
}

/// Cấp of a registering authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Cấp xã.
    Commune,
    /// Cấp huyện, until 30/06/2025.
    District,
    /// Cấp tỉnh.
    Province,
}

impl Level {
    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::Commune => "cấp xã",
            Self::District => "cấp huyện",
            Self::Province => "cấp tỉnh",
        }
    }

    /// In English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Commune => "commune",
            Self::District => "district",
            Self::Province => "province",
        }
    }
}

/// Thẩm quyền.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecidingRule {
    /// Who registers.
    pub level: Level,
    /// Who registers with a foreign element.
    pub foreign_level: Level,
    /// Titles that sign without an authorisation.
    pub titles: Vec<String>,
    /// What it rests on.
    pub origin: Origin,
}

/// Tên giấy tờ.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperNames {
    /// The paper of a death.
    pub death: Name,
    /// What it rests on.
    pub origin: Origin,
}

/// Bản chính.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateNames {
    /// The certificate of a birth.
    pub birth: Name,
    /// The certificate of a marriage.
    pub marriage: Name,
    /// What it rests on.
    pub origin: Origin,
}

/// Trích lục.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractNames {
    /// The extract of a birth.
    pub birth: Name,
    /// The extract of a marriage.
    pub marriage: Name,
    /// The extract of a change or correction.
    pub change: Name,
    /// The extract of a guardianship.
    pub guardianship: Name,
    /// The extract of a recognition.
    pub recognition: Name,
    /// The extract of an adoption.
    pub adoption: Name,
    /// What it rests on.
    pub origin: Origin,
}

/// Cách trình bày of papers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperLayout {
    /// What stands on a copy.
    pub copy: Name,
    /// What each paper says of its layout; empty once it was compared with the official forms.
    pub note: String,
    /// What it rests on.
    pub origin: Origin,
}

/// Chủ động đăng ký.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proactive {
    /// Whether a birth may be registered without a request.
    pub birth: bool,
    /// Whether a death may.
    pub death: bool,
    /// What it rests on.
    pub origin: Origin,
}

/// The rules of one period of law.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Its name.
    pub name: String,
    /// In force from this day.
    pub effective_from: Date,
    /// In force until this day (exclusive).
    #[serde(default)]
    pub effective_to: Option<Date>,
    /// Tuổi kết hôn.
    pub marriage_age: MarriageAge,
    /// Một vợ một chồng.
    pub bigamy: Plain,
    /// Có họ trong phạm vi ba đời.
    pub consanguinity: Generations,
    /// Cha mẹ nuôi, cha mẹ chồng, vợ, cha dượng, mẹ kế.
    pub affinity: Plain,
    /// Thời hạn đăng ký khai sinh.
    pub birth_term: Term,
    /// Thời hạn đăng ký khai tử.
    pub death_term: Term,
    /// Niêm yết về trẻ bị bỏ rơi.
    pub abandoned_notice: NoticeRule,
    /// Giấy xác nhận tình trạng hôn nhân.
    pub marital_status_paper: PaperValidity,
    /// Xác minh giữa các xã.
    pub inter_commune_check: Term,
    /// Bản điện tử gửi người yêu cầu.
    pub draft: Term,
    /// Số định danh cá nhân.
    pub personal_number: Plain,
    /// Thẩm quyền.
    pub deciding: DecidingRule,
    /// Tên giấy tờ.
    pub papers: PaperNames,
    /// Tên bản chính.
    pub certificates: CertificateNames,
    /// Tên trích lục.
    pub extracts: ExtractNames,
    /// Cách trình bày giấy tờ.
    pub paper_layout: PaperLayout,
    /// Chủ động đăng ký.
    pub proactive: Proactive,
    /// Nhận cha, mẹ, con; giám hộ; nuôi con nuôi.
    pub families: FamilyRules,
}

impl Rules {
    /// Reads a pack; every flaw is named at once.
    ///
    /// # Errors
    /// Text of another shape, or flaws.
    pub fn from_toml(text: &str) -> Result<Self, RulesError> {
        let rules: Self = toml::from_str(text)?;
        let flaws = rules.flaws();
        if flaws.is_empty() {
            Ok(rules)
        } else {
            Err(RulesError::Flawed(flaws))
        }
    }

    fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        let mut demand = |holds: bool, flaw: &str| {
            if !holds {
                flaws.push(flaw.to_owned());
            }
        };
        demand(!self.name.trim().is_empty(), "name: empty");
        demand(
            self.effective_to.is_none_or(|end| end > self.effective_from),
            "effective_to: not after effective_from",
        );
        for age in [self.marriage_age.male, self.marriage_age.female] {
            demand((1..=100).contains(&age), "marriage_age: 1 to 100 years");
        }
        demand(
            (1..=10).contains(&self.consanguinity.generations),
            "consanguinity.generations: 1 to 10",
        );
        for term in [&self.birth_term, &self.death_term] {
            demand(
                matches!(term.period, Period::Days(1..=366)),
                "birth_term, death_term: 1 to 366 days",
            );
        }
        demand(
            (1..=366).contains(&self.abandoned_notice.days),
            "abandoned_notice.days: 1 to 366",
        );
        demand(
            (1..=120).contains(&self.marital_status_paper.months),
            "marital_status_paper.months: 1 to 120",
        );
        for term in [&self.inter_commune_check, &self.draft] {
            demand(
                (1..=60).contains(&value(term.period)),
                "inter_commune_check, draft: a period of 1 to 60",
            );
        }
        demand(
            self.deciding.titles.iter().any(|title| !title.trim().is_empty()),
            "deciding.titles: empty",
        );
        let names = [
            &self.papers.death,
            &self.certificates.birth,
            &self.certificates.marriage,
            &self.extracts.birth,
            &self.extracts.marriage,
            &self.extracts.change,
            &self.extracts.guardianship,
            &self.extracts.recognition,
            &self.extracts.adoption,
            &self.paper_layout.copy,
        ];
        demand(
            names
                .iter()
                .all(|name| !name.vi.trim().is_empty() && !name.en.trim().is_empty()),
            "papers, certificates, extracts, paper_layout: a name is empty",
        );
        let layout = &self.paper_layout;
        demand(
            !layout.note.trim().is_empty() || matches!(layout.origin.status, Status::Confirmed | Status::Decided),
            "paper_layout.note: a layout that nobody has compared says so",
        );
        for flaw in self.families.flaws() {
            demand(false, &flaw);
        }
        for (path, origin) in self.origins() {
            let signed = origin.decided_by.is_some() && origin.decided_on.is_some();
            let unsigned = origin.decided_by.is_none() && origin.decided_on.is_none();
            demand(
                if origin.status == Status::Decided {
                    signed
                } else {
                    unsigned
                },
                &format!("{path}.origin: decided_by and decided_on belong to what is decided, both"),
            );
            demand(
                !origin.legal_basis.trim().is_empty() && !origin.source.trim().is_empty(),
                &format!("{path}.origin: legal basis and source"),
            );
            demand(
                origin.status != Status::Computed,
                &format!("{path}.origin: no rule of law is computed"),
            );
        }
        flaws
    }

    /// What each table rests on.
    pub fn origins(&self) -> Vec<(&'static str, &Origin)> {
        let own = [
            ("marriage_age", &self.marriage_age.origin),
            ("bigamy", &self.bigamy.origin),
            ("consanguinity", &self.consanguinity.origin),
            ("affinity", &self.affinity.origin),
            ("birth_term", &self.birth_term.origin),
            ("death_term", &self.death_term.origin),
            ("abandoned_notice", &self.abandoned_notice.origin),
            ("marital_status_paper", &self.marital_status_paper.origin),
            ("inter_commune_check", &self.inter_commune_check.origin),
            ("draft", &self.draft.origin),
            ("personal_number", &self.personal_number.origin),
            ("deciding", &self.deciding.origin),
            ("papers", &self.papers.origin),
            ("certificates", &self.certificates.origin),
            ("extracts", &self.extracts.origin),
            ("paper_layout", &self.paper_layout.origin),
            ("proactive", &self.proactive.origin),
        ];
        own.into_iter().chain(self.families.origins()).collect()
    }

    /// The tables on which nothing may rest in production until somebody decides.
    pub fn open(&self) -> Vec<&'static str> {
        self.origins()
            .into_iter()
            .filter(|(_, origin)| !matches!(origin.status, Status::Confirmed | Status::Decided))
            .map(|(path, _)| path)
            .collect()
    }

    /// True if it is in force on this day.
    pub fn in_force_on(&self, day: Date) -> bool {
        self.effective_from <= day && self.effective_to.is_none_or(|end| day < end)
    }
}

/// The number of a period, in its own unit.
const fn value(period: Period) -> u32 {
    match period {
        Period::WorkingDays(value)
        | Period::Days(value)
        | Period::WorkingHours(value)
        | Period::ElapsedHours(value) => value,
        Period::SameDay => 1,
    }
}

/// The rules of all periods of law.
#[derive(Clone, Debug, Default)]
pub struct RulePacks(Vec<Rules>);

impl RulePacks {
    /// Puts packs together.
    ///
    /// # Errors
    /// Two that are in force on one day.
    pub fn new(mut packs: Vec<Rules>) -> Result<Self, RulesError> {
        packs.sort_by_key(|rules| rules.effective_from);
        let flaws: Vec<String> = packs
            .iter()
            .zip(packs.iter().skip(1))
            .filter(|(earlier, later)| earlier.in_force_on(later.effective_from))
            .map(|(earlier, later)| {
                format!(
                    "{} and {}: both in force on {}",
                    earlier.name, later.name, later.effective_from
                )
            })
            .collect();
        if flaws.is_empty() {
            Ok(Self(packs))
        } else {
            Err(RulesError::Flawed(flaws))
        }
    }

    /// All of them, in their order in time.
    pub fn iter(&self) -> impl Iterator<Item = &Rules> {
        self.0.iter()
    }

    /// The rules of a day; none if no pack tells of it.
    pub fn on(&self, day: Date) -> Option<&Rules> {
        self.0.iter().find(|rules| rules.in_force_on(day))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::sync::LazyLock;

    use egov_calendar::WorkCalendar;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = include_str!("../../../../../deploy/packs/civil-registry/rules-2025.toml");
    const NEXT: &str = include_str!("../../../../../deploy/packs/civil-registry/rules-2027.toml");

    /// The rules of the product that are in force in 2026; read once, since properties ask for them again and again.
    pub(crate) fn rules() -> Rules {
        static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::from_toml(NOW).unwrap());
        RULES.clone()
    }

    /// The calendar of the product.
    pub(crate) fn calendar() -> WorkCalendar {
        static CALENDAR: LazyLock<WorkCalendar> = LazyLock::new(|| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/calendar");
            WorkCalendar::read(&folder).unwrap()
        });
        CALENDAR.clone()
    }

    #[test]
    fn the_packs_of_the_product_follow_one_another_and_say_what_is_open() {
        let packs = RulePacks::new(vec![Rules::from_toml(NEXT).unwrap(), rules()]).unwrap();
        let named = |day| packs.on(day).map(|rules| rules.name.as_str());
        assert_eq!(named(date(2025, 6, 30)), None);
        assert_eq!(named(date(2027, 2, 28)), Some("rules-2025"));
        assert_eq!(named(date(2027, 3, 1)), Some("rules-2027"));
        let rules = rules();
        assert_eq!((rules.marriage_age.male, rules.marriage_age.female), (20, 18));
        assert_eq!(rules.birth_term.period, Period::Days(60));
        assert_eq!(rules.death_term.period, Period::Days(15));
        assert!(rules.open().contains(&"death_term") && !rules.open().contains(&"birth_term"));
        let next = packs.on(date(2027, 3, 1)).unwrap();
        assert_eq!(
            next.open().len(),
            next.origins().len(),
            "nobody has confirmed anything of the new law"
        );
        assert_eq!(
            (rules.papers.death.vi.as_str(), next.papers.death.vi.as_str()),
            ("Trích lục khai tử", "Giấy chứng tử")
        );
        assert!(next.proactive.birth && !rules.proactive.birth);
    }

    #[test]
    fn every_flaw_of_a_pack_is_named() {
        let text = NOW
            .replace("male = 20", "male = 0")
            .replace("generations = 3", "generations = 0")
            .replace("value = 15", "value = 0")
            .replace("effective_to = \"2027-03-01\"", "effective_to = \"2025-07-01\"");
        let Err(RulesError::Flawed(flaws)) = Rules::from_toml(&text) else {
            panic!("it is flawed");
        };
        assert_eq!(flaws.len(), 4, "{flaws:?}");
        let decided = NOW.replace("\"unconfirmed\"", "\"decided\"");
        assert!(matches!(Rules::from_toml(&decided), Err(RulesError::Flawed(_))));
        let twice = RulePacks::new(vec![rules(), rules()]);
        assert!(matches!(twice, Err(RulesError::Flawed(_))));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_of_the_pack_fall_over(text in "\\PC{0,400}", at in 0..6_000_usize) {
            let _ = Rules::from_toml(&text);
            let cut = (0..=at.min(NOW.len())).rev().find(|place| NOW.is_char_boundary(*place)).unwrap_or(0);
            let _ = Rules::from_toml(&format!("{}{text}", &NOW[..cut]));
        }
    }
}
