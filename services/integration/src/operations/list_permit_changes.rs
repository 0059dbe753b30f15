//! ListPermitChanges.

use egov_auth::{Caller, RowScope};
use egov_database::Database;
use egov_fault::Fault;
use egov_proto::egov::integration::v1::{ListPermitChangesRequest, ListPermitChangesResponse, PermitChange as Wire};
use uuid::Uuid;

use super::Integration;
use super::permission::READ_PERMITS;
use crate::domain::permit::PermitChange;
use crate::error::Error;
use crate::store;

/// How many agreements an answer holds at most.
const AT_ONCE: i64 = 500;

/// A place in the feed. The epoch changes when the database was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Of the database.
    pub epoch: i32,
    /// In the epoch; 0 is before everything.
    pub position: i64,
}

/// What the feed holds after a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Each agreement once.
    pub changes: Vec<PermitChange>,
    /// Where to go on.
    pub next: Place,
    /// These changes are all there is so far: forget what was known before.
    pub from_beginning: bool,
    /// More is to be had at once; this batch confirms nothing.
    pub more: bool,
}

/// Reads the feed after a place; a place of another epoch, or beyond the end, is the beginning.
pub(crate) async fn read(database: &Database, scope: &RowScope, after: Place) -> Result<Batch, Error> {
    let now = database.clock().now();
    database
        .read(scope, async |conn| {
            let (epoch, head) = store::permits::head(&mut *conn).await?;
            let known = after.epoch == epoch && after.position <= head;
            let position = if known { after.position } else { 0 };
            let places = if position == head {
                Vec::new()
            } else {
                store::permits::after(&mut *conn, position, AT_ONCE + 1).await?
            };
            let more = places.len() > AT_ONCE as usize;
            let taken: Vec<(Uuid, i64)> = places.into_iter().take(AT_ONCE as usize).collect();
            let ids: Vec<Uuid> = taken.iter().map(|(id, _)| *id).collect();
            let changes = if ids.is_empty() {
                Vec::new()
            } else {
                store::permits::of(conn, &ids, now).await?
            };
            let reached = taken.last().map_or(head, |(_, position)| *position);
            Ok(Batch {
                changes,
                next: Place {
                    epoch,
                    position: if more { reached } else { head },
                },
                from_beginning: position == 0,
                more,
            })
        })
        .await
}

impl Integration {
    /// What changed after a position.
    pub(crate) async fn list_permit_changes(
        &self,
        caller: &Caller,
        body: &ListPermitChangesRequest,
    ) -> Result<ListPermitChangesResponse, Error> {
        let after = Place {
            epoch: body.epoch,
            position: body.position,
        };
        let batch = read(&self.database, &caller.scope(READ_PERMITS), after).await?;
        let mut changes = Vec::new();
        for change in batch.changes {
            let permits: Result<Vec<String>, _> = change.permits.iter().map(serde_json::to_string).collect();
            changes.push(Wire {
                agreement_id: change.agreement_id.to_string(),
                permits: permits.map_err(Fault::internal)?,
            });
        }
        Ok(ListPermitChangesResponse {
            changes,
            position: batch.next.position,
            from_beginning: batch.from_beginning,
            more: batch.more,
            epoch: batch.next.epoch,
        })
    }
}
