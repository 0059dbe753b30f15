//! The national portal, simulated: sessions, its procedures, and cases by their code.

use std::collections::{BTreeMap, BTreeSet};

use egov_partners::portal::{CaseItem, ProgressItem};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::stage::{Incoming, Part, Reply, Stage, Twist, simulator};

/// The user.
pub const USERNAME: &str = "nghean";
/// The password: of the simulator, no secret.
pub const PASSWORD: &str = "portal simulator";

/// The portal.
pub struct PortalSimulator(Stage<Portal>);

simulator!(PortalSimulator, Portal);

impl PortalSimulator {
    /// The cases that it has, by their code.
    pub fn cases(&self) -> BTreeMap<String, CaseItem> {
        self.0.with(|part| part.cases.clone())
    }

    /// The progress of a case, in the order in which it was reported.
    pub fn progress(&self, case_code: &str) -> Vec<ProgressItem> {
        self.0.with(|part| {
            let all = part.progress.iter();
            all.filter(|item| item.case_code == case_code).cloned().collect()
        })
    }

    /// How often a case was written: each is an effect that citizens see.
    pub fn writes(&self, case_code: &str) -> u32 {
        self.0.with(|part| part.writes.get(case_code).copied().unwrap_or(0))
    }

    /// How often a step of a case was taken in, those counted that it had already: a portal that does not know them again would show
    /// each.
    pub fn steps_taken(&self, case_code: &str) -> u32 {
        self.0.with(|part| part.steps.get(case_code).copied().unwrap_or(0))
    }

    /// Somebody at the portal changes a case behind the province's back.
    pub fn change(&self, case_code: &str, change: impl FnOnce(&mut CaseItem)) {
        self.0.with(|part| {
            if let Some(case) = part.cases.get_mut(case_code) {
                change(case);
            }
        });
    }

    /// What the portal says of a case when it is looked up can be read no more, or again.
    pub fn garble(&self, case_code: &str, garbled: bool) {
        self.0.with(|part| {
            if garbled {
                part.garbled.insert(case_code.to_owned());
            } else {
                part.garbled.remove(case_code);
            }
        });
    }

    /// The portal loses a case.
    pub fn lose(&self, case_code: &str) {
        self.0.with(|part| part.cases.remove(case_code));
    }

    /// The portal has a case that the province never told.
    pub fn invent(&self, item: CaseItem) {
        self.0.with(|part| part.cases.insert(item.case_code.clone(), item));
    }

    /// How often somebody tried to sign in.
    pub fn sign_ins(&self) -> u32 {
        self.0.with(|part| part.sign_ins)
    }

    /// Ends all sessions.
    pub fn end_sessions(&self) {
        self.0.with(|part| part.session += 1);
    }
}

#[derive(Default)]
struct Portal {
    session: u32,
    sign_ins: u32,
    cases: BTreeMap<String, CaseItem>,
    progress: Vec<ProgressItem>,
    writes: BTreeMap<String, u32>,
    steps: BTreeMap<String, u32>,
    garbled: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Asked {
    session: String,
    service: String,
    data: Vec<Value>,
    #[serde(rename = "isUpdating")]
    updating: bool,
}

impl Portal {
    fn session(&self) -> String {
        format!("session-{}", self.session)
    }

    fn sign_in(&mut self, request: &Incoming) -> Reply {
        #[derive(Deserialize)]
        struct SignIn {
            username: String,
            password: String,
        }
        self.sign_ins += 1;
        match serde_json::from_slice::<SignIn>(&request.body) {
            Ok(sign_in) if sign_in.username == USERNAME && sign_in.password == PASSWORD => {
                Reply::json(200, &json!({ "session": self.session(), "error_code": 0 }))
            }
            _ => Reply::json(200, &json!({ "error_code": "03" })),
        }
    }

    fn sync(&mut self, asked: &Asked) -> Value {
        for item in &asked.data {
            let Ok(item) = serde_json::from_value::<CaseItem>(item.clone()) else {
                return refusal("02", "dữ liệu không hợp lệ");
            };
            let here = self.cases.get(&item.case_code);
            match here {
                // The same again is no new effect.
                Some(same) if *same == item => continue,
                Some(_) if !asked.updating => return refusal("05", "hồ sơ đã có"),
                None if asked.updating => return refusal("04", "không có hồ sơ"),
                _ => {}
            }
            *self.writes.entry(item.case_code.clone()).or_default() += 1;
            self.cases.insert(item.case_code.clone(), item);
        }
        json!({ "error_code": "00", "result": {} })
    }

    fn note_progress(&mut self, asked: &Asked) -> Value {
        for item in &asked.data {
            let Ok(item) = serde_json::from_value::<ProgressItem>(item.clone()) else {
                return refusal("02", "dữ liệu không hợp lệ");
            };
            if !self.cases.contains_key(&item.case_code) {
                return refusal("04", "không có hồ sơ");
            }
            *self.steps.entry(item.case_code.clone()).or_default() += 1;
            if !self.progress.contains(&item) {
                self.progress.push(item);
            }
        }
        json!({ "error_code": 0, "result": {} })
    }

    fn list(&self, asked: &Value) -> Value {
        let word = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
        let found: Vec<_> = self
            .cases
            .values()
            .filter(|case| is_listed(&case.case_code, word("MaDonVi"), word("TuNgay"), word("DenNgay")))
            .map(|case| json!({ "MaHoSo": case.case_code, "TrangThaiHoSo": case.state }))
            .collect();
        json!({ "error_code": "00", "result": found })
    }

    fn find(&self, asked: &Asked, twist: Twist) -> Value {
        if let Some(list) = asked.data.first().filter(|item| item.get("MaDonVi").is_some()) {
            return self.list(list);
        }
        let code = asked
            .data
            .first()
            .and_then(|item| item.get("MaHoSo"))
            .and_then(Value::as_str);
        let Some(case) = code.and_then(|code| self.cases.get(code)) else {
            return refusal("04", "không có hồ sơ");
        };
        if self.garbled.contains(&case.case_code) {
            return json!({ "error_code": "00", "result": { "MaHoSo": [case.owner_name] } });
        }
        let Ok(mut found) = serde_json::to_value(case) else {
            return refusal("02", "");
        };
        let progress: Vec<_> = self
            .progress
            .iter()
            .filter(|item| item.case_code == case.case_code)
            .collect();
        if let Some(found) = found.as_object_mut() {
            found.insert("TienDo".to_owned(), json!(progress));
            if twist == Twist::WrongRecord {
                found.insert("MaHoSo".to_owned(), json!("H41.00-000000-0000"));
            }
        }
        json!({ "error_code": "00", "result": found })
    }
}

/// Whether a case is in the list of an agency: by the agency and the day in its code, days as `yyyyMMdd`.
pub(crate) fn is_listed(case_code: &str, agency: &str, from: &str, to: &str) -> bool {
    let Some(rest) = case_code.strip_prefix(agency).and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    let day = rest.split('-').next().unwrap_or_default();
    let day = if day.len() == 6 {
        format!("20{day}")
    } else {
        day.to_owned()
    };
    (from..=to).contains(&day.as_str())
}

fn refusal(code: &str, text: &str) -> Value {
    json!({ "error_code": code, "message": text })
}

impl Part for Portal {
    fn operation(&self, request: &Incoming) -> Option<String> {
        let asked: Asked = serde_json::from_slice(&request.body).ok()?;
        Some(asked.service)
    }

    fn play(&mut self, request: &Incoming, twist: Twist) -> Reply {
        if request.path == "session" {
            return self.sign_in(request);
        }
        let Ok(asked) = serde_json::from_slice::<Asked>(&request.body) else {
            return Reply::json(400, &Value::Null);
        };
        if request.path != "services" || asked.session != self.session() {
            return Reply::json(200, &refusal("01", "phiên làm việc đã hết"));
        }
        let mut answer = match asked.service.as_str() {
            "LayDanhSachTTHC" => json!({ "error_code": "00", "result": [
                { "MaTTHC": "1.001193", "TenTTHC": "Thủ tục đăng ký khai sinh" },
                { "MaTTHC": "1.000894", "TenTTHC": "Thủ tục đăng ký kết hôn" },
            ] }),
            "LayThuTuc" => match asked
                .data
                .first()
                .and_then(|item| item.get("maTTHC"))
                .and_then(Value::as_str)
            {
                Some("1.001193") => json!({ "error_code": 0, "result": {
                    "TENTTHC": "Thủ tục đăng ký khai sinh",
                    "LINHVUCTHUCHIEN": [{ "MALINHVUC": "G15-HT02", "TENLINHVUC": "Hộ tịch" }],
                    "KETQUATHUCHIEN": [{ "MAKETQUA": "KQ.G15.000031", "TENKETQUA": "Giấy khai sinh" }],
                    "CANCUPHAPLY": [{ "SOVANBAN": "60/2014/QH13", "TENVANBAN": "Luật Hộ tịch" }],
                } }),
                _ => refusal("04", "không có thủ tục"),
            },
            "TraCuuHoSo" => self.find(&asked, twist),
            "DongBoHoSoMC" => self.sync(&asked),
            "CapNhatTienDoHoSoMC" => self.note_progress(&asked),
            _ => refusal("02", "không có dịch vụ"),
        };
        if twist == Twist::WrongCode {
            answer = json!({ "error_code": "77" });
        }
        Reply::json(200, &answer)
    }
}
