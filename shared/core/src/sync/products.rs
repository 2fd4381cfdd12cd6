//! Products as they are now.

use serde::Serialize;

use super::work::Outcome;
use super::{Document, Next, Request, Unreadable, document, gid, next_page, nodes};
use crate::body::needed_id;
use crate::content::{MAX_VARIANTS, Product, product_of};
use crate::json::Json;
use crate::order::{Flags, SHORT};

const FETCH: Document = document!("FetchProducts");

/// How many products are asked for at once, and how many variants of each.
const AT_ONCE: usize = 10;
const VARIANTS: usize = 50;
/// How many variants of one that has more.
const PAGE: usize = 250;

/// Products that are fetched.
#[derive(Debug)]
pub struct Products {
    /// Those that are not asked for yet.
    ids: Vec<i64>,
    /// Those that have more variants, and after which.
    partial: Vec<(Product, String)>,
    whole: Vec<Product>,
}

#[derive(Serialize)]
struct Variables<'a> {
    ids: Vec<String>,
    first: usize,
    after: Option<&'a str>,
}

impl Products {
    pub(super) fn new(ids: Vec<i64>) -> Products {
        Products { ids, partial: Vec::new(), whole: Vec::new() }
    }

    /// What is to be asked next; none where all are whole.
    pub(super) fn request(&mut self) -> Option<Request> {
        if let Some((product, after)) = self.partial.last() {
            let ids = vec![gid("Product", product.product_id)];
            return Some(Request::with(
                &FETCH,
                5 + PAGE,
                &Variables { ids, first: PAGE, after: Some(after) },
            ));
        }
        let rest = self.ids.split_off(self.ids.len().min(AT_ONCE));
        let ids: Vec<_> =
            std::mem::replace(&mut self.ids, rest).into_iter().map(|id| gid("Product", id)).collect();
        let points = ids.len() * (5 + VARIANTS);
        (!ids.is_empty())
            .then(|| Request::with(&FETCH, points, &Variables { ids, first: VARIANTS, after: None }))
    }

    pub(super) fn take(&mut self, data: Json<'_>) -> Result<Next, Unreadable> {
        let all = data.field("nodes").and_then(Json::items).ok_or(Unreadable("products without nodes"))?;
        let begun = self.partial.pop();
        let (mut begun, mut goes_on) = (begun.map(|(product, _)| product), Vec::new());
        for node in all.filter_map(Json::present) {
            let variants = node.field("variants").ok_or(Unreadable("a product without variants"))?;
            let mut product = match begun.take() {
                Some(product) => product,
                None => product(node)?,
            };
            let mut flags = Flags::default();
            product
                .skus
                .extend(nodes(variants)?.filter_map(|variant| flags.text(variant.field("sku"), SHORT)));
            match next_page(variants)? {
                Some(after) if product.skus.len() < MAX_VARIANTS => goes_on.push((product, after)),
                _ => self.whole.push(product),
            }
        }
        self.partial.append(&mut goes_on);
        Ok(match self.request() {
            Some(request) => Next::Ask(request),
            None => Next::Done(Outcome::Products(std::mem::take(&mut self.whole))),
        })
    }
}

fn product(node: Json<'_>) -> Result<Product, Unreadable> {
    let id =
        needed_id("id", node.field("id"), "Product").map_err(|_| Unreadable("a product without an id"))?;
    let picture =
        node.field("featuredMedia").and_then(|media| media.field("preview")?.field("image")?.field("url"));
    product_of(id, node.field("title"), picture, node.field("updatedAt"))
        .map_err(|_| Unreadable("a product without its time"))
}
