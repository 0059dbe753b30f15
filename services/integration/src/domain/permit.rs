//! What an agreement in force allows, in the plain form in which a mediating instance keeps it.
//!
//! A permit is one version of one agreement (thỏa thuận chia sẻ dữ liệu) that both sides have signed. It never changes: an
//! amendment is another permit, and a revocation takes the permit away.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One version of an agreement, in force from `valid_from` until just before `valid_to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    /// The agreement (thỏa thuận).
    pub agreement_id: Uuid,
    /// The version of the agreement that both sides signed, from 1.
    pub version: i64,
    /// Who may call: the consumer itself and those to whom it delegated (bên được ủy quyền khai thác).
    pub callers: Vec<PermitCaller>,
    /// The organisation of the consumer (bên khai thác).
    pub consumer_organisation_id: Uuid,
    /// The system of the consumer.
    pub consumer_system_id: Uuid,
    /// The organisation of the provider (bên cung cấp).
    pub provider_organisation_id: Uuid,
    /// The system of the provider.
    pub provider_system_id: Uuid,
    /// The service that is called.
    pub service_id: Uuid,
    /// The version of the service's interface by whose descriptors masks and predicates are read.
    pub interface_version: i64,
    /// What may be called. The key is a full gRPC method without its leading slash (`egov.demo.v1.People/Get`), or for
    /// plain REST the HTTP method and the path of the OpenAPI document (`GET /people/{id}`).
    pub methods: BTreeMap<String, MethodTerms>,
    /// How often.
    pub quota: Quota,
    /// Which bodies are recorded, encrypted, and for how long.
    pub bodies: BodyPolicy,
    /// In force from this instant.
    pub valid_from: Timestamp,
    /// In force until just before this instant.
    pub valid_to: Timestamp,
    /// For what (mục đích), in the words of the agreement.
    pub purpose: String,
    /// On which legal basis (căn cứ pháp lý).
    pub legal_basis: String,
    /// The codes of purposes that a call may name in `x-egov-purpose`; empty if a call need not name one.
    pub allowed_purposes: Vec<String>,
}

/// A system that may call under a permit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitCaller {
    /// The system.
    pub system_id: Uuid,
    /// The client id that its token carries.
    pub client_id: String,
    /// The delegation (ủy quyền) by which it may call; none for the consumer itself.
    pub delegation_id: Option<Uuid>,
    /// The methods that the delegation names; empty for every method of the permit.
    pub methods: Vec<String>,
    /// May call from this instant.
    pub valid_from: Timestamp,
    /// May call until just before this instant.
    pub valid_to: Timestamp,
    /// SHA-256 thumbprints of the client certificates that are registered for it, each with its validity.
    pub certificates: Vec<PermitCertificate>,
}

/// A certificate of a calling system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitCertificate {
    /// SHA-256 over its DER form, lower-case hexadecimal.
    pub thumbprint: String,
    /// Valid from this instant.
    pub not_before: Timestamp,
    /// Valid up to and including this instant.
    pub not_after: Timestamp,
}

/// On which terms one method may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodTerms {
    /// All of these must hold of every request message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predicates: Vec<Predicate>,
    /// The field paths of the response that may leave; empty for no mask.
    ///
    /// A path names fields by their protobuf names (`person.addresses.ward`), for REST by the names of JSON. It goes through
    /// messages, through each element of a repeated field and through each value of a map; a path that ends at a
    /// message lets all of that message pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mask: Vec<String>,
}

impl MethodTerms {
    /// Whether a message must be decoded: without mask and predicate its bytes pass through.
    pub fn must_decode(&self) -> bool {
        !self.predicates.is_empty() || !self.mask.is_empty()
    }
}

/// What must hold of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicate {
    /// The path of a field of the request. It does not go through repeated fields or maps.
    pub field: String,
    /// What must hold of the field.
    pub rule: PredicateRule,
}

/// The closed set of what a predicate can say. A value is compared in its canonical text: a string as it is, a number in
/// decimal, a boolean as `true` or `false`, an enum by the name of its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredicateRule {
    /// The value is this one.
    Equals(String),
    /// The value is one of these.
    In(Vec<String>),
    /// The text begins so.
    Prefix(String),
    /// The field is set: present on the wire, or for a field without presence not its default.
    Present,
    /// The field is not set.
    Absent,
}

/// How often a permit may be used. 0 is no limit of this kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Calls in a minute.
    pub per_minute: u32,
    /// Calls in a day of Việt Nam.
    pub per_day: u32,
    /// Calls at once.
    pub concurrent: u32,
}

/// Which bodies are recorded, encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyPolicy {
    /// Bodies of requests.
    pub request: bool,
    /// Bodies of responses.
    pub response: bool,
    /// For how many days; 0 where none is recorded.
    pub retention_days: u32,
}

/// One step of the feed of permits: what is in force of an agreement by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermitChange {
    /// The agreement that changed.
    pub agreement_id: Uuid,
    /// All its permits, now and to come; none when it was suspended, revoked or ended. The time frames of two versions
    /// never overlap.
    pub permits: Vec<Permit>,
}

impl PermitCaller {
    /// Whether it may call a method of the permit at an instant.
    pub fn may_call(&self, method: &str, now: Timestamp) -> bool {
        self.valid_from <= now
            && now < self.valid_to
            && (self.methods.is_empty() || self.methods.iter().any(|named| named == method))
    }

    /// Whether a certificate is registered for it and valid at an instant.
    pub fn knows_certificate(&self, thumbprint: &str, now: Timestamp) -> bool {
        self.certificates.iter().any(|certificate| {
            certificate.thumbprint == thumbprint && certificate.not_before <= now && now <= certificate.not_after
        })
    }
}

impl Permit {
    /// Whether the permit is in force at an instant.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.valid_from <= now && now < self.valid_to
    }

    /// Whether a call may name this purpose.
    pub fn admits_purpose(&self, purpose: Option<&str>) -> bool {
        self.allowed_purposes.is_empty()
            || purpose.is_some_and(|purpose| self.allowed_purposes.iter().any(|allowed| allowed == purpose))
    }
}
