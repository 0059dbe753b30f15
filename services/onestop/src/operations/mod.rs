//! The use cases, one a file: authorise, load, let the domain decide, write, commit.

mod accept_case;
pub(crate) mod act;
mod approve_case;
mod assign_case;
pub(crate) mod charges;
mod checks;
pub(crate) mod civil_decisions;
pub(crate) mod components;
pub(crate) mod counters;
mod create_draft;
pub(crate) mod decide_fact;
mod discard_draft;
pub(crate) mod drafting;
pub(crate) mod explain_deadline;
mod extend_deadline;
pub(crate) mod files;
pub(crate) mod follow_units;
mod forecast_deadlines;
pub mod generate;
pub mod import;
pub mod import_cases;
mod import_catalogue;
mod import_linked;
pub(crate) mod known_procedures;
pub(crate) mod linked;
mod lint_draft;
mod list_case_history;
mod list_cases;
mod list_cases_at_risk;
mod list_deadline_changes;
mod list_open_facts;
pub(crate) mod migrate_cases;
pub(crate) mod papers;
pub(crate) mod preview_calendar;
pub(crate) mod preview_migration;
mod procedures;
mod publish_draft;
mod rate_case;
mod rate_tracked_case;
pub(crate) mod read_case;
mod read_drafts;
mod read_migrations;
pub mod rebuild_leaves;
pub mod rebuild_statistics;
pub mod recalculate_deadlines;
mod record_step;
mod reject_case;
pub(crate) mod remind;
pub(crate) mod reports;
mod request_supplement;
pub(crate) mod results;
mod return_result;
mod search_cases;
pub(crate) mod simulate;
mod start_migration;
pub(crate) mod statistics;
mod stop_case;
pub(crate) mod submit_case;
mod supply_components;
mod track_case;
mod update_draft;
pub mod verify;
mod withdraw_case;
pub(crate) mod work;

use std::sync::Arc;

use egov_auth::{Caller, ReadRecord, ReadRecorder};
use egov_clock::{SharedClock, SharedIds};
use egov_database::{Database, PageTokens};
use egov_directory::{Directory, UnitKind, Whereabouts};
use egov_files::FileStore;
use egov_keyring::{Keyring, Purpose};
use jiff::civil::Date;
use uuid::Uuid;

use crate::domain::case::Case;
use crate::domain::civil_decision::BookProcedures;
use crate::domain::pack::{Level, Profile};
use crate::error::Error;
use crate::law::InForce;
use crate::payments::PaymentOrders;
use crate::population::PopulationQuestions;
use crate::press::PrintShop;
use crate::staffing::Holders;

pub(crate) use self::known_procedures::KnownProcedures;

/// What every use case works with.
pub struct OneStop {
    pub(crate) database: Database,
    pub(crate) pages: PageTokens,
    pub(crate) reads: Arc<ReadRecorder>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) files: Arc<dyn FileStore>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: SharedClock,
    pub(crate) ids: SharedIds,
    pub(crate) law: InForce,
    pub(crate) procedures: KnownProcedures,
    pub(crate) profile: Profile,
    /// Who holds which role where.
    pub(crate) holders: Arc<dyn Holders>,
    /// Where papers are printed.
    pub(crate) prints: PrintShop,
    /// Orders at the payment platform.
    pub(crate) payments: Arc<dyn PaymentOrders>,
    /// Questions to the population database.
    pub(crate) population: Arc<dyn PopulationQuestions>,
    /// Which procedures go into a book of civil status.
    pub(crate) books: BookProcedures,
    /// A sealed secret of no case, made at the start: the public look-up compares guesses at unknown codes with it.
    pub(crate) nobodys_secret: Vec<u8>,
}

/// A unit as a case needs it.
#[derive(Debug, Clone)]
pub(crate) struct KnownUnit {
    pub(crate) unit_id: i32,
    pub(crate) level: Option<Level>,
}

/// The level at which a unit of a kind handles procedures (cấp thực hiện).
pub(crate) fn level_of(kind: UnitKind) -> Option<Level> {
    match kind {
        UnitKind::Province | UnitKind::ProvinceDepartment => Some(Level::Province),
        UnitKind::Commune | UnitKind::Ward | UnitKind::CommuneDepartment | UnitKind::Township => Some(Level::Commune),
        // Cấp huyện ended on 2025-07-01.
        UnitKind::District | UnitKind::ProvincialCity | UnitKind::Town | UnitKind::Unspecified => None,
    }
}

impl OneStop {
    /// The unit that carries a code on a day. If one that has closed carried it, the refusal names its successor.
    pub(crate) fn unit(&self, code: &str, on: Date) -> Result<KnownUnit, Error> {
        let units = self.directory.units();
        let Some(unit) = units.resolve(code, on) else {
            let Some(closed) = units.last_closed(code, on) else {
                return Err(Error::UnitNotFound(code.to_owned()));
            };
            let successor = match units.whereabouts(closed.id, on) {
                Some(Whereabouts::MovedTo(to)) => Some((to.code.clone(), to.name.clone())),
                _ => None,
            };
            return Err(Error::UnitClosed {
                code: code.to_owned(),
                name: closed.name.clone(),
                successor,
            });
        };
        Ok(KnownUnit {
            unit_id: unit.id,
            level: level_of(unit.kind),
        })
    }

    /// The name of a unit; empty if it is not known.
    pub(crate) fn unit_name(&self, unit_id: i32) -> String {
        self.directory.unit(unit_id).map(|unit| unit.name).unwrap_or_default()
    }

    /// The look-up secret of a case, for the receipt.
    pub(crate) fn open_lookup_secret(&self, case: &Case) -> Result<String, Error> {
        self.open_sealed_secret(&case.lookup_secret, case.case_id)
    }

    /// A look-up secret that was sealed for a case.
    pub(crate) fn open_sealed_secret(&self, sealed: &[u8], case_id: Uuid) -> Result<String, Error> {
        let plain = self
            .keyring
            .open_sealed(Purpose::LookupSecrets, sealed, case_id.as_bytes())
            .map_err(egov_fault::Fault::internal)?;
        String::from_utf8(plain).map_err(|error| egov_fault::Fault::internal(error).into())
    }

    /// Records who reads whose data, for which purpose, before the data leaves.
    pub(crate) async fn record_read(
        &self,
        caller: &Caller,
        subjects: Vec<Uuid>,
        resources: Vec<String>,
    ) -> Result<(), Error> {
        Ok(self
            .reads
            .record(ReadRecord::of(caller, subjects, resources, self.clock.now()))
            .await?)
    }
}
