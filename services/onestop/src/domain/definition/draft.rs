//! Bản thảo: a version that is being written, and a migration of running cases, as they are kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::migrate::Hindrance;
use super::outcome_mapping::Outcomes;

/// Where a draft stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DraftState {
    /// Being written.
    Open,
    /// Published.
    Published,
    /// Given up.
    Discarded,
}

impl DraftState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Open, Self::Published, Self::Discarded];

    /// The name in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Published => "published",
            Self::Discarded => "discarded",
        }
    }

    /// The state of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Id.
    pub draft_id: Uuid,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// The version on which it builds.
    pub base_version: Option<i32>,
    /// Where it stands.
    pub state: DraftState,
    /// The text.
    pub definition: String,
    /// Ghi chú of the last change.
    pub note: String,
    /// The version as which it was published.
    pub published_version: Option<i32>,
    /// The province.
    pub responsible_unit_id: i32,
    /// From 1; grows with every change.
    pub version: i64,
    /// When it was begun.
    pub create_time: Timestamp,
    /// When it changed last.
    pub update_time: Timestamp,
}

impl Draft {
    /// The etag of this state of it. It names the draft too, so that an etag of another one never fits.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.version, &self.draft_id.simple().to_string()[20..])
    }

    /// The draft after a change, which the state must allow.
    #[must_use]
    pub fn changed(&self, to: DraftState, definition: Option<String>, note: &str, now: Timestamp) -> Self {
        Self {
            state: to,
            definition: definition.unwrap_or_else(|| self.definition.clone()),
            note: note.to_owned(),
            version: self.version.saturating_add(1),
            update_time: now,
            ..self.clone()
        }
    }
}

/// One change of a draft, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DraftChange {
    /// The draft.
    pub draft_id: Uuid,
    /// Its version after the change.
    pub version: i64,
    /// create, update, publish, discard.
    pub operation: String,
    /// Where it stood after the change.
    pub state: DraftState,
    /// The text after the change.
    pub definition: String,
    /// Ghi chú.
    pub note: String,
    /// Căn cứ of a publication.
    pub legal_basis: String,
    /// The version that a publication made.
    pub published_version: Option<i32>,
    /// Who did it.
    pub actor_id: Uuid,
    /// In whose name.
    pub on_behalf_of: Option<Uuid>,
    /// When.
    pub record_time: Timestamp,
    /// Why it was published although nobody knew where roles are held; empty otherwise, and then not in the bytes of the leaf, so that
    /// those of changes of before stay what they were.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub accepted_unknown_holders: String,
}

impl DraftChange {
    /// The bytes to which the ledger commits.
    pub fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

/// Where a page of drafts, the newest first, begins: after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfterDraft {
    /// Its time.
    pub create_time: Timestamp,
    /// Its id, which breaks ties.
    pub draft_id: Uuid,
}

/// What a list of drafts is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct DraftFilter {
    /// Only of this procedure.
    pub procedure_code: Option<String>,
    /// Only those that stand so.
    pub state: Option<DraftState>,
}

/// A migration of running cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Id.
    pub migration_id: Uuid,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// From this version.
    pub from_version: i32,
    /// To this one.
    pub to_version: i32,
    /// Steps of the old version and what stands for them.
    pub steps: BTreeMap<String, String>,
    /// Outcomes of the old version and what stands for them.
    pub outcomes: Outcomes,
    /// Lý do.
    pub reason: String,
    /// Căn cứ.
    pub legal_basis: String,
    /// Who decided it.
    pub actor_id: Uuid,
    /// In whose name.
    pub on_behalf_of: Option<Uuid>,
    /// Whether every case was looked at.
    pub finished: bool,
    /// The last case that was looked at.
    pub reached: Option<(Timestamp, Uuid)>,
    /// Cases that went over.
    pub moved: i64,
    /// Cases that stayed.
    pub kept: i64,
    /// The province.
    pub responsible_unit_id: i32,
    /// When it was begun.
    pub create_time: Timestamp,
    /// When something of it changed last.
    pub update_time: Timestamp,
}

impl Migration {
    /// The bytes to which the ledger commits: what was decided, and at the end what became of it. Outcomes are in them only where some were
    /// named, so that those of migrations of before stay what they were.
    pub fn canonical(&self, finished: bool) -> Result<Vec<u8>, serde_json::Error> {
        let outcome = finished.then_some((self.moved, self.kept, self.update_time));
        let mut decided = serde_json::json!({
            "migration_id": self.migration_id, "procedure_code": self.procedure_code, "from_version": self.from_version,
            "to_version": self.to_version, "steps": self.steps, "reason": self.reason, "legal_basis": self.legal_basis,
            "actor_id": self.actor_id, "on_behalf_of": self.on_behalf_of, "create_time": self.create_time,
            "outcome": outcome,
        });
        if let Some(decided) = decided.as_object_mut().filter(|_| !self.outcomes.is_empty()) {
            decided.insert("outcomes".to_owned(), serde_json::to_value(&self.outcomes)?);
        }
        serde_json::to_vec(&decided)
    }
}

/// What became of a case in a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The case.
    pub case_id: Uuid,
    /// Why it stayed; empty if it went over.
    pub hindrances: Vec<Hindrance>,
    /// When it was looked at.
    pub record_time: Timestamp,
}
