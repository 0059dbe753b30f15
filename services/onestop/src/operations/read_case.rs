//! GetCase.

use egov_auth::Caller;
use uuid::Uuid;

use super::OneStop;
use super::act::READ;
use crate::domain::case::Case;
use crate::error::Error;
use crate::store::{Visible, cases};

impl OneStop {
    /// One case. The read is recorded before the case is given away.
    pub(crate) async fn read_case(&self, caller: &Caller, case_id: Uuid) -> Result<Case, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let case = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(cases::get(connection, case_id, &visible).await?)
            })
            .await?
            .ok_or(Error::CaseNotFound)?;
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;
        Ok(case)
    }
}
