//! Số hoá sổ hộ tịch cũ: CreateOldBook, ImportOldEntries, GetOldBook, ListOldPages, ListOldDifferences, CheckPage, SettleDifference. AcceptPage stands
//! in `accept_old_page.rs`.
//!
//! A piece of a file is one transaction: its lines, its pages, how far the file came. Whoever is cut off sends the piece again: the same request has the
//! same answer, and the same line is kept once whatever brings it. What was keyed is a draft; what makes it an entry is the acceptance of its page.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aws_lc_rs::digest;
use egov_auth::{Caller, ReadRecord, Resource, RowScope};
use egov_clock::{Clock as _, Ids as _};
use egov_database::{Event, Leaf, Page as Listed, UnitOfWork, violates};
use egov_fault::Fault;
use jiff::civil::Date;
use prost::Message;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::keep;
use super::{Actor, Asked, CivilRegistry};
use crate::domain::book::{Book, BookState, EventKind};
use crate::domain::finding::Violation;
use crate::domain::old_book::PageRefused;
use crate::domain::old_book::lines::Line;
use crate::domain::old_book::read::{OldEntry, read};
use crate::domain::old_book::{
    Choice, Difference, Keyed, Keying, OldBook, Page, PageState, Settlement, differences, keyed,
};
use crate::domain::person::EthnicGroups;
use crate::error::Error;
use crate::old_book_error::OldBookError;
use crate::store::StoreError;
use crate::store::books;
use crate::store::old_books::{self, KeyedFile, NewLine, PageLines};

const KEY: &str = "civil_registry.digitisation.key";
/// The permission by which a caller sees an old book at all.
pub(super) const READ: &str = "civil_registry.digitisation.read";

/// Of leaves of old books.
pub(crate) const KIND: &str = "civil_old_book";
/// Of events and leaves of pieces of files.
pub(crate) const PIECE_KIND: &str = "civil_old_piece";
/// Of events and leaves of acts on pages.
pub(crate) const PAGE_KIND: &str = "civil_old_page";

/// An old book as somebody wants to begin it.
pub(crate) struct WantedOldBook {
    pub(crate) unit_id: i32,
    pub(crate) event: EventKind,
    pub(crate) year: i16,
    pub(crate) kept_by: String,
    pub(crate) label: String,
}

/// A piece of a file.
pub(crate) struct WantedPiece {
    pub(crate) book_id: Uuid,
    pub(crate) import_id: Uuid,
    pub(crate) keying: Keying,
    pub(crate) first_line: i64,
    pub(crate) lines: Vec<Line>,
    pub(crate) dry_run: bool,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineOutcome {
    Entered,
    Already,
    Refused,
}

impl LineOutcome {
    /// Its code in the contract.
    pub(crate) const fn code(self) -> i32 {
        match self {
            Self::Entered => 1,
            Self::Already => 2,
            Self::Refused => 3,
        }
    }
}

/// The report of a line.
pub(crate) struct LineReport {
    pub(crate) line: i64,
    pub(crate) outcome: LineOutcome,
    pub(crate) violations: Vec<Violation>,
}

/// The report of a piece.
pub(crate) struct PieceReport {
    pub(crate) position: i64,
    pub(crate) lines: Vec<LineReport>,
}

/// How far an old book is.
pub(crate) struct ShownOldBook {
    pub(crate) book: OldBook,
    pub(crate) pages: Vec<(PageState, i64)>,
    /// The numbers that stand in it, ascending, each with how often.
    pub(crate) numbers: Vec<(i32, i64)>,
}

/// What was keyed of a page.
pub(crate) struct ShownOldPage {
    pub(crate) page: Page,
    pub(crate) first: Vec<Keyed>,
    pub(crate) second: Vec<Keyed>,
    pub(crate) differences: Vec<Difference>,
}

/// A decision as somebody wants to take it.
pub(crate) struct WantedSettlement {
    pub(crate) page_id: Uuid,
    pub(crate) settlement: Settlement,
}

/// A piece that was judged: what is to be written of it.
struct JudgedPiece {
    book: OldBook,
    import: KeyedFile,
    report: PieceReport,
    new_pages: Vec<Page>,
    /// Every page on which a line is to be kept.
    touched: BTreeMap<Uuid, Page>,
    lines: Vec<NewLine>,
}

/// Pages by volume and page as they are written.
type PagesByPlace = BTreeMap<(String, String), Page>;

/// A line that could be read.
struct Candidate {
    entry: OldEntry,
    content: String,
    digest: Vec<u8>,
}

/// What the ledger commits to of an act on a page.
#[derive(Serialize)]
struct PageAct<'a> {
    #[serde(flatten)]
    page: &'a Page,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<&'a Settlement>,
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// What the ledger commits to of an old book: all that its row says.
pub(crate) fn canonical(book: &OldBook) -> Result<String, Error> {
    Ok(serde_json::to_string(book).map_err(Fault::internal)?)
}

fn refused(line: i64, violations: Vec<Violation>) -> LineReport {
    LineReport {
        line,
        outcome: LineOutcome::Refused,
        violations,
    }
}

/// A line as it is kept, or everything that is wrong with it.
fn read_line(
    book: &OldBook,
    line: &Line,
    groups: &EthnicGroups,
    today: Date,
) -> Result<Result<Candidate, Vec<Violation>>, Error> {
    let columns = match &line.columns {
        Ok(columns) => columns,
        Err(violation) => return Ok(Err(vec![violation.clone()])),
    };
    let entry = match read(book, columns, groups, today) {
        Ok(entry) => entry,
        Err(violations) => return Ok(Err(violations)),
    };
    let content = serde_json::to_string(columns).map_err(Fault::internal)?;
    let digest = sha256(content.as_bytes());
    Ok(Ok(Candidate { entry, content, digest }))
}

/// What stands in the way of keying a line of this page, which may be a new one.
fn keying_refused(page: Option<&Page>, keying: Keying, officer: Uuid) -> Option<Violation> {
    match (page, keying) {
        (Some(page), _) => page.keying_refused(keying, officer),
        (None, Keying::First) => None,
        (None, Keying::Second) => Some(Violation::of_shape(
            "page_not_keyed",
            "trangSo",
            "trang chưa được nhập lần một",
            "nobody keyed this page first",
        )),
    }
}

/// How many differences of a page nobody settled.
fn unsettled(lines: PageLines, settled: &[Settlement]) -> usize {
    differences(&keyed(lines.first), &keyed(lines.second), settled)
        .iter()
        .filter(|difference| difference.settled.is_none())
        .count()
}

/// The page, alone with it and its book until the transaction ends, if the caller may do this to it.
pub(super) async fn held_page(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    page_id: Uuid,
    permission: &str,
) -> Result<Page, Error> {
    let scope = caller.scope(READ);
    let found = old_books::page(unit.conn(), page_id, &scope)
        .await?
        .ok_or(OldBookError::PageNotFound)?;
    caller.require(permission, &Resource::of_unit(found.unit_id))?;
    old_books::take_turn(unit.conn(), found.book_id).await?;
    // As it is now: somebody may have been waited for.
    let page = old_books::page(unit.conn(), page_id, &scope).await?;
    Ok(page.ok_or(OldBookError::PageNotFound)?)
}

/// State, history, event and leaf of an act on a page.
pub(super) async fn keep_page(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    page: &Page,
    (act, announced): (&str, &'static str),
    settled: Option<&Settlement>,
) -> Result<(), Error> {
    let content = serde_json::to_string(&PageAct { page, settled }).map_err(Fault::internal)?;
    let (actor, now) = (Actor::from(caller), unit.now());
    old_books::save_page(unit.conn(), page).await?;
    old_books::append_act(unit.conn(), page, (act, &content), (actor.id, actor.kind), now).await?;
    unit.publish(Event {
        aggregate_kind: PAGE_KIND,
        aggregate_id: page.page_id,
        version: page.version,
        kind: announced,
        payload: serde_json::json!({
            "responsible_unit_id": page.unit_id,
            "book_id": page.book_id,
            "state": page.state,
        }),
    });
    unit.leaf(Leaf {
        kind: PAGE_KIND,
        resource: page.page_id,
        version: page.version,
        canonical: content.as_bytes(),
    });
    Ok(())
}

impl CivilRegistry {
    /// Begins an old book.
    pub(crate) async fn create_old_book<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedOldBook,
        answer: impl FnOnce(&OldBook) -> R + Send,
    ) -> Result<R, Error> {
        caller.require(KEY, &Resource::of_unit(wanted.unit_id))?;
        self.commune(wanted.unit_id, self.clock.today())?;
        let written = self
            .database
            .write(asked.write(caller, READ), async |unit: &mut UnitOfWork<'_>| {
                let today = unit.today();
                if wanted.year > today.year() {
                    let later = Violation::of_shape(
                        "year",
                        "year",
                        "không được sau năm nay",
                        "must not be after the present year",
                    );
                    return Err(Error::from(vec![later]));
                }
                let book = Book {
                    book_id: unit.new_id(),
                    unit_id: wanted.unit_id,
                    event: wanted.event,
                    year: wanted.year,
                    state: BookState::Digitised,
                    open_date: today,
                    close_date: None,
                    // It is bound as it is: its entries keep their volumes and pages.
                    pages_per_volume: 1,
                    entries_per_page: 1,
                    certified: None,
                    version: 1,
                };
                books::insert(unit.conn(), &book).await?;
                keep(unit, caller, &book, "digitise", "civil_book_digitised").await?;
                let old = OldBook {
                    book_id: book.book_id,
                    unit_id: book.unit_id,
                    event: book.event,
                    year: book.year,
                    kept_by: wanted.kept_by,
                    label: wanted.label,
                };
                let (actor, now) = (Actor::from(caller), unit.now());
                old_books::insert(unit.conn(), &old, (actor.id, actor.kind), now)
                    .await
                    .map_err(|error| match error {
                        StoreError::Sql(sql) if violates(&sql, "old_books_once") => Error::from(OldBookError::Exists),
                        error => Error::from(error),
                    })?;
                let content = canonical(&old)?;
                unit.leaf(Leaf {
                    kind: KIND,
                    resource: old.book_id,
                    version: 1,
                    canonical: content.as_bytes(),
                });
                Ok::<_, Error>(answer(&old))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Takes a piece of a file; in a dry run it is judged and nothing is kept, neither the request.
    pub(crate) async fn import_old_entries<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedPiece,
        answer: impl FnOnce(&PieceReport) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ);
        if wanted.dry_run {
            let judged = self
                .database
                .read(&scope, async |connection| {
                    self.judge_piece(connection, caller, &scope, &wanted).await
                })
                .await?;
            return Ok(answer(&judged.report));
        }
        let written = self
            .database
            .write(asked.write(caller, READ), async |unit: &mut UnitOfWork<'_>| {
                old_books::take_turn(unit.conn(), wanted.book_id).await?;
                let mut judged = self.judge_piece(unit.conn(), caller, &scope, &wanted).await?;
                let last = wanted.lines.last().map_or(0, |line| line.number);
                judged.import.position = judged.import.position.max(last);
                judged.report.position = judged.import.position;
                write_piece(unit, caller, &scope, &judged).await?;
                Ok::<_, Error>(answer(&judged.report))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Reads and judges each line of a piece, by itself and by what is kept.
    async fn judge_piece(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
        scope: &RowScope,
        wanted: &WantedPiece,
    ) -> Result<JudgedPiece, Error> {
        let book = old_books::get(&mut *connection, wanted.book_id, scope)
            .await?
            .ok_or(Error::BookNotFound)?;
        caller.require(KEY, &Resource::of_unit(book.unit_id))?;
        let officer = caller.principal.subject;
        let begun = KeyedFile {
            import_id: wanted.import_id,
            book_id: wanted.book_id,
            keying: wanted.keying.code(),
            actor_id: officer,
            position: 0,
        };
        let import = old_books::import(&mut *connection, wanted.import_id, scope)
            .await?
            .unwrap_or(begun);
        let is_theirs =
            (import.book_id, import.keying, import.actor_id) == (begun.book_id, begun.keying, begun.actor_id);
        // In a dry run no piece is kept on which the next one could follow.
        let leaves_out = !wanted.dry_run && wanted.first_line > import.position + 1;
        if !is_theirs || leaves_out {
            return Err(OldBookError::Position(import.position).into());
        }
        let (today, groups) = (self.clock.today(), &self.law.ethnic_groups);
        let mut candidates = Vec::with_capacity(wanted.lines.len());
        let (mut digests, mut places) = (Vec::new(), BTreeSet::new());
        for line in &wanted.lines {
            let candidate = read_line(&book, line, groups, today)?;
            if let Ok(Candidate { entry, digest, .. }) = &candidate {
                digests.push(digest.clone());
                places.insert((entry.volume_written.clone(), entry.page_written.clone()));
            }
            candidates.push((line.number, candidate));
        }
        let (volumes, numbers): (Vec<String>, Vec<String>) = places.into_iter().unzip();
        let mut kept = old_books::kept(&mut *connection, (book.book_id, wanted.keying), &digests, scope).await?;
        let found = old_books::pages_of(connection, book.book_id, (&volumes, &numbers), scope).await?;
        let mut pages: PagesByPlace = found
            .into_iter()
            .map(|page| ((page.volume.clone(), page.page.clone()), page))
            .collect();
        let mut judged = JudgedPiece {
            report: PieceReport {
                position: import.position,
                lines: Vec::with_capacity(candidates.len()),
            },
            import,
            new_pages: Vec::new(),
            touched: BTreeMap::new(),
            lines: Vec::new(),
            book,
        };
        for (line, candidate) in candidates {
            let report = match candidate {
                Err(violations) => refused(line, violations),
                Ok(candidate) => self.judge_line(&mut judged, (&mut pages, &mut kept), line, candidate),
            };
            judged.report.lines.push(report);
        }
        Ok(judged)
    }

    /// Judges a line that could be read by what is kept, and puts it with what is to be written.
    fn judge_line(
        &self,
        judged: &mut JudgedPiece,
        (pages, kept): (&mut PagesByPlace, &mut HashSet<Vec<u8>>),
        line: i64,
        candidate: Candidate,
    ) -> LineReport {
        let Candidate { entry, content, digest } = candidate;
        let reported = |outcome| LineReport {
            line,
            outcome,
            violations: Vec::new(),
        };
        if kept.contains(&digest) {
            return reported(LineOutcome::Already);
        }
        // What was begun was begun with a known keying.
        let keying = Keying::of_code(judged.import.keying).unwrap_or(Keying::First);
        let officer = judged.import.actor_id;
        let place = (entry.volume_written, entry.page_written);
        if let Some(violation) = keying_refused(pages.get(&place), keying, officer) {
            return refused(line, vec![violation]);
        }
        let page = pages.entry(place).or_insert_with_key(|(volume, page)| {
            let page = Page {
                page_id: self.database.ids().uuid(),
                book_id: judged.book.book_id,
                unit_id: judged.book.unit_id,
                volume: volume.clone(),
                page: page.clone(),
                state: PageState::Entered,
                first_officer_id: officer,
                second_officer_id: None,
                first_checker_id: None,
                second_checker_id: None,
                scan_sha256: entry.scan_sha256.clone(),
                version: 1,
            };
            judged.new_pages.push(page.clone());
            page
        });
        if keying == Keying::Second {
            page.second_officer_id = Some(officer);
        }
        judged.touched.insert(page.page_id, page.clone());
        kept.insert(digest.clone());
        judged.lines.push(NewLine {
            digest,
            page_id: page.page_id,
            number: entry.number,
            line,
            content,
        });
        reported(LineOutcome::Entered)
    }

    /// How far an old book is; nothing of persons.
    pub(crate) async fn get_old_book(&self, caller: &Caller, book_id: Uuid) -> Result<ShownOldBook, Error> {
        let scope = caller.scope(READ);
        self.database
            .read(&scope, async |connection| {
                let book = old_books::get(&mut *connection, book_id, &scope)
                    .await?
                    .ok_or(Error::BookNotFound)?;
                let pages = old_books::states(&mut *connection, book_id, &scope).await?;
                let numbers = old_books::numbers(connection, book_id, &scope).await?;
                Ok::<_, Error>(ShownOldBook { book, pages, numbers })
            })
            .await
    }

    /// One page of the pages of an old book.
    pub(crate) async fn list_old_pages(
        &self,
        caller: &Caller,
        (book_id, state): (Uuid, Option<PageState>),
        page: Listed<Uuid>,
    ) -> Result<(Vec<Page>, String), Error> {
        let scope = caller.scope(READ);
        let after = (page.after().copied().unwrap_or_default(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                old_books::get(&mut *connection, book_id, &scope)
                    .await?
                    .ok_or(Error::BookNotFound)?;
                Ok::<_, Error>(old_books::list_pages(connection, (book_id, state), &scope, after).await?)
            })
            .await?;
        Ok(page.finish(rows, |page: &Page| page.page_id)?)
    }

    /// What was keyed of a page and where it differs. The read is recorded before it is given away; of whom it tells is not known before it is accepted.
    pub(crate) async fn old_differences(&self, caller: &Caller, page_id: Uuid) -> Result<ShownOldPage, Error> {
        let scope = caller.scope(READ);
        let shown = self
            .database
            .read(&scope, async |connection| {
                let page = old_books::page(&mut *connection, page_id, &scope)
                    .await?
                    .ok_or(OldBookError::PageNotFound)?;
                // From then on what is written stands beside the entries, where it is recorded of whom somebody reads and guarded what is.
                if page.state == PageState::Accepted {
                    return Err(OldBookError::from(PageRefused::State(page.state)).into());
                }
                let mut lines = old_books::lines_of(&mut *connection, &[page_id], &scope).await?;
                let mut settled = old_books::settled_of(connection, &[page_id], &scope).await?;
                let lines = lines.remove(&page_id).unwrap_or_default();
                let settled = settled.remove(&page_id).unwrap_or_default();
                let (first, second) = (keyed(lines.first), keyed(lines.second));
                let differences = if second.is_empty() {
                    Vec::new()
                } else {
                    differences(&first, &second, &settled)
                };
                Ok::<_, Error>(ShownOldPage {
                    page,
                    first,
                    second,
                    differences,
                })
            })
            .await?;
        let read = [(None, format!("civil_old_pages/{page_id}"))];
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        Ok(shown)
    }

    /// Records that an officer compared a page with what is written.
    pub(crate) async fn check_page<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        page_id: Uuid,
        answer: impl FnOnce(&Page) -> R + Send,
    ) -> Result<R, Error> {
        let written = self
            .database
            .write(asked.write(caller, READ), async |unit: &mut UnitOfWork<'_>| {
                let page = held_page(unit, caller, page_id, KEY).await?;
                let page = page.check(caller.principal.subject).map_err(OldBookError::from)?;
                keep_page(unit, caller, &page, ("check", "civil_old_page_checked"), None).await?;
                Ok::<_, Error>(answer(&page))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Records what holds where two people keyed otherwise.
    pub(crate) async fn settle_difference<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedSettlement,
        answer: impl FnOnce(&Page) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ);
        let written = self
            .database
            .write(asked.write(caller, READ), async |unit: &mut UnitOfWork<'_>| {
                let WantedSettlement {
                    page_id,
                    mut settlement,
                } = wanted;
                let page = held_page(unit, caller, page_id, KEY).await?;
                page.may_settle(caller.principal.subject, settlement.choice)
                    .map_err(OldBookError::from)?;
                let mut lines = old_books::lines_of(unit.conn(), &[page_id], &scope).await?;
                let mut settled = old_books::settled_of(unit.conn(), &[page_id], &scope).await?;
                let lines = lines.remove(&page_id).unwrap_or_default();
                let mut settled = settled.remove(&page_id).unwrap_or_default();
                let (first, second) = (keyed(lines.first), keyed(lines.second));
                settlement.value = chosen(&differences(&first, &second, &settled), &settlement)?;
                let (actor, now) = (Actor::from(caller), unit.now());
                let before = settled.len();
                old_books::insert_settlement(unit.conn(), &page, before, &settlement, (actor.id, now)).await?;
                settled.push(settlement.clone());
                let left = differences(&first, &second, &settled)
                    .iter()
                    .filter(|difference| difference.settled.is_none())
                    .count();
                let page = page.compared(left).next();
                let act = ("settle", "civil_old_page_settled");
                keep_page(unit, caller, &page, act, Some(&settlement)).await?;
                Ok::<_, Error>(answer(&page))
            })
            .await?;
        Ok(written.into_answer())
    }
}

/// What holds by a decision.
fn chosen(differing: &[Difference], settlement: &Settlement) -> Result<String, Error> {
    let of_this = |one: &&Difference| {
        one.number == settlement.number && one.occurrence == settlement.occurrence && one.field == settlement.field
    };
    let Some(difference) = differing.iter().find(of_this) else {
        let unknown = Violation::of_shape(
            "no_difference",
            "field",
            "hai lần nhập không khác nhau ở đây",
            "the two keyings do not differ here",
        );
        return Err(Error::from(vec![unknown]));
    };
    match settlement.choice {
        Choice::First => Ok(difference.first.clone()),
        Choice::Second => Ok(difference.second.clone()),
        Choice::Other if difference.field.is_empty() => {
            let whole = Violation::of_shape(
                "whole_entry",
                "choice",
                "của cả việc hộ tịch chỉ chọn lần một hoặc lần hai",
                "of a whole entry it is the first or the second",
            );
            Err(Error::from(vec![whole]))
        }
        Choice::Other => Ok(settlement.value.clone()),
    }
}

/// Writes a piece that was judged: the file's position, pages and lines, and what becomes of pages that two people keyed.
async fn write_piece(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    scope: &RowScope,
    judged: &JudgedPiece,
) -> Result<(), Error> {
    let now = unit.now();
    let (book, import) = (&judged.book, &judged.import);
    if !old_books::put_position(unit.conn(), import, book.unit_id, now).await? {
        return Err(OldBookError::Position(0).into());
    }
    if judged.lines.is_empty() {
        return Ok(());
    }
    old_books::insert_pages(unit.conn(), &judged.new_pages, now).await?;
    old_books::insert_lines(unit.conn(), import, book.unit_id, &judged.lines, now).await?;
    let twice: Vec<&Page> = judged
        .touched
        .values()
        .filter(|page| page.second_officer_id.is_some())
        .collect();
    if !twice.is_empty() {
        let ids: Vec<Uuid> = twice.iter().map(|page| page.page_id).collect();
        let mut lines = old_books::lines_of(unit.conn(), &ids, scope).await?;
        let settled = old_books::settled_of(unit.conn(), &ids, scope).await?;
        let compared: Vec<Page> = twice
            .iter()
            .map(|page| {
                let settled = settled.get(&page.page_id).map(Vec::as_slice).unwrap_or_default();
                let lines = lines.remove(&page.page_id).unwrap_or_default();
                page.compared(unsettled(lines, settled))
            })
            .collect();
        old_books::put_states(unit.conn(), &compared).await?;
    }
    let piece_id = unit.new_id();
    let digests: Vec<u8> = judged
        .lines
        .iter()
        .flat_map(|line| line.digest.iter().copied())
        .collect();
    let content = serde_json::json!({
        "piece_id": piece_id,
        "import_id": import.import_id,
        "book_id": book.book_id,
        "keying": import.keying,
        "position": import.position,
        "lines": judged.lines.len(),
        "sha256": sha256(&digests),
        "actor_id": caller.principal.subject,
    })
    .to_string();
    old_books::append_piece(unit.conn(), (piece_id, import.import_id, book.unit_id), &content, now).await?;
    unit.publish(Event {
        aggregate_kind: PIECE_KIND,
        aggregate_id: piece_id,
        version: 1,
        kind: "civil_old_entries_keyed",
        payload: serde_json::json!({
            "responsible_unit_id": book.unit_id,
            "book_id": book.book_id,
            "keying": import.keying,
            "lines": judged.lines.len(),
        }),
    });
    unit.leaf(Leaf {
        kind: PIECE_KIND,
        resource: piece_id,
        version: 1,
        canonical: content.as_bytes(),
    });
    Ok(())
}
