//! The Admin API over HTTP: what a call meets before and after it is executed, as at Shopify.

use async_graphql::parser::parse_query;
use async_graphql::{Request, Variables};
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;

use super::cost::{MAX_COST, Operation};
use super::faults::{FaultKind, Pause, strike};
use super::graphql::Site;
use super::shop::Call;
use super::{Shopify, clock, locked};

/// The versions that live; a retired one is answered as the oldest of them.
const VERSIONS: [&str; 4] = ["2026-01", "2026-04", "2026-07", "2026-10"];

/// Shopify's own text for a token that is none.
const NO_TOKEN: &str = "[API] Invalid API key or access token (unrecognized login or wrong password)";

/// A request's body.
#[derive(Deserialize)]
struct Asked {
    query: String,
    #[serde(default)]
    variables: Value,
    #[serde(default, rename = "operationName")]
    operation_name: Option<String>,
}

impl Asked {
    fn request(&self) -> Request {
        let request =
            Request::new(self.query.clone()).variables(Variables::from_json(self.variables.clone()));
        match &self.operation_name {
            Some(name) => request.operation_name(name.clone()),
            None => request,
        }
    }
}

/// What becomes of a call: an answer, or none since the connection is cut.
type Answer = Option<(StatusCode, Value, Option<u64>)>;

/// `POST /{shop}/admin/api/{version}/graphql.json`.
pub(super) async fn admin(
    State(shopify): State<Shopify>,
    Path((domain, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (Some(version), true) = (live(&version), shopify.has(&domain)) else {
        return (StatusCode::NOT_FOUND, axum::Json(json!({"errors": "Not Found"}))).into_response();
    };
    let token = headers.get("x-shopify-access-token").and_then(|token| token.to_str().ok());
    let (token, standin) = (token.map(str::to_owned), shopify.clone());
    // It goes on where the caller goes away, as it does at Shopify.
    let call = tokio::spawn(async move { standin.call(&domain, token.as_deref(), &body).await });
    let answer = call.await.unwrap_or_else(|_| failure(StatusCode::INTERNAL_SERVER_ERROR));
    let Some((status, body, retry_after)) = answer else { return cut() };
    let mut response = (status, axum::Json(body)).into_response();
    let date = clock::http(locked(&shopify.world).clock.now());
    let named = |name: &'static str| HeaderName::from_static(name);
    let headers = [
        (header::DATE, Some(date)),
        (named("x-shopify-api-version"), Some(version.to_owned())),
        (header::RETRY_AFTER, retry_after.map(|seconds| format!("{seconds}.0"))),
    ];
    for (name, value) in headers {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The version that one is answered as; none where there is no such version.
fn live(version: &str) -> Option<&'static str> {
    let (year, month) = version.split_once('-')?;
    let quarter = year.parse::<u16>().is_ok() && ["01", "04", "07", "10"].contains(&month);
    let found = VERSIONS.iter().find(|live| **live == version).copied();
    found.or((quarter && version < VERSIONS[0]).then_some(VERSIONS[0]))
}

/// A response whose body breaks off before its head was sent: the caller sees the connection closed.
fn cut() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
    Response::new(Body::from_stream(broken))
}

fn failure(status: StatusCode) -> Answer {
    let text = match status {
        StatusCode::UNAUTHORIZED => NO_TOKEN,
        other => other.canonical_reason().unwrap_or("Unknown"),
    };
    Some((status, json!({"errors": text}), None))
}

/// An answer that is an error of the whole request.
fn refused(code: &str, message: String, cost: Option<Value>) -> Value {
    let mut body = json!({"errors": [{"message": message, "extensions": {"code": code}}]});
    if let Some(cost) = cost {
        body["extensions"] = json!({"cost": cost});
    }
    body
}

fn errors(answer: &Answer) -> Vec<String> {
    let Some((_, body, _)) = answer else { return Vec::new() };
    match &body["errors"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(errors) => {
            errors.iter().filter_map(|error| Some(error["message"].as_str()?.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

impl Shopify {
    /// Whether there is a shop of this domain.
    fn has(&self, domain: &str) -> bool {
        locked(&self.world).shops.contains_key(domain)
    }

    /// Does what a call asks for, and remembers it.
    async fn call(&self, domain: &str, token: Option<&str>, body: &[u8]) -> Answer {
        let mut call = Call {
            at: locked(&self.world).clock.now(),
            operations: Vec::new(),
            status: None,
            requested: 0,
            actual: None,
            fault: None,
            errors: Vec::new(),
        };
        let answer = self.authorised(domain, token, body, &mut call).await;
        call.status = answer.as_ref().map(|(status, ..)| status.as_u16());
        call.errors = errors(&answer);
        if let Ok(shop) = locked(&self.world).shop(domain) {
            shop.remember(call);
        }
        answer
    }

    async fn authorised(&self, domain: &str, token: Option<&str>, body: &[u8], call: &mut Call) -> Answer {
        let asked: Option<Asked> = serde_json::from_slice(body).ok();
        let document = asked.as_ref().and_then(|asked| parse_query(&asked.query).ok());
        let operation = asked.as_ref().zip(document.as_ref()).and_then(|(asked, document)| {
            Operation::of(document, asked.operation_name.as_deref(), &asked.variables)
        });
        if let Some(operation) = &operation {
            (call.operations, call.requested) = (operation.fields(), operation.requested());
        }
        let (known, cleared) = self.meet(domain, token, body, call)?;
        let fault = call.fault.clone().map(|fault| fault.kind);
        match fault {
            Some(FaultKind::Status { status, retry_after }) => {
                let (status, body, _) = failure(StatusCode::from_u16(status).unwrap_or_default())?;
                return Some((status, body, retry_after));
            }
            Some(FaultKind::CutBefore) => return None,
            Some(FaultKind::Hang { ms }) => {
                Pause { ms, cleared }.wait().await;
                return None;
            }
            _ if !known => return failure(StatusCode::UNAUTHORIZED),
            _ => {}
        }
        let Some(asked) = &asked else { return failure(StatusCode::BAD_REQUEST) };
        let answer = self.paid((domain, cleared), asked, operation, call).await;
        match fault {
            Some(FaultKind::CutAfter) => None,
            Some(FaultKind::FailAfter) => failure(StatusCode::INTERNAL_SERVER_ERROR),
            _ => Some(answer),
        }
    }

    /// Whether the token is the shop's, and which fault befalls the call.
    fn meet(
        &self,
        domain: &str,
        token: Option<&str>,
        body: &[u8],
        call: &mut Call,
    ) -> Option<(bool, Receiver<()>)> {
        let mut world = locked(&self.world);
        let cleared = world.cleared.subscribe();
        let shop = world.shop(domain).ok()?;
        call.fault = strike(&mut shop.faults, &call.operations, &String::from_utf8_lossy(body));
        Some((token == Some(shop.token.as_str()), cleared))
    }

    /// Executes what was asked for, where the bucket has the points.
    async fn paid(
        &self,
        (domain, cleared): (&str, Receiver<()>),
        asked: &Asked,
        operation: Option<Operation<'_>>,
        call: &mut Call,
    ) -> (StatusCode, Value, Option<u64>) {
        let requested = call.requested;
        if requested > MAX_COST {
            let text = format!(
                "Query cost is {requested}, which exceeds the single query max cost limit ({MAX_COST})."
            );
            return (StatusCode::OK, refused("MAX_COST_EXCEEDED", text, None), None);
        }
        if let Some(throttled) = self.throttle(domain, call) {
            return throttled;
        }
        let pause = match call.fault.as_ref().map(|fault| &fault.kind) {
            Some(FaultKind::Slow { ms }) => Pause { ms: *ms, cleared },
            _ => Pause { ms: 0, cleared },
        };
        // A mutation waits with its key taken.
        if !operation.as_ref().is_some_and(Operation::is_mutation) {
            pause.wait().await;
        }
        let refusal = call.fault.as_ref().and_then(|fault| match fault.kind {
            FaultKind::UserError { code } => Some((code, fault.inventory_item)),
            _ => None,
        });
        let site = Site { world: self.world.clone(), domain: domain.to_owned(), pause, refusal };
        let answer = self.admin.execute(asked.request().data(site)).await;
        // What GraphQL answers with always has a form in JSON.
        let mut body = serde_json::to_value(answer).unwrap_or_default();
        let actual = operation.map_or(0, |operation| operation.actual(&body["data"]));
        call.actual = Some(actual);
        let mut world = locked(&self.world);
        let now = world.clock.now();
        if let Ok(shop) = world.shop(domain) {
            shop.bucket.put_back(requested - actual);
            body["extensions"] = json!({"cost": shop.bucket.cost(requested, Some(actual), now)});
        }
        (StatusCode::OK, body, None)
    }

    /// Takes the points that a call requests, or says that there are too few.
    fn throttle(&self, domain: &str, call: &Call) -> Option<(StatusCode, Value, Option<u64>)> {
        let mut world = locked(&self.world);
        let now = world.clock.now();
        let shop = world.shop(domain).ok()?;
        let told = call.fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::Throttled);
        if !told && shop.bucket.take(call.requested, now) {
            return None;
        }
        shop.counts.throttled += 1;
        let cost = shop.bucket.cost(call.requested, None, now);
        let status = StatusCode::from_u16(shop.bucket.limit.status).unwrap_or_default();
        let retry_after = (status != StatusCode::OK).then(|| shop.bucket.seconds_until(call.requested));
        Some((status, refused("THROTTLED", "Throttled".into(), Some(cost)), retry_after))
    }
}
