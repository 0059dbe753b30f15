//! What an upload may hold.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::FileType;

/// What an upload may hold. Kept with the upload, so that a change of configuration does not change an upload that has
/// already begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UploadLimits {
    /// Largest content, in bytes; 64 MiB unless set.
    pub max_bytes: u64,
    /// Largest part, in bytes; 1 MiB unless set, which leaves room for the rest of a message under gRPC's usual 4 MiB.
    pub max_chunk_bytes: u64,
    /// Most parts; 1,024 unless set. Keeps a caller from storing a large file in tiny parts.
    pub max_chunks: u32,
    /// The types of content that are accepted; all but plain text unless set.
    pub allowed: BTreeSet<FileType>,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_chunk_bytes: 1 << 20,
            max_chunks: 1024,
            allowed: BTreeSet::from([
                FileType::Pdf,
                FileType::Png,
                FileType::Jpeg,
                FileType::Tiff,
                FileType::Docx,
                FileType::Xlsx,
                FileType::Odt,
                FileType::Xml,
            ]),
        }
    }
}
