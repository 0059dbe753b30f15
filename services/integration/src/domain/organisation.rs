//! Organisations and their codes through time.

use egov_codes::{AgencyCode, Generation};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

/// Where an organisation or a system stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It takes part.
    Active,
    /// Tạm ngừng.
    Suspended,
    /// It takes part no more.
    Closed,
}

impl Standing {
    /// The word under which it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }

    /// The standing that a stored word names.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Closed]
            .into_iter()
            .find(|one| one.as_str() == word)
    }

    /// Whether it may change so: what was closed stays closed.
    pub(crate) fn may_become(self, next: Self) -> bool {
        self != Self::Closed && self != next
    }
}

/// Cơ quan, tổ chức.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Organisation {
    pub(crate) organisation_id: Uuid,
    /// The unit that keeps the entry.
    pub(crate) responsible_unit_id: i32,
    pub(crate) name: String,
    pub(crate) codes: Vec<HeldCode>,
    /// X-Road member class and code.
    pub(crate) member_class: String,
    pub(crate) member_code: String,
    /// The unit of this platform that it is.
    pub(crate) unit_id: Option<i32>,
    pub(crate) contact: String,
    pub(crate) state: Standing,
    pub(crate) version: i64,
    pub(crate) create_time: Timestamp,
    pub(crate) update_time: Timestamp,
}

/// A code and the days of its use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HeldCode {
    pub(crate) code: AgencyCode,
    pub(crate) valid_from: Date,
    /// In use before this day.
    pub(crate) valid_to: Option<Date>,
}

impl HeldCode {
    /// The day by which is judged whose it is: today, or the nearest day on which it is in use.
    pub(crate) fn judged_on(&self, today: Date) -> Date {
        let last = self.valid_to.and_then(|end| end.yesterday().ok());
        today.max(self.valid_from).min(last.unwrap_or(Date::MAX))
    }
}

/// Since when and until when an agency code was an organisation's, and which unit of this platform that organisation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenure {
    pub(crate) unit_id: Option<i32>,
    pub(crate) valid_from: Date,
    /// In use before this day.
    pub(crate) valid_to: Option<Date>,
}

/// Whose the code was on a day, by all its tenures. The directory knows a code from the day of its registration; before that it
/// was its first holder's. Between two holders it is nobody's.
pub(crate) fn holder(tenures: &[Tenure], day: Date) -> Option<Tenure> {
    let first = tenures.iter().map(|tenure| tenure.valid_from).min()?;
    let day = day.max(first);
    let on_the_day = tenures
        .iter()
        .filter(|tenure| tenure.valid_from <= day && tenure.valid_to.is_none_or(|end| day < end));
    on_the_day.min_by_key(|tenure| tenure.valid_from).copied()
}

/// What the unit tree (cây đơn vị) says of whose an agency code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) unit_id: i32,
    /// False of a provisional code: the province has not issued it.
    pub(crate) issued: bool,
}

/// Nobody has confirmed that a code is the organisation's; whose it is by the unit tree, if it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unconfirmed(pub(crate) Option<i32>);

/// Whether a code may be given to an organisation that is this unit, or none of this platform: if the unit tree names the unit, or if
/// the administrator of the whole province so decides. What the province has issued to another unit nobody gives away: then the
/// unit tree is mended first.
pub(crate) fn confirm(named: Option<Named>, unit_id: Option<i32>, decided: bool) -> Result<(), Unconfirmed> {
    match named {
        Some(named) if Some(named.unit_id) == unit_id => Ok(()),
        Some(named) if named.issued || !decided => Err(Unconfirmed(Some(named.unit_id))),
        None if !decided => Err(Unconfirmed(None)),
        _ => Ok(()),
    }
}

/// Whether a unit may act under a code, by what the directory and the unit tree say of the day. A code that the province has issued to
/// another unit is not this one's, whoever registered it.
pub(crate) fn may_use(unit_id: i32, holder: Option<Tenure>, named: Option<Named>) -> bool {
    let held = holder.and_then(|tenure| tenure.unit_id) == Some(unit_id);
    held && named.is_none_or(|named| !named.issued || named.unit_id == unit_id)
}

/// Why a code is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodeRefusal {
    /// It is no code.
    #[error("{0}")]
    Malformed(egov_codes::CodeError),
    /// Two codes of one generation at once.
    #[error("an organisation has one code of each generation at a time")]
    TwoOfOneGeneration,
    /// It would begin before the one that it follows.
    #[error("a code begins after the one that it follows")]
    NotLater,
}

/// The number of a generation, as it is stored.
pub(crate) fn generation(code: &AgencyCode) -> i32 {
    match code.generation() {
        Generation::Qcvn102 => 1,
        Generation::Decision20 => 2,
    }
}

/// The codes of a new organisation.
pub(crate) fn first_codes(texts: &[String], today: Date) -> Result<Vec<HeldCode>, CodeRefusal> {
    let mut codes: Vec<HeldCode> = Vec::new();
    for text in texts {
        let code: AgencyCode = text.parse().map_err(CodeRefusal::Malformed)?;
        if codes.iter().any(|held| held.code.generation() == code.generation()) {
            return Err(CodeRefusal::TwoOfOneGeneration);
        }
        codes.push(HeldCode {
            code,
            valid_from: today,
            valid_to: None,
        });
    }
    Ok(codes)
}

impl Organisation {
    /// Gives a code from a day on: the code of the same generation that is in use ends on that day.
    pub(crate) fn set_code(&mut self, text: &str, from: Date) -> Result<(), CodeRefusal> {
        let code: AgencyCode = text.parse().map_err(CodeRefusal::Malformed)?;
        let same = |held: &&mut HeldCode| held.code.generation() == code.generation() && held.valid_to.is_none();
        if let Some(before) = self.codes.iter_mut().find(same) {
            if before.valid_from >= from {
                return Err(CodeRefusal::NotLater);
            }
            before.valid_to = Some(from);
        }
        self.codes.push(HeldCode {
            code,
            valid_from: from,
            valid_to: None,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn organisation(codes: &[&str]) -> Organisation {
        let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        Organisation {
            organisation_id: Uuid::nil(),
            responsible_unit_id: 1,
            name: "Sở Tư pháp".to_owned(),
            codes: first_codes(&codes, date(2026, 1, 1)).unwrap(),
            member_class: "GOV".to_owned(),
            member_code: "H41.12".to_owned(),
            unit_id: None,
            contact: String::new(),
            state: Standing::Active,
            version: 1,
            create_time: Timestamp::UNIX_EPOCH,
            update_time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_new_code_ends_the_one_of_its_generation_and_leaves_the_other() {
        let mut held = organisation(&["000.00.12.H41", "H41.12"]);
        held.set_code("H41.13", date(2026, 7, 1)).unwrap();
        let days: Vec<_> = held
            .codes
            .iter()
            .map(|code| (code.code.as_str(), code.valid_to))
            .collect();
        assert_eq!(
            days,
            [
                ("000.00.12.H41", None),
                ("H41.12", Some(date(2026, 7, 1))),
                ("H41.13", None)
            ]
        );
        assert_eq!(held.set_code("H41.14", date(2026, 7, 1)), Err(CodeRefusal::NotLater));
        assert!(matches!(
            held.set_code("no code", date(2027, 1, 1)),
            Err(CodeRefusal::Malformed(_))
        ));
    }

    #[test]
    fn two_codes_of_one_generation_are_refused() {
        let two = ["H41.1".to_owned(), "H41.2".to_owned()];
        assert_eq!(
            first_codes(&two, date(2026, 1, 1)),
            Err(CodeRefusal::TwoOfOneGeneration)
        );
    }

    fn tenure(unit_id: i32, from: Date, to: Option<Date>) -> Tenure {
        Tenure {
            unit_id: Some(unit_id),
            valid_from: from,
            valid_to: to,
        }
    }

    #[test]
    fn a_code_is_on_each_day_its_holders_of_that_day() {
        let change = date(2026, 7, 1);
        let tenures = [tenure(2, change, None), tenure(1, date(2021, 1, 1), Some(change))];
        let unit = |day| holder(&tenures, day).and_then(|tenure| tenure.unit_id);
        assert_eq!(unit(date(2026, 6, 30)), Some(1));
        assert_eq!(unit(change), Some(2));
        assert_eq!(unit(date(2019, 1, 1)), Some(1), "before the directory knew it");
        assert_eq!(holder(&tenures[1..], change), None, "nobody has it any more");
        assert_eq!(holder(&[], change), None);
    }

    #[test]
    fn between_two_holders_a_code_is_nobodys() {
        let (end, begin) = (date(2026, 7, 1), date(2026, 9, 1));
        let tenures = [tenure(2, begin, None), tenure(1, date(2021, 1, 1), Some(end))];
        let unit = |day| holder(&tenures, day).and_then(|tenure| tenure.unit_id);
        assert_eq!(unit(date(2026, 6, 30)), Some(1));
        assert_eq!(unit(date(2026, 8, 1)), None, "the next one has not begun");
        assert_eq!(unit(begin), Some(2));
    }

    proptest::proptest! {
        #[test]
        fn whoever_holds_a_code_on_a_day_is_found_whatever_the_order(
            spans in proptest::collection::vec((1_i32..400, 0_i32..100), 1..6), at in -100_i32..3000, turn in 0_usize..6,
        ) {
            let first = date(2021, 1, 1);
            let add = |day: Date, days: i32| day.saturating_add(jiff::Span::new().days(days));
            let mut from = first;
            let mut tenures = Vec::new();
            for (unit, (length, pause)) in (1_i32..).zip(&spans) {
                let to = add(from, *length);
                tenures.push(tenure(unit, from, Some(to)));
                from = add(to, *pause);
            }
            let day = add(first, at);
            let holds = |one: &&Tenure| one.valid_from <= day && one.valid_to.is_some_and(|to| day < to);
            let expected = if at < 0 { tenures.first() } else { tenures.iter().find(holds) }.copied();
            let turns = turn % tenures.len();
            tenures.rotate_left(turns);
            proptest::prop_assert_eq!(holder(&tenures, day), expected);
        }
    }

    #[test]
    fn a_code_is_confirmed_by_the_tree_or_by_a_decision_that_does_not_contradict_it() {
        let named = |unit_id, issued| Some(Named { unit_id, issued });
        for (tree, unit, decided, expected) in [
            (named(2, true), Some(2), false, Ok(())),
            (named(2, false), Some(2), false, Ok(())),
            (named(3, true), Some(2), false, Err(Unconfirmed(Some(3)))),
            (named(3, true), Some(2), true, Err(Unconfirmed(Some(3)))),
            (named(3, false), Some(2), false, Err(Unconfirmed(Some(3)))),
            (named(3, false), Some(2), true, Ok(())),
            (named(3, true), None, true, Err(Unconfirmed(Some(3)))),
            (None, Some(2), false, Err(Unconfirmed(None))),
            (None, Some(2), true, Ok(())),
            (None, None, false, Err(Unconfirmed(None))),
            (None, None, true, Ok(())),
        ] {
            assert_eq!(confirm(tree, unit, decided), expected, "{tree:?} {unit:?} {decided}");
        }
    }

    #[test]
    fn an_issued_code_is_used_by_the_unit_that_the_tree_names_only() {
        let held = |unit| Some(tenure(unit, date(2026, 1, 1), None));
        let named = |unit_id, issued| Some(Named { unit_id, issued });
        assert!(may_use(2, held(2), None) && may_use(2, held(2), named(2, true)));
        assert!(
            may_use(2, held(2), named(3, false)),
            "provisional in the tree: the directory decides"
        );
        assert!(
            !may_use(2, held(2), named(3, true)),
            "registered first, issued to another"
        );
        assert!(!may_use(2, held(3), named(2, true)), "the directory does not say so");
        assert!(!may_use(2, None, named(2, true)), "nor does it know the code");
    }

    #[test]
    fn a_code_is_judged_on_a_day_of_its_use() {
        let held = |from, to| HeldCode {
            code: "H41.2".parse().unwrap(),
            valid_from: from,
            valid_to: to,
        };
        let today = date(2026, 11, 23);
        let (past, to_come) = (date(2021, 1, 1), date(2027, 1, 1));
        assert_eq!(held(past, None).judged_on(today), today);
        assert_eq!(held(to_come, None).judged_on(today), to_come);
        assert_eq!(held(past, Some(to_come)).judged_on(today), today);
        assert_eq!(held(past, Some(today)).judged_on(today), date(2026, 11, 22));
    }

    #[test]
    fn what_was_closed_stays_closed() {
        assert!(Standing::Active.may_become(Standing::Suspended));
        assert!(Standing::Suspended.may_become(Standing::Active));
        assert!(!Standing::Active.may_become(Standing::Active));
        assert!(!Standing::Closed.may_become(Standing::Active));
    }
}
