//! One request, one effect, one answer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use egov_auth::{Access, Assurance, Caller, CallerKind, Policies, Principal, RoleAt, Unit, UnitTree};
use egov_database::{Leaf, WriteRequest, sql_fault};
use egov_fault::{Code, Fault};
use egov_keyring::Keyring;
use jiff::SignedDuration;
use sqlx::Row as _;
use uuid::Uuid;

use crate::stage::{
    CLERK, NoteWritten, Stage, WRITE, WriteNote, all, count, note, poll_at_most, store_note, unit_scope, write_note,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_simultaneous_identical_requests_have_one_effect_and_the_same_answer() {
    let stage = Stage::new().await;
    let database = stage.connect(4).await;
    for round in 0..20 {
        let (id, request) = (stage.id(), note(1, &format!("round {round}")));
        let (first, second) = tokio::join!(
            write_note(&database, CLERK, id, &request),
            write_note(&database, CLERK, id, &request)
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.answer, second.answer);
        assert_ne!(first.replayed, second.replayed, "one of the two wrote");
    }
    assert_eq!(count(&stage, "SELECT count(*) FROM notes").await, 20);
    assert_eq!(count(&stage, "SELECT max(number) FROM notes").await, 20);
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.outbox").await, 20);
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.leaves").await, 20);
}

#[tokio::test]
async fn the_same_id_with_another_body_is_refused() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let id = stage.id();
    write_note(&database, CLERK, id, &note(1, "first")).await.unwrap();
    let fault = write_note(&database, CLERK, id, &note(1, "second")).await.unwrap_err();
    assert_eq!(
        (fault.code(), fault.reason()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED")
    );
    assert_eq!(count(&stage, "SELECT count(*) FROM notes").await, 1);
}

#[tokio::test]
async fn the_same_id_of_another_caller_or_method_is_another_request() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let (id, request) = (stage.id(), note(1, "the same words"));
    let first = write_note(&database, CLERK, id, &request).await.unwrap();
    let other = write_note(&database, "staff:other", id, &request).await.unwrap();
    assert!(!other.replayed);
    assert_ne!(first.answer, other.answer);
    let elsewhere = WriteRequest::keyed(CLERK, unit_scope(1), "/test.v1.Notes/Other", id, &request);
    let elsewhere = database
        .write(elsewhere, async |unit| {
            Ok::<_, Fault>(NoteWritten {
                note_id: store_note(unit, &request).await?.to_string(),
                number: 0,
            })
        })
        .await
        .unwrap();
    assert!(!elsewhere.replayed);
    assert_eq!(count(&stage, "SELECT count(*) FROM notes").await, 3);
}

/// An officer who reads the notes of unit 1.
fn officer(subject: Uuid) -> Caller {
    let policies = Policies::from_toml(&[(
        "notes.toml",
        r#"
        [[role]]
        name = "officer"
        title = "Chuyên viên"

        [[grant]]
        role = "officer"
        permissions = ["notes.notes.read"]
        over = "unit"
        when = []
        "#,
    )])
    .unwrap();
    let tree = UnitTree::new(1, [1, 2].map(|id| Unit { id, parent: None })).unwrap();
    let principal = Principal {
        subject,
        kind: CallerKind::Staff,
        issuer: "test".to_owned(),
        name_hint: None,
        unit: Some(1),
        roles: vec![RoleAt {
            role: "officer".to_owned(),
            unit: 1,
        }],
        delegated: Vec::new(),
        assurance: Assurance::None,
        client_id: None,
        certificate: None,
        on_behalf_of: None,
        session: None,
        token_id: "t".to_owned(),
        key_id: "k".to_owned(),
        issued_at: egov_testkit::START,
        expires_at: egov_testkit::START,
    };
    let access = Access::new(policies, Arc::new(ArcSwap::from_pointee(tree)));
    Caller::new(Arc::new(principal), None, Arc::new(access))
}

#[tokio::test]
async fn a_caller_writes_in_the_scope_of_what_it_may_read_and_under_its_own_key() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let write = async |caller: &Caller, id: Uuid, request: &WriteNote| {
        let write = WriteRequest::by(caller, "notes.notes.read", WRITE, id, request);
        database
            .write(write, async |unit| {
                let note_id = store_note(unit, request).await?.to_string();
                Ok::<_, Fault>(NoteWritten { note_id, number: 0 })
            })
            .await
    };
    let (first, second, id) = (officer(stage.id()), officer(stage.id()), stage.id());
    let written = write(&first, id, &note(1, "mine")).await.unwrap();
    assert_eq!(
        write(&first, id, &note(1, "mine")).await.unwrap().answer,
        written.answer
    );
    assert!(
        !write(&second, id, &note(1, "mine")).await.unwrap().replayed,
        "another person's id"
    );
    let outside = write(&first, stage.id(), &note(2, "the neighbour's")).await;
    assert_eq!(outside.unwrap_err().code(), Code::Internal);
    let callers = "SELECT count(*) FROM egov.request_ids WHERE caller LIKE 'staff:%'";
    assert_eq!(count(&stage, callers).await, 2);
}

#[tokio::test]
async fn two_leaves_for_one_version_are_our_mistake_and_not_the_callers() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    let resource = stage.id();
    let twice = database
        .write_unkeyed(&all(), async |unit| {
            for _ in 0..2 {
                unit.leaf(Leaf {
                    kind: "note",
                    resource,
                    version: 1,
                    canonical: b"x",
                });
            }
            Ok::<_, Fault>(())
        })
        .await;
    assert_eq!(twice.unwrap_err().code(), Code::Internal);
}

#[tokio::test]
async fn a_refusal_stores_nothing_and_leaves_the_id_free() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let id = stage.id();
    let fault = write_note(&database, CLERK, id, &note(1, "refuse")).await.unwrap_err();
    assert_eq!(fault.reason(), "NOTE_REFUSED");
    for table in [
        "SELECT count(*) FROM notes",
        "SELECT count(*) FROM note_history",
        "SELECT count(*) FROM egov.request_ids",
        "SELECT count(*) FROM egov.outbox",
        "SELECT count(*) FROM egov.leaves",
        "SELECT count(*) FROM egov.leaf_salts",
        "SELECT count(*) FROM egov.counters",
    ] {
        assert_eq!(count(&stage, table).await, 0, "{table}");
    }
    let corrected = write_note(&database, CLERK, id, &note(1, "corrected")).await.unwrap();
    assert_eq!((corrected.replayed, corrected.answer.number), (false, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_at_any_moment_finds_one_effect_when_it_asks_again() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    // Warm, so that the number of polls is that of the operation and not of connecting.
    write_note(&database, CLERK, stage.id(), &note(1, "warm"))
        .await
        .unwrap();
    let (mut answered_after_commit, mut most_polls) = (0, 0);
    // On a busy machine an answer may be there before it is asked for; then a round has few places to stop at.
    for round in 0..200 {
        let mut polls = 1;
        loop {
            let (id, request) = (stage.id(), note(1, &format!("gone after {polls} in round {round}")));
            let first = poll_at_most(polls, write_note(&database, CLERK, id, &request)).await;
            let again = write_note(&database, CLERK, id, &request).await.unwrap();
            let done = first.is_some();
            match first {
                Some(first) => {
                    assert!(again.replayed);
                    assert_eq!(first.unwrap().answer, again.answer);
                }
                None => answered_after_commit += i32::from(again.replayed),
            }
            let stored = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM note_history WHERE body = $1");
            let stored = database
                .read(&all(), async |conn| {
                    stored.bind(&request.body).fetch_one(conn).await.map_err(sql_fault)
                })
                .await
                .unwrap();
            assert_eq!(stored, 1, "after {polls} polls");
            if done {
                break;
            }
            polls += 1;
        }
        most_polls = polls.max(most_polls);
        if most_polls > 5 && answered_after_commit > 0 {
            break;
        }
    }
    assert!(most_polls > 5, "the operation waits for the server several times");
    assert!(
        answered_after_commit > 0,
        "some attempt was dropped after its COMMIT was sent"
    );
    assert_eq!(
        count(&stage, "SELECT max(number) - count(*) FROM notes").await,
        0,
        "no number was lost on the way"
    );
}

#[tokio::test]
async fn a_stored_answer_is_sealed_and_says_what_it_led_to() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let id = stage.id();
    let written = write_note(&database, CLERK, id, &note(1, "Nguyễn Văn An"))
        .await
        .unwrap();
    let mut owner = stage.as_owner().await;
    let row = sqlx::query(
        "SELECT answer, resource_kind, resource_id::text, resource_version, request_hash,
                day = (create_time AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS right_day
         FROM egov.request_ids WHERE request_id = $1",
    )
    .bind(id)
    .fetch_one(&mut owner)
    .await
    .unwrap();
    let answer: Vec<u8> = row.get("answer");
    let clear = written.answer.note_id.as_bytes();
    assert!(!answer.windows(clear.len()).any(|part| part == clear));
    assert_eq!(row.get::<String, _>("resource_kind"), "note");
    assert_eq!(row.get::<String, _>("resource_id"), written.answer.note_id);
    assert_eq!(row.get::<i64, _>("resource_version"), 1);
    assert_eq!(row.get::<Vec<u8>, _>("request_hash").len(), 32);
    assert!(row.get::<bool, _>("right_day"));
}

#[tokio::test]
async fn an_answer_whose_key_is_lost_is_said_to_be_lost_and_nothing_happens_twice() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    let (id, request) = (stage.id(), note(1, "once"));
    write_note(&database, CLERK, id, &request).await.unwrap();
    let without_key = Stage {
        keyring: Arc::new(Keyring::ephemeral()),
        ..stage
    };
    let database = without_key.connect(1).await;
    let fault = write_note(&database, CLERK, id, &request).await.unwrap_err();
    assert_eq!((fault.code(), fault.reason()), (Code::DataLoss, "ANSWER_UNREADABLE"));
    assert!(fault.metadata()["resource"].starts_with("note/"));
    assert_eq!(count(&without_key, "SELECT count(*) FROM notes").await, 1);
}

#[tokio::test]
async fn an_operation_that_goes_on_after_a_failed_statement_is_not_taken_for_done() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    let outcome = database
        .write_unkeyed(&unit_scope(1), async |unit| {
            store_note(unit, &note(1, "lost?")).await?;
            let _ = sqlx::query("SELECT 1 / 0").execute(unit.conn()).await;
            Ok::<_, Fault>(())
        })
        .await;
    assert_eq!(outcome.unwrap_err().code(), Code::Internal);
    assert_eq!(count(&stage, "SELECT count(*) FROM notes").await, 0);
}

#[tokio::test]
async fn a_day_without_a_partition_gets_one_from_the_write_that_needs_it() {
    let stage = Stage::new().await;
    let database = stage.connect(4).await;
    stage.clock.advance(SignedDuration::from_hours(24 * 400));
    let writes = (0..8).map(|n| {
        let (database, id) = (database.clone(), stage.id());
        tokio::spawn(async move { write_note(&database, CLERK, id, &note(n, "far ahead")).await.map(drop) })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap().unwrap();
    }
    let days = count(&stage, "SELECT count(DISTINCT tableoid) FROM egov.request_ids").await;
    assert_eq!(days, 1);
}

#[tokio::test]
async fn a_day_that_another_session_is_just_adding_is_waited_for() {
    use sqlx::Connection as _;

    let stage = Stage::new().await;
    let (mut first, mut second) = (stage.as_owner().await, stage.as_owner().await);
    for ahead in 100..105 {
        let add = "SELECT egov.add_request_day(current_date + $1)";
        let mut adding = first.begin().await.unwrap();
        sqlx::query(add).bind(ahead).execute(&mut *adding).await.unwrap();
        let waiting = async { sqlx::query(add).bind(ahead).execute(&mut second).await };
        let committing = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            adding.commit().await
        };
        let (waited, committed) = tokio::join!(waiting, committing);
        committed.unwrap();
        waited.unwrap();
    }
}

#[tokio::test]
async fn the_first_writes_of_a_day_all_find_its_partition() {
    let stage = Stage::new().await;
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(stage.as_owner().await);
    }
    // Every day is a new chance for a write to see the table of the day before the parent is known to have it.
    for ahead in 500..600 {
        let mut writes = tokio::task::JoinSet::new();
        for mut session in sessions.drain(..) {
            writes.spawn(async move {
                sqlx::query(
                    "SELECT egov.record_answer('system:race', 'race', gen_random_uuid(), sha256(''), '', NULL, NULL,
                                               NULL, now() + make_interval(days => $1))",
                )
                .bind(ahead)
                .execute(&mut session)
                .await
                .map(|_| session)
            });
        }
        for written in writes.join_all().await {
            sessions.push(written.unwrap());
        }
    }
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.request_ids").await, 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_beside_the_job_that_adds_days_finds_its_partition() {
    let stage = Stage::new().await;
    for round in 0..25 {
        let ahead = 1_000 + round * 8;
        // Sessions that have just begun know nothing of the table yet.
        let mut keeper = stage.as_owner().await;
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(stage.as_owner().await);
        }
        let keeping = tokio::spawn(async move {
            sqlx::query("SELECT egov.keep_request_days(current_date + $1)")
                .bind(ahead)
                .execute(&mut keeper)
                .await
                .map(drop)
        });
        let mut writes = tokio::task::JoinSet::new();
        for (place, mut session) in sessions.drain(..).enumerate() {
            writes.spawn(async move {
                // At moments that differ: before the job, while it adds, and while it commits.
                let pause = u64::try_from(round).unwrap() % 20 * 4 + u64::try_from(place).unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                let mut transaction = sqlx::Connection::begin(&mut session).await?;
                sqlx::query("SELECT FROM egov.claim_request('system:race', 'race', gen_random_uuid())")
                    .execute(&mut *transaction)
                    .await?;
                sqlx::query(
                    "SELECT egov.record_answer('system:race', 'race', gen_random_uuid(), sha256(''), '', NULL, NULL,
                                               NULL, now() + make_interval(days => $1))",
                )
                .bind(ahead)
                .execute(&mut *transaction)
                .await?;
                transaction.commit().await
            });
        }
        for written in writes.join_all().await {
            written.unwrap();
        }
        keeping.await.unwrap().unwrap();
    }
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.request_ids").await, 100);
}

#[tokio::test]
async fn request_ids_are_kept_for_thirty_days_by_the_servers_own_calendar() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    let mut owner = stage.as_owner().await;
    sqlx::query(
        "SELECT egov.add_request_day(current_date - 40), egov.add_request_day(current_date - 31),
                egov.add_request_day(current_date - 29)",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    // A clock that runs years ahead must not make the service forget what it answered yesterday.
    stage.clock.advance(SignedDuration::from_hours(24 * 1000));
    assert_eq!(database.keep_request_days().await.unwrap(), 2);
    assert_eq!(database.keep_request_days().await.unwrap(), 0);
    let kept = "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'egov.request_ids'::regclass
                  AND c.relname = 'request_ids_' || to_char(current_date - 29, 'YYYYMMDD')";
    assert_eq!(count(&stage, kept).await, 1);
    write_note(&database, CLERK, stage.id(), &note(1, "goes on"))
        .await
        .unwrap();
}
