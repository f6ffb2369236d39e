#include "ingest/shop.h"

#include "base/test.h"

TEST(the_same_seed_gives_the_same_shop)
{
    struct shop a, b, c;
    struct shop_customer x, y;
    struct shop_product p, q;
    int differences = 0;

    shop_init(&a, 42);
    shop_init(&b, 42);
    shop_init(&c, 43);
    for (int i = 0; i < 1000; i++) {
        shop_customer(&a, i, &x);
        shop_customer(&b, i, &y);
        OK(strcmp(x.full_name, y.full_name) == 0 && strcmp(x.email, y.email) == 0 &&
           strcmp(x.city, y.city) == 0);
        shop_product(&a, &p);
        shop_product(&b, &q);
        OK(strcmp(p.name, q.name) == 0 && p.price_cents == q.price_cents && p.stock == q.stock);
        shop_product(&c, &q);
        differences += p.price_cents != q.price_cents;
    }
    OK(differences > 900);
}

TEST(numbers_keep_to_their_ranges)
{
    struct shop s;
    struct shop_product p;
    struct shop_payment pay;
    int paid = 0;

    shop_init(&s, 1);
    for (int i = 0; i < 10000; i++) {
        OK(shop_pick(&s, 7) < 7);
        shop_product(&s, &p);
        OK(p.price_cents >= 500 && p.price_cents <= 30000 && p.stock >= 0 && p.stock <= 100);
        shop_payment(&s, &pay);
        paid += strcmp(pay.status, "paid") == 0;
    }
    OK(paid > 7200 && paid < 7800);
}

TEST(money_has_two_digits)
{
    struct buf b = buf_make(100);

    shop_money(&b, 1205);
    OK(str_is(buf_view(&b), "12.05"));
    buf_fini(&b);
}

TEST_MAIN
