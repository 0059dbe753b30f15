//! ConfirmComponents (đối chiếu, số hoá thành phần hồ sơ).

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{ConfirmComponentsRequest, ConfirmComponentsResponse};
use uuid::Uuid;

use super::{Checked, OnComponents};
use crate::domain::case::Case;
use crate::domain::components::paper::StoredPaper;
use crate::domain::components::{CONFIRM_COMPONENTS, Confirmation};
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::{Act, Facts, Recorded, Target, Version};
use crate::operations::checks::check_known;

pub(crate) const ACT: Act = Act {
    operation: CONFIRM_COMPONENTS,
    event: "case_components_confirmed",
    permission: "onestop.components.check",
    method: "egov.onestop.v1.ComponentService/ConfirmComponents",
    version: Version::OfTheCase,
};

/// The confirmation: each component belongs to the procedure, and something is there that could be compared.
pub(crate) fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    confirmed: Vec<Confirmation>,
    officer: Uuid,
) -> Result<Recorded, Error> {
    let codes: Vec<String> = confirmed.iter().map(|one| one.component_code.clone()).collect();
    check_known(&facts.procedure.procedure, codes.iter().map(String::as_str))?;
    let file_ids: Vec<Uuid> = confirmed.iter().flat_map(|one| one.file_ids.clone()).collect();
    let scans = file_ids.len();
    case.confirm_components(confirmed, officer, facts.now)?;
    Ok(Recorded {
        details: serde_json::json!({ "components": codes, "scans": scans }),
        file_ids,
        ..Recorded::default()
    })
}

impl OneStop {
    /// Records that the files of components were compared with what was shown.
    pub(crate) async fn confirm_components(
        &self,
        caller: &Caller,
        target: Target<'_, ConfirmComponentsRequest>,
        confirmed: Vec<Confirmation>,
        answer: impl FnOnce(&Checked) -> ConfirmComponentsResponse + Send,
    ) -> Result<ConfirmComponentsResponse, Error> {
        let officer = caller.principal.subject;
        let what = OnComponents {
            act: ACT,
            puts_data: None,
            paper_id: None,
        };
        let judge =
            |case: &mut Case, facts: &Facts<'_>, _: Option<&StoredPaper>| judge(case, facts, confirmed, officer);
        self.act_on_components(caller, what, target, judge, answer).await
    }
}
