//! Giám hộ: what the register of guardianships says, and what must fit together in it.
//!
//! A guardianship begins and ends by entries of their own; who supervises one stands in its entry and is no relation of the family.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::birth::Requester;
use super::entry::{Relation, RelationKind};
use super::finding::Findings;
use super::kinship::TieKind;
use super::party::{KnownFamily, Party, not_after_today, unless, words};
use super::rules::Rules;
use super::rules::age::Reached;

/// Loại việc giám hộ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardianshipAct {
    /// Đăng ký giám hộ.
    Start,
    /// Đăng ký chấm dứt giám hộ.
    End,
    /// Đăng ký giám sát việc giám hộ.
    Supervision,
}

impl GuardianshipAct {
    /// Every act.
    pub const ALL: [Self; 3] = [Self::Start, Self::End, Self::Supervision];

    /// Its code in the contract.
    pub const fn code(self) -> i16 {
        match self {
            Self::Start => 1,
            Self::End => 2,
            Self::Supervision => 3,
        }
    }

    /// The act that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.code() == code)
    }

    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::Start => "đăng ký giám hộ",
            Self::End => "đăng ký chấm dứt giám hộ",
            Self::Supervision => "đăng ký giám sát việc giám hộ",
        }
    }
}

/// Loại giám hộ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardianshipKind {
    /// Giám hộ đương nhiên.
    ByLaw,
    /// Giám hộ được cử, được chỉ định.
    Appointed,
}

impl GuardianshipKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::ByLaw, Self::Appointed];

    /// Its code in the contract.
    pub const fn code(self) -> i16 {
        match self {
            Self::ByLaw => 1,
            Self::Appointed => 2,
        }
    }

    /// The kind that a code names; none for 0.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::ByLaw => "giám hộ đương nhiên",
            Self::Appointed => "giám hộ được cử, được chỉ định",
        }
    }
}

/// Vì sao được giám hộ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WardGround {
    /// Người chưa thành niên.
    Minor,
    /// Người mất năng lực hành vi dân sự.
    CapacityLost,
    /// Người có khó khăn trong nhận thức, làm chủ hành vi.
    Difficulty,
}

impl WardGround {
    /// Every ground.
    pub const ALL: [Self; 3] = [Self::Minor, Self::CapacityLost, Self::Difficulty];

    /// Its code in the contract.
    pub const fn code(self) -> i16 {
        match self {
            Self::Minor => 1,
            Self::CapacityLost => 2,
            Self::Difficulty => 3,
        }
    }

    /// The ground that a code names; none for 0.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|ground| ground.code() == code)
    }
}

/// Lý do chấm dứt giám hộ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardianshipEnd {
    /// Người được giám hộ đã có năng lực hành vi dân sự đầy đủ.
    WardCapable,
    /// Người được giám hộ, hoặc người giám hộ, chết.
    Death,
    /// Cha, mẹ đã có đủ điều kiện.
    ParentsAble,
    /// Người được giám hộ được nhận làm con nuôi.
    WardAdopted,
    /// Thay đổi người giám hộ.
    Changed,
    /// Lý do khác.
    Other,
}

impl GuardianshipEnd {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::WardCapable,
        Self::Death,
        Self::ParentsAble,
        Self::WardAdopted,
        Self::Changed,
        Self::Other,
    ];

    /// Its code in the contract.
    pub const fn code(self) -> i16 {
        match self {
            Self::WardCapable => 1,
            Self::Death => 2,
            Self::ParentsAble => 3,
            Self::WardAdopted => 4,
            Self::Changed => 5,
            Self::Other => 6,
        }
    }

    /// The reason that a code names; none for 0.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::WardCapable => "người được giám hộ đã có năng lực hành vi dân sự đầy đủ",
            Self::Death => "người được giám hộ hoặc người giám hộ chết",
            Self::ParentsAble => "cha, mẹ của người được giám hộ đã có đủ điều kiện",
            Self::WardAdopted => "người được giám hộ được nhận làm con nuôi",
            Self::Changed => "thay đổi người giám hộ",
            Self::Other => "lý do khác",
        }
    }
}

/// Nội dung giám hộ.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardianship {
    /// Loại việc.
    pub act: GuardianshipAct,
    /// Người được giám hộ.
    pub ward: Party,
    /// Người giám hộ.
    pub guardian: Party,
    /// Người giám sát việc giám hộ.
    pub supervisor: Option<Party>,
    /// Loại giám hộ.
    pub kind: Option<GuardianshipKind>,
    /// Vì sao được giám hộ.
    pub ground: Option<WardGround>,
    /// Số of the paper on which it rests; empty if there is none.
    pub basis_number: String,
    /// Ngày of this paper.
    pub basis_date: Option<Date>,
    /// Who made it out; empty if it is not known.
    pub basis_authority: String,
    /// Lý do chấm dứt.
    pub end_reason: Option<GuardianshipEnd>,
    /// Ngày chấm dứt.
    pub end_date: Option<Date>,
    /// Người yêu cầu.
    pub requester: Requester,
}

/// Shows nothing of it: why somebody has a guardian is sensitive.
impl std::fmt::Debug for Guardianship {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guardianship")
            .field("act", &self.act)
            .finish_non_exhaustive()
    }
}

const WARD: &str = "guardianship.ward";
const GUARDIAN: &str = "guardianship.guardian";
const SUPERVISOR: &str = "guardianship.supervisor";

impl Guardianship {
    /// Có yếu tố nước ngoài.
    pub fn is_foreign(&self) -> bool {
        self.parties().any(|(party, _)| party.person.is_foreign())
    }

    /// Everybody whom it is of, each with where it stands.
    pub fn parties(&self) -> impl Iterator<Item = (&Party, &'static str)> {
        let supervisor = self.supervisor.iter().map(|party| (party, SUPERVISOR));
        [(&self.ward, WARD), (&self.guardian, GUARDIAN)]
            .into_iter()
            .chain(supervisor)
    }

    /// The guardianship of these two that has no end yet, among the relations of the ward.
    pub fn standing<'a>(&self, relations: &'a [Relation]) -> Option<&'a Relation> {
        relations.iter().find(|relation| {
            relation.kind == RelationKind::Guardian
                && relation.person_id == self.ward.person_id
                && relation.relative_id == self.guardian.person_id
                && relation.valid_to.is_none()
        })
    }

    /// What becomes of the relation of guardian and ward: it begins with the registration, or it ends; who supervises it changes nothing of it.
    pub fn relation(&self, new_id: Uuid, standing: Option<&Relation>, registration: Date) -> Option<Relation> {
        match self.act {
            GuardianshipAct::Start => Some(Relation {
                relation_id: new_id,
                version: 1,
                kind: RelationKind::Guardian,
                person_id: self.ward.person_id,
                relative_id: self.guardian.person_id,
                valid_from: registration,
                valid_to: None,
            }),
            GuardianshipAct::End => standing.map(|standing| Relation {
                version: standing.version + 1,
                valid_to: self.end_date,
                ..standing.clone()
            }),
            GuardianshipAct::Supervision => None,
        }
    }

    /// Judges it by the rules of the day of the registration, over what is known of the parties and of the guardianship that stands between the two.
    pub fn judge(
        &self,
        rules: &Rules,
        (family, standing): (&KnownFamily, Option<&Relation>),
        registration: Date,
        today: Date,
    ) -> Findings {
        let mut findings = Findings::default();
        not_after_today(registration, today, &mut findings);
        for (party, field) in self.parties() {
            party.judge(rules, field, registration, &mut findings);
        }
        self.judge_shape(registration, &mut findings);
        self.judge_persons(&mut findings);
        match self.act {
            GuardianshipAct::Start => {
                Self::judge_capable(rules, family, (&self.guardian, GUARDIAN), registration, &mut findings);
                self.judge_ward(rules, family, registration, &mut findings);
                self.judge_other_guardians(rules, family, registration, &mut findings);
            }
            GuardianshipAct::End => self.judge_end(rules, standing, registration, &mut findings),
            GuardianshipAct::Supervision => {
                if let Some(supervisor) = &self.supervisor {
                    Self::judge_capable(rules, family, (supervisor, SUPERVISOR), registration, &mut findings);
                }
                if standing.is_none() {
                    Self::refuse_missing(rules, &mut findings);
                }
            }
        }
        findings
    }

    /// What is said of an act is what belongs to it.
    fn judge_shape(&self, registration: Date, findings: &mut Findings) {
        let only_of = |is_said: bool, act: GuardianshipAct| is_said == (self.act == act);
        let belongs = (
            "phải có theo loại việc giám hộ này, hoặc không thuộc loại việc này",
            "belongs to another act, or is missing for this one",
        );
        for (holds, field) in [
            (
                only_of(self.kind.is_some(), GuardianshipAct::Start),
                "guardianship.kind",
            ),
            (
                only_of(self.ground.is_some(), GuardianshipAct::Start),
                "guardianship.ground",
            ),
            (
                only_of(self.supervisor.is_some(), GuardianshipAct::Supervision),
                SUPERVISOR,
            ),
            (
                only_of(self.end_reason.is_some(), GuardianshipAct::End),
                "guardianship.end_reason",
            ),
            (
                only_of(self.end_date.is_some(), GuardianshipAct::End),
                "guardianship.end_date",
            ),
        ] {
            unless(findings, holds, "guardianship_act", field, belongs);
        }
        let has_basis = !self.basis_number.is_empty() && self.basis_date.is_some();
        unless(
            findings,
            self.kind != Some(GuardianshipKind::Appointed) || has_basis,
            "guardianship_basis",
            "guardianship.basis_number",
            (
                "giám hộ được cử phải có số, ngày văn bản cử hoặc quyết định",
                "an appointed guardian has number and day of the appointment",
            ),
        );
        unless(
            findings,
            self.basis_date.is_none_or(|date| date <= registration),
            "basis_date",
            "guardianship.basis_date",
            (
                "không được sau ngày đăng ký",
                "must not be after the day of the registration",
            ),
        );
    }

    /// Ward, guardian and supervisor are different people.
    fn judge_persons(&self, findings: &mut Findings) {
        let (ward, guardian) = (self.ward.person_id, self.guardian.person_id);
        unless(
            findings,
            ward != guardian,
            "same_person",
            GUARDIAN,
            ("trùng với người được giám hộ", "is the ward"),
        );
        let supervisor = self.supervisor.as_ref().map(|party| party.person_id);
        unless(
            findings,
            supervisor.is_none_or(|one| one != ward && one != guardian),
            "same_person",
            SUPERVISOR,
            (
                "trùng với người được giám hộ hoặc người giám hộ",
                "is the ward or the guardian",
            ),
        );
    }

    /// Who is guardian or supervisor lives, is of age, and has capacity.
    fn judge_capable(
        rules: &Rules,
        family: &KnownFamily,
        (party, field): (&Party, &str),
        registration: Date,
        findings: &mut Findings,
    ) {
        let rule = &rules.families.guardianship;
        if !family.graph.is_alive_on(party.person_id, registration) {
            let told = words("đã được đăng ký khai tử", "is registered as dead");
            findings.violate("deceased", field, &rule.origin, told);
        }
        let at = format!("{field}.date_of_birth");
        match party.has_reached(rules, rule.age, registration) {
            Reached::Yes => {}
            Reached::No => findings.violate(
                "guardian_age",
                &at,
                &rule.origin,
                (format!("chưa đủ {} tuổi", rule.age), format!("is not yet {}", rule.age)),
            ),
            Reached::Unknown => findings.ask(
                "guardian_age_unknown",
                &at,
                &rule.origin,
                (
                    format!(
                        "không rõ ngày sinh nên không xác định được đã đủ {} tuổi hay chưa",
                        rule.age
                    ),
                    format!(
                        "the day of birth is not known, so whether the age of {} is reached cannot be told",
                        rule.age
                    ),
                ),
            ),
        }
        if family.lacking.contains(&party.person_id) {
            let told = words(
                "có ghi chú mất hoặc hạn chế năng lực hành vi dân sự; cần công chức xem bản án, quyết định",
                "there is a note of lost or limited capacity; the officer reads the judgment",
            );
            findings.ask("guardian_capacity", field, &rule.origin, told);
        }
    }

    /// The ward lives, and is what the ground says.
    fn judge_ward(&self, rules: &Rules, family: &KnownFamily, registration: Date, findings: &mut Findings) {
        let rule = &rules.families.guardianship;
        let ward = self.ward.person_id;
        if !family.graph.is_alive_on(ward, registration) {
            let told = words("đã được đăng ký khai tử", "is registered as dead");
            findings.violate("deceased", WARD, &rule.origin, told);
        }
        match self.ground {
            Some(WardGround::Minor) => {
                let at = "guardianship.ward.date_of_birth";
                match self.ward.has_reached(rules, rule.age, registration) {
                    Reached::No => {}
                    Reached::Yes => findings.violate(
                        "ward_age",
                        at,
                        &rule.origin,
                        (
                            format!("đã đủ {} tuổi, không phải người chưa thành niên", rule.age),
                            format!("is {} already and no minor", rule.age),
                        ),
                    ),
                    Reached::Unknown => findings.ask(
                        "ward_age_unknown",
                        at,
                        &rule.origin,
                        (
                            format!(
                                "không rõ ngày sinh nên không xác định được đã đủ {} tuổi hay chưa",
                                rule.age
                            ),
                            format!(
                                "the day of birth is not known, so whether the age of {} is reached cannot be told",
                                rule.age
                            ),
                        ),
                    ),
                }
                let parents = family.graph.parents_on(ward, registration);
                if parents
                    .iter()
                    .any(|parent| family.graph.is_alive_on(*parent, registration))
                {
                    let told = words(
                        "người chưa thành niên còn cha hoặc mẹ theo sổ hộ tịch; công chức ghi rõ căn cứ phải có người giám hộ",
                        "by the books a parent of the minor lives; the officer says why there has to be a guardian",
                    );
                    findings.ask("ward_parents", WARD, &rule.origin, told);
                }
            }
            Some(WardGround::CapacityLost | WardGround::Difficulty) if !family.lacking.contains(&ward) => {
                let told = words(
                    "chưa có ghi chú về năng lực hành vi dân sự cạnh khai sinh; công chức xem bản án, quyết định",
                    "no note on the capacity stands beside the birth; the officer reads the judgment",
                );
                findings.ask("ward_capacity", WARD, &rule.origin, told);
            }
            Some(_) | None => {}
        }
    }

    /// One ward has one guardian, but for parents, or grandparents, together.
    fn judge_other_guardians(&self, rules: &Rules, family: &KnownFamily, registration: Date, findings: &mut Findings) {
        let origin = &rules.families.guardianship.origin;
        let guardians = family.lasting(self.ward.person_id, TieKind::Guardian, registration);
        let (own, others): (Vec<Uuid>, Vec<Uuid>) = guardians
            .map(|tie| tie.relative)
            .partition(|guardian| *guardian == self.guardian.person_id);
        unless(
            findings,
            own.is_empty(),
            "guardianship_stands",
            GUARDIAN,
            (
                "đang là người giám hộ của người này",
                "is the guardian of this ward already",
            ),
        );
        if !others.is_empty() {
            let told = words(
                "đang có người giám hộ khác; chỉ cha và mẹ, hoặc ông và bà, cùng giám hộ",
                "there is another guardian; only parents, or grandparents, are guardians together",
            );
            findings.ask("guardian_other", WARD, origin, told);
        }
    }

    fn refuse_missing(rules: &Rules, findings: &mut Findings) {
        let told = words(
            "không có việc giám hộ đang có hiệu lực giữa hai người này",
            "there is no guardianship between the two that stands",
        );
        let origin = &rules.families.guardianship_end.origin;
        findings.violate("guardianship_missing", GUARDIAN, origin, told);
    }

    /// What stands ends, between its beginning and the registration.
    fn judge_end(&self, rules: &Rules, standing: Option<&Relation>, registration: Date, findings: &mut Findings) {
        let Some(standing) = standing else {
            Self::refuse_missing(rules, findings);
            return;
        };
        unless(
            findings,
            self.end_date
                .is_none_or(|date| standing.valid_from <= date && date <= registration),
            "guardianship_end_date",
            "guardianship.end_date",
            (
                "phải từ ngày bắt đầu giám hộ đến ngày đăng ký",
                "must lie between the beginning of the guardianship and the registration",
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::kinship::tests::{person, tie, ties};
    use crate::domain::party::tests::{codes, lasts, party};
    use crate::domain::person::{PersonName, Sex};
    use crate::domain::rules::pack::tests::rules;

    const TODAY: Date = date(2026, 11, 23);

    /// 1 is to be the guardian of 0.
    fn guardianship(act: GuardianshipAct) -> Guardianship {
        let of = |one: GuardianshipAct| act == one;
        Guardianship {
            act,
            ward: party(0, Sex::Male, date(2015, 5, 6)),
            guardian: party(1, Sex::Female, date(1960, 1, 2)),
            supervisor: of(GuardianshipAct::Supervision).then(|| party(2, Sex::Male, date(1965, 1, 2))),
            kind: of(GuardianshipAct::Start).then_some(GuardianshipKind::ByLaw),
            ground: of(GuardianshipAct::Start).then_some(WardGround::Minor),
            basis_number: String::new(),
            basis_date: None,
            basis_authority: String::new(),
            end_reason: of(GuardianshipAct::End).then_some(GuardianshipEnd::Changed),
            end_date: of(GuardianshipAct::End).then_some(TODAY),
            requester: Requester {
                full_name: PersonName::read("Trần Văn A").unwrap(),
                relationship: "bà".to_owned(),
                paper: None,
            },
        }
    }

    fn stands(from: Date, to: Option<Date>) -> Relation {
        Relation {
            relation_id: Uuid::from_u128(9),
            version: 1,
            kind: RelationKind::Guardian,
            person_id: person(0),
            relative_id: person(1),
            valid_from: from,
            valid_to: to,
        }
    }

    fn found(wanted: &Guardianship, family: &KnownFamily, standing: Option<&Relation>) -> Vec<&'static str> {
        codes(&wanted.judge(&rules(), (family, standing), TODAY, TODAY))
    }

    #[test]
    fn codes_lead_back_to_acts_kinds_grounds_and_reasons_of_guardianships() {
        for act in GuardianshipAct::ALL {
            assert_eq!(GuardianshipAct::of_code(act.code()), Some(act));
        }
        for kind in GuardianshipKind::ALL {
            assert_eq!(GuardianshipKind::of_code(kind.code()), Some(kind));
        }
        for ground in WardGround::ALL {
            assert_eq!(WardGround::of_code(ground.code()), Some(ground));
        }
        for reason in GuardianshipEnd::ALL {
            assert_eq!(GuardianshipEnd::of_code(reason.code()), Some(reason));
        }
    }

    #[test]
    fn a_guardianship_begins_is_supervised_and_ends_once_and_every_flaw_is_named() {
        let nobody = KnownFamily::default();
        let since = stands(date(2020, 1, 1), None);
        let start = guardianship(GuardianshipAct::Start);
        assert!(found(&start, &nobody, None).is_empty());
        let begun = start.relation(Uuid::nil(), None, TODAY).unwrap();
        assert_eq!((begun.version, begun.valid_from, begun.valid_to), (1, TODAY, None));
        for act in [GuardianshipAct::End, GuardianshipAct::Supervision] {
            let wanted = guardianship(act);
            assert!(found(&wanted, &nobody, Some(&since)).is_empty(), "{act:?}");
            assert_eq!(found(&wanted, &nobody, None), ["guardianship_missing"]);
        }
        let end = guardianship(GuardianshipAct::End);
        let ended = end.relation(Uuid::nil(), Some(&since), TODAY).unwrap();
        assert_eq!((ended.version, ended.valid_to), (2, Some(TODAY)));
        let over = [stands(date(2020, 1, 1), Some(TODAY)), since.clone()];
        assert_eq!(end.standing(&over), Some(&since));
        assert_eq!(end.standing(&over[..1]), None);
        let supervision = guardianship(GuardianshipAct::Supervision);
        assert_eq!(supervision.relation(Uuid::nil(), Some(&since), TODAY), None);

        let early = stands(TODAY.tomorrow().unwrap(), None);
        assert_eq!(found(&end, &nobody, Some(&early)), ["guardianship_end_date"]);
        let mut wrong = start.clone();
        wrong.guardian = party(0, Sex::Female, date(2008, 11, 24));
        wrong.kind = Some(GuardianshipKind::Appointed);
        wrong.end_reason = Some(GuardianshipEnd::Other);
        wrong.basis_date = Some(date(2026, 11, 24));
        assert_eq!(
            found(&wrong, &nobody, None),
            [
                "guardianship_act",
                "guardianship_basis",
                "basis_date",
                "same_person",
                "guardian_age"
            ]
        );
        let mut grown = start.clone();
        grown.ward = party(0, Sex::Male, date(2008, 11, 23));
        assert_eq!(found(&grown, &nobody, None), ["ward_age"]);
        grown.ground = Some(WardGround::CapacityLost);
        assert_eq!(found(&grown, &nobody, None), ["ward_capacity"]);
        let mut lacking = KnownFamily::new(Vec::new(), [(person(1), TODAY)]).unwrap();
        lacking.lacking = vec![person(0), person(1)];
        assert_eq!(found(&grown, &lacking, None), ["deceased", "guardian_capacity"]);
        let mother = tie(TieKind::Mother, 0, 3, date(2015, 5, 6), None);
        let living = KnownFamily::new(vec![mother], []).unwrap();
        assert_eq!(found(&start, &living, None), ["ward_parents"]);
        let orphan = KnownFamily::new(vec![mother], [(person(3), TODAY)]).unwrap();
        assert!(found(&start, &orphan, None).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The slow way: look at every day from the registration on.
        #[test]
        fn a_ward_has_one_guardian_unless_the_officer_decides(ties in ties(), after in 0..40_i32) {
            let day = date(2000, 1, 1).checked_add(after.days()).unwrap();
            let stands = |is_own: bool| {
                ties.iter().any(|tie| {
                    let is_guardian = tie.kind == TieKind::Guardian && tie.person == person(0);
                    is_guardian && (tie.relative == person(1)) == is_own && lasts(tie, day)
                })
            };
            let (other, own) = (stands(false), stands(true));
            let mut wanted = guardianship(GuardianshipAct::Start);
            wanted.ward = party(0, Sex::Male, date(1999, 12, 31));
            let family = KnownFamily::new(ties.clone(), []).unwrap();
            let findings = wanted.judge(&rules(), (&family, None), day, TODAY);
            prop_assert_eq!(findings.violations.iter().any(|one| one.code == "guardianship_stands"), own);
            prop_assert_eq!(findings.questions.iter().any(|one| one.code == "guardian_other"), other);
        }
    }
}
