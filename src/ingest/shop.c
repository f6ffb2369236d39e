#include "ingest/shop.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>

static const char *const FIRST[] = {"Ada",  "Ben",  "Carla", "Deniz", "Elif",  "Finn",  "Greta",
                                    "Hugo", "Ines", "Jonas", "Klara", "Lars",  "Mina",  "Nils",
                                    "Olga", "Paul", "Quinn", "Rosa",  "Samir", "Tilda", "Uwe",
                                    "Vera", "Wim",  "Xenia", "Yusuf", "Zoe"};
static const char *const LAST[] = {"Abel",     "Becker",  "Conti",  "Dahl",   "Eriksen", "Fischer", "Garcia",
                                   "Hoffmann", "Ivanova", "Jansen", "Keller", "Lindt",   "Moreau",  "Novak",
                                   "Okafor",   "Peters",  "Quist",  "Rossi",  "Silva",   "Tanaka",  "Ulrich",
                                   "Vogel",    "Weber",   "Yilmaz", "Zimmer"};
static const char *const DOMAIN[] = {"example.com", "example.org", "example.net"};
static const char *const STREET[] = {"Lake Road",   "Mill Lane",    "Station Street", "Birch Alley",
                                     "Harbour Row", "High Street",  "Meadow Path",    "Church Square",
                                     "Pine Walk",   "Bridge Street"};
static const struct {
    const char *city, *country;
} PLACE[] = {{"Zurich", "Switzerland"}, {"Berlin", "Germany"},      {"Vienna", "Austria"},
             {"Lyon", "France"},        {"Oslo", "Norway"},         {"Turin", "Italy"},
             {"Porto", "Portugal"},     {"Utrecht", "Netherlands"}, {"Aarhus", "Denmark"},
             {"Krakow", "Poland"},      {"Galway", "Ireland"},      {"Malm\xc3\xb6", "Sweden"}};
static const struct {
    const char *category;
    const char *things[4];
} GOODS[] = {{"electronics", {"Headphones", "Keyboard", "Power Bank", "Webcam"}},
             {"books", {"Novel", "Cookbook", "Atlas", "Biography"}},
             {"toys", {"Puzzle", "Kite", "Building Set", "Plush Bear"}},
             {"clothing", {"Jacket", "Scarf", "Sneakers", "Sweater"}},
             {"kitchen", {"Kettle", "Pan", "Knife", "Teapot"}},
             {"sports", {"Yoga Mat", "Football", "Tent", "Dumbbell"}}};
static const char *const STYLE[] = {"Classic", "Modern", "Compact", "Alpine",
                                    "Nordic",  "Little", "Grand",   "Everyday"};
static const char *const METHOD[] = {"credit_card", "paypal", "bank_transfer"};

static uint64_t rotate(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static uint64_t next(struct shop *s)
{
    uint64_t *t = s->state;
    uint64_t out = rotate(t[1] * 5, 7) * 9;
    uint64_t shifted = t[1] << 17;

    t[2] ^= t[0];
    t[3] ^= t[1];
    t[1] ^= t[2];
    t[0] ^= t[3];
    t[2] ^= shifted;
    t[3] = rotate(t[3], 45);
    return out;
}

void shop_init(struct shop *s, uint64_t seed)
{
    for (int i = 0; i < 4; i++) { // splitmix64 spreads the seed
        uint64_t z = seed += 0x9e3779b97f4a7c15U;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        z = (z ^ z >> 27) * 0x94d049bb133111ebU;
        s->state[i] = z ^ z >> 31;
    }
}

uint32_t shop_pick(struct shop *s, uint32_t n)
{
    assert(n > 0);
    return (uint32_t)((next(s) >> 32) * n >> 32);
}

bool shop_chance(struct shop *s, unsigned per_cent)
{
    return shop_pick(s, 100) < per_cent;
}

#define ANY(s, list) (list)[shop_pick((s), (uint32_t)ARRAY_LEN(list))]

void shop_address(struct shop *s, struct shop_customer *c)
{
    uint32_t place = shop_pick(s, (uint32_t)ARRAY_LEN(PLACE));

    (void)snprintf(c->address, sizeof c->address, "%s %u", ANY(s, STREET), 1 + shop_pick(s, 199));
    (void)snprintf(c->city, sizeof c->city, "%s", PLACE[place].city);
    (void)snprintf(c->country, sizeof c->country, "%s", PLACE[place].country);
}

void shop_customer(struct shop *s, int64_t number, struct shop_customer *c)
{
    const char *first = ANY(s, FIRST), *last = ANY(s, LAST);

    switch (shop_pick(s, 3)) {
    case 0:
        (void)snprintf(c->full_name, sizeof c->full_name, "%s %s", first, last);
        break;
    case 1:
        (void)snprintf(c->full_name, sizeof c->full_name, "%s, %s", last, first);
        break;
    default:
        (void)snprintf(c->full_name, sizeof c->full_name, "%c. %s", first[0], last);
    }
    (void)snprintf(c->email, sizeof c->email, "user.%04lld@%s", (long long)number, ANY(s, DOMAIN));
    shop_address(s, c);
}

void shop_product(struct shop *s, struct shop_product *p)
{
    uint32_t kind = shop_pick(s, (uint32_t)ARRAY_LEN(GOODS));

    (void)snprintf(p->name, sizeof p->name, "%s %s", ANY(s, STYLE), ANY(s, GOODS[kind].things));
    p->category = GOODS[kind].category;
    p->price_cents = 500 + shop_pick(s, 29501);
    p->stock = (int)shop_pick(s, 101);
}

void shop_payment(struct shop *s, struct shop_payment *p)
{
    uint32_t roll;

    p->method = ANY(s, METHOD);
    roll = shop_pick(s, 100);
    p->status = roll < 75 ? "paid" : roll < 90 ? "pending" : "failed";
}

void shop_money(struct buf *b, int64_t cents)
{
    buf_fmt(b, "%lld.%02lld", (long long)(cents / 100), (long long)(cents % 100));
}
