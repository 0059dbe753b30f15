//! Encryption on a real port: reload under running connections, client certificates, refusals at start.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use egov_clock::{ManualClock, SystemClock, SystemIds};
use egov_runtime::config::{ClientCertificates, Period, ServerConfig};
use egov_runtime::server::{Drained, Server, Shutdown, StartError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{PATIENCE, Running, assembly, contract, echo, says, waits};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// An authority of its own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The files of a server.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, pem: &str) -> PathBuf {
        let path = self.0.path().join(name);
        // As certbot and Kubernetes do it: a new file takes the old one's place.
        let new = self.0.path().join(format!("{name}.new"));
        std::fs::write(&new, pem).unwrap();
        std::fs::rename(new, &path).unwrap();
        path
    }

    fn serve(&self, pair: &Pair, config: &mut ServerConfig) {
        config.tls.certificate = Some(self.put("server.pem", &pair.certificate));
        config.tls.key = Some(self.put("server.key", &pair.key));
    }
}

fn endpoint(running: &Running, authority: &Authority, identity: Option<&Pair>) -> Endpoint {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(authority.pem()))
        .domain_name("localhost");
    if let Some(pair) = identity {
        tls = tls.identity(Identity::from_pem(&pair.certificate, &pair.key));
    }
    Endpoint::from_shared(format!("https://{}", running.address))
        .unwrap()
        .tls_config(tls)
        .unwrap()
}

async fn connect(
    running: &Running,
    authority: &Authority,
    identity: Option<&Pair>,
) -> Result<Channel, tonic::transport::Error> {
    endpoint(running, authority, identity).connect().await
}

#[tokio::test]
async fn a_changed_certificate_is_served_to_new_connections_while_old_ones_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::new();
    let running = Running::echo(|config| {
        files.serve(&old.issue("localhost"), config);
        config.tls.reload = Period::millis(20);
    })
    .await;
    let early = connect(&running, &old, None).await.unwrap();
    echo(&early, says("before")).await.unwrap();
    assert!(
        connect(&running, &new, None).await.is_err(),
        "the new authority did not sign yet"
    );
    let in_progress = tokio::spawn({
        let early = early.clone();
        async move { echo(&early, waits(500)).await }
    });

    // Between the two writes the key does not fit: that must be refused, not served.
    let renewed = new.issue("localhost");
    files.put("server.pem", &renewed.certificate);
    sleep(Duration::from_millis(100)).await;
    assert!(
        connect(&running, &old, None).await.is_ok(),
        "the old pair stays until both files are new"
    );
    files.put("server.key", &renewed.key);

    let end = Instant::now() + PATIENCE;
    let late = loop {
        match connect(&running, &new, None).await {
            Ok(channel) => break channel,
            Err(error) => assert!(Instant::now() < end, "{error:?}"),
        }
        sleep(Duration::from_millis(10)).await;
    };
    echo(&late, says("after")).await.unwrap();
    assert!(
        connect(&running, &old, None).await.is_err(),
        "the old certificate is served no more"
    );
    in_progress.await.unwrap().unwrap();
    echo(&early, says("the old connection lives")).await.unwrap();
    assert_eq!(running.stop().await, Drained::default());
}

#[tokio::test]
async fn without_a_period_certificates_are_read_again_when_asked_for() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::new();
    let running = Running::echo(|config| {
        files.serve(&old.issue("localhost"), config);
        config.tls.reload = Period::ZERO;
    })
    .await;
    files.serve(&new.issue("localhost"), &mut ServerConfig::default());
    sleep(Duration::from_millis(50)).await;
    assert!(connect(&running, &old, None).await.is_ok());
    running.shutdown.reload();
    let end = Instant::now() + PATIENCE;
    while connect(&running, &new, None).await.is_err() {
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(10)).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_client_without_a_certificate_of_our_authority_is_refused() {
    let (ours, foreign) = (Authority::new(), Authority::new());
    let files = Files::new();
    let running = Running::echo(|config| {
        files.serve(&ours.issue("localhost"), config);
        config.tls.client_ca = Some(files.put("clients.pem", &ours.pem()));
        config.tls.client_certificates = ClientCertificates::Required;
    })
    .await;

    let portal = ours.issue("portal");
    let channel = connect(&running, &ours, Some(&portal)).await.unwrap();
    let answer = echo(&channel, says("known")).await.unwrap().into_inner();
    assert_eq!((answer.text.as_str(), answer.certificates), ("known", 1));

    for identity in [None, Some(&foreign.issue("portal"))] {
        // In TLS 1.3 the client learns of the refusal with its first read.
        let refused = match connect(&running, &ours, identity).await {
            Ok(channel) => echo(&channel, says("unknown")).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
    echo(&channel, says("still known")).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn an_optional_client_certificate_may_be_left_out_but_not_be_foreign() {
    let (ours, foreign) = (Authority::new(), Authority::new());
    let files = Files::new();
    let running = Running::echo(|config| {
        files.serve(&ours.issue("localhost"), config);
        config.tls.client_ca = Some(files.put("clients.pem", &ours.pem()));
        config.tls.client_certificates = ClientCertificates::Optional;
    })
    .await;
    let channel = connect(&running, &ours, None).await.unwrap();
    assert_eq!(echo(&channel, says("")).await.unwrap().into_inner().certificates, 0);
    let strange = foreign.issue("portal");
    let refused = match connect(&running, &ours, Some(&strange)).await {
        Ok(channel) => echo(&channel, says("")).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    running.stop().await;
}

#[tokio::test]
async fn a_client_certificate_that_has_expired_by_our_clock_is_refused() {
    let ours = Authority::new();
    let files = Files::new();
    let mut config = ServerConfig::default();
    files.serve(&ours.issue("localhost"), &mut config);
    config.tls.client_ca = Some(files.put("clients.pem", &ours.pem()));
    config.tls.client_certificates = ClientCertificates::Required;

    let mut params = CertificateParams::new(vec!["portal".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let key = KeyPair::generate().unwrap();
    let portal = Pair {
        certificate: params.signed_by(&key, &ours.0).unwrap().pem(),
        key: key.serialize_pem(),
    };

    let clock = ManualClock::at("2029-12-31T00:00:00Z".parse().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder(config, Arc::clone(contract()), clock.shared(), SystemIds::shared())
        .assembly(assembly())
        .build()
        .unwrap();
    let shutdown = Shutdown::new();
    let task = tokio::spawn(server.serve(listener, shutdown.clone()));
    let running = Running {
        address,
        shutdown,
        task,
    };

    let channel = connect(&running, &ours, Some(&portal)).await.unwrap();
    echo(&channel, says("in time")).await.unwrap();
    clock.advance(jiff::SignedDuration::from_hours(48));
    let refused = match connect(&running, &ours, Some(&portal)).await {
        Ok(channel) => echo(&channel, says("late")).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    running.stop().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_holds_up_nobody_and_is_ended() {
    let ours = Authority::new();
    let files = Files::new();
    let running = Running::echo(|config| {
        files.serve(&ours.issue("localhost"), config);
        config.keepalive.handshake = Period::seconds(1);
    })
    .await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let channel = timeout(PATIENCE, connect(&running, &ours, None))
        .await
        .unwrap()
        .unwrap();
    echo(&channel, says("meanwhile")).await.unwrap();
    let mut nothing = Vec::new();
    timeout(PATIENCE, silent.read_to_end(&mut nothing))
        .await
        .expect("the silent connection is closed")
        .ok();

    // A drain does not wait for one either.
    let _silent = TcpStream::connect(running.address).await.unwrap();
    sleep(Duration::from_millis(20)).await;
    assert_eq!(running.stop().await, Drained::default());
}

#[tokio::test]
async fn settings_and_files_that_do_not_fit_together_stop_the_start() {
    let ours = Authority::new();
    let files = Files::new();
    let (one, other) = (ours.issue("localhost"), ours.issue("localhost"));
    let build = |change: &dyn Fn(&mut ServerConfig)| {
        let mut config = ServerConfig::default();
        files.serve(&one, &mut config);
        change(&mut config);
        let error = Server::builder(
            config,
            Arc::clone(contract()),
            SystemClock::shared(),
            SystemIds::shared(),
        )
        .assembly(assembly())
        .build()
        .unwrap_err();
        assert!(matches!(error, StartError::Tls(_)));
        error.to_string()
    };
    let error = build(&|config| config.tls.key = None);
    assert!(error.contains("certificate and key go together"), "{error}");
    let error = build(&|config| config.tls.client_certificates = ClientCertificates::Required);
    assert!(error.contains("without client_ca"), "{error}");
    let error = build(&|config| config.tls.client_ca = Some(files.put("clients.pem", &ours.pem())));
    assert!(error.contains("client_certificates are off"), "{error}");
    let error = build(&|config| {
        config.tls.certificate = None;
        config.tls.key = None;
        config.tls.client_certificates = ClientCertificates::Required;
    });
    assert!(error.contains("without certificate and key"), "{error}");
    let error = build(&|config| config.tls.key = Some(files.put("other.key", &other.key)));
    assert!(error.contains("other.key"), "{error}");
    let error = build(&|config| config.tls.certificate = Some(files.put("empty.pem", "")));
    assert!(
        error.contains("empty.pem") && error.contains("no certificate"),
        "{error}"
    );
    let error = build(&|config| config.tls.certificate = Some(PathBuf::from("/nowhere/server.pem")));
    assert!(error.contains("/nowhere/server.pem"), "{error}");
}
