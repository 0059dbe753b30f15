//! What of the books is disclosed to a caller, and as of when.

use egov_auth::{Caller, Resource, RowScope};
use egov_clock::Clock as _;
use egov_fault::Violation;
use jiff::civil::Date;

use super::CivilRegistry;
use super::statistics::{end_of, settled_until};
use crate::domain::as_of::AsOf;
use crate::error::Error;

/// The permission by which a caller sees what tells of adoption, recognition and changes of sex, beside that of reading entries.
const READ_GUARDED: &str = "civil_registry.guarded.read";

/// Where a caller sees what is guarded.
pub(super) struct Guard(RowScope);

impl Guard {
    pub(super) fn of(caller: &Caller) -> Self {
        Self(caller.scope(READ_GUARDED))
    }

    /// The rows that are open, for queries.
    pub(super) fn rows(&self) -> &RowScope {
        &self.0
    }

    /// Whether it is open in the entries of this commune.
    pub(super) fn opens(&self, unit_id: i32) -> bool {
        self.0.contains(&Resource::of_unit(unit_id))
    }

    /// Whether it is open in everything that a scope holds.
    pub(super) fn opens_all(&self, scope: &RowScope) -> bool {
        self.0.all || (!scope.all && scope.units.iter().all(|unit| self.opens(*unit)))
    }
}

impl CivilRegistry {
    /// The two times of a question, by the days that are asked: the day of which it is true is not to come, and all that was entered on the day of
    /// which it was known is recorded.
    pub(crate) fn as_of(&self, valid_on: Option<Date>, known_on: Option<Date>) -> Result<AsOf, Error> {
        let mut refused = Vec::new();
        let mut unless = |holds: bool, field: &str, vi: &str, en: &str| {
            if !holds {
                refused.push(Violation {
                    field: field.to_owned(),
                    rule: "value".to_owned(),
                    vi: vi.to_owned(),
                    en: en.to_owned(),
                });
            }
        };
        unless(
            valid_on.is_none_or(|day| day <= self.clock.today()),
            "valid_on",
            "không được sau hôm nay",
            "must not be after today",
        );
        let settled = settled_until(self.clock.now());
        unless(
            known_on.is_none_or(|day| day <= settled),
            "known_on",
            "phải là ngày đã qua",
            "must be a day that is over",
        );
        if !refused.is_empty() {
            return Err(Error::Invalid(refused));
        }
        Ok(AsOf {
            valid_on,
            known_before: known_on.map(end_of).transpose()?,
        })
    }
}
