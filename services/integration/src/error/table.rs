//! The one table: each refusal with its code, its reason and its words in Vietnamese, and what else a caller is told with it.

use std::time::Duration;

use egov_fault::{Code, Fault, Violation};
use egov_partners::outcome::CallError;
use egov_proto::egov::integration::v1::ErrorReason as R;

use super::{DOMAIN, Error};
use crate::domain::reconciliation::{MOST_DAYS, NotAPeriod};
use crate::domain::service::Hit;
use crate::store::StoreError;

impl Error {
    /// Code, reason and the words in Vietnamese. `None` for what has no reason of this service's own.
    const fn row(&self) -> Option<(Code, R, &'static str)> {
        use Code::{
            AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted,
            Unavailable,
        };
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
            Self::RequestCodeTaken => (
                AlreadyExists,
                R::RequestCodeTaken,
                "mã yêu cầu này đã được đơn vị khác hoặc yêu cầu khác sử dụng",
            ),
            Self::AgencyCodeNotOfUnit { .. } => (
                FailedPrecondition,
                R::AgencyCodeNotOfUnit,
                "theo danh bạ, mã định danh này không phải của đơn vị",
            ),
            Self::AgencyCodeUnconfirmed { .. } => (
                FailedPrecondition,
                R::AgencyCodeUnconfirmed,
                "chưa có căn cứ xác nhận mã định danh này là của đơn vị: \
                 hãy cập nhật mã vào cây đơn vị, hoặc đề nghị quản trị nền tảng cấp tỉnh đăng ký",
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
            Self::TopicNotFound => (NotFound, R::TopicNotFound, "không có chủ đề sự kiện này"),
            Self::TopicNameTaken => (AlreadyExists, R::TopicNameTaken, "tên chủ đề đã được dùng"),
            Self::PublishingNotGranted => (
                PermissionDenied,
                R::PublishingNotGranted,
                "hệ thống chưa được cấp quyền gửi sự kiện vào chủ đề này",
            ),
            Self::SubscribingNotGranted => (
                PermissionDenied,
                R::SubscribingNotGranted,
                "hệ thống chưa được cấp quyền nhận sự kiện của chủ đề này",
            ),
            Self::EventInvalid { error, .. } => (InvalidArgument, R::EventInvalid, error.vi),
            Self::EventSchemaMismatch { .. } => (
                InvalidArgument,
                R::EventSchemaMismatch,
                "không phải là lược đồ của chủ đề này, hoặc không còn được chấp nhận",
            ),
            Self::EventDataRefused(_) => (
                InvalidArgument,
                R::EventDataRefused,
                "dữ liệu của sự kiện không đúng lược đồ của chủ đề",
            ),
            Self::SubscriptionNotFound => (NotFound, R::SubscriptionNotFound, "không có đăng ký nhận sự kiện này"),
            Self::SubscriptionNameTaken => (AlreadyExists, R::SubscriptionNameTaken, "tên đăng ký đã được dùng"),
            Self::SubscriptionModeMismatch => (
                FailedPrecondition,
                R::SubscriptionModeMismatch,
                "đăng ký này nhận sự kiện theo cách khác",
            ),
            Self::TooManySubscriptions => (ResourceExhausted, R::TooManySubscriptions, "đã đạt số đăng ký tối đa"),
            Self::WebhookAddressNotAllowed => (
                InvalidArgument,
                R::WebhookAddressNotAllowed,
                "địa chỉ nhận phải là https tới máy chủ đã đăng ký",
            ),
            Self::MailboxNotFound => (NotFound, R::MailboxNotFound, "không có hộp thư này"),
            Self::MailboxExists => (AlreadyExists, R::MailboxExists, "đã có hộp thư giữa hai cơ quan này"),
            Self::MessageNotFound => (NotFound, R::MessageNotFound, "không có thông điệp này"),
            Self::MailboxFull => (ResourceExhausted, R::MailboxFull, "hộp thư đã đầy; hãy gửi lại sau"),
            Self::MessageDead => (
                FailedPrecondition,
                R::MessageDead,
                "thông điệp đã bị huỷ vì quá hạn hoặc bị từ chối nhiều lần",
            ),
            Self::NotAParty => (
                PermissionDenied,
                R::NotAParty,
                "không phải bên gửi hoặc bên nhận của việc này",
            ),
            Self::PartnerNotConfigured(_) => (
                FailedPrecondition,
                R::PartnerNotConfigured,
                "chưa cấu hình kết nối tới đối tác này",
            ),
            Self::PartnerCall(_, CallError::NotSent(_)) => (
                Unavailable,
                R::PartnerUnavailable,
                "chưa gửi được tới đối tác; hãy gửi lại sau",
            ),
            Self::PartnerCall(_, CallError::Unknown(_)) => (
                Unavailable,
                R::PartnerOutcomeUnknown,
                "chưa biết kết quả ở đối tác; hãy gửi lại đúng yêu cầu này",
            ),
            Self::PartnerCall(_, CallError::Refused { .. }) => {
                (FailedPrecondition, R::PartnerRefused, "đối tác từ chối yêu cầu")
            }
            Self::DeliveryNotFound => (NotFound, R::DeliveryNotFound, "không tìm thấy lần gửi"),
            Self::DeliveryNotRedrivable => (
                FailedPrecondition,
                R::DeliveryNotRedrivable,
                "chỉ gửi lại được lần gửi thất bại hoặc đã dừng",
            ),
            Self::DeliverySuperseded => (
                FailedPrecondition,
                R::DeliverySuperseded,
                "đã có lần gửi sau về cùng việc này",
            ),
            Self::CaseNotMappable(_) => (
                FailedPrecondition,
                R::CaseNotMappable,
                "chưa thể gửi hồ sơ này lên Cổng dịch vụ công quốc gia",
            ),
            Self::CaseVersionSuperseded => (
                FailedPrecondition,
                R::CaseVersionSuperseded,
                "đã nhận một phiên bản mới hơn của hồ sơ",
            ),
            Self::PaymentOrderNotFound => (NotFound, R::PaymentOrderNotFound, "không tìm thấy yêu cầu thanh toán"),
            Self::PaymentNotRefundable(_) => (
                FailedPrecondition,
                R::PaymentNotRefundable,
                "chỉ hoàn được khoản đã thanh toán và chưa hoàn",
            ),
            Self::PaymentRefundOrdered => (FailedPrecondition, R::PaymentRefundOrdered, "khoản này đang được hoàn"),
            Self::RegistrationNotFound => (NotFound, R::RegistrationNotFound, "không tìm thấy đăng ký hộ tịch"),
            Self::SynchronisationNotFound => (NotFound, R::SynchronisationNotFound, "hồ sơ này chưa từng được đồng bộ"),
            Self::OneStopNotConfigured => (
                FailedPrecondition,
                R::OneStopNotConfigured,
                "chưa cấu hình đọc hồ sơ từ hệ thống một cửa",
            ),
            Self::CivilRegistryNotConfigured => (
                FailedPrecondition,
                R::CivilRegistryNotConfigured,
                "chưa cấu hình đọc sổ hộ tịch từ hệ thống hộ tịch",
            ),
            Self::ReconciliationNotFound => (NotFound, R::ReconciliationNotFound, "không tìm thấy lần đối soát"),
            Self::DifferenceNotFound => (NotFound, R::DifferenceNotFound, "không tìm thấy chênh lệch"),
            Self::DifferenceClosed => (
                FailedPrecondition,
                R::DifferenceClosed,
                "chênh lệch này đã được gửi lại hoặc đã được xử lý",
            ),
            Self::DifferenceNotRepairable => (
                FailedPrecondition,
                R::DifferenceNotRepairable,
                "gửi lại hồ sơ không khắc phục được chênh lệch này; hãy xác minh và ghi nhận cách xử lý",
            ),
            Self::PeriodRefused(_)
            | Self::TopicSchemaRefused(_)
            | Self::NotAVersion(_)
            | Self::NotAPeriod(_)
            | Self::Field { .. }
            | Self::StaleEtag
            | Self::Unreadable(_)
            | Self::Fault(_)
            | Self::Store(_) => return None,
        })
    }

    /// What of the request a refusal is about, where its words begin with it.
    fn place(&self) -> Option<String> {
        match self {
            Self::EventInvalid { index, error } => Some(format!("events[{index}].{}", error.attribute)),
            Self::EventSchemaMismatch { index } => Some(format!("events[{index}].data_schema")),
            _ => None,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Some((code, reason, vi)) = error.row() else {
            return of_all_areas(error);
        };
        let en = error.to_string();
        let fault = match error.place() {
            Some(place) => Fault::new(code, name(reason), format!("{place}: {vi}"), en).with("field", place),
            None => Fault::new(code, name(reason), vi, en),
        };
        told_more(fault, error).domain(DOMAIN)
    }
}

/// What every area may be refused with, and what is no refusal.
fn of_all_areas(error: Error) -> Fault {
    match error {
        Error::StaleEtag => Fault::new(
            Code::Aborted,
            "STALE_ETAG",
            "nội dung đã thay đổi; hãy đọc lại rồi thực hiện lại",
            error.to_string(),
        ),
        Error::PeriodRefused(problems) | Error::TopicSchemaRefused(problems) => Fault::invalid(
            problems
                .into_iter()
                .map(|one| violation(&one.field, "value", one.vi, one.en))
                .collect(),
        ),
        Error::NotAVersion(most) => Fault::invalid(vec![violation(
            "case.version",
            "range",
            format!("số phiên bản của hồ sơ phải từ 1 đến {most}, như hệ thống một cửa đã trả lời"),
            error.to_string(),
        )]),
        Error::NotAPeriod(why) => Fault::invalid(vec![not_a_period(why)]),
        Error::Field { field, vi, en } => Fault::invalid(vec![violation(field, "value", vi.to_owned(), en.to_owned())]),
        Error::Fault(fault) => fault,
        Error::Store(StoreError::Sql(error)) => egov_database::sql_fault(error),
        Error::Store(StoreError::Overtaken(_)) => Fault::new(
            Code::Aborted,
            "CONCURRENT_WRITE",
            "có thao tác khác vừa thay đổi; hãy đọc lại rồi thực hiện lại",
            "another write came in between; read again and repeat",
        ),
        Error::Unreadable(source) => Fault::internal(source),
        other => Fault::internal(other),
    }
}

/// What a caller is told beside the words.
fn told_more(fault: Fault, error: Error) -> Fault {
    match error {
        Error::InterfaceRefused(problems) => fault.violating(
            problems
                .into_iter()
                .map(|problem| violation("document", "value", problem.clone(), problem))
                .collect(),
        ),
        Error::TermsRefused(problems) | Error::EventDataRefused(problems) => fault.violating(
            problems
                .into_iter()
                .map(|one| violation(&one.field, "value", one.vi, one.en))
                .collect(),
        ),
        Error::InterfaceBreaks(hits) => hits.iter().fold(fault, broken),
        Error::AgreementState(state) => fault.with("state", state.as_str()),
        Error::SignatureRefused(why) => fault.with("cause", why.to_string()),
        Error::AgencyCodeNotOfUnit { field, code } => fault.with("field", field).with("agency_code", code),
        Error::AgencyCodeUnconfirmed { code, named } => {
            let fault = fault.with("agency_code", code);
            match named {
                Some(unit) => fault.with("named_unit_id", unit.to_string()),
                None => fault,
            }
        }
        Error::MailboxFull => fault.retry_after(Duration::from_mins(1)),
        Error::PartnerNotConfigured(partner) => fault.with("partner", partner.name()),
        Error::PartnerCall(partner, error) => {
            let mut fault = fault.with("partner", partner.name()).with("problem", error.word());
            if let CallError::Refused { code, .. } = &error {
                fault = fault.with("partner_code", code);
            }
            fault.caused_by(error)
        }
        Error::CaseNotMappable(why) => fault.with("what", why.to_string()),
        Error::PaymentNotRefundable(state) => fault.with("state", state.to_string()),
        _ => fault,
    }
}

/// One thing that a document breaks, and for whom.
fn broken(fault: Fault, hit: &Hit) -> Fault {
    let breaking = &hit.breaking;
    let kind = serde_json::to_value(breaking.kind)
        .ok()
        .and_then(|kind| kind.as_str().map(str::to_uppercase))
        .unwrap_or_default();
    let consumers = hit.consumers.iter().map(uuid::Uuid::to_string).collect::<Vec<_>>();
    let said = format!("{}; consumers: {}", breaking.detail, consumers.join(", "));
    fault.precondition(&kind, &breaking.element, &said)
}

fn not_a_period(why: NotAPeriod) -> Violation {
    let (rule, vi, en) = match why {
        NotAPeriod::Backwards => (
            "order",
            "ngày kết thúc phải bằng hoặc sau ngày bắt đầu".to_owned(),
            "must not be before from_date".to_owned(),
        ),
        NotAPeriod::ToCome => (
            "past",
            "không được sau ngày hôm nay".to_owned(),
            "must not be after today".to_owned(),
        ),
        NotAPeriod::TooLong => (
            "length",
            format!("kỳ đối soát dài nhất là {MOST_DAYS} ngày"),
            format!("a period has at most {MOST_DAYS} days"),
        ),
    };
    violation("to_date", rule, vi, en)
}

fn violation(field: &str, rule: &str, vi: String, en: String) -> Violation {
    Violation {
        field: field.to_owned(),
        rule: rule.to_owned(),
        vi,
        en,
    }
}

/// The word of a reason, without the prefix of the enum.
fn name(reason: R) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}
