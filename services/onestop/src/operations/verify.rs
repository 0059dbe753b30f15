//! Verification of everything that is stored of cases: an independent pass, which changes nothing and names what it finds.
//!
//! It reads page by page, each page in one snapshot, so that it may run while the service does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use egov_auth::RowScope;
use egov_calendar::WorkCalendar;
use egov_database::{Database, leaf_commitment};
use egov_keyring::{Keyring, Purpose};
use serde::Serialize;
use uuid::Uuid;

use super::act::Act;
use super::{
    accept_case, approve_case, assign_case, charges, civil_decisions, components, extend_deadline, follow_units,
    migrate_cases, rate_case, recalculate_deadlines, record_step, reject_case, request_supplement, results,
    return_result, stop_case, submit_case, supply_components, withdraw_case, work,
};
use crate::domain::listing::Versioned;
use crate::domain::lookup::SECRET_LENGTH;
use crate::domain::old_case;
use crate::domain::pack::Profile;
use crate::domain::search::tokens_of;
use crate::domain::statistics::{Fingerprints, replay};
use crate::domain::verify::{CaseRecord, RECALCULATE_DEADLINE, Rule, Rules, Violation, check};
use crate::error::Error;
use crate::law::{Law, LawError, read_calendar};
use crate::store::{audit, charges as kept_charges, packs, procedures, statistics, unsettled};

/// Cases of one page.
const PAGE: i64 = 500;

/// Cases whose money is looked at in one statement.
const RANGE: i64 = 5_000;

/// Violations that are kept; all are counted.
const KEPT: usize = 1_000;

/// Orphans that are named of each table.
const ORPHANS: i64 = 20;

/// Differences in the figures that are named.
const DIFFERENCES: usize = 50;

/// All acts on a case.
const ACTS: [&Act; 22] = [
    &accept_case::ACT,
    &approve_case::ACT,
    &assign_case::ACT,
    &charges::REQUEST_PAYMENT,
    &charges::SETTLE_PAYMENT,
    &civil_decisions::DECISION,
    &civil_decisions::RETURN,
    &components::confirm_components::ACT,
    &components::reuse_stored_paper::ACT,
    &components::set_component_state::ACT,
    &extend_deadline::ACT,
    &rate_case::ACT,
    &record_step::ACT,
    &reject_case::ACT,
    &request_supplement::ACT,
    &results::correct_result::ACT,
    &results::revoke_result::ACT,
    &return_result::ACT,
    &work::SEND_BACK,
    &stop_case::ACT,
    &supply_components::ACT,
    &withdraw_case::ACT,
];

/// What was looked at and what was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verified {
    /// Cases that there are.
    pub cases: u64,
    /// Cases that were looked at.
    pub checked: u64,
    /// Their entries of the history, leaves and events.
    pub versions: u64,
    /// Of these, leaves whose commitment was worked out again: the last of each case, unless its salts were erased.
    pub leaves_recomputed: u64,
    /// Due dates that were worked out again.
    pub deadlines_recomputed: u64,
    /// How many violations of each rule.
    pub violated: BTreeMap<Rule, u64>,
    /// The first of them.
    pub violations: Vec<Violation>,
}

impl Verified {
    /// True if nothing was found.
    pub fn is_whole(&self) -> bool {
        self.violated.is_empty()
    }

    fn found(&mut self, violation: Violation) {
        *self.violated.entry(violation.rule).or_default() += 1;
        if self.violations.len() < KEPT {
            self.violations.push(violation);
        }
    }
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The law cannot be read.
    #[error(transparent)]
    Law(#[from] LawError),
    /// The database does not answer, or holds what no version wrote.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<egov_fault::Fault> for VerifyError {
    fn from(fault: egov_fault::Fault) -> Self {
        Self::Store(fault.into())
    }
}

/// Verifies about `sample` cases, or all; `progress` is told how many were looked at, and how many will be.
pub async fn verify(
    database: &Database,
    keyring: &Keyring,
    profile: Profile,
    sample: Option<u64>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Verified, VerifyError> {
    let law = Law::load(database).await?;
    let calendars = calendars(database).await?;
    let everything = RowScope::everything();
    let count = database
        .read(&everything, async |connection| {
            Ok::<_, Error>(audit::count(connection).await?)
        })
        .await?;
    let mut verified = Verified {
        cases: u64::try_from(count).unwrap_or(0),
        ..Verified::default()
    };
    let one_in = sample
        .map_or(1, |sample| count / i64::try_from(sample.max(1)).unwrap_or(i64::MAX))
        .max(1);
    let expected = verified.cases / u64::try_from(one_in).unwrap_or(1);
    let events: BTreeMap<&'static str, &'static str> = ACTS
        .iter()
        .map(|act| (act.operation, act.event))
        .chain([
            (submit_case::OPERATION, submit_case::EVENT),
            (follow_units::OPERATION, follow_units::EVENT),
            (migrate_cases::OPERATION, migrate_cases::EVENT),
            (RECALCULATE_DEADLINE, recalculate_deadlines::EVENT),
            (old_case::OPERATION, old_case::EVENT),
        ])
        .collect();

    let mut versions: HashMap<(String, i32), Arc<Versioned>> = HashMap::new();
    let mut figures = Fingerprints::default();
    let mut after = Uuid::nil();
    loop {
        let (page, paid) = database
            .read(&everything, async |connection| {
                let page = audit::page(&mut *connection, after, one_in, PAGE).await?;
                let ids: Vec<Uuid> = page.iter().map(|record| record.case.case_id).collect();
                let paid = kept_charges::paid_of(&mut *connection, &ids).await?;
                for record in &page {
                    let key = (record.case.procedure_code.clone(), record.case.procedure_version);
                    if !versions.contains_key(&key)
                        && let Some(found) = procedures::version(&mut *connection, &key.0, key.1).await?
                    {
                        versions.insert(key, Arc::new(found));
                    }
                }
                Ok::<_, Error>((page, paid))
            })
            .await?;
        let Some(last) = page.last() else { break };
        after = last.case.case_id;
        if one_in == 1 {
            for (key, amount) in paid.iter().flat_map(|(_, paid)| paid.changes()) {
                figures.add(&key, amount);
            }
        }
        for record in &page {
            // The figures are of all cases: a sample says nothing about them.
            if one_in == 1 {
                for (key, amount) in replay(&record.case, &record.history) {
                    figures.add(&key, amount);
                }
            }
            let by = LookedAtBy {
                law: &law,
                calendars: &calendars,
                versions: &versions,
                profile,
                keyring,
                events: &events,
            };
            look_at(record, &by, &mut verified)?;
        }
        progress(verified.checked, expected);
    }

    let (misnumbered, orphans, broken_log) = database
        .read(&everything, async |connection| {
            Ok::<_, Error>((
                audit::misnumbered(&mut *connection).await?,
                audit::orphans(&mut *connection, ORPHANS).await?,
                audit::broken_log(connection).await?,
            ))
        })
        .await?;
    if one_in == 1 {
        compare(database, figures, &mut verified).await?;
        for (case_id, case_code) in unsettled_otherwise(database).await? {
            verified.found(Violation {
                rule: Rule::Charges,
                case_id: Some(case_id),
                case_code,
                detail: "what is kept as not settled is not what its charge and payments say".to_owned(),
            });
        }
    }
    for numbers in misnumbered {
        let (agency, day) = &numbers.of;
        let (issued, highest) = numbers.issued;
        // After a restore the operator burns the numbers that receipts prove used: a gap below them is right then.
        let burned = numbers
            .counter
            .is_some_and(|(last, epoch)| epoch > 1 && last >= highest && issued <= last);
        if !burned {
            let last = numbers.counter.map(|(last, _)| last);
            verified.found(Violation {
                rule: Rule::Numbers,
                case_id: None,
                case_code: String::new(),
                detail: format!("{agency}-{day}: {issued} codes up to {highest}, the counter stands at {last:?}"),
            });
        }
    }
    for (table, id) in orphans {
        verified.found(Violation {
            rule: Rule::Orphan,
            case_id: Some(id),
            case_code: String::new(),
            detail: format!("{table} speaks of a case that there is not"),
        });
    }
    for (epoch, events, highest) in broken_log {
        verified.found(Violation {
            rule: Rule::Log,
            case_id: None,
            case_code: String::new(),
            detail: format!("epoch {epoch}: {events} events up to place {highest}, which counts from 0"),
        });
    }
    Ok(verified)
}

/// Cases of which something else is kept as not settled than what their money says, the first of them. A range of cases after the other, each
/// read in a time that does not grow with how many there are; the last goes on to what is kept of cases that there are not.
async fn unsettled_otherwise(database: &Database) -> Result<Vec<(Uuid, String)>, Error> {
    let everything = RowScope::everything();
    let mut differing = Vec::new();
    let (mut after, mut left) = (Uuid::nil(), ORPHANS);
    loop {
        let (found, until) = database
            .read(&everything, async |connection| {
                let until = unsettled::range_end(&mut *connection, after, RANGE).await?;
                let range = (after, until.unwrap_or_else(Uuid::max));
                Ok::<_, Error>((unsettled::differing(connection, range, left).await?, until))
            })
            .await?;
        left -= i64::try_from(found.len()).unwrap_or(left);
        differing.extend(found);
        match until.filter(|_| left > 0) {
            Some(until) => after = until,
            None => return Ok(differing),
        }
    }
}

/// Compares the figures with those that the histories give, and the sums of months and years with those of their days.
async fn compare(database: &Database, mut figures: Fingerprints, verified: &mut Verified) -> Result<(), Error> {
    let broken = database
        .read(&RowScope::everything(), async |connection| {
            for unit_id in statistics::units(&mut *connection).await? {
                for stored in statistics::finest(&mut *connection, unit_id).await? {
                    figures.add(&stored.key, -stored.amount);
                }
            }
            Ok::<_, Error>(statistics::broken_levels(connection, ORPHANS).await?)
        })
        .await?;
    let mut say = |detail: String| {
        verified.found(Violation {
            rule: Rule::Statistics,
            case_id: None,
            case_code: String::new(),
            detail,
        });
    };
    for ((unit_id, year, month, measure), more) in figures.left().take(DIFFERENCES) {
        say(format!(
            "unit {unit_id}, {year}-{month:02}, {measure:?}: the histories give {more:+} to what is kept (0: another day, procedure or officer)"
        ));
    }
    for (unit_id, level, day) in broken {
        say(format!(
            "unit {unit_id}: the sum of level {level} from {day} is not that of its days"
        ));
    }
    Ok(())
}

/// Every calendar by which due dates were worked out, by its version.
async fn calendars(database: &Database) -> Result<BTreeMap<String, WorkCalendar>, VerifyError> {
    let kept = database
        .read(&RowScope::none(), async |connection| {
            Ok::<_, Error>(packs::calendars(connection).await?)
        })
        .await?;
    let mut calendars = BTreeMap::new();
    for (version, files) in kept {
        calendars.insert(version, read_calendar(&files)?);
    }
    Ok(calendars)
}

/// What cases are looked at by.
struct LookedAtBy<'a> {
    law: &'a Law,
    calendars: &'a BTreeMap<String, WorkCalendar>,
    versions: &'a HashMap<(String, i32), Arc<Versioned>>,
    profile: Profile,
    keyring: &'a Keyring,
    events: &'a BTreeMap<&'static str, &'static str>,
}

/// Looks at one case.
fn look_at(record: &CaseRecord, by: &LookedAtBy<'_>, verified: &mut Verified) -> Result<(), Error> {
    let LookedAtBy {
        law,
        calendars,
        versions,
        profile,
        keyring,
        events,
    } = *by;
    let case = &record.case;
    verified.checked += 1;
    verified.versions += record.history.len() as u64;
    let key = (case.procedure_code.clone(), case.procedure_version);
    let version = versions
        .get(&key)
        .ok_or_else(|| Error::ProcedureNotFound(case.procedure_code.clone()))?;
    let counted_with = case.deadline.as_ref().map_or("", |deadline| deadline.calendar.as_str());
    let counted_by = calendars.get(counted_with);
    if counted_by.is_none() && !counted_with.is_empty() {
        verified.found(Violation {
            rule: Rule::Deadline,
            case_id: Some(case.case_id),
            case_code: case.case_code.clone(),
            detail: format!("worked out with the calendar {counted_with}, which was not kept"),
        });
    }
    let rules = Rules {
        transitions: law.transitions(&version.procedure.transitions)?,
        procedure: &version.procedure,
        calendar: counted_by.unwrap_or(&law.calendar),
        profile,
        events,
        commit: leaf_commitment,
        words: tokens_of(case),
    };
    verified.leaves_recomputed += u64::from(!record.erased);
    verified.deadlines_recomputed += u64::from(case.accept_time.is_some());
    for violation in check(record, &rules) {
        verified.found(violation);
    }
    let secret = keyring.open_sealed(Purpose::LookupSecrets, &case.lookup_secret, case.case_id.as_bytes());
    if !secret.is_ok_and(|secret| secret.len() == SECRET_LENGTH) {
        verified.found(Violation {
            rule: Rule::Secret,
            case_id: Some(case.case_id),
            case_code: case.case_code.clone(),
            detail: "the look-up secret does not open with this keyring".to_owned(),
        });
    }
    Ok(())
}
