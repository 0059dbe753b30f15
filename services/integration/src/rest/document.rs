//! What a system may call now, as OpenAPI: of each interface the methods that its agreements grant, and on which terms.

use std::collections::{BTreeMap, BTreeSet};

use egov_transcode::{Introduction, Section, Terms, document_of};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Interface;
use crate::domain::permit::{MethodTerms, Permit};
use crate::gatekeeper::Reach;

/// What the caller of some permits may call at an instant.
pub(crate) fn of(reach: &[Reach], now: Timestamp) -> Value {
    // By service, the newest version of its interface first: where two bind one path, that one is described.
    let mut granted: BTreeMap<(Uuid, std::cmp::Reverse<i64>), (&Interface, Methods<'_>)> = BTreeMap::new();
    for one in reach {
        let Some(caller) = one.caller() else { continue };
        let source = (one.permit.service_id, std::cmp::Reverse(one.permit.interface_version));
        let (_, methods) = granted
            .entry(source)
            .or_insert_with(|| (&one.interface, Methods::new()));
        let may = one.permit.methods.iter().filter(|(name, _)| caller.may_call(name, now));
        for (name, terms) in may {
            methods.entry(name).or_default().push((&one.permit, terms));
        }
    }
    let services: BTreeSet<Uuid> = granted.keys().map(|(service_id, _)| *service_id).collect();
    let sections: Vec<Section<'_>> = granted
        .into_iter()
        .map(|((service_id, _), (interface, methods))| Section {
            pool: &interface.pool,
            rest: &interface.rest,
            base: format!("/s/{service_id}"),
            // Two services may have the same names for what is different.
            prefix: if services.len() > 1 {
                format!("{service_id}.")
            } else {
                String::new()
            },
            // A document of one service has nothing smaller beside it.
            elsewhere: (services.len() > 1).then(|| format!("/s/{service_id}/openapi.json")),
            methods: methods
                .into_iter()
                .map(|(name, grants)| (name.clone(), terms_of(service_id, &grants)))
                .collect(),
        })
        .collect();
    document_of(introduction(), &sections)
}

/// Everything that an interface binds, whoever may call it: what a provider offers to clients of X-Road. Paths are below the
/// address of the service.
pub(crate) fn of_interface(interface: &Interface) -> Value {
    let methods = interface.rest.rpcs().into_iter();
    let section = Section {
        pool: &interface.pool,
        rest: &interface.rest,
        base: String::new(),
        prefix: String::new(),
        elsewhere: None,
        methods: methods.map(|rpc| (rpc.to_owned(), Terms::default())).collect(),
    };
    let introduction = Introduction {
        title: "egov: cổng kết nối, a service of gRPC for clients of X-Road".to_owned(),
        description: "Paths are below `/r1/{instance}/{class}/{member}/{subsystem}/{service}`. What a client may call of it now, \
            `allowedMethods` says."
            .to_owned(),
        token: "An access token of the system, from /oauth2/token of identity; or a client certificate of the connection that is \
            registered for the system."
            .to_owned(),
        extensions: Map::new(),
    };
    document_of(introduction, &[section])
}

/// By which permits, and on which of their terms, a method may be called.
type Methods<'r> = BTreeMap<&'r String, Vec<(&'r Permit, &'r MethodTerms)>>;

fn introduction() -> Introduction {
    let (vi, en) = (include_str!("introduction.vi.md"), include_str!("introduction.en.md"));
    Introduction {
        title: "egov: cổng kết nối, what this system may call".to_owned(),
        description: en.to_owned(),
        token: "An access token of the system, from /oauth2/token of identity; bound to the client certificate where the door \
            asks for one."
            .to_owned(),
        extensions: Map::from_iter([("x-egov-introduction".to_owned(), json!({ "vi": vi, "en": en }))]),
    }
}

/// What the document says of one method. Where several agreements grant it, the purpose of a call decides by which it is made;
/// all stand in `x-egov-agreements`.
fn terms_of(service_id: Uuid, grants: &[(&Permit, &MethodTerms)]) -> Terms {
    let agreements: Vec<Value> = grants
        .iter()
        .map(|(permit, terms)| {
            json!({
                "agreementId": permit.agreement_id,
                "agreementVersion": permit.version,
                "purposes": permit.allowed_purposes,
                "mask": terms.mask,
            })
        })
        .collect();
    let mut extensions = Map::from_iter([
        ("x-egov-service".to_owned(), json!(service_id)),
        ("x-egov-agreements".to_owned(), json!(agreements)),
    ]);
    // A purpose must be named only if no agreement does without.
    let free = grants.iter().any(|(permit, _)| permit.allowed_purposes.is_empty());
    let purposes: BTreeSet<&String> = grants
        .iter()
        .flat_map(|(permit, _)| &permit.allowed_purposes)
        .filter(|_| !free)
        .collect();
    let masked = grants.iter().find(|(_, terms)| !terms.mask.is_empty());
    let note = match masked {
        Some((_, terms)) => {
            extensions.insert("x-egov-mask".to_owned(), json!(terms.mask));
            let fields: Vec<String> = terms.mask.iter().map(|path| format!("`{path}`")).collect();
            let several = if grants.len() > 1 {
                " Another agreement may let other fields pass: see `x-egov-agreements`."
            } else {
                ""
            };
            format!(
                "A mask of the agreement applies: of the answer only {} come back.{several}",
                fields.join(", ")
            )
        }
        None => String::new(),
    };
    Terms {
        note,
        purposes: purposes.into_iter().cloned().collect(),
        extensions,
    }
}
