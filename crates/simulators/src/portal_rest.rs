//! The national portal by its newer REST flow, simulated: tokens, case numbers, files, dossiers, progress and states.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_partners::portal::ProgressItem;
use egov_partners::portal_rest::{Dossier, FoundDossier, StateItem};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::portal::is_listed;
use crate::stage::{Incoming, Part, Reply, Stage, Twist, simulator};

/// The client id.
pub const CLIENT_ID: &str = "nghean";
/// The client secret: of the simulator, no secret.
pub const CLIENT_SECRET: &str = "portal+simulator & more";

/// The portal.
pub struct RestPortalSimulator(Stage<RestPortal>);

simulator!(RestPortalSimulator, RestPortal);

impl RestPortalSimulator {
    /// The cases that it has, by their code.
    pub fn dossiers(&self) -> BTreeMap<String, FoundDossier> {
        self.0.with(|part| part.dossiers.clone())
    }

    /// The states of a case in the order in which they were taken in: each is an effect that citizens see.
    pub fn states(&self, case_code: &str) -> Vec<String> {
        self.0
            .with(|part| part.states.get(case_code).cloned().unwrap_or_default())
    }

    /// How often a dossier was made under this code.
    pub fn made(&self, case_code: &str) -> u32 {
        self.0.with(|part| part.made.get(case_code).copied().unwrap_or(0))
    }

    /// How many files it keeps.
    pub fn files(&self) -> usize {
        self.0.with(|part| part.files.len())
    }

    /// Somebody at the portal changes a case behind the province's back.
    pub fn change(&self, case_code: &str, change: impl FnOnce(&mut FoundDossier)) {
        self.0.with(|part| {
            if let Some(found) = part.dossiers.get_mut(case_code) {
                change(found);
            }
        });
    }

    /// Ends all tokens.
    pub fn end_tokens(&self) {
        self.0.with(|part| part.token += 1);
    }
}

#[derive(Default)]
struct RestPortal {
    token: u32,
    numbers: BTreeMap<String, u32>,
    files: BTreeMap<String, String>,
    dossiers: BTreeMap<String, FoundDossier>,
    states: BTreeMap<String, Vec<String>>,
    made: BTreeMap<String, u32>,
}

fn done(result: &Value) -> Value {
    json!({ "MaLoi": "0", "KetQua": result })
}

fn refusal(code: &str, text: &str) -> Value {
    json!({ "MaLoi": code, "ThongBao": text })
}

fn items<T: DeserializeOwned>(asked: &Value, name: &str) -> Option<Vec<T>> {
    serde_json::from_value(asked.get(name)?.clone()).ok()
}

impl RestPortal {
    fn bearer(&self) -> String {
        format!("token-{}", self.token)
    }

    fn grant(&self, request: &Incoming) -> Reply {
        let given = String::from_utf8_lossy(&request.body).into_owned();
        let secret: String = CLIENT_SECRET
            .bytes()
            .map(|byte| match byte {
                byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        let right = format!("grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={secret}");
        if given == right {
            let granted = json!({ "access_token": self.bearer(), "token_type": "Bearer", "expires_in": 3600 });
            Reply::json(200, &granted)
        } else {
            Reply::json(401, &json!({ "error": "invalid_client" }))
        }
    }

    fn next_number(&mut self, agency: &str, day: &str) -> Value {
        let next = self.numbers.entry(agency.to_owned()).or_default();
        *next += 1;
        done(&json!({ "MaHoSo": format!("{agency}-{day}-{next:04}") }))
    }

    fn upload(&mut self, asked: &Value) -> Value {
        let content = asked.get("NoiDung").and_then(Value::as_str);
        let Some(content) = content.and_then(|content| STANDARD.decode(content).ok()) else {
            return refusal("HS400", "nội dung tệp không hợp lệ");
        };
        let hash = hex::encode(digest(&SHA256, &content));
        let next = self.files.len() + 1;
        let id = self.files.entry(hash.clone()).or_insert_with(|| format!("tep-{next}"));
        done(&json!({ "IdTepTin": id, "HashTepTin": hash }))
    }

    fn make(&mut self, asked: &Value) -> Value {
        let Ok(dossier) = serde_json::from_value::<Dossier>(asked.clone()) else {
            return refusal("HS400", "hồ sơ không hợp lệ");
        };
        let mut attached = dossier.components.iter().flat_map(|component| &component.files);
        if attached.any(|file| self.files.get(&file.hash) != Some(&file.file_id)) {
            return refusal("HS422", "tệp đính kèm chưa được tải lên");
        }
        if let Some(found) = self.dossiers.get(&dossier.case_code) {
            // The same again is no new effect.
            return if found.dossier == dossier {
                done(&json!({ "MaHoSo": dossier.case_code }))
            } else {
                refusal("HS409", "hồ sơ đã có")
            };
        }
        let code = dossier.case_code.clone();
        *self.made.entry(code.clone()).or_default() += 1;
        let found = FoundDossier {
            dossier,
            state: None,
            progress: Vec::new(),
        };
        self.dossiers.insert(code.clone(), found);
        done(&json!({ "MaHoSo": code }))
    }

    fn note_states(&mut self, asked: &Value) -> Value {
        let Some(states) = items::<StateItem>(asked, "CapNhatTrangThai") else {
            return refusal("HS400", "trạng thái không hợp lệ");
        };
        if states.iter().any(|state| !self.dossiers.contains_key(&state.case_code)) {
            return refusal("HS404", "không có hồ sơ");
        }
        for state in states {
            let Some(found) = self.dossiers.get_mut(&state.case_code) else {
                continue;
            };
            let newer = found
                .state
                .as_ref()
                .is_none_or(|known| known.at <= state.at && *known != state);
            if newer {
                let told = self.states.entry(state.case_code.clone()).or_default();
                told.push(state.state.clone());
                found.state = Some(state);
            }
        }
        done(&json!({}))
    }

    fn note_progress(&mut self, asked: &Value) -> Value {
        let Some(steps) = items::<ProgressItem>(asked, "CapNhatTienTrinh") else {
            return refusal("HS400", "tiến trình không hợp lệ");
        };
        if steps.iter().any(|step| !self.dossiers.contains_key(&step.case_code)) {
            return refusal("HS404", "không có hồ sơ");
        }
        for step in steps {
            if let Some(found) = self.dossiers.get_mut(&step.case_code)
                && !found.progress.contains(&step)
            {
                found.progress.push(step);
            }
        }
        done(&json!({}))
    }

    fn find(&self, asked: &Value, twist: Twist) -> Value {
        let code = asked.get("MaHoSo").and_then(Value::as_str);
        let Some(found) = code.and_then(|code| self.dossiers.get(code)) else {
            return refusal("HS404", "không có hồ sơ");
        };
        let mut found = found.clone();
        if twist == Twist::WrongRecord {
            "H41.00-000000-0000".clone_into(&mut found.dossier.case_code);
        }
        done(&json!(found))
    }

    fn list(&self, asked: &Value) -> Value {
        let word = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
        let listed: Vec<_> = self
            .dossiers
            .iter()
            .filter(|(code, _)| is_listed(code, word("MaDonVi"), word("TuNgay"), word("DenNgay")))
            .map(|(code, found)| {
                let state = found.state.as_ref().map(|state| state.state.as_str());
                json!({ "MaHoSo": code, "TrangThaiHoSo": state.unwrap_or_default() })
            })
            .collect();
        done(&json!(listed))
    }
}

impl Part for RestPortal {
    fn operation(&self, request: &Incoming) -> Option<String> {
        Some(request.path.clone())
    }

    fn play(&mut self, request: &Incoming, twist: Twist) -> Reply {
        if request.path == "oauth/token" {
            return self.grant(request);
        }
        if request.header("authorization") != format!("Bearer {}", self.bearer()) {
            return Reply::json(200, &refusal("TK401", "mã truy cập đã hết hạn"));
        }
        let Ok(asked) = serde_json::from_slice::<Value>(&request.body) else {
            return Reply::json(400, &Value::Null);
        };
        let day = request.now.to_string().get(2..10).unwrap_or_default().replace('-', "");
        let mut answer = match request.path.as_str() {
            "ho-so/cap-ma" => match asked.get("MaDonVi").and_then(Value::as_str) {
                Some(agency) => self.next_number(agency, &day),
                None => refusal("HS400", "thiếu mã đơn vị"),
            },
            "tep-tin" => self.upload(&asked),
            "ho-so" => self.make(&asked),
            "ho-so/cap-nhat-trang-thai" => self.note_states(&asked),
            "ho-so/cap-nhat-tien-trinh" => self.note_progress(&asked),
            "ho-so/tra-cuu" => self.find(&asked, twist),
            "ho-so/danh-sach" => self.list(&asked),
            _ => return Reply::json(404, &Value::Null),
        };
        if twist == Twist::WrongCode {
            answer = json!({ "MaLoi": "77" });
        }
        Reply::json(200, &answer)
    }
}
