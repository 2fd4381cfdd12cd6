-- Of the last year: what is older has its completion in the task alone, so that many orders stay a matter of seconds.
-- Packing begins with the end of Decorating; that of a cake which was sent back never ended.

analyze cakes;
analyze ordak.tasks;

create temp table steps on commit drop as
select
  t.id as task, c.n, c.open, c.held, c.midnight, c.storage, c.supervisor, k as step, w.worker,
  case when k = c.steps then c.assignee end as assignee,
  (array['Filling', 'Covering', 'Decorating', 'Packing', 'Decorating', 'Packing'])[k]::ordak.stage as stage,
  (array['Covering', 'Decorating', 'Packing', 'Complete', 'Packing', 'Complete'])[k]::ordak.stage as next,
  case when k > 4 then 2 else 1 end as pass,
  k = c.steps as last, pg_temp.step_begin(c, k) as due_at,
  case when k in (4, 6)               then pg_temp.step_end(c, k - 1)
       when k < c.steps or c.begun    then pg_temp.step_begin(c, k) end as started_at,
  case when k = c.steps               then case when c.complete then pg_temp.step_end(c, k) end
       when k <> 4                    then pg_temp.step_end(c, k) end as completed_at
from cakes as c
join ordak.tasks as t on t.number = c.task_number
cross join generate_series(1, c.steps) as k
cross join lateral (
  select coalesce(case when k = c.steps then c.assignee end,
                  c.staff[1 + pg_temp.roll(c.n * 10 + k, 41, cardinality(c.staff))]) as worker
) as w
where c.due_date is null or c.due_date > c.today - 365;

insert into ordak.stage_times (task, stage, pass, started_at, completed_at)
select task, stage, pass, started_at, completed_at
from steps
where started_at is not null
order by task, step
