//! For what personal data may be read: purposes as dated data, each with its legal basis (mục đích và căn cứ pháp lý của việc
//! xử lý dữ liệu cá nhân, Luật 91/2025/QH15).

use jiff::civil::Date;
use serde::Deserialize;

use crate::PolicyError;
use crate::policy::{is_word, refuse};

/// How far a purpose's legal basis is established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BasisStatus {
    /// The basis was read in its source.
    Confirmed,
    /// Commonly held, not yet checked against a source; somebody named confirms it before real data is read.
    Unconfirmed,
}

/// A purpose, as it is in force from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// The word in the header `x-egov-purpose` and in the records.
    pub code: String,
    /// What people call it, in Vietnamese.
    pub title: String,
    /// The same in English.
    pub title_en: String,
    /// On which law it rests (căn cứ pháp lý).
    pub legal_basis: String,
    /// How far that is established.
    pub status: BasisStatus,
    /// The first day on which it counts.
    pub effective_from: Date,
    /// The first day on which it no longer counts; none while no end is known.
    pub effective_to: Option<Date>,
}

impl Purpose {
    fn in_force(&self, on: Date) -> bool {
        self.effective_from <= on && self.effective_to.is_none_or(|end| on < end)
    }
}

/// Every purpose that the policies declare, with its earlier and later forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purposes {
    /// By code, then by first day.
    all: Vec<Purpose>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurposeText {
    code: String,
    title: String,
    title_en: String,
    legal_basis: String,
    status: BasisStatus,
    effective_from: toml::value::Datetime,
    effective_to: Option<toml::value::Datetime>,
}

impl Purposes {
    /// Whether none is declared.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Every declared form of every purpose, by code and first day.
    pub fn iter(&self) -> impl Iterator<Item = &Purpose> {
        self.all.iter()
    }

    /// The purpose of this code that is in force on a day.
    pub fn on(&self, code: &str, on: Date) -> Option<&Purpose> {
        self.all
            .iter()
            .find(|purpose| purpose.code == code && purpose.in_force(on))
    }

    /// The codes that are in force on a day, in their order.
    pub fn codes(&self, on: Date) -> Vec<&str> {
        self.all
            .iter()
            .filter(|purpose| purpose.in_force(on))
            .map(|purpose| purpose.code.as_str())
            .collect()
    }

    pub(crate) fn declare(&mut self, file: &str, text: PurposeText) -> Result<(), PolicyError> {
        let place = format!("{file}, purpose {:?}", text.code);
        if !is_word(&text.code) {
            return refuse(place, "a purpose's code is lower-case letters, digits and _".to_owned());
        }
        for (field, value) in [
            ("title", &text.title),
            ("title_en", &text.title_en),
            ("legal_basis", &text.legal_basis),
        ] {
            if value.trim().is_empty() {
                return refuse(place, format!("{field} is empty"));
            }
        }
        let effective_from = day(&place, "effective_from", &text.effective_from)?;
        let effective_to = match &text.effective_to {
            Some(end) => Some(day(&place, "effective_to", end)?),
            None => None,
        };
        if effective_to.is_some_and(|end| end <= effective_from) {
            return refuse(place, "effective_to must be later than effective_from".to_owned());
        }
        let overlaps = |other: &Purpose| {
            other.code == text.code
                && effective_to.is_none_or(|end| other.effective_from < end)
                && other.effective_to.is_none_or(|end| effective_from < end)
        };
        if let Some(other) = self.all.iter().find(|other| overlaps(other)) {
            let from = other.effective_from;
            return refuse(
                place,
                format!("overlaps with the form of the same purpose from {from}: end that one first"),
            );
        }
        self.all.push(Purpose {
            code: text.code,
            title: text.title.trim().to_owned(),
            title_en: text.title_en.trim().to_owned(),
            legal_basis: text.legal_basis.trim().to_owned(),
            status: text.status,
            effective_from,
            effective_to,
        });
        self.all
            .sort_by(|a, b| (&a.code, a.effective_from).cmp(&(&b.code, b.effective_from)));
        Ok(())
    }
}

/// A TOML local date.
fn day(place: &str, field: &str, value: &toml::value::Datetime) -> Result<Date, PolicyError> {
    let read = match (value.date, value.time, value.offset) {
        (Some(date), None, None) => i16::try_from(date.year).ok().and_then(|year| {
            let (month, day) = (i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
            Date::new(year, month, day).ok()
        }),
        _ => None,
    };
    match read {
        Some(date) => Ok(date),
        None => refuse(
            place.to_owned(),
            format!("{field} must be a day, written 2026-01-01 without quotes"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use crate::Policies;

    fn purpose(code: &str, from: &str, to: &str) -> String {
        let to = if to.is_empty() {
            String::new()
        } else {
            format!("effective_to = {to}\n")
        };
        format!(
            "[[purpose]]\ncode = \"{code}\"\ntitle = \"Giải quyết hồ sơ\"\ntitle_en = \"Handling of a case\"\n\
             legal_basis = \"Nghị định 118/2025/NĐ-CP\"\nstatus = \"confirmed\"\neffective_from = {from}\n{to}"
        )
    }

    #[test]
    fn a_purpose_counts_from_its_first_day_until_the_day_before_its_end() {
        let text = purpose("case_handling", "2026-01-01", "2027-03-01") + &purpose("case_handling", "2027-03-01", "");
        let policies = Policies::from_toml(&[("purposes.toml", &text)]).unwrap();
        let known = |on| policies.purpose("case_handling", on).map(|found| found.effective_from);
        assert_eq!(known(date(2025, 12, 31)), None);
        assert_eq!(known(date(2027, 2, 28)), Some(date(2026, 1, 1)));
        assert_eq!(known(date(2027, 3, 1)), Some(date(2027, 3, 1)));
        assert_eq!(policies.purposes().codes(date(2026, 6, 1)), ["case_handling"]);
    }

    #[test]
    fn a_purpose_without_a_basis_or_with_two_forms_on_a_day_stops_the_start() {
        let twice = purpose("inspection", "2026-01-01", "") + &purpose("inspection", "2026-06-01", "");
        let baseless = purpose("inspection", "2026-01-01", "").replace("Nghị định 118/2025/NĐ-CP", " ");
        let timed = purpose("inspection", "2026-01-01T00:00:00Z", "");
        let ended = purpose("inspection", "2026-01-01", "2026-01-01");
        let spelt = purpose("In spection", "2026-01-01", "");
        for (text, problem) in [
            (twice, "overlaps"),
            (baseless, "legal_basis is empty"),
            (timed, "must be a day"),
            (ended, "must be later"),
            (spelt, "lower-case"),
        ] {
            let error = Policies::from_toml(&[("purposes.toml", &text)])
                .unwrap_err()
                .to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
