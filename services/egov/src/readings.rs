//! `cargo egov readings`: who read whose personal data, why, and on which legal basis.

use clap::Args;
use egov_clock::vietnam;
use egov_proto::egov::records::v1::reading_service_client::ReadingServiceClient;
use egov_proto::egov::records::v1::{
    AuditReadingsRequest, AuditedReading, ListReadingsRequest, ReaderKind, Reading, ReadingUnit,
};
use egov_proto::egov::types::v1::{FactStatus, LocalizedText};
use egov_proto::google::r#type::Date as WireDate;
use jiff::civil::Date;

use crate::reach::{Reach, Reached, parse_day, refused};
use crate::say;

/// Why a person looks, and why a supervisor does.
const OWN: &str = "own_data";
const AUDIT: &str = "data_protection_audit";

/// `cargo egov readings`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// As a supervisor: what units read, instead of what was read about the caller.
    #[arg(long)]
    audit: bool,
    /// As a supervisor: only what was read about the person with this account id.
    #[arg(long, value_name = "ID", requires = "audit")]
    person: Option<String>,
    /// As a supervisor: only what the unit with this code read.
    #[arg(long, value_name = "CODE", requires = "audit")]
    unit: Option<String>,
    /// Leave out what the person concerned read.
    #[arg(long, conflicts_with = "audit")]
    others: bool,
    /// From this day on, dd/mm/yyyy.
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// Until this day, included.
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Date>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// One line: what everybody sees, and what only the supervisor does.
struct Line {
    reading: Reading,
    audited: Option<AuditedReading>,
}

/// `cargo egov readings`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let reached = arguments.reach.open(if arguments.audit { AUDIT } else { OWN }).await?;
    let lines = if arguments.audit {
        audited(&reached, &arguments).await?
    } else {
        own(&reached, &arguments).await?
    };
    if arguments.json {
        let rows: Vec<serde_json::Value> = lines.iter().map(as_json).collect();
        say::json(&serde_json::json!({ "readings": rows }));
        return Ok(());
    }
    let heading = HEADINGS.map(str::to_owned).to_vec();
    say::line(say::table(std::iter::once(heading).chain(lines.iter().map(row))));
    say::note(format!("{} readings · {} lượt truy cập", lines.len(), lines.len()));
    Ok(())
}

async fn own(reached: &Reached, arguments: &Arguments) -> anyhow::Result<Vec<Line>> {
    let mut client = ReadingServiceClient::new(reached.line.clone());
    let mut lines = Vec::new();
    let mut page_token = String::new();
    loop {
        let answer = client
            .list_readings(ListReadingsRequest {
                page_size: 200,
                page_token,
                by_others_only: arguments.others,
                from_date: arguments.from.map(WireDate::from),
                to_date: arguments.to.map(WireDate::from),
            })
            .await
            .map_err(|status| refused(&status))?
            .into_inner();
        lines.extend(
            answer
                .readings
                .into_iter()
                .map(|reading| Line { reading, audited: None }),
        );
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(lines);
        }
    }
}

async fn audited(reached: &Reached, arguments: &Arguments) -> anyhow::Result<Vec<Line>> {
    let unit_id = match &arguments.unit {
        Some(code) => reached.unit(code).await?,
        None => 0,
    };
    let mut client = ReadingServiceClient::new(reached.line.clone());
    let mut lines = Vec::new();
    let mut page_token = String::new();
    loop {
        let answer = client
            .audit_readings(AuditReadingsRequest {
                page_size: 200,
                page_token,
                person_id: arguments.person.clone().unwrap_or_default(),
                unit_id,
                from_date: arguments.from.map(WireDate::from),
                to_date: arguments.to.map(WireDate::from),
            })
            .await
            .map_err(|status| refused(&status))?
            .into_inner();
        lines.extend(answer.readings.into_iter().map(|audited| Line {
            reading: audited.reading.clone().unwrap_or_default(),
            audited: Some(audited),
        }));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(lines);
        }
    }
}

const HEADINGS: [&str; 7] = [
    "thời điểm",
    "ai đã xem",
    "với tư cách",
    "mục đích",
    "căn cứ pháp lý",
    "đã làm gì",
    "dữ liệu",
];

fn row(line: &Line) -> Vec<String> {
    let reading = &line.reading;
    let purpose = reading.purpose.clone().unwrap_or_default();
    let mut who = reader(reading);
    if let Some(audited) = &line.audited {
        who = format!("{who} {}", audited.reader_id);
    }
    let basis = match FactStatus::try_from(purpose.basis_status) {
        Ok(FactStatus::Unconfirmed) if !purpose.legal_basis.is_empty() => {
            format!("{} (chưa xác nhận)", purpose.legal_basis)
        }
        _ => purpose.legal_basis.clone(),
    };
    vec![
        when(reading),
        who,
        capacity(reading),
        words(purpose.title.as_ref()).unwrap_or_else(|| purpose.code.clone()),
        basis,
        words(reading.act.as_ref()).unwrap_or_else(|| reading.method.clone()),
        reading.resources.join(", "),
    ]
}

/// In Vietnamese, as people write it.
fn when(reading: &Reading) -> String {
    let at = reading.read_time.as_ref().and_then(egov_proto::instant);
    at.map(|at| at.to_zoned(vietnam()).strftime("%d/%m/%Y %H:%M:%S").to_string())
        .unwrap_or_default()
}

fn reader(reading: &Reading) -> String {
    let unit = reading.reader_unit.as_ref().map(called).unwrap_or_default();
    let system = match reading.reader_system.as_str() {
        "" => "hệ thống".to_owned(),
        name => format!("hệ thống {name}"),
    };
    match reading.reader_kind() {
        ReaderKind::Self_ => "chính người này".to_owned(),
        ReaderKind::Staff => unit,
        ReaderKind::Citizen => "công dân khác".to_owned(),
        ReaderKind::System => system,
        ReaderKind::SystemForSelf => format!("{system}, thay mặt người này"),
        ReaderKind::SystemForCitizen => format!("{system}, thay mặt công dân khác"),
        ReaderKind::Unspecified => "?".to_owned(),
    }
}

fn called(unit: &ReadingUnit) -> String {
    match unit.name.as_str() {
        "" => format!("đơn vị {}", unit.unit_id),
        name => name.to_owned(),
    }
}

fn capacity(reading: &Reading) -> String {
    let capacities = reading.capacities.iter().map(|capacity| {
        let title = words(capacity.title.as_ref()).unwrap_or_else(|| capacity.role.clone());
        let unit = capacity.unit.as_ref().map(|unit| format!(" – {}", called(unit)));
        let delegated = if capacity.delegated {
            " (thừa uỷ quyền)"
        } else {
            ""
        };
        format!("{title}{}{delegated}", unit.unwrap_or_default())
    });
    capacities.collect::<Vec<_>>().join("; ")
}

fn words(text: Option<&LocalizedText>) -> Option<String> {
    text.map(|text| text.vi.clone()).filter(|text| !text.is_empty())
}

fn as_json(line: &Line) -> serde_json::Value {
    let reading = &line.reading;
    let purpose = reading.purpose.clone().unwrap_or_default();
    let unit = |unit: &ReadingUnit| serde_json::json!({ "id": unit.unit_id, "code": unit.code, "name": unit.name });
    let mut row = serde_json::json!({
        "time": reading.read_time.as_ref().and_then(egov_proto::instant),
        "service": reading.service,
        "reader_kind": reading.reader_kind().as_str_name().trim_start_matches("READER_KIND_").to_lowercase(),
        "reader_system": reading.reader_system,
        "reader_unit": reading.reader_unit.as_ref().map(unit),
        "capacities": reading.capacities.iter().map(|capacity| serde_json::json!({
            "role": capacity.role,
            "title": words(capacity.title.as_ref()),
            "unit": capacity.unit.as_ref().map(unit),
            "delegated": capacity.delegated,
        })).collect::<Vec<_>>(),
        "purpose": purpose.code,
        "purpose_title": words(purpose.title.as_ref()),
        "legal_basis": purpose.legal_basis,
        "legal_basis_confirmed": FactStatus::try_from(purpose.basis_status) == Ok(FactStatus::Confirmed),
        "act": words(reading.act.as_ref()),
        "method": reading.method,
        "resources": reading.resources,
    });
    if let (Some(audited), Some(row)) = (&line.audited, row.as_object_mut()) {
        row.insert("reader_id".to_owned(), audited.reader_id.clone().into());
        row.insert("on_behalf_of".to_owned(), audited.on_behalf_of.clone().into());
        row.insert("delegator_ids".to_owned(), audited.delegator_ids.clone().into());
        row.insert("person_ids".to_owned(), audited.person_ids.clone().into());
    }
    row
}
