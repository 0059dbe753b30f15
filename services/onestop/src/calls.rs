//! Integration called by gRPC as a system: the way to it, and the token.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use egov_clock::{SharedClock, SharedIds};
use egov_events::{SystemToken, SystemTokenConfig};
use egov_keyring::Keyring;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// Where integration is called, and as which system, by a section of the configuration.
pub(crate) struct Calls<'a> {
    /// The section's name.
    pub(crate) section: &'static str,
    pub(crate) address: &'a str,
    pub(crate) token_endpoint: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) ca: Option<&'a Path>,
    /// How long an answer may take.
    pub(crate) answer: Duration,
}

impl Calls<'_> {
    /// The way and the token; nothing is called yet.
    ///
    /// # Errors
    /// The address is none, the authority cannot be read, or something is missing.
    pub(crate) fn open(
        &self,
        keyring: &Arc<Keyring>,
        clock: &SharedClock,
        ids: &SharedIds,
    ) -> anyhow::Result<(Channel, SystemToken)> {
        let section = self.section;
        for (key, value) in [("token_endpoint", self.token_endpoint), ("audience", self.audience)] {
            anyhow::ensure!(!value.is_empty(), "{section}.address needs {section}.{key}");
        }
        let authority = match self.ca {
            None => None,
            Some(ca) => {
                let read = std::fs::read_to_string(ca);
                Some(read.with_context(|| format!("{} cannot be read ({section}.ca)", ca.display()))?)
            }
        };
        let mut endpoint = Endpoint::from_shared(self.address.to_owned())?
            .connect_timeout(Duration::from_secs(2))
            .timeout(self.answer);
        if let Some(authority) = &authority {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
            endpoint = endpoint.tls_config(tls)?;
        }
        let token = SystemTokenConfig {
            token_endpoint: self.token_endpoint.to_owned(),
            audience: self.audience.to_owned(),
            client_id: self.client_id.to_owned(),
            authority,
        };
        let token = SystemToken::new(token, Arc::clone(keyring), clock.clone(), ids.clone())?;
        Ok((endpoint.connect_lazy(), token))
    }
}
