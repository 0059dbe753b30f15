//! From the contract to the domain. The contract's rules have been checked; what is left here is meaning.

use egov_codes::{PhoneNumber, normal_name};
use egov_fault::{Fault, Violation};
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::google::r#type::Date;
use jiff::civil;
use uuid::Uuid;

use crate::domain::case::{CaseResult, FiledComponent, SupplementItem};
use crate::domain::pack::Channel;
use crate::domain::party::{Party, PartyKind};

/// A violation that the contract's rules cannot express.
fn violation(field: &str, vi: &str, en: &str) -> Fault {
    Fault::invalid(vec![Violation {
        field: field.to_owned(),
        rule: "value".to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }])
}

/// An id whose form the contract has checked.
pub(super) fn id(text: &str, field: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| violation(field, "không phải là mã định danh UUID", "is not a UUID"))
}

/// Ids whose form the contract has checked.
pub(super) fn ids(texts: &[String], field: &str) -> Result<Vec<Uuid>, Fault> {
    texts.iter().map(|text| id(text, field)).collect()
}

pub(super) fn channel(number: i32) -> Result<Channel, Fault> {
    i16::try_from(number)
        .ok()
        .and_then(Channel::from_number)
        .ok_or_else(|| violation("channel", "không có kênh này", "there is no such channel"))
}

/// A day; an absent one stays absent.
pub(super) fn day(date: Option<Date>, field: &str) -> Result<Option<civil::Date>, Fault> {
    date.map(civil::Date::try_from)
        .transpose()
        .map_err(|_| violation(field, "không phải là một ngày có thật", "is not a day of the calendar"))
}

pub(super) fn party(party: proto::Party, field: &str) -> Result<Party, Fault> {
    let kind = match party.kind() {
        proto::ApplicantKind::Organisation => PartyKind::Organisation,
        proto::ApplicantKind::Citizen | proto::ApplicantKind::Unspecified => PartyKind::Citizen,
    };
    let phone = if party.phone.is_empty() {
        String::new()
    } else {
        party
            .phone
            .parse::<PhoneNumber>()
            .map_err(|error| violation(&format!("{field}.phone"), error.vi(), error.en()))?
            .international()
    };
    let full_name = normal_name(&party.full_name);
    if full_name.is_empty() {
        return Err(violation(
            &format!("{field}.full_name"),
            "không được để trống",
            "must not be blank",
        ));
    }
    Ok(Party {
        kind,
        full_name,
        personal_number: party.personal_number,
        organisation_number: party.organisation_number.trim().to_owned(),
        phone,
        email: party.email.trim().to_owned(),
        address: normal_name(&party.address),
    })
}

pub(super) fn components(components: Vec<proto::CaseComponent>) -> Result<Vec<FiledComponent>, Fault> {
    components
        .into_iter()
        .map(|component| {
            Ok(FiledComponent {
                round: 0,
                component_code: component.component_code,
                originals: component.originals,
                copies: component.copies,
                replaced_by_data: component.replaced_by_data,
                file_ids: ids(&component.file_ids, "components.file_ids")?,
            })
        })
        .collect()
}

pub(super) fn supplement_items(items: Vec<proto::SupplementItem>) -> Vec<SupplementItem> {
    items
        .into_iter()
        .map(|item| SupplementItem {
            component_code: item.component_code,
            instruction: item.instruction,
        })
        .collect()
}

pub(super) fn results(results: Vec<proto::CaseResult>) -> Result<Vec<CaseResult>, Fault> {
    results
        .into_iter()
        .map(|result| {
            Ok(CaseResult {
                result_code: result.result_code,
                number: result.number,
                file_id: if result.file_id.is_empty() {
                    None
                } else {
                    Some(id(&result.file_id, "results.file_id")?)
                },
            })
        })
        .collect()
}
