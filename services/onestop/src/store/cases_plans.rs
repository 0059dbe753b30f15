//! What PostgreSQL makes of every list and search, under row-level security, as the app role, over many rows.

use sqlx::{Connection as _, Executor as _};
use uuid::Uuid;

use super::super::case_search::{Lead, Walk, words_query};
use super::*;
use crate::domain::listing::After;

const CASES: i64 = 30_000;

/// Thirty thousand cases of thirty units and a hundred procedures, each citizen with a hundred cases; every word of a name in one, a tenth of
/// a hundredth, or every second case.
async fn filled() -> egov_testkit::TestDatabase {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    superuser
        .execute(
            "INSERT INTO procedures SELECT '1.' || lpad(n::text, 6, '0'), 1, 'x', 'x', 's', 's', '{commune}', '2025-01-01', NULL, '{}', '', now()
             FROM generate_series(1, 100) AS n",
        )
        .await
        .unwrap();
    sqlx::query(
        r#"
        INSERT INTO cases (case_id, case_code, code_provisional, procedure_code, procedure_version, state, channel,
                           responsible_unit_id, receiving_unit_id, owner_id, owner, subject, conditions, submit_time,
                           lookup_secret, version, create_time, update_time, due_date)
        SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid,
               'H41.' || (1 + n % 30) || '-261123-' || lpad(n::text, 6, '0'), true,
               '1.' || lpad((CASE WHEN n % 1000 = 0 THEN 100 ELSE 1 + n % 20 END)::text, 6, '0'), 1,
               CASE WHEN n % 10 < 6 THEN 10 ELSE 1 + n % 10 END, 2,
               1 + n % 30, 1 + n % 30, ('00000000-0000-0000-0001-' || lpad((n % 300)::text, 12, '0'))::uuid,
               '{"full_name": "x"}', '', '{}', '2026-11-27T00:00:00Z'::timestamptz - n * interval '1 minute', '', 1, now(), now(),
               CASE WHEN n % 5 > 0 THEN '2026-11-30'::date - (n / 1440)::int END
        FROM generate_series(1, $1) AS n
        "#,
    )
    .bind(CASES)
    .execute(&mut superuser)
    .await
    .unwrap();
    superuser
        .execute(
            "INSERT INTO case_tokens (responsible_unit_id, token, owner_id, case_id, submit_time)
             SELECT responsible_unit_id, token, owner_id, case_id, submit_time FROM cases,
             LATERAL (SELECT 't' || right(case_code, 3) UNION ALL SELECT 'hung' || right(case_code, 1)
                      UNION ALL SELECT unnest(CASE WHEN right(case_code, 1)::int % 2 = 0
                                              THEN ARRAY['nguyen', 'van', '+nguyen van'] ELSE ARRAY['tran', 'thi', '+thi tran'] END)
                     ) AS words (token)",
        )
        .await
        .unwrap();
    // Each has its open step, so that what is asked of the few opinions is asked of a table that is worth an index.
    superuser
        .execute(
            "INSERT INTO case_tasks (task_id, case_id, number, kind, step, role, responsible_unit_id, state, create_time, version)
             SELECT case_id, case_id, 1, 1, 'x', 'officer', responsible_unit_id, 1, submit_time, 1 FROM cases",
        )
        .await
        .unwrap();
    superuser.execute("ANALYZE").await.unwrap();
    database
}

/// Sets the scope for the rest of a transaction.
async fn scope(connection: &mut PgConnection, visible: &Visible) {
    sqlx::query(
        "SELECT set_config('egov.scope_units', $1, true), set_config('egov.scope_all', $2, true),
                set_config('egov.scope_owner', $3, true)",
    )
    .bind(format!(
        "{{{}}}",
        visible
            .units
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    ))
    .bind(if visible.all { "on" } else { "off" })
    .bind(visible.owner.map(|owner| owner.to_string()).unwrap_or_default())
    .execute(connection)
    .await
    .unwrap();
}

/// The plan of a query as the app role sees it in this scope.
async fn plan(
    database: &egov_testkit::TestDatabase,
    visible: &Visible,
    mut query: QueryBuilder<sqlx::Postgres>,
) -> String {
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    scope(&mut transaction, visible).await;
    let rows = query.build().fetch_all(&mut *transaction).await.unwrap();
    rows.iter()
        .map(|row| row.get::<String, _>(0))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The plan that is kept for a query, whatever is asked with it.
async fn kept_plan(
    database: &egov_testkit::TestDatabase,
    visible: &Visible,
    query: QueryBuilder<sqlx::Postgres>,
) -> String {
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    scope(&mut transaction, visible).await;
    let asked = query.sql().as_str().to_owned();
    let parameters = (1..=64)
        .take_while(|number| asked.contains(&format!("${number}")))
        .count();
    let nothing = vec!["NULL"; parameters].join(", ");
    for statement in [
        "SET LOCAL plan_cache_mode = force_generic_plan".to_owned(),
        "SET LOCAL enable_bitmapscan = off".to_owned(),
        format!("PREPARE kept AS {asked}"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    let explained = sqlx::AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE kept ({nothing})"));
    let rows = sqlx::raw_sql(explained).fetch_all(&mut *transaction).await.unwrap();
    rows.iter()
        .map(|row| row.get::<String, _>(0))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether a plan gathers all cases with a word instead of looking each up.
fn gathers(plan: &str) -> bool {
    let gathered = |number: &str| {
        let below = plan.split(&format!("SubPlan {number}\n")).nth(1).unwrap_or_default();
        below.lines().next().is_some_and(|first| first.contains("case_tokens"))
    };
    plan.split("hashed SubPlan ")
        .skip(1)
        .any(|rest| gathered(rest.split(')').next().unwrap_or_default()))
}

/// The ids of a page, as the app role sees it in this scope.
async fn pages(database: &egov_testkit::TestDatabase, visible: &Visible, mut query: Query) -> Vec<Uuid> {
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    scope(&mut transaction, visible).await;
    let rows = query.build().fetch_all(&mut *transaction).await.unwrap();
    summaries(rows).unwrap().into_iter().map(|row| row.case_id).collect()
}

fn explained() -> String {
    format!("EXPLAIN (COSTS OFF) {SUMMARY}")
}

fn unit(unit: i32) -> Visible {
    Visible {
        all: false,
        units: vec![unit],
        owner: None,
        assignee: None,
    }
}

/// Everything, as one of several reasons or alone.
fn everywhere() -> Visible {
    Visible::everything()
}

/// Every unit by its id: what a role at the province sees.
fn province() -> Visible {
    Visible {
        units: (1..=30).collect(),
        ..unit(7)
    }
}

fn citizen() -> Visible {
    Visible {
        units: Vec::new(),
        owner: Some(Uuid::from_u128(1 << 64)),
        ..unit(7)
    }
}

/// What must be in a plan, and what must not.
struct Expected {
    name: &'static str,
    index: &'static str,
    /// What is few may be sorted: one citizen's cases, a rare procedure's. What is many comes in the order of the index.
    sorted: bool,
}

/// Adds the plan to what is wrong unless it is as expected.
async fn demand(
    database: &egov_testkit::TestDatabase,
    visible: &Visible,
    query: QueryBuilder<sqlx::Postgres>,
    expected: Expected,
    wrong: &mut Vec<String>,
) {
    let Expected { name, index, sorted } = expected;
    let plan = plan(database, visible, query).await;
    let walks = plan.contains(index) && !plan.contains("Seq Scan on case");
    // Pages of several reasons are put together by sorting them, which are few rows: what is walked below the innermost limit is not sorted.
    let walked = plan.rsplit("Limit").next().unwrap_or_default();
    if !(walks && (sorted || !walked.contains("Sort"))) {
        wrong.push(format!("{name}, by {index}:\n{plan}"));
    }
}

#[tokio::test]
async fn every_list_and_search_walks_an_index() {
    let database = filled().await;
    let mut wrong = Vec::new();
    let later = Place::Time(After {
        submit_time: "2026-11-20T00:00:00Z".parse().unwrap(),
        case_id: Uuid::nil(),
    });
    let in_order = |name, index| Expected {
        name,
        index,
        sorted: false,
    };
    let few = |name, index| Expected {
        name,
        index,
        sorted: true,
    };
    let day = jiff::civil::date(2026, 11, 20);
    let nothing = CaseFilter::default();
    let of_states = |states: &[i16]| CaseFilter {
        states: states.to_vec(),
        ..CaseFilter::default()
    };
    let of_procedures = |codes: std::ops::RangeInclusive<u32>| CaseFilter {
        procedure_codes: codes.map(|code| format!("1.{code:06}")).collect(),
        ..CaseFilter::default()
    };
    let due = |unit_id| CaseFilter {
        unit_id,
        due_from: Some(day),
        order: Order::Due,
        ..CaseFilter::default()
    };
    let filed = |unit_id| CaseFilter {
        unit_id,
        filed_from: Some(jiff::civil::date(2026, 11, 10)),
        filed_until: Some(jiff::civil::date(2026, 11, 11)),
        ..CaseFilter::default()
    };
    let due_later = Place::Due {
        due_date: day,
        case_id: Uuid::nil(),
    };

    for (visible, filter, after, expected) in [
        (
            unit(7),
            &nothing,
            None,
            in_order("first page of a unit", "cases_by_unit_and_time"),
        ),
        (
            unit(7),
            &nothing,
            Some(&later),
            in_order("a later page", "cases_by_unit_and_time"),
        ),
        (
            unit(7),
            &of_states(&[8, 10]),
            None,
            few("some states", "cases_by_unit_and_time"),
        ),
        (everywhere(), &nothing, None, in_order("everything", "cases_by_time")),
        (
            province(),
            &nothing,
            None,
            in_order("the whole province", "cases_by_time"),
        ),
        (
            citizen(),
            &nothing,
            None,
            few("the own cases of a citizen", "cases_by_owner"),
        ),
        (
            province(),
            &of_states(&[10]),
            Some(&later),
            in_order("a frequent state of the province", "cases_by_time"),
        ),
        (
            province(),
            &of_states(&[9]),
            None,
            in_order("a state that is not final", "cases_open"),
        ),
        (
            province(),
            &of_procedures(1..=18),
            None,
            in_order("most procedures", "cases_by_time"),
        ),
        (
            province(),
            &of_procedures(100..=100),
            None,
            few("a rare procedure", "cases_by_procedure"),
        ),
        (
            unit(7),
            &of_procedures(1..=18),
            None,
            in_order("most procedures of a unit", "cases_by_unit_and_time"),
        ),
        (
            unit(7),
            &due(None),
            None,
            in_order("a unit's by due date", "cases_by_unit_and_due"),
        ),
        (
            unit(7),
            &due(None),
            Some(&due_later),
            in_order("a later page by due date", "cases_by_unit_and_due"),
        ),
        (
            province(),
            &due(None),
            None,
            in_order("the province's by due date", "cases_by_due"),
        ),
        (
            province(),
            &due(Some(7)),
            None,
            in_order("one unit's of the province by due date", "cases_by_unit_and_due"),
        ),
        (
            unit(7),
            &filed(None),
            None,
            in_order("a unit's of some days", "cases_by_unit_and_time"),
        ),
        (
            province(),
            &filed(Some(7)),
            None,
            in_order("one unit's of the province of some days", "cases_by_unit_and_time"),
        ),
        (
            province(),
            &filed(None),
            None,
            in_order("the province's of some days", "cases_by_time"),
        ),
    ] {
        let query = list_query(&explained(), &visible, filter, after, 51);
        demand(&database, &visible, query, expected, &mut wrong).await;
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));

    // What is due until a day long ago was filed before: the walk does not begin with the newest.
    let long_ago = CaseFilter {
        due_until: Some(jiff::civil::date(2026, 11, 10)),
        ..CaseFilter::default()
    };
    let query = list_query(&explained(), &province(), &long_ago, None, 51);
    let found = plan(&database, &province(), query).await;
    let start = found
        .lines()
        .skip_while(|line| !line.contains("cases_by_time"))
        .nth(1)
        .unwrap_or_default();
    assert!(
        start.contains("Index Cond") && start.contains("submit_time <"),
        "{found}"
    );

    // What was filed in some days is walked from their end to their begin, whatever was filed since and before.
    for (visible, period, index) in [
        (unit(7), filed(None), "cases_by_unit_and_time"),
        (province(), filed(Some(7)), "cases_by_unit_and_time"),
        (province(), filed(None), "cases_by_time"),
    ] {
        let query = list_query(&explained(), &visible, &period, None, 51);
        let found = plan(&database, &visible, query).await;
        let walk = found
            .lines()
            .skip_while(|line| !line.contains(index))
            .nth(1)
            .unwrap_or_default();
        for bound in ["Index Cond", "submit_time <", "submit_time >="] {
            assert!(walk.contains(bound), "{bound}:\n{found}");
        }
    }

    // An officer sees the cases of the commune and its departments and those assigned to them: a page of each, not everybody's cases by time.
    let officer = Visible {
        units: vec![7, 8, 9],
        assignee: Some(Uuid::from_u128(3)),
        ..unit(7)
    };
    // Of many procedures the nearest cases are looked at, in order, and a full page of them is the page.
    let most = of_procedures(1..=18);
    for (visible, expected) in [
        (province(), in_order as fn(_, _) -> _),
        // A unit has a thousand here, which may be sorted.
        (unit(7), few as fn(_, _) -> _),
        (officer.clone(), few as fn(_, _) -> _),
    ] {
        let index = if visible.is_wide() {
            "cases_by_time"
        } else {
            "cases_by_unit"
        };
        for after in [None, Some(&later)] {
            let query = near_query(&explained(), &visible, &most, after, 51);
            demand(
                &database,
                &visible,
                query,
                expected("many procedures", index),
                &mut wrong,
            )
            .await;
            // Its plan is kept, whatever is asked.
            let kept = kept_plan(&database, &visible, near_query(SUMMARY, &visible, &most, after, 51)).await;
            assert!(kept.contains(index) && !kept.contains("Seq Scan on cases"), "{kept}");
            let near = pages(&database, &visible, near_query(SUMMARY, &visible, &most, after, 51)).await;
            let all = pages(&database, &visible, list_query(SUMMARY, &visible, &most, after, 51)).await;
            assert_eq!(near.len(), 51);
            assert_eq!(near, all, "{visible:?} after {after:?}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let found = plan(
        &database,
        &officer,
        list_query(&explained(), &officer, &nothing, Some(&later), 51),
    )
    .await;
    for index in ["cases_by_unit_and_time", "cases_by_assignee"] {
        assert!(found.contains(index), "{found}");
    }
    assert!(
        !found.contains("cases_by_time") && !found.contains("Seq Scan on cases"),
        "{found}"
    );
}

#[tokio::test]
async fn every_search_walks_an_index() {
    let database = filled().await;
    let mut wrong = Vec::new();
    let in_order = |name, index| Expected {
        name,
        index,
        sorted: false,
    };
    let few = |name, index| Expected {
        name,
        index,
        sorted: true,
    };
    let nothing = CaseFilter::default();
    for (visible, codes, expected) in [
        (
            unit(7),
            ("H41.8-2611", Some("H41.8-2612")),
            few("codes of a unit", "cases_by_unit_and_code"),
        ),
        (
            province(),
            ("H41.8-2611", Some("H41.8-2612")),
            in_order("codes of the province", "cases_by_code"),
        ),
        (
            province(),
            ("H41.8-261123-000067", Some("H41.8-261123-000067\u{1}")),
            in_order("one code", "cases_by_code"),
        ),
    ] {
        let query = code_query(&explained(), &visible, codes, &nothing, None, 51);
        demand(&database, &visible, query, expected, &mut wrong).await;
    }
    let lead = |token: &str, also: &[&str]| {
        let also = also.iter().map(|word| (*word).to_owned()).collect();
        Lead {
            token: token.to_owned(),
            also,
        }
    };
    let words = |leads: Vec<Lead>| Walk::Words(leads, None);
    let of_state = CaseFilter {
        states: vec![9],
        ..CaseFilter::default()
    };
    for (visible, walk, filter, expected) in [
        (
            unit(7),
            words(vec![lead("t042", &["nguyen"])]),
            &nothing,
            few("a rare word of a unit", "case_tokens"),
        ),
        (
            province(),
            words(vec![lead("+nguyen van", &[])]),
            &nothing,
            in_order("two frequent words", "case_tokens_by_time"),
        ),
        (
            province(),
            words(vec![lead("hung4", &["nguyen", "van"])]),
            &nothing,
            in_order("three words", "case_tokens_by_time"),
        ),
        (
            province(),
            words(vec![lead("+nguyen van", &["hung4"])]),
            &of_state,
            in_order("words and a state", "case_tokens_by_time"),
        ),
        (
            province(),
            words(vec![lead("hung2", &["nguyen"]), lead("hung4", &["nguyen"])]),
            &nothing,
            in_order("the beginning of few words", "case_tokens_by_time"),
        ),
        (
            province(),
            Walk::Words(vec![lead("+nguyen van", &[])], Some("hun".to_owned())),
            &nothing,
            in_order("frequent words and the beginning of many", "case_tokens_by_time"),
        ),
        (
            province(),
            Walk::Gathered("t04".to_owned(), vec!["nguyen".to_owned()]),
            &nothing,
            few("the beginning of rare words", "case_tokens"),
        ),
        (
            province(),
            Walk::Cases("hun".to_owned()),
            &nothing,
            in_order("the beginning of frequent words", "cases_by_time"),
        ),
        (
            unit(7),
            Walk::Cases("hun".to_owned()),
            &nothing,
            in_order("the same of a unit", "cases_by_unit_and_time"),
        ),
        (
            unit(7),
            words(vec![lead("+nguyen van", &[])]),
            &nothing,
            in_order("two frequent words of a unit", "case_tokens"),
        ),
        (
            citizen(),
            words(vec![lead("t042", &["nguyen"])]),
            &nothing,
            few("a citizen's", "case_tokens"),
        ),
    ] {
        let Expected { name, index, sorted } = expected;
        let query = words_query(&explained(), &visible, &walk, filter, None, 51);
        demand(&database, &visible, query, expected, &mut wrong).await;
        // What else a case must carry is looked up case by case.
        let query = words_query(&explained(), &visible, &walk, filter, None, 51);
        let found = plan(&database, &visible, query).await;
        if gathers(&found) {
            wrong.push(format!("{name} is gathered:\n{found}"));
        }
        // Among many units a search is planned without what is asked.
        if visible.is_wide() {
            let kept = kept_plan(
                &database,
                &visible,
                words_query(SUMMARY, &visible, &walk, filter, None, 51),
            )
            .await;
            let walked = kept.rsplit("Limit").next().unwrap_or_default();
            let walks = kept.contains(index) && !kept.contains("Seq Scan on case");
            if !(walks && (sorted || !walked.contains("Sort"))) || gathers(&kept) {
                wrong.push(format!("{name}, by a plan that is kept, by {index}:\n{kept}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));

    // A centre received ten thousand of them for others, and has none of its own.
    let centre = unit(31);
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for sql in [
        "UPDATE cases SET receiving_unit_id = 31 WHERE responsible_unit_id % 3 = 0",
        "SELECT keep_words_at_reception(array_agg(case_id)) FROM cases WHERE receiving_unit_id = 31",
        "ANALYZE cases",
        "ANALYZE received_case_tokens",
    ] {
        superuser.execute(sql).await.unwrap();
    }
    let later = Place::Time(After {
        submit_time: "2026-11-20T00:00:00Z".parse().unwrap(),
        case_id: Uuid::nil(),
    });
    for (name, walk, filter, index) in [
        (
            "a rare word",
            words(vec![lead("t042", &["nguyen"])]),
            &nothing,
            "received_case_tokens",
        ),
        (
            "two frequent words",
            words(vec![lead("+nguyen van", &[])]),
            &nothing,
            "received_case_tokens_pkey",
        ),
        (
            "words and a state",
            words(vec![lead("+nguyen van", &["hung4"])]),
            &of_state,
            "received_case_tokens_pkey",
        ),
        (
            "frequent words and the beginning of many",
            Walk::Words(vec![lead("+nguyen van", &[])], Some("hun".to_owned())),
            &nothing,
            "received_case_tokens_pkey",
        ),
        (
            "the beginning of frequent words",
            Walk::Cases("hun".to_owned()),
            &nothing,
            "cases_received_by_unit",
        ),
    ] {
        for after in [None, Some(&later)] {
            let query = words_query(&explained(), &centre, &walk, filter, after, 51);
            let found = plan(&database, &centre, query).await;
            // What is below the limit of a walk is not sorted.
            let walked = found.split("Limit").find(|below| below.contains(index));
            let walks = !found.contains("Seq Scan on case") && !found.contains("Seq Scan on received_case_tokens");
            let sorted = index != "received_case_tokens" && walked.is_none_or(|below| below.contains("Sort"));
            if !walks || walked.is_none() || sorted || gathers(&found) {
                wrong.push(format!("{name}, received for others, by {index}:\n{found}"));
            }
        }
    }
    let page = |walk: Walk| words_query(SUMMARY, &centre, &walk, &nothing, None, 51);
    let both = pages(&database, &centre, page(words(vec![lead("+nguyen van", &[])]))).await;
    let expected: Vec<Uuid> = sqlx::query_scalar(
        "SELECT case_id FROM cases WHERE receiving_unit_id = 31 AND right(case_code, 1)::int % 2 = 0
         ORDER BY submit_time DESC, case_id DESC LIMIT 51",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(both, expected);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn a_list_for_several_reasons_has_every_row_once_in_the_order_of_one_list() {
    let database = filled().await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    // Of the officer's own units and of others.
    superuser
        .execute(
            "UPDATE cases SET assignee_id = '00000000-0000-0000-0000-000000000003' WHERE right(case_code, 2) = '42'",
        )
        .await
        .unwrap();
    let officer = Visible {
        units: vec![7, 8, 9],
        assignee: Some(Uuid::from_u128(3)),
        ..unit(7)
    };
    let expected: Vec<Uuid> = sqlx::query_scalar(
        "SELECT case_id FROM cases WHERE responsible_unit_id IN (7, 8, 9) OR assignee_id = '00000000-0000-0000-0000-000000000003'
         ORDER BY submit_time DESC, case_id DESC LIMIT 200",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let (mut listed, mut after) = (Vec::new(), None);
    while listed.len() < expected.len() {
        let page = list(&mut superuser, &officer, &CaseFilter::default(), after.as_ref(), 50)
            .await
            .unwrap();
        assert_eq!(page.len(), 50);
        after = page.last().map(|row: &Summary| row.place(Order::Newest));
        listed.extend(page.iter().map(|row| row.case_id));
    }
    assert_eq!(listed, expected);
    assert!(expected.iter().any(|id| {
        let number: u64 = id.to_string().rsplit('-').next().unwrap().parse().unwrap();
        !(6..=8).contains(&(number % 30))
    }));
}
