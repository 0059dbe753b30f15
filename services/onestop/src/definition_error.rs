//! Why something about definitions is refused: the table to code, reason and words, beside that of [`crate::error`].

use egov_fault::{Code, Fault, Violation};
use egov_proto::egov::onestop::v1::ErrorReason;

use crate::domain::definition::forms::FormViolation;
use crate::domain::definition::lint::{Finding, Severity};
use crate::domain::definition::outcome_mapping::OutcomeFault;
use crate::domain::definition::ways::WrongShape;
use crate::error::words;

/// Why an operation on definitions, or by one, is refused.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// A row of the eligibility table says so.
    #[error("not eligible by row {row}")]
    NotEligible {
        /// Its code.
        row: String,
        /// What the applicant is told.
        text: String,
        /// Điều, khoản.
        article: String,
    },
    /// Components that were filed in a shape which is not accepted.
    #[error("components in shapes that are not accepted")]
    Shapes(Vec<WrongShape>),
    /// E-forms that were filled in wrongly.
    #[error("e-forms filled in wrongly")]
    Forms(Vec<FormViolation>),
    /// There is no such draft, or the caller may not know of it.
    #[error("draft not found")]
    DraftNotFound,
    /// The draft was published or discarded.
    #[error("the draft is closed")]
    DraftClosed,
    /// The definition is of another procedure.
    #[error("the definition is of another procedure")]
    DraftOfAnother,
    /// What the linter found.
    #[error("the draft cannot be published: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    DraftNotPublishable(Vec<Finding>),
    /// The text cannot be read.
    #[error("the draft cannot be read")]
    DraftNotReadable(Vec<Finding>),
    /// One from this version is under way.
    #[error("a migration is under way")]
    MigrationRunning,
    /// There is no such migration, or the caller may not know of it.
    #[error("migration not found")]
    MigrationNotFound,
    /// What is wrong with the outcomes that were named, each with its place in the list.
    #[error("outcomes that cannot be mapped so")]
    OutcomesNotMapped(Vec<(usize, OutcomeFault)>),
    /// From and to are one version.
    #[error("a version cannot be migrated to itself")]
    SameVersion,
}

/// A finding as a violation: every one of them is an entry of BadRequest.
fn violation(finding: Finding) -> Violation {
    Violation {
        field: finding.path.clone(),
        rule: finding.kind.as_str(),
        vi: finding.vi,
        en: finding.en,
    }
}

impl From<DefinitionError> for Fault {
    fn from(error: DefinitionError) -> Self {
        use ErrorReason as R;
        match error {
            DefinitionError::NotEligible { row, text, article } => words(
                Code::FailedPrecondition,
                R::NotEligible,
                format!("không đủ điều kiện thực hiện: {text} ({article})"),
                format!("not eligible: {text} ({article})"),
            )
            .fault()
            .with("row", row)
            .with("article", article),
            DefinitionError::Shapes(wrong) => {
                let told = |one: &WrongShape| {
                    let accepts: Vec<&str> = one.accepts.iter().map(|shape| shape.as_str()).collect();
                    format!("{}: {}", one.component_code, accepts.join(" | "))
                };
                let all: Vec<String> = wrong.iter().map(told).collect();
                words(
                    Code::InvalidArgument,
                    R::ComponentShapeNotAccepted,
                    "có thành phần nộp theo hình thức không được nhận qua kênh này",
                    "a component was filed in a shape that is not accepted on this channel",
                )
                .fault()
                .with("components", all.join(", "))
                .violating(
                    wrong
                        .iter()
                        .map(|one| Violation {
                            field: format!("components[{}]", one.index),
                            rule: "shape".to_owned(),
                            vi: format!("chỉ nhận: {}", told(one)),
                            en: format!("accepted: {}", told(one)),
                        })
                        .collect(),
                )
            }
            DefinitionError::Forms(violations) => Fault::invalid(
                violations
                    .into_iter()
                    .map(|violation| Violation {
                        field: format!("components[{}].form_data{}", violation.index, violation.pointer),
                        rule: violation.rule,
                        vi: violation.vi,
                        en: violation.en,
                    })
                    .collect(),
            ),
            DefinitionError::DraftNotFound => words(
                Code::NotFound,
                R::DraftNotFound,
                "không tìm thấy bản thảo",
                "there is no such draft",
            )
            .fault(),
            DefinitionError::DraftClosed => words(
                Code::FailedPrecondition,
                R::DraftClosed,
                "bản thảo đã được ban hành hoặc đã huỷ, không sửa được nữa",
                "the draft was published or discarded, and does not change any more",
            )
            .fault(),
            DefinitionError::DraftOfAnother => Fault::invalid(vec![Violation {
                field: "definition".to_owned(),
                rule: "procedure".to_owned(),
                vi: "định nghĩa thuộc thủ tục khác".to_owned(),
                en: "the definition is of another procedure".to_owned(),
            }]),
            DefinitionError::DraftNotPublishable(findings) => words(
                Code::FailedPrecondition,
                R::DraftNotPublishable,
                "định nghĩa còn lỗi nên chưa ban hành được",
                "the definition cannot work as it is, and is not published",
            )
            .fault()
            .violating(
                findings
                    .into_iter()
                    .filter(|finding| finding.severity() == Severity::Error)
                    .map(violation)
                    .collect(),
            ),
            DefinitionError::DraftNotReadable(findings) => words(
                Code::FailedPrecondition,
                R::DraftNotReadable,
                "không đọc được nội dung bản thảo",
                "the text of the draft cannot be read",
            )
            .fault()
            .violating(findings.into_iter().map(violation).collect()),
            DefinitionError::MigrationRunning => words(
                Code::FailedPrecondition,
                R::MigrationRunning,
                "đang có đợt chuyển từ phiên bản này",
                "a migration from this version is under way",
            )
            .fault(),
            DefinitionError::MigrationNotFound => words(
                Code::NotFound,
                R::MigrationNotFound,
                "không tìm thấy đợt chuyển phiên bản",
                "there is no such migration",
            )
            .fault(),
            DefinitionError::OutcomesNotMapped(faults) => Fault::invalid(
                faults
                    .into_iter()
                    .map(|(place, fault)| {
                        let (vi, en) = fault.words();
                        Violation {
                            field: format!("outcomes[{place}].{}", fault.field()),
                            rule: "value".to_owned(),
                            vi,
                            en,
                        }
                    })
                    .collect(),
            ),
            DefinitionError::SameVersion => Fault::invalid(vec![Violation {
                field: "to_version".to_owned(),
                rule: "other".to_owned(),
                vi: "phải khác phiên bản đang áp dụng".to_owned(),
                en: "must be another version".to_owned(),
            }]),
        }
    }
}
