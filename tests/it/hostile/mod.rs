//! What somebody else puts in tallyd's way, on purpose or not: files that are none, links, names that drive
//! terminals and spreadsheets, folders that others may write in, servers that echo keys, lines as no client
//! writes them. Nothing waits for ever, nothing leaves its place, no total changes.

mod files;
mod inputs;
mod names;
mod outputs;
mod secrets;
mod server;
mod state;
