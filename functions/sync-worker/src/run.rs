//! What the worker does for the stores that it has leases of: until there is nothing more to do, or its time is over.

use std::cell::Cell;
use std::rc::Rc;

use ordak_core::error::{Code, Error};
use ordak_core::route::SYNC_WORKER;
use ordak_core::rpc::Rpc;
use ordak_core::sync::rpc::{BeginSync, ClaimWork, EndSync, FinishWork, Lease};
use ordak_core::sync::{Report, Work};
use ordak_edge::{Client, RunLine, all, kick, now, sleep};

use crate::shopify::Calls;
use crate::{Worker, alerts};

/// How long a run may take, in ms: hosts end what takes much longer, and its leases would have to run out.
const TIME_MS: f64 = 50_000.0;

/// How long one that was kicked begins with more, in ms: it goes on after its answer, and Cloudflare ends that after 30
/// seconds. What it has begun it goes on with: were it stopped each time, it would never be done; where the host ends it,
/// less is tried at once.
const KICKED_MS: f64 = 20_000.0;

/// How many requests a run may make: hosts allow a thousand.
const REQUESTS: u32 = 900;

/// How long the database may take for an answer, in ms.
const PATIENCE_MS: u32 = 10_000;

/// When a result is reported again that could not be, in ms: Shopify did what it did.
const AGAIN_MS: [u32; 2] = [500, 3_000];

/// What is left of a run's time and requests, for all of its stores.
pub(crate) struct Budget {
    begins_until_ms: f64,
    until_ms: f64,
    requests: Cell<u32>,
}

impl Budget {
    fn new(trigger: &str) -> Budget {
        let started = now();
        let begins_for_ms = if trigger == "kick" { KICKED_MS } else { TIME_MS };
        Budget {
            begins_until_ms: started + begins_for_ms,
            until_ms: started + TIME_MS,
            requests: Cell::new(0),
        }
    }

    /// Whether there is time to begin with something in so many ms.
    fn begins(&self, in_ms: u32) -> bool {
        !self.is_over(in_ms) && now() + f64::from(in_ms) <= self.begins_until_ms
    }

    /// Whether it is used up, or will be in so many ms.
    pub(crate) fn is_over(&self, in_ms: u32) -> bool {
        self.requests.get() >= REQUESTS || now() + f64::from(in_ms) > self.until_ms
    }

    /// Takes note of a request.
    pub(crate) fn count(&self) {
        self.requests.set(self.requests.get() + 1);
    }
}

/// Comes on a schedule.
pub(crate) async fn on_schedule(worker: Rc<Worker>) {
    const TRIGGER: &str = "schedule";
    let begin = BeginSync { trigger: TRIGGER, stores: &worker.shopify.stores() };
    match worker.database.rpc(&begin, PATIENCE_MS).await {
        Ok(leases) => run(worker.clone(), TRIGGER, leases.0).await,
        Err(error) => {
            RunLine { trigger: TRIGGER, ..RunLine::of(&SYNC_WORKER, &error) }.write();
            // Writing may be paused; people are told of alerts all the same.
            run(worker.clone(), TRIGGER, Vec::new()).await;
        }
    }
}

/// Works for these stores, all at once; comes again where its time is over before the work is. Then tells people what they
/// must know.
pub(crate) async fn run(worker: Rc<Worker>, trigger: &'static str, leases: Vec<Lease>) {
    let (budget, left) = (Budget::new(trigger), Cell::new(false));
    let (worker, budget, left) = (&*worker, &budget, &left);
    all(leases.iter().map(|lease| async move {
        if store(worker, trigger, lease, budget).await == "left" {
            left.set(true);
        }
    }))
    .await;
    if let Some(own) = worker.own.as_ref().filter(|_| left.get()) {
        kick(own).await;
    }
    if let Some(trouble) = alerts::send(&worker.database, worker.slack.as_deref()).await {
        let function = SYNC_WORKER.function;
        let detail = Some(&*trouble);
        RunLine { level: "warn", function, trigger, outcome: "alerts", detail, ..RunLine::default() }.write();
    }
}

/// Works for a store, and answers with how that ended.
async fn store(worker: &Worker, trigger: &'static str, lease: &Lease, budget: &Budget) -> &'static str {
    let started = now();
    let Some(mut calls) = Calls::new(&worker.shopify, lease) else { return "done" };
    let database = &worker.database;
    let ended = loop {
        let ended = work_off(database, lease, &mut calls, budget).await;
        let (outcome, note) = match &ended {
            Ok("lost") => break ended,
            Ok(outcome) => (*outcome, None),
            Err(error) => ("failed", Some(&*error.message)),
        };
        let end = EndSync { store: &lease.store, lease: &lease.lease, outcome, note };
        match ask(database, budget, &end).await {
            // More came meanwhile.
            Ok(true) => {}
            Ok(false) => break ended,
            Err(error) => break ended.and(Err(error)),
        }
    };
    let line = match &ended {
        Ok(outcome) => RunLine {
            level: calls.level(),
            function: SYNC_WORKER.function,
            outcome,
            detail: calls.trouble.as_deref(),
            ..RunLine::default()
        },
        Err(error) => RunLine::of(&SYNC_WORKER, error),
    };
    RunLine {
        run_id: &lease.run_id,
        trigger,
        store: &lease.store,
        calls: calls.calls,
        cost: calls.cost,
        pushed: calls.pushed,
        duration_ms: (now() - started) as u32,
        ..line
    }
    .write();
    ended.unwrap_or("failed")
}

/// Does one piece of work after the other: `done` where there is none any more, `left` where the time is over, `lost` where
/// another worker has the store.
async fn work_off(
    database: &Client,
    lease: &Lease,
    calls: &mut Calls<'_>,
    budget: &Budget,
) -> Result<&'static str, Error> {
    let claim = ClaimWork { store: &lease.store, lease: &lease.lease };
    let mut work = ask(database, budget, &claim).await?;
    loop {
        work = match work {
            Work::None { lost: true, .. } => return Ok("lost"),
            Work::None { wait_ms: None, .. } => return Ok("done"),
            Work::None { wait_ms: Some(ms), .. } if budget.begins(ms) => {
                sleep(ms).await;
                ask(database, budget, &claim).await?
            }
            work if budget.begins(0) && work.name() != "none" => {
                let report = calls.perform(work, budget).await;
                finish(database, lease, budget, &report).await?
            }
            _ => return Ok("left"),
        };
    }
}

/// Reports what became of a piece of work, several times where it must be; answers with the next one.
async fn finish(database: &Client, lease: &Lease, budget: &Budget, result: &Report) -> Result<Work, Error> {
    let finish = FinishWork { store: &lease.store, lease: &lease.lease, result };
    for wait in AGAIN_MS {
        match ask(database, budget, &finish).await {
            Err(error) if matches!(error.code, Code::SYS001 | Code::SYS002) => sleep(wait).await,
            result => return result,
        }
    }
    ask(database, budget, &finish).await
}

async fn ask<R: Rpc>(database: &Client, budget: &Budget, rpc: &R) -> Result<R::Answer, Error> {
    budget.count();
    database.rpc(rpc, PATIENCE_MS).await
}
