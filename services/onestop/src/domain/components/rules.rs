//! Which register could answer for which component, and which result stands for it, as dated data: `deploy/packs/papers`.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Deserialize;

use crate::domain::pack::Fact;

/// The code of the store of this service, among registers.
pub const CITIZEN_STORE: &str = "citizen_store";

/// The code of the national population database (CSDL quốc gia về dân cư), among registers: the one that this service asks by machine.
pub const POPULATION: &str = "population";

/// Why a pack of papers is refused.
#[derive(Debug, thiserror::Error)]
pub enum PaperRulesError {
    /// The text is not TOML of this shape.
    #[error("the rules of papers cannot be read: {0}")]
    Malformed(#[from] toml::de::Error),
    /// It ends before it begins.
    #[error("effective_to is not after effective_from")]
    EndsFirst,
    /// Two registers have one code.
    #[error("register {0} stands twice")]
    Twice(String),
    /// An answer names a register that there is not.
    #[error("no register {0}")]
    RegisterUnknown(String),
    /// The store of this service must be described: it is counted with the registers.
    #[error("the register {CITIZEN_STORE} is missing")]
    StoreMissing,
}

/// One dated set of rules.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperRules {
    /// Its name.
    pub name: String,
    /// In force from this day.
    pub effective_from: Date,
    /// In force until this day (exclusive).
    #[serde(default)]
    pub effective_to: Option<Date>,
    /// Cơ sở dữ liệu.
    #[serde(default)]
    pub register: Vec<Register>,
    /// What they answer.
    #[serde(default)]
    pub answer: Vec<Answer>,
    /// Which results stand for components.
    #[serde(default)]
    pub stands_for: Vec<StandsFor>,
}

/// Cơ sở dữ liệu: a register that knows facts which papers show.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// The connection by which it is asked.
    pub connection: String,
    /// Whether that connection is there; of [`POPULATION`] the configuration says it, not the pack ([`Self::is_connected`]).
    pub connected: bool,
    /// How it is established.
    pub fact: Fact,
}

impl Register {
    /// Whether the connection is there: of the population database, if this installation has one to it.
    pub fn is_connected(&self, to_population: bool) -> bool {
        if self.code == POPULATION {
            to_population
        } else {
            self.connected
        }
    }
}

/// A component for which a register could answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Code of the register.
    pub register: String,
    /// Code of the component.
    pub component: String,
    /// Of these procedures; empty: of any.
    #[serde(default)]
    pub procedures: Vec<String>,
    /// How it is established.
    pub fact: Fact,
}

/// A result that shows what a component shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandsFor {
    /// Mã kết quả.
    pub result: String,
    /// Code of the component.
    pub component: String,
    /// Of these procedures; empty: of any.
    #[serde(default)]
    pub procedures: Vec<String>,
    /// How it is established.
    pub fact: Fact,
}

impl PaperRules {
    /// Reads a pack.
    ///
    /// # Errors
    /// Text of another shape, a period that ends before it begins, registers that stand twice or not at all.
    pub fn from_toml(text: &str) -> Result<Self, PaperRulesError> {
        let rules: Self = toml::from_str(text)?;
        if rules.effective_to.is_some_and(|end| end <= rules.effective_from) {
            return Err(PaperRulesError::EndsFirst);
        }
        let mut codes = BTreeSet::new();
        for register in &rules.register {
            if !codes.insert(register.code.as_str()) {
                return Err(PaperRulesError::Twice(register.code.clone()));
            }
        }
        if !codes.contains(CITIZEN_STORE) {
            return Err(PaperRulesError::StoreMissing);
        }
        match rules
            .answer
            .iter()
            .find(|answer| !codes.contains(answer.register.as_str()))
        {
            Some(answer) => Err(PaperRulesError::RegisterUnknown(answer.register.clone())),
            None => Ok(rules),
        }
    }

    /// True if it is in force on this day.
    pub fn in_force_on(&self, day: Date) -> bool {
        self.effective_from <= day && self.effective_to.is_none_or(|end| day < end)
    }

    /// A register by its code.
    pub fn register(&self, code: &str) -> Option<&Register> {
        self.register.iter().find(|register| register.code == code)
    }

    /// The registers that could answer for a component of a procedure, each once, with how that is established.
    pub fn answering(&self, procedure_code: &str, component_code: &str) -> Vec<(&Register, &Fact)> {
        let mut found: Vec<(&Register, &Fact)> = Vec::new();
        for answer in &self.answer {
            let applies = answer.component == component_code && is_of(&answer.procedures, procedure_code);
            let Some(register) = self.register(&answer.register).filter(|_| applies) else {
                continue;
            };
            if !found.iter().any(|(known, _)| known.code == register.code) {
                found.push((register, &answer.fact));
            }
        }
        found
    }

    /// What says that a result stands for a component of a procedure.
    pub fn standing(&self, result_code: &str, procedure_code: &str, component_code: &str) -> Option<&StandsFor> {
        self.stands_for.iter().find(|rule| {
            rule.result == result_code && rule.component == component_code && is_of(&rule.procedures, procedure_code)
        })
    }
}

fn is_of(procedures: &[String], code: &str) -> bool {
    procedures.is_empty() || procedures.iter().any(|procedure| procedure == code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::pack::{Procedure, Profile};

    const PACK: &str = include_str!("../../../../../deploy/packs/papers/papers-2026.toml");

    fn shipped() -> PaperRules {
        PaperRules::from_toml(PACK).unwrap()
    }

    #[test]
    fn the_pack_of_the_product_names_registers_and_production_relies_on_none_of_it() {
        let rules = shipped();
        let codes: Vec<&str> = rules
            .answering("1.001193", "giay_to_tuy_than")
            .into_iter()
            .map(|(register, _)| register.code.as_str())
            .collect();
        assert_eq!(codes, ["population"]);
        let facts = rules.answer.iter().map(|answer| &answer.fact);
        let facts = facts.chain(rules.stands_for.iter().map(|rule| &rule.fact));
        assert!(facts.clone().count() > 5);
        assert_eq!(facts.filter(|fact| fact.is_settled(Profile::Production)).count(), 0);
        assert!(rules.in_force_on(jiff::civil::date(2026, 11, 27)));
    }

    #[test]
    fn what_the_pack_of_the_product_names_are_components_and_results_of_shipped_procedures() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/procedures");
        let procedures: Vec<Procedure> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .map(|path| Procedure::from_toml(&std::fs::read_to_string(path).unwrap()).unwrap())
            .collect();
        let rules = shipped();
        let has = |of: &[String], code: &str| {
            let of_it = |procedure: &&Procedure| is_of(of, &procedure.code.to_string());
            procedures
                .iter()
                .filter(of_it)
                .any(|procedure| procedure.component(code).is_some())
        };
        for answer in &rules.answer {
            assert!(has(&answer.procedures, &answer.component), "{answer:?}");
        }
        for rule in &rules.stands_for {
            assert!(has(&rule.procedures, &rule.component), "{rule:?}");
            let known = procedures
                .iter()
                .any(|procedure| procedure.result(&rule.result).is_some());
            assert!(known, "{rule:?}");
        }
    }

    #[test]
    fn the_population_database_is_connected_if_the_installation_is_and_others_as_the_pack_says() {
        let rules = shipped();
        for (code, without, with) in [
            (POPULATION, false, true),
            (CITIZEN_STORE, true, true),
            ("land", false, false),
        ] {
            let register = rules.register(code).unwrap();
            assert_eq!(
                (register.is_connected(false), register.is_connected(true)),
                (without, with),
                "{code}"
            );
        }
    }

    #[test]
    fn a_pack_that_contradicts_itself_is_refused() {
        let broken = [
            PACK.replacen("effective_from", "effective_to = \"2020-01-01\"\neffective_from", 1),
            PACK.replace("code = \"citizen_store\"", "code = \"store\""),
            PACK.replacen("register = \"population\"", "register = \"nowhere\"", 1),
            PACK.replace("code = \"civil_status\"", "code = \"population\""),
        ];
        for text in broken {
            assert!(text != PACK && PaperRules::from_toml(&text).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_of_the_pack_fall_over(text in "\\PC{0,400}", at in 0..4_000_usize) {
            let _ = PaperRules::from_toml(&text);
            let cut = (0..=at.min(PACK.len())).rev().find(|place| PACK.is_char_boundary(*place)).unwrap_or(0);
            let _ = PaperRules::from_toml(&format!("{}{text}", &PACK[..cut]));
        }
    }
}
