-- Items, recipes and rules: what Admins say that things are, are made of, and are called.

-- change_item: gives an item other values, and what follows for who waits and what can be sold; audited.
create function ordak.change_item(me ordak.staff_shared, action text, v_new ordak.items) returns api.item_change
language plpgsql set search_path = '' as $$
declare
  v_old ordak.items;
begin
  perform ordak.lock_items(array[v_new.id]);
  select * into strict v_old from ordak.items as i where i.id = v_new.id;
  if (v_old.name, v_old.kind, v_old.tracked, v_old.buffer, v_old.minimum, v_old.active)
     is not distinct from (v_new.name, v_new.kind, v_new.tracked, v_new.buffer, v_new.minimum, v_new.active) then
    return (false, ordak.item_of(v_old))::api.item_change;
  elsif not v_new.tracked and (v_old.on_hand, v_old.held + v_old.blocked) <> (0, 0) then
    perform ordak.fail('INV003', 'expected an item of which there is nothing and nothing is reserved, but found some',
                       'count it as 0 first');
  elsif not v_new.tracked and exists (select from ordak.bom_lines as b where b.item = v_new.id) then
    perform ordak.fail('INV003', 'expected an item that nothing is made of, but found it in a bill of materials');
  end if;
  update ordak.items as i
  set name = v_new.name, kind = v_new.kind, tracked = v_new.tracked, buffer = v_new.buffer, minimum = v_new.minimum,
      active = v_new.active
  where i.id = v_new.id
  returning * into v_new;
  perform ordak.mark_listings(array[v_new.id]);
  if (v_old.kind, v_old.active) is distinct from (v_new.kind, v_new.active) then
    perform ordak.mark_missing_listings(null, v_new.id);
  end if;
  perform ordak.audit(me.id, null, action, v_new.sku, ordak.changed_fields(to_jsonb(v_old), to_jsonb(v_new)),
                      ordak.changed_fields(to_jsonb(v_new), to_jsonb(v_old)));
  return (true, ordak.item_of(v_new))::api.item_change;
end
$$;


create function api.save_item(
  sku text, name text, kind text, tracked boolean default true, buffer numeric default 0, minimum numeric default 0,
  active boolean default true
) returns api.item_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.check_text('a sku', sku, 100, true);
  perform ordak.check_text('a name', name, 255, true);
  perform ordak.check_amount('a buffer', buffer, 0, 1000000);
  perform ordak.check_amount('a minimum', minimum, 0, 1000000);
  if kind in ('component', 'accessory', 'topper', 'product') is not true then
    perform ordak.fail('VAL001', 'expected the kind component, accessory, topper or product, but found another');
  elsif (tracked or kind = 'product') is not true or active is null then
    perform ordak.fail('VAL001',
      'expected tracked and active to be true or false, and false for tracked of a product alone, but found another');
  end if;
  insert into ordak.items (sku, name, kind, tracked, buffer, minimum, active)
  values (sku, name, kind, tracked, buffer, minimum, active)
  on conflict on constraint items_sku_key do nothing
  returning * into v_item;
  if v_item.id is not null then
    perform ordak.mark_missing_listings(null, v_item.id);
    perform ordak.audit(v_me.id, null, 'save_item', sku, null, to_jsonb(v_item));
    return (true, ordak.item_of(v_item))::api.item_change;
  end if;
  v_item := ordak.find_item(sku);
  v_item.name := name;
  v_item.kind := kind;
  v_item.tracked := tracked;
  v_item.buffer := buffer;
  v_item.minimum := minimum;
  v_item.active := active;
  return ordak.change_item(v_me, 'save_item', v_item);
end
$$;
grant execute on function api.save_item(text, text, text, boolean, numeric, numeric, boolean) to authenticated;
comment on function api.save_item(text, text, text, boolean, numeric, numeric, boolean) is $$
Defines an item, or changes one. What there is of it changes by adjust_stock, count_stock and receive_stock alone.

sku      its SKU, 1 to 100 characters; it stays as it is
name     1 to 255 characters
kind     component, accessory, topper or product
tracked  whether its pieces are counted; false only for a product, as one that is made to order
buffer   how many are kept back from sale, from 0
minimum  below how many it is low, from 0
active   false for what lines of orders shall not match any more
returns  the item; changed is false where all of it was so already
raises   AUTH001; AUTH002 not an Admin; VAL001; INV003 not to be counted any more, but there is some, or others need it
role     Admin
example  {"sku": "BOX-10", "name": "Cake box, 10 inch", "kind": "component", "minimum": 20}
$$;


create function api.set_buffer(sku text, buffer numeric) returns api.item_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.check_amount('a buffer', buffer, 0, 1000000);
  v_item := ordak.find_item(sku);
  v_item.buffer := buffer;
  return ordak.change_item(v_me, 'set_buffer', v_item);
end
$$;
grant execute on function api.set_buffer(text, numeric) to authenticated;
comment on function api.set_buffer(text, numeric) is $$
Sets how many pieces of an item are kept back from sale. Orders that are taken are served from them too.

sku      of which item
buffer   how many, from 0
returns  the item; changed is false where it was so already
raises   AUTH001; AUTH002 not an Admin; VAL001; INV002 no such item
role     Admin
example  {"sku": "BOX-10", "buffer": 5}
$$;


-- delete_item: removes an item that nothing has used; false where something has.
create function ordak.delete_item(item bigint) returns boolean
language plpgsql set search_path = '' as $$
begin
  delete from ordak.bom_lines as b where b.product = delete_item.item;
  delete from ordak.items as i where i.id = delete_item.item;
  return true;
exception when foreign_key_violation then
  return false;
end
$$;


create function api.delete_item(sku text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
begin
  v_me := ordak.require_staff('Admin');
  select * into v_item from ordak.items as i where i.sku = delete_item.sku for update;
  if not found then
    return false;
  elsif not ordak.delete_item(v_item.id) then
    perform ordak.fail('INV003',
      'expected an item that nothing has used, but found one that orders, moves, bills, rules or listings name',
                       'save it with active false');
  end if;
  perform ordak.audit(v_me.id, null, 'delete_item', sku, to_jsonb(v_item), null);
  return true;
end
$$;
grant execute on function api.delete_item(text) to authenticated;
comment on function api.delete_item(text) is $$
Deletes an item that nothing has used, with its bill of materials.

sku      of which item
returns  true; false where there was none
raises   AUTH001; AUTH002 not an Admin; INV003 it was used: save it with active false
role     Admin
example  {"sku": "BOX-11"}
$$;


create type api.bom_line as (sku text, quantity numeric, stage text, optional boolean, store text);
comment on type api.bom_line is 'What one piece of a product needs of an item; store is null for all stores';

create type api.bom as (changed boolean, sku text, lines api.bom_line[]);
comment on type api.bom is 'What one piece of a product is made of';


-- bom: what a product is made of, as callers see it.
create function ordak.bom(changed boolean, product ordak.items) returns api.bom
language sql stable set search_path = '' as $$
  select (changed, product.sku, array(
    select (i.sku, b.quantity, b.stage, b.optional, b.store)::api.bom_line
    from ordak.bom_lines as b join ordak.items as i on i.id = b.item
    where b.product = product.id order by b.stage, i.sku, b.store))::api.bom
$$;


-- check_bom: refuses with VAL001 what is no list of lines of a bill.
create function ordak.check_bom(lines jsonb) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_line jsonb;
begin
  if jsonb_typeof(lines) is distinct from 'array' or jsonb_array_length(lines) > 100 then
    perform ordak.fail('VAL001',
      'expected at most 100 lines of {sku, quantity, stage, optional, store}, but found another');
  end if;
  for v_line in select * from jsonb_array_elements(lines) loop
    if jsonb_typeof(v_line -> 'sku') is distinct from 'string'
       or jsonb_typeof(v_line -> 'quantity') is distinct from 'number'
       or jsonb_typeof(coalesce(v_line -> 'optional', 'false')) <> 'boolean'
       or exists (select from jsonb_object_keys(v_line) as k where
                  k not in ('sku', 'quantity', 'stage', 'optional', 'store')) then
      perform ordak.fail('VAL001', 'expected lines of {sku, quantity, stage, optional, store}, but found another');
    end if;
    perform ordak.check_amount('a quantity', (v_line ->> 'quantity')::numeric, 0.001, 10000);
    perform ordak.check_stage(coalesce(v_line ->> 'stage', 'Packing'), false);
    perform ordak.check_store(v_line ->> 'store');
  end loop;
end
$$;


-- bom_rows: the lines of a bill as rows, each once. Raises INV002 and VAL001.
create function ordak.bom_rows(product ordak.items, lines jsonb) returns ordak.bom_lines[]
language plpgsql set search_path = '' as $$
declare
  v_rows ordak.bom_lines[] := array(
    select (null, product.id, l.store, (ordak.find_item(l.sku)).id, l.quantity, coalesce(l.stage, 'Packing'),
      coalesce(l.optional, false))::ordak.bom_lines
    from jsonb_to_recordset(lines) as l (sku text, quantity numeric, stage ordak.stage, optional boolean, store text));
begin
  if (select count(distinct (r.store, r.item, r.stage)) from unnest(v_rows) as r) < cardinality(v_rows) then
    perform ordak.fail('VAL001', 'expected each item once for a stage and store, but found one again');
  elsif exists (select from unnest(v_rows) as r join ordak.items as i on i.id = r.item where not i.tracked) then
    perform ordak.fail('VAL001', 'expected items whose pieces are counted, but found one that is made to order');
  elsif exists (
    with recursive parts (item) as (
      select r.item from unnest(v_rows) as r
      union
      select b.item from parts as p join ordak.bom_lines as b on b.product = p.item
    )
    select from parts as p where p.item = product.id
  ) then
    perform ordak.fail('VAL001', 'expected what is not made of itself, but found a cycle');
  end if;
  return v_rows;
end
$$;


create function api.set_bom(sku text, lines jsonb) returns api.bom
language plpgsql security definer set search_path = '' as $$
declare
  v_me      ordak.staff_shared;
  v_product ordak.items;
  v_rows    ordak.bom_lines[];
  v_old     api.bom;
  v_new     api.bom;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.check_bom(lines);
  v_product := ordak.find_item(sku);
  -- One bill at a time, or two of them could close a circle.
  perform pg_advisory_xact_lock(hashtextextended('ordak.bom_lines', 0));
  v_rows := ordak.bom_rows(v_product, lines);
  perform ordak.lock_items(ordak.with_parts(array[v_product.id]) || array(select r.item from unnest(v_rows) as r));
  v_old := ordak.bom(true, v_product);
  delete from ordak.bom_lines as b where b.product = v_product.id;
  insert into ordak.bom_lines (product, store, item, quantity, stage, optional)
  select r.product, r.store, r.item, r.quantity, r.stage, r.optional from unnest(v_rows) as r;
  v_new := ordak.bom(true, v_product);
  if v_new = v_old then
    v_new.changed := false;
    return v_new;
  end if;
  perform ordak.mark_listings(array[v_product.id]);
  perform ordak.audit(v_me.id, null, 'set_bom', sku, to_jsonb(v_old.lines), to_jsonb(v_new.lines));
  return v_new;
end
$$;
grant execute on function api.set_bom(text, jsonb) to authenticated;
comment on function api.set_bom(text, jsonb) is $$
Says what one piece of a product is made of: the whole bill, in place of the one before. It counts for units that are
ordered from now on.

sku      of which product
lines    at most 100 of {sku, quantity, stage, optional, store}, of which the first two are needed. stage uses it up:
         Filling, Covering, Decorating or Packing, which it is where left out; optional ones are left out where there is
         too little; store is left out for all stores. Empty for no bill
returns  the bill; changed is false where it was so already
raises   AUTH001; AUTH002 not an Admin; VAL001, also for a cycle; INV002 no such item
role     Admin
example  {"sku": "CAKE-1", "lines": [{"sku": "BOARD-10", "quantity": 0.4, "stage": "Filling"}]}
$$;


create function api.get_bom(sku text) returns api.bom
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Staff');
  return ordak.bom(false, ordak.find_item(sku));
end
$$;
grant execute on function api.get_bom(text) to authenticated;
comment on function api.get_bom(text) is $$
What one piece of a product is made of.

sku      of which product
returns  its bill; changed is false
raises   AUTH001; INV002 no such item
role     Staff
example  {"sku": "CAKE-1"}
$$;


create type api.match_rule as (rule_id bigint, sku text, store text, product_id bigint, variant_sku text, keyword text);
comment on type api.match_rule is
  'Which item (sku) a line of an order is: by its product_id, its own SKU (variant_sku) or words of its title';

create type api.match_rule_change as (changed boolean, rule api.match_rule);
comment on type api.match_rule_change is 'A rule as it is now, and whether the call changed anything';


-- rule_of: a rule as callers see it.
create function ordak.rule_of(rule ordak.match_rules) returns api.match_rule
language sql stable set search_path = '' as $$
  select (rule.id, i.sku, rule.store, rule.product_id, rule.sku, rule.keyword)::api.match_rule
  from ordak.items as i where i.id = rule.item
$$;


create function api.set_match_rule(
  sku text, store text default null, product_id bigint default null, variant_sku text default null,
    keyword text default null
) returns api.match_rule_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
  v_rule ordak.match_rules;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.check_store(store);
  perform ordak.check_text('a variant_sku', variant_sku, 255);
  perform ordak.check_text('a keyword', keyword, 100);
  if num_nonnulls(product_id, variant_sku, keyword) <> 1 or length(keyword) < 2 then
    perform ordak.fail('VAL001',
      'expected one of product_id, variant_sku and a keyword of 2 letters or more, but found another');
  end if;
  v_item := ordak.find_item(sku);
  insert into ordak.match_rules as r (store, product_id, sku, keyword, item)
  values (store, product_id, variant_sku, lower(keyword), v_item.id)
  on conflict on constraint match_rules_key do update set item = excluded.item where r.item <> excluded.item
  returning * into v_rule;
  if v_rule.id is null then
    select * into strict v_rule from ordak.match_rules as r
    where (r.store, r.product_id, r.sku, r.keyword) is not distinct from
          (set_match_rule.store, set_match_rule.product_id, variant_sku, lower(set_match_rule.keyword));
    return (false, ordak.rule_of(v_rule))::api.match_rule_change;
  end if;
  perform ordak.audit(v_me.id, store, 'set_match_rule', sku, null, to_jsonb(v_rule));
  return (true, ordak.rule_of(v_rule))::api.match_rule_change;
end
$$;
grant execute on function api.set_match_rule(text, text, bigint, text, text) to authenticated;
comment on function api.set_match_rule(text, text, bigint, text, text) is $$
Says which item the lines of orders are that name something. An SKU beats a product_id, and that beats keywords,
of which the longest wins that stands in the title; a store's own rule beats the one for all. Orders that
are there follow by remap_order.

sku          the SKU of the item
store        in which store; left out for all
product_id   Shopify's id of the product; one of these three
variant_sku  the SKU on the line, where it is not that of the item
keyword      2 to 100 letters that stand in the title or variant
returns      the rule; changed is false where it was so already
raises       AUTH001; AUTH002 not an Admin; VAL001; INV002 no such item
role         Admin
example      {"sku": "BALLOON-GOLD-6", "keyword": "gold 6"}
$$;


create function api.delete_match_rule(rule_id bigint) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_rule ordak.match_rules;
begin
  v_me := ordak.require_staff('Admin');
  delete from ordak.match_rules as r where r.id = rule_id returning * into v_rule;
  if v_rule.id is null then
    return false;
  end if;
  perform ordak.audit(v_me.id, v_rule.store, 'delete_match_rule', rule_id::text, to_jsonb(v_rule), null);
  return true;
end
$$;
grant execute on function api.delete_match_rule(bigint) to authenticated;
comment on function api.delete_match_rule(bigint) is $$
Deletes a rule that says which item lines of orders are.

rule_id  which one, see list_match_rules
returns  true; false where there was none
raises   AUTH001; AUTH002 not an Admin
role     Admin
example  {"rule_id": 12}
$$;


create function api.list_match_rules(after bigint default 0, page_size int default 50) returns setof api.match_rule
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Staff');
  perform ordak.check_page(page_size);
  return query
    select f.* from ordak.match_rules as r cross join lateral ordak.rule_of(r) as f
    where r.id > coalesce(after, 0) order by r.id limit page_size;
end
$$;
grant execute on function api.list_match_rules(bigint, int) to authenticated;
comment on function api.list_match_rules(bigint, int) is $$
The rules that say which item lines of orders are.

after      only those after this rule_id, the last one of the page before
page_size  1 to 200
returns    them by rule_id
raises     AUTH001; VAL001
role       Staff
example    {}
$$;
