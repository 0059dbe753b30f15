//! ReuseStoredPaper (tái sử dụng giấy tờ trong kho dữ liệu).

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{ReuseStoredPaperRequest, ReuseStoredPaperResponse};
use uuid::Uuid;

use super::{Checked, OnComponents};
use crate::domain::case::Case;
use crate::domain::components::paper::StoredPaper;
use crate::domain::components::rules::PaperRules;
use crate::domain::components::{ComponentRefused, Data, REUSE_PAPER};
use crate::domain::statistics::day_of;
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::{Act, Facts, Recorded, Target, Version};
use crate::operations::checks::check_known;

pub(crate) const ACT: Act = Act {
    operation: REUSE_PAPER,
    event: "case_paper_reused",
    permission: "onestop.papers.reuse",
    method: "egov.onestop.v1.ComponentService/ReuseStoredPaper",
    version: Version::OfTheCase,
};

/// Who reuses a paper.
#[derive(Clone, Copy)]
pub(crate) struct By {
    pub(crate) account: Uuid,
    /// Người nộp, and no official.
    pub(crate) is_applicant: bool,
}

/// The reuse: the paper is the owner's, holds today, and stands for the component; an applicant's only while something is awaited of them.
pub(crate) fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    rules: Option<&PaperRules>,
    (code, paper): (&str, &StoredPaper),
    by: By,
) -> Result<Recorded, Error> {
    let procedure = &facts.procedure.procedure;
    check_known(procedure, [code])?;
    if by.is_applicant {
        case.demand_awaited()?;
    }
    let component = procedure
        .component(code)
        .ok_or_else(|| Error::ComponentsUnknown(vec![code.to_owned()]))?;
    paper.demand_usable(case, component, (rules, facts.profile), day_of(facts.now))?;
    let data = Data {
        component_code: code.to_owned(),
        source: paper.source(),
        paper_id: Some(paper.paper_id),
        file_ids: paper.file_ids.clone(),
        valid_until: paper.valid_until,
        reason: String::new(),
        answer: None,
    };
    case.put_data(facts.transitions, data, by.account, facts.now)?;
    Ok(Recorded {
        details: serde_json::json!({ "component": code, "paper_id": paper.paper_id, "type_code": paper.type_code }),
        ..Recorded::default()
    })
}

impl OneStop {
    /// Puts a paper of the owner's store in the place of a component.
    pub(crate) async fn reuse_stored_paper(
        &self,
        caller: &Caller,
        target: Target<'_, ReuseStoredPaperRequest>,
        paper_id: Uuid,
        answer: impl FnOnce(&Checked) -> ReuseStoredPaperResponse + Send,
    ) -> Result<ReuseStoredPaperResponse, Error> {
        let by = By {
            account: caller.principal.subject,
            is_applicant: caller.principal.citizen().is_some(),
        };
        let law = self.law.get();
        let body = target.body;
        let what = OnComponents {
            act: ACT,
            puts_data: Some(body.component_code.clone()),
            paper_id: Some(paper_id),
        };
        let judge = |case: &mut Case, facts: &Facts<'_>, paper: Option<&StoredPaper>| {
            let paper = paper.ok_or(ComponentRefused::PaperNotFound)?;
            let rules = law.paper_rules_on(day_of(facts.now));
            judge(case, facts, rules, (&body.component_code, paper), by)
        };
        self.act_on_components(caller, what, target, judge, answer).await
    }
}
