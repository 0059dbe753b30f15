//! Danh sách và tìm kiếm hồ sơ: pages of cases, each by an index that gives the rows in the order of the page.
//!
//! Whoever sees rows for several reasons (the cases of the unit, and those assigned to them elsewhere) gets the page from a page for
//! each reason: joined by OR, none of the indexes gives the order, and PostgreSQL walks everybody's cases until it has met enough that
//! the caller sees.

use jiff_sqlx::ToSqlx as _;
use sqlx::{PgConnection, QueryBuilder, Row as _};

use super::cases::state;
use super::{StoreError, Visible};
use crate::domain::listing::{CaseFilter, Summary};
use crate::domain::search::{Order, Place, filed_before, filed_since};

pub(super) type Query = QueryBuilder<sqlx::Postgres>;

pub(super) const SUMMARY: &str = "SELECT case_id, case_code, procedure_code, state, step, owner ->> 'full_name' AS owner_name, \
                                  owner_id, responsible_unit_id, submit_time, due_date FROM cases WHERE ";

/// States that are not final. An index knows them (`cases_open`).
const OPEN: [i16; 6] = [1, 2, 4, 5, 6, 9];

/// Of so many nearest cases those of many procedures are looked for first: a full page of them, if they are one in six. Of more PostgreSQL would
/// rather sort all that a unit has.
const NEAR: i64 = 300;

/// Whether a page is looked for among the nearest cases first ([`list_near`]).
pub(crate) fn looks_near(filter: &CaseFilter) -> bool {
    filter.is_many_procedures() && filter.order == Order::Newest
}

/// One page of many procedures from among the nearest cases, or none if these do not fill it and there are more to look at. Whatever is asked its
/// statements have one plan each, which should be kept: to plan a hundred codes with what is known of each takes many times what the walk does, and
/// where there are few cases PostgreSQL would do that every time, since it takes the plan with the values for cheaper.
pub(crate) async fn list_near(
    connection: &mut PgConnection,
    visible: &Visible,
    filter: &CaseFilter,
    after: Option<&Place>,
    limit: i64,
) -> Result<Option<Vec<Summary>>, StoreError> {
    let mut query = near_query(SUMMARY, visible, filter, after, limit);
    let page = fetch(&mut *connection, &mut query, true).await?;
    let is_full = i64::try_from(page.len()).is_ok_and(|found| found >= limit);
    let is_whole = is_full || near_count(connection, visible, filter, after).await? < NEAR;
    // If not, so few are among the nearest cases that it matters how frequent they are.
    Ok(is_whole.then_some(page))
}

/// One page in the order of the filter.
pub(crate) async fn list(
    connection: &mut PgConnection,
    visible: &Visible,
    filter: &CaseFilter,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<Summary>, StoreError> {
    let mut query = list_query(SUMMARY, visible, filter, after, limit);
    fetch(connection, &mut query, filter.is_empty()).await
}

/// The query of a list of many procedures, which are mostly so large a part of all that a walk by time has soon met a page of them: planning
/// with a hundred codes costs many times that walk. It looks at the nearest cases only, so that a page which is not full says nothing of the
/// rest.
pub(super) fn near_query(
    head: &str,
    visible: &Visible,
    filter: &CaseFilter,
    after: Option<&Place>,
    limit: i64,
) -> Query {
    let order = filter.order;
    let mut query = QueryBuilder::new(head);
    query.push("case_id IN (SELECT case_id FROM (");
    push_near(&mut query, visible, order, after);
    query
        .push(") AS looked WHERE array_position(")
        .push_bind(filter.procedure_codes.clone())
        .push(", procedure_code) IS NOT NULL");
    push_order(&mut query, order, limit);
    query.push(")");
    push_order(&mut query, order, limit);
    query
}

/// The nearest cases, whatever procedure they are of.
fn push_near(query: &mut Query, visible: &Visible, order: Order, after: Option<&Place>) {
    let grounds = grounds(received(visible), visible);
    query.push("SELECT * FROM (");
    push_branches(
        query,
        order,
        NEAR,
        grounds.len(),
        ", procedure_code",
        |query, number| {
            query
                .push("SELECT case_id, procedure_code, ")
                .push(key(order))
                .push(" FROM cases WHERE ");
            if let Some(ground) = grounds.get(number) {
                ground.push(query);
            }
            push_after(query, order, after);
        },
    );
    query.push(") AS near");
    push_order(query, order, NEAR);
}

/// How many cases were looked at by [`near_query`]: fewer than it may look at are all that there are. Asked only where they do not fill a page,
/// which in a small unit is every time.
async fn near_count(
    connection: &mut PgConnection,
    visible: &Visible,
    filter: &CaseFilter,
    after: Option<&Place>,
) -> Result<i64, StoreError> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM (");
    push_near(&mut query, visible, filter.order, after);
    query.push(") AS looked");
    Ok(query.build_query_scalar().fetch_one(connection).await?)
}

/// Runs a query of summaries. One that is the same whatever is asked keeps its plan; another is planned with what is asked, since
/// how frequent that is decides which index is walked.
pub(super) async fn fetch(
    connection: &mut PgConnection,
    query: &mut Query,
    keep_plan: bool,
) -> Result<Vec<Summary>, StoreError> {
    summaries(query.build().persistent(keep_plan).fetch_all(connection).await?)
}

/// The query of a list. `head` is apart so that a test can put EXPLAIN before it.
pub(super) fn list_query(
    head: &str,
    visible: &Visible,
    filter: &CaseFilter,
    after: Option<&Place>,
    limit: i64,
) -> Query {
    let received = received(visible);
    let visible = visible.narrowed(filter.unit_id);
    let order = filter.order;
    let one_state_each = order == Order::Newest
        && visible.is_wide()
        && !filter.states.is_empty()
        && filter.states.iter().all(|state| OPEN.contains(state));
    let states: Vec<Vec<i16>> = if one_state_each {
        filter.states.iter().map(|state| vec![*state]).collect()
    } else {
        vec![filter.states.clone()]
    };
    let branches: Vec<(Ground, CaseFilter)> = grounds(received, &visible)
        .into_iter()
        .flat_map(|ground| states.iter().map(move |states| (ground.clone(), states.clone())))
        .map(|(ground, states)| {
            (
                ground,
                CaseFilter {
                    states,
                    ..filter.clone()
                },
            )
        })
        .collect();
    let condition = |query: &mut Query, (ground, filter): &(Ground, CaseFilter)| {
        ground.push(query);
        push_filter(query, filter);
        push_after(query, order, after);
    };
    let mut query = QueryBuilder::new(head);
    if let [only] = branches.as_slice() {
        condition(&mut query, only);
    } else {
        push_union(&mut query, order, limit, branches.len(), |query, number| {
            query
                .push("SELECT case_id, ")
                .push(key(order))
                .push(" FROM cases WHERE ");
            if let Some(branch) = branches.get(number) {
                condition(query, branch);
            }
        });
    }
    push_order(&mut query, order, limit);
    query
}

/// The cases whose code is this, or begins so; the highest first.
pub(super) fn code_query(
    head: &str,
    visible: &Visible,
    codes: (&str, Option<&str>),
    filter: &CaseFilter,
    after: Option<&Place>,
    limit: i64,
) -> Query {
    let (from, to) = codes;
    let grounds = grounds(received(visible), &visible.narrowed(filter.unit_id));
    let mut query = QueryBuilder::new(head);
    push_union(&mut query, Order::Code, limit, grounds.len(), |query, number| {
        query.push("SELECT case_id, case_code FROM cases WHERE ");
        if let Some(ground) = grounds.get(number) {
            ground.push(query);
        }
        query
            .push(" AND case_code COLLATE \"C\" >= ")
            .push_bind(from.to_owned());
        if let Some(to) = to {
            query.push(" AND case_code COLLATE \"C\" < ").push_bind(to.to_owned());
        }
        push_filter(query, filter);
        push_after(query, Order::Code, after);
    });
    push_order(&mut query, Order::Code, limit);
    query
}

/// Why a caller sees cases in a list.
#[derive(Clone)]
pub(super) enum Ground {
    /// By its scope.
    Seen(Visible),
    /// Its units received them for another one (nơi tiếp nhận).
    Received(Vec<i32>),
}

/// The units of which a caller sees what they received for others, whatever unit a list is narrowed to. Whoever sees many sees what they
/// received for one another anyway; the rest would cost every page.
pub(super) fn receiving(visible: &Visible) -> &[i32] {
    if visible.is_wide() {
        &[]
    } else {
        visible.units.as_slice()
    }
}

/// The ground of reception.
pub(super) fn received(visible: &Visible) -> Option<Ground> {
    let units = receiving(visible);
    (!units.is_empty()).then(|| Ground::Received(units.to_vec()))
}

/// All grounds of a caller.
pub(super) fn grounds(received: Option<Ground>, visible: &Visible) -> Vec<Ground> {
    received
        .into_iter()
        .chain(visible.reasons().into_iter().map(Ground::Seen))
        .collect()
}

impl Ground {
    fn push(&self, query: &mut Query) {
        match self {
            Self::Seen(visible) => push_visible(query, visible),
            Self::Received(units) => {
                // Word for word the condition of the partial indexes.
                query.push("receiving_unit_id <> responsible_unit_id AND receiving_unit_id");
                match units.as_slice() {
                    [unit] => query.push(" = ").push_bind(*unit),
                    units => query.push(" = ANY (").push_bind(units.to_vec()).push(")"),
                };
            }
        }
    }
}

/// `case_id IN (a page of the pages of all branches)`. The branches are merged in their order, so that each is walked only as far as the
/// page needs it; a case that several have stands once.
pub(super) fn push_union(
    query: &mut Query,
    order: Order,
    limit: i64,
    branches: usize,
    mut push_branch: impl FnMut(&mut Query, usize),
) {
    query.push("case_id IN (SELECT case_id FROM (");
    push_branches(query, order, limit, branches, "", &mut push_branch);
    query.push(") AS pages");
    push_order(query, order, limit);
    query.push(")");
}

/// The branches, merged, each up to this limit. `further` columns they have beside id and key.
fn push_branches(
    query: &mut Query,
    order: Order,
    limit: i64,
    branches: usize,
    further: &str,
    mut push_branch: impl FnMut(&mut Query, usize),
) {
    if branches > 1 {
        let key = key(order);
        let first = match order {
            Order::Newest | Order::Due => format!("{key}, case_id"),
            Order::Code => format!("{key} COLLATE \"C\""),
        };
        query.push(format_args!(
            "SELECT DISTINCT ON ({first}) case_id, {key}{further} FROM ("
        ));
    }
    for number in 0..branches {
        query.push(if number == 0 { "(" } else { " UNION ALL (" });
        push_branch(query, number);
        push_order(query, order, limit);
        query.push(")");
    }
    if branches > 1 {
        query.push(") AS branches ORDER BY ").push(by(order));
    }
}

/// The column by which an order sorts.
fn key(order: Order) -> &'static str {
    match order {
        Order::Newest => "submit_time",
        Order::Due => "due_date",
        Order::Code => "case_code",
    }
}

pub(super) fn push_filter(query: &mut Query, filter: &CaseFilter) {
    if let Some(unit_id) = filter.unit_id {
        query.push(" AND responsible_unit_id = ").push_bind(unit_id);
    }
    if !filter.states.is_empty() {
        // Spelt out: an index of some states is used where the planner sees that these are among them.
        let states: Vec<String> = filter.states.iter().map(ToString::to_string).collect();
        query.push(format_args!(" AND state IN ({})", states.join(", ")));
    }
    match filter.procedure_codes.as_slice() {
        [] => {}
        [one] => {
            query.push(" AND procedure_code = ").push_bind(one.clone());
        }
        several => {
            query
                .push(" AND procedure_code = ANY (")
                .push_bind(several.to_vec())
                .push(")");
        }
    }
    if let Some(due_from) = filter.due_from {
        query.push(" AND due_date >= ").push_bind(due_from.to_sqlx());
    }
    if let Some(due_until) = filter.due_until {
        query.push(" AND due_date <= ").push_bind(due_until.to_sqlx());
        if let Some(end) = filed_before(due_until).filter(|_| filter.order == Order::Newest) {
            // The walk by time begins where something can be due.
            query.push(" AND submit_time < ").push_bind(end.to_sqlx());
        }
    }
    if filter.order == Order::Due {
        query.push(" AND due_date IS NOT NULL");
    }
    // The walk by time begins where the period ends, and ends where it begins.
    if let Some(since) = filter.filed_from.and_then(filed_since) {
        query.push(" AND submit_time >= ").push_bind(since.to_sqlx());
    }
    if let Some(end) = filter.filed_until.and_then(filed_before) {
        query.push(" AND submit_time < ").push_bind(end.to_sqlx());
    }
}

/// The query's own filter, no longer than it must be: a condition that cannot hold would only keep PostgreSQL from the
/// index in whose order the list comes. For one unit it is `=` and not `= ANY` for the same reason.
pub(super) fn push_visible(query: &mut Query, visible: &Visible) {
    if visible.all {
        query.push("true");
        return;
    }
    query.push("(false");
    match visible.units.as_slice() {
        [] => {}
        [unit] => {
            query.push(" OR responsible_unit_id = ").push_bind(*unit);
        }
        units => {
            query
                .push(" OR responsible_unit_id = ANY (")
                .push_bind(units.to_vec())
                .push(")");
        }
    }
    if let Some(owner) = visible.owner {
        query.push(" OR owner_id = ").push_bind(owner);
    }
    if let Some(assignee) = visible.assignee {
        query.push(" OR assignee_id = ").push_bind(assignee);
    }
    query.push(")");
}

pub(super) fn push_after(query: &mut Query, order: Order, after: Option<&Place>) {
    match (order, after) {
        (Order::Newest, Some(Place::Time(after))) => {
            query
                .push(" AND (submit_time, case_id) < (")
                .push_bind(after.submit_time.to_sqlx())
                .push(", ")
                .push_bind(after.case_id)
                .push(")");
        }
        (Order::Due, Some(Place::Due { due_date, case_id })) => {
            query
                .push(" AND (due_date, case_id) > (")
                .push_bind(due_date.to_sqlx())
                .push(", ")
                .push_bind(*case_id)
                .push(")");
        }
        (Order::Code, Some(Place::Code { case_code })) => {
            query
                .push(" AND case_code COLLATE \"C\" < ")
                .push_bind(case_code.clone());
        }
        // A page token is good for the order for which it was made only: there is no other place.
        (_, Some(_) | None) => {}
    }
}

pub(super) fn push_order(query: &mut Query, order: Order, limit: i64) {
    // Spelt out: where PostgreSQL does not know how few rows are wanted, it makes a new plan for every page.
    query.push(format_args!(" ORDER BY {} LIMIT {limit}", by(order)));
}

/// The order of a page.
fn by(order: Order) -> &'static str {
    match order {
        Order::Newest => "submit_time DESC, case_id DESC",
        Order::Due => "due_date, case_id",
        Order::Code => "case_code COLLATE \"C\" DESC",
    }
}

pub(super) fn summaries(rows: Vec<sqlx::postgres::PgRow>) -> Result<Vec<Summary>, StoreError> {
    rows.into_iter()
        .map(|row| {
            Ok(Summary {
                case_id: row.try_get("case_id")?,
                case_code: row.try_get("case_code")?,
                procedure_code: row.try_get("procedure_code")?,
                state: state(row.try_get("state")?, "state")?,
                step: row.try_get("step")?,
                owner_name: row.try_get::<Option<String>, _>("owner_name")?.unwrap_or_default(),
                owner_id: row.try_get("owner_id")?,
                responsible_unit_id: row.try_get("responsible_unit_id")?,
                submit_time: row.try_get::<jiff_sqlx::Timestamp, _>("submit_time")?.to_jiff(),
                due_date: row
                    .try_get::<Option<jiff_sqlx::Date>, _>("due_date")?
                    .map(jiff_sqlx::Date::to_jiff),
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "cases_plans.rs"]
mod plans;
