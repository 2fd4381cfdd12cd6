//! What a shop has at the stand-in: variants with their levels, orders, a token, and what was done to it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch::Sender;

use super::Webhook;
use super::clock::{self, Clock};
use super::cost::{Bucket, Limit};
use super::faults::Fault;
use super::inventory::Key;

/// How many of the newest calls and adjustments a shop remembers.
const REMEMBERED: usize = 10_000;

/// What the numbers of orders begin above.
const FIRST_NUMBER: i64 = 50_000;

/// The quantities that `on_hand` is the sum of.
pub(super) const ON_HAND: [&str; 6] =
    ["available", "committed", "reserved", "damaged", "safety_stock", "quality_control"];

/// All shops, and what time it is there.
#[derive(Default)]
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) shops: BTreeMap<String, Shop>,
    /// Told whenever faults are cleared.
    pub(super) cleared: Sender<()>,
    /// The last id that was given.
    last_id: i64,
}

/// How far ids of orders are apart: those of their lines and refunds fit between, and twice as far are those of lines.
const IDS: i64 = 1_000;

/// What ids begin above: they exceed 2^53, as Shopify may well do one day.
const FIRST_ID: i64 = 4_400_000_000_000_000_000;

impl World {
    pub(super) fn shop(&mut self, domain: &str) -> Result<&mut Shop> {
        self.shops.get_mut(domain).with_context(|| format!("expected a shop, but found {domain}"))
    }

    /// A new id, also after the stand-in was started anew and knows nothing of the last ones.
    pub(super) fn id(&mut self) -> i64 {
        let by_time = FIRST_ID + Timestamp::now().as_millisecond() * IDS;
        self.last_id = by_time.max(self.last_id + IDS);
        self.last_id
    }
}

/// One shop.
pub(super) struct Shop {
    pub(super) domain: String,
    pub(super) token: String,
    /// Its locations' names by id; the first is where its stock is managed.
    pub(super) locations: BTreeMap<i64, String>,
    /// By the id of the inventory item.
    pub(super) variants: BTreeMap<i64, Variant>,
    /// The bodies of its orders, in REST's form, by id.
    pub(super) orders: BTreeMap<i64, Value>,
    /// The number of its last order.
    pub(super) number: i64,
    /// What was asked for under which idempotency key.
    pub(super) keys: HashMap<String, Key>,
    pub(super) bucket: Bucket,
    pub(super) faults: Vec<Fault>,
    pub(super) calls: VecDeque<Call>,
    pub(super) adjustments: VecDeque<Adjustment>,
    /// What tells of the levels that apps have adjusted, until somebody takes them to send.
    pub(super) untold: VecDeque<Webhook>,
    pub(super) counts: Counts,
}

/// What calls a shop has had.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// By field of the root, throttled ones and those that a fault befell too.
    pub calls: BTreeMap<String, u64>,
    /// How many were throttled.
    pub throttled: u64,
    /// What those that were executed cost.
    pub cost: i64,
}

/// A call of the Admin API.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// When it came.
    pub at: Timestamp,
    /// The fields of the root that it selects.
    pub operations: Vec<String>,
    /// The HTTP status of its answer; none where the connection was cut.
    pub status: Option<u16>,
    /// The cost that it requested.
    pub requested: i64,
    /// What it did cost, where it was executed.
    pub actual: Option<i64>,
    /// The fault that befell it.
    pub fault: Option<Fault>,
    /// The messages of the errors in its answer.
    pub errors: Vec<String>,
}

/// A call of `inventoryAdjustQuantities` that was accepted.
#[derive(Debug, Clone, Serialize)]
pub struct Adjustment {
    /// When it was applied.
    pub at: Timestamp,
    /// The shop's domain.
    pub shop_domain: String,
    /// Its idempotency key.
    pub key: String,
    /// Its `referenceDocumentUri`.
    pub reference: Option<String>,
    /// What it changed.
    pub changes: Vec<Change>,
}

/// A level that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The inventory item.
    pub inventory_item: i64,
    /// The location.
    pub location: i64,
    /// By how much.
    pub delta: i64,
    /// What was available before.
    pub before: i64,
    /// What was available then.
    pub after: i64,
}

/// A variant with its inventory item.
#[derive(Debug, Clone, Serialize)]
pub struct Variant {
    /// The id of its inventory item.
    pub inventory_item: i64,
    /// Its id.
    pub variant: i64,
    /// Its product's id.
    pub product: i64,
    /// Its SKU; several may have the same one.
    pub sku: String,
    /// Its product's title.
    pub product_title: String,
    /// Its own title.
    pub title: String,
    /// Where its product's picture is.
    pub image: Option<String>,
    /// Whether Shopify tracks it.
    pub tracked: bool,
    /// Whether an app may adjust it; a bundle's parent it may not.
    pub mutable: bool,
    /// Its levels by location; where it has none, it is not stocked.
    pub levels: BTreeMap<i64, Level>,
    /// When it was changed.
    pub updated_at: Timestamp,
}

/// What there is of an item at a location.
#[derive(Debug, Clone, Serialize)]
pub struct Level {
    /// By the names that Shopify gives them; those that are 0 may be left out.
    pub quantities: BTreeMap<String, i64>,
    /// When it was changed.
    pub updated_at: Timestamp,
}

impl Variant {
    /// A tracked variant that is stocked nowhere yet; the ids of variant and product follow from the inventory item's.
    pub fn new(inventory_item: i64, sku: &str, product_title: &str) -> Variant {
        Variant {
            inventory_item,
            variant: inventory_item + 100_000_000_000,
            product: inventory_item + 200_000_000_000,
            sku: sku.into(),
            product_title: product_title.into(),
            title: "Default Title".into(),
            image: None,
            tracked: true,
            mutable: true,
            levels: BTreeMap::new(),
            updated_at: Timestamp::now(),
        }
    }

    /// The same, of which so many are available at a location.
    pub fn available(mut self, location: i64, available: i64) -> Variant {
        let level = Level { quantities: BTreeMap::new(), updated_at: self.updated_at };
        self.levels.entry(location).or_insert(level).add("available", available, self.updated_at);
        self
    }
}

impl Level {
    /// A quantity by its name; none where Shopify knows no such name.
    pub fn quantity(&self, name: &str) -> Option<i64> {
        let named = |name: &str| self.quantities.get(name).copied().unwrap_or_default();
        match name {
            "on_hand" => Some(ON_HAND.into_iter().map(named).sum()),
            "incoming" => Some(named(name)),
            name => ON_HAND.contains(&name).then(|| named(name)),
        }
    }

    pub(super) fn add(&mut self, name: &str, delta: i64, now: Timestamp) {
        *self.quantities.entry(name.into()).or_default() += delta;
        self.updated_at = now;
    }
}

impl Shop {
    pub(super) fn new(domain: &str, token: &str, location: i64, now: Timestamp) -> Shop {
        Shop {
            domain: domain.into(),
            token: token.into(),
            locations: BTreeMap::from([(location, "Bakery".to_owned())]),
            variants: BTreeMap::new(),
            orders: BTreeMap::new(),
            number: FIRST_NUMBER,
            keys: HashMap::new(),
            bucket: Bucket::new(Limit::default(), now),
            faults: Vec::new(),
            calls: VecDeque::new(),
            adjustments: VecDeque::new(),
            untold: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// The location whose stock is managed.
    pub(super) fn location(&self) -> i64 {
        self.locations.keys().next().copied().unwrap_or_default()
    }

    pub(super) fn by_sku(&mut self, sku: &str) -> Result<&mut Variant> {
        let domain = &self.domain;
        let found = self.variants.values_mut().find(|variant| variant.sku == sku);
        found.with_context(|| format!("expected a variant of {domain}, but found {sku}"))
    }

    /// The products, as far as their variants tell: by id, the first variant of each.
    pub(super) fn products(&self) -> BTreeMap<i64, &Variant> {
        self.variants.values().rev().map(|variant| (variant.product, variant)).collect()
    }

    /// The webhook that tells what is available of an item.
    pub(super) fn level_webhook(&self, inventory_item: i64, location: i64) -> Option<Webhook> {
        let level = self.variants.get(&inventory_item)?.levels.get(&location)?;
        let body = json!({
            "inventory_item_id": inventory_item, "location_id": location,
            "available": level.quantity("available"), "updated_at": clock::rest(level.updated_at),
            "admin_graphql_api_id":
                format!("gid://shopify/InventoryLevel/{location}?inventory_item_id={inventory_item}"),
        });
        Some(Webhook::new("inventory_levels/update", &self.domain, body))
    }

    pub(super) fn remember(&mut self, call: Call) {
        for operation in &call.operations {
            *self.counts.calls.entry(operation.clone()).or_default() += 1;
        }
        self.counts.cost += call.actual.unwrap_or_default();
        push(&mut self.calls, call);
    }

    pub(super) fn adjusted(&mut self, adjustment: Adjustment) {
        for change in &adjustment.changes {
            if let Some(webhook) = self.level_webhook(change.inventory_item, change.location) {
                push(&mut self.untold, webhook);
            }
        }
        push(&mut self.adjustments, adjustment);
    }
}

/// Remembers one more, and forgets the oldest where there are many.
pub(super) fn push<T>(remembered: &mut VecDeque<T>, one: T) {
    if remembered.len() == REMEMBERED {
        remembered.pop_front();
    }
    remembered.push_back(one);
}
