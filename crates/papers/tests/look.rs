//! Writes each form as images into a folder, to look at: EGOV_LOOK=/some/folder cargo test -p egov-papers --test look.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test that is run by hand"
)]

use egov_papers::{Paper, Press};

#[test]
fn forms_are_looked_at() {
    let press = Press::new().unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let paper: Paper = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let pages = press.images(paper, 1.4).unwrap();
        assert!(!pages.is_empty());
        let Ok(into) = std::env::var("EGOV_LOOK") else { continue };
        let name = path.file_stem().unwrap().to_str().unwrap();
        for (number, page) in pages.iter().enumerate() {
            std::fs::write(format!("{into}/{name}-{}.png", number + 1), page).unwrap();
        }
    }
}
