//! Official notices: decisions of a year that override the list of days.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use serde::Deserialize;

use crate::error::PackError;
use crate::language::Name;
use crate::origin::Origin;
use crate::work_calendar::{Content, DayKind, Listed, Span};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeFile {
    notice: Vec<Notice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Notice {
    id: String,
    /// For whoever reads the file; texts name the days, not the notice.
    #[serde(rename = "title")]
    _title: Name,
    origin: Origin,
    #[serde(default)]
    supersedes: BTreeSet<String>,
    settles: Option<i16>,
    #[serde(default)]
    off: Vec<Off>,
    #[serde(default)]
    swap: Vec<Swap>,
    #[serde(default)]
    cancel: Vec<Cancel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Off {
    from: Date,
    to: Date,
    name: Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Swap {
    off: Date,
    working: Date,
    off_name: Name,
    working_name: Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    date: Date,
}

/// What a notice says of one day; none: that the list is wrong and the day is as the week has it.
type Statement = Option<DayKind>;

struct Said {
    statement: Statement,
    notice: usize,
}

/// Puts what the notices say in place of what the list says.
pub(crate) fn apply(content: &mut Content, files: &[(&str, &str)]) -> Result<(), PackError> {
    let notices = read(files)?;
    let mut said: BTreeMap<Date, Said> = BTreeMap::new();
    for (index, (file, notice)) in notices.iter().enumerate() {
        for (date, statement) in statements(content, file, notice)? {
            let earlier = said.get(&date).and_then(|said| notices.get(said.notice));
            if let Some((_, other)) = earlier {
                // Whichever replaces the other has the word, in whatever order they were read.
                if other.supersedes.contains(&notice.id) {
                    continue;
                }
                if !notice.supersedes.contains(&other.id) {
                    return Err(PackError::invalid(
                        file,
                        format!(
                            "{} and {} both decide {date}, and neither supersedes the other",
                            other.id, notice.id
                        ),
                    ));
                }
            }
            said.insert(
                date,
                Said {
                    statement,
                    notice: index,
                },
            );
        }
        if let Some(year) = notice.settles {
            settle(content, file, year, notice)?;
        }
    }
    for (date, Said { statement, notice }) in said {
        let Some((_, notice)) = notices.get(notice) else {
            continue;
        };
        let (origin, id) = (Arc::new(notice.origin.clone()), Arc::<str>::from(notice.id.as_str()));
        match statement {
            Some(kind) => {
                content.listed.insert(
                    date,
                    Listed {
                        kind,
                        origin,
                        notice: Some(id),
                    },
                );
            }
            None => {
                content.listed.remove(&date);
                content.spans.push(Span {
                    from: date,
                    to: date,
                    origin,
                    notice: Some(id),
                });
            }
        }
    }
    Ok(())
}

fn read<'a>(files: &[(&'a str, &str)]) -> Result<Vec<(&'a str, Notice)>, PackError> {
    let mut notices: Vec<(&str, Notice)> = Vec::new();
    for (file, text) in files {
        let NoticeFile { notice: read } = toml::from_str(text).map_err(|source| PackError::Toml {
            file: (*file).to_owned(),
            source: Box::new(source),
        })?;
        for notice in read {
            if notices.iter().any(|(_, other)| other.id == notice.id) {
                return Err(PackError::invalid(
                    file,
                    format!("a second notice has the id {}", notice.id),
                ));
            }
            if !notice.origin.is_complete() {
                return Err(PackError::invalid(
                    file,
                    format!(
                        "{}: decided needs decided_by and decided_on, and only decided has them",
                        notice.id
                    ),
                ));
            }
            notices.push((file, notice));
        }
    }
    Ok(notices)
}

/// What the notice says, day by day, each checked against the week and the list.
fn statements(content: &Content, file: &str, notice: &Notice) -> Result<Vec<(Date, Statement)>, PackError> {
    let invalid = |reason: String| PackError::invalid(file, format!("{}: {reason}", notice.id));
    let within = |date: Date| {
        let covered = content.from <= date && date <= content.to;
        covered
            .then_some(())
            .ok_or_else(|| invalid(format!("{date} lies outside the calendar")))
    };
    let mut days = Vec::new();
    for off in &notice.off {
        within(off.from)?;
        within(off.to)?;
        if off.from > off.to {
            return Err(invalid(format!(
                "days off end on {} before they begin on {}",
                off.to, off.from
            )));
        }
        for date in off
            .from
            .series(jiff::Span::new().days(1))
            .take_while(|date| *date <= off.to)
        {
            days.push((date, Some(DayKind::Holiday { name: off.name.clone() })));
        }
    }
    for swap in &notice.swap {
        within(swap.off)?;
        within(swap.working)?;
        if !content.is_week_day(swap.off) {
            return Err(invalid(format!(
                "{} is a rest day and cannot be swapped away",
                swap.off
            )));
        }
        if content.is_week_day(swap.working) {
            return Err(invalid(format!("{} is a working day anyway, no swap", swap.working)));
        }
        days.push((
            swap.off,
            Some(DayKind::Holiday {
                name: swap.off_name.clone(),
            }),
        ));
        days.push((
            swap.working,
            Some(DayKind::SwappedWorking {
                name: swap.working_name.clone(),
            }),
        ));
    }
    for cancel in &notice.cancel {
        if !content.listed.contains_key(&cancel.date) {
            return Err(invalid(format!(
                "{} is not in the list, nothing to cancel",
                cancel.date
            )));
        }
        days.push((cancel.date, None));
    }
    let mut seen = BTreeSet::new();
    for (day, _) in &days {
        if !seen.insert(*day) {
            return Err(invalid(format!("{day} is decided twice")));
        }
    }
    Ok(days)
}

/// The year's list is complete with this notice: its other days are what the notice leaves them.
fn settle(content: &mut Content, file: &str, year: i16, notice: &Notice) -> Result<(), PackError> {
    let (Ok(first), Ok(last)) = (Date::new(year, 1, 1), Date::new(year, 12, 31)) else {
        return Err(PackError::invalid(file, format!("{}: no year {year}", notice.id)));
    };
    let origin = Arc::new(notice.origin.clone());
    let id = Arc::<str>::from(notice.id.as_str());
    for (_, listed) in content.listed.range_mut(first..=last) {
        listed.origin = Arc::clone(&origin);
        listed.notice = Some(Arc::clone(&id));
    }
    content.spans.push(Span {
        from: first,
        to: last,
        origin,
        notice: Some(id),
    });
    Ok(())
}
