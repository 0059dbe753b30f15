//! The cases of an old system: a CSV file of them, imported as `import cases` does, into a centre that has none.
//!
//! The aim is absolute. Who files is drawn from a seed, so that it is known which names must have come in, and how often.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use egov_clock::{Clock as _, SystemClock};
use egov_codes::normal_name;
use egov_population::{NameLists, Population};
use jiff::civil::Date;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use super::lists::BORN;
use super::stage::{Agency, Stage, installation};
use super::{Aim, How, Outcome, absolute, median};
use crate::import::Opened;
use crate::packs::Deploy;
use crate::{import, import_cases, say};

/// So many lines, unless it is said how many.
const LINES: u64 = 100_000;

/// The most people of a population.
const PEOPLE: u64 = 1_000_000;

/// The highest number that a case code holds.
const HIGHEST: u64 = 9_999_999;

/// The name of the old system.
const SOURCE: &str = "bench";

/// The columns, in the order of [`Export::line`].
const COLUMNS: [&str; 14] = [
    "id",
    "ma_ho_so",
    "don_vi",
    "chu_ho_so",
    "so_dinh_danh",
    "dien_thoai",
    "dia_chi",
    "trang_thai",
    "ngay_nop",
    "ngay_tiep_nhan",
    "ngay_hen_tra",
    "ngay_ket_thuc",
    "ngay_tra",
    "so_ket_qua",
];

/// What these columns are.
const MAPPING: &str = r#"source = "bench"
times = ["%d/%m/%Y %H:%M", "%d/%m/%Y"]

[columns]
key = "id"
case_code = "ma_ho_so"
unit_code = "don_vi"
owner_name = "chu_ho_so"
owner_personal_number = "so_dinh_danh"
owner_phone = "dien_thoai"
owner_address = "dia_chi"
state = "trang_thai"
submit_time = "ngay_nop"
accept_time = "ngay_tiep_nhan"
due_date = "ngay_hen_tra"
decide_time = "ngay_ket_thuc"
return_time = "ngay_tra"
result_number = "so_ket_qua"

[defaults]
procedure_code = "1.001193"
channel = "1"
subject = "Đăng ký khai sinh"

[values.state]
"Đang xử lý" = "4"
"Công dân rút" = "7"
"Đã trả kết quả" = "10"
"#;

/// What the lines are made of.
struct Export {
    people: Population,
    agencies: Vec<Agency>,
    today: Date,
}

impl Export {
    /// A line: of ten cases eight were returned, one was withdrawn, one is in process. Its name, and its columns.
    fn line(&self, number: u64) -> anyhow::Result<(String, [String; 14])> {
        let person = self.people.person(number)?;
        // Ten lines to a commune, so that each has cases of every kind.
        let place = usize::try_from(number / 10)? % self.agencies.len().max(1);
        let agency = self.agencies.get(place).context("there are no communes")?;
        // What is in process was filed within the last weeks, the rest within a year.
        let span = if number % 10 == 9 { 20 } else { 300 };
        let before = i64::try_from(number / 10 % span)? + 1;
        let day = self.today.checked_sub(jiff::Span::new().days(before))?;
        let written = |day: Date| day.strftime("%d/%m/%Y").to_string();
        let at = |time: &str| format!("{} {time}", written(day));
        let (state, accepted, due, decided, returned, result) = match number % 10 {
            8 => (
                "Công dân rút",
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ),
            9 => (
                "Đang xử lý",
                at("08:20"),
                written(day.checked_add(jiff::Span::new().days(3))?),
                String::new(),
                String::new(),
                String::new(),
            ),
            _ => (
                "Đã trả kết quả",
                at("08:20"),
                written(day),
                at("15:10"),
                at("16:00"),
                format!("{}/{}", number + 1, day.year()),
            ),
        };
        let (house, hamlet) = person.house;
        let columns = [
            number.to_string(),
            format!("H41.201-{}-{:07}", day.strftime("%y%m%d"), number + 1),
            agency.unit_code.clone(),
            person.full_name.clone(),
            person.personal_number.reveal().to_owned(),
            person.phone.local(),
            format!("Số nhà {house}, xóm {hamlet}"),
            state.to_owned(),
            at("08:15"),
            accepted,
            due,
            decided,
            returned,
            result,
        ];
        Ok((normal_name(&person.full_name), columns))
    }

    /// Writes so many lines, the first of this number, and counts the names.
    fn write(&self, file: &Path, first: u64, lines: u64, names: &mut BTreeMap<String, i64>) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_path(file).context("the export cannot be written")?;
        writer.write_record(COLUMNS)?;
        for number in first..first + lines {
            let (name, columns) = self.line(number)?;
            writer.write_record(&columns)?;
            *names.entry(name).or_default() += 1;
        }
        Ok(writer.flush()?)
    }
}

/// The names of those whose cases were imported, and how many cases each has.
async fn names_in(opened: &Opened) -> anyhow::Result<BTreeMap<String, i64>> {
    let options: PgConnectOptions = opened.postgres.superuser_url().parse()?;
    let mut connection = PgConnection::connect_with(&options.database("onestop")).await?;
    let names: Vec<(String, i64)> = sqlx::query_as(
        "SELECT cases.owner ->> 'full_name', count(*)
         FROM imported_cases JOIN cases USING (case_id)
         WHERE imported_cases.source = $1
         GROUP BY 1",
    )
    .bind(SOURCE)
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    Ok(names.into_iter().collect())
}

/// A file of its own for each run, into the same centre.
pub(super) async fn measure(how: &How) -> anyhow::Result<Outcome> {
    let lines = how.cases.unwrap_or(LINES).max(1);
    if lines.saturating_mul(how.runs as u64) > HIGHEST {
        bail!(
            "{} runs of {lines} lines need more case codes than there are: take fewer",
            how.runs
        );
    }
    let stage = Stage::prepare(None, None).await?;
    let export = Export {
        people: Population::new(
            NameLists::from_text(&Deploy::find(None)?.population()?.names())?,
            3,
            lines.min(PEOPLE),
            BORN,
        )?,
        agencies: stage.agencies.clone(),
        today: SystemClock::shared().today(),
    };
    let folder = tempfile::Builder::new().prefix("egov-bench-").tempdir()?;
    let (file, mapping) = (folder.path().join("old.csv"), folder.path().join("mapping.toml"));
    std::fs::write(&mapping, MAPPING)?;
    let installation = installation(stage.data());
    let opened = import::open(&installation).await?;
    let (mut names, mut rates, mut errors) = (BTreeMap::new(), Vec::new(), 0);
    for run in 0..how.runs as u64 {
        export.write(&file, run * lines, lines, &mut names)?;
        let (summary, seconds) = import_cases::for_bench(&installation, &opened, &file, &mapping).await?;
        errors += lines - summary.imported.min(lines);
        let rate = summary.imported as f64 / seconds.max(0.001);
        say::note(format!("  {} lines, {:.0} a minute", summary.lines, rate * 60.0));
        rates.push(rate);
    }
    let found = names_in(&opened).await;
    opened.close().await?;
    if errors == 0 && found? != names {
        bail!("the imported cases do not bear the names that were in the file");
    }
    folder.close()?;
    stage.remove()?;
    let row = absolute("import", median(rates), [f64::NAN; 3], Aim::PerMinute(60_000.0));
    Ok(Outcome { errors, ..row })
}
