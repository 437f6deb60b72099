//! The static upstream of the suite that Tailcall made known: a hundred posts of ten users, and a
//! list of 8 MB. It counts how often it is asked.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

/// Posts, as many as there.
const POSTS: u32 = 100;
/// Users, each with ten of them.
const USERS: u32 = 10;
/// What the list has at least, in bytes.
const LARGE: usize = 8_500_000;

/// Serves until it is killed. Prints its port first.
pub async fn serve() {
    let asked = Arc::new(AtomicU64::new(0));
    let (posts, large) = (Bytes::from(posts()), Bytes::from(large()));
    let users: Arc<Vec<Bytes>> = Arc::new((1..=USERS).map(|id| Bytes::from(user(id))).collect());
    let counted = |count: &Arc<AtomicU64>| {
        let count = count.clone();
        move || count.fetch_add(1, Relaxed)
    };
    let (post, one, some) = (counted(&asked), counted(&asked), counted(&asked));
    let all = users.clone();
    let router = Router::new()
        .route(
            "/posts",
            get(move || async move {
                post();
                json(posts.clone())
            }),
        )
        .route(
            "/users/{id}",
            get(move |Path(id): Path<usize>| async move {
                one();
                json(users[id - 1].clone())
            }),
        )
        .route(
            "/users",
            get(move |RawQuery(query): RawQuery| async move {
                some();
                let ids = query.unwrap_or_default();
                let ids = ids.split('&').filter_map(|pair| pair.strip_prefix("id=")?.parse::<usize>().ok());
                let found: Vec<_> = ids.map(|id| std::str::from_utf8(&all[id - 1]).unwrap()).collect();
                json(Bytes::from(format!("[{}]", found.join(","))))
            }),
        )
        .route("/large", get(move || async move { json(large.clone()) }))
        .route("/asked", get(move || async move { asked.load(Relaxed).to_string() }));
    super::peers::listen(router).await;
}

fn json(body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], body)
}

fn posts() -> String {
    let post = |id: u32| {
        let user = (id - 1) % USERS + 1;
        format!(
            r#"{{"userId":{user},"id":{id},"title":"sunt aut facere repellat provident occaecati {id}","body":"quia et suscipit suscipit recusandae consequuntur expedita et cum reprehenderit molestiae ut ut quas totam nostrum rerum est autem sunt rem eveniet architecto"}}"#
        )
    };
    format!("[{}]", (1..=POSTS).map(post).collect::<Vec<_>>().join(","))
}

fn user(id: u32) -> String {
    format!(
        r#"{{"id":{id},"name":"Leanne Graham {id}","username":"Bret","email":"user{id}@example.com","address":{{"street":"Kulas Light","suite":"Apt. 556","city":"Gwenborough","zipcode":"92998-3874","geo":{{"lat":"-37.3159","lng":"81.1496"}}}},"phone":"1-770-736-8031 x56442","website":"hildegard.example"}}"#
    )
}

/// Objects of a usual size, each with a field that nobody asks for.
fn large() -> String {
    let mut list = String::from("[");
    let mut id = 0;
    while list.len() < LARGE {
        let comma = if id == 0 { "" } else { "," };
        write!(
            list,
            r#"{comma}{{"id":"{id}","title":"machine number {id} of the fleet","serial":"VCEC220ET00{id:07}","hours":{}.5,"active":true,"note":"parked"}}"#,
            id % 10_000
        )
        .unwrap();
        id += 1;
    }
    list.push(']');
    list
}
