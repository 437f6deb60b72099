;; Spins where the host asks it for room, in the middle of a host call: the epoch must stop the
;; guest's code there too.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type $request (sub resource)))
    (export "response-outparam" (type (sub resource)))
    (export "[method]incoming-request.path-with-query"
      (func (param "self" (borrow $request)) (result (option string))))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $out))
  (core module $room
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (loop $again (br $again))
      unreachable))
  (core instance $room (instantiate $room))
  (core func $path (canon lower (func $types "[method]incoming-request.path-with-query")
    (memory $room "memory") (realloc (func $room "realloc"))))
  (core module $code
    (import "host" "path" (func $path (param i32 i32)))
    (func (export "handle") (param i32 i32) (call $path (local.get 0) (i32.const 1024))))
  (core instance $code (instantiate $code
    (with "host" (instance (export "path" (func $path))))))
  (func $handle (param "request" (own $request)) (param "response-out" (own $out))
    (canon lift (core func $code "handle")))
  (component $handler
    (import "request" (type $request (sub resource)))
    (import "out" (type $out (sub resource)))
    (import "handle" (func $handle (param "request" (own $request)) (param "response-out" (own $out))))
    (export "handle" (func $handle)))
  (instance $handler (instantiate $handler
    (with "request" (type $request)) (with "out" (type $out)) (with "handle" (func $handle))))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
