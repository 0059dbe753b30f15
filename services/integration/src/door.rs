//! The door of this service: its own port, on which other systems call one another by their agreements.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use egov_auth::{Revocations, Verifier};
use egov_database::Database;
pub use egov_door::MOST_CALLS;
use egov_door::{Authenticator, Destinations, Door, DoorLimits, DoorParts, Journal, Trust};
use egov_runtime::config::ServerConfig;
use egov_runtime::server::Beside;
use http::HeaderMap;
use jiff::SignedDuration;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::gatekeeper::Agreements;
use crate::journal::ExchangeJournal;
use crate::meters;
use crate::permits::PermitBook;
use crate::quotas::Leases;
use crate::rest::RestFront;

/// `[door]`: how systems come through the door, and whom the door believes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DoorSection {
    /// Its own port and the limits there.
    pub server: ServerConfig,
    /// Whether nobody comes without a client certificate. Production says yes.
    pub certificate_required: bool,
    /// The authorities that issue the certificates of providers, PEM; without it only `grpc` without encryption is reached.
    pub provider_ca: Option<PathBuf>,
    /// The certificate by which the door proves itself to providers, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The instance of X-Road under which existing clients find the services (`/r1/{instance}/…`); without it there is no façade.
    pub xroad_instance: Option<String>,
    /// For how many days sums of traffic are kept.
    pub traffic_days: u32,
    /// A folder that outlives the process, on a disk that outlives a crash, for it alone: there exchanges are recorded first, and
    /// shipped to the database from there. Without it a call waits for the database twice.
    pub journal_folder: Option<PathBuf>,
    /// The most calls under way at once, of all systems together.
    pub most_calls: usize,
}

/// For how many days sums of traffic are kept where nothing else is said: five years.
pub const TRAFFIC_DAYS: u32 = 1826;

impl Default for DoorSection {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            certificate_required: false,
            provider_ca: None,
            certificate: None,
            key: None,
            xroad_instance: None,
            traffic_days: TRAFFIC_DAYS,
            journal_folder: None,
            most_calls: MOST_CALLS,
        }
    }
}

impl DoorSection {
    /// The door's limits: those of its port, where the port has one.
    pub fn limits(&self) -> DoorLimits {
        let limits = &self.server.limits;
        DoorLimits {
            message_bytes: limits.message_bytes,
            deadline: limits.deadline.get(),
            deadline_max: limits.deadline_max.get(),
            ..DoorLimits::default()
        }
    }

    /// The door's port, beside the service's own.
    ///
    /// # Errors
    /// If nobody may listen there.
    pub async fn beside(self, router: Router) -> anyhow::Result<Beside> {
        let address = self.server.listen;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        Ok(Beside {
            name: "door",
            config: self.server,
            listener,
            router,
        })
    }

    /// Whom the door believes to be a provider, and how it proves itself there; none without `provider_ca`.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it should; a certificate without its key.
    pub fn trust(&self) -> anyhow::Result<Option<Trust>> {
        let Some(authorities) = &self.provider_ca else {
            anyhow::ensure!(
                self.certificate.is_none(),
                "door.certificate is given without door.provider_ca"
            );
            return Ok(None);
        };
        let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&read(authorities)?) {
            roots.add(certificate.context("door.provider_ca holds what is no certificate")?)?;
        }
        anyhow::ensure!(!roots.is_empty(), "door.provider_ca holds no certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match (&self.certificate, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let chain = CertificateDer::pem_slice_iter(&read(certificate)?).collect::<Result<Vec<_>, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&read(key)?)?)?
            }
            _ => anyhow::bail!("door.certificate and door.key go together"),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Trust(Arc::new(config))))
    }
}

/// What the door is given.
pub struct DoorGiven {
    /// Who verifies tokens.
    pub verifier: Arc<Verifier>,
    /// The revocations.
    pub revocations: Arc<Revocations>,
    /// Whether nobody comes without a client certificate.
    pub certificate_required: bool,
    /// Whom the door believes to be a provider.
    pub trust: Option<Trust>,
    /// The limits.
    pub limits: DoorLimits,
    /// The instance of X-Road of the façade; none without it.
    pub xroad_instance: Option<String>,
    /// For how many days sums of traffic are kept.
    pub traffic_days: u32,
    /// Where exchanges are recorded before they are shipped to the database; at once in the database without it.
    pub journal_folder: Option<PathBuf>,
    /// The most calls under way at once, of all systems together.
    pub most_calls: usize,
}

/// The door, and what keeps it knowing and recording.
pub(crate) struct Built {
    pub(crate) door: Door,
    pub(crate) agreements: Arc<Agreements>,
    pub(crate) journal: ExchangeJournal,
    /// How long sums of traffic are kept.
    pub(crate) traffic_kept: SignedDuration,
}

/// Puts the door together.
pub(crate) fn build(
    given: DoorGiven,
    endpoints: Arc<Destinations>,
    database: &Database,
    journal: ExchangeJournal,
    book: Arc<PermitBook>,
) -> Built {
    let traffic_kept = SignedDuration::from_hours(24 * i64::from(given.traffic_days));
    let agreements = Arc::new(Agreements::new(
        Arc::clone(&book),
        endpoints,
        given.trust,
        given.certificate_required,
        given.limits.message_bytes,
    ));
    meters::watch(&book, &agreements);
    let door = Door::new(DoorParts {
        authenticator: Authenticator::new(given.verifier, given.revocations, given.certificate_required),
        gatekeeper: Arc::clone(&agreements) as Arc<dyn egov_door::Gatekeeper>,
        journal: Arc::new(journal.clone()) as Arc<dyn Journal>,
        clock: database.clock().clone(),
        ids: database.ids().clone(),
        limits: given.limits,
    });
    door.share_quotas(Arc::new(Leases::new(database.clone())), given.most_calls);
    Built {
        door,
        agreements,
        journal,
        traffic_kept,
    }
}

/// What answers on the door's port: gRPC, gRPC-Web, which is gRPC whose trailers are part of the body, and REST/JSON of the
/// same interfaces.
pub(crate) fn router(door: Door, agreements: Arc<Agreements>) -> Router {
    let rest = RestFront::new(door.clone(), agreements);
    let grpc = service_fn(move |request: Request| {
        let door = door.clone();
        async move { Ok::<Response, Infallible>(door.grpc(request).await.map(Body::new)) }
    });
    let web = GrpcWebLayer::new().layer(Router::new().fallback_service(grpc.clone()));
    Router::new().fallback_service(service_fn(move |mut request: Request| {
        unspoken(request.headers_mut());
        let (grpc, web, rest) = (grpc.clone(), web.clone(), rest.clone());
        async move {
            if has_type(&request, "application/grpc-web") {
                let answer = web.oneshot(request).await?;
                Ok::<_, Infallible>(answer.map(Body::new))
            } else if has_type(&request, "application/grpc") {
                grpc.oneshot(request).await
            } else {
                Ok(Box::pin(rest.answer(request)).await)
            }
        }
    }))
}

/// Takes the headers of X-Road away: only its façade speaks them to a provider, about a client that it knows.
fn unspoken(headers: &mut HeaderMap) {
    let forged = |headers: &HeaderMap| {
        headers
            .keys()
            .find(|name| name.as_str().starts_with("x-road-"))
            .cloned()
    };
    while let Some(name) = forged(headers) {
        headers.remove(name);
    }
}

/// Whether the content type of a request begins so.
fn has_type(request: &Request, text: &str) -> bool {
    let media_type = request.headers().get(http::header::CONTENT_TYPE);
    media_type.is_some_and(|value| value.as_bytes().starts_with(text.as_bytes()))
}
