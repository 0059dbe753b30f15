//! Số định danh cá nhân beside what is recorded of the person: sex and year of birth are compared, the province in it with nothing.

use egov_codes::{Discrepancy, PersonalNumber};

use super::pack::Rules;
use crate::domain::finding::Findings;
use crate::domain::person::{Born, Sex};

/// What the officer is asked if number and record do not agree. The number comes from the national population database and the record from the
/// books; which of them errs, neither tells, so a difference stands in nobody's way.
pub fn judge(rules: &Rules, number: &PersonalNumber, sex: Sex, born: Option<Born>, field: &str) -> Findings {
    let mut findings = Findings::default();
    for discrepancy in number.discrepancies(sex.told(), born.map(Born::year)) {
        let (code, vi, en) = match discrepancy {
            Discrepancy::Sex => (
                "personal_number_sex",
                "số định danh cá nhân cho biết giới tính khác với dữ liệu hộ tịch",
                "the personal number tells another sex than the record",
            ),
            Discrepancy::BirthYear => (
                "personal_number_year",
                "số định danh cá nhân cho biết năm sinh khác với dữ liệu hộ tịch",
                "the personal number tells another year of birth than the record",
            ),
        };
        findings.ask(
            code,
            field,
            &rules.personal_number.origin,
            (vi.to_owned(), en.to_owned()),
        );
    }
    findings
}

/// Why a number that was just assigned cannot be the child's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOfChild {
    /// It tells another sex.
    Sex,
    /// It tells another year of birth.
    BirthYear,
    /// It tells another province than the one where the birth is registered.
    Province,
}

/// Whether a number that was just assigned for a birth can be the child's: it tells sex, year of birth and province of the registration (TT
/// 07/2016/TT-BCA). Here a difference does stand in the way, since nobody has used the number yet; an officer finds out which of the two errs. `province`
/// is the code of the province of the registration, three digits; none where it is not known.
pub fn of_child(number: &PersonalNumber, sex: Sex, born: Option<Born>, province: Option<&str>) -> Option<NotOfChild> {
    let discrepancy = number
        .discrepancies(sex.told(), born.map(Born::year))
        .into_iter()
        .next();
    match discrepancy {
        Some(Discrepancy::Sex) => Some(NotOfChild::Sex),
        Some(Discrepancy::BirthYear) => Some(NotOfChild::BirthYear),
        None if province.is_some_and(|province| province != number.province()) => Some(NotOfChild::Province),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::rules::pack::tests::rules;

    proptest! {
        /// The slow way: write the digits that a person of this sex and year has and compare them; the province is any.
        #[test]
        fn a_number_agrees_with_sex_and_year_whatever_its_province(
            province in 1..97_u32, male in any::<bool>(), year in 1900..2100_i16, told_male in any::<bool>(), told_year in 1900..2100_i16,
        ) {
            let digit = (year - 1900) / 100 * 2 + i16::from(!male);
            let number: PersonalNumber = format!("{province:03}{digit}{:02}123456", year % 100).parse().unwrap();
            let sex = if told_male { Sex::Male } else { Sex::Female };
            let findings = judge(&rules(), &number, sex, Born::in_year(told_year).ok(), "child");
            let asked: Vec<&str> = findings.questions.iter().map(|one| one.code).collect();
            prop_assert!(findings.violations.is_empty());
            prop_assert_eq!(asked.contains(&"personal_number_sex"), male != told_male);
            prop_assert_eq!(asked.contains(&"personal_number_year"), year != told_year);
            prop_assert!(judge(&rules(), &number, Sex::Undetermined, None, "child").is_clear());
            // Of a number that was just assigned the same differences stand in the way, and another province.
            let told = if told_male { Sex::Male } else { Sex::Female };
            let refused = of_child(&number, told, Born::in_year(told_year).ok(), Some("040"));
            prop_assert_eq!(refused.is_none(), male == told_male && year == told_year && province == 40);
        }
    }
}
