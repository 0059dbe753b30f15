//! Where an issuer's public keys come from.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::jwk::JwkSet;
use reqwest::{Client, Url, header, redirect};
use serde::{Deserialize, Serialize};

/// Gives the keys that an issuer publishes at present.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// The whole set. It is called seldom (see [`VerifierConfig`](crate::VerifierConfig)) and may take a few seconds.
    async fn fetch(&self) -> Result<JwkSet, KeySourceError>;
}

/// Why keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// Not an address from which keys may be fetched.
    #[error("{0:?} is not an https address, nor an http address of this machine")]
    Address(String),
    /// The certificates to trust could not be read.
    #[error("the certificates in {path} cannot be used")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The request failed.
    #[error("the key set cannot be fetched")]
    Request(#[from] reqwest::Error),
    /// The answer is larger than any key set.
    #[error("the key set is larger than {MAX_KEY_SET_BYTES} bytes")]
    TooLarge,
    /// The answer is not a key set.
    #[error("the answer is not a JSON web key set")]
    Form(#[from] serde_json::Error),
    /// A source of your own failed.
    #[error("{0}")]
    Other(String),
}

/// The largest key set that is read.
const MAX_KEY_SET_BYTES: usize = 256 * 1024;

/// Where an issuer's keys come from, as configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySourceConfig {
    /// Address of the issuer's JSON web key set: https, or http on this machine.
    JwksUrl(String),
    /// The key set itself.
    Jwks(JwkSet),
}

/// Keys fetched over HTTP, encrypted unless they come from this machine: whoever can change the keys on their way can
/// make tokens.
pub struct HttpKeySource {
    url: Url,
    client: Client,
}

impl HttpKeySource {
    /// Fetches from `url`, trusting the certificate authorities of the machine.
    pub fn new(url: &str) -> Result<Self, KeySourceError> {
        Self::build(url, Client::builder())
    }

    /// Fetches from `url`, trusting only the certificate authorities in the PEM file at `path`.
    pub fn with_certificates(url: &str, path: &Path) -> Result<Self, KeySourceError> {
        let refused = |source: Box<dyn std::error::Error + Send + Sync>| KeySourceError::Certificates {
            path: path.to_owned(),
            source,
        };
        let pem = std::fs::read(path).map_err(|error| refused(error.into()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| refused(error.into()))?;
        Self::build(url, Client::builder().tls_certs_only(certificates))
    }

    fn build(url: &str, client: reqwest::ClientBuilder) -> Result<Self, KeySourceError> {
        let refused = || KeySourceError::Address(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| refused())?;
        let acceptable = match parsed.scheme() {
            "https" => true,
            "http" => parsed.host_str().is_some_and(is_this_machine),
            _ => false,
        };
        if !acceptable {
            return Err(refused());
        }
        let client = client
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(5))
            // A redirect could lead from https to an address that nobody checked.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { url: parsed, client })
    }
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for HttpKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpKeySource").field(&self.url.as_str()).finish()
    }
}

#[async_trait]
impl KeySource for HttpKeySource {
    async fn fetch(&self) -> Result<JwkSet, KeySourceError> {
        let mut response = self
            .client
            .get(self.url.clone())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .send()
            .await?
            .error_for_status()?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(KeySourceError::Other(format!("the answer is {}", response.status())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_KEY_SET_BYTES {
                return Err(KeySourceError::TooLarge);
            }
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Keys that are known already: of an issuer in the same process, or in a test.
#[derive(Clone, Debug)]
pub struct StaticKeySource {
    keys: JwkSet,
}

impl StaticKeySource {
    /// Always these keys.
    pub fn new(keys: JwkSet) -> Self {
        Self { keys }
    }
}

#[async_trait]
impl KeySource for StaticKeySource {
    async fn fetch(&self) -> Result<JwkSet, KeySourceError> {
        Ok(self.keys.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_addresses_and_this_machine_are_accepted() {
        for url in [
            "https://identity.example/jwks.json",
            "http://127.0.0.1:8080/jwks.json",
            "http://localhost/jwks.json",
            "http://[::1]:8080/jwks.json",
        ] {
            assert!(HttpKeySource::new(url).is_ok(), "{url}");
        }
        for url in [
            "http://identity.example/jwks.json",
            "http://127.0.0.1.example/jwks.json",
            "http://localhost.example/jwks.json",
            "file:///etc/passwd",
            "jwks.json",
            "",
        ] {
            assert!(
                matches!(HttpKeySource::new(url), Err(KeySourceError::Address(_))),
                "{url}"
            );
        }
    }

    #[test]
    fn a_file_without_certificates_is_named_in_the_error() {
        let error =
            HttpKeySource::with_certificates("https://identity.example", Path::new("/nowhere.pem")).unwrap_err();
        assert!(error.to_string().contains("/nowhere.pem"));
    }

    #[test]
    fn the_configuration_is_one_of_two_keys() {
        let parsed: KeySourceConfig =
            serde_json::from_str(r#"{"jwks_url":"https://identity.example/jwks.json"}"#).unwrap();
        assert_eq!(
            parsed,
            KeySourceConfig::JwksUrl("https://identity.example/jwks.json".to_owned())
        );
        let parsed: KeySourceConfig = serde_json::from_str(r#"{"jwks":{"keys":[]}}"#).unwrap();
        assert_eq!(parsed, KeySourceConfig::Jwks(JwkSet { keys: Vec::new() }));
        assert!(serde_json::from_str::<KeySourceConfig>(r#"{"jwks_file":"x"}"#).is_err());
    }
}
