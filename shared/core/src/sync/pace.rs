//! When the next question may be asked, so that as much is asked as Shopify allows and nothing is refused.
//!
//! Shopify fills a bucket at a steady rate, takes from it what a question might cost at most, and gives back what it did
//! not. Not here: a clock; *now* is an argument.

use super::Request;
use super::answer::Cost;

/// What is known of a shop's bucket.
#[derive(Debug, Default)]
pub struct Pace {
    bucket: Option<Bucket>,
    /// What Shopify asked for a document, as a part of what we reckoned: its rules for connections are not published.
    asked: Vec<(&'static str, f64)>,
}

#[derive(Debug)]
struct Bucket {
    cost: Cost,
    at_ms: f64,
}

impl Pace {
    /// How long to wait before a question, in ms.
    pub fn wait_ms(&self, request: &Request, now_ms: f64) -> u32 {
        let Some(Bucket { cost, at_ms }) = &self.bucket else { return 0 };
        let known = self.asked.iter().find(|(name, _)| *name == request.name);
        let wanted = (request.points * known.map_or(1.0, |(_, part)| *part)).min(cost.maximum);
        // It was seen some time after it was written, so that there is rather more than that.
        let there = cost.available + (now_ms - at_ms).max(0.0) * cost.rate / 1000.0;
        match wanted > there && cost.rate > 0.0 {
            true => ((wanted - there) * 1000.0 / cost.rate).ceil() as u32,
            false => 0,
        }
    }

    /// Takes note of what an answer says.
    pub fn observe(&mut self, request: &Request, cost: Cost, now_ms: f64) {
        let part = cost.requested / request.points.max(1.0);
        match self.asked.iter_mut().find(|(name, _)| *name == request.name) {
            Some((_, known)) => *known = part,
            None => self.asked.push((request.name, part)),
        }
        self.bucket = Some(Bucket { cost, at_ms: now_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(points: f64) -> Request {
        Request { name: "ReadLevels", body: String::new(), points }
    }

    fn cost(requested: f64, available: f64) -> Cost {
        Cost { requested, actual: requested, available, maximum: 1000.0, rate: 50.0 }
    }

    #[test]
    fn nothing_is_waited_for_before_anything_is_known_nor_while_there_is_enough() {
        let mut pace = Pace::default();
        assert_eq!(pace.wait_ms(&request(5000.0), 0.0), 0);
        pace.observe(&request(100.0), cost(100.0, 100.0), 0.0);
        assert_eq!(pace.wait_ms(&request(100.0), 0.0), 0);
        assert_eq!(pace.wait_ms(&request(101.0), 0.0), 20);
        assert_eq!(pace.wait_ms(&request(101.0), 20.0), 0);
        // More than the bucket holds is never there.
        assert_eq!(pace.wait_ms(&request(9000.0), 0.0), 18_000);
    }

    #[test]
    fn what_shopify_asks_for_a_document_is_learned() {
        let mut pace = Pace::default();
        pace.observe(&request(503.0), cost(25.0, 20.0), 0.0);
        assert_eq!(pace.wait_ms(&request(503.0), 0.0), 100);
        assert_eq!(pace.wait_ms(&request(50.3), 0.0), 0);
        let other = Request { name: "FindVariants", ..request(40.0) };
        assert_eq!(pace.wait_ms(&other, 0.0), 400);
    }

    #[test]
    fn a_bucket_that_is_not_filled_is_not_waited_for() {
        let mut pace = Pace::default();
        pace.observe(&request(10.0), Cost { rate: 0.0, ..cost(10.0, 0.0) }, 0.0);
        assert_eq!(pace.wait_ms(&request(10.0), 0.0), 0);
    }

    /// Shopify's side: it keeps the bucket by its own clock and refuses what is not there.
    struct Shop {
        available: f64,
        maximum: f64,
        rate: f64,
        at_ms: f64,
    }

    impl Shop {
        /// What it says to a question that may cost and does cost so much; and whether it refused.
        fn ask(&mut self, requested: f64, actual: f64, now_ms: f64) -> (Cost, bool) {
            let filled = self.available + (now_ms - self.at_ms) * self.rate / 1000.0;
            self.available = filled.min(self.maximum);
            self.at_ms = now_ms;
            let refused = self.available < requested;
            let actual = if refused { 0.0 } else { actual };
            self.available -= actual;
            // It writes whole points.
            let cost = Cost {
                requested,
                actual,
                available: self.available.floor(),
                maximum: self.maximum,
                rate: self.rate,
            };
            (cost, refused)
        }
    }

    proptest! {
        #[test]
        fn nine_tenths_of_a_small_bucket_are_used_and_nothing_is_refused(
            maximum in 100.0..2000.0_f64, rate in 50.0..200.0_f64, latency in 5.0..200.0_f64,
            calls in proptest::collection::vec((0.05..0.9_f64, 0.1..1.0_f64), 400),
        ) {
            let maximum = maximum.floor();
            let mut shop = Shop { available: maximum, maximum, rate, at_ms: 0.0 };
            let (mut pace, mut now, mut used, mut idle) = (Pace::default(), 0.0, 0.0, 0.0);
            for (share, part) in calls {
                let requested = (maximum * share).ceil();
                let request = request(requested);
                let wait = f64::from(pace.wait_ms(&request, now));
                now += wait + latency;
                let (cost, refused) = shop.ask(requested, (requested * part).floor(), now);
                prop_assert!(!refused, "after {wait} ms at {now}: {cost:?}");
                used += cost.actual;
                // Shopify's bucket overflows only while we have nothing to ask for quickly enough.
                if shop.available + rate * latency / 500.0 >= maximum {
                    idle += 2.0 * latency * rate / 1000.0;
                }
                now += latency;
                pace.observe(&request, cost, now);
            }
            let allowed = now * rate / 1000.0 - idle;
            // What is still in the bucket was not lost, only not asked for yet.
            prop_assert!(used + shop.available >= 0.9 * allowed, "{used} of {allowed}");
        }
    }
}
