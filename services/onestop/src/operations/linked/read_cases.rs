//! GetLinkedCase, ListLinkedCases.

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::Page;
use uuid::Uuid;

use super::super::OneStop;
use super::super::act::READ;
use crate::domain::linked::LinkedCase;
use crate::error::Error;
use crate::linked_error::LinkedRefused;
use crate::store::Visible;
use crate::store::linked::{self, Listed, Place};

impl OneStop {
    /// One application. The read is recorded before it is given away.
    pub(crate) async fn get_linked_case(&self, caller: &Caller, linked_case_id: Uuid) -> Result<LinkedCase, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let application = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(linked::get(connection, linked_case_id, &visible, false).await?)
            })
            .await?
            .ok_or(LinkedRefused::NotFound)?;
        self.record_read(
            caller,
            application.owner_id.into_iter().collect(),
            vec![format!("linked_cases/{}", application.code)],
        )
        .await?;
        Ok(application)
    }

    /// One page of the applications that the caller sees, newest first.
    pub(crate) async fn list_linked_cases(
        &self,
        caller: &Caller,
        case_id: Option<Uuid>,
        to_decide: bool,
        page: Page<Place>,
    ) -> Result<(Vec<LinkedCase>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().copied(), page.fetch());
        let listed = Listed { case_id, to_decide };
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(linked::list(connection, &visible, listed, after, limit).await?)
            })
            .await?;
        let (rows, next) = page.finish(rows, |row| Place {
            time: row.submit_time,
            id: row.linked_case_id,
        })?;
        let read = rows
            .iter()
            .map(|row| (row.owner_id, format!("linked_cases/{}", row.code)));
        let record = ReadRecord::of_each(caller, read, self.clock.now());
        self.reads.record(record).await?;
        Ok((rows, next))
    }

    /// Which members' cases the caller may read by its units, or as the owner.
    pub(crate) fn reads_member(caller: &Caller, application: &LinkedCase, unit_id: i32) -> bool {
        let scope = caller.scope(READ);
        scope.all
            || scope.units.contains(&unit_id)
            || (application.owner_id.is_some() && scope.owner == application.owner_id)
    }
}
