//! Why something about components or stored papers is refused: one table to code, reason and words.

use egov_fault::{Code, Fault, Violation};
use egov_proto::egov::onestop::v1::ErrorReason;

use crate::domain::components::ComponentRefused;
use crate::domain::components::paper::Validity;
use crate::error::words;

/// The refusal as a caller gets it.
pub(crate) fn component_refused(refused: ComponentRefused) -> Fault {
    use ErrorReason as R;
    match refused {
        ComponentRefused::CaseNotOpen { state } => words(
            Code::FailedPrecondition,
            R::CaseNotOpen,
            "hồ sơ đã có kết quả hoặc đã kết thúc, không xử lý thành phần hồ sơ nữa",
            "the case is decided or has ended: its components are not dealt with any more",
        )
        .fault()
        .with("state", state.code().to_string()),
        ComponentRefused::NotAwaited { state } => words(
            Code::FailedPrecondition,
            R::CaseNotOpen,
            "người nộp chỉ thay thành phần hồ sơ khi hồ sơ chưa được tiếp nhận hoặc đang được yêu cầu bổ sung",
            "the applicant deals with components until the case is taken in and while a supplement is awaited, and not otherwise",
        )
        .fault()
        .with("state", state.code().to_string()),
        ComponentRefused::StandsAlready(code) => words(
            Code::FailedPrecondition,
            R::ComponentStandsAlready,
            format!("dữ liệu, giấy tờ này đã được dùng thay cho thành phần {code}"),
            format!("the same data stands in the place of the component {code} already"),
        )
        .fault()
        .with("component", code),
        ComponentRefused::NotFiled(codes) => {
            let listed = codes.join(", ");
            words(
                Code::FailedPrecondition,
                R::ComponentNotFiled,
                format!("chưa có tệp hoặc giấy tờ nào để đối chiếu cho thành phần: {listed}"),
                format!("nothing is there that could be compared for: {listed}"),
            )
            .fault()
            .with("components", listed)
        }
        ComponentRefused::Twice(code) => Fault::invalid(vec![Violation {
            field: "components".to_owned(),
            rule: "unique".to_owned(),
            vi: format!("thành phần {code} được nêu hai lần"),
            en: format!("the component {code} is named twice"),
        }]),
        ComponentRefused::NotReusable(code) => words(
            Code::FailedPrecondition,
            R::ComponentNotReusable,
            format!("thủ tục không quy định dữ liệu hoặc giấy tờ trong kho được thay cho thành phần {code}"),
            format!("the definition does not let data or a stored paper stand in the place of {code}"),
        )
        .fault()
        .with("component", code),
        ComponentRefused::PaperNotFound => words(
            Code::NotFound,
            R::PaperNotFound,
            "không tìm thấy giấy tờ trong kho dữ liệu",
            "there is no such stored paper",
        )
        .fault(),
        ComponentRefused::StalePaper => Fault::new(
            Code::Aborted,
            "STALE_ETAG",
            "giấy tờ đã thay đổi từ khi được đọc; hãy đọc lại rồi thực hiện lại",
            "the paper changed since it was read; read it again and repeat",
        ),
        ComponentRefused::PaperNotValid(validity) => {
            let (vi, en) = match validity {
                Validity::Expired => ("giấy tờ đã hết hạn", "the paper has expired"),
                Validity::Replaced => ("giấy tờ đã bị thay thế", "the paper was replaced"),
                Validity::NotYet => ("giấy tờ chưa có hiệu lực", "the paper does not hold yet"),
                Validity::Revoked => ("giấy tờ đã bị thu hồi", "the paper was revoked"),
                Validity::Valid => ("giấy tờ còn hiệu lực", "the paper holds"),
            };
            words(Code::FailedPrecondition, R::PaperNotValid, vi, en)
                .fault()
                .with("validity", validity.as_str())
        }
        ComponentRefused::OfAnotherPerson => words(
            Code::FailedPrecondition,
            R::PaperOfAnotherPerson,
            "giấy tờ không phải của chủ hồ sơ",
            "the paper is another person's than the owner of the case",
        )
        .fault(),
        ComponentRefused::ForOtherComponent(code) => words(
            Code::FailedPrecondition,
            R::PaperForOtherComponent,
            format!("giấy tờ không thay được cho thành phần {code}"),
            format!("the paper does not stand for the component {code}"),
        )
        .fault()
        .with("component", code),
        ComponentRefused::NotDecided {
            result_code,
            component_code,
        } => words(
            Code::FailedPrecondition,
            R::FactNotDecided,
            format!(
                "chưa có xác nhận hoặc quyết định rằng kết quả {result_code} thay được cho thành phần {component_code}"
            ),
            format!(
                "nobody confirmed or decided that the result {result_code} stands for the component {component_code}"
            ),
        )
        .fault()
        .with("result", result_code)
        .with("component", component_code),
        ComponentRefused::RegisterUnknown(code) => words(
            Code::InvalidArgument,
            R::RegisterUnknown,
            "không có cơ sở dữ liệu nào mang mã này trả lời cho thành phần",
            "no register of this code answers for the component",
        )
        .fault()
        .with("register", code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_paper_is_named_so_in_both_languages() {
        let fault = component_refused(ComponentRefused::PaperNotValid(Validity::Expired));
        assert_eq!(
            (fault.code(), fault.reason()),
            (Code::FailedPrecondition, "PAPER_NOT_VALID")
        );
        assert_eq!(fault.metadata()["validity"], "expired");
        assert!(fault.vi().contains("hết hạn") && fault.en().contains("expired"));
    }
}
