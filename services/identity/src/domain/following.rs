//! What an account takes along when units close: its unit and its roles go to the designated successors (đơn vị kế thừa).

use std::collections::HashMap;

use jiff::civil::Date;
use uuid::Uuid;

use super::account::Account;
use super::role::RoleGrant;
use super::succession::Closing;

/// What changes for an account.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Following {
    /// The unit it belongs to from now on, if that changes.
    pub unit: Option<i32>,
    /// The grants that end, each with its end (exclusive).
    pub ended: Vec<(Uuid, Date)>,
    /// The grants that begin at successors.
    pub begun: Vec<RoleGrant>,
}

/// A role at a unit that closed ends with it and goes on at the designated successor for as long as it would have lasted. Without one
/// it ends, and the account stays where it is until somebody decides.
pub(crate) fn following(
    account: &Account,
    closings: &HashMap<i32, Closing>,
    mut new_id: impl FnMut() -> Uuid,
) -> Following {
    let mut following = Following {
        unit: closings.get(&account.unit_id).and_then(|closing| closing.successor),
        ended: Vec::new(),
        begun: Vec::new(),
    };
    for grant in &account.roles {
        let Some(closing) = closings.get(&grant.unit_id) else {
            continue;
        };
        let end = closing.effective_date.max(grant.effective_from);
        if grant.effective_to.is_some_and(|to| to <= end) {
            continue;
        }
        following.ended.push((grant.grant_id, end));
        let Some(unit_id) = closing.successor else { continue };
        let wanted = RoleGrant {
            grant_id: Uuid::nil(),
            role: grant.role.clone(),
            unit_id,
            effective_from: end,
            effective_to: grant.effective_to,
        };
        // Whoever held the role at both units that merge holds it once.
        let mut held = account.roles.iter().chain(&following.begun);
        if !held.any(|other| covers(other, &wanted)) {
            following.begun.push(RoleGrant {
                grant_id: new_id(),
                ..wanted
            });
        }
    }
    following
}

/// Whether a grant gives the same role at the same unit on every day on which the other does.
fn covers(grant: &RoleGrant, other: &RoleGrant) -> bool {
    grant.role == other.role
        && grant.unit_id == other.unit_id
        && grant.effective_from <= other.effective_from
        && grant
            .effective_to
            .is_none_or(|to| other.effective_to.is_some_and(|wanted| wanted <= to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::succession::Change;
    use jiff::ToSpan as _;
    use jiff::civil::date;
    use proptest::prelude::*;

    /// Units 1 and 2 closed into 3, each on a day of its own; 4 closed into nothing; 3 and 5 go on.
    fn closings(first: Date, second: Date, third: Date) -> HashMap<i32, Closing> {
        [(1, first, Some(3)), (2, second, Some(3)), (4, third, None)]
            .into_iter()
            .map(|(unit_id, effective_date, successor)| {
                let closing = Closing {
                    unit_id,
                    effective_date,
                    change: Change::Merge,
                    successor,
                    successors: successor.into_iter().collect(),
                };
                (unit_id, closing)
            })
            .collect()
    }

    fn day() -> impl Strategy<Value = Date> {
        (0..60_i32).prop_map(|days| date(2026, 11, 1).saturating_add(days.days()))
    }

    fn grants() -> impl Strategy<Value = Vec<RoleGrant>> {
        let grant =
            (0..2_usize, 1..=5_i32, day(), prop::option::of(0..60_i32)).prop_map(|(role, unit_id, from, lasts)| {
                RoleGrant {
                    grant_id: Uuid::nil(),
                    role: ["clerk", "officer"][role].to_owned(),
                    unit_id,
                    effective_from: from,
                    effective_to: lasts.map(|days| from.saturating_add(days.days())),
                }
            });
        prop::collection::vec(grant, 0..8).prop_map(|mut grants| {
            for (number, grant) in grants.iter_mut().enumerate() {
                grant.grant_id = Uuid::from_u128(number as u128 + 1);
            }
            grants
        })
    }

    fn account(unit_id: i32, roles: Vec<RoleGrant>) -> Account {
        Account {
            account_id: Uuid::from_u128(1),
            username: "an.nguyen".to_owned(),
            full_name: "Nguyễn Văn An".to_owned(),
            unit_id,
            disabled_time: None,
            locked_until: None,
            roles,
            version: 1,
        }
    }

    proptest! {
        #[test]
        fn a_role_follows_to_the_successor_for_its_own_days_and_nothing_is_left_behind(
            roles in grants(), unit in 1..=5_i32, days in (day(), day(), day())
        ) {
            let closings = closings(days.0, days.1, days.2);
            let before = account(unit, roles);
            let mut next = 100_u128;
            let done = following(&before, &closings, || { next += 1; Uuid::from_u128(next) });
            let mut roles = before.roles.clone();
            for (grant_id, end) in &done.ended {
                let grant = roles.iter_mut().find(|grant| grant.grant_id == *grant_id).unwrap();
                prop_assert!(*end >= grant.effective_from && grant.effective_to.is_none_or(|to| *end < to));
                grant.effective_to = Some(*end);
            }
            roles.extend(done.begun.iter().cloned());
            let after = account(done.unit.unwrap_or(before.unit_id), roles);
            prop_assert_eq!(after.unit_id, if unit <= 2 { 3 } else { unit });
            for role in ["clerk", "officer"] {
                for ahead in 0..130 {
                    let on = date(2026, 11, 1).saturating_add(ahead.days());
                    let has = |account: &Account, at: i32| {
                        account.roles.iter().any(|held| held.role == role && held.unit_id == at && held.in_force(on))
                    };
                    let closed = |at: i32| closings.get(&at).is_some_and(|closing| closing.effective_date <= on);
                    for at in 1..=5 {
                        let follows = at == 3 && (1..=2).any(|from| has(&before, from) && closed(from));
                        prop_assert_eq!(has(&after, at), !closed(at) && has(&before, at) || follows, "{} {} {}", role, at, on);
                    }
                }
            }
            // A second time there is nothing to do.
            let again = following(&after, &closings, Uuid::nil);
            prop_assert!(again.ended.is_empty() && again.begun.is_empty() && again.unit.is_none());
        }
    }

    #[test]
    fn who_held_a_role_at_both_units_holds_it_once() {
        let closings = closings(date(2026, 12, 1), date(2026, 12, 1), date(2026, 12, 1));
        let at = |number: u128, unit_id| RoleGrant {
            grant_id: Uuid::from_u128(number),
            role: "clerk".to_owned(),
            unit_id,
            effective_from: date(2026, 11, 1),
            effective_to: None,
        };
        let done = following(&account(1, vec![at(1, 1), at(2, 2)]), &closings, Uuid::nil);
        assert_eq!((done.ended.len(), done.begun.len(), done.unit), (2, 1, Some(3)));
    }
}
