//! The tree against vectors from outside, against a second implementation, and against itself.

#![expect(
    clippy::unwrap_used,
    reason = "what stands between the tests fails the test that calls it"
)]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use egov_ledger::{
    Frontier, Hash, LedgerError, TileId, TileSet, TileSource as _, consistency_proof, entries_path, frontier_of,
    inclusion_proof, root_from_inclusion, tiles_for_consistency, tiles_for_inclusion, tiles_for_root, tiles_of,
    tree_root, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use sha2::Sha256;

/// The eight leaves of the test vectors of Certificate Transparency: `merkletree/merkle_tree_test.cc` of
/// google/certificate-transparency, `testonly/constants.go` of transparency-dev/merkle (both Apache-2.0).
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// The roots of the trees over the first 1 to 8 of them, from the same files.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// Inclusion proofs of the same vectors: leaf and size counted from 1, then the path.
const INCLUSION: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        3,
        3,
        &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    ),
];

/// Consistency proofs of the same vectors.
const CONSISTENCY: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];

fn bytes(hex_text: &str) -> Vec<u8> {
    hex::decode(hex_text).unwrap()
}

fn hash(hex_text: &str) -> Hash {
    Hash::from_slice(&bytes(hex_text)).unwrap()
}

fn hashes(path: &[&str]) -> Vec<Hash> {
    path.iter().map(|text| hash(text)).collect()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|n| Hash::leaf(&n.to_be_bytes())).collect()
}

fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Frontier::new();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}

#[test]
fn the_roots_of_the_vectors_of_certificate_transparency_are_met() {
    let mut tree = Frontier::new();
    assert_eq!(tree.root(), Hash::EMPTY);
    for (leaf, expected) in LEAVES.iter().zip(ROOTS) {
        tree.push(Hash::leaf(&bytes(leaf)));
        assert_eq!(tree.root(), hash(expected), "size {}", tree.size());
    }
}

#[test]
fn the_proofs_of_the_vectors_of_certificate_transparency_are_made_and_verified() {
    let vector: Vec<Hash> = LEAVES.iter().map(|leaf| Hash::leaf(&bytes(leaf))).collect();
    let mut tiles = TileSet::of_leaves(vector.iter().copied());
    for (leaf, size, path) in INCLUSION {
        let expected = hashes(path);
        assert_eq!(
            inclusion_proof(&mut tiles, leaf - 1, size).unwrap(),
            expected,
            "{leaf} of {size}"
        );
        let (of, at) = (
            vector[usize::try_from(leaf - 1).unwrap()],
            hash(ROOTS[usize::try_from(size - 1).unwrap()]),
        );
        verify_inclusion(&of, leaf - 1, size, &expected, &at).unwrap();
    }
    for (first, second, path) in CONSISTENCY {
        let expected = hashes(path);
        assert_eq!(
            consistency_proof(&mut tiles, first, second).unwrap(),
            expected,
            "{first} to {second}"
        );
        let at = |size: u64| hash(ROOTS[usize::try_from(size - 1).unwrap()]);
        verify_consistency(first, &at(first), second, &at(second), &expected).unwrap();
    }
}

#[test]
fn every_proof_of_every_small_tree_is_right_and_fails_for_anything_else() {
    let all = leaves(40);
    let mut tiles = TileSet::of_leaves(all.iter().copied());
    for size in 1..=40_u64 {
        let at = root(&all[..usize::try_from(size).unwrap()]);
        assert_eq!(tree_root(&mut tiles, size).unwrap(), at);
        for index in 0..size {
            let path = inclusion_proof(&mut tiles, index, size).unwrap();
            let leaf = all[usize::try_from(index).unwrap()];
            verify_inclusion(&leaf, index, size, &path, &at).unwrap();
            assert!(verify_inclusion(&Hash::leaf(b"other"), index, size, &path, &at).is_err());
            assert!(verify_inclusion(&leaf, index, size, &path, &Hash::leaf(b"other")).is_err());
            for other in (0..size).filter(|other| *other != index) {
                assert!(
                    verify_inclusion(&leaf, other, size, &path, &at).is_err(),
                    "{index} as {other} of {size}"
                );
            }
            for shorter in 0..path.len() {
                assert!(verify_inclusion(&leaf, index, size, &path[..shorter], &at).is_err());
            }
            let longer = [path.as_slice(), &[Hash::EMPTY]].concat();
            assert!(verify_inclusion(&leaf, index, size, &longer, &at).is_err());
        }
        for first in 0..=size {
            let old = root(&all[..usize::try_from(first).unwrap()]);
            let path = consistency_proof(&mut tiles, first, size).unwrap();
            verify_consistency(first, &old, size, &at, &path).unwrap();
            assert!(verify_consistency(first, &Hash::leaf(b"other"), size, &at, &path).is_err());
            if first > 0 {
                assert!(verify_consistency(first, &old, size, &Hash::leaf(b"other"), &path).is_err());
            }
            for at_hash in 0..path.len() {
                let mut changed = path.clone();
                changed[at_hash] = Hash::leaf(b"other");
                assert!(verify_consistency(first, &old, size, &at, &changed).is_err());
                assert!(verify_consistency(first, &old, size, &at, &path[..at_hash]).is_err());
            }
        }
    }
}

#[test]
fn a_leaf_outside_the_tree_has_no_proof() {
    let mut tiles = TileSet::of_leaves(leaves(3));
    let outside = LedgerError::OutOfRange {
        what: "index",
        value: 3,
        size: 3,
    };
    assert_eq!(inclusion_proof(&mut tiles, 3, 3), Err(outside.clone()));
    assert_eq!(root_from_inclusion(&Hash::EMPTY, 3, 3, &[]), Err(outside));
    assert!(consistency_proof(&mut tiles, 4, 3).is_err());
    assert_eq!(
        tree_root(&mut tiles, 4),
        Err(LedgerError::MissingTile { level: 0, index: 0 })
    );
}

#[test]
fn tiles_have_the_paths_and_widths_of_the_specification() {
    // C2SP tlog-tiles: "index 1234067 is encoded as x001/x234/067", and the example of a tree of 70,000 leaves.
    assert_eq!(
        TileId {
            level: 0,
            index: 1_234_067
        }
        .path(256),
        "tile/0/x001/x234/067"
    );
    assert_eq!(entries_path(273, 112), "tile/entries/273.p/112");
    let tiles = tiles_of(70_000);
    let of = |level| tiles.iter().filter(move |(tile, _)| tile.level == level);
    assert_eq!(of(0).count(), 274);
    assert_eq!(of(0).next_back(), Some(&(TileId { level: 0, index: 273 }, 112)));
    assert_eq!(
        of(1).copied().collect::<Vec<_>>(),
        [
            (TileId { level: 1, index: 0 }, 256),
            (TileId { level: 1, index: 1 }, 17)
        ]
    );
    assert_eq!(of(2).copied().collect::<Vec<_>>(), [(TileId { level: 2, index: 0 }, 1)]);
    assert_eq!(tiles.len(), 277);
    assert_eq!(tiles_of(0), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_second_implementation_has_the_same_roots_and_proofs(
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..600),
        index in any::<prop::sample::Index>(),
        first in any::<prop::sample::Index>(),
    ) {
        let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let mut ours = Frontier::new();
        let mut hashes = Vec::new();
        for item in &data {
            theirs.push(item.clone());
            hashes.push(Hash::leaf(item));
            ours.push(Hash::leaf(item));
        }
        let (their_root, root) = (theirs.root(), ours.root());
        prop_assert_eq!(their_root.as_bytes().as_slice(), root.as_bytes());
        let mut tiles = TileSet::of_leaves(hashes);
        let (index, size) = (index.index(data.len()), data.len() as u64);
        let path: Vec<u8> = inclusion_proof(&mut tiles, index as u64, size).unwrap().iter().flat_map(|hash| hash.0).collect();
        let their_path = theirs.prove_inclusion(index);
        prop_assert_eq!(their_path.as_bytes(), path.as_slice());
        let first = first.index(data.len()) + 1;
        if first < data.len() {
            let path: Vec<u8> = consistency_proof(&mut tiles, first as u64, size).unwrap().iter().flat_map(|hash| hash.0).collect();
            let their_path = theirs.prove_consistency(data.len() - first);
            prop_assert_eq!(their_path.as_bytes(), path.as_slice());
        }
    }

    #[test]
    fn proofs_need_no_more_tiles_than_are_announced(size in 1..70_000_u64, index in any::<u64>(), first in any::<u64>()) {
        // Over made-up hashes: what matters is which tiles are asked for, and that the proof leads to the root.
        let all = leaves(size);
        let full = TileSet::of_leaves(all.iter().copied());
        let only = |wanted: std::collections::BTreeSet<TileId>| {
            let mut set = TileSet::default();
            for tile in wanted {
                let width = tile.width(size).unwrap();
                set.insert(tile, full.clone().tile(tile, width).unwrap().to_vec());
            }
            set
        };
        let (index, first) = (index % size, first % size + 1);
        let at = root(&all);
        let path = inclusion_proof(&mut only(tiles_for_inclusion(index, size).unwrap()), index, size).unwrap();
        verify_inclusion(&all[usize::try_from(index).unwrap()], index, size, &path, &at).unwrap();
        let path = consistency_proof(&mut only(tiles_for_consistency(first, size).unwrap()), first, size).unwrap();
        verify_consistency(first, &root(&all[..usize::try_from(first).unwrap()]), size, &at, &path).unwrap();
        let edge = frontier_of(&mut only(tiles_for_root(size).unwrap()), size).unwrap();
        prop_assert_eq!(edge.root(), at);
        prop_assert!(tiles_for_inclusion(index, size).unwrap().len() <= 6);
    }
}
