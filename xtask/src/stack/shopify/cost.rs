//! What a query costs, and the bucket it is paid from, as Shopify counts: a scalar is free, an object costs 1, a
//! connection 2 and each node of its page, a mutation 10.
//!
//! Requested is what the query could answer with, actual what it did. What a list costs that has no pages Shopify does
//! not say: here as many objects as are asked for (`first`), else one.

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
    SelectionSet,
};
use async_graphql::{Name, Value as Constant};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most points that one query may request.
pub(super) const MAX_COST: i64 = 1_000;

const MUTATION: i64 = 10;
const CONNECTION: i64 = 2;

/// An operation whose cost can be told.
pub(super) struct Operation<'a> {
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Value,
}

impl<'a> Operation<'a> {
    /// The operation of a document that a request asks for; none where it does not say which.
    pub(super) fn of(
        document: &'a ExecutableDocument,
        name: Option<&str>,
        variables: &'a Value,
    ) -> Option<Operation<'a>> {
        let operation = match (&document.operations, name) {
            (DocumentOperations::Single(operation), _) => operation,
            (DocumentOperations::Multiple(operations), Some(name)) => operations.get(&Name::new(name))?,
            // One that has a name is among several, also where it is the only one.
            (DocumentOperations::Multiple(operations), None) if operations.len() > 1 => return None,
            (DocumentOperations::Multiple(operations), None) => operations.values().next()?,
        };
        Some(Operation { document, operation: &operation.node, variables })
    }

    pub(super) fn is_mutation(&self) -> bool {
        self.operation.ty == OperationType::Mutation
    }

    /// The fields of the root that it selects.
    pub(super) fn fields(&self) -> Vec<String> {
        let fields = self.operation.selection_set.node.items.iter().filter_map(|item| match &item.node {
            Selection::Field(field) => Some(field.node.name.node.to_string()),
            _ => None,
        });
        fields.collect()
    }

    /// What it requests.
    pub(super) fn requested(&self) -> i64 {
        self.cost(None)
    }

    /// What its answer costs.
    pub(super) fn actual(&self, data: &Value) -> i64 {
        self.cost(Some(data)).min(self.requested())
    }

    fn cost(&self, data: Option<&Value>) -> i64 {
        match self.is_mutation() {
            true => MUTATION * self.fields().len() as i64,
            false => self.set(&self.operation.selection_set.node, data),
        }
    }

    /// The cost of what is selected of one object: of fragments only one can apply.
    fn set(&self, set: &SelectionSet, data: Option<&Value>) -> i64 {
        let (mut sum, mut most) = (0, 0);
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => sum += self.field(&field.node, data),
                other => most = most.max(self.fragment(other).map_or(0, |set| self.set(set, data))),
            }
        }
        sum + most
    }

    fn fragment<'b>(&'b self, selection: &'b Selection) -> Option<&'b SelectionSet> {
        match selection {
            Selection::Field(_) => None,
            Selection::InlineFragment(fragment) => Some(&fragment.node.selection_set.node),
            Selection::FragmentSpread(spread) => {
                let fragment = self.document.fragments.get(&spread.node.fragment_name.node)?;
                Some(&fragment.node.selection_set.node)
            }
        }
    }

    fn field(&self, field: &Field, parent: Option<&Value>) -> i64 {
        let set = &field.selection_set.node;
        let data =
            parent.map(|parent| parent.get(field.response_key().node.as_str()).unwrap_or(&Value::Null));
        if set.items.is_empty() || data.is_some_and(Value::is_null) {
            return 0;
        }
        if let Some(ids) = self.argument(field, "ids").and_then(|ids| ids.as_array().map(Vec::len)) {
            return match data.and_then(Value::as_array) {
                Some(found) => self.each(set, found.iter().filter(|node| !node.is_null())),
                None => ids as i64 * (1 + self.set(set, None)),
            };
        }
        let size = self.argument(field, "first").and_then(|first| first.as_i64());
        let nodes = self.nodes(set);
        if !nodes.is_empty() {
            let page = |nodes: &Nodes<'_>| match data {
                Some(data) => self.each(nodes.set, nodes.of(data)),
                None => size.unwrap_or(1) * (1 + self.set(nodes.set, None)),
            };
            return CONNECTION + nodes.iter().map(page).max().unwrap_or_default();
        }
        match (data.and_then(Value::as_array), size) {
            (Some(items), Some(_)) => self.each(set, items.iter()),
            (Some(items), None) => 1 + items.iter().map(|item| self.set(set, Some(item))).max().unwrap_or(0),
            (None, Some(size)) => size * (1 + self.set(set, None)),
            (None, None) => 1 + self.set(set, data),
        }
    }

    fn each<'v>(&self, set: &SelectionSet, nodes: impl Iterator<Item = &'v Value>) -> i64 {
        nodes.map(|node| 1 + self.set(set, Some(node))).sum()
    }

    /// How a page's nodes are selected: as `nodes`, as `edges { node }`, or both.
    fn nodes<'b>(&'b self, set: &'b SelectionSet) -> Vec<Nodes<'b>> {
        let fields = |set: &'b SelectionSet, name: &'static str| {
            set.items.iter().filter_map(move |item| match &item.node {
                Selection::Field(field) if field.node.name.node == name => Some(&field.node),
                _ => None,
            })
        };
        let key = |field: &Field| field.response_key().node.to_string();
        let direct = fields(set, "nodes").map(|nodes| Nodes {
            set: &nodes.selection_set.node,
            list: key(nodes),
            node: None,
        });
        let edges = fields(set, "edges").flat_map(|edges| {
            fields(&edges.selection_set.node, "node").map(move |node| Nodes {
                set: &node.selection_set.node,
                list: key(edges),
                node: Some(key(node)),
            })
        });
        direct.chain(edges).collect()
    }

    /// An argument's value, also where a variable gives it.
    fn argument(&self, field: &Field, name: &str) -> Option<Value> {
        let variable = |name: Name| self.variables.get(name.as_str()).cloned().ok_or(());
        let constant = |name| variable(name).and_then(|value| Constant::from_json(value).map_err(|_| ()));
        field.get_argument(name)?.node.clone().into_const_with(constant).ok()?.into_json().ok()
    }
}

/// Where the nodes of a page are found in the answer, and what is selected of them.
struct Nodes<'a> {
    set: &'a SelectionSet,
    list: String,
    node: Option<String>,
}

impl Nodes<'_> {
    fn of<'v>(&self, connection: &'v Value) -> impl Iterator<Item = &'v Value> {
        let items = connection.get(&self.list).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| self.node.as_ref().map_or(Some(item), |node| item.get(node)))
    }
}

/// How a shop throttles.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Limit {
    /// How many points the bucket holds.
    pub maximum: f64,
    /// How many come back each second.
    pub restore_rate: f64,
    /// The HTTP status of what is throttled: 200, as a rule, or 429 with a `Retry-After`.
    pub status: u16,
}

impl Default for Limit {
    /// The smallest plan's.
    fn default() -> Limit {
        Limit { maximum: 2_000.0, restore_rate: 100.0, status: 200 }
    }
}

/// A shop's bucket of points.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) limit: Limit,
    available: f64,
    at: Timestamp,
}

impl Bucket {
    pub(super) fn new(limit: Limit, now: Timestamp) -> Bucket {
        Bucket { available: limit.maximum, limit, at: now }
    }

    /// What is in it now.
    pub(super) fn available(&mut self, now: Timestamp) -> f64 {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.available = (self.available + passed * self.limit.restore_rate).min(self.limit.maximum);
        self.at = now;
        self.available
    }

    /// Takes what is requested, where there is that much.
    pub(super) fn take(&mut self, points: i64, now: Timestamp) -> bool {
        let enough = self.available(now) >= points as f64;
        if enough {
            self.available -= points as f64;
        }
        enough
    }

    /// Puts back what was requested and not needed.
    pub(super) fn put_back(&mut self, points: i64) {
        self.available = (self.available + points as f64).min(self.limit.maximum);
    }

    /// In how many seconds there is that much.
    pub(super) fn seconds_until(&self, points: i64) -> u64 {
        ((points as f64 - self.available) / self.limit.restore_rate).ceil().max(1.0) as u64
    }

    /// `extensions.cost` of an answer.
    pub(super) fn cost(&mut self, requested: i64, actual: Option<i64>, now: Timestamp) -> Value {
        let available = self.available(now).floor() as i64;
        json!({
            "requestedQueryCost": requested, "actualQueryCost": actual,
            "throttleStatus": {
                "maximumAvailable": self.limit.maximum, "currentlyAvailable": available,
                "restoreRate": self.limit.restore_rate,
            },
        })
    }
}
