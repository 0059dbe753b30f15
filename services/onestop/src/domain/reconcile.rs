//! Đối soát ba bên: what we say was paid, what the payment platform says, what the treasury booked, and where they differ.
//!
//! An online payment is on all three sides; cash never was at the platform. Pure: the three lists go in, what agrees and what differs
//! comes out.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::charge::Way;

/// The kind of aggregate of a reconciliation.
pub const KIND: &str = "reconciliation";

/// The kind of aggregate of a difference.
pub const DIFFERENCE: &str = "payment_difference";

/// The kind of aggregate of a file of the treasury.
pub const TREASURY_FILE: &str = "treasury_file";

/// A payment as we have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Its id.
    pub payment_id: Uuid,
    /// Its case.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// How it was paid.
    pub way: Way,
    /// Code of the order, or number of the receipt.
    pub reference: String,
    /// VND.
    pub amount_vnd: i64,
    /// On which day.
    pub day: Date,
}

/// A payment as another side has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Theirs {
    /// Code of the order, or number of the receipt.
    pub reference: String,
    /// Mã hồ sơ, where that side knows it.
    pub case_code: String,
    /// VND.
    pub amount_vnd: i64,
    /// On which day.
    pub day: Date,
}

/// How two sides differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// We have it, the platform does not.
    MissingAtPlatform = 1,
    /// We have it, the treasury does not.
    MissingInTreasury = 2,
    /// The platform has it, we do not.
    UnknownFromPlatform = 3,
    /// The treasury has it, we do not.
    UnknownFromTreasury = 4,
    /// The platform names another amount.
    AmountAtPlatform = 5,
    /// The treasury names another amount.
    AmountInTreasury = 6,
    /// The platform lists it more than once.
    DoubleAtPlatform = 7,
    /// The treasury booked it more than once.
    DoubleInTreasury = 8,
    /// The platform lists it on another day.
    DayAtPlatform = 9,
    /// The treasury booked it on another day.
    DayInTreasury = 10,
    /// The treasury booked it for another case.
    CaseInTreasury = 11,
}

impl DifferenceKind {
    /// All, by code.
    pub const ALL: [Self; 11] = [
        Self::MissingAtPlatform,
        Self::MissingInTreasury,
        Self::UnknownFromPlatform,
        Self::UnknownFromTreasury,
        Self::AmountAtPlatform,
        Self::AmountInTreasury,
        Self::DoubleAtPlatform,
        Self::DoubleInTreasury,
        Self::DayAtPlatform,
        Self::DayInTreasury,
        Self::CaseInTreasury,
    ];

    /// In the database and the contract.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The kind with this code.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// What the sides say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// Our amount, VND.
    pub our_vnd: Option<i64>,
    /// The platform's.
    pub platform_vnd: Option<i64>,
    /// The treasury's.
    pub treasury_vnd: Option<i64>,
    /// Our day.
    pub our_day: Option<Date>,
    /// The platform's.
    pub platform_day: Option<Date>,
    /// The treasury's.
    pub treasury_day: Option<Date>,
    /// Mã hồ sơ for which the treasury booked it, where it is another than ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treasury_case: Option<String>,
}

/// A difference that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// How the sides differ.
    pub kind: DifferenceKind,
    /// Code of the order, or number of the receipt.
    pub reference: String,
    /// Mã hồ sơ, where it is known.
    pub case_code: String,
    /// Our case, if we have the payment.
    pub case_id: Option<Uuid>,
    /// Our payment.
    pub payment_id: Option<Uuid>,
    /// What the sides say.
    pub sides: Sides,
}

/// What came of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Payments of the day about which all sides agree: case and payment.
    pub matched: Vec<(Uuid, Uuid)>,
    /// Where they differ, by reference and kind.
    pub differences: Vec<Found>,
}

/// What files of the treasury say together. One that is given again, with more lines or for another day, repeats what the one before said:
/// a line counts as often as the file says it that says it most often. By reference.
pub fn merged(said: impl IntoIterator<Item = (Uuid, Theirs)>) -> Vec<Theirs> {
    let mut counted: BTreeMap<Theirs, BTreeMap<Uuid, usize>> = BTreeMap::new();
    for (file_id, one) in said {
        *counted.entry(one).or_default().entry(file_id).or_default() += 1;
    }
    let often = counted.into_iter().flat_map(|(one, files)| {
        let most = files.into_values().max().unwrap_or_default();
        std::iter::repeat_n(one, most)
    });
    often.collect()
}

fn by_reference(theirs: &[Theirs]) -> BTreeMap<&str, Vec<&Theirs>> {
    let mut sorted: BTreeMap<&str, Vec<&Theirs>> = BTreeMap::new();
    for one in theirs {
        sorted.entry(&one.reference).or_default().push(one);
    }
    sorted
}

/// Compares the three sides of a day. `ours` are the payments of the day, and those of other days that one of the other two names; `platform`
/// and `treasury` what they list of the day, and of other days what concerns payments of this one.
pub fn reconcile(day: Date, ours: &[Ours], platform: &[Theirs], treasury: &[Theirs]) -> Outcome {
    let known: BTreeMap<&str, &Ours> = ours.iter().map(|one| (one.reference.as_str(), one)).collect();
    let (listed, booked) = (by_reference(platform), by_reference(treasury));
    let mut outcome = Outcome::default();
    for one in ours.iter().filter(|one| one.day == day) {
        let at_platform = listed
            .get(one.reference.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default();
        let in_treasury = booked
            .get(one.reference.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default();
        let sides = Sides {
            our_vnd: Some(one.amount_vnd),
            our_day: Some(one.day),
            platform_vnd: at_platform.first().map(|said| said.amount_vnd),
            platform_day: at_platform.first().map(|said| said.day),
            treasury_vnd: in_treasury.first().map(|said| said.amount_vnd),
            treasury_day: in_treasury.first().map(|said| said.day),
            treasury_case: of_other_case(one, in_treasury),
        };
        let mut kinds = Vec::new();
        if one.way == Way::Online {
            use DifferenceKind::{AmountAtPlatform, DayAtPlatform, DoubleAtPlatform, MissingAtPlatform};
            kinds.extend(differs(
                one,
                at_platform,
                [MissingAtPlatform, AmountAtPlatform, DoubleAtPlatform, DayAtPlatform],
            ));
        }
        {
            use DifferenceKind::{AmountInTreasury, DayInTreasury, DoubleInTreasury, MissingInTreasury};
            kinds.extend(differs(
                one,
                in_treasury,
                [MissingInTreasury, AmountInTreasury, DoubleInTreasury, DayInTreasury],
            ));
        }
        if sides.treasury_case.is_some() {
            kinds.push(DifferenceKind::CaseInTreasury);
        }
        if kinds.is_empty() {
            outcome.matched.push((one.case_id, one.payment_id));
        }
        outcome.differences.extend(kinds.into_iter().map(|kind| Found {
            kind,
            reference: one.reference.clone(),
            case_code: one.case_code.clone(),
            case_id: Some(one.case_id),
            payment_id: Some(one.payment_id),
            sides: sides.clone(),
        }));
    }
    // What the others say of this day and we have on another day, or not at all.
    for (theirs, unknown, other_day) in [
        (
            &listed,
            DifferenceKind::UnknownFromPlatform,
            DifferenceKind::DayAtPlatform,
        ),
        (
            &booked,
            DifferenceKind::UnknownFromTreasury,
            DifferenceKind::DayInTreasury,
        ),
    ] {
        for (reference, said) in theirs {
            let Some(first) = said.iter().find(|said| said.day == day) else {
                continue;
            };
            let our = known.get(reference).copied();
            if our.is_some_and(|our| our.day == day) {
                continue;
            }
            let platform_side = unknown == DifferenceKind::UnknownFromPlatform;
            let (vnd, at) = (Some(first.amount_vnd), Some(first.day));
            outcome.differences.push(Found {
                kind: if our.is_some() { other_day } else { unknown },
                reference: first.reference.clone(),
                case_code: our.map_or_else(|| first.case_code.clone(), |our| our.case_code.clone()),
                case_id: our.map(|our| our.case_id),
                payment_id: our.map(|our| our.payment_id),
                sides: Sides {
                    our_vnd: our.map(|our| our.amount_vnd),
                    our_day: our.map(|our| our.day),
                    platform_vnd: vnd.filter(|_| platform_side),
                    platform_day: at.filter(|_| platform_side),
                    treasury_vnd: vnd.filter(|_| !platform_side),
                    treasury_day: at.filter(|_| !platform_side),
                    treasury_case: None,
                },
            });
        }
    }
    outcome
        .differences
        .sort_by(|a, b| (&a.reference, a.kind).cmp(&(&b.reference, b.kind)));
    outcome
}

/// The case for which the treasury booked a payment of ours, if it is another one.
fn of_other_case(one: &Ours, said: &[&Theirs]) -> Option<String> {
    let mut named = said.iter().map(|said| said.case_code.as_str());
    let other = named.find(|code| !code.is_empty() && *code != one.case_code);
    other.map(str::to_owned)
}

/// How another side differs about a payment of ours: missing, another amount, more than once, another day.
fn differs(one: &Ours, said: &[&Theirs], kinds: [DifferenceKind; 4]) -> Vec<DifferenceKind> {
    let [missing, amount, double, day] = kinds;
    if said.is_empty() {
        return vec![missing];
    }
    let mut found = Vec::new();
    if said.iter().any(|said| said.amount_vnd != one.amount_vnd) {
        found.push(amount);
    }
    if said.len() > 1 {
        found.push(double);
    }
    if said.iter().any(|said| said.day != one.day) {
        found.push(day);
    }
    found
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const DAY: Date = date(2026, 11, 23);
    const NEXT: Date = date(2026, 11, 24);

    fn ours(number: u128, way: Way, amount_vnd: i64, day: Date) -> Ours {
        Ours {
            payment_id: Uuid::from_u128(number),
            case_id: Uuid::from_u128(number + 1_000),
            case_code: format!("H41.201-261123-{number:04}"),
            way,
            reference: format!("r{number}"),
            amount_vnd,
            day,
        }
    }

    fn theirs(number: u128, amount_vnd: i64, day: Date) -> Theirs {
        Theirs {
            reference: format!("r{number}"),
            case_code: String::new(),
            amount_vnd,
            day,
        }
    }

    fn kinds(outcome: &Outcome) -> Vec<(&str, DifferenceKind)> {
        let found = outcome.differences.iter();
        found.map(|found| (found.reference.as_str(), found.kind)).collect()
    }

    #[test]
    fn what_all_sides_say_alike_agrees_and_cash_needs_no_platform() {
        let outcome = reconcile(
            DAY,
            &[ours(1, Way::Online, 8_000, DAY), ours(2, Way::Cash, 5_000, DAY)],
            &[theirs(1, 8_000, DAY)],
            &[theirs(1, 8_000, DAY), theirs(2, 5_000, DAY)],
        );
        assert_eq!(outcome.matched.len(), 2);
        assert!(outcome.differences.is_empty());
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        use DifferenceKind::{
            AmountAtPlatform, AmountInTreasury, DayAtPlatform, DayInTreasury, DoubleAtPlatform, DoubleInTreasury,
            MissingAtPlatform, MissingInTreasury, UnknownFromPlatform, UnknownFromTreasury,
        };
        let outcome = reconcile(
            DAY,
            &[
                ours(1, Way::Online, 8_000, DAY),
                ours(2, Way::Online, 8_000, DAY),
                ours(3, Way::Online, 8_000, DAY),
                ours(4, Way::Online, 8_000, DAY),
                ours(5, Way::Online, 8_000, NEXT),
            ],
            &[
                theirs(2, 9_000, DAY),
                theirs(3, 8_000, DAY),
                theirs(3, 8_000, DAY),
                theirs(4, 8_000, NEXT),
                theirs(5, 8_000, DAY),
                theirs(6, 8_000, DAY),
            ],
            &[
                theirs(2, 7_000, DAY),
                theirs(3, 8_000, DAY),
                theirs(3, 8_000, DAY),
                theirs(4, 8_000, NEXT),
                theirs(5, 8_000, DAY),
                theirs(7, 8_000, DAY),
            ],
        );
        assert!(outcome.matched.is_empty());
        assert_eq!(
            kinds(&outcome),
            [
                ("r1", MissingAtPlatform),
                ("r1", MissingInTreasury),
                ("r2", AmountAtPlatform),
                ("r2", AmountInTreasury),
                ("r3", DoubleAtPlatform),
                ("r3", DoubleInTreasury),
                ("r4", DayAtPlatform),
                ("r4", DayInTreasury),
                ("r5", DayAtPlatform),
                ("r5", DayInTreasury),
                ("r6", UnknownFromPlatform),
                ("r7", UnknownFromTreasury),
            ]
        );
    }

    #[test]
    fn what_the_treasury_booked_for_another_case_does_not_agree() {
        let paid = [ours(1, Way::Cash, 8_000, DAY), ours(2, Way::Cash, 8_000, DAY)];
        let booked = |number: u128, code: &str| Theirs {
            case_code: code.to_owned(),
            ..theirs(number, 8_000, DAY)
        };
        let outcome = reconcile(
            DAY,
            &paid,
            &[],
            &[booked(1, &paid[1].case_code), booked(2, &paid[1].case_code)],
        );
        assert_eq!(outcome.matched, [(paid[1].case_id, paid[1].payment_id)]);
        assert_eq!(kinds(&outcome), [("r1", DifferenceKind::CaseInTreasury)]);
        let sides = &outcome.differences[0].sides;
        assert_eq!(sides.treasury_case.as_ref(), Some(&paid[1].case_code));
    }

    #[test]
    fn a_file_that_is_given_again_repeats_and_one_that_says_a_line_twice_does_not() {
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (a, b) = (theirs(1, 8_000, DAY), theirs(2, 5_000, DAY));
        let again = [(first, a.clone()), (second, a.clone()), (second, b.clone())];
        assert_eq!(merged(again), [a.clone(), b.clone()]);
        let twice = [(first, a.clone()), (first, a.clone()), (second, a.clone())];
        assert_eq!(merged(twice), [a.clone(), a.clone()]);
        let corrected = Theirs {
            amount_vnd: 9_000,
            ..a.clone()
        };
        assert_eq!(
            merged([(first, a.clone()), (second, corrected.clone())]),
            [a, corrected],
            "another amount is another line"
        );
    }

    #[test]
    fn what_was_kept_before_cases_were_compared_is_read_as_it_was() {
        let kept = r#"{"our_vnd":8000,"platform_vnd":null,"treasury_vnd":null,"our_day":"2026-11-23","platform_day":null,"treasury_day":null}"#;
        let sides: Sides = serde_json::from_str(kept).unwrap();
        assert_eq!(sides.treasury_case, None);
        assert_eq!(serde_json::to_string(&sides).unwrap(), kept);
    }

    /// What each side has of each reference: amount and day.
    fn side() -> impl Strategy<Value = Vec<(u128, i64, bool)>> {
        proptest::collection::vec((1..6_u128, 1..3_i64, any::<bool>()), 0..8)
    }

    proptest! {
        /// A second, plain reading: a payment agrees exactly if each side that must have it has it once, alike; whatever else a side says of
        /// the day, or we have of it, is named by at least one difference.
        #[test]
        fn everything_either_agrees_or_is_named(
            mine in proptest::collection::btree_map(1..6_u128, (any::<bool>(), 1..3_i64, any::<bool>()), 0..5),
            platform in side(),
            treasury in side(),
        ) {
            let at = |next: bool| if next { NEXT } else { DAY };
            let way = |online: bool| if online { Way::Online } else { Way::Cash };
            let mine: Vec<Ours> = mine.iter().map(|(n, (online, amount, next))| ours(*n, way(*online), *amount, at(*next))).collect();
            let read = |side: &[(u128, i64, bool)]| side.iter().map(|(n, amount, next)| theirs(*n, *amount, at(*next))).collect::<Vec<_>>();
            let (platform, treasury) = (read(&platform), read(&treasury));
            let outcome = reconcile(DAY, &mine, &platform, &treasury);
            let named = |reference: &str| outcome.differences.iter().any(|found| found.reference == reference);
            for one in mine.iter().filter(|one| one.day == DAY) {
                let alike = |side: &[Theirs]| {
                    let said: Vec<&Theirs> = side.iter().filter(|said| said.reference == one.reference).collect();
                    said.len() == 1 && said[0].amount_vnd == one.amount_vnd && said[0].day == DAY
                };
                let agrees = alike(&treasury) && (one.way == Way::Cash || alike(&platform));
                prop_assert_eq!(outcome.matched.contains(&(one.case_id, one.payment_id)), agrees);
                if !agrees {
                    prop_assert!(named(&one.reference));
                }
            }
            for side in [&platform, &treasury] {
                for said in side.iter().filter(|said| said.day == DAY) {
                    let matched = outcome.matched.iter().any(|(_, id)| mine.iter().any(|one| one.payment_id == *id && one.reference == said.reference));
                    let cash_at_platform = mine.iter().any(|one| one.reference == said.reference && one.way == Way::Cash && one.day == DAY);
                    prop_assert!(matched || named(&said.reference) || cash_at_platform);
                }
            }
            let mut keys: Vec<_> = outcome.differences.iter().map(|found| (&found.reference, found.kind)).collect();
            let all = keys.len();
            keys.dedup();
            prop_assert_eq!(keys.len(), all, "one difference a reference and kind");
        }
    }
}
