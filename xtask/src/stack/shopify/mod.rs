//! The Shopify stand-in: shops with variants, levels and orders; the Admin API that reads and adjusts them; the
//! webhooks that tell of them, signed and sent again as Shopify does; and what goes wrong when it is told to.
//!
//! Used in process by the tests and over HTTP by everybody else. What it knows it forgets with the stack. Not here:
//! anything that real Shopify would not do; a forged request is made by whoever wants one.

mod clock;
mod control;
mod cost;
mod faults;
mod graphql;
mod http;
mod inventory;
mod page;
mod sales;
mod shop;
mod webhooks;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::cost::Limit;
pub use self::faults::{Fault, FaultKind};
pub use self::inventory::UserErrorCode;
pub use self::sales::{Restock, Sale};
use self::shop::World;
pub use self::shop::{Adjustment, Call, Change, Counts, Level, Variant};
use self::webhooks::Sender;
pub use self::webhooks::{Sent, Webhook, delivery_id};

/// A shop that the stand-in has: its domain, its token, and the location whose stock is managed.
pub(super) type Opened<'a> = (&'a str, &'a str, i64);

/// A running stand-in; clones share its state.
#[derive(Clone)]
pub struct Shopify {
    port: u16,
    sender: Sender,
    admin: graphql::Admin,
    world: Arc<Mutex<World>>,
}

/// What is behind a lock, also where somebody panicked who had it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shopify {
    /// Starts the stand-in with these shops; it sends to the public path at `gateway`.
    pub(super) fn start(
        (listener, port): (TcpListener, u16),
        gateway: &str,
        secret: String,
        shops: &[Opened<'_>],
    ) -> Result<(Shopify, JoinHandle<()>)> {
        let mut world = World::default();
        let now = world.clock.now();
        let open = |(domain, token, location): &Opened<'_>| {
            ((*domain).to_owned(), shop::Shop::new(domain, token, *location, now))
        };
        world.shops = shops.iter().map(open).collect();
        let world = Arc::new(Mutex::new(world));
        let shopify = Shopify { port, sender: Sender::new(gateway, secret)?, admin: graphql::admin(), world };
        let app = Router::new()
            .route("/deliveries", get(webhooks::list).post(webhooks::post))
            .route("/{shop}/admin/api/{version}/graphql.json", post(http::admin))
            .merge(control::routes())
            .with_state(shopify.clone());
        let task = tokio::spawn(async move {
            // Only fails where the listener itself does, and then there is nobody to tell.
            let _ = axum::serve(listener, app).await;
        });
        Ok((shopify, task))
    }

    /// Where the stand-in listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Opens one more shop, with the location whose stock is managed, or one in the place of what it was.
    pub fn open(&self, domain: &str, token: &str, location: i64) {
        let mut world = locked(&self.world);
        let now = world.clock.now();
        world.shops.insert(domain.to_owned(), shop::Shop::new(domain, token, location, now));
    }

    /// What time it is at Shopify.
    pub fn now(&self) -> Timestamp {
        locked(&self.world).clock.now()
    }

    /// Sets the clock, which stands from then on.
    pub fn set_clock(&self, at: Timestamp) {
        locked(&self.world).clock.set(at);
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        locked(&self.world).clock.advance(by);
    }

    /// Puts a variant on sale, or in the place of what it was.
    ///
    /// # Errors
    /// Where there is no such shop.
    pub fn put(&self, shop: &str, variant: Variant) -> Result<()> {
        locked(&self.world).shop(shop)?.variants.insert(variant.inventory_item, variant);
        Ok(())
    }

    /// The variant of an SKU, as it is now.
    ///
    /// # Errors
    /// Where there is no such shop or variant.
    pub fn variant(&self, shop: &str, sku: &str) -> Result<Variant> {
        Ok(locked(&self.world).shop(shop)?.by_sku(sku)?.clone())
    }

    /// What is available of an SKU at the shop's location.
    ///
    /// # Errors
    /// Where there is no such shop or variant, or it is not stocked there.
    pub fn available(&self, shop: &str, sku: &str) -> Result<i64> {
        let mut world = locked(&self.world);
        let shop = world.shop(shop)?;
        let location = shop.location();
        let level = shop.by_sku(sku)?.levels.get(&location);
        level.and_then(|level| level.quantity("available")).with_context(|| format!("{sku} is not stocked"))
    }

    /// What is available at the shop's location of each SKU that is stocked there.
    ///
    /// # Errors
    /// Where there is no such shop.
    pub fn levels(&self, shop: &str) -> Result<BTreeMap<String, i64>> {
        let mut world = locked(&self.world);
        let shop = world.shop(shop)?;
        let location = shop.location();
        let levels = shop.variants.values().filter_map(|variant| {
            let available = variant.levels.get(&location)?.quantity("available")?;
            Some((variant.sku.clone(), available))
        });
        Ok(levels.collect())
    }

    /// Edits a quantity of an SKU by hand, as a person does in the admin; answers with the webhook that tells of it.
    ///
    /// # Errors
    /// Where there is no such shop or variant, or it is not stocked there.
    pub fn edit(&self, shop: &str, sku: &str, name: &str, quantity: i64) -> Result<Vec<Webhook>> {
        self.change(shop, sku, name, |before| quantity - before)
    }

    /// The same by a difference from what is available.
    ///
    /// # Errors
    /// As `edit`.
    pub fn edit_by(&self, shop: &str, sku: &str, delta: i64) -> Result<Vec<Webhook>> {
        self.change(shop, sku, "available", |_| delta)
    }

    fn change(
        &self,
        shop: &str,
        sku: &str,
        name: &str,
        delta: impl FnOnce(i64) -> i64,
    ) -> Result<Vec<Webhook>> {
        let mut world = locked(&self.world);
        let now = world.clock.now();
        let shop = world.shop(shop)?;
        let location = shop.location();
        let variant = shop.by_sku(sku)?;
        let item = variant.inventory_item;
        let level = variant.levels.get_mut(&location).with_context(|| format!("{sku} is not stocked"))?;
        let before = level.quantity(name).with_context(|| format!("{name} is no name of a quantity"))?;
        level.add(name, delta(before), now);
        Ok(shop.level_webhook(item, location).into_iter().collect())
    }

    /// Has something go wrong at a shop.
    ///
    /// # Errors
    /// Where there is no such shop.
    pub fn fault(&self, shop: &str, fault: impl Into<Fault>) -> Result<()> {
        locked(&self.world).shop(shop)?.faults.push(fault.into());
        Ok(())
    }

    /// Has nothing go wrong at a shop any more; what is slow goes on.
    ///
    /// # Errors
    /// Where there is no such shop.
    pub fn clear_faults(&self, shop: &str) -> Result<()> {
        let mut world = locked(&self.world);
        world.shop(shop)?.faults.clear();
        world.cleared.send_replace(());
        Ok(())
    }

    /// Has a shop number its orders from above this one on.
    ///
    /// # Errors
    /// Where there is no such shop.
    pub fn number_above(&self, shop: &str, number: i64) -> Result<()> {
        locked(&self.world).shop(shop)?.number = number;
        Ok(())
    }

    /// Takes the webhooks that tell of the levels that apps have adjusted; whoever takes them sends them, or does not.
    ///
    /// # Errors
    /// Where there is no such shop.
    pub fn take_untold(&self, shop: &str) -> Result<Vec<Webhook>> {
        Ok(locked(&self.world).shop(shop)?.untold.drain(..).collect())
    }

    /// Says how a shop throttles, and fills its bucket.
    ///
    /// # Errors
    /// Where there is no such shop.
    pub fn limit(&self, shop: &str, limit: Limit) -> Result<()> {
        let mut world = locked(&self.world);
        let now = world.clock.now();
        world.shop(shop)?.bucket = cost::Bucket::new(limit, now);
        Ok(())
    }

    /// The newest adjustments that a shop has accepted, oldest first.
    ///
    /// # Errors
    /// Where there is no such shop.
    pub fn adjustments(&self, shop: &str) -> Result<Vec<Adjustment>> {
        Ok(locked(&self.world).shop(shop)?.adjustments.iter().cloned().collect())
    }

    /// The newest calls of a shop's Admin API, oldest first.
    ///
    /// # Errors
    /// Where there is no such shop.
    pub fn calls(&self, shop: &str) -> Result<Vec<Call>> {
        Ok(locked(&self.world).shop(shop)?.calls.iter().cloned().collect())
    }

    /// How many calls a shop has had, and what they cost.
    ///
    /// # Errors
    /// Where there is no such shop.
    pub fn counts(&self, shop: &str) -> Result<Counts> {
        Ok(locked(&self.world).shop(shop)?.counts.clone())
    }
}
