//! A case of one-stop, as `GetCase` answers it, as an item of the portal's `DongBoHoSoMC`.

use egov_proto::egov::onestop::v1::{ApplicantKind, Case, CaseState, Channel};
use egov_proto::instant;
use jiff::civil::Date;

use crate::code_tables::{CodeTables, Translator, Unmapped};
use crate::portal::{CaseItem, DocumentItem, FeeItem, PaperItem, ResultItem};
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
        results,
    };
    Ok(MappedCase {
        item,
        unmapped: translator.into_unmapped(),
    })
}

fn required(translator: &mut Translator<'_>, table: &str, value: &str, path: &str) -> Result<String, NotMappable> {
    translator
        .translate(table, PROVINCE, PORTAL, value, path)
        .ok_or_else(|| {
            NotMappable::Unmapped(Unmapped {
                table: table.to_owned(),
                from: PROVINCE.to_owned(),
                to: PORTAL.to_owned(),
                version: 0,
                value: value.to_owned(),
                path: path.to_owned(),
            })
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
    use egov_proto::egov::onestop::v1::{CaseComponent, CaseFee, CaseResult, CaseReturn, Party};
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
