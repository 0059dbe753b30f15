//! PublishDraft (ban hành): a draft becomes the next version of its procedure, which never changes again. Cases keep theirs.

use egov_auth::Caller;
use egov_database::{UnitOfWork, WriteRequest};
use egov_proto::egov::onestop::v1::{PublishDraftRequest, PublishDraftResponse};

use super::OneStop;
use super::drafting::{Change, DraftTarget, READ, open_draft, store_change};
use crate::definition_error::DefinitionError;
use crate::domain::definition::draft::{Draft, DraftState};
use crate::domain::definition::lint::{Finding, is_publishable, is_publishable_without_holders};
use crate::domain::listing::{NewVersion, Origin, Versioned};
use crate::error::Error;
use crate::store::{Visible, procedures};

const METHOD: &str = "egov.onestop.v1.DefinitionService/PublishDraft";
const PUBLISH: &str = "onestop.procedures.publish";

impl OneStop {
    /// Publishes a draft that the linter lets through. Where a role is held must be known, or the caller says why it is published all the
    /// same.
    pub(crate) async fn publish_draft(
        &self,
        caller: &Caller,
        token: &str,
        target: DraftTarget<'_, PublishDraftRequest>,
        answer: impl FnOnce(&Draft, &Versioned, &[Finding]) -> PublishDraftResponse + Send,
    ) -> Result<PublishDraftResponse, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        // Identity is asked before the transaction begins; the etag says that it is the same text that is published. A draft that
        // is gone is told by the transaction, which also knows a request that was answered before.
        let linted = match self.draft(caller, target.draft_id).await {
            Ok(draft) => Some((draft.etag(), self.lint_text(caller, token, &draft.definition).await)),
            Err(_) => None,
        };
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            METHOD,
            target.request_id,
            target.body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let before = open_draft(unit, &visible, target.draft_id, target.etag, caller, PUBLISH).await?;
                let (findings, procedure) = match linted {
                    Some((etag, linted)) if etag == before.etag() => (linted.findings, linted.procedure),
                    _ => return Err(Error::StaleEtag),
                };
                // A reason that was not needed is not kept: it would say of a version that something of it was unknown.
                let accepted = match target.body.accept_unknown_holders_reason.trim() {
                    _ if is_publishable(&findings) => "",
                    reason if !reason.is_empty() && is_publishable_without_holders(&findings) => reason,
                    _ => return Err(DefinitionError::DraftNotPublishable(findings).into()),
                };
                let Some(procedure) = procedure else {
                    return Err(DefinitionError::DraftNotPublishable(findings).into());
                };
                let new = self.next_version(unit, &before, procedure).await?;
                let now = unit.now();
                procedures::insert(unit.conn(), std::slice::from_ref(&new), now).await?;
                let mut after = before.changed(DraftState::Published, None, &before.note, now);
                after.published_version = Some(new.versioned.version);
                let change = Change {
                    operation: "publish",
                    event: "procedure_published",
                    permission: PUBLISH,
                    legal_basis: target.body.legal_basis.trim(),
                    accepted_unknown_holders: accepted,
                };
                store_change(unit, caller, Some(&before), &after, &change).await?;
                Ok::<_, Error>(answer(&after, &new.versioned, &findings))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// The version that a draft makes: the next number, in force from the day that it says.
    async fn next_version(
        &self,
        unit: &mut UnitOfWork<'_>,
        draft: &Draft,
        mut procedure: crate::domain::pack::Procedure,
    ) -> Result<NewVersion, Error> {
        procedures::hold(unit.conn(), &draft.procedure_code).await?;
        let latest = procedures::latest(unit.conn(), &draft.procedure_code).await?;
        // Versions follow one another in time as they do by number; a case filed yesterday keeps the one of yesterday.
        let earliest = latest
            .as_ref()
            .map_or_else(|| unit.today(), |latest| unit.today().max(latest.effective_from));
        if procedure.effective_from < earliest {
            return Err(Error::EffectiveTooEarly(earliest));
        }
        procedure.version = latest.map_or(1, |latest| latest.version.saturating_add(1));
        let content = serde_json::to_vec(&procedure).map_err(egov_fault::Fault::internal)?;
        Ok(NewVersion {
            versioned: Versioned {
                version: procedure.version,
                effective_from: procedure.effective_from,
                effective_to: procedure.effective_to,
                procedure,
            },
            origin: Origin::Draft,
            content_sha256: super::import::sha256(&content),
        })
    }
}
