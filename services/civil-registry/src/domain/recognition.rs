//! Nhận cha, mẹ, con: what the register of recognitions says, and what must fit together in it.
//!
//! The entry of the birth stays as it is: whose parent somebody is, is known since the recognition, and true since the birth. Where there is a dispute, or
//! somebody else stands as that parent, a court decides.

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::birth::Requester;
use super::entry::{Relation, RelationKind};
use super::finding::Findings;
use super::kinship::TieKind;
use super::party::{KnownFamily, Party, not_after_today, unless, words};
use super::person::Sex;
use super::rules::Rules;
use super::rules::age::Reached;

/// Loại nhận cha, mẹ, con.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecognitionKind {
    /// Cha nhận con.
    FatherRecognisesChild,
    /// Mẹ nhận con.
    MotherRecognisesChild,
    /// Con nhận cha.
    ChildRecognisesFather,
    /// Con nhận mẹ.
    ChildRecognisesMother,
}

impl RecognitionKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::FatherRecognisesChild,
        Self::MotherRecognisesChild,
        Self::ChildRecognisesFather,
        Self::ChildRecognisesMother,
    ];

    /// Its code in the contract, which is that of the national digitisation schema.
    pub const fn code(self) -> i16 {
        match self {
            Self::FatherRecognisesChild => 1,
            Self::MotherRecognisesChild => 2,
            Self::ChildRecognisesFather => 3,
            Self::ChildRecognisesMother => 4,
        }
    }

    /// The kind that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::FatherRecognisesChild => "cha nhận con",
            Self::MotherRecognisesChild => "mẹ nhận con",
            Self::ChildRecognisesFather => "con nhận cha",
            Self::ChildRecognisesMother => "con nhận mẹ",
        }
    }

    /// True if the child recognises the parent.
    pub const fn is_by_child(self) -> bool {
        matches!(self, Self::ChildRecognisesFather | Self::ChildRecognisesMother)
    }

    /// What the parent is of the child.
    pub const fn relation(self) -> RelationKind {
        match self {
            Self::FatherRecognisesChild | Self::ChildRecognisesFather => RelationKind::Father,
            Self::MotherRecognisesChild | Self::ChildRecognisesMother => RelationKind::Mother,
        }
    }

    /// Giới tính of the parent.
    const fn sex(self) -> Sex {
        match self {
            Self::FatherRecognisesChild | Self::ChildRecognisesFather => Sex::Male,
            Self::MotherRecognisesChild | Self::ChildRecognisesMother => Sex::Female,
        }
    }
}

/// Loại chứng cứ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecognitionProof {
    /// Văn bản của cơ quan y tế, cơ quan giám định.
    Expert,
    /// Văn bản cam đoan, có người làm chứng.
    Undertaking,
    /// Chứng cứ khác.
    Other,
}

impl RecognitionProof {
    /// Every kind of proof.
    pub const ALL: [Self; 3] = [Self::Expert, Self::Undertaking, Self::Other];

    /// Its code in the contract.
    pub const fn code(self) -> i16 {
        match self {
            Self::Expert => 1,
            Self::Undertaking => 2,
            Self::Other => 3,
        }
    }

    /// The kind that a code names; none for 0.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|proof| proof.code() == code)
    }
}

/// Nội dung nhận cha, mẹ, con.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recognition {
    /// Loại.
    pub kind: RecognitionKind,
    /// Cha, or mẹ.
    pub parent: Party,
    /// Con.
    pub child: Party,
    /// Loại chứng cứ, if there is proof.
    pub proof: Option<RecognitionProof>,
    /// Số of the proof; empty if it has none.
    pub proof_number: String,
    /// Ngày of the proof.
    pub proof_date: Option<Date>,
    /// Who made out the proof; empty if nobody did.
    pub proof_authority: String,
    /// Họ tên người làm chứng.
    pub witness_names: Vec<String>,
    /// Cha, or mẹ, was present.
    pub parent_was_present: bool,
    /// Con was present, or who represents it.
    pub child_was_present: bool,
    /// Con đồng ý.
    pub child_consented: bool,
    /// Người yêu cầu.
    pub requester: Requester,
}

/// Shows nothing of it: whose child somebody is, is guarded.
impl std::fmt::Debug for Recognition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recognition")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

const PARENT: &str = "recognition.parent";
const CHILD: &str = "recognition.child";

impl Recognition {
    /// Có yếu tố nước ngoài.
    pub fn is_foreign(&self) -> bool {
        self.parent.person.is_foreign() || self.child.person.is_foreign()
    }

    /// The two, each with where it stands.
    fn parties(&self) -> [(&Party, &'static str); 2] {
        [(&self.parent, PARENT), (&self.child, CHILD)]
    }

    /// Whose parent somebody is from now on known to be, true since the birth.
    pub fn relation(&self, relation_id: Uuid, registration: Date) -> Relation {
        let born = self.child.first_day().unwrap_or(registration);
        Relation {
            relation_id,
            version: 1,
            kind: self.kind.relation(),
            person_id: self.child.person_id,
            relative_id: self.parent.person_id,
            valid_from: born.min(registration),
            valid_to: None,
        }
    }

    /// Judges it by the rules of the day of the registration, over what is known of the two and their families.
    pub fn judge(&self, rules: &Rules, family: &KnownFamily, registration: Date, today: Date) -> Findings {
        let mut findings = Findings::default();
        not_after_today(registration, today, &mut findings);
        for (party, field) in self.parties() {
            party.judge(rules, field, registration, &mut findings);
        }
        self.judge_persons(rules, &mut findings);
        self.judge_proof(rules, registration, &mut findings);
        self.judge_presence(rules, registration, &mut findings);
        if self.parent.person_id != self.child.person_id {
            self.judge_family(rules, family, registration, &mut findings);
        }
        findings
    }

    fn judge_persons(&self, rules: &Rules, findings: &mut Findings) {
        unless(
            findings,
            self.parent.person_id != self.child.person_id,
            "same_person",
            PARENT,
            ("trùng với người con", "is the child"),
        );
        unless(
            findings,
            self.child.person.born.is_some(),
            "birth_date",
            "recognition.child.date_of_birth",
            ("bắt buộc phải có", "is required"),
        );
        let (born, child) = (self.parent.first_day(), self.child.last_day());
        unless(
            findings,
            born.zip(child).is_none_or(|(born, child)| born < child),
            "parent_younger",
            "recognition.parent.date_of_birth",
            ("phải trước ngày sinh của con", "must be before the birth of the child"),
        );
        let sex = self.kind.sex();
        if self.parent.person.sex != sex {
            let told = (
                format!("giới tính không phải là {}", sex.vi()),
                format!("the sex is not {}", sex.en()),
            );
            let origin = &rules.families.recognition.origin;
            findings.violate("recognition_sex", "recognition.parent.sex", origin, told);
        }
    }

    fn judge_proof(&self, rules: &Rules, registration: Date, findings: &mut Findings) {
        let rule = &rules.families.recognition;
        unless(
            findings,
            self.proof_date.is_none_or(|date| date <= registration),
            "proof_date",
            "recognition.proof_date",
            (
                "không được sau ngày đăng ký",
                "must not be after the day of the registration",
            ),
        );
        let says_something =
            !self.proof_number.is_empty() || self.proof_date.is_some() || !self.proof_authority.is_empty();
        match self.proof {
            None => {
                unless(
                    findings,
                    !says_something && self.witness_names.is_empty(),
                    "recognition_proof",
                    "recognition.proof",
                    (
                        "có số, ngày, nơi cấp hoặc người làm chứng thì phải có loại chứng cứ",
                        "is named where number, day, authority or witnesses of the proof are",
                    ),
                );
                findings.ask(
                    "recognition_proof",
                    "recognition.proof",
                    &rule.origin,
                    words(
                        "không có chứng cứ chứng minh quan hệ cha, mẹ, con",
                        "there is no proof that the one is the parent of the other",
                    ),
                );
            }
            Some(RecognitionProof::Undertaking) if self.witness_names.len() < rule.witnesses => {
                let told = (
                    format!("văn bản cam đoan phải có ít nhất {} người làm chứng", rule.witnesses),
                    format!("an undertaking has {} witnesses at least", rule.witnesses),
                );
                let field = "recognition.witness_names";
                findings.violate("recognition_witnesses", field, &rule.origin, told);
            }
            Some(_) => {}
        }
    }

    /// Who recognises is present; for the other one somebody may be. A child that is old enough agrees.
    fn judge_presence(&self, rules: &Rules, registration: Date, findings: &mut Findings) {
        let origin = &rules.families.recognition.origin;
        let parent = ("recognition.parent_was_present", self.parent_was_present);
        let child = ("recognition.child_was_present", self.child_was_present);
        let (own, other) = if self.kind.is_by_child() {
            (child, parent)
        } else {
            (parent, child)
        };
        if !own.1 {
            let told = words(
                "người nhận phải có mặt khi đăng ký",
                "who recognises is present at the registration",
            );
            findings.violate("recognition_presence", own.0, origin, told);
        }
        if !other.1 {
            let told = words(
                "bên được nhận, hoặc người đại diện, không có mặt khi đăng ký",
                "the one who is recognised, or who represents it, was not present",
            );
            findings.ask("recognition_presence", other.0, origin, told);
        }
        let consent = &rules.families.recognition_consent;
        let may_be_asked = self.child.has_reached(rules, consent.age, registration) != Reached::No;
        if !self.kind.is_by_child() && may_be_asked && !self.child_consented {
            let told = (
                format!("con từ đủ {} tuổi trở lên chưa có ý kiến đồng ý", consent.age),
                format!("a child of {} years or more has not agreed", consent.age),
            );
            let field = "recognition.child_consented";
            findings.ask("recognition_consent", field, &consent.origin, told);
        }
    }

    /// What the books know of the two: whether they live, who stands as parent, and in which marriage the child was born.
    fn judge_family(&self, rules: &Rules, family: &KnownFamily, registration: Date, findings: &mut Findings) {
        let court = &rules.families.recognition_court.origin;
        let (parent, child) = (self.parent.person_id, self.child.person_id);
        for (party, field) in self.parties() {
            if !family.graph.is_alive_on(party.person_id, registration) {
                let told = words(
                    "đã được đăng ký khai tử; việc xác định cha, mẹ, con có thể thuộc thẩm quyền của toà án",
                    "is registered as dead; it may be for a court to decide",
                );
                findings.ask("recognition_deceased", field, court, told);
            }
        }
        let kind = self.kind.relation().tie();
        let standing: Vec<Uuid> = family
            .lasting(child, kind, registration)
            .map(|tie| tie.relative)
            .collect();
        let is_known = standing.contains(&parent);
        unless(
            findings,
            !is_known,
            "recognition_known",
            PARENT,
            (
                "đã được đăng ký là cha, mẹ của người con này",
                "is registered as this parent of the child already",
            ),
        );
        if !is_known && family.graph.direct_line(parent, child, registration).is_some() {
            let told = words(
                "hai bên đã được đăng ký là cùng dòng máu về trực hệ theo quan hệ khác",
                "the two are registered as of one blood in the direct line in another way",
            );
            findings.ask("recognition_line", PARENT, court, told);
        }
        if standing.iter().any(|other| *other != parent) {
            let told = words(
                "đã có người khác được đăng ký là cha, mẹ; toà án giải quyết",
                "somebody else is registered as this parent; a court decides",
            );
            if family.parentage_noted.contains(&child) {
                // A court has decided something of the parents, which is only noted: what, the officer reads.
                findings.ask("recognition_other_parent", PARENT, court, told);
            } else {
                findings.violate("recognition_other_parent", PARENT, court, told);
            }
        }
        if kind == TieKind::Father {
            self.judge_presumption(rules, family, registration, findings);
        }
    }

    /// Con sinh ra trong thời kỳ hôn nhân của mẹ là con chung của vợ chồng: another husband of the mother may be the father by law.
    fn judge_presumption(&self, rules: &Rules, family: &KnownFamily, registration: Date, findings: &mut Findings) {
        let rule = &rules.families.presumption;
        let (Some(first), Some(last)) = (self.child.first_day(), self.child.last_day()) else {
            return;
        };
        // Within so many days after the end of the marriage.
        let since = first.saturating_sub(rule.days.days());
        let mut mothers = family.lasting(self.child.person_id, TieKind::Mother, registration);
        let has_husband = mothers.any(|mother| {
            family.marriages(mother.relative).any(|(husband, tie)| {
                let validity = tie.validity;
                husband != self.parent.person_id
                    && validity.from <= last
                    && validity.to.is_none_or(|to| since <= to && validity.from < to)
            })
        });
        if has_husband {
            let told = (
                format!(
                    "con sinh ra khi mẹ đang có chồng khác hoặc trong {} ngày từ khi hôn nhân chấm dứt",
                    rule.days
                ),
                format!(
                    "the child was born while the mother had another husband, or within {} days after",
                    rule.days
                ),
            );
            findings.ask("recognition_presumption", CHILD, &rule.origin, told);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::kinship::Tie;
    use crate::domain::kinship::tests::{person, tie, ties};
    use crate::domain::party::tests::{codes, lasts, party};
    use crate::domain::person::PersonName;
    use crate::domain::rules::pack::tests::rules;

    const TODAY: Date = date(2026, 11, 23);

    /// 1 recognises 0.
    fn recognition(kind: RecognitionKind) -> Recognition {
        Recognition {
            kind,
            parent: party(1, kind.sex(), date(1993, 4, 1)),
            child: party(0, Sex::Female, date(2020, 5, 6)),
            proof: Some(RecognitionProof::Expert),
            proof_number: "12/GĐ".to_owned(),
            proof_date: Some(date(2026, 11, 1)),
            proof_authority: String::new(),
            witness_names: Vec::new(),
            parent_was_present: true,
            child_was_present: true,
            child_consented: false,
            requester: Requester {
                full_name: PersonName::read("Trần Văn A").unwrap(),
                relationship: "cha".to_owned(),
                paper: None,
            },
        }
    }

    fn found(recognition: &Recognition, family: &KnownFamily) -> Vec<&'static str> {
        codes(&recognition.judge(&rules(), family, TODAY, TODAY))
    }

    fn known(ties: Vec<Tie>) -> KnownFamily {
        KnownFamily::new(ties, []).unwrap()
    }

    #[test]
    fn each_kind_of_recognition_names_a_parent_and_a_child_and_every_flaw_is_named() {
        for kind in RecognitionKind::ALL {
            assert_eq!(RecognitionKind::of_code(kind.code()), Some(kind));
            assert!(
                found(&recognition(kind), &KnownFamily::default()).is_empty(),
                "{kind:?}"
            );
            let relation = recognition(kind).relation(Uuid::nil(), TODAY);
            assert_eq!((relation.valid_from, relation.valid_to), (date(2020, 5, 6), None));
            assert_eq!((relation.person_id, relation.relative_id), (person(0), person(1)));
        }
        for proof in RecognitionProof::ALL {
            assert_eq!(RecognitionProof::of_code(proof.code()), Some(proof));
        }
        let mut wrong = recognition(RecognitionKind::FatherRecognisesChild);
        wrong.parent = party(1, Sex::Female, date(2020, 5, 6));
        wrong.proof = Some(RecognitionProof::Undertaking);
        wrong.proof_date = Some(date(2026, 11, 24));
        wrong.parent_was_present = false;
        wrong.child_was_present = false;
        wrong.child.person.born = None;
        assert_eq!(
            found(&wrong, &KnownFamily::default()),
            [
                "birth_date",
                "recognition_sex",
                "proof_date",
                "recognition_witnesses",
                "recognition_presence",
                "recognition_presence",
                "recognition_consent",
            ]
        );
        let mut younger = recognition(RecognitionKind::ChildRecognisesMother);
        younger.child = party(0, Sex::Male, date(1993, 4, 1));
        younger.proof = None;
        assert_eq!(
            found(&younger, &KnownFamily::default()),
            ["parent_younger", "recognition_proof", "recognition_proof"]
        );
        younger.child = younger.parent.clone();
        assert!(found(&younger, &KnownFamily::default()).contains(&"same_person"));
    }

    #[test]
    fn who_is_dead_who_was_born_in_another_marriage_and_who_has_another_parent_is_no_plain_case() {
        let father = recognition(RecognitionKind::FatherRecognisesChild);
        let old = date(1990, 1, 1);
        let dead = KnownFamily::new(Vec::new(), [(person(1), TODAY)]).unwrap();
        assert_eq!(found(&father, &dead), ["recognition_deceased"]);
        let other = tie(TieKind::Father, 0, 3, date(2020, 5, 6), None);
        assert_eq!(found(&father, &known(vec![other])), ["recognition_other_parent"]);
        let mut noted = known(vec![other]);
        noted.parentage_noted.push(person(0));
        let findings = father.judge(&rules(), &noted, TODAY, TODAY);
        assert!(findings.violations.is_empty() && findings.questions.len() == 1);
        let own = tie(TieKind::Father, 0, 1, date(2020, 5, 6), None);
        assert_eq!(found(&father, &known(vec![own])), ["recognition_known"]);
        let above = vec![
            tie(TieKind::Mother, 0, 2, old, None),
            tie(TieKind::Father, 2, 1, old, None),
        ];
        assert_eq!(found(&father, &known(above)), ["recognition_line"]);
        // 300 days after the 11th of July 2019 is the 6th of May 2020.
        let mother = tie(TieKind::Mother, 0, 2, date(2020, 5, 6), None);
        for (ended, expected) in [(date(2019, 7, 11), 1), (date(2019, 7, 10), 0), (date(2025, 1, 1), 1)] {
            let married = tie(TieKind::Spouse, 4, 2, old, Some(ended));
            let asked = found(&father, &known(vec![mother, married]));
            assert_eq!(asked.len(), expected, "{ended}: {asked:?}");
            let own = tie(TieKind::Spouse, 1, 2, old, Some(ended));
            assert!(found(&father, &known(vec![mother, own])).is_empty());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The slow way: look at every day from the registration on.
        #[test]
        fn nobody_is_recognised_beside_another_parent(ties in ties(), by_mother in any::<bool>(), after in 0..40_i32) {
            let (kind, of_kind) = if by_mother {
                (RecognitionKind::MotherRecognisesChild, TieKind::Mother)
            } else {
                (RecognitionKind::FatherRecognisesChild, TieKind::Father)
            };
            let day = date(2000, 1, 1).checked_add(after.days()).unwrap();
            let stands = |is_own: bool| {
                ties.iter().any(|tie| {
                    tie.kind == of_kind && tie.person == person(0) && (tie.relative == person(1)) == is_own && lasts(tie, day)
                })
            };
            let (other, own) = (stands(false), stands(true));
            let mut wanted = recognition(kind);
            wanted.child = party(0, Sex::Male, date(1999, 12, 31));
            wanted.parent = party(1, kind.sex(), date(1970, 1, 1));
            wanted.proof_date = None;
            let told = codes(&wanted.judge(&rules(), &known(ties.clone()), day, TODAY));
            prop_assert_eq!(told.contains(&"recognition_other_parent"), other);
            prop_assert_eq!(told.contains(&"recognition_known"), own);
        }
    }
}
