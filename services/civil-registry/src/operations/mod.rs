//! The use cases, one a file: authorise, load, let the domain decide, write, commit.

mod accept_old_page;
mod annotate_entry;
mod books;
mod correct_entry;
mod disclosing;
mod duplicates;
mod entries;
mod families;
pub mod generate;
mod old_books;
mod papers;
mod pending_decisions;
mod personal_numbers;
mod persons;
mod predicates;
mod programmes;
pub mod rebuild_leaves;
mod register_birth;
mod register_death;
mod register_marriage;
mod registration;
mod search_persons;
mod statistics;

use std::sync::Arc;

use egov_auth::{Access, Caller, ReadRecorder};
use egov_clock::SharedClock;
use egov_database::{Database, PageTokens, WriteRequest};
use egov_directory::{Directory, Unit, UnitKind};
use egov_transparency::Log;
use jiff::civil::Date;
use prost::Message;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::cases::CaseDecisions;
use crate::error::Error;
use crate::law::Law;
use crate::population::NumberAssigner;
use crate::press::PrintShop;

pub(crate) use annotate_entry::WantedAnnotation;
pub(crate) use books::WantedBook;
pub(crate) use correct_entry::WantedCorrection;
pub(crate) use duplicates::{ShownDuplicate, WantedRuling};
pub(crate) use entries::ListedEntry;
pub(crate) use families::{WantedAdoption, WantedGuardianship, WantedRecognition};
pub(crate) use old_books::{ShownOldBook, ShownOldPage, WantedOldBook, WantedPiece, WantedSettlement};
pub(crate) use papers::{PaperFilter, WantedPaper};
pub(crate) use pending_decisions::{Settling, What};
pub(crate) use personal_numbers::RequestFilter;
pub use personal_numbers::{PersonalNumbers, Round as NumberRound};
pub(crate) use predicates::{Question, WantedAnswer};
pub(crate) use programmes::{WantedSearch, WhichSearch};
pub(crate) use register_birth::WantedBirth;
pub(crate) use register_death::WantedDeath;
pub(crate) use register_marriage::WantedMarriage;
pub(crate) use registration::Signing;
pub(crate) use search_persons::{Found, WantedName, WantedPerson};
pub(crate) use statistics::{NamedFigures, StatisticsQuery, settled_until};
pub use statistics::{VerifiedFigures, verify_figures};

/// The permission by which a caller sees a book at all.
pub(crate) const READ_BOOKS: &str = "civil_registry.books.read";
/// The permission by which a caller sees what stands in it.
pub(crate) const READ_ENTRIES: &str = "civil_registry.entries.read";

/// What every use case works with.
pub(crate) struct CivilRegistry {
    pub(crate) database: Database,
    pub(crate) pages: PageTokens,
    pub(crate) reads: Arc<ReadRecorder>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: SharedClock,
    pub(crate) law: Law,
    /// The log, whose receipts papers carry.
    pub(crate) log: Arc<Log>,
    pub(crate) prints: PrintShop,
    /// Rings when a programme's message waits for its answer.
    pub(crate) searches_wait: Notify,
    /// Where the numbers of children are asked for.
    pub(crate) numbers: Arc<dyn NumberAssigner>,
    /// Who may do what: the registry enters by itself what a commune decided, with no more than the rights of its officer.
    pub(crate) access: Arc<Access>,
    /// One-stop's decisions.
    pub(crate) cases: Arc<dyn CaseDecisions>,
}

/// Which request it is, and its whole message.
pub(crate) struct Asked<'a, M> {
    pub(crate) request_id: Uuid,
    pub(crate) body: &'a M,
    pub(crate) method: &'static str,
}

impl<'a, M: Message> Asked<'a, M> {
    /// The write over the rows of this permission.
    fn write(&self, caller: &Caller, permission: &str) -> WriteRequest<'a, M> {
        WriteRequest::by(caller, permission, self.method, self.request_id, self.body)
    }
}

/// Who acts, as history keeps it.
#[derive(Clone, Copy, Debug)]
struct Actor {
    id: Uuid,
    kind: &'static str,
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self {
            id: caller.principal.subject,
            kind: caller.principal.kind.as_str(),
        }
    }
}

impl CivilRegistry {
    /// The commune or ward with this id on a day (xã, phường; thị trấn until 2025-06-30): since the two-level government it registers all civil
    /// status, also with a foreign element (NĐ 120/2025/NĐ-CP).
    fn commune(&self, unit_id: i32, on: Date) -> Result<Unit, Error> {
        self.directory
            .unit(unit_id)
            .filter(|unit| unit.in_force(on))
            .filter(|unit| matches!(unit.kind, UnitKind::Commune | UnitKind::Ward | UnitKind::Township))
            .ok_or(Error::UnitKeepsNoBooks(unit_id))
    }
}
