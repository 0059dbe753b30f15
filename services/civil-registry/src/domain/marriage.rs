//! Kết hôn: what the register of marriages says, and what must fit together in it.
//!
//! The conditions of the law are those of [`rules::marriage`], judged over the family graph; here stands what belongs to the registration.

use egov_calendar::{CalendarError, WorkCalendar};
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::RegistrationKind;
use super::finding::{Findings, Violation};
use super::kinship::{FamilyGraph, FlawedFamily, Tie, TieKind};
use super::person::{IdentityPaper, Person, ResidenceKind};
use super::rules::inquiry::inquiry;
use super::rules::marriage::Betrothed;
use super::rules::{self, Rules, bigamy, number, paper};

/// Tình trạng kết hôn: what a court decided of a marriage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarriageOutcome {
    /// Đã ly hôn.
    Divorced,
    /// Đã huỷ.
    Annulled,
    /// Được công nhận.
    Recognised,
}

impl MarriageOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Divorced, Self::Annulled, Self::Recognised];

    /// Its code in the contract.
    pub const fn code(self) -> i16 {
        match self {
            Self::Divorced => 1,
            Self::Annulled => 2,
            Self::Recognised => 3,
        }
    }

    /// The outcome that a code names; none of không có thông tin.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }

    /// True if the two are no spouses any more.
    pub const fn ends(self) -> bool {
        matches!(self, Self::Divorced | Self::Annulled)
    }
}

/// Giấy xác nhận tình trạng hôn nhân.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaritalStatusPaper {
    /// Số.
    pub number: String,
    /// Ngày cấp.
    pub issue_date: Date,
    /// Nơi cấp.
    pub authority: String,
}

/// Xác minh tình trạng hôn nhân at another commune.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaritalStatusInquiry {
    /// The commune that was asked.
    pub authority: String,
    /// Ngày gửi.
    pub sent_date: Date,
    /// Ngày trả lời that there is no marriage.
    pub answer_date: Option<Date>,
}

/// Chồng, or vợ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spouse {
    /// The person; nil until it is known which.
    pub person_id: Uuid,
    /// What is known of the person.
    pub person: Person,
    /// Loại cư trú.
    pub residence_kind: Option<ResidenceKind>,
    /// Nơi cư trú.
    pub residence: String,
    /// Giấy tờ tuỳ thân.
    pub paper: Option<IdentityPaper>,
    /// Giấy xác nhận tình trạng hôn nhân.
    pub marital_status_paper: Option<MaritalStatusPaper>,
    /// Xác minh at another commune.
    pub marital_status_inquiry: Option<MaritalStatusInquiry>,
    /// Có mặt và ký.
    pub was_present: bool,
    /// Cam đoan tự nguyện.
    pub declared_will: bool,
}

/// Nội dung kết hôn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marriage {
    /// Chồng.
    pub husband: Spouse,
    /// Vợ.
    pub wife: Spouse,
    /// Tình trạng kết hôn when it was entered; none of không có thông tin.
    pub outcome: Option<MarriageOutcome>,
    /// Đăng ký lại.
    pub again: bool,
    /// Ngày đăng ký trước đây, if it is registered again.
    pub first_registration_date: Option<Date>,
}

/// What the registry knows of the families of the two, whichever communes entered it.
#[derive(Clone, Debug, Default)]
pub struct Family {
    graph: FamilyGraph,
    marriages: Vec<Tie>,
}

impl Family {
    /// The family that these ties make.
    ///
    /// # Errors
    /// [`FlawedFamily`].
    pub fn new(ties: Vec<Tie>, deaths: impl IntoIterator<Item = (Uuid, Date)>) -> Result<Self, FlawedFamily> {
        let marriages = ties.iter().filter(|tie| tie.kind == TieKind::Spouse).copied().collect();
        let graph = FamilyGraph::new(ties, deaths)?;
        Ok(Self { graph, marriages })
    }

    /// The first day from `from` on that a marriage of this person from that day on would share with another one: who registers for an earlier day
    /// meets what was registered for a later one. None if there is none.
    pub fn married_day(&self, person: Uuid, from: Date) -> Option<Date> {
        let of_person = |tie: &&Tie| tie.person == person || tie.relative == person;
        let later = self.marriages.iter().filter(of_person).map(|tie| tie.validity.from);
        std::iter::once(from)
            .chain(later.filter(|day| *day > from))
            .filter(|day| !self.graph.is_unmarried_on(person, *day))
            .min()
    }
}

impl Marriage {
    /// Có yếu tố nước ngoài: one of the two has another nationality.
    pub fn is_foreign(&self) -> bool {
        self.husband.person.is_foreign() || self.wife.person.is_foreign()
    }

    /// Since when the two are married: since the registration, the earlier one if it is registered again.
    pub fn valid_from(&self, registration: Date) -> Date {
        self.first_registration_date.unwrap_or(registration)
    }

    /// Lần đầu (whose code is that of đúng hạn), or lại.
    pub const fn registration_kind(&self) -> RegistrationKind {
        if self.again {
            RegistrationKind::Again
        } else {
            RegistrationKind::OnTime
        }
    }

    fn sides(&self) -> [(&Spouse, &'static str); 2] {
        [(&self.husband, "marriage.husband"), (&self.wife, "marriage.wife")]
    }

    /// Judges it by the rules of the day of the registration, over what is known of the two families; `lacking` are those of whom it is noted that
    /// their capacity is lost or limited.
    ///
    /// # Errors
    /// [`CalendarError`]: whether an inquiry has run out depends on days off that the calendar does not know.
    pub fn judge(
        &self,
        rules: &Rules,
        calendar: &WorkCalendar,
        (family, lacking): (&Family, &[Uuid]),
        registration: Date,
        today: Date,
    ) -> Result<Findings, CalendarError> {
        let mut findings = Findings::default();
        if registration > today {
            findings.violations.push(Violation::of_shape(
                "registration_date",
                "registration_date",
                "không được sau hôm nay",
                "must not be after today",
            ));
        }
        self.judge_again(rules, registration, &mut findings);
        let betrothed = |one: &Spouse| Betrothed {
            person: one.person_id,
            sex: one.person.sex,
            born: one.person.born,
            is_present: one.was_present,
            is_willing: one.declared_will,
            lacks_capacity: lacking.contains(&one.person_id),
        };
        let (husband, wife) = (betrothed(&self.husband), betrothed(&self.wife));
        let mut conditions = rules::marriage::judge(rules, &family.graph, &husband, &wife, registration);
        // The rules of marriage know of no contract: their fields are paths within it.
        let fields = conditions.violations.iter_mut().map(|one| &mut one.field);
        for field in fields.chain(conditions.questions.iter_mut().map(|one| &mut one.field)) {
            if field != "marriage" {
                *field = format!("marriage.{field}");
            }
        }
        findings.join(conditions);
        for (one, field) in self.sides() {
            if !family.graph.is_alive_on(one.person_id, registration) {
                findings.violations.push(Violation::of_shape(
                    "deceased",
                    field,
                    "đã được đăng ký khai tử, chết không sau ngày đăng ký kết hôn",
                    "is registered as dead, on the day of the marriage or before",
                ));
            }
            self.judge_other_marriages(rules, family, (one, field), registration, &mut findings);
            if let Some(paper) = &one.paper {
                let field = format!("{field}.paper");
                findings.violations.extend(paper.violations(&field, registration));
            }
            if let Some(digits) = &one.person.personal_number {
                let field = format!("{field}.personal_number");
                findings.join(number::judge(rules, digits, one.person.sex, one.person.born, &field));
            }
            judge_marital_status(rules, calendar, one, field, registration, &mut findings)?;
        }
        Ok(findings)
    }

    /// Đăng ký lại: since when it is, and what the law of that day asked.
    fn judge_again(&self, rules: &Rules, registration: Date, findings: &mut Findings) {
        let field = "marriage.first_registration_date";
        let mut unless = |holds: bool, (vi, en): (&str, &str)| {
            if !holds {
                let flaw = Violation::of_shape("first_registration_date", field, vi, en);
                findings.violations.push(flaw);
            }
        };
        unless(
            self.again == self.first_registration_date.is_some(),
            (
                "phải có khi đăng ký lại, và chỉ khi đăng ký lại",
                "is said where a marriage is registered again, and nowhere else",
            ),
        );
        unless(
            self.first_registration_date.is_none_or(|first| first < registration),
            ("phải trước ngày đăng ký", "must be before the day of the registration"),
        );
        if self.again {
            // The packs do not reach back to the law of that day.
            let words = (
                "điều kiện kết hôn vào ngày đăng ký trước đây cần công chức xem xét".to_owned(),
                "whether the conditions of the day of the first registration were met, the officer decides".to_owned(),
            );
            findings.ask("marriage_first_conditions", field, &rules.marriage_age.origin, words);
        }
    }

    /// No other marriage stands beside this one, from its first day on. That of the day of the registration the conditions have told.
    fn judge_other_marriages(
        &self,
        rules: &Rules,
        family: &Family,
        (one, field): (&Spouse, &str),
        registration: Date,
        findings: &mut Findings,
    ) {
        let told = !family.graph.is_unmarried_on(one.person_id, registration);
        if let (false, Some(day)) = (told, family.married_day(one.person_id, self.valid_from(registration))) {
            findings.join(bigamy::judge(rules, &family.graph, one.person_id, field, day));
        }
    }
}

/// By what it is known that one of the two has no spouse: a paper that is valid, an answer of another commune, or a decision.
fn judge_marital_status(
    rules: &Rules,
    calendar: &WorkCalendar,
    one: &Spouse,
    field: &str,
    registration: Date,
    findings: &mut Findings,
) -> Result<(), CalendarError> {
    let at_midnight = |day: Date| -> DateTime { day.at(0, 0, 0, 0) };
    if let Some(said) = &one.marital_status_paper {
        let field = format!("{field}.marital_status_paper.issue_date");
        findings.join(paper::judge(rules, said.issue_date, registration, &field));
    }
    if let Some(said) = &one.marital_status_inquiry {
        let field = format!("{field}.marital_status_inquiry");
        let answer = said.answer_date.unwrap_or(registration);
        if said.sent_date > registration || answer < said.sent_date || answer > registration {
            findings.violations.push(Violation::of_shape(
                "inquiry_dates",
                field,
                "ngày gửi, ngày trả lời phải lần lượt và không sau ngày đăng ký",
                "is sent first and answered then, not after the registration",
            ));
        } else {
            let state = inquiry(
                rules,
                at_midnight(said.sent_date),
                said.answer_date.map(at_midnight),
                at_midnight(registration),
                calendar,
            )?;
            findings.join(rules::inquiry::judge(rules, state, &field));
        }
    }
    if one.marital_status_paper.is_none() && one.marital_status_inquiry.is_none() {
        // Papers are not asked for where the national database or the own books tell it.
        let words = (
            "không có giấy xác nhận tình trạng hôn nhân, không xác minh; công chức ghi rõ căn cứ xác định tình trạng hôn nhân"
                .to_owned(),
            "there is no confirmation of marital status and no inquiry; the officer says by what the status is known"
                .to_owned(),
        );
        findings.ask("marital_status_basis", field, &rules.marital_status_paper.origin, words);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::kinship::tests::{person, tie, ties};
    use crate::domain::person::{Claimed, EthnicGroups, Sex};
    use crate::domain::rules::pack::tests::{calendar, rules};

    const TODAY: Date = date(2026, 11, 23);
    const NOBODY: &[Uuid] = &[];

    fn spouse(id: u128, sex: Sex) -> Spouse {
        let groups = EthnicGroups::from_text(include_str!("../../../../deploy/packs/ethnic_groups.csv")).unwrap();
        let claimed = Claimed {
            full_name: "Trần Văn A",
            sex: sex.code(),
            born: Some((1995, 4, 2)),
            ethnic_group: "01",
            nationality: "VN",
            other_nationality: "",
            personal_number: "",
        };
        Spouse {
            person_id: person(id),
            person: Person::read("husband", &claimed, &groups, TODAY).unwrap(),
            residence_kind: None,
            residence: String::new(),
            paper: None,
            marital_status_paper: Some(MaritalStatusPaper {
                number: "12/XN".to_owned(),
                issue_date: date(2026, 5, 23),
                authority: "UBND".to_owned(),
            }),
            marital_status_inquiry: None,
            was_present: true,
            declared_will: true,
        }
    }

    fn marriage() -> Marriage {
        Marriage {
            husband: spouse(1, Sex::Male),
            wife: spouse(2, Sex::Female),
            outcome: None,
            again: false,
            first_registration_date: None,
        }
    }

    /// Codes of violations, then of questions, each with its field.
    fn found(marriage: &Marriage, ties: Vec<Tie>, registration: Date) -> Vec<(&'static str, String)> {
        let family = Family::new(ties, []).unwrap();
        let findings = marriage
            .judge(&rules(), &calendar(), (&family, NOBODY), registration, TODAY)
            .unwrap();
        let violations = findings.violations.into_iter().map(|one| (one.code, one.field));
        violations
            .chain(findings.questions.into_iter().map(|one| (one.code, one.field)))
            .collect()
    }

    #[test]
    fn the_status_of_each_is_shown_by_a_paper_an_answer_or_a_decision() {
        assert!(found(&marriage(), Vec::new(), TODAY).is_empty());
        let mut late = marriage();
        late.husband.marital_status_paper.as_mut().unwrap().issue_date = date(2026, 5, 22);
        late.wife.marital_status_paper = None;
        assert_eq!(
            found(&late, Vec::new(), TODAY),
            [
                (
                    "marital_paper_expired",
                    "marriage.husband.marital_status_paper.issue_date".to_owned()
                ),
                ("marital_status_basis", "marriage.wife".to_owned()),
            ]
        );
        let asked = |sent: Date, answer: Option<Date>| {
            let mut marriage = marriage();
            marriage.wife.marital_status_paper = None;
            marriage.wife.marital_status_inquiry = Some(MaritalStatusInquiry {
                authority: "UBND".to_owned(),
                sent_date: sent,
                answer_date: answer,
            });
            found(&marriage, Vec::new(), TODAY).first().map(|(code, _)| *code)
        };
        // Three working days after Monday the 16th are over on Thursday the 19th; after Friday the 20th they are not.
        assert_eq!(asked(date(2026, 11, 16), None), Some("inquiry_overdue"));
        assert_eq!(asked(date(2026, 11, 20), None), Some("inquiry_running"));
        assert_eq!(asked(date(2026, 11, 16), Some(date(2026, 11, 18))), None);
        assert_eq!(
            asked(date(2026, 11, 18), Some(date(2026, 11, 16))),
            Some("inquiry_dates")
        );
    }

    #[test]
    fn a_marriage_of_a_later_day_stands_in_the_way_of_an_earlier_one() {
        let later = tie(TieKind::Spouse, 1, 3, date(2026, 11, 20), None);
        let bigamy = ("bigamy", "marriage.husband".to_owned());
        assert_eq!(
            found(&marriage(), vec![later], date(2026, 11, 19)),
            std::slice::from_ref(&bigamy)
        );
        assert_eq!(found(&marriage(), vec![later], TODAY), [bigamy]);
        let ended = tie(TieKind::Spouse, 1, 3, date(2020, 1, 1), Some(TODAY));
        assert!(found(&marriage(), vec![ended], TODAY).is_empty());
        // A widower marries, and nobody who is dead.
        let standing = tie(TieKind::Spouse, 1, 3, date(2020, 1, 1), None);
        let family = |died| Family::new(vec![standing], [(person(died), TODAY)]).unwrap();
        let judged = |died| {
            marriage()
                .judge(&rules(), &calendar(), (&family(died), NOBODY), TODAY, TODAY)
                .unwrap()
        };
        assert!(judged(3).is_clear());
        let codes: Vec<&str> = judged(2).violations.iter().map(|one| one.code).collect();
        assert_eq!(codes, ["bigamy", "deceased"]);
    }

    #[test]
    fn a_marriage_that_is_registered_again_is_one_since_its_first_day() {
        let mut again = marriage();
        again.again = true;
        let field = "marriage.first_registration_date".to_owned();
        let question = ("marriage_first_conditions", field.clone());
        let missing = ("first_registration_date", field);
        assert_eq!(found(&again, Vec::new(), TODAY), [missing.clone(), question.clone()]);
        again.first_registration_date = Some(date(2015, 3, 2));
        assert_eq!(found(&again, Vec::new(), TODAY), std::slice::from_ref(&question));
        assert_eq!(again.valid_from(TODAY), date(2015, 3, 2));
        assert_eq!(again.registration_kind(), RegistrationKind::Again);
        // Another one in between.
        let between = tie(TieKind::Spouse, 4, 2, date(2016, 1, 1), Some(date(2018, 1, 1)));
        let bigamy = ("bigamy", "marriage.wife".to_owned());
        assert_eq!(found(&again, vec![between], TODAY), [bigamy, question]);
        again.again = false;
        assert_eq!(found(&again, Vec::new(), TODAY), [missing]);
    }

    #[test]
    fn codes_lead_back_to_outcomes() {
        for outcome in MarriageOutcome::ALL {
            assert_eq!(MarriageOutcome::of_code(outcome.code()), Some(outcome));
        }
        assert_eq!(MarriageOutcome::of_code(0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The slow way: look at every day.
        #[test]
        fn no_day_is_shared_with_another_marriage(ties in ties(), one in 0..8_u128, after in 0..40_i32) {
            let from = date(2000, 1, 1).checked_add(jiff::Span::new().days(after)).unwrap();
            let family = Family::new(ties, []).unwrap();
            let married = from
                .series(jiff::Span::new().days(1))
                .take(120)
                .find(|day| !family.graph.is_unmarried_on(person(one), *day));
            prop_assert_eq!(family.married_day(person(one), from), married);
        }
    }
}
