//! `cargo egov new service NAME`: a service in the house's shape, from templates in this binary.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use clap::Args;
use egov_database::{SHARED_MIGRATION, SHARED_MIGRATION_2};

use crate::problem::Problem;
use crate::test::workspace;
use crate::{prepare, say};

/// The longest name: it becomes part of names of database roles.
const LONGEST: usize = 32;

/// `cargo egov new service`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Its name in lower-case letters, digits and hyphens: `civil-registry`.
    name: String,
    /// Only write the files; `cargo egov db prepare NAME` is run later.
    #[arg(long)]
    no_prepare: bool,
}

/// One file: where it goes, and its template.
type Template = (&'static str, &'static str);

/// The files, with the placeholders that stand in their paths too.
const FILES: [Template; 20] = [
    (
        "services/{{kebab}}/Cargo.toml",
        include_str!("templates/Cargo.toml.tmpl"),
    ),
    ("services/{{kebab}}/build.rs", include_str!("templates/build.rs.tmpl")),
    ("services/{{kebab}}/sqlx.toml", include_str!("templates/sqlx.toml.tmpl")),
    ("services/{{kebab}}/README.md", include_str!("templates/README.md.tmpl")),
    (
        "services/{{kebab}}/migrations/0003_{{snake}}.sql",
        include_str!("templates/migration.sql.tmpl"),
    ),
    ("services/{{kebab}}/src/main.rs", include_str!("templates/main.rs.tmpl")),
    ("services/{{kebab}}/src/lib.rs", include_str!("templates/lib.rs.tmpl")),
    (
        "services/{{kebab}}/src/config.rs",
        include_str!("templates/config.rs.tmpl"),
    ),
    (
        "services/{{kebab}}/src/error.rs",
        include_str!("templates/error.rs.tmpl"),
    ),
    (
        "services/{{kebab}}/src/api/mod.rs",
        include_str!("templates/api.rs.tmpl"),
    ),
    (
        "services/{{kebab}}/src/domain/mod.rs",
        include_str!("templates/domain_mod.rs.tmpl"),
    ),
    (
        "services/{{kebab}}/src/domain/entry.rs",
        include_str!("templates/domain_entry.rs.tmpl"),
    ),
    (
        "services/{{kebab}}/src/store/mod.rs",
        include_str!("templates/store_mod.rs.tmpl"),
    ),
    (
        "services/{{kebab}}/src/store/entries.rs",
        include_str!("templates/store_entries.rs.tmpl"),
    ),
    (
        "services/{{kebab}}/src/operations/mod.rs",
        include_str!("templates/operations_mod.rs.tmpl"),
    ),
    (
        "services/{{kebab}}/src/operations/create_entry.rs",
        include_str!("templates/create_entry.rs.tmpl"),
    ),
    (
        "services/{{kebab}}/src/operations/get_entry.rs",
        include_str!("templates/get_entry.rs.tmpl"),
    ),
    (
        "services/{{kebab}}/tests/it/main.rs",
        include_str!("templates/test.rs.tmpl"),
    ),
    (
        "proto/egov/{{snake}}/v1/{{snake}}_service.proto",
        include_str!("templates/service.proto.tmpl"),
    ),
    (
        "deploy/policies/{{kebab}}.toml",
        include_str!("templates/policy.toml.tmpl"),
    ),
];

/// The forms of a service's name.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    kebab: String,
    snake: String,
    pascal: String,
}

impl Names {
    fn of(name: &str) -> anyhow::Result<Self> {
        let word = |word: &str| {
            let mut letters = word.chars();
            letters.next().is_some_and(|first| first.is_ascii_lowercase())
                && letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        };
        if name.len() > LONGEST || !name.split('-').all(word) {
            return Err(Problem::new(
                format!("{name} is no name for a service"),
                format!("use lower-case words with hyphens between them, at most {LONGEST} letters: civil-registry"),
            )
            .into());
        }
        let capital = |word: &str| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
                .collect::<String>()
        };
        Ok(Self {
            kebab: name.to_owned(),
            snake: name.replace('-', "_"),
            pascal: name.split('-').map(capital).collect(),
        })
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{{kebab}}", &self.kebab)
            .replace("{{snake}}", &self.snake)
            .replace("{{Pascal}}", &self.pascal)
            .replace("{{UPPER}}", &self.snake.to_uppercase())
    }
}

/// `cargo egov new service`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let names = Names::of(&arguments.name)?;
    let workspace = workspace()?;
    for file in write(&workspace, &names)? {
        say::line(file);
    }
    format(&workspace, &names);
    if !arguments.no_prepare {
        say::note("preparing the metadata of its queries …");
        Box::pin(prepare::run(prepare::Arguments::of(&names.kebab))).await?;
    }
    say::line(format!("\nTry it: cargo test -p egov-{}", names.kebab));
    Ok(())
}

/// Writes the files, unless there is something by that name already. Gives their paths.
fn write(workspace: &Path, names: &Names) -> anyhow::Result<Vec<String>> {
    let shared = [
        ("services/{{kebab}}/migrations/0001_shared.sql", SHARED_MIGRATION),
        ("services/{{kebab}}/migrations/0002_ledger.sql", SHARED_MIGRATION_2),
    ];
    let files: Vec<(String, &str)> = FILES
        .iter()
        .chain(&shared)
        .map(|(path, template)| (names.fill(path), *template))
        .collect();
    for taken in [
        format!("services/{}", names.kebab),
        format!("proto/egov/{}", names.snake),
        format!("crates/{}", names.kebab),
    ] {
        if workspace.join(&taken).exists() {
            return Err(Problem::new(format!("{taken} is there already"), "choose another name").into());
        }
    }
    for (path, template) in &files {
        let path = workspace.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        // The shared schema is copied word for word.
        let text = if [SHARED_MIGRATION, SHARED_MIGRATION_2].contains(template) {
            (*template).to_owned()
        } else {
            names.fill(template)
        };
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Breaks lines where the length of the name asks for it. Without rustfmt the code compiles just the same.
fn format(workspace: &Path, names: &Names) {
    let package = format!("egov-{}", names.kebab);
    let formatted = Command::new("cargo")
        .args(["fmt", "--package", &package])
        .current_dir(workspace)
        .output();
    if !formatted.is_ok_and(|output| output.status.success()) {
        say::note("cargo fmt is not here; run it before you check the service in");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_all_its_forms() {
        let names = Names::of("civil-registry").unwrap();
        assert_eq!(
            names.fill("{{kebab}} {{snake}} {{Pascal}} {{UPPER}}"),
            "civil-registry civil_registry CivilRegistry CIVIL_REGISTRY"
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in [
            "",
            "Civil",
            "civil_registry",
            "-civil",
            "civil-",
            "1st",
            "a/b",
            "../x",
            "đất-đai",
        ] {
            assert!(Names::of(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_service_is_written_whole_and_never_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::of("civil-registry").unwrap();
        let written = write(folder.path(), &names).unwrap();
        assert_eq!(written.len(), FILES.len() + 2);
        for file in &written {
            let text = fs::read_to_string(folder.path().join(file)).unwrap();
            assert!(!text.contains("{{"), "a placeholder is left in {file}");
        }
        assert!(
            write(folder.path(), &names)
                .unwrap_err()
                .to_string()
                .contains("is there already")
        );
    }
}
