//! The permits that an agreement gives.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::agreement::{Agreement, Status, Version};
use super::permit::{Permit, PermitCaller, PermitCertificate};

/// What permits need to know of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SystemFacts {
    pub(crate) client_id: String,
    /// It and its organisation take part.
    pub(crate) active: bool,
    /// Those that were not withdrawn.
    pub(crate) certificates: Vec<PermitCertificate>,
}

/// The permits of an agreement, now and to come: none unless it is open, both sides take part, and its service is offered.
pub(crate) fn permits(
    agreement: &Agreement,
    systems: &HashMap<Uuid, SystemFacts>,
    service_offered: bool,
    now: Timestamp,
) -> Vec<Permit> {
    let takes_part = |system: Uuid| systems.get(&system).is_some_and(|facts| facts.active);
    let parties = &agreement.parties;
    let open = agreement.status == Status::Open
        && service_offered
        && takes_part(parties.consumer_system_id)
        && takes_part(parties.provider_system_id);
    if !open {
        return Vec::new();
    }
    agreement
        .versions
        .iter()
        .filter_map(|version| permit(agreement, version, systems, now))
        .collect()
}

fn permit(
    agreement: &Agreement,
    version: &Version,
    systems: &HashMap<Uuid, SystemFacts>,
    now: Timestamp,
) -> Option<Permit> {
    let frame = version
        .effective
        .filter(|frame| frame.from < frame.to && now < frame.to)?;
    let (parties, terms) = (&agreement.parties, &version.terms);
    let consumer = systems.get(&parties.consumer_system_id)?;
    let mut callers = vec![PermitCaller {
        system_id: parties.consumer_system_id,
        client_id: consumer.client_id.clone(),
        delegation_id: None,
        methods: Vec::new(),
        valid_from: frame.from,
        valid_to: frame.to,
        certificates: consumer.certificates.clone(),
    }];
    // An amendment that does not let the consumer delegate ends the delegations with the version before.
    let delegations = agreement.delegations.iter().filter(|_| terms.delegable);
    for held in delegations.filter(|held| held.end_time.is_none()) {
        if let Some(facts) = systems.get(&held.system_id).filter(|facts| facts.active) {
            let (from, to) = (held.valid_from.max(frame.from), held.valid_to.min(frame.to));
            if from < to {
                callers.push(PermitCaller {
                    system_id: held.system_id,
                    client_id: facts.client_id.clone(),
                    delegation_id: Some(held.delegation_id),
                    methods: held.methods.clone(),
                    valid_from: from,
                    valid_to: to,
                    certificates: facts.certificates.clone(),
                });
            }
        }
    }
    Some(Permit {
        agreement_id: agreement.agreement_id,
        version: version.number,
        callers,
        consumer_organisation_id: parties.consumer_organisation_id,
        consumer_system_id: parties.consumer_system_id,
        provider_organisation_id: parties.provider_organisation_id,
        provider_system_id: parties.provider_system_id,
        service_id: parties.service_id,
        interface_version: terms.interface_version,
        methods: terms.methods.clone(),
        quota: terms.quota,
        bodies: terms.bodies,
        valid_from: frame.from,
        valid_to: frame.to,
        purpose: terms.purpose.clone(),
        legal_basis: terms.legal_basis.clone(),
        allowed_purposes: terms.allowed_purposes.clone(),
    })
}
