//! The path of a call of plain HTTP, in the one form in which it is judged and forwarded.
//!
//! What the door judges and what the provider acts upon must be the same path, whatever the provider's framework does with
//! encodings: so a path that some frameworks read differently than others is refused, and the others are written anew from what
//! was judged.

use std::fmt;
use std::fmt::Write as _;

use egov_fault::{Fault, Violation};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::refusal::{Refusal, refusal};

/// What stays as it is in a segment: the characters of a path (RFC 3986, `pchar`) without the semicolon, which never occurs.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The longest path, in bytes as it comes.
const LONGEST: usize = 8192;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRefused {
    /// It does not begin with a slash.
    #[error("it does not begin with a slash")]
    NotAbsolute,
    /// It is longer than 8,192 bytes.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    /// An empty segment that is not the last: two slashes.
    #[error("it has an empty segment")]
    EmptySegment,
    /// A segment of nothing but dots and spaces, as it is or decoded.
    #[error("it has a segment of dots")]
    Dots,
    /// A percent sign that no two hexadecimal digits follow, or bytes that are no UTF-8.
    #[error("its percent-encoding is not one of UTF-8")]
    Encoding,
    /// A character, decoded, that some frameworks take for a part of the path's own form: slash, backslash, semicolon, percent
    /// sign, or one that cannot be seen.
    #[error("it has a slash, backslash, semicolon, percent sign or control character within a segment")]
    Character,
}

impl PathRefused {
    const fn vi(self) -> &'static str {
        match self {
            Self::NotAbsolute => "không bắt đầu bằng dấu gạch chéo",
            Self::TooLong => "dài hơn 8192 byte",
            Self::EmptySegment => "có đoạn rỗng",
            Self::Dots => "có đoạn chỉ gồm dấu chấm",
            Self::Encoding => "mã hoá phần trăm không phải của UTF-8",
            Self::Character => {
                "có gạch chéo, gạch chéo ngược, chấm phẩy, dấu phần trăm hoặc ký tự điều khiển bên trong một đoạn"
            }
        }
    }
}

impl From<PathRefused> for Fault {
    fn from(refused: PathRefused) -> Self {
        refusal(Refusal::PathRefused).violating(vec![Violation {
            field: "path".to_owned(),
            rule: "path".to_owned(),
            vi: refused.vi().to_owned(),
            en: refused.to_string(),
        }])
    }
}

/// A path below a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainPath {
    segments: Vec<String>,
    text: String,
}

impl PlainPath {
    /// Reads a path as it came, without its query.
    ///
    /// # Errors
    /// [`PathRefused`]; nothing that could be read in two ways is read.
    pub fn read(path: &str) -> Result<Self, PathRefused> {
        if path.len() > LONGEST {
            return Err(PathRefused::TooLong);
        }
        let rest = path.strip_prefix('/').ok_or(PathRefused::NotAbsolute)?;
        let mut segments = Vec::new();
        let mut text = String::with_capacity(path.len());
        let mut parts = rest.split('/').peekable();
        while let Some(part) = parts.next() {
            let segment = decoded(part)?;
            if segment.is_empty() && parts.peek().is_some() {
                return Err(PathRefused::EmptySegment);
            }
            text.push('/');
            // Writing to a string does not fail.
            let _ = write!(text, "{}", utf8_percent_encode(&segment, ENCODED));
            segments.push(segment);
        }
        Ok(Self { segments, text })
    }

    /// The segments, decoded. The last may be empty: `/people/` is not `/people`.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// As it is forwarded.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for PlainPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn decoded(part: &str) -> Result<String, PathRefused> {
    let bytes = part.as_bytes();
    for (at, _) in part.match_indices('%') {
        let digits = bytes.get(at + 1..at + 3).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(PathRefused::Encoding);
        }
    }
    let text = percent_decode_str(part)
        .decode_utf8()
        .map_err(|_| PathRefused::Encoding)?;
    let bends = |character: char| character.is_control() || matches!(character, '/' | '\\' | ';' | '%');
    if text.chars().any(bends) {
        return Err(PathRefused::Character);
    }
    // Also `...` and `. `, from which some file systems cut the end.
    if !text.is_empty() && text.chars().all(|character| matches!(character, '.' | ' ')) {
        return Err(PathRefused::Dots);
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_written_anew_from_what_was_judged() {
        for (raw, segments, text) in [
            ("/", &[""][..], "/"),
            ("/people/7", &["people", "7"], "/people/7"),
            ("/people/", &["people", ""], "/people/"),
            ("/%70eople/%c4%91", &["people", "đ"], "/people/%C4%91"),
            ("/đ", &["đ"], "/%C4%91"),
            ("/a:b@c,d=1+2", &["a:b@c,d=1+2"], "/a:b@c,d=1+2"),
            ("/a%20b%3F", &["a b?"], "/a%20b%3F"),
            ("/..a/.b", &["..a", ".b"], "/..a/.b"),
        ] {
            let path = PlainPath::read(raw).unwrap();
            assert_eq!(
                (path.segments(), path.as_str()),
                (&*segments.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>(), text),
                "{raw}"
            );
        }
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_is_refused() {
        for (raw, wanted) in [
            ("", PathRefused::NotAbsolute),
            ("people", PathRefused::NotAbsolute),
            ("//people", PathRefused::EmptySegment),
            ("/people//7", PathRefused::EmptySegment),
            ("/.", PathRefused::Dots),
            ("/a/../b", PathRefused::Dots),
            ("/a/%2e%2E/b", PathRefused::Dots),
            ("/a/.%2e", PathRefused::Dots),
            ("/a/...", PathRefused::Dots),
            ("/a/.%20", PathRefused::Dots),
            ("/a%2Fb", PathRefused::Character),
            ("/a%2f..%2fb", PathRefused::Character),
            ("/a%5Cb", PathRefused::Character),
            ("/a\\b", PathRefused::Character),
            ("/a;x=1/b", PathRefused::Character),
            ("/..;/b", PathRefused::Character),
            ("/a%3Bb", PathRefused::Character),
            ("/%252e%252e/b", PathRefused::Character),
            ("/a%00b", PathRefused::Character),
            ("/a%0d%0aHost:b", PathRefused::Character),
            ("/a%7f", PathRefused::Character),
            ("/%c0%ae%c0%ae/b", PathRefused::Encoding),
            ("/%ff", PathRefused::Encoding),
            ("/a%", PathRefused::Encoding),
            ("/a%2", PathRefused::Encoding),
            ("/a%zz", PathRefused::Encoding),
            ("/%u002e%u002e/", PathRefused::Encoding),
        ] {
            assert_eq!(PlainPath::read(raw), Err(wanted), "{raw}");
        }
        let long = format!("/{}", "a".repeat(LONGEST));
        assert_eq!(PlainPath::read(&long), Err(PathRefused::TooLong));
    }

    proptest! {
        /// Whatever comes: refused, or forwarded as just that which was judged, however often it is decoded.
        #[test]
        fn what_is_judged_is_what_is_forwarded(
            parts in prop::collection::vec("(%[0-9a-fA-F]{2}|[a-zA-Z0-9./\\\\;%:@ đ~-]){0,6}", 0..5),
        ) {
            let raw = format!("/{}", parts.join("/"));
            if let Ok(path) = PlainPath::read(&raw) {
                let again = PlainPath::read(path.as_str()).unwrap();
                prop_assert_eq!(&again, &path);
                let seen: Vec<String> = path.as_str()[1..].split('/')
                    .map(|part| percent_decode_str(part).decode_utf8().unwrap().into_owned()).collect();
                prop_assert_eq!(seen.as_slice(), path.segments());
                let twice: Vec<String> = seen.iter()
                    .map(|part| percent_decode_str(part).decode_utf8().unwrap().into_owned()).collect();
                prop_assert_eq!(twice.as_slice(), path.segments());
                prop_assert!(path.as_str().parse::<http::uri::PathAndQuery>().is_ok());
                // No segment walks, and there is no slash that was none.
                prop_assert_eq!(path.as_str().matches('/').count(), path.segments().len());
                prop_assert!(!path.segments().iter().any(|one| one == "." || one == ".."));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            let _ = PlainPath::read(&text);
        }
    }
}
