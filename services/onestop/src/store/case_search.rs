//! Tìm kiếm hồ sơ: by code or its beginning, and by words over `case_tokens`.
//!
//! A search for words walks the index of one of them, newest first, sees in it whether a case carries the others, and stops when the page is
//! full. Which word leads is decided so that the page is full soon, or the walk is short:
//!
//! * a word that is not among the frequent ones leads: of several the rarest;
//! * of frequent words two together lead: they are stored as one ([`crate::domain::search::pairs`]), so that "Trần … Nguyên" does not
//!   walk all of the family Trần;
//! * the beginning of a word stands for the few words that begin so, each walked for itself; for many words it is looked up.
//!
//! So it is settled here, and not by PostgreSQL, what is walked: among many units a search keeps its plans, since making them took longer
//! than walking. Among a few units PostgreSQL judges by how many cases they have.
//!
//! What a unit received for another one has its words in a table of its own, `received_case_tokens`, which is walked besides: no row more for
//! the cases that are decided where they were received, which are mostly all.

use jiff::Timestamp;
use sqlx::{PgConnection, QueryBuilder};
use uuid::Uuid;

use super::case_lists::{
    Ground, Query, SUMMARY, code_query, fetch, grounds, push_filter, push_order, push_union, received, receiving,
};
use super::{StoreError, Visible};
use crate::domain::case::Case;
use crate::domain::listing::{CaseFilter, Summary};
use crate::domain::search::{
    CaseQuery, Order, Place, Words, after_all, frequent, is_kept_beside, kept_beside, pair, pairs, tokens_of,
};
use jiff_sqlx::ToSqlx as _;

/// So far is counted to tell which word is rarer.
const COUNTED: i64 = 1_000;

/// So many of the newest are looked at to tell the same by their time.
const NEWEST: i64 = 200;

/// So many words that a version before wrote are made up for at a time.
const UNFILLED: i64 = 20_000;

/// So many cases that a version before filed or moved are made up for at a time.
const UNKEPT: i64 = 2_000;

/// The beginning of a word stands for at most so many words that are walked one by one.
const BEGUN: usize = 16;

/// So many words are walked at once by a plan that is kept: each number of them has one of its own.
const KEPT_LEADS: usize = 2;

/// Whether a search is made by plans that are kept.
pub(crate) fn keeps_plans(visible: &Visible, asked: &CaseQuery, filter: &CaseFilter) -> bool {
    matches!(asked, CaseQuery::Words(_)) && visible.narrowed(filter.unit_id).is_wide()
}

/// One page of the cases that a search text asks for.
pub(crate) async fn search(
    connection: &mut PgConnection,
    visible: &Visible,
    asked: &CaseQuery,
    filter: &CaseFilter,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<Summary>, StoreError> {
    let mut keep_plan = false;
    let mut query = match asked {
        CaseQuery::Nothing => return Ok(Vec::new()),
        CaseQuery::Code(code) => {
            // Nothing lies between a text and the same with one character of no value behind it.
            let next = format!("{code}\u{1}");
            code_query(SUMMARY, visible, (code, Some(&next)), filter, after, limit)
        }
        CaseQuery::CodeBeginning(beginning) => {
            let next = after_all(beginning);
            code_query(SUMMARY, visible, (beginning, next.as_deref()), filter, after, limit)
        }
        CaseQuery::Words(words) => {
            let walk = walk_of(&mut *connection, visible, filter.unit_id, words).await?;
            // States stand in the text of a statement: each choice of them would have a plan of its own.
            let is_wide = visible.narrowed(filter.unit_id).is_wide();
            keep_plan = is_wide && walk.is_of_a_few_words() && filter.states.is_empty();
            words_query(SUMMARY, visible, &walk, filter, after, limit)
        }
    };
    fetch(connection, &mut query, keep_plan).await
}

/// Makes up for what a version before left out of the words of cases that it wrote: how many words now have the others beside them.
pub(crate) async fn keep_words_beside(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT keep_words_beside(ARRAY(
             SELECT DISTINCT case_id FROM (SELECT case_id FROM case_tokens WHERE words IS NULL LIMIT $1) AS unfilled))",
    )
    .bind(UNFILLED)
    .fetch_one(connection)
    .await?)
}

/// Keeps the words of a case for the unit that received it, where another one decides it. Nothing is kept where they are the same.
pub(crate) async fn keep_at_reception(connection: &mut PgConnection, case: &Case) -> Result<(), StoreError> {
    let Some(receiving_unit_id) = case.received_elsewhere() else {
        sqlx::query("DELETE FROM received_case_tokens WHERE case_id = $1")
            .bind(case.case_id)
            .execute(connection)
            .await?;
        return Ok(());
    };
    let tokens = tokens_of(case);
    sqlx::query(
        "INSERT INTO received_case_tokens (receiving_unit_id, responsible_unit_id, token, case_id, submit_time, words)
         SELECT $1, $2, token, $3, $4, $5 FROM unnest($6::text[]) AS token
         ON CONFLICT (token, receiving_unit_id, submit_time, case_id) DO UPDATE SET responsible_unit_id = excluded.responsible_unit_id",
    )
    .bind(receiving_unit_id)
    .bind(case.responsible_unit_id)
    .bind(case.case_id)
    .bind(case.submit_time.to_sqlx())
    .bind(kept_beside(&tokens))
    .bind(&tokens)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes up for what a version before left out at the places of reception: how many words were kept there.
pub(crate) async fn keep_unkept_at_reception(connection: &mut PgConnection) -> Result<i64, StoreError> {
    // By the partial index, which holds such cases only; each is looked up.
    Ok(sqlx::query_scalar(
        "SELECT keep_words_at_reception(ARRAY(
             SELECT case_id FROM cases AS c
             WHERE receiving_unit_id <> responsible_unit_id
               AND NOT EXISTS (SELECT 1 FROM received_case_tokens AS w
                               WHERE w.case_id = c.case_id AND w.responsible_unit_id = c.responsible_unit_id OFFSET 0)
             ORDER BY submit_time DESC, case_id DESC LIMIT $1))",
    )
    .bind(UNKEPT)
    .fetch_one(connection)
    .await?)
}

/// Where the words of cases lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shelf {
    /// Of all cases, with the competent unit.
    Competent,
    /// Of those that were received for another unit, with the place of reception.
    Reception,
}

impl Shelf {
    const fn table(self) -> &'static str {
        match self {
            Self::Competent => "case_tokens",
            Self::Reception => "received_case_tokens",
        }
    }
}

/// A word whose index is walked, and what else a case must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lead {
    pub(super) token: String,
    pub(super) also: Vec<String>,
}

/// What is walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Walk {
    /// Each of these words, newest first; a case carries the beginning as well, if there is one.
    Words(Vec<Lead>, Option<String>),
    /// All cases with a word that begins so, which are few: gathered and sorted.
    Gathered(String, Vec<String>),
    /// All cases, newest first: so many have a word that begins so that the page is soon full.
    Cases(String),
}

impl Walk {
    fn is_of_a_few_words(&self) -> bool {
        matches!(self, Self::Words(leads, _) if leads.len() <= KEPT_LEADS)
    }
}

/// Decides what is walked, in the cases of one unit or in all that the caller sees.
async fn walk_of(
    connection: &mut PgConnection,
    visible: &Visible,
    unit: Option<i32>,
    words: &Words,
) -> Result<Walk, StoreError> {
    let receiving = receiving(visible);
    let visible = &visible.narrowed(unit);
    let Words { whole, beginning } = words;
    let rare: Vec<String> = whole.iter().filter(|word| frequent(word).is_none()).cloned().collect();
    if !rare.is_empty() {
        let lead = rarest(connection, (visible, receiving), rare).await?;
        let also = whole.iter().filter(|word| **word != lead).cloned().collect();
        return Ok(Walk::Words(vec![Lead { token: lead, also }], beginning.clone()));
    }
    let Some(beginning) = beginning else {
        let lead = lead_of_frequent(connection, (visible, receiving), whole).await?;
        return Ok(Walk::Words(vec![lead], None));
    };
    if visible.is_wide() {
        let begun = words_beginning(&mut *connection, visible, beginning).await?;
        if begun.len() <= BEGUN {
            let leads = begun.into_iter().map(|word| lead_of_begun(word, whole)).collect();
            return Ok(Walk::Words(leads, None));
        }
        if are_few(&mut *connection, visible, beginning).await? {
            return Ok(Walk::Gathered(beginning.clone(), whole.clone()));
        }
    }
    if whole.is_empty() {
        return Ok(Walk::Cases(beginning.clone()));
    }
    let lead = lead_of_frequent(connection, (visible, receiving), whole).await?;
    Ok(Walk::Words(vec![lead], Some(beginning.clone())))
}

/// The lead where all words are frequent: one word, or two that are stored as one.
async fn lead_of_frequent(
    connection: &mut PgConnection,
    seen: (&Visible, &[i32]),
    whole: &[String],
) -> Result<Lead, StoreError> {
    let pairs = pairs(whole);
    if pairs.is_empty() {
        return Ok(Lead {
            token: whole.first().cloned().unwrap_or_default(),
            also: Vec::new(),
        });
    }
    let token = rarest(connection, seen, pairs).await?;
    let also = whole.iter().filter(|word| !covers(&token, word)).cloned().collect();
    Ok(Lead { token, also })
}

/// Whether a stored pair has this word.
fn covers(pair: &str, word: &str) -> bool {
    pair.trim_start_matches('+').split(' ').any(|part| part == word)
}

/// The lead for one word that begins as asked, beside frequent ones.
fn lead_of_begun(word: String, whole: &[String]) -> Lead {
    let others: Vec<&String> = whole.iter().filter(|other| **other != word).collect();
    let rarest_frequent = others.iter().max_by_key(|other| frequent(other));
    let token = match (frequent(&word), rarest_frequent) {
        (Some(_), Some(other)) => pair(&word, other),
        (None, _) | (_, None) => word,
    };
    let also = others
        .into_iter()
        .filter(|other| !covers(&token, other))
        .cloned()
        .collect();
    Lead { token, also }
}

/// The rarest of these words among the rows that the caller sees, by its scope and by what these units received, as far as a few of them
/// tell; of equals the longest.
async fn rarest(
    connection: &mut PgConnection,
    (visible, receiving): (&Visible, &[i32]),
    mut words: Vec<String>,
) -> Result<String, StoreError> {
    words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    if let [one] = words.as_slice() {
        return Ok(one.clone());
    }
    // Where units are many, the walk goes by time: the longer ago the last of the newest, the rarer the word. In a few units all are counted.
    let (newest, order) = if visible.is_wide() {
        let newest = format!(" ORDER BY submit_time DESC, case_id DESC LIMIT {NEWEST}");
        (newest, "counted, oldest, place")
    } else {
        (format!(" LIMIT {COUNTED}"), "counted, place")
    };
    let mut query: Query = QueryBuilder::new("SELECT word FROM unnest(");
    query.push_bind(words);
    query.push(
        ") WITH ORDINALITY AS w (word, place)
          CROSS JOIN LATERAL (SELECT count(*) AS counted, min(submit_time) AS oldest
                              FROM (SELECT submit_time FROM case_tokens AS t WHERE token = word AND ",
    );
    push_seen(&mut query, visible);
    if visible.is_wide() {
        push_before(&mut query, Timestamp::MAX, Uuid::max());
    }
    if !receiving.is_empty() {
        query
            .push(" UNION ALL SELECT submit_time FROM received_case_tokens WHERE token = word AND receiving_unit_id = ANY (")
            .push_bind(receiving.to_vec())
            .push(")");
    }
    query.push(newest);
    query.push(") AS newest) AS met ORDER BY ").push(order).push(" LIMIT 1");
    Ok(query
        .build_query_scalar()
        .persistent(visible.is_wide())
        .fetch_one(connection)
        .await?)
}

/// The words that begin so among the rows that the caller sees, at most one more than are walked one by one.
async fn words_beginning(
    connection: &mut PgConnection,
    visible: &Visible,
    beginning: &str,
) -> Result<Vec<String>, StoreError> {
    // From word to word, not from row to row: the most frequent have hundreds of thousands.
    let mut query: Query = QueryBuilder::new("WITH RECURSIVE begun AS ((");
    let next = |query: &mut Query, from: &str| {
        query.push("SELECT token FROM case_tokens AS t WHERE token ");
        query.push(from);
    };
    let until = |query: &mut Query| {
        if let Some(end) = after_all(beginning) {
            query.push(" AND token < ").push_bind(end);
        }
        query.push(" AND ");
        push_seen(query, visible);
        query.push(" ORDER BY token LIMIT 1)");
    };
    next(&mut query, ">= ");
    query.push_bind(beginning.to_owned());
    until(&mut query);
    query.push(" UNION ALL SELECT (");
    next(&mut query, "> begun.token");
    until(&mut query);
    query.push(format_args!(
        " FROM begun WHERE begun.token IS NOT NULL) SELECT token FROM begun WHERE token IS NOT NULL LIMIT {}",
        BEGUN + 1
    ));
    Ok(query
        .build_query_scalar()
        .persistent(visible.is_wide())
        .fetch_all(connection)
        .await?)
}

/// Whether the rows with such a word are so few that they may be sorted.
async fn are_few(connection: &mut PgConnection, visible: &Visible, beginning: &str) -> Result<bool, StoreError> {
    let mut query: Query = QueryBuilder::new("SELECT count(*) FROM (SELECT 1 FROM case_tokens AS t WHERE ");
    push_begins(&mut query, "token", beginning);
    query.push(" AND ");
    push_seen(&mut query, visible);
    query.push(format_args!(" LIMIT {}) AS counted", COUNTED + 1));
    let count: i64 = query
        .build_query_scalar()
        .persistent(visible.is_wide())
        .fetch_one(connection)
        .await?;
    Ok(count <= COUNTED)
}

/// The query of a search for words.
pub(super) fn words_query(
    head: &str,
    visible: &Visible,
    walk: &Walk,
    filter: &CaseFilter,
    after: Option<&Place>,
    limit: i64,
) -> Query {
    // What its units received is seen whatever unit is asked for, which the filter tells apart.
    let received = received(visible);
    let visible = &visible.narrowed(filter.unit_id);
    // The words of a case know its unit and owner, not to whom it is assigned.
    let mut grounds = grounds(received, visible);
    grounds.retain(|ground| !matches!(ground, Ground::Seen(reason) if reason.assignee.is_some()));
    let mut branches: Vec<(&Ground, Option<&Lead>)> = Vec::new();
    for ground in &grounds {
        match walk {
            Walk::Words(leads, _) => branches.extend(leads.iter().map(|lead| (ground, Some(lead)))),
            Walk::Gathered(..) | Walk::Cases(_) => branches.push((ground, None)),
        }
    }
    let mut query = QueryBuilder::new(head);
    if branches.is_empty() {
        // No word begins so.
        query.push("false");
        return query;
    }
    push_union(&mut query, Order::Newest, limit, branches.len(), |query, number| {
        let condition = |query: &mut Query| {
            if !filter.is_empty() {
                query.push(" AND EXISTS (SELECT 1 FROM cases AS c WHERE c.case_id = t.case_id");
                push_filter(query, filter);
                query.push(" OFFSET 0)");
            }
            match after {
                Some(Place::Time(after)) => push_before(query, after.submit_time, after.case_id),
                _ if visible.is_wide() => push_before(query, Timestamp::MAX, Uuid::max()),
                _ => {}
            }
        };
        match branches.get(number) {
            Some((Ground::Seen(reason), lead)) => {
                push_walk(query, reason, walk, *lead);
                condition(query);
            }
            Some((Ground::Received(units), lead)) => {
                // For each unit a walk of its own, which ends where the page is full; planned once, however many there are.
                query.push("SELECT t.case_id, t.submit_time FROM unnest(");
                query.push_bind(units.clone());
                query.push("::int[]) AS u (unit_id) CROSS JOIN LATERAL (");
                push_walk_of_received(query, walk, *lead);
                condition(query);
                push_order(query, Order::Newest, limit);
                query.push(") AS t");
            }
            None => {}
        }
    });
    push_order(&mut query, Order::Newest, limit);
    query
}

/// Where the walk begins. The first page of a plan that is kept begins after everything: of the indexes of a word only the one that is walked
/// by time has a use for it, whatever PostgreSQL thinks of how many cases have the word.
fn push_before(query: &mut Query, submit_time: Timestamp, case_id: Uuid) {
    query
        .push(" AND (t.submit_time, t.case_id) < (")
        .push_bind(submit_time.to_sqlx())
        .push(", ")
        .push_bind(case_id)
        .push(")");
}

/// One walk for one reason to see rows.
fn push_walk(query: &mut Query, reason: &Visible, walk: &Walk, lead: Option<&Lead>) {
    match walk {
        Walk::Words(_, beginning) => {
            query.push("SELECT t.case_id, t.submit_time FROM case_tokens AS t WHERE t.token = ");
            query.push_bind(lead.map(|lead| lead.token.clone()).unwrap_or_default());
            query.push(" AND ");
            push_seen(query, reason);
            push_rest(query, Shelf::Competent, lead, beginning.as_deref());
        }
        Walk::Gathered(beginning, also) => {
            query.push("SELECT DISTINCT t.case_id, t.submit_time FROM case_tokens AS t WHERE ");
            push_begins(query, "t.token", beginning);
            query.push(" AND ");
            push_seen(query, reason);
            for word in also {
                push_carries(query, Shelf::Competent, word);
            }
        }
        Walk::Cases(beginning) => {
            query.push("SELECT t.case_id, t.submit_time FROM cases AS t WHERE ");
            push_seen(query, reason);
            query.push(" AND ");
            push_looked_up_begun(query, Shelf::Competent, beginning);
        }
    }
}

/// The same of what the unit `u.unit_id` received for others.
fn push_walk_of_received(query: &mut Query, walk: &Walk, lead: Option<&Lead>) {
    let cases = |query: &mut Query| {
        // Word for word the condition of the partial index.
        query.push(
            "SELECT t.case_id, t.submit_time FROM cases AS t \
             WHERE t.receiving_unit_id <> t.responsible_unit_id AND t.receiving_unit_id = u.unit_id AND ",
        );
    };
    match walk {
        Walk::Words(_, beginning) => {
            query.push("SELECT t.case_id, t.submit_time FROM received_case_tokens AS t WHERE t.token = ");
            query.push_bind(lead.map(|lead| lead.token.clone()).unwrap_or_default());
            query.push(" AND t.receiving_unit_id = u.unit_id");
            push_rest(query, Shelf::Reception, lead, beginning.as_deref());
        }
        Walk::Gathered(beginning, also) => {
            cases(query);
            push_looked_up_begun(query, Shelf::Reception, beginning);
            for word in also {
                query.push(" AND ");
                push_looked_up(query, Shelf::Reception, word);
            }
        }
        Walk::Cases(beginning) => {
            cases(query);
            push_looked_up_begun(query, Shelf::Reception, beginning);
        }
    }
}

/// What a case must carry beside the word that leads.
fn push_rest(query: &mut Query, shelf: Shelf, lead: Option<&Lead>, beginning: Option<&str>) {
    for word in lead.into_iter().flat_map(|lead| &lead.also) {
        push_carries(query, shelf, word);
    }
    if let Some(beginning) = beginning {
        push_kept_begun(query, shelf, beginning);
    }
}

/// Seen beside the word that is walked, or looked up for each case that the walk meets: a number, which is not kept there, and what a
/// version before wrote.
fn push_carries(query: &mut Query, shelf: Shelf, word: &str) {
    query.push(" AND ");
    if is_kept_beside(word) {
        push_kept(query, &format!(" {word} "));
        push_looked_up(query, shelf, word);
        query.push(" END");
    } else {
        push_looked_up(query, shelf, word);
    }
}

fn push_kept_begun(query: &mut Query, shelf: Shelf, beginning: &str) {
    query.push(" AND ");
    push_kept(query, &format!(" {beginning}"));
    push_looked_up_begun(query, shelf, beginning);
    query.push(" END");
}

/// What is kept beside a word contains this; otherwise …
fn push_kept(query: &mut Query, text: &str) {
    query
        .push("CASE WHEN t.words IS NOT NULL THEN strpos(t.words, ")
        .push_bind(text.to_owned())
        .push(") > 0 ELSE ");
}

/// OFFSET 0 keeps it a look-up: as a join PostgreSQL would gather all cases with the word.
fn push_looked_up(query: &mut Query, shelf: Shelf, word: &str) {
    push_words_of_the_case(query, shelf);
    query.push("w.token = ").push_bind(word.to_owned()).push(" OFFSET 0)");
}

fn push_looked_up_begun(query: &mut Query, shelf: Shelf, beginning: &str) {
    push_words_of_the_case(query, shelf);
    push_begins(query, "w.token", beginning);
    query.push(" OFFSET 0)");
}

fn push_words_of_the_case(query: &mut Query, shelf: Shelf) {
    query
        .push("EXISTS (SELECT 1 FROM ")
        .push(shelf.table())
        .push(" AS w WHERE w.case_id = t.case_id AND ");
}

/// A range: LIKE is not leakproof, so that row-level security would keep it from the index.
fn push_begins(query: &mut Query, column: &str, beginning: &str) {
    query.push(column).push(" >= ").push_bind(beginning.to_owned());
    if let Some(end) = after_all(beginning) {
        query.push(" AND ").push(column).push(" < ").push_bind(end);
    }
}

/// The query's own filter over `t`, by unit and owner.
fn push_seen(query: &mut Query, visible: &Visible) {
    if visible.all {
        query.push("true");
        return;
    }
    query.push("(false");
    match visible.units.as_slice() {
        [] => {}
        [unit] => {
            query.push(" OR t.responsible_unit_id = ").push_bind(*unit);
        }
        units if visible.is_wide() => {
            // A condition of no index: the walk goes by time, through all of them. Looked up by hash, and nothing to plan with.
            query
                .push(" OR t.responsible_unit_id IN (SELECT unnest(")
                .push_bind(units.to_vec())
                .push("::int[]))");
        }
        units => {
            query
                .push(" OR t.responsible_unit_id = ANY (")
                .push_bind(units.to_vec())
                .push(")");
        }
    }
    if let Some(owner) = visible.owner {
        query.push(" OR t.owner_id = ").push_bind(owner);
    }
    query.push(")");
}

#[cfg(test)]
#[path = "case_search_tests.rs"]
mod tests;
