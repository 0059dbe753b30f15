//! The packs and policies that are shipped beside the program: where they lie, and their text.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use egov_civil_registry::law::Law;
use egov_onestop::domain::civil_decision::BookProcedures;
use egov_onestop::operations::import::Packs;
use egov_population::NamePack;

use crate::problem::Problem;

/// Where an installed package keeps them.
const INSTALLED: &str = "/usr/share/egov";

/// The folder `deploy` with its packs and policies.
#[derive(Clone, Debug)]
pub(crate) struct Deploy {
    folder: PathBuf,
}

impl Deploy {
    /// Finds the folder: the one that is named, `./deploy`, the one of the sources, the installed one.
    pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
        let candidates = match named {
            Some(folder) => vec![folder.to_owned()],
            None => vec![PathBuf::from("deploy"), source, PathBuf::from(INSTALLED)],
        };
        candidates
            .iter()
            .find(|folder| folder.join("packs").is_dir() && folder.join("policies").is_dir())
            .and_then(|folder| folder.canonicalize().ok())
            .map(|folder| Self { folder })
            .ok_or_else(|| {
                let looked: Vec<String> = candidates.iter().map(|folder| folder.display().to_string()).collect();
                Problem::new(
                    format!("no packs and policies were found in {}", looked.join(", ")),
                    "name the folder that holds `packs` and `policies` with --deploy DIR",
                )
                .into()
            })
    }

    /// Every policy, by its file's name.
    pub(crate) fn policies(&self) -> anyhow::Result<BTreeMap<String, String>> {
        texts(&self.folder.join("policies"), &[".toml"])
    }

    /// The packs of the one-stop service.
    pub(crate) fn one_stop(&self) -> anyhow::Result<Packs> {
        let folder = self.folder.join("packs");
        let mut calendar = texts(&folder.join("calendar"), &[".toml", ".csv"])?;
        for (name, text) in texts(&folder.join("calendar/notices"), &[".toml"])? {
            calendar.insert(format!("notices/{name}"), text);
        }
        Ok(Packs {
            calendar,
            transitions: texts(&folder.join("transitions"), &[".toml"])?,
            procedures: texts(&folder.join("procedures"), &[".toml"])?,
            decisions: texts(&folder.join("procedures/decisions"), &[".toml"])?,
            catalogue: texts(&folder.join("catalogue"), &[".toml", ".csv"])?,
            deadlines: texts(&folder.join("deadlines"), &[".toml"])?,
            centre: texts(&folder.join("one-stop"), &[".toml"])?,
            fees: texts(&folder.join("fees"), &[".toml"])?,
            papers: texts(&folder.join("papers"), &[".toml"])?,
            linked: texts(&folder.join("linked"), &[".toml"])?,
            linked_decisions: texts(&folder.join("linked/decisions"), &[".toml"])?,
        })
    }

    /// Which procedures are decided for a book of civil status.
    pub(crate) fn books(&self) -> anyhow::Result<BookProcedures> {
        BookProcedures::read(&self.folder.join("packs/civil-registry/cases"))
            .context("the packs of cases of civil status")
    }

    /// The law of the civil registry.
    pub(crate) fn civil_registry(&self) -> anyhow::Result<Law> {
        Law::read(&self.folder.join("packs")).context("the packs of the civil registry")
    }

    /// The folder of the code tables (bảng mã), by which partners are understood.
    pub(crate) fn code_tables(&self) -> PathBuf {
        self.folder.join("packs/code-tables")
    }

    /// The pack for generated data.
    pub(crate) fn population(&self) -> anyhow::Result<PopulationText> {
        let folder = self.folder.join("packs/population");
        Ok(PopulationText {
            lists: texts(&folder, &[".csv"])?,
            parameters: read(&folder.join("parameters.toml"))?,
        })
    }

    /// The packs of units.
    pub(crate) fn units(&self) -> anyhow::Result<Units> {
        let packs = self.folder.join("packs");
        let mut lists = texts(&packs.join("units"), &[".csv"])?;
        let commune_departments = lists.remove_entry("commune_departments.csv");
        let agency_codes = texts(&packs.join("agency-codes"), &[".csv"])?.pop_first();
        let mut history = texts(&packs.join("units/history"), &[".csv"])?;
        let successions = history.remove_entry("successions.csv");
        // The units first, then what stands below them.
        let mut units: Vec<(String, String)> = lists.into_iter().collect();
        units.sort_by_key(|(name, _)| !name.starts_with("units-"));
        Ok(Units {
            lists: units,
            commune_departments,
            agency_codes,
            // By name: the oldest first.
            history: history.into_iter().collect(),
            successions,
        })
    }
}

/// The pack of names and parameters for generated data.
#[derive(Debug)]
pub(crate) struct PopulationText {
    lists: BTreeMap<String, String>,
    /// parameters.toml
    pub(crate) parameters: String,
}

impl PopulationText {
    /// The lists of names; one that is missing is an empty text, which is refused when it is read.
    pub(crate) fn names(&self) -> NamePack<'_> {
        let list = |name: &str| self.lists.get(name).map(String::as_str).unwrap_or_default();
        NamePack {
            surnames: list("surnames.csv"),
            middle_names: list("middle_names.csv"),
            given_names: list("given_names.csv"),
            name_lengths: list("name_lengths.csv"),
        }
    }
}

/// The text of the packs of units.
#[derive(Debug)]
pub(crate) struct Units {
    /// Lists of units, by file name.
    pub(crate) lists: Vec<(String, String)>,
    /// Departments that every commune has.
    pub(crate) commune_departments: Option<(String, String)>,
    /// Agency codes.
    pub(crate) agency_codes: Option<(String, String)>,
    /// Units of before, the oldest first.
    pub(crate) history: Vec<(String, String)>,
    /// What became of them.
    pub(crate) successions: Option<(String, String)>,
}

/// The files of a folder with one of these endings, by name.
fn texts(folder: &Path, endings: &[&str]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
            found.insert(name, read(&path)?);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packs_of_the_sources_are_found_and_whole() {
        let deploy = Deploy::find(None).unwrap();
        let packs = deploy.one_stop().unwrap();
        assert_eq!(packs.procedures.len(), 14);
        assert!(packs.calendar.contains_key("notices/2026.toml"));
        assert!(packs.decisions.contains_key("demo.toml"));
        assert!(packs.catalogue.contains_key("catalogue.toml"));
        let units = deploy.units().unwrap();
        assert_eq!(units.lists[0].0, "units-2025.csv");
        assert!(units.commune_departments.is_some() && units.agency_codes.is_some());
        assert_eq!(units.history[0].0, "units-2021.csv");
        assert!(units.successions.is_some());
        assert!(deploy.policies().unwrap().contains_key("onestop.toml"));
    }

    #[test]
    fn a_folder_without_packs_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = Deploy::find(Some(folder.path())).unwrap_err();
        assert!(crate::problem::report(&error).contains("--deploy DIR"));
    }
}
