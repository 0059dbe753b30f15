#![doc = include_str!("../README.md")]

mod paper;
mod qr;

use std::collections::BTreeSet;

use serde::Serialize;
use typst::diag::{FileError, FileResult, SourceDiagnostic, Warned};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::{LazyHash, Scalar};
use typst::{Library, LibraryExt as _, World};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards};

pub use self::paper::{Block, Column, Day, Paper, REPLACED, Signature};

const TEMPLATE: &str = include_str!("../templates/form.typ");

/// Tinos, metric-compatible with Times New Roman, under the SIL Open Font License (`fonts/OFL.txt`).
const FONTS: [&[u8]; 4] = [
    include_bytes!("../fonts/Tinos_400Regular.ttf"),
    include_bytes!("../fonts/Tinos_400Regular_Italic.ttf"),
    include_bytes!("../fonts/Tinos_700Bold.ttf"),
    include_bytes!("../fonts/Tinos_700Bold_Italic.ttf"),
];

/// A paper is no larger than this, in bytes of JSON.
pub const MAX_CONTENT: usize = 1 << 20;

/// How many further papers what was worked out for one is remembered: it is what the person's paper says.
const REMEMBERED_FOR: usize = 1;

/// Why a paper cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum PressError {
    /// It is no paper.
    #[error("the content is no paper: {0}")]
    NoPaper(#[from] serde_json::Error),
    /// Too much for one paper.
    #[error("the content has {0} bytes, more than {MAX_CONTENT}")]
    TooLarge(usize),
    /// A table has rows of another length than its head.
    #[error("the rows of table {0} are not as long as its columns")]
    UnevenTable(String),
    /// The QR code cannot hold what it should say.
    #[error("the QR code cannot hold {0} bytes")]
    QrTooLong(usize),
    /// The template failed or warned: a fault of this crate.
    #[error("the template: {0}")]
    Template(String),
    /// The document is no PDF/A: a fault of this crate.
    #[error("the PDF: {0}")]
    Pdf(String),
    /// The fonts that are built in cannot be read: a fault of this crate.
    #[error("the fonts cannot be read")]
    Fonts,
}

/// A printed paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// PDF/A-2b; the same bytes for the same paper.
    pub pdf: Vec<u8>,
    /// Characters that the typeface does not have; [`REPLACED`] stands for each.
    pub replaced: BTreeSet<char>,
}

/// Prints papers. Made once; printing needs no lock.
pub struct Press {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    template: Source,
    data: FileId,
    standards: PdfStandards,
}

impl Press {
    /// A press with its template and fonts.
    pub fn new() -> Result<Self, PressError> {
        let fonts: Vec<Font> = FONTS
            .iter()
            .filter_map(|bytes| Font::new(Bytes::new(*bytes), 0))
            .collect();
        if fonts.len() != FONTS.len() {
            return Err(PressError::Fonts);
        }
        let file = |path: &str| {
            VirtualPath::new(path)
                .map(|path| RootedPath::new(VirtualRoot::Project, path).intern())
                .map_err(|error| PressError::Template(format!("{error:?}")))
        };
        let standards =
            PdfStandards::new(&[PdfStandard::A_2b]).map_err(|error| PressError::Pdf(error.message().to_string()))?;
        Ok(Self {
            library: LazyHash::new(Library::default()),
            book: LazyHash::new(FontBook::from_fonts(&fonts)),
            fonts,
            template: Source::new(file("/form.typ")?, TEMPLATE.to_owned()),
            data: file("/data.json")?,
            standards,
        })
    }

    /// Prints a paper as PDF/A-2b.
    pub fn print(&self, paper: Paper) -> Result<Printed, PressError> {
        let name = format!("{}/{}", paper.form_number, paper.qr);
        let (document, replaced) = self.lay_out(paper)?;
        let options = PdfOptions {
            ident: typst::foundations::Smart::Custom(name),
            standards: self.standards.clone(),
            ..PdfOptions::default()
        };
        let pdf = typst_pdf::pdf(&document, &options).map_err(|errors| PressError::Pdf(words(&errors)))?;
        typst::comemo::evict(REMEMBERED_FOR);
        Ok(Printed { pdf, replaced })
    }

    /// The same from JSON.
    pub fn print_json(&self, content: &[u8]) -> Result<Printed, PressError> {
        if content.len() > MAX_CONTENT {
            return Err(PressError::TooLarge(content.len()));
        }
        self.print(serde_json::from_slice(content)?)
    }

    /// The pages as PNG images with so many pixels a point (1/72 inch): to look at.
    pub fn images(&self, paper: Paper, pixels_per_point: f64) -> Result<Vec<Vec<u8>>, PressError> {
        let (document, _) = self.lay_out(paper)?;
        let options = typst_render::RenderOptions {
            pixel_per_pt: Scalar::new(pixels_per_point),
            ..typst_render::RenderOptions::default()
        };
        let images = document.pages().iter().map(|page| {
            typst_render::render(page, &options)
                .encode_png()
                .map_err(|error| PressError::Pdf(error.to_string()))
        });
        images.collect()
    }

    fn lay_out(&self, paper: Paper) -> Result<(PagedDocument, BTreeSet<char>), PressError> {
        if let Some(table) = paper.uneven_table() {
            return Err(PressError::UnevenTable(table.to_owned()));
        }
        let (paper, replaced) = paper.printable(|character| self.has(character));
        let code = qr::squares(&paper.qr)?;
        let data = serde_json::to_vec(&Data {
            paper: &paper,
            qr: code,
            replaced: replaced.len(),
        })?;
        if data.len() > MAX_CONTENT.saturating_mul(2) {
            return Err(PressError::TooLarge(data.len()));
        }
        let sheet = Sheet {
            press: self,
            data: Bytes::new(data),
        };
        let Warned { output, warnings } = typst::compile::<PagedDocument>(&sheet);
        let document = output.map_err(|errors| PressError::Template(words(&errors)))?;
        if warnings.is_empty() {
            Ok((document, replaced))
        } else {
            Err(PressError::Template(words(&warnings)))
        }
    }

    /// Whether every cut of the typeface has a character.
    fn has(&self, character: char) -> bool {
        self.fonts
            .iter()
            .all(|font| font.info().coverage.contains(u32::from(character)))
    }
}

/// What the template reads.
#[derive(Serialize)]
struct Data<'a> {
    paper: &'a Paper,
    qr: Option<qr::Squares>,
    /// How many characters were replaced.
    replaced: usize,
}

fn words(diagnostics: &[SourceDiagnostic]) -> String {
    let texts: Vec<&str> = diagnostics.iter().map(|one| one.message.as_str()).collect();
    texts.join("; ")
}

/// What one print sees: the template, its data, the fonts, and nothing else.
struct Sheet<'a> {
    press: &'a Press,
    data: Bytes,
}

impl World for Sheet<'_> {
    fn library(&self) -> &LazyHash<Library> {
        &self.press.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.press.book
    }

    fn main(&self) -> FileId {
        self.press.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.press.template.id() {
            Ok(self.press.template.clone())
        } else {
            Err(FileError::AccessDenied)
        }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        if id == self.press.data {
            Ok(self.data.clone())
        } else {
            Err(FileError::AccessDenied)
        }
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.press.fonts.get(index).cloned()
    }

    /// No paper depends on the day on which it is printed, but by its content.
    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}
