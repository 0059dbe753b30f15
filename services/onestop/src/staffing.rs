//! Who holds which role where: identity knows it, one-stop asks.
//!
//! One-stop has no right of its own to look into accounts. It asks with the token of the caller who checks a definition, so that
//! nobody learns more by it than identity would tell them. Identity shows grants in the caller's scope only, and does not say how
//! far that reaches; what it does say is where the caller may *give* a role ([`ListRoles`]). By identity's policies whoever may
//! give a role at a unit sees who holds it there; about other units nothing is said, rather than that nobody holds it.
//!
//! [`ListRoles`]: egov_proto::egov::identity::v1::ListRolesRequest

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use egov_proto::egov::identity::v1::access_service_client::AccessServiceClient;
use egov_proto::egov::identity::v1::{ListRoleGrantsRequest, ListRolesRequest, Role};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Where a role is held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldAt {
    /// Units at which the caller can see who holds the role, each with whether everything below it is seen too.
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

/// Grants of one page.
const PAGE: i32 = 200;

/// Most pages that are read of one role; a province has some thousand grants.
const MOST_PAGES: usize = 100;

impl IdentityHolders {
    /// Identity behind a channel.
    pub fn new(channel: Channel) -> Self {
        Self {
            access: AccessServiceClient::new(channel),
        }
    }

    async fn all_held(&self, wanted: &BTreeSet<String>, token: &str) -> Result<BTreeMap<String, HeldAt>, Status> {
        let roles = self
            .access
            .clone()
            .list_roles(bearing(ListRolesRequest { unit_id: 0 }, token)?)
            .await?
            .into_inner()
            .roles;
        let mut held = BTreeMap::new();
        for Role { role, grantable_at, .. } in roles.into_iter().filter(|role| wanted.contains(&role.role)) {
            if grantable_at.is_empty() {
                continue;
            }
            let seen = grantable_at
                .iter()
                .map(|place| (place.unit_id, place.and_below))
                .collect();
            let units = self.units_of(&role, token).await?;
            held.insert(role, HeldAt { seen, units });
        }
        Ok(held)
    }

    async fn units_of(&self, role: &str, token: &str) -> Result<BTreeSet<i32>, Status> {
        let mut units = BTreeSet::new();
        let mut page_token = String::new();
        for _ in 0..MOST_PAGES {
            let request = ListRoleGrantsRequest {
                page_size: PAGE,
                page_token,
                role: role.to_owned(),
                ..ListRoleGrantsRequest::default()
            };
            let page = self
                .access
                .clone()
                .list_role_grants(bearing(request, token)?)
                .await?
                .into_inner();
            units.extend(
                page.grants
                    .iter()
                    .filter_map(|entry| entry.grant.as_ref())
                    .map(|grant| grant.unit_id),
            );
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(units);
            }
        }
        // A list that was not read to its end says nothing of who is missing in it.
        Err(Status::out_of_range("more grants than are read"))
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
                // A check of a definition goes on without it, and says so.
                tracing::info!(code = ?status.code(), "identity does not tell who holds which role");
                BTreeMap::new()
            }
        }
    }
}
