//! Fields of GraphQL in code: what reaches the guest, what comes back, what remains.

use std::time::Duration;

use monopod_core::context::Context;
use monopod_core::identity::Principal;
use monopod_core::invoke::{Components, Error};
use monopod_core::resolve::{Answer, Field, Problem, Value};

use crate::support::{House, probe};

async fn ask(house: &House, name: &str, parents: Vec<Vec<Value>>) -> Result<Answer, Error> {
    let field = Field {
        parent_type: "Thing".to_owned(),
        name: name.to_owned(),
        arguments: vec![
            ("text".to_owned(), Value::Text("ü".to_owned())),
            ("list".to_owned(), Value::Json("[1]".to_owned())),
            ("flag".to_owned(), Value::Boolean(true)),
        ],
        parents,
        selected: vec!["a".to_owned()],
    };
    let context = Context::new(Principal::Anonymous, Duration::from_secs(30));
    house.engine.resolve(&probe(), &field, &context).await
}

#[tokio::test]
async fn a_field_in_code_sees_what_was_asked_and_answers_each_object() {
    let house = House::new().await;
    let rows = vec![vec![Value::Integer(2)], vec![Value::Integer(3)], vec![Value::Null]];
    let answer = ask(&house, "double", rows).await.unwrap().unwrap();
    let odd = Problem { message: "3 is odd".to_owned(), code: Some("ODD".to_owned()) };
    assert_eq!(answer, [Ok(Value::Integer(4)), Err(odd), Ok(Value::Null)]);
    let answer = ask(&house, "given", vec![vec![Value::Float(0.5)]]).await.unwrap().unwrap();
    let [Ok(Value::Text(given))] = answer.as_slice() else { panic!("{answer:?}") };
    for part in ["\"Thing\"", "Text(\"ü\")", "Json(\"[1]\")", "Boolean(true)", "Float(0.5)", "[\"a\"]"] {
        assert!(given.contains(part), "{part} is not in {given}");
    }
}

#[tokio::test]
async fn an_answer_is_committed_and_an_error_of_the_whole_leaves_nothing() {
    let house = House::new().await;
    let once = || vec![vec![]];
    assert_eq!(ask(&house, "count", once()).await.unwrap(), Ok(vec![Ok(Value::Integer(1))]));
    assert!(ask(&house, "count-then-fail", once()).await.unwrap().is_err());
    assert!(matches!(ask(&house, "trap", once()).await, Err(Error::Trapped { .. })));
    assert_eq!(ask(&house, "count", once()).await.unwrap(), Ok(vec![Ok(Value::Integer(2))]));
    assert_eq!(ask(&house, "too-few", once()).await.unwrap(), Ok(vec![]));
}
