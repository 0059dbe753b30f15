//! Two agencies with a service between them and agreements in force, made as everybody makes them: by the RPCs.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use egov_clock::{Clock as _, Ids as _, SystemClock, SystemIds};
use egov_proto::egov::integration::v1::agreement_service_client::AgreementServiceClient;
use egov_proto::egov::integration::v1::interface_service_client::InterfaceServiceClient;
use egov_proto::egov::integration::v1::organisation_service_client::OrganisationServiceClient;
use egov_proto::egov::integration::v1::system_service_client::SystemServiceClient;
use egov_proto::egov::integration::v1::{
    AddEndpointRequest, AddSigningKeyRequest, Agreement, AgreementTerms, CreateAgreementRequest, InterfaceKind,
    MethodTerms, OfferAgreementRequest, Organisation, PublishInterfaceRequest, RegisterOrganisationRequest,
    RegisterServiceRequest, RegisterSystemRequest, Service, Side, SignAgreementRequest, System,
};
use egov_proto::timestamp;
use jiff::SignedDuration;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::stage::{Agency, Running, Stage};
use crate::client::{self, Carrier};
use crate::partner::Key;

type Clients = InterceptedService<Channel, Carrier>;

/// What two parties agree about one method.
pub(super) struct Wanted<'a> {
    /// The client id of the system that will call.
    pub(super) client_id: &'a str,
    /// The method.
    pub(super) method: &'a str,
    /// The fields of the answer that may leave; none for all.
    pub(super) mask: Vec<String>,
}

/// One side: its system, its key, and whoever keeps both at its agency.
struct Party {
    clients: Clients,
    system: System,
    key: Key,
}

/// Registers a provider with one service at `upstream` (`http://host:port`), and for each of `wanted` a consumer with an agreement
/// that both have signed.
pub(super) async fn agree(
    stage: &Stage,
    running: &Running,
    document: &[u8],
    upstream: &str,
    wanted: &[Wanted<'_>],
) -> anyhow::Result<()> {
    let channel = client::connect(&running.url).await?;
    let mut agencies = stage.agencies.iter();
    let mut next = || {
        let agency = agencies.next().context("there are not enough communes")?;
        let token = stage.official(running, "integration_partner", agency)?;
        let clients = InterceptedService::new(channel.clone(), Carrier::token(token));
        anyhow::Ok((agency, clients))
    };
    let (agency, clients) = next()?;
    let provider = Party::register(stage.data(), agency, clients, "bench-provider").await?;
    let service = provider.service(document, upstream).await?;
    for one in wanted {
        let (agency, clients) = next()?;
        let consumer = Party::register(stage.data(), agency, clients, one.client_id).await?;
        let agreement = consumer.draft(&service, one).await?;
        let agreement = consumer.sign(agreement, Side::Consumer).await?;
        provider.sign(agreement, Side::Provider).await?;
    }
    Ok(())
}

impl Party {
    async fn register(folder: &Path, agency: &Agency, clients: Clients, client_id: &str) -> anyhow::Result<Self> {
        let mut organisations = OrganisationServiceClient::new(clients.clone());
        let request = RegisterOrganisationRequest {
            request_id: request_id(),
            responsible_unit_id: agency.unit_id,
            name: format!("Đơn vị {}", agency.unit_code),
            member_class: "GOV".to_owned(),
            member_code: agency.unit_code.clone(),
            unit_id: agency.unit_id,
            contact: "Văn phòng".to_owned(),
            agency_codes: Vec::new(),
        };
        let answer = organisations.register_organisation(request).await?.into_inner();
        let organisation: Organisation = answer.organisation.context("no organisation was registered")?;
        let mut systems = SystemServiceClient::new(clients.clone());
        let request = RegisterSystemRequest {
            request_id: request_id(),
            organisation_id: organisation.organisation_id,
            name: client_id.to_owned(),
            client_id: client_id.to_owned(),
            subsystem_code: "bench".to_owned(),
        };
        let answer = systems.register_system(request).await?.into_inner();
        let system = answer.system.context("no system was registered")?;
        let (key, _) = Key::open_or_make(&folder.join(format!("{client_id}.pem")))?;
        let request = AddSigningKeyRequest {
            request_id: request_id(),
            system_id: system.system_id,
            etag: system.etag,
            public_jwk: key.public_jwk(),
            valid_from: None,
            valid_to: Some(timestamp(SystemClock::shared().now() + SignedDuration::from_hours(24))),
        };
        let answer = systems.add_signing_key(request).await?.into_inner();
        Ok(Self {
            clients,
            system: answer.system.context("no key was added")?,
            key,
        })
    }

    async fn service(&self, document: &[u8], upstream: &str) -> anyhow::Result<Service> {
        let mut interfaces = InterfaceServiceClient::new(self.clients.clone());
        let request = RegisterServiceRequest {
            request_id: request_id(),
            system_id: self.system.system_id.clone(),
            code: "echo".to_owned(),
            title: "Echo".to_owned(),
            kind: InterfaceKind::Grpc.into(),
        };
        let answer = interfaces.register_service(request).await?.into_inner();
        let service = answer.service.context("no service was registered")?;
        let request = PublishInterfaceRequest {
            request_id: request_id(),
            service_id: service.service_id,
            etag: service.etag,
            document: document.to_vec(),
            accept_breaking: false,
            breaking_reason: String::new(),
        };
        let answer = interfaces.publish_interface(request).await?.into_inner();
        let service = answer.service.context("no interface was published")?;
        let request = AddEndpointRequest {
            request_id: request_id(),
            service_id: service.service_id.clone(),
            url: upstream.replacen("http://", "grpc://", 1),
            weight: 1,
            health_path: String::new(),
        };
        interfaces.add_endpoint(request).await?;
        Ok(service)
    }

    async fn draft(&self, service: &Service, wanted: &Wanted<'_>) -> anyhow::Result<Agreement> {
        let mut agreements = AgreementServiceClient::new(self.clients.clone());
        let now = SystemClock::shared().now();
        let terms = AgreementTerms {
            methods: vec![MethodTerms {
                method: wanted.method.to_owned(),
                predicates: Vec::new(),
                mask: wanted.mask.clone(),
            }],
            purpose: "đo tốc độ".to_owned(),
            legal_basis: "NĐ 278/2025/NĐ-CP".to_owned(),
            // A limit that is counted and never reached.
            calls_per_minute: 100_000_000,
            concurrent_calls: 1000,
            valid_from: Some(timestamp(now)),
            valid_to: Some(timestamp(now + SignedDuration::from_hours(24))),
            ..AgreementTerms::default()
        };
        let request = CreateAgreementRequest {
            request_id: request_id(),
            consumer_system_id: self.system.system_id.clone(),
            service_id: service.service_id.clone(),
            terms: Some(terms),
        };
        let answer = agreements.create_agreement(request).await?.into_inner();
        let agreement = answer.agreement.context("no agreement was drafted")?;
        let request = OfferAgreementRequest {
            request_id: request_id(),
            agreement_id: agreement.agreement_id,
            etag: agreement.etag,
        };
        let answer = agreements.offer_agreement(request).await?.into_inner();
        answer.agreement.context("no agreement was offered")
    }

    async fn sign(&self, agreement: Agreement, side: Side) -> anyhow::Result<Agreement> {
        let mut agreements = AgreementServiceClient::new(self.clients.clone());
        let pending = agreement.pending.context("the agreement has nothing to sign")?;
        let request = SignAgreementRequest {
            request_id: request_id(),
            agreement_id: agreement.agreement_id,
            side: side.into(),
            agreement_version: pending.agreement_version,
            jws: self.key.detached(&pending.canonical),
        };
        let answer = agreements.sign_agreement(request).await?.into_inner();
        answer.agreement.context("no agreement was signed")
    }
}

fn request_id() -> String {
    SystemIds::shared().uuid().to_string()
}

/// How long an agreement may take until it is in force everywhere.
pub(super) const IN_FORCE: Duration = Duration::from_secs(5);
