//! Reading a calendar pack: a manifest, a list of days, a lunar table, office hours, and official notices.
//! The README of `deploy/packs/calendar` documents the format for whoever maintains the data.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::{Date, Weekday};
use serde::Deserialize;

use crate::error::PackError;
use crate::language::Name;
use crate::notice;
use crate::office::OfficeHours;
use crate::origin::Origin;
use crate::rules::{RuleSource, RuleValue};
use crate::work_calendar::{Content, DayKind, Listed, Span, Week, WorkCalendar};

const MANIFEST: &str = "calendar.toml";

/// The texts of a calendar pack, however they were obtained.
#[derive(Clone, Copy, Debug)]
pub struct PackText<'a> {
    /// `calendar.toml`.
    pub manifest: &'a str,
    /// The list of days that the manifest names under `[days]`.
    pub days: &'a str,
    /// The lunar table that the manifest names under `[lunar]`.
    pub lunar: &'a str,
    /// The office hours that the manifest names under `[office]`.
    pub office: &'a str,
    /// The official notices, each with a name for messages. Their order does not matter.
    pub notices: &'a [(&'a str, &'a str)],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    id: String,
    version: String,
    name: Name,
    from: Date,
    to: Date,
    days: DaysSection,
    lunar: FileSection,
    office: FileSection,
    week: Vec<WeekSection>,
    statutory: Vec<Statutory>,
    rule: Vec<RuleSection>,
    #[serde(default)]
    names: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DaysSection {
    file: String,
    span: Vec<SpanSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpanSection {
    from: Date,
    to: Date,
    origin: Origin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSection {
    file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WeekSection {
    from: Date,
    days: Vec<WeekdayName>,
    origin: Origin,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WeekdayName {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl From<WeekdayName> for Weekday {
    fn from(name: WeekdayName) -> Self {
        match name {
            WeekdayName::Monday => Self::Monday,
            WeekdayName::Tuesday => Self::Tuesday,
            WeekdayName::Wednesday => Self::Wednesday,
            WeekdayName::Thursday => Self::Thursday,
            WeekdayName::Friday => Self::Friday,
            WeekdayName::Saturday => Self::Saturday,
            WeekdayName::Sunday => Self::Sunday,
        }
    }
}

/// A day off with a fixed solar date.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statutory {
    month: i8,
    day: i8,
    from: Date,
    origin: Origin,
}

#[derive(Deserialize)]
struct RuleSection {
    from: Date,
    #[serde(flatten)]
    value: RuleValue,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RowKind {
    Off,
    WorkdaySwap,
}

#[derive(Deserialize)]
struct DayRow {
    date: Date,
    kind: RowKind,
    name: String,
}

#[derive(Deserialize)]
struct LunarRow {
    year: i16,
    tet_mung_1: Date,
    gio_to_10_3: Date,
}

impl WorkCalendar {
    /// Reads the pack in `folder`.
    ///
    /// # Errors
    /// Any [`PackError`]; nothing is guessed around a fault in the data.
    pub fn read(folder: &Path) -> Result<Self, PackError> {
        let read = |file: &str| {
            fs::read_to_string(folder.join(file)).map_err(|source| PackError::Unreadable {
                file: file.to_owned(),
                source,
            })
        };
        let manifest_text = read(MANIFEST)?;
        let manifest = parse_manifest(&manifest_text)?;
        let (days, lunar, office) = (
            read(&manifest.days.file)?,
            read(&manifest.lunar.file)?,
            read(&manifest.office.file)?,
        );
        let notices = notice_files(folder)?;
        let notices: Vec<(&str, &str)> = notices
            .iter()
            .map(|(file, text)| (file.as_str(), text.as_str()))
            .collect();
        let text = PackText {
            manifest: &manifest_text,
            days: &days,
            lunar: &lunar,
            office: &office,
            notices: &notices,
        };
        Self::from_text(&text)
    }

    /// Builds the calendar from the texts of a pack.
    ///
    /// # Errors
    /// Any [`PackError`] but [`PackError::Unreadable`].
    pub fn from_text(text: &PackText<'_>) -> Result<Self, PackError> {
        let manifest = parse_manifest(text.manifest)?;
        check_manifest(&manifest)?;
        let office = OfficeHours::from_toml(&manifest.office.file, text.office)?;
        let listed = read_days(&manifest, text.days)?;
        let mut content = Content {
            id: manifest.id.clone(),
            declared_version: manifest.version.clone(),
            name: manifest.name.clone(),
            from: manifest.from,
            to: manifest.to,
            listed,
            spans: manifest
                .days
                .span
                .iter()
                .map(|span| Span {
                    from: span.from,
                    to: span.to,
                    origin: Arc::new(span.origin.clone()),
                    notice: None,
                })
                .collect(),
            weeks: ordered(&manifest.week, |week| week.from)
                .into_iter()
                .map(|week| Week {
                    from: week.from,
                    days: week.days.iter().copied().map(Weekday::from).collect(),
                })
                .collect(),
            rules: ordered(&manifest.rule, |rule| rule.from)
                .into_iter()
                .map(|rule| RuleSource {
                    from: rule.from,
                    value: rule.value,
                    origin: rule.origin.clone(),
                })
                .collect(),
        };
        check_days(&manifest, &content, text.lunar)?;
        notice::apply(&mut content, text.notices)?;
        Self::new(content, office)
    }
}

fn ordered<T>(entries: &[T], key: impl Fn(&T) -> Date) -> Vec<&T> {
    let mut entries: Vec<&T> = entries.iter().collect();
    entries.sort_by_key(|entry| key(entry));
    entries
}

fn parse_manifest(text: &str) -> Result<Manifest, PackError> {
    toml::from_str(text).map_err(|source| PackError::Toml {
        file: MANIFEST.to_owned(),
        source: Box::new(source),
    })
}

/// Every `*.toml` of `notices/`, by name; a pack without that folder has none.
fn notice_files(folder: &Path) -> Result<Vec<(String, String)>, PackError> {
    let notices = folder.join("notices");
    let unreadable = |file: &str, source: std::io::Error| PackError::Unreadable {
        file: file.to_owned(),
        source,
    };
    if !notices.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&notices).map_err(|source| unreadable("notices", source))? {
        let path = entry.map_err(|source| unreadable("notices", source))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let file = format!("notices/{}", path.file_name().unwrap_or_default().to_string_lossy());
            let text = fs::read_to_string(&path).map_err(|source| unreadable(&file, source))?;
            files.push((file, text));
        }
    }
    files.sort();
    Ok(files)
}

fn check_manifest(manifest: &Manifest) -> Result<(), PackError> {
    let invalid = |reason: String| Err(PackError::invalid(MANIFEST, reason));
    if manifest.from > manifest.to {
        return invalid(format!(
            "the calendar ends on {} before it begins on {}",
            manifest.to, manifest.from
        ));
    }
    let origins = (manifest.days.span.iter().map(|span| &span.origin))
        .chain(manifest.week.iter().map(|week| &week.origin))
        .chain(manifest.statutory.iter().map(|day| &day.origin))
        .chain(manifest.rule.iter().map(|rule| &rule.origin));
    if let Some(origin) = origins.into_iter().find(|origin| !origin.is_complete()) {
        return invalid(format!(
            "origin {:?}: decided needs decided_by and decided_on, and only decided has them",
            origin.legal_basis
        ));
    }
    if !manifest.week.iter().any(|week| week.from <= manifest.from) {
        return invalid(format!("no week for {}, where the calendar begins", manifest.from));
    }
    let at_the_beginning = manifest.rule.iter().filter(|rule| rule.from <= manifest.from);
    let (mut first_day, mut last_day_off) = (false, false);
    for rule in at_the_beginning {
        match rule.value {
            RuleValue::FirstDay(_) => first_day = true,
            RuleValue::LastDayOff(_) => last_day_off = true,
        }
    }
    for (key, known) in [("first_day", first_day), ("last_day_off", last_day_off)] {
        if !known {
            return invalid(format!(
                "no rule {key} for {}, where the calendar begins",
                manifest.from
            ));
        }
    }
    for span in &manifest.days.span {
        if span.from > span.to {
            return invalid(format!("a span ends on {} before it begins on {}", span.to, span.from));
        }
    }
    Ok(())
}

/// The list of days, each with the status of its stretch and the basis of the law that names its date, if one does.
fn read_days(manifest: &Manifest, text: &str) -> Result<BTreeMap<Date, Listed>, PackError> {
    let file = manifest.days.file.as_str();
    let mut listed = BTreeMap::new();
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize() {
        let row: DayRow = row.map_err(|source| PackError::Csv {
            file: file.to_owned(),
            source,
        })?;
        let date = row.date;
        if date < manifest.from || date > manifest.to {
            return Err(PackError::invalid(file, format!("{date} lies outside the calendar")));
        }
        let span = manifest
            .days
            .span
            .iter()
            .rfind(|span| span.from <= date && date <= span.to);
        let span = span.ok_or_else(|| PackError::invalid(MANIFEST, format!("no span holds {date}")))?;
        let law = manifest.statutory.iter().rfind(|law| {
            row.kind == RowKind::Off && (law.month, law.day) == (date.month(), date.day()) && law.from <= date
        });
        let origin = Origin {
            legal_basis: law.map_or(&span.origin, |law| &law.origin).legal_basis.clone(),
            ..span.origin.clone()
        };
        let en = manifest.names.get(&row.name).unwrap_or(&row.name).clone();
        let name = Name { vi: row.name, en };
        let kind = match row.kind {
            RowKind::Off => DayKind::Holiday { name },
            RowKind::WorkdaySwap => DayKind::SwappedWorking { name },
        };
        if listed
            .insert(
                date,
                Listed {
                    kind,
                    origin: Arc::new(origin),
                    notice: None,
                },
            )
            .is_some()
        {
            return Err(PackError::invalid(file, format!("{date} is listed twice")));
        }
    }
    Ok(listed)
}

/// The list against the manifest and the lunar table, before any notice changes it.
fn check_days(manifest: &Manifest, content: &Content, lunar: &str) -> Result<(), PackError> {
    let days_file = manifest.days.file.as_str();
    let is_off = |date: Date| {
        content
            .listed
            .get(&date)
            .is_some_and(|listed| !listed.kind.is_working())
    };
    for (date, listed) in &content.listed {
        if listed.kind.is_working() && content.is_week_day(*date) {
            return Err(PackError::invalid(
                days_file,
                format!("{date} is a working day anyway, no swap"),
            ));
        }
    }
    let mut date = content.from;
    loop {
        if content.span(date).is_none() {
            return Err(PackError::invalid(MANIFEST, format!("no span holds {date}")));
        }
        for law in &manifest.statutory {
            if (law.month, law.day) == (date.month(), date.day()) && law.from <= date && !is_off(date) {
                return Err(PackError::invalid(
                    days_file,
                    format!("{date} is a day off by {} and is not listed", law.origin.legal_basis),
                ));
            }
        }
        if date >= content.to {
            break;
        }
        date = date
            .tomorrow()
            .map_err(|error| PackError::invalid(MANIFEST, error.to_string()))?;
    }
    let lunar_file = manifest.lunar.file.as_str();
    let mut years = BTreeMap::new();
    for row in csv::Reader::from_reader(lunar.as_bytes()).deserialize() {
        let row: LunarRow = row.map_err(|source| PackError::Csv {
            file: lunar_file.to_owned(),
            source,
        })?;
        years.insert(row.year, [row.tet_mung_1, row.gio_to_10_3]);
    }
    for year in content.from.year()..=content.to.year() {
        let Some(days) = years.get(&year) else {
            return Err(PackError::invalid(lunar_file, format!("no row for {year}")));
        };
        for day in days.iter().filter(|day| content.from <= **day && **day <= content.to) {
            if !is_off(*day) {
                return Err(PackError::invalid(
                    days_file,
                    format!("{day} is a day off by the lunar table and is not listed"),
                ));
            }
        }
    }
    Ok(())
}
