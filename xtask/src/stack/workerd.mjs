// `node workerd.mjs <config.json>`: one workerd with several workers, each on a port of its own.
//
// The config: {"compatibilityDate", "control", "workers": [{"name", "port", "entry", "env"}]}. Entries
// are bundled as wrangler does it. Prints the workers' console lines as they are, and `ready` once every port listens.
// `POST /<name>` at the port `control` is the schedule of that worker: answered when its work is done.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, resolve } from "node:path";
import { build, stop } from "esbuild";
import { Log, LogLevel, Miniflare } from "miniflare";

/** The entry as one module, and beside it each `.wasm` that it imports. */
async function bundle(entry) {
  const wasm = [];
  const plugin = {
    name: "wasm",
    setup({ onResolve }) {
      onResolve({ filter: /\.wasm$/ }, ({ path, resolveDir }) => {
        const name = `${wasm.length}.wasm`;
        wasm.push({ type: "CompiledWasm", path: name, file: resolve(resolveDir, path) });
        return { path: `./${name}`, external: true };
      });
    },
  };
  const options = { bundle: true, format: "esm", target: "es2022", write: false, logLevel: "silent" };
  const { outputFiles } = await build({ ...options, entryPoints: [entry], plugins: [plugin] });
  const modules = wasm.map(async ({ type, path, file }) => ({ type, path, contents: await readFile(file) }));
  const main = { type: "ESModule", path: "worker.js", contents: outputFiles[0].text };
  return [main, ...await Promise.all(modules)];
}

async function worker({ name, port, entry, env }, compatibilityDate) {
  return {
    name,
    compatibilityDate,
    bindings: env,
    rootPath: dirname(entry),
    modulesRoot: "/",
    modules: await bundle(entry),
    unsafeDirectSockets: [{ host: "127.0.0.1", port }],
  };
}

const { compatibilityDate, control, workers } = JSON.parse(await readFile(process.argv[2], "utf8"));
const miniflare = new Miniflare({
  host: "127.0.0.1",
  port: 0,
  // Nothing from the network: neither telemetry nor the description of a place on earth.
  cf: false,
  telemetry: { enabled: false },
  log: new Log(LogLevel.ERROR),
  handleStructuredLogs: ({ message }) => void process.stdout.write(`${message}\n`),
  workers: await Promise.all(workers.map((each) => worker(each, compatibilityDate))),
});
// On SIGTERM and SIGINT Miniflare itself ends workerd, deletes its temporary files and exits.
await Promise.all([miniflare.ready, stop()]);
createServer(async ({ url }, response) => {
  const { outcome } = await (await miniflare.getWorker(url.slice(1))).scheduled();
  response.end(outcome);
}).listen(control, "127.0.0.1");
process.stdout.write("ready\n");
