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
mod tests;
