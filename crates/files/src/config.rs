//! Where the files lie.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::memory::InMemory;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::FileStore;
use crate::folder::Folder;
use crate::objects::ObjectFiles;

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
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum FileConfig {
    /// A folder on a disk of this machine, or one that is mounted. It must support hard links.
    Folder {
        /// The folder; made if missing, for its owner only.
        path: PathBuf,
    },
    /// A bucket of a server that speaks S3 and supports `If-None-Match` on PUT.
    S3 {
        /// The server's address; the bucket is addressed in the path.
        endpoint: String,
        /// The bucket, which must exist.
        bucket: String,
        /// The region.
        region: String,
        /// The id of the access key.
        access_key: String,
        /// The secret of the access key.
        secret_key: SecretString,
        /// Whether the endpoint may be plain HTTP: only inside one machine or a protected network.
        #[serde(default)]
        allow_http: bool,
    },
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
        FileConfig::S3 {
            endpoint,
            bucket,
            region,
            access_key,
            secret_key,
            allow_http,
        } => {
            let plain = endpoint
                .get(..7)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
            if plain && !allow_http {
                return Err(OpenError::PlainHttp);
            }
            let objects = AmazonS3Builder::new()
                .with_endpoint(endpoint)
                .with_bucket_name(bucket)
                .with_region(region)
                .with_access_key_id(access_key)
                .with_secret_access_key(secret_key.expose_secret())
                .with_allow_http(*allow_http)
                .with_virtual_hosted_style_request(false)
                .with_conditional_put(S3ConditionalPut::ETagMatch)
                .build()
                .map_err(OpenError::Refused)?;
            Ok(Arc::new(ObjectFiles::new(Arc::new(objects))))
        }
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
        FileConfig::S3 {
            endpoint: endpoint.to_owned(),
            bucket: "egov-files".to_owned(),
            region: "vn-1".to_owned(),
            access_key: "id".to_owned(),
            secret_key: SecretString::from("very-secret"),
            allow_http,
        }
    }

    #[test]
    fn a_configuration_is_read_and_unknown_keys_are_refused() {
        let folder = read(r#"{"kind":"folder","path":"/srv/files"}"#).unwrap();
        assert!(matches!(folder, FileConfig::Folder { path } if path.ends_with("files")));
        let bucket = read(
            r#"{"kind":"s3","endpoint":"https://s3","bucket":"b","region":"r","access_key":"k","secret_key":"s"}"#,
        )
        .unwrap();
        assert!(matches!(bucket, FileConfig::S3 { allow_http: false, .. }));
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
