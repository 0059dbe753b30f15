//! GetCase.

use std::sync::Arc;

use egov_auth::Caller;
use sqlx::PgConnection;
use uuid::Uuid;

use super::OneStop;
use super::act::{READ, resource};
use super::charges::READ_FEES;
use crate::domain::case::Case;
use crate::domain::charge::Charge;
use crate::domain::listing::{HistoryEntry, Versioned};
use crate::error::Error;
use crate::store::{Visible, cases, charges, files, history};

/// How many entries of the history go with a case: more than any procedure has steps. The rest is paged through (ListCaseHistory).
const MOST_ENTRIES: i64 = 500;

/// What a case says by code, with its names, and what became of it.
pub(crate) struct Particulars {
    /// The version of its procedure; none if it is not known any more.
    pub(crate) procedure: Option<Arc<Versioned>>,
    /// Tên đơn vị giải quyết.
    pub(crate) unit_name: String,
    /// The names of its files.
    pub(crate) files: Vec<(Uuid, String)>,
    /// What is due; none if the caller does not read that.
    pub(crate) charge: Option<Charge>,
    /// Oldest first.
    pub(crate) history: Vec<HistoryEntry>,
    /// The version after which further entries follow; none if these are all.
    pub(crate) history_goes_on_after: Option<i64>,
}

impl OneStop {
    /// One case, with its particulars if they are wanted. The read is recorded before the case is given away.
    pub(crate) async fn read_case(
        &self,
        caller: &Caller,
        case_id: Uuid,
        with_particulars: bool,
    ) -> Result<(Case, Option<Particulars>), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (case, particulars) = self
            .database
            .read(&scope, async |connection| {
                let case = cases::get(&mut *connection, case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                let particulars = if with_particulars {
                    Some(self.particulars(connection, caller, &case, &visible).await?)
                } else {
                    None
                };
                Ok::<_, Error>((case, particulars))
            })
            .await?;
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;
        Ok((case, particulars))
    }

    async fn particulars(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
        case: &Case,
        visible: &Visible,
    ) -> Result<Particulars, Error> {
        let known = self
            .procedures
            .version(&mut *connection, &case.procedure_code, case.procedure_version)
            .await;
        // A case that was imported may have a version that nobody has any more.
        let procedure = match known {
            Ok(known) => Some(known),
            Err(Error::ProcedureNotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let charge = if caller.decide(READ_FEES, &resource(case)).allowed {
            let known = charges::get(&mut *connection, case.case_id, visible, false).await?;
            let assessed = procedure.as_ref().map(|procedure| {
                let fees = procedure.procedure.fees_for(case.channel, &case.conditions);
                Charge::assess(case, &fees)
            });
            known.or(assessed)
        } else {
            None
        };
        let files = files::names(&mut *connection, case.case_id).await?;
        // One more than is given tells whether more follow.
        let mut history = history::list(connection, case.case_id, 0, MOST_ENTRIES + 1).await?;
        let all = i64::try_from(history.len()).is_ok_and(|found| found <= MOST_ENTRIES);
        if !all {
            history.pop();
        }
        Ok(Particulars {
            procedure,
            unit_name: self.unit_name(case.responsible_unit_id),
            files,
            charge,
            history_goes_on_after: history.last().filter(|_| !all).map(|entry| entry.version),
            history,
        })
    }
}
