//! Pre-signed URLs: what is refused is refused before its body is read.

use bytes::Bytes;
use http::Request;
use tokio::io::AsyncWriteExt;

use crate::house::{House, MAX, read_head, read_to_end};

const GOOD: &str = "/blobs/images/2026/a.jpg?good";

fn put(path: &str) -> http::request::Builder {
    Request::put(path).header("content-type", "image/jpeg")
}

#[tokio::test]
async fn what_was_signed_is_written_and_read() {
    let house = House::new().await;
    for kind in ["image/jpeg", "Image/JPEG"] {
        let request = Request::put(GOOD).header("content-type", kind);
        let response = house.send(request, vec![7; MAX as usize]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["etag"], format!("\"{}\"", "0".repeat(64)));
    }
    assert_eq!(house.behind.writes.lock().unwrap().as_slice(), vec![Bytes::from(vec![7; MAX as usize]); 2]);
    // A token beside the signature, even a bad one, does not matter.
    let response = house.send(put(GOOD).header("authorization", "Bearer nonsense"), "x").await;
    assert_eq!(response.status(), 200);

    let response = house.get(GOOD).await;
    assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"12345"[..]));
    let header = |name: &str| response.headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "image/jpeg");
    assert_eq!(header("content-length"), "5");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-disposition"), "inline; filename=\"a.jpg\"");
    assert!(header("content-security-policy").contains("sandbox"));
    assert!(header("cache-control").starts_with("private"));
    let response = house.get("/blobs/images/page.html?good").await;
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"page.html\"");
    assert_eq!(house.get("/blobs/images/none?good").await.status(), 404);
}

#[tokio::test]
async fn a_refused_upload_is_refused_before_its_body_is_asked_for() {
    let house = House::new().await;
    let fits = "Content-Type: image/jpeg\r\nContent-Length: 10";
    for (path, headers, status, code) in [
        (GOOD, "Content-Type: image/png\r\nContent-Length: 10", 415, "CONTENT_TYPE"),
        (GOOD, "Content-Type: image/jpeg; charset=x\r\nContent-Length: 10", 415, "CONTENT_TYPE"),
        (GOOD, "Content-Length: 10", 415, "CONTENT_TYPE"),
        (
            GOOD,
            "Content-Type: image/jpeg\r\nContent-Encoding: gzip\r\nContent-Length: 10",
            415,
            "CONTENT_ENCODING",
        ),
        (GOOD, "Content-Type: image/jpeg\r\nContent-Length: 1001", 413, "TOO_LARGE"),
        (GOOD, "Content-Type: image/jpeg\r\nContent-Length: 9999999999999", 413, "TOO_LARGE"),
        ("/blobs/images/a.jpg?old", fits, 403, "EXPIRED"),
        ("/blobs/images/a.jpg?tampered", fits, 403, "BAD_SIGNATURE"),
        ("/blobs/images/a.jpg", fits, 403, "BAD_SIGNATURE"),
        ("/blobs/images/%2e%2e/a.jpg?good", fits, 400, "BAD_REQUEST"),
        ("/blobs/images//a.jpg?good", fits, 400, "BAD_REQUEST"),
    ] {
        let head =
            format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n{headers}\r\n\r\n");
        // Nothing follows the head: an answer that waited for a body would never come.
        let answer = house.raw(head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {headers}: {answer}");
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{path} {headers}: {answer}");
    }
    assert!(house.behind.writes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_accepted_upload_is_asked_for() {
    let house = House::new().await;
    let mut stream = house.connect().await;
    let head = format!(
        "PUT {GOOD} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n\
         Content-Type: image/jpeg\r\nContent-Length: 3\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 100 "));
    stream.write_all(b"abc").await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_upload_without_a_length_is_cut_off_at_the_limit() {
    let house = House::new().await;
    let head = format!(
        "PUT {GOOD} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    for _ in 0..20 {
        bytes.extend(b"64\r\n");
        bytes.extend([b'x'; 100]);
        bytes.extend(b"\r\n");
    }
    let answer = house.raw(bytes).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("TOO_LARGE"), "{answer}");
    assert!(house.behind.writes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_client_that_sends_everything_first_still_gets_its_refusal() {
    let house = House::new().await;
    let mut stream = house.connect().await;
    let size = 8 << 20;
    let head = format!(
        "PUT /blobs/images/a.jpg?old HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {size}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![7; size]).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("EXPIRED"), "{answer}");
}

#[tokio::test]
async fn a_broken_upload_is_told_to_the_store_as_broken() {
    let house = House::new().await;
    let mut stream = house.connect().await;
    let head = format!(
        "PUT {GOOD} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 100\r\n\r\nabc"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    read_to_end(&mut stream).await;
    assert!(house.behind.writes.lock().unwrap().is_empty());
    assert_eq!(house.stop().await.cut, 0);
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_work() {
    let house = House::new().await;
    for method in ["POST", "DELETE", "HEAD", "OPTIONS"] {
        let response = house.send(Request::builder().method(method).uri(GOOD), "").await;
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(response.headers()["allow"], "GET, PUT");
    }
}
