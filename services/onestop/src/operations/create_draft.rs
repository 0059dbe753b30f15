//! CreateDraft: a version of a procedure begins to be written.

use egov_auth::Caller;
use egov_database::{UnitOfWork, WriteRequest};
use egov_proto::egov::onestop::v1::{CreateDraftRequest, CreateDraftResponse};
use uuid::Uuid;

use super::OneStop;
use super::drafting::{Change, READ, WRITE, check_procedure, resource, store_change};
use crate::domain::definition::draft::{Draft, DraftState};
use crate::domain::definition::text;
use crate::error::Error;
use crate::store::procedures;

const METHOD: &str = "egov.onestop.v1.DefinitionService/CreateDraft";

impl OneStop {
    /// Begins a draft with a text, or with that of the version on which it builds.
    pub(crate) async fn create_draft(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &CreateDraftRequest,
        answer: impl FnOnce(&Draft) -> CreateDraftResponse + Send,
    ) -> Result<CreateDraftResponse, Error> {
        let province = self.province();
        caller.require(WRITE, &resource(province))?;
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            caller.scope(READ),
            METHOD,
            request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let code = &body.procedure_code;
                let base = if body.base_version > 0 {
                    procedures::version(unit.conn(), code, body.base_version).await?
                } else {
                    procedures::latest(unit.conn(), code).await?
                };
                let definition = match (&base, body.definition.is_empty()) {
                    (_, false) => body.definition.clone(),
                    (Some(base), true) => text::written(&base.procedure, base.version.saturating_add(1))
                        .map_err(egov_fault::Fault::internal)?,
                    (None, true) => return Err(Error::ProcedureNotFound(code.clone())),
                };
                if body.base_version > 0 && base.is_none() {
                    return Err(Error::ProcedureNotFound(code.clone()));
                }
                check_procedure(&definition, code)?;
                let now = unit.now();
                let draft = Draft {
                    draft_id: unit.new_id(),
                    procedure_code: code.clone(),
                    base_version: base.map(|base| base.version),
                    state: DraftState::Open,
                    definition,
                    note: body.note.trim().to_owned(),
                    published_version: None,
                    responsible_unit_id: province,
                    version: 1,
                    create_time: now,
                    update_time: now,
                };
                let change = Change {
                    operation: "create",
                    event: "draft_created",
                    permission: WRITE,
                    legal_basis: "",
                    accepted_unknown_holders: "",
                };
                store_change(unit, caller, None, &draft, &change).await?;
                Ok::<_, Error>(answer(&draft))
            })
            .await?;
        Ok(written.into_answer())
    }
}
