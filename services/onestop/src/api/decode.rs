//! From the contract to the domain. The contract's rules have been checked; what is left here is meaning.

use std::collections::BTreeMap;

use egov_codes::{PhoneNumber, normal_name};
use egov_fault::{Fault, Violation};
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::decide_fact_request;
use egov_proto::google::r#type::Date;
use jiff::civil;
use uuid::Uuid;

use crate::domain::case::{CaseResult, FiledComponent, SupplementItem};
use crate::domain::definition::outcome_mapping::OutcomeMapping;
use crate::domain::pack::{
    ApplicantKind, Channel, FEE, FactKind, FeeDecision, FeeKind, NewComponent, NewLegalBasis, NewResult, Procedure,
    Subject, TimeDecision, TimeUnit,
};
use crate::domain::party::{Birth, NoBirth, Party, PartyKind};
use crate::domain::results::{FileForm, Metadata};
use crate::operations::work::InboxView;

/// A violation that the contract's rules cannot express.
fn violation(field: &str, vi: &str, en: &str) -> Fault {
    Fault::invalid(vec![wrong_value(field, vi, en)])
}

/// Whose tasks are listed; what narrows the inbox of a unit says nothing of any other.
pub(super) fn inbox_view(request: &proto::ListInboxRequest) -> Result<InboxView, Fault> {
    let (role, assignee_id) = (&request.role, &request.assignee_id);
    let view = match request.view() {
        proto::InboxView::Mine => InboxView::Mine,
        proto::InboxView::MyRoles => InboxView::Roles,
        proto::InboxView::Unit | proto::InboxView::Unspecified if request.unit_id == 0 => {
            return Err(blank("unit_id"));
        }
        proto::InboxView::Unit | proto::InboxView::Unspecified => {
            return Ok(InboxView::Unit {
                unit_id: request.unit_id,
                role: (!role.is_empty()).then(|| role.clone()),
                assignee: given_id(assignee_id, "assignee_id")?,
            });
        }
    };
    let wrong: Vec<Violation> = [("role", role), ("assignee_id", assignee_id)]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(field, _)| {
            wrong_value(
                field,
                "chỉ dùng khi xem hộp việc của đơn vị",
                "narrows the inbox of a unit only",
            )
        })
        .collect();
    if wrong.is_empty() {
        Ok(view)
    } else {
        Err(Fault::invalid(wrong))
    }
}

/// What steps are called in another version, each named once.
pub(super) fn step_mapping(steps: &[proto::StepMapping]) -> Result<BTreeMap<String, String>, Fault> {
    let mut mapping = BTreeMap::new();
    let mut wrong = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        if mapping.insert(step.from.clone(), step.to.clone()).is_some() {
            wrong.push(wrong_value(
                &format!("steps[{place}].from"),
                "bước này đã được nêu ở trên",
                "this step is named before already",
            ));
        }
    }
    if wrong.is_empty() {
        Ok(mapping)
    } else {
        Err(Fault::invalid(wrong))
    }
}

/// What outcomes are called in another version, in their order.
pub(super) fn outcome_mappings(outcomes: &[proto::OutcomeMapping]) -> Vec<OutcomeMapping> {
    let mapping = |outcome: &proto::OutcomeMapping| OutcomeMapping {
        step: outcome.step.clone(),
        from: outcome.from.clone(),
        to: outcome.to.clone(),
    };
    outcomes.iter().map(mapping).collect()
}

/// A field that holds nothing but spaces.
pub(super) fn blank(field: &str) -> Fault {
    violation(field, "không được để trống", "must not be blank")
}

fn wrong_value(field: &str, vi: &str, en: &str) -> Violation {
    Violation {
        field: field.to_owned(),
        rule: "value".to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }
}

/// An id whose form the contract has checked.
pub(super) fn id(text: &str, field: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| violation(field, "không phải là mã định danh UUID", "is not a UUID"))
}

/// An id that may be left out.
pub(super) fn given_id(text: &str, field: &str) -> Result<Option<Uuid>, Fault> {
    if text.is_empty() {
        Ok(None)
    } else {
        id(text, field).map(Some)
    }
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

/// An instant that must be there.
pub(super) fn instant(at: Option<prost_types::Timestamp>, field: &str) -> Result<jiff::Timestamp, Fault> {
    at.as_ref().and_then(egov_proto::instant).ok_or_else(|| {
        violation(
            field,
            "không phải là một thời điểm có thật",
            "is not an instant of the calendar",
        )
    })
}

/// Ngày tháng năm sinh: a day, or a year alone; an absent one stays absent.
pub(super) fn birth(date: Option<Date>, field: &str, today: civil::Date) -> Result<Option<Birth>, Fault> {
    date.map(|date| Birth::of_numbers((date.year, date.month, date.day), today))
        .transpose()
        .map_err(|NoBirth| {
            violation(
                field,
                "không phải là ngày sinh: phải là một ngày hoặc một năm có thật, không sau hôm nay",
                "is no date of birth: it must be a day of the calendar, or a year alone, and not after today",
            )
        })
}

pub(super) fn party(party: proto::Party, field: &str, today: civil::Date) -> Result<Party, Fault> {
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
    let born = format!("{field}.date_of_birth");
    let date_of_birth = birth(party.date_of_birth, &born, today)?;
    if date_of_birth.is_some() && kind == PartyKind::Organisation {
        return Err(violation(
            &born,
            "chỉ công dân có ngày sinh",
            "only a citizen has a date of birth",
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
        date_of_birth,
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
                form_data: (!component.form_data.is_empty()).then_some(component.form_data),
            })
        })
        .collect()
}

/// What a caller decides about a procedure. The channels and the fee that are not named are those that it has.
pub(super) fn subject(value: &decide_fact_request::Value, has: &Procedure) -> Result<Subject, Fault> {
    use decide_fact_request::Value;
    let mut wrong = Vec::new();
    let channels_or = |numbers: &[i32], all: Vec<Channel>| -> Result<Vec<Channel>, Fault> {
        if numbers.is_empty() {
            Ok(all)
        } else {
            numbers.iter().map(|number| channel(*number)).collect()
        }
    };
    let subject = match value {
        Value::Time(said) => {
            let unit = match said.unit() {
                proto::TimeUnit::WorkingDay => Some(TimeUnit::WorkingDay),
                proto::TimeUnit::Day => Some(TimeUnit::Day),
                proto::TimeUnit::WorkingHour => Some(TimeUnit::WorkingHour),
                proto::TimeUnit::Hour => Some(TimeUnit::Hour),
                proto::TimeUnit::SameDay => Some(TimeUnit::SameDay),
                proto::TimeUnit::Unspecified => None,
            };
            let same_day = unit == Some(TimeUnit::SameDay);
            if unit.is_none() {
                wrong.push(wrong_value("time.unit", "phải có đơn vị", "a time has a unit"));
            }
            if same_day && said.value != 0 {
                wrong.push(wrong_value(
                    "time.value",
                    "“trong ngày” không có số",
                    "the same day has no number",
                ));
            }
            if !same_day && said.value == 0 {
                wrong.push(wrong_value(
                    "time.value",
                    "thời hạn phải lớn hơn 0",
                    "a time is more than 0",
                ));
            }
            if !same_day && !said.cut_off.is_empty() {
                wrong.push(wrong_value(
                    "time.cut_off",
                    "giờ chốt chỉ dành cho “trong ngày”",
                    "a cut-off belongs to the same day only",
                ));
            }
            let cut_off = (!said.cut_off.is_empty()).then(|| said.cut_off.parse::<civil::Time>());
            Subject::Time(TimeDecision {
                channels: channels_or(&said.channels, has.channels.iter().map(|offer| offer.channel).collect())?,
                special: (!said.condition_code.is_empty()).then(|| said.condition_code.clone()),
                value: u32::try_from(said.value).ok().filter(|value| *value > 0),
                unit: unit.unwrap_or(TimeUnit::WorkingDay),
                cut_off: cut_off
                    .transpose()
                    .map_err(|_| violation("time.cut_off", "không phải là giờ", "is no time of day"))?,
            })
        }
        Value::Fee(said) => {
            let code = if said.code.is_empty() {
                FEE.to_owned()
            } else {
                said.code.clone()
            };
            let offers = has
                .channels
                .iter()
                .filter(|offer| offer.fees.iter().any(|fee| fee.code == code));
            Subject::Fee(FeeDecision {
                channels: channels_or(&said.channels, offers.map(|offer| offer.channel).collect())?,
                kind: Some(if said.kind == "phi" {
                    FeeKind::Phi
                } else {
                    FeeKind::LePhi
                }),
                amount_vnd: said.amount_vnd,
                code,
            })
        }
        Value::Channels(said) => Subject::Channels(channels_or(&said.channels, Vec::new())?),
        Value::Applicants(said) => {
            let mut applicants = Vec::new();
            for (index, name) in said.applicants.iter().enumerate() {
                match serde_json::from_value::<ApplicantKind>(serde_json::Value::String(name.clone())) {
                    Ok(kind) => applicants.push(kind),
                    Err(_) => wrong.push(wrong_value(
                        &format!("applicants.applicants[{index}]"),
                        "không có đối tượng này",
                        "there is no such kind of applicant",
                    )),
                }
            }
            Subject::Applicants(applicants)
        }
        Value::Components(said) => Subject::Components(
            said.components
                .iter()
                .map(|component| NewComponent {
                    code: component.code.clone(),
                    name: normal_name(&component.name),
                    form: (!component.form.is_empty()).then(|| component.form.clone()),
                    originals: u32::try_from(component.originals).unwrap_or_default(),
                    copies: u32::try_from(component.copies).unwrap_or_default(),
                    required: component.required,
                    data_allowed: component.data_allowed,
                })
                .collect(),
        ),
        Value::Results(said) => Subject::Results(
            said.results
                .iter()
                .map(|result| NewResult {
                    code: result.code.clone(),
                    name: normal_name(&result.name),
                })
                .collect(),
        ),
        Value::LegalBases(said) => Subject::LegalBases(
            said.legal_bases
                .iter()
                .map(|basis| NewLegalBasis {
                    number: basis.number.trim().to_owned(),
                    title: (!basis.title.is_empty()).then(|| basis.title.clone()),
                })
                .collect(),
        ),
        Value::AsItStands(path) => Subject::AsItStands(path.clone()),
    };
    if wrong.is_empty() {
        Ok(subject)
    } else {
        Err(Fault::invalid(wrong))
    }
}

pub(super) fn fact_kind(kind: proto::FactKind) -> Option<FactKind> {
    FactKind::ALL
        .into_iter()
        .find(|known| i32::from(kind) == super::encode::fact_kind(known.as_str()))
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

/// The results that a decision issues, each with what is said of it as a document.
pub(super) fn results(results: Vec<proto::CaseResult>) -> Result<Vec<(CaseResult, Option<Metadata>)>, Fault> {
    results
        .into_iter()
        .enumerate()
        .map(|(place, result)| {
            let at = format!("results[{place}]");
            let worked_out = [
                ("standing", result.standing != 0),
                ("document", result.document.is_some()),
            ];
            let wrong: Vec<Violation> = worked_out
                .into_iter()
                .filter(|(_, said)| *said)
                .map(|(field, _)| {
                    wrong_value(
                        &format!("{at}.{field}"),
                        "do hệ thống xác định, không khai",
                        "is worked out and not said",
                    )
                })
                .collect();
            if !wrong.is_empty() {
                return Err(Fault::invalid(wrong));
            }
            let said = result.metadata.map(|said| metadata(said, &format!("{at}.metadata")));
            let file_id = given_id(&result.file_id, "results.file_id")?;
            let issued = CaseResult::issued(result.result_code, result.number, file_id);
            Ok((issued, said.transpose()?))
        })
        .collect()
}

/// Thông tin mô tả of a result. What does not fit together is judged with the case; here its words and days are read.
pub(super) fn metadata(said: proto::ResultMetadata, field: &str) -> Result<Metadata, Fault> {
    let mut wrong = Vec::new();
    let (signer_name, signer_title) = (normal_name(&said.signer_name), normal_name(&said.signer_title));
    for (name, text) in [("signer_name", &signer_name), ("signer_title", &signer_title)] {
        if text.is_empty() {
            wrong.push(wrong_value(
                &format!("{field}.{name}"),
                "không được để trống",
                "must not be blank",
            ));
        }
    }
    let mut read = |date: Option<Date>, name: &str| {
        date.and_then(|date| {
            let read = civil::Date::try_from(date).ok();
            if read.is_none() {
                wrong.push(wrong_value(
                    &format!("{field}.{name}"),
                    "không phải là một ngày có thật",
                    "is not a day of the calendar",
                ));
            }
            read
        })
    };
    let issue_date = read(said.issue_date, "issue_date");
    let valid_from = read(said.valid_from, "valid_from");
    let valid_until = read(said.valid_until, "valid_until");
    if !wrong.is_empty() {
        return Err(Fault::invalid(wrong));
    }
    let issue_date =
        issue_date.ok_or_else(|| violation(&format!("{field}.issue_date"), "phải có ngày", "must be a day"))?;
    Ok(Metadata {
        issue_date,
        signer_name,
        signer_title,
        valid_from: valid_from.unwrap_or(issue_date),
        valid_until,
        form: FileForm::from_number(said.form),
    })
}
