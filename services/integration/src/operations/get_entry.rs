//! GetEntry.

use egov_auth::Caller;
use uuid::Uuid;

use super::{Integration, READ};
use crate::domain::entry::Entry;
use crate::error::Error;
use crate::store::entries;

impl Integration {
    /// An entry that the caller sees.
    pub(crate) async fn get_entry(&self, caller: &Caller, entry_id: Uuid) -> Result<Entry, Error> {
        let scope = caller.scope(READ);
        self.database
            .read(&scope, async |connection| {
                entries::get(connection, entry_id, &scope)
                    .await?
                    .ok_or(Error::EntryNotFound)
            })
            .await
    }
}
