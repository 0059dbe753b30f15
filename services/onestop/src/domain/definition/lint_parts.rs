//! The linter's look at decision tables, components and e-forms.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::lint::{FindingKind, Found};
use super::table::RowWhen;
use super::ways::Shape;
use crate::domain::pack::{Channel, Procedure};

/// Demands that a condition is one of the procedure.
pub(super) fn condition(procedure: &Procedure, code: &str, path: &str, found: &mut Found) {
    if procedure.conditions.iter().any(|condition| condition.code == code) {
        return;
    }
    found.say(
        FindingKind::ConditionUnknown,
        path,
        format!("không có trường hợp {code}"),
        format!("there is no condition {code}"),
    );
}

/// A row of either table, as far as both are alike.
struct Row<'a> {
    path: String,
    code: &'a str,
    /// Rows of different subjects do not shadow each other.
    subject: &'a str,
    when: &'a RowWhen,
    article: &'a str,
    from: Date,
    to: Option<Date>,
}

/// Looks at both tables.
pub(super) fn tables(procedure: &Procedure, found: &mut Found) {
    let eligibility: Vec<Row<'_>> = procedure
        .eligibility
        .iter()
        .map(|row| Row {
            path: format!("eligibility.{}", row.code),
            code: &row.code,
            subject: "",
            when: &row.when,
            article: &row.article,
            from: row.effective_from,
            to: row.effective_to,
        })
        .collect();
    for row in &procedure.eligibility {
        if row.text.trim().is_empty() {
            let path = format!("eligibility.{}.text", row.code);
            found.say(FindingKind::Contradiction, path, "không được để trống", "empty");
        }
    }
    let fees: Vec<Row<'_>> = procedure
        .fee_rows
        .iter()
        .map(|row| Row {
            path: format!("fee_rows.{}", row.code),
            code: &row.code,
            subject: &row.fee,
            when: &row.when,
            article: &row.article,
            from: row.effective_from,
            to: row.effective_to,
        })
        .collect();
    rows(procedure, &eligibility, found);
    rows(procedure, &fees, found);
    for row in &procedure.fee_rows {
        let path = format!("fee_rows.{}", row.code);
        let known = procedure
            .channels
            .iter()
            .any(|offer| offer.fees.iter().any(|fee| fee.code == row.fee));
        if !known {
            found.say(
                FindingKind::FeeUnknown,
                &path,
                format!("không kênh nào có khoản thu {}", row.fee),
                format!("no channel has the fee {}", row.fee),
            );
        }
        let settled = row.fact.is_settled(crate::domain::pack::Profile::Demo);
        if row.amount_vnd.is_some_and(|amount| amount < 0) || (settled && row.amount_vnd.is_none()) {
            found.say(
                FindingKind::Contradiction,
                &path,
                "mức thu phải có và không được âm",
                "a settled row has an amount, and not a negative one",
            );
        }
    }
}

fn rows(procedure: &Procedure, rows: &[Row<'_>], found: &mut Found) {
    let mut codes = BTreeSet::new();
    for (index, row) in rows.iter().enumerate() {
        if !codes.insert(row.code) {
            found.say(
                FindingKind::Contradiction,
                &row.path,
                "có giá trị lặp lại",
                "something is there twice",
            );
        }
        article(procedure, row, found);
        dates(procedure, row, found);
        for code in row.when.all.iter().chain(&row.when.none) {
            condition(procedure, code, &format!("{}.when", row.path), found);
        }
        if never(procedure, row.when) {
            found.say(
                FindingKind::RowNever,
                &row.path,
                "dòng này không bao giờ áp dụng được",
                "this row can never apply",
            );
        }
        let shadow = rows
            .iter()
            .take(index)
            .find(|earlier| earlier.subject == row.subject && earlier.when.covers(row.when) && spans(earlier, row));
        if let Some(shadow) = shadow {
            found.say(
                FindingKind::RowShadowed,
                &row.path,
                format!("dòng {} ở trên luôn được áp dụng trước", shadow.code),
                format!("the row {} above always applies first", shadow.code),
            );
        }
    }
}

/// Whether a row is in force on every day of another.
fn spans(of: &Row<'_>, other: &Row<'_>) -> bool {
    let ends = match (of.to, other.to) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(of), Some(other)) => of >= other,
    };
    of.from <= other.from && ends
}

fn article(procedure: &Procedure, row: &Row<'_>, found: &mut Found) {
    let path = format!("{}.article", row.path);
    if row.article.trim().is_empty() {
        found.say(
            FindingKind::ArticleLacking,
            path,
            "dòng không nêu điều, khoản",
            "the row names no article",
        );
    } else if !procedure
        .legal_basis
        .iter()
        .any(|basis| row.article.contains(&basis.number))
    {
        found.say(
            FindingKind::ArticleElsewhere,
            path,
            "văn bản của điều, khoản này không có trong căn cứ pháp lý của thủ tục",
            "the article is of no document among the legal bases",
        );
    }
}

fn dates(procedure: &Procedure, row: &Row<'_>, found: &mut Found) {
    let reversed = row.to.is_some_and(|end| end <= row.from);
    let over = row.to.is_some_and(|end| end <= procedure.effective_from);
    let later = procedure.effective_to.is_some_and(|end| row.from >= end);
    if reversed || over || later {
        found.say(
            FindingKind::RowDates,
            &row.path,
            "ngày hiệu lực của dòng ngược hoặc nằm ngoài hiệu lực của phiên bản",
            "the days of the row are reversed, or outside those of the version",
        );
    }
}

/// Whether nothing can ever be as the row wants it.
fn never(procedure: &Procedure, when: &RowWhen) -> bool {
    let of = |code: &str| procedure.conditions.iter().find(|condition| condition.code == code);
    if when.all.iter().any(|code| when.none.contains(code)) {
        return true;
    }
    let mut choices: BTreeMap<&str, &str> = BTreeMap::new();
    let mut channel: Option<Channel> = None;
    for code in &when.all {
        let Some(condition) = of(code) else { continue };
        if let Some(choice) = &condition.choice
            && choices.insert(choice, code).is_some_and(|other| other != code)
        {
            return true;
        }
        if let Some(own) = condition.channel {
            let elsewhere = channel.is_some_and(|other| other != own)
                || (!when.channels.is_empty() && !when.channels.contains(&own));
            if elsewhere {
                return true;
            }
            channel = Some(own);
        }
    }
    let offered = |channel: &Channel| procedure.offer(*channel).is_some();
    (!when.channels.is_empty() && !when.channels.iter().any(offered))
        || channel.is_some_and(|channel| !offered(&channel))
        || when.applicant.is_some_and(|kind| {
            let person = kind == crate::domain::party::PartyKind::Citizen;
            !procedure.applicants.is_empty() && !procedure.applicants.iter().any(|one| one.is_person() == person)
        })
}

/// Looks at the shapes in which components are filed.
pub(super) fn components(procedure: &Procedure, found: &mut Found) {
    for component in &procedure.components {
        let path = format!("components.{}", component.code);
        if let Some(code) = &component.e_form
            && procedure.form(code).is_none()
        {
            found.say(
                FindingKind::FormUnknown,
                format!("{path}.e_form"),
                format!("không có mẫu điện tử {code}"),
                format!("there is no e-form {code}"),
            );
        }
        for (index, way) in component.ways.iter().enumerate() {
            let at = format!("{path}.ways[{index}]");
            if let Some(when) = &way.when {
                condition(procedure, when, &at, found);
            }
            if way.accepts.is_empty() {
                found.say(
                    FindingKind::ShapeLacking,
                    &at,
                    "không nhận hình thức nào",
                    "accepts no shape",
                );
            }
            if way.accepts.contains(&Shape::EForm) && component.e_form.is_none() {
                found.say(
                    FindingKind::FormUnknown,
                    &at,
                    "nhận mẫu điện tử nhưng thành phần không nêu mẫu nào",
                    "accepts an e-form, but the component names none",
                );
            }
            if way.accepts.contains(&Shape::Data) && !component.data_allowed {
                found.say(
                    FindingKind::Contradiction,
                    &at,
                    "nhận dữ liệu nhưng thành phần không cho thay bằng dữ liệu",
                    "accepts data, but data may not replace the component",
                );
            }
            if component.ways.iter().take(index).any(|earlier| earlier.covers(way)) {
                found.say(
                    FindingKind::BranchUnreachable,
                    &at,
                    "không bao giờ được áp dụng vì dòng trước đã bao trùm",
                    "never applies, since one before it always does",
                );
            }
        }
        if component.ways.is_empty() {
            continue;
        }
        for offer in &procedure.channels {
            let channel = offer.channel;
            // A condition that may not hold leaves the component without a shape, unless the channel itself makes it hold.
            let by_channel: Vec<String> = procedure.conditions_for(channel, &[]);
            let needed = component.required
                || component.when.as_ref().is_some_and(|when| {
                    let of = procedure.conditions.iter().find(|condition| condition.code == *when);
                    of.is_some_and(|condition| condition.channel.is_none_or(|own| own == channel))
                });
            if needed && component.way(channel, &by_channel).is_none() {
                found.say(
                    FindingKind::ShapeLacking,
                    format!("{path}.ways"),
                    format!("kênh {}: không nộp được theo hình thức nào", channel.number()),
                    format!("on channel {} it can be filed in no shape", channel.as_str()),
                );
            }
        }
    }
}

/// Looks at the e-forms.
pub(super) fn forms(procedure: &Procedure, found: &mut Found) {
    let mut codes = BTreeSet::new();
    for form in &procedure.forms {
        let path = format!("forms.{}", form.code);
        if !codes.insert(&form.code) {
            found.say(
                FindingKind::Contradiction,
                &path,
                "có giá trị lặp lại",
                "something is there twice",
            );
        }
        for fault in egov_forms::Form::read(&form.schema).err().unwrap_or_default() {
            found.say(
                FindingKind::FormInvalid,
                format!("{path}.schema{}", fault.pointer),
                fault.vi,
                fault.en,
            );
        }
        let used = procedure
            .components
            .iter()
            .any(|component| component.e_form.as_ref() == Some(&form.code));
        if !used {
            found.say(
                FindingKind::FormUnused,
                &path,
                "không thành phần nào dùng mẫu này",
                "no component uses this form",
            );
        }
    }
}
