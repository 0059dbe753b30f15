//! The national public-service portal (Cổng dịch vụ công quốc gia), by the form of OpenCPS: one address, a session, a service
//! named in the body.
//!
//! The names of services and fields are those of the published adapter. Where the session travels, the paths, and the codes of
//! a session that ran out were not found: they are those of our simulator, contract `sim-1`, **unconfirmed**.
//!
//! The newer REST flow of 2026 (client token, next case number, upload, dossier, progress, state) is
//! [`crate::portal_rest`], behind the same [`NationalPortal`].

use async_trait::async_trait;
use egov_clock::Clock as _;
use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::lenient;
use crate::line::{Answer, Line, Outgoing};
use crate::outcome::{CallError, Doubt, NotSent};
use crate::portal_rest::{Dossier, UploadedFile};
use crate::wire_time::{WireTime, day_text};

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
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaseItem {
    /// Mã hồ sơ.
    #[serde(rename = "MaHoSo", deserialize_with = "lenient::text")]
    pub case_code: String,
    /// Mã thủ tục.
    #[serde(rename = "MaTTHC", deserialize_with = "lenient::text")]
    pub procedure_code: String,
    /// Tên thủ tục.
    #[serde(rename = "TenTTHC", deserialize_with = "lenient::text")]
    pub procedure_name: String,
    /// Mã lĩnh vực.
    #[serde(rename = "MaLinhVuc", deserialize_with = "lenient::text")]
    pub field_code: String,
    /// Tên lĩnh vực.
    #[serde(rename = "TenLinhVuc", deserialize_with = "lenient::text")]
    pub field_name: String,
    /// Số biên nhận.
    #[serde(rename = "SoBienNhan", deserialize_with = "lenient::text")]
    pub receipt_number: String,
    /// Chủ hồ sơ.
    #[serde(rename = "ChuHoSo", deserialize_with = "lenient::text")]
    pub owner_name: String,
    /// Loại đối tượng: 1 citizen, 2 business.
    #[serde(rename = "LoaiDoiTuong", deserialize_with = "lenient::text")]
    pub owner_kind: String,
    /// Mã đối tượng: personal number or enterprise number.
    #[serde(rename = "MaDoiTuong", deserialize_with = "lenient::text")]
    pub owner_number: String,
    /// Thông tin khác.
    #[serde(rename = "ThongTinKhac", deserialize_with = "lenient::text")]
    pub other: String,
    /// Thư điện tử.
    #[serde(rename = "Email", deserialize_with = "lenient::text")]
    pub email: String,
    /// Fax.
    #[serde(rename = "Fax", deserialize_with = "lenient::text")]
    pub fax: String,
    /// Số điện thoại.
    #[serde(rename = "SoDienThoai", deserialize_with = "lenient::text")]
    pub phone: String,
    /// Trích yếu hồ sơ.
    #[serde(rename = "TrichYeuHoSo", deserialize_with = "lenient::text")]
    pub abstract_text: String,
    /// Ngày tiếp nhận.
    #[serde(rename = "NgayTiepNhan", deserialize_with = "lenient::maybe_time")]
    pub accept_time: Option<WireTime>,
    /// Ngày hẹn trả.
    #[serde(rename = "NgayHenTra", deserialize_with = "lenient::maybe_time")]
    pub due_time: Option<WireTime>,
    /// Trạng thái hồ sơ, 1 to 10.
    #[serde(rename = "TrangThaiHoSo", deserialize_with = "lenient::text")]
    pub state: String,
    /// Ngày trả.
    #[serde(rename = "NgayTra", deserialize_with = "lenient::maybe_time")]
    pub return_time: Option<WireTime>,
    /// Thông tin trả.
    #[serde(rename = "ThongTinTra", deserialize_with = "lenient::text")]
    pub return_note: String,
    /// Hình thức: 0 counter, 1 post; none where the portal's contract has no value.
    #[serde(rename = "HinhThuc", deserialize_with = "lenient::maybe_text")]
    pub return_channel: Option<String>,
    /// Ngày kết thúc xử lý.
    #[serde(rename = "NgayKetThucXuLy", deserialize_with = "lenient::maybe_time")]
    pub finish_time: Option<WireTime>,
    /// Đơn vị xử lý.
    #[serde(rename = "DonViXuLy", deserialize_with = "lenient::text")]
    pub handling_unit: String,
    /// Ghi chú.
    #[serde(rename = "GhiChu", deserialize_with = "lenient::text")]
    pub note: String,
    /// Tài liệu nộp.
    #[serde(rename = "TaiLieuNop", deserialize_with = "lenient::list")]
    pub documents: Vec<DocumentItem>,
    /// Danh sách lệ phí.
    #[serde(rename = "DanhSachLePhi", deserialize_with = "lenient::list")]
    pub fees: Vec<FeeItem>,
    /// Danh sách tệp đính kèm khác: papers handed over.
    #[serde(rename = "DanhSachTepDinhKemKhac", deserialize_with = "lenient::list")]
    pub papers: Vec<PaperItem>,
    /// Danh sách hồ sơ bổ sung: rounds in which something was asked for.
    #[serde(rename = "DanhSachHoSoBoSung", deserialize_with = "lenient::list")]
    pub supplements: Vec<SupplementRound>,
    /// Danh sách giấy tờ kết quả.
    #[serde(rename = "DanhSachGiayToKetQua", deserialize_with = "lenient::list")]
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
    #[serde(rename = "TepDinhKemId", default, deserialize_with = "lenient::text")]
    pub attachment_id: String,
    /// Name of the file.
    #[serde(rename = "TenTepDinhKem", default, deserialize_with = "lenient::text")]
    pub file_name: String,
    /// Whether it was taken back.
    #[serde(rename = "IsDeleted", default, deserialize_with = "lenient::flag")]
    pub deleted: bool,
    /// Mã thành phần hồ sơ.
    #[serde(rename = "MaThanhPhanHoSo", default, deserialize_with = "lenient::text")]
    pub component_code: String,
    /// Where the file is.
    #[serde(rename = "DuongDanTaiTepTin", default, deserialize_with = "lenient::text")]
    pub address: String,
}

/// Lệ phí.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeItem {
    /// Tên phí, lệ phí.
    #[serde(rename = "TenPhiLePhi", default, deserialize_with = "lenient::text")]
    pub name: String,
    /// Mã phí, lệ phí.
    #[serde(rename = "MaPhiLePhi", default, deserialize_with = "lenient::text")]
    pub code: String,
    /// Hình thức thu.
    #[serde(rename = "HinhThucThu", default, deserialize_with = "lenient::text")]
    pub collection: String,
    /// Giá, in VND.
    #[serde(rename = "Gia", default, deserialize_with = "lenient::amount")]
    pub amount: i64,
    /// Loại phí, lệ phí.
    #[serde(rename = "LoaiPhiLePhi", default, deserialize_with = "lenient::text")]
    pub kind: String,
}

/// Giấy tờ handed over on paper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaperItem {
    /// Tên giấy tờ.
    #[serde(rename = "TenGiayTo", default, deserialize_with = "lenient::text")]
    pub name: String,
    /// Số lượng.
    #[serde(rename = "SoLuong", default, deserialize_with = "lenient::count")]
    pub quantity: i32,
    /// Loại giấy tờ.
    #[serde(rename = "LoaiGiayTo", default, deserialize_with = "lenient::text")]
    pub kind: String,
}

/// Hồ sơ bổ sung: one round of a supplement.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SupplementRound {
    /// Id of the round.
    #[serde(rename = "HoSoBoSungId", deserialize_with = "lenient::text")]
    pub round_id: String,
    /// Người yêu cầu bổ sung.
    #[serde(rename = "NguoiYeuCauBoSung", deserialize_with = "lenient::text")]
    pub asked_by: String,
    /// Nội dung bổ sung.
    #[serde(rename = "NoiDungBoSung", deserialize_with = "lenient::text")]
    pub content: String,
    /// Ngày bổ sung: when it was asked for.
    #[serde(rename = "NgayBoSung", deserialize_with = "lenient::maybe_time")]
    pub ask_time: Option<WireTime>,
    /// Người tiếp nhận bổ sung.
    #[serde(rename = "NguoiTiepNhanBoSung", deserialize_with = "lenient::text")]
    pub received_by: String,
    /// Thông tin tiếp nhận.
    #[serde(rename = "ThongTinTiepNhan", deserialize_with = "lenient::text")]
    pub received_note: String,
    /// Ngày tiếp nhận bổ sung.
    #[serde(rename = "NgayTiepNhanBoSung", deserialize_with = "lenient::maybe_time")]
    pub receive_time: Option<WireTime>,
    /// Trạng thái bổ sung; empty where no code table knows it.
    #[serde(rename = "TrangThaiBoSung", deserialize_with = "lenient::text")]
    pub state: String,
    /// Danh sách giấy tờ bổ sung.
    #[serde(rename = "DanhSachGiayToBoSung", deserialize_with = "lenient::list")]
    pub papers: Vec<PaperItem>,
    /// Danh sách lệ phí bổ sung.
    #[serde(rename = "DanhSachLePhiBoSung", deserialize_with = "lenient::list")]
    pub fees: Vec<FeeItem>,
    /// Ngày hẹn trả trước.
    #[serde(rename = "NgayHenTraTruoc", deserialize_with = "lenient::maybe_time")]
    pub due_before: Option<WireTime>,
    /// Ngày hẹn trả mới.
    #[serde(rename = "NgayHenTraMoi", deserialize_with = "lenient::maybe_time")]
    pub due_after: Option<WireTime>,
}

impl std::fmt::Debug for SupplementRound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SupplementRound")
            .field("round_id", &self.round_id)
            .finish_non_exhaustive()
    }
}

/// Giấy tờ kết quả.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultItem {
    /// Tên giấy tờ.
    #[serde(rename = "TenGiayTo", default, deserialize_with = "lenient::text")]
    pub name: String,
    /// Mã thành phần hồ sơ: the code of the result.
    #[serde(rename = "MaThanhPhanHoSo", default, deserialize_with = "lenient::text")]
    pub result_code: String,
    /// Id of the paper.
    #[serde(rename = "GiayToId", default, deserialize_with = "lenient::text")]
    pub paper_id: String,
    /// Where the file is.
    #[serde(rename = "DuongDanTepTinKetQua", default, deserialize_with = "lenient::text")]
    pub address: String,
}

/// Tiến độ: one item of `CapNhatTienDoHoSoMC`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressItem {
    /// Mã hồ sơ.
    #[serde(rename = "MaHoSo", default, deserialize_with = "lenient::text")]
    pub case_code: String,
    /// Người xử lý.
    #[serde(rename = "NguoiXuLy", default, deserialize_with = "lenient::text")]
    pub officer: String,
    /// Chức danh.
    #[serde(rename = "ChucDanh", default, deserialize_with = "lenient::text")]
    pub title: String,
    /// Thời điểm xử lý.
    #[serde(rename = "ThoiDiemXuLy")]
    pub at: WireTime,
    /// Phòng ban xử lý.
    #[serde(rename = "PhongBanXuLy", default, deserialize_with = "lenient::text")]
    pub department: String,
    /// Nội dung xử lý.
    #[serde(rename = "NoiDungXuLy", default, deserialize_with = "lenient::text")]
    pub content: String,
    /// Trạng thái.
    #[serde(rename = "TrangThai", default, deserialize_with = "lenient::text")]
    pub state: String,
    /// Ngày bắt đầu.
    #[serde(rename = "NgayBatDau", default, deserialize_with = "lenient::maybe_time")]
    pub start_time: Option<WireTime>,
    /// Ngày kết thúc theo quy định.
    #[serde(rename = "NgayKetThucTheoQuyDinh", default, deserialize_with = "lenient::maybe_time")]
    pub due_time: Option<WireTime>,
}

/// What the portal has of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalCase {
    /// The case as it was last synchronised.
    #[serde(flatten)]
    pub case: CaseItem,
    /// Its progress. That `TraCuuHoSo` tells it is unconfirmed.
    #[serde(rename = "TienDo", default, deserialize_with = "lenient::readable")]
    pub progress: Vec<ProgressItem>,
}

/// A case as the portal is told of it, in what every generation of its contract needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldCase {
    /// The case as it stands.
    pub item: CaseItem,
    /// How it was filed: for the second generation.
    pub dossier: Dossier,
    /// When it was handed in for the portal: what is older never follows it.
    pub told_time: WireTime,
}

impl ToldCase {
    /// The files of a component that one-stop itself says the case has: it names them. Of a file that only a unit's own software speaks of
    /// nothing is known here, not even whose it is.
    pub fn files_of<'a>(&'a self, component_code: &'a str) -> impl Iterator<Item = &'a DocumentItem> {
        let all = self.item.documents.iter();
        all.filter(move |file| file.component_code == component_code && !file.deleted && !file.file_name.is_empty())
    }
}

/// A field in which both sides differ. Values may be personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    /// The portal's name of the field.
    pub field: String,
    /// Ours, as it travels.
    pub ours: String,
    /// The portal's.
    pub theirs: String,
}

/// The name of the field with the state.
pub const STATE_FIELD: &str = "TrangThaiHoSo";
/// The names of the fields with dates.
pub const DATE_FIELDS: [&str; 3] = ["NgayTiepNhan", "NgayHenTra", "NgayTra"];

/// One case in the portal's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedCase {
    /// Mã hồ sơ.
    #[serde(rename = "MaHoSo", default, deserialize_with = "lenient::text")]
    pub case_code: String,
    /// Trạng thái hồ sơ.
    #[serde(rename = "TrangThaiHoSo", default, deserialize_with = "lenient::text")]
    pub state: String,
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
    /// The cases that the portal has under an agency code, by the day in their codes. That there is such a list is unconfirmed.
    async fn list_cases(&self, agency_code: &str, from: Date, to: Date) -> Result<Vec<ListedCase>, CallError>;
    /// Tells a case as it stands, one try: `there` if the portal has it already.
    async fn sync_case(&self, told: &ToldCase, there: bool) -> Result<(), CallError>;
    /// Whether this generation takes the contents of a case's files, before the case is made.
    fn takes_files(&self) -> bool {
        false
    }
    /// Hands over the content of a file; safe to repeat. Of the first generation no more is known than an address (`DuongDanTaiTepTin`) at
    /// which the portal would fetch it, and nothing of how: it takes none.
    async fn upload_file(&self, _name: &str, _content: &[u8]) -> Result<UploadedFile, CallError> {
        Err(CallError::NotSent(NotSent::NotInContract))
    }
    /// `CapNhatTienDoHoSoMC`, one try. Of a case that the portal does not know nothing is taken: [`NotSent::CaseUnknown`].
    async fn report_progress(&self, item: &ProgressItem) -> Result<(), CallError>;
    /// Whether what the portal has is what it was told: then telling it again would do nothing.
    fn holds(&self, told: &ToldCase, there: &PortalCase) -> bool;
    /// In which fields that this generation carries both sides differ. What we do not know is not compared.
    fn differences(&self, told: &ToldCase, there: &PortalCase) -> Vec<FieldDifference>;
    /// Whether the portal failed so often a moment ago that it is left alone: nothing would be sent now.
    fn is_resting(&self) -> bool;
}

/// In which of the fields of an item both differ; ours that are empty or null are not compared.
pub(crate) fn item_differences(ours: &CaseItem, theirs: &CaseItem) -> Vec<FieldDifference> {
    let fields = |item: &CaseItem| match serde_json::to_value(item) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => String::new(),
        Some(other) => other.to_string(),
    };
    let theirs = fields(theirs);
    fields(ours)
        .into_iter()
        .map(|(field, value)| FieldDifference {
            ours: text(Some(&value)),
            theirs: text(theirs.get(&field)),
            field,
        })
        .filter(|one| !one.ours.is_empty() && one.ours != one.theirs)
        .collect()
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
    held: Mutex<Held>,
}

/// The session, or why there is none.
#[derive(Debug, Default)]
struct Held {
    session: Option<SecretString>,
    /// The code with which the last sign-in was refused, and until when none is tried.
    refused: Option<(String, Timestamp)>,
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
const EXISTS: &str = "05";
const REFUSALS: [&str; 3] = ["02", "03", EXISTS];

/// After a sign-in was refused none is tried for so long: a password that is wrong once is wrong for all that waits, and an account that
/// signs in wrongly again and again is locked.
pub(crate) const BARRED: SignedDuration = SignedDuration::from_mins(5);

impl OpenCpsPortal {
    /// Speaks over `line`.
    pub fn new(line: Line, account: PortalAccount) -> Self {
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

    /// A session; another than `worn_out`. Without one nothing of what was to be asked or told was sent, and the error says so.
    async fn session(&self, worn_out: Option<&SecretString>) -> Result<SecretString, CallError> {
        let mut held = self.held.lock().await;
        if let Some(session) = held.session.as_ref() {
            let worn = worn_out.is_some_and(|old| old.expose_secret() == session.expose_secret());
            if !worn {
                return Ok(session.clone());
            }
        }
        let now = self.line.clock().now();
        if let Some((code, until)) = held.refused.as_ref()
            && now < *until
        {
            return Err(CallError::NotSent(NotSent::RefusedBefore(code.clone())));
        }
        let body = json!({ "username": self.account.username, "password": self.account.password.expose_secret() });
        let mut tries = self.line.tries();
        let fresh = loop {
            if let Some(result) = tries.attempt(self.sign_in(&body)).await {
                break result.map_err(CallError::before_sending);
            }
        };
        match &fresh {
            Ok(session) => {
                *held = Held {
                    session: Some(session.clone()),
                    refused: None,
                };
            }
            Err(CallError::NotSent(NotSent::RefusedBefore(code))) => {
                let until = now.checked_add(BARRED).unwrap_or(Timestamp::MAX);
                held.refused = Some((code.clone(), until));
            }
            Err(_) => {}
        }
        fresh
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
            if let Some(barred) = answer.barred() {
                return Err(barred);
            }
            match read_answer(&answer.success()?)? {
                Reading::Result(value) => return Ok(Some(value)),
                Reading::NotFound => return Ok(None),
                Reading::SessionOver if last => break,
                Reading::SessionOver => session = self.session(Some(&session)).await?,
            }
        }
        // Over again and again: it did nothing either time.
        Err(CallError::NotSent(NotSent::RefusedBefore(SESSION_OVER.to_owned())))
    }

    async fn read<T: DeserializeOwned>(&self, service: &str, data: Value) -> Result<Option<T>, CallError> {
        let mut tries = self.line.tries();
        let found = loop {
            if let Some(result) = tries.attempt(self.serve(service, data.clone(), false)).await {
                break result?;
            }
        };
        found
            .map(|value| serde_json::from_value(value).map_err(CallError::unreadable_json))
            .transpose()
    }

    async fn write(&self, service: &str, item: impl Serialize, updating: bool) -> Result<(), CallError> {
        let item = serde_json::to_value(item).map_err(CallError::unreadable_json)?;
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
    let said: Said = serde_json::from_slice(&answer.body).map_err(CallError::unreadable_json)?;
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
    let said: SignedIn = serde_json::from_slice(&answer.body).map_err(CallError::unreadable_json)?;
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

    async fn list_cases(&self, agency_code: &str, from: Date, to: Date) -> Result<Vec<ListedCase>, CallError> {
        let asked = json!([{ "MaDonVi": agency_code, "TuNgay": day_text(from), "DenNgay": day_text(to) }]);
        // "There is none" may mean the cases or the list: it is no list.
        let listed = self.read("TraCuuHoSo", asked).await?;
        listed.ok_or_else(|| CallError::refused(NOT_FOUND, ""))
    }

    async fn sync_case(&self, told: &ToldCase, there: bool) -> Result<(), CallError> {
        let otherwise = if there { NOT_FOUND } else { EXISTS };
        match self.write("DongBoHoSoMC", &told.item, there).await {
            // It came, or went, after the portal was asked: what was told before arrived late, or somebody removed it there. Under its code
            // it is ours, and the portal did nothing.
            Err(CallError::Refused { code, .. }) if code == otherwise => {
                self.write("DongBoHoSoMC", &told.item, !there).await
            }
            written => written,
        }
    }

    async fn report_progress(&self, item: &ProgressItem) -> Result<(), CallError> {
        let reported = self.write("CapNhatTienDoHoSoMC", item, false).await;
        reported.map_err(|error| error.about_a_case(NOT_FOUND))
    }

    fn holds(&self, told: &ToldCase, there: &PortalCase) -> bool {
        there.case == told.item
    }

    fn differences(&self, told: &ToldCase, there: &PortalCase) -> Vec<FieldDifference> {
        item_differences(&told.item, &there.case)
    }

    fn is_resting(&self) -> bool {
        self.line.is_resting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(state: &str, name: &str, due: Option<&str>) -> CaseItem {
        CaseItem {
            case_code: "H41.50.05.13-261126-0001".to_owned(),
            state: state.to_owned(),
            owner_name: name.to_owned(),
            due_time: due.map(|due| WireTime::parse(due).unwrap()),
            ..CaseItem::default()
        }
    }

    #[test]
    fn differences_name_the_portals_fields_and_leave_out_what_we_do_not_know() {
        let ours = item("4", "Nguyễn Văn An", None);
        let theirs = CaseItem {
            field_name: "Hộ tịch".to_owned(),
            ..item("2", "Nguyễn Văn An", Some("20261126170000"))
        };
        let found = item_differences(&ours, &theirs);
        assert_eq!(found.len(), 1, "the portal's due date and field are not ours to judge");
        assert_eq!(
            (
                found[0].field.as_str(),
                found[0].ours.as_str(),
                found[0].theirs.as_str()
            ),
            (STATE_FIELD, "4", "2")
        );
    }

    #[test]
    fn an_item_of_before_is_read_without_its_rounds_of_supplements() {
        let mut old = serde_json::to_value(item("4", "A", None)).unwrap();
        old.as_object_mut().unwrap().remove("DanhSachHoSoBoSung");
        assert_eq!(serde_json::from_value::<CaseItem>(old).unwrap(), item("4", "A", None));
    }

    proptest! {
        #[test]
        fn equal_items_have_no_difference_and_another_state_always_is_one(
            state in "[1-9]|10", other in "[1-9]|10", name in ".{0,20}",
        ) {
            let (ours, theirs) = (item(&state, &name, None), item(&other, &name, None));
            prop_assert_eq!(item_differences(&ours, &ours), vec![]);
            prop_assert_eq!(item_differences(&ours, &theirs).is_empty(), state == other);
        }
    }
}
