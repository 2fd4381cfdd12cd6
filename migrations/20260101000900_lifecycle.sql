-- Lifecycle: what people do to tasks and orders, from the first ticket to the packed cake (see docs/lifecycle.md).
--
-- Every function here locks the order first, then looks, then changes; so of two calls at once the second sees what the
-- first one did, and knows a repeat from a contradiction.

-- change_tasks: gives tasks other values, notes when their stages began and ended, and writes one event for each. The
-- one way in which an action changes a task; the caller has locked the order.
--
-- actor     the staff row of whoever does it; null for Shopify
-- action    a word of stage_events
-- tasks     their row ids
-- change    the columns and their new values; any of stage, pass, assignee, storage, printed_at
create function ordak.change_tasks(
  actor bigint, action text, tasks bigint[], change jsonb default '{}', reason text default null
) returns void
language plpgsql set search_path = '' as $$
declare
  -- Not now(): whoever waited for the lock began before what has happened since.
  v_at constant timestamptz := clock_timestamp();
begin
  with changed as (
    update ordak.tasks as t
    set stage        = n.stage,
        pass         = n.pass,
        assignee     = n.assignee,
        storage      = n.storage,
        printed_at   = n.printed_at,
        -- A ticket printed again gets nobody further; who waited on hold begins to count anew.
        progressed_at = case when action in ('start', 'complete', 'return', 'move')
                               or action = 'print' and t.printed_at is null
                               or action = 'release' and t.progressed_at is not null then v_at
                             else t.progressed_at end,
        completed_at = case when n.stage = 'Complete' then coalesce(t.completed_at, v_at) end
    from ordak.tasks as o
    cross join jsonb_populate_record(o, change) as n
    where o.id = any (tasks) and t.id = o.id
    returning t.*, o.stage as from_stage
  ), begun as (
    insert into ordak.stage_times (task, stage, pass, started_at)
    select c.id, c.stage, c.pass, v_at
    from changed as c
    where action = 'start'
       or action = 'print' and c.stage = 'Filling'
       -- Nobody scans a cake to start its packing.
       or c.stage = 'Packing' and c.from_stage <> 'Packing'
    on conflict do nothing
  ), ended as (
    insert into ordak.stage_times as s (task, stage, pass, completed_at)
    select c.id, case when c.stage = 'Complete' then 'Packing' else c.from_stage end, c.pass, v_at
    from changed as c
    where action = 'complete'
       or c.stage = 'Complete' and c.from_stage <> 'Complete'
    on conflict on constraint stage_times_pkey do update
      -- A clock that was set back must not stop the kitchen.
      set completed_at = greatest(excluded.completed_at, s.started_at)
  )
  insert into ordak.stage_events (task, at, actor, action, from_stage, to_stage, pass, assignee, storage, reason)
  select c.id, v_at, actor, action, c.from_stage, c.stage, c.pass, c.assignee, c.storage, reason
  from changed as c
  order by c.id;
  if change ? 'stage' then
    perform ordak.follow_stages(tasks);
  end if;
end
$$;


-- change_order: gives an order other values, and writes them to the audit log under the name of the function.
--
-- change    the columns and their new values; any of cancelled_at, cancel_reason, held_at, hold_reason
create function ordak.change_order(me ordak.staff_shared, action text, "order" ordak.orders, change jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_new constant ordak.orders := jsonb_populate_record("order", change);
begin
  update ordak.orders
  set cancelled_at = v_new.cancelled_at, cancel_reason = v_new.cancel_reason, held_at = v_new.held_at,
      hold_reason = v_new.hold_reason
  where id = v_new.id;
  perform ordak.audit(me.id, v_new.store, action, v_new.order_id,
    (select jsonb_object_agg(key, to_jsonb("order") -> key) from jsonb_object_keys(change) as key), change);
end
$$;


-- tasks_where: the row ids of an order's tasks that are complete, or of those that are not.
create function ordak.tasks_where(order_key bigint, complete boolean) returns bigint[]
language sql stable set search_path = '' as $$
  select coalesce(array_agg(t.id), '{}')
  from ordak.tasks as t
  where t.order_key = tasks_where.order_key and (t.stage = 'Complete') = tasks_where.complete
$$;


-- refuse_closed: refuses with ORD003 what is cancelled, and what is complete where that is asked about.
create function ordak.refuse_closed(cancelled_at timestamptz, complete boolean default false) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if cancelled_at is not null then
    perform ordak.fail('ORD003', 'expected work that is not cancelled, but found it cancelled',
                       'nothing is to be done');
  elsif complete then
    perform ordak.fail('ORD003', 'expected work that is not complete, but found it complete',
                       'an Admin may send it back with move_to_stage');
  end if;
end
$$;


-- refuse_held: refuses with ORD002 what is on hold.
create function ordak.refuse_held(order_key bigint) returns void
language plpgsql stable set search_path = '' as $$
begin
  if exists (select from ordak.orders as o where o.id = order_key and o.held_at is not null) then
    perform ordak.fail('ORD002', 'expected an order that is not on hold, but found it on hold',
                       'see its hold_reason; a Supervisor may release it');
  end if;
end
$$;


-- require_worker: refuses with AUTH002 a member of Staff who may not work on this task now: it must be assigned to them
-- and, where the store has shifts, they must be on one there and not on a break. Supervisors and Admins may always.
create function ordak.require_worker(me ordak.staff_shared, task ordak.tasks) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_shift ordak.shifts;
begin
  if me.role > 'Staff' then
    return;
  elsif task.assignee is distinct from me.id then
    perform ordak.fail('AUTH002', 'expected a task that is assigned to you, but found one that is not',
                       'ask a Supervisor to assign it');
  elsif not (select s.shifts_enabled from ordak.settings as s where s.store = task.store) then
    return;
  end if;
  v_shift := ordak.open_shift(me.id);
  if v_shift.store is distinct from task.store then
    perform ordak.fail('AUTH002', format('expected somebody on shift in store %s, but found %s', task.store,
                                         coalesce('one on shift in ' || v_shift.store, 'one on no shift')),
                       'start your shift there');
  elsif ordak.on_break(v_shift.id) then
    perform ordak.fail('AUTH002', 'expected somebody at work, but found one on a break', 'end your break');
  end if;
end
$$;


-- check_stage: refuses with VAL001 a word that is no stage; Complete is one only where it is asked about.
create function ordak.check_stage(stage text, complete boolean) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if pg_input_is_valid(stage, 'ordak.stage') is not true or stage = 'Complete' and not complete then
    perform ordak.fail('VAL001', format('expected the stage Filling, Covering, Decorating%s, but found %s',
      case when complete then ', Packing or Complete' else ' or Packing' end,
      case when stage is null then 'none' else 'another' end));
  end if;
end
$$;


-- expect_stage: refuses with ORD002 a task that is in another stage than the caller thinks.
create function ordak.expect_stage(task ordak.tasks, stage ordak.stage) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if task.stage <> expect_stage.stage then
    perform ordak.fail('ORD002', format('expected the task in %s, but found it in %s', expect_stage.stage, task.stage),
                       'look at the task again');
  end if;
end
$$;


-- assignee: who a task shall be assigned to; VAL001 for somebody who does not work here (any more, or yet). Locked, after
-- the order: whoever leaves at this instant waits, and then loses the task again.
create function ordak.assignee(staff_id uuid) returns ordak.staff_shared
language plpgsql set search_path = '' as $$
declare
  v_staff ordak.staff_shared;
begin
  select * into v_staff from ordak.staff_shared where user_id = assignee.staff_id for share;
  if not found then
    perform ordak.fail('VAL001', 'expected the id of a member of staff, but found another', 'see list_staff');
  elsif not (v_staff.is_active and v_staff.approved) then
    perform ordak.fail('VAL001', 'expected an active and approved member of staff, but found one who is not');
  end if;
  return v_staff;
end
$$;


-- check_assignee: refuses with VAL001 somebody who does not work for a store.
create function ordak.check_assignee(assignee ordak.staff_shared, store text) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if assignee.store <> check_assignee.store then
    perform ordak.fail('VAL001', format('expected somebody of store %s, but found one of %s', check_assignee.store,
                                        assignee.store));
  end if;
end
$$;


create type api.ticket as (
  changed        boolean,
  printed_before timestamptz,
  barcode        text,
  ticket_size    text,
  ticket_copies  int,
  printed_by     text,
  task           api.tasks
);
comment on type api.ticket is 'What a ticket shows and how it is printed; printed_before is null for the first one';


create function api.print_ticket(task_number text) returns api.ticket
language plpgsql security definer set search_path = '' as $$
declare
  v_me     ordak.staff_shared;
  v_task   ordak.tasks;
  v_new    boolean;
  v_ticket api.ticket;
begin
  v_me := ordak.require_staff('Staff');
  v_task := ordak.lock_task(v_me, task_number);
  -- Before the repeat: a second ticket is paper too.
  perform ordak.refuse_closed(v_task.cancelled_at);
  perform ordak.refuse_held(v_task.order_key);
  perform ordak.require_worker(v_me, v_task);
  v_new := v_task.printed_at is null or v_task.stage = 'Filling' and not exists (
    select from ordak.stage_times as s
    where s.task = v_task.id and s.stage = 'Filling' and s.pass = v_task.pass and s.started_at is not null);
  if v_new then
    perform ordak.change_tasks(v_me.id, 'print', array[v_task.id],
                               jsonb_build_object('printed_at', coalesce(v_task.printed_at, clock_timestamp())));
  end if;
  select v_new, v_task.printed_at, v_task.number, s.ticket_size, s.ticket_copies, v_me.full_name, t
  into v_ticket
  from ordak.settings as s
  join api.tasks as t on t.task_number = v_task.number
  where s.store = v_task.store;
  return v_ticket;
end
$$;
grant execute on function api.print_ticket(text) to authenticated;
comment on function api.print_ticket(text) is $$
What to print on a task's ticket, or on the slip of a cake that is packed. In Filling it also starts Filling, unless that
has begun.

task_number  such as B25771-A
returns      the ticket; barcode is the full task number. changed is false for a second print that starts nothing, and
             printed_before says when the first one was
raises       AUTH001; AUTH002 another store, or Staff to whom it is not assigned, off shift or on a break; ORD001;
             ORD002 on hold; ORD003 cancelled
role         Staff
example      {"task_number": "B25771-A"}
$$;


create function api.start_stage(task_number text, stage text) returns api.task_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_task ordak.tasks;
begin
  v_me := ordak.require_staff('Staff');
  perform ordak.check_stage(start_stage.stage, false);
  v_task := ordak.lock_task(v_me, task_number);
  if exists (
    select from ordak.stage_times as s
    where s.task = v_task.id and s.stage = start_stage.stage::ordak.stage and s.started_at is not null
      and (s.stage < v_task.stage or s.stage = v_task.stage and s.pass = v_task.pass)
  ) then
    return ordak.task_change(v_task.number, false);
  end if;
  perform ordak.refuse_closed(v_task.cancelled_at, v_task.stage = 'Complete');
  perform ordak.refuse_held(v_task.order_key);
  perform ordak.require_worker(v_me, v_task);
  perform ordak.expect_stage(v_task, start_stage.stage::ordak.stage);
  perform ordak.change_tasks(v_me.id, 'start', array[v_task.id]);
  return ordak.task_change(v_task.number, true);
end
$$;
grant execute on function api.start_stage(text, text) to authenticated;
comment on function api.start_stage(text, text) is $$
Notes that work on a task's stage begins. Filling is also started by the first print, Packing by the end of Decorating.

task_number  such as B25771-A
stage        the stage that the caller means: Filling, Covering, Decorating or Packing
returns      the task; changed is false where that stage was started before
raises       AUTH001; AUTH002 another store, or Staff to whom it is not assigned, off shift or on a break; VAL001;
             ORD001; ORD002 the task is in another stage, or on hold; ORD003 complete or cancelled
role         Staff
example      {"task_number": "B25771-A", "stage": "Covering"}
$$;


create function api.complete_stage(task_number text, stage text) returns api.task_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_task ordak.tasks;
  v_next ordak.stage;
begin
  v_me := ordak.require_staff('Staff');
  perform ordak.check_stage(complete_stage.stage, false);
  v_task := ordak.lock_task(v_me, task_number);
  if exists (
    select from ordak.stage_times as s
    where s.task = v_task.id and s.stage = complete_stage.stage::ordak.stage and s.stage < v_task.stage
      and s.completed_at is not null
  ) then
    return ordak.task_change(v_task.number, false);
  end if;
  perform ordak.refuse_closed(v_task.cancelled_at, v_task.stage = 'Complete');
  perform ordak.refuse_held(v_task.order_key);
  perform ordak.require_worker(v_me, v_task);
  perform ordak.expect_stage(v_task, complete_stage.stage::ordak.stage);
  select min(s) into v_next from unnest(enum_range(v_task.stage, null)) as s where s > v_task.stage;
  perform ordak.change_tasks(v_me.id, 'complete', array[v_task.id], jsonb_build_object(
    -- Whoever packed it last stays named.
    'stage', v_next, 'assignee', case when v_next = 'Complete' then v_task.assignee end));
  return ordak.task_change(v_task.number, true);
end
$$;
grant execute on function api.complete_stage(text, text) to authenticated;
comment on function api.complete_stage(text, text) is $$
Ends a task's stage: Filling, Covering, Decorating, Packing, Complete. Nobody is assigned to the next one yet; whoever
packed the cake stays.

task_number  such as B25771-A
stage        the stage that the caller means: Filling, Covering, Decorating or Packing
returns      the task; changed is false where that stage was completed before and the task is past it
raises       AUTH001; AUTH002 another store, or Staff to whom it is not assigned, off shift or on a break; VAL001;
             ORD001; ORD002 the task is in another stage, or on hold; ORD003 complete or cancelled
role         Staff
example      {"task_number": "B25771-A", "stage": "Filling"}
$$;


create function api.return_to_decorating(task_number text, reason text, remake boolean default false) returns api.task_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_task ordak.tasks;
begin
  v_me := ordak.require_staff('Supervisor');
  perform ordak.check_reason(reason);
  v_task := ordak.lock_task(v_me, task_number);
  if v_task.stage = 'Decorating' and 'return' = (
    select e.action from ordak.stage_events as e
    where e.task = v_task.id and e.from_stage <> e.to_stage
    order by e.id desc
    limit 1
  ) then
    return ordak.task_change(v_task.number, false);
  end if;
  perform ordak.refuse_closed(v_task.cancelled_at, v_task.stage = 'Complete');
  perform ordak.refuse_held(v_task.order_key);
  perform ordak.expect_stage(v_task, 'Packing');
  if remake then
    -- All that it needs at once: the change of stage alone would lock only a part of it.
    perform ordak.lock_stock(array[v_task.order_key]);
  end if;
  perform ordak.change_tasks(v_me.id, 'return', array[v_task.id], jsonb_build_object(
    'stage', 'Decorating', 'pass', v_task.pass + 1, 'assignee', null), reason);
  if remake then
    perform ordak.remake(v_task.id);
  end if;
  return ordak.task_change(v_task.number, true);
end
$$;
grant execute on function api.return_to_decorating(text, text, boolean) to authenticated;
comment on function api.return_to_decorating(text, text, boolean) is $$
Sends a cake in Packing back to Decorating. That opens a new pass with times of its own, and nobody is assigned yet.

task_number  such as B25771-A
reason       what is wrong with it, 1 to 500 characters
remake       whether it is decorated anew, which uses up its decoration once more; false for a repair
returns      the task; changed is false where it has been sent back already
raises       AUTH001; AUTH002 not a Supervisor, or another store; VAL001; ORD001; ORD002 not in Packing, or on hold;
             ORD003 complete or cancelled
role         Supervisor
example      {"task_number": "B25771-A", "reason": "Wrong spelling: Mia, not Maya"}
$$;


create function api.move_to_stage(task_number text, stage text, reason text) returns api.task_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me    ordak.staff_shared;
  v_task  ordak.tasks;
  v_stage ordak.stage;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.check_stage(move_to_stage.stage, true);
  perform ordak.check_reason(reason);
  v_stage := move_to_stage.stage;
  v_task := ordak.lock_task(v_me, task_number);
  if v_task.stage = v_stage then
    return ordak.task_change(v_task.number, false);
  end if;
  perform ordak.refuse_closed(v_task.cancelled_at);
  perform ordak.refuse_held(v_task.order_key);
  perform ordak.change_tasks(v_me.id, 'move', array[v_task.id], jsonb_build_object(
    'stage', v_stage, 'pass', v_task.pass + (v_stage < v_task.stage)::int, 'assignee', null), reason);
  return ordak.task_change(v_task.number, true);
end
$$;
grant execute on function api.move_to_stage(text, text, text) to authenticated;
comment on function api.move_to_stage(text, text, text) is $$
Puts a task into any stage, for when something went wrong. Back opens a new pass with times of its own, forward does
not; nobody is assigned afterwards.

task_number  such as B25771-A
stage        Filling, Covering, Decorating, Packing or Complete
reason       why, 1 to 500 characters
returns      the task; changed is false where it is in that stage
raises       AUTH001; AUTH002 not an Admin, or another store; VAL001; ORD001; ORD002 on hold; ORD003 cancelled
role         Admin
example      {"task_number": "B25771-A", "stage": "Filling", "reason": "Dropped on the way to the fridge"}
$$;


create function api.assign(task_number text, staff_id uuid) returns api.task_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me    ordak.staff_shared;
  v_staff ordak.staff_shared;
  v_task  ordak.tasks;
begin
  v_me := ordak.require_staff('Supervisor');
  v_task := ordak.lock_task(v_me, task_number);
  v_staff := ordak.assignee(staff_id);
  perform ordak.check_assignee(v_staff, v_task.store);
  if v_task.assignee = v_staff.id then
    return ordak.task_change(v_task.number, false);
  end if;
  perform ordak.refuse_closed(v_task.cancelled_at, v_task.stage = 'Complete');
  perform ordak.change_tasks(v_me.id, 'assign', array[v_task.id], jsonb_build_object('assignee', v_staff.id));
  return ordak.task_change(v_task.number, true);
end
$$;
grant execute on function api.assign(text, uuid) to authenticated;
comment on function api.assign(text, uuid) is $$
Gives a task to somebody, in any stage and also while on hold; the stage stays as it is.

task_number  such as B25771-A
staff_id     to whom: active, approved, and of the task's store or of all
returns      the task; changed is false where it is theirs already
raises       AUTH001; AUTH002 not a Supervisor, or another store; VAL001; ORD001; ORD003 complete or cancelled
role         Supervisor
example      {"task_number": "B25771-A", "staff_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"}
$$;


create type api.assigned as (changed boolean, assigned text[], unchanged text[], skipped text[]);
comment on type api.assigned is 'What became of each task: given, theirs already, or skipped as unknown or closed';


create function api.assign_many(task_numbers text[], staff_id uuid) returns api.assigned
language plpgsql security definer set search_path = '' as $$
declare
  v_me       ordak.staff_shared;
  v_staff    ordak.staff_shared;
  v_tasks    bigint[];
  v_assigned api.assigned;
begin
  v_me := ordak.require_staff('Supervisor');
  if cardinality(task_numbers) between 1 and 100 is not true then
    perform ordak.fail('VAL001', format('expected 1 to 100 task numbers, but found %s',
                                        coalesce(cardinality(task_numbers), 0)));
  elsif exists (select from unnest(task_numbers) as number where number is null) then
    perform ordak.fail('VAL001', 'expected task numbers, but found null among them');
  end if;
  -- In ascending order: two such calls cannot wait for each other in a ring.
  perform from ordak.orders as o
  where o.id in (select t.order_key from ordak.tasks as t where t.number = any (task_numbers))
  order by o.id for no key update;
  v_staff := ordak.assignee(staff_id);
  perform ordak.require_store(v_me, t.store), ordak.check_assignee(v_staff, t.store)
  from ordak.tasks as t
  where t.number = any (task_numbers);

  select coalesce(array_agg(w.id) filter (where w.outcome = 'assigned'), '{}'),
         coalesce(array_agg(w.number) filter (where w.outcome = 'assigned'), '{}'),
         coalesce(array_agg(w.number) filter (where w.outcome = 'unchanged'), '{}'),
         coalesce(array_agg(w.number) filter (where w.outcome = 'skipped'), '{}')
  into v_tasks, v_assigned.assigned, v_assigned.unchanged, v_assigned.skipped
  from (
    select n.number, t.id,
           case when t.id is null or t.stage = 'Complete' or t.cancelled_at is not null then 'skipped'
                when t.assignee = v_staff.id then 'unchanged'
                else 'assigned' end as outcome
    from (select distinct number from unnest(task_numbers) as number) as n
    left join ordak.tasks as t on t.number = n.number
    order by n.number
  ) as w;
  perform ordak.change_tasks(v_me.id, 'assign', v_tasks, jsonb_build_object('assignee', v_staff.id));
  v_assigned.changed := v_tasks <> '{}';
  return v_assigned;
end
$$;
grant execute on function api.assign_many(text[], uuid) to authenticated;
comment on function api.assign_many(text[], uuid) is $$
Gives many tasks to somebody at once, all or none.

task_numbers  1 to 100 of them
staff_id      to whom: active, approved, and of the store of each task or of all
returns       which ones are given to them now, which were theirs already, and which were skipped: unknown, complete or
              cancelled
raises        AUTH001; AUTH002 not a Supervisor, or a task of another store; VAL001
role          Supervisor
example       {"task_numbers": ["B25771-A", "B25771-B"], "staff_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"}
$$;


create function api.unassign(task_number text) returns api.task_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_task ordak.tasks;
begin
  v_me := ordak.require_staff('Supervisor');
  v_task := ordak.lock_task(v_me, task_number);
  if v_task.assignee is null then
    return ordak.task_change(v_task.number, false);
  end if;
  perform ordak.refuse_closed(v_task.cancelled_at, v_task.stage = 'Complete');
  perform ordak.change_tasks(v_me.id, 'unassign', array[v_task.id], '{"assignee": null}');
  return ordak.task_change(v_task.number, true);
end
$$;
grant execute on function api.unassign(text) to authenticated;
comment on function api.unassign(text) is $$
Takes a task from whoever it is assigned to, in any stage and also while on hold.

task_number  such as B25771-A
returns      the task; changed is false where it was nobody's
raises       AUTH001; AUTH002 not a Supervisor, or another store; ORD001; ORD003 complete or cancelled
role         Supervisor
example      {"task_number": "B25771-A"}
$$;


-- leave: has somebody who does not work here any more be on no shift and have no task.
--
-- Their row is locked here before the orders, and elsewhere after them; so orders that are locked are passed over, and a
-- second call finds them.
create function ordak.leave(me ordak.staff_shared, staff_id uuid) returns void
language plpgsql set search_path = '' as $$
declare
  v_staff ordak.staff_shared;
  v_tasks bigint[];
begin
  select * into strict v_staff from ordak.staff_shared as s where s.user_id = leave.staff_id for no key update;
  perform ordak.end_shift(me, v_staff, clock_timestamp());
  with locked as (
    select o.id from ordak.orders as o
    where o.id in (select t.order_key from ordak.tasks as t
                   where t.assignee = v_staff.id and t.stage <> 'Complete' and t.cancelled_at is null)
    order by o.id for no key update skip locked
  )
  select coalesce(array_agg(t.id), '{}') into v_tasks
  from locked as l
  join ordak.tasks as t on t.order_key = l.id
  where t.assignee = v_staff.id and t.stage <> 'Complete' and t.cancelled_at is null;
  perform ordak.change_tasks(me.id, 'unassign', v_tasks, '{"assignee": null}', 'has left');
end
$$;


create function api.set_storage(task_number text, location text) returns api.task_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me        ordak.staff_shared;
  v_task      ordak.tasks;
  v_locations text[];
begin
  v_me := ordak.require_staff('Staff');
  v_task := ordak.lock_task(v_me, task_number);
  select s.storage_locations into v_locations from ordak.settings as s where s.store = v_task.store;
  if v_task.storage is not distinct from location then
    return ordak.task_change(v_task.number, false);
  elsif location <> all (v_locations) then
    perform ordak.fail('VAL001', 'expected a storage location of the store, but found another',
                       'one of ' || array_to_string(v_locations, ', '));
  end if;
  perform ordak.refuse_closed(v_task.cancelled_at);
  perform ordak.require_worker(v_me, v_task);
  perform ordak.change_tasks(v_me.id, 'storage', array[v_task.id], jsonb_build_object('storage', location));
  return ordak.task_change(v_task.number, true);
end
$$;
grant execute on function api.set_storage(text, text) to authenticated;
comment on function api.set_storage(text, text) is $$
Notes where a cake stands, in any stage, while on hold and once complete.

task_number  such as B25771-A
location     one of the store's storage locations; null where it stands in none any more
returns      the task; changed is false where it stood there already
raises       AUTH001; AUTH002 another store, or Staff to whom it is not assigned, off shift or on a break; VAL001,
             whose hint lists the locations; ORD001; ORD003 cancelled
role         Staff
example      {"task_number": "B25771-A", "location": "Store Fridge"}
$$;


create function api.hold(order_id text, reason text) returns api.order_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me    ordak.staff_shared;
  v_order ordak.orders;
  v_open  bigint[];
  v_done  bigint[];
begin
  v_me := ordak.require_staff('Supervisor');
  perform ordak.check_reason(reason);
  v_order := ordak.lock_order(v_me, order_id);
  if v_order.held_at is not null then
    return ordak.order_change(v_order.order_id, false);
  end if;
  v_open := ordak.tasks_where(v_order.id, false);
  v_done := ordak.tasks_where(v_order.id, true);
  perform ordak.refuse_closed(v_order.cancelled_at, v_open = '{}' and v_done <> '{}');
  perform ordak.change_order(v_me, 'hold', v_order, jsonb_build_object(
    'held_at', clock_timestamp(), 'hold_reason', reason));
  perform ordak.change_tasks(v_me.id, 'hold', v_open || v_done, reason => reason);
  return ordak.order_change(v_order.order_id, true);
end
$$;
grant execute on function api.hold(text, text) to authenticated;
comment on function api.hold(text, text) is $$
Stops work on an order: until it is released no ticket is printed and no stage begins or ends. Its tasks can still be
assigned and stored.

order_id  such as bannos-25771
reason    why, 1 to 500 characters
returns   the order; changed is false where it was on hold, and the first reason stands
raises    AUTH001; AUTH002 not a Supervisor, or another store; VAL001; ORD001; ORD003 complete or cancelled
role      Supervisor
example   {"order_id": "bannos-25771", "reason": "The customer calls back about the writing"}
$$;


create function api.release(order_id text) returns api.order_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me    ordak.staff_shared;
  v_order ordak.orders;
begin
  v_me := ordak.require_staff('Supervisor');
  v_order := ordak.lock_order(v_me, order_id);
  if v_order.held_at is null then
    return ordak.order_change(v_order.order_id, false);
  end if;
  perform ordak.refuse_closed(v_order.cancelled_at);
  perform ordak.change_order(v_me, 'release', v_order, '{"held_at": null, "hold_reason": null}');
  perform ordak.change_tasks(v_me.id, 'release',
                             ordak.tasks_where(v_order.id, false) || ordak.tasks_where(v_order.id, true));
  return ordak.order_change(v_order.order_id, true);
end
$$;
grant execute on function api.release(text) to authenticated;
comment on function api.release(text) is $$
Lets work on an order that was on hold go on where it stopped.

order_id  such as bannos-25771
returns   the order; changed is false where it was not on hold
raises    AUTH001; AUTH002 not a Supervisor, or another store; ORD001; ORD003 cancelled while on hold
role      Supervisor
example   {"order_id": "bannos-25771"}
$$;


create function api.cancel_order(order_id text, reason text) returns api.order_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me    ordak.staff_shared;
  v_order ordak.orders;
  v_open  bigint[];
  v_done  bigint[];
begin
  v_me := ordak.require_staff('Supervisor');
  perform ordak.check_reason(reason);
  v_order := ordak.lock_order(v_me, order_id);
  if v_order.cancelled_at is not null then
    return ordak.order_change(v_order.order_id, false);
  end if;
  v_open := ordak.tasks_where(v_order.id, false);
  v_done := ordak.tasks_where(v_order.id, true);
  if v_open = '{}' and v_done <> '{}' and v_me.role < 'Admin' then
    perform ordak.fail('ORD003', 'expected an order that is not complete, but found it complete', 'ask an Admin');
  end if;
  perform ordak.change_order(v_me, 'cancel_order', v_order, jsonb_build_object(
    'cancelled_at', clock_timestamp(), 'cancel_reason', reason));
  perform ordak.reserve(v_order.id);
  perform ordak.change_tasks(v_me.id, 'cancel', v_open, '{"assignee": null}', reason);
  perform ordak.change_tasks(v_me.id, 'cancel', v_done, reason => reason);
  return ordak.order_change(v_order.order_id, true);
end
$$;
grant execute on function api.cancel_order(text, text) to authenticated;
comment on function api.cancel_order(text, text) is $$
Cancels an order for good, also one on hold: its tasks leave the queue, and nobody is assigned to the unfinished ones.

order_id  such as bannos-25771
reason    why, 1 to 500 characters
returns   the order; changed is false where it was cancelled, and the first reason stands
raises    AUTH001; AUTH002 not a Supervisor, or another store; VAL001; ORD001; ORD003 complete, which only an Admin may
          cancel
role      Supervisor
example   {"order_id": "bannos-25771", "reason": "The customer has changed their mind"}
$$;


create function api.complete_order(order_id text) returns api.order_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me    ordak.staff_shared;
  v_order ordak.orders;
  v_open  bigint[];
begin
  v_me := ordak.require_staff('Admin');
  v_order := ordak.lock_order(v_me, order_id);
  -- Before the repeat: what was cancelled is not done, even where every cake had been packed.
  perform ordak.refuse_closed(v_order.cancelled_at);
  v_open := ordak.tasks_where(v_order.id, false);
  if v_open = '{}' then
    return ordak.order_change(v_order.order_id, false);
  end if;
  perform ordak.refuse_held(v_order.id);
  perform ordak.change_tasks(v_me.id, 'finish', v_open, '{"stage": "Complete", "assignee": null}');
  perform ordak.audit(v_me.id, v_order.store, 'complete_order', v_order.order_id, null, jsonb_build_object(
    'completed', (select jsonb_agg(t.number order by t.id) from ordak.tasks as t where t.id = any (v_open))));
  return ordak.order_change(v_order.order_id, true);
end
$$;
grant execute on function api.complete_order(text) to authenticated;
comment on function api.complete_order(text) is $$
Marks every unfinished cake of an order complete, for cakes that left the shop without being scanned; nobody is
assigned to them afterwards.

order_id  such as bannos-25771
returns   the order; changed is false where every cake is complete, or the order has none
raises    AUTH001; AUTH002 not an Admin, or another store; ORD001; ORD002 on hold; ORD003 cancelled
role      Admin
example   {"order_id": "bannos-25771"}
$$;
