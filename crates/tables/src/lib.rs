//! Tables as files: CSV and XLSX, in bounded memory, the same bytes for the same table.

mod archive;
mod workbook;

use jiff::civil::Date;

/// What a spreadsheet has at most, less room for title and notes.
pub const MOST_ROWS: u32 = 1_000_000;

/// A table without its rows.
#[derive(Debug, Clone)]
pub struct Table {
    /// Above everything.
    pub title: String,
    /// Lines below the title: period, unit, source.
    pub notes: Vec<String>,
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The day on which it was made, for the properties of a workbook.
    pub made: Date,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its heading.
    pub heading: String,
    /// Its width in characters.
    pub width: u16,
}

impl Column {
    /// A column of words.
    pub fn text(heading: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            width: 40,
        }
    }

    /// A column of numbers or dates.
    pub fn number(heading: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            width: 14,
        }
    }
}

/// What a cell holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Hundredths of a percent.
    Percent(i32),
    /// A day.
    Date(Date),
    /// Nothing.
    Empty,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It has more rows than a spreadsheet can show.
    #[error("more than {MOST_ROWS} rows")]
    TooManyRows,
    /// A row has another number of cells than there are columns.
    #[error("row {row} has {cells} cells instead of {columns}")]
    Uneven {
        /// From 1.
        row: u32,
        /// How many it has.
        cells: usize,
        /// How many it should have.
        columns: usize,
    },
    /// The CSV could not be written.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The workbook could not be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file could not be finished.
    #[error("the file could not be finished: {0}")]
    Unfinished(String),
}

/// A date as it is written here.
fn written(date: Date) -> String {
    date.strftime("%d/%m/%Y").to_string()
}

/// A text that no spreadsheet takes for a formula.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn check(table: &Table, row: u32, cells: &[Cell]) -> Result<(), TableError> {
    if row > MOST_ROWS {
        return Err(TableError::TooManyRows);
    }
    if cells.len() != table.columns.len() {
        return Err(TableError::Uneven {
            row,
            cells: cells.len(),
            columns: table.columns.len(),
        });
    }
    Ok(())
}

/// The table as CSV.
pub fn to_csv(table: &Table, rows: impl IntoIterator<Item = Vec<Cell>>) -> Result<Vec<u8>, TableError> {
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .from_writer(b"\xef\xbb\xbf".to_vec());
    for line in std::iter::once(&table.title).chain(&table.notes) {
        writer.write_record([harmless(line)])?;
    }
    writer.write_record(table.columns.iter().map(|column| harmless(&column.heading)))?;
    for (row, cells) in (1..).zip(rows) {
        check(table, row, &cells)?;
        writer.write_record(cells.iter().map(|cell| match cell {
            Cell::Text(text) => harmless(text),
            Cell::Number(number) => number.to_string(),
            // A comma as in Vietnamese; the writer puts the cell in quotes.
            Cell::Percent(hundredths) => format!("{},{:02}%", hundredths / 100, hundredths.unsigned_abs() % 100),
            Cell::Date(date) => written(*date),
            Cell::Empty => String::new(),
        }))?;
    }
    writer
        .into_inner()
        .map_err(|error| TableError::Unfinished(error.to_string()))
}

/// The table as a workbook with one sheet.
pub fn to_xlsx(table: &Table, rows: impl IntoIterator<Item = Vec<Cell>>) -> Result<Vec<u8>, TableError> {
    workbook::write(table, rows)
}

#[cfg(test)]
mod tests;
