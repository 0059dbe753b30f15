//! The civil-status register, simulated: one entry a key, numbered through the year for each agency and kind. Beside them what it is told of
//! communes' books, which number themselves, and the changes that it reports.

use std::collections::{BTreeMap, BTreeSet};

use egov_clock::vietnam;
use egov_partners::civil_books::{BookEntry, BookName, Change, Held, digest_of};
use egov_partners::civil_status::{Entry, RegistrationKind, Submission};
use serde_json::{Value, json};

use crate::stage::{Incoming, Part, Reply, Stage, Twist, simulator};

/// The bearer token: of the simulator, no secret.
pub const TOKEN: &str = "civil-status simulator";

/// The register.
pub struct CivilStatusSimulator(Stage<Register>);

simulator!(CivilStatusSimulator, Register);

impl CivilStatusSimulator {
    /// The entries, by our key.
    pub fn entries(&self) -> BTreeMap<String, Entry> {
        self.0.with(|part| part.entries.clone())
    }

    /// How many numbers were used: more than one a key is a hole in a book.
    pub fn numbers_used(&self) -> u32 {
        self.0.with(|part| part.counters.values().sum())
    }

    /// What it holds of communes' books, by key.
    pub fn told(&self) -> BTreeMap<String, BookEntry> {
        self.0.with(|part| part.told.clone())
    }

    /// It holds this, whatever it was told: what somebody entered or changed there.
    pub fn hold(&self, entry: BookEntry) {
        self.0.with(|part| part.told.insert(entry.key.clone(), entry));
    }

    /// It loses what it was told under a key.
    pub fn lose(&self, key: &str) {
        self.0.with(|part| part.told.remove(key));
    }

    /// Whether it refuses what it is told under a key.
    pub fn refuse(&self, key: &str, refuses: bool) {
        self.0.with(|part| {
            if refuses {
                part.refused.insert(key.to_owned());
            } else {
                part.refused.remove(key);
            }
        });
    }

    /// It learns of a change that was made elsewhere, and reports it from now on; the same may be reported twice.
    pub fn report(&self, change: Change) {
        self.0.with(|part| part.changes.push(change));
    }

    /// How often an entry of a book came to stand otherwise than before: what is told twice changes nothing.
    pub fn effects(&self) -> u32 {
        self.0.with(|part| part.effects)
    }
}

#[derive(Default)]
struct Register {
    entries: BTreeMap<String, Entry>,
    /// By agency, kind and year.
    counters: BTreeMap<(String, &'static str, i16), u32>,
    /// Of communes' books, by key.
    told: BTreeMap<String, BookEntry>,
    refused: BTreeSet<String>,
    changes: Vec<Change>,
    effects: u32,
}

impl Register {
    fn submit(&mut self, request: &Incoming) -> Value {
        let Ok(submission) = serde_json::from_slice::<Submission>(&request.body) else {
            return json!({ "code": "refused", "entry": null });
        };
        // The schema's names of a birth and a marriage are known; of a death they are not.
        let needed = match submission.kind {
            RegistrationKind::Birth => Some("nksHoTen"),
            RegistrationKind::Marriage => Some("chongHoTen"),
            RegistrationKind::Death => None,
        };
        let named = match needed {
            Some(field) => submission
                .fields
                .get(field)
                .and_then(Value::as_str)
                .is_some_and(|name| !name.is_empty()),
            None => !submission.fields.is_empty(),
        };
        if !named || submission.key.is_empty() {
            return json!({ "code": "refused", "entry": null });
        }
        if let Some(entry) = self.entries.get(&submission.key) {
            return json!({ "code": "ok", "entry": entry });
        }
        let year = request.now.to_zoned(vietnam()).year();
        let counter = self
            .counters
            .entry((submission.agency_code.clone(), submission.kind.word(), year))
            .or_default();
        *counter += 1;
        let born = submission.kind == RegistrationKind::Birth;
        let entry = Entry {
            key: submission.key.clone(),
            kind: submission.kind,
            number: format!("{counter:02}"),
            book: format!("01/{year}"),
            page: counter.to_string(),
            personal_number: if born {
                format!("0402{:02}{counter:06}", year % 100)
            } else {
                String::new()
            },
        };
        self.entries.insert(submission.key, entry.clone());
        json!({ "code": "ok", "entry": entry })
    }

    /// An entry of a book, as it stands. Of two versions it keeps the later one; the same version again takes the place of what is there, since the
    /// book is the source.
    fn tell(&mut self, request: &Incoming) -> Value {
        let refused = json!({ "code": "refused" });
        let Ok(entry) = serde_json::from_slice::<BookEntry>(&request.body) else {
            return refused;
        };
        let needed = match entry.kind {
            RegistrationKind::Birth => "nksHoTen",
            RegistrationKind::Marriage => "chongHoTen",
            RegistrationKind::Death => "nktHoTen",
        };
        if entry.key.is_empty() || !entry.fields.contains_key(needed) || self.refused.contains(&entry.key) {
            return refused;
        }
        let there = self.told.get(&entry.key);
        if there.is_none_or(|there| there.version <= entry.version && *there != entry) {
            self.effects += 1;
            self.told.insert(entry.key.clone(), entry.clone());
        }
        let held = self.told.get(&entry.key).map(BookEntry::held);
        json!({ "code": "ok", "held": held })
    }

    fn find_told(&self, request: &Incoming) -> Value {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let entry = asked.get("key").and_then(Value::as_str);
        let entry = entry.and_then(|key| self.told.get(key));
        json!({ "code": if entry.is_some() { "ok" } else { "none" }, "entry": entry })
    }

    fn list_book(&self, request: &Incoming) -> Value {
        let Ok(book) = serde_json::from_slice::<BookName>(&request.body) else {
            return json!({ "code": "refused" });
        };
        let of_book = self.told.values().filter(|entry| {
            entry.agency_code == book.agency_code && entry.kind == book.kind && entry.year == book.year
        });
        let entries: Vec<Held> = of_book.map(BookEntry::held).collect();
        let (count, digest) = (entries.len(), digest_of(&entries));
        json!({ "code": "ok", "book": { "count": count, "digest": digest, "entries": entries } })
    }

    /// A cursor is how many were given out.
    fn list_changes(&self, request: &Incoming) -> Value {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let cursor = asked.get("cursor").and_then(Value::as_str).unwrap_or_default();
        let from: usize = cursor.parse().unwrap_or(0);
        let most = asked.get("most").and_then(Value::as_u64).unwrap_or(50);
        let most = usize::try_from(most).unwrap_or(50);
        let changes: Vec<&Change> = self.changes.iter().skip(from).take(most).collect();
        let next = from + changes.len();
        json!({ "code": "ok", "page": { "changes": changes, "cursor": next.to_string() } })
    }

    fn find(&self, request: &Incoming) -> Value {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let entry = asked
            .get("key")
            .and_then(Value::as_str)
            .and_then(|key| self.entries.get(key));
        json!({ "code": if entry.is_some() { "ok" } else { "none" }, "entry": entry })
    }
}

impl Part for Register {
    fn operation(&self, request: &Incoming) -> Option<String> {
        let operation = match request.path.as_str() {
            "entries" => "submit",
            "books/tell" => "tell",
            "books/find" => "find_told",
            "books/list" => "list_book",
            "changes/list" => "list_changes",
            _ => "find",
        };
        Some(operation.to_owned())
    }

    fn play(&mut self, request: &Incoming, twist: Twist) -> Reply {
        if request.header("authorization") != format!("Bearer {TOKEN}") {
            return Reply::json(401, &Value::Null);
        }
        let mut answer = match request.path.as_str() {
            "entries" => self.submit(request),
            "entries/find" => self.find(request),
            "books/tell" => self.tell(request),
            "books/find" => self.find_told(request),
            "books/list" => self.list_book(request),
            "changes/list" => self.list_changes(request),
            _ => return Reply::json(404, &Value::Null),
        };
        match twist {
            Twist::WrongCode => answer = json!({ "code": "77", "entry": null }),
            Twist::WrongRecord => {
                for place in ["/entry/key", "/held/key", "/book/digest"] {
                    if let Some(key) = answer.pointer_mut(place) {
                        *key = json!("another");
                    }
                }
            }
            Twist::None | Twist::WrongSignature => {}
        }
        Reply::json(200, &answer)
    }
}
