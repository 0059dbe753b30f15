//! What PostgreSQL makes of the list of unsettled charges, under row-level security, as the app role, over many rows; and that several units
//! give one list.

use sqlx::{Connection as _, Executor as _, Row as _};
use uuid::Uuid;

use super::Visible;
use super::unsettled::{DIFFERING, UNSETTLED, differing, list, list_query, range_end};
use crate::domain::charge::UnsettledState;
use crate::domain::listing::{AfterSince, UnsettledFilter};

/// Thirty thousand charges of thirty units that are owed; of each unit a few in doubt and a few to be given back.
async fn filled() -> egov_testkit::TestDatabase {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "SET session_replication_role = replica",
        "INSERT INTO unsettled_charges (case_id, case_code, procedure_code, responsible_unit_id, owed, in_doubt, refund_due, order_open, left_vnd,
                                        held_vnd, refund_vnd, since)
         SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'c' || n, '1.000001', 1 + n % 30, true, n % 491 = 0, n % 503 = 0,
                false, 8000, 0, 0, timestamptz '2026-11-27T00:00:00Z' - (n % 9000) * interval '1 minute'
         FROM generate_series(1, 30000) AS n",
        "ANALYZE",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    database
}

fn of(units: &[i32]) -> Visible {
    Visible {
        units: units.to_vec(),
        all: false,
        ..Visible::everything()
    }
}

fn only(state: Option<UnsettledState>) -> UnsettledFilter {
    UnsettledFilter { unit_id: None, state }
}

async fn plan(database: &egov_testkit::TestDatabase, visible: &Visible, filter: &UnsettledFilter) -> String {
    let after = AfterSince {
        since: "2026-11-21T00:00:00Z".parse().unwrap(),
        case_id: Uuid::nil(),
    };
    let head = format!("EXPLAIN (COSTS OFF) {UNSETTLED}");
    let mut query = list_query(&head, visible, filter, Some(&after), 51);
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    let units = visible.units.iter().map(ToString::to_string).collect::<Vec<_>>();
    sqlx::query("SELECT set_config('egov.scope_units', $1, true), set_config('egov.scope_all', $2, true)")
        .bind(format!("{{{}}}", units.join(",")))
        .bind(if visible.all { "on" } else { "off" })
        .execute(&mut *transaction)
        .await
        .unwrap();
    let rows = query.build().fetch_all(&mut *transaction).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
    lines.join("\n")
}

#[tokio::test]
async fn unsettled_charges_walk_an_index_and_several_units_give_one_list() {
    let database = filled().await;
    let every_unit: Vec<i32> = (1..=30).collect();
    for (name, visible, state, index) in [
        ("a unit", of(&[7]), None, "unsettled_charges_by_unit"),
        (
            "a unit, owed",
            of(&[7]),
            Some(UnsettledState::Owed),
            "unsettled_charges_by_unit",
        ),
        (
            "a unit, in doubt",
            of(&[7]),
            Some(UnsettledState::InDoubt),
            "unsettled_charges_in_doubt",
        ),
        (
            "a unit, refunds",
            of(&[7]),
            Some(UnsettledState::RefundsDue),
            "unsettled_charges_refund_due",
        ),
        ("three units", of(&[7, 8, 9]), None, "unsettled_charges_by_unit"),
        ("many units", of(&every_unit), None, "unsettled_charges_by_time"),
        ("everything", Visible::everything(), None, "unsettled_charges_by_time"),
    ] {
        let found = plan(&database, &visible, &only(state)).await;
        assert!(found.contains(index), "{name}:\n{found}");
        assert!(!found.contains("Seq Scan on unsettled_charges"), "{name}:\n{found}");
    }

    let mut superuser = database.connect_as_superuser().await.unwrap();
    for (state, condition) in [(None, "true"), (Some(UnsettledState::InDoubt), "in_doubt")] {
        let statement = format!(
            "SELECT case_id FROM unsettled_charges WHERE responsible_unit_id IN (7, 8, 9) AND {condition} ORDER BY since, case_id LIMIT 120"
        );
        let expected: Vec<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_all(&mut superuser)
            .await
            .unwrap();
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = list(&mut superuser, &of(&[7, 8, 9]), &only(state), after.as_ref(), 40)
                .await
                .unwrap();
            after = page.last().map(|row| AfterSince {
                since: row.since,
                case_id: row.case_id,
            });
            listed.extend(page.iter().map(|row| row.case_id));
            if page.len() < 40 || listed.len() >= expected.len() {
                break;
            }
        }
        assert_eq!(listed, expected, "{condition}");
    }
    let nobody: Vec<_> = list(&mut superuser, &of(&[]), &only(None), None, 40).await.unwrap();
    assert!(nobody.is_empty());
    let narrowed = UnsettledFilter {
        unit_id: Some(7),
        state: None,
    };
    let elsewhere = list(&mut superuser, &of(&[8]), &narrowed, None, 40).await.unwrap();
    assert!(elsewhere.is_empty(), "a filter shows nothing that is out of sight");
}

#[tokio::test]
async fn what_is_kept_otherwise_is_found_range_by_range_as_it_is_at_once_and_a_range_reads_no_more_than_itself() {
    let database = filled().await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    // The first six thousand have a case: most owe what is kept, of a few another amount is kept, and a few are not accepted yet.
    for statement in [
        "SET session_replication_role = replica",
        "INSERT INTO cases (case_id, case_code, code_provisional, procedure_code, procedure_version, state, channel, responsible_unit_id,
                            receiving_unit_id, owner, subject, conditions, submit_time, accept_time, fees, lookup_secret, version, create_time,
                            update_time)
         SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'c' || n, true, '1.000001', 1, 4, 2, 1 + n % 30, 1 + n % 30,
                '{}', '', '{}', now(), CASE WHEN n % 997 > 0 THEN now() END, '[{\"amount_vnd\": 4000, \"quantity\": 2}]', '', 1, now(), now()
         FROM generate_series(1, 6000) AS n",
        "UPDATE unsettled_charges SET left_vnd = 7999 WHERE case_code IN ('c17', 'c5001')",
        "DELETE FROM unsettled_charges WHERE case_code IN ('c18', 'c30000')",
        "ANALYZE",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    let expected: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'c' || n FROM generate_series(1, 29999) AS n
         WHERE n > 6000 OR n IN (17, 18, 5001) OR n % 491 = 0 OR n % 503 = 0 OR n % 997 = 0
         ORDER BY n",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let (mut found, mut after, mut ranges) = (Vec::new(), Uuid::nil(), 0);
    loop {
        let until = range_end(&mut superuser, after, 700).await.unwrap();
        let range = (after, until.unwrap_or_else(Uuid::max));
        found.extend(differing(&mut superuser, range, 100_000).await.unwrap());
        ranges += 1;
        let Some(until) = until else { break };
        after = until;
    }
    assert_eq!(ranges, 9);
    assert_eq!(found, expected);
    let first = differing(&mut superuser, (Uuid::nil(), Uuid::max()), 20).await.unwrap();
    assert_eq!(first, expected[..20]);

    let range = DIFFERING
        .replace("$1", "'00000000-0000-0000-0000-000000002000'::uuid")
        .replace("$2", "'00000000-0000-0000-0000-000000002200'::uuid")
        .replace("$3", "20");
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    let everything = "SELECT set_config('egov.scope_units', '{}', true), set_config('egov.scope_all', 'on', true)";
    transaction.execute(everything).await.unwrap();
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN (COSTS OFF) {range}")))
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
    let plan = lines.join("\n");
    for table in ["cases", "unsettled_charges"] {
        assert!(!plan.contains(&format!("Seq Scan on {table}")), "{plan}");
    }
}
