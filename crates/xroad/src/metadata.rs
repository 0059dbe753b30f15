//! The answers of `listMethods` and `allowedMethods` (PR-MREST, annexes A and B).

use serde::Serialize;

use crate::identifier::ServiceId;

/// How a service is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServiceType {
    /// By an OpenAPI document.
    OpenApi,
    /// By its address only.
    Rest,
}

/// An endpoint; `*` stands for a variable segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Endpoint {
    /// The verb.
    pub method: String,
    /// The path below the service.
    pub path: String,
}

impl Endpoint {
    /// An endpoint from a template such as `/v1/cases/{case_id}`.
    pub fn of_template(method: &str, template: &str) -> Self {
        let path = template
            .split('/')
            .map(|segment| if segment.contains('{') { "*" } else { segment })
            .collect::<Vec<_>>()
            .join("/");
        Self {
            method: method.to_owned(),
            path,
        }
    }
}

/// A service in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    member_class: String,
    member_code: String,
    object_type: &'static str,
    service_code: String,
    service_type: ServiceType,
    subsystem_code: String,
    xroad_instance: String,
    endpoint_list: Vec<Endpoint>,
}

impl Listed {
    /// The service with these endpoints, sorted and each once.
    pub fn new(service: ServiceId, service_type: ServiceType, mut endpoints: Vec<Endpoint>) -> Self {
        endpoints.sort();
        endpoints.dedup();
        Self {
            member_class: service.member_class,
            member_code: service.member_code,
            object_type: "SERVICE",
            service_code: service.service,
            service_type,
            subsystem_code: service.subsystem,
            xroad_instance: service.instance,
            endpoint_list: endpoints,
        }
    }
}

/// The whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MethodList {
    /// The services.
    pub service: Vec<Listed>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_the_form_of_the_protocols_annex() {
        let service: ServiceId = "INSTANCE/CLASS2/MEMBER2/SUBSYSTEM2/payloadgen".parse().unwrap();
        let endpoints = vec![
            Endpoint::of_template("GET", "/pet/{petId}"),
            Endpoint::of_template("GET", "/pet/findByTags"),
            Endpoint::of_template("GET", "/pet/{name}"),
        ];
        let list = MethodList {
            service: vec![Listed::new(service, ServiceType::OpenApi, endpoints)],
        };
        let wanted = serde_json::json!({
            "service": [{
                "member_class": "CLASS2",
                "member_code": "MEMBER2",
                "object_type": "SERVICE",
                "service_code": "payloadgen",
                "service_type": "OPENAPI",
                "subsystem_code": "SUBSYSTEM2",
                "xroad_instance": "INSTANCE",
                "endpoint_list": [
                    { "method": "GET", "path": "/pet/*" },
                    { "method": "GET", "path": "/pet/findByTags" },
                ],
            }]
        });
        assert_eq!(serde_json::to_value(list).unwrap(), wanted);
    }
}
