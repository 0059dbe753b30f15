//! Giao diện chuẩn cho các chương trình: messages in the envelope of SPDCI. One rule for all: a message is taken in once, answered once, by the caller
//! itself or by the job, and each time that its answer leaves is recorded.

use std::time::Duration;

use egov_auth::{Caller, ReadRecord, RowScope};
use egov_clock::Clock as _;
use egov_database::{Event, Lease, UnitOfWork, WriteRequest};
use egov_fault::{Code, Fault};
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::predicates::{Question, WantedAnswer};
use super::search_persons::{WantedName, WantedPerson};
use super::{Asked, CivilRegistry};
use crate::domain::programme::{
    self, AnswerRecord, Answered, Asks, MOST_PERSONS, Named, Outcome, PersonRecord, Query, Read, SearchItem,
};
use crate::error::Error;
use crate::store::programmes::{self as searches, KeptSearch, NewSearch, Reads};

/// The permission by which questions are answered.
const ASK: &str = "civil_registry.predicates.ask";
/// The permission by which a programme is told names and days of birth.
const READ: &str = "civil_registry.programmes.read";

const KIND: &str = "civil_programme_search";

const LEASE: &str = "civil_registry.programmes";
const LEASE_TIME: Duration = Duration::from_secs(15);
/// How often the job looks for messages that another process took in.
const LOOK: Duration = Duration::from_secs(1);
/// How long a message waits that could not be answered.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// How long a message and its answer are kept: seven days.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How often old ones are deleted.
const SWEEP: SignedDuration = SignedDuration::from_hours(1);

/// A message that is to be taken in.
pub(crate) struct WantedSearch {
    pub(crate) transaction_id: String,
    pub(crate) items: Vec<SearchItem>,
    /// Whether its answer is waited for.
    pub(crate) is_sync: bool,
}

/// Which message a system asks about.
pub(crate) enum WhichSearch {
    Correlation(Uuid),
    /// The newest of a transaction of its own.
    Transaction(String),
}

/// The rows of the system that calls.
fn own(caller: &Caller) -> RowScope {
    RowScope {
        owner: Some(caller.principal.subject),
        ..RowScope::default()
    }
}

/// Where a message may read persons, by the rights of its sender when it came.
fn readable(kept: &KeptSearch) -> RowScope {
    RowScope {
        all: kept.read_all,
        units: kept.read_units.clone(),
        ..RowScope::default()
    }
}

impl CivilRegistry {
    /// Takes a message in, once; a message that is to be answered at once is answered. The same message again is the one that was taken in.
    pub(crate) async fn search_for_programme<M: Message>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedSearch,
    ) -> Result<KeptSearch, Error> {
        let (owner_id, purpose) = (caller.principal.subject, caller.purpose.as_deref().unwrap_or_default());
        let rows = caller.scope(READ);
        let write = WriteRequest::keyed(caller.key(), own(caller), asked.method, asked.request_id, asked.body);
        let written = self
            .database
            .write(write, async |unit: &mut UnitOfWork<'_>| {
                let search = NewSearch {
                    correlation_id: unit.new_id(),
                    owner_id,
                    transaction_id: &wanted.transaction_id,
                    is_sync: wanted.is_sync,
                    purpose,
                    may_ask: caller.admit(ASK).is_ok(),
                    read_all: rows.all,
                    read_units: &rows.units,
                    items: &wanted.items,
                    record_time: unit.now(),
                };
                searches::add(unit.conn(), &search).await?;
                unit.led_to(KIND, search.correlation_id, 1);
                Ok::<String, Error>(search.correlation_id.to_string())
            })
            .await?;
        let taken = Uuid::try_parse(&written.into_answer()).map_err(Fault::internal)?;
        let kept = self.kept(caller, taken).await?;
        if !wanted.is_sync {
            self.searches_wait.notify_one();
            return kept.ok_or(Error::SearchForgotten);
        }
        let kept = kept.ok_or(Error::SearchForgotten)?;
        if kept.answer.is_none() {
            let (answered, reads) = Box::pin(self.perform(&kept)).await?;
            self.database
                .write_unkeyed(&own(caller), async |unit: &mut UnitOfWork<'_>| {
                    let now = unit.now();
                    // Of two who answer the same message at the same moment the first one's answer is both's.
                    searches::answer(unit.conn(), taken, (&answered, &reads), now).await?;
                    Ok::<_, Error>(())
                })
                .await?;
        }
        let kept = self.kept(caller, taken).await?.ok_or(Error::SearchForgotten)?;
        self.hand_out(caller, kept).await
    }

    /// A message of the caller's own with its answer, if it has one. None if there is no such message.
    pub(crate) async fn programme_search(
        &self,
        caller: &Caller,
        which: &WhichSearch,
    ) -> Result<Option<KeptSearch>, Error> {
        let correlation_id = match which {
            WhichSearch::Correlation(id) => Some(*id),
            WhichSearch::Transaction(id) => {
                self.database
                    .read(&own(caller), async |connection| {
                        Ok::<_, Error>(searches::newest_of(connection, caller.principal.subject, id).await?)
                    })
                    .await?
            }
        };
        let Some(correlation_id) = correlation_id else {
            return Ok(None);
        };
        match self.kept(caller, correlation_id).await? {
            Some(kept) => Ok(Some(self.hand_out(caller, kept).await?)),
            None => Ok(None),
        }
    }

    async fn kept(&self, caller: &Caller, correlation_id: Uuid) -> Result<Option<KeptSearch>, Error> {
        self.database
            .read(&own(caller), async |connection| {
                Ok::<_, Error>(searches::of_owner(connection, caller.principal.subject, correlation_id).await?)
            })
            .await
    }

    /// Records that an answer leaves, for the purpose for which it was asked. Rights that the caller has lost since hold back what was found by them.
    async fn hand_out(&self, caller: &Caller, mut kept: KeptSearch) -> Result<KeptSearch, Error> {
        let is_same_purpose = caller.purpose.as_deref() == Some(kept.purpose.as_str());
        // Whoever reads less than then is not handed what was found beyond it.
        let (now, then) = (caller.scope(READ), readable(&kept));
        let still_reads =
            now.all || (!then.all && !then.units.is_empty() && then.units.iter().all(|unit| now.units.contains(unit)));
        let Some((answered, reads, _)) = &mut kept.answer else {
            return Ok(kept);
        };
        let (may_ask, may_read) = (caller.admit(ASK).is_ok(), still_reads);
        for one in answered.iter_mut() {
            let lacks = match &one.outcome {
                Outcome::Persons { .. } if !may_read => Some(READ),
                Outcome::Answers(_) if !may_ask => Some(ASK),
                _ => None,
            };
            if let Some(permission) = lacks {
                one.outcome = Outcome::not_permitted(permission);
            } else if !is_same_purpose {
                one.outcome = Outcome::other_purpose();
            }
        }
        let leaves = answered
            .iter()
            .any(|one| !matches!(one.outcome, Outcome::Refused { .. }));
        if leaves || !reads.is_empty() {
            self.reads
                .record(ReadRecord::of_each(caller, reads.clone(), self.clock.now()))
                .await?;
        }
        Ok(kept)
    }

    /// Answers the requests of a message, each by the rules of AskPredicate or SearchPersons.
    async fn perform(&self, kept: &KeptSearch) -> Result<(Vec<Answered>, Reads), Error> {
        let repeated = programme::repeated(&kept.items);
        let (mut answered, mut reads) = (Vec::new(), Reads::new());
        for (place, item) in kept.items.iter().enumerate() {
            let outcome = match item.read(&kept.purpose) {
                Err(flaws) => Outcome::refused(&flaws),
                Ok(_) if repeated.contains(&place) => Outcome::repeated(),
                Ok(read) => match Box::pin(self.answer_item(kept, &read)).await {
                    Ok((outcome, read)) => {
                        reads.extend(read);
                        outcome
                    }
                    Err(error) => {
                        let fault = Fault::from(error);
                        // What can be told is the answer; anything else is a failure of ours, and the message is tried again.
                        if !matches!(fault.code(), Code::FailedPrecondition | Code::InvalidArgument) {
                            return Err(fault.into());
                        }
                        Outcome::because(fault.vi(), fault.en())
                    }
                },
            };
            answered.push(item.answered(outcome));
        }
        Ok((answered, reads))
    }

    async fn answer_item(&self, kept: &KeptSearch, read: &Read) -> Result<(Outcome, Reads), Error> {
        let scope = readable(kept);
        let (name, personal_number) = match &read.query {
            Query::Asked(_) if !kept.may_ask => return Ok((Outcome::not_permitted(ASK), Reads::new())),
            Query::Asked(asked) => return self.answer_questions(asked, &read.legal_basis).await,
            _ if scope.is_none() => return Ok((Outcome::not_permitted(READ), Reads::new())),
            Query::Numbered(number) => (None, Some(number)),
            Query::Named(named) => (Some(named), named.personal_number.as_ref()),
        };
        let wanted = WantedPerson {
            name: name.map(|named| WantedName {
                words: named.words.clone(),
                birth_year: named.birth_year,
            }),
            personal_number: personal_number.cloned(),
        };
        let most = i64::try_from(MOST_PERSONS).unwrap_or(i64::MAX);
        let found = self.find_persons(&wanted, &scope, (Uuid::nil(), most + 1)).await?;
        if found.len() > MOST_PERSONS {
            // That there are so many is told too.
            let asked = (None, format!("legal_bases/{}", read.legal_basis));
            return Ok((Outcome::too_many(), vec![asked]));
        }
        let held: Vec<_> = found
            .into_iter()
            .filter(|one| name.is_none_or(|named: &Named| named.holds(one.born)))
            .collect();
        let total = i32::try_from(held.len()).unwrap_or(i32::MAX);
        let size = usize::try_from(read.page_size).unwrap_or_default();
        let before = usize::try_from(read.page_number - 1).unwrap_or_default() * size;
        let persons: Vec<PersonRecord> = held
            .into_iter()
            .skip(before)
            .take(size)
            .map(|one| PersonRecord {
                person_id: one.person_id,
                personal_number: personal_number.map(|number| number.reveal().to_owned()),
                name: one.full_name,
                born: one.born,
            })
            .collect();
        let mut reads: Reads = persons
            .iter()
            .flat_map(|one| {
                [
                    (Some(one.person_id), format!("civil_persons/{}", one.person_id)),
                    (Some(one.person_id), format!("legal_bases/{}", read.legal_basis)),
                ]
            })
            .collect();
        if reads.is_empty() {
            // Nobody was found; the supervisor sees that somebody looked.
            reads.push((None, format!("legal_bases/{}", read.legal_basis)));
        }
        let outcome = Outcome::Persons {
            persons,
            page_size: read.page_size,
            page_number: read.page_number,
            total,
        };
        Ok((outcome, reads))
    }

    async fn answer_questions(&self, asked: &[programme::Asked], legal_basis: &str) -> Result<(Outcome, Reads), Error> {
        let (mut answers, mut reads) = (Vec::new(), Reads::new());
        for one in asked {
            let wanted = WantedAnswer {
                personal_number: one.person.clone(),
                question: match &one.asks {
                    Asks::Alive => Question::Alive,
                    Asks::Married => Question::Married,
                    Asks::AtLeastAge(age) => Question::AtLeastAge(*age),
                    Asks::ParentOf(child) => Question::ParentOf(child.clone()),
                },
                valid_on: self.clock.today(),
                legal_basis: legal_basis.to_owned(),
            };
            let (answer, read) = self.answer_question(&wanted).await?;
            reads.extend(read);
            answers.push(AnswerRecord {
                seq_num: one.seq_num,
                attribute: one.attribute.to_owned(),
                answer: one.word(answer).to_owned(),
            });
        }
        Ok((Outcome::Answers(answers), reads))
    }

    /// Answers messages that nobody waits for, until `stop`. One process at a time does it; what it leaves behind the next one does.
    pub(crate) async fn answer_searches(&self, stop: CancellationToken) -> Result<(), Fault> {
        let mut swept: Option<Timestamp> = None;
        while !stop.is_cancelled() {
            let now = self.clock.now();
            let sweeps = swept.is_none_or(|at| SWEEP <= now.duration_since(at));
            let is_needed = sweeps || self.due_search().await?.is_some();
            if is_needed && let Some(mut lease) = self.database.acquire_lease(LEASE, LEASE_TIME).await? {
                while !stop.is_cancelled() && self.answer_next(&mut lease).await? {
                    if lease.is_due() {
                        lease.renew().await?;
                    }
                }
                if sweeps {
                    self.forget_searches(&lease, now).await?;
                    swept = Some(now);
                }
                lease.release().await?;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.searches_wait.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        Ok(())
    }

    /// The message that waits longest.
    async fn due_search(&self) -> Result<Option<KeptSearch>, Fault> {
        let now = self.clock.now();
        let due = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(searches::due(connection, now).await?)
            })
            .await?;
        Ok(due)
    }

    /// Deletes messages and answers that are old.
    async fn forget_searches(&self, lease: &Lease, now: Timestamp) -> Result<(), Fault> {
        let before = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        self.database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                Ok::<_, Error>(searches::forget(unit.conn(), before).await?)
            })
            .await?;
        Ok(())
    }

    /// Answers the message that waits longest. Whether there was one.
    async fn answer_next(&self, lease: &mut Lease) -> Result<bool, Fault> {
        let Some(kept) = self.due_search().await? else {
            return Ok(false);
        };
        let id = kept.correlation_id;
        let mut performing = Box::pin(self.perform(&kept));
        let performed = loop {
            tokio::select! {
                performed = &mut performing => break performed,
                // A message may ask for more than is answered while the lease lasts.
                () = tokio::time::sleep(LEASE_TIME / 3) => lease.renew().await?,
            }
        };
        drop(performing);
        match performed {
            Ok((answered, reads)) => {
                self.database
                    .work(lease, async |unit: &mut UnitOfWork<'_>| {
                        let now = unit.now();
                        if searches::answer(unit.conn(), id, (&answered, &reads), now).await? {
                            unit.publish(Event {
                                aggregate_kind: KIND,
                                aggregate_id: id,
                                version: 1,
                                kind: "civil_programme_search_answered",
                                payload: serde_json::json!({ "correlation_id": id }),
                            });
                        }
                        Ok::<_, Error>(())
                    })
                    .await?;
            }
            Err(error) => {
                let fault = Fault::from(error);
                let now = self.clock.now();
                let until = now.checked_add(PAUSE).unwrap_or(now);
                self.database
                    .work(lease, async |unit: &mut UnitOfWork<'_>| {
                        Ok::<_, Error>(searches::put_off(unit.conn(), id, until).await?)
                    })
                    .await?;
                tracing::warn!(reason = fault.reason(), correlation_id = %id, "a programme's search is tried again");
            }
        }
        Ok(true)
    }
}
