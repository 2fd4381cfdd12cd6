// The Cloudflare Workers host: the same module, instantiated once for each isolate.
import { type Glue, type Host, Instance } from "./instance.ts";

/** Longer than any request of ours takes, in ms. */
const PATIENCE_MS = 30_000;

export function worker(glue: Glue, module: WebAssembly.Module) {
  let instance: Instance | undefined;
  return {
    async fetch(request: Request, env: object, context: Host): Promise<Response> {
      // Not at top level: workerd allows no random numbers there, and the module may want some.
      instance ??= new Instance(glue, module);
      // A request that waits for nothing of its own counts as hung and is cancelled; but what it waits for
      // may have died with the instance, and the news of that comes from the request that crashed.
      const timer = setTimeout(() => {}, PATIENCE_MS);
      try {
        return await instance.handle(request, env, context);
      } finally {
        clearTimeout(timer);
      }
    },
    async scheduled(event: unknown, env: object, context: Host): Promise<void> {
      instance ??= new Instance(glue, module);
      await instance.scheduled(event, env, context);
    },
  };
}
