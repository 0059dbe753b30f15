//! Other services called by gRPC as a system: the way to each, and the token.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use egov_clock::{SharedClock, SharedIds};
use egov_events::{SystemToken, SystemTokenConfig};
use egov_keyring::Keyring;
use serde::{Deserialize, Serialize};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// A section of the configuration: where integration or one-stop is called, and as which system. Empty for no calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallsConfig {
    /// The gRPC address of the service; empty for none.
    pub address: String,
    /// The token endpoint of identity.
    pub token_endpoint: String,
    /// The issuer, which assertions are for.
    pub audience: String,
    /// The system's client id; its key is the keyring's for assertions, its role at the communes `personal_number_requester` there, or `civil_decision_taker` at the province.
    pub client_id: String,
    /// The authority of both certificates, PEM; none trusts what the machine trusts.
    pub ca: Option<PathBuf>,
}

impl Default for CallsConfig {
    fn default() -> Self {
        Self {
            address: String::new(),
            token_endpoint: String::new(),
            audience: String::new(),
            client_id: "egov-civil-registry".to_owned(),
            ca: None,
        }
    }
}

impl CallsConfig {
    /// The way and the token, by the section of this name; none if there is no address. Nothing is called yet. An answer may take
    /// so long.
    ///
    /// # Errors
    /// The address is none, the authority cannot be read, or something is missing.
    pub(crate) fn open(
        &self,
        (section, answer): (&str, Duration),
        keyring: &Arc<Keyring>,
        clock: &SharedClock,
        ids: &SharedIds,
    ) -> anyhow::Result<Option<(Channel, SystemToken)>> {
        if self.address.is_empty() {
            return Ok(None);
        }
        for (key, value) in [("token_endpoint", &self.token_endpoint), ("audience", &self.audience)] {
            anyhow::ensure!(!value.is_empty(), "{section}.address needs {section}.{key}");
        }
        let authority = match &self.ca {
            None => None,
            Some(ca) => {
                let read = std::fs::read_to_string(ca);
                Some(read.with_context(|| format!("{} cannot be read ({section}.ca)", ca.display()))?)
            }
        };
        let mut endpoint = Endpoint::from_shared(self.address.clone())?
            .connect_timeout(Duration::from_secs(2))
            .timeout(answer);
        if let Some(authority) = &authority {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
            endpoint = endpoint.tls_config(tls)?;
        }
        let token = SystemTokenConfig {
            token_endpoint: self.token_endpoint.clone(),
            audience: self.audience.clone(),
            client_id: self.client_id.clone(),
            authority,
        };
        let token = SystemToken::new(token, Arc::clone(keyring), clock.clone(), ids.clone())?;
        Ok(Some((endpoint.connect_lazy(), token)))
    }
}
