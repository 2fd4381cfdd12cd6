// Shopify's own library for apps, on what stands on stdin: {secret, deliveries: [{headers, body}], bodies}.
//
// Prints {found, signatures}: what it says of each delivery, as it arrives at a server over HTTP, and how it signs each
// body.
import { once } from "node:events";
import { createServer, request } from "node:http";
import { json, text } from "node:stream/consumers";
import "@shopify/shopify-api/adapters/node";
import { ApiVersion, LogSeverity, shopifyApi } from "@shopify/shopify-api";
import { createSHA256HMAC } from "@shopify/shopify-api/runtime";

const { secret, deliveries, bodies } = await json(process.stdin);
const shopify = shopifyApi({
  apiKey: "key",
  apiSecretKey: secret,
  apiVersion: ApiVersion.July26,
  hostName: "app.example.com",
  isEmbeddedApp: false,
  logger: { level: LogSeverity.Error },
});

const server = createServer(async (rawRequest, rawResponse) => {
  const rawBody = await text(rawRequest);
  rawResponse.end(JSON.stringify(await shopify.webhooks.validate({ rawBody, rawRequest, rawResponse })));
}).listen(0, "127.0.0.1");
await once(server, "listening");

async function deliver({ headers, body }) {
  const options = { host: "127.0.0.1", port: server.address().port, method: "POST", headers };
  const [response] = await once(request(options).end(body), "response");
  return json(response);
}

const found = [];
for (const delivery of deliveries) found.push(await deliver(delivery));
server.close();
const signatures = await Promise.all(bodies.map((body) => createSHA256HMAC(secret, body)));
process.stdout.write(JSON.stringify({ found, signatures }));
