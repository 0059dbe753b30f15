//! Thay đổi, cải chính, bổ sung hộ tịch, xác định lại dân tộc: an entry is never changed; what becomes otherwise of it is a further entry, in a book of
//! its own, which says of each field what stood there and what is to stand there.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::{Details, Entry, Particulars};
use super::finding::Violation;
use super::party::Party;
use super::person::{Born, Country, EthnicGroup, EthnicGroups, Person, PersonName, Sex};

/// Loại việc within the register of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionKind {
    /// Thay đổi.
    Change,
    /// Cải chính.
    Correction,
    /// Bổ sung.
    Supplement,
    /// Xác định lại dân tộc.
    Ethnicity,
}

impl CorrectionKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Change, Self::Correction, Self::Supplement, Self::Ethnicity];

    /// Its code in the contract.
    pub const fn code(self) -> i16 {
        match self {
            Self::Change => 1,
            Self::Correction => 2,
            Self::Supplement => 3,
            Self::Ethnicity => 4,
        }
    }

    /// The kind that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// True if what it says was true from the beginning, and not only from the registration on.
    pub const fn from_the_beginning(self) -> bool {
        matches!(self, Self::Correction | Self::Supplement)
    }
}

/// One field, before and after.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectedField {
    /// Its path in the entry.
    pub field: String,
    /// What stood there; empty if nothing did.
    pub before: String,
    /// What is to stand there; empty if nothing is.
    pub after: String,
}

/// Shows the field and nothing of a person.
impl std::fmt::Debug for CorrectedField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CorrectedField")
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

/// Nội dung thay đổi, cải chính, bổ sung, xác định lại dân tộc.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Loại việc.
    pub kind: CorrectionKind,
    /// The entry that it corrects.
    pub corrected_entry_id: Uuid,
    /// The place among the corrections of that entry, from 1; 0 until it has one.
    pub position: i32,
    /// What becomes otherwise.
    pub fields: Vec<CorrectedField>,
    /// Số of the paper on which it rests.
    pub basis_number: String,
    /// Ngày of it.
    pub basis_date: Date,
    /// Cơ quan ban hành.
    pub basis_authority: String,
    /// Lý do.
    pub reason: String,
    /// Người yêu cầu.
    pub requester_name: PersonName,
    /// Everybody of whom the corrected entry tells.
    pub person_ids: Vec<Uuid>,
}

/// Shows nothing of a person.
impl std::fmt::Debug for Correction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Correction")
            .field("corrected_entry_id", &self.corrected_entry_id)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Correction {
    /// Where it stands.
    pub const fn link(&self) -> CorrectionLink {
        CorrectionLink {
            corrected_entry_id: self.corrected_entry_id,
            position: self.position,
        }
    }
}

/// Where a correction stands: which entry it corrects, as what number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CorrectionLink {
    /// The entry that is corrected.
    pub corrected_entry_id: Uuid,
    /// The place among its corrections.
    pub position: i32,
}

/// A place of an entry that can become otherwise.
enum Slot<'a> {
    Name(&'a mut PersonName),
    Sex(&'a mut Sex),
    Born(&'a mut Option<Born>),
    Group(&'a mut Option<EthnicGroup>),
    Country(&'a mut Option<Country>),
    /// A text; true if it must say something.
    Text(&'a mut String, bool),
}

impl Slot<'_> {
    /// What stands there.
    fn text(&self) -> String {
        match self {
            Self::Name(name) => name.as_str().to_owned(),
            Self::Sex(sex) => sex.code().to_string(),
            Self::Born(born) => born.map(String::from).unwrap_or_default(),
            Self::Group(Some(group)) => group.code().to_owned(),
            Self::Group(None) => String::new(),
            Self::Country(country) => country.map(|country| country.code().to_owned()).unwrap_or_default(),
            Self::Text(text, _) => text.as_str().to_owned(),
        }
    }

    /// Puts something else there; false if it cannot stand there.
    fn put(&mut self, text: &str) -> bool {
        match self {
            Self::Name(name) => PersonName::read(text).map(|read| **name = read).is_ok(),
            Self::Sex(sex) => text
                .parse()
                .ok()
                .and_then(Sex::of_code)
                .map(|read| **sex = read)
                .is_some(),
            Self::Born(born) => given(text, |text| Born::try_from(text.to_owned()).ok())
                .map(|read| **born = read)
                .is_ok(),
            // The list is asked where it is judged; what was entered once stays what it was.
            Self::Group(group) => given(text, |text| serde_json::from_value(text.into()).ok())
                .map(|read| **group = read)
                .is_ok(),
            Self::Country(country) => given(text, |text| Country::read(text).ok())
                .map(|read| **country = read)
                .is_ok(),
            Self::Text(kept, is_demanded) => {
                if *is_demanded && text.is_empty() {
                    return false;
                }
                text.clone_into(kept);
                true
            }
        }
    }
}

/// Nothing of an empty text.
fn given<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, ()> {
    if text.is_empty() {
        Ok(None)
    } else {
        read(text).map(Some).ok_or(())
    }
}

/// The places of a person.
fn of_person<'a>(at: &str, person: &'a mut Person, slots: &mut Vec<(String, Slot<'a>)>) {
    let path = |name: &str| format!("{at}.{name}");
    slots.push((path("full_name"), Slot::Name(&mut person.full_name)));
    slots.push((path("date_of_birth"), Slot::Born(&mut person.born)));
    slots.push((path("ethnic_group"), Slot::Group(&mut person.ethnic_group)));
    slots.push((path("nationality"), Slot::Country(&mut person.nationality)));
    slots.push((path("other_nationality"), Slot::Country(&mut person.other_nationality)));
}

/// The places of a party that change no family: what somebody is called, and where somebody lives.
fn of_party<'a>(at: &str, party: &'a mut Party, slots: &mut Vec<(String, Slot<'a>)>) {
    slots.push((format!("{at}.full_name"), Slot::Name(&mut party.person.full_name)));
    slots.push((format!("{at}.residence"), Slot::Text(&mut party.residence, false)));
}

/// Every place of an entry that can become otherwise. Whose parent somebody is, when somebody died and who married whom is not among them: that
/// changes families, and comes by other entries and annotations.
fn slots(details: &mut Details) -> Vec<(String, Slot<'_>)> {
    let mut slots = Vec::new();
    match details {
        Details::Birth(birth) => {
            let birth = &mut **birth;
            let child = &mut birth.child;
            let Person {
                full_name,
                sex,
                born,
                ethnic_group,
                nationality,
                other_nationality,
                ..
            } = &mut child.person;
            for (name, slot) in [
                ("full_name", Slot::Name(full_name)),
                ("sex", Slot::Sex(sex)),
                ("date_of_birth", Slot::Born(born)),
                ("ethnic_group", Slot::Group(ethnic_group)),
                ("nationality", Slot::Country(nationality)),
                ("other_nationality", Slot::Country(other_nationality)),
                ("place_of_birth", Slot::Text(&mut child.place_of_birth, true)),
                ("home_town", Slot::Text(&mut child.home_town, false)),
            ] {
                slots.push((format!("birth.child.{name}"), slot));
            }
            for (at, parent) in [("birth.mother", &mut birth.mother), ("birth.father", &mut birth.father)] {
                if let Some(parent) = parent {
                    of_person(at, &mut parent.person, &mut slots);
                    slots.push((format!("{at}.residence"), Slot::Text(&mut parent.residence, false)));
                }
            }
        }
        Details::Death(death) => {
            let death = &mut **death;
            of_person("death.deceased", &mut death.deceased.person, &mut slots);
            slots.push((
                "death.deceased.residence".to_owned(),
                Slot::Text(&mut death.deceased.residence, false),
            ));
            slots.push(("death.place_of_death".to_owned(), Slot::Text(&mut death.place, true)));
            slots.push(("death.cause".to_owned(), Slot::Text(&mut death.cause, false)));
        }
        Details::Marriage(marriage) => {
            let marriage = &mut **marriage;
            for (at, spouse) in [
                ("marriage.husband", &mut marriage.husband),
                ("marriage.wife", &mut marriage.wife),
            ] {
                of_person(at, &mut spouse.person, &mut slots);
                slots.push((format!("{at}.residence"), Slot::Text(&mut spouse.residence, false)));
            }
        }
        Details::Guardianship(guardianship) => {
            let guardianship = &mut **guardianship;
            of_party("guardianship.ward", &mut guardianship.ward, &mut slots);
            of_party("guardianship.guardian", &mut guardianship.guardian, &mut slots);
            if let Some(supervisor) = &mut guardianship.supervisor {
                of_party("guardianship.supervisor", supervisor, &mut slots);
            }
        }
        Details::Recognition(recognition) => {
            let recognition = &mut **recognition;
            of_party("recognition.parent", &mut recognition.parent, &mut slots);
            of_party("recognition.child", &mut recognition.child, &mut slots);
        }
        Details::Adoption(adoption) => {
            let adoption = &mut **adoption;
            of_party("adoption.adopter", &mut adoption.adopter, &mut slots);
            if let Some(other) = &mut adoption.other_adopter {
                of_party("adoption.other_adopter", other, &mut slots);
            }
            of_party("adoption.child", &mut adoption.child, &mut slots);
        }
        // A correction is corrected by a further one of the same entry.
        Details::Correction(_) => {}
    }
    slots
}

/// What an entry says with its corrections applied, in their order.
#[must_use]
pub fn standing(details: &Details, corrections: &[Correction]) -> Details {
    let mut stands = details.clone();
    for field in corrections.iter().flat_map(|correction| &correction.fields) {
        for (path, slot) in &mut slots(&mut stands) {
            if *path == field.field {
                // It was judged when it was entered.
                slot.put(&field.after);
            }
        }
    }
    stands
}

/// Judges a correction of an entry, of which `stands` is what it says now.
///
/// # Errors
/// Every violation; among them each field of which what is said to stand there does not.
pub fn judge(
    entry: &Entry,
    stands: &Details,
    correction: &Correction,
    groups: &EthnicGroups,
    (registration, today): (Date, Date),
) -> Result<Details, Vec<Violation>> {
    let mut found = Vec::new();
    let mut unless = |holds: bool, code, field: &str, (vi, en): (&str, &str)| {
        if !holds {
            found.push(Violation::of_shape(code, field, vi, en));
        }
    };
    unless(
        entry.registration_date <= registration && registration <= today,
        "registration_date",
        "registration_date",
        (
            "phải từ ngày đăng ký việc được cải chính đến hôm nay",
            "must lie between the registration of what is corrected and today",
        ),
    );
    unless(
        correction.basis_date <= registration,
        "basis_date",
        "correction.basis.date",
        (
            "không được sau ngày đăng ký",
            "must not be after the day of the registration",
        ),
    );
    let mut after = stands.clone();
    let mut named = BTreeSet::new();
    for (place, wanted) in correction.fields.iter().enumerate() {
        let at = |part: &str| format!("correction.fields[{place}].{part}");
        unless(
            named.insert(&wanted.field),
            "field_twice",
            &at("field"),
            ("được nêu hai lần", "is named twice"),
        );
        let mut slots = slots(&mut after);
        let Some((path, slot)) = slots.iter_mut().find(|(path, _)| *path == wanted.field) else {
            unless(
                false,
                "field_unknown",
                &at("field"),
                (
                    "việc hộ tịch này không có mục đó để thay đổi",
                    "this entry has no such field that can be corrected",
                ),
            );
            continue;
        };
        unless(
            slot.text() == wanted.before,
            "before",
            &at("before"),
            ("không phải nội dung hiện có", "is not what stands there now"),
        );
        unless(
            wanted.before != wanted.after,
            "unchanged",
            &at("after"),
            ("không khác nội dung hiện có", "is what stands there now"),
        );
        let is_missing = wanted.before.is_empty();
        unless(
            is_missing == (correction.kind == CorrectionKind::Supplement)
                || correction.kind == CorrectionKind::Ethnicity,
            "correction_kind",
            &at("before"),
            (
                "bổ sung mục còn trống; thay đổi, cải chính mục đã có",
                "a supplement fills what is empty, a change or correction what is not",
            ),
        );
        unless(
            correction.kind != CorrectionKind::Ethnicity || path.ends_with(".ethnic_group"),
            "correction_kind",
            &at("field"),
            (
                "xác định lại dân tộc chỉ về dân tộc",
                "a re-determination of ethnicity is about the ethnic group",
            ),
        );
        let is_listed =
            !path.ends_with(".ethnic_group") || wanted.after.is_empty() || groups.find(&wanted.after).is_some();
        unless(
            slot.put(&wanted.after) && is_listed,
            "after",
            &at("after"),
            ("không phải nội dung của mục này", "cannot stand in this field"),
        );
    }
    if found.is_empty() { Ok(after) } else { Err(found) }
}

/// The persons of an entry, with since when what it says of each is true.
#[must_use]
pub fn persons(details: &Details, registration: Date) -> Vec<Particulars> {
    match details {
        Details::Birth(birth) => {
            let child = &birth.child;
            let parents = [&birth.mother, &birth.father].into_iter().flatten();
            std::iter::once(Particulars::of(
                child.person_id,
                &child.person,
                birth.valid_from(registration),
            ))
            .chain(parents.map(|parent| Particulars::of(parent.person_id, &parent.person, registration)))
            .collect()
        }
        Details::Death(death) => {
            let deceased = &death.deceased;
            vec![Particulars::of(
                deceased.person_id,
                &deceased.person,
                death.day(registration),
            )]
        }
        Details::Marriage(marriage) => [&marriage.husband, &marriage.wife]
            .map(|spouse| Particulars::of(spouse.person_id, &spouse.person, registration))
            .into(),
        Details::Guardianship(guardianship) => guardianship
            .parties()
            .map(|(party, _)| Particulars::of(party.person_id, &party.person, registration))
            .collect(),
        // What is guarded tells of nobody beside its own entry.
        Details::Recognition(_) | Details::Adoption(_) | Details::Correction(_) => Vec::new(),
    }
}

/// What a correction says of persons: of each of whom something is otherwise, true from the beginning or from its registration on, by its kind.
#[must_use]
pub fn told(
    entry: &Entry,
    stands: &Details,
    after: &Details,
    kind: CorrectionKind,
    registration: Date,
) -> Vec<Particulars> {
    let before = persons(stands, entry.registration_date);
    persons(after, entry.registration_date)
        .into_iter()
        .filter(|said| !before.contains(said))
        .map(|said| Particulars {
            valid_from: if kind.from_the_beginning() {
                said.valid_from
            } else {
                registration
            },
            ..said
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_back_to_kinds_of_corrections() {
        for kind in CorrectionKind::ALL {
            assert_eq!(CorrectionKind::of_code(kind.code()), Some(kind));
        }
        assert_eq!(CorrectionKind::of_code(5), None);
    }

    #[test]
    fn what_is_put_in_a_place_is_what_stands_there_and_nothing_else_can() {
        let mut name = PersonName::read("Nguyễn An").unwrap();
        let mut sex = Sex::Female;
        let mut born = Some(Born::in_year(1990).unwrap());
        let (mut group, mut country, mut text) = (None, Some(Country::VIET_NAM), "x".to_owned());
        for (slot, fits, others) in [
            (Slot::Name(&mut name), "Nguyễn Thị An", vec!["", "An 2"]),
            (Slot::Sex(&mut sex), "1", vec!["", "4", "nam"]),
            (Slot::Born(&mut born), "1991-04", vec!["1991-13", "năm 1991"]),
            (Slot::Born(&mut None), "1991-04-30", vec!["1991-04-31"]),
            (Slot::Group(&mut group), "02", vec![]),
            (Slot::Country(&mut country), "JP", vec!["XX", "vn"]),
            (Slot::Text(&mut text, true), "y", vec![""]),
        ] {
            let mut slot = slot;
            assert!(slot.put(fits), "{fits}");
            assert_eq!(slot.text(), fits);
            for other in others {
                assert!(!slot.put(other), "{other}");
                assert_eq!(slot.text(), fits, "{other}");
            }
        }
        let mut kept = Some(Country::VIET_NAM);
        let mut slot = Slot::Country(&mut kept);
        assert!(slot.put("") && slot.text().is_empty());
    }
}
