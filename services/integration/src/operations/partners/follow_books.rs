//! Entries of the civil registry that are told to the Ministry's civil-status register by themselves: the registry says in its log that something was
//! entered, corrected or noted, the entry is read by its contract as it stands, and what the register is told of it becomes a delivery.
//!
//! As with the portal's cases: the effect of an event happens once, the inbox knows it in the transaction of the delivery, and only then is it
//! acknowledged; a process that is killed in between finds it again. Of one entry the states are told in their order, and each is whole: what was told
//! before need not have arrived.
//!
//! While the registry is away no event is fetched, so that an outage uses up no event's attempts.

use std::time::Duration;

use egov_auth::{Caller, RowScope};
use egov_database::{Page, UnitOfWork};
use egov_events::{Batch, Delivery as EventDelivery, Rejection};
use egov_fault::Fault;
use egov_partners::Partner;
use egov_partners::civil_mapping::{NotTold, ToldEntry, kind_of, told_entry};
use jiff::Timestamp;
use uuid::Uuid;

use super::follow::is_away;
use super::{ENTER, Message, NewDelivery, Partners, connected};
use crate::domain::case_event::NotReadable;
use crate::domain::case_version;
use crate::domain::civil_register::{EntryFilter, RegisterEntry, entry_event, kind_number};
use crate::domain::delivery::Delivery;
use crate::error::Error;
use crate::operations::Events;
use crate::partners::Books;
use crate::sealing::{digest, is_digest_of};
use crate::store::{civil_register, deliveries};

/// Under this name the inbox knows what was applied, and the topic its subscription.
pub(crate) const CONSUMER: &str = "civil-register.entries";

/// Who acts.
const ACTOR: &str = "job:integration.civil-register";

/// The permission by which a caller sees what the register knows.
pub(super) const READ: &str = "integration.civil_register.read";

/// How many events are fetched at once.
const BATCH: u32 = 20;

/// When the registry is asked about an entry again after it failed.
const REGISTRY_FAILED: Duration = Duration::from_mins(5);

/// What a round of following did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowedBooks {
    /// Events that were dealt with: told, known already, or about what is not told.
    pub done: usize,
    /// Of these, events whose entry the registry does not show to this system.
    pub not_shown: usize,
    /// Events whose entry cannot be told, at least not now: they come again, and lie with the dead letters in the end.
    pub put_off: usize,
    /// Whether the registry is away: the round ended there.
    pub registry_away: bool,
}

/// Why an event is put off.
#[derive(Debug, thiserror::Error)]
enum PutOff {
    #[error(transparent)]
    Event(#[from] NotReadable),
    #[error("the civil registry: {0}")]
    Registry(Fault),
    #[error("the entry cannot be told: {0}")]
    NotTold(#[from] NotTold),
    #[error("unit {0} has no agency code today")]
    NoAgencyCode(i32),
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Partners {
    /// Applies what is due, at most one batch. Nothing while the topic is not there.
    ///
    /// Fetching an event is one of its attempts. Unless the registry is known to answer, it is asked first, for an entry that there cannot be.
    pub(crate) async fn follow_books(
        &self,
        events: &Events,
        books: &Books,
        registry_answers: bool,
    ) -> Result<FollowedBooks, Error> {
        let mut followed = FollowedBooks::default();
        if !registry_answers
            && let Err(fault) = Box::pin(books.registry.entry(Uuid::nil())).await
            && is_away(&fault)
        {
            tracing::warn!(reason = fault.reason(), error = ?fault, "the civil registry is away, its entries are not told to the register");
            followed.registry_away = true;
            return Ok(followed);
        }
        let Some(subscription) = events.own_feed(&books.topic, CONSUMER).await? else {
            return Ok(followed);
        };
        let due = events.fetch(&subscription, Batch::of(BATCH), Duration::ZERO).await?;
        for delivery in due {
            let token = delivery.token.clone();
            let (acknowledged, rejected) = match Box::pin(self.apply_entry(books, &delivery)).await {
                Ok(shown) => {
                    followed.done += 1;
                    if !shown {
                        followed.not_shown += 1;
                        tracing::debug!(event = delivery.event.id, "the civil registry does not show this entry");
                    }
                    (vec![token], vec![])
                }
                Err(why) => {
                    followed.put_off += 1;
                    let registry = match &why {
                        PutOff::Registry(fault) => Some(fault),
                        _ => None,
                    };
                    followed.registry_away = registry.is_some_and(is_away);
                    // Ids and codes only: the words of a dead letter are no secret.
                    tracing::warn!(event = delivery.event.id, %why, "an entry was not told to the civil-status register");
                    let rejection = Rejection {
                        token,
                        cause: why.to_string(),
                        retry_after: registry.map(|_| REGISTRY_FAILED),
                    };
                    (vec![], vec![rejection])
                }
            };
            events.settle_on(&subscription, &acknowledged, &rejected).await?;
            if followed.registry_away {
                // The rest of the batch was not tried: it is not rejected, and comes again when its time to be acknowledged is over.
                break;
            }
        }
        Ok(followed)
    }

    /// Applies one event; false if its entry is not shown to this system.
    async fn apply_entry(&self, books: &Books, delivery: &EventDelivery) -> Result<bool, PutOff> {
        let Some(said) = entry_event(&delivery.event)? else {
            return Ok(true);
        };
        let read = Box::pin(books.registry.entry(said.entry_id)).await;
        let read = read.map_err(PutOff::Registry)?;
        let Some(answer) = read else {
            return Ok(false);
        };
        if answer
            .entry
            .as_ref()
            .is_some_and(|entry| kind_of(entry.event()).is_none())
        {
            // The register is not told of it, whatever agency keeps its book.
            return Ok(true);
        }
        let unit_id = answer.entry.as_ref().map_or(said.unit_id, |entry| entry.unit_id);
        let agency = self.agency_of(unit_id).await?.ok_or(PutOff::NoAgencyCode(unit_id))?;
        let Some(told) = told_entry(&answer, &agency)? else {
            // Taken over from an old book: the register is not told of it.
            return Ok(true);
        };
        let register = connected(self.connections.civil_status.as_ref(), Partner::CivilStatusRegister)?;
        let event = delivery.event.dedupe();
        self.database
            .write_unkeyed(&RowScope::everything(), async |unit: &mut UnitOfWork<'_>| {
                if !unit.first_time(CONSUMER, event).await? {
                    return Ok(());
                }
                deliveries::lock_matter(unit.conn(), &told.entry.key).await?;
                let last = self.last_told(unit, &told.entry.key).await?;
                if last.is_some_and(|last| self.is_told_already(&last, &told)) {
                    return Ok(());
                }
                self.hand_in_entry(unit, unit_id, &told, ACTOR, &register.contract)
                    .await?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(true)
    }

    /// The agency code under which a commune keeps its books today.
    pub(super) async fn agency_of(&self, unit_id: i32) -> Result<Option<String>, Error> {
        let today = self.today();
        self.database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(civil_register::agency_code(connection, unit_id, today).await?)
            })
            .await
    }

    /// What was told of an entry last, under the lock of its matter.
    pub(super) async fn last_told(&self, unit: &mut UnitOfWork<'_>, key: &str) -> Result<Option<Delivery>, Error> {
        let partner = Partner::CivilStatusRegister.name();
        Ok(deliveries::last_of_matter(unit.conn(), partner, ENTER, key).await?)
    }

    /// Whether this state of an entry, or a later one, is what was told last.
    fn is_told_already(&self, last: &Delivery, told: &ToldEntry) -> bool {
        let version = case_version::of(&last.partner_key);
        if version == Some(told.entry.version) {
            let (keyring, bound) = (&self.connections.keyring, told_of(&last.order_key));
            is_digest_of(keyring, &last.content_digest, told.entry.digest().as_bytes(), &bound)
        } else {
            version > Some(told.entry.version)
        }
    }

    /// Hands in what the register is told of an entry, within a write that has locked the matter.
    pub(super) async fn hand_in_entry(
        &self,
        unit: &mut UnitOfWork<'_>,
        unit_id: i32,
        told: &ToldEntry,
        actor: &str,
        contract: &str,
    ) -> Result<Delivery, Error> {
        let entry = &told.entry;
        let plain = case_version::key(&entry.key, entry.version);
        let partner = Partner::CivilStatusRegister.name();
        // A state comes again when the register has lost it or holds it otherwise.
        let key = match deliveries::by_key(unit.conn(), partner, ENTER, &plain).await? {
            Some(_) => format!("{plain}#{}", unit.new_id()),
            None => plain,
        };
        let content_digest = digest(
            &self.connections.keyring,
            entry.digest().as_bytes(),
            &told_of(&entry.key),
        );
        let subjects: Vec<Uuid> = told.subjects.iter().filter_map(|id| Uuid::try_parse(id).ok()).collect();
        let message = Message::Enter {
            entry: Box::new(entry.clone()),
        };
        let new = NewDelivery {
            unit_id,
            partner_key: &key,
            order_key: &entry.key,
            message: &message,
            content_digest: &content_digest,
            subjects: subjects.clone(),
            actor,
        };
        let delivery = self.hand_in(unit, new, contract).await?;
        let entry_id = Uuid::try_parse(&entry.key).map_err(|error| Error::Unreadable(error.into()))?;
        let noted = civil_register::Told {
            entry_id,
            unit_id,
            kind: kind_number(entry.kind),
            year: entry.year,
            number: told.number,
            version: entry.version,
            digest: &content_digest,
            time: unit.now(),
            subjects: &subjects,
        };
        civil_register::told(unit.conn(), &noted).await?;
        Ok(delivery)
    }

    /// One page of what the register knows of entries that the caller sees, told last first.
    pub(crate) async fn list_register_entries(
        &self,
        caller: &Caller,
        filter: EntryFilter,
        page: Page<(Timestamp, Uuid)>,
    ) -> Result<(Vec<RegisterEntry>, String), Error> {
        let scope = caller.scope(READ);
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(civil_register::list_entries(connection, &scope, filter, after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| (row.told_time, row.entry_id))?)
    }
}

/// What the digest of such a content is bound to.
fn told_of(key: &str) -> Vec<u8> {
    format!("egov integration told entry {key}").into_bytes()
}
