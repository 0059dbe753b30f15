//! Reading: from the fields of a line to what they mean. Everything that is wrong is said at once.

use std::collections::BTreeMap;

use egov_calendar::vietnam_instant;
use egov_codes::{CaseCode, PersonalNumber, PhoneNumber, ProcedureCode, normal_name};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use super::{LineFault, Mapping, OldCase};
use crate::domain::pack::Channel;
use crate::domain::party::{Birth, Party, PartyKind};
use crate::domain::transitions::State;

/// Bytes of the old system's key.
const LONGEST_KEY: usize = 200;

/// Reads the fields of a line.
pub fn read(fields: &BTreeMap<&'static str, String>, mapping: &Mapping) -> Result<OldCase, Vec<LineFault>> {
    let mut reading = Reading {
        fields,
        mapping,
        faults: Vec::new(),
        left_out: Vec::new(),
    };
    let old = reading.case();
    let Reading { faults, left_out, .. } = reading;
    match old {
        Some(old) if faults.is_empty() => Ok(OldCase { left_out, ..old }),
        _ => Err(faults),
    }
}

struct Reading<'a> {
    fields: &'a BTreeMap<&'static str, String>,
    mapping: &'a Mapping,
    faults: Vec<LineFault>,
    left_out: Vec<String>,
}

impl Reading<'_> {
    /// None if something that must be there is not; why stands among the faults.
    fn case(&mut self) -> Option<OldCase> {
        let key = self.required("key", LONGEST_KEY);
        let case_code = self.parsed::<CaseCode>("case_code", |error| (error.vi().to_owned(), error.en().to_owned()));
        self.demand("case_code", case_code.is_some());
        let procedure_code =
            self.parsed::<ProcedureCode>("procedure_code", |error| (error.vi().to_owned(), error.en().to_owned()));
        self.demand("procedure_code", procedure_code.is_some());
        let unit_code = self.required("unit_code", 80);
        let channel = self.channel("channel");
        self.demand("channel", channel.is_some());
        let kind = self.kind();
        let owner = self.party("owner", kind);
        let submitter = self
            .fields
            .contains_key("submitter_name")
            .then(|| self.party("submitter", PartyKind::Citizen));
        let state = self.state();
        let submit_time = self.time("submit_time");
        self.demand("submit_time", submit_time.is_some());
        let receiving_unit_code = self.text("receiving_unit_code", 80);
        let subject = self.text("subject", 1_000).unwrap_or_default();
        let (accept_time, due_date) = (self.time("accept_time"), self.day("due_date"));
        let (paused_since, decide_time) = (self.time("paused_since"), self.time("decide_time"));
        let (return_time, return_channel) = (self.time("return_time"), self.channel("return_channel"));
        let recipient_name = self.text("recipient_name", 200).map(|name| normal_name(&name));
        let (result_code, result_number) = (self.text("result_code", 40), self.text("result_number", 60));
        // Only here does a line end that lacks something: all of it has been looked at.
        Some(OldCase {
            key: key?,
            case_code: case_code?,
            procedure_code: procedure_code?.to_string(),
            unit_code: unit_code?,
            receiving_unit_code,
            channel: channel?,
            owner: owner?,
            submitter: match submitter {
                Some(party) => Some(party?),
                None => None,
            },
            subject,
            state: state?,
            submit_time: submit_time?,
            accept_time,
            due_date,
            paused_since,
            decide_time,
            return_time,
            return_channel,
            recipient_name: recipient_name.unwrap_or_default(),
            result_code,
            result_number: result_number.unwrap_or_default(),
            left_out: Vec::new(),
        })
    }

    fn fault(&mut self, field: &str, vi: impl Into<String>, en: impl Into<String>) {
        self.faults.push(LineFault::new(field, vi, en));
    }

    /// Says that a field is missing, unless it was said already why it cannot be read.
    fn demand(&mut self, field: &str, there: bool) {
        if !there && !self.faults.iter().any(|fault| fault.field == field) {
            self.fault(field, "không được để trống", "must not be empty");
        }
    }

    /// What cannot be read is left out if the mapping says so, and a fault otherwise.
    fn unreadable(&mut self, field: &str, vi: impl Into<String>, en: impl Into<String>) {
        if self.mapping.leaves_out(field) {
            self.left_out.push(field.to_owned());
        } else {
            self.fault(field, vi, en);
        }
    }

    fn given(&self, field: &str) -> Option<String> {
        self.fields.get(field).cloned()
    }

    /// A text of at most so many characters.
    fn text(&mut self, field: &str, longest: usize) -> Option<String> {
        let text = self.given(field)?;
        if text.chars().count() > longest || text.contains('\0') {
            self.unreadable(
                field,
                format!("phải có không quá {longest} ký tự"),
                format!("must have at most {longest} characters"),
            );
            return None;
        }
        Some(text)
    }

    fn required(&mut self, field: &str, longest: usize) -> Option<String> {
        let text = self.text(field, longest);
        self.demand(field, text.is_some());
        text
    }

    fn parsed<T: std::str::FromStr>(&mut self, field: &str, words: fn(T::Err) -> (String, String)) -> Option<T> {
        match self.given(field)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let (vi, en) = words(error);
                self.unreadable(field, vi, en);
                None
            }
        }
    }

    fn number(&mut self, field: &str, vi: &str, en: &str) -> Option<i16> {
        let number = self.given(field)?.parse().ok();
        if number.is_none() {
            self.fault(field, vi, en);
        }
        number
    }

    fn channel(&mut self, field: &str) -> Option<Channel> {
        const VI: &str = "phải là 1 (trực tiếp), 2 (trực tuyến) hoặc 3 (bưu chính)";
        const EN: &str = "must be 1 (at the counter), 2 (online) or 3 (by post)";
        let number = self.number(field, VI, EN)?;
        let channel = Channel::from_number(number);
        if channel.is_none() {
            self.fault(field, VI, EN);
        }
        channel
    }

    fn state(&mut self) -> Option<State> {
        const VI: &str = "phải là mã trạng thái quốc gia từ 1 đến 10";
        const EN: &str = "must be a national code from 1 to 10";
        let state = self.number("state", VI, EN).map(State::try_from);
        match state {
            Some(Ok(state)) => return Some(state),
            Some(Err(_)) => self.fault("state", VI, EN),
            None => self.demand("state", false),
        }
        None
    }

    fn kind(&mut self) -> PartyKind {
        match self.given("owner_kind").as_deref() {
            None | Some("citizen") => PartyKind::Citizen,
            Some("organisation") => PartyKind::Organisation,
            Some(_) => {
                self.fault(
                    "owner_kind",
                    "phải là citizen hoặc organisation",
                    "must be citizen or organisation",
                );
                PartyKind::Citizen
            }
        }
    }

    fn party(&mut self, who: &str, kind: PartyKind) -> Option<Party> {
        let of = |part: &str| format!("{who}_{part}");
        let name = self.required(&of("name"), 200).map(|name| normal_name(&name));
        let personal_number = self
            .parsed::<PersonalNumber>(&of("personal_number"), |error| {
                (error.vi().to_owned(), error.en().to_owned())
            })
            .map(|number| number.reveal().to_owned());
        let phone = self
            .parsed::<PhoneNumber>(&of("phone"), |error| (error.vi().to_owned(), error.en().to_owned()))
            .map(|number| number.international());
        let email = self.text(&of("email"), 254).filter(|email| {
            let written = email
                .split_once('@')
                .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
            if !written {
                self.unreadable(
                    &of("email"),
                    "không phải là địa chỉ thư điện tử",
                    "is not an e-mail address",
                );
            }
            written
        });
        Some(Party {
            kind,
            full_name: name?,
            personal_number: personal_number.unwrap_or_default(),
            organisation_number: if who == "owner" {
                self.text("owner_organisation_number", 14).unwrap_or_default()
            } else {
                String::new()
            },
            phone: phone.unwrap_or_default(),
            email: email.unwrap_or_default(),
            address: self
                .text(&of("address"), 500)
                .map(|text| normal_name(&text))
                .unwrap_or_default(),
            date_of_birth: if kind == PartyKind::Citizen {
                self.birth(&of("date_of_birth"))
            } else {
                None
            },
        })
    }

    /// Ngày tháng năm sinh: a day, or a year alone; not after the day on which the case was filed, if that can be read.
    fn birth(&mut self, field: &str) -> Option<Birth> {
        let text = self.given(field)?;
        let is_year = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        let read = if is_year {
            text.parse().ok().map(Birth::Year)
        } else {
            let of_times = self.of_time_forms(&text).map(DateTime::date);
            of_times.or_else(|| self.day_of(&text)).map(Birth::Day)
        };
        let filed = self.given("submit_time").and_then(|text| {
            let by_hour = self.of_time_forms(&text).map(DateTime::date);
            by_hour.or_else(|| self.day_of(&text))
        });
        let birth = read.and_then(|birth| birth.until(filed.unwrap_or(Date::MAX)));
        if birth.is_none() {
            self.unreadable(
                field,
                "không phải là ngày sinh: phải là một ngày hoặc một năm có thật, không sau ngày nộp hồ sơ",
                "is no date of birth: it must be a day or a year, and not after the case was filed",
            );
        }
        birth
    }

    fn wrong_time(&mut self, field: &str) {
        let (vi, en) = (
            "không đọc được ngày giờ theo các dạng của ánh xạ",
            "is no time in one of the forms of the mapping",
        );
        self.fault(field, vi, en);
    }

    /// An instant. Of a day alone the hour is not known: it is kept as the beginning of the day, and said to be unknown.
    fn time(&mut self, field: &str) -> Option<Timestamp> {
        let text = self.given(field)?;
        if let Ok(instant) = text.parse::<Timestamp>() {
            return self.kept(field, Some(instant));
        }
        let of_forms = self.of_time_forms(&text);
        // "2026-11-23" is a time for the parser as well, but its hour is made up.
        let iso = || {
            text.parse::<DateTime>()
                .ok()
                .filter(|_| text.parse::<Date>().is_err() || text.len() > 10)
        };
        if let Some(time) = of_forms.or_else(iso) {
            return self.kept(field, vietnam_instant(time).ok());
        }
        match self.day_of(&text) {
            Some(day) => {
                self.left_out.push(format!("{field}: hour"));
                self.kept(field, vietnam_instant(day.at(0, 0, 0, 0)).ok())
            }
            None => {
                self.wrong_time(field);
                None
            }
        }
    }

    /// As the database keeps it: to the microsecond, and within the years that it knows.
    fn kept(&mut self, field: &str, instant: Option<Timestamp>) -> Option<Timestamp> {
        let kept = instant
            .and_then(|instant| Timestamp::from_microsecond(instant.as_microsecond()).ok())
            .filter(|instant| *instant >= EARLIEST);
        if kept.is_none() {
            self.wrong_time(field);
        }
        kept
    }

    fn day(&mut self, field: &str) -> Option<Date> {
        let text = self.given(field)?;
        let day = self
            .of_time_forms(&text)
            .map(DateTime::date)
            .or_else(|| self.day_of(&text));
        let day = day.filter(|day| day.year() >= 1990);
        if day.is_none() {
            self.wrong_time(field);
        }
        day
    }

    /// By the forms that name an hour: the parser would make one up for the others.
    fn of_time_forms(&self, text: &str) -> Option<DateTime> {
        let names_hour = |form: &&String| {
            ["%H", "%I", "%k", "%l", "%R", "%T"]
                .iter()
                .any(|hour| form.contains(hour))
        };
        let mut forms = self.mapping.times.iter().filter(names_hour);
        forms.find_map(|form| DateTime::strptime(form, text).ok())
    }

    fn day_of(&self, text: &str) -> Option<Date> {
        let of_forms = self
            .mapping
            .times
            .iter()
            .find_map(|form| Date::strptime(form, text).ok());
        of_forms.or_else(|| text.parse().ok())
    }
}

/// 1990-01-01T00:00:00Z: before it nothing was kept by machines here, and what says so is a mistake.
const EARLIEST: Timestamp = Timestamp::constant(631_152_000, 0);
