//! When people come: the year, the week, the day.

use std::collections::BTreeMap;

use egov_calendar::{CalendarError, DayKind, WorkCalendar};
use jiff::civil::{Date, Time};
use rand::{Rng, RngExt as _};
use serde::Deserialize;

use crate::{PopulationError, Weighted};

/// How often a way of filing is taken, over the week and the day.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rhythm {
    /// Weight against the other ways on an average working day.
    pub share: f64,
    /// Monday to Friday. A day that is worked by swap counts as a Friday.
    pub week: [f64; 5],
    /// Factor on weekly days of rest.
    pub weekend: f64,
    /// Factor on public holidays.
    pub holiday: f64,
    /// Whether an open office is needed.
    pub office: bool,
    /// Weights of the hours of the day.
    pub hours: [f64; 24],
}

/// When people come, by way.
#[derive(Debug)]
pub struct Arrivals {
    months: [f64; 12],
    ways: BTreeMap<String, (Rhythm, Weighted<i8>)>,
}

impl Arrivals {
    /// Weights of the months and the rhythm of each way.
    ///
    /// # Errors
    /// When a way has no hour at which anybody comes.
    pub fn new(months: [f64; 12], ways: BTreeMap<String, Rhythm>) -> Result<Self, PopulationError> {
        let ways = ways
            .into_iter()
            .map(|(name, rhythm)| {
                let hours = Weighted::new(&format!("hours of {name}"), (0_i8..24).zip(rhythm.hours))?;
                Ok((name, (rhythm, hours)))
            })
            .collect::<Result<_, PopulationError>>()?;
        Ok(Self { months, ways })
    }

    /// How many come by this way on this day, against other days and ways; 0 for a way that is not known, and where an
    /// office is needed but closed.
    ///
    /// # Errors
    /// When the calendar does not know the day.
    pub fn intensity(&self, calendar: &WorkCalendar, date: Date, way: &str) -> Result<f64, CalendarError> {
        let Some((rhythm, _)) = self.ways.get(way) else {
            return Ok(0.0);
        };
        let [monday_to_thursday @ .., friday] = rhythm.week;
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        let of_day = match calendar.day(date)?.kind {
            DayKind::Working => monday_to_thursday.get(weekday).copied().unwrap_or(friday),
            DayKind::SwappedWorking { .. } => friday,
            DayKind::Weekend if rhythm.office => 0.0,
            DayKind::Weekend => rhythm.weekend,
            DayKind::Holiday { .. } if rhythm.office => 0.0,
            DayKind::Holiday { .. } => rhythm.holiday,
        };
        let month = usize::try_from(date.month() - 1).unwrap_or(0);
        Ok(self.months.get(month).copied().unwrap_or(1.0) * rhythm.share * of_day)
    }

    /// A time of the day at which somebody comes by this way. Where an office is needed it lies in its hours.
    pub fn time(&self, rng: &mut impl Rng, calendar: &WorkCalendar, date: Date, way: &str) -> Time {
        let parts = calendar.office_hours().parts(date);
        let Some((rhythm, hours)) = self.ways.get(way) else {
            return Time::midnight();
        };
        let mut time = Time::midnight();
        // The hours of the pack and those of the office may disagree at the edges: drawn again a few times.
        for _ in 0..24 {
            time = Time::constant(
                *hours.draw(rng),
                rng.random_range(0..60),
                rng.random_range(0..60),
                rng.random_range(0..1_000_000) * 1_000,
            );
            if !rhythm.office || parts.iter().any(|part| part.start <= time && time < part.end) {
                return time;
            }
        }
        parts.first().map_or(time, |part| part.start)
    }
}
