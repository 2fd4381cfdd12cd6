-- Open tasks have their whole story, the others the ends of their stages, their return and their cancellation.

analyze steps;

insert into ordak.stage_events (task, at, actor, action, from_stage, to_stage, pass, assignee, storage, reason)
select e.*
from (
  select task, completed_at as at, worker, 'complete', stage, next, pass, null::bigint,
         case when step > 1 then storage end, null
  from steps
  where completed_at is not null
  union all
  select task, due_at - interval '2 seconds', supervisor, 'return', 'Packing', 'Decorating', 2, null, storage,
         'Wrong spelling'
  from steps
  where step = 5
  union all
  select task, started_at, worker, case when step = 1 then 'print' else 'start' end, stage, stage, pass,
         case when step > 1 then worker end, case when step > 1 then storage end, null
  from steps
  where open and step in (1, 2, 3, 5) and started_at is not null
  union all
  select task, completed_at + interval '1 second', worker, 'storage', 'Covering', 'Covering', 1, null, storage, null
  from steps
  where open and step = 1 and storage is not null
  union all
  select task, due_at + case when step = 1 then interval '1 second' else interval '-1 second' end, supervisor,
         'assign', stage, stage, pass, assignee, case when step > 1 then storage end, null
  from steps
  where assignee is not null
  union all
  select task, midnight, supervisor, 'hold', stage, stage, pass, assignee, case when step > 1 then storage end,
         'Customer asked to wait for the colour'
  from steps
  where held and last
  union all
  select t.id, t.cancelled_at, c.supervisor, 'cancel', t.stage, t.stage, t.pass, null, t.storage, 'customer'
  from cakes as c
  join ordak.tasks as t on t.number = c.task_number
  where c.cancelled
) as e (task, at, actor, action, from_stage, to_stage, pass, assignee, storage, reason)
order by e.task, e.at
