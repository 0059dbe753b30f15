//! SearchPersons.

use egov_auth::{Caller, ReadRecord, RowScope};
use egov_clock::Clock as _;
use egov_codes::PersonalNumber;
use egov_database::Page;
use uuid::Uuid;

use super::{CivilRegistry, READ_ENTRIES};
use crate::error::Error;
use crate::store::person_search;

pub(crate) use crate::store::person_search::{Found, WantedName};

/// Who is looked for: by a name, by a number, or by both at once. Nobody is found by neither.
pub(crate) struct WantedPerson {
    pub(crate) name: Option<WantedName>,
    pub(crate) personal_number: Option<PersonalNumber>,
}

impl CivilRegistry {
    /// The persons after an id, by id, of whom entries in a scope tell so. Whoever shows them records it.
    pub(super) async fn find_persons(
        &self,
        wanted: &WantedPerson,
        scope: &RowScope,
        (after, limit): (Uuid, i64),
    ) -> Result<Vec<Found>, Error> {
        self.database
            // Each statement leaves one way only: by number, or along one word of a name.
            .read_by_kept_plans(scope, async |connection| {
                let holder = match &wanted.personal_number {
                    None => None,
                    Some(number) => match person_search::numbered(&mut *connection, number.reveal()).await? {
                        None => return Ok(Vec::new()),
                        holder => holder,
                    },
                };
                let persons = match &wanted.name {
                    Some(name) => person_search::named(&mut *connection, name, holder, scope, (after, limit)).await?,
                    None => holder.into_iter().filter(|holder| *holder > after).collect(),
                };
                Ok::<_, Error>(person_search::newest(connection, &persons, scope).await?)
            })
            .await
    }

    /// One page of the persons of whom entries in the caller's scope tell so, with one record of reading for the whole page.
    pub(crate) async fn search_persons(
        &self,
        caller: &Caller,
        wanted: &WantedPerson,
        page: Page<Uuid>,
    ) -> Result<(Vec<Found>, String), Error> {
        let scope = caller.scope(READ_ENTRIES);
        let (after, limit) = (page.after().copied().unwrap_or_default(), page.fetch());
        let rows = self.find_persons(wanted, &scope, (after, limit)).await?;
        let (rows, next) = page.finish(rows, |found: &Found| found.person_id)?;
        let read = rows
            .iter()
            .map(|found| (Some(found.person_id), format!("civil_persons/{}", found.person_id)));
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        Ok((rows, next))
    }
}
