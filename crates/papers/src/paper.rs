//! What is printed: the content of a form, as the service that makes it says it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Stands for a character that the form's typeface does not have.
pub const REPLACED: char = '\u{25A1}';

/// Giấy tờ: one filled form. Its `Debug` shows no more than which: what stands in it is personal data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Number of the form in its circular, e.g. "01"; empty if it is no form of a circular.
    pub form_number: String,
    /// Which circular, e.g. "TT 03/2025/TT-VPCP, Phụ lục I".
    pub form_basis: String,
    /// True until somebody has compared the layout with the circular's own.
    pub form_unconfirmed: bool,
    /// Cơ quan chủ quản, above the agency; empty if there is none.
    pub agency_parent: String,
    /// Cơ quan, đơn vị that gives the paper.
    pub agency: String,
    /// Số; empty leaves a dotted line.
    pub number: String,
    /// Whether the form has a number.
    pub numbered: bool,
    /// Ký hiệu behind the number, e.g. "TNHS"; empty leaves a dotted line.
    pub symbol: String,
    /// Địa danh; empty leaves no line of place and date.
    pub place: String,
    /// Day of the paper; absent leaves dotted lines. Without a place it is not printed, and is the document's date only.
    pub date: Option<Day>,
    /// Tên loại, e.g. "GIẤY TIẾP NHẬN HỒ SƠ VÀ HẸN TRẢ KẾT QUẢ".
    pub title: String,
    /// Below the title; empty if there is none.
    pub subtitle: String,
    /// What the QR code says; empty for none.
    pub qr: String,
    /// What stands below the QR code.
    pub qr_label: String,
    /// Khổ ngang.
    pub landscape: bool,
    /// The body, in its order.
    pub blocks: Vec<Block>,
    /// Who signs, from left to right.
    pub signatures: Vec<Signature>,
    /// Below everything, in small letters.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for Paper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Paper")
            .field("form_number", &self.form_number)
            .field("qr", &self.qr)
            .finish_non_exhaustive()
    }
}

/// A day as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// 1 to 31.
    pub day: i8,
    /// 1 to 12.
    pub month: i8,
    /// Year.
    pub year: i16,
}

/// A part of the body. Without `Debug`: people's words stand in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Block {
    /// Words of the form.
    Text {
        /// The words.
        text: String,
    },
    /// A labelled field; an empty value leaves a dotted line.
    Field {
        /// Its stable name.
        code: String,
        /// As it stands on the form.
        label: String,
        /// What it holds.
        value: String,
    },
    /// A table; the head is repeated on each page.
    Table {
        /// Its stable name.
        code: String,
        /// Above it; empty if there is nothing.
        label: String,
        /// From left to right.
        columns: Vec<Column>,
        /// Each as long as the columns.
        rows: Vec<Vec<String>>,
    },
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its stable name.
    pub code: String,
    /// Its head.
    pub label: String,
    /// Its share of the width.
    pub width: u16,
    /// In the middle rather than on the left.
    pub centred: bool,
}

/// Words of a text that may be broken: of how many letters they are, and how many letters of them may stand in one line.
#[derive(Clone, Copy)]
struct Breaks {
    words: usize,
    parts: usize,
}

/// In a line of the body.
const BODY: Breaks = Breaks { words: 28, parts: 20 };
/// In a cell of a table.
const CELL: Breaks = Breaks { words: 16, parts: 14 };
/// In a cell of a wide table, whose columns are narrow.
const NARROW: Breaks = Breaks { words: 11, parts: 9 };

/// A place to sign. Without `Debug`: it names people.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Chức danh, e.g. "NGƯỜI TIẾP NHẬN HỒ SƠ".
    pub title: String,
    /// "(Ký và ghi rõ họ tên)".
    pub hint: String,
    /// Whose signature, if it is known.
    pub name: String,
}

impl Paper {
    /// The same with texts that can be printed: composed (NFC), without control and direction characters, and with [`REPLACED`] for
    /// what the typeface does not have; words that are longer than their line may be broken. The characters that were replaced are returned.
    pub(crate) fn printable(mut self, has: impl Fn(char) -> bool) -> (Self, BTreeSet<char>) {
        let mut replaced = BTreeSet::new();
        self.each_text(&mut |text, breaks| *text = breakable(&printable(text, &has, &mut replaced), breaks));
        (self, replaced)
    }

    /// Rows whose length is not that of the columns, by the table's name.
    pub(crate) fn uneven_table(&self) -> Option<&str> {
        self.blocks.iter().find_map(|block| match block {
            Block::Table {
                code, columns, rows, ..
            } if columns.is_empty() || rows.iter().any(|row| row.len() != columns.len()) => Some(code.as_str()),
            _ => None,
        })
    }

    fn each_text(&mut self, change: &mut impl FnMut(&mut String, Breaks)) {
        let cell = if self.landscape { NARROW } else { CELL };
        for text in [
            &mut self.form_number,
            &mut self.form_basis,
            &mut self.agency_parent,
            &mut self.agency,
            &mut self.number,
            &mut self.symbol,
            &mut self.place,
            &mut self.title,
            &mut self.subtitle,
            &mut self.qr_label,
        ] {
            change(text, BODY);
        }
        for block in &mut self.blocks {
            match block {
                Block::Text { text } => change(text, BODY),
                Block::Field { label, value, .. } => {
                    change(label, BODY);
                    change(value, BODY);
                }
                Block::Table {
                    label, columns, rows, ..
                } => {
                    change(label, BODY);
                    for column in columns {
                        change(&mut column.label, cell);
                    }
                    for text in rows.iter_mut().flatten() {
                        change(text, cell);
                    }
                }
            }
        }
        for signature in &mut self.signatures {
            change(&mut signature.title, BODY);
            change(&mut signature.hint, BODY);
            change(&mut signature.name, BODY);
        }
        self.notes.iter_mut().for_each(|note| change(note, BODY));
    }
}

/// Characters that turn the direction of writing, or show nothing: a name must not look like another one on paper.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

fn printable(text: &str, has: &impl Fn(char) -> bool, replaced: &mut BTreeSet<char>) -> String {
    let composed = text.nfc().filter_map(|character| match character {
        '\n' => Some('\n'),
        '\r' => None,
        _ if character.is_whitespace() || character.is_control() => Some(' '),
        _ if is_invisible(character) => None,
        _ if has(character) => Some(character),
        _ => {
            replaced.insert(character);
            Some(REPLACED)
        }
    });
    composed.collect::<String>().trim().to_owned()
}

/// The text with places where its long words may be broken: behind the marks of a code or address, and anywhere in a part that is too
/// long, but never between a letter and its mark.
fn breakable(text: &str, breaks: Breaks) -> String {
    const HERE: char = '\u{200B}';
    let mut broken = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        if word.chars().count() < breaks.words {
            broken.push_str(word);
            continue;
        }
        let core = word.trim_end();
        for part in core.split_inclusive(['-', '.', '@', '/', '_']) {
            let long = part.chars().count() > breaks.parts;
            for character in part.chars() {
                if long && !is_combining_mark(character) {
                    broken.push(HERE);
                }
                broken.push(character);
            }
            broken.push(HERE);
        }
        broken.push_str(word.strip_prefix(core).unwrap_or_default());
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, breaks: Breaks) -> String {
        breakable(text, breaks).replace('\u{200B}', "|")
    }

    #[test]
    fn a_code_is_broken_behind_its_parts_and_a_word_wherever_it_must() {
        assert_eq!(shown("H41.201-261123-0001", NARROW), "H41.|201-|261123-|0001|");
        assert_eq!(shown("ngày 25/11/2026", NARROW), "ngày 25/11/2026");
        assert_eq!(shown("Nguyễnthịhường a", NARROW), "|N|g|u|y|ễ|n|t|h|ị|h|ư|ờ|n|g| a");
        assert_eq!(shown("H41.201-261123-0001", BODY), "H41.201-261123-0001");
    }

    #[test]
    fn a_letter_keeps_its_mark() {
        let word = "n\u{0323}\u{0303}".repeat(12);
        assert!(!breakable(&word, NARROW).contains("\u{200B}\u{0323}"));
    }
}
