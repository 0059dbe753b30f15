//! The law and the rules of one-stop case handling: plain types and functions, no I/O, no protobuf, no SQL.

pub mod case;
pub mod charge;
pub mod components;
pub mod counters;
pub mod deadline;
pub mod deadline_rules;
pub mod definition;
pub mod extension;
pub mod forecast;
pub mod linked;
pub mod listing;
pub mod lookup;
pub mod old_case;
pub mod pack;
pub mod papers;
pub mod party;
pub mod reception;
pub mod reconcile;
pub mod reports;
pub mod results;
pub mod search;
pub mod statistics;
pub mod transitions;
pub mod treasury;
pub mod verify;
pub mod work;
