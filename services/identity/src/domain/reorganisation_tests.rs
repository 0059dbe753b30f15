//! Plans, and what they make of the tree.
