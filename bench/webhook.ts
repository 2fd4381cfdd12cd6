// What the webhooks function is measured against: the same work by hand in TypeScript, as fast as we know
// how to write it: native WebCrypto, one parse, postgrest-js. For the bench alone; it refuses what the
// bench does not send, where the real function has an answer.
import { PostgrestClient } from "npm:@supabase/postgrest-js@2.105.4";

const env = Deno.env.toObject();
const encoder = new TextEncoder();
const key = await crypto.subtle.importKey(
  "raw",
  encoder.encode(env.SHOPIFY_WEBHOOK_SECRET),
  { name: "HMAC", hash: "SHA-256" },
  false,
  ["verify"],
);
const database = new PostgrestClient(`${env.SUPABASE_URL}/rest/v1`, {
  headers: {
    apikey: env.SUPABASE_SERVICE_ROLE_KEY,
    authorization: `Bearer ${env.SUPABASE_SERVICE_ROLE_KEY}`,
  },
  schema: "api",
});

interface Line {
  admin_graphql_api_id: string;
  product_id: number;
  variant_id: number;
  sku: string;
  title: string;
  variant_title: string;
  quantity: number;
  current_quantity: number;
  fulfillment_status: string | null;
  price: string;
  properties: { name: string; value: string }[];
}

interface Body {
  admin_graphql_api_id: string;
  order_number: number;
  shipping_address: { name: string };
  note: string;
  note_attributes: { name: string; value: string }[];
  currency: string;
  total_price: string;
  source_name: string;
  test: boolean;
  created_at: string;
  updated_at: string;
  cancelled_at: string | null;
  cancel_reason: string | null;
  order_status_url: string;
  location_id: number | null;
  line_items: Line[];
}

/** Ids are above 2^53, which JSON.parse rounds; the gid has them whole. */
const digits = (gid: string) => gid.slice(gid.lastIndexOf("/") + 1);

function line(line: Line) {
  const title = line.title.toLowerCase();
  const kind = /candle|balloon|topper/.test(title)
    ? "accessory"
    : title.includes("cake")
    ? "cake"
    : "unknown";
  const [size, flavour] = line.variant_title.split("/").map((part) => part.trim());
  const writing = line.properties.filter((property) => property.name.toLowerCase().includes("writing"));
  return {
    line_id: digits(line.admin_graphql_api_id),
    product_id: line.product_id,
    variant_id: line.variant_id,
    sku: line.sku,
    title: line.title,
    variant_title: line.variant_title,
    kind,
    quantity: line.quantity,
    current: line.current_quantity,
    fulfilled: line.fulfillment_status === "fulfilled",
    price: line.price,
    size,
    flavour: flavour ?? null,
    cake_writing: writing.length > 0 ? writing.map((property) => property.value).join(" / ") : null,
    properties: line.properties.filter((property) => !property.name.startsWith("_") && property.value !== ""),
  };
}

function normalise(body: Body) {
  const attribute = (name: string) =>
    body.note_attributes.find((attribute) => attribute.name === name)?.value;
  const [date, window] = (attribute("Local Delivery Date and Time") ?? "").split(" between ");
  const [day, month, year] = date.split("/");
  return {
    shopify_order_id: digits(body.admin_graphql_api_id),
    shopify_order_gid: body.admin_graphql_api_id,
    number: body.order_number,
    customer_name: body.shipping_address.name,
    due_date: `${year}-${month.padStart(2, "0")}-${day.padStart(2, "0")}`,
    delivery_window: window ?? null,
    delivery_method: /pick ?up/i.test(attribute("Delivery Method") ?? "") ? "Pickup" : "Delivery",
    notes: body.note,
    currency: body.currency,
    total_amount: body.total_price,
    pos: body.source_name === "pos",
    test: body.test,
    placed_at: body.created_at,
    updated_at: body.updated_at,
    cancelled_at: body.cancelled_at,
    cancel_reason: body.cancel_reason,
    shop_host: new URL(body.order_status_url).host,
    location_id: body.location_id,
    flags: [],
    lines: body.line_items.map(line),
    refund_lines: [],
  };
}

Deno.serve({ onListen: () => {} }, async (request) => {
  const started = Date.now();
  const requestId = request.headers.get("x-request-id") ?? crypto.randomUUID();
  const body = await request.arrayBuffer();
  const given = request.headers.get("x-shopify-hmac-sha256") ?? "";
  const signature = Uint8Array.from(atob(given), (character) => character.charCodeAt(0));
  if (!await crypto.subtle.verify("HMAC", key, signature, body)) return new Response(null, { status: 401 });
  const order: Body = JSON.parse(new TextDecoder().decode(body));
  const digest = Array.from(signature, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const delivery = {
    webhook_id: request.headers.get("x-shopify-webhook-id"),
    topic: request.headers.get("x-shopify-topic"),
    shop_domain: request.headers.get("x-shopify-shop-domain"),
    secret_store: null,
    body_digest: digest,
    event_id: request.headers.get("x-shopify-event-id"),
    triggered_at: request.headers.get("x-shopify-triggered-at"),
    api_version: request.headers.get("x-shopify-api-version"),
  };
  const call = database.rpc("ingest", { delivery, content: { order: normalise(order) } });
  const { data, error } = await call.abortSignal(AbortSignal.timeout(4000));
  if (error) return Response.json(error, { status: 503 });
  console.log(JSON.stringify({
    time: new Date(started).toISOString(),
    level: "info",
    function: "bench",
    request_id: requestId,
    store: data.store,
    order_number: order.order_number,
    topic: delivery.topic,
    outcome: data.status,
    status: 200,
    duration_ms: Date.now() - started,
  }));
  const answer = { order_id: data.order_id, status: data.status, message: data.message };
  return Response.json(answer, { headers: { "cache-control": "no-store", "x-request-id": requestId } });
});
