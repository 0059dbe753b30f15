//! Figures as table files with Vietnamese headings.

use egov_fault::Fault;
use egov_proto::egov::onestop::v1 as proto;
use egov_tables::{Cell, Column, Table, TableError, to_csv, to_xlsx};
use jiff::civil::Date;

use crate::domain::reports::RateKind;
use crate::domain::statistics::{Columns, Figures, Group};
use crate::error::Error;
use crate::report_error::ReportRefused;

/// More rows are asked for in parts.
const MOST: usize = 5_000;

/// Heading and value of a column.
type Shown = (&'static str, fn(&Columns) -> i64);

/// The columns, in the order of the standard report.
const COLUMNS: [Shown; 25] = [
    ("Tiếp nhận: kỳ trước chuyển sang", |columns| {
        columns.carried_over
    }),
    ("Tiếp nhận: trực tuyến", |columns| columns.received_online),
    ("Tiếp nhận: trực tiếp", |columns| columns.received_counter),
    ("Tiếp nhận: bưu chính", |columns| columns.received_post),
    ("Chuyển đến trừ chuyển đi", |columns| columns.transferred),
    ("Đã xử lý: tổng số", Columns::processed),
    ("Đã xử lý: trước hạn", |columns| columns.processed_early),
    ("Đã xử lý: đúng hạn", |columns| columns.processed_on_time),
    ("Đã xử lý: quá hạn", |columns| columns.processed_late),
    ("Trong đó: rút hồ sơ", |columns| columns.withdrawn),
    ("Đang xử lý: tổng số", Columns::in_process),
    ("Đang xử lý: trong hạn", |columns| columns.in_process_in_time),
    ("Đang xử lý: quá hạn", |columns| columns.in_process_overdue),
    ("Tạm dừng", |columns| columns.paused),
    ("Dừng xử lý", |columns| columns.stopped),
    ("Chờ tiếp nhận", |columns| columns.waiting),
    ("Không được tiếp nhận", |columns| columns.refused),
    ("Đã trả kết quả", |columns| columns.returned),
    ("Lượt yêu cầu bổ sung", |columns| columns.supplements),
    ("Thành phần hồ sơ", |columns| columns.components),
    ("Thành phần hồ sơ đã số hoá", |columns| columns.digitised),
    ("Kết quả điện tử", |columns| columns.digital_results),
    ("Đánh giá: rất hài lòng", |columns| columns.rated_very_satisfied),
    ("Đánh giá: hài lòng", |columns| columns.rated_satisfied),
    ("Đánh giá: không hài lòng", |columns| columns.rated_dissatisfied),
];

/// A part of a table: what its rows are called, and the rows.
pub(super) struct Part<'a> {
    pub(super) group: Group,
    pub(super) rows: &'a [Figures],
}

/// What stands above a table.
pub(super) struct Above {
    pub(super) title: String,
    pub(super) notes: Vec<String>,
    pub(super) from: Date,
    pub(super) to: Date,
    pub(super) known_until: Date,
    pub(super) made: Date,
}

fn written(date: Date) -> String {
    date.strftime("%d/%m/%Y").to_string()
}

const fn called(group: Group) -> &'static str {
    match group {
        Group::Whole => "Tổng số",
        Group::Unit => "Đơn vị",
        Group::Sector => "Lĩnh vực",
        Group::Procedure => "Thủ tục",
        Group::Officer => "Người xử lý",
    }
}

/// The file: every part, each row with what it is called, and the total at the end. Rows are made while they are written.
pub(super) fn file(
    name: &str,
    above: Above,
    parts: &[Part<'_>],
    total: &Columns,
    format: proto::TableFormat,
) -> Result<proto::TableFile, Error> {
    let count = parts.iter().map(|part| part.rows.len()).sum::<usize>();
    if count > MOST {
        return Err(ReportRefused::ExportTooLarge(count).into());
    }
    let mut columns = vec![Column::number("Theo"), Column::number("Mã"), Column::text("Tên")];
    columns.extend(COLUMNS.map(|(heading, _)| Column::number(heading)));
    columns.push(Column::number("Tỷ lệ trước và đúng hạn"));
    columns.push(Column::number("Từ ngày"));
    columns.push(Column::number("Đến ngày"));
    let mut notes = vec![
        format!("Kỳ từ {} đến {}", written(above.from), written(above.to)),
        format!("Số liệu ghi nhận đến hết ngày {}", written(above.known_until)),
    ];
    notes.extend(above.notes);
    let table = Table {
        title: above.title,
        notes,
        columns,
        made: above.made,
    };
    let (from, to) = (above.from, above.to);
    let line = |group: Group, key: &str, name: &str, columns: &Columns| {
        let mut cells = vec![
            Cell::Text(called(group).to_owned()),
            Cell::Text(key.to_owned()),
            Cell::Text(name.to_owned()),
        ];
        cells.extend(COLUMNS.map(|(_, value)| Cell::Number(value(columns))));
        let rate = RateKind::OnTime.of(columns).hundredths_of_percent();
        cells.push(rate.map_or(Cell::Empty, Cell::Percent));
        cells.extend([Cell::Date(from), Cell::Date(to)]);
        cells
    };
    let rows = parts
        .iter()
        .flat_map(|part| {
            part.rows
                .iter()
                .map(|row| line(part.group, &row.key, &row.name, &row.columns))
        })
        .chain(std::iter::once_with(|| line(Group::Whole, "", "", total)));
    let (content, media_type, ending) = match format {
        proto::TableFormat::Xlsx => (
            to_xlsx(&table, rows),
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "xlsx",
        ),
        proto::TableFormat::Csv | proto::TableFormat::Unspecified => {
            (to_csv(&table, rows), "text/csv; charset=utf-8", "csv")
        }
    };
    let content = content.map_err(|error: TableError| Fault::internal(error))?;
    Ok(proto::TableFile {
        name: format!("{name}.{ending}"),
        media_type: media_type.to_owned(),
        content,
    })
}
