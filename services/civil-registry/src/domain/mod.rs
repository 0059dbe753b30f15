//! The law and the rules: plain types and functions; no I/O, no protobuf, no SQL, no clock.

pub mod annotation;
pub mod as_of;
pub mod birth;
pub mod book;
pub mod correction;
pub mod death;
pub mod duplicate;
pub mod entry;
pub mod finding;
pub mod guarded;
pub mod kinship;
pub mod marriage;
pub mod matching;
pub mod paper;
pub mod person;
pub mod person_search;
pub mod predicate;
pub mod rules;
pub mod statistics;
