//! Objects: whole or not there, whatever happens on the way.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Method;
use http_body::Frame;
use http_body_util::BodyExt;
use monopod_core::blob::{Access, Blobs, Error, Location};
use monopod_core::{Body, BoxError, full};
use tempfile::TempDir;

use super::*;

fn open(folder: &Path) -> LocalBlobs {
    let public_url = "https://localhost:8443/".to_owned();
    LocalBlobs::open(BlobSettings { folder: folder.to_owned(), public_url }).unwrap()
}

fn fixture() -> (LocalBlobs, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open(folder.path()), folder)
}

fn at(key: &str) -> Location {
    Location { container: "photos".parse().unwrap(), key: key.to_owned() }
}

/// A body of pieces, which breaks off, ends, or never ends after them.
struct Pieces(Vec<Bytes>, End);

enum End {
    Well,
    Broken,
    Never,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.0.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.0.remove(0)))));
        }
        match self.1 {
            End::Well => Poll::Ready(None),
            End::Broken => Poll::Ready(Some(Err("connection reset".into()))),
            End::Never => Poll::Pending,
        }
    }
}

fn pieces(count: usize, size: usize, end: End) -> Body {
    let piece = |n: usize| Bytes::from(vec![n as u8; size]);
    BodyExt::boxed_unsync(Pieces((0..count).map(piece).collect(), end))
}

fn staged(folder: &TempDir) -> usize {
    fs::read_dir(folder.path().join("blobs/staging")).unwrap().count()
}

async fn content(blobs: &LocalBlobs, at: &Location) -> Vec<u8> {
    blobs.open(at).await.unwrap().1.collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_written() {
    let (blobs, folder) = fixture();
    let at = at("images/2026/11/23/x.jpg");
    let written = blobs.write(&at, "image/jpeg", 100, full("hello")).await.unwrap();
    assert_eq!((written.size, &*written.content_type), (5, "image/jpeg"));
    assert_eq!(written.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    drop(blobs);
    let blobs = open(folder.path());
    assert_eq!(blobs.stat(&at).await.unwrap(), written);
    let (info, body) = blobs.open(&at).await.unwrap();
    assert_eq!(info, written);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(blobs.read(&at, 1, 3).await.unwrap(), "ell");
    assert_eq!(blobs.read(&at, 3, 100).await.unwrap(), "lo");
    assert_eq!(blobs.read(&at, 5, 100).await.unwrap(), "");
    assert!(matches!(blobs.read(&at, 6, 1).await, Err(Error::Invalid(_))));
    assert!(matches!(blobs.read(&at, 0, MAX_READ + 1).await, Err(Error::Invalid(_))));
    assert_eq!(staged(&folder), 0);
}

#[tokio::test]
async fn a_large_object_streams_in_and_out_in_pieces() {
    let (blobs, _folder) = fixture();
    let info = blobs.write(&at("big"), "x/y", 1 << 30, pieces(50, 77_777, End::Well)).await.unwrap();
    assert_eq!(info.size, 50 * 77_777);
    let found = content(&blobs, &at("big")).await;
    let expect: Vec<u8> = (0..50).flat_map(|n| vec![n; 77_777]).collect();
    assert!(found == expect);
    assert_eq!(info.sha256, hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&expect)));
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let (blobs, _folder) = fixture();
    assert_eq!(blobs.write(&at("none"), "x/y", 10, full("")).await.unwrap().size, 0);
    assert!(content(&blobs, &at("none")).await.is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_too_large_leaves_what_was_there() {
    let (blobs, folder) = fixture();
    let check = async |max: u64, body: Body, expect: fn(&Error) -> bool| {
        for (key, before) in [("new", None), ("old", Some("before"))] {
            if let Some(before) = before {
                blobs.write(&at(key), "x/y", 100, full(before)).await.unwrap();
            }
        }
        let error = blobs.write(&at("old"), "a/b", max, body).await.unwrap_err();
        assert!(expect(&error), "{error:?}");
        assert!(matches!(blobs.stat(&at("new")).await, Err(Error::NotFound)));
        assert_eq!(content(&blobs, &at("old")).await, b"before");
        assert_eq!(blobs.stat(&at("old")).await.unwrap().content_type, "x/y");
        assert_eq!(staged(&folder), 0);
    };
    let interrupted = |error: &Error| matches!(error, Error::Interrupted);
    check(1 << 30, pieces(3, 10, End::Broken), interrupted).await;
    check(1 << 30, pieces(10, 300_000, End::Broken), interrupted).await;
    // Found while it streams, and before it streams, where it says its size.
    check(29, pieces(3, 10, End::Well), |error| matches!(error, Error::TooLarge { max: 29 })).await;
    check(9, full("ten bytes!"), |error| matches!(error, Error::TooLarge { max: 9 })).await;
    blobs.write(&at("exact"), "x/y", 30, pieces(3, 10, End::Well)).await.unwrap();
}

#[tokio::test]
async fn a_writer_that_goes_away_leaves_nothing() {
    let (blobs, folder) = fixture();
    let key = at("a");
    let mut write = blobs.write(&key, "x/y", 1 << 30, pieces(4, 300_000, End::Never));
    // Until it has begun.
    while staged(&folder) == 0 {
        let _ = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        tokio::task::yield_now().await;
    }
    drop(write);
    // A piece may still be on its way to the disk, on a blocking thread.
    while staged(&folder) > 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(blobs.stat(&key).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_removed_at_the_next_start() {
    let (blobs, folder) = fixture();
    blobs.write(&at("whole"), "x/y", 10, full("whole")).await.unwrap();
    drop(blobs);
    fs::write(folder.path().join("blobs/staging/0123"), "half").unwrap();
    let blobs = open(folder.path());
    assert_eq!(staged(&folder), 0);
    assert_eq!(content(&blobs, &at("whole")).await, b"whole");
}

#[tokio::test]
async fn a_reader_keeps_the_object_it_opened() {
    let (blobs, _folder) = fixture();
    blobs.write(&at("a"), "x/y", 1 << 30, pieces(4, 300_000, End::Well)).await.unwrap();
    let (info, body) = blobs.open(&at("a")).await.unwrap();
    blobs.write(&at("a"), "x/y", 10, full("new")).await.unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes().len() as u64, info.size);
    assert_eq!(content(&blobs, &at("a")).await, b"new");
}

#[tokio::test]
async fn a_damaged_object_is_an_error_and_not_another_object() {
    let (blobs, folder) = fixture();
    let file = folder.path().join("blobs/objects/photos/a+b");
    blobs.write(&at("a/b"), "x/y", 100, full("content")).await.unwrap();
    let good = fs::read(&file).unwrap();
    assert!(good.starts_with(b"content"));
    for bad in [&good[..good.len() - 1], &good[1..], b"", b"content"] {
        fs::write(&file, bad).unwrap();
        let found = blobs.stat(&at("a/b")).await;
        assert!(matches!(found, Err(Error::Unavailable(_))), "{found:?}");
    }
    // Someone moved a file.
    fs::write(folder.path().join("blobs/objects/photos/other"), &good).unwrap();
    assert!(matches!(blobs.stat(&at("other")).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_key_that_is_no_key_is_refused_everywhere() {
    let (blobs, _folder) = fixture();
    let long = "x".repeat(201);
    let bad = [
        "", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/.", "a b", "a+b", "a\\b", "ä", "a\0", "a%2e", &long,
    ];
    for bad in bad.map(at) {
        let invalid = |error: Error| assert!(matches!(error, Error::Invalid(_)), "{bad:?}: {error:?}");
        invalid(blobs.stat(&bad).await.unwrap_err());
        invalid(blobs.read(&bad, 0, 1).await.unwrap_err());
        invalid(blobs.open(&bad).await.map(drop).unwrap_err());
        invalid(blobs.write(&bad, "x/y", 10, full("")).await.unwrap_err());
        invalid(blobs.presign(&bad, &Access::Get, Duration::from_secs(9)).unwrap_err());
    }
    for good in ["a", "a/b", "a.b_c-d/E", ".a", "a..b", &"x".repeat(200)] {
        blobs.write(&at(good), "x/y", 10, full(good.get(..1).unwrap().to_owned())).await.unwrap();
    }
    assert_eq!(content(&blobs, &at("a/b")).await, b"a");
}

#[tokio::test]
async fn a_signed_url_is_absolute_and_gives_its_permit_back_after_a_restart() {
    let (blobs, folder) = fixture();
    let access = Access::Put { content_type: "image/jpeg".into(), max_size: 10_485_760 };
    let signed = blobs.presign(&at("images/x.jpg"), &access, Duration::from_secs(300)).unwrap();
    let path = signed.url.strip_prefix("https://localhost:8443").unwrap();
    assert!(path.starts_with("/blobs/photos/images/x.jpg?e="), "{path}");
    assert!(signed.expires_at > now() + 290_000);
    drop(blobs);
    let blobs = open(folder.path());
    let permit = blobs.verify(&Method::PUT, path).unwrap();
    assert_eq!((permit.location, permit.access), (at("images/x.jpg"), access));
    assert!(matches!(blobs.verify(&Method::GET, path), Err(Error::BadSignature)));
}

#[test]
fn a_url_for_a_wrong_size_or_type_is_not_signed() {
    let (blobs, _folder) = fixture();
    let check = |content_type: &str, max_size: u64| {
        let access = Access::Put { content_type: content_type.to_owned(), max_size };
        let found = blobs.presign(&at("a"), &access, Duration::from_secs(9));
        assert!(matches!(found, Err(Error::Invalid(_))), "{access:?}");
    };
    check("image/jpeg", 0);
    check("image/jpeg", MAX_OBJECT + 1);
    check("", 1);
    check("image/jpeg\n", 1);
    check("ä", 1);
    check(&"x".repeat(256), 1);
}

#[test]
fn a_second_process_on_the_same_blobs_is_refused() {
    let (_blobs, folder) = fixture();
    let settings = BlobSettings { folder: folder.path().to_owned(), public_url: String::new() };
    assert!(matches!(LocalBlobs::open(settings), Err(OpenError::Locked { .. })));
}
