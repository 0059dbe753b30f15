//! Between the domain and the messages of the contract. Nothing here knows of gRPC: the stored answer of a write is a
//! message as well.

use egov_fault::Fault;
use egov_proto::egov::identity::v1 as wire;
use egov_proto::egov::identity::v1::revocation::Target as WireTarget;
use egov_proto::google::r#type::Date as WireDate;
use egov_proto::timestamp;
use jiff::civil::Date;

use crate::domain::account::Account;
use crate::domain::client::System;
use crate::domain::record::AccessRecord;
use crate::domain::unit::Unit;
use crate::error::{DateProblem, IdentityError};
use crate::store::revocations::{Entry, Target};

pub(crate) fn unit(unit: &Unit) -> wire::Unit {
    wire::Unit {
        unit_id: unit.unit_id,
        code: unit.code.clone(),
        name: unit.name.clone(),
        kind: i32::from(unit.kind.number()),
        parent_id: unit.parent_id.unwrap_or(0),
        effective_from: Some(unit.effective_from.into()),
        effective_to: unit.effective_to.map(WireDate::from),
        agency_code: unit.agency_code.clone().unwrap_or_default(),
        agency_code_provisional: unit.agency_code_provisional,
    }
}

pub(crate) fn account(account: &Account) -> wire::Account {
    wire::Account {
        account_id: account.account_id.to_string(),
        username: account.username.clone(),
        full_name: account.full_name.clone(),
        unit_id: account.unit_id,
        disabled: account.disabled_time.is_some(),
        locked_until: account.locked_until.map(timestamp),
        roles: account
            .roles
            .iter()
            .map(|grant| wire::RoleGrant {
                grant_id: grant.grant_id.to_string(),
                role: grant.role.clone(),
                unit_id: grant.unit_id,
                effective_from: Some(grant.effective_from.into()),
                effective_to: grant.effective_to.map(WireDate::from),
            })
            .collect(),
        etag: account.version.to_string(),
    }
}

pub(crate) fn record(record: &AccessRecord) -> wire::AccessRecord {
    wire::AccessRecord {
        record_time: Some(timestamp(record.record_time)),
        kind: record.kind.clone(),
        actor_id: record.actor_id.map(|id| id.to_string()).unwrap_or_default(),
        detail: record.detail.clone(),
    }
}

pub(crate) fn system(system: &System) -> wire::System {
    wire::System {
        system_id: system.system_id.to_string(),
        client_id: system.client_id.clone(),
        name: system.name.clone(),
        roles: system
            .roles
            .iter()
            .map(|held| wire::SystemRole {
                role: held.role.clone(),
                unit_id: held.unit_id,
            })
            .collect(),
        acts_for_citizens: system.acts_for_citizens,
        disabled: system.disabled,
    }
}

pub(crate) fn revocation(entry: &Entry) -> wire::Revocation {
    wire::Revocation {
        target: Some(match &entry.target {
            Target::Subject(id) => WireTarget::SubjectId(id.to_string()),
            Target::Session(id) => WireTarget::SessionId(id.to_string()),
            Target::Token(id) => WireTarget::TokenId(id.clone()),
        }),
        not_after: Some(timestamp(entry.not_after)),
        expire_time: Some(timestamp(entry.expire_time)),
    }
}

/// A day of a request.
pub(crate) fn day(field: &'static str, date: Option<WireDate>) -> Result<Option<Date>, Fault> {
    date.map(|date| {
        Date::try_from(date).map_err(|_| {
            IdentityError::InvalidDate {
                field,
                problem: DateProblem::NotADay,
            }
            .into()
        })
    })
    .transpose()
}
