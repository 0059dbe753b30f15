//! A case of one-stop, as `GetCase` answers it, as the portal wants it: an item of `DongBoHoSoMC` for the first generation of its
//! contract, a dossier with its state for the second.

use egov_proto::egov::onestop::v1::{
    ApplicantKind, Case, CaseParticulars, CaseResult, CaseState, Channel, CodedName, HistoryEntry, Party,
    ResultStanding,
};
use egov_proto::instant;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::code_tables::{CodeTables, Translator, Unmapped};
use crate::portal::{CaseItem, DocumentItem, FeeItem, PaperItem, ProgressItem, ResultItem, SupplementRound, ToldCase};
use crate::portal_rest::{Dossier, DossierComponent, Submitter};
use crate::wire_time::WireTime;

/// Whose codes a case has.
pub const PROVINCE: &str = "province";
/// Whose codes an item has.
pub const PORTAL: &str = "national-portal";

/// What the portal wants and a case does not carry. What is not known stays empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// What the unit's own software says; it counts more than what one-stop knows.
    pub said: SaidNames,
    /// What one-stop knows.
    pub known: CaseParticulars,
}

/// Names that a unit's own software says with a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SaidNames {
    /// Mã lĩnh vực of the procedure.
    pub field_code: String,
    /// Tên lĩnh vực of the procedure.
    pub field_name: String,
    /// Tên đơn vị xử lý.
    pub handling_unit: String,
}

impl SaidNames {
    /// The same, where nothing was said with what was said before.
    #[must_use]
    pub fn or(self, before: Self) -> Self {
        let first = |now: String, before: String| if now.is_empty() { before } else { now };
        Self {
            field_code: first(self.field_code, before.field_code),
            field_name: first(self.field_name, before.field_name),
            handling_unit: first(self.handling_unit, before.handling_unit),
        }
    }

    /// Those of an item.
    pub fn of(item: &CaseItem) -> Self {
        Self {
            field_code: item.field_code.clone(),
            field_name: item.field_name.clone(),
            handling_unit: item.handling_unit.clone(),
        }
    }

    /// Puts what was said into an item.
    pub fn put(&self, item: &mut CaseItem) {
        for (said, field) in [
            (&self.field_code, &mut item.field_code),
            (&self.field_name, &mut item.field_name),
            (&self.handling_unit, &mut item.handling_unit),
        ] {
            if !said.is_empty() {
                field.clone_from(said);
            }
        }
    }
}

/// An item and what had to be left out of it.
#[derive(Debug, PartialEq, Eq)]
pub struct MappedCase {
    /// The item.
    pub item: CaseItem,
    /// Codes that no table knows: their fields are empty.
    pub unmapped: Vec<Unmapped>,
}

/// A case as it is told, and what had to be left out of it.
#[derive(Debug, PartialEq, Eq)]
pub struct MappedToldCase {
    /// The case.
    pub told: ToldCase,
    /// The same without its surroundings: of one version of a case it is always the same.
    pub bare: (CaseItem, Dossier),
    /// What the unit's own software said with it.
    pub said: SaidNames,
    /// The steps of the case, in their order, each with the version that it made.
    pub steps: Vec<(i64, ProgressItem)>,
    /// Codes that no table knows: their fields are empty.
    pub unmapped: Vec<Unmapped>,
}

/// Why a case cannot be told to the portal at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMappable {
    /// A field without which an item says nothing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A code without which an item would say something wrong.
    #[error("{} is not in the table {} from {} to {}", .0.value, .0.table, .0.from, .0.to)]
    Unmapped(Unmapped),
}

/// A case as the portal is told of it at the instant `at`, in what both generations of its contract need.
pub fn told_case(
    case: &Case,
    around: &Surroundings,
    tables: &CodeTables,
    day: Date,
    at: Timestamp,
) -> Result<MappedToldCase, NotMappable> {
    let MappedCase { item, mut unmapped } = case_item(case, around, tables, day)?;
    let mut translator = tables.translator(day);
    let filed = dossier(case, &item, &around.known, &mut translator);
    unmapped.extend(translator.into_unmapped());
    // What it could not translate was reported above.
    let nothing = Surroundings::default();
    let bare_item = case_item(case, &nothing, tables, day)?.item;
    let bare_dossier = dossier(case, &bare_item, &nothing.known, &mut tables.translator(day));
    Ok(MappedToldCase {
        steps: steps(case, &item, around, &mut tables.translator(day)),
        told: ToldCase {
            item,
            dossier: filed,
            told_time: WireTime::of(at),
        },
        bare: (bare_item, bare_dossier),
        said: around.said.clone(),
        unmapped,
    })
}

/// The name of something that a case says by code.
fn name_of<'a>(names: &'a [CodedName], code: &str) -> Option<&'a str> {
    let named = names.iter().find(|one| one.code == code && !one.name.is_empty());
    named.map(|one| one.name.as_str())
}

/// Trạng thái by its national name (mã trạng thái đồng bộ).
fn state_name(state: CaseState) -> &'static str {
    match state {
        CaseState::Unspecified => "",
        CaseState::Registered => "Mới đăng ký",
        CaseState::Accepted => "Được tiếp nhận",
        CaseState::Rejected => "Không được tiếp nhận",
        CaseState::Processing => "Đang xử lý",
        CaseState::SupplementRequested => "Yêu cầu bổ sung giấy tờ",
        CaseState::PaymentRequested => "Yêu cầu thực hiện nghĩa vụ tài chính",
        CaseState::Withdrawn => "Công dân yêu cầu rút hồ sơ",
        CaseState::Stopped => "Dừng xử lý",
        CaseState::Completed => "Đã xử lý xong",
        CaseState::Returned => "Đã trả kết quả",
    }
}

/// Whether nothing is processed in a state any more.
const fn is_over(state: CaseState) -> bool {
    matches!(
        state,
        CaseState::Rejected | CaseState::Withdrawn | CaseState::Stopped | CaseState::Completed | CaseState::Returned
    )
}

/// Ngày kết thúc xử lý: when the case came to where nothing is processed any more, if it is there. Handing the result over comes after it.
fn finish_time(case: &Case, history: &[HistoryEntry]) -> Option<WireTime> {
    let ended = |entry: &&HistoryEntry| is_over(entry.to_state()) && !is_over(entry.from_state());
    let last = history.iter().rev().find(ended).filter(|_| is_over(case.state()))?;
    last.record_time.as_ref().and_then(wire_time)
}

/// The steps of a case (tiến độ xử lý), as its history has them: what officials did. Of the official nothing is told but the unit: one-stop
/// names accounts, and no titles. A step whose state no table knows is left out.
fn steps(
    case: &Case,
    item: &CaseItem,
    around: &Surroundings,
    translator: &mut Translator<'_>,
) -> Vec<(i64, ProgressItem)> {
    let history = &around.known.history;
    let mut steps = Vec::new();
    let (mut before, mut step_before) = (None, "");
    for entry in history.iter().filter(|entry| entry.version <= case.version) {
        let step = std::mem::replace(&mut step_before, entry.step.as_str());
        if entry.from_state == entry.to_state && entry.step == step {
            continue;
        }
        let at = entry.record_time.as_ref().and_then(wire_time);
        let start_time = std::mem::replace(&mut before, at);
        let Some(at) = at.filter(|_| entry.actor_kind == "staff") else {
            continue;
        };
        let state_code = entry.to_state.to_string();
        let Some(state) = translator.translate("case-state", PROVINCE, PORTAL, &state_code, "TrangThai") else {
            continue;
        };
        let content = name_of(&around.known.steps, &entry.step).unwrap_or_else(|| state_name(entry.to_state()));
        steps.push((
            entry.version,
            ProgressItem {
                case_code: case.case_code.clone(),
                officer: String::new(),
                title: String::new(),
                at,
                department: item.handling_unit.clone(),
                content: content.to_owned(),
                state,
                start_time,
                due_time: item.due_time,
            },
        ));
    }
    steps
}

/// How a case was filed. Administrative codes of addresses are not in a case: they stay empty, and so do its files until they are handed over.
fn dossier(case: &Case, item: &CaseItem, known: &CaseParticulars, translator: &mut Translator<'_>) -> Dossier {
    let components = case
        .components
        .iter()
        .enumerate()
        .map(|(place, component)| {
            let on_paper = component.originals.saturating_add(component.copies);
            let kind = match (component.originals > 0, component.copies > 0) {
                (true, _) => "original",
                (false, true) => "copy",
                (false, false) => "electronic",
            };
            let path = format!("ThanhPhanHoSo[{place}].LoaiBan");
            DossierComponent {
                code: component.component_code.clone(),
                name: name_of(&known.components, &component.component_code)
                    .unwrap_or_default()
                    .to_owned(),
                quantity: on_paper.max(i32::try_from(component.file_ids.len()).unwrap_or(i32::MAX)),
                copy_kind: translator
                    .translate("copy-kind", PROVINCE, PORTAL, kind, &path)
                    .unwrap_or_default(),
                files: Vec::new(),
            }
        })
        .collect();
    let owner = case.owner.as_ref();
    let submitter = case.submitter.as_ref().or(owner).cloned().unwrap_or_default();
    Dossier {
        case_code: item.case_code.clone(),
        procedure_code: item.procedure_code.clone(),
        service_code: String::new(),
        owner_name: item.owner_name.clone(),
        owner_kind: item.owner_kind.clone(),
        receiving_agency: agency_of(&case.case_code).to_owned(),
        submit_time: case.submit_time.as_ref().and_then(wire_time),
        accept_time: item.accept_time,
        components,
        submitter: Submitter {
            number: number_of(&submitter).to_owned(),
            name: submitter.full_name,
            phone: submitter.phone,
            email: submitter.email,
            address: submitter.address,
            province_code: String::new(),
            commune_code: String::new(),
            owner_name: item.owner_name.clone(),
            owner_number: item.owner_number.clone(),
        },
    }
}

/// The agency's part of a case code (mã hồ sơ), without judging it.
fn agency_of(case_code: &str) -> &str {
    case_code.split_once('-').map_or(case_code, |(agency, _)| agency)
}

fn number_of(party: &Party) -> &str {
    if party.kind() == ApplicantKind::Organisation {
        &party.organisation_number
    } else {
        &party.personal_number
    }
}

/// The name of a component, or its code where the name is not known.
fn component_name(known: &CaseParticulars, code: &str) -> String {
    name_of(&known.components, code).unwrap_or(code).to_owned()
}

/// The fees of which the amount is established: name, kind and what is due. One-stop knows what is due by number and after miễn, giảm; without
/// it what the case says is due once. Of an amount that nobody established nothing is told: 0 would say that nothing is due.
fn due_fees<'a>(case: &'a Case, known: &'a CaseParticulars) -> Vec<(&'a str, &'a str, i64)> {
    if known.fees.is_empty() {
        let fees = case.fees.iter();
        fees.filter_map(|fee| Some((fee.name.as_str(), fee.kind.as_str(), fee.amount.as_ref()?.units)))
            .collect()
    } else {
        let fees = known.fees.iter();
        fees.filter_map(|fee| Some((fee.name.as_str(), fee.kind.as_str(), fee.due.as_ref()?.units)))
            .collect()
    }
}

/// The rounds in which a supplement was asked for: a case has when each began and ended, and what the one that is open asks for.
fn supplements(case: &Case, known: &CaseParticulars, translator: &mut Translator<'_>) -> Vec<SupplementRound> {
    case.pauses
        .iter()
        .filter(|pause| pause.state() == CaseState::SupplementRequested)
        .enumerate()
        .map(|(place, pause)| {
            let open = pause.end_time.is_none();
            let asked: &[_] = if open { &case.supplement_items } else { &[] };
            let instructions: Vec<&str> = asked.iter().map(|item| item.instruction.as_str()).collect();
            let path = format!("DanhSachHoSoBoSung[{place}].TrangThaiBoSung");
            SupplementRound {
                round_id: format!("{}#{}", case.case_code, place + 1),
                content: instructions.join("\n"),
                ask_time: pause.start_time.as_ref().and_then(wire_time),
                receive_time: pause.end_time.as_ref().and_then(wire_time),
                state: translator
                    .translate(
                        "supplement-state",
                        PROVINCE,
                        PORTAL,
                        if open { "awaited" } else { "ended" },
                        &path,
                    )
                    .unwrap_or_default(),
                papers: asked
                    .iter()
                    .filter(|item| !item.component_code.is_empty())
                    .map(|item| PaperItem {
                        name: component_name(known, &item.component_code),
                        quantity: 1,
                        kind: String::new(),
                    })
                    .collect(),
                ..SupplementRound::default()
            }
        })
        .collect()
}

/// The results that the portal is told: as they stand now, a corrected one as its newest version says. One that was revoked (thu hồi) is
/// left out: the portal's contract has no word for it, and told once more it would look as if it stood.
fn standing_results(case: &Case) -> impl Iterator<Item = &CaseResult> {
    let results = case.results.iter();
    results.filter(|result| result.standing() != ResultStanding::Revoked)
}

/// The item of a case, by the tables in force on `day`.
///
/// Without case code, procedure code, owner, state and kind of owner there is no item; other codes that the tables do not
/// know are left out and reported.
pub fn case_item(
    case: &Case,
    around: &Surroundings,
    tables: &CodeTables,
    day: Date,
) -> Result<MappedCase, NotMappable> {
    if case.case_code.is_empty() {
        return Err(NotMappable::Missing("case_code"));
    }
    if case.procedure_code.is_empty() {
        return Err(NotMappable::Missing("procedure_code"));
    }
    let owner = case.owner.as_ref().ok_or(NotMappable::Missing("owner"))?;
    let state = CaseState::try_from(case.state)
        .ok()
        .filter(|state| *state != CaseState::Unspecified)
        .ok_or(NotMappable::Missing("state"))?;
    let (kind, owner_number) = match owner.kind() {
        ApplicantKind::Citizen => ("citizen", &owner.personal_number),
        ApplicantKind::Organisation => ("organisation", &owner.organisation_number),
        ApplicantKind::Unspecified => return Err(NotMappable::Missing("owner.kind")),
    };
    let mut translator = tables.translator(day);
    let state_code = i32::from(state).to_string();
    let state = required(&mut translator, "case-state", &state_code, "TrangThaiHoSo")?;
    let owner_kind = required(&mut translator, "object-kind", kind, "LoaiDoiTuong")?;
    let return_channel = case
        .r#return
        .as_ref()
        .and_then(|given| channel_word(given.channel()))
        .and_then(|word| translator.translate("return-channel", PROVINCE, PORTAL, word, "HinhThuc"));
    let known = &around.known;
    let fees = due_fees(case, known)
        .into_iter()
        .enumerate()
        .map(|(place, (name, kind, amount))| FeeItem {
            name: name.to_owned(),
            code: String::new(),
            collection: String::new(),
            amount,
            kind: translator
                .translate(
                    "fee-kind",
                    PROVINCE,
                    PORTAL,
                    kind,
                    &format!("DanhSachLePhi[{place}].LoaiPhiLePhi"),
                )
                .unwrap_or_default(),
        })
        .collect();
    let results = standing_results(case)
        .enumerate()
        .map(|(place, result)| ResultItem {
            name: result_name(result, known),
            result_code: translator
                .translate(
                    "result-kind",
                    PROVINCE,
                    PORTAL,
                    &result.result_code,
                    &format!("DanhSachGiayToKetQua[{place}].MaThanhPhanHoSo"),
                )
                .unwrap_or_default(),
            paper_id: result.file_id.clone(),
            address: String::new(),
        })
        .collect();
    let documents = case
        .components
        .iter()
        .flat_map(|component| {
            component.file_ids.iter().map(|file_id| DocumentItem {
                attachment_id: file_id.clone(),
                file_name: known
                    .files
                    .iter()
                    .find(|file| file.file_id == *file_id)
                    .map_or_else(String::new, |file| file.name.clone()),
                deleted: false,
                component_code: component.component_code.clone(),
                address: String::new(),
            })
        })
        .collect();
    let papers = case
        .components
        .iter()
        .filter(|component| component.originals.saturating_add(component.copies) > 0)
        .map(|component| PaperItem {
            name: component_name(known, &component.component_code),
            quantity: component.originals.saturating_add(component.copies),
            kind: String::new(),
        })
        .collect();
    let deadline = case.deadline.as_ref();
    // The province's codes of fields are its own: what no table translates stays empty.
    let field_code = match known.sector_code.as_str() {
        "" => None,
        code => translator.translate("field", PROVINCE, PORTAL, code, "MaLinhVuc"),
    };
    let mut item = CaseItem {
        case_code: case.case_code.clone(),
        procedure_code: case.procedure_code.clone(),
        procedure_name: case.procedure_name.clone(),
        field_code: field_code.unwrap_or_default(),
        field_name: known.sector_name.clone(),
        receipt_number: String::new(),
        owner_name: owner.full_name.clone(),
        owner_kind,
        owner_number: owner_number.clone(),
        other: String::new(),
        email: owner.email.clone(),
        fax: String::new(),
        phone: owner.phone.clone(),
        // What the applicant said of it; where nothing was said, what it is.
        abstract_text: if case.subject.trim().is_empty() {
            case.procedure_name.clone()
        } else {
            case.subject.clone()
        },
        accept_time: case.accept_time.as_ref().and_then(wire_time),
        due_time: deadline
            .and_then(|deadline| deadline.due_time.as_ref())
            .and_then(wire_time),
        state,
        return_time: case
            .r#return
            .as_ref()
            .and_then(|given| given.return_time.as_ref())
            .and_then(wire_time),
        return_note: String::new(),
        return_channel,
        finish_time: finish_time(case, &known.history),
        handling_unit: known.responsible_unit_name.clone(),
        note: String::new(),
        documents,
        fees,
        papers,
        supplements: supplements(case, known, &mut translator),
        results,
    };
    around.said.put(&mut item);
    Ok(MappedCase {
        item,
        unmapped: translator.into_unmapped(),
    })
}

/// Tên giấy tờ of a result: as the case knows the document, or as the version of the procedure names it. Its number is no name.
fn result_name(result: &CaseResult, known: &CaseParticulars) -> String {
    let title = result.document.as_ref().map(|document| document.title.as_str());
    title
        .filter(|title| !title.is_empty())
        .or_else(|| name_of(&known.results, &result.result_code))
        .unwrap_or_default()
        .to_owned()
}

fn required(
    translator: &mut Translator<'_>,
    table: &str,
    value: &str,
    path: &'static str,
) -> Result<String, NotMappable> {
    let translated = translator.translate(table, PROVINCE, PORTAL, value, path);
    // What is not translated is reported by the translator, with the version of the table that does not know it.
    translated.ok_or_else(|| match translator.last_unmapped() {
        Some(unmapped) => NotMappable::Unmapped(unmapped.clone()),
        None => NotMappable::Missing(path),
    })
}

fn channel_word(channel: Channel) -> Option<&'static str> {
    match channel {
        Channel::Unspecified => None,
        Channel::Counter => Some("counter"),
        Channel::Online => Some("online"),
        Channel::Post => Some("post"),
    }
}

fn wire_time(at: &prost_types::Timestamp) -> Option<WireTime> {
    instant(at).map(WireTime::of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal_rest::StateItem;
    use egov_proto::egov::onestop::v1::{
        CaseComponent, CaseFee, CaseReturn, Deadline, DueFee, NamedFile, Pause, SupplementItem,
    };
    use egov_proto::google::r#type::Money;
    use jiff::civil::date;
    use proptest::prelude::*;
    use std::path::Path;

    fn tables() -> CodeTables {
        CodeTables::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/code-tables")).unwrap()
    }

    fn case() -> Case {
        Case {
            case_code: "H41.50.05.13-261126-0001".to_owned(),
            procedure_code: "1.001193".to_owned(),
            procedure_name: "Đăng ký khai sinh".to_owned(),
            state: CaseState::Returned.into(),
            owner: Some(Party {
                kind: ApplicantKind::Citizen.into(),
                full_name: "Nguyễn Văn An".to_owned(),
                personal_number: "040099000001".to_owned(),
                ..Party::default()
            }),
            accept_time: Some(egov_proto::timestamp("2026-11-26T01:00:00Z".parse().unwrap())),
            results: vec![CaseResult {
                result_code: "KQ.G15.000031".to_owned(),
                ..CaseResult::default()
            }],
            r#return: Some(CaseReturn {
                channel: Channel::Post.into(),
                ..CaseReturn::default()
            }),
            ..Case::default()
        }
    }

    fn map(case: &Case) -> Result<MappedCase, NotMappable> {
        case_item(case, &Surroundings::default(), &tables(), date(2026, 11, 26))
    }

    #[test]
    fn a_case_becomes_an_item_with_the_portals_names_codes_and_times() {
        let mapped = map(&case()).unwrap();
        let item = serde_json::to_value(&mapped.item).unwrap();
        assert_eq!(item["TrangThaiHoSo"], "10");
        assert_eq!(
            (&item["LoaiDoiTuong"], &item["MaDoiTuong"]),
            (&"1".into(), &"040099000001".into())
        );
        assert_eq!(item["NgayTiepNhan"], "20261126080000");
        assert_eq!(item["HinhThuc"], "1");
        assert_eq!(item["DanhSachGiayToKetQua"][0]["MaThanhPhanHoSo"], "KQ.G15.000031");
        assert_eq!(item["TrichYeuHoSo"], "Đăng ký khai sinh", "nothing was said of it");
        let said = Case {
            subject: "Khai sinh cho con đầu".to_owned(),
            ..case()
        };
        assert_eq!(map(&said).unwrap().item.abstract_text, "Khai sinh cho con đầu");
        assert_eq!(mapped.unmapped, []);
    }

    #[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
    fn at(text: &str) -> Option<prost_types::Timestamp> {
        Some(egov_proto::timestamp(text.parse().unwrap()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
    fn vnd(units: i64) -> Option<Money> {
        Some(Money::vnd(units))
    }

    fn coded(names: &[(&str, &str)]) -> Vec<CodedName> {
        let named = names.iter().map(|(code, name)| CodedName {
            code: (*code).to_owned(),
            name: (*name).to_owned(),
        });
        named.collect()
    }

    /// A case from its filing to the hand-over of its result, as one-stop shows it.
    fn whole_case() -> Case {
        Case {
            case_code: "H41.50.05.13-261123-0001".to_owned(),
            subject: "Khai sinh cho con đầu".to_owned(),
            owner: Some(Party {
                email: "an@example.vn".to_owned(),
                phone: "84912345678".to_owned(),
                ..case().owner.unwrap()
            }),
            submitter: Some(Party {
                kind: ApplicantKind::Citizen.into(),
                full_name: "Lê Thị Cúc".to_owned(),
                personal_number: "040199000002".to_owned(),
                ..Party::default()
            }),
            submit_time: at("2026-11-22T13:00:00Z"),
            accept_time: at("2026-11-23T01:00:00Z"),
            deadline: Some(Deadline {
                due_time: at("2026-11-26T10:00:00Z"),
                ..Deadline::default()
            }),
            components: vec![
                CaseComponent {
                    component_code: "to-khai".to_owned(),
                    file_ids: vec!["f-1".to_owned()],
                    ..CaseComponent::default()
                },
                CaseComponent {
                    component_code: "giay-chung-sinh".to_owned(),
                    originals: 1,
                    ..CaseComponent::default()
                },
            ],
            fees: vec![
                CaseFee {
                    name: "Lệ phí bản sao".to_owned(),
                    kind: "le_phi".to_owned(),
                    amount: vnd(8_000),
                    ..CaseFee::default()
                },
                CaseFee {
                    name: "Phí xác minh".to_owned(),
                    kind: "phi".to_owned(),
                    ..CaseFee::default()
                },
            ],
            results: vec![CaseResult {
                result_code: "KQ.G15.000031".to_owned(),
                number: "01/2026".to_owned(),
                file_id: "f-2".to_owned(),
                ..CaseResult::default()
            }],
            r#return: Some(CaseReturn {
                channel: Channel::Post.into(),
                return_time: at("2026-11-25T02:30:00Z"),
                ..CaseReturn::default()
            }),
            version: 7,
            ..case()
        }
    }

    /// What one-stop knows of that case.
    fn known() -> CaseParticulars {
        let entry = |version: i64, from: CaseState, to: CaseState, step: &str, time: &str| HistoryEntry {
            version,
            from_state: from.into(),
            to_state: to.into(),
            step: step.to_owned(),
            actor_kind: if version == 1 { "citizen" } else { "staff" }.to_owned(),
            reason: "lý do nội bộ".to_owned(),
            record_time: at(time),
            ..HistoryEntry::default()
        };
        use CaseState::{Accepted, Completed, Processing, Registered, Returned, Unspecified};
        CaseParticulars {
            sector_code: "ho_tich".to_owned(),
            sector_name: "Hộ tịch".to_owned(),
            responsible_unit_name: "Phường Trường Vinh".to_owned(),
            components: coded(&[
                ("to-khai", "Tờ khai đăng ký khai sinh"),
                ("giay-chung-sinh", "Giấy chứng sinh"),
            ]),
            results: coded(&[("KQ.G15.000031", "Giấy khai sinh")]),
            steps: coded(&[("tham_dinh", "Thẩm định hồ sơ")]),
            files: vec![NamedFile {
                file_id: "f-1".to_owned(),
                name: "to-khai.pdf".to_owned(),
            }],
            fees: vec![
                DueFee {
                    name: "Lệ phí bản sao".to_owned(),
                    kind: "le_phi".to_owned(),
                    due: vnd(16_000),
                },
                DueFee {
                    name: "Phí xác minh".to_owned(),
                    kind: "phi".to_owned(),
                    due: None,
                },
            ],
            history: vec![
                entry(1, Unspecified, Registered, "", "2026-11-22T13:00:00Z"),
                entry(2, Registered, Accepted, "", "2026-11-23T01:00:00Z"),
                entry(3, Accepted, Processing, "", "2026-11-23T01:30:00Z"),
                entry(4, Processing, Processing, "tham_dinh", "2026-11-24T02:00:00Z"),
                entry(5, Processing, Processing, "tham_dinh", "2026-11-24T03:00:00Z"),
                entry(6, Processing, Completed, "", "2026-11-24T09:00:00Z"),
                entry(7, Completed, Returned, "", "2026-11-25T02:30:00Z"),
                // It came between the two readings.
                entry(8, Returned, Returned, "sau_do", "2026-11-25T03:00:00Z"),
            ],
            history_page_token: String::new(),
        }
    }

    /// Each generation against messages that were written down by hand from the fields of its contract.
    #[test]
    fn the_messages_of_each_generation_are_those_that_its_contract_says() {
        let around = Surroundings {
            known: known(),
            ..Surroundings::default()
        };
        let told_at = "2026-11-26T02:00:00Z".parse().unwrap();
        let mapped = told_case(&whole_case(), &around, &tables(), date(2026, 11, 26), told_at).unwrap();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let written = |value: serde_json::Result<serde_json::Value>| value.unwrap();
        assert_eq!(
            written(serde_json::to_value(&mapped.told.item)),
            read(include_str!("../fixtures/opencps-case.json"))
        );
        let steps: Vec<&ProgressItem> = mapped.steps.iter().map(|(_, item)| item).collect();
        assert_eq!(
            written(serde_json::to_value(&steps)),
            read(include_str!("../fixtures/progress.json"))
        );
        assert_eq!(
            mapped.steps.iter().map(|(version, _)| *version).collect::<Vec<_>>(),
            [2, 3, 4, 6, 7]
        );
        assert_eq!(
            written(serde_json::to_value(&mapped.told.dossier)),
            read(include_str!("../fixtures/rest-dossier.json"))
        );
        assert_eq!(
            written(serde_json::to_value(StateItem::of(&mapped.told))),
            read(include_str!("../fixtures/rest-state.json"))
        );
        let reported: Vec<(&str, &str)> = mapped
            .unmapped
            .iter()
            .map(|one| (one.table.as_str(), one.value.as_str()))
            .collect();
        assert_eq!(
            reported,
            [("fee-kind", "le_phi"), ("field", "ho_tich")],
            "what no table knows stays empty"
        );
    }

    #[test]
    fn only_amounts_that_are_established_are_told_as_they_are_due() {
        let prices = |known: CaseParticulars| {
            let around = Surroundings {
                known,
                ..Surroundings::default()
            };
            let mapped = case_item(&whole_case(), &around, &tables(), date(2026, 11, 26)).unwrap();
            mapped.item.fees.iter().map(|fee| fee.amount).collect::<Vec<_>>()
        };
        assert_eq!(
            prices(CaseParticulars::default()),
            [8_000],
            "what nobody established is not 0"
        );
        assert_eq!(prices(known()), [16_000]);
        let mut waived = known();
        waived.fees[0].due = vnd(0);
        assert_eq!(prices(waived), [0], "waived is established");
    }

    #[test]
    fn what_the_units_own_software_says_counts_more_than_what_one_stop_knows() {
        let said = SaidNames {
            handling_unit: "Phòng Tư pháp".to_owned(),
            ..SaidNames::default()
        };
        let before = SaidNames {
            field_code: "G15-HT01".to_owned(),
            handling_unit: "Bộ phận một cửa".to_owned(),
            ..SaidNames::default()
        };
        let around = Surroundings {
            said: said.or(before),
            known: known(),
        };
        let now = "2026-11-26T02:00:00Z".parse().unwrap();
        let mapped = told_case(&whole_case(), &around, &tables(), date(2026, 11, 26), now).unwrap();
        let item = &mapped.told.item;
        assert_eq!(
            [&item.field_code, &item.field_name, &item.handling_unit],
            ["G15-HT01", "Hộ tịch", "Phòng Tư pháp"]
        );
        let bare = told_case(
            &whole_case(),
            &Surroundings::default(),
            &tables(),
            date(2026, 11, 26),
            now,
        )
        .unwrap();
        assert_eq!(mapped.bare, bare.bare, "the content of a case is its own");
    }

    #[test]
    fn a_case_that_goes_on_has_no_end_of_its_processing() {
        let finished = |state: CaseState| {
            let case = Case {
                state: state.into(),
                ..whole_case()
            };
            finish_time(&case, &known().history).map(WireTime::text)
        };
        assert_eq!(finished(CaseState::Returned).as_deref(), Some("20261124160000"));
        assert_eq!(finished(CaseState::Processing), None);
        assert_eq!(finish_time(&whole_case(), &[]), None);
    }

    #[test]
    fn a_code_that_the_portal_has_no_word_for_is_left_out_and_reported() {
        let mut case = case();
        case.r#return.as_mut().unwrap().channel = Channel::Online.into();
        case.results[0].result_code = "KQ.X99.000001".to_owned();
        let mapped = map(&case).unwrap();
        assert_eq!(mapped.item.return_channel, None);
        let reported: Vec<_> = mapped
            .unmapped
            .iter()
            .map(|one| (one.table.as_str(), one.path.as_str()))
            .collect();
        assert_eq!(
            reported,
            [
                ("return-channel", "HinhThuc"),
                ("result-kind", "DanhSachGiayToKetQua[0].MaThanhPhanHoSo")
            ]
        );
    }

    #[test]
    fn a_revoked_result_is_not_told_and_a_corrected_one_as_it_stands() {
        let result = |number: &str, standing: ResultStanding| CaseResult {
            result_code: "KQ.G15.000031".to_owned(),
            number: number.to_owned(),
            file_id: format!("{number}.pdf"),
            standing: standing.into(),
            ..CaseResult::default()
        };
        let case = Case {
            results: vec![
                result("01/2026", ResultStanding::Revoked),
                result("02/2026-ĐC", ResultStanding::Corrected),
                CaseResult {
                    result_code: "KQ.X99.000001".to_owned(),
                    ..result("03/2026", ResultStanding::InForce)
                },
            ],
            ..case()
        };
        let mapped = map(&case).unwrap();
        let told: Vec<&str> = mapped.item.results.iter().map(|one| one.paper_id.as_str()).collect();
        assert_eq!(told, ["02/2026-ĐC.pdf", "03/2026.pdf"]);
        assert!(
            mapped.item.results.iter().all(|one| one.name.is_empty()),
            "a number is no name"
        );
        // The place of what is reported is that in what is told.
        assert_eq!(mapped.unmapped[0].path, "DanhSachGiayToKetQua[1].MaThanhPhanHoSo");
        assert_eq!(mapped.item.state, "10", "the state of the case stays");
    }

    #[test]
    fn without_a_state_or_a_kind_of_owner_there_is_no_item() {
        let mut unsaid = case();
        unsaid.state = 0;
        assert_eq!(map(&unsaid), Err(NotMappable::Missing("state")));
        let mut unsaid = case();
        unsaid.owner.as_mut().unwrap().kind = 0;
        assert_eq!(map(&unsaid), Err(NotMappable::Missing("owner.kind")));
        let empty = case_item(
            &case(),
            &Surroundings::default(),
            &CodeTables::default(),
            date(2026, 11, 26),
        );
        assert!(
            matches!(empty, Err(NotMappable::Unmapped(_))),
            "a state is never guessed"
        );
        // Whoever mends the table is told which version of it does not know the code.
        let known = "table = \"case-state\"\nfrom = \"province\"\nto = \"national-portal\"\nversion = 4\n\
                     effective_from = \"2025-07-01\"\nstatus = \"unconfirmed\"\nsource = \"a test\"";
        let tables = CodeTables::new(vec![toml::from_str(known).unwrap()]).unwrap();
        let refused = case_item(&case(), &Surroundings::default(), &tables, date(2026, 11, 26));
        let Err(NotMappable::Unmapped(unmapped)) = refused else {
            panic!("the table does not know it");
        };
        assert_eq!((unmapped.version, unmapped.value.as_str()), (4, "10"));
    }

    #[test]
    fn rounds_of_supplements_are_told_with_their_times_and_what_the_open_one_asks_for() {
        let pause = |from: &str, to: Option<&str>, state: CaseState| Pause {
            state: state.into(),
            start_time: Some(egov_proto::timestamp(from.parse().unwrap())),
            end_time: to.map(|to| egov_proto::timestamp(to.parse().unwrap())),
        };
        let case = Case {
            pauses: vec![
                pause(
                    "2026-11-20T01:00:00Z",
                    Some("2026-11-21T01:00:00Z"),
                    CaseState::SupplementRequested,
                ),
                pause(
                    "2026-11-22T01:00:00Z",
                    Some("2026-11-22T02:00:00Z"),
                    CaseState::PaymentRequested,
                ),
                pause("2026-11-24T01:00:00Z", None, CaseState::SupplementRequested),
            ],
            supplement_items: vec![SupplementItem {
                component_code: "giay-chung-sinh".to_owned(),
                instruction: "Nộp bản chính giấy chứng sinh".to_owned(),
            }],
            ..case()
        };
        let mapped = map(&case).unwrap();
        let rounds = serde_json::to_value(&mapped.item.supplements).unwrap();
        assert_eq!(rounds.as_array().unwrap().len(), 2, "a payment is no supplement");
        assert_eq!(
            (&rounds[0]["NgayBoSung"], &rounds[0]["NgayTiepNhanBoSung"]),
            (&"20261120080000".into(), &"20261121080000".into())
        );
        assert_eq!(rounds[1]["NoiDungBoSung"], "Nộp bản chính giấy chứng sinh");
        assert_eq!(rounds[1]["DanhSachGiayToBoSung"][0]["TenGiayTo"], "giay-chung-sinh");
        assert_eq!(rounds[1]["NgayTiepNhanBoSung"], serde_json::Value::Null);
        assert_eq!(rounds[0]["HoSoBoSungId"], "H41.50.05.13-261126-0001#1");
    }

    #[test]
    fn a_dossier_tells_the_submitter_and_the_owner_apart() {
        let mut case = case();
        case.submit_time = Some(egov_proto::timestamp("2026-11-25T01:00:00Z".parse().unwrap()));
        case.submitter = Some(Party {
            kind: ApplicantKind::Citizen.into(),
            full_name: "Lê Thị Cúc".to_owned(),
            personal_number: "040199000002".to_owned(),
            ..Party::default()
        });
        case.components = vec![
            CaseComponent {
                component_code: "to-khai".to_owned(),
                file_ids: vec!["f".to_owned(), "g".to_owned()],
                ..CaseComponent::default()
            },
            CaseComponent {
                component_code: "giay-chung-sinh".to_owned(),
                originals: 1,
                ..CaseComponent::default()
            },
        ];
        let at = "2026-11-26T02:00:00.7Z".parse().unwrap();
        let mapped = told_case(&case, &Surroundings::default(), &tables(), date(2026, 11, 26), at).unwrap();
        let dossier = serde_json::to_value(&mapped.told.dossier).unwrap();
        assert_eq!(dossier["MaDonViTiepNhan"], "H41.50.05.13");
        assert_eq!(dossier["NgayNop"], "20261125080000");
        let submitter = &dossier["ThongTinNguoiNop"];
        assert_eq!(
            (
                &submitter["HoTen"],
                &submitter["TenChuHs"],
                &submitter["SoDinhDanhChuHs"]
            ),
            (&"Lê Thị Cúc".into(), &"Nguyễn Văn An".into(), &"040099000001".into())
        );
        let components = &dossier["ThanhPhanHoSo"];
        assert_eq!(
            (&components[0]["SoLuong"], &components[0]["LoaiBan"]),
            (&2.into(), &"3".into())
        );
        assert_eq!(
            (&components[1]["SoLuong"], &components[1]["LoaiBan"]),
            (&1.into(), &"1".into())
        );
        assert_eq!(mapped.told.told_time.text(), "20261126090000");
        assert_eq!(mapped.unmapped, []);
    }

    prop_compose! {
        fn cases()(
            state in 0_i32..12, kind in 0_i32..4, channel in 0_i32..5,
            code in "[A-Z0-9.-]{0,30}", name in ".{0,40}", number in "[0-9]{0,12}",
            fees in proptest::collection::vec(("phi|le_phi|khac", any::<i64>()), 0..4),
            results in proptest::collection::vec(("KQ\\.G15\\.0000(31|99)", 0_i32..5), 0..4),
            papers in proptest::collection::vec((0_i32..101, any::<i32>()), 0..4),
            second in any::<i64>(),
        ) -> Case {
            Case {
                case_code: code,
                procedure_code: "1.001193".to_owned(),
                state,
                owner: Some(Party { kind, full_name: name, personal_number: number, ..Party::default() }),
                accept_time: Some(prost_types::Timestamp { seconds: second, nanos: 0 }),
                fees: fees.into_iter().map(|(kind, units)| CaseFee {
                    kind,
                    amount: Some(egov_proto::google::r#type::Money { units, ..Default::default() }),
                    ..CaseFee::default()
                }).collect(),
                results: results.into_iter().map(|(result_code, standing)| CaseResult { result_code, standing, ..CaseResult::default() }).collect(),
                components: papers.into_iter().map(|(originals, copies)| CaseComponent { originals, copies, ..CaseComponent::default() }).collect(),
                r#return: Some(CaseReturn { channel, ..CaseReturn::default() }),
                ..Case::default()
            }
        }
    }

    proptest! {
        #[test]
        fn every_item_keeps_the_cases_state_and_reads_back_and_every_code_is_translated_or_reported(case in cases()) {
            let Ok(mapped) = map(&case) else {
                let sayable = (1..=10).contains(&case.state) && matches!(case.owner.as_ref().unwrap().kind, 1 | 2);
                prop_assert!(!sayable || case.case_code.is_empty());
                return Ok(());
            };
            prop_assert_eq!(&mapped.item.state, &case.state.to_string());
            let wire = serde_json::to_string(&mapped.item).unwrap();
            let read: CaseItem = serde_json::from_str(&wire).unwrap();
            prop_assert_eq!(&read, &mapped.item);
            let empty = mapped.item.fees.iter().filter(|fee| fee.kind.is_empty()).count()
                + mapped.item.results.iter().filter(|result| result.result_code.is_empty()).count()
                + usize::from(case.r#return.as_ref().unwrap().channel == 2);
            prop_assert_eq!(mapped.unmapped.len(), empty);
            let revoked = case.results.iter().filter(|result| result.standing == 3).count();
            prop_assert_eq!(mapped.item.results.len(), case.results.len() - revoked);
        }
    }
}
