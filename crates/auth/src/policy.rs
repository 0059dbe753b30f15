//! Who may do what, as text (`deploy/policies/*.toml`).
//!
//! The format is small on purpose and read strictly: whatever is not understood stops the start.
//!
//! ```toml
//! [[role]]
//! name = "one_stop_clerk"
//! title = "Công chức bộ phận một cửa"
//! title_en = "One-stop clerk"     # optional
//! delegable = true                # optional: may be delegated for a time (uỷ quyền)
//! provincial = true               # optional: given only by who administers the whole province
//!
//! [[grant]]
//! role = "one_stop_clerk"
//! permissions = ["onestop.cases.read", "onestop.cases.accept"]
//! over = "subtree"
//! when = ["purpose_given"]
//!
//! [[purpose]]
//! code = "case_handling"
//! title = "Giải quyết hồ sơ thủ tục hành chính"
//! title_en = "Handling of a case"
//! legal_basis = "Nghị định 118/2025/NĐ-CP"
//! status = "confirmed"
//! effective_from = 2025-07-01
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use jiff::civil::Date;
use serde::Deserialize;

use crate::Assurance;
use crate::purpose::{Purpose, PurposeText, Purposes};

/// The roles that follow from the kind of caller alone. They are held at no unit and never taken from a token.
pub mod built_in {
    /// Every official.
    pub const STAFF: &str = "staff";
    /// Every citizen.
    pub const CITIZEN: &str = "citizen";
    /// Every system.
    pub const SYSTEM: &str = "system";
    /// Every system that acts for a citizen.
    pub const CITIZEN_AGENT: &str = "citizen_agent";

    /// All of them.
    pub const ALL: [&str; 4] = [STAFF, CITIZEN, SYSTEM, CITIZEN_AGENT];
}

/// Which rows a grant reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The unit where the role is held and everything below it.
    Subtree,
    /// The unit where the role is held, without what lies below.
    Unit,
    /// Every row.
    All,
    /// No row by its unit: only those that the grant's conditions name, or none at all, for an act that is not about a
    /// row that exists.
    None,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subtree => "subtree",
            Self::Unit => "unit",
            Self::All => "all",
            Self::None => "none",
        })
    }
}

/// What must hold beside the role. The set is closed: a condition is code, a policy combines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// The row belongs to the caller, or to the citizen for whom a system acts.
    OwnRecord,
    /// The row is assigned to the caller.
    AssignedCase,
    /// The person behind the call was identified at least this surely.
    AssuranceAtLeast(Assurance),
    /// The caller says for what purpose it asks.
    PurposeGiven,
}

impl Condition {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "own_record" => Some(Self::OwnRecord),
            "assigned_case" => Some(Self::AssignedCase),
            "purpose_given" => Some(Self::PurposeGiven),
            _ => match text.strip_prefix("assurance:").and_then(Assurance::from_word) {
                Some(Assurance::None) | None => None,
                Some(level) => Some(Self::AssuranceAtLeast(level)),
            },
        }
    }

    /// Whether the condition is about the row, not about the caller.
    pub const fn names_rows(self) -> bool {
        matches!(self, Self::OwnRecord | Self::AssignedCase)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnRecord => f.write_str("own_record"),
            Self::AssignedCase => f.write_str("assigned_case"),
            Self::AssuranceAtLeast(level) => write!(f, "assurance:{level}"),
            Self::PurposeGiven => f.write_str("purpose_given"),
        }
    }
}

/// A role, as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The word in tokens and grants.
    pub name: String,
    /// What people call it, in Vietnamese.
    pub title: String,
    /// What people call it, in English; empty if nobody wrote it.
    pub title_en: String,
    /// Whether who holds it may delegate it to somebody else for a time (uỷ quyền).
    pub delegable: bool,
    /// Whether only who administers the whole province gives it: what it permits reaches beyond any unit.
    pub provincial: bool,
}

/// One grant: who has the role may do this, over these rows, when all of this holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// Over which rows.
    pub over: Over,
    /// What must hold, all of it. At most one condition names rows, and then `over` is [`Over::None`].
    pub when: Vec<Condition>,
    /// Where it stands: file and ordinal number.
    pub origin: String,
}

/// Every role and every grant of a service.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    roles: BTreeMap<String, Role>,
    grants: Vec<Grant>,
    by_permission: HashMap<String, Vec<usize>>,
    purposes: Purposes,
}

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct PolicyError {
    /// The file, and the entry in it.
    pub place: String,
    /// What is wrong and what is allowed instead.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    #[serde(default)]
    role: Vec<RoleText>,
    #[serde(default)]
    grant: Vec<GrantText>,
    #[serde(default)]
    purpose: Vec<PurposeText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleText {
    name: String,
    title: String,
    #[serde(default)]
    title_en: String,
    #[serde(default)]
    delegable: bool,
    #[serde(default)]
    provincial: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantText {
    role: String,
    permissions: Vec<String>,
    over: Over,
    #[serde(default)]
    when: Vec<String>,
}

impl Policies {
    /// Reads a file, or every `*.toml` of a folder in the order of their names.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let unreadable = |path: &Path, error: std::io::Error| PolicyError {
            place: path.display().to_string(),
            problem: format!("cannot be read: {error}"),
        };
        let mut files = vec![path.to_owned()];
        if path.is_dir() {
            files.clear();
            for entry in std::fs::read_dir(path).map_err(|error| unreadable(path, error))? {
                let file = entry.map_err(|error| unreadable(path, error))?.path();
                if file.extension().is_some_and(|extension| extension == "toml") {
                    files.push(file);
                }
            }
            files.sort();
        }
        let mut texts = Vec::with_capacity(files.len());
        for file in files {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
            let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, error))?;
            texts.push((name.unwrap_or_default(), text));
        }
        let texts: Vec<(&str, &str)> = texts
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        Self::from_toml(&texts)
    }

    /// Reads policies from named texts. Roles declared in one text can be granted something in another.
    pub fn from_toml(texts: &[(&str, &str)]) -> Result<Self, PolicyError> {
        let mut policies = Self::default();
        let mut parsed = Vec::new();
        for (name, text) in texts {
            let text: PolicyText = toml::from_str(text).map_err(|error| PolicyError {
                place: (*name).to_owned(),
                problem: error.to_string(),
            })?;
            for role in text.role {
                policies.declare(name, role)?;
            }
            for purpose in text.purpose {
                policies.purposes.declare(name, purpose)?;
            }
            parsed.push((*name, text.grant));
        }
        for (name, grants) in parsed {
            for (index, grant) in grants.into_iter().enumerate() {
                policies.grant(format!("{name}, grant {}", index + 1), grant)?;
            }
        }
        Ok(policies)
    }

    fn declare(&mut self, file: &str, role: RoleText) -> Result<(), PolicyError> {
        let place = format!("{file}, role {:?}", role.name);
        if !is_word(&role.name) {
            return refuse(place, "a role's name is lower-case letters, digits and _".to_owned());
        }
        if built_in::ALL.contains(&role.name.as_str()) {
            return refuse(
                place,
                "the role is built in and follows from the kind of caller".to_owned(),
            );
        }
        if role.title.trim().is_empty() {
            return refuse(place, "the title is empty".to_owned());
        }
        let role = Role {
            name: role.name,
            title: role.title,
            title_en: role.title_en.trim().to_owned(),
            delegable: role.delegable,
            provincial: role.provincial,
        };
        match self.roles.insert(role.name.clone(), role.clone()) {
            Some(earlier) if earlier != role => refuse(
                place,
                format!(
                    "the role was declared before otherwise, as {:?}: both must say the same",
                    earlier.title
                ),
            ),
            _ => Ok(()),
        }
    }

    fn grant(&mut self, origin: String, text: GrantText) -> Result<(), PolicyError> {
        let is_built_in = built_in::ALL.contains(&text.role.as_str());
        if !is_built_in && !self.roles.contains_key(&text.role) {
            let known: Vec<_> = self.roles.keys().map(String::as_str).chain(built_in::ALL).collect();
            return refuse(
                origin,
                format!("unknown role {:?}; known are {}", text.role, known.join(", ")),
            );
        }
        if text.permissions.is_empty() {
            return refuse(origin, "no permission is granted".to_owned());
        }
        let mut seen = BTreeSet::new();
        for permission in &text.permissions {
            if !is_permission(permission) {
                return refuse(
                    origin,
                    format!(
                        "{permission:?} is not a permission: two or more lower-case words with dots between, no wildcard"
                    ),
                );
            }
            if !seen.insert(permission) {
                return refuse(origin, format!("{permission:?} is listed twice"));
            }
        }
        let mut when = Vec::with_capacity(text.when.len());
        for word in &text.when {
            let Some(condition) = Condition::parse(word) else {
                return refuse(
                    origin,
                    format!(
                        "unknown condition {word:?}; known are own_record, assigned_case, purpose_given, assurance:low, \
                         assurance:substantial, assurance:high"
                    ),
                );
            };
            if when.contains(&condition) {
                return refuse(origin, format!("{word:?} is listed twice"));
            }
            when.push(condition);
        }
        let naming_rows = when.iter().filter(|condition| condition.names_rows()).count();
        if naming_rows > 1 {
            return refuse(
                origin,
                "own_record and assigned_case in one grant; write one grant for each".to_owned(),
            );
        }
        if naming_rows == 1 && text.over != Over::None {
            return refuse(
                origin,
                format!(
                    "own_record and assigned_case name the rows by themselves: over must be \"none\", not {:?}",
                    text.over.to_string()
                ),
            );
        }
        if is_built_in && matches!(text.over, Over::Subtree | Over::Unit) {
            return refuse(
                origin,
                format!(
                    "the built-in role {:?} is held at no unit: over must be \"all\" or \"none\", not {:?}",
                    text.role,
                    text.over.to_string()
                ),
            );
        }

        let index = self.grants.len();
        for permission in &text.permissions {
            self.by_permission.entry(permission.clone()).or_default().push(index);
        }
        self.grants.push(Grant {
            role: text.role,
            permissions: text.permissions,
            over: text.over,
            when,
            origin,
        });
        Ok(())
    }

    /// The declared roles, by name. Built-in roles are not among them.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// Whether a role of this name is declared, so that it can be given to an account.
    pub fn declares(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    /// A declared role.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    /// The declared purposes of reading. If there are none, any text counts as a purpose.
    pub fn purposes(&self) -> &Purposes {
        &self.purposes
    }

    /// The purpose of this code as it was in force on a day (mục đích xử lý dữ liệu).
    pub fn purpose(&self, code: &str, on: Date) -> Option<&Purpose> {
        self.purposes.on(code, on)
    }

    /// Every grant, in the order of the texts.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// The grants that give `permission`.
    pub fn giving(&self, permission: &str) -> impl Iterator<Item = &Grant> {
        let indexes = self.by_permission.get(permission).map_or(&[][..], Vec::as_slice);
        indexes.iter().filter_map(|&index| self.grants.get(index))
    }

    /// Every permission that some grant gives.
    pub fn permissions(&self) -> BTreeSet<&str> {
        self.by_permission.keys().map(String::as_str).collect()
    }

    /// Checks that every granted permission is one of `known`, those that the contracts name: a grant of anything else
    /// is a spelling mistake that would go unnoticed.
    pub fn check_permissions(&self, known: &BTreeSet<&str>) -> Result<(), PolicyError> {
        for grant in &self.grants {
            for permission in &grant.permissions {
                if !known.contains(permission.as_str()) {
                    return refuse(
                        grant.origin.clone(),
                        format!("no contract knows the permission {permission:?}"),
                    );
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn refuse<T>(place: String, problem: String) -> Result<T, PolicyError> {
    Err(PolicyError { place, problem })
}

/// `[a-z][a-z0-9_]*`
pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_permission(text: &str) -> bool {
    text.contains('.') && text.split('.').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "[[role]]\nname = \"clerk\"\ntitle = \"Công chức bộ phận một cửa\"\n";

    fn problem(grant: &str) -> String {
        let text = format!("{ROLE}[[grant]]\n{grant}");
        Policies::from_toml(&[("onestop.toml", &text)]).unwrap_err().to_string()
    }

    #[test]
    fn a_grant_is_found_by_each_of_its_permissions() {
        let text = format!(
            "{ROLE}[[grant]]\nrole = \"clerk\"\npermissions = [\"a.b\", \"a.c\"]\nover = \"subtree\"\n\
             when = [\"purpose_given\", \"assurance:substantial\"]\n"
        );
        let policies = Policies::from_toml(&[("onestop.toml", &text)]).unwrap();
        let found: Vec<_> = policies.giving("a.c").collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].over, Over::Subtree);
        assert_eq!(
            found[0].when,
            [
                Condition::PurposeGiven,
                Condition::AssuranceAtLeast(Assurance::Substantial)
            ]
        );
        assert_eq!(found[0].origin, "onestop.toml, grant 1");
        assert_eq!(policies.permissions(), BTreeSet::from(["a.b", "a.c"]));
        assert_eq!(policies.giving("a.d").count(), 0);
        assert!(policies.declares("clerk") && !policies.declares("citizen"));
    }

    #[test]
    fn a_role_is_delegable_only_if_its_text_says_so() {
        let text = format!(
            "{ROLE}[[role]]\nname = \"leader\"\ntitle = \"Lãnh đạo\"\ntitle_en = \"Leader\"\ndelegable = true\n"
        );
        let policies = Policies::from_toml(&[("a.toml", &text)]).unwrap();
        assert!(!policies.role("clerk").unwrap().delegable);
        let leader = policies.role("leader").unwrap();
        assert!(leader.delegable);
        assert_eq!(leader.title_en, "Leader");
        let otherwise = "[[role]]\nname = \"leader\"\ntitle = \"Lãnh đạo\"\n";
        assert!(Policies::from_toml(&[("a.toml", &text), ("b.toml", otherwise)]).is_err());
    }

    #[test]
    fn roles_of_one_file_can_be_granted_something_in_another() {
        let grant = "[[grant]]\nrole = \"clerk\"\npermissions = [\"a.b\"]\nover = \"unit\"\nwhen = []\n";
        assert!(Policies::from_toml(&[("grants.toml", grant), ("roles.toml", ROLE)]).is_ok());
        assert!(Policies::from_toml(&[("a.toml", ROLE), ("b.toml", ROLE)]).is_ok());
        let other = ROLE.replace("Công chức", "Viên chức");
        let error = Policies::from_toml(&[("a.toml", ROLE), ("b.toml", &other)]).unwrap_err();
        assert!(error.to_string().contains("b.toml, role \"clerk\""), "{error}");
    }

    #[test]
    fn whatever_is_not_understood_is_refused_with_its_place() {
        let rest = "permissions = [\"a.b\"]\nover = \"subtree\"\nwhen = []\n";
        for (grant, expected) in [
            (format!("role = \"clark\"\n{rest}"), "unknown role \"clark\"; known are clerk, staff"),
            (
                "role = \"clerk\"\npermissions = [\"a.b\"]\nover = \"all\"\nwhen = [\"weekday\"]\n".to_owned(),
                "unknown condition \"weekday\"; known are own_record",
            ),
            (
                "role = \"clerk\"\npermissions = [\"a.b\"]\nover = \"all\"\nwhen = [\"assurance:2\"]\n".to_owned(),
                "unknown condition \"assurance:2\"",
            ),
            (
                "role = \"clerk\"\npermissions = [\"a.b\"]\nover = \"all\"\nwhen = [\"assurance:none\"]\n".to_owned(),
                "unknown condition",
            ),
            (format!("role = \"clerk\"\nunless = []\n{rest}"), "unknown field `unless`"),
            (
                "role = \"clerk\"\npermissions = [\"a.b\"]\nover = \"province\"\nwhen = []\n".to_owned(),
                "unknown variant `province`",
            ),
            (
                "role = \"clerk\"\npermissions = [\"a.b\"]\nwhen = []\n".to_owned(),
                "missing field `over`",
            ),
            (
                "role = \"clerk\"\npermissions = []\nover = \"all\"\nwhen = []\n".to_owned(),
                "no permission is granted",
            ),
            (
                "role = \"clerk\"\npermissions = [\"a.*\"]\nover = \"all\"\nwhen = []\n".to_owned(),
                "no wildcard",
            ),
            (
                "role = \"clerk\"\npermissions = [\"a.b\", \"a.b\"]\nover = \"all\"\nwhen = []\n".to_owned(),
                "\"a.b\" is listed twice",
            ),
            (
                "role = \"clerk\"\npermissions = [\"a.b\"]\nover = \"all\"\nwhen = [\"purpose_given\", \"purpose_given\"]\n".to_owned(),
                "listed twice",
            ),
            (
                "role = \"clerk\"\npermissions = [\"a.b\"]\nover = \"subtree\"\nwhen = [\"assigned_case\"]\n".to_owned(),
                "over must be \"none\", not \"subtree\"",
            ),
            (
                "role = \"clerk\"\npermissions = [\"a.b\"]\nover = \"none\"\nwhen = [\"own_record\", \"assigned_case\"]\n".to_owned(),
                "one grant for each",
            ),
            (format!("role = \"citizen\"\n{rest}"), "is held at no unit"),
        ] {
            let problem = problem(&grant);
            assert!(problem.contains(expected), "{problem}");
            assert!(problem.contains("onestop.toml"), "{problem}");
        }
    }

    #[test]
    fn roles_are_declared_with_care() {
        for (text, expected) in [
            ("[[role]]\nname = \"Clerk\"\ntitle = \"x\"\n", "lower-case letters"),
            ("[[role]]\nname = \"citizen\"\ntitle = \"x\"\n", "built in"),
            ("[[role]]\nname = \"clerk\"\ntitle = \" \"\n", "title is empty"),
            ("[[role]]\nname = \"clerk\"\n", "missing field `title`"),
            ("[[rule]]\n", "unknown field `rule`"),
            ("role = 3\n", "invalid type"),
        ] {
            let error = Policies::from_toml(&[("x.toml", text)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_permission_that_no_contract_knows_is_found() {
        let text = format!("{ROLE}[[grant]]\nrole = \"clerk\"\npermissions = [\"a.b\"]\nover = \"unit\"\nwhen = []\n");
        let policies = Policies::from_toml(&[("x.toml", &text)]).unwrap();
        assert_eq!(policies.check_permissions(&BTreeSet::from(["a.b", "a.c"])), Ok(()));
        let error = policies.check_permissions(&BTreeSet::from(["a.c"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "x.toml, grant 1: no contract knows the permission \"a.b\""
        );
    }
}
