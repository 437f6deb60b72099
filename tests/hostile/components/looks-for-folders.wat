;; Asks for the folders that are opened for it. None: it traps. Any: it spins.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $out))
  (import "wasi:filesystem/types@0.2.0" (instance $files
    (export "descriptor" (type (sub resource)))))
  (alias export $files "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.0" (instance $folders
    (alias outer 1 $descriptor (type $outer))
    (export "descriptor" (type $own (eq $outer)))
    (export "get-directories" (func (result (list (tuple (own $own) string)))))))
  (core module $room
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $room (instantiate $room))
  (core func $get (canon lower (func $folders "get-directories")
    (memory $room "memory") (realloc (func $room "realloc"))))
  (core module $code
    (import "host" "memory" (memory 1))
    (import "host" "get" (func $get (param i32)))
    (func (export "handle") (param i32 i32)
      (call $get (i32.const 1024))
      (if (i32.load offset=4 (i32.const 1024)) (then (loop $again (br $again))))
      unreachable))
  (core instance $code (instantiate $code
    (with "host" (instance
      (export "memory" (memory $room "memory"))
      (export "get" (func $get))))))
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
