//! The feed over TLS: identity must show a certificate of the named authority, and this service one that identity accepts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail loudly"
)]

use std::net::SocketAddr;

use egov_directory::{Feed as _, FeedTls, FeedTlsError, GrpcFeed};
use egov_proto::egov::identity::v1 as wire;
use egov_proto::egov::identity::v1::unit_service_server::{UnitService, UnitServiceServer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// An identity that knows one tree.
struct OneTree;

#[tonic::async_trait]
impl UnitService for OneTree {
    async fn get_unit(&self, _: Request<wire::GetUnitRequest>) -> Result<Response<wire::GetUnitResponse>, Status> {
        Err(Status::not_found("no unit"))
    }

    async fn list_units(
        &self,
        _: Request<wire::ListUnitsRequest>,
    ) -> Result<Response<wire::ListUnitsResponse>, Status> {
        Ok(Response::new(wire::ListUnitsResponse::default()))
    }

    async fn resolve_unit(
        &self,
        _: Request<wire::ResolveUnitRequest>,
    ) -> Result<Response<wire::ResolveUnitResponse>, Status> {
        Err(Status::not_found("no unit"))
    }

    async fn list_successors(
        &self,
        _: Request<wire::ListSuccessorsRequest>,
    ) -> Result<Response<wire::ListSuccessorsResponse>, Status> {
        Err(Status::not_found("no unit"))
    }

    async fn list_predecessors(
        &self,
        _: Request<wire::ListPredecessorsRequest>,
    ) -> Result<Response<wire::ListPredecessorsResponse>, Status> {
        Err(Status::not_found("no unit"))
    }

    async fn list_ancestors(
        &self,
        _: Request<wire::ListAncestorsRequest>,
    ) -> Result<Response<wire::ListAncestorsResponse>, Status> {
        Err(Status::not_found("no unit"))
    }

    async fn preview_reorganisation(
        &self,
        _: Request<wire::PreviewReorganisationRequest>,
    ) -> Result<Response<wire::PreviewReorganisationResponse>, Status> {
        Err(Status::permission_denied("nobody plans here"))
    }

    async fn create_reorganisation(
        &self,
        _: Request<wire::CreateReorganisationRequest>,
    ) -> Result<Response<wire::CreateReorganisationResponse>, Status> {
        Err(Status::permission_denied("nobody plans here"))
    }

    async fn list_reorganisations(
        &self,
        _: Request<wire::ListReorganisationsRequest>,
    ) -> Result<Response<wire::ListReorganisationsResponse>, Status> {
        Ok(Response::new(wire::ListReorganisationsResponse::default()))
    }

    async fn cancel_reorganisation(
        &self,
        _: Request<wire::CancelReorganisationRequest>,
    ) -> Result<Response<wire::CancelReorganisationResponse>, Status> {
        Err(Status::permission_denied("nobody plans here"))
    }

    async fn get_tree_snapshot(
        &self,
        _: Request<wire::GetTreeSnapshotRequest>,
    ) -> Result<Response<wire::GetTreeSnapshotResponse>, Status> {
        Ok(Response::new(wire::GetTreeSnapshotResponse {
            version: 7,
            ..Default::default()
        }))
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key for localhost.
fn issue(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, authority)
        .unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A server of `ours` that lets in who shows a certificate of `clients`.
async fn serve(ours: &Authority, clients: &Authority) -> SocketAddr {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (certificate, key) = issue(ours);
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(clients.pem()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(
        Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(UnitServiceServer::new(OneTree))
            .serve_with_incoming(incoming),
    );
    address
}

fn feed(address: SocketAddr, trusted: &Authority, client: Option<(String, String)>) -> GrpcFeed {
    let tls = FeedTls {
        authority: trusted.pem(),
        client,
    };
    GrpcFeed::lazy_tls(&format!("https://localhost:{}", address.port()), &tls).unwrap()
}

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    let (ours, clients) = (authority(), authority());
    let address = serve(&ours, &clients).await;
    let answer = feed(address, &ours, Some(issue(&clients))).tree(0).await.unwrap();
    assert_eq!(answer.version, 7);
}

#[tokio::test]
async fn an_identity_of_another_authority_is_not_believed() {
    let (ours, clients, others) = (authority(), authority(), authority());
    let address = serve(&ours, &clients).await;
    assert!(feed(address, &others, Some(issue(&clients))).tree(0).await.is_err());
}

#[tokio::test]
async fn a_service_without_or_with_a_foreign_certificate_learns_nothing() {
    let (ours, clients, others) = (authority(), authority(), authority());
    let address = serve(&ours, &clients).await;
    assert!(feed(address, &ours, None).tree(0).await.is_err());
    assert!(feed(address, &ours, Some(issue(&others))).tree(0).await.is_err());
}

#[tokio::test]
async fn both_sides_prove_who_they_are_with_what_lies_in_files() {
    let (ours, clients) = (authority(), authority());
    let address = serve(&ours, &clients).await;
    let (chain, key) = issue(&clients);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let authority = write("authority.pem", &ours.pem());
    let (chain, key) = (write("chain.pem", &chain), write("key.pem", &key));
    let tls = FeedTls::read(Some(&authority), Some(&chain), Some(&key)).unwrap();
    let feed = GrpcFeed::reach(&format!("https://localhost:{}", address.port()), tls.as_ref()).unwrap();
    assert_eq!(feed.tree(0).await.unwrap().version, 7);

    assert!(FeedTls::read(None, None, None).unwrap().is_none());
    for half in [
        FeedTls::read(Some(&authority), Some(&chain), None),
        FeedTls::read(Some(&authority), None, Some(&key)),
        FeedTls::read(None, Some(&chain), Some(&key)),
    ] {
        assert!(matches!(half, Err(FeedTlsError::Incomplete)), "{half:?}");
    }
    let missing = FeedTls::read(Some(&folder.path().join("none.pem")), None, None);
    assert!(missing.unwrap_err().to_string().contains("none.pem cannot be read"));
}
