//! What every act on a draft shares: who sees it, who may, what it leaves behind.

use egov_auth::{Caller, Resource};
use egov_database::{Event, Leaf, UnitOfWork, WriteRequest};
use egov_directory::UnitKind;
use prost::Message;
use uuid::Uuid;

use super::OneStop;
use crate::definition_error::DefinitionError;
use crate::domain::definition::draft::{Draft, DraftChange, DraftState};
use crate::error::Error;
use crate::store::{Visible, drafts};

/// The permission by which a caller sees drafts at all.
pub(crate) const READ: &str = "onestop.drafts.read";

/// The permission to write them.
pub(crate) const WRITE: &str = "onestop.drafts.write";

/// The kind of aggregate of events, and of resource of leaves.
pub(crate) const KIND: &str = "procedure_draft";

/// Which draft a request is about, and which request it is.
pub(crate) struct DraftTarget<'a, M> {
    /// Makes a repetition safe.
    pub(crate) request_id: Uuid,
    /// The whole request.
    pub(crate) body: &'a M,
    /// The draft.
    pub(crate) draft_id: Uuid,
    /// What the caller read.
    pub(crate) etag: &'a str,
}

/// How a change is recorded.
pub(crate) struct Change<'a> {
    /// create, update, publish, discard.
    pub(crate) operation: &'static str,
    /// The event, in the past tense.
    pub(crate) event: &'static str,
    /// What the caller needed.
    pub(crate) permission: &'static str,
    /// Căn cứ of a publication.
    pub(crate) legal_basis: &'a str,
    /// Why a publication accepts that it is unknown where roles are held; empty if it is known.
    pub(crate) accepted_unknown_holders: &'a str,
}

/// A draft as the decision function sees it.
pub(crate) fn resource(unit_id: i32) -> Resource {
    Resource {
        unit: Some(unit_id),
        owner: None,
        assignee: None,
    }
}

impl OneStop {
    /// The province, to which definitions belong; 0 while the tree is not known, and then nobody may.
    pub(crate) fn province(&self) -> i32 {
        let today = self.clock.today();
        let units = self.directory.units();
        units
            .on(today)
            .find(|unit| unit.kind == UnitKind::Province)
            .map_or(0, |unit| unit.id)
    }

    /// A draft that the caller sees.
    pub(crate) async fn draft(&self, caller: &Caller, draft_id: Uuid) -> Result<Draft, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        self.database
            .read(&scope, async |connection| {
                Ok::<_, Error>(drafts::get(connection, draft_id, &visible, false).await?)
            })
            .await?
            .ok_or_else(|| DefinitionError::DraftNotFound.into())
    }

    /// Changes an open draft at most once; `judge` says what it is afterwards.
    pub(crate) async fn change_draft<M, R>(
        &self,
        caller: &Caller,
        method: &'static str,
        target: DraftTarget<'_, M>,
        change: Change<'_>,
        judge: impl FnOnce(&Draft, jiff::Timestamp) -> Result<Draft, Error> + Send,
        answer: impl FnOnce(&Draft) -> R + Send,
    ) -> Result<R, Error>
    where
        M: Message,
        R: Message + Default,
    {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            method,
            target.request_id,
            target.body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let before =
                    open_draft(unit, &visible, target.draft_id, target.etag, caller, change.permission).await?;
                let after = judge(&before, unit.now())?;
                store_change(unit, caller, Some(&before), &after, &change).await?;
                Ok::<_, Error>(answer(&after))
            })
            .await?;
        Ok(written.into_answer())
    }
}

/// The open draft that a caller may change, held until the commit.
pub(crate) async fn open_draft(
    unit: &mut UnitOfWork<'_>,
    visible: &Visible,
    draft_id: Uuid,
    etag: &str,
    caller: &Caller,
    permission: &str,
) -> Result<Draft, Error> {
    let draft = drafts::get(unit.conn(), draft_id, visible, true)
        .await?
        .ok_or(DefinitionError::DraftNotFound)?;
    caller.require(permission, &resource(draft.responsible_unit_id))?;
    if draft.state != DraftState::Open {
        return Err(DefinitionError::DraftClosed.into());
    }
    if draft.etag() != etag {
        return Err(Error::StaleEtag);
    }
    Ok(draft)
}

/// Writes state, history, event and leaf of a change.
pub(crate) async fn store_change(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    before: Option<&Draft>,
    after: &Draft,
    change: &Change<'_>,
) -> Result<(), Error> {
    match before {
        None => drafts::insert(unit.conn(), after).await?,
        Some(before) => drafts::save(unit.conn(), before, after).await?,
    }
    let entry = DraftChange {
        draft_id: after.draft_id,
        version: after.version,
        operation: change.operation.to_owned(),
        state: after.state,
        definition: after.definition.clone(),
        note: after.note.clone(),
        legal_basis: change.legal_basis.to_owned(),
        published_version: after.published_version,
        actor_id: caller.principal.subject,
        on_behalf_of: caller.acting_for(change.permission, &resource(after.responsible_unit_id)),
        record_time: unit.now(),
        accepted_unknown_holders: change.accepted_unknown_holders.to_owned(),
    };
    drafts::append(unit.conn(), &entry).await?;
    let canonical = entry.canonical().map_err(egov_fault::Fault::internal)?;
    unit.publish(Event {
        aggregate_kind: KIND,
        aggregate_id: after.draft_id,
        version: after.version,
        kind: change.event,
        payload: serde_json::json!({
            "procedure_code": after.procedure_code,
            "state": after.state,
            "published_version": after.published_version,
        }),
    });
    unit.leaf(Leaf {
        kind: KIND,
        resource: after.draft_id,
        version: after.version,
        canonical: &canonical,
    });
    Ok(())
}

/// Whether a text is of this procedure, as far as it can be read: an unreadable one is nobody's yet.
pub(crate) fn check_procedure(definition: &str, procedure_code: &str) -> Result<(), Error> {
    match crate::domain::definition::text::read(definition).0 {
        Some(procedure) if procedure.code.as_str() != procedure_code => Err(DefinitionError::DraftOfAnother.into()),
        _ => Ok(()),
    }
}
