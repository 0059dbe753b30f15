//! Đối soát sổ hộ tịch với CSDL hộ tịch điện tử: a commune's books of a year against what the Ministry's register holds of them. First number and digest of a
//! book; where they differ, entry by entry. What differs is kept and, if it is wanted, mended by telling the entry again as it stands: our book is the source.
//! What only the register has is left to an officer.
//!
//! A run that is broken off begins anew: a difference is found once a run, and what was told again is under way then. Neither side is changed by comparing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use egov_auth::{Caller, Resource, RowScope};
use egov_clock::vietnam;
use egov_database::{Lease, Page, UnitOfWork, WriteRequest, stored_instant};
use egov_fault::Fault;
use egov_partners::Partner;
use egov_partners::civil_books::{BookName, Held, digest_of};
use egov_partners::civil_mapping::{ToldEntry, told_entry};
use egov_partners::civil_status::{CivilStatusRegister, RegistrationKind};
use egov_partners::outcome::CallError;
use egov_proto::egov::civil_registry::v1::EventKind;
use egov_proto::egov::integration::v1::{
    ReconcileRegisterRequest, ReconcileRegisterResponse, SettleRegisterDifferenceRequest,
    SettleRegisterDifferenceResponse,
};
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::follow_books::READ;
use super::register_changes::record;
use super::{Partners, connected};
use crate::domain::case_version;
use crate::domain::civil_register::{
    DIFFERENCE, DifferenceKind, RUN, RegisterDifference, RegisterRun, RegisterTally, kept_names, kind_number,
    of_difference, of_run,
};
use crate::domain::reconciliation::{DifferenceFilter, Handling, RunState};
use crate::error::Error;
use crate::partners::{Books, Connection};
use crate::store::{civil_register, deliveries, reconciliations};

const RECONCILE: &str = "integration.civil_register.reconcile";

const LEASE: &str = "integration.register-reconciliation";
const LEASE_TIME: Duration = Duration::from_mins(2);
/// Who acts when nobody calls.
const JOB: &str = "job:integration.register-reconciliation";
/// A run is begun again so long after it was begun without a word, or failed.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// After so many tries it is given up.
const MOST_ATTEMPTS: i32 = 12;
/// How many entries are read at once.
const AT_ONCE: usize = 8;
/// The kinds of books that the register is told of.
const KINDS: [(EventKind, RegistrationKind); 3] = [
    (EventKind::Birth, RegistrationKind::Birth),
    (EventKind::Marriage, RegistrationKind::Marriage),
    (EventKind::Death, RegistrationKind::Death),
];

/// What a round of the job did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReconciledBooks {
    /// Reconciliations that the job asked for by itself.
    pub queued: usize,
    /// Reconciliations that were done.
    pub done: usize,
    /// Those that could not be done, and are put off or given up.
    pub put_off: usize,
}

/// Why a run is put off.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error("the civil registry: {0}")]
    Registry(Fault),
    #[error("the register: {0}")]
    Register(#[from] CallError),
    #[error("the unit has no agency code today")]
    NoAgencyCode,
    #[error("the civil registry shows no {0:?} book of the year, of which entries were told")]
    BookNotShown(EventKind),
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Stuck {
    /// A word for the table and the contract.
    fn word(&self) -> &'static str {
        match self {
            Self::Registry(_) => "civil_registry_failed",
            Self::Register(error) => error.word(),
            Self::NoAgencyCode => "no_agency_code",
            Self::BookNotShown(_) => "book_not_shown",
            Self::Failed(_) => "failed",
        }
    }
}

impl From<Fault> for Stuck {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

/// With what a run compares.
struct Sides<'a> {
    run: &'a RegisterRun,
    books: &'a Books,
    register: &'a Connection<dyn CivilStatusRegister>,
    /// Under which the commune's books are kept today.
    agency: String,
    /// Every agency code that ever was the commune's: what was told before it got another stands under the former.
    agencies: Vec<String>,
}

/// What is found of an entry.
struct Found {
    key: String,
    entry_id: Option<Uuid>,
    number: String,
    kind: DifferenceKind,
    fields: Vec<String>,
    /// The register has a later version than our book: it keeps that whatever it is told.
    ahead: bool,
}

/// One of our books.
#[derive(Default)]
struct OurBook {
    /// The entries as they stand, as the register should hold them.
    told: BTreeMap<String, ToldEntry>,
    /// The keys of those that cannot be compared: not to be read, or not told.
    apart: BTreeSet<String>,
}

impl Partners {
    fn books(&self) -> Result<&Books, Error> {
        self.connections
            .books
            .as_deref()
            .ok_or(Error::CivilRegistryNotConfigured)
    }

    /// Asks for a reconciliation.
    pub(crate) async fn reconcile_register(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &ReconcileRegisterRequest,
        answer: impl FnOnce(&RegisterRun) -> ReconcileRegisterResponse + Send,
    ) -> Result<ReconcileRegisterResponse, Error> {
        connected(self.connections.civil_status.as_ref(), Partner::CivilStatusRegister)?;
        self.books()?;
        caller.require(RECONCILE, &Resource::of_unit(body.unit_id))?;
        let method = "egov.integration.v1.CivilRegisterService/ReconcileRegister";
        let request = WriteRequest::by(caller, RECONCILE, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let new = queued(unit, (body.unit_id, body.year), body.repair, None, &caller.key());
                civil_register::insert_run(unit.conn(), &new).await?;
                record_run(unit, &new, "register_reconciliation_queued").await?;
                unit.led_to(RUN, new.id, new.version);
                Ok::<_, Error>(answer(&new))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// A reconciliation that the caller sees.
    pub(crate) async fn get_register_reconciliation(&self, caller: &Caller, id: Uuid) -> Result<RegisterRun, Error> {
        let scope = caller.scope(READ);
        self.database
            .read(&scope, async |connection| {
                civil_register::run(connection, &scope, id)
                    .await?
                    .ok_or(Error::ReconciliationNotFound)
            })
            .await
    }

    /// One page of the differences that the caller sees, found last first.
    pub(crate) async fn list_register_differences(
        &self,
        caller: &Caller,
        filter: DifferenceFilter,
        page: Page<(Timestamp, Uuid)>,
    ) -> Result<(Vec<RegisterDifference>, String), Error> {
        let scope = caller.scope(READ);
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                let rows = civil_register::list_differences(connection, &scope, filter, after, limit).await?;
                Ok::<_, Error>(rows)
            })
            .await?;
        Ok(page.finish(rows, |row| (row.find_time, row.id))?)
    }

    /// Settles a difference by hand.
    pub(crate) async fn settle_register_difference(
        &self,
        caller: &Caller,
        request_id: Uuid,
        difference_id: Uuid,
        body: &SettleRegisterDifferenceRequest,
        answer: impl FnOnce(&RegisterDifference) -> SettleRegisterDifferenceResponse + Send,
    ) -> Result<SettleRegisterDifferenceResponse, Error> {
        let method = "egov.integration.v1.CivilRegisterService/SettleRegisterDifference";
        let request = WriteRequest::by(caller, READ, method, request_id, body);
        let scope = caller.scope(READ);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let mut difference = civil_register::difference(unit.conn(), &scope, difference_id)
                    .await?
                    .ok_or(Error::DifferenceNotFound)?;
                caller.require(RECONCILE, &Resource::of_unit(difference.unit_id))?;
                if difference.etag() != body.etag {
                    return Err(Error::StaleEtag);
                }
                difference.settle(&body.reason, &caller.key(), unit.now())?;
                civil_register::update_difference(unit.conn(), &difference).await?;
                record_difference(unit, &difference, "register_difference_settled").await?;
                unit.led_to(DIFFERENCE, difference.id, difference.version);
                Ok(answer(&difference))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// A round of the job: asks for the reconciliations whose turn it is and does what is due; none if another process is at it, or no books are read.
    pub(crate) async fn reconcile_books_round(&self) -> Result<Option<ReconciledBooks>, Error> {
        let (Some(books), Some(register)) = (self.connections.books.clone(), self.connections.civil_status.clone())
        else {
            return Ok(None);
        };
        let Some(mut lease) = self.database.acquire_lease(LEASE, LEASE_TIME).await? else {
            return Ok(None);
        };
        let mut reconciled = ReconciledBooks::default();
        let outcome = self
            .reconcile_due_books(&mut lease, (books.as_ref(), &register), &mut reconciled)
            .await;
        lease.release().await?;
        outcome.map(|()| Some(reconciled))
    }

    async fn reconcile_due_books(
        &self,
        lease: &mut Lease,
        (books, register): (&Books, &Connection<dyn CivilStatusRegister>),
        reconciled: &mut ReconciledBooks,
    ) -> Result<(), Error> {
        reconciled.queued = self.queue_own(lease, books).await?;
        loop {
            lease.renew().await?;
            let now = self.now();
            let due = self
                .database
                .read(&RowScope::everything(), async |connection| {
                    Ok::<_, Error>(civil_register::due_run(connection, now).await?)
                })
                .await?;
            let Some(mut run) = due else {
                return Ok(());
            };
            if run.attempts >= MOST_ATTEMPTS {
                // Each time whoever did it was gone before it could say how it ended.
                if run.problem.is_empty() {
                    "lost".clone_into(&mut run.problem);
                }
                run.state = RunState::Failed;
                run.end_time = Some(stored_instant(now));
                self.write_books_run(lease, &mut run, "register_reconciliation_failed")
                    .await?;
                reconciled.put_off += 1;
                continue;
            }
            run.attempts = run.attempts.saturating_add(1);
            run.due_time = now.checked_add(AGAIN).unwrap_or(Timestamp::MAX);
            self.write_books_run(lease, &mut run, "").await?;
            match Box::pin(self.compare_books(lease, (books, register), &run)).await {
                Ok(tally) => {
                    run.tally = tally;
                    run.state = RunState::Done;
                    run.problem.clear();
                    run.end_time = Some(stored_instant(self.now()));
                    self.write_books_run(lease, &mut run, "register_reconciled").await?;
                    reconciled.done += 1;
                }
                // Whoever has the lease by now does it.
                Err(Stuck::Failed(Error::Fault(fault))) if fault.reason() == "LEASE_LOST" => {
                    return Err(fault.into());
                }
                Err(why) => {
                    tracing::warn!(reconciliation = %run.id, %why, "a reconciliation with the civil-status register is put off");
                    why.word().clone_into(&mut run.problem);
                    let given_up = run.attempts >= MOST_ATTEMPTS;
                    if given_up {
                        run.state = RunState::Failed;
                        run.end_time = Some(stored_instant(self.now()));
                    }
                    let event = if given_up { "register_reconciliation_failed" } else { "" };
                    self.write_books_run(lease, &mut run, event).await?;
                    reconciled.put_off += 1;
                }
            }
        }
    }

    /// Asks for the reconciliations of the communes whose turn it is, when the hour has come: of this year's books, and in January also of last year's. A day
    /// has its share of the communes, those first that were compared longest ago, so that a turn that was missed is only late.
    async fn queue_own(&self, lease: &Lease, books: &Books) -> Result<usize, Error> {
        let settings = books.reconciling;
        let here = self.now().to_zoned(vietnam());
        let today = here.date();
        if settings.every_days == 0 || here.hour() < settings.hour {
            return Ok(0);
        }
        let every = i64::from(settings.every_days);
        // Whoever was asked for on that day or before is due again.
        let before = today
            .checked_sub(SignedDuration::from_hours(24 * every))
            .unwrap_or(Date::MIN);
        let year = i32::from(today.year());
        let years = if today.month() == 1 {
            vec![year - 1, year]
        } else {
            vec![year]
        };
        let mut asked = 0;
        for year in years {
            let units = self
                .database
                .read(&RowScope::everything(), async |connection| {
                    Ok::<_, Error>(civil_register::own_turn(connection, year, (today, before), every).await?)
                })
                .await?;
            for unit_id in units {
                asked += self
                    .database
                    .work(lease, async |unit: &mut UnitOfWork<'_>| {
                        let new = queued(unit, (unit_id, year), settings.repair, Some(today), JOB);
                        let is_new = civil_register::insert_run(unit.conn(), &new).await?;
                        if is_new {
                            record_run(unit, &new, "register_reconciliation_queued").await?;
                        }
                        Ok::<_, Error>(usize::from(is_new))
                    })
                    .await?;
            }
        }
        Ok(asked)
    }

    async fn write_books_run(&self, lease: &Lease, run: &mut RegisterRun, event: &'static str) -> Result<(), Error> {
        run.version = run.version.saturating_add(1);
        let run = &*run;
        self.database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                civil_register::update_run(unit.conn(), run).await?;
                record_run(unit, run, event).await
            })
            .await
    }

    /// Compares all books of a run.
    async fn compare_books(
        &self,
        lease: &mut Lease,
        (books, register): (&Books, &Connection<dyn CivilStatusRegister>),
        run: &RegisterRun,
    ) -> Result<RegisterTally, Stuck> {
        let agency = self.agency_of(run.unit_id).await?.ok_or(Stuck::NoAgencyCode)?;
        let agencies = self
            .database
            .read(&RowScope::everything(), async |connection| {
                let (first, last) = (date(1900, 1, 1), date(2999, 12, 31));
                Ok::<_, Error>(reconciliations::agency_codes(connection, run.unit_id, first, last).await?)
            })
            .await?;
        let sides = Sides {
            run,
            books,
            register,
            agency,
            agencies,
        };
        let mut tally = RegisterTally::default();
        for (event, kind) in KINDS {
            Box::pin(self.compare_book(lease, &sides, (event, kind), &mut tally)).await?;
        }
        tally.differing = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(civil_register::count_differences(connection, run.id).await?)
            })
            .await?;
        Ok(tally)
    }

    /// One of our books, read entry by entry.
    async fn our_book(
        &self,
        lease: &mut Lease,
        sides: &Sides<'_>,
        (event, kind): (EventKind, RegistrationKind),
    ) -> Result<OurBook, Stuck> {
        let registry = &sides.books.registry;
        let run = sides.run;
        let ids = registry
            .entry_ids(run.unit_id, event, run.year)
            .await
            .map_err(Stuck::Registry)?;
        let mut ours = OurBook::default();
        let Some(ids) = ids else {
            let book = (run.unit_id, kind_number(kind), run.year);
            let told = self
                .database
                .read(&RowScope::everything(), async |connection| {
                    Ok::<_, Error>(civil_register::is_told_of(connection, book).await?)
                })
                .await?;
            // A book that is not shown any more is no empty one.
            return if told {
                Err(Stuck::BookNotShown(event))
            } else {
                Ok(ours)
            };
        };
        for some in ids.chunks(AT_ONCE) {
            if lease.is_due() {
                lease.renew().await?;
            }
            let read = some.iter().map(|id| Box::pin(registry.entry(*id)));
            for (id, answer) in some.iter().zip(futures::future::join_all(read).await) {
                let Some(answer) = answer.map_err(Stuck::Registry)? else {
                    ours.apart.insert(id.to_string());
                    continue;
                };
                match told_entry(&answer, &sides.agency) {
                    Ok(Some(told)) => {
                        ours.told.insert(told.entry.key.clone(), told);
                    }
                    Ok(None) => {
                        ours.apart.insert(id.to_string());
                    }
                    Err(why) => {
                        ours.apart.insert(id.to_string());
                        tracing::warn!(reconciliation = %run.id, %why, "an entry cannot be told, and is not compared");
                    }
                }
            }
        }
        Ok(ours)
    }

    async fn compare_book(
        &self,
        lease: &mut Lease,
        sides: &Sides<'_>,
        (event, kind): (EventKind, RegistrationKind),
        tally: &mut RegisterTally,
    ) -> Result<(), Stuck> {
        let begun = stored_instant(self.now());
        let OurBook { told: ours, apart } = self.our_book(lease, sides, (event, kind)).await?;
        let asked_at = stored_instant(self.now());
        let mut theirs: BTreeMap<String, Held> = BTreeMap::new();
        for agency_code in &sides.agencies {
            let book = BookName {
                agency_code: agency_code.clone(),
                kind,
                year: sides.run.year,
            };
            let listed = sides.register.partner.list_book(&book).await?;
            theirs.extend(listed.entries.into_iter().map(|held| (held.key.clone(), held)));
        }
        let count = i32::try_from(ours.len()).unwrap_or(i32::MAX);
        tally.compared = tally.compared.saturating_add(count);
        let should: Vec<Held> = ours.values().map(|told| told.entry.held()).collect();
        if should.len() == theirs.len() && digest_of(&should) == digest_of(theirs.values()) {
            tally.equal = tally.equal.saturating_add(count);
            return Ok(());
        }
        for held in &should {
            if lease.is_due() {
                lease.renew().await?;
            }
            let Some(told) = ours.get(&held.key) else { continue };
            let there = theirs.get(&held.key);
            if there.is_some_and(|there| there.digest == held.digest) {
                tally.equal = tally.equal.saturating_add(1);
                continue;
            }
            let entry_id = Uuid::try_parse(&held.key).map_err(|error| Error::Unreadable(error.into()))?;
            let (kind, fields) = match there {
                None => (DifferenceKind::MissingThere, Vec::new()),
                Some(_) => {
                    let there = sides.register.partner.find_told(&held.key).await?;
                    // Gone, or told again, since it was listed: the next run says.
                    let fields = there.map(|there| told.entry.differing(&there)).unwrap_or_default();
                    (DifferenceKind::Different, kept_names(fields))
                }
            };
            let found = Found {
                key: held.key.clone(),
                entry_id: Some(entry_id),
                number: told.entry.number.clone(),
                kind,
                fields,
                ahead: there.is_some_and(|there| there.version > held.version),
            };
            if !self
                .keep_difference(lease, sides, told, found, (begun, asked_at))
                .await?
            {
                tally.waiting = tally.waiting.saturating_add(1);
            }
        }
        for (key, held) in &theirs {
            if ours.contains_key(key) || apart.contains(key) {
                continue;
            }
            if lease.is_due() {
                lease.renew().await?;
            }
            let found = Found {
                key: plain(key, 200),
                entry_id: None,
                number: plain(&held.number, 40),
                kind: DifferenceKind::MissingHere,
                fields: Vec::new(),
                ahead: false,
            };
            self.keep_missing_here(lease, sides, kind, found, begun).await?;
        }
        Ok(())
    }

    /// Keeps a difference of an entry of ours and, if it is wanted and can mend it, tells the entry again; false if it is none: the entry is on its way, or was
    /// told since. A later version than our book has now is one that was told since only if it was handed in after that began to be read: what was told before
    /// is of a book that was restored.
    async fn keep_difference(
        &self,
        lease: &Lease,
        sides: &Sides<'_>,
        told: &ToldEntry,
        found: Found,
        (begun, asked_at): (Timestamp, Timestamp),
    ) -> Result<bool, Stuck> {
        let run = sides.run;
        let kept = self
            .database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                deliveries::lock_matter(unit.conn(), &found.key).await?;
                let last = self.last_told(unit, &found.key).await?;
                if last.as_ref().is_some_and(|last| {
                    last.state.is_open()
                        || last.update_time > asked_at
                        || (case_version::of(&last.partner_key) > Some(told.entry.version) && last.create_time >= begun)
                }) {
                    return Ok::<_, Error>(false);
                }
                let tells = run.repair && !found.ahead;
                let mut difference = difference_of(unit, run, kind_number(told.entry.kind), found);
                if tells {
                    let contract = &sides.register.contract;
                    let delivery = self.hand_in_entry(unit, run.unit_id, told, JOB, contract).await?;
                    difference.handling = Handling::HandedIn;
                    difference.delivery_id = Some(delivery.id);
                } else if let Some(entry_id) = difference.entry_id {
                    civil_register::doubted(unit.conn(), entry_id).await?;
                }
                if civil_register::insert_difference(unit.conn(), &difference).await? {
                    record_difference(unit, &difference, "register_difference_found").await?;
                }
                Ok(true)
            })
            .await?;
        Ok(kept)
    }

    /// Keeps that only the register has an entry, unless it was told while both sides were read, or is another commune's, which has an agency code of this one
    /// by now.
    async fn keep_missing_here(
        &self,
        lease: &Lease,
        sides: &Sides<'_>,
        kind: RegistrationKind,
        found: Found,
        begun: Timestamp,
    ) -> Result<(), Stuck> {
        let run = sides.run;
        self.database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                if let Ok(entry_id) = Uuid::try_parse(&found.key) {
                    let told = civil_register::told_time(unit.conn(), entry_id).await?;
                    // It was entered after our side began to be read.
                    if told.is_some_and(|(told, unit_id)| told >= begun || unit_id != run.unit_id) {
                        return Ok::<_, Error>(());
                    }
                }
                let difference = difference_of(unit, run, kind_number(kind), found);
                if civil_register::insert_difference(unit.conn(), &difference).await? {
                    record_difference(unit, &difference, "register_difference_found").await?;
                }
                Ok(())
            })
            .await?;
        Ok(())
    }
}

/// What came from outside, as it is kept: so many letters at most.
fn plain(said: &str, most: usize) -> String {
    said.chars().filter(|letter| !letter.is_control()).take(most).collect()
}

fn queued(
    unit: &mut UnitOfWork<'_>,
    (unit_id, year): (i32, i32),
    repair: bool,
    own_day: Option<Date>,
    actor: &str,
) -> RegisterRun {
    RegisterRun {
        id: unit.new_id(),
        unit_id,
        year,
        repair,
        own_day,
        state: RunState::Queued,
        tally: RegisterTally::default(),
        attempts: 0,
        problem: String::new(),
        due_time: unit.now(),
        actor: actor.to_owned(),
        version: 1,
        create_time: unit.now(),
        end_time: None,
    }
}

fn difference_of(
    unit: &mut UnitOfWork<'_>,
    run: &RegisterRun,
    registration_kind: i16,
    found: Found,
) -> RegisterDifference {
    RegisterDifference {
        id: unit.new_id(),
        reconciliation_id: run.id,
        unit_id: run.unit_id,
        register_key: found.key,
        entry_id: found.entry_id,
        registration_kind,
        year: run.year,
        number: found.number,
        kind: found.kind,
        fields: found.fields,
        handling: Handling::Open,
        delivery_id: None,
        delivery_state: None,
        reason: String::new(),
        actor: JOB.to_owned(),
        version: 1,
        find_time: unit.now(),
        update_time: unit.now(),
    }
}

async fn record_run(unit: &mut UnitOfWork<'_>, run: &RegisterRun, event: &'static str) -> Result<(), Error> {
    let of = (run.id, run.version, run.unit_id);
    record(unit, RUN, of, of_run(run).to_string(), event).await
}

async fn record_difference(
    unit: &mut UnitOfWork<'_>,
    difference: &RegisterDifference,
    event: &'static str,
) -> Result<(), Error> {
    let of = (difference.id, difference.version, difference.unit_id);
    record(unit, DIFFERENCE, of, of_difference(difference).to_string(), event).await
}
