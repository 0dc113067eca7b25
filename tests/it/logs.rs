//! A generator of session logs: sessions over many folders with replies that grow from line to line,
//! sub-agents in both layouts, their progress copies, forks that copy history, glued lines, and much
//! that must not count. Deterministic, and with each line goes what it says ([`Said`]), so that the
//! truth does not depend on any reader.
#![cfg(test)]

use crate::random::Random;
use crate::truth::{MODELS, Said, Tokens, Truth, UNPRICED, timestamp};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// 2026-09-01T00:00:00Z.
const FIRST_DAY: i64 = 1_788_220_800_000;

const WORDS: [&str; 12] =
    ["read", "the", "usage", "of", "each", "line", "and", "write", "a", "ledger", "größer", "\\\"quoted\\\""];

/// One line of one file, without its line end.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Below `projects/`.
    pub(crate) file: PathBuf,
    pub(crate) text: String,
    /// Empty for what must not count.
    pub(crate) says: Vec<Said>,
}

/// Lines in the order in which a client might have written them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) lines: Vec<Line>,
}

impl Tree {
    pub(crate) fn generate(seed: u64, sessions: usize) -> Self {
        let mut writer = Scribe { random: Random::new(seed), tree: Self::default() };
        (0..sessions).for_each(|_| writer.session());
        writer.tree
    }

    pub(crate) fn truth(&self) -> Truth {
        let mut truth = Truth::default();
        truth.hear(self.lines.iter().flat_map(|line| &line.says));
        truth
    }

    /// The files as they are in the end.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        for line in &self.lines {
            let bytes = files.entry(line.file.clone()).or_default();
            bytes.extend_from_slice(line.text.as_bytes());
            bytes.push(b'\n');
        }
        files
    }

    /// Writes all files at once.
    pub(crate) fn write(&self, projects: &Path) {
        for (file, bytes) in self.files() {
            let path = projects.join(file);
            fs::create_dir_all(path.parent().expect("has a folder")).expect("a folder can be made");
            fs::write(path, bytes).expect("a log can be written");
        }
    }
}

/// Where lines go, and under which names.
#[derive(Clone)]
struct Place {
    file: PathBuf,
    session: String,
    project: String,
    /// A sub-agent's id.
    agent: Option<String>,
    model: usize,
    now: i64,
}

struct Scribe {
    random: Random,
    tree: Tree,
}

impl Scribe {
    fn session(&mut self) {
        let project =
            format!("{}-{}", self.random.pick(&["alpha", "beta", "gamma"]), self.random.range(1, 4));
        let session = self.random.uuid();
        let file = PathBuf::from(format!("-home-dev-{project}/{session}.jsonl"));
        let now = FIRST_DAY + i64::try_from(self.random.range(0, 40 * 86_400_000)).expect("fits");
        let model = self.random.index(UNPRICED);
        let mut place = Place { file, session, project, agent: None, model, now };
        let first = self.tree.lines.len();
        for _ in 0..self.random.range(1, 4) {
            self.turn(&mut place);
        }
        if self.random.chance(40) {
            self.sub_agent(&mut place);
        }
        if self.random.chance(20) {
            self.fork(&mut place, first);
        }
    }

    /// A prompt, a few replies with their tool results, and what else a client writes.
    fn turn(&mut self, place: &mut Place) {
        let prompt = self.words(3, 60);
        self.say(place, "user", &format!(r#""message":{{"role":"user","content":"{prompt}"}}"#), vec![]);
        for _ in 0..self.random.range(1, 5) {
            self.reply(place);
            self.tool_result(place);
            if self.random.chance(30) {
                self.noise(place);
            }
        }
    }

    /// One response: a line for each content block, the output growing up to the last.
    fn reply(&mut self, place: &mut Place) {
        let message = format!("msg_01{}", self.random.base62(22));
        let request = format!("req_011{}", self.random.base62(21));
        let tokens = self.tokens();
        let lines = self.random.range(1, 4);
        for number in 1..=lines {
            let mut so_far = tokens;
            so_far[1] = if number == lines { tokens[1] } else { tokens[1] * number / (lines + 1) };
            self.block(place, (&message, &request), so_far, number == lines);
        }
        if self.random.chance(6) {
            self.glue(place);
        }
    }

    fn block(&mut self, place: &mut Place, (message, request): (&str, &str), tokens: Tokens, last: bool) {
        let text = self.words(2, 120);
        let content = match self.random.range(0, 2) {
            0 => format!(r#"{{"type":"text","text":"{text}"}}"#),
            1 => format!(
                r#"{{"type":"thinking","thinking":"{text}","signature":"{}"}}"#,
                self.random.base62(80)
            ),
            _ => format!(
                r#"{{"type":"tool_use","id":"toolu_01{}","name":"Push","input":{{"usage":{{"input_tokens":77,"output_tokens":77}},"text":"{text}"}}}}"#,
                self.random.base62(22)
            ),
        };
        let stop = if last { "\"tool_use\"" } else { "null" };
        let body = format!(
            r#""message":{{"model":"{}","id":"{message}","type":"message","role":"assistant","content":[{content}],"stop_reason":{stop},"stop_sequence":null,"usage":{}}},"requestId":"{request}""#,
            MODELS[place.model].name,
            usage(tokens)
        );
        let (model, session) = (place.model, place.session.clone());
        let at = place.now + 1;
        let said = Said { message: message.to_owned(), model, tokens, at, session };
        self.say(place, "assistant", &body, vec![said]);
    }

    /// Two records on one line, as an interrupted write leaves them.
    fn glue(&mut self, place: &mut Place) {
        self.reply_of_one_line(place);
        self.reply_of_one_line(place);
        let second = self.tree.lines.pop().expect("just written");
        let first = self.tree.lines.last_mut().expect("just written");
        first.text.push_str(&second.text);
        first.says.extend(second.says);
    }

    fn reply_of_one_line(&mut self, place: &mut Place) {
        let message = format!("msg_01{}", self.random.base62(22));
        let tokens = self.tokens();
        self.block(place, (&message, "req_011glued"), tokens, true);
    }

    fn tool_result(&mut self, place: &mut Place) {
        let words = if self.random.chance(3) { 6_000 } else { 200 };
        let output = self.words(5, words);
        let result = if self.random.chance(20) {
            format!(
                r#"{{"status":"completed","content":"{output}","totalTokens":9999,"usage":{}}}"#,
                usage([9, 9, 9, 9, 9])
            )
        } else {
            format!(r#"{{"stdout":"{output}","stderr":""}}"#)
        };
        let body = format!(
            r#""message":{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"toolu_01{}","content":"done"}}]}},"toolUseResult":{result}"#,
            self.random.base62(22)
        );
        self.say(place, "user", &body, vec![]);
    }

    fn noise(&mut self, place: &mut Place) {
        let text = self.words(2, 20);
        match self.random.range(0, 4) {
            0 => self.say(place, "system", r#""subtype":"turn_duration","durationMs":1234"#, vec![]),
            1 => self.say(place, "novelty", &format!(r#""anything":{{"usage":"{text}"}}"#), vec![]),
            2 => {
                let body = format!(
                    r#""isApiErrorMessage":true,"message":{{"id":"{}","model":"<synthetic>","role":"assistant","content":[],"usage":{}}}"#,
                    self.random.uuid(),
                    usage([0; 5])
                );
                self.say(place, "assistant", &body, vec![]);
            }
            3 => self.bare(place, &format!(r#"{{"type":"summary","summary":"{text}","leafUuid":null}}"#)),
            _ => self
                .bare(place, &format!(r#"{{"type":"assistant","message":{{"usage":{{"input_tokens":{text}"#)),
        }
    }

    /// A sub-agent with a file of its own; the parent's log embeds some of its lines in progress records.
    fn sub_agent(&mut self, parent: &mut Place) {
        let agent = self.random.hex(8);
        let (project, session) = (&parent.project, &parent.session);
        let file = if self.random.chance(60) {
            format!("-home-dev-{project}/{session}/subagents/agent-{agent}.jsonl")
        } else {
            format!("-home-dev-{project}/agent-{agent}.jsonl")
        };
        let mut place = Place { file: file.into(), agent: Some(agent), ..parent.clone() };
        let first = self.tree.lines.len();
        self.turn(&mut place);
        let told = self.tree.lines[first..].to_vec();
        for line in told {
            if line.says.len() == 1 && self.random.chance(50) {
                let body = format!(r#""data":{{"type":"agent_progress","message":{}}}"#, line.text);
                self.say(parent, "progress", &body, line.says);
            }
        }
    }

    /// A new session that begins with a copy of the history, then goes its own way.
    fn fork(&mut self, place: &mut Place, first: usize) {
        let (old, new) = (place.session.clone(), self.random.uuid());
        let fork = PathBuf::from(format!("-home-dev-{}/{new}.jsonl", place.project));
        let forked =
            format!(r#","forkedFrom":{{"sessionId":"{old}","messageUuid":"{}"}}}}"#, self.random.uuid());
        let told = self.tree.lines[first..].to_vec();
        for line in told {
            let is_history = line.file == place.file && line.says.len() == 1 && line.text.ends_with('}');
            if is_history && !line.text.contains("agent_progress") {
                let copied =
                    line.text.replace(&format!(r#""sessionId":"{old}""#), &format!(r#""sessionId":"{new}""#));
                let open = copied.strip_suffix('}').expect("a record ends in a brace");
                self.tree.lines.push(Line {
                    file: fork.clone(),
                    text: format!("{open}{forked}"),
                    says: line.says,
                });
            }
        }
        (place.file, place.session) = (fork, new);
        self.turn(place);
    }

    /// One record with the envelope that a client gives it.
    fn say(&mut self, place: &mut Place, kind: &str, body: &str, says: Vec<Said>) {
        place.now += 1;
        let agent = place.agent.as_ref().map_or(String::new(), |agent| format!(r#","agentId":"{agent}""#));
        let text = format!(
            r#"{{"parentUuid":null,"isSidechain":{},"userType":"external","cwd":"/home/dev/{}","sessionId":"{}","version":"2.1.112"{agent},"type":"{kind}",{body},"uuid":"{}","timestamp":"{}"}}"#,
            place.agent.is_some(),
            place.project,
            place.session,
            self.random.uuid(),
            timestamp(place.now)
        );
        self.put(place, text, says);
        place.now += i64::try_from(self.random.range(20, 40_000)).expect("fits");
    }

    /// A line as it stands, which says nothing.
    fn bare(&mut self, place: &Place, text: &str) {
        self.put(place, text.to_owned(), vec![]);
    }

    fn put(&mut self, place: &Place, text: String, says: Vec<Said>) {
        self.tree.lines.push(Line { file: place.file.clone(), text, says });
    }

    fn tokens(&mut self) -> Tokens {
        let write = self.random.range(0, 9_000);
        let (short, long) = if self.random.chance(50) { (write, 0) } else { (0, write) };
        [self.random.range(1, 40), self.random.range(4, 3_000), short, long, self.random.range(0, 90_000)]
    }

    fn words(&mut self, low: u64, high: u64) -> String {
        let words: Vec<&str> = (0..self.random.range(low, high)).map(|_| *self.random.pick(&WORDS)).collect();
        words.join(" ")
    }
}

fn usage([input, output, short, long, read]: Tokens) -> String {
    format!(
        r#"{{"input_tokens":{input},"cache_creation_input_tokens":{},"cache_read_input_tokens":{read},"cache_creation":{{"ephemeral_5m_input_tokens":{short},"ephemeral_1h_input_tokens":{long}}},"output_tokens":{output},"service_tier":"standard","inference_geo":"not_available"}}"#,
        short + long
    )
}

#[test]
fn a_seed_gives_one_tree() {
    let text = |seed| Tree::generate(seed, 5).lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

#[test]
fn a_tree_has_what_makes_counting_hard() {
    let tree = Tree::generate(3, 60);
    let has = |what: &str| tree.lines.iter().any(|line| line.text.contains(what));
    for what in ["agent_progress", "forkedFrom", "toolUseResult", "<synthetic>", "\"novelty\"", "}{"] {
        assert!(has(what), "no {what}");
    }
    let lines: usize = tree.lines.iter().map(|line| line.says.len()).sum();
    let messages = tree.truth().messages();
    assert!(lines > usize::try_from(messages).expect("fits") * 2, "{lines} lines, {messages} messages");
    assert!(tree.files().len() > 60 && tree.truth().account().days.len() > 20);
}

#[test]
fn every_whole_record_is_json() {
    for line in &Tree::generate(4, 40).lines {
        let values: Result<Vec<serde_json::Value>, _> =
            serde_json::Deserializer::from_str(&line.text).into_iter().collect();
        let is_cut = line.text.contains(r#""message":{"usage":{"input_tokens":"#) && line.says.is_empty();
        assert_eq!(values.is_ok(), !is_cut, "{}", line.text);
    }
}
