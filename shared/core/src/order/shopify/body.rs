//! The parts of a Shopify body that an order is made of, under REST's names and GraphQL's.

use crate::body::{Pairs, objects};
use crate::json::Json;

objects! {
    OrderBody {
        id | "legacyResourceId": Json<'a>,
        admin_graphql_api_id: Json<'a>,
        order_number: Json<'a>,
        name: Json<'a>,
        customer: Person<'a>,
        shipping_address | "shippingAddress": Person<'a>,
        note: Json<'a>,
        note_attributes | "customAttributes": Pairs<'a>,
        tags: Json<'a>,
        currency | "currencyCode": Json<'a>,
        total_price | "totalPriceSet": Json<'a>,
        current_total_price | "currentTotalPriceSet": Json<'a>,
        source_name | "sourceName": Json<'a>,
        location_id | "retailLocation": Json<'a>,
        order_status_url | "statusPageUrl": Json<'a>,
        test: Json<'a>,
        created_at | "createdAt": Json<'a>,
        updated_at | "updatedAt": Json<'a>,
        cancelled_at | "cancelledAt": Json<'a>,
        cancel_reason | "cancelReason": Json<'a>,
        line_items | "lineItems": Vec<LineBody<'a>>,
        refunds: Vec<RefundBody<'a>>,
    }
    Person {
        name | "displayName": Json<'a>,
        first_name | "firstName": Json<'a>,
        last_name | "lastName": Json<'a>,
    }
    LineBody {
        id: Json<'a>,
        product_id | "product": Json<'a>,
        variant_id | "variant": Json<'a>,
        sku: Json<'a>,
        title: Json<'a>,
        name: Json<'a>,
        variant_title | "variantTitle": Json<'a>,
        gift_card | "isGiftCard": Json<'a>,
        quantity: Json<'a>,
        current_quantity | "currentQuantity": Json<'a>,
        fulfillment_status | "fulfillmentStatus": Json<'a>,
        price | "originalUnitPriceSet": Json<'a>,
        properties | "customAttributes": Pairs<'a>,
    }
    RefundBody {
        order_id: Json<'a>,
        created_at | "createdAt": Json<'a>,
        processed_at | "processedAt": Json<'a>,
        refund_line_items | "refundLineItems": Vec<RefundLineBody<'a>>,
    }
    RefundLineBody {
        id: Json<'a>,
        line_item_id | "lineItem": Json<'a>,
        quantity: Json<'a>,
        restock_type | "restockType": Json<'a>,
        location_id | "location": Json<'a>,
    }
}
