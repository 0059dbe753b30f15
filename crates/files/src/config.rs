//! Where the files lie.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::memory::InMemory;
use object_store::{Certificate, ClientOptions, RetryConfig};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::FileStore;
use crate::folder::Folder;
use crate::objects::ObjectFiles;

/// How long a connection to the server may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How often a request is tried again that failed by the network or by the server.
const RETRIES: usize = 3;
/// How long it may be tried again.
const RETRY_WITHIN: Duration = Duration::from_mins(1);

/// Where the files lie.
///
/// ```toml
/// [files]
/// kind = "folder"
/// path = "/var/lib/egov/files"
/// ```
/// ```toml
/// [files]
/// kind = "s3"
/// endpoint = "https://s3.example.gov.vn"
/// bucket = "egov-files"
/// region = "vn-1"
/// access_key = "…"
/// secret_key = "…"
/// ```
///
/// Requests that fail are tried again, three times and for a minute at the most; then the call fails with
/// `STORE_UNAVAILABLE`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum FileConfig {
    /// A folder on a disk of this machine, or one that is mounted. It must support hard links.
    Folder {
        /// The folder; made if missing, for its owner only.
        path: PathBuf,
    },
    /// A bucket of a server that speaks S3 and supports `If-None-Match` on PUT.
    S3(BucketConfig),
}

/// A bucket of a server that speaks S3.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketConfig {
    /// The server's address; with `virtual_host` the bucket's own.
    pub endpoint: String,
    /// The bucket, which must exist.
    pub bucket: String,
    /// The region.
    pub region: String,
    /// The id of the access key.
    pub access_key: String,
    /// The secret of the access key.
    pub secret_key: SecretString,
    /// Whether the endpoint may be plain HTTP: only inside one machine or a protected network.
    #[serde(default)]
    pub allow_http: bool,
    /// The endpoint's host names the bucket (`https://egov-files.s3.example.gov.vn`); otherwise the path does.
    #[serde(default)]
    pub virtual_host: bool,
    /// The authority of the endpoint's certificate, PEM, if it is none that the system trusts.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Seconds for one request, its answer included.
    #[serde(default = "thirty")]
    pub timeout_seconds: u32,
}

const fn thirty() -> u32 {
    30
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("cannot use {} for files: {source}; name another folder, or make it writable for this user", .path.display())]
    Folder {
        /// The folder, or the part of it that failed.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The endpoint is plain HTTP and that is not allowed.
    #[error("the endpoint for files is plain HTTP: use https, or set allow_http inside a protected network")]
    PlainHttp,
    /// The authority's certificate cannot be read.
    #[error("cannot read the certificate {} of the endpoint's authority: {reason}", .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The configuration was refused.
    #[error("the configuration for files is not usable: {0}")]
    Refused(#[source] object_store::Error),
}

/// Opens the store that a configuration names. A folder is made if it is missing; a bucket is first contacted by the
/// first call.
pub fn open(config: &FileConfig) -> Result<Arc<dyn FileStore>, OpenError> {
    match config {
        FileConfig::Folder { path } => {
            let (folder, objects) = Folder::open(path)?;
            Ok(Arc::new(ObjectFiles::in_folder(objects, folder)))
        }
        FileConfig::S3(bucket) => Ok(Arc::new(ObjectFiles::new(Arc::new(bucket.open()?)))),
    }
}

impl BucketConfig {
    fn open(&self) -> Result<AmazonS3, OpenError> {
        let plain = self
            .endpoint
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
        if plain && !self.allow_http {
            return Err(OpenError::PlainHttp);
        }
        let mut client = ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_connect_timeout(CONNECT_WITHIN)
            .with_timeout(Duration::from_secs(u64::from(self.timeout_seconds.max(1))));
        if let Some(path) = &self.ca {
            let wrong = |reason: String| OpenError::Authority {
                path: path.clone(),
                reason,
            };
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
            if certificates.is_empty() {
                return Err(wrong("it holds no certificate".to_owned()));
            }
            for certificate in certificates {
                client = client.with_root_certificate(certificate);
            }
        }
        AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_access_key_id(&self.access_key)
            .with_secret_access_key(self.secret_key.expose_secret())
            .with_client_options(client)
            .with_retry(RetryConfig {
                max_retries: RETRIES,
                retry_timeout: RETRY_WITHIN,
                ..RetryConfig::default()
            })
            .with_virtual_hosted_style_request(self.virtual_host)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .build()
            .map_err(OpenError::Refused)
    }
}

/// A store in this process's memory, gone with it: for tests.
pub fn in_memory() -> Arc<dyn FileStore> {
    Arc::new(ObjectFiles::new(Arc::new(InMemory::new())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<FileConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn s3(endpoint: &str, allow_http: bool) -> FileConfig {
        FileConfig::S3(BucketConfig {
            endpoint: endpoint.to_owned(),
            bucket: "egov-files".to_owned(),
            region: "vn-1".to_owned(),
            access_key: "id".to_owned(),
            secret_key: SecretString::from("very-secret"),
            allow_http,
            virtual_host: false,
            ca: None,
            timeout_seconds: 30,
        })
    }

    #[test]
    fn a_configuration_is_read_and_unknown_keys_are_refused() {
        let folder = read(r#"{"kind":"folder","path":"/srv/files"}"#).unwrap();
        assert!(matches!(folder, FileConfig::Folder { path } if path.ends_with("files")));
        let bucket = read(
            r#"{"kind":"s3","endpoint":"https://s3","bucket":"b","region":"r","access_key":"k","secret_key":"s"}"#,
        )
        .unwrap();
        assert!(
            matches!(bucket, FileConfig::S3(bucket) if !bucket.allow_http && !bucket.virtual_host && bucket.timeout_seconds == 30)
        );
        assert!(
            read(r#"{"kind":"s3","endpoint":"https://s3","bucket":"b","region":"r","access_key":"k","secret_key":"s","bukcet":"b"}"#)
                .is_err()
        );
        assert!(read(r#"{"kind":"folder","path":"/srv/files","paht":"/"}"#).is_err());
        assert!(read(r#"{"kind":"ftp"}"#).is_err());
    }

    #[test]
    fn the_secret_of_a_bucket_is_never_shown() {
        let config = s3("https://s3.example", false);
        assert!(!format!("{config:?}").contains("very-secret"));
        let store = open(&config).unwrap();
        assert!(!format!("{store:?}").contains("very-secret"));
    }

    #[test]
    fn plain_http_needs_a_word_of_consent() {
        assert!(matches!(
            open(&s3("HTTP://127.0.0.1:9000", false)),
            Err(OpenError::PlainHttp)
        ));
        assert!(open(&s3("http://127.0.0.1:9000", true)).is_ok());
    }

    #[test]
    fn an_authority_that_cannot_be_read_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, b"").unwrap();
        for ca in [empty, folder.path().join("missing.pem")] {
            let FileConfig::S3(bucket) = s3("https://s3.example", false) else {
                panic!("a bucket")
            };
            let config = FileConfig::S3(BucketConfig { ca: Some(ca), ..bucket });
            let err = open(&config).unwrap_err();
            assert!(err.to_string().contains(".pem"), "{err}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_refused_with_its_name() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let err = open(&FileConfig::Folder {
            path: file.join("files"),
        })
        .unwrap_err();
        assert!(err.to_string().contains("file"), "{err}");
    }
}
