//! Types of content.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A type of content that the store can recognise, and nothing else: what is not in this list is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileType {
    /// PDF.
    Pdf,
    /// PNG image.
    Png,
    /// JPEG image.
    Jpeg,
    /// TIFF image, as scanners make it.
    Tiff,
    /// Office Open XML text document without macros.
    Docx,
    /// Office Open XML workbook without macros.
    Xlsx,
    /// OpenDocument text without macros.
    Odt,
    /// XML in UTF-8 without document type declaration, and neither HTML nor SVG.
    Xml,
    /// Plain text in UTF-8. Not allowed unless the limits name it.
    #[serde(rename = "txt")]
    Text,
}

impl FileType {
    /// The media type, for `Content-Type`.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Tiff => "image/tiff",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Odt => "application/vnd.oasis.opendocument.text",
            Self::Xml => "application/xml",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// The usual ending of a file's name, without the dot; also the name in configuration.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Tiff => "tiff",
            Self::Docx => "docx",
            Self::Xlsx => "xlsx",
            Self::Odt => "odt",
            Self::Xml => "xml",
            Self::Text => "txt",
        }
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}
