//! Where roles are held, as identity tells it to the bearer of a token.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use egov_onestop::staffing::{Holders as _, IdentityHolders};
use egov_proto::egov::identity::v1 as identity;
use egov_proto::egov::identity::v1::access_service_server::{AccessService, AccessServiceServer};
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};

/// Identity as the contract says it.
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
            async fn list_role_units(
                &self,
                request: Request<identity::ListRoleUnitsRequest>,
            ) -> Result<Response<identity::ListRoleUnitsResponse>, Status> {
                self.bearer(&request)?;
                let request = request.into_inner();
                assert!(request.on.is_none(), "as of today, by identity's clock");
                assert!((1..=100).contains(&request.roles.len()), "as many as the contract lets one call ask for");
                let roles = request.roles.into_iter().map(|role| identity::RoleUnits {
                    unit_ids: if role == "officer" { vec![2, 3, 4] } else { Vec::new() },
                    role,
                });
                Ok(Response::new(identity::ListRoleUnitsResponse {
                    roles: roles.collect(),
                    looked_at: vec![identity::UnitReach {
                        unit_id: 1,
                        and_below: true,
                    }],
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
    list_roles(ListRolesRequest) -> ListRolesResponse,
    list_role_grants(ListRoleGrantsRequest) -> ListRoleGrantsResponse,
    change_role_end(ChangeRoleEndRequest) -> ChangeRoleEndResponse,
    delegate_role(DelegateRoleRequest) -> DelegateRoleResponse,
    end_delegation(EndDelegationRequest) -> EndDelegationResponse,
    list_delegations(ListDelegationsRequest) -> ListDelegationsResponse,
    review_access(ReviewAccessRequest) -> ReviewAccessResponse,
    confirm_grant(ConfirmGrantRequest) -> ConfirmGrantResponse,
);

#[tokio::test]
async fn identity_is_asked_with_the_callers_token_and_what_it_does_not_tell_stays_unknown() {
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
    assert_eq!(held["officer"].units, BTreeSet::from([2, 3, 4]));
    assert_eq!(held["officer"].seen, [(1, true)]);
    assert_eq!(
        (held["unit_leader"].units.len(), held["unit_leader"].seen.as_slice()),
        (0, &[(1, true)][..]),
        "that nobody holds a role is known, and not unknown"
    );
    // More roles than one call may ask for are asked for in several.
    let many: BTreeSet<String> = (0..150).map(|number| format!("role_{number}")).collect();
    assert_eq!(holders.held(&many, "good").await.len(), 150);
    assert!(tokens.lock().unwrap().iter().all(|token| token == "Bearer good"));
    // A caller whom identity refuses, and an identity that is away, tell nothing.
    assert!(holders.held(&wanted, "bad").await.is_empty());
    server.abort();
    let _ = server.await;
    let away = IdentityHolders::new(Endpoint::from_shared("http://127.0.0.1:1").unwrap().connect_lazy());
    assert!(away.held(&wanted, "good").await.is_empty());
}
