//! Why an operation is refused: one enum of what a caller can act on, one table to code, reason and words.

use egov_calendar::CalendarError;
use egov_fault::{Code, Fault, Violation};
use egov_proto::egov::civil_registry::v1::ErrorReason;
use jiff::civil::Date;

use crate::domain::book::{BookRefused, BookState, EventKind};
use crate::domain::finding;
use crate::old_book_error::OldBookError;
use crate::paper_error::PaperError;
use crate::store::StoreError;

/// ErrorInfo.domain of this service's own reasons.
const DOMAIN: &str = "civil_registry.egov";

/// Why an operation is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such book, or the caller may not know of it: the two look the same.
    #[error("book not found")]
    BookNotFound,
    /// The commune has a book of this kind and year.
    #[error("the commune has this book already")]
    BookExists,
    /// The rules of the book refuse the act.
    #[error(transparent)]
    Book(#[from] BookRefused),
    /// The commune has no open book for the year of a registration.
    #[error("no open book of {} for {year}", event.en())]
    BookNotOpen {
        /// The kind of book.
        event: EventKind,
        /// Its year.
        year: i16,
        /// Its state, if there is one.
        state: Option<BookState>,
    },
    /// The book changed since the caller read it.
    #[error("stale etag")]
    StaleEtag,
    /// The unit is no commune or ward, or not of that day.
    #[error("unit {0} keeps no books")]
    UnitKeepsNoBooks(i32),
    /// There is no such entry, or the caller may not know of it.
    #[error("entry not found")]
    EntryNotFound,
    /// There is no such person, or the caller may not know of it.
    #[error("person not found")]
    PersonNotFound,
    /// There is no such pair of births, or the caller may not know of it.
    #[error("pair of births not found")]
    DuplicateNotFound,
    /// There is no decision on the pair that could be taken back.
    #[error("nothing was decided of the pair")]
    DuplicateUndecided,
    /// By other decisions that count the two are two people.
    #[error("the decision contradicts others")]
    DuplicateContradicts,
    /// The birth of the person with this number is registered.
    #[error("the birth is registered already")]
    BirthRegistered,
    /// It is a correction itself.
    #[error("a correction is not corrected")]
    EntryNotCorrectable,
    /// The death of the person is registered.
    #[error("the death is registered already")]
    DeathRegistered,
    /// The annotation is cancelled already.
    #[error("the annotation is cancelled already")]
    AnnotationCancelled,
    /// One of the two has married since the marriage ended that a note is to restore.
    #[error("one of the two has married since")]
    MarriedSince,
    /// The child has been adopted anew since the adoption ended that a note is to restore.
    #[error("the child has been adopted since")]
    AdoptedSince,
    /// The request for a number is in another state than refused; the code of its state.
    #[error("the request for a number is in state {0}")]
    NumberRequestState(i16),
    /// Figures of a unit that the caller does not see, or that does not exist: the two look the same.
    #[error("unit {0} is not in the caller's scope")]
    UnitNotInScope(i32),
    /// Decisions of one-stop wait for the book: so many.
    #[error("{0} decisions wait for the book")]
    BookDecisionsPending(i64),
    /// There is no such decision, or the caller may not know of it.
    #[error("decision not found")]
    PendingDecisionNotFound,
    /// The decision is entered, or was given back.
    #[error("the decision does not wait any more")]
    PendingDecisionClosed,
    /// What is to be entered is not said, or is of another book.
    #[error("what the decision enters is not said")]
    PendingDecisionContent,
    /// A message of a programme was answered, and is not kept any more.
    #[error("the search is not kept any more")]
    SearchForgotten,
    /// A paper is refused.
    #[error(transparent)]
    Paper(#[from] PaperError),
    /// An act on an old book is refused.
    #[error(transparent)]
    OldBook(#[from] OldBookError),
    /// No rules of registering are known for a day.
    #[error("no rules of registering are known for {0}")]
    RulesNotKnown(Date),
    /// The calendar does not cover the days needed.
    #[error("calendar: {0}")]
    Calendar(#[from] CalendarError),
    /// What was said does not fit together: every violation.
    #[error("{} violations", .0.len())]
    Invalid(Vec<Violation>),
    /// A fault of another part of the platform, passed on as it is.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) fn words(code: Code, reason: ErrorReason, vi: impl Into<String>, en: impl Into<String>) -> Fault {
    let name = reason.as_str_name();
    Fault::new(code, name.strip_prefix("ERROR_REASON_").unwrap_or(name), vi, en).domain(DOMAIN)
}

fn book_refused(refused: BookRefused) -> Fault {
    use ErrorReason as R;
    match refused {
        BookRefused::Year { year, now } => words(
            Code::FailedPrecondition,
            R::BookYearRefused,
            format!("sổ năm {year} không mở được trong năm {now}: chỉ mở trong năm của sổ hoặc năm liền sau"),
            format!("a book of {year} is not opened in {now}, but in its year or the one after"),
        )
        .with("year", year.to_string()),
        BookRefused::ClosesLater(earliest) => words(
            Code::FailedPrecondition,
            R::BookClosesLater,
            format!("sổ được khoá sớm nhất vào ngày {}", earliest.strftime("%d/%m/%Y")),
            format!("the book is closed on {earliest} at the earliest"),
        )
        .with("earliest", earliest.to_string()),
        BookRefused::State(state) => words(
            Code::FailedPrecondition,
            R::BookState,
            format!("không thực hiện được: sổ {}", state.vi()),
            format!("it cannot be done: the book is {}", state.en()),
        )
        .with("state", state.code().to_string()),
    }
}

/// A violation of a rule, as a caller is told: with the article that it rests on.
pub(crate) fn violation(found: finding::Violation) -> Violation {
    let (mut vi, mut en) = (found.vi, found.en);
    if !found.basis.article.is_empty() {
        vi = format!("{vi} ({})", found.basis.article);
        en = format!("{en} ({})", found.basis.article);
    }
    Violation {
        field: found.field,
        rule: found.code.to_owned(),
        vi,
        en,
    }
}

impl From<Vec<finding::Violation>> for Error {
    fn from(found: Vec<finding::Violation>) -> Self {
        Self::Invalid(found.into_iter().map(violation).collect())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        use ErrorReason as R;
        match error {
            Error::BookNotFound => words(
                Code::NotFound,
                R::BookNotFound,
                "không tìm thấy sổ hộ tịch",
                "there is no such book",
            ),
            Error::BookExists => words(
                Code::AlreadyExists,
                R::BookExists,
                "đơn vị đã có sổ của loại việc và năm này",
                "the commune has a book of this kind and year already",
            ),
            Error::Book(refused) => book_refused(refused),
            Error::BookNotOpen { event, year, state } => {
                let (vi, en) = match state {
                    None => (
                        format!("chưa mở sổ đăng ký {} năm {year}", event.vi()),
                        format!("the book of {} of {year} was not opened", event.en()),
                    ),
                    Some(state) => (
                        format!("sổ đăng ký {} năm {year} {}", event.vi(), state.vi()),
                        format!("the book of {} of {year} is {}", event.en(), state.en()),
                    ),
                };
                let fault = words(Code::FailedPrecondition, R::BookNotOpen, vi, en)
                    .with("event", event.code().to_string())
                    .with("year", year.to_string());
                match state {
                    Some(state) => fault.with("state", state.code().to_string()),
                    None => fault,
                }
            }
            Error::StaleEtag => Fault::new(
                Code::Aborted,
                "STALE_ETAG",
                "sổ đã thay đổi từ khi được đọc; hãy đọc lại rồi thực hiện lại",
                "the book changed since it was read; read it again and repeat",
            ),
            Error::UnitKeepsNoBooks(unit_id) => words(
                Code::FailedPrecondition,
                R::UnitKeepsNoBooks,
                "đơn vị này không đăng ký hộ tịch: không phải xã, phường, hoặc không có trong ngày đó",
                "this unit keeps no books of civil status: it is no commune or ward, or does not exist on that day",
            )
            .with("unit_id", unit_id.to_string()),
            Error::EntryNotFound => words(
                Code::NotFound,
                R::EntryNotFound,
                "không tìm thấy việc hộ tịch",
                "there is no such entry",
            ),
            Error::BirthRegistered => words(
                Code::AlreadyExists,
                R::BirthRegistered,
                "người có số định danh cá nhân này đã được đăng ký khai sinh",
                "the birth of the person with this personal number is registered already",
            ),
            Error::PersonNotFound => words(
                Code::NotFound,
                R::PersonNotFound,
                "không tìm thấy người này",
                "there is no such person",
            ),
            Error::DuplicateNotFound => words(
                Code::NotFound,
                R::DuplicateNotFound,
                "không tìm thấy cặp hồ sơ này",
                "there is no such pair of births",
            ),
            Error::DuplicateUndecided => words(
                Code::FailedPrecondition,
                R::DuplicateUndecided,
                "chưa có quyết định về cặp hồ sơ này để huỷ",
                "nothing was decided of this pair that could be taken back",
            ),
            Error::DuplicateContradicts => words(
                Code::FailedPrecondition,
                R::DuplicateContradicts,
                "trái với quyết định khác đang có hiệu lực; hãy huỷ quyết định đó trước",
                "by other decisions the two are two people; take these back first",
            ),
            Error::EntryNotCorrectable => words(
                Code::FailedPrecondition,
                R::EntryNotCorrectable,
                "việc thay đổi, cải chính không được cải chính; hãy cải chính tiếp việc hộ tịch gốc",
                "a correction is not corrected itself: correct the original entry again",
            ),
            Error::DeathRegistered => words(
                Code::AlreadyExists,
                R::DeathRegistered,
                "người này đã được đăng ký khai tử",
                "the death of this person is registered already",
            ),
            Error::AnnotationCancelled => words(
                Code::FailedPrecondition,
                R::AnnotationCancelled,
                "ghi chú này đã được huỷ",
                "this annotation is cancelled already",
            ),
            Error::MarriedSince => words(
                Code::FailedPrecondition,
                R::MarriedSince,
                "một trong hai người đã kết hôn với người khác sau khi hôn nhân này chấm dứt",
                "one of the two has married somebody else since this marriage ended",
            ),
            Error::AdoptedSince => words(
                Code::FailedPrecondition,
                R::AdoptedSince,
                "người này đã được người khác nhận làm con nuôi sau khi việc nuôi con nuôi này chấm dứt",
                "the child has been adopted by somebody else since this adoption ended",
            ),
            Error::NumberRequestState(state) => words(
                Code::FailedPrecondition,
                R::PersonalNumberRequestState,
                "chỉ yêu cầu lại được khi yêu cầu cấp số định danh bị từ chối",
                "only a request that was refused is asked for again by hand",
            )
            .with("state", state.to_string()),
            Error::UnitNotInScope(unit_id) => words(
                Code::NotFound,
                R::UnitNotInScope,
                "không có đơn vị này trong phạm vi được xem",
                "there is no such unit in your scope",
            )
            .with("unit_id", unit_id.to_string()),
            Error::BookDecisionsPending(count) => words(
                Code::FailedPrecondition,
                R::BookDecisionsPending,
                format!("còn {count} quyết định của một cửa chờ vào sổ này; hãy vào sổ hoặc trả lại trước khi khoá"),
                format!("{count} decisions of one-stop wait for this book: enter them or give them back first"),
            )
            .with("count", count.to_string()),
            Error::PendingDecisionNotFound => words(
                Code::NotFound,
                R::PendingDecisionNotFound,
                "không tìm thấy quyết định này",
                "there is no such decision",
            ),
            Error::PendingDecisionClosed => words(
                Code::FailedPrecondition,
                R::PendingDecisionClosed,
                "quyết định này đã vào sổ hoặc đã trả lại",
                "this decision is entered already, or was given back",
            ),
            Error::PendingDecisionContent => words(
                Code::FailedPrecondition,
                R::PendingDecisionContent,
                "nội dung vào sổ chưa được nêu hoặc không đúng loại sổ: hồ sơ không có biểu mẫu điện tử đọc được, công chức phải nhập nội dung",
                "what is entered is not said, or is of another book: the case has no e-form that can be read, the officer says what is entered",
            ),
            Error::SearchForgotten => words(
                Code::FailedPrecondition,
                R::SearchForgotten,
                "thông điệp này đã được trả lời và không còn được lưu; hãy gửi thông điệp mới",
                "this message was answered and is not kept any more: send another one",
            ),
            Error::Paper(refused) => refused.into(),
            Error::OldBook(refused) => refused.into(),
            Error::RulesNotKnown(day) => words(
                Code::FailedPrecondition,
                R::RulesNotKnown,
                format!("chưa có quy tắc đăng ký hộ tịch cho ngày {}", day.strftime("%d/%m/%Y")),
                format!("no rules of registering are known for {day}"),
            )
            .with("day", day.to_string()),
            Error::Calendar(source) => words(
                Code::FailedPrecondition,
                R::CalendarNotCovered,
                "lịch làm việc chưa có những ngày cần tính",
                "the working calendar does not cover the days needed",
            )
            .caused_by(source),
            Error::Invalid(violations) => Fault::invalid(violations),
            Error::Fault(fault) => fault,
            Error::Store(StoreError::Sql(error)) => egov_database::sql_fault(error),
            Error::Store(error) => Fault::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_that_is_not_open_is_named_with_kind_year_and_state() {
        let fault = Fault::from(Error::BookNotOpen {
            event: EventKind::Birth,
            year: 2026,
            state: Some(BookState::Closed),
        });
        assert_eq!(
            (fault.code(), fault.reason()),
            (Code::FailedPrecondition, "BOOK_NOT_OPEN")
        );
        assert_eq!(fault.vi(), "sổ đăng ký khai sinh năm 2026 đã khoá");
        assert_eq!(fault.en(), "the book of births of 2026 is closed");
        assert_eq!(fault.metadata()["year"], "2026");
    }

    #[test]
    fn a_failure_of_the_store_shows_nothing_of_it() {
        let fault = Fault::from(Error::Store(StoreError::Inconsistent {
            table: "entries",
            column: "content",
        }));
        assert_eq!(fault.code(), Code::Internal);
        assert!(!fault.en().contains("entries") && !fault.vi().contains("entries"));
    }
}
