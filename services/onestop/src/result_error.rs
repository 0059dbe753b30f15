//! Why something about a result is refused: one table to code, reason and words.

use egov_fault::{Code, Fault, Violation};
use egov_proto::egov::onestop::v1::ErrorReason;

use crate::domain::results::{Flaw, ResultRefused};
use crate::error::words;

/// The refusal as a caller gets it.
pub(crate) fn result_refused(refused: ResultRefused) -> Fault {
    use ErrorReason as R;
    let (number, fault) = match refused {
        ResultRefused::NotFound(number) => (
            number,
            words(
                Code::NotFound,
                R::ResultNotFound,
                format!("hồ sơ không có kết quả thứ {number}"),
                format!("the case has no result {number}"),
            ),
        ),
        ResultRefused::Revoked(number) => (
            number,
            words(
                Code::FailedPrecondition,
                R::ResultRevoked,
                "kết quả đã bị thu hồi, không thay đổi được nữa",
                "the result was revoked: nothing of it changes any more",
            ),
        ),
        ResultRefused::Unchanged(number) => (
            number,
            words(
                Code::FailedPrecondition,
                R::ResultUnchanged,
                "nội dung đính chính giống hệt kết quả hiện có",
                "the correction says what the result says already",
            ),
        ),
        ResultRefused::Flawed(flaws) => return Fault::invalid(flaws.into_iter().map(violation).collect()),
    };
    fault.fault().with("result_number", number.to_string())
}

/// A flaw of a description in both languages.
fn violation((place, flaw): (String, Flaw)) -> Violation {
    let (vi, en) = match flaw {
        Flaw::IssuedLater => ("không được sau ngày hôm nay", "must not be after today"),
        Flaw::EndsFirst => (
            "không được trước ngày bắt đầu có hiệu lực",
            "must not be before the day from which the result holds",
        ),
        Flaw::FormMissing => (
            "kết quả có tệp thì phải nêu là bản điện tử gốc hay bản số hoá",
            "of a result with a file it must be said whether it is the electronic original or a digitised copy",
        ),
        Flaw::FormWithoutFile => ("chỉ nêu khi kết quả có tệp", "is said only of a result with a file"),
    };
    Violation {
        field: format!("{place}.{}", flaw.field()),
        rule: "value".to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_that_does_not_fit_names_each_field_and_a_revoked_result_its_number() {
        let flaws = vec![
            ("metadata".to_owned(), Flaw::IssuedLater),
            ("metadata".to_owned(), Flaw::FormMissing),
        ];
        let fault = result_refused(ResultRefused::Flawed(flaws));
        let fields: Vec<&str> = fault.violations().iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["metadata.issue_date", "metadata.form"]);
        let fault = result_refused(ResultRefused::Revoked(2));
        assert_eq!(
            (fault.code(), fault.reason()),
            (Code::FailedPrecondition, "RESULT_REVOKED")
        );
        assert_eq!(fault.metadata()["result_number"], "2");
    }
}
