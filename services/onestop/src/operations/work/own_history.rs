//! ListOwnHistory: the applicant's own history, without internal notes and without the names of internal steps and officials.

use egov_auth::Caller;
use egov_database::Page;
use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::components::{CONFIRM_COMPONENTS, SET_COMPONENT_STATE};
use crate::domain::listing::HistoryEntry;
use crate::domain::results::is_of_results;
use crate::domain::transitions::{Operation, State};
use crate::domain::verify::{EXTEND_DEADLINE, MOVE_UNIT, RECALCULATE_DEADLINE};
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::resource;
use crate::store::{Visible, cases, history};

const READ: &str = "onestop.cases.read_own";

/// What happened, as the applicant sees it.
pub(crate) struct OwnEntry {
    pub(crate) version: i64,
    /// The act, if it is one towards the applicant; empty if the state changed inside the office.
    pub(crate) operation: String,
    pub(crate) to_state: State,
    /// What was said to the applicant.
    pub(crate) reason: String,
    pub(crate) legal_basis: String,
    pub(crate) record_time: Timestamp,
}

/// Acts inside the office: who does the work, and in which steps.
fn is_internal(operation: &str) -> bool {
    [Operation::Assign, Operation::RecordStep, Operation::SendBack]
        .iter()
        .any(|internal| internal.as_str() == operation)
        || [CONFIRM_COMPONENTS, SET_COMPONENT_STATE].contains(&operation)
}

/// Acts whose reason is addressed to the applicant.
fn speaks_to_applicant(operation: &str) -> bool {
    [
        Operation::Reject,
        Operation::RequestSupplement,
        Operation::Approve,
        Operation::Stop,
        Operation::Withdraw,
    ]
    .iter()
    .any(|open| open.as_str() == operation)
        || [MOVE_UNIT, EXTEND_DEADLINE, RECALCULATE_DEADLINE].contains(&operation)
        || is_of_results(operation)
}

/// An entry of the history as its applicant may read it: no internal step, no note, no official.
pub(crate) fn for_applicant(mut entry: HistoryEntry) -> HistoryEntry {
    entry.step.clear();
    if !speaks_to_applicant(&entry.operation) && !entry.is_for_applicant() {
        entry.reason.clear();
        entry.legal_basis.clear();
    }
    entry.details = serde_json::Value::Null;
    if entry.actor_kind == "staff" {
        entry.actor_id = Uuid::nil();
        entry.on_behalf_of = None;
    }
    entry
}

impl OneStop {
    /// One page of the history of one's own case, oldest first.
    pub(crate) async fn list_own_history(
        &self,
        caller: &Caller,
        case_id: Uuid,
        page: Page<i64>,
    ) -> Result<(Vec<OwnEntry>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().copied().unwrap_or(0), page.fetch());
        let (case, entries) = self
            .database
            .read(&scope, async |connection| {
                let case = cases::get(&mut *connection, case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                caller.require(READ, &resource(&case))?;
                Ok::<_, Error>((case, history::list_open(connection, case_id, after, limit).await?))
            })
            .await?;
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;
        let (entries, next) = page.finish(entries, |entry| entry.version)?;
        let shown = entries.into_iter().map(for_applicant).map(|entry| OwnEntry {
            version: entry.version,
            operation: if is_internal(&entry.operation) {
                String::new()
            } else {
                entry.operation
            },
            to_state: entry.to_state,
            reason: entry.reason,
            legal_basis: entry.legal_basis,
            record_time: entry.record_time,
        });
        Ok((shown.collect(), next))
    }
}
