//! The photo's own way: a URL that takes one thing, and refuses everything else before a byte of
//! it was asked for.

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use monopod_edge::client::Stream;
use monopod_tests::client::Client;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{small, trackunit};

/// The largest photo: 10 MiB.
const MOST: usize = 10 << 20;

/// A PUT of which the head alone was sent, as clients do that wait for `100 Continue`.
pub struct Head {
    /// What was answered: 100, or the refusal.
    pub status: u16,
    /// Its body.
    pub body: Value,
    /// For the rest.
    pub stream: Stream,
}

impl Head {
    /// Sends the head of a PUT and reads the answer to it.
    pub async fn put(client: &Client, url: &str, content_type: &str, length: usize) -> Self {
        let uri: Uri = url.parse().unwrap();
        let mut stream = client.connector().connect(&uri).await.unwrap();
        let head = format!(
            "PUT {} HTTP/1.1\r\nhost: {}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n",
            uri.path_and_query().unwrap(),
            uri.authority().unwrap(),
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (status, body) = answer(&mut stream).await;
        Self { status, body, stream }
    }

    /// Sends the rest and reads the final answer.
    pub async fn finish(mut self, rest: &[u8]) -> (u16, Value) {
        self.stream.write_all(rest).await.unwrap();
        answer(&mut self.stream).await
    }
}

/// One answer of HTTP/1.1, with a body of declared length or none.
async fn answer(stream: &mut Stream) -> (u16, Value) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_photo_is_asked_for_only_if_its_head_fits_what_was_signed() {
    let house = trackunit().await;
    let phone = house.phone("put.head").await;
    let photo = small();
    let begun = phone.start(&photo).await;
    let other = if photo.content_type == "image/png" { "image/jpeg" } else { "image/png" };
    for (content_type, length, status, code) in [
        (other, 1_000, 415, "CONTENT_TYPE"),
        ("text/html", 1_000, 415, "CONTENT_TYPE"),
        (photo.content_type, MOST + 1, 413, "TOO_LARGE"),
    ] {
        let head = Head::put(&phone.client, &begun.put_url, content_type, length).await;
        assert_eq!((head.status, &head.body["code"]), (status, &Value::from(code)), "{}", head.body);
    }
    // What fits is asked for; and what was refused before has left nothing.
    assert_eq!(phone.client.upload(&begun.id).await.unwrap()["state"], "pending");
    let head = Head::put(&phone.client, &begun.put_url, photo.content_type, photo.bytes.len()).await;
    assert_eq!(head.status, 100);
    assert_eq!(head.finish(&photo.bytes).await.0, 200);
    phone.confirm(&begun, &photo).await;
}

#[tokio::test]
async fn a_url_that_was_changed_in_any_part_takes_nothing() {
    let house = trackunit().await;
    let phone = house.phone("put.tampered").await;
    let photo = small();
    let (begun, other) = (phone.start(&photo).await, phone.start(&photo).await);
    let url = &begun.put_url;
    let query = |name: &str| {
        let from = url.find(&format!("{name}=")).unwrap() + name.len() + 1;
        let value = url[from..].split('&').next().unwrap();
        (from, value.to_owned())
    };
    let replaced = |name: &str, with: &str| {
        let (from, value) = query(name);
        let mut changed = url.clone();
        changed.replace_range(from..from + value.len(), with);
        changed
    };
    let (_, signature) = query("s");
    let first = if signature.starts_with('A') { "B" } else { "A" };
    for tampered in [
        replaced("s", &format!("{first}{}", &signature[1..])),
        replaced("s", ""),
        replaced("e", &format!("{}0", query("e").1)),
        replaced("m", &format!("{}0", query("m").1)),
        replaced("t", "text%2Fhtml"),
        url.replace(&begun.id, &other.id),
        url.replace("/trackunit-images/", "/other/"),
        format!("{url}&e=9999999999999"),
        url.split_once('?').unwrap().0.to_owned(),
    ] {
        assert_ne!(&tampered, url);
        let head = Head::put(&phone.client, &tampered, photo.content_type, photo.bytes.len()).await;
        assert_eq!((head.status, &head.body["code"]), (403, &Value::from("BAD_SIGNATURE")), "{tampered}");
    }
    // A URL to write is none to read, and a token is no signature.
    let request =
        |method: &str, url: &str| Request::builder().method(method).uri(url).body(Full::default()).unwrap();
    let read = phone.client.send(request("GET", url)).await.unwrap();
    assert_eq!(read.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        phone.client.send(request("DELETE", url)).await.unwrap().status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    for untouched in [&begun, &other] {
        phone.put(untouched, &photo).await;
    }
}

#[tokio::test]
async fn a_photo_that_does_not_say_its_size_is_refused_where_it_becomes_too_large() {
    let house = trackunit().await;
    let phone = house.phone("put.chunked").await;
    let photo = small();
    let begun = phone.start(&photo).await;
    let uri: Uri = begun.put_url.parse().unwrap();
    let mut stream = phone.client.connector().connect(&uri).await.unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        uri.path_and_query().unwrap(),
        uri.authority().unwrap(),
        photo.content_type,
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [format!("{:x}\r\n", 64 << 10).into_bytes(), vec![0; 64 << 10], b"\r\n".to_vec()].concat();
    // One more than may be; the answer comes without an end of the body.
    for _ in 0..=(MOST / (64 << 10)) {
        stream.write_all(&chunk).await.unwrap();
    }
    let (status, body) = answer(&mut stream).await;
    assert_eq!((status, &body["code"]), (413, &Value::from("TOO_LARGE")), "{body}");
    // Nothing of it was kept.
    let confirmed = phone.client.confirm(&begun.upload(), &photo.bytes).await.unwrap().unwrap_err();
    assert_eq!(confirmed["errors"][0]["extensions"]["reason"], "NOT_UPLOADED", "{confirmed}");
}

#[tokio::test]
async fn the_largest_photo_is_taken_and_one_byte_more_is_not() {
    let house = trackunit().await;
    let phone = house.phone("put.largest").await;
    let mut photo = small();
    // Bytes after the picture's end do it no harm.
    let mut bytes = photo.bytes.to_vec();
    bytes.resize(MOST, 0);
    photo.bytes = bytes.into();
    let begun = phone.send(&photo).await;
    assert_eq!(phone.ended(&begun.id).await["success"], true);
    let larger = Bytes::from([&photo.bytes[..], &[0]].concat());
    let answer = phone.try_put(&phone.start(&photo).await, photo.content_type, larger).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_photo_that_breaks_off_on_its_way_leaves_nothing() {
    let house = trackunit().await;
    let phone = house.phone("put.broken-off").await;
    let photo = small();
    let begun = phone.start(&photo).await;
    let mut head = Head::put(&phone.client, &begun.put_url, photo.content_type, photo.bytes.len()).await;
    head.stream.write_all(&photo.bytes[..photo.bytes.len() / 2]).await.unwrap();
    head.stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _reset = head.stream.read_to_end(&mut rest).await;
    let refused = phone.client.confirm(&begun.upload(), &photo.bytes).await.unwrap().unwrap_err();
    assert_eq!(refused["errors"][0]["extensions"]["reason"], "NOT_UPLOADED", "{refused}");
    phone.put(&begun, &photo).await;
    phone.confirm(&begun, &photo).await;
}
