//! DigitisationService.

use egov_database::page_of;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::digitisation_service_server::DigitisationService;
use egov_proto::egov::types::v1::LocalizedText;
use egov_runtime::accept;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Api, asked, event, id, status, wrong};
use crate::domain::finding::Violation;
use crate::domain::old_book::lines::{Format, lines};
use crate::domain::old_book::{
    Choice, Columns, Difference, Digitised, Keyed, Keying, OldBook, Page, PageState, Settlement, double_words,
    gap_words, gaps,
};
use crate::error::{Error, violation};
use crate::operations::{ShownOldBook, ShownOldPage, WantedOldBook, WantedPiece, WantedSettlement};

/// Gaps and doubles that are named.
const NAMED: usize = 1_000;

fn text((vi, en): (String, String)) -> LocalizedText {
    LocalizedText { vi, en }
}

fn encode_fields(columns: &Columns) -> Vec<proto::OldField> {
    columns
        .iter()
        .map(|(name, value)| proto::OldField {
            name: name.clone(),
            value: value.clone(),
        })
        .collect()
}

/// Where an entry was taken from.
pub(super) fn encode_source(source: &Digitised) -> proto::DigitisedSource {
    proto::DigitisedSource {
        page_id: source.page_id.to_string(),
        kept_by: source.kept_by.clone(),
        fields: encode_fields(&source.columns),
        occurrence: source.occurrence.into(),
    }
}

fn encode_book(book: &OldBook) -> proto::OldBook {
    proto::OldBook {
        book_id: book.book_id.to_string(),
        unit_id: book.unit_id,
        event: book.event.code().into(),
        year: book.year.into(),
        kept_by: book.kept_by.clone(),
        label: book.label.clone(),
    }
}

fn encode_page(page: &Page) -> proto::OldPage {
    let officer = |officer: Option<Uuid>| officer.map(|id| id.to_string()).unwrap_or_default();
    proto::OldPage {
        page_id: page.page_id.to_string(),
        book_id: page.book_id.to_string(),
        volume: page.volume.clone(),
        page: page.page.clone(),
        state: page.state.code().into(),
        first_officer_id: page.first_officer_id.to_string(),
        second_officer_id: officer(page.second_officer_id),
        first_checker_id: officer(page.first_checker_id),
        second_checker_id: officer(page.second_checker_id),
        scan_sha256: page.scan_sha256.clone(),
    }
}

fn encode_shown(shown: &ShownOldBook) -> proto::GetOldBookResponse {
    let missing = gaps(&shown.numbers);
    let doubles = shown.numbers.iter().filter(|(_, times)| *times > 1);
    proto::GetOldBookResponse {
        book: Some(encode_book(&shown.book)),
        pages: shown
            .pages
            .iter()
            .map(|(state, pages)| proto::OldPageCount {
                state: state.code().into(),
                pages: *pages,
            })
            .collect(),
        entries: shown.numbers.iter().map(|(_, times)| times).sum(),
        gaps: missing
            .into_iter()
            .take(NAMED)
            .map(|(first, last)| proto::OldNumberGap {
                first,
                last,
                text: Some(text(gap_words((first, last)))),
            })
            .collect(),
        doubles: doubles
            .take(NAMED)
            .map(|(number, times)| proto::OldNumberDouble {
                number: *number,
                times: i32::try_from(*times).unwrap_or(i32::MAX),
                text: Some(text(double_words(*number, *times))),
            })
            .collect(),
    }
}

fn encode_violation(found: &Violation) -> proto::OldLineViolation {
    proto::OldLineViolation {
        field: found.field.clone(),
        rule: found.code.to_owned(),
        text: Some(text((found.vi.clone(), found.en.clone()))),
    }
}

fn encode_keyed(keying: Keying, entries: &[Keyed]) -> impl Iterator<Item = proto::OldKeyedEntry> {
    entries.iter().map(move |entry| proto::OldKeyedEntry {
        keying: keying.code().into(),
        number: entry.number,
        occurrence: entry.occurrence,
        fields: encode_fields(&entry.columns),
    })
}

fn encode_difference(difference: &Difference) -> proto::OldDifference {
    let settled = difference.settled.as_ref();
    proto::OldDifference {
        number: difference.number,
        occurrence: difference.occurrence,
        field: difference.field.clone(),
        first: difference.first.clone(),
        second: difference.second.clone(),
        choice: settled.map_or(0, |settled| settled.choice.code().into()),
        value: settled.map(|settled| settled.value.clone()).unwrap_or_default(),
        reason: settled.map(|settled| settled.reason.clone()).unwrap_or_default(),
    }
}

fn encode_differences(shown: &ShownOldPage) -> proto::ListOldDifferencesResponse {
    let entries = encode_keyed(Keying::First, &shown.first).chain(encode_keyed(Keying::Second, &shown.second));
    proto::ListOldDifferencesResponse {
        page: Some(encode_page(&shown.page)),
        entries: entries.collect(),
        differences: shown.differences.iter().map(encode_difference).collect(),
    }
}

/// A code of the contract as the domain has it; the contract knows the same.
fn known<T>(code: i32, of_code: impl Fn(i16) -> Option<T>, field: &str) -> Result<T, Status> {
    let known = i16::try_from(code).ok().and_then(of_code);
    known.ok_or_else(|| {
        let unknown = wrong(field, "không có giá trị này", "there is no such value");
        status(Error::Invalid(vec![unknown]))
    })
}

#[tonic::async_trait]
impl DigitisationService for Api {
    async fn create_old_book(
        &self,
        request: Request<proto::CreateOldBookRequest>,
    ) -> Result<Response<proto::CreateOldBookResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let kept_by = message.kept_by.trim().to_owned();
        if kept_by.is_empty() {
            let blank = wrong("kept_by", "không được để trống", "must not be blank");
            return Err(status(Error::Invalid(vec![blank])));
        }
        let kind = event(message.event);
        let wanted = WantedOldBook {
            unit_id: message.unit_id,
            event: kind.ok_or_else(|| status(Error::Invalid(vec![wrong("event", "không có loại này", "unknown")])))?,
            year: known(message.year, Some, "year")?,
            kept_by,
            label: message.label.trim().to_owned(),
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.DigitisationService/CreateOldBook",
        )?;
        let answer = self
            .registry
            .create_old_book(request.caller()?, asked, wanted, |book| proto::CreateOldBookResponse {
                book: Some(encode_book(book)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn import_old_entries(
        &self,
        request: Request<proto::ImportOldEntriesRequest>,
    ) -> Result<Response<proto::ImportOldEntriesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let format = match message.format() {
            proto::OldFormat::JsonLines => Format::JsonLines,
            // The contract lets no other through.
            proto::OldFormat::Csv | proto::OldFormat::Unspecified => Format::Csv,
        };
        let lines = lines(format, &message.header, &message.lines, message.first_line)
            .map_err(|found| status(Error::Invalid(vec![violation(found)])))?;
        let wanted = WantedPiece {
            book_id: id(&message.book_id, "book_id")?,
            import_id: id(&message.import_id, "import_id")?,
            keying: known(message.keying, Keying::of_code, "keying")?,
            first_line: message.first_line,
            lines,
            dry_run: message.dry_run,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.DigitisationService/ImportOldEntries",
        )?;
        let answer = self
            .registry
            .import_old_entries(request.caller()?, asked, wanted, |report| {
                proto::ImportOldEntriesResponse {
                    position: report.position,
                    lines: report
                        .lines
                        .iter()
                        .map(|line| proto::OldLineReport {
                            line: line.line,
                            outcome: line.outcome.code(),
                            violations: line.violations.iter().map(encode_violation).collect(),
                        })
                        .collect(),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn get_old_book(
        &self,
        request: Request<proto::GetOldBookRequest>,
    ) -> Result<Response<proto::GetOldBookResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let book_id = id(&request.message.book_id, "book_id")?;
        let shown = self
            .registry
            .get_old_book(request.caller()?, book_id)
            .await
            .map_err(status)?;
        Ok(Response::new(encode_shown(&shown)))
    }

    async fn list_old_pages(
        &self,
        request: Request<proto::ListOldPagesRequest>,
    ) -> Result<Response<proto::ListOldPagesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, message) = (request.caller()?, &request.message);
        let book_id = id(&message.book_id, "book_id")?;
        let state = i16::try_from(message.state).ok().and_then(PageState::of_code);
        let page = page_of!(
            self.registry.pages,
            caller,
            "egov.civil_registry.v1.DigitisationService/ListOldPages",
            message
        )?;
        let (pages, next_page_token) = self
            .registry
            .list_old_pages(caller, (book_id, state), page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListOldPagesResponse {
            pages: pages.iter().map(encode_page).collect(),
            next_page_token,
        }))
    }

    async fn list_old_differences(
        &self,
        request: Request<proto::ListOldDifferencesRequest>,
    ) -> Result<Response<proto::ListOldDifferencesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let page_id = id(&request.message.page_id, "page_id")?;
        let shown = self
            .registry
            .old_differences(request.caller()?, page_id)
            .await
            .map_err(status)?;
        Ok(Response::new(encode_differences(&shown)))
    }

    async fn check_page(
        &self,
        request: Request<proto::CheckPageRequest>,
    ) -> Result<Response<proto::CheckPageResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let page_id = id(&message.page_id, "page_id")?;
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.DigitisationService/CheckPage",
        )?;
        let answer = self
            .registry
            .check_page(request.caller()?, asked, page_id, |page| proto::CheckPageResponse {
                page: Some(encode_page(page)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn settle_difference(
        &self,
        request: Request<proto::SettleDifferenceRequest>,
    ) -> Result<Response<proto::SettleDifferenceResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let reason = message.reason.trim().to_owned();
        if reason.is_empty() {
            let blank = wrong("reason", "không được để trống", "must not be blank");
            return Err(status(Error::Invalid(vec![blank])));
        }
        let wanted = WantedSettlement {
            page_id: id(&message.page_id, "page_id")?,
            settlement: Settlement {
                number: message.number,
                occurrence: message.occurrence,
                field: message.field.clone(),
                choice: known(message.choice, Choice::of_code, "choice")?,
                value: message.value.clone(),
                reason,
            },
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.DigitisationService/SettleDifference",
        )?;
        let answer = self
            .registry
            .settle_difference(request.caller()?, asked, wanted, |page| {
                proto::SettleDifferenceResponse {
                    page: Some(encode_page(page)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn accept_page(
        &self,
        request: Request<proto::AcceptPageRequest>,
    ) -> Result<Response<proto::AcceptPageResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let page_id = id(&message.page_id, "page_id")?;
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.DigitisationService/AcceptPage",
        )?;
        let answer = self
            .registry
            .accept_page(request.caller()?, asked, page_id, |page, entries| {
                proto::AcceptPageResponse {
                    page: Some(encode_page(page)),
                    entry_ids: entries.iter().map(Uuid::to_string).collect(),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }
}
