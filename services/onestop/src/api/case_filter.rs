//! What lists and searches of cases are narrowed to: from the contract to the domain.

use egov_fault::{Fault, Violation};
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::google::r#type::Date;
use jiff::civil;

use super::decode::day;
use crate::domain::listing::CaseFilter;
use crate::domain::search::Order;

/// Of ListCases.
pub(super) fn of_list(message: proto::ListCasesRequest) -> Result<CaseFilter, Fault> {
    let order = match message.order() {
        proto::CaseOrder::DueFirst => Order::Due,
        proto::CaseOrder::NewestFirst | proto::CaseOrder::Unspecified => Order::Newest,
    };
    let mut procedure_codes = message.procedure_codes;
    if !message.procedure_code.is_empty() {
        procedure_codes.push(message.procedure_code);
    }
    let parts = (message.states, procedure_codes, message.unit_id);
    let filed = period(
        (message.filed_from, "filed_from"),
        (message.filed_until, "filed_until"),
        "không được sau filed_until",
        "must not be after filed_until",
    );
    let rest = filter(parts, (message.due_from, message.due_until), order);
    match (filed, rest) {
        (Ok((filed_from, filed_until)), Ok(rest)) => Ok(CaseFilter {
            filed_from,
            filed_until,
            ..rest
        }),
        (filed, rest) => Err(every_violation([filed.err(), rest.err()])),
    }
}

/// Of SearchCases.
pub(super) fn of_search(message: &proto::SearchCasesRequest) -> Result<CaseFilter, Fault> {
    let parts = (message.states.clone(), message.procedure_codes.clone(), message.unit_id);
    filter(parts, (message.due_from, message.due_until), Order::Newest)
}

fn filter(
    (states, mut procedure_codes, unit_id): (Vec<i32>, Vec<String>, i32),
    (due_from, due_until): (Option<Date>, Option<Date>),
    order: Order,
) -> Result<CaseFilter, Fault> {
    let (due_from, due_until) = period(
        (due_from, "due_from"),
        (due_until, "due_until"),
        "không được sau due_until",
        "must not be after due_until",
    )?;
    procedure_codes.sort_unstable();
    procedure_codes.dedup();
    Ok(CaseFilter {
        states: states.iter().filter_map(|state| i16::try_from(*state).ok()).collect(),
        procedure_codes,
        unit_id: (unit_id != 0).then_some(unit_id),
        due_from,
        due_until,
        filed_from: None,
        filed_until: None,
        order,
    })
}

/// Two days, neither of which need be there, the first not after the second.
fn period(
    (from, from_field): (Option<Date>, &str),
    (until, until_field): (Option<Date>, &str),
    vi: &str,
    en: &str,
) -> Result<(Option<civil::Date>, Option<civil::Date>), Fault> {
    let (from, until) = match (day(from, from_field), day(until, until_field)) {
        (Ok(from), Ok(until)) => (from, until),
        (from, until) => return Err(every_violation([from.err(), until.err()])),
    };
    if let (Some(first), Some(last)) = (from, until)
        && first > last
    {
        return Err(Fault::invalid(vec![Violation {
            field: from_field.to_owned(),
            rule: "value".to_owned(),
            vi: vi.to_owned(),
            en: en.to_owned(),
        }]));
    }
    Ok((from, until))
}

/// What is wrong in two places, told at once.
fn every_violation(faults: [Option<Fault>; 2]) -> Fault {
    let violations = faults
        .into_iter()
        .flatten()
        .flat_map(|fault| fault.violations().to_vec());
    Fault::invalid(violations.collect())
}
