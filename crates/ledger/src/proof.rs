//! Proofs of RFC 6962 section 2.1, verified as RFC 9162 section 2.1 says.

use crate::error::LedgerError;
use crate::hash::Hash;
use crate::tile::TileSource;

/// The hashes from a leaf to the root (RFC 9162 section 2.1.3), the lowest first.
pub fn inclusion_proof(tiles: &mut impl TileSource, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
    if index >= size {
        return Err(LedgerError::OutOfRange {
            what: "index",
            value: index,
            size,
        });
    }
    let mut path = Vec::new();
    let (mut begin, mut end) = (0, size);
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            path.push(subtree_root(tiles, middle, end)?);
            end = middle;
        } else {
            path.push(subtree_root(tiles, begin, middle)?);
            begin = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The hashes that show a tree of `first` leaves to be the beginning of one of `second` (RFC 9162 section 2.1.4).
pub fn consistency_proof(tiles: &mut impl TileSource, first: u64, second: u64) -> Result<Vec<Hash>, LedgerError> {
    if first > second {
        return Err(LedgerError::OutOfRange {
            what: "size",
            value: first,
            size: second,
        });
    }
    if first == 0 || first == second {
        return Ok(Vec::new());
    }
    let mut path = Vec::new();
    let (mut begin, mut end) = (0, second);
    while end != first {
        let middle = begin + split(end - begin);
        if first <= middle {
            path.push(subtree_root(tiles, middle, end)?);
            end = middle;
        } else {
            path.push(subtree_root(tiles, begin, middle)?);
            begin = middle;
        }
    }
    // What is common to both trees; the verifier knows it by itself if it is the whole of the first.
    if begin != 0 {
        path.push(subtree_root(tiles, begin, end)?);
    }
    path.reverse();
    Ok(path)
}

/// The root of a tree of `size` leaves.
pub fn tree_root(tiles: &mut impl TileSource, size: u64) -> Result<Hash, LedgerError> {
    subtree_root(tiles, 0, size)
}

/// The root over the leaves from `begin` to `end`, where `begin` is a multiple of the largest power of two below or at the
/// number of leaves: true of every range that the definitions of RFC 6962 lead to.
fn subtree_root(tiles: &mut impl TileSource, begin: u64, end: u64) -> Result<Hash, LedgerError> {
    let size = end - begin;
    if size == 0 {
        return Ok(Hash::EMPTY);
    }
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        // Within 64 levels: a size is a u64.
        return tiles.node(u8::try_from(level).unwrap_or(u8::MAX), begin >> level);
    }
    let middle = begin + split(size);
    let left = subtree_root(tiles, begin, middle)?;
    let right = subtree_root(tiles, middle, end)?;
    Ok(Hash::node(&left, &right))
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// Checks that the leaf at `index` is in the tree of `size` leaves with this root.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> Result<(), LedgerError> {
    let found = root_from_inclusion(leaf, index, size, path)?;
    if found == *root {
        Ok(())
    } else {
        Err(LedgerError::ProofFails { proof: "inclusion" })
    }
}

/// The root to which an inclusion proof leads, whatever root a checkpoint claims.
pub fn root_from_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Result<Hash, LedgerError> {
    if index >= size {
        return Err(LedgerError::OutOfRange {
            what: "index",
            value: index,
            size,
        });
    }
    let fails = || LedgerError::ProofFails { proof: "inclusion" };
    let (mut node, mut last) = (index, size - 1);
    let mut root = *leaf;
    for hash in path {
        if last == 0 {
            return Err(fails());
        }
        if node & 1 == 1 || node == last {
            root = Hash::node(hash, &root);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            root = Hash::node(&root, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(root) } else { Err(fails()) }
}

/// Checks that the tree of `first` leaves is the beginning of the tree of `second` leaves.
pub fn verify_consistency(
    first: u64,
    first_root: &Hash,
    second: u64,
    second_root: &Hash,
    path: &[Hash],
) -> Result<(), LedgerError> {
    match consistency(first, first_root, second, second_root, path)? {
        Consistency::GoesOn => Ok(()),
        Consistency::Contradicts { .. } => Err(LedgerError::ProofFails { proof: "consistency" }),
    }
}

/// What a proof of consistency shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// The tree of `first` leaves is the beginning of the tree of `second` leaves.
    GoesOn,
    /// It is not: the path leads to `second_root`, and the first leaves of that tree have another root than `first_root`. Who signed
    /// both roots forked, and nobody else can make such a path: its hashes are nodes of the tree of `second_root`, because
    /// another way to that root would be a collision of SHA-256.
    Contradicts {
        /// The root that the first leaves of the greater tree have.
        instead: Hash,
    },
}

/// What a proof shows of two roots.
///
/// # Errors
/// It shows nothing: it does not lead to `second_root`, or the sizes are none of a proof. If `first` is a power of two the path begins
/// with `first_root` itself, so that a contradiction never shows.
pub fn consistency(
    first: u64,
    first_root: &Hash,
    second: u64,
    second_root: &Hash,
    path: &[Hash],
) -> Result<Consistency, LedgerError> {
    let fails = || LedgerError::ProofFails { proof: "consistency" };
    if first > second {
        return Err(LedgerError::OutOfRange {
            what: "size",
            value: first,
            size: second,
        });
    }
    if first == second {
        return match (path.is_empty(), first_root == second_root) {
            (false, _) => Err(fails()),
            (true, true) => Ok(Consistency::GoesOn),
            (true, false) => Ok(Consistency::Contradicts { instead: *second_root }),
        };
    }
    if first == 0 {
        // Every tree begins with nothing.
        let empty = path.is_empty() && *first_root == Hash::EMPTY;
        return if empty { Ok(Consistency::GoesOn) } else { Err(fails()) };
    }
    let (mut node, mut last) = (first - 1, second - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let mut path = path.iter();
    let start = if first.is_power_of_two() {
        first_root
    } else {
        path.next().ok_or_else(fails)?
    };
    let (mut old, mut new) = (*start, *start);
    for hash in path {
        if last == 0 {
            return Err(fails());
        }
        if node & 1 == 1 || node == last {
            old = Hash::node(hash, &old);
            new = Hash::node(hash, &new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new = Hash::node(&new, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 || new != *second_root {
        return Err(fails());
    }
    Ok(if old == *first_root {
        Consistency::GoesOn
    } else {
        Consistency::Contradicts { instead: old }
    })
}
