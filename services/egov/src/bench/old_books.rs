//! Old books of civil status: births as they are keyed from pages, sent in pieces to the port by two digitisers at once, each with a book of its own.
//!
//! The aim is absolute: what a province has on paper is to be taken over within days.

use std::time::Instant;

use anyhow::{Context as _, bail};
use egov_clock::{Ids as _, SystemIds};
use egov_proto::egov::civil_registry::v1::digitisation_service_client::DigitisationServiceClient;
use egov_proto::egov::civil_registry::v1::{
    CreateOldBookRequest, EventKind, ImportOldEntriesRequest, OldFormat, OldKeying, OldLineOutcome,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

use super::load::Connections;
use super::stage::{Agency, Running, Stage};
use super::submit::signed;
use super::{Aim, How, Outcome, absolute, median};
use crate::say;

/// So many lines, unless it is said how many.
const LINES: u64 = 60_000;

/// Lines of a piece: as many as the contract lets through.
const PIECE: u64 = 2_000;

/// Entries on a page.
const ON_PAGE: u64 = 4;

/// Who keys at the same time.
const KEYING: usize = 2;

/// Who keys old books.
const ROLE: &str = "civil_status_digitiser";

const HEADER: &str = "so,quyenSo,trangSo,ngayDangKy,loaiDangKy,noiDangKy,nguoiKy,chucVuNguoiKy,nksHoTen,nksGioiTinh,nksNgaySinh,nksNoiSinh,\
                      nksQueQuan,nksDanToc,nksQuocTich,meHoTen,meNgaySinh,chaHoTen,chaNgaySinh,nycHoTen,nycQuanHe";

fn new_id() -> String {
    SystemIds::shared().uuid().to_string()
}

/// A line of a book, its number from 1: dates as far as they are known, as old books have them.
fn line(number: u64) -> String {
    let (page, day, month) = ((number - 1) / ON_PAGE + 1, number % 28 + 1, number % 12 + 1);
    let sex = number % 2 + 1;
    format!(
        "{number}/1985,01,{page},{day:02}/{month:02}/1985,1,Uỷ ban nhân dân xã Hưng Đông,Phan Văn Chủ,Chủ tịch,\
         Nguyễn Thị Bé {},{sex},{month:02}/1985,Trạm y tế xã Hưng Đông,Xã Hưng Đông,Kinh,Việt Nam,Trần Thị Mẹ,1960,Nguyễn Văn Cha,05/1958,\
         Nguyễn Văn Cha,cha\n",
        given(number)
    )
}

/// A given name of letters that tells lines apart.
fn given(number: u64) -> String {
    let syllables = ["An", "Bình", "Chi", "Dung", "Giang", "Hà", "Khanh", "Lan", "Mai", "Nga"];
    let digits = number.to_string();
    let parts = digits
        .bytes()
        .filter_map(|digit| syllables.get(usize::from(digit.wrapping_sub(b'0'))));
    parts.copied().collect::<Vec<&str>>().join(" ")
}

/// Keys a book of so many lines; how many of them were not taken.
async fn key(
    mut client: DigitisationServiceClient<Channel>,
    token: MetadataValue<Ascii>,
    unit_id: i32,
    lines: u64,
) -> anyhow::Result<u64> {
    let book = CreateOldBookRequest {
        request_id: new_id(),
        unit_id,
        event: EventKind::Birth.into(),
        year: 1985,
        kept_by: "Uỷ ban nhân dân xã Hưng Đông".to_owned(),
        label: new_id(),
    };
    let created = client.create_old_book(signed(book, &token)).await?.into_inner();
    let book_id = created.book.context("no book was begun")?.book_id;
    let import_id = new_id();
    let (mut first, mut lost) = (1, 0);
    while first <= lines {
        let last = lines.min(first + PIECE - 1);
        let piece: String = (first..=last).map(line).collect();
        let request = ImportOldEntriesRequest {
            request_id: new_id(),
            book_id: book_id.clone(),
            import_id: import_id.clone(),
            keying: OldKeying::First.into(),
            format: OldFormat::Csv.into(),
            header: HEADER.as_bytes().to_vec(),
            first_line: i64::try_from(first)?,
            lines: piece.into_bytes(),
            dry_run: false,
        };
        let report = client.import_old_entries(signed(request, &token)).await?.into_inner();
        if report.position != i64::try_from(last)? {
            bail!("a piece up to line {last} left the file at line {}", report.position);
        }
        let taken = report
            .lines
            .iter()
            .filter(|line| line.outcome() == OldLineOutcome::Entered)
            .count() as u64;
        lost += last - first + 1 - taken;
        first = last + 1;
    }
    Ok(lost)
}

/// One run: two books at once.
async fn run(stage: &Stage, running: &Running, of: &[Agency], lines: u64) -> anyhow::Result<(f64, u64)> {
    let connections = Connections::open(&running.url).await?;
    let begin = Instant::now();
    let mut keying = tokio::task::JoinSet::new();
    for (caller, agency) in of.iter().enumerate() {
        let channel = connections.of(caller).map_err(anyhow::Error::msg)?;
        let token = format!("Bearer {}", stage.official(running, ROLE, agency)?).parse()?;
        keying.spawn(key(
            DigitisationServiceClient::new(channel),
            token,
            agency.unit_id,
            lines,
        ));
    }
    let mut lost = 0;
    while let Some(keyed) = keying.join_next().await {
        lost += keyed??;
    }
    let taken = (lines * of.len() as u64).saturating_sub(lost);
    Ok((taken as f64 / begin.elapsed().as_secs_f64().max(0.001), lost))
}

/// New books in each run, into the same registry.
pub(super) async fn measure(how: &How) -> anyhow::Result<Outcome> {
    let lines = (how.cases.unwrap_or(LINES) / KEYING as u64).max(1);
    let stage = Stage::prepare(None, None).await?;
    let of: Vec<Agency> = stage.agencies.iter().take(KEYING).cloned().collect();
    let running = stage.start().await?;
    let (mut rates, mut errors) = (Vec::new(), 0);
    for _ in 0..how.runs {
        let (rate, lost) = run(&stage, &running, &of, lines).await?;
        say::note(format!(
            "  {} lines, {:.0} a minute",
            lines * KEYING as u64,
            rate * 60.0
        ));
        rates.push(rate);
        errors += lost;
    }
    running.stop().await?;
    stage.remove()?;
    let row = absolute("old-books", median(rates), [f64::NAN; 3], Aim::PerMinute(30_000.0));
    Ok(Outcome { errors, ..row })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_columns_of_the_header() {
        let columns = HEADER.split(',').count();
        for number in [1, 28, 4_711, 60_000] {
            assert_eq!(line(number).trim_end().split(',').count(), columns, "line {number}");
        }
    }
}
