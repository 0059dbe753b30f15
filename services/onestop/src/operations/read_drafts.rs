//! GetDraft, ListDrafts, ListDraftChanges.

use egov_auth::Caller;
use egov_database::Page;
use uuid::Uuid;

use super::OneStop;
use super::drafting::READ;
use crate::domain::definition::draft::{AfterDraft, Draft, DraftChange, DraftFilter};
use crate::error::Error;
use crate::store::{Visible, drafts};

impl OneStop {
    /// One page of the drafts that the caller sees, the newest first.
    pub(crate) async fn list_drafts(
        &self,
        caller: &Caller,
        filter: DraftFilter,
        page: Page<AfterDraft>,
    ) -> Result<(Vec<Draft>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(drafts::list(connection, &visible, &filter, after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| AfterDraft {
            create_time: row.create_time,
            draft_id: row.draft_id,
        })?)
    }

    /// One page of the changes of a draft, the first change first.
    pub(crate) async fn list_draft_changes(
        &self,
        caller: &Caller,
        draft_id: Uuid,
        page: Page<i64>,
    ) -> Result<(Vec<DraftChange>, String), Error> {
        let draft = self.draft(caller, draft_id).await?;
        let (after, limit) = (page.after().copied().unwrap_or_default(), page.fetch());
        let rows = self
            .database
            .read(&caller.scope(READ), async |connection| {
                Ok::<_, Error>(drafts::changes(connection, draft.draft_id, after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| row.version)?)
    }
}
