//! ReportService.

use egov_clock::Clock as _;
use egov_database::PageBinding;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::report_service_server::ReportService;
use egov_proto::egov::types::v1::LocalizedText;
use egov_proto::timestamp;
use egov_runtime::accept;
use jiff::civil::Date;
use tonic::{Request, Response, Status};

use super::encode::fact_basis;
use super::tables::{self, Above, Part};
use super::{Api, decode, status};
use crate::domain::reports::{
    Assessment, CentreRules, Form, GroupScore, IndexScore, Period, Rate, RateKind, Report, SMALLEST, assess,
};
use crate::domain::statistics::{Columns, Figures, Group};
use crate::operations::reports::{Wanted, is_late};
use crate::operations::statistics::Query;

const STATISTICS: &str = "egov.onestop.v1.ReportService/GetStatistics";
const REPORTS: &str = "egov.onestop.v1.ReportService/ListReports";

#[tonic::async_trait]
impl ReportService for Api {
    async fn get_statistics(
        &self,
        request: Request<proto::GetStatisticsRequest>,
    ) -> Result<Response<proto::GetStatisticsResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let query = query(message)?;
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, STATISTICS, &request.message))?;
        let (rows, total, next_page_token) = self
            .one_stop
            .get_statistics(caller, &query, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetStatisticsResponse {
            rows: rows.iter().map(row).collect(),
            total: Some(columns(&total)),
            rates: RateKind::ALL.map(|kind| rate(&kind.of(&total))).to_vec(),
            next_page_token,
        }))
    }

    async fn export_statistics(
        &self,
        request: Request<proto::ExportStatisticsRequest>,
    ) -> Result<Response<proto::ExportStatisticsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let format = request.message.format();
        let query = query(&request.message.statistics.clone().unwrap_or_default())?;
        let found = self
            .one_stop
            .statistics(request.caller()?, &query)
            .await
            .map_err(status)?;
        let today = self.one_stop.clock.today();
        let above = Above {
            title: "Tình hình giải quyết hồ sơ thủ tục hành chính".to_owned(),
            notes: Vec::new(),
            from: query.from,
            to: query.to,
            known_until: query.known_until.unwrap_or(today),
            made: today,
        };
        let part = Part {
            group: query.group,
            rows: &found.rows,
        };
        let file = tables::file("thong-ke", above, &[part], &found.total, format).map_err(status)?;
        Ok(Response::new(proto::ExportStatisticsResponse { file: Some(file) }))
    }

    async fn get_performance_index(
        &self,
        request: Request<proto::GetPerformanceIndexRequest>,
    ) -> Result<Response<proto::GetPerformanceIndexResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let query = whole(message.from, message.to, message.unit_id, message.with_units_below)?;
        let (found, rules) = self
            .one_stop
            .columns_and_rules(request.caller()?, &query)
            .await
            .map_err(status)?;
        let score = IndexScore::of(&found, &rules, self.one_stop.profile);
        Ok(Response::new(proto::GetPerformanceIndexResponse {
            groups: score.groups.iter().map(index_group).collect(),
            max_points: rules.index.group.iter().map(|group| group.max_points).sum(),
            hundredths_of_points: score.points,
            legal_document: rules.index.legal_document.clone(),
        }))
    }

    async fn get_rating_assessment(
        &self,
        request: Request<proto::GetRatingAssessmentRequest>,
    ) -> Result<Response<proto::GetRatingAssessmentResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let query = whole(message.from, message.to, message.unit_id, message.with_units_below)?;
        let (found, rules) = self
            .one_stop
            .columns_and_rules(request.caller()?, &query)
            .await
            .map_err(status)?;
        Ok(Response::new(assessment(&found, &rules, &assess(&found, &rules))))
    }

    async fn make_report(
        &self,
        request: Request<proto::MakeReportRequest>,
    ) -> Result<Response<proto::MakeReportResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let (year, month) = month(message.year, message.month)?;
        let wanted = Wanted {
            unit_id: message.unit_id,
            form: message.form.clone(),
            year,
            month,
        };
        let answer = self
            .one_stop
            .make_report(
                request.caller()?,
                decode::id(&message.request_id, "request_id")?,
                message,
                wanted,
                |made, content| proto::MakeReportResponse {
                    report: Some(self.report(made)),
                    total: Some(columns(&content.total)),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn get_report(
        &self,
        request: Request<proto::GetReportRequest>,
    ) -> Result<Response<proto::GetReportResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let report_id = decode::id(&request.message.report_id, "report_id")?;
        let (report, content) = self
            .one_stop
            .get_report(request.caller()?, report_id)
            .await
            .map_err(status)?;
        let rows = |rows: &[Figures]| rows.iter().map(row).collect();
        Ok(Response::new(proto::GetReportResponse {
            report: Some(self.report(&report)),
            total: Some(columns(&content.total)),
            by_unit: rows(&content.by_unit),
            by_sector: rows(&content.by_sector),
            by_procedure: rows(&content.by_procedure),
        }))
    }

    async fn list_reports(
        &self,
        request: Request<proto::ListReportsRequest>,
    ) -> Result<Response<proto::ListReportsResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let unit_id = given_unit(message.unit_id);
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, REPORTS, &request.message))?;
        let (reports, next_page_token, due) = self
            .one_stop
            .list_reports(caller, unit_id, page)
            .await
            .map_err(status)?;
        let today = self.one_stop.clock.today();
        Ok(Response::new(proto::ListReportsResponse {
            reports: reports.iter().map(|report| self.report(report)).collect(),
            next_page_token,
            due: due
                .iter()
                .map(|(form, period)| due_report(form, period, today))
                .collect(),
        }))
    }

    async fn check_report(
        &self,
        request: Request<proto::CheckReportRequest>,
    ) -> Result<Response<proto::CheckReportResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let report_id = decode::id(&request.message.report_id, "report_id")?;
        let differences = self
            .one_stop
            .check_report(request.caller()?, report_id)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::CheckReportResponse {
            identical: differences.is_empty(),
            differences,
        }))
    }

    async fn export_report(
        &self,
        request: Request<proto::ExportReportRequest>,
    ) -> Result<Response<proto::ExportReportResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let format = request.message.format();
        let report_id = decode::id(&request.message.report_id, "report_id")?;
        let (report, content) = self
            .one_stop
            .get_report(request.caller()?, report_id)
            .await
            .map_err(status)?;
        let unit = self.one_stop.unit_name(report.unit_id);
        let above = Above {
            title: report.form.name.clone(),
            notes: vec![format!("Đơn vị báo cáo: {unit}")],
            from: report.from,
            to: report.to,
            known_until: report.known_until,
            made: crate::domain::statistics::day_of(report.make_time),
        };
        let parts = [
            (Group::Unit, &content.by_unit),
            (Group::Sector, &content.by_sector),
            (Group::Procedure, &content.by_procedure),
        ]
        .map(|(group, rows)| Part { group, rows });
        let name = format!("bao-cao-{}-{}", report.form.code, report.to.strftime("%Y-%m"));
        let file = tables::file(&name, above, &parts, &content.total, format).map_err(status)?;
        Ok(Response::new(proto::ExportReportResponse { file: Some(file) }))
    }

    async fn get_punctuality(
        &self,
        request: Request<proto::GetPunctualityRequest>,
    ) -> Result<Response<proto::GetPunctualityResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let (year, month) = month(message.year, message.month)?;
        let published = self.one_stop.punctuality(year, month).await.map_err(status)?;
        let units = published.units.iter().map(|row| proto::PunctualityRow {
            unit_id: row.unit_id,
            unit_name: self.one_stop.unit_name(row.unit_id),
            processed: row.processed,
            in_time: row.in_time,
        });
        let others = published.others.map(|(processed, in_time)| proto::PunctualityRow {
            unit_id: 0,
            unit_name: "Các đơn vị khác".to_owned(),
            processed,
            in_time,
        });
        Ok(Response::new(proto::GetPunctualityResponse {
            rows: units.chain(others).collect(),
            smallest: i32::try_from(SMALLEST).unwrap_or(i32::MAX),
        }))
    }
}

impl Api {
    fn report(&self, report: &Report) -> proto::Report {
        proto::Report {
            report_id: report.report_id.to_string(),
            unit_id: report.unit_id,
            unit_name: self.one_stop.unit_name(report.unit_id),
            form: report.form.code.clone(),
            form_name: report.form.name.clone(),
            from: Some(report.from.into()),
            to: Some(report.to.into()),
            due_date: Some(report.due.into()),
            known_until: Some(report.known_until.into()),
            make_time: Some(timestamp(report.make_time)),
            late: is_late(report),
            period_basis: Some(fact_basis(&report.form.period)),
            due_basis: Some(fact_basis(&report.form.due)),
            content_sha256: hex::encode(&report.content_sha256),
        }
    }
}

fn given_unit(unit_id: i32) -> Option<i32> {
    (unit_id != 0).then_some(unit_id)
}

/// Numbers that the contract has bounded.
fn month(year: i32, month: i32) -> Result<(i16, i8), Status> {
    match (i16::try_from(year), i8::try_from(month)) {
        (Ok(year), Ok(month)) => Ok((year, month)),
        _ => Err(decode::blank("month").into()),
    }
}

fn group(dimension: proto::StatisticDimension) -> Group {
    use proto::StatisticDimension as D;
    match dimension {
        D::Unit => Group::Unit,
        D::Sector => Group::Sector,
        D::Procedure => Group::Procedure,
        D::Officer => Group::Officer,
        D::Unspecified => Group::Whole,
    }
}

fn required(date: Option<egov_proto::google::r#type::Date>, field: &str) -> Result<Date, Status> {
    Ok(decode::day(date, field)?.ok_or_else(|| decode::blank(field))?)
}

fn query(message: &proto::GetStatisticsRequest) -> Result<Query, Status> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(Query {
        group: group(message.dimension()),
        from: required(message.from, "from")?,
        to: required(message.to, "to")?,
        unit_id: given_unit(message.unit_id),
        with_units_below: message.with_units_below,
        procedure_code: given(&message.procedure_code),
        sector_code: given(&message.sector_code),
        known_until: decode::day(message.known_until, "known_until")?,
    })
}

/// Everything of a period in one.
fn whole(
    from: Option<egov_proto::google::r#type::Date>,
    to: Option<egov_proto::google::r#type::Date>,
    unit_id: i32,
    with_units_below: bool,
) -> Result<Query, Status> {
    Ok(Query {
        group: Group::Whole,
        from: required(from, "from")?,
        to: required(to, "to")?,
        unit_id: given_unit(unit_id),
        with_units_below,
        procedure_code: None,
        sector_code: None,
        known_until: None,
    })
}

fn row(figures: &Figures) -> proto::StatisticRow {
    proto::StatisticRow {
        key: figures.key.clone(),
        name: figures.name.clone(),
        columns: Some(columns(&figures.columns)),
    }
}

fn columns(columns: &Columns) -> proto::StatisticColumns {
    proto::StatisticColumns {
        carried_over: columns.carried_over,
        received_online: columns.received_online,
        received_counter: columns.received_counter,
        received_post: columns.received_post,
        transferred: columns.transferred,
        processed_early: columns.processed_early,
        processed_on_time: columns.processed_on_time,
        processed_late: columns.processed_late,
        withdrawn: columns.withdrawn,
        in_process_in_time: columns.in_process_in_time,
        in_process_overdue: columns.in_process_overdue,
        paused: columns.paused,
        stopped: columns.stopped,
        waiting: columns.waiting,
        registered: columns.registered,
        refused: columns.refused,
        left_before: columns.left_before,
        returned: columns.returned,
        supplements: columns.supplements,
        components: columns.components,
        digitised: columns.digitised,
        reused: columns.reused,
        results: columns.results,
        digital_results: columns.digital_results,
        rated_very_satisfied: columns.rated_very_satisfied,
        rated_satisfied: columns.rated_satisfied,
        rated_dissatisfied: columns.rated_dissatisfied,
        payments: columns.payments,
        online_payments: columns.online_payments,
    }
}

fn text(vi: &str, en: &str) -> LocalizedText {
    LocalizedText {
        vi: vi.to_owned(),
        en: en.to_owned(),
    }
}

fn rate(rate: &Rate) -> proto::Rate {
    let (vi, en) = rate.kind.words();
    let (part, whole) = rate.parts.unwrap_or_default();
    proto::Rate {
        code: rate.kind.code().to_owned(),
        name: Some(text(vi, en)),
        counted: rate.parts.is_some(),
        part,
        whole,
        hundredths_of_percent: rate.hundredths_of_percent(),
    }
}

fn index_group(score: &GroupScore<'_>) -> proto::IndexGroup {
    let group = score.group;
    proto::IndexGroup {
        code: group.code.clone(),
        name: group.name.clone(),
        max_points: group.max_points,
        basis: Some(fact_basis(&group.points)),
        rates: score.rates.iter().map(rate).collect(),
        hundredths_of_points: score.points,
        scoring_basis: group.scoring.as_ref().map(|scoring| fact_basis(&scoring.fact)),
    }
}

fn assessment(columns: &Columns, rules: &CentreRules, found: &Assessment) -> proto::GetRatingAssessmentResponse {
    let step = |score: i32, vi: &str, en: &str, count: i64| proto::RatingStep {
        score,
        name: Some(text(vi, en)),
        count,
    };
    let criterion = |(number, points): &(u8, Option<i32>)| {
        let rule = rules.rating.criterion.iter().find(|rule| rule.numbers.contains(number));
        proto::RatingCriterion {
            number: i32::from(*number),
            name: rule.map(|rule| rule.name.clone()).unwrap_or_default(),
            hundredths_of_points: *points,
            basis: rule.map(|rule| fact_basis(&rule.fact)),
        }
    };
    proto::GetRatingAssessmentResponse {
        steps: vec![
            step(3, "rất hài lòng", "very satisfied", columns.rated_very_satisfied),
            step(2, "hài lòng", "satisfied", columns.rated_satisfied),
            step(1, "không hài lòng", "dissatisfied", columns.rated_dissatisfied),
        ],
        criteria: found.criteria.iter().map(criterion).collect(),
        hundredths_of_points: found.total,
        band: found.band.clone().unwrap_or_default(),
        band_basis: Some(fact_basis(&rules.rating.band_fact)),
    }
}

fn due_report(form: &Form, period: &Period, today: Date) -> proto::DueReport {
    proto::DueReport {
        form: form.code.clone(),
        form_name: form.name.clone(),
        from: Some(period.from.into()),
        to: Some(period.to.into()),
        due_date: Some(period.due.into()),
        overdue: period.due < today,
    }
}
