import { worker } from "../_shared/workers.ts";
import * as glue from "./generated/glue.js";
import module from "./generated/module.wasm";

export default worker(glue, module);
