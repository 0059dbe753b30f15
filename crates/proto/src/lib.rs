//! The contracts of the platform as Rust: messages, clients and servers generated from `proto/`,
//! and their descriptors.
//!
//! A caller needs nothing else of this repository. The modules follow the packages:
//! `egov.onestop.v1` is [`egov::onestop::v1`]. Every message implements
//! [`prost_reflect::ReflectMessage`], so that rules which stand in the contracts (validation,
//! access, personal data) are read from [`POOL`] and never written twice.
//!
//! ```
//! use egov_proto::egov::onestop::v1::GetCaseRequest;
//! use prost_reflect::ReflectMessage;
//!
//! let request = GetCaseRequest { case_id: "0199…".to_owned(), with_particulars: false };
//! assert_eq!(request.descriptor().full_name(), "egov.onestop.v1.GetCaseRequest");
//! ```

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// The encoded descriptor set of all contracts, with comments and custom options, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// All contracts as descriptors, custom options included.
#[expect(
    clippy::expect_used,
    reason = "the bytes were written by this crate's own build script"
)]
pub static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the embedded descriptor set decodes"));

mod generated;

pub use generated::{egov, google};

mod conversions;
pub mod options;

pub use conversions::{NotADay, instant, timestamp};
