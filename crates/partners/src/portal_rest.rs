//! The national portal by the newer REST flow of 2026: the second generation of its contract.
//!
//! A client token (OAuth 2.0), the next case number (mã hồ sơ) by agency code, files that are uploaded first (`IdTepTin`,
//! `HashTepTin`), the dossier (hồ sơ), then its progress (`CapNhatTienTrinh`) and states (`CapNhatTrangThai`). The steps and the fields
//! of the dossier are those of a ministry's published adapter. Paths, the envelope of answers, the look-up and the list by agency were
//! not found: they are those of our simulator, contract `rest-sim-1`, **unconfirmed**.
//!
//! A dossier is made once; after that only its progress and states go on, since the flow has no word for a change of it. What else
//! differs of a dossier is a difference that no repair removes.

use std::fmt::{self, Write as _};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_clock::Clock as _;
use http::{HeaderValue, Method, header};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::lenient;
use crate::line::{Answer, Line, Outgoing};
use crate::outcome::{CallError, Doubt, NotSent};
use crate::portal::{
    BARRED, CaseItem, DocumentItem, FieldDifference, ListedCase, NationalPortal, PortalCase, Procedure,
    ProcedureSummary, ProgressItem, ToldCase, item_differences,
};
use crate::wire_time::{WireTime, day_text};

/// Hồ sơ as it is made at the portal.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dossier {
    /// Mã hồ sơ.
    #[serde(rename = "MaHoSo", deserialize_with = "lenient::text")]
    pub case_code: String,
    /// Mã thủ tục.
    #[serde(rename = "MaTTHC", deserialize_with = "lenient::text")]
    pub procedure_code: String,
    /// Mã dịch vụ công: not known here, empty.
    #[serde(rename = "MaDichVuCong", deserialize_with = "lenient::text")]
    pub service_code: String,
    /// Chủ hồ sơ.
    #[serde(rename = "ChuHoSo", deserialize_with = "lenient::text")]
    pub owner_name: String,
    /// Loại đối tượng: 1 citizen, 2 business.
    #[serde(rename = "LoaiDoiTuong", deserialize_with = "lenient::text")]
    pub owner_kind: String,
    /// Mã đơn vị tiếp nhận.
    #[serde(rename = "MaDonViTiepNhan", deserialize_with = "lenient::text")]
    pub receiving_agency: String,
    /// Ngày nộp.
    #[serde(rename = "NgayNop", deserialize_with = "lenient::maybe_time")]
    pub submit_time: Option<WireTime>,
    /// Ngày tiếp nhận.
    #[serde(rename = "NgayTiepNhan", deserialize_with = "lenient::maybe_time")]
    pub accept_time: Option<WireTime>,
    /// Thành phần hồ sơ.
    #[serde(rename = "ThanhPhanHoSo", deserialize_with = "lenient::list")]
    pub components: Vec<DossierComponent>,
    /// Thông tin người nộp: who submits and who owns the case are told apart.
    #[serde(rename = "ThongTinNguoiNop")]
    pub submitter: Submitter,
}

impl Dossier {
    /// What an item of the first generation says of how a case was filed.
    pub fn of_item(item: &CaseItem) -> Self {
        Self {
            case_code: item.case_code.clone(),
            procedure_code: item.procedure_code.clone(),
            owner_name: item.owner_name.clone(),
            owner_kind: item.owner_kind.clone(),
            accept_time: item.accept_time,
            submitter: Submitter {
                owner_name: item.owner_name.clone(),
                owner_number: item.owner_number.clone(),
                ..Submitter::default()
            },
            ..Self::default()
        }
    }
}

impl fmt::Debug for Dossier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dossier")
            .field("case_code", &self.case_code)
            .finish_non_exhaustive()
    }
}

/// Thành phần hồ sơ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DossierComponent {
    /// Mã thành phần hồ sơ.
    #[serde(rename = "MaThanhPhanHoSo", deserialize_with = "lenient::text")]
    pub code: String,
    /// Tên thành phần hồ sơ; empty where a case does not carry it.
    #[serde(rename = "TenThanhPhanHoSo", deserialize_with = "lenient::text")]
    pub name: String,
    /// Số lượng.
    #[serde(rename = "SoLuong", deserialize_with = "lenient::count")]
    pub quantity: i32,
    /// Loại bản; empty where no code table knows it.
    #[serde(rename = "LoaiBan", deserialize_with = "lenient::text")]
    pub copy_kind: String,
    /// Giấy tờ đính kèm: files that were uploaded before.
    #[serde(rename = "GiayToDinhKem", deserialize_with = "lenient::list")]
    pub files: Vec<AttachedFile>,
}

/// Giấy tờ đính kèm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachedFile {
    /// `IdTepTin` that the upload gave.
    #[serde(rename = "IdGiayTo", deserialize_with = "lenient::text")]
    pub file_id: String,
    /// Mã kết quả, if the paper is the result of a procedure.
    #[serde(rename = "MaKetQua", deserialize_with = "lenient::text")]
    pub result_code: String,
    /// Tên giấy tờ.
    #[serde(rename = "TenGiayTo", deserialize_with = "lenient::text")]
    pub name: String,
    /// `HashTepTin` that the upload gave.
    #[serde(rename = "HashTepTin", deserialize_with = "lenient::text")]
    pub hash: String,
}

/// Thông tin người nộp, with the owner of the case beside.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Submitter {
    /// Họ tên người nộp.
    #[serde(rename = "HoTen", deserialize_with = "lenient::text")]
    pub name: String,
    /// Số định danh of the submitter.
    #[serde(rename = "SoDinhDanh", deserialize_with = "lenient::text")]
    pub number: String,
    /// Số điện thoại.
    #[serde(rename = "SoDienThoai", deserialize_with = "lenient::text")]
    pub phone: String,
    /// Thư điện tử.
    #[serde(rename = "Email", deserialize_with = "lenient::text")]
    pub email: String,
    /// Địa chỉ.
    #[serde(rename = "DiaChi", deserialize_with = "lenient::text")]
    pub address: String,
    /// Mã tỉnh; empty, a case has its addresses as text.
    #[serde(rename = "MaTinh", deserialize_with = "lenient::text")]
    pub province_code: String,
    /// Mã xã; empty likewise.
    #[serde(rename = "MaXa", deserialize_with = "lenient::text")]
    pub commune_code: String,
    /// Tên chủ hồ sơ.
    #[serde(rename = "TenChuHs", deserialize_with = "lenient::text")]
    pub owner_name: String,
    /// Số định danh chủ hồ sơ.
    #[serde(rename = "SoDinhDanhChuHs", deserialize_with = "lenient::text")]
    pub owner_number: String,
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter").finish_non_exhaustive()
    }
}

/// One entry of `CapNhatTrangThai`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateItem {
    /// Mã hồ sơ.
    #[serde(rename = "MaHoSo", default, deserialize_with = "lenient::text")]
    pub case_code: String,
    /// Trạng thái.
    #[serde(rename = "TrangThai", default, deserialize_with = "lenient::text")]
    pub state: String,
    /// When it was told: an older one never takes the place of a newer one.
    #[serde(rename = "ThoiGian")]
    pub at: WireTime,
    /// Ngày hẹn trả.
    #[serde(rename = "NgayHenTra", default, deserialize_with = "lenient::maybe_time")]
    pub due_time: Option<WireTime>,
    /// Ngày trả.
    #[serde(rename = "NgayTra", default, deserialize_with = "lenient::maybe_time")]
    pub return_time: Option<WireTime>,
}

impl StateItem {
    /// The state of a case as it is told.
    pub(crate) fn of(told: &ToldCase) -> Self {
        Self {
            case_code: told.item.case_code.clone(),
            state: told.item.state.clone(),
            at: told.told_time,
            due_time: told.item.due_time,
            return_time: told.item.return_time,
        }
    }
}

/// What the portal has of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundDossier {
    /// As it was made.
    #[serde(rename = "HoSo")]
    pub dossier: Dossier,
    /// Its state now; none if it was not told yet.
    #[serde(rename = "TrangThai", default)]
    pub state: Option<StateItem>,
    /// Its progress.
    #[serde(rename = "TienTrinh", default, deserialize_with = "lenient::readable")]
    pub progress: Vec<ProgressItem>,
}

/// A file that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedFile {
    /// Id at the portal.
    #[serde(rename = "IdTepTin")]
    pub file_id: String,
    /// SHA-256 of the content, hexadecimal.
    #[serde(rename = "HashTepTin")]
    pub hash: String,
}

/// Who we are at the portal.
#[derive(Clone, Debug)]
pub struct RestAccount {
    /// The client id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: SecretString,
}

/// The portal by its REST flow.
#[derive(Debug)]
pub struct RestPortal {
    line: Line,
    account: RestAccount,
    held: Mutex<Held>,
}

/// The token, or why there is none.
#[derive(Debug, Default)]
struct Held {
    token: Option<Token>,
    /// The code with which the last request for one was refused, and until when none is made.
    refused: Option<(String, Timestamp)>,
}

#[derive(Clone)]
struct Token {
    text: SecretString,
    until: Timestamp,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// Codes of the simulator's contract `rest-sim-1`.
const DONE: &str = "0";
const NOT_FOUND: &str = "HS404";
const EXISTS: &str = "HS409";
const TOKEN_OVER: &str = "TK401";
const REFUSALS: [&str; 4] = ["HS400", "TK403", "HS422", EXISTS];

/// A token is renewed so long before it ends.
const EARLY: SignedDuration = SignedDuration::from_secs(30);

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// Done, with this result.
    Result(Value),
    /// There is no such thing.
    NotFound,
    /// Nothing was done; a new token is needed.
    TokenOver,
}

#[derive(Deserialize)]
struct Said {
    #[serde(rename = "MaLoi")]
    code: String,
    #[serde(rename = "ThongBao", default)]
    message: String,
    #[serde(rename = "KetQua", default)]
    result: Value,
}

/// Reads the answer of an operation.
pub fn read_answer(answer: &Answer) -> Result<Reading, CallError> {
    let said: Said = serde_json::from_slice(&answer.body).map_err(CallError::unreadable_json)?;
    match said.code.as_str() {
        DONE => Ok(Reading::Result(said.result)),
        NOT_FOUND => Ok(Reading::NotFound),
        TOKEN_OVER => Ok(Reading::TokenOver),
        code if REFUSALS.contains(&code) => Err(CallError::refused(code, &said.message)),
        code => Err(CallError::Unknown(Doubt::UnknownCode(code.chars().take(20).collect()))),
    }
}

/// Reads the answer of the token endpoint: the token and for how many seconds it is good.
pub fn read_token(answer: &Answer) -> Result<(SecretString, i64), CallError> {
    #[derive(Deserialize)]
    struct Given {
        access_token: String,
        expires_in: i64,
    }
    if (400..500).contains(&answer.status) {
        return Err(CallError::refused(format!("http_{}", answer.status), ""));
    }
    let given: Given = serde_json::from_slice(&answer.body).map_err(CallError::unreadable_json)?;
    if given.access_token.is_empty() || !(1..=86_400).contains(&given.expires_in) {
        return Err(CallError::unreadable("a token without a text or a sensible end"));
    }
    Ok((SecretString::from(given.access_token), given.expires_in))
}

impl RestPortal {
    /// Speaks over `line`.
    pub fn new(line: Line, account: RestAccount) -> Self {
        Self {
            line,
            account,
            held: Mutex::new(Held::default()),
        }
    }

    /// The line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// The next case number that the portal has for an agency. Not safe to repeat: each call uses up a number. One-stop numbers its cases
    /// itself; this is for agencies whose cases begin at the portal.
    pub async fn next_case_code(&self, agency_code: &str) -> Result<String, CallError> {
        #[derive(Deserialize)]
        struct Next {
            #[serde(rename = "MaHoSo")]
            case_code: String,
        }
        let result = self.ask("ho-so/cap-ma", &json!({ "MaDonVi": agency_code })).await?;
        let next: Next = result.map_or_else(|| Err(CallError::refused(NOT_FOUND, "")), decode)?;
        match next.case_code.strip_prefix(agency_code) {
            Some(rest) if rest.starts_with('-') => Ok(next.case_code),
            _ => Err(CallError::Unknown(Doubt::Other("agency"))),
        }
    }

    /// Uploads a file; safe to repeat, since the portal knows a content by its hash.
    pub async fn upload(&self, name: &str, content: &[u8]) -> Result<UploadedFile, CallError> {
        let body = json!({ "TenTepTin": name, "NoiDung": STANDARD.encode(content) });
        let found: Option<UploadedFile> = self.read("tep-tin", &body).await?;
        let uploaded = found.ok_or_else(|| CallError::refused(NOT_FOUND, ""))?;
        if uploaded.hash == hex::encode(digest(&SHA256, content)) && !uploaded.file_id.is_empty() {
            Ok(uploaded)
        } else {
            Err(CallError::Unknown(Doubt::Other("file")))
        }
    }

    /// What the portal has of a case.
    pub async fn find_dossier(&self, case_code: &str) -> Result<Option<FoundDossier>, CallError> {
        let found: Option<FoundDossier> = self.read("ho-so/tra-cuu", &json!({ "MaHoSo": case_code })).await?;
        match found {
            Some(found) if found.dossier.case_code != case_code => Err(CallError::Unknown(Doubt::Other("case"))),
            found => Ok(found),
        }
    }

    /// A token that is good for a while; another than `worn_out`. Without one nothing of what was to be asked or told was sent, and the
    /// error says so.
    async fn token(&self, worn_out: Option<&SecretString>) -> Result<SecretString, CallError> {
        let mut held = self.held.lock().await;
        let now = self.line.clock().now();
        if let Some(token) = held.token.as_ref() {
            let worn = worn_out.is_some_and(|old| old.expose_secret() == token.text.expose_secret());
            if !worn && now < token.until {
                return Ok(token.text.clone());
            }
        }
        if let Some((code, until)) = held.refused.as_ref()
            && now < *until
        {
            return Err(CallError::NotSent(NotSent::RefusedBefore(code.clone())));
        }
        let mut tries = self.line.tries();
        let fetched = loop {
            if let Some(result) = tries.attempt(self.fetch_token()).await {
                break result.map_err(CallError::before_sending);
            }
        };
        let (text, seconds) = fetched.inspect_err(|error| {
            if let CallError::NotSent(NotSent::RefusedBefore(code)) = error {
                let until = now.checked_add(BARRED).unwrap_or(Timestamp::MAX);
                held.refused = Some((code.clone(), until));
            }
        })?;
        let until = now
            .checked_add(SignedDuration::from_secs(seconds) - EARLY)
            .unwrap_or(now);
        let token = Token {
            text: text.clone(),
            until,
        };
        *held = Held {
            token: Some(token),
            refused: None,
        };
        Ok(text)
    }

    async fn fetch_token(&self) -> Result<(SecretString, i64), CallError> {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", self.account.client_id.as_str()),
            ("client_secret", self.account.client_secret.expose_secret()),
        ];
        let mut body = String::new();
        for (name, value) in fields {
            if !body.is_empty() {
                body.push('&');
            }
            body.push_str(name);
            body.push('=');
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    body.push(char::from(byte));
                } else {
                    // Writing to a text cannot fail.
                    let _ = write!(body, "%{byte:02X}");
                }
            }
        }
        let outgoing = Outgoing {
            method: Method::POST,
            path: "oauth/token".to_owned(),
            headers: Vec::new(),
            content_type: "application/x-www-form-urlencoded",
            body: body.into_bytes(),
        };
        read_token(&self.line.once(&outgoing).await?)
    }

    /// One try at an operation, with a fresh token if the old one has run out: the portal did nothing then.
    async fn ask(&self, path: &str, body: &Value) -> Result<Option<Value>, CallError> {
        let mut token = self.token(None).await?;
        for last in [false, true] {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
                .map_err(|_| CallError::NotSent(NotSent::Unsendable("token")))?;
            bearer.set_sensitive(true);
            let outgoing = Outgoing {
                method: Method::POST,
                path: path.to_owned(),
                headers: vec![(header::AUTHORIZATION, bearer)],
                content_type: "application/json",
                body: body.to_string().into_bytes(),
            };
            let answer = self.line.once(&outgoing).await?;
            // What the contract says counts, whatever status it comes with; another page with such a status is not the portal's answer.
            let reading = match (read_answer(&answer), answer.barred()) {
                (Err(CallError::Unknown(Doubt::Unreadable(_))), Some(barred)) => return Err(barred),
                (reading, _) => reading?,
            };
            match reading {
                Reading::Result(value) => return Ok(Some(value)),
                Reading::NotFound => return Ok(None),
                Reading::TokenOver if last => break,
                Reading::TokenOver => token = self.token(Some(&token)).await?,
            }
        }
        // Over again and again: it did nothing either time.
        Err(CallError::NotSent(NotSent::RefusedBefore(TOKEN_OVER.to_owned())))
    }

    /// What is safe to repeat.
    async fn read<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<Option<T>, CallError> {
        let mut tries = self.line.tries();
        let found = loop {
            if let Some(result) = tries.attempt(self.ask(path, body)).await {
                break result?;
            }
        };
        found.map(decode).transpose()
    }

    async fn write(&self, path: &str, body: &Value) -> Result<(), CallError> {
        match self.ask(path, body).await? {
            Some(_) => Ok(()),
            None => Err(CallError::refused(NOT_FOUND, "")),
        }
    }
}

fn decode<T: DeserializeOwned>(value: Value) -> Result<T, CallError> {
    serde_json::from_value(value).map_err(CallError::unreadable_json)
}

/// A file of a component by its name.
fn named(component_code: &str, name: &str) -> DocumentItem {
    DocumentItem {
        attachment_id: String::new(),
        file_name: name.to_owned(),
        deleted: false,
        component_code: component_code.to_owned(),
        address: String::new(),
    }
}

/// What this generation carries of a case, as an item: the rest is empty on both sides.
fn carried(dossier: &Dossier, state: Option<&StateItem>) -> CaseItem {
    CaseItem {
        case_code: dossier.case_code.clone(),
        procedure_code: dossier.procedure_code.clone(),
        owner_name: dossier.owner_name.clone(),
        owner_kind: dossier.owner_kind.clone(),
        owner_number: dossier.submitter.owner_number.clone(),
        accept_time: dossier.accept_time,
        state: state.map(|state| state.state.clone()).unwrap_or_default(),
        due_time: state.and_then(|state| state.due_time),
        return_time: state.and_then(|state| state.return_time),
        documents: dossier
            .components
            .iter()
            .flat_map(|component| component.files.iter().map(|file| named(&component.code, &file.name)))
            .collect(),
        ..CaseItem::default()
    }
}

#[async_trait]
impl NationalPortal for RestPortal {
    async fn procedures(&self) -> Result<Vec<ProcedureSummary>, CallError> {
        Err(CallError::NotSent(NotSent::NotInContract))
    }

    async fn procedure(&self, _: &str) -> Result<Option<Procedure>, CallError> {
        Err(CallError::NotSent(NotSent::NotInContract))
    }

    async fn find_case(&self, case_code: &str) -> Result<Option<PortalCase>, CallError> {
        let found = self.find_dossier(case_code).await?;
        Ok(found.map(|found| PortalCase {
            case: carried(&found.dossier, found.state.as_ref()),
            progress: found.progress,
        }))
    }

    async fn list_cases(&self, agency_code: &str, from: Date, to: Date) -> Result<Vec<ListedCase>, CallError> {
        let asked = json!({ "MaDonVi": agency_code, "TuNgay": day_text(from), "DenNgay": day_text(to) });
        // "There is none" may mean the cases or the list: it is no list.
        let listed = self.read("ho-so/danh-sach", &asked).await?;
        listed.ok_or_else(|| CallError::refused(NOT_FOUND, ""))
    }

    async fn sync_case(&self, told: &ToldCase, there: bool) -> Result<(), CallError> {
        if !there {
            let dossier = serde_json::to_value(&told.dossier).map_err(CallError::unreadable_json)?;
            match self.write("ho-so", &dossier).await {
                // It arrived late, after the portal was asked in vain: under this code it is ours.
                Err(CallError::Refused { code, .. }) if code == EXISTS => {}
                made => made?,
            }
        }
        let states = json!({ "CapNhatTrangThai": [StateItem::of(told)] });
        self.write("ho-so/cap-nhat-trang-thai", &states).await
    }

    fn takes_files(&self) -> bool {
        true
    }

    async fn upload_file(&self, name: &str, content: &[u8]) -> Result<UploadedFile, CallError> {
        self.upload(name, content).await
    }

    async fn report_progress(&self, item: &ProgressItem) -> Result<(), CallError> {
        let steps = json!({ "CapNhatTienTrinh": [item] });
        let reported = self.write("ho-so/cap-nhat-tien-trinh", &steps).await;
        reported.map_err(|error| error.about_a_case(NOT_FOUND))
    }

    fn holds(&self, told: &ToldCase, there: &PortalCase) -> bool {
        // What a dossier says is never changed there: whether a case was told is whether its state was.
        let ours = StateItem::of(told);
        there.case.state == ours.state
            && there.case.due_time == ours.due_time
            && there.case.return_time == ours.return_time
    }

    fn differences(&self, told: &ToldCase, there: &PortalCase) -> Vec<FieldDifference> {
        let mut ours = carried(&told.dossier, Some(&StateItem::of(told)));
        // What was uploaded got its ids there; which files a case has is known by the names that one-stop says of them.
        ours.documents = told
            .dossier
            .components
            .iter()
            .flat_map(|component| told.files_of(&component.code))
            .map(|file| named(&file.component_code, &file.file_name))
            .collect();
        item_differences(&ours, &there.case)
    }

    fn is_resting(&self) -> bool {
        self.line.is_resting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status: 200,
            headers: http::HeaderMap::new(),
            body: body.into(),
        }
    }

    #[test]
    fn a_token_without_a_text_or_with_a_senseless_end_is_no_token() {
        for body in [
            r#"{"access_token":"","expires_in":300}"#,
            r#"{"access_token":"t","expires_in":0}"#,
            r#"{"access_token":"t","expires_in":9999999}"#,
            r#"{"expires_in":300}"#,
        ] {
            assert!(
                matches!(read_token(&answer(body)), Err(CallError::Unknown(_))),
                "{body}"
            );
        }
        assert!(read_token(&answer(r#"{"access_token":"t","expires_in":300}"#)).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_never_an_answer_of_the_rest_flow(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read_answer(&answer(body.clone())).is_err());
            prop_assert!(read_token(&answer(body)).is_err());
        }

        #[test]
        fn only_the_code_of_success_is_one(code in "[A-Z0-9]{0,6}", text in ".{0,10}") {
            let body = serde_json::json!({ "MaLoi": code, "ThongBao": text, "KetQua": 1 }).to_string();
            let success = matches!(read_answer(&answer(body)), Ok(Reading::Result(_)));
            prop_assert_eq!(success, code == DONE);
        }

        #[test]
        fn a_dossier_is_read_as_it_was_written(
            code in "[A-Z0-9.-]{1,30}", name in ".{0,40}", second in 200_000_000_i64..4_000_000_000, quantity: i32,
        ) {
            let dossier = Dossier {
                case_code: code,
                owner_name: name.clone(),
                submit_time: Some(WireTime::of(Timestamp::from_second(second).unwrap())),
                components: vec![DossierComponent { name, quantity, ..DossierComponent::default() }],
                ..Dossier::default()
            };
            let wire = serde_json::to_vec(&dossier).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Dossier>(&wire).unwrap(), dossier);
        }
    }
}
