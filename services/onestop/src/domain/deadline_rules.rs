//! Quy định về gia hạn và nhắc việc: when an extension is given at the latest, when reminders come, and how long the reception may take, as
//! dated data (`deploy/packs/deadlines`).

use jiff::civil::{Date, Time};
use serde::Deserialize;

use super::pack::Fact;

/// Why a pack of deadlines is refused.
#[derive(Debug, thiserror::Error)]
pub enum DeadlineRulesError {
    /// The text is not TOML of this shape.
    #[error("the rules of deadlines cannot be read: {0}")]
    Malformed(#[from] toml::de::Error),
    /// It ends before it begins.
    #[error("effective_to is not after effective_from")]
    EndsFirst,
    /// So long ahead nobody is warned.
    #[error("more than {MOST_DAYS} working days ahead")]
    TooFar,
    /// An answer within no time, or in weeks.
    #[error("an answer is owed within 1 to {MOST_HOURS} working hours")]
    NoAnswer,
}

/// One dated set of rules.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadlineRules {
    /// Its name.
    pub name: String,
    /// In force from this day.
    pub effective_from: Date,
    /// In force until this day (exclusive).
    #[serde(default)]
    pub effective_to: Option<Date>,
    /// Gia hạn.
    pub extension: ExtensionRule,
    /// Nhắc việc.
    pub reminder: ReminderRule,
    /// Trả lời hồ sơ nộp trực tuyến; none where nobody says within which time.
    #[serde(default)]
    pub answer: Option<AnswerRule>,
    /// Chuyển hồ sơ đến cơ quan giải quyết; none where nobody says within which time.
    #[serde(default)]
    pub transfer: Option<TransferRule>,
}

/// Within which time a case that was filed online is taken in, asked to be completed, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRule {
    /// Giờ làm việc from the filing.
    pub working_hours: u32,
    /// The article.
    pub legal_basis: String,
    /// How it is established.
    pub fact: Fact,
}

/// When a case that was taken in goes to who handles it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRule {
    /// On the same working day; on the next one if it was taken in after this time of day.
    pub cut_off: Time,
    /// The article.
    pub legal_basis: String,
    /// How it is established.
    pub fact: Fact,
}

/// When the apology with the new date is given at the latest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtensionRule {
    /// By the close of the office so many working days before the due date.
    pub notice_working_days: u32,
    /// The article.
    pub legal_basis: String,
    /// How it is established.
    pub fact: Fact,
}

/// When the officer is reminded. No law: how the province works.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReminderRule {
    /// As the office opens so many working days before the due date.
    pub working_days_before: u32,
    /// Where that lies before the acceptance: so many minutes before the due time.
    pub minutes_before: u32,
    /// How it is established.
    pub fact: Fact,
}

impl DeadlineRules {
    /// Reads a pack.
    ///
    /// # Errors
    /// Text of another shape, or a period that ends before it begins.
    pub fn from_toml(text: &str) -> Result<Self, DeadlineRulesError> {
        let rules: Self = toml::from_str(text)?;
        if rules.effective_to.is_some_and(|end| end <= rules.effective_from) {
            return Err(DeadlineRulesError::EndsFirst);
        }
        if rules.extension.notice_working_days > MOST_DAYS || rules.reminder.working_days_before > MOST_DAYS {
            return Err(DeadlineRulesError::TooFar);
        }
        let hours = rules.answer.as_ref().map(|answer| answer.working_hours);
        if hours.is_some_and(|hours| !(1..=MOST_HOURS).contains(&hours)) {
            return Err(DeadlineRulesError::NoAnswer);
        }
        Ok(rules)
    }

    /// True if it is in force on this day.
    pub fn in_force_on(&self, day: Date) -> bool {
        self.effective_from <= day && self.effective_to.is_none_or(|end| day < end)
    }
}

/// Nobody is warned of anything longer ahead.
const MOST_DAYS: u32 = 60;

/// No applicant waits longer for a first word.
const MOST_HOURS: u32 = 480;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACK: &str = include_str!("../../../../deploy/packs/deadlines/deadlines-2025.toml");

    #[test]
    fn the_pack_of_the_product_says_a_day_before_and_that_nobody_confirmed_it() {
        let rules = DeadlineRules::from_toml(PACK).unwrap();
        assert_eq!(rules.extension.notice_working_days, 1);
        assert!(
            !rules
                .extension
                .fact
                .is_settled(crate::domain::pack::Profile::Production)
        );
        let (answer, transfer) = (rules.answer.as_ref().unwrap(), rules.transfer.as_ref().unwrap());
        assert_eq!(
            (answer.working_hours, transfer.cut_off),
            (8, jiff::civil::time(15, 0, 0, 0))
        );
        for fact in [&answer.fact, &transfer.fact] {
            assert!(!fact.is_settled(crate::domain::pack::Profile::Production));
        }
        assert!(rules.in_force_on(jiff::civil::date(2026, 11, 23)));
        assert!(!rules.in_force_on(jiff::civil::date(2025, 6, 30)));
    }

    #[test]
    fn a_pack_that_ends_before_it_begins_is_refused() {
        let text = PACK.replace("effective_from", "effective_to = \"2020-01-01\"\neffective_from");
        assert!(DeadlineRules::from_toml(&text).is_err());
    }

    #[test]
    fn a_pack_may_say_nothing_of_the_reception_and_no_answer_is_owed_in_no_time() {
        let reception = PACK.find("# Trả lời hồ sơ nộp trực tuyến").unwrap();
        let rules = DeadlineRules::from_toml(&PACK[..reception]).unwrap();
        assert_eq!((rules.answer, rules.transfer), (None, None));
        for hours in ["0", "481"] {
            let text = PACK.replace("working_hours = 8", &format!("working_hours = {hours}"));
            let refused = DeadlineRules::from_toml(&text);
            assert!(matches!(refused, Err(DeadlineRulesError::NoAnswer)), "{hours}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_of_the_pack_fall_over(text in "\\PC{0,400}", at in 0..2_000_usize) {
            let _ = DeadlineRules::from_toml(&text);
            let cut = (0..=at.min(PACK.len())).rev().find(|place| PACK.is_char_boundary(*place)).unwrap_or(0);
            let _ = DeadlineRules::from_toml(&format!("{}{text}", &PACK[..cut]));
        }
    }
}
