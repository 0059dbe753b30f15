//! The explanation of a due date: one note a day, in Vietnamese and English.

use jiff::SignedDuration;
use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::language::{Language, weekday, written_date};
use crate::work_calendar::DayKind;

/// What one day meant for a period.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DayNote {
    /// Which day.
    pub date: Date,
    /// What kind of day the calendar says it is.
    pub day: DayKind,
    /// What it did to the clock.
    pub effect: Effect,
}

/// What a day did to the clock of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// The day of reception, which is not counted.
    Received,
    /// A same-day case received, or taken up again, after the cut-off: it goes to the next working day.
    AfterCutOff {
        /// The cut-off.
        cut_off: Time,
    },
    /// Received after the office had closed for the day.
    AfterOffice,
    /// Day `n` of `of`.
    Counted {
        /// Which one it is.
        n: u32,
        /// How many there are.
        of: u32,
    },
    /// Time counted in a period of hours.
    Hours {
        /// On this day.
        used: SignedDuration,
        /// Up to the end of this day.
        sum: SignedDuration,
        /// All of it.
        of: SignedDuration,
    },
    /// A day off that does not count.
    NotCounted,
    /// The clock stood still on the whole or a part of the day, so the day does not count.
    Paused,
    /// The last day of the period was a day off, and this is another one after it.
    PassedOver,
    /// The last day of the period was a day off, so the period ends with this working day.
    MovedHere,
    /// Day `n` of the `of` working days by which the period was extended (gia hạn).
    Extended {
        /// Which one it is.
        n: u32,
        /// How many there are.
        of: u32,
    },
}

impl DayNote {
    /// One line: date, day of the week, and what the day meant.
    pub fn text(&self, language: Language) -> String {
        let day = format!(
            "{} ({})",
            written_date(self.date),
            weekday(self.date.weekday(), language)
        );
        match self.kind_text(language) {
            Some(kind) => format!("{day}: {kind}; {}", self.effect.text(language)),
            None => format!("{day}: {}", self.effect.text(language)),
        }
    }

    /// What is special about the day; nothing for an ordinary working day.
    fn kind_text(&self, language: Language) -> Option<String> {
        match (&self.day, language) {
            (DayKind::Working, _) => None,
            (DayKind::SwappedWorking { name }, Language::Vietnamese) => Some(format!("làm việc bù ({})", name.vi)),
            (DayKind::SwappedWorking { name }, Language::English) => Some(format!("worked ({})", name.en)),
            (DayKind::Weekend, Language::Vietnamese) => Some("nghỉ hằng tuần".to_owned()),
            (DayKind::Weekend, Language::English) => Some("weekend".to_owned()),
            (DayKind::Holiday { name }, Language::Vietnamese) => Some(format!("nghỉ ({})", name.vi)),
            (DayKind::Holiday { name }, Language::English) => Some(format!("day off ({})", name.en)),
        }
    }
}

impl Effect {
    fn text(self, language: Language) -> String {
        match (self, language) {
            (Self::Received, Language::Vietnamese) => "ngày tiếp nhận, không tính".to_owned(),
            (Self::Received, Language::English) => "day of reception, not counted".to_owned(),
            (Self::AfterCutOff { cut_off }, Language::Vietnamese) => {
                format!("sau {}, chuyển sang ngày làm việc tiếp theo", clock(cut_off))
            }
            (Self::AfterCutOff { cut_off }, Language::English) => {
                format!("after {}, goes to the next working day", clock(cut_off))
            }
            (Self::AfterOffice, Language::Vietnamese) => {
                "sau giờ làm việc, chuyển sang ngày làm việc tiếp theo".to_owned()
            }
            (Self::AfterOffice, Language::English) => "after office hours, goes to the next working day".to_owned(),
            (Self::Counted { n, of }, Language::Vietnamese) => format!("tính ngày thứ {n}/{of}"),
            (Self::Counted { n, of }, Language::English) => format!("counted, day {n} of {of}"),
            (Self::Hours { used, sum, of }, Language::Vietnamese) => format!(
                "tính {}, cộng dồn {} trên {}",
                Amount::Time(used).text(language),
                Amount::Time(sum).text(language),
                Amount::Time(of).text(language)
            ),
            (Self::Hours { used, sum, of }, Language::English) => format!(
                "{} counted, {} of {} so far",
                Amount::Time(used).text(language),
                Amount::Time(sum).text(language),
                Amount::Time(of).text(language)
            ),
            (Self::NotCounted, Language::Vietnamese) => "không tính".to_owned(),
            (Self::NotCounted, Language::English) => "not counted".to_owned(),
            (Self::Paused, Language::Vietnamese) => "tạm dừng tính thời hạn, không tính".to_owned(),
            (Self::Paused, Language::English) => "the clock stood still, not counted".to_owned(),
            (Self::PassedOver, Language::Vietnamese) => "ngày cuối của thời hạn là ngày nghỉ, chuyển tiếp".to_owned(),
            (Self::PassedOver, Language::English) => "the last day of the period is a day off, passed over".to_owned(),
            (Self::Extended { n, of }, Language::Vietnamese) => format!("gia hạn, tính ngày thứ {n}/{of}"),
            (Self::Extended { n, of }, Language::English) => format!("extension, counted, day {n} of {of}"),
            (Self::MovedHere, Language::Vietnamese) => {
                "ngày cuối của thời hạn là ngày nghỉ, thời hạn kết thúc khi hết ngày làm việc này".to_owned()
            }
            (Self::MovedHere, Language::English) => {
                "the last day of the period is a day off, so it ends with this working day".to_owned()
            }
        }
    }
}

fn clock(time: Time) -> String {
    time.strftime("%H:%M").to_string()
}
