//! `GET /crash`: crashes in the way that its query asks for, which is what a host must survive. Never
//! shipped.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use ordak_core::error::Error;
use ordak_core::route::Route;
use ordak_edge::{Call, Reply, Settings, run};
use worker::web_sys::{Request, Response};
use worker::{Context, Delay, Env, event};

const ROUTE: Route = Route { function: "crash-function", path: "/crash", methods: &["GET"] };

thread_local! {
    static SETTINGS: Settings<()> = const { Settings::new(|_| ()) };
    static ASLEEP: Cell<u32> = const { Cell::new(0) };
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response, Infallible> {
    let url = request.url();
    let (_, query) = url.split_once('?').unwrap_or_default();
    let answer = async |call: &mut Call<()>| match query.strip_prefix("later&") {
        Some(query) => {
            let query = query.to_owned();
            call.wait_until(async move { drop(crash(&query).await) });
            Ok(Reply::json(200, &"later"))
        }
        None => crash(query).await,
    };
    run(&ROUTE, &SETTINGS, request, env, context, answer).await
}

/// `panic`, `trap`, `overflow` and `memory` crash, each after an await point, and with `later&` before it when the request is
/// answered; `sleep=<ms>` answers after
/// that time, `asleep` with how many requests do that now, and an empty query at once.
async fn crash(query: &str) -> Result<Reply, Error> {
    let (way, value) = query.split_once('=').unwrap_or((query, ""));
    if !way.is_empty() {
        ASLEEP.set(ASLEEP.get() + 1);
        Delay::from(Duration::from_millis(value.parse().unwrap_or(1))).await;
        ASLEEP.set(ASLEEP.get() - 1);
    }
    match way {
        "asleep" => return Ok(Reply::json(200, &ASLEEP.get())),
        #[expect(clippy::panic, reason = "that is the crash")]
        "panic" => panic!("asked to"),
        "trap" => trap(),
        "overflow" => drop(overflow(&mut [0; 16])),
        "memory" => memory(),
        _ => {}
    }
    Ok(Reply::json(200, &way))
}

fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort()
}

/// Calls itself without end, and not in a way that a compiler could make a loop of.
#[expect(unconditional_recursion, reason = "that is the crash")]
fn overflow(above: &mut [u8; 16]) -> u8 {
    let mut own = std::hint::black_box(*above);
    own[0] = overflow(&mut own);
    own[0].wrapping_add(above[0])
}

/// Allocates until the allocator fails; written to, it would be the machine's memory that runs out.
fn memory() {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(Vec::<u8>::with_capacity(16 << 20)));
    }
}
