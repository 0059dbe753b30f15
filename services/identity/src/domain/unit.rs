//! Units (đơn vị) through time.

use egov_auth::UnitTree;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Loại đơn vị; the numbers are those of the contract (`egov.identity.v1.UnitKind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnitKind {
    /// Tỉnh.
    Province = 1,
    /// Sở, ban, ngành of the province, and what belongs to them.
    ProvinceDepartment = 2,
    /// Xã.
    Commune = 3,
    /// Phường.
    Ward = 4,
    /// Phòng, trung tâm of a commune or ward.
    CommuneDepartment = 5,
    /// Huyện, until 2025-06-30.
    District = 6,
    /// Thành phố thuộc tỉnh, until 2025-06-30.
    ProvincialCity = 7,
    /// Thị xã, until 2025-06-30.
    Town = 8,
    /// Thị trấn, until 2025-06-30.
    Township = 9,
}

impl UnitKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 9] = [
        Self::Province,
        Self::ProvinceDepartment,
        Self::Commune,
        Self::Ward,
        Self::CommuneDepartment,
        Self::District,
        Self::ProvincialCity,
        Self::Town,
        Self::Township,
    ];

    /// The number in the contract and in the database.
    pub(crate) const fn number(self) -> i16 {
        self as i16
    }

    /// The kind with this number.
    pub(crate) fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind of what lies below a unit of this kind and is not itself part of the territory; none below a unit of the
    /// government of three levels, whose departments are not kept.
    pub(crate) const fn department(self) -> Option<Self> {
        match self {
            Self::Province | Self::ProvinceDepartment => Some(Self::ProvinceDepartment),
            Self::Commune | Self::Ward | Self::CommuneDepartment => Some(Self::CommuneDepartment),
            Self::District | Self::ProvincialCity | Self::Town | Self::Township => None,
        }
    }

    /// True for the kinds between province and commune, which ended on 2025-07-01.
    pub(crate) const fn is_district(self) -> bool {
        matches!(self, Self::District | Self::ProvincialCity | Self::Town)
    }

    /// True for the kinds that ended with the government of three levels.
    pub(crate) const fn is_former(self) -> bool {
        self.is_district() || matches!(self, Self::Township)
    }

    /// True for the kinds that divide the whole territory among them: what one of them loses, another gains.
    pub(crate) const fn is_territory(self) -> bool {
        matches!(self, Self::Commune | Self::Ward)
    }
}

/// How far a fact is established (`egov.types.v1.FactStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FactStatus {
    /// By a source.
    Confirmed,
    /// Commonly held, not checked.
    Unconfirmed,
    /// Decided by somebody named.
    Decided,
}

impl FactStatus {
    /// The word in packs and in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unconfirmed => "unconfirmed",
            Self::Decided => "decided",
        }
    }

    /// The status that a word names.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Confirmed, Self::Unconfirmed, Self::Decided]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// A unit in one period of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Unit {
    /// Internal id. The pair of code and first day gets it once; it never changes and is never used again.
    pub unit_id: i32,
    /// Mã đơn vị.
    pub code: String,
    /// Tên.
    pub name: String,
    /// Loại.
    pub kind: UnitKind,
    /// The unit above; none for the province.
    pub parent_id: Option<i32>,
    /// From this day.
    pub effective_from: Date,
    /// Until this day (exclusive); open if absent.
    pub effective_to: Option<Date>,
    /// Mã định danh cơ quan.
    pub agency_code: Option<String>,
    /// True if the agency code was not issued by the province.
    pub agency_code_provisional: bool,
    /// How far the facts of this row are established.
    pub status: FactStatus,
    /// What the pack says about it.
    pub note: String,
}

impl Unit {
    /// Whether the unit exists on a day.
    pub(crate) fn in_force(&self, on: Date) -> bool {
        self.effective_from <= on && self.effective_to.is_none_or(|end| on < end)
    }

    /// Whether the unit exists on a day or on any later one.
    pub(crate) fn exists_from(&self, day: Date) -> bool {
        self.effective_to.is_none_or(|end| end > day)
    }

    /// Whether two periods have a day in common.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end = |a: &Self, b: &Self| b.effective_to.is_none_or(|end| a.effective_from < end);
        begins_before_end(self, other) && begins_before_end(other, self)
    }
}

/// A sorted set of units told as few as possible: a unit whose whole subtree is in the set stands for it (`true`), the others for
/// themselves.
pub(crate) fn summarised(tree: &UnitTree, units: &[i32]) -> Vec<(i32, bool)> {
    let has = |unit: &i32| units.binary_search(unit).is_ok();
    let mut by_size: Vec<(i32, &[i32])> = units.iter().map(|&unit| (unit, tree.subtree(unit))).collect();
    by_size.sort_by_key(|(unit, below)| (std::cmp::Reverse(below.len()), *unit));
    let mut told = std::collections::HashSet::new();
    let mut places = Vec::new();
    for (unit, below) in by_size {
        if told.contains(&unit) {
            continue;
        }
        let whole = !below.is_empty() && below.iter().all(has);
        if whole {
            told.extend(below.iter().copied());
        }
        places.push((unit, whole));
    }
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_proto::egov::identity::v1 as wire;

    #[test]
    fn units_are_told_as_few_as_possible() {
        let unit = |id, parent| egov_auth::Unit { id, parent };
        let tree = UnitTree::new(1, [unit(1, None), unit(2, Some(1)), unit(3, Some(2)), unit(4, Some(1))]).unwrap();
        assert_eq!(summarised(&tree, &[1, 2, 3, 4]), [(1, true)]);
        assert_eq!(summarised(&tree, &[2, 3, 4]), [(2, true), (4, true)]);
        assert_eq!(summarised(&tree, &[1, 2]), [(1, false), (2, false)]);
        assert_eq!(summarised(&tree, &[3]), [(3, true)]);
        assert_eq!(summarised(&tree, &[]), []);
    }

    #[test]
    fn the_kinds_are_those_of_the_contract() {
        for (kind, contract) in [
            (UnitKind::Province, wire::UnitKind::Province),
            (UnitKind::ProvinceDepartment, wire::UnitKind::ProvinceDepartment),
            (UnitKind::Commune, wire::UnitKind::Commune),
            (UnitKind::Ward, wire::UnitKind::Ward),
            (UnitKind::CommuneDepartment, wire::UnitKind::CommuneDepartment),
            (UnitKind::District, wire::UnitKind::District),
            (UnitKind::ProvincialCity, wire::UnitKind::ProvincialCity),
            (UnitKind::Town, wire::UnitKind::Town),
            (UnitKind::Township, wire::UnitKind::Township),
        ] {
            assert_eq!(i32::from(kind.number()), contract as i32);
            assert_eq!(UnitKind::from_number(kind.number()), Some(kind));
        }
    }
}
