//! What a push may at most raise a level to, from what is known of the listing.

/// A push of a listing that its shop accepted; times in µs.
#[derive(Debug, Clone, Copy)]
pub struct Pushed {
    /// When what is owed was read.
    pub opened: i64,
    pub accepted: i64,
    pub before: i64,
    pub delta: i64,
    pub after: i64,
}

/// What is known of a listing since the lives began.
#[derive(Debug)]
pub struct Known {
    /// The level then.
    pub level: i64,
    /// What our own ledger has come to, and when; the first then.
    pub own: Vec<(i64, i64)>,
    /// What people took off by hand in all: that is put back, rightly.
    pub removed: i64,
    pub pushes: Vec<Pushed>,
}

/// How much earlier than it is noted a change of our ledger may be seen, or later: a commit takes its time.
const COMMIT: i64 = 500_000;

impl Known {
    /// The first push after which the level exceeds the most that it may be: what it was at first, the most that our
    /// own ledger has come to from when the debt was read until the push was accepted, and all that the shop itself has
    /// sold and taken back until then, whether anybody here knows of it or not.
    pub fn undone(&self) -> Option<(Pushed, i64)> {
        let mut told = 0;
        self.pushes.iter().find_map(|push| {
            // Whatever else has moved the level is Shopify's own.
            let events = push.before - self.level - told;
            told += push.delta;
            let seen = self.own.iter().enumerate().filter(|(index, (at, _))| {
                let next = self.own.get(index + 1).map_or(i64::MAX, |(next, _)| *next);
                *at <= push.accepted + COMMIT && next >= push.opened - COMMIT
            });
            let own = seen.map(|(_, (_, own))| *own).max().unwrap();
            let most = self.level + own - self.own[0].1 + events + self.removed;
            (push.after > most).then_some((*push, most))
        })
    }
}

#[test]
fn a_push_that_overwrites_a_sale_would_be_found() {
    let push = |opened: i64, before, delta| Pushed {
        opened: opened * 1_000_000,
        accepted: opened * 1_000_000 + 1,
        before,
        delta,
        after: before + delta,
    };
    let known = |own: &[(i64, i64)], pushes: &[Pushed]| Known {
        level: 10,
        own: own.iter().map(|(at, own)| (at * 1_000_000, *own)).collect(),
        removed: 0,
        pushes: pushes.to_vec(),
    };
    // Three were sold that nobody here knows of; the level is set to what can be sold as far as we know.
    assert!(known(&[(0, 4)], &[push(5, 7, 3)]).undone().is_some());
    // Two restocked meanwhile are pushed on top.
    assert!(known(&[(0, 4), (3, 6)], &[push(5, 7, 2)]).undone().is_none());
    assert!(known(&[(0, 4), (3, 6)], &[push(5, 7, 5)]).undone().is_some());
    // Pushed twice.
    assert!(known(&[(0, 4), (3, 6)], &[push(5, 7, 2), push(8, 9, 2)]).undone().is_some());
    // What was sold elsewhere before it was read must not be pushed; what was sold at that instant may.
    assert!(known(&[(0, 4), (3, 6), (7, 4)], &[push(9, 10, 2)]).undone().is_some());
    assert!(known(&[(0, 4), (3, 6), (9, 4)], &[push(9, 10, 2)]).undone().is_none());
}
