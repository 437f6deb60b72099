//! Fields that components answer in code: one call for all objects of a level, values typed,
//! an error at one place an error there and nowhere else.

use monopod_core::resolve::{Answer, Field, Problem, Value as Typed};
use serde_json::{Value, json};

use super::support::{self, Host, Seen, host_with, settings};

const SDL: &str = r#"
type Query {
  greet(name: String! = "you", times: Int, deep: In): String! @resolve
  items: [Item!] @connect(http: {GET: "/items"}, selection: "id name kind")
  tree: Node @resolve
  any: Any @resolve
}
type Mutation { add(n: Int!): Int @resolve }
input In { a: [Int!] }
type Item {
  id: Int!
  name: String
  kind: String
  price(currency: String = "EUR"): Float @resolve(needs: ["id", "kind"], maxSize: 3)
  owner: Node @resolve(needs: "name")
}
type Node { name: String! children: [Node!] weight: Int @resolve(needs: ["name"]) }
union Any = Node | Item
"#;

fn items(_: &Seen) -> support::Answer {
    let items: Vec<_> = (0..5).map(|n| json!({"id": n % 4, "name": format!("n{n}"), "kind": null})).collect();
    support::Answer::Text(200, json!(items).to_string())
}

fn problem(message: &str, code: Option<&str>) -> Problem {
    Problem { message: message.to_owned(), code: code.map(str::to_owned) }
}

fn answer(field: &Field) -> Answer {
    let each = |make: &dyn Fn(&[Typed]) -> Result<Typed, Problem>| {
        field.parents.iter().map(|row| make(row)).collect()
    };
    match field.name.as_str() {
        "greet" => Ok(vec![Ok(Typed::Text("hello".to_owned()))]),
        "price" => Ok(each(&|row| match row {
            [Typed::Integer(2), _] => Err(problem("no price", Some("UNPRICED"))),
            [Typed::Integer(n), Typed::Null] => Ok(Typed::Float(f64::from(i32::try_from(*n).unwrap()) / 2.0)),
            other => panic!("{other:?}"),
        })),
        "owner" => Ok(each(&|row| {
            let [Typed::Text(name)] = row else { panic!("{row:?}") };
            Ok(Typed::Json(json!({"name": name, "children": [{"name": "child"}]}).to_string()))
        })),
        "weight" => Ok(each(&|row| {
            let [Typed::Text(name)] = row else { panic!("{row:?}") };
            Ok(Typed::Integer(i64::try_from(name.len()).unwrap()))
        })),
        "tree" => Err(problem("nothing\u{0} grows", None)),
        "any" => Ok(vec![Ok(Typed::Json(r#"{"__typename":"Node","name":"abc"}"#.to_owned()))]),
        "add" => match field.arguments.as_slice() {
            [(name, Typed::Integer(n))] if name == "n" => Ok(vec![Ok(Typed::Integer(n + 1))]),
            other => panic!("{other:?}"),
        },
        _ => unreachable!(),
    }
}

async fn house() -> Host {
    let host = host_with(SDL, settings(), items).await;
    *host.fakes.resolver.lock().unwrap() = Some(Box::new(answer));
    host
}

#[tokio::test]
async fn a_field_in_code_gets_its_arguments_typed() {
    let host = house().await;
    assert_eq!(host.ask("{greet(times: 3, deep: {a: 1})}").await, r#"{"data":{"greet":"hello"}}"#);
    let asked = host.fakes.asked.lock().unwrap().clone();
    let wanted = Field {
        parent_type: "Query".to_owned(),
        name: "greet".to_owned(),
        arguments: vec![
            ("name".to_owned(), Typed::Text("you".to_owned())),
            ("times".to_owned(), Typed::Integer(3)),
            ("deep".to_owned(), Typed::Json(r#"{"a":[1]}"#.to_owned())),
        ],
        parents: vec![vec![]],
        selected: vec![],
    };
    assert_eq!(asked, [("ingestion".to_owned(), wanted)]);
}

#[tokio::test]
async fn one_call_is_for_all_objects_of_a_level_and_an_error_for_one_of_them() {
    let host = house().await;
    let got: Value = serde_json::from_str(&host.ask("{items{id price}}").await).unwrap();
    let prices: Vec<_> =
        got["data"]["items"].as_array().unwrap().iter().map(|item| item["price"].clone()).collect();
    assert_eq!(prices, [json!(0), json!(0.5), Value::Null, json!(1.5), json!(0)]);
    assert_eq!(got["errors"].as_array().unwrap().len(), 1);
    assert_eq!(got["errors"][0]["path"], json!(["items", 2, "price"]));
    assert_eq!(got["errors"][0]["message"], "no price");
    assert_eq!(got["errors"][0]["extensions"]["code"], "UNPRICED");
    // Four different objects, three of them at most in a call.
    let asked = host.fakes.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().map(|(_, field)| field.parents.len()).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(asked[0].1.arguments, [("currency".to_owned(), Typed::Text("EUR".to_owned()))]);
}

#[tokio::test]
async fn what_code_returns_is_checked_and_goes_on_below() {
    let host = house().await;
    let got = host.ask("{items{owner{n: name children{name weight} weight}}}").await;
    let first = r#"{"owner":{"n":"n0","children":[{"name":"child","weight":5}],"weight":2}}"#;
    assert!(got.starts_with(&format!(r#"{{"data":{{"items":[{first},"#)), "{got}");
    let asked = host.fakes.asked.lock().unwrap().clone();
    let owner = &asked[0].1;
    assert_eq!(
        (owner.name.as_str(), &owner.selected[..]),
        ("owner", &["name", "children", "weight"].map(str::to_owned)[..])
    );
    // The weights of owners and of their children are two fields of the operation.
    assert_eq!(asked.len(), 3);
    assert_eq!(
        host.ask("{any{...on Node{name weight}}}").await,
        r#"{"data":{"any":{"name":"abc","weight":3}}}"#
    );
    let got: Value = serde_json::from_str(&host.ask("{tree{name}}").await).unwrap();
    assert_eq!(got["errors"][0]["message"], "nothing grows");
    assert_eq!(got["errors"][0]["extensions"]["code"], "UPSTREAM_REFUSED");
    assert_eq!(host.ask("mutation{a: add(n: 1) b: add(n: 5)}").await, r#"{"data":{"a":2,"b":6}}"#);
}

#[tokio::test]
async fn code_that_does_not_keep_its_word_is_masked() {
    let host = house().await;
    for (values, code) in [
        (Ok(vec![]), "UPSTREAM_ERROR"),
        (Ok(vec![Ok(Typed::Null)]), "UPSTREAM_ERROR"),
        (Ok(vec![Ok(Typed::Json("{".to_owned()))]), "UPSTREAM_ERROR"),
        (Ok(vec![Ok(Typed::Float(f64::NAN))]), "UPSTREAM_ERROR"),
        (Ok(vec![Ok(Typed::Json("[]".to_owned()))]), "UPSTREAM_ERROR"),
        (Err(problem("x", Some("not a code"))), "UPSTREAM_REFUSED"),
    ] {
        let told: Answer = values;
        *host.fakes.resolver.lock().unwrap() = Some(Box::new(move |_| told.clone()));
        let got = host.post(Some("ada"), "{greet}", Value::Null).await;
        assert_eq!(got.code(), code, "{}", got.body);
    }
    *host.fakes.resolver.lock().unwrap() = None;
    assert_eq!(host.post(Some("ada"), "{greet}", Value::Null).await.code(), "UPSTREAM_ERROR");
}
