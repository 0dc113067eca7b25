//! The running stack: where its databases are and how to get one of its own for a test. `scripts/supabase-stack`
//! starts and ends it and knows what it is made from; nothing is installed or started here but PostgREST on a
//! test's own database, which ends with the test. Fails by a panic that names `scripts/test`.

use super::http::{Request, Response, exchange};
use super::keys::{Role, token, token_until};
use crate::support::root;
use postgres::{Client, Config, NoTls};
use serde::Deserialize;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// How long the machine may take to start something. No test passes by waiting this long.
const DEADLINE: Duration = Duration::from_mins(2);

/// A stack that no test has used for so many minutes ends by itself.
const IDLE_MINUTES: &str = "60";

/// What is written in the folder of a stack.
#[derive(Deserialize)]
struct Facts {
    postgrest: PathBuf,
    jwt_secret: String,
    secret_key: String,
    publishable_key: String,
}

/// A running stack. One serves all tests: of a run by `scripts/test`, which names its folder in
/// `TALLYD_STACK`, or of all runs of this clone, until none came for an hour.
pub(crate) struct Stack {
    folder: PathBuf,
    facts: Facts,
}

/// What a database begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Template {
    /// A project before its first migration, where nothing is granted by default.
    Blank,
    /// The same in an older project, where the API roles are granted all that is made.
    BlankLegacy,
    /// `supabase/migrations` on `Blank`.
    Contract,
    /// `supabase/migrations` on `BlankLegacy`.
    ContractLegacy,
    /// `fixtures/prototype.sql` on `BlankLegacy`.
    Prototype,
}

impl Template {
    fn name(self) -> &'static str {
        match self {
            Self::Blank => "template_blank",
            Self::BlankLegacy => "template_blank_legacy",
            Self::Contract => "template_contract",
            Self::ContractLegacy => "template_contract_legacy",
            Self::Prototype => "template_prototype",
        }
    }
}

impl Stack {
    /// The stack of this run; started where none runs.
    pub(crate) fn get() -> &'static Self {
        static STACK: OnceLock<Stack> = OnceLock::new();
        STACK.get_or_init(|| {
            let folder = std::env::var_os("TALLYD_STACK").map_or_else(started, PathBuf::from);
            Self::open(folder).unwrap_or_else(|why| {
                panic!("the stack for tests does not run, scripts/test starts it: {why}")
            })
        })
    }

    fn open(folder: PathBuf) -> Result<Self, String> {
        let path = folder.join("stack.json");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let facts = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let stack = Self { folder, facts };
        stack.stay().map_err(|error| format!("{}: {error}", stack.folder.display()))?;
        Ok(stack)
    }

    /// Says that it is in use: for tests that take longer than it waits for somebody.
    pub(crate) fn stay(&self) -> std::io::Result<()> {
        let used = File::options().append(true).create(true).open(self.folder.join("used"))?;
        // clock: by this the stack knows that it is in use.
        used.set_modified(SystemTime::now())
    }

    /// The database with the migrations, shared by all tests: give each a user of its own.
    pub(crate) fn contract(&self) -> Database {
        self.shared("supa")
    }

    /// The database with the prototype's SQL, shared by all tests.
    pub(crate) fn prototype(&self) -> Database {
        self.shared("prototype")
    }

    fn shared(&self, name: &str) -> Database {
        let rest = self.folder.join(format!("{name}.rest"));
        Database { name: name.to_owned(), folder: self.folder.clone(), rest, postgrest: None }
    }

    /// A database of a test's own with its own PostgREST; both end when it is dropped.
    pub(crate) fn database(&self, template: Template) -> Database {
        self.unserved(template).served()
    }

    /// A database of a test's own that nothing serves: less than half a second cheaper.
    pub(crate) fn unserved(&self, template: Template) -> Database {
        let mut admin = self.shared("postgres").admin();
        let row = admin.query_one("select 'test_' || replace(gen_random_uuid()::text, '-', '')", &[]);
        let name: String = row.expect("PostgreSQL makes a name").get(0);
        let create = format!("create database {name} template {} owner postgres", template.name());
        admin.batch_execute(&create).unwrap_or_else(|error| panic!("{create}: {error}"));
        // A setting of a database is not copied with it.
        let path = format!(r#"alter database {name} set search_path to "$user", public, extensions"#);
        admin.batch_execute(&path).expect("a database takes a setting");
        self.shared(&name)
    }

    /// A user's access token, or a legacy API key where there is no user, as this project signs them.
    pub(crate) fn token(&self, role: Role, user: Option<&str>) -> String {
        token(&self.facts.jwt_secret, role, user)
    }

    /// A token of the service role that was good until the year 2001.
    pub(crate) fn expired_token(&self) -> String {
        token_until(&self.facts.jwt_secret, Role::Service, None, 1_000_000_000)
    }

    /// A user's access token that was good until the year 2001.
    pub(crate) fn expired_token_of(&self, user: &str) -> String {
        token_until(&self.facts.jwt_secret, Role::Authenticated, Some(user), 1_000_000_000)
    }

    /// What this project signs tokens with.
    pub(crate) fn jwt_secret(&self) -> &str {
        &self.facts.jwt_secret
    }

    /// The new-style key with all rights.
    pub(crate) fn secret_key(&self) -> &str {
        &self.facts.secret_key
    }

    /// The new-style key that is no secret.
    pub(crate) fn publishable_key(&self) -> &str {
        &self.facts.publishable_key
    }
}

/// Runs the script that starts one or finds the one that runs.
fn started() -> PathBuf {
    let script = root().join("scripts/supabase-stack");
    let output = Command::new(&script).args(["start", "--name", "tests", "--idle", IDLE_MINUTES]).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{}: {error}. Run scripts/test: it installs what is missing", script.display())
    });
    assert!(
        output.status.success(),
        "PostgreSQL and PostgREST do not start. scripts/test installs what is missing.\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    root().join("target/stack/tests").canonicalize().expect("a started stack has a folder")
}

/// One database of the stack. One of a test's own is removed when dropped.
pub(crate) struct Database {
    name: String,
    folder: PathBuf,
    rest: PathBuf,
    postgrest: Option<Child>,
}

impl Database {
    /// A connection as the superuser.
    pub(crate) fn admin(&self) -> Client {
        self.connect("supabase_admin")
    }

    /// A connection as `postgres`, which is no superuser: what migrations and the SQL editor run as.
    pub(crate) fn owner(&self) -> Client {
        self.connect("postgres")
    }

    fn connect(&self, user: &str) -> Client {
        let mut config = Config::new();
        config.host_path(&self.folder).user(user).dbname(&self.name);
        config.connect(NoTls).unwrap_or_else(|error| {
            panic!("PostgreSQL in {} does not answer, scripts/test starts it: {error}", self.folder.display())
        })
    }

    /// The socket that PostgREST listens on.
    pub(crate) fn rest(&self) -> &Path {
        &self.rest
    }

    /// Where a program finds this database, in the form that libpq takes.
    pub(crate) fn uri(&self, user: &str) -> String {
        format!("postgresql:///{}?host={}&user={user}", self.name, self.folder.display())
    }

    /// A user of the project that no other test has.
    pub(crate) fn new_user(&self) -> String {
        let sql = "insert into auth.users (id, aud, role, email, created_at)
                   values (gen_random_uuid(), 'authenticated', 'authenticated', 'test@example.com', now())
                   returning id::text";
        self.admin().query_one(sql, &[]).expect("a user is added").get(0)
    }

    /// Runs statements as `postgres`.
    pub(crate) fn execute(&self, sql: &str) {
        self.owner().batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// What a query answers, as text: an empty string where it answers nothing, or null.
    pub(crate) fn text(&self, query: &str) -> String {
        let sql = format!("select coalesce(min(answer::text), '') from ({query}) as query (answer)");
        let row = self.owner().query_one(&sql, &[]);
        row.unwrap_or_else(|error| panic!("{query}: {error:?}")).get(0)
    }

    /// How many rows of a table are a user's.
    pub(crate) fn count(&self, table: &str, user: &str) -> i64 {
        let sql = format!("select count(*) from public.{table} where user_id::text = $1");
        self.owner().query_one(&sql, &[&user]).unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    /// Asks PostgREST itself, past any gateway.
    pub(crate) fn ask(&self, request: &Request) -> Response {
        let stream = UnixStream::connect(&self.rest).expect("PostgREST listens, scripts/test starts it");
        exchange(stream, request).expect("PostgREST answers")
    }

    /// Calls a function through PostgREST with a token, or with none.
    pub(crate) fn call(&self, function: &str, body: &str, token: Option<&str>) -> Response {
        let mut request = Request::post(&format!("/rpc/{function}"), body);
        if let Some(token) = token {
            request = request.with("Authorization", &format!("Bearer {token}"));
        }
        self.ask(&request)
    }

    /// Starts PostgREST on this database. It dies with the thread that asked for it, whatever ends that.
    pub(crate) fn served(mut self) -> Self {
        let program = &Stack::get().facts.postgrest;
        let log = File::create(self.folder.join(format!("{}.log", self.name))).expect("a log");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).arg(self.folder.join("postgrest.conf"));
        command
            .env("PGRST_DB_URI", self.uri("authenticator"))
            .env("PGRST_SERVER_UNIX_SOCKET", &self.rest)
            .stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        self.postgrest = Some(command.spawn().expect("PostgREST starts, scripts/test installs it"));
        // clock: a deadline for another process to start.
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < DEADLINE, "PostgREST on {} does not answer", self.name);
            sleep(Duration::from_millis(5));
        }
        self
    }

    /// Whether PostgREST has read the schema; it refuses or says 503 before.
    fn answers(&self) -> bool {
        let Ok(stream) = UnixStream::connect(&self.rest) else { return false };
        exchange(stream, &Request::get("/")).is_ok_and(|response| response.status == 200)
    }

    /// Another database of the stack.
    fn other(&self, name: &str) -> Self {
        let rest = self.folder.join(format!("{name}.rest"));
        Self { name: name.to_owned(), folder: self.folder.clone(), rest, postgrest: None }
    }

    fn is_own(&self) -> bool {
        self.name.starts_with("test_")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(mut postgrest) = self.postgrest.take() {
            let _ = postgrest.kill();
            let _ = postgrest.wait();
            let _ = fs::remove_file(&self.rest);
        }
        if self.is_own() && !std::thread::panicking() {
            let drop = format!("drop database if exists {} with (force)", self.name);
            self.other("postgres").admin().batch_execute(&drop).expect("a database is dropped");
        }
    }
}
