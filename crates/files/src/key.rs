//! Under which name a stored file lies.

use std::fmt;
use std::str::FromStr;

use object_store::path::Path;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Digest;

/// The name of a stored file: the SHA-256 of its content and the upload that brought it.
///
/// The content can be checked against its name for ever. The upload is part of it so that two people who hand in the
/// same paper own two files: deleting one never takes the other's, and finishing an upload never gives access to a
/// file that somebody else brought.
///
/// As text: 64 hexadecimal digits, `-`, 32 hexadecimal digits, all in lower case. Nothing else is accepted, so that a
/// key can never name a place outside the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKey {
    sha256: Digest,
    upload: Uuid,
}

/// The text is not that of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the key of a file")]
pub struct InvalidKey;

impl FileKey {
    pub(crate) const fn new(sha256: Digest, upload: Uuid) -> Self {
        Self { sha256, upload }
    }

    /// The SHA-256 of the content.
    pub const fn sha256(&self) -> Digest {
        self.sha256
    }

    /// The upload that brought the content.
    pub const fn upload(&self) -> Uuid {
        self.upload
    }

    pub(crate) fn path(&self) -> Path {
        let name = self.to_string();
        let shard = name.get(..2).unwrap_or_default();
        Path::from_iter([FILES, shard, name.as_str()])
    }
}

impl fmt::Display for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.sha256, self.upload.simple())
    }
}

impl FromStr for FileKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (sha256, upload) = text.split_once('-').ok_or(InvalidKey)?;
        let key = Self {
            sha256: sha256.parse().map_err(|_| InvalidKey)?,
            upload: Uuid::try_parse(upload).map_err(|_| InvalidKey)?,
        };
        // A UUID has several forms of text, a key has one.
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(InvalidKey)
        }
    }
}

impl Serialize for FileKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Where finished files lie, in folders by the first two digits of their keys.
pub(crate) const FILES: &str = "files";
/// Where unfinished uploads lie, each in a folder with its id.
pub(crate) const UPLOADS: &str = "uploads";

/// The places of one upload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadPlace(pub(crate) Uuid);

impl UploadPlace {
    pub(crate) fn folder(self) -> Path {
        Path::from_iter([UPLOADS, self.0.simple().to_string().as_str()])
    }

    /// When the upload began and what it may hold.
    pub(crate) fn start(self) -> Path {
        self.folder().join("start")
    }

    /// What the upload became, written once its content was found right.
    pub(crate) fn outcome(self) -> Path {
        self.folder().join("outcome")
    }

    /// The part that begins at an offset.
    pub(crate) fn part(self, offset: u64) -> Path {
        self.folder().join(format!("part-{offset:020}"))
    }

    /// The offset at which a part begins, from its name.
    pub(crate) fn offset(name: &str) -> Option<u64> {
        name.strip_prefix("part-")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_from_its_text() {
        let key = FileKey::new(Digest::of(b"x"), Uuid::from_u128(1));
        assert_eq!(key.to_string().parse::<FileKey>().unwrap(), key);
        assert_eq!(key.path().as_ref().len(), "files/".len() + 3 + 64 + 1 + 32);
    }

    #[test]
    fn nothing_but_a_key_is_accepted() {
        let sha = Digest::of(b"x");
        let id = Uuid::from_u128(0xabc);
        for text in [
            String::new(),
            "../../etc/passwd".to_owned(),
            format!("{sha}"),
            format!("{sha}-"),
            format!("{sha}-{id}"),
            format!("{sha}-{}", id.simple().to_string().to_uppercase()),
            format!("{{{sha}-{}}}", id.simple()),
            format!("{sha}-{}/..", id.simple()),
            format!("{sha}-{}\0", id.simple()),
            format!("../{sha}-{}", id.simple()),
            format!("{sha}-{}", &id.simple().to_string()[1..]),
        ] {
            assert_eq!(text.parse::<FileKey>(), Err(InvalidKey), "{text}");
        }
    }

    #[test]
    fn parts_sort_by_their_offset() {
        let place = UploadPlace(Uuid::from_u128(1));
        assert!(place.part(9) < place.part(10));
        let last = place.part(u64::MAX);
        assert_eq!(UploadPlace::offset(last.filename().unwrap()), Some(u64::MAX));
        assert_eq!(UploadPlace::offset("start"), None);
    }
}
