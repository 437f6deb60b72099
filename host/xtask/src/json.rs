//! Short ways into JSON that other programs wrote. What is not there is empty, never an error:
//! the programs are newer or older than this one, and the caller asks for what it needs.

use serde_json::Value;

/// The value at a path such as `/target/name`.
pub fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

/// The text at a path.
pub fn text<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    at(value, path).as_str()
}

/// The elements of the list at a path.
pub fn list<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = &'v Value> {
    at(value, path).as_array().into_iter().flatten()
}

/// Those of its elements that are texts.
pub fn texts<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = &'v str> {
    list(value, path).filter_map(Value::as_str)
}

/// Whether a list of texts has this one.
pub fn has(value: &Value, path: &str, word: &str) -> bool {
    texts(value, path).any(|text| text == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_there_is_empty() {
        let value = json!({"target": {"name": "web", "kind": ["cdylib", 7, "rlib"]}});
        assert_eq!(text(&value, "/target/name"), Some("web"));
        assert_eq!(text(&value, "/target/kind"), None);
        assert_eq!(texts(&value, "/target/kind").collect::<Vec<_>>(), ["cdylib", "rlib"]);
        assert!(has(&value, "/target/kind", "rlib") && !has(&value, "/target/kind", "bin"));
        assert_eq!(list(&value, "/nothing/here").count(), 0);
    }
}
