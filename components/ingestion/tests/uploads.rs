//! Upload sessions from start to end, and every way in which they are refused.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use monopod_sdk::http::{Method, Problem, Request, Response};
use monopod_sdk::ports::{Clock, Error, Info};
use monopod_sdk::testing::Fake;
use serde_json::{Value, json};
use trackunit_contracts::{IMAGES, topics};

const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Storage signs everything, the orchestrator knows no run, anna asks.
fn fake() -> Fake {
    Fake::new().user("anna").with_service("storage", storage).with_service("orchestrator", |_, path, _| {
        assert!(path.starts_with("/v1/runs?ids="), "{path}");
        Ok(Response::json(200, &json!([])))
    })
}

fn storage(method: Method, path: &str, body: &[u8]) -> Result<Response, Error> {
    assert_eq!((method, path), (Method::Post, "/internal/v1/storage/presign-put"));
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body["ttlSec"], 300);
    let url = format!("https://blobs.test/{}", body["key"].as_str().unwrap());
    Ok(Response::json(200, &json!({"url": url, "expiresAt": "2026-11-23T05:17:00.000Z"})))
}

fn send(fake: &Fake, request: Request) -> (u16, Value) {
    let answer = fake.unit(|fake| {
        let response = ingestion::answer(fake, request).unwrap_or_else(Into::into);
        if response.status < 500 { Ok(response) } else { Err(response) }
    });
    let response = answer.unwrap_or_else(|response| response);
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

fn get(fake: &Fake, target: &str) -> (u16, Value) {
    send(fake, Request::new(Method::Get, target))
}

fn start(fake: &Fake) -> (String, String) {
    let body = json!({"filename": "Digger.JPG", "contentType": "image/jpeg"});
    let (status, answer) = send(fake, Request::post("/v1/uploads/start", &body));
    assert_eq!(status, 200, "{answer}");
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("uploadId"), text("key"))
}

fn put(fake: &Fake, key: &str) {
    let info =
        Info { size: 4, content_type: "image/jpeg".into(), sha256: SHA.into(), written_at: fake.now() };
    fake.put_blob(IMAGES, key, info, b"test".to_vec());
}

fn confirm(fake: &Fake, upload_id: &str, bytes: i64, checksum: &str) -> (u16, Value) {
    let body = json!({"uploadId": upload_id, "bytes": bytes, "checksum": checksum});
    send(fake, Request::post("/v1/uploads/confirm", &body))
}

fn truth() -> String {
    format!("sha256:{SHA}")
}

#[test]
fn ping_is_answered_to_anybody() {
    assert_eq!(get(&Fake::new(), "/v1/ping"), (200, json!({"pong": "pong"})));
}

#[test]
fn a_photo_is_started_put_confirmed_and_announced_once() {
    let fake = fake().correlation("the-start");
    let (id, key) = start(&fake);
    assert_eq!(key, format!("images/2026/11/23/{id}.jpg"));
    assert_eq!(get(&fake, &format!("/v1/uploads/{id}/status")).1["state"], "pending");
    put(&fake, &key);
    let fake = fake.correlation("the-confirmation");
    assert_eq!(confirm(&fake, &id, 4, &truth().to_uppercase().replace("SHA", "sha")).0, 202);
    let (status, answer) = confirm(&fake, &id, 4, &truth());
    assert_eq!((status, answer), (202, json!({"status": "Accepted"})));
    let published = fake.published();
    assert_eq!(published.len(), 1, "confirmed twice, announced once");
    let message = &published[0];
    assert_eq!(message.topic, topics::IMAGES_UPLOADED);
    assert_eq!(message.key.as_deref(), Some(key.as_str()));
    assert_eq!(message.correlation_id.as_deref(), Some("the-start"), "the action began with the start");
    for header in [
        ("x-correlation-id", "the-start"),
        ("x-schema", "tu.images.uploaded.v1"),
        ("x-producer", "ingestion"),
    ] {
        assert!(message.headers.contains(&(header.0.into(), header.1.into())), "{header:?}");
    }
    let payload: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(
        payload,
        json!({"uploadId": id, "objectKey": key, "contentType": "image/jpeg", "bytes": 4,
               "checksum": truth(), "occurredAt": "2026-11-23T05:12:00.000Z"})
    );
    assert_eq!(get(&fake, &format!("/v1/uploads/{id}/status")).1["state"], "uploaded");
}

#[test]
fn only_photos_of_known_kinds_are_started_and_every_fault_is_told() {
    let ok = [
        ("a.jpg", "image/jpeg"),
        ("a.b.JPEG", "image/jpeg"),
        ("ä ö.png", "image/png"),
        ("a.webp", "image/webp"),
    ];
    for (filename, content_type) in ok {
        let body = json!({"filename": filename, "contentType": content_type});
        assert_eq!(send(&fake(), Request::post("/v1/uploads/start", &body)).0, 200, "{filename}");
    }
    let long = format!("{}.jpg", "x".repeat(197));
    let known = "must end in one of .jpg, .jpeg, .png, .webp";
    for (filename, content_type, errors) in [
        ("", "image/jpeg", json!({"filename": ["is required"]})),
        ("a.gif", "image/jpeg", json!({"filename": [known]})),
        ("jpg", "image/jpeg", json!({"filename": [known]})),
        ("a.jpg.exe", "image/jpeg", json!({"filename": [known]})),
        ("a.png", "image/jpeg", json!({"filename": ["must end in .jpg or .jpeg for image/jpeg"]})),
        (&long, "image/jpeg", json!({"filename": ["must have at most 200 characters"]})),
        (
            "../a.jpg",
            "image/jpeg",
            json!({"filename": ["must be a name without folders and control characters"]}),
        ),
        (
            "a\n.jpg",
            "image/jpeg",
            json!({"filename": ["must be a name without folders and control characters"]}),
        ),
        ("a.jpg", "", json!({"contentType": ["is required"]})),
        ("a.jpg", "image/gif", json!({"contentType": ["must be one of image/jpeg, image/png, image/webp"]})),
        ("a.jpg", "IMAGE/JPEG", json!({"contentType": ["must be one of image/jpeg, image/png, image/webp"]})),
        ("", "", json!({"filename": ["is required"], "contentType": ["is required"]})),
    ] {
        let body = json!({"filename": filename, "contentType": content_type});
        let answer = send(&fake(), Request::post("/v1/uploads/start", &body));
        assert_eq!(answer, (422, json!({"errors": errors})), "{filename:?} {content_type:?}");
    }
    assert_eq!(send(&fake(), Request::post("/v1/uploads/start", &json!({}))).0, 422);
    assert_eq!(send(&fake(), Request::post("/v1/uploads/start", &json!("x"))).0, 400);
}

#[test]
fn a_confirmation_of_the_wrong_form_is_refused_field_by_field() {
    let fake = fake();
    let (id, _) = start(&fake);
    let checksum = "must be sha256: and 64 hexadecimal digits";
    for (bytes, sum, errors) in [
        (0, truth(), json!({"bytes": ["must be greater than 0"]})),
        (-1, truth(), json!({"bytes": ["must be greater than 0"]})),
        (4, SHA.to_owned(), json!({"checksum": [checksum]})),
        (4, format!("md5:{SHA}"), json!({"checksum": [checksum]})),
        (4, format!("sha256:{}", "g".repeat(64)), json!({"checksum": [checksum]})),
        (4, format!("sha256:{}", "a".repeat(63)), json!({"checksum": [checksum]})),
        (4, format!("sha256:{}", "ä".repeat(32)), json!({"checksum": [checksum]})),
    ] {
        assert_eq!(confirm(&fake, &id, bytes, &sum), (422, json!({"errors": errors})), "{bytes} {sum}");
    }
    let (status, answer) = send(&fake, Request::post("/v1/uploads/confirm", &json!({})));
    assert_eq!(status, 422);
    assert_eq!(answer["errors"].as_object().map(serde_json::Map::len), Some(3));
}

#[test]
fn a_confirmation_before_the_put_is_refused_and_may_come_again() {
    let fake = fake();
    let (id, key) = start(&fake);
    let (status, answer) = confirm(&fake, &id, 4, &truth());
    assert_eq!((status, &answer["code"]), (409, &json!("NOT_UPLOADED")));
    assert!(fake.published().is_empty());
    put(&fake, &key);
    assert_eq!(confirm(&fake, &id, 4, &truth()).0, 202);
}

#[test]
fn strict_refuses_what_does_not_fit_and_says_what_was_found() {
    let fake = fake().with_setting("verify", "strict");
    let (id, key) = start(&fake);
    put(&fake, &key);
    let wrong = format!("sha256:{}", "0".repeat(64));
    let errors = json!({"errors": {
        "bytes": ["does not fit: the photo has 4 bytes"],
        "checksum": [format!("does not fit: the photo has {}", truth())],
    }});
    assert_eq!(confirm(&fake, &id, 5, &wrong), (422, errors));
    assert!(fake.published().is_empty());
    assert_eq!(confirm(&fake, &id, 4, &truth()).0, 202);
    assert_eq!(confirm(&fake, &id, 5, &truth()).0, 422, "a wrong claim stays wrong the second time");
    assert_eq!(fake.published().len(), 1);
}

#[test]
fn report_accepts_what_does_not_fit_announces_the_truth_and_keeps_the_difference() {
    let fake = fake().with_setting("verify", "report");
    let (id, key) = start(&fake);
    put(&fake, &key);
    let dummy = format!("sha256:{}", "0".repeat(64));
    for _ in 0..2 {
        assert_eq!(confirm(&fake, &id, 1, &dummy), (202, json!({"status": "Accepted"})));
    }
    let published = fake.published();
    assert_eq!(published.len(), 1);
    let payload: Value = serde_json::from_slice(&published[0].payload).unwrap();
    assert_eq!((&payload["bytes"], &payload["checksum"]), (&json!(4), &json!(truth())));
    let kept = monopod_sdk::ports::Buckets::scan(
        &fake,
        "sessions",
        monopod_sdk::ports::Range { prefix: "", after: None, descending: false, limit: 10 },
    );
    let kept: Value = serde_json::from_slice(&kept.unwrap()[0].value).unwrap();
    let difference = json!({"bytes": 1, "checksum": dummy});
    assert_eq!(kept["confirmed"]["difference"], difference);
    let (_, shown) = get(&fake, &format!("/v1/uploads/{id}/status"));
    assert_eq!((&shown["bytes"], &shown["difference"]), (&json!(4), &difference));
}

#[test]
fn nobody_learns_of_another_users_upload() {
    let mut fake = fake();
    let (id, key) = start(&fake);
    put(&fake, &key);
    fake.be("berta");
    let unknown = "019ab000-0000-7000-8000-000000000001";
    assert_eq!(confirm(&fake, &id, 4, &truth()), confirm(&fake, unknown, 4, &truth()));
    assert_eq!(confirm(&fake, &id, 4, &truth()).0, 404);
    for route in ["", "/status"] {
        assert_eq!(get(&fake, &format!("/v1/uploads/{id}{route}")).0, 404);
    }
    let again = json!({"objectKey": key});
    assert_eq!(send(&fake, Request::post("/v1/analyses", &again)).0, 404);
    assert_eq!(get(&fake, "/v1/uploads").1, json!([]));
    // One whose name begins like the owner's finds no more.
    fake.be("ann");
    assert_eq!(get(&fake, "/v1/uploads").1, json!([]));
    assert!(fake.published().is_empty());
}

#[test]
fn nobody_at_all_has_uploads() {
    let anonymous = Fake::new().with_service("storage", storage);
    let body = json!({"filename": "a.jpg", "contentType": "image/jpeg"});
    assert_eq!(send(&anonymous, Request::post("/v1/uploads/start", &body)).0, 401);
    assert_eq!(get(&anonymous, "/v1/uploads").0, 401);
}

#[test]
fn uploads_are_listed_newest_first_and_page_by_page() {
    let fake = fake();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, start(&fake).0);
        fake.advance(std::time::Duration::from_millis(1));
    }
    let listed = |target: &str| -> Vec<String> {
        let (status, answer) = get(&fake, target);
        assert_eq!(status, 200, "{answer}");
        let ids = answer.as_array().unwrap().iter();
        ids.map(|upload| upload["uploadId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("/v1/uploads"), ids);
    assert_eq!(listed("/v1/uploads?limit=2"), ids[..2]);
    assert_eq!(listed(&format!("/v1/uploads?limit=2&after={}", ids[1])), ids[2..4]);
    for bad in ["limit=0", "limit=101", "limit=x", "after=x"] {
        assert_eq!(get(&fake, &format!("/v1/uploads?{bad}")).0, 422, "{bad}");
    }
}

#[test]
fn an_upload_shows_its_analysis_and_survives_without_it() {
    let run = |id: &str| {
        json!({"uploadId": id, "state": "failed", "reason": "not a photo", "endedAt": "2026-11-23T05:12:01.000Z",
               "steps": [{"name": "recognition", "state": "failed"}], "recognitionPayload": null})
    };
    let fake = fake().with_service("orchestrator", move |_, path, _| {
        let ids = path.strip_prefix("/v1/runs?ids=").unwrap();
        Ok(Response::json(200, &ids.split(',').map(run).collect::<Vec<_>>()))
    });
    let (id, key) = start(&fake);
    put(&fake, &key);
    confirm(&fake, &id, 4, &truth());
    let (_, answer) = get(&fake, &format!("/v1/uploads/{id}/status"));
    assert_eq!((&answer["state"], &answer["reason"]), (&json!("failed"), &json!("not a photo")));
    assert_eq!(answer["steps"][0]["name"], "recognition");
    assert_eq!(get(&fake, "/v1/uploads").1[0], answer);
    let fake = fake.with_service("orchestrator", |_, _, _| Ok(Problem::unavailable("no").into()));
    let (status, answer) = get(&fake, &format!("/v1/uploads/{id}/status"));
    assert_eq!((status, &answer["state"], &answer["steps"]), (200, &json!("uploaded"), &json!([])));
}

#[test]
fn a_photo_of_mine_is_analysed_again_under_an_id_of_its_own() {
    let fake = fake().correlation("again");
    let (id, key) = start(&fake);
    let ask = |key: &str| send(&fake, Request::post("/v1/analyses", &json!({"objectKey": key})));
    assert_eq!(ask(&key).0, 404, "it was never put");
    put(&fake, &key);
    confirm(&fake, &id, 4, &truth());
    let (status, answer) = ask(&key);
    assert_eq!((status, &answer["correlationId"]), (202, &json!("again")));
    let command = &fake.published_to(topics::ANALYSIS_COMMANDS)[0];
    let payload: Value = serde_json::from_slice(&command.payload).unwrap();
    assert_eq!(
        payload,
        json!({"objectKey": key, "correlationId": "again", "uploadId": answer["uploadId"], "checksum": truth()})
    );
    assert_ne!(answer["uploadId"], json!(id));
    assert_eq!(command.key.as_deref(), answer["uploadId"].as_str());
    assert_eq!(get(&fake, "/v1/uploads").1.as_array().map(Vec::len), Some(2));
    for (bad, status) in [("", 422), ("images/x.jpg", 404), ("x", 404)] {
        assert_eq!(ask(bad).0, status, "{bad}");
    }
}

#[test]
fn what_cannot_be_done_now_leaves_nothing_and_is_told_as_such() {
    let fake = Fake::new().user("anna").with_service("storage", |_, _, _| Ok(Problem::internal("no").into()));
    let body = json!({"filename": "a.jpg", "contentType": "image/jpeg"});
    assert_eq!(send(&fake, Request::post("/v1/uploads/start", &body)).0, 503);
    assert_eq!(get(&fake, "/v1/uploads").1, json!([]));
    fake.set_unavailable(true);
    assert_eq!(get(&fake, "/v1/uploads").0, 503);
}
