//! `cargo egov access review`: who has what where, and what a reviewer should look at.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use egov_proto::egov::identity::v1::access_service_client::AccessServiceClient;
use egov_proto::egov::identity::v1::unit_service_client::UnitServiceClient;
use egov_proto::egov::identity::v1::{
    GetUnitRequest, ListRolesRequest, ReviewAccessRequest, ReviewEntry, ReviewFlag, RoleGrantEntry,
};
use egov_proto::google::r#type::Date as WireDate;
use jiff::Timestamp;
use jiff::civil::Date;
use prost_types::Timestamp as WireTime;

use crate::place::write_private;
use crate::reach::{Reach, Reached, day, parse_day, refused};
use crate::say;

/// Why the command reads what it reads.
const PURPOSE: &str = "access_review";

/// `cargo egov access`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Report who has which role where, with the last use and what a reviewer should look at.
    Review(Box<Arguments>),
}

/// `cargo egov access review`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only roles at the unit with this code and below.
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
    /// As of this day, dd/mm/yyyy; today if absent.
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    on: Option<Date>,
    /// Flag what no token has carried for this many days.
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    unused_days: i32,
    /// Flag what ends within this many days.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    ends_within: i32,
    /// The round of review begins on this day: what has no verdict since is flagged.
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    round_from: Option<Date>,
    /// The last day of the round.
    #[arg(long, value_name = "DAY", value_parser = parse_day, requires = "round_from")]
    round_due: Option<Date>,
    /// Only what has a flag.
    #[arg(long)]
    flagged: bool,
    /// Only what has no verdict in the round.
    #[arg(long, requires = "round_from")]
    without_verdict: bool,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Write a CSV file, which only its owner may read.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

/// `cargo egov access`
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Review(arguments) => review(*arguments).await,
    }
}

/// What ids are called.
#[derive(Default)]
struct Names {
    units: HashMap<i32, String>,
    roles: HashMap<String, String>,
    people: HashMap<String, String>,
}

async fn review(arguments: Arguments) -> anyhow::Result<()> {
    let reached = arguments.reach.open(PURPOSE).await?;
    let entries = pages(&reached, &arguments).await?;
    if arguments.json {
        let rows: Vec<serde_json::Value> = entries.iter().map(as_json).collect();
        say::json(&serde_json::json!({ "entries": rows }));
        return Ok(());
    }
    let names = names(&reached, &entries).await?;
    let rows = entries.iter().map(|entry| row(entry, &names));
    if let Some(path) = &arguments.csv {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(HEADINGS)?;
        for row in rows {
            writer.write_record(row.iter().map(|cell| harmless(cell)))?;
        }
        let text = writer.into_inner().context("the table cannot be written")?;
        // A mark that spreadsheets need to see UTF-8.
        write_private(path, &[b"\xef\xbb\xbf".as_slice(), &text].concat())?;
        say::note(format!("{} lines: {}", entries.len(), path.display()));
        return Ok(());
    }
    let heading = HEADINGS.map(str::to_owned).to_vec();
    say::line(say::table(std::iter::once(heading).chain(rows)));
    let flagged = entries.iter().filter(|entry| !entry.flags.is_empty()).count();
    say::note(format!(
        "{} lines, {flagged} with a flag · {} dòng, {flagged} dòng cần xem",
        entries.len(),
        entries.len()
    ));
    Ok(())
}

/// Every page.
async fn pages(reached: &Reached, arguments: &Arguments) -> anyhow::Result<Vec<ReviewEntry>> {
    let unit_id = match &arguments.unit {
        Some(code) => reached.unit(code).await?,
        None => 0,
    };
    let mut client = AccessServiceClient::new(reached.line.clone());
    let mut entries = Vec::new();
    let mut page_token = String::new();
    loop {
        let answer = client
            .review_access(ReviewAccessRequest {
                page_size: 200,
                page_token,
                on: arguments.on.map(WireDate::from),
                unit_id,
                unused_days: arguments.unused_days,
                ends_within_days: arguments.ends_within,
                round_from: arguments.round_from.map(WireDate::from),
                round_due: arguments.round_due.map(WireDate::from),
                only_flagged: arguments.flagged,
                only_without_verdict: arguments.without_verdict,
            })
            .await
            .map_err(|status| refused(&status))?
            .into_inner();
        entries.extend(answer.entries);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(entries);
        }
    }
}

async fn names(reached: &Reached, entries: &[ReviewEntry]) -> anyhow::Result<Names> {
    let mut names = Names::default();
    let roles = AccessServiceClient::new(reached.line.clone())
        .list_roles(ListRolesRequest { unit_id: 0 })
        .await
        .map_err(|status| refused(&status))?;
    for role in roles.into_inner().roles {
        names.roles.insert(role.role, role.title_vi);
    }
    let mut units = UnitServiceClient::new(reached.channel.clone());
    for held in entries.iter().filter_map(|entry| entry.entry.as_ref()) {
        if !held.full_name.is_empty() {
            names.people.insert(
                held.account_id.clone(),
                format!("{} ({})", held.full_name, held.username),
            );
        }
        for unit_id in [
            held.grant.as_ref().map_or(0, |grant| grant.unit_id),
            held.account_unit_id,
        ] {
            if unit_id > 0 && !names.units.contains_key(&unit_id) {
                let unit = units
                    .get_unit(GetUnitRequest { unit_id })
                    .await
                    .map_err(|status| refused(&status))?
                    .into_inner()
                    .unit
                    .unwrap_or_default();
                names.units.insert(unit_id, unit.name);
            }
        }
    }
    Ok(names)
}

const HEADINGS: [&str; 10] = [
    "đơn vị",
    "vai trò",
    "người giữ",
    "từ ngày",
    "đến hết ngày",
    "người giao",
    "đăng nhập gần nhất",
    "có trong thẻ gần nhất",
    "uỷ quyền cho",
    "cần xem",
];

fn row(entry: &ReviewEntry, names: &Names) -> Vec<String> {
    let missing = RoleGrantEntry::default();
    let held = entry.entry.as_ref().unwrap_or(&missing);
    let grant = held.grant.clone().unwrap_or_default();
    let person = |id: &str| names.people.get(id).cloned();
    let holder = person(&held.account_id).unwrap_or_else(|| format!("(ngoài phạm vi) {}", held.account_id));
    let giver = match held.granted_by_id.as_str() {
        "" => "(khi cài đặt)".to_owned(),
        id => person(id).unwrap_or_else(|| id.to_owned()),
    };
    let delegated: Vec<String> = entry
        .delegations
        .iter()
        .map(|delegation| format!("{}, {}", delegation.delegatee_name, delegation.document_number))
        .collect();
    let flags: Vec<&str> = entry.flags().map(words).collect();
    vec![
        names
            .units
            .get(&grant.unit_id)
            .cloned()
            .unwrap_or_else(|| grant.unit_id.to_string()),
        names.roles.get(&grant.role).cloned().unwrap_or(grant.role),
        holder,
        date(grant.effective_from.as_ref()),
        last_day(grant.effective_to.as_ref()),
        giver,
        time(entry.last_sign_in_time.as_ref()),
        date(entry.last_in_token.as_ref()),
        delegated.join("; "),
        flags.join("; "),
    ]
}

/// A text that a spreadsheet would take for a formula is only a text: a name is typed by people.
fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

fn words(flag: ReviewFlag) -> &'static str {
    match flag {
        ReviewFlag::Unspecified => "không rõ",
        ReviewFlag::NeverInToken => "chưa từng có trong thẻ",
        ReviewFlag::NotInToken => "lâu không có trong thẻ",
        ReviewFlag::EndsSoon => "sắp hết hạn",
        ReviewFlag::HolderDisabled => "tài khoản đã đóng",
        ReviewFlag::HolderElsewhere => "người của đơn vị khác",
        ReviewFlag::RoleUnknown => "vai trò không còn trong chính sách",
        ReviewFlag::Double => "trùng vai trò",
        ReviewFlag::NoVerdict => "chưa rà soát",
    }
}

fn as_json(entry: &ReviewEntry) -> serde_json::Value {
    let missing = RoleGrantEntry::default();
    let held = entry.entry.as_ref().unwrap_or(&missing);
    let grant = held.grant.clone().unwrap_or_default();
    let iso = |date: Option<&WireDate>| {
        date.and_then(|date| Date::try_from(*date).ok())
            .map(|date| date.to_string())
    };
    serde_json::json!({
        "grant_id": grant.grant_id, "role": grant.role, "unit_id": grant.unit_id,
        "effective_from": iso(grant.effective_from.as_ref()), "effective_to": iso(grant.effective_to.as_ref()),
        "account_id": held.account_id, "username": held.username, "full_name": held.full_name,
        "account_unit_id": held.account_unit_id, "granted_by_id": held.granted_by_id, "reason": held.reason,
        "last_sign_in_time": entry.last_sign_in_time.and_then(|time| instant(&time)).map(|time| time.to_string()),
        "last_in_token": iso(entry.last_in_token.as_ref()),
        "delegations": entry.delegations.iter().map(|delegation| serde_json::json!({
            "delegation_id": delegation.delegation_id, "delegatee_id": delegation.delegatee_id,
            "effective_to": iso(delegation.effective_to.as_ref()), "document_number": delegation.document_number,
        })).collect::<Vec<_>>(),
        "verdict": entry.verdict.as_ref().map(|verdict| serde_json::json!({
            "reviewer_id": verdict.reviewer_id, "note": verdict.note,
            "review_time": verdict.review_time.and_then(|time| instant(&time)).map(|time| time.to_string()),
        })),
        "flags": entry.flags().map(|flag| flag.as_str_name().trim_start_matches("REVIEW_FLAG_").to_lowercase())
            .collect::<Vec<_>>(),
    })
}

fn date(date: Option<&WireDate>) -> String {
    date.and_then(|date| Date::try_from(*date).ok())
        .map(day)
        .unwrap_or_default()
}

/// The last day of a period whose end is exclusive, as people name it.
fn last_day(end: Option<&WireDate>) -> String {
    end.and_then(|date| Date::try_from(*date).ok())
        .and_then(|end| end.yesterday().ok())
        .map(day)
        .unwrap_or_default()
}

fn instant(time: &WireTime) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

fn time(time: Option<&WireTime>) -> String {
    time.and_then(instant)
        .map(|time| {
            time.to_zoned(egov_clock::vietnam())
                .strftime("%d/%m/%Y %H:%M")
                .to_string()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_proto::egov::identity::v1::RoleGrant;

    #[test]
    fn a_line_says_days_as_people_write_them_and_flags_in_words() {
        let entry = ReviewEntry {
            entry: Some(RoleGrantEntry {
                grant: Some(RoleGrant {
                    grant_id: "g".to_owned(),
                    role: "officer".to_owned(),
                    unit_id: 7,
                    effective_from: Some(WireDate::from(jiff::civil::date(2026, 1, 2))),
                    effective_to: Some(WireDate::from(jiff::civil::date(2027, 1, 1))),
                }),
                account_id: "a".to_owned(),
                ..RoleGrantEntry::default()
            }),
            flags: vec![ReviewFlag::EndsSoon.into(), ReviewFlag::HolderElsewhere.into()],
            ..ReviewEntry::default()
        };
        let cells = row(&entry, &Names::default());
        assert_eq!(cells.len(), HEADINGS.len());
        assert_eq!(cells[3..5], ["02/01/2026", "31/12/2026"]);
        assert_eq!(cells[2], "(ngoài phạm vi) a");
        assert_eq!(cells[9], "sắp hết hạn; người của đơn vị khác");
        assert_eq!(
            as_json(&entry)["flags"],
            serde_json::json!(["ends_soon", "holder_elsewhere"])
        );
    }

    #[test]
    fn no_cell_of_a_table_is_a_formula() {
        assert_eq!(harmless("=1+1"), "'=1+1");
        assert_eq!(harmless("Nguyễn Văn An"), "Nguyễn Văn An");
    }
}
