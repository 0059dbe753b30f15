//! Why something about linked services is refused: one enum of what a caller can act on, one table to code, reason and words.

use egov_fault::{Code, Fault, Violation};
use egov_proto::egov::onestop::v1::ErrorReason;

use crate::domain::linked::WrongMember;
use crate::error::words;

/// Why something about linked services is refused.
#[derive(Debug, thiserror::Error)]
pub enum LinkedRefused {
    /// There is no such service in force.
    #[error("linked service {0} not found")]
    ServiceNotFound(String),
    /// The national system coordinates it.
    #[error("linked service {0} is coordinated nationally")]
    National(String),
    /// It is coordinated here.
    #[error("linked service {0} is coordinated here")]
    Local(String),
    /// What nobody has confirmed or decided and is needed for filing.
    #[error("linked service {code}: open facts {facts:?}")]
    NotDecided {
        /// The service.
        code: String,
        /// Paths.
        facts: Vec<String>,
    },
    /// The application is known as one of another service.
    #[error("linked case {code} is one of {service}")]
    OtherService {
        /// The application.
        code: String,
        /// Its service.
        service: String,
    },
    /// Members that are missing, named twice, not of the service, or not at the unit where they must be.
    #[error("linked members {0:?}")]
    Members(Vec<WrongMember>),
    /// Shared components that the service does not have.
    #[error("linked components {0:?}")]
    Components(Vec<String>),
    /// There is no such application, or the caller may not know of it.
    #[error("linked case not found")]
    NotFound,
    /// The application changed since the caller read it.
    #[error("stale etag of a linked case")]
    StaleEtag,
    /// It is at its end.
    #[error("the linked case has ended")]
    Ended,
    /// Every member has its result or is at its end.
    #[error("nothing is left to withdraw")]
    NothingToWithdraw,
    /// There is no such open question about a member of the caller's units.
    #[error("no open question {0}")]
    QuestionUnknown(i32),
    /// A result is not taken back here.
    #[error("the result of {0} cannot be undone")]
    UndoImpossible(String),
}

impl From<LinkedRefused> for Fault {
    fn from(refused: LinkedRefused) -> Self {
        use ErrorReason as R;
        match refused {
            LinkedRefused::ServiceNotFound(code) => words(
                Code::NotFound,
                R::LinkedServiceNotFound,
                "không có dịch vụ công liên thông này đang có hiệu lực",
                "there is no such linked service in force",
            )
            .fault()
            .with("service", code),
            LinkedRefused::National(code) => words(
                Code::FailedPrecondition,
                R::LinkedServiceNational,
                "dịch vụ này do hệ thống quốc gia điều phối; tại đây chỉ theo dõi",
                "the national system coordinates this service; it is only mirrored here",
            )
            .fault()
            .with("service", code),
            LinkedRefused::Local(code) => words(
                Code::FailedPrecondition,
                R::LinkedServiceLocal,
                "dịch vụ này được điều phối tại đây",
                "this service is coordinated here",
            )
            .fault()
            .with("service", code),
            LinkedRefused::NotDecided { code, facts } => {
                let shown = facts.join(", ");
                words(
                    Code::FailedPrecondition,
                    R::FactNotDecided,
                    format!("dịch vụ liên thông {code} còn nội dung chưa được xác nhận hoặc quyết định: {shown}"),
                    format!("linked service {code} has facts that nobody has confirmed or decided: {shown}"),
                )
                .fault()
                .with("service", code)
                .with("facts", shown)
            }
            LinkedRefused::OtherService { code, service } => words(
                Code::FailedPrecondition,
                R::LinkedServiceOther,
                "hồ sơ liên thông này thuộc dịch vụ khác",
                "the application is known as one of another linked service",
            )
            .fault()
            .with("linked_code", code)
            .with("service", service),
            LinkedRefused::Members(members) => {
                let codes: Vec<&str> = members.iter().map(WrongMember::code).collect();
                let shown = codes.join(", ");
                words(
                    Code::InvalidArgument,
                    R::LinkedMemberUnknown,
                    format!("thủ tục thành phần thiếu, trùng hoặc không thuộc dịch vụ: {shown}"),
                    format!("members are missing, named twice, or not of the service: {shown}"),
                )
                .fault()
                .violating(members.iter().map(member_violation).collect())
                .with("members", shown)
            }
            LinkedRefused::Components(components) => {
                let shown = components.join(", ");
                words(
                    Code::InvalidArgument,
                    R::LinkedComponentUnknown,
                    format!("dịch vụ không có thành phần dùng chung: {shown}"),
                    format!("the service asks for no such component once: {shown}"),
                )
                .fault()
                .with("components", shown)
            }
            LinkedRefused::NotFound => words(
                Code::NotFound,
                R::LinkedCaseNotFound,
                "không tìm thấy hồ sơ liên thông",
                "there is no such linked application",
            )
            .fault(),
            LinkedRefused::StaleEtag => Fault::new(
                Code::Aborted,
                "STALE_ETAG",
                "hồ sơ liên thông đã thay đổi từ khi được đọc; hãy đọc lại rồi thực hiện lại",
                "the linked application changed since it was read; read it again and repeat",
            ),
            LinkedRefused::Ended => words(
                Code::FailedPrecondition,
                R::LinkedCaseEnded,
                "hồ sơ liên thông đã kết thúc",
                "the linked application is at its end",
            )
            .fault(),
            LinkedRefused::NothingToWithdraw => words(
                Code::FailedPrecondition,
                R::LinkedNothingToWithdraw,
                "mọi thủ tục thành phần đã có kết quả hoặc đã kết thúc",
                "every member has its result or is at its end",
            )
            .fault(),
            LinkedRefused::QuestionUnknown(number) => words(
                Code::NotFound,
                R::LinkedQuestionUnknown,
                "không có câu hỏi nào như vậy đang chờ đơn vị quyết định",
                "there is no such open question for a unit of the caller",
            )
            .fault()
            .with("number", number.to_string()),
            LinkedRefused::UndoImpossible(member) => words(
                Code::FailedPrecondition,
                R::LinkedUndoImpossible,
                "kết quả đã ban hành không thu hồi được tại đây; chỉ ghi nhận hướng xử lý",
                "a result that was issued is not taken back here; say how it is dealt with and go on",
            )
            .fault()
            .with("member", member),
        }
    }
}

/// What is wrong with a member, in both languages.
fn member_violation(wrong: &WrongMember) -> Violation {
    let (vi, en) = match wrong {
        WrongMember::Missing(_) => ("thiếu thủ tục thành phần", "the member is missing"),
        WrongMember::Repeated(_) => (
            "thủ tục thành phần bị nêu nhiều lần",
            "the member is named more than once",
        ),
        WrongMember::Unknown(_) => (
            "dịch vụ không có thủ tục thành phần này",
            "the service has no such member",
        ),
        WrongMember::OtherUnit(_) => (
            "đơn vị giải quyết phải là đơn vị của thủ tục thành phần mà nó theo",
            "its unit is that of the member which it follows, and another one is named",
        ),
    };
    let code = wrong.code();
    Violation {
        field: "members".to_owned(),
        rule: "linked".to_owned(),
        vi: format!("{code}: {vi}"),
        en: format!("{code}: {en}"),
    }
}
