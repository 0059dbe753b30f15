//! Mailboxes between agencies.

use std::sync::Arc;

use egov_integration::rebuild_leaves::{rebuild_leaves, rows_unlike_history, without_row};
use egov_proto::egov::integration::v1::{
    ConfirmMessageRequest, CreateMailboxRequest, DeleteSubscriptionRequest, FetchMessagesRequest,
    GetMessageReceiptRequest, ListDeadMessagesRequest, ListMailboxesRequest, Mailbox, MailboxMessage, MessageReceipt,
    MessageState, RedriveMessageRequest, RefuseMessageRequest, SendMessageRequest,
};
use egov_transparency::{LogReport, verify_kind};
use jiff::SignedDuration;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::stage::{HERE, NEIGHBOUR, SUBSCRIBER, Stage, new_id, pulling, refusal};

/// The mail systems of the two agencies, and of a third.
const SENDER: (Uuid, i32) = (Uuid::from_u128(21), HERE);
const RECEIVER: (Uuid, i32) = (Uuid::from_u128(22), NEIGHBOUR);
const THIRD: (Uuid, i32) = (Uuid::from_u128(23), 1);

impl Stage {
    fn mail<T>(&self, who: (Uuid, i32), message: T) -> tonic::Request<T> {
        self.system(who.0, &[("integration_mail_system", who.1)], message)
    }

    async fn mailbox(&self, max_messages: i32) -> Mailbox {
        let message = CreateMailboxRequest {
            request_id: new_id(),
            sender_unit_id: HERE,
            receiver_unit_id: NEIGHBOUR,
            sender_agency: "H41.10".to_owned(),
            receiver_agency: "H41.11".to_owned(),
            max_age: None,
            max_messages,
        };
        let request = self.staff("integration_mailbox_admin", 1, message);
        self.mail
            .clone()
            .create_mailbox(request)
            .await
            .unwrap()
            .into_inner()
            .mailbox
            .unwrap()
    }

    async fn send(&self, who: (Uuid, i32), mailbox: &Mailbox, content: &str) -> Result<MessageReceipt, Status> {
        let message = SendMessageRequest {
            request_id: new_id(),
            mailbox_id: mailbox.mailbox_id.clone(),
            kind: "vn.edxml.document".to_owned(),
            media_type: "application/xml".to_owned(),
            content: content.as_bytes().to_vec().into(),
            subject_ids: Vec::new(),
        };
        let sent = self.mail.clone().send_message(self.mail(who, message)).await?;
        Ok(sent.into_inner().receipt.unwrap())
    }

    async fn fetch(&self, who: (Uuid, i32), mailbox: &Mailbox) -> Result<Vec<MailboxMessage>, Status> {
        let message = FetchMessagesRequest {
            mailbox_id: mailbox.mailbox_id.clone(),
            max_messages: 0,
        };
        Ok(self
            .mail
            .clone()
            .fetch_messages(self.mail(who, message))
            .await?
            .into_inner()
            .messages)
    }

    async fn receipt(&self, who: (Uuid, i32), message_id: &str) -> Result<MessageReceipt, Status> {
        let message = GetMessageReceiptRequest {
            message_id: message_id.to_owned(),
        };
        let found = self.mail.clone().get_message_receipt(self.mail(who, message)).await?;
        Ok(found.into_inner().receipt.unwrap())
    }

    async fn refuse_message(&self, message_id: &str) -> Result<MessageReceipt, Status> {
        let message = RefuseMessageRequest {
            request_id: new_id(),
            message_id: message_id.to_owned(),
            cause: "hệ thống đang bảo trì".to_owned(),
        };
        let refused = self.mail.clone().refuse_message(self.mail(RECEIVER, message)).await?;
        Ok(refused.into_inner().receipt.unwrap())
    }
}

fn confirmation(message: &MailboxMessage) -> ConfirmMessageRequest {
    ConfirmMessageRequest {
        request_id: new_id(),
        message_id: message.message_id.clone(),
        sha256: message.sha256.clone(),
        receiver_reference: "1234/2026".to_owned(),
    }
}

#[tokio::test]
async fn a_message_is_stored_forwarded_and_confirmed_with_a_receipt_for_the_sender() {
    let stage = Stage::start().await;
    let mailbox = stage.mailbox(0).await;
    let sent = stage.send(SENDER, &mailbox, "<vanban/>").await.unwrap();
    assert_eq!(sent.state(), MessageState::Waiting);
    let got = stage.fetch(RECEIVER, &mailbox).await.unwrap();
    assert_eq!(
        (got.len(), &got[0].content[..], got[0].attempt),
        (1, "<vanban/>".as_bytes(), 1)
    );
    assert_eq!(got[0].sender_agency, "H41.10");
    assert_eq!(
        stage.receipt(SENDER, &sent.message_id).await.unwrap().state(),
        MessageState::Fetched
    );
    assert!(
        stage.fetch(RECEIVER, &mailbox).await.unwrap().is_empty(),
        "it is under way"
    );
    // The receiver died: it comes again.
    stage.clock.advance(SignedDuration::from_mins(4));
    assert!(stage.fetch(RECEIVER, &mailbox).await.unwrap().is_empty());
    stage.clock.advance(SignedDuration::from_mins(2));
    let again = stage.fetch(RECEIVER, &mailbox).await.unwrap();
    assert_eq!(
        (again[0].message_id.as_str(), again[0].attempt),
        (sent.message_id.as_str(), 2)
    );
    let confirm = confirmation(&again[0]);
    for _ in 0..2 {
        let request = stage.mail(RECEIVER, confirm.clone());
        let receipt = stage
            .mail
            .clone()
            .confirm_message(request)
            .await
            .unwrap()
            .into_inner()
            .receipt
            .unwrap();
        assert_eq!(receipt.state(), MessageState::Confirmed);
    }
    let receipt = stage.receipt(SENDER, &sent.message_id).await.unwrap();
    assert_eq!(
        (receipt.state(), receipt.receiver_reference.as_str()),
        (MessageState::Confirmed, "1234/2026")
    );
    assert_eq!(receipt.sha256, sent.sha256);
    assert!(receipt.confirm_time.is_some());
    let kept: Option<Vec<u8>> = sqlx::query_scalar("SELECT content FROM mailbox_messages")
        .fetch_one(&mut stage.database.connect_as_superuser().await.unwrap())
        .await
        .unwrap();
    assert_eq!(kept, None, "the content is gone once the receiver has it");
}

/// What the verification says of mailboxes and their messages, each in one sentence.
async fn findings(stage: &Stage) -> Vec<String> {
    let mut report = LogReport::default();
    let rebuilt = rebuild_leaves(&stage.pool).await.unwrap();
    for kind in ["mailbox", "event_topic", "event_subscription"] {
        verify_kind(&stage.pool, kind, &rebuilt, without_row(kind), &mut report)
            .await
            .unwrap();
    }
    let mut all: Vec<String> = report.findings.iter().map(|one| one.detail.clone()).collect();
    all.extend(rows_unlike_history(&stage.pool).await.unwrap());
    // The agencies of the tests have no history.
    all.retain(|one| one.starts_with("mailbox") || one.starts_with("event_"));
    all
}

#[tokio::test]
async fn every_edited_or_deleted_row_of_a_mailbox_topic_or_subscription_is_named_by_the_verification() {
    let stage = Stage::start().await;
    let mailbox = stage.mailbox(0).await;
    let confirmed = stage.send(SENDER, &mailbox, "<vanban/>").await.unwrap();
    let got = stage.fetch(RECEIVER, &mailbox).await.unwrap();
    let request = stage.mail(RECEIVER, confirmation(&got[0]));
    stage.mail.clone().confirm_message(request).await.unwrap();
    let refused = stage.send(SENDER, &mailbox, "<khac/>").await.unwrap();
    stage.fetch(RECEIVER, &mailbox).await.unwrap();
    stage.refuse_message(&refused.message_id).await.unwrap();
    let topic = stage.topic("test.cases").await;
    let open = stage
        .subscribe(SUBSCRIBER, pulling(&topic.topic_id, "a"))
        .await
        .unwrap();
    let ended = stage
        .subscribe(SUBSCRIBER, pulling(&topic.topic_id, "b"))
        .await
        .unwrap();
    let end = DeleteSubscriptionRequest {
        request_id: new_id(),
        subscription_id: ended.subscription_id.clone(),
    };
    let request = stage.system(SUBSCRIBER, &[], end);
    stage.events.clone().delete_subscription(request).await.unwrap();
    assert_eq!(findings(&stage).await, Vec::<String>::new(), "nothing was touched");

    let mut superuser = stage.database.connect_as_superuser().await.unwrap();
    let (of_box, of_confirmed, of_refused) = (
        format!("mailbox {}", mailbox.mailbox_id),
        format!("mailbox_message {}", confirmed.message_id),
        format!("mailbox_message {}", refused.message_id),
    );
    let (of_topic, of_open, of_ended) = (
        format!("event_topic {}", topic.topic_id),
        format!("event_subscription {}", open.subscription_id),
        format!("event_subscription {}", ended.subscription_id),
    );
    let edits = [
        // Whoever may subscribe may publish too.
        (
            "UPDATE event_topic_grants SET may_publish = NOT may_publish WHERE may_subscribe",
            "UPDATE event_topic_grants SET may_publish = NOT may_publish WHERE may_subscribe",
            &of_topic,
        ),
        (
            "UPDATE event_topics SET max_bytes = max_bytes + 1",
            "UPDATE event_topics SET max_bytes = max_bytes - 1",
            &of_topic,
        ),
        (
            "UPDATE event_subscriptions SET types = types || '{x}'::text[] WHERE end_time IS NULL",
            "UPDATE event_subscriptions SET types = types[1:cardinality(types) - 1] WHERE end_time IS NULL",
            &of_open,
        ),
        (
            "UPDATE event_subscriptions SET end_time = end_time + interval '1 second' WHERE end_time IS NOT NULL",
            "UPDATE event_subscriptions SET end_time = end_time - interval '1 second' WHERE end_time IS NOT NULL",
            &of_ended,
        ),
        (
            "UPDATE mailbox_messages SET receiver_reference = receiver_reference || 'x' WHERE state = 3",
            "UPDATE mailbox_messages SET receiver_reference = left(receiver_reference, -1) WHERE state = 3",
            &of_confirmed,
        ),
        (
            "UPDATE mailbox_messages SET cause = cause || 'x' WHERE state = 1",
            "UPDATE mailbox_messages SET cause = left(cause, -1) WHERE state = 1",
            &of_refused,
        ),
        (
            "UPDATE mailbox_messages SET version = version + 7 WHERE state = 1",
            "UPDATE mailbox_messages SET version = version - 7 WHERE state = 1",
            &of_refused,
        ),
        (
            "UPDATE mailboxes SET receiver_agency = receiver_agency || 'x'",
            "UPDATE mailboxes SET receiver_agency = left(receiver_agency, -1)",
            &of_box,
        ),
    ];
    for (edit, undo, named) in edits {
        by_force(&mut superuser, edit).await;
        let found = findings(&stage).await;
        assert!(
            found.len() == 1 && found[0].starts_with(named.as_str()),
            "{edit}: {found:?}"
        );
        by_force(&mut superuser, undo).await;
        assert_eq!(findings(&stage).await, Vec::<String>::new(), "{undo}");
    }
    by_force(&mut superuser, "DELETE FROM mailbox_messages WHERE state = 3").await;
    let found = findings(&stage).await;
    assert!(
        found.len() == 1 && found[0].starts_with(of_confirmed.as_str()),
        "{found:?}"
    );
    by_force(&mut superuser, "DELETE FROM mailboxes").await;
    assert!(
        findings(&stage)
            .await
            .iter()
            .any(|one| one.starts_with(of_box.as_str()))
    );
    // What follows again what was ended.
    by_force(&mut superuser, "UPDATE event_subscriptions SET end_time = NULL").await;
    let found = findings(&stage).await;
    assert!(
        found.contains(&format!("{of_ended} version 2: its row is gone")),
        "{found:?}"
    );
    by_force(
        &mut superuser,
        "DELETE FROM event_subscriptions; DELETE FROM event_topics",
    )
    .await;
    let found = findings(&stage).await;
    for gone in [&of_topic, &of_open] {
        assert!(
            found.contains(&format!("{gone} version 1: its row is gone")),
            "{found:?}"
        );
    }
}

/// What a superuser may do who knows how to switch the triggers off.
async fn by_force(superuser: &mut sqlx::PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "SET session_replication_role = replica; {sql}"
    )))
    .execute(superuser)
    .await
    .unwrap();
}

#[tokio::test]
async fn only_the_two_agencies_know_of_their_mailbox_and_each_keeps_to_its_side() {
    let stage = Stage::start().await;
    let mailbox = stage.mailbox(0).await;
    let sent = stage.send(SENDER, &mailbox, "x").await.unwrap();
    // The third agency is no neighbour but holds its role at the province: it sees what is the province's, over "unit".
    for refused in [
        stage.send(THIRD, &mailbox, "x").await.map(drop).unwrap_err(),
        stage.fetch(THIRD, &mailbox).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(refusal(&refused), (Code::NotFound, "MAILBOX_NOT_FOUND".to_owned()));
    }
    let unknown = stage.receipt(THIRD, &sent.message_id).await.unwrap_err();
    assert_eq!(refusal(&unknown), (Code::NotFound, "MESSAGE_NOT_FOUND".to_owned()));
    for refused in [
        stage.send(RECEIVER, &mailbox, "x").await.map(drop).unwrap_err(),
        stage.fetch(SENDER, &mailbox).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(refusal(&refused), (Code::PermissionDenied, "NOT_A_PARTY".to_owned()));
    }
    let list = async |who| {
        let request = stage.mail(who, ListMailboxesRequest::default());
        stage
            .mail
            .clone()
            .list_mailboxes(request)
            .await
            .unwrap()
            .into_inner()
            .mailboxes
            .len()
    };
    assert_eq!((list(SENDER).await, list(RECEIVER).await, list(THIRD).await), (1, 1, 0));
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT content FROM mailbox_messages")
        .fetch_one(&mut stage.database.connect_as_superuser().await.unwrap())
        .await
        .unwrap();
    assert_ne!(sealed, b"x", "a content is sealed where it lies");
}

#[tokio::test]
async fn the_same_sending_is_one_message_and_a_full_mailbox_says_when_to_come_back() {
    let stage = Stage::start().await;
    let mailbox = stage.mailbox(2).await;
    let message = SendMessageRequest {
        request_id: new_id(),
        mailbox_id: mailbox.mailbox_id.clone(),
        kind: "k".to_owned(),
        media_type: "text/plain".to_owned(),
        content: b"1".to_vec().into(),
        subject_ids: Vec::new(),
    };
    let send = async || {
        let request = stage.mail(SENDER, message.clone());
        let sent = stage.mail.clone().send_message(request).await;
        sent.unwrap().into_inner().receipt.unwrap()
    };
    let (one, other) = tokio::join!(send(), send());
    assert_eq!(one.message_id, other.message_id);
    stage.send(SENDER, &mailbox, "2").await.unwrap();
    let full = stage.send(SENDER, &mailbox, "3").await.unwrap_err();
    assert_eq!(refusal(&full), (Code::ResourceExhausted, "MAILBOX_FULL".to_owned()));
    assert!(egov_fault::fault_of(&full).retry_delay().is_some());
    let got = stage.fetch(RECEIVER, &mailbox).await.unwrap();
    assert_eq!(
        got.iter().map(|one| &one.content[..]).collect::<Vec<_>>(),
        [b"1", b"2"],
        "oldest first"
    );
    let mut wrong = confirmation(&got[0]);
    wrong.sha256 = "0".repeat(64);
    let status = stage
        .mail
        .clone()
        .confirm_message(stage.mail(RECEIVER, wrong))
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    stage
        .mail
        .clone()
        .confirm_message(stage.mail(RECEIVER, confirmation(&got[0])))
        .await
        .unwrap();
    stage.send(SENDER, &mailbox, "3").await.unwrap();
}

#[tokio::test]
async fn a_message_refused_ten_times_is_given_up_and_can_be_sent_out_again() {
    let stage = Stage::start().await;
    let mailbox = stage.mailbox(0).await;
    let sent = stage.send(SENDER, &mailbox, "x").await.unwrap();
    for attempt in 1..=10 {
        let got = stage.fetch(RECEIVER, &mailbox).await.unwrap();
        assert_eq!(got[0].attempt, attempt);
        let receipt = stage.refuse_message(&sent.message_id).await.unwrap();
        let expected = if attempt < 10 {
            MessageState::Waiting
        } else {
            MessageState::Dead
        };
        assert_eq!(receipt.state(), expected, "after {attempt}");
        stage.clock.advance(SignedDuration::from_mins(11));
    }
    let status = stage.refuse_message(&sent.message_id).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::FailedPrecondition, "MESSAGE_DEAD".to_owned()));
    let list = ListDeadMessagesRequest {
        mailbox_id: mailbox.mailbox_id.clone(),
        ..Default::default()
    };
    let dead = stage
        .mail
        .clone()
        .list_dead_messages(stage.mail(SENDER, list))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(dead.receipts[0].cause, "hệ thống đang bảo trì");
    let redrive = RedriveMessageRequest {
        request_id: new_id(),
        message_id: sent.message_id.clone(),
    };
    let status = stage
        .mail
        .clone()
        .redrive_message(stage.mail(RECEIVER, redrive.clone()))
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::PermissionDenied, "NOT_A_PARTY".to_owned()));
    stage
        .mail
        .clone()
        .redrive_message(stage.mail(SENDER, redrive))
        .await
        .unwrap();
    assert_eq!(stage.fetch(RECEIVER, &mailbox).await.unwrap()[0].attempt, 1);
}

#[tokio::test]
async fn what_is_looked_through_to_be_sealed_anew_waits_for_its_receiver_all_the_same() {
    let stage = Stage::start().await;
    let mailbox = stage.mailbox(0).await;
    let sent = stage.send(SENDER, &mailbox, "x").await.unwrap();
    let mut superuser = stage.database.connect_as_superuser().await.unwrap();
    // The service's own job is through with every column; the mail is to be looked through once more.
    let through = "SELECT (SELECT count(*) FROM resealing WHERE finish_time IS NOT NULL) = 4
                      AND EXISTS (SELECT 1 FROM egov.leases WHERE name = 'integration.reseal' AND expire_time = '-infinity')";
    until(&stage, through).await;
    sqlx::query("DELETE FROM resealing WHERE kept = 'mailbox_messages.content'")
        .execute(&mut superuser)
        .await
        .unwrap();
    // It stands still where it notes how far it has come: in the middle of its transaction, and the message is fetched then.
    let mut holding = sqlx::Connection::begin(&mut superuser).await.unwrap();
    sqlx::query("LOCK TABLE resealing IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *holding)
        .await
        .unwrap();
    let (pool, keyring) = (stage.pool.clone(), Arc::clone(&stage.keyring));
    let resealing = tokio::spawn(async move { egov_integration::reseal_once(&pool, &keyring).await });
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = 'resealing'::regclass AND NOT granted
                                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    until(&stage, waits).await;
    let got = stage.fetch(RECEIVER, &mailbox).await.unwrap();
    assert_eq!(got.len(), 1, "nobody holds it");
    assert_eq!(
        (got[0].message_id.as_str(), got[0].attempt),
        (sent.message_id.as_str(), 1)
    );
    holding.rollback().await.unwrap();
    assert_eq!(resealing.await.unwrap().unwrap(), (0, 0));
}

/// Waits until a query is true.
async fn until(stage: &Stage, sql: &'static str) {
    let mut superuser = stage.database.connect_as_superuser().await.unwrap();
    for _ in 0..500 {
        let holds: bool = sqlx::query_scalar(sql).fetch_one(&mut superuser).await.unwrap();
        if holds {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("never: {sql}");
}

#[tokio::test]
async fn a_message_that_nobody_confirms_in_time_is_given_up() {
    let stage = Stage::start().await;
    let mailbox = stage.mailbox(0).await;
    let sent = stage.send(SENDER, &mailbox, "x").await.unwrap();
    stage.clock.advance(SignedDuration::from_hours(31 * 24));
    assert!(stage.fetch(RECEIVER, &mailbox).await.unwrap().is_empty());
    // The job looks every ten seconds.
    for _ in 0..150 {
        if stage.receipt(SENDER, &sent.message_id).await.unwrap().state() == MessageState::Dead {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the message still waits");
}

#[tokio::test]
async fn a_mailbox_is_made_for_the_agencies_that_the_units_are() {
    let stage = Stage::start().await;
    for (sender, receiver) in [("H41.11", "H41.11"), ("H41.10", "H41.10"), ("H41.99", "H41.11")] {
        let message = CreateMailboxRequest {
            request_id: new_id(),
            sender_unit_id: HERE,
            receiver_unit_id: NEIGHBOUR,
            sender_agency: sender.to_owned(),
            receiver_agency: receiver.to_owned(),
            ..CreateMailboxRequest::default()
        };
        let request = stage.staff("integration_mailbox_admin", 1, message);
        let status = stage.mail.clone().create_mailbox(request).await.unwrap_err();
        assert_eq!(
            refusal(&status),
            (Code::FailedPrecondition, "AGENCY_CODE_NOT_OF_UNIT".to_owned()),
            "{sender} to {receiver}"
        );
    }
    stage.mailbox(0).await;
}

#[tokio::test]
async fn fetching_a_message_about_persons_is_recorded_for_them_before_its_content_leaves() {
    let stage = Stage::start().await;
    let mailbox = stage.mailbox(0).await;
    let (person, other) = (Uuid::from_u128(42), Uuid::from_u128(43));
    let message = |purpose: Option<&'static str>| {
        let message = SendMessageRequest {
            request_id: new_id(),
            mailbox_id: mailbox.mailbox_id.clone(),
            kind: "vn.edxml.document".to_owned(),
            media_type: "application/xml".to_owned(),
            content: b"<vanban/>".to_vec().into(),
            subject_ids: vec![person.to_string(), other.to_string()],
        };
        let mut request = stage.mail(SENDER, message);
        if let Some(purpose) = purpose {
            request
                .metadata_mut()
                .insert("x-egov-purpose", purpose.parse().unwrap());
        }
        request
    };
    let status = stage.mail.clone().send_message(message(None)).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    let sent = stage.mail.clone().send_message(message(Some("case_handling"))).await;
    let sent = sent.unwrap().into_inner().receipt.unwrap();
    // One that names nobody leaves no record.
    stage.send(SENDER, &mailbox, "<thongbao/>").await.unwrap();
    let mut superuser = stage.database.connect_as_superuser().await.unwrap();
    // Without the record nothing leaves.
    sqlx::query("ALTER TABLE egov.read_records RENAME TO away")
        .execute(&mut superuser)
        .await
        .unwrap();
    assert_eq!(
        stage.fetch(RECEIVER, &mailbox).await.unwrap_err().code(),
        Code::Unavailable
    );
    sqlx::query("ALTER TABLE egov.away RENAME TO read_records")
        .execute(&mut superuser)
        .await
        .unwrap();
    stage.clock.advance(SignedDuration::from_mins(6));
    assert_eq!(stage.fetch(RECEIVER, &mailbox).await.unwrap().len(), 2);
    let rows: Vec<(String, String, String, Vec<String>)> = sqlx::query_as(
        "SELECT reader, purpose, method, resources FROM egov.read_records WHERE $1 = ANY(subjects) AND $2 = ANY(subjects)",
    )
    .bind(person)
    .bind(other)
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let [(reader, purpose, method, resources)] = rows.as_slice() else {
        panic!("one record is expected: {rows:?}");
    };
    assert!(reader.contains(&RECEIVER.0.to_string()), "{reader}");
    assert_eq!(purpose, "case_handling");
    assert!(method.ends_with("MailboxService/FetchMessages"), "{method}");
    assert_eq!(resources, &[format!("mailbox-messages/{}", sent.message_id)]);
    let all: i64 = sqlx::query_scalar("SELECT count(*) FROM egov.read_records")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(all, 1);
}

#[tokio::test]
async fn a_fetch_fits_into_a_message_whatever_the_size_of_what_waits() {
    let stage = Stage::start().await;
    let mailbox = stage.mailbox(0).await;
    let large = "x".repeat(900 * 1024);
    for _ in 0..5 {
        stage.send(SENDER, &mailbox, &large).await.unwrap();
        stage.clock.advance(SignedDuration::from_secs(1));
    }
    for expected in [3, 2, 0] {
        assert_eq!(stage.fetch(RECEIVER, &mailbox).await.unwrap().len(), expected);
    }
}
