//! The page for people: one document and the few files it uses, all of them in this component.
//!
//! It serves files and knows nobody: everything the page does it does with the caller's own token,
//! through the same GraphQL front door as any other client. The document allows itself nothing from
//! elsewhere (Content-Security-Policy), and no script or style inside it.

mod files;
#[cfg(target_arch = "wasm32")]
mod guest;

use monopod_sdk::http::{Method, Request, Response};

use files::File;

/// What the page may load and do: its own files, photos that the person chose (`blob:`), and
/// requests to where it came from. `wss:` is not named: `'self'` covers it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// The camera is used by the system's own dialogue, not by the page.
const PERMISSIONS: &str = "camera=(), microphone=(), geolocation=(), payment=(), usb=()";

/// Answers a request.
pub fn answer(request: &Request) -> Response {
    let method = request.method();
    if !matches!(method, Method::Get | Method::Head) {
        let answer = Response::new(405, TEXT, &b"This is a page: it can be read, and nothing else.\n"[..]);
        return locked(answer.header("allow", "GET, HEAD"));
    }
    let Some(file) = files::find(request.path()) else {
        return locked(Response::new(404, HTML, files::NOT_FOUND).header("cache-control", "no-cache"));
    };
    // Always asked for again, and answered with 304 while it is the same: a page and scripts of
    // two versions never meet.
    let tag = format!("\"{:016x}\"", file.digest);
    if request.header("if-none-match").is_some_and(|known| matches(&known, &tag)) {
        return unchanged(tag);
    }
    served(file).header("etag", tag).header("cache-control", "no-cache")
}

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

fn served(file: &File) -> Response {
    locked(Response::new(200, file.content_type, file.content))
}

/// A browser takes the headers of this answer over into the page it kept, so the policy is said
/// again: the front door would add its own, under which no script runs.
fn unchanged(tag: String) -> Response {
    let mut answer = Response::new(304, TEXT, &b""[..]);
    answer.headers.clear();
    locked(answer).header("etag", tag).header("cache-control", "no-cache")
}

fn locked(answer: Response) -> Response {
    answer
        .header("content-security-policy", POLICY)
        .header("permissions-policy", PERMISSIONS)
        .header("x-content-type-options", "nosniff")
        .header("referrer-policy", "no-referrer")
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin")
}

/// Whether a list of tags (RFC 9110, section 13.1.2) holds ours; weak ones count.
fn matches(known: &str, tag: &str) -> bool {
    known.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Response {
        answer(&Request::new(Method::Get, path))
    }

    fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
        response.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_ref())
    }

    fn text(response: &Response) -> &str {
        std::str::from_utf8(&response.body).unwrap()
    }

    #[test]
    fn the_page_is_served_with_a_strict_policy() {
        for path in ["/", "/?photo=1", "/index.html"] {
            let page = get(path);
            assert_eq!(page.status, 200, "{path}");
            assert_eq!(header(&page, "content-type"), Some(HTML));
            let policy = header(&page, "content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        }
    }

    #[test]
    fn the_page_has_nothing_inline_and_nothing_from_elsewhere() {
        let page = get("/");
        let page = text(&page);
        for forbidden in ["<style", "style=\"", "onclick=", "javascript:", "http://", "https://", "//cdn"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(
            page.split("<script")
                .skip(1)
                .all(|script| script.trim_start().starts_with("type=\"module\" src=\"/"))
        );
        for file in files::FILES {
            let content = std::str::from_utf8(file.content).unwrap();
            let scripted = file.path.ends_with(".js");
            for forbidden in ["innerHTML", "outerHTML", "document.write", "eval(", "insertAdjacentHTML"] {
                assert!(!scripted || !content.contains(forbidden), "{}: {forbidden}", file.path);
            }
            assert!(!file.path.ends_with(".css") || !content.contains("url("), "{}", file.path);
        }
    }

    #[test]
    fn everything_the_page_and_its_scripts_refer_to_is_there() {
        let mut referred = 0;
        for file in files::FILES {
            let content = std::str::from_utf8(file.content).unwrap();
            for (before, after) in [("src=\"", "\""), ("href=\"", "\""), ("from \"", "\"")] {
                for rest in content.split(before).skip(1) {
                    let target = rest.split(after).next().unwrap();
                    let target = target
                        .strip_prefix("./")
                        .map_or_else(|| target.to_owned(), |name| format!("/{name}"));
                    if target.starts_with('/') {
                        assert_eq!(get(&target).status, 200, "{} refers to {target}", file.path);
                        referred += 1;
                    }
                }
            }
        }
        assert!(referred > 5);
    }

    #[test]
    fn what_is_known_already_is_not_sent_again() {
        let page = get("/app.js");
        let tag = header(&page, "etag").unwrap();
        assert!(matches(tag, tag));
        assert!(matches(&format!("\"x\", W/{tag}"), tag));
        assert!(matches("*", tag));
        assert!(!matches("\"x\"", tag));
        assert_ne!(header(&get("/app.css"), "etag"), Some(tag));
        let unchanged = unchanged(tag.to_owned());
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
        for name in ["content-security-policy", "etag", "cache-control"] {
            assert_eq!(header(&unchanged, name), header(&page, name), "{name}");
        }
        assert_eq!(header(&unchanged, "content-type"), None);
    }

    #[test]
    fn other_paths_and_methods_are_refused_plainly() {
        let missing = get("/admin");
        assert_eq!((missing.status, header(&missing, "content-type")), (404, Some(HTML)));
        assert!(text(&missing).contains("href=\"/\""));
        for path in ["//", "/../", "/index.html/", "/page/app.js", "/%2e"] {
            assert_eq!(get(path).status, 404, "{path}");
        }
        for method in [Method::Post, Method::Put, Method::Delete, Method::Options, Method::Other] {
            let refused = answer(&Request::new(method, "/"));
            assert_eq!((refused.status, header(&refused, "allow")), (405, Some("GET, HEAD")));
        }
        assert_eq!(answer(&Request::new(Method::Head, "/")).status, 200);
    }
}
