//! CorrectResult (đính chính kết quả).

use egov_auth::Caller;
use egov_clock::Ids as _;
use egov_proto::egov::onestop::v1::{CorrectResultRequest, CorrectResultResponse};

use crate::domain::case::Case;
use crate::domain::results::{CORRECT_RESULT, Wording, Words};
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::{Act, Recorded, Target, Version};

pub(crate) const ACT: Act = Act {
    operation: CORRECT_RESULT,
    event: "case_result_corrected",
    permission: "onestop.results.amend",
    method: "egov.onestop.v1.ResultService/CorrectResult",
    version: Version::OfTheCase,
};

impl OneStop {
    /// Puts another wording of a result in the place of the one before, which stays.
    pub(crate) async fn correct_result(
        &self,
        caller: &Caller,
        target: Target<'_, CorrectResultRequest>,
        (wording, words): (Wording, Words),
        answer: impl FnOnce(&Case) -> CorrectResultResponse + Send,
    ) -> Result<CorrectResultResponse, Error> {
        let number = target.body.result_number;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| {
                let (reason, legal_basis) = (words.reason.clone(), words.legal_basis.clone());
                let file_ids = wording.file.iter().map(|file| file.file_id).collect();
                let unit_id = case.responsible_unit_id;
                self.make_version(unit_id, caller.principal.subject, facts, |making| {
                    case.correct_result(number, wording, words, self.ids.uuid(), making)
                })?;
                let version = case.versions_made().next().map(|made| made.version);
                Ok(Recorded {
                    reason,
                    legal_basis,
                    details: serde_json::json!({ "result": number, "version": version }),
                    file_ids,
                    ..Recorded::default()
                })
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
