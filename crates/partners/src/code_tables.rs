//! Code tables (bảng mã) between the province and its partners: dated data, never a guess.
//!
//! A value that the table in force does not know is left out and reported with the place where it stood. Who reads the
//! report mends the table, not the code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::Deserialize;

/// How far a table is established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// By a source.
    Confirmed,
    /// Commonly held, or of a simulator; not checked against a source.
    Unconfirmed,
}

/// One version of one table, as its file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeTable {
    /// What it translates, e.g. `case-state`.
    pub table: String,
    /// Whose codes come in.
    pub from: String,
    /// Whose codes come out.
    pub to: String,
    /// From 1; a change of a code is a new version.
    pub version: u32,
    /// The first day.
    pub effective_from: Date,
    /// The last day; none if it is in force without an end.
    pub effective_to: Option<Date>,
    /// How far it is established.
    pub status: Status,
    /// Where it comes from.
    pub source: String,
    /// The rows.
    #[serde(default, rename = "row")]
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    from: String,
    to: String,
    #[expect(dead_code, reason = "for people who read the file")]
    #[serde(default)]
    name: String,
}

/// Why tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CodeTableError {
    /// A file cannot be read.
    #[error("{0} cannot be read")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// A file is not a code table.
    #[error("{0}: {1}")]
    Form(PathBuf, String),
    /// Two versions of one table are in force on one day.
    #[error("{table} from {from} to {to}: versions {first} and {second} are in force on the same day")]
    Overlap {
        /// The table.
        table: String,
        /// Whose codes come in.
        from: String,
        /// Whose codes come out.
        to: String,
        /// The one version.
        first: u32,
        /// The other.
        second: u32,
    },
    /// A code has two translations.
    #[error("{table} version {version}: {code} has two translations")]
    Ambiguous {
        /// The table.
        table: String,
        /// Its version.
        version: u32,
        /// The code.
        code: String,
    },
}

/// All tables.
#[derive(Clone, Debug, Default)]
pub struct CodeTables {
    /// By table, whose codes come in, and whose come out.
    tables: BTreeMap<(String, String, String), Vec<Version>>,
}

#[derive(Clone, Debug)]
struct Version {
    number: u32,
    from: Date,
    to: Option<Date>,
    codes: BTreeMap<String, String>,
}

impl CodeTables {
    /// Reads every `.toml` file of a folder.
    pub fn load(folder: &Path) -> Result<Self, CodeTableError> {
        let unreadable = |error| CodeTableError::Unreadable(folder.to_owned(), error);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        files.sort();
        let mut read = Vec::new();
        for path in files {
            let text =
                std::fs::read_to_string(&path).map_err(|error| CodeTableError::Unreadable(path.clone(), error))?;
            let table: CodeTable =
                toml::from_str(&text).map_err(|error| CodeTableError::Form(path, error.to_string()))?;
            read.push(table);
        }
        Self::new(read)
    }

    /// Checks tables and makes them ready. A table whose translations are one to one serves the way back as well.
    pub fn new(read: Vec<CodeTable>) -> Result<Self, CodeTableError> {
        let mut all = Self::default();
        for table in read {
            let mut there = BTreeMap::new();
            let mut back = BTreeMap::new();
            let mut one_to_one = true;
            for row in &table.rows {
                if there.insert(row.from.clone(), row.to.clone()).is_some() {
                    return Err(CodeTableError::Ambiguous {
                        table: table.table.clone(),
                        version: table.version,
                        code: row.from.clone(),
                    });
                }
                one_to_one &= back.insert(row.to.clone(), row.from.clone()).is_none();
            }
            all.add(&table, &table.from, &table.to, there)?;
            if one_to_one {
                all.add(&table, &table.to, &table.from, back)?;
            }
        }
        Ok(all)
    }

    fn add(
        &mut self,
        table: &CodeTable,
        from: &str,
        to: &str,
        codes: BTreeMap<String, String>,
    ) -> Result<(), CodeTableError> {
        let key = (table.table.clone(), from.to_owned(), to.to_owned());
        let versions = self.tables.entry(key).or_default();
        let end = |day: Option<Date>| day.unwrap_or(Date::MAX);
        let overlapping = versions
            .iter()
            .find(|other| table.effective_from <= end(other.to) && other.from <= end(table.effective_to));
        if let Some(other) = overlapping {
            return Err(CodeTableError::Overlap {
                table: table.table.clone(),
                from: from.to_owned(),
                to: to.to_owned(),
                first: other.number,
                second: table.version,
            });
        }
        versions.push(Version {
            number: table.version,
            from: table.effective_from,
            to: table.effective_to,
            codes,
        });
        Ok(())
    }

    /// A translator for one message, by the tables in force on `day`.
    pub fn translator(&self, day: Date) -> Translator<'_> {
        Translator {
            tables: self,
            day,
            unmapped: Vec::new(),
        }
    }
}

/// A value that no table in force knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmapped {
    /// The table that was asked.
    pub table: String,
    /// Whose code it is.
    pub from: String,
    /// Whose code it should have become.
    pub to: String,
    /// The version in force; 0 if there is none.
    pub version: u32,
    /// The code.
    pub value: String,
    /// Where it stood in the message.
    pub path: String,
}

/// Translates the codes of one message and keeps what it could not.
#[derive(Debug)]
pub struct Translator<'a> {
    tables: &'a CodeTables,
    day: Date,
    unmapped: Vec<Unmapped>,
}

impl Translator<'_> {
    /// The translation of `value`, which stands at `path`; none, and a report, if the table in force does not know it.
    pub fn translate(&mut self, table: &str, from: &str, to: &str, value: &str, path: &str) -> Option<String> {
        let key = (table.to_owned(), from.to_owned(), to.to_owned());
        let in_force = self.tables.tables.get(&key).and_then(|versions| {
            versions
                .iter()
                .find(|version| version.from <= self.day && version.to.is_none_or(|last| self.day <= last))
        });
        if let Some(found) = in_force.and_then(|version| version.codes.get(value)) {
            return Some(found.clone());
        }
        self.unmapped.push(Unmapped {
            table: table.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            version: in_force.map_or(0, |version| version.number),
            value: value.to_owned(),
            path: path.to_owned(),
        });
        None
    }

    /// What could not be translated last.
    pub fn last_unmapped(&self) -> Option<&Unmapped> {
        self.unmapped.last()
    }

    /// What could not be translated.
    pub fn into_unmapped(self) -> Vec<Unmapped> {
        self.unmapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn table(text: &str) -> CodeTable {
        toml::from_str(text).unwrap()
    }

    fn gender(version: u32, from: &str, to: &str, rows: &str) -> CodeTable {
        table(&format!(
            "table = \"gender\"\nfrom = \"province\"\nto = \"register\"\nversion = {version}\neffective_from = {from:?}\n{to}\nstatus = \"unconfirmed\"\nsource = \"a test\"\n{rows}"
        ))
    }

    #[test]
    fn the_version_in_force_on_the_day_translates_both_ways() {
        let first = gender(
            1,
            "2025-07-01",
            "effective_to = \"2026-06-30\"",
            "row = [{ from = \"male\", to = \"1\" }]",
        );
        let second = gender(2, "2026-07-01", "", "row = [{ from = \"male\", to = \"M\" }]");
        let tables = CodeTables::new(vec![first, second]).unwrap();
        let on =
            |day, from: &str, to: &str, value: &str| tables.translator(day).translate("gender", from, to, value, "x");
        assert_eq!(
            on(date(2026, 6, 30), "province", "register", "male").as_deref(),
            Some("1")
        );
        assert_eq!(
            on(date(2026, 7, 1), "province", "register", "male").as_deref(),
            Some("M")
        );
        assert_eq!(
            on(date(2026, 7, 1), "register", "province", "M").as_deref(),
            Some("male")
        );
        assert_eq!(on(date(2025, 6, 30), "province", "register", "male"), None);
    }

    #[test]
    fn an_unknown_value_is_reported_with_its_place_and_never_guessed() {
        let tables = CodeTables::new(vec![gender(
            3,
            "2025-07-01",
            "",
            "row = [{ from = \"male\", to = \"1\" }]",
        )])
        .unwrap();
        let mut translator = tables.translator(date(2026, 11, 26));
        assert_eq!(
            translator.translate("gender", "province", "register", "Male", "data[0].GioiTinh"),
            None
        );
        let unmapped = translator.into_unmapped();
        assert_eq!(unmapped.len(), 1);
        assert_eq!((unmapped[0].version, unmapped[0].value.as_str()), (3, "Male"));
        assert_eq!(unmapped[0].path, "data[0].GioiTinh");
    }

    #[test]
    fn versions_that_overlap_and_codes_with_two_translations_are_refused() {
        let overlap = CodeTables::new(vec![gender(1, "2025-07-01", "", ""), gender(2, "2026-07-01", "", "")]);
        assert!(matches!(
            overlap,
            Err(CodeTableError::Overlap {
                first: 1,
                second: 2,
                ..
            })
        ));
        let twice = "row = [{ from = \"a\", to = \"1\" }, { from = \"a\", to = \"2\" }]";
        assert!(matches!(
            CodeTables::new(vec![gender(1, "2025-07-01", "", twice)]),
            Err(CodeTableError::Ambiguous { .. })
        ));
    }

    #[test]
    fn what_is_not_one_to_one_has_no_way_back() {
        let rows = "row = [{ from = \"a\", to = \"1\" }, { from = \"b\", to = \"1\" }]";
        let tables = CodeTables::new(vec![gender(1, "2025-07-01", "", rows)]).unwrap();
        assert_eq!(
            tables
                .translator(date(2026, 1, 1))
                .translate("gender", "register", "province", "1", "x"),
            None
        );
    }

    #[test]
    fn the_packs_tables_are_read_and_know_the_ten_states() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/code-tables");
        let tables = CodeTables::load(&folder).unwrap();
        let mut translator = tables.translator(date(2026, 11, 26));
        for code in 1..=10 {
            let code = code.to_string();
            let there = translator.translate("case-state", "province", "national-portal", &code, "state");
            assert_eq!(there.as_ref(), Some(&code), "the province keeps the national codes");
        }
        assert_eq!(
            translator
                .translate("object-kind", "province", "national-portal", "organisation", "k")
                .as_deref(),
            Some("2")
        );
        assert!(translator.into_unmapped().is_empty());
    }
}
