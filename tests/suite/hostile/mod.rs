//! Hostile and broken components. Each test has a component misbehave beside a
//! store in use, and asserts the error that the caller gets; `scene` asserts
//! after each that nobody else has noticed: others read and write, the session
//! can be used again, and the store verifies clean.

mod answers;
mod buffers;
mod command;
mod damage;
mod guest;
mod loading;
mod memory;
mod scene;
mod time;
mod transactions;
