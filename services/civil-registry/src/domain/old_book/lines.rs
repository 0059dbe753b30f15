//! The lines of a piece of a file: CSV, or a JSON object a line. Whatever the bytes are, each line gives its columns or says what is wrong.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Columns;
use crate::domain::finding::Violation;

/// Lines of a piece.
pub const MOST: usize = 2_000;

/// The most bytes of a line: more is no entry but a mistake in the file.
const LONGEST: usize = 1 << 16;

/// What Excel puts in front of a file in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CSV in UTF-8 with commas.
    Csv,
    /// A JSON object a line, its values texts, numbers, truth or null.
    JsonLines,
}

/// One line.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: i64,
    /// The columns, or why there are none.
    pub columns: Result<Columns, Violation>,
}

fn fault(code: &'static str, vi: impl Into<String>, en: impl Into<String>) -> Violation {
    Violation::of_shape(code, "line", vi, en)
}

/// The lines of a piece whose first one has this number in the file; `header` names the columns of CSV. Blank lines are none.
///
/// # Errors
/// The header names no columns, or there are more lines than a piece has.
pub fn lines(format: Format, header: &[u8], piece: &[u8], first: i64) -> Result<Vec<Line>, Violation> {
    let columns = match format {
        Format::Csv => csv_lines(header, piece)?,
        Format::JsonLines => json_lines(piece),
    };
    if columns.len() > MOST {
        return Err(Violation::of_shape(
            "too_many_lines",
            "lines",
            format!("mỗi phần có tối đa {MOST} dòng"),
            format!("a piece has {MOST} lines at most"),
        ));
    }
    let numbered = columns.into_iter().zip(first..);
    Ok(numbered.map(|(columns, number)| Line { number, columns }).collect())
}

fn records(bytes: &[u8]) -> csv::ByteRecordsIntoIter<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes.strip_prefix(MARK).unwrap_or(bytes))
        .into_byte_records()
}

fn names_of(header: &[u8]) -> Option<Vec<String>> {
    let record = records(header).next()?.ok()?;
    let names: Vec<String> = record
        .iter()
        .map(|name| std::str::from_utf8(name).map(|name| name.trim().to_owned()))
        .collect::<Result<_, _>>()
        .ok()?;
    let mut known = names.clone();
    known.sort_unstable();
    known.dedup();
    let each_once = known.len() == names.len() && names.iter().all(|name| !name.is_empty());
    each_once.then_some(names)
}

fn csv_lines(header: &[u8], piece: &[u8]) -> Result<Vec<Result<Columns, Violation>>, Violation> {
    let names = names_of(header).ok_or_else(|| {
        Violation::of_shape(
            "header",
            "header",
            "phải nêu tên các cột, mỗi tên một lần",
            "must name the columns, each once",
        )
    })?;
    let mut lines = Vec::new();
    for record in records(piece) {
        lines.push(match record {
            Ok(record) => columns_of(&names, &record),
            Err(_) => Err(fault("unreadable", "không đọc được dòng", "the line cannot be read")),
        });
    }
    Ok(lines)
}

fn not_utf8() -> Violation {
    fault("not_utf8", "không phải văn bản UTF-8", "is not UTF-8 text")
}

fn too_long() -> Violation {
    fault("line_too_long", "dòng quá dài", "the line is too long")
}

fn columns_of(names: &[String], record: &csv::ByteRecord) -> Result<Columns, Violation> {
    if record.as_slice().len() > LONGEST {
        return Err(too_long());
    }
    if record.len() != names.len() {
        return Err(fault(
            "columns",
            format!("có {} cột thay vì {}", record.len(), names.len()),
            format!("has {} columns instead of {}", record.len(), names.len()),
        ));
    }
    // A column in which nothing stands says what an absent one says.
    let said = names.iter().zip(record.iter()).filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| {
        let value = std::str::from_utf8(value).map_err(|_| not_utf8())?;
        Ok((name.clone(), value.to_owned()))
    })
    .collect()
}

fn json_lines(piece: &[u8]) -> Vec<Result<Columns, Violation>> {
    piece
        .strip_prefix(MARK)
        .unwrap_or(piece)
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
        .map(object_of)
        .collect()
}

fn object_of(line: &[u8]) -> Result<Columns, Violation> {
    if line.len() > LONGEST {
        return Err(too_long());
    }
    let text = std::str::from_utf8(line).map_err(|_| not_utf8())?;
    let object: BTreeMap<String, Value> = serde_json::from_str(text)
        .map_err(|_| fault("not_json", "không phải một đối tượng JSON", "is not an object of JSON"))?;
    let mut columns = Columns::new();
    for (name, value) in object {
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => {
                return Err(fault(
                    "nested",
                    "có cột là danh sách hoặc đối tượng: hãy trải phẳng",
                    "a column is a list or an object: make it flat",
                ));
            }
        };
        if !value.is_empty() {
            columns.insert(name, value);
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_both_kinds_say_the_same_and_a_broken_one_is_named() {
        let csv = lines(
            Format::Csv,
            b"\xef\xbb\xbfso,nksHoTen",
            "12,\"Hồ, \"\"Tý\"\"\"\n13\n14,\u{110}\u{1ed7} A\r\n".as_bytes(),
            5,
        )
        .unwrap();
        let json = lines(
            Format::JsonLines,
            b"",
            "{\"so\": 12, \"nksHoTen\": \"Hồ, \\\"Tý\\\"\"}\n\n[1]\n{\"so\": \"14\", \"nksHoTen\": \"Đỗ A\", \"x\": null}".as_bytes(),
            5,
        )
        .unwrap();
        let said = |lines: &[Line]| {
            lines
                .iter()
                .map(|line| (line.number, line.columns.clone().ok()))
                .collect::<Vec<_>>()
        };
        assert_eq!(said(&csv), said(&json));
        assert_eq!(csv[1].columns.as_ref().unwrap_err().code, "columns");
        assert_eq!(json[1].columns.as_ref().unwrap_err().code, "not_json");
    }

    #[test]
    fn a_header_that_names_no_columns_and_too_many_lines_are_refused() {
        for header in ["", "so,so", "so,"] {
            assert!(lines(Format::Csv, header.as_bytes(), b"1,2", 1).is_err());
        }
        assert!(lines(Format::Csv, b"so", "1\n".repeat(MOST + 1).as_bytes(), 1).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_of_a_file_are_lines_or_faults(header in proptest::collection::vec(any::<u8>(), 0..40), bytes in proptest::collection::vec(any::<u8>(), 0..400), csv in any::<bool>()) {
            let format = if csv { Format::Csv } else { Format::JsonLines };
            if let Ok(found) = lines(format, &header, &bytes, 1) {
                for (line, number) in found.iter().zip(1..) {
                    prop_assert_eq!(line.number, number);
                }
            }
        }

        #[test]
        fn what_was_written_is_read_byte_for_byte(rows in proptest::collection::vec(("[^\\x00]{1,12}", "\\PC{1,12}"), 1..20)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let mut json = String::new();
            for (one, two) in &rows {
                writer.write_record([one, two]).unwrap();
                json.push_str(&serde_json::json!({"one": one, "two": two}).to_string());
                json.push('\n');
            }
            let csv = writer.into_inner().unwrap();
            // A mark in front of everything is no part of the first column.
            prop_assume!(!csv.starts_with(MARK));
            for (format, bytes) in [(Format::Csv, csv.as_slice()), (Format::JsonLines, json.as_bytes())] {
                let found = lines(format, b"one,two", bytes, 1).unwrap();
                prop_assert_eq!(found.len(), rows.len());
                for (line, (one, two)) in found.iter().zip(&rows) {
                    let columns = line.columns.as_ref().unwrap();
                    prop_assert_eq!((&columns["one"], &columns["two"]), (one, two));
                }
            }
        }
    }
}
