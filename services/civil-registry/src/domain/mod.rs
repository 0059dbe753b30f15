//! The law and the rules: plain types and functions; no I/O, no protobuf, no SQL, no clock.

pub mod annotation;
pub mod birth;
pub mod book;
pub mod correction;
pub mod death;
pub mod entry;
pub mod finding;
pub mod kinship;
pub mod marriage;
pub mod matching;
pub mod person;
pub mod rules;
pub mod statistics;
