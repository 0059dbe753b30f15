//! Each form is looked at as it was reviewed: its pages as grey cells, kept as text in `looks`. EGOV_WRITE_PAPERS=1 writes them anew, and
//! EGOV_LOOK=/some/folder writes the pages as images, to look at: EGOV_LOOK=/some/folder cargo test -p egov-papers --test look.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests fail loudly, and one is run by hand"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use egov_papers::{Paper, Press};

/// Cells from the left to the right of a page, whichever way it lies; a cell is a square.
const ACROSS: usize = 60;

/// What stands for a cell, by how much of it is ink. A third of a cell, and more, is dark: nothing but lines and letters is printed.
const SHADES: &[u8; 10] = b" .:-=+*#%@";
const FULL: u64 = 30;

/// Another processor may round a shade to its neighbour.
const ROUNDED: usize = 1;

/// The pages of a paper as grey cells, each page with a line before it.
fn look(pages: &[Vec<u8>]) -> String {
    let mut seen = String::new();
    for (number, page) in pages.iter().enumerate() {
        writeln!(seen, "page {}", number + 1).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(page)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let (width, height) = (info.width as usize, info.height as usize);
        let down = (height * ACROSS).div_ceil(width);
        let mut cells = vec![(0_u64, 0_u64); ACROSS * down];
        for (at, pixel) in pixels.chunks(info.color_type.samples()).enumerate() {
            let (across, along) = ((at % width) * ACROSS / width, (at / width) * ACROSS / width);
            let (ink, all) = &mut cells[along * ACROSS + across];
            *ink += u64::from(u8::MAX - pixel[0]);
            *all += u64::from(u8::MAX);
        }
        for row in cells.chunks(ACROSS) {
            let shades = row.iter().map(|(ink, all)| {
                let shade = (ink * FULL + all / 2) / (*all).max(1);
                char::from(SHADES[usize::try_from(shade).unwrap().min(SHADES.len() - 1)])
            });
            writeln!(seen, "{}", shades.collect::<String>().trim_end()).unwrap();
        }
    }
    seen
}

/// The lines in which two looks differ by more than rounding: what was kept, and what is seen.
fn differing<'a>(kept: &'a str, seen: &'a str) -> Vec<(usize, &'a str, &'a str)> {
    let shade = |line: &str, at: usize| {
        let cell = line.as_bytes().get(at).copied().unwrap_or(SHADES[0]);
        SHADES.iter().position(|shade| *shade == cell)
    };
    let same = |kept: &str, seen: &str| {
        let is_head = kept.starts_with("page") || seen.starts_with("page");
        kept == seen
            || !is_head
                && (0..ACROSS).all(|at| match (shade(kept, at), shade(seen, at)) {
                    (Some(kept), Some(seen)) => kept.abs_diff(seen) <= ROUNDED,
                    _ => false,
                })
    };
    let (kept, seen): (Vec<&str>, Vec<&str>) = (kept.lines().collect(), seen.lines().collect());
    (0..kept.len().max(seen.len()))
        .map(|at| {
            let line = |all: &[&'a str]| all.get(at).copied().unwrap_or("no such line");
            (at + 1, line(&kept), line(&seen))
        })
        .filter(|(_, kept, seen)| !same(kept, seen))
        .collect()
}

fn samples() -> Vec<(String, Paper)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn forms_are_looked_at() {
    let press = Press::new().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/looks");
    let mut changed = String::new();
    let samples = samples();
    assert_eq!(samples.len(), 8, "six papers, the book and a birth certificate");
    for (name, paper) in samples {
        let pages = press.images(paper, 1.4).unwrap();
        assert!(!pages.is_empty());
        let (path, seen) = (folder.join(format!("{name}.txt")), look(&pages));
        if std::env::var_os("EGOV_WRITE_PAPERS").is_some() {
            std::fs::write(&path, &seen).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        for (line, kept, seen) in differing(&kept, &seen) {
            writeln!(changed, "{name}:{line}\n  was {kept}\n  is  {seen}").unwrap();
        }
        let Ok(into) = std::env::var("EGOV_LOOK") else { continue };
        for (number, page) in pages.iter().enumerate() {
            std::fs::write(format!("{into}/{name}-{}.png", number + 1), page).unwrap();
        }
    }
    assert!(
        changed.is_empty(),
        "the layout changed: look at the pages (EGOV_LOOK), then EGOV_WRITE_PAPERS=1 writes their looks anew\n{changed}"
    );
}

#[test]
fn a_changed_layout_is_seen() {
    let press = Press::new().unwrap();
    let (_, paper) = samples().swap_remove(0);
    let seen = |paper: &Paper| look(&press.images(paper.clone(), 1.4).unwrap());
    let as_it_is = seen(&paper);
    assert!(differing(&as_it_is, &seen(&paper)).is_empty(), "the same again");
    let mut titled = paper.clone();
    titled.title.push_str(" KHÁC");
    assert!(!differing(&as_it_is, &seen(&titled)).is_empty(), "one word more");
    let mut noted = paper.clone();
    noted.notes.push("Ghi chú".to_owned());
    assert!(!differing(&as_it_is, &seen(&noted)).is_empty(), "one note more");
    let mut coded = paper;
    coded.qr.push('0');
    assert!(!differing(&as_it_is, &seen(&coded)).is_empty(), "another code");
    assert!(!differing("", &as_it_is).is_empty(), "nothing was kept");
}
