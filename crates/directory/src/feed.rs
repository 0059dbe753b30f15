//! Where the tree and the revocations come from.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egov_fault::{Fault, fault_of};
use egov_proto::egov::identity::v1::key_service_client::KeyServiceClient;
use egov_proto::egov::identity::v1::unit_service_client::UnitServiceClient;
use egov_proto::egov::identity::v1::{
    GetTreeSnapshotRequest, GetTreeSnapshotResponse, ListRevocationsRequest, ListRevocationsResponse,
};
use tonic::transport::{Channel, Endpoint};

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
        let endpoint = Endpoint::from_shared(address.to_owned())?
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(5));
        Ok(Self::new(endpoint.connect_lazy()))
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
