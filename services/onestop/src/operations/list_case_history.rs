//! ListCaseHistory (phiếu kiểm soát).

use egov_auth::Caller;
use egov_database::Page;
use uuid::Uuid;

use super::OneStop;
use super::act::READ;
use crate::domain::listing::HistoryEntry;
use crate::error::Error;
use crate::store::{Visible, cases, history};

impl OneStop {
    /// One page of the history of a case that the caller sees, oldest first.
    pub(crate) async fn list_case_history(
        &self,
        caller: &Caller,
        case_id: Uuid,
        page: Page<i64>,
    ) -> Result<(Vec<HistoryEntry>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let after = page.after().copied().unwrap_or(0);
        let limit = page.fetch();
        let (case, entries) = self
            .database
            .read(&scope, async |connection| {
                let case = cases::get(connection, case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                Ok::<_, Error>((case, history::list(connection, case_id, after, limit).await?))
            })
            .await?;
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;
        Ok(page.finish(entries, |entry| entry.version)?)
    }
}
