//! Who holds which role where: identity knows it, one-stop asks.
//!
//! One-stop has no right of its own to look into accounts. It asks with the token of the caller who checks a definition, so that
//! nobody learns more by it than identity would tell them: units at which somebody holds a role, and at which units it looked
//! ([`ListRoleUnits`]), which the policies let whoever publishes definitions ask. No name and no person is in the answer. Of units at
//! which identity did not look nothing is said, rather than that nobody holds the role there.
//!
//! [`ListRoleUnits`]: egov_proto::egov::identity::v1::ListRoleUnitsRequest

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use egov_proto::egov::identity::v1::ListRoleUnitsRequest;
use egov_proto::egov::identity::v1::access_service_client::AccessServiceClient;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Where a role is held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldAt {
    /// Units at which was looked whether somebody holds the role, each with whether everything below it was looked at too.
    pub seen: Vec<(i32, bool)>,
    /// Units at which somebody holds it.
    pub units: BTreeSet<i32>,
}

/// Asks who holds roles where.
#[async_trait]
pub trait Holders: Send + Sync + 'static {
    /// Where each of these roles is held today, as far as the bearer of this token may know; a role is missing where nothing could
    /// be learned of it.
    async fn held(&self, roles: &BTreeSet<String>, token: &str) -> BTreeMap<String, HeldAt>;
}

/// Nobody to ask: nothing is known of any role.
#[derive(Debug, Clone, Copy, Default)]
pub struct NobodyKnows;

#[async_trait]
impl Holders for NobodyKnows {
    async fn held(&self, _roles: &BTreeSet<String>, _token: &str) -> BTreeMap<String, HeldAt> {
        BTreeMap::new()
    }
}

/// Identity over gRPC.
#[derive(Clone, Debug)]
pub struct IdentityHolders {
    access: AccessServiceClient<Channel>,
}

/// Most roles that one call asks for.
const AT_ONCE: usize = 100;

impl IdentityHolders {
    /// Identity behind a channel.
    pub fn new(channel: Channel) -> Self {
        Self {
            access: AccessServiceClient::new(channel),
        }
    }

    async fn all_held(&self, wanted: &BTreeSet<String>, token: &str) -> Result<BTreeMap<String, HeldAt>, Status> {
        let wanted: Vec<String> = wanted.iter().cloned().collect();
        let mut held = BTreeMap::new();
        for roles in wanted.chunks(AT_ONCE) {
            let request = ListRoleUnitsRequest {
                roles: roles.to_vec(),
                on: None,
            };
            let answer = self
                .access
                .clone()
                .list_role_units(bearing(request, token)?)
                .await?
                .into_inner();
            let seen: Vec<(i32, bool)> = answer
                .looked_at
                .iter()
                .map(|place| (place.unit_id, place.and_below))
                .collect();
            held.extend(answer.roles.into_iter().map(|role| {
                let units = role.unit_ids.into_iter().collect();
                (
                    role.role,
                    HeldAt {
                        seen: seen.clone(),
                        units,
                    },
                )
            }));
        }
        Ok(held)
    }
}

fn bearing<T>(message: T, token: &str) -> Result<Request<T>, Status> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}");
    let value = value
        .parse()
        .map_err(|_| Status::internal("a token that is no header"))?;
    request.metadata_mut().insert("authorization", value);
    Ok(request)
}

#[async_trait]
impl Holders for IdentityHolders {
    async fn held(&self, roles: &BTreeSet<String>, token: &str) -> BTreeMap<String, HeldAt> {
        match self.all_held(roles, token).await {
            Ok(held) => held,
            Err(status) => {
                // A check of a definition goes on without it, and says so: what is unknown keeps it from being published.
                tracing::info!(code = ?status.code(), "identity does not tell who holds which role");
                BTreeMap::new()
            }
        }
    }
}
