//! The right edge of a growing tree.

use crate::error::{LedgerError, malformed};
use crate::hash::Hash;

/// A tree of which only the roots of its complete subtrees are kept: enough to append and to tell the root.
///
/// The subtrees are those of the binary form of the size, the largest first: a tree of 6 leaves is one subtree of 4 and
/// one of 2. Appending a million leaves costs two million hashes and memory for twenty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of complete subtrees, the largest first.
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of `size` leaves from the roots of its complete subtrees, the largest first.
    pub fn from_subtrees(size: u64, subtrees: Vec<Hash>) -> Result<Self, LedgerError> {
        if u32::try_from(subtrees.len()) != Ok(size.count_ones()) {
            return Err(malformed("frontier", "the number of subtrees does not fit the size"));
        }
        Ok(Self { size, subtrees })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash. `completed` learns of every node that is complete now, from the leaf (level 0) upwards,
    /// with its level and its index within the level.
    pub fn push_with(&mut self, leaf: Hash, mut completed: impl FnMut(u8, u64, Hash)) {
        let index = self.size;
        completed(0, index, leaf);
        let mut hash = leaf;
        let mut level: u8 = 0;
        while (index >> level) & 1 == 1 {
            let Some(left) = self.subtrees.pop() else { break };
            hash = Hash::node(&left, &hash);
            level += 1;
            completed(level, index >> level, hash);
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_, _, _| {});
    }

    /// The root of the tree (MTH of RFC 6962).
    pub fn root(&self) -> Hash {
        let mut subtrees = self.subtrees.iter().rev();
        let Some(smallest) = subtrees.next() else {
            return Hash::EMPTY;
        };
        subtrees.fold(*smallest, |right, left| Hash::node(left, &right))
    }
}
