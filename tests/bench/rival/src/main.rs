//! async-graphql's own server over the static upstream of `make bench NAME=graphql`, whose address
//! is its argument: `posts` with users looked up one by one, or by its loader. A program and a
//! workspace of its own, so that nothing of it is in what is shipped or tested.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what cannot be measured ends the program")]

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::{ComplexObject, Context, EmptyMutation, EmptySubscription, Object, Schema, SimpleObject};
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

// What the host has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves until it is killed. Prints its port first.
#[tokio::main]
async fn main() {
    let base = std::env::args().nth(1).expect("the address of the upstream");
    let upstream =
        Upstream { client: Client::builder(TokioExecutor::new()).build_http(), base: Arc::from(base) };
    let loader = DataLoader::new(upstream.clone(), tokio::spawn);
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription).data(upstream).data(loader).finish();
    let answer = move |question: Bytes| {
        let schema = schema.clone();
        async move {
            let request: async_graphql::Request = serde_json::from_slice(&question).unwrap();
            let response = schema.execute(request).await;
            ([(CONTENT_TYPE, "application/json")], serde_json::to_vec(&response).unwrap())
        }
    };
    let router = Router::new().route("/graphql", post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    axum::serve(listener, router).await.unwrap();
}

#[derive(Clone)]
struct Upstream {
    client: Client<HttpConnector, Empty<Bytes>>,
    base: Arc<str>,
}

impl Upstream {
    async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> T {
        let address = format!("{}{path}", self.base).parse().unwrap();
        let body = self.client.get(address).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }
}

struct Query;

#[Object]
impl Query {
    async fn posts(&self, context: &Context<'_>) -> Vec<Post> {
        context.data_unchecked::<Upstream>().get("/posts").await
    }
}

#[derive(SimpleObject, Deserialize)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
struct Post {
    id: i32,
    user_id: i32,
    title: String,
    body: String,
}

#[ComplexObject]
impl Post {
    async fn user(&self, context: &Context<'_>) -> User {
        context.data_unchecked::<Upstream>().get(&format!("/users/{}", self.user_id)).await
    }

    async fn batched(&self, context: &Context<'_>) -> Option<User> {
        let loader = context.data_unchecked::<DataLoader<Upstream>>();
        loader.load_one(self.user_id).await.unwrap()
    }
}

#[derive(SimpleObject, Deserialize, Clone)]
struct User {
    id: i32,
    name: String,
    email: String,
    phone: String,
}

impl Loader<i32> for Upstream {
    type Value = User;
    type Error = Arc<str>;

    async fn load(&self, keys: &[i32]) -> Result<HashMap<i32, User>, Self::Error> {
        let query: Vec<_> = keys.iter().map(|key| format!("id={key}")).collect();
        let users: Vec<User> = self.get(&format!("/users?{}", query.join("&"))).await;
        Ok(users.into_iter().map(|user| (user.id, user)).collect())
    }
}
