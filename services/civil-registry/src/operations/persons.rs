//! GetPerson.

use std::collections::BTreeSet;

use egov_auth::{Caller, ReadRecord, RowScope};
use egov_clock::Clock as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::disclosing::Guard;
use super::duplicates::same_as;
use super::{CivilRegistry, READ_ENTRIES};
use crate::domain::as_of::{self, AsOf, Told};
use crate::domain::entry::{Details, Particulars, Relation};
use crate::domain::personal_number::NumberRequest;
use crate::error::Error;
use crate::store::{entries, person_index, personal_numbers};

/// What is told of a person and of the family.
pub(crate) struct ShownPerson {
    pub(crate) particulars: Vec<Told<Particulars>>,
    pub(crate) relations: Vec<Told<Relation>>,
    /// The number that came after the birth was entered, if one did.
    pub(crate) number: Option<NumberRequest>,
    /// Who was decided to be the same person.
    pub(crate) same_as: Vec<Uuid>,
}

/// What these entries tell of a person, worked out from them: on a day what each said then, or all that each told; of what is guarded as far as it is
/// open.
async fn worked_out(
    connection: &mut PgConnection,
    (person_id, told_by): (Uuid, &[Uuid]),
    (scope, guard): (&RowScope, &Guard),
    at: AsOf,
) -> Result<Vec<Told<Particulars>>, Error> {
    let mut found = Vec::new();
    for entry in entries::of_ids(&mut *connection, told_by, scope).await? {
        // What a correction tells is told with the entry that it corrects.
        if matches!(entry.content.details, Details::Correction(_)) {
            continue;
        }
        let corrected_by = entries::correcting(&mut *connection, entry.entry_id, scope).await?;
        let held = as_of::holding(&corrected_by, at, guard.opens(entry.unit_id));
        if at.valid_on.is_some() {
            found.extend(as_of::standing(&entry, &held, person_id, at));
        } else {
            found.extend(as_of::told(&entry, &held, person_id));
        }
    }
    found.sort_by_key(|told| (told.record_time, told.entry_id));
    Ok(found)
}

impl CivilRegistry {
    /// A person as the entries in the caller's scope tell of it, at two times. The read is recorded, of everybody who is named, before it is given away.
    pub(crate) async fn get_person(&self, caller: &Caller, person_id: Uuid, at: AsOf) -> Result<ShownPerson, Error> {
        let scope = caller.scope(READ_ENTRIES);
        let guard = Guard::of(caller);
        let shown = self
            .database
            .read(&scope, async |connection| {
                let mut rows = person_index::particulars(&mut *connection, person_id, &scope).await?;
                rows.retain(|told| at.knows(told.record_time));
                if rows.is_empty() {
                    return Err(Error::PersonNotFound);
                }
                let versions = person_index::relations(&mut *connection, person_id, &scope, guard.rows()).await?;
                let number = personal_numbers::assigned(&mut *connection, person_id, &scope).await?;
                let number = number.filter(|number| {
                    at.knows(number.record_time) && number.assign_date.is_some_and(|from| at.has_begun(from))
                });
                let same_as = same_as(&mut *connection, person_id, &scope, at).await?;
                let particulars = if at.valid_on.is_none() && guard.opens_all(&scope) {
                    rows
                } else {
                    let told_by: Vec<Uuid> = rows.iter().map(|told| told.entry_id).collect();
                    worked_out(connection, (person_id, &told_by), (&scope, &guard), at).await?
                };
                Ok::<_, Error>(ShownPerson {
                    particulars,
                    relations: as_of::family(versions, at),
                    number,
                    same_as,
                })
            })
            .await?;
        let relatives = shown.relations.iter().map(|told| &told.what);
        let named: BTreeSet<Uuid> = relatives
            .flat_map(|relation| [relation.person_id, relation.relative_id])
            .chain([person_id])
            .chain(shown.same_as.iter().copied())
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
