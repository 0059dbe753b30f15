//! DeadlineService.

use egov_calendar::vietnam_instant;
use egov_clock::Clock as _;
use egov_database::page_of;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::deadline_service_server::DeadlineService;
use egov_runtime::accept;
use jiff::Timestamp;
use jiff::civil::Time;
use tonic::{Request, Response, Status};

use super::{Api, decode, encode, encode_deadlines, status};
use crate::domain::case::Case;
use crate::domain::extension::Wanted;
use crate::domain::listing::{AtRiskFilter, ChangeFilter};
use crate::operations::act::Target;

const AT_RISK: &str = "egov.onestop.v1.DeadlineService/ListCasesAtRisk";
const FORECAST: &str = "egov.onestop.v1.DeadlineService/ForecastDeadlines";
const CHANGES: &str = "egov.onestop.v1.DeadlineService/ListDeadlineChanges";
const PREVIEW: &str = "egov.onestop.v1.DeadlineService/PreviewCalendarChange";

/// The end of a day that was asked for.
fn end_of_day(day: Option<egov_proto::google::r#type::Date>, field: &str) -> Result<Option<Timestamp>, Status> {
    let day = decode::day(day, field)?;
    Ok(day.and_then(|day| vietnam_instant(day.to_datetime(Time::MAX)).ok()))
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[tonic::async_trait]
impl DeadlineService for Api {
    async fn extend_deadline(
        &self,
        request: Request<proto::ExtendDeadlineRequest>,
    ) -> Result<Response<proto::ExtendDeadlineResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let wanted = wanted(message)?;
        let receiving_unit = |case: &Case| self.one_stop.unit_name(case.receiving_unit_id);
        let answer = self
            .one_stop
            .extend_deadline(request.caller()?, target, wanted, |case| {
                proto::ExtendDeadlineResponse {
                    case: Some(encode::case(case)),
                    apology: encode_deadlines::apology(case, receiving_unit(case)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn explain_deadline(
        &self,
        request: Request<proto::ExplainDeadlineRequest>,
    ) -> Result<Response<proto::ExplainDeadlineResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let case_id = decode::id(&request.message.case_id, "case_id")?;
        let explained = self
            .one_stop
            .explain_deadline(request.caller()?, case_id)
            .await
            .map_err(status)?;
        let receiving = self.one_stop.unit_name(explained.case.receiving_unit_id);
        Ok(Response::new(encode_deadlines::explained(&explained, receiving)))
    }

    async fn list_cases_at_risk(
        &self,
        request: Request<proto::ListCasesAtRiskRequest>,
    ) -> Result<Response<proto::ListCasesAtRiskResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let message = &request.message;
        let page = page_of!(self.one_stop.pages, caller, AT_RISK, message)?;
        let now = self.one_stop.clock.now();
        let filter = AtRiskFilter {
            as_of: end_of_day(message.as_of, "as_of")?.unwrap_or(now),
            unit_id: (message.unit_id != 0).then_some(message.unit_id),
            procedure_code: given(&message.procedure_code),
            step: given(&message.step),
        };
        let (rows, next_page_token) = self
            .one_stop
            .list_cases_at_risk(caller, filter, page)
            .await
            .map_err(status)?;
        let cases = rows
            .into_iter()
            .map(|(row, foreseen)| encode_deadlines::at_risk(row, foreseen, now))
            .collect();
        Ok(Response::new(proto::ListCasesAtRiskResponse { cases, next_page_token }))
    }

    async fn forecast_deadlines(
        &self,
        request: Request<proto::ForecastDeadlinesRequest>,
    ) -> Result<Response<proto::ForecastDeadlinesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let message = &request.message;
        let page = page_of!(self.one_stop.pages, caller, FORECAST, message)?;
        let unit_id = (message.unit_id != 0).then_some(message.unit_id);
        let as_of = end_of_day(message.as_of, "as_of")?;
        let (rows, next_page_token) = self
            .one_stop
            .forecast_deadlines(caller, unit_id, as_of, page)
            .await
            .map_err(status)?;
        let groups = rows
            .into_iter()
            .map(|group| {
                let name = self.one_stop.unit_name(group.responsible_unit_id);
                encode_deadlines::group(group, name)
            })
            .collect();
        Ok(Response::new(proto::ForecastDeadlinesResponse {
            groups,
            next_page_token,
        }))
    }

    async fn list_deadline_changes(
        &self,
        request: Request<proto::ListDeadlineChangesRequest>,
    ) -> Result<Response<proto::ListDeadlineChangesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let message = &request.message;
        let page = page_of!(self.one_stop.pages, caller, CHANGES, message)?;
        let filter = ChangeFilter {
            unit_id: (message.unit_id != 0).then_some(message.unit_id),
            cause: i16::try_from(message.cause).ok().filter(|cause| *cause != 0),
        };
        let (rows, next_page_token) = self
            .one_stop
            .list_deadline_changes(caller, filter, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListDeadlineChangesResponse {
            changes: rows.iter().map(encode_deadlines::change).collect(),
            next_page_token,
        }))
    }

    async fn preview_calendar_change(
        &self,
        request: Request<proto::PreviewCalendarChangeRequest>,
    ) -> Result<Response<proto::PreviewCalendarChangeResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let message = &request.message;
        let page = page_of!(self.one_stop.pages, caller, PREVIEW, message)?;
        let notices: Vec<(String, String)> = message
            .notices
            .iter()
            .map(|file| (file.name.clone(), file.text.clone()))
            .collect();
        let preview = self
            .one_stop
            .preview_calendar(caller, &notices, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::PreviewCalendarChangeResponse {
            changes: preview.changes.iter().map(encode_deadlines::would_move).collect(),
            looked_at: i32::try_from(preview.looked_at).unwrap_or(i32::MAX),
            calendar_version: preview.calendar,
            new_calendar_version: preview.new_calendar,
            next_page_token: preview.next_page_token,
        }))
    }
}

/// What is asked for; words that are nothing but spaces are none.
fn wanted(message: &proto::ExtendDeadlineRequest) -> Result<Wanted, Status> {
    let day = decode::day(message.new_due_date, "new_due_date")?.ok_or_else(|| decode::blank("new_due_date"))?;
    let words = |text: &str, field: &str| {
        let text = text.trim();
        if text.is_empty() {
            Err(decode::blank(field))
        } else {
            Ok(text.to_owned())
        }
    };
    Ok(Wanted {
        new_due_date: day,
        reason: words(&message.reason, "reason")?,
        legal_basis: words(&message.legal_basis, "legal_basis")?,
        signer_name: words(&message.signer_name, "signer_name")?,
        signer_title: words(&message.signer_title, "signer_title")?,
        // The unit of the case, which is not known yet.
        agency_name: String::new(),
    })
}
