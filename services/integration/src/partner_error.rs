//! Why an act towards a partner is refused: one enum, one table to code, reason and words.

use egov_fault::{Code, Fault, Violation};
use egov_partners::Partner;
use egov_partners::case_mapping::NotMappable;
use egov_partners::outcome::CallError;

use crate::domain::reconciliation::{MOST_DAYS, NotAPeriod, NotDone};
use crate::store::StoreError;

const DOMAIN: &str = "integration.egov";

/// Why an act towards a partner is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartnerError {
    /// This installation has no connection to the partner.
    #[error("no connection to {0} is configured")]
    NotConfigured(Partner),
    /// The call came to nothing.
    #[error("{0}: {1}")]
    Call(Partner, #[source] CallError),
    /// Not there, or not to be known.
    #[error("delivery not found")]
    DeliveryNotFound,
    /// Neither failed nor dead.
    #[error("delivery not redrivable")]
    NotRedrivable,
    /// A later delivery of the same matter exists.
    #[error("delivery superseded")]
    Superseded,
    /// The etag is not that of the delivery as it is.
    #[error("stale etag")]
    StaleEtag,
    /// The case cannot be told.
    #[error(transparent)]
    NotMappable(#[from] NotMappable),
    /// A later version of the case was handed in.
    #[error("case version superseded")]
    CaseVersionSuperseded,
    /// Not there, or not to be known.
    #[error("payment order not found")]
    OrderNotFound,
    /// Not paid, or back already; its state.
    #[error("payment order in state {0} cannot be given back")]
    OrderNotRefundable(i16),
    /// It is being given back.
    #[error("a refund was ordered before")]
    RefundOrdered,
    /// Not there, or not to be known.
    #[error("registration not found")]
    RegistrationNotFound,
    /// Not there, or not to be known.
    #[error("reconciliation not found")]
    ReconciliationNotFound,
    /// Not there, or not to be known.
    #[error("difference not found")]
    DifferenceNotFound,
    /// Nothing is done about the difference.
    #[error("nothing is done about the difference: {0:?}")]
    NotDone(NotDone),
    /// The number that a case is handed in with is no version of a case; the highest that is one.
    #[error("not a version of a case; the highest is {0}")]
    NotAVersion(i64),
    /// These days are not a period.
    #[error("not a period: {0:?}")]
    NotAPeriod(NotAPeriod),
    /// Never told, or not to be known.
    #[error("synchronisation not found")]
    SynchronisationNotFound,
    /// This installation reads no cases from one-stop.
    #[error("no cases are read from one-stop")]
    OneStopNotConfigured,
    /// What is stored cannot be read.
    #[error("what is stored of a delivery cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// By the directory, an agency code is not the unit's.
    #[error(transparent)]
    Agency(#[from] crate::error::Error),
    /// A fault of another part of the platform, passed on as it is.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PartnerError> for Fault {
    fn from(error: PartnerError) -> Self {
        let fault = |code, reason, vi: &str, en: &str| Fault::new(code, reason, vi, en).domain(DOMAIN);
        match error {
            PartnerError::NotConfigured(partner) => fault(
                Code::FailedPrecondition,
                "PARTNER_NOT_CONFIGURED",
                "chưa cấu hình kết nối tới đối tác này",
                "this installation has no connection to the partner",
            )
            .with("partner", partner.name()),
            PartnerError::Call(partner, error) => call_fault(partner, error),
            PartnerError::DeliveryNotFound => fault(
                Code::NotFound,
                "DELIVERY_NOT_FOUND",
                "không tìm thấy lần gửi",
                "there is no such delivery",
            ),
            PartnerError::NotRedrivable => fault(
                Code::FailedPrecondition,
                "DELIVERY_NOT_REDRIVABLE",
                "chỉ gửi lại được lần gửi thất bại hoặc đã dừng",
                "only a delivery that failed or was given up can be sent again",
            ),
            PartnerError::Superseded => fault(
                Code::FailedPrecondition,
                "DELIVERY_SUPERSEDED",
                "đã có lần gửi sau về cùng việc này",
                "a later delivery about the same matter exists",
            ),
            PartnerError::StaleEtag => Fault::new(
                Code::Aborted,
                "STALE_ETAG",
                "bản ghi đã thay đổi; hãy đọc lại",
                "the record has changed; read it again",
            ),
            PartnerError::NotMappable(why) => fault(
                Code::FailedPrecondition,
                "CASE_NOT_MAPPABLE",
                "chưa thể gửi hồ sơ này lên Cổng dịch vụ công quốc gia",
                "the case cannot be told to the portal",
            )
            .with("what", why.to_string()),
            PartnerError::CaseVersionSuperseded => fault(
                Code::FailedPrecondition,
                "CASE_VERSION_SUPERSEDED",
                "đã nhận một phiên bản mới hơn của hồ sơ",
                "a later version of the case was handed in already",
            ),
            PartnerError::OrderNotFound => fault(
                Code::NotFound,
                "PAYMENT_ORDER_NOT_FOUND",
                "không tìm thấy yêu cầu thanh toán",
                "there is no such payment order",
            ),
            PartnerError::OrderNotRefundable(state) => fault(
                Code::FailedPrecondition,
                "PAYMENT_NOT_REFUNDABLE",
                "chỉ hoàn được khoản đã thanh toán và chưa hoàn",
                "only an order that is paid and not given back can be given back",
            )
            .with("state", state.to_string()),
            PartnerError::RefundOrdered => fault(
                Code::FailedPrecondition,
                "PAYMENT_REFUND_ORDERED",
                "khoản này đang được hoàn",
                "the order is being given back",
            ),
            PartnerError::RegistrationNotFound => fault(
                Code::NotFound,
                "REGISTRATION_NOT_FOUND",
                "không tìm thấy đăng ký hộ tịch",
                "there is no such registration",
            ),
            PartnerError::ReconciliationNotFound => fault(
                Code::NotFound,
                "RECONCILIATION_NOT_FOUND",
                "không tìm thấy lần đối soát",
                "there is no such reconciliation",
            ),
            PartnerError::DifferenceNotFound => fault(
                Code::NotFound,
                "DIFFERENCE_NOT_FOUND",
                "không tìm thấy chênh lệch",
                "there is no such difference",
            ),
            PartnerError::NotDone(NotDone::Closed) => fault(
                Code::FailedPrecondition,
                "DIFFERENCE_CLOSED",
                "chênh lệch này đã được gửi lại hoặc đã được xử lý",
                "the difference is being repaired, was repaired, or was settled",
            ),
            PartnerError::NotDone(NotDone::NotRepairable) => fault(
                Code::FailedPrecondition,
                "DIFFERENCE_NOT_REPAIRABLE",
                "gửi lại hồ sơ không khắc phục được chênh lệch này; hãy xác minh và ghi nhận cách xử lý",
                "handing the case in again cannot mend this difference; find out what it is, and settle it",
            ),
            PartnerError::NotAVersion(most) => Fault::invalid(vec![Violation {
                field: "case.version".to_owned(),
                rule: "range".to_owned(),
                vi: format!("số phiên bản của hồ sơ phải từ 1 đến {most}, như hệ thống một cửa đã trả lời"),
                en: format!("a case's version is 1 to {most}, as one-stop answered it"),
            }]),
            PartnerError::NotAPeriod(why) => not_a_period(why),
            PartnerError::SynchronisationNotFound => fault(
                Code::NotFound,
                "SYNCHRONISATION_NOT_FOUND",
                "hồ sơ này chưa từng được đồng bộ",
                "the portal was never told of such a case",
            ),
            PartnerError::OneStopNotConfigured => fault(
                Code::FailedPrecondition,
                "ONE_STOP_NOT_CONFIGURED",
                "chưa cấu hình đọc hồ sơ từ hệ thống một cửa",
                "this installation reads no cases from one-stop",
            ),
            PartnerError::Unreadable(source) => Fault::internal(source),
            PartnerError::Agency(error) => error.into(),
            PartnerError::Fault(fault) => fault,
            PartnerError::Store(StoreError::Sql(error)) => egov_database::sql_fault(error),
            PartnerError::Store(error @ StoreError::Inconsistent { .. }) => Fault::internal(error),
            PartnerError::Store(StoreError::Overtaken(_)) => Fault::new(
                Code::Aborted,
                "CONCURRENT_WRITE",
                "có thao tác khác vừa thay đổi; hãy đọc lại rồi thực hiện lại",
                "another write came in between; read again and repeat",
            ),
        }
    }
}

fn not_a_period(why: NotAPeriod) -> Fault {
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
    Fault::invalid(vec![Violation {
        field: "to_date".to_owned(),
        rule: rule.to_owned(),
        vi,
        en,
    }])
}

fn call_fault(partner: Partner, error: CallError) -> Fault {
    let (code, reason, vi, en) = match error {
        CallError::NotSent(_) => (
            Code::Unavailable,
            "PARTNER_UNAVAILABLE",
            "chưa gửi được tới đối tác; hãy gửi lại sau",
            "nothing reached the partner; try again later",
        ),
        CallError::Unknown(_) => (
            Code::Unavailable,
            "PARTNER_OUTCOME_UNKNOWN",
            "chưa biết kết quả ở đối tác; hãy gửi lại đúng yêu cầu này",
            "the outcome at the partner is not known; send the same request again under its id",
        ),
        CallError::Refused { .. } => (
            Code::FailedPrecondition,
            "PARTNER_REFUSED",
            "đối tác từ chối yêu cầu",
            "the partner refused the request",
        ),
    };
    let mut fault = Fault::new(code, reason, vi, en)
        .domain(DOMAIN)
        .with("partner", partner.name())
        .with("problem", error.word());
    if let CallError::Refused { code, .. } = &error {
        fault = fault.with("partner_code", code);
    }
    fault.caused_by(error)
}
