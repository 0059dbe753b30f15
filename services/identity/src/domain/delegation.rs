//! Uỷ quyền: the holder of a role lets another act with it, in the holder's name and for a limited time.
//!
//! Five rules, each told once:
//!
//! 1. **Never more than the grant.** A delegation counts on a day only if the grant on which it rests counts on that day; its
//!    days lie within those of the grant when it is made, and if the grant ends earlier after all, so does it, at once.
//! 2. **Whole.** The role at its unit, not a part of it: a part that no policy declares could not be read by anybody.
//! 3. **Not passed on.** What rests on a delegation is no grant; only grants can be delegated.
//! 4. **Limited.** It has an end, at most [`LONGEST_DAYS`] after its beginning.
//! 5. **In the family.** The one who acts belongs to the unit of the role or to one below it, so that a role never leaves the
//!    units that it reaches anyway.
//!
//! Which roles may be delegated is policy text (`delegable`); one that gives administrative permissions never may.

use egov_auth::Policies;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::role::{RoleGrant, is_administrative};

/// The longest delegation, in days.
pub(crate) const LONGEST_DAYS: i32 = 366;

/// For how many others one account acts at most at the same time: each one travels in every token.
pub(crate) const MOST_PER_DELEGATEE: usize = 10;

/// A delegation, with the grant's own end beside its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Delegation {
    /// Its id.
    pub delegation_id: Uuid,
    /// The grant on which it rests.
    pub grant_id: Uuid,
    /// The role of the grant.
    pub role: String,
    /// The unit of the grant.
    pub unit_id: i32,
    /// Whose grant it is.
    pub delegator_id: Uuid,
    /// Their name on the day of the document.
    pub delegator_name: String,
    /// The unit to which they belonged then.
    pub delegator_unit_id: i32,
    /// Who acts.
    pub delegatee_id: Uuid,
    /// Their name on the day of the document.
    pub delegatee_name: String,
    /// The unit to which they belonged then.
    pub delegatee_unit_id: i32,
    /// From this day.
    pub effective_from: Date,
    /// Until this day (exclusive), as it was made.
    pub effective_to: Date,
    /// The end of the grant.
    pub grant_to: Option<Date>,
    /// The beginning of the grant.
    pub grant_from: Date,
    /// Why.
    pub reason: String,
    /// The document.
    pub document_number: String,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was ended before its time.
    pub end_time: Option<Timestamp>,
    /// By whom.
    pub ended_by: Option<Uuid>,
    /// Why.
    pub end_reason: String,
}

impl Delegation {
    /// Until when it can count at most (exclusive): its own end, or that of the grant.
    pub(crate) fn effective_end(&self) -> Date {
        self.grant_to
            .map_or(self.effective_to, |end| end.min(self.effective_to))
    }

    /// Whether one may act by it on a day.
    pub(crate) fn in_force(&self, on: Date) -> bool {
        self.end_time.is_none() && self.effective_from.max(self.grant_from) <= on && on < self.effective_end()
    }

    /// Whether it could still count on this day or a later one.
    pub(crate) fn is_open(&self, today: Date) -> bool {
        self.end_time.is_none() && today < self.effective_end()
    }

    /// Whether it counts on some day of a period.
    pub(crate) fn overlaps(&self, from: Date, to: Date) -> bool {
        self.end_time.is_none() && self.effective_from < to && from < self.effective_end()
    }
}

/// Whether the days of a delegation keep to its grant.
pub(crate) fn within(grant: &RoleGrant, from: Date, to: Date, today: Date) -> bool {
    from >= today
        && from < to
        && grant.effective_from <= from
        && grant.effective_to.is_none_or(|end| to <= end)
        && from.until(to).is_ok_and(|span| span.get_days() <= LONGEST_DAYS)
}

/// Whether the policies let a role be delegated.
pub(crate) fn is_delegable(policies: &Policies, role: &str) -> bool {
    policies.role(role).is_some_and(|role| role.delegable) && !administers(policies, role)
}

/// A role that the policies call delegable although it administers: such policies are refused.
pub(crate) fn wrongly_delegable(policies: &Policies) -> Option<&str> {
    policies
        .roles()
        .find(|role| role.delegable && administers(policies, &role.name))
        .map(|role| role.name.as_str())
}

fn administers(policies: &Policies, role: &str) -> bool {
    policies
        .grants()
        .iter()
        .filter(|grant| grant.role == role)
        .flat_map(|grant| &grant.permissions)
        .any(|permission| is_administrative(permission))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan as _;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn day(offset: i32) -> Date {
        date(2026, 1, 1).saturating_add(offset.days())
    }

    fn grant(from: i32, to: Option<i32>) -> RoleGrant {
        RoleGrant {
            grant_id: Uuid::nil(),
            role: "officer".to_owned(),
            unit_id: 7,
            effective_from: day(from),
            effective_to: to.map(day),
        }
    }

    fn resting_on(grant: &RoleGrant, from: Date, to: Date, ended: bool) -> Delegation {
        Delegation {
            delegation_id: Uuid::nil(),
            grant_id: grant.grant_id,
            role: grant.role.clone(),
            unit_id: grant.unit_id,
            delegator_id: Uuid::from_u128(1),
            delegator_name: String::new(),
            delegator_unit_id: 7,
            delegatee_id: Uuid::from_u128(2),
            delegatee_name: String::new(),
            delegatee_unit_id: 7,
            effective_from: from,
            effective_to: to,
            grant_to: grant.effective_to,
            grant_from: grant.effective_from,
            reason: "đi công tác".to_owned(),
            document_number: "12/GUQ-UBND".to_owned(),
            create_time: Timestamp::UNIX_EPOCH,
            end_time: ended.then_some(Timestamp::UNIX_EPOCH),
            ended_by: None,
            end_reason: String::new(),
        }
    }

    proptest! {
        /// Whatever becomes of the grant afterwards (a new end, or ended at once), the delegation counts on no day on which the
        /// grant does not, and on none outside its own days.
        #[test]
        fn a_delegation_never_counts_on_a_day_on_which_its_grant_does_not(
            (from, length) in (0..400_i32, 0..800_i32),
            (begins, lasts) in (0..400_i32, 1..500_i32),
            later_end in proptest::option::of(0..900_i32),
            ended in any::<bool>(),
            asked in 0..1000_i32,
        ) {
            let given = grant(from, Some(from + length));
            let changed = RoleGrant { effective_to: later_end.map(|end| day(end.max(from))), ..given };
            let delegation = resting_on(&changed, day(begins), day(begins + lasts), ended);
            let on = day(asked);
            if delegation.in_force(on) {
                prop_assert!(changed.in_force(on));
                prop_assert!(day(begins) <= on && on < day(begins + lasts));
                prop_assert!(!ended && delegation.is_open(on) && delegation.overlaps(on, on.saturating_add(1.day())));
            }
            if ended {
                prop_assert!(!delegation.in_force(on) && !delegation.is_open(on));
            }
        }

        /// What is accepted lies within the grant, begins today or later, and is not longer than the longest.
        #[test]
        fn an_accepted_delegation_lies_within_its_grant(
            from in 0..400_i32, length in proptest::option::of(0..800_i32),
            begins in 0..500_i32, lasts in -5..500_i32, today in 0..500_i32,
        ) {
            let given = grant(from, length.map(|length| from + length));
            let (first, last) = (day(begins), day(begins + lasts));
            if within(&given, first, last, day(today)) {
                prop_assert!((1..=LONGEST_DAYS).contains(&lasts) && begins >= today);
                let mut on = first;
                while on < last {
                    prop_assert!(given.in_force(on));
                    on = on.saturating_add(1.day());
                }
            }
        }
    }

    #[test]
    fn the_whole_time_of_a_grant_can_be_delegated_and_not_a_day_more() {
        let given = grant(0, Some(30));
        assert!(within(&given, day(0), day(30), day(0)));
        assert!(!within(&given, day(0), day(31), day(0)));
        assert!(!within(&given, day(-1), day(30), day(-1)));
        let open = grant(0, None);
        assert!(within(&open, day(0), day(LONGEST_DAYS), day(0)));
        assert!(!within(&open, day(0), day(LONGEST_DAYS + 1), day(0)));
        assert!(!within(&open, day(3), day(3), day(0)));
    }

    #[test]
    fn a_role_that_administers_is_never_delegable_whatever_its_text_says() {
        let text = "[[role]]\nname = \"admin\"\ntitle = \"Quản trị\"\ndelegable = true\n\
                    [[role]]\nname = \"leader\"\ntitle = \"Lãnh đạo\"\ndelegable = true\n\
                    [[role]]\nname = \"clerk\"\ntitle = \"Công chức\"\n\
                    [[grant]]\nrole = \"admin\"\npermissions = [\"identity.roles.manage\"]\nover = \"subtree\"\n\
                    [[grant]]\nrole = \"leader\"\npermissions = [\"onestop.cases.approve\"]\nover = \"subtree\"\n";
        let policies = Policies::from_toml(&[("t.toml", text)]).unwrap();
        assert!(!is_delegable(&policies, "admin"));
        assert!(is_delegable(&policies, "leader"));
        assert!(!is_delegable(&policies, "clerk"));
        assert!(!is_delegable(&policies, "unknown"));
        assert_eq!(wrongly_delegable(&policies), Some("admin"));
    }
}
