//! Khai sinh: what the register of births says, and what must fit together in it.
//!
//! The fields are those of the national digitisation schema. What the law leaves to the officer, and what the data cannot tell, is a question: it is
//! answered by a decision that stands with the entry.

use egov_calendar::{CalendarError, WorkCalendar};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::RegistrationKind;
use super::finding::{Findings, Violation};
use super::person::{Born, Country, IdentityPaper, Person, PersonName, ResidenceKind};
use super::rules::notice::{self, AbandonedNotice};
use super::rules::term::{self, Timeliness};
use super::rules::{Rules, number};

/// Loại khai sinh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BirthKind {
    /// Có đủ cha và mẹ.
    BothParents,
    /// Chưa xác định được mẹ.
    MotherUnknown,
    /// Chưa xác định được cha.
    FatherUnknown,
    /// Chưa xác định được cả cha và mẹ.
    ParentsUnknown,
    /// Trẻ bị bỏ rơi.
    Abandoned,
}

impl BirthKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::BothParents,
        Self::MotherUnknown,
        Self::FatherUnknown,
        Self::ParentsUnknown,
        Self::Abandoned,
    ];

    /// Its code in the contract, which is that of the national digitisation schema.
    pub const fn code(self) -> i16 {
        match self {
            Self::BothParents => 1,
            Self::MotherUnknown => 2,
            Self::FatherUnknown => 3,
            Self::ParentsUnknown => 4,
            Self::Abandoned => 5,
        }
    }

    /// The kind that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether the mother is known.
    pub const fn has_mother(self) -> bool {
        matches!(self, Self::BothParents | Self::FatherUnknown)
    }

    /// Whether the father is known.
    pub const fn has_father(self) -> bool {
        matches!(self, Self::BothParents | Self::MotherUnknown)
    }
}

/// Người được khai sinh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// The person; nil until it is known which.
    pub person_id: Uuid,
    /// What is known of the child.
    pub person: Person,
    /// Nơi sinh.
    pub place_of_birth: String,
    /// Mã đơn vị hành chính of the place of birth; empty if it is not known, or abroad.
    pub place_of_birth_code: String,
    /// Quê quán.
    pub home_town: String,
}

/// Mẹ, or cha.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The person; nil until it is known which.
    pub person_id: Uuid,
    /// What is known of the parent.
    pub person: Person,
    /// Loại cư trú.
    pub residence_kind: Option<ResidenceKind>,
    /// Nơi cư trú.
    pub residence: String,
    /// Giấy tờ tuỳ thân.
    pub paper: Option<IdentityPaper>,
}

/// Người yêu cầu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// Họ, chữ đệm, tên.
    pub full_name: PersonName,
    /// Quan hệ với người được khai sinh.
    pub relationship: String,
    /// Giấy tờ tuỳ thân.
    pub paper: Option<IdentityPaper>,
}

/// What was registered abroad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignRegistration {
    /// Số.
    pub number: String,
    /// Ngày.
    pub date: Date,
    /// Cơ quan.
    pub authority: String,
    /// Quốc gia.
    pub country: Country,
}

/// The minutes and the notice of an abandoned child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandonment {
    /// Số biên bản.
    pub minutes_number: String,
    /// Ngày lập biên bản.
    pub minutes_date: Date,
    /// Niêm yết từ ngày.
    pub notice_from: Date,
    /// Niêm yết đến hết ngày.
    pub notice_to: Date,
}

/// Nội dung khai sinh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// Loại khai sinh.
    pub kind: BirthKind,
    /// Người được khai sinh.
    pub child: Child,
    /// Mẹ.
    pub mother: Option<Parent>,
    /// Cha.
    pub father: Option<Parent>,
    /// Người yêu cầu; none if an old book names nobody.
    pub requester: Option<Requester>,
    /// Đã đăng ký ở nước ngoài.
    pub foreign_registration: Option<ForeignRegistration>,
    /// Trẻ bị bỏ rơi.
    pub abandonment: Option<Abandonment>,
}

/// What is found about a birth, and what follows if nothing stands in the way.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Violations and questions.
    pub findings: Findings,
    /// Đúng hạn, quá hạn, or from abroad. Where it depends on a day that is not known it is not called late: the officer is asked.
    pub registration_kind: RegistrationKind,
}

/// What is found wrong, one after the other.
#[derive(Default)]
struct Flaws(Vec<Violation>);

impl Flaws {
    fn add(&mut self, code: &'static str, field: &str, vi: &str, en: &str) {
        self.0.push(Violation::of_shape(code, field, vi, en));
    }

    fn unless(&mut self, holds: bool, code: &'static str, field: &str, (vi, en): (&str, &str)) {
        if !holds {
            self.add(code, field, vi, en);
        }
    }
}

impl Birth {
    /// Có yếu tố nước ngoài: child or a parent of another nationality, or registered abroad.
    pub fn is_foreign(&self) -> bool {
        let parents = [&self.mother, &self.father].into_iter().flatten();
        let mut persons = std::iter::once(&self.child.person).chain(parents.map(|parent| &parent.person));
        self.foreign_registration.is_some() || persons.any(Person::is_foreign)
    }

    /// The first day on which the child may have been born.
    fn first_day(&self) -> Option<Date> {
        self.child.person.born.map(Born::earliest)
    }

    /// The last one.
    fn last_day(&self) -> Option<Date> {
        self.child.person.born.map(Born::latest)
    }

    /// Since when it is true what is told of the child and of its parents: from the birth on.
    pub fn valid_from(&self, registration: Date) -> Date {
        self.first_day().unwrap_or(registration)
    }

    /// Judges it by the rules of the day of the registration, as it is written today.
    ///
    /// # Errors
    /// [`CalendarError`]: whether it is late depends on days off that the calendar does not know.
    pub fn judge(
        &self,
        rules: &Rules,
        calendar: &WorkCalendar,
        registration: Date,
        today: Date,
    ) -> Result<Judged, CalendarError> {
        let mut flaws = Flaws::default();
        flaws.unless(
            registration <= today,
            "registration_date",
            "registration_date",
            ("không được sau hôm nay", "must not be after today"),
        );
        match self.first_day() {
            None => flaws.add(
                "birth_date",
                "birth.child.date_of_birth",
                "bắt buộc phải có",
                "is required",
            ),
            Some(born) => flaws.unless(
                born <= registration,
                "birth_date",
                "birth.child.date_of_birth",
                (
                    "không được sau ngày đăng ký",
                    "must not be after the day of the registration",
                ),
            ),
        }
        self.judge_parents(&mut flaws);
        self.judge_papers(registration, &mut flaws);
        self.judge_numbers(&mut flaws);
        self.judge_abroad(registration, &mut flaws);
        self.judge_abandonment(rules, registration, &mut flaws);
        let mut findings = Findings {
            violations: flaws.0,
            questions: Vec::new(),
        };
        self.ask_about_numbers(rules, &mut findings);
        let registration_kind = self.registration_kind(rules, calendar, registration, &mut findings)?;
        Ok(Judged {
            findings,
            registration_kind,
        })
    }

    /// Who is known is named, and who is named is known; parents were born before the child.
    fn judge_parents(&self, flaws: &mut Flaws) {
        let sides = [
            ("birth.mother", &self.mother, self.kind.has_mother()),
            ("birth.father", &self.father, self.kind.has_father()),
        ];
        for (field, parent, known) in sides {
            match (parent, known) {
                (None, true) => flaws.add(
                    "birth_kind",
                    field,
                    "phải có theo loại khai sinh này",
                    "is named in a birth of this kind",
                ),
                (Some(_), false) => flaws.add(
                    "birth_kind",
                    field,
                    "không ghi theo loại khai sinh này",
                    "is not named in a birth of this kind",
                ),
                _ => {}
            }
            let born = parent.as_ref().and_then(|parent| parent.person.born);
            let (Some(born), Some(child)) = (born, self.last_day()) else {
                continue;
            };
            flaws.unless(
                born.earliest() < child,
                "parent_younger",
                &format!("{field}.date_of_birth"),
                ("phải trước ngày sinh của con", "must be before the birth of the child"),
            );
        }
    }

    fn judge_papers(&self, registration: Date, flaws: &mut Flaws) {
        let of = |parent: Option<&Parent>| parent.and_then(|parent| parent.paper.clone());
        let papers = [
            ("birth.mother.paper", of(self.mother.as_ref())),
            ("birth.father.paper", of(self.father.as_ref())),
            (
                "birth.requester.paper",
                self.requester.as_ref().and_then(|requester| requester.paper.clone()),
            ),
        ];
        for (field, paper) in papers {
            if let Some(paper) = paper {
                flaws.0.extend(paper.violations(field, registration));
            }
        }
    }

    /// The numbers of child, mother and father are of three persons.
    fn judge_numbers(&self, flaws: &mut Flaws) {
        let number = |parent: Option<&Parent>| parent.and_then(|one| one.person.personal_number.clone());
        let (child, mother, father) = (
            self.child.person.personal_number.clone(),
            number(self.mother.as_ref()),
            number(self.father.as_ref()),
        );
        flaws.unless(
            mother.is_none() || mother != child,
            "same_person",
            "birth.mother.personal_number",
            ("trùng với số định danh của con", "is the number of the child"),
        );
        flaws.unless(
            father.is_none() || (father != child && father != mother),
            "same_person",
            "birth.father.personal_number",
            (
                "trùng với số định danh của con hoặc của mẹ",
                "is the number of the child or of the mother",
            ),
        );
    }

    fn judge_abroad(&self, registration: Date, flaws: &mut Flaws) {
        let Some(abroad) = &self.foreign_registration else {
            return;
        };
        flaws.unless(
            abroad.date <= registration && self.first_day().is_none_or(|born| born <= abroad.date),
            "foreign_registration_date",
            "birth.foreign_registration.date",
            (
                "phải từ ngày sinh đến ngày đăng ký",
                "must lie between the birth and the registration",
            ),
        );
        flaws.unless(
            abroad.country != Country::VIET_NAM,
            "foreign_registration_country",
            "birth.foreign_registration.country",
            ("phải là nước ngoài", "must be another country"),
        );
    }

    /// Trẻ bị bỏ rơi: minutes, then notice, then registration.
    fn judge_abandonment(&self, rules: &Rules, registration: Date, flaws: &mut Flaws) {
        let field = "birth.abandonment";
        match (&self.abandonment, self.kind == BirthKind::Abandoned) {
            (None, true) => flaws.add(
                "abandonment",
                field,
                "trẻ bị bỏ rơi phải có biên bản và niêm yết",
                "an abandoned child has minutes and a notice",
            ),
            (Some(_), false) => flaws.add(
                "abandonment",
                field,
                "chỉ dành cho trẻ bị bỏ rơi",
                "belongs to an abandoned child only",
            ),
            (None, false) => {}
            (Some(said), true) => {
                flaws.unless(
                    self.first_day().is_none_or(|born| born <= said.minutes_date),
                    "minutes_date",
                    "birth.abandonment.minutes_date",
                    ("không được trước ngày sinh", "must not be before the birth"),
                );
                let hung = AbandonedNotice {
                    minutes: said.minutes_date,
                    from: said.notice_from,
                    to: said.notice_to,
                };
                // The rule names the fields of the notice alone.
                let found = notice::judge(rules, &hung, registration).violations;
                flaws.0.extend(found.into_iter().map(|one| Violation {
                    field: format!("birth.{}", one.field),
                    ..one
                }));
            }
        }
    }

    /// Where what a personal number tells by its structure differs from what was said.
    fn ask_about_numbers(&self, rules: &Rules, findings: &mut Findings) {
        let persons = [
            (Some(&self.child.person), "birth.child.personal_number"),
            (
                self.mother.as_ref().map(|one| &one.person),
                "birth.mother.personal_number",
            ),
            (
                self.father.as_ref().map(|one| &one.person),
                "birth.father.personal_number",
            ),
        ];
        for (person, field) in persons {
            let Some(person) = person else { continue };
            if let Some(digits) = &person.personal_number {
                findings.join(number::judge(rules, digits, person.sex, person.born, field));
            }
        }
    }

    /// In the term, or late; nothing is worked out of what does not fit together.
    fn registration_kind(
        &self,
        rules: &Rules,
        calendar: &WorkCalendar,
        registration: Date,
        findings: &mut Findings,
    ) -> Result<RegistrationKind, CalendarError> {
        if self.foreign_registration.is_some() {
            return Ok(RegistrationKind::FromAbroad);
        }
        let (Some(born), true) = (self.child.person.born, findings.violations.is_empty()) else {
            return Ok(RegistrationKind::OnTime);
        };
        let timeliness = term::timeliness(&rules.birth_term, born, registration, calendar)?;
        findings.join(term::judge(&rules.birth_term, timeliness, "birth.child.date_of_birth"));
        Ok(match timeliness {
            Timeliness::Late => RegistrationKind::Late,
            Timeliness::OnTime | Timeliness::Unknown => RegistrationKind::OnTime,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::person::{Claimed, EthnicGroups, IdentityPaperKind, Sex};
    use crate::domain::rules::pack::tests::{calendar, rules};

    const TODAY: Date = date(2026, 11, 23);

    fn judged(birth: &Birth, registration: Date, today: Date) -> Judged {
        birth.judge(&rules(), &calendar(), registration, today).unwrap()
    }

    fn groups() -> EthnicGroups {
        EthnicGroups::from_text(include_str!("../../../../deploy/packs/ethnic_groups.csv")).unwrap()
    }

    fn person(number: &str, sex: Sex, born: (i32, i32, i32)) -> Person {
        let claimed = Claimed {
            full_name: "Trần Văn A",
            sex: sex.code(),
            born: Some(born),
            ethnic_group: "01",
            nationality: "VN",
            other_nationality: "",
            personal_number: number,
        };
        Person::read("child", &claimed, &groups(), date(2030, 1, 1)).unwrap()
    }

    fn parent(number: &str, sex: Sex, year: i32) -> Parent {
        Parent {
            person_id: Uuid::nil(),
            person: person(number, sex, (year, 0, 0)),
            residence_kind: Some(ResidenceKind::Permanent),
            residence: String::new(),
            paper: None,
        }
    }

    fn mother() -> Parent {
        parent("040195000111", Sex::Female, 1995)
    }

    fn birth(kind: BirthKind, born: Date) -> Birth {
        let born = (born.year().into(), born.month().into(), born.day().into());
        Birth {
            kind,
            child: Child {
                person_id: Uuid::nil(),
                person: person("", Sex::Female, born),
                place_of_birth: "Bệnh viện".to_owned(),
                place_of_birth_code: String::new(),
                home_town: String::new(),
            },
            mother: kind.has_mother().then(mother),
            father: kind.has_father().then(|| parent("040093000222", Sex::Male, 1993)),
            requester: Some(Requester {
                full_name: PersonName::read("Trần Văn A").unwrap(),
                relationship: "cha".to_owned(),
                paper: None,
            }),
            foreign_registration: None,
            abandonment: (kind == BirthKind::Abandoned).then(|| Abandonment {
                minutes_number: "01/BB".to_owned(),
                minutes_date: date(2026, 11, 12),
                notice_from: date(2026, 11, 13),
                notice_to: date(2026, 11, 19),
            }),
        }
    }

    fn fields(birth: &Birth) -> Vec<String> {
        let found = judged(birth, TODAY, TODAY).findings;
        found.violations.into_iter().map(|one| one.field).collect()
    }

    #[test]
    fn each_kind_names_who_is_known_and_nobody_else() {
        for kind in BirthKind::ALL {
            assert_eq!(BirthKind::of_code(kind.code()), Some(kind));
            let whole = birth(kind, date(2026, 11, 10));
            assert!(
                judged(&whole, TODAY, TODAY).findings.is_clear(),
                "{kind:?}: {:?}",
                fields(&whole)
            );
            let mut other = whole.clone();
            other.mother = match other.mother {
                Some(_) => None,
                None => Some(mother()),
            };
            assert_eq!(fields(&other), ["birth.mother"], "{kind:?}");
            let mut other = whole;
            other.abandonment = match other.abandonment {
                Some(_) => None,
                None => birth(BirthKind::Abandoned, date(2026, 11, 10)).abandonment,
            };
            assert_eq!(fields(&other), ["birth.abandonment"], "{kind:?}");
        }
    }

    #[test]
    fn what_stands_before_an_abandoned_child_is_named_by_its_field() {
        let mut child = birth(BirthKind::Abandoned, date(2026, 11, 13));
        assert_eq!(
            fields(&child),
            ["birth.abandonment.minutes_date"],
            "minutes before the birth"
        );
        child = birth(BirthKind::Abandoned, date(2026, 11, 10));
        child.abandonment.as_mut().unwrap().notice_to = date(2026, 11, 18);
        assert_eq!(fields(&child), ["birth.abandonment.notice_to"], "six days");
    }

    #[test]
    fn every_flaw_is_named_at_once() {
        let mut wrong = birth(BirthKind::BothParents, date(2026, 11, 24));
        wrong.father = wrong.mother.clone();
        wrong.requester.as_mut().unwrap().paper = Some(IdentityPaper {
            kind: IdentityPaperKind::Other,
            other_name: String::new(),
            number: "1".to_owned(),
            issue_date: Some(date(2026, 11, 24)),
            issue_place: String::new(),
        });
        wrong.foreign_registration = Some(ForeignRegistration {
            number: "1".to_owned(),
            date: date(2026, 11, 20),
            authority: "A".to_owned(),
            country: Country::VIET_NAM,
        });
        assert_eq!(
            fields(&wrong),
            [
                "birth.child.date_of_birth",
                "birth.requester.paper.other_name",
                "birth.requester.paper.issue_date",
                "birth.father.personal_number",
                "birth.foreign_registration.date",
                "birth.foreign_registration.country",
            ]
        );
    }

    #[test]
    fn what_a_number_tells_otherwise_is_asked() {
        let mut told = birth(BirthKind::BothParents, date(2026, 11, 10));
        // A boy of 2025 by its number.
        told.child.person.personal_number = Some("040225000333".parse().unwrap());
        let found = judged(&told, TODAY, TODAY).findings;
        let asked: Vec<&str> = found.questions.iter().map(|one| one.code).collect();
        assert_eq!(asked, ["personal_number_sex", "personal_number_year"]);
        assert!(found.violations.is_empty());
        assert!(
            found
                .questions
                .iter()
                .all(|one| one.field == "birth.child.personal_number")
        );
    }

    #[test]
    fn late_is_marked_and_where_it_cannot_be_told_it_is_asked() {
        let kind = |born: Date| judged(&birth(BirthKind::BothParents, born), TODAY, TODAY).registration_kind;
        // 60 days are over on Saturday the 21st, which moves to Monday the 23rd.
        assert_eq!(kind(date(2026, 9, 22)), RegistrationKind::OnTime);
        assert_eq!(kind(date(2026, 9, 21)), RegistrationKind::Late);
        let mut month = birth(BirthKind::BothParents, date(2026, 9, 1));
        month.child.person.born = Some(Born::in_month(2026, 9).unwrap());
        let found = judged(&month, TODAY, TODAY);
        assert_eq!(found.registration_kind, RegistrationKind::OnTime);
        let asked: Vec<&str> = found.findings.questions.iter().map(|one| one.code).collect();
        assert_eq!(asked, ["term_unknown"]);
        assert_eq!(month.valid_from(TODAY), date(2026, 9, 1));
    }
}
