-- The shop: who buys, what is sold, what was ordered, and how it was paid.

CREATE TABLE customers (
    id         SERIAL PRIMARY KEY,
    full_name  TEXT NOT NULL,
    email      TEXT NOT NULL UNIQUE,
    address    TEXT,
    city       TEXT,
    country    TEXT,
    created_at TIMESTAMP DEFAULT now()
);

CREATE TABLE products (
    id             SERIAL PRIMARY KEY,
    name           TEXT NOT NULL,
    category       TEXT,
    price          NUMERIC(10, 2) NOT NULL,
    stock_quantity INT NOT NULL DEFAULT 0,
    created_at     TIMESTAMP DEFAULT now()
);

CREATE TABLE orders (
    id          SERIAL PRIMARY KEY,
    customer_id INT NOT NULL REFERENCES customers (id),
    status      TEXT CHECK (status IN ('pending', 'shipped', 'delivered', 'cancelled')),
    total       NUMERIC(10, 2),
    created_at  TIMESTAMP DEFAULT now()
);

CREATE TABLE order_items (
    id                SERIAL PRIMARY KEY,
    order_id          INT NOT NULL REFERENCES orders (id),
    product_id        INT NOT NULL REFERENCES products (id),
    quantity          INT NOT NULL,
    price_at_purchase NUMERIC(10, 2) NOT NULL
);

CREATE TABLE payments (
    id             SERIAL PRIMARY KEY,
    order_id       INT NOT NULL REFERENCES orders (id),
    payment_method TEXT NOT NULL,
    paid_at        TIMESTAMP,
    amount         NUMERIC(10, 2),
    status         TEXT CHECK (status IN ('paid', 'pending', 'failed'))
);

-- The seeder's live traffic looks these up by order.
CREATE INDEX order_items_order ON order_items (order_id);
CREATE INDEX payments_order ON payments (order_id);
