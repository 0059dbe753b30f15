//! A log as a folder of tiles (C2SP tlog-tiles): written, and checked without a database.

use std::fs;
use std::io;
use std::path::Path;

use egov_ledger::{
    Entry, Frontier, Hash, SignedCheckpoint, TILE_WIDTH, TileSet, TileSource as _, decode_entries, decode_tile,
    encode_entries, entries_path, tiles_of,
};

use crate::error::Error;
use crate::log::Log;
use crate::verify::{LogReport, Rule, Trust};

/// Why a folder could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The log.
    #[error(transparent)]
    Log(#[from] Error),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.display().to_string();
    move |source| FolderError::File { path, source }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    fs::write(path, bytes).map_err(at(path))
}

/// Writes the log of an epoch as of its newest checkpoint: `checkpoint` with its cosignatures, `tile/…`, `tile/entries/…`; the keys that
/// verify it go beside, in `keys`, for convenience. Answers with the size.
pub async fn export(
    log: &Log,
    epoch: i32,
    folder: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<u64, FolderError> {
    let (checkpoint, _) = log.checkpoint(epoch, 0).await?;
    let size = checkpoint.checkpoint().size;
    let mut hashes: Vec<Hash> = Vec::new();
    while (hashes.len() as u64) < size {
        let from = hashes.len() as u64;
        let width = (size - from).min(TILE_WIDTH);
        let rows = log
            .entries(epoch, from, None, i64::try_from(width).unwrap_or(256))
            .await?;
        if rows.len() as u64 != width {
            return Err(Error::OutsideTheTree.into());
        }
        let mut bundle = Vec::new();
        for row in rows {
            hashes.push(row.hash);
            bundle.push(row.entry.encode().map_err(Error::from)?);
        }
        let bundle = encode_entries(bundle).map_err(Error::from)?;
        write(&folder.join(entries_path(from / TILE_WIDTH, width)), &bundle)?;
        progress(hashes.len() as u64, size);
    }
    let mut tiles = TileSet::of_leaves(hashes);
    for (tile, width) in tiles_of(size) {
        let hashes = tiles.tile(tile, width).map_err(Error::from)?;
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        write(&folder.join(tile.path(width)), &bytes)?;
    }
    let keys = log.keys(epoch).map_err(Error::from)?;
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    write(&folder.join("keys"), (keys.join("\n") + "\n").as_bytes())?;
    // Last: a folder with a checkpoint is whole.
    write(&folder.join("checkpoint"), checkpoint.to_string().as_bytes())?;
    Ok(size)
}

/// Checks a folder of tiles: every entry, every tile, the root, the signatures.
pub fn verify_folder(
    folder: &Path,
    trust: &Trust,
    mut progress: impl FnMut(u64, u64),
) -> Result<LogReport, FolderError> {
    let read = |path: &Path| fs::read(path).map_err(at(path));
    let note = read(&folder.join("checkpoint"))?;
    let signed: SignedCheckpoint = String::from_utf8_lossy(&note).parse().map_err(Error::NotSigned)?;
    let said = signed.checkpoint().clone();
    let mut report = LogReport {
        log: said.origin.clone(),
        checkpoints: 1,
        ..LogReport::default()
    };
    if let Err(error) = signed.verify_any(&trust.keys) {
        report.find(Rule::Signature, format!("the checkpoint: {error}"));
    }
    for signature in signed
        .note()
        .signatures
        .iter()
        .filter(|signature| signature.name != said.origin)
    {
        let key = trust
            .keys
            .iter()
            .find(|key| key.name() == signature.name && key.id() == signature.key_id);
        match key.map(|key| signed.cosigned_by(key)) {
            None => report.cosignatures_unknown += 1,
            Some(Ok(_)) => report.cosignatures += 1,
            Some(Err(error)) => report.find(Rule::Cosignature, error.to_string()),
        }
    }
    let mut frontier = Frontier::new();
    let mut hashes = Vec::new();
    for bundle in 0..said.size.div_ceil(TILE_WIDTH) {
        let width = (said.size - bundle * TILE_WIDTH).min(TILE_WIDTH);
        let bytes = read(&folder.join(entries_path(bundle, width)))?;
        let entries = decode_entries(&bytes).unwrap_or_default();
        if entries.len() as u64 != width {
            report.find(
                Rule::Indexes,
                format!("bundle {bundle} has {} entries instead of {width}", entries.len()),
            );
        }
        for entry in entries {
            if let Err(error) = Entry::decode(entry) {
                report.find(Rule::Leaf, format!("entry {}: {error}", hashes.len()));
            }
            let hash = Hash::leaf(entry);
            frontier.push(hash);
            hashes.push(hash);
            report.entries += 1;
        }
        progress(report.entries, said.size);
    }
    if frontier.size() != said.size || frontier.root() != said.root {
        report.find(
            Rule::Root,
            format!(
                "the entries do not have the root of the checkpoint of size {}",
                said.size
            ),
        );
    }
    let mut expected = TileSet::of_leaves(hashes);
    for (tile, width) in tiles_of(said.size) {
        let bytes = read(&folder.join(tile.path(width)))?;
        let same = match (decode_tile(&bytes), expected.tile(tile, width)) {
            (Ok(stored), Ok(hashes)) => stored == hashes,
            _ => false,
        };
        if !same {
            report.find(
                Rule::Nodes,
                format!("tile {} of level {} is not that of the entries", tile.index, tile.level),
            );
        }
    }
    Ok(report)
}
