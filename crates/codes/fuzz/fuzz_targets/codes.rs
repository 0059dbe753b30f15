//! Any bytes that are text are read or refused by every parser, and what is read is printed as it came.
#![no_main]

use egov_codes::{AgencyCode, CaseCode, LegacyIdNumber, PersonalNumber, PhoneNumber, ProcedureCode, UnitCode, fold, normal_name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(code) = text.parse::<AgencyCode>() {
        assert_eq!(code.to_string(), text);
    }
    if let Ok(code) = text.parse::<CaseCode>() {
        assert_eq!(code.to_string(), text);
    }
    if let Ok(code) = text.parse::<ProcedureCode>() {
        assert_eq!(code.to_string(), text);
    }
    if let Ok(code) = text.parse::<UnitCode>() {
        assert_eq!(code.to_string(), text);
    }
    if let Ok(number) = text.parse::<PersonalNumber>() {
        assert_eq!(number.reveal(), text);
    }
    if let Ok(number) = text.parse::<LegacyIdNumber>() {
        assert_eq!(number.reveal(), text);
    }
    if let Ok(number) = text.parse::<PhoneNumber>() {
        assert_eq!(number.international().parse::<PhoneNumber>().as_ref(), Ok(&number));
    }
    assert_eq!(fold(&fold(text)), fold(text));
    assert_eq!(normal_name(&normal_name(text)), normal_name(text));
});
