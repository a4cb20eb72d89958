//! Calls as text: WAVE expressions and JSON.

use wasmtime::component::wasm_wave;
use wasmtime::component::{Type, Val};

use crate::json;
use crate::tracker::Signature;

/// Why a text is no call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no such function.
    #[error("there is no function {name:?}{near}; `host call STORE --list` lists them all")]
    NoSuchFunction {
        /// The name that was given.
        name: String,
        /// A function to suggest, or nothing.
        near: String,
    },
    /// It begins like JSON and is none, or no call.
    #[error("it is not a call as JSON")]
    NotJson(#[source] serde_json::Error),
    /// It is no expression.
    #[error("{expression:?} is not a call: {reason}; the function is {signature}")]
    NotACall {
        /// What was given.
        expression: String,
        /// What the parser says.
        reason: String,
        /// The function's line in the interface.
        signature: String,
    },
    /// An argument is of another type.
    #[error("the arguments do not fit: {reason}; the function is {signature}")]
    Arguments {
        /// What the parser says.
        reason: String,
        /// The function's line in the interface.
        signature: String,
    },
    /// An argument in JSON is of another type.
    #[error("{param} does not fit; the function is {signature}")]
    Argument {
        /// Its name.
        param: String,
        /// The function's line in the interface.
        signature: String,
        /// What does not fit.
        #[source]
        source: Box<json::Unfit>,
    },
    /// There are too many or too few arguments.
    #[error("{given} arguments were given instead of {wanted}; the function is {signature}")]
    Count {
        /// Given.
        given: usize,
        /// Wanted.
        wanted: usize,
        /// The function's line in the interface.
        signature: String,
    },
}

/// A call's function and arguments. A text that begins with `{` is JSON:
/// `{"call": name, "args": […]}`; any other is a WAVE expression.
///
/// # Errors
///
/// See [`CallError`]; what is wrong with the arguments names the signature.
pub fn parse<'f>(text: &str, functions: &'f [Signature]) -> Result<(&'f Signature, Vec<Val>), CallError> {
    if text.trim_start().starts_with('{') { parse_json(text, functions) } else { parse_wave(text, functions) }
}

/// A call as JSON.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonCall {
    call: String,
    args: Vec<serde_json::Value>,
}

fn parse_json<'f>(text: &str, functions: &'f [Signature]) -> Result<(&'f Signature, Vec<Val>), CallError> {
    let given: JsonCall = serde_json::from_str(text).map_err(CallError::NotJson)?;
    let function = find(&given.call, functions)?;
    check_count(given.args.len(), function)?;
    let arguments = given.args.iter().zip(&function.params).map(|(argument, param)| {
        json::to_val(argument, &param.ty).map_err(|source| CallError::Argument {
            param: param.name.clone(),
            signature: signature(function),
            source: Box::new(source),
        })
    });
    Ok((function, arguments.collect::<Result<_, _>>()?))
}

fn parse_wave<'f>(text: &str, functions: &'f [Signature]) -> Result<(&'f Signature, Vec<Val>), CallError> {
    let function = find(text.split('(').next().unwrap_or_default().trim(), functions)?;
    let call = wasm_wave::untyped::UntypedFuncCall::parse(text).map_err(|error| CallError::NotACall {
        expression: text.to_owned(),
        reason: error.to_string(),
        signature: signature(function),
    })?;
    let types: Vec<Type> = function.params.iter().map(|param| param.ty.clone()).collect();
    let arguments = call
        .to_wasm_params::<Val>(&types)
        .map_err(|error| CallError::Arguments { reason: error.to_string(), signature: signature(function) })?;
    check_count(arguments.len(), function)?;
    Ok((function, arguments))
}

fn check_count(given: usize, function: &Signature) -> Result<(), CallError> {
    let wanted = function.params.len();
    if given == wanted { Ok(()) } else { Err(CallError::Count { given, wanted, signature: signature(function) }) }
}

fn find<'f>(name: &str, functions: &'f [Signature]) -> Result<&'f Signature, CallError> {
    let found = functions.iter().find(|function| function.name == name);
    found.ok_or_else(|| CallError::NoSuchFunction { name: name.to_owned(), near: nearest(name, functions) })
}

/// The interface that the built-in component exports.
const WIT: &str = include_str!("../../wit/tracker.wit");

/// A function's line in the interface, which has the names of the types; or
/// its shape, if another component exports it.
pub fn signature(function: &Signature) -> String {
    let start = format!("{}: func(", function.name);
    let line = WIT.lines().map(str::trim).find(|line| line.starts_with(&start));
    line.map_or_else(|| function.to_string(), |line| line.trim_end_matches(';').to_owned())
}

/// A function with a similar name, to suggest.
fn nearest(name: &str, functions: &[Signature]) -> String {
    let shared = |other: &str| {
        let words: Vec<&str> = other.split('-').collect();
        name.split(['-', '_']).filter(|word| words.contains(word)).count()
    };
    match functions.iter().max_by_key(|function| shared(&function.name)) {
        Some(function) if shared(&function.name) > 0 => format!("; did you mean {}", signature(function)),
        _ => String::new(),
    }
}
