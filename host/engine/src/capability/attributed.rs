//! Host calls of components of which several calls run in one instance: each is made as the call
//! it belongs to. Only what differs from call to call is here; clocks are the same for all.
//!
//! The generated linking gives the store's data and no more, from which nobody can tell the call;
//! so these are linked by hand, over the same implementations.

use wasmtime::component::{Access, Linker, Resource};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::DynOutputStream;
use wasmtime_wasi::p2::bindings::io::streams;
use wasmtime_wasi::p3::bindings::cli::{stderr, stdout};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types as p2;
use wasmtime_wasi_http::p3::bindings::http::client;
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

use crate::bindings::monopod::{blobs, identity, messaging, state, timers};
use crate::guest::{Guest, calling};

/// A function that ends before anything else of its instance goes on.
macro_rules! sync {
    ($into:ident, $interface:path, $name:literal, $method:ident($($arg:ident: $kind:ty),*)) => {
        $into.func_wrap($name, |mut store: StoreContextMut<'_, Guest>, ($($arg,)*): ($($kind,)*)| {
            let guest = calling(&mut store).called();
            <Guest as $interface>::$method(guest, $($arg),*).map(|answer| (answer,))
        })?
    };
}

/// One that may wait. Nothing else of its instance goes on until it has ended.
macro_rules! wait {
    ($into:ident, $interface:path, $name:literal, $method:ident($($arg:ident: $kind:ty),*)) => {
        $into.func_wrap_async($name, |mut store: StoreContextMut<'_, Guest>, ($($arg,)*): ($($kind,)*)| {
            Box::new(async move {
                let guest = calling(&mut store).called();
                <Guest as $interface>::$method(guest, $($arg),*).await.map(|answer| (answer,))
            })
        })?
    };
}

/// The packages of monopod.
pub(super) fn add_monopod(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut caller = linker.instance("monopod:identity/caller@0.1.0")?;
    sync!(caller, identity::caller::Host, "current", current());
    sync!(caller, identity::caller::Host, "correlation-id", correlation_id());

    use state::buckets::{Host, Range, Window};
    let mut buckets = linker.instance("monopod:state/buckets@0.1.0")?;
    wait!(buckets, Host, "get", get(bucket: String, key: String));
    sync!(buckets, Host, "set", set(bucket: String, key: String, value: Vec<u8>));
    sync!(buckets, Host, "set-for", set_for(bucket: String, key: String, value: Vec<u8>, ttl: u64));
    sync!(buckets, Host, "delete", delete(bucket: String, key: String));
    wait!(buckets, Host, "scan", scan(bucket: String, range: Range, limit: u32));
    wait!(buckets, Host, "scan-window", scan_window(bucket: String, window: Window, limit: u32));
    wait!(buckets, Host, "get-versioned", get_versioned(bucket: String, key: String));
    wait!(buckets, Host, "compare-and-set", compare_and_set(
        bucket: String, key: String, expected: Option<u64>, value: Option<Vec<u8>>
    ));

    use messaging::publisher;
    let mut messages = linker.instance("monopod:messaging/publisher@0.1.0")?;
    sync!(messages, publisher::Host, "publish", publish(message: publisher::Outgoing));

    let mut timer = linker.instance("monopod:timers/timers@0.1.0")?;
    sync!(timer, timers::timers::Host, "set", set(name: String, after: u64, payload: Vec<u8>));
    sync!(timer, timers::timers::Host, "cancel", cancel(name: String));

    use blobs::blobs as blob;
    let mut blobs = linker.instance("monopod:blobs/blobs@0.1.0")?;
    wait!(blobs, blob::Host, "stat", stat(container: String, key: String));
    wait!(blobs, blob::Host, "read", read(container: String, key: String, offset: u64, length: u64));
    sync!(blobs, blob::Host, "presign", presign(
        container: String, key: String, access: blob::Access, ttl: u32
    ));
    Ok(())
}

/// What of WASI is a call's own: requests that are sent, and lines that are printed. In place of
/// what is linked already.
pub(super) fn add_wasi(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:http/client@0.3.0")?.func_wrap_concurrent("send", |accessor, (request,)| {
        Box::pin(async move {
            // Where it goes and as whom is decided before it first waits.
            accessor.with(|mut access| {
                calling(&mut access.as_context_mut());
            });
            let accessor = accessor.with_getter::<WasiHttp>(Guest::http);
            let answer = <WasiHttp as client::HostWithStore<Guest>>::send(&accessor, request).await;
            let answer = match answer {
                Ok(response) => Ok(response),
                Err(error) => Err(accessor.with(|mut access| {
                    wasmtime_wasi_http::p3::bindings::http::types::Host::convert_error_code(
                        &mut access.get(),
                        error,
                    )
                })?),
            };
            Ok((answer,))
        })
    })?;
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, Guest>,
         (request, options): (Resource<p2::OutgoingRequest>, Option<Resource<p2::RequestOptions>>)| {
            let mut http = calling(&mut store).http();
            let answer = match outgoing_handler::Host::handle(&mut http, request, options) {
                Ok(response) => Ok(response),
                Err(error) => Err(p2::Host::convert_error_code(&mut http, error)?),
            };
            Ok((answer,))
        },
    )?;
    let mut output = linker.instance("wasi:io/streams@0.2.12")?;
    output.func_wrap(
        "[method]output-stream.write",
        |mut store: StoreContextMut<'_, Guest>, (stream, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
            let table = calling(&mut store).ctx().table;
            let answer = match streams::HostOutputStream::write(table, stream, bytes) {
                Ok(()) => Ok(()),
                Err(error) => Err(streams::Host::convert_stream_error(table, error)?),
            };
            Ok((answer,))
        },
    )?;
    output.func_wrap_async(
        "[method]output-stream.blocking-write-and-flush",
        |mut store: StoreContextMut<'_, Guest>, (stream, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
            Box::new(async move {
                let table = calling(&mut store).ctx().table;
                let written = streams::HostOutputStream::blocking_write_and_flush(table, stream, bytes).await;
                let answer = match written {
                    Ok(()) => Ok(()),
                    Err(error) => Err(streams::Host::convert_stream_error(table, error)?),
                };
                Ok((answer,))
            })
        },
    )?;
    linker.instance("wasi:cli/stdout@0.3.0")?.func_wrap(
        "write-via-stream",
        |mut store: StoreContextMut<'_, Guest>, (data,)| {
            calling(&mut store);
            let access = Access::<Guest, WasiCli>::new(store.as_context_mut(), Guest::cli);
            Ok((<WasiCli as stdout::HostWithStore<Guest>>::write_via_stream(access, data)?,))
        },
    )?;
    linker.instance("wasi:cli/stderr@0.3.0")?.func_wrap(
        "write-via-stream",
        |mut store: StoreContextMut<'_, Guest>, (data,)| {
            calling(&mut store);
            let access = Access::<Guest, WasiCli>::new(store.as_context_mut(), Guest::cli);
            Ok((<WasiCli as stderr::HostWithStore<Guest>>::write_via_stream(access, data)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
