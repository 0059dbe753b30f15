//! A case of one-stop, as `GetCase` answers it, as the portal wants it: an item of `DongBoHoSoMC` for the first generation of its
//! contract, a dossier with its state for the second.

use egov_proto::egov::onestop::v1::{ApplicantKind, Case, CaseState, Channel, Party};
use egov_proto::instant;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::code_tables::{CodeTables, Translator, Unmapped};
use crate::portal::{CaseItem, DocumentItem, FeeItem, PaperItem, ResultItem, SupplementRound, ToldCase};
use crate::portal_rest::{Dossier, DossierComponent, Submitter};
use crate::wire_time::WireTime;

/// Whose codes a case has.
pub const PROVINCE: &str = "province";
/// Whose codes an item has.
pub const PORTAL: &str = "national-portal";

/// What the portal wants and a case does not carry. What is not known stays empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Mã lĩnh vực of the procedure.
    pub field_code: String,
    /// Tên lĩnh vực of the procedure.
    pub field_name: String,
    /// Tên đơn vị xử lý.
    pub handling_unit: String,
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
    let dossier = dossier(case, &item, &mut translator);
    unmapped.extend(translator.into_unmapped());
    Ok(MappedToldCase {
        told: ToldCase {
            item,
            dossier,
            told_time: WireTime::of(at),
        },
        unmapped,
    })
}

/// How a case was filed. Names of components, files and administrative codes of addresses are not in a case: they stay empty.
fn dossier(case: &Case, item: &CaseItem, translator: &mut Translator<'_>) -> Dossier {
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
                name: String::new(),
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

/// The rounds in which a supplement was asked for: a case has when each began and ended, and what the one that is open asks for.
fn supplements(case: &Case, translator: &mut Translator<'_>) -> Vec<SupplementRound> {
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
                        name: item.component_code.clone(),
                        quantity: 1,
                        kind: String::new(),
                    })
                    .collect(),
                ..SupplementRound::default()
            }
        })
        .collect()
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
    let fees = case
        .fees
        .iter()
        .enumerate()
        .map(|(place, fee)| FeeItem {
            name: fee.name.clone(),
            code: String::new(),
            collection: String::new(),
            amount: fee.amount.as_ref().map_or(0, |amount| amount.units),
            kind: translator
                .translate(
                    "fee-kind",
                    PROVINCE,
                    PORTAL,
                    &fee.kind,
                    &format!("DanhSachLePhi[{place}].LoaiPhiLePhi"),
                )
                .unwrap_or_default(),
        })
        .collect();
    let results = case
        .results
        .iter()
        .enumerate()
        .map(|(place, result)| ResultItem {
            name: result.number.clone(),
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
                file_name: String::new(),
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
            name: component.component_code.clone(),
            quantity: component.originals.saturating_add(component.copies),
            kind: String::new(),
        })
        .collect();
    let deadline = case.deadline.as_ref();
    let item = CaseItem {
        case_code: case.case_code.clone(),
        procedure_code: case.procedure_code.clone(),
        procedure_name: case.procedure_name.clone(),
        field_code: around.field_code.clone(),
        field_name: around.field_name.clone(),
        receipt_number: String::new(),
        owner_name: owner.full_name.clone(),
        owner_kind,
        owner_number: owner_number.clone(),
        other: String::new(),
        email: owner.email.clone(),
        fax: String::new(),
        phone: owner.phone.clone(),
        abstract_text: case.procedure_name.clone(),
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
        finish_time: None,
        handling_unit: around.handling_unit.clone(),
        note: String::new(),
        documents,
        fees,
        papers,
        supplements: supplements(case, &mut translator),
        results,
    };
    Ok(MappedCase {
        item,
        unmapped: translator.into_unmapped(),
    })
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
    use egov_proto::egov::onestop::v1::{CaseComponent, CaseFee, CaseResult, CaseReturn, Pause, SupplementItem};
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
        assert_eq!(mapped.unmapped, []);
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
            results in proptest::collection::vec("KQ\\.G15\\.0000(31|99)", 0..4),
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
                results: results.into_iter().map(|result_code| CaseResult { result_code, ..CaseResult::default() }).collect(),
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
        }
    }
}
