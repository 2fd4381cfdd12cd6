// One instance of a function's WASM module, and what becomes of its requests when it crashes: the same on
// every host.
//
// A panic or trap surfaces as an uncaught error outside of the requests' own promises, which then never
// settle. So the host settles them: the request whose code ran gets 500; the others, whose state died with
// the instance, get 503 and may come again. The next request finds a new instance.

/** What wasm-bindgen generates for a function, as far as a host uses it. */
export interface Glue {
  initSync(options: { module: WebAssembly.Module }): unknown;
  __wbg_reset_state(): void;
  fetch(request: Request, env: object, context: Slot): Promise<Response>;
  /** Only where a function does something on a schedule. */
  scheduled?(event: unknown, env: object, context: Slot): Promise<unknown>;
}

/** What a host gives beside the request: time for work that goes on after the answer. */
export interface Host {
  waitUntil(work: Promise<unknown>): void;
}

/** A response, or what happened instead: workerd lets a request use none that was made while another one ran. */
type Outcome = Response | "crashed" | "lost";

/** A request or a schedule inside the module: the context that the module gets, and the way to settle it from outside. */
class Slot {
  readonly outcome = Promise.withResolvers<Outcome>();
  /** Settles when an instance is dead that this one's work after the answer went on in. */
  readonly dead = Promise.withResolvers<void>();

  constructor(readonly instance: Instance, readonly host: Host) {}

  /** Called by the module before each step of a request: were it to crash now, this one is to blame. */
  enter(): void {
    this.instance.current = this;
  }

  waitUntil(work: Promise<unknown>): void {
    this.host.waitUntil(this.instance.background(this, work));
  }

  passThroughOnException(): void {}
}

export class Instance {
  current: Slot | undefined;
  readonly #glue: Glue;
  readonly #inside = new Set<Slot>();
  /** Those whose work goes on after the answer. */
  readonly #background = new Set<Slot>();
  #alive = true;

  constructor(glue: Glue, module: WebAssembly.Module) {
    this.#glue = glue;
    glue.initSync({ module });
    addEventListener("error", (event) => this.#uncaught(event, event.error));
    addEventListener("unhandledrejection", (event) => this.#uncaught(event, event.reason));
  }

  async handle(request: Request, env: object, host: Host): Promise<Response> {
    if (!this.#alive && !this.#renew()) return failure("lost", request);
    const slot = new Slot(this, host);
    this.#inside.add(slot);
    try {
      slot.enter();
      this.#glue.fetch(request, env, slot).then(slot.outcome.resolve, slot.outcome.reject);
      const outcome = await slot.outcome.promise;
      return typeof outcome === "string" ? failure(outcome, request) : outcome;
    } catch (error) {
      this.#failed(error);
      return failure("crashed", request);
    } finally {
      this.#inside.delete(slot);
    }
  }

  /** Does what the module does on a schedule; that it failed is in the log. */
  async scheduled(event: unknown, env: object, host: Host): Promise<void> {
    if (!this.#alive && !this.#renew()) return;
    const slot = new Slot(this, host);
    try {
      slot.enter();
      await this.background(slot, this.#glue.scheduled?.(event, env, slot) ?? Promise.resolve());
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Work that nobody waits for: over when it is done, or when the instance dies that it went on in. */
  async background(slot: Slot, work: Promise<unknown>): Promise<void> {
    this.#background.add(slot);
    try {
      await Promise.race([work, slot.dead.promise]);
    } finally {
      this.#background.delete(slot);
    }
  }

  #uncaught(event: Event, error: unknown): void {
    // Without it the host ends the process, and with it every request in flight.
    event.preventDefault();
    if (!isEcho(error)) this.#failed(error);
  }

  #failed(error: unknown): void {
    if (!isCrash(error)) return report("uncaught", error instanceof Error ? error.stack : error);
    report("crash", `${error}, with ${this.#inside.size} requests inside`);
    this.#renew();
    for (const slot of this.#inside) slot.outcome.resolve(slot === this.current ? "crashed" : "lost");
    this.#inside.clear();
    for (const slot of this.#background) slot.dead.resolve();
    this.#background.clear();
    this.current = undefined;
  }

  /** Makes a new instance. Fails where memory is short, for dead ones keep theirs until it is collected. */
  #renew(): boolean {
    try {
      this.#glue.__wbg_reset_state();
      this.#alive = true;
    } catch (error) {
      this.#alive = false;
      report("crash", error);
    }
    return this.#alive;
  }
}

/** A trap, a panic (which ends in one), or what went through the module's frames and left it half done. */
function isCrash(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError ||
    error instanceof Error && error.stack?.includes("wasm-function[") === true;
}

/** A timer or promise of a dead instance that calls back: the glue refuses, and nobody waits for it. */
function isEcho(error: unknown): boolean {
  return error instanceof Error && error.message.includes("closure from previous WASM instance");
}

function report(outcome: string, detail: unknown): void {
  log({ outcome, detail: String(detail) });
}

function log(fields: object): void {
  console.error(JSON.stringify({ time: new Date(), level: "error", ...fields }));
}

/** What the module would have said, had it lived: the answer, and its line in the log. */
function failure(outcome: "crashed" | "lost", request: Request): Response {
  const [status, code, message, hint] = outcome === "crashed"
    ? [500, "SYS005", "internal error", null] as const
    : [503, "SYS001", "the function restarted", "send the same request again"] as const;
  const given = request.headers.get("x-request-id") ?? "";
  const id = /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : crypto.randomUUID();
  log({ request_id: id, outcome: code, status });
  const headers = { "cache-control": "no-store", "x-request-id": id };
  return Response.json({ code, message, details: null, hint }, {
    status,
    headers: status === 503 ? { ...headers, "retry-after": "1" } : headers,
  });
}
