//! DiscardDraft: an open draft is given up.

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{DiscardDraftRequest, DiscardDraftResponse};

use super::OneStop;
use super::drafting::{Change, DraftTarget, WRITE};
use crate::domain::definition::draft::{Draft, DraftState};
use crate::error::Error;

const METHOD: &str = "egov.onestop.v1.DefinitionService/DiscardDraft";

impl OneStop {
    /// Gives the draft up.
    pub(crate) async fn discard_draft(
        &self,
        caller: &Caller,
        target: DraftTarget<'_, DiscardDraftRequest>,
        answer: impl FnOnce(&Draft) -> DiscardDraftResponse + Send,
    ) -> Result<DiscardDraftResponse, Error> {
        let note = target.body.note.trim();
        let change = Change {
            operation: "discard",
            event: "draft_discarded",
            permission: WRITE,
            legal_basis: "",
            accepted_unknown_holders: "",
        };
        self.change_draft(
            caller,
            METHOD,
            target,
            change,
            |draft, now| Ok(draft.changed(DraftState::Discarded, None, note, now)),
            answer,
        )
        .await
    }
}
