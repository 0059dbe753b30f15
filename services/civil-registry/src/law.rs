//! What the law and the catalogues say, as the packs have it: read once, when the service starts.

use std::path::{Path, PathBuf};

use egov_calendar::{PackError, WorkCalendar};
use jiff::civil::Date;

use crate::domain::case_form::{CasePackError, CasePacks};
use crate::domain::matching::place::PlaceHistory;
use crate::domain::person::{EthnicGroups, EthnicGroupsError};
use crate::domain::rules::decided::{RuleDecision, undecided};
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
    /// What cases of one-stop are to the books is flawed.
    #[error("civil-registry/cases: {0}")]
    Cases(#[from] CasePackError),
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
    /// Production does not rest on rules for which nobody answers.
    #[error(
        "rules of civil status that production must not use yet; write a table [[decisions]] with pack, rule, decided_by and decided_on for each \
         into the configuration, or set profile = \"demo\" where nothing is real: {}",
        .0.join("; ")
    )]
    Undecided(Vec<String>),
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

/// The packs of cases; a deployment without the folder takes no decisions.
fn cases(folder: &Path) -> Result<CasePacks, LawError> {
    let unreadable = |file: &Path| {
        let file = file.to_owned();
        move |source| LawError::Unreadable { file, source }
    };
    let entries = match std::fs::read_dir(folder) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(CasePacks::default()),
        read => read.map_err(unreadable(folder))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(unreadable(folder))?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        texts.push(std::fs::read_to_string(&file).map_err(unreadable(&file))?);
    }
    Ok(CasePacks::from_texts(texts.iter().map(String::as_str))?)
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
    /// Which procedures of one-stop go into which book.
    pub(crate) cases: CasePacks,
}

impl std::fmt::Debug for Law {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Law").finish_non_exhaustive()
    }
}

impl Law {
    /// Reads the packs in `folder`: `civil-registry/rules-*.toml`, `civil-registry/cases/*.toml`, `calendar`, `ethnic_groups.csv`.
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
            cases: cases(&folder.join("civil-registry/cases"))?,
        })
    }

    /// Demands that somebody answers for every rule that is unconfirmed.
    ///
    /// # Errors
    /// All rules of which nobody has decided, and all decisions that are none.
    pub fn demand_decisions(&self, decisions: &[RuleDecision], today: Date) -> Result<(), LawError> {
        let flaws = undecided(self.rules.iter(), decisions, today);
        if flaws.is_empty() {
            Ok(())
        } else {
            Err(LawError::Undecided(flaws))
        }
    }

    /// The rules in force on a day.
    pub(crate) fn rules(&self, on: Date) -> Option<&Rules> {
        self.rules.on(on)
    }
}
