//! Encryption: certificates from files, read again when they change, client certificates by configuration.
//!
//! What is exchanged on a change is the whole configuration of rustls, not the certificate alone: the authorities for
//! client certificates change with it, and session tickets of before, which would let a client resume without showing
//! its certificate to the new authority, lose their meaning. Connections that exist go on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use egov_clock::{Clock as _, SharedClock};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::shutdown::Shutdown;
use crate::config::{ClientCertificates, TlsConfig};

/// Why encryption cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Settings that only make sense together are not together.
    #[error("server.tls: {0}")]
    Incomplete(&'static str),
    /// A file cannot be read.
    #[error("server.tls: cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("server.tls: {path}: {what}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// The encryption of one server.
pub(super) struct Tls {
    files: Files,
    config: TlsConfig,
    clock: SharedClock,
    current: ArcSwap<ServerConfig>,
    /// The content that `current` was made from.
    seen: Mutex<Content>,
}

/// Where the parts are.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Vec<u8>,
}

impl Tls {
    /// `None` if no certificate is configured.
    pub(super) fn from_config(config: &TlsConfig, clock: SharedClock) -> Result<Option<Self>, TlsError> {
        let files = match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => Files {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: config.client_ca.clone(),
            },
            (None, None) if config.client_ca.is_some() => {
                return Err(TlsError::Incomplete("client_ca is given without certificate and key"));
            }
            (None, None) if config.client_certificates != ClientCertificates::Off => {
                return Err(TlsError::Incomplete(
                    "client_certificates are asked for without certificate and key",
                ));
            }
            (None, None) => return Ok(None),
            _ => return Err(TlsError::Incomplete("certificate and key go together")),
        };
        match (&files.client_ca, config.client_certificates) {
            (None, ClientCertificates::Optional | ClientCertificates::Required) => {
                return Err(TlsError::Incomplete(
                    "client_certificates are asked for without client_ca",
                ));
            }
            (Some(_), ClientCertificates::Off) => {
                return Err(TlsError::Incomplete(
                    "client_ca is given, but client_certificates are off",
                ));
            }
            _ => {}
        }

        let content = files.read()?;
        let current = server_config(&files, &content, config, &clock)?;
        Ok(Some(Self {
            files,
            config: config.clone(),
            clock,
            current: ArcSwap::from_pointee(current),
            seen: Mutex::new(content),
        }))
    }

    /// The acceptor for a new connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Reads the files again; `true` if they had changed. On an error the configuration of before stays.
    fn reload(&self) -> Result<bool, TlsError> {
        let content = self.files.read()?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == content {
            return Ok(false);
        }
        let config = server_config(&self.files, &content, &self.config, &self.clock)?;
        self.current.store(Arc::new(config));
        *seen = content;
        Ok(true)
    }

    /// Looks at the files from time to time and when it is asked to, until `stop`.
    ///
    /// Looking beats being notified here: certificates are exchanged by renaming folders and links (Kubernetes,
    /// certbot), which file notification sees or not depending on the file system.
    pub(super) async fn keep_fresh(self: Arc<Self>, shutdown: Shutdown, stop: CancellationToken) {
        let mut refused = None;
        let mut reloads = shutdown.reloads();
        loop {
            let next_look = async {
                match self.config.reload.non_zero() {
                    Some(period) => tokio::time::sleep(period).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = next_look => {}
                Ok(()) = reloads.changed() => refused = None,
                () = stop.cancelled() => return,
            }
            let tls = Arc::clone(&self);
            let result = tokio::task::spawn_blocking(move || tls.reload()).await;
            match result {
                Ok(Ok(true)) => {
                    refused = None;
                    tracing::info!("certificates exchanged");
                }
                Ok(Ok(false)) => refused = None,
                Ok(Err(error)) => {
                    // Once for each thing that is wrong, not every half a minute.
                    let cause = error.to_string();
                    if refused.as_ref() != Some(&cause) {
                        tracing::error!(cause, "certificates not exchanged, the old ones stay");
                        refused = Some(cause);
                    }
                }
                Err(error) => tracing::error!(cause = %error, "certificates not looked at"),
            }
        }
    }
}

impl Files {
    fn read(&self) -> Result<Content, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Unreadable {
                path: path.to_owned(),
                source,
            })
        };
        Ok(Content {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            client_ca: self.client_ca.as_deref().map_or_else(|| Ok(Vec::new()), read)?,
        })
    }
}

fn server_config(
    files: &Files,
    content: &Content,
    config: &TlsConfig,
    clock: &SharedClock,
) -> Result<ServerConfig, TlsError> {
    let unusable = |path: &Path, what: String| TlsError::Unusable {
        path: path.to_owned(),
        what,
    };
    let provider = Arc::new(aws_lc_rs::default_provider());

    let chain = certificates(&content.certificate).map_err(|what| unusable(&files.certificate, what))?;
    let key = PrivateKeyDer::from_pem_slice(&content.key)
        .map_err(|error| unusable(&files.key, format!("no private key in PEM: {error}")))?;
    // Refuses a key of another certificate, which otherwise every client would notice and no operator.
    let certified =
        CertifiedKey::from_der(chain, key, &provider).map_err(|error| unusable(&files.key, error.to_string()))?;

    let builder = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(ClockTime(clock.clone())))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&files.certificate, error.to_string()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => builder.with_client_cert_verifier(
            verifier(&content.client_ca, config.client_certificates, provider).map_err(|what| unusable(path, what))?,
        ),
    };
    let mut server = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(server)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("no certificate in PEM".to_owned());
    }
    Ok(chain)
}

fn verifier(
    pem: &[u8],
    wanted: ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem)? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    match wanted {
        ClientCertificates::Required => verifier,
        ClientCertificates::Optional | ClientCertificates::Off => verifier.allow_unauthenticated(),
    }
    .build()
    .map_err(|error| error.to_string())
}

/// Our clock, as rustls reads it.
struct ClockTime(SharedClock);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}
