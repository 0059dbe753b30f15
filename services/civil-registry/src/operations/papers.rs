//! IssuePaper, GetPaper, ListPapers, RevokePaper, VerifyPaper (giấy tờ hộ tịch).

use std::time::Duration;

use egov_auth::{Caller, ReadRecord, Resource, RowScope};
use egov_clock::{Clock as _, Ids as _};
use egov_database::{Event, Leaf, Page, UnitOfWork, violates};
use egov_fault::Fault;
use egov_transparency::leaf_hash;
use jiff::Timestamp;
use prost::Message;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::correct_entry::standing;
use super::disclosing::Guard;
use super::entries::subjects;
use super::personal_numbers;
use super::registration::deciding_of;
use super::{Actor, Asked, CivilRegistry, READ_ENTRIES};
use crate::domain::entry::{Details, Entry, printed_number};
use crate::domain::guarded::is_guarded_entry;
use crate::domain::paper::{
    CHECK_LETTERS, Form, IssuedPaper, KeptPaper, Office, PaperKind, Revocation, Source, amending, check_code, compose,
    is_same_code, title,
};
use crate::error::Error;
use crate::paper_error::PaperError;
use crate::press::NotPrinted;
use crate::store::{StoreError, annotations, entries, papers};

pub(crate) use crate::store::papers::PaperFilter;

/// The permission by which a caller sees which papers were issued.
const READ_PAPERS: &str = "civil_registry.papers.read";
const ISSUE: &str = "civil_registry.papers.issue";
const REVOKE: &str = "civil_registry.papers.revoke";
/// What tells of adoption, recognition or a change of sex is on paper what it is in the books: for whoever has this permission as well.
const READ_GUARDED: &str = "civil_registry.guarded.read";

/// Of events and leaves of papers.
pub(crate) const KIND: &str = "civil_paper";
/// Of leaves of revocations; their events are the paper's.
pub(crate) const REVOCATION_KIND: &str = "civil_paper_revocation";

/// How long GetPaper waits for the ledger to place what was just issued.
const PATIENCE: Duration = Duration::from_secs(2);

/// A paper as somebody wants to issue it.
pub(crate) struct WantedPaper {
    pub(crate) entry_id: Uuid,
    pub(crate) kind: PaperKind,
    pub(crate) is_copy: bool,
    pub(crate) copies: i32,
    pub(crate) recipient_name: String,
    pub(crate) recipient_paper: String,
    pub(crate) signer_name: String,
    pub(crate) signer_title: String,
    /// Empty if the title signs by itself.
    pub(crate) signer_authorisation: String,
}

/// A paper to print.
pub(crate) struct PrintedPaper {
    pub(crate) kept: KeptPaper,
    /// What its QR code says.
    pub(crate) qr: String,
    pub(crate) pdf: Vec<u8>,
}

/// Where a page of the list of papers begins: after this one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct AfterPaper {
    issue_time: Timestamp,
    paper_id: Uuid,
}

/// How a paper is named in a record of reading.
fn name(paper: &IssuedPaper) -> String {
    format!("civil_papers/{}", paper.paper_id)
}

impl CivilRegistry {
    /// Issues a paper of an entry as it stands today.
    pub(crate) async fn issue_paper<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedPaper,
        answer: impl FnOnce(&KeptPaper) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ_ENTRIES);
        let mut random = [0; CHECK_LETTERS];
        self.database.ids().random_bytes(&mut random);
        let check_code = check_code(random);
        let written = self
            .database
            .write(asked.write(caller, READ_ENTRIES), async |unit: &mut UnitOfWork<'_>| {
                let entry = entries::get(unit.conn(), wanted.entry_id, &scope)
                    .await?
                    .ok_or(Error::EntryNotFound)?;
                caller.require(ISSUE, &Resource::of_unit(entry.unit_id))?;
                if is_guarded_entry(&entry) {
                    caller.require(READ_GUARDED, &Resource::of_unit(entry.unit_id))?;
                }
                let today = unit.today();
                let rules = self.rules_of(today)?;
                let title = title(rules, entry.event, wanted.kind)
                    .ok_or(Error::Paper(PaperError::NotOfThisEntry(entry.event)))?;
                let signer = (&*wanted.signer_title, &*wanted.signer_authorisation);
                deciding_of(rules, entry.unit_id, false, signer).settled_by(&[])?;
                let commune = self.commune(entry.unit_id, today)?;
                let parent = commune.parent.and_then(|parent| self.directory.unit(parent));
                let office = Office {
                    parent: parent.map(|parent| parent.name).unwrap_or_default(),
                    commune: commune.name,
                };
                let corrected_by = entries::correcting(unit.conn(), entry.entry_id, &scope).await?;
                let number = personal_numbers::of_entry(unit, entry.entry_id, &scope).await?;
                // Giấy khai sinh bears the number: as long as it may still come there is no certificate without it.
                let awaited = number.as_ref().filter(|number| number.state.is_open());
                if let (Some(number), PaperKind::Certificate) = (awaited, wanted.kind) {
                    return Err(Error::Paper(PaperError::NumberAwaited {
                        is_connected: self.numbers.is_connected(),
                        problem: self.awaited_for(number),
                    }));
                }
                let stands = personal_numbers::with_number(standing(&entry, &corrected_by), number.as_ref());
                let noted = annotations::of_entry(unit.conn(), entry.entry_id, &scope).await?;
                let of_marriage = amending(&entry, &noted);
                let corrected = match &entry.content.details {
                    Details::Correction(correction) => {
                        self.corrected(unit, correction.corrected_entry_id, &scope).await?
                    }
                    _ => None,
                };
                let paper_id = unit.new_id();
                let form = compose(&Source {
                    paper_id,
                    check_code: &check_code,
                    title,
                    kind: wanted.kind,
                    is_copy: wanted.is_copy,
                    entry: &entry,
                    stands: &stands,
                    corrected: corrected.as_ref().map(|(entry, stands)| (entry, stands)),
                    annotations: &of_marriage,
                    office: &office,
                    rules,
                    ethnic_groups: &self.law.ethnic_groups,
                    signer_name: &wanted.signer_name,
                    signer_title: &wanted.signer_title,
                    issue_date: today,
                });
                let actor = Actor::from(caller);
                let amendments =
                    i32::try_from(corrected_by.len().saturating_add(of_marriage.len())).map_err(Fault::internal)?;
                let paper = IssuedPaper {
                    paper_id,
                    entry_id: entry.entry_id,
                    unit_id: entry.unit_id,
                    kind: wanted.kind,
                    is_copy: wanted.is_copy,
                    copies: wanted.copies,
                    title: title.to_owned(),
                    printed_number: printed_number(entry.number, entry.year),
                    content: serde_json::to_string(&form).map_err(Fault::internal)?,
                    amendments,
                    check_code,
                    recipient_name: wanted.recipient_name,
                    recipient_paper: wanted.recipient_paper,
                    signer_name: wanted.signer_name,
                    signer_title: wanted.signer_title,
                    signer_authorisation: wanted.signer_authorisation,
                    issue_date: today,
                    actor_id: actor.id,
                    actor_kind: actor.kind.to_owned(),
                    record_time: unit.now(),
                };
                papers::insert(unit.conn(), &paper).await?;
                unit.publish(Event {
                    aggregate_kind: KIND,
                    aggregate_id: paper_id,
                    version: 1,
                    kind: "civil_paper_issued",
                    payload: serde_json::json!({
                        "responsible_unit_id": paper.unit_id,
                        "entry_id": paper.entry_id,
                        "event": entry.event,
                        "kind": paper.kind,
                        "is_copy": paper.is_copy,
                        "copies": paper.copies,
                    }),
                });
                let canonical = serde_json::to_string(&paper).map_err(Fault::internal)?;
                unit.leaf(Leaf {
                    kind: KIND,
                    resource: paper_id,
                    version: 1,
                    canonical: canonical.as_bytes(),
                });
                let kept = KeptPaper {
                    paper,
                    event: entry.event,
                    subject_id: entry.subject_id,
                    amendments_now: amendments.into(),
                    revocation: None,
                };
                Ok::<_, Error>(answer(&kept))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// The entry that a correction corrects, as it stands now.
    async fn corrected(
        &self,
        unit: &mut UnitOfWork<'_>,
        entry_id: Uuid,
        scope: &RowScope,
    ) -> Result<Option<(Entry, Details)>, Error> {
        let Some(entry) = entries::get(unit.conn(), entry_id, scope).await? else {
            return Ok(None);
        };
        let corrected_by = entries::correcting(unit.conn(), entry_id, scope).await?;
        let stands = standing(&entry, &corrected_by);
        Ok(Some((entry, stands)))
    }

    /// An issued paper, printed: the same bytes each time. The read is recorded before it is given away.
    pub(crate) async fn get_paper(&self, caller: &Caller, paper_id: Uuid) -> Result<PrintedPaper, Error> {
        // Before anything is read, and recorded as read.
        if !self.prints.is_open() {
            return Err(Error::Paper(PaperError::NoPress));
        }
        let scope = caller.scope(READ_PAPERS);
        let (kept, entry, corrected_by, seal) = self
            .database
            .read(&scope, async |connection| {
                let kept = papers::get(&mut *connection, paper_id, &scope)
                    .await?
                    .ok_or(Error::Paper(PaperError::NotFound))?;
                let entry = entries::get(&mut *connection, kept.paper.entry_id, &scope)
                    .await?
                    .ok_or(Error::Paper(PaperError::NotFound))?;
                let corrected_by = entries::correcting(&mut *connection, entry.entry_id, &scope).await?;
                let seal = papers::seal(connection, paper_id, &scope).await?;
                Ok::<_, Error>((kept, entry, corrected_by, seal))
            })
            .await?;
        // A paper of before a change of sex tells of it beside the entry as it stands.
        if std::iter::once(&entry).chain(&corrected_by).any(is_guarded_entry) {
            caller.require(READ_GUARDED, &Resource::of_unit(entry.unit_id))?;
        }
        let qr = match seal {
            Some(seal) => seal,
            None => self.seal(&kept.paper, &scope).await?,
        };
        let read = subjects(&entry)
            .into_iter()
            .map(|person| (Some(person), name(&kept.paper)));
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        let mut form: Form = serde_json::from_str(&kept.paper.content).map_err(Fault::internal)?;
        form.qr.clone_from(&qr);
        let content = serde_json::to_vec(&form).map_err(Fault::internal)?;
        let pdf = self.prints.print(content).await.map_err(|failed| match failed {
            NotPrinted::NoPress => Error::Paper(PaperError::NoPress),
            NotPrinted::Fault(fault) => Fault::internal(fault).into(),
        })?;
        Ok(PrintedPaper { kept, qr, pdf })
    }

    /// The ledger's receipt of a paper, kept for good: of two who ask first both get what one of them kept.
    async fn seal(&self, paper: &IssuedPaper, scope: &RowScope) -> Result<String, Error> {
        let leaf = self
            .database
            .read(scope, async |connection| {
                papers::leaf(connection, KIND, paper.paper_id)
                    .await?
                    .ok_or(Error::Paper(PaperError::NotSealed))
            })
            .await?;
        let commitment: [u8; 32] = leaf
            .commitment
            .as_slice()
            .try_into()
            .map_err(|_| StoreError::Inconsistent {
                table: "egov.leaves",
                column: "commitment",
            })?;
        let hash = leaf_hash(
            KIND,
            paper.paper_id,
            u64::try_from(leaf.version).map_err(Fault::internal)?,
            commitment,
            leaf.create_time,
            u32::try_from(leaf.epoch).map_err(Fault::internal)?,
        )
        .map_err(Fault::internal)?;
        let receipt = self.log.receipt(&hash, PATIENCE).await.map_err(|error| match error {
            egov_transparency::Error::LeafNotFound | egov_transparency::Error::CheckpointNotFound => {
                Error::Paper(PaperError::NotSealed)
            }
            error => Fault::from(error).into(),
        })?;
        let text = receipt.to_text().map_err(Fault::internal)?;
        let (paper_id, unit_id) = (paper.paper_id, paper.unit_id);
        self.database
            .write_unkeyed(scope, async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                papers::keep_seal(unit.conn(), (paper_id, unit_id), &text, now).await?;
                papers::seal(unit.conn(), paper_id, scope)
                    .await?
                    .ok_or(Error::Paper(PaperError::NotSealed))
            })
            .await
    }

    /// One page of the papers that were issued, with one record of reading for the whole page.
    pub(crate) async fn list_papers(
        &self,
        caller: &Caller,
        wanted: PaperFilter,
        page: Page<AfterPaper>,
    ) -> Result<(Vec<KeptPaper>, String), Error> {
        let scope = caller.scope(READ_PAPERS);
        let guard = Guard::of(caller);
        let after = page.after().map(|after| (after.issue_time, after.paper_id));
        let limit = page.fetch();
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(papers::list(connection, (&scope, guard.rows()), wanted, after, limit).await?)
            })
            .await?;
        let (rows, next) = page.finish(rows, |kept: &KeptPaper| AfterPaper {
            issue_time: kept.paper.record_time,
            paper_id: kept.paper.paper_id,
        })?;
        let read = rows.iter().map(|kept| (Some(kept.subject_id), name(&kept.paper)));
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        Ok((rows, next))
    }

    /// Records that a paper does not count any more.
    pub(crate) async fn revoke_paper<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        paper_id: Uuid,
        (reason, basis_number): (String, String),
        answer: impl FnOnce(&KeptPaper) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ_PAPERS);
        let written = self
            .database
            .write(asked.write(caller, READ_PAPERS), async |unit: &mut UnitOfWork<'_>| {
                let mut kept = papers::get(unit.conn(), paper_id, &scope)
                    .await?
                    .ok_or(Error::Paper(PaperError::NotFound))?;
                caller.require(REVOKE, &Resource::of_unit(kept.paper.unit_id))?;
                let entry = entries::get(unit.conn(), kept.paper.entry_id, &scope).await?;
                if entry.as_ref().is_none_or(is_guarded_entry) {
                    caller.require(READ_GUARDED, &Resource::of_unit(kept.paper.unit_id))?;
                }
                let actor = Actor::from(caller);
                let revocation = Revocation {
                    paper_id,
                    unit_id: kept.paper.unit_id,
                    reason,
                    basis_number,
                    revoke_date: unit.today(),
                    actor_id: actor.id,
                    actor_kind: actor.kind.to_owned(),
                    record_time: unit.now(),
                };
                papers::revoke(unit.conn(), &revocation)
                    .await
                    .map_err(|error| match error {
                        StoreError::Sql(sql) if violates(&sql, "paper_revocations_once") => {
                            Error::Paper(PaperError::Revoked)
                        }
                        error => error.into(),
                    })?;
                unit.publish(Event {
                    aggregate_kind: KIND,
                    aggregate_id: paper_id,
                    version: 2,
                    kind: "civil_paper_revoked",
                    payload: serde_json::json!({
                        "responsible_unit_id": revocation.unit_id,
                        "entry_id": kept.paper.entry_id,
                    }),
                });
                let canonical = serde_json::to_string(&revocation).map_err(Fault::internal)?;
                unit.leaf(Leaf {
                    kind: REVOCATION_KIND,
                    resource: paper_id,
                    version: 1,
                    canonical: canonical.as_bytes(),
                });
                kept.revocation = Some(revocation);
                Ok::<_, Error>(answer(&kept))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// How a paper stands, for whoever holds it, and the name of the commune. No paper of this id looks like another check code.
    pub(crate) async fn verify_paper(&self, paper_id: Uuid, check_code: &str) -> Result<(KeptPaper, String), Error> {
        // The caller has no scope: what stands on the paper is the permission, and only this one paper is looked at.
        let everything = RowScope::everything();
        let kept = self
            .database
            .read(&everything, async |connection| {
                Ok::<_, Error>(papers::get(connection, paper_id, &everything).await?)
            })
            .await?
            .filter(|kept| is_same_code(&kept.paper.check_code, check_code))
            .ok_or(Error::Paper(PaperError::NotGenuine))?;
        let unit = self.directory.unit(kept.paper.unit_id);
        Ok((kept, unit.map(|unit| unit.name).unwrap_or_default()))
    }
}
