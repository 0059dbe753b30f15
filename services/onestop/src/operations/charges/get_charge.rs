//! GetCharge: what a case owes and what was paid.

use std::ops::ControlFlow;

use egov_auth::{Caller, Resource};
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
        let mut competent = None;
        let (charge, case) = loop {
            match self.charge_in_sight(caller, case_id, competent).await? {
                ControlFlow::Break(read) => break read,
                // Another one than before only if the case has gone over to it meanwhile.
                ControlFlow::Continue(unit_id) => competent = Some(unit_id),
            }
        };
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;
        Ok((charge, case))
    }

    /// The charge in the caller's own scope. Of a case that the caller's unit received for another one it is read in the scope of that one: for
    /// this one case, once it was decided that the caller may; until then the competent unit is all that is told.
    async fn charge_in_sight(
        &self,
        caller: &Caller,
        case_id: Uuid,
        competent: Option<i32>,
    ) -> Result<ControlFlow<(Charge, Case), i32>, Error> {
        let mut scope = caller.scope(READ_FEES);
        let visible = Visible::from(&scope);
        scope.units.extend(competent);
        self.database
            .read(&scope, async |connection| {
                let case = cases::get(&mut *connection, case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                let mut charges_of = visible.clone();
                if !caller.decide(READ_FEES, &resource(&case)).allowed {
                    if !reads_at_the_desk(caller, &case) {
                        caller.require(READ_FEES, &resource(&case))?;
                    }
                    if competent != Some(case.responsible_unit_id) {
                        return Ok(ControlFlow::Continue(case.responsible_unit_id));
                    }
                    charges_of.units.push(case.responsible_unit_id);
                }
                let charge = match charges::get(&mut *connection, case_id, &charges_of, false).await? {
                    Some(charge) => charge,
                    None => {
                        let procedure = self
                            .procedures
                            .version(connection, &case.procedure_code, case.procedure_version)
                            .await?;
                        Charge::assess(&case, &procedure.procedure.fees_for(case.channel, &case.conditions))
                    }
                };
                Ok::<_, Error>(ControlFlow::Break((charge, case)))
            })
            .await
    }
}

/// Whether the caller reads what a case owes at the unit that received it for another one.
fn reads_at_the_desk(caller: &Caller, case: &Case) -> bool {
    let desk = case.received_elsewhere().map(Resource::of_unit);
    desk.is_some_and(|desk| caller.decide(READ_FEES, &desk).allowed)
}
