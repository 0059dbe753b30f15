//! What the law asks of an event before it is entered, one group of rules a file. The numbers are dated data
//! (`deploy/packs/civil-registry`), each with its article and how far it is established.
//!
//! A rule answers with [`Findings`](super::finding::Findings): violations stand in the way; what the law leaves to the officer, and what the
//! data cannot tell, is a question, which a recorded decision answers.

pub mod age;
pub mod bigamy;
pub mod consanguinity;
pub mod decided;
pub mod deciding;
pub mod families;
pub mod inquiry;
pub mod marriage;
pub mod notice;
pub mod number;
pub mod pack;
pub mod paper;
pub mod term;

pub use pack::{RulePacks, Rules, RulesError};
