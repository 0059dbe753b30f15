//! Why the door lets nothing through: each reason with its code and its words, once.

use egov_fault::{Code, Fault};
use std::time::Duration;

/// ErrorInfo.domain of the door's own reasons, which stand in the contract of the integration service.
pub const DOMAIN: &str = "integration.egov";

/// Stands in the extensions of an answer over gRPC that is the door's own, not the provider's: whoever tells it in other words
/// must not take one for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByTheDoor;

/// The door's own reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Only systems call through the door.
    NotASystem,
    /// The certificate of the connection is missing, is not one of the system's, or not the one the token is bound to.
    CertificateNotBound,
    /// No agreement lets this system call this method.
    AgreementMissing,
    /// There is one, but not in force now.
    AgreementNotInForce,
    /// There is one, but not for this purpose.
    PurposeNotAgreed,
    /// This instance has not heard of revocations for a second.
    PermitsStale,
    /// The agreement ended while the call was under way.
    AgreementEnded,
    /// The agreement allows no more calls now.
    QuotaExhausted,
    /// The system has as many calls under way as the door allows.
    ConsumerBusy,
    /// The exchange could not be recorded.
    ExchangeNotRecorded,
    /// No endpoint of the service can be reached.
    ProviderUnavailable,
    /// The provider has taken its service out for maintenance.
    ProviderInMaintenance,
    /// The provider broke off; whether it has acted is not known.
    ProviderBrokeOff,
    /// The provider's answer is no answer of gRPC, or cannot be read by the interface.
    AnswerUnreadable,
    /// The request cannot be read by the interface.
    MessageUnreadable,
    /// The request is not one that the agreement allows.
    RequestNotAgreed,
    /// Several services have the method, and the call does not say which is meant.
    ServiceAmbiguous,
    /// No operation of the service's interface has this verb and path.
    OperationUnknown,
    /// The path of a call of plain HTTP could be read in more than one way.
    PathRefused,
    /// The provider answers with a redirect, which the door neither follows nor passes.
    ProviderRedirects,
    /// The provider's answer is larger than the door passes.
    AnswerTooLarge,
}

/// The fault of a refusal.
pub fn refusal(refusal: Refusal) -> Fault {
    let (code, reason, vi, en) = match refusal {
        Refusal::NotASystem => (
            Code::PermissionDenied,
            "NOT_A_SYSTEM",
            "chỉ hệ thống được gọi qua cổng kết nối",
            "only systems call through the door",
        ),
        Refusal::CertificateNotBound => (
            Code::Unauthenticated,
            "CERTIFICATE_NOT_BOUND",
            "chứng thư của kết nối không phải của hệ thống này hoặc không khớp với thẻ truy cập",
            "the certificate of the connection is not one of this system, or not the one that the token is bound to",
        ),
        Refusal::AgreementMissing => (
            Code::PermissionDenied,
            "AGREEMENT_MISSING",
            "không có thỏa thuận nào cho phép hệ thống này gọi phương thức này",
            "no agreement lets this system call this method",
        ),
        Refusal::AgreementNotInForce => (
            Code::PermissionDenied,
            "AGREEMENT_NOT_IN_FORCE",
            "thỏa thuận chưa có hoặc không còn hiệu lực",
            "the agreement is not in force",
        ),
        Refusal::PurposeNotAgreed => (
            Code::PermissionDenied,
            "PURPOSE_NOT_AGREED",
            "thỏa thuận không cho phép gọi với mục đích này; hãy nêu mục đích trong x-egov-purpose",
            "the agreement does not allow this purpose; name one in x-egov-purpose",
        ),
        Refusal::PermitsStale => (
            Code::Unavailable,
            "PERMITS_STALE",
            "điểm kết nối này chưa cập nhật được danh sách thỏa thuận, hãy thử lại",
            "this instance does not know the state of the agreements, try again",
        ),
        Refusal::AgreementEnded => (
            Code::PermissionDenied,
            "AGREEMENT_ENDED",
            "thỏa thuận đã bị thu hồi hoặc hết hiệu lực trong khi gọi",
            "the agreement was revoked or ended during the call",
        ),
        Refusal::QuotaExhausted => (
            Code::ResourceExhausted,
            "QUOTA_EXHAUSTED",
            "đã dùng hết hạn mức của thỏa thuận",
            "the quota of the agreement is used up",
        ),
        Refusal::ConsumerBusy => (
            Code::ResourceExhausted,
            "CONSUMER_BUSY",
            "hệ thống này đang có quá nhiều lời gọi cùng lúc",
            "this system has too many calls under way",
        ),
        Refusal::ExchangeNotRecorded => (
            Code::Unavailable,
            "EXCHANGE_NOT_RECORDED",
            "chưa ghi được nhật ký trao đổi nên lời gọi bị từ chối",
            "the exchange could not be recorded, so the call is refused",
        ),
        Refusal::ProviderUnavailable => (
            Code::Unavailable,
            "PROVIDER_UNAVAILABLE",
            "không kết nối được với bên cung cấp",
            "no endpoint of the provider can be reached",
        ),
        Refusal::ProviderInMaintenance => (
            Code::Unavailable,
            "PROVIDER_IN_MAINTENANCE",
            "dịch vụ của bên cung cấp đang bảo trì",
            "the provider's service is in maintenance",
        ),
        Refusal::ProviderBrokeOff => (
            Code::Unavailable,
            "PROVIDER_BROKE_OFF",
            "bên cung cấp ngắt kết nối giữa chừng; chưa biết yêu cầu đã được thực hiện hay chưa",
            "the provider broke off; whether it has acted is not known",
        ),
        Refusal::AnswerUnreadable => (
            Code::Internal,
            "ANSWER_UNREADABLE",
            "câu trả lời của bên cung cấp không đọc được theo giao diện đã đăng ký",
            "the provider's answer cannot be read by its registered interface",
        ),
        Refusal::MessageUnreadable => (
            Code::InvalidArgument,
            "MESSAGE_UNREADABLE",
            "yêu cầu không đọc được theo giao diện đã đăng ký",
            "the request cannot be read by the registered interface",
        ),
        Refusal::ServiceAmbiguous => (
            Code::InvalidArgument,
            "SERVICE_AMBIGUOUS",
            "nhiều dịch vụ có phương thức này; hãy nêu dịch vụ trong x-egov-service, hoặc qua HTTP bằng /s/ID/ đứng trước đường dẫn",
            "several services have this method; name the one that is meant in x-egov-service, or over HTTP by /s/ID/ before the path",
        ),
        Refusal::OperationUnknown => (
            Code::NotFound,
            "OPERATION_UNKNOWN",
            "giao diện đã đăng ký của dịch vụ không có thao tác với phương thức và đường dẫn này",
            "the registered interface of the service has no operation with this verb and path",
        ),
        Refusal::PathRefused => (
            Code::InvalidArgument,
            "PATH_REFUSED",
            "đường dẫn có thể được hiểu theo nhiều cách nên bị từ chối",
            "the path could be read in more than one way",
        ),
        Refusal::ProviderRedirects => (
            Code::Internal,
            "PROVIDER_REDIRECTS",
            "bên cung cấp chuyển hướng sang địa chỉ khác; cổng kết nối không đi theo",
            "the provider points to another address, which is neither followed nor passed on",
        ),
        Refusal::AnswerTooLarge => (
            Code::Internal,
            "ANSWER_TOO_LARGE",
            "câu trả lời của bên cung cấp vượt quá dung lượng cho phép",
            "the provider's answer is larger than allowed",
        ),
        Refusal::RequestNotAgreed => (
            Code::PermissionDenied,
            "REQUEST_NOT_AGREED",
            "yêu cầu nằm ngoài phạm vi của thỏa thuận",
            "the request is not one that the agreement allows",
        ),
    };
    let fault = Fault::new(code, reason, vi, en).domain(DOMAIN);
    match refusal {
        Refusal::PermitsStale | Refusal::ConsumerBusy | Refusal::ExchangeNotRecorded => {
            fault.retry_after(Duration::from_secs(1))
        }
        Refusal::ProviderUnavailable => fault.retry_after(Duration::from_secs(2)),
        Refusal::ProviderInMaintenance => fault.retry_after(Duration::from_mins(1)),
        _ => fault,
    }
}
