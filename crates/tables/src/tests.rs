#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use std::io::Read as _;

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn table() -> Table {
    Table {
        title: "Tình hình giải quyết".to_owned(),
        notes: vec!["Từ 15/10/2026 đến 14/11/2026".to_owned()],
        columns: vec![
            Column::text("Đơn vị"),
            Column::number("Tiếp nhận"),
            Column::number("Tỷ lệ"),
            Column::number("Hạn"),
        ],
        made: date(2026, 11, 25),
    }
}

fn row(name: &str) -> Vec<Cell> {
    vec![
        Cell::Text(name.to_owned()),
        Cell::Number(12),
        Cell::Percent(7_505),
        Cell::Date(date(2026, 11, 5)),
    ]
}

/// The members of a ZIP archive whose sizes stand in the central directory.
fn member(archive: &[u8], wanted: &str) -> String {
    let number = |at: usize, size: usize| -> usize {
        archive[at..at + size]
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let end = archive.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    let mut at = number(end + 16, 4);
    while &archive[at..at + 4] == b"PK\x01\x02" {
        let (packed, name_length) = (number(at + 20, 4), number(at + 28, 2));
        let name = std::str::from_utf8(&archive[at + 46..at + 46 + name_length]).unwrap();
        if name == wanted {
            let local = number(at + 42, 4);
            let data = local + 30 + number(local + 26, 2) + number(local + 28, 2);
            let mut text = String::new();
            flate2::read::DeflateDecoder::new(&archive[data..data + packed])
                .read_to_string(&mut text)
                .unwrap();
            return text;
        }
        at += 46 + name_length + number(at + 30, 2) + number(at + 32, 2);
    }
    panic!("there is no {wanted}");
}

#[test]
fn csv_has_vietnamese_headings_and_dates_as_here() {
    let text = String::from_utf8(to_csv(&table(), [row("Phường Trường Vinh")]).unwrap()).unwrap();
    assert_eq!(
        text,
        "\u{feff}Tình hình giải quyết\nTừ 15/10/2026 đến 14/11/2026\nĐơn vị,Tiếp nhận,Tỷ lệ,Hạn\n\
         Phường Trường Vinh,12,\"75,05%\",05/11/2026\n"
    );
}

#[test]
fn a_workbook_holds_the_cells_as_what_they_are() {
    let book = to_xlsx(&table(), [row("Phường Trường Vinh"), row("=1+1")]).unwrap();
    let sheet = member(&book, "xl/worksheets/sheet1.xml");
    // 2026-11-05 is day 46331 of spreadsheets.
    for cell in ["<v>12</v>", "<v>0.7505</v>", "<v>46331</v>"] {
        assert!(sheet.contains(cell), "{cell}: {sheet}");
    }
    assert!(sheet.contains("Phường Trường Vinh"), "{sheet}");
    assert!(!sheet.contains("<f>"), "no text becomes a formula: {sheet}");
    assert!(member(&book, "xl/styles.xml").contains("dd/mm/yyyy"));
}

#[test]
fn the_same_table_gives_the_same_bytes() {
    let make = || to_xlsx(&table(), (0..200).map(|n| row(&n.to_string()))).unwrap();
    assert!(make() == make());
}

#[test]
fn a_row_of_another_width_is_refused() {
    let short = vec![Cell::Empty];
    assert!(matches!(
        to_csv(&table(), [short.clone()]),
        Err(TableError::Uneven { row: 1, .. })
    ));
    assert!(matches!(
        to_xlsx(&table(), [short]),
        Err(TableError::Uneven { row: 1, .. })
    ));
}

proptest! {
    #[test]
    fn what_is_written_as_csv_is_read_again_and_is_no_formula(names in prop::collection::vec(".{0,40}", 0..20)) {
        let csv = to_csv(&table(), names.iter().map(|name| row(name))).unwrap();
        let text = csv.strip_prefix(b"\xef\xbb\xbf").unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        let read: Vec<String> = reader.records().skip(3).map(|record| record.unwrap()[0].to_owned()).collect();
        prop_assert_eq!(read.len(), names.len());
        for (read, name) in read.iter().zip(&names) {
            let shown = if name.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{name}") } else { name.clone() };
            prop_assert_eq!(read, &shown);
            prop_assert!(!read.starts_with(['=', '+', '-', '@', '\t', '\r']));
        }
    }
}
