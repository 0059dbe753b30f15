//! The numbers of the rules on recognition, guardianship and adoption (`[families.…]` of a pack).

use egov_calendar::Origin;
use serde::Deserialize;

use super::pack::Plain;

/// Tuổi.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgeRule {
    /// In whole years.
    pub age: i16,
    /// What it rests on.
    pub origin: Origin,
}

/// Chứng cứ, có mặt khi đăng ký nhận cha, mẹ, con.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofRule {
    /// How many witnesses an undertaking has at least.
    pub witnesses: usize,
    /// What it rests on.
    pub origin: Origin,
}

/// Con chung của vợ chồng: whose child one is who was born in a marriage, or soon after it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresumptionRule {
    /// Within how many days after the end of the marriage.
    pub days: i32,
    /// What it rests on.
    pub origin: Origin,
}

/// Tuổi của người được nhận làm con nuôi.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptedAge {
    /// Younger than so many whole years.
    pub under: i16,
    /// Younger than so many, if a step-parent, an aunt or an uncle adopts.
    pub related_under: i16,
    /// What it rests on.
    pub origin: Origin,
}

/// The rules of families, each with its own article.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyRules {
    /// Chứng cứ and presence of those who recognise one another.
    pub recognition: ProofRule,
    /// What a court decides of parents and children.
    pub recognition_court: Plain,
    /// From which age on a child that is recognised is asked.
    pub recognition_consent: AgeRule,
    /// Con chung của vợ chồng.
    pub presumption: PresumptionRule,
    /// Người được giám hộ, người giám hộ, người giám sát; of age is who has this age.
    pub guardianship: AgeRule,
    /// Chấm dứt giám hộ.
    pub guardianship_end: Plain,
    /// Người được nhận làm con nuôi.
    pub adopted: AdoptedAge,
    /// Người nhận con nuôi: how many years older.
    pub adopter: AgeRule,
    /// Who does not adopt whom.
    pub adoption_kin: Plain,
    /// From which age on a child agrees, and that parents or the guardian do.
    pub adoption_consent: AgeRule,
    /// Who registers an adoption, and who is present.
    pub adoption_registration: Plain,
}

impl FamilyRules {
    /// What is wrong with the numbers.
    pub(super) fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        let mut demand = |holds: bool, flaw: &str| {
            if !holds {
                flaws.push(flaw.to_owned());
            }
        };
        for (path, age) in [
            ("recognition_consent.age", self.recognition_consent.age),
            ("guardianship.age", self.guardianship.age),
            ("adopted.under", self.adopted.under),
            ("adopted.related_under", self.adopted.related_under),
            ("adopter.age", self.adopter.age),
            ("adoption_consent.age", self.adoption_consent.age),
        ] {
            demand((1..=100).contains(&age), &format!("families.{path}: 1 to 100 years"));
        }
        demand(
            self.adopted.under <= self.adopted.related_under,
            "families.adopted.related_under: less than under",
        );
        demand(
            (1..=10).contains(&self.recognition.witnesses),
            "families.recognition.witnesses: 1 to 10",
        );
        demand(
            (1..=400).contains(&self.presumption.days),
            "families.presumption.days: 1 to 400",
        );
        flaws
    }

    /// What each table rests on.
    pub fn origins(&self) -> [(&'static str, &Origin); 11] {
        [
            ("families.recognition", &self.recognition.origin),
            ("families.recognition_court", &self.recognition_court.origin),
            ("families.recognition_consent", &self.recognition_consent.origin),
            ("families.presumption", &self.presumption.origin),
            ("families.guardianship", &self.guardianship.origin),
            ("families.guardianship_end", &self.guardianship_end.origin),
            ("families.adopted", &self.adopted.origin),
            ("families.adopter", &self.adopter.origin),
            ("families.adoption_kin", &self.adoption_kin.origin),
            ("families.adoption_consent", &self.adoption_consent.origin),
            ("families.adoption_registration", &self.adoption_registration.origin),
        ]
    }
}
