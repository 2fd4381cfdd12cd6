//! The auditor finds an order whose cakes nobody makes. Faults of the queue: [`crate::sync_queue`].

use crate::stock::walnut;
use crate::support::shop::audited;
use crate::support::*;

#[test]
fn the_auditor_finds_an_order_whose_cake_has_no_task() {
    run(async {
        let order_id = walnut().await.sell("AUDIT-CAKE", "cake", 2).await;
        assert_eq!(audited(&order_id).await, [""; 0]);
        let client = database(&shared().stack).await;
        client.batch_execute("begin").await.unwrap();
        let lose = "delete from ordak.tasks as t using ordak.orders as o
                    where o.id = t.order_key and o.order_id = $1 and t.unit = 2";
        assert_eq!(client.execute(lose, &[&order_id]).await.unwrap(), 1);
        let find = "select check_name from ordak.audit where subject = $1";
        let found: String = client.query_one(find, &[&order_id]).await.unwrap().get(0);
        assert_eq!(found, "active tasks are not the cakes that are wanted");
        client.batch_execute("rollback").await.unwrap();
    });
}
