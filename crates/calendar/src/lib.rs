//! Working days of Việt Nam, legal periods, and due dates that explain themselves day by day.
//!
//! Law is data here: the days off, the swapped working days, the office hours and the rules of counting come from a
//! *calendar pack* (`deploy/packs/calendar`), each with its legal basis and status, and an official notice (thông báo nghỉ) overrides what was computed.
//! The crate counts, and refuses to guess: a date that the pack does not cover is an error.
//!
//! * [`WorkCalendar`] says what kind of day a day is, and who says so;
//! * [`Period`] and [`Pause`] are what a procedure and a case bring along, [`Rules`] how to count;
//! * [`deadline`] gives the due date with one [`DayNote`] a day, [`extended`] moves it on, [`progress`] says what has been used of it
//!   by some moment, [`latest_start`] when a period must begin to end in time.
//!
//! Everything is a pure function of its arguments; only [`WorkCalendar::read`] touches the file system. Times are civil times
//! in Việt Nam; [`vietnam_time`] and [`vietnam_instant`] convert.
//!
//! ```
//! use egov_calendar::{Language, Period, WorkCalendar, deadline};
//! use jiff::civil::date;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/packs/calendar");
//! let calendar = WorkCalendar::read(folder.as_ref())?;
//! let received = date(2026, 11, 23).at(9, 0, 0, 0);
//! let rules = calendar.rules(received.date())?;
//! let deadline = deadline(&calendar, received, Period::WorkingDays(1), &rules, &[])?;
//!
//! assert_eq!(deadline.due, date(2026, 11, 25).at(17, 0, 0, 0));
//! assert_eq!(
//!     deadline.lines(Language::Vietnamese),
//!     [
//!         "23/11/2026 (thứ Hai): ngày tiếp nhận, không tính",
//!         "24/11/2026 (thứ Ba): nghỉ (Ngày Văn hóa Việt Nam); không tính",
//!         "25/11/2026 (thứ Tư): tính ngày thứ 1/1",
//!         "Hạn trả kết quả (1 ngày làm việc): 17:00 25/11/2026",
//!     ]
//! );
//! # Ok(())
//! # }
//! ```

mod amount;
mod backward;
mod deadline;
mod error;
mod extension;
mod language;
mod note;
mod notice;
mod office;
mod origin;
mod pack;
mod period;
mod rules;
mod work_calendar;

pub use amount::Amount;
pub use backward::latest_start;
pub use deadline::{Deadline, Progress, deadline, progress, vietnam_instant, vietnam_time};
pub use error::{CalendarError, PackError};
pub use extension::extended;
pub use language::{Language, Name, written_date, written_time};
pub use note::{DayNote, Effect};
pub use office::{OfficeHours, Part};
pub use origin::{Origin, Status};
pub use pack::PackText;
pub use period::{Pause, Period};
pub use rules::{FirstDay, LastDayOff, RuleSource, RuleValue, Rules};
pub use work_calendar::{Day, DayKind, WorkCalendar};
