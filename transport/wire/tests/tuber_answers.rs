//! Answers that are well-formed values but not valid answers.

use twotone_wire::tuber::{Answer, DecodeError, DecodeErrorKind, Limits, Value};

#[test]
fn an_error_is_one_by_its_truth() {
    fn outcome(json: &str) -> Result<Result<Value, String>, DecodeError> {
        let element = Answer::new(None, json.as_bytes(), &Limits::ANSWER)?.single()?;
        Ok(element
            .outcome
            .map(|mut cursor| cursor.value().unwrap())
            .map_err(String::from))
    }
    for json in [
        r#"{"result":1}"#,
        r#"{"result":1,"error":null}"#,
        r#"{"error":false,"result":1}"#,
        r#"{"error":{},"result":1,"warnings":[]}"#,
        r#"{"error":"","result":1}"#,
        r#"{"error":0,"other":[{}],"result":1}"#,
    ] {
        assert_eq!(outcome(json), Ok(Ok(Value::Int(1))), "{json}");
    }
    for (json, message) in [
        (r#"{"error":{"message":"no"}}"#, "no"),
        (r#"{"result":1,"error":{"code":3,"message":"no"}}"#, "no"),
        (r#"{"error":"no","result":null}"#, "no"),
        (r#"{"error":{"message":"a\nb"}}"#, "a\nb"),
    ] {
        assert_eq!(outcome(json).unwrap().unwrap_err(), message, "{json}");
    }
    // An error without a message is shown as its value.
    assert!(
        outcome(r#"{"error":{"code":3}}"#)
            .unwrap()
            .unwrap_err()
            .contains("code")
    );
    assert_eq!(outcome("{}").unwrap_err().kind, DecodeErrorKind::NoOutcome);
    assert_eq!(
        outcome(r#"{"error":null}"#).unwrap_err().kind,
        DecodeErrorKind::NoOutcome
    );
}

#[test]
fn one_element_without_an_outcome_does_not_hide_the_others() {
    let mut answer =
        Answer::new(None, br#"[{"result":1},{},{"result":2}]"#, &Limits::ANSWER).unwrap();
    let mut elements = answer.elements(3).unwrap();
    assert!(elements.next().is_ok());
    assert_eq!(
        elements.next().unwrap_err().kind,
        DecodeErrorKind::NoOutcome
    );
    let last = elements.next().unwrap().unwrap().outcome.unwrap().i64();
    assert_eq!(last, Ok(2));
    assert!(elements.next().unwrap().is_none());
}

#[test]
fn bytes_after_the_answer_are_an_error() {
    for json in [
        r#"[{"result":1}] x"#,
        r#"[{"result":1}]]"#,
        r#"{"error":{"message":"m"}}{}"#,
    ] {
        let mut answer = Answer::new(None, json.as_bytes(), &Limits::ANSWER).unwrap();
        let error = match answer.elements(1) {
            Err(error) => error,
            Ok(mut elements) => {
                elements.next().unwrap();
                elements.next().unwrap_err()
            }
        };
        assert_eq!(error.kind, DecodeErrorKind::Trailing, "{json}");
    }
}
