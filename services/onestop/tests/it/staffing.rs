//! Where roles are held, as identity tells it to the bearer of a token.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use egov_onestop::staffing::{Holders as _, IdentityHolders};
use egov_proto::egov::identity::v1 as identity;
use egov_proto::egov::identity::v1::access_service_server::{AccessService, AccessServiceServer};
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};

/// Identity as the contract says it: one page a grant.
struct StandIn {
    tokens: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    fn bearer<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let header = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let token = header.ok_or_else(|| Status::unauthenticated("no token"))?;
        self.tokens.lock().unwrap().push(token.clone());
        if token == "Bearer good" {
            Ok(())
        } else {
            Err(Status::permission_denied("not this one"))
        }
    }
}

macro_rules! not_here {
    ($($method:ident($request:ident) -> $response:ident),* $(,)?) => {
        #[tonic::async_trait]
        impl AccessService for StandIn {
            async fn list_roles(
                &self,
                request: Request<identity::ListRolesRequest>,
            ) -> Result<Response<identity::ListRolesResponse>, Status> {
                self.bearer(&request)?;
                let role = |name: &str, places: &[(i32, bool)]| identity::Role {
                    role: name.to_owned(),
                    grantable_at: places
                        .iter()
                        .map(|(unit_id, and_below)| identity::GrantablePlace {
                            unit_id: *unit_id,
                            and_below: *and_below,
                        })
                        .collect(),
                    ..Default::default()
                };
                Ok(Response::new(identity::ListRolesResponse {
                    roles: vec![role("officer", &[(1, true)]), role("unit_leader", &[]), role("case_reader", &[(1, true)])],
                }))
            }

            async fn list_role_grants(
                &self,
                request: Request<identity::ListRoleGrantsRequest>,
            ) -> Result<Response<identity::ListRoleGrantsResponse>, Status> {
                self.bearer(&request)?;
                let request = request.into_inner();
                assert_eq!(request.role, "officer", "nothing is asked about other roles");
                let page: i32 = request.page_token.parse().unwrap_or_default();
                let grant = identity::RoleGrantEntry {
                    grant: Some(identity::RoleGrant {
                        unit_id: 2 + page,
                        ..Default::default()
                    }),
                    ..Default::default()
                };
                Ok(Response::new(identity::ListRoleGrantsResponse {
                    grants: vec![grant],
                    next_page_token: if page < 2 { (page + 1).to_string() } else { String::new() },
                }))
            }

            $(
                async fn $method(
                    &self,
                    _: Request<identity::$request>,
                ) -> Result<Response<identity::$response>, Status> {
                    Err(Status::unimplemented("not asked"))
                }
            )*
        }
    };
}

not_here!(
    change_role_end(ChangeRoleEndRequest) -> ChangeRoleEndResponse,
    delegate_role(DelegateRoleRequest) -> DelegateRoleResponse,
    end_delegation(EndDelegationRequest) -> EndDelegationResponse,
    list_delegations(ListDelegationsRequest) -> ListDelegationsResponse,
    review_access(ReviewAccessRequest) -> ReviewAccessResponse,
    confirm_grant(ConfirmGrantRequest) -> ConfirmGrantResponse,
);

#[tokio::test]
async fn identity_is_asked_with_the_callers_token_page_by_page_and_what_it_does_not_tell_stays_unknown() {
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = AccessServiceServer::new(StandIn {
        tokens: Arc::clone(&tokens),
    });
    let server = tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)),
    );
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    let holders = IdentityHolders::new(channel);
    let wanted = BTreeSet::from(["officer".to_owned(), "unit_leader".to_owned()]);
    let held = holders.held(&wanted, "good").await;
    assert_eq!(
        held.len(),
        1,
        "who may not give a role does not see who holds it: {held:?}"
    );
    assert_eq!(held["officer"].units, BTreeSet::from([2, 3, 4]));
    assert_eq!(held["officer"].seen, [(1, true)]);
    assert!(tokens.lock().unwrap().iter().all(|token| token == "Bearer good"));
    // A caller whom identity refuses, and an identity that is away, tell nothing.
    assert!(holders.held(&wanted, "bad").await.is_empty());
    server.abort();
    let _ = server.await;
    let away = IdentityHolders::new(Endpoint::from_shared("http://127.0.0.1:1").unwrap().connect_lazy());
    assert!(away.held(&wanted, "good").await.is_empty());
}
