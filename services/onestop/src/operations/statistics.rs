//! GetStatistics, and what everything else that counts is made of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use egov_auth::Caller;
use egov_clock::Clock as _;
use egov_database::Page;
use egov_directory::Units;
use egov_fault::{Fault, Violation};
use jiff::civil::Date;
use sqlx::PgConnection;

use super::OneStop;
use crate::domain::reports::Content;
use crate::domain::statistics::{Columns, Figures, Group, Totals};
use crate::error::Error;
use crate::report_error::ReportRefused;
use crate::store::statistics::{self, ProcedureName, Wanted};

/// Reads figures.
pub(crate) const READ: &str = "onestop.statistics.read";

/// Reads figures of single officers: who does how much concerns them.
pub(crate) const READ_OFFICERS: &str = "onestop.statistics.read_officers";

/// What is asked of the figures.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) group: Group,
    pub(crate) from: Date,
    pub(crate) to: Date,
    pub(crate) unit_id: Option<i32>,
    pub(crate) with_units_below: bool,
    pub(crate) procedure_code: Option<String>,
    pub(crate) sector_code: Option<String>,
    pub(crate) known_until: Option<Date>,
}

/// The figures of a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statistics {
    /// By key; groups without anything are left out.
    pub(crate) rows: Vec<Figures>,
    pub(crate) total: Columns,
}

impl OneStop {
    /// One page of the groups, and the total of all.
    pub(crate) async fn get_statistics(
        &self,
        caller: &Caller,
        query: &Query,
        page: Page<String>,
    ) -> Result<(Vec<Figures>, Columns, String), Error> {
        let found = self.statistics(caller, query).await?;
        let after = page.after().cloned();
        let limit = usize::try_from(page.fetch()).unwrap_or(usize::MAX);
        let rows: Vec<Figures> = found
            .rows
            .into_iter()
            .filter(|row| after.as_ref().is_none_or(|after| row.key > *after))
            .take(limit)
            .collect();
        let (rows, next) = page.finish(rows, |row| row.key.clone())?;
        Ok((rows, found.total, next))
    }

    /// All groups. There are as many as there are units, procedures or officers, however many cases there were.
    pub(crate) async fn statistics(&self, caller: &Caller, query: &Query) -> Result<Statistics, Error> {
        let today = self.clock.today();
        let known_until = query.known_until.unwrap_or(today);
        check_period(query.from, query.to, known_until, today)?;
        let permission = if query.group == Group::Officer {
            READ_OFFICERS
        } else {
            READ
        };
        caller.admit(permission)?;
        let units = self.counted_units(caller, permission, query.unit_id, query.with_units_below)?;
        let names = self.directory.units();
        self.database
            .read(&caller.scope(permission), async |connection| {
                let counted = Counted {
                    units,
                    from: query.from,
                    to: query.to,
                    known_until,
                };
                let procedures = statistics::procedure_names(&mut *connection, query.to).await?;
                let only = narrowed(&procedures, query);
                let naming = Naming {
                    units: &names,
                    procedures: &procedures,
                };
                figures(connection, &counted, query.group, only, &naming).await
            })
            .await
    }

    /// The units whose figures a caller sees by a permission, narrowed to one, alone or with those below it.
    pub(crate) fn counted_units(
        &self,
        caller: &Caller,
        permission: &str,
        unit_id: Option<i32>,
        with_units_below: bool,
    ) -> Result<Vec<i32>, Error> {
        let scope = caller.scope(permission);
        let units = self.directory.units();
        // The test build with this feature takes the first wall away, to show that the second one holds alone.
        let all = scope.all || cfg!(feature = "test-without-query-filter");
        let seen: BTreeSet<i32> = if all {
            units.iter().map(|unit| unit.id).collect()
        } else {
            scope.units.into_iter().collect()
        };
        let Some(unit_id) = unit_id else {
            return Ok(seen.into_iter().collect());
        };
        if !seen.contains(&unit_id) {
            return Err(ReportRefused::UnitNotFound(unit_id).into());
        }
        let wanted = if with_units_below {
            with_below(&units, unit_id)
        } else {
            BTreeSet::from([unit_id])
        };
        Ok(wanted.intersection(&seen).copied().collect())
    }
}

/// A unit and all below it, of whatever period: what a unit that has closed did is still counted.
pub(crate) fn with_below(units: &Units, unit_id: i32) -> BTreeSet<i32> {
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

/// Demands a period that runs forwards and has begun; what is known of it is known at its end or later.
fn check_period(from: Date, to: Date, known_until: Date, today: Date) -> Result<(), Error> {
    let mut wrong = Vec::new();
    let mut demand = |holds: bool, field: &str, vi: &str, en: &str| {
        if !holds {
            wrong.push(Violation {
                field: field.to_owned(),
                rule: "period".to_owned(),
                vi: vi.to_owned(),
                en: en.to_owned(),
            });
        }
    };
    demand(
        from <= to,
        "to",
        "không được trước ngày đầu kỳ",
        "must not be before the first day",
    );
    demand(to <= today, "to", "không được sau hôm nay", "must not be after today");
    demand(
        known_until >= to && known_until <= today,
        "known_until",
        "phải từ ngày cuối kỳ đến hôm nay",
        "must be from the last day of the period to today",
    );
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Fault::invalid(wrong).into())
    }
}

/// The procedures that a query is narrowed to; none if it is not.
fn narrowed(procedures: &[ProcedureName], query: &Query) -> Option<Vec<String>> {
    if query.procedure_code.is_none() && query.sector_code.is_none() {
        return None;
    }
    let in_sector = |known: &&ProcedureName| {
        query
            .sector_code
            .as_ref()
            .is_none_or(|sector| known.sector_code == *sector)
    };
    let named = |known: &&ProcedureName| {
        query
            .procedure_code
            .as_ref()
            .is_none_or(|code| known.procedure_code == *code)
    };
    let found = procedures.iter().filter(in_sector).filter(named);
    Some(found.map(|known| known.procedure_code.clone()).collect())
}

/// Whose figures of which days are counted.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    pub(crate) units: Vec<i32>,
    pub(crate) from: Date,
    pub(crate) to: Date,
    pub(crate) known_until: Date,
}

/// What keys are called.
pub(crate) struct Naming<'a> {
    pub(crate) units: &'a Units,
    pub(crate) procedures: &'a [ProcedureName],
}

impl Naming<'_> {
    /// The key of a group, which for a sector is that of the procedure, and its name.
    fn of(&self, group: Group, key: &str) -> (String, String) {
        let procedure = || self.procedures.iter().find(|known| known.procedure_code == key);
        match group {
            Group::Unit => {
                let unit = key.parse().ok().and_then(|id| self.units.get(id));
                (key.to_owned(), unit.map(|unit| unit.name.clone()).unwrap_or_default())
            }
            Group::Procedure => {
                let name = procedure().map(|known| known.name.clone());
                (key.to_owned(), name.unwrap_or_default())
            }
            Group::Sector => procedure()
                .map(|known| (known.sector_code.clone(), known.sector_name.clone()))
                .unwrap_or_default(),
            Group::Officer if key == uuid::Uuid::nil().to_string() => Default::default(),
            Group::Officer | Group::Whole => (key.to_owned(), String::new()),
        }
    }
}

/// The figures of a period by group: the sums before it and the sums up to its end, in the caller's snapshot.
pub(crate) async fn figures(
    connection: &mut PgConnection,
    counted: &Counted,
    group: Group,
    procedures: Option<Vec<String>>,
    naming: &Naming<'_>,
) -> Result<Statistics, Error> {
    let end = counted.to.tomorrow().map_err(Fault::internal)?;
    let mut wanted = Wanted {
        units: counted.units.clone(),
        group,
        procedures,
        before: counted.from,
        known_until: counted.known_until,
    };
    let mut groups: BTreeMap<String, (Totals, Totals)> = BTreeMap::new();
    for (key, measure, amount) in statistics::sums(&mut *connection, &wanted).await? {
        groups.entry(key).or_default().0.add(measure, amount);
    }
    wanted.before = end;
    for (key, measure, amount) in statistics::sums(connection, &wanted).await? {
        groups.entry(key).or_default().1.add(measure, amount);
    }
    Ok(put_together(groups, group, naming))
}

/// Names groups, puts those together that have one key (procedures of a sector), and adds up.
fn put_together(groups: BTreeMap<String, (Totals, Totals)>, group: Group, naming: &Naming<'_>) -> Statistics {
    let (mut before, mut until) = (Totals::default(), Totals::default());
    let mut named: BTreeMap<String, (String, Totals, Totals)> = BTreeMap::new();
    for (key, (of_before, of_until)) in groups {
        before.merge(&of_before);
        until.merge(&of_until);
        let (key, name) = naming.of(group, &key);
        let row = named
            .entry(key)
            .or_insert_with(|| (name, Totals::default(), Totals::default()));
        row.1.merge(&of_before);
        row.2.merge(&of_until);
    }
    let rows = named.into_iter().map(|(key, (name, before, until))| Figures {
        key,
        name,
        columns: Columns::between(&before, &until),
    });
    Statistics {
        rows: rows.filter(|row| !row.columns.is_empty()).collect(),
        total: Columns::between(&before, &until),
    }
}

/// What a report contains.
pub(crate) async fn content(connection: &mut PgConnection, counted: &Counted, units: &Units) -> Result<Content, Error> {
    let procedures = statistics::procedure_names(&mut *connection, counted.to).await?;
    let naming = Naming {
        units,
        procedures: &procedures,
    };
    let by_unit = figures(&mut *connection, counted, Group::Unit, None, &naming).await?;
    let by_sector = figures(&mut *connection, counted, Group::Sector, None, &naming).await?;
    let by_procedure = figures(connection, counted, Group::Procedure, None, &naming).await?;
    Ok(Content {
        total: by_unit.total,
        by_unit: by_unit.rows,
        by_sector: by_sector.rows,
        by_procedure: by_procedure.rows,
    })
}
