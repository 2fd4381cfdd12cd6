// The Deno host, as Supabase runs it and as the local stack does: one process, one instance, one listener.
import { type Glue, type Host, Instance } from "./instance.ts";

declare const EdgeRuntime: Host | undefined;

export function serve(glue: Glue, base64: string): void {
  const instance = new Instance(glue, new WebAssembly.Module(decode(base64)));
  const env = Deno.env.toObject();
  // Elsewhere than on Supabase the process lives on anyway, and the work with it.
  const host = typeof EdgeRuntime === "undefined" ? { waitUntil() {} } : EdgeRuntime;
  Deno.serve({ onListen() {} }, (request) => instance.handle(request, env, host));
}

/** A plain loop: `Uint8Array.from` would make it the longest part of a cold start. */
function decode(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
