//! Why an operation is refused: one enum of what a caller can act on, one table to code, reason and words.

use egov_fault::{Code, Fault, Violation};
use egov_proto::egov::integration::v1::ErrorReason as R;

use crate::domain::agreement::{Refusal, State};
use crate::domain::organisation::CodeRefusal;
use crate::domain::service::Hit;
use crate::domain::signature::SignatureRefusal;
use crate::domain::terms::Problem;
use crate::store::StoreError;

/// ErrorInfo.domain of this service's own reasons.
pub const DOMAIN: &str = "integration.egov";

/// Why an operation is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no such organisation")]
    OrganisationNotFound,
    #[error("there is no such system")]
    SystemNotFound,
    #[error("there is no such service")]
    ServiceNotFound,
    #[error("the service has no such version of its interface")]
    InterfaceNotFound,
    #[error("the service has no such endpoint")]
    EndpointNotFound,
    #[error("the system has no such certificate, or it was withdrawn")]
    CertificateNotFound,
    #[error("the system has no such key, or it was withdrawn")]
    SigningKeyNotFound,
    #[error("another organisation has this X-Road member code")]
    MemberTaken,
    #[error("another organisation has this agency code on that day")]
    AgencyCodeTaken,
    #[error("{0}")]
    AgencyCodeRefused(CodeRefusal),
    #[error("by the directory the agency code {code} is not the unit's")]
    AgencyCodeNotOfUnit { field: &'static str, code: String },
    #[error("another system has this client id")]
    ClientTaken,
    #[error("the organisation has a system with this subsystem code")]
    SubsystemTaken,
    #[error("the system has a service with this code")]
    ServiceCodeTaken,
    #[error("the certificate is refused: {0}")]
    CertificateRefused(&'static str),
    #[error("the certificate is registered already")]
    CertificateTaken,
    #[error("the key is refused: {0}")]
    SigningKeyRefused(&'static str),
    #[error("the organisation has a key with this id")]
    SigningKeyTaken,
    #[error("what was closed or removed stays so, or it stands there already")]
    StateNotAllowed,
    #[error("the document cannot be read")]
    InterfaceRefused(Vec<String>),
    #[error("the document breaks what the version before promised")]
    InterfaceBreaks(Vec<Hit>),
    #[error("the document is the same as the last version")]
    InterfaceUnchanged,
    #[error("the address is refused: {0}")]
    EndpointRefused(&'static str),
    #[error("there is no such agreement")]
    AgreementNotFound,
    #[error("it cannot be done in this state of the agreement")]
    AgreementState(State),
    #[error("the terms do not fit")]
    TermsRefused(Vec<Problem>),
    #[error("a side, its system or the service takes no part now")]
    PartyNotActive,
    #[error("the signature is refused: {0}")]
    SignatureRefused(SignatureRefusal),
    #[error("this side has signed this version")]
    AlreadySigned,
    #[error("somebody else suspended it")]
    SuspendedByOther,
    #[error("the terms do not let the consumer delegate")]
    NotDelegable,
    #[error("the delegation would reach beyond the agreement, or its system takes no part now")]
    DelegationRefused,
    #[error("the agreement has no such delegation, or it has ended")]
    DelegationNotFound,
    #[error("there is no such exchange")]
    ExchangeNotFound,
    #[error("the exchange is not over yet, so there is no receipt")]
    ExchangeUnderWay,
    #[error("the period cannot be summed up")]
    PeriodRefused(Vec<Problem>),
    #[error("the summary has too many lines: ask for a shorter period, fewer dimensions or one agreement")]
    SummaryTooLarge,
    /// It changed since it was read.
    #[error("it changed since it was read; read it again and repeat")]
    StaleEtag,
    /// A fault of another part of the platform, passed on as it is.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::State(state) => Self::AgreementState(state),
            Refusal::AlreadySigned => Self::AlreadySigned,
            Refusal::SuspendedByOther => Self::SuspendedByOther,
            Refusal::NotDelegable => Self::NotDelegable,
            Refusal::DelegationBeyond => Self::DelegationRefused,
            Refusal::NoDelegation => Self::DelegationNotFound,
        }
    }
}

impl Error {
    /// Code, reason and the words in Vietnamese. `None` for what has its own translation.
    const fn row(&self) -> Option<(Code, R, &'static str)> {
        use Code::{Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied};
        Some(match self {
            Self::OrganisationNotFound => (NotFound, R::OrganisationNotFound, "không tìm thấy cơ quan, tổ chức"),
            Self::SystemNotFound => (NotFound, R::SystemNotFound, "không tìm thấy hệ thống"),
            Self::ServiceNotFound => (NotFound, R::ServiceNotFound, "không tìm thấy dịch vụ"),
            Self::InterfaceNotFound => (
                NotFound,
                R::InterfaceNotFound,
                "dịch vụ không có phiên bản giao diện này",
            ),
            Self::EndpointNotFound => (NotFound, R::EndpointNotFound, "dịch vụ không có điểm truy cập này"),
            Self::CertificateNotFound => (
                NotFound,
                R::CertificateNotFound,
                "hệ thống không có chứng thư này, hoặc đã thu hồi",
            ),
            Self::SigningKeyNotFound => (
                NotFound,
                R::SigningKeyNotFound,
                "hệ thống không có khóa này, hoặc đã thu hồi",
            ),
            Self::MemberTaken => (
                AlreadyExists,
                R::MemberTaken,
                "mã thành viên X-Road đã có cơ quan khác dùng",
            ),
            Self::AgencyCodeTaken => (
                AlreadyExists,
                R::AgencyCodeTaken,
                "mã định danh đã có cơ quan khác dùng vào ngày đó",
            ),
            Self::AgencyCodeRefused(_) => (
                InvalidArgument,
                R::AgencyCodeRefused,
                "mã định danh không được chấp nhận",
            ),
            Self::AgencyCodeNotOfUnit { .. } => (
                FailedPrecondition,
                R::AgencyCodeNotOfUnit,
                "theo danh bạ, mã định danh này không phải của đơn vị",
            ),
            Self::ClientTaken => (AlreadyExists, R::ClientTaken, "client id đã có hệ thống khác dùng"),
            Self::SubsystemTaken => (
                AlreadyExists,
                R::SubsystemTaken,
                "cơ quan đã có hệ thống với mã phân hệ này",
            ),
            Self::ServiceCodeTaken => (AlreadyExists, R::ServiceCodeTaken, "hệ thống đã có dịch vụ với mã này"),
            Self::CertificateRefused(_) => (InvalidArgument, R::CertificateRefused, "chứng thư không được chấp nhận"),
            Self::CertificateTaken => (AlreadyExists, R::CertificateTaken, "chứng thư đã được đăng ký"),
            Self::SigningKeyRefused(_) => (InvalidArgument, R::SigningKeyRefused, "khóa không được chấp nhận"),
            Self::SigningKeyTaken => (AlreadyExists, R::SigningKeyTaken, "cơ quan đã có khóa với mã này"),
            Self::StateNotAllowed => (
                FailedPrecondition,
                R::StateNotAllowed,
                "đã đóng hoặc gỡ bỏ thì giữ nguyên, hoặc đang ở trạng thái đó",
            ),
            Self::InterfaceRefused(_) => (
                InvalidArgument,
                R::InterfaceRefused,
                "không đọc được tài liệu giao diện",
            ),
            Self::InterfaceBreaks(_) => (
                FailedPrecondition,
                R::InterfaceBreaks,
                "tài liệu phá vỡ cam kết của phiên bản trước",
            ),
            Self::InterfaceUnchanged => (
                FailedPrecondition,
                R::InterfaceUnchanged,
                "tài liệu giống phiên bản gần nhất",
            ),
            Self::EndpointRefused(_) => (InvalidArgument, R::EndpointRefused, "địa chỉ không được chấp nhận"),
            Self::AgreementNotFound => (NotFound, R::AgreementNotFound, "không tìm thấy thỏa thuận"),
            Self::AgreementState(_) => (
                FailedPrecondition,
                R::AgreementState,
                "không thực hiện được ở trạng thái này của thỏa thuận",
            ),
            Self::TermsRefused(_) => (InvalidArgument, R::TermsRefused, "nội dung thỏa thuận không phù hợp"),
            Self::PartyNotActive => (
                FailedPrecondition,
                R::PartyNotActive,
                "một bên, hệ thống của bên đó hoặc dịch vụ hiện không hoạt động",
            ),
            Self::SignatureRefused(_) => (InvalidArgument, R::SignatureRefused, "chữ ký không được chấp nhận"),
            Self::AlreadySigned => (FailedPrecondition, R::AlreadySigned, "bên này đã ký phiên bản này"),
            Self::SuspendedByOther => (
                PermissionDenied,
                R::SuspendedByOther,
                "bên khác đã tạm ngừng; chỉ bên đó hoặc quản trị được khôi phục",
            ),
            Self::NotDelegable => (
                FailedPrecondition,
                R::NotDelegable,
                "thỏa thuận không cho phép ủy quyền",
            ),
            Self::DelegationRefused => (
                FailedPrecondition,
                R::DelegationRefused,
                "ủy quyền vượt quá thỏa thuận, hoặc hệ thống được ủy quyền không hoạt động",
            ),
            Self::DelegationNotFound => (
                NotFound,
                R::DelegationNotFound,
                "thỏa thuận không có ủy quyền này, hoặc đã kết thúc",
            ),
            Self::ExchangeNotFound => (NotFound, R::ExchangeNotFound, "không tìm thấy lần trao đổi này"),
            Self::ExchangeUnderWay => (
                FailedPrecondition,
                R::ExchangeUnderWay,
                "lần trao đổi chưa kết thúc nên chưa có biên nhận",
            ),
            Self::SummaryTooLarge => (
                FailedPrecondition,
                R::SummaryTooLarge,
                "bảng tổng hợp quá dài; hãy rút ngắn thời gian, bớt chiều tổng hợp hoặc chọn một thỏa thuận",
            ),
            Self::StaleEtag => (
                Aborted,
                R::Unspecified,
                "nội dung đã thay đổi; hãy đọc lại rồi thực hiện lại",
            ),
            Self::PeriodRefused(_) | Self::Fault(_) | Self::Store(_) => return None,
        })
    }
}

fn violation(field: &str, vi: String, en: String) -> Violation {
    Violation {
        field: field.to_owned(),
        rule: "value".to_owned(),
        vi,
        en,
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Some((code, reason, vi)) = error.row() else {
            return match error {
                Error::Fault(fault) => fault,
                Error::PeriodRefused(problems) => Self::invalid(
                    problems
                        .into_iter()
                        .map(|one| violation(&one.field, one.vi, one.en))
                        .collect(),
                ),
                Error::Store(StoreError::Sql(error)) => egov_database::sql_fault(error),
                Error::Store(StoreError::Overtaken(_)) => Fault::new(
                    Code::Aborted,
                    "CONCURRENT_WRITE",
                    "có thao tác khác vừa thay đổi; hãy đọc lại rồi thực hiện lại",
                    "another write came in between; read again and repeat",
                ),
                other => Self::internal(other),
            };
        };
        if matches!(error, Error::StaleEtag) {
            return Fault::new(code, "STALE_ETAG", vi, error.to_string());
        }
        let mut fault = match &error {
            Error::InterfaceRefused(problems) => {
                let violations = problems
                    .iter()
                    .map(|problem| violation("document", problem.clone(), problem.clone()));
                Fault::new(code, name(reason), vi, error.to_string()).violating(violations.collect())
            }
            Error::TermsRefused(problems) => {
                let violations = problems
                    .iter()
                    .map(|one| violation(&one.field, one.vi.clone(), one.en.clone()));
                Fault::new(code, name(reason), vi, error.to_string()).violating(violations.collect())
            }
            _ => Fault::new(code, name(reason), vi, error.to_string()),
        };
        match &error {
            Error::AgreementState(state) => fault = fault.with("state", state.as_str()),
            Error::SignatureRefused(why) => fault = fault.with("cause", why.to_string()),
            Error::AgencyCodeNotOfUnit { field, code } => {
                fault = fault.with("field", *field).with("agency_code", code.as_str());
            }
            Error::InterfaceBreaks(hits) => {
                for hit in hits {
                    let breaking = &hit.breaking;
                    let kind = serde_json::to_value(breaking.kind)
                        .ok()
                        .and_then(|kind| kind.as_str().map(str::to_uppercase))
                        .unwrap_or_default();
                    let hits = hit.consumers.iter().map(uuid::Uuid::to_string).collect::<Vec<_>>();
                    let said = format!("{}; consumers: {}", breaking.detail, hits.join(", "));
                    fault = fault.precondition(&kind, &breaking.element, &said);
                }
            }
            _ => {}
        }
        fault.domain(DOMAIN)
    }
}

/// The word of a reason, without the prefix of the enum.
fn name(reason: R) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_reason_and_both_languages() {
        let errors = [
            Error::OrganisationNotFound,
            Error::AgreementState(State::Draft),
            Error::SignatureRefused(SignatureRefusal::Invalid),
            Error::TermsRefused(Vec::new()),
            Error::InterfaceRefused(vec!["it describes no service".to_owned()]),
        ];
        let expected = [
            "ORGANISATION_NOT_FOUND",
            "AGREEMENT_STATE",
            "SIGNATURE_REFUSED",
            "TERMS_REFUSED",
            "INTERFACE_REFUSED",
        ];
        for (error, reason) in errors.into_iter().zip(expected) {
            let fault = Fault::from(error);
            assert_eq!((fault.reason(), fault.error_domain()), (reason, DOMAIN));
            assert!(!fault.vi().is_empty() && !fault.en().is_empty());
        }
        let unreadable = Fault::from(Error::InterfaceRefused(vec!["it describes no service".to_owned()]));
        assert_eq!(unreadable.violations()[0].en, "it describes no service");
        let state = Fault::from(Error::AgreementState(State::Draft));
        assert_eq!(state.metadata()["state"], "draft");
    }
}
