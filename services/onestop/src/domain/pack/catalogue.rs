//! Danh mục thủ tục: the lines of a crawl of the national portal, each read into a version of a procedure in which
//! nothing is invented: what the crawl lost or never had is an open fact, and the line itself is kept word for word.

use std::collections::BTreeSet;
use std::fmt;

use egov_codes::{ProcedureCode, normal_name};
use jiff::civil;
use serde::{Deserialize, Serialize};

use super::check::is_result_code;
use super::facts::{Fact, FactStatus};
use super::procedure::{Channel, ChannelOffer, Fee, Level, Procedure, ResultKind, Sector, Step, Time, TimeUnit};

/// The columns, in their order.
pub(super) const COLUMNS: [&str; 12] = [
    "code",
    "name",
    "sector",
    "sector_vi",
    "level",
    "decision",
    "channels",
    "time_value",
    "time_unit",
    "fee_vnd",
    "result_codes",
    "result_names",
];

/// The code of the one fee that a line may have.
pub const FEE: &str = "phi_le_phi";

/// The longest text of a column that the crawl kept; longer ones were cut off there.
const CUT_AT: usize = 200;

/// What a catalogue is: `catalogue.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The file of the lines.
    pub file: String,
    /// Where they come from, in words.
    pub source: String,
    /// The last day of the crawl.
    pub crawled: civil::Date,
    /// The transitions that cases follow.
    pub transitions: String,
    /// The process proposed for every procedure; it holds where somebody decides it.
    pub steps: Vec<Step>,
}

impl Manifest {
    /// Reads it.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// What a version of a procedure that comes from a catalogue carries beside the rest: the line, and how each list that
/// a pack would simply have is established.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogued {
    /// The line, word for word.
    pub raw: String,
    /// Its number in the file in which it was read first so.
    pub line: u64,
    /// Kênh.
    pub channels: Fact,
    /// Đối tượng thực hiện; no catalogue has them.
    pub applicants: Fact,
    /// Căn cứ pháp lý; no catalogue has them.
    pub legal_basis: Fact,
    /// Thành phần hồ sơ; no catalogue has them.
    pub components: Fact,
    /// Trình tự: the proposed process.
    pub steps: Fact,
    /// Kết quả.
    pub results: Fact,
}

/// One thing that is wrong with a line, in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFault {
    /// The column; empty for the whole line.
    pub column: &'static str,
    /// In Vietnamese.
    pub vi: String,
    /// In English.
    pub en: String,
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = if self.column.is_empty() { "line" } else { self.column };
        write!(f, "{column}: {} / {}", self.vi, self.en)
    }
}

/// One line as it was read: what it says, or everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLine {
    /// Its number in the file, from 1; the header is line 1.
    pub line: u64,
    /// The code as it stands there, for the report.
    pub code: String,
    /// The entry, or its faults.
    pub entry: Result<Entry, Vec<LineFault>>,
}

/// What a line says, still as text where the text is all there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Mã thủ tục.
    pub code: ProcedureCode,
    /// Tên.
    pub name: String,
    /// Lĩnh vực.
    pub sector: Sector,
    /// Cấp thực hiện.
    pub levels: Vec<Level>,
    /// Quyết định công bố.
    pub decision: String,
    /// Kênh; none if the crawl has none.
    pub channels: Vec<Channel>,
    /// How long, if there is a number.
    pub time_value: Option<u32>,
    /// The unit, if it was kept.
    pub time_unit: Option<TimeUnit>,
    /// The fee as it stands there.
    pub fee_raw: String,
    /// The amount, if it is a plain number.
    pub fee_vnd: Option<i64>,
    /// Kết quả: codes and names.
    pub results: Vec<(String, String)>,
    /// The codes of the results as they stand there.
    pub results_raw: String,
    /// The line, word for word.
    pub raw: String,
    /// Its number.
    pub line: u64,
}

/// Why a file is no catalogue at all.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The columns are others.
    #[error("cột không đúng, phải là {expected} / the columns are not {expected}", expected = COLUMNS.join(","))]
    Columns,
}

/// Reads the lines of a catalogue. Whatever the bytes are, every line is either read or refused with all that is wrong.
pub fn read_lines(bytes: &[u8]) -> Result<Vec<ReadLine>, CatalogueError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(bytes);
    let mut records = Vec::new();
    let mut record = csv::ByteRecord::new();
    // A reader of bytes in memory, flexible, has no error to give; should it have one, nothing after it is taken.
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        records.push((record.position().map_or(0, csv::Position::byte), record.clone()));
    }
    let end = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let starts: Vec<u64> = records.iter().map(|(start, _)| *start).chain([end]).collect();
    let mut records = records.into_iter().zip(starts.iter().skip(1));
    let header = records.next().ok_or(CatalogueError::Columns)?.0.1;
    if !header.iter().eq(COLUMNS.iter().map(|column| column.as_bytes())) {
        return Err(CatalogueError::Columns);
    }
    let mut seen = BTreeSet::new();
    let (mut line, mut counted) = (1, 0);
    Ok(records
        .map(|((start, record), until)| {
            let range = usize::try_from(start).unwrap_or(0)..usize::try_from(*until).unwrap_or(0);
            let raw = bytes.get(range.clone()).unwrap_or_default();
            // The reader leaves the end of one line to the next record; a line begins with its first letter.
            let ends = raw.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let begin = range.start + ends;
            let between = bytes.get(counted..begin).unwrap_or_default();
            line += between.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            counted = begin;
            let mut read = read_line(line, raw, &record);
            if read.entry.is_ok() && !seen.insert(read.code.clone()) {
                read.entry = Err(vec![fault(
                    "code",
                    "mã đã có ở một dòng trước",
                    "the code stands on an earlier line",
                )]);
            }
            read
        })
        .collect())
}

fn fault(column: &'static str, vi: impl Into<String>, en: impl Into<String>) -> LineFault {
    LineFault {
        column,
        vi: vi.into(),
        en: en.into(),
    }
}

fn read_line(line: u64, raw: &[u8], record: &csv::ByteRecord) -> ReadLine {
    let shown = String::from_utf8_lossy(record.get(0).unwrap_or_default())
        .chars()
        .take(40)
        .collect::<String>();
    let refuse = |faults| ReadLine {
        line,
        code: shown.clone(),
        entry: Err(faults),
    };
    if record.len() != COLUMNS.len() {
        let (have, want) = (record.len(), COLUMNS.len());
        return refuse(vec![fault(
            "",
            format!("có {have} cột, phải có {want}"),
            format!("{have} columns instead of {want}"),
        )]);
    }
    let (Ok(raw), Ok(record)) = (
        std::str::from_utf8(raw),
        csv::StringRecord::from_byte_record(record.clone()),
    ) else {
        return refuse(vec![fault("", "không phải là văn bản UTF-8", "is not UTF-8 text")]);
    };
    if raw.chars().any(|letter| letter == '\0') {
        return refuse(vec![fault("", "có ký tự rỗng (NUL)", "holds a NUL character")]);
    }
    let mut faults = Vec::new();
    let column = |index: usize| record.get(index).unwrap_or_default().trim();
    let code: Option<ProcedureCode> = match column(0).parse() {
        Ok(code) => Some(code),
        Err(error) => {
            let error: egov_codes::CodeError = error;
            faults.push(fault("code", error.vi(), error.en()));
            None
        }
    };
    for (index, name) in [(1, "name"), (3, "sector_vi"), (5, "decision")] {
        if column(index).is_empty() {
            faults.push(fault(name, "không được để trống", "must not be blank"));
        }
    }
    if !is_slug(column(2)) {
        faults.push(fault(
            "sector",
            "mã lĩnh vực gồm chữ thường không dấu, chữ số và _",
            "a sector code has small letters, digits and _",
        ));
    }
    let levels = each(column(4), ',', level).unwrap_or_else(|unknown| {
        faults.push(fault(
            "level",
            format!("không có cấp “{unknown}”"),
            format!("there is no level “{unknown}”"),
        ));
        Vec::new()
    });
    if levels.is_empty() && !faults.iter().any(|known| known.column == "level") {
        faults.push(fault("level", "không được để trống", "must not be blank"));
    }
    let channels = if column(6).is_empty() {
        Ok(Vec::new())
    } else {
        each(column(6), '|', channel)
    };
    let channels = channels.unwrap_or_else(|unknown| {
        faults.push(fault(
            "channels",
            format!("không có kênh “{unknown}”"),
            format!("there is no channel “{unknown}”"),
        ));
        Vec::new()
    });
    let time_value = match column(7) {
        "" => None,
        text => match text.parse::<u32>() {
            Ok(value) if value > 0 => Some(value),
            _ => {
                faults.push(fault(
                    "time_value",
                    "phải là số nguyên dương hoặc để trống",
                    "is a positive whole number or blank",
                ));
                None
            }
        },
    };
    let time_unit = unit(column(8)).unwrap_or_else(|()| {
        faults.push(fault(
            "time_unit",
            "phải là working_day, day, working_hour, hour, same_day, unspecified hoặc để trống",
            "is working_day, day, working_hour, hour, same_day, unspecified or blank",
        ));
        None
    });
    let read = !faults.iter().any(|known| known.column.starts_with("time_"));
    if read && time_unit.is_some_and(|unit| (unit == TimeUnit::SameDay) == time_value.is_some()) {
        faults.push(fault(
            "time_unit",
            "đơn vị và số không đi với nhau",
            "unit and number do not belong together",
        ));
    }
    let fee_raw = column(9);
    let known = matches!(fee_raw, "" | "0_or_local");
    let digits = fee_raw.strip_prefix('?').unwrap_or(fee_raw);
    let number = digits
        .parse::<i64>()
        .ok()
        .filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    if !known && number.is_none() {
        faults.push(fault(
            "fee_vnd",
            "phải là số, ?số, 0_or_local hoặc để trống",
            "is a number, ?number, 0_or_local or blank",
        ));
    }
    let results = results(column(10), column(11));
    // The portal itself has codes of seven digits. A list with one is not taken: it is open, with what stands there.
    let results_raw = column(10).to_owned();
    let results = if results.iter().all(|(code, _)| is_result_code(code)) {
        results
    } else {
        Vec::new()
    };
    if results.iter().map(|(code, _)| code).collect::<BTreeSet<_>>().len() != results.len() {
        faults.push(fault(
            "result_codes",
            "có mã kết quả lặp lại",
            "a result code stands there twice",
        ));
    }
    let (Some(code), true) = (code, faults.is_empty()) else {
        return refuse(faults);
    };
    ReadLine {
        line,
        code: code.to_string(),
        entry: Ok(Entry {
            code,
            name: normal_name(column(1)),
            sector: Sector {
                code: column(2).to_owned(),
                name: normal_name(column(3)),
            },
            levels,
            decision: column(5).to_owned(),
            channels,
            time_value,
            time_unit,
            fee_raw: fee_raw.to_owned(),
            fee_vnd: number.filter(|_| !fee_raw.starts_with('?')),
            results,
            results_raw,
            raw: raw.trim_matches(['\r', '\n']).to_owned(),
            line,
        }),
    }
}

fn is_slug(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.len() <= 80
        && text
            .bytes()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_')
}

/// The parts of a list, each known and each once, or the first that is not.
fn each<T: Ord + Copy>(text: &str, separator: char, known: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let mut found = Vec::new();
    for part in text.split(separator).map(str::trim).filter(|part| !part.is_empty()) {
        let item = known(part)
            .filter(|item| !found.contains(item))
            .ok_or_else(|| part.to_owned())?;
        found.push(item);
    }
    found.sort_unstable();
    Ok(found)
}

fn level(text: &str) -> Option<Level> {
    match text {
        "Cấp xã" => Some(Level::Commune),
        "Cấp tỉnh" => Some(Level::Province),
        "Cấp bộ" => Some(Level::Ministry),
        "Cơ quan khác" => Some(Level::Other),
        _ => None,
    }
}

fn channel(text: &str) -> Option<Channel> {
    match text {
        "Trực tiếp" => Some(Channel::Counter),
        "Trực tuyến" => Some(Channel::Online),
        "Dịch vụ bưu chính" => Some(Channel::Post),
        _ => None,
    }
}

/// The unit, none where the crawl lost it; an error for a word that is none.
fn unit(text: &str) -> Result<Option<TimeUnit>, ()> {
    match text {
        "" | "unspecified" => Ok(None),
        "working_day" => Ok(Some(TimeUnit::WorkingDay)),
        "day" => Ok(Some(TimeUnit::Day)),
        "working_hour" => Ok(Some(TimeUnit::WorkingHour)),
        "hour" => Ok(Some(TimeUnit::Hour)),
        "same_day" => Ok(Some(TimeUnit::SameDay)),
        _ => Err(()),
    }
}

/// Codes with their names. The names stand in one text that was cut off at 200 characters: where they cannot be told
/// apart for sure, a code is its own name.
fn results(codes: &str, names: &str) -> Vec<(String, String)> {
    let codes: Vec<&str> = codes
        .split(';')
        .map(str::trim)
        .filter(|code| !code.is_empty())
        .collect();
    let whole = names.chars().count() < CUT_AT;
    if let ([code], false) = (codes.as_slice(), names.is_empty()) {
        return vec![((*code).to_owned(), normal_name(names))];
    }
    let parts: Vec<&str> = names
        .split(';')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let apart = whole && parts.len() == codes.len();
    codes
        .iter()
        .enumerate()
        .map(|(index, code)| {
            let name = parts.get(index).filter(|_| apart).unwrap_or(code);
            ((*code).to_owned(), normal_name(name))
        })
        .collect()
}

impl Entry {
    fn open(&self, source: &str, what: &str) -> Fact {
        Fact {
            status: FactStatus::Unconfirmed,
            source: format!("{source}, line {}: {what}", self.line),
            by: None,
            when: None,
            basis: None,
            demonstration: false,
        }
    }

    /// What a channel of this line offers: time and fee as far as the line has them.
    pub(super) fn offer(&self, source: &str, channel: Channel) -> ChannelOffer {
        let time = match (self.time_value, self.time_unit) {
            (None, None) => "no time".to_owned(),
            (Some(value), None) => format!("the number {value}, the unit is lost"),
            _ => "as it stands there".to_owned(),
        };
        let fee = match self.fee_raw.as_str() {
            "" => "no fee".to_owned(),
            "0_or_local" => "“0_or_local”: free of charge, or set by the provincial People's Council".to_owned(),
            raw if raw.starts_with('?') => format!("“{raw}”: perhaps thousands of đồng"),
            raw => format!("“{raw}”; whether phí or lệ phí is not said"),
        };
        ChannelOffer {
            channel,
            time: Time {
                value: self.time_value,
                unit: self.time_unit,
                cut_off: None,
                fact: self.open(source, &time),
            },
            special_times: Vec::new(),
            fees: vec![Fee {
                code: FEE.to_owned(),
                name: "Phí, lệ phí".to_owned(),
                kind: None,
                amount_vnd: self.fee_vnd,
                per: None,
                when: None,
                exemptions: Vec::new(),
                fact: self.open(source, &fee),
            }],
        }
    }

    /// The line as the first version of its procedure.
    pub fn procedure(&self, manifest: &Manifest) -> Procedure {
        let source = manifest.source.as_str();
        let said = match (self.results.is_empty(), self.results_raw.as_str()) {
            (false, _) => "as they stand there".to_owned(),
            (true, "") => "no results".to_owned(),
            (true, raw) => format!("“{raw}”: not every one is a result code"),
        };
        let results = self.open(source, &said);
        let not_there = "not in the catalogue";
        Procedure {
            code: self.code.clone(),
            name: self.name.clone(),
            version: 1,
            sector: self.sector.clone(),
            decision: self.decision.clone(),
            levels: self.levels.clone(),
            agency: None,
            applicants: Vec::new(),
            effective_from: manifest.crawled,
            effective_to: None,
            transitions: manifest.transitions.clone(),
            fact: self.open(source, "as it stands there"),
            effective_fact: self.open(
                source,
                &format!(
                    "it stood on the portal by {}; from which day {} applies has not been read",
                    manifest.crawled, self.decision
                ),
            ),
            legal_basis: Vec::new(),
            conditions: Vec::new(),
            channels: self
                .channels
                .iter()
                .map(|channel| self.offer(source, *channel))
                .collect(),
            components: Vec::new(),
            steps: manifest.steps.clone(),
            results: self
                .results
                .iter()
                .map(|(code, name)| ResultKind {
                    code: code.clone(),
                    name: name.clone(),
                    fact: results.clone(),
                })
                .collect(),
            eligibility: Vec::new(),
            fee_rows: Vec::new(),
            forms: Vec::new(),
            catalogue: Some(Box::new(Catalogued {
                raw: self.raw.clone(),
                line: self.line,
                channels: self.open(
                    source,
                    if self.channels.is_empty() {
                        "no channels"
                    } else {
                        "as they stand there"
                    },
                ),
                applicants: self.open(source, not_there),
                legal_basis: self.open(source, not_there),
                components: self.open(source, not_there),
                steps: self.open(source, "not in the catalogue; the proposed process of every procedure"),
                results,
            })),
        }
    }

    /// What of this line differs from the one from which a version was made, by column; empty if nothing does.
    pub fn changed_since(&self, before: &Catalogued) -> Vec<&'static str> {
        let read = |raw: &str| {
            let mut fields = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .from_reader(raw.as_bytes());
            fields.records().next().and_then(Result::ok).unwrap_or_default()
        };
        let (old, new) = (read(&before.raw), read(&self.raw));
        let columns = COLUMNS.iter().enumerate();
        columns
            .filter(|(index, _)| old.get(*index) != new.get(*index))
            .map(|(_, column)| *column)
            .collect()
    }

    /// The version that follows `before` because the line changed: what changed is open again, as the new line has it,
    /// and everything else stays as it was decided.
    pub fn renew(&self, before: &Procedure, changed: &[&str], manifest: &Manifest) -> Procedure {
        let fresh = self.procedure(manifest);
        let mut renewed = before.clone();
        let any = |columns: &[&str]| changed.iter().any(|column| columns.contains(column));
        if any(&["name", "sector", "sector_vi", "level", "decision"]) {
            renewed.name = fresh.name;
            renewed.sector = fresh.sector;
            renewed.levels = fresh.levels;
            renewed.decision = fresh.decision;
            renewed.fact = fresh.fact;
        }
        let (Some(kept), Some(new)) = (renewed.catalogue.as_mut(), fresh.catalogue) else {
            return renewed;
        };
        kept.raw = new.raw;
        kept.line = new.line;
        if any(&["channels"]) {
            renewed.channels = fresh.channels;
            kept.channels = new.channels;
        } else {
            for offer in &mut renewed.channels {
                let line = self.offer(&manifest.source, offer.channel);
                if any(&["time_value", "time_unit"]) {
                    offer.time = line.time;
                }
                if any(&["fee_vnd"]) {
                    offer.fees = line.fees;
                }
            }
        }
        if any(&["result_codes", "result_names"]) {
            renewed.results = fresh.results;
            kept.results = new.results;
        }
        renewed
    }

    /// What this line says otherwise than a hand-checked pack, in words. The pack stands.
    pub fn differences(&self, pack: &Procedure) -> Vec<String> {
        let mut found = Vec::new();
        let mut differ = |what: &str, here: String, there: String| {
            if here != there {
                found.push(format!("{what}: catalogue “{here}”, pack “{there}”"));
            }
        };
        differ("name", self.name.clone(), normal_name(&pack.name));
        differ("sector", self.sector.code.clone(), pack.sector.code.clone());
        differ("decision", self.decision.clone(), pack.decision.clone());
        let levels = |levels: &[Level]| {
            let mut names: Vec<&str> = levels.iter().map(|level| level.as_str()).collect();
            names.sort_unstable();
            names.join(", ")
        };
        differ("level", levels(&self.levels), levels(&pack.levels));
        let names = |channels: Vec<Channel>| {
            let mut names: Vec<&str> = channels.iter().map(|channel| channel.as_str()).collect();
            names.sort_unstable();
            names.join(", ")
        };
        differ(
            "channels",
            names(self.channels.clone()),
            names(pack.channels.iter().map(|offer| offer.channel).collect()),
        );
        let codes = |codes: Vec<&String>| {
            let mut codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
            codes.sort_unstable();
            codes.join(", ")
        };
        differ(
            "results",
            codes(self.results.iter().map(|(code, _)| code).collect()),
            codes(pack.results.iter().map(|result| &result.code).collect()),
        );
        for offer in &pack.channels {
            let (time, channel) = (&offer.time, offer.channel.as_str());
            if self.time_unit.is_some() && (time.value, time.unit) != (self.time_value, self.time_unit) {
                let written = |value: Option<u32>, unit: Option<TimeUnit>| {
                    format!(
                        "{} {}",
                        value.map_or_else(|| "–".to_owned(), |value| value.to_string()),
                        unit.map_or("–", TimeUnit::as_str)
                    )
                };
                differ(
                    &format!("time ({channel})"),
                    written(self.time_value, self.time_unit),
                    written(time.value, time.unit),
                );
            }
            if let Some(amount) = self.fee_vnd
                && !offer.fees.iter().any(|fee| fee.amount_vnd == Some(amount))
            {
                let amounts: Vec<String> = offer
                    .fees
                    .iter()
                    .filter_map(|fee| fee.amount_vnd)
                    .map(|vnd| vnd.to_string())
                    .collect();
                differ(&format!("fee ({channel})"), amount.to_string(), amounts.join(", "));
            }
        }
        found
    }
}

impl Catalogued {
    /// The entry from which this version was made; it was read once already.
    pub fn entry(&self) -> Option<Entry> {
        let text = format!("{}\n{}\n", COLUMNS.join(","), self.raw);
        let mut entry = read_lines(text.as_bytes()).ok()?.pop()?.entry.ok()?;
        entry.line = self.line;
        Some(entry)
    }
}
