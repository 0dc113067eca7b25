//! Every input of `fuzz/corpus` through the properties of its fuzz target, with the ordinary toolchain: what
//! fuzzing has found once stays found.
#![cfg(test)]

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "they are a library where cargo-fuzz builds them")]
mod properties;

/// Runs the inputs of a target; the path of the one that fails is on stdout.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be listed").path();
        println!("{}", path.display());
        check(&fs::read(&path).expect("a file can be read"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
    check(b"");
}

#[test]
fn however_lines_are_cut_into_reads_they_are_the_same() {
    replay("lines", properties::lines::check);
}

#[test]
fn what_is_counted_of_a_line_is_what_a_simple_reading_counts() {
    replay("record", properties::record::check);
}

#[test]
fn a_price_file_is_refused_or_prices_exactly() {
    replay("prices", properties::prices::check);
}

#[test]
fn settings_are_refused_or_within_their_limits() {
    replay("config", properties::config::check);
}

#[test]
fn an_answer_acknowledges_only_what_it_names() {
    replay("answers", properties::answers::check);
}
