//! Accounts from a list: what a row must be, and what an account that exists already has to do with it.

use std::collections::HashSet;

use egov_codes::normal_name;
use jiff::civil::Date;

use super::account::{Account, canonical_username, is_username};

/// The longest name of a person, in characters.
const LONGEST_NAME: usize = 200;

/// A role that a row asks for, with its unit resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedRole {
    /// The role.
    pub role: String,
    /// At this unit.
    pub unit_id: i32,
}

/// A row that is acceptable by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Tên đăng nhập, in its canonical form.
    pub username: String,
    /// Họ và tên.
    pub full_name: String,
    /// The unit.
    pub unit_id: i32,
    /// The roles.
    pub roles: Vec<WantedRole>,
}

/// A row as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// Tên đăng nhập.
    pub username: &'a str,
    /// Họ và tên.
    pub full_name: &'a str,
    /// Mã đơn vị.
    pub unit_code: &'a str,
    /// Role and code of the unit, which is that of the person if empty.
    pub roles: &'a [(&'a str, &'a str)],
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The user name has another form.
    Username,
    /// The name of the person is empty or too long.
    FullName,
    /// The user name stands in an earlier row too.
    Repeated,
    /// There is no such unit today.
    UnknownUnit,
    /// No policy knows the role.
    UnknownRole,
    /// There is no such unit today, for a role.
    UnknownRoleUnit,
    /// The caller does not administer accounts of the unit.
    NotYourUnit,
    /// The caller may not give the role there.
    NotYourRole,
    /// The user name is taken by somebody whom the caller may not see.
    Taken,
    /// The same role at the same unit stands in the row twice.
    RepeatedRole,
}

impl Problem {
    /// Field, rule, and the sentence in Vietnamese and English.
    pub(crate) const fn row(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Username => (
                "username",
                "username.form",
                "phải có 3 đến 100 ký tự gồm chữ thường không dấu, số, dấu chấm, gạch dưới, gạch ngang, bắt đầu bằng chữ hoặc số",
                "must be 3 to 100 of a-z, 0-9, dot, underscore and dash, beginning with a letter or digit",
            ),
            Self::FullName => (
                "full_name",
                "full_name.form",
                "họ và tên không được để trống và không quá 200 ký tự",
                "must not be empty and not longer than 200 characters",
            ),
            Self::Repeated => (
                "username",
                "username.repeated",
                "tên đăng nhập đã có ở dòng trước trong danh sách",
                "stands in an earlier row of the list as well",
            ),
            Self::UnknownUnit => (
                "unit_code",
                "unit.unknown",
                "hôm nay không có đơn vị mang mã này",
                "no unit carries this code today",
            ),
            Self::UnknownRole => (
                "roles",
                "role.unknown",
                "không có vai trò này trong chính sách",
                "no policy knows this role",
            ),
            Self::UnknownRoleUnit => (
                "roles",
                "role.unit",
                "hôm nay không có đơn vị mang mã đã nêu cho vai trò",
                "no unit carries the code named for the role today",
            ),
            Self::NotYourUnit => (
                "unit_code",
                "unit.forbidden",
                "người gọi không quản lý tài khoản của đơn vị này",
                "the caller does not administer accounts of this unit",
            ),
            Self::NotYourRole => (
                "roles",
                "role.forbidden",
                "người gọi không được giao vai trò này tại đơn vị này",
                "the caller may not give this role at this unit",
            ),
            Self::Taken => (
                "username",
                "username.taken",
                "tên đăng nhập đã được sử dụng",
                "the user name is taken",
            ),
            Self::RepeatedRole => (
                "roles",
                "role.repeated",
                "vai trò được nêu hai lần cho cùng một đơn vị",
                "the same role at the same unit stands here twice",
            ),
        }
    }
}

/// What an existing account lacks of its row; nothing if it is exactly so.
pub(crate) fn differences(account: &Account, wanted: &Wanted, today: Date) -> Vec<&'static str> {
    let mut fields = Vec::new();
    if account.full_name != wanted.full_name {
        fields.push("full_name");
    }
    if account.unit_id != wanted.unit_id {
        fields.push("unit_code");
    }
    let holds = |role: &WantedRole| {
        account
            .roles
            .iter()
            .any(|held| held.role == role.role && held.unit_id == role.unit_id && held.in_force(today))
    };
    if !wanted.roles.iter().all(holds) {
        fields.push("roles");
    }
    if account.disabled_time.is_some() {
        fields.push("disabled");
    }
    fields
}

/// Checks every row, each with all that is wrong with it. `unit` finds a unit by its code, `known` a role.
pub(crate) fn check(
    rows: &[Row<'_>],
    unit: impl Fn(&str) -> Option<i32>,
    known: impl Fn(&str) -> bool,
) -> Vec<Result<Wanted, Vec<Problem>>> {
    let mut seen = HashSet::new();
    rows.iter()
        .map(|row| {
            let mut problems = Vec::new();
            let username = canonical_username(row.username);
            if !is_username(&username) {
                problems.push(Problem::Username);
            } else if !seen.insert(username.clone()) {
                problems.push(Problem::Repeated);
            }
            let full_name = normal_name(row.full_name);
            if full_name.is_empty() || full_name.chars().count() > LONGEST_NAME {
                problems.push(Problem::FullName);
            }
            let home = unit(row.unit_code.trim());
            if home.is_none() {
                problems.push(Problem::UnknownUnit);
            }
            let mut roles: Vec<WantedRole> = Vec::new();
            for (role, code) in row.roles {
                let (role, code) = (role.trim(), code.trim());
                let at = if code.is_empty() { home } else { unit(code) };
                if !known(role) {
                    problems.push(Problem::UnknownRole);
                }
                match at {
                    Some(unit_id) => {
                        let wanted = WantedRole {
                            role: role.to_owned(),
                            unit_id,
                        };
                        if roles.contains(&wanted) {
                            problems.push(Problem::RepeatedRole);
                        } else {
                            roles.push(wanted);
                        }
                    }
                    None if code.is_empty() => {}
                    None => problems.push(Problem::UnknownRoleUnit),
                }
            }
            match home {
                Some(unit_id) if problems.is_empty() => Ok(Wanted {
                    username,
                    full_name,
                    unit_id,
                    roles,
                }),
                _ => Err(problems),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(code: &str) -> Option<i32> {
        match code {
            "40" => Some(1),
            "16690" => Some(2),
            _ => None,
        }
    }

    fn known(role: &str) -> bool {
        role == "officer"
    }

    fn row<'a>(username: &'a str, full_name: &'a str, unit_code: &'a str, roles: &'a [(&'a str, &'a str)]) -> Row<'a> {
        Row {
            username,
            full_name,
            unit_code,
            roles,
        }
    }

    #[test]
    fn every_fault_of_every_row_is_named() {
        let rows = [
            row(
                "An.Nguyen",
                "  nguyễn   văn An ",
                "16690",
                &[("officer", ""), ("officer", "40")],
            ),
            row("ấ", "", "99", &[("none", "98")]),
            row("an.nguyen", "Trần B", "40", &[("officer", ""), ("officer", "40")]),
        ];
        let checked = check(&rows, unit, known);
        let first = checked[0].as_ref().unwrap();
        assert_eq!((first.username.as_str(), first.unit_id), ("an.nguyen", 2));
        assert_eq!(first.roles.iter().map(|role| role.unit_id).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(
            checked[1],
            Err(vec![
                Problem::Username,
                Problem::FullName,
                Problem::UnknownUnit,
                Problem::UnknownRole,
                Problem::UnknownRoleUnit
            ])
        );
        assert_eq!(checked[2], Err(vec![Problem::Repeated, Problem::RepeatedRole]));
    }

    proptest! {
        #[test]
        fn whatever_a_list_holds_each_row_is_acceptable_or_has_a_fault(
            rows in proptest::collection::vec((any::<String>(), any::<String>(), any::<String>(), any::<String>()), 0..12),
        ) {
            let roles: Vec<[(&str, &str); 1]> = rows.iter().map(|row| [(row.3.as_str(), row.2.as_str())]).collect();
            let typed: Vec<Row<'_>> = rows
                .iter()
                .zip(&roles)
                .map(|((name, full, code, _), roles)| row(name, full, code, roles))
                .collect();
            let checked = check(&typed, |code| (code.len() < 3).then_some(1), |role| role.len() < 4);
            prop_assert_eq!(checked.len(), rows.len());
            let mut names = HashSet::new();
            for outcome in checked {
                match outcome {
                    Ok(wanted) => prop_assert!(is_username(&wanted.username) && names.insert(wanted.username)),
                    Err(problems) => prop_assert!(!problems.is_empty()),
                }
            }
        }
    }
}
