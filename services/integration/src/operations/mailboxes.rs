//! Mailboxes between agencies: CreateMailbox, SendMessage, FetchMessages, ConfirmMessage, RefuseMessage and what tells of them.

use std::sync::Arc;

use egov_auth::{Caller, ReadRecord, ReadRecorder, Resource, RowScope};
use egov_clock::Clock as _;
use egov_database::{Database, Event, Leaf, Lease, Page, UnitOfWork, WriteRequest, page_of};
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1 as proto;
use futures::future::try_join_all;
use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::mailbox::{FETCH_AGAIN, Mailbox, Message, State};
use crate::error::Error;
use crate::operations::agencies::Agencies;
use crate::sealing::{open, seal};
use crate::store::mailboxes as store;

/// The kind of the leaves of mailboxes.
pub(crate) const MAILBOX: &str = "mailbox";
/// The kind of the leaves of messages in mailboxes.
pub(crate) const MESSAGE: &str = "mailbox_message";

/// The permission by which a mailbox and its receipts are seen.
const READ: &str = "integration.mailboxes.read";
const MANAGE: &str = "integration.mailboxes.manage";
const SEND: &str = "integration.mail.send";
const RECEIVE: &str = "integration.mail.receive";

const CREATE: &str = "/egov.integration.v1.MailboxService/CreateMailbox";
const LIST: &str = "/egov.integration.v1.MailboxService/ListMailboxes";
const SEND_MESSAGE: &str = "/egov.integration.v1.MailboxService/SendMessage";
const CONFIRM: &str = "/egov.integration.v1.MailboxService/ConfirmMessage";
const REFUSE: &str = "/egov.integration.v1.MailboxService/RefuseMessage";
const LIST_DEAD: &str = "/egov.integration.v1.MailboxService/ListDeadMessages";
const REDRIVE: &str = "/egov.integration.v1.MailboxService/RedriveMessage";

/// How many bytes are fetched at once: they and what stands around them fit into one message of gRPC, whose usual limit is 4 MiB.
const FETCH_BYTES: i64 = 3 << 20;

/// How many messages are given up in one transaction.
const BATCH: i64 = 500;

/// What every use case of the mailboxes works with.
pub(crate) struct Mailboxes {
    pub(crate) database: Database,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) reads: ReadRecorder,
    pub(crate) agencies: Agencies,
}

/// A message as a sender gives it.
pub(crate) struct Outgoing<'a> {
    pub(crate) mailbox: Uuid,
    pub(crate) kind: &'a str,
    pub(crate) media_type: &'a str,
    pub(crate) content: &'a [u8],
    /// Of the content, hexadecimal.
    pub(crate) sha256: String,
    /// The persons concerned.
    pub(crate) subjects: Vec<Uuid>,
}

pub(crate) fn sealed_for(message: Uuid) -> Vec<u8> {
    [b"egov mailbox ".as_slice(), message.as_bytes()].concat()
}

impl Mailboxes {
    /// Makes the mailbox from one agency to another, at most once for a request id.
    pub(crate) async fn create(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &proto::CreateMailboxRequest,
        mailbox: Mailbox,
        answer: impl FnOnce(&Mailbox) -> proto::CreateMailboxResponse + Send,
    ) -> Result<proto::CreateMailboxResponse, Error> {
        let write = WriteRequest::by(caller, MANAGE, CREATE, request_id, body);
        let written = self
            .database
            .write(write, async |unit| {
                caller.require(MANAGE, &Resource::of_unit(mailbox.sender_unit))?;
                for (unit_id, field, code) in [
                    (mailbox.sender_unit, "sender_agency", &mailbox.sender_agency),
                    (mailbox.receiver_unit, "receiver_agency", &mailbox.receiver_agency),
                ] {
                    self.agencies.require(unit, unit_id, field, code).await?;
                }
                let mailbox = Mailbox {
                    id: unit.new_id(),
                    create_time: unit.now(),
                    ..mailbox
                };
                if !store::insert(unit.conn(), &mailbox).await? {
                    return Err(Error::MailboxExists);
                }
                unit.publish(Event {
                    aggregate_kind: "mailbox",
                    aggregate_id: mailbox.id,
                    version: 1,
                    kind: "mailbox_created",
                    payload: serde_json::json!({ "sender": mailbox.sender_agency, "receiver": mailbox.receiver_agency }),
                });
                unit.leaf(Leaf {
                    kind: MAILBOX,
                    resource: mailbox.id,
                    version: 1,
                    canonical: canonical_mailbox(&mailbox).to_string().as_bytes(),
                });
                Ok::<_, Error>(answer(&mailbox))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// A page of the mailboxes that the caller sees.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        request: &proto::ListMailboxesRequest,
    ) -> Result<(Vec<Mailbox>, String), Error> {
        let page: Page<Uuid> = page_of!(self.database.page_tokens(), caller, LIST, request)?;
        let scope = caller.scope(READ);
        let rows = self
            .database
            .read(&scope, async |conn| {
                store::list(conn, page.after().copied(), page.fetch(), &scope)
                    .await
                    .map_err(Error::from)
            })
            .await?;
        Ok(page.finish(rows, |mailbox| mailbox.id)?)
    }

    /// Takes a message in, at most once for a request id.
    pub(crate) async fn send(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &proto::SendMessageRequest,
        outgoing: Outgoing<'_>,
        answer: impl FnOnce(&Message) -> proto::SendMessageResponse + Send,
    ) -> Result<proto::SendMessageResponse, Error> {
        let scope = caller.scope(READ);
        let purpose = match (&caller.purpose, outgoing.subjects.is_empty()) {
            (_, true) => String::new(),
            (Some(purpose), false) => purpose.clone(),
            (None, false) => {
                return Err(Error::Field {
                    field: "subject_ids",
                    vi: "nêu người liên quan thì phải nêu mục đích trong x-egov-purpose",
                    en: "persons are named, so x-egov-purpose must say for what the message is sent",
                });
            }
        };
        let write = WriteRequest::by(caller, READ, SEND_MESSAGE, request_id, body);
        let written = self
            .database
            .write(write, async |unit| {
                let found = store::get(unit.conn(), outgoing.mailbox, &scope).await?;
                let mailbox = found.ok_or(Error::MailboxNotFound)?;
                party(caller, SEND, mailbox.sender_unit)?;
                if store::waiting(unit.conn(), &mailbox).await? >= i64::from(mailbox.max_messages) {
                    return Err(Error::MailboxFull);
                }
                let now = unit.now();
                let message = Message {
                    subjects: outgoing.subjects,
                    purpose,
                    id: unit.new_id(),
                    mailbox: mailbox.id,
                    sender_unit: mailbox.sender_unit,
                    receiver_unit: mailbox.receiver_unit,
                    kind: outgoing.kind.to_owned(),
                    media_type: outgoing.media_type.to_owned(),
                    sha256: outgoing.sha256,
                    state: State::Waiting,
                    attempts: 0,
                    send_time: now,
                    expire_time: now.checked_add(mailbox.max_age).unwrap_or(Timestamp::MAX),
                    fetch_time: None,
                    confirm_time: None,
                    receiver_reference: String::new(),
                    cause: String::new(),
                    version: 1,
                };
                let sealed = seal(&self.keyring, outgoing.content, &sealed_for(message.id));
                store::insert_message(unit.conn(), &message, &sealed).await?;
                record(unit, &message, "mailbox_message_sent");
                Ok::<_, Error>(answer(&message))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Hands the receiver what waits. What cannot be opened is left where it was, for a later try.
    pub(crate) async fn fetch(
        &self,
        caller: &Caller,
        mailbox_id: Uuid,
        limit: i64,
    ) -> Result<(Mailbox, Vec<(Message, Vec<u8>)>), Error> {
        let scope = caller.scope(READ);
        let (mailbox, opened) = self
            .database
            .write_unkeyed(&scope, async |unit| {
                let found = store::get(unit.conn(), mailbox_id, &scope).await?;
                let mailbox = found.ok_or(Error::MailboxNotFound)?;
                party(caller, RECEIVE, mailbox.receiver_unit)?;
                let now = unit.now();
                let again = now.checked_add(FETCH_AGAIN).unwrap_or(Timestamp::MAX);
                let messages = store::fetch(unit.conn(), mailbox_id, now, again, limit, FETCH_BYTES).await?;
                let (opened, closed) = self.opened(messages);
                store::put_back(unit.conn(), &closed).await?;
                for (message, _) in &opened {
                    record(unit, message, "mailbox_message_fetched");
                }
                Ok::<_, Error>((mailbox, opened))
            })
            .await?;
        // Before a content leaves, all of them in one flush; what cannot be recorded comes again later.
        let now = self.database.clock().now();
        let concerned = opened.iter().filter(|(message, _)| !message.subjects.is_empty());
        try_join_all(concerned.map(|(message, _)| {
            let resources = vec![format!("mailbox-messages/{}", message.id)];
            self.reads.record(ReadRecord {
                purpose: Some(message.purpose.clone()),
                ..ReadRecord::of(caller, message.subjects.clone(), resources, now)
            })
        }))
        .await?;
        Ok((mailbox, opened))
    }

    /// The messages with their contents, and those whose content cannot be opened.
    fn opened(&self, messages: Vec<(Message, Vec<u8>)>) -> (Vec<(Message, Vec<u8>)>, Vec<Uuid>) {
        let (mut opened, mut closed) = (Vec::with_capacity(messages.len()), Vec::new());
        for (message, sealed) in messages {
            match open(&self.keyring, &sealed, &sealed_for(message.id)) {
                Ok(content) => opened.push((message, content)),
                Err(error) => {
                    tracing::error!(message_id = %message.id, %error, "a message in a mailbox cannot be opened");
                    closed.push(message.id);
                }
            }
        }
        if !closed.is_empty() {
            // Rare enough to be made when it is needed.
            opentelemetry::global::meter("egov")
                .u64_counter("egov.integration.mailbox.unopened")
                .with_description("messages that could not be opened when they were to be fetched")
                .build()
                .add(u64::try_from(closed.len()).unwrap_or(u64::MAX), &[]);
        }
        (opened, closed)
    }

    /// The receiver has a message, at most once for a request id.
    pub(crate) async fn confirm(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &proto::ConfirmMessageRequest,
        message_id: Uuid,
        answer: impl FnOnce(&Message) -> proto::ConfirmMessageResponse + Send,
    ) -> Result<proto::ConfirmMessageResponse, Error> {
        let scope = caller.scope(READ);
        let write = WriteRequest::by(caller, READ, CONFIRM, request_id, body);
        let written = self
            .database
            .write(write, async |unit| {
                let mut message = locked(unit, message_id, &scope).await?;
                party(caller, RECEIVE, message.receiver_unit)?;
                if body.sha256 != message.sha256 {
                    return Err(Error::Field {
                        field: "sha256",
                        vi: "không khớp với nội dung đã gửi",
                        en: "is not that of the content that was sent",
                    });
                }
                let now = unit.now();
                if message.confirm(&body.receiver_reference, now)? {
                    store::update_message(unit.conn(), &message, now).await?;
                    record(unit, &message, "mailbox_message_confirmed");
                }
                Ok::<_, Error>(answer(&message))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// The receiver could not take a message, at most once for a request id.
    pub(crate) async fn refuse(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &proto::RefuseMessageRequest,
        message_id: Uuid,
        answer: impl FnOnce(&Message) -> proto::RefuseMessageResponse + Send,
    ) -> Result<proto::RefuseMessageResponse, Error> {
        let scope = caller.scope(READ);
        let write = WriteRequest::by(caller, READ, REFUSE, request_id, body);
        let written = self
            .database
            .write(write, async |unit| {
                let mut message = locked(unit, message_id, &scope).await?;
                party(caller, RECEIVE, message.receiver_unit)?;
                if message.refuse(&body.cause)? {
                    let tries = u32::try_from(message.attempts).unwrap_or(1);
                    let pause = egov_events::Backoff::default().draw(tries, self.database.ids().as_ref());
                    let due = unit.now().checked_add(pause).unwrap_or(Timestamp::MAX);
                    store::update_message(unit.conn(), &message, due).await?;
                    record(unit, &message, "mailbox_message_refused");
                }
                Ok::<_, Error>(answer(&message))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// What has become of a message.
    pub(crate) async fn receipt(&self, caller: &Caller, message_id: Uuid) -> Result<Message, Error> {
        let scope = caller.scope(READ);
        self.database
            .read(&scope, async |conn| {
                store::get_message(conn, message_id, &scope)
                    .await?
                    .ok_or(Error::MessageNotFound)
            })
            .await
    }

    /// A page of the messages of a mailbox that were given up.
    pub(crate) async fn list_dead(
        &self,
        caller: &Caller,
        request: &proto::ListDeadMessagesRequest,
        mailbox_id: Uuid,
    ) -> Result<(Vec<Message>, String), Error> {
        let page: Page<Uuid> = page_of!(self.database.page_tokens(), caller, LIST_DEAD, request)?;
        let scope = caller.scope(READ);
        let rows = self
            .database
            .read(&scope, async |conn| {
                let found = store::get(conn, mailbox_id, &scope).await?;
                found.ok_or(Error::MailboxNotFound)?;
                store::dead(conn, mailbox_id, page.after().copied(), page.fetch())
                    .await
                    .map_err(Error::from)
            })
            .await?;
        Ok(page.finish(rows, |message| message.id)?)
    }

    /// Lets a message that was given up wait again, at most once for a request id.
    pub(crate) async fn redrive(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &proto::RedriveMessageRequest,
        message_id: Uuid,
        answer: impl FnOnce(&Message) -> proto::RedriveMessageResponse + Send,
    ) -> Result<proto::RedriveMessageResponse, Error> {
        let scope = caller.scope(READ);
        let write = WriteRequest::by(caller, READ, REDRIVE, request_id, body);
        let written = self
            .database
            .write(write, async |unit| {
                let mut message = locked(unit, message_id, &scope).await?;
                party(caller, SEND, message.sender_unit)?;
                let found = store::get(unit.conn(), message.mailbox, &scope).await?;
                let mailbox = found.ok_or(Error::MailboxNotFound)?;
                let now = unit.now();
                if message.redrive(now, mailbox.max_age) {
                    store::update_message(unit.conn(), &message, now).await?;
                    record(unit, &message, "mailbox_message_redriven");
                }
                Ok::<_, Error>(answer(&message))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Gives up what nobody confirmed in time; returns how many.
    pub(crate) async fn expire(&self, lease: &Lease) -> Result<usize, Error> {
        self.database
            .work(lease, async |unit| {
                let now = unit.now();
                let expired = store::expired(unit.conn(), now, BATCH).await?;
                let count = expired.len();
                for mut message in expired {
                    message.expire();
                    store::update_message(unit.conn(), &message, now).await?;
                    record(unit, &message, "mailbox_message_given_up");
                }
                Ok::<_, Error>(count)
            })
            .await
    }
}

/// Sees the mailbox already; whether it is the side that may do this.
fn party(caller: &Caller, permission: &str, unit: i32) -> Result<(), Error> {
    caller
        .require(permission, &Resource::of_unit(unit))
        .map_err(|_| Error::NotAParty)
}

async fn locked(unit: &mut UnitOfWork<'_>, message_id: Uuid, scope: &RowScope) -> Result<Message, Error> {
    store::lock_message(unit.conn(), message_id, scope)
        .await?
        .ok_or(Error::MessageNotFound)
}

/// What the leaf of a mailbox commits to.
pub(crate) fn canonical_mailbox(mailbox: &Mailbox) -> serde_json::Value {
    serde_json::json!({
        "mailbox_id": mailbox.id,
        "sender_unit_id": mailbox.sender_unit,
        "receiver_unit_id": mailbox.receiver_unit,
        "sender_agency": mailbox.sender_agency,
        "receiver_agency": mailbox.receiver_agency,
    })
}

/// What the leaf of a message commits to that is in a state.
pub(crate) fn canonical_message(message: &Message, state: State) -> serde_json::Value {
    serde_json::json!({
        "message_id": message.id,
        "mailbox_id": message.mailbox,
        "sha256": message.sha256,
        "state": state.code(),
        "attempts": message.attempts,
        "receiver_reference": message.receiver_reference,
        "cause": message.cause,
    })
}

/// The event and the leaf of what happened to a message.
fn record(unit: &mut UnitOfWork<'_>, message: &Message, kind: &'static str) {
    unit.publish(Event {
        aggregate_kind: "mailbox_message",
        aggregate_id: message.id,
        version: message.version,
        kind,
        payload: serde_json::json!({ "mailbox_id": message.mailbox, "state": message.state.code() }),
    });
    unit.leaf(Leaf {
        kind: MESSAGE,
        resource: message.id,
        version: message.version,
        canonical: canonical_message(message, message.state).to_string().as_bytes(),
    });
    unit.led_to("mailbox_message", message.id, message.version);
}
