// An ordinary service in C, on the bindings that wit-bindgen makes: a greeting, and an echo.

#include <stdlib.h>
#include <string.h>
#include "proxy.h"

static void write_all(wasi_http_types_own_output_stream_t stream, const uint8_t *bytes, size_t length) {
  wasi_io_streams_borrow_output_stream_t out = wasi_io_streams_borrow_output_stream(stream);
  while (length > 0) {
    // The most that one call of this function may write.
    size_t most = length < 4096 ? length : 4096;
    proxy_list_u8_t chunk = {(uint8_t *)bytes, most};
    wasi_io_streams_stream_error_t error;
    if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(out, &chunk, &error)) return;
    bytes += most;
    length -= most;
  }
}

// The whole body; the caller frees it.
static uint8_t *read_all(wasi_http_types_borrow_incoming_request_t request, size_t *length) {
  uint8_t *bytes = NULL;
  *length = 0;
  wasi_http_types_own_incoming_body_t body;
  if (!wasi_http_types_method_incoming_request_consume(request, &body)) return bytes;
  wasi_http_types_own_input_stream_t stream;
  if (wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &stream)) {
    wasi_io_streams_borrow_input_stream_t in = wasi_io_streams_borrow_input_stream(stream);
    proxy_list_u8_t chunk;
    wasi_io_streams_stream_error_t error;
    while (wasi_io_streams_method_input_stream_blocking_read(in, 65536, &chunk, &error)) {
      bytes = realloc(bytes, *length + chunk.len);
      memcpy(bytes + *length, chunk.ptr, chunk.len);
      *length += chunk.len;
      proxy_list_u8_free(&chunk);
    }
    wasi_io_streams_input_stream_drop_own(stream);
  }
  wasi_http_types_incoming_body_drop_own(body);
  return bytes;
}

void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t request,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
  wasi_http_types_borrow_incoming_request_t asked = wasi_http_types_borrow_incoming_request(request);
  wasi_http_types_method_t method;
  wasi_http_types_method_incoming_request_method(asked, &method);
  size_t length = strlen("hello from c");
  uint8_t *answer = method.tag == WASI_HTTP_TYPES_METHOD_POST ? read_all(asked, &length)
                                                              : (uint8_t *)strdup("hello from c");

  wasi_http_types_own_outgoing_response_t response =
      wasi_http_types_constructor_outgoing_response(wasi_http_types_constructor_fields());
  wasi_http_types_own_outgoing_body_t body;
  wasi_http_types_method_outgoing_response_body(wasi_http_types_borrow_outgoing_response(response), &body);
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
  wasi_http_types_static_response_outparam_set(out, &result);

  wasi_http_types_own_output_stream_t stream;
  if (wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream)) {
    write_all(stream, answer, length);
    wasi_io_streams_output_stream_drop_own(stream);
  }
  wasi_http_types_error_code_t error;
  wasi_http_types_static_outgoing_body_finish(body, NULL, &error);
  free(answer);
}
