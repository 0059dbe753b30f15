//! Theo thời điểm: what stands in the books as it was true on a day, and as it was known at the end of one. Nothing of it is stored: it is worked out
//! from what was entered, which never changes, so the answer about a past day stays the same for ever.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::annotation::Annotation;
use super::correction::{self, Correction};
use super::entry::{Details, Entry, Particulars, Relation};
use super::guarded;

/// The two times of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsOf {
    /// True on this day; whenever if none.
    pub valid_on: Option<Date>,
    /// Known before this moment; by now if none.
    pub known_before: Option<Timestamp>,
}

impl AsOf {
    /// True of what was recorded at this moment, if it was known.
    #[must_use]
    pub fn knows(&self, record_time: Timestamp) -> bool {
        self.known_before.is_none_or(|end| record_time < end)
    }

    /// True of what is true from a day on, if it had begun.
    #[must_use]
    pub fn has_begun(&self, from: Date) -> bool {
        self.valid_on.is_none_or(|day| from <= day)
    }
}

/// Something that an entry tells, and since when it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<T> {
    /// The entry that tells it.
    pub entry_id: Uuid,
    /// Since when it is known.
    pub record_time: Timestamp,
    /// What is told.
    pub what: T,
}

/// A correction of which something holds.
#[derive(Clone, Debug)]
pub struct Held<'a> {
    /// The entry of the book of changes.
    pub entry: &'a Entry,
    /// What of it holds: the fields that do.
    pub correction: Correction,
    /// Since when each of these fields is true; none from the beginning.
    pub since: Vec<Option<Date>>,
    /// True if it is not shown: whoever may not see it is shown everything as if it had been entered so.
    pub is_hidden: bool,
}

/// The corrections of an entry that hold at the two times, in their order. A change (thay đổi, xác định lại dân tộc) is true from its registration on; a
/// correction or supplement (cải chính, bổ sung) since when that is true which it corrects: of a changed name it corrects what was changed, not what stood
/// before.
///
/// To whoever may not see what is guarded, a guarded correction holds at all times and is hidden: shown from its day on it would be told by the
/// difference between two days.
#[must_use]
pub fn holding<'a>(corrections: &'a [Entry], as_of: AsOf, sees_guarded: bool) -> Vec<Held<'a>> {
    let mut latest: BTreeMap<&'a str, Option<Date>> = BTreeMap::new();
    let mut is_known = true;
    let mut held = Vec::new();
    for entry in corrections {
        let Details::Correction(said) = &entry.content.details else {
            continue;
        };
        let is_hidden = !sees_guarded && guarded::is_guarded_correction(said);
        // What was judged by a correction before it is known with it at the earliest.
        is_known = is_known && as_of.knows(entry.record_time);
        if !is_known && !is_hidden {
            continue;
        }
        let mut fields = Vec::new();
        let mut since = Vec::new();
        for field in &said.fields {
            let day = if is_hidden {
                None
            } else if said.kind.from_the_beginning() {
                latest.get(field.field.as_str()).copied().flatten()
            } else {
                Some(entry.registration_date)
            };
            latest.insert(&field.field, day);
            if day.is_none_or(|day| as_of.has_begun(day)) {
                fields.push(field.clone());
                since.push(day);
            }
        }
        if !fields.is_empty() {
            held.push(Held {
                entry,
                correction: Correction {
                    fields,
                    ..(**said).clone()
                },
                since,
                is_hidden,
            });
        }
    }
    held
}

/// What an entry says with these corrections.
#[must_use]
pub fn details(entry: &Entry, held: &[Held<'_>]) -> Details {
    let applied: Vec<Correction> = held.iter().map(|one| one.correction.clone()).collect();
    correction::standing(&entry.content.details, &applied)
}

/// An entry as it is shown: as it was entered, but with what is hidden in it.
#[must_use]
pub fn as_entered(entry: &Entry, held: &[Held<'_>]) -> Entry {
    let hidden: Vec<Correction> = held
        .iter()
        .filter(|one| one.is_hidden)
        .map(|one| one.correction.clone())
        .collect();
    let mut shown = entry.clone();
    if !hidden.is_empty() {
        shown.content.details = correction::standing(&entry.content.details, &hidden);
        // What is written in an old book tells what is hidden.
        shown.content.digitised = None;
    }
    shown
}

/// What an entry and the corrections that are shown tell of a person, in their order: what each of them told when it was entered.
#[must_use]
pub fn told(entry: &Entry, held: &[Held<'_>], person_id: Uuid) -> Vec<Told<Particulars>> {
    let of_person = |said: &Particulars| said.person_id == person_id;
    let mut stands = as_entered(entry, held).content.details;
    let mut rows: Vec<Told<Particulars>> = correction::persons(&stands, entry.registration_date)
        .into_iter()
        .filter(of_person)
        .map(|what| Told {
            entry_id: entry.entry_id,
            record_time: entry.record_time,
            what,
        })
        .collect();
    for one in held.iter().filter(|one| !one.is_hidden) {
        let after = correction::standing(&stands, std::slice::from_ref(&one.correction));
        let said = correction::told(entry, &stands, &after, one.correction.kind, one.entry.registration_date);
        rows.extend(said.into_iter().filter(of_person).map(|what| Told {
            entry_id: one.entry.entry_id,
            record_time: one.entry.record_time,
            what,
        }));
        stands = after;
    }
    rows
}

/// What an entry with its corrections says of a person on the day asked, and the entry by which it became so; none if it was not true yet.
#[must_use]
pub fn standing(entry: &Entry, held: &[Held<'_>], person_id: Uuid, as_of: AsOf) -> Option<Told<Particulars>> {
    let of_person = |details: &Details| {
        correction::persons(details, entry.registration_date)
            .into_iter()
            .find(|said| said.person_id == person_id)
    };
    let mut stands = entry.content.details.clone();
    let mut told = Told {
        entry_id: entry.entry_id,
        record_time: entry.record_time,
        what: of_person(&stands)?,
    };
    let mut changed: Option<Date> = None;
    for one in held {
        // Field by field: a correction may be of several persons, and true of each since another day.
        for (field, since) in one.correction.fields.iter().zip(&one.since) {
            let alone = Correction {
                fields: vec![field.clone()],
                ..one.correction.clone()
            };
            stands = correction::standing(&stands, &[alone]);
            let what = of_person(&stands)?;
            let is_otherwise = Particulars {
                valid_from: told.what.valid_from,
                ..what.clone()
            } != told.what;
            if one.is_hidden {
                told.what = what;
            } else if is_otherwise {
                changed = changed.max(*since);
                told = Told {
                    entry_id: one.entry.entry_id,
                    record_time: one.entry.record_time,
                    what,
                };
            }
        }
    }
    if let Some(day) = changed {
        told.what.valid_from = told.what.valid_from.max(day);
    }
    as_of.has_begun(told.what.valid_from).then_some(told)
}

/// A family at the two times, of all versions of its relations. On a day: of each relation the newest version that was known, if it holds on that day
/// (the last day is none of it). On no day: every version that was known.
#[must_use]
pub fn family(versions: Vec<Told<Relation>>, as_of: AsOf) -> Vec<Told<Relation>> {
    let known = versions.into_iter().filter(|told| as_of.knows(told.record_time));
    let Some(day) = as_of.valid_on else {
        return known.collect();
    };
    let mut newest: BTreeMap<Uuid, Told<Relation>> = BTreeMap::new();
    for told in known {
        let kept = newest.get(&told.what.relation_id);
        if kept.is_none_or(|kept| kept.what.version < told.what.version) {
            newest.insert(told.what.relation_id, told);
        }
    }
    newest
        .into_values()
        .filter(|told| told.what.valid_from <= day && told.what.valid_to.is_none_or(|to| day < to))
        .collect()
}

/// The annotations of an entry at the two times, in their order. What a note says is true from the day of its effect, or of the judgment or decision
/// where no such day is said; what cancels a note goes with it.
#[must_use]
pub fn annotations(all: Vec<Annotation>, as_of: AsOf) -> Vec<Annotation> {
    let own = |one: &Annotation| one.note.effective_date.unwrap_or(one.note.basis_date);
    let days: BTreeMap<Uuid, Date> = all.iter().map(|one| (one.annotation_id, own(one))).collect();
    all.into_iter()
        .filter(|one| as_of.knows(one.record_time))
        .filter(|one| {
            let cancelled = one.cancels.and_then(|id| days.get(&id).copied());
            as_of.has_begun(cancelled.unwrap_or_else(|| own(one)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::annotation::{AnnotationKind, Note};
    use crate::domain::birth::{Birth, BirthKind, Child, Requester};
    use crate::domain::book::EventKind;
    use crate::domain::correction::{CorrectedField, CorrectionKind};
    use crate::domain::entry::{Content, RegistrationKind, RelationKind};
    use crate::domain::person::{Born, Person, PersonName, Sex};

    const FIELDS: [&str; 3] = ["birth.child.home_town", "birth.child.place_of_birth", "birth.child.sex"];
    const CHILD: Uuid = Uuid::from_u128(7);
    /// Days of the calendar that the tests know, and moments of record.
    const DAYS: usize = 12;

    fn day(number: usize) -> Date {
        date(2026, 1, 1)
            .checked_add(i64::try_from(number).unwrap().days())
            .unwrap()
    }

    fn moment(number: usize) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + i64::try_from(number).unwrap()).unwrap()
    }

    fn entry(id: u128, registration_date: Date, recorded: usize, event: EventKind, details: Details) -> Entry {
        Entry {
            entry_id: Uuid::from_u128(id),
            unit_id: 2,
            book_id: Uuid::nil(),
            event,
            year: 2026,
            number: 1,
            volume: 1,
            page: 1,
            registration_kind: RegistrationKind::OnTime,
            registration_date,
            subject_id: CHILD,
            content: Content {
                registration_place: String::new(),
                signer_name: String::new(),
                signer_title: String::new(),
                signer_authorisation: String::new(),
                performer_name: String::new(),
                note: String::new(),
                settled: Vec::new(),
                digitised: None,
                details,
            },
            actor_id: Uuid::nil(),
            actor_kind: "staff".to_owned(),
            record_time: moment(recorded),
        }
    }

    fn birth() -> Entry {
        let name = PersonName::read("Trần Văn A").unwrap();
        let birth = Birth {
            kind: BirthKind::ParentsUnknown,
            child: Child {
                person_id: CHILD,
                person: Person {
                    full_name: name.clone(),
                    sex: Sex::Undetermined,
                    born: Some(Born::on(day(0)).unwrap()),
                    ethnic_group: None,
                    nationality: None,
                    other_nationality: None,
                    personal_number: None,
                },
                place_of_birth: "0".to_owned(),
                place_of_birth_code: String::new(),
                home_town: "0".to_owned(),
            },
            mother: None,
            father: None,
            requester: Some(Requester {
                full_name: name,
                relationship: String::new(),
                paper: None,
            }),
            foreign_registration: None,
            abandonment: None,
        };
        entry(1, day(0), 0, EventKind::Birth, Details::Birth(Box::new(birth)))
    }

    /// A correction of one field: which, kind, day of registration, moment of record, what is to stand there.
    type Step = (usize, usize, usize, usize, usize);

    fn correcting(steps: &[Step]) -> Vec<Entry> {
        let name = PersonName::read("Trần Văn A").unwrap();
        steps
            .iter()
            .zip(0_i32..)
            .map(|((field, kind, registered, recorded, value), place)| {
                let correction = Correction {
                    kind: CorrectionKind::ALL[*kind],
                    corrected_entry_id: Uuid::from_u128(1),
                    position: place + 1,
                    fields: vec![CorrectedField {
                        field: FIELDS[*field].to_owned(),
                        before: String::new(),
                        after: value.to_string(),
                    }],
                    basis_number: String::new(),
                    basis_date: day(0),
                    basis_authority: String::new(),
                    reason: String::new(),
                    requester_name: name.clone(),
                    person_ids: vec![CHILD],
                };
                let id = 100 + u128::try_from(place).unwrap();
                let details = Details::Correction(Box::new(correction));
                entry(id, day(*registered), *recorded, EventKind::Change, details)
            })
            .collect()
    }

    /// What stands in the three fields.
    fn read(details: &Details) -> [String; 3] {
        let Details::Birth(birth) = details else {
            panic!("it is a birth");
        };
        let sex = birth.child.person.sex.code().to_string();
        [birth.child.home_town.clone(), birth.child.place_of_birth.clone(), sex]
    }

    /// The slow way: a leaf of the calendar for each day, on which the value stands in the hand that wrote it; a correction rewrites what the last hand
    /// wrote, wherever it stands.
    fn by_leaves(steps: &[Step], field: usize, on: usize, known_before: usize) -> String {
        let original = if field == 2 { "3" } else { "0" };
        let mut leaves = vec![(original.to_owned(), 0_usize); DAYS + 1];
        let known = (0..steps.len()).take_while(|place| steps[*place].3 < known_before);
        for place in known.filter(|place| steps[*place].0 == field) {
            let (_, kind, registered, _, value) = steps[place];
            let last = leaves[DAYS].1;
            let rewrites = matches!(
                CorrectionKind::ALL[kind],
                CorrectionKind::Correction | CorrectionKind::Supplement
            );
            for (number, leaf) in leaves.iter_mut().enumerate() {
                if rewrites && leaf.1 == last {
                    leaf.0 = value.to_string();
                } else if !rewrites && number >= registered {
                    *leaf = (value.to_string(), place + 1);
                }
            }
        }
        leaves[on].0.clone()
    }

    fn at(on: usize, known_before: usize) -> AsOf {
        AsOf {
            valid_on: Some(day(on)),
            known_before: Some(moment(known_before)),
        }
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        proptest::collection::vec((0..3_usize, 0..4_usize, 0..10_usize, 0..10_usize, 1..4_usize), 0..9)
    }

    proptest! {
        #[test]
        fn an_entry_on_a_day_as_known_on_another_is_what_leaf_by_leaf_comes_out(
            steps in steps(), on in 0..DAYS, known_before in 0..12_usize,
        ) {
            let (entry, corrections) = (birth(), correcting(&steps));
            let held = holding(&corrections, at(on, known_before), true);
            let found = read(&details(&entry, &held));
            for (field, found) in found.iter().enumerate() {
                prop_assert_eq!(found, &by_leaves(&steps, field, on, known_before));
            }
            prop_assert_eq!(&as_entered(&entry, &held), &entry, "nothing is hidden from who may see it");
            let said = standing(&entry, &held, CHILD, at(on, known_before)).unwrap();
            prop_assert_eq!(said.what.sex.code().to_string(), by_leaves(&steps, 2, on, known_before));
            prop_assert!(said.what.valid_from <= day(on));
        }

        #[test]
        fn who_may_not_see_a_change_of_sex_is_told_the_same_sex_at_all_times(
            steps in steps(), on in 0..DAYS, known_before in 0..12_usize,
        ) {
            let (entry, corrections) = (birth(), correcting(&steps));
            let last = steps.iter().rfind(|step| step.0 == 2).map_or_else(|| "3".to_owned(), |step| step.4.to_string());
            let held = holding(&corrections, at(on, known_before), false);
            prop_assert_eq!(&read(&as_entered(&entry, &held).content.details)[2], &last);
            prop_assert_eq!(&read(&details(&entry, &held))[2], &last);
            for one in held.iter().filter(|one| !one.is_hidden) {
                prop_assert!(!guarded::is_guarded_entry(one.entry));
            }
            for told in told(&entry, &held, CHILD) {
                prop_assert_eq!(told.what.sex.code().to_string(), last.clone());
            }
            // What is not guarded is what it is for everybody.
            let seen = holding(&corrections, at(on, known_before), true);
            let seen: Vec<Uuid> = seen.iter().map(|one| one.entry).filter(|one| !guarded::is_guarded_entry(one)).map(|one| one.entry_id).collect();
            let shown: Vec<Uuid> = held.iter().filter(|one| !one.is_hidden).map(|one| one.entry.entry_id).collect();
            prop_assert_eq!(shown, seen);
        }

        #[test]
        fn a_family_on_a_day_as_known_on_another_is_what_version_by_version_comes_out(
            versions in proptest::collection::vec((0..3_u128, 0..10_usize, 0..6_usize, 0..10_usize), 0..9),
            on in 0..DAYS, known_before in 0..12_usize,
        ) {
            let mut all = Vec::new();
            for (relation, from, length, recorded) in &versions {
                let relation_id = Uuid::from_u128(*relation);
                let before = all.iter().filter(|told: &&Told<Relation>| told.what.relation_id == relation_id).count();
                all.push(Told {
                    entry_id: Uuid::nil(),
                    record_time: moment(*recorded),
                    what: Relation {
                        relation_id,
                        version: i64::try_from(before).unwrap() + 1,
                        kind: RelationKind::Spouse,
                        person_id: CHILD,
                        relative_id: Uuid::from_u128(8),
                        valid_from: day(*from),
                        valid_to: (*length < 5).then(|| day(from + length)),
                    },
                });
            }
            let mut expected = Vec::new();
            for relation in 0..3_u128 {
                let mut stands = None;
                for told in all.iter().filter(|told| told.what.relation_id == Uuid::from_u128(relation)) {
                    if told.record_time < moment(known_before) {
                        let days = (0..DAYS).filter(|number| told.what.valid_from <= day(*number));
                        let mut days = days.filter(|number| told.what.valid_to.is_none_or(|to| day(*number) < to));
                        stands = days.any(|number| number == on).then(|| told.clone());
                    }
                }
                expected.extend(stands);
            }
            prop_assert_eq!(family(all.clone(), at(on, known_before)), expected);
            // On no day: every version that was known.
            let known = AsOf { valid_on: None, known_before: Some(moment(known_before)) };
            let count = all.iter().filter(|told| told.record_time < moment(known_before)).count();
            prop_assert_eq!(family(all, known).len(), count);
        }
    }

    #[test]
    fn what_cancels_a_note_goes_with_it() {
        let note = |id: u128, basis: usize, effect: Option<usize>, cancels: Option<u128>, recorded: usize| Annotation {
            annotation_id: Uuid::from_u128(id),
            entry_id: Uuid::from_u128(1),
            unit_id: 2,
            position: i32::try_from(id).unwrap(),
            kind: AnnotationKind::Marriage,
            note_date: day(basis),
            note: Note {
                text: String::new(),
                basis_number: String::new(),
                basis_date: day(basis),
                basis_authority: String::new(),
                marriage_outcome: None,
                effective_date: effect.map(day),
            },
            cancels: cancels.map(Uuid::from_u128),
            actor_id: Uuid::nil(),
            actor_kind: "staff".to_owned(),
            record_time: moment(recorded),
        };
        let all = vec![
            note(1, 2, Some(4), None, 2),
            note(2, 8, None, Some(1), 8),
            note(3, 9, None, None, 9),
        ];
        let shown = |on, known_before| -> Vec<i32> {
            let found = annotations(all.clone(), at(on, known_before));
            found.iter().map(|one| one.position).collect()
        };
        assert_eq!(shown(3, 12), [0_i32; 0], "before it takes effect");
        assert_eq!(shown(4, 3), [1], "as it was known before it was cancelled");
        assert_eq!(shown(4, 12), [1, 2], "as it is known now");
        assert_eq!(shown(9, 12), [1, 2, 3]);
    }
}
