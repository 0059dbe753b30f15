//! Changes that the Ministry's civil-status register reports (thay đổi được thông báo): what missions abroad and other provinces entered, corrected or noted. They
//! are fetched page by page behind a durable cursor and received once each, matched with entries of ours; nothing of ours changes by it.
//!
//! The cursor moves in the transaction that receives its page: whoever is killed before asks for the same page again, and what is known already stays as it was
//! received first.

use std::time::Duration;

use egov_auth::{Caller, ReadRecord, RowScope};
use egov_database::{Event, Leaf, Lease, Page, UnitOfWork};
use egov_partners::civil_books::{Change, ChangeAct};
use jiff::Timestamp;
use uuid::Uuid;

use super::Partners;
use crate::domain::civil_register::{CHANGE, ReceivedChange, kind_number, of_change, plain_number};
use crate::error::Error;
use crate::partners::Books;
use crate::sealing::{digest, open, seal};
use crate::store::civil_register::{self, RecordedVersion};

const READ_CHANGES: &str = "integration.civil_register.read_changes";

const LEASE: &str = "integration.register-changes";
const LEASE_TIME: Duration = Duration::from_mins(2);

/// How many changes are asked for at once.
const PAGE: u32 = 50;

/// So many pages a round: then somebody else may have the lease.
const PAGES: usize = 40;

/// So many entries of a person are named at most.
const MOST_ENTRIES: i64 = 50;

/// What a round of receiving did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedChanges {
    /// Changes that were received.
    pub received: usize,
    /// Changes that were reported, and known already.
    pub known: usize,
    /// Whether the register, or the registry by which a change is matched, said nothing, or the unit tree is not known: the round ended there, and the cursor
    /// stays.
    pub away: bool,
}

/// A received change with what it says.
pub(crate) struct ShownChange {
    pub(crate) received: ReceivedChange,
    pub(crate) change: Change,
}

/// What a change was matched with.
#[derive(Default)]
struct Match {
    by: i16,
    /// Entries with their units.
    entries: Vec<(Uuid, i32)>,
    person: Option<Uuid>,
    /// The unit that keeps the book, and the one that is concerned besides.
    keeper: Option<i32>,
    concerned: Option<i32>,
}

impl Match {
    /// Whom the change is shown to: of what was registered elsewhere whoever is concerned, of what was changed whoever keeps the book.
    fn unit(&self, act: ChangeAct) -> Option<i32> {
        let matched = self.entries.first().map(|(_, unit)| *unit);
        match act {
            ChangeAct::Registered => self.concerned.or(matched).or(self.keeper),
            ChangeAct::Corrected | ChangeAct::Annotated => self.keeper.or(matched).or(self.concerned),
        }
    }
}

impl Partners {
    /// Receives what the register reports since the last time; none if another process is at it, or nothing is connected.
    pub(crate) async fn receive_changes(&self) -> Result<Option<ReceivedChanges>, Error> {
        let (Some(books), Some(_)) = (self.connections.books.clone(), &self.connections.civil_status) else {
            return Ok(None);
        };
        let Some(mut lease) = self.database.acquire_lease(LEASE, LEASE_TIME).await? else {
            return Ok(None);
        };
        let mut round = ReceivedChanges::default();
        let mut outcome = Ok(());
        for _ in 0..PAGES {
            if lease.is_due() {
                lease.renew().await?;
            }
            match self.receive_page(&mut lease, &books, &mut round).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        lease.release().await?;
        outcome.map(|()| Some(round))
    }

    /// One page; false if there is nothing more at present.
    async fn receive_page(&self, lease: &mut Lease, books: &Books, round: &mut ReceivedChanges) -> Result<bool, Error> {
        let Some(register) = self.connections.civil_status.as_ref() else {
            return Ok(false);
        };
        let from = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(civil_register::cursor(connection).await?)
            })
            .await?;
        let page = match register.partner.list_changes(&from, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(
                    problem = error.word(),
                    "the civil-status register does not report its changes"
                );
                round.away = true;
                return Ok(false);
            }
        };
        if page.changes.is_empty() {
            return Ok(false);
        }
        let mut matched = Vec::with_capacity(page.changes.len());
        for change in &page.changes {
            if lease.is_due() {
                lease.renew().await?;
            }
            match self.match_change(books, change).await {
                Ok(found) => matched.push(found),
                Err(Error::Fault(fault)) => {
                    tracing::warn!(reason = fault.reason(), error = ?fault, "changes of the register are not matched, and not received yet");
                    round.away = true;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        // What is no known unit's is the province's; before the unit tree is known it would be nobody's for ever.
        let root = self.agencies.root(self.today());
        let mut all = page.changes.iter().zip(&matched);
        if root.is_none() && all.any(|(change, found)| found.unit(change.act).is_none()) {
            tracing::warn!(
                "the unit tree is not known: changes of the register that are no unit's are not received yet"
            );
            round.away = true;
            return Ok(false);
        }
        let received = self
            .database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                let mut received = 0;
                for (change, found) in page.changes.iter().zip(&matched) {
                    received += usize::from(self.receive(unit, change, found, root).await?);
                }
                let now = unit.now();
                civil_register::move_cursor(unit.conn(), &page.cursor, now).await?;
                Ok::<_, Error>(received)
            })
            .await?;
        round.received += received;
        round.known += page.changes.len().saturating_sub(received);
        // A register that does not move its cursor would be asked for the same page for ever.
        Ok(page.cursor != from)
    }

    async fn match_change(&self, books: &Books, change: &Change) -> Result<Match, Error> {
        let place = plain_number(&change.number).map(|number| (kind_number(change.kind), change.year, number));
        let mut found = self
            .database
            .read(&RowScope::everything(), async |connection| {
                let mut found = Match {
                    keeper: civil_register::unit_of_agency(&mut *connection, &change.agency_code).await?,
                    concerned: civil_register::unit_of_agency(&mut *connection, &change.concerned_agency_code).await?,
                    ..Match::default()
                };
                if let (Some(keeper), Some(place)) = (found.keeper, place) {
                    found.entries = civil_register::at_place(connection, keeper, place).await?;
                    found.by = i16::from(!found.entries.is_empty());
                }
                Ok::<_, Error>(found)
            })
            .await?;
        if !change.personal_number.is_empty() {
            found.person = books.registry.person(&change.personal_number).await?;
        }
        if let (0, Some(person)) = (found.by, found.person) {
            found.entries = self
                .database
                .read(&RowScope::everything(), async |connection| {
                    Ok::<_, Error>(civil_register::of_person(connection, person, MOST_ENTRIES).await?)
                })
                .await?;
            found.by = if found.entries.is_empty() { 0 } else { 2 };
        }
        Ok(found)
    }

    /// Receives one change; false if it is known.
    async fn receive(
        &self,
        unit: &mut UnitOfWork<'_>,
        change: &Change,
        found: &Match,
        root: Option<i32>,
    ) -> Result<bool, Error> {
        let shown_to = found.unit(change.act).or(root);
        let received = ReceivedChange {
            id: unit.new_id(),
            register_key: change.id.chars().take(200).collect(),
            unit_id: shown_to.unwrap_or_default(),
            matched_by: found.by,
            entry_ids: found.entries.iter().map(|(id, _)| *id).collect(),
            person_id: found.person,
            receive_time: unit.now(),
        };
        let plain = serde_json::to_vec(change).map_err(|error| Error::Unreadable(error.into()))?;
        let (keyring, bound) = (&self.connections.keyring, content_of(received.id));
        let sealed = seal(keyring, &plain, &bound);
        if !civil_register::insert_change(unit.conn(), &received, &sealed).await? {
            return Ok(false);
        }
        let document = of_change(&received, &digest(keyring, &plain, &bound)).to_string();
        let of = (received.id, 1, received.unit_id);
        record(unit, CHANGE, of, document, "register_change_received").await?;
        Ok(true)
    }

    /// One page of the received changes that the caller sees, received last first. The reading is recorded before it leaves.
    pub(crate) async fn list_register_changes(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
        page: Page<(Timestamp, Uuid)>,
    ) -> Result<(Vec<ShownChange>, String), Error> {
        let scope = caller.scope(READ_CHANGES);
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(civil_register::list_changes(connection, &scope, unit_id, after, limit).await?)
            })
            .await?;
        let (rows, next) = page.finish(rows, |(row, _)| (row.receive_time, row.id))?;
        let mut shown = Vec::with_capacity(rows.len());
        for (received, sealed) in rows {
            let plain = open(&self.connections.keyring, &sealed, &content_of(received.id))
                .map_err(|error| Error::Unreadable(error.into()))?;
            let change = serde_json::from_slice(&plain).map_err(|error| Error::Unreadable(error.into()))?;
            shown.push(ShownChange { received, change });
        }
        let read = shown
            .iter()
            .map(|one| (one.received.person_id, format!("register_changes/{}", one.received.id)));
        self.reads.record(ReadRecord::of_each(caller, read, self.now())).await?;
        Ok((shown, next))
    }
}

/// What the content of a change is sealed for.
fn content_of(id: Uuid) -> Vec<u8> {
    format!("egov integration register change {id}").into_bytes()
}

/// Records a version of a change, reconciliation or difference word for word and commits to it; an event of this kind tells the others, unless it is empty.
pub(super) async fn record(
    unit: &mut UnitOfWork<'_>,
    kind: &'static str,
    (id, version, unit_id): (Uuid, i64, i32),
    document: String,
    event: &'static str,
) -> Result<(), Error> {
    let recorded = RecordedVersion {
        kind: kind.to_owned(),
        id,
        version,
        document,
    };
    let now = unit.now();
    civil_register::append_history(unit.conn(), &recorded, unit_id, now).await?;
    if !event.is_empty() {
        unit.publish(Event {
            aggregate_kind: kind,
            aggregate_id: id,
            version,
            kind: event,
            payload: serde_json::json!({ "unit_id": unit_id }),
        });
    }
    unit.leaf(Leaf {
        kind,
        resource: id,
        version,
        canonical: recorded.document.as_bytes(),
    });
    Ok(())
}
