//! `cargo xtask dev` as a person meets it: what it prints works, its data stays, and none of its processes
//! outlives it, however it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use xtask::stack::order::Order;
use xtask::stack::postgres::connect;

/// A process, told apart from a later one with the same id by its start time.
type Process = (i32, String);

/// The parent and the start time of a process; none where it is gone or a zombie.
fn stat(pid: i32) -> Option<(i32, String)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = text.rsplit(')').next()?.split_whitespace().collect();
    (fields[0] != "Z").then(|| (fields[1].parse().unwrap_or(0), fields[19].to_owned()))
}

/// Every process below `root`, itself left out.
fn descendants(root: i32) -> BTreeSet<Process> {
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: BTreeMap<i32, (i32, String)> = pids.filter_map(|pid: i32| Some((pid, stat(pid)?))).collect();
    let below = |mut pid: i32| loop {
        match parents.get(&pid) {
            Some((parent, _)) if *parent == root => return true,
            Some((parent, _)) => pid = *parent,
            None => return false,
        }
    };
    parents.iter().filter(|(pid, _)| below(**pid)).map(|(pid, (_, start))| (*pid, start.clone())).collect()
}

fn alive(processes: &BTreeSet<Process>) -> Vec<&Process> {
    processes.iter().filter(|(pid, start)| stat(*pid).is_some_and(|(_, now)| now == *start)).collect()
}

/// How long `dev` may take to start; several of them do at once here.
const START: Duration = Duration::from_secs(180);

/// How long everything may take to end.
const END: Duration = Duration::from_secs(15);

/// A folder of a test's own, deleted with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("ordak-supervision-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A `dev` on a folder.
struct Dev {
    child: Child,
    log: PathBuf,
}

impl Dev {
    fn start(folder: &Folder, arguments: &[&str]) -> Dev {
        let log = folder.0.join("dev.log");
        let output = std::fs::File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("dev")
            .args(arguments)
            .arg("--data")
            .arg(&folder.0)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Dev { child, log }
    }

    fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it says something, and answers with its processes.
    fn until(&mut self, said: &str) -> BTreeSet<Process> {
        let start = Instant::now();
        while !self.output().contains(said) {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended:\n{}", self.output());
            assert!(start.elapsed() < START, "it does not say `{said}`:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
        let processes = descendants(self.child.id() as i32);
        // Postgres and its workers, PostgREST, Auth, the functions, the watchdog.
        assert!(processes.len() >= 9, "{processes:?}");
        processes
    }

    fn until_running(&mut self) -> BTreeSet<Process> {
        self.until("Ctrl-C stops everything")
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for its end, and answers with whether it calls that a success.
    fn ended(&mut self) -> bool {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(start.elapsed() < START, "it does not end:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it prints from here on, up to the next blank line.
    fn printed(&self, from: usize) -> String {
        self.output()[from..].split("\n\n").next().unwrap().to_owned()
    }

    /// Buys and asks for a sync as it says how, and sees the other shop follow and the sync end.
    fn shop(&self, standin: &str) {
        let output = self.output();
        let gelato = || {
            let state: Value = serde_json::from_str(&shell(&format!("curl -sS {standin}/state"))).unwrap();
            state["shops"].as_array().unwrap().iter().map(gelato_of).collect::<Vec<_>>()
        };
        let before = gelato();
        assert_eq!(before.len(), 2, "the two shops");
        let buy = self.printed(output.find(&format!("  curl {standin}/")).unwrap());
        let sold: Value = serde_json::from_str(&shell(&buy)).unwrap();
        assert_eq!(sold["sent"][0]["status"], 200, "{sold}");
        let after: Vec<_> = before.iter().map(|left| left - 2).collect();
        within_end(|| (gelato() == after).then_some(()), || format!("{:?}, but not {after:?}", gelato()));

        let sync = self.printed(output.find("  TOKEN=").unwrap());
        let (ask, look) = sync.rsplit_once("\n  curl ").unwrap();
        let asked_until = |status: &str| {
            let asked = shell(&format!("{ask}\necho $TOKEN $RUN"));
            let (token, run) = asked.trim().split_once(' ').unwrap();
            let look = format!("TOKEN={token}; RUN={run}; curl -sS {look}");
            let found =
                || serde_json::from_str(&shell(&look)).ok().filter(|run: &Value| run["status"] == status);
            within_end(found, || shell(&look))
        };
        let run = asked_until("done");
        assert_eq!(run["stores"].as_array().map(Vec::len), Some(2), "{run}");

        // And is stopped while a worker waits for Shopify: the next start must not wait for it.
        for shop in ["bannos.myshopify.com", "flour-lane.myshopify.com"] {
            let hang = r#"-H 'content-type: application/json' -d '{"fault": "hang", "ms": 60000}'"#;
            shell(&format!("curl -sS {standin}/{shop}/faults {hang}"));
        }
        asked_until("running");
    }

    /// Sends the order that it prints a `curl` for, by pasting that into a shell; answers with what became
    /// of it.
    fn paste(&self) -> String {
        let output = self.output();
        let from = output.rfind("  curl ").unwrap();
        let pasted = self.printed(from);
        assert!(pasted.contains("--data-raw"), "{pasted}");
        let answer: Value = serde_json::from_str(&shell(&pasted)).unwrap();
        assert_eq!(answer["order_id"], "bannos-1", "{answer}");
        answer["status"].as_str().unwrap().to_owned()
    }
}

/// What there is in the end, which must be soon.
fn within_end<T>(found: impl Fn() -> Option<T>, instead: impl Fn() -> String) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < END, "{}", instead());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many gelato cakes a shop shows.
fn gelato_of(shop: &Value) -> i64 {
    let items = shop["items"].as_array().unwrap();
    let gelato = items.iter().find(|item| item["sku"] == "GELATO").unwrap();
    gelato["levels"][0]["quantities"]["available"].as_i64().unwrap()
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command line prints.
fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What `status` says of a folder.
fn status(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("status").args(arguments).arg("--data").arg(&folder.0).output().unwrap()
}

/// The names and values that `status` gives of what runs on a folder, the same in both forms.
fn env(folder: &Folder) -> BTreeMap<String, String> {
    let json = status(folder, &["-o", "json"]);
    assert!(json.status.success(), "{json:?}");
    let json: BTreeMap<String, String> = serde_json::from_slice(&json.stdout).unwrap();
    let lines = status(folder, &[]);
    assert!(lines.status.success(), "{lines:?}");
    let lines = String::from_utf8(lines.stdout).unwrap();
    let lines = lines.lines().map(|line| line.split_once('=').unwrap());
    assert_eq!(lines.map(|(name, value)| (name.into(), value.into())).collect::<BTreeMap<_, _>>(), json);
    json
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn until_gone(processes: &BTreeSet<Process>) {
    let start = Instant::now();
    while !alive(processes).is_empty() {
        assert!(start.elapsed() < END, "still there: {:?}", alive(processes));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_dev_prints_works_ctrl_c_stops_everything_and_the_data_stays_until_fresh() {
    let folder = Folder::new("interrupt");
    let names = [
        "API_URL",
        "SUPABASE_URL",
        "SUPABASE_ANON_KEY",
        "SUPABASE_SERVICE_ROLE_KEY",
        "DATABASE_URL",
        "SHOPIFY_WEBHOOK_SECRET",
        "ORDAK_ORDERS_SECRET",
        "ORDAK_SIGNING_SECRET",
        "SHOPIFY_STANDIN_URL",
    ];
    let starts: [(&[&str], _); 3] = [
        (&["--port", "0"], "created"),
        (&["--port", "0"], "skipped"),
        (&["--port", "0", "--fresh"], "created"),
    ];
    for (arguments, expected) in starts {
        let mut dev = Dev::start(&folder, arguments);
        let processes = dev.until_running();
        let env = env(&folder);
        for name in names {
            let value = env.get(name).unwrap_or_else(|| panic!("status lacks {name}"));
            assert!(!value.is_empty() && dev.output().contains(value), "{name} is not what `dev` printed");
        }
        assert_eq!(mode(&folder.0.join("stack.env")), 0o600, "it holds secrets");
        assert_eq!(
            shell(&format!(
                "curl -sS -o /dev/null -w '%{{http_code}}' '{}/api/health?ready'",
                env["API_URL"]
            )),
            "200"
        );
        // What is listed in the demo shops is on sale there.
        assert!(shell(&format!("curl -sS '{}/state'", env["SHOPIFY_STANDIN_URL"])).contains("GELATO"));
        assert_eq!(dev.paste(), expected, "{arguments:?}");
        assert_eq!(dev.paste(), "skipped", "the same delivery again");
        dev.shop(&env["SHOPIFY_STANDIN_URL"]);

        dev.signal(Signal::SIGINT);
        assert!(dev.ended(), "{}", dev.output());
        until_gone(&processes);
        let after = status(&folder, &[]);
        let text = String::from_utf8(after.stderr).unwrap();
        assert!(!after.status.success() && text.contains("no stack is running"), "{text}");
    }
}

#[test]
fn kill_9_leaves_no_orphan_and_the_data_is_whole() {
    let folder = Folder::new("kill");
    let mut dev = Dev::start(&folder, &["--port", "0"]);
    let processes = dev.until_running();
    let order = Order::new("bannos.myshopify.com", 4711);
    let webhook =
        serde_json::json!({"topic": "orders/create", "shop_domain": order.shop_domain, "body": order.body()});
    let file = folder.0.join("webhook.json");
    std::fs::write(&file, webhook.to_string()).unwrap();
    let send = format!(
        "curl -sS '{}/deliveries' -H 'content-type: application/json' --data-binary @{}",
        env(&folder)["SHOPIFY_STANDIN_URL"],
        file.display()
    );
    let sent: Value = serde_json::from_str(&shell(&send)).unwrap();
    assert_eq!(sent["status"], 200, "{sent}");
    dev.signal(Signal::SIGKILL);
    assert!(!dev.ended());
    until_gone(&processes);
    // Its server was stopped in order, so that the next start needs no recovery.
    let log = std::fs::read_to_string(folder.0.join("postgres.log")).unwrap();
    assert!(log.contains("database system is shut down"), "{log}");

    let mut next = Dev::start(&folder, &["--port", "0"]);
    next.until_running();
    let url = env(&folder)["DATABASE_URL"].clone();
    let orders: i64 = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let database = connect(&url).await.unwrap();
        let sql = "select count(*) from ordak.orders as o join ordak.tasks as t on t.order_key = o.id
                   where o.number = 4711";
        database.query_one(sql, &[]).await.unwrap().get(0)
    });
    assert_eq!(orders, 1, "what was answered 200 is there");
    next.signal(Signal::SIGTERM);
    assert!(next.ended(), "{}", next.output());
}

#[test]
fn the_demo_shows_the_main_job_and_leaves_nothing_running() {
    let folder = Folder::new("demo");
    let mut dev = Dev::start(&folder, &["--demo"]);
    // Said before the last scenes, while everything runs.
    let processes = dev.until("answered");
    assert!(dev.ended(), "{}", dev.output());
    until_gone(&processes);
    let output = dev.output();
    let words: Vec<_> =
        output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "Bannos: one cake 200 created 200 created",
        "Flourlane: three cakes and candles, to be split 200 created 200 created",
        "Bannos: the first order gets a second cake 200 updated 200 updated",
        "Flourlane: what was cancelled is created, late 200 skipped 200 skipped",
        "Bannos: two cakes for a partner 200 created 200 created",
        "the first delivery again 200 skipped 200 skipped",
        "a forged signature 401 AUTH001 401 AUTH001",
        "a store that is not ours 401 AUTH001 401 AUTH001",
        "a body that breaks off, rightly signed 200 rejected 200 rejected",
        "a topic that we do not act on 200 ignored 200 ignored",
        "bannos-25771 Mia Sample 15/12/2026 Pickup B25771-A B25771-B Filling",
        "flourlane-18617 Mia Sample 15/12/2026 Pickup F18617-A F18617-B Filling",
        "flourlane-18618 Mia Sample 14/12/2026 Pickup F18618 Filling",
        "gelato cakes, of which two are kept back 58 58 58",
        "a customer of Bannos buys two 56 56 56",
        "a customer of Flourlane buys three 53 53 53",
        "ten come in, and the schedule tells both shops 63 63 63",
        "Everything was as expected.",
    ];
    for row in expected {
        assert!(words.iter().any(|line| line.starts_with(row)), "`{row}` is not in:\n{output}");
    }
}

#[test]
fn an_interrupted_demo_is_no_success_and_leaves_nothing_running() {
    let folder = Folder::new("demo-interrupted");
    let mut dev = Dev::start(&folder, &["--demo"]);
    let processes = dev.until("answered");
    dev.signal(Signal::SIGINT);
    assert!(!dev.ended(), "{}", dev.output());
    assert!(!dev.output().contains("Everything was as expected"), "{}", dev.output());
    until_gone(&processes);
}

/// What `dev` says where it cannot start.
fn refusal(name: &str, port: &str, path: Option<&str>) -> String {
    let folder = Folder::new(name);
    let mut dev = Command::new(env!("CARGO_BIN_EXE_xtask"));
    dev.args(["dev", "--port", port, "--data"]).arg(&folder.0);
    if let Some(path) = path {
        dev.env("PATH", path);
    }
    let output = dev.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !text.contains("backtrace"), "{text}");
    text
}

#[test]
fn a_taken_port_is_one_clear_sentence() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let text = refusal("port", &port, None);
    let sentence = format!("port {port} is taken: stop what listens there, or choose another with --port\n");
    assert!(text.ends_with(&sentence), "{text}");
}

#[test]
fn a_missing_tool_is_one_clear_sentence() {
    let text = refusal("tool", "0", Some("/nonexistent"));
    assert!(text.contains("expected Node 20"), "{text}");
    assert!(text.contains("but found no `node`: install it"), "{text}");
}
