//! Why data of the population database does not stand in the place of a paper: one table to code, reason and words.

use std::time::Duration;

use egov_fault::{Code, Fault, Violation};
use egov_proto::egov::onestop::v1::ErrorReason;

use crate::error::words;

/// When it makes sense to ask a database again that did not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// What the database needs to confirm a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Particular {
    /// The owner is a citizen: the database knows no organisations.
    Person,
    /// Số định danh cá nhân.
    PersonalNumber,
    /// Ngày tháng năm sinh.
    DateOfBirth,
}

impl Particular {
    fn violation(self) -> Violation {
        let (field, vi, en) = match self {
            Self::Person => (
                "owner.kind",
                "chủ hồ sơ không phải là công dân",
                "the owner of the case is no citizen",
            ),
            Self::PersonalNumber => (
                "owner.personal_number",
                "hồ sơ không có số định danh cá nhân của chủ hồ sơ",
                "the case has no personal number of its owner",
            ),
            Self::DateOfBirth => (
                "owner_date_of_birth",
                "hồ sơ không có ngày sinh của chủ hồ sơ; hãy nêu trong yêu cầu này",
                "the case has no date of birth of its owner; name it in this request",
            ),
        };
        Violation {
            field: field.to_owned(),
            rule: "required".to_owned(),
            vi: vi.to_owned(),
            en: en.to_owned(),
        }
    }
}

/// Why data of the population database does not stand in the place of a paper.
#[derive(Debug, thiserror::Error)]
pub enum PopulationRefused {
    /// The database does not confirm the particulars.
    #[error("not confirmed under {0}")]
    NotConfirmed(String),
    /// It does not answer, or the way to it is gone, or what it answered is not known.
    #[error("the population database does not answer")]
    Unavailable(#[source] Fault),
    /// It confirms nobody without these.
    #[error("particulars are missing")]
    ParticularsMissing(Vec<Particular>),
    /// The question was refused.
    #[error("the question was refused")]
    Refused(#[source] Fault),
}

impl From<Fault> for PopulationRefused {
    fn from(fault: Fault) -> Self {
        match fault.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::ResourceExhausted
            | Code::Unauthenticated
            | Code::Internal => Self::Unavailable(fault),
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss => Self::Refused(fault),
        }
    }
}

/// The refusal as a caller gets it.
pub(crate) fn population_refused(refused: PopulationRefused) -> Fault {
    use ErrorReason as R;
    match refused {
        PopulationRefused::NotConfirmed(request_code) => words(
            Code::FailedPrecondition,
            R::PopulationNotConfirmed,
            "Cơ sở dữ liệu quốc gia về dân cư không xác nhận thông tin của chủ hồ sơ; hãy đối chiếu với giấy tờ",
            "the population database does not confirm the particulars of the owner; compare them with the paper",
        )
        .fault()
        .with("request_code", request_code),
        PopulationRefused::Unavailable(source) => words(
            Code::Unavailable,
            R::PopulationUnavailable,
            "chưa hỏi được Cơ sở dữ liệu quốc gia về dân cư, chưa có gì được ghi; hãy gửi lại đúng yêu cầu này sau ít phút hoặc nhận giấy tờ",
            "the population database could not be asked and nothing was stored; repeat the same request later, or take the paper",
        )
        .fault()
        .with("cause", source.reason().to_owned())
        .retry_after(AGAIN)
        .caused_by(source),
        PopulationRefused::ParticularsMissing(missing) => {
            let missing: Vec<Violation> = missing.into_iter().map(Particular::violation).collect();
            let fields: Vec<&str> = missing.iter().map(|one| one.field.as_str()).collect();
            let fields = fields.join(", ");
            words(
                Code::FailedPrecondition,
                R::PopulationParticularsMissing,
                format!("thiếu thông tin để hỏi Cơ sở dữ liệu quốc gia về dân cư: {fields}"),
                format!("the population database confirms nobody without: {fields}"),
            )
            .fault()
            .with("missing", fields)
            .violating(missing)
        }
        PopulationRefused::Refused(source) => {
            let cause = source.reason().to_owned();
            words(
                Code::FailedPrecondition,
                R::PopulationRefused,
                format!("câu hỏi gửi Cơ sở dữ liệu quốc gia về dân cư bị từ chối: {cause}; quản trị kết nối xem xét, tạm thời nhận giấy tờ"),
                format!("the question to the population database was refused: {cause}; the operator mends the connection, take the paper until then"),
            )
            .fault()
            .with("cause", cause)
            .caused_by(source)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_all_at_once_and_what_may_pass_is_told_from_what_stays() {
        let missing = vec![Particular::PersonalNumber, Particular::DateOfBirth];
        let fault = population_refused(PopulationRefused::ParticularsMissing(missing));
        let fields: Vec<&str> = fault.violations().iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["owner.personal_number", "owner_date_of_birth"]);
        assert_eq!(
            fault.metadata()["missing"],
            "owner.personal_number, owner_date_of_birth"
        );
        for code in Code::ALL {
            let fault = population_refused(Fault::new(code, "X", "x", "x").into());
            let passes = fault.reason() == "POPULATION_UNAVAILABLE";
            assert_eq!(passes, fault.retry_delay().is_some(), "{code:?}");
            assert_eq!(fault.metadata()["cause"], "X");
            let stays = [Code::FailedPrecondition, Code::PermissionDenied, Code::InvalidArgument];
            assert!(!(passes && stays.contains(&code)), "{code:?}");
        }
    }
}
