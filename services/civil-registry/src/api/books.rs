//! BookService.

use egov_database::page_of;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::book_service_server::BookService;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, asked, event, id, status, wrong};
use crate::domain::book::{BookFilter, BookState, Kept};
use crate::error::Error;
use crate::operations::WantedBook;

fn encode(kept: &Kept) -> proto::Book {
    let book = &kept.book;
    let certified = book.certified.as_ref();
    // An old book is bound as it is.
    let bound = |bound: i32| if book.state == BookState::Digitised { 0 } else { bound };
    proto::Book {
        book_id: book.book_id.to_string(),
        unit_id: book.unit_id,
        event: book.event.code().into(),
        year: book.year.into(),
        state: book.state.code().into(),
        open_date: Some(book.open_date.into()),
        close_date: book.close_date.map(Into::into),
        pages_per_volume: bound(book.pages_per_volume),
        entries_per_page: bound(book.entries_per_page),
        last_number: kept.last_number,
        volumes: bound(book.volumes(kept.last_number)),
        certifier_name: certified.map(|certified| certified.name.clone()).unwrap_or_default(),
        certifier_title: certified.map(|certified| certified.title.clone()).unwrap_or_default(),
        certify_date: certified.map(|certified| certified.on.into()),
        etag: book.etag(),
    }
}

/// A refusal for one field.
fn invalid(field: &str, vi: &str, en: &str) -> Status {
    status(Error::Invalid(vec![wrong(field, vi, en)]))
}

#[tonic::async_trait]
impl BookService for Api {
    async fn open_book(
        &self,
        request: Request<proto::OpenBookRequest>,
    ) -> Result<Response<proto::OpenBookResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        // The contract knows the same kinds and years.
        let event =
            event(message.event).ok_or_else(|| invalid("event", "không có loại việc này", "there is no such kind"))?;
        let year = i16::try_from(message.year)
            .map_err(|_| invalid("year", "không phải là một năm", "is no year of the calendar"))?;
        let wanted = WantedBook {
            unit_id: message.unit_id,
            event,
            year,
            pages_per_volume: message.pages_per_volume,
            entries_per_page: message.entries_per_page,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.BookService/OpenBook",
        )?;
        let answer = self
            .registry
            .open_book(request.caller()?, asked, wanted, |kept| proto::OpenBookResponse {
                book: Some(encode(kept)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn close_book(
        &self,
        request: Request<proto::CloseBookRequest>,
    ) -> Result<Response<proto::CloseBookResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let book_id = id(&message.book_id, "book_id")?;
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.BookService/CloseBook",
        )?;
        let answer = self
            .registry
            .close_book(request.caller()?, asked, (book_id, message.etag.as_str()), |kept| {
                proto::CloseBookResponse {
                    book: Some(encode(kept)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn certify_book(
        &self,
        request: Request<proto::CertifyBookRequest>,
    ) -> Result<Response<proto::CertifyBookResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let book_id = id(&message.book_id, "book_id")?;
        let name = egov_codes::normal_name(&message.certifier_name);
        let title = egov_codes::normal_name(&message.certifier_title);
        let blank: Vec<_> = [("certifier_name", &name), ("certifier_title", &title)]
            .into_iter()
            .filter(|(_, text)| text.is_empty())
            .map(|(field, _)| wrong(field, "không được để trống", "must not be blank"))
            .collect();
        if !blank.is_empty() {
            return Err(status(Error::Invalid(blank)));
        }
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.BookService/CertifyBook",
        )?;
        let answer = self
            .registry
            .certify_book(
                request.caller()?,
                asked,
                (book_id, message.etag.as_str()),
                (name, title),
                |kept| proto::CertifyBookResponse {
                    book: Some(encode(kept)),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn get_book(
        &self,
        request: Request<proto::GetBookRequest>,
    ) -> Result<Response<proto::GetBookResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let book_id = id(&request.message.book_id, "book_id")?;
        let kept = self
            .registry
            .get_book(request.caller()?, book_id)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetBookResponse {
            book: Some(encode(&kept)),
        }))
    }

    async fn list_books(
        &self,
        request: Request<proto::ListBooksRequest>,
    ) -> Result<Response<proto::ListBooksResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, message) = (request.caller()?, &request.message);
        let page = page_of!(
            self.registry.pages,
            caller,
            "egov.civil_registry.v1.BookService/ListBooks",
            message
        )?;
        let wanted = BookFilter {
            unit_id: (message.unit_id != 0).then_some(message.unit_id),
            event: event(message.event),
            year: i16::try_from(message.year).ok().filter(|year| *year != 0),
        };
        let (books, next_page_token) = self.registry.list_books(caller, wanted, page).await.map_err(status)?;
        Ok(Response::new(proto::ListBooksResponse {
            books: books.iter().map(encode).collect(),
            next_page_token,
        }))
    }
}
