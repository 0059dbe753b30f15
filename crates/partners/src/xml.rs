//! XML from outside as a small tree: no document type, no entities but the five of XML, and limits on everything.

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// Limits of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes.
    pub bytes: usize,
    /// The deepest nesting.
    pub depth: usize,
    /// The most elements.
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 * 1024,
            depth: 24,
            elements: 5_000,
        }
    }
}

/// An element with its text and its children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// Its name without prefix.
    pub name: String,
    /// The text directly in it.
    pub text: String,
    /// Its children in their order.
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the child of this name without blanks around it; empty text counts as absent.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        let text = self.child(name)?.text.trim();
        (!text.is_empty()).then_some(text)
    }
}

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Larger, deeper or with more elements than allowed.
    #[error("the document is beyond the limit of {0}")]
    TooMuch(&'static str),
    /// A document type, a processing instruction, or an entity of its own.
    #[error("{0} is not accepted")]
    Forbidden(&'static str),
    /// Not well-formed.
    #[error("the document is not well-formed")]
    Malformed,
}

/// Reads a whole document in UTF-8.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Element, XmlError> {
    if bytes.len() > limits.bytes {
        return Err(XmlError::TooMuch("size"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Malformed)?;
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    let mut seen = 0_usize;
    loop {
        let (resolved, event) = reader.read_resolved_event().map_err(|_| XmlError::Malformed)?;
        match event {
            Event::Start(start) => {
                seen += 1;
                if seen > limits.elements {
                    return Err(XmlError::TooMuch("elements"));
                }
                if open.len() >= limits.depth {
                    return Err(XmlError::TooMuch("depth"));
                }
                if root.is_some() {
                    return Err(XmlError::Malformed);
                }
                open.push(begin(resolved, &start)?);
            }
            Event::End(_) => {
                let closed = open.pop().ok_or(XmlError::Malformed)?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(closed),
                    None => root = Some(closed),
                }
            }
            Event::Text(piece) => {
                let piece = piece.xml10_content().map_err(|_| XmlError::Malformed)?;
                match open.last_mut() {
                    Some(element) => element.text.push_str(&piece),
                    None if piece.trim().is_empty() => {}
                    None => return Err(XmlError::Malformed),
                }
            }
            Event::CData(piece) => {
                let piece = piece.decode().map_err(|_| XmlError::Malformed)?;
                open.last_mut().ok_or(XmlError::Malformed)?.text.push_str(&piece);
            }
            Event::GeneralRef(reference) => {
                let element = open.last_mut().ok_or(XmlError::Malformed)?;
                if reference.is_char_ref() {
                    let letter = reference.resolve_char_ref().map_err(|_| XmlError::Malformed)?;
                    element.text.push(letter.ok_or(XmlError::Malformed)?);
                } else {
                    let name = reference.decode().map_err(|_| XmlError::Malformed)?;
                    element
                        .text
                        .push(predefined(&name).ok_or(XmlError::Forbidden("an entity"))?);
                }
            }
            Event::DocType(_) => return Err(XmlError::Forbidden("a document type")),
            Event::PI(_) => return Err(XmlError::Forbidden("a processing instruction")),
            Event::Decl(_) | Event::Comment(_) | Event::Empty(_) => {}
            Event::Eof => break,
        }
    }
    match root {
        Some(root) if open.is_empty() => Ok(root),
        _ => Err(XmlError::Malformed),
    }
}

fn begin(resolved: ResolveResult<'_>, start: &BytesStart<'_>) -> Result<Element, XmlError> {
    let namespace = match resolved {
        ResolveResult::Bound(namespace) => String::from_utf8_lossy(namespace.as_ref()).into_owned(),
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(_) => return Err(XmlError::Malformed),
    };
    if start.attributes().flatten().take(65).count() > 64 {
        return Err(XmlError::TooMuch("attributes"));
    }
    if start.attributes().any(|attribute| attribute.is_err()) {
        return Err(XmlError::Malformed);
    }
    Ok(Element {
        namespace,
        name: String::from_utf8_lossy(start.local_name().as_ref()).into_owned(),
        ..Element::default()
    })
}

fn predefined(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    }
}

/// Text as it stands in an element. Characters that XML cannot carry are left out.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\r' => out.push_str("&#13;"),
            '\u{FFFE}' | '\u{FFFF}' => {}
            letter if letter < ' ' && letter != '\t' && letter != '\n' => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Element, XmlError> {
        parse(text.as_bytes(), Limits::default())
    }

    #[test]
    fn a_document_is_read_with_namespaces_text_and_the_five_entities() {
        let root =
            read("<?xml version=\"1.0\"?><a:x xmlns:a=\"urn:a\"><y>1 &lt; 2 &#7845;<![CDATA[<]]></y></a:x>").unwrap();
        assert_eq!((root.namespace.as_str(), root.name.as_str()), ("urn:a", "x"));
        assert_eq!(root.text_of("y"), Some("1 < 2 ấ<"));
    }

    #[test]
    fn entities_document_types_and_instructions_are_refused() {
        assert_eq!(
            read("<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>"),
            Err(XmlError::Forbidden("a document type"))
        );
        assert_eq!(read("<x>&a;</x>"), Err(XmlError::Forbidden("an entity")));
        assert_eq!(
            read("<?xml-stylesheet a?><x/>"),
            Err(XmlError::Forbidden("a processing instruction"))
        );
    }

    #[test]
    fn depth_size_and_number_of_elements_are_limited() {
        assert_eq!(read(&"<x>".repeat(25)), Err(XmlError::TooMuch("depth")));
        assert_eq!(
            read(&format!("<x>{}</x>", "<y/>".repeat(5_000))),
            Err(XmlError::TooMuch("elements"))
        );
        assert_eq!(read(&" ".repeat(256 * 1024 + 1)), Err(XmlError::TooMuch("size")));
    }

    #[test]
    fn what_is_cut_off_or_doubled_is_not_a_document() {
        for text in [
            "", "<x>", "<x></y>", "<x/><y/>", "<x/>rest", "rest<x/>", "<a:x/>", "<x a=1/>",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes, Limits::default());
        }

        #[test]
        fn arbitrary_markup_never_panics(text in "[<>/&;!\\[\\]?a-c \"=#0-9:x-]{0,80}") {
            let _ = parse(text.as_bytes(), Limits::default());
        }

        #[test]
        fn escaped_text_is_read_as_it_was(text in "[^\u{0}-\u{8}\u{B}-\u{1F}\u{FFFE}\u{FFFF}]{0,60}") {
            let root = read(&format!("<x>{}</x>", escape(&text))).unwrap();
            prop_assert_eq!(root.text, text);
        }
    }
}
