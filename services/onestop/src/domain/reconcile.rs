//! Đối soát ba bên: what we say was paid, what the payment platform says, what the treasury booked, and where they differ.
//!
//! An online payment is on all three sides; cash never was at the platform. Pure: the three lists go in, what agrees and what differs
//! comes out.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Whether it was given back.
    pub returning: Returning,
}

/// What was decided here about giving a payment back (hoàn). Money that went back without a decision here went back by nobody's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returning {
    /// Nothing.
    No,
    /// To be given back; the money is on its way.
    Ordered,
    /// Given back on this day.
    Made(Date),
}

/// A payment as another side has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Theirs {
    /// Code of the order, or number of the receipt.
    pub reference: String,
    /// Mã hồ sơ, where that side knows it.
    pub case_code: String,
    /// VND; below 0 for money that went back.
    pub amount_vnd: i64,
    /// On which day; none if that side does not say, and it may be the one that was asked for or another.
    pub day: Option<Date>,
}

impl Theirs {
    /// Whether it is money that went back.
    const fn is_out(&self) -> bool {
        self.amount_vnd < 0
    }

    /// Whether it may be of this day.
    fn is_of(&self, day: Date) -> bool {
        self.day.is_none_or(|said| said == day)
    }

    /// Whether it says another day.
    fn is_not_of(&self, day: Date) -> bool {
        self.day.is_some_and(|said| said != day)
    }
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
    /// The platform gave it back, and nobody here decided so.
    RefundedAtPlatform = 12,
    /// It was given back here, and the platform does not have that.
    RefundMissing = 13,
    /// The treasury booked that it went back, and nobody here decided so.
    RefundedInTreasury = 14,
    /// It was given back here, and the treasury, which booked that it came in, did not book that.
    RefundMissingInTreasury = 15,
}

impl DifferenceKind {
    /// All, by code.
    pub const ALL: [Self; 15] = [
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
        Self::RefundedAtPlatform,
        Self::RefundMissing,
        Self::RefundedInTreasury,
        Self::RefundMissingInTreasury,
    ];

    /// In the database and the contract.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The kind with this code.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// True if by it the money of a payment is in doubt: the platform's list contradicts that it is there as we have it, or the treasury booked
    /// that it went back. Another day is none: what is paid shortly before midnight is listed on either day.
    pub const fn is_doubt(self) -> bool {
        matches!(
            self,
            Self::MissingAtPlatform
                | Self::AmountAtPlatform
                | Self::DoubleAtPlatform
                | Self::RefundedAtPlatform
                | Self::RefundedInTreasury
        )
    }

    /// True if by it the money of a payment went back without a decision here: whatever is said of the difference, the sides do not agree
    /// about the payment.
    pub const fn is_return(self) -> bool {
        matches!(self, Self::RefundedAtPlatform | Self::RefundedInTreasury)
    }
}

/// What the sides say; an amount below 0 is money that went back.
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

impl Found {
    /// Our case and payment, if it is about one.
    pub fn about(&self) -> Option<(Uuid, Uuid)> {
        self.case_id.zip(self.payment_id)
    }
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

/// The references about which files of the treasury say something else without one of them: what agreed under these rests on that file. What
/// another file repeats does not. `said` is what the files say that count, this one among them.
pub fn resting_on(file_id: Uuid, said: &[(Uuid, Theirs)]) -> BTreeSet<String> {
    let with = merged(said.iter().cloned());
    let without = merged(said.iter().filter(|(of, _)| *of != file_id).cloned());
    let left = by_reference(&without);
    by_reference(&with)
        .into_iter()
        .filter(|(reference, lines)| left.get(reference) != Some(lines))
        .map(|(reference, _)| reference.to_owned())
        .collect()
}

/// What a side says, by reference.
type Sorted<'a> = BTreeMap<&'a str, Vec<&'a Theirs>>;

fn by_reference<'a>(theirs: impl IntoIterator<Item = &'a Theirs>) -> Sorted<'a> {
    let mut sorted = Sorted::new();
    for one in theirs {
        sorted.entry(&one.reference).or_default().push(one);
    }
    sorted
}

/// What a side says came in, and what it says went back.
fn in_and_out(side: &[Theirs]) -> (Sorted<'_>, Sorted<'_>) {
    let (back, came): (Vec<&Theirs>, Vec<&Theirs>) = side.iter().partition(|said| said.is_out());
    (by_reference(came), by_reference(back))
}

/// What a side says of a reference.
fn said_of<'a, 'b>(sorted: &'b Sorted<'a>, reference: &str) -> &'b [&'a Theirs] {
    sorted.get(reference).map(Vec::as_slice).unwrap_or_default()
}

/// Compares the three sides of a day. `ours` are the payments of the day, those that were given back on it, and those of other days that one
/// of the other two names; `platform` and `treasury` what they list of the day, and of other days what concerns these payments.
///
/// Money that comes in and money that goes back are compared apart. Whoever reconciles the day of a payment after it went back is told so,
/// and so is whoever reconciles the day on which it did. With the platform's list comes whether it says of payments that they went back at
/// all: in one that never does no refund is missing.
pub fn reconcile(
    day: Date,
    ours: &[Ours],
    (platform, says_refunds): (&[Theirs], bool),
    treasury: &[Theirs],
) -> Outcome {
    let known: BTreeMap<&str, &Ours> = ours.iter().map(|one| (one.reference.as_str(), one)).collect();
    let (listed, given_back) = in_and_out(platform);
    let (booked, booked_back) = in_and_out(treasury);
    let mut outcome = Outcome::default();
    for one in ours {
        let at_platform = said_of(&listed, &one.reference);
        let in_treasury = said_of(&booked, &one.reference);
        let back_at_platform = said_of(&given_back, &one.reference);
        let back_in_treasury = said_of(&booked_back, &one.reference);
        let of_day = |said: &&Theirs| said.is_of(day);
        let concerns = one.day == day
            || one.returning == Returning::Made(day)
            || back_at_platform.iter().chain(back_in_treasury).any(of_day);
        let back = if concerns {
            let known = [!at_platform.is_empty(), !in_treasury.is_empty()];
            let mut back = returned(one, day, [back_at_platform, back_in_treasury], known);
            back.retain(|kind| says_refunds || *kind != DifferenceKind::RefundMissing);
            back
        } else {
            Vec::new()
        };
        let (back_vnd, back_day) = match one.returning {
            Returning::Made(made) => (-one.amount_vnd, made),
            Returning::No | Returning::Ordered => (one.amount_vnd, one.day),
        };
        let differences_back = back.iter().map(|kind| Found {
            kind: *kind,
            reference: one.reference.clone(),
            case_code: one.case_code.clone(),
            case_id: Some(one.case_id),
            payment_id: Some(one.payment_id),
            sides: Sides {
                our_vnd: Some(back_vnd),
                our_day: Some(back_day),
                platform_vnd: back_at_platform.first().map(|said| said.amount_vnd),
                platform_day: back_at_platform.first().and_then(|said| said.day),
                treasury_vnd: back_in_treasury.first().map(|said| said.amount_vnd),
                treasury_day: back_in_treasury.first().and_then(|said| said.day),
                treasury_case: of_other_case(one, back_in_treasury),
            },
        });
        if one.day != day {
            outcome.differences.extend(differences_back);
            continue;
        }
        let sides = Sides {
            our_vnd: Some(one.amount_vnd),
            our_day: Some(one.day),
            platform_vnd: at_platform.first().map(|said| said.amount_vnd),
            platform_day: at_platform.first().and_then(|said| said.day),
            treasury_vnd: in_treasury.first().map(|said| said.amount_vnd),
            treasury_day: in_treasury.first().and_then(|said| said.day),
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
        if kinds.is_empty() && back.is_empty() {
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
        outcome.differences.extend(differences_back);
    }
    // What the others say of this day and we have on another day, or not at all.
    for (theirs, unknown, other_day) in [
        (
            by_reference(platform),
            DifferenceKind::UnknownFromPlatform,
            DifferenceKind::DayAtPlatform,
        ),
        (
            by_reference(treasury),
            DifferenceKind::UnknownFromTreasury,
            DifferenceKind::DayInTreasury,
        ),
    ] {
        for (reference, said) in theirs {
            let our = known.get(reference).copied();
            // What went back of a payment of ours was compared above; that a payment is of another day is for that side to say.
            let of_day = |said: &&&Theirs| match our {
                None => said.is_of(day),
                Some(_) => said.day == Some(day) && !said.is_out(),
            };
            let Some(first) = said.iter().find(of_day) else {
                continue;
            };
            if our.is_some_and(|our| our.day == day) {
                continue;
            }
            let platform_side = unknown == DifferenceKind::UnknownFromPlatform;
            let (vnd, at) = (Some(first.amount_vnd), first.day);
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
    // A side may say the same twice, of what came in and of what went back: the first is what came in.
    outcome
        .differences
        .dedup_by(|later, first| (&later.reference, later.kind) == (&first.reference, first.kind));
    outcome
}

/// How the other sides differ about giving a payment of ours back, by what they say went back of it: the platform and the treasury, and
/// whether each of them says that it came in.
fn returned(
    one: &Ours,
    day: Date,
    [at_platform, in_treasury]: [&[&Theirs]; 2],
    [listed, booked]: [bool; 2],
) -> Vec<DifferenceKind> {
    use DifferenceKind::{
        AmountAtPlatform, AmountInTreasury, CaseInTreasury, DayAtPlatform, DayInTreasury, DoubleAtPlatform,
        DoubleInTreasury, RefundMissing, RefundMissingInTreasury, RefundedAtPlatform, RefundedInTreasury,
    };
    // Cash never was at the platform.
    let online = one.way == Way::Online;
    let at_platform = if online { at_platform } else { &[] };
    let mut found = Vec::new();
    let made = match one.returning {
        Returning::No => {
            found.extend((!at_platform.is_empty()).then_some(RefundedAtPlatform));
            found.extend((!in_treasury.is_empty()).then_some(RefundedInTreasury));
            return found;
        }
        // It may be there already, or not yet.
        Returning::Ordered => None,
        Returning::Made(made) => Some(made),
    };
    let expected = made == Some(day);
    if made.is_some() && online && at_platform.is_empty() && (expected || listed) {
        found.push(RefundMissing);
    }
    // What it never booked in, it does not book out.
    if expected && booked && in_treasury.is_empty() {
        found.push(RefundMissingInTreasury);
    }
    for (said, amount, double, other_day) in [
        (at_platform, AmountAtPlatform, DoubleAtPlatform, DayAtPlatform),
        (in_treasury, AmountInTreasury, DoubleInTreasury, DayInTreasury),
    ] {
        if said.iter().any(|said| said.amount_vnd != -one.amount_vnd) {
            found.push(amount);
        }
        if said.len() > 1 {
            found.push(double);
        }
        if made.is_some_and(|made| said.iter().any(|said| said.is_not_of(made))) {
            found.push(other_day);
        }
    }
    if of_other_case(one, in_treasury).is_some() {
        found.push(CaseInTreasury);
    }
    found
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
    if said.iter().any(|said| said.is_not_of(one.day)) {
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

    /// With a platform that says of payments whether they went back.
    fn reconcile(day: Date, ours: &[Ours], platform: &[Theirs], treasury: &[Theirs]) -> Outcome {
        super::reconcile(day, ours, (platform, true), treasury)
    }

    fn ours(number: u128, way: Way, amount_vnd: i64, day: Date) -> Ours {
        Ours {
            payment_id: Uuid::from_u128(number),
            case_id: Uuid::from_u128(number + 1_000),
            case_code: format!("H41.201-261123-{number:04}"),
            way,
            reference: format!("r{number}"),
            amount_vnd,
            day,
            returning: Returning::No,
        }
    }

    fn theirs(number: u128, amount_vnd: i64, day: Date) -> Theirs {
        Theirs {
            reference: format!("r{number}"),
            case_code: String::new(),
            amount_vnd,
            day: Some(day),
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
    fn money_that_goes_back_is_compared_with_what_was_decided_here() {
        use DifferenceKind::{
            AmountAtPlatform, DayAtPlatform, DoubleAtPlatform, RefundMissing, RefundMissingInTreasury,
            RefundedAtPlatform, RefundedInTreasury, UnknownFromPlatform, UnknownFromTreasury,
        };
        let back = |number: u128, day: Date| theirs(number, -8_000, day);
        let was = |number: u128, way: Way, day: Date, returning: Returning| Ours {
            returning,
            ..ours(number, way, 8_000, day)
        };
        let made = Returning::Made(DAY);
        let mine = [
            // Given back by nobody's order of ours.
            was(1, Way::Online, DAY, Returning::No),
            // Given back here, and nowhere else.
            was(2, Way::Online, DAY, made),
            // On its way, and back already at the platform.
            was(3, Way::Online, DAY, Returning::Ordered),
            // Given back by all.
            was(4, Way::Online, DAY, made),
            was(5, Way::Cash, DAY, made),
            // Paid on another day.
            was(6, Way::Online, NEXT, made),
            was(7, Way::Online, NEXT, Returning::No),
            // Given back twice, of another amount, on another day.
            was(8, Way::Online, DAY, made),
            // Booked as given back, and never decided.
            was(9, Way::Cash, DAY, Returning::No),
        ];
        let came: Vec<Theirs> = (1..=5).chain([8, 9]).map(|n| theirs(n, 8_000, DAY)).collect();
        let of = |back: &[Theirs], without: &[u128]| {
            let without: Vec<String> = without.iter().map(|n| format!("r{n}")).collect();
            let came = came.iter().filter(|said| !without.contains(&said.reference)).cloned();
            came.chain(back.iter().cloned()).collect::<Vec<_>>()
        };
        let platform = of(
            &[
                back(1, NEXT),
                back(3, DAY),
                back(4, DAY),
                back(7, DAY),
                back(8, DAY),
                theirs(8, -1, NEXT),
                theirs(10, 8_000, DAY),
                back(10, DAY),
            ],
            &[5, 9],
        );
        let treasury = of(
            &[back(4, DAY), back(5, DAY), back(8, DAY), back(9, DAY), back(11, DAY)],
            &[],
        );
        let outcome = reconcile(DAY, &mine, &platform, &treasury);
        assert_eq!(
            kinds(&outcome),
            [
                ("r1", RefundedAtPlatform),
                ("r10", UnknownFromPlatform),
                ("r11", UnknownFromTreasury),
                ("r2", RefundMissing),
                ("r2", RefundMissingInTreasury),
                ("r6", RefundMissing),
                ("r7", RefundedAtPlatform),
                ("r8", AmountAtPlatform),
                ("r8", DoubleAtPlatform),
                ("r8", DayAtPlatform),
                ("r9", RefundedInTreasury),
            ]
        );
        let matched: Vec<Uuid> = outcome.matched.iter().map(|(_, payment)| *payment).collect();
        assert_eq!(matched, [3, 4, 5].map(Uuid::from_u128));
        let sides = &outcome.differences[0].sides;
        assert_eq!(
            (sides.our_vnd, sides.platform_vnd, sides.platform_day),
            (Some(8_000), Some(-8_000), Some(NEXT))
        );
        let sides = &outcome.differences[3].sides;
        assert_eq!((sides.our_vnd, sides.platform_vnd), (Some(-8_000), None));
    }

    #[test]
    fn what_a_platform_does_not_say_is_no_difference() {
        let was = |number: u128, day: Date, returning: Returning| Ours {
            returning,
            ..ours(number, Way::Online, 8_000, day)
        };
        let mine = [
            was(1, DAY, Returning::Made(NEXT)),
            was(2, NEXT, Returning::Made(DAY)),
            was(3, NEXT, Returning::No),
        ];
        // Without times: it lists what was settled on the day, and what it gave back on it.
        let untimed = |number: u128, amount_vnd: i64| Theirs {
            day: None,
            ..theirs(number, amount_vnd, DAY)
        };
        let listed: Vec<Theirs> = [1, 2, 4]
            .into_iter()
            .flat_map(|number| [untimed(number, 8_000), untimed(number, -8_000)])
            .collect();
        let booked = [theirs(1, 8_000, DAY), theirs(2, 8_000, NEXT), theirs(2, -8_000, DAY)];
        let outcome = reconcile(DAY, &mine, &listed, &booked);
        assert_eq!(kinds(&outcome), [("r4", DifferenceKind::UnknownFromPlatform)]);
        assert_eq!(outcome.matched, [(mine[0].case_id, mine[0].payment_id)]);
        // Without states: that a payment went back is nowhere in the list.
        let listed = [theirs(1, 8_000, DAY)];
        let outcome = super::reconcile(DAY, &mine, (&listed, false), &booked);
        assert!(kinds(&outcome).is_empty(), "{:?}", kinds(&outcome));
        assert_eq!(outcome.matched, [(mine[0].case_id, mine[0].payment_id)]);
        let outcome = reconcile(DAY, &mine, &listed, &booked);
        assert_eq!(
            kinds(&outcome),
            [
                ("r1", DifferenceKind::RefundMissing),
                ("r2", DifferenceKind::RefundMissing)
            ]
        );
    }

    #[test]
    fn the_kinds_of_money_that_went_back_have_the_codes_that_an_index_names() {
        let returns = DifferenceKind::ALL.into_iter().filter(|kind| kind.is_return());
        let codes: Vec<i16> = returns.map(DifferenceKind::code).collect();
        assert_eq!(codes, [12, 14]);
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
    fn what_another_file_repeats_does_not_rest_on_the_one_that_is_taken_back() {
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (a, b) = (theirs(1, 8_000, DAY), theirs(2, 5_000, DAY));
        let morning_and_whole_day = [(first, a.clone()), (second, a.clone()), (second, b.clone())];
        assert!(resting_on(first, &morning_and_whole_day).is_empty());
        let alone = |reference: &str| BTreeSet::from([reference.to_owned()]);
        assert_eq!(resting_on(second, &morning_and_whole_day), alone("r2"));
        let twice = [(first, a.clone()), (second, a.clone()), (second, a.clone())];
        assert_eq!(
            resting_on(second, &twice),
            alone("r1"),
            "it was booked twice by it alone"
        );
        let corrected = [(first, a.clone()), (second, theirs(1, 9_000, DAY))];
        assert_eq!(resting_on(first, &corrected), alone("r1"));
    }

    #[test]
    fn what_was_kept_before_cases_were_compared_is_read_as_it_was() {
        let kept = r#"{"our_vnd":8000,"platform_vnd":null,"treasury_vnd":null,"our_day":"2026-11-23","platform_day":null,"treasury_day":null}"#;
        let sides: Sides = serde_json::from_str(kept).unwrap();
        assert_eq!(sides.treasury_case, None);
        assert_eq!(serde_json::to_string(&sides).unwrap(), kept);
    }

    /// What each side has of each reference: amount, below 0 for what went back, and day.
    fn side() -> impl Strategy<Value = Vec<(u128, i64, bool)>> {
        let amount = prop_oneof![1..3_i64, -2..0_i64];
        proptest::collection::vec((1..6_u128, amount, any::<bool>()), 0..8)
    }

    fn returning() -> impl Strategy<Value = Returning> {
        prop_oneof![
            Just(Returning::No),
            Just(Returning::Ordered),
            Just(Returning::Made(DAY)),
            Just(Returning::Made(NEXT)),
        ]
    }

    proptest! {
        /// A second, plain reading: something rests on a file exactly if it says a line more often than every other file does.
        #[test]
        fn what_rests_on_a_file_is_what_it_says_more_often_than_any_other(
            said in proptest::collection::vec((1..4_u128, 1..4_u128, 1..3_i64), 0..16),
            taken_back in 1..4_u128,
        ) {
            let lines: Vec<(Uuid, Theirs)> = said
                .iter()
                .map(|(file, n, amount)| (Uuid::from_u128(*file), theirs(*n, *amount, DAY)))
                .collect();
            let often = |file: u128, n: u128, amount: i64| {
                said.iter().filter(|line| **line == (file, n, amount)).count()
            };
            let expected: BTreeSet<String> = (1..4_u128)
                .filter(|n| {
                    (1..3_i64).any(|amount| {
                        let of_others = (1..4_u128).filter(|file| *file != taken_back);
                        let most = of_others.map(|file| often(file, *n, amount)).max().unwrap_or_default();
                        often(taken_back, *n, amount) > most
                    })
                })
                .map(|n| format!("r{n}"))
                .collect();
            prop_assert_eq!(resting_on(Uuid::from_u128(taken_back), &lines), expected);
        }

        /// A second, plain reading: a payment agrees exactly if each side that must have it has it once, alike, and what the sides say went
        /// back of it is what was decided here; whatever else a side says of the day, or we have of it, is named by at least one difference.
        #[test]
        fn everything_either_agrees_or_is_named(
            mine in proptest::collection::btree_map(1..6_u128, (any::<bool>(), 1..3_i64, any::<bool>(), returning()), 0..5),
            platform in side(),
            treasury in side(),
        ) {
            let at = |next: bool| if next { NEXT } else { DAY };
            let way = |online: bool| if online { Way::Online } else { Way::Cash };
            let mine: Vec<Ours> = mine
                .iter()
                .map(|(n, (online, amount, next, returning))| Ours {
                    returning: *returning,
                    ..ours(*n, way(*online), *amount, at(*next))
                })
                .collect();
            let read = |side: &[(u128, i64, bool)]| side.iter().map(|(n, amount, next)| theirs(*n, *amount, at(*next))).collect::<Vec<_>>();
            let (platform, treasury) = (read(&platform), read(&treasury));
            let outcome = reconcile(DAY, &mine, &platform, &treasury);
            let named = |reference: &str| outcome.differences.iter().any(|found| found.reference == reference);
            for one in mine.iter().filter(|one| one.day == DAY) {
                let alike = |side: &[Theirs], must_have: bool| {
                    let of_one: Vec<&Theirs> = side.iter().filter(|said| said.reference == one.reference).collect();
                    let (back, came): (Vec<&Theirs>, Vec<&Theirs>) = of_one.into_iter().partition(|said| said.amount_vnd < 0);
                    let whole = back.len() <= 1 && back.iter().all(|said| said.amount_vnd == -one.amount_vnd);
                    let returned = match one.returning {
                        Returning::No => back.is_empty(),
                        Returning::Ordered => whole,
                        Returning::Made(made) => {
                            whole && back.iter().all(|said| said.day == Some(made)) && (back.len() == 1 || !must_have)
                        }
                    };
                    came.len() == 1 && came[0].amount_vnd == one.amount_vnd && came[0].day == Some(DAY) && returned
                };
                // The treasury need not have booked on this day what goes back on another one.
                let in_treasury = alike(&treasury, one.returning == Returning::Made(DAY));
                let agrees = in_treasury && (one.way == Way::Cash || alike(&platform, true));
                prop_assert_eq!(outcome.matched.contains(&(one.case_id, one.payment_id)), agrees);
                if !agrees {
                    prop_assert!(named(&one.reference));
                }
            }
            for side in [&platform, &treasury] {
                for said in side.iter().filter(|said| said.day == Some(DAY)) {
                    // What went back as it was decided here is nothing to be named.
                    let decided = said.amount_vnd < 0
                        && mine.iter().any(|one| {
                            let is_made = matches!(one.returning, Returning::Ordered | Returning::Made(DAY));
                            one.reference == said.reference && one.amount_vnd == -said.amount_vnd && is_made
                        });
                    let cash_back_at_platform = said.amount_vnd < 0
                        && mine.iter().any(|one| one.reference == said.reference && one.way == Way::Cash);
                    let matched = outcome.matched.iter().any(|(_, id)| mine.iter().any(|one| one.payment_id == *id && one.reference == said.reference));
                    let cash_at_platform = mine.iter().any(|one| one.reference == said.reference && one.way == Way::Cash && one.day == DAY);
                    prop_assert!(matched || named(&said.reference) || cash_at_platform || decided || cash_back_at_platform);
                }
            }
            let mut keys: Vec<_> = outcome.differences.iter().map(|found| (&found.reference, found.kind)).collect();
            let all = keys.len();
            keys.dedup();
            prop_assert_eq!(keys.len(), all, "one difference a reference and kind");
        }
    }
}
