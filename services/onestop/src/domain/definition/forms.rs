//! Mẫu đơn, tờ khai điện tử of a procedure, and the judgement of what was filled in.

use serde::{Deserialize, Serialize};

use crate::domain::case::FiledComponent;
use crate::domain::pack::Procedure;

/// An e-form of a procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Our own code, unique in the procedure.
    pub code: String,
    /// JSON Schema of draft 2020-12 with Vietnamese labels, as text.
    pub schema: String,
}

/// Something that is wrong with an e-form that was filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormViolation {
    /// Place of the component in what was filed.
    pub index: usize,
    /// JSON pointer to the field.
    pub pointer: String,
    /// The rule that is broken.
    pub rule: String,
    /// In Vietnamese.
    pub vi: String,
    /// In English.
    pub en: String,
}

impl Procedure {
    /// An e-form by its code.
    pub fn form(&self, code: &str) -> Option<&Form> {
        self.forms.iter().find(|form| form.code == code)
    }

    /// Judges the e-forms among what was filed, and brings each to the form in which it is kept. Every violation is named.
    ///
    /// # Errors
    /// The violations. Nothing is changed then.
    pub fn check_forms(&self, filed: &mut [FiledComponent]) -> Result<(), Vec<FormViolation>> {
        let mut violations = Vec::new();
        let mut kept = Vec::new();
        for (index, component) in filed.iter().enumerate() {
            let Some(text) = &component.form_data else { continue };
            let form = self
                .component(&component.component_code)
                .and_then(|component| component.e_form.as_deref())
                .and_then(|code| self.form(code));
            let Some(form) = form else {
                violations.push(FormViolation {
                    index,
                    pointer: String::new(),
                    rule: "no_form".to_owned(),
                    vi: "thành phần này không có mẫu điện tử".to_owned(),
                    en: "this component has no e-form".to_owned(),
                });
                continue;
            };
            // A published form was read before; one that is not readable judges nothing, and so lets nothing through.
            let judged = match egov_forms::Form::read(&form.schema) {
                Ok(form) => form.check(text),
                Err(_) => Err(vec![egov_forms::Violation {
                    pointer: String::new(),
                    rule: "form".to_owned(),
                    vi: "mẫu điện tử của thủ tục không đọc được".to_owned(),
                    en: "the procedure's e-form cannot be read".to_owned(),
                }]),
            };
            match judged {
                Ok(line) => kept.push((index, line)),
                Err(found) => violations.extend(found.into_iter().map(|violation| FormViolation {
                    index,
                    pointer: violation.pointer,
                    rule: violation.rule,
                    vi: violation.vi,
                    en: violation.en,
                })),
            }
        }
        if !violations.is_empty() {
            return Err(violations);
        }
        for (index, line) in kept {
            if let Some(component) = filed.get_mut(index) {
                component.form_data = Some(line);
            }
        }
        Ok(())
    }
}
