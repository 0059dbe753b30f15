//! Why an operation is refused: one enum of what a caller can act on, one table to code, reason and words.

use std::time::Duration;

use egov_calendar::{vietnam_time, written_date, written_time};
use egov_fault::{Code, Fault, Violation};
use egov_proto::egov::onestop::v1::ErrorReason;

use crate::component_error::component_refused;
use crate::definition_error::DefinitionError;
use crate::domain::case::ActRefused;
use crate::domain::components::{ComponentRefused, PutRefused};
use crate::domain::extension::ExtensionRefused;
use crate::domain::pack::{Flaw, PackError, flaw_in_vietnamese};
use crate::domain::results::ResultRefused;
use crate::domain::transitions::{Refused, State};
use crate::domain::work::task::WorkRefused;
use crate::population_error::population_refused;
use crate::result_error::result_refused;
use crate::store::StoreError;
use crate::work_error::work_refused;

/// ErrorInfo.domain of this service's own reasons.
const DOMAIN: &str = "onestop.egov";

/// Why an operation is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such case, or the caller may not know of it: the two look the same.
    #[error("case not found")]
    CaseNotFound,
    /// There is no such procedure in force on the day.
    #[error("procedure {0} is not in force")]
    ProcedureNotFound(String),
    /// The case changed since the caller read it.
    #[error("stale etag")]
    StaleEtag,
    /// The rules of the case refuse the act.
    #[error(transparent)]
    Act(#[from] ActRefused),
    /// Components that the procedure requires are missing; each names its code, or the codes one of which is needed.
    #[error("components missing: {}", .0.join(", "))]
    ComponentsMissing(Vec<String>),
    /// Components that the procedure does not have.
    #[error("unknown components: {}", .0.join(", "))]
    ComponentsUnknown(Vec<String>),
    /// Components of which nothing is filed: no file, no paper, no data.
    #[error("empty components: {}", .0.join(", "))]
    ComponentsEmpty(Vec<String>),
    /// The procedure is not for this kind of applicant.
    #[error("the procedure is not for this kind of applicant")]
    ApplicantNotEligible,
    /// Conditions that the procedure does not have.
    #[error("unknown conditions: {}", .0.join(", "))]
    ConditionsUnknown(Vec<String>),
    /// The procedure is not offered on this channel, or not by a unit of this level.
    #[error("not offered: {0}")]
    NotOffered(String),
    /// The procedure got another version since the caller read it.
    #[error("the procedure changed")]
    ProcedureChanged,
    /// Facts of the procedure without which no case can be filed.
    #[error("facts of {procedure_code} not decided: {}", facts.join(", "))]
    FactsNotDecided {
        /// The procedure.
        procedure_code: String,
        /// Every such fact, by its path.
        facts: Vec<String>,
    },
    /// The procedure has no such fact.
    #[error("no fact {0}")]
    FactUnknown(String),
    /// The fact is confirmed.
    #[error("fact {0} is confirmed")]
    FactConfirmed(String),
    /// What was decided would make the procedure contradict itself; everything that is wrong.
    #[error("the decision is flawed: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    DecisionFlawed(Vec<Flaw>),
    /// A decision would hold before today, or before the version on which it builds.
    #[error("a decision cannot hold before {0}")]
    EffectiveTooEarly(jiff::civil::Date),
    /// A fact on which the act rests is neither confirmed nor decided.
    #[error("fact not decided: {0}")]
    FactNotDecided(String),
    /// The responsible unit has no agency code from which case codes may be issued.
    #[error("unit {0} has no agency code to issue case codes from")]
    AgencyCodeMissing(i32),
    /// The agency's numbers of the day are used up.
    #[error("daily numbers exhausted: {0}")]
    DailyNumbersExhausted(egov_codes::DailyNumbersExhausted),
    /// Code and secret do not belong together.
    #[error("look-up refused")]
    LookupRefused,
    /// Too many wrong secrets.
    #[error("look-up locked")]
    LookupLocked(Duration),
    /// No unit carries this code today.
    #[error("no unit carries the code {0} today")]
    UnitNotFound(String),
    /// The unit has closed.
    #[error("the unit {code} has closed")]
    UnitClosed {
        /// Its code.
        code: String,
        /// Its name.
        name: String,
        /// Code and name of the unit that its work is at, if a successor was recorded.
        successor: Option<(String, String)>,
    },
    /// A file is not a free, finished upload of the caller.
    #[error("{0} of the files cannot be used")]
    FilesNotUsable(u64),
    /// The procedure has no such step.
    #[error("unknown step {0}")]
    StepUnknown(String),
    /// The procedure has no such result.
    #[error("unknown result {0}")]
    ResultUnknown(String),
    /// An extension to this date, or at this time, is refused.
    #[error("extension refused: {0}")]
    Extension(ExtensionRefused),
    /// Notices that no calendar can be made of.
    #[error("the notices cannot be read: {0}")]
    NoticesRefused(String),
    /// The calendar does not cover the days that the period needs.
    #[error("calendar: {0}")]
    Calendar(#[source] egov_calendar::CalendarError),
    /// Something about definitions.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The rules of work refuse the act.
    #[error(transparent)]
    Work(#[from] WorkRefused),
    /// The task changed since the caller read it.
    #[error("stale etag of a task")]
    StaleTask,
    /// Figures or a report are refused.
    #[error(transparent)]
    Report(#[from] crate::report_error::ReportRefused),
    /// Of papers.
    #[error(transparent)]
    Paper(#[from] crate::paper_error::PaperError),
    /// Something about fees is refused.
    #[error(transparent)]
    Fee(#[from] crate::fee_error::FeeError),
    /// Something at the counter is refused.
    #[error(transparent)]
    Counter(#[from] crate::counter_error::CounterRefused),
    /// Something about components or stored papers is refused.
    #[error(transparent)]
    Component(#[from] ComponentRefused),
    /// Data of the population database does not stand in the place of a paper.
    #[error(transparent)]
    Population(#[from] crate::population_error::PopulationRefused),
    /// Something about linked services is refused.
    #[error(transparent)]
    Linked(#[from] crate::linked_error::LinkedRefused),
    /// Something about a result is refused.
    #[error(transparent)]
    Result(#[from] ResultRefused),
    /// The case goes into a book of civil status, and nobody said who signs.
    #[error("the decision goes into a book of civil status")]
    CivilDecisionExpected,
    /// What was decided of the case waits for the book.
    #[error("the decision waits for the book")]
    DecisionAwaitsBook,
    /// There is no such decision that waits.
    #[error("no such decision waits for the book")]
    CivilDecisionNotWaiting,
    /// A fault of another part of the platform, passed on as it is.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PackError> for Error {
    fn from(error: PackError) -> Self {
        match error {
            PackError::NoSuchFact { path, .. } => Self::FactUnknown(path),
            PackError::AlreadySettled { path, .. } => Self::FactConfirmed(path),
            PackError::Flawed { flaws, .. } => Self::DecisionFlawed(flaws),
            error @ (PackError::Malformed(_) | PackError::Unexplained) => Fault::internal(error).into(),
        }
    }
}

impl From<PutRefused> for Error {
    fn from(refused: PutRefused) -> Self {
        match refused {
            PutRefused::Component(refused) => Self::Component(refused),
            PutRefused::Act(refused) => Self::Act(refused),
        }
    }
}

impl From<ExtensionRefused> for Error {
    fn from(refused: ExtensionRefused) -> Self {
        match refused {
            ExtensionRefused::Calendar(source) => Self::Calendar(source),
            refused => Self::Extension(refused),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(StoreError::Sql(error))
    }
}

/// Why a reason is given, in both languages.
pub(crate) struct Words {
    code: Code,
    reason: ErrorReason,
    vi: String,
    en: String,
}

impl Words {
    pub(crate) fn fault(self) -> Fault {
        let name = self.reason.as_str_name();
        Fault::new(
            self.code,
            name.strip_prefix("ERROR_REASON_").unwrap_or(name),
            self.vi,
            self.en,
        )
        .domain(DOMAIN)
    }
}

pub(crate) fn words(code: Code, reason: ErrorReason, vi: impl Into<String>, en: impl Into<String>) -> Words {
    Words {
        code,
        reason,
        vi: vi.into(),
        en: en.into(),
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        use ErrorReason as R;
        let listed = |items: &[String]| items.join(", ");
        match error {
            Error::CaseNotFound => words(
                Code::NotFound,
                R::CaseNotFound,
                "không tìm thấy hồ sơ",
                "there is no such case",
            )
            .fault(),
            Error::ProcedureNotFound(code) => words(
                Code::NotFound,
                R::ProcedureNotFound,
                format!("không có thủ tục {code} đang có hiệu lực"),
                format!("no procedure {code} is in force"),
            )
            .fault()
            .with("procedure_code", code),
            Error::StaleEtag => Fault::new(
                Code::Aborted,
                "STALE_ETAG",
                "hồ sơ đã thay đổi từ khi được đọc; hãy đọc lại rồi thực hiện lại",
                "the case changed since it was read; read it again and repeat",
            ),
            Error::Act(refused) => act_refused(refused),
            Error::Work(refused) => work_refused(refused),
            Error::Component(refused) => component_refused(refused),
            Error::Population(refused) => population_refused(refused),
            Error::StaleTask => Fault::new(
                Code::Aborted,
                "STALE_ETAG",
                "việc đã thay đổi từ khi được đọc; hãy đọc lại rồi thực hiện lại",
                "the task changed since it was read; read it again and repeat",
            ),
            Error::ComponentsMissing(missing) => words(
                Code::FailedPrecondition,
                R::ComponentsMissing,
                format!("thiếu thành phần hồ sơ: {}", listed(&missing)),
                format!("components are missing: {}", listed(&missing)),
            )
            .fault()
            .with("components", listed(&missing)),
            Error::ComponentsUnknown(unknown) => words(
                Code::InvalidArgument,
                R::ComponentUnknown,
                format!("thủ tục không có thành phần: {}", listed(&unknown)),
                format!("the procedure has no such component: {}", listed(&unknown)),
            )
            .fault()
            .with("components", listed(&unknown)),
            Error::ComponentsEmpty(empty) => words(
                Code::InvalidArgument,
                R::ComponentEmpty,
                format!(
                    "không có tệp, giấy tờ hoặc dữ liệu nào cho thành phần: {}",
                    listed(&empty)
                ),
                format!("no file, paper or data is filed for: {}", listed(&empty)),
            )
            .fault()
            .with("components", listed(&empty)),
            Error::ApplicantNotEligible => words(
                Code::FailedPrecondition,
                R::ApplicantNotEligible,
                "thủ tục không dành cho đối tượng này",
                "the procedure is not for this kind of applicant",
            )
            .fault(),
            Error::ConditionsUnknown(unknown) => words(
                Code::InvalidArgument,
                R::ConditionUnknown,
                format!("thủ tục không có trường hợp: {}", listed(&unknown)),
                format!("the procedure has no such condition: {}", listed(&unknown)),
            )
            .fault()
            .with("conditions", listed(&unknown)),
            Error::NotOffered(why) => words(
                Code::FailedPrecondition,
                R::ChannelNotOffered,
                "thủ tục không được thực hiện theo kênh này hoặc ở cấp này",
                "the procedure is not offered on this channel or at this level",
            )
            .fault()
            .with("detail", why),
            Error::ProcedureChanged => Fault::new(
                Code::Aborted,
                "STALE_ETAG",
                "thủ tục đã có phiên bản mới từ khi được đọc; hãy đọc lại rồi quyết định lại",
                "the procedure got a new version since it was read; read it again and decide again",
            ),
            Error::FactsNotDecided { procedure_code, facts } => words(
                Code::FailedPrecondition,
                R::FactNotDecided,
                format!(
                    "chưa thể nộp hồ sơ theo thủ tục {procedure_code}: còn {} thông tin chưa được xác nhận hoặc quyết định ({}); \
                     người quyết định: {DECIDES_VI}",
                    facts.len(),
                    listed(&facts)
                ),
                format!(
                    "no case can be filed under {procedure_code} yet: {} facts are neither confirmed nor decided ({}); \
                     who decides: {DECIDES_EN}",
                    facts.len(),
                    listed(&facts)
                ),
            )
            .fault()
            .with("procedure_code", procedure_code)
            .with("facts", listed(&facts))
            .with("decided_by_role", DECIDES_ROLE),
            Error::FactUnknown(path) => words(
                Code::NotFound,
                R::FactUnknown,
                format!("thủ tục không có thông tin {path}"),
                format!("the procedure has no fact {path}"),
            )
            .fault()
            .with("path", path),
            Error::FactConfirmed(path) => words(
                Code::FailedPrecondition,
                R::FactConfirmed,
                format!("thông tin {path} đã có nguồn xác nhận; chỉ thay đổi theo pháp luật, bằng một phiên bản mới của gói"),
                format!("{path} is confirmed by a source; the law changes it, by a new version of the pack"),
            )
            .fault()
            .with("path", path),
            Error::DecisionFlawed(flaws) => Fault::invalid(flaws.into_iter().map(violation).collect()),
            Error::EffectiveTooEarly(earliest) => {
                let day = earliest.strftime("%d/%m/%Y");
                Fault::invalid(vec![Violation {
                    field: "effective_from".to_owned(),
                    rule: "earliest".to_owned(),
                    vi: format!("sớm nhất là ngày {day}"),
                    en: format!("not before {day}"),
                }])
            }
            Error::FactNotDecided(fact) => words(
                Code::FailedPrecondition,
                R::FactNotDecided,
                "một thông tin của thủ tục chưa được xác nhận hoặc quyết định",
                "a fact of the procedure is neither confirmed nor decided",
            )
            .fault()
            .with("fact", fact),
            Error::AgencyCodeMissing(unit) => words(
                Code::FailedPrecondition,
                R::AgencyCodeMissing,
                "cơ quan chưa có mã định danh được ban hành để cấp mã hồ sơ",
                "the agency has no issued code from which case codes may be made",
            )
            .fault()
            .with("unit_id", unit.to_string()),
            Error::DailyNumbersExhausted(exhausted) => words(
                Code::ResourceExhausted,
                R::DailyNumbersExhausted,
                format!(
                    "đã dùng hết số hồ sơ {} chữ số trong ngày của cơ quan",
                    exhausted.digits
                ),
                format!(
                    "the agency's case numbers of {} digits are used up for the day",
                    exhausted.digits
                ),
            )
            .fault()
            .with("digits", exhausted.digits.to_string()),
            Error::LookupRefused => words(
                Code::NotFound,
                R::LookupRefused,
                "mã hồ sơ hoặc mã tra cứu không đúng",
                "the case code or the look-up secret is wrong",
            )
            .fault(),
            Error::LookupLocked(wait) => words(
                Code::ResourceExhausted,
                R::LookupLocked,
                format!("đã nhập sai nhiều lần; hãy thử lại sau {} giây", wait.as_secs()),
                format!("too many wrong secrets; try again in {} seconds", wait.as_secs()),
            )
            .fault()
            .retry_after(wait),
            Error::UnitNotFound(code) => words(
                Code::NotFound,
                R::UnitNotFound,
                format!("hôm nay không có đơn vị mang mã {code}"),
                format!("no unit carries the code {code} today"),
            )
            .fault()
            .with("unit_code", code),
            Error::UnitClosed { code, name, successor } => {
                let (vi, en) = match &successor {
                    Some((to, named)) => (
                        format!("{name} ({code}) đã kết thúc hoạt động; hãy nộp đến đơn vị kế thừa: {named} ({to})"),
                        format!("{name} ({code}) has closed; file with its successor: {named} ({to})"),
                    ),
                    None => (
                        format!("{name} ({code}) đã kết thúc hoạt động và chưa có đơn vị kế thừa được ghi nhận"),
                        format!("{name} ({code}) has closed, and no successor was recorded"),
                    ),
                };
                let fault = words(Code::FailedPrecondition, R::UnitClosed, vi, en)
                    .fault()
                    .with("unit_code", code);
                match successor {
                    Some((to, named)) => fault.with("successor_code", to).with("successor_name", named),
                    None => fault,
                }
            }
            Error::FilesNotUsable(count) => words(
                Code::FailedPrecondition,
                R::FileNotUsable,
                "có tệp chưa tải lên xong, không thuộc người nộp hoặc đã thuộc hồ sơ khác",
                "a file is not a finished upload of the caller, or belongs to another case",
            )
            .fault()
            .with("count", count.to_string()),
            Error::StepUnknown(step) => words(
                Code::InvalidArgument,
                R::StepUnknown,
                format!("thủ tục không có bước {step}"),
                format!("the procedure has no step {step}"),
            )
            .fault(),
            Error::ResultUnknown(result) => words(
                Code::InvalidArgument,
                R::ResultUnknown,
                format!("thủ tục không có kết quả {result}"),
                format!("the procedure has no result {result}"),
            )
            .fault(),
            Error::Extension(refused) => extension_refused(&refused),
            Error::NoticesRefused(why) => Fault::invalid(vec![Violation {
                field: "notices".to_owned(),
                rule: "calendar".to_owned(),
                vi: format!("không lập được lịch làm việc từ các thông báo này: {why}"),
                en: format!("no calendar can be made of these notices: {why}"),
            }]),
            Error::Calendar(source) => words(
                Code::FailedPrecondition,
                R::CalendarNotCovered,
                "lịch làm việc chưa có những ngày cần tính",
                "the working calendar does not cover the days needed",
            )
            .fault()
            .caused_by(source),
            Error::Definition(error) => error.into(),
            Error::Report(refused) => refused.into(),
            Error::Paper(error) => error.into(),
            Error::Counter(refused) => refused.into(),
            Error::Fee(refused) => refused.into(),
            Error::Linked(refused) => refused.into(),
            Error::Result(refused) => result_refused(refused),
            Error::CivilDecisionExpected => words(
                Code::FailedPrecondition,
                R::CivilDecisionExpected,
                "quyết định của thủ tục này được ghi vào sổ hộ tịch: phải nêu người ký (DecideCivilCase)",
                "the decision of this procedure goes into a book of civil status: it says who signs (DecideCivilCase)",
            )
            .fault(),
            Error::DecisionAwaitsBook => words(
                Code::FailedPrecondition,
                R::DecisionAwaitsBook,
                "hồ sơ đã có quyết định và đang chờ vào sổ hộ tịch",
                "the case was decided and waits for the book of civil status",
            )
            .fault(),
            Error::CivilDecisionNotWaiting => words(
                Code::FailedPrecondition,
                R::CivilDecisionNotWaiting,
                "không có quyết định này đang chờ vào sổ: đã vào sổ hoặc đã trả lại",
                "no such decision waits for the book: it is entered, or was given back",
            )
            .fault(),
            Error::Fault(fault) => fault,
            Error::Store(StoreError::Sql(error)) => egov_database::sql_fault(error),
            Error::Store(error) => Fault::internal(error),
        }
    }
}

/// Who decides what no source confirms: the role in `deploy/policies/onestop.toml`, and its title.
pub(crate) const DECIDES_ROLE: &str = "procedure_controller";
/// The same, in Vietnamese.
pub(crate) const DECIDES_VI: &str = "công chức kiểm soát thủ tục hành chính của tỉnh";
const DECIDES_EN: &str = "the province's controller of procedures";

/// A flaw of a decided value in both languages.
fn violation(flaw: Flaw) -> Violation {
    Violation {
        field: flaw.path,
        rule: "procedure".to_owned(),
        vi: flaw_in_vietnamese(&flaw.text).to_owned(),
        en: flaw.text,
    }
}

fn act_refused(refused: ActRefused) -> Fault {
    use ErrorReason as R;
    match refused {
        ActRefused::Transition(refused) => transition_refused(&refused),
        ActRefused::NothingSupplied => words(
            Code::FailedPrecondition,
            R::SupplementNotSupplied,
            "giấy tờ đã yêu cầu bổ sung chưa được nộp",
            "the supplement that was asked for has not been supplied",
        )
        .fault(),
        ActRefused::SupplementBasisMissing => words(
            Code::FailedPrecondition,
            R::SupplementBasisMissing,
            "yêu cầu bổ sung thêm lần nữa phải nêu giai đoạn và căn cứ pháp lý",
            "a further supplement needs its stage and its legal basis",
        )
        .fault(),
        ActRefused::AlreadyRated => words(
            Code::FailedPrecondition,
            R::AlreadyRated,
            "hồ sơ đã được đánh giá",
            "the case was rated already",
        )
        .fault(),
        ActRefused::ClockNotRunning { state } => words(
            Code::FailedPrecondition,
            R::DeadlineNotRunning,
            "thời hạn của hồ sơ không đang được tính: hồ sơ chưa tiếp nhận, đang tạm dừng, hoặc đã có kết quả",
            "the clock of the case does not run: it was not accepted, stands still, or is decided",
        )
        .fault()
        .with("state", state.code().to_string()),
        ActRefused::AlreadyExtended => words(
            Code::FailedPrecondition,
            R::DeadlineAlreadyExtended,
            "thời hạn giải quyết chỉ được gia hạn một lần, và hồ sơ đã được gia hạn",
            "a period is extended at most once, and this one was",
        )
        .fault(),
        ActRefused::Expired { due } => {
            let at = written_time(vietnam_time(due));
            words(
                Code::FailedPrecondition,
                R::DeadlinePassed,
                format!("thời hạn đã hết lúc {at}, không gia hạn được nữa; kết quả vẫn được trả"),
                format!("the period expired at {at} and cannot be extended; the result is given all the same"),
            )
            .fault()
            .with("due_time", due.to_string())
        }
        ActRefused::NotReturned { state } => words(
            Code::FailedPrecondition,
            R::NotReturned,
            "chỉ đánh giá sau khi đã trả kết quả",
            "a case is rated after its result was returned",
        )
        .fault()
        .with("state", state.code().to_string()),
    }
}

fn extension_refused(refused: &ExtensionRefused) -> Fault {
    let new_date = |vi: String, en: String| {
        Fault::invalid(vec![Violation {
            field: "new_due_date".to_owned(),
            rule: "deadline".to_owned(),
            vi,
            en,
        }])
    };
    match refused {
        ExtensionRefused::NotLater(present) => {
            let day = written_date(*present);
            new_date(
                format!("phải sau ngày hẹn trả hiện tại {day}"),
                format!("must be after the present due date {day}"),
            )
        }
        ExtensionRefused::NotReached(ends) => {
            let day = written_date(*ends);
            new_date(
                format!("thời hạn gia hạn sẽ kết thúc vào ngày {day}"),
                format!("the extended period would end on {day}"),
            )
        }
        ExtensionRefused::DayOff(day) => {
            let day = written_date(*day);
            new_date(
                format!("{day} không phải là ngày làm việc"),
                format!("{day} is not a working day"),
            )
        }
        ExtensionRefused::TooLate { latest, basis } => {
            let at = written_time(vietnam_time(*latest));
            words(
                Code::FailedPrecondition,
                ErrorReason::ExtensionTooLate,
                format!("văn bản xin lỗi và hẹn lại phải gửi chậm nhất {at} ({basis})"),
                format!("the apology with the new date had to be given by {at} ({basis})"),
            )
            .fault()
            .with("latest", latest.to_string())
        }
        ExtensionRefused::Calendar(_) => Fault::internal(refused.clone()),
    }
}

/// Names what is allowed instead, for people in the text and for programs in the metadata.
fn transition_refused(refused: &Refused) -> Fault {
    let allowed = refused
        .allowed
        .iter()
        .map(|(operation, to)| format!("{operation}→{}", to.code()))
        .collect::<Vec<_>>()
        .join(", ");
    let (vi, en) = if allowed.is_empty() {
        (
            "không còn thao tác nào".to_owned(),
            "nothing is allowed any more".to_owned(),
        )
    } else {
        (format!("được phép: {allowed}"), format!("allowed: {allowed}"))
    };
    let state = State::code(refused.state);
    words(
        Code::FailedPrecondition,
        ErrorReason::TransitionNotAllowed,
        format!("không thực hiện được {} ở trạng thái {state}; {vi}", refused.operation),
        format!("{} is not allowed in state {state}; {en}", refused.operation),
    )
    .fault()
    .with("operation", refused.operation.as_str())
    .with("state", state.to_string())
    .with("allowed", allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transitions::Operation;

    #[test]
    fn a_refused_transition_names_the_allowed_ones() {
        let fault = Fault::from(Error::Act(ActRefused::Transition(Box::new(Refused {
            operation: Operation::Accept,
            state: State::Completed,
            allowed: vec![(Operation::ReturnResult, State::Returned)],
        }))));
        assert_eq!(
            (fault.code(), fault.reason()),
            (Code::FailedPrecondition, "TRANSITION_NOT_ALLOWED")
        );
        assert_eq!(fault.metadata()["allowed"], "return_result→10");
        assert!(fault.en().contains("return_result→10") && fault.vi().contains("return_result→10"));
    }

    #[test]
    fn a_failure_of_the_store_shows_nothing_of_it() {
        let fault = Fault::from(Error::Store(StoreError::Inconsistent {
            table: "cases",
            column: "state",
        }));
        assert_eq!(fault.code(), Code::Internal);
        assert!(!fault.en().contains("cases") && !fault.vi().contains("cases"));
    }
}
