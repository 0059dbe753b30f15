//! Kỳ báo cáo.

use egov_clock::vietnam;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::rules::Form;

/// How long after midnight an act of the day before may still be on its way into the database: no write takes that long.
const ON_THE_WAY: SignedDuration = SignedDuration::from_mins(15);

/// The days that a report counts, and the day on which it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// Hạn báo cáo.
    pub due: Date,
}

/// Why there is no such period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeriodRefused {
    /// It ends on a day that has not passed.
    #[error("the period ends on {0}, which has not passed")]
    NotEnded(Date),
    /// The calendar does not go that far.
    #[error("there is no such month")]
    NoSuchMonth,
}

/// The last day all of whose acts are certainly recorded: yesterday, and for a while after midnight the day before it.
pub fn settled_until(now: Timestamp) -> Date {
    let day = now.checked_sub(ON_THE_WAY).unwrap_or(now).to_zoned(vietnam()).date();
    day.yesterday().unwrap_or(day)
}

/// The first and the last day of a month.
pub fn month_of(year: i16, month: i8) -> Result<(Date, Date), PeriodRefused> {
    let first = Date::new(year, month, 1).map_err(|_| PeriodRefused::NoSuchMonth)?;
    Ok((first, first.last_of_month()))
}

impl Form {
    /// The period that ends in a month. A period from the first day is the month itself and is due in the month after it; one
    /// from a later day begins in the month before, and is due in the month in which it ends.
    pub fn period(&self, year: i16, month: i8) -> Result<Period, PeriodRefused> {
        let gone = |_| PeriodRefused::NoSuchMonth;
        let (first, last) = month_of(year, month)?;
        if self.first_day == 1 {
            let next = first.checked_add(1.month()).map_err(gone)?;
            return Ok(Period {
                from: first,
                to: last,
                due: on_day(next, self.due_day),
            });
        }
        let before = first.checked_sub(1.month()).map_err(gone)?;
        Ok(Period {
            from: on_day(before, self.first_day),
            to: on_day(first, self.first_day).yesterday().map_err(gone)?,
            due: on_day(first, self.due_day),
        })
    }

    /// The periods whose reports a unit owes or has made by a day, in their order: from the first one that it ever reported up to the one
    /// that is due next, of many the last ones. Of a unit that never reported the last one and the next.
    pub fn periods_since(&self, first: Option<Date>, today: Date, most: usize) -> Result<Vec<Period>, PeriodRefused> {
        let mut period = self.next_due(today)?;
        let mut periods = vec![period];
        while periods.len() < most.max(2) {
            let month = period.to.first_of_month();
            let month = month.checked_sub(1.month()).map_err(|_| PeriodRefused::NoSuchMonth)?;
            period = self.period(month.year(), month.month())?;
            if periods.len() > 1 && first.is_none_or(|first| period.from < first) {
                break;
            }
            periods.push(period);
        }
        periods.reverse();
        Ok(periods)
    }

    /// The month whose report is the last one that is due on or after a day.
    pub fn next_due(&self, today: Date) -> Result<Period, PeriodRefused> {
        let mut month = today.first_of_month();
        if self.first_day == 1 {
            month = month.checked_sub(1.month()).map_err(|_| PeriodRefused::NoSuchMonth)?;
        }
        loop {
            let period = self.period(month.year(), month.month())?;
            if period.due >= today {
                return Ok(period);
            }
            month = month.checked_add(1.month()).map_err(|_| PeriodRefused::NoSuchMonth)?;
        }
    }
}

/// A day of a month, or the last one if the month is shorter.
fn on_day(month: Date, day: i8) -> Date {
    let last = month.last_of_month();
    Date::new(month.year(), month.month(), day.min(last.day())).unwrap_or(last)
}
