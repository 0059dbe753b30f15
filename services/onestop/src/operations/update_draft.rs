//! UpdateDraft: the text of an open draft is replaced. A text that cannot be read may be kept while it is written.

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{UpdateDraftRequest, UpdateDraftResponse};

use super::OneStop;
use super::drafting::{Change, DraftTarget, WRITE, check_procedure};
use crate::domain::definition::draft::{Draft, DraftState};
use crate::error::Error;

const METHOD: &str = "egov.onestop.v1.DefinitionService/UpdateDraft";

impl OneStop {
    /// Replaces the text.
    pub(crate) async fn update_draft(
        &self,
        caller: &Caller,
        target: DraftTarget<'_, UpdateDraftRequest>,
        answer: impl FnOnce(&Draft) -> UpdateDraftResponse + Send,
    ) -> Result<UpdateDraftResponse, Error> {
        let body = target.body;
        let change = Change {
            operation: "update",
            event: "draft_updated",
            permission: WRITE,
            legal_basis: "",
            accepted_unknown_holders: "",
        };
        self.change_draft(
            caller,
            METHOD,
            target,
            change,
            |draft, now| {
                check_procedure(&body.definition, &draft.procedure_code)?;
                Ok(draft.changed(DraftState::Open, Some(body.definition.clone()), body.note.trim(), now))
            },
            answer,
        )
        .await
    }
}
