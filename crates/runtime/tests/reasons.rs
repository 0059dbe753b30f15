//! The catalogue of reasons of refusal: a page each, made of the contracts (what it means), of the tables in the code (code,
//! Vietnamese) and of the comments of the RPCs (who names it). `EGOV_WRITE_REASONS=1 cargo test -p egov-runtime --test reasons`
//! writes it anew.
//!
//! The code and the words of a reason stand once, in the table of the service or crate that gives it. They are read here from
//! the source text, because no table can be asked for what it might say; so every way in which this workspace writes a reason down must
//! be known here, and one that is not fails the test.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use egov_fault::{Code, Fault};
use egov_transcode::{Bindings, Language, refusal};
use prost_reflect::{EnumDescriptor, FileDescriptor, MethodDescriptor};
use regex::Regex;

/// Where the code of a reason does not stand beside it: the file, the reasons, the codes. Empty reasons are all of the file.
const ELSEWHERE: &[(&str, &[&str], &[Code])] = &[
    (
        "crates/auth/src/refusal.rs",
        &["STORE_UNAVAILABLE"],
        &[Code::Unavailable],
    ),
    ("crates/auth/src/refusal.rs", &[], &[Code::Unauthenticated]),
    (
        "crates/auth/src/layer.rs",
        &["METHOD_UNKNOWN"],
        &[Code::Unimplemented, Code::NotFound],
    ),
    ("crates/database/src/fault.rs", &[], &[Code::FailedPrecondition]),
    ("services/onestop/src/operations/files.rs", &[], &[Code::NotFound]),
];

/// Who makes faults of codes or reasons that do not stand beside the call, and whose tables are read all the same.
const TABLES: &[&str] = &[
    "crates/auth/src/layer.rs",
    "crates/auth/src/refusal.rs",
    "crates/database/src/fault.rs",
    "crates/door/src/refusal.rs",
    "services/civil-registry/src/error.rs",
    "services/identity/src/error.rs",
    "services/integration/src/error/table.rs",
    "services/onestop/src/definition_error.rs",
    "services/onestop/src/counter_error.rs",
    "services/onestop/src/error.rs",
    "services/onestop/src/operations/files.rs",
    "services/onestop/src/report_error.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A reason as the code gives it.
#[derive(Default)]
struct Given {
    codes: BTreeSet<&'static str>,
    /// Vietnamese, as it is shown; what is filled in stands in braces.
    vi: BTreeSet<String>,
    /// The packages that give it.
    by: BTreeSet<String>,
}

/// What the source gives: by reason.
type AllGiven = BTreeMap<String, Given>;

/// The crates that are part of some service: what no service links, no caller hears.
fn linked() -> Vec<String> {
    let dependencies = |folder: &str| -> Vec<String> {
        let text = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let own = text.split("[dev-dependencies]").next().unwrap();
        let names = Regex::new(r"(?m)^egov-([a-z]+)(?:\.workspace| =)").unwrap();
        names
            .captures_iter(own)
            .map(|found| format!("crates/{}", &found[1]))
            .filter(|crates| root().join(crates).is_dir())
            .collect()
    };
    let mut known: BTreeSet<String> = BTreeSet::new();
    // The operator's command answers nobody over the network.
    let mut waiting: Vec<String> = std::fs::read_dir(root().join("services"))
        .unwrap()
        .map(|entry| format!("services/{}", entry.unwrap().file_name().to_str().unwrap()))
        .filter(|service| service != "services/egov")
        .collect();
    while let Some(folder) = waiting.pop() {
        if known.insert(folder.clone()) {
            waiting.extend(dependencies(&folder));
        }
    }
    known.into_iter().collect()
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn code_named(name: &str) -> &'static str {
    let squeezed = |text: &str| text.replace('_', "").to_lowercase();
    Code::ALL
        .into_iter()
        .map(Code::name)
        .find(|known| squeezed(known) == name.to_lowercase())
        .unwrap_or_else(|| panic!("there is no code {name}"))
}

/// `CaseNotFound` → `CASE_NOT_FOUND`.
fn snake(camel: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in camel.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_uppercase());
    }
    snake
}

/// A string literal as it is meant: without the breaks of long lines.
fn meant(literal: &str) -> String {
    let joined = Regex::new(r"\\\n\s*").unwrap().replace_all(literal, "").into_owned();
    // What is filled in depends on the call.
    let joined = Regex::new(r"\{[^}]*\}").unwrap().replace_all(&joined, "…").into_owned();
    joined.replace("\\\"", "\"").trim_end_matches([':', ' ']).to_owned()
}

fn given() -> AllGiven {
    // Code::X (or X alone, where a table has the codes in scope), "REASON", then a text or format!( of one; the reason may be a value of the contract's enum or a constant.
    let beside = Regex::new(
        r#"\b(?:Code::)?(InvalidArgument|FailedPrecondition|NotFound|AlreadyExists|PermissionDenied|Unauthenticated|ResourceExhausted|Aborted|Unavailable|DeadlineExceeded|OutOfRange|Cancelled|Unimplemented|DataLoss|Internal),\s*(?:"([A-Z][A-Z0-9_]+)"|(?:R|ErrorReason)::(\w+)|(?:egov_fault::)?(INVALID_FIELD|INTERNAL))\s*,\s*(?:(?:format!\(\s*)?"((?:[^"\\]|\\[\s\S])*)")?"#,
    )
    .unwrap();
    let alone =
        Regex::new(r#"[(,\s]"([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)",\s*(?:format!\(\s*)?"((?:[^"\\]|\\[\s\S])*)""#).unwrap();
    let has_code = Regex::new(r"Code::\w+,?\s*$").unwrap();
    let indirect = Regex::new(r"\bFault::new\(\s*(?:Code::\w+,\s*[a-z]|[a-z])").unwrap();
    let mut all = AllGiven::new();
    let mut unknown_ways = Vec::new();
    for package in linked() {
        let mut files = Vec::new();
        sources(&root().join(&package).join("src"), &mut files);
        for file in files {
            let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
            let code_lines: String = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .fold(String::new(), |all, line| all + line + "\n");
            let mut found = |reason: &str, codes: &[&'static str], vi: Option<&str>| {
                let given = all.entry(reason.to_owned()).or_default();
                given.codes.extend(codes);
                given.vi.extend(vi.map(meant).filter(|vi| !vi.is_empty()));
                given.by.insert(package.clone());
            };
            for captures in beside.captures_iter(&code_lines) {
                let reason = match (captures.get(2), captures.get(3), captures.get(4)) {
                    (Some(literal), ..) => literal.as_str().to_owned(),
                    (_, Some(value), _) => snake(value.as_str()),
                    (.., Some(constant)) => constant.as_str().to_owned(),
                    _ => continue,
                };
                // The zero of an enum stands in a table where the reason is another's; it is never sent.
                if reason == "UNSPECIFIED" {
                    continue;
                }
                let vi = captures.get(5).map(|text| text.as_str());
                found(&reason, &[code_named(&captures[1])], vi);
            }
            for captures in alone.captures_iter(&code_lines) {
                let (reason, vi) = (&captures[1], &captures[2]);
                // One whose code stands beside it was found above.
                if has_code.is_match(&code_lines[..captures.get(0).unwrap().start()]) {
                    continue;
                }
                let place = ELSEWHERE
                    .iter()
                    .find(|(file, reasons, _)| *file == name && (reasons.is_empty() || reasons.contains(&reason)));
                if let Some((_, _, codes)) = place {
                    let codes: Vec<_> = codes.iter().map(|code| code.name()).collect();
                    found(reason, &codes, Some(vi));
                }
            }
            if indirect.is_match(&code_lines) && !TABLES.contains(&name.as_str()) && package != "crates/fault" {
                unknown_ways.push(name);
            }
        }
    }
    assert!(
        unknown_ways.is_empty(),
        "faults whose code or reason does not stand beside the call, in {unknown_ways:?}: name the table in TABLES and, if the codes \
         stand elsewhere, in ELSEWHERE"
    );
    // A failure of ours and an invalid field are made by name.
    for fault in [Fault::internal("x"), Fault::invalid(Vec::new())] {
        let given = all.entry(fault.reason().to_owned()).or_default();
        given.codes.insert(fault.code().name());
        given.vi = BTreeSet::from([fault.vi().to_owned()]);
        given.by.insert("crates/fault".to_owned());
    }
    all
}

/// A reason as a contract documents it.
struct Documented {
    /// The package of the contract.
    package: String,
    domain: String,
    comment: String,
}

fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref().unwrap();
    let found = info.location.iter().find(|location| location.path == path);
    let lines: Vec<&str> = found
        .map(|location| location.leading_comments().lines().map(str::trim).collect())
        .unwrap_or_default();
    lines.join(" ").trim().to_owned()
}

fn documented() -> BTreeMap<String, Vec<Documented>> {
    let mut all: BTreeMap<String, Vec<Documented>> = BTreeMap::new();
    let is_reasons = |one: &EnumDescriptor| one.name() == "ErrorReason";
    for reasons in egov_proto::POOL.all_enums().filter(is_reasons) {
        let file = reasons.parent_file();
        let package = reasons.package_name().to_owned();
        let domain = match package.split('.').nth(1).unwrap() {
            "types" => "egov".to_owned(),
            area => format!("{area}.egov"),
        };
        for value in reasons.values().filter(|value| value.number() != 0) {
            let reason = value.name().strip_prefix("ERROR_REASON_").unwrap();
            all.entry(reason.to_owned()).or_default().push(Documented {
                package: package.clone(),
                domain: domain.clone(),
                comment: comment(&file, value.path()),
            });
        }
    }
    all
}

/// The RPCs whose comments name a reason, with their HTTP forms.
fn naming() -> BTreeMap<String, Vec<(MethodDescriptor, String)>> {
    let words = Regex::new(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b").unwrap();
    let bindings = Bindings::of(&egov_proto::POOL);
    let mut all: BTreeMap<String, Vec<(MethodDescriptor, String)>> = BTreeMap::new();
    for service in egov_proto::POOL.services() {
        for method in service.methods() {
            let said = comment(&service.parent_file(), method.path());
            let http = bindings
                .read(&method)
                .unwrap()
                .first()
                .map(|binding| {
                    let verb = binding.method.as_ref().map_or("*", |verb| verb.as_str());
                    format!("{verb} {}", binding.template)
                })
                .unwrap_or_default();
            let named: BTreeSet<&str> = words.find_iter(&said).map(|found| found.as_str()).collect();
            for reason in named {
                all.entry(reason.to_owned())
                    .or_default()
                    .push((method.clone(), http.clone()));
            }
        }
    }
    all
}

/// What a caller does now, by the kind of failure.
fn to_do(code: &str) -> (&'static str, &'static str) {
    match code {
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" => (
            "Correct the request; the same one is refused again.",
            "Sửa yêu cầu; gửi lại nguyên như cũ vẫn bị từ chối.",
        ),
        "FAILED_PRECONDITION" => (
            "First bring about the state that the act needs (metadata and `PreconditionFailure` name it), then send the request again.",
            "Tạo điều kiện mà việc này cần (xem metadata và `PreconditionFailure`), rồi gửi lại.",
        ),
        "NOT_FOUND" => (
            "Check the id or code. What the caller may not know of looks the same as what is not there.",
            "Kiểm tra mã. Điều người gọi không được biết và điều không tồn tại được trả lời như nhau.",
        ),
        "ALREADY_EXISTS" => (
            "Read what is there, or choose another name; a new request id if the request is a new one.",
            "Đọc dữ liệu đã có, hoặc chọn tên khác; yêu cầu mới thì dùng mã yêu cầu mới.",
        ),
        "PERMISSION_DENIED" => (
            "Do not repeat it. Get what is missing (a role, a purpose, an agreement, a stronger identification), which the metadata name.",
            "Không gửi lại. Xin quyền, nêu mục đích, ký thoả thuận hoặc định danh ở mức cao hơn, như metadata đã nêu.",
        ),
        "UNAUTHENTICATED" => (
            "Get a new access token and send the request again, once.",
            "Lấy mã truy cập mới rồi gửi lại một lần.",
        ),
        "RESOURCE_EXHAUSTED" => (
            "Send less, or wait for the delay in `RetryInfo` (`retry-after` over HTTP), with jitter.",
            "Gửi ít hơn, hoặc chờ hết thời gian trong `RetryInfo` (`retry-after` với HTTP), cộng thêm một khoảng ngẫu nhiên.",
        ),
        "ABORTED" => (
            "Read the resource again and repeat the act on what it is now; a write under a new request id.",
            "Đọc lại rồi thực hiện lại trên dữ liệu hiện tại, với mã yêu cầu mới.",
        ),
        "UNAVAILABLE" => (
            "Send the same request again after the delay in `RetryInfo`, with back-off and jitter; a write under the same request id.",
            "Gửi lại đúng yêu cầu này sau thời gian trong `RetryInfo`, giãn dần; lệnh ghi giữ nguyên mã yêu cầu.",
        ),
        "DEADLINE_EXCEEDED" => (
            "The act may have happened: send the same request again under the same request id, with a longer deadline.",
            "Việc có thể đã được thực hiện: gửi lại đúng yêu cầu với cùng mã yêu cầu và thời hạn dài hơn.",
        ),
        "UNIMPLEMENTED" => (
            "Compare the name and the version of the contract with what this server offers (reflection, `/openapi.json`).",
            "So tên và phiên bản hợp đồng với những gì máy chủ cung cấp (reflection, `/openapi.json`).",
        ),
        _ => (
            "Nothing that the caller can mend: report it to the operator with the time and the `x-request-id` of the answer.",
            "Người gọi không tự khắc phục được: báo đơn vị vận hành kèm thời điểm và `x-request-id` của câu trả lời.",
        ),
    }
}

/// The HTTP status of an answer with this code and reason, asked of the code that answers.
fn http_status(code: &str, reason: &'static str) -> u16 {
    let code = Code::ALL.into_iter().find(|known| known.name() == code).unwrap();
    let fault = Fault::new(code, reason, "x", "x");
    refusal(fault, Language::English).status().as_u16()
}

fn page(
    reason: &str,
    contracts: &[Documented],
    given: Option<&Given>,
    naming: &[(MethodDescriptor, String)],
) -> String {
    let mut page = format!("# {reason}\n");
    let leaked: &'static str = Box::leak(reason.to_owned().into_boxed_str());
    for one in contracts {
        write!(
            page,
            "\n**{}** (`ErrorInfo.domain` `{}`, contract `{}`)\n",
            one.comment, one.domain, one.package
        )
        .unwrap();
    }
    let none = Given::default();
    let given = given.unwrap_or(&none);
    if !given.vi.is_empty() {
        page.push_str("\nTiếng Việt:\n\n");
        for vi in &given.vi {
            writeln!(page, "* {vi}").unwrap();
        }
    }
    if given.codes.is_empty() {
        page.push_str(
            "\nNo part of the program gives this reason at present; a caller treats it by the code of the answer.\n",
        );
    } else {
        page.push_str("\n| gRPC code | HTTP status |\n|---|---|\n");
        for code in &given.codes {
            writeln!(page, "| `{code}` | {} |", http_status(code, leaked)).unwrap();
        }
        page.push_str("\n## What the caller does now\n\n");
        for code in &given.codes {
            let (en, vi) = to_do(code);
            writeln!(page, "* `{code}`: {en}\n  {vi}").unwrap();
        }
    }
    if naming.is_empty() {
        page.push_str("\nNo RPC names it in its comment: any may answer so.\n");
    } else {
        page.push_str("\n## RPCs that name it\n\n");
        for (method, http) in naming {
            let name = format!("{}/{}", method.parent_service().full_name(), method.name());
            writeln!(page, "* `{name}` – `{http}`").unwrap();
        }
    }
    page.push_str("\n[All reasons](README.md)\n");
    page
}

#[test]
fn every_reason_that_the_code_can_give_stands_in_a_contract() {
    let documented = documented();
    let missing: Vec<String> = given()
        .iter()
        .filter(|(reason, _)| !documented.contains_key(*reason))
        .map(|(reason, given)| format!("{reason} ({:?}, by {:?})", given.codes, given.by))
        .collect();
    assert!(
        missing.is_empty(),
        "document these in the ErrorReason of the service, or of egov.types.v1 for what all share:\n{}",
        missing.join("\n")
    );
}

#[test]
fn the_tables_are_read_as_they_are_meant() {
    let given = given();
    assert!(given.len() > 90, "{} reasons were read", given.len());
    let codes = |reason: &str| given[reason].codes.iter().copied().collect::<Vec<_>>();
    assert_eq!(codes("CASE_NOT_FOUND"), ["NOT_FOUND"], "a value of the enum");
    assert_eq!(codes("ACCOUNT_LOCKED"), ["RESOURCE_EXHAUSTED"], "a tuple");
    assert_eq!(codes("TOKEN_EXPIRED"), ["UNAUTHENTICATED"], "a table without codes");
    assert_eq!(codes("CONCURRENT_WRITE"), ["ABORTED"], "a row by SQLSTATE");
    assert_eq!(codes("AGREEMENT_NOT_FOUND"), ["NOT_FOUND"], "codes in scope");
    assert_eq!(codes("METHOD_UNKNOWN"), ["NOT_FOUND", "UNIMPLEMENTED"]);
    assert_eq!(codes("INVALID_FIELD"), ["INVALID_ARGUMENT"]);
    assert!(given["TOKEN_EXPIRED"].vi.contains("mã truy cập đã hết hạn"));
    assert!(given["CASE_NOT_FOUND"].by.contains("services/onestop"));
}

#[test]
fn the_catalogue_of_reasons_is_the_one_that_the_contracts_and_the_code_say() {
    let (given, documented, naming) = (given(), documented(), naming());
    let folder = root().join("docs/reasons");
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    let mut index = String::from(
        "# Why a call is refused\n\n\
         Programs decide on the reason, never on the text: over gRPC `ErrorInfo.reason` in the details of the status, over HTTP the same in the body and the\n\
         header `x-egov-reason`. Each has a page: what it means, what the caller does now, which RPCs name it. Made of the contracts and of the tables in the\n\
         code by `EGOV_WRITE_REASONS=1 cargo test -p egov-runtime --test reasons`; a test fails when it is stale.\n\n\
         | reason | domain | code | meaning |\n|---|---|---|---|\n",
    );
    for (reason, contracts) in &documented {
        let given = given.get(reason);
        let naming = naming.get(reason).map_or(&[][..], Vec::as_slice);
        wanted.insert(format!("{reason}.md"), page(reason, contracts, given, naming));
        let codes: Vec<&str> = given
            .map(|given| given.codes.iter().copied().collect())
            .unwrap_or_default();
        let domains: Vec<&str> = contracts.iter().map(|one| one.domain.as_str()).collect();
        writeln!(
            index,
            "| [{reason}]({reason}.md) | {} | {} | {} |",
            domains.join(", "),
            codes.join(", "),
            contracts[0].comment
        )
        .unwrap();
    }
    wanted.insert("README.md".to_owned(), index);
    if std::env::var_os("EGOV_WRITE_REASONS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for entry in std::fs::read_dir(&folder).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, text) in &wanted {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let there: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .collect();
    let stale: Vec<&String> = wanted
        .iter()
        .filter(|(name, text)| std::fs::read_to_string(folder.join(name)).unwrap_or_default() != **text)
        .map(|(name, _)| name)
        .collect();
    let left: Vec<&String> = there.iter().filter(|name| !wanted.contains_key(*name)).collect();
    assert!(
        stale.is_empty() && left.is_empty(),
        "write the catalogue anew with EGOV_WRITE_REASONS=1 and read the difference: stale {stale:?}, no longer a reason {left:?}"
    );
}
