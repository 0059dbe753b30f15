//! Nuôi con nuôi: what the register of adoptions says, and what must fit together in it.
//!
//! The law of adoption is one of its own; the commune keeps its register. Health, means and conduct of who adopts are not judged here. That a court ended an
//! adoption is a note beside the entry ([`super::annotation::adoption_after`]).

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

/// Quan hệ của người nhận con nuôi với trẻ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdopterRelationship {
    /// Cha dượng, mẹ kế.
    StepParent,
    /// Cô, cậu, dì, chú, bác ruột.
    AuntOrUncle,
}

impl AdopterRelationship {
    /// Every relationship.
    pub const ALL: [Self; 2] = [Self::StepParent, Self::AuntOrUncle];

    /// Its code in the contract.
    pub const fn code(self) -> i16 {
        match self {
            Self::StepParent => 1,
            Self::AuntOrUncle => 2,
        }
    }

    /// The relationship that a code names; none for 0.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|relationship| relationship.code() == code)
    }
}

/// Nội dung nuôi con nuôi.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// Người nhận con nuôi.
    pub adopter: Party,
    /// The spouse who adopts with the adopter.
    pub other_adopter: Option<Party>,
    /// Người được nhận làm con nuôi.
    pub child: Party,
    /// Quan hệ of the adopter with the child, for which the law asks less.
    pub relationship: Option<AdopterRelationship>,
    /// Người nhận con nuôi có mặt.
    pub adopters_were_present: bool,
    /// Cha mẹ đẻ, or người giám hộ, đồng ý.
    pub parents_consented: bool,
    /// Họ tên of who consented.
    pub consenting_names: Vec<String>,
    /// Người được nhận làm con nuôi đồng ý.
    pub child_consented: bool,
    /// Người yêu cầu.
    pub requester: Requester,
}

/// Shows nothing of it: that somebody is adopted is guarded.
impl std::fmt::Debug for Adoption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Adoption")
    }
}

const ADOPTER: &str = "adoption.adopter";
const OTHER: &str = "adoption.other_adopter";
const CHILD: &str = "adoption.child";

impl Adoption {
    /// Có yếu tố nước ngoài.
    pub fn is_foreign(&self) -> bool {
        self.child.person.is_foreign() || self.adopters().any(|(party, _)| party.person.is_foreign())
    }

    /// Who adopts, each with where it stands.
    pub fn adopters(&self) -> impl Iterator<Item = (&Party, &'static str)> {
        let other = self.other_adopter.iter().map(|party| (party, OTHER));
        std::iter::once((&self.adopter, ADOPTER)).chain(other)
    }

    /// Whose adoptive parents they are from the registration on.
    pub fn relations(&self, new_id: impl Fn() -> Uuid, registration: Date) -> Vec<Relation> {
        self.adopters()
            .map(|(party, _)| Relation {
                relation_id: new_id(),
                version: 1,
                kind: RelationKind::AdoptiveParent,
                person_id: self.child.person_id,
                relative_id: party.person_id,
                valid_from: registration,
                valid_to: None,
            })
            .collect()
    }

    /// Judges it by the rules of the day of the registration, over what is known of the parties and their families.
    pub fn judge(&self, rules: &Rules, family: &KnownFamily, registration: Date, today: Date) -> Findings {
        let mut findings = Findings::default();
        not_after_today(registration, today, &mut findings);
        for (party, field) in self.adopters().chain([(&self.child, CHILD)]) {
            party.judge(rules, field, registration, &mut findings);
            if !family.graph.is_alive_on(party.person_id, registration) {
                let told = words("đã được đăng ký khai tử", "is registered as dead");
                let origin = &rules.families.adoption_registration.origin;
                findings.violate("deceased", field, origin, told);
            }
        }
        let is_one_person = self.judge_persons(&mut findings);
        self.judge_child(rules, registration, &mut findings);
        for (party, field) in self.adopters() {
            self.judge_adopter(rules, family, (party, field), registration, &mut findings);
        }
        self.judge_consent(rules, registration, &mut findings);
        if !is_one_person {
            self.judge_couple(rules, family, registration, &mut findings);
            self.judge_family(rules, family, registration, &mut findings);
        }
        findings
    }

    /// They are different people; true if they are not.
    fn judge_persons(&self, findings: &mut Findings) -> bool {
        let child = self.child.person_id;
        let other = self.other_adopter.as_ref().map(|party| party.person_id);
        let is_child = self.adopter.person_id == child;
        let is_twice = other.is_some_and(|one| one == child || one == self.adopter.person_id);
        unless(
            findings,
            !is_child,
            "same_person",
            ADOPTER,
            ("trùng với người được nhận làm con nuôi", "is the adopted child"),
        );
        unless(
            findings,
            !is_twice,
            "same_person",
            OTHER,
            (
                "trùng với người được nhận làm con nuôi hoặc người nhận con nuôi kia",
                "is the adopted child or the other adopter",
            ),
        );
        is_child || is_twice
    }

    /// Tuổi của người được nhận làm con nuôi.
    fn judge_child(&self, rules: &Rules, registration: Date, findings: &mut Findings) {
        let rule = &rules.families.adopted;
        let under = if self.relationship.is_some() {
            rule.related_under
        } else {
            rule.under
        };
        let at = "adoption.child.date_of_birth";
        match self.child.has_reached(rules, under, registration) {
            Reached::No => {}
            Reached::Yes => findings.violate(
                "adopted_age",
                at,
                &rule.origin,
                (
                    format!("người được nhận làm con nuôi phải dưới {under} tuổi"),
                    format!("who is adopted is younger than {under}"),
                ),
            ),
            Reached::Unknown => findings.ask(
                "adopted_age_unknown",
                at,
                &rule.origin,
                (
                    format!("không rõ ngày sinh nên không xác định được còn dưới {under} tuổi hay không"),
                    format!(
                        "the day of birth is not known, so whether the child is younger than {under} cannot be told"
                    ),
                ),
            ),
        }
    }

    /// Whether somebody was so many years old when the child was born.
    fn is_older_by(&self, rules: &Rules, party: &Party, years: i16) -> Reached {
        let (Some(first), Some(last)) = (self.child.first_day(), self.child.last_day()) else {
            return Reached::Unknown;
        };
        match (
            party.has_reached(rules, years, first),
            party.has_reached(rules, years, last),
        ) {
            (Reached::Yes, _) => Reached::Yes,
            (_, Reached::No) => Reached::No,
            _ => Reached::Unknown,
        }
    }

    /// Hơn con nuôi bao nhiêu tuổi; of a step-parent, an aunt or an uncle it is not asked. Capacity is what courts have noted.
    fn judge_adopter(
        &self,
        rules: &Rules,
        family: &KnownFamily,
        (party, field): (&Party, &str),
        registration: Date,
        findings: &mut Findings,
    ) {
        let rule = &rules.families.adopter;
        let at = format!("{field}.date_of_birth");
        // A step-parent adopts alone; with an aunt or uncle goes the spouse, of whom it is asked all the same.
        let is_exempt = self.relationship.is_some() && field == ADOPTER;
        let of_age = party.has_reached(rules, rules.families.guardianship.age, registration);
        if of_age == Reached::No {
            let told = words("chưa thành niên", "is a minor");
            findings.violate("adopter_age", &at, &rule.origin, told);
        } else if !is_exempt {
            match self.is_older_by(rules, party, rule.age) {
                Reached::Yes => {}
                Reached::No => findings.violate(
                    "adopter_older",
                    &at,
                    &rule.origin,
                    (
                        format!("phải hơn con nuôi từ {} tuổi trở lên", rule.age),
                        format!("is older than the child by {} years at least", rule.age),
                    ),
                ),
                Reached::Unknown => findings.ask(
                    "adopter_older_unknown",
                    &at,
                    &rule.origin,
                    (
                        format!(
                            "không rõ ngày sinh nên không xác định được có hơn con nuôi {} tuổi hay không",
                            rule.age
                        ),
                        format!(
                            "days of birth are not known, so whether {} years lie between cannot be told",
                            rule.age
                        ),
                    ),
                ),
            }
        }
        if family.lacking.contains(&party.person_id) {
            let told = words(
                "có ghi chú mất hoặc hạn chế năng lực hành vi dân sự; cần công chức xem bản án, quyết định",
                "there is a note of lost or limited capacity; the officer reads the judgment",
            );
            findings.ask("adopter_capacity", field, &rule.origin, told);
        }
    }

    /// Parents or guardian agree, and a child that is old enough; who adopts is present.
    fn judge_consent(&self, rules: &Rules, registration: Date, findings: &mut Findings) {
        let rule = &rules.families.adoption_consent;
        let registering = &rules.families.adoption_registration.origin;
        if !self.adopters_were_present {
            let told = words(
                "người nhận con nuôi phải có mặt khi đăng ký",
                "who adopts is present at the registration",
            );
            findings.violate("adoption_presence", "adoption.adopters_were_present", registering, told);
        }
        if !self.parents_consented {
            let told = words(
                "phải có sự đồng ý của cha mẹ đẻ hoặc người giám hộ",
                "the parents or the guardian agree",
            );
            findings.violate("adoption_consent", "adoption.parents_consented", &rule.origin, told);
        }
        unless(
            findings,
            self.parents_consented != self.consenting_names.is_empty(),
            "adoption_consent",
            "adoption.consenting_names",
            (
                "phải ghi họ tên người đồng ý, và chỉ khi có sự đồng ý",
                "who agrees is named, and nobody where nobody does",
            ),
        );
        if self.is_foreign() {
            let told = words(
                "việc nuôi con nuôi có yếu tố nước ngoài; thẩm quyền theo pháp luật về nuôi con nuôi",
                "an adoption with a foreign element; who registers it the law of adoption says",
            );
            findings.ask("adoption_foreign", "adoption", registering, told);
        }
        if self.child_consented {
            return;
        }
        let field = "adoption.child_consented";
        match self.child.has_reached(rules, rule.age, registration) {
            Reached::No => {}
            Reached::Yes => findings.violate(
                "adoption_consent",
                field,
                &rule.origin,
                (
                    format!("trẻ từ đủ {} tuổi trở lên phải đồng ý", rule.age),
                    format!("a child of {} years or more agrees", rule.age),
                ),
            ),
            Reached::Unknown => findings.ask(
                "adoption_consent",
                field,
                &rule.origin,
                (
                    format!("không rõ trẻ đã đủ {} tuổi để phải hỏi ý kiến hay chưa", rule.age),
                    format!("whether the child is {} and has to be asked cannot be told", rule.age),
                ),
            ),
        }
    }

    /// One alone, or both of a couple: the other one is the spouse, and who is married does not adopt alone unless the child is the spouse's.
    fn judge_couple(&self, rules: &Rules, family: &KnownFamily, registration: Date, findings: &mut Findings) {
        let origin = &rules.families.adopted.origin;
        let adopter = self.adopter.person_id;
        let spouses = family.graph.spouses_on(adopter, registration);
        let is_step = self.relationship == Some(AdopterRelationship::StepParent);
        if let Some(other) = &self.other_adopter {
            unless(
                findings,
                !is_step,
                "adopter_relationship",
                "adoption.relationship",
                ("cha dượng, mẹ kế nhận con nuôi một mình", "a step-parent adopts alone"),
            );
            if spouses.contains(&other.person_id) {
                return;
            }
            let others = family.graph.spouses_on(other.person_id, registration);
            if !spouses.is_empty() || !others.is_empty() {
                let told = words(
                    "hai người nhận con nuôi không phải là vợ chồng của nhau",
                    "the two who adopt are not married to one another",
                );
                findings.violate("adopters_married", OTHER, origin, told);
            } else {
                let told = words(
                    "sổ hộ tịch không có việc kết hôn của hai người nhận con nuôi; công chức xem giấy chứng nhận kết hôn",
                    "the books know of no marriage of the two who adopt; the officer sees their certificate",
                );
                findings.ask("adopters_married", OTHER, origin, told);
            }
            return;
        }
        if !spouses.is_empty() && !is_step {
            let told = words(
                "đang có vợ hoặc chồng thì cả hai vợ chồng cùng nhận con nuôi",
                "who is married adopts together with the spouse",
            );
            findings.violate("adopter_married", ADOPTER, origin, told);
        }
    }

    /// What the books know between those who adopt and the child.
    fn judge_family(&self, rules: &Rules, family: &KnownFamily, registration: Date, findings: &mut Findings) {
        let child = self.child.person_id;
        let graph = &family.graph;
        for (party, field) in self.adopters() {
            let is_kin = graph.direct_line(party.person_id, child, registration).is_some()
                || graph.common_ancestor(party.person_id, child, 2, registration).is_some();
            if is_kin {
                let told = words(
                    "cha, mẹ, ông, bà không nhận con, cháu ruột làm con nuôi; anh, chị, em không nhận nhau làm con nuôi",
                    "nobody adopts an own child, a grandchild, a brother or a sister",
                );
                findings.violate("adoption_kin", field, &rules.families.adoption_kin.origin, told);
            }
        }
        let adopter = self.adopter.person_id;
        let is_known = match self.relationship {
            None => true,
            Some(AdopterRelationship::StepParent) => {
                let parents = graph.parents_on(child, registration);
                let spouses = graph.spouses_on(adopter, registration);
                parents.intersection(&spouses).next().is_some()
            }
            // The common ancestor is the adopter's parent and the child's grandparent.
            Some(AdopterRelationship::AuntOrUncle) => graph
                .common_ancestor(adopter, child, 3, registration)
                .is_some_and(|common| (common.of_one, common.of_other) == (1, 2)),
        };
        if !is_known {
            let told = words(
                "sổ hộ tịch không cho biết quan hệ này giữa người nhận con nuôi và trẻ; công chức xem giấy tờ",
                "the books do not tell this relationship of adopter and child; the officer sees papers",
            );
            let origin = &rules.families.adopted.origin;
            findings.ask("adopter_relationship", "adoption.relationship", origin, told);
        }
        if family
            .lasting(child, TieKind::AdoptiveParent, registration)
            .next()
            .is_some()
        {
            let told = words(
                "đang là con nuôi của người khác; việc chấm dứt theo quyết định của toà án được ghi chú trước",
                "is registered as adopted; that a court ended it is noted first",
            );
            let origin = &rules.families.adopted.origin;
            findings.violate("adopted_already", CHILD, origin, told);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::kinship::Tie;
    use crate::domain::kinship::tests::{person, tie, ties};
    use crate::domain::party::tests::{codes, lasts, party};
    use crate::domain::person::{PersonName, Sex};
    use crate::domain::rules::pack::tests::rules;

    const TODAY: Date = date(2026, 11, 23);
    const OLD: Date = date(1960, 1, 1);

    /// 1 adopts 0.
    fn adoption() -> Adoption {
        Adoption {
            adopter: party(1, Sex::Female, date(1985, 4, 1)),
            other_adopter: None,
            child: party(0, Sex::Male, date(2020, 5, 6)),
            relationship: None,
            adopters_were_present: true,
            parents_consented: true,
            consenting_names: vec!["Trần Thị B".to_owned()],
            child_consented: false,
            requester: Requester {
                full_name: PersonName::read("Trần Văn A").unwrap(),
                relationship: "người nhận con nuôi".to_owned(),
                paper: None,
            },
        }
    }

    fn found(adoption: &Adoption, family: &KnownFamily) -> Vec<&'static str> {
        codes(&adoption.judge(&rules(), family, TODAY, TODAY))
    }

    fn known(ties: Vec<Tie>) -> KnownFamily {
        KnownFamily::new(ties, []).unwrap()
    }

    #[test]
    fn one_alone_or_a_couple_adopts_a_child_and_every_flaw_is_named() {
        for relationship in AdopterRelationship::ALL {
            assert_eq!(AdopterRelationship::of_code(relationship.code()), Some(relationship));
        }
        let nobody = KnownFamily::default();
        assert!(found(&adoption(), &nobody).is_empty());
        let relations = adoption().relations(Uuid::nil, TODAY);
        assert_eq!((relations.len(), relations[0].valid_from), (1, TODAY));
        let mut wrong = adoption();
        wrong.adopter = party(1, Sex::Female, date(2001, 5, 6));
        wrong.child = party(0, Sex::Male, date(2010, 11, 23));
        wrong.adopters_were_present = false;
        wrong.parents_consented = false;
        assert_eq!(
            found(&wrong, &nobody),
            [
                "adopted_age",
                "adopter_older",
                "adoption_presence",
                "adoption_consent",
                "adoption_consent",
                "adoption_consent",
            ]
        );
        let mut couple = adoption();
        couple.other_adopter = Some(party(2, Sex::Male, date(1984, 1, 1)));
        assert_eq!(found(&couple, &nobody), ["adopters_married"]);
        let married = tie(TieKind::Spouse, 2, 1, OLD, None);
        assert!(found(&couple, &known(vec![married])).is_empty());
        assert_eq!(couple.relations(Uuid::nil, TODAY).len(), 2);
        let to_another = tie(TieKind::Spouse, 2, 3, OLD, None);
        let findings = couple.judge(&rules(), &known(vec![to_another]), TODAY, TODAY);
        assert_eq!(findings.violations.len(), 1, "the one is married to somebody else");
        assert_eq!(found(&adoption(), &known(vec![married])), ["adopter_married"]);
        couple.other_adopter = Some(couple.child.clone());
        assert!(found(&couple, &nobody).contains(&"same_person"));
    }

    #[test]
    fn of_a_step_parent_an_aunt_or_uncle_less_is_asked_and_kin_do_not_adopt() {
        let mut step = adoption();
        step.relationship = Some(AdopterRelationship::StepParent);
        step.adopter = party(1, Sex::Female, date(2001, 5, 6));
        assert_eq!(found(&step, &KnownFamily::default()), ["adopter_relationship"]);
        let family = vec![
            tie(TieKind::Father, 0, 2, OLD, None),
            tie(TieKind::Spouse, 2, 1, OLD, None),
        ];
        assert!(found(&step, &known(family.clone())).is_empty());
        step.relationship = None;
        assert_eq!(found(&step, &known(family)), ["adopter_older", "adopter_married"]);
        let mut aunt = adoption();
        aunt.relationship = Some(AdopterRelationship::AuntOrUncle);
        aunt.child = party(0, Sex::Male, date(2009, 1, 1));
        aunt.child_consented = true;
        let sisters = vec![
            tie(TieKind::Mother, 1, 5, OLD, None),
            tie(TieKind::Mother, 2, 5, OLD, None),
            tie(TieKind::Mother, 0, 2, OLD, None),
        ];
        assert!(found(&aunt, &known(sisters.clone())).is_empty(), "17 and no stranger");
        aunt.relationship = None;
        assert_eq!(found(&aunt, &known(sisters)), ["adopted_age"]);
        let siblings = vec![
            tie(TieKind::Mother, 1, 5, OLD, None),
            tie(TieKind::Mother, 0, 5, OLD, None),
        ];
        assert_eq!(found(&adoption(), &known(siblings)), ["adoption_kin"]);
        let own = vec![tie(TieKind::Mother, 0, 1, OLD, None)];
        assert_eq!(found(&adoption(), &known(own)), ["adoption_kin"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// The slow way: count the birthdays of who adopts until the child is born.
        #[test]
        fn who_adopts_is_older_by_so_many_birthdays(born in 0..4_000_i32, later in 0..12_000_i32) {
            let own = date(1980, 3, 1).checked_add(born.days()).unwrap();
            let child = own.checked_add(later.days()).unwrap();
            // 29 February is the business of the rule of ages, which has a test of its own.
            prop_assume!((own.month(), own.day()) != (2, 29) && child <= date(2026, 1, 1));
            let birthdays = own
                .series(1.day())
                .skip(1)
                .take_while(|day| *day <= child)
                .filter(|day| (day.month(), day.day()) == (own.month(), own.day()))
                .count();
            let mut wanted = adoption();
            wanted.adopter = party(1, Sex::Male, own);
            wanted.child = party(0, Sex::Male, child);
            let told = wanted.is_older_by(&rules(), &wanted.adopter, 20);
            prop_assert_eq!(told, if birthdays >= 20 { Reached::Yes } else { Reached::No });
        }

        /// The slow way: look at every day from the registration on.
        #[test]
        fn nobody_is_adopted_again_on_any_day_of_an_adoption(ties in ties(), after in 0..40_i32) {
            let day = date(2000, 1, 1).checked_add(after.days()).unwrap();
            let expected = ties
                .iter()
                .any(|tie| tie.kind == TieKind::AdoptiveParent && tie.person == person(0) && lasts(tie, day));
            let mut wanted = adoption();
            wanted.child = party(0, Sex::Male, date(1999, 12, 31));
            wanted.adopter = party(1, Sex::Female, OLD);
            let told = codes(&wanted.judge(&rules(), &known(ties.clone()), day, TODAY));
            prop_assert_eq!(told.contains(&"adopted_already"), expected);
        }
    }
}
