//! How a service's ledger is configured and put behind its port.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use egov_database::Database;
use egov_keyring::Keyring;
use egov_ledger::{LedgerError, VerifyingKey};
use egov_proto::egov::ledger::v1::ledger_service_server::LedgerServiceServer;
use egov_proto::egov::ledger::v1::witness_service_server::WitnessServiceServer;
use egov_runtime::contract::Contract;
use egov_runtime::server::{Assembly, Job};
use serde::{Deserialize, Serialize};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::api::{LedgerApi, WitnessApi};
use crate::log::{Log, LogConfig};
use crate::meters::measure_until;
use crate::sequencer::Sequencer;
use crate::stamping::{AuthorityConfig, StampAuthority, StampProblem, StampRoots};
use crate::witness::{Witness, WitnessPeer};

/// How often checkpoints are shown to a witness.
const SHOW: Duration = Duration::from_secs(1);

/// `[ledger]`: a service's log, its witnesses, and whose witness it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerConfig {
    /// What the origin of the log begins with: a name that belongs to this installation, without scheme, for example `nghean.gov.vn/egov`.
    /// It stands in every checkpoint and receipt: choose it once.
    pub origin: String,
    /// The folder in which it remembers what it signed, outside the database and backed up apart from it.
    pub memory: Option<PathBuf>,
    /// Who cosigns it.
    pub witnesses: Vec<PeerConfig>,
    /// The name under which this service cosigns others' logs; none if it is nobody's witness.
    pub witness_name: Option<String>,
    /// The keys of the logs that it cosigns, as `name+hash+key`: one a log and epoch.
    pub witness_of: Vec<VerifyingKey>,
    /// Who stamps checkpoints with the time.
    pub time_stamps: Vec<AuthorityConfig>,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            origin: "egov.invalid".to_owned(),
            memory: None,
            witnesses: Vec::new(),
            witness_name: None,
            witness_of: Vec::new(),
            time_stamps: Vec::new(),
        }
    }
}

/// A witness of our log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Its key, `name+hash+key`.
    pub key: VerifyingKey,
    /// Its gRPC address.
    pub address: String,
    /// The certificate authorities to trust for its address, PEM; needed for an `https` address.
    #[serde(default)]
    pub certificates: Option<PathBuf>,
}

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The origin cannot stand in a checkpoint.
    #[error("ledger.origin: {0}")]
    Origin(#[source] LedgerError),
    /// An address is none.
    #[error("ledger.witnesses: {address}: {source}")]
    Address {
        /// Which.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The roots of an authority of time stamps cannot be read.
    #[error("ledger.time_stamps: {name}: {problem}")]
    Roots {
        /// Which authority.
        name: String,
        /// Why.
        problem: StampProblem,
    },
    /// There is no client for HTTP.
    #[error("ledger.time_stamps: {0}")]
    Http(#[source] reqwest::Error),
    /// Nothing says whom to trust for an address.
    #[error("ledger.witnesses: {address} needs certificates: name the authority of its certificate")]
    Certificates {
        /// Which.
        address: String,
    },
    /// A file of certificates cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// A service's ledger: its log, its witnesses, and what it is a witness of.
#[derive(Clone, Debug)]
pub struct Ledger {
    log: Arc<Log>,
    peers: Vec<WitnessPeer>,
    authorities: Vec<StampAuthority>,
    witness: Option<Arc<Witness>>,
}

impl LedgerConfig {
    /// Opens the ledger of a service.
    pub fn open(&self, service: &str, database: &Database, keyring: &Arc<Keyring>) -> Result<Ledger, ConfigError> {
        let config = LogConfig {
            id: service.to_owned(),
            prefix: self.origin.clone(),
            memory: self.memory.clone(),
        };
        let log = Arc::new(Log::new(database.clone(), Arc::clone(keyring), config));
        log.keys(1).map_err(ConfigError::Origin)?;
        let peers = self.witnesses.iter().map(PeerConfig::peer).collect::<Result<_, _>>()?;
        let witness = self.witness_name.as_ref().map(|name| {
            let logs = self.witness_of.clone();
            Arc::new(Witness::new(database.clone(), Arc::clone(keyring), name, logs))
        });
        let authorities = self.time_stamps.iter().map(authority).collect::<Result<_, _>>()?;
        Ok(Ledger {
            log,
            peers,
            authorities,
            witness,
        })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(file).map_err(|source| ConfigError::File {
        path: file.display().to_string(),
        source,
    })
}

fn authority(config: &AuthorityConfig) -> Result<StampAuthority, ConfigError> {
    let roots = StampRoots::from_pem(&read(&config.roots)?).map_err(|problem| ConfigError::Roots {
        name: config.name.clone(),
        problem,
    })?;
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(ConfigError::Http)?;
    Ok(StampAuthority::new(config, roots, http))
}

impl PeerConfig {
    fn peer(&self) -> Result<WitnessPeer, ConfigError> {
        let refused = |source| ConfigError::Address {
            address: self.address.clone(),
            source,
        };
        let mut endpoint = Endpoint::from_shared(self.address.clone())
            .map_err(refused)?
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(10));
        if let Some(file) = &self.certificates {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(file)?));
            endpoint = endpoint.tls_config(tls).map_err(refused)?;
        } else if self.address.starts_with("https://") {
            return Err(ConfigError::Certificates {
                address: self.address.clone(),
            });
        }
        Ok(WitnessPeer {
            key: self.key.clone(),
            channel: endpoint.connect_lazy(),
        })
    }
}

impl Ledger {
    /// The log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Adds the jobs: sequencing, measuring how far the log is behind, showing checkpoints to each witness, and having them stamped.
    pub fn work(&self, assembly: Assembly) -> Assembly {
        let log = Arc::clone(&self.log);
        let assembly = assembly.job(Job::new("ledger.sequencer", move |stop| {
            let sequencer = Sequencer::new(Arc::clone(&log));
            async move {
                sequencer.run(stop).await;
                Ok(())
            }
        }));
        let log = Arc::clone(&self.log);
        let assembly = assembly.job(Job::new("ledger.meters", move |stop| {
            let log = Arc::clone(&log);
            async move {
                measure_until(log, stop).await;
                Ok(())
            }
        }));
        let assembly = self.authorities.iter().fold(assembly, |assembly, authority| {
            let (authority, log) = (authority.clone(), Arc::clone(&self.log));
            assembly.job(Job::new("ledger.time-stamps", move |stop| {
                let (authority, log) = (authority.clone(), Arc::clone(&log));
                async move {
                    authority.stamp_until(log, stop).await;
                    Ok(())
                }
            }))
        });
        self.peers.iter().fold(assembly, |assembly, peer| {
            let (peer, log) = (peer.clone(), Arc::clone(&self.log));
            assembly.job(Job::new("ledger.witness", move |stop| {
                let (peer, log) = (peer.clone(), Arc::clone(&log));
                async move {
                    peer.show_until(log, SHOW, stop).await;
                    Ok(())
                }
            }))
        })
    }

    /// Adds the RPCs over the logs of several ledgers, whose service this process serves once; the witness is that of the first that
    /// is one.
    pub fn serve(assembly: Assembly, contract: &Arc<Contract>, ledgers: &[Self]) -> Assembly {
        let Some(first) = ledgers.first() else { return assembly };
        let logs = ledgers.iter().map(|ledger| Arc::clone(&ledger.log));
        let pages = first.log.database.page_tokens();
        let witness = ledgers.iter().find_map(|ledger| ledger.witness.clone());
        assembly
            .service(LedgerServiceServer::new(LedgerApi::new(
                Arc::clone(contract),
                logs,
                pages,
            )))
            .service(WitnessServiceServer::new(WitnessApi::new(
                Arc::clone(contract),
                witness,
            )))
    }

    /// Adds the jobs and the RPCs of this ledger alone: for a service in a process of its own.
    pub fn complete(self, assembly: Assembly, contract: &Arc<Contract>) -> Assembly {
        let assembly = self.work(assembly);
        Self::serve(assembly, contract, &[self])
    }
}
