//! Thống kê hộ tịch: what an entry counts for, and which figures may be shown.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::book::EventKind;
use super::correction::{self, Correction};
use super::entry::{Details, Entry, RegistrationKind};
use super::person::Sex;

/// Groups of sex and ethnic group with fewer are not shown by themselves. It is our own decision, the same number as one-stop has for what it
/// publishes: in a commune's month the only birth of an ethnic group is a known child.
pub const SMALLEST: i64 = 5;

/// What an entry counts for, beside its commune, its day and its kind of registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Loại việc.
    pub event: EventKind,
    /// Giới tính; none where the event is not of one person.
    pub sex: Option<Sex>,
    /// Dân tộc, its code; empty where it is not known or the event is not of one person.
    pub ethnic_group: String,
}

impl Counted {
    /// What is counted of what an entry says; none if its kind is not counted. A kind joins by an arm of its own here.
    pub fn of(details: &Details) -> Option<Self> {
        let (event, person) = match details {
            Details::Birth(birth) => (EventKind::Birth, Some(&birth.child.person)),
            Details::Death(death) => (EventKind::Death, Some(&death.deceased.person)),
            // One event of two persons: neither sex nor ethnic group is that of the marriage.
            Details::Marriage(_) => (EventKind::Marriage, None),
            // What changes families and adds nobody is not counted among the vital events.
            Details::Guardianship(_) | Details::Recognition(_) | Details::Adoption(_) => return None,
            Details::Correction(_) => return None,
        };
        Some(Self {
            event,
            sex: person.map(|person| person.sex),
            ethnic_group: person
                .and_then(|person| person.ethnic_group.as_ref())
                .map(|group| group.code().to_owned())
                .unwrap_or_default(),
        })
    }
}

/// One addition to the figures, or one that is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// 1 for the entry itself; of its n-th correction 2n takes back and 2n + 1 adds.
    pub place: i32,
    /// What it is of.
    pub counted: Counted,
    /// 1 or -1.
    pub amount: i16,
    /// Since when it is known.
    pub record_time: Timestamp,
}

/// What an entry adds when it is entered.
pub fn entered(entry: &Entry) -> Option<Change> {
    Some(Change {
        place: 1,
        counted: Counted::of(&entry.content.details)?,
        amount: 1,
        record_time: entry.record_time,
    })
}

/// What a correction takes back and adds; nothing if what is counted stays as it is.
pub fn corrected(before: &Details, after: &Details, position: i32, now: Timestamp) -> Vec<Change> {
    let (before, after) = (Counted::of(before), Counted::of(after));
    if before == after {
        return Vec::new();
    }
    let place = position.saturating_mul(2);
    let change = |counted: Option<Counted>, place: i32, amount: i16| {
        counted.map(|counted| Change {
            place,
            counted,
            amount,
            record_time: now,
        })
    };
    let both = [change(before, place, -1), change(after, place.saturating_add(1), 1)];
    both.into_iter().flatten().collect()
}

/// All that an entry with its corrections, in their order, has changed in the figures.
pub fn all_of(entry: &Entry, corrections: &[(Correction, Timestamp)]) -> Vec<Change> {
    let mut changes: Vec<Change> = entered(entry).into_iter().collect();
    let mut applied = Vec::new();
    let mut stands = entry.content.details.clone();
    for (one, known) in corrections {
        applied.push(one.clone());
        let after = correction::standing(&entry.content.details, &applied);
        changes.extend(corrected(&stands, &after, one.position, *known));
        stands = after;
    }
    changes
}

/// By what figures are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Not at all.
    Whole,
    /// Đơn vị.
    Unit,
    /// Tháng.
    Month,
    /// Giới tính.
    Sex,
    /// Dân tộc.
    EthnicGroup,
}

impl Dimension {
    /// Its code in contract and queries.
    pub const fn code(self) -> i16 {
        match self {
            Self::Whole => 1,
            Self::Unit => 2,
            Self::Month => 3,
            Self::Sex => 4,
            Self::EthnicGroup => 5,
        }
    }

    /// Whether its groups say what persons are, so that small ones are put together and not divided further.
    pub const fn is_of_persons(self) -> bool {
        matches!(self, Self::Sex | Self::EthnicGroup)
    }
}

/// How many by kind of registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Đúng hạn.
    pub on_time: i64,
    /// Quá hạn.
    pub late: i64,
    /// Đăng ký lại.
    pub again: i64,
    /// Ghi vào sổ việc đã đăng ký ở nước ngoài.
    pub from_abroad: i64,
}

impl Kinds {
    /// Adds so many of a kind.
    pub const fn add(&mut self, kind: RegistrationKind, count: i64) {
        match kind {
            RegistrationKind::OnTime => self.on_time += count,
            RegistrationKind::Late => self.late += count,
            RegistrationKind::Again => self.again += count,
            RegistrationKind::FromAbroad => self.from_abroad += count,
        }
    }

    /// All of them.
    pub const fn total(&self) -> i64 {
        self.on_time + self.late + self.again + self.from_abroad
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            on_time: self.on_time + other.on_time,
            late: self.late + other.late,
            again: self.again + other.again,
            from_abroad: self.from_abroad + other.from_abroad,
        }
    }
}

/// What a group is: the unit, month or sex by its number, the ethnic group by its code.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The number; 0 if there is none.
    pub number: i32,
    /// The code; empty if there is none.
    pub code: String,
}

/// A sum as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Loại việc.
    pub event: EventKind,
    /// The group.
    pub key: Key,
    /// Loại đăng ký.
    pub kind: RegistrationKind,
    /// How many.
    pub count: i64,
}

/// The figures of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Loại việc.
    pub event: EventKind,
    /// The group; none if several were put together.
    pub key: Option<Key>,
    /// How many.
    pub kinds: Kinds,
}

/// The groups that have anything, by event and key, and the exact total of each event. Groups of persons that are too small are put together.
pub fn tabulate(sums: impl IntoIterator<Item = Sum>, dimension: Dimension) -> (Vec<Figures>, Vec<Figures>) {
    let mut events: BTreeMap<i16, (EventKind, BTreeMap<Key, Kinds>)> = BTreeMap::new();
    for sum in sums {
        let (_, groups) = events
            .entry(sum.event.code())
            .or_insert_with(|| (sum.event, BTreeMap::new()));
        groups.entry(sum.key).or_default().add(sum.kind, sum.count);
    }
    let (mut rows, mut totals) = (Vec::new(), Vec::new());
    for (event, groups) in events.into_values() {
        let total = groups.values().copied().fold(Kinds::default(), Kinds::plus);
        if total.total() == 0 {
            continue;
        }
        totals.push(Figures {
            event,
            key: Some(Key::default()),
            kinds: total,
        });
        let groups: Vec<(Key, Kinds)> = groups.into_iter().filter(|(_, kinds)| kinds.total() != 0).collect();
        // A marriage is of two persons, and makes no groups of sex or ethnic group.
        let (shown, pooled) = if dimension.is_of_persons() && event != EventKind::Marriage {
            pool(groups)
        } else {
            (groups, None)
        };
        rows.extend(shown.into_iter().map(|(key, kinds)| Figures {
            event,
            key: Some(key),
            kinds,
        }));
        rows.extend(pooled.map(|kinds| Figures {
            event,
            key: None,
            kinds,
        }));
    }
    (rows, totals)
}

/// Puts groups with fewer than [`SMALLEST`] together. If that is one group alone, or too few all the same, the smallest of the others joins it:
/// otherwise the total would give it away. Where all groups together have too few, what is left says as much as the total.
fn pool(mut groups: Vec<(Key, Kinds)>) -> (Vec<(Key, Kinds)>, Option<Kinds>) {
    groups.sort_by_key(|(_, kinds)| kinds.total());
    let sum = |groups: &[(Key, Kinds)], count: usize| {
        let hidden = groups.iter().take(count).map(|(_, kinds)| *kinds);
        hidden.fold(Kinds::default(), Kinds::plus)
    };
    let mut hidden = groups.iter().take_while(|(_, kinds)| kinds.total() < SMALLEST).count();
    if hidden == 0 {
        groups.sort_by(|(one, _), (other, _)| one.cmp(other));
        return (groups, None);
    }
    while hidden < groups.len() && (hidden < 2 || sum(&groups, hidden).total() < SMALLEST) {
        hidden += 1;
    }
    let pooled = sum(&groups, hidden);
    let mut shown = groups.split_off(hidden);
    shown.sort_by(|(one, _), (other, _)| one.cmp(other));
    (shown, Some(pooled))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn small_groups_are_not_shown_and_totals_stay_exact(counts in proptest::collection::vec(0_i64..12, 0..9)) {
            let sums = counts.iter().zip(1..).map(|(count, number)| Sum {
                event: EventKind::Birth,
                key: Key { number, code: String::new() },
                kind: RegistrationKind::OnTime,
                count: *count,
            });
            let (rows, totals) = tabulate(sums, Dimension::EthnicGroup);
            let all: i64 = counts.iter().sum();
            prop_assert_eq!(totals.iter().map(|row| row.kinds.total()).sum::<i64>(), all);
            prop_assert_eq!(rows.iter().map(|row| row.kinds.total()).sum::<i64>(), all);
            let shown = rows.iter().filter(|row| row.key.is_some()).count();
            for row in &rows {
                let count = row.kinds.total();
                prop_assert!(count >= SMALLEST || (row.key.is_none() && count == all));
            }
            // What was put together is at least two groups, unless there is but one.
            let there = counts.iter().filter(|count| **count > 0).count();
            if rows.len() > shown {
                prop_assert!(there - shown >= 2 || there == 1);
            } else {
                prop_assert_eq!(there, shown);
            }
        }
    }

    #[test]
    fn units_and_months_are_shown_however_few_they_have() {
        let sums = [(1, 1), (2, 0), (3, 7)].map(|(number, count)| Sum {
            event: EventKind::Death,
            key: Key {
                number,
                code: String::new(),
            },
            kind: RegistrationKind::Late,
            count,
        });
        let (rows, totals) = tabulate(sums, Dimension::Month);
        let rows: Vec<(i32, i64)> = rows
            .into_iter()
            .map(|row| (row.key.unwrap_or_default().number, row.kinds.late))
            .collect();
        assert_eq!(rows, [(1, 1), (3, 7)]);
        assert_eq!(totals.len(), 1);
    }
}
