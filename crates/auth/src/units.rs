//! The tree of units (cây đơn vị) against which grants are expanded.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A unit and the unit above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Internal id, above 0 and never used again.
    pub id: i32,
    /// The unit above; none for a root.
    pub parent: Option<i32>,
}

/// The units of one day, with what lies below each.
///
/// It is made from a snapshot that identity signs; its version grows with every change of the organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitTree {
    version: i64,
    subtrees: HashMap<i32, Vec<i32>>,
}

/// Why units do not make a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitTreeError {
    /// Ids start at 1, because 0 stands for the whole province.
    #[error("unit {0} has an id below 1")]
    Id(i32),
    /// Two units have one id.
    #[error("unit {0} occurs twice")]
    Duplicate(i32),
    /// The unit above is not among the units.
    #[error("unit {unit} lies below {parent}, which is not in the tree")]
    UnknownParent {
        /// The unit.
        unit: i32,
        /// Its missing parent.
        parent: i32,
    },
    /// A unit lies below itself.
    #[error("unit {0} lies below itself")]
    Cycle(i32),
}

impl UnitTree {
    /// The tree of these units, in any order.
    pub fn new(version: i64, units: impl IntoIterator<Item = Unit>) -> Result<Self, UnitTreeError> {
        let mut parents: HashMap<i32, Option<i32>> = HashMap::new();
        for unit in units {
            if unit.id < 1 {
                return Err(UnitTreeError::Id(unit.id));
            }
            if parents.insert(unit.id, unit.parent).is_some() {
                return Err(UnitTreeError::Duplicate(unit.id));
            }
        }

        let mut subtrees: HashMap<i32, Vec<i32>> = parents.keys().map(|&id| (id, Vec::new())).collect();
        for &id in parents.keys() {
            let mut steps = 0;
            let mut at = Some(id);
            let mut below = id;
            while let Some(above) = at {
                let Some(subtree) = subtrees.get_mut(&above) else {
                    return Err(UnitTreeError::UnknownParent {
                        unit: below,
                        parent: above,
                    });
                };
                subtree.push(id);
                steps += 1;
                if steps > parents.len() {
                    return Err(UnitTreeError::Cycle(id));
                }
                below = above;
                at = parents.get(&above).copied().flatten();
            }
        }
        for subtree in subtrees.values_mut() {
            subtree.sort_unstable();
        }
        Ok(Self { version, subtrees })
    }

    /// Grows with every change.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Whether the tree knows the unit.
    pub fn contains(&self, unit: i32) -> bool {
        self.subtrees.contains_key(&unit)
    }

    /// The unit and everything below it, sorted; empty for a unit that the tree does not know.
    pub fn subtree(&self, unit: i32) -> &[i32] {
        self.subtrees.get(&unit).map_or(&[], Vec::as_slice)
    }

    /// The units, in no particular order.
    pub fn units(&self) -> impl Iterator<Item = i32> {
        self.subtrees.keys().copied()
    }

    /// How many units there are.
    pub fn len(&self) -> usize {
        self.subtrees.len()
    }

    /// Whether there is no unit.
    pub fn is_empty(&self) -> bool {
        self.subtrees.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(id: i32, parent: i32) -> Unit {
        Unit {
            id,
            parent: (parent > 0).then_some(parent),
        }
    }

    #[test]
    fn a_subtree_is_the_unit_and_everything_below_sorted() {
        let tree = UnitTree::new(7, [unit(9, 4), unit(4, 1), unit(1, 0), unit(3, 1), unit(5, 4)]).unwrap();
        assert_eq!(tree.subtree(1), [1, 3, 4, 5, 9]);
        assert_eq!(tree.subtree(4), [4, 5, 9]);
        assert_eq!(tree.subtree(9), [9]);
        assert_eq!(tree.subtree(2), [0; 0]);
        assert_eq!((tree.version(), tree.len()), (7, 5));
    }

    #[test]
    fn what_is_not_a_tree_is_refused() {
        assert_eq!(UnitTree::new(1, [unit(0, 0)]), Err(UnitTreeError::Id(0)));
        assert_eq!(
            UnitTree::new(1, [unit(1, 0), unit(1, 0)]),
            Err(UnitTreeError::Duplicate(1))
        );
        assert_eq!(
            UnitTree::new(1, [unit(2, 1)]),
            Err(UnitTreeError::UnknownParent { unit: 2, parent: 1 })
        );
        assert!(matches!(
            UnitTree::new(1, [unit(1, 2), unit(2, 1)]),
            Err(UnitTreeError::Cycle(_))
        ));
        assert_eq!(UnitTree::new(1, [unit(1, 1)]), Err(UnitTreeError::Cycle(1)));
    }
}
