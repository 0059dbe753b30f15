//! Dữ liệu pháp luật in force: what was imported, read at the start and again as soon as an import changes it.
//!
//! The service decides by what its database holds, never by files beside it: the same text that decided a case can be
//! shown years later.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use egov_auth::RowScope;
use egov_calendar::WorkCalendar;
use egov_database::{Database, UnitOfWork};
use jiff::civil::Date;
use sqlx::PgConnection;

use crate::domain::components::rules::PaperRules;
use crate::domain::deadline_rules::DeadlineRules;
use crate::domain::linked::{Decisions, LinkedService};
use crate::domain::reports::CentreRules;
use crate::domain::transitions::Transitions;
use crate::domain::treasury::TreasuryFormat;
use crate::error::Error;
use crate::store::packs;

/// The files of a calendar pack, by name.
pub type CalendarFiles = BTreeMap<String, String>;

/// The law that the service works with.
#[derive(Debug)]
pub struct Law {
    pub(crate) calendar: WorkCalendar,
    pub(crate) calendar_files: CalendarFiles,
    transitions: BTreeMap<String, Transitions>,
    deadline_rules: Vec<DeadlineRules>,
    centre: Vec<Arc<CentreRules>>,
    treasury_formats: Vec<TreasuryFormat>,
    paper_rules: Vec<PaperRules>,
    linked: Vec<Arc<LinkedService>>,
    /// The last change of a pack that it knows of.
    change: i64,
}

/// The law as it is now. Whoever begins something takes it once and keeps it to the end.
#[derive(Debug)]
pub struct InForce(ArcSwap<Law>);

impl InForce {
    /// Reads what is in force, and keeps the calendar for those who work out again what it gave.
    pub async fn load(database: &Database) -> Result<Self, LawError> {
        let law = Law::load(database).await?;
        law.keep_calendar(database).await?;
        Ok(Self(ArcSwap::from_pointee(law)))
    }

    /// The law as it is now.
    pub fn get(&self) -> Arc<Law> {
        self.0.load_full()
    }

    /// Takes up what was imported since; true if that was anything.
    pub async fn refresh(&self, database: &Database) -> Result<bool, LawError> {
        let change = database
            .read(&RowScope::none(), async |connection| {
                Ok::<_, Error>(packs::last_change(connection).await?)
            })
            .await?;
        if change == self.get().change {
            return Ok(false);
        }
        let law = Law::load(database).await?;
        law.keep_calendar(database).await?;
        self.0.store(Arc::new(law));
        Ok(true)
    }
}

/// The kind of pack that holds the rules of the one-stop centre.
pub(crate) const CENTRE: &str = "centre";

/// The kind of pack that holds forms of the treasury's file.
pub(crate) const FEES: &str = "fees";
/// The kind of pack that says which register answers for which component.
pub(crate) const PAPERS: &str = "papers";
/// The kind of pack that holds linked services.
pub(crate) const LINKED: &str = "linked";

/// The kind of pack that holds what was decided about linked services.
pub(crate) const LINKED_DECISIONS: &str = "linked_decisions";

/// Why the law cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LawError {
    /// Nothing was imported yet.
    #[error("no {0} was imported; run `cargo egov import`")]
    Missing(&'static str),
    /// A pack that was imported is not readable by this version.
    #[error("the {kind} pack {name} cannot be read: {source}")]
    Unreadable {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<egov_fault::Fault> for LawError {
    fn from(fault: egov_fault::Fault) -> Self {
        Self::Store(fault.into())
    }
}

impl Law {
    /// Reads the packs in force from the database.
    pub async fn load(database: &Database) -> Result<Self, LawError> {
        let (change, calendar, transitions, deadlines, centre, (fees, papers), (linked, decided)) = database
            .read(&RowScope::none(), async |connection| {
                // First: what is imported meanwhile is then found by the next look.
                let change = packs::last_change(&mut *connection).await?;
                let calendar = packs::in_force(&mut *connection, "calendar").await?;
                let transitions = packs::in_force(&mut *connection, "transitions").await?;
                let deadlines = packs::in_force(&mut *connection, "deadlines").await?;
                let centre = packs::in_force(&mut *connection, CENTRE).await?;
                let fees = packs::in_force(&mut *connection, FEES).await?;
                let papers = packs::in_force(&mut *connection, PAPERS).await?;
                let linked = packs::in_force(&mut *connection, LINKED).await?;
                let decided = packs::in_force(connection, LINKED_DECISIONS).await?;
                let (of_money_and_papers, of_linked) = ((fees, papers), (linked, decided));
                Ok::<_, Error>((
                    change,
                    calendar,
                    transitions,
                    deadlines,
                    centre,
                    of_money_and_papers,
                    of_linked,
                ))
            })
            .await?;
        if calendar.is_empty() {
            return Err(LawError::Missing("calendar"));
        }
        if transitions.is_empty() {
            return Err(LawError::Missing("transitions"));
        }
        let calendar_files: CalendarFiles = calendar.into_iter().collect();
        let calendar = read_calendar(&calendar_files)?;
        let mut sets = BTreeMap::new();
        for (name, text) in transitions {
            let set = Transitions::from_toml(&text).map_err(|source| LawError::Unreadable {
                kind: "transitions",
                name,
                source: source.into(),
            })?;
            sets.insert(set.name().to_owned(), set);
        }
        let mut deadline_rules = Vec::new();
        for (name, text) in deadlines {
            let rules = DeadlineRules::from_toml(&text).map_err(|source| LawError::Unreadable {
                kind: "deadlines",
                name,
                source: source.into(),
            })?;
            deadline_rules.push(rules);
        }
        deadline_rules.sort_by_key(|rules| rules.effective_from);
        let mut rules = Vec::with_capacity(centre.len());
        for (name, text) in centre {
            let read = CentreRules::from_toml(&text).map_err(|source| LawError::Unreadable {
                kind: CENTRE,
                name,
                source: source.into(),
            })?;
            rules.push(Arc::new(read));
        }
        let mut treasury_formats = Vec::with_capacity(fees.len());
        for (name, text) in fees {
            let read = TreasuryFormat::from_toml(&text).map_err(|source| LawError::Unreadable {
                kind: FEES,
                name,
                source: source.into(),
            })?;
            treasury_formats.push(read);
        }
        let mut paper_rules = Vec::with_capacity(papers.len());
        for (name, text) in papers {
            let read = PaperRules::from_toml(&text).map_err(|source| LawError::Unreadable {
                kind: PAPERS,
                name,
                source: source.into(),
            })?;
            paper_rules.push(read);
        }
        paper_rules.sort_by_key(|rules| rules.effective_from);
        let linked = read_linked(&linked, &decided)?;
        Ok(Self {
            calendar,
            calendar_files,
            transitions: sets,
            deadline_rules,
            centre: rules,
            treasury_formats,
            paper_rules,
            linked,
            change,
        })
    }

    /// Whether no pack was changed since it was read.
    pub(crate) async fn is_the_last(&self, connection: &mut PgConnection) -> Result<bool, Error> {
        Ok(packs::last_change(connection).await? == self.change)
    }

    /// Keeps the calendar under its version, word for word, so that a due date that it gave can be worked out again whatever notice
    /// comes later.
    pub(crate) async fn keep_calendar(&self, database: &Database) -> Result<(), Error> {
        let (version, files) = (self.calendar.version(), &self.calendar_files);
        database
            .write_unkeyed(&RowScope::none(), async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                Ok::<_, Error>(packs::keep_calendar(unit.conn(), version, files, now).await?)
            })
            .await
    }

    /// The rules of the one-stop centre in force on a day: reports, index, ratings, priorities. Where two files are, the later one.
    pub(crate) fn centre(&self, day: Date) -> Option<Arc<CentreRules>> {
        let in_force = self.centre.iter().filter(|rules| rules.in_force(day));
        in_force.max_by_key(|rules| rules.effective_from).cloned()
    }

    /// How the treasury's file of a day is written. Where two forms are in force, the later one.
    pub(crate) fn treasury_format(&self, day: Date) -> Option<&TreasuryFormat> {
        let in_force = self.treasury_formats.iter().filter(|format| format.in_force_on(day));
        in_force.max_by_key(|format| format.effective_from)
    }

    /// The linked services in force on a day, by code, each in its latest version.
    pub(crate) fn linked_services(&self, day: Date) -> Vec<Arc<LinkedService>> {
        let mut latest: BTreeMap<&str, &Arc<LinkedService>> = BTreeMap::new();
        for service in self.linked.iter().filter(|service| service.in_force_on(day)) {
            let known = latest.entry(&service.code).or_insert(service);
            if known.version < service.version {
                *known = service;
            }
        }
        latest.into_values().cloned().collect()
    }

    /// A linked service in force on a day.
    pub(crate) fn linked_service(&self, code: &str, day: Date) -> Option<Arc<LinkedService>> {
        self.linked_services(day)
            .into_iter()
            .find(|service| service.code == code)
    }

    /// The rules of extensions and reminders on a day, if any were imported.
    pub(crate) fn deadline_rules_on(&self, day: Date) -> Option<&DeadlineRules> {
        self.deadline_rules.iter().rfind(|rules| rules.in_force_on(day))
    }

    /// Which register answers for which component on a day, and which result stands for it, if any such pack was imported.
    pub(crate) fn paper_rules_on(&self, day: Date) -> Option<&PaperRules> {
        self.paper_rules.iter().rfind(|rules| rules.in_force_on(day))
    }

    /// The set of transitions that a procedure names.
    pub(crate) fn transitions(&self, name: &str) -> Result<&Transitions, Error> {
        self.transitions
            .get(name)
            .ok_or_else(|| egov_fault::Fault::internal(format!("transitions {name} were not imported")).into())
    }

    /// The set in force on a day: the names of states for who asks from outside.
    pub(crate) fn transitions_on(&self, day: Date) -> Option<&Transitions> {
        self.transitions.values().find(|set| {
            let (from, to) = set.in_force();
            from <= day && to.is_none_or(|end| day < end)
        })
    }
}

/// The linked services with what was decided about them.
fn read_linked(
    services: &[(String, String)],
    decided: &[(String, String)],
) -> Result<Vec<Arc<LinkedService>>, LawError> {
    let unreadable =
        |kind: &'static str, name: &str, source: crate::domain::linked::LinkedPackError| LawError::Unreadable {
            kind,
            name: name.to_owned(),
            source: source.into(),
        };
    let mut decisions = Vec::with_capacity(decided.len());
    for (name, text) in decided {
        let read = Decisions::from_toml(text).map_err(|source| unreadable(LINKED_DECISIONS, name, source))?;
        decisions.push((name, read));
    }
    let mut read = Vec::with_capacity(services.len());
    for (name, text) in services {
        let mut service = LinkedService::from_toml(text).map_err(|source| unreadable(LINKED, name, source))?;
        for (file, decided) in &decisions {
            // A decision that fits no more decides nothing: what is open stays open, and nothing is filed by it.
            if let Err(error) = decided.apply(&mut service) {
                tracing::warn!(%file, %error, "decisions about a linked service do not fit it");
            }
        }
        read.push(Arc::new(service));
    }
    Ok(read)
}

/// Puts a calendar together from the files of its pack.
pub(crate) fn read_calendar(files: &CalendarFiles) -> Result<WorkCalendar, LawError> {
    let file = |wanted: &'static str| files.get(wanted).map(String::as_str).ok_or(LawError::Missing(wanted));
    let notices: Vec<(&str, &str)> = files
        .iter()
        .filter(|(name, _)| name.starts_with("notices/"))
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let text = egov_calendar::PackText {
        manifest: file("calendar.toml")?,
        days: file("holidays_2015_2035.csv")?,
        lunar: file("lunar_2015_2035.csv")?,
        office: file("office_hours.toml")?,
        notices: &notices,
    };
    WorkCalendar::from_text(&text).map_err(|source| LawError::Unreadable {
        kind: "calendar",
        name: "calendar.toml".to_owned(),
        source: source.into(),
    })
}
