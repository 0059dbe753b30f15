//! GetCharge: what a case owes and what was paid.

use egov_auth::Caller;
use uuid::Uuid;

use super::READ_FEES;
use crate::domain::case::Case;
use crate::domain::charge::Charge;
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::resource;
use crate::store::{Visible, cases, charges};

impl OneStop {
    /// The charge of a case that the caller sees. The reading is recorded before it is given away.
    pub(crate) async fn get_charge(&self, caller: &Caller, case_id: Uuid) -> Result<(Charge, Case), Error> {
        let scope = caller.scope(READ_FEES);
        let visible = Visible::from(&scope);
        let (charge, case) = self
            .database
            .read(&scope, async |connection| {
                let case = cases::get(&mut *connection, case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                caller.require(READ_FEES, &resource(&case))?;
                let charge = match charges::get(&mut *connection, case_id, &visible, false).await? {
                    Some(charge) => charge,
                    None => {
                        let procedure = self
                            .procedures
                            .version(connection, &case.procedure_code, case.procedure_version)
                            .await?;
                        Charge::assess(&case, &procedure.procedure.fees_for(case.channel, &case.conditions))
                    }
                };
                Ok::<_, Error>((charge, case))
            })
            .await?;
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;
        Ok((charge, case))
    }
}
