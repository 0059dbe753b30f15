//! Lists, page by page.

use egov_database::{Database, PageBinding, PageTokens, sql_fault};
use egov_fault::{Code, Fault};
use egov_keyring::Keyring;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

use crate::stage::{Stage, WriteNote, all, note};

const LIST: &str = "/test.v1.Notes/ListEntries";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    sort_key: i32,
    entry_id: Uuid,
}

fn tokens() -> PageTokens {
    PageTokens::new(Arc::new(Keyring::ephemeral()))
}

fn filter() -> WriteNote {
    note(1, "filter")
}

#[test]
fn a_token_opens_for_the_same_caller_list_and_filter() {
    let tokens = tokens();
    let binding = PageBinding::new("staff:a", LIST, &filter());
    let key = Key {
        sort_key: 3,
        entry_id: Uuid::from_u128(9),
    };
    let token = tokens.seal(&key, &binding).unwrap();
    assert_eq!(tokens.open::<Key>(&token, &binding).unwrap(), key);
    assert!(token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
}

#[test]
fn a_token_of_another_caller_list_filter_or_keyring_is_refused() {
    let tokens = tokens();
    let binding = PageBinding::new("staff:a", LIST, &filter());
    let token = tokens.seal(&7_i64, &binding).unwrap();
    let others = [
        PageBinding::new("staff:b", LIST, &filter()),
        PageBinding::new("staff:a", "/test.v1.Notes/ListOthers", &filter()),
        PageBinding::new("staff:a", LIST, &note(2, "filter")),
    ];
    for other in others {
        refused(tokens.open::<i64>(&token, &other));
    }
    refused(self::tokens().open::<i64>(&token, &binding));
    refused(tokens.open::<String>(&token, &binding));
}

#[test]
fn a_token_with_any_character_changed_cut_or_added_is_refused() {
    let tokens = tokens();
    let binding = PageBinding::new("staff:a", LIST, &filter());
    let token = tokens.seal(&7_i64, &binding).unwrap();
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        // The last character carries unused bits: any other value of it is refused as well.
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        refused(tokens.open::<i64>(&String::from_utf8(changed).unwrap(), &binding));
        refused(tokens.open::<i64>(&token[..at], &binding));
    }
    refused(tokens.open::<i64>(&format!("{token}A"), &binding));
    refused(tokens.open::<i64>("không phải mã trang", &binding));
}

fn refused<K: std::fmt::Debug>(outcome: Result<K, Fault>) {
    let fault = outcome.unwrap_err();
    assert_eq!(
        (fault.code(), fault.reason()),
        (Code::InvalidArgument, "PAGE_TOKEN_INVALID")
    );
}

#[test]
fn a_page_has_fifty_rows_unless_asked_and_never_more_than_two_hundred() {
    let tokens = tokens();
    let page = |size| tokens.page::<i64>(size, "", PageBinding::new("staff:a", LIST, &filter()));
    assert_eq!(page(0).unwrap().fetch(), 51);
    assert_eq!(page(7).unwrap().fetch(), 8);
    assert_eq!(page(5000).unwrap().fetch(), 201);
    assert_eq!(page(-1).unwrap_err().violations()[0].field, "page_size");
}

/// One step between two pages.
#[derive(Clone, Debug)]
enum Change {
    Insert(i32),
    Delete(usize),
    Nothing,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..6_i32).prop_map(Change::Insert),
        (0..60_usize).prop_map(Change::Delete),
        Just(Change::Nothing),
    ]
}

#[test]
fn pages_neither_skip_nor_repeat_while_rows_come_and_go() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::new());
    let database = runtime.block_on(stage.connect(2));
    let strategy = (
        proptest::collection::vec(0..6_i32, 0..40),
        1..7_i32,
        proptest::collection::vec(change(), 0..40),
    );
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&strategy, |(sort_keys, size, changes)| {
            runtime.block_on(walk(&stage, &database, sort_keys, size, changes))
        })
        .unwrap();
    runtime.block_on(database.close());
    drop(runtime);
}

async fn walk(
    stage: &Stage,
    database: &Database,
    sort_keys: Vec<i32>,
    size: i32,
    changes: Vec<Change>,
) -> Result<(), TestCaseError> {
    let list = stage.id();
    let mut present = BTreeSet::new();
    for sort_key in sort_keys {
        present.insert(insert(database, list, sort_key, stage.id()).await);
    }
    let mut untouched = present.clone();
    let mut changes = changes.into_iter();
    let mut seen: Vec<Key> = Vec::new();
    let mut token = String::new();
    loop {
        let (rows, next) = list_page(database, list, size, &token).await.unwrap();
        prop_assert!(rows.len() <= size as usize);
        prop_assert!(next.is_empty() || rows.len() == size as usize);
        seen.extend(rows);
        if next.is_empty() {
            break;
        }
        token = next;
        match changes.next() {
            Some(Change::Insert(sort_key)) => {
                present.insert(insert(database, list, sort_key, stage.id()).await);
            }
            Some(Change::Delete(place)) => {
                let victim = present.iter().nth(place % present.len().max(1)).copied();
                if let Some(victim) = victim {
                    delete(database, list, victim).await;
                    present.remove(&victim);
                    untouched.remove(&victim);
                }
            }
            Some(Change::Nothing) | None => {}
        }
    }
    prop_assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order, nothing twice");
    let seen: BTreeSet<Key> = seen.into_iter().collect();
    prop_assert!(untouched.is_subset(&seen), "what was there all the time was shown");
    Ok(())
}

async fn list_page(database: &Database, list: Uuid, size: i32, token: &str) -> Result<(Vec<Key>, String), Fault> {
    let binding = PageBinding::new("staff:a", LIST, &filter());
    let page = database.page_tokens().page::<Key>(size, token, binding)?;
    let after = page.after().copied().unwrap_or(Key {
        sort_key: i32::MIN,
        entry_id: Uuid::nil(),
    });
    let limit = page.fetch();
    let rows = database
        .read(&all(), async |conn| {
            sqlx::query(
                "SELECT sort_key, entry_id FROM entries
                 WHERE list_id = $1 AND (sort_key, entry_id) > ($2, $3)
                 ORDER BY sort_key, entry_id LIMIT $4",
            )
            .bind(list)
            .bind(after.sort_key)
            .bind(after.entry_id)
            .bind(limit)
            .fetch_all(conn)
            .await
            .map_err(sql_fault)
        })
        .await?;
    let keys = rows
        .iter()
        .map(|row| Key {
            sort_key: row.get("sort_key"),
            entry_id: row.get("entry_id"),
        })
        .collect();
    page.finish(keys, |last: &Key| *last)
}

async fn insert(database: &Database, list: Uuid, sort_key: i32, entry_id: Uuid) -> Key {
    database
        .write_unkeyed(&all(), async |unit| {
            sqlx::query("INSERT INTO entries (list_id, sort_key, entry_id) VALUES ($1, $2, $3)")
                .bind(list)
                .bind(sort_key)
                .bind(entry_id)
                .execute(unit.conn())
                .await
                .map_err(sql_fault)
        })
        .await
        .unwrap();
    Key { sort_key, entry_id }
}

async fn delete(database: &Database, list: Uuid, key: Key) {
    database
        .write_unkeyed(&all(), async |unit| {
            sqlx::query("DELETE FROM entries WHERE list_id = $1 AND entry_id = $2")
                .bind(list)
                .bind(key.entry_id)
                .execute(unit.conn())
                .await
                .map_err(sql_fault)
        })
        .await
        .unwrap();
}
