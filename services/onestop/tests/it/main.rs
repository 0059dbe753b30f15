//! The one-stop service through its real port, against a real PostgreSQL.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::needless_update,
    reason = "tests fail loudly"
)]

mod access;
mod acts_by_state;
mod alone;
mod bucket;
mod calendar_change;
mod catalogue;
mod civil_decisions;
mod components;
mod counters;
mod deadlines;
mod definitions;
mod due_dates;
mod eforms;
mod fees;
mod files;
mod generated;
mod house;
mod importing;
mod lifecycle;
mod linked;
mod lookup;
mod migration_killed;
mod migrations;
mod neighbour;
mod non_interference;
mod numbers;
mod papers;
mod population;
mod procedures;
mod ratings;
mod readers;
mod reconciling;
mod repetition;
mod reports;
mod rest;
mod results;
mod rows_of_units;
mod schema;
mod searching;
mod staffing;
mod statistics;
mod support;
mod units;
mod unsettled;
mod validation;
mod work;
mod work_places;
mod work_refusals;
