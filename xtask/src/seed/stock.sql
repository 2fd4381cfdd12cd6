-- What a new bakery has in stock: what it sells and makes it of, in both stores, and what the open orders need of it. Of
-- sprinkles it is low, and of gold balloons there are fewer than are ordered.

create temp table goods on commit drop as
select row_number() over () as n, v.*
from (
  values
    -- Sold; the words are those that its lines say.
    ('CHOC-FUDGE',        'Chocolate Fudge Cake',       'product',     null,  0,  0, 'chocolate fudge cake'),
    ('CHOC-FUDGE-L',      'Chocolate Fudge Cake large', 'product',     null,  0,  0, 'chocolate fudge cake large'),
    ('VANILLA-BLISS',     'Vanilla Bliss Cake',         'product',     null,  0,  0, 'vanilla bliss cake'),
    ('VANILLA-BLISS-L',   'Vanilla Bliss Cake large',   'product',     null,  0,  0, 'vanilla bliss cake large'),
    ('MATCHA',            'Matcha Cake',                'product',     null,  0,  0, 'matcha cake'),
    ('UNICORN',           'Unicorn Dream Cake',         'product',     null,  0,  0, 'unicorn dream cake'),
    ('NAKED-BERRY',       'Naked Berry Cake',           'product',     null,  0,  0, 'naked berry cake'),
    ('CARAMEL-DRIP',      'Salted Caramel Drip Cake',   'product',     null,  0,  0, 'salted caramel drip cake'),
    ('FOOTBALL',          'Football Cake',              'product',     null,  0,  0, 'football cake'),
    ('RED-VELVET-HEART',  'Red Velvet Heart Cake',      'product',     null,  0,  0, 'red velvet heart cake'),
    ('GELATO',            'Gelato Ice Cream Cake',      'product',       60,  2,  6, 'gelato ice cream cake'),
    ('NUMBER-CAKE',       'Number Cake',                'product',     null,  0,  0, 'number cake'),
    ('MERMAID',           'Mermaid Cake',               'product',     null,  0,  0, 'mermaid cake'),
    ('LEMON-MERINGUE',    'Lemon Meringue Cake',        'product',     null,  0,  0, 'lemon meringue cake'),
    ('CANDLE-SPARKLING',  'Sparkling candle',           'accessory',    240, 10, 40, 'sparkling candle'),
    ('CANDLE-NUMBER',     'Number candle',              'accessory',    180,  5, 30, 'number candle'),
    ('BALLOON-GOLD',      'Gold balloon',               'accessory',      3,  0,  2, 'gold balloon'),
    ('BALLOON-SILVER',    'Silver balloon',             'accessory',    120,  5, 30, 'silver balloon'),
    ('CARD-GREETING',     'Greeting card',              'accessory',     85,  0, 20, 'greeting card'),
    ('TOPPER-BIRTHDAY',   'Happy Birthday topper',      'topper',       110,  5, 25, 'happy birthday topper'),
    ('TOPPER-ANNIVERSARY','Happy Anniversary topper',   'topper',        30,  0, 10, 'anniversary topper'),
    -- Made of.
    ('TOPPER-UNICORN',    'Unicorn horn and ears',      'topper',        40,  0, 10, null),
    ('TOPPER-FOOTBALL',   'Football figures',           'topper',        45,  0, 10, null),
    ('TOPPER-MERMAID',    'Mermaid tail',               'topper',        38,  0, 10, null),
    ('BOARD-8',           'Cake board, 8 inch',         'component',    140,  0, 30, null),
    ('BOARD-10',          'Cake board, 10 inch',        'component',    320,  5, 60, null),
    ('BOARD-12',          'Cake board, 12 inch',        'component',    160,  2, 30, null),
    ('BOARD-HEART',       'Cake board, heart',          'component',      5,  1,  2, null),
    ('BOX-10',            'Cake box, 10 inch',          'component',    340,  5, 60, null),
    ('BOX-12',            'Cake box, 12 inch',          'component',    180,  2, 30, null),
    ('BOX-TALL',          'Cake box, tall',             'component',    150,  2, 30, null),
    ('BUTTERCREAM',       'Vanilla buttercream, kg',    'component',    160,  0, 25, null),
    ('GANACHE',           'Chocolate ganache, kg',      'component',     90,  0, 15, null),
    ('CREAM-CHEESE',      'Cream cheese frosting, kg',  'component',   42.5,  0,  8, null),
    ('MATCHA-CREAM',      'Matcha cream, kg',           'component',     28,  0,  5, null),
    ('CARAMEL',           'Salted caramel, kg',         'component',     31,  0,  5, null),
    ('BERRIES',           'Berries, kg',                'component',   36.4,  0,  6, null),
    ('LEMON-CURD',        'Lemon curd, kg',             'component',     22,  0,  4, null),
    ('FONDANT-WHITE',     'White fondant, kg',          'component',     75,  0, 12, null),
    ('FONDANT-RED',       'Red fondant, kg',            'component',     26,  0,  5, null),
    ('SPRINKLES',         'Sprinkles, kg',              'component',   1.25,  0,  3, null)
) as v (sku, name, kind, counted, buffer, minimum, keyword);

insert into ordak.items (sku, name, kind, tracked, buffer, minimum)
select sku, name, kind, counted is not null, buffer, minimum from goods order by n;

insert into ordak.stock_moves (item, delta, reason, reference, actor)
select i.id, g.counted, 'count', 'Opening count',
       (select min(p.id) from ordak.staff_shared as p where p.role = 'Supervisor' and p.approved and p.is_active)
from goods as g join ordak.items as i on i.sku = g.sku
where g.counted is not null
order by g.n;

insert into ordak.bom_lines (product, item, quantity, stage, optional)
select p.id, i.id, r.quantity, r.stage::ordak.stage, r.item = 'SPRINKLES'
from (
  values
    ('CHOC-FUDGE',       'GANACHE',         0.6,  'Filling'),    ('CHOC-FUDGE',       'BOARD-10', 1, 'Filling'),
    ('CHOC-FUDGE-L',     'GANACHE',         0.9,  'Filling'),    ('CHOC-FUDGE-L',     'BOARD-12', 1, 'Filling'),
    ('VANILLA-BLISS',    'BUTTERCREAM',     0.6,  'Filling'),    ('VANILLA-BLISS',    'BOARD-10', 1, 'Filling'),
    ('VANILLA-BLISS-L',  'BUTTERCREAM',     0.9,  'Filling'),    ('VANILLA-BLISS-L',  'BOARD-12', 1, 'Filling'),
    ('MATCHA',           'MATCHA-CREAM',    0.5,  'Filling'),    ('MATCHA',           'BOARD-8',  1, 'Filling'),
    ('UNICORN',          'BUTTERCREAM',     0.7,  'Filling'),    ('UNICORN',          'BOARD-10', 1, 'Filling'),
    ('NAKED-BERRY',      'BERRIES',         0.45, 'Decorating'), ('NAKED-BERRY',      'BOARD-8',  1, 'Filling'),
    ('CARAMEL-DRIP',     'CARAMEL',         0.4,  'Decorating'), ('CARAMEL-DRIP',     'BOARD-10', 1, 'Filling'),
    ('FOOTBALL',         'GANACHE',         0.5,  'Filling'),    ('FOOTBALL',         'BOARD-12', 1, 'Filling'),
    ('RED-VELVET-HEART', 'CREAM-CHEESE',    0.4,  'Filling'),    ('RED-VELVET-HEART', 'BOARD-HEART', 1, 'Filling'),
    ('NUMBER-CAKE',      'BUTTERCREAM',     0.8,  'Filling'),    ('NUMBER-CAKE',      'BOARD-12', 1, 'Filling'),
    ('MERMAID',          'BUTTERCREAM',     0.7,  'Filling'),    ('MERMAID',          'BOARD-10', 1, 'Filling'),
    ('LEMON-MERINGUE',   'LEMON-CURD',      0.35, 'Filling'),    ('LEMON-MERINGUE',   'BOARD-8',  1, 'Filling'),
    ('CHOC-FUDGE',       'BOX-10',          1,    'Packing'),    ('CHOC-FUDGE-L',     'BOX-12',   1, 'Packing'),
    ('VANILLA-BLISS',    'BOX-10',          1,    'Packing'),    ('VANILLA-BLISS-L',  'BOX-12',   1, 'Packing'),
    ('MATCHA',           'BOX-10',          1,    'Packing'),    ('UNICORN',          'BOX-TALL', 1, 'Packing'),
    ('NAKED-BERRY',      'BOX-10',          1,    'Packing'),    ('CARAMEL-DRIP',     'BOX-TALL', 1, 'Packing'),
    ('FOOTBALL',         'BOX-12',          1,    'Packing'),    ('RED-VELVET-HEART', 'BOX-12',   1, 'Packing'),
    ('NUMBER-CAKE',      'BOX-12',          1,    'Packing'),    ('MERMAID',          'BOX-TALL', 1, 'Packing'),
    ('LEMON-MERINGUE',   'BOX-10',          1,    'Packing'),    ('UNICORN',          'FONDANT-WHITE', 0.35, 'Covering'),
    ('FOOTBALL',         'FONDANT-WHITE',   0.4,  'Covering'),   ('MERMAID',          'FONDANT-WHITE', 0.35, 'Covering'),
    ('RED-VELVET-HEART', 'FONDANT-RED',     0.25, 'Covering'),   ('UNICORN',          'TOPPER-UNICORN', 1, 'Decorating'),
    ('FOOTBALL',         'TOPPER-FOOTBALL', 1,    'Decorating'), ('MERMAID',          'TOPPER-MERMAID', 1, 'Decorating'),
    ('VANILLA-BLISS',    'SPRINKLES',       0.05, 'Decorating'), ('NUMBER-CAKE',      'SPRINKLES', 0.05, 'Decorating')
) as r (product, item, quantity, stage)
join ordak.items as p on p.sku = r.product
join ordak.items as i on i.sku = r.item;

insert into ordak.match_rules (keyword, item)
select g.keyword, i.id from goods as g join ordak.items as i on i.sku = g.sku where g.keyword is not null order by g.n;

-- Nothing is owed to Shopify before somebody has read what it shows.
insert into ordak.listings (item, store, inventory_item_id, location_id)
select i.id, s.code, 44513594000000 + ascii(s.letter) * 1000 + g.n, split_part(s.location, '/', 5)::bigint
from goods as g
join ordak.items as i on i.sku = g.sku
cross join ordak.stores as s
where g.keyword is not null and s.location is not null
order by s.code, g.n;

update ordak.settings as t set inventory_tracking = true
from ordak.stores as s where s.code = t.store and s.location is not null;

-- Nobody orders at the stand-in before the first levels are read, so nothing that explains them comes late.
update ordak.sync_settings set base_wait = interval '0';

-- What their cakes have used up before the shelves were counted, open orders do not reserve any more.
do $$
begin
  perform ordak.reserve(o.order_key)
  from (
    select distinct t.order_key from ordak.tasks as t where t.stage <> 'Complete' and t.cancelled_at is null order by t.order_key
  ) as o;
end
$$;
