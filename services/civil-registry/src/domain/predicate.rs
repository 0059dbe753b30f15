//! Câu hỏi có, không: what other agencies ask about a person instead of reading the books. It is answered by what this registry knows, which books of
//! other provinces may add to: what it does not know it says, and a no is given only where an entry speaks for it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::entry::{Relation, RelationKind};
use super::kinship::{FamilyGraph, FlawedFamily};
use super::person::Born;
use super::rules::age::{Reached, reached};
use super::rules::pack::LeapDayBirthday;

/// What is asked about a person on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// Còn sống?
    Alive,
    /// Đang có vợ, có chồng?
    Married,
    /// Đủ bao nhiêu tuổi?
    AtLeastAge(i16),
    /// Là cha, mẹ của người này?
    ParentOf(Uuid),
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Có.
    Yes,
    /// Không.
    No,
    /// Cơ sở dữ liệu này không rõ.
    NotKnown,
}

impl Answer {
    const fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// What an entry says of somebody's birth.
#[derive(Clone, Copy, Debug)]
pub struct Mention {
    /// Of whom.
    pub person_id: Uuid,
    /// True if it is the entry of this birth, or corrects it.
    pub is_own: bool,
    /// The birth, if it is told.
    pub born: Option<Born>,
    /// Since when it is known.
    pub record_time: Timestamp,
}

/// What the registry knows of whom a question names, whichever communes entered it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What entries say of births.
    pub mentions: Vec<Mention>,
    /// The family, each relation as it stands.
    pub relations: Vec<Relation>,
    /// Since which day who is dead.
    pub deaths: Vec<(Uuid, Date)>,
    /// Of whom it is noted that they are declared missing or dead.
    pub declared: BTreeSet<Uuid>,
    /// Beside whose birth an adoption or recognition is noted.
    pub parentage_noted: BTreeSet<Uuid>,
}

impl Facts {
    fn of(&self, person: Uuid) -> impl Iterator<Item = &Mention> {
        self.mentions.iter().filter(move |one| one.person_id == person)
    }

    /// True if an entry tells of somebody.
    fn knows(&self, person: Uuid) -> bool {
        self.of(person).next().is_some()
    }

    /// True if somebody's birth is registered here.
    fn has_own_birth(&self, person: Uuid) -> bool {
        self.of(person).any(|one| one.is_own)
    }

    /// When somebody may have been born: by the own entry as it was corrected last; without one by everything that is said.
    fn births(&self, person: Uuid) -> Vec<Born> {
        match self
            .of(person)
            .filter(|one| one.is_own)
            .max_by_key(|one| one.record_time)
        {
            Some(own) => own.born.into_iter().collect(),
            None => self.of(person).filter_map(|one| one.born).collect(),
        }
    }

    fn died(&self, person: Uuid) -> Option<Date> {
        self.deaths
            .iter()
            .find(|(dead, _)| *dead == person)
            .map(|(_, day)| *day)
    }

    fn has_reached(&self, person: Uuid, age: i16, on: Date, leap: LeapDayBirthday) -> Answer {
        let found: Vec<Reached> = self
            .births(person)
            .into_iter()
            .map(|born| reached(born, age, on, leap))
            .collect();
        match found.first() {
            Some(Reached::Yes) if found.iter().all(|one| *one == Reached::Yes) => Answer::Yes,
            Some(Reached::No) if found.iter().all(|one| *one == Reached::No) => Answer::No,
            _ => Answer::NotKnown,
        }
    }

    fn is_alive(&self, person: Uuid, on: Date) -> Answer {
        match self.died(person) {
            Some(day) if day <= on => return Answer::No,
            Some(_) => {}
            None if self.declared.contains(&person) => return Answer::NotKnown,
            None => {}
        }
        let births = self.births(person);
        if births.is_empty() {
            Answer::NotKnown
        } else if births.iter().all(|born| born.latest() <= on) {
            Answer::Yes
        } else if births.iter().all(|born| on < born.earliest()) {
            Answer::No
        } else {
            Answer::NotKnown
        }
    }

    fn is_married(&self, person: Uuid, on: Date) -> Result<Answer, FlawedFamily> {
        if !self.knows(person) {
            return Ok(Answer::NotKnown);
        }
        let ties = self.relations.iter().map(Relation::tie);
        let graph = FamilyGraph::new(ties, self.deaths.iter().copied())?;
        let spouses = graph.spouses_on(person, on);
        if !spouses.is_empty() {
            // Who is declared dead is no longer married, since a day that no entry tells.
            let is_doubtful = spouses.iter().chain([&person]).any(|one| self.declared.contains(one));
            return Ok(if is_doubtful { Answer::NotKnown } else { Answer::Yes });
        }
        let was_married = self
            .relations
            .iter()
            .any(|one| one.kind == RelationKind::Spouse && (one.person_id == person || one.relative_id == person));
        let speaks_for_it = was_married || self.has_own_birth(person) || self.died(person).is_some_and(|day| day <= on);
        Ok(if speaks_for_it { Answer::No } else { Answer::NotKnown })
    }

    fn is_parent(&self, person: Uuid, child: Uuid, on: Date) -> Answer {
        if !self.knows(person) || !self.knows(child) || self.parentage_noted.contains(&child) {
            return Answer::NotKnown;
        }
        let is_parent = self
            .relations
            .iter()
            .filter(|one| one.person_id == child && one.relative_id == person && one.kind.tie().is_parent())
            .any(|one| one.valid_from <= on && one.valid_to.is_none_or(|to| on < to));
        if is_parent || self.has_own_birth(child) {
            Answer::of(is_parent)
        } else {
            Answer::NotKnown
        }
    }

    /// Answers a question about a person on a day.
    ///
    /// # Errors
    /// [`FlawedFamily`]: what is stored is no family.
    pub fn answer(
        &self,
        person: Uuid,
        predicate: Predicate,
        on: Date,
        leap: LeapDayBirthday,
    ) -> Result<Answer, FlawedFamily> {
        Ok(match predicate {
            Predicate::Alive => self.is_alive(person, on),
            Predicate::Married => self.is_married(person, on)?,
            Predicate::AtLeastAge(age) => self.has_reached(person, age, on, leap),
            Predicate::ParentOf(child) => self.is_parent(person, child, on),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn mention(person_id: Uuid, is_own: bool, born: Option<Born>, second: i64) -> Mention {
        Mention {
            person_id,
            is_own,
            born,
            record_time: Timestamp::from_second(second).unwrap(),
        }
    }

    fn relation(kind: RelationKind, valid_from: Date, valid_to: Option<Date>) -> Relation {
        Relation {
            relation_id: Uuid::from_u128(9),
            version: 1,
            kind,
            person_id: ONE,
            relative_id: OTHER,
            valid_from,
            valid_to,
        }
    }

    fn asked(facts: &Facts, person: Uuid, predicate: Predicate, on: Date) -> Answer {
        facts.answer(person, predicate, on, LeapDayBirthday::March1).unwrap()
    }

    #[test]
    fn whom_no_entry_names_nothing_is_known_of() {
        let facts = Facts::default();
        for predicate in [
            Predicate::Alive,
            Predicate::Married,
            Predicate::AtLeastAge(18),
            Predicate::ParentOf(OTHER),
        ] {
            assert_eq!(asked(&facts, ONE, predicate, date(2026, 11, 23)), Answer::NotKnown);
        }
    }

    #[test]
    fn an_age_follows_from_the_own_entry_as_it_was_corrected_or_from_all_that_agree() {
        let year = Born::in_year(2008).unwrap();
        let other_year = Born::in_year(1990).unwrap();
        let own = Born::on(date(2008, 11, 23)).unwrap();
        let age = |mentions: Vec<Mention>, on| {
            let facts = Facts {
                mentions,
                ..Facts::default()
            };
            asked(&facts, ONE, Predicate::AtLeastAge(18), on)
        };
        let said = vec![mention(ONE, false, Some(year), 1)];
        assert_eq!(age(said.clone(), date(2025, 12, 31)), Answer::No);
        assert_eq!(
            age(said.clone(), date(2026, 6, 1)),
            Answer::NotKnown,
            "it depends on the day"
        );
        assert_eq!(age(said.clone(), date(2026, 12, 31)), Answer::Yes);
        let contradicted = [said, vec![mention(ONE, false, Some(other_year), 2)]].concat();
        assert_eq!(age(contradicted.clone(), date(2025, 12, 31)), Answer::NotKnown);
        let corrected = vec![mention(ONE, true, Some(year), 3), mention(ONE, true, Some(own), 4)];
        let all = [contradicted, corrected].concat();
        assert_eq!(age(all.clone(), date(2026, 11, 22)), Answer::No);
        assert_eq!(age(all, date(2026, 11, 23)), Answer::Yes);
    }

    #[test]
    fn alive_is_who_was_born_by_then_and_of_whose_death_nothing_is_known() {
        let mut facts = Facts {
            mentions: vec![mention(ONE, true, Some(Born::on(date(1950, 5, 12)).unwrap()), 1)],
            ..Facts::default()
        };
        assert_eq!(asked(&facts, ONE, Predicate::Alive, date(1950, 5, 11)), Answer::No);
        assert_eq!(asked(&facts, ONE, Predicate::Alive, date(1950, 5, 12)), Answer::Yes);
        facts.declared.insert(ONE);
        assert_eq!(asked(&facts, ONE, Predicate::Alive, date(2000, 1, 1)), Answer::NotKnown);
        facts.deaths.push((ONE, date(2020, 2, 2)));
        assert_eq!(asked(&facts, ONE, Predicate::Alive, date(2020, 2, 1)), Answer::Yes);
        assert_eq!(asked(&facts, ONE, Predicate::Alive, date(2020, 2, 2)), Answer::No);
    }

    #[test]
    fn a_no_about_a_marriage_or_a_parent_is_given_where_an_entry_speaks_for_it() {
        let born = Some(Born::in_year(1990).unwrap());
        let mut facts = Facts {
            mentions: vec![mention(ONE, false, born, 1), mention(OTHER, false, born, 1)],
            ..Facts::default()
        };
        let (day, later) = (date(2020, 1, 1), date(2022, 1, 1));
        assert_eq!(
            asked(&facts, ONE, Predicate::Married, day),
            Answer::NotKnown,
            "named only"
        );
        assert_eq!(asked(&facts, OTHER, Predicate::ParentOf(ONE), day), Answer::NotKnown);
        facts.relations = vec![relation(RelationKind::Spouse, day, Some(later))];
        for person in [ONE, OTHER] {
            assert_eq!(asked(&facts, person, Predicate::Married, day), Answer::Yes);
            assert_eq!(asked(&facts, person, Predicate::Married, later), Answer::No);
        }
        facts.declared.insert(OTHER);
        assert_eq!(asked(&facts, ONE, Predicate::Married, day), Answer::NotKnown);

        facts.relations = vec![relation(RelationKind::Mother, day, None)];
        assert_eq!(asked(&facts, OTHER, Predicate::ParentOf(ONE), day), Answer::Yes);
        assert_eq!(asked(&facts, ONE, Predicate::ParentOf(OTHER), day), Answer::NotKnown);
        facts.mentions.push(mention(OTHER, true, born, 2));
        assert_eq!(asked(&facts, ONE, Predicate::ParentOf(OTHER), day), Answer::No);
        // Adoptive and natural parents are answered alike, and beside a note of either nothing is certain.
        facts.relations = vec![relation(RelationKind::AdoptiveParent, day, None)];
        assert_eq!(asked(&facts, OTHER, Predicate::ParentOf(ONE), day), Answer::Yes);
        facts.parentage_noted.insert(ONE);
        assert_eq!(asked(&facts, OTHER, Predicate::ParentOf(ONE), day), Answer::NotKnown);
    }
}
