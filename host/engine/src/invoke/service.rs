//! `wasi:http` 0.3: calling an asynchronous handler in an instance of its own.
//!
//! What the guest does after it has answered belongs to the call: the call ends when nothing of
//! it is left to do, and only then is its unit of work complete.

use bytes::Bytes;
use monopod_core::Body;
use wasmtime::Store;
use wasmtime::component::Instance;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::exports::wasi::http::handler::GuestIndices;

use super::call::Ran;
use super::http::whole;
use crate::guest::Guest;

/// Calls the handler, and gathers its response while the guest writes it.
pub(super) async fn answer(
    mut store: Store<Guest>,
    instance: Instance,
    handler: &GuestIndices,
    request: ::http::Request<Bytes>,
) -> Ran<::http::Response<Body>> {
    let loaded = store.data().loaded.clone();
    let head = request.method() == ::http::Method::HEAD;
    let guest = handler.load(&mut store, &instance)?;
    let http = store.data_mut().http();
    // How sending the request went is of no use to us: we have all of it already.
    let (request, _sent) = Request::from_http(http.hooks, request.map(http_body_util::Full::new));
    let request = http.table.push(request)?;
    let response = store
        .run_concurrent(async |accessor| {
            let response = match guest.call_handle(accessor, request).await? {
                Ok(response) => response,
                Err(code) => {
                    return Err(wasmtime::Error::msg(format!("it answered with the error {code:?}")));
                }
            };
            let response = accessor.with(|mut access| {
                let response = access.data_mut().http().table.delete(response)?;
                response.into_http(&mut access, async { Ok(()) })
            })?;
            let (parts, body) = response.into_parts();
            let response = whole(parts, body, head, &loaded).await?;
            std::future::poll_fn(|task| accessor.poll_no_interesting_tasks(task)).await;
            Ok(response)
        })
        .await??;
    Ok((response, store.into_data().unit))
}
