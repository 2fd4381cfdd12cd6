//! What customers and people do at a shop: buy, cancel, refund. Levels move at once, as at Shopify; the webhooks that
//! tell of it are the caller's to send: in time, late, shuffled, or not at all.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::shop::{Shop, Variant};
use super::{Shopify, Webhook, clock, locked};
use crate::stack::order::{Line, Order};

/// An order that was placed.
#[derive(Debug)]
pub struct Sale {
    /// Its id.
    pub order: i64,
    /// What tells of it: the order, then the levels.
    pub webhooks: Vec<Webhook>,
}

/// What becomes of what is refunded, in REST's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restock {
    /// It is not sold again.
    NoRestock,
    /// It was never handed over, and can be sold again.
    Cancel,
    /// It came back, and can be sold again.
    Return,
}

impl Restock {
    fn word(self) -> &'static str {
        match self {
            Restock::NoRestock => "no_restock",
            Restock::Cancel => "cancel",
            Restock::Return => "return",
        }
    }
}

impl Shopify {
    /// An order of these SKUs with an id and a number of its own, to be sold as it is, or changed before.
    ///
    /// # Errors
    /// Where there is no such shop or variant.
    pub fn order(&self, shop: &str, lines: &[(&str, u32)]) -> Result<Order> {
        let mut world = locked(&self.world);
        let id = world.id();
        let shop = world.shop(shop)?;
        shop.number += 1;
        let line = |(sku, quantity): &(&str, u32)| {
            let Variant { product_title, title, .. } = shop.by_sku(sku)?;
            Ok(Line::new(product_title, title, *quantity).sku((*sku).to_owned()))
        };
        let lines = lines.iter().map(line).collect::<Result<_>>()?;
        Ok(Order { id, ..Order::new(&shop.domain, shop.number).lines(lines) })
    }

    /// Places an order. What it sells of tracked variants is not available any more from now on.
    ///
    /// # Errors
    /// Where there is no such shop, or it has an order of this id.
    pub fn sell(&self, order: &Order) -> Result<Sale> {
        let mut world = locked(&self.world);
        let now = world.clock.now();
        let shop = world.shop(&order.shop_domain)?;
        ensure!(!shop.orders.contains_key(&order.id), "expected a new order, but found {}", order.id);
        let mut body = order.body();
        for time in ["created_at", "processed_at", "updated_at"] {
            body[time] = clock::rest(now).into();
        }
        let mut sold = Vec::new();
        for line in body["line_items"].as_array_mut().into_iter().flatten() {
            let variant = shop.by_sku(line["sku"].as_str().unwrap_or_default()).ok().cloned();
            line["product_id"] = variant.as_ref().map(|variant| variant.product).into();
            line["variant_id"] = variant.as_ref().map(|variant| variant.variant).into();
            if let Some(variant) = variant {
                sold.push((variant.inventory_item, line["quantity"].as_i64().unwrap_or_default()));
            }
        }
        for (item, units) in &sold {
            shop.shift(*item, &[("available", -units), ("committed", *units)], now);
        }
        shop.orders.insert(order.id, body.clone());
        let create = Webhook::new("orders/create", &shop.domain, body);
        let items = sold.iter().map(|(item, _)| *item);
        Ok(Sale { order: order.id, webhooks: std::iter::once(create).chain(shop.tell(items)).collect() })
    }

    /// Cancels an order with what is left of it; what is restocked can be sold again.
    ///
    /// # Errors
    /// Where there is no such shop or order, or it is cancelled already.
    pub fn cancel(&self, shop: &str, order: i64, restock: bool) -> Result<Vec<Webhook>> {
        let mut world = locked(&self.world);
        let (now, id) = (world.clock.now(), world.id());
        let shop = world.shop(shop)?;
        let body = shop.orders.get(&order).context("expected an order of the shop")?;
        ensure!(body["cancelled_at"].is_null(), "expected an order that is not cancelled");
        let left = lines(body).map(|line| line["current_quantity"].as_i64().unwrap_or_default());
        let left: Vec<_> = left.enumerate().filter(|(_, units)| *units > 0).collect();
        let restock = if restock { Restock::Cancel } else { Restock::NoRestock };
        let (refund, items) = shop.take_back(order, id, &left, restock, now)?;
        let body = shop.orders.get_mut(&order).context("expected an order of the shop")?;
        body["cancelled_at"] = clock::rest(now).into();
        body["cancel_reason"] = "customer".into();
        let whole = |topic: &str| Webhook::new(topic, &shop.domain, shop.orders[&order].clone());
        let mut webhooks = vec![whole("orders/cancelled"), whole("orders/updated")];
        webhooks.push(Webhook::new("refunds/create", &shop.domain, refund));
        Ok(webhooks.into_iter().chain(shop.tell(items)).collect())
    }

    /// Refunds units of an order's line, the first being 0.
    ///
    /// # Errors
    /// Where there is no such shop, order or line, or less is left of it.
    pub fn refund(
        &self,
        shop: &str,
        order: i64,
        line: usize,
        units: i64,
        restock: Restock,
    ) -> Result<Vec<Webhook>> {
        let mut world = locked(&self.world);
        let (now, id) = (world.clock.now(), world.id());
        let shop = world.shop(shop)?;
        let (refund, items) = shop.take_back(order, id, &[(line, units)], restock, now)?;
        let webhooks = [
            Webhook::new("refunds/create", &shop.domain, refund),
            Webhook::new("orders/updated", &shop.domain, shop.orders[&order].clone()),
        ];
        Ok(webhooks.into_iter().chain(shop.tell(items)).collect())
    }

    /// The body of an order as REST has it now.
    ///
    /// # Errors
    /// Where there is no such shop or order.
    pub fn order_body(&self, shop: &str, order: i64) -> Result<Value> {
        locked(&self.world).shop(shop)?.orders.get(&order).cloned().context("expected an order of the shop")
    }
}

fn lines(order: &Value) -> impl Iterator<Item = &Value> {
    order["line_items"].as_array().into_iter().flatten()
}

impl Shop {
    /// Moves quantities of an item at the shop's location, where it is tracked and stocked there.
    fn shift(&mut self, inventory_item: i64, by: &[(&str, i64)], now: Timestamp) {
        let location = self.location();
        let Some(variant) = self.variants.get_mut(&inventory_item) else { return };
        if let (true, Some(level)) = (variant.tracked, variant.levels.get_mut(&location)) {
            by.iter().for_each(|(name, units)| level.add(name, *units, now));
        }
    }

    /// What tells of the levels of items, each once.
    fn tell(&self, items: impl IntoIterator<Item = i64>) -> Vec<Webhook> {
        let items: BTreeSet<_> = items.into_iter().collect();
        items.into_iter().filter_map(|item| self.level_webhook(item, self.location())).collect()
    }

    /// Takes units of an order's lines back, and writes the refund into it; answers with the refund, and whose levels
    /// have moved.
    fn take_back(
        &mut self,
        order: i64,
        id: i64,
        taken: &[(usize, i64)],
        restock: Restock,
        now: Timestamp,
    ) -> Result<(Value, Vec<i64>)> {
        let location = (restock != Restock::NoRestock).then(|| self.location());
        let body = self.orders.get_mut(&order).context("expected an order of the shop")?;
        let (mut refund_lines, mut moved) = (Vec::new(), Vec::new());
        for (index, (place, units)) in (1..).zip(taken) {
            let line = body["line_items"].get_mut(*place).context("expected a line of the order")?;
            reduce(line, *units)?;
            moved.push((line["variant_id"].as_i64(), *units));
            refund_lines.push(json!({
                "id": id + index, "line_item_id": line["id"], "quantity": units,
                "restock_type": restock.word(), "location_id": location, "subtotal": 95, "total_tax": 8.64,
            }));
        }
        let at = clock::rest(now);
        let refund = json!({
            "id": id, "order_id": order, "created_at": at, "processed_at": at, "note": null, "user_id": null,
            "restock": location.is_some(), "order_adjustments": [], "duties": [], "transactions": [],
            "admin_graphql_api_id": format!("gid://shopify/Refund/{id}"), "refund_line_items": refund_lines,
        });
        if let Some(refunds) = body["refunds"].as_array_mut() {
            refunds.push(refund.clone());
        }
        body["updated_at"] = at.into();
        Ok((refund, self.put_back(&moved, restock, now)))
    }

    /// Moves the levels of variants of which units were taken back; answers with whose.
    fn put_back(&mut self, taken: &[(Option<i64>, i64)], restock: Restock, now: Timestamp) -> Vec<i64> {
        let item = |(variant, units): &(Option<i64>, i64)| {
            let found = self.variants.values().find(|found| Some(found.variant) == *variant);
            Some((found?.inventory_item, *units))
        };
        let items: Vec<_> = taken.iter().filter_map(item).collect();
        for (item, units) in &items {
            let by: &[_] = match restock {
                Restock::NoRestock => &[("committed", -units)],
                Restock::Cancel => &[("available", *units), ("committed", -units)],
                Restock::Return => &[("available", *units)],
            };
            self.shift(*item, by, now);
        }
        items.into_iter().map(|(item, _)| item).collect()
    }
}

/// Takes units off what is left of a line.
fn reduce(line: &mut Value, units: i64) -> Result<()> {
    let left = line["current_quantity"].as_i64().unwrap_or_default() - units;
    ensure!(units > 0 && left >= 0, "expected up to what is left of the line, but found {units}");
    line["current_quantity"] = left.into();
    line["fulfillable_quantity"] = left.into();
    Ok(())
}
