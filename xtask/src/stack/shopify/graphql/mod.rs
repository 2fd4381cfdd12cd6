//! The Admin API's GraphQL schema, as far as it is needed: real names, types and nullability, fewer fields.
//!
//! What it exports is `admin.graphql`. Not here: what a request meets before it is executed.

mod catalogue;
mod orders;
mod page;
mod scalars;
mod search;

use std::sync::Arc;
use std::sync::Mutex;

use async_graphql::{
    Context, CustomDirective, Directive, EmptySubscription, Error, ErrorExtensions as _, ID, InputObject,
    Interface, MaybeUndefined, Object, Result, Schema, SimpleObject,
};
use jiff::Timestamp;

use self::catalogue::{InventoryItem, Location, Product, ProductVariant};
use self::orders::{Order, OrderSortKeys, Refund};
use self::page::{Arguments, Page, Place};
use self::scalars::DateTime;
use super::faults::Pause;
use super::inventory::{self, Asked, AskedChange, Group, UserError, UserErrorCode};
use super::shop::{Change, Shop, World};
use super::{clock, locked};

/// The schema.
pub(super) type Admin = Schema<QueryRoot, Mutation, EmptySubscription>;

/// How many elements an input may have.
const INPUT_SIZE: usize = 250;

/// The schema of every shop.
pub(super) fn admin() -> Admin {
    Schema::build(QueryRoot, Mutation, EmptySubscription).directive(idempotent).finish()
}

/// Whose shop a request is for, and what befalls it.
pub(super) struct Site {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) domain: String,
    /// How long a mutation takes.
    pub(super) pause: Pause,
    /// What a mutation is refused with, whatever it asks for.
    pub(super) refusal: Option<(UserErrorCode, Option<i64>)>,
}

/// Does something with the shop that a request is for.
fn shop<T>(context: &Context<'_>, act: impl FnOnce(&mut Shop, Timestamp) -> T) -> Result<T> {
    let site = context.data::<Site>()?;
    let mut world = locked(&site.world);
    let now = world.clock.now();
    let shop = world.shop(&site.domain).map_err(|error| Error::new(format!("{error:#}")))?;
    Ok(act(shop, now))
}

/// A gid.
fn gid(kind: &str, id: i64) -> ID {
    format!("gid://shopify/{kind}/{id}").into()
}

/// The id in a gid of this kind.
fn id_of(gid: &str, kind: &str) -> Option<i64> {
    gid.strip_prefix("gid://shopify/")?.strip_prefix(kind)?.strip_prefix('/')?.parse().ok()
}

/// An error of the whole request, with its code.
fn failed(code: &'static str, message: String) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

struct Idempotent;

impl CustomDirective for Idempotent {}

/// Enables idempotent execution of a mutation.
#[Directive(location = "Field", name = "idempotent")]
#[expect(unused_variables, reason = "the field's resolver reads it")]
fn idempotent(key: String) -> impl CustomDirective {
    Idempotent
}

/// What has an id of its own.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"))]
enum Node {
    InventoryItem(InventoryItem),
    Location(Location),
    Order(Order),
    Product(Product),
    ProductVariant(ProductVariant),
}

/// The node of a gid, where there is one.
fn node(shop: &Shop, gid: &str) -> Option<Node> {
    let (kind, id) = gid.strip_prefix("gid://shopify/")?.split_once('/')?;
    let id: i64 = id.parse().ok()?;
    Some(match kind {
        "InventoryItem" => InventoryItem(shop.variants.get(&id)?.clone()).into(),
        "Location" => Location::of(shop, id)?.into(),
        "Order" => Order(shop.orders.get(&id)?.clone()).into(),
        "Product" => Product::of(shop, id)?.into(),
        "ProductVariant" => {
            let variant = shop.variants.values().find(|variant| variant.variant == id)?;
            ProductVariant(variant.clone()).into()
        }
        _ => return None,
    })
}

/// What can be read.
pub(super) struct QueryRoot;

#[Object]
impl QueryRoot {
    async fn node(&self, context: &Context<'_>, id: ID) -> Result<Option<Node>> {
        shop(context, |shop, _| node(shop, &id))
    }

    async fn nodes(&self, context: &Context<'_>, ids: Vec<ID>) -> Result<Vec<Option<Node>>> {
        small(ids.len())?;
        shop(context, |shop, _| ids.iter().map(|id| node(shop, id)).collect())
    }

    async fn inventory_item(&self, context: &Context<'_>, id: ID) -> Result<Option<InventoryItem>> {
        let find = |shop: &mut Shop, _| shop.variants.get(&id_of(&id, "InventoryItem")?).cloned();
        Ok(shop(context, find)?.map(InventoryItem))
    }

    async fn inventory_items(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        query: Option<String>,
    ) -> Result<Page<InventoryItem>> {
        let wanted = search::variants(query.as_deref())?;
        let found = shop(context, |shop, _| {
            let found = shop.variants.values().filter(|variant| wanted.matches(*variant));
            found.map(|item| (Place::of(item.inventory_item), InventoryItem(item.clone()))).collect()
        })?;
        page::page(found, Arguments { first, after, reverse: false })
    }

    async fn location(&self, context: &Context<'_>, id: Option<ID>) -> Result<Option<Location>> {
        shop(context, |shop, _| {
            let id = id.map_or(Some(shop.location()), |id| id_of(&id, "Location"));
            Location::of(shop, id?)
        })
    }

    async fn locations(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Page<Location>> {
        let found = shop(context, |shop, _| {
            let ids = shop.locations.keys();
            ids.filter_map(|id| Some((Place::of(*id), Location::of(shop, *id)?))).collect()
        })?;
        page::page(found, Arguments { first, after, reverse: false })
    }

    async fn order(&self, context: &Context<'_>, id: ID) -> Result<Option<Order>> {
        shop(context, |shop, _| Some(Order(shop.orders.get(&id_of(&id, "Order")?)?.clone())))
    }

    async fn orders(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        #[graphql(default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(default_with = "Some(OrderSortKeys::ProcessedAt)")] sort_key: Option<OrderSortKeys>,
        query: Option<String>,
    ) -> Result<Page<Order>> {
        let wanted = search::orders(query.as_deref())?;
        let (key, reverse) = (sort_key.unwrap_or(OrderSortKeys::ProcessedAt), reverse.unwrap_or_default());
        let found = shop(context, |shop, _| {
            let found = shop.orders.values().filter(|order| wanted.matches(*order));
            found.map(|order| (key.place(order), Order(order.clone()))).collect()
        })?;
        page::page(found, Arguments { first, after, reverse })
    }

    async fn product(&self, context: &Context<'_>, id: ID) -> Result<Option<Product>> {
        shop(context, |shop, _| Product::of(shop, id_of(&id, "Product")?))
    }

    async fn product_variants(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        query: Option<String>,
    ) -> Result<Page<ProductVariant>> {
        let wanted = search::variants(query.as_deref())?;
        let found = shop(context, |shop, _| {
            let found = shop.variants.values().filter(|variant| wanted.matches(*variant));
            found.map(|item| (Place::of(item.variant), ProductVariant(item.clone()))).collect()
        })?;
        page::page(found, Arguments { first, after, reverse: false })
    }

    async fn refund(&self, context: &Context<'_>, id: ID) -> Result<Option<Refund>> {
        shop(context, |shop, _| Refund::of(shop, id_of(&id, "Refund")?))
    }
}

/// What can be changed.
pub(super) struct Mutation;

#[Object]
impl Mutation {
    async fn inventory_adjust_quantities(
        &self,
        context: &Context<'_>,
        input: InventoryAdjustQuantitiesInput,
    ) -> Result<Option<InventoryAdjustQuantitiesPayload>> {
        let key = idempotency_key(context)?;
        small(input.changes.len())?;
        let asked = input.asked()?;
        let begun = shop(context, |shop, now| inventory::begin(shop, &key, &asked, now))?;
        let result = match begun {
            Err(error) => Err(vec![error]),
            Ok(Some(done)) => Ok(done),
            Ok(None) => {
                let site = context.data::<Site>()?;
                site.pause.wait().await;
                let refusal = site.refusal.map(|(code, item)| asked.refusal(code, item));
                let id = locked(&site.world).id();
                shop(context, |shop, now| inventory::finish(shop, (&key, id), &asked, refusal, now))?
            }
        };
        Ok(Some(InventoryAdjustQuantitiesPayload::of(result)))
    }
}

/// The key of a mutation's `@idempotent`, without which it is refused.
fn idempotency_key(context: &Context<'_>) -> Result<String> {
    let directives = context.field().directives()?;
    let directive = directives.iter().find(|directive| directive.name.node == "idempotent");
    let Some(directive) = directive else {
        let message = "The @idempotent directive is required for this mutation but was not provided.";
        return Err(failed("BAD_REQUEST", message.into()));
    };
    let key = directive.get_argument("key").map(|key| key.node.clone().into_json()).transpose()?;
    match key.as_ref().and_then(serde_json::Value::as_str).map(str::trim) {
        Some(key) if !key.is_empty() => Ok(key.to_owned()),
        _ => Err(failed("BAD_REQUEST", "The idempotency key cannot be empty.".into())),
    }
}

/// Refuses a list that is too long.
fn small(size: usize) -> Result<()> {
    if size <= INPUT_SIZE {
        return Ok(());
    }
    let text = format!("The input array size of {size} is greater than the maximum allowed of {INPUT_SIZE}.");
    Err(failed("MAX_INPUT_SIZE_EXCEEDED", text))
}

#[derive(InputObject)]
struct InventoryAdjustQuantitiesInput {
    reason: String,
    name: String,
    reference_document_uri: Option<String>,
    changes: Vec<InventoryChangeInput>,
}

#[derive(InputObject)]
struct InventoryChangeInput {
    delta: i32,
    change_from_quantity: MaybeUndefined<i32>,
    inventory_item_id: ID,
    location_id: ID,
    ledger_document_uri: Option<String>,
}

impl InventoryAdjustQuantitiesInput {
    fn asked(&self) -> Result<Asked> {
        let changes = self.changes.iter().map(InventoryChangeInput::asked).collect::<Result<_>>()?;
        let (name, reason) = (self.name.clone(), self.reason.clone());
        Ok(Asked { name, reason, reference: self.reference_document_uri.clone(), changes })
    }
}

impl InventoryChangeInput {
    fn asked(&self) -> Result<AskedChange> {
        let from = match self.change_from_quantity {
            // The schema lets it be left out, Shopify does not.
            MaybeUndefined::Undefined => {
                let message =
                    "InventoryChangeInput must include the following argument: changeFromQuantity.".into();
                return Err(failed("INVALID_FIELD_ARGUMENTS", message));
            }
            MaybeUndefined::Null => None,
            MaybeUndefined::Value(from) => Some(from.into()),
        };
        Ok(AskedChange {
            inventory_item: id_of(&self.inventory_item_id, "InventoryItem"),
            location: id_of(&self.location_id, "Location"),
            delta: self.delta.into(),
            from,
            ledger_document: self.ledger_document_uri.is_some(),
        })
    }
}

impl Asked {
    /// The refusal that a fault is, naming the change of the inventory item where one is told.
    fn refusal(&self, code: UserErrorCode, item: Option<i64>) -> UserError {
        let index = self.changes.iter().position(|change| item.is_some() && change.inventory_item == item);
        match index {
            Some(index) => UserError::of_change(code, index, "inventoryItemId"),
            None => UserError::unnamed(code),
        }
    }
}

#[derive(SimpleObject)]
struct InventoryAdjustQuantitiesPayload {
    inventory_adjustment_group: Option<InventoryAdjustmentGroup>,
    user_errors: Vec<InventoryAdjustQuantitiesUserError>,
}

impl InventoryAdjustQuantitiesPayload {
    fn of(result: Result<Group, Vec<UserError>>) -> InventoryAdjustQuantitiesPayload {
        let (group, errors) = match result {
            Ok(group) => (Some(InventoryAdjustmentGroup(group)), Vec::new()),
            Err(errors) => (None, errors),
        };
        let errors = errors.into_iter().map(InventoryAdjustQuantitiesUserError);
        InventoryAdjustQuantitiesPayload { inventory_adjustment_group: group, user_errors: errors.collect() }
    }
}

struct InventoryAdjustQuantitiesUserError(UserError);

#[Object]
impl InventoryAdjustQuantitiesUserError {
    async fn code(&self) -> Option<UserErrorCode> {
        Some(self.0.code)
    }

    async fn field(&self) -> Option<Vec<String>> {
        self.0.field.clone()
    }

    async fn message(&self) -> &'static str {
        self.0.message()
    }
}

struct InventoryAdjustmentGroup(Group);

#[Object]
impl InventoryAdjustmentGroup {
    async fn id(&self) -> ID {
        gid("InventoryAdjustmentGroup", self.0.id)
    }

    async fn created_at(&self) -> DateTime {
        DateTime(clock::graphql(self.0.at))
    }

    async fn reason(&self) -> &str {
        &self.0.reason
    }

    async fn reference_document_uri(&self) -> Option<&str> {
        self.0.reference.as_deref()
    }

    async fn changes(&self) -> Vec<InventoryChange> {
        self.0.changes.iter().cloned().map(InventoryChange).collect()
    }
}

struct InventoryChange(Change);

#[Object]
impl InventoryChange {
    async fn name(&self) -> &'static str {
        "available"
    }

    async fn delta(&self) -> i64 {
        self.0.delta
    }

    async fn quantity_after_change(&self) -> Option<i64> {
        Some(self.0.after)
    }

    async fn item(&self, context: &Context<'_>) -> Result<Option<InventoryItem>> {
        let item = shop(context, |shop, _| shop.variants.get(&self.0.inventory_item).cloned())?;
        Ok(item.map(InventoryItem))
    }

    async fn location(&self, context: &Context<'_>) -> Result<Option<Location>> {
        shop(context, |shop, _| Location::of(shop, self.0.location))
    }
}

#[cfg(test)]
mod tests {
    use apollo_compiler::{ExecutableDocument, Schema};

    use super::admin;
    use crate::project::{root, scratch};

    #[test]
    fn the_schema_is_what_its_file_says() {
        let schema = admin().sdl();
        let written = scratch("admin.graphql");
        std::fs::create_dir_all(scratch("")).unwrap();
        std::fs::write(&written, &schema).unwrap();
        let place = written.display();
        assert!(schema == include_str!("../admin.graphql"), "copy {place} to xtask/src/stack/shopify/");
    }

    #[test]
    fn every_document_that_is_sent_fits_the_schema() {
        let schema = Schema::parse_and_validate(admin().sdl(), "admin.graphql").unwrap();
        let folder = root().join("shared/core/src/sync/graphql");
        let mut documents = 0;
        for file in folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            ExecutableDocument::parse_and_validate(&schema, text, &path)
                .unwrap_or_else(|error| panic!("{}: {}", path.display(), error.errors));
            documents += 1;
        }
        assert!(documents > 0, "expected documents in {}", folder.display());
    }
}
