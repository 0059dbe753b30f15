//! AnnotateEntry (ghi chú hộ tịch).

use std::collections::BTreeSet;

use egov_auth::{Caller, Resource};
use egov_database::{Event, Leaf, UnitOfWork, violates};
use egov_fault::Fault;
use jiff::civil::Date;
use prost::Message;
use uuid::Uuid;

use super::register_marriage::{family, relations_of};
use super::{Actor, Asked, CivilRegistry, READ_ENTRIES, entries as registrations};
use crate::domain::annotation::{Annotation, AnnotationKind, Note, Standing, adoption_after, judge, marriage_after};
use crate::domain::entry::{Details, Entry, Relation, RelationKind};
use crate::domain::guarded;
use crate::domain::marriage::Family;
use crate::error::Error;
use crate::store::persons::{self, Source};
use crate::store::{StoreError, annotations, deaths, entries, families};

const ANNOTATE: &str = "civil_registry.entries.annotate";

/// Of leaves of annotations; their events are the entry's.
pub(crate) const KIND: &str = "civil_annotation";

/// An annotation as somebody wants to note it.
pub(crate) struct WantedAnnotation {
    pub(crate) entry_id: Uuid,
    pub(crate) kind: AnnotationKind,
    pub(crate) note: Note,
    /// Today if it is not said.
    pub(crate) note_date: Option<Date>,
    pub(crate) cancels: Option<Uuid>,
}

/// The marriage that an entry tells of, as it stands once it is the turn of whoever notes something of it.
struct Marriage {
    current: Relation,
    death: Option<Date>,
    /// Of the two, without this marriage.
    others: Family,
}

impl Marriage {
    async fn of(unit: &mut UnitOfWork<'_>, told: Relation) -> Result<Self, Error> {
        let both = [told.person_id, told.relative_id];
        let relations = relations_of(unit, both).await?;
        let died = deaths::of_persons(unit.conn(), &both).await?;
        let others = family(unit, both, &relations, Some(told.relation_id)).await?;
        let newest = relations
            .into_iter()
            .find(|relation| relation.relation_id == told.relation_id);
        Ok(Self {
            current: newest.unwrap_or(told),
            death: died.into_iter().map(|(_, day)| day).min(),
            others,
        })
    }

    fn standing(&self) -> Standing<'_> {
        Standing {
            current: &self.current,
            death: self.death,
        }
    }

    /// Whether one of the two has married since it ended, so that nothing restores it beside that marriage.
    fn is_followed(&self) -> bool {
        self.current.valid_to.is_some_and(|ended| {
            [self.current.person_id, self.current.relative_id]
                .into_iter()
                .any(|person| self.others.married_day(person, ended).is_some())
        })
    }
}

/// The adoption that an entry tells of, as it stands once it is the turn of whoever notes something of it; nothing if it tells of none.
#[derive(Default)]
struct Adopted {
    /// Its relations, each in its newest version, in the order of their ids.
    own: Vec<Relation>,
    /// True if the child is adopted by somebody else now, so that nothing restores this adoption beside that one.
    is_followed: bool,
}

impl Adopted {
    async fn of(unit: &mut UnitOfWork<'_>, entry: &Entry) -> Result<Self, Error> {
        let Details::Adoption(adoption) = &entry.content.details else {
            return Ok(Self::default());
        };
        families::take_turn(unit.conn(), &registrations::subjects(entry)).await?;
        let told: BTreeSet<Uuid> = persons::relations_of(unit.conn(), &[entry.entry_id])
            .await?
            .into_iter()
            .map(|(_, relation)| relation.relation_id)
            .collect();
        let child = adoption.child.person_id;
        let all = families::standing_of(unit.conn(), &[child], &[RelationKind::AdoptiveParent]).await?;
        let (own, others): (Vec<Relation>, Vec<Relation>) = all
            .into_iter()
            .partition(|relation| told.contains(&relation.relation_id));
        Ok(Self {
            own,
            is_followed: others.iter().any(|other| other.valid_to.is_none()),
        })
    }
}

impl CivilRegistry {
    /// Puts a note beside an entry.
    pub(crate) async fn annotate_entry<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedAnnotation,
        answer: impl FnOnce(&Annotation) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ_ENTRIES);
        let written = self
            .database
            .write(asked.write(caller, READ_ENTRIES), async |unit: &mut UnitOfWork<'_>| {
                let entry = entries::get(unit.conn(), wanted.entry_id, &scope)
                    .await?
                    .ok_or(Error::EntryNotFound)?;
                caller.require(ANNOTATE, &Resource::of_unit(entry.unit_id))?;
                let cancelled = match wanted.cancels {
                    Some(id) => annotations::get(unit.conn(), id, &scope).await?,
                    None => None,
                };
                let told = if wanted.kind == AnnotationKind::Marriage {
                    families::marriage_of(unit.conn(), entry.entry_id, &scope).await?
                } else {
                    None
                };
                let marriage = match told {
                    Some(told) => Some(Marriage::of(unit, told).await?),
                    None => None,
                };
                let adopted = if wanted.kind == AnnotationKind::Adoption {
                    Adopted::of(unit, &entry).await?
                } else {
                    Adopted::default()
                };
                let (now, today) = (unit.now(), unit.today());
                let note_date = wanted.note_date.unwrap_or(today);
                judge(
                    &entry,
                    (wanted.kind, &wanted.note, note_date),
                    wanted.cancels,
                    cancelled.as_ref(),
                    (marriage.as_ref().map(Marriage::standing), adopted.own.as_slice()),
                    today,
                )?;
                let of_marriage = marriage
                    .as_ref()
                    .and_then(|one| marriage_after(&one.standing(), &wanted.note, cancelled.as_ref()));
                // A note is of a marriage or of an adoption, and changes nothing of the other.
                let mut changed = adoption_after(&adopted.own, &wanted.note, cancelled.as_ref());
                changed.extend(of_marriage);
                let restores = !changed.is_empty() && wanted.cancels.is_some();
                if restores && marriage.as_ref().is_some_and(Marriage::is_followed) {
                    return Err(Error::MarriedSince);
                }
                if restores && adopted.is_followed {
                    return Err(Error::AdoptedSince);
                }
                // From here on everybody else who notes something beside this entry waits for the commit.
                let position = unit
                    .next_number(&entry.entry_id.to_string(), "civil.annotation", "all")
                    .await?;
                let actor = Actor::from(caller);
                let annotation = Annotation {
                    annotation_id: unit.new_id(),
                    entry_id: entry.entry_id,
                    unit_id: entry.unit_id,
                    position: i32::try_from(position).map_err(Fault::internal)?,
                    kind: wanted.kind,
                    note_date,
                    note: wanted.note,
                    cancels: wanted.cancels,
                    actor_id: actor.id,
                    actor_kind: actor.kind.to_owned(),
                    record_time: now,
                };
                let content = serde_json::to_string(&annotation.note).map_err(Fault::internal)?;
                annotations::insert(unit.conn(), &annotation, &content)
                    .await
                    .map_err(|error| match error {
                        StoreError::Sql(sql) if violates(&sql, "annotations_cancelled_once") => {
                            Error::AnnotationCancelled
                        }
                        error => error.into(),
                    })?;
                let source = Source {
                    entry_id: entry.entry_id,
                    unit_id: entry.unit_id,
                    record_time: now,
                };
                for relation in &changed {
                    families::add_by_annotation(unit.conn(), source, annotation.annotation_id, relation).await?;
                }
                unit.publish(Event {
                    aggregate_kind: registrations::KIND,
                    aggregate_id: entry.entry_id,
                    // The entry itself was the first.
                    version: position + 1,
                    kind: "civil_entry_annotated",
                    payload: serde_json::json!({
                        "responsible_unit_id": entry.unit_id,
                        "annotation_id": annotation.annotation_id,
                        // Of what is guarded an event tells no more than that something was noted.
                        "kind": (!guarded::is_guarded_note(annotation.kind)).then_some(annotation.kind),
                        "cancels": annotation.cancels,
                        "marriage_outcome": annotation.note.marriage_outcome,
                    }),
                });
                let canonical = annotation.canonical(&changed).map_err(Fault::internal)?;
                unit.leaf(Leaf {
                    kind: KIND,
                    resource: annotation.annotation_id,
                    version: 1,
                    canonical: canonical.as_bytes(),
                });
                Ok::<_, Error>(answer(&annotation))
            })
            .await?;
        Ok(written.into_answer())
    }
}
