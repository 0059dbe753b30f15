//! Tiles: a tree in pieces of 256 hashes (C2SP tlog-tiles).

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes::Bytes;
use crate::error::{LedgerError, malformed};
use crate::hash::Hash;

/// The hashes in a full tile.
pub const TILE_WIDTH: u64 = 256;
/// The levels of the tree that one tile covers.
pub const TILE_HEIGHT: u8 = 8;

/// A tile: `width` hashes, each the root of a complete subtree of 256^level leaves, from `index * 256` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// The level of the tile: hashes of leaves at 0, of 256 leaves at 1, of 65,536 at 2.
    pub level: u8,
    /// The index within the level.
    pub index: u64,
}

impl TileId {
    /// How many hashes the tile has in a tree of `size` leaves; none if the tile does not exist there.
    pub fn width(self, size: u64) -> Option<u64> {
        let shift = u32::from(self.level).checked_mul(u32::from(TILE_HEIGHT))?;
        let nodes = size.checked_shr(shift).unwrap_or(0);
        let begin = self.index.checked_mul(TILE_WIDTH)?;
        let width = nodes.saturating_sub(begin).min(TILE_WIDTH);
        (width > 0).then_some(width)
    }

    /// The path of the tile in a folder or at an address: `tile/0/x001/234`, with `.p/17` behind it if it is not full.
    pub fn path(self, width: u64) -> String {
        format!("tile/{}/{}{}", self.level, digits(self.index), partial(width))
    }
}

/// The path of a bundle of entries: `tile/entries/x001/234`, with `.p/17` behind it if it is not full.
pub fn entries_path(index: u64, width: u64) -> String {
    format!("tile/entries/{}{}", digits(index), partial(width))
}

fn partial(width: u64) -> String {
    if width == TILE_WIDTH {
        String::new()
    } else {
        format!(".p/{width}")
    }
}

/// Three digits a folder, all but the last with an `x` before them.
fn digits(index: u64) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// All tiles of a tree with their widths, level by level.
pub fn tiles_of(size: u64) -> Vec<(TileId, u64)> {
    let mut tiles = Vec::new();
    for level in 0.. {
        let widths = (0..).map_while(|index| {
            let tile = TileId { level, index };
            tile.width(size).map(|width| (tile, width))
        });
        let before = tiles.len();
        tiles.extend(widths);
        if tiles.len() == before {
            break;
        }
    }
    tiles
}

/// A bundle of entries: each with its length in two bytes before it.
pub fn encode_entries<B: AsRef<[u8]>>(entries: impl IntoIterator<Item = B>) -> Result<Vec<u8>, LedgerError> {
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let length =
            u16::try_from(entry.len()).map_err(|_| malformed("bundle of entries", "an entry is longer than 65,535"))?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(entry);
    }
    Ok(out)
}

/// The entries of a bundle.
pub fn decode_entries(bundle: &[u8]) -> Result<Vec<&[u8]>, LedgerError> {
    let mut bytes = Bytes::new("bundle of entries", bundle);
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(bytes.u16()?);
        entries.push(bytes.take(length)?);
    }
    Ok(entries)
}

/// The hashes of a tile.
pub fn decode_tile(tile: &[u8]) -> Result<Vec<Hash>, LedgerError> {
    let (hashes, rest) = tile.as_chunks::<32>();
    if !rest.is_empty() || hashes.is_empty() || hashes.len() > 256 {
        return Err(malformed("tile", "it is not 1 to 256 hashes"));
    }
    Ok(hashes.iter().copied().map(Hash).collect())
}

/// Where proofs take the roots of complete subtrees from.
pub trait TileSource {
    /// The first `width` hashes of a tile.
    fn tile(&mut self, tile: TileId, width: u64) -> Result<&[Hash], LedgerError>;

    /// The root of the complete subtree number `index` of the level `level`, counted from the leaves.
    fn node(&mut self, level: u8, index: u64) -> Result<Hash, LedgerError> {
        let within = level % TILE_HEIGHT;
        let first = index << within;
        let tile = TileId {
            level: level / TILE_HEIGHT,
            index: first / TILE_WIDTH,
        };
        let begin = first % TILE_WIDTH;
        let end = begin + (1 << within);
        let missing = || LedgerError::MissingTile {
            level: tile.level,
            index: tile.index,
        };
        let range = usize::try_from(begin).map_err(|_| missing())?..usize::try_from(end).map_err(|_| missing())?;
        let mut hashes = self.tile(tile, end)?.get(range).ok_or_else(missing)?.to_vec();
        while let [left, right, ..] = hashes.as_slice() {
            if hashes.len() == 2 {
                return Ok(Hash::node(left, right));
            }
            hashes = hashes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|[left, right]| Hash::node(left, right))
                .collect();
        }
        hashes.first().copied().ok_or_else(missing)
    }
}

/// Tiles that were read beforehand.
#[derive(Clone, Debug, Default)]
pub struct TileSet {
    tiles: BTreeMap<TileId, Vec<Hash>>,
}

impl TileSet {
    /// All tiles of the tree over these leaves.
    pub fn of_leaves(leaves: impl IntoIterator<Item = Hash>) -> Self {
        let mut set = Self::default();
        let mut frontier = crate::Frontier::new();
        for leaf in leaves {
            frontier.push_with(leaf, |level, index, hash| {
                if level.is_multiple_of(TILE_HEIGHT) {
                    let tile = TileId {
                        level: level / TILE_HEIGHT,
                        index: index / TILE_WIDTH,
                    };
                    set.tiles.entry(tile).or_default().push(hash);
                }
            });
        }
        set
    }

    /// Adds a tile, or as much of one as was read.
    pub fn insert(&mut self, tile: TileId, hashes: Vec<Hash>) {
        self.tiles.insert(tile, hashes);
    }
}

impl TileSource for TileSet {
    fn tile(&mut self, tile: TileId, _: u64) -> Result<&[Hash], LedgerError> {
        self.tiles
            .get(&tile)
            .map(Vec::as_slice)
            .ok_or(LedgerError::MissingTile {
                level: tile.level,
                index: tile.index,
            })
    }
}

/// Answers every question with a hash of zeros and remembers which tiles were asked for: so a caller that reads tiles from
/// afar learns what to fetch before it makes a proof.
#[derive(Debug, Default)]
struct Recorder {
    asked: BTreeSet<TileId>,
    zeros: Vec<Hash>,
}

impl TileSource for Recorder {
    fn tile(&mut self, tile: TileId, _: u64) -> Result<&[Hash], LedgerError> {
        self.asked.insert(tile);
        self.zeros.resize(256, Hash([0; 32]));
        Ok(&self.zeros)
    }

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, LedgerError> {
        let within = level % TILE_HEIGHT;
        self.asked.insert(TileId {
            level: level / TILE_HEIGHT,
            index: (index << within) / TILE_WIDTH,
        });
        Ok(Hash([0; 32]))
    }
}

/// The tiles that [`inclusion_proof`](crate::inclusion_proof) will ask for.
pub fn tiles_for_inclusion(index: u64, size: u64) -> Result<BTreeSet<TileId>, LedgerError> {
    let mut recorder = Recorder::default();
    crate::inclusion_proof(&mut recorder, index, size)?;
    Ok(recorder.asked)
}

/// The tiles that [`consistency_proof`](crate::consistency_proof) will ask for.
pub fn tiles_for_consistency(first: u64, second: u64) -> Result<BTreeSet<TileId>, LedgerError> {
    let mut recorder = Recorder::default();
    crate::consistency_proof(&mut recorder, first, second)?;
    Ok(recorder.asked)
}

/// The tiles that hold the right edge of a tree: for [`tree_root`](crate::tree_root) and [`frontier_of`].
pub fn tiles_for_root(size: u64) -> Result<BTreeSet<TileId>, LedgerError> {
    let mut recorder = Recorder::default();
    frontier_of(&mut recorder, size)?;
    Ok(recorder.asked)
}

/// The right edge of a tree of `size` leaves, to go on from.
pub fn frontier_of(tiles: &mut impl TileSource, size: u64) -> Result<crate::Frontier, LedgerError> {
    let mut subtrees = Vec::new();
    for level in (0..64_u8).rev().filter(|level| (size >> level) & 1 == 1) {
        subtrees.push(tiles.node(level, (size >> level) - 1)?);
    }
    crate::Frontier::from_subtrees(size, subtrees)
}
