//! Thống kê hộ tịch: GetVitalStatistics, ExportVitalStatistics, CheckVitalStatistics; what entries and corrections add to the figures.

use std::collections::{BTreeSet, HashMap};

use egov_auth::{Caller, RowScope};
use egov_clock::{Clock as _, vietnam};
use egov_database::{Database, UnitOfWork};
use egov_directory::{Units, Whereabouts};
use egov_fault::Fault;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::CivilRegistry;
use crate::domain::book::EventKind;
use crate::domain::entry::{Details, Entry};
use crate::domain::person::Sex;
use crate::domain::statistics::{self as figures, Dimension, Figures, Key, Kinds};
use crate::error::Error;
use crate::store::entries;
use crate::store::statistics::{self, Wanted};

const READ: &str = "civil_registry.statistics.read";

/// A transaction that was begun before midnight may end so much later.
const ON_THE_WAY: SignedDuration = SignedDuration::from_mins(10);

/// Differences that are named.
const NAMED: usize = 100;

/// Entries that are compared at a time.
const STEP: i64 = 500;

/// Which figures somebody asks for.
pub(crate) struct StatisticsQuery {
    pub(crate) dimension: Dimension,
    pub(crate) year: i16,
    pub(crate) from_month: i8,
    pub(crate) to_month: i8,
    pub(crate) unit_id: Option<i32>,
    pub(crate) with_units_below: bool,
    pub(crate) under_successors: bool,
    pub(crate) event: Option<EventKind>,
    pub(crate) known_until: Option<Date>,
}

/// The figures of a group, with what it is called.
pub(crate) struct NamedFigures {
    pub(crate) event: EventKind,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) pooled: bool,
    pub(crate) kinds: Kinds,
}

/// The answer: the groups, and the exact totals.
pub(crate) struct Statistics {
    pub(crate) rows: Vec<NamedFigures>,
    pub(crate) totals: Vec<NamedFigures>,
}

/// What came of a comparison with the entries.
pub(crate) struct Compared {
    pub(crate) entries: i64,
    pub(crate) differing: Vec<Uuid>,
}

/// Counts an entry with its entering.
pub(super) async fn count(unit: &mut UnitOfWork<'_>, entry: &Entry) -> Result<(), Error> {
    if let Some(change) = figures::entered(entry) {
        statistics::append(unit.conn(), entry, &change).await?;
    }
    Ok(())
}

/// Counts what a correction makes of an entry: what it said before is taken back.
pub(super) async fn recount(
    unit: &mut UnitOfWork<'_>,
    entry: &Entry,
    (before, after): (&Details, &Details),
    position: i32,
) -> Result<(), Error> {
    for change in figures::corrected(before, after, position, unit.now()) {
        statistics::append(unit.conn(), entry, &change).await?;
    }
    Ok(())
}

/// The last day all of whose entries are certainly recorded: yesterday, and for a while after midnight the day before it, because the time of an
/// entry is that of the beginning of its transaction.
pub(crate) fn settled_until(now: Timestamp) -> Date {
    let day = now.checked_sub(ON_THE_WAY).unwrap_or(now).to_zoned(vietnam()).date();
    day.yesterday().unwrap_or(day)
}

/// The first moment after a day.
pub(super) fn end_of(day: Date) -> Result<Timestamp, Error> {
    let next = day.tomorrow().map_err(Fault::internal)?;
    Ok(next.to_zoned(vietnam()).map_err(Fault::internal)?.timestamp())
}

/// Under which unit another one's figures are shown on a day: its successor's if it has closed and has one, else its own.
fn shown_under(units: &Units, unit_id: i32, on: Date) -> i32 {
    match units.whereabouts(unit_id, on) {
        Some(Whereabouts::MovedTo(successor)) => successor.id,
        _ => unit_id,
    }
}

/// A unit and all below it, of whatever period: what a unit that has closed registered is still counted.
fn with_below(units: &Units, unit_id: i32) -> BTreeSet<i32> {
    let mut below: HashMap<i32, Vec<i32>> = HashMap::new();
    for unit in units.iter() {
        if let Some(parent) = unit.parent {
            below.entry(parent).or_default().push(unit.id);
        }
    }
    let mut found = BTreeSet::new();
    let mut waiting = vec![unit_id];
    while let Some(id) = waiting.pop() {
        if found.insert(id) {
            waiting.extend(below.get(&id).into_iter().flatten());
        }
    }
    found
}

impl CivilRegistry {
    /// The units whose figures a caller sees, narrowed to what is asked.
    fn counted_units(&self, caller: &Caller, query: &StatisticsQuery, on: Date) -> Result<Vec<i32>, Error> {
        let scope = caller.scope(READ);
        let units = self.directory.units();
        let seen: BTreeSet<i32> = if scope.all {
            units.iter().map(|unit| unit.id).collect()
        } else {
            scope.units.into_iter().collect()
        };
        let Some(unit_id) = query.unit_id else {
            return Ok(seen.into_iter().collect());
        };
        if !seen.contains(&unit_id) {
            return Err(Error::UnitNotInScope(unit_id));
        }
        let wanted = if query.with_units_below {
            with_below(&units, unit_id)
        } else {
            BTreeSet::from([unit_id])
        };
        let is_wanted =
            |id: i32| wanted.contains(&id) || (query.under_successors && wanted.contains(&shown_under(&units, id, on)));
        Ok(seen.into_iter().filter(|id| is_wanted(*id)).collect())
    }

    /// What a group is called.
    fn called(&self, dimension: Dimension, units: &Units, key: &Key) -> (String, String) {
        let number = key.number.to_string();
        match dimension {
            Dimension::Whole => (String::new(), "Tổng số".to_owned()),
            Dimension::Unit => {
                let name = units.get(key.number).map(|unit| unit.name.clone());
                (number, name.unwrap_or_default())
            }
            Dimension::Month => {
                let name = format!("Tháng {number}");
                (number, name)
            }
            Dimension::Sex => match i16::try_from(key.number).ok().and_then(Sex::of_code) {
                Some(Sex::Male) => (number, "Nam".to_owned()),
                Some(Sex::Female) => (number, "Nữ".to_owned()),
                Some(Sex::Undetermined) => (number, "Chưa xác định".to_owned()),
                None => (String::new(), "Không theo giới tính".to_owned()),
            },
            Dimension::EthnicGroup => {
                let group = self.law.ethnic_groups.find(&key.code);
                let name = group.and_then(|group| self.law.ethnic_groups.name(&group).map(str::to_owned));
                (
                    key.code.clone(),
                    name.unwrap_or_else(|| "Không rõ, hoặc không theo dân tộc".to_owned()),
                )
            }
        }
    }

    /// The figures that somebody asks for, as the caller may see them.
    pub(crate) async fn vital_statistics(&self, caller: &Caller, query: &StatisticsQuery) -> Result<Statistics, Error> {
        let on = query.known_until.unwrap_or_else(|| self.clock.today());
        let counted = self.counted_units(caller, query, on)?;
        let before = query.known_until.map(end_of).transpose()?;
        let sums = self
            .database
            .read(&caller.scope(READ), async |connection| {
                let wanted = Wanted {
                    units: &counted,
                    year: query.year,
                    from_month: query.from_month.into(),
                    to_month: query.to_month.into(),
                    event: query.event,
                    dimension: query.dimension,
                    before,
                };
                Ok::<_, Error>(statistics::sums(connection, &wanted).await?)
            })
            .await?;
        let units = self.directory.units();
        let moved = sums.into_iter().map(|mut sum| {
            if query.dimension == Dimension::Unit && query.under_successors {
                sum.key.number = shown_under(&units, sum.key.number, on);
            }
            sum
        });
        let (rows, totals) = figures::tabulate(moved, query.dimension);
        let named = |dimension: Dimension, found: Vec<Figures>| -> Vec<NamedFigures> {
            found
                .into_iter()
                .map(|found| {
                    let (key, name) = match &found.key {
                        Some(key) => self.called(dimension, &units, key),
                        None => (String::new(), "Các nhóm ít người (gộp)".to_owned()),
                    };
                    NamedFigures {
                        event: found.event,
                        key,
                        name,
                        pooled: found.key.is_none(),
                        kinds: found.kinds,
                    }
                })
                .collect()
        };
        Ok(Statistics {
            rows: named(query.dimension, rows),
            totals: named(Dimension::Whole, totals),
        })
    }

    /// Compares what is counted of a unit's entries of a year with what they and their corrections say. Nothing of what they say is given away.
    pub(crate) async fn check_vital_statistics(
        &self,
        caller: &Caller,
        unit_id: i32,
        year: i16,
    ) -> Result<Compared, Error> {
        let scope = caller.scope(READ);
        if !(scope.all || scope.units.contains(&unit_id)) {
            return Err(Error::UnitNotInScope(unit_id));
        }
        compare(&self.database, &scope, unit_id, year).await
    }
}

/// What is counted of one batch of entries, after an id, with what they and their corrections say: how many there were, the last of them, and those that
/// are counted otherwise.
async fn compare_batch(
    connection: &mut PgConnection,
    (unit_id, year): (i32, i16),
    scope: &RowScope,
    after: Uuid,
) -> Result<(Vec<Uuid>, Vec<Uuid>), Error> {
    let ids = statistics::entries_of_year(&mut *connection, (unit_id, year), scope, after, STEP).await?;
    let mut differing = Vec::new();
    for id in &ids {
        let Some(entry) = entries::get(&mut *connection, *id, scope).await? else {
            continue;
        };
        let corrections: Vec<_> = entries::correcting(&mut *connection, *id, scope)
            .await?
            .into_iter()
            .filter_map(|one| match one.content.details {
                Details::Correction(correction) => Some((*correction, one.record_time)),
                _ => None,
            })
            .collect();
        let (kept, placed) = statistics::of_entry(&mut *connection, &entry, scope).await?;
        if !placed || kept != figures::all_of(&entry, &corrections) {
            differing.push(*id);
        }
    }
    Ok((ids, differing))
}

/// The same of all entries of a unit and year, batch by batch, each in a transaction of its own: what is kept of them are their number and the first
/// that differ.
async fn compare(database: &Database, scope: &RowScope, unit_id: i32, year: i16) -> Result<Compared, Error> {
    let mut compared = Compared {
        entries: 0,
        differing: Vec::new(),
    };
    let mut after = Uuid::nil();
    loop {
        let (read, differing) = database
            .read(scope, async |connection| {
                compare_batch(connection, (unit_id, year), scope, after).await
            })
            .await?;
        let Some(last) = read.last() else {
            return Ok(compared);
        };
        after = *last;
        compared.entries = compared
            .entries
            .saturating_add(i64::try_from(read.len()).unwrap_or(i64::MAX));
        compared.differing.extend(differing);
        compared.differing.truncate(NAMED);
    }
}

/// What came of a comparison of all figures with all entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifiedFigures {
    /// How many units and years have entries.
    pub units_and_years: usize,
    /// How many entries were compared.
    pub entries: i64,
    /// Entries that are counted otherwise than they and their corrections say; of each unit and year the first hundred.
    pub differing: Vec<Uuid>,
}

/// Compares what is counted with the entries, for every unit and year in which there are some, as CheckVitalStatistics does for one.
///
/// # Errors
/// The database does not answer, or holds what no entry can say.
pub async fn verify_figures(database: &Database) -> Result<VerifiedFigures, Fault> {
    let everything = RowScope::everything();
    let places = database
        .read(&everything, async |connection| {
            Ok::<_, Error>(statistics::units_and_years(connection).await?)
        })
        .await
        .map_err(Fault::from)?;
    let mut verified = VerifiedFigures {
        units_and_years: places.len(),
        ..VerifiedFigures::default()
    };
    for (unit_id, year) in places {
        let compared = compare(database, &everything, unit_id, year)
            .await
            .map_err(Fault::from)?;
        verified.entries = verified.entries.saturating_add(compared.entries);
        verified.differing.extend(compared.differing);
    }
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use egov_directory::{Unit, UnitKind};
    use jiff::civil::date;

    use super::*;

    #[test]
    fn what_a_closed_unit_registered_is_shown_under_its_successor_from_the_day_on() {
        let reform = date(2025, 7, 1);
        let unit = |id: i32, parent: Option<i32>, from: Date, to: Option<Date>| Unit {
            id,
            code: id.to_string(),
            name: format!("unit {id}"),
            kind: UnitKind::Commune,
            parent,
            effective_from: from,
            effective_to: to,
            agency_code: None,
        };
        let before = date(2015, 1, 1);
        let (units, _) = Units::new(
            1,
            [
                unit(1, None, before, None),
                unit(2, Some(1), before, Some(reform)),
                unit(3, Some(1), before, Some(reform)),
                unit(4, Some(1), reform, None),
            ],
        )
        .unwrap();
        let units = units.with_successors([(2, 4, reform)]).unwrap();
        assert_eq!(shown_under(&units, 2, reform), 4);
        assert_eq!(shown_under(&units, 2, reform.yesterday().unwrap()), 2);
        // Nobody follows it: it stays what it was, so that nothing is lost from the sums.
        assert_eq!(shown_under(&units, 3, reform), 3);
        assert_eq!(with_below(&units, 1), BTreeSet::from([1, 2, 3, 4]));
    }

    #[test]
    fn a_day_is_settled_when_what_was_begun_before_midnight_has_ended() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(settled_until(at("2026-11-23T00:05:00+07:00")), date(2026, 11, 21));
        assert_eq!(settled_until(at("2026-11-23T00:15:00+07:00")), date(2026, 11, 22));
        assert_eq!(end_of(date(2026, 11, 22)).unwrap(), at("2026-11-23T00:00:00+07:00"));
    }
}
