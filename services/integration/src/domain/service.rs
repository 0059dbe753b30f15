//! Services and the versions of their interfaces.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::shape::{Breaking, Shape};
use super::{descriptors, openapi};

/// How an interface is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InterfaceKind {
    /// A FileDescriptorSet.
    Grpc,
    /// OpenAPI, JSON.
    OpenApi,
}

impl InterfaceKind {
    /// The word under which it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::OpenApi => "openapi",
        }
    }

    /// The kind that a stored word names.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Grpc, Self::OpenApi].into_iter().find(|one| one.as_str() == word)
    }

    /// The shape of a document of this kind.
    ///
    /// # Errors
    /// Every problem, in English.
    pub(crate) fn shape(self, document: &[u8]) -> Result<Shape, Vec<String>> {
        match self {
            Self::Grpc => descriptors::shape(document),
            Self::OpenApi => openapi::shape(document),
        }
    }
}

/// Where a service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServiceState {
    Active,
    /// Sắp ngừng.
    Deprecated,
    Closed,
}

impl ServiceState {
    /// The word under which it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Closed => "closed",
        }
    }

    /// The state that a stored word names.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Deprecated, Self::Closed]
            .into_iter()
            .find(|one| one.as_str() == word)
    }

    /// Whether it may change so, or stay: what was closed stays closed.
    pub(crate) fn may_become(self, next: Self) -> bool {
        self != Self::Closed || next == Self::Closed
    }
}

/// Dịch vụ chia sẻ dữ liệu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Service {
    pub(crate) service_id: Uuid,
    pub(crate) system_id: Uuid,
    pub(crate) organisation_id: Uuid,
    pub(crate) responsible_unit_id: i32,
    pub(crate) code: String,
    pub(crate) title: String,
    pub(crate) kind: InterfaceKind,
    pub(crate) state: ServiceState,
    /// The last version of its interface; 0 before the first.
    pub(crate) interface_version: i64,
    pub(crate) version: i64,
    pub(crate) create_time: Timestamp,
    pub(crate) update_time: Timestamp,
}

/// One version of an interface, without its document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Interface {
    pub(crate) service_id: Uuid,
    pub(crate) interface_version: i64,
    pub(crate) kind: InterfaceKind,
    pub(crate) sha256: Vec<u8>,
    pub(crate) methods: Vec<String>,
    pub(crate) breaking: Vec<Hit>,
    pub(crate) breaking_reason: String,
    pub(crate) create_time: Timestamp,
}

/// A breaking change and the agreements in force that it hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct Hit {
    #[serde(flatten)]
    pub(crate) breaking: Breaking,
    pub(crate) agreements: Vec<Uuid>,
    pub(crate) consumers: Vec<Uuid>,
}

/// An agreement in force, as far as a comparison needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consumer {
    pub(crate) agreement_id: Uuid,
    pub(crate) system_id: Uuid,
    pub(crate) methods: Vec<String>,
}

/// Whom each breaking change hits: those whose agreement names a method that it concerns.
pub(crate) fn hits(breaking: Vec<Breaking>, consumers: &[Consumer]) -> Vec<Hit> {
    breaking
        .into_iter()
        .map(|breaking| {
            let hit: Vec<&Consumer> = consumers
                .iter()
                .filter(|consumer| consumer.methods.iter().any(|method| breaking.methods.contains(method)))
                .collect();
            let mut agreements: Vec<Uuid> = hit.iter().map(|consumer| consumer.agreement_id).collect();
            let mut systems: Vec<Uuid> = hit.iter().map(|consumer| consumer.system_id).collect();
            agreements.sort_unstable();
            agreements.dedup();
            systems.sort_unstable();
            systems.dedup();
            Hit {
                breaking,
                agreements,
                consumers: systems,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::shape::BreakingKind;

    #[test]
    fn a_change_hits_only_those_who_use_a_method_that_it_concerns() {
        let breaking = Breaking {
            kind: BreakingKind::FieldRemoved,
            element: "demo.v1.Person.name".to_owned(),
            detail: String::new(),
            methods: vec!["demo.v1.People/Get".to_owned()],
        };
        let consumer = |agreement: u128, system: u128, method: &str| Consumer {
            agreement_id: Uuid::from_u128(agreement),
            system_id: Uuid::from_u128(system),
            methods: vec![method.to_owned()],
        };
        let consumers = [
            consumer(1, 7, "demo.v1.People/Get"),
            consumer(2, 8, "demo.v1.People/List"),
            consumer(3, 7, "demo.v1.People/Get"),
        ];
        let hits = hits(vec![breaking], &consumers);
        assert_eq!(hits[0].agreements, [Uuid::from_u128(1), Uuid::from_u128(3)]);
        assert_eq!(hits[0].consumers, [Uuid::from_u128(7)]);
    }

    #[test]
    fn a_closed_service_stays_closed() {
        assert!(ServiceState::Deprecated.may_become(ServiceState::Active));
        assert!(!ServiceState::Closed.may_become(ServiceState::Active));
    }
}
