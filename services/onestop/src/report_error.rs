//! Why figures and reports are refused: one enum of what a caller can act on, one table to code, reason and words.

use egov_fault::{Code, Fault};
use egov_proto::egov::onestop::v1::ErrorReason;
use jiff::civil::Date;
use uuid::Uuid;

use crate::domain::reports::PeriodRefused;
use crate::error::words;

/// Why figures or a report are refused.
#[derive(Debug, thiserror::Error)]
pub enum ReportRefused {
    /// There is no such unit whose figures the caller may see: the two look the same.
    #[error("no figures of unit {0}")]
    UnitNotFound(i32),
    /// There is no such report that the caller may read.
    #[error("report not found")]
    ReportNotFound,
    /// The report of the period was made.
    #[error("the report was made already: {0}")]
    AlreadyMade(Uuid),
    /// There is no such period, or it has not ended.
    #[error(transparent)]
    Period(PeriodRefused),
    /// There is no such form.
    #[error("no form {0}")]
    FormUnknown(String),
    /// No rules of the centre are in force.
    #[error("no rules of the centre are in force on {0}")]
    RulesMissing(Date),
    /// A table would have too many rows.
    #[error("{0} rows are too many")]
    ExportTooLarge(usize),
}

impl From<ReportRefused> for Fault {
    fn from(refused: ReportRefused) -> Self {
        use ErrorReason as R;
        match refused {
            ReportRefused::UnitNotFound(unit_id) => words(
                Code::NotFound,
                R::UnitNotInScope,
                "không có đơn vị này trong phạm vi được xem",
                "there is no such unit in your scope",
            )
            .fault()
            .with("unit_id", unit_id.to_string()),
            ReportRefused::ReportNotFound => words(
                Code::NotFound,
                R::ReportNotFound,
                "không tìm thấy báo cáo",
                "there is no such report",
            )
            .fault(),
            ReportRefused::AlreadyMade(report_id) => words(
                Code::AlreadyExists,
                R::ReportAlreadyMade,
                "báo cáo của kỳ này đã được lập; báo cáo đã lập không thay đổi",
                "the report of this period was made; a report that was made does not change",
            )
            .fault()
            .with("report_id", report_id.to_string()),
            ReportRefused::Period(PeriodRefused::NotEnded(last)) => words(
                Code::FailedPrecondition,
                R::PeriodNotEnded,
                format!("kỳ báo cáo kết thúc ngày {}, chưa qua", last.strftime("%d/%m/%Y")),
                format!("the period ends on {}, which has not passed", last.strftime("%d/%m/%Y")),
            )
            .fault()
            .with("last_day", last.to_string()),
            ReportRefused::Period(PeriodRefused::NoSuchMonth) => words(
                Code::InvalidArgument,
                R::PeriodUnknown,
                "không có tháng này",
                "there is no such month",
            )
            .fault(),
            ReportRefused::FormUnknown(form) => words(
                Code::NotFound,
                R::ReportFormUnknown,
                "không có biểu mẫu báo cáo này đang có hiệu lực",
                "there is no such form of a report in force",
            )
            .fault()
            .with("form", form),
            ReportRefused::RulesMissing(on) => words(
                Code::FailedPrecondition,
                R::CentreRulesMissing,
                "chưa có quy định về báo cáo, đánh giá và quầy giao dịch có hiệu lực vào ngày này",
                "no rules for reports, ratings and counters are in force on this day",
            )
            .fault()
            .with("on", on.to_string()),
            ReportRefused::ExportTooLarge(rows) => words(
                Code::FailedPrecondition,
                R::ExportTooLarge,
                "bảng có quá nhiều dòng; hãy thu hẹp phạm vi",
                "the table has too many rows; narrow the request",
            )
            .fault()
            .with("rows", rows.to_string()),
        }
    }
}
