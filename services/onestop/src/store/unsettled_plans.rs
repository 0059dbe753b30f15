//! What PostgreSQL makes of the list of unsettled charges, under row-level security, as the app role, over many rows; and that several units
//! give one list.

use sqlx::{Connection as _, Executor as _, Row as _};
use uuid::Uuid;

use super::Visible;
use super::unsettled::{UNSETTLED, list, list_query};
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
