use super::*;

fn places(text: &str) -> Vec<Place> {
    text.split_terminator('\n').map(|it| it.trim().parse().unwrap()).collect()
}

fn asked(grants: &str, to: &str) -> Result<Permit, Refusal> {
    let unwritable = Refusal { to: to.into(), why: "no URI", fix: Fix::Instead("") };
    permit(&to.parse().map_err(|_| unwritable)?, &places(grants))
}

/// Whether a request goes where `grants` allow.
#[track_caller]
fn check(grants: &str, to: &str, good: bool) {
    let answer = asked(grants, to);
    assert_eq!(answer.is_ok(), good, "{to} by {grants}: {answer:?}");
}

#[test]
fn scheme_host_and_port_are_compared_exactly() {
    let grant = "https://vision.example/v1/";
    for good in [
        "https://vision.example/v1/",
        "https://vision.example/v1/images:annotate?key=x",
        "https://VISION.example:443/v1/a",
        "HTTPS://vision.example/v1/a",
    ] {
        check(grant, good, true);
    }
    for bad in [
        "http://vision.example/v1/",
        "https://vision.example:8443/v1/",
        "https://vision.example./v1/",
        "https://xvision.example/v1/",
        "https://vision.example.evil.test/v1/",
        "https://evil.test/v1/",
        "https://evil.test/https://vision.example/v1/",
        "https://vision.example@evil.test/v1/",
        "https://user:pass@vision.example/v1/",
        "https://vision.example%2eevil.test/v1/",
        "https://93.184.216.34/v1/",
        "ftp://vision.example/v1/",
    ] {
        check(grant, bad, false);
    }
    check("https://h.test:8443/", "https://h.test:8443/", true);
    check("https://h.test:8443/", "https://h.test/", false);
    check("http://[::1]:80/", "http://[::1]/", true);
    check("http://[::1]/", "http://[0:0:0:0:0:0:0:1]/", true);
    check("http://[::1]/", "http://[::2]/", false);
    check("http://127.0.0.1:9000/", "http://127.0.0.1:9000/a", true);
}

#[test]
fn what_a_resolver_would_take_for_an_address_is_none_and_no_name_either() {
    for host in
        ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "127.0.0.1.", "a.0x7f", "1.2.3.4.5", "::1"]
    {
        check("http://127.0.0.1/", &format!("http://{host}/"), false);
        assert!(format!("http://{host}/").parse::<Place>().is_err(), "{host}");
    }
}

#[test]
fn a_path_prefix_is_whole_segments() {
    for (grant, path, good) in [
        ("/v1/", "/v1/", true),
        ("/v1/", "/v1/a/b", true),
        ("/v1/", "/v1", false),
        ("/v1/", "/v10/", false),
        ("/v1/", "/V1/", false),
        ("/v1/", "/", false),
        ("/v1", "/v1", true),
        ("/v1", "/v1/a", true),
        ("/v1", "/v1?x=/v2", true),
        ("/v1", "/v10", false),
        ("/v1", "/v1.json", false),
        ("/", "/anything/../at/%2e%2e/all", true),
        ("/", "", true),
        ("/", "?q=1", true),
    ] {
        check(&format!("https://h.test{grant}"), &format!("https://h.test{path}"), good);
    }
}

#[test]
fn a_path_that_a_server_might_read_as_another_is_refused_below_a_prefix() {
    for bad in [
        "/v1/../admin",
        "/v1/./x",
        "/v1/..",
        "/v1/%2e%2e/admin",
        "/v1/%2E./admin",
        "/v1/.%2e/admin",
        "/v1/..%2fadmin",
        "/v1/%2e%2e%2fadmin",
        "/v1/%252e%252e/admin",
        "/v1/%25252e%25252e/admin",
        "/v1/%2525252e/admin",
        "/v1/..;/admin",
        "/v1/..;x=1/admin",
        "/v1/..%3b/admin",
        "/v1/a%00",
        "/v1/..%5cadmin",
    ] {
        check("https://h.test/v1/", &format!("https://h.test{bad}"), false);
        let refusal = asked("https://h.test/v1/", &format!("https://h.test{bad}")).unwrap_err();
        assert_eq!(refusal.why, "its path climbs out of what is granted", "{bad}");
    }
    for good in
        ["/v1/a%2fb", "/v1/...", "/v1/.well-known", "/v1/a..b", "/v1//a", "/v1/100%25", "/v1/%zz", "/v1/;x"]
    {
        check("https://h.test/v1/", &format!("https://h.test{good}"), true);
    }
}

#[test]
fn a_wildcard_is_for_names_below_and_not_for_the_name_itself() {
    let grant = "https://*.vision.example/";
    for (host, good) in [
        ("eu.vision.example", true),
        ("a.b.vision.example", true),
        ("vision.example", false),
        ("xvision.example", false),
        (".vision.example", false),
        ("eu.vision.example.evil.test", false),
    ] {
        check(grant, &format!("https://{host}/"), good);
    }
    for bad in
        ["https://*/", "https://*.com/", "https://a.*.example/", "https://*a.b.c/", "https://*.127.0.0.1/"]
    {
        assert!(bad.parse::<Place>().is_err(), "{bad}");
    }
}

#[test]
fn the_request_goes_where_it_was_checked_and_nothing_of_the_address_is_left_over() {
    let permit = asked("http://h.test:8080/a", "http://H.test:8080/a?b=c").unwrap();
    assert_eq!(permit.destination().to_string(), "http://h.test:8080");
    assert_eq!(permit.destination().authority(), "h.test:8080");
    assert_eq!(permit.target().as_str(), "/a?b=c");
    assert!(permit.networks().is_empty());
    let permit = asked("http://h.test/", "http://h.test?b").unwrap();
    assert_eq!((permit.target().as_str(), permit.destination().authority().as_str()), ("/?b", "h.test"));
    let permit = asked("http://s.svc:9200/ at 10.96.0.0/12, fd00::/8", "http://s.svc:9200/").unwrap();
    assert_eq!(permit.networks().len(), 2);
    let permit = asked("http://10.0.0.7/", "http://10.0.0.7/").unwrap();
    assert_eq!(permit.networks()[..], [Network::of("10.0.0.7".parse().unwrap())]);
}

#[test]
fn a_refusal_names_the_grant_and_no_secret() {
    let refusal = asked("", "https://vision.example/v1/images:annotate?key=SECRET").unwrap_err();
    assert_eq!(refusal.to, "https://vision.example/v1/images:annotate");
    assert_eq!(refusal.why, "not granted");
    assert_eq!(refusal.fix, Fix::Grant("https://vision.example/v1/".into()));
    let refusal = asked("", "https://u:SECRET@h.test/").unwrap_err();
    assert!(!format!("{refusal:?}").contains("SECRET"), "{refusal:?}");
    let refusal = asked("", "http://search.default.svc:9200/a/../b").unwrap_err();
    let Fix::Grant(fix) = refusal.fix else { panic!() };
    assert!(fix.starts_with("http://search.default.svc:9200/ at "), "{fix}");
}

#[test]
fn a_grant_is_written_in_one_way_and_what_could_be_misread_is_refused() {
    for (text, shown) in [
        ("https://h.test/", "https://h.test/"),
        ("https://H.test:443/v1", "https://h.test/v1"),
        ("http://[0::1]:9000/", "http://[::1]:9000/"),
        ("https://*.h.test:8443/", "https://*.h.test:8443/"),
        ("http://s.svc/ at 10.96.0.0/12,fd00::/8", "http://s.svc/ at 10.96.0.0/12, fd00::/8"),
        ("http://169.254.169.254/latest/", "http://169.254.169.254/latest/"),
    ] {
        assert_eq!(text.parse::<Place>().unwrap().to_string(), shown);
        assert_eq!(shown.parse::<Place>().unwrap().to_string(), shown);
    }
    for (bad, says) in [
        ("vision.example", "not an address"),
        ("ftp://h.test/", "neither"),
        ("https://h.test", "no path"),
        ("https://u@h.test/", "credentials"),
        ("https://h.test/?a", "query"),
        ("https://h.test/#a", "query"),
        ("https://h.test/a/../b", "path"),
        ("https://h.test/%61", "path"),
        ("https://h.test//", "path"),
        ("https://h.test/a b", "path"),
        ("https://h.test:0/", "host and port"),
        ("https://h.test:99999/", "host and port"),
        ("https://h.test:/", "host and port"),
        ("https:///", "host and port"),
        ("https://ä.test/", "host and port"),
        ("https://*.com/", "`*`"),
        ("http://storage.internal/", "call = [\"storage\"]"),
        ("http://10.0.0.1/ at 10.0.0.0/8", "leave out"),
        ("http://s.svc/ at 10.0.0.1/8", "write 10.0.0.0/8"),
        ("http://s.svc/ at ", "not a network"),
    ] {
        let error = bad.parse::<Place>().unwrap_err();
        assert!(error.contains(says), "{bad}: {error}");
    }
}

#[test]
fn a_need_is_met_by_a_grant_that_covers_it() {
    for (grant, need, good) in [
        ("https://h.test/v1/", "https://h.test/v1/", true),
        ("https://h.test/", "https://h.test/v1/", true),
        ("https://h.test/v1/", "https://h.test/", false),
        ("https://*.h.test/", "https://a.h.test/v1/", true),
        ("https://*.h.test/", "https://*.b.h.test/", true),
        ("https://a.h.test/", "https://*.h.test/", false),
        ("http://s.svc/ at 10.96.0.0/12", "http://s.svc/", true),
        ("http://h.test/", "https://h.test/", false),
        ("https://h.test:8443/", "https://h.test/", false),
    ] {
        let (grant, need): (Place, Place) = (grant.parse().unwrap(), need.parse().unwrap());
        assert_eq!(grant.covers(&need), good, "{grant} for {need}");
    }
}
