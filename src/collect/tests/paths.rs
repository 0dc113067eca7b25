//! What the path of a log says.

use super::*;
use crate::collect::plan::is_agent_file;
use crate::ledger::session_of;
use pretty_assertions::assert_eq;

#[test]
fn a_path_names_the_session_and_the_sub_agent() {
    let cases = [
        ("/p/-a/5e55.jsonl", "5e55", false),
        ("/p/-a/agent-1f.jsonl", "agent-1f", true),
        ("/p/-a/5e55/subagents/agent-1f.jsonl", "5e55", true),
        ("/p/-a/5e55/subagents/workflows/wf_1/agent-1f.jsonl", "5e55", true),
        ("/p/-a/5e55/subagents/other.jsonl", "5e55", false),
        ("subagents/agent-1f.jsonl", "agent-1f", true),
        ("/p/-a/not-agent-1.jsonl", "not-agent-1", false),
    ];
    for (path, session, agent) in cases {
        let path = Path::new(path);
        assert_eq!((session_of(path).as_str(), is_agent_file(path)), (session, agent), "{}", path.display());
    }
}

#[test]
fn the_folder_below_the_root_is_the_projects() {
    let mut sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.log("s/subagents")).unwrap();
    sandbox.write("s/subagents/agent-1.jsonl", &line("A", 1));
    sandbox.pass();
    let folder = |sandbox: &Sandbox| {
        LedgerReader::open(&sandbox.state()).unwrap().sessions().unwrap()[0].folder.clone()
    };
    assert_eq!(folder(&sandbox), "-project");
    let mut sandbox = Sandbox::new();
    fs::write(sandbox.folder.path().join("logs/s.jsonl"), line("A", 1)).unwrap();
    sandbox.pass();
    assert_eq!(folder(&sandbox), "", "a log beside the projects is of none");
}
