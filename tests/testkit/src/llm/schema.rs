//! The rules that both protocols have for the schema of structured output. Must follow the stricter one.

use serde_json::Value;

/// Says what is wrong with a schema; both providers want every object closed.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let Some(object) = schema.as_object() else {
        return Err("schema must be an object".to_owned());
    };
    if let Some(keyword) = ["minItems", "maxItems", "minLength", "maxLength"]
        .iter()
        .find(|key| object.contains_key(**key))
    {
        return Err(format!("'{keyword}' is not supported"));
    }
    match object.get("type").and_then(Value::as_str) {
        Some("object") => check_object(schema),
        Some("array") => check(object.get("items").unwrap_or(&Value::Null)),
        Some("string" | "number" | "integer" | "boolean") => Ok(()),
        other => Err(format!("type {other:?} is not supported")),
    }
}

fn check_object(schema: &Value) -> Result<(), String> {
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err("'additionalProperties' is required to be supplied and to be false".to_owned());
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array);
    for (name, property) in properties.into_iter().flatten() {
        if !required.is_some_and(|required| required.iter().any(|one| one == name)) {
            return Err(format!(
                "'required' must include every key in properties. Missing '{name}'"
            ));
        }
        check(property)?;
    }
    Ok(())
}
