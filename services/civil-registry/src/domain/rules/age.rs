//! Tuổi: whole years by the calendar, of people of whose birth a year or a month may be all that is known.

use jiff::civil::Date;

use super::pack::LeapDayBirthday;
use crate::domain::person::Born;

/// How many whole years somebody born on a day is old on another; negative before the birth.
pub fn years(born: Date, on: Date, leap: LeapDayBirthday) -> i16 {
    let birthday = match (born.month(), born.day()) {
        (2, 29) if !on.in_leap_year() => match leap {
            LeapDayBirthday::February28 => (2, 28),
            LeapDayBirthday::March1 => (3, 1),
        },
        day => day,
    };
    let years = on.year() - born.year();
    if (on.month(), on.day()) < birthday {
        years - 1
    } else {
        years
    }
}

/// Whether somebody has reached an age on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Yes, whatever is not known of the birth.
    Yes,
    /// No, whatever is not known of it.
    No,
    /// It depends on what is not known.
    Unknown,
}

/// Whether somebody has reached an age on a day.
pub fn reached(born: Born, age: i16, on: Date, leap: LeapDayBirthday) -> Reached {
    let (most, least) = (years(born.earliest(), on, leap), years(born.latest(), on, leap));
    if least >= age {
        Reached::Yes
    } else if most < age {
        Reached::No
    } else {
        Reached::Unknown
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_was_born_on_29_february_is_older_on_the_day_that_the_pack_says() {
        let born = date(2004, 2, 29);
        for (on, march, february) in [
            (date(2022, 2, 27), 17, 17),
            (date(2022, 2, 28), 17, 18),
            (date(2022, 3, 1), 18, 18),
            (date(2024, 2, 28), 19, 19),
            (date(2024, 2, 29), 20, 20),
        ] {
            assert_eq!(years(born, on, LeapDayBirthday::March1), march, "{on}");
            assert_eq!(years(born, on, LeapDayBirthday::February28), february, "{on}");
        }
    }

    #[test]
    fn of_whom_the_year_is_known_the_age_may_not_be() {
        let born = Born::in_year(2006).unwrap();
        let at = |on| reached(born, 20, on, LeapDayBirthday::March1);
        assert_eq!(at(date(2025, 12, 31)), Reached::No);
        assert_eq!(at(date(2026, 1, 1)), Reached::Unknown);
        assert_eq!(at(date(2026, 12, 30)), Reached::Unknown);
        assert_eq!(at(date(2026, 12, 31)), Reached::Yes);
    }

    /// The slow way: go through the days from the birth and count the birthdays.
    fn birthdays(born: Date, on: Date, leap: LeapDayBirthday) -> i16 {
        let is_birthday = |day: &Date| {
            let same = (day.month(), day.day()) == (born.month(), born.day());
            let is_leap_child = (born.month(), born.day()) == (2, 29) && !day.in_leap_year();
            let instead = match leap {
                LeapDayBirthday::February28 => (2, 28),
                LeapDayBirthday::March1 => (3, 1),
            };
            same || (is_leap_child && (day.month(), day.day()) == instead)
        };
        let mut count = 0;
        let mut day = born;
        while day < on {
            day = day.tomorrow().unwrap();
            count += i16::from(is_birthday(&day));
        }
        count
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_age_is_the_birthdays_since_the_birth(from in 0..1_500_i64, later in 0..9_000_i64, february in any::<bool>(), leap_day in any::<bool>()) {
            let leap = if february { LeapDayBirthday::February28 } else { LeapDayBirthday::March1 };
            let day = |after: i64| date(2003, 12, 1).checked_add(jiff::Span::new().days(after)).unwrap();
            let born = if leap_day { date(2004, 2, 29) } else { day(from) };
            let on = born.checked_add(jiff::Span::new().days(later)).unwrap();
            prop_assert_eq!(years(born, on, leap), birthdays(born, on, leap));
        }
    }
}
