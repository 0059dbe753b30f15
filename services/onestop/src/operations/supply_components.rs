//! SupplyComponents (bổ sung hồ sơ).

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use super::checks::{check_contents, check_shapes_and_forms};
use crate::domain::case::{Case, FiledComponent};
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{SupplyComponentsRequest, SupplyComponentsResponse};

pub(crate) const ACT: Act = Act {
    operation: "supply",
    event: "case_supplied",
    permission: "onestop.cases.supply",
    method: "egov.onestop.v1.CaseService/SupplyComponents",
    version: Version::OfTheCase,
};

/// The supplement: something stands behind each component.
pub(crate) fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    mut components: Vec<FiledComponent>,
) -> Result<Recorded, Error> {
    let procedure = &facts.procedure.procedure;
    check_contents(procedure, &components)?;
    check_shapes_and_forms(procedure, case.channel, &case.conditions, &mut components)?;
    let file_ids = components
        .iter()
        .flat_map(|component| component.file_ids.clone())
        .collect();
    let count = components.len();
    case.supply(facts.transitions, facts.now, components)?;
    Ok(Recorded {
        details: serde_json::json!({ "round": case.supplement_rounds, "components": count }),
        file_ids,
        ..Recorded::default()
    })
}

impl OneStop {
    /// Takes in what was asked for; where the clock goes on, the due date is worked out again.
    pub(crate) async fn supply_components(
        &self,
        caller: &Caller,
        target: Target<'_, SupplyComponentsRequest>,
        components: Vec<FiledComponent>,
        answer: impl FnOnce(&Case) -> SupplyComponentsResponse + Send,
    ) -> Result<SupplyComponentsResponse, Error> {
        self.act(
            caller,
            ACT,
            target,
            |case, facts| judge(case, facts, components),
            |case| Ok(answer(case)),
        )
        .await
    }
}
