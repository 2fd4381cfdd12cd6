// The reference of Standard Webhooks, on what stands on stdin: {secret, url, requests: [{id, body, tampered}], messages}.
//
// Prints {answers, verified}: what each request, signed by it and sent, was answered; and whether it believes each
// message {headers, body}.
import { json } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";

const { secret, url, requests, messages } = await json(process.stdin);
const webhook = new Webhook(secret);

async function send({ id, body, tampered }) {
  const now = new Date();
  const headers = {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    "webhook-signature": webhook.sign(id, now, body),
  };
  const response = await fetch(url, { method: "POST", headers, body: tampered ?? body });
  return { status: response.status, body: await response.json() };
}

function believes({ headers, body }) {
  try {
    webhook.verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

const answers = [];
for (const request of requests) answers.push(await send(request));
process.stdout.write(JSON.stringify({ answers, verified: messages.map(believes) }));
