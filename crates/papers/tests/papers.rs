//! Every form is printed, looked at by a decoder, and stays what it is whatever people write.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests fail loudly"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use egov_papers::{Block, MAX_CONTENT, Paper, Press, PressError, REPLACED};
use proptest::prelude::*;

/// The forms as the one-stop service makes them, and a birth certificate as the civil registry does; tests of those services keep them so.
fn samples() -> Vec<(String, Paper)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
        })
        .collect()
}

fn sample(name: &str) -> Paper {
    samples().into_iter().find(|(found, _)| found == name).unwrap().1
}

fn receipt() -> Paper {
    sample("giay-tiep-nhan")
}

/// A page as grey pixels.
fn grey(png: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let channels = info.color_type.samples();
    let grey = pixels.chunks(channels).map(|pixel| pixel[0]).collect();
    (info.width as usize, info.height as usize, grey)
}

/// What the QR codes at the head of a page say, on its left half: where they are, and no more to look through.
fn codes(png: &[u8]) -> Vec<String> {
    let (width, height, pixels) = grey(png);
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width / 2, height * 2 / 5, |x, y| pixels[y * width + x]);
    image
        .detect_grids()
        .into_iter()
        .map(|grid| grid.decode().unwrap().1)
        .collect()
}

#[test]
fn every_form_is_printed_as_pdf_a() {
    let press = Press::new().unwrap();
    let samples = samples();
    assert_eq!(samples.len(), 8);
    for (name, paper) in samples {
        let printed = press.print(paper).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = String::from_utf8_lossy(&printed.pdf);
        assert!(text.starts_with("%PDF-1.7"), "{name}");
        assert!(
            text.contains("pdfaid:part>2</pdfaid:part") && text.contains("pdfaid:conformance>B<"),
            "{name}"
        );
        assert!(printed.replaced.is_empty(), "{name}: {:?}", printed.replaced);
        assert!(printed.pdf.len() < 200_000, "{name}: {} bytes", printed.pdf.len());
    }
}

#[test]
fn every_form_of_a_case_has_a_code_that_says_which_case() {
    let press = Press::new().unwrap();
    for (name, paper) in samples() {
        let expected: Vec<String> = Some(paper.qr.clone()).filter(|qr| !qr.is_empty()).into_iter().collect();
        // As a printer of 216 dots an inch would.
        let pages = press.images(paper, 3.0).unwrap();
        assert_eq!(codes(&pages[0]), expected, "{name}");
    }
}

#[test]
fn a_code_as_long_as_a_receipt_of_the_ledger_is_printed_so_that_it_is_read() {
    let press = Press::new().unwrap();
    let mut paper = receipt();
    // Of a form of no circular, in the letters of base45.
    paper.form_number.clear();
    paper.qr = format!("EGOV1:{}", "7V 0%$*+-./:AZ".repeat(93));
    let pages = press.images(paper.clone(), 5.0).unwrap();
    assert_eq!(codes(&pages[0]), [paper.qr]);
}

#[test]
fn the_same_paper_is_the_same_bytes_from_any_press() {
    let (one, other) = (Press::new().unwrap(), Press::new().unwrap());
    for (name, paper) in samples() {
        let first = one.print(paper.clone()).unwrap();
        assert!(first == one.print(paper.clone()).unwrap(), "{name}: printed twice");
        assert!(first == other.print(paper).unwrap(), "{name}: by another press");
    }
}

#[test]
fn what_is_empty_is_a_dotted_line_and_what_is_filled_is_not() {
    let press = Press::new().unwrap();
    let ink = |paper: Paper| -> usize {
        let pages = press.images(paper, 1.5).unwrap();
        pages
            .iter()
            .map(|page| grey(page).2.iter().filter(|pixel| **pixel < 128).count())
            .sum()
    };
    let with = |value: &str| {
        let mut paper = receipt();
        let label = "Địa chỉ".to_owned();
        paper.blocks = vec![Block::Field {
            code: "a".to_owned(),
            label,
            value: value.to_owned(),
        }];
        paper
    };
    let (dotted, one_letter) = (ink(with("")), ink(with("a")));
    assert!(dotted > one_letter + 50, "{dotted} and {one_letter}");
}

#[test]
fn a_long_book_goes_over_pages_with_its_head_on_each() {
    let press = Press::new().unwrap();
    let mut book = sample("so-theo-doi");
    for block in &mut book.blocks {
        if let Block::Table { rows, .. } = block {
            let row = rows[0].clone();
            rows.resize(60, row);
        }
    }
    let started = Instant::now();
    let pages = press.images(book.clone(), 1.0).unwrap();
    assert!(pages.len() > 3 && pages.len() < 20, "{}", pages.len());
    let printed = press.print(book).unwrap();
    println!(
        "60 rows, {} pages, {} bytes: {:?} with images",
        pages.len(),
        printed.pdf.len(),
        started.elapsed()
    );
    // The head has as much ink on the second page as on the third, and where the first page has none.
    let head = |page: &[u8]| {
        let (width, height, pixels) = grey(page);
        let rows = pixels.chunks(width).take(height * 14 / 100);
        rows.flatten().filter(|pixel| **pixel < 128).count()
    };
    let (second, third) = (head(&pages[1]), head(&pages[2]));
    assert!(
        second > 500 && second.abs_diff(third) < second / 10,
        "{second} and {third}"
    );
}

#[test]
fn a_warm_press_prints_a_form_in_time() {
    let press = Press::new().unwrap();
    let started = Instant::now();
    press.print(receipt()).unwrap();
    println!("the first form: {:?}", started.elapsed());
    let started = Instant::now();
    for round in 0..20 {
        let mut paper = receipt();
        paper.qr = format!("H41.201-261123-{round:04}");
        press.print(paper).unwrap();
    }
    let each = started.elapsed() / 20;
    println!("each further form: {each:?}");
    // Without optimisation and on a busy machine; a release build takes a tenth.
    assert!(each < Duration::from_secs(2), "{each:?}");
}

#[test]
fn what_is_no_paper_is_refused_and_not_printed() {
    let press = Press::new().unwrap();
    assert!(matches!(press.print_json(b"{}"), Err(PressError::NoPaper(_))));
    assert!(matches!(
        press.print_json(&vec![b' '; MAX_CONTENT + 1]),
        Err(PressError::TooLarge(_))
    ));
    let mut uneven = sample("so-theo-doi");
    for block in &mut uneven.blocks {
        if let Block::Table { rows, .. } = block {
            rows[1].pop();
        }
    }
    assert!(matches!(press.print(uneven), Err(PressError::UnevenTable(table)) if table == "cases"));
    let mut code = receipt();
    code.qr = "x".repeat(5000);
    assert!(matches!(press.print(code), Err(PressError::QrTooLong(5000))));
}

#[test]
fn what_the_typeface_lacks_is_shown_as_missing_and_reported() {
    let press = Press::new().unwrap();
    let mut paper = receipt();
    let name = paper.blocks.iter_mut().find_map(|block| match block {
        Block::Field { code, value, .. } if code == "applicant_name" => Some(value),
        _ => None,
    });
    // An emoji, a Chinese name, a direction override, letters with marks of their own.
    "Nguye\u{0302}\u{0303}n \u{1F600} 阮 \u{202E}abc".clone_into(name.unwrap());
    let printed = press.print(paper).unwrap();
    assert_eq!(printed.replaced.into_iter().collect::<Vec<_>>(), ['阮', '\u{1F600}']);
    assert_ne!(REPLACED, '\u{FFFD}');
}

#[test]
fn a_paper_in_a_log_says_which_and_nothing_of_a_person() {
    let shown = format!("{:?}", receipt());
    assert!(shown.contains("H41.201-261123-0001"), "{shown}");
    assert!(!shown.contains("Hường") && !shown.contains("Lê Mao"), "{shown}");
}

/// Places of a paper where people write.
fn write(paper: &mut Paper, text: &str) {
    text.clone_into(&mut paper.agency);
    text.clone_into(&mut paper.number);
    text.clone_into(&mut paper.subtitle);
    paper.notes.push(text.to_owned());
    for signature in &mut paper.signatures {
        text.clone_into(&mut signature.name);
    }
    for block in &mut paper.blocks {
        match block {
            Block::Text { text: words } => text.clone_into(words),
            Block::Field { value, .. } => text.clone_into(value),
            Block::Table { rows, .. } => rows.iter_mut().flatten().for_each(|cell| text.clone_into(cell)),
        }
    }
}

#[test]
fn code_of_the_template_stays_text() {
    // If any of it were run, the paper would fail (an unknown file, a panic), or be the same as without it.
    let press = Press::new().unwrap();
    let plain = {
        let mut paper = receipt();
        write(&mut paper, "a");
        press.print(paper).unwrap().pdf
    };
    for text in [
        "#panic(\"run\")",
        "#read(\"/etc/passwd\")",
        "#import \"@preview/x:1.0.0\": *",
        "#include \"/form.typ\"",
        "$ x^2 $ *bold* _it_ `raw` <label> @ref \\u{41} // gone /* gone */ = heading",
        "\"); panic(\"run\"); (\"",
        "{{\"kind\":\"text\"}}",
        "#(while true {})",
    ] {
        let mut paper = receipt();
        write(&mut paper, text);
        let printed = press.print(paper).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(printed.pdf != plain, "{text}");
    }
}

/// Words as people, and those who mean harm, write them.
fn any_words() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,40}",
        "[a-z]{60,200}",
        "[#$*_`<>@\\\\/=\"'(){}\\[\\]~-]{0,40}",
        "[A-Za-z\u{0300}-\u{0323}]{0,60}",
        "[\u{1F300}-\u{1F64F}\u{4E00}-\u{4EFF}\u{0590}-\u{06FF}]{0,20}",
        "[\u{0000}-\u{001F}\u{200B}-\u{202E}\u{FEFF}]{0,20}",
        Just("Nguyễn Thị Hường, số 1 đường Lê Mao\nphường Trường Vinh".to_owned()),
    ];
    proptest::collection::vec(piece, 1..4).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_printed(text in any_words(), at in 0usize..7) {
        use std::sync::OnceLock;
        static PRESS: OnceLock<Press> = OnceLock::new();
        let press = PRESS.get_or_init(|| Press::new().unwrap());
        let mut paper = samples().swap_remove(at).1;
        write(&mut paper, &text);
        let printed = press.print(paper);
        prop_assert!(printed.is_ok(), "{:?}", printed.err());
    }
}
