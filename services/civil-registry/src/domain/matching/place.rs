//! Nơi sinh along the history of units: a commune that was merged is the one into which it was merged.

use std::collections::BTreeMap;

use jiff::civil::Date;

/// A place as a record names it: the code of a unit, which says something only together with a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Mã đơn vị hành chính.
    pub code: String,
    /// A day on which the code meant the place.
    pub on: Date,
}

/// What became of units (sáp nhập, đổi tên): of each code, when it went over into which one; none if it ended without a known successor.
#[derive(Clone, Debug, Default)]
pub struct PlaceHistory(BTreeMap<String, BTreeMap<Date, Option<String>>>);

/// How two places stand to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceLikeness {
    /// The same unit at the same time.
    Same,
    /// One unit today.
    Merged,
    /// Two units today.
    Other,
    /// What became of one of them is not known.
    Unknown,
}

impl PlaceHistory {
    /// Each row: the day of the change, the code before, the code after.
    pub fn new(rows: impl IntoIterator<Item = (Date, String, Option<String>)>) -> Self {
        let mut history: BTreeMap<String, BTreeMap<Date, Option<String>>> = BTreeMap::new();
        for (day, old, new) in rows {
            history.entry(old).or_default().insert(day, new);
        }
        Self(history)
    }

    /// The unit that a place is today; none if it ended without a known successor.
    pub fn today(&self, place: &Place) -> Option<String> {
        let (mut code, mut on) = (place.code.clone(), place.on);
        // Days only grow, so this ends.
        while let Some((day, next)) = self
            .0
            .get(&code)
            .and_then(|changes| changes.iter().find(|(day, _)| **day > on))
        {
            code = next.clone()?;
            on = *day;
        }
        Some(code)
    }

    /// How two places stand to one another.
    pub fn likeness(&self, one: &Place, other: &Place) -> PlaceLikeness {
        match (self.today(one), self.today(other)) {
            (Some(here), Some(there)) if here == there => {
                if one.code == other.code {
                    PlaceLikeness::Same
                } else {
                    PlaceLikeness::Merged
                }
            }
            (Some(_), Some(_)) => PlaceLikeness::Other,
            _ if one == other => PlaceLikeness::Same,
            _ => PlaceLikeness::Unknown,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::civil::date;

    use super::*;

    /// The history of the product: the first three columns, which hold no comma.
    pub(crate) fn rows() -> Vec<(Date, String, Option<String>)> {
        let text = include_str!("../../../../../deploy/packs/units/history/successions.csv");
        text.lines()
            .skip(1)
            .map(|line| {
                let columns: Vec<&str> = line.splitn(4, ',').collect();
                let new = (!columns[2].is_empty()).then(|| columns[2].to_owned());
                (columns[0].parse().unwrap(), columns[1].to_owned(), new)
            })
            .collect()
    }

    fn place(code: &str, on: Date) -> Place {
        Place {
            code: code.to_owned(),
            on,
        }
    }

    #[test]
    fn a_commune_is_what_it_was_merged_into_and_a_code_that_came_back_is_not_what_it_was() {
        let history = PlaceHistory::new(rows());
        let then = date(2025, 1, 1);
        let now = date(2025, 7, 1);
        let merged = history.likeness(&place("16714", then), &place("16690", now));
        assert_eq!(merged, PlaceLikeness::Merged);
        assert_eq!(
            history.likeness(&place("16717", then), &place("16720", then)),
            PlaceLikeness::Merged
        );
        assert_eq!(
            history.likeness(&place("16714", then), &place("16717", then)),
            PlaceLikeness::Other
        );
        let ended = PlaceHistory::new([(now, "1".to_owned(), None)]);
        assert_eq!(
            ended.likeness(&place("1", then), &place("2", now)),
            PlaceLikeness::Unknown
        );
        assert_eq!(
            ended.likeness(&place("1", then), &place("1", then)),
            PlaceLikeness::Same
        );
        assert_eq!(
            ended.likeness(&place("1", now), &place("1", then)),
            PlaceLikeness::Unknown
        );
    }
}
