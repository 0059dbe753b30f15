//! Đánh dấu: what is wrong with a single field or component of a case, said by who sent it back, shown until dealt with.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::pack::Procedure;

/// The fields of a case that can be marked, besides those of its electronic form.
pub const FIELDS: &[&str] = &[
    "owner.kind",
    "owner.full_name",
    "owner.personal_number",
    "owner.organisation_number",
    "owner.phone",
    "owner.email",
    "owner.address",
    "submitter.kind",
    "submitter.full_name",
    "submitter.personal_number",
    "submitter.organisation_number",
    "submitter.phone",
    "submitter.email",
    "submitter.address",
    "subject",
    "conditions",
    "channel",
    "fees",
];

/// What the path of a field of the electronic form begins with.
const FORM: &str = "form.";

/// What a mark is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marked {
    /// A field, by its path.
    Field(String),
    /// A component, by its code in the procedure.
    Component(String),
}

/// A mark that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMark {
    /// On what.
    pub on: Marked,
    /// What is wrong with it.
    pub text: String,
}

/// A mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Id.
    pub mark_id: Uuid,
    /// The case.
    pub case_id: Uuid,
    /// The task that was sent back with it.
    pub task_id: Uuid,
    /// On what.
    pub on: Marked,
    /// What is wrong with it.
    pub text: String,
    /// Who made it.
    pub author_id: Uuid,
    /// When.
    pub create_time: Timestamp,
    /// When it was dealt with.
    pub resolve_time: Option<Timestamp>,
    /// Who dealt with it.
    pub resolved_by: Option<Uuid>,
}

/// Paths that no field of a case has, and components that the procedure does not have: both empty if all marks are on something.
pub fn unknown_targets(procedure: &Procedure, marks: &[NewMark]) -> (Vec<String>, Vec<String>) {
    let (mut fields, mut components) = (Vec::new(), Vec::new());
    for mark in marks {
        match &mark.on {
            Marked::Field(path) if !is_field(path) => fields.push(path.clone()),
            Marked::Component(code) if procedure.component(code).is_none() => components.push(code.clone()),
            Marked::Field(_) | Marked::Component(_) => {}
        }
    }
    (fields, components)
}

/// Whether a case can have a field of this path.
fn is_field(path: &str) -> bool {
    FIELDS.contains(&path)
        || path.strip_prefix(FORM).is_some_and(|rest| {
            rest.split('.').all(|part| {
                !part.is_empty() && part.len() <= 80 && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            })
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_of_a_case_and_of_its_form_can_be_marked_and_nothing_else() {
        for path in ["owner.full_name", "subject", "form.con.ho_ten", "form.con.0.ngay_sinh"] {
            assert!(is_field(path), "{path}");
        }
        for path in [
            "",
            "owner",
            "owner.password",
            "form.",
            "form..x",
            "form.a b",
            "lookup_secret",
        ] {
            assert!(!is_field(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "\\PC{0,60}") {
            let known = is_field(&path);
            prop_assert!(!known || FIELDS.contains(&path.as_str()) || path.starts_with(FORM));
        }
    }
}
