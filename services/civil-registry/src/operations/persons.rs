//! GetPerson.

use std::collections::BTreeSet;

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use uuid::Uuid;

use super::{CivilRegistry, READ_ENTRIES};
use crate::domain::entry::{Particulars, Relation};
use crate::error::Error;
use crate::store::person_index;

pub(crate) use crate::store::person_index::Told;

/// What is told of a person and of the family.
pub(crate) struct ShownPerson {
    pub(crate) particulars: Vec<Told<Particulars>>,
    pub(crate) relations: Vec<Told<Relation>>,
}

impl CivilRegistry {
    /// A person as the entries in the caller's scope tell of it. The read is recorded, of everybody who is named, before it is given away.
    pub(crate) async fn get_person(&self, caller: &Caller, person_id: Uuid) -> Result<ShownPerson, Error> {
        let scope = caller.scope(READ_ENTRIES);
        let shown = self
            .database
            .read(&scope, async |connection| {
                let particulars = person_index::particulars(&mut *connection, person_id, &scope).await?;
                if particulars.is_empty() {
                    return Err(Error::PersonNotFound);
                }
                let relations = person_index::relations(connection, person_id, &scope).await?;
                Ok::<_, Error>(ShownPerson { particulars, relations })
            })
            .await?;
        let relatives = shown.relations.iter().map(|told| &told.what);
        let named: BTreeSet<Uuid> = relatives
            .flat_map(|relation| [relation.person_id, relation.relative_id])
            .chain([person_id])
            .collect();
        let read = named
            .into_iter()
            .map(|person| (Some(person), format!("civil_persons/{person_id}")));
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        Ok(shown)
    }
}
