//! The national public-service portal (Cổng dịch vụ công quốc gia), by the form of OpenCPS: one address, a session, a service
//! named in the body.
//!
//! The names of services and fields are those of the published adapter. Where the session travels, the paths, and the codes of
//! a session that ran out were not found: they are those of our simulator, contract `sim-1`, **unconfirmed**.
//!
//! The newer REST flow of 2026 (client token, next case number, upload, dossier, progress, state) is known by its steps and the
//! fields of the dossier, without paths, answers or a look-up: too little to speak it. [`NationalPortal`] is where it will be
//! put beside this one.

use async_trait::async_trait;
use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::line::{Answer, Line, Outgoing};
use crate::outcome::{CallError, Doubt};
use crate::wire_time::WireTime;

/// One procedure in the portal's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcedureSummary {
    /// Mã thủ tục.
    #[serde(rename = "MaTTHC")]
    pub procedure_code: String,
    /// Tên thủ tục.
    #[serde(rename = "TenTTHC")]
    pub name: String,
}

/// A procedure as the portal publishes it: what one-stop compares with its own version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Procedure {
    /// Tên thủ tục.
    #[serde(rename = "TENTTHC")]
    pub name: String,
    /// Lĩnh vực.
    #[serde(rename = "LINHVUCTHUCHIEN", default)]
    pub fields: Vec<Field>,
    /// Kết quả.
    #[serde(rename = "KETQUATHUCHIEN", default)]
    pub results: Vec<ProcedureResult>,
    /// Căn cứ pháp lý.
    #[serde(rename = "CANCUPHAPLY", default)]
    pub legal_bases: Vec<LegalBasis>,
    /// Cơ quan thực hiện.
    #[serde(rename = "COQUANTHUCHIEN", default)]
    pub agencies: Vec<Agency>,
    /// Yêu cầu, điều kiện.
    #[serde(rename = "YEUCAU", default)]
    pub conditions: String,
}

/// Lĩnh vực.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Mã lĩnh vực.
    #[serde(rename = "MALINHVUC")]
    pub code: String,
    /// Tên lĩnh vực.
    #[serde(rename = "TENLINHVUC")]
    pub name: String,
}

/// Kết quả thực hiện.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcedureResult {
    /// Mã kết quả, e.g. KQ.G15.000031.
    #[serde(rename = "MAKETQUA")]
    pub code: String,
    /// Tên kết quả.
    #[serde(rename = "TENKETQUA")]
    pub name: String,
}

/// Căn cứ pháp lý.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalBasis {
    /// Số văn bản.
    #[serde(rename = "SOVANBAN")]
    pub number: String,
    /// Tên văn bản.
    #[serde(rename = "TENVANBAN")]
    pub name: String,
}

/// Cơ quan thực hiện.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agency {
    /// Mã đơn vị.
    #[serde(rename = "MADONVI")]
    pub code: String,
    /// Tên đơn vị.
    #[serde(rename = "TENDONVI")]
    pub name: String,
}

/// Hồ sơ một cửa: one item of `DongBoHoSoMC`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseItem {
    /// Mã hồ sơ.
    #[serde(rename = "MaHoSo")]
    pub case_code: String,
    /// Mã thủ tục.
    #[serde(rename = "MaTTHC")]
    pub procedure_code: String,
    /// Tên thủ tục.
    #[serde(rename = "TenTTHC")]
    pub procedure_name: String,
    /// Mã lĩnh vực.
    #[serde(rename = "MaLinhVuc")]
    pub field_code: String,
    /// Tên lĩnh vực.
    #[serde(rename = "TenLinhVuc")]
    pub field_name: String,
    /// Số biên nhận.
    #[serde(rename = "SoBienNhan")]
    pub receipt_number: String,
    /// Chủ hồ sơ.
    #[serde(rename = "ChuHoSo")]
    pub owner_name: String,
    /// Loại đối tượng: 1 citizen, 2 business.
    #[serde(rename = "LoaiDoiTuong")]
    pub owner_kind: String,
    /// Mã đối tượng: personal number or enterprise number.
    #[serde(rename = "MaDoiTuong")]
    pub owner_number: String,
    /// Thông tin khác.
    #[serde(rename = "ThongTinKhac")]
    pub other: String,
    /// Thư điện tử.
    #[serde(rename = "Email")]
    pub email: String,
    /// Fax.
    #[serde(rename = "Fax")]
    pub fax: String,
    /// Số điện thoại.
    #[serde(rename = "SoDienThoai")]
    pub phone: String,
    /// Trích yếu hồ sơ.
    #[serde(rename = "TrichYeuHoSo")]
    pub abstract_text: String,
    /// Ngày tiếp nhận.
    #[serde(rename = "NgayTiepNhan")]
    pub accept_time: Option<WireTime>,
    /// Ngày hẹn trả.
    #[serde(rename = "NgayHenTra")]
    pub due_time: Option<WireTime>,
    /// Trạng thái hồ sơ, 1 to 10.
    #[serde(rename = "TrangThaiHoSo")]
    pub state: String,
    /// Ngày trả.
    #[serde(rename = "NgayTra")]
    pub return_time: Option<WireTime>,
    /// Thông tin trả.
    #[serde(rename = "ThongTinTra")]
    pub return_note: String,
    /// Hình thức: 0 counter, 1 post; none where the portal's contract has no value.
    #[serde(rename = "HinhThuc")]
    pub return_channel: Option<String>,
    /// Ngày kết thúc xử lý.
    #[serde(rename = "NgayKetThucXuLy")]
    pub finish_time: Option<WireTime>,
    /// Đơn vị xử lý.
    #[serde(rename = "DonViXuLy")]
    pub handling_unit: String,
    /// Ghi chú.
    #[serde(rename = "GhiChu")]
    pub note: String,
    /// Tài liệu nộp.
    #[serde(rename = "TaiLieuNop")]
    pub documents: Vec<DocumentItem>,
    /// Danh sách lệ phí.
    #[serde(rename = "DanhSachLePhi")]
    pub fees: Vec<FeeItem>,
    /// Danh sách tệp đính kèm khác: papers handed over.
    #[serde(rename = "DanhSachTepDinhKemKhac")]
    pub papers: Vec<PaperItem>,
    /// Danh sách giấy tờ kết quả.
    #[serde(rename = "DanhSachGiayToKetQua")]
    pub results: Vec<ResultItem>,
}

impl std::fmt::Debug for CaseItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaseItem")
            .field("case_code", &self.case_code)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Tài liệu nộp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentItem {
    /// Id of the attachment.
    #[serde(rename = "TepDinhKemId")]
    pub attachment_id: String,
    /// Name of the file.
    #[serde(rename = "TenTepDinhKem")]
    pub file_name: String,
    /// Whether it was taken back.
    #[serde(rename = "IsDeleted")]
    pub deleted: bool,
    /// Mã thành phần hồ sơ.
    #[serde(rename = "MaThanhPhanHoSo")]
    pub component_code: String,
    /// Where the file is.
    #[serde(rename = "DuongDanTaiTepTin")]
    pub address: String,
}

/// Lệ phí.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeItem {
    /// Tên phí, lệ phí.
    #[serde(rename = "TenPhiLePhi")]
    pub name: String,
    /// Mã phí, lệ phí.
    #[serde(rename = "MaPhiLePhi")]
    pub code: String,
    /// Hình thức thu.
    #[serde(rename = "HinhThucThu")]
    pub collection: String,
    /// Giá, in VND.
    #[serde(rename = "Gia")]
    pub amount: i64,
    /// Loại phí, lệ phí.
    #[serde(rename = "LoaiPhiLePhi")]
    pub kind: String,
}

/// Giấy tờ handed over on paper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaperItem {
    /// Tên giấy tờ.
    #[serde(rename = "TenGiayTo")]
    pub name: String,
    /// Số lượng.
    #[serde(rename = "SoLuong")]
    pub quantity: i32,
    /// Loại giấy tờ.
    #[serde(rename = "LoaiGiayTo")]
    pub kind: String,
}

/// Giấy tờ kết quả.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultItem {
    /// Tên giấy tờ.
    #[serde(rename = "TenGiayTo")]
    pub name: String,
    /// Mã thành phần hồ sơ: the code of the result.
    #[serde(rename = "MaThanhPhanHoSo")]
    pub result_code: String,
    /// Id of the paper.
    #[serde(rename = "GiayToId")]
    pub paper_id: String,
    /// Where the file is.
    #[serde(rename = "DuongDanTepTinKetQua")]
    pub address: String,
}

/// Tiến độ: one item of `CapNhatTienDoHoSoMC`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressItem {
    /// Mã hồ sơ.
    #[serde(rename = "MaHoSo")]
    pub case_code: String,
    /// Người xử lý.
    #[serde(rename = "NguoiXuLy")]
    pub officer: String,
    /// Chức danh.
    #[serde(rename = "ChucDanh")]
    pub title: String,
    /// Thời điểm xử lý.
    #[serde(rename = "ThoiDiemXuLy")]
    pub at: WireTime,
    /// Phòng ban xử lý.
    #[serde(rename = "PhongBanXuLy")]
    pub department: String,
    /// Nội dung xử lý.
    #[serde(rename = "NoiDungXuLy")]
    pub content: String,
    /// Trạng thái.
    #[serde(rename = "TrangThai")]
    pub state: String,
    /// Ngày bắt đầu.
    #[serde(rename = "NgayBatDau")]
    pub start_time: Option<WireTime>,
    /// Ngày kết thúc theo quy định.
    #[serde(rename = "NgayKetThucTheoQuyDinh")]
    pub due_time: Option<WireTime>,
}

/// What the portal has of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalCase {
    /// The case as it was last synchronised.
    #[serde(flatten)]
    pub case: CaseItem,
    /// Its progress. That `TraCuuHoSo` tells it is unconfirmed.
    #[serde(rename = "TienDo", default)]
    pub progress: Vec<ProgressItem>,
}

/// The portal.
#[async_trait]
pub trait NationalPortal: Send + Sync + 'static {
    /// `LayDanhSachTTHC`.
    async fn procedures(&self) -> Result<Vec<ProcedureSummary>, CallError>;
    /// `LayThuTuc`; none if the portal does not know it.
    async fn procedure(&self, procedure_code: &str) -> Result<Option<Procedure>, CallError>;
    /// `TraCuuHoSo`; none if the portal does not have it. By this an unknown outcome is asked about.
    async fn find_case(&self, case_code: &str) -> Result<Option<PortalCase>, CallError>;
    /// `DongBoHoSoMC`, one try: `updating` if the portal has the case already.
    async fn sync_case(&self, item: &CaseItem, updating: bool) -> Result<(), CallError>;
    /// `CapNhatTienDoHoSoMC`, one try.
    async fn report_progress(&self, item: &ProgressItem) -> Result<(), CallError>;
}

/// Who we are at the portal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortalAccount {
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// The portal in the form of OpenCPS.
#[derive(Debug)]
pub struct OpenCpsPortal {
    line: Line,
    account: PortalAccount,
    session: Mutex<Option<SecretString>>,
}

/// What `LayDanhSachTTHC` and the others answer with. The code is "00" or 0.
#[derive(Deserialize)]
struct Said {
    error_code: Word,
    #[serde(default)]
    message: String,
    #[serde(default)]
    result: Value,
}

/// A text or a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(i64),
}

impl Word {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// Codes of the simulator's contract `sim-1`; only 0 and 00 are confirmed.
const NOT_FOUND: &str = "04";
const SESSION_OVER: &str = "01";
const REFUSALS: [&str; 3] = ["02", "03", "05"];

impl OpenCpsPortal {
    /// Speaks over `line`.
    pub fn new(line: Line, account: PortalAccount) -> Self {
        Self {
            line,
            account,
            session: Mutex::new(None),
        }
    }

    /// The line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    async fn session(&self, worn_out: Option<&SecretString>) -> Result<SecretString, CallError> {
        let mut held = self.session.lock().await;
        if let Some(session) = held.as_ref() {
            let worn = worn_out.is_some_and(|old| old.expose_secret() == session.expose_secret());
            if !worn {
                return Ok(session.clone());
            }
        }
        let body = json!({ "username": self.account.username, "password": self.account.password.expose_secret() });
        let mut tries = self.line.tries();
        let fresh = loop {
            if let Some(result) = tries.attempt(self.sign_in(&body)).await {
                break result?;
            }
        };
        *held = Some(fresh.clone());
        Ok(fresh)
    }

    async fn sign_in(&self, body: &Value) -> Result<SecretString, CallError> {
        let answer = self.line.once(&posted("session", body)).await?;
        read_session(&answer.success()?)
    }

    /// One try at a service, with a fresh session if the old one has run out: the portal did nothing then.
    async fn serve(&self, service: &str, data: Value, updating: bool) -> Result<Option<Value>, CallError> {
        let mut session = self.session(None).await?;
        for last in [false, true] {
            let body = json!({
                "session": session.expose_secret(),
                "service": service,
                "data": data,
                "isUpdating": updating,
            });
            let answer = self.line.once(&posted("services", &body)).await?;
            match read_answer(&answer.success()?)? {
                Reading::Result(value) => return Ok(Some(value)),
                Reading::NotFound => return Ok(None),
                Reading::SessionOver if last => break,
                Reading::SessionOver => session = self.session(Some(&session)).await?,
            }
        }
        Err(CallError::refused(SESSION_OVER, "the session is over again and again"))
    }

    async fn read<T: DeserializeOwned>(&self, service: &str, data: Value) -> Result<Option<T>, CallError> {
        let mut tries = self.line.tries();
        let found = loop {
            if let Some(result) = tries.attempt(self.serve(service, data.clone(), false)).await {
                break result?;
            }
        };
        found
            .map(|value| serde_json::from_value(value).map_err(CallError::unreadable))
            .transpose()
    }

    async fn write(&self, service: &str, item: impl Serialize, updating: bool) -> Result<(), CallError> {
        let item = serde_json::to_value(item).map_err(CallError::unreadable)?;
        match self.serve(service, json!([item]), updating).await? {
            Some(_) => Ok(()),
            None => Err(CallError::refused(NOT_FOUND, "")),
        }
    }
}

fn posted(path: &str, body: &Value) -> Outgoing {
    Outgoing {
        method: Method::POST,
        path: path.to_owned(),
        headers: Vec::new(),
        content_type: "application/json",
        body: body.to_string().into_bytes(),
    }
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// The service did it.
    Result(Value),
    /// There is no such thing.
    NotFound,
    /// Nothing was done; a new session is needed.
    SessionOver,
}

/// Reads the answer of a service.
pub fn read_answer(answer: &Answer) -> Result<Reading, CallError> {
    let said: Said = serde_json::from_slice(&answer.body).map_err(CallError::unreadable)?;
    let code = said.error_code.text();
    match code.as_str() {
        "00" | "0" => Ok(Reading::Result(said.result)),
        NOT_FOUND => Ok(Reading::NotFound),
        SESSION_OVER => Ok(Reading::SessionOver),
        refusal if REFUSALS.contains(&refusal) => Err(CallError::refused(refusal, &said.message)),
        _ => Err(CallError::Unknown(Doubt::UnknownCode(code.chars().take(20).collect()))),
    }
}

/// Reads the answer to a sign-in.
pub fn read_session(answer: &Answer) -> Result<SecretString, CallError> {
    #[derive(Deserialize)]
    struct SignedIn {
        error_code: Word,
        #[serde(default)]
        session: String,
    }
    let said: SignedIn = serde_json::from_slice(&answer.body).map_err(CallError::unreadable)?;
    match said.error_code.text().as_str() {
        "0" | "00" if !said.session.is_empty() => Ok(SecretString::from(said.session)),
        "0" | "00" => Err(CallError::unreadable("a sign-in without a session")),
        code => Err(CallError::refused(code, "")),
    }
}

#[async_trait]
impl NationalPortal for OpenCpsPortal {
    async fn procedures(&self) -> Result<Vec<ProcedureSummary>, CallError> {
        Ok(self.read("LayDanhSachTTHC", json!([])).await?.unwrap_or_default())
    }

    async fn procedure(&self, procedure_code: &str) -> Result<Option<Procedure>, CallError> {
        self.read("LayThuTuc", json!([{ "maTTHC": procedure_code }])).await
    }

    async fn find_case(&self, case_code: &str) -> Result<Option<PortalCase>, CallError> {
        let found: Option<PortalCase> = self.read("TraCuuHoSo", json!([{ "MaHoSo": case_code }])).await?;
        match found {
            Some(found) if found.case.case_code != case_code => Err(CallError::Unknown(Doubt::Other("case"))),
            found => Ok(found),
        }
    }

    async fn sync_case(&self, item: &CaseItem, updating: bool) -> Result<(), CallError> {
        self.write("DongBoHoSoMC", item, updating).await
    }

    async fn report_progress(&self, item: &ProgressItem) -> Result<(), CallError> {
        self.write("CapNhatTienDoHoSoMC", item, false).await
    }
}
