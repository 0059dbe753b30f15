//! Generated cases: their truth is known before they are read, and the service's own verification accepts them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use egov_clock::SystemIds;
use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::generate::{
    GenerateError, Generated, Order, PopulationPack, Role, Sources, Truth, generate,
};
use egov_onestop::operations::verify::{Verified, verify};
use egov_population::NamePack;
use egov_proto::egov::onestop::v1::{ListCasesRequest, SearchCasesRequest};
use jiff::civil::{Date, date};
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::support::*;

pub(crate) fn order(cases: u64, seed: u64) -> Order {
    Order {
        cases,
        seed,
        from: date(2026, 9, 1),
        to: date(2026, 11, 20),
        into_existing: false,
    }
}

async fn try_generate(stack: &Stack, order: &Order, profile: Profile) -> Result<Generated, GenerateError> {
    let text = |name: &str| std::fs::read_to_string(deploy().join("packs/population").join(name)).unwrap();
    let (surnames, middle_names, given_names, name_lengths) = (
        text("surnames.csv"),
        text("middle_names.csv"),
        text("given_names.csv"),
        text("name_lengths.csv"),
    );
    let parameters = text("parameters.toml");
    let pack = PopulationPack {
        names: NamePack {
            surnames: &surnames,
            middle_names: &middle_names,
            given_names: &given_names,
            name_lengths: &name_lengths,
        },
        parameters: &parameters,
    };
    let sources = Sources {
        database: &stack.pool,
        superuser: (&stack.database.superuser_url, stack.database.name()),
        keyring: Arc::clone(&stack.keyring),
        ids: SystemIds::shared(),
        units: stack.directory.units(),
        profile,
        officials: HashMap::from([((TRUONG_VINH, Role::Officer), Uuid::from_u128(0xA1))]),
        portal: Uuid::from_u128(0x900),
    };
    let mut last = 0;
    let generated = generate(sources, &pack, order, |copied| {
        assert!(copied >= last && copied <= order.cases);
        last = copied;
    })
    .await?;
    assert_eq!(last, order.cases);
    Ok(generated)
}

pub(crate) async fn generated(stack: &Stack, order: &Order) -> Truth {
    try_generate(stack, order, Profile::Demo).await.unwrap().truth
}

pub(crate) async fn verified(stack: &Stack) -> Verified {
    verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
        .await
        .unwrap()
}

/// As the superuser, whom neither row-level security nor the triggers of append-only tables stop: who tampers.
async fn tamperer(stack: &Stack) -> PgConnection {
    let mut conn = PgConnection::connect(&stack.database.superuser_url).await.unwrap();
    sqlx::query("SET session_replication_role = replica")
        .execute(&mut conn)
        .await
        .unwrap();
    conn
}

async fn counts(stack: &Stack, sql: &'static str) -> BTreeMap<String, u64> {
    let mut conn = tamperer(stack).await;
    let rows = sqlx::query(sql).fetch_all(&mut conn).await.unwrap();
    rows.iter()
        .map(|row| (row.get::<String, _>(0), row.get::<i64, _>(1) as u64))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_services_own_verification_accepts_every_generated_case() {
    let stack = Stack::start().await;
    let truth = generated(&stack, &order(2_500, 7)).await;
    assert_eq!(truth.cases, 2_500);
    let entered = counts(&stack, "SELECT to_state::text, count(*) FROM case_history GROUP BY 1").await;
    // State 6 belongs to a procedure of the province alone, which has no office here.
    let every: BTreeMap<String, u64> = (1..=10)
        .filter(|state| *state != 6)
        .map(|state: i32| (state.to_string(), 0))
        .collect();
    assert!(
        entered.keys().eq(every.keys()),
        "every state of the communes' procedures occurs: {entered:?}"
    );
    let verified = verified(&stack).await;
    assert!(verified.is_whole(), "{:#?}", verified.violations);
    assert_eq!((verified.cases, verified.checked), (2_500, 2_500));
    assert_eq!(verified.versions, truth.acts());
    assert_eq!(verified.leaves_recomputed, 2_500);

    let sampled = verify(&stack.pool, &stack.keyring, Profile::Demo, Some(100), |_, _| {})
        .await
        .unwrap();
    assert!((20..500).contains(&sampled.checked), "{}", sampled.checked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_truth_is_what_the_database_counts() {
    let stack = Stack::start().await;
    let truth = generated(&stack, &order(1_200, 11)).await;
    let same = |found: BTreeMap<String, u64>, known: &BTreeMap<String, u64>| assert_eq!(found, *known);
    same(
        counts(&stack, "SELECT procedure_code, count(*) FROM cases GROUP BY 1").await,
        &truth.by_procedure,
    );
    same(
        counts(
            &stack,
            "SELECT (ARRAY['counter', 'online', 'post'])[channel], count(*) FROM cases GROUP BY 1",
        )
        .await,
        &truth.by_channel,
    );
    same(
        counts(
            &stack,
            "SELECT to_char(submit_time AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY-MM'), count(*) FROM cases GROUP BY 1",
        )
        .await,
        &truth.by_month,
    );
    same(
        counts(&stack, "SELECT operation, count(*) FROM case_history GROUP BY 1").await,
        &truth.by_act,
    );
    same(
        counts(
            &stack,
            "SELECT split_part(owner ->> 'full_name', ' ', 1), count(*) FROM cases WHERE owner ->> 'kind' = 'citizen' GROUP BY 1",
        )
        .await,
        &truth.by_surname,
    );
    let by_state: BTreeMap<String, u64> = truth
        .by_state
        .iter()
        .map(|(state, count)| (state.to_string(), *count))
        .collect();
    same(
        counts(&stack, "SELECT state::text, count(*) FROM cases GROUP BY 1").await,
        &by_state,
    );
    let decided = counts(
        &stack,
        "SELECT CASE WHEN h.record_time <= c.due_time THEN 'in time' ELSE 'late' END, count(*)
         FROM case_history h JOIN cases c USING (case_id) WHERE h.operation = 'approve' GROUP BY 1",
    )
    .await;
    assert_eq!(decided["in time"], truth.decided_in_time);
    assert_eq!(decided["late"], truth.decided_late);
    let others = counts(
        &stack,
        "SELECT 'words', count(*) FROM case_tokens UNION ALL SELECT 'components', count(*) FROM case_components
         UNION ALL SELECT 'pauses', count(*) FROM case_pauses UNION ALL SELECT 'events', count(*) FROM egov.event_log WHERE aggregate_kind = 'case'
         UNION ALL SELECT 'salts', count(*) FROM egov.leaf_salts
         UNION ALL SELECT 'accounts', count(owner_id) FROM cases
         UNION ALL SELECT 'overdue', count(*) FROM cases
                   WHERE state IN (2, 4) AND due_time < '2026-11-21T00:00:00+07'",
    )
    .await;
    for (what, known) in [
        ("words", truth.words),
        ("components", truth.components),
        ("pauses", truth.pauses),
        ("events", truth.acts()),
        ("salts", truth.acts()),
        ("accounts", truth.with_account),
        ("overdue", truth.open_and_overdue),
    ] {
        assert_eq!(others[what], known, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_searches_through_the_port_show_the_truth() {
    let stack = Stack::start().await;
    let truth = generated(&stack, &order(500, 13)).await;
    for (unit, code) in [(TRUONG_VINH, "16690"), (THANH_VINH, "16681")] {
        let mut reader = stack.staff("case_reader", unit);
        let mut by_state: BTreeMap<i16, u64> = BTreeMap::new();
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        let mut page_token = String::new();
        loop {
            // Of this unit alone: it also sees what it received for the other one.
            let request = ListCasesRequest {
                page_size: 200,
                page_token,
                unit_id: unit,
                ..Default::default()
            };
            let page = reader.cases.list_cases(request).await.unwrap().into_inner();
            for case in page.cases {
                *by_state.entry(case.state as i16).or_default() += 1;
                *names.entry(case.owner_name).or_default() += 1;
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(by_state, truth.by_unit_and_state[code], "{code}");

        // Somebody of the list is found by the words of their name, as often as the list shows them at least.
        let (name, count) = names.iter().find(|(name, _)| !name.starts_with("Công ty")).unwrap();
        let request = SearchCasesRequest {
            query: egov_codes::fold(name),
            page_size: 200,
            unit_id: unit,
            ..Default::default()
        };
        let found = reader.cases.search_cases(request).await.unwrap().into_inner();
        let same = found.cases.iter().filter(|case| case.owner_name == *name).count();
        assert_eq!(same as u64, *count, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_gives_the_same_cases_and_another_seed_others() {
    let (one, again, other) = (Stack::start().await, Stack::start().await, Stack::start().await);
    let truth = generated(&one, &order(300, 3)).await;
    assert_eq!(generated(&again, &order(300, 3)).await, truth);
    assert_ne!(generated(&other, &order(300, 4)).await, truth);
    let rows =
        "SELECT md5(string_agg(concat_ws('|', case_id, case_code, owner, state, version, deadline, update_time), ';'
                                     ORDER BY case_id)), count(*) FROM cases";
    assert_eq!(counts(&one, rows).await, counts(&again, rows).await);
    let places =
        "SELECT md5(string_agg(concat_ws('|', log_offset, event_id, payload, create_time), ';' ORDER BY log_offset)),
                         count(*) FROM egov.event_log WHERE aggregate_kind = 'case'";
    assert_eq!(counts(&one, places).await, counts(&again, places).await);
    // Salts and secrets are chance, whatever the seed.
    let salts = "SELECT encode(salt, 'hex'), count(*) FROM egov.leaf_salts GROUP BY 1";
    let (first, second) = (counts(&one, salts).await, counts(&again, salts).await);
    assert!(first.keys().all(|salt| !second.contains_key(salt)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_case_takes_the_next_number_after_the_generated_ones() {
    let stack = Stack::start().await;
    let today = date(2026, 11, 23);
    let order = Order {
        from: today,
        to: today,
        ..order(40, 5)
    };
    let truth = generated(&stack, &order).await;
    let given = truth.by_unit["16690"];
    let submitted = submit(&stack).await.case.unwrap();
    assert_eq!(submitted.case_code, format!("H41.201-261123-{:04}", given + 1));
    let verified = verified(&stack).await;
    assert!(verified.is_whole(), "{:#?}", verified.violations);
    assert_eq!(verified.cases, 41);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_generated_where_cases_are_or_may_be_real() {
    let stack = Stack::start().await;
    let production = try_generate(&stack, &order(10, 1), Profile::Production).await;
    assert!(matches!(production, Err(GenerateError::Production)));

    submit(&stack).await;
    let not_empty = try_generate(&stack, &order(10, 1), Profile::Demo).await;
    assert!(matches!(not_empty, Err(GenerateError::NotEmpty)));
    let added = Order {
        into_existing: true,
        ..order(10, 1)
    };
    generated(&stack, &added).await;
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{found:?}");

    let mut conn = tamperer(&stack).await;
    sqlx::query(
        "UPDATE cases SET code_provisional = false WHERE case_id = (SELECT min(case_id::text)::uuid FROM cases)",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let real = try_generate(&stack, &added, Profile::Demo).await;
    assert!(matches!(real, Err(GenerateError::RealCases)));
    assert_eq!(verified(&stack).await.cases, 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_in_which_nothing_can_be_filed_is_refused() {
    let stack = Stack::start().await;
    let on = |from: Date, to: Date| Order {
        from,
        to,
        ..order(10, 1)
    };
    let before_the_law = try_generate(&stack, &on(date(2026, 7, 1), date(2026, 7, 10)), Profile::Demo).await;
    assert!(matches!(before_the_law, Err(GenerateError::NothingToFile)));
    let backwards = try_generate(&stack, &on(date(2026, 10, 2), date(2026, 10, 1)), Profile::Demo).await;
    assert!(matches!(backwards, Err(GenerateError::Span { .. })));
    let too_many = Order {
        from: date(2026, 10, 1),
        to: date(2026, 10, 1),
        ..order(25_000, 1)
    };
    let exhausted = try_generate(&stack, &too_many, Profile::Demo).await;
    assert!(matches!(exhausted, Err(GenerateError::DailyNumbersExhausted { .. })));
    assert_eq!(verified(&stack).await.cases, 0, "a refused load leaves nothing");
}

#[tokio::test]
async fn cases_made_through_the_port_pass_the_same_verification() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    approve(&stack, &case).await;
    submit(&stack).await;
    let verified = verified(&stack).await;
    assert!(verified.is_whole(), "{:#?}", verified.violations);
    assert_eq!((verified.cases, verified.versions), (2, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_fault_is_found_in_the_case_that_has_it() {
    let stack = Stack::start().await;
    generated(&stack, &order(1_500, 17)).await;
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{found:?}");
    let mut conn = tamperer(&stack).await;

    // Each takes a case of its own: returned ones, by their place in the order of ids.
    let returned: Vec<Uuid> = sqlx::query_scalar("SELECT case_id FROM cases WHERE state = 10 ORDER BY case_id")
        .fetch_all(&mut conn)
        .await
        .unwrap();
    let paused: Uuid = sqlx::query_scalar(
        "SELECT case_id FROM case_pauses JOIN cases USING (case_id) WHERE end_time IS NOT NULL AND cases.state = 9 ORDER BY 1 LIMIT 1",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    let faults = [
        (
            "DELETE FROM case_history WHERE case_id = $1 AND version = 2",
            "Versions",
        ),
        (
            "UPDATE case_history SET operation = 'withdraw' WHERE case_id = $1 AND operation = 'approve'",
            "Transitions",
        ),
        ("UPDATE cases SET state = 9 WHERE case_id = $1", "Row"),
        (
            "UPDATE case_history SET record_time = record_time - interval '90 days' WHERE case_id = $1 AND version = 3",
            "Times",
        ),
        (
            "UPDATE cases SET due_date = due_date + 1, due_time = due_time + interval '1 day' WHERE case_id = $1",
            "Deadline",
        ),
        ("UPDATE cases SET subject = 'khác' WHERE case_id = $1", "Leaves"),
        ("UPDATE case_results SET number = '1/1999' WHERE case_id = $1", "Leaves"),
        (
            "DELETE FROM egov.leaf_salts USING egov.leaves
             WHERE leaves.leaf_id = leaf_salts.leaf_id AND resource_id = $1 AND version = 1",
            "Leaves",
        ),
        (
            "UPDATE egov.leaves SET commitment = sha256('x') WHERE resource_id = $1 AND version =
             (SELECT version FROM cases WHERE case_id = $1)",
            "Leaves",
        ),
        (
            "UPDATE egov.event_log SET kind = 'case_stopped' WHERE aggregate_id = $1 AND version = 2",
            "Events",
        ),
        (
            "DELETE FROM egov.event_log WHERE aggregate_id = $1 AND version = 2",
            "Events",
        ),
        (
            "DELETE FROM case_tokens WHERE case_id = $1 AND token = (SELECT min(token) FROM case_tokens WHERE case_id = $1)",
            "Words",
        ),
        (
            "UPDATE case_tokens SET owner_id = '00000000-0000-0000-0000-000000000001' WHERE case_id = $1",
            "Words",
        ),
        (
            "UPDATE cases SET case_code = overlay(case_code PLACING '0101' FROM position('-26' IN case_code) + 3) WHERE case_id = $1",
            "Code",
        ),
        ("UPDATE cases SET lookup_secret = '\\x00' WHERE case_id = $1", "Secret"),
        ("DELETE FROM case_tasks WHERE case_id = $1 AND number = 2", "Tasks"),
    ];
    let mut expected: Vec<(Uuid, &str)> = Vec::new();
    for (place, (sql, rule)) in faults.into_iter().enumerate() {
        let case = returned[place];
        let changed = sqlx::query(sql).bind(case).execute(&mut conn).await.unwrap();
        assert!(changed.rows_affected() > 0, "{sql}");
        expected.push((case, rule));
    }
    sqlx::query("UPDATE case_pauses SET end_time = end_time + interval '1 hour' WHERE case_id = $1")
        .bind(paused)
        .execute(&mut conn)
        .await
        .unwrap();
    expected.push((paused, "Pauses"));
    // An open case that is not among what is due would be reminded of by nobody.
    let forgotten: Uuid = sqlx::query_scalar("DELETE FROM case_deadlines WHERE case_id = (SELECT min(case_id::text)::uuid FROM case_deadlines) RETURNING case_id")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    expected.push((forgotten, "Deadline"));
    // What a case owes that is not on the list would be asked for by nobody.
    let owing: Uuid = sqlx::query_scalar(
        "DELETE FROM unsettled_charges WHERE case_id = (SELECT min(u.case_id::text)::uuid FROM unsettled_charges AS u JOIN cases USING (case_id)
                                                        WHERE owed AND cases.state <> 10) RETURNING case_id",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    expected.push((owing, "Charges"));
    // A case that is taken away whole leaves a gap, and leaves and events that speak of nothing.
    let gone = returned[20];
    for sql in [
        "DELETE FROM case_tokens WHERE case_id = $1",
        "DELETE FROM case_history WHERE case_id = $1",
        "DELETE FROM case_components WHERE case_id = $1",
        "DELETE FROM case_pauses WHERE case_id = $1",
        "DELETE FROM case_results WHERE case_id = $1",
        "DELETE FROM case_returns WHERE case_id = $1",
        "DELETE FROM case_ratings WHERE case_id = $1",
        "DELETE FROM case_deadline_changes WHERE case_id = $1",
        "DELETE FROM cases WHERE case_id = $1",
    ] {
        sqlx::query(sql).bind(gone).execute(&mut conn).await.unwrap();
    }
    expected.push((gone, "Orphan"));

    let verified = verified(&stack).await;
    for (case, rule) in &expected {
        assert!(
            verified
                .violations
                .iter()
                .any(|found| found.case_id == Some(*case) && format!("{:?}", found.rule) == *rule),
            "{rule} of {case} was not found in {:#?}",
            verified.violations
        );
    }
    for rule in ["Numbers", "Log"] {
        let found = verified.violated.keys().any(|violated| format!("{violated:?}") == rule);
        assert!(found, "{rule} was not found");
    }
    let accused: std::collections::BTreeSet<Uuid> =
        verified.violations.iter().filter_map(|found| found.case_id).collect();
    let guilty: std::collections::BTreeSet<Uuid> = expected.iter().map(|(case, _)| *case).collect();
    assert_eq!(accused, guilty, "nobody else is accused");
}
