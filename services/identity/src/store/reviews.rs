//! What a review of access asks for beside the grants, and its verdicts.

use std::collections::HashMap;

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::domain::review::Verdict;

/// The last day on which a token carried each of these grants.
pub(crate) async fn last_in_token(conn: &mut PgConnection, grants: &[Uuid]) -> Result<HashMap<Uuid, Date>> {
    sqlx::query!(
        "SELECT grant_id, last_in_token FROM grant_uses WHERE grant_id = ANY($1)",
        grants
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| (row.grant_id, row.last_in_token.to_jiff()))
            .collect()
    })
    .map_err(sql_fault)
}

/// The last sign-in of each of these accounts.
pub(crate) async fn last_sign_ins(conn: &mut PgConnection, accounts: &[Uuid]) -> Result<HashMap<Uuid, Timestamp>> {
    sqlx::query!(
        r#"SELECT o.id AS "owner_id!", r.record_time
           FROM unnest($1::uuid[]) AS o (id)
           CROSS JOIN LATERAL (
               SELECT record_time FROM access_records
               WHERE owner_id = o.id AND kind = 'sign_in' ORDER BY record_id DESC LIMIT 1
           ) r"#,
        accounts
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| (row.owner_id, row.record_time.to_jiff()))
            .collect()
    })
    .map_err(sql_fault)
}

/// The last verdict on each of these grants.
pub(crate) async fn last_verdicts(conn: &mut PgConnection, grants: &[Uuid]) -> Result<HashMap<Uuid, Verdict>> {
    sqlx::query!(
        "SELECT DISTINCT ON (grant_id) grant_id, reviewer_id, review_time, note FROM grant_reviews
         WHERE grant_id = ANY($1) ORDER BY grant_id, review_id DESC",
        grants
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| {
                let verdict = Verdict {
                    reviewer_id: row.reviewer_id,
                    review_time: row.review_time.to_jiff(),
                    note: row.note,
                };
                (row.grant_id, verdict)
            })
            .collect()
    })
    .map_err(sql_fault)
}

/// Every verdict by its id, with the grant on which it was given.
pub(crate) async fn all(conn: &mut PgConnection) -> Result<Vec<(Uuid, Uuid, Verdict)>> {
    sqlx::query!("SELECT review_id, grant_id, reviewer_id, review_time, note FROM grant_reviews ORDER BY review_id")
        .fetch_all(conn)
        .await
        .map(|rows| {
            rows.into_iter()
                .map(|row| {
                    let verdict = Verdict {
                        reviewer_id: row.reviewer_id,
                        review_time: row.review_time.to_jiff(),
                        note: row.note,
                    };
                    (row.review_id, row.grant_id, verdict)
                })
                .collect()
        })
        .map_err(sql_fault)
}

/// Writes a verdict.
pub(crate) async fn insert(conn: &mut PgConnection, review_id: Uuid, grant_id: Uuid, verdict: &Verdict) -> Result<()> {
    sqlx::query!(
        "INSERT INTO grant_reviews (review_id, grant_id, reviewer_id, review_time, note) VALUES ($1, $2, $3, $4, $5)",
        review_id,
        grant_id,
        verdict.reviewer_id,
        verdict.review_time.to_sqlx() as _,
        verdict.note
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}
