//! How a period is counted. The values are dated data of the pack, each with its legal basis and status.

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use crate::origin::Origin;

/// Whether the day of reception counts, in periods of days (BLDS 2015 Đ.147).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstDay {
    /// Counting begins with the day after.
    #[default]
    NotCounted,
    /// The day counts if the case was received before the office closed.
    Counted,
}

/// What happens when a period of calendar days ends on a day off (BLDS 2015 Đ.148).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastDayOff {
    /// The period ends with the next working day.
    #[default]
    MovesToNextWorkingDay,
    /// The period ends on the day off.
    Stays,
}

/// How one period is counted: [`WorkCalendar::rules`](crate::WorkCalendar::rules) gives what the pack says for a day,
/// the procedure's version adds its cut-off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Whether the day of reception counts.
    #[serde(default)]
    pub first_day: FirstDay,
    /// What happens when the last day is a day off.
    #[serde(default)]
    pub last_day_off: LastDayOff,
    /// A case received *after* this time of day counts as received on the next working day; the moment itself is not
    /// after. A property of the version of a same-day procedure, usually 15:00; an error with any other period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<Time>,
}

impl Rules {
    /// The same rules with the cut-off of a same-day procedure.
    #[must_use]
    pub fn with_cut_off(self, cut_off: Option<Time>) -> Self {
        Self { cut_off, ..self }
    }
}

/// The value of one counting rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "key", content = "value", rename_all = "snake_case")]
pub enum RuleValue {
    /// See [`FirstDay`].
    FirstDay(FirstDay),
    /// See [`LastDayOff`].
    LastDayOff(LastDayOff),
}

impl RuleValue {
    pub(crate) fn apply(self, rules: &mut Rules) {
        match self {
            Self::FirstDay(value) => rules.first_day = value,
            Self::LastDayOff(value) => rules.last_day_off = value,
        }
    }
}

/// One dated counting rule of the pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSource {
    /// First day of reception for which it holds.
    pub from: Date,
    /// What it says.
    pub value: RuleValue,
    /// Legal basis and status.
    pub origin: Origin,
}
