//! The lines of an export: CSV with a head, or a JSON object a line. Whatever the bytes are, each line gives its columns or says what is wrong.

use std::collections::BTreeMap;
use std::io::BufRead;

use crate::domain::old_case::LineFault;

/// A longer line is no case but a mistake in the file.
const LONGEST: usize = 1 << 20;

/// How the lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CSV, UTF-8, the names of the columns first.
    Csv {
        /// What separates columns.
        delimiter: u8,
    },
    /// A JSON object a line, its values texts, numbers, truth or null.
    JsonLines,
}

/// One line: where it begins, and its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// The columns by their names, or why there are none.
    pub columns: Result<BTreeMap<String, String>, LineFault>,
}

fn fault(vi: &str, en: &str) -> LineFault {
    LineFault::new("line", vi, en)
}

/// The lines of a file.
///
/// # Errors
/// When the file cannot be read, or its first line names no columns.
pub fn lines<'a>(
    file: impl BufRead + 'a,
    format: Format,
) -> std::io::Result<Box<dyn Iterator<Item = std::io::Result<Line>> + 'a>> {
    match format {
        Format::Csv { delimiter } => csv_lines(file, delimiter),
        Format::JsonLines => Ok(Box::new(JsonLines { file, number: 0 })),
    }
}

fn csv_lines<'a>(
    file: impl BufRead + 'a,
    delimiter: u8,
) -> std::io::Result<Box<dyn Iterator<Item = std::io::Result<Line>> + 'a>> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        // A line ends where it is counted, with or without a carriage return before.
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(file);
    let head = reader.byte_headers().map_err(std::io::Error::other)?.clone();
    let names = head
        .iter()
        .enumerate()
        .map(|(place, name)| {
            // What Excel puts in front of a file in UTF-8.
            let name = if place == 0 {
                name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name)
            } else {
                name
            };
            std::str::from_utf8(name).map(|name| name.trim().to_owned())
        })
        .collect::<Result<Vec<String>, _>>()
        .map_err(std::io::Error::other)?;
    let mut known = names.clone();
    known.sort_unstable();
    known.dedup();
    if names.is_empty() || known.len() != names.len() {
        return Err(std::io::Error::other("the first line must name the columns, each once"));
    }
    Ok(Box::new(reader.into_byte_records().filter_map(move |record| {
        let record = match record.map_err(csv::Error::into_kind) {
            Ok(record) => record,
            Err(csv::ErrorKind::Io(error)) => return Some(Err(error)),
            Err(other) => return Some(Err(std::io::Error::other(format!("{other:?}")))),
        };
        let is_blank = record.len() == 1 && record.as_slice() == b"\r";
        (!is_blank).then(|| {
            Ok(Line {
                number: record.position().map_or(0, csv::Position::line),
                columns: columns_of(&names, &record),
            })
        })
    })))
}

fn columns_of(names: &[String], record: &csv::ByteRecord) -> Result<BTreeMap<String, String>, LineFault> {
    if record.as_slice().len() > LONGEST {
        return Err(fault("dòng quá dài", "the line is too long"));
    }
    if record.len() != names.len() {
        return Err(LineFault::new(
            "line",
            format!("có {} cột thay vì {}", record.len(), names.len()),
            format!("has {} columns instead of {}", record.len(), names.len()),
        ));
    }
    let last = record.len().saturating_sub(1);
    names
        .iter()
        .zip(record.iter().enumerate())
        .map(|(name, (place, value))| {
            let value = if place == last {
                value.strip_suffix(b"\r").unwrap_or(value)
            } else {
                value
            };
            let value = std::str::from_utf8(value).map_err(|_| not_utf8())?;
            Ok((name.clone(), value.to_owned()))
        })
        .collect()
}

fn not_utf8() -> LineFault {
    fault("không phải văn bản UTF-8", "is not UTF-8 text")
}

struct JsonLines<R> {
    file: R,
    number: u64,
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = std::io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut bytes = Vec::new();
            let read = std::io::Read::take(&mut self.file, LONGEST as u64 + 1).read_until(b'\n', &mut bytes);
            match read {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            self.number += 1;
            if bytes.last() != Some(&b'\n') && bytes.len() > LONGEST {
                if let Err(error) = self.skip() {
                    return Some(Err(error));
                }
                let columns = Err(fault("dòng quá dài", "the line is too long"));
                return Some(Ok(Line {
                    number: self.number,
                    columns,
                }));
            }
            if bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
            return Some(Ok(Line {
                number: self.number,
                columns: object_of(bytes),
            }));
        }
    }
}

impl<R: BufRead> JsonLines<R> {
    /// Goes to the end of the line, without keeping it.
    fn skip(&mut self) -> std::io::Result<()> {
        loop {
            let held = self.file.fill_buf()?;
            if held.is_empty() {
                return Ok(());
            }
            let (count, ended) = match held.iter().position(|byte| *byte == b'\n') {
                Some(place) => (place + 1, true),
                None => (held.len(), false),
            };
            self.file.consume(count);
            if ended {
                return Ok(());
            }
        }
    }
}

fn object_of(bytes: &[u8]) -> Result<BTreeMap<String, String>, LineFault> {
    use serde_json::Value;

    let text = std::str::from_utf8(bytes).map_err(|_| not_utf8())?;
    let object: BTreeMap<String, Value> =
        serde_json::from_str(text).map_err(|_| fault("không phải một đối tượng JSON", "is not an object of JSON"))?;
    let mut columns = BTreeMap::new();
    for (name, value) in object {
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => {
                return Err(fault(
                    "có cột là danh sách hoặc đối tượng: hãy trải phẳng",
                    "a column is a list or an object: make it flat",
                ));
            }
        };
        columns.insert(name, value);
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CSV: Format = Format::Csv { delimiter: b',' };

    fn all(bytes: &[u8], format: Format) -> Vec<Line> {
        lines(bytes, format).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn lines_of_both_kinds_say_the_same() {
        let csv = all("\u{feff}a,b\n1,\"x, \"\"y\"\"\nz\"\n,Hồ\n".as_bytes(), CSV);
        let json = all(
            "{\"a\": 1, \"b\": \"x, \\\"y\\\"\\nz\"}\n\n{\"a\": \"\", \"b\": \"Hồ\", \"c\": null}".as_bytes(),
            Format::JsonLines,
        );
        let columns = |lines: &[Line]| {
            lines
                .iter()
                .map(|line| line.columns.clone().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(columns(&csv), columns(&json));
        assert_eq!(csv.iter().map(|line| line.number).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(json.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn a_broken_line_is_named_and_the_next_is_read() {
        let found = all(b"a,b\n1\n2,\xff\n3,4\n", CSV);
        let wrong: Vec<_> = found
            .iter()
            .map(|line| line.columns.as_ref().err().map(|fault| fault.en.clone()))
            .collect();
        assert_eq!(
            wrong,
            [
                Some("has 1 columns instead of 2".to_owned()),
                Some("is not UTF-8 text".to_owned()),
                None
            ]
        );
        let mut long = vec![b'['; LONGEST + 10];
        long.extend(b"\n{\"a\": [1]}\nnull\n{\"a\": \"1\"}");
        let found = all(&long, Format::JsonLines);
        assert_eq!(found.len(), 4);
        assert!(found[..3].iter().all(|line| line.columns.is_err()) && found[3].columns.is_ok());
        assert_eq!(found[3].number, 4);
    }

    #[test]
    fn lines_that_end_in_a_carriage_return_are_counted_and_read_like_others() {
        let found = all(b"a,b\r\n1,x\r\n\r\n2,\"y\"\r\n", CSV);
        let read: Vec<_> = found
            .iter()
            .map(|line| (line.number, line.columns.as_ref().unwrap()["b"].as_str()))
            .collect();
        assert_eq!(read, [(2, "x"), (4, "y")]);
    }

    #[test]
    fn a_file_whose_columns_have_no_names_is_refused() {
        assert!(lines(&b"a,a\n1,2\n"[..], CSV).is_err());
        assert!(lines(&b"\xff,b\n1,2\n"[..], CSV).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_lines_or_faults(bytes in proptest::collection::vec(any::<u8>(), 0..400), csv in any::<bool>()) {
            let format = if csv { CSV } else { Format::JsonLines };
            if let Ok(found) = lines(bytes.as_slice(), format) {
                for line in found {
                    prop_assert!(line.unwrap().number >= 1);
                }
            }
        }

        #[test]
        fn what_was_written_is_read(rows in proptest::collection::vec(("[^\\x00]{0,12}", "\\PC{0,12}"), 1..20)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["one", "two"]).unwrap();
            let mut json = String::new();
            for (one, two) in &rows {
                writer.write_record([one, two]).unwrap();
                json.push_str(&serde_json::json!({"one": one, "two": two}).to_string());
                json.push('\n');
            }
            let csv = writer.into_inner().unwrap();
            for (bytes, format) in [(csv.as_slice(), CSV), (json.as_bytes(), Format::JsonLines)] {
                let found = all(bytes, format);
                prop_assert_eq!(found.len(), rows.len());
                for (line, (one, two)) in found.iter().zip(&rows) {
                    let columns = line.columns.as_ref().unwrap();
                    prop_assert_eq!((&columns["one"], &columns["two"]), (one, two));
                }
            }
        }
    }
}
