//! Khai tử: what the register of deaths says, and what must fit together in it.
//!
//! The fields are those of the national digitisation schema. What the law leaves to the officer, and what the data cannot tell, is a question: it is
//! answered by a decision that stands with the entry.

use egov_calendar::{CalendarError, WorkCalendar};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::birth::{ForeignRegistration, Requester};
use super::entry::RegistrationKind;
use super::finding::{Basis, Findings, Question, Violation};
use super::person::{Born, Country, IdentityPaper, Person, ResidenceKind};
use super::rules::term::{self, Timeliness};
use super::rules::{Rules, number};

/// Loại giấy báo tử, or what stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeathNoticeKind {
    /// Không có.
    Missing,
    /// Giấy báo tử.
    Notice,
    /// Thi hành án tử hình.
    Execution,
    /// Bản án, quyết định của toà án.
    Judgment,
    /// Xác nhận của công an, kết quả giám định.
    Police,
    /// Giấy tờ của cơ sở y tế.
    Health,
    /// Biên bản.
    Minutes,
    /// Người làm chứng.
    Witness,
}

impl DeathNoticeKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Missing,
        Self::Notice,
        Self::Execution,
        Self::Judgment,
        Self::Police,
        Self::Health,
        Self::Minutes,
        Self::Witness,
    ];

    /// Its code in the contract, which is that of the national digitisation schema.
    pub const fn code(self) -> i16 {
        match self {
            Self::Missing => 0,
            Self::Notice => 1,
            Self::Execution => 2,
            Self::Judgment => 3,
            Self::Police => 4,
            Self::Health => 5,
            Self::Minutes => 6,
            Self::Witness => 7,
        }
    }

    /// The kind that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Giấy báo tử.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeathNotice {
    /// Loại.
    pub kind: DeathNoticeKind,
    /// Số; empty if it has none.
    pub number: String,
    /// Ngày cấp.
    pub date: Option<Date>,
    /// Nơi cấp; empty if it is not known.
    pub authority: String,
}

/// Người chết.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deceased {
    /// The person; nil until it is known which.
    pub person_id: Uuid,
    /// What is known of the deceased.
    pub person: Person,
    /// Loại cư trú of the last residence.
    pub residence_kind: Option<ResidenceKind>,
    /// Nơi cư trú cuối cùng.
    pub residence: String,
    /// Giấy tờ tuỳ thân.
    pub paper: Option<IdentityPaper>,
}

/// Nội dung khai tử.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Người chết.
    pub deceased: Deceased,
    /// Ngày, tháng, năm chết, as far as it is known: a date in the same parts as that of a birth.
    pub died: Born,
    /// Giờ, phút chết; empty if they are not known.
    pub time: String,
    /// Nơi chết.
    pub place: String,
    /// Nguyên nhân chết; empty if it is not known.
    pub cause: String,
    /// Giấy báo tử.
    pub notice: DeathNotice,
    /// Người yêu cầu; none if an old book names nobody.
    pub requester: Option<Requester>,
    /// Đã đăng ký ở nước ngoài.
    pub foreign_registration: Option<ForeignRegistration>,
    /// Đăng ký lại.
    pub again: bool,
}

/// Shows nothing of it: of what somebody died is sensitive.
impl std::fmt::Debug for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Death")
            .field("person_id", &self.deceased.person_id)
            .finish_non_exhaustive()
    }
}

/// Ngày chết, as everybody who registers has to know it: who is dead does not marry, and dies no second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KnownDeath {
    /// The deceased.
    pub person_id: Uuid,
    /// The day.
    pub day: Date,
}

/// What is found about a death, and what follows if nothing stands in the way.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Violations and questions.
    pub findings: Findings,
    /// Đúng hạn, lại, from abroad, or quá hạn. Where it depends on a day that is not known it is not called late: the officer is asked.
    pub registration_kind: RegistrationKind,
}

/// What is found wrong, one after the other.
#[derive(Default)]
struct Flaws(Vec<Violation>);

impl Flaws {
    fn unless(&mut self, holds: bool, code: &'static str, field: &str, (vi, en): (&str, &str)) {
        if !holds {
            self.0.push(Violation::of_shape(code, field, vi, en));
        }
    }
}

impl Death {
    /// Có yếu tố nước ngoài: the deceased was of another nationality, or it was registered abroad.
    pub fn is_foreign(&self) -> bool {
        self.foreign_registration.is_some() || self.deceased.person.is_foreign()
    }

    /// From which day on the person is known to be dead. Where the day is not known it is the last one that it can have been: before it nobody can
    /// say that the person was dead.
    pub fn day(&self, registration: Date) -> Date {
        self.died.latest().min(registration)
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
        self.judge_day(registration, &mut flaws);
        let of_requester = self.requester.as_ref().and_then(|requester| requester.paper.as_ref());
        let papers = [
            ("death.deceased.paper", self.deceased.paper.as_ref()),
            ("death.requester.paper", of_requester),
        ];
        for (field, paper) in papers {
            if let Some(paper) = paper {
                flaws.0.extend(paper.violations(field, registration));
            }
        }
        self.judge_notice(registration, &mut flaws);
        self.judge_abroad(registration, &mut flaws);
        let mut findings = Findings {
            violations: flaws.0,
            questions: Vec::new(),
        };
        let person = &self.deceased.person;
        if let Some(digits) = &person.personal_number {
            let field = "death.deceased.personal_number";
            findings.join(number::judge(rules, digits, person.sex, person.born, field));
        }
        if self.notice.kind == DeathNoticeKind::Missing && !self.again && self.foreign_registration.is_none() {
            findings.questions.push(Question {
                code: "death_notice_missing",
                field: "death.notice_kind".to_owned(),
                vi: "không có giấy báo tử hoặc giấy tờ thay thế".to_owned(),
                en: "there is no notice of the death and no paper in its place".to_owned(),
                basis: Basis::SHAPE,
            });
        }
        let registration_kind = self.registration_kind(rules, calendar, registration, &mut findings)?;
        Ok(Judged {
            findings,
            registration_kind,
        })
    }

    /// After the birth, and not after the registration.
    fn judge_day(&self, registration: Date, flaws: &mut Flaws) {
        flaws.unless(
            self.died.earliest() <= registration,
            "death_date",
            "death.date_of_death",
            (
                "không được sau ngày đăng ký",
                "must not be after the day of the registration",
            ),
        );
        let born = self.deceased.person.born;
        flaws.unless(
            born.is_none_or(|born| born.earliest() <= self.died.latest()),
            "death_before_birth",
            "death.date_of_death",
            ("không được trước ngày sinh", "must not be before the birth"),
        );
        flaws.unless(
            self.time.is_empty() || self.died.day().is_some(),
            "death_time",
            "death.time_of_death",
            (
                "không ghi giờ khi chưa rõ ngày chết",
                "is not said where the day is not known",
            ),
        );
    }

    /// Between the death and the registration; nothing is said of a notice that there is not.
    fn judge_notice(&self, registration: Date, flaws: &mut Flaws) {
        let notice = &self.notice;
        let says_something = !notice.number.is_empty() || notice.date.is_some() || !notice.authority.is_empty();
        flaws.unless(
            notice.kind != DeathNoticeKind::Missing || !says_something,
            "death_notice",
            "death.notice_kind",
            (
                "có số, ngày hoặc nơi cấp thì phải có loại giấy báo tử",
                "is named where number, day or authority of the notice are",
            ),
        );
        flaws.unless(
            notice
                .date
                .is_none_or(|date| self.died.earliest() <= date && date <= registration),
            "death_notice_date",
            "death.notice_date",
            (
                "phải từ ngày chết đến ngày đăng ký",
                "must lie between the death and the registration",
            ),
        );
    }

    fn judge_abroad(&self, registration: Date, flaws: &mut Flaws) {
        let Some(abroad) = &self.foreign_registration else {
            return;
        };
        flaws.unless(
            self.died.earliest() <= abroad.date && abroad.date <= registration,
            "foreign_registration_date",
            "death.foreign_registration.date",
            (
                "phải từ ngày chết đến ngày đăng ký",
                "must lie between the death and the registration",
            ),
        );
        flaws.unless(
            abroad.country != Country::VIET_NAM,
            "foreign_registration_country",
            "death.foreign_registration.country",
            ("phải là nước ngoài", "must be another country"),
        );
        flaws.unless(
            !self.again,
            "registration_kind",
            "death.again",
            (
                "việc đã đăng ký ở nước ngoài thì ghi vào sổ, không đăng ký lại",
                "what was registered abroad is entered, not registered again",
            ),
        );
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
        if self.again {
            return Ok(RegistrationKind::Again);
        }
        if !findings.violations.is_empty() {
            return Ok(RegistrationKind::OnTime);
        }
        let timeliness = term::timeliness(&rules.death_term, self.died, registration, calendar)?;
        findings.join(term::judge(&rules.death_term, timeliness, "death.date_of_death"));
        Ok(match timeliness {
            Timeliness::Late => RegistrationKind::Late,
            Timeliness::OnTime | Timeliness::Unknown => RegistrationKind::OnTime,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::person::{PersonName, Sex};
    use crate::domain::rules::pack::tests::{calendar, rules};

    const TODAY: Date = date(2026, 11, 23);

    fn death(died: Born) -> Death {
        Death {
            deceased: Deceased {
                person_id: Uuid::nil(),
                person: Person {
                    full_name: PersonName::read("Lê Thị Cụ").unwrap(),
                    sex: Sex::Female,
                    born: Some(Born::in_year(1940).unwrap()),
                    ethnic_group: None,
                    nationality: Some(Country::VIET_NAM),
                    other_nationality: None,
                    personal_number: None,
                },
                residence_kind: Some(ResidenceKind::Permanent),
                residence: String::new(),
                paper: None,
            },
            died,
            time: String::new(),
            place: "Tại nhà".to_owned(),
            cause: String::new(),
            notice: DeathNotice {
                kind: DeathNoticeKind::Notice,
                number: "12".to_owned(),
                date: None,
                authority: String::new(),
            },
            requester: Some(Requester {
                full_name: PersonName::read("Lê Văn Con").unwrap(),
                relationship: "con".to_owned(),
                paper: None,
            }),
            foreign_registration: None,
            again: false,
        }
    }

    fn judged(death: &Death) -> Judged {
        death.judge(&rules(), &calendar(), TODAY, TODAY).unwrap()
    }

    #[test]
    fn a_death_is_late_after_fifteen_days_and_asked_about_where_it_cannot_be_told() {
        for kind in DeathNoticeKind::ALL {
            assert_eq!(DeathNoticeKind::of_code(kind.code()), Some(kind));
        }
        let on = |day| death(Born::on(day).unwrap());
        // Fifteen days are over on Sunday the 22nd, which moves to Monday the 23rd.
        let in_time = judged(&on(date(2026, 11, 7)));
        assert_eq!(in_time.registration_kind, RegistrationKind::OnTime);
        assert!(in_time.findings.is_clear());
        let late = judged(&on(date(2026, 10, 30)));
        assert_eq!(late.registration_kind, RegistrationKind::Late);
        assert!(late.findings.is_clear(), "late is marked, not refused");
        let month = death(Born::in_month(2026, 11).unwrap());
        assert_eq!(month.day(TODAY), TODAY);
        let mut unknown = death(Born::in_month(2026, 10).unwrap());
        assert_eq!(judged(&unknown).registration_kind, RegistrationKind::Late);
        unknown.died = Born::in_year(2026).unwrap();
        let asked: Vec<&str> = judged(&unknown).findings.questions.iter().map(|one| one.code).collect();
        assert_eq!(asked, ["term_unknown"]);
        unknown.again = true;
        assert_eq!(judged(&unknown).registration_kind, RegistrationKind::Again);
    }

    #[test]
    fn every_flaw_of_a_death_is_named_at_once() {
        let mut wrong = death(Born::in_year(1939).unwrap());
        wrong.time = "07:05".to_owned();
        wrong.notice.kind = DeathNoticeKind::Missing;
        wrong.notice.date = Some(date(1938, 1, 1));
        wrong.again = true;
        wrong.foreign_registration = Some(ForeignRegistration {
            number: "1".to_owned(),
            date: date(2026, 11, 24),
            authority: "A".to_owned(),
            country: Country::VIET_NAM,
        });
        let found = judged(&wrong).findings.violations;
        let fields: Vec<&str> = found.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "death.date_of_death",
                "death.time_of_death",
                "death.notice_kind",
                "death.notice_date",
                "death.foreign_registration.date",
                "death.foreign_registration.country",
                "death.again",
            ]
        );
    }

    proptest! {
        // Against the slow reference: no day lies in both.
        #[test]
        fn nobody_dies_before_the_birth_and_nobody_after_the_registration(
            born in (1990_i16..2000, 1_i8..=12, 1_i8..=28, any::<bool>()),
            died in (1990_i16..2030, 1_i8..=12, 1_i8..=28, any::<bool>()),
        ) {
            let read = |(year, month, day, exact): (i16, i8, i8, bool)| {
                if exact { Born::on(date(year, month, day)).unwrap() } else { Born::in_year(year).unwrap() }
            };
            let (born, died) = (read(born), read(died));
            let mut told = death(died);
            told.deceased.person.born = Some(born);
            let possible = born.earliest() <= died.latest() && died.earliest() <= TODAY;
            let refused = judged(&told).findings.violations.iter().any(|one| one.field == "death.date_of_death");
            prop_assert_eq!(refused, !possible);
        }
    }
}
