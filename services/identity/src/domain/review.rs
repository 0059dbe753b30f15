//! Rà soát quyền truy cập: what a reviewer should look at.
//!
//! A flag is a question, never a verdict: nothing ends by itself. The measure of use is what it is called, "in a token": the last
//! day on which identity issued a token that carried the grant. It tells a role that lies idle, because its holder has not
//! signed in, from one that is at hand; it does not tell which of the permissions was used.

use egov_auth::UnitTree;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use uuid::Uuid;

use super::role::RoleGrant;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Criteria {
    /// As of this day.
    pub on: Date,
    /// Not in a token for this many days is flagged.
    pub unused_days: i32,
    /// Ending within this many days is flagged.
    pub ends_within_days: i32,
    /// The round of review, if there is one.
    pub round: Option<Round>,
}

/// A round of review: what was decided from its first to its last day has a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub due: Date,
}

impl Round {
    fn holds(self, day: Date) -> bool {
        self.from <= day && day <= self.due
    }
}

/// What is known of a grant that is under review.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// The grant.
    pub grant: &'a RoleGrant,
    /// The day on which it was given.
    pub given_on: Date,
    /// The unit to which its holder belongs, if the reviewer may see it.
    pub holder_unit: Option<i32>,
    /// Whether the holder's account is closed.
    pub holder_disabled: bool,
    /// The last day on which a token carried it.
    pub last_in_token: Option<Date>,
    /// The day of the last confirmation.
    pub confirmed_on: Option<Date>,
    /// The other grants of the holder that are in force on the day.
    pub others: &'a [RoleGrant],
    /// Whether the policies know the role.
    pub in_policies: bool,
}

/// What a reviewer should look at; the numbers are those of the contract (`egov.identity.v1.ReviewFlag`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flag {
    /// No token has ever carried it.
    NeverInToken = 1,
    /// No token has carried it for long.
    NotInToken = 2,
    /// It ends soon.
    EndsSoon = 3,
    /// The holder's account is closed.
    HolderDisabled = 4,
    /// The holder belongs to a unit outside the subtree of the role's.
    HolderElsewhere = 5,
    /// No policy knows the role.
    RoleUnknown = 6,
    /// The holder has it twice.
    Double = 7,
    /// It has no verdict in the round.
    NoVerdict = 8,
}

/// The flags of a grant, in the order of their numbers.
pub(crate) fn flags(known: &Known<'_>, criteria: &Criteria, tree: &UnitTree) -> Vec<Flag> {
    let grant = known.grant;
    let mut flags = Vec::new();
    let unused_since = criteria.on.saturating_sub(criteria.unused_days.days());
    match known.last_in_token {
        // A role of yesterday that nobody has signed in with yet is not idle.
        None if grant.effective_from <= unused_since => flags.push(Flag::NeverInToken),
        Some(last) if last <= unused_since => flags.push(Flag::NotInToken),
        _ => {}
    }
    if grant
        .effective_to
        .is_some_and(|end| end <= criteria.on.saturating_add(criteria.ends_within_days.days()))
    {
        flags.push(Flag::EndsSoon);
    }
    if known.holder_disabled {
        flags.push(Flag::HolderDisabled);
    }
    // A holder whom the reviewer cannot see belongs elsewhere by that alone.
    let belongs = known
        .holder_unit
        .is_some_and(|unit| tree.subtree(grant.unit_id).binary_search(&unit).is_ok());
    if !belongs {
        flags.push(Flag::HolderElsewhere);
    }
    if !known.in_policies {
        flags.push(Flag::RoleUnknown);
    }
    if known.others.iter().any(|other| covers(other, grant, tree)) {
        flags.push(Flag::Double);
    }
    if criteria.round.is_some_and(|round| !decided(known, round)) {
        flags.push(Flag::NoVerdict);
    }
    flags
}

/// Whether another grant gives the same role at the same unit or at one above it.
fn covers(other: &RoleGrant, grant: &RoleGrant, tree: &UnitTree) -> bool {
    other.grant_id != grant.grant_id
        && other.role == grant.role
        && (other.unit_id == grant.unit_id || tree.subtree(other.unit_id).binary_search(&grant.unit_id).is_ok())
}

/// A grant that was given in the round was decided in it.
fn decided(known: &Known<'_>, round: Round) -> bool {
    round.holds(known.given_on) || known.confirmed_on.is_some_and(|day| round.holds(day))
}

/// A reviewer's word that a grant is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Who.
    pub reviewer_id: Uuid,
    /// When.
    pub review_time: Timestamp,
    /// Why.
    pub note: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_auth::Unit;
    use egov_proto::egov::identity::v1::ReviewFlag;
    use jiff::civil::date;
    use proptest::prelude::*;

    const ON: Date = date(2026, 11, 23);

    /// 1 above 2 above 3; 4 beside 2.
    fn tree() -> UnitTree {
        let unit = |id, parent| Unit { id, parent };
        UnitTree::new(1, [unit(1, None), unit(2, Some(1)), unit(3, Some(2)), unit(4, Some(1))]).unwrap()
    }

    fn grant(id: u128, unit_id: i32) -> RoleGrant {
        RoleGrant {
            grant_id: Uuid::from_u128(id),
            role: "officer".to_owned(),
            unit_id,
            effective_from: date(2026, 1, 1),
            effective_to: None,
        }
    }

    fn known<'a>(grant: &'a RoleGrant, others: &'a [RoleGrant]) -> Known<'a> {
        Known {
            grant,
            given_on: grant.effective_from,
            holder_unit: Some(grant.unit_id),
            holder_disabled: false,
            last_in_token: Some(ON),
            confirmed_on: None,
            others,
            in_policies: true,
        }
    }

    const PLAIN: Criteria = Criteria {
        on: ON,
        unused_days: 90,
        ends_within_days: 30,
        round: None,
    };

    fn of(known: &Known<'_>) -> Vec<Flag> {
        flags(known, &PLAIN, &tree())
    }

    #[test]
    fn a_grant_in_use_at_the_holders_own_unit_has_no_flag() {
        let grant = grant(1, 2);
        assert_eq!(of(&known(&grant, std::slice::from_ref(&grant))), []);
    }

    #[test]
    fn idle_is_counted_in_days_and_a_new_grant_is_not_idle() {
        let grant = grant(1, 2);
        let last = |day| Known {
            last_in_token: day,
            ..known(&grant, &[])
        };
        assert_eq!(of(&last(Some(date(2026, 8, 26)))), []);
        assert_eq!(of(&last(Some(date(2026, 8, 25)))), [Flag::NotInToken]);
        assert_eq!(of(&last(None)), [Flag::NeverInToken]);
        let new = RoleGrant {
            effective_from: date(2026, 11, 1),
            ..grant.clone()
        };
        assert_eq!(
            of(&Known {
                last_in_token: None,
                ..known(&new, &[])
            }),
            []
        );
    }

    #[test]
    fn what_ends_within_the_days_asked_for_ends_soon() {
        let ends = |day| RoleGrant {
            effective_to: Some(day),
            ..grant(1, 2)
        };
        let (soon, later) = (ends(date(2026, 12, 23)), ends(date(2026, 12, 24)));
        assert_eq!(of(&known(&soon, &[])), [Flag::EndsSoon]);
        assert_eq!(of(&known(&later, &[])), []);
    }

    #[test]
    fn a_holder_of_another_unit_or_one_who_cannot_be_seen_is_elsewhere() {
        let grant = grant(1, 2);
        for (unit, expected) in [
            (Some(2), false),
            (Some(3), false),
            (Some(1), true),
            (Some(4), true),
            (None, true),
        ] {
            let flags = of(&Known {
                holder_unit: unit,
                ..known(&grant, &[])
            });
            assert_eq!(flags.contains(&Flag::HolderElsewhere), expected, "{unit:?}");
        }
    }

    #[test]
    fn the_same_role_here_or_above_is_double_and_below_or_beside_is_not() {
        let grant = grant(1, 2);
        for (unit, expected) in [(2, true), (1, true), (3, false), (4, false)] {
            let others = [grant.clone(), self::grant(2, unit)];
            assert_eq!(of(&known(&grant, &others)).contains(&Flag::Double), expected, "{unit}");
        }
        let other_role = RoleGrant {
            role: "leader".to_owned(),
            ..self::grant(2, 2)
        };
        assert_eq!(of(&known(&grant, &[other_role])), []);
    }

    #[test]
    fn a_closed_account_and_a_forgotten_role_are_flagged() {
        let grant = grant(1, 2);
        let closed = Known {
            holder_disabled: true,
            in_policies: false,
            ..known(&grant, &[])
        };
        assert_eq!(of(&closed), [Flag::HolderDisabled, Flag::RoleUnknown]);
    }

    #[test]
    fn a_verdict_counts_within_the_round_only() {
        let grant = grant(1, 2);
        let round = Round {
            from: date(2026, 11, 1),
            due: date(2026, 11, 20),
        };
        let criteria = Criteria {
            round: Some(round),
            ..PLAIN
        };
        let without = |confirmed_on, given_on| {
            let known = Known {
                given_on,
                confirmed_on,
                ..known(&grant, &[])
            };
            flags(&known, &criteria, &tree()).contains(&Flag::NoVerdict)
        };
        let old = date(2026, 1, 1);
        assert!(without(None, old));
        assert!(without(Some(date(2026, 10, 31)), old));
        assert!(!without(Some(date(2026, 11, 1)), old));
        assert!(!without(Some(date(2026, 11, 20)), old));
        assert!(without(Some(date(2026, 11, 21)), old));
        assert!(!without(None, date(2026, 11, 5)));
    }

    #[test]
    fn the_numbers_are_those_of_the_contract() {
        for (flag, contract) in [
            (Flag::NeverInToken, ReviewFlag::NeverInToken),
            (Flag::NotInToken, ReviewFlag::NotInToken),
            (Flag::EndsSoon, ReviewFlag::EndsSoon),
            (Flag::HolderDisabled, ReviewFlag::HolderDisabled),
            (Flag::HolderElsewhere, ReviewFlag::HolderElsewhere),
            (Flag::RoleUnknown, ReviewFlag::RoleUnknown),
            (Flag::Double, ReviewFlag::Double),
            (Flag::NoVerdict, ReviewFlag::NoVerdict),
        ] {
            assert_eq!(flag as i32, contract as i32);
        }
    }

    proptest! {
        /// Looking for shorter idleness, or further ahead, only ever adds flags; use only ever removes one.
        #[test]
        fn stricter_criteria_never_lose_a_flag_and_use_never_adds_one(
            days in 1..400_i32, fewer in 0..400_i32, ahead in 0..400_i32,
            last in proptest::option::of(-500..1_i32), end in proptest::option::of(1..500_i32),
            holder in proptest::option::of(1..6_i32),
        ) {
            let mut grant = grant(1, 2);
            grant.effective_to = end.map(|days| ON.saturating_add(days.days()));
            let known = Known {
                last_in_token: last.map(|days| ON.saturating_add(days.days())),
                holder_unit: holder,
                ..known(&grant, &[])
            };
            let lenient = Criteria { unused_days: days.max(fewer), ends_within_days: 0, ..PLAIN };
            let strict = Criteria { unused_days: days.min(fewer), ends_within_days: ahead, ..PLAIN };
            let (few, many) = (flags(&known, &lenient, &tree()), flags(&known, &strict, &tree()));
            prop_assert!(few.iter().all(|flag| many.contains(flag)), "{few:?} {many:?}");
            prop_assert!(many.is_sorted());
            let used = Known { last_in_token: Some(ON), ..known };
            let after = flags(&used, &Criteria { unused_days: 1, ..strict }, &tree());
            prop_assert!(!after.contains(&Flag::NeverInToken) && !after.contains(&Flag::NotInToken));
        }
    }
}
