-- Views: what staff read of their stores, over row policies. Their rows are also what functions answer with.
--
-- Each one runs with its reader's rights, so the reader needs the columns below it and no others: a wage is in none.

grant usage on schema ordak to authenticated;
grant execute on function ordak.local_day(text, timestamptz) to authenticated;
grant execute on function ordak.priority(date, timestamptz, text, timestamptz) to authenticated;

create policy stores_read on ordak.stores for select to authenticated
  using (code = any ((select ordak.visible_stores())::text[]));
grant select (code, name, letter, time_zone, shop_domain) on ordak.stores to authenticated;

create policy orders_read on ordak.orders for select to authenticated
  using (store = any ((select ordak.visible_stores())::text[]));
grant select (
  id, store, number, order_id, shopify_order_gid, source, customer_name, due_date, delivery_window,
  delivery_method, notes, currency, total_amount, pos, test, placed_at, cancelled_at, cancel_reason, held_at, hold_reason,
  version, flags, created_at, updated_at
) on ordak.orders to authenticated;

create policy tasks_read on ordak.tasks for select to authenticated
  using (store = any ((select ordak.visible_stores())::text[]));
grant select on ordak.tasks to authenticated;

create policy stage_times_read on ordak.stage_times for select to authenticated
  using (exists (select from ordak.tasks as t where t.id = task));
grant select on ordak.stage_times to authenticated;

create policy staff_shared_read on ordak.staff_shared for select to authenticated
  using (cardinality((select ordak.visible_stores())) > 0
         and (store is null or store = any ((select ordak.visible_stores())::text[])));
grant select (id, user_id, full_name, store) on ordak.staff_shared to authenticated;

create policy audit_log_read on ordak.audit_log for select to authenticated
  using (coalesce(store, '') = any ((select ordak.admin_stores())::text[]));
grant select on ordak.audit_log to authenticated;


create view api.stores with (security_invoker = true) as
select s.code as store, s.name, s.letter, s.time_zone, s.shop_domain
from ordak.stores as s;
grant select on api.stores to authenticated;
comment on view api.stores is $$
The stores that the caller works for.

role     Staff
example  select=store,name
$$;


-- order_blocked: whether an order waits for stock, from its reservations.
create function ordak.order_blocked(order_key bigint) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (select from ordak.reservations as r where r.order_key = order_blocked.order_key and r.state = 'blocked');
end
$$;
grant execute on function ordak.order_blocked(bigint) to authenticated;


-- unit_blocked: whether one piece of an order's line waits for stock.
create function ordak.unit_blocked(line_key bigint, unit int) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (
    select from ordak.reservations as r
    where r.line_key = unit_blocked.line_key and r.unit = unit_blocked.unit and r.state = 'blocked');
end
$$;
grant execute on function ordak.unit_blocked(bigint, int) to authenticated;


create view api.orders with (security_invoker = true) as
select
  o.order_id, o.store, o.number, o.shopify_order_gid, o.source, o.customer_name, o.due_date,
  o.delivery_window, o.delivery_method, o.notes, o.currency, o.total_amount, o.pos, o.test, o.placed_at,
  o.cancelled_at, o.cancel_reason, o.held_at, o.hold_reason, o.flags,
  ordak.order_blocked(o.id) as inventory_blocked, o.version, o.created_at, o.updated_at
from ordak.orders as o;
grant select on api.orders to authenticated;
comment on view api.orders is $$
The orders of the caller's stores, one row each. Look them up by order_id, number, gid, placed_at or due_date, which have an
index; the queue and get_order are what screens are made of. inventory_blocked says whether the order waits for stock: for
what, blocked_orders says.

role     Staff
example  order_id=eq.bannos-25771
$$;


create view api.tasks with (security_invoker = true) as
select
  t.number as task_number, o.order_id, t.store, t.order_number, o.customer_name, t.product_title, t.size, t.flavour,
  t.cake_writing, t.due_date, o.delivery_window, o.delivery_method, t.stage, t.pass,
  -- Nothing is urgent about a task that nobody works on any more.
  case when t.stage <> 'Complete' and t.cancelled_at is null
       then ordak.priority(t.due_date, t.created_at, s.time_zone, now()) end as priority,
  a.user_id as assignee_id, a.full_name as assignee_name, t.storage, o.held_at, o.hold_reason, t.cancelled_at,
  t.printed_at, p.started_at, t.completed_at, o.flags,
  ordak.unit_blocked(t.line_key, t.unit) as inventory_blocked, o.test, t.version, t.created_at, t.updated_at
from ordak.tasks as t
join ordak.orders as o on o.id = t.order_key
join ordak.stores as s on s.code = t.store
left join ordak.staff_shared as a on a.id = t.assignee
left join ordak.stage_times as p on p.task = t.id and p.stage = t.stage and p.pass = t.pass;
grant select on api.tasks to authenticated;
comment on view api.tasks is $$
The kitchen's tasks of the caller's stores, one cake each, with what their order says. started_at is when the stage that
the task is in began; priority is null once nobody works on the task any more; inventory_blocked says whether something that
the cake still needs is missing.

role     Staff
example  task_number=eq.B25771-A
$$;


create view api.audit_log with (security_invoker = true) as
select l.id, l.at, l.store, l.action, l.subject, a.user_id as actor_id, a.full_name as actor_name, l.old, l.new
from ordak.audit_log as l
left join ordak.staff_shared as a on a.id = l.actor;
grant select on api.audit_log to authenticated;
comment on view api.audit_log is $$
Who changed what, and from what to what, in the order of id; old and new hold the fields that changed.

role     Admin
example  subject=eq.bannos-25771&order=id.desc
$$;


create type api.task_change as (changed boolean, task api.tasks);
comment on type api.task_change is 'A task as it is now, and whether the call changed anything';

create type api.order_change as (changed boolean, "order" api.orders, tasks api.tasks[]);
comment on type api.order_change is 'An order and its tasks as they are now, and whether the call changed anything';


-- tasks_by_number: the tasks of these numbers, in the numbers' order. What looks for tasks finds their numbers and
-- reads them here: joined into the search, the view's many tables would make planning the longest part.
create function ordak.tasks_by_number(numbers text[]) returns api.tasks[]
language plpgsql stable set search_path = '' as $$
begin
  return array(
    select v
    from unnest(numbers) with ordinality as n (number, place)
    join api.tasks as v on v.task_number = n.number
    order by n.place
  );
end
$$;


-- task_change: what is answered about a task. (In plpgsql, as is all that reads the view: its plan is made once.)
create function ordak.task_change(task_number text, changed boolean) returns api.task_change
language plpgsql stable set search_path = '' as $$
declare
  v_task api.tasks;
begin
  select * into strict v_task from api.tasks as t where t.task_number = task_change.task_number;
  return (task_change.changed, v_task)::api.task_change;
end
$$;


-- order_change: what is answered about an order.
create function ordak.order_change(order_id text, changed boolean) returns api.order_change
language plpgsql stable set search_path = '' as $$
declare
  v_order api.orders;
begin
  select * into strict v_order from api.orders as o where o.order_id = order_change.order_id;
  return (order_change.changed, v_order, ordak.tasks_of(v_order.order_id))::api.order_change;
end
$$;


-- tasks_of: an order's tasks in the order of their numbers.
create function ordak.tasks_of(order_id text) returns api.tasks[]
language plpgsql stable set search_path = '' as $$
begin
  return ordak.tasks_by_number(array(
    select t.number
    from ordak.orders as o
    join ordak.tasks as t on t.order_key = o.id
    where o.order_id = tasks_of.order_id
    order by t.id));
end
$$;


-- lock_order: an order by its id, locked against every other change to it or its tasks until the transaction ends.
--
-- Whatever changes an order or a task locks the order first: two changes to one order wait for each other and cannot
-- wait in a ring. Raises ORD001, and AUTH002 for somebody of another store.
create function ordak.lock_order(me ordak.staff_shared, order_id text) returns ordak.orders
language plpgsql set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  select * into v_order from ordak.orders as o where o.order_id = lock_order.order_id;
  if not found then
    perform ordak.fail('ORD001', 'expected the id of an order, but found another', 'ids look like bannos-25771');
  end if;
  perform ordak.require_store(me, v_order.store);
  -- Read again: whoever had the lock before may have changed it.
  select * into strict v_order from ordak.orders as o where o.id = v_order.id for no key update;
  return v_order;
end
$$;


-- lock_task: a task by its number, locked with its order as lock_order does.
create function ordak.lock_task(me ordak.staff_shared, task_number text) returns ordak.tasks
language plpgsql set search_path = '' as $$
declare
  v_task ordak.tasks;
begin
  select * into v_task from ordak.tasks as t where t.number = lock_task.task_number;
  if not found then
    perform ordak.fail('ORD001', 'expected the number of a task, but found another', 'numbers look like B25771-A; see find_task');
  end if;
  perform ordak.require_store(me, v_task.store);
  perform from ordak.orders as o where o.id = v_task.order_key for no key update;
  -- Read again, by its number: whoever had the lock before may have changed it, or made it anew.
  select * into v_task from ordak.tasks as t
  where t.number = lock_task.task_number and t.order_key = v_task.order_key
  for update;
  if not found then
    perform ordak.fail('ORD001', 'expected the number of a task, but found that of one which is wanted no more', 'see find_task');
  end if;
  return v_task;
end
$$;
