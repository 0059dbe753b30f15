//! Quan hệ gia đình: who is whose parent, spouse, child and guardian, since when and until when, and what can be asked of it on a day.
//!
//! The graph holds what the registry knows. What it does not know it cannot tell: that no kinship was found is no proof that there is none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// From when until when something is true: `from` included, `to` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validity {
    /// The first day.
    pub from: Date,
    /// The first day on which it is no longer true; none while it is.
    #[serde(default)]
    pub to: Option<Date>,
}

impl Validity {
    /// True on this day.
    pub fn holds_on(&self, day: Date) -> bool {
        self.from <= day && self.to.is_none_or(|to| day < to)
    }

    /// True on this day or on an earlier one.
    pub fn has_held_by(&self, day: Date) -> bool {
        self.from <= day && self.to.is_none_or(|to| self.from < to)
    }
}

/// What ties two people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieKind {
    /// `relative` is the mother (mẹ đẻ) of `person`.
    Mother,
    /// `relative` is the father (cha đẻ) of `person`.
    Father,
    /// `relative` is an adoptive parent (cha nuôi, mẹ nuôi) of `person`.
    AdoptiveParent,
    /// `relative` is the guardian (người giám hộ) of `person`.
    Guardian,
    /// The two are married (vợ chồng); which of them is `person` says nothing.
    Spouse,
}

impl TieKind {
    /// True for cha đẻ, mẹ đẻ.
    pub const fn is_blood(self) -> bool {
        matches!(self, Self::Mother | Self::Father)
    }

    /// True for a parent of either kind.
    pub const fn is_parent(self) -> bool {
        self.is_blood() || matches!(self, Self::AdoptiveParent)
    }
}

/// One tie with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tie {
    /// What it is.
    pub kind: TieKind,
    /// Whose it is.
    pub person: Uuid,
    /// To whom.
    pub relative: Uuid,
    /// When.
    pub validity: Validity,
}

impl Tie {
    /// The other one of a couple.
    fn other(&self, one: Uuid) -> Uuid {
        if self.person == one { self.relative } else { self.person }
    }
}

/// Why a graph is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlawedFamily {
    /// Somebody is tied to oneself.
    #[error("a person is tied to oneself")]
    Oneself,
    /// A tie ends before it begins.
    #[error("a tie ends before it begins")]
    EndsFirst,
}

/// The nearest ancestor whom two people share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CommonAncestor {
    /// Who.
    pub ancestor: Uuid,
    /// Steps from the first of the two up to the ancestor.
    pub of_one: u32,
    /// Steps from the second.
    pub of_other: u32,
}

impl CommonAncestor {
    /// Within how many generations (đời) the two are kin: the ancestor is the first, so it is one more than the longer way up.
    pub fn generations(&self) -> u32 {
        self.of_one.max(self.of_other) + 1
    }
}

/// A line between two people in which there is no blood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Cha, mẹ nuôi với con nuôi.
    Adoptive,
    /// Cha chồng với con dâu, mẹ vợ với con rể.
    InLaw,
    /// Cha dượng, mẹ kế với con riêng.
    Step,
}

/// An adoptive, in-law or step line between two people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Affinity {
    /// Which line.
    pub line: Line,
    /// True while it holds on the day; false if it held once (đã từng là).
    pub is_present: bool,
    /// True if a parent in it is an adoptive one: of an in-law or step line the law does not say that it counts.
    pub through_adoption: bool,
}

/// The family graph.
#[derive(Clone, Debug, Default)]
pub struct FamilyGraph {
    /// Ties of which somebody is `person`, or one of the couple.
    ties: BTreeMap<Uuid, Vec<Tie>>,
    /// Ties of which somebody is the parent or guardian.
    dependants: BTreeMap<Uuid, Vec<Tie>>,
    /// Ngày chết.
    deaths: BTreeMap<Uuid, Date>,
}

impl FamilyGraph {
    /// A graph of ties and of days of death.
    ///
    /// # Errors
    /// [`FlawedFamily`]. That somebody is one's own ancestor is not refused: books hold such errors, and every question here ends all the same.
    pub fn new(
        ties: impl IntoIterator<Item = Tie>,
        deaths: impl IntoIterator<Item = (Uuid, Date)>,
    ) -> Result<Self, FlawedFamily> {
        let mut graph = Self {
            deaths: deaths.into_iter().collect(),
            ..Self::default()
        };
        for tie in ties {
            if tie.person == tie.relative {
                return Err(FlawedFamily::Oneself);
            }
            if tie.validity.to.is_some_and(|to| to < tie.validity.from) {
                return Err(FlawedFamily::EndsFirst);
            }
            graph.ties.entry(tie.person).or_default().push(tie);
            if tie.kind == TieKind::Spouse {
                graph.ties.entry(tie.relative).or_default().push(tie);
            } else {
                graph.dependants.entry(tie.relative).or_default().push(tie);
            }
        }
        Ok(graph)
    }

    fn own(&self, person: Uuid) -> impl Iterator<Item = &Tie> {
        self.ties.get(&person).into_iter().flatten()
    }

    fn below(&self, person: Uuid) -> impl Iterator<Item = &Tie> {
        self.dependants.get(&person).into_iter().flatten()
    }

    /// True if somebody is not known to be dead on a day; on the day of the death somebody is.
    pub fn is_alive_on(&self, person: Uuid, day: Date) -> bool {
        self.deaths.get(&person).is_none_or(|died| day < *died)
    }

    /// The marriages of a person that hold on a day: begun, not dissolved or annulled, and both alive.
    pub fn marriages_on(&self, person: Uuid, day: Date) -> Vec<Tie> {
        self.own(person)
            .filter(|tie| tie.kind == TieKind::Spouse && tie.validity.holds_on(day))
            .filter(|tie| self.is_alive_on(tie.person, day) && self.is_alive_on(tie.relative, day))
            .copied()
            .collect()
    }

    /// Tình trạng hôn nhân: true if the registry knows of no marriage that holds on this day.
    pub fn is_unmarried_on(&self, person: Uuid, day: Date) -> bool {
        self.marriages_on(person, day).is_empty()
    }

    /// Vợ, chồng on a day.
    pub fn spouses_on(&self, person: Uuid, day: Date) -> BTreeSet<Uuid> {
        self.marriages_on(person, day)
            .iter()
            .map(|tie| tie.other(person))
            .collect()
    }

    /// Whoever is tied to a person so on a day: parents of a kind, or guardians.
    pub fn relatives_on(&self, person: Uuid, kind: TieKind, day: Date) -> BTreeSet<Uuid> {
        if kind == TieKind::Spouse {
            return self.spouses_on(person, day);
        }
        self.own(person)
            .filter(|tie| tie.kind == kind && tie.validity.holds_on(day))
            .map(|tie| tie.relative)
            .collect()
    }

    /// Cha, mẹ on a day, by blood and by adoption.
    pub fn parents_on(&self, person: Uuid, day: Date) -> BTreeSet<Uuid> {
        self.own(person)
            .filter(|tie| tie.kind.is_parent() && tie.validity.holds_on(day))
            .map(|tie| tie.relative)
            .collect()
    }

    /// Con on a day, by blood and by adoption.
    pub fn children_on(&self, person: Uuid, day: Date) -> BTreeSet<Uuid> {
        self.below(person)
            .filter(|tie| tie.kind.is_parent() && tie.validity.holds_on(day))
            .map(|tie| tie.person)
            .collect()
    }

    /// Whom a person is guardian of on a day.
    pub fn wards_on(&self, person: Uuid, day: Date) -> BTreeSet<Uuid> {
        self.below(person)
            .filter(|tie| tie.kind == TieKind::Guardian && tie.validity.holds_on(day))
            .map(|tie| tie.person)
            .collect()
    }

    /// Everybody above a person by blood, with the fewest steps up, oneself with 0.
    fn ancestors(&self, person: Uuid, day: Date, most: u32) -> BTreeMap<Uuid, u32> {
        let mut steps = BTreeMap::from([(person, 0)]);
        let mut next = VecDeque::from([(person, 0)]);
        while let Some((one, up)) = next.pop_front() {
            if up == most {
                continue;
            }
            for tie in self.own(one) {
                // A tie of blood that ended was none: a court or a correction took it back.
                if tie.kind.is_blood() && tie.validity.holds_on(day) && !steps.contains_key(&tie.relative) {
                    steps.insert(tie.relative, up + 1);
                    next.push_back((tie.relative, up + 1));
                }
            }
        }
        steps
    }

    /// Cùng dòng máu về trực hệ: how many steps one of the two is above the other; none if neither is.
    pub fn direct_line(&self, one: Uuid, other: Uuid, day: Date) -> Option<u32> {
        if one == other {
            return None;
        }
        let up = self.ancestors(one, day, u32::MAX).get(&other).copied();
        up.or_else(|| self.ancestors(other, day, u32::MAX).get(&one).copied())
    }

    /// Có họ trong phạm vi … đời: the nearest ancestor by blood whom both have within so many generations, the ancestor being the first.
    /// In the direct line the one above is that ancestor.
    pub fn common_ancestor(&self, one: Uuid, other: Uuid, generations: u32, day: Date) -> Option<CommonAncestor> {
        if one == other || generations == 0 {
            return None;
        }
        let of_one = self.ancestors(one, day, generations - 1);
        let of_other = self.ancestors(other, day, generations - 1);
        of_one
            .iter()
            .filter_map(|(ancestor, up)| {
                of_other.get(ancestor).map(|other_up| CommonAncestor {
                    ancestor: *ancestor,
                    of_one: *up,
                    of_other: *other_up,
                })
            })
            .min_by_key(|common| (common.generations(), common.of_one + common.of_other, common.ancestor))
    }

    /// Adoptive, in-law and step lines between two people, now or once, each at most once in every way in which it stands.
    pub fn affinities(&self, one: Uuid, other: Uuid, day: Date) -> BTreeSet<Affinity> {
        let mut found = BTreeSet::new();
        for (child, parent) in [(one, other), (other, one)] {
            for tie in self.own(child).filter(|tie| tie.validity.has_held_by(day)) {
                if tie.kind == TieKind::AdoptiveParent && tie.relative == parent {
                    found.insert(Affinity {
                        line: Line::Adoptive,
                        is_present: tie.validity.holds_on(day),
                        through_adoption: true,
                    });
                }
                if tie.kind == TieKind::Spouse {
                    // Dâu, rể: the spouse is a child of the other.
                    self.through(tie, tie.other(child), parent, Line::InLaw, day, &mut found);
                }
                if tie.kind.is_parent() {
                    // Cha dượng, mẹ kế: the parent is, or was, married to the other, who is no parent of the child.
                    for marriage in self.own(tie.relative) {
                        let is_step = marriage.kind == TieKind::Spouse
                            && marriage.validity.has_held_by(day)
                            && marriage.other(tie.relative) == parent
                            && !self.has_been_parent(child, parent, day);
                        if is_step {
                            found.insert(Affinity {
                                line: Line::Step,
                                is_present: tie.validity.holds_on(day) && self.marriage_holds(marriage, day),
                                through_adoption: tie.kind == TieKind::AdoptiveParent,
                            });
                        }
                    }
                }
            }
        }
        found
    }

    /// Adds the in-law lines through this marriage: the spouse is a child of `parent`.
    fn through(
        &self,
        marriage: &Tie,
        spouse: Uuid,
        parent: Uuid,
        line: Line,
        day: Date,
        found: &mut BTreeSet<Affinity>,
    ) {
        for tie in self.own(spouse) {
            if tie.kind.is_parent() && tie.relative == parent && tie.validity.has_held_by(day) {
                found.insert(Affinity {
                    line,
                    is_present: tie.validity.holds_on(day) && self.marriage_holds(marriage, day),
                    through_adoption: tie.kind == TieKind::AdoptiveParent,
                });
            }
        }
    }

    fn marriage_holds(&self, marriage: &Tie, day: Date) -> bool {
        marriage.validity.holds_on(day)
            && self.is_alive_on(marriage.person, day)
            && self.is_alive_on(marriage.relative, day)
    }

    /// Whether somebody is or was a parent of a child.
    fn has_been_parent(&self, child: Uuid, parent: Uuid, day: Date) -> bool {
        self.own(child)
            .any(|tie| tie.kind.is_parent() && tie.relative == parent && tie.validity.has_held_by(day))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    /// A person of a test.
    pub(crate) fn person(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// A tie from a day on.
    pub(crate) fn tie(kind: TieKind, person_number: u128, relative: u128, from: Date, to: Option<Date>) -> Tie {
        Tie {
            kind,
            person: person(person_number),
            relative: person(relative),
            validity: Validity { from, to },
        }
    }

    const OLD: Date = date(1950, 1, 1);
    const DAY: Date = date(2026, 6, 15);

    /// 1 and 2 are the parents of 3 and 4; 3 has 5, 4 has 6; 5 has 7, 6 has 8; 9 is married to 3 and was to nobody else.
    fn three_generations() -> FamilyGraph {
        let blood = |child, parent| tie(TieKind::Father, child, parent, OLD, None);
        let ties = [
            blood(3, 1),
            tie(TieKind::Mother, 3, 2, OLD, None),
            blood(4, 1),
            tie(TieKind::Mother, 4, 2, OLD, None),
            blood(5, 3),
            blood(6, 4),
            blood(7, 5),
            blood(8, 6),
            tie(TieKind::Spouse, 9, 3, OLD, None),
        ];
        FamilyGraph::new(ties, []).unwrap()
    }

    #[test]
    fn generations_are_counted_from_the_common_ancestor() {
        let graph = three_generations();
        let generations = |one, other| {
            graph
                .common_ancestor(person(one), person(other), 9, DAY)
                .map(|common| common.generations())
        };
        assert_eq!(generations(3, 4), Some(2), "brothers and sisters");
        assert_eq!(generations(5, 6), Some(3), "their children");
        assert_eq!(generations(4, 5), Some(3), "aunt and nephew");
        assert_eq!(generations(7, 8), Some(4), "grandchildren of brothers and sisters");
        assert_eq!(generations(5, 9), None, "no blood");
        assert!(graph.common_ancestor(person(7), person(8), 3, DAY).is_none());
        assert_eq!(graph.direct_line(person(1), person(7), DAY), Some(3));
        assert_eq!(graph.direct_line(person(3), person(4), DAY), None);
    }

    #[test]
    fn a_step_parent_is_one_who_married_a_parent_and_is_none() {
        let graph = three_generations();
        let step = Affinity {
            line: Line::Step,
            is_present: true,
            through_adoption: false,
        };
        assert_eq!(graph.affinities(person(5), person(9), DAY), BTreeSet::from([step]));
        let in_law = graph.affinities(person(1), person(9), DAY);
        assert!(in_law.iter().all(|one| one.line == Line::InLaw) && in_law.len() == 1);
        assert!(
            graph.affinities(person(4), person(9), DAY).is_empty(),
            "siblings in law may marry"
        );
    }

    #[test]
    fn what_was_once_an_adoption_or_a_marriage_still_stands_as_having_been() {
        let ended = Some(date(2010, 1, 1));
        let ties = [
            tie(TieKind::AdoptiveParent, 1, 2, date(2000, 1, 1), ended),
            tie(TieKind::Spouse, 3, 4, date(2000, 1, 1), ended),
            tie(TieKind::Mother, 4, 5, OLD, None),
        ];
        let graph = FamilyGraph::new(ties, []).unwrap();
        for (one, other, line) in [(1, 2, Line::Adoptive), (5, 3, Line::InLaw)] {
            let found = graph.affinities(person(one), person(other), DAY);
            assert!(found.iter().all(|one| one.line == line && !one.is_present) && found.len() == 1);
            assert!(
                graph
                    .affinities(person(one), person(other), date(1999, 1, 1))
                    .is_empty()
            );
        }
    }

    #[test]
    fn a_death_ends_a_marriage() {
        let ties = [tie(TieKind::Spouse, 1, 2, date(2000, 1, 1), None)];
        let graph = FamilyGraph::new(ties, [(person(2), date(2020, 5, 5))]).unwrap();
        assert!(!graph.is_unmarried_on(person(1), date(2020, 5, 4)));
        assert!(graph.is_unmarried_on(person(1), date(2020, 5, 5)));
    }

    #[test]
    fn flawed_ties_are_refused() {
        let itself = FamilyGraph::new([tie(TieKind::Mother, 1, 1, OLD, None)], []);
        assert_eq!(itself.err(), Some(FlawedFamily::Oneself));
        let reversed = FamilyGraph::new([tie(TieKind::Spouse, 1, 2, DAY, Some(OLD))], []);
        assert_eq!(reversed.err(), Some(FlawedFamily::EndsFirst));
    }

    const PEOPLE: u128 = 8;

    fn day_of(number: u8) -> Date {
        date(2000, 1, 1)
            .checked_add(jiff::Span::new().days(i64::from(number)))
            .unwrap_or(Date::MAX)
    }

    /// Ties among eight people with days within a month; blood may run in a ring, as in a book with errors.
    pub(crate) fn ties() -> impl Strategy<Value = Vec<Tie>> {
        let kind = prop::sample::select(vec![
            TieKind::Mother,
            TieKind::Father,
            TieKind::AdoptiveParent,
            TieKind::Guardian,
            TieKind::Spouse,
        ]);
        let one = (kind, 0..PEOPLE, 1..PEOPLE, 0..20_u8, prop::option::of(0..20_u8));
        prop::collection::vec(one, 0..14).prop_map(|all| {
            all.into_iter()
                .map(|(kind, one, apart, from, length)| {
                    let to = length.map(|length| day_of(from + length));
                    tie(kind, one, (one + apart) % PEOPLE, day_of(from), to)
                })
                .collect()
        })
    }

    /// All days of the month on which a tie holds, one after the other: the slow way to say that it holds.
    fn holds(tie: &Tie, day: Date) -> bool {
        (0..60)
            .map(day_of)
            .skip_while(|one| *one != tie.validity.from)
            .take_while(|one| Some(*one) != tie.validity.to)
            .any(|one| one == day)
    }

    /// Every way up from a person of at most so many steps: the slow way to find ancestors.
    fn ways_up(ties: &[Tie], one: Uuid, day: Date, steps: u32) -> Vec<(Uuid, u32)> {
        let mut all = vec![(one, 0)];
        if steps == 0 {
            return all;
        }
        for tie in ties {
            if matches!(tie.kind, TieKind::Mother | TieKind::Father) && tie.person == one && holds(tie, day) {
                let above = ways_up(ties, tie.relative, day, steps - 1);
                all.extend(above.into_iter().map(|(who, up)| (who, up + 1)));
            }
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn unmarried_is_that_no_tie_of_marriage_holds(ties in ties(), one in 0..PEOPLE, day in 0..40_u8, died in prop::collection::btree_map(0..PEOPLE, 0..40_u8, 0..3)) {
            let day = day_of(day);
            let deaths: Vec<(Uuid, Date)> = died.iter().map(|(who, on)| (person(*who), day_of(*on))).collect();
            let graph = FamilyGraph::new(ties.clone(), deaths.clone()).unwrap();
            let mut married = false;
            for tie in &ties {
                let concerns = tie.person == person(one) || tie.relative == person(one);
                let widowed = deaths.iter().any(|(who, on)| (*who == tie.person || *who == tie.relative) && *on <= day);
                married |= tie.kind == TieKind::Spouse && concerns && holds(tie, day) && !widowed;
            }
            prop_assert_eq!(graph.is_unmarried_on(person(one), day), !married);
            for spouse in graph.spouses_on(person(one), day) {
                prop_assert!(graph.spouses_on(spouse, day).contains(&person(one)), "marriage is mutual");
            }
        }

        #[test]
        fn kin_within_generations_is_that_two_ways_up_meet(ties in ties(), one in 0..PEOPLE, apart in 1..PEOPLE, day in 0..40_u8, generations in 1..5_u32) {
            let (one, other, day) = (person(one), person((one + apart) % PEOPLE), day_of(day));
            let graph = FamilyGraph::new(ties.clone(), []).unwrap();
            let (up, other_up) = (ways_up(&ties, one, day, generations - 1), ways_up(&ties, other, day, generations - 1));
            let nearest = up
                .iter()
                .flat_map(|(ancestor, steps)| {
                    other_up.iter().filter(move |(who, _)| who == ancestor).map(move |(_, other_steps)| steps.max(other_steps) + 1)
                })
                .min();
            let found = graph.common_ancestor(one, other, generations, day);
            prop_assert_eq!(found.map(|common| common.generations()), nearest);
            let mirrored = graph.common_ancestor(other, one, generations, day);
            prop_assert_eq!(mirrored.map(|common| common.generations()), nearest);
        }

        #[test]
        fn the_direct_line_is_a_way_up_of_any_length(ties in ties(), one in 0..PEOPLE, apart in 1..PEOPLE, day in 0..40_u8) {
            let (one, other, day) = (person(one), person((one + apart) % PEOPLE), day_of(day));
            let graph = FamilyGraph::new(ties.clone(), []).unwrap();
            // Blood of so few ties and people has no longer way that does not repeat itself.
            let blood: Vec<Tie> = ties.iter().filter(|tie| tie.kind.is_blood()).copied().collect();
            let reached = |from: Uuid, to: Uuid| {
                let mut seen = vec![from];
                for _ in 0..PEOPLE {
                    for tie in &blood {
                        if seen.contains(&tie.person) && !seen.contains(&tie.relative) && holds(tie, day) {
                            seen.push(tie.relative);
                        }
                    }
                }
                seen.contains(&to)
            };
            let expected = reached(one, other) || reached(other, one);
            prop_assert_eq!(graph.direct_line(one, other, day).is_some(), expected);
        }

        /// The slow way: write the three sentences of the law down over all triples of people.
        #[test]
        fn lines_without_blood_are_those_of_the_law(ties in ties(), one in 0..PEOPLE, apart in 1..PEOPLE, day in 0..40_u8) {
            let (one, other, day) = (person(one), person((one + apart) % PEOPLE), day_of(day));
            let graph = FamilyGraph::new(ties.clone(), []).unwrap();
            let held: Vec<Tie> = ties.iter().filter(|tie| (0..60).map(day_of).any(|earlier| earlier <= day && holds(tie, earlier))).copied().collect();
            let adopted = |child: Uuid, parent: Uuid| held.iter().any(|tie| tie.kind == TieKind::AdoptiveParent && tie.person == child && tie.relative == parent);
            let parent_of = |child: Uuid, parent: Uuid| held.iter().any(|tie| !matches!(tie.kind, TieKind::Spouse | TieKind::Guardian) && tie.person == child && tie.relative == parent);
            let wed = |a: Uuid, b: Uuid| held.iter().any(|tie| tie.kind == TieKind::Spouse && ((tie.person == a && tie.relative == b) || (tie.person == b && tie.relative == a)));
            let mut expected = BTreeSet::new();
            for (child, parent) in [(one, other), (other, one)] {
                if adopted(child, parent) {
                    expected.insert(Line::Adoptive);
                }
                for third in (0..PEOPLE).map(person) {
                    if wed(child, third) && parent_of(third, parent) {
                        expected.insert(Line::InLaw);
                    }
                    if parent_of(child, third) && wed(third, parent) && !parent_of(child, parent) {
                        expected.insert(Line::Step);
                    }
                }
            }
            let found: BTreeSet<Line> = graph.affinities(one, other, day).iter().map(|affinity| affinity.line).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
