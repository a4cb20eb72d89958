//! Component values as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tracker_host::wasmtime::component::{Type, Val};

/// A value as JSON, given its type: names as in WIT, none → null, u64 exact,
/// `list<u8>` → base64, floats that JSON cannot write → "inf", "-inf", "nan".
pub fn from_val(value: &Val, ty: &Type) -> Value {
    match (value, ty) {
        (Val::Bool(value), _) => json!(value),
        (Val::S8(value), _) => json!(value),
        (Val::U8(value), _) => json!(value),
        (Val::S16(value), _) => json!(value),
        (Val::U16(value), _) => json!(value),
        (Val::S32(value), _) => json!(value),
        (Val::U32(value), _) => json!(value),
        (Val::S64(value), _) => json!(value),
        (Val::U64(value), _) => json!(value),
        (Val::Float32(value), _) => float(f64::from(*value)),
        (Val::Float64(value), _) => float(*value),
        (Val::Char(value), _) => json!(value),
        (Val::String(value), _) => json!(value),
        (Val::Enum(case), _) => json!(case),
        (Val::Flags(flags), _) => json!(flags),
        (Val::List(items), Type::List(list)) => match list.ty() {
            Type::U8 => {
                let bytes: Vec<u8> =
                    items.iter().filter_map(|item| if let Val::U8(byte) = item { Some(*byte) } else { None }).collect();
                Value::String(STANDARD.encode(bytes))
            }
            ty => items.iter().map(|item| from_val(item, &ty)).collect(),
        },
        (Val::Tuple(items), Type::Tuple(tuple)) => {
            items.iter().zip(tuple.types()).map(|(item, ty)| from_val(item, &ty)).collect()
        }
        (Val::Record(fields), Type::Record(record)) => {
            let mut object = Map::new();
            for ((name, value), field) in fields.iter().zip(record.fields()) {
                object.insert(name.clone(), from_val(value, &field.ty));
            }
            Value::Object(object)
        }
        (Val::Option(None), _) => Value::Null,
        (Val::Option(Some(value)), Type::Option(option)) => from_val(value, &option.ty()),
        (Val::Variant(case, payload), Type::Variant(variant)) => {
            let ty = variant.cases().find(|given| given.name == case).and_then(|given| given.ty);
            match (payload, ty) {
                (Some(payload), Some(ty)) => json!({ case: from_val(payload, &ty) }),
                _ => json!(case),
            }
        }
        (Val::Result(result), Type::Result(ty)) => {
            let (case, payload, ty) = match result {
                Ok(payload) => ("ok", payload, ty.ok()),
                Err(payload) => ("error", payload, ty.err()),
            };
            let payload = payload.as_deref().zip(ty).map_or(Value::Null, |(value, ty)| from_val(value, &ty));
            json!({ case: payload })
        }
        (other, _) => json!(format!("{other:?}")),
    }
}

fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| json!(value.to_string().to_lowercase()), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_floats_always_valid_json() {
        assert_eq!(from_val(&Val::U64(u64::MAX), &Type::U64).to_string(), "18446744073709551615");
        assert_eq!(from_val(&Val::Float64(0.1), &Type::Float64).to_string(), "0.1");
        assert_eq!(from_val(&Val::Float64(f64::NEG_INFINITY), &Type::Float64).to_string(), "\"-inf\"");
        assert_eq!(from_val(&Val::Float64(f64::NAN), &Type::Float64).to_string(), "\"nan\"");
    }
}
