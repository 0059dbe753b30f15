//! StatisticsService.

use egov_clock::Clock as _;
use egov_fault::Fault;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::statistics_service_server::StatisticsService;
use egov_runtime::accept;
use egov_tables::{Cell, Column, Table, TableError, to_csv, to_xlsx};
use jiff::civil::Date;
use tonic::{Request, Response, Status};

use super::{Api, event, status, wrong};
use crate::domain::statistics::Dimension;
use crate::error::Error;
use crate::operations::{NamedFigures, StatisticsQuery, settled_until};

/// A refusal for one field.
fn invalid(field: &str, vi: &str, en: &str) -> Status {
    status(Error::Invalid(vec![wrong(field, vi, en)]))
}

fn dimension(dimension: proto::VitalDimension) -> Dimension {
    use proto::VitalDimension as D;
    match dimension {
        D::Unit => Dimension::Unit,
        D::Month => Dimension::Month,
        D::Sex => Dimension::Sex,
        D::EthnicGroup => Dimension::EthnicGroup,
        D::Whole | D::Unspecified => Dimension::Whole,
    }
}

/// A month that the contract has bounded.
fn month(number: i32, otherwise: i8) -> i8 {
    i8::try_from(number)
        .ok()
        .filter(|month| *month != 0)
        .unwrap_or(otherwise)
}

/// A year that the contract has bounded.
fn year(number: i32) -> Result<i16, Status> {
    i16::try_from(number).map_err(|_| invalid("year", "không phải là một năm", "is no year of the calendar"))
}

fn figures(figures: &NamedFigures, with_kinds: bool) -> proto::VitalFigures {
    let kinds = figures.kinds;
    proto::VitalFigures {
        event: figures.event.code().into(),
        key: figures.key.clone(),
        name: figures.name.clone(),
        pooled: figures.pooled,
        total: kinds.total(),
        kinds: with_kinds.then_some(proto::VitalKinds {
            on_time: kinds.on_time,
            late: kinds.late,
            again: kinds.again,
            from_abroad: kinds.from_abroad,
        }),
    }
}

const fn called(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Whole => "Tổng số",
        Dimension::Unit => "Đơn vị",
        Dimension::Month => "Tháng",
        Dimension::Sex => "Giới tính",
        Dimension::EthnicGroup => "Dân tộc",
    }
}

/// The columns of the table.
fn columns() -> Vec<Column> {
    let numbers = [
        "Tổng số",
        "Đúng hạn",
        "Quá hạn",
        "Đăng ký lại",
        "Ghi vào sổ việc đã đăng ký ở nước ngoài",
    ];
    let mut columns = vec![
        Column::number("Loại việc"),
        Column::number("Theo"),
        Column::number("Mã"),
        Column::text("Tên"),
    ];
    columns.extend(numbers.map(Column::number));
    columns
}

/// A row of the table.
fn line(dimension: Dimension, row: &NamedFigures, with_kinds: bool) -> Vec<Cell> {
    let kinds = row.kinds;
    let mut cells = vec![
        Cell::Text(row.event.vi().to_owned()),
        Cell::Text(called(dimension).to_owned()),
        Cell::Text(row.key.clone()),
        Cell::Text(row.name.clone()),
        Cell::Number(kinds.total()),
    ];
    let parts = [kinds.on_time, kinds.late, kinds.again, kinds.from_abroad];
    cells.extend(parts.map(|count| if with_kinds { Cell::Number(count) } else { Cell::Empty }));
    cells
}

impl Api {
    /// What is asked, with what the contract's rules cannot refuse.
    fn query(&self, message: &proto::GetVitalStatisticsRequest) -> Result<StatisticsQuery, Status> {
        let (from_month, to_month) = (month(message.from_month, 1), month(message.to_month, 12));
        let mut refused = Vec::new();
        if to_month < from_month {
            refused.push(wrong(
                "to_month",
                "không được trước tháng đầu",
                "must not be before the first month",
            ));
        }
        let known_until = message.known_until.map(Date::try_from);
        match &known_until {
            Some(Err(_)) => refused.push(wrong(
                "known_until",
                "không phải là một ngày có thật",
                "is not a day of the calendar",
            )),
            Some(Ok(day)) if *day > settled_until(self.registry.clock.now()) => refused.push(wrong(
                "known_until",
                "phải là một ngày đã kết thúc",
                "must be a day that is over",
            )),
            Some(Ok(_)) | None => {}
        }
        if !refused.is_empty() {
            return Err(status(Error::Invalid(refused)));
        }
        Ok(StatisticsQuery {
            dimension: dimension(message.dimension()),
            year: year(message.year)?,
            from_month,
            to_month,
            unit_id: (message.unit_id != 0).then_some(message.unit_id),
            with_units_below: message.with_units_below,
            under_successors: message.under_successors,
            event: event(message.event),
            known_until: known_until.and_then(Result::ok),
        })
    }
}

#[tonic::async_trait]
impl StatisticsService for Api {
    async fn get_vital_statistics(
        &self,
        request: Request<proto::GetVitalStatisticsRequest>,
    ) -> Result<Response<proto::GetVitalStatisticsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let query = self.query(&request.message)?;
        let found = self
            .registry
            .vital_statistics(request.caller()?, &query)
            .await
            .map_err(status)?;
        let with_kinds = !query.dimension.is_of_persons();
        Ok(Response::new(proto::GetVitalStatisticsResponse {
            rows: found.rows.iter().map(|row| figures(row, with_kinds)).collect(),
            totals: found.totals.iter().map(|row| figures(row, true)).collect(),
        }))
    }

    async fn export_vital_statistics(
        &self,
        request: Request<proto::ExportVitalStatisticsRequest>,
    ) -> Result<Response<proto::ExportVitalStatisticsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let format = request.message.format();
        let query = self.query(&request.message.statistics.unwrap_or_default())?;
        let found = self
            .registry
            .vital_statistics(request.caller()?, &query)
            .await
            .map_err(status)?;
        let today = self.registry.clock.today();
        let known = query.known_until.unwrap_or(today);
        let table = Table {
            title: "Thống kê đăng ký hộ tịch".to_owned(),
            notes: vec![
                format!(
                    "Kỳ từ tháng {} đến tháng {} năm {}",
                    query.from_month, query.to_month, query.year
                ),
                format!("Số liệu ghi nhận đến ngày {}", known.strftime("%d/%m/%Y")),
            ],
            columns: columns(),
            made: today,
        };
        let with_kinds = !query.dimension.is_of_persons();
        let rows = found
            .rows
            .iter()
            .map(|row| line(query.dimension, row, with_kinds))
            .chain(found.totals.iter().map(|row| line(Dimension::Whole, row, true)));
        let (content, media_type, ending) = match format {
            proto::VitalTableFormat::Xlsx => (
                to_xlsx(&table, rows),
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "xlsx",
            ),
            proto::VitalTableFormat::Csv | proto::VitalTableFormat::Unspecified => {
                (to_csv(&table, rows), "text/csv; charset=utf-8", "csv")
            }
        };
        let content = content.map_err(|error: TableError| status(Fault::internal(error).into()))?;
        Ok(Response::new(proto::ExportVitalStatisticsResponse {
            name: format!("thong-ke-ho-tich-{}.{ending}", query.year),
            media_type: media_type.to_owned(),
            content,
        }))
    }

    async fn check_vital_statistics(
        &self,
        request: Request<proto::CheckVitalStatisticsRequest>,
    ) -> Result<Response<proto::CheckVitalStatisticsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let compared = self
            .registry
            .check_vital_statistics(request.caller()?, message.unit_id, year(message.year)?)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::CheckVitalStatisticsResponse {
            entries: compared.entries,
            differing_entry_ids: compared.differing.iter().map(ToString::to_string).collect(),
        }))
    }
}
