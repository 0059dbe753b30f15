//! A workbook with one sheet (Office Open XML, ECMA-376): what spreadsheets read, and no more.

use std::io::{self, Write};

use jiff::civil::{Date, date};

use crate::archive::{Archive, Member};
use crate::{Cell, Table, TableError, check};

/// Looks of cells, by their place in `cellXfs` of [`STYLES`].
const PLAIN: u8 = 0;
const TITLE: u8 = 1;
const HEADING: u8 = 2;
const NUMBER: u8 = 3;
const PERCENT: u8 = 4;
const DAY: u8 = 5;

const CONTENT_TYPES: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">"#,
    r#"<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>"#,
    r#"<Default Extension="xml" ContentType="application/xml"/>"#,
    r#"<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>"#,
    r#"<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>"#,
    r#"<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>"#,
    r#"<Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>"#,
    "</Types>"
);

const PARTS: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#,
    r#"<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>"#,
    r#"<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties" Target="docProps/core.xml"/>"#,
    "</Relationships>"
);

const WORKBOOK: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">"#,
    r#"<sheets><sheet name="Bảng" sheetId="1" r:id="rId1"/></sheets></workbook>"#
);

const SHEETS: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#,
    r#"<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>"#,
    r#"<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/>"#,
    "</Relationships>"
);

const STYLES: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">"#,
    r#"<numFmts count="1"><numFmt numFmtId="164" formatCode="dd/mm/yyyy"/></numFmts>"#,
    r#"<fonts count="3"><font><sz val="11"/><name val="Times New Roman"/></font>"#,
    r#"<font><b/><sz val="14"/><name val="Times New Roman"/></font><font><b/><sz val="11"/><name val="Times New Roman"/></font></fonts>"#,
    r#"<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>"#,
    r#"<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>"#,
    r#"<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>"#,
    r#"<cellXfs count="6"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>"#,
    r#"<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>"#,
    r#"<xf numFmtId="0" fontId="2" fillId="0" borderId="0" xfId="0" applyFont="1" applyAlignment="1"><alignment horizontal="center" wrapText="1"/></xf>"#,
    r#"<xf numFmtId="3" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
    r#"<xf numFmtId="10" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
    r#"<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs>"#,
    r#"<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"#
);

/// A cell holds no longer text.
const LONGEST: usize = 32_767;

/// The table as a workbook. Rows are packed one by one.
pub(crate) fn write(table: &Table, rows: impl IntoIterator<Item = Vec<Cell>>) -> Result<Vec<u8>, TableError> {
    let mut archive = Archive::default();
    archive.text("[Content_Types].xml", CONTENT_TYPES)?;
    archive.text("_rels/.rels", PARTS)?;
    archive.text("docProps/core.xml", &properties(table))?;
    archive.text("xl/workbook.xml", WORKBOOK)?;
    archive.text("xl/_rels/workbook.xml.rels", SHEETS)?;
    archive.text("xl/styles.xml", STYLES)?;
    let mut sheet = Sheet {
        out: Archive::member(),
        line: 0,
    };
    sheet.begin(table)?;
    for (row, cells) in (1..).zip(rows) {
        check(table, row, &cells)?;
        sheet.row(&cells)?;
    }
    sheet.out.write_all(b"</sheetData></worksheet>")?;
    archive.add("xl/worksheets/sheet1.xml", sheet.out)?;
    Ok(archive.finish()?)
}

fn properties(table: &Table) -> String {
    let title = escaped(&table.title);
    let made = table.made;
    format!(
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
            r#"<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties""#,
            r#" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/""#,
            r#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:title>{title}</dc:title>"#,
            r#"<dcterms:created xsi:type="dcterms:W3CDTF">{made}T00:00:00Z</dcterms:created></cp:coreProperties>"#
        ),
        title = title,
        made = made,
    )
}

/// The sheet while it is written.
struct Sheet {
    out: Member,
    line: u32,
}

impl Sheet {
    /// Widths, title, notes and headings; what is above the rows stays in sight.
    fn begin(&mut self, table: &Table) -> io::Result<()> {
        let above = table.notes.len() + 2;
        write!(
            self.out,
            concat!(
                r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
                r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews>"#,
                r#"<sheetView workbookViewId="0"><pane ySplit="{}" topLeftCell="A{}" activePane="bottomLeft" state="frozen"/></sheetView>"#,
                "</sheetViews><cols>"
            ),
            above,
            above + 1,
        )?;
        for (place, column) in (1..).zip(&table.columns) {
            let _: u32 = place;
            write!(
                self.out,
                r#"<col min="{place}" max="{place}" width="{}" customWidth="1"/>"#,
                column.width
            )?;
        }
        self.out.write_all(b"</cols><sheetData>")?;
        self.words([table.title.as_str()], TITLE)?;
        for note in &table.notes {
            self.words([note.as_str()], PLAIN)?;
        }
        self.words(table.columns.iter().map(|column| column.heading.as_str()), HEADING)
    }

    fn words<'a>(&mut self, words: impl IntoIterator<Item = &'a str>, look: u8) -> io::Result<()> {
        self.line += 1;
        write!(self.out, r#"<row r="{}">"#, self.line)?;
        for (place, text) in (0..).zip(words) {
            self.text(place, text, look)?;
        }
        self.out.write_all(b"</row>")
    }

    fn row(&mut self, cells: &[Cell]) -> io::Result<()> {
        self.line += 1;
        write!(self.out, r#"<row r="{}">"#, self.line)?;
        for (place, cell) in (0..).zip(cells) {
            match cell {
                Cell::Text(text) => self.text(place, text, PLAIN)?,
                Cell::Number(number) => self.value(place, number, NUMBER)?,
                Cell::Percent(hundredths) => self.value(place, f64::from(*hundredths) / 10_000.0, PERCENT)?,
                Cell::Date(day) => self.value(place, serial(*day), DAY)?,
                Cell::Empty => {}
            }
        }
        self.out.write_all(b"</row>")
    }

    fn value(&mut self, place: u32, value: impl std::fmt::Display, look: u8) -> io::Result<()> {
        let (column, line) = (letters(place), self.line);
        write!(self.out, r#"<c r="{column}{line}" s="{look}"><v>{value}</v></c>"#)
    }

    fn text(&mut self, place: u32, text: &str, look: u8) -> io::Result<()> {
        let (column, line, text) = (letters(place), self.line, escaped(text));
        write!(
            self.out,
            r#"<c r="{column}{line}" s="{look}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>"#
        )
    }
}

/// A day as spreadsheets count it: 1 is 1900-01-01, and 1900 has a 29 February.
fn serial(day: Date) -> i32 {
    (day - date(1899, 12, 30)).get_days()
}

/// A, B … Z, AA …
fn letters(place: u32) -> String {
    let mut rest = place + 1;
    let mut letters = Vec::new();
    while rest > 0 {
        let digit = u8::try_from((rest - 1) % 26).unwrap_or(0);
        letters.push(char::from(b'A' + digit));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
}

/// A text as XML may hold it: what XML does not know becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars().take(LONGEST) {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' => escaped.push(letter),
            '\r' => escaped.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_as_in_spreadsheets() {
        assert_eq!(
            [0, 25, 26, 51, 52, 701, 702].map(letters),
            ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]
        );
    }

    #[test]
    fn days_are_counted_as_in_spreadsheets() {
        assert_eq!([date(1900, 3, 1), date(2026, 11, 5)].map(serial), [61, 46_331]);
    }

    #[test]
    fn nothing_that_xml_does_not_know_is_written() {
        assert_eq!(
            escaped("a<b>&\"\u{1}\u{ffff}\r\n"),
            "a&lt;b&gt;&amp;&quot;\u{fffd}\u{fffd}&#13;\n"
        );
    }
}
