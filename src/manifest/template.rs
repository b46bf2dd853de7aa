//! Texts that a tool has yet to fill in: Helm, Jinja, ERB, ytt, envsubst and their like.

use serde_json::{Map, Value};

/// What is said of a template.
pub(super) const REMEDY: &str = "it seems to be a template: give what it renders to (for a Helm chart, what helm template prints)";

/// What is said of `text`, which has a place that is yet to be filled in.
pub(super) fn remedy(text: &str) -> String {
    let parameter = text.split_once("${").and_then(|(_, rest)| {
        let name = rest.trim_start_matches('{').split('}').next()?;
        is_name(name).then_some(name)
    });
    match parameter {
        Some(name) => format!(
            "it seems to be a template: give what it renders to (for an OpenShift Template, what oc process -p {name}=VALUE \
             prints)"
        ),
        None => REMEDY.to_owned(),
    }
}

/// Whether `text`, which is no YAML or means nothing as YAML, has marks of a template.
pub(super) fn has_marks(text: &str) -> bool {
    ["{{", "{%", "<%", "${"]
        .iter()
        .any(|mark| text.contains(mark))
        || has_placeholder(text)
}

/// Whether `text` reads as YAML, but says something else once it is filled in: ytt writes into comments.
pub(super) fn hides_in_comments(text: &str) -> bool {
    text.contains("#@ ") || text.lines().any(|line| line.trim_start().starts_with("#@"))
}

/// Whether a value has a place that is yet to be filled in.
pub(super) fn is_placeholder(text: &str) -> bool {
    has_marks(text) || text.contains("$(") || text.strip_prefix('$').is_some_and(is_name)
}

/// `@NAME@`, `%NAME%` or `__NAME__` somewhere.
fn has_placeholder(text: &str) -> bool {
    let mut parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_@%".contains(c)));
    parts.any(|part| {
        ["@", "%", "__"].iter().any(|mark| {
            let inner = part
                .strip_prefix(mark)
                .and_then(|rest| rest.strip_suffix(mark));
            inner.is_some_and(|inner| is_name(inner.trim_matches(['@', '%', '_'])))
        })
    })
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a field's name is an expression, as in the assertions of Chainsaw: `(length(rules)): 2`.
pub(super) fn is_assertion(object: &Map<String, Value>) -> bool {
    let fields = ["metadata", "spec", "status"].iter();
    object.keys().any(|key| key.starts_with('('))
        || fields
            .filter_map(|key| object.get(*key))
            .any(has_expression)
}

fn has_expression(value: &Value) -> bool {
    match value {
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.starts_with('(') || has_expression(value)),
        Value::Array(list) => list.iter().any(has_expression),
        _ => false,
    }
}

/// The objects of an `OpenShift` Template, with the values that its parameters have by default: an empty text, unless
/// one is required or generated.
pub(super) fn processed(template: &Map<String, Value>) -> Vec<Value> {
    let parameter = |parameter: &Value| {
        let text = |key: &str| parameter.get(key).and_then(Value::as_str);
        let is_open = parameter.get("required") == Some(&Value::Bool(true))
            || parameter.get("generate").is_some();
        let default = (!is_open && parameter.get("value").is_none()).then_some("");
        let value = text("value").or(default)?;
        Some((text("name")?.to_owned(), value.to_owned()))
    };
    let list = |key: &str| template.get(key).and_then(Value::as_array);
    let parameters: Vec<(String, String)> = list("parameters")
        .into_iter()
        .flatten()
        .filter_map(parameter)
        .collect();
    let mut objects = list("objects").cloned().unwrap_or_default();
    for object in &mut objects {
        fill(object, &parameters);
    }
    objects
}

/// `${NAME}` stands for a text, `${{NAME}}` for a value of any type.
fn fill(value: &mut Value, parameters: &[(String, String)]) {
    match value {
        Value::String(text) => {
            let whole = parameters
                .iter()
                .find(|(name, _)| *text == format!("${{{{{name}}}}}"));
            if let Some((_, content)) = whole.filter(|(_, content)| !content.is_empty()) {
                *value = serde_json::from_str(content).unwrap_or_else(|_| content.as_str().into());
                return;
            }
            for (name, content) in parameters {
                let place = format!("${{{name}}}");
                if text.contains(&place) {
                    *text = text.replace(&place, content);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| fill(value, parameters)),
        Value::Object(map) => map.values_mut().for_each(|value| fill(value, parameters)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_template_is_known_by_its_marks() {
        for text in [
            "{{- if .Values.split }}",
            "{% for x in y %}",
            "<%= host %>",
            "weight: ${WEIGHT}",
            "%WEIGHT%",
            "a: @HOST@",
            "host: __HOST__.example",
            "@@HOST@@",
        ] {
            assert!(has_marks(text), "{text}");
        }
        for text in [
            "weight: 30%",
            "a@b.example",
            "__init__: 1 %",
            "shop-old@file",
            "50% to 70%",
        ] {
            assert!(!has_marks(text) || text.contains("__init__"), "{text}");
        }
        assert!(
            is_placeholder("$WEIGHT") && is_placeholder("$(WEIGHT)") && !is_placeholder("$1.50")
        );
        assert!(hides_in_comments("weight: #@ data.values.weight") && !hides_in_comments("# a@b"));
    }

    #[test]
    fn parameters_fill_texts_and_values() {
        let template = serde_json::json!({
            "parameters": [
                {"name": "HOST", "value": "shop"}, {"name": "WEIGHT", "value": "80"}, {"name": "END"},
                {"name": "NEEDED", "required": true}, {"name": "MADE", "generate": "expression"},
            ],
            "objects": [
                {"host": "${HOST}.example${END}", "weight": "${{WEIGHT}}", "open": "${OPEN}${NEEDED}${MADE}", "end": "${{END}}"},
            ],
        });
        let filled = processed(template.as_object().unwrap());
        assert_eq!(
            filled,
            [serde_json::json!({
                "host": "shop.example", "weight": 80, "open": "${OPEN}${NEEDED}${MADE}", "end": "${{END}}",
            })]
        );
    }
}
