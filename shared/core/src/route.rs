//! Where each function answers: the one table that hosts, gateway and functions agree on.

/// A function's address: its name, its public path and the method it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The function's name, which is its folder under `functions/`.
    pub function: &'static str,
    /// The path that customers of the API use.
    pub path: &'static str,
    /// The methods that are answered; others get 405 with `Allow`.
    pub methods: &'static [&'static str],
}

/// Liveness and readiness.
pub const HEALTH: Route = Route { function: "health", path: "/api/health", methods: &["GET", "HEAD"] };

/// What can be sold of items.
pub const INVENTORY: Route = Route { function: "inventory", path: "/api/v1/inventory", methods: &["GET"] };

/// Orders that partners' servers send.
pub const ORDERS: Route = Route { function: "orders", path: "/api/v1/orders", methods: &["POST"] };

/// The synchronisation with Shopify: asks for it, and tells what became of it.
pub const SYNC: Route = Route { function: "sync", path: "/api/v1/sync", methods: &["GET", "POST"] };

/// What synchronises, for our own servers alone.
pub const SYNC_WORKER: Route =
    Route { function: "sync-worker", path: "/api/v1/sync-worker", methods: &["POST"] };

/// Shopify's webhooks, every topic of every store.
pub const WEBHOOKS_SHOPIFY: Route =
    Route { function: "webhooks-shopify", path: "/api/v1/webhooks/shopify", methods: &["POST"] };

/// All of them, for the hosts.
pub const ROUTES: &[Route] = &[HEALTH, INVENTORY, ORDERS, SYNC, SYNC_WORKER, WEBHOOKS_SHOPIFY];

impl Route {
    /// Whether `path` is this function's: its public path, its own mount (`/<name>`, as Supabase passes it
    /// on) or the gateway's (`/functions/v1/<name>`).
    pub fn serves(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path == self.path
            || path.strip_prefix("/functions/v1").unwrap_or(path).strip_prefix('/') == Some(self.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_answers_on_its_mounts_and_nowhere_else() {
        for path in ["/api/health", "/api/health/", "/health", "/functions/v1/health"] {
            assert!(HEALTH.serves(path), "{path}");
        }
        for path in ["", "/", "/api", "/healthy", "/api/health/x", "/functions/v1/", "/functions/v1/health/x"]
        {
            assert!(!HEALTH.serves(path), "{path}");
        }
    }
}
