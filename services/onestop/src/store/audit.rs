//! Everything that is stored of some cases, for the verification: rows as they are, whether or not they fit together.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::StoreError;
use super::cases::{Belonging, CaseRow, select_case};
use super::tasks;
use crate::domain::case::{Case, CaseFee, CaseResult, CaseReturn, Deadline, Rating, SupplementItem};
use crate::domain::listing::HistoryEntry;
use crate::domain::pack::Channel;
use crate::domain::party::Party;
use crate::domain::results::{self, RecordedResults, RecordedVersion, ResultFile, VersionLeaf};
use crate::domain::transitions::State;
use crate::domain::verify::{CaseRecord, KIND, ReceivedWord, RecordedEvent, RecordedLeaf, RecordedWord};
use crate::domain::work::check::WorkRecord;

fn channel(number: i16, table: &'static str) -> Result<Channel, StoreError> {
    Channel::from_number(number).ok_or(StoreError::Inconsistent {
        table,
        column: "channel",
    })
}

fn instant(time: jiff_sqlx::Timestamp) -> Timestamp {
    time.to_jiff()
}

/// How many cases there are.
pub(crate) async fn count(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM cases"#)
        .fetch_one(connection)
        .await?)
}

/// The records of the next cases by id after one of them; of every `one_in`-th, chosen by the id, if that is above 1.
pub(crate) async fn page(
    connection: &mut PgConnection,
    after: Uuid,
    one_in: i64,
    limit: i64,
) -> Result<Vec<CaseRecord>, StoreError> {
    let rows = select_case!(
        r#"
        WHERE case_id > $1 AND ($2::bigint <= 1 OR abs(hashtextextended(case_id::text, 0) % $2) = 0)
        ORDER BY case_id
        LIMIT $3
        "#,
        after,
        one_in,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    let cases = rows.into_iter().map(Case::try_from).collect::<Result<Vec<_>, _>>()?;
    complete(connection, cases).await
}

/// Adds what belongs to the cases, table by table.
async fn complete(connection: &mut PgConnection, cases: Vec<Case>) -> Result<Vec<CaseRecord>, StoreError> {
    let ids: Vec<Uuid> = cases.iter().map(|case| case.case_id).collect();
    let place: HashMap<Uuid, usize> = ids.iter().copied().enumerate().map(|(place, id)| (id, place)).collect();
    let mut records: Vec<CaseRecord> = cases
        .into_iter()
        .map(|case| CaseRecord {
            due_date: None,
            due_time: None,
            create_time: case.submit_time,
            update_time: case.submit_time,
            history: Vec::new(),
            events: Vec::new(),
            leaves: Vec::new(),
            words: Vec::new(),
            received_words: Vec::new(),
            work: WorkRecord::default(),
            next: None,
            results: RecordedResults::default(),
            erased: false,
            case,
        })
        .collect();
    macro_rules! of {
        ($row:expr) => {
            match place.get(&$row.case_id).and_then(|&place| records.get_mut(place)) {
                Some(record) => record,
                None => continue,
            }
        };
    }

    for row in sqlx::query!(
        "SELECT case_id, due_date, due_time, create_time, update_time FROM cases WHERE case_id = ANY ($1)",
        &ids
    )
    .fetch_all(&mut *connection)
    .await?
    {
        let record = of!(row);
        record.due_date = row.due_date.map(jiff_sqlx::Date::to_jiff);
        record.due_time = row.due_time.map(instant);
        record.create_time = instant(row.create_time);
        record.update_time = instant(row.update_time);
    }
    for row in sqlx::query!(
        "SELECT case_id, result_code, number, file_id FROM case_results WHERE case_id = ANY ($1) ORDER BY case_id, position",
        &ids
    )
    .fetch_all(&mut *connection)
    .await?
    {
        of!(row)
            .case
            .results
            .push(CaseResult::issued(row.result_code, row.number, row.file_id));
    }
    let (mut shown, mut of_result) = (Vec::new(), HashMap::new());
    for row in sqlx::query!(
        r#"
        SELECT case_id, position, version, result_id, case_version, content FROM result_versions
        WHERE case_id = ANY ($1) ORDER BY case_id, position, version
        "#,
        &ids
    )
    .fetch_all(&mut *connection)
    .await?
    {
        let record = of!(row);
        let recorded = RecordedVersion {
            position: row.position,
            version: row.version,
            result_id: row.result_id,
            case_version: row.case_version,
            content: row.content,
        };
        let position = usize::try_from(recorded.position).ok();
        if let Some(said) = recorded.read()
            && let Some(result) = position.and_then(|place| record.case.results.get_mut(place))
        {
            shown.extend(said.wording.file.as_ref().map(|file| file.file_id));
            result.versions.push(said);
        }
        of_result.insert(recorded.result_id, row.case_id);
        record.results.versions.push(recorded);
    }
    for row in sqlx::query!(
        r#"
        SELECT case_id AS "case_id!", file_id, media_type, sha256 FROM files
        WHERE case_id = ANY ($1) AND file_id = ANY ($2)
        "#,
        &ids,
        &shown,
    )
    .fetch_all(&mut *connection)
    .await?
    {
        of!(row).results.files.push(ResultFile {
            file_id: row.file_id,
            media_type: row.media_type,
            sha256: row.sha256,
        });
    }
    let result_ids: Vec<Uuid> = of_result.keys().copied().collect();
    for row in sqlx::query!(
        r#"
        SELECT resource_id, version, commitment, salt AS "salt?"
        FROM egov.leaves LEFT JOIN egov.leaf_salts USING (leaf_id)
        WHERE kind = $2 AND resource_id = ANY ($1)
        ORDER BY resource_id, version
        "#,
        &result_ids,
        results::KIND,
    )
    .fetch_all(&mut *connection)
    .await?
    {
        let case = of_result.get(&row.resource_id).and_then(|case_id| place.get(case_id));
        if let Some(record) = case.and_then(|&place| records.get_mut(place)) {
            record.results.leaves.push(VersionLeaf {
                result_id: row.resource_id,
                version: row.version,
                commitment: row.commitment,
                salt: row.salt,
            });
        }
    }
    for row in sqlx::query!(
        "SELECT case_id, channel, recipient_name, return_time FROM case_returns WHERE case_id = ANY ($1)",
        &ids
    )
    .fetch_all(&mut *connection)
    .await?
    {
        let returned = CaseReturn {
            channel: channel(row.channel, "case_returns")?,
            recipient_name: row.recipient_name,
            time: instant(row.return_time),
        };
        of!(row).case.returned = Some(returned);
    }
    for row in sqlx::query!(
        "SELECT case_id, score, comment, rate_time FROM case_ratings WHERE case_id = ANY ($1)",
        &ids
    )
    .fetch_all(&mut *connection)
    .await?
    {
        of!(row).case.rating = Some(Rating {
            score: row.score,
            comment: row.comment,
            time: instant(row.rate_time),
        });
    }
    let state_of = |code: i16| {
        State::try_from(code).map_err(|_| StoreError::Inconsistent {
            table: "case_history",
            column: "to_state",
        })
    };
    for row in sqlx::query!(
        r#"
        SELECT case_id, version, operation, from_state, to_state, step, actor_id, actor_kind, on_behalf_of, reason,
               legal_basis, details, record_time
        FROM case_history WHERE case_id = ANY ($1) ORDER BY case_id, version
        "#,
        &ids
    )
    .fetch_all(&mut *connection)
    .await?
    {
        let entry = HistoryEntry {
            version: row.version,
            operation: row.operation,
            from_state: row.from_state.map(state_of).transpose()?,
            to_state: state_of(row.to_state)?,
            step: row.step,
            actor_id: row.actor_id,
            actor_kind: row.actor_kind,
            on_behalf_of: row.on_behalf_of,
            reason: row.reason,
            legal_basis: row.legal_basis,
            details: row.details,
            record_time: instant(row.record_time),
        };
        of!(row).history.push(entry);
    }
    for row in sqlx::query!(
        r#"
        SELECT aggregate_id AS "case_id!", version AS "version!", kind AS "kind!", payload AS "payload!",
               create_time AS "create_time!"
        FROM (
            SELECT aggregate_id, version, kind, payload, create_time FROM egov.event_log
            WHERE aggregate_kind = $2 AND aggregate_id = ANY ($1)
            UNION ALL
            SELECT aggregate_id, version, kind, payload, create_time FROM egov.outbox
            WHERE aggregate_kind = $2 AND aggregate_id = ANY ($1)
        ) AS events
        ORDER BY aggregate_id, version
        "#,
        &ids,
        KIND,
    )
    .fetch_all(&mut *connection)
    .await?
    {
        of!(row).events.push(RecordedEvent {
            version: row.version,
            kind: row.kind,
            payload: row.payload,
            create_time: instant(row.create_time),
        });
    }
    for row in sqlx::query!(
        r#"
        SELECT resource_id AS case_id, version, commitment, create_time, salt AS "salt?"
        FROM egov.leaves LEFT JOIN egov.leaf_salts USING (leaf_id)
        WHERE kind = $2 AND resource_id = ANY ($1)
        ORDER BY resource_id, version
        "#,
        &ids,
        KIND,
    )
    .fetch_all(&mut *connection)
    .await?
    {
        of!(row).leaves.push(RecordedLeaf {
            version: row.version,
            commitment: row.commitment,
            salt: row.salt,
            create_time: instant(row.create_time),
        });
    }
    for row in sqlx::query!(
        "SELECT DISTINCT resource_id AS case_id FROM egov.leaf_erasures WHERE kind = $2 AND resource_id = ANY ($1)",
        &ids,
        KIND,
    )
    .fetch_all(&mut *connection)
    .await?
    {
        of!(row).erased = true;
    }
    for next in super::deadlines::of_cases(&mut *connection, &ids).await? {
        let record = of!(next);
        record.next = Some(next);
    }
    for row in sqlx::query!(
        "SELECT case_id, token, responsible_unit_id, owner_id, submit_time, words FROM case_tokens WHERE case_id = ANY ($1)",
        &ids
    )
    .fetch_all(&mut *connection)
    .await?
    {
        of!(row).words.push(RecordedWord {
            token: row.token,
            of: (row.responsible_unit_id, row.owner_id, instant(row.submit_time)),
            beside: row.words,
        });
    }
    for row in sqlx::query!(
        "SELECT case_id, receiving_unit_id, responsible_unit_id, token, submit_time, words
         FROM received_case_tokens WHERE case_id = ANY ($1)",
        &ids
    )
    .fetch_all(&mut *connection)
    .await?
    {
        of!(row).received_words.push(ReceivedWord {
            token: row.token,
            of: (row.receiving_unit_id, row.responsible_unit_id, instant(row.submit_time)),
            beside: row.words,
        });
    }
    for (case_id, work) in tasks::work_of(connection, &ids).await? {
        if let Some(record) = place.get(&case_id).and_then(|&place| records.get_mut(place)) {
            record.work = work;
        }
    }
    Ok(records)
}

/// An agency and day whose numbers do not run from 1 to the counter.
#[derive(Debug)]
pub(crate) struct Misnumbered {
    /// Agency and day, as in the codes: `H41.201`, `261123`.
    pub(crate) of: (String, String),
    /// How many codes were issued, with which highest number.
    pub(crate) issued: (i64, i64),
    /// The counter and its epoch; none if there is no counter.
    pub(crate) counter: Option<(i64, i32)>,
}

/// Agencies and days whose numbers do not run from 1 to the counter; all in one snapshot.
pub(crate) async fn misnumbered(connection: &mut PgConnection) -> Result<Vec<Misnumbered>, StoreError> {
    let rows = sqlx::query!(
        r#"
        WITH issued AS (
            SELECT substring(case_code FROM '^(.*)-[0-9]{6}-[0-9]+$') AS agency,
                   substring(case_code FROM '-([0-9]{6})-[0-9]+$') AS day,
                   count(*) AS issued, max(substring(case_code FROM '([0-9]+)$')::bigint) AS highest
            FROM cases GROUP BY 1, 2
        ), imported AS (
            -- The old system's numbers have gaps of which nothing is known, and on the day of the change both numbered.
            SELECT DISTINCT substring(case_code FROM '^(.*)-[0-9]{6}-[0-9]+$') AS agency,
                   substring(case_code FROM '-([0-9]{6})-[0-9]+$') AS day
            FROM cases JOIN imported_cases USING (case_id)
        ), counters AS (
            SELECT agency, to_char(period::date, 'YYMMDD') AS day, last_number, epoch
            FROM egov.counters WHERE register = 'case'
        )
        SELECT agency, day, coalesce(issued, 0) AS "issued!", coalesce(highest, 0) AS "highest!",
               last_number AS "last_number?", epoch AS "epoch?"
        FROM issued FULL JOIN counters USING (agency, day)
        WHERE (issued IS DISTINCT FROM last_number OR highest IS DISTINCT FROM last_number)
          AND NOT EXISTS (SELECT 1 FROM imported WHERE imported.agency IS NOT DISTINCT FROM coalesce(issued.agency, counters.agency)
                                                   AND imported.day IS NOT DISTINCT FROM coalesce(issued.day, counters.day))
        ORDER BY agency, day
        "#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Misnumbered {
            of: (row.agency.unwrap_or_default(), row.day.unwrap_or_default()),
            issued: (row.issued, row.highest),
            counter: row.last_number.zip(row.epoch),
        })
        .collect())
}

/// Ids of which there are leaves, events, or words, but no case; the table and up to `limit` of each.
pub(crate) async fn orphans(connection: &mut PgConnection, limit: i64) -> Result<Vec<(String, Uuid)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT place AS "place!", id AS "id!" FROM (
            (SELECT DISTINCT 'egov.leaves' AS place, resource_id AS id FROM egov.leaves
             WHERE kind = $2 AND NOT EXISTS (SELECT 1 FROM cases WHERE case_id = resource_id) LIMIT $1)
            UNION ALL
            (SELECT DISTINCT 'egov.event_log', aggregate_id FROM egov.event_log
             WHERE aggregate_kind = $2 AND NOT EXISTS (SELECT 1 FROM cases WHERE case_id = aggregate_id) LIMIT $1)
            UNION ALL
            (SELECT DISTINCT 'case_tokens', case_id FROM case_tokens
             WHERE NOT EXISTS (SELECT 1 FROM cases WHERE cases.case_id = case_tokens.case_id) LIMIT $1)
            UNION ALL
            (SELECT DISTINCT 'received_case_tokens', case_id FROM received_case_tokens
             WHERE NOT EXISTS (SELECT 1 FROM cases WHERE cases.case_id = received_case_tokens.case_id) LIMIT $1)
        ) AS found
        "#,
        limit,
        KIND,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.place, row.id)).collect())
}

/// Epochs whose places in the log do not run from 0 without a gap: the epoch, how many events, the highest place.
pub(crate) async fn broken_log(connection: &mut PgConnection) -> Result<Vec<(i32, i64, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT epoch, count(*) AS "events!", max(log_offset) AS "highest!"
        FROM egov.event_log GROUP BY epoch
        HAVING count(*) <> max(log_offset) + 1 OR min(log_offset) <> 0
        "#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.epoch, row.events, row.highest))
        .collect())
}
