// Holds the generated types to what callers write: each call below must compile, and each one that is marked
// must not. Checked by `cargo xtask test types`, never run.
import { PostgrestClient } from "npm:@supabase/postgrest-js@2.105.4";
import type { Database } from "../../web/src/database.types.ts";

const database = new PostgrestClient<Database, { PostgrestVersion: "12" }, "api">("http://127.0.0.1", {
  schema: "api",
});

await database.rpc("me");
await database.rpc("register", { full_name: "Ada Baker" });
await database.rpc("register", { full_name: "Ada Baker", store: "bannos", phone: null });
// @ts-expect-error the name is needed
await database.rpc("register", { store: "bannos" });
// @ts-expect-error a name is a text
await database.rpc("register", { full_name: 1 });
// @ts-expect-error there is no such function
await database.rpc("fire");

const { data: change } = await database.rpc("set_active", { staff_id: "", active: false });
const changed: boolean | null | undefined = change?.changed;
const role: "Staff" | "Supervisor" | "Admin" | null | undefined = change?.staff?.role;
// @ts-expect-error no role is called so
const king: "King" | null | undefined = change?.staff?.role;

const { data: staff } = await database.rpc("list_staff");
const wages: (number | null)[] | undefined = staff?.map((person) => person.hourly_rate);

const { data: tasks } = await database.from("tasks").select("task_number, stage, flags").eq(
  "store",
  "bannos",
);
const stage: Database["api"]["Enums"]["stage"] | null | undefined = tasks?.[0].stage;
const flags: string[] | null | undefined = tasks?.[0].flags;
// @ts-expect-error it was not selected
tasks?.[0].pass;
// @ts-expect-error there is no such column
database.from("tasks").eq("colour", "red");
// @ts-expect-error no stage is called so
database.from("tasks").select().eq("stage", "Baking");
// @ts-expect-error a view is not written to
database.from("tasks").insert({ task_number: "B1" });

type Order = Database["api"]["CompositeTypes"]["order_change"];
const numbers = (order: Order): (string | null)[] | undefined => order.tasks?.map((task) => task.task_number);

export { changed, flags, king, numbers, role, stage, wages };
