import { serve } from "../_shared/deno.ts";
import * as glue from "./generated/glue.js";
import { wasm } from "./generated/module.ts";

serve(glue, wasm);
