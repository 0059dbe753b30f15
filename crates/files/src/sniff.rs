//! Finds out what a content is, from the content alone.
//!
//! Announced types and endings of names are worth nothing: what is stored under an allowed type must be of it. The
//! content passes once; only its beginning, its end and one judgement (is everything so far UTF-8 text?) are kept.

use crate::FileType;
use crate::zip;

/// How much of the beginning is kept: enough for the prologue of an XML document.
const HEAD: usize = 64 << 10;
/// How much of the end is kept: enough for the directory of an office document with thousands of pictures.
const TAIL: usize = 1 << 20;

/// Looks at a content as it passes.
#[derive(Debug, Default)]
pub(crate) struct Sniffer {
    head: Vec<u8>,
    tail: Vec<u8>,
    total: u64,
    text: Text,
}

impl Sniffer {
    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let wanted = HEAD - self.head.len();
        self.head.extend_from_slice(bytes.get(..wanted).unwrap_or(bytes));

        let last = bytes.len().saturating_sub(TAIL);
        self.tail.extend_from_slice(bytes.get(last..).unwrap_or_default());
        // Cut only when it has doubled, so that small pieces do not move the whole each time.
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }

        self.total += bytes.len() as u64;
        self.text.push(bytes);
    }

    /// The type of what has passed; none if it is of no known type.
    pub(crate) fn finish(self) -> Option<FileType> {
        let head = self.head.as_slice();
        // Some readers accept the mark of a PDF anywhere in the first KiB, which would make a PDF of a web page.
        if head.get(..5).is_some_and(infer::archive::is_pdf) {
            Some(FileType::Pdf)
        } else if infer::image::is_png(head) {
            Some(FileType::Png)
        } else if infer::image::is_jpeg(head) {
            Some(FileType::Jpeg)
        } else if infer::image::is_tiff(head) {
            Some(FileType::Tiff)
        } else if head.starts_with(b"PK\x03\x04") {
            office(head, &self.tail, self.total)
        } else if self.total > 0 && self.text.is_text() {
            text(head)
        } else {
            None
        }
    }
}

/// The type of an office document that is a ZIP archive. The archive's directory decides, as it does for the programs
/// that open it; `infer` looks at the first few files only and misses what other programs write in another order.
fn office(head: &[u8], tail: &[u8], total: u64) -> Option<FileType> {
    let entries = zip::entries(tail, total)?;
    let has = |begin: &[u8], end: &[u8]| {
        entries
            .iter()
            .any(|entry| entry.name.starts_with(begin) && entry.name.ends_with(end))
    };
    let refused = entries.iter().any(|entry| entry.encrypted || is_macro(entry.name));
    if refused {
        return None;
    }
    if zip::begins_with_stored(head, b"mimetype", b"application/vnd.oasis.opendocument.text") {
        return has(b"content.xml", b"content.xml").then_some(FileType::Odt);
    }
    if !has(b"[Content_Types].xml", b"[Content_Types].xml") {
        return None;
    }
    match (has(b"word/document", b".xml"), has(b"xl/workbook", b".xml")) {
        (true, false) => Some(FileType::Docx),
        (false, true) => Some(FileType::Xlsx),
        _ => None,
    }
}

/// Whether a file in an office document is a program: Visual Basic of Office, Basic and scripts of LibreOffice.
fn is_macro(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(b"vbaproject.bin") || name.starts_with(b"basic/") || name.starts_with(b"scripts/")
}

/// The type of a text.
fn text(head: &[u8]) -> Option<FileType> {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let begin = head.trim_ascii_start();
    if begin.starts_with(b"<") {
        return xml(begin).then_some(FileType::Xml);
    }
    // A script that a browser or a shell would take for more than text.
    (!infer::text::is_html(head) && !infer::text::is_shellscript(head)).then_some(FileType::Text)
}

/// Whether a text that begins with `<` is an XML document that no browser runs: a root element that is neither HTML
/// nor SVG, and no document type declaration, which could name external entities.
fn xml(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        let behind = if rest.starts_with(b"<?") {
            behind(rest, b"?>")
        } else if rest.starts_with(b"<!--") {
            behind(rest, b"-->")
        } else {
            break;
        };
        match behind {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    let Some(root) = rest.strip_prefix(b"<") else {
        return false;
    };
    let end = root
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'));
    let Some(name) = end.and_then(|end| root.get(..end)) else {
        return false;
    };
    let begins_a_name = name
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_' || !byte.is_ascii());
    let local = name.rsplit(|byte| *byte == b':').next().unwrap_or(name);
    begins_a_name && !local.eq_ignore_ascii_case(b"html") && !local.eq_ignore_ascii_case(b"svg")
}

/// What comes after the first `mark`.
fn behind<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let place = text.windows(mark.len()).position(|window| window == mark)?;
    text.get(place + mark.len()..)
}

/// Whether everything so far is UTF-8 without control characters.
#[derive(Debug, Default)]
struct Text {
    failed: bool,
    /// The beginning of a character whose rest is still to come.
    pending: Vec<u8>,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        if self.failed {
            return;
        }
        let control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C);
        if bytes.iter().any(control) {
            self.failed = true;
            return;
        }
        let joined;
        let bytes = if self.pending.is_empty() {
            bytes
        } else {
            joined = [self.pending.as_slice(), bytes].concat();
            joined.as_slice()
        };
        match str::from_utf8(bytes) {
            Ok(_) => self.pending.clear(),
            Err(err) if err.error_len().is_none() => {
                self.pending = bytes.get(err.valid_up_to()..).unwrap_or_default().to_vec();
            }
            Err(_) => self.failed = true,
        }
    }

    fn is_text(&self) -> bool {
        !self.failed && self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zip::tests::archive;

    proptest::proptest! {
        #[test]
        fn any_content_is_judged_and_the_same_however_it_is_cut(
            start in proptest::sample::select(vec![&b""[..], b"%PDF-1.7", b"PK\x03\x04", b"<?xml version=\"1.0\"?>", b"\x89PNG\r\n\x1a\n"]),
            rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
        ) {
            let mut content = start.to_vec();
            content.extend(rest);
            sniff(&content);
        }
    }

    fn sniff(content: &[u8]) -> Option<FileType> {
        let mut whole = Sniffer::default();
        whole.push(content);
        let whole = whole.finish();
        let mut pieces = Sniffer::default();
        for piece in content.chunks(7) {
            pieces.push(piece);
        }
        assert_eq!(pieces.finish(), whole, "the cut into parts must not matter");
        whole
    }

    #[test]
    fn papers_and_pictures_are_recognised_by_their_first_bytes() {
        assert_eq!(sniff(b"%PDF-1.7\n%\xE2\xE3\xCF\xD3\n"), Some(FileType::Pdf));
        assert_eq!(sniff(b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR"), Some(FileType::Png));
        assert_eq!(sniff(b"\xFF\xD8\xFF\xE0\0\x10JFIF\0"), Some(FileType::Jpeg));
        assert_eq!(sniff(b"II*\0\x08\0\0\0\x0E\0\xFE\0"), Some(FileType::Tiff));
        assert_eq!(sniff(b"MM\0*\0\0\0\x08\0\x0E\0\xFE"), Some(FileType::Tiff));
    }

    #[test]
    fn office_documents_are_recognised_in_any_order_of_their_files() {
        let types: (&str, &[u8]) = ("[Content_Types].xml", b"<Types/>");
        let docx = [types, ("_rels/.rels", b"x"), ("word/document.xml", b"x")];
        assert_eq!(sniff(&archive(&docx)), Some(FileType::Docx));
        let docx = [
            ("docProps/app.xml", b"x".as_slice()),
            ("customXml/item1.xml", b"x"),
            ("customXml/item2.xml", b"x"),
            ("_rels/.rels", b"x"),
            ("docProps/core.xml", b"x"),
            ("word/document2.xml", b"x"),
            types,
        ];
        assert_eq!(sniff(&archive(&docx)), Some(FileType::Docx));
        let xlsx = [types, ("xl/workbook.xml", b"x")];
        assert_eq!(sniff(&archive(&xlsx)), Some(FileType::Xlsx));
        let odt: [(&str, &[u8]); 2] = [
            ("mimetype", b"application/vnd.oasis.opendocument.text"),
            ("content.xml", b"x"),
        ];
        assert_eq!(sniff(&archive(&odt)), Some(FileType::Odt));
    }

    #[test]
    fn a_large_office_document_is_recognised_by_its_end() {
        let picture = vec![7; 3 << 20];
        let docx: [(&str, &[u8]); 3] = [
            ("word/media/image1.png", &picture),
            ("[Content_Types].xml", b"x"),
            ("word/document.xml", b"x"),
        ];
        let mut sniffer = Sniffer::default();
        for piece in archive(&docx).chunks(1 << 20) {
            sniffer.push(piece);
        }
        assert_eq!(sniffer.finish(), Some(FileType::Docx));
    }

    #[test]
    fn archives_that_are_no_plain_office_documents_are_refused() {
        let types: (&str, &[u8]) = ("[Content_Types].xml", b"x");
        let word: (&str, &[u8]) = ("word/document.xml", b"x");
        let odt: (&str, &[u8]) = ("mimetype", b"application/vnd.oasis.opendocument.text");
        let content: (&str, &[u8]) = ("content.xml", b"x");
        for files in [
            vec![("readme.txt", b"x".as_slice())],
            vec![word],
            vec![types],
            vec![types, word, ("word/vbaProject.bin", b"x")],
            vec![types, word, ("xl/workbook.xml", b"x")],
            vec![types, ("xl/workbook.bin", b"x")],
            vec![types, ("ppt/presentation.xml", b"x")],
            vec![odt],
            vec![content, odt],
            vec![odt, content, ("Basic/Standard/Module1.xml", b"x")],
            vec![("mimetype", b"application/epub+zip"), content],
        ] {
            assert_eq!(sniff(&archive(&files)), None, "{files:?}");
        }
        let mut encrypted = archive(&[types, word]);
        let place = encrypted
            .windows(4)
            .rposition(|window| window == b"PK\x01\x02")
            .unwrap();
        encrypted[place + 8] |= 1;
        assert_eq!(sniff(&encrypted), None);
    }

    #[test]
    fn xml_is_recognised_with_and_without_declaration() {
        for xml in [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<edXML xmlns=\"urn:x\">Nghệ An</edXML>",
            "\u{FEFF}<?xml version=\"1.0\"?><hồ-sơ/>",
            "  <!-- ghi chú <html> -->\r\n<a:Manifest>x</a:Manifest>",
            "<SIP\n/>",
        ] {
            assert_eq!(sniff(xml.as_bytes()), Some(FileType::Xml), "{xml}");
        }
    }

    #[test]
    fn markup_that_a_browser_runs_and_broken_xml_are_refused() {
        for markup in [
            "<html><script>alert(1)</script></html>",
            "<!DOCTYPE html><title>x</title>",
            "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
            "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"x()\"/>",
            "<?xml version=\"1.0\"?><x:svg xmlns:x=\"http://www.w3.org/2000/svg\"/>",
            "<?xml version=\"1.0\"?>",
            "<?xml version=\"1.0\"",
            "<!-- never closed <a/>",
            "<1a/>",
            "<",
            "<>",
        ] {
            assert_eq!(sniff(markup.as_bytes()), None, "{markup}");
        }
    }

    #[test]
    fn plain_text_is_text_and_scripts_and_bytes_are_not() {
        assert_eq!(sniff("Đơn đề nghị\r\n\tKính gửi".as_bytes()), Some(FileType::Text));
        assert_eq!(sniff(b""), None);
        assert_eq!(sniff(b"#!/bin/sh\nrm -rf /"), None);
        assert_eq!(sniff(b"text with\0zero"), None);
        assert_eq!(sniff(b"latin \xE9 text"), None);
        assert_eq!(sniff(&"cắt".as_bytes()[..3]), None);
        assert_eq!(sniff(b"MZ\x90\0\x03\0\0\0"), None);
        assert_eq!(sniff(b"\x7FELF\x02\x01\x01\0"), None);
        assert_eq!(sniff(b"<p>hidden %PDF-1.7</p><script></script>\0"), None);
        assert_eq!(sniff(b"xx%PDF-1.7\0"), None);
    }
}
