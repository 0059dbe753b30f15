//! Điều kiện kết hôn: everything that the law asks of two people on the day of the registration.

use jiff::civil::Date;
use uuid::Uuid;

use super::age::{Reached, reached};
use super::pack::Rules;
use super::{bigamy, consanguinity};
use crate::domain::finding::Findings;
use crate::domain::kinship::FamilyGraph;
use crate::domain::person::{Born, Sex};

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub struct Betrothed {
    /// Who.
    pub person: Uuid,
    /// Giới tính.
    pub sex: Sex,
    /// Ngày sinh, as far as it is known.
    pub born: Option<Born>,
    /// Có mặt và ký (unconfirmed): is present and signs.
    pub is_present: bool,
    /// Tự nguyện: has declared to marry of the own will.
    pub is_willing: bool,
    /// A record says that the capacity is lost or limited (mất, hạn chế năng lực hành vi dân sự) on the day.
    pub lacks_capacity: bool,
}

/// Judges a marriage on its day. The fields of the findings are `husband`, `wife` and `marriage`.
pub fn judge(rules: &Rules, graph: &FamilyGraph, husband: &Betrothed, wife: &Betrothed, day: Date) -> Findings {
    let mut findings = Findings::default();
    for (one, field, sex) in [(husband, "husband", Sex::Male), (wife, "wife", Sex::Female)] {
        findings.join(sex_and_age(rules, one, field, sex, day));
        findings.join(will_and_capacity(rules, one, field));
        findings.join(bigamy::judge(rules, graph, one.person, field, day));
    }
    findings.join(consanguinity::judge(
        rules,
        graph,
        husband.person,
        wife.person,
        "marriage",
        day,
    ));
    findings
}

fn sex_and_age(rules: &Rules, one: &Betrothed, field: &str, sex: Sex, day: Date) -> Findings {
    let mut findings = Findings::default();
    let origin = &rules.marriage_age.origin;
    if one.sex != sex {
        let words = (
            format!("giới tính không phải là {}", sex.vi()),
            format!("the sex is not {}", sex.en()),
        );
        findings.violate("marriage_sex", &format!("{field}.sex"), origin, words);
    }
    let age = match sex {
        Sex::Male => rules.marriage_age.male,
        Sex::Female | Sex::Undetermined => rules.marriage_age.female,
    };
    let at = format!("{field}.date_of_birth");
    let told = one.born.map_or(Reached::Unknown, |born| {
        reached(born, age, day, rules.marriage_age.leap_day_birthday)
    });
    match told {
        Reached::Yes => {}
        Reached::No => findings.violate(
            "marriage_age",
            &at,
            origin,
            (
                format!("chưa đủ {age} tuổi vào ngày đăng ký kết hôn"),
                format!("is not yet {age} on the day of the marriage"),
            ),
        ),
        Reached::Unknown => findings.ask(
            "marriage_age_unknown",
            &at,
            origin,
            (
                format!("không rõ ngày, tháng sinh nên không xác định được đã đủ {age} tuổi hay chưa"),
                format!("the day of birth is not known, so whether the age of {age} is reached cannot be told"),
            ),
        ),
    }
    findings
}

fn will_and_capacity(rules: &Rules, one: &Betrothed, field: &str) -> Findings {
    let mut findings = Findings::default();
    // Luật Hôn nhân và gia đình 52/2014/QH13 Đ.8 names them together with the age.
    let origin = &rules.marriage_age.origin;
    if !one.is_present {
        let words = (
            "phải có mặt và ký khi đăng ký kết hôn".to_owned(),
            "is present and signs when the marriage is registered".to_owned(),
        );
        findings.violate("marriage_presence", field, origin, words);
    }
    if !one.is_willing {
        let words = (
            "chưa có cam đoan tự nguyện kết hôn".to_owned(),
            "has not declared to marry of the own will".to_owned(),
        );
        findings.violate("marriage_will", field, origin, words);
    }
    if one.lacks_capacity {
        // The register holds the note of a court; whether it bars this marriage is read in the judgment.
        let words = (
            "có ghi chú mất hoặc hạn chế năng lực hành vi dân sự; cần công chức xem bản án, quyết định".to_owned(),
            "there is a note of lost or limited capacity; the officer reads the judgment".to_owned(),
        );
        findings.ask("marriage_capacity", field, origin, words);
    }
    findings
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::finding::Violation;
    use crate::domain::kinship::TieKind;
    use crate::domain::kinship::tests::{person, tie, ties};
    use crate::domain::rules::pack::tests::rules;

    const DAY: Date = date(2026, 6, 15);

    fn betrothed(number: u128, sex: Sex, born: Date) -> Betrothed {
        Betrothed {
            person: person(number),
            sex,
            born: Born::on(born).ok(),
            is_present: true,
            is_willing: true,
            lacks_capacity: false,
        }
    }

    fn codes(violations: &[Violation]) -> Vec<&'static str> {
        violations.iter().map(|one| one.code).collect()
    }

    #[test]
    fn two_of_age_who_are_no_kin_may_marry_and_a_day_too_early_may_not() {
        let graph = FamilyGraph::default();
        let (husband, wife) = (
            betrothed(1, Sex::Male, date(2006, 6, 15)),
            betrothed(2, Sex::Female, date(2008, 6, 15)),
        );
        assert!(judge(&rules(), &graph, &husband, &wife, DAY).is_clear());
        let found = judge(&rules(), &graph, &husband, &wife, date(2026, 6, 14));
        assert_eq!(codes(&found.violations), ["marriage_age", "marriage_age"]);
        assert!(found.violations[0].basis.article.contains("52/2014"));
        let swapped = judge(&rules(), &graph, &wife, &husband, DAY);
        assert_eq!(
            codes(&swapped.violations),
            ["marriage_sex", "marriage_age", "marriage_sex"]
        );
    }

    #[test]
    fn what_is_not_known_is_asked_and_what_is_missing_is_a_violation() {
        let graph = FamilyGraph::default();
        let mut husband = betrothed(1, Sex::Male, date(1990, 1, 1));
        let mut wife = betrothed(2, Sex::Female, date(1990, 1, 1));
        husband.born = Born::in_year(2006).ok();
        husband.lacks_capacity = true;
        (wife.is_present, wife.is_willing, wife.born) = (false, false, None);
        let found = judge(&rules(), &graph, &husband, &wife, DAY);
        assert_eq!(codes(&found.violations), ["marriage_presence", "marriage_will"]);
        let asked: Vec<&str> = found.questions.iter().map(|one| one.code).collect();
        assert_eq!(
            asked,
            ["marriage_age_unknown", "marriage_capacity", "marriage_age_unknown"]
        );
    }

    #[test]
    fn a_spouse_kin_and_lines_without_blood_stand_in_the_way() {
        let old = date(1950, 1, 1);
        let ties = [
            tie(TieKind::Spouse, 1, 3, old, None),
            tie(TieKind::Father, 1, 4, old, None),
            tie(TieKind::Father, 2, 4, old, None),
            tie(TieKind::AdoptiveParent, 2, 1, old, Some(date(1990, 1, 1))),
        ];
        let graph = FamilyGraph::new(ties, []).unwrap();
        let husband = betrothed(1, Sex::Male, date(1970, 1, 1));
        let wife = betrothed(2, Sex::Female, date(1980, 1, 1));
        let found = judge(&rules(), &graph, &husband, &wife, DAY);
        assert_eq!(
            codes(&found.violations),
            ["bigamy", "kin_within_generations", "adoptive_line"]
        );
        assert!(found.violations[2].vi.contains("đã từng là"));
    }

    #[test]
    fn an_adoptive_parent_of_the_spouse_is_asked_about() {
        let old = date(1950, 1, 1);
        let ties = [
            tie(TieKind::Spouse, 2, 3, old, Some(date(2020, 1, 1))),
            tie(TieKind::AdoptiveParent, 3, 1, old, None),
        ];
        let graph = FamilyGraph::new(ties, []).unwrap();
        let husband = betrothed(1, Sex::Male, date(1950, 1, 1));
        let wife = betrothed(2, Sex::Female, date(1980, 1, 1));
        let found = judge(&rules(), &graph, &husband, &wife, DAY);
        assert!(found.violations.is_empty());
        assert_eq!(found.questions[0].code, "in_law_line");
    }

    proptest! {
        /// Whatever the family: whom it is told about first does not matter to whether two may marry.
        #[test]
        fn the_order_of_the_two_does_not_matter_to_their_kinship(ties in ties(), one in 0..8_u128, apart in 1..8_u128) {
            let graph = FamilyGraph::new(ties, []).unwrap();
            let (one, other) = (person(one), person((one + apart) % 8));
            let day = date(2000, 1, 20);
            let told = |findings: &Findings| {
                let mut all: Vec<(bool, &str)> = findings.violations.iter().map(|one| (true, one.code)).collect();
                all.extend(findings.questions.iter().map(|one| (false, one.code)));
                all.sort_unstable();
                all.into_iter().map(|(blocks, code)| (blocks, code.to_owned())).collect::<Vec<_>>()
            };
            let forth = consanguinity::judge(&rules(), &graph, one, other, "marriage", day);
            let back = consanguinity::judge(&rules(), &graph, other, one, "marriage", day);
            prop_assert_eq!(told(&forth), told(&back));
        }
    }
}
