//! What RegisterBirth asks of duplicates; ListDuplicates, DecideDuplicate (phát hiện và quyết định hồ sơ trùng).

use std::collections::{BTreeMap, BTreeSet};

use egov_auth::{Caller, ReadRecord, Resource, RowScope};
use egov_clock::Clock as _;
use egov_database::{Event, Leaf, Page, UnitOfWork};
use egov_fault::Fault;
use jiff::civil::Date;
use prost::Message;
use sqlx::PgConnection;
use uuid::Uuid;

use super::correct_entry::standing;
use super::registration::REGISTER;
use super::{Actor, Asked, CivilRegistry, READ_ENTRIES};
use crate::domain::as_of::AsOf;
use crate::domain::birth::Birth;
use crate::domain::duplicate::{self, Duplicate, KeptPart, KeptRuling, Side};
use crate::domain::entry::{Details, Entry};
use crate::domain::finding::Question;
use crate::domain::matching::place::PlaceHistory;
use crate::domain::matching::verdict::{Ruling, RulingRefused, Rulings, Verdict};
use crate::domain::matching::{Known, Score, Suspicion, Thresholds, compare, kept_under, looked_for};
use crate::error::Error;
use crate::store::{corrections, duplicates, entries, person_index};

/// Of leaves and events of decisions on pairs.
pub(crate) const KIND: &str = "civil_duplicate_ruling";

/// So many births are compared at most, those first that share most with the one that is to be registered.
const COMPARED: i64 = 40;

/// Before the first pair of the list.
const BEFORE_ALL: (i32, Uuid) = (i32::MAX, Uuid::nil());

/// What was found about a birth that is to be registered.
pub(super) struct Suspected {
    known: Known,
    /// The births that may be the same, with why.
    found: Vec<(Side, Score)>,
}

impl Suspected {
    /// What the officer is asked.
    pub(super) fn question(&self) -> Option<Question> {
        let likely: Vec<(Uuid, &Score)> = self
            .found
            .iter()
            .filter(|(_, score)| Thresholds::PROPOSED.suspicion(score) == Suspicion::Likely)
            .map(|(side, score)| (side.entry_id, score))
            .collect();
        duplicate::question(&likely)
    }

    /// Keeps the pairs, and the words under which the birth is found in turn. Before the number of the entry is taken, for which others wait.
    pub(super) async fn keep(&self, unit: &mut UnitOfWork<'_>, later: Side) -> Result<(), Error> {
        keep(unit, later.entry_id, later.unit_id, &self.known).await?;
        for (earlier, score) in &self.found {
            // Đăng ký lại, or a number by which the two are one person already.
            if earlier.person_id == later.person_id {
                continue;
            }
            let pair = Duplicate {
                duplicate_id: unit.new_id(),
                later,
                earlier: *earlier,
                points: score.points,
                parts: score.parts.iter().map(KeptPart::from).collect(),
                record_time: unit.now(),
            };
            let parts = serde_json::to_string(&pair.parts).map_err(Fault::internal)?;
            duplicates::insert(unit.conn(), &pair, &parts).await?;
        }
        Ok(())
    }
}

/// Keeps a birth under the words by which it is found.
pub(super) async fn keep(unit: &mut UnitOfWork<'_>, entry_id: Uuid, unit_id: i32, known: &Known) -> Result<(), Error> {
    let words: Vec<String> = kept_under(known).into_iter().collect();
    Ok(duplicates::keep(unit.conn(), (entry_id, unit_id), &words).await?)
}

/// Keeps a birth that was corrected under what it says now, beside what it said before.
pub(super) async fn keep_corrected(unit: &mut UnitOfWork<'_>, entry: &Entry, after: &Details) -> Result<(), Error> {
    let Details::Birth(birth) = after else { return Ok(()) };
    let known = Known::of_birth(birth, entry.registration_date);
    keep(unit, entry.entry_id, entry.unit_id, &known).await
}

/// What these births say of their children, corrections included.
async fn children(unit: &mut UnitOfWork<'_>, ids: &[Uuid], scope: &RowScope) -> Result<Vec<(Side, Known)>, Error> {
    let mut corrected_by: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for (corrected, correcting) in corrections::of_each(unit.conn(), ids, scope).await? {
        corrected_by.entry(corrected).or_default().push(correcting);
    }
    let further: Vec<Uuid> = corrected_by.values().flatten().copied().collect();
    let further: BTreeMap<Uuid, Entry> = entries::of_ids(unit.conn(), &further, scope)
        .await?
        .into_iter()
        .map(|entry| (entry.entry_id, entry))
        .collect();
    let mut children = Vec::with_capacity(ids.len());
    for entry in entries::of_ids(unit.conn(), ids, scope).await? {
        let corrections: Vec<Entry> = corrected_by
            .get(&entry.entry_id)
            .into_iter()
            .flatten()
            .filter_map(|id| further.get(id).cloned())
            .collect();
        let Details::Birth(birth) = standing(&entry, &corrections) else {
            continue;
        };
        let side = Side {
            unit_id: entry.unit_id,
            entry_id: entry.entry_id,
            person_id: entry.subject_id,
        };
        children.push((side, Known::of_birth(&birth, entry.registration_date)));
    }
    Ok(children)
}

/// Looks for the births that may be that of this child, among those that the caller may see. Who registers a child of the same given name and year of
/// birth at the same commune at the same moment is waited for.
pub(super) async fn suspect(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    places: &PlaceHistory,
    (birth, unit_id, registration): (&Birth, i32, Date),
) -> Result<Suspected, Error> {
    let known = Known::of_birth(birth, registration);
    let words = looked_for(&known);
    // The given name is the one word that is looked for with earlier years too.
    let earlier = known.born.map(|born| format!(":{}", born.year() - 2));
    let turn = earlier.and_then(|earlier| {
        let mut given = words.iter();
        given.find(|word| word.starts_with("g:") && word.ends_with(&earlier))
    });
    duplicates::take_turn(unit.conn(), &format!("{unit_id} {}", turn.map_or("", String::as_str))).await?;
    let words: Vec<String> = words.into_iter().collect();
    let scope = caller.scope(READ_ENTRIES);
    let ids = duplicates::under(unit.conn(), &words, &scope, COMPARED).await?;
    let found = children(unit, &ids, &scope)
        .await?
        .into_iter()
        // A number is assigned once: who has it is registered, and refused by it.
        .filter(|(_, other)| !known.has_number_of(other))
        .map(|(side, other)| (side, compare(&known, &other, places)))
        .filter(|(_, score)| Thresholds::PROPOSED.suspicion(score) >= Suspicion::Possible)
        .collect();
    Ok(Suspected { known, found })
}

/// A pair with the last decision on it.
pub(crate) struct ShownDuplicate {
    pub(crate) pair: Duplicate,
    pub(crate) last: Option<KeptRuling>,
}

/// A decision as somebody wants to take it.
pub(crate) struct WantedRuling {
    pub(crate) duplicate_id: Uuid,
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
}

/// The decisions that may bear on persons: those on everybody who is joined to one of them by decisions.
async fn rulings(
    connection: &mut PgConnection,
    mut persons: BTreeSet<Uuid>,
    scope: &RowScope,
) -> Result<Vec<KeptRuling>, Error> {
    loop {
        let asked: Vec<Uuid> = persons.iter().copied().collect();
        let found = duplicates::rulings_about(&mut *connection, &asked, scope).await?;
        persons.extend(found.iter().flat_map(|kept| [kept.ruling.one, kept.ruling.other]));
        if persons.len() == asked.len() {
            return Ok(found);
        }
    }
}

/// The persons of whom it was decided that they are this one, as it was known: by decisions on persons of whom entries in the scope tell, and no others.
pub(super) async fn same_as(
    connection: &mut PgConnection,
    person_id: Uuid,
    scope: &RowScope,
    at: AsOf,
) -> Result<Vec<Uuid>, Error> {
    let taken = rulings(&mut *connection, BTreeSet::from([person_id]), scope).await?;
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let named = taken.iter().flat_map(|kept| [kept.ruling.one, kept.ruling.other]);
    let named: Vec<Uuid> = named.collect::<BTreeSet<Uuid>>().into_iter().collect();
    let seen: BTreeSet<Uuid> = person_index::told_of(connection, &named, scope)
        .await?
        .into_iter()
        .collect();
    let counting = Rulings::of(
        taken
            .iter()
            .map(|kept| &kept.ruling)
            .filter(|ruling| at.knows(ruling.time) && seen.contains(&ruling.one) && seen.contains(&ruling.other)),
    );
    let mut same = counting.person(person_id);
    same.remove(&person_id);
    Ok(same.into_iter().collect())
}

impl CivilRegistry {
    /// One page of the pairs of births that may be of one child, with one record of reading for the whole page.
    pub(crate) async fn list_duplicates(
        &self,
        caller: &Caller,
        with_decided: bool,
        page: Page<(i32, Uuid)>,
    ) -> Result<(Vec<ShownDuplicate>, String), Error> {
        let scope = caller.scope(READ_ENTRIES);
        let after = page.after().copied().unwrap_or(BEFORE_ALL);
        let limit = page.fetch();
        let (rows, mut rulings) = self
            .database
            .read(&scope, async |connection| {
                let rows = duplicates::list(&mut *connection, with_decided, &scope, after, limit).await?;
                let pairs: Vec<Uuid> = rows.iter().map(|pair| pair.duplicate_id).collect();
                let last = duplicates::last_rulings(connection, &pairs, &scope).await?;
                let last: BTreeMap<Uuid, KeptRuling> = last.into_iter().map(|kept| (kept.duplicate_id, kept)).collect();
                Ok::<_, Error>((rows, last))
            })
            .await?;
        let (rows, next) = page.finish(rows, |pair: &Duplicate| (pair.points, pair.duplicate_id))?;
        let read = rows.iter().flat_map(|pair| {
            [pair.later, pair.earlier]
                .map(|side| (Some(side.person_id), format!("civil_duplicates/{}", pair.duplicate_id)))
        });
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        let shown = rows
            .into_iter()
            .map(|pair| ShownDuplicate {
                last: rulings.remove(&pair.duplicate_id),
                pair,
            })
            .collect();
        Ok((shown, next))
    }

    /// Records what an officer decides of a pair. No entry and no person is changed by it, so that it can be taken back.
    pub(crate) async fn decide_duplicate<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedRuling,
        answer: impl FnOnce(&ShownDuplicate) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ_ENTRIES);
        let written = self
            .database
            .write(asked.write(caller, READ_ENTRIES), async |unit: &mut UnitOfWork<'_>| {
                let pair = duplicates::get(unit.conn(), wanted.duplicate_id, &scope)
                    .await?
                    .ok_or(Error::DuplicateNotFound)?;
                for side in [pair.later, pair.earlier] {
                    caller.require(REGISTER, &Resource::of_unit(side.unit_id))?;
                }
                // Decisions bear on one another across pairs; they are rare, and taken one after the other.
                duplicates::take_turn(unit.conn(), "decisions").await?;
                let both = BTreeSet::from([pair.later.person_id, pair.earlier.person_id]);
                let taken = rulings(unit.conn(), both, &scope).await?;
                let actor = Actor::from(caller);
                let ruling = Ruling {
                    one: pair.later.person_id,
                    other: pair.earlier.person_id,
                    verdict: wanted.verdict,
                    reason: wanted.reason,
                    decided_by: actor.id,
                    time: unit.now(),
                };
                let mut counting = Rulings::of(taken.iter().map(|kept| &kept.ruling));
                counting.decide(&ruling).map_err(refused)?;
                let of_pair = taken.iter().filter(|kept| kept.duplicate_id == pair.duplicate_id);
                let kept = KeptRuling {
                    ruling_id: unit.new_id(),
                    duplicate_id: pair.duplicate_id,
                    unit_id: pair.later.unit_id,
                    position: of_pair.map(|kept| kept.position).max().unwrap_or_default() + 1,
                    ruling,
                    actor_kind: actor.kind.to_owned(),
                };
                duplicates::rule(unit.conn(), &kept).await?;
                unit.publish(Event {
                    aggregate_kind: KIND,
                    aggregate_id: kept.ruling_id,
                    version: 1,
                    kind: "civil_duplicate_decided",
                    payload: serde_json::json!({
                        "responsible_unit_id": kept.unit_id,
                        "duplicate_id": kept.duplicate_id,
                        "position": kept.position,
                        "verdict": kept.ruling.verdict,
                        "person_ids": [kept.ruling.one, kept.ruling.other],
                    }),
                });
                let canonical = kept.canonical().map_err(Fault::internal)?;
                unit.leaf(Leaf {
                    kind: KIND,
                    resource: kept.ruling_id,
                    version: 1,
                    canonical: canonical.as_bytes(),
                });
                let shown = ShownDuplicate { pair, last: Some(kept) };
                Ok::<_, Error>(answer(&shown))
            })
            .await?;
        Ok(written.into_answer())
    }
}

/// Why a decision is refused.
fn refused(refused: RulingRefused) -> Error {
    match refused {
        RulingRefused::NothingToTakeBack => Error::DuplicateUndecided,
        RulingRefused::Contradiction => Error::DuplicateContradicts,
        // A pair is of two persons: the table has it so.
        RulingRefused::NoReason | RulingRefused::Oneself => Error::Invalid(vec![egov_fault::Violation {
            field: "reason".to_owned(),
            rule: "value".to_owned(),
            vi: refused.vi().to_owned(),
            en: refused.to_string(),
        }]),
    }
}
