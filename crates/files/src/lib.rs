//! The files of cases and documents: resumable uploads, checked content, ranged reads.
//!
//! A service stores and reads files through one trait, [`FileStore`]. Where they lie is configuration
//! ([`FileConfig`]): a folder by default, a bucket that speaks S3 otherwise.
//!
//! An upload is a row of unary calls, so that it passes every proxy and goes on after a broken connection: `start`,
//! then parts in order, each durable when it is answered, then `finish`, which checks the SHA-256 and the type of the
//! whole content and puts it in its final place under a [`FileKey`]. What was not finished is swept.
//!
//! ```
//! use bytes::Bytes;
//! use egov_files::{Digest, FileType, UploadLimits, in_memory};
//! use uuid::Uuid;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let files = in_memory();
//! let upload = Uuid::from_u128(7);
//! let content = Bytes::from_static(b"<?xml version=\"1.0\"?><hoSo/>");
//!
//! files.start(upload, &UploadLimits::default(), "2026-11-23T01:00:00Z".parse()?).await?;
//! files.put_chunk(upload, 0, content.clone(), Digest::of(&content)).await?;
//! let stored = files.finish(upload, content.len() as u64, Digest::of(&content)).await?;
//! assert_eq!(stored.file_type, FileType::Xml);
//! assert_eq!(files.read(&stored.key, 2, 3).await?, "xml");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every implementation passes the suite in [`contract`].

mod config;
pub mod contract;
mod digest;
mod folder;
mod key;
mod kind;
mod limits;
mod objects;
mod refusal;
mod sniff;
mod store;
mod zip;

pub use config::{BucketConfig, FileConfig, OpenError, in_memory, open};
pub use digest::{Digest, InvalidDigest};
pub use key::{FileKey, InvalidKey};
pub use kind::FileType;
pub use limits::UploadLimits;
pub use store::{FileStore, Progress, StoredFile, SweptUpload};
