//! Where the tree and the revocations come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egov_fault::{Fault, fault_of};
use egov_proto::egov::identity::v1::key_service_client::KeyServiceClient;
use egov_proto::egov::identity::v1::unit_service_client::UnitServiceClient;
use egov_proto::egov::identity::v1::{
    GetTreeSnapshotRequest, GetTreeSnapshotResponse, ListRevocationsRequest, ListRevocationsResponse,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Identity, as far as a directory follows it.
#[async_trait]
pub trait Feed: Send + Sync + 'static {
    /// The signed tree; without bytes if `known_version` is the present one.
    async fn tree(&self, known_version: i64) -> Result<GetTreeSnapshotResponse, Fault>;

    /// What was revoked after a position, oldest first.
    async fn revocations(&self, after: i64) -> Result<ListRevocationsResponse, Fault>;
}

#[async_trait]
impl<F: Feed + ?Sized> Feed for Arc<F> {
    async fn tree(&self, known_version: i64) -> Result<GetTreeSnapshotResponse, Fault> {
        F::tree(self, known_version).await
    }

    async fn revocations(&self, after: i64) -> Result<ListRevocationsResponse, Fault> {
        F::revocations(self, after).await
    }
}

/// The largest tree that is taken: some hundred thousand units.
const TREE_BYTES: usize = 32 * 1024 * 1024;

/// How identity proves itself to this service, and this service to identity; all PEM.
#[derive(Clone)]
pub struct FeedTls {
    /// The authority of identity's certificate. No other is trusted.
    pub authority: String,
    /// This service's certificate chain and key, where identity wants one (mTLS).
    pub client: Option<(String, String)>,
}

/// Why the files of a feed's TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FeedTlsError {
    /// A file cannot be read.
    #[error("{} cannot be read (identity)", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate without its key, or the other way round, or both without an authority.
    #[error(
        "identity.certificate and identity.key belong together, and identity.ca to them: give all of them or only the ca"
    )]
    Incomplete,
}

impl FeedTls {
    /// Reads it from files: the authority, and this service's certificate and key. `None` if none is named.
    ///
    /// # Errors
    /// [`FeedTlsError`].
    pub fn read(
        authority: Option<&Path>,
        certificate: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Option<Self>, FeedTlsError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| FeedTlsError::Unreadable {
                path: path.to_owned(),
                source,
            })
        };
        let (authority, client) = match (authority, certificate, key) {
            (None, None, None) => return Ok(None),
            (Some(authority), None, None) => (read(authority)?, None),
            (Some(authority), Some(certificate), Some(key)) => {
                (read(authority)?, Some((read(certificate)?, read(key)?)))
            }
            _ => return Err(FeedTlsError::Incomplete),
        };
        Ok(Some(Self { authority, client }))
    }
}

impl std::fmt::Debug for FeedTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedTls")
            .field("client", &self.client.is_some())
            .finish_non_exhaustive()
    }
}

fn endpoint(address: &str) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(address.to_owned())?
        .connect_timeout(Duration::from_secs(2))
        .timeout(Duration::from_secs(5)))
}

/// The way to identity at an address, connected when first asked and again when the connection is lost; over TLS if there is any.
/// For what is asked of identity beside its feed. A call takes five seconds at most.
pub fn identity_channel(address: &str, tls: Option<&FeedTls>) -> Result<Channel, tonic::transport::Error> {
    let Some(tls) = tls else {
        return Ok(endpoint(address)?.connect_lazy());
    };
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.authority));
    if let Some((certificate, key)) = &tls.client {
        config = config.identity(Identity::from_pem(certificate, key));
    }
    Ok(endpoint(address)?.tls_config(config)?.connect_lazy())
}

/// Identity over gRPC.
#[derive(Clone, Debug)]
pub struct GrpcFeed {
    units: UnitServiceClient<Channel>,
    keys: KeyServiceClient<Channel>,
}

impl GrpcFeed {
    /// Identity behind a channel. The channel says how it is reached: TLS, client certificate, time limits.
    pub fn new(channel: Channel) -> Self {
        Self {
            units: UnitServiceClient::new(channel.clone()).max_decoding_message_size(TREE_BYTES),
            keys: KeyServiceClient::new(channel),
        }
    }

    /// Identity at an address, connected when first asked and again when the connection is lost. A call takes five seconds
    /// at most.
    pub fn lazy(address: &str) -> Result<Self, tonic::transport::Error> {
        Ok(Self::new(endpoint(address)?.connect_lazy()))
    }

    /// The same over TLS if there is any: then the address is an `https` one.
    pub fn reach(address: &str, tls: Option<&FeedTls>) -> Result<Self, tonic::transport::Error> {
        Ok(Self::new(identity_channel(address, tls)?))
    }

    /// The same over TLS, for an `https` address.
    pub fn lazy_tls(address: &str, tls: &FeedTls) -> Result<Self, tonic::transport::Error> {
        Self::reach(address, Some(tls))
    }
}

#[async_trait]
impl Feed for GrpcFeed {
    async fn tree(&self, known_version: i64) -> Result<GetTreeSnapshotResponse, Fault> {
        // A clone of a client shares its connection.
        self.units
            .clone()
            .get_tree_snapshot(GetTreeSnapshotRequest { known_version })
            .await
            .map(tonic::Response::into_inner)
            .map_err(|status| fault_of(&status))
    }

    async fn revocations(&self, after: i64) -> Result<ListRevocationsResponse, Fault> {
        self.keys
            .clone()
            .list_revocations(ListRevocationsRequest { after })
            .await
            .map(tonic::Response::into_inner)
            .map_err(|status| fault_of(&status))
    }
}
