//! Whatever is walked, a search finds what a plain reading of all names finds, in the same order.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::Connection as _;
use uuid::Uuid;

use super::*;
use crate::domain::listing::After;
use crate::domain::party::words;

const CASES: usize = 4_000;
const UNITS: usize = 20;

/// Family names, so frequent; the rest is made of syllables.
const SURNAMES: [&str; 10] = [
    "Nguyễn", "Nguyễn", "Nguyễn", "Nguyễn", "Trần", "Trần", "Lê", "Phạm", "Hoàng", "Cao",
];
const MIDDLES: [&str; 8] = ["Văn", "Văn", "Thị", "Thị", "Đức", "Ngọc", "Trần", "Minh"];
const BEGINNINGS: [&str; 12] = ["H", "Th", "Kh", "L", "M", "Ng", "Tr", "Đ", "Ph", "S", "Q", "B"];
const ENDS: [&str; 14] = [
    "ùng", "ương", "anh", "ải", "oa", "iên", "ân", "ọc", "úc", "à", "ơn", "uyên", "ích", "ẩm",
];

/// A case as the plain reading knows it.
struct Plain {
    case_id: Uuid,
    unit: i32,
    receiving: i32,
    submit_time: Timestamp,
    words: Vec<String>,
}

fn name(number: usize) -> String {
    // Steps without a factor in common with the lengths, so that every pair of words occurs.
    let of = |list: &[&'static str], step: usize| list[number * step % list.len()];
    let given = format!("{}{}", of(&BEGINNINGS, 7), ENDS[number / 12 * 5 % ENDS.len()]);
    // Some have a rare word that begins like others.
    let rare = if number.is_multiple_of(97) {
        format!(" Xu{number}y")
    } else {
        String::new()
    };
    format!(
        "{} {}{rare} {given}",
        of(&SURNAMES, 3),
        MIDDLES[number / 10 % MIDDLES.len()]
    )
}

async fn filled() -> (egov_testkit::TestDatabase, Vec<Plain>) {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    sqlx::query("INSERT INTO procedures VALUES ('1.000001', 1, 'x', 'x', 's', 's', '{commune}', '2025-01-01', NULL, '{}', '', now())")
        .execute(&mut superuser)
        .await
        .unwrap();
    let start: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let plain: Vec<Plain> = (0..CASES)
        .map(|number| Plain {
            case_id: Uuid::from_u128(number as u128 * 7_919 % 100_003 + 1),
            unit: (number % UNITS + 1) as i32,
            // One in seven was received by the next unit.
            receiving: ((number + usize::from(number.is_multiple_of(7))) % UNITS + 1) as i32,
            // Two at the same instant: ids break ties.
            submit_time: start + jiff::SignedDuration::from_mins((number / 2) as i64),
            words: words(&name(number)),
        })
        .collect();
    let ids: Vec<Uuid> = plain.iter().map(|case| case.case_id).collect();
    let units: Vec<i32> = plain.iter().map(|case| case.unit).collect();
    let receiving: Vec<i32> = plain.iter().map(|case| case.receiving).collect();
    let times: Vec<jiff_sqlx::Timestamp> = plain.iter().map(|case| case.submit_time.to_sqlx()).collect();
    sqlx::query(
        r#"
        INSERT INTO cases (case_id, case_code, code_provisional, procedure_code, procedure_version, state, channel, responsible_unit_id,
                           receiving_unit_id, owner, subject, conditions, submit_time, lookup_secret, version, create_time, update_time)
        SELECT id, 'c' || place, true, '1.000001', 1, 1 + place % 10, 2, unit, receiving, '{"full_name": "x"}', '', '{}', time, '', 1, now(), now()
        FROM unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::int[]) WITH ORDINALITY AS c (id, unit, time, receiving, place)
        "#,
    )
    .bind(&ids)
    .bind(&units)
    .bind(&times)
    .bind(&receiving)
    .execute(&mut superuser)
    .await
    .unwrap();
    let tokens: Vec<(Uuid, String)> = plain
        .iter()
        .flat_map(|case| {
            let all = case
                .words
                .iter()
                .cloned()
                .chain(pairs(&case.words))
                .collect::<BTreeSet<_>>();
            all.into_iter().map(|token| (case.case_id, token)).collect::<Vec<_>>()
        })
        .collect();
    let (of, token): (Vec<Uuid>, Vec<String>) = tokens.into_iter().unzip();
    sqlx::query(
        "INSERT INTO case_tokens (responsible_unit_id, token, owner_id, case_id, submit_time)
         SELECT responsible_unit_id, token, owner_id, cases.case_id, submit_time
         FROM unnest($1::uuid[], $2::text[]) AS t (id, token) JOIN cases ON cases.case_id = t.id",
    )
    .bind(&of)
    .bind(&token)
    .execute(&mut superuser)
    .await
    .unwrap();
    // As a version before filed them, and made up for as the job does it.
    let mut app = database.connect_as_app().await.unwrap();
    sqlx::query("SELECT set_config('egov.scope_all', 'on', false)")
        .execute(&mut app)
        .await
        .unwrap();
    let elsewhere = |case: &&Plain| case.receiving != case.unit;
    let words: usize = plain
        .iter()
        .filter(elsewhere)
        .map(|case| {
            case.words
                .iter()
                .chain(&pairs(&case.words))
                .collect::<BTreeSet<_>>()
                .len()
        })
        .sum();
    assert_eq!(keep_unkept_at_reception(&mut app).await.unwrap(), words as i64);
    assert_eq!(keep_unkept_at_reception(&mut app).await.unwrap(), 0);
    let kept: Vec<(Uuid, i32, i32, String)> = sqlx::query_as(
        "SELECT DISTINCT case_id, receiving_unit_id, responsible_unit_id, words FROM received_case_tokens",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let by_id: BTreeMap<Uuid, &Plain> = plain.iter().map(|case| (case.case_id, case)).collect();
    assert_eq!(kept.len(), plain.iter().filter(elsewhere).count());
    for (case_id, receiving, unit, beside) in kept {
        let case = by_id[&case_id];
        let mut words = case.words.clone();
        words.sort();
        words.dedup();
        assert_eq!((receiving, unit), (case.receiving, case.unit));
        assert_eq!(beside, crate::domain::search::kept_beside(&words));
    }
    sqlx::query("ANALYZE").execute(&mut superuser).await.unwrap();
    (database, plain)
}

/// What a reading of every name finds, newest first.
fn expected(plain: &[Plain], units: &[i32], asked: &Words) -> Vec<Uuid> {
    let carries = |case: &Plain| {
        let begun = |beginning: &String| case.words.iter().any(|word| word.starts_with(beginning.as_str()));
        asked.whole.iter().all(|word| case.words.contains(word)) && asked.beginning.as_ref().is_none_or(begun)
    };
    let mut found: Vec<&Plain> = plain
        .iter()
        .filter(|case| (units.contains(&case.unit) || units.contains(&case.receiving)) && carries(case))
        .collect();
    found.sort_by_key(|case| std::cmp::Reverse((case.submit_time, case.case_id)));
    found.into_iter().map(|case| case.case_id).collect()
}

/// The kind of a walk, for the count of those that were taken.
fn kind(walk: &Walk) -> &'static str {
    match walk {
        Walk::Words(leads, None) if leads.len() == 1 && leads[0].token.starts_with('+') => "a pair",
        Walk::Words(leads, None) if leads.len() == 1 => "a word",
        Walk::Words(leads, None) if leads.is_empty() => "no word",
        Walk::Words(_, None) => "begun words",
        Walk::Words(_, Some(_)) => "a word and a beginning",
        Walk::Gathered(..) => "gathered",
        Walk::Cases(_) => "cases",
    }
}

/// Takes the pairs away, and lets what makes up for a version before bring them back with the words beside each word.
async fn make_up_for(database: &egov_testkit::TestDatabase, plain: &[Plain]) {
    let mut superuser = database.connect_as_superuser().await.unwrap();
    let stored = "SELECT case_id, array_agg(token ORDER BY token) FROM case_tokens GROUP BY case_id ORDER BY case_id";
    let before: Vec<(Uuid, Vec<String>)> = sqlx::query_as(stored).fetch_all(&mut superuser).await.unwrap();
    sqlx::query("DELETE FROM case_tokens WHERE token LIKE '+%'")
        .execute(&mut superuser)
        .await
        .unwrap();
    // As the job does it: as the app role, with every row in scope.
    let mut app = database.connect_as_app().await.unwrap();
    sqlx::query("SELECT set_config('egov.scope_all', 'on', false)")
        .execute(&mut app)
        .await
        .unwrap();
    let mut changed = 0;
    loop {
        match keep_words_beside(&mut app).await.unwrap() {
            0 => break,
            some => changed += some,
        }
    }
    let after: Vec<(Uuid, Vec<String>)> = sqlx::query_as(stored).fetch_all(&mut superuser).await.unwrap();
    assert_eq!(before, after, "the pairs are those that are stored at once");
    let tokens: usize = after.iter().map(|(_, tokens)| tokens.len()).sum();
    assert_eq!(changed, i64::try_from(tokens).unwrap());
    let beside: BTreeMap<Uuid, String> = sqlx::query_as("SELECT DISTINCT case_id, words FROM case_tokens")
        .fetch_all(&mut superuser)
        .await
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(beside.len(), plain.len());
    for (case_id, tokens) in &after {
        assert_eq!(beside[case_id], crate::domain::search::kept_beside(tokens));
    }
    sqlx::query("ANALYZE case_tokens")
        .execute(&mut superuser)
        .await
        .unwrap();
}

#[tokio::test]
async fn whatever_is_walked_a_search_finds_what_a_reading_of_all_names_finds() {
    let (database, plain) = filled().await;
    let mut app = database.connect_as_app().await.unwrap();
    let everywhere: Vec<i32> = (1..=UNITS as i32).collect();
    let mut texts: BTreeSet<String> = [
        "tran nguyen ",
        "van thi ",
        "nguyen van tran ",
        "h",
        "t",
        "th",
        "n",
        "ng",
        "x",
        "xu",
        "q",
        "hung",
        "hu",
        "nguyen h",
        "nguyen van k",
        "tran x",
        "tran ng",
        "nguyen t",
        "zz",
        "nguyen zz",
        "van ",
        "cao",
        "hung mi",
        "hung tran n",
    ]
    .map(str::to_owned)
    .into();
    for number in (0..CASES).step_by(401) {
        let mut typed: Vec<String> = name(number).split(' ').map(str::to_owned).collect();
        texts.insert(typed.join(" "));
        typed.rotate_left(1);
        texts.insert(format!("{} ", typed.join(" ")));
        typed.pop();
        texts.insert(typed.join(" "));
    }
    let mut walks: BTreeMap<&str, usize> = BTreeMap::new();
    // As a version before wrote them, without the others beside each word, and made up for.
    for is_made_up_for in [false, true] {
        if is_made_up_for {
            make_up_for(&database, &plain).await;
        }
        for units in [everywhere.as_slice(), &[7], &[3, 4, 5]] {
            let visible = Visible {
                all: false,
                units: units.to_vec(),
                owner: None,
                assignee: None,
            };
            for text in &texts {
                let CaseQuery::Words(asked) = CaseQuery::read(text) else {
                    panic!("{text}")
                };
                let mut transaction = app.begin().await.unwrap();
                let scope = format!(
                    "{{{}}}",
                    units.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
                );
                sqlx::query("SELECT set_config('egov.scope_units', $1, true)")
                    .bind(scope)
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                if visible.is_wide() {
                    for kept in ["plan_cache_mode = force_generic_plan", "enable_bitmapscan = off"] {
                        let set = sqlx::AssertSqlSafe(format!("SET LOCAL {kept}"));
                        sqlx::raw_sql(set).execute(&mut *transaction).await.unwrap();
                    }
                }
                let walk = walk_of(&mut transaction, &visible, None, &asked).await.unwrap();
                *walks.entry(kind(&walk)).or_default() += 1;
                let wanted = expected(&plain, units, &asked);
                let (mut found, mut after) = (Vec::new(), None::<Place>);
                let query = CaseQuery::Words(asked);
                loop {
                    let page = search(
                        &mut transaction,
                        &visible,
                        &query,
                        &CaseFilter::default(),
                        after.as_ref(),
                        60,
                    )
                    .await
                    .unwrap();
                    found.extend(page.iter().map(|row| row.case_id));
                    match page.last() {
                        // Three pages say as much as all of them.
                        Some(last) if page.len() == 60 && found.len() < 180 => {
                            after = Some(Place::Time(After {
                                submit_time: last.submit_time,
                                case_id: last.case_id,
                            }));
                        }
                        _ => break,
                    }
                }
                assert_eq!(
                    found,
                    wanted[..wanted.len().min(180)],
                    "{text:?} in {units:?} by {walk:?}"
                );
            }
        }
    }
    for kind in [
        "a pair",
        "a word",
        "no word",
        "begun words",
        "a word and a beginning",
        "gathered",
        "cases",
    ] {
        assert!(walks.contains_key(kind), "no search walked {kind}: {walks:?}");
    }
}
