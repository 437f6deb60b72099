//! Every code that a client can meet is in `docs/errors.md`.

use std::fmt::Write;
use std::path::Path;

use monopod_graph::CODES;

#[test]
fn the_page_of_errors_has_every_code() {
    let mut page = String::from(
        "# What clients are told\n\nEvery error of the GraphQL interface has a code in `extensions.code`. Codes are stable; texts are not. A\n\
         component's own codes (`[A-Z0-9_]{1,64}`) come besides these. This page is made from the sources and compared by a test\n\
         (`UPDATE=1` writes it).\n\n| code | means | what to do |\n|---|---|---|\n",
    );
    for (code, means, todo) in CODES {
        let means: Vec<_> = means.iter().map(|line| line.trim()).collect();
        writeln!(page, "| `{code}` | {} | {todo} |", means.join(" ")).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), page);
}
