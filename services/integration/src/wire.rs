//! Between the domain and the messages of the contract. Nothing here knows of gRPC: the stored answer of a write is a
//! message as well.

use egov_fault::{Fault, Violation};
use egov_proto::egov::integration::v1 as wire;
use egov_proto::egov::integration::v1::predicate::Rule;
use egov_proto::google::r#type::Date as WireDate;
use egov_proto::{instant, timestamp};
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use crate::domain::agreement::{Agreement, Delegation, Side, State, Version};
use crate::domain::endpoint::{Endpoint, EndpointState};
use crate::domain::narrowing::Unused;
use crate::domain::organisation::{Organisation, Standing};
use crate::domain::permit::{BodyPolicy, MethodTerms, Predicate, PredicateRule, Quota};
use crate::domain::service::{Hit, Interface, InterfaceKind, Service, ServiceState};
use crate::domain::shape::BreakingKind;
use crate::domain::system::System;
use crate::domain::terms::Terms;
use crate::store::{agreements, history};

/// A field that the contract's own rules could not judge.
pub(crate) fn invalid(field: &str, vi: &str, en: &str) -> Fault {
    Fault::invalid(vec![Violation {
        field: field.to_owned(),
        rule: "value".to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }])
}

/// An id whose form the contract has checked.
pub(crate) fn id(text: &str, field: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| invalid(field, "không phải là mã định danh UUID", "is not a UUID"))
}

/// An id that may be left out.
pub(crate) fn optional_id(text: &str, field: &str) -> Result<Option<Uuid>, Fault> {
    if text.is_empty() {
        Ok(None)
    } else {
        id(text, field).map(Some)
    }
}

/// A day.
pub(crate) fn day(date: WireDate, field: &str) -> Result<Date, Fault> {
    Date::try_from(date).map_err(|_| invalid(field, "không phải là một ngày", "is not a day"))
}

/// An instant that must be given, as the database keeps it: whole microseconds.
pub(crate) fn at(time: Option<&prost_types::Timestamp>, field: &str) -> Result<Timestamp, Fault> {
    time.and_then(instant)
        .and_then(|at| Timestamp::from_microsecond(at.as_microsecond()).ok())
        .ok_or_else(|| invalid(field, "không phải là một thời điểm", "is not an instant"))
}

pub(crate) fn organisation(one: &Organisation) -> wire::Organisation {
    wire::Organisation {
        organisation_id: one.organisation_id.to_string(),
        responsible_unit_id: one.responsible_unit_id,
        name: one.name.clone(),
        agency_codes: one
            .codes
            .iter()
            .map(|held| wire::AgencyCode {
                code: held.code.to_string(),
                valid_from: Some(held.valid_from.into()),
                valid_to: held.valid_to.map(WireDate::from),
            })
            .collect(),
        member_class: one.member_class.clone(),
        member_code: one.member_code.clone(),
        unit_id: one.unit_id.unwrap_or(0),
        contact: one.contact.clone(),
        state: match one.state {
            Standing::Active => wire::OrganisationState::Active,
            Standing::Suspended => wire::OrganisationState::Suspended,
            Standing::Closed => wire::OrganisationState::Closed,
        }
        .into(),
        etag: one.version.to_string(),
        create_time: Some(timestamp(one.create_time)),
        update_time: Some(timestamp(one.update_time)),
    }
}

/// The standing that a request asks for. The contract admits no other values.
pub(crate) fn organisation_state(number: i32) -> Result<Standing, Fault> {
    match wire::OrganisationState::try_from(number) {
        Ok(wire::OrganisationState::Active) => Ok(Standing::Active),
        Ok(wire::OrganisationState::Suspended) => Ok(Standing::Suspended),
        Ok(wire::OrganisationState::Closed) => Ok(Standing::Closed),
        _ => Err(invalid("state", "không hợp lệ", "is not a state")),
    }
}

/// The standing that a request asks for. The contract admits no other values.
pub(crate) fn system_state(number: i32) -> Result<Standing, Fault> {
    match wire::SystemState::try_from(number) {
        Ok(wire::SystemState::Active) => Ok(Standing::Active),
        Ok(wire::SystemState::Suspended) => Ok(Standing::Suspended),
        Ok(wire::SystemState::Closed) => Ok(Standing::Closed),
        _ => Err(invalid("state", "không hợp lệ", "is not a state")),
    }
}

pub(crate) fn system(one: &System) -> wire::System {
    wire::System {
        system_id: one.system_id.to_string(),
        organisation_id: one.organisation_id.to_string(),
        responsible_unit_id: one.responsible_unit_id,
        name: one.name.clone(),
        client_id: one.client_id.clone(),
        subsystem_code: one.subsystem_code.clone(),
        state: match one.state {
            Standing::Active => wire::SystemState::Active,
            Standing::Suspended => wire::SystemState::Suspended,
            Standing::Closed => wire::SystemState::Closed,
        }
        .into(),
        certificates: one
            .certificates
            .iter()
            .map(|held| wire::Certificate {
                certificate_id: held.certificate_id.to_string(),
                thumbprint: held.thumbprint.clone(),
                subject: held.subject.clone(),
                not_before: Some(timestamp(held.not_before)),
                not_after: Some(timestamp(held.not_after)),
                withdraw_time: held.withdraw_time.map(timestamp),
            })
            .collect(),
        signing_keys: one
            .keys
            .iter()
            .map(|held| wire::SigningKey {
                key_id: held.key_id.clone(),
                public_jwk: held.public_jwk.clone(),
                valid_from: Some(timestamp(held.valid_from)),
                valid_to: Some(timestamp(held.valid_to)),
                withdraw_time: held.withdraw_time.map(timestamp),
            })
            .collect(),
        etag: one.version.to_string(),
        create_time: Some(timestamp(one.create_time)),
        update_time: Some(timestamp(one.update_time)),
    }
}

const fn kind(kind: InterfaceKind) -> wire::InterfaceKind {
    match kind {
        InterfaceKind::Grpc => wire::InterfaceKind::Grpc,
        InterfaceKind::OpenApi => wire::InterfaceKind::Openapi,
    }
}

/// The kind of interface that a request names. The contract admits no other values.
pub(crate) fn interface_kind(number: i32) -> Result<InterfaceKind, Fault> {
    match wire::InterfaceKind::try_from(number) {
        Ok(wire::InterfaceKind::Grpc) => Ok(InterfaceKind::Grpc),
        Ok(wire::InterfaceKind::Openapi) => Ok(InterfaceKind::OpenApi),
        _ => Err(invalid("kind", "không hợp lệ", "is not a kind of interface")),
    }
}

/// The state that a request asks for. The contract admits no other values.
pub(crate) fn service_state(number: i32) -> Result<ServiceState, Fault> {
    match wire::ServiceState::try_from(number) {
        Ok(wire::ServiceState::Active) => Ok(ServiceState::Active),
        Ok(wire::ServiceState::Deprecated) => Ok(ServiceState::Deprecated),
        Ok(wire::ServiceState::Closed) => Ok(ServiceState::Closed),
        _ => Err(invalid("state", "không hợp lệ", "is not a state")),
    }
}

/// The state that a request asks for. The contract admits no other values.
pub(crate) fn endpoint_state(number: i32) -> Result<EndpointState, Fault> {
    match wire::EndpointState::try_from(number) {
        Ok(wire::EndpointState::Active) => Ok(EndpointState::Active),
        Ok(wire::EndpointState::Maintenance) => Ok(EndpointState::Maintenance),
        Ok(wire::EndpointState::Draining) => Ok(EndpointState::Draining),
        Ok(wire::EndpointState::Removed) => Ok(EndpointState::Removed),
        _ => Err(invalid("state", "không hợp lệ", "is not a state")),
    }
}

pub(crate) fn service(one: &Service, endpoints: &[Endpoint]) -> wire::Service {
    wire::Service {
        service_id: one.service_id.to_string(),
        system_id: one.system_id.to_string(),
        organisation_id: one.organisation_id.to_string(),
        responsible_unit_id: one.responsible_unit_id,
        code: one.code.clone(),
        title: one.title.clone(),
        kind: kind(one.kind).into(),
        state: match one.state {
            ServiceState::Active => wire::ServiceState::Active,
            ServiceState::Deprecated => wire::ServiceState::Deprecated,
            ServiceState::Closed => wire::ServiceState::Closed,
        }
        .into(),
        interface_version: one.interface_version,
        endpoints: endpoints
            .iter()
            .filter(|endpoint| endpoint.service_id == one.service_id)
            .map(self::endpoint)
            .collect(),
        etag: one.version.to_string(),
        create_time: Some(timestamp(one.create_time)),
        update_time: Some(timestamp(one.update_time)),
    }
}

pub(crate) fn endpoint(one: &Endpoint) -> wire::Endpoint {
    let health = one.health.as_ref();
    wire::Endpoint {
        endpoint_id: one.endpoint_id.to_string(),
        url: one.url.clone(),
        weight: one.weight,
        state: match one.state {
            EndpointState::Active => wire::EndpointState::Active,
            EndpointState::Maintenance => wire::EndpointState::Maintenance,
            EndpointState::Draining => wire::EndpointState::Draining,
            EndpointState::Removed => wire::EndpointState::Removed,
        }
        .into(),
        healthy: health.is_some_and(|health| health.healthy),
        health_detail: health.map(|health| health.detail.clone()).unwrap_or_default(),
        latency_ms: health.map_or(0, |health| health.latency_ms),
        check_time: health.map(|health| timestamp(health.check_time)),
        health_path: one.health_path.clone(),
    }
}

/// A breaking change; whom it hits is shown only to those who may know.
pub(crate) fn breaking(hit: &Hit, show_consumers: bool) -> wire::BreakingChange {
    let kind = match hit.breaking.kind {
        BreakingKind::ServiceRemoved => wire::BreakingKind::ServiceRemoved,
        BreakingKind::MethodRemoved => wire::BreakingKind::MethodRemoved,
        BreakingKind::StreamingChanged => wire::BreakingKind::StreamingChanged,
        BreakingKind::TypeChanged => wire::BreakingKind::TypeChanged,
        BreakingKind::FieldRemoved => wire::BreakingKind::FieldRemoved,
        BreakingKind::FieldRenumbered => wire::BreakingKind::FieldRenumbered,
        BreakingKind::FieldRenamed => wire::BreakingKind::FieldRenamed,
        BreakingKind::FieldRetyped => wire::BreakingKind::FieldRetyped,
        BreakingKind::CardinalityChanged => wire::BreakingKind::CardinalityChanged,
        BreakingKind::RequirednessChanged => wire::BreakingKind::RequirednessChanged,
        BreakingKind::EnumValueRemoved => wire::BreakingKind::EnumValueRemoved,
        BreakingKind::EnumValueRenumbered => wire::BreakingKind::EnumValueRenumbered,
        BreakingKind::OneofChanged => wire::BreakingKind::OneofChanged,
    };
    let ids = |ids: &[Uuid]| {
        let shown = ids.iter().filter(|_| show_consumers);
        shown.map(Uuid::to_string).collect()
    };
    wire::BreakingChange {
        kind: kind.into(),
        element: hit.breaking.element.clone(),
        detail: hit.breaking.detail.clone(),
        methods: hit.breaking.methods.clone(),
        agreement_ids: ids(&hit.agreements),
        consumer_system_ids: ids(&hit.consumers),
    }
}

pub(crate) fn interface(one: &Interface, show_consumers: bool) -> wire::Interface {
    wire::Interface {
        service_id: one.service_id.to_string(),
        interface_version: one.interface_version,
        kind: kind(one.kind).into(),
        sha256: hex::encode(&one.sha256),
        methods: one.methods.clone(),
        breaking: one.breaking.iter().map(|hit| breaking(hit, show_consumers)).collect(),
        breaking_reason: one.breaking_reason.clone(),
        create_time: Some(timestamp(one.create_time)),
    }
}

pub(crate) fn directory_change(one: &history::Change) -> wire::DirectoryChange {
    wire::DirectoryChange {
        version: one.version,
        change: one.change.clone(),
        reason: one.reason.clone(),
        actor: one.actor.clone(),
        record_time: Some(timestamp(one.record_time)),
        document: one.document.to_string(),
    }
}

/// The terms of a request. Each method is named once.
pub(crate) fn terms(asked: &wire::AgreementTerms) -> Result<Terms, Fault> {
    let mut methods = std::collections::BTreeMap::new();
    for (number, one) in asked.methods.iter().enumerate() {
        let place = format!("terms.methods[{number}]");
        let mut predicates = Vec::new();
        for (nth, predicate) in one.predicates.iter().enumerate() {
            predicates.push(self::predicate(predicate, &format!("{place}.predicates[{nth}]"))?);
        }
        let held = MethodTerms {
            predicates,
            mask: one.mask.clone(),
        };
        let name = one.method.strip_prefix('/').unwrap_or(&one.method);
        if methods.insert(name.to_owned(), held).is_some() {
            return Err(invalid(
                &format!("{place}.method"),
                "phương thức được nêu hai lần",
                "the method is named twice",
            ));
        }
    }
    Ok(Terms {
        methods,
        purpose: asked.purpose.trim().to_owned(),
        legal_basis: asked.legal_basis.trim().to_owned(),
        allowed_purposes: asked.allowed_purposes.clone(),
        quota: Quota {
            per_minute: asked.calls_per_minute,
            per_day: asked.calls_per_day,
            concurrent: asked.concurrent_calls,
        },
        bodies: BodyPolicy {
            request: asked.record_requests,
            response: asked.record_responses,
            retention_days: asked.retention_days,
        },
        valid_from: at(asked.valid_from.as_ref(), "terms.valid_from")?,
        valid_to: at(asked.valid_to.as_ref(), "terms.valid_to")?,
        delegable: asked.delegable,
        interface_version: asked.interface_version,
    })
}

fn predicate(asked: &wire::Predicate, place: &str) -> Result<Predicate, Fault> {
    let rule = match &asked.rule {
        Some(Rule::Equals(value)) => PredicateRule::Equals(value.clone()),
        Some(Rule::In(list)) => PredicateRule::In(list.values.clone()),
        Some(Rule::Prefix(value)) => PredicateRule::Prefix(value.clone()),
        Some(Rule::Present(true)) => PredicateRule::Present,
        Some(Rule::Absent(true)) => PredicateRule::Absent,
        _ => {
            return Err(invalid(
                place,
                "phải nêu một điều kiện; present và absent chỉ nhận giá trị true",
                "must name a rule; present and absent are only ever true",
            ));
        }
    };
    Ok(Predicate {
        field: asked.field.clone(),
        rule,
    })
}

fn terms_out(one: &Terms) -> wire::AgreementTerms {
    wire::AgreementTerms {
        methods: one
            .methods
            .iter()
            .map(|(name, of)| wire::MethodTerms {
                method: name.clone(),
                predicates: of.predicates.iter().map(predicate_out).collect(),
                mask: of.mask.clone(),
            })
            .collect(),
        purpose: one.purpose.clone(),
        legal_basis: one.legal_basis.clone(),
        allowed_purposes: one.allowed_purposes.clone(),
        calls_per_minute: one.quota.per_minute,
        calls_per_day: one.quota.per_day,
        concurrent_calls: one.quota.concurrent,
        record_requests: one.bodies.request,
        record_responses: one.bodies.response,
        retention_days: one.bodies.retention_days,
        valid_from: Some(timestamp(one.valid_from)),
        valid_to: Some(timestamp(one.valid_to)),
        delegable: one.delegable,
        interface_version: one.interface_version,
    }
}

fn predicate_out(one: &Predicate) -> wire::Predicate {
    wire::Predicate {
        field: one.field.clone(),
        rule: Some(match &one.rule {
            PredicateRule::Equals(value) => Rule::Equals(value.clone()),
            PredicateRule::In(values) => Rule::In(wire::ValueList { values: values.clone() }),
            PredicateRule::Prefix(value) => Rule::Prefix(value.clone()),
            PredicateRule::Present => Rule::Present(true),
            PredicateRule::Absent => Rule::Absent(true),
        }),
    }
}

/// The side that a request names. The contract admits no other values.
pub(crate) fn side(number: i32) -> Result<Side, Fault> {
    match wire::Side::try_from(number) {
        Ok(wire::Side::Consumer) => Ok(Side::Consumer),
        Ok(wire::Side::Provider) => Ok(Side::Provider),
        _ => Err(invalid("side", "không hợp lệ", "is not a side")),
    }
}

const fn state(state: State) -> wire::AgreementState {
    match state {
        State::Draft => wire::AgreementState::Draft,
        State::Offered => wire::AgreementState::Offered,
        State::SignedByConsumer => wire::AgreementState::SignedByConsumer,
        State::SignedByProvider => wire::AgreementState::SignedByProvider,
        State::Agreed => wire::AgreementState::Agreed,
        State::InForce => wire::AgreementState::InForce,
        State::Suspended => wire::AgreementState::Suspended,
        State::Revoked => wire::AgreementState::Revoked,
        State::Expired => wire::AgreementState::Expired,
    }
}

fn version(one: &Version) -> wire::AgreementVersion {
    wire::AgreementVersion {
        agreement_version: one.number,
        terms: Some(terms_out(&one.terms)),
        canonical: one.canonical.clone(),
        signatures: one
            .signatures
            .iter()
            .map(|held| wire::AgreementSignature {
                side: match held.side {
                    Side::Consumer => wire::Side::Consumer,
                    Side::Provider => wire::Side::Provider,
                }
                .into(),
                key_id: held.key_id.clone(),
                jws: held.jws.clone(),
                sign_time: Some(timestamp(held.sign_time)),
            })
            .collect(),
        effective_from: one.effective.map(|frame| timestamp(frame.from)),
        effective_to: one.effective.map(|frame| timestamp(frame.to)),
        create_time: Some(timestamp(one.create_time)),
    }
}

fn delegation(one: &Delegation) -> wire::Delegation {
    wire::Delegation {
        delegation_id: one.delegation_id.to_string(),
        system_id: one.system_id.to_string(),
        methods: one.methods.clone(),
        valid_from: Some(timestamp(one.valid_from)),
        valid_to: Some(timestamp(one.valid_to)),
        end_time: one.end_time.map(timestamp),
    }
}

/// An agreement as it stands at an instant.
pub(crate) fn agreement(one: &Agreement, now: Timestamp) -> wire::Agreement {
    wire::Agreement {
        agreement_id: one.agreement_id.to_string(),
        consumer_organisation_id: one.parties.consumer_organisation_id.to_string(),
        consumer_system_id: one.parties.consumer_system_id.to_string(),
        provider_organisation_id: one.parties.provider_organisation_id.to_string(),
        provider_system_id: one.parties.provider_system_id.to_string(),
        service_id: one.parties.service_id.to_string(),
        state: state(one.state(now)).into(),
        current: one.current(now).map(version),
        pending: one.pending(now).map(version),
        delegations: one.delegations.iter().map(delegation).collect(),
        end_reason: one.end_reason.clone(),
        etag: one.version.to_string(),
        create_time: Some(timestamp(one.create_time)),
        update_time: Some(timestamp(one.update_time)),
    }
}

pub(crate) fn agreement_change(one: &agreements::Change) -> wire::AgreementChange {
    wire::AgreementChange {
        version: one.version,
        change: one.change.clone(),
        state: state(one.state).into(),
        agreement_version: one.agreement_version,
        reason: one.reason.clone(),
        actor: one.actor.clone(),
        record_time: Some(timestamp(one.record_time)),
    }
}

pub(crate) fn unused(one: Unused) -> wire::UnusedMethod {
    wire::UnusedMethod {
        method: one.method,
        never_called: one.never_called,
        fields: one.fields,
    }
}
