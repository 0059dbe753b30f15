//! SetComponentState (trạng thái của thành phần hồ sơ).

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{SetComponentStateRequest, SetComponentStateResponse};
use uuid::Uuid;

use super::{Checked, OnComponents};
use crate::domain::case::Case;
use crate::domain::components::paper::StoredPaper;
use crate::domain::components::rules::PaperRules;
use crate::domain::components::{ComponentRefused, ComponentState, Data, SET_COMPONENT_STATE};
use crate::domain::statistics::day_of;
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::{Act, Facts, Recorded, Target, Version};
use crate::operations::checks::check_known;

pub(crate) const ACT: Act = Act {
    operation: SET_COMPONENT_STATE,
    event: "case_component_state_set",
    permission: "onestop.components.check",
    method: "egov.onestop.v1.ComponentService/SetComponentState",
    version: Version::OfTheCase,
};

/// What an officer says of a component.
pub(crate) struct Said<'a> {
    pub(crate) component_code: &'a str,
    pub(crate) state: ComponentState,
    pub(crate) reason: &'a str,
    pub(crate) register_code: &'a str,
}

/// The state: of a component of the procedure, and data only where the definition lets it stand and a register answers.
pub(crate) fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    rules: Option<&PaperRules>,
    said: &Said<'_>,
    officer: Uuid,
) -> Result<Recorded, Error> {
    let code = said.component_code;
    let procedure = &facts.procedure.procedure;
    check_known(procedure, [code])?;
    if said.state == ComponentState::ReplacedByData {
        if !procedure
            .component(code)
            .is_some_and(|component| component.data_allowed)
        {
            return Err(ComponentRefused::NotReusable(code.to_owned()).into());
        }
        let answering = rules.map(|rules| rules.answering(&case.procedure_code, code));
        let mut answering = answering.into_iter().flatten();
        let (register, _) = answering
            .find(|(register, _)| register.code == said.register_code)
            .ok_or_else(|| ComponentRefused::RegisterUnknown(said.register_code.to_owned()))?;
        let data = Data {
            component_code: code.to_owned(),
            source: register.name.clone(),
            paper_id: None,
            file_ids: Vec::new(),
            valid_until: None,
            reason: said.reason.to_owned(),
        };
        case.put_data(facts.transitions, data, officer, facts.now)?;
    } else {
        case.set_component_state(code, said.state, said.reason, officer, facts.now)?;
    }
    Ok(Recorded {
        reason: said.reason.to_owned(),
        details: serde_json::json!({
            "component": code,
            "component_state": said.state,
            "register": said.register_code,
        }),
        asked_for: match said.state {
            ComponentState::Needed => vec![code.to_owned()],
            _ => Vec::new(),
        },
        ..Recorded::default()
    })
}

impl OneStop {
    /// Says what was found out of a component.
    pub(crate) async fn set_component_state(
        &self,
        caller: &Caller,
        target: Target<'_, SetComponentStateRequest>,
        state: ComponentState,
        answer: impl FnOnce(&Checked) -> SetComponentStateResponse + Send,
    ) -> Result<SetComponentStateResponse, Error> {
        let officer = caller.principal.subject;
        let law = self.law.get();
        let body = target.body;
        let what = OnComponents {
            act: ACT,
            puts_data: (state == ComponentState::ReplacedByData).then(|| body.component_code.clone()),
            paper_id: None,
        };
        let judge = |case: &mut Case, facts: &Facts<'_>, _: Option<&StoredPaper>| {
            let said = Said {
                component_code: &body.component_code,
                state,
                reason: &body.reason,
                register_code: &body.register_code,
            };
            judge(case, facts, law.paper_rules_on(day_of(facts.now)), &said, officer)
        };
        self.act_on_components(caller, what, target, judge, answer).await
    }
}
