//! PaperService.

use aws_lc_rs::digest::{SHA256, digest};
use egov_auth::Caller;
use egov_database::{Page, PageBinding};
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::paper_service_server::PaperService;
use egov_proto::google::r#type::Date;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, decode, status};
use crate::domain::papers::{Block, BookSpan, Form, Paper};
use crate::operations::papers::{AfterRow, Book, PrintedPaper};
use crate::paper_error::PaperError;

const BOOK: &str = "egov.onestop.v1.PaperService/GetTrackingBook";
const PRINT_BOOK: &str = "egov.onestop.v1.PaperService/PrintTrackingBook";

fn form(number: i32) -> Result<Form, Status> {
    Ok(Form::of_number(number).ok_or_else(|| decode::blank("form"))?)
}

fn book(unit_id: i32, from: Option<Date>, to: Option<Date>) -> Result<Book, Status> {
    let from = decode::day(from, "from")?.ok_or_else(|| decode::blank("from"))?;
    let to = decode::day(to, "to")?.ok_or_else(|| decode::blank("to"))?;
    let span = BookSpan::new(from, to).map_err(|refused| status(PaperError::from(refused).into()))?;
    Ok(Book { unit_id, span })
}

fn encode_part(block: &Block) -> proto::PaperPart {
    use proto::paper_part::Part;
    let part = match block {
        Block::Text { text } => Part::Paragraph(text.clone()),
        Block::Field { code, label, value } => Part::Field(proto::PaperField {
            code: code.clone(),
            label: label.clone(),
            entry: value.clone(),
        }),
        Block::Table {
            code,
            label,
            columns,
            rows,
        } => Part::Table(proto::PaperTable {
            code: code.clone(),
            label: label.clone(),
            columns: columns
                .iter()
                .map(|column| proto::PaperColumn {
                    code: column.code.clone(),
                    label: column.label.clone(),
                })
                .collect(),
            rows: rows
                .iter()
                .map(|cells| proto::PaperRow { cells: cells.clone() })
                .collect(),
        }),
    };
    proto::PaperPart { part: Some(part) }
}

fn encode_paper(form: Form, paper: &Paper) -> proto::Paper {
    proto::Paper {
        form: i32::from(form.number()),
        form_number: paper.form_number.clone(),
        form_basis: paper.form_basis.clone(),
        form_unconfirmed: paper.form_unconfirmed,
        agency_parent: paper.agency_parent.clone(),
        agency: paper.agency.clone(),
        number: paper.number.clone(),
        symbol: paper.symbol.clone(),
        place: paper.place.clone(),
        date: paper.date.map(|day| Date {
            year: i32::from(day.year),
            month: i32::from(day.month),
            day: i32::from(day.day),
        }),
        title: paper.title.clone(),
        subtitle: paper.subtitle.clone(),
        qr: paper.qr.clone(),
        parts: paper.blocks.iter().map(encode_part).collect(),
        signatures: paper
            .signatures
            .iter()
            .map(|signature| proto::PaperSignature {
                title: signature.title.clone(),
                hint: signature.hint.clone(),
                signer_name: signature.name.clone(),
            })
            .collect(),
        notes: paper.notes.clone(),
        numbered: paper.numbered,
    }
}

fn file(printed: PrintedPaper) -> proto::PaperFile {
    proto::PaperFile {
        name: printed.file_name,
        media_type: "application/pdf".to_owned(),
        sha256: hex::encode(digest(&SHA256, &printed.pdf)),
        content: printed.pdf,
    }
}

impl Api {
    fn part_of_book<M: prost::Message>(
        &self,
        caller: &Caller,
        method: &'static str,
        message: &M,
        (size, token): (i32, &str),
    ) -> Result<Page<AfterRow>, Status> {
        Ok(self
            .one_stop
            .pages
            .page(size, token, PageBinding::of(caller, method, message))?)
    }
}

#[tonic::async_trait]
impl PaperService for Api {
    async fn get_paper(
        &self,
        request: Request<proto::GetPaperRequest>,
    ) -> Result<Response<proto::GetPaperResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let case_id = decode::id(&request.message.case_id, "case_id")?;
        let form = form(request.message.form)?;
        let (_, paper) = self
            .one_stop
            .read_paper(request.caller()?, case_id, form)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetPaperResponse {
            paper: Some(encode_paper(form, &paper)),
        }))
    }

    async fn print_paper(
        &self,
        request: Request<proto::PrintPaperRequest>,
    ) -> Result<Response<proto::PrintPaperResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let case_id = decode::id(&request.message.case_id, "case_id")?;
        let form = form(request.message.form)?;
        self.one_stop.demand_press().map_err(status)?;
        let printed = self
            .one_stop
            .print_paper(request.caller()?, case_id, form)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::PrintPaperResponse {
            file: Some(file(printed)),
        }))
    }

    async fn get_tracking_book(
        &self,
        request: Request<proto::GetTrackingBookRequest>,
    ) -> Result<Response<proto::GetTrackingBookResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let mut message = request.message.clone();
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let book = book(message.unit_id, message.from, message.to)?;
        let page = self.part_of_book(caller, BOOK, &message, (size, &token))?;
        let (paper, next_page_token) = self.one_stop.read_book(caller, book, page).await.map_err(status)?;
        Ok(Response::new(proto::GetTrackingBookResponse {
            paper: Some(encode_paper(Form::TrackingBook, &paper)),
            next_page_token,
        }))
    }

    async fn print_tracking_book(
        &self,
        request: Request<proto::PrintTrackingBookRequest>,
    ) -> Result<Response<proto::PrintTrackingBookResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let mut message = request.message.clone();
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let book = book(message.unit_id, message.from, message.to)?;
        let page = self.part_of_book(caller, PRINT_BOOK, &message, (size, &token))?;
        self.one_stop.demand_press().map_err(status)?;
        let (printed, next_page_token) = self.one_stop.print_book(caller, book, page).await.map_err(status)?;
        Ok(Response::new(proto::PrintTrackingBookResponse {
            file: Some(file(printed)),
            next_page_token,
        }))
    }
}
