//! Looks at endpoints: gRPC by the health protocol, HTTP by a path. What it sees is shown to operators; the mediation judges
//! by what its own calls meet.

use std::time::Duration;

use egov_auth::RowScope;
use egov_clock::Clock as _;
use egov_database::Database;
use egov_fault::Fault;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::transport::{ClientTlsConfig, Endpoint as Address};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::domain::endpoint::{Endpoint, Health};
use crate::error::Error;
use crate::store;

const LEASE: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(3);
const AT_ONCE: usize = 16;

/// Looks until it is told to stop; one process of the service at a time. What fails is tried again in the next round.
pub(super) async fn run(database: &Database, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(fault) = round(database).await {
            tracing::warn!(error = ?fault, "the endpoints could not be looked at");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn round(database: &Database) -> Result<(), Fault> {
    if let Some(lease) = database.acquire_lease("integration.endpoints", LEASE).await? {
        let looked = probe_once(database).await;
        lease.release().await?;
        looked?;
    }
    Ok(())
}

/// Looks at every endpoint once; how many.
///
/// # Errors
/// The store's. That an endpoint does not answer is what is recorded.
pub async fn probe_once(database: &Database) -> Result<usize, Fault> {
    let everything = RowScope::everything();
    let endpoints = database
        .read(&everything, async |conn| {
            store::endpoints::of_services(conn, None).await.map_err(Error::from)
        })
        .await?;
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(Fault::internal)?;
    let clock = database.clock().clone();
    let seen: Vec<(Endpoint, Health)> = futures::stream::iter(endpoints)
        .map(|endpoint| {
            let (client, clock) = (client.clone(), clock.clone());
            async move {
                let begun = clock.now();
                let answer = look(&client, &endpoint).await;
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

/// What an endpoint answers, in a word; or why it is not well.
async fn look(client: &reqwest::Client, endpoint: &Endpoint) -> Result<String, String> {
    match endpoint.url.split_once("://") {
        Some(("grpc", rest)) => look_grpc(format!("http://{rest}"), false).await,
        Some(("grpcs", rest)) => look_grpc(format!("https://{rest}"), true).await,
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

async fn look_grpc(address: String, tls: bool) -> Result<String, String> {
    let mut address = Address::from_shared(address)
        .map_err(|error| said(&error))?
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE);
    if tls {
        address = address
            .tls_config(ClientTlsConfig::new().with_enabled_roots())
            .map_err(|error| said(&error))?;
    }
    let channel = address.connect().await.map_err(|error| said(&error))?;
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
