//! A piece of work at Shopify: questions one after the other, each as soon as it may be asked, until there is an outcome.

use ordak_core::config;
use ordak_core::sync::rpc::Lease;
use ordak_core::sync::{Answer, Job, Next, Outcome, Pace, Report, Request, Unreadable, Verdict, Work};
use ordak_edge::{Answered, Shop, now, sleep};

use crate::run::Budget;

/// How often a question is asked that is refused for having come too soon, and how long is waited for that at most, in ms.
const ATTEMPTS: usize = 3;
const PATIENCE_MS: u32 = 10_000;

/// The calls to a shop, in one run.
pub(crate) struct Calls<'a> {
    shop: Shop,
    version: &'a str,
    pace: Pace,
    /// How many there were.
    pub(crate) calls: u32,
    /// What they cost.
    pub(crate) cost: u32,
    /// How many listings were pushed.
    pub(crate) pushed: usize,
    /// What a person should know of them.
    pub(crate) trouble: Option<String>,
}

impl<'a> Calls<'a> {
    /// Calls to the shop that the lease is of; none where there is no token for it.
    pub(crate) fn new(shopify: &'a config::Shopify, lease: &Lease) -> Option<Calls<'a>> {
        let (url, token) = shopify.shop(&lease.store, &lease.shop_domain)?;
        let (shop, version, pace) = (Shop::new(url, token), &*shopify.version, Pace::default());
        Some(Calls { shop, version, pace, calls: 0, cost: 0, pushed: 0, trouble: None })
    }

    /// The level of the line in the log.
    pub(crate) fn level(&self) -> &'static str {
        if self.trouble.is_some() { "warn" } else { "info" }
    }

    /// Does a piece of work.
    pub(crate) async fn perform(&mut self, work: Work, budget: &Budget) -> Report {
        let (name, token) = (work.name(), work.token().to_owned());
        let (calls, cost) = (self.calls, self.cost);
        let outcome = match Job::begin(work) {
            Some((mut job, request)) => self.ask_on(&mut job, request, budget).await,
            None => Outcome::Failed { reason: "there was nothing to ask".to_owned(), after_ms: None },
        };
        if let Outcome::Failed { reason, .. } | Outcome::Stopped { reason } | Outcome::Uncertain { reason } =
            &outcome
        {
            self.trouble = Some(reason.clone());
        }
        Report { work: name, token, calls: self.calls - calls, cost: self.cost - cost, outcome }
    }

    async fn ask_on(&mut self, job: &mut Job, mut request: Request, budget: &Budget) -> Outcome {
        let mut refused = 0;
        loop {
            let wait = self.pace.wait_ms(&request, now());
            if budget.is_over(wait) {
                return Outcome::Throttled { after_ms: wait };
            }
            sleep_if(wait).await;
            let answered = match self.ask(&request, budget).await {
                Ok(answered) => answered,
                Err(reason) => return Outcome::Failed { reason, after_ms: None },
            };
            let retry_after = answered.retry_after.as_deref();
            let answer = Answer::new(answered.status, retry_after, &answered.body);
            if let Some(cost) = answer.cost() {
                self.cost += cost.actual as u32;
                self.pace.observe(&request, cost, now());
            }
            match answer.verdict() {
                Verdict::Data(data) => match job.take(data, &answered.at) {
                    Ok(Next::Ask(next)) => (request, refused) = (next, 0),
                    Ok(Next::Done(outcome)) => {
                        if matches!(outcome, Outcome::Pushed { .. }) {
                            self.pushed += job.pushes();
                        }
                        return outcome;
                    }
                    Err(Unreadable(what)) => {
                        let reason = format!("Shopify's answer was not understood: {what}");
                        return Outcome::Failed { reason, after_ms: None };
                    }
                },
                Verdict::Throttled { after_ms } => {
                    refused += 1;
                    if refused == ATTEMPTS || after_ms > PATIENCE_MS || budget.is_over(after_ms) {
                        return Outcome::Throttled { after_ms };
                    }
                    sleep(after_ms).await;
                }
                Verdict::Failed { reason, after_ms } => return Outcome::Failed { reason, after_ms },
                Verdict::Stopped { reason } => return Outcome::Stopped { reason },
            }
        }
    }

    async fn ask(&mut self, request: &Request, budget: &Budget) -> Result<Answered, String> {
        budget.count();
        self.calls += 1;
        let answered = self.shop.ask(&request.body).await?;
        if let Some(version) = answered.version.as_deref().filter(|version| *version != self.version) {
            // A version that is over is answered by another without a word.
            let (asked, trouble) = (self.version, &mut self.trouble);
            *trouble = Some(format!("expected version {asked} of the API, but found {version}"));
        }
        Ok(answered)
    }
}

async fn sleep_if(ms: u32) {
    if ms > 0 {
        sleep(ms).await;
    }
}
