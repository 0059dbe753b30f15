//! Mẫu đơn, tờ khai điện tử (e-forms): JSON Schema of draft 2020-12 with Vietnamese labels, and the violations of what is filled in.
//!
//! The only user of the crate `jsonschema`, so that nothing else compiles it. A form is strict in what it may be, because it
//! comes from an author and judges what a stranger sends:
//!
//! * draft 2020-12 and nothing else; references stay inside the form, nothing is fetched;
//! * every field has a label (`title`), which messages show instead of a path;
//! * patterns run on an engine without backtracking, so that no input takes long;
//! * form and data are bounded in size and depth.
//!
//! Messages name fields and limits, never what was filled in: they leave the process and stand in logs.
//!
//! What programs send each other is judged the same way ([`Form::of_programs`]): such a schema needs no labels, messages name its
//! fields as they are, and how much there is to judge by is bounded, since nobody waits for a person to fill it in.
//!
//! ```
//! let form = egov_forms::Form::read(r#"{
//!   "$schema": "https://json-schema.org/draft/2020-12/schema",
//!   "title": "Tờ khai", "type": "object", "required": ["ho_ten"],
//!   "properties": {"ho_ten": {"title": "Họ và tên", "type": "string", "minLength": 1}}
//! }"#).unwrap();
//! let violations = form.check(r#"{"ho_ten": ""}"#).unwrap_err();
//! assert_eq!(violations[0].pointer, "/ho_ten");
//! assert_eq!(violations[0].vi, "“Họ và tên” phải có ít nhất 1 ký tự");
//! assert_eq!(form.check(r#" {"ho_ten" : "An"} "#).unwrap(), r#"{"ho_ten":"An"}"#);
//! ```

mod labels;
mod read;
mod weight;
mod words;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

pub use read::{MOST_BYTES, MOST_DEPTH};
pub use weight::MOST_SCHEMAS;

/// The draft that forms are written in.
pub const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Most violations that are named of one filled-in form; whoever breaks more mends these first.
pub const MOST_VIOLATIONS: usize = 100;

/// Something that is wrong with a form itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {en}")]
pub struct FormFault {
    /// JSON pointer into the form; empty for the whole.
    pub pointer: String,
    /// What kind of fault.
    pub kind: FormFaultKind,
    /// In Vietnamese.
    pub vi: String,
    /// In English.
    pub en: String,
}

/// Kinds of faults of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FormFaultKind {
    /// It is no JSON, or too long or deep.
    Unreadable,
    /// It is no JSON Schema of draft 2020-12, or refers outside itself.
    Schema,
    /// A field has no label.
    Label,
}

/// Something that is wrong with what was filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer to the field; empty for the whole.
    pub pointer: String,
    /// The rule that is broken: the keyword of the form, e.g. `required`.
    pub rule: String,
    /// In Vietnamese, with the field's label.
    pub vi: String,
    /// In English, with the field's label.
    pub en: String,
}

/// A form that can be filled in.
#[derive(Debug)]
pub struct Form {
    schema: Value,
    validator: Validator,
    /// Whether people fill it in.
    labelled: bool,
}

impl Form {
    /// Reads a form, strictly.
    ///
    /// # Errors
    /// Everything that is wrong with it, as far as it can be read.
    pub fn read(text: &str) -> Result<Self, Vec<FormFault>> {
        Self::read_as(text, true)
    }

    /// Reads the schema of what programs send: without labels, references by JSON pointer only, and with references followed at most
    /// [`MOST_SCHEMAS`] schemas in it, so that none leads back to itself.
    ///
    /// # Errors
    /// Everything that is wrong with it, as far as it can be read.
    pub fn of_programs(text: &str) -> Result<Self, Vec<FormFault>> {
        Self::read_as(text, false)
    }

    fn read_as(text: &str, labelled: bool) -> Result<Self, Vec<FormFault>> {
        let schema = read::json(text).map_err(|(vi, en)| vec![fault(FormFaultKind::Unreadable, "", vi, en)])?;
        let mut faults = schema_faults(&schema);
        if !labelled {
            // Before it is compiled, which follows the references as well.
            faults.extend(weight::too_much(&schema));
            if !faults.is_empty() {
                return Err(faults);
            }
        }
        let built = jsonschema::draft202012::options()
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex())
            .build(&schema);
        let validator = match built {
            Ok(validator) => Some(validator),
            Err(error) if faults.is_empty() => {
                faults.push(fault(
                    FormFaultKind::Schema,
                    error.instance_path().as_str(),
                    "không phải là JSON Schema 2020-12 hợp lệ",
                    &format!("is no valid JSON Schema of draft 2020-12: {}", error.masked()),
                ));
                None
            }
            Err(_) => None,
        };
        if labelled {
            faults.extend(labels::missing(&schema));
        }
        match validator {
            Some(validator) if faults.is_empty() => Ok(Self {
                schema,
                validator,
                labelled,
            }),
            _ => Err(faults),
        }
    }

    /// Judges what was filled in, and gives it back as it is kept: one line of JSON, keys in order.
    ///
    /// # Errors
    /// Every violation, at most [`MOST_VIOLATIONS`].
    pub fn check(&self, text: &str) -> Result<String, Vec<Violation>> {
        let filled = read::json(text).map_err(|(vi, en)| {
            vec![Violation {
                pointer: String::new(),
                rule: "json".to_owned(),
                vi: vi.to_owned(),
                en: en.to_owned(),
            }]
        })?;
        let mut violations: Vec<Violation> = self
            .validator
            .iter_errors(&filled)
            .flat_map(|error| words::violations(&error, &self.schema, self.labelled))
            .collect();
        if violations.is_empty() {
            return Ok(filled.to_string());
        }
        violations.sort_by(|a, b| (&a.pointer, &a.rule, &a.en).cmp(&(&b.pointer, &b.rule, &b.en)));
        violations.dedup();
        violations.truncate(MOST_VIOLATIONS);
        Err(violations)
    }

    /// What the form is called.
    pub fn title(&self) -> &str {
        self.schema.get("title").and_then(Value::as_str).unwrap_or_default()
    }
}

fn fault(kind: FormFaultKind, pointer: &str, vi: &str, en: &str) -> FormFault {
    FormFault {
        pointer: pointer.to_owned(),
        kind,
        vi: vi.to_owned(),
        en: en.to_owned(),
    }
}

/// What can be said of a form before it is compiled.
fn schema_faults(schema: &Value) -> Vec<FormFault> {
    let mut faults = Vec::new();
    if schema.get("$schema").and_then(Value::as_str) != Some(DRAFT) {
        faults.push(fault(
            FormFaultKind::Schema,
            "/$schema",
            "phải là JSON Schema 2020-12",
            "must name draft 2020-12",
        ));
    }
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        faults.push(fault(
            FormFaultKind::Schema,
            "/type",
            "phải là một đối tượng (object)",
            "must be that of an object",
        ));
    }
    read::walk(schema, "", &mut |pointer, value| {
        let Some(object) = value.as_object() else { return };
        for keyword in ["$ref", "$dynamicRef"] {
            let outside = object
                .get(keyword)
                .and_then(Value::as_str)
                .is_some_and(|to| !to.starts_with('#'));
            if outside {
                faults.push(fault(
                    FormFaultKind::Schema,
                    &format!("{pointer}/{keyword}"),
                    "chỉ được tham chiếu trong cùng văn bản",
                    "a reference stays inside the document",
                ));
            }
        }
        // A sub-schema of another draft or with an address of its own would be judged by other rules.
        if !pointer.is_empty() && object.get("$id").is_some_and(Value::is_string) {
            faults.push(fault(
                FormFaultKind::Schema,
                &format!("{pointer}/$id"),
                "chỉ cả văn bản mới có $id",
                "only the document itself has an $id",
            ));
        }
    });
    faults
}

#[cfg(test)]
mod tests;
