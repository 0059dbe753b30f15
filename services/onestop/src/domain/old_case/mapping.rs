//! Ánh xạ: how the columns of an old system's export become the fields of a case.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::LineFault;

/// The fields that a line may fill. docs/import-cases.md explains each.
pub const FIELDS: [&str; 32] = [
    "key",
    "case_code",
    "procedure_code",
    "unit_code",
    "receiving_unit_code",
    "channel",
    "owner_kind",
    "owner_name",
    "owner_personal_number",
    "owner_organisation_number",
    "owner_phone",
    "owner_email",
    "owner_address",
    "owner_date_of_birth",
    "submitter_name",
    "submitter_personal_number",
    "submitter_phone",
    "submitter_email",
    "submitter_address",
    "submitter_date_of_birth",
    "subject",
    "state",
    "submit_time",
    "accept_time",
    "due_date",
    "paused_since",
    "decide_time",
    "return_time",
    "return_channel",
    "recipient_name",
    "result_code",
    "result_number",
];

/// Those without which there is no case.
const REQUIRED: [&str; 8] = [
    "key",
    "case_code",
    "procedure_code",
    "unit_code",
    "channel",
    "owner_name",
    "state",
    "submit_time",
];

/// Those that may be left out, and said to be, where they cannot be read.
const MAY_BE_LEFT_OUT: [&str; 10] = [
    "owner_personal_number",
    "owner_organisation_number",
    "owner_phone",
    "owner_email",
    "owner_date_of_birth",
    "submitter_personal_number",
    "submitter_phone",
    "submitter_email",
    "submitter_date_of_birth",
    "result_number",
];

/// A mapping file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The name of the old system. Its keys are taken once under this name.
    pub source: String,
    /// What separates the columns of a CSV file.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// How times and days are written, as strftime does, the first that fits; ISO 8601 always fits.
    #[serde(default)]
    pub times: Vec<String>,
    /// Our field: their column.
    pub columns: BTreeMap<String, String>,
    /// Our field: what it is where their column is missing or empty.
    #[serde(default)]
    pub defaults: BTreeMap<String, String>,
    /// Our field: their word, and ours. A word that is not among them is refused.
    #[serde(default)]
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// Fields that are left out, and said to be, where they cannot be read.
    #[serde(default)]
    pub left_out_if_unreadable: Vec<String>,
}

fn comma() -> char {
    ','
}

/// What is wrong with a mapping.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// It is not TOML of this shape.
    #[error("the mapping cannot be read: {0}")]
    Malformed(#[from] toml::de::Error),
    /// Everything that does not fit.
    #[error("the mapping does not fit: {}", .0.join("; "))]
    Wrong(Vec<String>),
}

impl Mapping {
    /// Reads a mapping file; everything that is wrong with it is said at once.
    pub fn from_toml(text: &str) -> Result<Self, MappingError> {
        let mapping: Self = toml::from_str(text)?;
        let mut wrong = Vec::new();
        if mapping.source.trim().is_empty() || mapping.source.len() > 80 {
            wrong.push("source must be a name of at most 80 bytes".to_owned());
        }
        if !mapping.delimiter.is_ascii() {
            wrong.push("delimiter must be an ASCII character".to_owned());
        }
        let named = (mapping
            .columns
            .keys()
            .chain(mapping.defaults.keys())
            .chain(mapping.values.keys()))
        .chain(&mapping.left_out_if_unreadable);
        for field in named {
            if !FIELDS.contains(&field.as_str()) {
                wrong.push(format!("there is no field {field}"));
            }
        }
        for field in REQUIRED {
            if !mapping.columns.contains_key(field) && !mapping.defaults.contains_key(field) {
                wrong.push(format!("nothing says what {field} is"));
            }
        }
        for field in ["key", "case_code"] {
            if mapping.defaults.contains_key(field) {
                wrong.push(format!("{field} differs from case to case: it has no default"));
            }
        }
        for field in &mapping.left_out_if_unreadable {
            if FIELDS.contains(&field.as_str()) && !MAY_BE_LEFT_OUT.contains(&field.as_str()) {
                wrong.push(format!("a case does not do without {field}"));
            }
        }
        if wrong.is_empty() {
            Ok(mapping)
        } else {
            wrong.sort();
            wrong.dedup();
            Err(MappingError::Wrong(wrong))
        }
    }

    /// The fields of a line, by our names, in our words; empty ones are not there.
    pub fn apply(&self, line: &BTreeMap<String, String>) -> Result<BTreeMap<&'static str, String>, Vec<LineFault>> {
        let (mut fields, mut faults) = (BTreeMap::new(), Vec::new());
        for field in FIELDS {
            let theirs = self.columns.get(field).and_then(|column| line.get(column));
            let given = theirs.map(|text| text.trim()).filter(|text| !text.is_empty());
            let value = match (given, self.values.get(field)) {
                (Some(word), Some(words)) => match words.get(word) {
                    Some(ours) => ours.clone(),
                    None => {
                        faults.push(LineFault::new(
                            field,
                            "ánh xạ không có từ này của hệ thống cũ",
                            "the mapping does not know this word of the old system",
                        ));
                        continue;
                    }
                },
                (Some(word), None) => word.to_owned(),
                (None, _) => match self.defaults.get(field) {
                    Some(default) => default.clone(),
                    None => continue,
                },
            };
            fields.insert(field, value);
        }
        if faults.is_empty() { Ok(fields) } else { Err(faults) }
    }

    /// Whether a field is left out where it cannot be read.
    pub(super) fn leaves_out(&self, field: &str) -> bool {
        self.left_out_if_unreadable.iter().any(|known| known == field)
    }
}
