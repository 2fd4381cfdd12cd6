//! What a shop sells and has of it: products, variants, inventory items, levels, locations.

use async_graphql::{Context, Enum, ID, Interface, Object, Result, SimpleObject};

use super::page::{Arguments, Page, Place, page};
use super::scalars::{DateTime, UnsignedInt64, Url, legacy};
use super::{failed, gid, id_of, shop};
use crate::stack::shopify::clock;
use crate::stack::shopify::shop::{Level, Shop, Variant};

pub(super) struct ProductVariant(pub(super) Variant);

#[Object]
impl ProductVariant {
    pub(super) async fn id(&self) -> ID {
        gid("ProductVariant", self.0.variant)
    }

    async fn legacy_resource_id(&self) -> UnsignedInt64 {
        legacy(self.0.variant)
    }

    async fn sku(&self) -> Option<&str> {
        Some(self.0.sku.as_str()).filter(|sku| !sku.is_empty())
    }

    async fn title(&self) -> &str {
        &self.0.title
    }

    async fn display_name(&self) -> String {
        format!("{} - {}", self.0.product_title, self.0.title)
    }

    async fn inventory_item(&self) -> InventoryItem {
        InventoryItem(self.0.clone())
    }

    async fn inventory_quantity(&self) -> Option<i64> {
        let levels = self.0.levels.values();
        self.0.tracked.then(|| levels.filter_map(|level| level.quantity("available")).sum())
    }

    async fn product(&self) -> Product {
        Product(self.0.clone())
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(clock::graphql(self.0.updated_at))
    }
}

pub(super) struct InventoryItem(pub(super) Variant);

#[Object]
impl InventoryItem {
    pub(super) async fn id(&self) -> ID {
        gid("InventoryItem", self.0.inventory_item)
    }

    async fn legacy_resource_id(&self) -> UnsignedInt64 {
        legacy(self.0.inventory_item)
    }

    async fn sku(&self) -> Option<&str> {
        Some(self.0.sku.as_str()).filter(|sku| !sku.is_empty())
    }

    async fn tracked(&self) -> bool {
        self.0.tracked
    }

    async fn inventory_level(&self, location_id: ID) -> Option<InventoryLevel> {
        InventoryLevel::of(&self.0, id_of(&location_id, "Location")?)
    }

    async fn inventory_levels(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Page<InventoryLevel>> {
        let ids = self.0.levels.keys();
        let levels = ids.filter_map(|id| Some((Place::of(*id), InventoryLevel::of(&self.0, *id)?)));
        page(levels.collect(), Arguments { first, after, reverse: false })
    }

    #[graphql(deprecation = "Use `variants` instead.")]
    async fn variant(&self) -> ProductVariant {
        ProductVariant(self.0.clone())
    }

    async fn variants(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Option<Page<ProductVariant>>> {
        let variants = vec![(Place::of(self.0.variant), ProductVariant(self.0.clone()))];
        page(variants, Arguments { first, after, reverse: false }).map(Some)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(clock::graphql(self.0.updated_at))
    }
}

pub(super) struct InventoryLevel {
    item: Variant,
    location: i64,
    level: Level,
}

impl InventoryLevel {
    /// The level of an item at a location; none where it is not stocked there.
    fn of(item: &Variant, location: i64) -> Option<InventoryLevel> {
        let level = item.levels.get(&location)?.clone();
        Some(InventoryLevel { item: item.clone(), location, level })
    }

    fn path(&self) -> String {
        format!("{}?inventory_item_id={}", self.location, self.item.inventory_item)
    }
}

#[Object]
impl InventoryLevel {
    async fn id(&self) -> ID {
        format!("gid://shopify/InventoryLevel/{}", self.path()).into()
    }

    async fn is_active(&self) -> bool {
        true
    }

    async fn item(&self) -> InventoryItem {
        InventoryItem(self.item.clone())
    }

    async fn location(&self, context: &Context<'_>) -> Result<Location> {
        let location = shop(context, |shop, _| Location::of(shop, self.location))?;
        location.ok_or_else(|| failed("INTERNAL_SERVER_ERROR", "expected the location of the level".into()))
    }

    async fn quantities(&self, names: Vec<String>) -> Result<Vec<InventoryQuantity>> {
        let quantity = |name: String| {
            let wrong = || failed("INVALID_FIELD_ARGUMENTS", format!("{name} is no name of a quantity."));
            let quantity = self.level.quantity(&name).ok_or_else(wrong)?;
            let id = format!("gid://shopify/InventoryQuantity/{}&name={name}", self.path()).into();
            let updated_at = Some(DateTime(clock::graphql(self.level.updated_at)));
            Ok(InventoryQuantity { id, name, quantity, updated_at })
        };
        names.into_iter().map(quantity).collect()
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(clock::graphql(self.level.updated_at))
    }
}

#[derive(SimpleObject)]
struct InventoryQuantity {
    id: ID,
    name: String,
    quantity: i64,
    updated_at: Option<DateTime>,
}

pub(super) struct Location {
    id: i64,
    name: String,
}

impl Location {
    pub(super) fn of(shop: &Shop, id: i64) -> Option<Location> {
        Some(Location { id, name: shop.locations.get(&id)?.clone() })
    }
}

#[Object]
impl Location {
    pub(super) async fn id(&self) -> ID {
        gid("Location", self.id)
    }

    async fn is_active(&self) -> bool {
        true
    }

    async fn legacy_resource_id(&self) -> UnsignedInt64 {
        legacy(self.id)
    }

    async fn name(&self) -> &str {
        &self.name
    }
}

/// A product, as one of its variants tells of it.
pub(super) struct Product(Variant);

impl Product {
    pub(super) fn of(shop: &Shop, id: i64) -> Option<Product> {
        Some(Product((*shop.products().get(&id)?).clone()))
    }

    fn picture(&self) -> Option<Media> {
        let image = self.0.image.clone()?;
        Some(Media::MediaImage(MediaImage { product: self.0.product, image }))
    }
}

#[Object]
impl Product {
    pub(super) async fn id(&self) -> ID {
        gid("Product", self.0.product)
    }

    async fn legacy_resource_id(&self) -> UnsignedInt64 {
        legacy(self.0.product)
    }

    async fn title(&self) -> &str {
        &self.0.product_title
    }

    async fn featured_media(&self) -> Option<Media> {
        self.picture()
    }

    async fn media(&self, first: Option<i32>, after: Option<String>) -> Result<Page<Media>> {
        let media = self.picture().map(|picture| (Place::of(self.0.product), picture));
        page(media.into_iter().collect(), Arguments { first, after, reverse: false })
    }

    async fn variants(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Page<ProductVariant>> {
        let variants = shop(context, |shop, _| {
            let own = shop.variants.values().filter(|variant| variant.product == self.0.product);
            own.map(|variant| (Place::of(variant.variant), ProductVariant(variant.clone()))).collect()
        })?;
        page(variants, Arguments { first, after, reverse: false })
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(clock::graphql(self.0.updated_at))
    }
}

#[derive(Interface)]
#[graphql(
    field(name = "alt", ty = "Option<String>"),
    field(name = "id", ty = "ID"),
    field(name = "media_content_type", ty = "MediaContentType"),
    field(name = "preview", ty = "Option<MediaPreviewImage>")
)]
pub(super) enum Media {
    MediaImage(MediaImage),
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum MediaContentType {
    Video,
    ExternalVideo,
    #[graphql(name = "MODEL_3D")]
    Model3d,
    Image,
}

/// The picture of a product.
pub(super) struct MediaImage {
    product: i64,
    image: String,
}

impl MediaImage {
    fn picture(&self) -> Image {
        let id = Some(gid("ImageSource", self.product));
        Image { id, alt_text: None, url: Url(self.image.clone()), width: Some(1_200), height: Some(1_200) }
    }
}

#[Object]
impl MediaImage {
    async fn alt(&self) -> Option<String> {
        None
    }

    async fn id(&self) -> ID {
        gid("MediaImage", self.product)
    }

    async fn image(&self) -> Option<Image> {
        Some(self.picture())
    }

    async fn media_content_type(&self) -> MediaContentType {
        MediaContentType::Image
    }

    async fn preview(&self) -> Option<MediaPreviewImage> {
        Some(MediaPreviewImage { image: Some(self.picture()) })
    }
}

#[derive(SimpleObject)]
struct MediaPreviewImage {
    image: Option<Image>,
}

#[derive(SimpleObject)]
struct Image {
    alt_text: Option<String>,
    height: Option<i32>,
    id: Option<ID>,
    url: Url,
    width: Option<i32>,
}
