//! The statement that opens a transaction and says whose rows it may see.

use std::fmt::Write as _;

use egov_auth::RowScope;

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One snapshot for all statements, so that a list and what hangs on it agree. A read-only transaction of this
    /// level never fails for concurrency.
    Read,
    /// The same, for statements of which one plan is right whatever is asked.
    ReadByKeptPlans,
    /// Each statement sees what is committed: the claim of a request id and the lock of a counter depend on it.
    Write,
}

/// `BEGIN` and the scope in one message to the server.
///
/// Everything that varies is an integer or a UUID, printed by us: nothing in the text comes from a caller.
pub(crate) fn begin_statement(mode: Mode, scope: &RowScope) -> String {
    let mut sql = match mode {
        Mode::Read | Mode::ReadByKeptPlans => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ".to_owned(),
        Mode::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ".to_owned(),
    };
    sql.push_str(&scope_statement(scope));
    if mode != Mode::Read {
        // A write finds its rows by key, so that one plan is right whatever the values; but PostgreSQL, which counts the
        // elements of each array that is given, would make a new plan for every statement of every write. Reads are left to
        // its judgement, unless they say that their statements leave one way only.
        sql.push_str(", set_config('plan_cache_mode', 'force_generic_plan', true)");
    }
    if mode == Mode::ReadByKeptPlans {
        // A page is walked in its order, and ends when it is full. Gathering pages of the disk first pays only for what is few, which a plan
        // that is made without the values cannot know.
        sql.push_str(", set_config('enable_bitmapscan', 'off', true)");
    }
    sql
}

/// Sets the scope for the rest of the transaction.
pub(crate) fn scope_statement(scope: &RowScope) -> String {
    let mut units = String::with_capacity(scope.units.len() * 6);
    for (place, unit) in scope.units.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(units, "{comma}{unit}");
    }
    let all = if scope.all { "on" } else { "off" };
    let uuid = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    format!(
        "SELECT set_config('egov.scope_units', '{{{units}}}', true), \
         set_config('egov.scope_all', '{all}', true), \
         set_config('egov.scope_owner', '{}', true), \
         set_config('egov.scope_assignee', '{}', true)",
        uuid(scope.owner),
        uuid(scope.assignee),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_spelt_out_in_full_so_that_nothing_of_an_earlier_one_stays() {
        let owner = uuid::Uuid::from_u128(7);
        let scope = RowScope {
            all: false,
            units: vec![3, -1, 40],
            owner: Some(owner),
            assignee: None,
        };
        let sql = begin_statement(Mode::Read, &scope);
        assert!(sql.starts_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT "));
        assert!(sql.contains("set_config('egov.scope_units', '{3,-1,40}', true)"));
        assert!(sql.contains("set_config('egov.scope_all', 'off', true)"));
        assert!(sql.contains(&format!("set_config('egov.scope_owner', '{owner}', true)")));
        assert!(sql.contains("set_config('egov.scope_assignee', '', true)"));
    }

    #[test]
    fn a_write_keeps_its_plans_and_a_read_is_left_to_the_server() {
        let writing = begin_statement(Mode::Write, &RowScope::none());
        assert!(
            writing.contains("set_config('plan_cache_mode', 'force_generic_plan', true)"),
            "{writing}"
        );
        assert!(!begin_statement(Mode::Read, &RowScope::none()).contains("plan_cache_mode"));
        let kept = begin_statement(Mode::ReadByKeptPlans, &RowScope::none());
        assert!(kept.starts_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT "));
        assert!(kept.contains("set_config('plan_cache_mode', 'force_generic_plan', true)"));
    }

    #[test]
    fn no_scope_is_an_empty_scope() {
        let sql = scope_statement(&RowScope::none());
        assert!(sql.contains("'{}'") && sql.contains("'off'"));
    }
}
