//! Roles (vai trò) at units, for a time, and who may give them.
//!
//! Three rules bind whoever gives or ends a role; the policies (`deploy/policies/`) say who has the permissions.
//!
//! 1. **Own subtree.** The permission `identity.roles.manage` must reach both the unit of the account and the unit of the
//!    role.
//! 2. **No administration beyond one's own.** Every *administrative* permission (`identity.…`) that the role would give must
//!    be one that the giver holds over that very unit. Permissions of the offices' own work are not compared: whoever
//!    administers accounts must be able to appoint a registrar without being one. Were they compared, administrators
//!    would have to hold every permission of the province.
//! 3. **Not to oneself.** Together with the second rule this keeps the administrator out of the work and the worker out
//!    of the administration, until two people agree.

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

/// What is wrong with a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateProblem {
    /// Month 13, or a bare year.
    NotADay,
    /// The end is not after the beginning.
    EndsBeforeItBegins,
    /// It lies in the past, where nothing can be granted any more.
    Past,
}

/// A role at a unit for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleGrant {
    /// Id of the grant.
    pub grant_id: Uuid,
    /// The role.
    pub role: String,
    /// At this unit.
    pub unit_id: i32,
    /// From this day.
    pub effective_from: Date,
    /// Until this day (exclusive); absent if open.
    pub effective_to: Option<Date>,
}

impl RoleGrant {
    /// True if the role is in force on a day.
    pub(crate) fn in_force(&self, on: Date) -> bool {
        self.effective_from <= on && self.effective_to.is_none_or(|end| on < end)
    }

    /// True if the role counts on no day from this one on; one that begins later has not ended.
    pub(crate) fn has_ended(&self, today: Date) -> bool {
        self.effective_to
            .is_some_and(|end| end <= today || end <= self.effective_from)
    }

    /// Whether a grant that counts today or later may end on a day (exclusive), or never: not before tomorrow, since what ends
    /// today is ended and not changed, and after its own beginning.
    pub(crate) fn may_end_on(&self, end: Option<Date>, today: Date) -> Result<(), DateProblem> {
        match end {
            Some(end) if end <= today => Err(DateProblem::Past),
            Some(end) if end <= self.effective_from => Err(DateProblem::EndsBeforeItBegins),
            _ => Ok(()),
        }
    }

    /// The end (exclusive) that makes the role void from `today` on: today itself, or the first day of a role that has
    /// not begun. `None` if it has ended already.
    pub(crate) fn end_at_once(&self, today: Date) -> Option<Date> {
        let end = today.max(self.effective_from);
        self.effective_to.is_none_or(|now| end < now).then_some(end)
    }
}

/// A grant that is to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewGrant {
    /// What is granted.
    pub grant: RoleGrant,
    /// To this account.
    pub account_id: Uuid,
    /// By whom; absent for the first administrator.
    pub granted_by: Option<Uuid>,
    /// When.
    pub grant_time: Timestamp,
    /// Why; may be empty.
    pub reason: String,
}

/// A grant with whom it belongs to, who gave it and who ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantEntry {
    /// The grant.
    pub grant: RoleGrant,
    /// Whose it is.
    pub account_id: Uuid,
    /// The holder, if the reader may see the account.
    pub holder: Option<Holder>,
    /// By whom; absent if the operator gave it.
    pub granted_by: Option<Uuid>,
    /// When.
    pub grant_time: Timestamp,
    /// Why.
    pub reason: String,
    /// Who set its end.
    pub ended_by: Option<Uuid>,
    /// When.
    pub end_time: Option<Timestamp>,
    /// Why.
    pub end_reason: String,
}

/// Whose a grant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Tên đăng nhập.
    pub username: String,
    /// Họ và tên.
    pub full_name: String,
    /// The unit the person belongs to.
    pub unit_id: i32,
    /// Whether the account is closed.
    pub disabled: bool,
}

/// True for a permission over other people's access, which nobody passes on who does not hold it.
pub(crate) fn is_administrative(permission: &str) -> bool {
    permission.starts_with("identity.") && !permission.starts_with("identity.self.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn grant(from: Date, to: Option<Date>) -> RoleGrant {
        RoleGrant {
            grant_id: Uuid::nil(),
            role: "one_stop_clerk".to_owned(),
            unit_id: 7,
            effective_from: from,
            effective_to: to,
        }
    }

    #[test]
    fn a_role_is_in_force_from_its_first_day_to_the_day_before_its_end() {
        let role = grant(date(2026, 11, 1), Some(date(2026, 12, 1)));
        assert!(!role.in_force(date(2026, 10, 31)));
        assert!(role.in_force(date(2026, 11, 1)));
        assert!(role.in_force(date(2026, 11, 30)));
        assert!(!role.in_force(date(2026, 12, 1)));
    }

    #[test]
    fn a_role_that_begins_later_has_not_ended_and_one_that_never_counts_has() {
        let today = date(2026, 11, 23);
        let (tomorrow, later) = (date(2026, 11, 24), date(2026, 12, 1));
        assert!(!grant(tomorrow, None).has_ended(today));
        assert!(!grant(today, Some(tomorrow)).has_ended(today));
        assert!(grant(date(2026, 11, 1), Some(today)).has_ended(today));
        assert!(grant(later, Some(later)).has_ended(today));
    }

    #[test]
    fn a_role_ends_today_or_before_it_begins() {
        let today = date(2026, 11, 23);
        let open = grant(date(2026, 11, 1), None);
        assert_eq!(open.end_at_once(today), Some(today));
        let future = grant(date(2026, 12, 1), None);
        assert_eq!(future.end_at_once(today), Some(date(2026, 12, 1)));
        let over = grant(date(2026, 11, 1), Some(today));
        assert_eq!(over.end_at_once(today), None);
        let void = RoleGrant {
            effective_to: open.end_at_once(today),
            ..open
        };
        assert!(!void.in_force(today));
    }

    #[test]
    fn an_end_is_changed_to_tomorrow_or_later_and_not_before_the_beginning() {
        let today = date(2026, 11, 23);
        let begun = grant(date(2026, 11, 1), Some(date(2026, 12, 1)));
        assert!(begun.may_end_on(None, today).is_ok());
        assert!(begun.may_end_on(Some(date(2026, 11, 24)), today).is_ok());
        assert!(begun.may_end_on(Some(today), today).is_err());
        let future = grant(date(2026, 12, 1), None);
        assert!(future.may_end_on(Some(date(2026, 12, 1)), today).is_err());
        assert!(future.may_end_on(Some(date(2026, 12, 2)), today).is_ok());
    }

    #[test]
    fn permissions_over_others_are_administrative_and_signing_out_is_not() {
        assert!(is_administrative("identity.roles.manage"));
        assert!(!is_administrative("identity.self.sign_out"));
        assert!(!is_administrative("onestop.cases.accept"));
    }
}
