//! The civil-status register, simulated: one entry a key, numbered through the year for each agency and kind.

use std::collections::BTreeMap;

use egov_clock::vietnam;
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
}

#[derive(Default)]
struct Register {
    entries: BTreeMap<String, Entry>,
    /// By agency, kind and year.
    counters: BTreeMap<(String, &'static str, i16), u32>,
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
        Some(if request.path == "entries" { "submit" } else { "find" }.to_owned())
    }

    fn play(&mut self, request: &Incoming, twist: Twist) -> Reply {
        if request.header("authorization") != format!("Bearer {TOKEN}") {
            return Reply::json(401, &Value::Null);
        }
        let mut answer = match request.path.as_str() {
            "entries" => self.submit(request),
            "entries/find" => self.find(request),
            _ => return Reply::json(404, &Value::Null),
        };
        match twist {
            Twist::WrongCode => answer = json!({ "code": "77", "entry": null }),
            Twist::WrongRecord => {
                if let Some(key) = answer.pointer_mut("/entry/key") {
                    *key = json!("another");
                }
            }
            Twist::None | Twist::WrongSignature => {}
        }
        Reply::json(200, &answer)
    }
}
