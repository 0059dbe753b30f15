//! Works all figures out anew from what is stored of the cases: after an upgrade over cases that the version before handled, or
//! where the verification names a difference.
//!
//! A piece at a time, each a transaction of its own, so that nobody who acts on a case waits for longer than a piece takes, and whoever begins
//! again after a kill goes on where it was. First the cases are counted into sums anew, which no one reads; what acts change meanwhile of a case
//! that is counted already is folded into both. Then, unit by unit and year by year, they take the place of the sums that stand. Until then what is
//! read is what stood, with every act in it; after it, what is right.

use egov_auth::RowScope;
use egov_database::{Database, UnitOfWork};
use jiff::civil::{Date, date};
use uuid::Uuid;

use crate::domain::statistics::replay;
use crate::error::Error;
use crate::store::statistics::{self, Rebuild};
use crate::store::{audit, charges};

/// Cases of one piece: acts wait with the figures for as long as it takes to count them.
const PAGE: i64 = 200;

/// Changes of one fold.
const BATCH: i64 = 20_000;

/// What a piece did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many cases are counted by now.
    Counted(u64),
    /// Of a unit the sums of a year have taken their place.
    Put,
    /// The rebuild has come to its end; so many cases were counted.
    Ended(u64),
}

/// Begins a rebuild, or goes on with the one that is under way, until its end. How many cases were counted; `progress` is told as it goes.
/// Two at once share the work.
pub async fn rebuild_statistics(database: &Database, mut progress: impl FnMut(u64)) -> Result<u64, Error> {
    loop {
        match rebuild_piece(database, PAGE).await? {
            Piece::Counted(cases) => progress(cases),
            Piece::Put => {}
            Piece::Ended(cases) => return Ok(cases),
        }
    }
}

/// The next piece of a rebuild, of at most so many cases.
pub async fn rebuild_piece(database: &Database, cases: i64) -> Result<Piece, Error> {
    // What waits is folded beside the traffic, so that hardly anything is left to fold while others wait.
    let everything = RowScope::everything();
    loop {
        let folded = database
            .write_unkeyed(&everything, async |unit: &mut UnitOfWork<'_>| {
                Ok::<_, Error>(statistics::fold(unit.conn(), BATCH).await?)
            })
            .await?;
        if folded < BATCH {
            break;
        }
    }
    database
        .write_unkeyed(&everything, async |unit: &mut UnitOfWork<'_>| {
            statistics::hold(unit.conn()).await?;
            // By how far it has come: afterwards whatever is folded is about acts that come after this piece.
            while statistics::fold(unit.conn(), BATCH).await? == BATCH {}
            let rebuild = statistics::rebuild(unit.conn()).await?;
            match rebuild.put {
                None => Box::pin(count(unit, rebuild, cases)).await,
                Some(put) => put_next(unit, rebuild, put).await,
            }
        })
        .await
}

/// Counts the next cases.
async fn count(unit: &mut UnitOfWork<'_>, mut rebuild: Rebuild, cases: i64) -> Result<Piece, Error> {
    let page = audit::page(unit.conn(), rebuild.counted_until, 1, cases).await?;
    let Some(last) = page.last() else {
        // Every case is counted, and those that are filed from now on are: their changes are folded into both.
        rebuild.counted_until = Uuid::max();
        rebuild.put = Some((i32::MIN, EARLIEST));
        statistics::save_rebuild(unit.conn(), &rebuild).await?;
        return Ok(Piece::Counted(number(rebuild.cases)));
    };
    rebuild.counted_until = last.case.case_id;
    let counted = i64::try_from(page.len()).unwrap_or(i64::MAX);
    rebuild.cases = rebuild.cases.saturating_add(counted);
    let mut changes = Vec::new();
    for record in &page {
        changes.extend(replay(&record.case, &record.history));
    }
    let ids: Vec<Uuid> = page.iter().map(|record| record.case.case_id).collect();
    charges::date_known(unit.conn(), &ids).await?;
    for (_, paid) in charges::paid_of(unit.conn(), &ids).await? {
        changes.extend(paid.changes());
    }
    statistics::add_anew(unit.conn(), &changes).await?;
    statistics::save_rebuild(unit.conn(), &rebuild).await?;
    Ok(Piece::Counted(number(rebuild.cases)))
}

/// Puts the next sums anew into their place: those of a year of a unit.
async fn put_next(unit: &mut UnitOfWork<'_>, mut rebuild: Rebuild, put: (i32, Date)) -> Result<Piece, Error> {
    let (mut unit_id, until) = put;
    let mut first = statistics::first_sum_after(unit.conn(), unit_id, until).await?;
    while first.is_none() {
        let Some(next) = statistics::next_unit(unit.conn(), unit_id).await? else {
            statistics::end_rebuild(unit.conn()).await?;
            return Ok(Piece::Ended(number(rebuild.cases)));
        };
        unit_id = next;
        first = statistics::first_sum_after(unit.conn(), unit_id, EARLIEST).await?;
    }
    let year = first.unwrap_or(EARLIEST);
    let (from, until) = (year.first_of_year(), year.last_of_year());
    statistics::put_anew(unit.conn(), unit_id, (from, until)).await?;
    rebuild.put = Some((unit_id, until));
    statistics::save_rebuild(unit.conn(), &rebuild).await?;
    Ok(Piece::Put)
}

/// Before any day that counts.
const EARLIEST: Date = date(0, 1, 1);

fn number(cases: i64) -> u64 {
    u64::try_from(cases).unwrap_or(0)
}
