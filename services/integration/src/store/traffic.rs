//! `traffic_pending`, `traffic`.

use std::collections::BTreeMap;

use egov_auth::RowScope;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::traffic::{
    About, Dimensions, GOOD_OUTCOMES, Grain, Histogram, Key, Latency, Line, LineKey, Period, Sums, Traffic,
};

/// Keys and sums as the columns of a statement. Arrays within arrays cannot be sent: histograms go as the text of theirs.
struct Columns {
    starts: Vec<jiff_sqlx::Timestamp>,
    agreements: Vec<Uuid>,
    methods: Vec<String>,
    outcomes: Vec<String>,
    consumer_units: Vec<i32>,
    provider_units: Vec<i32>,
    services: Vec<Uuid>,
    consumers: Vec<Uuid>,
    providers: Vec<Uuid>,
    calls: Vec<i64>,
    request_bytes: Vec<i64>,
    response_bytes: Vec<i64>,
    elapsed_max: Vec<i64>,
    elapsed_buckets: Vec<String>,
    elapsed_counts: Vec<String>,
    provider_max: Vec<i64>,
    provider_buckets: Vec<String>,
    provider_counts: Vec<String>,
}

fn array<T: ToString>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!("{{{}}}", texts.join(","))
}

impl Columns {
    fn of(traffic: &Traffic) -> Self {
        let keys = || traffic.keys();
        let sums = || traffic.values();
        Self {
            starts: keys().map(|key| key.start.to_sqlx()).collect(),
            agreements: keys().map(|key| key.agreement_id).collect(),
            methods: keys().map(|key| key.method.clone()).collect(),
            outcomes: keys().map(|key| key.outcome.clone()).collect(),
            consumer_units: keys().map(|key| key.consumer_unit_id).collect(),
            provider_units: keys().map(|key| key.provider_unit_id).collect(),
            services: keys().map(|key| key.service_id).collect(),
            consumers: keys().map(|key| key.consumer_organisation_id).collect(),
            providers: keys().map(|key| key.provider_organisation_id).collect(),
            calls: sums().map(|sums| sums.calls).collect(),
            request_bytes: sums().map(|sums| sums.request_bytes).collect(),
            response_bytes: sums().map(|sums| sums.response_bytes).collect(),
            elapsed_max: sums().map(|sums| sums.elapsed.max_us).collect(),
            elapsed_buckets: sums().map(|sums| array(&sums.elapsed.histogram.buckets())).collect(),
            elapsed_counts: sums().map(|sums| array(&sums.elapsed.histogram.counts())).collect(),
            provider_max: sums().map(|sums| sums.at_provider.max_us).collect(),
            provider_buckets: sums()
                .map(|sums| array(&sums.at_provider.histogram.buckets()))
                .collect(),
            provider_counts: sums().map(|sums| array(&sums.at_provider.histogram.counts())).collect(),
        }
    }
}

/// Adds what a batch of exchanges sums up to: new rows, so that no two batches wait for each other.
pub(crate) async fn add(connection: &mut PgConnection, traffic: &Traffic) -> Result<(), StoreError> {
    if traffic.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(traffic);
    sqlx::query!(
        r#"INSERT INTO traffic_pending (start_time, agreement_id, method, outcome, consumer_unit_id, provider_unit_id, service_id,
             consumer_organisation_id, provider_organisation_id, calls, request_bytes, response_bytes, elapsed_max, elapsed_buckets,
             elapsed_counts, provider_max, provider_buckets, provider_counts)
           SELECT n.start_time, n.agreement_id, n.method, n.outcome, n.consumer_unit, n.provider_unit, n.service_id, n.consumer,
             n.provider, n.calls, n.request_bytes, n.response_bytes, n.elapsed_max, n.elapsed_buckets::smallint[],
             n.elapsed_counts::bigint[], n.provider_max, n.provider_buckets::smallint[], n.provider_counts::bigint[]
           FROM unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::int[], $7::uuid[], $8::uuid[],
             $9::uuid[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::bigint[],
             $17::text[], $18::text[]) AS n (start_time, agreement_id, method, outcome, consumer_unit, provider_unit, service_id,
             consumer, provider, calls, request_bytes, response_bytes, elapsed_max, elapsed_buckets, elapsed_counts, provider_max,
             provider_buckets, provider_counts)"#,
        &columns.starts as _,
        &columns.agreements,
        &columns.methods,
        &columns.outcomes,
        &columns.consumer_units,
        &columns.provider_units,
        &columns.services,
        &columns.consumers,
        &columns.providers,
        &columns.calls,
        &columns.request_bytes,
        &columns.response_bytes,
        &columns.elapsed_max,
        &columns.elapsed_buckets,
        &columns.elapsed_counts,
        &columns.provider_max,
        &columns.provider_buckets,
        &columns.provider_counts,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A row of either table as key and sums.
macro_rules! sums_of {
    ($row:expr) => {{
        let row = $row;
        let key = Key {
            start: row.start_time.to_jiff(),
            agreement_id: row.agreement_id,
            method: row.method,
            outcome: row.outcome,
            consumer_unit_id: row.consumer_unit_id,
            provider_unit_id: row.provider_unit_id,
            service_id: row.service_id,
            consumer_organisation_id: row.consumer_organisation_id,
            provider_organisation_id: row.provider_organisation_id,
        };
        let sums = Sums {
            calls: row.calls,
            request_bytes: row.request_bytes,
            response_bytes: row.response_bytes,
            elapsed: Latency {
                max_us: row.elapsed_max,
                histogram: Histogram::of(&row.elapsed_buckets, &row.elapsed_counts),
            },
            at_provider: Latency {
                max_us: row.provider_max,
                histogram: Histogram::of(&row.provider_buckets, &row.provider_counts),
            },
        };
        (key, sums)
    }};
}

/// Takes at most `most` rows that wait, the oldest first, summed up by the hour; and how many they were.
pub(crate) async fn take(connection: &mut PgConnection, most: i64) -> Result<(Traffic, usize), StoreError> {
    let rows = sqlx::query!(
        "DELETE FROM traffic_pending p USING (SELECT pending_id FROM traffic_pending ORDER BY pending_id LIMIT $1) AS old
         WHERE p.pending_id = old.pending_id
         RETURNING p.start_time, p.agreement_id, p.method, p.outcome, p.consumer_unit_id, p.provider_unit_id, p.service_id,
           p.consumer_organisation_id, p.provider_organisation_id, p.calls, p.request_bytes, p.response_bytes, p.elapsed_max,
           p.elapsed_buckets, p.elapsed_counts, p.provider_max, p.provider_buckets, p.provider_counts",
        most,
    )
    .fetch_all(connection)
    .await?;
    let taken = rows.len();
    let mut traffic = Traffic::new();
    for row in rows {
        let (key, sums) = sums_of!(row);
        traffic.entry(key).or_default().add(&sums);
    }
    Ok((traffic, taken))
}

/// The rows that stand for these keys.
async fn standing(connection: &mut PgConnection, grain: Grain, columns: &Columns) -> Result<Traffic, StoreError> {
    let rows = sqlx::query!(
        "SELECT t.start_time, t.agreement_id, t.method, t.outcome, t.consumer_unit_id, t.provider_unit_id, t.service_id,
           t.consumer_organisation_id, t.provider_organisation_id, t.calls, t.request_bytes, t.response_bytes, t.elapsed_max,
           t.elapsed_buckets, t.elapsed_counts, t.provider_max, t.provider_buckets, t.provider_counts
         FROM unnest($2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::int[], $7::int[], $8::uuid[], $9::uuid[],
                $10::uuid[]) AS k (start_time, agreement_id, method, outcome, consumer_unit, provider_unit, service_id, consumer, provider)
         JOIN traffic t ON t.grain = $1 AND t.start_time = k.start_time AND t.agreement_id = k.agreement_id AND t.method = k.method
           AND t.outcome = k.outcome AND t.consumer_unit_id = k.consumer_unit AND t.provider_unit_id = k.provider_unit
           AND t.service_id = k.service_id AND t.consumer_organisation_id = k.consumer AND t.provider_organisation_id = k.provider",
        grain.as_str(),
        &columns.starts as _,
        &columns.agreements,
        &columns.methods,
        &columns.outcomes,
        &columns.consumer_units,
        &columns.provider_units,
        &columns.services,
        &columns.consumers,
        &columns.providers,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| sums_of!(row)).collect())
}

/// Adds sums to those that stand. For one at a time: who holds the lease.
pub(crate) async fn add_to(connection: &mut PgConnection, grain: Grain, traffic: &Traffic) -> Result<(), StoreError> {
    if traffic.is_empty() {
        return Ok(());
    }
    let before = standing(connection, grain, &Columns::of(traffic)).await?;
    let mut after = traffic.clone();
    for (key, sums) in &before {
        if let Some(added) = after.get_mut(key) {
            added.add(sums);
        }
    }
    let columns = Columns::of(&after);
    sqlx::query!(
        r#"INSERT INTO traffic (grain, start_time, agreement_id, method, outcome, consumer_unit_id, provider_unit_id, service_id,
             consumer_organisation_id, provider_organisation_id, calls, request_bytes, response_bytes, elapsed_max, elapsed_buckets,
             elapsed_counts, provider_max, provider_buckets, provider_counts)
           SELECT $19, n.start_time, n.agreement_id, n.method, n.outcome, n.consumer_unit, n.provider_unit, n.service_id, n.consumer,
             n.provider, n.calls, n.request_bytes, n.response_bytes, n.elapsed_max, n.elapsed_buckets::smallint[],
             n.elapsed_counts::bigint[], n.provider_max, n.provider_buckets::smallint[], n.provider_counts::bigint[]
           FROM unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::int[], $7::uuid[], $8::uuid[],
             $9::uuid[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::bigint[],
             $17::text[], $18::text[]) AS n (start_time, agreement_id, method, outcome, consumer_unit, provider_unit, service_id,
             consumer, provider, calls, request_bytes, response_bytes, elapsed_max, elapsed_buckets, elapsed_counts, provider_max,
             provider_buckets, provider_counts)
           ON CONFLICT (grain, start_time, agreement_id, method, outcome, consumer_unit_id, provider_unit_id, service_id,
             consumer_organisation_id, provider_organisation_id)
           DO UPDATE SET calls = excluded.calls, request_bytes = excluded.request_bytes, response_bytes = excluded.response_bytes,
             elapsed_max = excluded.elapsed_max, elapsed_buckets = excluded.elapsed_buckets,
             elapsed_counts = excluded.elapsed_counts, provider_max = excluded.provider_max,
             provider_buckets = excluded.provider_buckets, provider_counts = excluded.provider_counts"#,
        &columns.starts as _,
        &columns.agreements,
        &columns.methods,
        &columns.outcomes,
        &columns.consumer_units,
        &columns.provider_units,
        &columns.services,
        &columns.consumers,
        &columns.providers,
        &columns.calls,
        &columns.request_bytes,
        &columns.response_bytes,
        &columns.elapsed_max,
        &columns.elapsed_buckets,
        &columns.elapsed_counts,
        &columns.provider_max,
        &columns.provider_buckets,
        &columns.provider_counts,
        grain.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes sums of before, at most `most` of each grain; how many.
pub(crate) async fn forget(connection: &mut PgConnection, before: Timestamp, most: i64) -> Result<u64, StoreError> {
    let mut deleted = 0;
    for grain in Grain::ALL {
        let done = sqlx::query!(
            "DELETE FROM traffic WHERE ctid = ANY(ARRAY(
               SELECT ctid FROM traffic WHERE grain = $1 AND start_time < $2 ORDER BY start_time LIMIT $3))",
            grain.as_str(),
            before.to_sqlx() as _,
            most,
        )
        .execute(&mut *connection)
        .await?;
        deleted += done.rows_affected();
    }
    Ok(deleted)
}

/// What the traffic in the scope sums up to, or none if that would be more than `most` lines. Both tables are read in one statement, so
/// that nothing is missed or counted twice while it is taken from one to the other.
///
/// The rows are added up here, as they come: measured on PostgreSQL 15 with the day's sums of a hundred million exchanges (140,000 rows of
/// twelve buckets each way), grouping unnested histograms there took ten times as long as reading them, and spilled to disk.
pub(crate) async fn summarise(
    connection: &mut PgConnection,
    scope: &RowScope,
    period: Period,
    by: Dimensions,
    about: About,
    most: usize,
) -> Result<Option<Vec<Line>>, StoreError> {
    // A branch for each reason why a row is seen, so that each has its index.
    let mut rows = sqlx::query!(
        r#"SELECT start_time AS "start_time!", service_id AS "service_id!", method AS "method!", agreement_id AS "agreement_id!",
             consumer_organisation_id AS "consumer!", outcome AS "outcome!", calls AS "calls!", request_bytes AS "request_bytes!",
             response_bytes AS "response_bytes!", elapsed_max AS "elapsed_max!", elapsed_buckets AS "elapsed_buckets!",
             elapsed_counts AS "elapsed_counts!", provider_max AS "provider_max!", provider_buckets AS "provider_buckets!",
             provider_counts AS "provider_counts!"
           FROM (
             SELECT start_time, service_id, method, agreement_id, consumer_organisation_id, outcome, calls, request_bytes,
               response_bytes, elapsed_max, elapsed_buckets, elapsed_counts, provider_max, provider_buckets, provider_counts
             FROM traffic
             WHERE $1 AND grain = $3 AND start_time >= $4 AND start_time < $5
               AND ($6::uuid IS NULL OR agreement_id = $6) AND ($7::uuid IS NULL OR service_id = $7)
             UNION ALL
             SELECT start_time, service_id, method, agreement_id, consumer_organisation_id, outcome, calls, request_bytes,
               response_bytes, elapsed_max, elapsed_buckets, elapsed_counts, provider_max, provider_buckets, provider_counts
             FROM traffic
             WHERE NOT $1 AND consumer_unit_id = ANY($2) AND grain = $3 AND start_time >= $4 AND start_time < $5
               AND ($6::uuid IS NULL OR agreement_id = $6) AND ($7::uuid IS NULL OR service_id = $7)
             UNION ALL
             SELECT start_time, service_id, method, agreement_id, consumer_organisation_id, outcome, calls, request_bytes,
               response_bytes, elapsed_max, elapsed_buckets, elapsed_counts, provider_max, provider_buckets, provider_counts
             FROM traffic
             WHERE NOT $1 AND provider_unit_id = ANY($2) AND NOT consumer_unit_id = ANY($2) AND grain = $3
               AND start_time >= $4 AND start_time < $5
               AND ($6::uuid IS NULL OR agreement_id = $6) AND ($7::uuid IS NULL OR service_id = $7)
             UNION ALL
             SELECT start_time, service_id, method, agreement_id, consumer_organisation_id, outcome, calls, request_bytes,
               response_bytes, elapsed_max, elapsed_buckets, elapsed_counts, provider_max, provider_buckets, provider_counts
             FROM traffic_pending
             WHERE ($1 OR consumer_unit_id = ANY($2) OR provider_unit_id = ANY($2)) AND start_time >= $4 AND start_time < $5
               AND ($6::uuid IS NULL OR agreement_id = $6) AND ($7::uuid IS NULL OR service_id = $7)
           ) AS seen"#,
        scope.all,
        &scope.units,
        period.grain.as_str(),
        period.from.to_sqlx() as _,
        period.to.to_sqlx() as _,
        about.agreement_id,
        about.service_id,
    )
    .fetch(connection);
    let mut lines: BTreeMap<LineKey, (i64, Sums)> = BTreeMap::new();
    while let Some(row) = rows.try_next().await? {
        let good = GOOD_OUTCOMES.contains(&row.outcome.as_str());
        let key = LineKey {
            // What waits stands by the hour.
            start: period.apart.then(|| period.grain.start(row.start_time.to_jiff())),
            service_id: by.service.then_some(row.service_id),
            method: by.method.then_some(row.method),
            agreement_id: by.agreement.then_some(row.agreement_id),
            consumer_organisation_id: by.consumer.then_some(row.consumer),
            outcome: by.outcome.then_some(row.outcome),
        };
        let sums = Sums {
            calls: row.calls,
            request_bytes: row.request_bytes,
            response_bytes: row.response_bytes,
            elapsed: Latency {
                max_us: row.elapsed_max,
                histogram: Histogram::of(&row.elapsed_buckets, &row.elapsed_counts),
            },
            at_provider: Latency {
                max_us: row.provider_max,
                histogram: Histogram::of(&row.provider_buckets, &row.provider_counts),
            },
        };
        let (errors, added) = lines.entry(key).or_default();
        if !good {
            *errors += sums.calls;
        }
        added.add(&sums);
        if lines.len() > most {
            return Ok(None);
        }
    }
    let lines = lines.into_iter();
    Ok(Some(
        lines.map(|(key, (errors, sums))| Line { key, errors, sums }).collect(),
    ))
}

/// How many calls under an agreement that the caller sees ended since `hour` and since `day`, which are whole ones.
pub(crate) async fn calls_since(
    connection: &mut PgConnection,
    agreement_id: Uuid,
    hour: Timestamp,
    day: Timestamp,
) -> Result<(i64, i64), StoreError> {
    let mut counted = BTreeMap::new();
    for (grain, since) in [(Grain::Hour, hour), (Grain::Day, day)] {
        let calls = sqlx::query_scalar!(
            r#"SELECT (coalesce((SELECT sum(calls) FROM traffic WHERE agreement_id = $1 AND grain = $2 AND start_time >= $3), 0)
                 + coalesce((SELECT sum(calls) FROM traffic_pending WHERE agreement_id = $1 AND start_time >= $3), 0))::bigint AS "calls!""#,
            agreement_id,
            grain.as_str(),
            since.to_sqlx() as _,
        )
        .fetch_one(&mut *connection)
        .await?;
        counted.insert(grain, calls);
    }
    let of = |grain| counted.get(&grain).copied().unwrap_or_default();
    Ok((of(Grain::Hour), of(Grain::Day)))
}
