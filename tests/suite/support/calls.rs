//! Calls by name with JSON arguments and answers, names in snake_case.

use serde_json::{Map, Value, json};
use tracker_host::wasmtime::component::{Type, Val};
use tracker_host::{Error, Tracker};

/// Calls a function; parameters that are not given are none or empty.
pub fn try_call(tracker: &mut Tracker, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let name = name.replace('_', "-");
    let signature = tracker.functions().into_iter().find(|function| function.name == name);
    let signature = signature.unwrap_or_else(|| panic!("there is no function {name}"));
    assert_eq!(arguments.len(), signature.params.len(), "{signature}");
    let values: Vec<Val> =
        arguments.iter().zip(&signature.params).map(|(argument, param)| to_val(argument, &param.ty)).collect();
    let answer = tracker.call_dynamic(&name, &values)?;
    Ok(answer.map_or(Value::Null, |answer| from_val(&answer)))
}

/// Calls a function that succeeds.
pub fn call(tracker: &mut Tracker, name: &str, arguments: &[Value]) -> Value {
    try_call(tracker, name, arguments).unwrap_or_else(|error| panic!("{name}({arguments:?}): {error:?}"))
}

/// All items of a paged list.
pub fn pages(tracker: &mut Tracker, name: &str, before: &[Value], limit: u64) -> Vec<Value> {
    let mut items = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut arguments = before.to_vec();
        arguments.extend([after, json!(limit)]);
        let mut page = call(tracker, name, &arguments);
        items.append(page["items"].as_array_mut().unwrap());
        after = page["next"].take();
        if after.is_null() {
            return items;
        }
    }
}

fn to_val(value: &Value, ty: &Type) -> Val {
    let wrong = || -> ! { panic!("{value} is not of type {ty:?}") };
    match ty {
        Type::Bool => Val::Bool(value.as_bool().unwrap_or_else(|| wrong())),
        Type::U8 => Val::U8(value.as_u64().and_then(|n| n.try_into().ok()).unwrap_or_else(|| wrong())),
        Type::U32 => Val::U32(value.as_u64().and_then(|n| n.try_into().ok()).unwrap_or_else(|| wrong())),
        Type::U64 => Val::U64(value.as_u64().unwrap_or_else(|| wrong())),
        Type::S64 => Val::S64(value.as_i64().unwrap_or_else(|| wrong())),
        Type::Float64 => Val::Float64(value.as_f64().unwrap_or_else(|| wrong())),
        Type::String => Val::String(value.as_str().unwrap_or_else(|| wrong()).to_owned()),
        Type::Option(_) if value.is_null() => Val::Option(None),
        Type::Option(option) => Val::Option(Some(Box::new(to_val(value, &option.ty())))),
        Type::List(list) => {
            let items = value.as_array().unwrap_or_else(|| wrong());
            Val::List(items.iter().map(|item| to_val(item, &list.ty())).collect())
        }
        _ => wrong(),
    }
}

/// A value as JSON; floats that JSON cannot write as the manifests do: `{"$f64": bits}`.
pub fn from_val(value: &Val) -> Value {
    match value {
        Val::Bool(value) => json!(value),
        Val::U8(value) => json!(value),
        Val::U32(value) => json!(value),
        Val::U64(value) => json!(value),
        Val::S64(value) => json!(value),
        Val::Float64(value) if value.is_finite() => json!(value),
        Val::Float64(value) => json!({ "$f64": format!("{:016x}", value.to_bits()) }),
        Val::String(value) => json!(value),
        Val::Enum(value) => json!(value),
        Val::Option(None) => Value::Null,
        Val::Option(Some(value)) => from_val(value),
        Val::List(items) | Val::Tuple(items) => items.iter().map(from_val).collect(),
        Val::Record(fields) => Value::Object(
            fields.iter().map(|(name, value)| (name.replace('-', "_"), from_val(value))).collect::<Map<_, _>>(),
        ),
        Val::Variant(case, payload) => json!({ case.replace('-', "_"): payload.as_deref().map(from_val) }),
        other => panic!("unexpected value {other:?}"),
    }
}
