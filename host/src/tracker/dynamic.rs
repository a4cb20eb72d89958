//! Calls by name, for command lines and scripts.

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Func, Type, Val};

use super::session::{Linked, Session};
use super::{Deadline, Error, INTERFACE, Result, Tracker};
use crate::bindings::galaxybrain::tracker::store as wit_store;

/// A parameter of a function.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// A function of the tracker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Signature {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub params: Vec<Param>,
    /// What it returns when it succeeds, if anything.
    pub result: Option<Type>,
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}(", self.name)?;
        for (position, param) in self.params.iter().enumerate() {
            let comma = if position > 0 { ", " } else { "" };
            write!(f, "{comma}{}: {}", param.name, type_name(&param.ty))?;
        }
        f.write_str(")")?;
        match &self.result {
            Some(result) => write!(f, " -> {}", type_name(result)),
            None => Ok(()),
        }
    }
}

/// A type as WIT writes it; records, variants and enums by their shape.
pub(crate) fn type_name(ty: &Type) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match ty {
        Type::Bool => "bool".into(),
        Type::S8 => "s8".into(),
        Type::U8 => "u8".into(),
        Type::S16 => "s16".into(),
        Type::U16 => "u16".into(),
        Type::S32 => "s32".into(),
        Type::U32 => "u32".into(),
        Type::S64 => "s64".into(),
        Type::U64 => "u64".into(),
        Type::Float32 => "f32".into(),
        Type::Float64 => "f64".into(),
        Type::Char => "char".into(),
        Type::String => "string".into(),
        Type::List(list) => format!("list<{}>", type_name(&list.ty())),
        Type::Option(option) => format!("option<{}>", type_name(&option.ty())),
        Type::Tuple(tuple) => format!("tuple<{}>", join(tuple.types().map(|ty| type_name(&ty)).collect())),
        Type::Record(record) => {
            let fields = record.fields().map(|field| format!("{}: {}", field.name, type_name(&field.ty)));
            format!("{{{}}}", join(fields.collect()))
        }
        Type::Enum(cases) => cases.names().collect::<Vec<_>>().join("|"),
        Type::Variant(variant) => {
            let cases = variant.cases().map(|case| match case.ty {
                Some(ty) => format!("{}({})", case.name, type_name(&ty)),
                None => case.name.to_owned(),
            });
            cases.collect::<Vec<_>>().join("|")
        }
        _ => "?".into(),
    }
}

impl Tracker {
    /// The functions of the component, in the order of the interface.
    pub fn functions(&self) -> Vec<Signature> {
        let (Linked { component, .. }, _) = self.shared.code.current();
        let engine = component.engine();
        let Some(ComponentItem::ComponentInstance(interface)) =
            component.component_type().get_export(engine, INTERFACE).map(|export| export.ty)
        else {
            return Vec::new();
        };
        interface
            .exports(engine)
            .filter_map(|(name, item)| match item.ty {
                ComponentItem::ComponentFunc(function) if is_data(&function) => Some(Signature {
                    name: name.to_owned(),
                    params: function.params().map(|(name, ty)| Param { name: name.to_owned(), ty }).collect(),
                    result: function.results().next().and_then(|result| match result {
                        Type::Result(result) => result.ok(),
                        other => Some(other),
                    }),
                }),
                _ => None,
            })
            .collect()
    }

    /// Calls a function by name. The answer is what it returns when it
    /// succeeds, if that is anything.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchFunction`], [`Error::InvalidArgument`] if number or types
    /// of the arguments do not fit, and whatever the function answers.
    pub fn call_dynamic(&mut self, name: &str, arguments: &[Val]) -> Result<Option<Val>> {
        match name {
            // These have state on this side.
            "begin-batch" => return self.begin_batch().map(|()| None),
            "end-batch" => return self.end_batch().map(|()| None),
            "abort-batch" => return self.abort_batch().map(|()| None),
            _ => {}
        }
        let deadline = if is_bulk(name) { Deadline::Bulk } else { Deadline::Call };
        self.call(name, deadline, |session| {
            let function = match session.function(name, arguments) {
                Ok(function) => function,
                Err(unfit) => return Ok(Err(unfit)),
            };
            let mut results = vec![Val::Bool(false); function.ty(&session.store).results().len()];
            function.call(&mut session.store, arguments, &mut results)?;
            Ok(match results.pop() {
                Some(Val::Result(Ok(value))) => Ok(value.map(|value| *value)),
                Some(Val::Result(Err(error))) => Err(convert_error(error.map(|error| *error))),
                // No function of the tracker's, but a component may have more.
                other => Ok(other),
            })
        })
    }
}

impl Session {
    /// A function that takes these arguments; so far only their number is looked at.
    fn function(&mut self, name: &str, arguments: &[Val]) -> Result<Func> {
        let store = &mut self.store;
        let function = self
            .instance
            .get_export_index(&mut *store, None, INTERFACE)
            .and_then(|interface| self.instance.get_export_index(&mut *store, Some(&interface), name))
            .and_then(|index| self.instance.get_func(&mut *store, index))
            .ok_or_else(|| Error::NoSuchFunction(name.to_owned()))?;
        let takes = function.ty(&*store);
        if takes.params().len() != arguments.len() {
            let message = format!("{name} takes {} arguments, not {}", takes.params().len(), arguments.len());
            return Err(Error::InvalidArgument(message));
        }
        if !is_data(&takes) {
            let message = format!("{name} takes or returns handles, which have no meaning outside of a component");
            return Err(Error::InvalidArgument(message));
        }
        Ok(function)
    }
}

/// True if a function takes and returns plain values and no handles.
fn is_data(function: &ComponentFunc) -> bool {
    function.params().map(|(_, ty)| ty).chain(function.results()).all(|ty| is_plain(&ty))
}

fn is_plain(ty: &Type) -> bool {
    match ty {
        Type::List(list) => is_plain(&list.ty()),
        Type::Record(record) => record.fields().all(|field| is_plain(&field.ty)),
        Type::Tuple(tuple) => tuple.types().all(|ty| is_plain(&ty)),
        Type::Variant(variant) => variant.cases().all(|case| case.ty.is_none_or(|ty| is_plain(&ty))),
        Type::Option(option) => is_plain(&option.ty()),
        Type::Result(result) => [result.ok(), result.err()].into_iter().flatten().all(|ty| is_plain(&ty)),
        Type::Bool | Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 | Type::S64 | Type::U64 => {
            true
        }
        Type::Float32 | Type::Float64 | Type::Char | Type::String | Type::Enum(_) | Type::Flags(_) => true,
        _ => false,
    }
}

/// Functions whose work grows with the store or with the argument.
pub(super) fn is_bulk(name: &str) -> bool {
    matches!(
        name,
        "verify"
            | "reindex"
            | "import-rows"
            | "clear-pattern-caches"
            | "clear-checkpoints"
            | "clear-transcript-positions"
            | "evict-patterns-by-ttl"
            | "update-vector-offsets"
            | "upsert-files"
            | "delete-files"
    )
}

/// The component's error variant from its value.
fn convert_error(error: Option<Val>) -> Error {
    let text = |payload: Option<Box<Val>>| match payload.map(|payload| *payload) {
        Some(Val::String(text)) => text,
        other => format!("{other:?}"),
    };
    match error {
        Some(Val::Variant(case, payload)) => match case.as_str() {
            "invalid-argument" => Error::InvalidArgument(text(payload)),
            "key-conflict" => Error::KeyConflict(text(payload)),
            "corrupt" => Error::Corrupt(text(payload)),
            "incompatible" => Error::Incompatible(text(payload)),
            "store" => convert_store_error(payload.map(|payload| *payload)),
            other => Error::Store(format!("unknown error {other}")),
        },
        other => Error::Store(format!("unknown error {other:?}")),
    }
}

fn convert_store_error(error: Option<Val>) -> Error {
    use wit_store::Error as E;
    let Some(Val::Variant(case, payload)) = error else { return Error::Store(format!("unknown error {error:?}")) };
    let payload = payload.map(|payload| *payload);
    let error = match (case.as_str(), payload) {
        ("not-found", _) => E::NotFound,
        ("map-full", _) => E::MapFull,
        ("key-size", Some(Val::U32(max))) => E::KeySize(max),
        ("value-too-large", Some(Val::U64(max))) => E::ValueTooLarge(max),
        ("read-only", _) => E::ReadOnly,
        ("conflict", _) => E::Conflict,
        ("too-many-transactions", Some(Val::U32(max))) => E::TooManyTransactions(max),
        ("foreign", _) => E::Foreign,
        ("closed", _) => E::Closed,
        ("corrupted", Some(Val::String(what))) => E::Corrupted(what),
        (_, Some(Val::String(what))) => E::Other(what),
        (case, payload) => E::Other(format!("{case} {payload:?}")),
    };
    error.into()
}
