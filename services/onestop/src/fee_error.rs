//! Why something about fees is refused: one enum of what a caller can act on, one table to code, reason and words.

use egov_fault::{Code, Fault, Violation};
use egov_proto::egov::onestop::v1::ErrorReason;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use crate::domain::charge::{FeeRefused, QuantityFlaw};
use crate::domain::treasury::{Flaw, LineFlaw};
use crate::error::words;

/// Why something about fees is refused.
#[derive(Debug, thiserror::Error)]
pub enum FeeError {
    /// The rules of the charge refuse it.
    #[error(transparent)]
    Refused(#[from] FeeRefused),
    /// The charge changed since the caller read it.
    #[error("stale etag of a charge")]
    StaleCharge,
    /// The difference changed since the caller read it.
    #[error("stale etag of a difference")]
    StaleDifference,
    /// No payment platform is connected.
    #[error("no payment platform is connected")]
    NotConnected,
    /// The unit used the number of the receipt before.
    #[error("receipt number taken")]
    ReceiptTaken,
    /// No form of the treasury's file may be relied on.
    #[error("no form of the treasury's file on {0}")]
    FormatUnknown(Date),
    /// The same content was imported.
    #[error("imported before as {0}")]
    FileKnown(Uuid),
    /// What is wrong with a file.
    #[error("the file has {} flaws", .0.len())]
    FileFlawed(Vec<LineFlaw>),
    /// No file was imported for the day.
    #[error("no file of the treasury for {0}")]
    FileMissing(Date),
    /// There is no such difference, or the caller may not know of it.
    #[error("difference not found")]
    DifferenceNotFound,
    /// There is no such file, or the caller may not know of it.
    #[error("file of the treasury not found")]
    FileNotFound,
    /// The file was taken back before.
    #[error("taken back at {0}")]
    FileTakenBack(Timestamp),
    /// A file that the last reconciliation of the day used was taken back.
    #[error("{0} is to be reconciled again")]
    ReconcileAgain(Date),
    /// Somebody reconciled the day after the platform was asked for its list, so perhaps by a newer one.
    #[error("{0} was reconciled meanwhile")]
    ReconciledMeanwhile(Date),
}

/// A violation of one field.
fn field(name: &str, vi: String, en: String) -> Fault {
    Fault::invalid(vec![Violation {
        field: name.to_owned(),
        rule: "value".to_owned(),
        vi,
        en,
    }])
}

fn flaw_words(flaw: Flaw) -> (&'static str, &'static str) {
    match flaw {
        Flaw::NotText => ("tệp không phải văn bản UTF-8", "the file is not UTF-8"),
        Flaw::ColumnMissing => ("thiếu cột", "the column is missing"),
        Flaw::ColumnTwice => ("cột lặp lại", "the column is there twice"),
        Flaw::Unreadable => ("không đọc được dòng", "the line cannot be read"),
        Flaw::LineBreak => (
            "giá trị kéo sang dòng sau (thiếu dấu ngoặc kép đóng)",
            "a value runs on into the next line (a closing quotation mark is missing)",
        ),
        Flaw::OtherLength => (
            "số giá trị khác số cột",
            "the line has another number of values than there are columns",
        ),
        Flaw::Day => ("không phải là ngày", "is not a day"),
        Flaw::CaseCode => ("không phải là mã hồ sơ", "is not a case code"),
        Flaw::Reference => ("không phải là mã tham chiếu", "is not a reference"),
        Flaw::Amount => (
            "không phải là số tiền nguyên khác 0",
            "is not a whole amount other than 0",
        ),
        Flaw::TooLong => ("tệp quá dài", "the file is too long"),
    }
}

fn of_line(flaw: &LineFlaw) -> Violation {
    let (vi, en) = flaw_words(flaw.flaw);
    let column = |text: &str| {
        if flaw.column.is_empty() {
            text.to_owned()
        } else {
            format!("{}: {text}", flaw.column)
        }
    };
    let (vi, en) = (column(vi), column(en));
    Violation {
        field: "content".to_owned(),
        rule: format!("line.{}", flaw.line),
        vi: format!("dòng {}: {vi}", flaw.line),
        en: format!("line {}: {en}", flaw.line),
    }
}

fn refused(refused: FeeRefused) -> Fault {
    use ErrorReason as R;
    match refused {
        FeeRefused::FeeUnknown(numbers) => words(
            Code::InvalidArgument,
            R::FeeUnknown,
            "hồ sơ không có khoản phí, lệ phí này",
            "the case has no such fee",
        )
        .fault()
        .with(
            "number",
            numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        ),
        FeeRefused::NotEstablished(names) => words(
            Code::FailedPrecondition,
            R::FeeNotEstablished,
            format!("mức thu chưa được xác định: {}", names.join(", ")),
            format!("the amount is not established: {}", names.join(", ")),
        )
        .fault()
        .with("fees", names.join(", ")),
        FeeRefused::Quantities(flaws) => {
            let violation = |(place, flaw): &(usize, QuantityFlaw)| {
                let (field, vi, en) = match flaw {
                    QuantityFlaw::DueOnce => ("quantity", "khoản này thu một lần cho hồ sơ", "this fee is due once"),
                    QuantityFlaw::Twice => ("number", "khoản này đã được nêu", "this fee was named before"),
                };
                Violation {
                    field: format!("quantities[{place}].{field}"),
                    rule: "value".to_owned(),
                    vi: vi.to_owned(),
                    en: en.to_owned(),
                }
            };
            Fault::invalid(flaws.iter().map(violation).collect())
        }
        FeeRefused::NotLess(most) => field(
            "reduced_to_vnd",
            format!("phải từ 0 đến {most} đồng"),
            format!("must be between 0 and {most} đồng"),
        ),
        FeeRefused::OtherAmount(left) => field(
            "amount_vnd",
            format!("số tiền còn phải thu là {left} đồng"),
            format!("{left} đồng is left to pay"),
        ),
        FeeRefused::NothingToPay => words(
            Code::FailedPrecondition,
            R::NothingToPay,
            "không còn khoản nào phải thu",
            "nothing is left to pay",
        )
        .fault(),
        FeeRefused::Pending(payment_id) => words(
            Code::FailedPrecondition,
            R::PaymentPending,
            "đang chờ thanh toán",
            "an order to pay is open",
        )
        .fault()
        .with("payment_id", payment_id.to_string()),
        FeeRefused::AlreadyPaid => words(
            Code::FailedPrecondition,
            R::FeesPaid,
            "đã thu; không giảm số lượng được nữa, chỉ miễn, giảm theo quyết định",
            "something was paid; its number is not lowered any more, an exemption reduces it",
        )
        .fault(),
        FeeRefused::NotOpen(state) => words(
            Code::FailedPrecondition,
            R::ChargeNotOpen,
            "hồ sơ chưa được tiếp nhận hoặc đã kết thúc mà không có kết quả; không thu",
            "the case was not accepted yet, or ended without a result; nothing is collected",
        )
        .fault()
        .with("state", state.code().to_string()),
        FeeRefused::PaymentNotFound => words(
            Code::NotFound,
            R::PaymentNotFound,
            "hồ sơ không có khoản thanh toán này",
            "the case has no such payment",
        )
        .fault(),
        FeeRefused::PaymentState(state) => words(
            Code::FailedPrecondition,
            R::PaymentState,
            "khoản này chưa được thanh toán hoặc đã hoàn",
            "the payment was not made yet, or is given back",
        )
        .fault()
        .with("state", state.code().to_string()),
        FeeRefused::RefundNotDue => words(
            Code::FailedPrecondition,
            R::RefundNotDue,
            "khoản này vẫn phải thu, không thuộc trường hợp hoàn",
            "the payment is owed; no refund is due",
        )
        .fault(),
    }
}

impl From<FeeError> for Fault {
    fn from(error: FeeError) -> Self {
        use ErrorReason as R;
        match error {
            FeeError::Refused(why) => refused(why),
            FeeError::StaleCharge => Fault::new(
                Code::Aborted,
                "STALE_ETAG",
                "khoản thu đã thay đổi từ khi được đọc; hãy đọc lại rồi thực hiện lại",
                "the charge changed since it was read; read it again and repeat",
            ),
            FeeError::StaleDifference => Fault::new(
                Code::Aborted,
                "STALE_ETAG",
                "chênh lệch đã thay đổi từ khi được đọc; hãy đọc lại rồi thực hiện lại",
                "the difference changed since it was read; read it again and repeat",
            ),
            FeeError::NotConnected => words(
                Code::FailedPrecondition,
                R::PaymentsNotConnected,
                "chưa kết nối nền tảng thanh toán; hãy thu tại quầy",
                "no payment platform is connected; take the fee at the counter",
            )
            .fault(),
            FeeError::ReceiptTaken => words(
                Code::AlreadyExists,
                R::ReceiptNumberTaken,
                "số biên lai này đã được dùng",
                "this number of a receipt was used before",
            )
            .fault(),
            FeeError::FormatUnknown(day) => words(
                Code::FailedPrecondition,
                R::TreasuryFormatUnknown,
                "chưa có mẫu tệp kho bạc có hiệu lực được xác nhận hoặc quyết định",
                "no form of the treasury's file is in force that may be relied on",
            )
            .fault()
            .with("day", day.to_string()),
            FeeError::FileKnown(file_id) => words(
                Code::AlreadyExists,
                R::TreasuryFileKnown,
                "tệp có cùng nội dung đã được nhập",
                "a file with the same content was imported before",
            )
            .fault()
            .with("file_id", file_id.to_string()),
            FeeError::FileFlawed(flaws) => Fault::invalid(flaws.iter().map(of_line).collect()),
            FeeError::FileMissing(day) => words(
                Code::FailedPrecondition,
                R::TreasuryFileMissing,
                "chưa nhập tệp kho bạc của ngày này",
                "no file of the treasury was imported for this day",
            )
            .fault()
            .with("day", day.to_string()),
            FeeError::DifferenceNotFound => words(
                Code::NotFound,
                R::DifferenceNotFound,
                "không tìm thấy chênh lệch",
                "there is no such difference",
            )
            .fault(),
            FeeError::FileNotFound => words(
                Code::NotFound,
                R::TreasuryFileNotFound,
                "không tìm thấy tệp kho bạc",
                "there is no such file of the treasury",
            )
            .fault(),
            FeeError::FileTakenBack(time) => words(
                Code::FailedPrecondition,
                R::TreasuryFileTakenBack,
                "tệp này đã được thu hồi",
                "the file was taken back before",
            )
            .fault()
            .with("take_back_time", time.to_string()),
            FeeError::ReconcileAgain(day) => words(
                Code::FailedPrecondition,
                R::ReconcileAgain,
                "tệp kho bạc đã dùng để đối soát ngày này bị thu hồi; hãy đối soát lại trước",
                "a file by which this day was reconciled was taken back; reconcile it again first",
            )
            .fault()
            .with("day", day.to_string()),
            FeeError::ReconciledMeanwhile(day) => Fault::new(
                Code::Aborted,
                "CONCURRENT_WRITE",
                "ngày này vừa được người khác đối soát; hãy thực hiện lại",
                "somebody else reconciled this day a moment ago; repeat",
            )
            .with("day", day.to_string()),
        }
    }
}
