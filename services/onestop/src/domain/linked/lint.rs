//! What cannot work in a linked service: cycles, members that there are not, results that never come, components without a source,
//! procedures for which nobody is competent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::super::pack::{Level, Procedure};
use super::pack::{Ended, LinkedService, MemberRule, Then};

/// What was found in a linked service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: a member, `owners`, a shared component.
    pub path: String,
    /// True if nothing can be filed by it; false if it is only to be known.
    error: bool,
    /// What, in Vietnamese.
    pub vi: String,
    /// What, in English.
    pub en: String,
}

impl Finding {
    /// True if the service is refused for it.
    pub fn is_error(&self) -> bool {
        self.error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} / {}", self.path, self.vi, self.en)
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, path: &str, vi: impl Into<String>, en: impl Into<String>) {
        self.push(path, true, vi, en);
    }

    fn push(&mut self, path: &str, error: bool, vi: impl Into<String>, en: impl Into<String>) {
        self.0.push(Finding {
            path: path.to_owned(),
            error,
            vi: vi.into(),
            en: en.into(),
        });
    }
}

/// Looks at a service; `procedure` gives the procedure of a code, if it is known.
pub fn lint<'p>(service: &LinkedService, procedure: impl Fn(&str) -> Option<&'p Procedure>) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    head(service, &mut found);
    let codes: BTreeSet<&str> = service.coordinated().map(|member| member.code.as_str()).collect();
    let mut seen = BTreeSet::new();
    for member in &service.members {
        if !seen.insert(member.code.as_str()) {
            found.error(&member.code, "mã bị trùng", "the code stands twice");
        }
    }
    if codes.len() < 2 {
        found.error(
            "members",
            "phải có ít nhất hai thủ tục",
            "a linked service has two members at least",
        );
    }
    let before = ancestors(service);
    for member in service.coordinated() {
        names(service, member, &codes, &mut found);
        if before
            .get(member.code.as_str())
            .is_some_and(|all| all.contains(member.code.as_str()))
        {
            found.error(
                &member.code,
                "chờ chính mình (vòng lặp)",
                "it waits for itself (a cycle)",
            );
        }
        flow(member, &before, &mut found);
        against_procedures(service, member, &procedure, &mut found);
    }
    for shared in &service.shared {
        let path = format!("shared.{}", shared.code);
        if shared.stands_for.len() < 2 {
            found.error(
                &path,
                "thành phần dùng chung phải thuộc ít nhất hai thủ tục",
                "what is shared belongs to two members at least",
            );
        }
        let known = |code: &str| service.members.iter().any(|member| member.code == code);
        for stands in shared.stands_for.iter().filter(|stands| !known(&stands.member)) {
            found.error(
                &path,
                format!("không có thủ tục {}", stands.member),
                format!("there is no member {}", stands.member),
            );
        }
    }
    found.0
}

fn head(service: &LinkedService, found: &mut Findings) {
    if service.version < 1 {
        found.error("version", "phiên bản tính từ 1", "versions count from 1");
    }
    if service.effective_to.is_some_and(|end| end <= service.effective_from) {
        found.error("effective_to", "kết thúc trước khi bắt đầu", "it ends before it begins");
    }
    if service.channels.is_empty() {
        found.error("channels", "phải có kênh nộp", "it is filed on some channel");
    }
    match service.owners.first() {
        None => found.error("owners", "phải nói ai điều phối", "who coordinates must be said"),
        Some(first) if first.effective_from > service.effective_from => {
            found.error(
                "owners",
                "chưa nói ai điều phối từ ngày đầu",
                "nobody coordinates on the first day",
            );
        }
        Some(_) => {}
    }
    let ordered = service.owners.windows(2).all(|pair| match pair {
        [one, two] => one.effective_from < two.effective_from,
        _ => true,
    });
    if !ordered {
        found.error(
            "owners",
            "các giai đoạn phải theo thứ tự thời gian",
            "periods follow one another in time",
        );
    }
}

/// Whether every member that is named exists. Rules about one that was left out say nothing, and may stand.
fn names(service: &LinkedService, member: &MemberRule, codes: &BTreeSet<&str>, found: &mut Findings) {
    let named = member.after.iter().map(|code| ("after", code));
    let named = named.chain(member.same_unit_as.iter().map(|code| ("same_unit_as", code)));
    let named = named.chain(member.takes.iter().map(|takes| ("takes", &takes.from)));
    for (key, code) in named.chain(member.on_end.iter().map(|rule| ("on_end", &rule.of))) {
        let path = format!("{}.{key}", member.code);
        let left_out = key == "on_end" && service.members.iter().any(|other| other.code == *code);
        if code == &member.code {
            found.error(&path, "nói về chính mình", "it speaks of itself");
        } else if !codes.contains(code.as_str()) && !left_out {
            found.error(
                &path,
                format!("không có thủ tục {code}"),
                format!("there is no member {code}"),
            );
        }
    }
}

/// Of each member, those that must have their results before it begins.
fn ancestors(service: &LinkedService) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = service
        .coordinated()
        .map(|member| (member.code.as_str(), member.after.iter().map(String::as_str).collect()))
        .collect();
    // As often as there are members: then nothing is added any more.
    for _ in 0..all.len() {
        let known = all.clone();
        for before in all.values_mut() {
            let further: Vec<&str> = before
                .iter()
                .filter_map(|code| known.get(code))
                .flatten()
                .copied()
                .collect();
            before.extend(further);
        }
    }
    all
}

/// Whether what is taken over can have come, and whether the end of every predecessor is answered.
fn flow(member: &MemberRule, before: &BTreeMap<&str, BTreeSet<&str>>, found: &mut Findings) {
    let code = member.code.as_str();
    let empty = BTreeSet::new();
    let earlier = before.get(code).unwrap_or(&empty);
    for takes in &member.takes {
        if !earlier.contains(takes.from.as_str()) {
            found.error(
                &format!("{code}.takes.{}", takes.component),
                format!("thành phần không có nguồn: không chờ kết quả của {}", takes.from),
                format!(
                    "a component without a source: it does not wait for the result of {}",
                    takes.from
                ),
            );
        }
    }
    if member
        .same_unit_as
        .as_deref()
        .is_some_and(|other| before.get(other).is_some_and(|of| of.contains(code)))
    {
        // The unit is fixed at filing, so this works; it only reads strangely.
        found.push(
            &format!("{code}.same_unit_as"),
            false,
            "theo đơn vị của thủ tục sau nó",
            "it follows the unit of a later member",
        );
    }
    let mut seen = BTreeSet::new();
    for rule in &member.on_end {
        let path = format!("{code}.on_end.{}", rule.of);
        if !seen.insert(rule.of.as_str()) {
            found.error(&path, "có hai quy tắc", "there are two rules");
        }
        let takes = member.takes.iter().any(|takes| takes.from == rule.of);
        let goes_on = Ended::ALL.into_iter().any(|ended| rule.then(ended) == Then::Continue);
        if takes && goes_on {
            found.error(
                &path,
                "không thể tiếp tục khi không bao giờ có kết quả để lấy",
                "it cannot go on where the result that it takes never comes",
            );
        }
    }
    for other in earlier
        .iter()
        .filter(|other| **other != code && !seen.contains(**other))
    {
        found.error(
            &format!("{code}.on_end"),
            format!("chưa nói điều gì xảy ra khi {other} kết thúc không có kết quả"),
            format!("what happens when {other} ends without a result is not said"),
        );
    }
}

/// Whether it fits the procedures, as far as they are known: of a line of the catalogue whose components nobody has decided nothing is
/// said to be lacking.
fn against_procedures<'p>(
    service: &LinkedService,
    member: &MemberRule,
    procedure: &impl Fn(&str) -> Option<&'p Procedure>,
    found: &mut Findings,
) {
    let code = member.code.as_str();
    let Some(wanted) = member.procedure.as_deref() else {
        found.push(
            code,
            false,
            "chưa biết thủ tục nào",
            "which procedure it is, is not known",
        );
        return;
    };
    let Some(own) = procedure(wanted) else { return };
    if !own
        .levels
        .iter()
        .any(|level| matches!(level, Level::Commune | Level::Province))
    {
        found.error(
            code,
            format!("không cơ quan nào của tỉnh giải quyết {wanted}"),
            format!("no agency of the province handles {wanted}"),
        );
    }
    for channel in service.channels.iter().filter(|channel| own.offer(**channel).is_none()) {
        found.error(
            code,
            format!("{wanted} không nhận qua kênh {}", channel.as_str()),
            format!("{wanted} is not offered on channel {}", channel.as_str()),
        );
    }
    let components = member.takes.iter().map(|takes| takes.component.as_str());
    for component in components.chain(service.shared_of(code).map(|(_, component)| component)) {
        if own.component(component).is_none() && !own.leaves_open("components") {
            found.error(
                code,
                format!("{wanted} không có thành phần {component}"),
                format!("{wanted} has no component {component}"),
            );
        }
    }
    for takes in &member.takes {
        let giver = service
            .member(&takes.from)
            .and_then(|giver| giver.procedure.as_deref())
            .and_then(procedure);
        if giver.is_some_and(|giver| giver.result(&takes.result).is_none() && !giver.leaves_open("results")) {
            found.error(
                code,
                format!("{} không có kết quả {}", takes.from, takes.result),
                format!("{} has no result {}", takes.from, takes.result),
            );
        }
    }
}
