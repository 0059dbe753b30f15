//! The population register, simulated: checks the signature and what is mandatory, and recognises a repeated request code.

use std::collections::{BTreeMap, VecDeque};

use egov_partners::population::{ASSIGN, ENVELOPE, LOOK_UP, NAMESPACE};
use egov_partners::signing::population_authorization;
use egov_partners::xml::{Element, Limits, escape, parse};
use secrecy::SecretString;

use crate::Person;
use crate::stage::{Incoming, Part, Reply, Stage, Twist, simulator};

/// The user of the signature.
pub const ACCOUNT: &str = "nghean-lgsp";
/// The secret of the signature: of the simulator, no secret.
pub const SIGNING_SECRET: &str = "population simulator";
/// The header ApiKey.
pub const API_KEY: &str = "population simulator key";
/// The header X-Road-Client.
pub const X_ROAD_CLIENT: &str = "VN/GOV/H41/LGSP";

/// Mã tỉnh of Nghệ An in a personal number (TT 07/2016/TT-BCA).
const NGHE_AN: &str = "040";

/// The operation that confirms; its full name is unconfirmed.
const CONFIRM: &str = "XacThucThongTin";

/// The register.
pub struct PopulationSimulator(Stage<Register>);

simulator!(PopulationSimulator, Register);

impl PopulationSimulator {
    /// The request codes that were carried out, each with how often it came: one code is one question, however often.
    pub fn asked(&self) -> BTreeMap<String, u32> {
        self.0.with(|part| {
            part.asked
                .iter()
                .map(|(code, (_, times))| (code.clone(), *times))
                .collect()
        })
    }

    /// The numbers that were assigned, by request code.
    pub fn assigned(&self) -> BTreeMap<String, String> {
        self.0.with(|part| part.assigned.clone())
    }

    /// The next assignment gives this number, whoever has it.
    pub fn assign_next(&self, number: &str) {
        self.0.with(|part| part.next.push_back(number.to_owned()));
    }

    /// Children of this name are refused.
    pub fn refuse(&self, full_name: &str) {
        self.0.with(|part| part.refused.push(full_name.to_owned()));
    }

    /// Children are no longer refused.
    pub fn refuse_nobody(&self) {
        self.0.with(|part| part.refused.clear());
    }

    /// Adds a person.
    pub fn add(&self, person: Person) {
        self.0.with(|part| part.people.push(person));
    }
}

struct Register {
    people: Vec<Person>,
    /// By request code: what was asked, and how often.
    asked: BTreeMap<String, (Vec<u8>, u32)>,
    /// By request code: the number of the child.
    assigned: BTreeMap<String, String>,
    /// What the next assignments give.
    next: VecDeque<String>,
    /// Names of children who are refused.
    refused: Vec<String>,
}

impl Default for Register {
    fn default() -> Self {
        Self {
            people: Person::some(),
            asked: BTreeMap::new(),
            assigned: BTreeMap::new(),
            next: VecDeque::new(),
            refused: Vec::new(),
        }
    }
}

impl Register {
    /// The number of the child of a request code, made when it is asked for first: province, century and sex, year, and six digits.
    fn number(&mut self, code: &str, asked: &Element) -> Option<String> {
        if let Some(number) = self.assigned.get(code) {
            return Some(number.clone());
        }
        let number = match self.next.pop_front() {
            Some(number) => number,
            None => self.new_number(code, asked)?,
        };
        self.assigned.insert(code.to_owned(), number.clone());
        Some(number)
    }

    fn new_number(&self, code: &str, asked: &Element) -> Option<String> {
        let birth = asked.child("NgayThangNamSinh")?;
        let day = birth.text_of("NgayThangNam").or_else(|| birth.text_of("Nam"))?;
        let year: u32 = day.get(..4)?.parse().ok()?;
        let is_female = match asked.text_of("GioiTinh")? {
            "1" => 0,
            "2" => 1,
            _ => return None,
        };
        let century = year.checked_sub(1900)? / 100 * 2 + is_female;
        // The last six are drawn at random by the register; here they follow from the code, so that a simulator that was started anew gives the
        // same code the same number.
        let drawn = code.bytes().fold(2_166_136_261_u32, |drawn, byte| {
            (drawn ^ u32::from(byte)).wrapping_mul(16_777_619)
        });
        let mut numbers = (0..1_000_000_u32).map(|step| {
            let six = (drawn % 1_000_000 + step) % 1_000_000;
            format!("{NGHE_AN}{century}{:02}{six:06}", year % 100)
        });
        numbers.find(|number| !self.assigned.values().any(|taken| taken == number))
    }
}

fn operation(request: &Incoming) -> Option<(String, Element)> {
    let envelope = parse(&request.body, Limits::default()).ok()?;
    let asked = envelope.child("Body")?.children.first()?.clone();
    (asked.namespace == NAMESPACE).then(|| (asked.name.clone(), asked))
}

impl Part for Register {
    fn operation(&self, request: &Incoming) -> Option<String> {
        operation(request).map(|(name, _)| name)
    }

    fn play(&mut self, request: &Incoming, twist: Twist) -> Reply {
        let Some((name, asked)) = operation(request) else {
            return fault("soap:Client", "not a question");
        };
        let secret = SecretString::from(SIGNING_SECRET);
        let timestamp = request.header("timestamp");
        let expected = population_authorization(&request.endpoint, ACCOUNT, timestamp, &secret);
        let fresh = timestamp
            .parse::<i64>()
            .is_ok_and(|at| request.now.as_millisecond().abs_diff(at) <= 300_000);
        let known = request.header("authorization") == expected
            && fresh
            && request.header("apikey") == API_KEY
            && request.header("x-road-client") == X_ROAD_CLIENT;
        if !known {
            return fault("soap:Client.Authentication", "not authenticated");
        }
        let text = |name: &str| asked.text_of(name).unwrap_or_default().to_owned();
        let code = text("MaYeuCau");
        let mandatory = ["MaYeuCau", "MaDVC", "MaCanBo", "MaDonVi", "TaiKhoan", "HoVaTen"];
        if mandatory.iter().any(|name| asked.text_of(name).is_none()) || text("MaTichHop") != "037" {
            return said(&name, &code, "01", "thiếu thông tin bắt buộc", "");
        }
        let entry = self
            .asked
            .entry(code.clone())
            .or_insert_with(|| (request.body.to_vec(), 0));
        if entry.0 != request.body {
            return said(&name, &code, "03", "mã yêu cầu đã được dùng", "");
        }
        entry.1 += 1;
        if name == ASSIGN {
            if self.refused.contains(&text("HoVaTen")) {
                return said(&name, &code, "02", "không cấp được số định danh", "");
            }
            let Some(number) = self.number(&code, &asked) else {
                return said(&name, &code, "01", "thiếu thông tin của trẻ", "");
            };
            let answered = if twist == Twist::WrongRecord {
                "another-request"
            } else {
                &code
            };
            let error = if twist == Twist::WrongCode { "77" } else { "00" };
            let result = format!("<SoDinhDanh>{number}</SoDinhDanh>");
            return said(&name, answered, error, "", &result);
        }
        let person = self.people.iter().find(|person| person.is_meant(&asked));
        let result = match (name.as_str(), person) {
            (LOOK_UP, Some(person)) => person.element(twist == Twist::WrongRecord),
            (LOOK_UP, None) => String::new(),
            (CONFIRM, person) => format!("<KetQua>{}</KetQua>", u8::from(person.is_some())),
            _ => return said(&name, &code, "02", "không có dịch vụ", ""),
        };
        let answered = if twist == Twist::WrongRecord && name == CONFIRM {
            "another-request"
        } else {
            &code
        };
        let error = if twist == Twist::WrongCode { "77" } else { "00" };
        said(&name, answered, error, "", &result)
    }
}

impl Person {
    fn is_meant(&self, asked: &Element) -> bool {
        let number = match (asked.text_of("SoDinhDanh"), asked.text_of("SoCMND")) {
            (Some(number), None) => number == self.personal_number,
            (None, Some(card)) => card == self.identity_card,
            _ => false,
        };
        let birth = asked
            .child("NgayThangNamSinh")
            .and_then(|birth| birth.text_of("NgayThangNam").or_else(|| birth.text_of("Nam")));
        number && asked.text_of("HoVaTen") == Some(&self.full_name) && birth == Some(&self.birth)
    }

    fn element(&self, wrong: bool) -> String {
        let number = if wrong { "040000000000" } else { &self.personal_number };
        let card = if wrong { "180000000" } else { &self.identity_card };
        let birth = if self.birth.len() == 8 { "NgayThangNam" } else { "Nam" };
        format!(
            "<CongDan><SoDinhDanh>{number}</SoDinhDanh><SoCMND>{card}</SoCMND><HoVaTen>{}</HoVaTen>\
             <NgayThangNamSinh><{birth}>{}</{birth}></NgayThangNamSinh><GioiTinh>{}</GioiTinh><DanToc>{}</DanToc>\
             <NoiThuongTru>{}</NoiThuongTru></CongDan>",
            escape(&self.full_name),
            self.birth,
            self.gender,
            self.ethnic_group,
            escape(&self.residence),
        )
    }
}

fn envelope(body: &str) -> Reply {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Body>{body}</s:Body></s:Envelope>"
    );
    Reply {
        status: 200,
        content_type: "text/xml; charset=utf-8",
        headers: Vec::new(),
        body: text.into_bytes(),
    }
}

fn said(operation: &str, code: &str, error: &str, text: &str, result: &str) -> Reply {
    envelope(&format!(
        "<d:{operation}Response xmlns:d=\"{NAMESPACE}\"><MaYeuCau>{}</MaYeuCau><MaLoi>{error}</MaLoi>\
         <MoTa>{}</MoTa>{result}</d:{operation}Response>",
        escape(code),
        escape(text),
    ))
}

fn fault(code: &str, text: &str) -> Reply {
    let mut reply = envelope(&format!(
        "<s:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></s:Fault>"
    ));
    // SOAP 1.1 over HTTP asks for 500; this register answers with 400, so that a fault is told apart from a failure.
    reply.status = 400;
    reply
}
