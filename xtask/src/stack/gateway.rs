//! The one port that looks like a Supabase project: `/rest/v1`, `/auth/v1`, `/functions/v1/<name>`, and the
//! public paths of the functions.
//!
//! It checks API keys in both styles and turns new-style keys into the tokens that PostgREST reads, as the
//! hosted gateway does. It checks nothing for functions: each checks its own caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use ordak_core::error::{Code, Error};
use ordak_core::route::ROUTES;
use tokio::net::TcpListener;

use super::keys::Keys;

/// Where requests go.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    /// PostgREST's port.
    pub(crate) rest: u16,
    /// The Auth service's port.
    pub(crate) auth: u16,
    /// Each function's port, by its name.
    pub(crate) functions: HashMap<String, u16>,
}

/// The running gateway's routing table, shared with whoever starts services.
pub(crate) type Table = Arc<Mutex<Targets>>;

#[derive(Clone)]
struct Gateway {
    table: Table,
    keys: Arc<Keys>,
    client: Client<HttpConnector, Body>,
}

/// Serves on `listener` until the runtime ends.
pub(crate) fn serve(listener: TcpListener, table: Table, keys: Keys) -> tokio::task::JoinHandle<()> {
    // Small messages go out at once; waiting to fill a packet would cost 40 ms a request.
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let client = Client::builder(hyper_util::rt::TokioExecutor::new()).build(connector);
    let gateway = Gateway { table, keys: Arc::new(keys), client };
    let app = Router::new().fallback(forward).with_state(gateway);
    tokio::spawn(async move {
        // Only fails where the listener itself does, and then there is nobody to tell.
        let _ = axum::serve(listener, app).await;
    })
}

async fn forward(State(gateway): State<Gateway>, mut request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let browser = path.starts_with("/rest/v1") || path.starts_with("/auth/v1");
    if browser && request.method() == Method::OPTIONS {
        return cors(StatusCode::NO_CONTENT.into_response());
    }
    if browser && let Err(message) = gateway.authorise(request.headers_mut()) {
        // The hosted gateway's own form: it has no codes.
        let body =
            serde_json::json!({"message": message, "hint": "send a key that `cargo xtask status` prints"});
        return cors((StatusCode::UNAUTHORIZED, axum::Json(body)).into_response());
    }
    let Some(target) = gateway.target(&path) else {
        return answer(&Error::new(Code::VAL001, format!("nothing is served at {path}")).status(404));
    };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let Ok(uri) = format!("http://127.0.0.1:{}{}{query}", target.0, target.1).parse::<Uri>() else {
        return answer(&Error::new(Code::VAL001, "expected a plain path").status(400));
    };
    *request.uri_mut() = uri;
    request.headers_mut().remove(HOST);
    let response = match gateway.client.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            answer(&Error::new(Code::SYS001, format!("the service behind {path} cannot be reached: {error}")))
        }
    };
    if browser { cors(response) } else { response }
}

impl Gateway {
    /// The port and path that a request goes to.
    fn target<'a>(&self, path: &'a str) -> Option<(u16, &'a str)> {
        let table = self.table.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(rest) = path.strip_prefix("/rest/v1") {
            return Some((table.rest, if rest.is_empty() { "/" } else { rest }));
        }
        if path.starts_with("/auth/v1") {
            return Some((table.auth, path));
        }
        let function = ROUTES.iter().find(|route| route.path == path).map(|route| route.function);
        // The hosted gateway passes a function its own name and what follows, without the prefix.
        let mount = path.strip_prefix("/functions/v1/");
        let name = function.or_else(|| mount?.split('/').next())?;
        let port = *table.functions.get(name)?;
        Some((port, mount.map_or(path, |mount| &path[path.len() - mount.len() - 1..])))
    }

    /// Checks the API key, and gives a caller without a token of its own the key's.
    fn authorise(&self, headers: &mut HeaderMap) -> Result<(), &'static str> {
        let Some(key) = headers.get("apikey").and_then(|key| key.to_str().ok()) else {
            return Err("No API key found in request");
        };
        let keys = &self.keys;
        let token = match key {
            _ if key == keys.publishable || key == keys.anon => &keys.anon,
            _ if key == keys.secret || key == keys.service_role => &keys.service_role,
            _ => return Err("Invalid API key"),
        };
        let own = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if own.is_none_or(|own| own.strip_prefix("Bearer ") == Some(key))
            && let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}"))
        {
            headers.insert(AUTHORIZATION, value);
        }
        Ok(())
    }
}

fn answer(error: &Error) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [("content-type", "application/json")], error.body()).into_response();
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

/// Browsers of any origin may call what is open to them anyway, as on a hosted project.
fn cors(mut response: Response) -> Response {
    let headers = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-headers", "*, authorization"),
        ("access-control-allow-methods", "GET, POST, PATCH, PUT, DELETE, HEAD, OPTIONS"),
        ("access-control-expose-headers", "*"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}
