//! What the law and the catalogues say, as the packs have it: read once, when the service starts.

use std::path::{Path, PathBuf};

use egov_calendar::{PackError, WorkCalendar};
use jiff::civil::Date;

use crate::domain::matching::place::PlaceHistory;
use crate::domain::person::{EthnicGroups, EthnicGroupsError};
use crate::domain::rules::{RulePacks, Rules, RulesError};

/// Why the packs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LawError {
    /// A file is missing or unreadable.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of rules is flawed.
    #[error("{}: {source}", file.display())]
    Rules {
        /// Which.
        file: PathBuf,
        /// Why.
        source: RulesError,
    },
    /// Two files are in force on one day.
    #[error(transparent)]
    Overlap(RulesError),
    /// The list of ethnic groups is flawed.
    #[error("ethnic_groups.csv: {0}")]
    EthnicGroups(#[from] EthnicGroupsError),
    /// The calendar is flawed.
    #[error(transparent)]
    Calendar(#[from] PackError),
    /// The history of units is flawed.
    #[error("{}: line {line} is no change of a unit", file.display())]
    Places {
        /// Which.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// The history of units: of each line the day of the change, the code before and the code after, which is empty if there is none. A deployment without
/// the file knows no change.
fn places(file: &Path) -> Result<PlaceHistory, LawError> {
    let text = match std::fs::read_to_string(file) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(PlaceHistory::default()),
        read => read.map_err(|source| LawError::Unreadable {
            file: file.to_owned(),
            source,
        })?,
    };
    let mut rows = Vec::new();
    for (place, line) in text.lines().enumerate().skip(1) {
        // These columns hold no comma.
        let mut columns = line.splitn(4, ',');
        let (day, old, new) = (columns.next(), columns.next(), columns.next());
        let (Some(day), Some(old), Some(new)) = (day.and_then(|day| day.parse::<Date>().ok()), old, new) else {
            return Err(LawError::Places {
                file: file.to_owned(),
                line: place + 1,
            });
        };
        rows.push((day, old.to_owned(), (!new.is_empty()).then(|| new.to_owned())));
    }
    Ok(PlaceHistory::new(rows))
}

/// What the rules of registering, the calendar and the catalogues say.
pub struct Law {
    rules: RulePacks,
    /// Days off, by which terms end.
    pub(crate) calendar: WorkCalendar,
    /// Danh mục dân tộc.
    pub(crate) ethnic_groups: EthnicGroups,
    /// What became of units, by which places of birth are compared.
    pub(crate) places: PlaceHistory,
}

impl std::fmt::Debug for Law {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Law").finish_non_exhaustive()
    }
}

impl Law {
    /// Reads the packs in `folder`: `civil-registry/rules-*.toml`, `calendar`, `ethnic_groups.csv`.
    ///
    /// # Errors
    /// The first file that is missing or flawed.
    pub fn read(folder: &Path) -> Result<Self, LawError> {
        let text = |file: &Path| {
            std::fs::read_to_string(file).map_err(|source| LawError::Unreadable {
                file: file.to_owned(),
                source,
            })
        };
        let at = folder.join("civil-registry");
        let unreadable = |source| LawError::Unreadable {
            file: at.clone(),
            source,
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&at).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                files.push(file);
            }
        }
        files.sort();
        let mut packs = Vec::with_capacity(files.len());
        for file in files {
            let rules = Rules::from_toml(&text(&file)?).map_err(|source| LawError::Rules { file, source })?;
            packs.push(rules);
        }
        Ok(Self {
            rules: RulePacks::new(packs).map_err(LawError::Overlap)?,
            calendar: WorkCalendar::read(&folder.join("calendar"))?,
            ethnic_groups: EthnicGroups::from_text(&text(&folder.join("ethnic_groups.csv"))?)?,
            places: places(&folder.join("units/history/successions.csv"))?,
        })
    }

    /// The rules in force on a day.
    pub(crate) fn rules(&self, on: Date) -> Option<&Rules> {
        self.rules.on(on)
    }
}
