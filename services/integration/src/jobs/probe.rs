//! Looks at endpoints: gRPC by the health protocol, HTTP by a path. What it sees is shown to operators; the mediation judges
//! by what its own calls meet. It looks from inside, and shows what it sees: so only where an endpoint may lie, by what its name
//! leads to when it looks.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_clock::Clock as _;
use egov_database::Database;
use egov_door::Destinations;
use egov_fault::Fault;
use futures::StreamExt as _;
use http::Uri;
use hyper_util::rt::TokioIo;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio_util::sync::CancellationToken;
use tonic::transport::{ClientTlsConfig, Endpoint as Address};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::service_fn;

use crate::domain::endpoint::{Endpoint, Health, place_of};
use crate::error::Error;
use crate::store;

const LEASE: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(3);
const AT_ONCE: usize = 16;

/// Looks until it is told to stop; one process of the service at a time. What fails is tried again in the next round.
pub(super) async fn run(database: &Database, destinations: &Arc<Destinations>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(fault) = round(database, destinations).await {
            tracing::warn!(error = ?fault, "the endpoints could not be looked at");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn round(database: &Database, destinations: &Arc<Destinations>) -> Result<(), Fault> {
    if let Some(lease) = database.acquire_lease("integration.endpoints", LEASE).await? {
        let looked = probe_once(database, destinations).await;
        lease.release().await?;
        looked?;
    }
    Ok(())
}

/// Looks at every endpoint once, where it lies at such a destination; how many.
///
/// # Errors
/// The store's. That an endpoint does not answer, or may not be looked at, is what is recorded.
pub async fn probe_once(database: &Database, destinations: &Arc<Destinations>) -> Result<usize, Fault> {
    let everything = RowScope::everything();
    let endpoints = database
        .read(&everything, async |conn| {
            store::endpoints::of_services(conn, None).await.map_err(Error::from)
        })
        .await?;
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Judged::of(&endpoints, destinations))
        .build()
        .map_err(Fault::internal)?;
    let clock = database.clock().clone();
    let seen: Vec<(Endpoint, Health)> = futures::stream::iter(endpoints)
        .map(|endpoint| {
            let (client, clock, destinations) = (client.clone(), clock.clone(), Arc::clone(destinations));
            async move {
                let begun = clock.now();
                let answer = look(&client, &destinations, &endpoint).await;
                let now = clock.now();
                let took = now.duration_since(begun).as_millis();
                let health = Health {
                    healthy: answer.is_ok(),
                    detail: answer.unwrap_or_else(|problem| problem),
                    latency_ms: i32::try_from(took).unwrap_or(i32::MAX),
                    check_time: now,
                };
                (endpoint, health)
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let count = seen.len();
    database
        .write_unkeyed(&everything, async |unit| {
            for (endpoint, health) in &seen {
                store::endpoints::record_health(unit.conn(), endpoint, health).await?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    Ok(count)
}

/// What HTTP's client finds for the names of endpoints: the addresses that may be connected to.
struct Judged {
    destinations: Arc<Destinations>,
    /// The ports of the endpoints with a name: the client asks for a name alone.
    ports: HashMap<String, BTreeSet<u16>>,
}

impl Judged {
    fn of(endpoints: &[Endpoint], destinations: &Arc<Destinations>) -> Self {
        let mut ports: HashMap<String, BTreeSet<u16>> = HashMap::new();
        for (host, port) in endpoints.iter().filter_map(|endpoint| place_of(&endpoint.url)) {
            ports.entry(host.to_ascii_lowercase()).or_default().insert(port);
        }
        Self {
            destinations: Arc::clone(destinations),
            ports,
        }
    }
}

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_ascii_lowercase();
        let ports = self.ports.get(&host).cloned().unwrap_or_default();
        let destinations = Arc::clone(&self.destinations);
        Box::pin(async move {
            // Whichever of the ports is meant, it may be connected to at each of these.
            let mut common: Option<Vec<IpAddr>> = None;
            for port in ports {
                let found = destinations.addresses(&host, port).await?;
                let found: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
                common = Some(match common {
                    None => found,
                    Some(before) => before.into_iter().filter(|ip| found.contains(ip)).collect(),
                });
            }
            let common = common.unwrap_or_default();
            let addresses: Addrs = Box::new(common.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

/// What an endpoint answers, in a word; or why it is not well.
async fn look(
    client: &reqwest::Client,
    destinations: &Arc<Destinations>,
    endpoint: &Endpoint,
) -> Result<String, String> {
    let (host, port) = place_of(&endpoint.url).ok_or_else(|| "it names no host".to_owned())?;
    // An address that is no name is not asked for again below, and what is refused shall be said in these words.
    if let Err(error) = destinations.addresses(&host, port).await
        && error.kind() == io::ErrorKind::PermissionDenied
    {
        return Err(said(&error));
    }
    match endpoint.url.split_once("://") {
        Some(("grpc", rest)) => look_grpc(destinations, format!("http://{rest}"), false).await,
        Some(("grpcs", rest)) => look_grpc(destinations, format!("https://{rest}"), true).await,
        _ => {
            let path = if endpoint.health_path.is_empty() {
                "/"
            } else {
                &endpoint.health_path
            };
            let answer = client.get(format!("{}{path}", endpoint.url)).send().await;
            let status = answer.map_err(|error| said(&error.without_url()))?.status();
            if status.is_success() || status.is_redirection() {
                Ok(status.to_string())
            } else {
                Err(status.to_string())
            }
        }
    }
}

async fn look_grpc(destinations: &Arc<Destinations>, address: String, tls: bool) -> Result<String, String> {
    let mut address = Address::from_shared(address)
        .map_err(|error| said(&error))?
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE);
    if tls {
        address = address
            .tls_config(ClientTlsConfig::new().with_enabled_roots())
            .map_err(|error| said(&error))?;
    }
    let destinations = Arc::clone(destinations);
    let connector = service_fn(move |uri: Uri| {
        let destinations = Arc::clone(&destinations);
        async move {
            let (host, port) = place_of(&uri.to_string()).ok_or_else(|| io::Error::other("it names no host"))?;
            destinations.connect(&host, port).await.map(TokioIo::new)
        }
    });
    let channel = address
        .connect_with_connector(connector)
        .await
        .map_err(|error| said(&error))?;
    let request = HealthCheckRequest { service: String::new() };
    match HealthClient::new(channel).check(request).await {
        Ok(answer) if answer.get_ref().status == ServingStatus::Serving as i32 => Ok("SERVING".to_owned()),
        Ok(answer) => Err(ServingStatus::try_from(answer.get_ref().status)
            .map_or("UNKNOWN", |status| status.as_str_name())
            .to_owned()),
        // It is up and does not offer the protocol: that is no sign of illness.
        Err(status) if status.code() == tonic::Code::Unimplemented => Ok("up, without health protocol".to_owned()),
        Err(status) => Err(format!("{:?}", status.code())),
    }
}

/// An error in at most 200 characters.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    text.chars().take(200).collect()
}
