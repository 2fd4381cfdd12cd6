-- Dead letters: what could not be taken, read by a person and taken after all.

create type api.dead_letter as (
  letter_id   uuid,
  store       text,
  topic       text,
  reason      text,
  bytes       int,
  replayable  boolean,
  received_at timestamptz,
  replayed_at timestamptz
);
comment on type api.dead_letter is 'A delivery that could not be taken; replayable says whether it can be';


-- letter_of: a dead letter as Admins see it, without its body.
create function ordak.letter_of(letter ordak.dead_letters) returns api.dead_letter
language sql immutable set search_path = '' as $$
  select (letter.letter_id, letter.store, letter.topic, letter.reason, length(letter.body),
          num_nonnulls(letter.content, letter.shopify_order_id) > 0, letter.received_at, letter.replayed_at)::api.dead_letter
$$;


-- dead_letter: a dead letter by its id, locked where it will change. Raises ORD001, and AUTH002 for another store's.
create function ordak.dead_letter(me ordak.staff_shared, letter_id uuid) returns ordak.dead_letters
language plpgsql set search_path = '' as $$
declare
  v_letter ordak.dead_letters;
begin
  if current_setting('transaction_read_only') = 'off' then
    perform from ordak.dead_letters as l where l.letter_id = dead_letter.letter_id for update;
  end if;
  select * into v_letter from ordak.dead_letters as l where l.letter_id = dead_letter.letter_id;
  if not found then
    perform ordak.fail('ORD001', 'expected the id of a dead letter, but found another', 'see list_dead_letters');
  end if;
  perform ordak.require_store(me, v_letter.store);
  return v_letter;
end
$$;


create function api.list_dead_letters(
  store text default null, before timestamptz default null, page_size int default 50
) returns setof api.dead_letter
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
  v_me    ordak.staff_shared;
  v_store text;
begin
  v_me := ordak.require_staff('Admin', store);
  perform ordak.check_store(store);
  perform ordak.check_page(page_size);
  v_store := coalesce(store, v_me.store);
  return query
    select f.*
    from ordak.dead_letters as l
    cross join lateral ordak.letter_of(l) as f
    where (v_store is null or l.store = v_store) and l.received_at < coalesce(before, 'infinity')
    order by l.received_at desc
    limit page_size;
end
$$;
grant execute on function api.list_dead_letters(text, timestamptz, int) to authenticated;
comment on function api.list_dead_letters(text, timestamptz, int) is $$
Deliveries that could not be taken, newest first.

store      the code of a store; left out for all of the caller's
before     only what was received before this instant: the received_at of the last one of the page before
page_size  1 to 200
returns    them, without their bodies
raises     AUTH001; AUTH002 not an Admin of the store; VAL001
role       Admin
example    {"store": "bannos"}
$$;


create function api.get_dead_letter(letter_id uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me     ordak.staff_shared;
  v_letter ordak.dead_letters;
begin
  v_me := ordak.require_staff('Admin');
  v_letter := ordak.dead_letter(v_me, letter_id);
  return encode(v_letter.body, 'base64');
end
$$;
grant execute on function api.get_dead_letter(uuid) to authenticated;
comment on function api.get_dead_letter(uuid) is $$
The body of a dead letter as it was received. It holds a customer's data.

letter_id  which one, see list_dead_letters
returns    the bytes in base64; null once they are purged, after 30 days
raises     AUTH001; AUTH002 not an Admin of its store; ORD001
role       Admin
example    {"letter_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"}
$$;


-- retake: takes what a dead letter says; where that could not be read, has the order fetched that it is about. Raises ORD004
-- and ORD005 where it still cannot be taken.
create function ordak.retake(letter ordak.dead_letters, out outcome text, out order_key bigint)
language plpgsql set search_path = '' as $$
declare
  v_store ordak.stores;
begin
  if letter.content is null then
    if letter.shopify_order_id is null then
      perform ordak.fail('ORD004', 'expected a body that can be read, but found '
                         || case when letter.body is null then 'one that is purged' else letter.reason end,
                         'have Shopify send it again, or take the order by hand');
    end if;
    perform ordak.mark('refetch_order', letter.store, letter.shopify_order_id::text);
    outcome := 'recorded';
    return;
  end if;
  select * into strict v_store from ordak.stores as s where s.code = letter.store;
  -- An Admin has looked at it, which is what proves that the store is right.
  select * into outcome, order_key from ordak.take(v_store, letter.content, true, null);
exception when data_exception or integrity_constraint_violation then
  perform ordak.fail('ORD004', format('the database refused the data (%s)', sqlstate));
end
$$;


create type api.replayed as (changed boolean, status text, order_id text, letter api.dead_letter);
comment on type api.replayed is 'What became of a dead letter that was replayed; status as a delivery is answered';


create function api.replay_dead_letter(letter_id uuid) returns api.replayed
language plpgsql security definer set search_path = '' as $$
declare
  v_me     ordak.staff_shared;
  v_letter ordak.dead_letters;
  v_status text;
  v_key    bigint;
  v_order  text;
begin
  v_me := ordak.require_operator();
  v_letter := ordak.dead_letter(v_me, letter_id);
  if v_letter.replayed_at is not null then
    return (false, 'skipped', null, ordak.letter_of(v_letter))::api.replayed;
  end if;
  select * into v_status, v_key from ordak.retake(v_letter);
  -- By a statement of its own: the one before does not see what it made itself.
  select o.order_id into v_order from ordak.orders as o where o.id = v_key;
  update ordak.dead_letters as l set replayed_at = now() where l.id = v_letter.id returning * into v_letter;
  perform ordak.audit(v_me.id, v_letter.store, 'replay_dead_letter', v_letter.letter_id::text, null,
                      jsonb_build_object('status', v_status, 'order_id', v_order));
  return (true, v_status, v_order, ordak.letter_of(v_letter))::api.replayed;
end
$$;
grant execute on function api.replay_dead_letter(uuid) to authenticated;
comment on function api.replay_dead_letter(uuid) is $$
Takes a dead letter after all, once its cause is gone: the store's row is right, or an Admin has found that the order is
the store's. Where another order of Shopify's has its number, that cannot pass: take this one by hand under another. What
could not be read, or is purged, is fetched from Shopify as it is now, if it names its order; what still cannot be taken then
is a dead letter of topic sync/order. Works also while writing is paused.

letter_id  which one, see list_dead_letters
returns    what became of it; status is recorded where it will be fetched; changed is false where it was replayed before
raises     AUTH001; AUTH002 not an Admin of its store; ORD001; ORD004 its body cannot be read and names no order, or can
           never be stored; ORD005 the cause is still there
role       Admin
example    {"letter_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"}
$$;
