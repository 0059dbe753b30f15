//! The national population database (CSDL quốc gia về dân cư): SOAP 1.1.
//!
//! The request, its fields, the headers and the signature are those of a published client sample; the fields of the answer
//! and the name of the operation that confirms a match were not found, nor anything of how a personal number is assigned to a
//! child: they are those of our simulator, contract `sim-1`, **unconfirmed**.

use std::fmt;

use async_trait::async_trait;
use egov_clock::Clock as _;
use http::{HeaderName, HeaderValue, Method};
use jiff::civil::Date;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::line::{Answer, Line, Outgoing};
use crate::outcome::{CallError, Doubt, NotSent};
use crate::signing::population_authorization;
use crate::wire_time::{day_text, parse_day};
use crate::xml::{Element, Limits, escape, parse};

/// The register's namespace.
pub const NAMESPACE: &str = "http://dancuquocgia.bca";
/// The operation that looks a citizen up.
pub const LOOK_UP: &str = "TraCuuThongTinCongDan";
/// The operation that assigns a personal number to a child; its name and its fields are ours, **unconfirmed**.
pub const ASSIGN: &str = "CapSoDinhDanh";
/// SOAP 1.1.
pub const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// What is not a word that the register takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is missing or not of its form")]
pub struct NotComplete(pub &'static str);

/// Mã yêu cầu: by it the register recognises a repetition. Made once a request and kept with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestCode(String);

impl RequestCode {
    /// 8 to 64 letters, digits or hyphens.
    pub fn new(text: impl Into<String>) -> Result<Self, NotComplete> {
        let text = text.into();
        let fits =
            (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if fits {
            Ok(Self(text))
        } else {
            Err(NotComplete("the request code"))
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who asks, for what: the register demands both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    service_code: String,
    officer_code: String,
    unit_code: String,
    account: String,
    phone: String,
}

impl Asker {
    /// `service_code` (MaDVC) says for which public service, `officer_code` (MaCanBo) who: both mandatory, as are the unit
    /// and the account.
    pub fn new(
        service_code: &str,
        officer_code: &str,
        unit_code: &str,
        account: &str,
        phone: &str,
    ) -> Result<Self, NotComplete> {
        for (text, what) in [
            (service_code, "the purpose code (MaDVC)"),
            (officer_code, "the officer (MaCanBo)"),
            (unit_code, "the unit (MaDonVi)"),
            (account, "the account (TaiKhoan)"),
        ] {
            if text.trim().is_empty() || text.len() > 100 {
                return Err(NotComplete(what));
            }
        }
        Ok(Self {
            service_code: service_code.to_owned(),
            officer_code: officer_code.to_owned(),
            unit_code: unit_code.to_owned(),
            account: account.to_owned(),
            phone: phone.to_owned(),
        })
    }
}

/// By which number a person is looked for.
#[derive(Clone, PartialEq, Eq)]
pub enum Number {
    /// Số định danh cá nhân, 12 digits.
    Personal(String),
    /// Số chứng minh nhân dân, 9 digits.
    IdentityCard(String),
}

impl Number {
    /// A personal number (12 digits) or an old identity card's (9 digits).
    pub fn parse(text: &str) -> Result<Self, NotComplete> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.len() {
            12 if digits => Ok(Self::Personal(text.to_owned())),
            9 if digits => Ok(Self::IdentityCard(text.to_owned())),
            _ => Err(NotComplete("the number")),
        }
    }

    /// The element's name and the digits.
    pub fn wire(&self) -> (&'static str, &str) {
        match self {
            Self::Personal(digits) => ("SoDinhDanh", digits),
            Self::IdentityCard(digits) => ("SoCMND", digits),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Personal(_) => "Number::Personal",
            Self::IdentityCard(_) => "Number::IdentityCard",
        })
    }
}

/// Ngày tháng năm sinh: of some people only the year is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birth {
    /// Only the year.
    Year(i16),
    /// The day.
    Day(Date),
}

/// A question about one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Enquiry {
    /// By which the register recognises a repetition.
    pub code: RequestCode,
    /// Who asks, for what.
    pub asker: Asker,
    /// By which number.
    pub number: Number,
    /// Họ và tên.
    pub full_name: String,
    /// Ngày tháng năm sinh.
    pub birth: Birth,
}

impl fmt::Debug for Enquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enquiry")
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

/// A child whose birth was registered, and who has no number yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Newborn {
    /// Họ và tên.
    pub full_name: String,
    /// Ngày tháng năm sinh.
    pub birth: Birth,
    /// Giới tính, the register's code.
    pub gender_code: String,
    /// Dân tộc, the register's code; empty if not said.
    pub ethnic_group_code: String,
    /// Quốc tịch: ISO 3166-1 alpha-2.
    pub nationality: String,
    /// Nơi đăng ký khai sinh.
    pub registration_place: String,
    /// Số định danh cá nhân of the mother; empty if not said.
    pub mother_number: String,
    /// Số định danh cá nhân of the father; empty if not said.
    pub father_number: String,
}

/// The request for the number of a child.
#[derive(Clone, PartialEq, Eq)]
pub struct Assignment {
    /// By which the register recognises a repetition: it belongs to the child, and every repetition carries it.
    pub code: RequestCode,
    /// Who asks, for what.
    pub asker: Asker,
    /// For whom.
    pub newborn: Newborn,
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assignment")
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

/// What the register says of a person. The codes are the register's; [`code_tables`](crate::code_tables) translate them.
#[derive(Clone, PartialEq, Eq)]
pub struct Citizen {
    /// Số định danh cá nhân.
    pub personal_number: String,
    /// Họ và tên.
    pub full_name: String,
    /// Ngày tháng năm sinh.
    pub birth: Birth,
    /// Giới tính, the register's code.
    pub gender_code: String,
    /// Dân tộc, the register's code; empty if not said.
    pub ethnic_group_code: String,
    /// Nơi thường trú; empty if not said.
    pub residence: String,
}

impl fmt::Debug for Citizen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Citizen").finish_non_exhaustive()
    }
}

/// The register.
#[async_trait]
pub trait PopulationRegister: Send + Sync + 'static {
    /// The person, or none if the register knows nobody with all these particulars.
    async fn look_up(&self, enquiry: &Enquiry) -> Result<Option<Citizen>, CallError>;

    /// Whether the particulars are those of one person: gives away no more than that.
    async fn confirm(&self, enquiry: &Enquiry) -> Result<bool, CallError>;

    /// The number that the register assigns to a child. It is one try: whoever asks keeps the code, and asks again under it.
    async fn assign(&self, assignment: &Assignment) -> Result<String, CallError>;
}

/// Who we are at the register.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PopulationAccount {
    /// The user of the signature.
    pub user: String,
    /// The secret of the signature.
    pub secret: SecretString,
    /// The header ApiKey.
    pub api_key: SecretString,
    /// The header X-Road-Client: our subsystem at the national exchange.
    pub x_road_client: String,
    /// The operation that confirms a match; its full name is unconfirmed.
    #[serde(default = "confirm_operation")]
    pub confirm_operation: String,
    /// The path of the service below the line's address.
    #[serde(default = "service_path")]
    pub path: String,
}

/// The beginning of the operation's name is all that was found: **unconfirmed**.
fn confirm_operation() -> String {
    "XacThucThongTin".to_owned()
}

fn service_path() -> String {
    "population".to_owned()
}

/// The register over SOAP.
#[derive(Debug)]
pub struct SoapPopulationRegister {
    line: Line,
    account: PopulationAccount,
}

impl SoapPopulationRegister {
    /// Speaks over `line`.
    pub fn new(line: Line, account: PopulationAccount) -> Self {
        Self { line, account }
    }

    /// The line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    async fn ask(&self, operation: &str, enquiry: &Enquiry) -> Result<Element, CallError> {
        let body = request(operation, enquiry);
        let code = &enquiry.code;
        // Both operations are readings, and carry the code by which a repetition is recognised.
        let mut tries = self.line.tries();
        loop {
            let call = self.once(operation, code, body.clone());
            if let Some(result) = tries.attempt(call).await {
                return result;
            }
        }
    }

    /// Each try is signed anew: the signature is bound to its instant.
    async fn once(&self, operation: &str, code: &RequestCode, body: String) -> Result<Element, CallError> {
        let outgoing = self.sign(operation, body)?;
        let answer = self.line.once(&outgoing).await?;
        read_answer(operation, code, &answer)
    }

    fn sign(&self, operation: &str, body: String) -> Result<Outgoing, CallError> {
        let endpoint = self.line.address(&self.account.path)?;
        let timestamp = self.line.clock().now().as_millisecond().to_string();
        let authorization =
            population_authorization(endpoint.as_str(), &self.account.user, &timestamp, &self.account.secret);
        let action = format!("\"{NAMESPACE}/{operation}\"");
        let mut headers = Vec::new();
        for (name, value, secret) in [
            ("timestamp", timestamp.as_str(), false),
            ("authorization", authorization.as_str(), true),
            ("x-road-client", self.account.x_road_client.as_str(), false),
            ("apikey", self.account.api_key.expose_secret(), true),
            ("soapaction", action.as_str(), false),
        ] {
            let mut value =
                HeaderValue::from_str(value).map_err(|_| CallError::NotSent(NotSent::Unsendable("a header")))?;
            value.set_sensitive(secret);
            headers.push((HeaderName::from_static(name), value));
        }
        Ok(Outgoing {
            method: Method::POST,
            path: self.account.path.clone(),
            headers,
            content_type: "text/xml; charset=utf-8",
            body: body.into_bytes(),
        })
    }
}

#[async_trait]
impl PopulationRegister for SoapPopulationRegister {
    async fn look_up(&self, enquiry: &Enquiry) -> Result<Option<Citizen>, CallError> {
        let answer = self.ask(LOOK_UP, enquiry).await?;
        found(&answer, enquiry)
    }

    async fn confirm(&self, enquiry: &Enquiry) -> Result<bool, CallError> {
        let answer = self.ask(&self.account.confirm_operation, enquiry).await?;
        match answer.text_of("KetQua") {
            Some("1") => Ok(true),
            Some("0") => Ok(false),
            _ => Err(CallError::unreadable("no KetQua of 0 or 1")),
        }
    }

    async fn assign(&self, assignment: &Assignment) -> Result<String, CallError> {
        let body = assignment_request(assignment);
        let said = self.once(ASSIGN, &assignment.code, body).await?;
        let number = said.text_of("SoDinhDanh").unwrap_or_default();
        match Number::parse(number) {
            Ok(Number::Personal(number)) => Ok(number),
            _ => Err(CallError::unreadable("SoDinhDanh is not of its form")),
        }
    }
}

/// The envelope of a question.
pub fn request(operation: &str, enquiry: &Enquiry) -> String {
    let (number, digits) = enquiry.number.wire();
    let of_person = [(number, digits), ("HoVaTen", enquiry.full_name.as_str())];
    envelope(operation, (&enquiry.code, &enquiry.asker), &of_person, enquiry.birth)
}

/// The envelope of a request for a number. Signature and time stand in the headers: a repetition has the same body.
pub fn assignment_request(assignment: &Assignment) -> String {
    let newborn = &assignment.newborn;
    let mut of_child = vec![
        ("HoVaTen", newborn.full_name.as_str()),
        ("GioiTinh", newborn.gender_code.as_str()),
        ("QuocTich", newborn.nationality.as_str()),
        ("NoiDangKyKhaiSinh", newborn.registration_place.as_str()),
    ];
    let known = [
        ("DanToc", newborn.ethnic_group_code.as_str()),
        ("SoDinhDanhMe", newborn.mother_number.as_str()),
        ("SoDinhDanhCha", newborn.father_number.as_str()),
    ];
    of_child.extend(known.into_iter().filter(|(_, text)| !text.is_empty()));
    envelope(ASSIGN, (&assignment.code, &assignment.asker), &of_child, newborn.birth)
}

/// What every request says: its code, who asks for what, the fields of the person, the birth.
fn envelope(
    operation: &str,
    (code, asker): (&RequestCode, &Asker),
    of_person: &[(&str, &str)],
    birth: Birth,
) -> String {
    let birth = match birth {
        Birth::Year(year) => format!("<Nam>{year}</Nam>"),
        Birth::Day(day) => format!("<NgayThangNam>{}</NgayThangNam>", day_text(day)),
    };
    let of_asker = [
        ("MaYeuCau", code.as_str()),
        ("MaDVC", asker.service_code.as_str()),
        ("MaTichHop", "037"),
        ("MaCanBo", asker.officer_code.as_str()),
        ("MaDonVi", asker.unit_code.as_str()),
        ("TaiKhoan", asker.account.as_str()),
        ("SoDienThoai", asker.phone.as_str()),
    ];
    let mut fields = String::new();
    for &(name, text) in of_asker.iter().chain(of_person) {
        for piece in ["<", name, ">", &escape(text), "</", name, ">"] {
            fields.push_str(piece);
        }
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"{ENVELOPE}\" \
         xmlns:dc=\"{NAMESPACE}\"><soapenv:Body><dc:{operation}>{fields}\
         <NgayThangNamSinh>{birth}</NgayThangNamSinh></dc:{operation}></soapenv:Body></soapenv:Envelope>"
    )
}

/// The element of the answer, after its form and its request code were checked. A fault is a refusal.
pub fn read_answer(operation: &str, code: &RequestCode, answer: &Answer) -> Result<Element, CallError> {
    if matches!(answer.status, 300..=399) {
        return Err(CallError::unreadable("a redirect"));
    }
    let envelope = match parse(&answer.body, Limits::default()) {
        Ok(envelope) => envelope,
        // 401 and the like come with a page of their own.
        Err(_) if answer.status >= 400 => return Err(CallError::refused(format!("http_{}", answer.status), "")),
        Err(error) => return Err(CallError::unreadable(error)),
    };
    if (envelope.name.as_str(), envelope.namespace.as_str()) != ("Envelope", ENVELOPE) {
        return Err(CallError::unreadable("not a SOAP 1.1 envelope"));
    }
    let body = envelope.child("Body").ok_or_else(|| CallError::unreadable("no Body"))?;
    if let Some(fault) = body.child("Fault") {
        let text = fault.text_of("faultstring").unwrap_or_default();
        return Err(CallError::refused(fault.text_of("faultcode").unwrap_or("fault"), text));
    }
    if answer.status >= 400 {
        return Err(CallError::refused(format!("http_{}", answer.status), ""));
    }
    let name = format!("{operation}Response");
    let said = body
        .child(&name)
        .filter(|element| element.namespace == NAMESPACE)
        .ok_or_else(|| CallError::unreadable("no answer element"))?;
    if said.text_of("MaYeuCau") != Some(code.as_str()) {
        return Err(CallError::Unknown(Doubt::Other("request")));
    }
    match said.text_of("MaLoi") {
        Some("00" | "0") => Ok(said.clone()),
        Some(refusal @ ("01" | "02" | "03")) => {
            Err(CallError::refused(refusal, said.text_of("MoTa").unwrap_or_default()))
        }
        Some(other) => Err(CallError::Unknown(Doubt::UnknownCode(other.chars().take(20).collect()))),
        None => Err(CallError::unreadable("no MaLoi")),
    }
}

/// The person in an answer; one who is not the person asked about is no answer.
pub fn found(said: &Element, enquiry: &Enquiry) -> Result<Option<Citizen>, CallError> {
    let Some(person) = said.child("CongDan") else {
        return Ok(None);
    };
    let text = |name: &'static str| {
        person
            .text_of(name)
            .map(str::to_owned)
            .ok_or_else(|| CallError::unreadable(format_args!("no {name}")))
    };
    let (number, digits) = enquiry.number.wire();
    if person.text_of(number) != Some(digits) {
        return Err(CallError::Unknown(Doubt::Other("person")));
    }
    let personal_number = text("SoDinhDanh")?;
    if !matches!(Number::parse(&personal_number), Ok(Number::Personal(_))) {
        return Err(CallError::unreadable("SoDinhDanh is not of its form"));
    }
    let birth = person
        .child("NgayThangNamSinh")
        .and_then(birth)
        .ok_or_else(|| CallError::unreadable("no NgayThangNamSinh"))?;
    Ok(Some(Citizen {
        personal_number,
        full_name: text("HoVaTen")?,
        birth,
        gender_code: text("GioiTinh")?,
        ethnic_group_code: person.text_of("DanToc").unwrap_or_default().to_owned(),
        residence: person.text_of("NoiThuongTru").unwrap_or_default().to_owned(),
    }))
}

fn birth(element: &Element) -> Option<Birth> {
    match (element.text_of("NgayThangNam"), element.text_of("Nam")) {
        (Some(day), None) => parse_day(day).ok().map(Birth::Day),
        (None, Some(year)) => {
            let year: i16 = year.parse().ok()?;
            (1800..=2200).contains(&year).then_some(Birth::Year(year))
        }
        _ => None,
    }
}
