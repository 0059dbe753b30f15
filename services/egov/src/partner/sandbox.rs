//! The sandbox: a provider with one public, read-only service of the platform itself, and an agreement with it that both sides
//! have signed. Everything goes through the same RPCs as in production.

use anyhow::Context as _;
use aws_lc_rs::digest;
use egov_clock::{Clock as _, Ids as _, SystemIds};
use egov_proto::egov::integration::v1::agreement_service_client::AgreementServiceClient;
use egov_proto::egov::integration::v1::event_service_client::EventServiceClient;
use egov_proto::egov::integration::v1::interface_service_client::InterfaceServiceClient;
use egov_proto::egov::integration::v1::{
    AddEndpointRequest, Agreement, AgreementState, AgreementTerms, ChangeEndpointRequest, CreateAgreementRequest,
    CreateTopicRequest, EndpointState, InterfaceKind, ListAgreementsRequest, ListInterfacesRequest,
    ListServicesRequest, ListTopicsRequest, MethodTerms, OfferAgreementRequest, PublishInterfaceRequest,
    RegisterServiceRequest, Service, Side, SignAgreementRequest, Topic, TopicGrant,
};
use egov_proto::timestamp;
use jiff::SignedDuration;

use super::contracts::descriptors;
use super::desk::{AREA, Applicant, Desk, Party, ROLE, pages};
use crate::place::Place;
use crate::problem::Problem;
use crate::reach::{refused, request_id};

/// The client id of the provider.
pub(super) const PROVIDER: &str = "sandbox-provider";
/// Phường Trường Vinh keeps the provider's entries.
const PROVIDER_UNIT: &str = "16690";
/// What it provides: procedures, which are published by law (công khai thủ tục hành chính).
pub(super) const SERVICE: &str = "egov.onestop.v1.ProcedureService";
/// The X-Road code of the service.
const SERVICE_CODE: &str = "procedures";
/// How long a sandbox agreement is in force.
const DAYS: i64 = 90;
/// The folder of its keys in the data folder.
const FOLDER: &str = "sandbox-provider";

/// The methods of the sandbox with what may leave of their answers.
pub(super) const METHODS: [(&str, &[&str]); 2] = [
    (
        "egov.onestop.v1.ProcedureService/GetProcedure",
        &[
            "procedure.procedure_code",
            "procedure.version",
            "procedure.name",
            "procedure.sector_name",
            "procedure.levels",
            "procedure.effective_from",
        ],
    ),
    (
        "egov.onestop.v1.ProcedureService/ListProcedures",
        &["procedures.procedure_code", "procedures.name", "next_page_token"],
    ),
];

/// The provider with its service.
pub(super) struct Sandbox {
    pub(super) provider: Party,
    pub(super) service_id: String,
}

/// Opens the sandbox of a stack, or finds it open.
pub(super) async fn open(desk: &Desk, place: &Place) -> anyhow::Result<Sandbox> {
    let applicant = Applicant {
        client_id: PROVIDER,
        name: "Danh mục thủ tục hành chính (thử nghiệm)".to_owned(),
        organisation: "Bên cung cấp thử nghiệm".to_owned(),
        unit_code: PROVIDER_UNIT,
        roles: &[ROLE, "integration_event_admin"],
        folder: place.path(FOLDER),
        told: false,
    };
    let provider = desk.register(&applicant).await?;
    let mut directory = InterfaceServiceClient::new(provider.line.clone());
    let known = pages(async |page_token| {
        let request = ListServicesRequest {
            page_size: 200,
            page_token,
            system_id: provider.system_id.clone(),
        };
        let answer = directory.list_services(request).await?.into_inner();
        Ok((answer.services, answer.next_page_token))
    })
    .await?
    .into_iter()
    .find(|known| known.code == SERVICE_CODE);
    let service = match known {
        Some(known) => known,
        None => {
            let request = RegisterServiceRequest {
                request_id: request_id(AREA, PROVIDER, b"service"),
                system_id: provider.system_id.clone(),
                code: SERVICE_CODE.to_owned(),
                title: "Danh mục thủ tục hành chính".to_owned(),
                kind: InterfaceKind::Grpc.into(),
            };
            let made = directory
                .register_service(request)
                .await
                .map_err(|status| refused(&status))?
                .into_inner();
            made.service.unwrap_or_default()
        }
    };
    let service = publish(&mut directory, service).await?;
    point(&mut directory, &service, &desk.url).await?;
    desk.tell("provider", format!("{PROVIDER} provides {SERVICE}"));
    Ok(Sandbox {
        provider,
        service_id: service.service_id,
    })
}

type Directory = InterfaceServiceClient<crate::reach::Line>;

/// Publishes the interface, unless its newest version is this one.
async fn publish(directory: &mut Directory, service: Service) -> anyhow::Result<Service> {
    let document = descriptors(&[SERVICE])?;
    let sha256 = hex::encode(digest::digest(&digest::SHA256, &document));
    if service.interface_version > 0 {
        let request = ListInterfacesRequest {
            service_id: service.service_id.clone(),
            page_size: 1,
            page_token: String::new(),
        };
        let newest = directory
            .list_interfaces(request)
            .await
            .map_err(|status| refused(&status))?
            .into_inner()
            .interfaces;
        if newest.first().is_some_and(|newest| newest.sha256 == sha256) {
            return Ok(service);
        }
    }
    let request = PublishInterfaceRequest {
        request_id: request_id(
            AREA,
            PROVIDER,
            format!("interface {} {sha256}", service.interface_version).as_bytes(),
        ),
        service_id: service.service_id,
        etag: service.etag,
        document,
        accept_breaking: false,
        breaking_reason: String::new(),
    };
    let answer = directory
        .publish_interface(request)
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    answer.service.context("the service answered without the service")
}

/// Points the service at the stack as it listens now, and nowhere else: it may have been started on another port since.
async fn point(directory: &mut Directory, service: &Service, url: &str) -> anyhow::Result<()> {
    let address = format!("grpc://{}", url.trim_start_matches("http://"));
    let mut there = false;
    for endpoint in &service.endpoints {
        if endpoint.url == address && endpoint.state() == EndpointState::Active {
            there = true;
            continue;
        }
        let request = ChangeEndpointRequest {
            request_id: SystemIds::default().uuid().to_string(),
            service_id: service.service_id.clone(),
            endpoint_id: endpoint.endpoint_id.clone(),
            weight: endpoint.weight,
            state: EndpointState::Removed.into(),
            reason: "the stack listens elsewhere now".to_owned(),
        };
        directory
            .change_endpoint(request)
            .await
            .map_err(|status| refused(&status))?;
    }
    if there {
        return Ok(());
    }
    let request = AddEndpointRequest {
        // Another one each time: an address may come back after it was removed.
        request_id: SystemIds::default().uuid().to_string(),
        service_id: service.service_id.clone(),
        url: address,
        weight: 1,
        health_path: String::new(),
    };
    directory
        .add_endpoint(request)
        .await
        .map_err(|status| refused(&status))?;
    Ok(())
}

/// The agreement between a partner and the sandbox, signed by both: the one that stands, or a new one.
pub(super) async fn agree(desk: &Desk, partner: &Party, name: &str, sandbox: &Sandbox) -> anyhow::Result<Agreement> {
    let mut ours = AgreementServiceClient::new(partner.line.clone());
    let all = pages(async |page_token| {
        let request = ListAgreementsRequest {
            page_size: 200,
            page_token,
            service_id: sandbox.service_id.clone(),
            system_id: partner.system_id.clone(),
        };
        let answer = ours.list_agreements(request).await?.into_inner();
        Ok((answer.agreements, answer.next_page_token))
    })
    .await?;
    let ended = |one: &Agreement| matches!(one.state(), AgreementState::Revoked | AgreementState::Expired);
    let before = all.iter().filter(|one| ended(one)).count();
    let mut agreement = match all.into_iter().find(|one| !ended(one)) {
        Some(standing) => standing,
        None => {
            let request = CreateAgreementRequest {
                request_id: request_id(AREA, name, format!("agreement {before}").as_bytes()),
                consumer_system_id: partner.system_id.clone(),
                service_id: sandbox.service_id.clone(),
                terms: Some(terms(desk)),
            };
            let drafted = ours
                .create_agreement(request)
                .await
                .map_err(|status| refused(&status))?
                .into_inner();
            drafted.agreement.unwrap_or_default()
        }
    };
    if agreement.state() == AgreementState::Suspended {
        return Err(Problem::new(
            format!("the agreement {} is suspended", agreement.agreement_id),
            "whoever suspended it resumes it: cargo egov call ResumeAgreement … --token \"$(cargo egov partner token NAME)\"",
        )
        .into());
    }
    if agreement.state() == AgreementState::Draft {
        let request = OfferAgreementRequest {
            request_id: request_id(AREA, name, format!("offer {}", agreement.agreement_id).as_bytes()),
            agreement_id: agreement.agreement_id.clone(),
            etag: agreement.etag.clone(),
        };
        let offered = ours.offer_agreement(request).await.map_err(|status| refused(&status))?;
        agreement = offered.into_inner().agreement.unwrap_or_default();
    }
    for (side, party, word) in [
        (Side::Consumer, partner, "consumer"),
        (Side::Provider, &sandbox.provider, "provider"),
    ] {
        let Some(pending) = &agreement.pending else { break };
        if pending.signatures.iter().any(|signature| signature.side() == side) {
            continue;
        }
        let request = SignAgreementRequest {
            request_id: request_id(AREA, name, format!("sign {word} {}", agreement.agreement_id).as_bytes()),
            agreement_id: agreement.agreement_id.clone(),
            side: side.into(),
            agreement_version: pending.agreement_version,
            jws: party.signing_key.detached(&pending.canonical),
        };
        let signed = AgreementServiceClient::new(party.line.clone())
            .sign_agreement(request)
            .await
            .map_err(|status| refused(&status))?;
        agreement = signed.into_inner().agreement.unwrap_or_default();
    }
    desk.tell(
        "agreement",
        format!("{} is signed by both sides", agreement.agreement_id),
    );
    Ok(agreement)
}

/// What the sandbox lets through.
fn terms(desk: &Desk) -> AgreementTerms {
    let now = desk.clock.now();
    AgreementTerms {
        methods: METHODS
            .iter()
            .map(|(method, mask)| MethodTerms {
                method: (*method).to_owned(),
                predicates: Vec::new(),
                mask: mask.iter().map(|path| (*path).to_owned()).collect(),
            })
            .collect(),
        purpose: "Thử nghiệm kết nối; dữ liệu công khai, không có dữ liệu cá nhân".to_owned(),
        legal_basis: "NĐ 278/2025/NĐ-CP".to_owned(),
        calls_per_minute: 120,
        calls_per_day: 10_000,
        concurrent_calls: 8,
        valid_from: Some(timestamp(now)),
        valid_to: Some(timestamp(now + SignedDuration::from_hours(24 * DAYS))),
        ..AgreementTerms::default()
    }
}

/// A topic of the sandbox to which the partner may publish and subscribe, to try events out.
pub(super) async fn topic(desk: &Desk, partner: &Party, name: &str, sandbox: &Sandbox) -> anyhow::Result<Topic> {
    let topic_name = format!("sandbox.{}", name.replace('.', "-"));
    let mut events = EventServiceClient::new(sandbox.provider.line.clone());
    let request = ListTopicsRequest {
        name: topic_name.clone(),
        ..ListTopicsRequest::default()
    };
    let known = events
        .list_topics(request)
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    if let Some(known) = known.topics.into_iter().next() {
        return Ok(known);
    }
    let request = CreateTopicRequest {
        request_id: request_id(AREA, PROVIDER, format!("topic {topic_name}").as_bytes()),
        name: topic_name,
        unit_id: sandbox.provider.unit_id,
        schema: "https://egov.local/schemas/sandbox".to_owned(),
        schema_version: 1,
        max_age: None,
        max_bytes: 16 << 20,
        grants: vec![TopicGrant {
            client_id: partner.account_id.clone(),
            publish: true,
            subscribe: true,
        }],
        json_schema: String::new(),
    };
    let made = events
        .create_topic(request)
        .await
        .map_err(|status| refused(&status))?
        .into_inner()
        .topic
        .unwrap_or_default();
    desk.tell("topic", format!("{} is yours to publish and subscribe to", made.name));
    Ok(made)
}
