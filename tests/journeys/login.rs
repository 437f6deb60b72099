//! The clients of the system before: they log in with a device code and then upload, knowing no
//! more of the platform than its discovery document.

use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::Full;
use monopod_tests::client::Client;
use serde_json::{Value, json};

use crate::support::{Phone, small, trackunit};

async fn post(client: &Client, url: &Value, form: &str) -> (StatusCode, Value) {
    let request =
        Request::post(url.as_str().unwrap()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = client.send(request.body(Full::from(form.to_owned())).unwrap()).await.unwrap();
    (answer.status(), serde_json::from_slice(answer.body()).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_device_that_a_person_approves_gets_a_token_and_can_upload() {
    let house = trackunit().await;
    let client = house.anybody();
    let request = Request::get(house.at("/identity/.well-known/openid-configuration"));
    let discovery = client.send(request.body(Full::default()).unwrap()).await.unwrap();
    let discovery: Value = serde_json::from_slice(discovery.body()).unwrap();
    assert_eq!(discovery["issuer"], house.at("/identity"));

    let begin = &discovery["device_authorization_endpoint"];
    let (status, begun) = post(&client, begin, "client_id=console&scope=analysis").await;
    assert_eq!(status, StatusCode::OK, "{begun}");
    let device = begun["device_code"].as_str().unwrap();
    let wanted = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=console&device_code={device}"
    );

    // Somebody else's code, on which nobody has decided.
    let (_, other) = post(&client, begin, "client_id=console").await;
    let pending = wanted.replace(device, other["device_code"].as_str().unwrap());
    let (status, answer) = post(&client, &discovery["token_endpoint"], &pending).await;
    assert_eq!((status.as_u16(), &answer["error"]), (400, &json!("authorization_pending")));

    let user_code = begun["user_code"].as_str().unwrap();
    let approval = format!("user_code={user_code}&name=login.person&action=approve");
    assert_eq!(post(&client, &begun["verification_uri"], &approval).await.0, StatusCode::OK);
    let (status, answer) = post(&client, &discovery["token_endpoint"], &wanted).await;
    assert_eq!((status, &answer["token_type"]), (StatusCode::OK, &json!("Bearer")), "{answer}");

    let phone = Phone { client: client.with_token(answer["access_token"].as_str().unwrap()) };
    let upload = phone.send(&small()).await;
    assert_eq!(phone.ended(&upload.id).await["success"], true);
    // The person is the same by whichever way they came.
    let same = house.phone("login.person").await;
    assert_eq!(same.client.upload(&upload.id).await.unwrap()["state"], "completed");
}
