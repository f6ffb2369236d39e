/*
 * shop: the people and goods of a web shop, made up.
 *
 * A generator of its own numbers: the same seed gives the same shop on every machine. No I/O here; seeder.c puts
 * what comes out into a database. Words and weights follow the storefront lab: three forms of names, six categories, prices
 * from 5 to 300, stock to 100, payments 75 % paid, 15 % pending, 10 % failed.
 */
#pragma once

#include "base/buf.h"

struct shop {
    uint64_t state[4]; // xoshiro256**, D. Blackman and S. Vigna
};

void shop_init(struct shop *s, uint64_t seed);
uint32_t shop_pick(struct shop *s, uint32_t n);      // 0 to n-1, evenly; n at least 1
bool shop_chance(struct shop *s, unsigned per_cent); // true that often

enum { SHOP_TEXT = 80 };
struct shop_customer {
    char full_name[SHOP_TEXT], email[SHOP_TEXT], address[SHOP_TEXT], city[SHOP_TEXT], country[SHOP_TEXT];
};
/* number makes the e-mail address unique: the customer's id. */
void shop_customer(struct shop *s, int64_t number, struct shop_customer *c);
void shop_address(struct shop *s, struct shop_customer *c); // address, city and country anew

struct shop_product {
    char name[SHOP_TEXT];
    const char *category;
    int64_t price_cents;
    int stock;
};
void shop_product(struct shop *s, struct shop_product *p);

struct shop_payment {
    const char *method;
    const char *status; // paid, pending or failed
};
void shop_payment(struct shop *s, struct shop_payment *p);

/* Cents as "123.45". */
void shop_money(struct buf *b, int64_t cents);
