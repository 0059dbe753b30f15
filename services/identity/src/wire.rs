//! Between the domain and the messages of the contract. Nothing here knows of gRPC: the stored answer of a write is a
//! message as well.

use egov_auth::CallerKind;
use egov_fault::Fault;
use egov_keyring::{KeyLife, Purpose};
use egov_proto::egov::identity::v1 as wire;
use egov_proto::egov::identity::v1::revocation::Target as WireTarget;
use egov_proto::egov::types::v1::FactStatus as WireFactStatus;
use egov_proto::google::r#type::Date as WireDate;
use egov_proto::timestamp;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use crate::domain::account::Account;
use crate::domain::client::System;
use crate::domain::delegation::Delegation;
use crate::domain::id_token::SigningAlgorithm;
use crate::domain::issuer::{ClientAuthentication, FederatedIssuer, IssuerSettings};
use crate::domain::key::{Breadth, KeyState};
use crate::domain::record::AccessRecord;
use crate::domain::reorganisation::{Opening, Plan, Planned, PlannedClosing};
use crate::domain::review::Verdict;
use crate::domain::role::{GrantEntry, RoleGrant};
use crate::domain::session::OpenSession;
use crate::domain::succession::Closing;
use crate::domain::unit::{FactStatus, Unit, UnitKind};
use crate::error::{DateProblem, IdentityError};
use crate::store::federation::Link;
use crate::store::reorganisations::{Reorganisation, Status};
use crate::store::revocations::{Entry, KindEntry, Target};

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
        status: fact_status(unit.status).into(),
    }
}

const fn fact_status(status: FactStatus) -> WireFactStatus {
    match status {
        FactStatus::Confirmed => WireFactStatus::Confirmed,
        FactStatus::Unconfirmed => WireFactStatus::Unconfirmed,
        FactStatus::Decided => WireFactStatus::Decided,
    }
}

/// The whole tree, as it is signed and as the ledger commits to it.
pub(crate) fn tree(version: i64, units: &[Unit], closings: &[(Uuid, Closing)]) -> wire::TreeSnapshot {
    wire::TreeSnapshot {
        version,
        units: units.iter().map(unit).collect(),
        successions: closings.iter().map(|(by, closing)| succession(*by, closing)).collect(),
    }
}

pub(crate) fn succession(by: Uuid, closing: &Closing) -> wire::Succession {
    wire::Succession {
        unit_id: closing.unit_id,
        successor_id: closing.successor.unwrap_or(0),
        effective_date: Some(closing.effective_date.into()),
        change: i32::from(closing.change.number()),
        successor_ids: closing.successors.clone(),
        reorganisation_id: by.to_string(),
    }
}

/// A unit of a plan; none unless exactly one of the two is given.
fn planned(unit: &wire::PlannedUnit) -> Option<Planned> {
    match (unit.unit_id, unit.key.as_str()) {
        (0, "") => None,
        (id, "") => Some(Planned::Unit(id)),
        (0, key) => Some(Planned::Opening(key.to_owned())),
        _ => None,
    }
}

pub(crate) fn planned_unit(unit: &Planned) -> wire::PlannedUnit {
    match unit {
        Planned::Unit(unit_id) => wire::PlannedUnit {
            unit_id: *unit_id,
            key: String::new(),
        },
        Planned::Opening(key) => wire::PlannedUnit {
            unit_id: 0,
            key: key.clone(),
        },
    }
}

pub(crate) fn planned_opening(opening: &Opening) -> wire::PlannedOpening {
    wire::PlannedOpening {
        key: opening.key.clone(),
        code: opening.code.clone(),
        name: opening.name.clone(),
        kind: opening.kind.map_or(0, |kind| i32::from(kind.number())),
        parent: opening.parent.as_ref().map(planned_unit),
        agency_code: opening.agency_code.clone().unwrap_or_default(),
        agency_code_provisional: opening.agency_code_provisional,
    }
}

/// A plan as it was requested, before it carries departments along.
pub(crate) fn read_plan(plan: &wire::ReorganisationPlan) -> Result<Plan, Fault> {
    let effective_date = day("plan.effective_date", plan.effective_date)?.ok_or(IdentityError::InvalidDate {
        field: "plan.effective_date",
        problem: DateProblem::NotADay,
    })?;
    Ok(Plan {
        effective_date,
        title: plan.title.clone(),
        legal_basis: plan.legal_basis.clone(),
        openings: plan
            .openings
            .iter()
            .map(|opening| Opening {
                key: opening.key.clone(),
                code: opening.code.clone(),
                name: opening.name.clone(),
                kind: i16::try_from(opening.kind).ok().and_then(UnitKind::from_number),
                parent: opening.parent.as_ref().and_then(planned),
                agency_code: Some(opening.agency_code.clone()).filter(|code| !code.is_empty()),
                agency_code_provisional: opening.agency_code_provisional,
            })
            .collect(),
        closings: plan
            .closings
            .iter()
            .map(|closing| PlannedClosing {
                unit_id: closing.unit_id,
                successor: closing.successor.as_ref().and_then(planned),
                without_successor: closing.without_successor,
                others: closing.others.iter().filter_map(planned).collect(),
            })
            .collect(),
    })
}

fn plan(plan: &Plan) -> wire::ReorganisationPlan {
    wire::ReorganisationPlan {
        effective_date: Some(plan.effective_date.into()),
        title: plan.title.clone(),
        legal_basis: plan.legal_basis.clone(),
        openings: plan.openings.iter().map(planned_opening).collect(),
        closings: plan
            .closings
            .iter()
            .map(|closing| wire::PlannedClosing {
                unit_id: closing.unit_id,
                successor: closing.successor.as_ref().map(planned_unit),
                without_successor: closing.without_successor,
                others: closing.others.iter().map(planned_unit).collect(),
            })
            .collect(),
        // What it carries stands in it by now.
        carry_departments: false,
    }
}

pub(crate) fn reorganisation(reorganisation: &Reorganisation) -> wire::Reorganisation {
    let status = match reorganisation.status {
        Status::Planned => wire::ReorganisationStatus::Planned,
        Status::Applied => wire::ReorganisationStatus::Applied,
        Status::Cancelled => wire::ReorganisationStatus::Cancelled,
        Status::Failed => wire::ReorganisationStatus::Failed,
    };
    wire::Reorganisation {
        reorganisation_id: reorganisation.reorganisation_id.to_string(),
        effective_date: Some(reorganisation.effective_date.into()),
        title: reorganisation.title.clone(),
        legal_basis: reorganisation.legal_basis.clone(),
        status: status.into(),
        fact_status: fact_status(reorganisation.fact_status).into(),
        source: reorganisation.source.clone().unwrap_or_default(),
        plan: reorganisation.plan.as_ref().map(plan),
        problem: reorganisation.problem.clone(),
        closed_units: reorganisation.closed_units,
        etag: reorganisation.version.to_string(),
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
        roles: account.roles.iter().map(role_grant).collect(),
        etag: account.version.to_string(),
    }
}

fn role_grant(grant: &RoleGrant) -> wire::RoleGrant {
    wire::RoleGrant {
        grant_id: grant.grant_id.to_string(),
        role: grant.role.clone(),
        unit_id: grant.unit_id,
        effective_from: Some(grant.effective_from.into()),
        effective_to: grant.effective_to.map(WireDate::from),
    }
}

pub(crate) fn grant_entry(entry: &GrantEntry) -> wire::RoleGrantEntry {
    let holder = entry.holder.as_ref();
    wire::RoleGrantEntry {
        grant: Some(role_grant(&entry.grant)),
        account_id: entry.account_id.to_string(),
        username: holder.map(|holder| holder.username.clone()).unwrap_or_default(),
        full_name: holder.map(|holder| holder.full_name.clone()).unwrap_or_default(),
        account_unit_id: holder.map_or(0, |holder| holder.unit_id),
        granted_by_id: id(entry.granted_by),
        grant_time: Some(timestamp(entry.grant_time)),
        reason: entry.reason.clone(),
        ended_by_id: id(entry.ended_by),
        end_time: entry.end_time.map(timestamp),
        end_reason: entry.end_reason.clone(),
    }
}

/// A delegation as it stands on a day.
pub(crate) fn delegation(delegation: &Delegation, today: Date) -> wire::Delegation {
    wire::Delegation {
        delegation_id: delegation.delegation_id.to_string(),
        grant_id: delegation.grant_id.to_string(),
        role: delegation.role.clone(),
        unit_id: delegation.unit_id,
        delegator_id: delegation.delegator_id.to_string(),
        delegator_name: delegation.delegator_name.clone(),
        delegatee_id: delegation.delegatee_id.to_string(),
        delegatee_name: delegation.delegatee_name.clone(),
        effective_from: Some(delegation.effective_from.into()),
        effective_to: Some(delegation.effective_end().into()),
        reason: delegation.reason.clone(),
        document_number: delegation.document_number.clone(),
        create_time: Some(timestamp(delegation.create_time)),
        end_time: delegation.end_time.map(timestamp),
        ended_by_id: id(delegation.ended_by),
        end_reason: delegation.end_reason.clone(),
        in_force: delegation.in_force(today),
    }
}

pub(crate) fn verdict(verdict: &Verdict) -> wire::Verdict {
    wire::Verdict {
        reviewer_id: verdict.reviewer_id.to_string(),
        review_time: Some(timestamp(verdict.review_time)),
        note: verdict.note.clone(),
    }
}

/// A session, seen from the session of the call.
pub(crate) fn session(session: &OpenSession, current: Option<Uuid>) -> wire::Session {
    wire::Session {
        session_id: session.session_id.to_string(),
        create_time: Some(timestamp(session.create_time)),
        last_refresh_time: Some(timestamp(session.last_refresh_time)),
        expire_time: Some(timestamp(session.expire_time)),
        client_hint: session.client_hint.clone(),
        current: Some(session.session_id) == current,
    }
}

fn id(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// The day in Vietnam of an instant.
pub(crate) fn day_of(instant: Timestamp) -> Date {
    instant.to_zoned(egov_clock::vietnam()).date()
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

pub(crate) fn kind_revocation(entry: &KindEntry) -> wire::KindRevocation {
    let kind = match entry.kind {
        CallerKind::Staff => wire::CallerKind::Staff,
        CallerKind::Citizen => wire::CallerKind::Citizen,
        CallerKind::System => wire::CallerKind::System,
    };
    wire::KindRevocation {
        kind: kind.into(),
        not_after: Some(timestamp(entry.not_after)),
        expire_time: Some(timestamp(entry.expire_time)),
    }
}

/// The purpose that a request names; none if it names none.
pub(crate) const fn key_purpose(purpose: wire::KeyPurpose) -> Option<Purpose> {
    match purpose {
        wire::KeyPurpose::Unspecified => None,
        wire::KeyPurpose::TokenSigning => Some(Purpose::TokenSigning),
        wire::KeyPurpose::TreeSigning => Some(Purpose::TreeSigning),
        wire::KeyPurpose::PageTokens => Some(Purpose::PageTokens),
        wire::KeyPurpose::Answers => Some(Purpose::Answers),
        wire::KeyPurpose::Receipts => Some(Purpose::Receipts),
        wire::KeyPurpose::Checkpoints => Some(Purpose::Checkpoints),
        wire::KeyPurpose::Webhooks => Some(Purpose::Webhooks),
        wire::KeyPurpose::LookupSecrets => Some(Purpose::LookupSecrets),
        wire::KeyPurpose::ClientAssertions => Some(Purpose::ClientAssertions),
        wire::KeyPurpose::Bodies => Some(Purpose::Bodies),
    }
}

const fn wire_purpose(purpose: Purpose) -> wire::KeyPurpose {
    match purpose {
        Purpose::TokenSigning => wire::KeyPurpose::TokenSigning,
        Purpose::TreeSigning => wire::KeyPurpose::TreeSigning,
        Purpose::PageTokens => wire::KeyPurpose::PageTokens,
        Purpose::Answers => wire::KeyPurpose::Answers,
        Purpose::Receipts => wire::KeyPurpose::Receipts,
        Purpose::Checkpoints => wire::KeyPurpose::Checkpoints,
        Purpose::Webhooks => wire::KeyPurpose::Webhooks,
        Purpose::LookupSecrets => wire::KeyPurpose::LookupSecrets,
        Purpose::ClientAssertions => wire::KeyPurpose::ClientAssertions,
        Purpose::Bodies => wire::KeyPurpose::Bodies,
    }
}

/// A key as the list shows it; `withdraw_time` is when its withdrawal was recorded.
pub(crate) fn keyring_key(
    purpose: Purpose,
    life: &KeyLife,
    state: KeyState,
    withdraw_time: Option<Timestamp>,
) -> wire::KeyringKey {
    let state_word = match state {
        KeyState::Published => wire::KeyState::Published,
        KeyState::InUse => wire::KeyState::InUse,
        KeyState::Overlapping => wire::KeyState::Overlapping,
        KeyState::Retired => wire::KeyState::Retired,
        KeyState::Withdrawn => wire::KeyState::Withdrawn,
    };
    let end = match state {
        // The keyring only knows that it was, not when.
        KeyState::Withdrawn => withdraw_time,
        _ => life.retires,
    };
    wire::KeyringKey {
        purpose: wire_purpose(purpose).into(),
        key_id: life.id.clone(),
        state: state_word.into(),
        create_time: Some(timestamp(life.created)),
        end_time: end.map(timestamp),
    }
}

/// Whose tokens a request revokes. The contract refuses a scope that is not said.
pub(crate) const fn breadth(scope: wire::RevocationScope) -> Option<Breadth> {
    match scope {
        wire::RevocationScope::Unspecified => None,
        wire::RevocationScope::Staff => Some(Breadth::Staff),
        wire::RevocationScope::Citizens => Some(Breadth::Citizens),
        wire::RevocationScope::Systems => Some(Breadth::Systems),
        wire::RevocationScope::Everybody => Some(Breadth::Everybody),
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

/// What a request says of an issuer, without the secret; the contract has checked it.
pub(crate) fn issuer_settings_of(settings: wire::IssuerSettings) -> IssuerSettings {
    IssuerSettings {
        authentication: match settings.client_authentication() {
            wire::ClientAuthentication::PrivateKeyJwt => ClientAuthentication::PrivateKeyJwt,
            wire::ClientAuthentication::ClientSecret => ClientAuthentication::ClientSecret,
            wire::ClientAuthentication::None | wire::ClientAuthentication::Unspecified => ClientAuthentication::None,
        },
        algorithms: settings
            .algorithms()
            .filter_map(|algorithm| match algorithm {
                wire::IdTokenAlgorithm::Unspecified => None,
                wire::IdTokenAlgorithm::Es256 => Some(SigningAlgorithm::Es256),
                wire::IdTokenAlgorithm::Eddsa => Some(SigningAlgorithm::EdDsa),
                wire::IdTokenAlgorithm::Rs256 => Some(SigningAlgorithm::Rs256),
                wire::IdTokenAlgorithm::Ps256 => Some(SigningAlgorithm::Ps256),
            })
            .collect(),
        title: settings.title.trim().to_owned(),
        client_id: settings.client_id,
        redirect_uris: settings.redirect_uris,
        unit_ids: settings.unit_ids,
        second_factor_acr: settings.second_factor_acr,
        second_factor_amr: settings.second_factor_amr,
        max_auth_age: settings.max_auth_age_seconds,
    }
}

pub(crate) fn federated_issuer(issuer: &FederatedIssuer) -> wire::FederatedIssuer {
    let settings = &issuer.settings;
    let authentication = match settings.authentication {
        ClientAuthentication::PrivateKeyJwt => wire::ClientAuthentication::PrivateKeyJwt,
        ClientAuthentication::ClientSecret => wire::ClientAuthentication::ClientSecret,
        ClientAuthentication::None => wire::ClientAuthentication::None,
    };
    let algorithm = |algorithm: &SigningAlgorithm| {
        i32::from(match algorithm {
            SigningAlgorithm::Es256 => wire::IdTokenAlgorithm::Es256,
            SigningAlgorithm::EdDsa => wire::IdTokenAlgorithm::Eddsa,
            SigningAlgorithm::Rs256 => wire::IdTokenAlgorithm::Rs256,
            SigningAlgorithm::Ps256 => wire::IdTokenAlgorithm::Ps256,
        })
    };
    wire::FederatedIssuer {
        issuer_id: issuer.issuer_id.to_string(),
        issuer: issuer.issuer.clone(),
        settings: Some(wire::IssuerSettings {
            title: settings.title.clone(),
            client_id: settings.client_id.clone(),
            client_authentication: authentication.into(),
            client_secret: String::new(),
            redirect_uris: settings.redirect_uris.clone(),
            unit_ids: settings.unit_ids.clone(),
            algorithms: settings.algorithms.iter().map(algorithm).collect(),
            second_factor_acr: settings.second_factor_acr.clone(),
            second_factor_amr: settings.second_factor_amr.clone(),
            max_auth_age_seconds: settings.max_auth_age,
        }),
        disabled: issuer.disabled,
        etag: issuer.version.to_string(),
    }
}

pub(crate) fn federated_identity(link: &Link) -> wire::FederatedIdentity {
    wire::FederatedIdentity {
        identity_id: link.identity_id.to_string(),
        account_id: link.account_id.to_string(),
        issuer_id: link.issuer_id.to_string(),
        issuer_title: link.issuer_title.clone(),
        link_time: Some(timestamp(link.link_time)),
        linked_by: link.linked_by.to_string(),
    }
}
